//! `tidbcloud_delete_backup`: remove a snapshot for good.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{backup_of, with_backups};
use crate::{
    catalogue::{ClusterReference, Context, Done, Effect, Receipt, Stakes, Tool, ToolError, said},
    tidbcloud::OpaqueId,
    tools::views::UNPUBLISHED,
};

/// Delete a backup (snapshot). This cannot be undone.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DeleteBackup {
    cluster: ClusterReference,
    /// `backupId` from tidbcloud_list_backups
    #[schemars(with = "String")]
    backup: OpaqueId,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeletedBackup {
    cluster_id: String,
    backup_id: String,
    status: &'static str,
    notice: &'static str,
}

impl Tool for DeleteBackup {
    const NAME: &'static str = "tidbcloud_delete_backup";
    const TITLE: &'static str = "Delete backup";
    const EFFECT: Effect = Effect::Destroy;
    const RECEIPT: Option<Receipt<Self>> = Some(Receipt {
        look: "Look with tidbcloud_list_backups before trying again.",
        tries: |call| format!("delete the backup {} of the cluster {}", call.backup, call.cluster.as_str()),
        done: |deleted| {
            let DeletedBackup { cluster_id, backup_id, .. } = deleted;
            Done::of(format!("Deleted the backup {backup_id} of the cluster {cluster_id}")).affecting(Some(1))
        },
    });
    type Output = DeletedBackup;

    /// Cluster and backup, and the deletion.
    fn requests_min(_: &Map<String, Value>) -> u32 {
        3
    }

    async fn stakes(&self, context: &Context<'_>) -> Result<Option<Stakes>, ToolError> {
        let cluster = with_backups(context, &self.cluster).await?;
        let backup = backup_of(context, &cluster, &self.backup).await?;
        let name = said(&cluster.display_name, cluster.cluster_id.as_str());
        let left = context.cloud().backups(&cluster.cluster_id, None, None).await?.total_size;
        let stakes = Stakes::of(format!("Delete a backup of the cluster {name}."))
            .fact("Backup", Some(&self.backup))
            .fact("Taken", backup.create_time)
            .fact("Cluster", Some(&cluster.display_name))
            .fact("Cluster id", Some(&cluster.cluster_id));
        // Each day there is one more.
        let stakes = match left {
            Some(all) => stakes.moving_fact("Backups that are left then", all.saturating_sub(1).to_string()),
            None => stakes,
        };
        Ok(Some(stakes.typing("", self.backup.as_str())))
    }

    async fn call(self, context: &Context<'_>) -> Result<DeletedBackup, ToolError> {
        let cluster = with_backups(context, &self.cluster).await?;
        backup_of(context, &cluster, &self.backup).await?;
        context.cloud().delete_backup(&self.backup).await?;
        Ok(DeletedBackup {
            cluster_id: cluster.cluster_id.to_string(),
            backup_id: self.backup.into(),
            status: "DELETED",
            notice: UNPUBLISHED,
        })
    }
}
