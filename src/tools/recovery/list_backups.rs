//! `tidbcloud_list_backups`: the snapshots of a cluster.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::with_backups;
use crate::{
    catalogue::{ClusterReference, Context, Effect, PageSize, Tool, ToolError},
    tidbcloud::{Backup, PageToken},
    tools::views::UNPUBLISHED,
};

/// List the backups of a cluster: when each snapshot was taken, and how long they are kept.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ListBackups {
    cluster: ClusterReference,
    page_size: Option<PageSize>,
    /// Last `nextPageToken`
    #[schemars(with = "Option<String>")]
    page_token: Option<PageToken>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Backups {
    cluster_id: String,
    plan: &'static str,
    backups: Vec<Backup>,
    /// HH:mm UTC
    #[serde(skip_serializing_if = "Option::is_none")]
    start_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retention_days: Option<i64>,
    made: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_size: Option<u64>,
    notice: &'static str,
}

impl Tool for ListBackups {
    const NAME: &'static str = "tidbcloud_list_backups";
    const TITLE: &'static str = "List backups";
    const EFFECT: Effect = Effect::Read;
    type Output = Backups;

    async fn call(self, context: &Context<'_>) -> Result<Backups, ToolError> {
        let cluster = with_backups(context, &self.cluster).await?;
        let page_size = self.page_size.map(PageSize::get);
        let page = context.cloud().backups(&cluster.cluster_id, page_size, self.page_token.as_ref()).await?;
        let plan = cluster.plan().name();
        let policy = cluster.automated_backup_policy.unwrap_or_default();
        Ok(Backups {
            cluster_id: cluster.cluster_id.to_string(),
            plan,
            backups: page.items,
            start_time: policy.start_time,
            retention_days: policy.retention_days,
            made: "By TiDB Cloud itself, each day. Nobody can make one for this plan.",
            next_page_token: page.next_page_token,
            total_size: page.total_size,
            notice: UNPUBLISHED,
        })
    }
}
