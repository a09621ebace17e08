//! Texts for a model: schemas that say their rules, errors that say what to do, results that say what happened.

use std::collections::BTreeSet;

use mcp_server_tidbcloud::{
    mcp::outcome::ToolError,
    tidbcloud::{Answer, ApiError, Misread, NotTried, SqlFailure},
};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::batch;
use crate::{
    support::{
        Driver,
        bad_inputs::{list, tool},
        oauth::{Flow, fields, form, with_token},
    },
    world::{Native, definition, definitions},
};

/// The result of a call; an error is under `error`.
fn call(server: &mut Native, name: &str, arguments: Value) -> Value {
    let answer = server.send(tool(name, arguments));
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    answer.json()["result"]["structuredContent"].clone()
}

/// Whether a text is one or more whole sentences.
fn ends(text: &str) -> bool {
    text.ends_with(['.', '!', '?', '\u{2026}']) && text.len() > 10
}

/// How many requests TiDB Cloud got for this.
fn asked(server: &mut Native, act: impl FnOnce(&mut Native) -> Value) -> (Value, Vec<String>) {
    server.world.sent.take();
    let answer = act(server);
    (answer, server.world.sent.take().into_iter().map(|(to, _)| to).collect())
}

#[test]
fn every_argument_says_its_type_and_what_it_is() {
    let mut server = Native::new();
    // With two organizations there is one argument more.
    let set = |who: &str, name: &str| {
        let (public, private) = crate::support::keys(who);
        fields(&[("publicKey", public), ("privateKey", &private), ("name", name)])
    };
    let typed = [set("owner", "shops"), set("other", "labs"), fields(&[("scope", "tidb:destroy")])];
    let flow = Flow::new(&mut server);
    let code = flow.code(&mut server, typed.concat());
    let token = crate::support::oauth::Tokens::of(&server.send(form("/token", &flow.redemption(&code)))).access;
    let mut listed = |target: &str| {
        let answer = server.send(with_token(list(), &token).to(target)).json();
        answer["result"]["tools"].as_array().expect("tools").clone()
    };
    let tools = listed("/mcp?toolsets=all");
    let finder = listed("/mcp").into_iter().filter(|tool| !tools.contains(tool)).collect::<Vec<_>>();
    assert_eq!(tools.len() + finder.len(), definitions().len(), "a person with two organizations has every tool");
    for tool in tools.iter().chain(&finder) {
        let properties = tool["inputSchema"]["properties"].as_object().expect("properties");
        let name = &tool["name"];
        let asks = properties.contains_key("organization");
        assert_eq!(
            asks,
            !finder.contains(tool),
            "with two organizations a tool asks which, but for the finder: {name}"
        );
        for (argument, schema) in properties {
            let says = schema["type"].is_string() && schema["description"].as_str().is_some_and(|text| text.len() >= 4);
            assert!(says, "every argument says its type and what it is; `{argument}` of {name} says {schema}");
        }
    }
    let schema = |name: &str, argument: &str| {
        let tool = tools.iter().find(|tool| tool["name"] == name).expect("the tool");
        tool["inputSchema"]["properties"][argument].clone()
    };
    assert_eq!(schema("db_create_user", "userName")["pattern"], "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}$");
    assert!(schema("db_query", "database")["description"].as_str().is_some_and(|text| text.contains("default")));
    assert_eq!(schema("tidbcloud_get_branch", "waitSeconds")["maximum"], 20);
    let said = |name: &str| {
        let tool = tools.iter().find(|tool| tool["name"] == name).expect("the tool");
        tool["description"].as_str().expect("a description").to_owned()
    };
    assert!(said("db_query").contains("10,000 rows") && said("tidbcloud_create_cluster").contains("30 s"));
}

/// A value inside the patterns of a schema is taken, and one outside is refused by the rule that the schema says.
#[test]
fn a_pattern_of_a_schema_is_the_rule_that_is_enforced() {
    let mut server = Native::new();
    for (name, argument, bad) in [
        ("db_create_user", "userName", json!(["", "a b", ".a", "x".repeat(33), "ä"])),
        ("tidbcloud_create_branch", "displayName", json!(["<b>", "x".repeat(65)])),
    ] {
        let definition = definition(name);
        let schema = &definition.input_schema["properties"][argument];
        let valid = jsonschema::validator_for(schema).expect("a schema");
        for value in bad.as_array().expect("values") {
            let role = if name == "db_create_user" { json!("role_readonly") } else { Value::Null };
            let arguments =
                json!({"cluster": "shop", "database": "shop", "sql": "SELECT 1", "displayName": "twig", "role": role});
            let mut arguments: serde_json::Map<String, Value> = arguments
                .as_object()
                .expect("an object")
                .iter()
                .filter(|(argument, value)| {
                    definition.input_schema["properties"].get(argument).is_some() && !value.is_null()
                })
                .map(|(argument, value)| (argument.clone(), value.clone()))
                .collect();
            arguments.insert(argument.to_owned(), value.clone());
            let error = call(&mut server, name, Value::Object(arguments))["error"].clone();
            assert_eq!(error["code"], "INVALID_ARGUMENT", "{name} {argument} {value}");
            assert!(!valid.is_valid(value), "{name} {argument} {value} satisfies {schema}");
        }
    }
}

fn answer(status: u16, message: &str) -> Answer {
    Answer { status, code: None, message: message.to_owned() }
}

/// Every way in which TiDB Cloud or a database fails, with what they said.
fn failures(said: &str) -> Vec<ToolError> {
    let answer = |status| answer(status, said);
    let api = vec![
        ApiError::KeyRejected(answer(401)),
        ApiError::TokenRejected(answer(401)),
        ApiError::Forbidden(answer(403)),
        ApiError::NotFound(answer(404)),
        ApiError::Conflict(answer(409)),
        ApiError::QuotaExceeded(answer(402)),
        ApiError::NotOffered(answer(405)),
        ApiError::Refused(answer(400)),
        ApiError::RateLimited { retry_after_seconds: Some(7), answer: answer(429) },
        ApiError::Failing { retry_after_seconds: None, answer: answer(503) },
        ApiError::Timeout,
        ApiError::Unreachable,
        ApiError::Unreadable { status: 200, cause: Misread::new("a test") },
        ApiError::TooLarge,
        ApiError::Unexpected("a test"),
        ApiError::DeadlineExceeded,
        ApiError::Exhausted,
        ApiError::KeyNotTried(NotTried::Limited { retry_after_seconds: 7 }),
        ApiError::KeyNotTried(NotTried::Unavailable),
        ApiError::OutcomeUnknown { cause: Box::new(ApiError::Refused(answer(400))) },
    ];
    let codes = [
        None,
        Some(1046),
        Some(1049),
        Some(1054),
        Some(1062),
        Some(1064),
        Some(1142),
        Some(1146),
        Some(1235),
        Some(9999),
    ];
    let sql = codes.into_iter().map(|code| SqlFailure::Sql { code, message: said.to_owned() });
    let more = [
        SqlFailure::NotReady { state: "CREATING".to_owned(), lacks: None },
        SqlFailure::NotReady { state: "ACTIVE".to_owned(), lacks: Some("a public endpoint") },
        SqlFailure::EndpointDisabled,
        SqlFailure::NoManagedUser { cause: ApiError::Forbidden(answer(403)) },
        SqlFailure::BranchOlderThanItsUsers,
        SqlFailure::OwnLoginRefused,
        SqlFailure::LoginNotYet,
        SqlFailure::OutcomeUnknown { cause: Box::new(SqlFailure::LoginNotYet) },
    ];
    let faults = [ToolError::fault("a test")];
    api.into_iter().map(ToolError::from).chain(sql.chain(more).map(ToolError::from)).chain(faults).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// An upstream's message, with or without an end mark, is followed by a separate sentence.
    #[test]
    fn no_error_runs_together(said in "[a-z' ]{0,20}[.!?:;,…]{0,2} ?|\\PC{0,40}") {
        for error in failures(&said) {
            prop_assert!(ends(&error.message), "{:?}", error.message);
            prop_assert!(ends(&error.hint), "{:?}", error.hint);
            for operators in ["SANDBOX_TIDB", "TiUP", "tiup.io"] {
                prop_assert!(!error.hint.contains(operators));
            }
        }
    }
}

#[test]
fn an_error_names_what_it_is_about() {
    let mut server = Native::new();
    for (name, arguments, words, advice) in [
        ("db_query", json!({"cluster": "shop", "sql": "SELECT * FROM orders"}), "No database selected.", "`database`"),
        ("db_query", json!({"cluster": "shop", "sql": "SELECT * FROM shop.nowhere"}), "nowhere", "show_tables"),
        ("db_query", json!({"cluster": "shop", "sql": "SELECT nothing FROM shop.orders"}), "nothing", "DESCRIBE"),
        ("db_query", json!({"cluster": "shop", "sql": "DELETE FROM shop.orders"}), "changes", "db_execute"),
        ("db_query", json!({"cluster": "99", "sql": "SELECT 1"}), "`99`", "List"),
        ("tidbcloud_get_cluster", json!({"cluster": "99"}), "`99`", "List"),
        ("tidbcloud_get_branch", json!({"cluster": "shop", "branch": "bran-a"}), "`bran-a`", "Change"),
        ("tidbcloud_get_branch", json!({"cluster": "shop", "branch": "nobody"}), "`nobody`", "tidbcloud_list_branches"),
        ("tidbcloud_delete_cluster", json!({"cluster": "99"}), "`99`", "List"),
        ("db_remove_user", json!({"cluster": "shop", "userName": "nobody"}), "`nobody`", "db_list_users"),
        ("tidbcloud_update_cluster", json!({"cluster": "shop"}), "nothing to change", "labels"),
        ("tidbcloud_list_clusters", json!({"pageSize": 500}), "`pageSize`", "1 to 100"),
        ("db_create_user", json!({"cluster": "shop", "userName": "a", "role": "admin"}), "`role`", "role_readonly"),
    ] {
        server.advance(1);
        let error = call(&mut server, name, arguments.clone())["error"].clone();
        let (message, hint) = (error["message"].as_str().expect("a message"), error["hint"].as_str().expect("a hint"));
        assert!(message.contains(words), "{name} {arguments}: {message}");
        assert!(hint.contains(advice), "{name} {arguments}: {hint}");
        assert!(ends(message) && ends(hint), "{message} {hint}");
    }
}

/// How to run a practice server on TiDB is nothing that a model can do.
#[test]
fn what_only_an_operator_can_do_is_not_told_to_a_model() {
    let mut server = Native::new();
    for sql in ["SELECT TIDB_PARSE_TSO(1)", "SHOW STATS_META", "SELECT * FROM information_schema.tidb_hot_regions"] {
        let answer = call(&mut server, "db_query", json!({"cluster": "shop", "sql": sql})).to_string();
        for word in ["SANDBOX_TIDB", "TiUP", "tiup", "tidb-server"] {
            assert!(!answer.contains(word), "{sql}: {answer}");
        }
    }
}

#[test]
fn a_statement_says_how_long_it_took() {
    let mut server = Native::new();
    let query = json!({"cluster": "shop", "sql": "SELECT 1"});
    assert!(call(&mut server, "db_query", query.clone())["elapsedMs"].is_u64());
    let slow = json!({"match": {"path": "/v1beta/sql"}, "do": "delay", "millis": 1_500});
    let slow = json!({"faults": [slow, slow]});
    server.admin("POST", "/_sandbox/faults", Some(slow));
    assert_eq!(call(&mut server, "db_query", query)["elapsedMs"], 1_500);
    let two =
        json!({"cluster": "shop", "sql": ["CREATE TABLE shop.notes (id INT)", "INSERT INTO shop.notes VALUES (1)"]});
    let done = call(&mut server, "db_execute", two);
    assert_eq!(done["elapsedMs"].as_u64().map(|millis| millis >= 1_500), Some(true), "{done}");
}

#[test]
fn a_change_of_schema_says_what_it_did() {
    let mut server = Native::new();
    for (sql, done) in [
        ("CREATE TABLE shop.notes (id INT)", "CREATE TABLE shop.notes"),
        ("ALTER TABLE shop.notes ADD COLUMN body TEXT", "ALTER TABLE shop.notes"),
        ("CREATE INDEX by_id ON shop.notes (id)", "CREATE INDEX by_id ON shop.notes"),
        ("DROP TABLE IF EXISTS shop.notes", "DROP TABLE IF EXISTS shop.notes"),
    ] {
        let answer = call(&mut server, "db_execute", json!({"cluster": "shop", "sql": sql}));
        assert_eq!(answer["results"][0]["done"], done, "{answer}");
    }
    let counted =
        call(&mut server, "db_execute", json!({"cluster": "shop", "sql": "DELETE FROM shop.orders WHERE id = 0"}));
    assert_eq!((&counted["results"][0]["rowsAffected"], counted["results"][0].get("done")), (&json!(0), None));
}

#[test]
fn a_changed_spending_limit_says_what_it_was() {
    let mut server = Native::new();
    let set = |server: &mut Native, cents: Value| {
        call(server, "tidbcloud_update_cluster", json!({"cluster": "shop", "spendingLimitUsdCents": cents}))
    };
    for (cents, before, after) in [(json!(0), 0, 0), (json!(500), 0, 500), (json!("700"), 500, 700)] {
        let changed = set(&mut server, cents);
        assert_eq!(changed["previousSpendingLimitUsdCents"], before, "{changed}");
        assert_eq!(changed["spendingLimitUsdCents"], after, "{changed}");
        assert!(
            changed["notice"].as_str().is_some_and(|text| text.contains("limit of 0") && text.contains("free quota"))
        );
    }
    let renamed = call(&mut server, "tidbcloud_update_cluster", json!({"cluster": "shop", "displayName": "shop"}));
    assert_eq!(renamed.get("previousSpendingLimitUsdCents"), None, "{renamed}");
}

#[test]
fn labels_of_tidb_cloud_are_shown_apart_and_stay() {
    let mut server = Native::new();
    let system = call(&mut server, "tidbcloud_get_cluster", json!({"cluster": "shop"}))["systemLabels"].clone();
    let names: BTreeSet<&String> = system.as_object().expect("labels").keys().collect();
    assert!(!names.is_empty() && names.iter().all(|name| name.starts_with("tidb.cloud/")), "{system}");
    for labels in [json!({}), json!({"team": "web"})] {
        let changed = call(&mut server, "tidbcloud_update_cluster", json!({"cluster": "shop", "labels": labels}));
        assert_eq!(changed["systemLabels"], system, "{labels}");
        assert_eq!(changed.get("labels").cloned().unwrap_or(json!({})), labels, "{changed}");
    }
    // TiDB Cloud drops those of its own without a word; beside them nothing of the caller's may be lost.
    for name in ["tidb.cloud/project", "tidb.cloud/made-up"] {
        let labels = json!({name: "7", "team": "ads"});
        let new = json!({"displayName": "labelled", "region": "regions/aws-us-east-1", "labels": labels});
        for (tool, arguments) in [
            ("tidbcloud_update_cluster", json!({"cluster": "shop", "labels": labels})),
            ("tidbcloud_create_cluster", new),
        ] {
            let error = &call(&mut server, tool, arguments)["error"];
            assert_eq!(error["code"], "INVALID_ARGUMENT", "{error}");
            assert!(error["message"].as_str().is_some_and(|text| text.contains(name)), "{error}");
        }
    }
    let kept = call(&mut server, "tidbcloud_get_cluster", json!({"cluster": "shop"}));
    assert_eq!((&kept["labels"], &kept["systemLabels"]), (&json!({"team": "web"}), &system));
}

#[test]
fn a_wait_asks_every_five_seconds_while_something_is_being_made() {
    let mut server = Native::new();
    let at = |server: &Native| server.world.clock.get();
    // What does not change is answered at once.
    let start = at(&server);
    let (settled, requests) = asked(&mut server, |server| {
        call(server, "tidbcloud_get_cluster", json!({"cluster": "1379661944646413143", "waitSeconds": 20}))
    });
    assert_eq!(settled["state"], "ACTIVE");
    assert!(requests.len() <= 2 && at(&server) == start, "{requests:?}");
    // CREATING lasts ten seconds.
    let made = json!({"displayName": "second", "region": "regions/aws-us-east-1"});
    let id = call(&mut server, "tidbcloud_create_cluster", made)["clusterId"].clone();
    for (wait, state, seconds, count) in [(json!(3), "CREATING", 3, 2), ("20".into(), "ACTIVE", 10, 3)] {
        let start = at(&server);
        let arguments = json!({"cluster": id, "waitSeconds": wait});
        let (found, requests) = asked(&mut server, |server| call(server, "tidbcloud_get_cluster", arguments));
        assert_eq!((found["state"].as_str(), requests.len()), (Some(state), count), "{requests:?}");
        assert_eq!(at(&server) - start, seconds * 1_000);
    }
    let branch = call(&mut server, "tidbcloud_create_branch", json!({"cluster": "shop", "displayName": "twig"}));
    let arguments = json!({"cluster": "shop", "branch": branch["branchId"], "waitSeconds": 20});
    assert_eq!(call(&mut server, "tidbcloud_get_branch", arguments)["state"], "ACTIVE");
    for bad in [json!(21), json!(-1), json!(2.5), json!("long")] {
        let error = call(&mut server, "tidbcloud_get_cluster", json!({"cluster": id, "waitSeconds": bad}));
        assert_eq!(error["error"]["code"], "INVALID_ARGUMENT", "{bad}");
    }
}

/// Each question may take three requests where TiDB Cloud fails: no further one follows the fifth request.
#[test]
fn a_wait_asks_a_tidb_cloud_that_fails_no_more_often() {
    let mut server = Native::new();
    let made = json!({"displayName": "second", "region": "regions/aws-us-east-1"});
    let id = call(&mut server, "tidbcloud_create_cluster", made)["clusterId"].as_str().expect("an id").to_owned();
    let creating = json!({"clusterId": id, "displayName": "second", "state": "CREATING", "region": {"name": "regions/aws-us-east-1"}});
    let path = format!("/v1beta1/clusters/{id}");
    let fault = |times, status, body: &Value| json!({"match": {"path": path, "times": times}, "do": "status", "status": status, "body": body});
    let faults: Vec<_> = (0..8).flat_map(|_| [fault(2, 503, &json!({})), fault(1, 200, &creating)]).collect();
    server.admin("POST", "/_sandbox/faults", Some(json!({"faults": faults})));
    let wait = json!({"cluster": id, "waitSeconds": 20});
    let (found, requests) = asked(&mut server, |server| call(server, "tidbcloud_get_cluster", wait));
    assert_eq!((found["state"].as_str(), requests.len()), (Some("CREATING"), 6), "{requests:?}");
}

#[test]
fn a_wait_ends_after_five_questions_and_there_is_one_in_a_batch() {
    let mut server = Native::new();
    let made = json!({"displayName": "second", "region": "regions/aws-us-east-1"});
    let id = call(&mut server, "tidbcloud_create_cluster", made)["clusterId"].clone();
    // A cluster that takes longer than any wait.
    let creating = json!({"clusterId": id, "displayName": "second", "state": "CREATING", "region": {"name": "regions/aws-us-east-1"}});
    let id = id.as_str().expect("an id").to_owned();
    let path = format!("/v1beta1/clusters/{id}");
    let stuck =
        json!({"faults": [{"match": {"path": path, "times": 100}, "do": "status", "status": 200, "body": creating}]});
    let many = |count| json!({"cluster": "1379661944646413143", "sql": vec!["SELECT 1"; count]});
    call(&mut server, "db_execute", many(1));
    server.admin("POST", "/_sandbox/faults", Some(stuck));
    let wait = || json!({"cluster": id, "waitSeconds": 20});
    let start = server.world.clock.get();
    let (found, requests) = asked(&mut server, |server| call(server, "tidbcloud_get_cluster", wait()));
    assert_eq!((found["state"].as_str(), requests.len()), (Some("CREATING"), 5), "{requests:?}");
    assert_eq!(server.world.clock.get() - start, 20_000);
    let start = server.world.clock.get();
    let (answers, requests) = asked(&mut server, |server| {
        server
            .send(batch([
                ("tidbcloud_get_cluster", wait()),
                ("tidbcloud_get_cluster", wait()),
                ("tidbcloud_get_cluster", wait()),
            ]))
            .json()
    });
    assert_eq!(answers.as_array().map(Vec::len), Some(3));
    assert_eq!((requests.len(), server.world.clock.get() - start), (7, 20_000), "{requests:?}");
    // A wait takes no request that a call after it was promised: 22 for twenty statements, and 13 for eleven.
    server.advance(60);
    let (answers, requests) = asked(&mut server, |server| {
        server
            .send(batch([("tidbcloud_get_cluster", wait()), ("db_execute", many(20)), ("db_execute", many(11))]))
            .json()
    });
    assert_eq!(answers[0]["result"]["structuredContent"]["state"], "CREATING", "{answers}");
    for (at, count) in [(1, 20), (2, 11)] {
        assert_eq!(answers[at]["result"]["structuredContent"]["statementCount"], count, "{answers}");
    }
    assert!((36..=45).contains(&requests.len()), "{requests:?}");
}

#[test]
fn a_time_may_be_how_long_ago_it_was() {
    let mut server = Native::new();
    // The shop is old enough for all of these.
    for (written, ago) in
        [("-1h", 3_600), ("-30m", 1_800), ("-90m", 5_400), ("-1h30m", 5_400), ("-45s", 45), ("-0m", 0), ("-1d", 86_400)]
    {
        server.advance(60);
        let arguments = json!({"cluster": "shop", "displayName": "twig", "parentTimestamp": written});
        server.world.sent.take();
        let made = call(&mut server, "tidbcloud_create_branch", arguments);
        let sent = server.world.sent.take();
        let body = sent.iter().find_map(|(_, what)| what.split_once("\"parentTimestamp\":\"")).map(|(_, rest)| rest);
        let time = body.and_then(|rest| rest.split('"').next()).unwrap_or_else(|| panic!("{written}: {made}"));
        let time = mcp_server_tidbcloud::tidbcloud::Timestamp::try_from(time.to_owned()).expect("RFC 3339");
        assert_eq!(server.world.clock.get() / 1_000 - time.moment().0 / 1_000, ago, "{written}");
        if let Some(branch) = made["branchId"].as_str() {
            call(&mut server, "tidbcloud_delete_branch", json!({"cluster": "shop", "branch": branch}));
        }
    }
    for bad in
        ["1h", "-", "-h", "-1", "-1w", "- 1h", "-1.5h", "yesterday", "-1h ", "-99999999999999999999h", "2026-01-31"]
    {
        let arguments = json!({"cluster": "shop", "displayName": "twig", "parentTimestamp": bad});
        let error = call(&mut server, "tidbcloud_create_branch", arguments)["error"].clone();
        assert_eq!(error["code"], "INVALID_ARGUMENT", "{bad}");
        assert!(error["message"].as_str().is_some_and(|text| text.contains("`parentTimestamp`")), "{error}");
    }
}
