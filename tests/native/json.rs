//! JSON as it may be written, and as it may not: in the body of a request, and in an answer of TiDB Cloud.
//!
//! The rows of `tests/cases/json.tsv` are in the spirit of nst/JSONTestSuite: `y` must be accepted (RFC 8259), `n` refused, and of
//! `i` the row says what is chosen here. A document of `value` stands as a member within an object; one of `whole` is the body,
//! with `@` for that object. `\xNN` stands for a byte, every other backslash for itself.

use std::fs;

use serde_json::json;
use tidbcloud_sandbox::exchange::{Delivery, Response};

use crate::{
    support::{Driver, bad_inputs::tool, checkout, request},
    world::Native,
};

/// The bytes of a document.
fn bytes(text: &str) -> Vec<u8> {
    let mut parts = text.split("\\x");
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at(2);
        bytes.push(u8::from_str_radix(digits, 16).unwrap_or_else(|error| panic!("{text}: {error}")));
        bytes.extend_from_slice(rest.as_bytes());
    }
    bytes
}

/// A body made of an object and a row's document.
fn body(place: &str, document: &str, object: &str) -> Vec<u8> {
    match place {
        "value" => [object.trim_end_matches('}').as_bytes(), b",\"extra\":", &bytes(document), b"}"].concat(),
        "whole" => bytes(&document.replace('@', object)),
        _ => panic!("no place is called {place}"),
    }
}

/// What a request with this body is answered.
fn as_request(place: &str, document: &str) -> String {
    let mut server = Native::new();
    let mut call = request("2025-11-25", "owner", "ping", json!({}));
    call.body = body(place, document, r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#);
    let answer = server.send(call);
    let code = answer.json()["error"]["code"].clone();
    if code.is_null() { answer.status.to_string() } else { code.to_string() }
}

/// What a read is answered whose upstream sends this.
fn as_answer(place: &str, document: &str) -> String {
    let mut server = Native::new();
    let sent = body(place, document, r#"{"clusters":[]}"#);
    server.world.upstream.replace(Some(Box::new(move |_, request| {
        let challenge = ("WWW-Authenticate".to_owned(), r#"Digest realm="x", nonce="n", qop="auth""#.to_owned());
        let response = match request.header("authorization") {
            Some(_) => Response { status: 200, headers: Vec::new(), body: sent.clone() },
            None => Response { status: 401, headers: vec![challenge], body: Vec::new() },
        };
        (response, Delivery::default())
    })));
    let result = server.send(tool("tidbcloud_list_clusters", json!({}))).json()["result"]["structuredContent"].clone();
    match result["error"]["code"].as_str() {
        None => "ok".to_owned(),
        Some("UPSTREAM_INVALID_RESPONSE") => "unreadable".to_owned(),
        Some(code) => code.to_owned(),
    }
}

#[test]
fn json_is_read_or_refused_as_each_row_says() {
    let path = checkout().join("tests/cases/json.tsv");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut wrong = Vec::new();
    for line in text.lines().skip(1) {
        let fields: Vec<_> = line.split('\t').collect();
        let [kind, place, document, request, upstream, why] = fields[..] else { panic!("six columns: {line}") };
        let (asked, answered) = (as_request(place, document), as_answer(place, document));
        if (asked.as_str(), answered.as_str()) != (request, upstream) {
            wrong.push(format!(
                "{why}: {document:.60}: a request got {asked}, not {request}; an answer was {answered}, not {upstream}"
            ));
        }
        let accepted = (request == "200", upstream == "ok");
        let rule = match kind {
            "y" => accepted == (true, true),
            "n" => accepted == (false, false),
            _ => kind == "i",
        };
        assert!(rule, "{why}: RFC 8259 leaves no choice here: {line}");
    }
    assert!(wrong.is_empty(), "{} documents are read in another way:\n{}", wrong.len(), wrong.join("\n"));
}
