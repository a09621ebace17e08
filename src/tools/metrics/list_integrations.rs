//! `tidbcloud_list_integrations`: who gets the metrics of a cluster.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::dedicated;
use crate::{
    catalogue::{ClusterReference, Context, Effect, Tool, ToolError},
    tidbcloud::Integration,
};

/// List the monitoring integrations of a Dedicated cluster, such as Prometheus for Grafana; never a key.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ListIntegrations {
    cluster: ClusterReference,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Integrations {
    cluster_id: String,
    #[schemars(with = "Vec<Map<String, Value>>")]
    integrations: Vec<IntegrationView>,
}

/// An integration. It has no key.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct IntegrationView {
    id: String,
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    site: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    query_endpoint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    creator: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    create_time: Option<String>,
}

impl From<Integration> for IntegrationView {
    fn from(from: Integration) -> Self {
        let receiver = from.datadog.or(from.newrelic);
        let (state, status_reason, site) =
            receiver.map_or((None, None, None), |receiver| (receiver.state, receiver.status_reason, receiver.site));
        Self {
            id: from.id.map(|id| id.to_string()).unwrap_or_default(),
            kind: from.kind,
            state,
            status_reason,
            site,
            query_endpoint: from.prometheus.and_then(|access| access.query_endpoint),
            creator: from.creator,
            create_time: from.create_time,
        }
    }
}

impl Tool for ListIntegrations {
    const NAME: &'static str = "tidbcloud_list_integrations";
    const TITLE: &'static str = "List monitoring integrations";
    const EFFECT: Effect = Effect::Read;
    type Output = Integrations;

    /// The cluster, of which two APIs are asked, and the list.
    fn requests_min(_: &Map<String, Value>) -> u32 {
        3
    }

    async fn call(self, context: &Context<'_>) -> Result<Integrations, ToolError> {
        let cluster = dedicated(context, &self.cluster).await?;
        let integrations = context.cloud().integrations(&cluster.cluster_id).await?;
        Ok(Integrations {
            cluster_id: cluster.cluster_id.to_string(),
            integrations: integrations.into_iter().map(IntegrationView::from).collect(),
        })
    }
}
