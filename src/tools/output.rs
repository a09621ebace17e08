//! What several tools answer with.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::tidbcloud::{Branch, Cluster, Endpoints, SYSTEM_LABEL_PREFIX, State};

/// One cluster.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ClusterView {
    cluster_id: String,
    display_name: String,
    state: String,
    region: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) spending_limit_usd_cents: Option<i64>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    endpoints: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_prefix: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<String, String>,
    /// Labels of TiDB Cloud, which no caller changes.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    system_labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    create_time: Option<String>,
    /// What the limit was before a change of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) previous_spending_limit_usd_cents: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) notice: Option<&'static str>,
}

impl From<Cluster> for ClusterView {
    fn from(cluster: Cluster) -> Self {
        let (system_labels, labels) =
            cluster.labels.into_iter().partition(|(name, _)| name.starts_with(SYSTEM_LABEL_PREFIX));
        Self {
            cluster_id: cluster.cluster_id.to_string(),
            display_name: cluster.display_name,
            state: state(cluster.state.as_ref()),
            region: cluster.region.map(|region| region.name).unwrap_or_default(),
            plan: cluster.service_plan,
            version: cluster.version,
            spending_limit_usd_cents: cluster.spending_limit.and_then(|limit| limit.monthly),
            endpoints: endpoints(cluster.endpoints),
            user_prefix: cluster.user_prefix,
            labels,
            system_labels,
            create_time: cluster.create_time,
            previous_spending_limit_usd_cents: None,
            notice: None,
        }
    }
}

/// One branch.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct BranchView {
    branch_id: String,
    cluster_id: String,
    display_name: String,
    state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_timestamp: Option<String>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    endpoints: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_prefix: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    create_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) notice: Option<String>,
}

impl From<Branch> for BranchView {
    fn from(branch: Branch) -> Self {
        Self {
            branch_id: branch.branch_id.to_string(),
            cluster_id: branch.cluster_id.unwrap_or_default(),
            display_name: branch.display_name,
            state: state(branch.state.as_ref()),
            parent_id: branch.parent_id,
            parent_timestamp: branch.parent_timestamp,
            endpoints: endpoints(branch.endpoints),
            user_prefix: branch.user_prefix,
            create_time: branch.create_time,
            notice: None,
        }
    }
}

/// The state in the API's own word; a resource that has none yet is being made.
pub(super) fn state(state: Option<&State>) -> String {
    state.map_or("CREATING", State::as_str).to_owned()
}

/// Public and private host and port, where they are known.
pub(super) fn endpoints(endpoints: Option<Endpoints>) -> Map<String, Value> {
    let Some(Endpoints { public, private }) = endpoints else { return Map::new() };
    let address = |host: Option<String>, port: Option<i64>| {
        let mut shown = Map::new();
        shown.insert("host".to_owned(), Value::from(host?));
        port.map(|port| shown.insert("port".to_owned(), Value::from(port)));
        Some(shown)
    };
    let public = public.and_then(|public| {
        let mut shown = address(public.host, public.port)?;
        if public.disabled {
            shown.insert("disabled".to_owned(), Value::from(true));
        }
        Some(("public", shown))
    });
    let private = private.and_then(|private| Some(("private", address(private.host, private.port)?)));
    public.into_iter().chain(private).map(|(name, shown)| (name.to_owned(), Value::Object(shown))).collect()
}
