//! The limit per client IP, as a client meets it.

use mcp_server_tidbcloud::{app::Isolate, port::LimiterFailure};
use serde_json::json;

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
