//! Repeats of a call, and lost responses: a read is sent again, a deletion too because it is idempotent, a change to given
//! values once more if it does not show, and a creation is sent once and then looked up.

use std::time::Duration;

use serde::{Deserialize, de::DeserializeOwned};

use super::{
    call::{Call, Failed},
    error::ApiError,
    health::Part,
    retry::{self, ATTEMPT_MIN, Passing},
};
use crate::{
    base::http::Method,
    tidbcloud::{Cloud, State, Timestamp},
};

/// Attempts of what can be repeated.
pub(super) const ATTEMPTS_MAX: u32 = 3;
/// Attempts to set something: between two of them, somebody else may set it too.
const SETS_MAX: u32 = 2;
/// How far TiDB Cloud's clock may be behind ours when a resource's creation time is compared with the request's.
const CLOCK_SKEW: Duration = Duration::from_secs(5);
/// When to look for a resource whose creation had no response: at once, and 1, 3 and 7 s later, because lists may lag.
const LOOKS: [Duration; 4] = [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];

/// A resource that can be recognised after a creation whose response was lost.
pub(in crate::tidbcloud) trait Created: DeserializeOwned {
    /// The name that the request gave it.
    fn display_name(&self) -> &str;

    /// When it was made (RFC 3339), if that was said.
    fn create_time(&self) -> Option<&str>;

    /// The idempotency key of the request that made it, where the API keeps one.
    fn idempotency_key(&self) -> Option<&str> {
        None
    }
}

/// What a new resource is recognised by.
#[derive(Clone, Copy)]
pub(in crate::tidbcloud) struct Mark<'m> {
    pub(in crate::tidbcloud) name: &'m str,
    /// The idempotency key of its request, if the API keeps one. It alone decides.
    pub(in crate::tidbcloud) key: Option<&'m str>,
}

/// A new resource.
#[derive(Clone, Debug, PartialEq)]
pub struct Made<T> {
    /// The resource.
    pub made: T,
    /// The response to its creation was lost, and it was found.
    pub reconciled: bool,
}

impl Cloud<'_> {
    /// Reads, and tries again after transient failures.
    pub(in crate::tidbcloud) async fn read<T: DeserializeOwned>(&self, call: &Call<'_>) -> Result<T, ApiError> {
        let (mut failures, part) = (0, self.part(call.service));
        loop {
            match self.attempt(call).await {
                Ok(answer) => {
                    self.checkup(&part).succeeded(failures > 0);
                    return Ok(answer);
                }
                Err(failed) => self.try_again(&part, &mut failures, ATTEMPTS_MAX, failed.error).await?,
            }
        }
    }

    /// Reads, once: for somebody who wants to hear of failures.
    pub(in crate::tidbcloud) async fn look<T: DeserializeOwned>(&self, call: &Call<'_>) -> Result<T, ApiError> {
        self.attempt(call).await.map_err(|failed| failed.error)
    }

    /// Writes, once.
    pub(in crate::tidbcloud) async fn write<T: DeserializeOwned>(&self, call: &Call<'_>) -> Result<T, ApiError> {
        self.attempt_when_admitted(call).await.map_err(Failed::unsettled)
    }

    /// One attempt that counts. A refusal for too many requests proves that nothing was carried out, so it is waited for if
    /// the wait is short.
    async fn attempt_when_admitted<T: DeserializeOwned>(&self, call: &Call<'_>) -> Result<T, Failed> {
        let (mut failures, part) = (0, self.part(call.service));
        loop {
            match self.attempt(call).await {
                Err(Failed { error: error @ ApiError::RateLimited { .. }, .. }) => {
                    self.try_again(&part, &mut failures, ATTEMPTS_MAX, error).await.map_err(Failed::undone)?;
                }
                Ok(answer) => {
                    self.checkup(&part).succeeded(failures > 0);
                    return Ok(answer);
                }
                outcome => return outcome,
            }
        }
    }

    /// Sets values that do not depend on the old ones, so that it can be sent twice. Before that, and after it, `look` finds
    /// out whether they are set, if it can.
    pub(in crate::tidbcloud) async fn set<T: DeserializeOwned>(
        &self,
        call: &Call<'_>,
        look: impl AsyncFn() -> Option<T>,
    ) -> Result<T, ApiError> {
        let (mut failures, mut maybe_done, part) = (0, false, self.part(call.service));
        loop {
            let Failed { error, maybe_done: now } = match self.attempt_when_admitted(call).await {
                Ok(answer) => {
                    self.checkup(&part).succeeded(failures > 0);
                    return Ok(answer);
                }
                // It was waited for already.
                Err(Failed { error: error @ ApiError::RateLimited { .. }, .. }) => {
                    return Err(Failed { error, maybe_done }.unsettled());
                }
                Err(failed) => failed,
            };
            maybe_done |= now;
            if now && let Some(found) = look().await {
                return Ok(found);
            }
            let again = self.try_again(&part, &mut failures, SETS_MAX, error).await;
            again.map_err(|error| Failed { error, maybe_done }.unsettled())?;
        }
    }

    /// Creates a resource, once. If no response comes, it is looked up in `list`: the one with the idempotency key, or the only
    /// one of its name that is not older than the request.
    pub(in crate::tidbcloud) async fn create<T: Created>(
        &self,
        call: &Call<'_>,
        mark: Mark<'_>,
        list: impl AsyncFn() -> Result<Vec<T>, ApiError>,
    ) -> Result<Made<T>, ApiError> {
        let since = self.sender.io.now().before(CLOCK_SKEW);
        let is_new = |found: &T| {
            if mark.key.is_some() {
                return found.idempotency_key() == mark.key;
            }
            let created = found.create_time().and_then(|time| Timestamp::try_from(time.to_owned()).ok());
            found.display_name() == mark.name && created.is_some_and(|created| created.moment() >= since)
        };
        let look = async || {
            for pause in LOOKS {
                if pause.saturating_add(ATTEMPT_MIN) > self.remaining() {
                    return None;
                }
                if !pause.is_zero() {
                    self.sender.io.sleep(pause).await;
                }
                // A list that fails says nothing; the next one may.
                let mut found = list().await.unwrap_or_default().into_iter().filter(is_new);
                match (found.next(), found.next()) {
                    (Some(only), None) => return Some(only),
                    (Some(_), Some(_)) => return None,
                    (None, _) => {}
                }
            }
            None
        };
        match self.attempt_when_admitted(call).await {
            Err(failed) if failed.maybe_done => {
                let made = look().await.ok_or_else(|| failed.unsettled())?;
                Ok(Made { made, reconciled: true })
            }
            answer => Ok(Made { made: answer.map_err(|failed| failed.error)?, reconciled: false }),
        }
    }

    /// Deletes, and tries again after transient failures; a last look finds out whether it is gone. `None` if it is and the
    /// response was lost.
    pub(in crate::tidbcloud) async fn remove<T: DeserializeOwned>(
        &self,
        call: &Call<'_>,
    ) -> Result<Option<T>, ApiError> {
        let (mut failures, mut maybe_done, part) = (0, false, self.part(call.service));
        loop {
            let error = match self.attempt(call).await {
                Ok(answer) => {
                    self.checkup(&part).succeeded(failures > 0);
                    return Ok(Some(answer));
                }
                // It was accepted; only the description of what is gone cannot be read.
                Err(Failed { error: ApiError::Unreadable { .. } | ApiError::TooLarge, maybe_done: true }) => {
                    return Ok(None);
                }
                Err(Failed { error: ApiError::NotFound(_), maybe_done: now }) if maybe_done || now => return Ok(None),
                Err(failed) => {
                    maybe_done |= failed.maybe_done;
                    failed.error
                }
            };
            if let Err(error) = self.try_again(&part, &mut failures, ATTEMPTS_MAX, error).await {
                return if maybe_done && self.is_gone(call).await {
                    Ok(None)
                } else {
                    Err(Failed { error, maybe_done }.unsettled())
                };
            }
        }
    }

    /// Whether what a call deletes is no longer there, or about to go.
    async fn is_gone(&self, deletion: &Call<'_>) -> bool {
        #[derive(Deserialize)]
        struct Seen {
            #[serde(default)]
            state: Option<State>,
        }
        match self.read::<Seen>(&Call { method: Method::Get, ..deletion.clone() }).await {
            Ok(seen) => seen.state.is_some_and(|state| matches!(state.as_str(), "DELETING" | "DELETED")),
            Err(error) => matches!(error, ApiError::NotFound(_)),
        }
    }

    /// Counts a failure and waits before the next attempt; returns it if there is none.
    pub(in crate::tidbcloud) async fn try_again(
        &self,
        part: &Part,
        failures: &mut u32,
        attempts_max: u32,
        error: ApiError,
    ) -> Result<(), ApiError> {
        *failures += 1;
        match error.passing().and_then(|passing| self.wait_after(part, passing, *failures, attempts_max)) {
            Some(wait) => {
                self.sender.io.sleep(wait).await;
                Ok(())
            }
            None => Err(error),
        }
    }

    /// How long to wait after this failure; `None` if no further attempt follows.
    pub(in crate::tidbcloud) fn wait_after(
        &self,
        part: &Part,
        passing: Passing,
        failures: u32,
        attempts_max: u32,
    ) -> Option<Duration> {
        let mut random = [0; 8];
        self.sender.io.random(&mut random);
        retry::wait(passing, failures, attempts_max, self.remaining(), u64::from_le_bytes(random))
            .filter(|_| self.checkup(part).may_repeat())
    }
}
