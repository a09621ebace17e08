//! `db_remove_user`: remove a SQL user for good.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::db_create_user::{must_be_theirs, without_prefix};
use crate::{
    catalogue::{
        ClusterReference, Context, Done, Effect, Receipt, SQL_TIME_MAX, Stakes, Tool, ToolError, advised, said,
    },
    tidbcloud::{ApiError, Cluster, SqlUserName},
};

/// Remove a SQL user from a cluster. This cannot be undone.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct DbRemoveUser {
    cluster: ClusterReference,
    /// With or without prefix; not root
    user_name: SqlUserName,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct RemovedUser {
    user_name: String,
    removed: bool,
    #[serde(skip)]
    cluster_id: String,
}

impl Tool for DbRemoveUser {
    const NAME: &'static str = "db_remove_user";
    const TITLE: &'static str = "Remove SQL user";
    const EFFECT: Effect = Effect::Destroy;
    const RECEIPT: Option<Receipt<Self>> = Some(Receipt {
        tries: |call| {
            format!("remove the SQL user {} from the cluster {}", call.user_name.as_str(), call.cluster.as_str())
        },
        done: |removed| {
            let RemovedUser { user_name, cluster_id, .. } = removed;
            Done::of(format!("Removed the SQL user {user_name} from the cluster {cluster_id}")).affecting(Some(1))
        },
    });
    const TIME_MAX: Duration = SQL_TIME_MAX;
    type Output = RemovedUser;

    /// The cluster and the user, which a person reads, and the cluster again with the removal.
    fn requests_min(_: &Map<String, Value>) -> u32 {
        4
    }

    async fn stakes(&self, context: &Context<'_>) -> Result<Option<Stakes>, ToolError> {
        let (cluster, user_name) = self.of_cluster(context).await?;
        let user = context.cloud().sql_user(&cluster.cluster_id, &user_name).await.map_err(not_there)?;
        let stakes = Stakes::of(format!(
            "Remove the SQL user {user_name} from the cluster {}.",
            said(&cluster.display_name, cluster.cluster_id.as_str())
        ))
        .fact("Cluster", Some(&cluster.display_name))
        .fact("Cluster id", Some(&cluster.cluster_id))
        .fact("Region", cluster.region.as_ref().map(|region| &region.name))
        .fact("Role", user.builtin_role.as_ref())
        .fact("Other roles", (!user.custom_roles.is_empty()).then(|| user.custom_roles.join(", ")));
        Ok(Some(stakes.typing(&user_name, &user_name)))
    }

    async fn call(self, context: &Context<'_>) -> Result<RemovedUser, ToolError> {
        let (cluster, user_name) = self.of_cluster(context).await?;
        context.cloud().delete_sql_user(&cluster.cluster_id, &user_name).await.map_err(not_there)?;
        Ok(RemovedUser { user_name, removed: true, cluster_id: cluster.cluster_id.to_string() })
    }
}

impl DbRemoveUser {
    /// The cluster, and the user's full name there.
    async fn of_cluster(&self, context: &Context<'_>) -> Result<(Cluster, String), ToolError> {
        must_be_theirs(&self.user_name)?;
        let id = context.cluster_id(&self.cluster).await?;
        let cluster = context.cloud().cluster(&id).await?;
        let name = without_prefix(self.user_name.as_str(), &cluster)?;
        let full_name = match &cluster.user_prefix {
            Some(prefix) => format!("{prefix}.{name}"),
            None => name.to_owned(),
        };
        Ok((cluster, full_name))
    }
}

fn not_there(error: ApiError) -> ToolError {
    let hint = "Call db_list_users to see the names.";
    advised(error, |error| matches!(error, ApiError::NotFound(_)), hint)
}
