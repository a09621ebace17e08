//! What trying key pairs costs whoever tries.

use super::limiting::{Limit, Local, Taken};
use crate::{
    guesses::{Pairs, Standing, Witness},
    limits::{LimitKey, Policy},
    oauth::Visitor,
    platform::Platform,
    tidbcloud::ApiKey,
};

/// Pairs that are new: an office behind one address starts fewer clients than that in a minute.
const NEW_PAIRS: Policy = Policy::per_minute(30, 30);
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
pub(super) async fn enter<P: Platform>(
    platform: &P,
    local: &Local,
    pairs: &Pairs,
    witness: &Witness<'_, P>,
    visitor: &Visitor,
    key: &ApiKey,
) -> Entry {
    let (pair, now) = (witness.pair(key), platform.now());
    if witness.is_taken(&pair) {
        return Entry::Open;
    }
    let barred = if pairs.has_seen(&pair, now) {
        None
    } else {
        let new = take_new(platform, local, visitor).await;
        match (new.degraded, new.allowed()) {
            (true, _) => Some(Entry::Unknown),
            (false, false) => Some(Entry::Refused(new.retry_after_millis())),
            (false, true) => {
                pairs.remember(&pair, now);
                None
            }
        }
    };
    let standing = witness.look(key).await;
    match (barred, standing) {
        _ if witness.is_taken(&pair) => Entry::Open,
        (Some(barred), _) => barred,
        (None, Ok(Standing::Held(millis))) => Entry::Refused(millis),
        (None, Ok(Standing::MayTry)) => Entry::Open,
        (None, Err(_)) => Entry::Unknown,
    }
}

async fn take_new(platform: &impl Platform, local: &Local, visitor: &Visitor) -> Taken {
    let policy = if visitor.shared { NEW_PAIRS.times(Visitor::SHARED_FACTOR) } else { NEW_PAIRS };
    Limit::of_guesses(LimitKey(format!("new-pairs:{}", visitor.hash)), policy).take(platform, local, 1).await
}
