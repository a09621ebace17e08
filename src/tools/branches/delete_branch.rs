//! `tidbcloud_delete_branch`: remove a branch for good.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::catalogue::{BranchReference, ClusterReference, Context, Effect, Tool, ToolError};

/// Delete a branch with its data. The parent is not touched. This cannot be undone.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DeleteBranch {
    cluster: ClusterReference,
    branch: BranchReference,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeletedBranch {
    cluster_id: String,
    branch_id: String,
    status: &'static str,
}

impl Tool for DeleteBranch {
    const NAME: &'static str = "tidbcloud_delete_branch";
    const TITLE: &'static str = "Delete branch";
    const EFFECT: Effect = Effect::Destroy;
    type Output = DeletedBranch;

    async fn call(self, context: &Context<'_>) -> Result<DeletedBranch, ToolError> {
        let cluster = context.cluster_id(&self.cluster).await?;
        let branch = context.branch_within(&cluster, &self.branch).await?;
        context.cloud().delete_branch(&cluster, &branch).await?;
        Ok(DeletedBranch { cluster_id: cluster.to_string(), branch_id: branch.to_string(), status: "DELETING" })
    }
}
