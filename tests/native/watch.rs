//! Alerts over a simulated day: what is counted, who is told of it and when, and who cannot ring.

use std::rc::Rc;

use mcp_server_tidbcloud::{
    app::{Isolate, watch},
    config::{Config, SETTINGS},
    port::{FetchError, Port},
};
use serde_json::{Value, json};

use crate::{
    support::{Answer, Call, Driver, request},
    world::{After, Native, SANDBOX, WEBHOOK, World, block_on},
};

/// Every five minutes, as `wrangler.toml` says it.
const LOOK_SECONDS: u64 = 300;
const MINUTE: u64 = 60;
const COOL_DOWN_MILLIS: u64 = 30 * MINUTE * 1_000;

/// A deployment with an isolate and a schedule.
struct Deployment {
    server: Native,
    isolate: Rc<Isolate>,
    after: Vec<After>,
    next_look: u64,
    checks_pass: bool,
}

impl Deployment {
    fn with(settings: &[(&str, &str)]) -> Self {
        let own = [("TIDB_CLOUD_SANDBOX", SANDBOX), ("CREDENTIAL_LIMIT_PER_MINUTE", "1000000")];
        let server = Native::with(&[&own, settings].concat());
        let next_look = server.world.clock.get() + LOOK_SECONDS * 1_000;
        Self { server, isolate: Rc::default(), after: Vec::new(), next_look, checks_pass: true }
    }

    /// One whose alerts are for programs.
    fn watched() -> Self {
        Self::with(&[("ALERT_WEBHOOK_URL", WEBHOOK), ("ALERT_FORMAT", "json")])
    }

    fn world(&self) -> &World {
        &self.server.world
    }

    fn send(&mut self, call: Call) -> Answer {
        let (answer, after) = self.server.send_and_carry(&self.isolate, call);
        self.after.extend(after.and_then(|mut after| (!self.server.world.go_on_after(&mut after)).then_some(after)));
        answer
    }

    fn list(&mut self) -> Answer {
        let regions = json!({"name": "tidbcloud_list_regions", "arguments": {}});
        self.send(request("2026-07-28", "owner", "tools/call", regions))
    }

    /// A call in an isolate that starts cold: it needs the server's storage for its secret.
    fn list_cold(&mut self) -> Answer {
        let isolate = std::mem::take(&mut self.isolate);
        let answer = self.list();
        self.isolate = isolate;
        answer
    }

    fn look(&self) {
        block_on(watch::look(&self.server.config, async || self.checks_pass, Port::of(self.world())));
    }

    /// Lets time pass. Reports are made and looks are taken when it is their time.
    fn pass(&mut self, seconds: u64) {
        let until = self.world().clock.get() + seconds * 1_000;
        while self.world().clock.get() < until {
            self.server.advance(1);
            let world = &self.server.world;
            self.after.retain_mut(|after| !world.go_on_after(after));
            if self.world().clock.get() >= self.next_look {
                self.next_look += LOOK_SECONDS * 1_000;
                self.look();
            }
        }
    }

    /// What was posted so far, as `event` and the minute of the day.
    fn posts(&self) -> Vec<(String, u64)> {
        let since = Native::new().world.clock.get();
        let receiver = self.world().receiver.borrow();
        let posts = receiver.posts.iter();
        posts.map(|(at, body)| (body["event"].as_str().expect("a kind").to_owned(), (at - since) / 60_000)).collect()
    }

    fn last_post(&self) -> Value {
        self.world().receiver.borrow().posts.last().expect("a post").1.clone()
    }

    /// Minutes of steady use, a request every twenty seconds.
    fn use_for(&mut self, minutes: u64) {
        for _ in 0..minutes * 3 {
            self.list();
            self.pass(20);
        }
    }

    /// The same while the server's storage fails.
    fn suffer_for(&mut self, minutes: u64) {
        self.world().storage_fails.set(true);
        for _ in 0..minutes * 3 {
            assert_eq!(self.list_cold().status, 503, "a cold isolate cannot serve");
            self.pass(20);
        }
        self.world().storage_fails.set(false);
    }

    fn reports(&self) -> usize {
        self.world().subrequests.borrow().iter().filter(|name| *name == "watch").count()
    }

    fn log(&self) -> String {
        self.world().log.borrow().join("\n")
    }
}

/// Two alerts are 30 minutes apart, and an all-clear follows an alert.
fn check_order(posts: &[(u64, Value)]) {
    let alerts: Vec<_> = posts.iter().filter(|(_, body)| body["event"] == "alert").map(|(at, _)| *at).collect();
    assert!(alerts.windows(2).all(|pair| pair[1] - pair[0] >= COOL_DOWN_MILLIS), "alerts came too fast: {alerts:?}");
    for (at, (_, body)) in posts.iter().enumerate() {
        let follows_alert = at > 0 && posts[at - 1].1["event"] == "alert";
        assert!(body["event"] == "alert" || follows_alert, "an all-clear follows an alert: {posts:?}");
    }
}

#[test]
fn a_day_with_an_outage_and_an_hour_of_flapping() {
    let mut deployment = Deployment::watched();
    deployment.use_for(6 * 60);
    assert_eq!(deployment.posts(), [], "nothing happens in the morning");

    deployment.suffer_for(70);
    let alerts: Vec<_> = deployment.posts();
    let (first, second) = (alerts[0].1, alerts[1].1);
    assert!(alerts.iter().all(|(event, _)| event == "alert"), "{alerts:?}");
    assert!((360..=370).contains(&first), "the first alert comes within ten minutes: {first}");
    assert!((first + 30..=first + 35).contains(&second), "the next one half an hour later: {alerts:?}");
    let alert = deployment.last_post();
    assert_eq!(alert["wrong"], json!(["requests"]), "{alert}");
    assert!(alert["requests"]["failed"].as_u64().is_some_and(|failed| failed > 0), "{alert}");

    let before = deployment.posts().len();
    deployment.use_for(60);
    let posts = deployment.posts().split_off(before);
    assert!(matches!(&posts[..], [(event, at)] if event == "all_clear" && *at <= 440), "one all-clear: {posts:?}");

    for _ in 0..6 {
        deployment.suffer_for(5);
        deployment.use_for(5);
    }
    deployment.use_for(60);
    let posts = deployment.posts();
    assert_eq!(posts.last().map(|(event, _)| event.as_str()), Some("all_clear"), "it ends well: {posts:?}");
    let flaps = posts.iter().filter(|(event, at)| event == "alert" && *at > 440).count();
    assert!((1..=3).contains(&flaps), "an hour of flapping rings at most once in 30 minutes: {posts:?}");
    check_order(&deployment.world().receiver.borrow().posts);

    let quiet = deployment.posts().len();
    deployment.use_for(12 * 60);
    assert_eq!(deployment.posts().len(), quiet, "nothing happens in the evening");
}

#[test]
fn an_outage_of_tidb_cloud_from_the_first_failure_to_the_all_clear() {
    let mut deployment = Deployment::watched();
    let list = json!({"name": "tidbcloud_list_clusters", "arguments": {}});
    let call_for = |deployment: &mut Deployment, minutes: u64| {
        for _ in 0..minutes {
            for who in ["owner", "viewer", "other"] {
                deployment.send(request("2026-07-28", who, "tools/call", list.clone()));
            }
            deployment.pass(MINUTE);
        }
    };
    call_for(&mut deployment, 30);
    assert_eq!(deployment.posts(), [], "TiDB Cloud answers");
    let faults = [false, true].map(|challenge| {
        json!({"match": {"path": "/v1beta1/", "times": 10_000, "challenge": challenge}, "do": "status", "status": 503})
    });
    deployment.server.admin("POST", "/_sandbox/faults", Some(json!({ "faults": faults })));
    call_for(&mut deployment, 16);
    let posts = deployment.posts();
    assert!(matches!(&posts[..], [(event, at)] if event == "alert" && *at <= 41), "one alert: {posts:?}");
    let alert = deployment.last_post();
    assert!(alert["wrong"].as_array().is_some_and(|wrong| wrong.contains(&json!("upstream"))), "{alert}");
    assert_eq!(alert["requests"]["failed"], 0, "this server did not fail: {alert}");
    call_for(&mut deployment, 26);
    let alert = deployment.last_post();
    assert_eq!(deployment.posts().len(), 2, "again after half an hour: {:?}", deployment.posts());
    assert_eq!(
        (&alert["circuits"], &alert["event"]),
        (&json!("open"), &json!("alert")),
        "the circuit is open: {alert}"
    );
    deployment.server.admin("DELETE", "/_sandbox/faults", None);
    call_for(&mut deployment, 11);
    let clear = deployment.last_post();
    assert_eq!((&clear["circuits"], &clear["event"]), (&json!("closed"), &json!("all_clear")), "{clear}");
    assert_eq!(deployment.posts().len(), 3, "one all-clear");
}

/// Everything that somebody can send who has no key that TiDB Cloud accepts, or a key and bad intentions.
fn send_as_a_stranger(deployment: &mut Deployment, number: usize) {
    let get = |target: &str| Call { method: "GET".to_owned(), target: target.to_owned(), ..Call::default() };
    let mut without_credentials = request("2026-07-28", "owner", "tools/list", json!({}));
    without_credentials.headers.retain(|(name, _)| !name.starts_with("X-TiDB"));
    let mut of_nobody =
        request("2026-07-28", "owner", "tools/call", json!({"name": "tidbcloud_list_clusters", "arguments": {}}));
    for (name, value) in &mut of_nobody.headers {
        if name == "X-TiDB-API-Public-Key" {
            *value = format!("NOBODY{:02}", number % 100);
        }
    }
    let nowhere = json!({"name": "tidbcloud_get_cluster", "arguments": {"cluster": "1"}});
    let calls = [
        (without_credentials.clone(), 401),
        (of_nobody, 200),
        (request("2026-07-28", "viewer", "tools/call", nowhere), 200),
        (get("/nothing-here"), 404),
        (get("/"), 200),
        (get("/livez"), 200),
        (get("/mcp"), 405),
        (Call { method: "DELETE".to_owned(), target: "/mcp".to_owned(), ..without_credentials.clone() }, 405),
        (Call { method: "OPTIONS".to_owned(), target: "/mcp".to_owned(), ..without_credentials }, 204),
        (Call { method: "POST".to_owned(), target: "/token".to_owned(), body: b"x".to_vec(), ..Call::default() }, 400),
    ];
    for (call, _) in calls {
        // What is admitted gets the answer beside it; the rest of the flood gets 429.
        let answer = deployment.send(call);
        assert!(answer.status < 500, "no stranger makes this server fail: {}", answer.status);
    }
}

#[test]
fn no_flood_of_refusals_rings_or_is_even_reported() {
    let mut deployment = Deployment::watched();
    for number in 0..60 {
        send_as_a_stranger(&mut deployment, number);
        deployment.pass(5);
    }
    deployment.pass(30 * MINUTE);
    assert_eq!(deployment.posts(), [], "refusals ring nobody");
    let looks = deployment.world().clock.get() - Native::new().world.clock.get();
    assert_eq!(deployment.reports() as u64, looks / (LOOK_SECONDS * 1_000), "only the looks asked the watcher");
}

#[test]
fn no_flood_of_refusals_hides_an_outage() {
    let mut deployment = Deployment::watched();
    deployment.use_for(20);
    for number in 0..30 {
        deployment.world().storage_fails.set(true);
        assert_eq!(deployment.list_cold().status, 503);
        deployment.world().storage_fails.set(false);
        for _ in 0..5 {
            send_as_a_stranger(&mut deployment, number);
        }
        deployment.pass(20);
    }
    let posts = deployment.posts();
    assert!(matches!(&posts[..], [(event, at)] if event == "alert" && *at <= 30), "the outage is told: {posts:?}");
}

#[test]
fn an_alert_that_does_not_arrive_is_sent_again_and_its_address_shows_nowhere() {
    for answers in [Ok(302), Ok(404), Ok(500), Err(FetchError::Unreachable), Err(FetchError::Timeout)] {
        let mut deployment = Deployment::watched();
        deployment.world().receiver.borrow_mut().answers = answers;
        deployment.suffer_for(20);
        let lost = deployment.posts();
        assert_eq!(lost.len(), 3, "three looks try; the receiver may have it and not say so: {answers:?} {lost:?}");
        deployment.world().receiver.borrow_mut().answers = Ok(204);
        deployment.suffer_for(40);
        let sent = deployment.posts().split_off(lost.len());
        let first = lost[2].1;
        assert!(matches!(sent[..], [(_, at)] if at >= first + 30), "then it waits for 30 minutes: {lost:?} {sent:?}");
        let log = deployment.log();
        assert!(log.contains(r#""outcome":"not_delivered""#) && log.contains(r#""outcome":"sent""#), "the log says so");
        for word in ["canary-webhook", "hooks.example.com", "elsewhere.example.com"] {
            assert!(!log.contains(word), "the address is a secret: {word} is in the log");
        }
    }
}

#[test]
fn checks_that_keep_failing_ring_and_those_that_failed_once_do_not() {
    let mut deployment = Deployment::watched();
    deployment.checks_pass = false;
    deployment.pass(5 * MINUTE);
    deployment.checks_pass = true;
    deployment.pass(10 * MINUTE);
    assert_eq!(deployment.posts(), [], "a check that failed once");
    deployment.checks_pass = false;
    deployment.pass(10 * MINUTE);
    assert_eq!(deployment.last_post()["wrong"], json!(["checks"]), "nobody called, and somebody knows");
    assert_eq!(deployment.last_post()["checks"], "failing");
    deployment.checks_pass = true;
    deployment.pass(5 * MINUTE);
    assert_eq!(deployment.last_post()["event"], "all_clear");
}

#[test]
fn an_alert_says_what_fails_and_how_much_since_when_and_where_to_look() {
    let mut deployment = Deployment::with(&[("ALERT_WEBHOOK_URL", WEBHOOK)]);
    deployment.use_for(5);
    deployment.suffer_for(10);
    deployment.use_for(5);
    let receiver = deployment.world().receiver.borrow();
    let texts: Vec<_> = receiver.posts.iter().map(|(_, body)| body["text"].as_str().expect("a text")).collect();
    let expected = [
        "mcp-server-tidbcloud is in trouble since 2026-11-23 10:05 UTC (5 minutes).\n\
         - Requests fail by a fault of this server: 15 of 30 in the last 10 minutes (50 %; set is 5 %). Look at /readyz, then at log lines with a status of 500 or more.\n\
         What to do: \"When an alert comes\" in docs/operations.md. Until the all-clear this comes again, every half hour at most.",
        "mcp-server-tidbcloud: all clear. The trouble since 2026-11-23 10:05 UTC is over, after 15 minutes.\n\
         In the last 5 minutes 0 of 15 requests failed, and 0 of 15 to TiDB Cloud.",
    ];
    assert_eq!(texts, expected, "somebody who is woken reads this first");
}

#[test]
fn settings_that_are_wrong_are_told() {
    let read = |settings: &'static [(&str, &str)]| {
        move |name: &str| settings.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    };
    let settings = read(&[
        ("ALERT_WEBHOOK_URL", WEBHOOK),
        ("RATE_LIMIT_PER_MINUTE", "canary-number"),
        ("MCP_SECRET", "canary-secret"),
    ]);
    let problems = Config::read(&settings).err().expect("wrong settings");
    let alerts = Config::alerts_of(&settings).expect("who is told");
    let world = World::new();
    for _ in 0..7 {
        block_on(watch::look_at_wrong_settings(&alerts, problems.len(), Port::of(&world)));
        world.clock.set(world.clock.get() + LOOK_SECONDS * 1_000);
    }
    let posts = world.receiver.borrow();
    let texts: Vec<_> = posts.posts.iter().map(|(_, body)| body["text"].as_str().expect("a text")).collect();
    assert_eq!(texts.len(), 2, "at once, and half an hour later: {texts:?}");
    assert!(texts[0].contains("2 settings are wrong") && texts[0].contains("/readyz"), "{}", texts[0]);
    for setting in SETTINGS {
        assert!(!texts[0].contains(setting.name), "no setting is named to the receiver: {}", texts[0]);
    }
    assert!(!world.log.borrow().join("").contains("canary"), "no value shows in the log");
}

#[test]
fn what_is_counted_is_reported_after_ten_seconds_or_fifty_requests() {
    let mut deployment = Deployment::watched();
    deployment.list();
    deployment.pass(9);
    assert_eq!(deployment.reports(), 0, "not yet");
    deployment.list();
    deployment.pass(1);
    assert_eq!(
        (deployment.reports(), deployment.after.len()),
        (1, 0),
        "one report has both, also if no request follows"
    );

    for _ in 0..49 {
        deployment.list();
    }
    deployment.pass(1);
    assert_eq!(deployment.reports(), 1, "49 wait for their time");
    deployment.list();
    assert_eq!(deployment.reports(), 2, "50 do not");
    deployment.pass(20);
    assert_eq!((deployment.reports(), deployment.after.len()), (2, 0), "nothing is left to report");
}

#[test]
fn a_report_that_is_lost_holds_nothing_up() {
    let mut deployment = Deployment::watched();
    deployment.suffer_for(1);
    deployment.isolate = Rc::default();
    deployment.list();
    // The request ended, and what it was to do after its answer ended with it.
    deployment.after.clear();
    deployment.pass(14);
    deployment.list();
    assert!(deployment.after.is_empty(), "another request may still report");
    deployment.pass(1);
    deployment.list();
    assert_eq!(deployment.after.len(), 1, "none does any more");
    let before = deployment.reports();
    deployment.world().watcher_fails.set(true);
    deployment.pass(10);
    assert_eq!(deployment.reports(), before + 1, "the report failed");
    deployment.world().watcher_fails.set(false);
    deployment.list();
    deployment.pass(10);
    deployment.pass(LOOK_SECONDS);
    assert_eq!(deployment.posts(), [], "too few to judge");
    deployment.checks_pass = false;
    deployment.pass(2 * LOOK_SECONDS);
    let alert = deployment.last_post();
    assert_eq!(alert["requests"], json!({"answered": 4, "failed": 3, "minutes": 15}), "nothing was lost: {alert}");
}

#[test]
fn without_a_webhook_nothing_is_counted_and_nobody_looks() {
    let mut deployment = Deployment::with(&[]);
    deployment.suffer_for(20);
    deployment.use_for(20);
    assert_eq!((deployment.reports(), deployment.posts().len()), (0, 0));
    assert!(!deployment.log().contains(r#""event":"look""#), "a look that is not taken is not logged");
}
