//! `show_databases`: the databases of a cluster or branch.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Context, Effect, SQL_TIME_MAX, Tool, Toolset,
    resolve::{BranchReference, ClusterReference},
    sql::first_column,
};
use crate::{
    mcp::tools::ToolError,
    platform::Platform,
    tidbcloud::{AccessClass, Effect as SqlEffect},
};

/// List the databases of a cluster or branch.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ShowDatabases {
    cluster: ClusterReference,
    branch: Option<BranchReference>,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Databases {
    databases: Vec<String>,
}

impl Tool for ShowDatabases {
    const NAME: &'static str = "show_databases";
    const TITLE: &'static str = "Show databases";
    const EFFECT: Effect = Effect::Read;
    const TOOLSET: Toolset = Toolset::Database;
    const TIME_MAX: Duration = SQL_TIME_MAX;
    type Output = Databases;

    async fn call<P: Platform>(self, context: &Context<'_, P>) -> Result<Databases, ToolError> {
        let target = context.target(&self.cluster, self.branch.as_ref()).await?;
        let rows =
            context.sql().run(&target, AccessClass::ReadOnly, None, "SHOW DATABASES", SqlEffect::Read).await?;
        Ok(Databases { databases: first_column(rows) })
    }
}
