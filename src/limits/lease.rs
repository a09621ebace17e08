//! Taking permits: how an isolate takes them ahead, and the fallback when the Durable Object of a limit does not answer.
//! Limits of use fall back to the isolate's own count; limits that protect secrets let nobody through.
//!
//! An isolate asks for one permit, and for some ahead if it was asked for this key before: 1, then 2, 4, 8 and so on, as long as it
//! uses each lease up before it ends. If one ends with permits left, the next is as large as what was used of it. A lease that is used
//! up is ended by the ask for the next one, so that its permits come back. What the object gives, and why it is never too much, is in
//! [`super::ledger`].

use super::{bucket::Bucket, health::Health, keys::Limit, ledger, wait_seconds};
use crate::{
    base::{clock::UnixMillis, expiring::ExpiringMap},
    port::{Admission, Ask, Ended, Lease, LimitKey, LimitState, Limiter, LimiterFailure, Policy, Port},
};

/// 10,000 keys of some 200 bytes are 2 MB of an isolate's 128.
const KEYS_MAX: usize = 10_000;

/// An isolate that is on its own grants a quarter of the burst: it cannot know what others granted.
const DEGRADED_BURST_DIVISOR: u32 = 4;

/// The wait for a key that floods its Durable Object.
const OVERLOADED_RETRY_MILLIS: u64 = 10_000;

/// The wait for a key for which the isolate's own map has no room.
const NO_ROOM_MILLIS: u64 = 60_000;

/// How long a key counts as asking after it did, or after its lease ended. Who asks this isolate less often takes one permit at a
/// time, so requests that are spread over many isolates cost no more than they are.
const KNOWN_MILLIS: u64 = 30_000;
/// While an ask for a lease is under way, requests beside it ask for their own permit only. The answer comes within the limiter's
/// 300 ms, or never.
const ASKING_MILLIS: u64 = 1_000;

/// An isolate's own knowledge of permits.
pub struct Permits {
    /// Keys that were refused, and for how many milliseconds, so that a flood does not reach the Durable Object.
    refused: ExpiringMap<LimitKey, u64>,
    /// Buckets for the time when the Durable Object does not answer.
    buckets: ExpiringMap<LimitKey, Bucket>,
    /// Keys that keep asking.
    known: ExpiringMap<LimitKey, Known>,
    /// Whether Durable Objects answer.
    health: Health,
}

/// A key that asked a short while ago.
#[derive(Clone, Copy, Default)]
struct Known {
    lease: Option<Held>,
    /// A lease that came while there was one: it goes back with the next ask.
    spare: Option<Ended>,
    /// Permits to ask for ahead the next time.
    ahead: u32,
    asking_until: u64,
    /// What the Durable Object had left when it answered last.
    remaining: u32,
    /// When it had all permits again.
    reset_at: u64,
    until: u64,
}

/// A lease of this isolate.
#[derive(Clone, Copy)]
struct Held {
    id: u64,
    permits: u32,
    left: u32,
    end: u64,
    millis: u64,
}

impl Held {
    /// Whether it can be used. One that would last longer than it was given for was given before the clock stepped back.
    fn holds(self, now: UnixMillis) -> bool {
        (1..=self.millis).contains(&self.end.saturating_sub(now.0))
    }

    fn unused(self) -> Ended {
        Ended { lease: self.id, unused: self.left }
    }
}

impl Default for Permits {
    fn default() -> Self {
        Self {
            refused: ExpiringMap::refusing(KEYS_MAX),
            buckets: ExpiringMap::refusing(KEYS_MAX),
            known: ExpiringMap::refusing(KEYS_MAX),
            health: Health::default(),
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

/// What is known before the Durable Object is asked.
enum Begun {
    /// The verdict: it need not be asked.
    Taken(Taken),
    /// What to ask it for.
    Ask(Ask),
}

impl Limit {
    /// Takes permits from the Durable Object of this key; without its verdict, from this isolate's own bucket.
    pub async fn take(&self, port: Port<'_>, permits: &Permits, cost: u32) -> Taken {
        self.ask(port, permits, cost, None).await
    }

    /// Takes one permit, and some ahead for a key that keeps asking: never more than the limit, over all isolates.
    pub async fn take_ahead(&self, port: Port<'_>, permits: &Permits) -> Taken {
        self.take_one_of(port, permits, 0).await
    }

    /// The same for one of several that are to follow: so many are asked for ahead at least, if the key keeps asking.
    pub async fn take_one_of(&self, port: Port<'_>, permits: &Permits, least: u32) -> Taken {
        self.ask(port, permits, 1, Some(least)).await
    }

    async fn ask(&self, port: Port<'_>, permits: &Permits, cost: u32, ahead: Option<u32>) -> Taken {
        let asked = port.io.now();
        let ask = match self.begin(permits, asked, cost, ahead) {
            Begun::Taken(taken) => return taken,
            Begun::Ask(ask) => ask,
        };
        let verdict = port.limiter.admit(&self.key, ask).await;
        permits.health.note(port, self.name, verdict.as_ref().err().copied());
        self.end(permits, asked, port.io.now(), &ask, verdict)
    }

    /// Takes one permit of a limit that protects secrets: without a verdict it is refused.
    ///
    /// # Errors
    /// No permit is left, or there is no verdict.
    pub async fn take_strictly(&self, limiter: &dyn Limiter) -> Result<(), Guarded> {
        match limiter.admit(&self.key, Ask::of(self.policy, 1)).await {
            Ok(admission) if admission.allowed => Ok(()),
            Ok(admission) => Err(Guarded::Limited(wait_seconds(admission.retry_after_millis))),
            Err(_) => Err(Guarded::Unavailable),
        }
    }

    /// How much is left, without taking any of it: what the Durable Object has, and what this isolate has on lease. Leases of other
    /// isolates are theirs.
    pub async fn look(&self, port: Port<'_>, permits: &Permits) -> LimitState {
        let now = port.io.now();
        let left = if permits.health.is_well(now) {
            let seen = port.limiter.admit(&self.key, Ask::of(self.policy, 0)).await;
            seen.ok().map(|seen| seen.remaining.saturating_add(permits.leased(&self.key, now)))
        } else {
            None
        };
        LimitState { left, at_once: self.policy.burst, a_minute: Some(self.policy.a_minute()) }
    }

    /// Takes permits that this isolate has, or says what to ask for.
    fn begin(&self, permits: &Permits, now: UnixMillis, cost: u32, ahead: Option<u32>) -> Begun {
        if let Some(taken) = self.take_leased(permits, now, cost) {
            return Begun::Taken(taken);
        }
        if let Some(refused) = self.refused_here(permits, now) {
            return Begun::Taken(refused);
        }
        if !permits.health.is_well(now) {
            return Begun::Taken(self.taken_alone(permits, now, cost));
        }
        Begun::Ask(permits.ask(&self.key, self.policy, now, cost, ahead))
    }

    /// Takes the verdict, if there is one. `asked` is the moment before the Durable Object was asked.
    fn end(
        &self,
        permits: &Permits,
        asked: UnixMillis,
        now: UnixMillis,
        ask: &Ask,
        verdict: Result<Admission, LimiterFailure>,
    ) -> Taken {
        match verdict {
            Ok(admission) if admission.allowed => {
                let left = permits.keep(&self.key, asked, now, &admission);
                self.taken(Admission { remaining: admission.remaining.saturating_add(left), ..admission }, false)
            }
            Ok(admission) => {
                // Requests that ran beside this one may have brought permits.
                if let Some(taken) = self.take_leased(permits, now, ask.cost) {
                    return taken;
                }
                // Fewer permits may be there.
                if ask.cost == 1 {
                    permits.remember_refusal(&self.key, now, admission.retry_after_millis);
                }
                self.taken(admission, false)
            }
            Err(LimiterFailure::Overloaded) => {
                permits.remember_refusal(&self.key, now, OVERLOADED_RETRY_MILLIS);
                self.taken(refusal(OVERLOADED_RETRY_MILLIS), true)
            }
            Err(LimiterFailure::Unavailable | LimiterFailure::Exhausted) => self.taken_alone(permits, now, ask.cost),
        }
    }

    fn take_leased(&self, permits: &Permits, now: UnixMillis, cost: u32) -> Option<Taken> {
        let known = permits.use_lease(&self.key, self.policy, now, cost)?;
        let remaining = known.remaining.saturating_add(known.lease.map_or(0, |lease| lease.left));
        let reset_millis = known.reset_at.saturating_sub(now.0);
        let admission = Admission { allowed: true, remaining, reset_millis, retry_after_millis: 0, lease: None };
        Some(self.taken(admission, false))
    }

    /// A refusal that this isolate remembers, without a request. One that would last longer than it was to was remembered before
    /// the clock stepped back.
    fn refused_here(&self, permits: &Permits, now: UnixMillis) -> Option<Taken> {
        let until = permits.refused.until(&self.key, now)?;
        let left_millis = until.0.saturating_sub(now.0);
        let is_right = permits.refused.get(&self.key, now).is_some_and(|millis| left_millis <= millis);
        is_right.then(|| self.taken(refusal(left_millis), false))
    }

    /// What this isolate says when nobody tells it more.
    fn taken_alone(&self, permits: &Permits, now: UnixMillis, cost: u32) -> Taken {
        self.taken(permits.take(&self.key, degraded(self.policy), now, cost), true)
    }

    fn taken(&self, admission: Admission, degraded: bool) -> Taken {
        Taken { name: self.name, admission, policy: self.policy, degraded }
    }
}

/// The policy of an isolate that is on its own. Of a window, those that come back in it are as many fewer.
fn degraded(policy: Policy) -> Policy {
    let burst = (policy.burst / DEGRADED_BURST_DIVISOR).max(1);
    let permits = if policy.sliding { policy.permits.saturating_sub(burst).max(1) } else { policy.permits };
    Policy { permits, burst, sliding: false, ..policy }
}

/// No permit for this many milliseconds.
fn refusal(retry_after_millis: u64) -> Admission {
    Admission { allowed: false, remaining: 0, reset_millis: retry_after_millis, retry_after_millis, lease: None }
}

impl Permits {
    fn remember_refusal(&self, key: &LimitKey, now: UnixMillis, millis: u64) {
        self.refused.insert(key, millis, UnixMillis(now.0.saturating_add(millis)), now);
    }

    /// Takes permits of the lease of a key, if it has as many.
    fn use_lease(&self, key: &LimitKey, policy: Policy, now: UnixMillis, cost: u32) -> Option<Known> {
        let mut known = self.known.get(key, now)?;
        let lease = known.lease.as_mut().filter(|lease| lease.holds(now) && lease.left >= cost)?;
        lease.left -= cost;
        if lease.left == 0 {
            known.ahead = lease.permits.saturating_mul(2).min(ledger::lease_max(policy));
        }
        self.known.insert(key, known, UnixMillis(known.until), now);
        Some(known)
    }

    /// What is left of the lease of a key.
    fn leased(&self, key: &LimitKey, now: UnixMillis) -> u32 {
        let lease = self.known.get(key, now).and_then(|known| known.lease).filter(|lease| lease.holds(now));
        lease.map_or(0, |lease| lease.left)
    }

    /// What to ask the Durable Object of a key for.
    fn ask(&self, key: &LimitKey, policy: Policy, now: UnixMillis, cost: u32, ahead: Option<u32>) -> Ask {
        let ask = self.known.update(key, now, |known| {
            let before = known.filter(|known| known.until > now.0);
            let is_new = before.is_none();
            let mut known = before.unwrap_or_default();
            let mut ended = known.spare.take();
            if let Some(lease) = known.lease.take() {
                if lease.end > now.0 {
                    known.spare = ended;
                    ended = Some(lease.unused());
                } else if lease.left > 0 {
                    known.ahead = lease.permits - lease.left;
                }
            }
            let mut ask = Ask { policy, cost, ahead: 0, ended };
            if let Some(least) = ahead
                && !is_new
                && !(1..=ASKING_MILLIS).contains(&known.asking_until.saturating_sub(now.0))
            {
                ask.ahead = known.ahead.max(least);
                known.asking_until = now.0.saturating_add(ASKING_MILLIS);
            }
            known.ahead = known.ahead.max(1);
            known.until = now.0.saturating_add(KNOWN_MILLIS);
            (known, UnixMillis(known.until), ask)
        });
        ask.unwrap_or(Ask::of(policy, cost))
    }

    /// Keeps what an admission says, and its lease; how many permits are left of that.
    fn keep(&self, key: &LimitKey, asked: UnixMillis, now: UnixMillis, admission: &Admission) -> u32 {
        let left = self.known.update(key, now, |known| {
            let mut known = known.unwrap_or_default();
            known.remaining = admission.remaining;
            known.reset_at = now.0.saturating_add(admission.reset_millis);
            let has_left = known.lease.is_some_and(|lease| lease.left > 0 && lease.holds(now));
            if let Some(Lease { id, permits, millis }) = admission.lease {
                known.asking_until = 0;
                if has_left {
                    known.spare = Some(Ended { lease: id, unused: permits });
                } else {
                    known.lease =
                        Some(Held { id, permits, left: permits, end: asked.0.saturating_add(millis), millis });
                }
            }
            let lease = known.lease.filter(|lease| lease.holds(now));
            let last = lease.map_or(now.0, |lease| lease.end);
            known.until = known.until.max(last.saturating_add(KNOWN_MILLIS));
            (known, UnixMillis(known.until), lease.map_or(0, |lease| lease.left))
        });
        left.unwrap_or_default()
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

#[cfg(test)]
mod tests;
