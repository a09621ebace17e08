//! Values in `params`: everything that judges a statement sees it with its values.

use std::{cell::RefCell, rc::Rc};

use serde_json::{Value, json};
use tidbcloud_sandbox::exchange::SqlOutcome;

use crate::{
    support::{
        Call, Driver,
        bad_inputs::tool,
        oauth::{Flow, tool_with_token},
    },
    world::Native,
};

const SHOP: &str = "1379661944646413143";

/// A server whose database takes every statement, and the statements that it took.
fn recording() -> (Native, Rc<RefCell<Vec<String>>>) {
    let (server, taken) = (Native::new(), Rc::<RefCell<Vec<String>>>::default());
    let all = Rc::clone(&taken);
    server.world.database.replace(Some(Box::new(move |task| {
        all.borrow_mut().push(task.query.clone());
        SqlOutcome::Done { rows_affected: 1, last_insert_id: "0".to_owned(), session: "one".to_owned() }
    })));
    (server, taken)
}

fn execute(sql: Value, params: Value) -> Value {
    json!({"cluster": SHOP, "sql": sql, "params": params})
}

#[test]
fn the_scope_of_a_call_is_that_of_the_statement_with_its_values() {
    let (mut server, _) = recording();
    let token = Flow::new(&mut server).tokens(&mut server, "tidb:write").access;
    for (sql, params, status) in [
        (json!(["DELETE FROM t WHERE id = ?"]), json!([1]), 200),
        (json!(["DELETE FROM t WHERE id = ?"]), json!(["it's \\ \u{0}"]), 200),
        (json!(["DELETE FROM t WHERE id = ?"]), json!(["id"]), 200),
        (json!(["DELETE FROM t WHERE id = ?"]), json!([null]), 403),
        (json!(["DELETE FROM t WHERE ?"]), json!([1]), 403),
        (json!(["DELETE FROM t WHERE id = ? OR ?"]), json!([1, true]), 403),
        (json!(["DELETE FROM t WHERE id = ?", "DELETE FROM t WHERE id = ?"]), json!([1, null]), 403),
        (json!(["DELETE FROM t WHERE id = ?", "DELETE FROM t WHERE id = ?"]), json!([1, 2]), 200),
        (json!("[\"DELETE FROM t WHERE id = ?\"]"), json!("[1]"), 200),
    ] {
        let call = tool_with_token(&token, "db_execute", execute(sql.clone(), params.clone()));
        assert_eq!(server.send(call).status, status, "{sql} with {params}");
    }
}

#[test]
fn a_number_arrives_in_the_digits_that_were_written() {
    for digits in [
        "9007199254740993",
        "123456789012345678901234567890.10",
        "-0.1000000000000000055511151231257827",
        "18446744073709551616",
        "1.10",
    ] {
        for tool_name in ["db_query", "db_execute"] {
            let (mut server, taken) = recording();
            let mut call = tool(tool_name, execute(json!("SELECT 3-?"), json!(["canary"])));
            let text = String::from_utf8(call.body).expect("text");
            call.body = text.replace("\"canary\"", digits).into_bytes();
            server.send(call);
            let taken = taken.borrow();
            let sent = taken.iter().find(|sql| sql.contains("3-")).expect("the statement");
            assert!(sent.contains(&format!("3- {digits}")), "{tool_name} {digits}: {sent}");
        }
    }
}

/// The reserved key by which the reader of JSON passes on a number is nothing that a caller can write.
#[test]
fn a_number_is_no_object() {
    for digits in ["\"1\"", "\"1; DROP TABLE t\"", "1", "\"\\u0031\""] {
        let (mut server, taken) = recording();
        let mut call: Call = tool("db_query", execute(json!("SELECT ?"), json!(["canary"])));
        let text = String::from_utf8(call.body).expect("text");
        let object = format!("{{\"$serde_json::private::Number\":{digits}}}");
        call.body = text.replace("\"canary\"", &object).into_bytes();
        let answer = server.send(call);
        assert_eq!(answer.status, 400, "{digits}: {}", String::from_utf8_lossy(&answer.body));
        assert_eq!(taken.borrow().len(), 0, "{digits}");
    }
}

#[test]
fn a_statement_is_found_again_in_the_log_with_its_values() {
    let hash = |sql: &str, params: Value| {
        let (mut server, _) = recording();
        server.send(tool("db_query", execute(json!(sql), params)));
        let lines = server.world.log.take();
        let lines = lines.iter().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        let hash = lines.filter_map(|line| line["sql_hash"].as_str().map(str::to_owned)).next_back();
        hash.expect("a hash")
    };
    assert_eq!(hash("SELECT ?", json!([1])), hash("SELECT 1", json!([])), "the log knows the statement that ran");
    assert_ne!(hash("SELECT ?", json!([1])), hash("SELECT ?", json!([2])));
}

#[test]
fn a_bound_statement_is_no_longer_than_a_written_one() {
    let (mut server, taken) = recording();
    let answer =
        server.send(tool("db_query", execute(json!("SELECT ?, ?"), json!(["x".repeat(40_000), "\\".repeat(20_000)]))));
    let error = answer.json()["result"]["structuredContent"]["error"].clone();
    assert_eq!(error["code"], "SQL_REJECTED", "{error}");
    assert!(error["message"].as_str().is_some_and(|text| text.contains("64 KiB")), "{error}");
    assert_eq!(taken.borrow().len(), 0);
}
