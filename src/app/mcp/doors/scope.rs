//! The person allowed what the calls of a body do.

use serde_json::Map;

use super::{Refusal, Request};
use crate::{
    app::{codes::INSUFFICIENT_SCOPE, mcp::admission::Caller},
    base::scope::Scope,
    mcp, oauth,
    tools::{self, Tools},
};

pub(in crate::app::mcp) fn check(
    request: Request<'_>,
    caller: &Caller,
    message: &mcp::Parsed,
    tools: &Tools<'_>,
) -> Result<(), Refusal> {
    let Some(session) = &caller.session else { return Ok(()) };
    let Some(scope) = lacking(session.scope, message, tools) else { return Ok(()) };
    let origin = oauth::origin(request.head, request.config());
    let server = request.app.authorization_server(&caller.keyring, &caller.visitor, &origin);
    server.audit_step_up(&session.grant, scope);
    let message = "This call needs more than the person allowed. Connect again to ask for it.";
    Err(insufficient(request, scope, message))
}

/// What the calls of a body need beyond what was granted.
fn lacking(granted: Scope, message: &mcp::Parsed, tools: &Tools<'_>) -> Option<Scope> {
    let none = Map::new();
    message
        .tool_calls()
        .map(|(name, arguments)| (name, arguments.unwrap_or(&none)))
        // Nobody is asked for more on behalf of a call that fails anyway.
        .filter(|(name, arguments)| tools.lets_through(name, arguments))
        .filter_map(|(name, arguments)| tools::required_scope(name, arguments))
        .max()
        .filter(|scope| *scope > granted)
}

/// 403 with what the person would have to allow (RFC 6750 section 3.1).
pub(super) fn insufficient(request: Request<'_>, scope: Scope, message: &str) -> Refusal {
    let error = ("insufficient_scope", "This call needs more than was granted.");
    let challenge = oauth::challenge(request.head, request.config(), scope, Some(error));
    Refusal::new(&INSUFFICIENT_SCOPE, message).with("www-authenticate", challenge)
}
