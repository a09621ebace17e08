//! `db_execute`: change data or schema with SQL.

mod plan;
mod results;
mod run;
mod touched;

use std::{borrow::Cow, time::Duration};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use self::{
    plan::{grants_to_accounts_only, noted_plan},
    results::{Executed, Room},
    run::{counted, done, one_by_one, transaction},
    touched::touched,
};
use crate::{
    base::scope::Scope,
    catalogue::{
        BranchReference, ClusterReference, Context, Effect, Receipt, SQL_TIME_MAX, Stakes, Tool, ToolError, said,
    },
    sql::{self, Statement},
    statements::{
        judged::query,
        params::{Params, Statements},
    },
    tidbcloud::{DatabaseName, Replay},
};

/// Run SQL that changes data or schema (INSERT, UPDATE, DELETE, CREATE TABLE or INDEX, ALTER, DROP). Several are one
/// transaction, unless one is DDL.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DbExecute {
    cluster: ClusterReference,
    branch: Option<BranchReference>,
    database: Option<DatabaseName>,
    sql: Statements,
    params: Option<Params>,
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
            format!("run {} on {place}", counted(call.sql.count()))
        },
        done: |executed| executed.done.clone(),
    });
    const TIME_MAX: Duration = SQL_TIME_MAX;
    type Output = Executed;

    /// By its statements: one that destroys or cannot be parsed needs more than one that changes.
    fn scope(arguments: &Map<String, Value>) -> Scope {
        let spares = |text: &Cow<'_, str>| sql::inspect(text).is_ok_and(|statement| !statement.destructive);
        let statements = Statements::of_arguments(arguments).unwrap_or_default();
        if !statements.is_empty() && statements.iter().all(spares) { Scope::Write } else { Scope::Destroy }
    }

    /// Its statements, with BEGIN and COMMIT if there are several. DDL, which has neither, is counted as if it had. Where
    /// something destroys, a person reads which cluster it is; rows are counted only with what is left.
    fn requests_min(arguments: &Map<String, Value>) -> u32 {
        // What cannot be read is refused.
        let statements = Statements::of_arguments(arguments).unwrap_or_default();
        let destroys = statements.iter().any(|text| judged(text, |one| one.destructive));
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
        let bound = self.sql.bound(self.params.as_ref())?;
        let statements: Vec<&str> = bound.iter().map(AsRef::as_ref).collect();
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
        let bound = self.sql.bound(self.params.as_ref())?;
        let statements: Vec<&str> = bound.iter().map(AsRef::as_ref).collect();
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
        let bound = self.sql.bound(self.params.as_ref()).unwrap_or_default();
        bound.iter().any(|statement| judged(statement, is))
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
