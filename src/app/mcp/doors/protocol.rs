//! The body is a message of the protocol, of a revision that is served.

use super::{Refusal, Request};
use crate::{mcp, tools};

pub(in crate::app::mcp) fn read(request: Request<'_>, body: &[u8]) -> Result<mcp::Parsed, Refusal> {
    Ok(mcp::parse(&request.head.headers, body, tools::normalize)?)
}
