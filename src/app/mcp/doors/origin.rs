//! A browser calls from an allowed origin.

use super::{Refusal, Request};
use crate::{
    app::codes::ORIGIN_NOT_ALLOWED,
    base::http::Head,
    config::{Config, Origin, is_loopback},
};

pub(in crate::app::mcp) fn check(request: Request<'_>) -> Result<(), Refusal> {
    if request.head.headers.has("origin") && allowed(request.head, request.config()).is_none() {
        let message = "Browsers cannot call from this origin. The deployment's ALLOWED_ORIGINS lists those that can.";
        return Err(Refusal::new(&ORIGIN_NOT_ALLOWED, message));
    }
    Ok(())
}

/// The request's browser origin as sent, if it may call.
pub(in crate::app) fn allowed(head: &Head, config: &Config) -> Option<String> {
    let sent = head.headers.get("origin")?;
    let origin = Origin::parse(&sent)?;
    let own = origin == Origin::of(&head.url);
    // With DNS rebinding, a page sends the rebound name as both `Origin` and `Host`: the server's own origin is trusted only
    // if the host cannot be rebound, because of TLS or because it is a loopback name.
    let own = own && (head.url.scheme() == "https" || is_loopback(&head.url));
    (own || origin.is_loopback() || config.allowed_origins.contains(&origin)).then_some(sent)
}
