//! The calls of a body need no more requests to TiDB Cloud than one HTTP request may send.

use super::{Message, Refusal, of_calls};
use crate::{
    app::codes::BATCH_TOO_LARGE,
    catalogue::{Entry, Tools},
};

pub(in crate::app::mcp) fn check(message: &Message, tools: &Tools<'_>) -> Result<(), Refusal> {
    let needed = of_calls(message, tools, Entry::requests_min).into_iter().sum();
    tools.allowance.share_among(message.tool_calls().count());
    tools.allowance.promise(needed);
    if tools.allowance.fits(needed) {
        return Ok(());
    }
    let message = "The calls of this batch need more requests to TiDB Cloud than one HTTP request may send. \
        Nothing ran: send fewer of them at once.";
    Err(Refusal::new(&BATCH_TOO_LARGE, message))
}
