//! `tidbcloud_list_regions`: where clusters can run.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::catalogue::{Context, Effect, Tool, ToolError};

/// List the regions where clusters can be created, with their plans.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ListRegions {}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Regions {
    regions: Vec<Region>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Region {
    name: String,
    display_name: String,
    provider: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    plans: Vec<String>,
}

impl Tool for ListRegions {
    const NAME: &'static str = "tidbcloud_list_regions";
    const TITLE: &'static str = "List regions";
    const EFFECT: Effect = Effect::Read;
    type Output = Regions;

    async fn call(self, context: &Context<'_>) -> Result<Regions, ToolError> {
        let regions = context.cloud().regions().await?;
        Ok(Regions {
            regions: regions
                .into_iter()
                .map(|region| Region {
                    name: region.name,
                    display_name: region.display_name.unwrap_or_default(),
                    provider: region.cloud_provider.unwrap_or_default(),
                    plans: region.service_plans,
                })
                .collect(),
        })
    }
}
