//! What statements answered, for a model.

use schemars::JsonSchema;
use serde::Serialize;

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
    pub(super) results: Vec<StatementResult>,
    /// Of all statements together.
    pub(super) elapsed_ms: u64,
    #[serde(skip)]
    pub(super) done: Done,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct StatementResult {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rows_affected: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_insert_id: Option<String>,
    /// The change of schema.
    #[serde(skip_serializing_if = "Option::is_none")]
    done: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    pub(super) result: Option<RowsView>,
}

/// The remaining bytes of a call's result, for the statements that have not run.
pub(super) struct Room {
    left: usize,
    /// Number of statements that return rows, and of those that do not.
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

    pub(super) fn new(statements: &[&str], bytes: usize) -> Self {
        let without_rows = statements.iter().filter(|text| sql::answer(text) == Answer::Count).count();
        Self {
            left: bytes.saturating_sub(Self::FRAME_BYTES),
            with_rows: statements.len() - without_rows,
            without_rows,
            elapsed_millis: 0,
        }
    }

    /// The next statement's result, cut to its share.
    pub(super) fn take(&mut self, rows: Rows, query: &Query<'_>) -> StatementResult {
        let gives_rows = sql::answer(query.sql) != Answer::Count;
        let reserved = Self::COUNT_BYTES.saturating_mul(self.without_rows);
        let share = self.left.saturating_sub(reserved) / self.with_rows.max(1);
        if gives_rows {
            self.with_rows = self.with_rows.saturating_sub(1);
        } else {
            self.without_rows = self.without_rows.saturating_sub(1);
        }
        self.elapsed_millis = self.elapsed_millis.saturating_add(rows.elapsed_millis);
        let result = if rows.types.is_empty() {
            let mut done = sql::change(query.sql);
            if let Some(done) = &mut done {
                cut_text(done, Self::DONE_BYTES);
            }
            let Rows { rows_affected, last_insert_id, .. } = rows;
            StatementResult { rows_affected, last_insert_id, done, result: None }
        } else {
            let within = share.saturating_sub(Self::COUNT_BYTES);
            let result = Some(shown(rows, query, within));
            StatementResult { rows_affected: None, last_insert_id: None, done: None, result }
        };
        let bytes = serde_json::to_string(&result).map_or(0, |text| text.len() + 1);
        self.left = self.left.saturating_sub(bytes);
        result
    }
}
