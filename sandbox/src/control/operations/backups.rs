//! `/v1beta1/backups` and `/v1beta1/clusters:restore`, which only PingCAP's command line client shows (`serverless backup`,
//! `serverless restore`).
//!
//! A backup is made each day at the start time of the policy, and is gone when its retention is over; users cannot make one; SQL users
//! are not restored; a point in time is for Essential alone, and from the cluster's creation to a minute ago
//! (<https://docs.pingcap.com/tidbcloud/backup-and-restore-serverless>). Ids are digits and names `backups/{id}`, as in the client's own
//! tests (`list_test.go`).
//!
//! Guesses, because nothing says: lists begin with the newest; backups go with their cluster; a restored cluster has the plan, capacity,
//! spending limit, region and project of its source, a name of TiDB Cloud's own, and the default of all other settings; it counts as a
//! free instance where its source is one; the messages of refusals. The data is that of the source as it is now, whatever the backup's time: the
//! sandbox keeps no copies.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{
    Call, Route,
    clusters::{FREE_CLUSTERS_MAX, draw_id},
};
use crate::control::{
    answers::{Failure, Outcome},
    contract::Origin::Client,
    pages::{Page, set_token},
    services::SERVERLESS,
    state::{Cluster, RESTORING_MILLIS, Server, Settings, World, read_timestamp, timestamp},
};
use crate::exchange::{Instance, SqlEffect};

/// The operations.
pub(super) static ROUTES: &[Route] = &[
    Route::reads(&SERVERLESS, "GET", "/backups", list).read_as(&[Client]),
    Route::reads(&SERVERLESS, "GET", "/backups/{backupId}", get).read_as(&[Client]),
    Route::writes(&SERVERLESS, "DELETE", "/backups/{backupId}", delete).read_as(&[Client]),
    Route::writes(&SERVERLESS, "POST", "/clusters:restore", restore).read_as(&[Client]),
];

const DAY_MILLIS: u64 = 24 * 60 * 60 * 1_000;
/// How far back a point in time may be.
const WINDOW_MILLIS: u64 = 14 * DAY_MILLIS;
/// How recent it may be.
const LAG_MILLIS: u64 = 60 * 1_000;

/// The backups of all clusters.
#[derive(Default)]
pub(in crate::control) struct Backups {
    kept: Vec<Backup>,
    /// By cluster: up to when they were made.
    made: BTreeMap<String, u64>,
}

/// A snapshot of a cluster.
struct Backup {
    id: String,
    cluster: String,
    created: u64,
}

impl World {
    /// Makes the backups that were due by now, by the policies as they are, and removes those whose retention is over.
    pub(super) fn keep_backups(&mut self, now: u64) {
        let Backups { kept, made } = &mut self.backups;
        let policies: BTreeMap<&str, u64> = self
            .clusters
            .iter()
            .map(|cluster| {
                let days = u64::try_from(cluster.settings.kept_days()).unwrap_or_default();
                (cluster.id.as_str(), days * DAY_MILLIS)
            })
            .collect();
        for cluster in &self.clusters {
            let retention = policies.get(cluster.id.as_str()).copied().unwrap_or_default();
            let since = made.get(&cluster.id).copied().unwrap_or(cluster.created).max(now.saturating_sub(retention));
            let at = start_of_day(&cluster.settings.backup_start);
            // The first start time after `since`.
            let mut due = since / DAY_MILLIS * DAY_MILLIS + at;
            while due <= now {
                if due > since {
                    let id = draw_backup_id(&cluster.id, due);
                    kept.push(Backup { id, cluster: cluster.id.clone(), created: due });
                }
                due += DAY_MILLIS;
            }
            made.insert(cluster.id.clone(), now);
        }
        made.retain(|cluster, _| policies.contains_key(cluster.as_str()));
        kept.retain(|backup| {
            policies.get(backup.cluster.as_str()).is_some_and(|retention| now < backup.created + retention)
        });
    }
}

/// `HH:mm` in milliseconds since midnight.
fn start_of_day(text: &str) -> u64 {
    let (hours, minutes) = text.split_once(':').unwrap_or_default();
    let number = |text: &str| text.parse::<u64>().unwrap_or_default();
    (number(hours) * 60 + number(minutes)) * 60_000
}

/// Nine digits, the same for a cluster and a moment in every run.
fn draw_backup_id(cluster: &str, created: u64) -> String {
    let digest: [u8; 32] = Sha256::digest(format!("backup {cluster} {created}")).into();
    let [a, b, c, d, ..] = digest;
    (100_000_000 + u64::from(u32::from_be_bytes([a, b, c, d])) % 900_000_000).to_string()
}

/// As the API shows it.
fn show(backup: &Backup) -> Value {
    json!({
        "name": format!("backups/{}", backup.id),
        "backupId": backup.id,
        "clusterId": backup.cluster,
        "createTime": timestamp(backup.created),
    })
}

/// The backup with this id and its cluster, for this caller.
fn find<'a>(world: &'a World, call: &Call, id: &str) -> Result<(&'a Backup, &'a Cluster), Failure> {
    let found = world.backups.kept.iter().find(|backup| backup.id == id);
    let found = found.and_then(|backup| Some((backup, world.cluster(call.key.organization, &backup.cluster)?)));
    found.ok_or_else(|| Failure::new(404, format!("backup {id} not found")))
}

/// `GET /v1beta1/backups`
pub(super) fn list(world: &World, call: &Call) -> Outcome {
    let id = call.query.get("clusterId").map_or("", String::as_str);
    if id.is_empty() {
        return Err(Failure::new(400, "clusterId is required"));
    }
    let cluster = world.cluster(call.key.organization, id);
    let cluster = cluster.ok_or_else(|| Failure::new(404, format!("cluster {id} not found")))?;
    let page = Page::read(&call.query, &format!("backups {}", cluster.id), 10)?;
    let own = || world.backups.kept.iter().rev().filter(|backup| backup.cluster == cluster.id);
    let (backups, token) = page.cut(own().map(|backup| (u64::MAX - backup.created, show(backup))));
    let mut body = json!({ "backups": backups, "totalSize": own().count() });
    set_token(&mut body, token);
    Ok(body)
}

/// `GET /v1beta1/backups/{backupId}`
pub(super) fn get(world: &World, call: &Call) -> Outcome {
    Ok(show(find(world, call, call.parameter("backupId").unwrap_or_default())?.0))
}

/// `DELETE /v1beta1/backups/{backupId}`
pub(super) fn delete(world: &mut World, call: &Call) -> Outcome {
    let id = call.parameter("backupId").unwrap_or_default();
    let shown = show(find(world, call, id)?.0);
    world.backups.kept.retain(|backup| backup.id != id);
    Ok(shown)
}

/// The cluster that is restored, from a snapshot or a point in time.
fn source<'a>(world: &'a World, call: &Call) -> Result<&'a Cluster, Failure> {
    let text = |of: &str, name: &str| call.body.get(of).and_then(|of| of.get(name)).and_then(Value::as_str);
    let in_time = call.body.get("pointInTime");
    match (text("snapshot", "backupId"), in_time) {
        (Some(backup), None) => Ok(find(world, call, backup)?.1),
        (None, Some(_)) => {
            let id = text("pointInTime", "clusterId").unwrap_or_default();
            let cluster = world.cluster(call.key.organization, id);
            let cluster = cluster.ok_or_else(|| Failure::new(404, format!("cluster {id} not found")))?;
            let time = text("pointInTime", "backupTime").and_then(read_timestamp);
            let time = time.ok_or_else(|| Failure::new(400, "invalid pointInTime.backupTime"))?;
            if cluster.settings.auto_scaling.is_none() {
                return Err(Failure::new(400, "point-in-time restore is not supported for Starter"));
            }
            // Whole seconds: the second in which the cluster was made counts as after it.
            let earliest = call.now.saturating_sub(WINDOW_MILLIS).max(cluster.created / 1_000 * 1_000);
            let latest = call.now.saturating_sub(LAG_MILLIS);
            if time < earliest || time > latest {
                let (earliest, latest) = (timestamp(earliest), timestamp(latest));
                let message = format!("invalid pointInTime.backupTime: it is not between {earliest} and {latest}");
                return Err(Failure::new(400, message));
            }
            Ok(cluster)
        }
        _ => Err(Failure::new(400, "give either snapshot or pointInTime")),
    }
}

/// `POST /v1beta1/clusters:restore`: into a new cluster.
pub(super) fn restore(world: &mut World, call: &Call) -> Outcome {
    let source = source(world, call)?;
    let (from, region, project) = (source.server.instance.clone(), source.region, source.project.clone());
    let (auto_scaling, is_free) = (source.settings.auto_scaling, source.is_free());
    let (enhanced_encryption, high_availability) = (source.enhanced_encryption, source.high_availability.clone());
    let spending_limit = source.settings.spending_limit;
    let own = world.clusters.iter().filter(|cluster| cluster.organization == call.key.organization);
    if is_free && own.filter(|cluster| cluster.is_free()).count() >= FREE_CLUSTERS_MAX {
        let message = "payment required: the organization has its 5 free clusters; set a spending limit";
        return Err(Failure::new(402, message));
    }
    let sequence = world.next_sequence();
    let id = draw_id(world);
    let prefix = world.draw_prefix();
    let instance = Instance(id.clone());
    world.effect(SqlEffect::Copy { from, to: instance.clone() });
    let settings = Settings { spending_limit, ..Settings::new(format!("restored-{id}"), auto_scaling) };
    world.clusters.push(Cluster {
        sequence,
        server: Server::new(instance, prefix, call.now, None),
        id: id.clone(),
        organization: call.key.organization,
        project,
        settings,
        region,
        enhanced_encryption,
        high_availability,
        created_by: format!("apikey-{}", call.key.public),
        created: call.now,
        updated: call.now,
        ready: call.now + RESTORING_MILLIS,
        is_restored: true,
    });
    Ok(json!({ "clusterId": id }))
}
