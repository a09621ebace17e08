//! Clients: those that registered themselves (RFC 7591), whose id is their signed registration, and those whose id is the
//! address of a document about them (draft-ietf-oauth-client-id-metadata-document).

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use url::{Host, Url};

use super::redirect::{RedirectUri, Refused};
use crate::{
    base::{clock::UnixMillis, expiring::Key, json, strict},
    store::{
        document::Fetched,
        seal::{Keyring, base64url, fingerprint, from_base64url, same},
    },
};

/// Cursor registers three, VS Code's document has five.
const REDIRECTS_MAX: usize = 10;
const NAME_CHARACTERS_MAX: usize = 100;
/// A registration is taken for 90 days at the authorization endpoint; grants that were made outlive it.
const REGISTRATION_MILLIS: u64 = 90 * 24 * 60 * 60 * 1_000;
const REGISTERED_START: &str = "tdb_client_v1.";
/// A signed registration of ten redirect URIs has some 500 bytes.
const REGISTERED_BYTES_MAX: usize = 2_048;
const DOCUMENT_ADDRESS_BYTES_MAX: usize = 512;
/// 128 bits of SHA-256 stand for a redirect URI: enough to find no second one for a given client.
const REDIRECT_HASH_CHARACTERS: usize = 22;

/// Who asks for authorization.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its id.
    pub id: String,
    /// Its name for itself.
    pub name: String,
    /// Hashes of its redirect URIs.
    redirects: Vec<String>,
    /// Host of its document; `None` if it registered itself.
    pub document_host: Option<String>,
}

/// Why a registration or a document is refused, as RFC 7591 section 3.2.2 calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// `invalid_redirect_uri` or `invalid_client_metadata`.
    pub error: &'static str,
    /// What is wrong.
    pub description: &'static str,
}

const fn metadata(description: &'static str) -> Invalid {
    Invalid { error: "invalid_client_metadata", description }
}

const fn redirect(description: &'static str) -> Invalid {
    Invalid { error: "invalid_redirect_uri", description }
}

/// The signed registration: short names, because it travels in addresses.
#[derive(Serialize, Deserialize)]
struct Signed {
    #[serde(rename = "n")]
    name: String,
    #[serde(rename = "r")]
    redirects: Vec<String>,
    /// Seconds since 1970.
    #[serde(rename = "t")]
    issued: u64,
}

/// A client's metadata, checked.
pub struct Metadata {
    name: String,
    redirects: Vec<RedirectUri>,
}

/// A member, if present; null counts as absent.
fn given<'a>(members: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    members.get(name).filter(|value| !value.is_null())
}

impl Metadata {
    /// Reads client metadata (RFC 7591 section 2). Unknown members are ignored; so is a redirect URI of a scheme that is
    /// neither known here nor has a dot, as long as another one is left.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(members: &Map<String, Value>) -> Result<Self, Invalid> {
        let text = |name: &str| match given(members, name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str())),
            Some(_) => Err(metadata("A member that must be text is something else.")),
        };
        let list = |name: &str| match given(members, name) {
            None => Ok(None),
            Some(Value::Array(items)) => items
                .iter()
                .map(Value::as_str)
                .collect::<Option<Vec<_>>>()
                .map(Some)
                .ok_or(metadata("A list holds something other than text.")),
            Some(_) => Err(metadata("A member that must be a list is something else.")),
        };
        if given(members, "client_secret").is_some() {
            return Err(metadata("Clients are public here: they have no secret."));
        }
        let uris = list("redirect_uris")?.unwrap_or_default();
        if uris.is_empty() {
            return Err(redirect("redirect_uris must hold at least one URI."));
        }
        if uris.len() > REDIRECTS_MAX {
            return Err(redirect("redirect_uris holds more than 10 URIs."));
        }
        let mut redirects = Vec::new();
        for uri in uris {
            match RedirectUri::parse(uri) {
                Ok(uri) => redirects.push(uri),
                Err(Refused::UnknownScheme) => {}
                Err(Refused::Dangerous) => {
                    return Err(redirect(
                        "A redirect URI must be https, http of this machine, or an application's scheme that is known or has a dot, without user, fragment, spaces or control characters.",
                    ));
                }
            }
        }
        if redirects.is_empty() {
            return Err(redirect("No redirect URI has a scheme that is known here."));
        }
        let name = text("client_name")?.map(str::trim).unwrap_or_default();
        if name.chars().count() > NAME_CHARACTERS_MAX || name.chars().any(is_deceptive) {
            return Err(metadata("client_name must be at most 100 visible characters."));
        }
        for address in ["client_uri", "logo_uri", "tos_uri", "policy_uri", "jwks_uri"] {
            let is_https = |text: &str| Url::parse(text).is_ok_and(|url| url.scheme() == "https");
            if text(address)?.is_some_and(|text| !is_https(text)) {
                return Err(metadata(
                    "client_uri, logo_uri, tos_uri, policy_uri and jwks_uri must be https addresses.",
                ));
            }
        }
        let lacks = |name, value| list(name).map(|items| items.is_some_and(|items| !items.contains(&value)));
        if lacks("grant_types", "authorization_code")? || lacks("response_types", "code")? {
            return Err(metadata("Only the grant authorization_code with the response type code is offered."));
        }
        text("token_endpoint_auth_method")?;
        Ok(Self { name: name.to_owned(), redirects })
    }

    /// The response to a registration (RFC 7591 section 3.2.1). All clients are public, even those that asked otherwise.
    pub fn registered(&self, keyring: &Keyring, now: UnixMillis) -> Value {
        let signed = Signed { name: self.name.clone(), redirects: self.hashes(), issued: now.0 / 1_000 };
        let body = serde_json::to_string(&signed).unwrap_or_default();
        let signature = keyring.mac("client id v1", &[body.as_bytes()]);
        let id = format!("{REGISTERED_START}{}.{}", base64url(body.as_bytes()), base64url(&signature));
        let mut answer = json!({
            "client_id": id,
            "client_id_issued_at": signed.issued,
            "redirect_uris": self.redirects.iter().map(RedirectUri::as_str).collect::<Vec<_>>(),
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
        });
        if let (false, Some(answer)) = (self.name.is_empty(), answer.as_object_mut()) {
            answer.insert("client_name".to_owned(), self.name.clone().into());
        }
        answer
    }

    fn hashes(&self) -> Vec<String> {
        self.redirects.iter().map(redirect_hash).collect()
    }
}

/// Control characters, and those that change how the text around them reads (Unicode UAX 9, UTR 36 section 3).
fn is_deceptive(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

fn redirect_hash(uri: &RedirectUri) -> String {
    fingerprint(uri.comparable().as_bytes()).chars().take(REDIRECT_HASH_CHARACTERS).collect()
}

impl Client {
    /// Reads a self-registered client's id.
    ///
    /// `None` if this deployment did not sign it. [`Client::has_expired`] says whether it is too old.
    pub fn registered(id: &str, keyring: &Keyring) -> Option<(Self, UnixMillis)> {
        if id.len() > REGISTERED_BYTES_MAX {
            return None;
        }
        let (body, signature) = id.strip_prefix(REGISTERED_START)?.split_once('.')?;
        let body = from_base64url(body)?;
        let ours = keyring.macs("client id v1", &[&body]).any(|mac| same(&base64url(&mac), signature));
        let signed: Signed = if ours { json::read(&body).ok()? } else { return None };
        let client = Self { id: id.to_owned(), name: signed.name, redirects: signed.redirects, document_host: None };
        Some((client, UnixMillis(signed.issued.saturating_mul(1_000))))
    }

    /// Whether a registration of this time is too old to begin with.
    pub fn has_expired(issued: UnixMillis, now: UnixMillis) -> bool {
        now.0 >= issued.0.saturating_add(REGISTRATION_MILLIS)
    }

    /// Reads a client's document.
    ///
    /// # Errors
    /// It breaks the draft's section 4, or has secrets.
    pub fn from_document(address: &DocumentAddress, body: &[u8]) -> Result<Self, Invalid> {
        let members =
            members(body).ok_or_else(|| metadata("The document is not a JSON object of different members."))?;
        if members.get("client_id").and_then(Value::as_str) != Some(address.as_str()) {
            return Err(metadata("The document's client_id is not its own address."));
        }
        let method = given(&members, "token_endpoint_auth_method");
        if given(&members, "client_secret_expires_at").is_some() || method.is_some_and(|method| method != "none") {
            return Err(metadata("A client with a document is public: token_endpoint_auth_method must be none."));
        }
        let said = Metadata::read(&members)?;
        if said.name.is_empty() {
            return Err(metadata("The document has no client_name."));
        }
        Ok(Self {
            id: address.as_str().to_owned(),
            redirects: said.hashes(),
            name: said.name,
            document_host: Some(address.host().to_owned()),
        })
    }

    /// The client of a document, as it was when it was fetched.
    pub fn of_copy(address: &DocumentAddress, copy: Fetched) -> Self {
        Self {
            id: address.as_str().to_owned(),
            name: copy.name,
            redirects: copy.redirects,
            document_host: Some(address.host().to_owned()),
        }
    }

    /// The stored contents of the fetched document.
    pub fn to_copy(&self, fetched: UnixMillis, fresh: UnixMillis) -> Fetched {
        Fetched { name: self.name.clone(), redirects: self.redirects.clone(), fetched: fetched.0, fresh: fresh.0 }
    }

    /// Whether the client may be answered there.
    pub fn owns(&self, uri: &RedirectUri) -> bool {
        let hash = redirect_hash(uri);
        self.redirects.contains(&hash)
    }
}

/// The members of a JSON object.
fn members(document: &[u8]) -> Option<Map<String, Value>> {
    match strict::read(document).ok()? {
        Value::Object(members) => Some(members),
        _ => None,
    }
}

/// Reads the body of a registration.
///
/// # Errors
/// It is not a JSON object of different members, or not client metadata.
pub fn read_registration(body: &[u8]) -> Result<Metadata, Invalid> {
    let members = members(body).ok_or_else(|| metadata("The body is not a JSON object of different members."))?;
    Metadata::read(&members)
}

/// The address of a client's document, which is also its id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DocumentAddress {
    text: String,
    host: String,
}

impl Key for DocumentAddress {
    fn text(&self) -> Cow<'_, str> {
        self.text.as_str().into()
    }
}

impl DocumentAddress {
    /// Whether an id is meant to be an address, right or wrong.
    pub fn looks_like_one(id: &str) -> bool {
        id.contains("://")
    }

    /// Checks an address that the server is about to fetch on behalf of a stranger: `https` on its own port, a public name
    /// with a dot, and the text exactly as the parser of the web writes it, which leaves no dot segments, no odd spellings
    /// of numbers and no upper case to disagree about (draft section 3; OWASP, Server-Side Request Forgery Prevention).
    pub fn parse(id: &str, own_host: &str) -> Option<Self> {
        if id.len() > DOCUMENT_ADDRESS_BYTES_MAX {
            return None;
        }
        let url = Url::parse(id).ok()?;
        let Some(Host::Domain(host)) = url.host() else { return None };
        let reserved =
            ["localhost", "local", "internal", "intranet", "home", "lan", "arpa", "onion", "test", "invalid"];
        let last = host.rsplit('.').next().unwrap_or_default();
        let public = host.contains('.') && !host.ends_with('.') && !reserved.contains(&last) && host != own_host;
        let plain = url.scheme() == "https"
            && url.port().is_none()
            && url.username().is_empty()
            && url.password().is_none()
            && url.fragment().is_none()
            && url.path().len() > 1
            && url.as_str() == id;
        (public && plain).then(|| Self { text: id.to_owned(), host: host.to_owned() })
    }

    /// The address.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Its host.
    pub fn host(&self) -> &str {
        &self.host
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::base::secret::Secret;

    const NOW: UnixMillis = UnixMillis(1_795_428_000_000);

    fn keyring() -> Keyring {
        Keyring::new(Secret::new("canary"), [])
    }

    fn register(body: Value) -> Result<Value, &'static str> {
        read_registration(body.to_string().as_bytes())
            .map(|said| said.registered(&keyring(), NOW))
            .map_err(|invalid| invalid.error)
    }

    #[test]
    fn a_registration_is_its_own_record() {
        let answer = register(json!({
            "client_name": "Canary", "redirect_uris": ["http://127.0.0.1:3000/cb", "odd-app:/cb"], "application_type": "native",
            "token_endpoint_auth_method": "client_secret_basic", "grant_types": ["authorization_code", "refresh_token"],
        }))
        .unwrap();
        assert_eq!(answer["token_endpoint_auth_method"], "none");
        assert_eq!(
            answer["redirect_uris"],
            json!(["http://127.0.0.1:3000/cb"]),
            "an unusable redirect URI is left out"
        );
        let id = answer["client_id"].as_str().unwrap();
        let (client, issued) = Client::registered(id, &keyring()).unwrap();
        assert_eq!(client.name, "Canary");
        let owns = |uri| client.owns(&RedirectUri::parse(uri).unwrap());
        assert!(
            owns("http://127.0.0.1:55555/cb") && !owns("http://127.0.0.1:3000/other") && !owns("http://localhost/cb")
        );
        assert!(!Client::has_expired(issued, UnixMillis(NOW.0 + REGISTRATION_MILLIS - 1_000)));
        assert!(Client::has_expired(issued, UnixMillis(NOW.0 + REGISTRATION_MILLIS)));
        for at in (REGISTERED_START.len()..id.len()).step_by(7) {
            let mut bytes = id.to_owned().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            assert!(Client::registered(&String::from_utf8(bytes).unwrap(), &keyring()).is_none(), "changed at {at}");
        }
        let rotated = Keyring::new(Secret::new("canary-new"), [Secret::new("canary")]);
        assert!(Client::registered(id, &rotated).is_some(), "a client id outlives the secret that signed it");
        assert!(Client::registered(id, &Keyring::new(Secret::new("canary-new"), [])).is_none());
    }

    #[test]
    fn what_cursor_registers_is_taken_whole() {
        let uris = json!([
            "cursor://anysphere.cursor-mcp/oauth/callback",
            "https://www.cursor.com/agents/mcp/oauth/callback",
            "http://localhost:8787/callback",
        ]);
        let answer = register(json!({ "client_name": "Cursor", "redirect_uris": uris })).unwrap();
        assert_eq!(answer["redirect_uris"], uris);
    }

    #[test]
    fn what_is_wrong_with_a_registration_has_a_name() {
        let cb = "https://example.com/cb";
        for (body, error) in [
            (json!([]), "invalid_client_metadata"),
            (json!({}), "invalid_redirect_uri"),
            (json!({"redirect_uris": []}), "invalid_redirect_uri"),
            (json!({"redirect_uris": vec![cb; 11]}), "invalid_redirect_uri"),
            (json!({"redirect_uris": [cb, "javascript:alert(1)"]}), "invalid_redirect_uri"),
            (json!({"redirect_uris": ["odd-app:/cb"]}), "invalid_redirect_uri"),
            (json!({"redirect_uris": cb}), "invalid_client_metadata"),
            (json!({"redirect_uris": [1]}), "invalid_client_metadata"),
            (json!({"redirect_uris": [cb], "client_name": "x".repeat(101)}), "invalid_client_metadata"),
            (json!({"redirect_uris": [cb], "client_name": "Claude\u{202e}"}), "invalid_client_metadata"),
            (json!({"redirect_uris": [cb], "client_name": 1}), "invalid_client_metadata"),
            (json!({"redirect_uris": [cb], "client_uri": "javascript:alert(1)"}), "invalid_client_metadata"),
            (json!({"redirect_uris": [cb], "client_secret": "canary"}), "invalid_client_metadata"),
            (json!({"redirect_uris": [cb], "grant_types": ["client_credentials"]}), "invalid_client_metadata"),
            (json!({"redirect_uris": [cb], "response_types": ["token"]}), "invalid_client_metadata"),
        ] {
            assert_eq!(register(body.clone()), Err(error), "{body}");
        }
        let twice = br#"{"redirect_uris":["https://a.example/"],"redirect_uris":["https://b.example/"]}"#;
        assert!(read_registration(twice).is_err());
    }

    #[test]
    fn only_public_addresses_are_fetched() {
        let address = |text| DocumentAddress::parse(text, "mcp.example.com");
        assert_eq!(address("https://claude.ai/oauth/mcp-oauth-client-metadata").unwrap().host(), "claude.ai");
        for text in [
            "http://app.example/x.json",
            "https://127.0.0.1/x.json",
            "https://0x7f.1/x",
            "https://2130706433/x",
            "https://[::1]/x",
            "https://localhost/x",
            "https://printer.local/x",
            "https://metadata.google.internal/x",
            "https://intranet/x",
            "https://app.example./x",
            "https://app.example:8443/x",
            "https://app.example:443/x",
            "https://user@app.example/x",
            "https://app.example/x#y",
            "https://app.example/a/../b.json",
            "https://app.example/a/./b.json",
            "https://app.example/%2e%2e/b.json",
            "https://APP.example/x",
            "https://app.example",
            "https://app.example/",
            "https://mcp.example.com/x",
            "ftp://app.example/x",
        ] {
            assert!(address(text).is_none(), "{text}");
        }
        assert!(address(&format!("https://app.example/{}", "x".repeat(600))).is_none());
    }

    #[test]
    fn a_document_is_about_itself() {
        let id = "https://app.example/client.json";
        let address = DocumentAddress::parse(id, "mcp.example.com").unwrap();
        let document = |change: fn(&mut Map<String, Value>)| {
            let mut members = json!({
                "client_id": id, "client_name": "App", "redirect_uris": ["http://localhost/callback"],
                "token_endpoint_auth_method": "none", "client_uri": "https://app.example",
            });
            change(members.as_object_mut().unwrap());
            Client::from_document(&address, members.to_string().as_bytes())
        };
        let client = document(|_| ()).unwrap();
        assert_eq!((client.document_host.as_deref(), client.name.as_str()), (Some("app.example"), "App"));
        assert!(client.owns(&RedirectUri::parse("http://localhost:50123/callback").unwrap()));
        let changes: [fn(&mut Map<String, Value>); 7] = [
            |m| drop(m.insert("client_id".to_owned(), "https://app.example/other.json".into())),
            |m| drop(m.remove("client_name")),
            |m| drop(m.remove("redirect_uris")),
            |m| drop(m.insert("logo_uri".to_owned(), "javascript:alert(1)".into())),
            |m| drop(m.insert("client_secret".to_owned(), "canary".into())),
            |m| drop(m.insert("token_endpoint_auth_method".to_owned(), "client_secret_post".into())),
            |m| drop(m.insert("redirect_uris".to_owned(), json!(["data:text/html,x"]))),
        ];
        for (at, change) in changes.into_iter().enumerate() {
            assert!(document(change).is_err(), "change {at}");
        }
        assert!(Client::from_document(&address, b"\xff{}").is_err());
    }

    proptest! {
        #[test]
        fn whatever_is_sent_is_read_without_a_panic(text in "\\PC{0,80}", bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(Client::registered(&text, &keyring()).is_none());
            let id = format!("{REGISTERED_START}{text}");
            prop_assert!(Client::registered(&id, &keyring()).is_none());
            let _ = read_registration(&bytes);
            if let Some(address) = DocumentAddress::parse(&text, "mcp.example.com") {
                prop_assert!(address.as_str().starts_with("https://"));
            }
        }
    }
}
