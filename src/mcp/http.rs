//! What streamable HTTP adds to JSON-RPC: accepted bodies, the revision of a request, and headers that must match the
//! body.
//!
//! <https://modelcontextprotocol.io/specification/2026-07-28/basic/transports/streamable-http>

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};

use super::{
    code::{UNSUPPORTED_CONTENT_ENCODING, UNSUPPORTED_MEDIA_TYPE},
    jsonrpc::{Request, RpcError, clip},
    rejection::Rejection,
    revision::Revision,
};
use crate::base::http::Headers;

/// `_meta` keys of a request.
/// <https://modelcontextprotocol.io/specification/2026-07-28/basic#meta>
const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
pub(super) const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
const CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";
const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";

/// Severities of RFC 5424 section 6.2.1, as the schema's `LoggingLevel` spells them.
const LOG_LEVELS: [&str; 8] = ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];

/// Checks the headers before the body is read: it must be JSON and not compressed. `None`: go on.
///
/// A page of another site can post `text/plain` without a preflight (Fetch standard, CORS-safelisted request-header),
/// so the type is compared whole and never guessed from the body.
pub fn precheck(headers: &Headers) -> Option<Rejection> {
    if !headers.get("content-type").is_some_and(|value| is_json(&value)) {
        return Some(Rejection::new(&UNSUPPORTED_MEDIA_TYPE, "Content-Type must be application/json."));
    }
    match headers.filled("content-encoding") {
        Some(coding) if !coding.eq_ignore_ascii_case("identity") => {
            Some(Rejection::new(&UNSUPPORTED_CONTENT_ENCODING, "Content-Encoding must be identity."))
        }
        _ => None,
    }
}

/// Whether a client takes a stream of events (RFC 9110 section 12.5.1). Revisions with `initialize` require every client to say so
/// (2025-11-25, "Sending Messages to the Server"): one that does not is sent none.
pub fn accepts_events(headers: &Headers) -> bool {
    let is_events = |range: &str| {
        let essence = range.split(';').next().unwrap_or_default().trim();
        ["text/event-stream", "text/*", "*/*"].iter().any(|events| essence.eq_ignore_ascii_case(events))
    };
    headers.get("accept").is_some_and(|accept| accept.split(',').any(is_events))
}

/// Whether a media type is JSON, with parameters or without (RFC 9110 section 8.3.1).
fn is_json(media_type: &str) -> bool {
    // A comma means two joined header fields; which one applies is unknown.
    !media_type.contains(',')
        && media_type.split(';').next().is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}

/// The revision that a body without per-request metadata is served by, from its header alone.
///
/// A request without the header is of 2025-03-26, which had none. `Err` holds the header's value if it names no legacy
/// revision.
pub(super) fn legacy_revision(headers: &Headers) -> Result<Revision, String> {
    match headers.filled("mcp-protocol-version") {
        None => Ok(Revision::V20250326),
        Some(value) => Revision::parse(&value).filter(|revision| !revision.is_modern()).ok_or(value),
    }
}

/// Whether a request claims to carry its own protocol version.
pub(super) fn claims_modern(request: &Request) -> bool {
    meta(request).is_some_and(|meta| meta.contains_key(PROTOCOL_VERSION))
}

/// The client name in a modern request.
pub(super) fn client_name(request: &Request) -> Option<&str> {
    meta(request)?.get(CLIENT_INFO)?.get("name")?.as_str()
}

/// Whether these capabilities of a client say that it shows forms to a person. One that declares elicitation without a mode does.
/// <https://modelcontextprotocol.io/specification/2026-07-28/client/elicitation#capabilities>
pub(super) fn elicits(capabilities: Option<&Value>) -> bool {
    let modes = capabilities.and_then(|capabilities| capabilities.get("elicitation")?.as_object());
    modes.is_some_and(|modes| modes.is_empty() || modes.contains_key("form"))
}

/// The metadata of a request.
pub(super) fn meta(request: &Request) -> Option<&Map<String, Value>> {
    request.params.get("_meta")?.as_object()
}

/// Decides which revision serves a request, and compares a modern request with its headers.
///
/// The body decides the era, not the header: `_meta` with a version selects the modern one, `initialize` without it the
/// legacy one (versioning, "Backward Compatibility with Initialization-Based Versions").
pub(super) fn revision(headers: &Headers, request: &Request) -> Result<Revision, RpcError> {
    if !claims_modern(request) {
        if request.method == "initialize" {
            let requested = request.params.get("protocolVersion").and_then(Value::as_str);
            return Ok(requested.map_or(Revision::LATEST_LEGACY, Revision::negotiate));
        }
        match legacy_revision(headers) {
            Ok(revision) => return Ok(revision),
            Err(named) if Revision::parse(&named).is_none() => return Err(unserved(&named)),
            Err(_) => {}
        }
    }
    let claimed = envelope(request)?;
    agreement(headers, request, claimed)?;
    Revision::parse(claimed).filter(|revision| revision.is_modern()).ok_or_else(|| unserved(claimed))
}

fn unserved(version: &str) -> RpcError {
    RpcError::unsupported_version(Revision::MODERN, version)
}

/// Checks `_meta` and returns its version.
fn envelope(request: &Request) -> Result<&str, RpcError> {
    let lacks = |missing: Vec<&str>| {
        let message = format!("`params._meta` lacks {}.", missing.join(" and "));
        RpcError::incomplete_meta(message).with("missing", missing)
    };
    let required = [PROTOCOL_VERSION, CLIENT_CAPABILITIES];
    let meta = match request.params.get("_meta") {
        None => return Err(lacks(required.to_vec())),
        Some(Value::Object(meta)) => meta,
        Some(_) => return Err(RpcError::incomplete_meta("`params._meta` must be an object.")),
    };
    let missing: Vec<&str> = required.into_iter().filter(|key| !meta.contains_key(*key)).collect();
    if !missing.is_empty() {
        return Err(lacks(missing));
    }
    let wrong = |key: &str, expected: &str| Err(RpcError::incomplete_meta(format!("`{key}` must be {expected}.")));
    let Some(claimed) = meta.get(PROTOCOL_VERSION).and_then(Value::as_str) else {
        return wrong(PROTOCOL_VERSION, "a string");
    };
    if !meta.get(CLIENT_CAPABILITIES).is_some_and(Value::is_object) {
        return wrong(CLIENT_CAPABILITIES, "an object");
    }
    let is_text = |info: &Value, field: &str| info.get(field).is_some_and(Value::is_string);
    if meta.get(CLIENT_INFO).is_some_and(|info| !is_text(info, "name") || !is_text(info, "version")) {
        return wrong(CLIENT_INFO, "an object with the strings `name` and `version`");
    }
    if meta.get(LOG_LEVEL).is_some_and(|level| !level.as_str().is_some_and(|level| LOG_LEVELS.contains(&level))) {
        return wrong(LOG_LEVEL, &format!("one of {}", LOG_LEVELS.join(", ")));
    }
    Ok(claimed)
}

/// Checks that the headers which gateways route by match the body (section "Server Validation").
fn agreement(headers: &Headers, request: &Request, claimed: &str) -> Result<(), RpcError> {
    equal(headers, "MCP-Protocol-Version", claimed)?;
    equal(headers, "Mcp-Method", &request.method)?;
    let source = match request.method.as_str() {
        "tools/call" | "prompts/get" => "name",
        "resources/read" => "uri",
        _ => return Ok(()),
    };
    let Some(value) = headers.filled("mcp-name") else {
        return Err(RpcError::header_mismatch("The header Mcp-Name is missing."));
    };
    let Some(name) = decode(&value) else {
        return Err(RpcError::header_mismatch("The header Mcp-Name is not readable: plain ASCII or =?base64?...?=."));
    };
    if request.params.get(source).and_then(Value::as_str) != Some(name.as_str()) {
        return Err(RpcError::header_mismatch(format!("The header Mcp-Name differs from `params.{source}`.")));
    }
    Ok(())
}

fn equal(headers: &Headers, name: &str, expected: &str) -> Result<(), RpcError> {
    match headers.filled(name) {
        None => Err(RpcError::header_mismatch(format!("The header {name} is missing."))),
        Some(value) if value != expected => {
            let (value, expected) = (clip(&value), clip(expected));
            Err(RpcError::header_mismatch(format!("The header {name} says `{value}`, the body `{expected}`.")))
        }
        Some(_) => Ok(()),
    }
}

/// Reads a header value that may be encoded as `=?base64?...?=` (section "Value Encoding"). A value with only one of
/// the two marks is plain text. `None`: characters outside ASCII, base64 that is not canonical, or not UTF-8.
fn decode(value: &str) -> Option<String> {
    match value.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?=")) {
        Some(encoded) => String::from_utf8(STANDARD.decode(encoded).ok()?).ok(),
        None => value.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~')).then(|| value.to_owned()),
    }
}
