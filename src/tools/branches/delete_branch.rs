//! `tidbcloud_delete_branch`: remove a branch for good.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    catalogue::{BranchReference, ClusterReference, Context, Done, Effect, Receipt, Stakes, Tool, ToolError, said},
    tidbcloud::State,
};

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
    const RECEIPT: Option<Receipt<Self>> = Some(Receipt {
        look: "Look with tidbcloud_list_branches before trying again.",
        tries: |call| format!("delete the branch {} of the cluster {}", call.branch.as_str(), call.cluster.as_str()),
        done: |deleted| {
            let DeletedBranch { cluster_id, branch_id, .. } = deleted;
            Done::of(format!("Deleted the branch {branch_id} of the cluster {cluster_id}")).affecting(Some(1))
        },
    });
    type Output = DeletedBranch;

    /// The branch as it is named, itself, and its cluster, which a person reads, and the deletion.
    fn requests_min(_: &Map<String, Value>) -> u32 {
        4
    }

    async fn stakes(&self, context: &Context<'_>) -> Result<Option<Stakes>, ToolError> {
        let cluster_id = context.cluster_id(&self.cluster).await?;
        let id = context.branch_within(&cluster_id, &self.branch).await?;
        let branch = context.cloud().branch(&cluster_id, &id).await?;
        let cluster = context.cloud().cluster(&cluster_id).await?;
        let stakes =
            Stakes::of(format!("Delete the branch {} with its data.", said(&branch.display_name, id.as_str())))
                .fact("Name", Some(&branch.display_name))
                .fact("Id", Some(&id))
                .fact("Cluster", Some(cluster.display_name))
                .fact("Cluster id", Some(&cluster_id))
                .fact("Region", cluster.region.map(|region| region.name))
                .fact("Made from", branch.parent_display_name.as_ref())
                .fact("State", branch.state.as_ref().map(State::as_str))
                .fact("Created", branch.create_time.as_ref());
        Ok(Some(stakes.typing(&branch.display_name, id.as_str())))
    }

    async fn call(self, context: &Context<'_>) -> Result<DeletedBranch, ToolError> {
        let cluster = context.cluster_id(&self.cluster).await?;
        let branch = context.branch_within(&cluster, &self.branch).await?;
        context.cloud().delete_branch(&cluster, &branch).await?;
        Ok(DeletedBranch { cluster_id: cluster.to_string(), branch_id: branch.to_string(), status: "DELETING" })
    }
}
