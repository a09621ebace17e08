//! What attackers, public bug reports and models found: `tests/cases/field.tsv` has one example of each kind, with the
//! right answer. A test's name begins with the id of its row; beside the rows, each kind has a test over members that no
//! row shows.

mod arguments;
mod authorization;
mod clients;
mod fence;
mod gate;
mod guesses;
mod models;
mod names;
mod narrowing;
mod requests;
mod results;
mod sandbox;
mod statements;

use std::fs;

use serde_json::{Value, json};

use crate::{
    support::{Call, Driver, bad_inputs::tool, request},
    world::Native,
};

#[test]
fn every_row_has_a_test_that_is_found_by_its_id() {
    let folder = crate::support::checkout().join("tests/native/field");
    let files = fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("an entry").path());
    let tests: String = files.map(|path| fs::read_to_string(path).expect("text")).collect();
    let rows = include_str!("../../cases/field.tsv").lines().skip(1);
    let ids: Vec<_> = rows.map(|row| row.split('\t').next().expect("an id").to_lowercase().replace('-', "_")).collect();
    assert!(ids.len() >= 26, "{ids:?}");
    let without: Vec<_> = ids.iter().filter(|id| !tests.contains(&format!("#[test]\nfn {id}_"))).collect();
    assert!(without.is_empty(), "rows without a test: {without:?}");
}

/// A batch, as one revision of the protocol has them, of calls with the owner's keys.
fn batch(calls: impl IntoIterator<Item = (&'static str, Value)>) -> Call {
    let message = |(id, (name, arguments)): (usize, (&str, Value))| json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": name, "arguments": arguments}});
    let messages: Vec<_> = calls.into_iter().enumerate().map(message).collect();
    let mut call = request("2025-03-26", "owner", "tools/call", json!({}));
    call.body = json!(messages).to_string().into_bytes();
    call
}

/// What a tool answers to a statement.
fn answer(server: &mut Native, name: &str, sql: &str) -> Value {
    server.advance(1);
    let answer = server.send(tool(name, json!({"cluster": "shop", "sql": sql})));
    assert_eq!(answer.status, 200, "{sql}: {}", String::from_utf8_lossy(&answer.body));
    answer.json()["result"]["structuredContent"].clone()
}

/// The message and the hint of a statement that is refused before anything is sent.
fn refusal(server: &mut Native, name: &str, sql: &str) -> String {
    let asked =
        |server: &Native| server.world.sent.borrow().iter().filter(|(to, _)| to.contains("/v1beta/sql")).count();
    let before = asked(server);
    let error = answer(server, name, sql)["error"].clone();
    assert_eq!(error["code"], "SQL_REJECTED", "{name} {sql}: {error}");
    assert_eq!(asked(server), before, "{sql} was sent");
    let text = format!("{} {}", error["message"].as_str().expect("a message"), error["hint"].as_str().expect("a hint"));
    assert!(text.len() <= 300, "{text}");
    text
}
