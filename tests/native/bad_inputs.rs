//! Every bad input of the table, in this process.

use std::collections::{BTreeMap, BTreeSet};

use mcp_server_tidbcloud::{
    app,
    config::Config,
    port::{LimiterFailure, Port},
};
use serde_json::{Value, json};

use crate::{
    support::{
        Answer, Call, Driver,
        bad_inputs::{ACCESS_KEY, REQUESTS, Row, WIRE, assert_alive, check, list, row, rows, run},
        bad_oauth, keys,
    },
    world::{Native, SANDBOX, block_on},
};

/// Rows that need other settings than the defaults, or a limiter in trouble.
const SETTINGS: &[&str] = &["HTTP-019", "ORIGIN-006", "RATE-001", "RATE-002", "RATE-003", "RATE-005"];

#[test]
fn every_row_is_tested_in_one_place() {
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    let requests = REQUESTS.iter().map(|(id, _)| *id);
    for id in
        requests.chain(SETTINGS.iter().copied()).chain(WIRE.iter().copied()).chain(bad_oauth::ROWS.iter().copied())
    {
        *places.entry(id).or_default() += 1;
    }
    let ids: BTreeSet<&str> = rows().iter().map(|row| row.id).collect();
    for (id, count) in &places {
        assert!(ids.contains(id), "the table has no row {id}");
        assert_eq!(*count, 1, "{id} appears in several places");
    }
    let nowhere: Vec<_> = ids.iter().filter(|id| !places.contains_key(*id)).collect();
    assert!(
        nowhere.is_empty(),
        "rows of tests/cases/bad-inputs.tsv without requests in tests/support/bad_inputs.rs: {nowhere:?}"
    );
}

#[test]
fn every_request_of_the_table() {
    for (id, requests) in REQUESTS {
        let row = row(id);
        for server in run(&row, &requests(), &list(), Native::new) {
            assert_quiet(&row, &server);
        }
    }
}

#[test]
fn every_row_that_needs_a_client_a_person_or_a_token() {
    for id in bad_oauth::ROWS {
        let row = row(id);
        let mut server = Native::new();
        bad_oauth::check(&row, &bad_oauth::ask(id, &mut server));
        assert_quiet(&row, &server);
    }
}

/// The log has one line of JSON for each request, even a bad one, and no line holds a client's text.
fn assert_quiet(row: &Row, server: &Native) {
    let log = server.world.log.borrow();
    assert!(!log.is_empty());
    for line in log.iter() {
        let fields: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{}: {error}: {line}", row.id));
        assert!(fields["request_id"].is_string(), "{}: {line}", row.id);
        // The name of a tool is the program's own word, whatever it is about.
        let mut told = fields.clone();
        told.as_object_mut().expect("an object").remove("tool");
        let told = told.to_string();
        for hidden in [&keys("owner").1, "canary", "evil.example", "<script", "api_key", "access_token", "nope"] {
            assert!(!told.contains(hidden), "{} left {hidden} in the log: {line}", row.id);
        }
        assert!(line.len() < 1_000, "{}: {line}", row.id);
    }
}

/// On the owner's own deployment the right access key opens the door, so that a wrong one is all that keeps it shut.
#[test]
fn credentials_where_one_would_do() {
    let settings = [
        ("TIDB_CLOUD_SANDBOX", SANDBOX),
        ("TIDB_CLOUD_PUBLIC_KEY", "SBXOWNER"),
        ("TIDB_CLOUD_PRIVATE_KEY", &keys("owner").1),
        ("MCP_ACCESS_KEY", ACCESS_KEY),
    ];
    let valid = list()
        .without("X-TiDB-API-Public-Key")
        .without("X-TiDB-API-Private-Key")
        .set("Authorization", &format!("Bearer {ACCESS_KEY}"));
    let mut tested = 0;
    for (id, requests) in
        REQUESTS.iter().filter(|(id, _)| ["AUTH-003", "AUTH-010", "AUTH-011", "AUTH-012"].contains(id))
    {
        run(&row(id), &requests(), &valid, || Native::with(&settings));
        tested += 1;
    }
    assert_eq!(tested, 4);
}

#[test]
fn rows_that_need_other_settings_or_a_limiter_in_trouble() {
    for id in SETTINGS {
        let row = row(id);
        match *id {
            "HTTP-019" => not_ready(&row),
            "ORIGIN-006" => {
                let settings = [("TIDB_CLOUD_SANDBOX", SANDBOX), ("ALLOWED_ORIGINS", "https://claude.ai")];
                let call = list().set("Origin", "HTTPS://CLAUDE.AI");
                let answer = Native::with(&settings).send(call.clone());
                check(&row, &call, &answer);
                assert_eq!(answer.header("Access-Control-Allow-Origin"), Some("HTTPS://CLAUDE.AI"));
            }
            "RATE-001" => flood(&row, |_| list()),
            "RATE-002" => {
                let mut server = Native::new();
                server.world.limiter_fails.set(Some(LimiterFailure::Overloaded));
                check(&row, &list(), &server.send(list()));
                assert!(!server.body_read.get());
                server.advance(10);
                server.world.limiter_fails.set(None);
                assert_alive(&row, &server.send(list()));
            }
            "RATE-003" => {
                let mut server = Native::new();
                server.world.limiter_fails.set(Some(LimiterFailure::Unavailable));
                check(&row, &list(), &server.send(list()));
                let log = server.world.log.borrow();
                let says_so = |line: &String| {
                    line.contains("\"rate_limit_degraded\":true") || line.contains("\"event\":\"ratelimit_degraded\"")
                };
                assert!(log.iter().all(says_so), "{log:?}");
            }
            "RATE-005" => flood(&row, |number| list().set("X-Forwarded-For", &format!("198.51.100.{number}"))),
            _ => panic!("{id} has no test"),
        }
    }
}

/// The 101st request of a burst is the one the row is about.
fn flood(row: &Row, request: impl Fn(usize) -> Call) {
    let mut server = Native::new();
    for number in 0..100 {
        assert_alive(row, &server.send(request(number)));
    }
    check(row, &request(100), &server.send(request(100)));
    assert!(!server.body_read.get());
    server.advance(1);
    assert_alive(row, &server.send(list()));
}

fn not_ready(row: &Row) {
    let wrong = [("RATE_LIMIT_PER_MINUTE", "canary-0"), ("MCP_ACCESS_KEY", "canary"), ("MCP_SECRET", "canary")];
    let read = |name: &str| wrong.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    let problems = Config::read(&read).err().expect("problems");
    let server = Native::new();
    let misconfigured = |target: &str| {
        let call = Call { method: "GET".to_owned(), target: target.to_owned(), ..Call::default() };
        let response = block_on(app::misconfigured(&problems, None, &server.head(&call), Port::of(&*server.world)));
        (call, Answer::from(response))
    };
    let (call, answer) = misconfigured("/readyz");
    check(row, &call, &answer);
    let named =
        ["RATE_LIMIT_PER_MINUTE", "MCP_ACCESS_KEY", "MCP_SECRET", "TIDB_CLOUD_PUBLIC_KEY", "TIDB_CLOUD_PRIVATE_KEY"];
    let settings = answer.json()["settings"].clone();
    for name in named {
        let is_it = |setting: &Value| setting["setting"] == json!(name);
        assert!(settings.as_array().expect("settings").iter().any(is_it), "{name} is not in {settings}");
    }
    assert!(answer.header("Retry-After").is_some());
    // The process lives all the same, and the protocol is as unavailable as everything else.
    assert_eq!(misconfigured("/livez").1.status, 200);
    assert_eq!(misconfigured("/mcp").1.status, 503);
    let log = server.world.log.borrow();
    assert_eq!(log.len(), 3);
    assert!(log.iter().all(|line| !line.contains("canary")));
}
