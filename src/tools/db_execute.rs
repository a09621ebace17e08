//! `db_execute`: change data or schema with SQL.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    Context, Effect, SQL_TIME_MAX, Tool, Toolset,
    output::RowsView,
    resolve::{BranchReference, ClusterReference},
    sql::{rejected, shown, without_secrets},
    types::{DatabaseName, Statements},
};
use crate::{
    mcp::tools::{ToolError, ToolErrorCode},
    platform::Platform,
    scope::Scope,
    sql::{self, Class},
    tidbcloud::{AccessClass, Effect as SqlEffect, RolledBack, Rows, Target},
};

/// Run SQL that changes data or schema: one statement, or up to 20. Several run in one transaction, unless one is DDL,
/// which commits by itself.
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
    statement_count: usize,
    results: Vec<StatementResult>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct StatementResult {
    #[serde(skip_serializing_if = "Option::is_none")]
    rows_affected: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_insert_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    result: Option<RowsView>,
}

impl From<Rows> for StatementResult {
    fn from(rows: Rows) -> Self {
        if rows.types.is_empty() {
            Self { rows_affected: rows.rows_affected, last_insert_id: rows.last_insert_id, result: None }
        } else {
            Self { rows_affected: None, last_insert_id: None, result: Some(shown(rows)) }
        }
    }
}

/// What the statements need and how they are run.
struct Plan {
    class: AccessClass,
    effect: SqlEffect,
    /// One of them makes an account of a name that is none yet, unless the server's mode keeps it from that.
    may_make_account: bool,
    /// One of several commits by itself, so that a transaction around them would promise what it cannot hold.
    one_by_one: bool,
}

impl Tool for DbExecute {
    const NAME: &'static str = "db_execute";
    const TITLE: &'static str = "Execute";
    const EFFECT: Effect = Effect::Execute;
    const TOOLSET: Toolset = Toolset::Database;
    const TIME_MAX: Duration = SQL_TIME_MAX;
    type Output = Executed;

    /// By its statements: what destroys, or cannot be read, needs more than what changes.
    fn scope(arguments: &Map<String, Value>) -> Scope {
        let spares = |text: &Value| {
            text.as_str().is_some_and(|text| sql::inspect(text).is_ok_and(|statement| !statement.destructive))
        };
        let all = match arguments.get("sql") {
            Some(Value::Array(statements)) => !statements.is_empty() && statements.iter().all(spares),
            Some(statement) => spares(statement),
            None => false,
        };
        if all { Scope::Write } else { Scope::Destroy }
    }

    async fn call<P: Platform>(self, context: &Context<'_, P>) -> Result<Executed, ToolError> {
        let statements: Vec<&str> = self.sql.0.iter().map(|statement| statement.as_str()).collect();
        let plan = plan(&statements)?;
        let target = context.target(&self.cluster, self.branch.as_ref()).await?;
        let database = self.database.as_ref().map(DatabaseName::as_str);
        if plan.may_make_account {
            let mode = context.sql().run(&target, plan.class, None, "SELECT @@sql_mode", SqlEffect::Read).await?;
            grants_to_accounts_only(&mode)?;
        }
        let results = if statements.len() == 1 || plan.one_by_one {
            one_by_one(context, &target, database, &statements, &plan).await?
        } else {
            transaction(context, &target, database, &statements, &plan).await?
        };
        Ok(Executed { statement_count: results.len(), results })
    }
}

/// Looks into every statement before the first one runs.
fn plan(statements: &[&str]) -> Result<Plan, ToolError> {
    let mut plan = Plan { class: AccessClass::ReadWrite, effect: SqlEffect::Read, may_make_account: false, one_by_one: false };
    for (index, text) in statements.iter().enumerate() {
        let at = |error: ToolError| place(error, index, statements.len());
        let statement = sql::inspect(text).map_err(|reason| at(rejected(reason)))?;
        if statement.carries_password {
            return Err(at(ToolError::new(
                ToolErrorCode::SqlRejected,
                "A statement that carries a password is not run: it would pass through the model.",
            )
            .hint("Use db_create_user; the person sets the password in the TiDB Cloud console.")));
        }
        if statement.transaction_control {
            return Err(at(ToolError::new(ToolErrorCode::SqlRejected, "Transactions are not controlled by statements here.")
                .hint("Give all statements of a transaction as one array.")));
        }
        if statement.session_state {
            return Err(at(ToolError::new(
                ToolErrorCode::SqlRejected,
                "A setting of the session would be gone with this request.",
            )
            .hint("Use the `database` argument in place of USE, and qualified names.")));
        }
        if statement.ddl {
            plan.class = AccessClass::Admin;
            plan.one_by_one = true;
        }
        plan.may_make_account |= statement.may_make_account;
        if !matches!(sql::classify(text), Class::Read) {
            plan.effect = SqlEffect::Write;
        }
    }
    Ok(plan)
}

/// Holds the server to a mode in which `GRANT` makes no account, which would have an empty password.
/// <https://docs.pingcap.com/tidb/stable/sql-mode>
fn grants_to_accounts_only(mode: &Rows) -> Result<(), ToolError> {
    let mode = mode.rows.first().and_then(|row| row.first()).and_then(Option::as_deref).unwrap_or_default();
    if mode.to_ascii_uppercase().split(',').any(|part| part == "NO_AUTO_CREATE_USER") {
        return Ok(());
    }
    Err(ToolError::new(
        ToolErrorCode::SqlRejected,
        "GRANT is not run: without NO_AUTO_CREATE_USER in sql_mode it could make an account with an empty password.",
    )
    .hint("Add NO_AUTO_CREATE_USER to the global sql_mode."))
}

async fn one_by_one<P: Platform>(
    context: &Context<'_, P>,
    target: &Target,
    database: Option<&str>,
    statements: &[&str],
    plan: &Plan,
) -> Result<Vec<StatementResult>, ToolError> {
    let mut results = Vec::new();
    for (index, text) in statements.iter().enumerate() {
        match context.sql().run(target, plan.class, database, text, plan.effect).await {
            Ok(rows) => results.push(StatementResult::from(without_secrets(text, rows))),
            Err(error) => {
                let mut error = place(error.into(), index, statements.len());
                if index > 0 {
                    // The call as a whole must not be repeated: the statements before this one would run again.
                    error.retryable = false;
                    error.retry_after_seconds = None;
                }
                if statements.len() > 1 {
                    error.details = Some(json!({
                        "failedStatement": index + 1,
                        "tookEffect": index,
                        "notRun": statements.len() - index - 1,
                        "results": results,
                    }));
                }
                return Err(error);
            }
        }
    }
    Ok(results)
}

async fn transaction<P: Platform>(
    context: &Context<'_, P>,
    target: &Target,
    database: Option<&str>,
    statements: &[&str],
    plan: &Plan,
) -> Result<Vec<StatementResult>, ToolError> {
    let texts: Vec<String> = statements.iter().map(|text| (*text).to_owned()).collect();
    match context.sql().transaction(target, plan.class, database, &texts).await {
        Ok(results) => {
            let results = statements.iter().zip(results).map(|(text, rows)| without_secrets(text, rows));
            Ok(results.map(StatementResult::from).collect())
        }
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
                // Whatever the cause was, repeating the call could do everything twice.
                RolledBack::Unknown => {
                    error = ToolError {
                        upstream: error.upstream,
                        ..ToolError::new(
                            ToolErrorCode::OutcomeUnknown,
                            "The answer to COMMIT was lost: either all statements took effect, or none.",
                        )
                        .hint("Look with db_query which it was before running them again.")
                    };
                    json!("unknown")
                }
            };
            error.details =
                Some(json!({"failedStatement": failure.failed_index.map(|index| index + 1), "tookEffect": took_effect}));
            Err(error)
        }
    }
}

/// Says which of several statements is meant.
fn place(mut error: ToolError, index: usize, count: usize) -> ToolError {
    if count > 1 {
        error.message = format!("Statement {} of {count}: {}", index + 1, error.message);
    }
    error
}

#[cfg(test)]
mod tests {
    use super::{Rows, grants_to_accounts_only};

    #[test]
    fn a_grant_needs_a_mode_in_which_it_makes_no_account() {
        let allowed = |mode: Option<&str>| {
            let rows = vec![vec![mode.map(str::to_owned)]];
            grants_to_accounts_only(&Rows { types: Vec::new(), rows, rows_affected: None, last_insert_id: None }).is_ok()
        };
        assert!(allowed(Some("STRICT_TRANS_TABLES,NO_AUTO_CREATE_USER,NO_ENGINE_SUBSTITUTION")));
        assert!(!allowed(Some("STRICT_TRANS_TABLES")) && !allowed(Some("")) && !allowed(None));
    }
}
