//! `tidbcloud_list_api_keys`: which keys there are, never their secrets.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    roles::meaning,
    who::{ProjectReference, project_id},
};
use crate::{
    catalogue::{Context, Effect, PageSize, Tool, ToolError},
    tidbcloud::PageToken,
};

/// List API keys: names and roles; never secrets.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ListApiKeys {
    project: Option<ProjectReference>,
    page_size: Option<PageSize>,
    /// Last `nextPageToken`
    #[schemars(with = "Option<String>")]
    page_token: Option<PageToken>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Keys {
    api_keys: Vec<KeyLine>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    notice: Option<&'static str>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct KeyLine {
    /// Public key
    access_key: String,
    display_name: String,
    role: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    means: Option<&'static str>,
    /// This connection works with it
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_yours: bool,
}

/// `projectId` of `GET /apikeys`: "If not specified, the project ID of the default project is used."
const NOTICE: &str = "Without `project` TiDB Cloud lists the keys of the organization or of its default project: it documents the latter.";

impl Tool for ListApiKeys {
    const NAME: &'static str = "tidbcloud_list_api_keys";
    const TITLE: &'static str = "List API keys";
    const EFFECT: Effect = Effect::Read;
    const LIST: Option<&'static str> = Some("apiKeys");
    const OF_CALLER: &'static [&'static str] = &["notice"];
    type Output = Keys;

    async fn call(self, context: &Context<'_>) -> Result<Keys, ToolError> {
        let project = match &self.project {
            Some(project) => Some(project_id(context, project).await?),
            None => None,
        };
        let size = self.page_size.map(PageSize::get);
        let page = context.cloud().api_keys(project.as_ref(), size, self.page_token.as_ref()).await?;
        let own = context.cloud().public_key();
        let keys = page.items.into_iter().map(|key| KeyLine {
            is_yours: own == Some(key.access_key.as_str()),
            access_key: key.access_key.into(),
            display_name: key.display_name,
            means: meaning(&key.role),
            role: key.role,
        });
        Ok(Keys {
            api_keys: keys.collect(),
            next_page_token: page.next_page_token,
            notice: project.is_none().then_some(NOTICE),
        })
    }
}
