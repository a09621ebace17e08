//! What guessing costs where many requests run at once, and where a Worker is started anew.

use std::{thread, time::Instant};

use serde_json::json;

use crate::{
    support::{Answer, Call, bad_inputs::ACCESS_KEY, keys, request},
    worker::{Worker, send},
};

/// How many requests are under way at once.
const WIDTH: usize = 20;

/// Sends all of them, each from its address.
fn at_once(origin: &str, calls: Vec<(String, Call)>) -> Vec<Answer> {
    let mut calls = calls.into_iter();
    let mut answers = Vec::new();
    loop {
        let wave: Vec<_> = calls.by_ref().take(WIDTH).collect();
        if wave.is_empty() {
            return answers;
        }
        answers.extend(thread::scope(|scope| {
            let senders: Vec<_> = wave
                .into_iter()
                .map(|(address, call)| scope.spawn(move || send_from(origin, &address, call)))
                .collect();
            senders.into_iter().map(|sender| sender.join().expect("an answer")).collect::<Vec<_>>()
        }));
    }
}

fn send_from(origin: &str, address: &str, mut call: Call) -> Answer {
    call.headers.push(("CF-Connecting-IP".to_owned(), address.to_owned()));
    send(origin, call)
}

/// A call that needs the key, from somebody who knows the owner's public key and has this for the private one.
fn regions(private: &str) -> Call {
    let call = request("2026-07-28", "owner", "tools/call", json!({"name": "tidbcloud_list_regions"}));
    call.set("X-TiDB-API-Private-Key", private)
}

fn wrong(number: usize) -> String {
    format!("canary-wrong-private-key-{number}")
}

/// Whether TiDB Cloud was asked and refused the key. Else it was not asked: there were too many refusals, or the limiter did
/// not answer within its 300 ms, which a busy machine can bring about.
fn was_refused(answer: &Answer) -> bool {
    if matches!(answer.status, 429 | 503) {
        return false;
    }
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    match answer.json()["result"]["structuredContent"]["error"]["code"].as_str() {
        Some("UNAUTHENTICATED_UPSTREAM") => true,
        Some("RATE_LIMITED" | "STORAGE_UNAVAILABLE") => false,
        other => panic!("{other:?}"),
    }
}

/// How often TiDB Cloud refused wrong keys from these addresses: many at once, and then one after the other until the limit
/// is reached.
fn refusals(worker: &Worker, addresses: &[String]) -> usize {
    let calls = addresses.iter().enumerate().map(|(number, address)| (address.clone(), regions(&wrong(number))));
    let mut refused = at_once(&worker.origin, calls.collect()).iter().filter(|answer| was_refused(answer)).count();
    for address in addresses.iter().cycle().take(300) {
        let answer = send_from(&worker.origin, address, regions(&wrong(99)));
        if answer.status == 429 {
            return refused;
        }
        refused += usize::from(was_refused(&answer));
    }
    panic!("no limit was reached: {refused} were refused");
}

fn many(first: usize) -> Vec<String> {
    (0..80).map(|number| format!("203.0.113.{}", first + number)).collect()
}

#[test]
fn sec_005_a_key_is_refused_no_more_often_however_many_try_at_once() {
    let state = tempfile::tempdir().expect("a directory");
    let worker = Worker::start(state.path());
    let started = Instant::now();
    let one = refusals(&worker, &vec!["203.0.113.20".to_owned(); 25]);
    let others = refusals(&worker, &many(100));
    drop(worker);
    let worker = Worker::start(state.path());
    let again = send_from(&worker.origin, "198.51.100.1", regions(&wrong(1)));
    println!("{one} and {others} refused, then {} after {:?}", again.status, started.elapsed());
    if started.elapsed().as_secs() < 60 {
        assert_eq!((one, others, again.status), (5, 25, 429), "a restart forgets isolates, not refusals");
    }
}

#[test]
fn sec_007_a_pair_that_was_taken_passes_while_strangers_are_held_up() {
    let state = tempfile::tempdir().expect("a directory");
    let right = || regions(&keys("owner").1);
    let takes = |answer: &Answer| answer.json()["result"]["structuredContent"]["regions"].is_array();
    let worker = Worker::start(state.path());
    assert!(takes(&send_from(&worker.origin, "198.51.100.1", right())));
    let mut running = Some(worker);
    for number in 2..4 {
        let worker = running.take().unwrap_or_else(|| Worker::start(state.path()));
        refusals(&worker, &many(100));
        // Many at once, most of them before this isolate knows the pair.
        let calls = (0..WIDTH / 2).map(|_| (format!("198.51.100.{number}"), right())).collect();
        let answers = at_once(&worker.origin, calls);
        assert!(answers.iter().all(|answer| answer.status == 503 || takes(answer)), "Worker {number}");
        assert!(takes(&send_from(&worker.origin, "198.51.100.9", right())), "Worker {number}");
    }
}

#[test]
fn sec_018_wrong_access_keys_meet_a_limit_that_outlives_a_restart() {
    let state = tempfile::tempdir().expect("a directory");
    let private = keys("owner").1;
    let variables = format!(
        "TIDB_CLOUD_PUBLIC_KEY = \"SBXOWNER\"\nTIDB_CLOUD_PRIVATE_KEY = \"{private}\"\nMCP_ACCESS_KEY = \"{ACCESS_KEY}\""
    );
    let with_bearer = |token: &str| {
        let call = request("2026-07-28", "owner", "tools/list", json!({})).without("X-TiDB-API-Public-Key");
        call.without("X-TiDB-API-Private-Key").and("Authorization", &format!("Bearer {token}"))
    };
    let guess = |worker: &Worker, count: usize| {
        let calls = (0..count).map(|number| ("203.0.113.40".to_owned(), with_bearer(&wrong(number)))).collect();
        let answers = at_once(&worker.origin, calls);
        assert!(answers.iter().all(|answer| matches!(answer.status, 401 | 429)));
        answers.iter().filter(|answer| answer.status == 401).count()
    };
    let worker = Worker::with_variables(state.path(), &variables);
    let started = Instant::now();
    // 30 at once, one every two seconds after that, and one more for the request that straddles the end.
    let first = guess(&worker, 300);
    let most = 31 + started.elapsed().as_secs() as usize / 2;
    assert!((30..=most).contains(&first), "{first} of 300, at most {most}");
    assert_eq!(send_from(&worker.origin, "203.0.113.40", with_bearer(ACCESS_KEY)).status, 200);
    drop(worker);
    let worker = Worker::with_variables(state.path(), &variables);
    let again = guess(&worker, 100);
    println!("{first} and, {:?} after the first, {again} were told that they are wrong", started.elapsed());
    // Nine that the first isolate did not tell of, and nine of the second; ten more where the limiter was too slow to hear.
    assert!(again < 30 || started.elapsed().as_secs() >= 60, "{again}");
    assert_eq!(send_from(&worker.origin, "203.0.113.40", with_bearer(ACCESS_KEY)).status, 200);
}
