//! The only sender: every request to TiDB Cloud is built here and ends in time.

use std::time::Duration;

use serde_json::{Value, json};
use url::Url;

use super::{
    call::Failed,
    error::ApiError,
    hosts::Hosts,
    retry::ATTEMPT_MIN,
    trail::{self, Trail},
};
use crate::{
    base::{
        clock::UnixMillis,
        http::{Headers, Method, Response},
    },
    port::{FetchError, Io, Level, Outbound, RequestLog, Sink},
};

/// The `User-Agent`, for TiDB Cloud's logs.
const USER_AGENT: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));

/// 25 s from when a client went away: the platform ends what still runs 30 s after that
/// (<https://developers.cloudflare.com/workers/runtime-apis/context/#waituntil>), and five are left to note how it ended.
const ALONE: Duration = Duration::from_secs(25);

/// The way to TiDB Cloud during one call.
#[derive(Clone, Copy)]
pub(crate) struct Sender<'a> {
    pub(crate) io: &'a dyn Io,
    pub(crate) log: &'a RequestLog<'a>,
    pub(crate) hosts: &'a Hosts,
    /// The deadline of all requests.
    pub(crate) deadline: UnixMillis,
    /// Where changes are noted, if anybody wants to know.
    pub(crate) trail: Option<&'a Trail<'a>>,
}

/// One request as sent.
pub(crate) struct Request<'r> {
    pub(crate) method: Method,
    pub(crate) url: Url,
    /// Credentials. No API carries a request out without them.
    pub(crate) authorization: Option<String>,
    /// Further header fields.
    pub(crate) fields: &'r [(&'r str, &'r str)],
    /// JSON.
    pub(crate) body: Option<Vec<u8>>,
    /// How long it may take.
    pub(crate) timeout: Duration,
    /// The time that it leaves for the rest of the call.
    pub(crate) reserve: Duration,
    /// With less time than this it is not sent.
    pub(crate) time_min: Duration,
    /// Whether it may change something.
    pub(crate) changes: bool,
    /// What it is, for the log.
    pub(crate) operation: Operation,
    /// Under which nonce its digest was made.
    pub(crate) nonce: Option<&'static str>,
    /// Whether its answer says by itself how TiDB Cloud does.
    pub(crate) counts: bool,
}

/// What a request is, for the log: nothing of it is a caller's.
#[derive(Clone, Copy)]
pub(crate) struct Operation {
    /// The host of an API, or `sql`.
    pub(crate) service: &'static str,
    /// As the API's description writes it, without version: `clusters/{}`.
    pub(crate) path: &'static str,
}

impl Operation {
    /// Every statement: the host of SQL over HTTP names a cluster's region.
    pub(crate) const SQL: Self = Self { service: "sql", path: "sql" };
}

impl Request<'_> {
    /// A request without header fields of its own that may use all of the time.
    pub(crate) fn new(method: Method, url: Url, operation: Operation, timeout: Duration) -> Self {
        Self {
            method,
            url,
            authorization: None,
            fields: &[],
            body: None,
            timeout,
            reserve: Duration::ZERO,
            time_min: ATTEMPT_MIN,
            changes: method != Method::Get,
            operation,
            nonce: None,
            counts: true,
        }
    }
}

impl Sender<'_> {
    /// The time left for the whole call.
    pub(crate) fn remaining(&self) -> Duration {
        let end = self.io.left_at().map_or(self.deadline, |left| left.after(ALONE).min(self.deadline));
        self.io.now().until(end)
    }

    /// Sends once and reads the whole answer.
    pub(crate) async fn fetch(&self, request: Request<'_>, bytes_max: usize) -> Result<Response, Failed> {
        let sent = Sent::of(&request, *self);
        let outbound = self.outbound(request, &sent)?;
        sent.noted(self.io.fetch(outbound, bytes_max)).await
    }

    /// Sends once and gives the body of the answer to `sink`.
    pub(crate) async fn stream(&self, request: Request<'_>, sink: &mut dyn Sink) -> Result<Response, Failed> {
        let sent = Sent::of(&request, *self);
        let outbound = self.outbound(request, &sent)?;
        sent.noted(self.io.exchange(outbound, sink)).await
    }

    fn outbound(&self, request: Request<'_>, sent: &Sent<'_>) -> Result<Outbound, Failed> {
        let remaining = self.remaining().saturating_sub(request.reserve);
        if remaining < request.time_min {
            return Err(Failed::undone(ApiError::DeadlineExceeded));
        }
        if !self.io.may_send(1) {
            return Err(Failed::undone(ApiError::Exhausted));
        }
        let mut headers = Headers::from_iter([("accept", "application/json"), ("user-agent", USER_AGENT)]);
        headers.append("traceparent", sent.traceparent.as_str());
        if request.body.is_some() {
            headers.append("content-type", "application/json");
        }
        if let Some(authorization) = request.authorization {
            headers.append("authorization", authorization);
        }
        for (name, value) in request.fields {
            headers.append(*name, *value);
        }
        let Request { method, url, body, timeout, .. } = request;
        Ok(Outbound { method, url, headers, body, timeout: timeout.min(remaining) })
    }
}

/// A request under way, as far as its line of the log goes. One that is given up because its client left has a line too.
struct Sent<'a> {
    sender: Sender<'a>,
    operation: Operation,
    method: Method,
    nonce: Option<&'static str>,
    counts: bool,
    authorized: bool,
    changes: bool,
    traceparent: String,
    span: String,
    at: UnixMillis,
    /// Whether it was sent, and has no line yet.
    is_open: bool,
}

impl<'a> Sent<'a> {
    fn of(request: &Request<'_>, sender: Sender<'a>) -> Self {
        let mut random = [0; 8];
        sender.io.random(&mut random);
        let (traceparent, span) = sender.log.trace().below(random);
        Self {
            sender,
            operation: request.operation,
            method: request.method,
            nonce: request.nonce,
            counts: request.counts,
            authorized: request.authorization.is_some(),
            changes: request.changes,
            traceparent,
            span,
            at: sender.io.now(),
            is_open: false,
        }
    }

    /// Waits for the answer. What was sent is noted before that, and what came of it after.
    async fn noted(mut self, answer: impl Future<Output = Result<Response, FetchError>>) -> Result<Response, Failed> {
        if let Some(trail) = self.sender.trail {
            trail.sends(self.changes);
        }
        self.is_open = true;
        let answer = answer.await;
        self.is_open = false;
        if let (Some(trail), Ok(response)) = (self.sender.trail, &answer) {
            trail.answered(self.changes, &response.headers);
        }
        if self.counts {
            self.count(&answer);
        }
        self.log(Some(&answer));
        answer.map_err(|error| {
            let maybe_done = self.authorized && error != FetchError::Exhausted;
            Failed { error: ApiError::of_fetch(error), maybe_done }
        })
    }

    /// Counts what the answer says of TiDB Cloud. A 401 or another refusal says nothing bad, and nothing good.
    fn count(&self, answer: &Result<Response, FetchError>) {
        let noted = &self.sender.log.noted;
        let counter = match answer {
            Ok(response) => match response.status {
                200..=299 => &noted.upstream.answered,
                500.. => &noted.upstream.failed,
                _ => return,
            },
            Err(FetchError::Timeout | FetchError::Unreachable) => &noted.upstream.failed,
            Err(FetchError::TooLarge | FetchError::Exhausted) => return,
        };
        counter.set(counter.get().saturating_add(1));
    }

    /// Writes the line; without an answer, the client left.
    fn log(&self, answer: Option<&Result<Response, FetchError>>) {
        let (log, Operation { service, path }) = (self.sender.log, self.operation);
        let mut fields = json!({
            "service": service,
            "operation": format!("{} /{path}", self.method.as_str()),
            "span_id": self.span,
            "parent_id": log.trace().span_id(),
            "millis": u64::try_from(self.at.until(self.sender.io.now()).as_millis()).unwrap_or(u64::MAX),
        });
        let mut add = |name: &str, value: Value| {
            fields.as_object_mut().and_then(|fields| fields.insert(name.to_owned(), value));
        };
        if let Some(nonce) = self.nonce {
            add("nonce", nonce.into());
        }
        let has_failed = match answer {
            Some(Ok(response)) => {
                add("status", response.status.into());
                if let Some(id) = trail::trace_id_of(&response.headers) {
                    add("upstream_trace_id", id.into());
                }
                response.status >= 500
            }
            Some(Err(error)) => {
                add("failure", words(*error).into());
                true
            }
            None => {
                add("failure", "client_left".into());
                true
            }
        };
        log.routine(if has_failed { Level::Warn } else { Level::Info }, "upstream", fields);
    }
}

impl Drop for Sent<'_> {
    fn drop(&mut self) {
        if self.is_open {
            self.log(None);
        }
    }
}

fn words(error: FetchError) -> &'static str {
    match error {
        FetchError::Timeout => "timeout",
        FetchError::Unreachable => "unreachable",
        FetchError::TooLarge => "too_large",
        FetchError::Exhausted => "exhausted",
    }
}
