//! `show_databases`: the databases of a cluster or branch.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    catalogue::{BranchReference, ClusterReference, Context, Effect, SQL_TIME_MAX, Tool, ToolError},
    statements::{judged::query, names::Names},
    tidbcloud::{AccessClass, Replay},
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
    returned: usize,
    /// Left out if there are too many to count.
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<usize>,
    truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    notice: Option<String>,
}

impl Tool for ShowDatabases {
    const NAME: &'static str = "show_databases";
    const TITLE: &'static str = "Show databases";
    const EFFECT: Effect = Effect::Read;
    const TIME_MAX: Duration = SQL_TIME_MAX;
    type Output = Databases;

    async fn call(self, context: &Context<'_>) -> Result<Databases, ToolError> {
        let target = context.target(&self.cluster, self.branch.as_ref()).await?;
        let query = query("SHOW DATABASES");
        let rows = context.sql().run(&target, AccessClass::ReadOnly, None, query, Replay::Safe).await?;
        let total = rows.complete.then_some(rows.seen);
        let page = Names::within(rows, usize::MAX, context.result_bytes());
        let notice = page.more.then(|| {
            format!("Showing the first {}. Find others with db_query: SHOW DATABASES LIKE '...'.", page.names.len())
        });
        Ok(Databases { returned: page.names.len(), databases: page.names, total, truncated: page.more, notice })
    }
}
