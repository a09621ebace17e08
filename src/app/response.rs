//! The headers of every response, and the responses of routes other than `/mcp`.

use super::mcp::doors;
use crate::{
    base::http::{Head, Method, Response},
    config::Config,
};

/// Headers that a browser may send: the protocol's and this server's.
const PREFLIGHT_HEADERS: &str = "Authorization, Content-Type, Accept, MCP-Protocol-Version, Mcp-Method, \
    Mcp-Name, Mcp-Session-Id, Last-Event-ID, X-Request-Id, traceparent, tracestate, X-TiDB-API-Public-Key, X-TiDB-API-Private-Key, \
    X-TiDB-SQL-User, X-TiDB-SQL-Secret";

/// Adds the headers of every response.
pub(super) fn finish(mut response: Response, head: &Head, request_id: &str, worker_version: Option<&str>) -> Response {
    let headers = &mut response.headers;
    headers.set("x-request-id", request_id);
    if let Some(version) = worker_version {
        headers.set("x-worker-version", version);
    }
    headers.set("x-content-type-options", "nosniff");
    headers.set("x-frame-options", "DENY");
    for (name, value) in [
        ("referrer-policy", "no-referrer"),
        (
            "content-security-policy",
            "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
        ("cache-control", "no-store"),
    ] {
        // A page with forms sets a stricter one.
        if !headers.has(name) {
            headers.set(name, value);
        }
    }
    headers.set("cross-origin-opener-policy", "same-origin");
    if head.url.scheme() == "https" {
        headers.set("strict-transport-security", "max-age=31536000");
    }
    if head.method == Method::Head {
        response.body.clear();
    }
    response
}

/// The CORS headers for a page that may call.
pub(super) fn allow_origin(mut response: Response, head: &Head, config: &Config) -> Response {
    let headers = &mut response.headers;
    if let Some(origin) = doors::origin::allowed(head, config) {
        headers.set("access-control-allow-origin", origin);
        headers.append("vary", "Origin");
        if head.method == Method::Options {
            headers.set("access-control-allow-methods", doors::verb::ALLOW);
            headers.set("access-control-allow-headers", PREFLIGHT_HEADERS);
            headers.set("access-control-max-age", "86400");
        } else {
            headers.set(
                "access-control-expose-headers",
                "WWW-Authenticate, Mcp-Session-Id, X-Request-Id, Retry-After, RateLimit, RateLimit-Policy",
            );
        }
    }
    response
}

/// An error of a route other than `/mcp`.
pub(super) fn plain_error(status: u16, error: &str, message: &str) -> Response {
    Response::json(status, serde_json::json!({"error": error, "message": message}).to_string())
}

/// 404.
pub(super) fn not_found() -> Response {
    plain_error(404, "not_found", "There is nothing here. The MCP endpoint is POST /mcp; GET / says how to connect.")
}

/// 405.
pub(super) fn method_not_allowed(allow: &str) -> Response {
    plain_error(405, "method_not_allowed", "This method is not allowed here.").with("allow", allow)
}
