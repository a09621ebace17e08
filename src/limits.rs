//! The limiter's arithmetic: a generic cell rate algorithm, pure and in integers.
//!
//! One number per key, the theoretical arrival time (TAT): the moment at which the key would have used up nothing.
//! A permit costs the emission interval `T = 60 s / per_minute`; a key may run ahead of the clock by at most
//! `burst * T`. It is the virtual scheduling algorithm of ITU-T I.371 annex A, in microseconds.

use serde::{Deserialize, Serialize};

use crate::platform::UnixMillis;

/// One minute in microseconds.
const MINUTE_MICROS: u64 = 60_000_000;

/// Whose permits are taken. Holds no address or credential in the clear: callers pass a keyed hash.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LimitKey(pub String);

/// How many permits a key has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Permits that come back in a minute; 1 to 60,000,000.
    pub per_minute: u32,
    /// Permits that can be taken at once after a pause; at least 1.
    pub burst: u32,
}

impl Policy {
    /// Microseconds in which one permit comes back.
    fn interval(self) -> u64 {
        (MINUTE_MICROS / u64::from(self.per_minute.max(1))).max(1)
    }

    /// How far, in microseconds, a key may run ahead of the clock.
    fn capacity(self) -> u64 {
        self.interval().saturating_mul(u64::from(self.burst.max(1)))
    }
}

/// What the limiter answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admission {
    /// Whether the permits were taken.
    pub allowed: bool,
    /// Permits left at this moment.
    pub remaining: u32,
    /// Milliseconds until all permits are back.
    pub reset_millis: u64,
    /// Milliseconds after which the same request is allowed; 0 where it was.
    pub retry_after_millis: u64,
}

/// What is stored per key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// Theoretical arrival time in microseconds since the epoch.
    tat_micros: u64,
}

impl Bucket {
    /// A key that was never seen: all permits are there.
    pub const FULL: Self = Self { tat_micros: 0 };

    /// Takes `cost` permits or none. A clock that went backwards never admits more: the stored time counts.
    /// A stored time further ahead than the policy allows (the clock was stepped) is clamped to an empty bucket.
    pub fn take(&mut self, policy: Policy, now: UnixMillis, cost: u32) -> Admission {
        let (interval, capacity) = (policy.interval(), policy.capacity());
        let now = now.0.saturating_mul(1_000);
        let tat = self.tat_micros.clamp(now, now.saturating_add(capacity));
        let next = tat.saturating_add(interval.saturating_mul(u64::from(cost)));
        let ahead = next - now;
        let allowed = ahead <= capacity;
        let used = if allowed {
            self.tat_micros = next;
            ahead
        } else {
            self.tat_micros = tat;
            tat - now
        };
        Admission {
            allowed,
            remaining: u32::try_from((capacity - used) / interval).unwrap_or(u32::MAX),
            reset_millis: used.div_ceil(1_000),
            retry_after_millis: if allowed { 0 } else { (ahead - capacity).div_ceil(1_000) },
        }
    }

    /// When all permits are back and nothing needs to be kept.
    pub fn full_at(&self) -> UnixMillis {
        UnixMillis(self.tat_micros.div_ceil(1_000))
    }
}
