//! Witnesses of API keys. A [`Cloud`](crate::tidbcloud::Cloud) gets a witness with each key: the transport asks it before each
//! exchange that carries the key, and reports TiDB Cloud's verdict afterwards.

use super::key::ApiKey;
use crate::{
    base::{clock::UnixMillis, future::Pending},
    port::LimitState,
};

/// The verdict of TiDB Cloud's API on a key in one exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyVerdict {
    /// None: it was not reached, failed, or refused the request for another reason than its content.
    NotAsked,
    /// It did what was asked (2xx).
    KeyTaken,
    /// It answered as it does for a known key, for example 403, 404 or 409. A gateway may have answered instead.
    KeyAnswered,
    /// The key is wrong or was deleted (401 to a fresh digest, or the code for a public key that does not exist).
    KeyRefused,
}

impl KeyVerdict {
    /// The verdict of a response other than 401. No verdict comes from 408, 413, 414, 425, 429 and 431, which are about the size,
    /// time or number of requests (RFC 9110 section 15.5, RFC 6585, RFC 8470 section 5.2), redirections, and all failures.
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
#[must_use = "the verdict has to be reported to the witness"]
pub struct KeyTry {
    /// When it was counted; `None` if it was not.
    pub counted: Option<UnixMillis>,
    /// Whether TiDB Cloud is known to accept the key.
    pub is_known: bool,
}

/// Why a key was not tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotTried {
    /// TiDB Cloud refused its public half too often lately.
    Limited {
        /// Seconds until it may be tried again.
        retry_after_seconds: u64,
    },
    /// There is no verdict on whether it may.
    Unavailable,
}

/// The witness of API keys.
pub trait KeyWitness {
    /// Whether a key may be tried at TiDB Cloud now.
    fn may_try<'w>(&'w self, key: &'w ApiKey) -> Pending<'w, Result<KeyTry, NotTried>>;

    /// Whether a request with this key may be sent now; if not, after how many seconds. Asked before each request that carries the
    /// key, as TiDB Cloud counts them for each.
    fn may_send<'w>(&'w self, _: &'w ApiKey) -> Pending<'w, Result<(), u64>> {
        Box::pin(async { Ok(()) })
    }

    /// What is left of the requests that may be sent with this key, if anybody counts them. Looking takes none.
    fn requests_left<'w>(&'w self, _: &'w ApiKey) -> Pending<'w, Option<LimitState>> {
        Box::pin(async { None })
    }

    /// Reports TiDB Cloud's verdict on a key that was tried.
    fn heard<'w>(&'w self, key: &'w ApiKey, tried: KeyTry, verdict: KeyVerdict) -> Pending<'w, ()>;
}

/// For keys that no caller can choose, and for tokens: every try is allowed, and nothing is noted.
pub struct Unwatched;

impl KeyWitness for Unwatched {
    fn may_try<'w>(&'w self, _: &'w ApiKey) -> Pending<'w, Result<KeyTry, NotTried>> {
        Box::pin(async { Ok(KeyTry { counted: None, is_known: false }) })
    }

    fn heard<'w>(&'w self, _: &'w ApiKey, _: KeyTry, _: KeyVerdict) -> Pending<'w, ()> {
        Box::pin(async {})
    }
}
