//! Answers in the shapes of TiDB Cloud's hosts.

use serde_json::{Value, json};

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

/// What the errors of a service look like. Codes are not reliable in the real service; here they are the HTTP status, in the
/// form that the service has.
#[derive(Clone, Copy)]
pub(super) enum ErrorShape {
    /// `google.rpc.Status`. `requestId` in `details` without a type is what the serverless host was seen to send.
    Rpc,
    /// What the IAM service has.
    OpenApi,
    /// What the SQL gateway has, without the text of a MySQL error.
    Sql,
    /// RFC 6749 section 5.2; the message is the code.
    OAuth,
}

impl ErrorShape {
    /// The definition in the contract, where it has one.
    pub(super) fn definition(self) -> Option<&'static str> {
        match self {
            Self::Rpc => Some("googlerpcStatus"),
            Self::OpenApi => Some("api.OpenApiError"),
            Self::Sql => Some("Failure"),
            Self::OAuth => None,
        }
    }

    /// The answer for `failure`.
    pub(super) fn response(self, failure: &Failure, request_id: &str) -> Response {
        let Failure { status, message } = failure;
        let body = match self {
            Self::Rpc => json!({ "code": status, "message": message, "details": [{ "requestId": request_id }] }),
            Self::OpenApi => {
                json!({ "code": status.to_string(), "error": message, "msgPrefix": "", "status": status })
            }
            Self::Sql => json!({ "message": message, "code": status.to_string() }),
            Self::OAuth => json!({ "error": message }),
        };
        json_response(*status, &body)
    }
}
