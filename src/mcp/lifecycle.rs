//! How a client gets to know the server: `initialize` in the legacy era, `server/discover` in the modern one.

use serde_json::{Map, Value, json};

use super::{
    Server,
    jsonrpc::{RpcError, clip},
    revision::Revision,
    success::{CacheScope, Success},
};

/// Tools; and resources and prompts, though the server has none: some clients ask for their lists even if they are not
/// advertised, and report a server without these methods as broken. Other methods are answered with "method not found"; no
/// list changes during a connection, so no change notifications are promised.
fn capabilities() -> Value {
    json!({"tools": {}, "resources": {}, "prompts": {}})
}

/// `resources/read`: no resource exists.
/// <https://modelcontextprotocol.io/specification/2026-07-28/server/resources#error-handling>
pub(super) fn no_resource(params: &Map<String, Value>, revision: Revision) -> RpcError {
    match params.get("uri").and_then(Value::as_str) {
        Some(uri) => RpcError::resource_not_found(uri, revision),
        None => RpcError::invalid_params("`uri` must be a string."),
    }
}

/// `prompts/get`: no prompt exists.
/// <https://modelcontextprotocol.io/specification/2026-07-28/server/prompts#error-handling>
pub(super) fn no_prompt(params: &Map<String, Value>) -> RpcError {
    match params.get("name").and_then(Value::as_str) {
        Some(name) => RpcError::invalid_params(format!("Unknown prompt: {}", clip(name))),
        None => RpcError::invalid_params("`name` must be a string."),
    }
}

/// <https://modelcontextprotocol.io/specification/2025-11-25/basic/lifecycle#version-negotiation>: the version asked
/// for if it is supported, another one otherwise, never an error. Nothing is remembered.
pub(super) fn initialize(
    server: &Server<'_>,
    revision: Revision,
    params: &Map<String, Value>,
) -> Result<Success, RpcError> {
    if !params.get("protocolVersion").is_some_and(Value::is_string) {
        return Err(RpcError::invalid_params("`protocolVersion` must be a string."));
    }
    Ok(Success::plain(json!({
        "protocolVersion": revision.as_str(),
        "capabilities": capabilities(),
        "serverInfo": server.info(),
        "instructions": server.instructions,
    })))
}

/// <https://modelcontextprotocol.io/specification/2026-07-28/server/discover>. Only modern versions are listed: a
/// client that picked an older one from here would send it in `_meta`, where it is not served.
pub(super) fn discover(server: &Server<'_>) -> Success {
    Success::cacheable(
        json!({
            "supportedVersions": Revision::MODERN,
            "capabilities": capabilities(),
            "instructions": server.instructions,
        })
        .to_string(),
        if server.instructions_are_own { CacheScope::Private } else { CacheScope::Public },
    )
}

/// Checks the filter of `subscriptions/listen` (schema `SubscriptionFilter`).
/// <https://modelcontextprotocol.io/specification/2026-07-28/basic/patterns/subscriptions#notification-filter>
pub(super) fn check_filter(params: &Map<String, Value>) -> Result<(), RpcError> {
    let Some(filter) = params.get("notifications").and_then(Value::as_object) else {
        return Err(RpcError::invalid_params("`notifications` must be an object."));
    };
    for flag in ["toolsListChanged", "promptsListChanged", "resourcesListChanged"] {
        if filter.get(flag).is_some_and(|value| !value.is_boolean()) {
            return Err(RpcError::invalid_params(format!("`notifications.{flag}` must be a boolean.")));
        }
    }
    let is_text_list = |value: &Value| value.as_array().is_some_and(|uris| uris.iter().all(Value::is_string));
    if filter.get("resourceSubscriptions").is_some_and(|uris| !is_text_list(uris)) {
        return Err(RpcError::invalid_params("`notifications.resourceSubscriptions` must be an array of strings."));
    }
    Ok(())
}
