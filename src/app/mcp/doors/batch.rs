//! Each further message of a batch takes a permit.

use super::{Message, Refusal, Request};
use crate::{
    app::{codes::BATCH_TOO_LARGE, mcp::passage::Passage},
    limits::keys::Limit,
};

pub(in crate::app::mcp) async fn take(
    request: Request<'_>,
    limits: &[Limit],
    message: &Message,
    passage: &Passage<'_>,
) -> Result<(), Refusal> {
    let messages = u32::try_from(message.messages()).unwrap_or(u32::MAX);
    if limits.iter().any(|limit| messages > limit.burst()) {
        let message = "This batch has more messages than this deployment admits at once.";
        return Err(Refusal::new(&BATCH_TOO_LARGE, message));
    }
    let more = messages.saturating_sub(1);
    if more > 0 {
        for limit in limits {
            let taken = limit.take(request.port(), &request.app.isolate.limits.permits, more).await;
            if !taken.allowed() {
                request.app.log.noted.refused_by.set(Some(taken.name));
            }
            passage.allowed(&taken)?;
        }
    }
    Ok(())
}
