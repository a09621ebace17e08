//! The log: one JSON object a line.

use std::cell::{Cell, RefCell};

use serde_json::{Map, Value};

use super::Io;
use crate::base::{clock::UnixMillis, hash::hex, scrub::scrub, secret::Secret, trace::Trace};

/// Longer than any event and any code. Keys of TiDB Cloud have 36 characters, secrets of this server at least 32.
const HIDDEN_BYTES_MIN: usize = 24;

/// Takes lines.
pub trait Log {
    /// Writes one line.
    fn write(&self, line: &str);
}

/// How serious a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Info,
    /// Something failed that was asked for.
    Warn,
    /// This server failed, or TiDB Cloud did in a way that it must not.
    Error,
}

/// Declares the fields: a name and its meaning each.
macro_rules! fields {
    ($($name:literal: $meaning:literal;)*) => {
        /// Every field that a line may have. What is not here is not logged.
        const NAMES: &[&str] = &[$($name),*];

        /// The same with their meanings, for the reference only: the Worker does not contain them.
        #[cfg(not(target_arch = "wasm32"))]
        pub const FIELDS: &[(&str, &str)] = &[$(($name, $meaning)),*];
    };
}

fields! {
    "ts": "when the line was written, in milliseconds since 1970";
    "level": "`info`, `warn` (something that was asked for failed) or `error` (this server failed, or TiDB Cloud as it must not)";
    "event": "what the line is about";
    "version": "of this server";
    "request_id": "this server's id of the HTTP request, as in every error and in `X-Request-Id`";
    "trace_id": "the trace of the caller (W3C Trace Context), or one that began here: then it is the request id";
    "span_id": "this request in the trace; in an `upstream` line, the request to TiDB Cloud";
    "parent_id": "the span of the caller, if it sent one; in an `upstream` line, the `span_id` of the `request` line";
    "client_request_id": "the `X-Request-Id` that came in, if it is short and plain";
    "cf_ray": "Cloudflare's id of the request";
    "colo": "the data centre in that id";
    "method": "HTTP method";
    "route": "the route, or `other`";
    "status": "HTTP status; 499 if the client went away. In an `upstream` line that of TiDB Cloud, in a `look` line that of the receiver of alerts, absent if no answer came";
    "auth": "`keys`, `access-key` or `oauth`";
    "sub_hash": "eight characters of a keyed hash of the credential or grant";
    "ip_hash": "eight characters of a keyed hash of the address";
    "limit": "the limit that refused, or else the last one at the doors";
    "limited": "that limit refused";
    "rate_limit_remaining": "permits left of it";
    "rate_limit_degraded": "the object that counts did not answer, so this isolate counted alone";
    "paused": "this isolate does not ask the limits for five seconds";
    "protocol_version": "the protocol's revision";
    "rpc_method": "the protocol's method, `batch` or `unknown`";
    "tool": "the tool, or `unknown`";
    "client": "the name that the client gives itself; in lines about grants the host of its document, or `registered`";
    "by": "who ended a grant; of a `consent`, what allowed it: `keys`, `access key`, `sign-in` or `step-up`";
    "widens": "eight characters of the id of the grant that a new one is wider than";
    "rpc_error_code": "number of the protocol error";
    "error_code": "code of the error: a tool's, or the protocol's";
    "code": "code of the failed call";
    "cause": "the failure and its causes, in this server's own words";
    "client_left": "the client went away before its answer";
    "upstream_requests": "requests to TiDB Cloud, or for a client's document to its host";
    "rows": "rows in the answer";
    "truncated": "the answer was cut";
    "sql_class": "`read`, `write` or `refused`";
    "sql_bytes": "length of the SQL";
    "sql_hash": "eight characters of a keyed hash of the SQL: the same statement has the same hash";
    "confirmation": "`asked`, `agreed`, `declined`, `invalid` or `unattended`";
    "deadline_left_millis": "time that was left for the request";
    "bytes_in": "length of the body";
    "bytes_out": "length of the answer";
    "millis": "time it took";
    "service": "host of TiDB Cloud's API, or `sql` for SQL over HTTP";
    "operation": "method and path, without ids";
    "nonce": "`reused` or `fresh`: under which nonce a digest was sent; absent for a request without credentials and for SQL";
    "failure": "why no answer came: `timeout`, `unreachable`, `too_large`, or `client_left` before it did";
    "upstream_trace_id": "TiDB Cloud's own id of the request, which its support asks for";
    "problem": "what could not be read, and where, without quoting it";
    "phase": "`begun` before the first request that may change something, `ended` after the last";
    "outcome": "`done`, `refused`, `unknown` or `failed`; in a `look` line `nothing_to_send`, `sent`, `sent_and_not_noted`, `not_delivered` or `storage_failed`";
    "alert": "what a look had to send: `alert` or `all_clear`";
    "circuits_open": "a circuit of TiDB Cloud's API is open";
    "checks_fail": "a check of readiness failed";
    "checks": "states of the checks of readiness";
    "wrong_settings": "how many settings are wrong";
    "as": "fingerprint of the credential: the first four characters of the public key, and a keyed hash";
    "grant": "eight characters of a grant's id";
    "scope": "scope of a grant";
    "object": "the kind of stored object that did not answer";
    "at": "place in the source";
    "message": "message of a panic; logged with a sandbox only";
}

/// A line that belongs to no request.
pub fn line(now: UnixMillis, level: Level, event: &str, fields: Value) -> String {
    Value::Object(members(now, level, event, fields)).to_string()
}

fn members(now: UnixMillis, level: Level, event: &str, fields: Value) -> Map<String, Value> {
    let mut line = match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    line.retain(|name, _| {
        let is_known = NAMES.contains(&name.as_str());
        debug_assert!(is_known, "{name} is no field of the log");
        is_known
    });
    line.insert("ts".to_owned(), now.0.into());
    line.insert("level".to_owned(), serde_json::json!(level));
    line.insert("event".to_owned(), event.into());
    line
}

/// The log of one HTTP request, whose ids are in every line.
///
/// Where less than all is logged, the lines of a request wait until it is known that something went wrong: then all of them are
/// written, also those before. A change, a decision of a person and whatever is at least a warning never wait.
pub struct RequestLog<'a> {
    to: &'a dyn Log,
    io: &'a dyn Io,
    /// Id of the HTTP request that is being answered: 32 hexadecimal digits.
    pub request_id: String,
    /// What its parts note for its last line.
    pub noted: Noted,
    trace: Cell<Trace>,
    /// What must not show, besides what looks like a secret.
    hidden: RefCell<Vec<Secret>>,
    /// `None`: lines are written at once.
    waiting: RefCell<Option<Vec<String>>>,
}

/// What the parts of a request note.
#[derive(Default)]
pub struct Noted {
    /// Requests to TiDB Cloud's APIs.
    pub upstream: Answers,
    /// Statements.
    pub sql: Answers,
    /// The limit that refused something after the doors.
    pub refused_by: Cell<Option<&'static str>>,
    /// What a person was asked or said.
    pub confirmation: Cell<Option<&'static str>>,
    /// Whether a result was cut.
    pub truncated: Cell<bool>,
    /// Rows in results.
    pub rows: Cell<Option<u64>>,
    /// The last statement of the caller.
    pub statement: RefCell<Option<Statement>>,
    /// The calls of tools that have ended.
    pub calls: RefCell<Vec<Called>>,
}

/// How TiDB Cloud answered, as far as that says how it does. Refusals say nothing: anybody can cause them.
#[derive(Default)]
pub struct Answers {
    /// With a success.
    pub answered: Cell<u32>,
    /// Not at all, not in time, with a 5xx, or with what cannot be read.
    pub failed: Cell<u32>,
}

impl Answers {
    /// The last success turned out to be none.
    pub fn takes_back(&self) {
        self.answered.set(self.answered.get().saturating_sub(1));
        self.failed.set(self.failed.get().saturating_add(1));
    }
}

/// A statement, as far as it is logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// `read`, `write` or `refused`.
    pub class: &'static str,
    /// Its length.
    pub bytes: usize,
    /// Eight characters of a keyed hash.
    pub hash: String,
}

/// A call of a tool that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Called {
    /// The tool.
    pub tool: &'static str,
    /// `done`, `asked`, `failed` or `refused`.
    pub outcome: &'static str,
    /// The code of a failure.
    pub code: Option<&'static str>,
    /// The time it took.
    pub millis: u64,
    /// Requests to TiDB Cloud.
    pub upstream_requests: u32,
    /// Rows in its result.
    pub rows: Option<u64>,
}

impl Noted {
    /// Notes rows of a result, and whether some are missing there.
    pub fn shows(&self, rows: usize, truncated: bool) {
        let rows = u64::try_from(rows).unwrap_or(u64::MAX);
        self.rows.set(Some(self.rows.get().unwrap_or_default().saturating_add(rows)));
        self.truncated.set(self.truncated.get() || truncated);
    }
}

impl<'a> RequestLog<'a> {
    /// The log of a request that arrives now. Of a hundred requests, `percent` are logged whole.
    pub fn new(to: &'a dyn Log, io: &'a dyn Io, percent: u8) -> Self {
        // 128 bits for the request and the trace that may begin with it, a span, and two bytes for chance, drawn at once: each draw
        // is a call out of wasm.
        let mut random = [0; 16 + 8 + 2];
        io.random(&mut random);
        let (mut id, mut span, mut chance) = ([0; 16], [0; 8], [0; 2]);
        let (first, rest) = random.split_at(16);
        let (second, last) = rest.split_at(8);
        id.copy_from_slice(first);
        span.copy_from_slice(second);
        chance.copy_from_slice(last);
        // In 0..100: 65,536 values, so each hundredth is met within 0.2 % of its share.
        let is_logged = (u32::from(u16::from_le_bytes(chance)) * 100) >> 16 < u32::from(percent);
        Self {
            to,
            io,
            request_id: hex(&id),
            noted: Noted::default(),
            trace: Cell::new(Trace::new(id, span)),
            hidden: RefCell::default(),
            waiting: RefCell::new((!is_logged).then(Vec::new)),
        }
    }

    /// Where in its trace the request is.
    pub fn trace(&self) -> Trace {
        self.trace.get()
    }

    /// Makes the request a part of its caller's trace, if `traceparent` is valid. Returns whether it is.
    pub fn follow(&self, traceparent: &str) -> bool {
        let within = self.trace.get().within(traceparent);
        if let Some(trace) = within {
            self.trace.set(trace);
        }
        within.is_some()
    }

    /// Hides a secret from the log. Nothing writes one on purpose: this is the second wall. What is shorter than a secret of
    /// TiDB Cloud or of this server stays: a caller could blank words of the program by sending them as secrets.
    pub fn hides(&self, secret: &str) {
        let mut hidden = self.hidden.borrow_mut();
        if secret.len() >= HIDDEN_BYTES_MIN && !hidden.iter().any(|known| known.expose() == secret) {
            hidden.push(Secret::new(secret));
        }
    }

    /// Whether lines of this level wait for a reason to be written.
    pub fn holds(&self, level: Level) -> bool {
        level == Level::Info && self.waiting.borrow().is_some()
    }

    /// Writes an event with the members of `fields`, which must be an object.
    pub fn event(&self, event: &str, fields: Value) {
        self.write_event(Level::Info, event, fields);
    }

    /// Writes an event that something failed which was asked for.
    pub fn warn(&self, event: &str, fields: Value) {
        self.write_event(Level::Warn, event, fields);
    }

    /// Writes an event that should never happen.
    pub fn error(&self, event: &str, fields: Value) {
        self.write_event(Level::Error, event, fields);
    }

    /// Writes a line that every request has, and that says little if all went well.
    pub fn routine(&self, level: Level, event: &str, fields: Value) {
        self.routine_line(level, self.complete(level, event, fields));
    }

    /// The same with a line that has its ids already.
    pub fn routine_line(&self, level: Level, line: String) {
        if level == Level::Info
            && let Some(waiting) = &mut *self.waiting.borrow_mut()
        {
            waiting.push(line);
            return;
        }
        self.write(&line);
    }

    fn write_event(&self, level: Level, event: &str, fields: Value) {
        self.write(&self.complete(level, event, fields));
    }

    fn complete(&self, level: Level, event: &str, fields: Value) -> String {
        let mut line = members(self.io.now(), level, event, fields);
        line.insert("request_id".to_owned(), self.request_id.as_str().into());
        line.insert("trace_id".to_owned(), self.trace().id().into());
        Value::Object(line).to_string()
    }
}

impl Log for RequestLog<'_> {
    fn write(&self, line: &str) {
        let hidden = self.hidden.borrow();
        let hidden: Vec<&str> = hidden.iter().map(Secret::expose).collect();
        let before = self.waiting.take().unwrap_or_default();
        for line in before.iter().map(String::as_str).chain([line]) {
            self.to.write(&scrub(line, &hidden));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_named_once() {
        for (at, (name, _)) in FIELDS.iter().enumerate() {
            assert!(FIELDS.iter().skip(at + 1).all(|(other, _)| other != name), "{name} is there twice");
        }
    }
}
