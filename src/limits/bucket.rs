//! The limiter's arithmetic: a generic cell rate algorithm, pure and in integers.
//!
//! One number per key, the theoretical arrival time (TAT): the moment at which the key's bucket is full again.
//! A permit costs the emission interval `T = seconds / permits`; a key may run ahead of the clock by at most
//! `burst * T`. It is the virtual scheduling algorithm of ITU-T I.371 annex A, in microseconds.

use crate::{
    base::clock::UnixMillis,
    port::{Admission, Policy},
};

/// The state of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
            lease: None,
        }
    }

    /// A key with this theoretical arrival time.
    pub(super) const fn at(tat_micros: u64) -> Self {
        Self { tat_micros }
    }

    /// The theoretical arrival time in microseconds.
    pub(super) const fn tat_micros(self) -> u64 {
        self.tat_micros
    }

    /// When all permits are back and nothing needs to be kept.
    pub fn full_at(&self) -> UnixMillis {
        UnixMillis(self.tat_micros.div_ceil(1_000))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 2026-01-01T00:00:00Z: far enough from zero that a clock can be stepped back.
    const START_MILLIS: u64 = 1_767_225_600_000;

    fn policies() -> impl Strategy<Value = Policy> {
        (1..=6_000_u32, 1..=200_u32).prop_map(|(permits, burst)| Policy::per_minute(permits, burst))
    }

    /// Gaps of 0 to 5 s, some of none at all, and costs of 1 to 5.
    fn arrivals() -> impl Strategy<Value = Vec<(u64, u32)>> {
        prop::collection::vec((prop_oneof![Just(0), 0..50_u64, 0..5_000_u64], 1..=5_u32), 1..200)
    }

    /// A token bucket in microseconds of credit, written down independently of the algorithm under test.
    struct Tokens {
        credit: i64,
        /// A key is full when it is first seen, at any clock time.
        seen_millis: Option<u64>,
    }

    impl Tokens {
        fn take(&mut self, policy: Policy, now: UnixMillis, cost: u32) -> Admission {
            let price = 60_000_000 / i64::from(policy.permits);
            let full = price * i64::from(policy.burst);
            let seen = self.seen_millis.replace(now.0).unwrap_or(now.0);
            let elapsed = (now.0 as i64 - seen as i64) * 1_000;
            self.credit = (self.credit + elapsed).clamp(0, full);
            let lacking = price * i64::from(cost) - self.credit;
            let allowed = lacking <= 0;
            if allowed {
                self.credit = -lacking;
            }
            Admission {
                allowed,
                remaining: u32::try_from(self.credit / price).unwrap(),
                reset_millis: u64::try_from(full - self.credit).unwrap().div_ceil(1_000),
                retry_after_millis: u64::try_from(lacking.max(0)).unwrap().div_ceil(1_000),
                lease: None,
            }
        }
    }

    proptest! {
        /// Also if the clock is stepped back: then credit shrinks by the step, down to nothing.
        #[test]
        fn equals_a_token_bucket(
            policy in policies(),
            steps in prop::collection::vec((prop_oneof![Just(0), -50..50_i64, -5_000..5_000_i64], 0..=5_u32), 1..200),
        ) {
            let (mut bucket, mut now) = (Bucket::FULL, START_MILLIS);
            let full = 60_000_000 / i64::from(policy.permits) * i64::from(policy.burst);
            let mut model = Tokens { credit: full, seen_millis: None };
            for (step, cost) in steps {
                now = now.saturating_add_signed(step);
                let admission = bucket.take(policy, UnixMillis(now), cost);
                prop_assert_eq!(admission, model.take(policy, UnixMillis(now), cost));
                prop_assert_eq!(bucket.full_at(), UnixMillis(now + admission.reset_millis));
            }
        }

        #[test]
        fn no_interval_admits_more_than_the_burst_and_what_came_back(policy in policies(), arrivals in arrivals()) {
            let price = 60_000_000 / u64::from(policy.permits);
            let (mut bucket, mut now) = (Bucket::FULL, START_MILLIS);
            let mut admitted = Vec::new();
            for (gap, cost) in arrivals {
                now += gap;
                if bucket.take(policy, UnixMillis(now), cost).allowed {
                    admitted.push((now, u64::from(cost)));
                }
            }
            for (first, (from, _)) in admitted.iter().enumerate() {
                let mut permits = 0;
                for (until, cost) in &admitted[first..] {
                    permits += cost;
                    prop_assert!(permits * price <= u64::from(policy.burst) * price + (until - from) * 1_000);
                }
            }
        }

        #[test]
        fn retry_after_is_exact(policy in policies(), arrivals in arrivals()) {
            let (mut bucket, mut now) = (Bucket::FULL, START_MILLIS);
            for (gap, cost) in arrivals {
                now += gap;
                let admission = bucket.take(policy, UnixMillis(now), cost);
                if admission.allowed {
                    prop_assert_eq!(admission.retry_after_millis, 0);
                } else if cost <= policy.burst {
                    let allowed_after = |wait| bucket.clone().take(policy, UnixMillis(now + wait), cost).allowed;
                    prop_assert!(!allowed_after(admission.retry_after_millis - 1));
                    prop_assert!(allowed_after(admission.retry_after_millis));
                }
            }
        }

        #[test]
        fn a_clock_that_goes_backwards_admits_no_more_than_one_that_stands_still(
            policy in policies(),
            arrivals in arrivals(),
            back in 0..600_000_u64,
        ) {
            let (mut bucket, mut now) = (Bucket::FULL, START_MILLIS);
            for (gap, cost) in arrivals {
                now += gap;
                let still = bucket.clone().take(policy, UnixMillis(now), cost);
                let stepped = bucket.clone().take(policy, UnixMillis(now - back), cost);
                // The first request of all finds a full bucket at any time.
                if bucket != Bucket::FULL {
                    prop_assert!(still.allowed || !stepped.allowed);
                    prop_assert!(stepped.remaining <= still.remaining || !stepped.allowed);
                }
                bucket.take(policy, UnixMillis(now), cost);
            }
        }

        /// A stepped clock or a lowered limit shuts a key out no longer than its bucket takes to fill.
        #[test]
        fn a_time_too_far_ahead_is_clamped(before in policies(), after in policies(), back in 0..10_000_000_u64) {
            let mut bucket = Bucket::FULL;
            bucket.take(before, UnixMillis(START_MILLIS), before.burst);
            let now = START_MILLIS - back;
            let fill_millis = (60_000_000 / u64::from(after.permits) * u64::from(after.burst)).div_ceil(1_000);
            let admission = bucket.take(after, UnixMillis(now), 1);
            prop_assert!(admission.reset_millis <= fill_millis);
            prop_assert!(bucket.take(after, UnixMillis(now + fill_millis), after.burst).allowed);
        }

        /// More than the burst is never there, however long one waits.
        #[test]
        fn a_cost_above_the_burst_is_never_admitted(policy in policies(), more in 1..100_u32, wait in 0..10_000_000_u64) {
            let mut bucket = Bucket::FULL;
            prop_assert!(!bucket.take(policy, UnixMillis(START_MILLIS), policy.burst + more).allowed);
            prop_assert!(!bucket.take(policy, UnixMillis(START_MILLIS + wait), policy.burst + more).allowed);
            prop_assert!(bucket.take(policy, UnixMillis(START_MILLIS + wait), policy.burst).allowed);
        }
    }
}
