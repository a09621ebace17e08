//! `tidbcloud_create_branch`: a copy of a cluster to work on.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Context, Effect, Tool, Toolset,
    output::BranchView,
    resolve::{BranchReference, ClusterReference},
};
use crate::{
    mcp::tools::ToolError,
    platform::Platform,
    tidbcloud::{BranchName, NewBranch, Timestamp},
};

/// Create a branch: a copy of a Starter cluster, or of another branch, to work on without touching the original. It
/// returns while the branch is CREATING: call tidbcloud_get_branch until `state` is ACTIVE.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct CreateBranch {
    cluster: ClusterReference,
    display_name: BranchName,
    /// Default: the cluster itself.
    parent: Option<BranchReference>,
    /// Data as of this RFC 3339 time, up to 24 h ago (14 days with a spending limit).
    parent_timestamp: Option<Timestamp>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CreatedBranch {
    #[serde(flatten)]
    branch: BranchView,
    #[schemars(skip)]
    #[serde(skip_serializing_if = "Option::is_none")]
    notice: Option<String>,
}

impl Tool for CreateBranch {
    const NAME: &'static str = "tidbcloud_create_branch";
    const TITLE: &'static str = "Create branch";
    const EFFECT: Effect = Effect::Create;
    const TOOLSET: Toolset = Toolset::Branches;
    type Output = CreatedBranch;

    async fn call<P: Platform>(self, context: &Context<'_, P>) -> Result<CreatedBranch, ToolError> {
        let cluster = context.cluster_id(&self.cluster).await?;
        let parent_id = match &self.parent {
            Some(parent) => Some(context.branch_within(&cluster, parent).await?),
            None => None,
        };
        // SQL users can be made on a cluster only; a branch has those that its parent had when it was made.
        let parent = context.cloud().cluster(&cluster).await?;
        let users = context.sql().ensure_users(&cluster, parent.user_prefix.as_deref().unwrap_or_default()).await;
        let new = NewBranch { display_name: self.display_name, parent_id, parent_timestamp: self.parent_timestamp };
        let branch = context.cloud().create_branch(&cluster, &new).await?;
        let notice = users.err().map(|error| {
            format!(
                "The SQL users of this server could not be made on the cluster first ({}), so SQL tools cannot log in to \
                 this branch. Once they work on the cluster, reset the branch from its parent in the TiDB Cloud console; \
                 or send X-TiDB-SQL-User and X-TiDB-SQL-Secret.",
                ToolError::from(error).message.trim_end_matches('.')
            )
        });
        Ok(CreatedBranch { branch: branch.into(), notice })
    }
}
