//! The cookie by which a browser proves on `/confirm` that a grant was allowed in it.
//!
//! It proves that whoever sits at this browser, or at least uses its profile, uses the one in which a person consented to this very
//! grant: that is who has to agree to what the grant does, and a client that has the link and even the grant's tokens has no such
//! cookie. It does not prove who the person is, or that they still hold the keys behind the grant.
//!
//! No tool and no token endpoint reads it, and what that page shows is opened by the key in the link. It counts for as long as the
//! grant, because the grant's object is asked each time.
//!
//! It also widens a grant without the keys (`step_up`): where that is possible, the grant's data key is wrapped under
//! the secret, as a kind of token of its own.

use serde::{Deserialize, Serialize};

use super::{Server, redirect::RedirectUri};
use crate::{
    base::{http::Head, json},
    limits::keys::CredentialHash,
    port::StorageFailure,
    store::{
        grant::{self, LIFE_MILLIS},
        seal::{Random, WrappingToken, base64url, fingerprint, random, same},
        token::GrantId,
    },
};

const COOKIE: &str = "mcp_browser";
/// What it is sealed for.
const PURPOSE: &str = "grants of a browser v1";
/// Grants that one browser proves, the newest: one more takes the place of one that was replaced, or of the oldest, whose question
/// then takes the keys. Each has
/// an id of 22 characters, a secret of 43 and a mark of 8, and 22 of JSON beside them: ten make 950 bytes, and the sealed cookie
/// 1.3 KB of the 4 KB that browsers keep (RFC 6265bis section 5.6).
pub const GRANTS_MAX: usize = 10;

/// A grant that a browser proves.
#[derive(Serialize, Deserialize)]
pub(super) struct Held {
    /// Id of the grant.
    #[serde(rename = "g")]
    grant: String,
    /// 256 random bits, of which the grant knows the hash.
    #[serde(rename = "s")]
    secret: String,
    /// Which client it is for; empty in older cookies.
    #[serde(rename = "c", default, skip_serializing_if = "String::is_empty")]
    mark: String,
}

/// A client and where its answers go, in eight characters: only the grants with the same are asked whether they can be widened.
pub(super) fn mark(client_id: &str, redirect: &RedirectUri) -> String {
    let mut mark = fingerprint(format!("{client_id} {}", redirect.comparable()).as_bytes());
    mark.truncate(8);
    mark
}

impl Held {
    /// A new secret for a grant.
    pub(super) fn new(grant: &GrantId, mark: String, bytes: Random<'_>) -> Self {
        Self { grant: grant.as_str().to_owned(), secret: base64url(&random::<32>(bytes)), mark }
    }

    /// Whose it is.
    pub(super) fn id(&self) -> &str {
        &self.grant
    }

    /// Whether it may be for this client.
    pub(super) fn is_marked(&self, mark: &str) -> bool {
        self.mark == mark
    }

    /// As a key that wraps its grant's data key.
    pub(super) fn wrapping(&self) -> WrappingToken<'_> {
        WrappingToken { grant: &self.grant, kind: "step-up", secret: self.secret.as_bytes() }
    }

    /// As the grant knows it.
    pub(super) fn fingerprint(&self) -> String {
        fingerprint(self.secret.as_bytes())
    }
}

impl Server<'_> {
    /// The cookie with one more grant. The one that it replaces makes room first: it ends soon, unless the client never redeems
    /// the new one's code.
    pub(super) fn hold(&self, head: &Head, new: Held, replaced: Option<&str>) -> String {
        let mut all = self.held(head);
        if let Some(at) = all.iter().position(|held| Some(held.id()) == replaced) {
            let replaced = all.remove(at);
            all.insert(0, replaced);
        }
        all.drain(..(all.len() + 1).saturating_sub(GRANTS_MAX));
        all.push(new);
        let text = serde_json::to_string(&all).ok();
        let sealed = text.and_then(|text| self.keyring.seal_text(PURPOSE, &text, &|bytes| self.random(bytes)));
        self.cookie(COOKIE, &sealed.unwrap_or_default(), LIFE_MILLIS / 1_000)
    }

    /// The grants that this browser proves, the oldest first.
    pub(super) fn held(&self, head: &Head) -> Vec<Held> {
        let sealed = self.sent_cookie(head, COOKIE);
        let text = sealed.and_then(|sealed| self.keyring.open_text(PURPOSE, &sealed));
        text.and_then(|text| json::read(text.as_bytes()).ok()).unwrap_or_default()
    }

    /// What this browser has for a principal that is a grant. Whether it still counts is the grant's to say.
    pub(super) fn held_for(&self, head: &Head, principal: &str) -> Option<Held> {
        self.held(head)
            .into_iter()
            .find(|held| same(CredentialHash::of_grant(&held.grant, self.keyring).as_str(), principal))
    }

    /// Whether the grant goes on and was allowed in this browser.
    ///
    /// # Errors
    /// Storage did not answer.
    pub(super) async fn still_counts(&self, held: &Held) -> Result<bool, StorageFailure> {
        let Some(grant) = GrantId::parse(&held.grant, self.keyring) else { return Ok(false) };
        match self.ask_grant(&grant, grant::Command::Prove { hash: held.fingerprint() }).await? {
            grant::Reply::Proved { owner } => Ok(self.is_of_this_owner(owner.as_deref())),
            _ => Ok(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        base::secret::Secret,
        store::seal::{DataKey, Keyring},
    };

    #[test]
    fn only_the_cookie_opens_what_is_wrapped_under_it() {
        let keyring = Keyring::new(Secret::new("canary"), []);
        let bytes = |bytes: &mut [u8]| bytes.fill(7);
        let held = Held::new(&GrantId::new(&keyring, &bytes), String::new(), &bytes);
        let data_key = DataKey::new(&bytes);
        let wrapped = keyring.wrap(&held.wrapping(), &data_key, &bytes).unwrap();
        let opens = |token: &WrappingToken<'_>| keyring.unwrap(token, &wrapped).is_some();
        assert!(opens(&held.wrapping()));
        let hash = held.fingerprint();
        assert!(!opens(&WrappingToken { secret: hash.as_bytes(), ..held.wrapping() }), "what is stored opens nothing");
        for kind in ["code", "access", "refresh", "replay"] {
            assert!(!opens(&WrappingToken { kind, ..held.wrapping() }), "it is no {kind}");
        }
        let other = GrantId::new(&keyring, &|bytes| bytes.fill(8));
        assert!(!opens(&WrappingToken { grant: other.as_str(), ..held.wrapping() }));
    }
}
