//! Why a call to the TiDB Cloud API failed, and who would have to change something.

use std::{fmt, time::Duration};

use serde_json::Value;

use super::{
    retry::{self, Passing},
    units::Malformed,
    witness::NotTried,
};
use crate::{
    base::{clock::UnixMillis, http::Response, text::spelled_out},
    port::FetchError,
};

/// 200 characters: the longest message seen, that of the rate limit, has 190.
const MESSAGE_CHARS_MAX: usize = 200;
/// 64 characters: codes are numbers of up to 8 digits or short words.
pub(super) const CODE_CHARS_MAX: usize = 64;
/// Seconds after which a quota without a hint is back: TiDB Cloud counts requests per minute.
const QUOTA_SECONDS: u64 = 60;

/// Why it is not known that TiDB Cloud takes somebody's credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckFailure {
    /// It does not take them (401), or they may not even list clusters (403).
    Refused(
        /// What it said.
        Answer,
    ),
    /// It did not say: it was not reached, failed, or had had too many requests.
    Unsettled(
        /// What happened instead.
        ApiError,
    ),
}

/// What TiDB Cloud said when it refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Its own code, a number or a word; unreliable, so nothing but a person should read meaning into it.
    pub code: Option<String>,
    /// Its message: at most 200 printable characters, without secrets; empty where it said nothing readable.
    pub message: String,
}

/// A failed call to the TiDB Cloud API. No variant holds a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiError {
    /// The API key is wrong or was deleted (401 to a fresh digest).
    KeyRejected(Answer),
    /// The bearer token has ended, or the person took back what it allowed (401).
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
    /// TiDB Cloud does not take what was asked (any other 4xx).
    Refused(Answer),
    /// Too many requests with these credentials (429): nothing was carried out.
    RateLimited {
        /// Seconds until requests are taken again.
        retry_after_seconds: u64,
        /// What it said.
        answer: Answer,
    },
    /// TiDB Cloud or its gateway failed (5xx, 408, 425).
    Failing {
        /// Seconds it asked to wait, where it did.
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
    },
    /// An answer longer than any legitimate one.
    TooLarge,
    /// TiDB Cloud does not speak as published, and trying again will not help.
    Unexpected(
        /// What was wrong, for example "401 without a Digest challenge".
        &'static str,
    ),
    /// The time of the whole call was up before the request was sent: it was not carried out.
    DeadlineExceeded,
    /// The HTTP request that this call belongs to has sent as many requests as it may: this one was not carried out.
    Exhausted,
    /// A value of the call cannot be sent; nothing was sent.
    Malformed(Malformed),
    /// The key may not be tried now: nothing was sent.
    KeyNotTried(NotTried),
    /// A write may or may not have been carried out, and looking did not settle it. Look again before repeating it.
    OutcomeUnknown {
        /// What made it unknown.
        cause: Box<ApiError>,
    },
}

impl ApiError {
    /// Whether a write may have been carried out all the same.
    pub fn outcome_unknown(&self) -> bool {
        matches!(self, Self::OutcomeUnknown { .. })
    }

    /// What TiDB Cloud said, where it said anything.
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
            | Self::KeyNotTried(_) => None,
        }
    }

    /// Seconds to wait before the next call, where that is known.
    pub fn retry_after_seconds(&self) -> Option<u64> {
        match self {
            Self::RateLimited { retry_after_seconds, .. } => Some(*retry_after_seconds),
            Self::Failing { retry_after_seconds, .. } => *retry_after_seconds,
            Self::KeyNotTried(NotTried::Limited { retry_after_seconds }) => Some(*retry_after_seconds),
            _ => None,
        }
    }

    /// The error that a refusal stands for. `secrets` are those of this call, never to be repeated.
    pub(super) fn of_refusal(response: &Response, now: UnixMillis, secrets: &[&str]) -> Self {
        let Said { code, message } = Said::read(&response.body);
        let told = message.to_ascii_lowercase();
        let says = |words: &[&str]| words.iter().any(|word| told.contains(word));
        let answer = Answer {
            status: response.status,
            code: code.map(|code| presentable(&code, CODE_CHARS_MAX, secrets)),
            message: presentable(&message, MESSAGE_CHARS_MAX, secrets),
        };
        let hint = retry::hint(&response.headers, now).map(|hint| hint.as_secs());
        match response.status {
            401 => Self::KeyRejected(answer),
            402 => Self::QuotaExceeded(answer),
            404 => Self::NotFound(answer),
            405 | 501 => Self::NotOffered(answer),
            // TiDB Cloud reports quotas as 400 or 403 too. "Spending limit" alone is a field, not a quota.
            400 | 403 | 409 | 422 if says(&["quota", "capacity", "cluster limit", "limit reached", "exceeded the"]) => {
                Self::QuotaExceeded(answer)
            }
            403 => Self::Forbidden(answer),
            409 | 412 => Self::Conflict(answer),
            400 if says(&["already exist", "duplicate"]) => Self::Conflict(answer),
            429 => Self::RateLimited { retry_after_seconds: hint.unwrap_or(QUOTA_SECONDS), answer },
            408 | 425 | 500.. => Self::Failing { retry_after_seconds: hint, answer },
            400..=499 => Self::Refused(answer),
            _ => Self::Unexpected("a status that is neither success nor error"),
        }
    }

    pub(super) fn of_fetch(error: FetchError) -> Self {
        match error {
            FetchError::Timeout => Self::Timeout,
            FetchError::Unreachable => Self::Unreachable,
            FetchError::TooLarge => Self::TooLarge,
            FetchError::Exhausted => Self::Exhausted,
        }
    }

    /// Whether, and after which hint, the failure can be gone the next time.
    pub(super) fn passing(&self) -> Option<Passing> {
        match self {
            Self::Timeout | Self::Unreachable | Self::Unreadable { .. } => Some(Passing::Stumble(None)),
            Self::Failing { answer: Answer { status: 408 | 425 | 500 | 502 | 503 | 504, .. }, retry_after_seconds } => {
                Some(Passing::Stumble(retry_after_seconds.map(Duration::from_secs)))
            }
            Self::RateLimited { retry_after_seconds, .. } => {
                Some(Passing::Throttled(Some(Duration::from_secs(*retry_after_seconds))))
            }
            _ => None,
        }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
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
            Self::Unexpected(what) => return write!(to, "TiDB Cloud does not speak as published: {what}"),
            Self::DeadlineExceeded => "the time of this call was up before the request was sent",
            Self::Exhausted => "one HTTP request may send no more requests to TiDB Cloud",
            Self::Malformed(malformed) => return malformed.fmt(to),
            Self::KeyNotTried(NotTried::Limited { .. }) => "TiDB Cloud refused this key too often lately",
            Self::KeyNotTried(NotTried::Unavailable) => "nobody could say whether this key may be tried",
            Self::OutcomeUnknown { cause } => return write!(to, "the write may or may not have taken effect: {cause}"),
        };
        to.write_str(text)?;
        match self.answer() {
            Some(Answer { status, message, .. }) if message.is_empty() => write!(to, " (HTTP {status})"),
            Some(Answer { status, message, .. }) => write!(to, " (HTTP {status}: {message})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ApiError {}

impl From<Malformed> for ApiError {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

/// Code and message of an error body, in whichever of the published shapes it comes.
#[derive(Default)]
pub(super) struct Said {
    pub(super) code: Option<String>,
    pub(super) message: String,
}

impl Said {
    /// Reads `google.rpc.Status` `{code, message}`, IAM's `{code, error, msgPrefix}` and the SQL gateway's
    /// `{message, code}` or `{error}`. Anything else says nothing.
    pub(super) fn read(body: &[u8]) -> Self {
        let Ok(Value::Object(body)) = serde_json::from_slice(body) else {
            return Self::default();
        };
        fn text(value: Option<&Value>) -> Option<&str> {
            value.and_then(Value::as_str).filter(|text| !text.is_empty())
        }
        let error = body.get("error");
        let nested = error.and_then(Value::as_object);
        let parts = [
            text(body.get("message")),
            text(body.get("msgPrefix")),
            text(error).or_else(|| text(nested.and_then(|error| error.get("message")))),
        ];
        let code = body.get("code").or_else(|| nested.and_then(|error| error.get("code")));
        Self {
            code: match code {
                Some(Value::String(code)) if !code.is_empty() => Some(code.clone()),
                Some(Value::Number(code)) => Some(code.to_string()),
                _ => None,
            },
            message: parts.into_iter().flatten().collect::<Vec<_>>().join(": "),
        }
    }
}

/// `text` without secrets, on one line, and not longer than `chars_max`.
pub(super) fn presentable(text: &str, chars_max: usize, secrets: &[&str]) -> String {
    // 4 KiB is eight times the longest line made of it, and bounds the work that a hostile answer can cause.
    let scrubbed = scrub(&text.chars().take(4096).collect::<String>(), secrets);
    let mut line = String::new();
    for (at, c) in spelled_out(&scrubbed).chars().enumerate() {
        if at == chars_max {
            line.push('\u{2026}');
            break;
        }
        line.push(c);
    }
    line
}

/// What stands in place of a secret.
const REDACTED: &str = "[redacted]";

/// Removes the secrets of this call, and whatever has the shape of one: what follows `Digest`, `Basic`, `Bearer`,
/// `password=` or `IDENTIFIED BY`, and runs of 32 or more hexadecimal digits.
fn scrub(text: &str, secrets: &[&str]) -> String {
    let mut text = text.to_owned();
    for secret in secrets.iter().filter(|secret| secret.len() >= 4) {
        text = text.replace(secret, REDACTED);
    }
    for (introduction, ends) in
        [("digest ", ""), ("basic ", " ,"), ("bearer ", " ,"), ("password=", " &,"), ("identified by ", " ,;")]
    {
        text = redact_after(&text, introduction, ends);
    }
    redact_hex(&text)
}

/// Replaces what follows each `introduction` (lower case), up to one of `ends`; with none, up to the end of the text.
/// A quoted value goes up to its closing quote.
fn redact_after(text: &str, introduction: &str, ends: &str) -> String {
    let mut left = text;
    let mut clean = String::new();
    // Lower-casing ASCII only keeps byte positions.
    while let Some(at) = left.to_ascii_lowercase().find(introduction) {
        let (before, after) = left.split_at(at + introduction.len());
        let quote = after.chars().next().filter(|c| matches!(c, '\'' | '"'));
        let length = match quote {
            Some(quote) => after.get(1..).and_then(|rest| rest.find(quote)).map_or(after.len(), |end| end + 2),
            None => after.find(|c| ends.contains(c)).unwrap_or(after.len()),
        };
        clean.push_str(before);
        clean.push_str(REDACTED);
        left = after.get(length..).unwrap_or_default();
    }
    clean.push_str(left);
    clean
}

fn redact_hex(text: &str) -> String {
    let mut clean = String::new();
    let mut left = text;
    while !left.is_empty() {
        let run = left.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(left.len());
        let step = run.max(left.chars().next().map_or(0, char::len_utf8));
        let (head, tail) = left.split_at(step);
        clean.push_str(if run >= 32 { REDACTED } else { head });
        left = tail;
    }
    clean
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refusal(status: u16, body: &str) -> ApiError {
        ApiError::of_refusal(&Response::json(status, body), UnixMillis(0), &["canary-private-key"])
    }

    #[test]
    fn refusals_name_the_party_at_fault() {
        let quota = r#"{"code":400,"message":"Your organization has reached the quota of free clusters","details":[]}"#;
        let spending = r#"{"code":400,"message":"Scalable cluster can not set spending limit to 0.","details":[]}"#;
        assert!(matches!(refusal(400, quota), ApiError::QuotaExceeded(_)));
        assert!(matches!(refusal(400, spending), ApiError::Refused(_)));
        assert!(matches!(refusal(402, ""), ApiError::QuotaExceeded(_)));
        assert!(matches!(refusal(403, ""), ApiError::Forbidden(_)));
        assert!(matches!(refusal(404, "<html>"), ApiError::NotFound(_)));
        assert!(matches!(refusal(405, ""), ApiError::NotOffered(_)));
        assert!(matches!(refusal(409, ""), ApiError::Conflict(_)));
        assert!(matches!(refusal(503, ""), ApiError::Failing { retry_after_seconds: None, .. }));
        assert!(matches!(refusal(302, ""), ApiError::Unexpected(_)));
        let exists = refusal(400, r#"{"code":"A1","error":"user already exists","msgPrefix":"create","status":400}"#);
        let ApiError::Conflict(answer) = exists else { panic!("{exists}") };
        assert_eq!((answer.code.as_deref(), answer.message.as_str()), (Some("A1"), "create: user already exists"));
    }

    #[test]
    fn a_rate_limit_says_when_it_ends() {
        let limited =
            Response::json(429, r#"{"details":[],"code":49900007,"message":"The request exceeded the limit"}"#);
        let seconds = |response: &Response| ApiError::of_refusal(response, UnixMillis(0), &[]).retry_after_seconds();
        assert_eq!(seconds(&limited.clone().with("X-Ratelimit-Reset", "23")), Some(23));
        assert_eq!(seconds(&limited.clone().with("X-Ratelimit-Reset", "-5")), Some(60));
        assert_eq!(seconds(&limited), Some(60));
    }

    #[test]
    fn messages_carry_no_secret_and_no_trick() {
        let body = |message: &str| serde_json::json!({ "message": message }).to_string();
        for (message, expected) in [
            ("key canary-private-key is bad", "key [redacted] is bad"),
            ("sent Authorization: Digest username=\"a\", response=\"b\"", "sent Authorization: Digest [redacted]"),
            ("Basic Y2FuYXJ5 was wrong", "Basic [redacted] was wrong"),
            ("?password=canary&x=1", "?password=[redacted]&x=1"),
            ("CREATE USER a IDENTIFIED BY 'canary x' near", "CREATE USER a IDENTIFIED BY [redacted] near"),
            ("id 0123456789abcdef0123456789ABCDEF.", "id [redacted]."),
            ("a\nb\u{202e}c", "a\\nb\\u202ec"),
        ] {
            assert_eq!(refusal(400, &body(message)).answer().unwrap().message, expected);
        }
        let long = refusal(400, &body(&"x".repeat(500)));
        assert_eq!(long.answer().unwrap().message.chars().count(), 201);
    }

    proptest! {
        #[test]
        fn no_text_makes_scrubbing_panic_or_keep_a_secret(
            before in "\\PC{0,40}",
            after in "(é|'|\"|digest |basic |\\PC){0,20}",
        ) {
            let text = format!("{before}canary-private-key{after}");
            prop_assert!(!presentable(&text, 200, &["canary-private-key"]).contains("canary"));
        }
    }
}
