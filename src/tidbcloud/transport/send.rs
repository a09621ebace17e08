//! The only sender: every request to TiDB Cloud is built here and ends in time.

use std::time::Duration;

use url::Url;

use super::{call::Failed, error::ApiError, hosts::Hosts, retry::ATTEMPT_MIN, trail::Trail};
use crate::{
    base::{
        clock::UnixMillis,
        http::{Headers, Method, Response},
    },
    port::{FetchError, Io, Outbound, RequestLog, Sink},
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
    pub(crate) log: RequestLog<'a>,
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
}

impl Request<'_> {
    /// A request without header fields of its own that may use all of the time.
    pub(crate) fn new(method: Method, url: Url, timeout: Duration) -> Self {
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
        let (authorized, changes) = (request.authorization.is_some(), request.changes);
        let outbound = self.outbound(request)?;
        self.noted(changes, self.io.fetch(outbound, bytes_max)).await.map_err(|error| unanswered(error, authorized))
    }

    /// Sends once and gives the body of the answer to `sink`.
    pub(crate) async fn stream(&self, request: Request<'_>, sink: &mut dyn Sink) -> Result<Response, Failed> {
        let (authorized, changes) = (request.authorization.is_some(), request.changes);
        let outbound = self.outbound(request)?;
        self.noted(changes, self.io.exchange(outbound, sink)).await.map_err(|error| unanswered(error, authorized))
    }

    /// Notes a request before it is sent, and its answer.
    async fn noted(
        &self,
        changes: bool,
        answer: impl Future<Output = Result<Response, FetchError>>,
    ) -> Result<Response, FetchError> {
        if let Some(trail) = self.trail {
            trail.sends(changes);
        }
        let answer = answer.await;
        if let (Some(trail), Ok(response)) = (self.trail, &answer) {
            trail.answered(changes, &response.headers);
        }
        answer
    }

    fn outbound(&self, request: Request<'_>) -> Result<Outbound, Failed> {
        let remaining = self.remaining().saturating_sub(request.reserve);
        if remaining < request.time_min {
            return Err(Failed::undone(ApiError::DeadlineExceeded));
        }
        let mut headers = Headers::from_iter([("accept", "application/json"), ("user-agent", USER_AGENT)]);
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

fn unanswered(error: FetchError, authorized: bool) -> Failed {
    Failed { error: ApiError::of_fetch(error), maybe_done: authorized && error != FetchError::Exhausted }
}
