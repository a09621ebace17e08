//! Shared by both test runs: transcripts, and the driver of one end of a conversation.

pub mod arguments;
pub mod bad_inputs;
pub mod bad_oauth;
pub mod catalogue;
pub mod challenge;
pub mod oauth;
pub mod person;
pub mod transcript;

use std::path::PathBuf;

use serde_json::Value;

/// The checkout that the tests run in, as Cargo says it or where they were started: the one that they were compiled in may have
/// been moved or copied.
pub fn checkout() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from("."), PathBuf::from)
}

/// One HTTP request to the server under test.
#[derive(Clone, Default)]
pub struct Call {
    pub method: String,
    /// Path and query.
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Call {
    /// The same with this member of its message.
    pub fn with_member(mut self, member: &str, value: Value) -> Self {
        let mut body: Value = serde_json::from_slice(&self.body).expect("JSON");
        body[member] = value;
        self.body = body.to_string().into_bytes();
        self
    }

    /// The same by a client that shows forms to a person.
    pub fn with_forms(mut self) -> Self {
        let mut body: Value = serde_json::from_slice(&self.body).expect("JSON");
        body["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"] = serde_json::json!({"elicitation": {}});
        self.body = body.to_string().into_bytes();
        self
    }
}

/// Its answer.
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The messages that it holds, if it is a stream of them.
    pub fn events(&self) -> Option<Vec<Value>> {
        let is_stream = self.header("Content-Type").is_some_and(|value| value.starts_with("text/event-stream"));
        is_stream.then(|| events(&String::from_utf8_lossy(&self.body)))
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("not JSON ({error}): {}", String::from_utf8_lossy(&self.body)))
    }
}

/// A server under test with a sandbox behind it: in this process with a clock of its own, or in workerd.
pub trait Driver {
    /// Sends a request to the server.
    fn send(&mut self, call: Call) -> Answer;
    /// Scheme and host of the server, as its clients know it.
    fn origin(&self) -> String;
    /// Sends a request to the server by the name `localhost`, which is another of its addresses.
    fn send_by_other_name(&mut self, call: Call) -> Answer;
    /// Sends a request to the sandbox's admin routes.
    fn admin(&mut self, method: &str, path: &str, body: Option<Value>) -> Value;
    /// Lets time pass, here and in the sandbox.
    fn advance(&mut self, seconds: u64);
    /// The server forgets all that it holds in memory.
    fn restart(&mut self);
    /// Sends requests at the same time, if the server can be busy with several.
    fn send_at_once(&mut self, calls: Vec<Call>) -> Vec<Answer> {
        calls.into_iter().map(|call| self.send(call)).collect()
    }
    /// Lets time pass for the server too; `false` if nobody can move its clock.
    fn wait(&mut self, seconds: u64) -> bool {
        self.advance(seconds);
        true
    }
}

/// What has come of a request.
pub enum Begun<W> {
    /// Its answer.
    Answered(Answer),
    /// A question to the client, on which the answer waits, and all events so far.
    Asked(W, String),
}

/// A server that can be sent other requests while a call waits for what its client says.
pub trait Streams: Driver {
    /// A call that waits.
    type Waiting;
    /// Sends a request, until it is answered or its client is asked.
    fn begin(&mut self, call: Call) -> Begun<Self::Waiting>;
    /// Lets a call go on with what was sent meanwhile, if it does not do so by itself.
    fn go_on(&mut self, _waiting: &mut Self::Waiting) {}
    /// The answer, as far as it comes before the server ends.
    fn finish(&mut self, waiting: Self::Waiting) -> Answer;
}

/// The messages on a stream of events.
pub fn events(text: &str) -> Vec<Value> {
    let data = text.split("\n\n").filter_map(|event| event.strip_prefix("event: message\ndata: "));
    data.map(|text| serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))).collect()
}

/// The sandbox's keys: canaries, because no answer and no log line may ever hold a private one.
pub fn keys(who: &str) -> (&'static str, String) {
    let (public, last) = match who {
        "owner" => ("SBXOWNER", "aa"),
        "viewer" => ("SBXVIEWR", "bb"),
        "other" => ("SBXOTHER", "cc"),
        _ => panic!("no such key: {who}"),
    };
    (public, format!("5b000000-0000-4000-8000-0000000000{last}"))
}

/// Header fields of a request with these keys, by somebody who goes without a person.
pub fn key_headers(who: &str) -> Vec<(String, String)> {
    let (public, private) = keys(who);
    vec![
        ("X-MCP-Unattended".to_owned(), "destroy".to_owned()),
        ("X-TiDB-API-Public-Key".to_owned(), public.to_owned()),
        ("X-TiDB-API-Private-Key".to_owned(), private),
        ("Content-Type".to_owned(), "application/json".to_owned()),
        ("Accept".to_owned(), "application/json, text/event-stream".to_owned()),
    ]
}

/// The word between which and itself a result's text holds data, and the JSON document that stands there: three blocks, of
/// which the first and the last are one line each. A picture beside them is no text.
pub fn fence(result: &Value) -> (&str, &str) {
    let blocks = result["content"].as_array().expect("content").iter().filter(|block| block["type"] != "image");
    let texts: Vec<_> = blocks.map(|block| block["text"].as_str().expect("text")).collect();
    let [open, document, close] = texts[..] else { panic!("{} blocks: {result}", texts.len()) };
    let word = close.strip_prefix("</data-").and_then(|rest| rest.strip_suffix('>')).expect("a closing line");
    assert!(open.starts_with(&format!("<data-{word}> ")) && !open.contains('\n'), "{open} and {close}");
    (word, document)
}

/// The data that a result's text holds.
pub fn fenced(result: &Value) -> Value {
    serde_json::from_str(fence(result).1).expect("the text is JSON")
}

/// The protocol revisions that every transcript runs in.
pub const REVISIONS: [&str; 2] = ["2026-07-28", "2025-11-25"];

/// A request of one revision: envelope and headers as its specification wants them.
pub fn request(revision: &str, who: &str, method: &str, mut params: Value) -> Call {
    let mut headers = key_headers(who);
    headers.push(("MCP-Protocol-Version".to_owned(), revision.to_owned()));
    if revision == "2026-07-28" {
        headers.push(("Mcp-Method".to_owned(), method.to_owned()));
        if let Some(name) = params.get("name").and_then(Value::as_str) {
            headers.push(("Mcp-Name".to_owned(), name.to_owned()));
        }
        params["_meta"] = serde_json::json!({
            "io.modelcontextprotocol/protocolVersion": revision,
            "io.modelcontextprotocol/clientCapabilities": {},
            "io.modelcontextprotocol/clientInfo": {"name": "transcript", "version": "1"},
        });
    }
    let body = serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    Call { method: "POST".to_owned(), target: "/mcp".to_owned(), headers, body: body.to_string().into_bytes() }
}
