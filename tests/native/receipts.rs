//! What a conversation does not show of receipts: those of errors, the lines of the log, the texts that the database gets, and what
//! ends a read that is given up.

use serde_json::{Value, json};

use crate::{
    confirm::result,
    support::{Driver, bad_inputs::tool, keys, request},
    world::{Native, SANDBOX},
};

const CLUSTER: &str = "1379661944646413143";

fn call(server: &mut Native, name: &str, arguments: Value) -> Value {
    result(&server.send(tool(name, arguments)))
}

fn fault(server: &mut Native, fault: Value) {
    server.admin("POST", "/_sandbox/faults", Some(json!({ "faults": [fault] })));
}

fn execute(server: &mut Native, sql: Value) -> Value {
    call(server, "db_execute", json!({"cluster": CLUSTER, "sql": sql}))
}

/// The lines about changes since the last call.
fn changes(server: &Native) -> Vec<Value> {
    let lines = server.world.log.take();
    let events = lines.iter().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    events.filter(|event| event["event"] == "change").collect()
}

/// The SQL that was sent since the last call.
fn statements(server: &Native) -> Vec<String> {
    let sent = server.world.sent.take();
    let bodies = sent.iter().filter(|(target, _)| target.contains("/v1beta/sql"));
    let query = |sent: &String| {
        let (_, body) = sent.split_once("{\"query\":")?;
        serde_json::from_str::<Value>(&format!("{{\"query\":{body}")).ok()?["query"].as_str().map(str::to_owned)
    };
    bodies.filter_map(|(_, sent)| query(sent)).collect()
}

#[test]
fn an_error_says_what_took_effect_or_may_have_and_under_which_ids() {
    let mut server = Native::new();
    let refused = execute(&mut server, json!("UPDATE shop.nowhere SET a = 1 WHERE b = 2"));
    assert_eq!(refused["error"]["receipt"], Value::Null, "nothing took effect: {refused}");
    assert!(refused["error"]["upstream"]["traceId"].is_string(), "support can find the request: {refused}");

    let statements = json!([
        "CREATE TABLE shop.a (id INT)",
        "INSERT INTO shop.a VALUES (1), (2)",
        "DROP TABLE shop.a",
        "DROP TABLE shop.a"
    ]);
    let partial = execute(&mut server, statements);
    let receipt = &partial["error"]["receipt"];
    assert_eq!(receipt["did"], json!(format!("Ran 3 SQL statements on the cluster {CLUSTER}")), "{partial}");
    assert_eq!(receipt["affected"], 2, "the rows of those that ran: {partial}");
    assert!(receipt["undo"].as_str().expect("a way back").contains("FLASHBACK TABLE shop.a"), "{partial}");
    assert_eq!(receipt["traceId"], partial["error"]["upstream"]["traceId"], "both are of the last change: {partial}");
    assert_eq!(receipt["requestId"], partial["error"]["requestId"], "{partial}");

    fault(
        &mut server,
        json!({"match": {"method": "POST", "path": "/v1beta1/clusters"}, "do": "drop", "when": "before"}),
    );
    let unknown = call(
        &mut server,
        "tidbcloud_create_cluster",
        json!({"displayName": "lost", "region": "regions/aws-us-east-1"}),
    );
    assert_eq!(unknown["error"]["code"], "OUTCOME_UNKNOWN", "{unknown}");
    let receipt = &unknown["error"]["receipt"];
    assert_eq!(receipt["tried"], "create the cluster lost", "{unknown}");
    assert!(receipt["as"].is_string() && receipt["at"].is_string(), "{unknown}");
    assert!(
        receipt["did"].is_null() && receipt["traceId"].is_null(),
        "no answer came, and a look is no change: {unknown}"
    );

    fault(&mut server, json!({"match": {"method": "GET", "path": "/v1beta1/clusters", "times": 3}, "do": "garbage"}));
    let unread = call(&mut server, "tidbcloud_list_clusters", json!({}));
    assert_eq!(unread["error"]["code"], "UPSTREAM_INVALID_RESPONSE", "{unread}");
    assert!(unread["error"]["upstream"]["traceId"].is_string(), "what cannot be read is for support too: {unread}");
}

#[test]
fn a_receipt_names_the_key_by_what_a_person_finds_in_the_console_and_in_the_database() {
    let mut server = Native::new();
    let answer = execute(&mut server, json!("UPDATE shop.products SET price = price WHERE id = 1"));
    let known = answer["receipt"]["as"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
    let (shown, hash) = known.split_once("…:").expect("two parts");
    let (public, private) = keys("owner");
    assert!(public.starts_with(shown) && shown.len() == 4, "the first characters of the public key: {known}");
    let user = call(&mut server, "db_query", json!({"cluster": CLUSTER, "sql": "SELECT CURRENT_USER()"}));
    assert!(user["rows"][0][0].as_str().expect("a user").contains(hash), "the hash in the names of SQL users: {user}");
    assert!(!known.contains(public) && !known.contains(&private), "neither half of the key is in it: {known}");
}

#[test]
fn a_change_has_a_line_when_it_begins_and_one_when_it_ends_and_neither_tells_what() {
    let mut server = Native::new();
    execute(&mut server, json!("CREATE TABLE shop.canary_table (canary_column INT)"));
    let outcome = |lines: &[Value]| lines.iter().map(|line| line["outcome"].clone()).collect::<Vec<_>>();
    let first = changes(&server);
    let [begun, ended] = first.as_slice() else { panic!("a change has two lines: {first:?}") };
    assert_eq!((&begun["phase"], &ended["phase"]), (&json!("begun"), &json!("ended")));
    assert_eq!((&ended["tool"], &ended["outcome"]), (&json!("db_execute"), &json!("done")));
    assert!(ended["trace_id"].is_string() && ended["request_id"] == begun["request_id"], "{ended}");
    let mut all = first;

    let mut expect = |server: &mut Native, rule: &str, expected: &[&str], name: &str, arguments: Value| {
        call(server, name, arguments);
        let lines = changes(server);
        let expected: Vec<Value> = expected.iter().map(|word| json!(word)).collect();
        let seen: Vec<Value> = outcome(&lines).into_iter().filter(|outcome| !outcome.is_null()).collect();
        assert_eq!((lines.len(), seen), (expected.len() * 2, expected), "{rule}: {lines:?}");
        all.extend(lines);
    };
    let server = &mut server;
    let sql = |text: &str| json!({"cluster": CLUSTER, "sql": text});
    expect(server, "a read begins no change", &[], "db_query", sql("SELECT 'canary_text'"));
    expect(server, "a refusal of our own changes nothing", &[], "db_execute", sql("BEGIN"));
    expect(
        server,
        "the database refused",
        &["refused"],
        "db_execute",
        sql("INSERT INTO shop.canary_nowhere VALUES (1)"),
    );
    expect(
        server,
        "TiDB Cloud refused",
        &["refused"],
        "tidbcloud_delete_cluster",
        json!({"cluster": "1379661944646413144"}),
    );
    expect(
        server,
        "it is done",
        &["done"],
        "tidbcloud_update_cluster",
        json!({"cluster": CLUSTER, "labels": {"canary-label": "canary-value"}}),
    );
    expect(
        server,
        "it is done",
        &["done"],
        "db_create_user",
        json!({"cluster": CLUSTER, "userName": "canary_user", "role": "role_readonly"}),
    );
    fault(server, json!({"match": {"method": "POST", "path": "/v1beta/sql"}, "do": "drop", "when": "after"}));
    expect(server, "nobody knows", &["unknown"], "db_execute", sql("INSERT INTO shop.canary_table VALUES (2)"));
    let partly = json!({"cluster": CLUSTER, "sql": ["DROP TABLE shop.canary_table", "DROP TABLE shop.canary_table"]});
    expect(server, "not all of it was refused", &["failed"], "db_execute", partly);

    let fields =
        ["ts", "level", "event", "request_id", "trace_id", "phase", "tool", "as", "outcome", "upstream_trace_id"];
    for line in &all {
        let text = line.to_string();
        assert!(!text.contains("canary"), "no argument, no name and no SQL is in a line: {text}");
        assert!(!text.contains(keys("owner").0) && !text.contains(CLUSTER), "{text}");
        for name in line.as_object().expect("an object").keys() {
            assert!(fields.contains(&name.as_str()), "`{name}` is no field of these lines: {text}");
        }
    }
}

#[test]
fn every_statement_names_its_tool_and_request_unless_that_is_switched_off() {
    let mut server = Native::new();
    let two = json!(["UPDATE shop.products SET price = price WHERE id = 1", "DELETE FROM shop.products WHERE id = 0"]);
    let answer = execute(&mut server, two.clone());
    let request = answer["receipt"]["requestId"].as_str().expect("an id").get(..16).expect("16 characters").to_owned();
    let sent = statements(&server);
    let tag = format!("/* mcp-server-tidbcloud db_execute {request} */ ");
    let own: Vec<&str> = sent.iter().filter_map(|text| text.strip_prefix(&tag)).collect();
    let plain: Vec<&String> = sent.iter().filter(|text| !text.starts_with(&tag)).collect();
    assert!(
        plain.iter().all(|text| ["BEGIN", "COMMIT"].contains(&text.as_str())),
        "only these go as they are: {plain:?}"
    );
    assert!(own.contains(&two[0].as_str().expect("SQL")), "a change is sent as it was written: {own:?}");
    call(&mut server, "show_tables", json!({"cluster": CLUSTER, "database": "shop"}));
    let sent = statements(&server);
    assert!(sent.iter().all(|text| text.contains("mcp-server-tidbcloud show_tables ")), "{sent:?}");

    let mut server = Native::with(&[("TIDB_CLOUD_SANDBOX", SANDBOX), ("SQL_TAGS", "off")]);
    execute(&mut server, two);
    let sent = statements(&server);
    assert!(!sent.is_empty() && sent.iter().all(|text| !text.contains("/* ")), "{sent:?}");
}

#[test]
fn a_syntax_error_is_placed_in_the_text_that_was_written() {
    let mut server = Native::new();
    let of = |server: &mut Native, sql: &str| {
        let answer = call(server, "db_query", json!({"cluster": CLUSTER, "sql": sql}));
        answer["error"]["message"].as_str().unwrap_or_else(|| panic!("{sql}: {answer}")).to_owned()
    };
    let message = of(&mut server, "SELECT * FROM shop.orders WHERE\n  id = = 1");
    assert!(message.contains("line 2 column"), "lines stay: {message}");
    let message = of(&mut server, "SELECT id FROM shop.orders ORDER id");
    assert!(message.contains("line 1 column 35 near \"id\""), "the column of the last word's end: {message}");
    assert!(!message.contains("MAX_EXECUTION_TIME") && !message.contains("mcp-server"), "{message}");
}

/// The clock that our deadlines are read from is simulated, and that of the database is not: the limit alone ends this read, after
/// a second, which would otherwise take minutes.
#[test]
fn a_read_that_outlives_its_time_is_ended_in_the_server() {
    let mut server = Native::new();
    // The SQL user exists by then.
    call(&mut server, "db_query", json!({"cluster": CLUSTER, "sql": "SELECT 1"}));
    // 55 s for a batch, and 53.5 are gone before the last statement is sent.
    for millis in [29_000, 24_500] {
        fault(&mut server, json!({"match": {"path": "/v1beta/sql"}, "do": "delay", "millis": millis}));
    }
    let slow = "SELECT COUNT(*) FROM shop.orders a JOIN shop.orders b ON a.note < b.note + 1";
    let message = |id: usize, sql: &str| {
        let params = json!({"name": "db_query", "arguments": {"cluster": CLUSTER, "sql": sql}});
        json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params})
    };
    let mut batch = request("2025-03-26", "owner", "tools/call", json!({}));
    batch.headers.retain(|(name, _)| !name.starts_with("MCP-"));
    batch.body = json!([message(1, "SELECT 1"), message(2, "SELECT 1"), message(3, slow)]).to_string().into_bytes();
    let answers = server.send(batch).json();
    let answer = answers[2]["result"]["structuredContent"].clone();
    let error = &answer["error"];
    assert_eq!((&error["code"], &error["upstream"]["code"]), (&json!("SQL_ERROR"), &json!("3024")), "{answer}");
    assert!(error["hint"].as_str().expect("a hint").contains("Read less"), "it says what to do: {answer}");
    let limit = statements(&server).pop().expect("a statement");
    let limit = limit.split("MAX_EXECUTION_TIME(").nth(1).and_then(|rest| rest.split(')').next()?.parse::<u64>().ok());
    assert!(limit.is_some_and(|millis| millis < 1_500), "it had less than the time that was left: {limit:?}");
    let running = "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE '%a.note%' AND info NOT LIKE '%processlist%'";
    let left = call(&mut server, "db_query", json!({"cluster": CLUSTER, "sql": running}));
    assert_eq!(left["rows"][0][0], "0", "the server has ended it: {left}");
}
