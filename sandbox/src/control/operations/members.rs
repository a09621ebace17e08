//! `/v1beta1/members` (Member of the published API).
//!
//! Which role may do what is as documented (<https://docs.pingcap.com/tidbcloud/manage-user-access/#user-roles>): every role sees
//! members, owners alone change them. Guesses, because nothing says: statuses and words of refusals, that an e-mail address is
//! compared without case and may be in a list once, that a member's own filter matches whole addresses, and that the last owner stays.

use serde_json::{Map, Value, json};

use super::{Call, Route};
use crate::control::{
    answers::{Failure, Outcome},
    pages::{PAGE_SIZE_MAX, Page, set_token},
    services::IAM,
    state::{Member, World, timestamp},
};

/// The operations.
pub(super) static ROUTES: &[Route] = &[
    Route::reads(&IAM, "GET", "/members", list),
    Route::writes(&IAM, "POST", "/members", invite),
    Route::writes(&IAM, "PATCH", "/members/{user_id}", update),
    Route::writes(&IAM, "DELETE", "/members/{user_id}", remove),
    Route::writes(&IAM, "POST", "/members/{user_id}/resendInvitation", resend),
];

const OWNER: &str = "org:owner";

fn show(member: &Member) -> Value {
    let roles = |roles: &[(String, String)]| -> Vec<Value> {
        roles.iter().map(|(role, scope)| json!({ "rbacRole": role, "scopeId": scope })).collect()
    };
    let mut shown = json!({
        "userId": member.id,
        "email": member.email,
        "firstName": member.first_name,
        "lastName": member.last_name,
        "status": if member.active { "Active" } else { "Pending" },
        "orgRole": { "rbacRole": member.org_role, "scopeId": member.organization },
        "projectRoles": roles(&member.project_roles),
        "instanceRoles": roles(&member.instance_roles),
        "inviteTime": timestamp(member.invited),
    });
    if let (Some(time), Some(fields)) = (member.last_login, shown.as_object_mut()) {
        fields.insert("lastLoginTime".to_owned(), timestamp(time).into());
    }
    shown
}

/// `GET /v1beta1/members`, in the order of addresses; of the filters `email` and `projectId` alone.
fn list(world: &World, call: &Call) -> Outcome {
    let page = Page::read(&call.query, &format!("members {}", call.key.organization), PAGE_SIZE_MAX)?;
    let (email, project) = (call.query.get("email"), call.query.get("projectId"));
    let is_meant = |member: &&Member| {
        member.organization == call.key.organization
            && email.is_none_or(|email| member.email.eq_ignore_ascii_case(email))
            && project.is_none_or(|project| member.project_roles.iter().any(|(_, scope)| scope == project))
    };
    let mut all: Vec<_> = world.members.iter().filter(is_meant).collect();
    all.sort_by(|one, other| one.email.cmp(&other.email));
    let count = all.len();
    let (users, token) = page.cut((1..).zip(all).map(|(position, member)| (position, show(member))));
    let mut body = json!({ "users": users, "totalSize": count });
    set_token(&mut body, token);
    Ok(body)
}

/// Roles as a body gives them, each for what it names.
fn scoped(body: &Map<String, Value>, member: &str) -> Option<Vec<(String, String)>> {
    let text = |role: &Value, name: &str| role.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let roles = body.get(member)?.as_array()?;
    Some(roles.iter().map(|role| (text(role, "rbacRole"), text(role, "scopeId"))).collect())
}

fn org_role(call: &Call) -> Option<String> {
    let role = call.body.get("orgRole")?.get("rbacRole")?.as_str()?;
    Some(role.to_owned())
}

/// Refuses roles for a project that is not of this organization, or for an instance that it does not have.
fn known_scopes(world: &World, call: &Call) -> Result<(), Failure> {
    for (_, project) in scoped(&call.body, "projectRoles").unwrap_or_default() {
        if !super::super::filter::is_project(call.key.organization, &project) {
            return Err(Failure::new(400, format!("project {project} not found")));
        }
    }
    for (_, cluster) in scoped(&call.body, "instanceRoles").unwrap_or_default() {
        if world.cluster(call.key.organization, &cluster).is_none() {
            return Err(Failure::new(400, format!("instance {cluster} not found")));
        }
    }
    Ok(())
}

/// `POST /v1beta1/members`: nobody is invited where one of the addresses is a member's.
fn invite(world: &mut World, call: &Call) -> Outcome {
    let emails = call.body.get("emails").and_then(Value::as_array).cloned().unwrap_or_default();
    let emails: Vec<String> = emails.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    if emails.is_empty() {
        return Err(Failure::new(400, "field `emails` is empty"));
    }
    let role = org_role(call).ok_or_else(|| Failure::new(400, "field `orgRole` is required"))?;
    known_scopes(world, call)?;
    let organization = call.key.organization;
    for (at, email) in emails.iter().enumerate() {
        if emails.iter().take(at).any(|other| other.eq_ignore_ascii_case(email)) {
            return Err(Failure::new(400, format!("{email} is invited twice")));
        }
        let taken = |member: &Member| member.organization == organization && member.email.eq_ignore_ascii_case(email);
        if !email.contains('@') {
            return Err(Failure::new(400, "invalid email"));
        }
        if world.members.iter().any(taken) {
            return Err(Failure::new(409, format!("{email} is a member of the organization, or invited")));
        }
    }
    let mut users = Vec::new();
    for email in emails {
        let id = format!("4{}", world.draw_text("member", b"0123456789", 11));
        users.push(json!({ "email": email, "userId": id }));
        world.members.push(Member {
            id,
            organization,
            email,
            first_name: String::new(),
            last_name: String::new(),
            active: false,
            org_role: role.clone(),
            project_roles: scoped(&call.body, "projectRoles").unwrap_or_default(),
            instance_roles: scoped(&call.body, "instanceRoles").unwrap_or_default(),
            invited: call.now,
            last_login: None,
        });
    }
    Ok(json!({ "success": true, "message": "", "users": users }))
}

/// The position of the member in the path.
fn position(world: &World, call: &Call) -> Result<usize, Failure> {
    let id = call.parameter("user_id").unwrap_or_default();
    let found = world.members.iter().position(|member| member.organization == call.key.organization && member.id == id);
    found.ok_or_else(|| Failure::new(404, format!("user {id} not found")))
}

/// Refuses to leave the organization without an owner.
fn keeps_an_owner(world: &World, at: usize) -> Result<(), Failure> {
    let Some(leaving) = world.members.get(at).filter(|member| member.org_role == OWNER) else { return Ok(()) };
    let is_another = |member: &Member| {
        member.organization == leaving.organization
            && member.active
            && member.org_role == OWNER
            && member.id != leaving.id
    };
    if world.members.iter().any(is_another) {
        return Ok(());
    }
    Err(Failure::new(400, "the organization must have at least one owner"))
}

/// `PATCH /v1beta1/members/{user_id}`: roles of a kind are replaced where that kind is given.
fn update(world: &mut World, call: &Call) -> Outcome {
    let at = position(world, call)?;
    known_scopes(world, call)?;
    let role = org_role(call);
    if role.as_deref().is_some_and(|role| role != OWNER) {
        keeps_an_owner(world, at)?;
    }
    if let Some(member) = world.members.get_mut(at) {
        member.org_role = role.unwrap_or_else(|| member.org_role.clone());
        if let Some(roles) = scoped(&call.body, "projectRoles") {
            member.project_roles = roles;
        }
        if let Some(roles) = scoped(&call.body, "instanceRoles") {
            member.instance_roles = roles;
        }
    }
    Ok(json!({}))
}

/// `DELETE /v1beta1/members/{user_id}`
fn remove(world: &mut World, call: &Call) -> Outcome {
    let at = position(world, call)?;
    keeps_an_owner(world, at)?;
    world.members.remove(at);
    Ok(json!({}))
}

/// `POST /v1beta1/members/{user_id}/resendInvitation`
fn resend(world: &mut World, call: &Call) -> Outcome {
    let at = position(world, call)?;
    match world.members.get_mut(at) {
        Some(member) if !member.active => {
            member.invited = call.now;
            Ok(json!({}))
        }
        _ => Err(Failure::new(400, "the invitation was accepted")),
    }
}
