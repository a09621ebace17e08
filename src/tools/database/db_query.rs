//! `db_query`: read with SQL.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    catalogue::{BranchReference, ClusterReference, Context, Effect, SQL_TIME_MAX, Tool, ToolError},
    statements::{
        judged::{must_read, query, refused_read, shown},
        params::{Params, SqlText},
        rows::RowsView,
    },
    tidbcloud::{AccessClass, DatabaseName, Replay},
};

/// Read with SQL. BIGINT and DECIMAL are text.
/// Past 18 KB `notice` says how to go on; 10,001 rows fail.
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

    async fn call(self, context: &Context<'_>) -> Result<RowsView, ToolError> {
        let sql = self.sql.bound(self.params.as_ref())?;
        let judged = must_read(&sql);
        context.notes_sql(if judged.is_ok() { "read" } else { "refused" }, &sql);
        judged?;
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
