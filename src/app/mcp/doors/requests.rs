//! The calls of a body need no more requests to TiDB Cloud than one HTTP request may send.

use serde_json::Map;

use super::Refusal;
use crate::{
    app::codes::BATCH_TOO_LARGE,
    mcp,
    tools::{self, Tools},
};

pub(in crate::app::mcp) fn check(message: &mcp::Parsed, tools: &Tools<'_>) -> Result<(), Refusal> {
    let needed = requests_min(message, tools);
    tools.allowance.share_among(message.tool_calls().count());
    tools.allowance.promise(needed);
    if tools.allowance.fits(needed) {
        return Ok(());
    }
    let message = "The calls of this batch need more requests to TiDB Cloud than one HTTP request may send. \
        Nothing ran: send fewer of them at once.";
    Err(Refusal::new(&BATCH_TOO_LARGE, message))
}

/// How many requests to TiDB Cloud the calls of a body take at least.
fn requests_min(message: &mcp::Parsed, tools: &Tools<'_>) -> u32 {
    let none = Map::new();
    message
        .tool_calls()
        .map(|(name, arguments)| (name, arguments.unwrap_or(&none)))
        .filter(|(name, arguments)| tools.lets_through(name, arguments))
        .map(|(name, arguments)| tools::requests_min(name, arguments))
        .sum()
}
