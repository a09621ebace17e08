//! The guard before statements that read much: what it costs, what switches it off, and whom it asks.

use serde_json::{Value, json};

use crate::{
    stakes::shown,
    support::{Answer, Call, Driver, bad_inputs::tool},
    world::{Native, SANDBOX},
};

const SHOP: &str = "1379661944646413143";
const SCAN: &str = "SELECT COUNT(*) FROM shop.customers WHERE country = 'FR'";

fn attended(name: &str, sql: Value) -> Call {
    tool(name, json!({"cluster": SHOP, "sql": sql})).without("X-MCP-Unattended")
}

fn result(answer: &Answer) -> Value {
    answer.json()["result"]["structuredContent"].clone()
}

fn with_guard(rows: &str) -> Native {
    Native::with(&[("TIDB_CLOUD_SANDBOX", SANDBOX), ("QUERY_ROWS_GUARD", rows)])
}

/// The error of a call, with its message and its hint.
fn refused(server: &mut Native, call: Call) -> (String, String) {
    let answer = result(&server.send(call));
    let text = |name: &str| answer["error"][name].as_str().unwrap_or_default().to_owned();
    (text("code"), format!("{} {}", text("message"), text("hint")))
}

/// How many statements a call sends.
fn statements(server: &mut Native, call: Call) -> (usize, Value) {
    server.world.subrequests.borrow_mut().clear();
    let answer = result(&server.send(call));
    let sent = server.world.subrequests.borrow().iter().filter(|target| target.ends_with("/v1beta/sql")).count();
    (sent, answer)
}

#[test]
fn a_setting_says_how_much_may_be_read_unasked() {
    let mut server = with_guard("5000");
    let (code, words) = refused(&mut server, attended("db_query", json!(SCAN)));
    assert_eq!(code, "CONFIRMATION_REQUIRED", "TiDB's plan reads 5,001 rows: {words}");
    assert!(words.contains("It reads about 5,000 rows, more than the 5,000 that are read unasked."), "{words}");
    assert!(words.contains("An index on customers (country) would help."), "it says what would help: {words}");
    for (rows, expected) in [("5001", 2), ("0", 1)] {
        let mut server = with_guard(rows);
        server.send(attended("db_query", json!("SELECT 1")));
        let (sent, answer) = statements(&mut server, attended("db_query", json!(SCAN)));
        assert_eq!((sent, &answer["returned"]), (expected, &json!(1)), "with a guard of {rows}: {answer}");
    }
}

#[test]
fn nobody_who_is_absent_is_asked_and_that_is_noted_of_what_is_heavy() {
    let mut server = with_guard("5000");
    for (sql, noted) in [("SELECT COUNT(*) FROM shop.products", 0), (SCAN, 1)] {
        server.world.log.borrow_mut().clear();
        let answer = result(&server.send(tool("db_query", json!({"cluster": SHOP, "sql": sql}))));
        assert_eq!(answer["returned"], 1, "it runs: {answer}");
        let lines = server
            .world
            .log
            .borrow()
            .iter()
            .filter(|line| {
                line.contains("\"unattended\"")
                    && line.contains("\"tool\":\"db_query\"")
                    && line.contains("\"event\":\"unattended\"")
            })
            .count();
        assert_eq!(lines, noted, "{sql}");
    }
}

#[test]
fn what_destroys_and_costs_much_is_one_question() {
    let mut server = with_guard("5000");
    let call = attended("db_execute", json!("DELETE FROM shop.orders"));
    let (lines, name) = shown(&mut server, call);
    let says = |start: &str| lines.iter().any(|line| line.starts_with(start));
    assert!(says("Rows that it touches now: about 100,000"), "{lines:#?}");
    assert!(
        says("Cost: It reads about 100,000 rows, more than the 5,000 that are read unasked."),
        "both are in it: {lines:#?}"
    );
    assert_eq!(name.as_deref(), Some("shop"), "a name is typed, because it destroys");
}

/// Statements that are not small cost a plan each; what cannot fit is refused before any of it runs.
#[test]
fn what_cannot_be_planned_in_one_request_is_refused_first() {
    let mut server = Native::new();
    server.send(attended("db_execute", json!("UPDATE shop.products SET price = price WHERE id = 1")));
    let insert = |n: usize| format!("INSERT INTO shop.products SELECT * FROM shop.products WHERE id < -{n}");
    let all: Vec<String> = (1..=20).map(insert).collect();
    let (sent, answer) = statements(&mut server, attended("db_execute", json!(all)));
    assert_eq!((sent, &answer["error"]["code"]), (0, &json!("REQUESTS_EXHAUSTED")), "{answer}");
    let hint = answer["error"]["hint"].as_str().expect("a hint");
    let most: usize = hint.split_whitespace().find_map(|word| word.parse().ok()).expect("a number");
    let (sent, answer) = statements(&mut server, attended("db_execute", json!(all[..most])));
    assert_eq!(answer["statementCount"], most, "as many as it said: {answer}");
    assert_eq!(sent, 2 * most + 2, "each is planned, and all run in one transaction");
    let same = vec![insert(1); 20];
    let (sent, answer) = statements(&mut server, attended("db_execute", json!(same)));
    assert_eq!((sent, &answer["statementCount"]), (1 + 20 + 2, &json!(20)), "the same text is planned once: {answer}");
}

/// Results share the bytes of a response; a plan is not shown, so a wide one is read whole beside other calls too.
#[test]
fn what_is_asked_about_does_not_depend_on_the_other_calls_of_a_request() {
    let mut server = with_guard("10000");
    let wide = vec!["SELECT id FROM shop.products WHERE price > 1"; 40].join(" UNION ALL ");
    let calls: Vec<Value> = [wide.as_str(), "SELECT 1", "SELECT 2", "SELECT 3", "SELECT 4", "SELECT 5"]
        .iter()
        .enumerate()
        .map(|(id, sql)| {
            let arguments = json!({"cluster": SHOP, "sql": sql});
            json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": "db_query", "arguments": arguments}})
        })
        .collect();
    let mut batch = attended("db_query", json!("SELECT 1"));
    batch.headers.retain(|(name, _)| !name.to_ascii_lowercase().starts_with("mcp-"));
    batch.body = json!(calls).to_string().into_bytes();
    let answers = server.send(batch).json();
    for answer in answers.as_array().expect("an answer to each") {
        let content = &answer["result"]["structuredContent"];
        assert!(content["error"].is_null(), "nobody is asked: {content}");
    }
}

/// A key that finds one row is remembered, so that the next statement by it needs no plan, until the schema changes.
#[test]
fn a_change_of_the_schema_makes_keys_forgotten() {
    let mut server = Native::new();
    let by_key = || attended("db_query", json!("SELECT name FROM shop.products WHERE id = 2"));
    server.send(by_key());
    let (sent, answer) = statements(&mut server, by_key());
    assert_eq!((sent, &answer["returned"]), (1, &json!(1)), "the key is known: {answer}");
    let create =
        json!(["CREATE TABLE shop.days (day DATE NOT NULL UNIQUE)", "INSERT INTO shop.days VALUES (20260102)"]);
    let answer = result(&server.send(attended("db_execute", create)));
    assert_eq!(answer["statementCount"], 2, "{answer}");
    let (sent, answer) = statements(&mut server, by_key());
    assert_eq!((sent, &answer["returned"]), (2, &json!(1)), "it is planned again: {answer}");
    for _ in 0..2 {
        let by_index = attended("db_query", json!("SELECT day FROM shop.days WHERE day = 20260102"));
        let (sent, answer) = statements(&mut server, by_index);
        assert_eq!(
            (sent, &answer["returned"]),
            (2, &json!(1)),
            "an integer finds one date, another scans all: {answer}"
        );
    }
}
