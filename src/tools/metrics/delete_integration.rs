//! `tidbcloud_delete_integration`: nobody gets metrics through it any more.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::dedicated;
use crate::{
    catalogue::{ClusterReference, Context, Done, Effect, Receipt, Stakes, Tool, ToolError, code, said},
    tidbcloud::IntegrationId,
};

/// Disconnect and delete a monitoring integration of a Dedicated cluster, such as Prometheus. Its dashboards and alerts end.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DeleteIntegration {
    cluster: ClusterReference,
    /// As in tidbcloud_list_integrations
    id: IntegrationId,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeletedIntegration {
    cluster_id: String,
    integration_id: String,
}

impl Tool for DeleteIntegration {
    const NAME: &'static str = "tidbcloud_delete_integration";
    const TITLE: &'static str = "Delete monitoring integration";
    const EFFECT: Effect = Effect::Destroy;
    const RECEIPT: Option<Receipt<Self>> = Some(Receipt {
        look: "Look with tidbcloud_list_integrations before trying again.",
        tries: |call| format!("delete the integration {} of the cluster {}", call.id.as_str(), call.cluster.as_str()),
        done: |deleted| {
            let DeletedIntegration { cluster_id, integration_id } = deleted;
            Done::of(format!("Deleted the integration {integration_id} of the cluster {cluster_id}")).affecting(Some(1))
        },
    });
    type Output = DeletedIntegration;

    /// The cluster, of which two APIs are asked, the integration, which a person reads, and the deletion.
    fn requests_min(_: &Map<String, Value>) -> u32 {
        4
    }

    async fn stakes(&self, context: &Context<'_>) -> Result<Option<Stakes>, ToolError> {
        let cluster = dedicated(context, &self.cluster).await?;
        let all = context.cloud().integrations(&cluster.cluster_id).await?;
        let Some(found) = all.into_iter().find(|integration| integration.is(&self.id)) else {
            let message = format!("This cluster has no integration `{}`.", self.id);
            let error = ToolError::new(code::NOT_FOUND, message);
            return Err(error.hint("Call tidbcloud_list_integrations to see their ids."));
        };
        let name = said(&cluster.display_name, cluster.cluster_id.as_str());
        let kind = said(&found.kind, self.id.as_str());
        let stakes =
            Stakes::of(format!("Delete the integration {kind} of the cluster {name}: its dashboards and alerts end."))
                .fact("Integration", Some(&found.kind))
                .fact("Id", Some(&self.id))
                .fact("Cluster", Some(&cluster.display_name))
                .fact("Cluster id", Some(&cluster.cluster_id))
                .fact("Made by", found.creator)
                .fact("Created", found.create_time);
        Ok(Some(stakes.typing(&found.kind, self.id.as_str())))
    }

    async fn call(self, context: &Context<'_>) -> Result<DeletedIntegration, ToolError> {
        let cluster = dedicated(context, &self.cluster).await?;
        context.cloud().delete_integration(&cluster.cluster_id, &self.id).await?;
        Ok(DeletedIntegration { cluster_id: cluster.cluster_id.to_string(), integration_id: self.id.to_string() })
    }
}
