//! One budget of upstream requests and one deadline for one HTTP request.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::batch;
use crate::{
    support::{Driver, bad_inputs::tool},
    world::Native,
};

/// Workers' free plan allows 50 subrequests; five are for Durable Objects.
const REQUESTS_MAX: usize = 45;
const TIME_MAX_MILLIS: u64 = 55_000;

/// A table to count in, and users that work.
fn prepared() -> Native {
    let mut server = Native::new();
    for sql in [json!("CREATE TABLE shop.notes (id INT PRIMARY KEY)"), json!(["DELETE FROM shop.notes WHERE id = 0"])] {
        let answer = server.send(tool("db_execute", json!({"cluster": "shop", "sql": sql})));
        assert_eq!(answer.json()["result"].get("isError"), None, "{}", answer.json());
    }
    server.send(tool("db_query", json!({"cluster": "shop", "sql": "SELECT 1"})));
    server.world.subrequests.borrow_mut().clear();
    server
}

fn notes(server: &mut Native) -> usize {
    server.advance(60);
    let answer = server.send(tool("db_query", json!({"cluster": "shop", "sql": "SELECT COUNT(*) FROM shop.notes"})));
    answer.json()["result"]["structuredContent"]["rows"][0][0].as_str().expect("a count").parse().expect("a number")
}

/// Requests to TiDB Cloud; the others are to Durable Objects.
fn upstream(server: &Native) -> usize {
    server.world.subrequests.borrow().iter().filter(|target| target.starts_with('/')).count()
}

fn inserts(first: usize, count: usize) -> (&'static str, Value) {
    let sql: Vec<_> = (first..first + count).map(|id| format!("INSERT INTO shop.notes VALUES ({id})")).collect();
    ("db_execute", json!({"cluster": "shop", "sql": sql}))
}

#[test]
fn sec_016_a_batch_that_cannot_fit_is_refused_before_anything_runs() {
    let mut server = prepared();
    let answer = server.send(batch((0..10).map(|at| inserts(at * 20, 20))));
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["error"]["data"]["code"], "BATCH_TOO_LARGE");
    assert_eq!(upstream(&server), 0);
    assert_eq!(notes(&mut server), 0);
    // Statements that commit by themselves have no BEGIN and no COMMIT.
    let ddl = |at: usize| {
        let sql: Vec<_> = (0..10).map(|number| format!("CREATE TABLE shop.t{at}_{number} (id INT)")).collect();
        ("db_execute", json!({"cluster": "shop", "sql": sql}))
    };
    assert_eq!(server.send(batch((0..5).map(ddl))).json()["error"]["data"]["code"], "BATCH_TOO_LARGE");
}

#[test]
fn what_turns_out_not_to_fit_is_refused_before_it_begins() {
    let mut server = prepared();
    // 22 each, of 45; and each takes one more to find the cluster by its name.
    let answer = server.send(batch([inserts(0, 20), inserts(20, 20)]));
    let answers = answer.json();
    assert_eq!(answers[0]["result"]["structuredContent"]["statementCount"], 20);
    let error = &answers[1]["result"]["structuredContent"]["error"];
    assert_eq!((&error["code"], &error["retryable"]), (&json!("REQUESTS_EXHAUSTED"), &json!(true)), "{error}");
    assert!(upstream(&server) <= REQUESTS_MAX);
    assert_eq!(notes(&mut server), 20);
}

/// The subrequests that Workers' free plan allows, Durable Objects included.
const SUBREQUESTS_MAX: usize = 50;

#[test]
fn a_batch_of_a_key_that_is_new_keeps_to_the_subrequests_of_the_platform_whatever_fails() {
    let failing = |fault: Value| json!({"faults": [fault]});
    let strikes = json!({"host": "serverless.tidbapi.com", "times": 1000});
    for fault in [
        json!({"do": "status", "status": 503, "match": strikes}),
        json!({"do": "status", "status": 500, "match": strikes}),
        json!({"do": "drop", "when": "before", "match": strikes}),
        json!({"do": "stale_nonce", "match": strikes}),
    ] {
        let mut server = Native::new();
        server.admin("POST", "/_sandbox/faults", Some(failing(fault.clone())));
        let answer = server.send(batch((0..10).map(|_| ("tidbcloud_list_regions", json!({})))));
        assert_eq!(answer.json().as_array().map(Vec::len), Some(10));
        let sent = server.world.subrequests.borrow().len();
        assert!(sent <= SUBREQUESTS_MAX, "{fault}: {sent}");
    }
}

/// A COMMIT that never arrived holds locks until somebody rolls back; one that did loses nothing by it.
#[test]
fn after_a_commit_without_an_answer_a_rollback_is_sent() {
    for when in ["before", "after"] {
        let mut server = prepared();
        // BEGIN and two statements with their warnings pass.
        let commit = json!({"do": "drop", "when": when, "match": {"path": "/v1beta/sql", "after": 5}});
        server.admin("POST", "/_sandbox/faults", Some(json!({"faults": [commit]})));
        let (name, arguments) = inserts(0, 2);
        let error = server.send(tool(name, arguments)).json()["result"]["structuredContent"]["error"].clone();
        assert_eq!((&error["code"], &error["details"]["tookEffect"]), (&json!("OUTCOME_UNKNOWN"), &json!("unknown")));
        server.admin("DELETE", "/_sandbox/faults", None);
        assert_eq!(notes(&mut server), if when == "before" { 0 } else { 2 });
        let (name, arguments) = inserts(10, 1);
        let done = server.send(tool(name, arguments)).json();
        assert_eq!(done["result"].get("isError"), None, "no lock is left: {done}");
        let (name, arguments) = inserts(if when == "before" { 0 } else { 5 }, 1);
        let done = server.send(tool(name, arguments)).json();
        assert_eq!(done["result"].get("isError"), None, "no lock is left: {done}");
    }
}

fn calls() -> impl Strategy<Value = Vec<(&'static str, Value)>> {
    let call = prop_oneof![
        3 => Just(("db_query", json!({"cluster": "shop", "sql": "SELECT 1"}))),
        1 => Just(("tidbcloud_list_regions", json!({}))),
        1 => Just(("tidbcloud_get_cluster", json!({"cluster": "shop"}))),
        3 => (1..20_usize).prop_map(|count| {
            // The last one fails: ten times the same key.
            let sql: Vec<_> = (0..count).map(|id| format!("INSERT INTO shop.notes VALUES ({})", id % 10)).collect();
            ("db_execute", json!({"cluster": "shop", "sql": sql}))
        }),
    ];
    prop::collection::vec(call, 1..10)
}

/// Whatever a batch holds, and however TiDB Cloud drags its feet: no more requests than allowed, no more time, and each
/// transaction is done or rolled back for certain.
#[test]
fn any_batch_keeps_to_its_requests_and_ends_its_transactions() {
    let server = std::cell::RefCell::new(prepared());
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(40)
    });
    let slow = prop_oneof![2 => Just(0_u64), 1 => 500..4_000_u64];
    runner
        .run(&(calls(), slow), |(calls, delay)| {
            let mut server = server.borrow_mut();
            server.advance(120);
            server
                .send(tool("db_execute", json!({"cluster": "shop", "sql": "DELETE FROM shop.notes WHERE id < 1000"})));
            if delay > 0 {
                server.admin(
                    "POST",
                    "/_sandbox/faults",
                    Some(json!({"faults": [{"do": "delay", "millis": delay, "match": {"times": 100}}]})),
                );
            }
            server.world.subrequests.borrow_mut().clear();
            let started = server.world.clock.get();
            let answer = server.send(batch(calls));
            let took = server.world.clock.get() - started;
            server.admin("DELETE", "/_sandbox/faults", None);
            prop_assert!(upstream(&server) <= REQUESTS_MAX, "{}", upstream(&server));
            prop_assert!(took <= TIME_MAX_MILLIS + delay, "{took} ms");
            if answer.status == 400 {
                prop_assert_eq!(upstream(&server), 0);
                return Ok(());
            }
            for answer in answer.json().as_array().expect("answers") {
                let error = &answer["result"]["structuredContent"]["error"];
                let message = error["message"].as_str().unwrap_or_default();
                // Two seconds are kept for ending a transaction.
                let unconfirmed = message.contains("not confirmed") || error["code"] == "OUTCOME_UNKNOWN";
                prop_assert!(!unconfirmed || delay >= 2_000, "{error}");
            }
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}
