//! Signing in at TiDB Cloud instead of giving keys, for deployments that are a client of its OAuth: by its device flow, or by
//! its authorization code flow if the deployment knows that page's address.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use url::Url;

use super::{
    Contents, Organization, Server,
    authorize::{Asked, cookie_name},
    check::{CHECK_TIME_MAX, Checked},
    contents::{Credential, SignIn},
    form::Fields,
    page::{self, Device},
    token::challenge,
};
use crate::{
    base::{
        clock::UnixMillis,
        hash::hex,
        http::{Head, Response},
        json,
        scope::Scope,
        secret::Secret,
    },
    config::OAuthClient,
    store::{
        grant::{Command, Reply},
        seal::{Sealed, base64url, fingerprint, random, same},
        token::Token,
        transaction,
    },
    tidbcloud::{AuthorizationServer, OAuthError, TokenKind, Tokens},
};

/// What the page is sealed for.
const PURPOSE: &str = "device page v1";

/// The pending sign-in at TiDB Cloud, sealed into the waiting page.
#[derive(Serialize, Deserialize)]
struct Waiting {
    /// The transaction that it belongs to.
    transaction: String,
    device_code: String,
    user_code: String,
    verification_uri: String,
    scope: String,
}

/// The sealed `state` of the request to TiDB Cloud's page.
#[derive(Serialize, Deserialize)]
struct Sent {
    asked: Asked,
    scope: String,
    verifier: String,
}

/// What it is sealed for.
const SENT_PURPOSE: &str = "sign-in state v1";

/// The outcome of a sign-in.
pub(super) enum SignedIn {
    /// The person did.
    Yes(Scope, Box<Contents>),
    /// Not yet, or not at all: the page that says so.
    No(Response),
}

impl Server<'_> {
    fn tidb_cloud<'c>(&'c self, client: &'c OAuthClient) -> AuthorizationServer<'c> {
        let deadline = self.now().after(CHECK_TIME_MAX);
        AuthorizationServer::new(self.port.io, self.log, &self.config.hosts, &client.id, &client.secret, deadline)
    }

    /// Begins a sign-in and shows the page that says where to go.
    pub(super) async fn begin_sign_in(
        &self,
        client: &OAuthClient,
        asked: &Asked,
        csrf: &str,
        scope: Scope,
    ) -> Response {
        if let Some(page) = &client.authorize_url {
            return self.send_to_sign_in(client, page, asked, scope);
        }
        let device = match self.tidb_cloud(client).device_authorization().await {
            Ok(device) => device,
            Err(_) => return self.unreachable(),
        };
        let waiting = Waiting {
            transaction: asked.id.clone(),
            device_code: device.device_code.expose().to_owned(),
            user_code: device.user_code,
            verification_uri: device.verification_uri_complete.unwrap_or(device.verification_uri).into(),
            scope: scope.as_str().to_owned(),
        };
        self.device_page(&waiting, asked, csrf, false)
    }

    /// Asks whether the person has signed in.
    pub(super) async fn finish_sign_in(
        &self,
        client: &OAuthClient,
        asked: &Asked,
        csrf: &str,
        sealed: &str,
    ) -> SignedIn {
        let waiting = self.keyring.open_text(PURPOSE, sealed);
        let waiting = waiting.and_then(|text| json::read::<Waiting>(text.as_bytes()).ok());
        let Some(waiting) = waiting.filter(|waiting| waiting.transaction == asked.id) else {
            return SignedIn::No(self.ended());
        };
        let code = Secret::new(waiting.device_code.as_str());
        let tokens = match self.tidb_cloud(client).token_by_device_code(&code).await {
            Ok(tokens) => tokens,
            Err(OAuthError::Pending | OAuthError::SlowDown) => {
                return SignedIn::No(self.device_page(&waiting, asked, csrf, true));
            }
            Err(failure) => return SignedIn::No(self.not_signed_in(&failure)),
        };
        self.contents_of(client, tokens, &waiting.scope).await
    }

    /// Sends the person to TiDB Cloud's page, which sends them back to `/signed-in`.
    fn send_to_sign_in(&self, client: &OAuthClient, page: &Url, asked: &Asked, scope: Scope) -> Response {
        let verifier = base64url(&random::<32>(&|bytes| self.random(bytes)));
        let sent = Sent { asked: asked.clone(), scope: scope.as_str().to_owned(), verifier: verifier.clone() };
        self.leave_to_sign_in(client, page, (SENT_PURPOSE, &sent), &verifier)
    }

    /// The page that leads to TiDB Cloud's, with what shall come back from there: sealed for a purpose.
    pub(super) fn leave_to_sign_in(
        &self,
        client: &OAuthClient,
        page: &Url,
        (purpose, sent): (&str, &impl Serialize),
        verifier: &str,
    ) -> Response {
        let challenge = challenge(verifier);
        let text = serde_json::to_string(sent).unwrap_or_default();
        let state = self.keyring.seal_text(purpose, &text, &|bytes| self.random(bytes)).unwrap_or_default();
        let mut target = page.clone();
        target.query_pairs_mut().extend_pairs([
            ("response_type", "code"),
            ("client_id", &client.id),
            ("redirect_uri", &self.signed_in_address()),
            ("state", &state),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ]);
        let nonce = self.nonce();
        self.page(200, &nonce, page::sign_in_page(target.as_str(), &nonce))
    }

    /// `GET /signed-in`: where TiDB Cloud's page sends people back to (RFC 6749 section 4.1.2).
    pub(super) async fn signed_in(&self, head: &Head) -> Response {
        if let Err(guarded) = self.guard_request().await {
            return self.guarded_page(guarded);
        }
        let fields = Fields::parse(head.url.query().unwrap_or_default().as_bytes());
        let one = |name| fields.as_ref().and_then(|fields| fields.one(name).ok().flatten());
        if let Some(leaving) = one("state").and_then(|state| self.leaving(state)) {
            return self.signed_in_to_confirm(head, &leaving, one("code")).await;
        }
        let sent = one("state").and_then(|state| self.keyring.open_text(SENT_PURPOSE, state));
        let sent = sent.and_then(|text| json::read::<Sent>(text.as_bytes()).ok());
        let (Some(client), Some(Sent { asked, scope, verifier })) = (&self.config.tidb_cloud_oauth, sent) else {
            return self.ended();
        };
        // The browser that began must be the one that comes back, so that nobody is signed in to another person's account.
        let cookie = self.sent_cookie(head, &cookie_name(&asked.id)).unwrap_or_default();
        if asked.origin != self.origin.as_str() || !same(&fingerprint(cookie.as_bytes()), &asked.csrf) {
            return self.refusal(403, "forbidden", "The sign-in does not belong to this browser. Connect again.");
        }
        match self.ask_transaction(&asked.id, transaction::Command::Look { ends: asked.ends }).await {
            Ok(transaction::Reply::Open { .. }) => {}
            Ok(transaction::Reply::Ended) => return self.ended(),
            Err(_) => return self.unavailable_page(),
        }
        let Some(code) = one("code") else { return self.not_signed_in(&OAuthError::Denied) };
        let signed_in = match self.tokens_of(client, code, &verifier).await {
            Ok(tokens) => self.contents_of(client, tokens, &scope).await,
            Err(failure) => return self.not_signed_in(&failure),
        };
        match signed_in {
            SignedIn::Yes(scope, contents) => self.grant(head, &asked, scope, &contents).await,
            SignedIn::No(response) => response,
        }
    }

    async fn tokens_of(&self, client: &OAuthClient, code: &str, verifier: &str) -> Result<Tokens, OAuthError> {
        let (code, verifier) = (Secret::new(code), Secret::new(verifier));
        self.tidb_cloud(client).token_by_authorization_code(&code, &self.signed_in_address(), &verifier).await
    }

    /// The e-mail address of whoever signed in just now; `None` if TiDB Cloud names none. The sign-in is of no other use and ends.
    ///
    /// # Errors
    /// Nobody signed in, or TiDB Cloud does not say who.
    pub(super) async fn address_of(
        &self,
        client: &OAuthClient,
        code: &str,
        verifier: &str,
    ) -> Result<Option<String>, OAuthError> {
        let tokens = self.tokens_of(client, code, verifier).await?;
        let server = self.tidb_cloud(client);
        let user = server.user_info(&tokens.access).await;
        let _ = server.revoke(&tokens.access, TokenKind::Access).await;
        if let Some(refresh) = &tokens.refresh {
            let _ = server.revoke(refresh, TokenKind::Refresh).await;
        }
        Ok(user?.email)
    }

    fn signed_in_address(&self) -> String {
        format!("{}/signed-in", self.origin.as_str())
    }

    pub(super) fn not_signed_in(&self, failure: &OAuthError) -> Response {
        if matches!(failure, OAuthError::Api(_)) {
            return self.unreachable();
        }
        let message = "TiDB Cloud says that nobody signed in. Go back to the client and connect again.";
        self.refusal(400, "access_denied", message)
    }

    /// What a sign-in comes to, once it is known that TiDB Cloud takes its token.
    async fn contents_of(&self, client: &OAuthClient, tokens: Tokens, scope: &str) -> SignedIn {
        let user = match self.tidb_cloud(client).user_info(&tokens.access).await {
            Ok(user) => user,
            Err(failure) => return SignedIn::No(self.not_signed_in(&failure)),
        };
        let derivation = hex(&random::<32>(&|bytes| self.random(bytes)));
        let sign_in = sign_in(tokens, self.now(), user.subject().to_owned(), Secret::new(derivation), None);
        let credential = Credential::SignIn(sign_in);
        let checked = match credential.authenticator() {
            Some(authenticator) => self.check(&authenticator).await,
            None => Checked::Unknown,
        };
        match (checked, Scope::parse(scope)) {
            (Checked::Accepted, Some(scope)) => {
                let organization = Organization { name: "default".to_owned(), credential, sql: None };
                let contents = Contents { organizations: vec![organization], ..Contents::default() };
                SignedIn::Yes(scope, Box::new(contents))
            }
            _ => SignedIn::No(self.unreachable()),
        }
    }

    /// Makes sign-ins last as long as a new access token would. Returns whether something changed.
    ///
    /// # Errors
    /// TiDB Cloud did not give a new token.
    pub(super) async fn renew(&self, contents: &mut Contents, seconds: u64) -> Result<bool, OAuthError> {
        let (now, mut changed) = (self.now(), false);
        let needed = now.after(Duration::from_secs(seconds));
        let Some(client) = &self.config.tidb_cloud_oauth else { return Ok(false) };
        for organization in &mut contents.organizations {
            let Credential::SignIn(old) = &organization.credential else { continue };
            let (Some(ends), Some(refresh)) = (old.ends, &old.refresh) else { continue };
            if ends < needed {
                let tokens = self.tidb_cloud(client).token_by_refresh_token(refresh).await?;
                let (subject, derivation) = (old.subject.clone(), old.derivation.clone());
                let renewed = sign_in(tokens, now, subject, derivation, Some(refresh));
                organization.credential = Credential::SignIn(renewed);
                changed = true;
            }
        }
        Ok(changed)
    }

    /// Ends the sign-ins of a grant whose refresh token is about to be revoked. Returns whether that ended the grant. If TiDB
    /// Cloud does not answer, the revocation goes on and its tokens expire by themselves; the same if the token was replaced
    /// too long ago to open anything.
    pub(super) async fn end_sign_ins(&self, token: &Token, client_id: &str) -> bool {
        let Some(client) = &self.config.tidb_cloud_oauth else { return false };
        let open = |token: &Token| Command::OpenRefresh {
            hash: token.fingerprint(),
            family: token.family(),
            client_id: client_id.to_owned(),
        };
        let mut reply = self.ask_grant(&token.grant, open(token)).await;
        let mut successor = None;
        if let Ok(Reply::Again(sealed)) = &reply {
            // It was replaced moments ago, by one that its own answer holds.
            successor = self.successor(token, sealed);
            if let Some(successor) = &successor {
                reply = self.ask_grant(&successor.grant, open(successor)).await;
            }
        }
        let opened = match reply {
            Ok(Reply::Opened(opened)) => opened,
            reply => return matches!(reply, Ok(Reply::Reused)),
        };
        let token = successor.as_ref().unwrap_or(token);
        let contents = self
            .keyring
            .unwrap(&token.wrapping(), &opened.wrapped)
            .and_then(|data_key| data_key.open(&opened.bound_to(token.grant.as_str()), &opened.contents))
            .and_then(|text| Contents::read(&text));
        for organization in contents.into_iter().flat_map(|contents| contents.organizations) {
            if let Credential::SignIn(sign_in) = organization.credential {
                let server = self.tidb_cloud(client);
                let _ = server.revoke(&sign_in.access, TokenKind::Access).await;
                if let Some(refresh) = &sign_in.refresh {
                    let _ = server.revoke(refresh, TokenKind::Refresh).await;
                }
            }
        }
        false
    }

    /// The refresh token that replaced this one, out of the answer that was sealed under it.
    fn successor(&self, token: &Token, sealed: &Sealed) -> Option<Token> {
        let answer = self.keyring.open_for(&token.replay(), sealed)?;
        let answer: serde_json::Value = serde_json::from_str(&answer).ok()?;
        Token::parse(answer.get("refresh_token")?.as_str()?, self.keyring)
    }

    fn device_page(&self, waiting: &Waiting, asked: &Asked, csrf: &str, again: bool) -> Response {
        let random = |bytes: &mut [u8]| self.random(bytes);
        let text = serde_json::to_string(waiting).unwrap_or_default();
        let device = self.keyring.seal_text(PURPOSE, &text, &random).unwrap_or_default();
        let (nonce, transaction) = (self.nonce(), self.sealed(asked));
        let page = Device {
            verification_uri: &waiting.verification_uri,
            user_code: &waiting.user_code,
            transaction: &transaction,
            device: &device,
            csrf,
            nonce: &nonce,
            again,
        };
        self.page(200, &nonce, page::device(&page))
    }

    fn unreachable(&self) -> Response {
        self.refusal(503, "temporarily_unavailable", "TiDB Cloud did not answer. Go back and try again in a moment.")
            .with("retry-after", "5")
    }
}

fn sign_in(
    tokens: Tokens,
    now: UnixMillis,
    subject: String,
    derivation: Secret,
    refresh_before: Option<&Secret>,
) -> SignIn {
    SignIn {
        access: tokens.access,
        ends: tokens.expires_in.map(|lasts| now.after(lasts)),
        refresh: tokens.refresh.or_else(|| refresh_before.cloned()),
        subject,
        derivation,
    }
}
