//! `db_remove_user`: remove a SQL user for good.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::db_create_user::{must_be_theirs, without_prefix};
use crate::{
    catalogue::{ClusterReference, Context, Effect, SQL_TIME_MAX, Tool, ToolError, advised},
    tidbcloud::{ApiError, SqlUserName},
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
}

impl Tool for DbRemoveUser {
    const NAME: &'static str = "db_remove_user";
    const TITLE: &'static str = "Remove SQL user";
    const EFFECT: Effect = Effect::Destroy;
    const TIME_MAX: Duration = SQL_TIME_MAX;
    type Output = RemovedUser;

    async fn call(self, context: &Context<'_>) -> Result<RemovedUser, ToolError> {
        must_be_theirs(&self.user_name)?;
        let id = context.cluster_id(&self.cluster).await?;
        let cluster = context.cloud().cluster(&id).await?;
        let name = without_prefix(self.user_name.as_str(), &cluster)?;
        let user_name = match cluster.user_prefix {
            Some(prefix) => format!("{prefix}.{name}"),
            None => name.to_owned(),
        };
        context.cloud().delete_sql_user(&id, &user_name).await.map_err(|error| {
            let hint = "Call db_list_users to see the names.";
            advised(error, |error| matches!(error, ApiError::NotFound(_)), hint)
        })?;
        Ok(RemovedUser { user_name, removed: true })
    }
}
