//! The client's address is known and allowed.

use super::{Refusal, Request};
use crate::{
    app::codes::{ADDRESS_NOT_ALLOWED, NO_CLIENT_ADDRESS},
    base::{address::ClientAddress, http::Head},
    config::is_loopback,
};

/// Checks the address against `ALLOWED_IPS`, if set.
pub(in crate::app::mcp) fn check(request: Request<'_>) -> Result<(), Refusal> {
    let Some(ranges) = &request.config().allowed_ips else { return Ok(()) };
    if of_client(request.head).is_some_and(|address| ranges.iter().any(|range| range.contains(address))) {
        return Ok(());
    }
    Err(Refusal::new(&ADDRESS_NOT_ALLOWED, "This deployment is not open to this client's address."))
}

pub(in crate::app::mcp) fn read(request: Request<'_>) -> Result<ClientAddress, Refusal> {
    of_client(request.head).ok_or_else(|| Refusal::new(&NO_CLIENT_ADDRESS, "The client's address is not known."))
}

/// The client's address. `CF-Connecting-IP` is set by Cloudflare and is the only header that counts.
pub(in crate::app) fn of_client(head: &Head) -> Option<ClientAddress> {
    match head.headers.get("cf-connecting-ip") {
        Some(text) => ClientAddress::parse(&text),
        None if is_loopback(&head.url) => ClientAddress::parse("127.0.0.1"),
        None => None,
    }
}
