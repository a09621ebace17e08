//! What trying credentials costs whoever tries: key pairs that are new to this isolate, and credentials that open nothing.

use std::{cell::RefCell, collections::BTreeMap};

use super::limiting::{Limit, Local, Taken};
use crate::{
    base::{address::ClientAddress, clock::UnixMillis},
    limits::{
        bucket::Bucket,
        witness::{Pairs, Standing, Witness},
    },
    oauth::Visitor,
    port::{LimitKey, Policy, Port},
    tidbcloud::ApiKey,
};

/// Pairs that are new: an office behind one address starts fewer clients than that in a minute.
const NEW_PAIRS: Policy = Policy::per_minute(30, 30);
/// Access keys, tokens and whatever else was offered and opens nothing.
const WRONG_CREDENTIALS: Policy = Policy::per_minute(30, 30);
/// An isolate tells the limiter of ten at once: one call for ten requests that cost their sender more. What it counted and did
/// not tell, nine at most, is lost with it.
const TOLD_AT_ONCE: u32 = 10;
/// 10,000 addresses of some 100 bytes are 1 MB of an isolate's 128.
const ADDRESSES_MAX: usize = 10_000;

/// Whether a key pair of headers may be tried.
pub(super) enum Entry {
    /// It may, as far as anybody knows now.
    Open,
    /// Nobody can say: it is not tried, and everything that needs no key goes on.
    Unknown,
    /// It may not; for how many milliseconds.
    Refused(u64),
}

/// Asks about a key pair of headers, at the door.
///
/// A pair that TiDB Cloud took lately passes whatever else was tried from its address; one that is new may not be tried while
/// the limiter gives no verdict.
pub(super) async fn enter(
    port: Port<'_>,
    local: &Local,
    pairs: &Pairs,
    witness: &Witness<'_>,
    visitor: &Visitor,
    key: &ApiKey,
) -> Entry {
    let (pair, now) = (witness.pair(key), port.io.now());
    if witness.is_taken(&pair) {
        return Entry::Open;
    }
    let barred = if pairs.has_seen(&pair, now) {
        None
    } else {
        let new = take_new(port, local, visitor).await;
        match (new.degraded, new.allowed()) {
            (true, _) => Some(Entry::Unknown),
            (false, false) => Some(Entry::Refused(new.retry_after_millis())),
            (false, true) => {
                pairs.remember(&pair, now);
                None
            }
        }
    };
    if barred.is_none() && witness.is_open(key) {
        return Entry::Open;
    }
    let standing = witness.look(key).await;
    match (barred, standing) {
        _ if witness.is_taken(&pair) => Entry::Open,
        (Some(barred), _) => barred,
        (None, Ok(Standing::Held(millis))) => Entry::Refused(millis),
        (None, Ok(Standing::MayTry)) => {
            witness.remember_open(key);
            Entry::Open
        }
        (None, Err(_)) => Entry::Unknown,
    }
}

async fn take_new(port: Port<'_>, local: &Local, visitor: &Visitor) -> Taken {
    let policy = if visitor.shared { NEW_PAIRS.times(Visitor::SHARED_FACTOR) } else { NEW_PAIRS };
    Limit::of_guesses(LimitKey(format!("new-pairs:{}", visitor.hash)), policy).take(port, local, 1).await
}

/// What this isolate counted of credentials that opened nothing, by address in the clear: it stays in memory.
#[derive(Default)]
pub(super) struct WrongCredentials(RefCell<BTreeMap<String, Counted>>);

struct Counted {
    bucket: Bucket,
    /// How many the limiter was not told of.
    untold: u32,
    /// Until when the limiter wants to hear of no more.
    held_until: UnixMillis,
}

impl WrongCredentials {
    /// Counts one. Where there were too many: for how many milliseconds the next ones are told so.
    ///
    /// Only what opens nothing is counted, after it was compared, so a right credential passes whatever strangers send from
    /// its address. The limit is not what keeps a guess from being right; that an access key has 32 characters or more is.
    pub(super) async fn count(
        &self,
        port: Port<'_>,
        address: ClientAddress,
        shared: bool,
        visitor: impl AsyncFnOnce() -> Option<Visitor>,
    ) -> Option<u64> {
        let (now, key) = (port.io.now(), address.subscriber().to_string());
        let policy = if shared { WRONG_CREDENTIALS.times(Visitor::SHARED_FACTOR) } else { WRONG_CREDENTIALS };
        match self.count_here(&key, policy, now) {
            Here::Held(millis) => return Some(millis),
            Here::Counted => return None,
            Here::Tell => {}
        }
        let name = LimitKey(format!("wrong-credentials:{}", visitor().await?.hash));
        // Without a verdict, what this isolate counts is the limit.
        let refused =
            port.limiter.admit(&name, policy, TOLD_AT_ONCE).await.ok().filter(|admission| !admission.allowed)?;
        if let Some(counted) = self.0.borrow_mut().get_mut(&key) {
            counted.held_until = UnixMillis(now.0.saturating_add(refused.retry_after_millis));
        }
        Some(refused.retry_after_millis)
    }

    fn count_here(&self, key: &str, policy: Policy, now: UnixMillis) -> Here {
        let mut all = self.0.borrow_mut();
        if all.len() >= ADDRESSES_MAX && !all.contains_key(key) {
            all.retain(|_, counted| counted.bucket.full_at() > now || counted.held_until > now);
            if all.len() >= ADDRESSES_MAX {
                return Here::Held(60_000);
            }
        }
        let counted =
            all.entry(key.to_owned()).or_insert(Counted { bucket: Bucket::FULL, untold: 0, held_until: UnixMillis(0) });
        if counted.held_until > now {
            return Here::Held(counted.held_until.0 - now.0);
        }
        let admission = counted.bucket.take(policy, now, 1);
        if !admission.allowed {
            return Here::Held(admission.retry_after_millis);
        }
        counted.untold += 1;
        if counted.untold < TOLD_AT_ONCE {
            return Here::Counted;
        }
        counted.untold = 0;
        Here::Tell
    }
}

/// What came of counting in this isolate.
enum Here {
    /// There were too many; for how many milliseconds.
    Held(u64),
    /// It was counted, and the limiter hears of it later.
    Counted,
    /// It was counted, and the limiter is to be told of all since the last time.
    Tell,
}
