//! `db_query`: read with SQL.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    catalogue::{BranchReference, ClusterReference, Context, Effect, SQL_TIME_MAX, Tool, ToolError},
    statements::{
        judged::{must_read, query, refused_read, shown},
        rows::RowsView,
        types::SqlText,
    },
    tidbcloud::{AccessClass, DatabaseName, Replay},
};

/// Run one SQL statement that reads. BIGINT and DECIMAL are text.
/// Past 18 KB `notice` says how to go on; past 10,000 rows is an error.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DbQuery {
    cluster: ClusterReference,
    branch: Option<BranchReference>,
    database: Option<DatabaseName>,
    sql: SqlText,
}

impl Tool for DbQuery {
    const NAME: &'static str = "db_query";
    const TITLE: &'static str = "Query";
    const EFFECT: Effect = Effect::Read;
    const TIME_MAX: Duration = SQL_TIME_MAX;
    type Output = RowsView;

    async fn call(self, context: &Context<'_>) -> Result<RowsView, ToolError> {
        let judged = must_read(self.sql.as_str());
        context.notes_sql(if judged.is_ok() { "read" } else { "refused" }, self.sql.as_str());
        judged?;
        let target = context.target(&self.cluster, self.branch.as_ref()).await?;
        let database = self.database.as_ref();
        let query = query(self.sql.as_str());
        let rows = context.sql().run(&target, AccessClass::ReadOnly, database, query, Replay::Safe).await;
        let rows = rows.map_err(|failure| refused_read(failure, query.sql))?;
        let view = shown(rows, &query, context.result_bytes());
        view.noted(context);
        Ok(view)
    }
}
