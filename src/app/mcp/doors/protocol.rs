//! The body is a message of a supported protocol revision.

use super::{Message, Refusal, Request};
use crate::{mcp, tools};

pub(in crate::app::mcp) fn read(request: Request<'_>, body: &[u8]) -> Result<Message, Refusal> {
    Ok(mcp::parse(&request.head.headers, body, tools::find)?)
}
