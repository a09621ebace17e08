//! `db_list_users`: who can log in to a cluster.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    base::managed_name::is_managed_name,
    catalogue::{ClusterReference, Context, Effect, Tool, ToolError},
    tidbcloud::{SqlRole, SqlUser},
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
    notice: &'static str,
}

/// IAM knows roles only.
const NOTICE: &str = "TiDB Cloud's API knows roles of whole clusters. Rights given by SQL, such as on one database, are not listed: \
                      SHOW GRANTS FOR the user in db_query shows them.";

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct SqlUserLine {
    user_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<String>,
    /// The role in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    may: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    custom_roles: Vec<String>,
    /// Whether this server made it, to run SQL as.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    of_this_server: bool,
    /// For whom this server made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    made_for: Option<&'static str>,
}

impl Tool for DbListUsers {
    const NAME: &'static str = "db_list_users";
    const TITLE: &'static str = "List SQL users";
    const EFFECT: Effect = Effect::Read;
    type Output = SqlUsers;

    async fn call(self, context: &Context<'_>) -> Result<SqlUsers, ToolError> {
        let id = context.cluster_id(&self.cluster).await?;
        let users = context.cloud().all_sql_users(&id).await?;
        let own = context.sql().own_user_names();
        Ok(SqlUsers { users: users.into_iter().map(|user| SqlUserLine::of(user, &own)).collect(), notice: NOTICE })
    }
}

impl SqlUserLine {
    /// `own` are the names of the caller's managed users.
    fn of(user: SqlUser, own: &[String]) -> Self {
        let made_for = match is_managed_name(&user.user_name) {
            true if user.is_one_of(own) => Some("your credentials"),
            true => Some("other credentials, or another deployment of this server"),
            false => None,
        };
        Self {
            role: user.bare_role().map(str::to_owned),
            may: user.bare_role().and_then(SqlRole::named).map(SqlRole::words),
            of_this_server: made_for.is_some(),
            made_for,
            user_name: user.user_name,
            custom_roles: user.custom_roles,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::SqlUserLine;

    #[test]
    fn a_managed_user_is_told_from_those_of_others() {
        let own = ["mcp_ro_0123abcd".to_owned()];
        let line = |name: &str, role: &str| {
            let user = crate::base::json::from_value(json!({"userName": name, "builtinRole": role})).expect("a user");
            serde_json::to_value(SqlUserLine::of(user, &own)).expect("JSON")
        };
        let mine = line("2aEp24QWEDLqRFs.mcp_ro_0123ABCD", "2aEp24QWEDLqRFs.role_readonly");
        assert_eq!((&mine["ofThisServer"], &mine["madeFor"]), (&json!(true), &json!("your credentials")), "{mine}");
        let others = line("2aEp24QWEDLqRFs.mcp_ro_0123abce", "role_readonly");
        assert_eq!(others["ofThisServer"], json!(true), "{others}");
        assert!(others["madeFor"].as_str().is_some_and(|text| text.starts_with("other credentials")), "{others}");
        let person = line("2aEp24QWEDLqRFs.mcp_ro_0123abcd_too", "");
        assert!(person.get("ofThisServer").is_none() && person.get("madeFor").is_none(), "{person}");
        assert!(person.get("role").is_none() && person.get("may").is_none(), "no role is no right: {person}");
        assert_eq!(line("a", "x.role_readwrite")["may"], "read every database and change its rows");
        let unknown = line("a", "role_of_tomorrow");
        assert!(unknown["role"] == "role_of_tomorrow" && unknown.get("may").is_none(), "no guess: {unknown}");
    }
}
