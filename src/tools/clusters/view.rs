//! A cluster, as tools answer with it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    catalogue::{Done, named},
    tidbcloud::{AutoScaling, AutomatedBackupPolicy, Cluster, IDEMPOTENCY_LABEL, SYSTEM_LABEL_PREFIX},
    tools::views::{EndpointsView, state},
};

/// One cluster.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ClusterView {
    pub(super) cluster_id: String,
    display_name: String,
    state: String,
    region: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) spending_limit_usd_cents: Option<i64>,
    /// Of Essential.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Map<String, Value>>")]
    capacity: Option<AutoScaling>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    backup_policy: Option<AutomatedBackupPolicy>,
    #[serde(skip_serializing_if = "EndpointsView::is_empty")]
    endpoints: EndpointsView,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_prefix: Option<String>,
    labels: BTreeMap<String, String>,
    /// Labels of TiDB Cloud, which callers cannot change.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    system_labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    create_time: Option<String>,
    // What a change replaced is in its receipt too: no schema has to name it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub(super) previous_spending_limit_usd_cents: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub(super) previous_max_rcu: Option<i64>,
    /// Where a lower highest capacity lowered the least, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub(super) previous_min_rcu: Option<i64>,
    /// TiDB Cloud's answer was lost, and the cluster found. So rare that no schema has to name it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schemars(skip)]
    pub(super) reconciled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) notice: Option<&'static str>,
    /// What a change says in its receipt.
    #[serde(skip)]
    pub(super) change: Option<Done>,
}

impl ClusterView {
    /// Name and id, for a receipt.
    pub(super) fn named(&self) -> String {
        named(&self.display_name, &self.cluster_id)
    }
}

impl From<Cluster> for ClusterView {
    fn from(cluster: Cluster) -> Self {
        let labels = cluster.labels.into_iter().filter(|(name, _)| name != IDEMPOTENCY_LABEL);
        let (system_labels, labels) = labels.partition(|(name, _)| name.starts_with(SYSTEM_LABEL_PREFIX));
        Self {
            cluster_id: cluster.cluster_id.to_string(),
            display_name: cluster.display_name,
            state: state(cluster.state.as_ref()),
            region: cluster.region.map(|region| region.name).unwrap_or_default(),
            plan: cluster.service_plan,
            version: cluster.version,
            spending_limit_usd_cents: cluster.spending_limit.and_then(|limit| limit.monthly),
            capacity: cluster.auto_scaling,
            backup_policy: cluster.automated_backup_policy,
            endpoints: cluster.endpoints.into(),
            user_prefix: cluster.user_prefix,
            labels,
            system_labels,
            create_time: cluster.create_time,
            previous_spending_limit_usd_cents: None,
            previous_max_rcu: None,
            previous_min_rcu: None,
            reconciled: false,
            notice: None,
            change: None,
        }
    }
}
