//! `iam.tidbapi.com`: SQL users of clusters, and projects.
//!
//! Nothing of these is published; they are as PingCAP's command line client has them.

use serde_json::{Value, json};

use super::{Call, Route, clusters};
use crate::control::{
    answers::{Failure, Outcome},
    contract::Origin::Client,
    pages::{PAGE_SIZE_MAX, Page, set_token},
    services::IAM,
    state::{Cluster, Member, PROJECTS, Password, Project, SqlUser, World, read_role, role_name},
};
use crate::exchange::Role;

/// The operations.
pub(super) static ROUTES: &[Route] = &[
    Route::reads(&IAM, "GET", "/clusters/{clusterId}/sqlUsers", list_sql_users).read_as(&[Client]),
    Route::writes(&IAM, "POST", "/clusters/{clusterId}/sqlUsers", create_sql_user).read_as(&[Client]),
    Route::reads(&IAM, "GET", "/clusters/{clusterId}/sqlUsers/{userName}", get_sql_user).read_as(&[Client]),
    Route::writes(&IAM, "PATCH", "/clusters/{clusterId}/sqlUsers/{userName}", update_sql_user).read_as(&[Client]),
    Route::writes(&IAM, "DELETE", "/clusters/{clusterId}/sqlUsers/{userName}", delete_sql_user).read_as(&[Client]),
    Route::reads(&IAM, "GET", "/projects", list_projects).read_as(&[Client]),
];

/// A MySQL user name has 32 characters at most; the prefix takes 15 and a dot.
const SQL_USER_NAME_MAX: usize = 32 - clusters::PREFIX_LENGTH - 1;
/// As `rootPassword` of the published Cluster.
const PASSWORD_LENGTH: std::ops::RangeInclusive<usize> = 8..=64;

/// As the API shows it: name and role with the prefix of the cluster, but for `role_admin`, which has none.
fn show(cluster: &Cluster, name: &str, user: &SqlUser) -> Value {
    let prefix = &cluster.server.prefix;
    let role = role_name(user.role);
    let role = if user.role == Role::Admin { role.to_owned() } else { format!("{prefix}.{role}") };
    json!({
        "userName": format!("{prefix}.{name}"),
        "builtinRole": role,
        "customRoles": user.custom_roles,
        "authMethod": "mysql_native_password",
    })
}

/// A cluster that is ready: before, it has no prefix to name users by.
fn ready<'a>(world: &'a World, call: &Call) -> Result<&'a Cluster, Failure> {
    let cluster = clusters::known(world, call)?;
    match cluster.state(call.now) {
        "ACTIVE" => Ok(cluster),
        state => Err(Failure::new(400, format!("cluster {} is {state}", cluster.id))),
    }
}

/// The name without prefix of the user in the path.
fn named(cluster: &Cluster, call: &Call) -> Result<String, Failure> {
    let full = call.parameter("userName").unwrap_or_default();
    match cluster.server.without_prefix(full).filter(|name| cluster.server.users.contains_key(*name)) {
        Some(name) => Ok(name.to_owned()),
        None => Err(Failure::new(404, format!("sql user {full} not found"))),
    }
}

/// A role as given: bare, or with the prefix.
fn role(cluster: &Cluster, given: &str, bare_allowed: bool) -> Result<Role, Failure> {
    let prefixed = cluster.server.without_prefix(given);
    let role = prefixed.or(Some(given).filter(|given| bare_allowed || *given == "role_admin")).and_then(read_role);
    role.ok_or_else(|| {
        let hint = if bare_allowed { "" } else { ", with the prefix of the cluster" };
        Failure::new(400, format!("invalid builtinRole: role_admin, role_readonly or role_readwrite{hint}"))
    })
}

/// A password as given.
fn password(call: &Call) -> Result<Option<Password>, Failure> {
    match call.body.get("password").and_then(Value::as_str) {
        Some(text) if PASSWORD_LENGTH.contains(&text.chars().count()) => Ok(Some(Password::new(text))),
        Some(_) => Err(Failure::new(400, "invalid password: 8 to 64 characters")),
        None => Ok(None),
    }
}

/// Custom roles as given. They are shown again and grant nothing here.
fn custom_roles(call: &Call) -> Option<Vec<String>> {
    let roles = call.body.get("customRoles")?.as_array()?;
    Some(roles.iter().filter_map(|role| role.as_str().map(str::to_owned)).collect())
}

/// `GET /v1beta1/clusters/{clusterId}/sqlUsers`, in the order of names.
pub(super) fn list_sql_users(world: &World, call: &Call) -> Outcome {
    let cluster = ready(world, call)?;
    let page = Page::read(&call.query, &format!("sqlUsers {}", cluster.id), PAGE_SIZE_MAX)?;
    let users = cluster.server.users.iter().zip(1..);
    let (users, token) = page.cut(users.map(|((name, user), position)| (position, show(cluster, name, user))));
    let mut body = json!({ "sqlUsers": users });
    set_token(&mut body, token);
    Ok(body)
}

/// `GET /v1beta1/clusters/{clusterId}/sqlUsers/{userName}`
pub(super) fn get_sql_user(world: &World, call: &Call) -> Outcome {
    let cluster = ready(world, call)?;
    let name = named(cluster, call)?;
    let user = cluster.server.users.get(&name);
    user.map(|user| show(cluster, &name, user)).ok_or_else(|| Failure::new(404, "sql user not found"))
}

/// `POST /v1beta1/clusters/{clusterId}/sqlUsers`
pub(super) fn create_sql_user(world: &mut World, call: &Call) -> Outcome {
    let cluster = ready(world, call)?;
    let text = |name: &str| call.body.get(name).and_then(Value::as_str).unwrap_or_default();
    let auto_prefix = call.body.get("autoPrefix").and_then(Value::as_bool).unwrap_or_default();
    if !["", "mysql_native_password"].contains(&text("authMethod")) {
        return Err(Failure::new(400, "invalid authMethod: mysql_native_password"));
    }
    let prefix = &cluster.server.prefix;
    let given = text("userName");
    let name = if auto_prefix { Some(given) } else { cluster.server.without_prefix(given) };
    let name = name
        .ok_or_else(|| {
            Failure::new(400, "invalid userName: without autoPrefix it begins with the prefix of the cluster")
        })?
        .to_owned();
    let sound = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    if name.is_empty() || name.len() > SQL_USER_NAME_MAX || !name.bytes().all(sound) {
        let message = format!("invalid userName: 1 to {SQL_USER_NAME_MAX} letters, digits, _ or - after the prefix");
        return Err(Failure::new(400, message));
    }
    let role = role(cluster, text("builtinRole"), auto_prefix)?;
    let password = password(call)?.ok_or_else(|| Failure::new(400, "field `password` is required"))?;
    if cluster.server.users.contains_key(&name) {
        return Err(Failure::new(409, format!("sql user {prefix}.{name} already exists")));
    }
    let user = SqlUser::new(call.now, role, custom_roles(call).unwrap_or_default(), Some(password));
    let shown = show(cluster, &name, &user);
    let id = cluster.id.clone();
    if let Some(cluster) = world.cluster_mut(call.key.organization, &id) {
        cluster.server.users.insert(name, user);
    }
    Ok(shown)
}

/// `PATCH /v1beta1/clusters/{clusterId}/sqlUsers/{userName}`
pub(super) fn update_sql_user(world: &mut World, call: &Call) -> Outcome {
    let cluster = ready(world, call)?;
    let name = named(cluster, call)?;
    let given = call.body.get("builtinRole").and_then(Value::as_str);
    let role = given.map(|given| role(cluster, given, true)).transpose()?;
    if name == "root" && role.is_some_and(|role| role != Role::Admin) {
        return Err(Failure::new(400, "the role of root cannot be changed"));
    }
    let (password, custom_roles) = (password(call)?, custom_roles(call));
    let id = cluster.id.clone();
    let missing = || Failure::new(404, "sql user not found");
    let cluster = world.cluster_mut(call.key.organization, &id).ok_or_else(missing)?;
    let user = cluster.server.users.get_mut(&name).ok_or_else(missing)?;
    user.role = role.unwrap_or(user.role);
    if let Some(roles) = custom_roles {
        user.custom_roles = roles;
    }
    if let Some(password) = password {
        user.set_password(call.now, password);
    }
    get_sql_user(world, call)
}

/// `DELETE /v1beta1/clusters/{clusterId}/sqlUsers/{userName}`
pub(super) fn delete_sql_user(world: &mut World, call: &Call) -> Outcome {
    let cluster = ready(world, call)?;
    let name = named(cluster, call)?;
    if name == "root" {
        return Err(Failure::new(400, "root cannot be deleted"));
    }
    let id = cluster.id.clone();
    if let Some(cluster) = world.cluster_mut(call.key.organization, &id) {
        cluster.server.users.remove(&name);
    }
    Ok(json!({ "code": 200, "message": "success" }))
}

/// Those with a role for the project, and owners of the organization: a guess.
fn user_count(world: &World, project: &Project) -> usize {
    let has_role = |member: &&Member| {
        member.organization == project.organization
            && (member.org_role == "org:owner" || member.project_roles.iter().any(|(_, scope)| scope == project.id))
    };
    world.members.iter().filter(has_role).count()
}

/// `GET /v1beta1/projects`; names inside are in snake case.
pub(super) fn list_projects(world: &World, call: &Call) -> Outcome {
    let page = Page::read(&call.query, &format!("projects {}", call.key.organization), PAGE_SIZE_MAX)?;
    let own = PROJECTS.iter().filter(|project| project.organization == call.key.organization);
    let (projects, token) = page.cut(own.zip(1..).map(|(project, position)| {
        let clusters = world.clusters.iter().filter(|cluster| cluster.project == project.id);
        let shown = json!({
            "id": project.id,
            "org_id": project.organization,
            "name": project.name,
            "cluster_count": clusters.count(),
            "user_count": user_count(world, project),
            "create_timestamp": "1767225600",
            "aws_cmek_enabled": false,
        });
        (position, shown)
    }));
    let mut body = json!({ "projects": projects });
    set_token(&mut body, token);
    Ok(body)
}
