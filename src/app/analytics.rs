//! One data point for each call of a tool, for statistics over months that logs are not kept for: words of this program and numbers,
//! never SQL, a name or an id.

use super::log::Line;
use crate::{
    base::http::Head,
    mcp::clients,
    port::{Analytics, Called, DataPoint, Port, RequestLog},
};

/// A call of a tool.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    tool: &'static str,
    outcome: &'static str,
    code: &'static str,
    revision: &'static str,
    client: &'static str,
    limit: &'static str,
    limit_state: &'static str,
    millis: u64,
    request_millis: u64,
    upstream_requests: u32,
    rows: u64,
}

/// A place of a data point.
pub struct Column<T: 'static> {
    /// What it is.
    pub name: &'static str,
    /// What its values mean.
    pub meaning: &'static str,
    of: fn(&Point) -> T,
}

/// By what points are sampled where there are many: each tool keeps its share. 96 bytes at most, and a tool's name has 36.
pub const INDEX: Column<&str> = Column { name: "tool", meaning: "the tool, or `unknown`", of: |point| point.tool };

/// `blob1` and so on. The order never changes: old points stay what they are, and a new column is the last.
pub const BLOBS: [Column<&str>; 6] = [
    Column {
        name: "outcome",
        meaning: "`done`, `asked` (a person is asked first), `failed` (with an error of the tool), `refused` (before the tool ran, \
            with an error of the protocol) or `left` (the client went away before its end)",
        of: |point| point.outcome,
    },
    Column { name: "code", meaning: "code of the error, empty without one", of: |point| point.code },
    Column { name: "revision", meaning: "revision of the protocol", of: |point| point.revision },
    Column {
        name: "client",
        meaning: "a word for the client, `other` for one that is not known, `none` for one that does not say",
        of: |point| point.client,
    },
    Column { name: "limit", meaning: "the limit that was asked last, empty if none was", of: |point| point.limit },
    Column {
        name: "limit_state",
        meaning: "its answer: `allowed`, `limited`, or `degraded` if the object that counts did not answer; empty if none was asked",
        of: |point| point.limit_state,
    },
];

/// `double1` and so on, in an order that never changes either.
pub const DOUBLES: [Column<f64>; 4] = [
    Column { name: "millis", meaning: "time that the call took", of: |point| point.millis as f64 },
    Column {
        name: "request_millis",
        meaning: "time that its HTTP request took, with all calls of a batch",
        of: |point| point.request_millis as f64,
    },
    Column {
        name: "upstream_requests",
        meaning: "requests to TiDB Cloud",
        of: |point| f64::from(point.upstream_requests),
    },
    Column { name: "rows", meaning: "rows in the result, 0 also if it has none", of: |point| point.rows as f64 },
];

// <https://developers.cloudflare.com/analytics/analytics-engine/limits/>: 20 of each, and 16 KB of blobs, which six words do not
// have; a batch has ten calls, an invocation may write 250 points.
const _: () = assert!(BLOBS.len() <= 20 && DOUBLES.len() <= 20);

impl Point {
    /// Gives it to whoever keeps it.
    fn write(&self, to: &dyn Analytics) {
        let (blobs, doubles) = (BLOBS.map(|column| (column.of)(self)), DOUBLES.map(|column| (column.of)(self)));
        to.write(&DataPoint { index: (INDEX.of)(self), blobs: &blobs, doubles: &doubles });
    }
}

/// Writes the points of a request.
pub(super) struct Points<'a> {
    to: &'a dyn Analytics,
    user_agent: Option<String>,
}

impl<'a> Points<'a> {
    /// Those of a request that arrives now. `None`: nobody keeps them.
    pub(super) fn new(port: Port<'a>, head: &Head) -> Option<Self> {
        let to = port.analytics;
        to.is_on().then(|| Self { to, user_agent: head.headers.get("user-agent") })
    }

    /// Writes a point for each call of the request, which has ended. One that is refused before it names a tool has none: strangers
    /// could write as many as they like.
    pub(super) fn write(&self, line: &Line, log: &RequestLog<'_>) {
        let limit_state = match (line.limited, line.rate_limit_degraded, line.limit) {
            (true, ..) => "limited",
            (_, true, _) => "degraded",
            (.., Some(_)) => "allowed",
            _ => "",
        };
        let point = Point {
            tool: line.tool.unwrap_or("unknown"),
            outcome: if line.client_left { "left" } else { "refused" },
            code: line.error_code.unwrap_or_default(),
            revision: line.protocol_version.unwrap_or_default(),
            client: clients::word(line.client.as_deref(), self.user_agent.as_deref()),
            limit: line.limit.unwrap_or_default(),
            limit_state,
            millis: line.millis,
            request_millis: line.millis,
            upstream_requests: line.upstream_requests,
            rows: 0,
        };
        let calls = log.noted.calls.borrow();
        for Called { tool, outcome, code, millis, upstream_requests, rows } in calls.iter().copied() {
            let (code, rows) = (code.unwrap_or_default(), rows.unwrap_or_default());
            Point { tool, outcome, code, millis, upstream_requests, rows, ..point }.write(self.to);
        }
        if calls.is_empty() && line.tool.is_some() {
            point.write(self.to);
        }
    }
}
