//! Clusters.

use serde::{Deserialize, de::IgnoredAny};

use crate::tidbcloud::{
    ApiError, Cloud, ClusterId, OpaqueId, State,
    service::DEDICATED,
    tolerant::{integer, or_default},
    transport::list::{Listed, ONE},
};

/// A cluster of Dedicated (schema `dedicatedv1beta1Cluster`), as far as tools read it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "fields are those of the published schema, which says what they mean")]
pub struct DedicatedCluster {
    pub cluster_id: ClusterId,
    #[serde(default, deserialize_with = "or_default")]
    pub display_name: String,
    #[serde(default)]
    pub state: Option<State>,
    #[serde(default, deserialize_with = "or_default")]
    pub tidb_node_setting: NodeSetting,
}

/// Its nodes that run SQL (schema `v1beta1ClusterTidbNodeSetting`).
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeSetting {
    #[serde(default, deserialize_with = "or_default")]
    tidb_node_groups: Vec<NodeGroup>,
}

/// A group of nodes that share their endpoints (schema `dedicatedv1beta1TidbNodeGroup`).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "fields are those of the published schema, which says what they mean")]
pub struct NodeGroup {
    pub tidb_node_group_id: OpaqueId,
    #[serde(default, deserialize_with = "or_default")]
    pub is_default_group: bool,
    #[serde(default, deserialize_with = "or_default")]
    pub endpoints: Vec<NodeGroupEndpoint>,
}

/// Where a node group is reached (schema `dedicatedv1beta1TidbNodeGroupEndpoint`).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "fields are those of the published schema, which says what they mean")]
pub struct NodeGroupEndpoint {
    #[serde(default)]
    pub host: Option<String>,
    #[serde(default, deserialize_with = "integer")]
    pub port: Option<i64>,
    #[serde(default)]
    pub connection_type: Option<String>,
}

impl DedicatedCluster {
    /// How many node groups it has.
    pub fn groups(&self) -> usize {
        self.tidb_node_setting.tidb_node_groups.len()
    }

    /// The node group that every cluster has: the only one, where none is called the default.
    pub fn default_group(&self) -> Option<&NodeGroup> {
        let groups = &self.tidb_node_setting.tidb_node_groups;
        groups.iter().find(|group| group.is_default_group).or(match groups.as_slice() {
            [only] => Some(only),
            _ => None,
        })
    }
}

impl Listed for DedicatedCluster {
    const MEMBER: &'static str = "clusters";
}

impl Cloud<'_> {
    /// Whether clusters can be read: `GET /clusters` for one of them, sent once.
    pub async fn sees_dedicated(&self) -> Result<(), ApiError> {
        self.look::<IgnoredAny>(&DEDICATED.get("clusters", []).with_query(ONE)).await.map(drop)
    }

    /// `GET /clusters`: all pages.
    pub async fn all_dedicated(&self) -> Result<Vec<DedicatedCluster>, ApiError> {
        self.all(DEDICATED.get("clusters", [])).await
    }
}
