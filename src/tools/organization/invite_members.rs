//! `tidbcloud_invite_members`: let people in, by e-mail.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    roles::{RoleName, meaning},
    who::{ProjectReference, project_of},
};
use crate::{
    catalogue::{Context, Done, Effect, Receipt, Stakes, Tool, ToolError, code},
    tidbcloud::{EmailAddress, Member, MemberRoles, ProjectId, ScopedRole},
};

/// Invite new people, such as a colleague, to the organization by email, again if need be.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct InviteMembers {
    /// At most 20
    #[schemars(with = "Vec<String>")]
    emails: Vec<EmailAddress>,
    /// project: roles need `project`
    role: RoleName,
    project: Option<ProjectReference>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Invited {
    invited: Vec<String>,
    /// Their role stays what it was
    #[serde(skip_serializing_if = "Vec::is_empty")]
    invited_again: Vec<String>,
    /// TiDB Cloud's answer leaves them out: see tidbcloud_list_members
    #[serde(skip_serializing_if = "Vec::is_empty")]
    not_invited: Vec<String>,
    role: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    project: Option<String>,
    notice: &'static str,
}

/// A person reads each address before they let it in.
const EMAILS_MAX: usize = 20;

/// What they are once they accept. Everybody in a project is in the organization.
const LEAST: &str = "org:member";

/// <https://docs.pingcap.com/tidbcloud/manage-user-access/#invite-a-user-to-your-organization>
const NOTICE: &str = "Nobody is in before they follow the link in their e-mail, which is valid for 24 hours.";

/// Who is to be invited, for which roles.
struct Plan<'a> {
    new: Vec<&'a EmailAddress>,
    pending: Vec<Member>,
    roles: MemberRoles,
    project: Option<ProjectId>,
}

impl Tool for InviteMembers {
    const NAME: &'static str = "tidbcloud_invite_members";
    const TITLE: &'static str = "Invite members";
    const EFFECT: Effect = Effect::Create;
    const DATA_CROSSES: bool = true;
    const RECEIPT: Option<Receipt<Self>> = Some(Receipt {
        look: "Look with tidbcloud_list_members before trying again: whoever is there has their e-mail, unless they were invited before.",
        tries: |call| {
            let emails: Vec<_> = call.emails.iter().map(EmailAddress::as_str).collect();
            format!("invite {} as {}", emails.join(", "), call.role.0)
        },
        done: Invited::done,
    });
    type Output = Invited;

    /// The members, which a person reads, again, and an invitation.
    fn requests_min(_: &Map<String, Value>) -> u32 {
        3
    }

    fn asks(&self) -> bool {
        true
    }

    fn opens(&self) -> bool {
        true
    }

    async fn stakes(&self, context: &Context<'_>) -> Result<Option<Stakes>, ToolError> {
        let plan = self.plan(context).await?;
        let count = plan.new.len() + plan.pending.len();
        let people = if count == 1 { "one person".to_owned() } else { format!("{count} people") };
        let again =
            |member: &Member| format!("{} (again: their role stays {})", member.email, member.org_role.rbac_role);
        let role = format!("{} ({})", self.role.0, meaning(self.role.0).unwrap_or_default());
        let stakes = Stakes::of(format!("Invite {people} into the organization."))
            .fact("Role", Some(role))
            .fact("Project", self.project.as_ref().map(ProjectReference::as_str))
            .fact("Project id", plan.project.as_ref());
        let emails = plan.new.iter().map(ToString::to_string).chain(plan.pending.iter().map(again));
        Ok(Some(emails.fold(stakes, |stakes, email| stakes.fact("E-mail", Some(email)))))
    }

    async fn call(self, context: &Context<'_>) -> Result<Invited, ToolError> {
        let plan = self.plan(context).await?;
        let mut done = Invited {
            invited: Vec::new(),
            invited_again: Vec::new(),
            not_invited: Vec::new(),
            role: self.role.0,
            project: plan.project.map(String::from),
            notice: NOTICE,
        };
        if !plan.new.is_empty() {
            let answer = context.cloud().invite(&plan.new, &plan.roles).await?;
            if answer.success == Some(false) {
                let message = format!("TiDB Cloud invited nobody. TiDB Cloud says: {}", answer.message);
                return Err(ToolError::new(code::FAILED_PRECONDITION, message)
                    .hint("Call tidbcloud_list_members to see who is a member."));
            }
            for email in &plan.new {
                let is_said = answer.users.iter().any(|user| user.email.eq_ignore_ascii_case(email.as_str()));
                let invited = answer.users.is_empty() || is_said;
                if invited { &mut done.invited } else { &mut done.not_invited }.push(email.to_string());
            }
        }
        for member in plan.pending {
            if let Err(error) = context.cloud().invite_again(&member.user_id).await {
                let mut error = ToolError::from(error);
                if !done.invited.is_empty() || !done.invited_again.is_empty() {
                    error.receipt = done.done().in_part();
                }
                return Err(error);
            }
            done.invited_again.push(member.email);
        }
        Ok(done)
    }
}

impl InviteMembers {
    async fn plan(&self, context: &Context<'_>) -> Result<Plan<'_>, ToolError> {
        let refused = |message: String, hint: &str| Err(ToolError::new(code::INVALID_ARGUMENT, message).hint(hint));
        if self.emails.is_empty() || self.emails.len() > EMAILS_MAX {
            let message = format!("`emails` has {} addresses, and takes 1 to {EMAILS_MAX}.", self.emails.len());
            return refused(message, "Invite fewer people in one call.");
        }
        let lower: Vec<_> = self.emails.iter().map(|email| email.as_str().to_ascii_lowercase()).collect();
        if let Some(twice) =
            lower.iter().enumerate().find(|(at, email)| lower.iter().take(*at).any(|one| one == *email))
        {
            return refused(format!("`{}` is in `emails` twice.", twice.1), "Name each address once.");
        }
        let project = project_of(context, self.role, self.project.as_ref()).await?;
        let members = context.cloud().all_members().await?;
        // Whoever may invite is in the organization, so that somebody has its id.
        let organization = members.first().map(|member| member.org_role.scope_id.clone()).unwrap_or_default();
        let (mut new, mut pending) = (Vec::new(), Vec::new());
        for email in &self.emails {
            match members.iter().find(|member| member.email.eq_ignore_ascii_case(email.as_str())) {
                None => new.push(email),
                Some(member) if member.status.as_deref() == Some("Pending") => {
                    context.still_means("member", email.as_str(), member.user_id.as_str())?;
                    pending.push(member.clone());
                }
                Some(_) => {
                    let message = format!("`{email}` is a member already. Nobody was invited.");
                    return Err(ToolError::new(code::CONFLICT, message)
                        .hint("Leave out this address; tidbcloud_update_member changes a member's role."));
                }
            }
        }
        let role = |role: &str, scope_id| ScopedRole { rbac_role: role.to_owned(), scope_id };
        let org_role = if project.is_some() { LEAST } else { self.role.0 };
        let roles = MemberRoles {
            org_role: Some(role(org_role, organization)),
            project_roles: Some(project.iter().map(|id| role(self.role.0, id.to_string())).collect()),
        };
        Ok(Plan { new, pending, roles, project })
    }
}

impl Invited {
    fn done(&self) -> Done {
        let mut did = Vec::new();
        if !self.invited.is_empty() {
            did.push(format!("Invited {} as {}", self.invited.join(", "), self.role));
        }
        if !self.invited_again.is_empty() {
            // Their roles are those of the first invitation.
            did.push(format!("Sent the invitation again to {}, whose roles stay", self.invited_again.join(", ")));
        }
        if did.is_empty() {
            did.push("Invited nobody whom TiDB Cloud names".to_owned());
        }
        Done::of(did.join(". "))
            .affecting(u64::try_from(self.invited.len() + self.invited_again.len()).ok())
            .undone_by("tidbcloud_remove_member with the address takes an invitation back; the e-mail is sent.")
    }
}
