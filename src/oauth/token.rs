//! The token endpoint: a code, or a refresh token, for the next pair of tokens.

use serde_json::json;

use super::{
    Contents, Server,
    authorize::INVALID_TARGET,
    client::{Client, DocumentAddress},
    client_kind,
    form::{Fields, Repeated, is_form},
    json_error, json_unavailable, short,
};
use crate::{
    base::{
        http::{Head, Response},
        scope::Scope,
    },
    catalogue::Narrowing,
    limits::lease::Guarded,
    store::{
        grant::{ACCESS_DESTROY_SECONDS, ACCESS_SECONDS, Access, Command, Pair, Refresh, Reply, StoredScope},
        index,
        seal::{DataKey, base64url, same},
        token::{GrantId, Kind, Token},
    },
    tidbcloud::OAuthError,
};

/// A verifier has 43 to 128 unreserved characters (RFC 7636 section 4.1).
const VERIFIER_CHARACTERS: std::ops::RangeInclusive<usize> = 43..=128;

/// Why there are no tokens (RFC 6749 section 5.2).
pub(super) enum NoTokens {
    /// An error code, and what is wrong.
    Error(&'static str, &'static str),
    /// The client is unknown: it has to register.
    UnknownClient,
    /// Storage or limiter did not answer.
    Unavailable,
    /// Too many requests; how many seconds to wait.
    Limited(u64),
}

impl From<Repeated> for NoTokens {
    fn from(_: Repeated) -> Self {
        Self::Error("invalid_request", "A parameter appears more than once.")
    }
}

impl From<crate::port::StorageFailure> for NoTokens {
    fn from(_: crate::port::StorageFailure) -> Self {
        Self::Unavailable
    }
}

impl NoTokens {
    /// The answer. `basic` is whether the client sent Basic credentials, which then have to be challenged.
    pub(super) fn response(self, basic: bool) -> Response {
        match self {
            Self::Error(error, description) => json_error(400, error, description),
            Self::UnknownClient => {
                let response = json_error(401, "invalid_client", "This client is not known here. Register again.");
                if basic { response.with("www-authenticate", "Basic realm=\"mcp-server-tidbcloud\"") } else { response }
            }
            Self::Unavailable => json_unavailable(),
            Self::Limited(seconds) => {
                json_error(429, "temporarily_unavailable", "Too many requests from this address.")
                    .with("retry-after", seconds.to_string())
            }
        }
    }
}

/// It gives no reason, so that a guess learns nothing.
const INVALID_GRANT: NoTokens =
    NoTokens::Error("invalid_grant", "It is not valid, has expired, or belongs to another client.");

/// Also if a token's resource leaves nothing of the grant's.
const OTHER_TARGET: NoTokens = NoTokens::Error("invalid_target", INVALID_TARGET);

/// Whether a client authenticates with Basic, which public clients cannot.
pub(super) fn is_basic(head: &Head) -> bool {
    head.headers.get("authorization").is_some_and(|value| value.to_ascii_lowercase().starts_with("basic"))
}

impl Server<'_> {
    pub(super) async fn token(&self, head: &Head, body: &[u8]) -> Response {
        match self.tokens(head, body).await {
            Ok(body) => Response::json(200, body).with("cache-control", "no-store"),
            Err(refusal) => refusal.response(is_basic(head)),
        }
    }

    async fn tokens(&self, head: &Head, body: &[u8]) -> Result<String, NoTokens> {
        let (fields, view) = self.read_form(head, body).await?;
        let invalid = |what| NoTokens::Error("invalid_request", what);
        match fields.one("grant_type")? {
            Some("authorization_code") => {
                let client_id = self.known_client(head, &fields)?;
                self.redeem(&fields, view, client_id).await
            }
            Some("refresh_token") => {
                let client_id = self.known_client(head, &fields)?;
                self.refresh(&fields, view, client_id).await
            }
            Some(_) => Err(NoTokens::Error(
                "unsupported_grant_type",
                "The grant types are authorization_code and refresh_token.",
            )),
            None => Err(invalid("grant_type is missing.")),
        }
    }

    /// A form without repeated parameters, and how its resource narrows the tools.
    pub(super) async fn read_form(&self, head: &Head, body: &[u8]) -> Result<(Fields, Narrowing), NoTokens> {
        let fields = Fields::parse(body);
        let token = fields
            .iter()
            .find_map(|fields| ["code", "refresh_token", "token"].into_iter().find_map(|name| fields.all(name).next()));
        let token = token.and_then(|text| Token::parse(text, self.keyring));
        self.guard_grant(token.as_ref().map(|token| &token.grant)).await.map_err(|guarded| match guarded {
            Guarded::Limited(seconds) => NoTokens::Limited(seconds),
            Guarded::Unavailable => NoTokens::Unavailable,
        })?;
        let invalid = |what| NoTokens::Error("invalid_request", what);
        if !is_form(&head.headers) {
            return Err(invalid("Send the parameters as application/x-www-form-urlencoded."));
        }
        let fields = fields.ok_or(invalid("The body is not a form."))?;
        let view = self.view_of(&fields).ok_or(OTHER_TARGET)?;
        if fields.has_repeated() {
            return Err(invalid("A parameter appears more than once."));
        }
        Ok((fields, view))
    }

    /// The client's id, if well formed. The grant shows whether the code or token is its own. Clients are public: one that
    /// sends a secret means another server.
    pub(super) fn known_client<'f>(&self, head: &Head, fields: &'f Fields) -> Result<&'f str, NoTokens> {
        let id = fields.one("client_id")?.ok_or(NoTokens::UnknownClient)?;
        let known = if DocumentAddress::looks_like_one(id) {
            DocumentAddress::parse(id, "").is_some()
        } else {
            Client::registered(id, self.keyring).is_some()
        };
        let public = fields.one("client_secret")?.is_none() && !is_basic(head);
        if known && public { Ok(id) } else { Err(NoTokens::UnknownClient) }
    }

    fn read_token(&self, text: Option<&str>, kind: Kind, missing: &'static str) -> Result<Token, NoTokens> {
        let text = text.ok_or(NoTokens::Error("invalid_request", missing))?;
        Token::parse(text, self.keyring).filter(|token| token.kind == kind).ok_or(INVALID_GRANT)
    }

    async fn redeem(&self, fields: &Fields, view: Narrowing, client_id: &str) -> Result<String, NoTokens> {
        let code = self.read_token(fields.one("code")?, Kind::Code, "code is missing.")?;
        let redirect_uri = fields.one("redirect_uri")?.unwrap_or_default();
        let verifier = fields.one("code_verifier")?.unwrap_or_default();
        let well_formed = VERIFIER_CHARACTERS.contains(&verifier.len())
            && verifier.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte));
        if !well_formed {
            return Err(NoTokens::Error("invalid_grant", "code_verifier is not 43 to 128 unreserved characters."));
        }
        let (hash, client_id) = (code.fingerprint(), client_id.to_owned());
        let open = Command::OpenCode { hash: hash.clone(), client_id: client_id.clone() };
        let opened = match self.ask_grant(&code.grant, open).await? {
            Reply::Opened(opened) if self.is_of_this_owner(opened.owner.as_deref()) => opened,
            Reply::Reused => return Err(self.reused("code_reuse", &code, &client_id)),
            _ => return Err(INVALID_GRANT),
        };
        let data_key = self.keyring.unwrap(&code.wrapping(), &opened.wrapped).ok_or(INVALID_GRANT)?;
        let random = |bytes: &mut [u8]| self.random(bytes);
        let refresh = Token::new(Kind::Refresh, &code.grant, &random);
        let contents = data_key.open(&opened.bound_to(code.grant.as_str()), &opened.contents);
        let contents = contents.and_then(|text| Contents::read(&text)).ok_or(INVALID_GRANT)?;
        contents.view.and(&view).ok_or(OTHER_TARGET)?;
        let may = May { scope: opened.scope.0, view };
        let (pair, answer) = self.next_pair(&code, refresh, &data_key, &may, &contents)?;
        let fits = opened.client.redirect_uri == redirect_uri && same(&opened.challenge, &challenge(verifier));
        if let Some(replaced) = opened.replaces.as_deref().filter(|_| fits)
            && !self.end_replaced(replaced).await?
        {
            self.ask_grant(&code.grant, Command::End).await?;
            self.audit("revocation", &[("grant", short(&code.grant)), ("by", "end of what it widens")]);
            return Err(INVALID_GRANT);
        }
        let redeem = Command::Redeem {
            hash,
            client_id: client_id.clone(),
            redirect_uri: redirect_uri.to_owned(),
            challenge: challenge(verifier),
            pair: Box::new(pair),
        };
        match self.ask_grant(&code.grant, redeem).await? {
            Reply::Done => {
                self.audit_grant("code_exchange", &code, &client_id);
                if let Some(replaced) = opened.replaces {
                    self.forget_replaced(&replaced, &contents).await;
                }
                Ok(answer)
            }
            Reply::Reused => Err(self.reused("code_reuse", &code, &client_id)),
            _ => Err(INVALID_GRANT),
        }
    }

    /// Ends the grant that a wider one replaces, before there are tokens of that: if it cannot be ended, the code stays as it was and
    /// the client tries again. False if it had ended: whoever ended it, the person or the client, meant what was to come of it, too.
    async fn end_replaced(&self, replaced: &str) -> Result<bool, NoTokens> {
        let Some(id) = GrantId::parse(replaced, self.keyring) else { return Ok(false) };
        match self.ask_grant(&id, Command::End).await {
            Ok(Reply::Done) => {}
            Ok(_) => return Ok(false),
            Err(_) => {
                self.audit("step_up_waits", &[("grant", short(&id))]);
                return Err(NoTokens::Unavailable);
            }
        }
        self.audit("revocation", &[("grant", short(&id)), ("by", "step-up")]);
        Ok(true)
    }

    /// Takes a grant that was replaced out of the lists. They forget it by themselves if they do not answer now.
    async fn forget_replaced(&self, replaced: &str, contents: &Contents) {
        for (name, _) in self.indexes(contents) {
            let _ = self.ask_index(&name, index::Command::Remove { grants: vec![replaced.to_owned()] }).await;
        }
    }

    async fn refresh(&self, fields: &Fields, view: Narrowing, client_id: &str) -> Result<String, NoTokens> {
        let token = self.read_token(fields.one("refresh_token")?, Kind::Refresh, "refresh_token is missing.")?;
        let (hash, client_id) = (token.fingerprint(), client_id.to_owned());
        let open = Command::OpenRefresh { hash: hash.clone(), family: token.family(), client_id: client_id.clone() };
        let opened = match self.ask_grant(&token.grant, open).await? {
            Reply::Opened(opened) if self.is_of_this_owner(opened.owner.as_deref()) => opened,
            Reply::Again(sealed) => {
                return self.keyring.open_for(&token.replay(), &sealed).ok_or(INVALID_GRANT);
            }
            Reply::Reused => return Err(self.reused("refresh_reuse", &token, &client_id)),
            _ => return Err(INVALID_GRANT),
        };
        let scope = narrowed(fields.one("scope")?, opened.scope.0)
            .ok_or(NoTokens::Error("invalid_scope", "A refresh can narrow the scope, never widen it."))?;
        let data_key = self.keyring.unwrap(&token.wrapping(), &opened.wrapped).ok_or(INVALID_GRANT)?;
        let random = |bytes: &mut [u8]| self.random(bytes);
        let bound_to = opened.bound_to(token.grant.as_str());
        let contents = data_key.open(&bound_to, &opened.contents).and_then(|text| Contents::read(&text));
        let mut contents = contents.ok_or(INVALID_GRANT)?;
        contents.view.and(&view).ok_or(OTHER_TARGET)?;
        let renewed = match self.renew(&mut contents, seconds(scope)).await {
            Ok(false) => None,
            Ok(true) => {
                let text = contents
                    .write(&contents.view, contents.presence)
                    .and_then(|text| data_key.seal(&bound_to, &text, &random));
                Some(text.ok_or(NoTokens::Unavailable)?)
            }
            Err(failure) => return self.not_renewed(&token, &client_id, &failure).await,
        };
        let may = May { scope, view };
        let (pair, answer) = self.next_pair(&token, token.next(&random), &data_key, &may, &contents)?;
        let sealed = self.keyring.seal_for(&token.replay(), &answer, &random).ok_or(NoTokens::Unavailable)?;
        let rotate = Command::Rotate {
            hash,
            client_id: client_id.clone(),
            pair: Box::new(pair),
            contents: renewed,
            answer: sealed,
        };
        match self.ask_grant(&token.grant, rotate).await? {
            Reply::Done => {
                self.audit_grant("refresh", &token, &client_id);
                Ok(answer)
            }
            // Somebody with the same token was faster: both get the same.
            Reply::Again(sealed) => self.keyring.open_for(&token.replay(), &sealed).ok_or(INVALID_GRANT),
            Reply::Reused => Err(self.reused("refresh_reuse", &token, &client_id)),
            _ => Err(INVALID_GRANT),
        }
    }

    /// TiDB Cloud gave no new token. A concurrent request with the same refresh token may have been faster, there and here.
    async fn not_renewed(&self, token: &Token, client_id: &str, failure: &OAuthError) -> Result<String, NoTokens> {
        let (hash, client_id) = (token.fingerprint(), client_id.to_owned());
        let again = Command::OpenRefresh { hash, family: token.family(), client_id };
        match (self.ask_grant(&token.grant, again).await?, failure) {
            (Reply::Again(sealed), _) => self.keyring.open_for(&token.replay(), &sealed).ok_or(INVALID_GRANT),
            (_, OAuthError::Api(_)) => Err(NoTokens::Unavailable),
            _ => Err(NoTokens::Error("invalid_grant", "The sign-in at TiDB Cloud has ended. Connect again.")),
        }
    }

    /// A new access token beside the given refresh token: as it is stored, and as the client gets it. No access token
    /// outlives a sign-in at TiDB Cloud.
    fn next_pair(
        &self,
        from: &Token,
        refresh: Token,
        data_key: &DataKey,
        may: &May,
        contents: &Contents,
    ) -> Result<(Pair, String), NoTokens> {
        let May { scope, ref view } = *may;
        // What the grant says already is sealed there.
        let is_new = contents.view.and(view).as_ref() != Some(&contents.view);
        let random = |bytes: &mut [u8]| self.random(bytes);
        let access = Token::new(Kind::Access, &from.grant, &random);
        let lasts = contents.lasts(self.now());
        let seconds = lasts.map_or(seconds(scope), |lasts| seconds(scope).min(lasts.as_secs()));
        let wrap = |token: &Token| self.keyring.wrap(&token.wrapping(), data_key, &random).ok_or(NoTokens::Unavailable);
        let pair = Pair {
            access: Access {
                hash: access.fingerprint(),
                scope: StoredScope(scope),
                view: if is_new { view.query() } else { String::new() },
                ends: self.now().0.saturating_add(seconds * 1_000),
                wrapped: wrap(&access)?,
            },
            refresh: Refresh {
                hash: refresh.fingerprint(),
                family: refresh.family(),
                ends: 0,
                wrapped: wrap(&refresh)?,
            },
        };
        let answer = json!({
            "access_token": access.expose(),
            "token_type": "Bearer",
            "expires_in": seconds,
            "refresh_token": refresh.expose(),
            "scope": scope.with_included(),
        });
        Ok((pair, answer.to_string()))
    }

    fn audit_grant(&self, event: &'static str, token: &Token, client_id: &str) {
        self.audit(event, &[("grant", short(&token.grant)), ("client", &client_kind(client_id))]);
    }

    fn reused(&self, event: &'static str, token: &Token, client_id: &str) -> NoTokens {
        self.audit_grant(event, token, client_id);
        INVALID_GRANT
    }
}

/// The scope of a new access token.
struct May {
    scope: Scope,
    /// How its resource narrows the tools.
    view: Narrowing,
}

/// How long an access token lives, in seconds.
fn seconds(scope: Scope) -> u64 {
    if scope == Scope::Destroy { ACCESS_DESTROY_SECONDS } else { ACCESS_SECONDS }
}

/// S256 of a verifier (RFC 7636 section 4.6).
pub(super) fn challenge(verifier: &str) -> String {
    use sha2::Digest as _;
    base64url(&sha2::Sha256::digest(verifier.as_bytes()))
}

/// The scope that a refresh asks for: the grant's, or less.
fn narrowed(text: Option<&str>, granted: Scope) -> Option<Scope> {
    let Some(text) = text else { return Some(granted) };
    let names = text.split(' ').filter(|name| !name.is_empty() && *name != "offline_access");
    let scopes: Vec<Scope> = names.map(Scope::parse).collect::<Option<_>>()?;
    let strongest = scopes.into_iter().max().unwrap_or(granted);
    (strongest <= granted).then_some(strongest)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7636 appendix B.
    #[test]
    fn a_challenge_is_made_as_published() {
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert_eq!(challenge(verifier), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn a_refresh_narrows_and_never_widens() {
        let narrow = |text| narrowed(Some(text), Scope::Write);
        assert_eq!(narrow("tidb:read"), Some(Scope::Read));
        assert_eq!(narrow("tidb:read tidb:write offline_access"), Some(Scope::Write));
        assert_eq!(narrow("tidb:destroy"), None);
        assert_eq!(narrow("tidb:read tidb:destroy"), None);
        assert_eq!(narrow("other"), None);
        assert_eq!(narrowed(None, Scope::Destroy), Some(Scope::Destroy));
    }
}
