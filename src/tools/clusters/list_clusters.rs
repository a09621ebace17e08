//! `tidbcloud_list_clusters`: the clusters.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    catalogue::{Context, Effect, PageSize, Tool, ToolError},
    tidbcloud::{Cluster, PageToken},
    tools::views::{EndpointsView, state},
};

/// List Starter and Essential clusters, with their short names.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ListClusters {
    page_size: Option<PageSize>,
    /// Last `nextPageToken`
    #[schemars(with = "Option<String>")]
    page_token: Option<PageToken>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Clusters {
    clusters: Vec<ClusterLine>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_size: Option<u64>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ClusterLine {
    cluster_id: String,
    display_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    short_name: Option<String>,
    state: String,
    region: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<String>,
    #[serde(skip_serializing_if = "EndpointsView::is_empty")]
    endpoints: EndpointsView,
}

impl Tool for ListClusters {
    const NAME: &'static str = "tidbcloud_list_clusters";
    const TITLE: &'static str = "List clusters";
    const EFFECT: Effect = Effect::Read;
    const LIST: Option<&'static str> = Some("clusters");
    type Output = Clusters;

    async fn call(self, context: &Context<'_>) -> Result<Clusters, ToolError> {
        let page = context.cloud().clusters(self.page_size.map(PageSize::get), self.page_token.as_ref()).await?;
        let line = |cluster: &Cluster| ClusterLine {
            cluster_id: cluster.cluster_id.to_string(),
            display_name: cluster.display_name.clone(),
            short_name: context.short_name(cluster, &page.items),
            state: state(cluster.state.as_ref()),
            region: cluster.region.as_ref().map(|region| region.name.clone()).unwrap_or_default(),
            plan: cluster.service_plan.clone(),
            endpoints: cluster.endpoints.clone().into(),
        };
        Ok(Clusters {
            clusters: page.items.iter().map(line).collect(),
            next_page_token: page.next_page_token,
            total_size: page.total_size,
        })
    }
}
