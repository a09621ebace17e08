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

/// The result of an operation.
pub(super) type Outcome = Result<Value, Failure>;

/// An answer with a JSON body.
pub(super) fn json_response(status: u16, body: &Value) -> Response {
    let headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
    Response { status, headers, body: body.to_string().into_bytes() }
}

/// The error shape of a service. Codes are not reliable in the real service; here they are the HTTP status, in the service's
/// own form.
pub(super) struct ErrorShape {
    /// The definition in the contract, where there is one.
    pub(super) definition: Option<&'static str>,
    /// The body for a failure and the id of its request.
    body: fn(&Failure, &str) -> Value,
}

/// `google.rpc.Status`. `requestId` in `details` without a type is what the serverless host was seen to send.
pub(super) static RPC: ErrorShape = ErrorShape {
    definition: Some("googlerpcStatus"),
    body: |Failure { status, message }, request_id| json!({ "code": status, "message": message, "details": [{ "requestId": request_id }] }),
};

/// What the IAM service has.
pub(super) static OPEN_API: ErrorShape = ErrorShape {
    definition: Some("api.OpenApiError"),
    body: |Failure { status, message }, _| json!({ "code": status.to_string(), "error": message, "msgPrefix": "", "status": status }),
};

/// What the billing service has.
pub(super) static BILLING: ErrorShape =
    ErrorShape { definition: Some("billing_errors.BaseError"), body: OPEN_API.body };

/// What the SQL gateway has where the failure is not a MySQL error.
pub(super) static SQL: ErrorShape = ErrorShape {
    definition: Some("Failure"),
    body: |Failure { status, message }, _| json!({ "message": message, "code": status.to_string() }),
};

/// RFC 6749 section 5.2; the message is the code.
pub(super) static OAUTH: ErrorShape =
    ErrorShape { definition: None, body: |Failure { message, .. }, _| json!({ "error": message }) };

impl ErrorShape {
    /// The answer for `failure`.
    pub(super) fn response(&self, failure: &Failure, request_id: &str) -> Response {
        json_response(failure.status, &(self.body)(failure, request_id))
    }
}
