//! A plan as text for a model.

use crate::{
    catalogue::{cut_text, text_size},
    plan::{Operator, Plan},
};

/// A condition or a list of columns: what is longer is generated, and its beginning tells what it is.
const INFO_BYTES_MAX: usize = 240;

/// An operator a line, as many as fit, and whether that is all.
pub(super) fn text(plan: &Plan, bytes_max: usize) -> (String, bool) {
    let (mut text, mut left) = (String::new(), bytes_max);
    for (place, operator) in plan.operators.iter().enumerate() {
        let line = line(operator);
        let bytes = text_size(&line);
        if bytes > left && place > 0 {
            return (text, false);
        }
        left = left.saturating_sub(bytes);
        if place > 0 {
            text.push('\n');
        }
        text.push_str(&line);
    }
    (text, true)
}

/// `TableFullScan 100000/100000 table:orders`, behind two blanks for each operator above. What runs at TiDB itself says nothing
/// of it; what runs in storage says which.
fn line(operator: &Operator) -> String {
    let mut line = " ".repeat(operator.depth.min(40) * 2);
    line.push_str(&operator.name);
    if let Some(role) = &operator.role {
        line.extend(["(", role, ")"]);
    }
    let estimated = operator.estimated_rows.map(|rows| format!("{rows:.0}"));
    match (estimated, operator.actual_rows) {
        (Some(estimated), Some(actual)) => line.push_str(&format!(" {estimated}/{actual}")),
        (Some(estimated), None) => line.push_str(&format!(" {estimated}")),
        (None, Some(actual)) => line.push_str(&format!(" -/{actual}")),
        (None, None) => {}
    }
    if !matches!(operator.task.as_str(), "root" | "cop[tikv]" | "") {
        line.extend([" ", &operator.task]);
    }
    if !operator.access.is_empty() {
        line.extend([" ", &operator.access]);
    }
    let mut info = operator.info.replace(['\n', '\r'], " ");
    for nothing in ["keep order:false, ", ", keep order:false", "keep order:false", "N/A"] {
        info = info.replace(nothing, "");
    }
    if !info.is_empty() {
        cut_text(&mut info, INFO_BYTES_MAX);
        line.extend([" ", &info]);
    }
    line
}
