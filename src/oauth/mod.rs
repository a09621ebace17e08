//! Authorization: the server is its own OAuth 2.1 authorization server, for connectors that take an address and nothing
//! else. A person enters TiDB Cloud API keys on its page; they are sealed into a grant, and the client gets tokens.
//!
//! Invariants: no page runs a script or loads anything from elsewhere; nothing is approved without a person; no client has a
//! secret; no token is read from a URL; and none of this server's tokens is sent to TiDB Cloud.

mod access;
mod authorize;
pub mod browser;
mod check;
pub mod client;
pub mod confirm;
mod consent;
mod contents;
mod documents;
pub mod form;
mod grants;
mod guard;
mod metadata;
pub mod page;
pub mod redirect;
mod register;
mod revoke;
mod sign_in;
mod step_up;
mod token;

pub use self::{
    access::{AccessRefused, Session, is_made_up},
    contents::{Contents, Credential, Organization},
};
use crate::{
    base::{
        clock::UnixMillis,
        http::{Head, Method, Response},
        scope::Scope,
    },
    catalogue::Catalogue,
    config::{Config, Origin},
    limits::{keys::Visitor, witness::Pairs},
    port::{Port, RequestLog, StorageFailure},
    store::{
        document, grant, index,
        object::{Command, ObjectName, Reply},
        seal::Keyring,
        token::GrantId,
        transaction,
    },
    tidbcloud,
};

/// 16 KiB: a form with five sets of keys, names and SQL users has some 4 KiB, a registration some 1 KiB.
pub const BODY_BYTES_MAX: usize = 16 << 10;

/// A route of the authorization server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Metadata of the protected resource (RFC 9728 section 3.1), at both places.
    ProtectedResource,
    /// Metadata of the authorization server (RFC 8414 section 3), where OpenID clients look as well.
    AuthorizationServer,
    /// The authorization endpoint (RFC 6749 section 3.1).
    Authorize,
    /// Where the consent page is sent to.
    Consent,
    /// Where TiDB Cloud sends a person back who signed in there.
    SignedIn,
    /// The token endpoint (RFC 6749 section 3.2).
    Token,
    /// The registration endpoint (RFC 7591 section 3).
    Register,
    /// The revocation endpoint (RFC 7009 section 2).
    Revoke,
    /// The page that lists a key's grants.
    Grants,
    /// Where that page is sent to.
    RevokeGrant,
    /// The page on which a person agrees to a call.
    Confirm,
    /// The page on which they take secrets.
    Handed,
}

impl Route {
    /// The route of a path. Clients put the path of the endpoint behind that of every document (RFC 8414 section 3.1, RFC
    /// 9728 section 3.1).
    pub fn of(path: &str) -> Option<Self> {
        if let Some(document) = path.strip_prefix("/.well-known/") {
            return match document.strip_suffix(endpoint_path(document)).unwrap_or(document) {
                "oauth-protected-resource" => Some(Self::ProtectedResource),
                "oauth-authorization-server" | "openid-configuration" => Some(Self::AuthorizationServer),
                _ => None,
            };
        }
        if path.starts_with(confirm::PATH) {
            return Some(Self::Confirm);
        }
        if path.starts_with(confirm::HANDED_PATH) {
            return Some(Self::Handed);
        }
        Some(match path {
            "/authorize" => Self::Authorize,
            "/consent" => Self::Consent,
            "/signed-in" => Self::SignedIn,
            "/token" => Self::Token,
            "/register" => Self::Register,
            "/revoke" => Self::Revoke,
            "/grants" => Self::Grants,
            "/grants/revoke" => Self::RevokeGrant,
            _ => return None,
        })
    }

    /// Its name in the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::ProtectedResource => "/.well-known/oauth-protected-resource",
            Self::AuthorizationServer => "/.well-known/oauth-authorization-server",
            Self::Authorize => "/authorize",
            Self::Consent => "/consent",
            Self::SignedIn => "/signed-in",
            Self::Token => "/token",
            Self::Register => "/register",
            Self::Revoke => "/revoke",
            Self::Grants => "/grants",
            Self::RevokeGrant => "/grants/revoke",
            Self::Confirm => "/confirm",
            Self::Handed => "/handed",
        }
    }

    /// Whether it takes this method.
    pub fn takes(self, method: Method) -> bool {
        match self {
            Self::ProtectedResource | Self::AuthorizationServer => matches!(method, Method::Get | Method::Head),
            Self::Authorize | Self::SignedIn => method == Method::Get,
            Self::Grants | Self::Confirm | Self::Handed => matches!(method, Method::Get | Method::Post),
            Self::Consent | Self::Token | Self::Register | Self::Revoke | Self::RevokeGrant => method == Method::Post,
        }
    }

    /// The methods it takes.
    pub fn allow(self) -> &'static str {
        match self {
            Self::ProtectedResource | Self::AuthorizationServer => "GET, HEAD, OPTIONS",
            Self::Authorize | Self::SignedIn => "GET",
            Self::Grants | Self::Confirm | Self::Handed => "GET, POST",
            Self::Token | Self::Register | Self::Revoke => "POST, OPTIONS",
            Self::Consent | Self::RevokeGrant => "POST",
        }
    }

    /// Whether pages of every origin may call it: it takes and gives no cookie.
    pub fn is_open_to_every_origin(self) -> bool {
        !self.is_page()
    }

    /// Whether a person sees it.
    pub fn is_page(self) -> bool {
        matches!(
            self,
            Self::Authorize
                | Self::Consent
                | Self::SignedIn
                | Self::Grants
                | Self::RevokeGrant
                | Self::Confirm
                | Self::Handed
        )
    }

    /// Whether it is answered without storage or a limit, because it is public.
    pub fn is_metadata(self) -> bool {
        matches!(self, Self::ProtectedResource | Self::AuthorizationServer)
    }
}

/// An isolate's memory of clients' documents.
#[derive(Default)]
pub struct Memory {
    documents: documents::Cache,
}

/// Who serves, for one request.
pub struct Server<'a> {
    /// The settings.
    pub config: &'a Config,
    /// The tools that a grant can narrow.
    pub catalogue: &'a Catalogue,
    /// The outside world.
    pub port: Port<'a>,
    /// The server secrets.
    pub keyring: &'a Keyring,
    /// What this isolate remembers of documents.
    pub memory: &'a Memory,
    /// What this isolate remembers of TiDB Cloud.
    pub tidb_cloud_memory: &'a tidbcloud::Memory,
    /// Key pairs that this isolate knows.
    pub pairs: &'a Pairs,
    /// Who is asking.
    pub visitor: &'a Visitor,
    /// Issuer and host of everything: `PUBLIC_ORIGIN`, or the origin of the request. No header counts.
    pub origin: &'a Origin,
    /// The log of the request.
    pub log: &'a RequestLog<'a>,
}

/// The origin that a request is served under.
pub fn origin(head: &Head, config: &Config) -> Origin {
    config.public_origin.clone().unwrap_or_else(|| Origin::of(&head.url))
}

/// The resource of tokens: the address of the MCP endpoint, without a query.
pub fn resource(origin: &Origin) -> String {
    format!("{}/mcp", origin.as_str())
}

/// Whether this is the path of the MCP endpoint: people paste it with a slash behind it.
pub fn is_endpoint(path: &str) -> bool {
    matches!(path, "/mcp" | "/mcp/")
}

/// The endpoint's path at the end of a path; `/mcp` if it has none.
fn endpoint_path(path: &str) -> &'static str {
    if path.ends_with("/mcp/") { "/mcp/" } else { "/mcp" }
}

/// The MCP endpoint with path and query as the client wrote them: clients compare addresses byte for byte (RFC 9728 section
/// 3.3). `beneath` is put in front of the path.
fn address(head: &Head, origin: &Origin, beneath: &str) -> String {
    let query = head.query.as_deref().map(|query| format!("?{query}")).unwrap_or_default();
    format!("{}{beneath}{}{query}", origin.as_str(), endpoint_path(head.url.path()))
}

/// A challenge for `WWW-Authenticate` (RFC 6750 section 3, RFC 9728 section 5.1) to a request whose query is one
/// ([`crate::base::http::is_query`]). `error` is absent where no credential was sent.
pub fn challenge(head: &Head, config: &Config, scope: Scope, error: Option<(&str, &str)>) -> String {
    let mut text = String::from("Bearer ");
    if let Some((error, description)) = error {
        text.push_str(&format!("error=\"{error}\", error_description=\"{description}\", "));
    }
    let metadata = address(head, &origin(head, config), "/.well-known/oauth-protected-resource");
    text.push_str(&format!("scope=\"{}\", resource_metadata=\"{metadata}\"", scope.with_included()));
    text
}

impl Server<'_> {
    /// Answers a request of an authorization route; method, origin and size were looked at before.
    pub async fn handle(&self, route: Route, head: &Head, body: &[u8]) -> Response {
        match (route, head.method) {
            (Route::ProtectedResource, _) => self.protected_resource(head),
            (Route::AuthorizationServer, _) => self.authorization_server(),
            (Route::Authorize, _) => self.authorize(head).await,
            (Route::Consent, _) => self.consent(head, body).await,
            (Route::SignedIn, _) => self.signed_in(head).await,
            (Route::Token, _) => self.token(head, body).await,
            (Route::Register, _) => self.register(head, body).await,
            (Route::Revoke, _) => self.revoke(head, body).await,
            (Route::Grants, Method::Get) => self.grants(head).await,
            (Route::Grants, _) => self.prove_key(head, body).await,
            (Route::RevokeGrant, _) => self.revoke_grant(head, body).await,
            (Route::Confirm | Route::Handed, Method::Get) => self.confirm(head).await,
            (Route::Confirm | Route::Handed, _) => self.answer_confirm(head, body).await,
        }
    }

    fn now(&self) -> UnixMillis {
        self.port.io.now()
    }

    fn random(&self, bytes: &mut [u8]) {
        self.port.io.random(bytes);
    }

    async fn ask_grant(&self, id: &GrantId, command: grant::Command) -> Result<grant::Reply, StorageFailure> {
        match self.port.store.object(&ObjectName::grant(id), &Command::Grant(command)).await? {
            Reply::Grant(reply) => Ok(reply),
            _ => Err(StorageFailure),
        }
    }

    async fn ask_transaction(
        &self,
        id: &str,
        command: transaction::Command,
    ) -> Result<transaction::Reply, StorageFailure> {
        match self.port.store.object(&ObjectName::transaction(id), &Command::Transaction(command)).await? {
            Reply::Transaction(reply) => Ok(reply),
            _ => Err(StorageFailure),
        }
    }

    async fn ask_index(&self, name: &[u8], command: index::Command) -> Result<index::Reply, StorageFailure> {
        match self.port.store.object(&ObjectName::index(name), &Command::Index(command)).await? {
            Reply::Index(reply) => Ok(reply),
            _ => Err(StorageFailure),
        }
    }

    async fn ask_document(&self, address: &str, command: document::Command) -> Result<document::Reply, StorageFailure> {
        match self.port.store.object(&ObjectName::document(address), &Command::Document(command)).await? {
            Reply::Document(reply) => Ok(reply),
            _ => Err(StorageFailure),
        }
    }

    /// An audit line: no key, no token, no name that a person chose.
    fn audit(&self, event: &'static str, fields: &[(&'static str, &str)]) {
        let whose = [("ip_hash", self.visitor.short_hash())];
        let line = whose.iter().chain(fields).map(|(name, value)| ((*name).to_owned(), (*value).into()));
        self.log.event(event, serde_json::Value::Object(line.collect()));
    }
}

/// A grant in the log: enough to tell grants apart, too little to use.
fn short(id: &GrantId) -> &str {
    id.as_str().get(..8).unwrap_or_default()
}

/// A client in the log: the host of its document, or that it registered itself.
fn client_kind(id: &str) -> String {
    url::Url::parse(id)
        .ok()
        .and_then(|url| url.host_str().map(str::to_owned))
        .unwrap_or_else(|| "registered".to_owned())
}

/// An error of the token, registration and revocation endpoints (RFC 6749 section 5.2, RFC 7591 section 3.2.2).
fn json_error(status: u16, error: &str, description: &str) -> Response {
    Response::json(status, serde_json::json!({"error": error, "error_description": description}).to_string())
}

/// Storage or limiter did not answer: nothing happened, and the same request can be sent again.
fn json_unavailable() -> Response {
    json_error(503, "temporarily_unavailable", "The server's own storage did not answer. Try again.")
        .with("retry-after", "5")
}
