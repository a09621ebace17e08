//! `cargo xtask soak`: minutes of steady use of one workerd, with somebody who sends ten times what the limit admits, and
//! what that cost.

use std::{
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    build,
    dev::{PRIVATE_KEY, PUBLIC_KEY},
    http::Connection,
    measure::{Call, check_measurable, percentiles, processor_micros, resident_kib, workerd_of},
    process,
    services::{self, Service},
    setup::{self, Part, Tools},
    test::{Directory, sandbox_in},
};

/// Clients, and how often each sends: 40 requests a second together.
const CLIENTS: u32 = 4;
const PAUSE: Duration = Duration::from_millis(100);
/// Addresses of each client: 10 requests a second are 50 a minute for each of them, half of what the limit admits.
const ADDRESSES: u32 = 12;
/// One request in 40 goes on to TiDB Cloud: one a second, half of them with the owner's keys, so 30 a minute of 80 that may.
const TO_TIDB_CLOUD: u32 = 40;
/// The sandbox's key pairs.
const OWNER: (&str, &str) = (PUBLIC_KEY, PRIVATE_KEY);
const VIEWER: (&str, &str) = ("SBXVIEWR", "5b000000-0000-4000-8000-0000000000bb");
const OTHER: (&str, &str) = ("SBXOTHER", "5b000000-0000-4000-8000-0000000000cc");

/// An address whose requests come ten times as fast as they are admitted, for two minutes: 100 a minute.
const FLOODER: &str = "198.51.100.1";
const ADMITTED_PER_MINUTE: f64 = 100.0;
const FLOOD_PAUSE: Duration = Duration::from_millis(60);
const FLOOD: Duration = Duration::from_secs(120);

/// Growth that is allowed after the first minute.
const GROWTH_KIB_MAX: u64 = 5 << 10;
/// How often memory is measured, after its garbage is collected.
const SAMPLE: Duration = Duration::from_secs(15);
const SETTLED: Duration = Duration::from_secs(60);

/// Requests of each kind whose cost is measured, in turns, and those before them that warm.
const ROUND: usize = 300;
const ROUNDS: usize = 9;
const WARMING: usize = 500;
/// Addresses of those that are admitted: each sends `(WARMING + ROUND * ROUNDS) / ADMITTED_ADDRESSES = 80` of the 100 that it may
/// at once.
const ADMITTED_ADDRESSES: usize = 40;
/// What a refusal may cost, in answers that it saves.
const REFUSAL_COST_MAX: f64 = 1.0;

/// What is checked: a sentence, and whether it holds.
pub(crate) type Check = (String, bool);

/// The minutes that a word says: at least three, of which the flood takes two.
pub(crate) fn minutes(word: &str) -> Result<u64, String> {
    word.parse()
        .ok()
        .filter(|minutes| *minutes >= 3)
        .ok_or_else(|| format!("soak takes 3 minutes or more, not {word:?}"))
}

/// Runs for this long, and prints what was found.
pub(crate) fn command(root: &Path, minutes: u64) -> Result<bool, String> {
    let tools = setup::run(root, Part::DEV)?;
    build::run(root, &tools)?;
    let checks = run(&tools, Duration::from_secs(60 * minutes))?;
    for (check, holds) in &checks {
        println!("{} {check}", if *holds { "ok" } else { "not ok" });
    }
    Ok(checks.iter().all(|(_, holds)| *holds))
}

/// Runs for this long against the Worker as built.
pub(crate) fn run(tools: &Tools, time: Duration) -> Result<Vec<Check>, String> {
    check_measurable("soak")?;
    let directory = Directory::temporary();
    let sandbox = sandbox_in(tools, &directory, None)?;
    let start = |config, ready, inspector| {
        let port = services::free_port()?;
        services::start_workerd(tools, port, config, ready, &sandbox.origin(), &directory.0, inspector)
    };
    let inspector = services::free_port()?;
    let (bare, ours) = (start("bare", "/", None)?, start("ours", "/livez", Some(inspector))?);
    let workerd = workerd_of(ours.process.group())?;
    let memory_now =
        || Ok::<_, String>(Memory { heap: heap_bytes(tools, inspector)? >> 10, resident: resident_kib(workerd)? });
    let shop = services::sample_cluster(&sandbox)?;
    let (started, seen, ended) = (Instant::now(), Seen::default(), AtomicBool::new(false));
    let mut memory = Vec::new();
    let memory = &mut memory;
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (seen, ended, ours, shop) = (&seen, &ended, &ours, shop.as_str());
            scope.spawn(move || seen.note(use_steadily(ours, client, shop, ended, seen)));
        }
        let (seen, ours) = (&seen, &ours);
        scope.spawn(move || seen.note(flood(ours, seen)));
        while started.elapsed() < time {
            thread::sleep(SAMPLE);
            memory.push((started.elapsed(), memory_now()));
        }
        ended.store(true, Ordering::Relaxed);
    });
    let mut checks = seen.checks(time);
    checks.push(grows_little(memory)?);
    checks.push(refusals_are_cheap(&bare, &ours)?);
    Ok(checks)
}

/// What clients saw.
#[derive(Default)]
struct Seen {
    problems: Mutex<Vec<String>>,
    /// Microseconds from request to answer of the steady clients.
    waits: Mutex<Vec<u64>>,
    admitted: AtomicU64,
    refused: AtomicU64,
    /// Milliseconds that the flood took.
    flooded: AtomicU64,
}

impl Seen {
    fn note(&self, outcome: Result<(), String>) {
        if let Err(problem) = outcome
            && let Ok(mut problems) = self.problems.lock()
        {
            problems.push(problem);
        }
    }

    fn checks(&self, time: Duration) -> Vec<Check> {
        let mut waits = self.waits.lock().map(|waits| waits.clone()).unwrap_or_default();
        waits.sort_unstable();
        let [half, most, nearly_all] = percentiles(&waits, [0.5, 0.95, 0.99]);
        let problems = self.problems.lock().map(|problems| problems.clone()).unwrap_or_default();
        for problem in problems.iter().take(5) {
            println!("{problem}");
        }
        let steady = format!(
            "{} requests in {} s without an error; p50 {half} µs, p95 {most} µs, p99 {nearly_all} µs; {} problems",
            waits.len(),
            time.as_secs(),
            problems.len()
        );
        let (admitted, refused) = (self.admitted.load(Ordering::Relaxed), self.refused.load(Ordering::Relaxed));
        let minutes = self.flooded.load(Ordering::Relaxed) as f64 / 60_000.0;
        // All at once in the beginning, and then what comes back.
        let most = ADMITTED_PER_MINUTE * (1.0 + minutes) + 1.0;
        let flood = format!(
            "of {} requests at ten times the limit {admitted} were admitted and answered, {most:.0} at most",
            admitted + refused
        );
        // A tenth less: the limit's own replies take time on a busy machine.
        vec![
            (steady, problems.is_empty() && !waits.is_empty()),
            (flood, admitted as f64 <= most && admitted as f64 >= 0.9 * ADMITTED_PER_MINUTE * (1.0 + minutes)),
        ]
    }
}

/// One client, from many addresses, until the end.
fn use_steadily(ours: &Service, client: u32, shop: &str, ended: &AtomicBool, seen: &Seen) -> Result<(), String> {
    let list = Call::new("tools/list", json!({}));
    let clusters = Call::of_tool("tidbcloud_list_clusters", &json!({}));
    let query = Call::of_tool("db_query", &json!({ "cluster": shop, "sql": "SELECT COUNT(*) FROM shop.orders" }));
    let mut connection = Connection::open(ours.port)?;
    for number in 0_u32.. {
        if ended.load(Ordering::Relaxed) {
            break;
        }
        let address = format!("203.0.{client}.{}", number % ADDRESSES);
        let turn = (number + client * TO_TIDB_CLOUD / CLIENTS) / TO_TIDB_CLOUD;
        // Only the owner has the sample data.
        let (keys, upstream) = match turn % 4 {
            0 => (OWNER, &query),
            1 => (OWNER, &clusters),
            2 => (VIEWER, &clusters),
            _ => (OTHER, &clusters),
        };
        let call = if number.is_multiple_of(TO_TIDB_CLOUD) { upstream } else { &list };
        let sent = Instant::now();
        call.send(&mut connection, &address, keys)?;
        if let Ok(mut waits) = seen.waits.lock() {
            waits.push(u64::try_from(sent.elapsed().as_micros()).unwrap_or(u64::MAX));
        }
        thread::sleep(PAUSE.saturating_sub(sent.elapsed()));
    }
    Ok(())
}

/// One address that sends ten times as much as it may.
fn flood(ours: &Service, seen: &Seen) -> Result<(), String> {
    let (list, started) = (Call::new("tools/list", json!({})), Instant::now());
    let mut connection = Connection::open(ours.port)?;
    while started.elapsed() < FLOOD {
        let sent = Instant::now();
        match list.send_as(&mut connection, FLOODER, OWNER)?.status {
            200 => seen.admitted.fetch_add(1, Ordering::Relaxed),
            429 => seen.refused.fetch_add(1, Ordering::Relaxed),
            status => return Err(format!("the flood was answered {status}")),
        };
        thread::sleep(FLOOD_PAUSE.saturating_sub(sent.elapsed()));
    }
    let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    seen.flooded.store(millis, Ordering::Relaxed);
    Ok(())
}

/// What a workerd process holds, in KiB: what is left of its heap without garbage, wasm's memory included, and all that is
/// resident.
struct Memory {
    heap: u64,
    resident: u64,
}

/// Bytes of a heap without its garbage.
fn heap_bytes(tools: &Tools, inspector: u16) -> Result<u64, String> {
    let mut command = tools.node();
    let text = process::output(command.arg("bench/heap.mjs").arg(inspector.to_string()))?;
    text.trim().parse().map_err(|_| format!("bench/heap.mjs printed {text:?}"))
}

/// Compares what is held after the first minute with what is held at the end.
fn grows_little(memory: &[(Duration, Result<Memory, String>)]) -> Result<Check, String> {
    let series: Vec<_> =
        memory.iter().map(|(at, held)| held.as_ref().map(|held| (*at, held))).collect::<Result<_, _>>()?;
    for (at, Memory { heap, resident }) in &series {
        println!("{:>4} s: heap {heap} KiB, resident {resident} KiB", at.as_secs());
    }
    let settled = series.iter().find(|(at, _)| *at >= SETTLED).ok_or("nothing was measured after the first minute")?;
    let (before, after) = (settled.1.heap, series.last().map_or(0, |(_, held)| held.heap));
    let check = format!("heap after a minute {before} KiB, at the end {after} KiB, {GROWTH_KIB_MAX} more at most");
    Ok((check, after <= before + GROWTH_KIB_MAX))
}

/// The address that a request of this number comes from.
type AddressOf<'a> = &'a dyn Fn(usize) -> String;

/// The processor time of a refusal beside that of the cheapest answer that it saves, in turns: the median of the rounds. What a
/// Worker that does nothing takes is printed and not judged: it depends on the machine more than what either of ours does.
fn refusals_are_cheap(bare: &Service, ours: &Service) -> Result<Check, String> {
    let list = Call::new("tools/list", json!({}));
    let flooder = |_| FLOODER.to_owned();
    let admitted = |number: usize| format!("203.0.{CLIENTS}.{}", number % ADMITTED_ADDRESSES);
    let kinds: [(&Service, u16, AddressOf); 3] = [(bare, 200, &flooder), (ours, 200, &admitted), (ours, 429, &flooder)];
    let mut sides = Vec::new();
    for (service, expected, address) in kinds {
        let (process, mut connection) = (workerd_of(service.process.group())?, Connection::open(service.port)?);
        // Uses up what came back since the flood, and warms the others.
        for number in 0..WARMING {
            list.send_as(&mut connection, &address(number), OWNER)?;
        }
        sides.push((process, connection, expected, address, Vec::new()));
    }
    for _ in 0..ROUNDS {
        for (process, connection, expected, address, micros) in &mut sides {
            let before = processor_micros(*process)?;
            let mut others = 0;
            for number in 0..ROUND {
                let status = list.send_as(connection, &address(number), OWNER)?.status;
                others += usize::from(status != *expected);
            }
            micros.push(processor_micros(*process)?.saturating_sub(before) / ROUND as u64);
            // A permit comes back every 600 ms.
            if others * 10 > ROUND {
                return Err(format!("{others} of {ROUND} requests were not answered {expected}"));
            }
        }
    }
    let mut medians = sides.into_iter().map(|(.., mut micros)| {
        micros.sort_unstable();
        let [median] = percentiles(&micros, [0.5]);
        median
    });
    let mut next = || medians.next().unwrap_or_default();
    let (bare, answer, refusal) = (next(), next(), next());
    let ratio = refusal as f64 / answer.max(1) as f64;
    let check = format!(
        "a refusal costs {refusal} µs of CPU, the tools/list that it refuses {answer} µs: {ratio:.2} times, \
         {REFUSAL_COST_MAX} at most; a request to a bare Worker {bare} µs"
    );
    Ok((check, ratio <= REFUSAL_COST_MAX))
}
