//! The statistics: a data point for each call of a tool, of words of the program and numbers.

use mcp_server_tidbcloud::app::analytics::{BLOBS, DOUBLES, INDEX};
use serde_json::{Value, json};

use crate::{
    stakes::agreed,
    support::{Call, Driver, request},
    world::{Native, SANDBOX},
};

/// A service with somebody who keeps points.
fn counted(settings: &[(&str, &str)]) -> Native {
    let server = Native::with(&[&[("TIDB_CLOUD_SANDBOX", SANDBOX)], settings].concat());
    server.world.has_analytics.set(true);
    server
}

fn call(revision: &str, name: &str, arguments: Value) -> Call {
    request(revision, "owner", "tools/call", json!({"name": name, "arguments": arguments}))
}

/// The same by a client of this name.
fn by(mut call: Call, client: &str) -> Call {
    let mut body: Value = serde_json::from_slice(&call.body).expect("JSON");
    body["params"]["_meta"]["io.modelcontextprotocol/clientInfo"] = json!({"name": client, "version": "1"});
    call.body = body.to_string().into_bytes();
    call
}

/// The points so far, by the names of their columns, which nobody remembers afterwards.
fn points(server: &Native) -> Vec<Value> {
    let named = |(index, words, numbers): (String, Vec<String>, Vec<f64>)| {
        assert_eq!((words.len(), numbers.len()), (BLOBS.len(), DOUBLES.len()), "a point has all of its columns");
        let words = BLOBS.iter().map(|column| column.name).zip(words.into_iter().map(Value::from));
        let numbers = DOUBLES.iter().map(|column| column.name).zip(numbers.into_iter().map(Value::from));
        words.chain(numbers).chain([(INDEX.name, index.into())]).map(|(name, value)| (name.to_owned(), value)).collect()
    };
    server.world.points.take().into_iter().map(named).collect()
}

/// The values of some columns of each point.
fn shown(points: &[Value], columns: &[&str]) -> Vec<Vec<Value>> {
    points.iter().map(|point| columns.iter().map(|column| point[*column].clone()).collect()).collect()
}

#[test]
fn each_call_is_a_point_that_says_how_it_ended() {
    let mut server = counted(&[]);
    server.world.latency.set(20);
    let columns = ["tool", "outcome", "code", "revision", "client", "rows"];
    let say = |server: &mut Native, calls: Vec<Call>| {
        for call in calls {
            server.send(call);
        }
        shown(&points(server), &columns)
    };
    let row = |tool: &str, outcome: &str, code: &str, revision: &str, client: &str, rows: f64| {
        [tool, outcome, code, revision, client].map(Value::from).into_iter().chain([rows.into()]).collect::<Vec<_>>()
    };

    let select = json!({"cluster": "shop", "sql": "SELECT 1 UNION SELECT 2"});
    assert_eq!(
        say(&mut server, vec![by(call("2026-07-28", "db_query", select.clone()), "Claude-Code")]),
        [row("db_query", "done", "", "2026-07-28", "claude-code", 2.0)],
        "a good call has its rows"
    );
    let wrong = json!({"cluster": "shop", "sql": "SELEC 1"});
    assert_eq!(
        say(
            &mut server,
            vec![
                call("2026-07-28", "db_query", wrong),
                call("2026-07-28", "tidbcloud_get_cluster", json!({"cluster": "no"}))
            ]
        ),
        [
            row("db_query", "failed", "SQL_REJECTED", "2026-07-28", "other", 0.0),
            row("tidbcloud_get_cluster", "failed", "NOT_FOUND", "2026-07-28", "other", 0.0),
        ],
        "a failed call has the code of its error"
    );
    assert_eq!(
        say(
            &mut server,
            vec![call("2026-07-28", "no_such_tool", json!({})), call("2026-07-28", "db_query", json!([]))]
        ),
        [
            row("unknown", "refused", "INVALID_PARAMS", "2026-07-28", "other", 0.0),
            row("db_query", "refused", "INVALID_PARAMS", "2026-07-28", "other", 0.0),
        ],
        "a call that the protocol refuses has the code of that, and a made-up name is none"
    );
    let delete =
        || call("2026-07-28", "tidbcloud_delete_cluster", json!({"cluster": "shop"})).without("X-MCP-Unattended");
    assert_eq!(
        say(&mut server, vec![delete()]),
        [row("tidbcloud_delete_cluster", "asked", "CONFIRMATION_REQUIRED", "2026-07-28", "other", 0.0)],
        "a person is asked on a page"
    );
    agreed(&mut server, &delete());
    assert_eq!(
        say(&mut server, Vec::new()),
        [
            row("tidbcloud_delete_cluster", "asked", "", "2026-07-28", "other", 0.0),
            row("tidbcloud_delete_cluster", "done", "", "2026-07-28", "other", 0.0),
        ],
        "a person is asked by a form, and the call that they agreed to is one of its own"
    );
    let mut batch = call("2025-03-26", "show_databases", json!({}));
    let message = |id: u32, name: &str| json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": name, "arguments": {}}});
    batch.body =
        json!([message(1, "tidbcloud_list_regions"), message(2, "tidbcloud_get_cluster")]).to_string().into_bytes();
    batch.headers.push(("User-Agent".to_owned(), "claude-code/2.0 (cli)".to_owned()));
    assert_eq!(
        say(&mut server, vec![batch]),
        [
            row("tidbcloud_list_regions", "done", "", "2025-03-26", "claude-code", 0.0),
            row("tidbcloud_get_cluster", "failed", "INVALID_ARGUMENT", "2025-03-26", "claude-code", 0.0),
        ],
        "each call of a batch has a point, and a client that gave its name before is known by its program"
    );
    let list = request("2026-07-28", "owner", "tools/list", json!({}));
    assert!(say(&mut server, vec![list]).is_empty(), "what is no call has none");
}

#[test]
fn points_have_the_time_and_the_requests_of_their_call() {
    let mut server = counted(&[]);
    server.world.latency.set(20);
    server.send(call("2026-07-28", "tidbcloud_list_regions", json!({})));
    let point = points(&server).pop().expect("a point");
    let sent = server.world.asked.borrow().len();
    assert_eq!(point["upstream_requests"], json!(sent as f64), "as many as TiDB Cloud got");
    assert_eq!(point["millis"], json!(20.0 * sent as f64), "each took 20 ms");
    assert_eq!(point["request_millis"], point["millis"], "nothing else takes time here");
}

#[test]
fn points_say_what_the_limit_said() {
    let mut server = counted(&[("CREDENTIAL_LIMIT_PER_MINUTE", "1000000")]);
    let list = || call("2026-07-28", "tidbcloud_list_regions", json!({}));
    server.send(list());
    server.restart();
    server.world.limiter_fails.set(Some(mcp_server_tidbcloud::port::LimiterFailure::Unavailable));
    server.send(list());
    let states = shown(&points(&server), &["outcome", "limit_state"]);
    assert_eq!(states, [["done", "allowed"], ["done", "degraded"]], "the second was let through by this isolate alone");
    server.send(list().without("X-TiDB-API-Private-Key"));
    assert!(points(&server).is_empty(), "a request that is refused before its body is read has no point");
}

#[test]
fn nothing_that_arrives_is_in_a_point() {
    let mut server = counted(&[]);
    for (name, arguments) in [
        ("db_query", json!({"cluster": "shop", "sql": "SELECT 'canary-row' AS `canary-column`"})),
        ("db_query", json!({"cluster": "canary-cluster", "sql": "SELECT 1"})),
        ("db_query", json!({"cluster": "shop", "sql": "SELEC canary"})),
        ("db_query", json!({"canary-argument": 1})),
        ("tidbcloud_create_branch", json!({"cluster": "shop", "displayName": "canary-branch"})),
        ("canary-tool", json!({})),
    ] {
        let canaries =
            [("User-Agent", "canary-agent/1"), ("X-Request-Id", "canary-id"), ("Mcp-Session-Id", "canary-session")];
        for revision in ["2026-07-28", "2025-11-25"] {
            let mut call = call(revision, name, arguments.clone());
            call.headers.extend(canaries.map(|(name, value)| (name.to_owned(), value.to_owned())));
            server.send(if revision == "2026-07-28" { by(call, "canary-client") } else { call });
        }
    }
    let points = points(&server);
    assert_eq!(points.len(), 12, "each call has a point");
    let ids: Vec<String> = server
        .world
        .log
        .borrow()
        .iter()
        .filter_map(|line| Some(serde_json::from_str::<Value>(line).ok()?["request_id"].as_str()?.to_owned()))
        .collect();
    for point in points {
        let text = point.to_string();
        assert!(!text.contains("canary") && !text.contains("SELEC"), "{text} holds something of its call");
        assert!(ids.iter().all(|id| !text.contains(id.as_str())), "{text} holds an id");
    }
}

#[test]
fn without_somebody_who_keeps_them_there_are_none() {
    let mut server = counted(&[]);
    server.world.has_analytics.set(false);
    server.send(call("2026-07-28", "tidbcloud_list_regions", json!({})));
    assert!(server.world.points.borrow().is_empty(), "no point is made");
}

#[test]
fn a_call_whose_client_goes_away_is_a_point_too() {
    let server = counted(&[]);
    server.world.latency.set(20);
    assert!(
        server.cut_off(call("2026-07-28", "tidbcloud_list_regions", json!({})), 0).is_none(),
        "it waits for TiDB Cloud"
    );
    assert_eq!(shown(&points(&server), &["tool", "outcome"]), [["tidbcloud_list_regions", "left"]]);
}

#[test]
fn the_layout_fits_what_analytics_engine_takes() {
    // <https://developers.cloudflare.com/analytics/analytics-engine/limits/>
    assert!(BLOBS.len() <= 20 && DOUBLES.len() <= 20);
    for tool in mcp_server_tidbcloud::tools::ALL.entries() {
        assert!(tool.name().len() <= 96, "{} is longer than an index", tool.name());
    }
    let names =
        BLOBS.iter().map(|column| column.name).chain(DOUBLES.iter().map(|column| column.name)).chain([INDEX.name]);
    let distinct: std::collections::BTreeSet<_> = names.clone().collect();
    assert_eq!(distinct.len(), names.count(), "no two columns have the same name");
}
