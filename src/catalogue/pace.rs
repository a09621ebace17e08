//! How fast a caller may go: what it may change, and how much may run at once.

use super::code;
use crate::{base::future::Pending, mcp::outcome::ToolError};

/// The wait for a call that has to end.
const RUNNING_WAIT_SECONDS: u64 = 2;

/// Whoever holds a caller back.
pub trait Pace {
    /// Whether it may make another call that changes something; if not, after how many seconds.
    fn may_change(&self) -> Pending<'_, Result<(), u64>>;

    /// Takes a slot for a call that runs SQL, until [`Self::ends`]. Returns whether one was free.
    fn begins(&self) -> bool;

    /// Frees a slot that was taken.
    fn ends(&self);
}

/// A call that runs SQL. Its slot is free again when this is dropped.
pub(super) struct Run<'p>(&'p dyn Pace);

impl<'p> Run<'p> {
    /// Begins one.
    pub(super) fn begin(pace: &'p dyn Pace) -> Result<Self, ToolError> {
        if pace.begins() {
            return Ok(Self(pace));
        }
        let message = "Eight calls with this credential run SQL at this moment; this one was not sent.";
        Err(limited(message, RUNNING_WAIT_SECONDS))
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        self.0.ends();
    }
}

/// Takes what a call that changes something costs, before anything is sent and anybody is asked.
pub(super) async fn change(pace: &dyn Pace) -> Result<(), ToolError> {
    let message = "Too many calls with this credential change something; nothing was sent.";
    pace.may_change().await.map_err(|seconds| limited(message, seconds))
}

fn limited(message: &'static str, seconds: u64) -> ToolError {
    let error = ToolError::new(code::RATE_LIMITED, message).hint("Wait, then call again.").retryable();
    ToolError { retry_after_seconds: Some(seconds), ..error }
}
