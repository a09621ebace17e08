//! Reads successful responses.

use serde::de::DeserializeOwned;
use serde_json::json;

use super::error::{ApiError, Misread};
use crate::{
    base::{
        http::Response,
        json::{self, Unread},
    },
    port::RequestLog,
};

/// Reads the JSON of a success, of which no body is `null`: some changes are published without the schema of an answer. Logs a
/// response that cannot be read.
pub(crate) fn read_answer<T: DeserializeOwned>(
    log: &RequestLog<'_>,
    operation: &str,
    response: &Response,
) -> Result<T, ApiError> {
    let body = if response.body.is_empty() { b"null" } else { &*response.body };
    json::read(body).map_err(|error| {
        log.noted.upstream.takes_back();
        unreadable(
            log,
            operation,
            response.status,
            match error {
                Unread::Syntax(error) => format!("no JSON at line {} column {}", error.line(), error.column()),
                Unread::Shape { place, .. } => format!("another shape at `{place}`"),
                Unread::Absent => "nothing".to_owned(),
            },
        )
    })
}

/// Logs that a response could not be read, and where, without quoting it.
pub(crate) fn unreadable(log: &RequestLog<'_>, operation: &str, status: u16, problem: String) -> ApiError {
    log.error("unreadable_answer", json!({ "operation": operation, "status": status, "problem": problem }));
    ApiError::Unreadable { status, cause: Misread::new(problem) }
}
