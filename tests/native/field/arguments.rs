//! Arguments as hosts write them: each is normalized to one form.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::batch;
use crate::{
    support::{
        Driver,
        bad_inputs::{arguments, list, tool},
        oauth::{Flow, tool_with_token},
    },
    world::{Native, definition, definitions},
};
use mcp_server_tidbcloud::tools;

const SHOP: &str = "1379661944646413143";

/// The result of a call; an error is under `error`.
fn call(server: &mut Native, name: &str, arguments: Value) -> Value {
    server.advance(1);
    let answer = server.send(tool(name, arguments));
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    answer.json()["result"]["structuredContent"].clone()
}

/// The arguments as everybody reads them.
fn settled(name: &str, arguments: &Value) -> Value {
    let mut arguments = arguments.as_object().expect("an object").clone();
    tools::find(name, &mut arguments).expect("a tool");
    Value::Object(arguments)
}

/// Every argument of every tool with its schema and a good value.
fn every_argument() -> Vec<(&'static str, String, Value, Value)> {
    let mut all = Vec::new();
    for (name, required, optional) in arguments() {
        let properties = definition(name).input_schema["properties"].as_object().expect("properties");
        for (argument, schema) in properties {
            let value = required.get(argument).or_else(|| optional.get(argument)).expect("a good value");
            all.push((name, argument.clone(), schema.clone(), value.clone()));
        }
    }
    all
}

#[test]
fn fld_001_a_tool_without_arguments_has_properties() {
    let answer = Native::new().send(list()).json();
    let tools = answer["result"]["tools"].as_array().expect("tools");
    for tool in tools {
        assert!(tool["inputSchema"]["properties"].is_object(), "a tool without arguments has empty properties: {tool}");
    }
    let regions = tools.iter().find(|tool| tool["name"] == "tidbcloud_list_regions").expect("the tool");
    assert_eq!(regions["inputSchema"], json!({"type": "object", "properties": {}, "additionalProperties": false}));
}

#[test]
fn fld_002_every_argument_has_one_type() {
    const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];
    for (name, argument, schema, _) in every_argument() {
        let one = schema["type"].as_str().is_some_and(|kind| TYPES.contains(&kind));
        assert!(one, "{name}: `{argument}` has one type, of {TYPES:?}: {schema}");
        let text = schema.to_string();
        for word in ["anyOf", "oneOf", "allOf", "$ref", "const", "null"] {
            assert!(
                !text.contains(&format!("\"{word}\"")),
                "{name}: some hosts refuse {word} in `{argument}`: {schema}"
            );
        }
    }
    let (.., sql, _) = every_argument()
        .into_iter()
        .find(|(name, argument, ..)| *name == "db_execute" && argument == "sql")
        .expect("sql");
    assert_eq!((&sql["type"], &sql["items"]["type"]), (&json!("array"), &json!("string")));
    let mut server = Native::new();
    for sql in [json!("UPDATE shop.orders SET status = 'paid' WHERE id = 1"), json!(["SELECT 1"])] {
        let done = call(&mut server, "db_execute", json!({"cluster": "shop", "sql": sql}));
        assert_eq!(done["statementCount"], 1, "{done}");
    }
}

#[test]
fn fld_006_numbers_may_be_text_and_whole_numbers_have_a_point() {
    let mut server = Native::new();
    for (written, page) in [(json!("1"), 1), (json!(1.0), 1), (json!("1.0"), 1), (json!(" 1 "), 1), (json!("1e1"), 10)]
    {
        server.world.sent.take();
        let found = call(&mut server, "tidbcloud_list_clusters", json!({"pageSize": written}));
        assert!(found["clusters"].is_array(), "{written}: {found}");
        let (target, _) = server.world.sent.take().pop().expect("a request");
        assert!(target.ends_with(&format!("pageSize={page}")), "{written}: {target}");
    }
    for written in [json!(10.5), json!("ten"), json!("10.5"), json!("1e-1"), json!(true), json!(["10"]), json!("0x10")]
    {
        server.world.sent.take();
        let error = call(&mut server, "tidbcloud_list_clusters", json!({"pageSize": written}))["error"].clone();
        assert_eq!(error["code"], "INVALID_ARGUMENT", "{written}");
        assert!(error["message"].as_str().is_some_and(|text| text.contains("`pageSize`")), "{written}: {error}");
        assert!(error["hint"].as_str().is_some_and(|text| text.contains("1 to 100")), "{written}: {error}");
        assert_eq!(server.world.sent.take(), [], "{written}");
    }
}

/// Every whole number in every spelling of JSON is that number, and nothing with a fraction is one.
#[test]
fn fld_006_every_spelling_of_a_number() {
    let integers: Vec<_> = every_argument().into_iter().filter(|(.., schema, _)| schema["type"] == "integer").collect();
    assert!(integers.len() >= 6, "{integers:?}");
    let read = |written: Value| {
        let mut seen: Vec<Value> = integers
            .iter()
            .map(|(name, argument, ..)| settled(name, &json!({argument: written}))[argument].clone())
            .collect();
        seen.dedup();
        assert_eq!(seen.len(), 1, "{written}: {seen:?}");
        seen.remove(0)
    };
    proptest!(ProptestConfig::with_cases(256), |(number in -1_000_000_000_i64..1_000_000_000, zeros in 0..8_usize)| {
        let shift = 10_i64.pow(u32::try_from(zeros).expect("few"));
        let nought = "0".repeat(zeros + 1);
        for text in [
            number.to_string(),
            format!(" {number}\n"),
            format!("{number}.{nought}"),
            format!("{number}e0"),
            format!("{number}E+0"),
            format!("{}e-{zeros}", number * shift),
            format!("{}.{nought}E-{zeros}", number * shift),
        ] {
            prop_assert_eq!(read(json!(text)), json!(number), "{}", text);
        }
        #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
        let point = number as f64;
        prop_assert_eq!(read(json!(point)), json!(number));
        for text in [format!("{number}.{nought}1"), format!("{number}1e-1"), format!("{}1e-{}", number * shift, zeros + 1)] {
            prop_assert_eq!(read(json!(text)), json!(text));
        }
        prop_assert_eq!(read(json!(point + 0.5)), json!(point + 0.5));
    });
    for text in [
        "1e-400",
        "0.0000001",
        "1e400",
        "١",
        "１",
        "+1",
        "01",
        "1_000",
        "1,000",
        "0x1",
        "NaN",
        "Infinity",
        "-",
        "1.",
        ".5",
        "--1",
        "1 2",
    ] {
        assert_eq!(read(json!(text)), json!(text), "{text}");
    }
    assert_eq!(read(json!("0e9")), json!(0));
    assert_eq!(read(json!("-0.0")), json!(0));
}

#[test]
fn fld_007_empty_text_is_left_out() {
    let mut server = Native::new();
    let query = json!({"cluster": "shop", "branch": "", "database": "", "sql": "SELECT COUNT(*) FROM shop.orders"});
    assert_eq!(call(&mut server, "db_query", query)["returned"], 1);
    // Money that is not there needs no permission to spend.
    let token = Flow::new(&mut server).tokens(&mut server, "tidb:write").access;
    for nothing in [json!(""), json!(null), json!("0"), json!("0.0")] {
        let arguments = json!({"cluster": SHOP, "displayName": "shop", "spendingLimitUsdCents": nothing, "labels": ""});
        let answer = server.send(tool_with_token(&token, "tidbcloud_update_cluster", arguments));
        assert_eq!(answer.status, 200, "{nothing}: {}", String::from_utf8_lossy(&answer.body));
        assert!(answer.json()["result"].get("isError").is_none(), "{nothing}: {}", answer.json());
    }
    // What an address has fixed is not given by an empty field.
    let fixed =
        server.send(tool("tidbcloud_get_cluster", json!({"cluster": "", "organization": ""})).to("/mcp?cluster=shop"));
    assert_eq!(fixed.json()["result"]["structuredContent"]["clusterId"], SHOP);
    let renamed = tool("tidbcloud_update_cluster", json!({"displayName": "", "labels": {"team": "web"}}));
    let renamed = server.send(renamed.to("/mcp?cluster=shop")).json();
    assert_eq!(renamed["result"]["structuredContent"]["labels"], json!({"team": "web"}), "{renamed}");
}

/// Nothing, however it is written, is nothing for every argument of every tool, and a required one is then missing by name.
#[test]
fn fld_007_nothing_is_nothing_for_every_argument() {
    let mut server = Native::new();
    for (name, required, optional) in arguments() {
        let members = required.as_object().into_iter().chain(optional.as_object()).flatten();
        for (argument, _) in members {
            for nothing in [json!(""), json!(null)] {
                let mut with = required.clone();
                with[argument] = nothing.clone();
                let mut without = required.as_object().expect("an object").clone();
                without.remove(argument);
                assert_eq!(
                    settled(name, &with),
                    settled(name, &Value::Object(without)),
                    "{name}: `{argument}` as {nothing} is as good as left out"
                );
                if required.get(argument).is_some() {
                    server.world.sent.take();
                    let error = call(&mut server, name, with)["error"].clone();
                    assert_eq!(error["code"], "INVALID_ARGUMENT", "{name} needs `{argument}`, and says so: {error}");
                    let message = format!("`{argument}` is missing.");
                    assert_eq!(error["message"], message, "{name}: what is missing is named first (left)");
                    let hint = error["hint"].as_str().expect("a hint");
                    assert!(
                        hint.starts_with(&format!("Give `{argument}` as ")),
                        "{name}: the hint says how to give `{argument}`: {hint}"
                    );
                    assert_eq!(
                        server.world.sent.take(),
                        [],
                        "{name}: without `{argument}` nothing is asked of TiDB Cloud"
                    );
                }
            }
        }
    }
    // An empty member of an argument is a value.
    let labels = json!({"cluster": "shop", "labels": {"team": ""}});
    assert_eq!(settled("tidbcloud_update_cluster", &labels), labels);
    assert_eq!(settled("tidbcloud_update_cluster", &json!({"cluster": "shop", "labels": "{}"}))["labels"], json!({}));
    for blank in [" ", "\t", "\u{a0}"] {
        let error = call(&mut server, "db_query", json!({"cluster": "shop", "database": blank, "sql": "SELECT 1"}));
        assert_eq!(error["error"]["code"], "INVALID_ARGUMENT", "{blank:?}");
    }
}

#[test]
fn fld_008_arrays_and_objects_may_be_text() {
    let mut server = Native::new();
    let sql = r#"["UPDATE shop.orders SET status = 'paid' WHERE id = 1","UPDATE shop.orders SET status = 'paid' WHERE id = 2"]"#;
    let done = call(&mut server, "db_execute", json!({"cluster": "shop", "sql": sql}));
    assert_eq!(done["statementCount"], 2, "{done}");
    let labels = json!({"cluster": "shop", "labels": r#"{"team": "web"}"#});
    assert_eq!(call(&mut server, "tidbcloud_update_cluster", labels)["labels"], json!({"team": "web"}));
    for (name, arguments) in [
        ("db_execute", json!({"cluster": "shop", "sql": "[\"SELECT 1\""})),
        ("db_execute", json!({"cluster": "shop", "sql": "[1]"})),
        ("db_execute", json!({"cluster": "shop", "sql": [["SELECT 1"]]})),
        ("db_execute", json!({"cluster": "shop", "sql": "[]"})),
        ("db_execute", json!({"cluster": "shop", "sql": {"0": "SELECT 1"}})),
        ("tidbcloud_update_cluster", json!({"cluster": "shop", "labels": "team=web"})),
        ("tidbcloud_update_cluster", json!({"cluster": "shop", "labels": r#"{"a": "1", "a": "2"}"#})),
        ("tidbcloud_update_cluster", json!({"cluster": "shop", "labels": "[]"})),
        ("tidbcloud_update_cluster", json!({"cluster": "shop", "labels": {"team": 1}})),
        ("db_query", json!({"cluster": "shop", "sql": ["SELECT 1"]})),
    ] {
        server.world.sent.take();
        let error = call(&mut server, name, arguments.clone())["error"].clone();
        assert_eq!(error["code"], "INVALID_ARGUMENT", "{name} {arguments}");
        let text = error["message"].as_str().expect("a message");
        assert!(text.contains("`sql") || text.contains("`labels"), "{arguments}: {text}");
        assert_eq!(server.world.sent.take(), [], "{name} {arguments}");
    }
    // What a statement needs is judged by what runs, however it was written.
    let token = Flow::new(&mut server).tokens(&mut server, "tidb:write").access;
    for (sql, status) in [
        (json!(r#"["SELECT 1", "UPDATE shop.orders SET status = 'paid' WHERE id = 1"]"#), 200),
        (json!(r#"["SELECT 1", "DROP TABLE shop.orders"]"#), 403),
        (json!(r#" ["DELETE FROM shop.orders"]"#), 403),
        (json!("DELETE FROM shop.orders"), 403),
        (json!(["DELETE FROM shop.orders"]), 403),
    ] {
        let answer = server.send(tool_with_token(&token, "db_execute", json!({"cluster": "shop", "sql": sql})));
        assert_eq!(answer.status, status, "{sql}");
    }
}

/// A value as text is the value wherever something else than text belongs, and text stays as it is where text belongs.
#[test]
fn fld_008_text_means_what_the_schema_says() {
    for (name, argument, schema, value) in every_argument() {
        let read = |written: Value| settled(name, &json!({&argument: written}))[&argument].clone();
        if schema["type"] == "string" {
            for text in ["10", " 10", "1e1", "[1]", "[\"a\"]", "{}", "{\"a\":1}", "true", "null", "\"quoted\"", " "] {
                assert_eq!(read(json!(text)), json!(text), "{name} {argument}");
            }
            for other in [json!(10), json!(true), json!(["a"]), json!({"a": "b"})] {
                assert_eq!(read(other.clone()), other, "{name} {argument}");
            }
            continue;
        }
        let meant = read(value.clone());
        for text in [meant.to_string(), format!(" {meant}\n")] {
            assert_eq!(read(json!(text)), meant, "{name} {argument} {text}");
        }
        assert_eq!(read(meant.clone()), meant, "{name} {argument}");
    }
}

#[test]
fn fld_009_what_a_workflow_product_adds_is_dropped() {
    let mut server = Native::new();
    let added =
        json!({"toolCallId": "call_1", "sessionId": 7, "chatInput": {"text": "hello"}, "action": "sendMessage"});
    for (name, required, optional) in arguments() {
        let mut with = required.clone();
        with.as_object_mut().expect("an object").extend(added.as_object().expect("an object").clone());
        assert_eq!(
            settled(name, &with),
            settled(name, &required),
            "{name}: what workflow products add to arguments is dropped (left)"
        );
        // Their neighbours are refused by name.
        for near in
            ["toolcallid", "tool_call_id", "SessionId", "session", "chat_input", "actions", "brnch", "Cluster", "id"]
        {
            if required.get(near).or(optional.get(near)).is_some() {
                continue;
            }
            for value in [json!("x"), json!(""), json!(null)] {
                let mut arguments = with.clone();
                arguments[near] = value;
                server.world.sent.take();
                let error = call(&mut server, name, arguments)["error"].clone();
                assert_eq!(error["code"], "INVALID_ARGUMENT", "{name} has no argument `{near}`, and says so");
                let message = error["message"].as_str().expect("a message");
                assert!(message.contains(&format!("`{near}`")), "{name}: the refusal names `{near}`: {message}");
                assert_eq!(
                    server.world.sent.take(),
                    [],
                    "{name}: a call with the unknown argument `{near}` asks TiDB Cloud nothing"
                );
            }
        }
    }
    let mut arguments = json!({"cluster": "shop"});
    arguments.as_object_mut().expect("an object").extend(added.as_object().expect("an object").clone());
    assert_eq!(call(&mut server, "tidbcloud_get_cluster", arguments.clone())["clusterId"], SHOP);
    let answers = server.send(batch([("tidbcloud_get_cluster", arguments)])).json();
    assert_eq!(answers[0]["result"]["structuredContent"]["clusterId"], SHOP, "{answers}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Normalizing twice changes nothing more, and never adds an argument.
    #[test]
    fn fld_009_the_form_is_settled_once(
        at in any::<prop::sample::Index>(),
        values in prop::collection::vec(("[a-zA-Z]{1,8}|pageSize|sql|labels|cluster|action", "\\PC{0,8}|[0-9.e-]{0,6}|\\[\"a\"\\]|\\{\\}"), 0..6),
    ) {
        let name = at.get(definitions())["name"].as_str().expect("a name");
        let arguments: Map<String, Value> = values.into_iter().map(|(name, text)| (name, json!(text))).collect();
        let once = settled(name, &Value::Object(arguments.clone()));
        prop_assert_eq!(settled(name, &once), once.clone());
        prop_assert!(once.as_object().expect("an object").keys().all(|name| arguments.contains_key(name)));
    }
}

#[test]
fn fld_017_the_own_prefix_is_taken_off() {
    let mut server = Native::new();
    let prefix = call(&mut server, "tidbcloud_get_cluster", json!({"cluster": "shop"}))["userPrefix"].clone();
    let prefix = prefix.as_str().expect("a prefix").to_owned();
    let user = |name: &str| json!({"cluster": "shop", "userName": name, "role": "role_readonly"});
    let removed = |name: &str| json!({"cluster": "shop", "userName": name});
    for (given, made) in [(format!("{prefix}.reporter"), "reporter"), ("writer".to_owned(), "writer")] {
        let full = format!("{prefix}.{made}");
        assert_eq!(call(&mut server, "db_create_user", user(&given))["userName"], json!(full), "{given}");
        assert_eq!(call(&mut server, "db_remove_user", removed(&given))["userName"], json!(full), "{given}");
    }
    let lower = prefix.to_lowercase();
    for other in [
        "3pTAoNNegb47Uc8.reporter",
        "shop.reporter",
        "a.b",
        &format!("{prefix}.{prefix}.a"),
        &format!("{lower}.a"),
        &format!("{prefix}."),
        &format!("{prefix}x.a"),
        &format!("{prefix}.-a"),
    ] {
        for (name, arguments) in [("db_create_user", user(other)), ("db_remove_user", removed(other))] {
            server.world.sent.take();
            let error = call(&mut server, name, arguments)["error"].clone();
            assert_eq!(error["code"], "INVALID_ARGUMENT", "{name} {other}: {error}");
            assert!(error["message"].as_str().is_some_and(|text| text.contains("`userName`")), "{error}");
            assert!(!server.world.sent.take().iter().any(|(to, _)| to.contains("sqlUsers")), "{name} {other}");
        }
    }
    for managed in [format!("{prefix}.root"), format!("{prefix}.mcp_ro_0a1b2c3d")] {
        assert_eq!(
            call(&mut server, "db_create_user", user(&managed))["error"]["code"],
            "INVALID_ARGUMENT",
            "{managed}"
        );
    }
}
