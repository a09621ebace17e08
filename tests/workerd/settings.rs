//! Variables as `wrangler.toml` and the dashboard take them: any JSON.

use serde_json::json;

use crate::{
    support::{Call, request},
    worker::{Worker, send},
};

fn list(address: &str) -> Call {
    let mut call = request("2026-07-28", "owner", "tools/list", json!({}));
    call.headers.push(("CF-Connecting-IP".to_owned(), address.to_owned()));
    call
}

#[test]
fn a_variable_may_be_a_number_or_a_table_and_what_is_no_setting_stops_the_server() {
    let state = tempfile::tempdir().expect("a directory");
    let worker = Worker::with_variables(
        state.path(),
        "RATE_LIMIT_PER_MINUTE = 7\nCLUSTER_ALIASES = { prod = \"1379661944646413143\" }",
    );
    let answer = send(&worker.origin, list("192.0.2.1"));
    assert_eq!(answer.status, 200);
    let policy = answer.header("RateLimit-Policy").expect("a policy");
    assert!(policy.starts_with("\"ip\";q=7;"), "{policy}");
    drop(worker);

    // Silently without a list of addresses, everybody would be let in.
    let state = tempfile::tempdir().expect("a directory");
    let worker =
        Worker::with_variables(state.path(), "ALLOWED_IPS = [\"198.51.100.0/24\"]\nRATE_LIMIT_PER_MINUTE = true");
    let answer = send(&worker.origin, list("192.0.2.1"));
    assert_eq!(answer.status, 503);
    let settings = answer.json()["settings"].clone();
    let wrong: Vec<_> = settings.as_array().expect("a list").iter().map(|problem| &problem["setting"]).collect();
    assert_eq!(wrong, ["RATE_LIMIT_PER_MINUTE", "ALLOWED_IPS"]);
}
