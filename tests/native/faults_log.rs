//! Log lines about responses that could not be read, and about faults of the server itself.

use std::cell::RefCell;

use mcp_server_tidbcloud::{
    base::secret::Secret,
    catalogue::{
        Catalogue, Context, Effect, Entry, Group, Homes, Narrowing, Organization, Tool, Tools, Toolset, View, code,
    },
    mcp::{
        outcome::{Answered, Outcome, ToolError},
        tools::Toolbox,
    },
    port::{Io, allowance::Allowance},
    tidbcloud::{ApiKey, Memory, Unwatched},
};
use serde_json::{Value, json};

use crate::{
    support::{Driver, bad_inputs::tool, keys},
    world::{Native, Nobody, block_on},
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
        ("db_query", json!({"cluster": "1379661944646413143", "sql": "SELECT 1"}), "^/v1beta/sql", "POST /sql"),
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
            let failed = events(&server, "failed_call");
            assert_eq!(failed.len(), 1, "a failure is logged once, with all that it goes back to: {failed:?}");
            assert_eq!((&failed[0]["tool"], &failed[0]["code"]), (&json!(name), &error["code"]), "{failed:?}");
            assert!(failed[0]["cause"].as_str().is_some_and(|cause| cause.contains(" <- ")), "{failed:?}");
            assert!(!failed[0].to_string().contains("canary"), "{failed:?}");
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

/// A tool that always fails.
#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Broken {}

impl Tool for Broken {
    const NAME: &'static str = "broken";
    const TITLE: &'static str = "Broken";
    const EFFECT: Effect = Effect::Read;
    type Output = Value;

    async fn call(self, _: &Context<'_>) -> Result<Value, ToolError> {
        Err(ToolError::fault("what it was made of fell apart"))
    }
}

static BROKEN: Catalogue = Catalogue::new(&[Group { toolset: Toolset::Organization, tools: &[Entry::of::<Broken>] }]);

#[test]
fn a_fault_of_the_server_is_logged_with_its_cause_and_told_without_it() {
    let server = Native::new();
    let (public, private) = keys("owner");
    let key = ApiKey::new(public, private).expect("a key");
    let organizations = [Organization { name: "", authenticator: key.into(), own_login: None }];
    let (memory, homes, secret, narrowing) =
        (Memory::new(), Homes::default(), Secret::new("canary"), Narrowing::default());
    let view = View {
        catalogue: &BROKEN,
        narrowing: &narrowing,
        asked: &narrowing,
        scope: None,
        organizations: &organizations,
        address: "https://mcp.example/mcp",
    };
    let tools = Tools {
        view,
        io: &*server.world,
        log: server.world.request_log(),
        allowance: &Allowance::new(server.world.now()),
        hosts: &server.config.hosts,
        witness: &Unwatched,
        memory: &memory,
        homes: &homes,
        secret: &secret,
        person: &Nobody { goes_without: false },
        pace: &Nobody { goes_without: false },
        deployment: &Nobody { goes_without: false },
        aliases: &[],
        sql_tags: true,
        rows_guard: 0,
    };
    let tool = BROKEN.find(Broken::NAME, &mut serde_json::Map::new()).expect("the tool");
    let Outcome::Failed(error) = block_on(tools.call(tool, serde_json::Map::new(), Answered::default())) else {
        panic!("it cannot succeed")
    };
    assert_eq!(error.code, code::INTERNAL);
    let told = serde_json::to_string(&error).expect("JSON");
    let logged = events(&server, "failed_call");
    let cause = logged[0]["cause"].as_str().expect("a cause");
    assert!(!told.contains(cause) && logged[0]["tool"] == Broken::NAME, "{told}");
}
