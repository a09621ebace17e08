//! The refusal of a door.

use crate::{
    app::codes::{RATE_LIMITED, STORAGE_UNAVAILABLE},
    base::http::Response,
    limits::wait_seconds,
    mcp::{Ids, Rejection, RpcError, code::TransportCode},
    port::StorageFailure,
};

/// `Retry-After` if storage does not answer.
const STORAGE_WAIT_SECONDS: u64 = 5;

/// A request refused by a door.
pub(in crate::app) struct Refusal {
    rejection: Rejection,
    header: Option<Box<(&'static str, String)>>,
}

impl Refusal {
    /// A refusal of this code, with what is wrong in one sentence.
    pub(super) fn new(code: &TransportCode, message: &str) -> Self {
        Rejection::new(code, message).into()
    }

    /// 429 with the time to wait.
    pub(super) fn limited(message: &str, millis: u64) -> Self {
        Rejection::new(&RATE_LIMITED, message).retry_after(wait_seconds(millis)).into()
    }

    /// 503: the server's own storage did not answer.
    pub(super) fn unavailable() -> Self {
        Rejection::new(&STORAGE_UNAVAILABLE, "The server's own storage did not answer. Try again.")
            .retry_after(STORAGE_WAIT_SECONDS)
            .into()
    }

    /// The same refusal with a header field.
    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.header = Some(Box::new((name, value.into())));
        self
    }

    /// Its error.
    pub(super) fn error(&self) -> &RpcError {
        &self.rejection.error
    }

    /// The answer.
    pub(super) fn response(&self, ids: Ids<'_>) -> Response {
        let response = self.rejection.response(ids);
        match self.header.as_deref() {
            Some((name, value)) => response.with(name, value.as_str()),
            None => response,
        }
    }
}

impl From<Rejection> for Refusal {
    fn from(rejection: Rejection) -> Self {
        Self { rejection, header: None }
    }
}

impl From<StorageFailure> for Refusal {
    fn from(StorageFailure: StorageFailure) -> Self {
        Self::unavailable()
    }
}
