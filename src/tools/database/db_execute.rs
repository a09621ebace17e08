//! `db_execute`: change data or schema with SQL.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    rows::RowsView,
    statement::{query, rejected, shown},
    touched::touched,
    types::{SqlText, Statements},
};
use crate::{
    base::scope::Scope,
    catalogue::{
        BranchReference, ClusterReference, Context, Done, Effect, Receipt, SQL_TIME_MAX, Stakes, Tool, ToolError, code,
        cut_text, said,
    },
    sql::{self, Answer, Class, Statement},
    tidbcloud::{AccessClass, ApiError, DatabaseName, Query, Replay, RolledBack, Rows, SqlFailure, Target},
};

/// Run SQL that changes data or schema (INSERT, UPDATE, DELETE, CREATE TABLE or INDEX, ALTER, DROP). Several run in one
/// transaction, unless one is DDL, which commits by itself.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DbExecute {
    cluster: ClusterReference,
    branch: Option<BranchReference>,
    database: Option<DatabaseName>,
    sql: Statements,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Executed {
    /// As many as `results`.
    statement_count: usize,
    results: Vec<StatementResult>,
    /// Of all statements together.
    elapsed_ms: u64,
    #[serde(skip)]
    done: Done,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct StatementResult {
    #[serde(skip_serializing_if = "Option::is_none")]
    rows_affected: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_insert_id: Option<String>,
    /// The change of schema.
    #[serde(skip_serializing_if = "Option::is_none")]
    done: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    result: Option<RowsView>,
}

/// The remaining bytes of a call's result, for the statements that have not run.
struct Room {
    left: usize,
    /// Number of statements that return rows, and of those that do not.
    with_rows: usize,
    without_rows: usize,
    elapsed_millis: u64,
}

impl Room {
    /// `{"rowsAffected":18446744073709551615,"lastInsertId":"18446744073709551615"},` has 78 bytes, and
    /// `{"rowsAffected":0,"done":""},` with [`Self::DONE_BYTES`] in it 88.
    const COUNT_BYTES: usize = 90;
    /// `"CREATE TABLE database.table"` and its quotes: longer names are cut.
    const DONE_BYTES: usize = 60;
    /// The JSON around the results, or the error around those of earlier statements.
    const FRAME_BYTES: usize = 100;

    fn new(statements: &[&str], bytes: usize) -> Self {
        let without_rows = statements.iter().filter(|text| sql::answer(text) == Answer::Count).count();
        Self {
            left: bytes.saturating_sub(Self::FRAME_BYTES),
            with_rows: statements.len() - without_rows,
            without_rows,
            elapsed_millis: 0,
        }
    }

    /// The next statement's result, cut to its share.
    fn take(&mut self, rows: Rows, query: &Query<'_>) -> StatementResult {
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

/// The requirements of the statements, and how they run.
struct Plan {
    class: AccessClass,
    replay: Replay,
    /// One of them creates an account if its name is new, unless the server's mode prevents it.
    may_make_account: bool,
    /// One of several commits by itself, so a transaction around them could not keep its promise.
    one_by_one: bool,
}

impl Tool for DbExecute {
    const NAME: &'static str = "db_execute";
    const TITLE: &'static str = "Execute";
    const EFFECT: Effect = Effect::Execute;
    const RECEIPT: Option<Receipt<Self>> = Some(Receipt {
        tries: |call| {
            let of_cluster = format!("the cluster {}", call.cluster.as_str());
            let place = match &call.branch {
                Some(branch) => format!("the branch {} of {of_cluster}", branch.as_str()),
                None => of_cluster,
            };
            format!("run {} on {place}", counted(call.sql.0.len()))
        },
        done: |executed| executed.done.clone(),
    });
    const TIME_MAX: Duration = SQL_TIME_MAX;
    type Output = Executed;

    /// By its statements: one that destroys or cannot be parsed needs more than one that changes.
    fn scope(arguments: &Map<String, Value>) -> Scope {
        let spares = |text: &Value| {
            text.as_str().is_some_and(|text| sql::inspect(text).is_ok_and(|statement| !statement.destructive))
        };
        let all = match arguments.get("sql") {
            Some(Value::Array(statements)) => !statements.is_empty() && statements.iter().all(spares),
            _ => false,
        };
        if all { Scope::Write } else { Scope::Destroy }
    }

    /// Its statements, with BEGIN and COMMIT if there are several. DDL, which has neither, is counted as if it had. Where
    /// something destroys, a person reads which cluster it is; rows are counted only with what is left.
    fn requests_min(arguments: &Map<String, Value>) -> u32 {
        let statements = arguments.get("sql").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let destroys = statements.iter().filter_map(Value::as_str).any(|text| judged(text, |one| one.destructive));
        let run = match statements.len() {
            count @ 2..=Statements::COUNT_MAX => u32::try_from(count + 2).unwrap_or(u32::MAX),
            1 => 1,
            // Others are refused.
            _ => return 0,
        };
        run.saturating_add(u32::from(destroys))
    }

    fn asks(&self) -> bool {
        self.any(|statement| statement.destructive)
    }

    /// A right that is given, or a mask that is taken off.
    fn opens(&self) -> bool {
        self.any(|statement| statement.opens)
    }

    /// Only what destroys is asked about, but all statements are shown: they run together.
    async fn stakes(&self, context: &Context<'_>) -> Result<Option<Stakes>, ToolError> {
        let statements: Vec<&str> = self.sql.0.iter().map(SqlText::as_str).collect();
        noted_plan(context, &statements)?;
        let (first, then): (Vec<(usize, &str)>, Vec<_>) = (1..)
            .zip(statements.iter().copied())
            .partition(|(_, text)| judged(text, |statement| statement.destructive));
        let destroying: Vec<_> = first.iter().copied().filter(|(_, text)| destroys(text)).collect();
        let target = context.target(&self.cluster, self.branch.as_ref()).await?;
        let cluster = context.cloud().cluster(&target.cluster).await?;
        let branch = match &target.branch {
            Some(id) => Some(context.cloud().branch(&target.cluster, id).await?),
            None => None,
        };
        let on_cluster = format!("the cluster {}", said(&cluster.display_name, target.cluster.as_str()));
        let place = match &branch {
            Some(branch) => {
                format!("the branch {} of {on_cluster}", said(&branch.display_name, branch.branch_id.as_str()))
            }
            None => on_cluster,
        };
        let mut stakes = Stakes::of(format!("{} on {place}.", what(first.len(), destroying.len())))
            .fact("Cluster", Some(&cluster.display_name))
            .fact("Cluster id", Some(&target.cluster))
            .fact("Region", cluster.region.map(|region| region.name))
            .fact("Branch", branch.as_ref().map(|branch| &branch.display_name))
            .fact("Branch id", target.branch.as_ref())
            .fact("Database", self.database.as_ref().map(DatabaseName::as_str));
        if !destroying.is_empty() {
            let (name, id) = match &branch {
                Some(branch) => (&branch.display_name, branch.branch_id.as_str()),
                None => (&cluster.display_name, target.cluster.as_str()),
            };
            stakes = stakes.typing(name, id);
        }
        stakes = stakes.running(first.into_iter().chain(then));
        stakes.must_be_readable()?;
        // What only gives a right touches no rows.
        let rows = touched(context, &target, self.database.as_ref(), &destroying, statements.len()).await;
        Ok(Some(rows.into_iter().fold(stakes, |stakes, (name, rows)| stakes.fact(&name, Some(rows)))))
    }

    async fn call(self, context: &Context<'_>) -> Result<Executed, ToolError> {
        let statements: Vec<&str> = self.sql.0.iter().map(|statement| statement.as_str()).collect();
        let plan = noted_plan(context, &statements)?;
        let target = context.target(&self.cluster, self.branch.as_ref()).await?;
        let database = self.database.as_ref();
        if plan.may_make_account {
            let mode = query("SELECT @@sql_mode");
            let mode = context.sql().run(&target, plan.class, None, mode, Replay::Safe).await?;
            grants_to_accounts_only(&mode)?;
        }
        let mut room = Room::new(&statements, context.result_bytes());
        let results = if statements.len() == 1 || plan.one_by_one {
            one_by_one(context, &target, database, &statements, &plan, &mut room).await?
        } else {
            transaction(context, &target, database, &statements, &plan, &mut room).await?
        };
        results.iter().filter_map(|result| result.result.as_ref()).for_each(|view| view.noted(context));
        let done = done(&target, database, &statements, &results);
        Ok(Executed { statement_count: results.len(), results, elapsed_ms: room.elapsed_millis, done })
    }
}

impl DbExecute {
    fn any(&self, is: fn(&Statement) -> bool) -> bool {
        self.sql.0.iter().any(|statement| judged(statement.as_str(), is))
    }
}

/// Whether a statement is like this. One that cannot be read is refused before anybody is asked.
fn judged(text: &str, is: fn(&Statement) -> bool) -> bool {
    sql::inspect(text).is_ok_and(|statement| is(&statement))
}

/// Whether a statement takes something away, and does not only give a right.
fn destroys(text: &str) -> bool {
    judged(text, |statement| statement.destructive && !statement.opens)
}

/// What so many statements do, some of which destroy.
fn what(statements: usize, destroying: usize) -> String {
    match (statements, destroying) {
        (1, 1) => "Run a statement that destroys".to_owned(),
        (1, _) => "Run a statement that changes who may do what".to_owned(),
        (count, 0) => format!("Run {count} statements that change who may do what"),
        (count, _) if count == destroying => format!("Run {count} statements that destroy"),
        (count, _) => format!("Run {count} statements that destroy, or change who may do what,"),
    }
}

/// The plan, with a note for the log of what is to be run.
fn noted_plan(context: &Context<'_>, statements: &[&str]) -> Result<Plan, ToolError> {
    let plan = plan(statements);
    context.notes_sql(if plan.is_ok() { "write" } else { "refused" }, &statements.join(";\n"));
    plan
}

/// Checks every statement before the first one runs.
fn plan(statements: &[&str]) -> Result<Plan, ToolError> {
    let mut plan =
        Plan { class: AccessClass::ReadWrite, replay: Replay::Safe, may_make_account: false, one_by_one: false };
    for (index, text) in statements.iter().enumerate() {
        let at = |error: ToolError| place(error, index, statements.len());
        let statement = sql::inspect(text).map_err(|reason| at(rejected(reason)))?;
        if statement.ddl {
            plan.class = AccessClass::Admin;
            plan.one_by_one = true;
        }
        plan.may_make_account |= statement.may_make_account;
        if !matches!(sql::classify(text), Class::Read) {
            plan.replay = Replay::Unsafe;
        }
    }
    Ok(plan)
}

/// Requires a mode in which `GRANT` creates no account: that account would have an empty password.
/// <https://docs.pingcap.com/tidb/stable/sql-mode>
fn grants_to_accounts_only(mode: &Rows) -> Result<(), ToolError> {
    let mode = mode.rows.first().and_then(|row| row.first()?.as_ref());
    let mode = mode.map(|cell| cell.text.as_str()).unwrap_or_default();
    if mode.to_ascii_uppercase().split(',').any(|part| part == "NO_AUTO_CREATE_USER") {
        return Ok(());
    }
    Err(ToolError::new(
        code::SQL_REJECTED,
        "GRANT is not run: without NO_AUTO_CREATE_USER in sql_mode it could make an account with an empty password.",
    )
    .hint("Ask the person to add NO_AUTO_CREATE_USER to the global sql_mode."))
}

async fn one_by_one(
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

async fn transaction(
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
fn counted(statements: usize) -> String {
    if statements == 1 { "1 SQL statement".to_owned() } else { format!("{statements} SQL statements") }
}

/// What the statements that have results did, and the statements that bring back what they dropped.
fn done(target: &Target, database: Option<&DatabaseName>, statements: &[&str], results: &[StatementResult]) -> Done {
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

/// Names the failed statement if there are several.
fn place(mut error: ToolError, index: usize, count: usize) -> ToolError {
    if count > 1 {
        error.message = format!("Statement {} of {count}: {}", index + 1, error.message);
    }
    error
}

#[cfg(test)]
mod tests {
    use super::{Rows, grants_to_accounts_only};
    use crate::tidbcloud::Cell;

    #[test]
    fn a_grant_needs_a_mode_in_which_it_makes_no_account() {
        let allowed = |mode: Option<&str>| {
            let cell = mode.map(|text| Cell { text: text.to_owned(), cut: false });
            grants_to_accounts_only(&Rows { rows: vec![vec![cell]], ..Rows::default() }).is_ok()
        };
        assert!(allowed(Some("STRICT_TRANS_TABLES,NO_AUTO_CREATE_USER,NO_ENGINE_SUBSTITUTION")));
        assert!(!allowed(Some("STRICT_TRANS_TABLES")) && !allowed(Some("")) && !allowed(None));
    }
}
