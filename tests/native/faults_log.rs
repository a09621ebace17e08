//! What the log says of answers that could not be read, and of faults of the server itself.

use std::cell::RefCell;

use mcp_server_tidbcloud::{
    base::secret::Secret,
    mcp::tools::{ToolErrorCode, Toolbox},
    port::{Io, allowance::Allowance},
    tidbcloud::{ApiKey, Memory, Unwatched},
    tools::{Homes, Organization, Tools, View},
};
use serde_json::{Value, json};

use crate::{
    support::{Driver, bad_inputs::tool, keys},
    world::{Native, block_on},
};

fn events(server: &Native, name: &str) -> Vec<Value> {
    let lines: RefCell<Vec<String>> = RefCell::new(server.world.log.borrow().clone());
    let events = lines.take().into_iter().map(|line| serde_json::from_str::<Value>(&line).expect("JSON"));
    events.filter(|event| event["event"] == name).collect()
}

#[test]
fn an_answer_that_cannot_be_read_is_logged_with_its_request_and_without_its_data() {
    let canary = "canary-in-an-answer";
    let answer = |body: &str| json!({"do": "status", "status": 200, "body": body, "when": "before"});
    for (name, arguments, path, operation) in [
        ("tidbcloud_list_clusters", json!({}), "^/v1beta1/clusters", "GET /clusters"),
        ("tidbcloud_get_cluster", json!({"cluster": "1379661944646413143"}), "^/v1beta1/clusters/", "GET /clusters/{}"),
        ("db_query", json!({"cluster": "1379661944646413143", "sql": "SELECT 1"}), "^/v1beta/sql", "POST /v1beta/sql"),
    ] {
        for body in
            [format!("{{\"clusters\": \"{canary}\"}}"), format!("<html>{canary}"), format!("{{\"rows\": \"{canary}")]
        {
            let mut server = Native::new();
            let mut fault = answer(&body);
            fault["match"] = json!({"path": path, "times": 9});
            server.admin("POST", "/_sandbox/faults", Some(json!({"faults": [fault]})));
            let answered = server.send(tool(name, arguments.clone()));
            let error = answered.json()["result"]["structuredContent"]["error"].clone();
            assert_eq!(error["code"], "UPSTREAM_INVALID_RESPONSE", "{name} {body}: {error}");
            let logged = events(&server, "unreadable_answer");
            assert!(!logged.is_empty(), "{name} {body}");
            for event in &logged {
                assert_eq!((&event["operation"], &event["status"]), (&json!(operation), &json!(200)));
                assert_eq!(event["request_id"], error["requestId"]);
                assert!(event["problem"].is_string() && !event.to_string().contains("canary"), "{event}");
            }
        }
    }
}

#[test]
fn a_tool_that_does_not_exist_is_not_named_in_the_log() {
    let mut server = Native::new();
    server.send(tool("canary_of_a_caller", json!({})));
    server.send(tool("tidbcloud_list_regions", json!({})));
    let named: Vec<_> = events(&server, "request").iter().map(|event| event["tool"].clone()).collect();
    assert_eq!(named, ["unknown", "tidbcloud_list_regions"]);
}

#[test]
fn a_fault_of_the_server_is_logged_with_its_cause_and_told_without_it() {
    let server = Native::new();
    let (public, private) = keys("owner");
    let key = ApiKey::new(public, private).expect("a key");
    let organizations = [Organization { name: "", authenticator: key.into(), own_login: None }];
    let (memory, homes, secret, view) = (Memory::new(), Homes::default(), Secret::new("canary"), View::default());
    let tools = Tools {
        io: &server.world,
        log: server.world.request_log(),
        allowance: &Allowance::new(server.world.now()),
        hosts: &server.config.hosts,
        organizations: &organizations,
        witness: &Unwatched,
        memory: &memory,
        homes: &homes,
        secret: &secret,
        aliases: &[],
        view: &view,
        view_is_own: false,
    };
    let error = block_on(tools.call("tidbcloud_no_such_tool", serde_json::Map::new())).expect_err("a fault");
    assert_eq!(error.code, ToolErrorCode::Internal);
    let told = serde_json::to_string(&error).expect("JSON");
    let logged = events(&server, "fault");
    let cause = logged[0]["cause"].as_str().expect("a cause");
    assert!(!told.contains(cause) && logged[0]["tool"] == "tidbcloud_no_such_tool", "{told}");
}
