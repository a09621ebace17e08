//! What a grant holds, and how it is written down before it is sealed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    alias::Aliases,
    tidbcloud::{ApiKey, ClusterId, SqlLogin},
};

/// What a person gave: sealed as a whole.
#[derive(Default)]
pub struct Contents {
    /// The organizations, in the order in which they were given; none on an owner's deployment.
    pub organizations: Vec<Organization>,
    /// Short names for clusters.
    pub aliases: Aliases,
}

/// One organization of TiDB Cloud.
pub struct Organization {
    /// What the person calls it.
    pub name: String,
    /// Its key.
    pub key: ApiKey,
    /// A SQL user, where the key may not manage SQL users.
    pub sql: Option<OwnSqlUser>,
}

/// A SQL user of the person's own.
pub struct OwnSqlUser {
    /// The only cluster that it is used on, with its branches; any that its prefix belongs to where absent.
    pub cluster: Option<ClusterId>,
    /// Name and password.
    pub login: SqlLogin,
}

/// As it is written.
#[derive(Serialize, Deserialize)]
struct Written {
    organizations: Vec<WrittenOrganization>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    aliases: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WrittenOrganization {
    name: String,
    public_key: String,
    private_key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sql_cluster: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sql_user: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sql_password: Option<String>,
}

impl Contents {
    /// The text that is sealed.
    pub(super) fn write(&self) -> Option<String> {
        let organizations = self.organizations.iter().map(|organization| {
            let sql = organization.sql.as_ref();
            WrittenOrganization {
                name: organization.name.clone(),
                public_key: organization.key.public().to_owned(),
                private_key: organization.key.private().expose().to_owned(),
                sql_cluster: sql.and_then(|sql| sql.cluster.as_ref()).map(ToString::to_string),
                sql_user: sql.map(|sql| sql.login.user.clone()),
                sql_password: sql.map(|sql| sql.login.password.expose().to_owned()),
            }
        });
        let written = Written { organizations: organizations.collect(), aliases: self.written_aliases() };
        serde_json::to_string(&written).ok()
    }

    /// Reads what was opened.
    pub(super) fn read(text: &str) -> Option<Self> {
        let Written { organizations, aliases } = serde_json::from_slice(text.as_bytes()).ok()?;
        let organizations = organizations.into_iter().map(|written| {
            let sql = match (written.sql_user, written.sql_password) {
                (Some(user), Some(password)) => Some(OwnSqlUser {
                    cluster: match written.sql_cluster {
                        Some(cluster) => Some(cluster.parse().ok()?),
                        None => None,
                    },
                    login: SqlLogin::new(user, password).ok()?,
                }),
                _ => None,
            };
            Some(Organization {
                name: written.name,
                key: ApiKey::new(written.public_key, written.private_key).ok()?,
                sql,
            })
        });
        Some(Self { organizations: organizations.collect::<Option<_>>()?, aliases: Aliases::new(aliases).ok()? })
    }

    fn written_aliases(&self) -> BTreeMap<String, String> {
        self.aliases.iter().map(|(alias, id)| (alias.to_owned(), id.to_string())).collect()
    }
}
