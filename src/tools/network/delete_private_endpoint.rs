//! `tidbcloud_delete_private_endpoint`: shut an endpoint of somebody's own network out.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::with_private_endpoints;
use crate::{
    catalogue::{ClusterReference, Context, Done, Effect, Receipt, Stakes, Tool, ToolError, advised, said},
    tidbcloud::{ApiError, OpaqueId},
};

/// Disconnect and remove a private endpoint (PrivateLink) of a VPC from a Dedicated cluster.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DeletePrivateEndpoint {
    cluster: ClusterReference,
    /// `id` from tidbcloud_get_network
    #[schemars(with = "String")]
    id: OpaqueId,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Disconnected {
    cluster_id: String,
    id: String,
    status: &'static str,
}

/// What to do where there is no such connection.
const HINT: &str = "Call tidbcloud_get_network to see the ids of its connections.";

impl Tool for DeletePrivateEndpoint {
    const NAME: &'static str = "tidbcloud_delete_private_endpoint";
    const TITLE: &'static str = "Delete private endpoint";
    const EFFECT: Effect = Effect::Destroy;
    const RECEIPT: Option<Receipt<Self>> = Some(Receipt {
        look: "Look with tidbcloud_get_network before trying again.",
        tries: |call| format!("disconnect the private endpoint {} from {}", call.id, call.cluster.as_str()),
        done: |gone| {
            Done::of(format!("Disconnected the private endpoint {} from the cluster {}", gone.id, gone.cluster_id))
                .affecting(Some(1))
        },
    });
    type Output = Disconnected;

    /// The cluster, the connection, and the deletion.
    fn requests_min(_: &Map<String, Value>) -> u32 {
        4
    }

    async fn stakes(&self, context: &Context<'_>) -> Result<Option<Stakes>, ToolError> {
        let (cluster, group) = with_private_endpoints(context, &self.cluster).await?;
        let found = context.cloud().private_endpoint(&cluster.cluster_id, &group, &self.id).await;
        let found = found.map_err(|error| advised(error, |error| matches!(error, ApiError::NotFound(_)), HINT))?;
        let name = said(&cluster.display_name, cluster.cluster_id.as_str());
        let what = format!("Disconnect a private endpoint from the cluster {name}: what connects by it is cut off.");
        let endpoint = found.endpoint_id.unwrap_or_default();
        let stakes = Stakes::of(what)
            .fact("Endpoint", Some(&endpoint))
            .fact("Id", Some(&self.id))
            .fact("State", found.state)
            .fact("Host", found.host)
            .fact("Cluster", Some(&cluster.display_name))
            .fact("Cluster id", Some(&cluster.cluster_id));
        Ok(Some(stakes.typing(&endpoint, self.id.as_str())))
    }

    async fn call(self, context: &Context<'_>) -> Result<Disconnected, ToolError> {
        let (cluster, group) = with_private_endpoints(context, &self.cluster).await?;
        let gone = context.cloud().disconnect_private_endpoint(&cluster.cluster_id, &group, &self.id).await;
        gone.map_err(|error| advised(error, |error| matches!(error, ApiError::NotFound(_)), HINT))?;
        Ok(Disconnected { cluster_id: cluster.cluster_id.into(), id: self.id.into(), status: "DELETING" })
    }
}
