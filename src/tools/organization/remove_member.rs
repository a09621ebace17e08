//! `tidbcloud_remove_member`: somebody leaves the organization.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    roles::{in_words, names},
    who::{MemberReference, member, own},
};
use crate::catalogue::{Context, Done, Effect, Receipt, Stakes, Tool, ToolError, named};

/// Remove someone from the organization, who loses all access; or take back an invitation.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RemoveMember {
    member: MemberReference,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct RemovedMember {
    user_id: String,
    email: String,
    removed: bool,
    /// What they may still know
    notice: &'static str,
    /// What they had.
    #[serde(skip)]
    roles: String,
}

/// Neither API keys nor SQL users belong to a member.
const NOTICE: &str =
    "API keys and SQL users that they made or know still work: see tidbcloud_list_api_keys and db_list_users.";

impl Tool for RemoveMember {
    const NAME: &'static str = "tidbcloud_remove_member";
    const TITLE: &'static str = "Remove member";
    const EFFECT: Effect = Effect::Destroy;
    const RECEIPT: Option<Receipt<Self>> = Some(Receipt {
        look: "Look with tidbcloud_list_members before trying again.",
        tries: |call| format!("remove {} from the organization", call.member.as_str()),
        done: |removed| {
            let who = named(&removed.email, &removed.user_id);
            Done::of(format!("Removed {who} from the organization"))
                .affecting(Some(1))
                .undone_by(format!(
                    "Not wholly: tidbcloud_invite_members invites the address again, they accept, and get their roles anew. They were: {}",
                    removed.roles
                ))
        },
    });
    type Output = RemovedMember;

    /// The member, whom a person reads, again, and the removal.
    fn requests_min(_: &Map<String, Value>) -> u32 {
        3
    }

    async fn stakes(&self, context: &Context<'_>) -> Result<Option<Stakes>, ToolError> {
        let member = member(context, &self.member).await?;
        let stakes = Stakes::of(format!("Remove {} from the organization, with all roles.", member.email))
            .fact("E-mail", Some(&member.email))
            .fact("Id", Some(&member.user_id))
            .fact("Status", member.status.as_ref())
            .fact("Roles", Some(in_words(&member)))
            .fact("This connection", own(context.cloud().subject(), &member));
        let stakes = match &member.last_login_time {
            Some(time) => stakes.moving_fact("Last sign-in", time),
            None => stakes,
        };
        Ok(Some(stakes.typing(&member.email, member.user_id.as_str())))
    }

    async fn call(self, context: &Context<'_>) -> Result<RemovedMember, ToolError> {
        let member = member(context, &self.member).await?;
        context.cloud().remove_member(&member.user_id).await?;
        let roles = names(&member);
        Ok(RemovedMember { user_id: member.user_id.into(), email: member.email, removed: true, notice: NOTICE, roles })
    }
}
