//! This deployment serves the host.

use super::{Refusal, Request};
use crate::{
    app::codes::HOST_NOT_SERVED,
    base::http::Head,
    config::{Config, Origin, is_loopback},
};

pub(in crate::app::mcp) fn check(request: Request<'_>) -> Result<(), Refusal> {
    if is_served(request.head, request.config()) {
        Ok(())
    } else {
        Err(Refusal::new(&HOST_NOT_SERVED, "This host is not served here, or only over https."))
    }
}

/// Plain http is for loopback hosts; a sandbox is for loopback hosts; with a public origin set, nothing else is served.
pub(in crate::app) fn is_served(head: &Head, config: &Config) -> bool {
    match &config.public_origin {
        Some(origin) => Origin::of(&head.url) == *origin,
        None => is_loopback(&head.url) || (head.url.scheme() == "https" && !config.hosts.is_sandbox()),
    }
}
