//! A Worker in workerd, started for a test and stopped with it.

use std::{
    env,
    io::Read,
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{LazyLock, Mutex},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::support::{Answer, Begun, Call, Driver, Streams, events};

fn setting(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run `cargo xtask test`"))
}

/// The sandbox's address.
pub fn sandbox() -> String {
    setting("SANDBOX_URL")
}

static CLIENT: LazyLock<reqwest::blocking::Client> = LazyLock::new(|| {
    reqwest::blocking::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        // workerd may end a connection that waits just when the next request takes it.
        .pool_max_idle_per_host(0)
        .timeout(Duration::from_secs(70))
        .build()
        .expect("a client")
});

/// A port that nobody listens on.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port()
}

/// A running Worker.
pub struct Worker {
    child: Child,
    pub origin: String,
}

/// What is around a Worker.
#[derive(Clone, Copy)]
pub enum Runtime {
    /// workerd by itself, as configured from `wrangler.toml`: it starts at once, and nothing is between a client and the Worker.
    Workerd,
    /// `wrangler dev`, as a person runs it: schedules, static files as Cloudflare serves them, and variables are wrangler's.
    Wrangler,
}

impl Worker {
    /// Starts a Worker whose Durable Objects are kept in `state`, and waits until it answers.
    pub fn start(state: &Path) -> Self {
        Self::start_at(state, free_port())
    }

    /// The same at a port: a Worker's address is part of what it authorizes.
    pub fn start_at(state: &Path, port: u16) -> Self {
        Self::start_for(Runtime::Workerd, state, port, &sandbox(), "")
    }

    /// The same with these variables, as `wrangler.toml` takes them.
    pub fn with_variables(state: &Path, variables: &str) -> Self {
        Self::start_for(Runtime::Workerd, state, free_port(), &sandbox(), variables)
    }

    /// The same with another sandbox.
    pub fn with_sandbox(state: &Path, sandbox: &str) -> Self {
        Self::start_for(Runtime::Workerd, state, free_port(), sandbox, "")
    }

    /// One under `wrangler dev`, with this sandbox and these variables.
    pub fn by_wrangler(state: &Path, sandbox: &str, variables: &str) -> Self {
        Self::start_for(Runtime::Wrangler, state, free_port(), sandbox, variables)
    }

    fn start_for(runtime: Runtime, state: &Path, port: u16, sandbox: &str, variables: &str) -> Self {
        let mut command = Command::new(setting("XTASK"));
        command.args(["worker", "--port", &port.to_string(), "--sandbox", sandbox, "--vars", variables, "--persist"]);
        command.arg(state);
        if matches!(runtime, Runtime::Workerd) {
            command.arg("--workerd");
        }
        let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("a Worker");
        let mut worker = Self { child, origin: format!("http://127.0.0.1:{port}") };
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(90) {
            if CLIENT.get(format!("{}/livez", worker.origin)).send().is_ok_and(|answer| answer.status() == 200) {
                return worker;
            }
            assert!(worker.child.try_wait().expect("a process").is_none(), "the Worker ended by itself");
            thread::sleep(Duration::from_millis(20));
        }
        panic!("the Worker did not answer within 90 s");
    }

    /// The one that tests share which do not need their own: under `wrangler dev`, as people meet the Worker.
    pub fn shared() -> String {
        static SHARED: LazyLock<(tempfile::TempDir, Mutex<Worker>)> = LazyLock::new(|| {
            let state = tempfile::tempdir().expect("a directory");
            let worker = Worker::by_wrangler(state.path(), &sandbox(), "");
            (state, Mutex::new(worker))
        });
        SHARED.1.lock().expect("no test panicked while it held the Worker").origin.clone()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // The program ends with its input, and with it what it started.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// An answer whose body is still to come.
pub struct Arriving {
    body: reqwest::blocking::Response,
    answer: Answer,
}

impl Arriving {
    /// Reads more; `false` if the body or its connection ended.
    fn read(&mut self) -> bool {
        let mut piece = [0; 4_096];
        let read = self.body.read(&mut piece).unwrap_or(0);
        self.answer.body.extend_from_slice(&piece[..read]);
        read > 0
    }

    /// The whole answer.
    fn whole(mut self) -> Answer {
        self.body.copy_to(&mut self.answer.body).expect("a body");
        self.answer
    }

    /// What comes before the body or its connection ends.
    fn finish(mut self) -> Answer {
        while self.read() {}
        self.answer
    }

    /// Reads on until a stream has a message: before the answer, that is a question.
    fn begin(mut self) -> Begun<Self> {
        if self.answer.header("Content-Type") != Some("text/event-stream") {
            return Begun::Answered(self.whole());
        }
        while self.read() {
            let so_far = String::from_utf8_lossy(&self.answer.body).into_owned();
            if so_far.ends_with("\n\n") && events(&so_far).iter().any(|message| message.get("method").is_some()) {
                return Begun::Asked(self, so_far);
            }
        }
        Begun::Answered(self.answer)
    }
}

/// Sends a request to `origin`.
pub fn send(origin: &str, call: Call) -> Answer {
    open(origin, call).whole()
}

fn open(origin: &str, call: Call) -> Arriving {
    let method = reqwest::Method::from_bytes(call.method.as_bytes()).expect("a method");
    let mut request = CLIENT.request(method, format!("{origin}{}", call.target));
    for (name, value) in &call.headers {
        request = request.header(name, value);
    }
    let body = request.body(call.body).send().expect("an answer");
    let headers = body.headers().iter();
    let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap_or_default().to_owned()));
    let answer = Answer { status: body.status().as_u16(), headers: headers.collect(), body: Vec::new() };
    Arriving { body, answer }
}

/// The service in workerd.
#[derive(Clone)]
pub struct Workerd {
    pub origin: String,
    /// Every transcript comes from an address of its own, so that the limit stays what it is.
    pub address: String,
}

impl Driver for Workerd {
    fn send(&mut self, mut call: Call) -> Answer {
        call.headers.push(("CF-Connecting-IP".to_owned(), self.address.clone()));
        send(&self.origin, call)
    }

    fn origin(&self) -> String {
        self.origin.clone()
    }

    fn send_by_other_name(&mut self, mut call: Call) -> Answer {
        call.headers.push(("CF-Connecting-IP".to_owned(), self.address.clone()));
        send(&self.origin.replace("127.0.0.1", "localhost"), call)
    }

    fn admin(&mut self, method: &str, path: &str, body: Option<Value>) -> Value {
        let call = Call {
            method: method.to_owned(),
            target: path.to_owned(),
            headers: vec![("Content-Type".to_owned(), "application/json".to_owned())],
            body: body.map(|body| body.to_string().into_bytes()).unwrap_or_default(),
        };
        let answer = send(&sandbox(), call);
        assert!(answer.status < 300, "{method} {path}: {}", String::from_utf8_lossy(&answer.body));
        if answer.body.is_empty() { Value::Null } else { answer.json() }
    }

    fn advance(&mut self, seconds: u64) {
        self.admin("POST", "/_sandbox/clock", Some(serde_json::json!({"advanceSeconds": seconds})));
    }

    fn restart(&mut self) {
        panic!("the Worker may be shared: a test that restarts it has one of its own");
    }

    fn send_at_once(&mut self, calls: Vec<Call>) -> Vec<Answer> {
        let this = &*self;
        thread::scope(|scope| {
            let send = |call| scope.spawn(move || this.clone().send(call));
            let senders: Vec<_> = calls.into_iter().map(send).collect();
            senders.into_iter().map(|sender| sender.join().expect("an answer")).collect()
        })
    }

    /// The Worker's clock is the machine's.
    fn wait(&mut self, _seconds: u64) -> bool {
        false
    }
}

impl Streams for Workerd {
    type Waiting = Arriving;

    fn begin(&mut self, mut call: Call) -> Begun<Arriving> {
        call.headers.push(("CF-Connecting-IP".to_owned(), self.address.clone()));
        open(&self.origin, call).begin()
    }

    fn finish(&mut self, waiting: Arriving) -> Answer {
        waiting.finish()
    }
}

/// A Worker of a test's own, which can be stopped and started under the same address with all of its state kept.
pub struct Own {
    pub state: tempfile::TempDir,
    runtime: Runtime,
    port: u16,
    worker: Option<Worker>,
    address: String,
}

impl Own {
    /// Starts one; its clients come from `address`.
    pub fn start_for(runtime: Runtime, address: &str) -> Self {
        let state = tempfile::tempdir().expect("a directory");
        let mut own = Self { state, runtime, port: free_port(), worker: None, address: address.to_owned() };
        own.start();
        own
    }

    /// Ends the Worker, and with it every Durable Object.
    pub fn stop(&mut self) {
        self.worker = None;
    }

    pub fn start(&mut self) {
        self.worker = Some(Worker::start_for(self.runtime, self.state.path(), self.port, &sandbox(), ""));
    }

    fn driver(&self) -> Workerd {
        Workerd { origin: self.origin(), address: self.address.clone() }
    }
}

impl Driver for Own {
    fn send(&mut self, call: Call) -> Answer {
        self.driver().send(call)
    }

    fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn send_by_other_name(&mut self, call: Call) -> Answer {
        self.driver().send_by_other_name(call)
    }

    fn admin(&mut self, method: &str, path: &str, body: Option<Value>) -> Value {
        self.driver().admin(method, path, body)
    }

    fn advance(&mut self, seconds: u64) {
        self.driver().advance(seconds);
    }

    fn restart(&mut self) {
        self.stop();
        self.start();
    }

    fn send_at_once(&mut self, calls: Vec<Call>) -> Vec<Answer> {
        self.driver().send_at_once(calls)
    }

    fn wait(&mut self, seconds: u64) -> bool {
        self.driver().wait(seconds)
    }
}

impl Streams for Own {
    type Waiting = Arriving;

    fn begin(&mut self, call: Call) -> Begun<Arriving> {
        self.driver().begin(call)
    }

    fn finish(&mut self, waiting: Arriving) -> Answer {
        waiting.finish()
    }
}
