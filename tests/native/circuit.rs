//! Circuit breakers, as callers meet them.

use mcp_server_tidbcloud::app::Isolate;
use serde_json::{Value, json};

use crate::{
    support::{Driver, request},
    world::Native,
};

/// A call of a tool, and how many requests it sent to TiDB Cloud.
struct Called {
    result: Value,
    sent: usize,
}

impl Called {
    /// The error's code, or nothing.
    fn code(&self) -> &str {
        self.result["structuredContent"]["error"]["code"].as_str().unwrap_or_default()
    }
}

/// As `who`, in an isolate that has seen nothing.
fn elsewhere(server: &mut Native, who: &str, tool: &str, arguments: Value) -> Called {
    server.isolate = Isolate::new();
    call(server, who, tool, arguments)
}

fn call(server: &mut Native, who: &str, tool: &str, arguments: Value) -> Called {
    let before = server.world.sent.borrow().len();
    let answer = server.send(request("2026-07-28", who, "tools/call", json!({"name": tool, "arguments": arguments})));
    Called { result: answer.json()["result"].clone(), sent: server.world.sent.borrow().len() - before }
}

fn list(server: &mut Native, who: &str) -> Called {
    call(server, who, "tidbcloud_list_clusters", json!({}))
}

/// Every request to the paths that begin so gets no answer.
fn outage(server: &mut Native, path: &str) {
    let faults = json!({"faults": [
        {"match": {"path": path, "times": 10_000}, "do": "drop", "when": "before"},
        {"match": {"path": path, "times": 10_000, "challenge": true}, "do": "drop", "when": "before"},
    ]});
    server.admin("POST", "/_sandbox/faults", Some(faults));
}

/// Fails until the circuit is open for this caller.
fn open_for(server: &mut Native, who: &str) -> Called {
    for _ in 0..4 {
        let called = list(server, who);
        if called.code() == "CIRCUIT_OPEN" {
            return called;
        }
        assert_eq!(called.code(), "UPSTREAM_UNAVAILABLE", "{}", called.result);
    }
    panic!("four calls failed, and the circuit is still closed");
}

#[test]
fn whose_calls_keep_failing_is_told_to_wait_and_nobody_else() {
    let mut server = Native::new();
    outage(&mut server, "/v1beta1/");
    open_for(&mut server, "owner");
    let refused = list(&mut server, "owner");
    assert_eq!((refused.code(), refused.sent), ("CIRCUIT_OPEN", 0), "{}", refused.result);
    let error = &refused.result["structuredContent"]["error"];
    assert!(error["retryAfterSeconds"].as_u64().is_some_and(|seconds| (1..=12).contains(&seconds)), "{error}");
    assert_eq!(error["retryable"], true);
    // Another isolate learns it from its own first failures: one call.
    let there = elsewhere(&mut server, "owner", "tidbcloud_list_clusters", json!({}));
    assert_eq!(there.code(), "CIRCUIT_OPEN", "{}", there.result);
    server.admin("DELETE", "/_sandbox/faults", None);
    let other = list(&mut server, "viewer");
    assert_eq!(other.code(), "", "the trouble of one caller opens nothing for others: {}", other.result);
}

#[test]
fn three_callers_open_it_for_everybody_and_one_read_closes_it() {
    let mut server = Native::new();
    outage(&mut server, "/v1beta1/");
    for who in ["owner", "viewer", "other"] {
        list(&mut server, who);
    }
    for who in ["owner", "viewer", "other"] {
        let refused = list(&mut server, who);
        assert_eq!((refused.code(), refused.sent), ("CIRCUIT_OPEN", 0), "{who}: {}", refused.result);
    }
    // Half open, and still out: one read finds out for all.
    server.advance(12);
    let sent: usize =
        ["owner", "viewer", "other", "owner", "viewer"].map(|who| list(&mut server, who).sent).iter().sum();
    assert_eq!(sent, 1, "one request finds out that nothing has changed");
    server.admin("DELETE", "/_sandbox/faults", None);
    server.advance(24);
    assert_eq!(list(&mut server, "viewer").code(), "");
    server.advance(1);
    for who in ["owner", "viewer", "other"] {
        let called = list(&mut server, who);
        assert_eq!(called.code(), "", "{who} goes on: {}", called.result);
    }
}

#[test]
fn a_write_never_finds_out_a_read_goes_before_it() {
    let mut server = Native::new();
    let create = json!({"displayName": "made-once", "region": "regions/aws-us-east-1"});
    outage(&mut server, "/v1beta1/");
    open_for(&mut server, "owner");
    let refused = call(&mut server, "owner", "tidbcloud_create_cluster", create.clone());
    assert_eq!((refused.code(), refused.sent), ("CIRCUIT_OPEN", 0), "{}", refused.result);
    server.advance(12);
    let before = server.world.sent.borrow().len();
    let failed = call(&mut server, "owner", "tidbcloud_create_cluster", create.clone());
    assert_eq!(failed.code(), "CIRCUIT_OPEN", "the read failed, and the write was not sent: {}", failed.result);
    assert!(server.world.sent.borrow()[before..].iter().all(|(target, _)| target.ends_with("/regions")));
    server.admin("DELETE", "/_sandbox/faults", None);
    server.advance(24);
    let made = call(&mut server, "owner", "tidbcloud_create_cluster", create);
    assert_eq!(made.code(), "", "{}", made.result);
}

#[test]
fn sql_on_one_cluster_has_a_circuit_of_its_own() {
    let mut server = Native::new();
    let query = |server: &mut Native, who: &str| {
        call(server, who, "db_query", json!({"cluster": "1379661944646413143", "sql": "SELECT 1"}))
    };
    assert_eq!(query(&mut server, "owner").code(), "");
    outage(&mut server, "/v1beta/sql");
    let mut codes = Vec::new();
    for _ in 0..4 {
        codes.push(query(&mut server, "owner").code().to_owned());
    }
    assert_eq!(codes.last().map(String::as_str), Some("CIRCUIT_OPEN"), "{codes:?}");
    assert_eq!(query(&mut server, "owner").sent, 0);
    assert_eq!(list(&mut server, "owner").code(), "", "the control plane is another part");
    server.admin("DELETE", "/_sandbox/faults", None);
    server.advance(12);
    // A write: SELECT 1 goes before it.
    let write = json!({"cluster": "1379661944646413143", "sql": "CREATE TABLE shop.after_all (id INT)"});
    let before = server.world.sent.borrow().len();
    let written = call(&mut server, "owner", "db_execute", write);
    assert_eq!(written.code(), "", "{}", written.result);
    assert!(server.world.sent.borrow()[before].1.contains("SELECT"), "a read finds out");
}

#[test]
fn refusals_and_full_quotas_are_no_trouble() {
    let mut server = Native::new();
    for status in [400, 403, 404, 409, 429] {
        let fault =
            json!({"match": {"path": "/v1beta1/clusters", "times": 30}, "do": "status", "status": status, "body": {}});
        server.admin("POST", "/_sandbox/faults", Some(json!({"faults": [fault]})));
        for _ in 0..8 {
            let called = list(&mut server, "owner");
            assert_ne!(called.code(), "CIRCUIT_OPEN", "{status}: {}", called.result);
        }
        server.admin("DELETE", "/_sandbox/faults", None);
        server.advance(61);
    }
}

#[test]
fn without_the_shared_circuit_an_isolate_decides_alone() {
    let mut server = Native::new();
    server.world.circuits_fail.set(true);
    outage(&mut server, "/v1beta1/");
    open_for(&mut server, "owner");
    assert_eq!(list(&mut server, "owner").sent, 0);
    server.admin("DELETE", "/_sandbox/faults", None);
    server.advance(12);
    assert_eq!(list(&mut server, "owner").code(), "");
}

#[test]
fn an_isolate_repeats_no_more_than_its_tokens_pay_for() {
    let mut server = Native::new();
    list(&mut server, "owner");
    // Every second request fails: no circuit opens, and every call needs a repeat.
    let fault = |after: u32| json!({"match": {"path": "/v1beta1/clusters", "times": 1, "after": after}, "do": "status", "status": 503, "body": {}});
    let mut failed = 0;
    for _ in 0..40 {
        server.admin("POST", "/_sandbox/faults", Some(json!({"faults": [fault(0), fault(0)]})));
        failed += usize::from(list(&mut server, "owner").code() != "");
        server.admin("DELETE", "/_sandbox/faults", None);
        server.advance(31);
    }
    assert!(failed > 0, "tokens are used up by repeats that cost more than they give back");
}
