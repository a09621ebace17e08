//! Monitoring integrations of Dedicated clusters (IntegrationService of the published API).
//!
//! Names, fields and the example of Datadog are those of the published description. Guesses, because nothing says: the messages of
//! refusals; that several integrations of one type can be there; that a list shows the endpoint of Prometheus, and the key nowhere but
//! in the answer that made it; what the endpoint is called.

use serde_json::{Value, json};

use super::{
    Call, Route,
    dedicated::{self, WAREHOUSE_CLUSTER_ID},
};
use crate::control::{
    answers::{Failure, Outcome},
    services::DEDICATED,
    state::{World, timestamp},
};

/// The operations.
pub(super) static ROUTES: &[Route] = &[
    Route::reads(&DEDICATED, "GET", "/clusters/{clusterId}/integrations", list),
    Route::writes(&DEDICATED, "POST", "/clusters/{clusterId}/integrations", create),
    Route::writes(&DEDICATED, "DELETE", "/clusters/{clusterId}/integrations/{id}", delete),
];

/// Id of the integration with Datadog that `warehouse` has from the start: that of the published example.
const DATADOG_ID: &str = "103";
/// When it was made: 2026-02-02T08:00:00Z.
const DATADOG_CREATED: u64 = 1_770_019_200_000;
/// Where queries of Prometheus go.
const QUERY_ENDPOINT: &str = "https://prometheus.us-east-1.aws.tidbcloud.com/api/v1/query";

/// An integration.
pub(in crate::control) struct Integration {
    pub(super) id: String,
    cluster: String,
    pub(super) kind: &'static str,
    site: String,
    /// The end of the key that was sent, for services that have one.
    key_end: String,
    creator: String,
    created: u64,
}

impl World {
    /// Puts the integration there that the Dedicated cluster has from the start.
    pub(in crate::control) fn add_datadog(&mut self) {
        self.integrations.push(Integration {
            id: DATADOG_ID.to_owned(),
            cluster: WAREHOUSE_CLUSTER_ID.to_owned(),
            kind: "DATADOG",
            site: "US1".to_owned(),
            key_end: "3086".to_owned(),
            creator: "owner@example.com".to_owned(),
            created: DATADOG_CREATED,
        });
    }
}

/// As the API shows it.
fn show(integration: &Integration) -> Value {
    let mut shown = json!({
        "id": integration.id,
        "type": integration.kind,
        "createTime": timestamp(integration.created),
        "updateTime": timestamp(integration.created),
        "creator": integration.creator,
    });
    let (member, details) = match integration.kind {
        "PROMETHEUS" => ("prometheus", json!({ "queryEndpoint": QUERY_ENDPOINT })),
        kind => {
            let details = json!({
                "state": "ACTIVE",
                "statusReason": "",
                "site": integration.site,
                "maskedApiKey": format!("****{}", integration.key_end),
            });
            (if kind == "DATADOG" { "datadog" } else { "newrelic" }, details)
        }
    };
    shown.as_object_mut().map(|fields| fields.insert(member.to_owned(), details));
    shown
}

/// `GET /v1beta1/clusters/{clusterId}/integrations`
fn list(world: &World, call: &Call<'_>) -> Outcome {
    let cluster = dedicated::known(world, call)?;
    let own = world.integrations.iter().filter(|integration| integration.cluster == cluster.id);
    let items: Vec<_> = own.map(show).collect();
    Ok(json!({ "total": items.len(), "items": items }))
}

/// `POST /v1beta1/clusters/{clusterId}/integrations`
fn create(world: &mut World, call: &Call<'_>) -> Outcome {
    let cluster = dedicated::known(world, call)?.id.to_owned();
    let (kind, member) = match call.body.get("type").and_then(Value::as_str) {
        Some("PROMETHEUS") => ("PROMETHEUS", "prometheus"),
        Some("DATADOG") => ("DATADOG", "datadog"),
        Some("NEWRELIC") => ("NEWRELIC", "newrelic"),
        _ => return Err(Failure::new(400, "Invalid request: missing or invalid field")),
    };
    let settings = call.body.get(member).cloned().unwrap_or_default();
    let text = |name: &str| settings.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let key = text("apiKey");
    if kind != "PROMETHEUS" && key.is_empty() {
        return Err(Failure::new(400, "Invalid request: missing or invalid field"));
    }
    let integration = Integration {
        id: world.draw_text("integration", b"123456789", 6),
        cluster,
        kind,
        site: text("site"),
        key_end: key.chars().skip(key.chars().count().saturating_sub(4)).collect(),
        creator: format!("apikey-{}", call.key.public),
        created: call.now,
    };
    let mut shown = show(&integration);
    if let Some(access) = shown.get_mut("prometheus").and_then(Value::as_object_mut) {
        let key = world.draw_text("prometheus key", b"0123456789abcdefghijklmnopqrstuvwxyz", 32);
        access.insert("key".to_owned(), json!(key));
    }
    world.integrations.push(integration);
    Ok(shown)
}

/// `DELETE /v1beta1/clusters/{clusterId}/integrations/{id}`
fn delete(world: &mut World, call: &Call<'_>) -> Outcome {
    let cluster = dedicated::known(world, call)?.id;
    let id = call.parameter("id").unwrap_or_default();
    let is_meant = |integration: &Integration| integration.cluster == cluster && integration.id == id;
    let found = world.integrations.iter().position(is_meant);
    let at = found.ok_or_else(|| Failure::new(404, format!("integration {id} not found")))?;
    world.integrations.remove(at);
    Ok(json!({}))
}
