//! Interprets a refusal: by its status, and by its words if TiDB Cloud gives no other sign.

use serde_json::Value;

use super::{
    error::{Answer, ApiError},
    redact::presentable,
    retry,
};
use crate::{
    base::{clock::UnixMillis, http::Response},
    tidbcloud::service::ErrorShape,
};

/// 200 characters: the longest message seen, that of the rate limit, has 190.
const MESSAGE_CHARS_MAX: usize = 200;
/// 64 characters: codes are numbers of up to 8 digits or short words.
const CODE_CHARS_MAX: usize = 64;
/// Facts that only the words of a refusal tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// A quota is used up.
    Quota,
    /// It exists already.
    Exists,
    /// Nobody knows whether a commit went through.
    Undetermined,
}

/// The words, in lower case, with the statuses in which they count; none is any status. No other code interprets a
/// message.
///
/// - Quotas come as 400 or 403 too; TiDB Cloud's client `ti` reads 400 with "quota", "capacity" or "limit" as one
///   (tidbcloud/ti-cli). "Spending limit" alone is a field, not a quota.
/// - How IAM refuses a SQL user that exists is not published: 409, or these words.
/// - TiDB's `ErrResultUndetermined`, "execution result undetermined" (`pkg/parser/terror/terror.go`), has no number of
///   MySQL and arrives as 1105, like every error without one. TiDB closes the connection on it, and a gateway in Go then says
///   that the connection is invalid or bad (`database/sql/driver.ErrBadConn`, `go-sql-driver/mysql`).
const WORDS: [(Told, &[u16], &[&str]); 3] = [
    (Told::Quota, &[400, 403, 409, 422], &["quota", "capacity", "cluster limit", "limit reached", "exceeded the"]),
    (Told::Exists, &[400], &["already exist", "duplicate"]),
    (Told::Undetermined, &[], &["undetermined", "invalid connection", "bad connection", "unexpected eof"]),
];

/// Code and message of a refusal, as they were sent.
#[derive(Default)]
pub(crate) struct Said {
    pub(crate) code: Option<String>,
    pub(crate) message: String,
}

impl Said {
    /// Reads a body of this shape. Anything else says nothing.
    pub(crate) fn read(body: &[u8], shape: &ErrorShape) -> Self {
        let Ok(body) = serde_json::from_slice::<Value>(body) else {
            return Self::default();
        };
        let at = |pointers: &'static [&'static str]| pointers.iter().filter_map(|pointer| body.pointer(pointer));
        let texts = at(shape.message).filter_map(Value::as_str).filter(|text| !text.is_empty());
        Self {
            code: at(shape.code).find_map(|code| match code {
                Value::String(code) if !code.is_empty() => Some(code.clone()),
                Value::Number(code) => Some(code.to_string()),
                _ => None,
            }),
            message: texts.collect::<Vec<_>>().join(": "),
        }
    }

    /// Whether its words tell this.
    pub(crate) fn tells(&self, what: Told, status: u16) -> bool {
        let message = self.message.to_ascii_lowercase();
        WORDS.iter().any(|(told, statuses, words)| {
            *told == what
                && (statuses.is_empty() || statuses.contains(&status))
                && words.iter().any(|word| message.contains(word))
        })
    }
}

impl ApiError {
    /// The error that a refusal stands for. `secrets` are those of this call, never to be repeated.
    pub(crate) fn of_refusal(shape: &ErrorShape, response: &Response, now: UnixMillis, secrets: &[&str]) -> Self {
        let said = Said::read(&response.body, shape);
        let status = response.status;
        let answer = Answer {
            status,
            code: said.code.as_deref().map(|code| presentable(code, CODE_CHARS_MAX, secrets)),
            message: presentable(&said.message, MESSAGE_CHARS_MAX, secrets),
        };
        let hint = retry::hint(&response.headers, now).map(|hint| hint.as_secs());
        match status {
            401 => Self::KeyRejected(answer),
            402 => Self::QuotaExceeded(answer),
            404 => Self::NotFound(answer),
            405 | 501 => Self::NotOffered(answer),
            _ if said.tells(Told::Quota, status) => Self::QuotaExceeded(answer),
            403 => Self::Forbidden(answer),
            409 | 412 => Self::Conflict(answer),
            _ if said.tells(Told::Exists, status) => Self::Conflict(answer),
            429 => Self::RateLimited { retry_after_seconds: hint, answer },
            408 | 425 | 500.. => Self::Failing { retry_after_seconds: hint, answer },
            400..=499 => Self::Refused(answer),
            _ => Self::Unexpected("a status that is neither success nor error"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidbcloud::service::{IAM, OAUTH, SERVERLESS, SQL_ERRORS};

    fn refusal(status: u16, body: &str) -> ApiError {
        ApiError::of_refusal(&IAM.errors, &Response::json(status, body), UnixMillis(0), &["canary-private-key"])
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
    fn a_refusal_is_read_where_its_service_writes_it() {
        let gateway = r#"{"code":49900001,"message":"public_key not found","details":[]}"#;
        let iam = r#"{"code":"A1","error":{"reason":7},"msgPrefix":"create user","status":400}"#;
        let sql = r#"{"error":"Error 1146: no table"}"#;
        let oauth = r#"{"error":"invalid_grant","error_description":"the code has ended"}"#;
        for (shape, body, code, message) in [
            (&SERVERLESS.errors, gateway, Some("49900001"), "public_key not found"),
            (&IAM.errors, gateway, Some("49900001"), "public_key not found"),
            (&IAM.errors, iam, Some("A1"), "create user"),
            (&SQL_ERRORS, sql, None, "Error 1146: no table"),
            (&OAUTH.errors, oauth, Some("invalid_grant"), "the code has ended"),
            (&IAM.errors, "<html>", None, ""),
        ] {
            let said = Said::read(body.as_bytes(), shape);
            assert_eq!((said.code.as_deref(), said.message.as_str()), (code, message), "what {body} says");
        }
    }

    #[test]
    fn a_rate_limit_says_when_it_ends() {
        let limited =
            Response::json(429, r#"{"details":[],"code":49900007,"message":"The request exceeded the limit"}"#);
        let seconds =
            |response: &Response| ApiError::of_refusal(&IAM.errors, response, UnixMillis(0), &[]).retry_after_seconds();
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
}
