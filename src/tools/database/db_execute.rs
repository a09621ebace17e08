//! `db_execute`: change data or schema with SQL.

mod dry_run;
mod plan;
mod results;
mod run;
mod touched;

use std::{borrow::Cow, time::Duration};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use self::{
    dry_run::{DryRun, dry_run, must_fit},
    plan::{Plan, grants_to_accounts_only, noted_plan, transaction_only},
    results::{Executed, Room},
    run::{affected, asks_warnings, counted, done, in_transaction, one_by_one, place_of, transaction},
    touched::touched,
};
use crate::{
    base::scope::Scope,
    catalogue::{
        BranchReference, ClusterReference, Context, Done, Effect, Receipt, SQL_TIME_MAX, Stakes, Tool, ToolError,
    },
    sql::{self, Statement},
    statements::{
        guard::{self, Guarded, Whereabouts},
        judged::query,
        params::{Params, Statements},
    },
    tidbcloud::{DatabaseName, Replay, Target},
};

/// Change data or schema with SQL: one transaction, unless one is DDL.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct DbExecute {
    cluster: ClusterReference,
    branch: Option<BranchReference>,
    database: Option<DatabaseName>,
    sql: Statements,
    params: Option<Params>,
    /// Roll back
    dry_run: Option<bool>,
    /// Rows changed, or roll back
    #[schemars(with = "Option<i64>")]
    expected_rows: Option<u64>,
}

impl Tool for DbExecute {
    const NAME: &'static str = "db_execute";
    const TITLE: &'static str = "Execute";
    const EFFECT: Effect = Effect::Execute;
    const RECEIPT: Option<Receipt<Self>> = Some(Receipt {
        look: "Look with db_query before trying again.",
        tries: |call| {
            let of_cluster = format!("the cluster {}", call.cluster.as_str());
            let place = match &call.branch {
                Some(branch) => format!("the branch {} of {of_cluster}", branch.as_str()),
                None => of_cluster,
            };
            let dry = if call.is_dry() { " in a dry run" } else { "" };
            format!("run {}{dry} on {place}", counted(call.sql.count()))
        },
        done: |executed| executed.done.clone(),
    });
    const TIME_MAX: Duration = SQL_TIME_MAX;
    type Output = Executed;

    /// By its statements: one that destroys or cannot be parsed needs more than one that changes. A dry run destroys nothing, but it
    /// takes locks, and runs as the user that writes.
    fn scope(arguments: &Map<String, Value>) -> Scope {
        let is_dry = is_dry(arguments);
        let spares = |text: &Cow<'_, str>| {
            let statement = sql::inspect(text);
            statement.is_ok_and(|one| !one.destructive || is_dry && sql::held_by_transaction(text).is_ok())
        };
        let statements = Statements::of_arguments(arguments).unwrap_or_default();
        if !statements.is_empty() && statements.iter().all(spares) { Scope::Write } else { Scope::Destroy }
    }

    /// Its statements, with BEGIN and COMMIT if there are several, and what warnings or a dry run add. DDL, which has neither, is
    /// counted as if it had. Where something destroys, a person reads which cluster it is; rows are counted only with what is left.
    /// What is not small is planned first.
    fn requests_min(arguments: &Map<String, Value>) -> u32 {
        let statements = Statements::of_arguments(arguments).unwrap_or_default();
        // Others are refused.
        if !(1..=Statements::COUNT_MAX).contains(&statements.len()) {
            return 0;
        }
        let texts: Vec<&str> = statements.iter().map(AsRef::as_ref).collect();
        let expected = arguments.get("expectedRows").and_then(Value::as_u64);
        let destroys = texts.iter().any(|text| judged(text, |one| one.destructive));
        let run = match statements.len() {
            count if is_dry(arguments) => dry_run::requests_min(count),
            count if in_transaction(&texts, expected) => {
                count + 2 + asks_warnings(&texts).into_iter().filter(|asks| *asks).count() + usize::from(destroys)
            }
            count => count + usize::from(destroys),
        };
        u32::try_from(run).unwrap_or(u32::MAX).saturating_add(guard::plans_min(&texts))
    }

    /// A dry run takes nothing away.
    fn asks(&self) -> bool {
        !self.is_dry() && self.any(|statement| statement.destructive)
    }

    /// A right that is given, or a mask that is taken off.
    fn opens(&self) -> bool {
        !self.is_dry() && self.any(|statement| statement.opens)
    }

    /// Only what destroys is asked about, but all statements are shown: they run together.
    async fn stakes(&self, context: &Context<'_>) -> Result<Option<Stakes>, ToolError> {
        let bound = self.sql.bound(self.params.as_ref())?;
        let statements: Vec<&str> = bound.iter().map(AsRef::as_ref).collect();
        let class = self.plan(context, &statements)?.class;
        let (first, then): (Vec<(usize, &str)>, Vec<_>) = (1..)
            .zip(statements.iter().copied())
            .partition(|(_, text)| judged(text, |statement| statement.destructive));
        let destroying: Vec<_> = first.iter().copied().filter(|(_, text)| destroys(text)).collect();
        let target = context.target(&self.cluster, self.branch.as_ref()).await?;
        let whereabouts = Whereabouts::read(context, &target, self.database.as_ref()).await?;
        let (name, id) = whereabouts.name.clone();
        let what = format!("{} on {}.", what(first.len(), destroying.len()), whereabouts.words);
        let mut stakes = whereabouts.stakes(what);
        if !destroying.is_empty() {
            stakes = stakes.typing(&name, &id);
        }
        stakes = stakes.running(first.into_iter().chain(then));
        stakes.must_be_readable()?;
        // What only gives a right touches no rows.
        let rows = touched(context, &target, self.database.as_ref(), &destroying, &statements).await;
        let stakes = rows.into_iter().fold(stakes, |stakes, (name, rows)| stakes.fact(&name, Some(rows)));
        let guarded = Guarded { target: &target, class, database: self.database.as_ref(), statements: &statements };
        let heavy = guard::heavy(context, guarded).await?;
        Ok(Some(heavy.iter().fold(stakes, |stakes, heavy| heavy.fact(stakes, statements.len()))))
    }

    async fn weighs(&self, context: &Context<'_>) -> Result<Option<Stakes>, ToolError> {
        let bound = self.sql.bound(self.params.as_ref())?;
        let statements: Vec<&str> = bound.iter().map(AsRef::as_ref).collect();
        let class = self.plan(context, &statements)?.class;
        let target = context.target(&self.cluster, self.branch.as_ref()).await?;
        let guarded = Guarded { target: &target, class, database: self.database.as_ref(), statements: &statements };
        guard::stakes(context, guarded, "Run a statement").await
    }

    async fn call(self, context: &Context<'_>) -> Result<Executed, ToolError> {
        let bound = self.sql.bound(self.params.as_ref())?;
        let statements: Vec<&str> = bound.iter().map(AsRef::as_ref).collect();
        let plan = self.plan(context, &statements)?;
        let target = context.target(&self.cluster, self.branch.as_ref()).await?;
        let database = self.database.as_ref();
        if plan.may_make_account {
            let mode = query("SELECT @@sql_mode");
            let mode = context.sql().run(&target, plan.class, None, mode, Replay::Safe).await?;
            grants_to_accounts_only(&mode)?;
        }
        let mut room = Room::new(&statements, context.result_bytes(), self.is_dry());
        if self.is_dry() {
            let dry = dry_run(context, &target, database, &statements, &plan, &mut room).await?;
            let views = dry.results.iter().flat_map(|result| result.result.iter().chain(&result.sample));
            views.for_each(|view| view.noted(context));
            return Ok(self.rehearsed(&target, dry, room.elapsed_millis));
        }
        let begun = context.now();
        let results = if plan.one_by_one || !in_transaction(&statements, self.expected_rows) {
            one_by_one(context, &target, database, &statements, &plan, &mut room).await
        } else {
            transaction(context, &target, database, &statements, &plan, self.expected_rows, &mut room).await
        };
        // A change of the schema may have taken keys away, even if it failed.
        if statements.iter().any(|text| judged(text, |statement| statement.ddl)) {
            context.sql().drop_keys(&target);
        }
        let results = results?;
        results.iter().filter_map(|result| result.result.as_ref()).for_each(|view| view.noted(context));
        let done = done(&target, database, &statements, &results, begun);
        let elapsed_ms = room.elapsed_millis;
        Ok(Executed {
            statement_count: results.len(),
            results,
            elapsed_ms,
            rolled_back: None,
            as_expected: None,
            notice: None,
            done,
        })
    }
}

impl DbExecute {
    fn is_dry(&self) -> bool {
        self.dry_run == Some(true)
    }

    /// How the statements run, if they can run as they were asked to.
    fn plan(&self, context: &Context<'_>, statements: &[&str]) -> Result<Plan, ToolError> {
        let plan = noted_plan(context, statements)?;
        if self.is_dry() || self.expected_rows.is_some() {
            transaction_only(statements, self.is_dry())?;
        }
        if self.is_dry() {
            must_fit(statements.len())?;
        }
        Ok(plan)
    }

    /// What a dry run gave.
    fn rehearsed(&self, target: &Target, dry: DryRun, elapsed_ms: u64) -> Executed {
        let DryRun { results, proven, notice } = dry;
        Executed {
            statement_count: results.len(),
            elapsed_ms,
            rolled_back: proven,
            as_expected: self.expected_rows.map(|expected| expected == affected(&results)),
            notice,
            done: Done::of(format!(
                "Ran {} in a dry run on {}, and rolled back",
                counted(results.len()),
                place_of(target)
            )),
            results,
        }
    }

    fn any(&self, is: fn(&Statement) -> bool) -> bool {
        let bound = self.sql.bound(self.params.as_ref()).unwrap_or_default();
        bound.iter().any(|statement| judged(statement, is))
    }
}

/// Whether a call with these arguments is a dry run.
fn is_dry(arguments: &Map<String, Value>) -> bool {
    arguments.get("dryRun") == Some(&Value::Bool(true))
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
