//! What the SQL tools share: from a refusal of the gate, and from a failure of the database, to an error for the model.

use super::output::RowsView;
use crate::{
    mcp::tools::{ToolError, ToolErrorCode},
    sql::{self, Class},
    tidbcloud::Rows,
};

/// Lets through what is known to be a read.
pub(super) fn must_read(text: &str) -> Result<(), ToolError> {
    match sql::classify(text) {
        Class::Read => Ok(()),
        Class::Write => Err(ToolError::new(ToolErrorCode::ReadOnlyViolation, "This statement changes something.")
            .hint("db_query only reads; use db_execute to change data.")),
        Class::Reject(reason) => Err(rejected(reason)),
    }
}

/// A statement that no tool runs.
pub(super) fn rejected(reason: sql::Reason) -> ToolError {
    ToolError::new(ToolErrorCode::SqlRejected, reason.sentence())
}

/// What a statement answered, without the variables that hold secrets where it is a `SHOW VARIABLES`.
pub(super) fn without_secrets(text: &str, mut rows: Rows) -> Rows {
    if sql::shows_variables(text) {
        rows.rows.retain(|row| !row.first().and_then(Option::as_deref).is_some_and(sql::holds_secret));
    }
    rows
}

/// The first column of every row, as text.
pub(super) fn first_column(rows: Rows) -> Vec<String> {
    rows.rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect()
}

/// Rows for the model.
pub(super) fn shown(rows: Rows) -> RowsView {
    rows.into()
}
