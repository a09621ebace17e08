//! `show_tables`: the tables of a database.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Context, Effect, SQL_TIME_MAX, Tool, Toolset,
    resolve::{BranchReference, ClusterReference},
    sql::first_column,
    types::DatabaseName,
};
use crate::{
    mcp::tools::{ToolError, ToolErrorCode},
    platform::Platform,
    sql::quote_identifier,
    tidbcloud::{AccessClass, Effect as SqlEffect},
};

/// List the tables and views of a database.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ShowTables {
    cluster: ClusterReference,
    branch: Option<BranchReference>,
    database: DatabaseName,
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
        let Some(quoted) = quote_identifier(self.database.as_str()) else {
            return Err(ToolError::new(ToolErrorCode::InvalidArgument, "`database` cannot be quoted."));
        };
        let target = context.target(&self.cluster, self.branch.as_ref()).await?;
        let sql = format!("SHOW TABLES FROM {quoted}");
        let rows = context.sql().run(&target, AccessClass::ReadOnly, None, &sql, SqlEffect::Read).await?;
        Ok(Tables { database: self.database.as_str().to_owned(), tables: first_column(rows) })
    }
}
