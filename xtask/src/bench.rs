//! `cargo xtask bench`: the cost of a request, compared with a Worker that does nothing, in one run.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    build,
    dev::{PRIVATE_KEY, PUBLIC_KEY},
    http::{self, Connection},
    measure::{Call, check_measurable, percentiles, processor_micros, workerd_of},
    services::{self, Service},
    setup::{self, Part},
    test::{Directory, sandbox_in},
};

/// Requests to each of the Workers in a round; the rounds alternate, so that both meet the same machine.
const ROUND: usize = 500;
const ROUNDS: usize = 6;
/// Client addresses in use. The limit is 100 requests a minute for each: a warming one and
/// `ROUND * ROUNDS / ADDRESSES = 50` measured ones stay below it.
const ADDRESSES: usize = 60;

/// The load: connections that each send the next request when they have the answer, in turns of this many seconds.
const CONNECTIONS: u32 = 8;
const TURN: Duration = Duration::from_secs(5);
const TURNS: u32 = 3;
/// Requests from one address, of 100 a minute.
const FROM_ADDRESS: u32 = 60;

const KEYS: (&str, &str) = (PUBLIC_KEY, PRIVATE_KEY);

/// Prints three tables.
pub(crate) fn run(root: &Path) -> Result<(), String> {
    check_measurable("bench")?;
    let tools = setup::run(root, Part::DEV)?;
    build::run(root, &tools)?;
    let directory = Directory::temporary();
    let sandbox = sandbox_in(&tools, &directory, None)?;
    let start = |config, ready| {
        services::start_workerd(&tools, services::free_port()?, config, ready, &sandbox.origin(), &directory.0, None)
    };
    let (bare, hop, ours) = (start("bare", "/")?, start("hop", "/")?, start("ours", "/livez")?);
    cpu([("bare JavaScript", &bare), ("the same with a limiter hop", &hop), ("this Worker", &ours)])?;
    load([("bare JavaScript", &bare), ("this Worker", &ours)])?;
    upstream(&ours, &sandbox)
}

fn cpu(workers: [(&'static str, &Service); 3]) -> Result<(), String> {
    let mut sides = Vec::new();
    for (name, service) in workers {
        let process = workerd_of(service.process.group())?;
        sides.push((name, process, Connection::open(service.port)?, 0_u64));
    }
    let call = Call::new("tools/list", json!({}));
    for (name, _, connection, _) in &mut sides {
        for address in 0..ADDRESSES {
            call.send(connection, &format!("203.0.113.{address}"), KEYS).map_err(|error| format!("{name}: {error}"))?;
        }
    }
    for round in 0..ROUNDS {
        for (name, process, connection, micros) in &mut sides {
            let before = processor_micros(*process)?;
            for request in 0..ROUND {
                let address = format!("203.0.113.{}", (round * ROUND + request) % ADDRESSES);
                call.send(connection, &address, KEYS).map_err(|error| format!("{name}: {error}"))?;
            }
            *micros += processor_micros(*process)?.saturating_sub(before);
        }
    }
    let requests = u64::try_from(ROUND * ROUNDS).map_err(|error| error.to_string())?;
    let micros: Vec<u64> = sides.iter().map(|(.., micros)| micros / requests).collect();
    println!(
        "\nCPU of the workerd process for each POST of tools/list, {requests} requests to each in turns of {ROUND}"
    );
    let first = micros.first().copied().unwrap_or(1).max(1);
    for ((name, ..), micros) in sides.iter().zip(&micros) {
        println!("{name:<28} {micros:>6} µs {:>6.2}", *micros as f64 / first as f64);
    }
    Ok(())
}

/// How much each Worker serves, and how long a request waits, while eight clients never pause.
fn load(workers: [(&'static str, &Service); 2]) -> Result<(), String> {
    let mut waits = workers.map(|_| Vec::new());
    for turn in 0..TURNS {
        for ((_, service), waits) in workers.iter().zip(&mut waits) {
            let of_turn = thread::scope(|scope| {
                let clients: Vec<_> =
                    (0..CONNECTIONS).map(|client| scope.spawn(move || never_pause(service, turn, client))).collect();
                clients.into_iter().map(|client| client.join().map_err(|_| "a client ended".to_owned())?).collect()
            });
            let of_turn: Result<Vec<Vec<u64>>, String> = of_turn;
            waits.extend(of_turn?.concat());
        }
    }
    println!("\nLoad of {CONNECTIONS} clients that never pause, POST of tools/list, turns of {} s", TURN.as_secs());
    println!("{:<28} {:>10} {:>8} {:>8} {:>8}", "", "requests/s", "p50 µs", "p95 µs", "p99 µs");
    for ((name, _), waits) in workers.iter().zip(&mut waits) {
        waits.sort_unstable();
        let [half, most, nearly_all] = percentiles(waits, [0.5, 0.95, 0.99]);
        let each_second = waits.len() as u64 / (TURN.as_secs() * u64::from(TURNS));
        println!("{name:<28} {each_second:>10} {half:>8} {most:>8} {nearly_all:>8}");
    }
    Ok(())
}

/// Microseconds that each request of one client waited.
fn never_pause(service: &Service, turn: u32, client: u32) -> Result<Vec<u64>, String> {
    let (call, mut connection) = (Call::new("tools/list", json!({})), Connection::open(service.port)?);
    let (started, mut waits) = (Instant::now(), Vec::new());
    for number in 0_u32.. {
        if started.elapsed() >= TURN {
            break;
        }
        let from = number / FROM_ADDRESS;
        let address = format!("10.{}.{}.{}", turn * CONNECTIONS + client, from / 256, from % 256);
        let sent = Instant::now();
        call.send(&mut connection, &address, KEYS)?;
        waits.push(u64::try_from(sent.elapsed().as_micros()).unwrap_or(u64::MAX));
    }
    Ok(waits)
}

/// The upstream requests of one call, after the same call has been made once.
fn upstream(ours: &Service, sandbox: &Service) -> Result<(), String> {
    let shop = services::sample_cluster(sandbox)?;
    let calls = [
        ("tidbcloud_get_cluster by id", "tidbcloud_get_cluster", json!({ "cluster": shop })),
        ("tidbcloud_get_cluster by name", "tidbcloud_get_cluster", json!({ "cluster": "shop" })),
        ("tidbcloud_list_clusters", "tidbcloud_list_clusters", json!({})),
        ("db_query by id", "db_query", json!({ "cluster": shop, "sql": "SELECT 1" })),
        ("db_query by name", "db_query", json!({ "cluster": "shop", "sql": "SELECT 1" })),
    ];
    let mut connection = Connection::open(ours.port)?;
    println!("\nUpstream requests of one warm call, as the sandbox counted them");
    for (what, tool, arguments) in calls {
        let call = Call::of_tool(tool, &arguments);
        call.send(&mut connection, "203.0.113.0", KEYS)?;
        http::once(sandbox.port, "DELETE", "/_sandbox/requests", "")?;
        call.send(&mut connection, "203.0.113.0", KEYS)?;
        let counted = http::once(sandbox.port, "GET", "/_sandbox/requests", "")?;
        let counted: Value = serde_json::from_slice(&counted.body).map_err(|error| format!("requests: {error}"))?;
        let count = counted.get("requests").and_then(Value::as_array).ok_or("the sandbox lists no requests")?.len();
        println!("{what:<30} {count:>3}");
    }
    Ok(())
}
