//! Exactly one credential, of a kind that this deployment accepts.

use super::{Refusal, Request, address};
use crate::{
    app::codes::{TWO_KINDS_OF_CREDENTIALS, UNAUTHENTICATED},
    base::{http::Headers, scope::Scope, secret::Secret},
    config::Config,
    limits::keys::Visitor,
    oauth,
    store::{seal::Keyring, token::Token},
    tidbcloud::{ApiKey, SqlLogin},
};

/// An access key or token is at most this long; anything longer is refused before it is looked at.
const TOKEN_BYTES_MAX: usize = 512;

/// The header fields that hold a secret and nothing else.
pub(in crate::app) const SECRET_HEADERS: [&str; 2] = ["x-tidb-api-private-key", "x-tidb-sql-secret"];

/// The credential of a caller.
pub(in crate::app) enum Credential {
    /// A key pair in headers. The call shows whether TiDB Cloud accepts it.
    Keys(ApiKey),
    /// The owner's access key; the owner's API keys are settings.
    Owner,
    /// A text in the form of an access token. The grant decides whether it is valid.
    Token(Secret),
}

impl Credential {
    /// For the log.
    pub(in crate::app::mcp) fn kind(&self) -> &'static str {
        match self {
            Self::Keys(_) => "keys",
            Self::Owner => "access-key",
            Self::Token(_) => "oauth",
        }
    }
}

/// The credential, and the caller's own SQL user.
pub(in crate::app::mcp) async fn read(request: Request<'_>) -> Result<(Credential, Option<SqlLogin>), Refusal> {
    let headers = &request.head.headers;
    let public = headers.filled("x-tidb-api-public-key");
    let private = headers.filled("x-tidb-api-private-key");
    // A form's template may contain the scheme, so a scheme alone counts as blank.
    let authorization = headers.filled("authorization").filter(|value| !value.eq_ignore_ascii_case("bearer"));
    if authorization.is_some() && (public.is_some() || private.is_some()) {
        let message = "Send either the two X-TiDB-API key headers or Authorization, not both.";
        return Err(Refusal::new(&TWO_KINDS_OF_CREDENTIALS, message));
    }
    let login = sql_login(headers).map_err(|message| unauthorized(request, None, message))?;
    let is_offered = authorization.is_some() || public.is_some() || private.is_some();
    let credential = match authorization {
        Some(authorization) => bearer_credential(request, &authorization),
        None => key_credential(request, public, private),
    };
    match credential {
        Ok(credential) => Ok((credential, login)),
        Err(refusal) if is_offered => Err(count_wrong(request, refusal).await),
        Err(refusal) => Err(refusal),
    }
}

/// Counts an invalid credential, which may be a guess: 401, or 429 after too many from this address.
pub(super) async fn count_wrong(request: Request<'_>, refusal: Refusal) -> Refusal {
    let Some(address) = address::of_client(request.head) else { return refusal };
    let config = request.config();
    let visitor = async || {
        let keyring = Keyring::new(request.app.secret().await.ok()?, []);
        Some(Visitor::of(address, config, &keyring))
    };
    match request.app.isolate.limits.wrong_credentials.count(request.port(), config, address, visitor).await {
        None => refusal,
        Some(millis) => {
            let message = "Too many invalid credentials from this address. Check yours and wait.";
            Refusal::limited(message, millis)
        }
    }
}

/// 401 with the accepted kinds of credential; with OAuth, a challenge that leads to its metadata (RFC 9728 section 5.1).
pub(super) fn unauthorized(request: Request<'_>, error: Option<&str>, message: &str) -> Refusal {
    let config = request.config();
    let error = error.map(|error| (error, "The token is not valid here."));
    let challenge = if config.allowed.oauth {
        oauth::challenge(request.head, config, Scope::Read, error)
    } else {
        let error = error.map(|(error, _)| format!(", error=\"{error}\"")).unwrap_or_default();
        format!("Bearer realm=\"mcp-server-tidbcloud\"{error}")
    };
    Refusal::new(&UNAUTHENTICATED, message).with("www-authenticate", challenge)
}

fn key_credential(
    request: Request<'_>,
    public: Option<String>,
    private: Option<String>,
) -> Result<Credential, Refusal> {
    let config = request.config();
    let refuse = |message: &str| Err(unauthorized(request, None, message));
    match (public, private) {
        (None, None) => refuse(how_to_get_in(config)),
        _ if !config.allowed.keys => refuse(how_to_get_in(config)),
        (Some(public), Some(private)) => match ApiKey::new(public, private) {
            Ok(key) => Ok(Credential::Keys(key)),
            Err(_) => refuse(
                "The key headers do not look like a TiDB Cloud API key. Copy both keys again from the TiDB Cloud console.",
            ),
        },
        _ => refuse("Half a key pair: send both X-TiDB-API-Public-Key and X-TiDB-API-Private-Key."),
    }
}

fn bearer_credential(request: Request<'_>, authorization: &str) -> Result<Credential, Refusal> {
    let config = request.config();
    let Some(token) = bearer(authorization) else {
        return Err(unauthorized(request, None, how_to_get_in(config)));
    };
    let owner = config.owner.as_ref().filter(|_| config.allowed.access_key);
    if token.len() <= TOKEN_BYTES_MAX {
        if config.allowed.oauth && Token::looks_like_access(token) {
            return Ok(Credential::Token(Secret::new(token)));
        }
        if owner.is_some_and(|owner| owner.access_key.matches(token)) {
            return Ok(Credential::Owner);
        }
    }
    let message = if owner.is_some() {
        "This is not the access key of this deployment."
    } else {
        "This deployment did not issue this token."
    };
    Err(unauthorized(request, Some("invalid_token"), message))
}

/// The message for a caller without credentials: a clause for each accepted kind.
fn how_to_get_in(config: &Config) -> &'static str {
    match (config.allowed.oauth, config.allowed.keys, config.allowed.access_key) {
        (true, true, false) => {
            "Credentials are missing. Connect by OAuth, which your client offers for this URL; or create an API key in the TiDB Cloud \
             console (Organization Settings, API Keys) and send it in the headers X-TiDB-API-Public-Key and X-TiDB-API-Private-Key."
        }
        (true, false, true) => {
            "This deployment belongs to one owner. Connect by OAuth, which your client offers for this URL, or send the access key \
             as: Authorization: Bearer <access key>."
        }
        (true, true, true) => {
            "Credentials are missing. Connect by OAuth, which your client offers for this URL; or send the access key as \
             Authorization: Bearer <access key>; or an API key in X-TiDB-API-Public-Key and X-TiDB-API-Private-Key."
        }
        (true, false, false) => "Credentials are missing. Connect by OAuth, which your client offers for this URL.",
        (false, true, false) => {
            "Credentials are missing. Create an API key in the TiDB Cloud console (Organization Settings, API Keys) \
             and send it in the headers X-TiDB-API-Public-Key and X-TiDB-API-Private-Key."
        }
        (false, true, true) => {
            "Credentials are missing. Send the access key as Authorization: Bearer <access key>, or an API key in the headers \
             X-TiDB-API-Public-Key and X-TiDB-API-Private-Key."
        }
        (false, false, _) => {
            "This deployment belongs to one owner. Send its access key as: Authorization: Bearer <access key>."
        }
    }
}

/// The token of `Authorization: Bearer <token>` (RFC 6750 section 2.1); the scheme compares without regard to case.
fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    let token = token.trim_matches(' ');
    let well_formed = scheme.eq_ignore_ascii_case("bearer")
        && !token.is_empty()
        && token.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',');
    well_formed.then_some(token)
}

/// The caller's own SQL user: full name with its prefix, and password.
fn sql_login(headers: &Headers) -> Result<Option<SqlLogin>, &'static str> {
    let login = match (headers.filled("x-tidb-sql-user"), headers.filled("x-tidb-sql-secret")) {
        (None, None) => return Ok(None),
        (Some(user), Some(password)) => SqlLogin::new(user, password).ok(),
        _ => None,
    };
    match login {
        Some(login) => Ok(Some(login)),
        None => Err(
            "Send both X-TiDB-SQL-User (the full user name with its prefix) and X-TiDB-SQL-Secret (its password), or neither.",
        ),
    }
}
