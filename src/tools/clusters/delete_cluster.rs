//! `tidbcloud_delete_cluster`: remove a cluster for good.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    catalogue::{ClusterReference, Context, Effect, Stakes, Tool, ToolError},
    tidbcloud::State,
};

/// Delete a cluster with all its data and branches. This cannot be undone.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DeleteCluster {
    cluster: ClusterReference,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeletedCluster {
    cluster_id: String,
    status: &'static str,
}

impl Tool for DeleteCluster {
    const NAME: &'static str = "tidbcloud_delete_cluster";
    const TITLE: &'static str = "Delete cluster";
    const EFFECT: Effect = Effect::Destroy;
    type Output = DeletedCluster;

    /// The cluster and its branches, which a person reads, and the deletion.
    fn requests_min(_: &Map<String, Value>) -> u32 {
        3
    }

    async fn stakes(&self, context: &Context<'_>) -> Result<Option<Stakes>, ToolError> {
        let id = context.cluster_id(&self.cluster).await?;
        let cluster = context.cloud().cluster(&id).await?;
        let branches = context.cloud().all_branches(&id).await?;
        let names: Vec<_> = branches.iter().map(|branch| branch.display_name.as_str()).collect();
        let stakes = Stakes::of(format!("Delete the cluster {} with all its data.", cluster.display_name))
            .fact("Id", Some(&id))
            .fact("Region", cluster.region.as_ref().map(|region| &region.name))
            .fact("State", cluster.state.as_ref().map(State::as_str))
            .fact("Plan", cluster.service_plan.as_ref())
            .fact("Created", cluster.create_time.as_ref())
            .fact("Branches, which are deleted too", (!names.is_empty()).then(|| names.join(", ")));
        Ok(Some(stakes.typing(&cluster.display_name)))
    }

    async fn call(self, context: &Context<'_>) -> Result<DeletedCluster, ToolError> {
        let id = context.cluster_id(&self.cluster).await?;
        context.cloud().delete_cluster(&id).await?;
        Ok(DeletedCluster { cluster_id: id.to_string(), status: "DELETING" })
    }
}
