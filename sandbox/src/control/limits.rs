//! 100 requests a minute for each API key, as the gateway of TiDB Cloud counts them: in calendar minutes, over all hosts.
//!
//! Requests that end in a challenge are not counted: they carry no key that the gateway knows.

use std::collections::BTreeMap;

use serde_json::json;

use super::answers::json_response;
use crate::exchange::Response;

/// Requests a key may make in a calendar minute.
pub const REQUESTS_PER_MINUTE: u32 = 100;
/// A calendar minute in milliseconds.
const MINUTE_MILLIS: u64 = 60_000;

/// How a key stands after a request.
#[derive(Clone, Copy)]
pub(super) struct Standing {
    pub(super) allowed: bool,
    remaining: u32,
    /// Seconds until the minute is over, rounded up: 1 to 60.
    reset_seconds: u64,
}

/// Per public key: the minute, and the requests in it.
#[derive(Default)]
pub(super) struct Limits(BTreeMap<&'static str, (u64, u32)>);

impl Limits {
    /// Counts a request of `key`.
    pub(super) fn take(&mut self, now: u64, key: &'static str) -> Standing {
        let minute = now / MINUTE_MILLIS;
        let window = self.0.entry(key).or_insert((minute, 0));
        if window.0 != minute {
            *window = (minute, 0);
        }
        let allowed = window.1 < REQUESTS_PER_MINUTE;
        if allowed {
            window.1 += 1;
        }
        Standing { allowed, remaining: REQUESTS_PER_MINUTE - window.1, ..Standing::exceeded(now) }
    }
}

impl Standing {
    /// Nothing is left in this minute.
    pub(super) fn exceeded(now: u64) -> Self {
        let reset_seconds = (MINUTE_MILLIS - now % MINUTE_MILLIS).div_ceil(1_000);
        Self { allowed: false, remaining: 0, reset_seconds }
    }

    /// The header fields that every answer to a known key carries.
    pub(super) fn headers(self) -> [(String, String); 3] {
        [
            ("X-Ratelimit-Limit-Minute".to_owned(), REQUESTS_PER_MINUTE.to_string()),
            ("X-Ratelimit-Remaining-Minute".to_owned(), self.remaining.to_string()),
            ("X-Ratelimit-Reset".to_owned(), self.reset_seconds.to_string()),
        ]
    }
}

/// The 429 of the gateway; it has no `Retry-After`.
pub(super) fn too_many() -> Response {
    let message = "The request exceeded the limit of 100 times per apikey per minute. For more quota, please contact us: \
                   https://support.pingcap.com/hc/en-us/requests/new?ticket_form_id=7800003722519";
    json_response(429, &json!({ "details": [], "code": 49_900_007, "message": message }))
}
