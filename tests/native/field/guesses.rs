//! The cost of guessing keys, and the callers that it must never cost anything.

use std::collections::BTreeMap;

use mcp_server_tidbcloud::{app::Isolate, base::clock::UnixMillis, config::Config, port::LimiterFailure};
use proptest::prelude::*;
use serde_json::{Value, json};
use tidbcloud_sandbox::control::{SHOP_CLUSTER_ID, SHOP_USER_PREFIX};

use crate::{
    support::{
        Answer, Call, Driver,
        bad_inputs::{ACCESS_KEY, list},
        key_headers, keys,
        oauth::{Flow, Page, browser_form, fields, get, list_clusters, with},
        request,
    },
    world::{Native, SANDBOX},
};

/// A call that needs the key, from somebody who knows the owner's public key and has this for the private one.
fn regions(private: &str) -> Call {
    let call = request("2026-07-28", "owner", "tools/call", json!({"name": "tidbcloud_list_regions"}));
    call.set("X-TiDB-API-Private-Key", private)
}

fn wrong(number: usize) -> String {
    format!("canary-wrong-private-key-{number}")
}

/// A batch of 2025-03-26: so many calls that need the key, and after them one that does not.
fn batch(private: &str, calls: usize) -> Call {
    let one =
        |id| json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": "tidbcloud_list_regions"}});
    let mut all: Vec<Value> = (0..calls).map(one).collect();
    if calls < 10 {
        all.push(json!({"jsonrpc": "2.0", "id": "harmless", "method": "ping"}));
    }
    let body = Value::Array(all).to_string().into_bytes();
    let call = Call { method: "POST".to_owned(), target: "/mcp".to_owned(), headers: key_headers("owner"), body };
    call.set("X-TiDB-API-Private-Key", private)
}

/// What came of each call of an answer: `ok`, the code of its error, or the status where there was none.
fn outcomes(answer: &Answer) -> Vec<String> {
    if answer.status != 200 {
        return vec![answer.status.to_string()];
    }
    let body = answer.json();
    let all = body.as_array().cloned().unwrap_or_else(|| vec![body]);
    let code = |one: &Value| one["result"]["structuredContent"]["error"]["code"].as_str().unwrap_or("ok").to_owned();
    all.iter().map(code).collect()
}

/// How often a key was shown to TiDB Cloud since the last time.
fn shown(server: &Native) -> usize {
    server.world.sent.take().iter().filter(|(_, what)| what.contains("Digest username")).count()
}

fn send_from(server: &mut Native, address: &str, call: Call) -> Vec<String> {
    server.behind(address);
    outcomes(&server.send(call))
}

fn address(number: usize) -> String {
    format!("192.0.2.{number}")
}

const REFUSED: &str = "UNAUTHENTICATED_UPSTREAM";
const HELD: &str = "429";

/// Here a sandbox stands for TiDB Cloud, whose console knows nothing of its keys.
#[test]
fn keys_that_a_sandbox_refuses_send_nobody_to_the_console() {
    let mut server = Native::new();
    let answer = server.send(regions(&wrong(1))).json();
    let error = &answer["result"]["structuredContent"]["error"];
    assert_eq!(error["code"], REFUSED);
    let hint = error["hint"].as_str().expect("a hint");
    assert!(hint.contains("cargo xtask dev") && !hint.contains("console"), "{hint}");
}

#[test]
fn sec_005_each_refused_exchange_counts_for_the_key_whatever_else_is_in_the_batch() {
    let mut server = Native::new();
    for number in 0..30 {
        let said = send_from(&mut server, &address(number), batch(&wrong(number), 1));
        assert_eq!(said, [REFUSED, "ok"], "address {number}");
    }
    assert_eq!(shown(&server), 30);
    for isolate in ["the same", "a fresh"] {
        for call in [batch(&wrong(99), 1), regions(&wrong(99)), regions(&keys("owner").1)] {
            assert_eq!(send_from(&mut server, "198.51.100.1", call), [HELD], "{isolate} isolate");
        }
        server.isolate = Isolate::new();
    }
    assert_eq!(shown(&server), 0, "thirty a minute, and not one more");
    // Other public keys are not concerned.
    let viewer = request("2026-07-28", "viewer", "tools/call", json!({"name": "tidbcloud_list_regions"}));
    assert_eq!(send_from(&mut server, "198.51.100.1", viewer), ["ok"]);
    server.advance(60);
    assert_eq!(send_from(&mut server, "198.51.100.1", regions(&wrong(99))), [REFUSED]);
}

#[test]
fn sec_005_what_a_batch_has_left_is_not_sent_once_the_limit_is_reached() {
    let mut server = Native::new();
    let said = send_from(&mut server, "192.0.2.1", batch(&wrong(1), 10));
    assert_eq!(said, [vec![REFUSED; 5], vec!["RATE_LIMITED"; 5]].concat());
    assert_eq!(shown(&server), 5);
    server.isolate = Isolate::new();
    assert_eq!(send_from(&mut server, "192.0.2.1", regions(&wrong(2))), [HELD]);
    // Another address has five of its own; siblings in a /64 are one address.
    assert_eq!(send_from(&mut server, "2001:db8::1", batch(&wrong(3), 3)), [REFUSED, REFUSED, REFUSED, "ok"]);
    server.isolate = Isolate::new();
    let said = send_from(&mut server, "2001:db8::2", batch(&wrong(3), 3));
    assert_eq!(said, [REFUSED, REFUSED, "RATE_LIMITED", "ok"]);
    assert_eq!(shown(&server), 5);
}

/// The control plane's failures, and its answers that are about something else than the key.
#[test]
fn sec_006_nothing_but_a_refusal_of_the_key_counts_as_one() {
    let status = |status: u16| json!({"do": "status", "status": status});
    let challenge = r#"Basic realm="gateway""#;
    for fault in [
        status(400),
        status(403),
        status(404),
        status(409),
        status(429),
        status(431),
        status(500),
        status(502),
        status(503),
        status(302),
        json!({"do": "status", "status": 401, "headers": {"WWW-Authenticate": challenge}}),
        json!({"do": "rate_limit"}),
        json!({"do": "stale_nonce"}),
        json!({"do": "garbage"}),
        json!({"do": "truncate", "bytes": 5}),
        json!({"do": "drop", "when": "before"}),
        json!({"do": "drop", "when": "after"}),
        json!({"do": "delay", "millis": 9_000}),
    ] {
        let mut server = Native::new();
        let mut scripted = fault.clone();
        scripted["match"] = json!({"path": "/v1beta1/regions", "times": 1_000});
        for number in 0..7 {
            server.admin("POST", "/_sandbox/faults", Some(json!({"faults": [scripted]})));
            let said = send_from(&mut server, "192.0.2.1", regions(&keys("owner").1));
            assert_ne!(said, [REFUSED], "{fault}");
            assert_ne!(said, [HELD], "{fault}, call {number}");
            server.admin("DELETE", "/_sandbox/faults", None);
            server.isolate = Isolate::new();
        }
        // All five refusals are left.
        let said = send_from(&mut server, "192.0.2.1", batch(&wrong(1), 9));
        assert_eq!(said.iter().filter(|said| *said == REFUSED).count(), 5, "{fault}: {said:?}");
    }
}

fn query(login: Option<(&str, &str)>) -> Call {
    let arguments = json!({"cluster": SHOP_CLUSTER_ID, "sql": "SELECT 1"});
    let call = request("2026-07-28", "owner", "tools/call", json!({"name": "db_query", "arguments": arguments}));
    match login {
        Some((user, password)) => call.and("X-TiDB-SQL-User", user).and("X-TiDB-SQL-Secret", password),
        None => call,
    }
}

#[test]
fn sec_006_a_wrong_sql_password_is_no_wrong_api_key() {
    let mut server = Native::new();
    let user = format!("{SHOP_USER_PREFIX}.reader");
    for number in 0..6 {
        let said = send_from(&mut server, "192.0.2.1", query(Some((&user, &wrong(number)))));
        assert_eq!(said, [REFUSED], "the database's own refusal has the same code");
    }
    assert_eq!(send_from(&mut server, "192.0.2.1", query(None)), ["ok"]);
    server.isolate = Isolate::new();
    assert_eq!(send_from(&mut server, "192.0.2.1", query(None)), ["ok"]);
}

/// Ten times the limit over all addresses, of which the last few fail.
fn flood(server: &mut Native, round: usize) {
    for number in 0..50 {
        send_from(server, &format!("203.0.113.{number}"), regions(&wrong(round * 100 + number)));
    }
    assert_eq!(send_from(server, "203.0.113.200", regions(&wrong(round * 100 + 50))), [HELD]);
}

#[test]
fn sec_007_a_pair_that_was_taken_is_not_held_up_by_refusals_of_others() {
    let mut server = Native::new();
    let right = keys("owner").1;
    assert_eq!(send_from(&mut server, "192.0.2.1", regions(&right)), ["ok"]);
    for number in 0..6 {
        assert_eq!(send_from(&mut server, &address(10 + number), regions(&wrong(number))), [REFUSED]);
    }
    assert_eq!(send_from(&mut server, "192.0.2.2", regions(&right)), ["ok"], "the same isolate");
    server.isolate = Isolate::new();
    assert_eq!(send_from(&mut server, "192.0.2.3", regions(&right)), ["ok"], "a fresh isolate");

    // The same with the limit over all addresses reached, up to the thirtieth day after the pair was taken last.
    for (round, days) in [0, 1, 30, 30].into_iter().enumerate() {
        server.advance(days * 86_400);
        server.isolate = Isolate::new();
        flood(&mut server, round);
        assert_eq!(send_from(&mut server, "192.0.2.4", regions(&right)), ["ok"], "round {round}");
        server.isolate = Isolate::new();
        assert_eq!(send_from(&mut server, "192.0.2.5", batch(&right, 3)), ["ok"; 4], "round {round}");
        server.world.limiter_fails.set(Some(LimiterFailure::Unavailable));
        server.isolate = Isolate::new();
        assert_eq!(send_from(&mut server, "192.0.2.5", regions(&right)), ["ok"], "without the limiter, round {round}");
        server.world.limiter_fails.set(None);
        // Its owner connects anew and sees the grants, which is the same guard.
        let flow = Flow::new(&mut server);
        flow.tokens(&mut server, "tidb:read");
        let (public, private) = keys("owner");
        let proof = fields(&[("publicKey", public), ("privateKey", &private)]);
        assert_eq!(server.send(browser_form(&flow.origin, "/grants", "", &proof)).status, 200);
    }
    server.advance(32 * 86_400);
    server.isolate = Isolate::new();
    flood(&mut server, 9);
    assert_eq!(send_from(&mut server, "192.0.2.6", regions(&right)), [HELD], "30 days are over");
}

/// What `docs/security.md` says can be done to somebody whose pair was never used here.
#[test]
fn sec_007_a_pair_never_used_here_can_be_held_off_by_many_addresses() {
    let mut server = Native::new();
    flood(&mut server, 0);
    assert_eq!(send_from(&mut server, "192.0.2.1", regions(&keys("owner").1)), [HELD]);
    let (public, private) = keys("owner");
    let proof = fields(&[("publicKey", public), ("privateKey", &private)]);
    let origin = server.origin();
    let refused = server.send(browser_form(&origin, "/grants", "", &proof));
    assert_eq!((refused.status, refused.header("Retry-After")), (429, Some("60")));
    server.advance(60);
    assert_eq!(send_from(&mut server, "192.0.2.1", regions(&keys("owner").1)), ["ok"]);
}

const SECRET_ONE: &str = "canary-mcp-secret-one-0123456789abcdef";
const SECRET_TWO: &str = "canary-mcp-secret-two-0123456789abcdef";

/// The same storage, with other server secrets.
fn redeploy(server: &mut Native, secrets: &[(&str, &str)]) {
    let settings = [&[("TIDB_CLOUD_SANDBOX", SANDBOX)], secrets].concat();
    let read = |name: &str| settings.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    server.config = Config::read(&read).unwrap_or_else(|problems| panic!("{problems:?}")).into();
    server.isolate = Isolate::new();
}

#[test]
fn sec_007_a_pair_stays_known_when_the_server_secret_is_replaced() {
    let mut server = Native::new();
    let right = keys("owner").1;
    redeploy(&mut server, &[("MCP_SECRET", SECRET_ONE)]);
    assert_eq!(send_from(&mut server, "192.0.2.1", regions(&right)), ["ok"]);
    redeploy(&mut server, &[("MCP_SECRET", SECRET_TWO), ("MCP_SECRET_PREVIOUS", SECRET_ONE)]);
    flood(&mut server, 0);
    assert_eq!(send_from(&mut server, "192.0.2.2", regions(&right)), ["ok"]);
    // From then on it is known under the new secret alone.
    redeploy(&mut server, &[("MCP_SECRET", SECRET_TWO)]);
    assert_eq!(send_from(&mut server, "203.0.113.200", regions(&wrong(1))), [HELD]);
    assert_eq!(send_from(&mut server, "192.0.2.3", regions(&right)), ["ok"]);
}

/// A key that is deleted at TiDB Cloud: the sandbox deletes none, so it is made to refuse one.
fn delete_key(server: &mut Native) {
    let challenge = r#"Digest realm="tidb.cloud", nonce="canary", qop="auth", algorithm=MD5"#;
    let fault = json!({"match": {"path": "/v1beta1/", "times": 1_000}, "do": "status", "status": 401,
        "headers": {"WWW-Authenticate": challenge}});
    server.admin("POST", "/_sandbox/faults", Some(json!({"faults": [fault]})));
}

#[test]
fn sec_007_a_refusal_of_the_pair_itself_ends_its_privilege() {
    let mut server = Native::new();
    let right = keys("owner").1;
    assert_eq!(send_from(&mut server, "192.0.2.1", regions(&right)), ["ok"]);
    flood(&mut server, 0);
    delete_key(&mut server);
    server.isolate = Isolate::new();
    assert_eq!(send_from(&mut server, "192.0.2.1", regions(&right)), [REFUSED]);
    assert_eq!(send_from(&mut server, "192.0.2.1", regions(&right)), [HELD], "this isolate forgot it");
    server.isolate = Isolate::new();
    assert_eq!(send_from(&mut server, "192.0.2.1", regions(&right)), [HELD], "and so did its object");
    server.advance(60);
    let said = send_from(&mut server, "192.0.2.1", batch(&right, 7));
    assert_eq!(said.iter().filter(|said| *said == REFUSED).count(), 5, "{said:?}");
}

#[test]
fn sec_007_a_refusal_ends_it_under_earlier_server_secrets_as_well() {
    let mut server = Native::new();
    let right = keys("owner").1;
    redeploy(&mut server, &[("MCP_SECRET", SECRET_ONE)]);
    assert_eq!(send_from(&mut server, "192.0.2.1", regions(&right)), ["ok"]);
    redeploy(&mut server, &[("MCP_SECRET", SECRET_TWO), ("MCP_SECRET_PREVIOUS", SECRET_ONE)]);
    flood(&mut server, 0);
    delete_key(&mut server);
    for said in [REFUSED, HELD, HELD] {
        server.isolate = Isolate::new();
        assert_eq!(send_from(&mut server, "192.0.2.1", regions(&right)), [said]);
    }
}

/// Nobody chooses a key by having a grant, so a grant of a deleted key is no way to hold others off.
#[test]
fn sec_007_a_grant_of_a_deleted_key_keeps_nobody_from_trying_it() {
    let mut server = Native::new();
    let flow = Flow::new(&mut server);
    let tokens = flow.tokens(&mut server, "tidb:read");
    delete_key(&mut server);
    for _ in 0..20 {
        server.behind("192.0.2.66");
        assert_eq!(outcomes(&server.send(list_clusters(&tokens.access))), [REFUSED]);
        server.isolate = Isolate::new();
    }
    server.admin("DELETE", "/_sandbox/faults", None);
    assert_eq!(send_from(&mut server, "192.0.2.66", batch(&wrong(1), 1)), [REFUSED, "ok"]);
    assert_eq!(send_from(&mut server, "192.0.2.66", regions(&keys("owner").1)), ["ok"]);
}

/// A grant that is used every day keeps its key known, although nobody sends the key itself.
#[test]
fn sec_007_a_pair_that_only_a_grant_uses_stays_known() {
    let mut server = Native::new();
    let flow = Flow::new(&mut server);
    let mut tokens = flow.tokens(&mut server, "tidb:read");
    for _ in 0..2 {
        server.advance(20 * 86_400);
        server.isolate = Isolate::new();
        tokens = crate::support::oauth::Tokens::of(
            &server.send(crate::support::oauth::form("/token", &flow.refreshing(&tokens.refresh))),
        );
        assert_eq!(outcomes(&server.send(list_clusters(&tokens.access))), ["ok"]);
    }
    server.isolate = Isolate::new();
    flood(&mut server, 0);
    assert_eq!(send_from(&mut server, "192.0.2.1", regions(&keys("owner").1)), ["ok"]);
}

/// What a pair costs in calls to Durable Objects, beside the limits per address and per credential.
#[test]
fn sec_007_a_pair_that_is_known_costs_no_call_and_one_that_is_new_few() {
    let asked = |server: &Native| {
        let all = server.world.subrequests.take();
        all.into_iter().filter(|name| name.starts_with("key:") || name.starts_with("new-pairs:")).count()
    };
    let mut server = Native::new();
    let right = keys("owner").1;
    for (calls, situation) in [(4, "never used here"), (0, "known to the isolate"), (0, "known to the isolate")] {
        assert_eq!(send_from(&mut server, "192.0.2.1", regions(&right)), ["ok"]);
        assert_eq!(asked(&server), calls, "{situation}");
    }
    server.isolate = Isolate::new();
    let before = server.world.objects.borrow().clone();
    for (calls, situation) in [(2, "known to its object"), (0, "known to the isolate")] {
        assert_eq!(send_from(&mut server, "192.0.2.1", batch(&right, 9)), ["ok"; 10]);
        assert_eq!(asked(&server), calls, "{situation}");
    }
    assert_eq!(*server.world.objects.borrow(), before, "nothing was written");
    // Made-up public keys leave nothing for longer than a minute.
    for number in 0..20 {
        let call = regions(&right).set("X-TiDB-API-Public-Key", &format!("MADEUP{number:02}"));
        assert_eq!(send_from(&mut server, "192.0.2.1", call), [REFUSED]);
        assert_eq!(asked(&server), 3);
    }
    let now = server.world.clock.get();
    for (name, stored) in server.world.objects.borrow().iter().filter(|(name, _)| !before.contains_key(*name)) {
        let stored: mcp_server_tidbcloud::store::object::Stored = serde_json::from_str(stored).expect("JSON");
        assert_eq!(stored.at(UnixMillis(now + 60_000)), None, "{name}");
    }
}

fn owner() -> Native {
    let private = keys("owner").1;
    Native::with(&[
        ("TIDB_CLOUD_SANDBOX", SANDBOX),
        ("TIDB_CLOUD_PUBLIC_KEY", "SBXOWNER"),
        ("TIDB_CLOUD_PRIVATE_KEY", &private),
        ("MCP_ACCESS_KEY", ACCESS_KEY),
    ])
}

fn with_authorization(value: &str) -> Call {
    let call = request("2026-07-28", "owner", "tools/list", json!({}));
    call.without("X-TiDB-API-Public-Key").without("X-TiDB-API-Private-Key").and("Authorization", value)
}

/// 401s among so many answers, and 429s; there is nothing else.
fn tally(server: &mut Native, times: usize, call: impl Fn(usize) -> Call) -> (usize, usize) {
    let statuses: Vec<u16> = (0..times).map(|number| server.send(call(number)).status).collect();
    let count = |wanted| statuses.iter().filter(|status| **status == wanted).count();
    assert_eq!(count(401) + count(429), times, "{statuses:?}");
    (count(401), count(429))
}

#[test]
fn sec_018_wrong_access_keys_meet_a_limit_and_the_right_one_does_not() {
    let mut server = owner();
    server.behind("192.0.2.66");
    let guess = |number: usize| with_authorization(&format!("Bearer canary-access-key-that-is-wrong-{number:08}"));
    assert_eq!(tally(&mut server, 300, guess), (30, 270));
    let refused = server.send(guess(1));
    assert_eq!(refused.json()["error"]["data"]["code"], json!("RATE_LIMITED"));
    assert!(refused.header("Retry-After").is_some());
    let limiter = server.world.subrequests.take().iter().filter(|name| name.starts_with("wrong-credentials:")).count();
    assert_eq!(limiter, 3, "one call for ten that were wrong");
    // Who has the key goes on, from the same address as from any other; so does the first mistake of others.
    let right = with_authorization(&format!("Bearer {ACCESS_KEY}"));
    assert_eq!(server.send(right.clone()).status, 200);
    // In other isolates what the limiter was told holds as well: nine are lost to each.
    for _ in 0..3 {
        server.isolate = Isolate::new();
        assert_eq!(tally(&mut server, 50, guess), (9, 41));
        assert_eq!(server.send(right.clone()).status, 200);
    }
    server.behind("192.0.2.67");
    assert_eq!(server.send(guess(1)).status, 401);
    server.behind("192.0.2.66");
    server.advance(60);
    assert_eq!(tally(&mut server, 20, guess), (20, 0));
}

/// Invalid credentials of every kind, on deployments of every kind.
#[test]
fn sec_018_every_credential_that_opens_nothing_is_a_guess() {
    let made_up = |number: usize| format!("tdb_at_v1.{number:022}.{}", "A".repeat(43));
    type Guess = Box<dyn Fn(usize) -> Call>;
    let guesses: [(&str, Guess); 6] = [
        ("bearer", Box::new(|number| with_authorization(&format!("Bearer canary-wrong-{number}")))),
        ("token of our form", Box::new(move |number| with_authorization(&format!("Bearer {}", made_up(number))))),
        ("Basic", Box::new(|number| with_authorization(&format!("Basic Y2FuYXJ5{number:04}")))),
        ("no scheme", Box::new(|number| with_authorization(&format!("canary-{number}")))),
        ("too long", Box::new(|number| with_authorization(&format!("Bearer {number}{}", "x".repeat(600))))),
        ("half a pair", Box::new(|number| regions(&wrong(number)).without("X-TiDB-API-Public-Key"))),
    ];
    for deployment in [owner, Native::new] {
        for (kind, guess) in &guesses {
            let mut server = deployment();
            server.behind("192.0.2.66");
            let (unauthenticated, limited) = tally(&mut server, 90, guess);
            assert_eq!((unauthenticated, limited), (30, 60), "{kind}");
            // The isolate's first question for its secret, and one call for ten.
            let asked = server.world.subrequests.take();
            let limiter = asked.iter().filter(|name| name.starts_with("wrong-credentials:")).count();
            assert!(limiter == 3 && asked.len() <= 4, "{kind}: {asked:?}");
            // Together they have one limit.
            assert_eq!(server.send(with_authorization("Bearer canary-other")).status, 429, "{kind}");
        }
    }
}

#[test]
fn sec_018_who_offers_nothing_is_told_how_to_get_in_and_costs_nothing() {
    for mut server in [owner(), Native::new()] {
        server.behind("192.0.2.66");
        let nothing = |_| with_authorization("").without("Authorization");
        assert_eq!(tally(&mut server, 300, nothing), (300, 0));
        assert_eq!(server.world.subrequests.take(), Vec::<String>::new());
        // Nine wrong ones cost no call each, and none when the limiter does not answer.
        server.world.limiter_fails.set(Some(LimiterFailure::Unavailable));
        let guess = |number: usize| with_authorization(&format!("Bearer canary-wrong-{number}"));
        assert_eq!(tally(&mut server, 9, guess), (9, 0));
        assert_eq!(server.world.subrequests.take(), Vec::<String>::new());
        assert_eq!(tally(&mut server, 291, guess), (21, 270), "then the isolate's own count is the limit");
    }
}

/// A client with a token that ended has to see the 401, or it would never refresh.
#[test]
fn sec_018_a_token_that_ended_is_told_so_whatever_strangers_send_from_its_address() {
    let mut server = Native::new();
    let flow = Flow::new(&mut server);
    let tokens = flow.tokens(&mut server, "tidb:read");
    server.behind("192.0.2.66");
    assert_eq!(tally(&mut server, 60, |_| with_authorization("Bearer canary-wrong")), (30, 30));
    assert_eq!(server.send(list_clusters(&tokens.access)).status, 200);
    server.advance(3_601);
    tally(&mut server, 60, |_| with_authorization("Bearer canary-wrong"));
    assert_eq!(server.send(list_clusters(&tokens.access)).status, 401);
}

#[test]
fn sec_018_the_access_key_typed_on_a_page_has_a_limit_that_its_owner_does_not_meet() {
    let mut server = owner();
    let origin = server.origin();
    let prove = |key: &str| browser_form(&origin, "/grants", "", &fields(&[("accessKey", key)]));
    server.behind("192.0.2.66");
    let statuses: Vec<u16> = (0..12).map(|number| server.send(prove(&wrong(number))).status).collect();
    assert_eq!(statuses, [[400; 10].as_slice(), &[429, 429]].concat());
    assert_eq!(server.send(prove(ACCESS_KEY)).status, 200);
    let flow = Flow::new(&mut server);
    let page = Page::of(&server.send(get(&format!("/authorize?{}", crate::support::oauth::encode(&flow.request())))));
    let typed = |key: &str| with(fields(&[("scope", "tidb:read")]), "accessKey", key);
    assert_eq!(flow.decide(&mut server, &page, typed(&wrong(1))).status, 429);
    assert_eq!(flow.decide(&mut server, &page, typed(ACCESS_KEY)).status, 200);
}

/// One thing that happens.
#[derive(Clone, Debug)]
enum Event {
    /// A wrong pair from an address.
    Wrong { from: usize, pair: usize },
    /// The right one.
    Right { from: usize },
    /// Several calls with a wrong pair in one request.
    Batch { from: usize, pair: usize, calls: usize },
    /// The right pair, with a SQL password that is wrong.
    SqlPassword { from: usize },
    /// The right pair while TiDB Cloud fails.
    Outage { from: usize },
    /// Seconds pass.
    Wait(u64),
    /// Another isolate takes over.
    FreshIsolate,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let from = || 0..9_usize;
    let event = prop_oneof![
        6 => (from(), 0..50_usize).prop_map(|(from, pair)| Event::Wrong { from, pair }),
        2 => from().prop_map(|from| Event::Right { from }),
        4 => (from(), 0..50_usize, 1..10_usize).prop_map(|(from, pair, calls)| Event::Batch { from, pair, calls }),
        1 => from().prop_map(|from| Event::SqlPassword { from }),
        1 => from().prop_map(|from| Event::Outage { from }),
        2 => (1..40_u64).prop_map(Event::Wait),
        3 => Just(Event::FreshIsolate),
    ];
    prop::collection::vec(event, 1..60)
}

/// The invariants, written down without any of the mechanism.
#[derive(Default)]
struct Model {
    /// When TiDB Cloud refused a pair, by address, in seconds.
    refusals: BTreeMap<usize, Vec<u64>>,
    /// Whether it took the right one.
    taken: bool,
}

impl Model {
    fn left(&self, from: usize, now: u64) -> usize {
        let lately = |times: &Vec<u64>| times.iter().filter(|at| **at + 60 > now).count();
        let own = self.refusals.get(&from).map_or(0, lately);
        (5 - own).min(30 - self.refusals.values().map(lately).sum::<usize>())
    }

    /// What so many calls with a wrong pair come to.
    fn wrong(&mut self, from: usize, calls: usize, now: u64) -> Vec<&'static str> {
        let left = self.left(from, now);
        if left == 0 {
            return vec![HELD];
        }
        let refused = left.min(calls);
        self.refusals.entry(from).or_default().extend(vec![now; refused]);
        [vec![REFUSED; refused], vec!["RATE_LIMITED"; calls - refused]].concat()
    }

    /// What a call with the right pair comes to, if TiDB Cloud answers so.
    fn right(&mut self, from: usize, now: u64, said: &'static str) -> Vec<&'static str> {
        if !self.taken && self.left(from, now) == 0 {
            return vec![HELD];
        }
        vec![said]
    }
}

fn happen(server: &mut Native, model: &mut Model, event: &Event, now: u64) -> (Vec<String>, Vec<&'static str>) {
    let right = keys("owner").1;
    match event {
        Event::Wrong { from, pair } => {
            (send_from(server, &address(*from), regions(&wrong(*pair))), model.wrong(*from, 1, now))
        }
        Event::Batch { from, pair, calls } => {
            let said = send_from(server, &address(*from), batch(&wrong(*pair), *calls));
            let mut expected = model.wrong(*from, *calls, now);
            if expected != [HELD] {
                expected.push("ok");
            }
            (said, expected)
        }
        Event::Right { from } => {
            let expected = model.right(*from, now, "ok");
            model.taken |= expected == ["ok"];
            (send_from(server, &address(*from), regions(&right)), expected)
        }
        Event::SqlPassword { from } => {
            let expected = model.right(*from, now, REFUSED);
            // The cluster was read with the key before the database refused the user.
            model.taken |= expected == [REFUSED];
            let login = format!("{SHOP_USER_PREFIX}.reader");
            (send_from(server, &address(*from), query(Some((&login, "canary-wrong")))), expected)
        }
        Event::Outage { from } => {
            let fault = json!({"match": {"path": "/v1beta1/regions", "times": 9}, "do": "status", "status": 501});
            server.admin("POST", "/_sandbox/faults", Some(json!({"faults": [fault]})));
            let said = send_from(server, &address(*from), regions(&right));
            server.admin("DELETE", "/_sandbox/faults", None);
            (said, model.right(*from, now, "FAILED_PRECONDITION"))
        }
        Event::Wait(seconds) => {
            server.advance(*seconds);
            (vec![], vec![])
        }
        Event::FreshIsolate => {
            server.isolate = Isolate::new();
            (vec![], vec![])
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// In every order of events, each response keeps the invariants, and TiDB Cloud is shown no key more often.
    #[test]
    fn sec_005_006_007_whatever_happens_refusals_are_counted_and_nobody_else_pays(events in events()) {
        let mut server = Native::with(&[
            ("TIDB_CLOUD_SANDBOX", SANDBOX),
            ("CREDENTIAL_LIMIT_PER_MINUTE", "1000000"),
            ("RATE_LIMIT_PER_MINUTE", "1000000"),
        ]);
        let mut model = Model::default();
        for (number, event) in events.iter().enumerate() {
            let now = server.world.clock.get() / 1_000;
            let (said, expected) = happen(&mut server, &mut model, event, now);
            prop_assert_eq!(&said, &expected, "event {}: {:?}", number, event);
            let refused = said.iter().filter(|said| *said == REFUSED).count();
            if matches!(event, Event::Wrong { .. } | Event::Batch { .. }) {
                prop_assert_eq!(shown(&server), refused);
            }
            server.world.sent.borrow_mut().clear();
        }
    }
}

/// A client that lists tools again and again never shows whether its key is right: that costs it more than it costs us.
#[test]
fn listing_again_and_again_asks_the_object_of_a_key_once_in_ten_seconds() {
    let mut server = Native::new();
    let asked =
        |server: &Native| server.world.subrequests.borrow().iter().filter(|name| name.starts_with("key:")).count();
    for _ in 0..20 {
        assert_eq!(server.send(list()).status, 200);
    }
    assert_eq!(asked(&server), 1);
    server.advance(10);
    assert_eq!(server.send(list()).status, 200);
    assert_eq!(asked(&server), 2);
}

#[test]
fn sec_007_a_pair_that_was_taken_is_not_kept_from_the_pages_by_tries_from_its_address() {
    let mut server = Native::new();
    let (public, private) = keys("owner");
    let page = |public: &str, private: &str| {
        browser_form("http://127.0.0.1:8787", "/grants", "", &fields(&[("publicKey", public), ("privateKey", private)]))
    };
    assert_eq!(server.send(regions(&private)).status, 200);
    for number in 0..10 {
        server.send(page(&format!("MADEUP{number:02}"), &wrong(number)));
    }
    assert_eq!(server.send(page("MADEUP99", &wrong(99))).status, 429);
    assert_eq!(server.send(page(public, &private)).status, 200);
    server.isolate = Isolate::new();
    assert_eq!(server.send(page(public, &private)).status, 200);
}
