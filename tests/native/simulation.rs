//! Two hundred isolates through an outage of TiDB Cloud and back.
//!
//! All share one clock: a call that waits for an answer or before it tries again lets the others go on, and goes on itself when
//! its time has come. So their requests reach TiDB Cloud in the order in which they would.

use std::{
    cell::RefCell,
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    rc::Rc,
};

use serde_json::{Value, json};
use tidbcloud_sandbox::exchange::{Course, Delivery, Request, Response, Stop};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    support::{Answer, Call, bad_inputs::tool},
    world::{Native, Running, SANDBOX},
};

const ISOLATES: usize = 200;
/// Calls begin at this rate: one for each isolate every ten seconds.
const CALLS_PER_SECOND: u64 = 20;
const HEALTHY_SECONDS: u64 = 60;
const OUTAGE_SECONDS: u64 = 120;
/// Within which all calls succeed again.
const RECOVERY_SECONDS: u64 = 60;
/// Calls that begin then must succeed.
const AFTERWARDS_SECONDS: u64 = 60;
/// One in so many calls makes a cluster.
const CREATES_ONE_IN: usize = 20;
/// What an exchange with TiDB Cloud takes.
const LATENCY_MILLIS: u64 = 120;

/// A call that is to begin, or to go on.
type Due = Reverse<(u64, usize)>;

/// How a call ended.
struct Ended {
    began: u64,
    ended: u64,
    answer: Answer,
}

/// TiDB Cloud for a hundred organizations: it lists clusters and makes them, or is down. It takes every digest, and counts 100
/// requests a minute for each key, as TiDB Cloud does.
#[derive(Default)]
struct Model {
    /// The clusters of each key.
    clusters: BTreeMap<String, Vec<Value>>,
    /// Requests of each key in each minute.
    counts: BTreeMap<(String, u64), u64>,
    /// What becomes of every answer now.
    down: Option<Down>,
}

/// How TiDB Cloud is down.
#[derive(Clone, Copy, Debug)]
enum Down {
    Closes,
    Answers503,
    Stalls,
}

impl Model {
    fn answer(&mut self, now: u64, request: &Request) -> (Response, Delivery) {
        let stops = |how| Delivery { delay_millis: 0, course: Course::Stops { after: None, how } };
        let answer = |status: u16, body: Value| {
            (Response { status, headers: Vec::new(), body: body.to_string().into_bytes() }, Delivery::default())
        };
        match self.down {
            Some(Down::Closes) => return (answer(500, json!({})).0, stops(Stop::Close)),
            Some(Down::Stalls) => return (answer(500, json!({})).0, stops(Stop::Stall)),
            Some(Down::Answers503) => return answer(503, json!({"message": "busy"})),
            None => {}
        }
        let Some(key) = request.header("authorization").and_then(|header| header.split('"').nth(1)) else {
            let (mut response, delivery) = answer(401, json!({"code": 49_900_001, "message": "no credentials"}));
            let challenge = format!("Digest realm=\"tidb.cloud\", nonce=\"n{now}\", qop=\"auth\"");
            response.headers.push(("WWW-Authenticate".to_owned(), challenge));
            return (response, delivery);
        };
        let count = self.counts.entry((key.to_owned(), now / 60_000)).or_default();
        *count += 1;
        if *count > 100 {
            return answer(429, json!({"code": 49_900_007, "message": "too many requests"}));
        }
        let clusters = self.clusters.entry(key.to_owned()).or_default();
        if request.method == "POST" {
            let body: Value = serde_json::from_slice(&request.body).expect("JSON");
            let id = (1_000 + clusters.len()).to_string();
            let time =
                OffsetDateTime::from_unix_timestamp(i64::try_from(now / 1_000).expect("a time")).expect("a time");
            let created = time.format(&Rfc3339).expect("a time");
            let (name, labels) = (&body["displayName"], &body["labels"]);
            let labels = if labels.is_null() { json!({}) } else { labels.clone() };
            clusters.push(json!({"clusterId": id, "displayName": name, "labels": labels, "state": "CREATING", "createTime": created}));
            return answer(200, clusters[clusters.len() - 1].clone());
        }
        answer(200, json!({"clusters": clusters}))
    }
}

/// What an outage came to.
struct Outage {
    calls: Vec<Ended>,
    /// Requests that reached TiDB Cloud in each second.
    requests: BTreeMap<u64, u64>,
    /// How often each create was sent, by its name.
    creates: BTreeMap<String, usize>,
}

/// Plays an outage of this kind.
fn play(how: Down) -> Outage {
    let many = "1000000";
    let server = Native::with(&[
        ("TIDB_CLOUD_SANDBOX", SANDBOX),
        ("RATE_LIMIT_PER_MINUTE", many),
        ("CREDENTIAL_LIMIT_PER_MINUTE", many),
    ]);
    let (world, model) = (Rc::clone(&server.world), Rc::<RefCell<Model>>::default());
    let upstream = Rc::clone(&model);
    world.upstream.replace(Some(Box::new(move |now, request| upstream.borrow_mut().answer(now, request))));
    world.latency.set(LATENCY_MILLIS);
    let isolates: Vec<_> = (0..ISOLATES).map(|_| Rc::default()).collect();
    let start = world.clock.get();
    let end = HEALTHY_SECONDS + OUTAGE_SECONDS + RECOVERY_SECONDS + AFTERWARDS_SECONDS;
    let outage = start + HEALTHY_SECONDS * 1_000..start + (HEALTHY_SECONDS + OUTAGE_SECONDS) * 1_000;
    let mut due = BinaryHeap::<Due>::new();
    let mut running = BTreeMap::<usize, (u64, Running)>::new();
    for number in 0..end * CALLS_PER_SECOND {
        due.push(Reverse((start + number * 1_000 / CALLS_PER_SECOND, usize::try_from(number).expect("a number"))));
    }
    let mut calls = Vec::new();
    while let Some(Reverse((now, number))) = due.pop() {
        world.clock.set(now);
        model.borrow_mut().down = outage.contains(&now).then_some(how);
        let (began, mut going) = running.remove(&number).unwrap_or_else(|| {
            // Isolates take turns, in an order that mixes them.
            (now, server.run_in(&isolates[number * 7 % ISOLATES], call(number)))
        });
        match world.go_on(&mut going) {
            Ok(answer) => calls.push(Ended { began: began - start, ended: now - start, answer }),
            Err(later) => {
                running.insert(number, (began, going));
                due.push(Reverse((later, number)));
            }
        }
    }
    let (mut requests, mut creates) = (BTreeMap::new(), BTreeMap::new());
    for asked in world.asked.borrow().iter() {
        *requests.entry((asked.millis - start) / 1_000).or_default() += 1;
        if asked.method == "POST" && asked.has_credentials && !matches!(asked.status, 401 | 429) {
            let body: Value = serde_json::from_slice(&asked.body).expect("JSON");
            *creates.entry(body["displayName"].to_string()).or_default() += 1;
        }
    }
    Outage { calls, requests, creates }
}

/// The call of this number, by one of a hundred callers.
fn call(number: usize) -> Call {
    let caller = number % 100;
    let call = if number.is_multiple_of(CREATES_ONE_IN) {
        tool(
            "tidbcloud_create_cluster",
            json!({"displayName": format!("c-{number}"), "region": "regions/aws-us-east-1"}),
        )
    } else {
        tool("tidbcloud_list_clusters", json!({}))
    };
    let call = call.set("CF-Connecting-IP", &format!("192.0.2.{caller}"));
    call.set("X-TiDB-API-Public-Key", &format!("SIMULA{caller:02}"))
}

/// Holds an outage of this kind to what is promised.
fn hold(how: Down) {
    let Outage { calls, requests, creates } = play(how);
    let within = |from: u64, seconds: u64| requests.range(from..from + seconds).map(|(_, count)| count).sum::<u64>();
    // The first ten seconds are those of isolates that have just started.
    let healthy_seconds = HEALTHY_SECONDS - 10;
    let (healthy, down) = (within(10, healthy_seconds), within(HEALTHY_SECONDS, OUTAGE_SECONDS));
    let back = HEALTHY_SECONDS + OUTAGE_SECONDS;
    let is_failure =
        |call: &&Ended| call.answer.status != 200 || call.answer.json()["result"]["isError"] == json!(true);
    let failures: Vec<_> = calls.iter().filter(is_failure).collect();
    let late = failures.iter().filter(|call| call.began >= (back + RECOVERY_SECONDS) * 1_000).count();
    let told = format!(
        "{how:?}: {healthy} requests in {healthy_seconds} healthy seconds, {down} in {OUTAGE_SECONDS} seconds of the outage, {} \
         in the {RECOVERY_SECONDS} seconds after it; {} of {} calls failed, the last {} ms after it began",
        within(back, RECOVERY_SECONDS),
        failures.len(),
        calls.len(),
        failures.iter().map(|call| call.ended).max().unwrap_or_default().saturating_sub(HEALTHY_SECONDS * 1_000),
    );
    println!("{told}");
    let twice: Vec<_> = creates.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "{told}: no create is sent twice: {twice:?}");
    assert!(
        down * healthy_seconds < 2 * healthy * OUTAGE_SECONDS,
        "{told}: while TiDB Cloud is down it sees less than twice the requests of a healthy time"
    );
    assert_eq!(late, 0, "{told}: a minute after it is back every call succeeds");
}

#[test]
fn an_outage_in_which_connections_close() {
    hold(Down::Closes);
}

#[test]
fn an_outage_in_which_gateways_answer_503() {
    hold(Down::Answers503);
}

#[test]
fn an_outage_in_which_nothing_answers() {
    hold(Down::Stalls);
}
