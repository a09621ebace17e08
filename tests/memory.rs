//! How much memory results take, counted by the allocator: a program of its own, because it counts everything.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test that meets what it does not expect fails"
)]

#[path = "support/endless.rs"]
mod endless;

use mcp_server_tidbcloud::{
    app::{App, Isolate},
    base::http::{Head, Headers, Method},
    config::Config,
    port::Port,
};
use peak_alloc::PeakAlloc;
use serde_json::{Value, json};

use self::endless::{Body, Endless, block_on};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// What results may take in one request (docs/performance.md).
const RESULTS_BYTES_MAX: usize = 4 << 20;

/// What one request may take in all.
const REQUEST_BYTES_MAX: usize = 8 << 20;

/// Calls `db_execute`; what it answered, and how far memory grew above what was there before.
fn execute(world: &Endless, config: &Config, isolate: &Isolate, sql: &[String]) -> (Value, usize) {
    let arguments = json!({"cluster": "7", "sql": sql});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "db_execute", "arguments": arguments}});
    let headers = Headers::from_iter([
        ("X-TiDB-API-Public-Key", "CANARY01"),
        ("X-TiDB-API-Private-Key", "5b000000-0000-4000-8000-0000000000aa"),
        ("Content-Type", "application/json"),
        ("MCP-Protocol-Version", "2025-11-25"),
        // Its plan is none, so the guard would ask a person.
        ("X-MCP-Unattended", "destroy"),
    ]);
    let head = Head::new(Method::Post, "http://127.0.0.1:8787/mcp", headers).expect("a URL");
    let mut body = Body(body.to_string().into_bytes());
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    let answer = block_on(App::new(config, isolate, Port::of(world)).handle(head, &mut body));
    let grew = ALLOCATOR.peak_usage() - before;
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    (serde_json::from_slice(&answer.body).expect("JSON"), grew)
}

#[test]
fn sec_002_results_take_less_than_four_megabytes_whatever_statements_give() {
    let settings = |name: &str| (name == "CREDENTIAL_LIMIT_PER_MINUTE").then(|| "1000000".to_owned());
    let config = Config::read(&settings).unwrap_or_else(|problems| panic!("{problems:?}"));
    for (rows, columns, value, repeated) in [
        (10_000, 100, "a", 1),
        (10_000, 1, "", 1),
        (10_000, 4_000, "0", 1),
        (3, 4_000, "\\u00e4\\n", 1),
        (1, 1, "xxxxxxxx", 1 << 20),
        (5_000, 2, "xxxxxxxx", 125),
    ] {
        let world = Endless::new(rows, columns, value, repeated);
        let isolate = Isolate::new();
        execute(&world, &config, &isolate, &["SELECT 1".to_owned()]);
        let sql = vec!["SELECT * FROM shop.orders".to_owned(); 20];
        let (answer, grew) = execute(&world, &config, &isolate, &sql);
        let result = &answer["result"]["structuredContent"];
        assert_eq!(result["statementCount"], 20, "{result}");
        assert!(result.to_string().len() <= 18_000);
        println!("20 x {rows} rows of {columns} values of {} bytes: {} KiB", value.len() * repeated, grew >> 10);
        assert!(grew < RESULTS_BYTES_MAX, "{grew} bytes for 20 x {rows} rows of {columns} values");
    }
    // The longest statements there are, of the shortest tokens: what reading a request takes.
    let world = Endless::new(10_000, 100, "a", 1);
    let isolate = Isolate::new();
    let (short, _) = execute(&world, &config, &isolate, &["SELECT 1".to_owned()]);
    assert_eq!(short["result"].get("isError"), None);
    let long = vec![format!("SELECT {}1", "1,".repeat(31_000)); 16];
    let (answer, grew) = execute(&world, &config, &isolate, &long);
    assert_eq!(answer["result"]["structuredContent"]["statementCount"], 16);
    println!("a request of {} KiB: {} KiB", long.concat().len() >> 10, grew >> 10);
    assert!(grew < REQUEST_BYTES_MAX, "{grew} bytes");
}
