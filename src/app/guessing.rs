//! What trying key pairs costs. Whether TiDB Cloud takes a pair shows only in a call, so each pair that is new to this
//! isolate costs its address a permit, and each refusal costs the public key one; a pair that was just taken is let through.

use std::{cell::RefCell, collections::BTreeMap, time::Duration};

use super::limiting::{Limit, Local, Taken};
use crate::{
    grants::seal::{Keyring, base64url},
    limits::{LimitKey, Policy},
    oauth::{REFUSALS_PER_KEY, Visitor, refused_name},
    platform::{Platform, UnixMillis},
    tidbcloud::ApiKey,
};

/// Pairs that are new: an office behind one address starts fewer clients than that in a minute.
const NEW_PAIRS: Policy = Policy::per_minute(30, 30);
const SHARED_FACTOR: u32 = 10;
/// How long a pair is known.
const KNOWN: Duration = Duration::from_secs(600);
/// How long a public key is refused after a refusal that could not be counted: what five permits of a minute come to.
const UNCOUNTED_REFUSED: Duration = Duration::from_secs(60);
/// 10,000 hashes of 43 bytes are 1 MB of an isolate's 128, with what holds them.
const PAIRS_MAX: usize = 10_000;

/// Pairs that this isolate knows.
#[derive(Default)]
pub(super) struct Pairs(RefCell<BTreeMap<String, Known>>);

#[derive(Clone, Copy)]
struct Known {
    until: UnixMillis,
    /// TiDB Cloud took it.
    accepted: bool,
}

/// One pair in one request.
pub(super) struct Guess<'a> {
    pairs: &'a Pairs,
    local: &'a Local,
    pair: String,
    refusals: Limit,
}

impl<'a> Guess<'a> {
    pub(super) fn new(key: &ApiKey, keyring: &Keyring, pairs: &'a Pairs, local: &'a Local) -> Self {
        let parts = [key.public().as_bytes(), key.private().expose().as_bytes()];
        Self {
            pairs,
            local,
            pair: base64url(&keyring.mac("known pair v1", &parts)),
            refusals: Limit::of_guesses(refused_name(keyring, key), REFUSALS_PER_KEY),
        }
    }

    /// Whether the pair may be tried at TiDB Cloud now: one that is new may not while the limiter gives no verdict.
    ///
    /// # Errors
    /// The refusal.
    pub(super) async fn enter(&self, platform: &impl Platform, visitor: &Visitor) -> Result<bool, Taken> {
        let now = platform.now();
        let known = self.pairs.0.borrow().get(&self.pair).copied().filter(|known| known.until > now);
        match known {
            Some(Known { accepted: true, .. }) => return Ok(true),
            Some(_) => {}
            None => {
                let policy = if visitor.shared { NEW_PAIRS.times(SHARED_FACTOR) } else { NEW_PAIRS };
                let new = Limit::of_guesses(LimitKey(format!("new-pairs:{}", visitor.hash)), policy);
                let taken = new.take(platform, self.local, 1).await;
                if taken.degraded {
                    return Ok(false);
                }
                if !taken.allowed() {
                    return Err(taken);
                }
                self.remember(now, false);
            }
        }
        self.refusals.refused_here(self.local, now).map_or(Ok(true), Err)
    }

    /// Notes what TiDB Cloud made of it.
    pub(super) async fn leave(&self, platform: &impl Platform, accepted: bool) {
        if !accepted {
            // Where the permits are used up, the isolate remembers it, and the next request is refused; so it is where
            // nobody counted this one.
            let taken = self.refusals.take(platform, self.local, 1).await;
            if taken.degraded {
                self.refusals.refuse_here(self.local, platform.now(), UNCOUNTED_REFUSED);
            }
        }
        self.remember(platform.now(), accepted);
    }

    fn remember(&self, now: UnixMillis, accepted: bool) {
        let mut pairs = self.pairs.0.borrow_mut();
        if pairs.len() >= PAIRS_MAX {
            pairs.retain(|_, known| known.until > now);
        }
        if pairs.len() < PAIRS_MAX {
            pairs.insert(self.pair.clone(), Known { until: now.after(KNOWN), accepted });
        }
    }
}
