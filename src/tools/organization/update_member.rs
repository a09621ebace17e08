//! `tidbcloud_update_member`: another role for somebody.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    roles::{self, RoleName, RoleView, in_words},
    who::{MemberReference, ProjectReference, member, project_of},
};
use crate::{
    catalogue::{Context, Done, Effect, Receipt, Stakes, Tool, ToolError},
    tidbcloud::{Member, MemberRoles, ScopedRole},
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
}

impl Tool for UpdateMember {
    const NAME: &'static str = "tidbcloud_update_member";
    const TITLE: &'static str = "Change member's roles";
    const EFFECT: Effect = Effect::Update;
    const RECEIPT: Option<Receipt<Self>> = Some(Receipt {
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
            .fact("Project", self.project.as_ref().map(ProjectReference::as_str));
        Ok(Some(stakes))
    }

    async fn call(self, context: &Context<'_>) -> Result<UpdatedMember, ToolError> {
        let Change { before, after, roles } = self.change(context).await?;
        let mut done = None;
        if before != after {
            context.cloud().set_member_roles(&before.user_id, &roles).await.map_err(ToolError::from)?;
            let did =
                format!("Changed the roles of {}: before {}, now {}", before.email, names(&before), names(&after));
            done = Some(undone(Done::of(did).affecting(Some(1)), &self, &before));
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

/// Names of all roles.
fn names(member: &Member) -> String {
    let scoped = member.project_roles.iter().chain(&member.instance_roles);
    let scoped = scoped.map(|role| format!(", {} of {}", role.rbac_role, role.scope_id));
    [member.org_role.rbac_role.clone()].into_iter().chain(scoped).collect()
}

/// With the call that gives the role back; a role in a project that was not there before has none.
fn undone(done: Done, call: &UpdateMember, before: &Member) -> Done {
    let member = &before.user_id;
    if !call.role.is_of_project() {
        let role = &before.org_role.rbac_role;
        return done.undone_by(format!(
            "tidbcloud_update_member {{\"member\":\"{member}\",\"role\":\"{role}\"}} gives the role back."
        ));
    }
    done.undone_by("In the TiDB Cloud console, Organization Settings > Users, a role in a project can be taken away.")
}

impl UpdateMember {
    async fn change(&self, context: &Context<'_>) -> Result<Change, ToolError> {
        let project = project_of(context, self.role, self.project.as_ref()).await?;
        let before = member(context, &self.member).await?;
        let mut after = before.clone();
        let role = |scope_id: String| ScopedRole { rbac_role: self.role.0.to_owned(), scope_id };
        let roles = match project {
            None => {
                after.org_role = role(before.org_role.scope_id.clone());
                MemberRoles { org_role: Some(after.org_role.clone()), project_roles: None }
            }
            Some(project) => {
                // Roles in projects are replaced together, so those in others are sent again.
                after.project_roles.retain(|role| role.scope_id != project.as_str());
                after.project_roles.push(role(project.into()));
                MemberRoles { org_role: None, project_roles: Some(after.project_roles.clone()) }
            }
        };
        Ok(Change { before, after, roles })
    }
}
