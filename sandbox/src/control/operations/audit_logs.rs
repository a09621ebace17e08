//! `/v1beta1/auditLogs` (Audit Log of the published API): what keys changed through this sandbox.
//!
//! Event types, results and the words for an API key are as documented
//! (<https://docs.pingcap.com/tidbcloud/tidb-cloud-console-auditing/#console-audit-event-types>), as is that owners and audit
//! managers alone see them. Guesses: the newest event comes first; `keyword` is looked for in every text of an event; `details`; that a
//! key's changes are logged like those in the console; that one change is one event. The documentation has no event type for SQL users,
//! exports, the reset of a branch, a cluster's name, labels and capacity, its endpoint's switch, and New Relic: those changes are not
//! logged. What is read is not either, though `ShowBill` and `ShowConsoleAuditLog` are documented.

use serde_json::{Value, json};

use super::{Call, Route};
use crate::control::{
    answers::{Failure, Outcome},
    pages::{PAGE_SIZE_MAX, Page, set_token},
    services::IAM,
    state::{AuditEvent, Key, KeyRole, Member, World, read_timestamp, timestamp},
};

/// The operations.
pub(super) static ROUTES: &[Route] = &[Route::reads(&IAM, "GET", "/auditLogs", list)];

/// Events that are remembered; the service keeps those of 90 days.
const KEPT: usize = 1_000;

/// The end of the path of a private endpoint's operations.
const PRIVATE: &str = "/clusters/{clusterId}/tidbNodeGroups/{tidbNodeGroupId}/privateEndpointConnections";

/// The documented event type of a change, by method and path below the version; `None` for one that has none.
fn event(world: &World, method: &str, path: &str, call: &Call) -> Option<&'static str> {
    Some(match (method, path) {
        ("POST", "/clusters") => "CreateCluster",
        ("DELETE", "/clusters/{clusterId}") => "DeleteCluster",
        ("PATCH", "/clusters/{cluster.clusterId}") => return of_mask(call),
        ("POST", "/clusters/{clusterId}/branches") => "CreateBranch",
        ("DELETE", "/clusters/{clusterId}/branches/{branchId}") => "DeleteBranch",
        ("DELETE", "/backups/{backupId}") => "DeleteBackup",
        ("POST", "/clusters:restore") => "RestoreFromBackup",
        ("POST", "/clusters/{clusterId}/imports") => match call.body.get("source")?.get("type")?.as_str()? {
            "S3" => "ImportDataFromAWS",
            "GCS" => "ImportDataFromGCP",
            "LOCAL" => "ImportDataFromLocal",
            _ => return None,
        },
        ("POST", PRIVATE) => "CreateAWSPrivateEndPoint",
        ("DELETE", path) if path.starts_with(PRIVATE) => "DeleteAWSPrivateEndPoint",
        ("POST", "/clusters/{clusterId}/integrations") => match call.body.get("type")?.as_str()? {
            "PROMETHEUS" => "CreatePrometheusIntegration",
            "DATADOG" => "CreateDatadogIntegration",
            _ => return None,
        },
        ("DELETE", "/clusters/{clusterId}/integrations/{id}") => {
            let id = call.parameter("id")?;
            match world.integrations.iter().find(|integration| integration.id == id)?.kind {
                "PROMETHEUS" => "DeletePrometheusIntegration",
                "DATADOG" => "DeleteDatadogIntegration",
                _ => return None,
            }
        }
        ("POST", "/members") => "InviteUserToOrganization",
        ("POST", "/members/{user_id}/resendInvitation") => "ResendInvitationToOrganization",
        ("PATCH", "/members/{user_id}") => "UpdateUserRoleInOrganization",
        ("DELETE", "/members/{user_id}") => match member(world, call) {
            Some(member) if !member.active => "DeleteInvitationToOrganization",
            _ => "DeleteUserFromOrganization",
        },
        ("DELETE", "/apikeys/{accessKey}") => "DeleteAPIKey",
        _ => return None,
    })
}

/// The same of what changes on a cluster, the first of which counts.
fn of_mask(call: &Call) -> Option<&'static str> {
    let mask = call.body.get("updateMask")?.as_str()?;
    mask.split(',').find_map(|path| match path.trim() {
        "endpoints" | "endpoints.public" | "endpoints.public.authorizedNetworks" => Some("UpdateIPAccessList"),
        path if path.starts_with("automatedBackupPolicy") => Some("SetAutoBackup"),
        path if path.starts_with("spendingLimit") => Some("SetSpendLimit"),
        _ => None,
    })
}

/// The member in the path.
fn member<'w>(world: &'w World, call: &Call) -> Option<&'w Member> {
    let id = call.parameter("user_id")?;
    world.members.iter().find(|member| member.organization == call.key.organization && member.id == id)
}

/// What an event is about, as far as it is known before the change.
pub(super) struct Subject {
    event: &'static str,
    cluster: Option<(String, String)>,
    details: Value,
}

/// What is to be logged of a change that is about to happen; `None` for one without an event type.
pub(super) fn subject(world: &World, method: &str, path: &str, call: &Call) -> Option<Subject> {
    let event = event(world, method, path, call)?;
    let id = call.parameter("clusterId").or_else(|| call.parameter("cluster.clusterId"));
    let cluster = id.and_then(|id| world.cluster(call.key.organization, id));
    let cluster = cluster.map(|cluster| (cluster.id.clone(), cluster.settings.display_name.clone()));
    let text = |name: &str| call.body.get(name).cloned().unwrap_or_default();
    let details = match event {
        "CreateBranch" => json!({ "branch_name": text("displayName") }),
        "CreateCluster" => json!({ "cluster_name": text("displayName") }),
        "InviteUserToOrganization" => json!({ "emails": text("emails") }),
        "DeleteAPIKey" => json!({ "access_key": call.parameter("accessKey") }),
        _ if path.starts_with("/members") => {
            json!({ "email": member(world, call).map(|member| member.email.as_str()) })
        }
        _ => json!({}),
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
