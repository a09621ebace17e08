//! Random faults from a seed: every response stays well formed.

use serde_json::{Value, json};

use crate::{
    judge::Schemas,
    support::{Driver, request, transcript::Judge},
    world::Native,
};

/// A failing seed is in the message; each draws its own trouble and can be run alone.
const SEEDS: std::ops::Range<u64> = 0..40;

fn call(server: &mut Native, seed: u64, tool: &str, arguments: Value, judge: &mut Schemas) -> Value {
    let answer =
        server.send(request("2026-07-28", "owner", "tools/call", json!({"name": tool, "arguments": arguments})));
    assert_eq!(answer.status, 200, "seed {seed}: {tool}: {}", String::from_utf8_lossy(&answer.body));
    let result = answer.json()["result"].clone();
    judge.tool_result(&format!("seed {seed}"), tool, &result);
    let code = &result["structuredContent"]["error"]["code"];
    assert_ne!(code, &json!("INTERNAL"), "seed {seed}: {tool}: {result}");
    result
}

#[test]
fn under_any_fault_a_write_happens_once_or_its_outcome_is_called_unknown() {
    let mut judge = Schemas::default();
    for seed in SEEDS {
        let mut server = Native::new();
        server.admin("POST", "/_sandbox/faults", Some(json!({"seed": seed, "rate": 0.3})));
        let mut asked = 0;
        let mut made = 0;
        let mut unknown = 0;
        for number in 0..3 {
            call(&mut server, seed, "tidbcloud_list_clusters", json!({}), &mut judge);
            let arguments = json!({"displayName": format!("cluster-{number}"), "region": "regions/aws-us-east-1"});
            let result = call(&mut server, seed, "tidbcloud_create_cluster", arguments, &mut judge);
            asked += 1;
            match result["structuredContent"]["error"]["code"].as_str() {
                None => made += 1,
                Some("OUTCOME_UNKNOWN") => unknown += 1,
                Some(_) => {}
            }
            call(&mut server, seed, "tidbcloud_get_cluster", json!({"cluster": "shop"}), &mut judge);
            server.advance(7);
        }
        server.admin("DELETE", "/_sandbox/faults", None);
        let state = server.admin("GET", "/_sandbox/state", None);
        let there = state["clusters"].as_array().expect("clusters").len() - 1;
        assert!(there >= made, "seed {seed}: {made} reported, {there} there");
        assert!(
            there <= made + unknown,
            "seed {seed}: {made} reported, {unknown} unknown, {there} there of {asked} asked"
        );
    }
}

#[test]
fn under_any_fault_a_row_is_written_once_or_its_outcome_is_called_unknown() {
    let mut judge = Schemas::default();
    let mut server = Native::new();
    call(
        &mut server,
        0,
        "db_execute",
        json!({"cluster": "shop", "sql": "CREATE TABLE shop.tally (n INT)"}),
        &mut judge,
    );
    let mut before = 0;
    for seed in SEEDS {
        server.admin("POST", "/_sandbox/faults", Some(json!({"seed": seed, "rate": 0.3})));
        let insert = json!({"cluster": "shop", "sql": "INSERT INTO shop.tally VALUES (1)"});
        let result = call(&mut server, seed, "db_execute", insert, &mut judge);
        let code = result["structuredContent"]["error"]["code"].as_str().map(str::to_owned);
        server.admin("DELETE", "/_sandbox/faults", None);
        let count = json!({"cluster": "shop", "sql": "SELECT COUNT(*) FROM shop.tally"});
        let count = call(&mut server, seed, "db_query", count, &mut judge);
        let now: u64 = count["structuredContent"]["rows"][0][0].as_str().expect("a count").parse().expect("a number");
        match code.as_deref() {
            None => assert_eq!(now, before + 1, "seed {seed}"),
            Some("OUTCOME_UNKNOWN") => assert!(now == before || now == before + 1, "seed {seed}"),
            Some(code) => assert_eq!(now, before, "seed {seed}: {code}"),
        }
        before = now;
        server.advance(61);
    }
}
