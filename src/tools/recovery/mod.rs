//! Backups, restore, and the reset of a branch.

mod delete_backup;
mod list_backups;
mod reset_branch;
mod restore_backup;
mod set_backup_policy;

use crate::{
    catalogue::{ClusterReference, Context, Entry, Group, ToolError, Toolset, code},
    tidbcloud::{ApiError, Backup, Cluster, OpaqueId},
};

/// The toolset.
pub(super) const GROUP: Group = Group {
    toolset: Toolset::Recovery,
    tools: &[
        Entry::of::<reset_branch::ResetBranch>,
        Entry::of::<list_backups::ListBackups>,
        Entry::of::<restore_backup::RestoreBackup>,
        Entry::of::<set_backup_policy::SetBackupPolicy>,
        Entry::of::<delete_backup::DeleteBackup>,
    ],
};

/// The cluster that is meant, if it is of a plan whose backups have an API that is called here.
async fn with_backups(context: &Context<'_>, reference: &ClusterReference) -> Result<Cluster, ToolError> {
    let hint = "This server does not reach backups of Dedicated. Ask the person to look in the TiDB Cloud console: this cluster, \
                Data, Backup.";
    context.serverless_cluster(reference, hint).await
}

/// A backup of this cluster.
async fn backup_of(context: &Context<'_>, cluster: &Cluster, id: &OpaqueId) -> Result<Backup, ToolError> {
    match context.cloud().backup(id).await {
        Ok(backup) if backup.is_of(&cluster.cluster_id) => Ok(backup),
        Ok(_) | Err(ApiError::NotFound(_)) => {
            let error = ToolError::new(code::NOT_FOUND, format!("This cluster has no backup `{id}`."));
            Err(error.hint("Call tidbcloud_list_backups: a backup is gone when its retention is over."))
        }
        Err(error) => Err(error.into()),
    }
}
