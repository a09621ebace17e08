//! The doors of `/mcp` that cost nothing: verb, host and origin, query, credentials.

use url::Url;

use crate::{
    config::{Config, Origin, is_loopback},
    http::{Head, Headers, Method, Response},
    mcp::Rejection,
    tidbcloud::{ApiKey, SqlLogin},
};

/// What a browser may send: the protocol's headers and ours.
pub(super) const PREFLIGHT_HEADERS: &str = "Authorization, Content-Type, Accept, MCP-Protocol-Version, Mcp-Method, \
    Mcp-Name, Mcp-Session-Id, Last-Event-ID, X-Request-Id, X-TiDB-API-Public-Key, X-TiDB-API-Private-Key, \
    X-TiDB-SQL-User, X-TiDB-SQL-Secret";

/// 16 KiB: no legal URL of ours has more than a path and no query.
const URL_BYTES_MAX: usize = 16 << 10;

/// An access key is at most this long; anything longer is refused before it is looked at.
const TOKEN_BYTES_MAX: usize = 512;

/// Behind the doors.
pub(super) enum Door {
    /// A browser asked whether it may call.
    Preflight,
    /// Somebody with credentials.
    Caller(Caller),
}

/// Who is calling. Whether TiDB Cloud takes the keys shows in the call.
pub(super) struct Caller {
    /// `None` is the owner, whose keys are settings.
    key: Option<ApiKey>,
    fallback: Option<SqlLogin>,
}

impl Caller {
    /// For the log.
    pub(super) fn kind(&self) -> &'static str {
        if self.key.is_some() { "keys" } else { "access-key" }
    }

    /// The keys for TiDB Cloud.
    pub(super) fn key<'a>(&'a self, config: &'a Config) -> Option<&'a ApiKey> {
        self.key.as_ref().or_else(|| config.owner.as_ref().map(|owner| &owner.key))
    }

    /// The caller's own SQL user, for the cluster or branch that it belongs to.
    pub(super) fn fallback(&self) -> Option<&SqlLogin> {
        self.fallback.as_ref()
    }
}

/// A request that got no further than a door.
pub(super) struct Refusal {
    rejection: Rejection,
    header: Option<(&'static str, &'static str)>,
}

impl Refusal {
    /// A refusal whose JSON-RPC code follows from its status.
    pub(super) fn new(status: u16, kind: &'static str, message: &'static str) -> Self {
        Self { rejection: Rejection::transport(status, kind, message), header: None }
    }

    /// A request that is not one: 400 and -32600.
    fn malformed(kind: &'static str, message: &'static str) -> Self {
        Self { rejection: Rejection::invalid_request(kind, message), header: None }
    }

    fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.header = Some((name, value));
        self
    }

    pub(super) fn response(&self, request_id: &str) -> Response {
        let response = self.rejection.response(request_id);
        match self.header {
            Some((name, value)) => response.with(name, value),
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
    if head.url.query().is_some() {
        return Err(Refusal::malformed(
            "QUERY_NOT_ALLOWED",
            "This URL takes no query parameters. Credentials never belong in a URL: send them as headers.",
        ));
    }
    credentials(&head.headers, config).map(Door::Caller)
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

const CHALLENGE: &str = "Bearer realm=\"mcp-server-tidbcloud\"";
const INVALID_TOKEN: &str = "Bearer realm=\"mcp-server-tidbcloud\", error=\"invalid_token\"";

fn unauthorized(challenge: &'static str, message: &'static str) -> Refusal {
    Refusal::new(401, "UNAUTHENTICATED", message).with("www-authenticate", challenge)
}

/// Exactly one kind of credential per request.
fn credentials(headers: &Headers, config: &Config) -> Result<Caller, Refusal> {
    let public = headers.get("x-tidb-api-public-key");
    let private = headers.get("x-tidb-api-private-key");
    let authorization = headers.get("authorization");
    let fallback = sql_login(headers)?;
    if authorization.is_some() && (public.is_some() || private.is_some()) {
        return Err(Refusal::malformed(
            "TWO_KINDS_OF_CREDENTIALS",
            "Send either the two X-TiDB-API key headers or Authorization, not both.",
        ));
    }
    match (&config.owner, &authorization, public, private) {
        (Some(owner), Some(authorization), ..) => match bearer(authorization) {
            Some(token) if token.len() <= TOKEN_BYTES_MAX && owner.access_key.matches(token) => {
                Ok(Caller { key: None, fallback })
            }
            Some(_) => Err(unauthorized(INVALID_TOKEN, "This access key is not the one of this deployment.")),
            None => Err(unauthorized(CHALLENGE, "Send the access key as: Authorization: Bearer <access key>.")),
        },
        (Some(_), None, ..) => Err(unauthorized(
            CHALLENGE,
            "This deployment belongs to one owner. Send its access key as: Authorization: Bearer <access key>.",
        )),
        (None, _, Some(public), Some(private)) => match ApiKey::new(public, private) {
            Ok(key) => Ok(Caller { key: Some(key), fallback }),
            Err(_) => Err(unauthorized(
                CHALLENGE,
                "The key headers do not look like a TiDB Cloud API key. Copy both keys again from the TiDB Cloud console.",
            )),
        },
        (None, authorization, None, None) => Err(match authorization {
            Some(authorization) if bearer(authorization).is_some() => unauthorized(
                INVALID_TOKEN,
                "This deployment issued no such token. Send the headers X-TiDB-API-Public-Key and X-TiDB-API-Private-Key.",
            ),
            _ => unauthorized(
                CHALLENGE,
                "Credentials are missing. Create an API key in the TiDB Cloud console (Organization Settings, API Keys) \
                 and send it in the headers X-TiDB-API-Public-Key and X-TiDB-API-Private-Key.",
            ),
        }),
        (None, ..) => {
            Err(unauthorized(CHALLENGE, "Half a key pair: send both X-TiDB-API-Public-Key and X-TiDB-API-Private-Key."))
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
fn sql_login(headers: &Headers) -> Result<Option<SqlLogin>, Refusal> {
    let login = match (headers.get("x-tidb-sql-user"), headers.get("x-tidb-sql-secret")) {
        (None, None) => return Ok(None),
        (Some(user), Some(password)) => SqlLogin::new(user, password).ok(),
        _ => None,
    };
    match login {
        Some(login) => Ok(Some(login)),
        None => Err(unauthorized(
            CHALLENGE,
            "Send both X-TiDB-SQL-User (the full user name with its prefix) and X-TiDB-SQL-Secret (its password), or neither.",
        )),
    }
}
