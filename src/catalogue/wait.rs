//! Waiting for a state that ends by itself.

use std::time::Duration;

use serde::Deserialize;

use super::context::Context;
use crate::base::schema::schema_of;
use crate::{
    base::clock::UnixMillis,
    tidbcloud::{ApiError, State},
};

/// Between two questions. 20 s and a pause of 5 s make five questions at most.
const PAUSE: Duration = Duration::from_secs(5);
/// Requests after which no further question follows: TiDB Cloud fails some, and each question is sent up to three times.
const REQUESTS_MAX: u32 = 5;
/// What a wait leaves of the time of a call: one more question.
const LAST_QUESTION: Duration = Duration::from_secs(8);

/// How long to wait: 0 to 20 seconds, which a call of 28 leaves after the question that begins it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "i64")]
pub(crate) struct WaitSeconds(u64);

impl TryFrom<i64> for WaitSeconds {
    type Error = &'static str;

    fn try_from(seconds: i64) -> Result<Self, Self::Error> {
        const MAX: u64 = 20;
        u64::try_from(seconds)
            .ok()
            .filter(|seconds| *seconds <= MAX)
            .map(Self)
            .ok_or("must be a whole number from 0 to 20")
    }
}

schema_of! {
    WaitSeconds => {"type": "integer", "minimum": 0, "maximum": 20};
}

impl Context<'_> {
    /// Asks, and asks again every five seconds while the state is one that ends by itself and the time is not up. One call
    /// of an HTTP request waits, and only with requests that no other call of it was promised.
    pub(crate) async fn settled<T>(
        &self,
        wait: Option<WaitSeconds>,
        ask: impl AsyncFn() -> Result<T, ApiError>,
        state: fn(&T) -> Option<&State>,
    ) -> Result<T, ApiError> {
        let (mut last, mut until) = (None, None);
        let before = self.allowance.requests_sent();
        loop {
            let found = match (ask().await, last) {
                (Ok(found), _) => found,
                // What was seen last says more than that it could not be seen again, unless it is gone.
                (Err(error), Some(last)) if !matches!(error, ApiError::NotFound(_)) => return Ok(last),
                (Err(error), _) => return Err(error),
            };
            if self.allowance.requests_sent().saturating_sub(before) >= REQUESTS_MAX {
                return Ok(found);
            }
            let Some(pause) = self.pause(wait, state(&found), &mut until) else { return Ok(found) };
            self.io.sleep(pause).await;
            last = Some(found);
        }
    }

    /// How long to wait before the next question, if there is to be one. `until` is when the wait ends, once it has begun.
    fn pause(
        &self,
        wait: Option<WaitSeconds>,
        state: Option<&State>,
        until: &mut Option<UnixMillis>,
    ) -> Option<Duration> {
        if !passes(state) {
            return None;
        }
        let now = self.io.now();
        let until = match *until {
            Some(until) => until,
            None => {
                let wait = Duration::from_secs(wait?.0).min(self.cloud.remaining().saturating_sub(LAST_QUESTION));
                if wait.is_zero() || !self.allowance.take_wait() {
                    return None;
                }
                *until.insert(now.after(wait))
            }
        };
        let pause = PAUSE.min(now.until(until));
        (!pause.is_zero() && self.allowance.can_spare_request()).then_some(pause)
    }
}

/// Whether a state ends by itself: `CREATING`, `RESTORING`, `DELETING`, `RESUMING` and all others that are called so. What
/// has no state yet is being made.
fn passes(state: Option<&State>) -> bool {
    state.is_none_or(|state| state.as_str().ends_with("ING"))
}

#[cfg(test)]
mod tests {
    use super::{State, passes};

    #[test]
    fn states_that_stay_are_not_waited_for() {
        for name in ["CREATING", "RESTORING", "DELETING", "MODIFYING", "PAUSING", "RESUMING", "UPGRADING", "IMPORTING"]
        {
            assert!(passes(Some(&State::from(name.to_owned()))), "{name}");
        }
        for name in ["ACTIVE", "DELETED", "PAUSED", "INACTIVE", "MAINTENANCE", ""] {
            assert!(!passes(Some(&State::from(name.to_owned()))), "{name}");
        }
        assert!(passes(None));
    }
}
