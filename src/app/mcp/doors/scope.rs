//! The token's scope covers the calls of a body.

use super::{Message, Refusal, Request, of_calls};
use crate::{
    app::{codes::INSUFFICIENT_SCOPE, mcp::admission::Caller},
    base::scope::Scope,
    catalogue::{Entry, Tools},
    oauth,
};

pub(in crate::app::mcp) async fn check(
    request: Request<'_>,
    caller: &Caller,
    message: &Message,
    tools: &Tools<'_>,
) -> Result<(), Refusal> {
    let Some(session) = &caller.session else { return Ok(()) };
    // A call that fails anyway asks for no more scope.
    let needed = of_calls(message, tools, Entry::scope).into_iter().max();
    let Some(scope) = needed.filter(|scope| *scope > session.scope) else { return Ok(()) };
    let origin = oauth::origin(request.head, request.config());
    let server = request.app.authorization_server(&caller.keyring, &caller.visitor, &origin);
    server.lacks(session, scope).await;
    let message = "This call needs more than the person allowed. Connect again to ask for it.";
    Err(insufficient(request, scope, message))
}

/// 403 with the scope that the call needs (RFC 6750 section 3.1).
pub(super) fn insufficient(request: Request<'_>, scope: Scope, message: &str) -> Refusal {
    let error = ("insufficient_scope", "This call needs more than was granted.");
    let challenge = oauth::challenge(request.head, request.config(), scope, Some(error));
    Refusal::new(&INSUFFICIENT_SCOPE, message).with("www-authenticate", challenge)
}
