//! `tidbcloud_list_clusters`: the clusters.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::plan::PlanName;
use crate::{
    catalogue::{Context, Effect, PageSize, Tool, ToolError},
    tidbcloud::{Cluster, PageToken, Plan},
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
    /// Only these; pages get shorter
    plan: Option<PlanName>,
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
        let is_whole = self.page_token.is_none() && page.next_page_token.is_none();
        let short_names = context.short_names(&page.items, is_whole).await?;
        // TiDB Cloud refuses a filter by plan.
        let plan = self.plan.map(Plan::from);
        let asked = |(cluster, _): &(Cluster, _)| plan.is_none_or(|plan| cluster.plan() == plan);
        let line = |(cluster, short_name): (Cluster, _)| ClusterLine {
            cluster_id: cluster.cluster_id.to_string(),
            display_name: cluster.display_name,
            short_name,
            state: state(cluster.state.as_ref()),
            region: cluster.region.map(|region| region.name).unwrap_or_default(),
            plan: cluster.service_plan,
            endpoints: cluster.endpoints.into(),
        };
        Ok(Clusters {
            clusters: page.items.into_iter().zip(short_names).filter(asked).map(line).collect(),
            next_page_token: page.next_page_token,
            total_size: page.total_size.filter(|_| plan.is_none()),
        })
    }
}
