//! `tidbcloud_delete_cluster`: remove a cluster for good.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::money;
use crate::{
    catalogue::{ClusterReference, Context, Done, Effect, Receipt, Stakes, Tool, ToolError, said},
    tidbcloud::{AutoScaling, AutomatedBackupPolicy, State},
};

/// Delete a cluster with all its data and branches. This cannot be undone.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DeleteCluster {
    cluster: ClusterReference,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeletedCluster {
    cluster_id: String,
    status: &'static str,
}

impl Tool for DeleteCluster {
    const NAME: &'static str = "tidbcloud_delete_cluster";
    const TITLE: &'static str = "Delete cluster";
    const EFFECT: Effect = Effect::Destroy;
    // Backups are restored on the page of their cluster, which is gone with it.
    // <https://docs.pingcap.com/tidbcloud/backup-and-restore-serverless>
    const RECEIPT: Option<Receipt<Self>> = Some(Receipt {
        look: "Look with tidbcloud_list_clusters before trying again.",
        tries: |call| format!("delete the cluster {}", call.cluster.as_str()),
        done: |deleted| {
            Done::of(format!("Deleted the cluster {} and all its branches", deleted.cluster_id)).affecting(Some(1))
        },
    });
    type Output = DeletedCluster;

    /// The cluster and its branches, which a person reads, and the deletion.
    fn requests_min(_: &Map<String, Value>) -> u32 {
        3
    }

    async fn stakes(&self, context: &Context<'_>) -> Result<Option<Stakes>, ToolError> {
        let id = context.cluster_id(&self.cluster).await?;
        let cluster = context.cloud().cluster(&id).await?;
        let branches = context.cloud().all_branches(&id).await?;
        let names: Vec<_> = branches.iter().map(|branch| branch.display_name.as_str()).collect();
        let deleted = match names.len() {
            0 => "none".to_owned(),
            count => format!("{count}: {}", names.join(", ")),
        };
        let stakes =
            Stakes::of(format!("Delete the cluster {} with all its data.", said(&cluster.display_name, id.as_str())))
                .fact("Name", Some(&cluster.display_name))
                .fact("Id", Some(&id))
                .fact("Region", cluster.region.as_ref().map(|region| &region.name))
                .fact("State", cluster.state.as_ref().map(State::as_str))
                .fact("Plan", cluster.service_plan.as_ref())
                .fact("Size", cluster.auto_scaling.and_then(size))
                .fact("Highest monthly bill", cluster.spending_limit.and_then(|limit| limit.monthly).map(money))
                .fact("Created", cluster.create_time.as_ref())
                .fact("Branches, which are deleted too", Some(deleted))
                .fact("Automatic backups", Some(backups(cluster.automated_backup_policy.as_ref())));
        Ok(Some(stakes.typing(&cluster.display_name, id.as_str())))
    }

    async fn call(self, context: &Context<'_>) -> Result<DeletedCluster, ToolError> {
        let id = context.cluster_id(&self.cluster).await?;
        context.cloud().delete_cluster(&id).await?;
        Ok(DeletedCluster { cluster_id: id.to_string(), status: "DELETING" })
    }
}

/// The capacity of an Essential instance. The API gives no size of the data.
fn size(capacity: AutoScaling) -> Option<String> {
    let AutoScaling { min_rcu, max_rcu } = capacity;
    Some(format!("{} to {} request capacity units", min_rcu?, max_rcu?))
}

/// The policy: the API does not list the backups themselves.
fn backups(policy: Option<&AutomatedBackupPolicy>) -> String {
    let Some(policy) = policy else { return "none known".to_owned() };
    let at = policy.start_time.as_ref().map(|time| format!(" at {time} UTC")).unwrap_or_default();
    let days = match policy.retention_days {
        None => String::new(),
        Some(1) => ", each kept for a day".to_owned(),
        Some(days) => format!(", each kept for {days} days"),
    };
    format!("every day{at}{days}; the time of the last one is not known here")
}
