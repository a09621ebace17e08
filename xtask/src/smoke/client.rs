//! Requests to a deployment, by Node's `fetch`: the project needs Node anyway, and a TLS library of our own would make every first
//! `cargo xtask` half a minute longer on two cores.

use std::{
    env,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};

use super::target::Target;

/// What is given to Node, which runs it without a file: `xtask` may be started anywhere.
const SCRIPT: &str = include_str!("fetch.mjs");

/// What Node is told of the environment. Other variables could switch the check of certificates off, or make it print headers.
const ENVIRONMENT: [&str; 2] = ["PATH", "NODE_EXTRA_CA_CERTS"];

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// Status code.
    pub(super) status: u16,
    /// Header fields, with names in lower case.
    pub(super) headers: Vec<(String, String)>,
    /// The body.
    pub(super) body: String,
}

impl Answer {
    /// A header field.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON; of a stream of events, the last one.
    pub(super) fn json(&self) -> Option<Value> {
        if self.header("content-type").is_some_and(|kind| kind.starts_with("text/event-stream")) {
            let mut events = self.body.lines().rev().filter_map(|line| line.strip_prefix("data:"));
            return events.find_map(|event| serde_json::from_str(event.trim()).ok());
        }
        serde_json::from_str(&self.body).ok()
    }

    /// Status and the beginning of the body, for a person.
    pub(super) fn summary(&self) -> String {
        let body = self.body.split_whitespace().collect::<Vec<_>>().join(" ");
        let (short, rest) = match body.char_indices().nth(240) {
            Some((end, _)) => (body.get(..end).unwrap_or_default(), "…"),
            None => (body.as_str(), ""),
        };
        let location = self.header("location").map(|to| format!(" to {to}")).unwrap_or_default();
        let kind = self.header("content-type").map(|kind| format!(" {kind}")).unwrap_or_default();
        format!("{}{location}{kind} {short}{rest}", self.status).trim_end().to_owned()
    }
}

/// A request to the deployment that is looked at.
#[derive(Clone, Default)]
pub(super) struct Request<'a> {
    /// Method.
    pub(super) method: &'a str,
    /// Path and query.
    pub(super) path: &'a str,
    /// Header fields.
    pub(super) headers: Vec<(&'static str, String)>,
    /// Body.
    pub(super) body: Option<String>,
}

/// A Node that sends requests, one after the other.
pub(super) struct Client<'t> {
    target: &'t Target,
    timeout: Duration,
    /// Header fields of every request.
    always: Vec<(&'static str, String)>,
    child: Child,
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl<'t> Client<'t> {
    /// Starts Node: the checkout's, or else that of the system.
    pub(super) fn start(
        root: &Path,
        target: &'t Target,
        timeout: Duration,
        always: Vec<(&'static str, String)>,
    ) -> Result<Self, String> {
        let own = root.join("node_modules/.bin/node");
        let program = if own.exists() { own } else { "node".into() };
        let mut command = Command::new(&program);
        command.args(["--input-type=module", "--eval", SCRIPT]).env_clear();
        command.envs(ENVIRONMENT.iter().filter_map(|name| Some((name, env::var_os(name)?))));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(|error| {
            format!(
                "cannot run {}: {error}. Install Node.js 20 or newer, or run `cargo xtask setup`",
                program.display()
            )
        })?;
        let (requests, answers) = (child.stdin.take(), child.stdout.take());
        let answers = BufReader::new(answers.ok_or("node has no output")?);
        Ok(Self { target, timeout, always, child, requests, answers })
    }

    /// Sends a request. No header and no body of it is in an error.
    pub(super) fn send(&mut self, request: &Request<'_>) -> Result<Answer, String> {
        let headers: Vec<_> =
            request.headers.iter().chain(&self.always).map(|(name, value)| json!([name, value])).collect();
        let line = json!({
            "method": request.method,
            "url": format!("{}{}", self.target.origin(), request.path),
            "headers": headers,
            "body": request.body,
            "millis": u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX),
        });
        let ended = |_| "node ended: is it version 20 or newer?".to_owned();
        let requests = self.requests.as_mut().ok_or("node takes no requests")?;
        writeln!(requests, "{line}").and_then(|()| requests.flush()).map_err(ended)?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer).map_err(ended)?;
        let answer: Value = serde_json::from_str(&answer).map_err(|_| "node ended: is it version 20 or newer?")?;
        if let Some(error) = answer.get("error").and_then(Value::as_str) {
            return Err(error.to_owned());
        }
        let status = answer.get("status").and_then(Value::as_u64).and_then(|status| u16::try_from(status).ok());
        let headers = answer.get("headers").and_then(Value::as_array).into_iter().flatten();
        let headers = headers.filter_map(|pair| {
            let text = |at| pair.get(at).and_then(Value::as_str).map(str::to_owned);
            Some((text(0)?, text(1)?))
        });
        Ok(Answer {
            status: status.ok_or("node gave no status")?,
            headers: headers.collect(),
            body: answer.get("body").and_then(Value::as_str).unwrap_or_default().to_owned(),
        })
    }
}

impl Drop for Client<'_> {
    fn drop(&mut self) {
        // Without input it ends; a request that hangs does not keep it.
        self.requests = None;
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
