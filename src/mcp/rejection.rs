//! A request that is refused before any of its calls ran.

use super::{
    Ids,
    code::TransportCode,
    jsonrpc::{Id, RpcError},
    response::json_response,
};
use crate::base::http::Response;

/// A request that was refused as a whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Rejection {
    /// HTTP status, 400 or greater.
    pub status: u16,
    /// The request id, if it could be read.
    pub id: Option<Id>,
    /// What is wrong.
    pub error: RpcError,
}

impl Rejection {
    /// A refusal of this code, with what is wrong in one sentence.
    pub fn new(code: &TransportCode, message: impl Into<String>) -> Self {
        Self { status: code.numbers.status, id: None, error: RpcError::new(code, message) }
    }

    pub(super) fn bad_request(id: Option<Id>, error: RpcError) -> Self {
        Self { status: 400, id, error }
    }

    /// The same refusal with the seconds to wait before trying again, as `data.retryAfterSeconds` and as the header
    /// `Retry-After` (RFC 9110 section 10.2.3).
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.error = self.error.with("retryAfterSeconds", seconds);
        self
    }

    /// The answer.
    pub fn response(&self, ids: Ids<'_>) -> Response {
        let response = json_response(self.status, self.error.answer(self.id.as_ref(), ids));
        match self.error.data.get("retryAfterSeconds") {
            Some(seconds) => response.with("retry-after", seconds.to_string()),
            None => response,
        }
    }
}
