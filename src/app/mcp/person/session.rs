//! The sealed `Mcp-Session-Id` of revisions with `initialize`: what a client declared there comes back with each of its requests,
//! and nothing is kept here.
//!
//! <https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#session-management>. A server may end a session and
//! answer 404 then; this one never does: a client that sends no id, or one that does not open, is one that cannot be asked.

use serde::{Deserialize, Serialize};

use crate::{
    base::{clock::UnixMillis, http::Headers, json},
    limits::keys::CredentialHash,
    mcp::{Declared, revision::Revision},
    store::seal::{Keyring, Random, fingerprint, same},
};

/// Name of the header field.
pub(in crate::app::mcp) const HEADER: &str = "mcp-session-id";
/// What the id is sealed for.
const PURPOSE: &str = "session id v1";
/// A day. A client that stays longer asks on the page.
const MILLIS: u64 = 24 * 3_600_000;

/// What is sealed.
#[derive(Serialize, Deserialize)]
struct Contents {
    /// The revision that both settled on.
    revision: String,
    /// Whether the client shows forms to a person.
    elicits: bool,
    /// Whose it is.
    principal: String,
    /// Milliseconds since 1970.
    ends: u64,
}

/// The session of a client that shows forms.
pub(in crate::app::mcp) struct Session {
    /// What the ids of questions in it are sealed for: this session and nobody else.
    purpose: String,
}

/// The id of a new session.
pub(in crate::app::mcp) fn begin(
    declared: Declared,
    principal: &CredentialHash,
    keyring: &Keyring,
    now: UnixMillis,
    bytes: Random<'_>,
) -> Option<String> {
    let contents = Contents {
        revision: declared.revision.as_str().to_owned(),
        elicits: declared.elicits,
        principal: principal.as_str().to_owned(),
        ends: now.0.saturating_add(MILLIS),
    };
    keyring.seal_text(PURPOSE, &serde_json::to_string(&contents).ok()?, bytes)
}

impl Session {
    /// The session that a request belongs to. `None`: it has none, it is somebody else's or too old, or its client shows no forms,
    /// which 2025-06-18 introduced.
    pub(in crate::app::mcp) fn of(
        headers: &Headers,
        principal: &CredentialHash,
        keyring: &Keyring,
        now: UnixMillis,
    ) -> Option<Self> {
        let text = headers.filled(HEADER)?;
        let contents: Contents = json::read(keyring.open_text(PURPOSE, &text)?.as_bytes()).ok()?;
        let has_forms = Revision::parse(&contents.revision)? >= Revision::V20250618 && contents.elicits;
        let is_theirs = same(&contents.principal, principal.as_str()) && contents.ends > now.0;
        let purpose = format!("question id v1 {} {}", fingerprint(text.as_bytes()), principal.as_str());
        (has_forms && is_theirs).then_some(Self { purpose })
    }

    /// Fingerprint of a call by the id of its request, which is unique in a session.
    pub(super) fn call(&self, request: &str) -> String {
        fingerprint(format!("{} {request}", self.purpose).as_bytes())
    }

    /// The JSON-RPC id of a question: 67 characters.
    pub(super) fn seal_id(&self, id: &str, keyring: &Keyring, bytes: Random<'_>) -> Option<String> {
        keyring.seal_text(&self.purpose, id, bytes)
    }

    /// The question that such an id names.
    pub(super) fn open_id(&self, text: &str, keyring: &Keyring) -> Option<String> {
        keyring.open_text(&self.purpose, text)
    }
}
