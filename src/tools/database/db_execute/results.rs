//! What statements answered, for a model.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    catalogue::{Done, cut_text},
    sql::{self, Answer},
    statements::{judged::shown, rows::RowsView},
    tidbcloud::{Query, Rows},
};

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::tools) struct Executed {
    /// As many as `results`.
    pub(super) statement_count: usize,
    #[schemars(with = "Vec<serde_json::Map<String, Value>>")]
    pub(super) results: Vec<StatementResult>,
    /// Of all statements together.
    pub(super) elapsed_ms: u64,
    /// After a dry run, if a read has proven it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rolled_back: Option<bool>,
    /// Whether a dry run affected as many rows as `expectedRows`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) as_expected: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) notice: Option<String>,
    #[serde(skip)]
    pub(super) done: Done,
}

/// What a statement answered. Its schema is only an object: listing the fields of each answer would cost a model more than it is
/// worth.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StatementResult {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rows_affected: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) last_insert_id: Option<String>,
    /// The change of schema.
    #[serde(skip_serializing_if = "Option::is_none")]
    done: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) result: Option<RowsView>,
    /// `{level, code, message}` each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<Value>,
    /// All of them, if not all are shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    warning_count: Option<usize>,
    /// Rows of a dry run, by key, before and after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sample: Option<RowsView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) no_sample: Option<String>,
}

/// What was read for a statement besides its own answer.
#[derive(Default)]
pub(super) struct Beside {
    /// What `SHOW WARNINGS` gave.
    pub(super) warnings: Option<Rows>,
    /// The rows of a dry run, or why there are none.
    pub(super) sample: Option<Result<Rows, String>>,
}

/// The remaining bytes of a call's result, for the statements that have not run.
pub(super) struct Room {
    left: usize,
    /// Number of statements that show rows, and of those that do not.
    with_rows: usize,
    without_rows: usize,
    pub(super) elapsed_millis: u64,
}

impl Room {
    /// `{"rowsAffected":18446744073709551615,"lastInsertId":"18446744073709551615"},` has 78 bytes, and
    /// `{"rowsAffected":0,"done":""},` with [`Self::DONE_BYTES`] in it 88.
    const COUNT_BYTES: usize = 90;
    /// `"CREATE TABLE database.table"` and its quotes: longer names are cut.
    const DONE_BYTES: usize = 60;
    /// The JSON around the results, or the error around those of earlier statements.
    const FRAME_BYTES: usize = 100;

    /// For these statements; those of a dry run show rows, each.
    pub(super) fn new(statements: &[&str], bytes: usize, is_dry: bool) -> Self {
        let counts = |text: &&&str| !is_dry && sql::answer(text) == Answer::Count;
        let without_rows = statements.iter().filter(counts).count();
        Self {
            left: bytes.saturating_sub(Self::FRAME_BYTES),
            with_rows: statements.len() - without_rows,
            without_rows,
            elapsed_millis: 0,
        }
    }

    /// The next statement's result, cut to its share.
    pub(super) fn take(&mut self, rows: Rows, query: &Query<'_>, beside: Beside) -> StatementResult {
        let gives_rows = beside.sample.is_some() || sql::answer(query.sql) != Answer::Count;
        let reserved = Self::COUNT_BYTES.saturating_mul(self.without_rows);
        // One share for the warnings of those that only count.
        let shares = self.with_rows.saturating_add(usize::from(!gives_rows)).max(1);
        let share = (self.left.saturating_sub(reserved) / shares).saturating_sub(Self::COUNT_BYTES);
        if gives_rows {
            self.with_rows = self.with_rows.saturating_sub(1);
        } else {
            self.without_rows = self.without_rows.saturating_sub(1);
        }
        self.elapsed_millis = self.elapsed_millis.saturating_add(rows.elapsed_millis);
        let mut result = StatementResult::default();
        let mut within = share;
        if let Some(warnings) = beside.warnings.filter(|warnings| warnings.seen > 0) {
            (result.warnings, within) = shown_warnings(&warnings, share);
            result.warning_count = Some(warnings.seen).filter(|seen| *seen > result.warnings.len());
        }
        if rows.types.is_empty() {
            result.done = sql::change(query.sql);
            if let Some(done) = &mut result.done {
                cut_text(done, Self::DONE_BYTES);
            }
            result.rows_affected = rows.rows_affected;
            result.last_insert_id = rows.last_insert_id;
        } else {
            result.result = Some(shown(rows, query, within));
        }
        match beside.sample {
            Some(Ok(sample)) => result.sample = Some(RowsView::within(sample, false, within)),
            Some(Err(reason)) => result.no_sample = Some(reason),
            None => {}
        }
        let bytes = serde_json::to_string(&result).map_or(0, |text| text.len() + 1);
        self.left = self.left.saturating_sub(bytes);
        result
    }
}

/// The first warnings, as many as fit into a third of these bytes, and what is left of the bytes.
fn shown_warnings(warnings: &Rows, bytes: usize) -> (Vec<Value>, usize) {
    const SHOWN_MAX: usize = 10;
    /// "Duplicate entry '...' for key '...'" with a value and a name of 64 characters each.
    const MESSAGE_BYTES_MAX: usize = 160;
    let mut left = bytes / 3;
    let mut shown = Vec::new();
    for row in warnings.rows.iter().take(SHOWN_MAX) {
        // What is no warning is only counted.
        let [Some(level), Some(code), Some(message)] = row.as_slice() else { continue };
        let Ok(code) = code.text.parse::<u64>() else { continue };
        let mut message = message.text.clone();
        cut_text(&mut message, MESSAGE_BYTES_MAX);
        let warning = json!({"level": level.text, "code": code, "message": message});
        let size = warning.to_string().len() + 1;
        if size > left {
            break;
        }
        left -= size;
        shown.push(warning);
    }
    (shown, bytes / 3 * 2)
}
