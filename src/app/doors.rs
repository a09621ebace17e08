//! The doors of `/mcp` that cost nothing: verb, host and origin, query, credentials.

use url::Url;

use crate::{
    base::{
        address::ClientAddress,
        http::{Head, Headers, Method, Response},
        scope::Scope,
        secret::Secret,
    },
    config::{Config, Origin, is_loopback},
    mcp::Rejection,
    oauth,
    store::token::Token,
    tidbcloud::{ApiKey, SqlLogin},
    tools::{NoView, View},
};

/// What a browser may send: the protocol's headers and ours.
pub(super) const PREFLIGHT_HEADERS: &str = "Authorization, Content-Type, Accept, MCP-Protocol-Version, Mcp-Method, \
    Mcp-Name, Mcp-Session-Id, Last-Event-ID, X-Request-Id, X-TiDB-API-Public-Key, X-TiDB-API-Private-Key, \
    X-TiDB-SQL-User, X-TiDB-SQL-Secret";

/// 16 KiB: no legal URL of ours has more than a path and no query.
const URL_BYTES_MAX: usize = 16 << 10;

/// An access key or token is at most this long; anything longer is refused before it is looked at.
const TOKEN_BYTES_MAX: usize = 512;

/// Behind the doors.
pub(super) enum Door {
    /// A browser asked whether it may call.
    Preflight,
    /// Somebody with credentials.
    Caller(Box<Caller>),
}

/// Who is calling.
pub(super) struct Caller {
    pub(super) credential: Credential,
    /// The caller's own SQL user, for the cluster or branch that it belongs to.
    pub(super) own_login: Option<SqlLogin>,
    /// What the address leaves of the tools.
    pub(super) view: View,
}

/// What a caller proves itself with.
pub(super) enum Credential {
    /// A key pair in headers. Whether TiDB Cloud takes it shows in the call.
    Keys(ApiKey),
    /// The access key of the owner, whose keys are settings.
    Owner,
    /// What looks like an access token. Whether it is one shows at its grant.
    Token(Secret),
}

impl Credential {
    /// For the log.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Keys(_) => "keys",
            Self::Owner => "access-key",
            Self::Token(_) => "oauth",
        }
    }
}

/// A request that got no further than a door.
pub(super) struct Refusal {
    rejection: Rejection,
    header: Option<(&'static str, String)>,
    /// Whether a credential was offered that opens nothing: it may be a guess.
    pub(super) wrong_credential: bool,
}

impl Refusal {
    /// A refusal whose JSON-RPC code follows from its status.
    pub(super) fn new(status: u16, kind: &'static str, message: &str) -> Self {
        Self { rejection: Rejection::transport(status, kind, message), header: None, wrong_credential: false }
    }

    /// A request that is not one: 400 and -32600.
    fn malformed(kind: &'static str, message: &'static str) -> Self {
        Self { rejection: Rejection::invalid_request(kind, message), header: None, wrong_credential: false }
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.header = Some((name, value.into()));
        self
    }

    pub(super) fn response(&self, request_id: &str) -> Response {
        let response = self.rejection.response(request_id);
        match &self.header {
            Some((name, value)) => response.with(name, value.as_str()),
            None => response,
        }
    }
}

/// All doors of `/mcp`, in order.
pub(super) fn pass(head: &Head, config: &Config) -> Result<Door, Refusal> {
    if !matches!(head.method, Method::Post | Method::Options) {
        return Err(wrong_verb());
    }
    if is_too_long(&head.url) {
        return Err(Refusal::new(414, "URL_TOO_LONG", "The URL is too long."));
    }
    host(head, config)?;
    origin(head, config)?;
    if head.method == Method::Options {
        let asks = head.headers.has("origin") && head.headers.has("access-control-request-method");
        return if asks { Ok(Door::Preflight) } else { Err(wrong_verb()) };
    }
    if let Some(ranges) = &config.allowed_ips {
        let inside = address(head).is_some_and(|address| ranges.iter().any(|range| range.contains(address)));
        if !inside {
            return Err(Refusal::new(
                403,
                "ADDRESS_NOT_ALLOWED",
                "This deployment is not open to this client's address.",
            ));
        }
    }
    let view =
        View::parse(head.query.as_deref()).map_err(|NoView(why)| Refusal::malformed("QUERY_NOT_ALLOWED", why))?;
    let (credential, own_login) = credentials(head, config)?;
    Ok(Door::Caller(Box::new(Caller { credential, own_login, view })))
}

/// The client's address. `CF-Connecting-IP` is set by Cloudflare and is the only header that counts.
pub(super) fn address(head: &Head) -> Option<ClientAddress> {
    match head.headers.get("cf-connecting-ip") {
        Some(text) => ClientAddress::parse(&text),
        None if is_loopback(&head.url) => ClientAddress::parse("127.0.0.1"),
        None => None,
    }
}

/// Whether a URL is longer than any that the service has an answer for.
pub(super) fn is_too_long(url: &Url) -> bool {
    url.as_str().len() > URL_BYTES_MAX
}

fn wrong_verb() -> Refusal {
    Refusal::new(405, "METHOD_NOT_ALLOWED", "Only POST is allowed here.").with("allow", "POST, OPTIONS")
}

/// Plain http is for loopback hosts; a sandbox is for loopback hosts; with a public origin set, nothing else is served.
pub(super) fn host(head: &Head, config: &Config) -> Result<(), Refusal> {
    let loopback = is_loopback(&head.url);
    let served = match &config.public_origin {
        Some(origin) => Origin::of(&head.url) == *origin,
        None => loopback || (head.url.scheme() == "https" && !config.hosts.is_sandbox()),
    };
    if served {
        Ok(())
    } else {
        Err(Refusal::new(403, "HOST_NOT_SERVED", "This host is not served here, or only over https."))
    }
}

/// The request's browser origin as it was sent, where it has one that may call.
pub(super) fn allowed_origin(head: &Head, config: &Config) -> Option<String> {
    let sent = head.headers.get("origin")?;
    let origin = Origin::parse(&sent)?;
    let own = origin == Origin::of(&head.url);
    // A page that a rebound name led to our address sends that name as both `Origin` and `Host`: our own origin is
    // trusted only where the host itself is beyond rebinding, by TLS or because it is a loopback name.
    let own = own && (head.url.scheme() == "https" || is_loopback(&head.url));
    (own || origin.is_loopback() || config.allowed_origins.contains(&origin)).then_some(sent)
}

fn origin(head: &Head, config: &Config) -> Result<(), Refusal> {
    if head.headers.has("origin") && allowed_origin(head, config).is_none() {
        return Err(Refusal::new(
            403,
            "ORIGIN_NOT_ALLOWED",
            "Browsers may not call from this origin. The deployment's ALLOWED_ORIGINS lists those that may.",
        ));
    }
    Ok(())
}

/// 401 with what gets in here: where OAuth does, a challenge that leads to its metadata (RFC 9728 section 5.1).
pub(super) fn unauthorized(head: &Head, config: &Config, error: Option<&str>, message: &str) -> Refusal {
    let error = error.map(|error| (error, "The token is not valid here."));
    let challenge = if config.allowed.oauth {
        oauth::challenge(head, config, Scope::Read, error)
    } else {
        let error = error.map(|(error, _)| format!(", error=\"{error}\"")).unwrap_or_default();
        format!("Bearer realm=\"mcp-server-tidbcloud\"{error}")
    };
    Refusal::new(401, "UNAUTHENTICATED", message).with("www-authenticate", challenge)
}

/// Exactly one kind of credential per request, of those that are taken here.
fn credentials(head: &Head, config: &Config) -> Result<(Credential, Option<SqlLogin>), Refusal> {
    let headers = &head.headers;
    let public = headers.filled("x-tidb-api-public-key");
    let private = headers.filled("x-tidb-api-private-key");
    // A form may have the scheme in its template, so a scheme alone is blank too.
    let authorization = headers.filled("authorization").filter(|value| !value.eq_ignore_ascii_case("bearer"));
    if authorization.is_some() && (public.is_some() || private.is_some()) {
        return Err(Refusal::malformed(
            "TWO_KINDS_OF_CREDENTIALS",
            "Send either the two X-TiDB-API key headers or Authorization, not both.",
        ));
    }
    let own_login = sql_login(headers).map_err(|message| unauthorized(head, config, None, message))?;
    let is_offered = authorization.is_some() || public.is_some() || private.is_some();
    let credential = match authorization {
        Some(authorization) => bearer_credential(head, config, &authorization),
        None => key_credential(head, config, public, private),
    };
    Ok((credential.map_err(|refusal| Refusal { wrong_credential: is_offered, ..refusal })?, own_login))
}

fn key_credential(
    head: &Head,
    config: &Config,
    public: Option<String>,
    private: Option<String>,
) -> Result<Credential, Refusal> {
    let refuse = |message: &str| Err(unauthorized(head, config, None, message));
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

fn bearer_credential(head: &Head, config: &Config, authorization: &str) -> Result<Credential, Refusal> {
    let Some(token) = bearer(authorization) else {
        return Err(unauthorized(head, config, None, how_to_get_in(config)));
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
        "This access key is not the one of this deployment."
    } else {
        "This deployment issued no such token."
    };
    Err(unauthorized(head, config, Some("invalid_token"), message))
}

/// What somebody without credentials is told, in one sentence for each kind that is taken.
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
