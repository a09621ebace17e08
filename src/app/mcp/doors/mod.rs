//! The doors of `/mcp`, a file each: a function from what is known before it to what it adds, or to a [`Refusal`]. The steps
//! of the pipeline ([`admission`](super::admission), [`parsing`](super::parsing), [`call`](super::call)) call them in order.

pub(in crate::app) mod address;
pub(super) mod address_limit;
pub(super) mod batch;
pub(super) mod body;
pub(super) mod content_type;
pub(super) mod credential_limit;
pub(in crate::app) mod credentials;
pub(super) mod grant;
pub(in crate::app) mod host;
pub(super) mod key_pair;
pub(super) mod narrowing;
pub(in crate::app) mod origin;
pub(super) mod protocol;
pub(super) mod query;
pub(super) mod requests;
pub(super) mod scope;
pub(super) mod token;
pub(super) mod unattended;
pub(super) mod untried_keys;
pub(in crate::app) mod url;
pub(in crate::app) mod verb;

use serde_json::{Map, Value};

use super::{Refusal, Request, parsing::Message};
use crate::catalogue::{Entry, Tools};

/// `of_call` for each call of a body, except those that fail before they begin.
fn of_calls<R>(message: &Message, tools: &Tools<'_>, of_call: impl Fn(&Entry, &Map<String, Value>) -> R) -> Vec<R> {
    let none = Map::new();
    let calls = message.tool_calls().map(|(tool, arguments)| (tool, arguments.unwrap_or(&none)));
    calls
        .filter(|(called, arguments)| tools.begins(*called, arguments))
        .map(|(called, arguments)| of_call(called.tool, arguments))
        .collect()
}
