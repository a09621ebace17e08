//! A branch, as tools answer with it.

use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    tidbcloud::Branch,
    tools::views::{EndpointsView, state},
};

/// One branch.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct BranchView {
    pub(super) branch_id: String,
    pub(super) cluster_id: String,
    pub(super) display_name: String,
    state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_timestamp: Option<String>,
    #[serde(skip_serializing_if = "EndpointsView::is_empty")]
    endpoints: EndpointsView,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_prefix: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    create_time: Option<String>,
    /// TiDB Cloud's answer was lost, and the branch found. So rare that no schema has to name it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schemars(skip)]
    pub(super) reconciled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) notice: Option<String>,
}

impl From<Branch> for BranchView {
    fn from(branch: Branch) -> Self {
        Self {
            branch_id: branch.branch_id.to_string(),
            cluster_id: branch.cluster_id.unwrap_or_default(),
            display_name: branch.display_name,
            state: state(branch.state.as_ref()),
            parent_id: branch.parent_id,
            parent_timestamp: branch.parent_timestamp,
            endpoints: branch.endpoints.into(),
            user_prefix: branch.user_prefix,
            create_time: branch.create_time,
            reconciled: false,
            notice: None,
        }
    }
}
