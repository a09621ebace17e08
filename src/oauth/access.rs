//! From an access token to the caller's session.

use super::{Contents, Server, resource, short};
use crate::{
    base::scope::Scope,
    catalogue::Narrowing,
    store::{
        grant::{Command, NOTED_MILLIS, Reply},
        seal::{Keyring, base64url, same},
        token::{GrantId, Kind, Token},
    },
};

/// The session of an access token, for one request.
pub struct Session {
    /// Its scope.
    pub scope: Scope,
    /// The person's organizations; empty on an owner's deployment.
    pub contents: Contents,
    /// Id of the grant, for its limit.
    pub grant: String,
    /// Whether it is the owner's, whose keys are settings.
    pub is_owner: bool,
    /// How the addresses that the token was asked for narrow the tools.
    pub view: Narrowing,
    /// When a call of the grant last asked for more than its token may, in milliseconds since 1970; 0 if none did.
    pub lacks: u64,
}

/// Why a token opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessRefused {
    /// It is unknown, expired, revoked or for another address or client.
    Invalid,
    /// Storage did not answer.
    Unavailable,
}

/// Whether the token was not made with these secrets: it is a guess, or another deployment's. The check needs no storage.
pub fn is_made_up(text: &str, keyring: &Keyring) -> bool {
    Token::parse(text, keyring).is_none()
}

impl Server<'_> {
    /// Opens an access token.
    ///
    /// # Errors
    /// It is not valid for this deployment and address now, or storage failed.
    pub async fn access(&self, text: &str) -> Result<Session, AccessRefused> {
        let token = Token::parse(text, self.keyring)
            .filter(|token| token.kind == Kind::Access)
            .ok_or(AccessRefused::Invalid)?;
        let reply = self.ask_grant(&token.grant, Command::Use { hash: token.fingerprint() }).await;
        let Reply::Opened(opened) = reply.map_err(|_| AccessRefused::Unavailable)? else {
            return Err(AccessRefused::Invalid);
        };
        if opened.resource != resource(self.origin) {
            return Err(AccessRefused::Invalid);
        }
        if !self.is_of_this_owner(opened.owner.as_deref()) {
            return Err(AccessRefused::Invalid);
        }
        let bound_to = opened.bound_to(token.grant.as_str());
        let contents = self
            .keyring
            .unwrap(&token.wrapping(), &opened.wrapped)
            .and_then(|data_key| data_key.open(&bound_to, &opened.contents))
            .and_then(|text| Contents::read(&text))
            .ok_or(AccessRefused::Invalid)?;
        // A view that is not read any more leaves nothing.
        let view = Narrowing::try_from(opened.view).ok().and_then(|view| contents.view.and(&view));
        Ok(Session {
            scope: opened.scope.0,
            view: view.ok_or(AccessRefused::Invalid)?,
            contents,
            lacks: opened.lacks,
            grant: token.grant.as_str().to_owned(),
            is_owner: opened.owner.is_some(),
        })
    }

    /// A token asked for more than it may: a person will be asked. The grant notes it, so that the browser that it was allowed in
    /// can widen it for ten minutes; if that fails, they type the keys.
    pub async fn lacks(&self, session: &Session, scope: Scope) {
        let start = session.grant.get(..8).unwrap_or_default();
        self.audit("step_up", &[("grant", start), ("scope", scope.as_str())]);
        let is_noted = self.now().0.saturating_sub(session.lacks) < NOTED_MILLIS;
        if let Some(id) = GrantId::parse(&session.grant, self.keyring).filter(|_| !is_noted) {
            let _ = self.ask_grant(&id, Command::Lacks).await;
        }
    }

    /// Whether a grant is a person's own, or was allowed with the access key that this deployment has now. Where the key was
    /// replaced, or the deployment is no owner's any more, no token of the grant opens anything. `access_key` is its keyed hash.
    pub(super) fn is_of_this_owner(&self, access_key: Option<&str>) -> bool {
        let Some(hash) = access_key else { return true };
        self.config.owner.as_ref().is_some_and(|owner| {
            let parts = [owner.access_key.expose().as_bytes()];
            self.keyring.macs("access key v1", &parts).any(|mac| same(&base64url(&mac), hash))
        })
    }

    /// A token's grant, for the log.
    pub fn grant_of(&self, text: &str) -> Option<String> {
        Token::parse(text, self.keyring).map(|token| short(&token.grant).to_owned())
    }
}
