//! Why a call to the TiDB Cloud API failed, and whose fault it is.

use std::{error::Error, fmt, time::Duration};

use super::retry::Passing;
use crate::{
    port::FetchError,
    tidbcloud::{
        auth::witness::NotTried,
        cause::{self, Link},
        units::Malformed,
    },
};

/// Seconds after which a quota without a hint is back: TiDB Cloud counts requests per minute.
const QUOTA_SECONDS: u64 = 60;

/// Why a check of credentials did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckFailure {
    /// TiDB Cloud does not accept them (401), or they cannot even list clusters (403).
    Refused(
        /// What it said.
        Answer,
    ),
    /// It did not say: it was not reached, failed, or had had too many requests.
    Unsettled(
        /// The failure.
        ApiError,
    ),
}

/// TiDB Cloud's error in a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Its own code, a number or a word; unreliable, so only people should interpret it.
    pub code: Option<String>,
    /// Its message: at most 200 printable characters, without secrets; empty if there was none readable.
    pub message: String,
}

/// The place at which a response could not be read, without quoting it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misread(String);

impl Misread {
    /// `place` has names of the published schema, numbers, and the server's own words.
    pub fn new(place: impl Into<String>) -> Self {
        Self(place.into())
    }
}

impl fmt::Display for Misread {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.0)
    }
}

impl Error for Misread {}

/// A failed call to the TiDB Cloud API. No variant holds a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiError {
    /// The API key is wrong or was deleted (401 to a fresh digest).
    KeyRejected(Answer),
    /// The bearer token has expired, or the person revoked it (401).
    TokenRejected(Answer),
    /// The credentials are good and may not do this (403).
    Forbidden(Answer),
    /// It does not exist, or not for these credentials (404).
    NotFound(Answer),
    /// It exists already, or its state does not allow this (409, 412).
    Conflict(Answer),
    /// A quota of the organization is used up, or a payment is due (402, or a message that says so).
    QuotaExceeded(Answer),
    /// The operation is not offered here (405, 501).
    NotOffered(Answer),
    /// TiDB Cloud refuses the request (any other 4xx).
    Refused(Answer),
    /// Too many requests with these credentials (429): nothing was carried out.
    RateLimited {
        /// Seconds until requests are taken again, if it said that.
        retry_after_seconds: Option<u64>,
        /// What it said.
        answer: Answer,
    },
    /// TiDB Cloud or its gateway failed (5xx, 408, 425).
    Failing {
        /// Seconds it asked to wait, if it did.
        retry_after_seconds: Option<u64>,
        /// What it said.
        answer: Answer,
    },
    /// No complete answer in time.
    Timeout,
    /// The connection failed.
    Unreachable,
    /// A success that cannot be read: truncated, not JSON, or without the fields that were published.
    Unreadable {
        /// HTTP status.
        status: u16,
        /// Where.
        cause: Misread,
    },
    /// An answer longer than any legitimate one.
    TooLarge,
    /// TiDB Cloud does not speak as published, and trying again will not help.
    Unexpected(
        /// The problem, for example "401 without a Digest challenge".
        &'static str,
    ),
    /// The time of the whole call was up before the request was sent: it was not carried out.
    DeadlineExceeded,
    /// The allowance of the HTTP request is used up: this request was not sent.
    Exhausted,
    /// A value of the call cannot be sent; nothing was sent.
    Malformed(Malformed),
    /// TiDB Cloud failed too often lately: nothing was sent.
    CircuitOpen {
        /// Seconds until it is tried again.
        retry_after_seconds: u64,
    },
    /// The key may not be tried now: nothing was sent.
    KeyNotTried(NotTried),
    /// This server holds the key's requests back, so that TiDB Cloud's limit is not reached: nothing was sent.
    HeldBack {
        /// Seconds until the next may be sent.
        retry_after_seconds: u64,
    },
    /// A write may or may not have been carried out, and looking did not settle it. Look again before repeating it.
    OutcomeUnknown {
        /// Its cause.
        cause: Box<ApiError>,
    },
}

impl ApiError {
    /// Whether a write may have been carried out anyway.
    pub fn outcome_unknown(&self) -> bool {
        matches!(self, Self::OutcomeUnknown { .. })
    }

    /// TiDB Cloud's error, if it sent one.
    pub fn answer(&self) -> Option<&Answer> {
        match self {
            Self::KeyRejected(answer)
            | Self::TokenRejected(answer)
            | Self::Forbidden(answer)
            | Self::NotFound(answer)
            | Self::Conflict(answer)
            | Self::QuotaExceeded(answer)
            | Self::NotOffered(answer)
            | Self::Refused(answer)
            | Self::RateLimited { answer, .. }
            | Self::Failing { answer, .. } => Some(answer),
            Self::OutcomeUnknown { cause } => cause.answer(),
            Self::Timeout
            | Self::Unreachable
            | Self::Unreadable { .. }
            | Self::TooLarge
            | Self::Unexpected(_)
            | Self::DeadlineExceeded
            | Self::Exhausted
            | Self::Malformed(_)
            | Self::CircuitOpen { .. }
            | Self::KeyNotTried(_)
            | Self::HeldBack { .. } => None,
        }
    }

    /// Seconds to wait before the next call, if known.
    pub fn retry_after_seconds(&self) -> Option<u64> {
        match self {
            Self::RateLimited { retry_after_seconds, .. } => Some(retry_after_seconds.unwrap_or(QUOTA_SECONDS)),
            Self::CircuitOpen { retry_after_seconds } | Self::HeldBack { retry_after_seconds } => {
                Some(*retry_after_seconds)
            }
            Self::Failing { retry_after_seconds, .. } => *retry_after_seconds,
            Self::KeyNotTried(NotTried::Limited { retry_after_seconds }) => Some(*retry_after_seconds),
            _ => None,
        }
    }

    pub(crate) fn of_fetch(error: FetchError) -> Self {
        match error {
            FetchError::Timeout => Self::Timeout,
            FetchError::Unreachable => Self::Unreachable,
            FetchError::TooLarge => Self::TooLarge,
            FetchError::Exhausted => Self::Exhausted,
        }
    }

    /// Whether the failure is transient, and after which hint.
    pub(crate) fn passing(&self) -> Option<Passing> {
        match self {
            Self::Timeout | Self::Unreachable | Self::Unreadable { .. } => Some(Passing::Stumble(None)),
            Self::Failing { answer: Answer { status: 408 | 425 | 500 | 502 | 503 | 504, .. }, retry_after_seconds } => {
                Some(Passing::Stumble(retry_after_seconds.map(Duration::from_secs)))
            }
            Self::RateLimited { retry_after_seconds, .. } => {
                Some(Passing::Throttled(retry_after_seconds.map(Duration::from_secs)))
            }
            _ => None,
        }
    }
}

impl ApiError {
    /// The event, without text from others.
    fn words(&self) -> &'static str {
        match self {
            Self::KeyRejected(_) => "TiDB Cloud does not accept the API key",
            Self::TokenRejected(_) => "TiDB Cloud does not accept the access token",
            Self::Forbidden(_) => "these credentials may not do this",
            Self::NotFound(_) => "TiDB Cloud does not have it, or hides it from these credentials",
            Self::Conflict(_) => "it exists already, or its state does not allow this",
            Self::QuotaExceeded(_) => "a quota of the organization is used up, or a payment is due",
            Self::NotOffered(_) => "TiDB Cloud does not offer this operation here",
            Self::Refused(_) => "TiDB Cloud refused the request",
            Self::RateLimited { .. } => "too many requests with these credentials",
            Self::Failing { .. } => "TiDB Cloud failed",
            Self::Timeout => "TiDB Cloud did not answer in time",
            Self::Unreachable => "the connection to TiDB Cloud failed",
            Self::Unreadable { .. } => "TiDB Cloud's answer cannot be read",
            Self::TooLarge => "TiDB Cloud's answer is too long",
            Self::Unexpected(_) => "TiDB Cloud does not speak as published",
            Self::DeadlineExceeded => "the time of this call was up before the request was sent",
            Self::Exhausted => "one HTTP request may send no more requests to TiDB Cloud",
            Self::Malformed(_) => "a value of the call cannot be sent",
            Self::CircuitOpen { .. } => "TiDB Cloud failed too often lately, and was not asked",
            Self::KeyNotTried(NotTried::Limited { .. }) => "TiDB Cloud refused this key too often lately",
            Self::KeyNotTried(NotTried::Unavailable) => "nobody could say whether this key may be tried",
            Self::HeldBack { .. } => "this server holds back the requests of this key",
            Self::OutcomeUnknown { .. } => "the write may or may not have taken effect",
        }
    }

    /// The failure and its causes in one line of the log: what happened, statuses, codes that are numbers, and places.
    /// Nothing that TiDB Cloud, a database or a caller wrote.
    pub fn chain(&self) -> String {
        cause::chain(self)
    }
}

impl Link for ApiError {
    fn link(&self) -> String {
        let words = self.words();
        match self {
            Self::Unexpected(what) => format!("{words}: {what}"),
            Self::Malformed(malformed) => malformed.to_string(),
            Self::Unreadable { status, .. } => format!("{words} (HTTP {status})"),
            // Its cause says the rest.
            Self::OutcomeUnknown { .. } => words.to_owned(),
            _ => match self.answer() {
                Some(Answer { status, code, .. }) => {
                    format!("{words} (HTTP {status}{})", cause::number(code.as_deref()))
                }
                None => words.to_owned(),
            },
        }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unexpected(what) => return write!(to, "{}: {what}", self.words()),
            Self::Malformed(malformed) => return malformed.fmt(to),
            _ => to.write_str(self.words())?,
        }
        match self.answer() {
            Some(Answer { status, message, .. }) if message.is_empty() => write!(to, " (HTTP {status})"),
            Some(Answer { status, message, .. }) => write!(to, " (HTTP {status}: {message})"),
            None => Ok(()),
        }
    }
}

impl Error for ApiError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::OutcomeUnknown { cause } => Some(cause.as_ref()),
            Self::Unreadable { cause, .. } => Some(cause),
            _ => None,
        }
    }
}

impl From<Malformed> for ApiError {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}
