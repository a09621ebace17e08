//! `tidbcloud_list_members`: who is in the organization.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::roles::{self, RoleView};
use crate::{
    catalogue::{Context, Effect, PageSize, Tool, ToolError},
    tidbcloud::{Member, PageToken},
};

/// List the team: who is a member of the organization or invited, with which roles.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ListMembers {
    page_size: Option<PageSize>,
    /// Last `nextPageToken`
    #[schemars(with = "Option<String>")]
    page_token: Option<PageToken>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Members {
    members: Vec<MemberView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_size: Option<u64>,
}

/// One member.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct MemberView {
    user_id: String,
    email: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    /// Active, or Pending: invited
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<String>,
    roles: Vec<RoleView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_login_time: Option<String>,
}

impl From<Member> for MemberView {
    fn from(member: Member) -> Self {
        let roles = roles::of(&member);
        let names: Vec<_> = member.first_name.into_iter().chain(member.last_name).collect();
        Self {
            user_id: member.user_id.into(),
            email: member.email,
            name: names.join(" "),
            status: member.status,
            roles,
            last_login_time: member.last_login_time,
        }
    }
}

impl Tool for ListMembers {
    const NAME: &'static str = "tidbcloud_list_members";
    const TITLE: &'static str = "List organization members";
    const EFFECT: Effect = Effect::Read;
    const LIST: Option<&'static str> = Some("members");
    type Output = Members;

    async fn call(self, context: &Context<'_>) -> Result<Members, ToolError> {
        let page = context.cloud().members(self.page_size.map(PageSize::get), self.page_token.as_ref()).await?;
        Ok(Members {
            members: page.items.into_iter().map(MemberView::from).collect(),
            next_page_token: page.next_page_token,
            total_size: page.total_size,
        })
    }
}
