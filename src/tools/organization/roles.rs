//! Roles: their names in the API, and what they mean.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};

use crate::tidbcloud::{Member, ScopedRole};

/// A role's name, what the console calls it and what it may do, and whether it may make SQL users: `None` where that is not
/// published. <https://docs.pingcap.com/tidbcloud/manage-user-access/#user-roles>; names as in IAM's schemas `api.OpenApiOrgRole`,
/// `api.OpenApiProjectRole` and `api.OpenApiInstanceRole`. Those that can be given to members come first.
pub(super) const ROLES: [(&str, &str, Option<bool>); 11] = [
    ("org:owner", "Organization Owner: everything in the organization", Some(true)),
    ("org:member", "Organization Viewer: see members and projects of the organization", Some(false)),
    ("org:billing_admin", "Organization Billing Manager: see and pay bills", Some(false)),
    ("org:billing_viewer", "Organization Billing Viewer: see bills", Some(false)),
    ("org:audit_admin", "Organization Console Audit Manager: manage the audit log of the console", Some(false)),
    ("project:owner", "Project Owner: everything in the project", Some(true)),
    ("project:dev", "Project Data Access Read-Write: see clusters of the project, read and change their data", None),
    ("project:readonly", "Project Data Access Read-Only: see clusters of the project, read their data", None),
    ("project:ctl_plane_viewer", "Project Viewer: see clusters of the project, without their data", Some(false)),
    ("cluster:admin", "Instance Manager: everything in the cluster", None),
    ("cluster:viewer", "Instance Viewer: see the cluster, without its data", Some(false)),
];

/// How many of them members can be given here: not those for one cluster.
const GIVEN: usize = 9;

/// What a role means; nothing for one that is not documented.
pub(super) fn meaning(role: &str) -> Option<&'static str> {
    ROLES.iter().find(|(name, ..)| *name == role).map(|(_, meaning, _)| *meaning)
}

/// The name of a role that a member can be given.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct RoleName(pub(super) &'static str);

/// By hand: what is derived takes a `&'static str` for text borrowed from the input.
impl<'de> Deserialize<'de> for RoleName {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::try_from(String::deserialize(from)?).map_err(de::Error::custom)
    }
}

impl RoleName {
    /// Whether it is a role in one project.
    pub(super) fn is_of_project(self) -> bool {
        self.0.starts_with("project:")
    }
}

impl TryFrom<String> for RoleName {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let known = ROLES.iter().take(GIVEN).find(|(name, ..)| *name == text);
        known.map(|(name, ..)| Self(name)).ok_or("must be one of the roles in the schema")
    }
}

impl JsonSchema for RoleName {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "RoleName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names: Vec<_> = ROLES.iter().take(GIVEN).map(|(name, ..)| *name).collect();
        json_schema!({ "type": "string", "enum": names })
    }
}

/// A role of somebody, in words beside its name.
#[derive(Serialize, JsonSchema)]
#[schemars(with = "serde_json::Map<String, serde_json::Value>")]
pub(super) struct RoleView {
    role: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    means: Option<&'static str>,
    /// Id of the project or cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    of: Option<String>,
}

/// All roles of a member, widest first.
pub(super) fn of(member: &Member) -> Vec<RoleView> {
    all(member)
        .map(|(role, is_scoped)| RoleView {
            means: meaning(&role.rbac_role),
            of: is_scoped.then(|| role.scope_id.clone()),
            role: role.rbac_role.clone(),
        })
        .collect()
}

/// The same for a person, a line.
pub(super) fn in_words(member: &Member) -> String {
    let words = |(role, is_scoped): (&ScopedRole, bool)| {
        let meaning = meaning(&role.rbac_role).map(|meaning| format!(" ({meaning})")).unwrap_or_default();
        let scope = if is_scoped { format!(" of {}", role.scope_id) } else { String::new() };
        format!("{}{scope}{meaning}", role.rbac_role)
    };
    all(member).map(words).collect::<Vec<_>>().join("; ")
}

/// The names of all roles.
pub(super) fn names(member: &Member) -> String {
    let scoped = member.project_roles.iter().flatten().chain(&member.instance_roles);
    let scoped = scoped.map(|role| format!(", {} of {}", role.rbac_role, role.scope_id));
    [member.org_role.rbac_role.clone()].into_iter().chain(scoped).collect()
}

/// Roles, and whether each is for something within the organization.
fn all(member: &Member) -> impl Iterator<Item = (&ScopedRole, bool)> {
    let org = Some(&member.org_role).filter(|role| !role.rbac_role.is_empty());
    let scoped = member.project_roles.iter().flatten().chain(&member.instance_roles);
    org.into_iter().map(|role| (role, false)).chain(scoped.map(|role| (role, true)))
}
