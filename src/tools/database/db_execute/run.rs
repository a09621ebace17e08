//! Runs statements, one by one or in a transaction, and says what took effect.

use serde_json::json;

use super::{
    plan::Plan,
    results::{Beside, Room, StatementResult},
    touched::COUNTS_MAX,
};
use crate::{
    base::clock::UnixMillis,
    catalogue::{Context, Done, ToolError, code},
    sql::{self, Answer},
    statements::{
        guard,
        judged::{place, query},
    },
    tidbcloud::{ApiError, DatabaseName, Query, RolledBack, SqlFailure, Target, TransactionFailure},
};

pub(super) async fn one_by_one(
    context: &Context<'_>,
    target: &Target,
    database: Option<&DatabaseName>,
    statements: &[&str],
    plan: &Plan,
    room: &mut Room,
) -> Result<Vec<StatementResult>, ToolError> {
    let (mut results, begun) = (Vec::new(), context.now());
    // All of them fit, or none runs.
    let count = u32::try_from(statements.len()).unwrap_or(u32::MAX);
    let mut held = context.allowance().hold(count).ok_or(SqlFailure::Api(ApiError::Exhausted))?;
    for (index, text) in statements.iter().enumerate() {
        held.release_one();
        let query = query(text);
        match context.sql().run(target, plan.class, database, query, plan.replay).await {
            Ok(rows) => results.push(room.take(rows, &query, Beside::default())),
            Err(error) => {
                let mut error = place(error.into(), index, statements.len());
                if index > 0 {
                    // The call as a whole must not be repeated: the statements before this one would run again.
                    error.retryable = false;
                    error.retry_after_seconds = None;
                    error.receipt = done(target, database, statements, &results, begun).in_part();
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

/// Whether a statement is followed by `SHOW WARNINGS`: one that goes on past what it cannot do, and each if all fit.
///
/// Of 45 requests, 22 are for what comes before and after (see `COUNTS_MAX`): 23 hold eleven statements with their warnings, less
/// those that are planned first, and those whose rows are counted for a person.
pub(super) fn asks_warnings(statements: &[&str]) -> Vec<bool> {
    let destroying = statements.iter().filter(|text| sql::inspect(text).is_ok_and(|one| one.destructive)).count();
    let before = destroying.saturating_add(guard::requests_max(statements));
    let mut spare = COUNTS_MAX.saturating_sub(statements.len()).saturating_sub(before);
    let all_fit = statements.len() <= spare;
    let asks = |text: &&str| {
        let asks = sql::answer(text) == Answer::Count && (all_fit || sql::ignores_errors(text)) && spare > 0;
        spare = spare.saturating_sub(usize::from(asks));
        asks
    };
    statements.iter().map(asks).collect()
}

/// Whether statements run in one transaction, if none commits by itself: several, and one whose warnings matter, which are gone
/// with its session, or that is to be undone.
pub(super) fn in_transaction(statements: &[&str], expected: Option<u64>) -> bool {
    statements.len() > 1 || expected.is_some() || statements.iter().any(|text| sql::ignores_errors(text))
}

pub(super) async fn transaction(
    context: &Context<'_>,
    target: &Target,
    database: Option<&DatabaseName>,
    statements: &[&str],
    plan: &Plan,
    expected: Option<u64>,
    room: &mut Room,
) -> Result<Vec<StatementResult>, ToolError> {
    let count = statements.len();
    let fail = |failure| failed(failure, count);
    let warned = asks_warnings(statements);
    let sent = count.saturating_add(warned.iter().filter(|asks| **asks).count()).saturating_add(1);
    let sql = context.sql();
    let requests = u32::try_from(sent).unwrap_or(u32::MAX);
    let mut open = sql.begin(target, plan.class, database, requests).await.map_err(fail)?;
    let mut results = Vec::with_capacity(count);
    for (index, (text, warned)) in statements.iter().zip(warned).enumerate() {
        let query = query(text);
        let rows = open.run(index, query).await.map_err(fail)?;
        let warnings = if warned { Some(open.look(index, WARNINGS).await.map_err(fail)?) } else { None };
        results.push(room.take(rows, &query, Beside { warnings, sample: None }));
    }
    let affected = affected(&results);
    if let Some(expected) = expected.filter(|expected| *expected != affected) {
        open.roll_back().await.map_err(fail)?;
        return Err(unexpected(expected, affected, &results));
    }
    open.commit().await.map_err(fail)?;
    Ok(results)
}

/// `SHOW WARNINGS`, of the statement before it in the session.
pub(super) const WARNINGS: Query<'static> = Query { sql: "SHOW WARNINGS", whole_values: false, skipped_rows: 0 };

/// Rows that statements affected, together.
pub(super) fn affected(results: &[StatementResult]) -> u64 {
    results.iter().filter_map(|result| result.rows_affected).fold(0, u64::saturating_add)
}

/// The error of statements that affected more or fewer rows than they should have.
fn unexpected(expected: u64, affected: u64, results: &[StatementResult]) -> ToolError {
    let message = format!(
        "The statements affected {affected} rows, not {expected}: the transaction was rolled back, nothing took effect. \
         {COUNTED}"
    );
    let each: Vec<_> = results.iter().filter_map(|result| result.rows_affected).collect();
    let hint = "Look with db_query which rows the condition selects, then correct it or `expectedRows`.";
    let mut error = ToolError::new(code::FAILED_PRECONDITION, message).hint(hint);
    error.details =
        Some(json!({"expectedRows": expected, "rowsAffected": affected, "ofEach": each, "tookEffect": 0}).into());
    error
}

/// What `rowsAffected` is, measured on TiDB 8.5.
const COUNTED: &str = "TiDB counts rows that an UPDATE changed, not those that it found as they should be; a row that REPLACE or ON \
                       DUPLICATE KEY UPDATE changed counts twice.";

/// The error of a transaction that failed, which says what took effect.
pub(super) fn failed(failure: TransactionFailure, statements: usize) -> ToolError {
    let mut error = match failure.failed_index {
        Some(index) => place(failure.error.into(), index, statements),
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
    error.details =
        Some(json!({"failedStatement": failure.failed_index.map(|index| index + 1), "tookEffect": took_effect}).into());
    error
}

/// The instance, in words.
pub(super) fn place_of(target: &Target) -> String {
    match &target.branch {
        Some(branch) => format!("the branch {branch} of the cluster {}", target.cluster),
        None => format!("the cluster {}", target.cluster),
    }
}

/// So many statements, in words.
pub(super) fn counted(statements: usize) -> String {
    if statements == 1 { "1 SQL statement".to_owned() } else { format!("{statements} SQL statements") }
}

/// What undoes the one statement of a call, if that is sure: of several, one may have changed what another found.
fn as_it_was(
    database: Option<&str>,
    statements: &[&str],
    results: &[StatementResult],
    begun: UnixMillis,
) -> Option<String> {
    /// As long as the statements that bring back what was dropped.
    const QUERY_BYTES_MAX: usize = 400;
    /// The clocks of Cloudflare and TiDB Cloud may differ, and rows as of a moment after the change would be the changed ones.
    const MARGIN_SECONDS: u64 = 5;
    let ([text], [result]) = (statements, results) else { return None };
    if result.rows_affected.unwrap_or_default() == 0 {
        return None;
    }
    let seconds = (begun.0 / 1_000).saturating_sub(MARGIN_SECONDS);
    let query = sql::rows_as_of(text, database, seconds).filter(|query| query.len() <= QUERY_BYTES_MAX)?;
    Some(format!(
        "Until TiDB collects garbage, by default for 10 minutes, db_query can read the rows as they were {MARGIN_SECONDS} seconds \
         before: {query}."
    ))
}

/// What the statements that have results did, and the statements that bring back what they dropped.
pub(super) fn done(
    target: &Target,
    database: Option<&DatabaseName>,
    statements: &[&str],
    results: &[StatementResult],
    begun: UnixMillis,
) -> Done {
    /// Eight tables with names of 40 characters, or two with the longest. More are not listed.
    const FLASHBACK_BYTES_MAX: usize = 400;
    let rows: Vec<u64> = results.iter().filter_map(|result| result.rows_affected).collect();
    let done = Done::of(format!("Ran {} on {}", counted(results.len()), place_of(target)))
        .affecting((!rows.is_empty()).then(|| rows.iter().fold(0_u64, |sum, rows| sum.saturating_add(*rows))));
    let ran = statements.get(..results.len()).unwrap_or(statements);
    let creates = |text: &&str| sql::change(text).is_some_and(|done| done.starts_with("CREATE"));
    // What a later statement made again stands in the way of what was dropped.
    let last = ran.iter().rposition(creates).map_or(0, |at| at + 1);
    let database = database.map(DatabaseName::as_str);
    let flashback: Vec<String> = ran.iter().skip(last).flat_map(|text| sql::flashback(text, database)).collect();
    let what = match flashback.join("; ") {
        none if none.is_empty() => {
            return match as_it_was(database, statements, results, begun) {
                Some(undo) => done.undone_by(undo),
                None => done,
            };
        }
        all if all.len() <= FLASHBACK_BYTES_MAX => all,
        _ => "FLASHBACK TABLE or FLASHBACK DATABASE, and the name".to_owned(),
    };
    done.undone_by(format!("Until TiDB collects garbage, by default for 10 minutes, db_execute can run: {what}."))
}
