//! What attackers, public bug reports and models found: `tests/cases/field.tsv` has one example of each kind, with the
//! right answer. A test's name begins with the id of its row; beside the rows, each kind has a test over members that no
//! row shows.

mod authorization;
mod gate;
mod guesses;
mod names;
mod narrowing;
mod requests;
mod results;

use serde_json::{Value, json};

use crate::support::{Call, request};

/// A batch, as one revision of the protocol has them, of calls with the owner's keys.
fn batch(calls: impl IntoIterator<Item = (&'static str, Value)>) -> Call {
    let message = |(id, (name, arguments)): (usize, (&str, Value))| json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": name, "arguments": arguments}});
    let messages: Vec<_> = calls.into_iter().enumerate().map(message).collect();
    let mut call = request("2025-03-26", "owner", "tools/call", json!({}));
    call.body = json!(messages).to_string().into_bytes();
    call
}
