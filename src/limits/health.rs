//! Whether the Durable Objects of limits answer this isolate. While most of them do not, they are not asked: each ask would only
//! make a request wait for 300 ms.

use std::cell::Cell;

use serde_json::json;

use crate::{
    base::clock::UnixMillis,
    port::{Level, LimiterFailure, Port, line},
};

/// Results are counted over this long.
const WINDOW_MILLIS: u64 = 10_000;
/// Fewer results than this say nothing.
const RESULTS_MIN: u32 = 4;
/// How long nothing is asked.
const PAUSE_MILLIS: u64 = 5_000;

/// An isolate's count of answers and of none.
#[derive(Default)]
pub(super) struct Health(Cell<Counts>);

#[derive(Clone, Copy, Default)]
struct Counts {
    /// When the window began.
    since: u64,
    results: u32,
    failures: u32,
    paused_until: u64,
    /// When the next line may be written to the log.
    log_after: u64,
}

impl Health {
    /// Whether to ask.
    pub(super) fn is_well(&self, now: UnixMillis) -> bool {
        // A pause that would be longer began before the clock stepped back.
        !(1..=PAUSE_MILLIS).contains(&self.0.get().paused_until.saturating_sub(now.0))
    }

    /// Counts a result. A key that floods its object says nothing of others.
    pub(super) fn note(&self, port: Port<'_>, limit: &str, failure: Option<LimiterFailure>) {
        if failure == Some(LimiterFailure::Exhausted) {
            return;
        }
        let (now, mut counts) = (port.io.now().0, self.0.get());
        let has_failed = failure == Some(LimiterFailure::Unavailable);
        if now.saturating_sub(counts.since) >= WINDOW_MILLIS {
            counts = Counts { since: now, results: 0, failures: 0, ..counts };
        }
        counts.results = counts.results.saturating_add(1);
        counts.failures = counts.failures.saturating_add(u32::from(has_failed));
        let pauses = counts.results >= RESULTS_MIN && counts.failures.saturating_mul(2) > counts.results;
        if pauses {
            // What follows is judged by itself.
            let paused_until = now.saturating_add(PAUSE_MILLIS);
            counts = Counts { since: paused_until, results: 0, failures: 0, paused_until, ..counts };
        }
        if has_failed && counts.log_after <= now {
            counts.log_after = now.saturating_add(WINDOW_MILLIS);
            let what = json!({ "limit": limit, "paused": pauses });
            port.log.write(&line(port.io.now(), Level::Warn, "ratelimit_degraded", what));
        }
        self.0.set(counts);
    }
}
