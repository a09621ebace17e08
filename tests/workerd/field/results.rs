//! Answers of any length, through streams.

use serde_json::{Value, json};

use crate::{
    support::{Answer, Call, Driver, bad_inputs::tool, request},
    worker::{Worker, Workerd},
};

/// A client with an address of its own.
fn client(address: &str) -> Workerd {
    Workerd { origin: Worker::shared(), address: address.to_owned() }
}

fn structured(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    answer.json()["result"]["structuredContent"].clone()
}

#[test]
fn sec_002_and_tdb_001_long_answers_are_not_read_to_their_end() {
    let mut client = client("203.0.113.61");
    let long = "SELECT id, REPEAT('x', 1000) AS x FROM shop.orders LIMIT 5000";
    let shown = structured(&client.send(tool("db_query", json!({"cluster": "shop", "sql": long}))));
    assert_eq!((&shown["truncated"], shown.get("total")), (&json!(true), None), "{shown:.300}");
    assert!(shown["returned"].as_u64().is_some_and(|rows| (10..=18).contains(&rows)), "{shown:.300}");
    let columns: Vec<_> = (1..=100).map(|at| format!("'a' AS c{at}")).collect();
    let wide = format!("SELECT {} FROM shop.orders LIMIT 10000", columns.join(", "));
    let done = structured(&client.send(tool("db_execute", json!({"cluster": "shop", "sql": vec![wide; 20]}))));
    assert_eq!(done["statementCount"], 20, "{done:.300}");
    assert!(done.to_string().len() <= 18_000);
}

#[test]
fn sec_016_a_batch_that_cannot_fit_is_refused_whole() {
    let sql: Vec<_> = (0..20).map(|_| "SELECT 1").collect();
    let message = |id: usize| {
        let arguments = json!({"cluster": "shop", "sql": sql});
        json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": "db_execute", "arguments": arguments}})
    };
    let mut batch: Call = request("2025-03-26", "owner", "tools/call", json!({}));
    batch.body = json!((0..10).map(message).collect::<Vec<_>>()).to_string().into_bytes();
    let answer = client("203.0.113.62").send(batch);
    assert_eq!((answer.status, &answer.json()["error"]["data"]["code"]), (400, &json!("BATCH_TOO_LARGE")));
}
