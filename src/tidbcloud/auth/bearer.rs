//! Bearer tokens of TiDB Cloud's own OAuth.

use super::key::Caller;
use crate::{
    base::secret::Secret,
    tidbcloud::units::{Malformed, made_of},
};

/// An access token of TiDB Cloud's own OAuth, and what stays the same when it is refreshed.
#[derive(Clone)]
pub struct BearerToken {
    token: Secret,
    subject: String,
    derivation: Secret,
    caller: Caller,
}

impl BearerToken {
    /// The pattern of a token: `b64token` of RFC 6750 section 2.1, with no more padding than Base64 has. 4,096 characters are
    /// half of the 8 KiB that common servers accept as a header line; a signed token has about 1,000.
    pub const TOKEN_PATTERN: &'static str = "^[A-Za-z0-9._~+/-]{1,4096}={0,2}$";
    /// The pattern of a derivation: 32 random bytes in lower-case hexadecimal.
    pub const DERIVATION_PATTERN: &'static str = "^[0-9a-f]{64}$";

    /// A token of `subject`: who it stands for, stable and not secret, 1 to 256 bytes without control characters.
    ///
    /// SQL passwords are derived from `derivation` instead of a private key, because the token changes: 32 random bytes in
    /// lower-case hexadecimal, drawn once for each grant and as secret as the token. The error says which part is malformed,
    /// never its value.
    pub fn new(
        token: impl Into<String>,
        subject: impl Into<String>,
        derivation: impl Into<String>,
    ) -> Result<Self, Malformed> {
        let (token, subject, derivation) = (token.into(), subject.into(), derivation.into());
        if !is_token(&token) {
            return Err(Malformed { what: "the token", expected: Self::TOKEN_PATTERN });
        }
        if !is_subject(&subject) {
            return Err(Malformed { what: "the subject", expected: "1 to 256 bytes without control characters" });
        }
        if !made_of(&derivation, 64, 64, |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(Malformed { what: "the derivation", expected: Self::DERIVATION_PATTERN });
        }
        // No API key has a line break, so no key and no token hash the same text.
        let caller = Caller::of(&format!("bearer v1\n{subject}\n{derivation}\n{token}"));
        Ok(Self { token: Secret::new(token), subject, derivation: Secret::new(derivation), caller })
    }

    /// The access token.
    pub fn token(&self) -> &Secret {
        &self.token
    }

    /// Whom it stands for.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    pub(super) fn caller(&self) -> Caller {
        self.caller
    }

    /// The part that stays the same when the token is refreshed. It is secret.
    pub(super) fn grant(&self) -> String {
        format!("{}\n{}", self.subject, self.derivation.expose())
    }

    /// What SQL passwords are derived from.
    pub fn derivation(&self) -> &Secret {
        &self.derivation
    }
}

/// Whether it can be a subject. 256 bytes hold the longest address of e-mail, 254 characters (RFC 5321
/// section 4.5.3.1.3).
pub(crate) fn is_subject(text: &str) -> bool {
    (1..=256).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// See [`BearerToken::TOKEN_PATTERN`]: what can stand in a header as it is.
pub(crate) fn is_token(text: &str) -> bool {
    let head = text.trim_end_matches('=');
    text.len() - head.len() <= 2
        && made_of(head, 1, 4096, |byte| byte.is_ascii_alphanumeric() || b"._~+/-".contains(&byte))
}
