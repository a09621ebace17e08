//! `db_create_user`: a SQL user whose password nobody knows.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Effect, SQL_TIME_MAX, Tool, Toolset, resolve::ClusterReference};
use crate::{
    managed_name::is_managed_name,
    mcp::tools::{ToolError, ToolErrorCode},
    platform::Platform,
    tidbcloud::{SqlRole, SqlUserName, random_password},
};

/// Create a SQL user on a cluster. Its password is random and known to nobody: the person sets one in the TiDB Cloud
/// console, under SQL Users.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct DbCreateUser {
    cluster: ClusterReference,
    /// Without the cluster's prefix.
    #[schemars(with = "String")]
    user_name: SqlUserName,
    /// Reads; reads and writes rows; everything.
    role: SqlRole,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CreatedUser {
    user_name: String,
    role: String,
    created: bool,
    next_step: &'static str,
}

impl Tool for DbCreateUser {
    const NAME: &'static str = "db_create_user";
    const TITLE: &'static str = "Create SQL user";
    const EFFECT: Effect = Effect::Create;
    const TOOLSET: Toolset = Toolset::Database;
    const TIME_MAX: Duration = SQL_TIME_MAX;
    type Output = CreatedUser;

    async fn call<P: Platform>(self, context: &Context<'_, P>) -> Result<CreatedUser, ToolError> {
        must_be_theirs(&self.user_name)?;
        let id = context.cluster_id(&self.cluster).await?;
        let mut entropy = [0; 32];
        context.random(&mut entropy);
        let password = random_password(&entropy);
        let user = context.cloud().create_sql_user(&id, self.user_name.as_str(), self.role, &password).await?;
        Ok(CreatedUser {
            user_name: user.user_name,
            role: self.role.as_str().to_owned(),
            created: true,
            next_step: "Ask the person to set a password: TiDB Cloud console, this cluster, SQL Users, edit the user.",
        })
    }
}

/// Refuses the names of the server's own users and of the administrator.
pub(super) fn must_be_theirs(name: &SqlUserName) -> Result<(), ToolError> {
    let bare = name.as_str().rsplit('.').next().unwrap_or_default();
    if is_managed_name(name.as_str()) {
        return Err(ToolError::new(
            ToolErrorCode::InvalidArgument,
            "`userName`: this name belongs to the SQL users that this server manages for itself.",
        ));
    }
    if bare.eq_ignore_ascii_case("root") {
        return Err(ToolError::new(ToolErrorCode::InvalidArgument, "`userName`: `root` is the cluster's administrator."));
    }
    Ok(())
}
