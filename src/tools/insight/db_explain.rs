//! `db_explain`: the plan of a statement, and what would make it a better one.

mod advice;
mod tree;

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, value::RawValue};

use self::advice::{Adviser, IndexView};
use crate::{
    base::schema::schema_of,
    catalogue::{
        BranchReference, ClusterReference, Context, Effect, SQL_TIME_MAX, Stakes, Tool, ToolError, code, cut_text,
        text_size,
    },
    plan::{Plan, advise::full_scans},
    sql,
    statements::{
        guard::{self, Guarded},
        judged::{must_read, query, refused_read},
        params::SqlText,
    },
    tidbcloud::{AccessClass, DatabaseName, Rows, TransactionFailure},
};

/// TiDB warns of the hint by which a plan runs no subqueries, and honours it.
const OF_OUR_HINT: &str = "'tidb_opt_enable_non_eval_scalar_subquery'";
/// How the sandbox begins what it says of a plan that it made up.
const MADE: &str = "made by the sandbox";
/// Names of members, numbers and brackets.
const FRAME_BYTES: usize = 500;
/// A finding or a warning: a long one quotes a condition.
const SENTENCE_BYTES_MAX: usize = 400;
/// 10: after them they repeat.
const SENTENCES_MAX: usize = 10;

/// An index that was tried, for the schema: its members say what they are.
struct Tried;

schema_of! {
    Tried => {"type": "object"};
}

/// Why a query is slow or uses no index: its plan, indexes tried. Runs it only with `analyze`, and only reads.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct DbExplain {
    cluster: ClusterReference,
    branch: Option<BranchReference>,
    database: Option<DatabaseName>,
    sql: SqlText,
    /// Run it
    analyze: Option<bool>,
}

#[derive(Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Explained {
    /// An operator a line, those below it indented: rows, as estimated or estimated/actual, what it reads, conditions.
    plan: String,
    /// Rows that are read from tables and indexes, as estimated.
    estimated_rows_read: u64,
    /// The same as counted, if it ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    rows_read: Option<u64>,
    /// What the run cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<f64>")]
    request_units: Option<Box<RawValue>>,
    /// Why tables are read whole, and what is wrong with statistics.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    findings: Vec<String>,
    /// The optimizer's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    /// Indexes that were tried without making them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<Tried>")]
    indexes: Vec<IndexView>,
    truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    notice: Option<String>,
}

impl Tool for DbExplain {
    const NAME: &'static str = "db_explain";
    const TITLE: &'static str = "Explain a statement";
    const EFFECT: Effect = Effect::Read;
    const TIME_MAX: Duration = SQL_TIME_MAX;
    type Output = Explained;

    /// BEGIN, the plan, its warnings and ROLLBACK.
    fn requests_min(_: &Map<String, Value>) -> u32 {
        4
    }

    async fn weighs(&self, context: &Context<'_>) -> Result<Option<Stakes>, ToolError> {
        if self.analyze != Some(true) {
            return Ok(None);
        }
        let sql = self.sql.bound(None)?;
        explainable(&sql, true)?;
        let target = context.target(&self.cluster, self.branch.as_ref()).await?;
        let (class, database) = (AccessClass::ReadOnly, self.database.as_ref());
        let guarded = Guarded { target: &target, class, database, statements: &[&sql] };
        guard::stakes(context, guarded, "Run a query to see its plan").await
    }

    async fn call(self, context: &Context<'_>) -> Result<Explained, ToolError> {
        let analyze = self.analyze == Some(true);
        let sql = self.sql.bound(None)?;
        let judged = explainable(&sql, analyze);
        context.notes_sql(if judged.is_ok() { "read" } else { "refused" }, &sql);
        let explain = judged?;
        let target = context.target(&self.cluster, self.branch.as_ref()).await?;
        let database = self.database.as_ref();
        // In one session: the warnings are those of the statement before.
        let databases = context.sql();
        let refused = |failure: TransactionFailure| refused_read(failure.error, &explain);
        let mut session = databases.begin(&target, AccessClass::ReadOnly, database, 3).await.map_err(refused)?;
        let plan = session.look(0, query(&explain)).await.map_err(refused)?;
        let warnings = session.look(0, query("SHOW WARNINGS")).await.map_err(refused)?;
        // A session that only read has nothing to roll back: its end may get lost.
        drop(session.roll_back().await);
        let is_cut = !plan.complete || plan.rows.len() < plan.seen;
        let plan = read(&plan)?;
        let made = made_up(&plan);
        let adviser = Adviser { context, target: &target, database, sql: &sql };
        let advice = adviser.advise(&plan, &full_scans(&plan), made.is_none() && !is_cut).await?;
        let (estimated, rows_read) = plan.rows_read();
        let mut explained = Explained {
            estimated_rows_read: whole(estimated),
            rows_read,
            request_units: plan.request_units().and_then(|units| RawValue::from_string(units.to_owned()).ok()),
            findings: advice.findings,
            warnings: if made.is_some() { Vec::new() } else { sentences(warnings) },
            indexes: advice.indexes,
            notice: made.or(advice.notice),
            truncated: is_cut,
            ..Explained::default()
        };
        explained.show(&plan, context.result_bytes());
        Ok(explained)
    }
}

impl Explained {
    /// The plan, as much of it as fits beside the rest.
    fn show(&mut self, plan: &Plan, bytes_max: usize) {
        for sentence in self.findings.iter_mut().chain(&mut self.warnings) {
            cut_text(sentence, SENTENCE_BYTES_MAX);
        }
        self.truncated |= self.findings.len() > SENTENCES_MAX || self.warnings.len() > SENTENCES_MAX;
        self.findings.truncate(SENTENCES_MAX);
        self.warnings.truncate(SENTENCES_MAX);
        let sentences = self.findings.iter().chain(&self.warnings).chain(&self.notice);
        let beside: usize = sentences.map(|sentence| text_size(sentence) + 1).sum::<usize>() + FRAME_BYTES;
        let indexes: usize = self.indexes.iter().map(IndexView::size).sum();
        let (text, is_whole) = tree::text(plan, bytes_max.saturating_sub(beside + indexes));
        self.truncated |= !is_whole;
        self.plan = text;
    }
}

/// The EXPLAIN of a statement, if it may be planned, or run.
fn explainable(text: &str, analyze: bool) -> Result<String, ToolError> {
    if sql::classify(text) == sql::Class::Reject(sql::Reason::Characters('?')) {
        let error = ToolError::new(
            code::SQL_REJECTED,
            "A placeholder `?` stands in the statement, and its plan needs the value.",
        );
        return Err(error.hint("Write the value in its place."));
    }
    let hinted = match sql::planned_with(text, "") {
        Some(hinted) => hinted,
        // Nothing in it can be a subquery.
        None if !text.to_ascii_lowercase().contains("select") => text.to_owned(),
        None => {
            let error = ToolError::new(
                code::SQL_REJECTED,
                "This statement has no place for the hint that keeps its subqueries from running.",
            );
            return Err(error.hint(
                "Write it with SELECT, INSERT, UPDATE or DELETE first, without comments before and without EXPLAIN.",
            ));
        }
    };
    if analyze && sql::classify(text) == sql::Class::Write {
        let error =
            ToolError::new(code::READ_ONLY_VIOLATION, "`analyze` runs the statement, and this one changes something.");
        return Err(error.hint("Leave out `analyze` to see the plan only."));
    }
    let explain = if analyze { "EXPLAIN ANALYZE FORMAT = 'brief'" } else { "EXPLAIN FORMAT = 'brief'" };
    // Judged as it was written: our own hint sets a variable, which the gate lets nobody do.
    must_read(&format!("{explain} {text}"))?;
    Ok(format!("{explain} {hinted}"))
}

/// A plan from the answer to EXPLAIN.
fn read(rows: &Rows) -> Result<Plan, ToolError> {
    guard::plan_in(rows).map_err(|_| {
        ToolError::new(code::UPSTREAM_INVALID_RESPONSE, "The database answered EXPLAIN with something that is no plan.")
            .hint("Run the EXPLAIN as a statement to see what it answers.")
    })
}

/// What a plan says of itself if the sandbox made it.
fn made_up(plan: &Plan) -> Option<String> {
    let info = &plan.operators.first()?.info;
    let says = info.get(info.find(MADE)?..)?;
    Some(format!("This plan was {says}. No index was tried: that needs TiDB."))
}

fn sentences(rows: Rows) -> Vec<String> {
    // Level, code, message.
    let message = |row: Vec<Option<crate::tidbcloud::Cell>>| row.into_iter().nth(2).flatten().map(|cell| cell.text);
    let mut found: Vec<String> = rows.rows.into_iter().filter_map(message).collect();
    found.retain(|message| !message.contains(OF_OUR_HINT));
    found.dedup();
    found
}

/// A count of rows.
fn whole(rows: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and rows are no fraction")]
    let whole = rows.max(0.0).round() as u64;
    whole
}
