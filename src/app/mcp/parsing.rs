//! The doors with the body: what is asked, and how much at once.

use super::{
    Refusal, Request,
    admission::{Admitted, Caller},
    doors,
    passage::Passage,
};
use crate::{
    mcp::{self, Summary},
    tools,
};

/// A request whose body is a message of the protocol, or a batch of them.
pub(super) struct Parsed<'r> {
    pub(super) request: Request<'r>,
    pub(super) caller: Caller,
    pub(super) message: mcp::Parsed,
}

impl<'r> Admitted<'r> {
    /// Passes the doors that look at the body, in order.
    pub(super) async fn parse(self, passage: &mut Passage<'_>) -> Result<Parsed<'r>, Refusal> {
        let Self { request, body, caller, limits } = self;
        doors::content_type::check(request)?;
        let bytes = doors::body::read(body).await?;
        passage.line.bytes_in = bytes.len();
        let message = doors::protocol::read(request, &bytes)?;
        passage.line.describe(logged(message.summary()));
        doors::untried_keys::check(caller.may_be_tried, &message)?;
        doors::batch::take(request, &limits, &message).await?;
        Ok(Parsed { request, caller, message })
    }
}

/// What the log says of a message. A name that no tool has is the caller's text.
fn logged(summary: Summary) -> Summary {
    let tool = summary.tool.map(|name| if tools::knows(&name) { name } else { "unknown".to_owned() });
    Summary { tool, ..summary }
}
