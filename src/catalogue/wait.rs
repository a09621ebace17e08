//! Waiting for a transient state to end.

use std::time::Duration;

use serde::Deserialize;

use super::context::Context;
use crate::base::schema::schema_of;
use crate::{
    base::clock::UnixMillis,
    tidbcloud::{ApiError, State},
};

/// Pause between two requests: 20 s and a pause of 5 s make five requests at most.
const PAUSE: Duration = Duration::from_secs(5);
/// Most requests that a wait sends: TiDB Cloud fails some, and each is sent up to three times.
const REQUESTS_MAX: u32 = 5;
/// What a wait leaves of the time of a call: one more question.
const LAST_QUESTION: Duration = Duration::from_secs(8);

/// How long to wait: 0 to 20 seconds, which a call of 28 leaves after its first request.
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
    WaitSeconds => {"type": "integer", "maximum": 20};
}

impl Context<'_> {
    /// Asks, and repeats it every five seconds while the state is transient and time is left. Only one call of an HTTP
    /// request waits, and only with requests that no other call of it was promised.
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
                // The last state seen is worth more than a failed repeat, unless the resource is gone.
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

    /// The pause before the next request, if one follows. `until` is the end of the wait, once it has begun.
    fn pause(
        &self,
        wait: Option<WaitSeconds>,
        state: Option<&State>,
        until: &mut Option<UnixMillis>,
    ) -> Option<Duration> {
        // Nobody waits for a client that has gone.
        if !passes(state) || self.io.left_at().is_some() {
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
        (!pause.is_zero() && self.allowance.can_spare(1)).then_some(pause)
    }
}

/// Whether a state is transient: `CREATING`, `RESTORING`, `DELETING`, `RESUMING` and all others that end in `ING`. A
/// resource without a state is being created.
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
