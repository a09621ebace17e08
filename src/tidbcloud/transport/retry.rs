//! When to try again: pure arithmetic of attempts, waits and hints.

use std::time::Duration;

use time::{OffsetDateTime, format_description::well_known::Rfc2822};

use crate::base::{clock::UnixMillis, http::Headers};

/// The least time in which an attempt is worth starting.
pub(crate) const ATTEMPT_MIN: Duration = Duration::from_millis(500);
/// First wait after a transient failure.
const BASE: Duration = Duration::from_millis(100);
/// First wait after a refusal for too many requests without a hint.
const THROTTLED_BASE: Duration = Duration::from_secs(1);
/// 5 s: three attempts of 8 s and two waits of 5 s would take 34 s; the deadline of a call ends them earlier.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// An hour: maintenance may take one, and a hint of more is taken for a mistake.
const HINT_MAX: Duration = Duration::from_secs(3_600);

/// A transient failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passing {
    /// The connection, the gateway or the server stumbled; it may have said for how long.
    Stumble(Option<Duration>),
    /// Too many requests; it may have said until when.
    Throttled(Option<Duration>),
}

/// How long to wait before the next attempt; `None` if there is none.
///
/// `failures` counts the failed attempts of `attempts_max`; `random` is uniform. Full jitter:
/// `random(0..=1) * min(base * 2^(failures - 1), 5 s)`. A hint is obeyed exactly or, if it is longer than 5 s or than the
/// remaining time, not waited for at all.
pub(crate) fn wait(
    passing: Passing,
    failures: u32,
    attempts_max: u32,
    remaining: Duration,
    random: u64,
) -> Option<Duration> {
    let (base, hint) = match passing {
        Passing::Stumble(hint) => (BASE, hint),
        Passing::Throttled(hint) => (THROTTLED_BASE, hint),
    };
    let wait = match hint {
        Some(hint) => Some(hint).filter(|hint| *hint <= WAIT_MAX)?,
        None => {
            let doubled = base.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1))).min(WAIT_MAX);
            let micros = u64::try_from(doubled.as_micros()).unwrap_or(u64::MAX);
            Duration::from_micros(random % micros.saturating_add(1))
        }
    };
    (failures < attempts_max && wait.saturating_add(ATTEMPT_MIN) <= remaining).then_some(wait)
}

/// How long the server asks to wait: `X-Ratelimit-Reset` in seconds (TiDB Cloud API, "Rate limiting"), or
/// `Retry-After` in seconds or as a date (RFC 9110 section 10.2.3). Malformed, negative and absurd values say nothing.
pub(crate) fn hint(headers: &Headers, now: UnixMillis) -> Option<Duration> {
    let seconds = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse().ok().map(Duration::from_secs)).flatten()
    };
    let date = |text: &str| {
        let moment = OffsetDateTime::parse(text, &Rfc2822).ok()?.unix_timestamp();
        Some(now.until(UnixMillis(u64::try_from(moment).ok()?.saturating_mul(1_000))))
    };
    let read = |name: &str| headers.get(name).map(|text| text.trim().to_owned());
    read("x-ratelimit-reset")
        .and_then(|text| seconds(&text))
        .filter(|wait| *wait <= HINT_MAX)
        .or_else(|| read("retry-after").and_then(|text| seconds(&text).or_else(|| date(&text))))
        .filter(|wait| *wait <= HINT_MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn seconds(count: u64) -> Option<Duration> {
        Some(Duration::from_secs(count))
    }

    #[test]
    fn hints_are_read_and_absurd_ones_are_not() {
        // 1994-11-06T08:49:30Z; the date is the example of RFC 9110 section 5.6.7, seven seconds later.
        let now = UnixMillis(784_111_770_000);
        for (name, value, expected) in [
            ("X-Ratelimit-Reset", "23", seconds(23)),
            ("Retry-After", "120", seconds(120)),
            ("Retry-After", " 0 ", seconds(0)),
            ("Retry-After", "Sun, 06 Nov 1994 08:49:37 GMT", seconds(7)),
            ("Retry-After", "Sun, 06 Nov 1994 08:49:07 GMT", seconds(0)),
            ("Retry-After", "Sun, 06 Nov 2094 08:49:37 GMT", None),
            ("Retry-After", "3600", seconds(3_600)),
            ("Retry-After", "3601", None),
            ("Retry-After", "-1", None),
            ("Retry-After", "+1", None),
            ("Retry-After", "1.5", None),
            ("Retry-After", "99999999999999999999999", None),
            ("Retry-After", "soon", None),
            ("Retry-After", "", None),
        ] {
            let headers = Headers::from_iter([(name, value)]);
            assert_eq!(hint(&headers, now), expected, "{name}: {value}");
        }
        let both = Headers::from_iter([("x-ratelimit-reset", "1699999999"), ("retry-after", "4")]);
        assert_eq!(hint(&both, now), seconds(4), "a point in time where seconds belong is absurd");
        assert_eq!(hint(&Headers::new(), now), None);
    }

    #[test]
    fn attempts_end() {
        let stumble = Passing::Stumble(None);
        assert_eq!(wait(stumble, 1, 3, HOUR, 100_000), Some(Duration::from_millis(100)));
        assert_eq!(wait(stumble, 2, 3, HOUR, 200_000), Some(Duration::from_millis(200)));
        assert_eq!(wait(stumble, 3, 3, HOUR, 0), None, "three attempts are enough");
        assert_eq!(wait(stumble, 1, 3, Duration::from_millis(499), 0), None, "no time for another");
        assert_eq!(wait(Passing::Throttled(seconds(5)), 1, 3, HOUR, 0), seconds(5));
        assert_eq!(wait(Passing::Throttled(seconds(6)), 1, 3, HOUR, 0), None, "too long to wait for");
        assert_eq!(wait(Passing::Throttled(seconds(5)), 1, 3, Duration::from_millis(5_499), 0), None);
    }

    proptest! {
        #[test]
        fn waits_stay_within_cap_and_deadline(
            throttled: bool,
            failures in 0_u32..100,
            remaining in 0_u64..20_000,
            random: u64,
        ) {
            let passing = if throttled { Passing::Throttled(None) } else { Passing::Stumble(None) };
            let remaining = Duration::from_millis(remaining);
            if let Some(wait) = wait(passing, failures, 100, remaining, random) {
                prop_assert!(wait <= WAIT_MAX && wait + ATTEMPT_MIN <= remaining);
            }
        }
    }
}
