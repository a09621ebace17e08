//! `db_remove_user`: remove a SQL user, or those that this server made for the caller, for good.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::db_create_user::{must_be_theirs, without_prefix};
use crate::{
    catalogue::{
        ClusterReference, Context, Done, Effect, Receipt, SQL_TIME_MAX, Stakes, Tool, ToolError, advised, code, said,
    },
    tidbcloud::{ApiError, Cluster, ClusterId, SqlUserName},
};

/// Remove a SQL user from a cluster. This cannot be undone.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct DbRemoveUser {
    cluster: ClusterReference,
    /// With or without prefix; not root
    user_name: Option<SqlUserName>,
    /// Instead: all this server made for your key, before you delete it
    of_this_server: Option<bool>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct RemovedUser {
    #[serde(skip_serializing_if = "Option::is_none")]
    user_name: Option<String>,
    /// Those of this server.
    #[serde(skip_serializing_if = "Option::is_none")]
    user_names: Option<Vec<String>>,
    removed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    notice: Option<&'static str>,
    #[serde(skip)]
    cluster_id: String,
}

/// Whom a call removes.
enum Whom<'a> {
    One(&'a SqlUserName),
    /// The managed users of the caller's credentials.
    OfThisServer,
}

impl Tool for DbRemoveUser {
    const NAME: &'static str = "db_remove_user";
    const TITLE: &'static str = "Remove SQL user";
    const EFFECT: Effect = Effect::Destroy;
    const RECEIPT: Option<Receipt<Self>> = Some(Receipt {
        look: "Look with db_list_users before trying again.",
        tries: |call| {
            let whom = match &call.user_name {
                Some(name) => format!("the SQL user {}", name.as_str()),
                None => "the SQL users of this server".to_owned(),
            };
            format!("remove {whom} from the cluster {}", call.cluster.as_str())
        },
        done: RemovedUser::done,
    });
    const TIME_MAX: Duration = SQL_TIME_MAX;
    type Output = RemovedUser;

    /// A person reads the cluster and the users. One user: the cluster again, and the removal. Those of this server: the users again,
    /// and three removals at most.
    fn requests_min(arguments: &Map<String, Value>) -> u32 {
        if arguments.get("ofThisServer") == Some(&Value::Bool(true)) { 6 } else { 4 }
    }

    async fn stakes(&self, context: &Context<'_>) -> Result<Option<Stakes>, ToolError> {
        let of = |cluster: &Cluster, what: String| {
            Stakes::of(format!(
                "Remove {what} from the cluster {}.",
                said(&cluster.display_name, cluster.cluster_id.as_str())
            ))
            .fact("Cluster", Some(&cluster.display_name))
            .fact("Cluster id", Some(&cluster.cluster_id))
            .fact("Region", cluster.region.as_ref().map(|region| &region.name))
        };
        if let Whom::One(name) = self.whom()? {
            let (cluster, user_name) = self.of_cluster(context, name).await?;
            let user = context.cloud().sql_user(&cluster.cluster_id, &user_name).await.map_err(not_there)?;
            let stakes = of(&cluster, format!("the SQL user {user_name}"))
                .fact("Role", user.builtin_role.as_ref())
                .fact("Other roles", (!user.custom_roles.is_empty()).then(|| user.custom_roles.join(", ")));
            return Ok(Some(stakes.typing(&user_name, &user_name)));
        }
        let id = context.cluster_id(&self.cluster).await?;
        let users = own_users(context, &id).await?;
        if users.is_empty() {
            return Ok(None);
        }
        let cluster = context.cloud().cluster(&id).await?;
        let stakes = of(
            &cluster,
            match users.len() {
                1 => "the SQL user that this server made for this key".to_owned(),
                count => format!("the {count} SQL users that this server made for this key"),
            },
        );
        let stakes = users.iter().fold(stakes, |stakes, user| stakes.fact("SQL user", Some(user)));
        Ok(Some(stakes.typing(&cluster.display_name, cluster.cluster_id.as_str())))
    }

    async fn call(self, context: &Context<'_>) -> Result<RemovedUser, ToolError> {
        if let Whom::One(name) = self.whom()? {
            let (cluster, user_name) = self.of_cluster(context, name).await?;
            context.cloud().delete_sql_user(&cluster.cluster_id, &user_name).await.map_err(not_there)?;
            let cluster_id = cluster.cluster_id.to_string();
            return Ok(RemovedUser {
                user_name: Some(user_name),
                user_names: None,
                removed: true,
                notice: None,
                cluster_id,
            });
        }
        let id = context.cluster_id(&self.cluster).await?;
        let mut removed = RemovedUser {
            user_name: None,
            user_names: None,
            removed: false,
            notice: Some("The next SQL call with this key makes them again. Delete the key before that."),
            cluster_id: id.to_string(),
        };
        let mut names = Vec::new();
        for user in own_users(context, &id).await? {
            match context.cloud().delete_sql_user(&id, &user).await {
                // Somebody else was faster.
                Ok(()) | Err(ApiError::NotFound(_)) => names.push(user),
                Err(error) => {
                    let mut error = ToolError::from(error);
                    if !names.is_empty() {
                        removed.user_names = Some(names);
                        error.receipt = removed.done().in_part();
                    }
                    return Err(error);
                }
            }
        }
        removed.removed = !names.is_empty();
        removed.user_names = Some(names);
        Ok(removed)
    }
}

impl DbRemoveUser {
    fn whom(&self) -> Result<Whom<'_>, ToolError> {
        match (&self.user_name, self.of_this_server.unwrap_or_default()) {
            (Some(name), false) => {
                let instead =
                    "With `ofThisServer`: true instead of `userName`, those made for your key are removed together.";
                must_be_theirs(name, instead)?;
                Ok(Whom::One(name))
            }
            (None, true) => Ok(Whom::OfThisServer),
            (name, _) => {
                let message = if name.is_some() {
                    "`userName` and `ofThisServer` exclude each other."
                } else {
                    "`userName` is missing."
                };
                Err(ToolError::new(code::INVALID_ARGUMENT, message)
                    .hint("Give `userName` as the name of one user, or `ofThisServer`: true for those that this server made for your key."))
            }
        }
    }

    /// The cluster, and the user's full name there.
    async fn of_cluster(&self, context: &Context<'_>, name: &SqlUserName) -> Result<(Cluster, String), ToolError> {
        let id = context.cluster_id(&self.cluster).await?;
        let cluster = context.cloud().cluster(&id).await?;
        let name = without_prefix(name.as_str(), &cluster)?;
        let full_name = match &cluster.user_prefix {
            Some(prefix) => format!("{prefix}.{name}"),
            None => name.to_owned(),
        };
        Ok((cluster, full_name))
    }
}

impl RemovedUser {
    fn done(&self) -> Done {
        let Self { user_name, user_names, cluster_id, .. } = self;
        let Some(names) = user_names else {
            let name = user_name.as_deref().unwrap_or_default();
            return Done::of(format!("Removed the SQL user {name} from the cluster {cluster_id}")).affecting(Some(1));
        };
        let which = match names.as_slice() {
            [] => "no SQL user of this server".to_owned(),
            names => format!("SQL users of this server, {},", names.join(", ")),
        };
        Done::of(format!("Removed {which} from the cluster {cluster_id}"))
            .affecting(u64::try_from(names.len()).ok())
            .undone_by("The next SQL call with this key makes them again.")
    }
}

/// The full names of the managed users of the caller's credentials on a cluster.
async fn own_users(context: &Context<'_>, id: &ClusterId) -> Result<Vec<String>, ToolError> {
    let own = context.sql().own_user_names();
    let users = context.cloud().all_sql_users(id).await?;
    Ok(users.into_iter().filter(|user| user.is_one_of(&own)).map(|user| user.user_name).collect())
}

fn not_there(error: ApiError) -> ToolError {
    let hint = "Call db_list_users to see the names.";
    advised(error, |error| matches!(error, ApiError::NotFound(_)), hint)
}
