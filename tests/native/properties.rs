//! What is true of every call in any trouble: ten thousand scripts of calls and trouble, each drawn from its seed.
//!
//! A seed is played alone, with its script, by
//!
//! ```console
//! $ SEED=1234 cargo test --test native properties::any_trouble -- --nocapture
//! ```
//!
//! What must be true of each call is in [`Bench::make`]; what must be true at the end, in [`Bench::recovers`].

use std::{
    env, panic,
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use mcp_server_tidbcloud::app::Isolate;
use serde_json::{Value, json};

use crate::{
    matrix::{self, Row},
    operation::{Bench, Operation, Told},
    support::{Driver, request},
    world::{Native, SANDBOX},
};

/// How many scripts are played.
const SEEDS: u64 = 10_000;
/// Seeds that failed and are told in full; one is enough to begin with.
const TOLD_MAX: usize = 3;

/// Numbers from a seed (SplitMix64).
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// One time in so many.
    fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        let count = u64::try_from(all.len()).expect("a count");
        &all[usize::try_from(self.below(count)).expect("an index")]
    }
}

/// What may happen before a call, besides the rows of the matrix.
fn trouble(draw: &mut Draw) -> Value {
    match draw.below(6) {
        0 => json!({"clock": i64::try_from(draw.below(7_200)).expect("seconds") - 3_600}),
        1 => json!({"latency": draw.below(4_000)}),
        2 => json!({"cold": true}),
        3 => json!({"limiter": draw.pick(&["overloaded", "unavailable"])}),
        4 => json!({"storage": draw.pick(&["fails", "loses"])}),
        _ => json!({"cut_off": draw.below(6)}),
    }
}

/// Any of the sandbox's own faults, at a share of all requests.
fn faults(draw: &mut Draw) -> Value {
    const KINDS: [&str; 16] = [
        "delay",
        "drop",
        "half_close",
        "stall",
        "reset",
        "status",
        "garbage",
        "truncate",
        "stall_body",
        "length",
        "endless",
        "slow",
        "bad_gzip",
        "bad_chunks",
        "stale_nonce",
        "rate_limit",
    ];
    let kinds: Vec<_> = (0..=draw.below(3)).map(|_| *draw.pick(&KINDS)).collect();
    let (seed, rate) = (draw.next(), draw.pick(&[0.1, 0.3, 0.6]));
    json!({"seed": seed, "rate": rate, "kinds": kinds})
}

/// Plays the script of a seed.
fn play(seed: u64, rows: &[Row], tells: bool) {
    let mut draw = Draw(seed);
    let mut bench = Bench::warm();
    if draw.one_in(4) {
        bench = bench.warm_for_sql();
    }
    // Once each: a page and a code are used up.
    let mut once = None;
    if draw.one_in(10) {
        bench = bench.with_page();
        once = Some(Operation::Consent);
    } else if draw.one_in(10) {
        bench = bench.with_code();
        once = Some(Operation::Redeem);
    }
    let tell = |line: String| {
        if tells {
            println!("{line}")
        }
    };
    for number in 1..=3 + draw.below(4) {
        let operation = match once.filter(|_| draw.one_in(3)) {
            Some(operation) => once.take().unwrap_or(operation),
            None => *draw.pick(&Operation::ALL[..Operation::ALL.len() - 2]),
        };
        let needs_spare = matches!(operation, Operation::Update | Operation::Delete);
        let operation = if needs_spare && !bench.has_spare() { Operation::Read } else { operation };
        let place = format!("seed {seed}, call {number} ({})", operation.name());
        let mut cut_off = None;
        if draw.one_in(2) {
            bench.calm();
        }
        let row = draw.pick(rows);
        if draw.one_in(3) && row.concerns(operation) {
            // Alone: after another trouble, an answer that is made up could contradict what happened.
            bench.calm();
            tell(format!("{place}: row {} of the matrix", row.number));
            cut_off = matrix::strike(&mut bench, operation, &row.script);
        } else if draw.one_in(2) {
            let order = faults(&mut draw);
            tell(format!("{place}: faults {order}"));
            bench.server.admin("POST", "/_sandbox/faults", Some(order));
        }
        if draw.one_in(3) {
            let trouble = trouble(&mut draw);
            tell(format!("{place}: {trouble}"));
            cut_off = matrix::strike(&mut bench, operation, &[trouble]).or(cut_off);
        }
        let made = bench.make(operation, number, &place, cut_off);
        tell(format!("{place}: {} in {} ms\n    {}", made.outcome, made.millis, made.saw.join("\n    ")));
        if operation == Operation::Delete && made.told != Told::NotDone {
            bench.spare = bench.another_spare();
        }
        bench.server.advance(draw.below(20));
    }
    bench.recovers(Operation::Write, &format!("seed {seed}"));
}

#[test]
fn any_trouble() {
    let rows: Vec<_> = matrix::rows("faults.tsv");
    let takes_token = |row: &Row| row.script.iter().any(|part| part.get("token").is_some());
    let rows: Vec<_> = rows.into_iter().filter(|row| !row.script.is_empty() && !takes_token(row)).collect();
    if let Some(seed) = env::var("SEED").ok().and_then(|seed| seed.parse().ok()) {
        play(seed, &rows, true);
        return;
    }
    let (rows, next) = (&rows[..], AtomicU64::new(0));
    let worker = || {
        let mut failed = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= SEEDS {
                return failed;
            }
            if let Err(panic) = panic::catch_unwind(|| play(seed, rows, false)) {
                failed.push((seed, panic.downcast_ref::<String>().cloned().unwrap_or_default()));
            }
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let mut failed: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("a worker that ends")).collect()
    });
    failed.sort();
    let told = failed.iter().take(TOLD_MAX).map(|(seed, problem)| {
        format!("{problem}\n  replay: SEED={seed} cargo test --test native properties::any_trouble -- --nocapture\n")
    });
    let told: String = told.collect();
    assert!(failed.is_empty(), "{} of {SEEDS} seeds failed:\n{told}", failed.len());
}

/// Whatever isolates ask for an address, and whenever they end: never more calls than the policy admits from the first on.
#[test]
fn the_limit_of_an_address_is_never_exceeded() {
    for seed in 0..200 {
        let mut draw = Draw(seed);
        let permits = 5 + draw.below(56);
        let limit = permits.to_string();
        let mut server = Native::with(&[("TIDB_CLOUD_SANDBOX", SANDBOX), ("RATE_LIMIT_PER_MINUTE", &limit)]);
        let mut others: Vec<_> = (0..=draw.below(3)).map(|_| Isolate::new()).collect();
        let (begin, mut admitted) = (server.world.clock.get(), 0);
        for number in 0..100 {
            if draw.one_in(3) {
                let other =
                    usize::try_from(draw.below(u64::try_from(others.len()).expect("a count"))).expect("an index");
                std::mem::swap(&mut server.isolate, &mut others[other]);
            }
            if draw.one_in(30) {
                server.restart();
            }
            let pause = if draw.one_in(20) { draw.below(20_000) } else { draw.below(200) };
            let now = server.world.clock.get() + pause;
            server.world.clock.set(now);
            admitted += u64::from(server.send(request("2026-07-28", "owner", "ping", json!({}))).status != 429);
            // Of a whole minute all permits, and those of the time since the first call, in thousandths.
            let most = permits * 60_000 + permits * (now - begin);
            assert!(
                admitted * 60_000 <= most,
                "seed {seed}, call {number}: an address with {permits} permits a minute got {admitted} in {} ms",
                now - begin
            );
        }
        // What an isolate had taken ahead may end with it.
        assert!(admitted * 2 >= permits, "seed {seed}: what the policy admits is there: {admitted} of {permits}");
    }
}
