//! `tidbcloud_get_cluster`: all about one cluster.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Context, Effect, Tool, Toolset, output::ClusterView, resolve::ClusterReference};
use crate::{mcp::tools::ToolError, platform::Platform};

/// Get one cluster: state, endpoints, spending limit, labels.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct GetCluster {
    cluster: ClusterReference,
}

impl Tool for GetCluster {
    const NAME: &'static str = "tidbcloud_get_cluster";
    const TITLE: &'static str = "Get cluster";
    const EFFECT: Effect = Effect::Read;
    const TOOLSET: Toolset = Toolset::Clusters;
    type Output = ClusterView;

    async fn call<P: Platform>(self, context: &Context<'_, P>) -> Result<ClusterView, ToolError> {
        let id = context.cluster_id(&self.cluster).await?;
        Ok(context.cloud().cluster(&id).await?.into())
    }
}
