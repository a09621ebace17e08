//! workerd by itself with a sandbox of its own, and clients that are sockets: they can go away in the middle of a call.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::PathBuf,
    sync::LazyLock,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tidbcloud_sandbox::{serve::Running, sql::Engine};

use super::worker::{Worker, send};
use crate::support::{Answer, Call, request};

/// How long something may take that a test waits for. Nothing is expected after this time.
const PATIENCE: Duration = Duration::from_secs(60);

/// A Worker, and TiDB Cloud behind it.
pub struct Stage {
    sandbox: Running,
    worker: Worker,
    directory: tempfile::TempDir,
}

/// A sandbox of a test's own.
pub fn own_sandbox() -> Running {
    let program = std::env::current_exe().expect("the path of this program");
    // As native tests: templates of SQL servers take seconds to make.
    let servers: PathBuf = program.ancestors().nth(3).expect("a target directory").join("tmp/sql");
    let engine = Engine::find().unwrap_or_else(|error| panic!("{error}"));
    Running::start(0, 1, engine, &servers).expect("a sandbox")
}

/// The one that most tests share.
pub fn stage() -> &'static Stage {
    static STAGE: LazyLock<Stage> = LazyLock::new(Stage::new);
    &STAGE
}

/// Waits until there is something.
pub fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(since.elapsed() < PATIENCE, "{what} was waited for in vain");
        thread::sleep(Duration::from_millis(10));
    }
}

/// A client that waits for its answer, and may go away before it comes.
pub struct Client(TcpStream);

impl Client {
    /// Goes away, and says so: its connection is reset. Of one that only closes its own direction (FIN) workerd assumes that it
    /// still reads.
    pub fn leave(self) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime");
        runtime.block_on(async {
            self.0.set_nonblocking(true).expect("a socket");
            let stream = tokio::net::TcpStream::from_std(self.0).expect("a socket");
            stream.set_zero_linger().expect("a socket");
        });
    }

    /// Reads until there is a message of the server in a stream of events.
    pub fn question(&mut self) -> Value {
        let (mut heard, mut piece) = (Vec::new(), [0; 4096]);
        until("a question", || {
            let read = self.0.read(&mut piece).expect("a stream");
            assert!(read > 0, "the stream ended: {}", String::from_utf8_lossy(&heard));
            heard.extend_from_slice(&piece[..read]);
            let text = String::from_utf8_lossy(&heard);
            let (_, data) = text.split_once("data: ")?;
            serde_json::from_str(data.split_once('\n')?.0).ok()
        })
    }
}

impl Stage {
    /// One for a test whose faults would meet the requests of others.
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let sandbox = own_sandbox();
        let worker = Worker::with_sandbox(directory.path(), &format!("http://{}", sandbox.address));
        Self { sandbox, worker, directory }
    }

    fn sandbox(&self) -> String {
        format!("http://{}", self.sandbox.address)
    }

    /// Asks the sandbox.
    pub fn admin(&self, method: &str, path: &str, body: &Value) -> Value {
        let call = Call {
            method: method.to_owned(),
            target: format!("/_sandbox/{path}"),
            headers: vec![("Content-Type".to_owned(), "application/json".to_owned())],
            body: if body.is_null() { Vec::new() } else { body.to_string().into_bytes() },
        };
        let answer = send(&self.sandbox(), call);
        assert!(answer.status < 300, "{method} {path}: {}", String::from_utf8_lossy(&answer.body));
        if answer.body.is_empty() { Value::Null } else { answer.json() }
    }

    /// What TiDB Cloud saw so far.
    pub fn requests(&self) -> Vec<Value> {
        self.admin("GET", "requests", &Value::Null)["requests"].as_array().expect("a list").clone()
    }

    /// The next request that matches meets this fault.
    pub fn fault(&self, fault: &Value) {
        self.admin("POST", "faults", &json!({ "faults": [fault] }));
    }

    /// A call of a tool. The name of a call is in its log line.
    pub fn tool(name: &str, who: &str, tool: &str, arguments: &Value) -> Call {
        let mut call = request("2026-07-28", who, "tools/call", json!({ "name": tool, "arguments": arguments }));
        call.headers.push(("X-Request-Id".to_owned(), name.to_owned()));
        call
    }

    /// Sends a call, and does not wait for its answer. Each comes from another address.
    pub fn begin(&self, call: &Call) -> Client {
        let host = self.worker.origin.strip_prefix("http://").expect("a scheme");
        let mut stream = TcpStream::connect(host).expect("a connection");
        let mut head = format!("{} {} HTTP/1.1\r\nHost: {host}\r\n", call.method, call.target);
        for (name, value) in &call.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let address = stream.local_addr().expect("an address").port().to_be_bytes();
        head.push_str(&format!("CF-Connecting-IP: 10.9.{}.{}\r\n", address[0], address[1]));
        head.push_str(&format!("Content-Length: {}\r\n\r\n", call.body.len()));
        stream.write_all(&[head.as_bytes(), &call.body].concat()).expect("a Worker that reads");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        Client(stream)
    }

    /// Sends a call, and waits for its answer.
    pub fn answer(&self, mut call: Call) -> Answer {
        let number = self.requests().len().to_be_bytes();
        call.headers.push(("CF-Connecting-IP".to_owned(), format!("10.8.{}.{}", number[6], number[7])));
        send(&self.worker.origin, call)
    }

    /// The structured content of a call's result, and whether it is an error.
    pub fn result(&self, call: Call) -> (Value, bool) {
        let answer = self.answer(call).json();
        let result = &answer["result"];
        (result["structuredContent"].clone(), result["isError"] == true || !answer["error"].is_null())
    }

    /// The same for a call that has to succeed.
    pub fn done(&self, who: &str, tool: &str, arguments: &Value) -> Value {
        let answer = self.answer(Self::tool("preparation", who, tool, arguments)).json();
        let result = &answer["result"];
        assert!(result["isError"] != true && answer["error"].is_null(), "{tool} {arguments}: {answer}");
        result["structuredContent"].clone()
    }

    /// The log line of the call of this name, as soon as it is written.
    pub fn line(&self, name: &str) -> Value {
        until(&format!("the log line of {name}"), || {
            let log = fs::read_to_string(self.directory.path().join("worker.log")).expect("a log");
            let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            lines.filter(|line| line["event"] == "request").find(|line| line["client_request_id"] == name)
        })
    }
}
