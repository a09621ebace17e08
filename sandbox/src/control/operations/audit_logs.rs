//! `/v1beta1/auditLogs` (Audit Log of the published API): what keys changed through this sandbox.
//!
//! Event types, results and the words for an API key are as documented
//! (<https://docs.pingcap.com/tidbcloud/tidb-cloud-console-auditing/#console-audit-event-types>), as is that owners and audit
//! managers alone see them. Guesses: the newest event comes first; `keyword` is looked for in every text of an event; the
//! documentation has no word for branches and SQL users, whose changes are not logged.

use serde_json::{Value, json};

use super::{Call, Route};
use crate::control::{
    answers::{Failure, Outcome},
    pages::{PAGE_SIZE_MAX, Page, set_token},
    services::IAM,
    state::{AuditEvent, Key, KeyRole, World, read_timestamp, timestamp},
};

/// The operations.
pub(super) static ROUTES: &[Route] = &[Route::reads(&IAM, "GET", "/auditLogs", list)];

/// Events that are remembered; the service keeps those of 90 days.
const KEPT: usize = 1_000;

/// The documented event type of what is logged, by method and path below the version.
const EVENTS: &[(&str, &str, &str)] = &[
    ("POST", "/clusters", "CreateCluster"),
    ("DELETE", "/clusters/{clusterId}", "DeleteCluster"),
    ("POST", "/members", "InviteUserToOrganization"),
    ("POST", "/members/{user_id}/resendInvitation", "ResendInvitationToOrganization"),
    ("PATCH", "/members/{user_id}", "UpdateUserRoleInOrganization"),
    ("DELETE", "/members/{user_id}", "DeleteUserFromOrganization"),
    ("DELETE", "/apikeys/{accessKey}", "DeleteAPIKey"),
];

/// What an event is about, as far as it is known before the change.
pub(super) struct Subject {
    event: &'static str,
    cluster: Option<(String, String)>,
    details: Value,
}

/// What is to be logged of a change that is about to happen; `None` for one without an event type.
pub(super) fn subject(world: &World, method: &str, path: &str, call: &Call) -> Option<Subject> {
    let (.., event) = EVENTS.iter().find(|(of, at, _)| *of == method && *at == path)?;
    let cluster = call.parameter("clusterId").and_then(|id| world.cluster(call.key.organization, id));
    let cluster = cluster.map(|cluster| (cluster.id.clone(), cluster.settings.display_name.clone()));
    let text = |name: &str| call.body.get(name).cloned().unwrap_or_default();
    let details = match *event {
        "CreateCluster" => json!({ "cluster_name": text("displayName") }),
        "InviteUserToOrganization" => json!({ "emails": text("emails") }),
        "DeleteAPIKey" => json!({ "access_key": call.parameter("accessKey") }),
        "DeleteCluster" => json!({}),
        _ => {
            let id = call.parameter("user_id").unwrap_or_default();
            let member = world.members.iter().find(|member| member.id == id);
            json!({ "email": member.map(|member| member.email.as_str()) })
        }
    };
    Some(Subject { event, cluster, details })
}

/// Logs a change and what came of it.
pub(super) fn log(world: &mut World, now: u64, key: &'static Key, subject: Subject, outcome: &Outcome) {
    let text = |name: &str| Some(outcome.as_ref().ok()?.get(name)?.as_str()?.to_owned());
    let cluster = subject.cluster.or_else(|| Some((text("clusterId")?, text("displayName")?)));
    let id = world.draw_text("audit", b"0123456789", 18);
    world.audit.push(AuditEvent {
        id: format!("1{id}"),
        organization: key.organization,
        event: subject.event,
        succeeded: outcome.is_ok(),
        by: key.display_name,
        cluster: cluster.unwrap_or_default(),
        details: subject.details.to_string(),
        time: now,
    });
    if world.audit.len() > KEPT {
        world.audit.remove(0);
    }
}

fn show(event: &AuditEvent) -> Value {
    let (cluster_id, cluster_name) = &event.cluster;
    json!({
        "id": event.id,
        "eventType": event.event,
        "result": if event.succeeded { "success" } else { "failure" },
        "operationType": "api_key",
        "operationEmail": event.by,
        "operationLoginMethod": "api_key",
        "operationIp": "127.0.0.1",
        "organizationId": event.organization,
        "clusterId": cluster_id,
        "clusterName": cluster_name,
        "details": event.details,
        "endTime": timestamp(event.time),
    })
}

/// `GET /v1beta1/auditLogs`
fn list(world: &World, call: &Call) -> Outcome {
    if call.key.role != KeyRole::Owner {
        return Err(Failure::new(403, "the API key has no permission to read audit logs"));
    }
    let page = Page::read(&call.query, &format!("auditLogs {}", call.key.organization), PAGE_SIZE_MAX)?;
    let time = |name: &str| match call.query.get(name) {
        None => Ok(None),
        Some(text) => {
            read_timestamp(text).map(Some).ok_or_else(|| Failure::new(400, format!("invalid {name}: RFC 3339")))
        }
    };
    let (start, end) = (time("startTime")?, time("endTime")?);
    let (kind, keyword) = (call.query.get("auditEventTypes"), call.query.get("keyword"));
    let is_meant = |event: &&AuditEvent| {
        let whole = event.time / 1_000 * 1_000;
        let said = [event.event, event.by, &event.cluster.0, &event.cluster.1, &event.details];
        event.organization == call.key.organization
            && start.is_none_or(|start| whole >= start)
            && end.is_none_or(|end| whole <= end)
            && kind.is_none_or(|kind| kind.split(',').any(|kind| kind == event.event))
            && keyword.is_none_or(|keyword| said.iter().any(|text| text.contains(keyword.as_str())))
    };
    let all: Vec<_> = world.audit.iter().rev().filter(is_meant).collect();
    let count = all.len();
    let (events, token) = page.cut((1..).zip(all).map(|(position, event)| (position, show(event))));
    let mut body = json!({ "auditLogs": events, "totalSize": count });
    set_token(&mut body, token);
    Ok(body)
}
