//! Documents about OAuth clients (draft-ietf-oauth-client-id-metadata-document), which an authorization server fetches: those
//! of real clients, rebuilt from what is documented of them, and those that no server should take.

use serde_json::{Value, json};

use crate::exchange::{Delivery, Response};

/// Says in the document itself what it is.
const RECONSTRUCTED: &str = "rebuilt from public documentation; not the client's own file";

/// The host of the documents that are made for tests (RFC 2606 section 2); every host below it has the same.
const TEST_HOST: &str = "clients.example";

/// Redirect URIs that no document at the test host can vouch for.
const ELSEWHERE: [&str; 5] = [
    "https://elsewhere.example/callback",
    "https://clients.example:8443/callback",
    "https://clients.example.elsewhere.example/callback",
    "https://www.clients.example/callback",
    "cursor://clients.example/callback",
];

/// Real clients: host, path, name and redirect URIs.
const CLIENTS: [(&str, &str, &str, &[&str]); 4] = [
    (
        "claude.ai",
        "/oauth/mcp-oauth-client-metadata",
        "Claude",
        &["https://claude.ai/api/mcp/auth_callback", "https://claude.com/api/mcp/auth_callback"],
    ),
    (
        "claude.ai",
        "/oauth/claude-code-client-metadata",
        "Claude Code",
        &["http://localhost/callback", "http://127.0.0.1/callback"],
    ),
    (
        "vscode.dev",
        "/oauth/client-metadata.json",
        "Visual Studio Code",
        &[
            "https://vscode.dev/redirect",
            "https://insiders.vscode.dev/redirect",
            "http://127.0.0.1/",
            "http://127.0.0.1:33418/",
        ],
    ),
    ("github.com", "/copilot/cli/client-metadata.json", "GitHub Copilot CLI", &["http://127.0.0.1:33418/"]),
];

/// Whether documents are served for `host`.
pub(super) fn is_host(host: &str) -> bool {
    is_test_host(host) || CLIENTS.iter().any(|(known, ..)| *known == host)
}

fn is_test_host(host: &str) -> bool {
    host.strip_suffix(TEST_HOST).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// The answer to a GET of a document.
pub(super) fn serve(host: &str, target: &str) -> (Response, Delivery) {
    let path = target.split('?').next().unwrap_or_default();
    if let Some((.., name, redirects)) = CLIENTS.iter().find(|(known, at, ..)| *known == host && *at == path) {
        let mut document = document(host, path, name, redirects);
        if let Some(members) = document.as_object_mut() {
            members.insert("_reconstructed".to_owned(), RECONSTRUCTED.into());
        }
        return (json_document(document.to_string()), Delivery::default());
    }
    if is_test_host(host) { made_up(host, path) } else { (plain(404, "no such document"), Delivery::default()) }
}

fn document(host: &str, path: &str, name: &str, redirects: &[&str]) -> Value {
    json!({
        "client_id": format!("https://{host}{path}"),
        "client_name": name,
        "client_uri": format!("https://{host}"),
        "redirect_uris": redirects,
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
    })
}

fn json_document(body: impl Into<Vec<u8>>) -> Response {
    let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    Response { status: 200, headers, body: body.into() }
}

fn plain(status: u16, text: &str) -> Response {
    let headers = vec![("content-type".to_owned(), "text/plain".to_owned())];
    Response { status, headers, body: text.as_bytes().to_vec() }
}

/// One document for each thing that can be wrong with one.
fn made_up(host: &str, path: &str) -> (Response, Delivery) {
    let own = |redirects: &[&str]| document(host, path, "Test client", redirects);
    let valid = || own(&["http://127.0.0.1:3000/callback", "https://clients.example/callback"]);
    let with = |name: &str, value: Value| {
        let mut document = valid();
        if let Some(members) = document.as_object_mut() {
            members.insert(name.to_owned(), value);
        }
        json_document(document.to_string())
    };
    let response = match path {
        "/valid.json" => json_document(valid().to_string()),
        "/no-store.json" => {
            let mut response = json_document(valid().to_string());
            response.headers.push(("cache-control".to_owned(), "no-store".to_owned()));
            response
        }
        "/elsewhere.json" => json_document(own(&ELSEWHERE).to_string()),
        "/localhost-only.json" => json_document(own(&["http://localhost/callback"]).to_string()),
        "/other-client-id.json" => with("client_id", "https://clients.example/valid.json".into()),
        "/no-name.json" => with("client_name", Value::Null),
        "/no-redirects.json" => json_document(own(&[]).to_string()),
        "/dangerous-redirect.json" => json_document(own(&["javascript:alert(1)"]).to_string()),
        "/javascript-logo.json" => with("logo_uri", "javascript:alert(1)".into()),
        "/secret.json" => with("client_secret", "no secret at all".into()),
        "/secret-method.json" => with("token_endpoint_auth_method", "client_secret_basic".into()),
        "/large.json" => with("padding", "x".repeat(6 << 10).into()),
        "/array.json" => json_document("[]"),
        "/not-json.json" => json_document("<html>"),
        "/not-utf-8.json" => json_document(b"{\"client_id\":\"\xff\"}".as_slice()),
        "/twice.json" => {
            let text = valid().to_string();
            json_document(text.replacen('{', "{\"client_id\":\"https://clients.example/valid.json\",", 1))
        }
        "/text.json" => plain(200, &valid().to_string()),
        "/error.json" => plain(500, "out of order"),
        "/redirect.json" => {
            let mut response = plain(302, "elsewhere");
            response.headers.push(("location".to_owned(), "https://clients.example/valid.json".to_owned()));
            response
        }
        "/slow.json" => {
            return (json_document(valid().to_string()), Delivery { delay_millis: 10_000, ..Delivery::default() });
        }
        _ => plain(404, "no such document"),
    };
    (response, Delivery::default())
}
