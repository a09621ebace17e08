//! Answers in the shapes of TiDB Cloud's hosts.

use serde_json::{Value, json};

use super::address::{IAM_HOST, is_sql_host};
use crate::exchange::Response;

/// A request that the service refuses.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) status: u16,
    pub(super) message: String,
}

impl Failure {
    pub(super) fn new(status: u16, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }
}

/// What an operation comes to.
pub(super) type Outcome = Result<Value, Failure>;

/// An answer with a JSON body.
pub(super) fn json_response(status: u16, body: &Value) -> Response {
    let headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
    Response { status, headers, body: body.to_string().into_bytes() }
}

/// The error body of `host`.
///
/// Codes are not reliable in the real service; here they are the HTTP status, in the form that the host has. `requestId`
/// in `details` without a type is what the serverless host was seen to send.
pub(super) fn error_body(host: &str, failure: &Failure, request_id: &str) -> Value {
    let Failure { status, message } = failure;
    if is_sql_host(host) {
        json!({ "message": message, "code": status.to_string() })
    } else if host == IAM_HOST {
        json!({ "code": status.to_string(), "error": message, "msgPrefix": "", "status": status })
    } else {
        json!({ "code": status, "message": message, "details": [{ "requestId": request_id }] })
    }
}
