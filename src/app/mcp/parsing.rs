//! The doors with the body: which messages, and how many at once.

use super::{
    Refusal, Request,
    admission::{Admitted, Caller},
    doors,
    passage::Passage,
};
use crate::{catalogue::Called, mcp};

/// A message or a batch, with its tools looked up.
pub(super) type Message = mcp::Parsed<Called>;

/// A request whose body is a message of the protocol or a batch.
pub(super) struct Parsed<'r> {
    pub(super) request: Request<'r>,
    pub(super) caller: Caller,
    pub(super) message: Message,
}

impl<'r> Admitted<'r> {
    /// Passes the doors that look at the body, in order.
    pub(super) async fn parse(self, passage: &mut Passage<'_>) -> Result<Parsed<'r>, Refusal> {
        let Self { request, body, caller, limits } = self;
        doors::content_type::check(request)?;
        let bytes = doors::body::read(body).await?;
        passage.line.bytes_in = bytes.len();
        let message = doors::protocol::read(request, &bytes)?;
        passage.line.describe(message.summary());
        let _ = message.traceparents().any(|traceparent| request.app.log.follow(traceparent));
        doors::untried_keys::check(caller.may_be_tried, &message)?;
        doors::batch::take(request, &limits, &message, passage).await?;
        Ok(Parsed { request, caller, message })
    }
}
