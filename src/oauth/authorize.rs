//! The authorization endpoint: reads a client's request and shows it to a person.

use serde::{Deserialize, Serialize};
use url::Url;

use super::{
    Server,
    client::Client,
    documents::NoClient,
    form::{Fields, Repeated},
    is_endpoint,
    page::{self, Consent},
    redirect::RedirectUri,
    step_up::StepUp,
};
use crate::{
    base::{
        http::{Head, Response},
        scope::Scope,
    },
    catalogue::Narrowing,
    config::{Origin, is_loopback},
    limits::lease::Guarded,
    store::{
        grant::Presence,
        seal::{base64url, fingerprint, random},
        transaction::LIFE_MILLIS,
    },
};

/// The longest `state`: 2 KiB is far more than any known client sends.
const STATE_BYTES_MAX: usize = 2_048;
/// SHA-256 in base64url (RFC 7636 section 4.2).
const CHALLENGE_CHARACTERS: usize = 43;

/// The request that a page shows: sealed into the page, so that it cannot be changed and a page that is only viewed needs
/// no storage.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Asked {
    /// Names the transaction.
    pub(super) id: String,
    /// The origin that the page was shown under.
    pub(super) origin: String,
    pub(super) client_id: String,
    pub(super) client_name: String,
    pub(super) document_host: Option<String>,
    pub(super) redirect_uri: String,
    pub(super) state: Option<String>,
    pub(super) challenge: String,
    pub(super) scope: String,
    /// How the resource narrows the tools.
    #[serde(default, skip_serializing_if = "Narrowing::is_everything")]
    pub(super) view: Narrowing,
    /// Who is asked before something is destroyed or costs more: what the person ticked, once they did.
    #[serde(default, skip_serializing_if = "Presence::is_any")]
    pub(super) presence: Presence,
    /// Id of the grant that is widened without the keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) widens: Option<String>,
    /// When the keys of that grant were given, once the person has allowed it: milliseconds since 1970.
    #[serde(skip)]
    pub(super) proved: Option<u64>,
    /// Why the keys are asked for again.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) keys_again: String,
    /// SHA-256 of the token that form and cookie carry.
    pub(super) csrf: String,
    /// Milliseconds since 1970.
    pub(super) ends: u64,
}

/// Why a resource is refused.
pub(super) const INVALID_TARGET: &str =
    "This server only authorizes for its own MCP endpoint, and a token for no more than was granted.";

/// The purpose of the page's seal.
pub(super) const PURPOSE: &str = "consent page v1";

/// A client's request, checked.
struct Request {
    challenge: String,
    scope: Scope,
    view: Narrowing,
}

/// An error of a request whose client and redirect URI are known.
#[derive(Clone, Copy)]
struct Told(&'static str, &'static str);

impl From<Repeated> for Told {
    fn from(_: Repeated) -> Self {
        Self("invalid_request", "A parameter appears more than once.")
    }
}

impl Server<'_> {
    pub(super) async fn authorize(&self, head: &Head) -> Response {
        if let Err(guarded) = self.guard_request().await {
            return self.guarded_page(guarded);
        }
        let Some(fields) = Fields::parse(head.url.query().unwrap_or_default().as_bytes()) else {
            return self.refusal(400, "invalid_request", "The address is not a request for authorization.");
        };
        // Until client and redirect are known, nothing is sent anywhere (RFC 6749 section 4.1.2.1).
        let Ok(Some(client_id)) = fields.one("client_id") else {
            return self.refusal(400, "invalid_request", "The address does not name the client.");
        };
        let client = match self.client(client_id).await {
            Ok(client) => client,
            Err(NoClient::Invalid(why)) => return self.refusal(400, "invalid_client", why),
            Err(NoClient::Limited(seconds)) => return self.guarded_page(Guarded::Limited(seconds)),
            Err(NoClient::Unavailable) => return self.guarded_page(Guarded::Unavailable),
        };
        let redirect = match fields.one("redirect_uri") {
            Ok(Some(uri)) => RedirectUri::parse(uri).ok().filter(|uri| client.owns(uri)),
            _ => None,
        };
        let Some(redirect) = redirect else {
            return self.refusal(
                400,
                "invalid_request",
                "The client did not register the address that it wants the answer sent to.",
            );
        };
        let state = fields.one("state");
        let request = self.read_request(&fields).and_then(|request| match state {
            Ok(Some(state)) if state.len() > STATE_BYTES_MAX => {
                Err(Told("invalid_request", "state is longer than 2048 bytes."))
            }
            Ok(_) => Ok(request),
            Err(repeated) => Err(repeated.into()),
        });
        let state = state.ok().flatten().filter(|state| state.len() <= STATE_BYTES_MAX);
        let Request { challenge, scope, view } = match request {
            Ok(request) => request,
            Err(told) => return self.tell(told, &client, &redirect, state),
        };
        let csrf = base64url(&random::<32>(&|bytes| self.random(bytes)));
        let mut asked = Asked {
            id: base64url(&random::<16>(&|bytes| self.random(bytes))),
            origin: self.origin.as_str().to_owned(),
            client_id: client.id,
            client_name: client.name,
            document_host: client.document_host,
            redirect_uri: redirect.as_str().to_owned(),
            state: state.map(str::to_owned),
            challenge,
            scope: scope.as_str().to_owned(),
            view,
            presence: Presence::Any,
            widens: None,
            proved: None,
            keys_again: String::new(),
            csrf: fingerprint(csrf.as_bytes()),
            ends: self.now().0.saturating_add(LIFE_MILLIS),
        };
        let cookie = self.cookie(&cookie_name(&asked.id), &csrf, LIFE_MILLIS / 1_000);
        let page = match self.held_wider(head, &asked, &redirect).await {
            StepUp::Of(grant) => {
                asked.view = grant.view;
                asked.presence = grant.contents.presence;
                asked.client_name = grant.client_name;
                asked.widens = Some(grant.id);
                self.step_up_page(200, &asked, &csrf, grant.scope, &[])
            }
            StepUp::Not(keys_again) => {
                asked.keys_again = keys_again.to_owned();
                self.consent_page(200, &asked, &csrf, &Consent::default())
            }
        };
        page.with("set-cookie", cookie)
    }

    /// Tells the client what is wrong with its request (RFC 6749 section 4.1.2.1), or the person if the client's address is not
    /// trusted. No other response redirects before a person has decided.
    fn tell(&self, told: Told, client: &Client, redirect: &RedirectUri, state: Option<&str>) -> Response {
        let Told(error, description) = told;
        if !redirect.is_vouched_for(client.document_host.as_deref()) {
            let message = format!(
                "The client sent a request that this server cannot take. {description} You were not sent back, because this server does not know the client's address. Close this page: the client needs a fix."
            );
            return self.refusal(400, error, &message);
        }
        let mut answer = vec![("error", error), ("error_description", description)];
        answer.extend(state.map(|state| ("state", state)));
        answer.push(("iss", self.origin.as_str()));
        Response::empty(302).with("location", redirect.with_answer(&answer))
    }

    fn read_request(&self, fields: &Fields) -> Result<Request, Told> {
        match fields.one("response_type")? {
            Some("code") => {}
            Some(_) => return Err(Told("unsupported_response_type", "Only the response type code is offered.")),
            None => return Err(Told("invalid_request", "response_type is missing.")),
        }
        if fields.one("response_mode")?.is_some_and(|mode| mode != "query") {
            return Err(Told("invalid_request", "Only the response mode query is offered."));
        }
        if fields.one("request")?.is_some() {
            return Err(Told("request_not_supported", "Request objects are not supported."));
        }
        if fields.one("request_uri")?.is_some() {
            return Err(Told("request_uri_not_supported", "Request objects are not supported."));
        }
        let challenge = fields
            .one("code_challenge")?
            .ok_or(Told("invalid_request", "PKCE is required: code_challenge is missing."))?;
        // Without a method it would be plain (RFC 7636 section 4.3), which protects nothing.
        if fields.one("code_challenge_method")? != Some("S256") {
            return Err(Told("invalid_request", "code_challenge_method must be S256."));
        }
        let well_formed = challenge.len() == CHALLENGE_CHARACTERS
            && challenge.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        if !well_formed {
            return Err(Told("invalid_request", "code_challenge is not SHA-256 in base64url."));
        }
        let view = self.view_of(fields).ok_or(Told("invalid_target", INVALID_TARGET))?;
        let scope = asked_scope(fields.one("scope")?)
            .ok_or(Told("invalid_scope", "The scopes are tidb:read, tidb:write and tidb:destroy."))?;
        Ok(Request { challenge: challenge.to_owned(), scope, view })
    }

    /// How every `resource` (RFC 8707 section 2) narrows the tools. `None` if one is not this server's endpoint. Clients older
    /// than the parameter omit it, and one without a value counts as omitted (RFC 6749 section 3.1).
    pub(super) fn view_of(&self, fields: &Fields) -> Option<Narrowing> {
        let mut named = fields.all("resource").filter(|text| !text.is_empty());
        named.try_fold(Narrowing::default(), |view, text| view.and(&self.view_of_resource(text)?))
    }

    /// The endpoint is the only resource there is: the origin stands for it, as some clients have it, and so does the endpoint
    /// with a slash behind it.
    fn view_of_resource(&self, text: &str) -> Option<Narrowing> {
        let (address, query) = match text.split_once('?') {
            Some((address, query)) => (address, Some(query)),
            None => (text, None),
        };
        let url = Url::parse(address).ok()?;
        // A parser of the web would drop tabs and turn backslashes; a fragment must not be there (RFC 8707 section 2).
        let is_text = text.bytes().all(|byte| byte.is_ascii_graphic() && !b"#\\".contains(&byte));
        let is_plain = is_text && url.username().is_empty() && url.password().is_none();
        let is_ours = Origin::of(&url) == *self.origin && (url.path() == "/" || is_endpoint(url.path()));
        if is_plain && is_ours { Narrowing::parse(query).ok() } else { None }
    }

    /// The consent page, with the state in `more`.
    pub(super) fn consent_page(&self, status: u16, asked: &Asked, csrf: &str, more: &Consent<'_>) -> Response {
        let sealed = self.sealed(asked);
        let Ok(redirect) = RedirectUri::parse(&asked.redirect_uri) else {
            return self.refusal(400, "invalid_request", "The page was changed.");
        };
        let (place, nonce) = (redirect.place(), self.nonce());
        let (narrowed, toolsets) = (asked.view.in_words(), self.catalogue.toolsets(&asked.view));
        let host = Url::parse(self.origin.as_str()).ok().and_then(|url| url.host_str().map(str::to_owned));
        let consent = Consent {
            client_name: &asked.client_name,
            client_id_host: asked.document_host.as_deref(),
            redirect_host: &place,
            redirect_is_loopback: redirect.is_here(),
            redirect_is_known: redirect.is_known(),
            redirect_is_app: redirect.is_app(),
            requested: Scope::parse(&asked.scope).unwrap_or(Scope::Read),
            narrowed: &narrowed,
            toolsets: &toolsets,
            names_toolsets: asked.view.names_toolsets(),
            can_change: !asked.view.is_read_only(),
            transaction: &sealed,
            csrf,
            nonce: &nonce,
            owner: self.config.owner.is_some(),
            sandbox: self.config.hosts.is_sandbox(),
            tidbcloud_login: self.config.tidb_cloud_oauth.is_some() && self.config.owner.is_none(),
            keys_again: &asked.keys_again,
            server_host: host.as_deref().unwrap_or_default(),
            ..*more
        };
        self.page(status, &nonce, page::consent(&consent))
    }

    /// The sealed request in a page.
    pub(super) fn sealed(&self, asked: &Asked) -> String {
        let random = |bytes: &mut [u8]| self.random(bytes);
        let text = serde_json::to_string(asked).unwrap_or_default();
        self.keyring.seal_text(PURPOSE, &text, &random).unwrap_or_default()
    }

    /// A page that says what is wrong, and leads nowhere.
    pub(super) fn refusal(&self, status: u16, error: &str, message: &str) -> Response {
        let nonce = self.nonce();
        self.page(status, &nonce, page::error_page(error, message, &nonce))
    }

    /// A page of a guard.
    pub(super) fn guarded_page(&self, guarded: Guarded) -> Response {
        match guarded {
            Guarded::Limited(seconds) => self
                .refusal(429, "too_many_requests", "Too many tries. Wait a minute and load the page again.")
                .with("retry-after", seconds.to_string()),
            Guarded::Unavailable => self.unavailable_page(),
        }
    }

    /// The page of storage that does not answer.
    pub(super) fn unavailable_page(&self) -> Response {
        self.refusal(503, "temporarily_unavailable", "The server's own storage did not answer. Try again in a moment.")
            .with("retry-after", "5")
    }

    /// An HTML page: no script, no addresses but this server's, no framing. `Referrer-Policy` lets only a form post to this
    /// server say where it comes from.
    pub(super) fn page(&self, status: u16, nonce: &str, html: String) -> Response {
        let policy = format!(
            "default-src 'none'; style-src 'nonce-{nonce}'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
        );
        let mut response = Response::empty(status)
            .with("content-type", "text/html; charset=utf-8")
            .with("content-security-policy", policy)
            .with("referrer-policy", "same-origin")
            .with("cache-control", "no-store");
        response.body = html.into_bytes();
        response
    }

    pub(super) fn nonce(&self) -> String {
        base64url(&random::<16>(&|bytes| self.random(bytes)))
    }

    /// A cookie for this host alone (RFC 6265bis section 4.1.3.2). Plain http, which only loopback hosts speak here, has no
    /// `Secure` and so no such prefix.
    pub(super) fn cookie(&self, name: &str, value: &str, seconds: u64) -> String {
        let secure = if self.is_https() { "; Secure" } else { "" };
        format!("{}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}", self.full_cookie_name(name))
    }

    /// The value of a cookie that appears once.
    pub(super) fn sent_cookie(&self, head: &Head, name: &str) -> Option<String> {
        let name = self.full_cookie_name(name);
        let header = head.headers.get("cookie")?;
        let mut found = header.split([';', ',']).filter_map(|pair| {
            let (key, value) = pair.trim().split_once('=')?;
            (key == name).then(|| value.to_owned())
        });
        let first = found.next();
        if found.next().is_some() { None } else { first }
    }

    fn full_cookie_name(&self, name: &str) -> String {
        if self.is_https() { format!("__Host-{name}") } else { name.to_owned() }
    }

    fn is_https(&self) -> bool {
        Url::parse(self.origin.as_str()).is_ok_and(|url| url.scheme() == "https" || !is_loopback(&url))
    }
}

/// Each transaction's page has its own cookie, so that several can be open.
pub(super) fn cookie_name(transaction: &str) -> String {
    format!("mcp_consent_{}", transaction.get(..8).unwrap_or_default())
}

/// The strongest scope requested, or reading if none is. Unknown scopes are ignored (RFC 6749 section 3.3), unless all are
/// unknown.
fn asked_scope(text: Option<&str>) -> Option<Scope> {
    let Some(text) = text else { return Some(Scope::Read) };
    let mut names = text.split(' ').filter(|name| !name.is_empty());
    if names.clone().all(|name| name == "offline_access") {
        return Some(Scope::Read);
    }
    let known = names.clone().filter_map(Scope::parse).max();
    known.filter(|_| names.all(|name| name.len() <= 64))
}
