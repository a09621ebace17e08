//! `/v1beta1/clusters/{clusterId}/branches` (BranchService of the published API), and the PATCH of a branch's SQL user, which only
//! PingCAP's command line client shows.
//!
//! Guesses about the service, because nothing says: the SQL users of the parent are copied with the data and take the
//! branch's prefix; `parentTimestamp` is checked and shown, but the copy is of the data as it is now.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Call, Route, clusters};
use crate::control::{
    answers::{Failure, Outcome},
    contract::Origin::{Client, Published},
    pages::{Page, set_token},
    services::SERVERLESS,
    state::{
        Branch, CREATING_MILLIS, Cluster, Password, RESTORING_MILLIS, Server, SqlUser, World, read_timestamp, timestamp,
    },
};
use crate::exchange::{Instance, Role, SqlEffect};

/// The operations.
pub(super) static ROUTES: &[Route] = &[
    Route::reads(&SERVERLESS, "GET", "/clusters/{clusterId}/branches", list),
    Route::writes(&SERVERLESS, "POST", "/clusters/{clusterId}/branches", create).read_as(&[Published, Client]),
    Route::reads(&SERVERLESS, "GET", "/clusters/{clusterId}/branches/{branchId}", get),
    Route::writes(&SERVERLESS, "DELETE", "/clusters/{clusterId}/branches/{branchId}", delete),
    Route::writes(&SERVERLESS, "POST", "/clusters/{clusterId}/branches/{branchId}:reset", reset),
    Route::writes(
        &SERVERLESS,
        "PATCH",
        "/clusters/{clusterId}/branches/{branchId}/sqlUsers/{username}",
        update_sql_user,
    )
    .read_as(&[Client]),
];

/// Branches that an organization may have.
pub const BRANCHES_MAX: usize = 5;
/// How far back a branch may begin: a day for a free instance, 14 days otherwise.
const WINDOW_FREE_MILLIS: u64 = 24 * 60 * 60 * 1_000;
/// See [`WINDOW_FREE_MILLIS`].
const WINDOW_MILLIS: u64 = 14 * WINDOW_FREE_MILLIS;
/// Letters of a branch id: `bran-` and 26 of them.
const ID_ALPHABET: &[u8] = b"0123456789abcdefghijklmnopqrstuv";
/// Letters after `bran-`.
const ID_LENGTH: usize = 26;

/// As the API shows it, in both views; see [`clusters::show`].
fn show(branch: &Branch, cluster: &Cluster, now: u64) -> Value {
    let mut annotations = branch.annotations.clone();
    let has_password = branch.server.users.get("root").is_some_and(SqlUser::has_password);
    annotations.insert("tidb.cloud/has-set-password".to_owned(), has_password.to_string());
    let mut shown = json!({
        "name": format!("clusters/{}/branches/{}", branch.cluster, branch.id),
        "branchId": branch.id,
        "displayName": branch.display_name,
        "clusterId": branch.cluster,
        "parentId": branch.parent,
        "parentDisplayName": branch.parent_display_name,
        "parentTimestamp": timestamp(branch.parent_time),
        "createdBy": branch.created_by,
        "userPrefix": branch.server.prefix,
        "state": branch.state(now),
        "annotations": annotations,
        "createTime": timestamp(branch.created),
        "updateTime": timestamp(branch.updated),
    });
    if now >= branch.ready
        && let Some(fields) = shown.as_object_mut()
    {
        let mut endpoints = clusters::endpoints(cluster);
        // The published schema of a branch has no such member.
        if let Some(private) = endpoints.pointer_mut("/private").and_then(Value::as_object_mut) {
            private.remove("alicloud");
        }
        fields.insert("endpoints".to_owned(), endpoints);
    }
    shown
}

/// Refuses what cannot be an id, then what is not there for this caller. Gives the position in `world.branches`.
fn known<'a>(world: &'a World, call: &Call) -> Result<(&'a Cluster, usize, &'a Branch), Failure> {
    let cluster = clusters::known(world, call)?;
    let id = call.parameter("branchId").unwrap_or_default();
    let rest = id.strip_prefix("bran-").unwrap_or_default();
    if rest.len() != ID_LENGTH || !rest.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()) {
        return Err(Failure::new(400, "invalid branch id"));
    }
    let found = world.branches.iter().enumerate().find(|(_, branch)| branch.cluster == cluster.id && branch.id == id);
    let (position, branch) = found.ok_or_else(|| Failure::new(404, format!("branch {id} not found")))?;
    Ok((cluster, position, branch))
}

/// `GET .../branches`
pub(super) fn list(world: &World, call: &Call) -> Outcome {
    let cluster = clusters::known(world, call)?;
    let page = Page::read(&call.query, &format!("branches {}", cluster.id), 10)?;
    let own = || world.branches.iter().filter(|branch| branch.cluster == cluster.id);
    let (branches, token) = page.cut(own().map(|branch| (branch.sequence, show(branch, cluster, call.now))));
    let mut body = json!({ "branches": branches, "totalSize": own().count() });
    set_token(&mut body, token);
    Ok(body)
}

/// `GET .../branches/{branchId}`
pub(super) fn get(world: &World, call: &Call) -> Outcome {
    let (cluster, _, branch) = known(world, call)?;
    Ok(show(branch, cluster, call.now))
}

/// Where a branch comes from.
struct Parent<'a> {
    display_name: &'a str,
    state: &'static str,
    created: u64,
    server: &'a Server,
}

/// The cluster itself or one of its branches.
fn parent<'a>(world: &'a World, cluster: &'a Cluster, id: &str, now: u64) -> Option<Parent<'a>> {
    if cluster.id == id {
        let display_name = &cluster.settings.display_name;
        let (state, created) = (cluster.state(now), cluster.created);
        return Some(Parent { display_name, state, created, server: &cluster.server });
    }
    let branch = world.branches.iter().find(|branch| branch.cluster == cluster.id && branch.id == id)?;
    let (state, created) = (branch.state(now), branch.created);
    Some(Parent { display_name: &branch.display_name, state, created, server: &branch.server })
}

/// The time of the parent that the body names, or now.
fn parent_time(cluster: &Cluster, parent: &Parent<'_>, call: &Call) -> Result<u64, Failure> {
    let Some(text) = call.body.get("parentTimestamp").and_then(Value::as_str) else { return Ok(call.now) };
    let time = read_timestamp(text).ok_or_else(|| Failure::new(400, "invalid parentTimestamp"))?;
    let window = if cluster.is_free() { WINDOW_FREE_MILLIS } else { WINDOW_MILLIS };
    // Whole seconds: the second in which the parent was made counts as after it.
    let earliest = call.now.saturating_sub(window).max(parent.created / 1_000 * 1_000);
    if time > call.now || time < earliest {
        let (earliest, now) = (timestamp(earliest), timestamp(call.now));
        return Err(Failure::new(400, format!("invalid parentTimestamp: it is not between {earliest} and {now}")));
    }
    Ok(time)
}

/// Annotations as given.
fn annotations(call: &Call) -> BTreeMap<String, String> {
    let given = call.body.get("annotations").and_then(Value::as_object).into_iter().flatten();
    given.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

/// `POST .../branches`
pub(super) fn create(world: &mut World, call: &Call) -> Outcome {
    let cluster = clusters::known(world, call)?;
    let cluster_id = cluster.id.clone();
    let text = |name: &str| call.body.get(name).and_then(Value::as_str);
    let display_name = text("displayName").unwrap_or_default().to_owned();
    if display_name.is_empty() || display_name.chars().count() > 64 {
        return Err(Failure::new(400, "invalid displayName: 1 to 64 characters"));
    }
    let parent_id = text("parentId").filter(|id| !id.is_empty()).unwrap_or(&cluster_id).to_owned();
    let parent = parent(world, cluster, &parent_id, call.now).ok_or_else(|| {
        Failure::new(400, format!("invalid parentId: {parent_id} is neither the cluster nor a branch"))
    })?;
    if parent.state != "ACTIVE" {
        return Err(Failure::new(400, format!("parent {parent_id} is {}, not ACTIVE", parent.state)));
    }
    let parent_time = parent_time(cluster, &parent, call)?;
    let mut users = parent.server.users.clone();
    let from = parent.server.instance.clone();
    let parent_display_name = parent.display_name.to_owned();
    let of_organization = |branch: &&Branch| world.cluster(call.key.organization, &branch.cluster).is_some();
    if world.branches.iter().filter(of_organization).count() >= BRANCHES_MAX {
        return Err(Failure::new(402, "payment required: the organization has its 5 branches (branch quota)"));
    }
    if let Some(password) = text("rootPassword") {
        users.insert("root".to_owned(), SqlUser::new(call.now, Role::Admin, Vec::new(), Some(Password::new(password))));
    }
    let sequence = world.next_sequence();
    let id = format!("bran-{}", world.draw_text("branch", ID_ALPHABET, ID_LENGTH));
    let prefix = world.draw_prefix();
    let instance = Instance(format!("{cluster_id}/{id}"));
    world.effect(SqlEffect::Copy { from, to: instance.clone() });
    let branch = Branch {
        sequence,
        id,
        cluster: cluster_id.clone(),
        parent: parent_id,
        parent_display_name,
        parent_time,
        display_name,
        annotations: annotations(call),
        created_by: format!("apikey-{}", call.key.public),
        created: call.now,
        updated: call.now,
        ready: call.now + CREATING_MILLIS,
        restored: 0,
        server: Server { instance, prefix, users },
    };
    let cluster =
        world.cluster(call.key.organization, &cluster_id).ok_or_else(|| Failure::new(404, "cluster not found"))?;
    let shown = show(&branch, cluster, call.now);
    world.branches.push(branch);
    Ok(shown)
}

/// `DELETE .../branches/{branchId}`
pub(super) fn delete(world: &mut World, call: &Call) -> Outcome {
    let (cluster, position, branch) = known(world, call)?;
    let mut shown = show(branch, cluster, call.now);
    if let Some(fields) = shown.as_object_mut() {
        fields.insert("state".to_owned(), json!("DELETED"));
        fields.insert("updateTime".to_owned(), json!(timestamp(call.now)));
    }
    let gone = world.branches.remove(position);
    world.effect(SqlEffect::Drop(gone.server.instance));
    Ok(shown)
}

fn check_active(branch: &Branch, now: u64) -> Result<(), Failure> {
    match branch.state(now) {
        "ACTIVE" => Ok(()),
        state => Err(Failure::new(400, format!("branch {} is {state}, not ACTIVE", branch.id))),
    }
}

/// `POST .../branches/{branchId}:reset`: data and SQL users of the parent again.
pub(super) fn reset(world: &mut World, call: &Call) -> Outcome {
    let (cluster, position, branch) = known(world, call)?;
    check_active(branch, call.now)?;
    let Some(parent) = parent(world, cluster, &branch.parent, call.now) else {
        return Err(Failure::new(400, format!("parent {} of branch {} is gone", branch.parent, branch.id)));
    };
    if parent.state != "ACTIVE" {
        return Err(Failure::new(400, format!("parent {} is {}, not ACTIVE", branch.parent, parent.state)));
    }
    let (users, from) = (parent.server.users.clone(), parent.server.instance.clone());
    let to = branch.server.instance.clone();
    if let Some(branch) = world.branches.get_mut(position) {
        branch.server.users = users;
        branch.updated = call.now;
        branch.parent_time = call.now;
        branch.restored = call.now + RESTORING_MILLIS;
    }
    world.effect(SqlEffect::Copy { from, to });
    let (cluster, _, branch) = known(world, call)?;
    Ok(show(branch, cluster, call.now))
}

/// `PATCH .../branches/{branchId}/sqlUsers/{username}`: a new password; the name is the one to log in with, prefix included.
pub(super) fn update_sql_user(world: &mut World, call: &Call) -> Outcome {
    let (_, position, branch) = known(world, call)?;
    check_active(branch, call.now)?;
    let username = call.parameter("username").unwrap_or_default();
    let missing = || Failure::new(404, format!("sql user {username} not found"));
    let Some(password) = call.body.get("password").and_then(Value::as_str) else {
        return Err(Failure::new(400, "field `password` is required"));
    };
    let branch = world.branches.get_mut(position).ok_or_else(missing)?;
    let name = branch.server.without_prefix(username);
    let user = name.and_then(|name| branch.server.users.get_mut(name)).ok_or_else(missing)?;
    user.set_password(call.now, Password::new(password));
    Ok(json!({ "username": username }))
}
