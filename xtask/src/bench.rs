//! `cargo xtask bench`: the cost of a request, compared with a Worker that does nothing, in one run.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::{
    build,
    dev::{PRIVATE_KEY, PUBLIC_KEY},
    http::{self, Connection},
    process,
    services::{self, Service},
    setup::{self, Part, Tools},
    test::{Directory, sandbox_in},
};

/// Requests to each of the Workers in a round; the rounds alternate, so that both meet the same machine.
const ROUND: usize = 500;
const ROUNDS: usize = 6;
/// Client addresses in use. The limit is 100 requests a minute for each: a warming one and
/// `ROUND * ROUNDS / ADDRESSES = 50` measured ones stay below it.
const ADDRESSES: usize = 60;

const VERSION: &str = "2026-07-28";

/// Prints two tables.
pub(crate) fn run(root: &Path) -> Result<(), String> {
    if !Path::new("/proc/self/stat").exists() {
        return Err("bench reads the processor time of workerd from /proc, which this system does not have".to_owned());
    }
    let tools = setup::run(root, Part::DEV)?;
    build::run(root, &tools)?;
    let directory = Directory::temporary();
    let sandbox = sandbox_in(&tools, &directory, None)?;
    let start = |config, ready| {
        services::start_workerd(&tools, services::free_port()?, config, ready, &sandbox.origin(), &directory.0)
    };
    let (bare, hop, ours) = (start("bare", "/")?, start("hop", "/")?, start("ours", "/livez")?);
    cpu(&tools, [("bare JavaScript", &bare), ("the same with a limiter hop", &hop), ("this Worker", &ours)])?;
    upstream(&ours, &sandbox)
}

fn cpu(tools: &Tools, workers: [(&'static str, &Service); 3]) -> Result<(), String> {
    let tick = process::output(tools.command("getconf").arg("CLK_TCK"))?;
    let micros_per_tick = 1_000_000 / tick.trim().parse::<u64>().map_err(|error| format!("CLK_TCK: {error}"))?;
    let mut sides = Vec::new();
    for (name, service) in workers {
        let process = workerd_of(service.process.group())?;
        sides.push((name, process, Connection::open(service.port)?, 0_u64));
    }
    let call = Call::new("tools/list", json!({}));
    for (name, _, connection, _) in &mut sides {
        for address in 0..ADDRESSES {
            call.send(connection, address).map_err(|error| format!("{name}: {error}"))?;
        }
    }
    for round in 0..ROUNDS {
        for (name, process, connection, ticks) in &mut sides {
            let before = processor_ticks(*process)?;
            for request in 0..ROUND {
                call.send(connection, (round * ROUND + request) % ADDRESSES)
                    .map_err(|error| format!("{name}: {error}"))?;
            }
            *ticks += processor_ticks(*process)? - before;
        }
    }
    let requests = u64::try_from(ROUND * ROUNDS).map_err(|error| error.to_string())?;
    let micros: Vec<u64> = sides.iter().map(|(.., ticks)| ticks * micros_per_tick / requests).collect();
    println!(
        "\nCPU of the workerd process for each POST of tools/list, {requests} requests to each in turns of {ROUND}"
    );
    let first = micros.first().copied().unwrap_or(1).max(1);
    for ((name, ..), micros) in sides.iter().zip(&micros) {
        println!("{name:<28} {micros:>6} µs {:>6.2}", *micros as f64 / first as f64);
    }
    Ok(())
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
        let call = Call::new("tools/call", json!({ "name": tool, "arguments": arguments }));
        call.send(&mut connection, 0)?;
        http::once(sandbox.port, "DELETE", "/_sandbox/requests", "")?;
        call.send(&mut connection, 0)?;
        let counted = http::once(sandbox.port, "GET", "/_sandbox/requests", "")?;
        let counted: Value = serde_json::from_slice(&counted.body).map_err(|error| format!("requests: {error}"))?;
        let count = counted.get("requests").and_then(Value::as_array).ok_or("the sandbox lists no requests")?.len();
        println!("{what:<30} {count:>3}");
    }
    Ok(())
}

/// A request of the stateless era, ready to be sent many times.
struct Call {
    method: &'static str,
    tool: Option<String>,
    body: String,
}

impl Call {
    fn new(method: &'static str, mut params: Value) -> Self {
        let tool = params.get("name").and_then(Value::as_str).map(str::to_owned);
        if let Some(params) = params.as_object_mut() {
            let meta = json!({
                "io.modelcontextprotocol/protocolVersion": VERSION,
                "io.modelcontextprotocol/clientCapabilities": {},
            });
            params.insert("_meta".to_owned(), meta);
        }
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
        Self { method, tool, body }
    }

    /// Sends it from the given client address and refuses any answer but a good one.
    fn send(&self, connection: &mut Connection, address: usize) -> Result<(), String> {
        let address = format!("203.0.113.{address}");
        let mut headers = vec![
            ("content-type", "application/json"),
            ("accept", "application/json, text/event-stream"),
            ("mcp-protocol-version", VERSION),
            ("mcp-method", self.method),
            ("cf-connecting-ip", &address),
            ("x-tidb-api-public-key", PUBLIC_KEY),
            ("x-tidb-api-private-key", PRIVATE_KEY),
        ];
        headers.extend(self.tool.as_deref().map(|tool| ("mcp-name", tool)));
        let answer = connection.send("POST", "/mcp", &headers, &self.body)?;
        let text = String::from_utf8_lossy(&answer.body);
        if answer.status != 200 || text.contains("\"isError\":true") || text.contains("\"error\":{") {
            return Err(format!("{} was answered {}: {text}", self.method, answer.status));
        }
        Ok(())
    }
}

/// The workerd process of a group: npm's program for it is a script that starts the real one.
fn workerd_of(group: u32) -> Result<u32, String> {
    let entries = fs::read_dir("/proc").map_err(|error| format!("/proc: {error}"))?;
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .find(|process| stat(*process).is_ok_and(|stat| stat.name == "workerd" && stat.group == group))
        .ok_or_else(|| "no workerd was started".to_owned())
}

fn processor_ticks(process: u32) -> Result<u64, String> {
    stat(process).map(|stat| stat.ticks)
}

/// The fields of `/proc/<pid>/stat` in use (proc_pid_stat(5)).
struct Stat {
    name: String,
    group: u32,
    /// User and system time of all threads.
    ticks: u64,
}

fn stat(process: u32) -> Result<Stat, String> {
    let path = format!("/proc/{process}/stat");
    let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    // The name is in parentheses and may hold any character; the fields after it are numbered from 3.
    let parsed = text.split_once('(').and_then(|(_, rest)| rest.rsplit_once(')')).and_then(|(name, rest)| {
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Stat { name: name.to_owned(), group: u32::try_from(field(5)?).ok()?, ticks: field(14)? + field(15)? })
    });
    parsed.ok_or_else(|| format!("cannot read {path}"))
}
