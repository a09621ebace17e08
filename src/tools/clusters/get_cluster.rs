//! `tidbcloud_get_cluster`: all about one cluster.

use schemars::JsonSchema;
use serde::Deserialize;

use super::view::ClusterView;
use crate::catalogue::{ClusterReference, Context, Effect, Tool, ToolError, WaitSeconds};

/// Get one cluster: state, endpoints, spending limit or capacity, backup policy, labels.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct GetCluster {
    cluster: ClusterReference,
    /// Longest wait for ACTIVE
    wait_seconds: Option<WaitSeconds>,
}

impl Tool for GetCluster {
    const NAME: &'static str = "tidbcloud_get_cluster";
    const TITLE: &'static str = "Get cluster";
    const EFFECT: Effect = Effect::Read;
    type Output = ClusterView;

    async fn call(self, context: &Context<'_>) -> Result<ClusterView, ToolError> {
        let id = context.cluster_id(&self.cluster).await?;
        let cluster = context.settled(
            self.wait_seconds,
            async || context.cloud().cluster(&id).await,
            |cluster| cluster.state.as_ref(),
        );
        Ok(cluster.await?.into())
    }
}
