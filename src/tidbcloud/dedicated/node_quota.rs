//! How many nodes an organization may have.

use serde::Deserialize;

use crate::tidbcloud::{
    ApiError, Cloud,
    service::DEDICATED,
    tolerant::{integer, or_default},
};

/// The most nodes of a component (schema `ShowNodeQuotaResponseComponentQuota`), over all clusters.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeQuota {
    /// For example `TIKV`.
    #[serde(default, deserialize_with = "or_default")]
    pub component_type: String,
    /// How many.
    #[serde(default, deserialize_with = "integer")]
    pub quota: Option<u64>,
}

impl Cloud<'_> {
    /// `GET /clusters:showNodeQuota`
    pub async fn node_quotas(&self) -> Result<Vec<NodeQuota>, ApiError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Quotas {
            #[serde(default, deserialize_with = "or_default")]
            component_quotas: Vec<NodeQuota>,
        }
        let quotas: Quotas = self.read(&DEDICATED.get("clusters:showNodeQuota", [])).await?;
        Ok(quotas.component_quotas)
    }
}
