//! Keys without a verdict on whether they may be tried cannot call tools.

use super::{Message, Refusal};

pub(in crate::app::mcp) fn check(may_be_tried: bool, message: &Message) -> Result<(), Refusal> {
    if !may_be_tried && message.tool_calls().next().is_some() { Err(Refusal::unavailable()) } else { Ok(()) }
}
