//! One budget for what a call answers, spent while it is read.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::batch;
use crate::{
    support::{Answer, Driver, bad_inputs::tool},
    world::Native,
};

/// Bytes of `structuredContent` that one HTTP request is answered with.
const RESULT_BYTES_MAX: usize = 18_000;
/// What is read of answers: twice the result for each statement, 2 MiB beside it, and the piece in which reading stops.
const READ_BYTES_MAX: usize = (2 << 20) + (64 << 10) + 2 * RESULT_BYTES_MAX + 4_096;

/// A tool's result, which must be within the budget.
fn structured(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    let result = answer.json()["result"].clone();
    let text = result["structuredContent"].to_string();
    assert!(text.len() <= RESULT_BYTES_MAX, "{} bytes: {text:.300}", text.len());
    result["structuredContent"].clone()
}

fn call(server: &mut Native, name: &str, mut arguments: Value) -> Value {
    arguments["cluster"] = json!("shop");
    structured(&server.send(tool(name, arguments)))
}

/// A select of so many columns and rows, with a value in each cell.
fn select(columns: usize, rows: usize, value: &str) -> String {
    let columns: Vec<_> = (1..=columns).map(|at| format!("{value} AS c{at}")).collect();
    format!("SELECT {} FROM shop.orders LIMIT {rows}", columns.join(", "))
}

/// A service whose managed users exist, so that a statement is one request.
fn warm() -> Native {
    let mut server = Native::new();
    call(&mut server, "db_query", json!({"sql": "SELECT 1"}));
    call(&mut server, "db_execute", json!({"sql": ["UPDATE shop.products SET price = 1 WHERE id = 0"]}));
    call(&mut server, "db_execute", json!({"sql": "ANALYZE TABLE shop.products"}));
    server.world.subrequests.borrow_mut().clear();
    server.world.read.set(0);
    server
}

fn statements_sent(server: &Native) -> usize {
    server.world.subrequests.borrow().iter().filter(|target| target.ends_with("/v1beta/sql")).count()
}

#[test]
fn sec_002_twenty_statements_of_many_wide_rows() {
    let mut server = warm();
    let sql = vec![select(100, 400, "'a'"); 20];
    let done = call(&mut server, "db_execute", json!({"sql": sql}));
    let results = done["results"].as_array().expect("results");
    assert_eq!(results.len(), 20);
    for result in results {
        let result = &result["result"];
        assert_eq!(result["truncated"], true, "{result}");
        assert_eq!(result["returned"], json!(result["rows"].as_array().expect("rows").len()));
    }
    // The first are counted to the end; when 2 MiB have been read for that, the rest is not read at all.
    assert_eq!(results[0]["result"]["total"], 400);
    assert_eq!(results[19]["result"].get("total"), None);
    assert!(server.world.read.get() <= READ_BYTES_MAX + 20 * (100_000 + 2 * RESULT_BYTES_MAX));
    assert_eq!(
        statements_sent(&server),
        23,
        "the same statement is planned once, and nothing is sent again for being long"
    );
}

#[test]
fn fld_010_a_statement_that_show_gives_is_whole() {
    let mut server = warm();
    let (one, two) = ("x".repeat(1_024), "y".repeat(1_024));
    let create = format!("CREATE TABLE shop.talkative (a INT COMMENT '{one}', b INT COMMENT '{two}')");
    call(&mut server, "db_execute", json!({"sql": create}));
    let shown = call(&mut server, "db_query", json!({"sql": "SHOW CREATE TABLE shop.talkative"}));
    let text = shown["rows"][0][1].as_str().expect("a statement");
    assert!(text.contains(&one) && text.contains(&two) && text.ends_with(')') | text.contains("ENGINE"), "{text}");
    assert_eq!((&shown["truncated"], &shown["total"]), (&json!(false), &json!(1)));
    // What a query gives can be read in parts, and is cut.
    let queried = call(&mut server, "db_query", json!({"sql": format!("SELECT '{one}{two}{one}' AS c")}));
    assert_eq!(queried["truncated"], true);
    assert!(queried["notice"].as_str().is_some_and(|notice| notice.contains("SUBSTRING")), "{queried}");
}

#[test]
fn fld_012_a_row_of_two_hundred_long_values_is_cut_fairly() {
    let mut server = warm();
    let shown = call(&mut server, "db_query", json!({"sql": select(200, 1, "REPEAT('x', 2000)")}));
    assert_eq!((&shown["truncated"], &shown["returned"], &shown["total"]), (&json!(true), &json!(1), &json!(1)));
    assert_eq!(shown["columns"].as_array().expect("columns").len(), 200);
    let lengths: BTreeSet<_> =
        shown["rows"][0].as_array().expect("a row").iter().map(|value| value.as_str().expect("text").len()).collect();
    assert!(lengths.len() == 1 && lengths.first() > Some(&40), "{lengths:?}");
    // Short values stay whole beside long ones, which share what is left.
    let mixed = "SELECT 7 AS id, 'short' AS name, REPEAT('x', 2000) AS a, REPEAT('y', 60000) AS b";
    let shown = call(&mut server, "db_query", json!({"sql": mixed}));
    assert_eq!((&shown["rows"][0][0], &shown["rows"][0][1]), (&json!("7"), &json!("short")));
    assert_eq!(shown["rows"][0][2].as_str().map(str::len), Some(2_000));
}

#[test]
fn fld_013_four_hundred_tables_are_read_page_by_page() {
    let mut server = warm();
    let name = |number: usize| format!("t_{number:03}_{}", "n".repeat(57));
    call(&mut server, "db_execute", json!({"sql": "CREATE DATABASE wide"}));
    for chunk in (0..400).collect::<Vec<_>>().chunks(20) {
        let sql: Vec<_> = chunk.iter().map(|number| format!("CREATE TABLE wide.{} (id INT)", name(*number))).collect();
        call(&mut server, "db_execute", json!({"sql": sql}));
        server.advance(10);
    }
    let (mut seen, mut token, mut pages) = (Vec::new(), None, 0);
    loop {
        let mut arguments = json!({"database": "wide"});
        if let Some(token) = &token {
            arguments["pageToken"] = json!(token);
        }
        let page = call(&mut server, "show_tables", arguments);
        assert_eq!(page["totalSize"], 400);
        assert_eq!(page["returned"].as_u64().map(|count| count as usize), page["tables"].as_array().map(Vec::len));
        for said in ["nextPageToken", "notice"] {
            assert_eq!(page["truncated"] == true, page.get(said).is_some(), "{said}");
        }
        seen.extend(page["tables"].as_array().expect("tables").iter().map(|name| name.as_str().unwrap().to_owned()));
        pages += 1;
        match page["nextPageToken"].as_str() {
            Some(next) => token = Some(next.to_owned()),
            None => break,
        }
    }
    assert_eq!(seen, (0..400).map(name).collect::<Vec<_>>());
    assert_eq!(pages, 2);
    let page = |server: &mut Native, arguments: Value| call(server, "show_tables", arguments);
    let liked = page(&mut server, json!({"database": "wide", "like": "t\u{5f}39%"}));
    assert_eq!(liked["tables"].as_array().map(Vec::len), Some(10));
    let two = page(&mut server, json!({"database": "wide", "pageSize": 2, "pageToken": "398"}));
    assert_eq!(two["tables"], json!([name(398), name(399)]));
    assert_eq!(two.get("nextPageToken"), None);
    assert_eq!(page(&mut server, json!({"database": "wide", "like": "it's"}))["tables"], json!([]));
    // Where nothing is left to read a page with, that is said: a page without names would lead to itself.
    let long = json!({"cluster": "shop", "sql": "SELECT REPEAT('x', 1000) AS x FROM shop.orders LIMIT 5000"});
    let last = json!({"cluster": "shop", "database": "wide", "pageToken": "350"});
    let answers = server.send(batch([("db_query", long), ("show_tables", last)])).json();
    assert_eq!(answers[1]["result"]["structuredContent"]["error"]["code"], "RESULT_TOO_LARGE", "{answers:.300}");
    for bad in [
        json!({"database": "wide", "like": "a\\"}),
        json!({"database": "wide", "pageToken": "x"}),
        json!({"database": "wide", "pageSize": 0}),
        json!({"database": "wide", "like": "x".repeat(65)}),
    ] {
        assert_eq!(page(&mut server, bad.clone())["error"]["code"], "INVALID_ARGUMENT", "{bad}");
    }
}

#[test]
fn fld_014_twenty_long_answers_share_one_budget() {
    let mut server = warm();
    let sql = vec![select(9, 1, "REPEAT('x', 2000)"); 20];
    let done = call(&mut server, "db_execute", json!({"sql": sql}));
    for result in done["results"].as_array().expect("results") {
        assert_eq!((&result["result"]["returned"], &result["result"]["truncated"]), (&json!(1), &json!(true)));
    }
    // What needs little leaves the rest to those that need much.
    let mut sql = vec!["UPDATE shop.products SET price = price WHERE id = 1".to_owned(); 19];
    sql.push(select(1, 5_000, "'abcdefgh'"));
    let done = call(&mut server, "db_execute", json!({"sql": sql}));
    assert!(done["results"][19]["result"]["returned"].as_u64() > Some(1_000), "{:.300}", done.to_string());
}

#[test]
fn tdb_001_a_long_answer_is_read_as_far_as_it_is_of_use() {
    let long = "SELECT id, REPEAT('x', 1000) AS x FROM shop.orders LIMIT 5000";
    for (name, sql) in
        [("db_query", long.to_owned()), ("db_execute", long.to_owned()), ("db_execute", format!("{long} FOR UPDATE"))]
    {
        let mut server = warm();
        let done = call(&mut server, name, json!({"sql": sql}));
        let shown = if name == "db_query" { &done } else { &done["results"][0]["result"] };
        assert_eq!(shown["truncated"], true, "{done:.300}");
        assert!(shown["returned"].as_u64().is_some_and(|rows| (10..=18).contains(&rows)), "{:.300}", done.to_string());
        assert_eq!(shown.get("total"), None, "5 MB are not read for a number");
        assert!(shown["notice"].as_str().is_some_and(|notice| notice.contains("LIMIT")));
        assert_eq!(statements_sent(&server), 2, "its plan, and the statement");
        assert!(server.world.read.get() <= READ_BYTES_MAX, "{} bytes were read", server.world.read.get());
    }
}

#[test]
fn a_batch_shares_one_budget() {
    let mut server = warm();
    let wide = json!({"cluster": "shop", "sql": select(20, 500, "'abc'")});
    let broken = json!({"cluster": "shop", "sql": format!("SELECT {}", "nothing_of_this_name, ".repeat(2_000))});
    let mut calls = vec![("db_query", wide); 7];
    calls.extend(vec![("db_query", broken); 3]);
    let answer = server.send(batch(calls));
    assert_eq!(answer.status, 200);
    let answers = answer.json();
    let results = answers.as_array().expect("answers").iter().map(|answer| &answer["result"]["structuredContent"]);
    let all: usize = results.clone().map(|result| result.to_string().len()).sum();
    assert!(all <= RESULT_BYTES_MAX + 3 * 100, "{all}");
    assert_eq!(results.filter(|result| result["returned"].as_u64() > Some(3)).count(), 7);
}

#[test]
fn an_error_repeats_no_more_than_a_reader_needs() {
    let mut server = warm();
    let long = "z".repeat(200_000);
    for (name, arguments) in [
        ("tidbcloud_get_cluster", json!({"cluster": long})),
        ("tidbcloud_list_clusters", json!({"pageSize": long})),
        ("tidbcloud_list_clusters", json!({long.as_str(): 1})),
        ("db_create_user", json!({"cluster": "shop", "userName": "reporter", "role": long})),
        ("tidbcloud_update_cluster", json!({"cluster": "shop", "labels": {long.as_str(): 7}})),
        ("db_query", json!({"cluster": "shop", "sql": format!("SELECT `{}`", &long[..60_000])})),
        ("db_query", json!({"cluster": "shop", "sql": format!("SELECT {}", "a_name,".repeat(8_000))})),
    ] {
        let error = structured(&server.send(tool(name, arguments)))["error"].clone();
        let text = error.to_string();
        assert!(error["code"].is_string() && text.len() <= 3_000, "{name}: {} bytes", text.len());
    }
}

fn cells() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "1",
        "NULL",
        "'a'",
        "''",
        "REPEAT('x', 3000)",
        "REPEAT('\"', 700)",
        "1.5e0",
        "0xFF",
        "'é'",
    ])
}

fn statements() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (1..120_usize, 0..400_usize, cells()).prop_map(|(columns, rows, value)| select(columns, rows, value)),
        1 => Just("UPDATE shop.products SET price = price WHERE id = 1".to_owned()),
        1 => Just("SHOW CREATE TABLE shop.orders".to_owned()),
        1 => (1..60_usize).prop_map(|length| format!("SELECT 1 AS `{}`", "n".repeat(length))),
    ]
}

/// Every result is within the budget and says what is missing.
#[test]
fn any_statements_are_answered_within_the_budget() {
    let server = std::cell::RefCell::new(warm());
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(25)
    });
    let several = prop::collection::vec(statements(), 1..8);
    runner
        .run(&several, |sql| {
            let mut server = server.borrow_mut();
            server.advance(10);
            let asked = sql.len();
            let done = call(&mut server, "db_execute", json!({"sql": sql}));
            let results = done["results"].as_array().expect("results");
            prop_assert_eq!(results.len(), asked);
            for result in results.iter().filter_map(|result| result.get("result")) {
                let returned = result["rows"].as_array().map(Vec::len);
                prop_assert_eq!(result["returned"].as_u64(), returned.map(|count| count as u64));
                prop_assert_eq!(&result["truncated"], &json!(result["notice"].is_string()));
                prop_assert!(result["truncated"] == true || result["total"] == result["returned"]);
            }
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}
