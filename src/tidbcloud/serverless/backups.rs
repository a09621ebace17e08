//! Backups of clusters, and what is restored from them. None of it is published: it is as TiDB Cloud's command line client calls it.

use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::json;

use crate::{
    base::http::Method,
    tidbcloud::{
        ApiError, Cloud, ClusterId, OpaqueId, PageToken, Timestamp,
        service::SERVERLESS,
        transport::list::{List, Listed},
    },
};

/// A snapshot of a cluster (schema `Backup`).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct Backup {
    /// Its id.
    pub backup_id: OpaqueId,
    /// The cluster that it is of.
    #[serde(default, skip_serializing)]
    #[schemars(skip)]
    pub cluster_id: Option<String>,
    /// When it was made (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub create_time: Option<String>,
}

impl Listed for Backup {
    const MEMBER: &'static str = "backups";
}

impl Backup {
    /// An id alone reaches a backup of any cluster of the organization.
    pub fn is_of(&self, cluster: &ClusterId) -> bool {
        self.cluster_id.as_deref() == Some(cluster.as_str())
    }
}

/// What a new cluster is made of (`POST /clusters:restore`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RestorePoint {
    /// A backup.
    Backup(OpaqueId),
    /// The data of a cluster as it was at a time; of Essential alone.
    Time(ClusterId, Timestamp),
}

impl Cloud<'_> {
    /// `GET /backups?clusterId=`: one page.
    pub async fn backups(
        &self,
        id: &ClusterId,
        page_size: Option<u32>,
        page_token: Option<&PageToken>,
    ) -> Result<List<Backup>, ApiError> {
        let of_cluster = [("clusterId", id.as_str())];
        let list = SERVERLESS.get("backups", []).with_query(&of_cluster);
        let page: List<Backup> = self.page(list, page_size, page_token).await?;
        // A page token is the caller's, and may be of another list.
        match page.items.iter().all(|backup| backup.is_of(id)) {
            true => Ok(page),
            false => Err(ApiError::Unexpected("a backup of another cluster")),
        }
    }

    /// `GET /backups?clusterId=`: all pages.
    pub async fn all_backups(&self, id: &ClusterId) -> Result<Vec<Backup>, ApiError> {
        self.all(SERVERLESS.get("backups", []).with_query(&[("clusterId", id.as_str())])).await
    }

    /// `GET /backups/{backupId}`: [`ApiError::NotFound`] where it is gone.
    pub async fn backup(&self, backup: &OpaqueId) -> Result<Backup, ApiError> {
        self.read(&SERVERLESS.get("backups/{}", [backup.as_str()])).await
    }

    /// `DELETE /backups/{backupId}`. Repeated after a lost answer.
    pub async fn delete_backup(&self, backup: &OpaqueId) -> Result<(), ApiError> {
        let call = SERVERLESS.call(Method::Delete, "backups/{}", [backup.as_str()]);
        self.remove::<IgnoredAny>(&call).await.map(drop)
    }

    /// `POST /clusters:restore`: the id of the new cluster. Sent once: the new cluster has no mark by which it could be found.
    pub async fn restore(&self, from: &RestorePoint) -> Result<ClusterId, ApiError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Restored {
            cluster_id: ClusterId,
        }
        let body = match from {
            RestorePoint::Backup(id) => json!({ "snapshot": { "backupId": id } }),
            RestorePoint::Time(cluster, time) => {
                json!({ "pointInTime": { "clusterId": cluster, "backupTime": time } })
            }
        };
        let restored: Restored =
            self.write(&SERVERLESS.call(Method::Post, "clusters:restore", []).with_body(&body)).await?;
        Ok(restored.cluster_id)
    }
}
