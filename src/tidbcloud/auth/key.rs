//! API keys of TiDB Cloud, and the identity of their callers.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::{
    base::{hash::hex, secret::Secret},
    tidbcloud::units::{Malformed, made_of},
};

/// The caller's identity, the key of all memory per caller: SHA-256 over all of the credentials, so that a wrong private key
/// or an expired token never sees the entries of the right one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Caller([u8; 32]);

impl Caller {
    /// The caller with these credentials.
    pub(crate) fn of(credentials: &str) -> Self {
        Self(Sha256::digest(credentials).into())
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&hex(&self.0))
    }
}

/// A TiDB Cloud API key: public key as user name and private key as password of HTTP Digest.
///
/// Syntax is checked, so that no value reaches a hash or a header that could mean something else there
/// (RFC 7616 section 3.4: a user name has no colon).
#[derive(Clone)]
pub struct ApiKey {
    public: String,
    private: Secret,
    caller: Caller,
}

impl ApiKey {
    /// The pattern of a public key. Published examples have 8 characters.
    pub const PUBLIC_PATTERN: &'static str = "^[A-Za-z0-9]{4,64}$";
    /// The pattern of a private key: visible ASCII without a colon. Published examples are UUIDs, 36 characters.
    pub const PRIVATE_PATTERN: &'static str = "^[!-9;-~]{1,128}$";

    /// Checks both halves. The error says which one is malformed, never its value.
    pub fn new(public: impl Into<String>, private: impl Into<String>) -> Result<Self, Malformed> {
        let (public, private) = (public.into(), private.into());
        if !made_of(&public, 4, 64, |byte| byte.is_ascii_alphanumeric()) {
            return Err(Malformed { what: "the public key", expected: Self::PUBLIC_PATTERN });
        }
        if !made_of(&private, 1, 128, |byte| byte.is_ascii_graphic() && byte != b':') {
            return Err(Malformed { what: "the private key", expected: Self::PRIVATE_PATTERN });
        }
        let caller = Caller::of(&format!("{public}:{private}"));
        Ok(Self { public, private: Secret::new(private), caller })
    }

    /// The public key.
    pub fn public(&self) -> &str {
        &self.public
    }

    /// The private key.
    pub fn private(&self) -> &Secret {
        &self.private
    }

    pub(crate) fn caller(&self) -> Caller {
        self.caller
    }
}
