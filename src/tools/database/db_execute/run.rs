//! Runs statements, one by one or in a transaction, and says what took effect.

use serde_json::json;

use super::{
    plan::Plan,
    results::{Room, StatementResult},
};
use crate::{
    catalogue::{Context, Done, ToolError, code},
    sql,
    statements::judged::{place, query},
    tidbcloud::{ApiError, DatabaseName, Query, RolledBack, SqlFailure, Target},
};

pub(super) async fn one_by_one(
    context: &Context<'_>,
    target: &Target,
    database: Option<&DatabaseName>,
    statements: &[&str],
    plan: &Plan,
    room: &mut Room,
) -> Result<Vec<StatementResult>, ToolError> {
    let mut results = Vec::new();
    // All of them fit, or none runs.
    let count = u32::try_from(statements.len()).unwrap_or(u32::MAX);
    let mut held = context.allowance().hold(count).ok_or(SqlFailure::Api(ApiError::Exhausted))?;
    for (index, text) in statements.iter().enumerate() {
        held.release_one();
        let query = query(text);
        match context.sql().run(target, plan.class, database, query, plan.replay).await {
            Ok(rows) => results.push(room.take(rows, &query)),
            Err(error) => {
                let mut error = place(error.into(), index, statements.len());
                if index > 0 {
                    // The call as a whole must not be repeated: the statements before this one would run again.
                    error.retryable = false;
                    error.retry_after_seconds = None;
                    error.receipt = done(target, database, statements, &results).in_part();
                }
                if statements.len() > 1 {
                    error.details = Some(
                        json!({
                            "failedStatement": index + 1,
                            "tookEffect": index,
                            "notRun": statements.len() - index - 1,
                            "results": results,
                        })
                        .into(),
                    );
                }
                return Err(error);
            }
        }
    }
    Ok(results)
}

pub(super) async fn transaction(
    context: &Context<'_>,
    target: &Target,
    database: Option<&DatabaseName>,
    statements: &[&str],
    plan: &Plan,
    room: &mut Room,
) -> Result<Vec<StatementResult>, ToolError> {
    let queries: Vec<Query<'_>> = statements.iter().map(|text| query(text)).collect();
    let keep = |query: &Query<'_>, rows| room.take(rows, query);
    match context.sql().transaction(target, plan.class, database, &queries, keep).await {
        Ok(results) => Ok(results),
        Err(failure) => {
            let mut error = match failure.failed_index {
                Some(index) => place(failure.error.into(), index, statements.len()),
                None => failure.error.into(),
            };
            let took_effect = match failure.rolled_back {
                RolledBack::Yes => {
                    error.message.push_str(" The transaction was rolled back: nothing took effect.");
                    json!(0)
                }
                RolledBack::No => {
                    error.message.push_str(
                        " Nothing was committed, but the rollback was not confirmed: its locks may be held for up to 10 minutes.",
                    );
                    json!(0)
                }
                // Repeating the call could do everything twice, regardless of the cause.
                RolledBack::Unknown => {
                    error = ToolError {
                        upstream: error.upstream,
                        cause: error.cause,
                        ..ToolError::new(
                            code::OUTCOME_UNKNOWN,
                            "The answer to COMMIT was lost: either all statements took effect, or none.",
                        )
                        .hint("Look with db_query to see which it was before running them again.")
                    };
                    json!("unknown")
                }
            };
            error.details = Some(
                json!({"failedStatement": failure.failed_index.map(|index| index + 1), "tookEffect": took_effect})
                    .into(),
            );
            Err(error)
        }
    }
}

/// So many statements, in words.
pub(super) fn counted(statements: usize) -> String {
    if statements == 1 { "1 SQL statement".to_owned() } else { format!("{statements} SQL statements") }
}

/// What the statements that have results did, and the statements that bring back what they dropped.
pub(super) fn done(
    target: &Target,
    database: Option<&DatabaseName>,
    statements: &[&str],
    results: &[StatementResult],
) -> Done {
    /// Eight tables with names of 40 characters, or two with the longest. More are not listed.
    const FLASHBACK_BYTES_MAX: usize = 400;
    let place = match &target.branch {
        Some(branch) => format!("the branch {branch} of the cluster {}", target.cluster),
        None => format!("the cluster {}", target.cluster),
    };
    let rows: Vec<u64> = results.iter().filter_map(|result| result.rows_affected).collect();
    let done = Done::of(format!("Ran {} on {place}", counted(results.len())))
        .affecting((!rows.is_empty()).then(|| rows.iter().fold(0_u64, |sum, rows| sum.saturating_add(*rows))));
    let ran = statements.get(..results.len()).unwrap_or(statements);
    let creates = |text: &&str| sql::change(text).is_some_and(|done| done.starts_with("CREATE"));
    // What a later statement made again stands in the way of what was dropped.
    let last = ran.iter().rposition(creates).map_or(0, |at| at + 1);
    let database = database.map(DatabaseName::as_str);
    let flashback: Vec<String> = ran.iter().skip(last).flat_map(|text| sql::flashback(text, database)).collect();
    let what = match flashback.join("; ") {
        none if none.is_empty() => return done,
        all if all.len() <= FLASHBACK_BYTES_MAX => all,
        _ => "FLASHBACK TABLE or FLASHBACK DATABASE, and the name".to_owned(),
    };
    done.undone_by(format!("Until TiDB collects garbage, by default for 10 minutes, db_execute can run: {what}."))
}
