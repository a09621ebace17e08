//! `db_create_user`: create a SQL user whose password nobody knows.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    base::managed_name::is_managed_name,
    catalogue::{ClusterReference, Context, Done, Effect, Receipt, SQL_TIME_MAX, Tool, ToolError, advised, code},
    tidbcloud::{ApiError, Cluster, SqlRole, SqlUserName, State, random_password},
};

/// Create a SQL user, a login for an app or a person, on a cluster. Nobody knows its password: the person sets one in the
/// TiDB Cloud console, under SQL Users.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct DbCreateUser {
    cluster: ClusterReference,
    /// With or without prefix; not root
    user_name: SqlUserName,
    /// What it may do
    role: SqlRole,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CreatedUser {
    user_name: String,
    role: String,
    created: bool,
    next_step: &'static str,
    #[serde(skip)]
    cluster_id: String,
}

impl Tool for DbCreateUser {
    const NAME: &'static str = "db_create_user";
    const TITLE: &'static str = "Create SQL user";
    const EFFECT: Effect = Effect::Create;
    const RECEIPT: Option<Receipt<Self>> = Some(Receipt {
        look: "Look with db_list_users before trying again: for a user that is there the person sets a password in the console.",
        tries: |call| {
            format!("create the SQL user {} on the cluster {}", call.user_name.as_str(), call.cluster.as_str())
        },
        done: |created| {
            let CreatedUser { user_name, role, cluster_id, .. } = created;
            Done::of(format!("Created the SQL user {user_name} with {role} on the cluster {cluster_id}"))
                .affecting(Some(1))
                .undone_by(format!(
                    "db_remove_user {{\"cluster\":\"{cluster_id}\",\"userName\":\"{user_name}\"}} removes it."
                ))
        },
    });
    const TIME_MAX: Duration = SQL_TIME_MAX;
    type Output = CreatedUser;

    async fn call(self, context: &Context<'_>) -> Result<CreatedUser, ToolError> {
        must_be_theirs(&self.user_name, "Choose another name.")?;
        let id = context.cluster_id(&self.cluster).await?;
        let name = self.user_name.as_str();
        let cluster = if name.contains('.') { Some(context.cloud().cluster(&id).await?) } else { None };
        let name = cluster.as_ref().map_or(Ok(name), |cluster| without_prefix(name, cluster))?;
        let mut entropy = [0; 32];
        context.random(&mut entropy);
        let password = random_password(&entropy);
        let user = context.cloud().create_sql_user(&id, name, self.role, &password).await.map_err(|error| {
            advised(error, |error| matches!(error, ApiError::Conflict(_)), "Give another `userName`.")
        })?;
        Ok(CreatedUser {
            user_name: user.user_name,
            role: self.role.as_str().to_owned(),
            created: true,
            cluster_id: id.to_string(),
            next_step: "Ask the person to set a password: TiDB Cloud console, this cluster, SQL Users, edit the user.",
        })
    }
}

/// A SQL user's name without its cluster's prefix, which TiDB Cloud adds and results show. Only that prefix can come before
/// a dot: another one would be part of the name.
pub(super) fn without_prefix<'n>(name: &'n str, cluster: &Cluster) -> Result<&'n str, ToolError> {
    let being_made = cluster.state.as_ref().is_none_or(|state| *state == State::Creating);
    match cluster.user_prefix.as_deref().filter(|own| !own.is_empty()) {
        Some(own) => {
            let bare = name.strip_prefix(own).and_then(|rest| rest.strip_prefix('.')).unwrap_or(name);
            if SqlUserName::holds(bare) && !bare.contains('.') {
                return Ok(bare);
            }
            let message = format!("`userName`: only the cluster's prefix `{own}` can come before a dot.");
            Err(ToolError::new(code::INVALID_ARGUMENT, message).hint("Give the name without a prefix."))
        }
        None if being_made => {
            Err(ToolError::new(code::FAILED_PRECONDITION, "`cluster` is still being created and has no prefix yet.")
                .hint("Call tidbcloud_get_cluster until `state` is ACTIVE.")
                .retryable())
        }
        None => Ok(name),
    }
}

/// Refuses the names of the server's own users, with this advice, and of the administrator.
pub(super) fn must_be_theirs(name: &SqlUserName, instead: &str) -> Result<(), ToolError> {
    let bare = name.as_str().rsplit('.').next().unwrap_or_default();
    if is_managed_name(name.as_str()) {
        return Err(ToolError::new(
            code::INVALID_ARGUMENT,
            "`userName`: this name is reserved for the SQL users that this server manages.",
        )
        .hint(instead));
    }
    if bare.eq_ignore_ascii_case("root") {
        let error = ToolError::new(code::INVALID_ARGUMENT, "`userName`: `root` is the cluster's administrator.");
        return Err(error.hint("Choose another name."));
    }
    Ok(())
}
