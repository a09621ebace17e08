//! Whether the service works, as monitors and people see it.

use std::{collections::BTreeSet, rc::Rc};

use mcp_server_tidbcloud::{
    app::{self, Isolate, VERSION},
    config::{self, Config},
    port::{LimiterFailure, Port},
};
use serde_json::{Value, json};

use crate::{
    support::{Answer, Call, Driver, keys, request},
    world::{Native, SANDBOX, SERVER_SECRET, block_on},
};

const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

fn get(target: &str) -> Call {
    Call { method: "GET".to_owned(), target: target.to_owned(), ..Call::default() }
}

fn from(address: &str) -> Call {
    get("/readyz").set("CF-Connecting-IP", address)
}

/// What `/readyz` says: status, and the states of the checks.
fn ready(server: &mut Native) -> (u16, Value) {
    let answer = server.send(get("/readyz"));
    let document = answer.json();
    let status = if answer.status == 200 { "ready" } else { "not_ready" };
    assert_eq!(document["status"], status, "the status says the same as the code {}", answer.status);
    (answer.status, document["checks"].clone())
}

fn states(of: &[(&str, &str)]) -> Value {
    let mut states = json!({"settings": "ok", "limiter": "ok", "grants": "ok", "circuits": "ok", "tidb_cloud": "ok"});
    for (name, state) in of {
        states[*name] = json!(state);
    }
    states
}

/// How often TiDB Cloud was asked whether it is there.
fn probes(server: &Native) -> usize {
    let asked = server.world.asked.borrow();
    asked.iter().filter(|asked| asked.target.ends_with("/regions") && !asked.has_credentials).count()
}

fn subrequests(server: &Native, name: &str) -> usize {
    server.world.subrequests.borrow().iter().filter(|asked| *asked == name).count()
}

/// Requests without credentials meet this fault.
fn fault(server: &mut Native, fault: Value) {
    let mut fault = fault;
    fault["match"] = json!({"path": "/v1beta1/regions", "times": 10_000, "challenge": true});
    server.admin("POST", "/_sandbox/faults", Some(json!({ "faults": [fault] })));
}

#[test]
fn a_server_that_works_says_so_and_nothing_else() {
    let mut server = Native::new();
    let answer = server.send(get("/readyz"));
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json(), json!({"status": "ready", "checks": states(&[])}), "names and states are all it says");
    assert_eq!(answer.header("Cache-Control"), Some("no-store"));
    let kept: Vec<String> = server.world.objects.borrow().keys().cloned().collect();
    assert!(kept.is_empty(), "the question leaves nothing in the authorization store: {kept:?}");
    let alive = server.send(get("/livez"));
    assert_eq!((alive.status, alive.json()), (200, json!({"status": "ok"})));
}

#[test]
fn whoever_asks_whether_the_process_is_there_asks_nobody_else() {
    let mut server = Native::new();
    server.world.storage_fails.set(true);
    server.world.limiter_fails.set(Some(LimiterFailure::Overloaded));
    for _ in 0..500 {
        assert_eq!(server.send(get("/livez")).status, 200);
    }
    assert!(server.world.subrequests.borrow().is_empty(), "no object and no host is asked");
}

#[test]
fn each_check_fails_by_itself() {
    type Break = fn(&mut Native);
    let break_it: [(&str, &str, Break); 8] = [
        ("limiter", "failing", |server| server.world.limiter_fails.set(Some(LimiterFailure::Unavailable))),
        ("grants", "failing", |server| {
            // The isolate has the secret already.
            server.send(request("2026-07-28", "owner", "tools/list", json!({})));
            server.world.storage_fails.set(true);
        }),
        ("circuits", "unknown", |server| server.world.circuits_fail.set(true)),
        ("tidb_cloud", "failing", |server| fault(server, json!({"do": "drop", "when": "before"}))),
        ("tidb_cloud", "failing", |server| fault(server, json!({"do": "delay", "millis": 3_001}))),
        ("tidb_cloud", "failing", |server| fault(server, json!({"do": "status", "status": 503, "body": {}}))),
        ("tidb_cloud", "failing", |server| fault(server, json!({"do": "status", "status": 401, "body": {}}))),
        ("tidb_cloud", "failing", |server| {
            fault(server, json!({"do": "status", "status": 200, "body": {"regions": []}}))
        }),
    ];
    for (number, (name, state, breaks)) in break_it.into_iter().enumerate() {
        let mut server = Native::new();
        breaks(&mut server);
        assert_eq!(ready(&mut server), (503, states(&[(name, state)])), "{number}: {name} alone does not work");
        assert!(server.send(get("/readyz")).header("Retry-After").is_some(), "{number}: it says when to ask again");
        let log = server.world.log.borrow();
        let lines: Vec<&String> = log.iter().filter(|line| line.contains("\"not_ready\"")).collect();
        assert_eq!(lines.len(), 1, "{number}: one examination, one line that says what does not work: {lines:?}");
        assert!(lines[0].contains(&format!("\"{name}\":\"{state}\"")), "{number}: {}", lines[0]);
    }
    let mut server = Native::new();
    fault(&mut server, json!({"do": "delay", "millis": 2_900}));
    assert_eq!(ready(&mut server).0, 200, "what takes less than 3 s is no failure");
}

#[test]
fn a_circuit_that_is_open_for_everybody_is_one_that_is_not_ready() {
    let mut server = Native::new();
    let faults = json!([{"match": {"path": "/v1beta1/clusters", "times": 10_000}, "do": "drop", "when": "before"}]);
    server.admin("POST", "/_sandbox/faults", Some(json!({ "faults": faults })));
    let call =
        |who| request("2026-07-28", who, "tools/call", json!({"name": "tidbcloud_list_clusters", "arguments": {}}));
    (0..3).for_each(|_| drop(server.send(call("owner"))));
    assert_eq!(ready(&mut server), (200, states(&[])), "the trouble of one caller is not everybody's");
    server.advance(15);
    for who in ["viewer", "other", "owner"] {
        server.send(call(who));
    }
    assert_eq!(ready(&mut server), (503, states(&[("circuits", "failing")])));
}

#[test]
fn a_verdict_is_believed_for_five_seconds_here_and_fifteen_by_all_isolates() {
    let mut server = Native::new();
    assert_eq!(ready(&mut server).0, 200);
    assert_eq!((probes(&server), subrequests(&server, "readiness")), (1, 2), "one asks, finds out and reports");
    fault(&mut server, json!({"do": "drop", "when": "before"}));
    server.advance(4);
    assert_eq!(ready(&mut server).0, 200);
    assert_eq!((probes(&server), subrequests(&server, "readiness")), (1, 2), "for five seconds nobody is asked");
    server.advance(1);
    assert_eq!(ready(&mut server).0, 200);
    assert_eq!((probes(&server), subrequests(&server, "readiness")), (1, 3), "then what all isolates know");
    server.isolate = Isolate::new();
    server.advance(9);
    assert_eq!(ready(&mut server).0, 200, "an isolate that starts hears it");
    assert_eq!((probes(&server), subrequests(&server, "readiness")), (1, 4));
    server.isolate = Isolate::new();
    server.advance(1);
    assert_eq!(ready(&mut server), (503, states(&[("tidb_cloud", "failing")])), "after 15 s it is found out again");
    assert_eq!(probes(&server), 2);
    server.admin("DELETE", "/_sandbox/faults", None);
    server.advance(15);
    assert_eq!(ready(&mut server).0, 200, "and so is that it works again");
}

#[test]
fn while_one_isolate_finds_out_another_waits_for_it() {
    let server = Native::new();
    server.world.latency.set(900);
    let (one, other) = (Rc::new(Isolate::new()), Rc::new(Isolate::new()));
    let [mut first, mut second, mut third] =
        [&one, &other, &other].map(|isolate| server.run_in(isolate, get("/readyz")));
    let (world, began) = (&server.world, server.world.clock.get());
    let arrives = world.go_on(&mut first).err().expect("TiDB Cloud takes its time");
    let looks = world.go_on(&mut second).err().expect("it waits for the other isolate");
    assert_eq!(world.go_on(&mut third).err(), Some(looks), "and so does a second request there");
    assert_eq!(subrequests(&server, "readiness"), 2, "which asks nobody: one of an isolate is enough");
    world.clock.set(looks);
    let looks = world.go_on(&mut second).err().expect("nobody has found out yet");
    world.clock.set(arrives);
    assert_eq!(world.go_on(&mut first).expect("it is found out").status, 200);
    world.clock.set(looks);
    assert_eq!(world.go_on(&mut second).expect("and told").status, 200);
    assert_eq!(world.go_on(&mut third).expect("to everybody").status, 200);
    assert!(looks - began <= 1_000, "nobody waits for long");
    assert_eq!(probes(&server), 1, "TiDB Cloud was asked once");
}

#[test]
fn an_isolate_that_ends_in_the_middle_costs_one_turn() {
    let mut server = Native::new();
    server.world.latency.set(100);
    let began = server.world.clock.get();
    assert!(server.cut_off(get("/readyz"), 0).is_none(), "it ends while TiDB Cloud is asked");
    assert_eq!(probes(&server), 1);
    server.isolate = Isolate::new();
    let unknown = [("limiter", "unknown"), ("grants", "unknown"), ("circuits", "unknown"), ("tidb_cloud", "unknown")];
    assert_eq!(ready(&mut server), (503, states(&unknown)), "nobody has found out, and nobody claims to know");
    assert_eq!(probes(&server), 1, "the turn is not given to two at once");
    assert!(server.world.clock.get() - began < 5_000, "and nobody waits until it is over");
    server.world.clock.set(began + 20_000);
    assert_eq!(ready(&mut server).0, 200, "the next turn finds out");
    assert_eq!(probes(&server), 2);
}

#[test]
fn a_thousand_who_ask_at_once_ask_tidb_cloud_once() {
    let mut server = Native::new();
    let mut isolates: Vec<Isolate> = (0..7).map(|_| Isolate::new()).collect();
    let began = server.world.clock.get();
    for number in 0..1_000_u64 {
        server.world.clock.set(began + number * 14_999 / 1_000);
        let next = isolates.remove(0);
        isolates.push(std::mem::replace(&mut server.isolate, next));
        let answer = server.send(from(&format!("198.51.{}.{}", number / 250, number % 250)));
        assert_eq!(answer.status, 200, "request {number} of its own address");
    }
    assert_eq!(probes(&server), 1, "TiDB Cloud");
    assert_eq!(subrequests(&server, "transaction:readiness"), 1, "the authorization store");
    assert_eq!(subrequests(&server, "readiness:all"), 1, "a limit");
    // Of each isolate one every five seconds, and the report.
    let asked = subrequests(&server, "readiness");
    assert!(asked <= 8 * 3 + 1, "the object was asked {asked} times");
}

#[test]
fn without_what_all_isolates_know_each_finds_out_by_itself() {
    let mut server = Native::new();
    server.world.readiness_fails.set(true);
    for second in 0..15 {
        assert_eq!(ready(&mut server).0, 200);
        assert_eq!(probes(&server), 1, "second {second}: an isolate finds out once in 15 s");
        server.advance(1);
    }
    assert_eq!(ready(&mut server).0, 200);
    assert_eq!(probes(&server), 2);
    server.isolate = Isolate::new();
    assert_eq!(ready(&mut server).0, 200);
    assert_eq!(probes(&server), 3, "and each by itself");
    // What was found out for all counts as well while they cannot be asked.
    server.world.readiness_fails.set(false);
    server.advance(15);
    assert_eq!((ready(&mut server).0, probes(&server)), (200, 4));
    server.world.readiness_fails.set(true);
    server.advance(14);
    assert_eq!((ready(&mut server).0, probes(&server)), (200, 4), "not twice in 15 s");
}

#[test]
fn a_clock_that_steps_back_does_not_keep_an_old_verdict() {
    let mut server = Native::new();
    fault(&mut server, json!({"do": "drop", "when": "before"}));
    assert_eq!(ready(&mut server).0, 503);
    server.admin("DELETE", "/_sandbox/faults", None);
    server.world.clock.set(server.world.clock.get() - 3_600_000);
    // Of the first address, the limiter waits for the permits of the future.
    server.behind("192.0.2.1");
    assert_eq!(ready(&mut server).0, 200, "what was found out in the future is found out again");
}

#[test]
fn an_address_that_asks_too_often_is_refused_as_at_the_endpoint() {
    let mut server = Native::new();
    for number in 0..100 {
        let target = if number % 2 == 0 { "/readyz" } else { "/health" };
        assert_eq!(server.send(get(target).set("CF-Connecting-IP", "192.0.2.1")).status, 200, "request {number}");
    }
    let before = server.world.subrequests.borrow().len();
    let refused = server.send(from("192.0.2.1"));
    assert_eq!((refused.status, refused.json()["error"].clone()), (429, json!("rate_limited")));
    assert!(
        refused.header("Retry-After").and_then(|seconds| seconds.parse::<u64>().ok()).is_some_and(|wait| wait >= 1)
    );
    assert_eq!(server.send(from("192.0.2.1")).status, 429);
    assert!(server.world.subrequests.borrow().len() - before <= 1, "a flood does not reach an object");
    assert_eq!(server.send(from("192.0.2.2")).status, 200, "nobody else is refused");
    let call = request("2026-07-28", "owner", "tools/list", json!({})).set("CF-Connecting-IP", "192.0.2.1");
    assert_eq!(server.send(call).status, 429, "the permits are those of /mcp");
    assert_eq!(server.send(get("/livez").set("CF-Connecting-IP", "192.0.2.1")).status, 200, "liveness has no limit");
}

#[test]
fn where_addresses_cannot_be_counted_the_failure_is_told_and_nothing_is_asked_more_often() {
    let mut server = Native::new();
    server.world.storage_fails.set(true);
    for _ in 0..200 {
        assert_eq!(ready(&mut server), (503, states(&[("grants", "failing")])));
    }
    assert_eq!((probes(&server), subrequests(&server, "readiness")), (1, 2));
}

#[test]
fn only_get_and_head_are_allowed() {
    let mut server = Native::new();
    for target in ["/livez", "/readyz", "/health"] {
        let whole = server.send(get(target));
        let head = server.send(Call { method: "HEAD".to_owned(), ..get(target) });
        assert_eq!((head.status, head.body.len()), (whole.status, 0), "{target}: HEAD has no body");
        assert_eq!(head.header("Content-Type"), whole.header("Content-Type"), "{target}");
        for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
            let refused = server.send(Call { method: method.to_owned(), ..get(target) });
            assert_eq!((refused.status, refused.header("Allow")), (405, Some("GET, HEAD")), "{method} {target}");
        }
    }
}

#[test]
fn a_browser_is_shown_a_page_and_a_program_the_document() {
    let mut server = Native::new();
    let program = server.send(get("/health"));
    let mut document = program.json();
    let version = document.as_object_mut().and_then(|fields| fields.remove("version"));
    assert_eq!(version, Some(json!(VERSION)), "people may know what runs here");
    document.as_object_mut().map(|fields| fields.remove("commit"));
    assert_eq!(document, server.send(get("/readyz")).json(), "else the document is the same at both");
    assert_eq!(program.header("Vary"), Some("Accept"));
    let page = |server: &mut Native| {
        let answer = server.send(get("/health").set("Accept", BROWSER));
        assert_eq!(answer.header("Content-Type"), Some("text/html; charset=utf-8"));
        assert_eq!(answer.header("Cache-Control"), Some("no-store"));
        let policy = answer.header("Content-Security-Policy").unwrap_or_default();
        assert!(policy.contains("default-src 'none'") && !policy.contains("script"), "nothing runs on it: {policy}");
        (answer.status, String::from_utf8(answer.body).expect("text"))
    };
    let (status, text) = page(&mut server);
    assert_eq!(status, 200);
    assert!(text.contains("Everything works") && !text.contains("<script"), "{text}");
    assert_eq!(
        text.matches("<span class=\"state\">Works</span>").count(),
        states(&[]).as_object().expect("checks").len()
    );
    assert!(text.contains(&format!("Version {VERSION}.")), "the page says what runs here: {text}");
    assert_eq!(server.send(get("/readyz").set("Accept", BROWSER)).json()["status"], "ready", "monitors read JSON");
    fault(&mut server, json!({"do": "drop", "when": "before"}));
    server.advance(15);
    let (status, text) = page(&mut server);
    assert_eq!(status, 503);
    assert_eq!(text.matches("<span class=\"state\">Fails</span>").count(), 1, "one check fails");
    assert!(text.contains("https://status.tidbcloud.com/"), "the page says where to look: {text}");
}

/// Id of an upload, in the form that Cloudflare gives it.
const UPLOAD: &str = "dc8dcd28-271b-4367-9840-6c244f84cb40";

#[test]
fn on_cloudflare_every_answer_names_the_upload_that_gave_it() {
    let mut server = Native::new();
    let named = |server: &mut Native, call: Call| {
        let answer = server.send(call);
        (answer.status, answer.header("X-Worker-Version").map(str::to_owned))
    };
    assert_eq!(named(&mut server, get("/health")), (200, None), "elsewhere there are no uploads");
    let metadata = json!({"id": UPLOAD, "tag": "", "timestamp": "2026-11-27T00:00:00.000Z"});
    let config = Config::read(&|name| (name == "TIDB_CLOUD_SANDBOX").then(|| SANDBOX.to_owned())).ok();
    let worker_version = config::worker_version(&metadata.to_string());
    server.config = Rc::new(Config { worker_version, ..config.expect("settings") });
    let list = request("2026-07-28", "owner", "tools/list", json!({}));
    let nobody = Call { method: "POST".to_owned(), ..get("/mcp") };
    for (call, status) in [
        (get("/livez"), 200),
        (get("/readyz"), 200),
        (get("/health"), 200),
        (get("/"), 200),
        (get("/nope"), 404),
        (get("/mcp"), 405),
        (nobody, 401),
        (list, 200),
    ] {
        let what = format!("{} {}", call.method, call.target);
        assert_eq!(named(&mut server, call), (status, Some(UPLOAD.to_owned())), "{what}");
    }
    let document = server.send(get("/health")).json();
    assert_eq!(document["worker_version"], UPLOAD);
    assert_eq!(server.send(get("/readyz")).json().get("worker_version"), None, "monitors need it not");
    for wrong in ["", "{}", "[]", "{\"id\":7}", "{\"id\":\"\"}", "{\"id\":\"a\\r\\nb: c\"}", "{\"id\":\"a b\"}"] {
        assert_eq!(config::worker_version(wrong), None, "{wrong} has no id that could stand in a header");
    }
}

/// The answer of a server with these settings to a request.
fn misconfigured(settings: &[(&str, &str)], call: &Call) -> Answer {
    let read = |name: &str| settings.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    let problems = Config::read(&read).err().expect("settings that are wrong");
    let server = Native::new();
    let port = Port::of(&*server.world);
    let answer = block_on(app::misconfigured(&problems, Some(UPLOAD), &server.head(call), port)).into();
    assert!(server.world.subrequests.borrow().is_empty(), "a server with wrong settings asks nobody");
    answer
}

#[test]
fn wrong_settings_are_named_without_rule_and_value() {
    let wrong =
        [("RATE_LIMIT_PER_MINUTE", "canary-0"), ("MCP_SECRET", "canary-short"), ("TIDB_CLOUD_SANDBOX", "canary")];
    let unknown = [
        ("settings", "failing"),
        ("limiter", "unknown"),
        ("grants", "unknown"),
        ("circuits", "unknown"),
        ("tidb_cloud", "unknown"),
    ];
    let named: BTreeSet<&str> = wrong.iter().map(|(name, _)| *name).collect();
    for target in ["/readyz", "/health"] {
        let answer = misconfigured(&wrong, &get(target));
        let document = answer.json();
        assert_eq!((answer.status, &document["status"]), (503, &json!("not_ready")), "{target}");
        assert_eq!(document["checks"], states(&unknown), "{target}");
        assert_eq!(
            answer.header("X-Worker-Version"),
            Some(UPLOAD),
            "{target}: who deployed it has to know which it is"
        );
        assert_eq!(document["version"].as_str(), (target == "/health").then_some(VERSION), "{target}");
        let settings = document["settings"].as_array().expect("a list");
        let found: BTreeSet<&str> = settings.iter().filter_map(|setting| setting["setting"].as_str()).collect();
        assert_eq!(found, named, "{target} names every wrong setting once");
        assert!(
            settings.iter().all(|setting| setting.as_object().is_some_and(|fields| fields.len() == 1)),
            "{settings:?}"
        );
    }
    let page = misconfigured(&wrong, &get("/health").set("Accept", BROWSER));
    let text = String::from_utf8(page.body).expect("text");
    assert_eq!(page.status, 503);
    assert!(
        named.iter().all(|name| text.contains(&format!("<code>{name}</code>"))) && !text.contains("canary"),
        "{text}"
    );
    assert!(misconfigured(&wrong, &get("/mcp")).json()["settings"][0]["problem"].is_string(), "others say the rules");
    assert_eq!(misconfigured(&wrong, &Call { method: "POST".to_owned(), ..get("/readyz") }).status, 405);
}

#[test]
fn with_wrong_settings_a_browser_is_shown_what_to_do_at_every_address() {
    let wrong = [("TIDB_CLOUD_PUBLIC_KEY", "CANARYPUB"), ("RATE_LIMIT_PER_MINUTE", "canary-0")];
    for target in ["/", "/mcp", "/authorize", "/nothing", "/health"] {
        let page = misconfigured(&wrong, &get(target).set("Accept", BROWSER));
        let text = String::from_utf8(page.body.clone()).expect("text");
        assert_eq!((page.status, page.header("Content-Type")), (503, Some("text/html; charset=utf-8")), "{target}");
        assert_eq!((page.header("Vary"), page.header("Retry-After")), (Some("Accept"), Some("60")), "{target}");
        for said in [
            "<code>TIDB_CLOUD_PRIVATE_KEY</code> is missing: set",
            "<code>MCP_ACCESS_KEY</code> is missing: set",
            "<code>RATE_LIMIT_PER_MINUTE</code> must be",
            "npx wrangler secret bulk secrets.json",
            "Variables and Secrets",
        ] {
            assert!(text.contains(said), "{target} does not say {said}: {text}");
        }
        assert!(!text.contains("<code>TIDB_CLOUD_PUBLIC_KEY</code>"), "what is set is not named as missing: {text}");
        assert!(!text.to_lowercase().contains("canary"), "no value shows: {text}");
        assert_eq!(text.matches("<section").count(), 1, "{target}: what is not asked is not listed: {text}");
    }
    let others = misconfigured(&[("LOG_PERCENT", "x")], &get("/").set("Accept", BROWSER));
    let text = String::from_utf8(others.body).expect("text");
    assert!(text.contains("<code>LOG_PERCENT</code>") && !text.contains("secret bulk"), "only what helps: {text}");
    for call in [get("/"), Call { method: "POST".to_owned(), ..get("/mcp").set("Accept", BROWSER) }] {
        let answer = misconfigured(&wrong, &call);
        assert_eq!((answer.status, &answer.json()["status"]), (503, &json!("misconfigured")), "programs read JSON");
    }
    let style = misconfigured(&wrong, &get("/style.css"));
    assert_eq!(style.status, 200, "the page has its looks");
    assert_eq!(misconfigured(&wrong, &get("/index.html")).status, 503, "and nothing else is served");
}

#[test]
fn the_page_says_for_whom_the_server_is_set_up() {
    let page = |settings: &[(&str, &str)]| {
        let mut settings = settings.to_vec();
        settings.push(("TIDB_CLOUD_SANDBOX", SANDBOX));
        let answer = Native::with(&settings).send(get("/health").set("Accept", BROWSER));
        assert_eq!(answer.status, 200);
        String::from_utf8(answer.body).expect("text")
    };
    let people = page(&[]);
    assert!(people.contains("for several people") && people.contains("secret bulk secrets.json"), "{people}");
    let (public, private) = keys("owner");
    let owner = page(&[
        ("TIDB_CLOUD_PUBLIC_KEY", public),
        ("TIDB_CLOUD_PRIVATE_KEY", &private),
        ("MCP_ACCESS_KEY", "an-access-key-of-the-owner-0123456789"),
    ]);
    assert!(owner.contains("for its owner") && !owner.contains("secret bulk"), "{owner}");
}

#[test]
fn no_secret_host_or_value_shows() {
    let access = "canary-access-key-0123456789abcdef";
    let settings = [
        ("TIDB_CLOUD_SANDBOX", SANDBOX),
        ("TIDB_CLOUD_PUBLIC_KEY", "CANARYPUB"),
        ("TIDB_CLOUD_PRIVATE_KEY", "canary-private-key"),
        ("MCP_ACCESS_KEY", access),
        ("MCP_SECRET", "canary-secret-0123456789-0123456789"),
        ("RATE_LIMIT_PER_MINUTE", "31337"),
    ];
    let mut server = Native::with(&settings);
    let mut seen = Vec::new();
    for broken in [false, true] {
        if broken {
            server.world.limiter_fails.set(Some(LimiterFailure::Unavailable));
            server.world.storage_fails.set(true);
            server.world.circuits_fail.set(true);
            let body = json!({"message": "canary-of-tidb-cloud"});
            fault(&mut server, json!({"do": "status", "status": 500, "body": body}));
            server.advance(15);
        }
        for call in [get("/livez"), get("/readyz"), get("/health"), get("/health").set("Accept", BROWSER)] {
            let target = call.target.clone();
            let answer = server.send(call.set("Authorization", &format!("Bearer {access}")));
            let seen_here = format!("{:?} {}", answer.headers, String::from_utf8_lossy(&answer.body));
            // The version is told at /health alone.
            seen.push(if target == "/health" { seen_here.replace(VERSION, "") } else { seen_here });
        }
    }
    let hidden = [
        "canary",
        "CANARYPUB",
        "31337",
        "127.0.0.1",
        "tidbapi",
        SERVER_SECRET,
        &keys("owner").1,
        env!("CARGO_PKG_VERSION"),
    ];
    for text in seen {
        assert!(hidden.iter().all(|hidden| !text.contains(hidden)), "{text}");
    }
    for line in server.world.log.borrow().iter() {
        assert!(
            !line.contains("canary") && !line.contains(SERVER_SECRET) && !line.contains(&keys("owner").1),
            "{line}"
        );
    }
}
