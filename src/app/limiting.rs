//! The limit per client IP, and what holds when its Durable Object does not answer.

use std::{cell::RefCell, collections::BTreeMap};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::doors::Refusal;
use crate::{
    address::Subscriber,
    config::{Config, is_loopback},
    http::{Head, Response},
    limits::{Admission, Bucket, LimitKey, Policy},
    mcp::Rejection,
    platform::{LimiterFailure, Platform, UnixMillis},
    secret::Secret,
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
}

/// Whose limit, and how large.
pub(super) struct Limit {
    key: LimitKey,
    policy: Policy,
}

/// What came of taking permits.
pub(super) struct Taken {
    admission: Admission,
    policy: Policy,
    /// The Durable Object gave no verdict.
    pub(super) degraded: bool,
}

impl Limit {
    /// The limit of the client's address. `CF-Connecting-IP` is set by Cloudflare and is the only header that counts.
    pub(super) fn of(head: &Head, config: &Config, secret: &Secret) -> Result<Self, Refusal> {
        let subscriber = match head.headers.get("cf-connecting-ip") {
            Some(text) => Subscriber::parse(&text),
            None if is_loopback(&head.url) => Subscriber::parse("127.0.0.1"),
            None => None,
        };
        let Some(subscriber) = subscriber else {
            return Err(Refusal::new(403, "NO_CLIENT_ADDRESS", "The client's address is not known."));
        };
        let shared = config.shared_egress.iter().any(|range| range.contains(subscriber));
        let policy = if shared { config.shared_rate_limit } else { config.rate_limit };
        let mut text = String::new();
        // HMAC takes keys of any length; were it to refuse one, the unkeyed name would still tell addresses apart.
        if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()) {
            mac.update(b"limit per client IP\0");
            mac.update(subscriber.to_string().as_bytes());
            // 128 bits: two of 2^32 addresses share a name with a chance of 2^-65.
            text = mac.finalize().into_bytes().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        }
        Ok(Self { key: LimitKey(format!("ip:{text}")), policy })
    }

    /// Permits that can be taken at once: whoever needs more would wait for ever.
    pub(super) fn burst(&self) -> u32 {
        self.policy.burst
    }

    /// Eight characters that tell clients apart in the log.
    pub(super) fn short_hash(&self) -> String {
        self.key.0.chars().skip(3).take(8).collect()
    }

    /// Takes permits from the Durable Object of this key; without its verdict, from this isolate's own bucket.
    pub(super) async fn take(&self, platform: &impl Platform, local: &Local, cost: u32) -> Taken {
        let now = platform.now();
        if let Some(retry_after_millis) = local.refused_for(&self.key, now) {
            return self.refused(retry_after_millis, false);
        }
        match platform.admit(&self.key, self.policy, cost).await {
            Ok(admission) => {
                if !admission.allowed {
                    local.remember_refusal(&self.key, now, admission.retry_after_millis);
                }
                Taken { admission, policy: self.policy, degraded: false }
            }
            Err(LimiterFailure::Overloaded) => {
                local.remember_refusal(&self.key, now, OVERLOADED_RETRY_MILLIS);
                self.refused(OVERLOADED_RETRY_MILLIS, true)
            }
            Err(LimiterFailure::Unavailable) => {
                let burst = (self.policy.burst / DEGRADED_BURST_DIVISOR).max(1);
                let policy = Policy { burst, ..self.policy };
                Taken { admission: local.take(&self.key, policy, now, cost), policy: self.policy, degraded: true }
            }
        }
    }

    fn refused(&self, retry_after_millis: u64, degraded: bool) -> Taken {
        let admission =
            Admission { allowed: false, remaining: 0, reset_millis: retry_after_millis, retry_after_millis };
        Taken { admission, policy: self.policy, degraded }
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

    /// 429 with the time to wait.
    pub(super) fn refusal(&self, request_id: &str) -> Response {
        let seconds = self.admission.retry_after_millis.div_ceil(1_000).max(1);
        let refusal = Rejection::transport(429, "RATE_LIMITED", "Too many requests from this address.");
        self.describe(refusal.retry_after(seconds).response(request_id))
    }

    /// Adds what draft-ietf-httpapi-ratelimit-headers-11 defines: the policy, and what is left of it. Both windows are
    /// whole seconds; the policy's is the minute in which `q` permits come back.
    pub(super) fn describe(&self, response: Response) -> Response {
        response.with("ratelimit-policy", format!("\"ip\";q={};w=60", self.policy.permits)).with(
            "ratelimit",
            format!("\"ip\";r={};t={}", self.admission.remaining, self.admission.reset_millis.div_ceil(1_000)),
        )
    }
}
