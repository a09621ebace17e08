//! The body is a message of a supported protocol revision.

use super::{Message, Refusal, Request};
use crate::mcp;

pub(in crate::app::mcp) fn read(request: Request<'_>, body: &[u8]) -> Result<Message, Refusal> {
    Ok(mcp::parse(&request.head.headers, body, request.app.tools.1)?)
}
