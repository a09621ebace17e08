//! `tidbcloud_list_branches`: the branches of a cluster.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    catalogue::{ClusterReference, Context, Effect, PageSize, Tool, ToolError},
    tidbcloud::PageToken,
    tools::views::{EndpointsView, state},
};

/// List the branches of a cluster.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ListBranches {
    cluster: ClusterReference,
    page_size: Option<PageSize>,
    /// Last `nextPageToken`
    #[schemars(with = "Option<String>")]
    page_token: Option<PageToken>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Branches {
    cluster_id: String,
    branches: Vec<BranchLine>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_size: Option<u64>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct BranchLine {
    branch_id: String,
    display_name: String,
    state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_id: Option<String>,
    #[serde(skip_serializing_if = "EndpointsView::is_empty")]
    endpoints: EndpointsView,
}

impl Tool for ListBranches {
    const NAME: &'static str = "tidbcloud_list_branches";
    const TITLE: &'static str = "List branches";
    const EFFECT: Effect = Effect::Read;
    type Output = Branches;

    async fn call(self, context: &Context<'_>) -> Result<Branches, ToolError> {
        let id = context.cluster_id(&self.cluster).await?;
        let page = context.cloud().branches(&id, self.page_size.map(PageSize::get), self.page_token.as_ref()).await?;
        Ok(Branches {
            cluster_id: id.to_string(),
            branches: page
                .items
                .into_iter()
                .map(|branch| BranchLine {
                    branch_id: branch.branch_id.to_string(),
                    display_name: branch.display_name,
                    state: state(branch.state.as_ref()),
                    parent_id: branch.parent_id,
                    endpoints: branch.endpoints.into(),
                })
                .collect(),
            next_page_token: page.next_page_token,
            total_size: page.total_size,
        })
    }
}
