//! `tidbcloud_update_cluster`: rename, set the spending limit or the labels.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    Context, Effect, Tool, Toolset, arguments::spending_scope, output::ClusterView, resolve::ClusterReference,
    types::Labels,
};
use crate::{
    mcp::tools::{ToolError, ToolErrorCode},
    platform::Platform,
    scope::Scope,
    tidbcloud::{ClusterChange, DisplayName, UsdCents},
};

/// Change a cluster's name, spending limit or labels; what is left out stays.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct UpdateCluster {
    cluster: ClusterReference,
    display_name: Option<DisplayName>,
    #[schemars(with = "Option<u32>")]
    spending_limit_usd_cents: Option<UsdCents>,
    /// Replaces all labels.
    labels: Option<Labels>,
}

impl Tool for UpdateCluster {
    const NAME: &'static str = "tidbcloud_update_cluster";
    const TITLE: &'static str = "Update cluster";
    const EFFECT: Effect = Effect::Update;
    const TOOLSET: Toolset = Toolset::Clusters;
    type Output = ClusterView;

    /// More where it may cost money.
    fn scope(arguments: &Map<String, Value>) -> Scope {
        spending_scope(arguments).max(Self::EFFECT.scope())
    }

    async fn call<P: Platform>(self, context: &Context<'_, P>) -> Result<ClusterView, ToolError> {
        let changes: Vec<(&str, ClusterChange)> = [
            self.spending_limit_usd_cents.map(|limit| ("spendingLimitUsdCents", ClusterChange::SpendingLimit(limit))),
            self.labels.map(|labels| ("labels", ClusterChange::Labels(labels.into_inner()))),
            self.display_name.map(|name| ("displayName", ClusterChange::DisplayName(name))),
        ]
        .into_iter()
        .flatten()
        .collect();
        if changes.is_empty() {
            return Err(ToolError::new(ToolErrorCode::InvalidArgument, "There is nothing to change.")
                .hint("Give displayName, spendingLimitUsdCents or labels."));
        }
        let id = context.cluster_id(&self.cluster).await?;
        let mut changed: Vec<&str> = Vec::new();
        let mut last = None;
        // TiDB Cloud takes one field per PATCH.
        for (field, change) in &changes {
            match context.cloud().update_cluster(&id, change).await {
                Ok(cluster) => last = Some(cluster),
                Err(error) => {
                    let mut error = ToolError::from(error);
                    if !changed.is_empty() {
                        error.details = Some(json!({"changed": changed, "failed": field}));
                    }
                    return Err(error);
                }
            }
            changed.push(field);
        }
        match last {
            Some(cluster) => Ok(cluster.into()),
            None => Ok(context.cloud().cluster(&id).await?.into()),
        }
    }
}
