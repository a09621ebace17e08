//! What the sandbox answers to others: to official clients, to whoever names branches as the published API allows, and
//! what it starts and copies where it runs a TiDB.

use std::{cell::RefCell, path::Path};

use mcp_server_tidbcloud::base::hash::hex;
use md5::{Digest as _, Md5};
use proptest::{prelude::*, test_runner::TestRunner};
use serde_json::{Value, json};
use tidbcloud_sandbox::{
    control::{IAM_HOST, KEYS, SERVERLESS_HOST, contract},
    exchange::{Request, Step},
    sql::{
        STATEMENT_LIMIT,
        copy::{self, Counter, Kind, Object},
        tidb::{self, Guard},
    },
};

use crate::{
    support::{
        Driver,
        bad_inputs::{arguments, tool},
    },
    world::Native,
};

const SHOP: &str = "/v1beta1/clusters/1379661944646413143";

/// A request of a client that is not ours, with the owner's key; status and body of the answer, which is as published.
fn another_client(server: &mut Native, method: &str, host: &str, path: &str, body: &Value) -> (u16, Value) {
    // A minute's limit is for clients in a hurry, not for this.
    server.advance(1);
    let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let target = format!("/{host}{path}");
    let ask = |authorization: Option<String>| {
        let mut headers = vec![("Host".to_owned(), "127.0.0.1:8788".to_owned())];
        headers.extend(authorization.map(|value| ("Authorization".to_owned(), value)));
        let request = Request { method: method.to_owned(), target: target.clone(), headers, body: bytes.clone() };
        match server.world.sandbox.borrow_mut().handle(server.world.clock.get(), &request) {
            Step::Answer(answer, _) => answer,
            Step::Sql(..) => panic!("{target} is no place for SQL"),
        }
    };
    let challenge = ask(None);
    let header = challenge.headers.iter().find(|(name, _)| name == "WWW-Authenticate").map(|(_, value)| value.as_str());
    let nonce = header.and_then(|header| header.split_once("nonce=\"")?.1.split('"').next()).expect("a challenge");
    let [owner, ..] = &KEYS;
    let hash = |text: String| hex(&Md5::digest(text.as_bytes()));
    let secret = hash(format!("{}:tidb.cloud:{}", owner.public, owner.private));
    let proof = hash(format!("{secret}:{nonce}:00000001:c0ffee:auth:{}", hash(format!("{method}:{target}"))));
    let answer = ask(Some(format!(
        "Digest username=\"{}\", realm=\"tidb.cloud\", nonce=\"{nonce}\", uri=\"{target}\", algorithm=MD5, qop=auth, \
         nc=00000001, cnonce=\"c0ffee\", response=\"{proof}\"",
        owner.public
    )));
    if let Err(problem) = contract::check(host, method, path, answer.status, &answer.body) {
        panic!("{method} {target}: {problem}");
    }
    (answer.status, serde_json::from_slice(&answer.body).expect("JSON"))
}

/// A tool called, as structured content.
fn call(server: &mut Native, name: &str, arguments: &Value) -> Value {
    // TiDB Cloud takes 100 requests a minute, and some tools send several.
    server.advance(3);
    let answer = server.send(tool(name, arguments.clone()));
    assert_eq!(answer.status, 200, "{name} {arguments}");
    answer.json()["result"]["structuredContent"].clone()
}

/// Made by another client, then found by every tool that takes a branch, and deleted by name.
fn lives_by_name(server: &mut Native, name: &str) {
    let body = json!({"displayName": name});
    let (status, made) = another_client(server, "POST", SERVERLESS_HOST, &format!("{SHOP}/branches"), &body);
    assert_eq!(status, 200, "{name:?}: {made}");
    server.advance(20);
    let by_name = |more: Value| {
        let mut arguments = json!({"cluster": "shop", "branch": name});
        arguments.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        arguments
    };
    let found = call(server, "tidbcloud_get_branch", &by_name(json!({})));
    assert_eq!((&found["branchId"], &found["displayName"]), (&made["branchId"], &json!(name)), "{found}");
    let target = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("cluster", "shop"), ("branch", name)])
        .finish();
    server.advance(2);
    let answer = server.send(tool("tidbcloud_get_branch", json!({})).to(&format!("/mcp?{target}"))).json();
    // The longest query that an address may have; a longer name is given by its id.
    if target.len() > 512 {
        assert_eq!(answer["error"]["data"]["code"], "QUERY_NOT_ALLOWED", "{answer}");
    } else {
        assert_eq!(answer["result"]["structuredContent"]["branchId"], made["branchId"], "{answer}");
    }
    let child = json!({"cluster": "shop", "displayName": "child", "parent": name});
    let child = call(server, "tidbcloud_create_branch", &child);
    assert_eq!(child["parentId"], made["branchId"], "{child}");
    for gone in [by_name(json!({})), json!({"cluster": "shop", "branch": "child"})] {
        let deleted = call(server, "tidbcloud_delete_branch", &gone);
        assert_eq!(deleted["status"], json!("DELETING"), "{name:?}: {deleted}");
    }
}

#[test]
fn tdb_002_a_branch_is_called_what_the_published_api_allows() {
    let mut server = Native::new();
    for name in ["dev", "qa", "feature_1"] {
        let arguments = json!({"cluster": "shop", "displayName": name});
        let made = call(&mut server, "tidbcloud_create_branch", &arguments);
        assert_eq!(made["displayName"], json!(name), "{made}");
        server.advance(20);
        let deleted = call(&mut server, "tidbcloud_delete_branch", &json!({"cluster": "shop", "branch": name}));
        assert_eq!(deleted["branchId"], made["branchId"], "{deleted}");
    }
    lives_by_name(&mut server, "x");
    let (status, _) =
        another_client(&mut server, "POST", SERVERLESS_HOST, &format!("{SHOP}/branches"), &json!({"displayName": "x"}));
    assert_eq!(status, 200);
    server.advance(20);
    let rows = call(&mut server, "db_query", &json!({"cluster": "shop", "branch": "x", "sql": "SELECT 6 * 7"}));
    assert_eq!(rows["rows"], json!([["42"]]), "{rows}");
}

#[test]
fn tdb_002_any_name_that_a_person_may_give_is_found_again() {
    let mut server = Native::new();
    let long = "n".repeat(64);
    let wide = "枝".repeat(64);
    for name in [
        "1",
        "-",
        "_",
        "a.b",
        "release/1.2",
        "v1..v2",
        "R&D (draft)",
        "it's",
        "Ünïcode",
        "50%",
        "a`b",
        "<b>",
        &long,
        &wide,
    ] {
        lives_by_name(&mut server, name);
    }
}

/// Too long is more than 64 characters, the most that `Cluster.displayName` of the published API has.
#[test]
fn tdb_002_what_can_be_no_name_is_refused_before_any_request() {
    let mut server = Native::new();
    let (long, wide) = ("n".repeat(65), "枝".repeat(65));
    let anywhere =
        [" ", "\t", " dev", "dev ", "dev\n", "a\0b", "a\u{7f}", "a\u{85}b", ".", "../x", "a/../b", &long, &wide];
    let in_new_names = ["<b>", "a>b", "a\u{202e}b", "a\u{200b}b"];
    let mut refused = |tool: &str, mut arguments: Value, argument: &str, name: &str| {
        arguments[argument] = json!(name);
        server.world.sent.take();
        let error = call(&mut server, tool, &arguments)["error"].clone();
        assert_eq!(
            error["code"],
            json!("INVALID_ARGUMENT"),
            "{tool}: {name:?} is no name, so `{argument}` is refused: {error}"
        );
        assert!(error["message"].as_str().is_some_and(|text| text.starts_with(&format!("`{argument}`: "))), "{error}");
        assert_eq!(server.world.sent.take(), [], "{tool}: what is refused is not sent: {argument} {name:?}");
    };
    for (tool, required, optional) in arguments() {
        for argument in ["branch", "parent"] {
            if required.get(argument).or(optional.get(argument)).is_some() {
                anywhere.iter().for_each(|name| refused(tool, required.clone(), argument, name));
            }
        }
        if tool == "tidbcloud_create_branch" {
            anywhere.iter().chain(&in_new_names).for_each(|name| refused(tool, required.clone(), "displayName", name));
        }
    }
}

#[test]
fn tdb_002_every_name_is_created_or_refused_by_the_same_rule() {
    let server = RefCell::new(Native::new());
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(60) };
    let plain = "[A-Za-z0-9_.#@ é枝-]{1,20}".prop_filter("space around it", |name| {
        name.trim() == name && name != "." && name != ".." && !name.starts_with("bran-")
    });
    let found = TestRunner::new(config).run(&plain, |name| {
        let mut server = server.borrow_mut();
        let made = call(&mut server, "tidbcloud_create_branch", &json!({"cluster": "shop", "displayName": name}));
        prop_assert_eq!(&made["displayName"], &json!(name), "{}", made);
        let gone = call(&mut server, "tidbcloud_delete_branch", &json!({"cluster": "shop", "branch": name}));
        prop_assert_eq!(&gone["branchId"], &made["branchId"], "{}", gone);
        Ok(())
    });
    found.unwrap_or_else(|found| panic!("{found}"));
}

/// The official command line reads both from BASIC, and ends with a nil pointer where one is missing.
#[test]
fn tdb_006_a_basic_view_says_how_to_connect() {
    let mut server = Native::new();
    let body = json!({"displayName": "dev"});
    let (_, made) = another_client(&mut server, "POST", SERVERLESS_HOST, &format!("{SHOP}/branches"), &body);
    let branch = format!("{SHOP}/branches/{}", made["branchId"].as_str().expect("an id"));
    server.advance(20);
    for path in [SHOP, &branch] {
        let (_, basic) =
            another_client(&mut server, "GET", SERVERLESS_HOST, &format!("{path}?view=BASIC"), &Value::Null);
        assert!(basic["userPrefix"].as_str().is_some_and(|prefix| prefix.len() == 15), "{basic}");
        assert!(
            basic["endpoints"]["public"]["host"].as_str().is_some_and(|host| host.starts_with("gateway01.")),
            "{basic}"
        );
        assert_eq!(basic["endpoints"]["public"]["port"], json!(4000), "{basic}");
        let (_, full) = another_client(&mut server, "GET", SERVERLESS_HOST, path, &Value::Null);
        assert_eq!(basic, full);
    }
}

#[test]
fn tdb_007_a_route_that_is_not_simulated_says_which_it_is() {
    let mut server = Native::new();
    for (method, path, name) in [
        ("GET", "/auditLog/files", "DatabaseAuditLogService_ListAuditLogFiles"),
        ("GET", "/changefeeds", "ChangefeedService_ListChangefeeds"),
        ("GET", "/privateLinkConnections", "PrivateLinkConnectionService_ListPrivateLinkConnections"),
        ("GET", "/migrations", "MigrationService_ListMigrations"),
    ] {
        let (status, body) =
            another_client(&mut server, method, SERVERLESS_HOST, &format!("{SHOP}{path}"), &Value::Null);
        assert_eq!(status, 501, "{method} {path}: {body}");
        let message = body["message"].as_str().expect("a message");
        let template = format!("({method} /v1beta1/clusters/{{clusterId}}");
        assert!(message.contains(name) && message.contains(&template), "{message}");
    }
}

/// Every operation that is published or that an official client knows: it is simulated, or refused by its name.
#[test]
fn tdb_007_no_operation_is_taken_for_a_missing_resource() {
    let all: Value = serde_json::from_str(include_str!("../../../contract/operations.json")).expect("JSON");
    let (mut simulated, mut named) = (0, 0);
    // Each on its own: some of them delete what others need.
    for operation in all["operations"].as_array().expect("operations") {
        let mut server = Native::new();
        let text = |member: &str| operation[member].as_str().unwrap_or_default();
        let (method, host, template) = (text("method"), text("host"), text("path"));
        let path: Vec<_> = template.split('/').map(filled).collect();
        let (status, body) = another_client(&mut server, method, host, &path.join("/"), &Value::Null);
        let told = body["message"].as_str().or(body["error"].as_str()).unwrap_or_default().to_owned();
        if status == 501 {
            assert!(
                told.contains(template) && told.contains(method) && told.contains(text("id")),
                "{operation}: {told}"
            );
            named += 1;
        } else {
            assert!(!told.starts_with("there is no /") && status != 405, "{operation}: {status} {told}");
            simulated += 1;
        }
    }
    assert!(simulated >= 19 && named > 180, "{simulated} simulated, {named} named");
    let mut server = Native::new();
    for (host, path) in [(SERVERLESS_HOST, "/v1beta1/nothing"), (IAM_HOST, "/v1beta1/members/1/nothing")] {
        assert_eq!(another_client(&mut server, "GET", host, path, &Value::Null).0, 404, "{path}");
    }
}

/// A segment of a path with something in place of its parameter.
fn filled(segment: &str) -> String {
    match segment.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
        Some((_, verb)) => format!("1{verb}"),
        None => segment.to_owned(),
    }
}

/// An object of a parent's, as `SHOW CREATE` of TiDB 8.5 writes it.
fn object(schema: &str, name: &str, kind: Kind, definition: &str, next: Option<(Counter, i64)>) -> Object {
    let columns = if kind == Kind::Table { vec!["a".to_owned(), "odd`one".to_owned()] } else { vec![] };
    let (schema, name, definition) = (schema.to_owned(), name.to_owned(), definition.to_owned());
    Object { schema, name, kind, definition, next, columns }
}

/// What a copy sends, without a server; `sandbox/tests/sql.rs` compares whole copies on whichever server there is, on a real
/// TiDB where `SANDBOX_TIDB` names one (`what_a_server_made_by_itself_is_copied_as_it_is`).
#[test]
fn tdb_008_a_copy_takes_what_is_stored_and_counts_on_from_there() {
    // DEFAULT UUID() and ON UPDATE are DEFAULT_GENERATED in EXTRA, and columns like others all the same.
    let columns = copy::columns_query("it's", "t`1");
    assert!(columns.contains("COALESCE(GENERATION_EXPRESSION, '') = ''") && !columns.contains("EXTRA"), "{columns}");
    assert!(columns.contains(r"TABLE_SCHEMA = 'it\'s' AND TABLE_NAME = 't`1'"), "{columns}");
    // Sequences first, whatever they are called, because defaults of tables take from them; then tables, then views.
    let mut kinds = ["VIEW", "BASE TABLE", "SEQUENCE"].map(|table_type| Kind::of(table_type).expect("a kind"));
    kinds.sort();
    assert_eq!(kinds, [Kind::Sequence, Kind::Table, Kind::View]);
    assert_eq!(Kind::of("SYSTEM VIEW"), None);
    for (definition, next, restart) in [
        ("CREATE SEQUENCE `s` start with 7 minvalue 1 increment by 1 cache 1000 nocycle", 1007, 1007),
        // 97 was the last of 100, 97, ...: TiDB counts it as 98, and goes on with 94.
        ("CREATE SEQUENCE `s` start with 100 minvalue 1 increment by -3 nocache cycle", 98, 96),
    ] {
        let sequence = object("d`b", "s", Kind::Sequence, definition, Some((Counter::Sequence, next)));
        assert_eq!(sequence.create(), ["USE `d``b`", definition]);
        let count = format!("ALTER SEQUENCE `d``b`.`s` RESTART WITH {restart}");
        assert_eq!(sequence.count(), Some(count));
    }
    let table = object("d`b", "t`1", Kind::Table, "CREATE TABLE `t``1` (...)", Some((Counter::AutoIncrement, 30_001)));
    assert_eq!(table.select(), "SELECT `a`, `odd``one` FROM `d``b`.`t``1`");
    assert_eq!(table.insert(), "INSERT INTO `d``b`.`t``1` (`a`, `odd``one`) VALUES ");
    assert_eq!(table.count().as_deref(), Some("ALTER TABLE `d``b`.`t``1` FORCE AUTO_INCREMENT = 30001"));
    let random = Object { next: Some((Counter::AutoRandom, 5)), ..table };
    assert_eq!(random.count().as_deref(), Some("ALTER TABLE `d``b`.`t``1` FORCE AUTO_RANDOM_BASE = 5"));
    assert!(copy::preparations(true).contains(&"SET tidb_opt_write_row_id = 1"), "hidden row ids stay");
    let view = "CREATE ALGORITHM=UNDEFINED DEFINER=`p.root`@`%` SQL SECURITY DEFINER VIEW `v` AS SELECT 1";
    let definer = "CREATE ALGORITHM=UNDEFINED DEFINER=`role_admin`@`%` SQL SECURITY DEFINER VIEW `v` AS SELECT 1";
    assert_eq!(copy::redefined(view, true), definer, "a view has no more rights than its definer had");
}

/// On the server that is there: MariaDB knows all of these too. With a real TiDB the same test runs by hand.
#[test]
fn tdb_008_a_branch_has_the_values_that_its_parent_had() {
    let mut server = Native::new();
    let statements = [
        "CREATE DATABASE `tick``s`",
        "CREATE SEQUENCE `tick``s`.later START WITH 7",
        "CREATE TABLE shop.made (a INT PRIMARY KEY, u VARCHAR(40) DEFAULT (UUID()), n BIGINT DEFAULT NEXTVAL(`tick``s`.later), \
         s TIMESTAMP(3) DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3))",
        "CREATE TABLE `tick``s`.`ta``ble` (a INT)",
    ];
    for sql in statements.into_iter().chain(["INSERT INTO shop.made (a) VALUES (1), (2)"]) {
        let done = call(&mut server, "db_execute", &json!({"cluster": "shop", "sql": sql}));
        assert_eq!(done["error"], Value::Null, "{sql}: {done}");
    }
    let made = call(&mut server, "tidbcloud_create_branch", &json!({"cluster": "shop", "displayName": "dev"}));
    assert_eq!(made["error"], Value::Null, "{made}");
    server.advance(20);
    for sql in ["SELECT * FROM shop.made ORDER BY a", "SHOW TABLES FROM `tick``s`", "SHOW CREATE TABLE shop.made"] {
        let [parent, branch] = [json!({}), json!({"branch": "dev"})].map(|mut arguments| {
            arguments["cluster"] = json!("shop");
            arguments["sql"] = json!(sql);
            call(&mut server, "db_query", &arguments)["rows"].clone()
        });
        assert!(parent.as_array().is_some_and(|rows| !rows.is_empty()), "{sql}: {parent}");
        assert_eq!(branch, parent, "{sql}");
    }
}

/// How a `tidb-server` is started, without one; `a_real_tidb_keeps_to_its_place` and `the_server_itself_enforces_roles` in
/// `sandbox/tests/sql.rs` ask one where `SANDBOX_TIDB` names it.
#[test]
fn tdb_009_a_real_tidb_writes_into_its_own_directory_and_answers_itself() {
    let directory = Path::new("/var/sandbox \"one\"/server-1");
    let place = tidb::Place { directory, socket: Path::new("/tmp/tcsAbc/1.sock"), status_port: 43_210 };
    for (guard, closed) in [(Guard::Open, "enable-sem = false"), (Guard::Closed, "enable-sem = true")] {
        let configuration = tidb::configuration(&place, guard);
        let inside = |name: &str, file: &str| format!("{name} = \"/var/sandbox \\\"one\\\"/server-1/{file}\"");
        for line in [
            inside("path", "data"),
            inside("temp-dir", "tmp"),
            inside("tmp-storage-path", "tmp/spilled"),
            inside("slow-query-file", "slow.log"),
            "port = 0".to_owned(),
            "socket = \"/tmp/tcsAbc/1.sock\"".to_owned(),
            // CLUSTER_PROCESSLIST asks the server itself over this port, and waits for ever where it has none.
            "status-host = \"127.0.0.1\"".to_owned(),
            "status-port = 43210".to_owned(),
            // Nobody whom a role was granted to writes to schema mysql.
            closed.to_owned(),
        ] {
            assert!(configuration.lines().any(|found| found == line), "{line} is not in\n{configuration}");
        }
    }
    let environment = tidb::environment(&place);
    assert!(environment.contains(&("TZ", "UTC".to_owned())), "{environment:?}");
    assert!(environment.iter().any(|(name, value)| *name == "TMPDIR" && value.ends_with("/server-1/tmp")));
    assert_eq!(STATEMENT_LIMIT.as_secs(), 300);
    let limit = format!("SET GLOBAL max_execution_time = {}", STATEMENT_LIMIT.as_millis());
    assert!(tidb::SETUP.contains(&limit.as_str()), "{:?}", tidb::SETUP);
    for (sql, named) in [
        ("FLASHBACK TABLE shop.orders", Some("FLASHBACK TABLE")),
        ("/* back */ flashback table a to b;", Some("FLASHBACK TABLE")),
        ("FLASHBACK DATABASE shop TO s", Some("FLASHBACK DATABASE")),
        ("FLASHBACK CLUSTER TO TIMESTAMP '2026-11-25'", Some("FLASHBACK CLUSTER")),
        ("RECOVER TABLE BY JOB 7", Some("RECOVER TABLE")),
        ("SELECT 'FLASHBACK TABLE t'", None),
        ("DROP TABLE flashback", None),
    ] {
        let refused = tidb::refusal(sql);
        assert_eq!(refused.is_some(), named.is_some(), "{sql}: {refused:?}");
        let message = refused.unwrap_or_default();
        assert!(message.contains(named.unwrap_or_default()), "{sql}: {message}");
    }
}
