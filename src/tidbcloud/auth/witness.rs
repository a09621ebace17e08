//! What the transport learns about API keys. Whoever gives a [`Cloud`](crate::tidbcloud::Cloud) a key says who watches over it: the
//! witness is asked before each exchange that carries the key, and told after it what TiDB Cloud said of the key.

use super::key::ApiKey;
use crate::base::{clock::UnixMillis, future::Pending};

/// What TiDB Cloud's API said of a key in one exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyVerdict {
    /// Nothing: it was not reached, failed, or refused the request for something else than its content.
    NotAsked,
    /// It did what was asked (2xx).
    KeyTaken,
    /// It answered as it answers whoever it knows, for example 403, 404 or 409. A gateway may have said so first.
    KeyAnswered,
    /// The key is wrong or was deleted (401 to a fresh digest, or the code for a public key that does not exist).
    KeyRefused,
}

impl KeyVerdict {
    /// The verdict of an answer that is no 401. What says nothing of the key: 408, 413, 414, 425, 429 and 431, which are about
    /// the request's size and time or about how many there were (RFC 9110 section 15.5, RFC 6585, RFC 8470 section 5.2),
    /// redirections, and all failures.
    pub(crate) fn of_status(status: u16) -> Self {
        match status {
            200..=299 => Self::KeyTaken,
            401 | 408 | 413 | 414 | 425 | 429 | 431 => Self::NotAsked,
            400..=499 => Self::KeyAnswered,
            _ => Self::NotAsked,
        }
    }
}

/// A try that a witness allowed, to be given back with its verdict.
#[must_use = "the witness has to be told what came of it"]
pub struct KeyTry {
    /// When it was counted; `None` where it was not.
    pub counted: Option<UnixMillis>,
}

/// Why a key was not tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotTried {
    /// TiDB Cloud refused its public half too often lately.
    Limited {
        /// Seconds until it may be tried again.
        retry_after_seconds: u64,
    },
    /// Nobody could say whether it may.
    Unavailable,
}

/// Who watches over API keys.
pub trait KeyWitness {
    /// Whether a key may be tried at TiDB Cloud now.
    fn may_try<'w>(&'w self, key: &'w ApiKey) -> Pending<'w, Result<KeyTry, NotTried>>;

    /// What TiDB Cloud said of a key that might be tried.
    fn heard<'w>(&'w self, key: &'w ApiKey, tried: KeyTry, verdict: KeyVerdict) -> Pending<'w, ()>;
}

/// For keys that nobody can choose, and for what is no key: every try is allowed, and nothing is noted.
pub struct Unwatched;

impl KeyWitness for Unwatched {
    fn may_try<'w>(&'w self, _: &'w ApiKey) -> Pending<'w, Result<KeyTry, NotTried>> {
        Box::pin(async { Ok(KeyTry { counted: None }) })
    }

    fn heard<'w>(&'w self, _: &'w ApiKey, _: KeyTry, _: KeyVerdict) -> Pending<'w, ()> {
        Box::pin(async {})
    }
}
