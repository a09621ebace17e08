//! `tidbcloud_restore_backup`: a new cluster with the data of a snapshot or a point in time.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{backup_of, with_backups};
use crate::{
    catalogue::{
        ClusterReference, Context, Done, Effect, Receipt, Stakes, Tool, ToolError, code, refused_by_plan, said,
    },
    tidbcloud::{Backup, Cluster, OpaqueId, Plan, RestorePoint, Timestamp},
    tools::{
        preflight::{MayCost, preflight},
        views::UNPUBLISHED,
    },
};

/// Go back to a backup, or to how the data was at a point in time (Essential), by a restore into a new cluster, which is billed. The
/// old cluster stays as it is.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RestoreBackup {
    cluster: ClusterReference,
    /// `backupId` from tidbcloud_list_backups
    #[schemars(with = "Option<String>")]
    backup: Option<OpaqueId>,
    // No `-1h`: a person agrees some minutes later, when that is another moment.
    /// Instead: RFC 3339 time
    #[schemars(with = "Option<String>")]
    point_in_time: Option<Timestamp>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct RestoredCluster {
    /// Of the new cluster
    cluster_id: String,
    source_cluster_id: String,
    /// When the data is of
    #[serde(skip_serializing_if = "Option::is_none")]
    data_time: Option<String>,
    lacks: &'static str,
    next_step: &'static str,
    notice: &'static str,
}

/// What a restored cluster does not have. <https://docs.pingcap.com/tidbcloud/backup-and-restore-serverless>
const LACKS: &str = "SQL users, their passwords and grants: root has no password until one is set in the console.";

/// What nothing says about it.
const NOT_KNOWN: &str =
    "Whether it takes over labels, spending limit, access list and backup settings; TiDB Cloud names it.";

/// What is restored, and from where.
struct Meant {
    cluster: Cluster,
    backup: Option<Backup>,
    point: RestorePoint,
}

impl RestoreBackup {
    async fn meant(&self, context: &Context<'_>) -> Result<Meant, ToolError> {
        let which = match (&self.backup, &self.point_in_time) {
            (Some(backup), None) => Ok(backup),
            (None, Some(time)) => Err(time),
            (neither, _) => {
                let message = match neither {
                    None => "`backup` is missing.",
                    Some(_) => "Give either `backup` or `pointInTime`.",
                };
                let hint = "Give `backup` as an id from tidbcloud_list_backups, or `pointInTime` instead.";
                return Err(ToolError::new(code::INVALID_ARGUMENT, message).hint(hint));
            }
        };
        let cluster = with_backups(context, &self.cluster).await?;
        match which {
            Ok(id) => {
                let backup = backup_of(context, &cluster, id).await?;
                Ok(Meant { cluster, backup: Some(backup), point: RestorePoint::Backup(id.clone()) })
            }
            Err(time) => {
                must_have_been(context, &cluster, time)?;
                let point = RestorePoint::Time(cluster.cluster_id.clone(), time.clone());
                Ok(Meant { cluster, backup: None, point })
            }
        }
    }
}

/// Requires a plan with points in time, and one of which there is data. How recent it may be, to the minute, TiDB Cloud knows.
fn must_have_been(context: &Context<'_>, cluster: &Cluster, time: &Timestamp) -> Result<(), ToolError> {
    if cluster.plan() != Plan::Essential {
        let name = said(&cluster.display_name, cluster.cluster_id.as_str());
        let hint = "Restore one of its backups instead: call tidbcloud_list_backups.";
        let why = "which cannot go back to a point in time";
        return Err(refused_by_plan(name, cluster.plan().name(), why, hint));
    }
    let (moment, now) = (time.moment(), context.now());
    let created = cluster.create_time.clone().and_then(|time| Timestamp::try_from(time).ok());
    let days = cluster.automated_backup_policy.as_ref().and_then(|policy| policy.retention_days);
    let kept = days
        .and_then(|days| u64::try_from(days).ok())
        .map(|days| now.before(Duration::from_secs(days.saturating_mul(DAY))));
    let (message, hint) = if moment > now {
        ("`pointInTime`: must be before now.", "Give an earlier time.")
    } else if created.is_some_and(|created| moment < created.moment()) {
        ("`pointInTime`: must be after the cluster was created.", "Give a later time.")
    } else if kept.is_some_and(|kept| moment < kept) {
        (
            "`pointInTime`: must not be older than the retention of the cluster's backups.",
            "Give a later time: tidbcloud_list_backups says the retention in days.",
        )
    } else {
        return Ok(());
    };
    Err(ToolError::new(code::INVALID_ARGUMENT, message).hint(hint))
}

/// In seconds.
const DAY: u64 = 24 * 60 * 60;

impl Meant {
    fn data_time(&self) -> Option<String> {
        match &self.point {
            RestorePoint::Backup(_) => self.backup.as_ref()?.create_time.clone(),
            RestorePoint::Time(_, time) => Some(time.as_str().to_owned()),
        }
    }
}

impl Tool for RestoreBackup {
    const NAME: &'static str = "tidbcloud_restore_backup";
    const TITLE: &'static str = "Restore backup";
    const EFFECT: Effect = Effect::Create;
    const RECEIPT: Option<Receipt<Self>> = Some(Receipt {
        look: "Look with tidbcloud_list_clusters before trying again: a new cluster that is RESTORING is billed.",
        tries: |call| format!("restore data of the cluster {} into a new cluster", call.cluster.as_str()),
        done: |restored| {
            let RestoredCluster { cluster_id, source_cluster_id, .. } = restored;
            Done::of(format!(
                "Began to restore data of the cluster {source_cluster_id} into the new cluster {cluster_id}"
            ))
            .affecting(Some(1))
            .undone_by(format!("tidbcloud_delete_cluster {{\"cluster\":\"{cluster_id}\"}} deletes the new cluster."))
        },
    });
    const MAKES_CLUSTER: bool = true;
    type Output = RestoredCluster;

    /// The cluster, and the restore.
    fn requests_min(_: &Map<String, Value>) -> u32 {
        2
    }

    fn asks(&self) -> bool {
        true
    }

    /// Whether the copy takes over the access list is not known: it may be open to everybody.
    fn opens(&self) -> bool {
        true
    }

    async fn stakes(&self, context: &Context<'_>) -> Result<Option<Stakes>, ToolError> {
        let meant = self.meant(context).await?;
        let Meant { cluster, point, .. } = &meant;
        let name = said(&cluster.display_name, cluster.cluster_id.as_str());
        let backup = match point {
            RestorePoint::Backup(id) => Some(id),
            RestorePoint::Time(..) => None,
        };
        let stakes = Stakes::of(format!("Restore data of the cluster {name} into a new cluster, which is billed."))
            .fact("Cluster", Some(&cluster.display_name))
            .fact("Cluster id", Some(&cluster.cluster_id))
            .fact("Plan", Some(cluster.plan().name()))
            .fact("Region", cluster.region.as_ref().map(|region| &region.name))
            .fact("Backup", backup)
            .fact("Data as of", meant.data_time())
            .fact("It will lack", Some(LACKS))
            .fact("Not known", Some(NOT_KNOWN));
        Ok(Some(preflight(context, stakes, MayCost::New(cluster.plan())).await))
    }

    async fn call(self, context: &Context<'_>) -> Result<RestoredCluster, ToolError> {
        let meant = self.meant(context).await?;
        let restored = context.cloud().restore(&meant.point).await?;
        Ok(RestoredCluster {
            cluster_id: restored.into(),
            data_time: meant.data_time(),
            source_cluster_id: meant.cluster.cluster_id.into(),
            lacks: LACKS,
            next_step: "It can take hours: call tidbcloud_get_cluster every few minutes until `state` is ACTIVE. Then ask the person \
                        to set its root password in the console, make its SQL users again, look at its labels, spending limit and \
                        access list, and name it with tidbcloud_update_cluster.",
            notice: UNPUBLISHED,
        })
    }
}
