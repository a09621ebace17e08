//! The limits per client address and per credential, and what holds when their Durable Objects do not answer.

use std::{cell::RefCell, collections::BTreeMap};

use crate::{
    base::{address::ClientAddress, clock::UnixMillis, hash::hex, http::Response},
    config::Config,
    limits::bucket::Bucket,
    mcp::Rejection,
    oauth::Visitor,
    port::{Admission, LimitKey, LimiterFailure, Policy, Port},
    store::seal::{Keyring, base64url},
};

/// 10,000 keys of some 100 bytes are 1 MB of an isolate's 128.
const KEYS_MAX: usize = 10_000;

/// An isolate that is on its own grants a quarter of the burst: it cannot know what others granted.
const DEGRADED_BURST_DIVISOR: u32 = 4;

/// What a key is told that floods its Durable Object.
const OVERLOADED_RETRY_MILLIS: u64 = 10_000;

/// What an isolate knows of limits by itself.
#[derive(Default)]
pub(super) struct Local {
    /// Keys that were refused, until when, so that a flood does not reach the Durable Object.
    refused: RefCell<BTreeMap<LimitKey, UnixMillis>>,
    /// Buckets for the time when the Durable Object does not answer.
    buckets: RefCell<BTreeMap<LimitKey, Bucket>>,
    /// Permits that were taken ahead.
    leases: RefCell<BTreeMap<LimitKey, Lease>>,
}

/// Permits of one key that were taken from its Durable Object and not used yet.
#[derive(Clone, Copy)]
struct Lease {
    left: u32,
    until: UnixMillis,
    /// What the Durable Object said when it gave them.
    admission: Admission,
}

/// Whose limit, and how large.
pub(super) struct Limit {
    /// As the headers call it.
    name: &'static str,
    key: LimitKey,
    policy: Policy,
}

/// Permits that are taken ahead from a key that keeps asking: four of five requests then wait for no Durable Object.
const LEASE_PERMITS: u32 = 5;
/// How long each of them waits for a request, and how long a key counts as asking after a permit was taken for it. Who asks
/// this isolate less often takes one permit at a time, so requests that are spread over many isolates cost no more than
/// they are; two at once and nothing after them cost six.
const LEASE_MILLIS_PER_PERMIT: u64 = 2_000;
/// At most a fifth of the burst is taken ahead, so that a small limit is not used up by one isolate.
const LEASE_DIVISOR: u32 = 5;

/// What came of taking permits.
pub(super) struct Taken {
    name: &'static str,
    admission: Admission,
    policy: Policy,
    /// The Durable Object gave no verdict.
    pub(super) degraded: bool,
}

/// Whoever asks, by a keyed hash of the address: 128 bits, so two of 2^32 addresses share one with a chance of 2^-65.
pub(super) fn visitor(address: ClientAddress, config: &Config, keyring: &Keyring) -> Visitor {
    let hash = |label, text: String| hex(&keyring.mac(label, &[text.as_bytes()])).chars().take(32).collect();
    Visitor {
        hash: hash("limit per client address v1", address.subscriber().to_string()),
        network: hash("limit per network v1", address.network().to_string()),
        shared: config.shared_egress.iter().any(|range| range.contains(address)),
    }
}

impl Limit {
    /// The limit of the client's address.
    pub(super) fn of_address(visitor: &Visitor, config: &Config) -> Self {
        let policy = if visitor.shared { config.shared_rate_limit } else { config.rate_limit };
        Self { name: "ip", key: LimitKey(format!("ip:{}", visitor.hash)), policy }
    }

    /// The limit of a credential: `parts` are all of a key pair, or the id of a grant. None of it is stored.
    pub(super) fn of_credential(parts: &[&[u8]], config: &Config, keyring: &Keyring) -> Self {
        let hash = keyring.mac("limit per credential v1", parts);
        Self {
            name: "credential",
            key: LimitKey(format!("credential:{}", base64url(&hash))),
            policy: config.credential_limit,
        }
    }

    /// A limit on guessing.
    pub(super) fn of_guesses(key: LimitKey, policy: Policy) -> Self {
        Self { name: "guesses", key, policy }
    }

    /// Permits that can be taken at once: whoever needs more would wait for ever.
    pub(super) fn burst(&self) -> u32 {
        self.policy.burst
    }

    /// Takes permits from the Durable Object of this key; without its verdict, from this isolate's own bucket.
    pub(super) async fn take(&self, port: Port<'_>, local: &Local, cost: u32) -> Taken {
        let now = port.io.now();
        if let Some(refused) = self.refused_here(local, now) {
            return refused;
        }
        let verdict = port.limiter.admit(&self.key, self.policy, cost).await;
        self.settle(verdict, local, now, cost)
    }

    /// Takes one permit, and some ahead for a key that keeps asking: never more than the limit, over all isolates.
    pub(super) async fn take_ahead(&self, port: Port<'_>, local: &Local) -> Taken {
        let now = port.io.now();
        if let Some(taken) = self.take_leased(local, now) {
            return taken;
        }
        if let Some(refused) = self.refused_here(local, now) {
            return refused;
        }
        let most = LEASE_PERMITS.min(self.policy.burst / LEASE_DIVISOR).max(1);
        let permits = if local.keeps_asking(&self.key, now) { most } else { 1 };
        let taken = match port.limiter.admit(&self.key, self.policy, permits).await {
            Ok(admission @ Admission { allowed: true, .. }) => {
                let left = local.add_lease(&self.key, permits - 1, admission, now);
                return self.taken(Admission { remaining: admission.remaining + left, ..admission }, false);
            }
            // One may be there.
            Ok(_) if permits > 1 => self.take(port, local, 1).await,
            verdict => self.settle(verdict, local, now, 1),
        };
        if taken.allowed() {
            return taken;
        }
        // Requests that ran beside this one may have brought the last permits.
        self.take_leased(local, now).unwrap_or(taken)
    }

    fn take_leased(&self, local: &Local, now: UnixMillis) -> Option<Taken> {
        let lease = local.use_lease(&self.key, now)?;
        let remaining = lease.admission.remaining + lease.left;
        Some(self.taken(Admission { remaining, ..lease.admission }, false))
    }

    fn settle(&self, verdict: Result<Admission, LimiterFailure>, local: &Local, now: UnixMillis, cost: u32) -> Taken {
        match verdict {
            Ok(admission) => {
                if !admission.allowed {
                    local.remember_refusal(&self.key, now, admission.retry_after_millis);
                }
                self.taken(admission, false)
            }
            Err(LimiterFailure::Overloaded) => {
                local.remember_refusal(&self.key, now, OVERLOADED_RETRY_MILLIS);
                self.refused(OVERLOADED_RETRY_MILLIS, true)
            }
            Err(LimiterFailure::Unavailable) => {
                let burst = (self.policy.burst / DEGRADED_BURST_DIVISOR).max(1);
                let policy = Policy { burst, ..self.policy };
                self.taken(local.take(&self.key, policy, now, cost), true)
            }
        }
    }

    /// What this isolate remembers of a refusal, without asking anybody.
    fn refused_here(&self, local: &Local, now: UnixMillis) -> Option<Taken> {
        local.refused_for(&self.key, now).map(|millis| self.refused(millis, false))
    }

    fn refused(&self, retry_after_millis: u64, degraded: bool) -> Taken {
        let admission =
            Admission { allowed: false, remaining: 0, reset_millis: retry_after_millis, retry_after_millis };
        self.taken(admission, degraded)
    }

    fn taken(&self, admission: Admission, degraded: bool) -> Taken {
        Taken { name: self.name, admission, policy: self.policy, degraded }
    }
}

impl Local {
    fn refused_for(&self, key: &LimitKey, now: UnixMillis) -> Option<u64> {
        let mut refused = self.refused.borrow_mut();
        let until = *refused.get(key)?;
        if until > now {
            return Some(until.0 - now.0);
        }
        refused.remove(key);
        None
    }

    fn remember_refusal(&self, key: &LimitKey, now: UnixMillis, millis: u64) {
        let mut refused = self.refused.borrow_mut();
        if refused.len() >= KEYS_MAX {
            refused.retain(|_, until| *until > now);
        }
        if refused.len() < KEYS_MAX {
            refused.insert(key.clone(), UnixMillis(now.0.saturating_add(millis)));
        }
    }

    fn use_lease(&self, key: &LimitKey, now: UnixMillis) -> Option<Lease> {
        let mut leases = self.leases.borrow_mut();
        let lease = leases.get_mut(key).filter(|lease| lease.until > now && lease.left > 0)?;
        lease.left -= 1;
        Some(*lease)
    }

    /// Whether permits were taken for this key a short while ago.
    fn keeps_asking(&self, key: &LimitKey, now: UnixMillis) -> bool {
        self.leases.borrow().get(key).is_some_and(|lease| lease.until > now)
    }

    /// Adds to what requests that ran at the same time have brought; how many permits are left then.
    fn add_lease(&self, key: &LimitKey, permits: u32, admission: Admission, now: UnixMillis) -> u32 {
        let mut leases = self.leases.borrow_mut();
        if leases.len() >= KEYS_MAX {
            leases.retain(|_, lease| lease.until > now);
        }
        let there = leases.get(key).filter(|lease| lease.until > now).map_or(0, |lease| lease.left);
        let left = there.saturating_add(permits);
        if leases.len() < KEYS_MAX || leases.contains_key(key) {
            let until = UnixMillis(now.0.saturating_add(LEASE_MILLIS_PER_PERMIT * u64::from(permits + 1)));
            leases.insert(key.clone(), Lease { left, until, admission });
        }
        left
    }

    fn take(&self, key: &LimitKey, policy: Policy, now: UnixMillis, cost: u32) -> Admission {
        let mut buckets = self.buckets.borrow_mut();
        if buckets.len() >= KEYS_MAX && !buckets.contains_key(key) {
            buckets.retain(|_, bucket| bucket.full_at() > now);
            if buckets.len() >= KEYS_MAX {
                return Admission { allowed: false, remaining: 0, reset_millis: 60_000, retry_after_millis: 60_000 };
            }
        }
        buckets.entry(key.clone()).or_insert(Bucket::FULL).take(policy, now, cost)
    }
}

impl Taken {
    /// Whether the request goes on.
    pub(super) fn allowed(&self) -> bool {
        self.admission.allowed
    }

    /// Permits left.
    pub(super) fn remaining(&self) -> u32 {
        self.admission.remaining
    }

    /// Milliseconds after which the same request is allowed.
    pub(super) fn retry_after_millis(&self) -> u64 {
        self.admission.retry_after_millis
    }

    /// 429 with the time to wait.
    pub(super) fn refusal(&self, request_id: &str) -> Response {
        let message = match self.name {
            "ip" => "Too many requests from this address.",
            _ => "Too many requests with this credential.",
        };
        refusal(message, self.admission.retry_after_millis, request_id)
    }
}

/// 429 with the time to wait.
pub(super) fn refusal(message: &str, retry_after_millis: u64, request_id: &str) -> Response {
    let seconds = retry_after_millis.div_ceil(1_000).max(1);
    Rejection::transport(429, "RATE_LIMITED", message).retry_after(seconds).response(request_id)
}

/// Adds what draft-ietf-httpapi-ratelimit-headers-11 defines: each policy, and what is left of it. Windows are whole
/// seconds; a policy's is the minute in which `q` permits come back.
pub(super) fn describe(response: Response, limits: &[&Taken]) -> Response {
    let join = |items: Vec<String>| items.join(", ");
    let policies = limits.iter().map(|Taken { name, policy, .. }| format!("\"{name}\";q={};w=60", policy.permits));
    let left = limits.iter().map(|Taken { name, admission, .. }| {
        format!("\"{name}\";r={};t={}", admission.remaining, admission.reset_millis.div_ceil(1_000))
    });
    response.with("ratelimit-policy", join(policies.collect())).with("ratelimit", join(left.collect()))
}
