//! `tidbcloud_list_projects`: the projects of the organization.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    base::clock::UnixMillis,
    catalogue::{Context, Effect, PageSize, Tool, ToolError},
    tidbcloud::{PageToken, Timestamp},
    tools::views::UNPUBLISHED,
};

/// List projects.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ListProjects {
    page_size: Option<PageSize>,
    /// Last `nextPageToken`
    #[schemars(with = "Option<String>")]
    page_token: Option<PageToken>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Projects {
    projects: Vec<ProjectLine>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<String>,
    notice: &'static str,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ProjectLine {
    id: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    clusters: Option<u32>,
    /// People with a role for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    members: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    create_time: Option<String>,
}

impl Tool for ListProjects {
    const NAME: &'static str = "tidbcloud_list_projects";
    const TITLE: &'static str = "List projects";
    const EFFECT: Effect = Effect::Read;
    const LIST: Option<&'static str> = Some("projects");
    const OF_CALLER: &'static [&'static str] = &["notice"];
    type Output = Projects;

    async fn call(self, context: &Context<'_>) -> Result<Projects, ToolError> {
        let page = context.cloud().projects(self.page_size.map(PageSize::get), self.page_token.as_ref()).await?;
        let time = |seconds: String| Some(Timestamp::at(UnixMillis(seconds.parse::<u64>().ok()?.checked_mul(1_000)?)));
        let projects = page.items.into_iter().map(|project| ProjectLine {
            id: project.id.into(),
            name: project.name,
            clusters: project.cluster_count,
            members: project.user_count,
            create_time: project.create_timestamp.and_then(time).map(String::from),
        });
        Ok(Projects { projects: projects.collect(), next_page_token: page.next_page_token, notice: UNPUBLISHED })
    }
}
