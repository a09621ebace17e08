//! Monitoring integrations: who gets the metrics of a cluster.

use serde::{Deserialize, Deserializer, de::IgnoredAny};
use serde_json::json;

use crate::{
    base::{http::Method, secret::Secret},
    tidbcloud::{
        ApiError, Cloud, ClusterId, IntegrationId,
        service::DEDICATED,
        tolerant::{filled, integer, or_default},
    },
};

/// An integration (schema `openapiv1beta1IntegrationStatusResp`). Some published examples write members with underscores.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "fields are those of the published schema, which says what they mean")]
pub struct Integration {
    #[serde(default, deserialize_with = "integer")]
    pub id: Option<u64>,
    #[serde(default, rename = "type", deserialize_with = "or_default")]
    pub kind: String,
    #[serde(default)]
    pub datadog: Option<Receiver>,
    #[serde(default)]
    pub newrelic: Option<Receiver>,
    #[serde(default)]
    pub prometheus: Option<PrometheusAccess>,
    #[serde(default, deserialize_with = "filled")]
    pub creator: Option<String>,
    #[serde(default, rename = "createTime|create_time", deserialize_with = "filled")]
    pub create_time: Option<String>,
}

/// A service that metrics are sent to (schemas `v1beta1DatadogIntegrationStatusResp` and `v1beta1NewrelicIntegrationStatusResp`).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "fields are those of the published schema, which says what they mean")]
pub struct Receiver {
    #[serde(default, deserialize_with = "filled")]
    pub state: Option<String>,
    #[serde(default, rename = "statusReason|status_reason", deserialize_with = "filled")]
    pub status_reason: Option<String>,
    #[serde(default, deserialize_with = "filled")]
    pub site: Option<String>,
}

/// Access to metrics by queries of Prometheus (schema `openapiv1beta1CreateMetricsKeyResp`).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PrometheusAccess {
    /// The key, which is said once, when it is made.
    #[serde(default, deserialize_with = "secret")]
    pub key: Option<Secret>,
    /// Where queries go.
    #[serde(default, rename = "queryEndpoint|query_endpoint", deserialize_with = "filled")]
    pub query_endpoint: Option<String>,
}

fn secret<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Secret>, D::Error> {
    Ok(filled(from)?.map(Secret::new))
}

/// The integrations of a cluster (schema `openapiv1beta1ListIntegrationsResp`). They have no pages.
#[derive(Deserialize)]
struct Integrations {
    #[serde(default, deserialize_with = "or_default")]
    items: Vec<Integration>,
}

impl Cloud<'_> {
    /// `GET /clusters/{clusterId}/integrations`
    pub async fn integrations(&self, id: &ClusterId) -> Result<Vec<Integration>, ApiError> {
        let all: Integrations = self.read(&DEDICATED.get("clusters/{}/integrations", [id.as_str()])).await?;
        Ok(all.items)
    }

    /// `POST /clusters/{clusterId}/integrations` of the type PROMETHEUS. It is sent once: nothing tells two of them apart.
    pub async fn create_prometheus(&self, id: &ClusterId) -> Result<Integration, ApiError> {
        let call = DEDICATED.call(Method::Post, "clusters/{}/integrations", [id.as_str()]);
        self.write(&call.with_body(&json!({ "type": "PROMETHEUS", "prometheus": {} }))).await
    }

    /// `DELETE /clusters/{clusterId}/integrations/{id}`. If no response comes, the list says whether it is gone: a single
    /// integration cannot be read.
    pub async fn delete_integration(&self, id: &ClusterId, integration: &IntegrationId) -> Result<(), ApiError> {
        let arguments = [id.as_str(), integration.as_str()];
        let call = DEDICATED.call(Method::Delete, "clusters/{}/integrations/{}", arguments);
        let is_gone = async || {
            let all = self.integrations(id).await.ok()?;
            let is_there = all.iter().any(|found| found.is(integration));
            (!is_there).then_some(IgnoredAny)
        };
        self.set(&call, is_gone).await.map(|IgnoredAny| ())
    }
}

impl Integration {
    /// Whether it has this id.
    pub fn is(&self, id: &IntegrationId) -> bool {
        self.id.is_some_and(|own| own.to_string() == id.as_str())
    }
}
