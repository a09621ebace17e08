//! The method is `POST`, a `DELETE` of a session, or a browser's `OPTIONS`.

use super::{Refusal, Request};
use crate::{
    app::{codes::METHOD_NOT_ALLOWED, mcp::person::session},
    base::http::Method,
};

/// The methods allowed.
pub(in crate::app) const ALLOW: &str = "POST, DELETE, OPTIONS";

pub(in crate::app::mcp) fn check(request: Request<'_>) -> Result<(), Refusal> {
    if request.head.method == Method::Post { Ok(()) } else { Err(wrong_verb()) }
}

/// Whether `OPTIONS` is a browser's question (Fetch, CORS-preflight request).
pub(in crate::app::mcp) fn check_preflight(request: Request<'_>) -> Result<(), Refusal> {
    let headers = &request.head.headers;
    if headers.has("origin") && headers.has("access-control-request-method") { Ok(()) } else { Err(wrong_verb()) }
}

/// Whether `DELETE` ends a session (2025-11-25, "Session Management").
pub(in crate::app::mcp) fn check_delete(request: Request<'_>) -> Result<(), Refusal> {
    if request.head.headers.filled(session::HEADER).is_some() { Ok(()) } else { Err(wrong_verb()) }
}

fn wrong_verb() -> Refusal {
    Refusal::new(&METHOD_NOT_ALLOWED, "Only POST is allowed here.").with("allow", ALLOW)
}
