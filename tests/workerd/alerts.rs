//! From healthy to an alert to the all-clear: the schedule, the object behind it, and a receiver on a socket.

use std::{
    collections::VecDeque,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    stage::{own_sandbox, until},
    support::{Call, request},
    worker::{Worker, send},
};

/// What an isolate counted is reported after ten seconds at most.
const REPORTED: Duration = Duration::from_secs(11);

/// A request that a receiver got.
#[derive(Clone, Debug)]
struct Posted {
    /// The request line and the header fields.
    head: String,
    body: Vec<u8>,
}

/// A receiver of alerts.
struct Receiver {
    address: SocketAddr,
    posted: Arc<Mutex<Vec<Posted>>>,
}

impl Receiver {
    /// One that answers with these status lines and header fields, and then with 200.
    fn start(mut answers: VecDeque<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let posted = Arc::<Mutex<Vec<Posted>>>::default();
        let seen = Arc::clone(&posted);
        // It ends with the test program.
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("a connection");
                let Some(request) = read(&stream) else { continue };
                seen.lock().expect("no reader panicked").push(request);
                let answer = answers.pop_front().unwrap_or_else(|| "200 OK".to_owned());
                let _ = write!(stream, "HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            }
        });
        Self { address, posted }
    }

    fn posted(&self) -> Vec<Posted> {
        self.posted.lock().expect("no writer panicked").clone()
    }

    /// The last alert, if there are so many.
    fn alert(&self, count: usize) -> Option<Value> {
        let posted = self.posted();
        let last = posted.last().filter(|_| posted.len() >= count)?;
        Some(serde_json::from_slice(&last.body).expect("JSON"))
    }
}

/// One request, whose length is declared; `None` if there is none.
fn read(stream: &TcpStream) -> Option<Posted> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let lengths = head.lines().filter_map(|line| line.split_once(": "));
    let mut lengths = lengths.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length = lengths.next().expect("a length").1.parse().expect("a number");
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Posted { head, body })
}

/// A deployment of its own.
struct Deployment {
    worker: Worker,
    sandbox: String,
    calls: u8,
}

impl Deployment {
    /// Every caller lists its clusters.
    fn call(&mut self) {
        for who in ["owner", "viewer", "other"] {
            let list = json!({"name": "tidbcloud_list_clusters", "arguments": {}});
            let mut call = request("2026-07-28", who, "tools/call", list);
            // From many addresses: the limit of one is a hundred a minute.
            call.headers.push(("CF-Connecting-IP".to_owned(), format!("198.51.100.{}", self.calls)));
            self.calls = self.calls.wrapping_add(1);
            assert_eq!(send(&self.worker.origin, call).status, 200, "a tool's error is no refusal");
        }
    }

    fn faults(&self, faults: &Value) {
        let call = Call {
            method: "POST".to_owned(),
            target: "/_sandbox/faults".to_owned(),
            headers: vec![("Content-Type".to_owned(), "application/json".to_owned())],
            body: json!({ "faults": faults }).to_string().into_bytes(),
        };
        assert!(send(&self.sandbox, call).status < 300);
    }

    fn no_faults(&self) {
        let call = Call { method: "DELETE".to_owned(), target: "/_sandbox/faults".to_owned(), ..Call::default() };
        assert!(send(&self.sandbox, call).status < 300);
    }

    /// Triggers the schedule, as `curl http://127.0.0.1:8787/cdn-cgi/local/scheduled` does.
    fn look(&self) {
        let call = Call { method: "GET".to_owned(), target: "/cdn-cgi/local/scheduled".to_owned(), ..Call::default() };
        let answer = send(&self.worker.origin, call);
        assert_eq!((answer.status, answer.body.as_slice()), (200, b"ok".as_slice()), "the schedule ran to its end");
    }
}

#[test]
fn from_healthy_to_an_alert_to_the_all_clear() {
    let receiver = Receiver::start(VecDeque::from(["302 Found\r\nLocation: /elsewhere".to_owned()]));
    let state = tempfile::tempdir().expect("a directory");
    let sandbox = own_sandbox();
    let sandbox_origin = format!("http://{}", sandbox.address);
    let variables = format!(
        "ALERT_WEBHOOK_URL = \"http://{}/canary-webhook-path?key=canary-webhook-key\"\nALERT_FORMAT = \"json\"",
        receiver.address
    );
    let worker = Worker::by_wrangler(state.path(), &sandbox_origin, &variables);
    let mut deployment = Deployment { worker, sandbox: sandbox_origin, calls: 0 };

    // 51 requests: fifty are reported at once.
    for _ in 0..17 {
        deployment.call();
    }
    deployment.look();
    assert_eq!(receiver.posted().len(), 0, "all is well");

    let of = |challenge| json!({"match": {"path": "/v1beta1/", "times": 10_000, "challenge": challenge}, "do": "status", "status": 503});
    deployment.faults(&json!([of(false), of(true)]));
    let alert = until("the alert, which the receiver takes at the second time", || {
        deployment.call();
        thread::sleep(REPORTED);
        deployment.look();
        receiver.alert(2)
    });
    assert_eq!((&alert["event"], &alert["service"]), (&json!("alert"), &json!("mcp-server-tidbcloud")), "{alert}");
    assert!(alert["wrong"].as_array().is_some_and(|wrong| wrong.contains(&json!("upstream"))), "{alert}");
    assert!(alert["upstream"]["failed"].as_u64().is_some_and(|failed| failed > 0), "{alert}");
    assert_eq!((&alert["requests"]["failed"], &alert["percent"]), (&json!(0), &json!(5)), "{alert}");
    println!("{}", serde_json::to_string_pretty(&alert).expect("JSON"));

    deployment.look();
    assert_eq!(receiver.posted().len(), 2, "what has arrived is not said again within 30 minutes");

    deployment.no_faults();
    let clear = until("the all-clear", || {
        deployment.call();
        thread::sleep(REPORTED);
        deployment.look();
        receiver.alert(3)
    });
    assert_eq!((&clear["event"], &clear["wrong"]), (&json!("all_clear"), &json!([])), "{clear}");
    assert_eq!(clear["since"], alert["since"], "of the same trouble");
    println!("{}", serde_json::to_string_pretty(&clear).expect("JSON"));

    for posted in receiver.posted() {
        assert!(
            posted.head.starts_with("POST /canary-webhook-path?key=canary-webhook-key "),
            "no redirect is followed"
        );
        assert!(posted.head.to_lowercase().contains("content-type: application/json"), "{}", posted.head);
        let body = String::from_utf8_lossy(&posted.body);
        for word in ["tidbcloud_list_clusters", "SBX", "127.0.0.1", "tidbapi", "canary"] {
            assert!(!body.contains(word), "no name leaves with an alert: {word} in {body}");
        }
    }
    let log = fs::read_to_string(state.path().join("worker.log")).expect("a log");
    assert!(
        log.contains(r#""outcome":"not_delivered""#) && log.contains(r#""outcome":"sent""#),
        "every look has a line"
    );
    // wrangler lists the bindings of the Worker at its start, and those from `--vars` are no secrets to it.
    let lines = log.lines().filter(|line| line.trim_start().starts_with('{'));
    for line in lines {
        assert!(!line.contains("canary"), "the address is a secret: {line}");
    }
}
