//! The resources of the TiDB Cloud API (`serverless.tidbapi.com/v1beta1` and SQL users of `iam.tidbapi.com/v1beta1`),
//! field for field as published.
//!
//! Reading is tolerant: absent and `null` fields are the same, 64-bit integers may be strings (as proto3 JSON writes
//! them), values of enumerations that were not published are kept, unknown fields are ignored.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::units::{BranchId, BranchName, ClusterId, DisplayName, RegionName, Timestamp, UsdCents};

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

/// A branch of a cluster (schema `Branch`).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "fields are those of the published schema, which says what they mean")]
pub struct Branch {
    #[serde(default)]
    pub name: Option<String>,
    pub branch_id: BranchId,
    #[serde(default, deserialize_with = "or_default")]
    pub display_name: String,
    #[serde(default)]
    pub cluster_id: Option<String>,
    #[serde(default)]
    pub parent_id: Option<String>,
    #[serde(default)]
    pub parent_display_name: Option<String>,
    #[serde(default)]
    pub parent_timestamp: Option<String>,
    #[serde(default)]
    pub created_by: Option<String>,
    #[serde(default)]
    pub state: Option<State>,
    #[serde(default)]
    pub endpoints: Option<Endpoints>,
    #[serde(default)]
    pub user_prefix: Option<String>,
    #[serde(default)]
    pub create_time: Option<String>,
    #[serde(default)]
    pub update_time: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub annotations: BTreeMap<String, String>,
}

/// State of a cluster or a branch (schemas `ClusterState` and `BranchState`).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub enum State {
    /// `CREATING`
    Creating,
    /// `ACTIVE`
    Active,
    /// `RESTORING`
    Restoring,
    /// `DELETED`
    Deleted,
    /// Any other, as it was sent; TiDB Cloud's own clients know `DELETING`, `MAINTENANCE`, `PAUSED` and more.
    Other(String),
}

impl State {
    /// As it was sent.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Creating => "CREATING",
            Self::Active => "ACTIVE",
            Self::Restoring => "RESTORING",
            Self::Deleted => "DELETED",
            Self::Other(name) => name,
        }
    }
}

impl From<String> for State {
    fn from(name: String) -> Self {
        match name.as_str() {
            "CREATING" => Self::Creating,
            "ACTIVE" => Self::Active,
            "RESTORING" => Self::Restoring,
            "DELETED" => Self::Deleted,
            _ => Self::Other(name),
        }
    }
}

/// A region (schema `Region`).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "fields are those of the published schema, which says what they mean")]
pub struct Region {
    #[serde(default, deserialize_with = "or_default")]
    pub name: String,
    #[serde(default)]
    pub region_id: Option<String>,
    #[serde(default)]
    pub cloud_provider: Option<String>,
    #[serde(default)]
    pub display_name: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub service_plans: Vec<String>,
}

/// Monthly spending limit of a Starter instance (schema `Cluster.SpendingLimit`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct SpendingLimit {
    /// US cents; absent means 0, as proto3 JSON leaves zeros out.
    #[serde(default, deserialize_with = "integer")]
    pub monthly: Option<i64>,
}

/// When backups are made and how long they are kept (schema `Cluster.AutomatedBackupPolicy`).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AutomatedBackupPolicy {
    /// `HH:mm`, UTC.
    #[serde(default)]
    pub start_time: Option<String>,
    /// Days.
    #[serde(default, deserialize_with = "integer")]
    pub retention_days: Option<i64>,
}

/// Bounds of the request capacity of an Essential instance (schema `Cluster.AutoScaling`), in request capacity units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names say it")]
pub struct AutoScaling {
    #[serde(default, deserialize_with = "integer")]
    pub min_rcu: Option<i64>,
    #[serde(default, deserialize_with = "integer")]
    pub max_rcu: Option<i64>,
}

/// Encryption at rest (schema `Cluster.EncryptionConfig`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EncryptionConfig {
    /// Whether dual-layer encryption is on.
    #[serde(default, deserialize_with = "or_default")]
    pub enhanced_encryption_enabled: bool,
}

/// Addresses of a cluster or branch (schemas `Cluster.Endpoints` and `Branch.Endpoints`).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Endpoints {
    /// Reachable from the internet.
    #[serde(default)]
    pub public: Option<PublicEndpoint>,
    /// Reachable from the customer's own cloud network.
    #[serde(default)]
    pub private: Option<PrivateEndpoint>,
}

/// Schemas `Cluster.Endpoints.Public` and `Branch.Endpoints.Public`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "fields are those of the published schema, which says what they mean")]
pub struct PublicEndpoint {
    #[serde(default)]
    pub host: Option<String>,
    #[serde(default, deserialize_with = "integer")]
    pub port: Option<i64>,
    #[serde(default, deserialize_with = "or_default")]
    pub disabled: bool,
    #[serde(default, deserialize_with = "or_default")]
    pub authorized_networks: Vec<AuthorizedNetwork>,
}

/// Addresses that may connect (schema `Cluster.Endpoints.Public.AuthorizedNetwork`).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names say it")]
pub struct AuthorizedNetwork {
    #[serde(default)]
    pub display_name: Option<String>,
    #[serde(default)]
    pub start_ip_address: Option<String>,
    #[serde(default)]
    pub end_ip_address: Option<String>,
}

/// Schemas `Cluster.Endpoints.Private` and `Branch.Endpoints.Private`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "fields are those of the published schema, which says what they mean")]
pub struct PrivateEndpoint {
    #[serde(default)]
    pub host: Option<String>,
    #[serde(default, deserialize_with = "integer")]
    pub port: Option<i64>,
    #[serde(default)]
    pub aws: Option<PrivateService>,
    #[serde(default)]
    pub alicloud: Option<PrivateService>,
}

/// The service behind a private endpoint (schemas `Private.AWS` and `Private.ALICLOUD`).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names say it")]
pub struct PrivateService {
    #[serde(default)]
    pub service_name: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub availability_zone: Vec<String>,
}

/// A page of clusters (schema `ListClustersResponse`).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterList {
    /// The clusters of this page.
    #[serde(default, deserialize_with = "or_default")]
    pub clusters: Vec<Cluster>,
    /// Where the next page starts; `None` on the last one.
    #[serde(default, deserialize_with = "filled")]
    pub next_page_token: Option<String>,
    /// How many there are in all.
    #[serde(default, deserialize_with = "integer")]
    pub total_size: Option<u64>,
}

/// A page of branches (schema `ListBranchesResponse`).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BranchList {
    /// The branches of this page.
    #[serde(default, deserialize_with = "or_default")]
    pub branches: Vec<Branch>,
    /// Where the next page starts; `None` on the last one.
    #[serde(default, deserialize_with = "filled")]
    pub next_page_token: Option<String>,
    /// How many there are in all.
    #[serde(default, deserialize_with = "integer")]
    pub total_size: Option<u64>,
}

/// All regions (schema `ListRegionsResponse`).
#[derive(Deserialize)]
pub(super) struct RegionList {
    #[serde(default, deserialize_with = "or_default")]
    pub(super) regions: Vec<Region>,
}

/// A SQL user (schema `api.SqlUser`). It never carries a password.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SqlUser {
    /// Full name, with the prefix of its cluster.
    #[serde(default, alias = "username", deserialize_with = "or_default")]
    pub user_name: String,
    /// For example `mysql_native_password`.
    #[serde(default)]
    pub auth_method: Option<String>,
    /// For example `role_readonly`; the service is known to put the cluster's prefix before it.
    #[serde(default)]
    pub builtin_role: Option<String>,
    /// Further roles.
    #[serde(default, deserialize_with = "or_default")]
    pub custom_roles: Vec<String>,
}

/// Built-in roles of SQL users (`builtinRole` of `api.CreateSqlUserReq`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(inline)]
pub enum SqlRole {
    /// Reads.
    #[serde(rename = "role_readonly")]
    ReadOnly,
    /// Reads and writes rows.
    #[serde(rename = "role_readwrite")]
    ReadWrite,
    /// Everything, users and schema included.
    #[serde(rename = "role_admin")]
    Admin,
}

impl SqlRole {
    /// As the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReadOnly => "role_readonly",
            Self::ReadWrite => "role_readwrite",
            Self::Admin => "role_admin",
        }
    }
}

/// What a new cluster is to be (`POST /clusters`). Without `autoScaling` it is a Starter instance.
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
    /// Other labels in place of all that a person has set.
    Labels(BTreeMap<String, String>),
}

/// What a new branch is to be (`POST /clusters/{clusterId}/branches`).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NewBranch {
    /// Its name.
    pub display_name: BranchName,
    /// The branch it is made from; `None` is the cluster itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<BranchId>,
    /// The moment of the parent's data; `None` is the present one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_timestamp: Option<Timestamp>,
}

fn as_region<S: Serializer>(name: &RegionName, to: S) -> Result<S::Ok, S::Error> {
    to.collect_map([("name", name)])
}

fn as_limit<S: Serializer>(limit: &Option<UsdCents>, to: S) -> Result<S::Ok, S::Error> {
    to.collect_map([("monthly", limit)])
}

/// The default where a field is `null`.
pub(super) fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// `None` where a text is `null` or empty.
pub(super) fn filled<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(Option::deserialize(from)?.filter(|text: &String| !text.is_empty()))
}

/// An integer, or a string that holds one.
pub(super) fn integer<'de, D: Deserializer<'de>, T>(from: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de> + std::str::FromStr,
{
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written<T> {
        Number(T),
        Text(String),
    }
    match Option::deserialize(from)? {
        None => Ok(None),
        Some(Written::Number(number)) => Ok(Some(number)),
        Some(Written::Text(text)) => {
            text.parse().map(Some).map_err(|_| de::Error::invalid_value(de::Unexpected::Str(&text), &"an integer"))
        }
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
        assert_eq!((page.clusters.len(), page.next_page_token, page.total_size), (0, None, Some(7)));
        assert_eq!(list(json!({})).total_size, None);
        assert!(serde_json::from_value::<ClusterList>(json!({ "totalSize": "many" })).is_err());
        assert!(serde_json::from_value::<Cluster>(json!({ "displayName": "no id" })).is_err());
    }
}
