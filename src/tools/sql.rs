//! What the SQL tools share: from a refusal of the gate, and from a failure of the database, to an error for the model.

use super::rows::RowsView;
use crate::{
    mcp::tools::{ToolError, ToolErrorCode},
    sql::{self, Answer, Class},
    tidbcloud::{Query, Rows},
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
    let text = reason.sentence();
    let (message, hint) = text.split_once(". ").unwrap_or((&text, "Change the statement."));
    ToolError::new(ToolErrorCode::SqlRejected, message).hint(hint)
}

/// A statement as it is sent.
pub(super) fn query(sql: &str) -> Query<'_> {
    Query { sql, whole_values: sql::answer(sql) == Answer::Description, skipped_rows: 0 }
}

/// What a statement gave, for the model: without the variables that hold secrets where it is a `SHOW VARIABLES`, and without
/// the schema of accounts where it shows statistics, which are made of values.
pub(super) fn shown(mut rows: Rows, query: &Query<'_>, bytes_max: usize) -> RowsView {
    let closed: Option<fn(&str) -> bool> = if sql::shows_variables(query.sql) {
        Some(sql::holds_secret)
    } else if sql::shows_statistics(query.sql) {
        Some(sql::is_system_secret_schema)
    } else {
        None
    };
    if let Some(closed) = closed {
        let kept = rows.rows.len();
        rows.rows.retain(|row| !matches!(row.first(), Some(Some(cell)) if closed(&cell.text)));
        rows.seen = rows.seen.saturating_sub(kept - rows.rows.len());
    }
    RowsView::within(rows, query.whole_values, bytes_max)
}
