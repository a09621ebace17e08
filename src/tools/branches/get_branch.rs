//! `tidbcloud_get_branch`: all about one branch.

use schemars::JsonSchema;
use serde::Deserialize;

use super::view::BranchView;
use crate::catalogue::{BranchReference, ClusterReference, Context, Effect, Tool, ToolError, WaitSeconds};

/// Get one branch: state, parent, endpoints.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct GetBranch {
    cluster: ClusterReference,
    branch: BranchReference,
    /// Longest wait for ACTIVE
    wait_seconds: Option<WaitSeconds>,
}

impl Tool for GetBranch {
    const NAME: &'static str = "tidbcloud_get_branch";
    const TITLE: &'static str = "Get branch";
    const EFFECT: Effect = Effect::Read;
    type Output = BranchView;

    async fn call(self, context: &Context<'_>) -> Result<BranchView, ToolError> {
        let cluster = context.cluster_id(&self.cluster).await?;
        let branch = context.branch_id(&cluster, &self.branch).await?;
        let ask = async || context.cloud().branch(&cluster, &branch).await;
        Ok(context.settled(self.wait_seconds, ask, |branch| branch.state.as_ref()).await?.into())
    }
}
