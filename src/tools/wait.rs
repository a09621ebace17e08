//! Waiting for a state that ends by itself.

use std::{borrow::Cow, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use super::Context;
use crate::{
    platform::Platform,
    tidbcloud::{ApiError, State},
};

/// Between two questions. 20 s and a pause of 5 s make five questions at most.
const PAUSE: Duration = Duration::from_secs(5);
/// What a wait leaves of the time of a call: one more question.
const LAST_QUESTION: Duration = Duration::from_secs(8);

/// How long to wait: 0 to 20 seconds, which a call of 28 leaves after the question that begins it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "i64")]
pub(super) struct WaitSeconds(u64);

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

impl JsonSchema for WaitSeconds {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "WaitSeconds".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "integer", "minimum": 0, "maximum": 20})
    }
}

impl<P: Platform> Context<'_, P> {
    /// Asks, and asks again every five seconds while the state is one that ends by itself and the time is not up. One call
    /// of an HTTP request waits, and only with requests that no other call of it was promised.
    pub(super) async fn settled<T>(
        &self,
        wait: Option<WaitSeconds>,
        ask: impl AsyncFn() -> Result<T, ApiError>,
        state: fn(&T) -> Option<&State>,
    ) -> Result<T, ApiError> {
        let mut found = ask().await?;
        let wait = wait.map_or(Duration::ZERO, |wait| Duration::from_secs(wait.0));
        let wait = wait.min(self.cloud.remaining().saturating_sub(LAST_QUESTION));
        if wait.is_zero() || !passes(state(&found)) || !self.allowance.take_wait() {
            return Ok(found);
        }
        let until = self.platform.now().after(wait);
        loop {
            let left = self.platform.now().until(until);
            if left.is_zero() || !passes(state(&found)) || !self.allowance.can_spare_request() {
                return Ok(found);
            }
            self.platform.sleep(PAUSE.min(left)).await;
            match ask().await {
                Ok(next) => found = next,
                Err(gone @ ApiError::NotFound(_)) => return Err(gone),
                // What was seen last says more than that it could not be seen again.
                Err(_) => return Ok(found),
            }
        }
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
