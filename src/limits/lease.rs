//! Taking permits: how an isolate takes them ahead, and the fallback when the Durable Object of a limit does not answer.
//! Limits of use fall back to the isolate's own count; limits that protect secrets let nobody through.

use super::{bucket::Bucket, keys::Limit, wait_seconds};
use crate::{
    base::{clock::UnixMillis, expiring::ExpiringMap},
    port::{Admission, LimitKey, Limiter, LimiterFailure, Policy, Port},
};

/// 10,000 keys of some 100 bytes are 1 MB of an isolate's 128.
const KEYS_MAX: usize = 10_000;

/// An isolate that is on its own grants a quarter of the burst: it cannot know what others granted.
const DEGRADED_BURST_DIVISOR: u32 = 4;

/// The wait for a key that floods its Durable Object.
const OVERLOADED_RETRY_MILLIS: u64 = 10_000;

/// The wait for a key for which the isolate's own map has no room.
const NO_ROOM_MILLIS: u64 = 60_000;

/// Permits that are taken ahead from a key that keeps asking: four of five requests then wait for no Durable Object.
const LEASE_PERMITS: u32 = 5;
/// How long each of them waits for a request, and how long a key counts as asking after a permit was taken for it. Who asks
/// this isolate less often takes one permit at a time, so requests that are spread over many isolates cost no more than
/// they are; two at once and nothing after them cost six.
const LEASE_MILLIS_PER_PERMIT: u64 = 2_000;
/// At most a fifth of the burst is taken ahead, so that a small limit is not used up by one isolate.
const LEASE_DIVISOR: u32 = 5;

/// An isolate's own knowledge of permits.
pub struct Permits {
    /// Keys that were refused, so that a flood does not reach the Durable Object.
    refused: ExpiringMap<LimitKey, ()>,
    /// Buckets for the time when the Durable Object does not answer.
    buckets: ExpiringMap<LimitKey, Bucket>,
    /// Permits that were taken ahead.
    leases: ExpiringMap<LimitKey, Lease>,
}

/// Permits of one key that were taken from its Durable Object and not used yet.
#[derive(Clone, Copy)]
struct Lease {
    left: u32,
    until: UnixMillis,
    /// The Durable Object's verdict that came with them.
    admission: Admission,
}

impl Default for Permits {
    fn default() -> Self {
        Self {
            refused: ExpiringMap::refusing(KEYS_MAX),
            buckets: ExpiringMap::refusing(KEYS_MAX),
            leases: ExpiringMap::refusing(KEYS_MAX),
        }
    }
}

/// The result of taking permits.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    /// What is limited, as the headers call it.
    pub name: &'static str,
    /// The verdict, of the Durable Object or of this isolate.
    pub admission: Admission,
    /// How large the limit is.
    pub policy: Policy,
    /// The Durable Object gave no verdict.
    pub degraded: bool,
}

impl Taken {
    /// Whether the request goes on.
    pub fn allowed(&self) -> bool {
        self.admission.allowed
    }
}

/// Why a limit that protects secrets lets nobody through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guarded {
    /// Too many tries; how many seconds to wait.
    Limited(u64),
    /// The limiter does not answer.
    Unavailable,
}

impl Limit {
    /// Takes permits from the Durable Object of this key; without its verdict, from this isolate's own bucket.
    pub async fn take(&self, port: Port<'_>, permits: &Permits, cost: u32) -> Taken {
        let now = port.io.now();
        if let Some(refused) = self.refused_here(permits, now) {
            return refused;
        }
        let verdict = port.limiter.admit(&self.key, self.policy, cost).await;
        self.settle(verdict, permits, now, cost)
    }

    /// Takes one permit, and some ahead for a key that keeps asking: never more than the limit, over all isolates.
    pub async fn take_ahead(&self, port: Port<'_>, permits: &Permits) -> Taken {
        let now = port.io.now();
        if let Some(taken) = self.take_leased(permits, now) {
            return taken;
        }
        if let Some(refused) = self.refused_here(permits, now) {
            return refused;
        }
        let most = LEASE_PERMITS.min(self.policy.burst / LEASE_DIVISOR).max(1);
        let cost = if permits.keep_being_asked(&self.key, now) { most } else { 1 };
        let taken = match port.limiter.admit(&self.key, self.policy, cost).await {
            Ok(admission @ Admission { allowed: true, .. }) => {
                let left = permits.add_lease(&self.key, cost - 1, admission, now);
                return self.taken(Admission { remaining: admission.remaining + left, ..admission }, false);
            }
            // One may be there.
            Ok(_) if cost > 1 => self.take(port, permits, 1).await,
            verdict => self.settle(verdict, permits, now, 1),
        };
        if taken.allowed() {
            return taken;
        }
        // Requests that ran beside this one may have brought the last permits.
        self.take_leased(permits, now).unwrap_or(taken)
    }

    /// Takes one permit of a limit that protects secrets: without a verdict it is refused.
    ///
    /// # Errors
    /// No permit is left, or there is no verdict.
    pub async fn take_strictly(&self, limiter: &dyn Limiter) -> Result<(), Guarded> {
        match limiter.admit(&self.key, self.policy, 1).await {
            Ok(admission) if admission.allowed => Ok(()),
            Ok(admission) => Err(Guarded::Limited(wait_seconds(admission.retry_after_millis))),
            Err(_) => Err(Guarded::Unavailable),
        }
    }

    fn take_leased(&self, permits: &Permits, now: UnixMillis) -> Option<Taken> {
        let lease = permits.use_lease(&self.key, now)?;
        let remaining = lease.admission.remaining + lease.left;
        Some(self.taken(Admission { remaining, ..lease.admission }, false))
    }

    fn settle(
        &self,
        verdict: Result<Admission, LimiterFailure>,
        permits: &Permits,
        now: UnixMillis,
        cost: u32,
    ) -> Taken {
        match verdict {
            Ok(admission) => {
                if !admission.allowed {
                    permits.remember_refusal(&self.key, now, admission.retry_after_millis);
                }
                self.taken(admission, false)
            }
            Err(LimiterFailure::Overloaded) => {
                permits.remember_refusal(&self.key, now, OVERLOADED_RETRY_MILLIS);
                self.taken(refusal(OVERLOADED_RETRY_MILLIS), true)
            }
            Err(LimiterFailure::Unavailable) => {
                let burst = (self.policy.burst / DEGRADED_BURST_DIVISOR).max(1);
                let policy = Policy { burst, ..self.policy };
                self.taken(permits.take(&self.key, policy, now, cost), true)
            }
        }
    }

    /// A refusal that this isolate remembers, without a request. One that would last longer than refusals do was remembered before
    /// the clock stepped back.
    fn refused_here(&self, permits: &Permits, now: UnixMillis) -> Option<Taken> {
        let until = permits.refused.until(&self.key, now)?;
        let left_millis = until.0 - now.0;
        let longest = OVERLOADED_RETRY_MILLIS.max(self.policy.capacity().div_ceil(1_000));
        (left_millis <= longest).then(|| self.taken(refusal(left_millis), false))
    }

    fn taken(&self, admission: Admission, degraded: bool) -> Taken {
        Taken { name: self.name, admission, policy: self.policy, degraded }
    }
}

/// No permit for this many milliseconds.
fn refusal(retry_after_millis: u64) -> Admission {
    Admission { allowed: false, remaining: 0, reset_millis: retry_after_millis, retry_after_millis }
}

impl Permits {
    fn remember_refusal(&self, key: &LimitKey, now: UnixMillis, millis: u64) {
        self.refused.insert(key, (), UnixMillis(now.0.saturating_add(millis)), now);
    }

    fn use_lease(&self, key: &LimitKey, now: UnixMillis) -> Option<Lease> {
        let mut lease = self.leases.get(key, now).filter(|lease| lease.left > 0)?;
        lease.left -= 1;
        self.leases.insert(key, lease, lease.until, now);
        Some(lease)
    }

    /// Whether permits were taken for this key a short while ago.
    fn keep_being_asked(&self, key: &LimitKey, now: UnixMillis) -> bool {
        self.leases.until(key, now).is_some()
    }

    /// Adds to what requests that ran at the same time have brought; how many permits are left then.
    fn add_lease(&self, key: &LimitKey, permits: u32, admission: Admission, now: UnixMillis) -> u32 {
        let there = self.leases.get(key, now).map_or(0, |lease| lease.left);
        let left = there.saturating_add(permits);
        let until = UnixMillis(now.0.saturating_add(LEASE_MILLIS_PER_PERMIT * u64::from(permits + 1)));
        self.leases.insert(key, Lease { left, until, admission }, until, now);
        left
    }

    fn take(&self, key: &LimitKey, policy: Policy, now: UnixMillis, cost: u32) -> Admission {
        let admission = self.buckets.update(key, now, |bucket| {
            let mut bucket = bucket.unwrap_or(Bucket::FULL);
            let admission = bucket.take(policy, now, cost);
            (bucket, bucket.full_at(), admission)
        });
        admission.unwrap_or(refusal(NO_ROOM_MILLIS))
    }
}
