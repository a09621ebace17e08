//! Every parser of what strangers send, fed with what they might: for as many seconds as `FUZZ_SECONDS` says, 20 in
//! `cargo xtask test`. What is found is shrunk and printed. And no text makes the gate of statements slow.
#![allow(unreachable_pub, dead_code, reason = "modules that several test programs share")]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test that meets what it does not expect fails"
)]

mod support;
#[path = "native/world.rs"]
mod world;

use std::{
    env,
    fmt::Debug,
    str::FromStr,
    time::{Duration, Instant},
};

use mcp_server_tidbcloud::{
    base::{
        address::{Cidr, ClientAddress},
        clock::UnixMillis,
        future::Pending,
        http::{Headers, Response},
        scrub::scrub_text,
        secret::Secret,
    },
    catalogue::Narrowing,
    config::{Config, Origin},
    mcp,
    oauth::{client, form::Fields, redirect::RedirectUri},
    port::{FetchError, Io, Log, Outbound, RequestLog, Sink, allowance::Allowance},
    sql::{self, Class},
    store::{
        object::{Command, Stored, step},
        seal::Keyring,
        token::Token,
    },
    tidbcloud::{
        AccessClass, ApiKey, Authenticator, AuthorizationServer, BranchId, Cloud, ClusterId, DisplayName, Hosts,
        Memory, PageToken, Query, RegionName, Replay, SqlLogin, SqlUserName, Target, Timestamp, Unwatched,
        alias::Aliases,
    },
    tools,
};
use proptest::{
    prelude::*,
    test_runner::{Config as RunnerConfig, TestCaseResult, TestRunner},
};

use crate::world::block_on;

/// Runs a property on new inputs until the time is up.
fn fuzz<S: Strategy>(strategy: S, property: impl Fn(S::Value) -> TestCaseResult)
where
    S::Value: Debug,
{
    let seconds = env::var("FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(0.2);
    let (started, budget) = (Instant::now(), Duration::from_secs_f64(seconds));
    let mut inputs = 0_u64;
    while started.elapsed() < budget {
        let config = RunnerConfig { cases: 256, failure_persistence: None, ..RunnerConfig::default() };
        if let Err(found) = TestRunner::new(config).run(&strategy, &property) {
            panic!("{found}");
        }
        inputs += 256;
    }
    println!("{inputs} inputs");
}

/// Text as it might be sent: anything, what looks nearly right, and characters that have a meaning somewhere.
fn text(nearly: &'static str) -> impl Strategy<Value = String> {
    prop_oneof![nearly, "\\PC{0,80}", "[\\x00-\\x7f]{0,60}", "[\"'`<>&%=;:/?#@\\\\.,{}\\[\\] -]{0,40}"]
}

fn keyring() -> Keyring {
    Keyring::new(Secret::new("canary-one"), [Secret::new("canary-two")])
}

#[test]
fn bodies_of_the_protocol() {
    let bytes = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..300),
        text("\\{\"jsonrpc\":\"2.0\",\"id\":[0-9\"a-z.-]{0,6},\"method\":\"(tools/call|tools/list|initialize)\",\"params\":\\{.{0,40}\\}\\}")
            .prop_map(String::into_bytes),
    ];
    let headers = prop::collection::vec(
        (
            prop::sample::select(vec!["MCP-Protocol-Version", "Mcp-Method", "Mcp-Name", "Content-Type"]),
            text("2026-07-28|tools/call|application/json"),
        ),
        0..4,
    );
    fuzz((headers, bytes), |(headers, bytes)| {
        let headers: Headers = headers.into_iter().collect();
        let _ = mcp::precheck(&headers);
        if let Ok(parsed) = mcp::parse(&headers, &bytes, tools::find) {
            prop_assert!(parsed.messages() >= 1 && parsed.messages() <= 10);
            let _ = parsed.summary();
            prop_assert!(parsed.tool_calls().count() <= parsed.messages());
        }
        Ok(())
    });
}

#[test]
fn sql_for_both_tools() {
    fuzz(
        text(
            "(SELECT|WITH|DELETE FROM|UPDATE|DROP|EXPLAIN|/\\*!|--|#|INSERT INTO| t| WHERE| SET|\\(|\\)|'[^']{0,4}'|`a`|;| |\\\\|,|=|1){0,14}",
        ),
        |sql| {
            let (class, statement) = (sql::classify(&sql), sql::inspect(&sql));
            if class == Class::Read {
                // What is known to be a read destroys nothing.
                prop_assert!(statement.is_ok_and(|statement| !statement.destructive && !statement.ddl), "{sql}");
            }
            Ok(())
        },
    );
}

#[test]
fn queries_of_the_endpoint() {
    fuzz(text("((readonly|toolsets|cluster|branch|pictures)=[a-z0-9,%+]{0,9}&?){0,4}"), |query| {
        if let Err(problem) = Narrowing::parse(Some(&query)) {
            prop_assert!(problem.0.is_ascii());
        }
        Ok(())
    });
}

#[test]
fn tokens() {
    fuzz(text("tdb_(at|rt|ac|xx)_v[12]\\.[A-Za-z0-9_-]{20,24}\\.[A-Za-z0-9_.-]{40,66}"), |text| {
        prop_assert!(Token::parse(&text, &keyring()).is_none(), "nobody guesses a grant of ours");
        prop_assert!(keyring().open_text("purpose", &text).is_none());
        Ok(())
    });
}

#[test]
fn redirect_uris() {
    fuzz(text("(https?|cursor|vscode|javascript|data)://[a-z0-9.@:\\[\\]-]{0,20}(/[a-z%./?&=#-]{0,12})?"), |text| {
        if let Ok(uri) = RedirectUri::parse(&text) {
            prop_assert_eq!(uri.as_str(), text.as_str());
            let answer = url::Url::parse(&uri.with_answer(&[("code", "x")])).expect("an address");
            let asked = url::Url::parse(&text).expect("an address");
            prop_assert_eq!(answer.host_str(), asked.host_str());
            prop_assert!(uri.place().len() <= text.len());
        }
        Ok(())
    });
}

#[test]
fn registrations_documents_and_client_ids() {
    let member = "(\"(client_name|redirect_uris|client_id|grant_types|logo_uri|client_secret|x)\":(\"[a-z:/.]{0,20}\"|\\[\"https://a\\.example/\"\\]|\\[\\]|null|1),?){0,4}";
    let bytes = prop_oneof![
        member.prop_map(|members: String| format!("{{{}}}", members.trim_end_matches(',')).into_bytes()),
        prop::collection::vec(any::<u8>(), 0..200),
    ];
    let address = text("https://[a-z0-9.-]{1,12}(:[0-9]{1,4})?/[a-z./#?%]{0,12}");
    fuzz((bytes, address), |(bytes, address)| {
        if let Ok(metadata) = client::read_registration(&bytes) {
            let answer = metadata.registered(&keyring(), UnixMillis(0));
            let id = answer["client_id"].as_str().expect("an id");
            prop_assert!(client::Client::registered(id, &keyring()).is_some());
        }
        prop_assert!(client::Client::registered(&address, &keyring()).is_none());
        if let Some(address) = client::DocumentAddress::parse(&address, "own.example") {
            prop_assert!(address.host() != "own.example" && address.host().contains('.'));
            prop_assert!(address.host().parse::<std::net::IpAddr>().is_err());
            let _ = client::Client::from_document(&address, &bytes);
        }
        Ok(())
    });
}

#[test]
fn forms() {
    fuzz(prop::collection::vec(any::<u8>(), 0..300), |bytes| {
        if let Some(fields) = Fields::parse(&bytes) {
            let _ = (fields.one("a"), fields.has_repeated());
        }
        Ok(())
    });
}

#[test]
fn settings_addresses_and_aliases() {
    fuzz(
        (
            text("[0-9a-f.:]{1,20}(/[0-9]{1,3})?"),
            text("(https?://)?[a-z0-9.:\\[\\]-]{1,20}"),
            text("\\{(\"[a-z0-9-]{0,4}\":\"[0-9]{0,3}\",?){0,3}\\}"),
        ),
        |(range, origin, json)| {
            if let (Some(range), Some(address)) =
                (Cidr::parse(&range), ClientAddress::parse(range.split('/').next().unwrap_or_default()))
            {
                prop_assert!(range.contains(address), "a range holds the address that it is written with");
            }
            if let Some(origin) = Origin::parse(&origin) {
                prop_assert_eq!(Origin::parse(origin.as_str()), Some(origin));
            }
            let _ = (Aliases::parse_json(&json), Aliases::parse_lines(&json));
            let read = |name: &str| match name {
                "ALLOWED_IPS" | "SHARED_EGRESS_IPS" => Some(range.clone()),
                "PUBLIC_ORIGIN" | "ALLOWED_ORIGINS" | "TIDB_CLOUD_SANDBOX" => Some(origin.clone()),
                _ => Some(json.clone()),
            };
            if let Err(problems) = Config::read(&read) {
                prop_assert!(!problems.is_empty());
            }
            Ok(())
        },
    );
}

#[test]
fn names_and_ids() {
    fuzz(text("[A-Za-z0-9.:/-]{1,30}"), |text| {
        let pairs = [
            (ClusterId::from_str(&text).is_ok(), ClusterId::holds(&text)),
            (BranchId::from_str(&text).is_ok(), BranchId::holds(&text)),
            (DisplayName::from_str(&text).is_ok(), DisplayName::holds(&text)),
            (RegionName::from_str(&text).is_ok(), RegionName::holds(&text)),
            (PageToken::from_str(&text).is_ok(), PageToken::holds(&text)),
            (SqlUserName::from_str(&text).is_ok(), SqlUserName::holds(&text)),
        ];
        prop_assert!(pairs.iter().all(|(parsed, holds)| parsed == holds));
        let _ = (
            Timestamp::try_from(text.clone()),
            ApiKey::new(text.clone(), text.clone()).is_ok(),
            SqlLogin::new(text.clone(), text).is_ok(),
        );
        Ok(())
    });
}

#[test]
fn what_is_stored_and_what_it_is_asked() {
    let json = || {
        text(
            "\\{\"(Grant|Transaction|Index|grant|transaction|index)\":(\\{\"(Use|Look|Add|End|v)\":\\{?[\"a-z0-9:,]{0,20}\\}?\\}|\"(End|List|Describe)\")\\}",
        )
    };
    fuzz((json(), json(), any::<u32>()), |(stored, command, now)| {
        let stored = serde_json::from_str::<Stored>(&stored).ok();
        if let Ok(command) = serde_json::from_str::<Command>(&command) {
            let _ = step(stored, UnixMillis(u64::from(now)), command);
        }
        Ok(())
    });
}

/// An outside world that answers everything in the same odd way.
struct Odd {
    status: u16,
    header: (&'static str, String),
    body: Vec<u8>,
    clock: std::cell::Cell<u64>,
}

impl Io for Odd {
    fn exchange<'a>(&'a self, _: Outbound, sink: &'a mut dyn Sink) -> Pending<'a, Result<Response, FetchError>> {
        Box::pin(async {
            self.clock.set(self.clock.get() + 500);
            sink.begin(self.status);
            sink.take(&self.body)?;
            Ok(Response::empty(self.status).with(self.header.0, self.header.1.clone()))
        })
    }

    fn now(&self) -> UnixMillis {
        UnixMillis(self.clock.get())
    }

    fn sleep(&self, duration: Duration) -> Pending<'_, ()> {
        self.clock.set(self.clock.get() + u64::try_from(duration.as_millis()).expect("short"));
        Box::pin(async {})
    }

    fn random(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

impl Log for Odd {
    fn write(&self, _: &str) {}
}

#[test]
fn answers_of_tidb_cloud() {
    let status = prop::sample::select(vec![200_u16, 201, 302, 400, 401, 403, 404, 409, 429, 500, 503]);
    let header = prop::sample::select(vec![
        "www-authenticate",
        "retry-after",
        "authentication-info",
        "content-type",
        "tidb-session",
    ]);
    let value = text(
        "(Digest|Basic|Bearer) (realm|nonce|qop|algorithm|stale|domain)=\"?[a-zA-Z0-9,-]{0,12}\"?(, [a-z]{1,6}=\"?[a-z0-9]{0,6}\"?){0,3}",
    );
    let body = prop_oneof![
        text("\\{\"(clusters|regions|types|rows|code|message|device_code|access_token)\":(\\[\\{\"[a-zA-Z]{1,12}\":\"[a-z0-9]{0,6}\"\\}\\]|null|[0-9]{1,3}|\"[a-z]{0,9}\")\\}").prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..200),
    ];
    fuzz((status, header, value, body), |(status, header, value, body)| {
        let odd = Odd { status, header: (header, value), body, clock: std::cell::Cell::new(1_795_428_000_000) };
        let (hosts, memory, secret) = (Hosts::real(), Memory::new(), Secret::new("canary-secret"));
        let authenticator: Authenticator = ApiKey::new("CANARY01", "canary-private").expect("a key").into();
        let deadline = UnixMillis(odd.now().0 + 28_000);
        let log = &RequestLog::new(&odd, &odd, 100);
        let cloud = Cloud::new(&odd, log, &hosts, &authenticator, &Unwatched, &memory, deadline);
        let mut said = Vec::new();
        said.extend(block_on(cloud.clusters(None, None)).err().map(|error| error.to_string()));
        said.extend(block_on(cloud.regions()).err().map(|error| error.to_string()));
        let target = Target { cluster: "7".parse().expect("an id"), branch: None };
        let allowance = Allowance::new(odd.now());
        let query = Query { sql: "SELECT 1", whole_values: false, skipped_rows: 0 };
        let run = cloud.sql(&secret, None, &allowance);
        let run = block_on(run.run(&target, AccessClass::ReadOnly, None, query, Replay::Safe));
        said.extend(run.err().map(|error| error.to_string()));
        let server = AuthorizationServer::new(&odd, log, &hosts, "client", &secret, deadline);
        said.extend(block_on(server.device_authorization()).err().map(|error| error.to_string()));
        said.extend(block_on(server.token_by_device_code(&secret)).err().map(|error| error.to_string()));
        for error in said {
            prop_assert!(error.len() < 2_000 && !error.contains("canary"), "{error}");
        }
        Ok(())
    });
}

/// Work that grows with the square of a text is work for a stranger: the gate judges it before a key is tried. Each text
/// has 16 KB of one part; the slowest takes a few times as long as the plainest.
#[test]
fn no_repetition_is_expensive() {
    let parts = [
        "@",
        "@@a,",
        "@@a.b,",
        "`a`.",
        "a.",
        "(",
        "((",
        "()",
        "a(1),",
        "'a'",
        "'a'\"b\"",
        "'a' ",
        "a=1 AND ",
        "a=1 OR ",
        "a BETWEEN 1 AND ",
        "NOT ",
        "(a,b)=(1,2) AND ",
        "JOIN t ON t.a=u.a ",
        ",t",
        "CASE WHEN a THEN ",
        "x(",
        "/*a*/",
        "-- a\n",
        "\"a\",",
        "0x1 ",
        "SELECT ",
        "UNION SELECT 1 ",
        "a AS (SELECT 1),",
        "DEFAULT(a),",
        "||a",
        "&&a=1",
        "COUNT(a),",
        "->'$'",
        "INTERVAL 1 DAY+",
        "ADD COLUMN a INT,",
        "GRANT ",
        "/*! a */ ",
        "/*T![a] 1 */,",
        "/*T![a] ",
        "{d 'a'},",
        "{",
        "IGNORE INTO ",
    ];
    let starts = [
        "SELECT ",
        "SELECT 1 FROM t WHERE ",
        "DELETE FROM t WHERE ",
        "UPDATE t SET a = 1 WHERE ",
        "DELETE t FROM t ",
        "CREATE TABLE t (KEY k (",
        "ALTER TABLE t ",
        "GRANT a TO ",
        "WITH a AS (SELECT 1),",
        "INSERT INTO t VALUES ",
        "EXPLAIN ",
        "SHOW TABLES ",
        "CREATE DEFINER = ",
        "EXPLAIN INSERT INTO t VALUES ",
        "EXPLAIN INSERT ",
        "TRACE ",
        "SET a = 1, ",
        "",
    ];
    let time = |start: &str, part: &str| {
        let text = format!("{start}{}", part.repeat((16_000 - start.len()) / part.len()));
        let began = std::time::Instant::now();
        let _ = (sql::classify(&text), sql::inspect(&text));
        began.elapsed()
    };
    let base = (0..5).map(|_| time("SELECT ", "a,")).max().unwrap_or_default();
    for start in starts {
        for part in parts {
            // Once more where something else had the processor.
            let slow = |_| time(start, part) > base * 20;
            assert!(!(0..3).all(slow), "{start:?} and {part:?} again and again: more than 20 times {base:?}");
        }
    }
}

/// An answer of TiDB Cloud can repeat what somebody sent: what it costs to scrub grows with its length and not with its square.
#[test]
fn no_repetition_is_expensive_to_scrub() {
    for piece in [
        "\\",
        "%5c",
        "\\a",
        "identified",
        "_identified",
        "identified(",
        "identified '",
        "identified/*",
        "identified/**/",
        "password for '",
        "password=",
        "password:[redacted]",
        "cookie:",
        "cookie:a=",
        "Digest a=",
        "a.",
        "eyJ",
        "eyJhbGciOiJub25lIn0.",
        "://u:p/",
        "basic ",
        "-----BEGIN ",
        "\\\"",
    ] {
        let text = |bytes: usize| piece.repeat(bytes / piece.len());
        let took = |text: &str| {
            let begun = std::time::Instant::now();
            std::hint::black_box(scrub_text(text, &["canary-canary", "\\\\\\\\"]));
            begun.elapsed()
        };
        let (short, long) = (text(4 * 1024), text(64 * 1024));
        // Sixteen times the time is expected, and 256 times it if it grew with the square. What lies between is for a machine
        // that does other things too, and so is the best of several runs.
        let (mut best_short, mut best_long) = (took(&short), took(&long));
        for _ in 0..5 {
            if best_long < best_short * 64 {
                break;
            }
            best_short = best_short.min(took(&short));
            best_long = best_long.min(took(&long));
        }
        assert!(best_long < best_short * 64, "{piece}: {best_short:?}, and {best_long:?} for sixteen times as much");
    }
}
