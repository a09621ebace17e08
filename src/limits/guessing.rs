//! Limits on trying credentials: key pairs that are new to this isolate, and invalid credentials.

use super::{
    Memory,
    bucket::Bucket,
    keys::{self, Limited, Visitor},
    witness::{Standing, Witness},
};
use crate::{
    base::{address::ClientAddress, clock::UnixMillis, expiring::ExpiringMap},
    config::Config,
    port::{Ask, Policy, Port},
    tidbcloud::ApiKey,
};

/// An isolate reports to the limiter in tens: one call for ten requests that cost their sender more. An isolate that ends
/// loses its unreported count, nine at most.
const TOLD_AT_ONCE: u32 = 10;
/// 10,000 addresses of some 100 bytes are 1 MB of an isolate's 128.
const ADDRESSES_MAX: usize = 10_000;
/// How long credentials from an address are refused if the map has no room for it.
const NO_ROOM_MILLIS: u64 = 60_000;

/// Whether a key pair of headers may be tried.
pub enum Entry {
    /// It may, as far as is known now.
    Open,
    /// There is no verdict: it is not tried, and everything that needs no key goes on.
    Unknown,
    /// It may not; for how many milliseconds.
    Refused(u64),
}

/// Asks about a key pair of headers, at the door.
///
/// A pair that TiDB Cloud accepted lately passes even if others were refused from its address; a new one is not tried while
/// the limiter gives no verdict.
pub async fn enter(
    port: Port<'_>,
    config: &Config,
    memory: &Memory,
    witness: &Witness<'_>,
    visitor: &Visitor,
    key: &ApiKey,
) -> Entry {
    let (pair, now) = (witness.pair(key), port.io.now());
    if witness.is_taken(&pair) {
        return Entry::Open;
    }
    let barred = if memory.pairs.has_seen(&pair, now) {
        None
    } else {
        let new = Limited::NewPair(visitor).limit(config).take(port, &memory.permits, 1).await;
        match (new.degraded, new.allowed()) {
            (true, _) => Some(Entry::Unknown),
            (false, false) => Some(Entry::Refused(new.admission.retry_after_millis)),
            (false, true) => {
                memory.pairs.remember(&pair, now);
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

/// This isolate's count of invalid credentials, by address in the clear: it stays in memory.
pub struct WrongCredentials(ExpiringMap<str, Counted>);

#[derive(Clone, Copy)]
struct Counted {
    bucket: Bucket,
    /// How many were not reported to the limiter.
    untold: u32,
    /// Until when the limiter needs no reports.
    held_until: UnixMillis,
}

impl Default for WrongCredentials {
    fn default() -> Self {
        Self(ExpiringMap::refusing(ADDRESSES_MAX))
    }
}

impl WrongCredentials {
    /// Counts one. After too many, returns for how many milliseconds further ones are refused.
    ///
    /// Only invalid credentials are counted, after they were compared, so a valid one passes even if strangers share its
    /// address. The limit is not the protection against a right guess; the 32 or more characters of an access key are.
    pub async fn count(
        &self,
        port: Port<'_>,
        config: &Config,
        address: ClientAddress,
        visitor: impl AsyncFnOnce() -> Option<Visitor>,
    ) -> Option<u64> {
        let (now, key) = (port.io.now(), address.subscriber().to_string());
        match self.count_here(&key, keys::wrong_credentials(address, config), now) {
            Here::Held(millis) => return Some(millis),
            Here::Counted => return None,
            Here::Tell => {}
        }
        let limit = Limited::WrongCredential(&visitor().await?).limit(config);
        // Without a verdict, what this isolate counts is the limit.
        let verdict = port.limiter.admit(&limit.key, Ask::of(limit.policy, TOLD_AT_ONCE)).await;
        let refused = verdict.ok().filter(|admission| !admission.allowed)?;
        self.0.update(&key, now, |counted| {
            let held_until = UnixMillis(now.0.saturating_add(refused.retry_after_millis));
            let counted = Counted { held_until, ..counted.unwrap_or(Counted::NONE) };
            (counted, counted.until(), ())
        });
        Some(refused.retry_after_millis)
    }

    fn count_here(&self, key: &str, policy: Policy, now: UnixMillis) -> Here {
        let here = self.0.update(key, now, |counted| {
            let mut counted = counted.unwrap_or(Counted::NONE);
            let here = counted.count(policy, now);
            (counted, counted.until(), here)
        });
        here.unwrap_or(Here::Held(NO_ROOM_MILLIS))
    }
}

impl Counted {
    const NONE: Self = Self { bucket: Bucket::FULL, untold: 0, held_until: UnixMillis(0) };

    fn count(&mut self, policy: Policy, now: UnixMillis) -> Here {
        if self.held_until > now {
            return Here::Held(self.held_until.0 - now.0);
        }
        let admission = self.bucket.take(policy, now, 1);
        if !admission.allowed {
            return Here::Held(admission.retry_after_millis);
        }
        self.untold += 1;
        if self.untold < TOLD_AT_ONCE {
            return Here::Counted;
        }
        self.untold = 0;
        Here::Tell
    }

    fn until(&self) -> UnixMillis {
        self.bucket.full_at().max(self.held_until)
    }
}

/// The result of counting in this isolate.
enum Here {
    /// There were too many; for how many milliseconds.
    Held(u64),
    /// It was counted, and is reported to the limiter later.
    Counted,
    /// It was counted, and all since the last report are to be reported now.
    Tell,
}
