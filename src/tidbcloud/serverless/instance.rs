//! Types that clusters and branches share.

use serde::{Deserialize, Serialize};

use crate::tidbcloud::{
    ApiError, Cloud, Target,
    tolerant::{integer, or_default},
    transport::hosts::SqlHost,
};

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
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
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

/// What matters for a connection to a cluster or branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Its state.
    pub state: Option<State>,
    /// Its addresses.
    pub endpoints: Option<Endpoints>,
    /// The prefix of its user names, without the dot.
    pub user_prefix: Option<String>,
    /// Whether it must have a prefix; newer Essential instances have none.
    pub prefixed: bool,
}

impl Instance {
    /// Its address on the internet.
    pub fn public(&self) -> Option<&PublicEndpoint> {
        self.endpoints.as_ref()?.public.as_ref()
    }

    /// The host of its private endpoint, if that is below `tidbcloud.com`: people send passwords there.
    pub fn private_host(&self) -> Option<String> {
        let host = self.endpoints.as_ref()?.private.as_ref()?.host.as_deref()?;
        SqlHost::of_endpoint(host).ok().map(|host| host.endpoint().to_owned())
    }
}

impl Cloud<'_> {
    /// The cluster or branch that is meant.
    pub async fn instance(&self, target: &Target) -> Result<Instance, ApiError> {
        Ok(match &target.branch {
            Some(branch) => {
                let branch = self.branch(&target.cluster, branch).await?;
                Instance {
                    state: branch.state,
                    endpoints: branch.endpoints,
                    user_prefix: branch.user_prefix,
                    prefixed: true,
                }
            }
            None => {
                let cluster = self.cluster(&target.cluster).await?;
                Instance {
                    prefixed: cluster.service_plan.as_deref() != Some("Essential"),
                    state: cluster.state,
                    endpoints: cluster.endpoints,
                    user_prefix: cluster.user_prefix,
                }
            }
        })
    }
}
