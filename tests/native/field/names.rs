//! Names in the form in which they are sent.

use std::cell::RefCell;

use proptest::{prelude::*, test_runner::TestRunner};
use serde_json::{Value, json};

use crate::{
    support::{
        Driver,
        bad_inputs::{arguments, tool},
    },
    world::Native,
};

/// What a call gave: the error's code and message, both empty where it succeeded; and all that was sent for it.
fn call(server: &mut Native, name: &str, arguments: &Value) -> (String, String, Vec<(String, String)>) {
    // Slow enough for the limits.
    server.advance(1);
    server.world.sent.take();
    let answer = server.send(tool(name, arguments.clone()));
    assert_eq!(answer.status, 200, "{name} {arguments}: a call is answered with a result, errors too");
    let answer = answer.json();
    let error = &answer["result"]["structuredContent"]["error"];
    let text = |member: &str| error[member].as_str().unwrap_or_default().to_owned();
    (text("code"), text("message"), server.world.sent.take())
}

#[test]
fn sec_001_a_space_before_a_name_opens_no_system_schema() {
    let mut server = Native::new();
    for database in [" mysql", "mysql ", "\tMySQL", "mysql\r\n"] {
        let arguments = json!({
            "cluster": "shop", "database": database, "sql": "SELECT User, authentication_string FROM user",
        });
        let (code, message, sent) = call(&mut server, "db_query", &arguments);
        assert_eq!(code, "INVALID_ARGUMENT", "{database:?}");
        assert!(message.starts_with("`database`: the system schema `mysql`"), "{message}");
        assert_eq!(sent, [], "{database:?}");
    }
}

/// Tools that have this argument, with the arguments that they need.
fn tools_with(argument: &str) -> Vec<(&'static str, Value)> {
    let has = |arguments: &Value| arguments.get(argument).is_some();
    let all = arguments().into_iter().filter(|(_, required, optional)| has(required) || has(optional));
    let found: Vec<_> = all.map(|(name, required, _)| (name, required)).collect();
    assert!(!found.is_empty(), "no tool has {argument}");
    found
}

/// Whatever is kept by id, such as the cluster that a SQL user of the caller's own is for, is kept by this form of it.
#[test]
fn sec_001_a_cluster_has_one_id() {
    let mut server = Native::new();
    let others =
        ["01379661944646413143", "+1379661944646413143", "1379661944646413143.0", "１379661944646413143", "00"];
    for id in others {
        for (tool, mut arguments) in tools_with("cluster") {
            arguments["cluster"] = json!(id);
            let (code, message, sent) = call(&mut server, tool, &arguments);
            let refused = (code.as_str(), sent.len());
            assert_eq!(
                refused,
                ("INVALID_ARGUMENT", 0),
                "{tool}: {id:?} is no cluster's id, and nothing is asked for it"
            );
            assert!(message.starts_with("`cluster`: "), "{message}");
        }
    }
    for name in ["mcp_rw_01234567", "MCP_RW_01234567", "other.Mcp_Ad_0123abcd", "ROOT", "x.Root"] {
        for tool in ["db_create_user", "db_remove_user"] {
            let mut arguments = json!({"cluster": "1379661944646413143", "userName": name});
            if tool == "db_create_user" {
                arguments["role"] = json!("role_readonly");
            }
            let (code, message, sent) = call(&mut server, tool, &arguments);
            assert_eq!((code.as_str(), sent.len()), ("INVALID_ARGUMENT", 0), "{tool} {name}");
            assert!(message.starts_with("`userName`: "), "{message}");
        }
    }
}

/// HTTP whitespace goes on the way; the case of a schema's name means nothing to TiDB.
#[test]
fn sec_001_no_padding_and_no_case_opens_the_system_schema() {
    const PADDING: [&str; 8] = ["", " ", "  ", "\t", "\r\n", " \t", "\n ", "\r"];
    let mut server = Native::new();
    for name in ["mysql", "MYSQL", "MySQL", "mYsQl", "my\u{17f}ql", "MY\u{17f}QL"] {
        for (before, after) in PADDING.iter().flat_map(|before| PADDING.map(|after| (before, after))) {
            for (tool, mut arguments) in tools_with("database") {
                arguments["database"] = json!(format!("{before}{name}{after}"));
                let (code, message, sent) = call(&mut server, tool, &arguments);
                assert_eq!(
                    code, "INVALID_ARGUMENT",
                    "{tool}: no padding and no case opens the system schema: {arguments}"
                );
                assert!(message.starts_with("`database`: "), "{message}");
                assert_eq!(sent, [], "{tool}: what is refused is not sent: {arguments}");
            }
        }
    }
}

/// What names are made of, and what means something else further on: to HTTP, to URLs, to data source names, to SQL.
const WORDS: &[&str] = &["shop", "mysql", "SHOP", "twig", "1379661944646413143", "bran-0123456789", "root", "a.b", "é"];
const DEVICES: &[&str] = &[
    "\t", "\r\n", "\0", "\u{a0}", "\u{3000}", "\u{feff}", ".", "..", "/", "\\", "../", "%20", "%00", "%2e%2e", "%2F",
    "?", "#", "&", "=", ";", ":", ",", "@", "~", "`", "'", "\"", "--", "/*", "*/", "\u{ff11}", "\u{ff4d}", "\u{212a}",
];

fn device() -> impl Strategy<Value = &'static str> {
    prop_oneof![2 => Just(""), 2 => Just(" "), 3 => proptest::sample::select(DEVICES)]
}

#[test]
fn sec_001_whatever_an_argument_says_what_is_sent_means_what_was_checked() {
    // One server for all cases: what an isolate remembers must not open a way either.
    let server = RefCell::new(Native::new());
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(150) };
    let word = proptest::sample::select(WORDS);
    let found = TestRunner::new(config).run(&(device(), word, device()), |(before, word, after)| {
        let text = format!("{before}{word}{after}");
        for argument in ["cluster", "branch", "parent", "userName", "pageToken", "database"] {
            for (tool, mut arguments) in tools_with(argument) {
                arguments[argument] = json!(text);
                // The cluster stays, so that the other calls have one.
                if tool == "tidbcloud_delete_cluster" && ["shop", "1379661944646413143"].contains(&text.as_str()) {
                    continue;
                }
                let (_, message, sent) = call(&mut server.borrow_mut(), tool, &arguments);
                for (target, what) in sent {
                    prop_assert!(is_plain(&target), "{tool} {arguments}: a segment of {target} means more than itself. What goes into a path is a checked type of src/tidbcloud/units.rs, not a String");
                    // A database is selected as it was given, or not at all.
                    let in_statement = ["show_tables", "db_describe", "tidbcloud_get_metrics"].contains(&tool);
                    let meant = if in_statement { "" } else { arguments["database"].as_str().unwrap_or("") };
                    let selected = header(&what, "tidb-database").unwrap_or(meant);
                    prop_assert_eq!(
                        selected,
                        meant,
                        "{} {}: another database is selected than was checked; {}",
                        tool,
                        arguments,
                        message
                    );
                }
            }
        }
        Ok(())
    });
    found.unwrap_or_else(|found| panic!("{found}"));
}

/// What TiDB Cloud does to the resource of a path, which the last segment ends with.
const VERBS: [&str; 5] = [":cancel", ":download", ":reset", ":restore", ":showNodeQuota"];

/// Whether each segment of a path means itself to whoever reads it, decoded or not.
fn is_plain(target: &str) -> bool {
    let path = target.split_once('?').map_or(target, |(path, _)| path);
    let path = VERBS.iter().find_map(|verb| path.strip_suffix(verb)).unwrap_or(path);
    path.trim_start_matches('/').split('/').all(|segment| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        !segment.is_empty() && segment.bytes().all(plain) && !segment.starts_with('.')
    })
}

/// A header of a request as the world noted it.
fn header<'a>(what: &'a str, name: &str) -> Option<&'a str> {
    Some(what.split_once(&format!("(\"{name}\", \""))?.1.split_once("\")")?.0)
}
