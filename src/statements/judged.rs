//! Shared by the SQL tools: from a refusal of the gate, or a failure of the database, to an error for the model.

use super::rows::RowsView;
use crate::{
    catalogue::{ToolError, code},
    sql::{self, Answer, Class},
    tidbcloud::{Query, Rows, SqlFailure},
};

/// Lets through only statements that are known to be reads.
pub(crate) fn must_read(text: &str) -> Result<(), ToolError> {
    match sql::classify(text) {
        Class::Read => Ok(()),
        Class::Write => {
            let word = sql::changing_word(text);
            let message = format!("`{}` changes something.", word.as_deref().unwrap_or("This statement"));
            Err(ToolError::new(code::READ_ONLY_VIOLATION, message)
                .hint("db_query only reads; use db_execute to change data."))
        }
        Class::Reject(reason) => Err(rejected(reason)),
    }
}

/// A statement that no tool runs.
pub(crate) fn rejected(reason: sql::Reason) -> ToolError {
    let text = reason.sentence();
    let (message, hint) = text.split_once(". ").unwrap_or((&text, "Change the statement."));
    ToolError::new(code::SQL_REJECTED, message).hint(hint)
}

/// Names the failed statement if there are several.
pub(crate) fn place(mut error: ToolError, index: usize, count: usize) -> ToolError {
    if count > 1 {
        error.message = format!("Statement {} of {count}: {}", index + 1, error.message);
    }
    error
}

/// The database's refusal of a read. `EXPLAIN` of a change needs the right to make it, which the reading user lacks.
/// <https://docs.pingcap.com/tidb/stable/error-codes>
pub(crate) fn refused_read(failure: SqlFailure, text: &str) -> ToolError {
    const DENIED: [u16; 2] = [1142, 8121];
    let denied = matches!(&failure, SqlFailure::Sql { code: Some(code), .. } if DENIED.contains(code));
    let mut error = ToolError::from(failure);
    if denied && sql::plans_change(text) {
        error.hint =
            "Send the same EXPLAIN to db_execute: its user may make the change, and EXPLAIN only plans it.".to_owned();
    }
    error
}

/// A statement as it is sent.
pub(crate) fn query(sql: &str) -> Query<'_> {
    Query { sql, whole_values: sql::answer(sql) == Answer::Description, skipped_rows: 0 }
}

/// A statement's result for the model: `SHOW VARIABLES` without the variables that hold secrets, and statistics, which are
/// made of values, without the schema of accounts.
pub(crate) fn shown(mut rows: Rows, query: &Query<'_>, bytes_max: usize) -> RowsView {
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

#[cfg(test)]
mod tests {
    use super::refused_read;
    use crate::tidbcloud::SqlFailure;

    #[test]
    fn a_plan_that_needs_the_right_to_change_is_to_be_had_from_db_execute() {
        // What TiDB 8.5 answers a user who may only read.
        let advice = |code: u16, text: &str| {
            let message = "DELETE command denied to user 'ro'@'%' for table 't'".to_owned();
            let error = refused_read(SqlFailure::Sql { code: Some(code), message }, text);
            let code = error.upstream.as_ref().and_then(|answer| answer.code.clone());
            assert!(error.message.contains("denied") && code.is_some(), "{error:?}");
            format!("{:?}", error.hint).contains("db_execute")
        };
        for text in [
            "EXPLAIN DELETE FROM t",
            "DESC FORMAT = 'brief' INSERT INTO t VALUES (1)",
            "EXPLAIN WITH c AS (SELECT 1) UPDATE t SET a = 1",
        ] {
            assert!(advice(1142, text) && advice(8121, text), "{text}");
            assert!(!advice(1146, text), "{text}");
        }
        for text in ["SELECT 1 FROM t", "EXPLAIN SELECT 1 FROM t", "ADMIN SHOW DDL JOBS"] {
            assert!(!advice(1142, text), "{text}");
        }
    }
}
