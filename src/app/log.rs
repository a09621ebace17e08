//! One line per request: named fields only, never a header map, a URL with its query, an argument or a row.

use serde::Serialize;
use serde_json::json;

use super::{VERSION, analytics::Points, health, mcp::doors::credentials::SECRET_HEADERS};
use crate::{
    base::{
        clock::UnixMillis,
        http::{Head, Response},
    },
    catalogue::code,
    limits::lease::Taken,
    mcp::{Reply, RpcError, Summary},
    oauth::{self, Route},
    port::{Level, Metered, Noted, Port, RequestLog, Statement},
};

/// The status of a request without an answer, as nginx writes it. No HTTP specification has it.
const CLIENT_LEFT: u16 = 499;

/// The line, filled in while the request is handled.
#[derive(Serialize)]
pub(super) struct Line {
    ts: u64,
    level: Level,
    event: &'static str,
    version: &'static str,
    request_id: String,
    trace_id: String,
    span_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_request_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cf_ray: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    colo: Option<String>,
    method: &'static str,
    /// A known route, or `other`: made-up paths do not belong in a log.
    route: &'static str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) auth: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sub_hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ip_hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) limit: Option<&'static str>,
    #[serde(skip_serializing_if = "is_false")]
    pub(super) limited: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_limit_remaining: Option<u32>,
    #[serde(skip_serializing_if = "is_false")]
    pub(super) rate_limit_degraded: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) protocol_version: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rpc_method: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tool: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) client: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rpc_error_code: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error_code: Option<&'static str>,
    #[serde(skip_serializing_if = "is_false")]
    pub(super) client_left: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    confirmation: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sql_class: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sql_bytes: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sql_hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<u64>,
    #[serde(skip_serializing_if = "is_false")]
    truncated: bool,
    pub(super) upstream_requests: u32,
    pub(super) bytes_in: usize,
    bytes_out: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    deadline_left_millis: Option<u64>,
    pub(super) millis: u64,
    #[serde(skip)]
    started: UnixMillis,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

impl Line {
    /// Opens the line of a request.
    pub(super) fn new(head: &Head, started: UnixMillis) -> Self {
        let client_request_id = head.headers.get("x-request-id").filter(|id| {
            (1..=64).contains(&id.len())
                && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
        });
        let (cf_ray, colo) = head.headers.get("cf-ray").and_then(|ray| read_ray(&ray)).unzip();
        let route = match head.url.path() {
            "/" => "/",
            path if oauth::is_endpoint(path) => "/mcp",
            path => health::route(path).or_else(|| Route::of(path).map(Route::name)).unwrap_or("other"),
        };
        Self {
            ts: 0,
            level: Level::Info,
            event: "request",
            version: VERSION,
            request_id: String::new(),
            trace_id: String::new(),
            span_id: String::new(),
            parent_id: None,
            client_request_id,
            cf_ray,
            colo: colo.flatten(),
            method: head.method.as_str(),
            route,
            status: 0,
            auth: None,
            sub_hash: None,
            ip_hash: None,
            limit: None,
            limited: false,
            rate_limit_remaining: None,
            rate_limit_degraded: false,
            protocol_version: None,
            rpc_method: None,
            tool: None,
            client: None,
            rpc_error_code: None,
            error_code: None,
            client_left: false,
            confirmation: None,
            sql_class: None,
            sql_bytes: None,
            sql_hash: None,
            rows: None,
            truncated: false,
            upstream_requests: 0,
            bytes_in: 0,
            bytes_out: 0,
            deadline_left_millis: None,
            millis: 0,
            started,
        }
    }

    /// Notes the limiter's verdict.
    pub(super) fn limited(&mut self, taken: &Taken) {
        self.limit = Some(taken.name);
        self.limited = !taken.allowed();
        self.rate_limit_remaining = Some(taken.admission.remaining);
        self.rate_limit_degraded |= taken.degraded;
    }

    /// Notes what is asked for.
    pub(super) fn describe(&mut self, summary: Summary) {
        self.protocol_version = Some(summary.protocol_version);
        self.rpc_method = Some(summary.method);
        self.tool = summary.tool;
        self.client = summary.client;
    }

    /// Notes the error of a refusal.
    pub(super) fn refused(&mut self, error: &RpcError) {
        (self.rpc_error_code, self.error_code) = (Some(error.code), Some(error.name));
    }

    /// Notes what is wrong with an answer, if something is.
    pub(super) fn answered(&mut self, reply: &Reply) {
        self.rpc_error_code = reply.rpc_error.map(|(code, _)| code);
        let name = reply.rpc_error.map(|(_, name)| name);
        self.error_code = reply.tool_error.map(|code| code.0).or(name);
    }

    /// The code of the error in the answer.
    pub(super) fn error(&self) -> Option<&'static str> {
        self.error_code
    }

    /// Writes the line.
    pub(super) fn finish(&mut self, port: Port<'_>, log: &RequestLog<'_>, response: &Response) {
        self.client_left = port.io.left_at().is_some();
        self.bytes_out = response.body.len();
        self.write(port, log, response.status);
    }

    fn write(&mut self, port: Port<'_>, log: &RequestLog<'_>, status: u16) {
        let now = port.io.now();
        self.ts = now.0;
        self.status = status;
        self.millis = now.0.saturating_sub(self.started.0);
        self.level = match status {
            500.. => Level::Error,
            400.. => Level::Warn,
            _ if self.error_code == Some(code::INTERNAL.0) => Level::Error,
            _ if self.rpc_error_code.is_some() || self.error_code.is_some() => Level::Warn,
            _ => Level::Info,
        };
        if let Some(name) = log.noted.refused_by.get() {
            (self.limit, self.limited, self.rate_limit_remaining) = (Some(name), true, None);
        }
        if log.holds(self.level) {
            // It is the last line: nothing can come that would need it.
            return;
        }
        let trace = log.trace();
        self.request_id.clone_from(&log.request_id);
        self.trace_id = trace.id();
        self.span_id = trace.span_id();
        self.parent_id = trace.parent_id();
        let Noted { confirmation, truncated, rows, statement, .. } = &log.noted;
        self.confirmation = confirmation.get();
        self.truncated = truncated.get();
        self.rows = rows.get();
        if let Some(Statement { class, bytes, hash }) = statement.take() {
            (self.sql_class, self.sql_bytes, self.sql_hash) = (Some(class), Some(bytes), Some(hash));
        }
        if let Ok(line) = serde_json::to_string(self) {
            log.routine_line(self.level, line);
        }
    }
}

/// The two parts of `CF-Ray`: 16 hexadecimal digits, and the three letters of a data centre where they follow.
/// <https://developers.cloudflare.com/fundamentals/reference/http-headers/#cf-ray>
fn read_ray(ray: &str) -> Option<(String, Option<String>)> {
    let (id, colo) = match ray.split_once('-') {
        Some((id, colo)) => (id, Some(colo)),
        None => (ray, None),
    };
    let is_id = id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_colo = colo.is_none_or(|colo| colo.len() == 3 && colo.bytes().all(|byte| byte.is_ascii_uppercase()));
    (is_id && is_colo).then(|| (id.to_owned(), colo.map(str::to_owned)))
}

/// Takes what a request's head says for all of its lines: its trace, and the secrets that none of them may show.
pub(super) fn begins(log: &RequestLog<'_>, head: &Head) {
    for name in SECRET_HEADERS {
        if let Some(secret) = head.headers.get(name) {
            log.hides(&secret);
        }
    }
    if let Some(value) = head.headers.get("authorization") {
        log.hides(value.split_once(char::is_whitespace).map_or(value.as_str(), |(_, secret)| secret.trim()));
    }
    if let Some(traceparent) = head.headers.get("traceparent") {
        log.follow(&traceparent);
    }
}

/// The line of a request that is being handled. A request that is given up has one too.
pub(super) struct Open<'a> {
    pub(super) line: Line,
    pub(super) port: Port<'a>,
    pub(super) log: &'a RequestLog<'a>,
    pub(super) metered: &'a Metered<'a>,
    pub(super) points: Option<Points<'a>>,
    pub(super) is_written: bool,
}

impl Open<'_> {
    /// Writes the line.
    pub(super) fn finish(&mut self, response: &Response) {
        self.spent();
        self.line.finish(self.port, self.log, response);
        self.point();
        self.is_written = true;
    }

    fn point(&self) {
        if let Some(points) = &self.points {
            points.write(&self.line, self.log);
        }
    }

    fn spent(&mut self) {
        for object in self.metered.silent() {
            self.log.warn("storage_failed", json!({ "object": object }));
        }
        let allowance = &self.metered.allowance;
        self.line.upstream_requests = allowance.requests_sent();
        let left = self.port.io.now().until(allowance.deadline());
        let millis = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
        self.line.deadline_left_millis = (self.line.upstream_requests > 0).then_some(millis);
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if !self.is_written {
            self.spent();
            self.line.client_left = true;
            self.line.write(self.port, self.log, CLIENT_LEFT);
            self.point();
        }
    }
}
