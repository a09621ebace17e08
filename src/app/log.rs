//! One line per request: named fields only, never a header map, a URL with its query, an argument or a row.

use serde::Serialize;

use super::health;
use crate::{
    base::{
        clock::UnixMillis,
        http::{Head, Response},
    },
    limits::lease::Taken,
    mcp::{Summary, outcome::ErrorCode},
    oauth::{self, Route},
    port::{Port, allowance::Allowance},
};

/// The status of a request without an answer, as nginx writes it. No HTTP specification has it.
const CLIENT_LEFT: u16 = 499;

/// The line, filled in while the request is handled.
#[derive(Serialize)]
pub(super) struct Line {
    event: &'static str,
    pub(super) request_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_request_id: Option<String>,
    method: &'static str,
    /// A known route, or `other`: made-up paths do not belong in a log.
    route: &'static str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) auth: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ip_hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_limit_remaining: Option<u32>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    rate_limit_degraded: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol_version: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rpc_method: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rpc_error_code: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error_code: Option<ErrorCode>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    client_left: bool,
    upstream_requests: u32,
    pub(super) bytes_in: usize,
    bytes_out: usize,
    millis: u64,
    #[serde(skip)]
    started: UnixMillis,
}

impl Line {
    /// Opens the line of a request.
    pub(super) fn new(request_id: String, head: &Head, started: UnixMillis) -> Self {
        let client_request_id = head.headers.get("x-request-id").filter(|id| {
            (1..=64).contains(&id.len())
                && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
        });
        let route = match head.url.path() {
            "/" => "/",
            path if oauth::is_endpoint(path) => "/mcp",
            path => health::route(path).or_else(|| Route::of(path).map(Route::name)).unwrap_or("other"),
        };
        Self {
            event: "request",
            request_id,
            client_request_id,
            method: head.method.as_str(),
            route,
            status: 0,
            auth: None,
            ip_hash: None,
            rate_limit_remaining: None,
            rate_limit_degraded: false,
            protocol_version: None,
            rpc_method: None,
            tool: None,
            client: None,
            rpc_error_code: None,
            error_code: None,
            client_left: false,
            upstream_requests: 0,
            bytes_in: 0,
            bytes_out: 0,
            millis: 0,
            started,
        }
    }

    /// Notes the limiter's verdict.
    pub(super) fn limited(&mut self, taken: &Taken) {
        self.rate_limit_remaining = Some(taken.admission.remaining);
        self.rate_limit_degraded = taken.degraded;
    }

    /// Notes what is asked for.
    pub(super) fn describe(&mut self, summary: Summary) {
        self.protocol_version = Some(summary.protocol_version);
        self.rpc_method = Some(summary.method);
        self.tool = summary.tool;
        self.client = summary.client;
    }

    /// Writes the line.
    pub(super) fn finish(&mut self, port: Port<'_>, response: &Response, upstream_requests: u32) {
        self.client_left = port.io.left_at().is_some();
        self.bytes_out = response.body.len();
        self.write(port, response.status, upstream_requests);
    }

    fn write(&mut self, port: Port<'_>, status: u16, upstream_requests: u32) {
        self.status = status;
        self.upstream_requests = upstream_requests;
        self.millis = port.io.now().0.saturating_sub(self.started.0);
        if let Ok(line) = serde_json::to_string(self) {
            port.log.write(&line);
        }
    }
}

/// The line of a request that is being handled. A request that is given up has one too.
pub(super) struct Open<'a> {
    pub(super) line: Line,
    pub(super) port: Port<'a>,
    pub(super) allowance: &'a Allowance,
    pub(super) is_written: bool,
}

impl Open<'_> {
    /// Writes the line.
    pub(super) fn finish(&mut self, response: &Response) {
        self.line.finish(self.port, response, self.allowance.requests_sent());
        self.is_written = true;
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if !self.is_written {
            self.line.client_left = true;
            self.line.write(self.port, CLIENT_LEFT, self.allowance.requests_sent());
        }
    }
}
