//! `db_list_users`: who can log in to a cluster.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    base::managed_name::is_managed_name,
    catalogue::{ClusterReference, Context, Effect, Tool, ToolError},
    tidbcloud::SqlUser,
};

/// List SQL users, who can log in to the database, with their roles.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DbListUsers {
    cluster: ClusterReference,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct SqlUsers {
    users: Vec<SqlUserLine>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct SqlUserLine {
    user_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    custom_roles: Vec<String>,
    /// Whether this server made it, to run SQL as.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    of_this_server: bool,
}

impl Tool for DbListUsers {
    const NAME: &'static str = "db_list_users";
    const TITLE: &'static str = "List SQL users";
    const EFFECT: Effect = Effect::Read;
    type Output = SqlUsers;

    async fn call(self, context: &Context<'_>) -> Result<SqlUsers, ToolError> {
        let id = context.cluster_id(&self.cluster).await?;
        let users = context.cloud().all_sql_users(&id).await?;
        Ok(SqlUsers { users: users.into_iter().map(SqlUserLine::from).collect() })
    }
}

impl From<SqlUser> for SqlUserLine {
    fn from(user: SqlUser) -> Self {
        // The service is known to put the cluster's prefix before a role.
        let bare = |role: String| role.rsplit_once('.').map(|(_, bare)| bare.to_owned()).unwrap_or(role);
        Self {
            of_this_server: is_managed_name(&user.user_name),
            user_name: user.user_name,
            role: user.builtin_role.filter(|role| !role.is_empty()).map(bare),
            custom_roles: user.custom_roles,
        }
    }
}
