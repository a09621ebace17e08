//! `db_query`: read with SQL.

use std::{borrow::Cow, time::Duration};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{
    catalogue::{BranchReference, ClusterReference, Context, Effect, SQL_TIME_MAX, Stakes, Tool, ToolError},
    statements::{
        guard::{self, Guarded},
        judged::{must_read, query, refused_read, shown},
        params::{Params, SqlText, Statements},
        rows::RowsView,
    },
    tidbcloud::{AccessClass, DatabaseName, Replay},
};

/// Read with SQL. BIGINT and DECIMAL are text. Past 18 KB `notice` says how to go on; past 10,000 rows is an error.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DbQuery {
    cluster: ClusterReference,
    branch: Option<BranchReference>,
    database: Option<DatabaseName>,
    sql: SqlText,
    params: Option<Params>,
}

impl Tool for DbQuery {
    const NAME: &'static str = "db_query";
    const TITLE: &'static str = "Query";
    const EFFECT: Effect = Effect::Read;
    const TIME_MAX: Duration = SQL_TIME_MAX;
    type Output = RowsView;

    /// What is not small is planned first, so that is two requests. One row by a key is known to be small once it was planned.
    fn requests_min(arguments: &Map<String, Value>) -> u32 {
        let statements = Statements::of_arguments(arguments).unwrap_or_default();
        1 + guard::plans_min(&statements.iter().map(AsRef::as_ref).collect::<Vec<_>>())
    }

    async fn weighs(&self, context: &Context<'_>) -> Result<Option<Stakes>, ToolError> {
        let sql = self.judged(context)?;
        let target = context.target(&self.cluster, self.branch.as_ref()).await?;
        let (class, database) = (AccessClass::ReadOnly, self.database.as_ref());
        let guarded = Guarded { target: &target, class, database, statements: &[&sql] };
        guard::stakes(context, guarded, "Run a query").await
    }

    async fn call(self, context: &Context<'_>) -> Result<RowsView, ToolError> {
        let sql = self.judged(context)?;
        let target = context.target(&self.cluster, self.branch.as_ref()).await?;
        let database = self.database.as_ref();
        let query = query(&sql);
        let rows = context.sql().run(&target, AccessClass::ReadOnly, database, query, Replay::Safe).await;
        let rows = rows.map_err(|failure| refused_read(failure, query.sql))?;
        let view = shown(rows, &query, context.result_bytes());
        view.noted(context);
        Ok(view)
    }
}

impl DbQuery {
    /// The statement with its values. Lets through only reads, and notes what was given.
    fn judged(&self, context: &Context<'_>) -> Result<Cow<'_, str>, ToolError> {
        let sql = self.sql.bound(self.params.as_ref())?;
        let judged = must_read(&sql);
        context.notes_sql(if judged.is_ok() { "read" } else { "refused" }, &sql);
        judged.map(|()| sql)
    }
}
