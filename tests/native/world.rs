//! The world around the service: a simulated clock, a sandbox, a limiter, and everything that was logged.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::{Future, poll_fn},
    path::PathBuf,
    pin::{Pin, pin},
    rc::Rc,
    sync::{LazyLock, OnceLock},
    task::{Context, Poll, Waker},
    time::Duration,
};

use mcp_server_tidbcloud::{
    app::{App, Isolate, Served, watch},
    base::{
        clock::UnixMillis,
        future::Pending,
        http::{Head, Headers, Method, Response},
        secret::Secret,
    },
    catalogue::{Advice, Bound, Credentials, Deployment, Entry, Item, Pace, Person, Stakes, code},
    circuit::{Circuit, Report, Verdict},
    config::Config,
    health::{self, Examinations},
    limits::ledger::Ledger,
    mcp::{
        outcome::{Answered, ToolError},
        tools::Definition,
    },
    port::{
        Admission, Analytics, Ask, Assets, BodyError, DataPoint, FIELDS, FetchError, Flow, IncomingBody, Io, LimitKey,
        LimitState, Limiter, LimiterFailure, Log, Outbound, Port, Readiness, RequestLog, Sink, StorageFailure, Store,
        Stream,
    },
    store::{
        confirmations,
        object::{self, Command, ObjectName, Reply},
    },
    tools,
    watch::{Event, Notice, Watch},
};
use serde_json::{Value, json};
use tidbcloud_sandbox::{
    control::{Sandbox, contract},
    exchange::{Course, Delivery, Request, SqlEffect, SqlOutcome, SqlTask, Step, Stop},
    sql::{Engine, Servers},
};

use crate::support::{Answer, Begun, Call, Driver, Streams, request};

/// 2026-11-23T10:00:00Z.
const START_MILLIS: u64 = 1_795_428_000_000;

/// The origin that `Config` names as sandbox; its requests never leave the process.
pub const SANDBOX: &str = "http://127.0.0.1:8788";

/// What the deployment's own secret is in these tests.
pub const SERVER_SECRET: &str = "canary-server-secret-0123456789abcdef";

/// Where SQL servers keep their data: a directory of its own for each, copied from a template with the sample data. Templates take
/// seconds to make, so all worlds share them, and the sandbox's own tests too, in this run and the next. In the target
/// directory that this program runs in, `target/debug/deps/name`: where it was compiled may be another checkout.
static SERVERS_ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
    let program = std::env::current_exe().expect("the path of this program");
    program.ancestors().nth(3).expect("a target directory").join("tmp/sql")
});

/// A line of the log is short: Workers Logs keeps 256 KB of each.
const LINE_BYTES_MAX: usize = 2_048;

/// As workerd gives bodies to a Worker: 64 KiB at most at once.
const PIECE_BYTES: usize = 64 << 10;

/// A piece of a body that is sent without end arrives every 10 ms, which is 50 Mbit/s.
const PIECE_MILLIS: u64 = 10;

/// A request that arrived at TiDB Cloud.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// When.
    pub millis: u64,
    pub method: String,
    /// Host, path and query.
    pub target: String,
    /// Whether it carried credentials: nothing is carried out without.
    pub has_credentials: bool,
    pub body: Vec<u8>,
    /// What it was answered, whether or not that arrived.
    pub status: u16,
}

/// Where alerts are posted to.
pub const WEBHOOK: &str = "https://hooks.example.com/services/canary-webhook-path?key=canary-webhook-key";

/// The receiver of alerts.
pub struct Receiver {
    /// What it answers, or how it fails to.
    pub answers: Result<u16, FetchError>,
    /// What was posted to it, and when.
    pub posts: Vec<(u64, Value)>,
}

/// Runs statements as a SQL server would.
pub type Database = Box<dyn FnMut(&SqlTask) -> SqlOutcome>;

/// Answers a request, at a time, as TiDB Cloud would.
pub type Upstream = Box<dyn FnMut(u64, &Request) -> (tidbcloud_sandbox::exchange::Response, Delivery)>;

/// A data point: index, words, numbers.
pub type Point = (String, Vec<String>, Vec<f64>);

/// The outside world, simulated.
pub struct World {
    pub clock: Cell<u64>,
    pub sandbox: RefCell<Sandbox>,
    pub log: RefCell<Vec<String>>,
    /// Whether there is somebody who keeps data points.
    pub has_analytics: Cell<bool>,
    pub points: RefCell<Vec<Point>>,
    pub limiter_fails: Cell<Option<LimiterFailure>>,
    servers: RefCell<Option<Servers>>,
    /// What the control plane did to SQL servers since the last statement.
    effects: RefCell<Vec<SqlEffect>>,
    ledgers: RefCell<BTreeMap<LimitKey, Ledger>>,
    circuits: RefCell<BTreeMap<String, Circuit>>,
    pub circuits_fail: Cell<bool>,
    /// What the watcher keeps.
    watch: RefCell<String>,
    pub watcher_fails: Cell<bool>,
    pub receiver: RefCell<Receiver>,
    /// What all isolates know together of whether the service works.
    pub examinations: RefCell<Examinations>,
    pub readiness_fails: Cell<bool>,
    /// What was asked of other hosts and of Durable Objects, in order: what Workers count as subrequests.
    pub subrequests: RefCell<Vec<String>>,
    /// What Durable Objects keep.
    pub objects: RefCell<BTreeMap<String, String>>,
    pub storage_fails: Cell<bool>,
    /// The command to an object, counted from the next one as 0, whose reply is lost; and whether it was carried out.
    pub loses_reply: Cell<Option<(usize, bool)>>,
    random: Cell<u64>,
    /// Bytes that were read of other hosts' answers.
    pub read: Cell<usize>,
    /// Every host that anything was sent to, with all that was sent.
    pub sent: RefCell<Vec<(String, String)>>,
    /// What TiDB Cloud was asked, in order.
    pub asked: RefCell<Vec<Asked>>,
    /// Runs statements in place of a SQL server.
    pub database: RefCell<Option<Database>>,
    /// Answers in place of the sandbox.
    pub upstream: RefCell<Option<Upstream>>,
    /// Each exchange with TiDB Cloud takes this many milliseconds, and what a fault adds.
    pub latency: Cell<u64>,
    /// Whether several calls share the clock: each waits for its turn, and none moves the clock for the others.
    is_shared: Cell<bool>,
    /// When the call that waits wants to go on.
    goes_on_at: Cell<Option<u64>>,
    /// The response to the current request, if it began before its answer: its head, and all events so far.
    stream: RefCell<Option<Response>>,
    /// How many requests of others arrive once a call has asked for a person's agreement, before it goes on.
    pub between: Cell<usize>,
    /// Whether a reply that an object holds back is waited for, and not only until the clock says so.
    is_live: Cell<bool>,
    /// A fault was asked for: answers need not be as published until it is taken back.
    spoiled: Cell<bool>,
}

impl World {
    pub fn new() -> Self {
        Self {
            clock: Cell::new(START_MILLIS),
            sandbox: RefCell::new(Sandbox::new(1)),
            log: RefCell::default(),
            has_analytics: Cell::new(false),
            points: RefCell::default(),
            limiter_fails: Cell::new(None),
            servers: RefCell::new(None),
            effects: RefCell::default(),
            ledgers: RefCell::default(),
            circuits: RefCell::default(),
            circuits_fail: Cell::new(false),
            watch: RefCell::default(),
            watcher_fails: Cell::new(false),
            receiver: RefCell::new(Receiver { answers: Ok(200), posts: Vec::new() }),
            examinations: RefCell::default(),
            readiness_fails: Cell::new(false),
            subrequests: RefCell::default(),
            objects: RefCell::default(),
            storage_fails: Cell::new(false),
            loses_reply: Cell::new(None),
            random: Cell::new(1),
            read: Cell::new(0),
            sent: RefCell::default(),
            asked: RefCell::default(),
            database: RefCell::default(),
            upstream: RefCell::default(),
            latency: Cell::new(0),
            is_shared: Cell::new(false),
            goes_on_at: Cell::new(None),
            stream: RefCell::default(),
            between: Cell::new(0),
            is_live: Cell::new(false),
            spoiled: Cell::new(false),
        }
    }

    /// One exchange with the sandbox, every answer of which must be as the published API says.
    fn exchange(&self, request: &Request) -> (tidbcloud_sandbox::exchange::Response, Delivery) {
        let now = self.clock.get();
        if let Some(upstream) = &mut *self.upstream.borrow_mut() {
            return upstream(now, request);
        }
        let step = self.sandbox.borrow_mut().handle(now, request);
        self.effects.borrow_mut().extend(self.sandbox.borrow_mut().take_effects());
        match step {
            Step::Answer(answer, delivery) => (answer, delivery),
            Step::Sql(task, delivery) => {
                let outcome = match &mut *self.database.borrow_mut() {
                    Some(database) => database(&task),
                    None => self.with_servers(|servers| servers.run(&task)),
                };
                (self.sandbox.borrow_mut().sql_done(now, task, outcome), delivery)
            }
        }
    }

    /// The log, as of one request.
    pub fn request_log(&self) -> &RequestLog<'_> {
        Box::leak(Box::new(RequestLog::new(self, self, 100)))
    }

    /// SQL servers start when the first statement needs one; what was to happen to them until then happens before it.
    fn with_servers<T>(&self, act: impl FnOnce(&Servers) -> T) -> T {
        let mut servers = self.servers.borrow_mut();
        let servers = servers.get_or_insert_with(|| {
            let engine = Engine::find().unwrap_or_else(|error| panic!("{error}"));
            Servers::new(engine, &SERVERS_ROOT).unwrap_or_else(|error| panic!("{error}"))
        });
        for effect in self.effects.take() {
            servers.apply(&effect);
        }
        act(servers)
    }
}

impl World {
    /// One request of the service to another host.
    async fn send(&self, request: Outbound, sink: &mut dyn Sink) -> Result<Response, FetchError> {
        if request.url.as_str() == WEBHOOK {
            return self.receive_alert(&request, sink).await;
        }
        assert_eq!(request.url.origin().ascii_serialization(), SANDBOX, "a request left for another host");
        let ends = self.clock.get() + millis(request.timeout);
        let (answer, delivery) = self.ask(request)?;
        self.pass_until(self.clock.get() + self.latency.get() + delivery.delay_millis, ends).await?;
        if let Course::Stops { after: None, how } = delivery.course {
            return Err(self.stopped(how, ends).await);
        }
        sink.begin(answer.status);
        self.receive(&answer.body, delivery.course, ends, sink).await?;
        Ok(Response { status: answer.status, headers: answer.headers.into_iter().collect(), body: Vec::new() })
    }

    /// One alert. The receiver's redirect leads to another host, so following it would be seen.
    async fn receive_alert(&self, request: &Outbound, sink: &mut dyn Sink) -> Result<Response, FetchError> {
        assert_eq!(request.method, Method::Post, "alerts are posted");
        assert_eq!(request.headers.get("content-type").as_deref(), Some("application/json"), "alerts are JSON");
        assert!(request.headers.get("authorization").is_none(), "no credential leaves with an alert");
        let body = serde_json::from_slice(request.body.as_deref().unwrap_or_default()).expect("JSON");
        self.receiver.borrow_mut().posts.push((self.clock.get(), body));
        let answers = self.receiver.borrow().answers;
        match answers {
            Ok(status) => {
                sink.begin(status);
                sink.take(b"ok")?;
                Ok(Response::empty(status).with("location", "https://elsewhere.example.com/"))
            }
            Err(FetchError::Timeout) => {
                self.pass(millis(request.timeout)).await;
                Err(FetchError::Timeout)
            }
            Err(error) => Err(error),
        }
    }

    /// Gives a body to `sink` as it arrives, as workerd would.
    async fn receive(&self, body: &[u8], course: Course, ends: u64, sink: &mut dyn Sink) -> Result<(), FetchError> {
        let (whole, half) = (body.len(), body.len() / 2);
        match course {
            Course::Whole => self.pieces(body, sink).map(drop),
            Course::Stops { after, how } => {
                let arrives = after.unwrap_or_default();
                if arrives >= whole {
                    return self.pieces(body, sink).map(drop);
                }
                match self.pieces(&body[..arrives], sink)? {
                    Flow::Enough => Ok(()),
                    Flow::More => Err(self.stopped(how, ends).await),
                }
            }
            // Less than there is: that ends the body.
            Course::Length(by) if by <= 0 => {
                let announced = whole.saturating_sub(usize::try_from(by.unsigned_abs()).expect("a length"));
                self.pieces(&body[..announced], sink).map(drop)
            }
            // More than there is: the rest never comes.
            Course::Length(_) => match self.pieces(body, sink)? {
                Flow::Enough => Ok(()),
                Flow::More => Err(self.stopped(Stop::Stall, ends).await),
            },
            Course::Endless => {
                let blanks = [b' '; PIECE_BYTES];
                let mut flow = self.pieces(&body[..whole.saturating_sub(1)], sink)?;
                while flow == Flow::More {
                    self.pass_until(self.clock.get() + PIECE_MILLIS, ends).await?;
                    flow = self.pieces(&blanks, sink)?;
                }
                Ok(())
            }
            Course::Slow(bytes) => {
                for (at, piece) in body.chunks(bytes).enumerate() {
                    if at > 0 {
                        self.pass_until(self.clock.get() + 1_000, ends).await?;
                    }
                    if self.pieces(piece, sink)? == Flow::Enough {
                        break;
                    }
                }
                Ok(())
            }
            // The checksum comes last.
            Course::BadGzip => self.pieces(body, sink).and(Err(FetchError::Unreachable)),
            Course::BadChunks => self.pieces(&body[..half], sink).and(Err(FetchError::Unreachable)),
        }
    }

    /// Gives bytes to `sink`, until it has enough.
    fn pieces(&self, bytes: &[u8], sink: &mut dyn Sink) -> Result<Flow, FetchError> {
        for piece in bytes.chunks(PIECE_BYTES) {
            self.read.set(self.read.get() + piece.len());
            if sink.take(piece)? == Flow::Enough {
                return Ok(Flow::Enough);
            }
        }
        Ok(Flow::More)
    }

    /// An answer that stops before its end.
    async fn stopped(&self, how: Stop, ends: u64) -> FetchError {
        match how {
            Stop::Close | Stop::HalfClose | Stop::Reset => FetchError::Unreachable,
            Stop::Stall => match self.pass_until(u64::MAX, ends).await {
                Ok(()) => FetchError::Unreachable,
                Err(error) => error,
            },
        }
    }

    /// Lets time pass until `moment`, or until the request ends.
    async fn pass_until(&self, moment: u64, ends: u64) -> Result<(), FetchError> {
        self.pass(moment.min(ends).saturating_sub(self.clock.get())).await;
        if moment > ends { Err(FetchError::Timeout) } else { Ok(()) }
    }

    /// What the sandbox makes of a request, and how its answer travels. Request and answer must be as published.
    fn ask(&self, request: Outbound) -> Result<(tidbcloud_sandbox::exchange::Response, Delivery), FetchError> {
        let mut target = request.url.path().to_owned();
        if let Some(query) = request.url.query() {
            target = format!("{target}?{query}");
        }
        let mut headers = Vec::new();
        for (name, value) in request.headers.iter() {
            headers.push((name.to_owned(), on_the_wire(value).ok_or(FetchError::Unreachable)?));
        }
        headers.push(("Host".to_owned(), "127.0.0.1:8788".to_owned()));
        let body = request.body.unwrap_or_default();
        self.subrequests.borrow_mut().push(target.clone());
        self.sent.borrow_mut().push((target.clone(), format!("{headers:?} {}", String::from_utf8_lossy(&body))));
        let sent =
            Request { method: request.method.as_str().to_owned(), target: target.clone(), headers, body: body.clone() };
        let published =
            target.trim_start_matches('/').split_once('/').filter(|(host, _)| host.ends_with(".tidbapi.com"));
        if let Some((host, path)) = published
            && let Err(problem) = contract::check_request(host, &sent.method, &format!("/{path}"), &body)
        {
            panic!("our {} {target} is not as published: {problem}", sent.method);
        }
        let (answer, delivery) = self.exchange(&sent);
        if let Some((host, path)) = published.filter(|_| !self.spoiled.get() && self.upstream.borrow().is_none())
            && let Err(problem) = contract::check(host, &sent.method, &format!("/{path}"), answer.status, &answer.body)
        {
            panic!("{} {target}: {problem}", sent.method);
        }
        self.asked.borrow_mut().push(Asked {
            millis: self.clock.get(),
            has_credentials: sent.header("authorization").is_some(),
            status: answer.status,
            method: sent.method,
            target: target.trim_start_matches('/').to_owned(),
            body: sent.body,
        });
        Ok((answer, delivery))
    }

    /// Lets time pass for a call: at once, or when it is its turn.
    async fn pass(&self, millis: u64) {
        let until = self.clock.get() + millis;
        if !self.is_shared.get() {
            self.clock.set(until);
            return;
        }
        while self.clock.get() < until {
            self.goes_on_at.set(Some(until));
            pending_once().await;
        }
    }
}

/// A duration in milliseconds.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).expect("short")
}

impl Io for World {
    fn exchange<'a>(&'a self, request: Outbound, sink: &'a mut dyn Sink) -> Pending<'a, Result<Response, FetchError>> {
        Box::pin(self.send(request, sink))
    }

    fn now(&self) -> UnixMillis {
        UnixMillis(self.clock.get())
    }

    fn circuit<'a>(&'a self, name: &'a str, report: &'a Report) -> Pending<'a, Option<Verdict>> {
        Box::pin(async move {
            self.subrequests.borrow_mut().push(format!("circuit {name}"));
            let mut circuits = self.circuits.borrow_mut();
            (!self.circuits_fail.get()).then(|| circuits.entry(name.to_owned()).or_default().step(self.now(), report))
        })
    }

    fn random(&self, bytes: &mut [u8]) {
        for byte in bytes {
            // SplitMix64: good enough to tell values apart, the same in every run.
            let mut state = self.random.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
            self.random.set(state);
            state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            *byte = (state >> 32) as u8;
        }
    }

    fn sleep(&self, duration: Duration) -> Pending<'_, ()> {
        Box::pin(self.pass(millis(duration)))
    }
}

impl Readiness for World {
    fn readiness<'a>(&'a self, command: &'a health::Command) -> Pending<'a, Option<health::Reply>> {
        Box::pin(async move {
            self.subrequests.borrow_mut().push("readiness".to_owned());
            let command = health::Command::of_text(&command.to_text()).expect("a command");
            (!self.readiness_fails.get()).then(|| self.examinations.borrow_mut().step(self.now(), &command))
        })
    }
}

impl Limiter for World {
    fn admit<'a>(&'a self, key: &'a LimitKey, ask: Ask) -> Pending<'a, Result<Admission, LimiterFailure>> {
        Box::pin(async move {
            self.subrequests.borrow_mut().push(key.0.clone());
            match self.limiter_fails.get() {
                Some(failure) => Err(failure),
                None => Ok(self.ledgers.borrow_mut().entry(key.clone()).or_default().admit(&ask, self.now()).0),
            }
        })
    }
}

impl World {
    /// One command to a stored object.
    fn step(&self, name: &ObjectName, command: &Command) -> Result<Reply, StorageFailure> {
        self.subrequests.borrow_mut().push(name.as_str().to_owned());
        let is_lost = match self.loses_reply.get() {
            Some((0, is_done)) => {
                self.loses_reply.set(None);
                Some(is_done)
            }
            Some((later, is_done)) => {
                self.loses_reply.set(Some((later - 1, is_done)));
                None
            }
            None => None,
        };
        if self.storage_fails.get() || is_lost == Some(false) {
            return Err(StorageFailure);
        }
        // As text, because that is how it is kept and how it travels.
        let stored =
            self.objects.borrow().get(name.as_str()).map(|text| serde_json::from_str(text).expect("stored JSON"));
        let command = serde_json::from_str(&serde_json::to_string(command).expect("JSON")).expect("a command");
        let (after, reply) = object::step(stored, self.now(), command);
        let mut objects = self.objects.borrow_mut();
        match after {
            Some(after) => objects.insert(name.as_str().to_owned(), serde_json::to_string(&after).expect("JSON")),
            None => objects.remove(name.as_str()),
        };
        if is_lost == Some(true) {
            return Err(StorageFailure);
        }
        Ok(serde_json::from_str(&serde_json::to_string(&reply).expect("JSON")).expect("a reply"))
    }
}

/// Whether this takes what a person agreed to.
fn takes(command: &Command) -> bool {
    use confirmations::Command::{Take, Use};
    matches!(command, Command::Confirmations(Take { .. } | Use { .. }))
}

impl Store for World {
    fn object<'a>(&'a self, name: &'a ObjectName, command: &'a Command) -> Pending<'a, Result<Reply, StorageFailure>> {
        Box::pin(async {
            let reply = self.step(name, command)?;
            match command.hold() {
                Some((hold, held)) if reply == held => {
                    // What happens meanwhile is up to the test.
                    if self.is_live.get() {
                        pending_once().await;
                    }
                    self.subrequests.borrow_mut().pop();
                    let reply = self.step(name, command)?;
                    if reply == held {
                        self.sleep(hold).await;
                    }
                    Ok(reply)
                }
                _ => {
                    let waits = if takes(command) { self.between.take() } else { 0 };
                    for _ in 0..waits {
                        pending_once().await;
                    }
                    Ok(reply)
                }
            }
        })
    }

    fn kept_secret(&self) -> Pending<'_, Result<Secret, StorageFailure>> {
        self.subrequests.borrow_mut().push("server-secret".to_owned());
        let secret = if self.storage_fails.get() { Err(StorageFailure) } else { Ok(Secret::new(SERVER_SECRET)) };
        Box::pin(async { secret })
    }

    fn watch<'a>(&'a self, event: &'a Event) -> Pending<'a, Result<Option<Notice>, StorageFailure>> {
        Box::pin(async move {
            self.subrequests.borrow_mut().push("watch".to_owned());
            if self.watcher_fails.get() {
                return Err(StorageFailure);
            }
            // As text, because that is how it is kept and how it travels.
            let mut watch = Watch::of_stored(Some(&self.watch.borrow()));
            let event = serde_json::from_str(&serde_json::to_string(event).expect("JSON")).expect("an event");
            let notice = watch.step(self.now(), &event);
            self.watch.replace(watch.to_stored());
            Ok(serde_json::from_str(&serde_json::to_string(&notice).expect("JSON")).expect("a notice"))
        })
    }
}

impl Assets for World {
    fn asset<'a>(&'a self, path: &'a str) -> Pending<'a, Option<Response>> {
        // The files themselves: the pages among them are filled in by the Worker.
        let file = crate::support::checkout().join("static").join(path.trim_start_matches('/'));
        let kind = if path.ends_with(".html") { "text/html; charset=utf-8" } else { "application/octet-stream" };
        Box::pin(async move {
            let body = std::fs::read(file).ok()?;
            Some(Response { body, ..Response::empty(200).with("content-type", kind) })
        })
    }
}

impl Stream for World {
    fn begin(&self, response: Response) {
        self.stream.replace(Some(response));
    }

    fn send(&self, text: &str) {
        let mut stream = self.stream.borrow_mut();
        stream.as_mut().expect("a stream that began").body.extend_from_slice(text.as_bytes());
    }
}

impl Analytics for World {
    fn is_on(&self) -> bool {
        self.has_analytics.get()
    }

    fn write(&self, point: &DataPoint<'_>) {
        let words = point.blobs.iter().map(|word| (*word).to_owned()).collect();
        self.points.borrow_mut().push((point.index.to_owned(), words, point.doubles.to_vec()));
    }
}

impl Log for World {
    fn write(&self, line: &str) {
        let members: serde_json::Map<String, Value> = serde_json::from_str(line).expect("a line is a JSON object");
        for name in members.keys() {
            assert!(FIELDS.iter().any(|(known, _)| known == name), "`{name}` is in no table of fields: {line}");
        }
        assert!(
            ["ts", "level", "event"].iter().all(|name| members.contains_key(*name)),
            "every line has these: {line}"
        );
        assert!(line.len() <= LINE_BYTES_MAX, "{} bytes: {line}", line.len());
        self.log.borrow_mut().push(line.to_owned());
    }
}

/// Nobody, who agrees to nothing.
pub struct Nobody {
    /// Whether the caller goes without a person.
    pub goes_without: bool,
}

impl Person for Nobody {
    fn hears(&self, _: Answered) {}

    fn is_absent(&self, _: &'static str) -> bool {
        self.goes_without
    }

    fn agrees<'c>(&'c self, _: &'c Bound<'c>) -> Pending<'c, Result<Option<Credentials>, ToolError>> {
        Box::pin(async { Err(ToolError::new(code::CONFIRMATION_REQUIRED, "Asked.").hint("Ask.")) })
    }

    fn keeps_place(&self) -> Pending<'_, Result<(), ToolError>> {
        Box::pin(async { Err(ToolError::fault("there is nobody to keep it for")) })
    }

    fn hands_out<'c>(&'c self, _: &'c Stakes, _: &'c [Item]) -> Pending<'c, Result<String, ToolError>> {
        Box::pin(async { Err(ToolError::fault("there is nobody to take it")) })
    }

    fn waits(&self) -> Pending<'_, Result<(), ToolError>> {
        Box::pin(async { Err(ToolError::fault("nobody was to be waited for")) })
    }

    fn hear<'c>(&'c self, _: &'c str, _: &'c Value) -> Pending<'c, ()> {
        Box::pin(async {})
    }

    fn cancel<'c>(&'c self, _: &'c str) -> Pending<'c, ()> {
        Box::pin(async {})
    }
}

impl Pace for Nobody {
    fn may_change(&self) -> Pending<'_, Result<(), u64>> {
        Box::pin(async { Ok(()) })
    }

    fn begins(&self) -> bool {
        true
    }

    fn ends(&self) {}
}

impl Deployment for Nobody {
    fn limits(&self) -> Pending<'_, Vec<(&'static str, LimitState)>> {
        Box::pin(async { Vec::new() })
    }

    fn checks(&self) -> Pending<'_, Vec<(&'static str, &'static str)>> {
        Box::pin(async { Vec::new() })
    }

    fn advice(&self) -> Option<Vec<Advice>> {
        None
    }
}

/// A header value as it arrives: the Fetch standard takes HTTP whitespace from both ends ("normalize"), and sends nothing
/// whose value holds NUL, CR, LF or what is no byte. <https://fetch.spec.whatwg.org/#concept-header-value>
fn on_the_wire(value: &str) -> Option<String> {
    let value = value.trim_matches(['\t', '\n', '\r', ' ']);
    let carried = |character: char| !matches!(character, '\0' | '\n' | '\r') && character <= '\u{ff}';
    value.chars().all(carried).then(|| value.to_owned())
}

/// A body that counts whether it was read.
struct Body<'a>(Vec<u8>, &'a Cell<bool>);

impl IncomingBody for Body<'_> {
    fn read(&mut self, bytes_max: usize, _timeout: Duration) -> Pending<'_, Result<Vec<u8>, BodyError>> {
        self.1.set(true);
        let body = std::mem::take(&mut self.0);
        Box::pin(async move { if body.len() > bytes_max { Err(BodyError::TooLarge) } else { Ok(body) } })
    }
}

/// The service in this process.
pub struct Native {
    pub world: Rc<World>,
    pub config: Rc<Config>,
    pub isolate: Isolate,
    /// Another isolate, for calls that may wait: what their client sends meanwhile need not reach the same.
    elsewhere: Rc<Isolate>,
    /// Whether the last request's body was read.
    pub body_read: Cell<bool>,
    /// Scheme and host of the requests.
    pub origin: String,
    address: Option<String>,
    /// The tools.
    pub tools: Served,
}

impl Native {
    pub fn new() -> Self {
        // Many of these tests are one client in a hurry: the limit per credential has tests of its own.
        Self::with(&[("TIDB_CLOUD_SANDBOX", SANDBOX), ("CREDENTIAL_LIMIT_PER_MINUTE", "1000000")])
    }

    /// A service with these settings.
    pub fn with(settings: &[(&str, &str)]) -> Self {
        let read = |name: &str| settings.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        let config = Config::read(&read).unwrap_or_else(|problems| panic!("{problems:?}"));
        Self {
            world: Rc::new(World::new()),
            config: Rc::new(config),
            isolate: Isolate::new(),
            elsewhere: Rc::default(),
            body_read: Cell::new(false),
            origin: "http://127.0.0.1:8787".to_owned(),
            address: None,
            tools: (&tools::ALL, tools::find),
        }
    }

    /// Puts objects back as they were stored.
    pub fn restore(&mut self, objects: &serde_json::Map<String, Value>) {
        let mut kept = self.world.objects.borrow_mut();
        for (name, stored) in objects {
            kept.insert(name.clone(), stored.to_string());
        }
    }

    /// From now on requests come from this address, as Cloudflare says it.
    pub fn behind(&mut self, address: &str) {
        self.address = Some(address.to_owned());
    }

    /// A request as the service sees it before its body.
    pub fn head(&self, call: &Call) -> Head {
        let mut headers = call.headers.iter().cloned().collect::<Headers>();
        if let Some(address) = &self.address {
            headers.set("CF-Connecting-IP", address);
        }
        let url = format!("{}{}", self.origin, call.target);
        Head::new(Method::parse(&call.method), &url, headers).expect("a URL")
    }
}

impl From<Response> for Answer {
    fn from(response: Response) -> Self {
        Self {
            status: response.status,
            headers: response.headers.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            body: response.body,
        }
    }
}

impl Native {
    /// One request, during which others can arrive: `meanwhile` is given the events so far each time that the service waits for
    /// the client, and says what else is sent then.
    pub fn converse(&self, call: Call, meanwhile: &mut dyn FnMut(&str) -> Option<Call>) -> Answer {
        self.body_read.set(false);
        let head = self.head(&call);
        let app = App::new(&self.config, &self.isolate, Port::of(&*self.world)).with_tools(self.tools);
        let mut body = Body(call.body, &self.body_read);
        let mut answering = pin!(app.handle(head, &mut body));
        let mut stream = None;
        loop {
            if let Some(answer) = self.world.poll(answering.as_mut(), &mut stream) {
                return answer;
            }
            if let Some(other) = meanwhile(&so_far(stream.as_ref())) {
                self.converse(other, &mut |_| None);
            }
        }
    }
}

impl Native {
    /// One request whose isolate ends when it waits for the `waits`th time after the first: everything that it had begun ends
    /// with it. `None` if that happened before the answer.
    pub fn cut_off(&self, call: Call, mut waits: usize) -> Option<Answer> {
        let (head, world) = (self.head(&call), &self.world);
        let app = App::new(&self.config, &self.isolate, Port::of(&**world));
        let mut body = Body(call.body, &self.body_read);
        let mut answering = pin!(app.handle(head, &mut body));
        world.is_shared.set(true);
        let answer = loop {
            if let Some(answer) = world.poll(answering.as_mut(), &mut None) {
                break Some(answer);
            }
            let Some(left) = waits.checked_sub(1) else { break None };
            waits = left;
            world.clock.set(world.goes_on_at.take().expect("a call that waits for time to pass"));
        };
        world.is_shared.set(false);
        answer
    }
}

/// What an isolate does after an answer, as `waitUntil` lets it.
pub type After = Pin<Box<dyn Future<Output = ()>>>;

impl Native {
    /// One request in this isolate, and the report that it carries, if any.
    pub fn send_and_carry(&self, isolate: &Rc<Isolate>, call: Call) -> (Answer, Option<After>) {
        let (head, world) = (self.head(&call), Rc::clone(&self.world));
        let app = App::new(&self.config, isolate, Port::of(&*world));
        let answer = block_on(app.handle(head, &mut Body(call.body, &self.body_read)));
        let report = app.carries_report().map(|wait| {
            let (world, isolate) = (Rc::clone(&self.world), Rc::clone(isolate));
            let report: After = Box::pin(async move { watch::report(&isolate, wait, Port::of(&*world)).await });
            report
        });
        (answer.into(), report)
    }
}

impl World {
    /// Goes on with what waits, while the clock stands. Returns whether it has ended.
    pub fn go_on_after(&self, after: &mut After) -> bool {
        self.is_shared.set(true);
        let ended = after.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
        self.is_shared.set(false);
        ended
    }
}

/// A call of one of several isolates that share the clock.
pub struct Running(Pin<Box<dyn Future<Output = Response>>>);

impl Native {
    /// Prepares a call in this isolate; [`World::go_on`] begins it.
    pub fn run_in(&self, isolate: &Rc<Isolate>, call: Call) -> Running {
        let (head, read) = (self.head(&call), Cell::new(false));
        let (world, config, isolate) = (Rc::clone(&self.world), Rc::clone(&self.config), Rc::clone(isolate));
        Running(Box::pin(async move {
            let mut body = Body(call.body, &read);
            App::new(&config, &isolate, Port::of(&*world)).handle(head, &mut body).await
        }))
    }
}

impl World {
    /// Goes on with a call while the clock stands.
    ///
    /// # Errors
    /// It waits; this is when it wants to go on.
    pub fn go_on(&self, running: &mut Running) -> Result<Answer, u64> {
        self.is_shared.set(true);
        let answer = self.poll(running.0.as_mut(), &mut None);
        self.is_shared.set(false);
        answer.ok_or_else(|| self.goes_on_at.take().expect("a call that waits for time to pass"))
    }
}

/// The events on a stream that began.
fn so_far(stream: Option<&Response>) -> String {
    stream.map(|stream| String::from_utf8_lossy(&stream.body).into_owned()).unwrap_or_default()
}

impl World {
    /// Goes on with a request until it is answered or waits for its client. `stream` is its response, if that has begun.
    fn poll(
        &self,
        answering: Pin<&mut dyn Future<Output = Response>>,
        stream: &mut Option<Response>,
    ) -> Option<Answer> {
        self.stream.replace(stream.take());
        self.is_live.set(true);
        let answer = answering.poll(&mut Context::from_waker(Waker::noop()));
        self.is_live.set(false);
        let began = self.stream.take();
        let Poll::Ready(answer) = answer else {
            *stream = began;
            return None;
        };
        Some(match began {
            Some(mut streamed) => {
                streamed.body.extend(answer.body);
                streamed.into()
            }
            None => answer.into(),
        })
    }
}

/// A call that waits for its client.
pub struct Waiting {
    answering: Pin<Box<dyn Future<Output = Response>>>,
    stream: Option<Response>,
    answer: Option<Answer>,
    /// Where it waits.
    isolate: Rc<Isolate>,
}

impl Streams for Native {
    type Waiting = Waiting;

    fn begin(&mut self, call: Call) -> Begun<Waiting> {
        let (head, read) = (self.head(&call), Cell::new(false));
        let (world, config, isolate) = (Rc::clone(&self.world), Rc::clone(&self.config), Rc::clone(&self.elsewhere));
        let answering = Box::pin(async move {
            let mut body = Body(call.body, &read);
            App::new(&config, &isolate, Port::of(&*world)).handle(head, &mut body).await
        });
        let mut waiting = Waiting { answering, stream: None, answer: None, isolate: Rc::clone(&self.elsewhere) };
        self.go_on(&mut waiting);
        match waiting.answer.take() {
            Some(answer) => Begun::Answered(answer),
            None => {
                let events = so_far(waiting.stream.as_ref());
                Begun::Asked(waiting, events)
            }
        }
    }

    fn go_on(&mut self, waiting: &mut Waiting) {
        if waiting.answer.is_none() && Rc::ptr_eq(&waiting.isolate, &self.elsewhere) {
            waiting.answer = self.world.poll(waiting.answering.as_mut(), &mut waiting.stream);
        }
    }

    fn finish(&mut self, mut waiting: Waiting) -> Answer {
        while waiting.answer.is_none() && Rc::ptr_eq(&waiting.isolate, &self.elsewhere) {
            self.go_on(&mut waiting);
        }
        waiting.answer.unwrap_or_else(|| waiting.stream.expect("a stream that began").into())
    }
}

impl Driver for Native {
    fn send(&mut self, call: Call) -> Answer {
        self.converse(call, &mut |_| None)
    }

    fn origin(&self) -> String {
        self.origin.clone()
    }

    fn send_by_other_name(&mut self, call: Call) -> Answer {
        let origin = std::mem::replace(&mut self.origin, "http://localhost:8787".to_owned());
        let answer = self.send(call);
        self.origin = origin;
        answer
    }

    fn admin(&mut self, method: &str, path: &str, body: Option<Value>) -> Value {
        let request = Request {
            method: method.to_owned(),
            target: path.to_owned(),
            headers: vec![
                ("Host".to_owned(), "127.0.0.1:8788".to_owned()),
                ("Content-Type".to_owned(), "application/json".to_owned()),
            ],
            body: body.map(|body| body.to_string().into_bytes()).unwrap_or_default(),
        };
        match (method, path) {
            ("POST", "/_sandbox/faults") => self.world.spoiled.set(true),
            ("DELETE", "/_sandbox/faults") | ("POST", "/_sandbox/reset") => self.world.spoiled.set(false),
            _ => {}
        }
        let (answer, _) = self.world.exchange(&request);
        assert!(answer.status < 300, "{method} {path}: {} {}", answer.status, String::from_utf8_lossy(&answer.body));
        if answer.body.is_empty() { Value::Null } else { serde_json::from_slice(&answer.body).expect("JSON") }
    }

    fn advance(&mut self, seconds: u64) {
        self.world.clock.set(self.world.clock.get() + seconds * 1_000);
    }

    fn restart(&mut self) {
        self.isolate = Isolate::new();
        self.elsewhere = Rc::default();
    }
}

/// Ready when it is asked for the second time.
fn pending_once() -> impl Future<Output = ()> {
    let mut asked = false;
    poll_fn(move |_| if std::mem::replace(&mut asked, true) { Poll::Ready(()) } else { Poll::Pending })
}

/// Nothing here ever waits: a future that is not ready would wait for ever.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a future waits for something that the world does not have"),
    }
}

/// What clients are told of a tool.
pub fn definition(tool: &str) -> &'static Definition {
    let found = tools::ALL.find(tool, &mut serde_json::Map::new());
    &found.unwrap_or_else(|| panic!("there is no tool {tool}")).tool.definition
}

/// The tools as this build lists them, in the order of the catalogue: all that an address can list, and the pair that finds
/// those that are not listed.
pub fn definitions() -> &'static [Value] {
    static DEFINITIONS: OnceLock<Vec<Value>> = OnceLock::new();
    DEFINITIONS.get_or_init(|| {
        let mut server = Native::new();
        let mut list = |target: &str| {
            let answer = server.send(request("2026-07-28", "owner", "tools/list", json!({})).to(target));
            answer.json()["result"]["tools"].as_array().expect("tools").clone()
        };
        let listed = [list("/mcp"), list("/mcp?toolsets=all")].concat();
        let find = |entry: &Entry| listed.iter().find(|tool| tool["name"] == entry.name()).cloned();
        let all = tools::ALL.entries().iter();
        all.map(|entry| find(entry).unwrap_or_else(|| panic!("no address lists {}", entry.name()))).collect()
    })
}
