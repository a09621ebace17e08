//! Limits: keys, policies, and the counter that all isolates share.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::base::{expiring::Key, future::Pending};

/// Counts permits, strongly consistent for each key. The arithmetic is [`crate::limits::ledger`].
pub trait Limiter {
    /// Takes permits from the limit of this key. No restart gives back what was admitted.
    fn admit<'a>(&'a self, key: &'a LimitKey, ask: Ask) -> Pending<'a, Result<Admission, LimiterFailure>>;
}

/// The limiter gave no verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimiterFailure {
    /// It said that it is overloaded: this key is the flood.
    Overloaded,
    /// It did not answer in time, or failed.
    Unavailable,
    /// It was not asked: the HTTP request has no call to an object left for limits.
    Exhausted,
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
    /// Whether no window of this length has more than `permits`, wherever it begins. Otherwise permits come back one by one, and a
    /// window can have those of the burst and those that came back in it.
    pub sliding: bool,
}

impl Policy {
    /// Permits per minute.
    pub const fn per_minute(permits: u32, burst: u32) -> Self {
        Self { permits, seconds: 60, burst, sliding: false }
    }

    /// Permits per hour, all of which can be taken at once.
    pub const fn per_hour(permits: u32) -> Self {
        Self { permits, seconds: 3_600, burst: permits, sliding: false }
    }

    /// At most so many permits in any 60 seconds, all of which can be taken at once.
    pub const fn in_any_minute(permits: u32) -> Self {
        Self { permits, seconds: 60, burst: permits, sliding: true }
    }

    /// The same policy with `factor` times the permits.
    #[must_use]
    pub const fn times(self, factor: u32) -> Self {
        Self { permits: self.permits.saturating_mul(factor), burst: self.burst.saturating_mul(factor), ..self }
    }

    /// Permits that come back in a minute.
    pub(crate) fn a_minute(self) -> u32 {
        let permits = u64::from(self.permits).saturating_mul(60) / u64::from(self.seconds.max(1));
        u32::try_from(permits).unwrap_or(u32::MAX)
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

/// A limit as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitState {
    /// What can be taken at this moment; `None` if nobody knows.
    pub left: Option<u32>,
    /// What can be taken at once after a pause.
    pub at_once: u32,
    /// What comes back in a minute; `None` for what is taken and given back.
    pub a_minute: Option<u32>,
}

/// What an isolate asks the limiter for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// How large the limit is.
    pub policy: Policy,
    /// Permits to take now: all of them or none. Who asks for 0 hears how many are left.
    pub cost: u32,
    /// Permits to take ahead, if there are enough: at most so many.
    pub ahead: u32,
    /// A lease that ends with this.
    pub ended: Option<Ended>,
}

impl Ask {
    /// So many permits, and none ahead.
    pub const fn of(policy: Policy, cost: u32) -> Self {
        Self { policy, cost, ahead: 0, ended: None }
    }

    /// As the query of a URL.
    pub fn to_query(self) -> String {
        let Self { policy, cost, ahead, ended } = self;
        let Ended { lease, unused } = ended.unwrap_or_default();
        let Policy { permits, seconds, burst, sliding } = policy;
        format!("{permits}&{seconds}&{burst}&{}&{cost}&{ahead}&{lease}&{unused}", u8::from(sliding))
    }

    /// Reads what [`Self::to_query`] writes.
    pub fn of_query(query: &str) -> Option<Self> {
        let mut numbers = query.split('&').map(|number| number.parse::<u64>().ok());
        let mut next = || numbers.next().flatten();
        let mut small = || u32::try_from(next()?).ok();
        let (permits, seconds, burst, sliding) = (small()?, small()?, small()?, small()? != 0);
        let (cost, ahead) = (small()?, small()?);
        let ended = Ended { lease: next()?, unused: u32::try_from(next()?).ok()? };
        let policy = Policy { permits, seconds, burst, sliding };
        Some(Self { policy, cost, ahead, ended: Some(ended).filter(|ended| ended.lease != 0) })
    }
}

/// The end of a lease that its isolate reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// Which.
    pub lease: u64,
    /// How many of its permits were not used.
    pub unused: u32,
}

/// Permits that one isolate has of its own for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Unique for its key; never 0.
    pub id: u64,
    /// How many.
    pub permits: u32,
    /// How long they can be used, from the moment at which they were asked for.
    pub millis: u64,
}

/// The limiter's verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admission {
    /// Whether the permits were taken.
    pub allowed: bool,
    /// Permits left at this moment, without those on lease.
    pub remaining: u32,
    /// Milliseconds until all permits are back.
    pub reset_millis: u64,
    /// Milliseconds after which the same request is allowed; 0 if it was.
    pub retry_after_millis: u64,
    /// Permits taken ahead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Lease>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_asked_for_arrives_as_it_was_sent(
            (permits, seconds, burst, sliding) in any::<(u32, u32, u32, bool)>(),
            (cost, ahead) in any::<(u32, u32)>(),
            ended in prop::option::of((1..u64::MAX, any::<u32>())),
        ) {
            let ended = ended.map(|(lease, unused)| Ended { lease, unused });
            let ask = Ask { policy: Policy { permits, seconds, burst, sliding }, cost, ahead, ended };
            prop_assert_eq!(Ask::of_query(&ask.to_query()), Some(ask));
        }

        #[test]
        fn what_is_no_ask_is_refused(query in "[0-9&x-]{0,40}") {
            if let Some(ask) = Ask::of_query(&query) {
                prop_assert!(query.split('&').count() >= ask.to_query().split('&').count());
            }
        }
    }
}
