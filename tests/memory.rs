//! How much memory results take, counted by the allocator: a program of its own, because it counts everything.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test that meets what it does not expect fails"
)]

use std::{
    cell::{Cell, RefCell},
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use mcp_server_tidbcloud::{
    app::{App, Isolate},
    base::{
        clock::UnixMillis,
        future::Pending,
        http::{Head, Headers, Method, Response},
        secret::Secret,
    },
    config::Config,
    health,
    limits::ledger::Ledger,
    port::{
        Admission, Analytics, Ask, Assets, BodyError, DataPoint, FetchError, Flow, IncomingBody, Io, LimitKey, Limiter,
        LimiterFailure, Log, Outbound, Port, Readiness, Sink, StorageFailure, Store, Stream,
    },
    store::object::{Command, ObjectName, Reply, Stored, step},
    watch,
};
use peak_alloc::PeakAlloc;
use serde_json::{Value, json};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// What results may take in one request (docs/performance.md).
const RESULTS_BYTES_MAX: usize = 4 << 20;

/// What one request may take in all.
const REQUEST_BYTES_MAX: usize = 8 << 20;

/// A TiDB Cloud whose every statement gives as many rows of as many one-character values as were asked for, piece by
/// piece: nothing here holds an answer.
struct Endless {
    clock: Cell<u64>,
    rows: usize,
    columns: usize,
    /// A value is this text, so many times over, as JSON writes it.
    value: &'static str,
    repeated: usize,
    objects: RefCell<std::collections::BTreeMap<String, Stored>>,
}

impl Endless {
    fn new(rows: usize, columns: usize, value: &'static str, repeated: usize) -> Self {
        Self { clock: Cell::new(1_795_428_000_000), rows, columns, value, repeated, objects: RefCell::default() }
    }

    fn pour(&self, sink: &mut dyn Sink) -> Result<(), FetchError> {
        sink.begin(200);
        let mut more = true;
        let mut give = |text: &str| -> Result<bool, FetchError> {
            more = more && sink.take(text.as_bytes())? == Flow::More;
            Ok(more)
        };
        give("{\"types\":[")?;
        for column in 0..self.columns {
            give(if column == 0 { "" } else { "," })?;
            give(r#"{"name":"c","type":"VARCHAR","nullable":true}"#)?;
        }
        give("],\"rows\":[")?;
        for row in 0..self.rows {
            give(if row == 0 { "[" } else { "],[" })?;
            for column in 0..self.columns {
                give(if column == 0 { "\"" } else { ",\"" })?;
                for _ in 0..self.repeated {
                    give(self.value)?;
                }
                if !give("\"")? {
                    return Ok(());
                }
            }
        }
        give("]],\"rowsAffected\":null,\"sLastInsertID\":null}").map(drop)
    }
}

impl Endless {
    fn send(&self, request: &Outbound, sink: &mut dyn Sink) -> Result<Response, FetchError> {
        if request.url.path().ends_with("/v1beta/sql") {
            self.pour(sink)?;
            return Ok(Response::empty(200).with("tidb-session", "s"));
        }
        if !request.headers.has("authorization") {
            sink.begin(401);
            let challenge = r#"Digest realm="tidb.cloud", nonce="n", algorithm=MD5, qop="auth""#;
            return Ok(Response::empty(401).with("www-authenticate", challenge));
        }
        let cluster = json!({"clusterId": "7", "displayName": "shop", "state": "ACTIVE", "userPrefix": "p",
            "endpoints": {"public": {"host": "gateway01.tidbcloud.com", "port": 4000}}});
        sink.begin(200);
        sink.take(cluster.to_string().as_bytes())?;
        Ok(Response::empty(200))
    }
}

impl Io for Endless {
    fn exchange<'a>(&'a self, request: Outbound, sink: &'a mut dyn Sink) -> Pending<'a, Result<Response, FetchError>> {
        Box::pin(async move { self.send(&request, sink) })
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

impl Limiter for Endless {
    fn admit<'a>(&'a self, _: &'a LimitKey, ask: Ask) -> Pending<'a, Result<Admission, LimiterFailure>> {
        let (admission, _) = Ledger::default().admit(&ask, self.now());
        Box::pin(async move { Ok(admission) })
    }
}

impl Store for Endless {
    fn object<'a>(&'a self, name: &'a ObjectName, command: &'a Command) -> Pending<'a, Result<Reply, StorageFailure>> {
        let stored = self.objects.borrow_mut().remove(name.as_str());
        let (after, reply) = step(stored, self.now(), command.clone());
        self.objects.borrow_mut().extend(after.map(|after| (name.as_str().to_owned(), after)));
        Box::pin(async { Ok(reply) })
    }

    fn kept_secret(&self) -> Pending<'_, Result<Secret, StorageFailure>> {
        Box::pin(async { Ok(Secret::new("canary-server-secret-0123456789abcdef")) })
    }

    fn watch<'a>(&'a self, _: &'a watch::Event) -> Pending<'a, Result<Option<watch::Notice>, StorageFailure>> {
        Box::pin(async { Ok(None) })
    }
}

impl Readiness for Endless {
    fn readiness<'a>(&'a self, _: &'a health::Command) -> Pending<'a, Option<health::Reply>> {
        Box::pin(async { None })
    }
}

impl Assets for Endless {
    fn asset<'a>(&'a self, _: &'a str) -> Pending<'a, Option<Response>> {
        Box::pin(async { None })
    }
}

impl Analytics for Endless {
    fn is_on(&self) -> bool {
        false
    }

    fn write(&self, _: &DataPoint<'_>) {}
}

impl Stream for Endless {
    fn begin(&self, _: Response) {}

    fn send(&self, _: &str) {}
}

impl Log for Endless {
    fn write(&self, _: &str) {}
}

struct Body(Vec<u8>);

impl IncomingBody for Body {
    fn read(&mut self, _: usize, _: Duration) -> Pending<'_, Result<Vec<u8>, BodyError>> {
        let body = std::mem::take(&mut self.0);
        Box::pin(async { Ok(body) })
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("nothing here waits"),
    }
}

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
