//! What `tidbcloud_doctor` tells, to whom, and what it costs.

use mcp_server_tidbcloud::{config::Config, port::LimiterFailure};
use serde_json::{Value, json};

use crate::{
    support::{
        Answer, Call, Driver, REVISIONS,
        bad_inputs::ACCESS_KEY,
        keys,
        oauth::{Flow, Page, Tokens, fields, form, link, parameter, with_token},
        request,
    },
    tidb_cloud_oauth::user_code,
    world::{Native, SANDBOX},
};

const SECRET: &str = "canary-mcp-secret-0123456789abcdef";
const PREVIOUS: &str = "canary-earlier-secret-0123456789abcdef";

/// A call of the doctor by the holder of a key, at an address where it is listed.
fn call() -> Call {
    let mut call = request(REVISIONS[0], "owner", "tools/call", json!({"name": "tidbcloud_doctor", "arguments": {}}));
    call.target = "/mcp?toolsets=all".to_owned();
    call
}

fn diagnosis(answer: &Answer) -> Value {
    let result = answer.json()["result"].clone();
    assert!(result["isError"] != json!(true), "the doctor fails for nobody: {}", answer.json());
    result["structuredContent"].clone()
}

/// An owner's deployment that is not as it should be, with the names of what is set.
fn owned() -> Native {
    let private = keys("owner").1;
    let settings = [
        ("TIDB_CLOUD_SANDBOX", SANDBOX),
        ("TIDB_CLOUD_PUBLIC_KEY", "SBXOWNER"),
        ("TIDB_CLOUD_PRIVATE_KEY", private.as_str()),
        ("MCP_ACCESS_KEY", ACCESS_KEY),
        ("MCP_SECRET", SECRET),
        ("MCP_SECRET_PREVIOUS", PREVIOUS),
        ("ALLOWED_CREDENTIALS", "access-key,keys,oauth"),
        ("ALLOWED_IPS", "0.0.0.0/0, ::/0"),
    ];
    let mut server = Native::with(&settings);
    let read = |name: &str| settings.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    let names = settings.iter().map(|(name, _)| *name).chain(["MCP_ACESS_KEY", "CANARY_OF_ANOTHER_PROGRAM"]);
    let config = Config::read(&read).unwrap_or_else(|problems| panic!("{problems:?}"));
    server.config = Config { names: names.map(str::to_owned).collect(), ..config }.into();
    server.behind("192.0.2.1");
    server
}

#[test]
fn the_access_keys_holder_is_told_what_settings_lack_and_nobody_else_is() {
    let mut server = owned();
    let flow = Flow::new(&mut server);
    let mut token = |typed| {
        let code = flow.code(&mut server, typed);
        Tokens::of(&server.send(form("/token", &flow.redemption(&code)))).access
    };
    let of_owner = token(fields(&[("accessKey", ACCESS_KEY), ("scope", "tidb:read")]));
    let mut shown = String::new();
    for holder in [ACCESS_KEY, &of_owner] {
        let answer = server.send(with_token(call(), holder));
        let told = diagnosis(&answer);
        shown.push_str(&String::from_utf8_lossy(&answer.body));
        let settings = told["settings"].as_array().expect("settings").iter();
        let found: Vec<_> = settings
            .map(|finding| (finding["setting"].as_str().expect("a name"), finding["level"].as_str().expect("a level")))
            .collect();
        let expected = [
            ("ALLOWED_IPS", "unsafe"),
            ("ALLOWED_CREDENTIALS", "unsafe"),
            ("TIDB_CLOUD_SANDBOX", "unsafe"),
            ("ALERT_WEBHOOK_URL", "missing"),
            ("MCP_ACESS_KEY", "misspelt"),
        ];
        assert_eq!(
            found, expected,
            "who holds the access key, or a grant that it allowed, hears all that is to change"
        );
        assert!(told.get("note").is_none(), "and is not told that somebody else would hear more: {told}");
    }
    let answer = server.send(call());
    let told = diagnosis(&answer);
    assert!(
        told.get("settings").is_none(),
        "a key pair is not the access key, even where it is the same as the owner's"
    );
    assert!(told["note"].as_str().is_some_and(|note| note.contains("access key")), "who is told nothing hears who is");
    for name in ["ALLOWED_IPS", "MCP_ACESS_KEY", "ALERT_WEBHOOK_URL"] {
        assert!(!told.to_string().contains(name), "{name} is nobody else's to know: {told}");
    }
    shown.push_str(&String::from_utf8_lossy(&answer.body));

    let mut shared = Native::new();
    let of_person = Flow::new(&mut shared).tokens(&mut shared, "tidb:read").access;
    let told = diagnosis(&shared.send(with_token(call(), &of_person)));
    assert!(told.get("settings").is_none(), "a grant of somebody's own keys is told nothing: {told}");

    shown.push_str(&server.world.log.borrow().concat());
    let private = keys("owner").1;
    for secret in [SECRET, PREVIOUS, ACCESS_KEY, &private, of_owner.as_str(), "0.0.0.0", "CANARY_OF", "SBXOWNER"] {
        assert!(
            !shown.contains(secret),
            "no value, and no name that resembles no setting, is shown or logged: {secret}"
        );
    }
}

/// What is left by the name of the limit, and of the requests to TiDB Cloud.
fn left(told: &Value) -> Vec<(String, Value)> {
    let limits = told["limits"].as_array().expect("limits").iter().chain([&told["keys"][0]["requests"]]);
    limits.map(|limit| (limit["limit"].as_str().expect("a name").to_owned(), limit["left"].clone())).collect()
}

#[test]
fn looking_at_limits_takes_nothing_from_them() {
    let mut server = Native::with(&[("TIDB_CLOUD_SANDBOX", SANDBOX)]);
    let names = ["requests", "calls that change something", "calls that run SQL", "requests to TiDB Cloud"];
    // Of 30 at once and 80 a minute. Each call takes one permit of its own, and one for each request with the key.
    for (number, sent) in [(1, 5), (2, 10), (3, 15)] {
        let answer = server.send(call());
        let expected: Vec<_> = names
            .into_iter()
            .map(str::to_owned)
            .zip([json!(30 - number), json!(20), json!(8), json!(80 - sent)])
            .collect();
        assert_eq!(left(&diagnosis(&answer)), expected, "call {number}");
        let header = answer.header("RateLimit").expect("the limits of the request").to_owned();
        assert!(header.contains(&format!("\"credential\";r={};", 30 - number)), "the header says the same: {header}");
    }
    server.world.limiter_fails.set(Some(LimiterFailure::Unavailable));
    let told = diagnosis(&server.send(call()));
    for limit in told["limits"].as_array().expect("limits").iter().filter(|limit| limit.get("aMinute").is_some()) {
        let note = limit["note"].as_str().unwrap_or_default();
        assert!(limit.get("left").is_none() && note.contains("did not answer"), "nobody guesses what is left: {limit}");
    }
}

#[test]
fn several_organizations_are_a_list_of_keys_and_one_list_of_limits() {
    let mut server = Native::new();
    let set = |who: &str, name: &str| {
        let (public, private) = keys(who);
        fields(&[("publicKey", public), ("privateKey", &private), ("name", name)])
    };
    let flow = Flow::new(&mut server);
    let typed = [set("owner", "shops"), set("other", "labs"), fields(&[("scope", "tidb:read")])].concat();
    let code = flow.code(&mut server, typed);
    let token = Tokens::of(&server.send(form("/token", &flow.redemption(&code)))).access;
    let told = diagnosis(&server.send(with_token(call(), &token)));
    let organizations: Vec<_> =
        told["keys"].as_array().expect("keys").iter().map(|key| (&key["organization"], &key["displayName"])).collect();
    let expected = [(&json!("shops"), &json!("sandbox owner")), (&json!("labs"), &json!("another organization"))];
    assert_eq!(organizations, expected, "each key says whose it is");
    assert_eq!(told["limits"].as_array().map(Vec::len), Some(3), "limits are the caller's: {told}");
    assert!(told["note"].is_string(), "what is said to the caller is said once: {told}");
}

#[test]
fn a_token_of_tidb_cloud_has_no_key_and_says_so() {
    let mut server = Native::with(&[
        ("TIDB_CLOUD_SANDBOX", SANDBOX),
        ("TIDB_CLOUD_OAUTH_CLIENT_ID", "sandbox-client"),
        ("TIDB_CLOUD_OAUTH_CLIENT_SECRET", "sandbox-client-secret-0123456789"),
    ]);
    let flow = Flow::new(&mut server);
    let page = flow.page(&mut server);
    let begun = flow.decide(&mut server, &page, fields(&[("scope", "tidb:read"), ("decision", "tidbcloud")]));
    let waiting = Page { cookie: page.cookie.clone(), ..Page::of(&begun) };
    let yes = json!({"userCode": user_code(&waiting.html), "approve": true, "key": "owner"});
    server.admin("POST", "/_sandbox/device", Some(yes));
    server.advance(10);
    let done = flow.decide(&mut server, &waiting, fields(&[("decision", "poll")]));
    let code = parameter(&link(&done), "code").expect("a code");
    let token = Tokens::of(&server.send(form("/token", &flow.redemption(&code)))).access;
    let told = diagnosis(&server.send(with_token(call(), &token)));
    let key = &told["keys"][0];
    assert!(key["credential"].as_str().is_some_and(|text| text.starts_with("oauth:")), "as in receipts: {key}");
    assert!(key.get("role").is_none() && key["note"].as_str().is_some_and(|note| note.contains("no key")), "{key}");
    assert!(key.get("requests").is_none(), "nobody counts the requests of a token: {key}");
    let planes = key["planes"].as_array().expect("planes");
    assert!(planes.iter().all(|plane| plane["seen"] == "yes"), "what it sees is asked all the same: {key}");
    assert_eq!(key["managedUsers"]["possible"], "unknown", "without a role nobody knows: {key}");
}

#[test]
fn a_diagnosis_takes_ten_requests_and_its_time_at_most() {
    for fault in [
        json!({"match": {"times": 99}, "do": "stale_nonce"}),
        json!({"match": {"times": 99}, "do": "stall", "when": "before"}),
        json!({"match": {"times": 99}, "do": "status", "status": 503}),
        json!({"match": {"times": 99}, "do": "garbage"}),
        json!({"match": {"times": 99}, "do": "drop", "when": "before"}),
    ] {
        let mut server = Native::new();
        server.admin("POST", "/_sandbox/faults", Some(json!({"faults": [fault]})));
        let (began, asked) = (server.world.clock.get(), server.world.asked.borrow().len());
        let told = diagnosis(&server.send(call()));
        let requests = server.world.asked.borrow().len() - asked;
        assert!((1..=10).contains(&requests), "{fault}: {requests} requests were sent");
        let took = server.world.clock.get() - began;
        assert!(took <= 28_000, "{fault}: it took {took} ms");
        for plane in told["keys"][0]["planes"].as_array().expect("planes") {
            assert!(
                plane["seen"] == "unknown" && plane["why"].as_str().is_some_and(|why| !why.is_empty()),
                "{fault}: what failed is shown, and why: {plane}"
            );
        }
    }
}
