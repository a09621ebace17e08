//! Regions.

use serde::Deserialize;

use crate::tidbcloud::{ApiError, Cloud, service::SERVERLESS, tolerant::or_default};

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

/// All regions (schema `ListRegionsResponse`).
#[derive(Deserialize)]
struct RegionList {
    #[serde(default, deserialize_with = "or_default")]
    regions: Vec<Region>,
}

impl Cloud<'_> {
    /// `GET /regions`: all regions, unpaged.
    pub async fn regions(&self) -> Result<Vec<Region>, ApiError> {
        Ok(self.read::<RegionList>(&SERVERLESS.get("regions", [])).await?.regions)
    }
}
