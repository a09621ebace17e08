//! `show_tables`: the tables of a database.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Context, Effect, SQL_TIME_MAX, Tool, Toolset,
    resolve::{BranchReference, ClusterReference},
    sql::first_column,
    types::SchemaName,
};
use crate::{
    mcp::tools::ToolError,
    platform::Platform,
    tidbcloud::{AccessClass, Effect as SqlEffect},
};

/// List the tables and views of a database.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ShowTables {
    cluster: ClusterReference,
    branch: Option<BranchReference>,
    database: SchemaName,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Tables {
    database: String,
    tables: Vec<String>,
}

impl Tool for ShowTables {
    const NAME: &'static str = "show_tables";
    const TITLE: &'static str = "Show tables";
    const EFFECT: Effect = Effect::Read;
    const TOOLSET: Toolset = Toolset::Database;
    const TIME_MAX: Duration = SQL_TIME_MAX;
    type Output = Tables;

    async fn call<P: Platform>(self, context: &Context<'_, P>) -> Result<Tables, ToolError> {
        let target = context.target(&self.cluster, self.branch.as_ref()).await?;
        let sql = format!("SHOW TABLES FROM {}", self.database.quoted());
        let rows = context.sql().run(&target, AccessClass::ReadOnly, None, &sql, SqlEffect::Read).await?;
        Ok(Tables { database: self.database.into_inner(), tables: first_column(rows) })
    }
}
