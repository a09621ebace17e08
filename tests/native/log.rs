//! What an operator finds in the log: from a request id what was asked of whom, from a trace what everybody did, and nothing that a
//! caller or a database wrote.

use serde_json::{Value, json};

use crate::{
    confirm::result,
    support::{Answer, Call, Driver, bad_inputs::tool, keys, request},
    world::{Native, SANDBOX},
};

const CLUSTER: &str = "1379661944646413143";
/// The example of W3C Trace Context.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

fn query(sql: &str) -> Call {
    tool("db_query", json!({"cluster": CLUSTER, "sql": sql}))
}

/// A request without credentials.
fn nobody() -> Call {
    let mut call = request("2026-07-28", "owner", "tools/list", json!({}));
    call.headers.retain(|(name, _)| !name.starts_with("X-TiDB"));
    call
}

fn traceparent(id: &str) -> String {
    format!("00-{id}-{PARENT}-01")
}

/// The lines since the last look, in order.
fn lines(server: &Native) -> Vec<Value> {
    server.world.log.take().iter().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn named(lines: &[Value], event: &str) -> Vec<Value> {
    lines.iter().filter(|line| line["event"] == event).cloned().collect()
}

/// The `traceparent` of each request to TiDB Cloud since the last look: trace and span.
fn sent_traces(server: &Native) -> Vec<(String, String)> {
    let of = |(_, sent): &(String, String)| {
        let (_, rest) = sent.split_once("(\"traceparent\", \"")?;
        let mut fields = rest.split('"').next()?.split('-').skip(1);
        Some((fields.next()?.to_owned(), fields.next()?.to_owned()))
    };
    server.world.sent.take().iter().map(|sent| of(sent).expect("a traceparent")).collect()
}

fn fail(server: &mut Native, fault: Value) {
    server.admin("POST", "/_sandbox/faults", Some(json!({ "faults": [fault] })));
}

fn id(answer: &Answer) -> &str {
    answer.header("X-Request-Id").expect("an id")
}

#[test]
fn from_a_request_id_one_finds_what_was_asked_of_tidb_cloud_and_why_it_failed() {
    let mut server = Native::new();
    server.send(query("SELECT 1"));
    lines(&server);
    fail(&mut server, json!({"match": {"path": "/v1beta/sql", "times": 9}, "do": "status", "status": 503}));
    let answer = server.send(query("SELECT 'canary-literal' FROM shop.products"));
    let error = result(&answer)["error"].clone();
    let all = lines(&server);
    assert!(
        all.iter().all(|line| line["request_id"] == error["requestId"] && line["request_id"] == id(&answer)),
        "{all:?}"
    );
    let events: Vec<_> = all.iter().map(|line| line["event"].as_str().expect("a name")).collect();
    assert_eq!(
        events,
        ["upstream", "upstream", "failed_call", "request"],
        "a read is sent twice, and its failure has one cause"
    );
    let [upstream, _, failed, request] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!(
        (&upstream["service"], &upstream["operation"], &upstream["status"]),
        (&json!("sql"), &json!("POST /sql"), &json!(503))
    );
    assert_eq!(upstream["level"], "warn");
    assert_eq!((&failed["tool"], &failed["code"]), (&json!("db_query"), &error["code"]));
    assert!(failed["cause"].as_str().expect("a cause").contains("HTTP 503"), "{failed}");
    for (name, value) in [
        ("level", json!("warn")),
        ("route", json!("/mcp")),
        ("auth", json!("keys")),
        ("tool", json!("db_query")),
        ("rpc_method", json!("tools/call")),
        ("error_code", error["code"].clone()),
        ("upstream_requests", json!(2)),
        ("sql_class", json!("read")),
        ("sql_bytes", json!("SELECT 'canary-literal' FROM shop.products".len())),
    ] {
        assert_eq!(request[name], value, "`{name}`: {request}");
    }
    let text = format!("{all:?}");
    assert!(
        !text.contains("canary") && !text.contains(CLUSTER) && !text.contains("shop"),
        "no SQL, no id and no name: {text}"
    );
}

#[test]
fn the_line_of_a_request_says_how_much_was_answered_and_from_which_credential() {
    let mut server = Native::new();
    let line = |server: &mut Native, call: Call| {
        server.send(call);
        named(&lines(server), "request").pop().expect("a line")
    };
    let whole = line(&mut server, query("SELECT id FROM shop.products LIMIT 3"));
    assert_eq!(
        (&whole["rows"], &whole["truncated"], &whole["level"]),
        (&json!(3), &Value::Null, &json!("info")),
        "{whole}"
    );
    let cut = line(&mut server, query("SELECT * FROM shop.order_items LIMIT 5000"));
    assert_eq!(cut["truncated"], true, "{cut}");
    let again = line(&mut server, query("SELECT id FROM shop.products LIMIT 3"));
    assert_eq!(again["sql_hash"], whole["sql_hash"], "the same statement is found again");
    assert_ne!(cut["sql_hash"], whole["sql_hash"]);
    assert_eq!(again["sub_hash"], whole["sub_hash"], "so is the same credential");
    let other = line(&mut server, request("2026-07-28", "viewer", "tools/list", json!({})));
    assert!(other["sub_hash"].is_string() && other["sub_hash"] != whole["sub_hash"], "{other}");
    let refused = line(&mut server, query("DROP TABLE shop.products"));
    assert_eq!((&refused["sql_class"], &refused["error_code"]), (&json!("refused"), &json!("READ_ONLY_VIOLATION")));
    let mut deletion = tool("tidbcloud_delete_cluster", json!({"cluster": CLUSTER}));
    deletion.headers.retain(|(name, _)| name != "X-MCP-Unattended");
    let asked = line(&mut server, deletion);
    assert_eq!(asked["confirmation"], "asked", "{asked}");
    let nobody = line(&mut server, nobody());
    assert_eq!(
        (&nobody["error_code"], &nobody["rpc_error_code"]),
        (&json!("UNAUTHENTICATED"), &json!(-31001)),
        "{nobody}"
    );
    let mut ray = request("2026-07-28", "owner", "tools/list", json!({}));
    ray.headers.push(("CF-Ray".to_owned(), "230b030023ae2822-SJC".to_owned()));
    let ray = line(&mut server, ray);
    assert_eq!((&ray["cf_ray"], &ray["colo"]), (&json!("230b030023ae2822"), &json!("SJC")));
    let mut forged = request("2026-07-28", "owner", "tools/list", json!({}));
    forged.headers.push(("CF-Ray".to_owned(), "canary\",\"level\":\"info".to_owned()));
    assert_eq!(line(&mut server, forged)["cf_ray"], Value::Null);
}

#[test]
fn a_request_is_a_part_of_its_callers_trace_and_tidb_cloud_is_told() {
    let mut server = Native::new();
    let (meta, header) = ("5bf92f3577b34da6a3ce929d0e0e4736", TRACE);
    let with = |of_header: Option<&str>, of_meta: Option<&str>| {
        let mut call = query("SELECT 1 FROM shop.nowhere");
        call.headers.extend(of_header.map(|text| ("traceparent".to_owned(), text.to_owned())));
        let mut body: Value = serde_json::from_slice(&call.body).expect("JSON");
        if let Some(text) = of_meta {
            body["params"]["_meta"]["traceparent"] = json!(text);
        }
        Call { body: body.to_string().into_bytes(), ..call }
    };
    let zeros = "0".repeat(32);
    for (call, trace, why) in [
        (with(Some(&traceparent(header)), None), Some(header), "the header's"),
        (with(None, Some(&traceparent(meta))), Some(meta), "that of the metadata"),
        (
            with(Some(&traceparent(header)), Some(&traceparent(meta))),
            Some(meta),
            "the metadata is the caller's own, a header may be a proxy's",
        ),
        (with(Some(&traceparent(header)), Some("canary")), Some(header), "what cannot be read does not count"),
        (with(None, None), None, "a new one"),
        (with(Some(&traceparent(&zeros)), None), None, "zeros name no trace"),
        (with(Some("canary"), None), None, "what cannot be read names none"),
    ] {
        server.world.sent.take();
        lines(&server);
        let answer = server.send(call);
        let trace = trace.unwrap_or(id(&answer));
        let error = result(&answer)["error"].clone();
        assert_eq!(error["traceId"], trace, "{why}: {error}");
        let all = lines(&server);
        assert!(all.iter().all(|line| line["trace_id"] == trace), "{why}: {all:?}");
        let request = named(&all, "request").pop().expect("a line");
        assert_eq!(request["parent_id"].as_str(), (trace != id(&answer)).then_some(PARENT), "{why}");
        let upstream = named(&all, "upstream");
        let logged: Vec<_> = upstream.iter().map(|line| line["span_id"].as_str().expect("a span").to_owned()).collect();
        let sent = sent_traces(&server);
        assert!(!sent.is_empty() && sent.iter().all(|(sent, _)| sent == trace), "{why}: {sent:?}");
        assert_eq!(
            sent.into_iter().map(|(_, span)| span).collect::<Vec<_>>(),
            logged,
            "each request to TiDB Cloud has a span of its own"
        );
        assert!(
            upstream
                .iter()
                .all(|line| line["parent_id"] == request["span_id"] && line["span_id"] != request["span_id"])
        );
        assert!(!format!("{all:?}").contains("canary"));
    }
    let mut refused = nobody();
    refused.headers.push(("traceparent".to_owned(), traceparent(TRACE)));
    assert_eq!(server.send(refused).json()["error"]["data"]["traceId"], TRACE, "a refusal at a door names it too");
}

#[test]
fn a_page_of_another_origin_may_send_its_trace() {
    let mut server = Native::new();
    let mut preflight = Call { method: "OPTIONS".to_owned(), ..nobody() };
    preflight.headers.push(("Origin".to_owned(), "https://claude.ai".to_owned()));
    preflight.headers.push(("Access-Control-Request-Method".to_owned(), "POST".to_owned()));
    let answer = server.send(preflight);
    let allowed = answer.header("Access-Control-Allow-Headers").expect("a list");
    assert!(allowed.split(", ").any(|name| name.eq_ignore_ascii_case("traceparent")), "{allowed}");
}

/// What is written of each of these calls if lines of well-behaved requests are left out.
#[test]
fn errors_and_changes_are_logged_whole_however_little_is_logged() {
    let mut server = Native::with(&[("TIDB_CLOUD_SANDBOX", SANDBOX), ("LOG_PERCENT", "0")]);
    let events = |server: &mut Native, call: Call| {
        server.send(call);
        lines(server).iter().map(|line| line["event"].as_str().expect("a name").to_owned()).collect::<Vec<_>>()
    };
    assert!(events(&mut server, query("SELECT 1")).is_empty(), "all went well");
    assert_eq!(
        events(&mut server, query("SELECT 1 FROM shop.nowhere")),
        ["upstream", "failed_call", "request"],
        "also what went well before the failure"
    );
    let change = events(
        &mut server,
        tool("db_execute", json!({"cluster": CLUSTER, "sql": "CREATE TABLE shop.logged (id INT)"})),
    );
    assert!(change.first().is_some_and(|event| event == "change"), "it begins before anything is sent: {change:?}");
    assert!(change.last().is_some_and(|event| event == "request"), "{change:?}");
    assert!(change.iter().filter(|event| *event == "change").count() == 2, "{change:?}");
    assert_eq!(events(&mut server, nobody()), ["request"], "a refusal");
    fail(&mut server, json!({"match": {"path": "/v1beta/sql", "times": 1}, "do": "drop", "when": "before"}));
    let survived = events(&mut server, query("SELECT 1"));
    assert_eq!(survived, ["upstream", "upstream", "request"], "TiDB Cloud failed once, though nobody noticed");

    let mut half = Native::with(&[("TIDB_CLOUD_SANDBOX", SANDBOX), ("LOG_PERCENT", "50")]);
    let written = (0..20).filter(|_| !events(&mut half, query("SELECT 1")).is_empty()).count();
    assert!((1..20).contains(&written), "of twenty requests, {written} were logged");
}

#[test]
fn storage_that_does_not_answer_is_named() {
    let mut server = Native::new();
    server.send(query("SELECT 1"));
    lines(&server);
    server.world.storage_fails.set(true);
    let mut deletion = tool("tidbcloud_delete_cluster", json!({"cluster": CLUSTER}));
    deletion.headers.retain(|(name, _)| name != "X-MCP-Unattended");
    let answer = server.send(deletion);
    assert_eq!(result(&answer)["error"]["code"], "STORAGE_UNAVAILABLE", "{}", answer.json());
    let silent = named(&lines(&server), "storage_failed");
    assert!(
        silent.iter().any(|line| line["object"] == "confirmations" && line["request_id"] == id(&answer)),
        "{silent:?}"
    );
}

#[test]
fn no_header_of_a_request_is_in_the_log() {
    let mut server = Native::new();
    let mut call = query("SELECT 1");
    for name in ["User-Agent", "Cookie", "X-Forwarded-For", "Referer", "tracestate", "baggage", "X-Request-Id"] {
        call.headers.push((name.to_owned(), "canary value".to_owned()));
    }
    server.send(call);
    let all = format!("{:?}", lines(&server));
    assert!(!all.contains("canary") && !all.contains(keys("owner").0) && !all.contains(&keys("owner").1), "{all}");
}

#[test]
fn a_word_that_is_sent_as_a_secret_is_not_taken_out_of_lines() {
    let mut server = Native::new();
    let mut call = nobody();
    for (name, word) in [("Authorization", "Bearer request"), ("X-TiDB-SQL-Secret", "UNAUTHENTICATED")] {
        call.headers.push((name.to_owned(), word.to_owned()));
    }
    server.send(call);
    let line = named(&lines(&server), "request").pop().expect("the line can still be found");
    assert_eq!(line["error_code"], "UNAUTHENTICATED", "{line}");
}

/// What the code around a line let through does not get past the log.
#[test]
fn a_secret_of_the_request_does_not_get_past_the_log() {
    let mut server = Native::new();
    for name in ["X-TiDB-API-Private-Key", "X-TiDB-SQL-Secret"] {
        let mut call = query("SELECT 1");
        call.headers.retain(|(field, _)| field != name);
        call.headers.push((name.to_owned(), "canary.secret.0123456789abcdef".to_owned()));
        call.headers.push(("X-Request-Id".to_owned(), "canary.secret.0123456789abcdef".to_owned()));
        server.send(call);
        let all = server.world.log.take();
        assert!(all.iter().any(|line| line.contains("client_request_id")), "the id that came in is logged: {all:?}");
        assert!(
            !all.iter().any(|line| line.contains("canary")),
            "and the secret is not, which {name} has too: {all:?}"
        );
    }
}
