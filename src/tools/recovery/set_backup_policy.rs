//! `tidbcloud_set_backup_policy`: when backups are made, and how long they are kept.

use std::{cmp::Ordering, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::with_backups;
use crate::{
    base::{schema::schema_of, scope::Scope},
    catalogue::{ClusterReference, Context, Done, Effect, Receipt, Stakes, Tool, ToolError, code, named, said},
    tidbcloud::{AutomatedBackupPolicy, Cluster, ClusterChange, Plan, Timestamp},
    tools::preflight::{MayCost, preflight},
};

/// Change start time and retention of automatic backups. A shorter retention deletes backups.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SetBackupPolicy {
    cluster: ClusterReference,
    /// HH:mm, UTC
    start_time: Option<TimeOfDay>,
    /// 1 to 30
    retention_days: Option<Days>,
}

/// `HH:mm`.
#[derive(Clone, Deserialize)]
#[serde(try_from = "String")]
struct TimeOfDay(String);

impl TryFrom<String> for TimeOfDay {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let is_below = |part: &str, end: u8| {
            part.len() == 2
                && part.bytes().all(|byte| byte.is_ascii_digit())
                && part.parse().is_ok_and(|it: u8| it < end)
        };
        match text.split_once(':') {
            Some((hours, minutes)) if is_below(hours, 24) && is_below(minutes, 60) => Ok(Self(text)),
            _ => Err("must be HH:mm, from 00:00 to 23:59"),
        }
    }
}

/// How long a backup is kept. <https://docs.pingcap.com/tidbcloud/backup-and-restore-serverless>
#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "i64")]
struct Days(u8);

impl TryFrom<i64> for Days {
    type Error = &'static str;

    fn try_from(days: i64) -> Result<Self, Self::Error> {
        let days = u8::try_from(days).ok().filter(|days| (1..=30).contains(days));
        days.map(Self).ok_or("must be a whole number from 1 to 30")
    }
}

schema_of! {
    TimeOfDay => {"type": "string"};
    Days => {"type": "integer", "minimum": 1};
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct PolicyView {
    cluster_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retention_days: Option<i64>,
    /// What was changed, as it was, as far as it is known and can be set again.
    #[serde(skip)]
    before: AutomatedBackupPolicy,
    #[serde(skip)]
    display_name: String,
}

/// The cluster that is meant, if its policy can be set.
async fn changeable(context: &Context<'_>, reference: &ClusterReference) -> Result<Cluster, ToolError> {
    let cluster = with_backups(context, reference).await?;
    if cluster.is_free() {
        let name = said(&cluster.display_name, cluster.cluster_id.as_str());
        let message = format!(
            "The cluster {name} is a free Starter cluster: its backups are kept for a day, at a time that TiDB Cloud sets. \
             Nothing was changed."
        );
        let hint = "With a spending limit (tidbcloud_update_cluster) the policy can be set; or keep data by an export.";
        return Err(ToolError::new(code::FAILED_PRECONDITION, message).hint(hint));
    }
    Ok(cluster)
}

/// How many backups are older than so many days.
async fn older(context: &Context<'_>, cluster: &Cluster, days: u8) -> String {
    let since = context.now().before(Duration::from_secs(u64::from(days) * 24 * 60 * 60));
    let is_older = |time: &String| Timestamp::try_from(time.clone()).is_ok_and(|time| time.moment() <= since);
    match context.cloud().all_backups(&cluster.cluster_id).await {
        Ok(all) => all.iter().filter(|backup| backup.create_time.as_ref().is_some_and(is_older)).count().to_string(),
        Err(_) => "not known: backups could not be listed".to_owned(),
    }
}

impl SetBackupPolicy {
    /// The policy as it is to be, with the half that is not asked for as it is: TiDB Cloud takes both, and clears what is left out.
    fn whole(&self, cluster: &Cluster) -> Result<AutomatedBackupPolicy, ToolError> {
        let before = cluster.automated_backup_policy.clone().unwrap_or_default();
        let start_time = self.start_time.as_ref().map(|time| time.0.clone()).or(before.start_time);
        let retention_days = self.retention_days.map(|Days(days)| days.into()).or(before.retention_days);
        if start_time.is_none() || retention_days.is_none() {
            let message = "TiDB Cloud does not show the whole backup policy that is there. Nothing was changed.";
            let hint = "Give both startTime and retentionDays: what is left out would be lost.";
            return Err(ToolError::new(code::FAILED_PRECONDITION, message).hint(hint));
        }
        Ok(AutomatedBackupPolicy { start_time, retention_days })
    }
}

impl Tool for SetBackupPolicy {
    const NAME: &'static str = "tidbcloud_set_backup_policy";
    const TITLE: &'static str = "Set backup policy";
    const EFFECT: Effect = Effect::Update;
    const RECEIPT: Option<Receipt<Self>> = Some(Receipt {
        look: "Look with tidbcloud_get_cluster before trying again.",
        tries: |call| format!("set the backup policy of the cluster {}", call.cluster.as_str()),
        done: |set| {
            let PolicyView { cluster_id, before, display_name, .. } = set;
            let AutomatedBackupPolicy { start_time, retention_days } = before;
            let done = Done::of(format!("Set the backup policy of the cluster {}", named(display_name, cluster_id)))
                .affecting(Some(1));
            let mut undo = Map::from_iter([("cluster".to_owned(), json!(cluster_id))]);
            undo.extend(retention_days.map(|days| ("retentionDays".to_owned(), json!(days))));
            undo.extend(start_time.iter().map(|time| ("startTime".to_owned(), json!(time))));
            let undo = Value::Object(undo);
            if *before == AutomatedBackupPolicy::default() {
                return done;
            }
            done.undone_by(format!("tidbcloud_set_backup_policy {undo} sets it as before, without deleted backups."))
        },
    });
    type Output = PolicyView;

    /// The cluster, and the change.
    fn requests_min(_: &Map<String, Value>) -> u32 {
        2
    }

    /// A shorter retention deletes backups. Whether it is shorter is read later, and the scope is known before.
    fn scope(arguments: &Map<String, Value>) -> Scope {
        if arguments.contains_key("retentionDays") { Scope::Destroy } else { Self::EFFECT.scope() }
    }

    fn asks(&self) -> bool {
        self.retention_days.is_some()
    }

    /// A shorter retention is asked about, and on Essential, where backups are billed, a longer one too.
    async fn stakes(&self, context: &Context<'_>) -> Result<Option<Stakes>, ToolError> {
        let Some(Days(days)) = self.retention_days else { return Ok(None) };
        let cluster = changeable(context, &self.cluster).await?;
        self.whole(&cluster)?;
        let before = cluster.automated_backup_policy.as_ref().and_then(|policy| policy.retention_days);
        let name = said(&cluster.display_name, cluster.cluster_id.as_str());
        let order = before.map(|before| i64::from(days).cmp(&before));
        let what = match order {
            Some(Ordering::Equal) => return Ok(None),
            Some(Ordering::Greater) if cluster.plan() != Plan::Essential => return Ok(None),
            Some(Ordering::Greater) => format!("Keep backups of the cluster {name} for more time: they are billed."),
            Some(Ordering::Less) => {
                format!("Keep backups of the cluster {name} for less time: older ones are deleted.")
            }
            None => format!("Keep backups of the cluster {name} for {days} days: older ones are deleted."),
        };
        let stakes = Stakes::of(what)
            .fact("Cluster", Some(&cluster.display_name))
            .fact("Cluster id", Some(&cluster.cluster_id))
            .fact("Days now", before)
            .fact("Days then", Some(days))
            .fact("Start time then", self.start_time.as_ref().map(|time| &time.0));
        if order == Some(Ordering::Greater) {
            return Ok(Some(preflight(context, stakes, MayCost::More(cluster.plan())).await));
        }
        // One more of them is older tomorrow.
        let stakes = stakes.moving_fact("Backups older than that", older(context, &cluster, days).await);
        Ok(Some(stakes.typing(&cluster.display_name, cluster.cluster_id.as_str())))
    }

    async fn call(self, context: &Context<'_>) -> Result<PolicyView, ToolError> {
        if self.start_time.is_none() && self.retention_days.is_none() {
            let message = "There is nothing to change: no argument says what.";
            return Err(ToolError::new(code::INVALID_ARGUMENT, message).hint("Give startTime or retentionDays."));
        }
        let cluster = changeable(context, &self.cluster).await?;
        let change = ClusterChange::BackupPolicy(self.whole(&cluster)?);
        let before = cluster.automated_backup_policy.unwrap_or_default();
        let before = AutomatedBackupPolicy {
            start_time: before
                .start_time
                .filter(|time| self.start_time.is_some() && TimeOfDay::try_from(time.clone()).is_ok()),
            retention_days: before
                .retention_days
                .filter(|days| self.retention_days.is_some() && Days::try_from(*days).is_ok()),
        };
        let set = context.cloud().update_cluster(&cluster.cluster_id, &change).await?;
        let policy = set.automated_backup_policy.unwrap_or_default();
        Ok(PolicyView {
            cluster_id: cluster.cluster_id.into(),
            start_time: policy.start_time,
            retention_days: policy.retention_days,
            before,
            display_name: cluster.display_name,
        })
    }
}
