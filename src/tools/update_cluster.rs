//! `tidbcloud_update_cluster`: rename, set the spending limit or the labels.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    Context, Effect, Tool, Toolset,
    arguments::spending_scope,
    output::ClusterView,
    resolve::{ALIAS_LABEL, ClusterReference},
    types::Labels,
    view::CALLED,
};
use crate::{
    mcp::tools::{ToolError, ToolErrorCode},
    platform::Platform,
    scope::Scope,
    tidbcloud::{ApiError, ClusterChange, ClusterId, DisplayName, UsdCents},
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
    const RENAMES: &'static [&'static str] = &["displayName"];
    type Output = ClusterView;

    /// More where it may cost money.
    fn scope(arguments: &Map<String, Value>) -> Scope {
        spending_scope(arguments).max(Self::EFFECT.scope())
    }

    async fn call<P: Platform>(self, context: &Context<'_, P>) -> Result<ClusterView, ToolError> {
        if self.display_name.is_none() && self.spending_limit_usd_cents.is_none() && self.labels.is_none() {
            let fields = if context.view.fixes_cluster() { "" } else { "displayName, " };
            return Err(ToolError::new(ToolErrorCode::InvalidArgument, "There is nothing to change.")
                .hint(format!("Give {fields}spendingLimitUsdCents or labels.")));
        }
        let id = context.cluster_id(&self.cluster).await?;
        let labels = match self.labels.map(Labels::into_inner) {
            Some(labels) if context.view.fixes_cluster() => Some(with_its_alias(context, &id, labels).await?),
            labels => labels,
        };
        let changes = [
            self.spending_limit_usd_cents.map(|limit| ("spendingLimitUsdCents", ClusterChange::SpendingLimit(limit))),
            labels.map(|labels| ("labels", ClusterChange::Labels(labels))),
            self.display_name.map(|name| ("displayName", ClusterChange::DisplayName(name))),
        ];
        let mut changed: Vec<&str> = Vec::new();
        let mut last = None;
        // TiDB Cloud takes one field per PATCH, and a PATCH may have to ask for a nonce. All of them fit, or none is sent.
        let requests = changes.iter().flatten().map(|_| REQUESTS_PER_CHANGE).sum();
        let mut held = context.allowance().hold(requests).ok_or(ApiError::Exhausted)?;
        for (field, change) in changes.into_iter().flatten() {
            held.release(REQUESTS_PER_CHANGE);
            match context.cloud().update_cluster(&id, &change).await {
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

const REQUESTS_PER_CHANGE: u32 = 2;

/// The labels that replace those of a cluster which the address fixes: the alias label stays as it is.
async fn with_its_alias<P: Platform>(
    context: &Context<'_, P>,
    id: &ClusterId,
    mut labels: BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, ToolError> {
    let alias = context.cloud().cluster(id).await?.labels.remove(ALIAS_LABEL);
    let given = labels.get(ALIAS_LABEL);
    if given.is_some() && given != alias.as_ref() {
        let message = format!("`labels`: `{ALIAS_LABEL}` {CALLED}");
        return Err(ToolError::new(ToolErrorCode::InvalidArgument, message).hint(format!("Leave `{ALIAS_LABEL}` out.")));
    }
    labels.extend(alias.map(|alias| (ALIAS_LABEL.to_owned(), alias)));
    Ok(labels)
}
