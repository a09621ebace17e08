//! `tidbcloud_get_branch`: all about one branch.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    Context, Effect, Tool, Toolset,
    output::BranchView,
    resolve::{BranchReference, ClusterReference},
};
use crate::{mcp::tools::ToolError, platform::Platform};

/// Get one branch: state, parent, endpoints.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct GetBranch {
    cluster: ClusterReference,
    branch: BranchReference,
}

impl Tool for GetBranch {
    const NAME: &'static str = "tidbcloud_get_branch";
    const TITLE: &'static str = "Get branch";
    const EFFECT: Effect = Effect::Read;
    const TOOLSET: Toolset = Toolset::Branches;
    type Output = BranchView;

    async fn call<P: Platform>(self, context: &Context<'_, P>) -> Result<BranchView, ToolError> {
        let cluster = context.cluster_id(&self.cluster).await?;
        let branch = context.branch_id(&cluster, &self.branch).await?;
        Ok(context.cloud().branch(&cluster, &branch).await?.into())
    }
}
