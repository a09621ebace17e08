//! Clusters: instances of TiDB Cloud Starter and Essential.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::json;

use super::{
    instance::{AuthorizedNetwork, Endpoints, PublicEndpoint, State},
    regions::Region,
};
use crate::{
    base::{hash::hex, http::Method},
    tidbcloud::{
        ApiError, Cloud, ClusterId, DisplayName, PageToken, Rcu, RegionName, UsdCents,
        service::SERVERLESS,
        tolerant::{integer, or_default},
        transport::{
            list::{List, Listed, ONE},
            repeat::{Created, Made, Mark},
        },
    },
};

/// The start of labels that TiDB Cloud reserves, for example `tidb.cloud/project`.
pub const SYSTEM_LABEL_PREFIX: &str = "tidb.cloud/";

/// The label with the idempotency key of the request that created a cluster.
pub const IDEMPOTENCY_LABEL: &str = "mcp-idempotency-key";

/// A cluster (schema `Cluster`): an instance of TiDB Cloud Starter or Essential.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "fields are those of the published schema, which says what they mean")]
pub struct Cluster {
    #[serde(default)]
    pub name: Option<String>,
    pub cluster_id: ClusterId,
    #[serde(default, deserialize_with = "or_default")]
    pub display_name: String,
    #[serde(default)]
    pub region: Option<Region>,
    #[serde(default)]
    pub spending_limit: Option<SpendingLimit>,
    #[serde(default)]
    pub automated_backup_policy: Option<AutomatedBackupPolicy>,
    #[serde(default)]
    pub endpoints: Option<Endpoints>,
    #[serde(default)]
    pub encryption_config: Option<EncryptionConfig>,
    #[serde(default)]
    pub high_availability_type: Option<String>,
    #[serde(default)]
    pub version: Option<String>,
    #[serde(default)]
    pub created_by: Option<String>,
    #[serde(default)]
    pub user_prefix: Option<String>,
    #[serde(default)]
    pub state: Option<State>,
    #[serde(default, deserialize_with = "or_default")]
    pub labels: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "or_default")]
    pub annotations: BTreeMap<String, String>,
    #[serde(default)]
    pub create_time: Option<String>,
    #[serde(default)]
    pub update_time: Option<String>,
    #[serde(default)]
    pub auto_scaling: Option<AutoScaling>,
    #[serde(default)]
    pub service_plan: Option<String>,
}

/// Monthly spending limit of a Starter instance (schema `Cluster.SpendingLimit`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct SpendingLimit {
    /// US cents; absent means 0, as proto3 JSON leaves zeros out.
    #[serde(default, deserialize_with = "integer")]
    pub monthly: Option<i64>,
}

/// When backups are made and how long they are kept (schema `Cluster.AutomatedBackupPolicy`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AutomatedBackupPolicy {
    /// `HH:mm`, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<String>,
    /// Days.
    #[serde(default, deserialize_with = "integer", skip_serializing_if = "Option::is_none")]
    pub retention_days: Option<i64>,
}

/// Bounds of the request capacity of an Essential instance (schema `Cluster.AutoScaling`), in request capacity units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names say it")]
pub struct AutoScaling {
    #[serde(default, deserialize_with = "integer", skip_serializing_if = "Option::is_none")]
    pub min_rcu: Option<i64>,
    #[serde(default, deserialize_with = "integer", skip_serializing_if = "Option::is_none")]
    pub max_rcu: Option<i64>,
}

impl AutoScaling {
    /// At most `max`, and at least what it was, or the least that is offered; never above `max`, which lowers what it was.
    pub fn up_to(max: Rcu, before: Option<Self>) -> Self {
        let least = before.and_then(|before| before.min_rcu).unwrap_or(Rcu::MIN).min(max.units());
        Self { min_rcu: Some(least), max_rcu: Some(max.units()) }
    }
}

/// Encryption at rest (schema `Cluster.EncryptionConfig`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EncryptionConfig {
    /// Whether dual-layer encryption is on.
    #[serde(default, deserialize_with = "or_default")]
    pub enhanced_encryption_enabled: bool,
}

/// A page of clusters (schema `ListClustersResponse`).
pub type ClusterList = List<Cluster>;

impl Listed for Cluster {
    const MEMBER: &'static str = "clusters";
}

/// The settings of a new cluster (`POST /clusters`). Without `autoScaling` it is a Starter instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NewCluster {
    /// Its name.
    pub display_name: DisplayName,
    /// Where it runs.
    #[serde(serialize_with = "as_region")]
    pub region: RegionName,
    /// Monthly spending limit; `None` leaves it to TiDB Cloud, which takes the free plan.
    #[serde(serialize_with = "as_limit", skip_serializing_if = "Option::is_none")]
    pub spending_limit: Option<UsdCents>,
    /// Its capacity, which makes it Essential.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_scaling: Option<AutoScaling>,
    /// Labels; `tidb.cloud/project` chooses the project.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// One change of a cluster: the API is most predictable with one entry in `updateMask` (`PATCH /clusters/{clusterId}`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClusterChange {
    /// Another name.
    DisplayName(DisplayName),
    /// Another monthly spending limit.
    SpendingLimit(UsdCents),
    /// Another capacity, whole: TiDB Cloud's command line client sends both ends.
    Capacity(AutoScaling),
    /// Other labels in place of all that a person has set.
    Labels(BTreeMap<String, String>),
    /// Another time and retention of backups; both are given.
    BackupPolicy(AutomatedBackupPolicy),
    /// The public endpoint off, or on.
    PublicEndpointDisabled(bool),
    /// Other addresses that may connect, in place of all.
    AuthorizedNetworks(Vec<AuthorizedNetwork>),
}

fn as_region<S: Serializer>(name: &RegionName, to: S) -> Result<S::Ok, S::Error> {
    to.collect_map([("name", name)])
}

fn as_limit<S: Serializer>(limit: &Option<UsdCents>, to: S) -> Result<S::Ok, S::Error> {
    to.collect_map([("monthly", limit)])
}

impl Created for Cluster {
    fn display_name(&self) -> &str {
        &self.display_name
    }

    fn create_time(&self) -> Option<&str> {
        self.create_time.as_deref()
    }

    fn idempotency_key(&self) -> Option<&str> {
        self.labels.get(IDEMPOTENCY_LABEL).map(String::as_str)
    }
}

impl ClusterChange {
    /// Whether the cluster is as the change was to make it.
    fn shows_in(&self, cluster: &Cluster) -> bool {
        match self {
            Self::DisplayName(name) => cluster.display_name == name.as_str(),
            Self::SpendingLimit(limit) => {
                let monthly = cluster.spending_limit.and_then(|limit| limit.monthly).unwrap_or(0);
                monthly == i64::from(limit.cents())
            }
            Self::Capacity(capacity) => cluster.auto_scaling == Some(*capacity),
            // TiDB Cloud keeps labels of its own beside these.
            Self::Labels(labels) => {
                let of_callers = |(name, _): &(&String, &String)| {
                    !name.starts_with(SYSTEM_LABEL_PREFIX) && name.as_str() != IDEMPOTENCY_LABEL
                };
                cluster.labels.iter().filter(of_callers).eq(labels.iter().filter(of_callers))
            }
            Self::BackupPolicy(policy) => cluster.automated_backup_policy.as_ref().is_some_and(|is| {
                (policy.start_time.is_none() || policy.start_time == is.start_time)
                    && (policy.retention_days.is_none() || policy.retention_days == is.retention_days)
            }),
            Self::PublicEndpointDisabled(disabled) => {
                cluster.public_endpoint().is_some_and(|public| public.disabled == *disabled)
            }
            Self::AuthorizedNetworks(networks) => {
                cluster.public_endpoint().is_some_and(|public| public.authorized_networks == *networks)
            }
        }
    }
}

/// The plan of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Free, or by use up to a spending limit.
    Starter,
    /// By request capacity units.
    Essential,
}

impl Plan {
    /// As TiDB Cloud calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Starter => "Starter",
            Self::Essential => "Essential",
        }
    }
}

impl Cluster {
    /// Its plan: `servicePlan`, and what makes an instance Essential where older instances have none.
    pub fn plan(&self) -> Plan {
        match self.service_plan.as_deref() {
            Some("Starter") => Plan::Starter,
            Some(_) => Plan::Essential,
            None if self.auto_scaling.is_some() => Plan::Essential,
            None => Plan::Starter,
        }
    }

    /// Its address on the internet.
    pub fn public_endpoint(&self) -> Option<&PublicEndpoint> {
        self.endpoints.as_ref()?.public.as_ref()
    }

    /// The most that a Starter instance may cost a month, in US cents. proto3 JSON leaves zeros out.
    pub fn limit_cents(&self) -> i64 {
        self.spending_limit.and_then(|limit| limit.monthly).unwrap_or_default()
    }

    /// Whether it is one of the organization's free instances.
    pub fn is_free(&self) -> bool {
        self.plan() == Plan::Starter && self.limit_cents() == 0
    }

    /// The description of a deleted cluster.
    fn gone(id: &ClusterId) -> Self {
        Self {
            name: None,
            cluster_id: id.clone(),
            display_name: String::new(),
            region: None,
            spending_limit: None,
            automated_backup_policy: None,
            endpoints: None,
            encryption_config: None,
            high_availability_type: None,
            version: None,
            created_by: None,
            user_prefix: None,
            state: Some(State::Deleted),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            create_time: None,
            update_time: None,
            auto_scaling: None,
            service_plan: None,
        }
    }
}

impl Cloud<'_> {
    /// `GET /clusters`: one page. `page_size` is 10 by default and 100 at most.
    pub async fn clusters(
        &self,
        page_size: Option<u32>,
        page_token: Option<&PageToken>,
    ) -> Result<ClusterList, ApiError> {
        self.page(SERVERLESS.get("clusters", []), page_size, page_token).await
    }

    /// `GET /clusters`: the first, sent once.
    pub async fn first_cluster(&self) -> Result<Option<Cluster>, ApiError> {
        let clusters: ClusterList = self.look(&SERVERLESS.get("clusters", []).with_query(ONE)).await?;
        Ok(clusters.items.into_iter().next())
    }

    /// `GET /clusters`: the first hundred, sent once, for a question that can do without them.
    pub async fn clusters_at_a_glance(&self) -> Result<ClusterList, ApiError> {
        self.look(&SERVERLESS.get("clusters", []).with_query(&[("pageSize", "100")])).await
    }

    /// `GET /clusters`: all pages.
    pub async fn all_clusters(&self) -> Result<Vec<Cluster>, ApiError> {
        self.all(SERVERLESS.get("clusters", [])).await
    }

    /// `GET /clusters/{clusterId}`
    pub async fn cluster(&self, id: &ClusterId) -> Result<Cluster, ApiError> {
        self.read(&SERVERLESS.get("clusters/{}", [id.as_str()])).await
    }

    /// `POST /clusters`. It is sent once, with an idempotency key of its own in a label; if no response comes, the cluster is
    /// looked up by that.
    pub async fn create_cluster(&self, new: &NewCluster) -> Result<Made<Cluster>, ApiError> {
        let mut key = [0; 16];
        self.sender.io.random(&mut key);
        let key = hex(&key);
        let mut new = new.clone();
        new.labels.insert(IDEMPOTENCY_LABEL.to_owned(), key.clone());
        let call = SERVERLESS.call(Method::Post, "clusters", []).with_body(&json!(new));
        let mark = Mark { name: new.display_name.as_str(), key: Some(&key) };
        self.create(&call, mark, async || self.all_clusters().await).await
    }

    /// `PATCH /clusters/{clusterId}`. If no response comes, the cluster is read, and the change sent once more if it does not
    /// show.
    pub async fn update_cluster(&self, id: &ClusterId, change: &ClusterChange) -> Result<Cluster, ApiError> {
        let (mask, cluster) = match change {
            ClusterChange::DisplayName(name) => ("displayName", json!({ "displayName": name })),
            ClusterChange::SpendingLimit(limit) => {
                ("spendingLimit.monthly", json!({ "spendingLimit": { "monthly": limit } }))
            }
            ClusterChange::Capacity(capacity) => ("autoScaling", json!({ "autoScaling": capacity })),
            ClusterChange::Labels(labels) => ("labels", json!({ "labels": labels })),
            ClusterChange::BackupPolicy(policy) => {
                ("automatedBackupPolicy", json!({ "automatedBackupPolicy": policy }))
            }
            ClusterChange::PublicEndpointDisabled(disabled) => {
                ("endpoints.public.disabled", json!({ "endpoints": { "public": { "disabled": disabled } } }))
            }
            ClusterChange::AuthorizedNetworks(networks) => (
                "endpoints.public.authorizedNetworks",
                json!({ "endpoints": { "public": { "authorizedNetworks": networks } } }),
            ),
        };
        let body = json!({ "cluster": cluster, "updateMask": mask });
        let look = async || self.cluster(id).await.ok().filter(|cluster| change.shows_in(cluster));
        self.set(&SERVERLESS.call(Method::Patch, "clusters/{}", [id.as_str()]).with_body(&body), look).await
    }

    /// `DELETE /clusters/{clusterId}`: returns the cluster. Repeated after a lost response; if it is then gone, only id and
    /// state are known.
    pub async fn delete_cluster(&self, id: &ClusterId) -> Result<Cluster, ApiError> {
        let gone = self.remove(&SERVERLESS.call(Method::Delete, "clusters/{}", [id.as_str()])).await?;
        Ok(gone.unwrap_or_else(|| Cluster::gone(id)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_published_cluster_is_read_whole() {
        let cluster: Cluster = serde_json::from_value(json!({
            "name": "clusters/10581234567890123456", "clusterId": "10581234567890123456", "displayName": "shop",
            "region": { "name": "regions/aws-us-east-1", "regionId": "aws-us-east-1", "cloudProvider": "aws",
                "displayName": "N. Virginia (us-east-1)", "provider": null, "servicePlans": ["Starter"] },
            "spendingLimit": { "monthly": 1000 }, "automatedBackupPolicy": { "startTime": "07:00", "retentionDays": 1 },
            "endpoints": {
                "public": { "host": "gateway01.us-east-1.prod.aws.tidbcloud.com", "port": 4000, "disabled": false,
                    "authorizedNetworks": [
                        { "displayName": "all", "startIpAddress": "0.0.0.0", "endIpAddress": "255.255.255.255" }] },
                "private": { "host": "gateway01-privatelink.us-east-1.prod.aws.tidbcloud.com", "port": 4000,
                    "aws": { "serviceName": "com.amazonaws.vpce.us-east-1.vpce-svc-0", "availabilityZone": ["use1-az1"] } } },
            "encryptionConfig": { "enhancedEncryptionEnabled": false }, "highAvailabilityType": "ZONAL",
            "version": "v8.5.3", "createdBy": "apikey-SBXOWNER", "userPrefix": "2aEp24QWEDLqRFs", "state": "ACTIVE",
            "labels": { "tidb.cloud/project": "1" }, "annotations": { "tidb.cloud/has-set-password": "false" },
            "createTime": "2026-01-31T12:00:00Z", "updateTime": "2026-01-31T12:00:30Z",
            "autoScaling": { "minRcu": "2000", "maxRcu": "4000" }, "servicePlan": "Starter", "future": {} }))
        .unwrap();
        let public = cluster.endpoints.clone().unwrap().public.unwrap();
        assert_eq!((public.port, public.authorized_networks.len()), (Some(4000), 1));
        assert_eq!(cluster.spending_limit.unwrap().monthly, Some(1000));
        assert_eq!(cluster.auto_scaling.unwrap().max_rcu, Some(4000));
        assert_eq!(cluster.state, Some(State::Active));
        assert_eq!(cluster.labels["tidb.cloud/project"], "1");
    }

    #[test]
    fn what_was_not_published_is_tolerated() {
        let cluster: Cluster = serde_json::from_value(json!({
            "clusterId": "1", "displayName": null, "labels": null, "state": "HIBERNATING", "endpoints": { "public": {} } }))
        .unwrap();
        assert_eq!(cluster.state.unwrap().as_str(), "HIBERNATING");
        let list = |value| serde_json::from_value::<ClusterList>(value).unwrap();
        let page = list(json!({ "clusters": null, "nextPageToken": "", "totalSize": "7" }));
        assert_eq!((page.items.len(), page.next_page_token, page.total_size), (0, None, Some(7)));
        assert_eq!(list(json!({})).total_size, None);
        assert!(serde_json::from_value::<ClusterList>(json!({ "totalSize": "many" })).is_err());
        assert!(serde_json::from_value::<Cluster>(json!({ "displayName": "no id" })).is_err());
    }
}
