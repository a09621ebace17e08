//! The contents of a grant, and their form before they are sealed.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    base::{clock::UnixMillis, json, secret::Secret},
    catalogue::Narrowing,
    store::grant::Presence,
    tidbcloud::{ApiKey, Authenticator, BearerToken, SqlLogin, alias::Aliases},
};

/// Organizations of one grant: sets of keys on one page.
pub(super) const SETS_MAX: usize = 5;

/// The contents of a grant, sealed as a whole.
#[derive(Default)]
pub struct Contents {
    /// The organizations, in the order in which they were given; none on an owner's deployment.
    pub organizations: Vec<Organization>,
    /// Short names for clusters.
    pub aliases: Aliases,
    /// How the address that the client connected to narrows the tools: the person saw it.
    pub view: Narrowing,
    /// Who is asked before a call destroys something or makes it cost more: the person chose it.
    pub presence: Presence,
}

/// One organization of TiDB Cloud.
pub struct Organization {
    /// The person's name for it.
    pub name: String,
    /// Its credential.
    pub credential: Credential,
    /// A SQL user, if the key cannot manage SQL users.
    pub sql: Option<SqlLogin>,
}

/// The credential of an organization.
pub enum Credential {
    /// An API key.
    Key(ApiKey),
    /// A sign-in at TiDB Cloud.
    SignIn(SignIn),
}

/// Tokens of TiDB Cloud's own OAuth.
#[derive(Clone)]
pub struct SignIn {
    /// For the API.
    pub access: Secret,
    /// When it ends, if that was said.
    pub ends: Option<UnixMillis>,
    /// For the next one.
    pub refresh: Option<Secret>,
    /// Whom they stand for.
    pub subject: String,
    /// What SQL passwords are derived from: 32 random bytes in hexadecimal.
    pub derivation: Secret,
}

impl Credential {
    /// As sent to the API. `None` if a token is malformed.
    pub fn authenticator(&self) -> Option<Authenticator> {
        match self {
            Self::Key(key) => Some(key.clone().into()),
            Self::SignIn(SignIn { access, subject, derivation, .. }) => {
                BearerToken::new(access.expose(), subject, derivation.expose()).ok().map(Authenticator::from)
            }
        }
    }
}

impl Contents {
    /// How long all sign-ins stay valid; `None` if they do not end.
    pub(super) fn lasts(&self, now: UnixMillis) -> Option<Duration> {
        let ends = self.organizations.iter().filter_map(|organization| match &organization.credential {
            Credential::SignIn(sign_in) => sign_in.ends,
            Credential::Key(_) => None,
        });
        ends.min().map(|ends| now.until(ends))
    }
}

/// As it is written.
#[derive(Serialize, Deserialize)]
struct Written {
    organizations: Vec<WrittenOrganization>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    aliases: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Narrowing::is_everything")]
    view: Narrowing,
    #[serde(default, skip_serializing_if = "Presence::is_any")]
    presence: Presence,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WrittenOrganization {
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    public_key: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    private_key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sign_in: Option<WrittenSignIn>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sql_cluster: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sql_user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sql_password: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct WrittenSignIn {
    access: String,
    ends: Option<u64>,
    refresh: Option<String>,
    subject: String,
    derivation: String,
}

impl WrittenOrganization {
    fn of(organization: &Organization) -> Self {
        let sql = organization.sql.as_ref();
        let mut written = Self {
            name: organization.name.clone(),
            sql_cluster: sql.and_then(|sql| sql.cluster.as_ref()).map(ToString::to_string),
            sql_user: sql.map(|sql| sql.user.clone()),
            sql_password: sql.map(|sql| sql.password.expose().to_owned()),
            ..Self::default()
        };
        match &organization.credential {
            Credential::Key(key) => {
                written.public_key = key.public().to_owned();
                written.private_key = key.private().expose().to_owned();
            }
            Credential::SignIn(SignIn { access, ends, refresh, subject, derivation }) => {
                written.sign_in = Some(WrittenSignIn {
                    access: access.expose().to_owned(),
                    ends: ends.map(|ends| ends.0),
                    refresh: refresh.as_ref().map(|refresh| refresh.expose().to_owned()),
                    subject: subject.clone(),
                    derivation: derivation.expose().to_owned(),
                });
            }
        }
        written
    }

    fn read(self) -> Option<Organization> {
        let sql = match (self.sql_user, self.sql_password) {
            (Some(user), Some(password)) => {
                let cluster = match self.sql_cluster {
                    Some(cluster) => Some(cluster.parse().ok()?),
                    None => None,
                };
                Some(SqlLogin::new(user, password).ok()?.only_for(cluster))
            }
            _ => None,
        };
        let credential = match self.sign_in {
            Some(WrittenSignIn { access, ends, refresh, subject, derivation }) => Credential::SignIn(SignIn {
                access: Secret::new(access),
                ends: ends.map(UnixMillis),
                refresh: refresh.map(Secret::new),
                subject,
                derivation: Secret::new(derivation),
            }),
            None => Credential::Key(ApiKey::new(self.public_key, self.private_key).ok()?),
        };
        Some(Organization { name: self.name, credential, sql })
    }
}

impl Contents {
    /// The text that is sealed, with what the address leaves and who is asked.
    pub(super) fn write(&self, view: &Narrowing, presence: Presence) -> Option<String> {
        let aliases = self.aliases.iter().map(|(alias, id)| (alias.to_owned(), id.to_string())).collect();
        let organizations = self.organizations.iter().map(WrittenOrganization::of).collect();
        serde_json::to_string(&Written { organizations, aliases, view: view.clone(), presence }).ok()
    }

    /// Reads what was opened.
    pub(super) fn read(text: &str) -> Option<Self> {
        let Written { organizations, aliases, view, presence } = json::read(text.as_bytes()).ok()?;
        let organizations = organizations.into_iter().map(WrittenOrganization::read).collect::<Option<_>>()?;
        Some(Self { organizations, aliases: Aliases::new(aliases).ok()?, view, presence })
    }
}
