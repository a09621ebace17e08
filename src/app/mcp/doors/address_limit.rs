//! The client's address has a permit left.

use super::{Refusal, Request};
use crate::{
    app::mcp::passage::Passage,
    limits::keys::{Limit, Limited, Visitor},
};

pub(in crate::app::mcp) async fn take(
    request: Request<'_>,
    visitor: &Visitor,
    passage: &mut Passage<'_>,
) -> Result<Limit, Refusal> {
    let limit = Limited::Address(visitor).limit(request.config());
    let taken = limit.take_ahead(request.port(), &request.app.isolate.limits.permits).await;
    passage.note_limit(taken);
    passage.allowed(&taken).map(|()| limit)
}
