//! Variables as `wrangler.toml` and the dashboard take them: any JSON.

use serde_json::json;

use crate::{
    support::{Call, bad_inputs::ACCESS_KEY, keys, oauth::tool_with_token, request},
    worker::{Worker, sandbox, send},
};

fn list(address: &str) -> Call {
    let mut call = request("2026-07-28", "owner", "tools/list", json!({}));
    call.headers.push(("CF-Connecting-IP".to_owned(), address.to_owned()));
    call
}

#[test]
fn a_variable_may_be_a_number_or_a_table_and_what_is_no_setting_stops_the_server() {
    let state = tempfile::tempdir().expect("a directory");
    let worker = Worker::by_wrangler(
        state.path(),
        &sandbox(),
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

#[test]
fn a_misspelt_variable_is_named_and_nothing_else_that_is_bound() {
    let state = tempfile::tempdir().expect("a directory");
    let private = keys("owner").1;
    let variables = format!(
        "TIDB_CLOUD_PUBLIC_KEY = \"SBXOWNER\"\nTIDB_CLOUD_PRIVATE_KEY = \"{private}\"\nMCP_ACCESS_KEY = \"{ACCESS_KEY}\"\n\
         CLUSTER_ALIAS = {{ prod = \"1\" }}\nSQL_TAG = \" \"\nRATE_LIMITS_PER_MINUTE = 7\nOTHER = \"canary\""
    );
    let worker = Worker::with_variables(state.path(), &variables);
    let call = tool_with_token(ACCESS_KEY, "tidbcloud_doctor", json!({})).to("/mcp?toolsets=all");
    let answer = send(&worker.origin, call);
    let told = answer.json()["result"]["structuredContent"].clone();
    let settings = told["settings"].as_array().unwrap_or_else(|| panic!("no settings: {}", answer.json()));
    let misspelt: Vec<_> =
        settings.iter().filter(|found| found["level"] == "misspelt").map(|found| &found["setting"]).collect();
    assert_eq!(
        misspelt,
        ["CLUSTER_ALIAS", "RATE_LIMITS_PER_MINUTE"],
        "blank ones are not set, and objects are no settings"
    );
    let webhook = settings.iter().any(|found| found["setting"] == "ALERT_WEBHOOK_URL" && found["level"] == "missing");
    assert!(webhook, "what is not bound is missing: {told}");
}
