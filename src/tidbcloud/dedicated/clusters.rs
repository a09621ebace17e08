//! Clusters.

use serde::{Deserialize, de::IgnoredAny};

use crate::tidbcloud::{
    ApiError, Cloud, ClusterId, State,
    service::DEDICATED,
    tolerant::or_default,
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
