//! `db_remove_user`: remove a SQL user for good.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Effect, SQL_TIME_MAX, Tool, Toolset, db_create_user::must_be_theirs, resolve::ClusterReference};
use crate::{
    mcp::tools::{ToolError, ToolErrorCode},
    platform::Platform,
    tidbcloud::SqlUserName,
};

/// Remove a SQL user from a cluster. This cannot be undone.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct DbRemoveUser {
    cluster: ClusterReference,
    /// With or without the cluster's prefix.
    #[schemars(with = "String")]
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
    const TOOLSET: Toolset = Toolset::Database;
    const TIME_MAX: Duration = SQL_TIME_MAX;
    type Output = RemovedUser;

    async fn call<P: Platform>(self, context: &Context<'_, P>) -> Result<RemovedUser, ToolError> {
        must_be_theirs(&self.user_name)?;
        let id = context.cluster_id(&self.cluster).await?;
        let cluster = context.cloud().cluster(&id).await?;
        let user_name = match cluster.user_prefix {
            Some(prefix) if self.user_name.as_str().starts_with(&format!("{prefix}.")) => {
                self.user_name.as_str().to_owned()
            }
            Some(prefix) => format!("{prefix}.{}", self.user_name.as_str()),
            None if cluster.state.as_ref().is_none_or(|state| state.as_str() == "CREATING") => {
                return Err(ToolError::new(ToolErrorCode::FailedPrecondition, "The cluster is still being created.")
                    .hint("Call tidbcloud_get_cluster until `state` is ACTIVE.")
                    .retryable());
            }
            None => self.user_name.as_str().to_owned(),
        };
        context.cloud().delete_sql_user(&id, &user_name).await?;
        Ok(RemovedUser { user_name, removed: true })
    }
}
