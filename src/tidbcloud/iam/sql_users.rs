//! SQL users of clusters. A user's full name begins with the prefix of its cluster.

use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::{Value, json};

use crate::{
    base::{http::Method, secret::Secret},
    tidbcloud::{
        ApiError, Cloud, ClusterId,
        service::IAM,
        tolerant::or_default,
        transport::list::{Listed, ONE},
    },
};

/// A SQL user (schema `api.SqlUser`). It never carries a password.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SqlUser {
    /// Full name, with the prefix of its cluster.
    #[serde(default, rename = "userName|username", deserialize_with = "or_default")]
    pub user_name: String,
    /// For example `mysql_native_password`.
    #[serde(default)]
    pub auth_method: Option<String>,
    /// For example `role_readonly`; the service is known to put the cluster's prefix before it.
    #[serde(default)]
    pub builtin_role: Option<String>,
    /// Further roles.
    #[serde(default, deserialize_with = "or_default")]
    pub custom_roles: Vec<String>,
}

impl SqlUser {
    /// The role without the prefix that the service may put before it.
    pub fn bare_role(&self) -> Option<&str> {
        let role = self.builtin_role.as_deref().filter(|role| !role.is_empty())?;
        Some(role.rsplit_once('.').map_or(role, |(_, bare)| bare))
    }

    /// Whether it has one of these names, which are without prefix. Case does not count: whether TiDB Cloud distinguishes names by
    /// case is not published.
    pub fn is_one_of(&self, names: &[String]) -> bool {
        let bare = self.user_name.rsplit('.').next().unwrap_or_default();
        names.iter().any(|name| name.eq_ignore_ascii_case(bare))
    }
}

impl Listed for SqlUser {
    const MEMBER: &'static str = "sqlUsers";
}

/// Built-in roles of SQL users (`builtinRole` of `api.CreateSqlUserReq`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(inline)]
pub enum SqlRole {
    /// Reads.
    #[serde(rename = "role_readonly")]
    ReadOnly,
    /// Reads and writes rows.
    #[serde(rename = "role_readwrite")]
    ReadWrite,
    /// Everything, users and schema included.
    #[serde(rename = "role_admin")]
    Admin,
}

impl SqlRole {
    const ALL: [Self; 3] = [Self::ReadOnly, Self::ReadWrite, Self::Admin];

    /// The role of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == name)
    }

    /// What a user with it may do.
    pub fn words(self) -> &'static str {
        match self {
            Self::ReadOnly => "read every database",
            Self::ReadWrite => "read every database and change its rows",
            Self::Admin => "everything: rows, schema, SQL users",
        }
    }

    /// As the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReadOnly => "role_readonly",
            Self::ReadWrite => "role_readwrite",
            Self::Admin => "role_admin",
        }
    }
}

impl Cloud<'_> {
    /// `POST /clusters/{clusterId}/sqlUsers` of IAM: a user `<prefix>.<name>`; `name` is without the prefix, which the
    /// service puts before it. [`ApiError::Conflict`] where it exists.
    pub async fn create_sql_user(
        &self,
        id: &ClusterId,
        name: &str,
        role: SqlRole,
        password: &Secret,
    ) -> Result<SqlUser, ApiError> {
        let body = json!({
            "userName": name, "password": password.expose(), "authMethod": "mysql_native_password",
            "autoPrefix": true, "builtinRole": role, "customRoles": [],
        });
        let call = IAM.call(Method::Post, "clusters/{}/sqlUsers", [id.as_str()]).with_secret(&body, password);
        self.write(&call).await
    }

    /// `GET /clusters/{clusterId}/sqlUsers` of IAM, all pages.
    pub async fn all_sql_users(&self, id: &ClusterId) -> Result<Vec<SqlUser>, ApiError> {
        self.all(IAM.get("clusters/{}/sqlUsers", [id.as_str()])).await
    }

    /// Whether SQL users can be read: `GET /clusters/{clusterId}/sqlUsers` of IAM for one of them, sent once.
    pub async fn sees_sql_users(&self, id: &ClusterId) -> Result<(), ApiError> {
        let call = IAM.get("clusters/{}/sqlUsers", [id.as_str()]);
        self.look::<IgnoredAny>(&call.with_query(ONE)).await.map(drop)
    }

    /// `GET /clusters/{clusterId}/sqlUsers/{userName}` of IAM, by full name.
    pub async fn sql_user(&self, id: &ClusterId, full_name: &str) -> Result<SqlUser, ApiError> {
        self.read(&IAM.get("clusters/{}/sqlUsers/{}", [id.as_str(), full_name])).await
    }

    /// `PATCH /clusters/{clusterId}/sqlUsers/{userName}` of IAM, by full name: another password.
    pub async fn set_sql_password(
        &self,
        id: &ClusterId,
        full_name: &str,
        password: &Secret,
    ) -> Result<SqlUser, ApiError> {
        self.patch_sql_user(id, full_name, &json!({ "password": password.expose() }), password).await
    }

    /// `PATCH /clusters/{clusterId}/sqlUsers/{userName}` of IAM, by full name: another password and role.
    pub async fn reset_sql_user(
        &self,
        id: &ClusterId,
        full_name: &str,
        role: SqlRole,
        password: &Secret,
    ) -> Result<SqlUser, ApiError> {
        let body = json!({ "password": password.expose(), "builtinRole": role });
        self.patch_sql_user(id, full_name, &body, password).await
    }

    /// `DELETE /clusters/{clusterId}/sqlUsers/{userName}` of IAM, by full name. Repeated after a lost answer.
    pub async fn delete_sql_user(&self, id: &ClusterId, full_name: &str) -> Result<(), ApiError> {
        let call = IAM.call(Method::Delete, "clusters/{}/sqlUsers/{}", [id.as_str(), full_name]);
        self.remove::<IgnoredAny>(&call).await.map(drop)
    }

    /// `body` holds `password`.
    async fn patch_sql_user(
        &self,
        id: &ClusterId,
        full_name: &str,
        body: &Value,
        password: &Secret,
    ) -> Result<SqlUser, ApiError> {
        let call =
            IAM.call(Method::Patch, "clusters/{}/sqlUsers/{}", [id.as_str(), full_name]).with_secret(body, password);
        self.set(&call, async || None).await
    }
}
