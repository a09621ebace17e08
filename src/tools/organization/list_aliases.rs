//! `tidbcloud_list_aliases`: the short names for clusters.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::catalogue::{Context, Effect, Tool, ToolError};

/// List the short names of clusters; a label `mcp-alias` gives one.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ListAliases {}

#[derive(Serialize, JsonSchema)]
pub(super) struct AliasList {
    #[schemars(with = "Vec<serde_json::Map<String, serde_json::Value>>")]
    aliases: Vec<AliasLine>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AliasLine {
    alias: String,
    cluster_id: String,
    source: &'static str,
    /// Why it is ignored.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<&'static str>,
}

impl Tool for ListAliases {
    const NAME: &'static str = "tidbcloud_list_aliases";
    const TITLE: &'static str = "List aliases";
    const EFFECT: Effect = Effect::Read;
    const LIST: Option<&'static str> = Some("aliases");
    type Output = AliasList;

    async fn call(self, context: &Context<'_>) -> Result<AliasList, ToolError> {
        let aliases = context.known_aliases().await?;
        Ok(AliasList {
            aliases: aliases
                .into_iter()
                .map(|known| AliasLine {
                    alias: known.alias,
                    cluster_id: known.cluster.to_string(),
                    source: known.source,
                    refused: known.refused,
                })
                .collect(),
        })
    }
}
