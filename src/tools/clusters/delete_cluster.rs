//! `tidbcloud_delete_cluster`: remove a cluster for good.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::catalogue::{ClusterReference, Context, Effect, Tool, ToolError};

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

    async fn call(self, context: &Context<'_>) -> Result<DeletedCluster, ToolError> {
        let id = context.cluster_id(&self.cluster).await?;
        context.cloud().delete_cluster(&id).await?;
        Ok(DeletedCluster { cluster_id: id.to_string(), status: "DELETING" })
    }
}
