//! `tidbcloud_update_member`: another role for somebody.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    roles::{self, RoleName, RoleView, in_words, names},
    who::{MemberReference, ProjectReference, member, own, project_of},
};
use crate::{
    catalogue::{Context, Done, Effect, Receipt, Stakes, Tool, ToolError, code},
    tidbcloud::{Member, MemberRoles, ProjectId, ScopedRole},
};

/// Change a member's role, such as admin, in the organization or a project; other roles stay.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct UpdateMember {
    member: MemberReference,
    /// project: roles need `project`
    role: RoleName,
    project: Option<ProjectReference>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct UpdatedMember {
    user_id: String,
    email: String,
    before: Vec<RoleView>,
    after: Vec<RoleView>,
    #[serde(skip)]
    done: Option<Done>,
}

/// A change of roles: who, and all roles of the kinds that change.
struct Change {
    before: Member,
    after: Member,
    roles: MemberRoles,
    /// Where, if not in the whole organization.
    project: Option<ProjectId>,
}

impl Tool for UpdateMember {
    const NAME: &'static str = "tidbcloud_update_member";
    const TITLE: &'static str = "Change member's roles";
    const EFFECT: Effect = Effect::Update;
    const RECEIPT: Option<Receipt<Self>> = Some(Receipt {
        look: "Look with tidbcloud_list_members before trying again.",
        tries: |call| format!("make {} {}", call.member.as_str(), call.role.0),
        done: |updated| updated.done.clone().unwrap_or_else(|| Done::of(format!("Left {} as it was", updated.email))),
    });
    type Output = UpdatedMember;

    /// The member, whom a person reads, again, and the change.
    fn requests_min(_: &Map<String, Value>) -> u32 {
        3
    }

    fn asks(&self) -> bool {
        true
    }

    /// Every role but the least one may be more than somebody had.
    fn opens(&self) -> bool {
        self.role.0 != "org:member"
    }

    async fn stakes(&self, context: &Context<'_>) -> Result<Option<Stakes>, ToolError> {
        let Change { before, after, .. } = self.change(context).await?;
        if before == after {
            return Ok(None);
        }
        let stakes = Stakes::of(format!("Change the roles of {}.", before.email))
            .fact("E-mail", Some(&before.email))
            .fact("Id", Some(&before.user_id))
            .fact("Status", before.status.as_ref())
            .fact("Roles now", Some(in_words(&before)))
            .fact("Roles then", Some(in_words(&after)))
            .fact("This connection", own(context.cloud().subject(), &before))
            .fact("Project", self.project.as_ref().map(ProjectReference::as_str));
        Ok(Some(stakes))
    }

    async fn call(self, context: &Context<'_>) -> Result<UpdatedMember, ToolError> {
        let Change { before, after, roles, project } = self.change(context).await?;
        let mut done = None;
        if before != after {
            context.cloud().set_member_roles(&before.user_id, &roles).await.map_err(ToolError::from)?;
            let did =
                format!("Changed the roles of {}: before {}, now {}", before.email, names(&before), names(&after));
            done = Some(undone(Done::of(did).affecting(Some(1)), project.as_ref(), &before));
        }
        Ok(UpdatedMember {
            before: roles::of(&before),
            after: roles::of(&after),
            user_id: before.user_id.into(),
            email: before.email,
            done,
        })
    }
}

/// With the call that gives back the role that the new one replaced, if there was one.
fn undone(done: Done, project: Option<&ProjectId>, before: &Member) -> Done {
    let member = &before.user_id;
    let (role, of) = match project {
        None => (Some(&before.org_role), String::new()),
        Some(project) => (
            before.project_roles.iter().flatten().find(|role| role.scope_id == project.as_str()),
            format!(",\"project\":\"{project}\""),
        ),
    };
    // Only a role that the tool takes can be given back by it.
    let role = role.and_then(|role| RoleName::try_from(role.rbac_role.clone()).ok());
    done.undone_by(match role {
        Some(role) => format!(
            "tidbcloud_update_member {{\"member\":\"{member}\",\"role\":\"{}\"{of}}} gives the role back.",
            role.0
        ),
        None => "A person takes the role away in the TiDB Cloud console, Organization Settings > Users.".to_owned(),
    })
}

impl UpdateMember {
    async fn change(&self, context: &Context<'_>) -> Result<Change, ToolError> {
        let project = project_of(context, self.role, self.project.as_ref()).await?;
        let before = member(context, &self.member).await?;
        let mut after = before.clone();
        let role = |scope_id: String| ScopedRole { rbac_role: self.role.0.to_owned(), scope_id };
        let roles = match &project {
            None => {
                after.org_role = role(before.org_role.scope_id.clone());
                MemberRoles { org_role: Some(after.org_role.clone()), project_roles: None }
            }
            Some(project) => {
                // Roles in projects are replaced together, so those in others are sent again.
                let Some(known) = &mut after.project_roles else {
                    let message = format!(
                        "TiDB Cloud does not say which roles `{}` has in projects, and replaces them together. Nothing was changed.",
                        before.email
                    );
                    return Err(ToolError::new(code::FAILED_PRECONDITION, message).hint(
                        "Ask the person to give the role in the TiDB Cloud console, Organization Settings > Users.",
                    ));
                };
                known.retain(|role| role.scope_id != project.as_str());
                known.push(role(project.to_string()));
                MemberRoles { org_role: None, project_roles: Some(known.clone()) }
            }
        };
        Ok(Change { before, after, roles, project })
    }
}
