//! A caller's credentials for TiDB Cloud: an API key, or a token of its own OAuth.

pub(super) mod bearer;
pub(super) mod digest;
pub(super) mod key;
pub(super) mod nonces;
pub(super) mod witness;

#[cfg(test)]
mod tests;

use self::{
    bearer::BearerToken,
    key::{ApiKey, Caller},
};
use crate::base::{
    hash::{hex, hmac_sha256},
    managed_name::HASH_BYTES,
    secret::Secret,
};

/// The credentials that a caller sends to TiDB Cloud.
#[derive(Clone)]
pub enum Authenticator {
    /// HTTP Digest with an API key.
    Digest(ApiKey),
    /// A bearer token of TiDB Cloud's own OAuth (RFC 6750 section 2.1). That the API takes one beside Digest is
    /// published for its version `v1beta2`; for clusters, branches and SQL users it is not documented, and its command
    /// line client sends it so.
    Bearer(BearerToken),
}

impl From<ApiKey> for Authenticator {
    fn from(key: ApiKey) -> Self {
        Self::Digest(key)
    }
}

impl From<BearerToken> for Authenticator {
    fn from(token: BearerToken) -> Self {
        Self::Bearer(token)
    }
}

impl Authenticator {
    /// The caller's identity, the key of all memory per caller.
    pub fn caller(&self) -> Caller {
        match self {
            Self::Digest(key) => key.caller(),
            Self::Bearer(token) => token.caller(),
        }
    }

    /// The secrets that no error may repeat.
    pub(in crate::tidbcloud) fn secret(&self) -> &Secret {
        match self {
            Self::Digest(key) => key.private(),
            Self::Bearer(token) => token.token(),
        }
    }

    /// The text whose hash is in the names of managed SQL users.
    ///
    /// Every text begins with a label of its kind, so that no subject derives what an API key does. The derivation is in
    /// it, because one person may connect several clients: each grant has a derivation, and so passwords, of its own, and
    /// grants that shared a user would set its password against each other.
    pub(in crate::tidbcloud) fn sql_user_name_hash(&self, server_secret: &Secret) -> [u8; 32] {
        let text = match self {
            Self::Digest(key) => format!("sql user name v1\n{}", key.public()),
            Self::Bearer(token) => format!("sql user name of a grant v1\n{}", token.grant()),
        };
        hmac_sha256(server_secret.expose().as_bytes(), text.as_bytes())
    }

    /// Whose credentials they are, for a person who compares: `SBXO…:a93d589e` for an API key, `oauth:10994ade` for a token.
    ///
    /// Before the colon are the first four characters of the public key, by which a person finds it in the TiDB Cloud console;
    /// of a key with less than eight characters only half of them. After it is the hash in the names of the managed SQL users,
    /// `mcp_rw_a93d589e`, so that a receipt leads to the statements of the same caller in the database, and back.
    ///
    /// It gives nothing away: the private key and the token are not in it. The public key, which is half of a credential, cannot
    /// be found from it by trying all keys, because the hash is keyed with the server secret; and the same hash is known to
    /// everybody who can list the SQL users of a cluster.
    pub fn fingerprint(&self, server_secret: &Secret) -> String {
        let hash = self.sql_user_name_hash(server_secret);
        let (head, _) = hash.split_at(HASH_BYTES);
        match self {
            Self::Digest(key) => {
                let shown = (key.public().len() / 2).min(4);
                format!("{}…:{}", key.public().get(..shown).unwrap_or_default(), hex(head))
            }
            Self::Bearer(_) => format!("oauth:{}", hex(head)),
        }
    }

    /// The key from which passwords of managed SQL users are derived: server secret and the caller's own secret. Neither
    /// alone is enough.
    pub(in crate::tidbcloud) fn sql_password_key(&self, server_secret: &Secret) -> [u8; 32] {
        let text = match self {
            Self::Digest(key) => format!("sql password key v1\n{}", key.private().expose()),
            Self::Bearer(token) => format!("sql password key of a grant v1\n{}", token.grant()),
        };
        hmac_sha256(server_secret.expose().as_bytes(), text.as_bytes())
    }

    /// The key under which a caller finds what a person handed in for its call: server secret and the caller's own secret. Neither
    /// alone is enough. A token's derivation is in it, because the token may be renewed between the question and the call.
    pub fn hand_in_key(&self, server_secret: &Secret) -> [u8; 32] {
        let text = match self {
            Self::Digest(key) => format!("hand-in key v1\n{}\n{}", key.public(), key.private().expose()),
            Self::Bearer(token) => format!("hand-in key of a grant v1\n{}", token.grant()),
        };
        hmac_sha256(server_secret.expose().as_bytes(), text.as_bytes())
    }
}
