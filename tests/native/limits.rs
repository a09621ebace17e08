//! The limit per client IP, as a client meets it.

use mcp_server_tidbcloud::{app::Isolate, port::LimiterFailure};
use serde_json::{Value, json};

use crate::{
    support::{Answer, Call, Driver, request},
    world::Native,
};

fn from(address: &str) -> Call {
    let mut call = request("2026-07-28", "owner", "tools/list", json!({}));
    call.headers.push(("CF-Connecting-IP".to_owned(), address.to_owned()));
    call
}

fn assert_refused(answer: &Answer) {
    assert_eq!(answer.status, 429);
    let error = &answer.json()["error"];
    assert_eq!(error["code"], json!(-31029));
    assert_eq!(error["data"]["retryable"], json!(true));
    let seconds: u64 = answer.header("Retry-After").expect("Retry-After").parse().expect("seconds");
    assert!(seconds >= 1);
    assert_eq!(error["data"]["retryAfterSeconds"], json!(seconds));
}

#[test]
fn a_hundred_and_first_request_is_refused_before_its_body_is_read() {
    let mut server = Native::new();
    for number in 1..=100 {
        let answer = server.send(from("192.0.2.1"));
        assert_eq!(answer.status, 200, "request {number}");
        assert_eq!(answer.header("RateLimit-Policy"), Some("\"ip\";q=100;w=60, \"credential\";q=1000000;w=60"));
        assert!(
            answer.header("RateLimit").is_some_and(|left| left.starts_with(&format!("\"ip\";r={};", 100 - number)))
        );
    }
    assert_refused(&server.send(from("192.0.2.1")));
    assert!(!server.body_read.get());

    // Other clients are not affected, even if a header claims so; siblings in a /64 are one client.
    assert_eq!(server.send(from("192.0.2.2")).status, 200);
    let mut forged = from("192.0.2.1");
    forged.headers.push(("X-Forwarded-For".to_owned(), "198.51.100.7".to_owned()));
    assert_refused(&server.send(forged));

    // One permit comes back every 600 ms.
    server.world.clock.set(server.world.clock.get() + 600);
    assert_eq!(server.send(from("192.0.2.1")).status, 200);
    assert_refused(&server.send(from("192.0.2.1")));
}

fn asked(server: &Native, limit: &str) -> usize {
    server.world.subrequests.borrow().iter().filter(|name| name.starts_with(&format!("{limit}:"))).count()
}

#[test]
fn who_keeps_asking_gets_more_permits_at_a_time_and_never_more_than_there_are() {
    let mut server = Native::new();
    // One, then one and 1, 2, 4, 8, 16 ahead.
    let asks = [1, 2, 3, 5, 9, 17];
    for _ in 0..asks.iter().sum() {
        assert_eq!(server.send(from("192.0.2.1")).status, 200, "nobody is refused below the limit");
    }
    assert_eq!(asked(&server, "ip"), asks.len(), "each lease that is used up is followed by one of twice the size");
    // An isolate that ends takes its lease with it; what is left is what the policy has beside it.
    server.send(from("192.0.2.1"));
    server.isolate = Isolate::new();
    let left = (1..=200).take_while(|_| server.send(from("192.0.2.1")).status == 200).count();
    let used: usize = asks.iter().sum();
    assert!(left < 100 - used - 1, "{left} are left: the lost lease is not given out again");
    // It is void after its time, which is a minute at most, and then everything is there again.
    server.advance(120);
    let left = (1..=200).take_while(|_| server.send(from("192.0.2.1")).status == 200).count();
    assert_eq!(left, 100, "after a pause the whole burst is there");
}

#[test]
fn requests_that_are_spread_over_isolates_or_minutes_cost_one_permit_each() {
    let left = |answer: &Answer, permits: u32| {
        answer.header("RateLimit").is_some_and(|left| left.starts_with(&format!("\"ip\";r={permits};")))
    };
    let mut server = Native::new();
    for number in 1..=20 {
        server.isolate = Isolate::new();
        assert!(left(&server.send(from("192.0.2.1")), 100 - number), "an isolate's first request takes nothing ahead");
    }
    let mut server = Native::new();
    for _ in 0..5 {
        assert!(left(&server.send(from("192.0.2.1")), 99), "nor does one a minute");
        server.advance(60);
    }
}

#[test]
fn an_ipv6_client_is_its_64() {
    let mut server = Native::with(&[("TIDB_CLOUD_SANDBOX", crate::world::SANDBOX), ("RATE_LIMIT_PER_MINUTE", "2")]);
    assert_eq!(server.send(from("2001:db8:0:1::1")).status, 200);
    assert_eq!(server.send(from("2001:db8:0:1:ffff::2")).status, 200);
    assert_refused(&server.send(from("2001:db8:0:1:1:2:3:4")));
    assert_eq!(server.send(from("2001:db8:0:2::1")).status, 200);
}

#[test]
fn addresses_that_many_strangers_share_get_ten_times_as_much() {
    let mut server = Native::with(&[("TIDB_CLOUD_SANDBOX", crate::world::SANDBOX), ("RATE_LIMIT_PER_MINUTE", "1")]);
    for _ in 0..10 {
        assert_eq!(server.send(from("160.79.104.9")).status, 200);
    }
    assert_refused(&server.send(from("160.79.104.9")));
}

#[test]
fn every_message_of_a_batch_is_charged() {
    let mut server = Native::with(&[("TIDB_CLOUD_SANDBOX", crate::world::SANDBOX), ("RATE_LIMIT_PER_MINUTE", "12")]);
    let ping = |id: usize| json!({"jsonrpc": "2.0", "id": id, "method": "ping"});
    let mut batch = from("192.0.2.1");
    batch.headers.retain(|(name, _)| !name.starts_with("MCP-") && !name.starts_with("Mcp-"));
    batch.body = json!((0..10).map(ping).collect::<Vec<_>>()).to_string().into_bytes();
    assert_eq!(server.send(batch.clone()).status, 200);
    assert_refused(&server.send(batch));
}

#[test]
fn a_batch_that_could_never_be_admitted_is_told_so() {
    let mut server = Native::with(&[("TIDB_CLOUD_SANDBOX", crate::world::SANDBOX), ("RATE_LIMIT_PER_MINUTE", "2")]);
    let mut batch = from("192.0.2.1");
    batch.headers.retain(|(name, _)| !name.starts_with("MCP-") && !name.starts_with("Mcp-"));
    batch.body =
        json!([1, 2, 3].map(|id| json!({"jsonrpc": "2.0", "id": id, "method": "ping"}))).to_string().into_bytes();
    let answer = server.send(batch);
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["error"]["data"]["code"], json!("BATCH_TOO_LARGE"));
}

#[test]
fn requests_without_credentials_cost_no_permit() {
    let mut server = Native::with(&[("TIDB_CLOUD_SANDBOX", crate::world::SANDBOX), ("RATE_LIMIT_PER_MINUTE", "1")]);
    for _ in 0..5 {
        let mut call = from("192.0.2.1");
        call.headers.retain(|(name, _)| !name.starts_with("X-TiDB"));
        assert_eq!(server.send(call).status, 401);
    }
    assert_eq!(server.send(from("192.0.2.1")).status, 200);
}

#[test]
fn without_a_verdict_a_client_still_has_a_limit() {
    let mut server = Native::new();
    server.world.limiter_fails.set(Some(LimiterFailure::Unavailable));
    for _ in 0..25 {
        assert_eq!(server.send(from("192.0.2.1")).status, 200);
    }
    assert_refused(&server.send(from("192.0.2.1")));
    assert!(server.world.log.borrow().iter().any(|line| line.contains("\"rate_limit_degraded\":true")));
}

#[test]
fn whoever_floods_the_limiter_is_refused() {
    let mut server = Native::new();
    server.world.limiter_fails.set(Some(LimiterFailure::Overloaded));
    assert_refused(&server.send(from("192.0.2.1")));
    // And stays so for ten seconds without asking again.
    server.world.limiter_fails.set(None);
    assert_refused(&server.send(from("192.0.2.1")));
    server.advance(10);
    assert_eq!(server.send(from("192.0.2.1")).status, 200);
}

/// A tool called with these keys.
fn tool(who: &str, name: &str, arguments: &Value) -> Call {
    request("2026-07-28", who, "tools/call", json!({"name": name, "arguments": arguments}))
}

/// The error of a tool call.
fn error(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    let result = &answer.json()["result"];
    if result["isError"] == json!(true) { result["structuredContent"]["error"].clone() } else { Value::Null }
}

/// How many requests carried a key since the world began.
fn with_key(server: &Native) -> usize {
    let sent = server.world.sent.borrow();
    sent.iter().filter(|(_, text)| text.contains("Digest username")).count()
}

/// A deployment with the default limits.
fn default_limits() -> Native {
    Native::with(&[("TIDB_CLOUD_SANDBOX", crate::world::SANDBOX)])
}

#[test]
fn a_key_pair_sends_eighty_requests_in_any_minute_from_all_isolates_together() {
    let mut server = default_limits();
    let mut others = vec![Isolate::new(), Isolate::new()];
    let (mut moments, mut refused) = (Vec::new(), Vec::new());
    for call in 0..300 {
        let next = others.remove(call % 2);
        others.push(std::mem::replace(&mut server.isolate, next));
        let before = with_key(&server);
        let answer = error(&server.send(tool("owner", "tidbcloud_list_regions", &json!({}))));
        let sent = with_key(&server) - before;
        let now = server.world.clock.get();
        moments.extend((0..sent).map(|_| now));
        if answer != Value::Null {
            assert_eq!(answer["code"], "RATE_LIMITED_UPSTREAM", "{answer}");
            assert!(answer["message"].as_str().is_some_and(|text| text.contains("held the request back")), "{answer}");
            assert_eq!(answer["retryable"], json!(true), "it may be called again");
            assert!(sent <= 1, "nothing was sent, or one request whose nonce was refused: {sent}");
            refused.push(answer["retryAfterSeconds"].as_u64().expect("seconds"));
        }
        server.world.clock.set(server.world.clock.get() + 510);
    }
    let most = moments.iter().map(|from| moments.iter().filter(|at| (*from..from + 60_000).contains(at)).count()).max();
    assert!(most.is_some_and(|most| (60..=80).contains(&most)), "{most:?} in a minute");
    assert!(!refused.is_empty() && refused.iter().all(|seconds| (1..=93).contains(seconds)), "{refused:?}");
    assert!(moments.len() > 150, "the next minute has its own: {}", moments.len());
}

#[test]
fn a_wrong_half_of_a_key_pair_spends_nothing_of_the_owners_requests() {
    let mut server = default_limits();
    let list = tool("owner", "tidbcloud_list_regions", &json!({}));
    let wrong = list.clone().set("X-TiDB-API-Private-Key", "5b000000-0000-4000-8000-0000000003ff");
    for _ in 0..3 {
        assert_eq!(error(&server.send(wrong.clone()))["code"], "UNAUTHENTICATED_UPSTREAM");
    }
    assert_eq!(asked(&server, "upstream"), 0, "what TiDB Cloud did not take is not counted");
    assert_eq!(error(&server.send(list.clone())), Value::Null);
    assert_eq!(asked(&server, "upstream"), 1, "what it took is, after it took it");
    assert_eq!(error(&server.send(list)), Value::Null);
    assert_eq!(asked(&server, "upstream"), 2, "and before it is sent from then on");
}

#[test]
fn a_credential_makes_a_sixth_of_its_calls_as_changes_and_is_told_before_anything_is_sent() {
    let mut server = default_limits();
    let delete =
        tool("owner", "tidbcloud_delete_branch", &json!({"cluster": "10000000000000000009", "branch": "bran-none"}));
    let codes: Vec<Value> = (0..20).map(|_| error(&server.send(delete.clone()))["code"].clone()).collect();
    assert!(codes.iter().all(|code| *code == "NOT_FOUND"), "twenty are tried: {codes:?}");
    let before = server.world.sent.borrow().len();
    let refused = error(&server.send(delete.clone()));
    assert_eq!((&refused["code"], &refused["retryable"]), (&json!("RATE_LIMITED"), &json!(true)), "{refused}");
    assert!(refused["retryAfterSeconds"].as_u64().is_some_and(|seconds| (3..=4).contains(&seconds)), "{refused}");
    assert_eq!(server.world.sent.borrow().len(), before, "nothing was sent, and nobody was asked");
    assert_eq!(error(&server.send(tool("owner", "tidbcloud_list_regions", &json!({})))), Value::Null, "reads go on");
    server.advance(4);
    assert_eq!(error(&server.send(delete))["code"], "NOT_FOUND", "after the wait it is tried again");
}

#[test]
fn an_isolate_whose_limiter_mostly_fails_stops_asking_it_for_five_seconds() {
    let mut server = Native::new();
    let total =
        |server: &Native| ["ip", "credential", "new-pairs"].iter().map(|limit| asked(server, limit)).sum::<usize>();
    server.world.limiter_fails.set(Some(LimiterFailure::Unavailable));
    for _ in 0..20 {
        assert_eq!(server.send(from("192.0.2.1")).status, 200, "what the isolate counts itself goes on");
    }
    assert_eq!(total(&server), 4, "four results say that it fails");
    let lines = |server: &Native| {
        let log = server.world.log.borrow();
        log.iter().filter(|line| line.contains("\"event\":\"ratelimit_degraded\"")).count()
    };
    assert_eq!(lines(&server), 1, "one line says it, however many requests met it");
    server.advance(4);
    server.send(from("192.0.2.2"));
    assert_eq!(total(&server), 4, "for five seconds it is left alone");
    server.world.limiter_fails.set(None);
    server.advance(1);
    assert_eq!(server.send(from("192.0.2.2")).status, 200);
    assert!(total(&server) > 4, "then it is asked again");
    assert_eq!(lines(&server), 1);
}

#[test]
fn where_the_servers_own_secret_cannot_be_had_a_client_waits_and_is_not_told_that_its_credential_is_wrong() {
    let mut server = Native::new();
    server.world.storage_fails.set(true);
    let answer = server.send(from("192.0.2.1"));
    assert_eq!((answer.status, answer.header("Retry-After")), (503, Some("5")));
    server.world.storage_fails.set(false);
    assert_eq!(server.send(from("192.0.2.1")).status, 200, "nothing was remembered of the failure");
}

/// At most a fifth longer, never shorter, and not the same for all.
#[test]
fn waits_are_spread() {
    let mut waits = std::collections::BTreeSet::new();
    for number in 0..40 {
        let mut server = Native::with(&[("TIDB_CLOUD_SANDBOX", crate::world::SANDBOX), ("RATE_LIMIT_PER_MINUTE", "1")]);
        for _ in 0..number {
            // Each request has an id of its own.
            server.send(from("198.51.100.1"));
        }
        assert_eq!(server.send(from("192.0.2.1")).status, 200);
        let refused = server.send(from("192.0.2.1"));
        let seconds: u64 = refused.header("Retry-After").expect("Retry-After").parse().expect("seconds");
        assert!((60..=72).contains(&seconds), "{seconds}");
        waits.insert(seconds);
    }
    assert!(waits.len() > 3, "{waits:?}");
}
