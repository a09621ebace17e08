//! Limits: keys, policies, and the counter that all isolates share.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::base::{expiring::Key, future::Pending};

/// Counts permits, strongly consistent for each key. The arithmetic is [`crate::limits::bucket`].
pub trait Limiter {
    /// Takes `cost` permits from the limit of this key. Every admission is persisted before it is answered.
    fn admit<'a>(
        &'a self,
        key: &'a LimitKey,
        policy: Policy,
        cost: u32,
    ) -> Pending<'a, Result<Admission, LimiterFailure>>;
}

/// The limiter gave no verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimiterFailure {
    /// It said that it is overloaded: this key is the flood.
    Overloaded,
    /// It did not answer in time, or failed.
    Unavailable,
}

/// Whose permits are taken. Holds no address or credential in the clear: callers pass a keyed hash.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LimitKey(pub String);

impl Key for LimitKey {
    fn text(&self) -> Cow<'_, str> {
        self.0.as_str().into()
    }
}

/// How many permits a key has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Permits that come back within a window; at least 1.
    pub permits: u32,
    /// Length of the window in seconds; at least 1.
    pub seconds: u32,
    /// Permits that can be taken at once after a pause; at least 1.
    pub burst: u32,
}

impl Policy {
    /// Permits per minute.
    pub const fn per_minute(permits: u32, burst: u32) -> Self {
        Self { permits, seconds: 60, burst }
    }

    /// Permits per hour, all of which can be taken at once.
    pub const fn per_hour(permits: u32) -> Self {
        Self { permits, seconds: 3_600, burst: permits }
    }

    /// The same policy with `factor` times the permits.
    #[must_use]
    pub const fn times(self, factor: u32) -> Self {
        Self {
            permits: self.permits.saturating_mul(factor),
            seconds: self.seconds,
            burst: self.burst.saturating_mul(factor),
        }
    }

    /// Microseconds in which one permit comes back.
    pub(crate) fn interval(self) -> u64 {
        (u64::from(self.seconds.max(1)) * 1_000_000 / u64::from(self.permits.max(1))).max(1)
    }

    /// How far, in microseconds, a key may run ahead of the clock.
    pub(crate) fn capacity(self) -> u64 {
        self.interval().saturating_mul(u64::from(self.burst.max(1)))
    }
}

/// The limiter's verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admission {
    /// Whether the permits were taken.
    pub allowed: bool,
    /// Permits left at this moment.
    pub remaining: u32,
    /// Milliseconds until all permits are back.
    pub reset_millis: u64,
    /// Milliseconds after which the same request is allowed; 0 if it was.
    pub retry_after_millis: u64,
}
