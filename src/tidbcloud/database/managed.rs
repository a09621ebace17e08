//! Managed SQL users, which the service creates: one per cluster and access class.
//!
//! Nothing about them is stored. The name carries a hash of server secret and public key, so that two keys or two
//! deployments never fight over one user. The password is derived from server secret and private key, so that a leaked
//! key that was deleted opens no database. With a bearer token, its grant's secret replaces the key.

use super::{
    Databases,
    facts::Facts,
    failure::SqlFailure,
    login::{AccessClass, SqlLogin},
};
use crate::{
    base::{
        hash::{hex, hmac_sha256},
        managed_name::{CLASSES, HASH_BYTES, START},
        secret::Secret,
    },
    tidbcloud::{ApiError, Authenticator, ClusterId, SqlRole, Target},
};

/// The characters of passwords: 24 + 24 letters and 8 digits without `I`, `O`, `l`, `o`, `0` and `1`, which look like
/// others, and 8 marks that need no escape in JSON or SQL. 64 in all, so that six bits choose one evenly.
const ALPHABET: &[u8; 64] = b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz23456789-_.~+*^=";
/// Where each kind of character stands in [`ALPHABET`]: start and length.
const KINDS: [(usize, usize); 4] = [(0, 24), (24, 24), (48, 8), (56, 8)];

impl AccessClass {
    const ALL: [Self; 3] = [Self::ReadOnly, Self::ReadWrite, Self::Admin];

    /// As it stands in names.
    fn short(self) -> &'static str {
        let [read_only, read_write, admin] = CLASSES;
        match self {
            Self::ReadOnly => read_only,
            Self::ReadWrite => read_write,
            Self::Admin => admin,
        }
    }

    fn role(self) -> SqlRole {
        match self {
            Self::ReadOnly => SqlRole::ReadOnly,
            Self::ReadWrite => SqlRole::ReadWrite,
            Self::Admin => SqlRole::Admin,
        }
    }
}

/// Name without prefix.
fn name(server_secret: &Secret, authenticator: &Authenticator, class: AccessClass) -> String {
    let hash = authenticator.sql_user_name_hash(server_secret);
    let (head, _) = hash.split_at(HASH_BYTES);
    format!("{START}{}_{}", class.short(), hex(head))
}

fn password(server_secret: &Secret, authenticator: &Authenticator, cluster: &ClusterId, class: AccessClass) -> Secret {
    let key = authenticator.sql_password_key(server_secret);
    shaped(&hmac_sha256(&key, format!("sql password v1\n{cluster}\n{}", class.short()).as_bytes()))
}

/// A password that nobody knows, from 32 random bytes: for a user whose password a person sets later.
pub fn random_password(bits: &[u8; 32]) -> Secret {
    shaped(bits)
}

/// 32 characters, within TiDB Cloud's 8 to 64: one of each kind and 28 of 6 bits, 168 bits.
fn shaped(bits: &[u8]) -> Secret {
    let kinds = KINDS.iter().copied().chain(std::iter::repeat((0, ALPHABET.len())));
    let characters = bits.iter().zip(kinds).filter_map(|(byte, (start, length))| {
        ALPHABET.get(start + usize::from(*byte) % length).copied().map(char::from)
    });
    Secret::new(characters.collect::<String>())
}

impl Databases<'_> {
    /// Name and password of the managed user of this class; a branch has those of its cluster, copied with its data.
    pub(super) fn managed_login(&self, target: &Target, class: AccessClass, facts: &Facts) -> SqlLogin {
        let (secret, authenticator) = (self.server_secret, self.cloud.authenticator);
        SqlLogin {
            cluster: None,
            user: facts.full_name(&name(secret, authenticator, class)),
            password: password(secret, authenticator, &target.cluster, class),
        }
    }

    /// Repairs a refused login: creates the user, or sets its password again.
    pub(super) async fn repair(&self, target: &Target, class: AccessClass, login: &SqlLogin) -> Result<(), SqlFailure> {
        let repaired = match &target.branch {
            // Branches have no call that creates a user: it is there only if the branch was made after it.
            Some(branch) => {
                let set = self.cloud.set_branch_sql_password(&target.cluster, branch, &login.user, &login.password);
                match set.await {
                    Err(ApiError::NotFound(_)) => return Err(SqlFailure::BranchOlderThanItsUsers),
                    set => set.map(drop),
                }
            }
            None => match self.create(&target.cluster, class).await {
                // Even if the creation had no response, the user is now as it should be.
                Err(ApiError::Conflict(_) | ApiError::OutcomeUnknown { .. }) => {
                    let SqlLogin { user, password, .. } = login;
                    self.cloud.reset_sql_user(&target.cluster, user, class.role(), password).await.map(drop)
                }
                created => created,
            },
        };
        match repaired {
            // Logging in shows whether it happened.
            Ok(()) | Err(ApiError::OutcomeUnknown { .. }) => Ok(()),
            Err(cause @ (ApiError::Forbidden(_) | ApiError::NotOffered(_) | ApiError::NotFound(_))) => {
                Err(SqlFailure::NoManagedUser { cause })
            }
            Err(error) => Err(SqlFailure::Api(error)),
        }
    }

    /// The names, without prefix, of the users that are made for this caller on any cluster. Another key, or another deployment, has
    /// others.
    pub fn own_user_names(&self) -> [String; 3] {
        AccessClass::ALL.map(|class| name(self.server_secret, self.cloud.authenticator, class))
    }

    /// Makes sure that the three managed users exist on a cluster, so that a branch made now gets copies of them.
    /// `user_prefix` is the cluster's.
    pub async fn ensure_users(&self, cluster: &ClusterId, user_prefix: &str) -> Result<(), ApiError> {
        for class in AccessClass::ALL {
            match self.create(cluster, class).await {
                Ok(()) | Err(ApiError::Conflict(_)) => {}
                Err(ApiError::OutcomeUnknown { .. }) => {
                    let full_name =
                        format!("{user_prefix}.{}", name(self.server_secret, self.cloud.authenticator, class));
                    self.cloud.sql_user(cluster, &full_name).await?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn create(&self, cluster: &ClusterId, class: AccessClass) -> Result<(), ApiError> {
        let authenticator = self.cloud.authenticator;
        let password = password(self.server_secret, authenticator, cluster, class);
        let name = name(self.server_secret, authenticator, class);
        self.cloud.create_sql_user(cluster, &name, class.role(), &password).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{
        base::managed_name::is_managed_name,
        tidbcloud::{ApiKey, BearerToken},
    };

    fn key(public: &str, private: &str) -> Authenticator {
        ApiKey::new(public, private).unwrap().into()
    }

    fn bearer(token: &str, subject: &str, derivation: &str) -> Authenticator {
        BearerToken::new(token, subject, derivation).unwrap().into()
    }

    /// Names and passwords of all classes.
    fn derived(authenticator: &Authenticator) -> Vec<String> {
        let (secret, cluster) = (Secret::new("canary-server-secret"), "10581234567890123456".parse().unwrap());
        let of_class = |class| {
            let password = password(&secret, authenticator, &cluster, class);
            format!("{} {}", name(&secret, authenticator, class), password.expose())
        };
        AccessClass::ALL.into_iter().map(of_class).collect()
    }

    #[test]
    fn names_fit_mysql_and_are_known_again() {
        let name = name(&Secret::new("canary-server"), &key("SBXOWNER", "canary"), AccessClass::Admin);
        assert_eq!(name.len(), 15);
        assert_eq!(format!("2aEp24QWEDLqRFs.{name}").len(), 31);
        assert!(is_managed_name(&name) && is_managed_name(&format!("2aEp24QWEDLqRFs.{name}")));
    }

    #[test]
    fn every_input_makes_another_user_or_password() {
        let derive = |server: &str, public: &str, private: &str, cluster: &str, class| {
            let (secret, key) = (Secret::new(server), key(public, private));
            let password = password(&secret, &key, &cluster.parse().unwrap(), class);
            (name(&secret, &key, class), password.expose().to_owned())
        };
        let (name, password) = derive("canary-1", "SBXOWNER", "canary-a", "1", AccessClass::ReadOnly);
        let changed = [
            derive("canary-2", "SBXOWNER", "canary-a", "1", AccessClass::ReadOnly),
            derive("canary-1", "SBXOWNER", "canary-b", "1", AccessClass::ReadOnly),
            derive("canary-1", "SBXOWNER", "canary-a", "2", AccessClass::ReadOnly),
            derive("canary-1", "SBXOWNER", "canary-a", "1", AccessClass::ReadWrite),
            derive("canary-1", "SBXOWNER", "canary-a", "1", AccessClass::Admin),
        ];
        let passwords: BTreeSet<_> = changed.iter().map(|(_, password)| password).chain([&password]).collect();
        assert_eq!(passwords.len(), 6);
        let other_key = derive("canary-1", "SBXOTHER", "canary-a", "1", AccessClass::ReadOnly).0;
        assert!(name != other_key && name != changed[0].0, "the public key and the server secret are in the name");
        assert_eq!(name, changed[1].0, "the private key is not");
    }

    /// Changing a derivation would lock every managed user out until it is repaired.
    #[test]
    fn derivations_never_change() {
        assert_eq!(
            derived(&key("SBXOWNER", "canary-private-key")),
            [
                "mcp_ro_a93d589e Dv8-g*LvknWEG+M^w9hCpz=neSE2FMgk",
                "mcp_rw_a93d589e Ju6~U+=.NyFktVNvs*MRsB.zig4Rzdf_",
                "mcp_ad_a93d589e Pr8~5QX7eQMQ*R5h+tiwcBxXQYLPK=hb",
            ]
        );
        assert_eq!(
            derived(&bearer("canary-token", "person@example.com", &"0a".repeat(32))),
            [
                "mcp_ro_10994ade Ji5.SSbH~k_4Un79sQCwueYp29UD2q.~",
                "mcp_rw_10994ade Kd4.g4ZTz.xa4XS3L9ziqRN*qah4+_vX",
                "mcp_ad_10994ade Hq5+QWt7EC8_DTfLDQT+cY=W2y8q9xEM",
            ]
        );
    }

    #[test]
    fn a_grant_keeps_its_users_when_its_token_changes_and_shares_them_with_nobody() {
        let (hex, other) = ("0a".repeat(32), "0b".repeat(32));
        let grant = derived(&bearer("canary-1", "person", &hex));
        assert_eq!(grant, derived(&bearer("canary-2", "person", &hex)), "the token is refreshed every hour");
        // The same person in another client, another person, and an API key of the very same texts.
        for stranger in [bearer("canary-1", "person", &other), bearer("canary-1", "other", &hex), key("person", &hex)] {
            for (own, strange) in grant.iter().zip(derived(&stranger)) {
                let ((name, password), (strange_name, strange_password)) =
                    (own.split_once(' ').unwrap(), strange.split_once(' ').unwrap());
                assert!(name != strange_name && password != strange_password, "{name}");
            }
        }
    }

    #[test]
    fn passwords_keep_the_rules() {
        let kinds: [fn(char) -> bool; 4] = [
            |c| c.is_ascii_uppercase(),
            |c| c.is_ascii_lowercase(),
            |c| c.is_ascii_digit(),
            |c| c.is_ascii_punctuation(),
        ];
        assert_eq!(ALPHABET.iter().collect::<BTreeSet<_>>().len(), 64);
        for cluster in 0..200 {
            let cluster = cluster.to_string().parse().unwrap();
            let password = password(&Secret::new("canary"), &key("SBXOWNER", "canary"), &cluster, AccessClass::Admin);
            let text = password.expose();
            assert_eq!(text.len(), 32);
            for (at, kind) in kinds.iter().enumerate() {
                assert!(text.chars().nth(at).is_some_and(kind), "{at}");
            }
            assert!(!text.contains(['0', 'O', 'o', '1', 'l', 'I', '"', '\\', '\'', ':', '%']));
        }
    }
}
