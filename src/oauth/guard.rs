//! What guessing costs: limits that fail closed, because they protect secrets.

use super::Server;
use crate::{
    grants::key::REFUSALS_PER_ADDRESS,
    guesses::{Source, Witness},
    limits::{LimitKey, Policy},
    platform::Platform,
};

/// Pages on which credentials are tried: a person types some 30 s on each.
const TRIES_PER_ADDRESS: Policy = Policy::per_minute(10, 10);
/// Hosted clients register anew on each connect, from addresses that they share.
const REGISTRATIONS: Policy = Policy::per_hour(100);
/// Documents fetched for one address, and for all: nobody uses this server to knock on others' doors.
const DOCUMENTS_PER_ADDRESS: Policy = Policy::per_minute(30, 30);
const DOCUMENTS: Policy = Policy::per_minute(600, 600);

/// Who is asking, as far as limits go.
pub struct Visitor {
    /// Keyed hash of the address.
    pub hash: String,
    /// Whether many strangers share it.
    pub shared: bool,
}

impl Visitor {
    /// How many times as much an address may that many strangers share.
    pub const SHARED_FACTOR: u32 = 10;

    /// Whose refusals of keys are counted, and how many there may be.
    pub fn source(&self) -> Source<'_> {
        let factor = if self.shared { Self::SHARED_FACTOR } else { 1 };
        Source { from: &self.hash, refusals_max: REFUSALS_PER_ADDRESS * factor }
    }

    /// Eight characters that tell addresses apart in the log.
    pub fn short_hash(&self) -> &str {
        self.hash.get(..8).unwrap_or_default()
    }
}

/// Why a guard lets nobody through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guarded {
    /// Too many tries; how many seconds to wait.
    Limited(u64),
    /// The limiter does not answer.
    Unavailable,
}

impl<P: Platform> Server<'_, P> {
    async fn take(&self, class: &str, id: &str, policy: Policy) -> Result<(), Guarded> {
        let admission = self
            .platform
            .admit(&LimitKey(format!("{class}:{id}")), policy, 1)
            .await
            .map_err(|_| Guarded::Unavailable)?;
        if admission.allowed {
            Ok(())
        } else {
            Err(Guarded::Limited(admission.retry_after_millis.div_ceil(1_000).max(1)))
        }
    }

    async fn take_for_address(&self, class: &str, policy: Policy) -> Result<(), Guarded> {
        let policy = if self.visitor.shared { policy.times(Visitor::SHARED_FACTOR) } else { policy };
        self.take(class, &self.visitor.hash, policy).await
    }

    /// Any request for a page or a token: as many as calls of the protocol.
    pub(super) async fn guard_request(&self) -> Result<(), Guarded> {
        self.take_for_address("authorization", self.config.rate_limit).await
    }

    pub(super) async fn guard_registration(&self) -> Result<(), Guarded> {
        self.take_for_address("registration", REGISTRATIONS).await
    }

    pub(super) async fn guard_document(&self) -> Result<(), Guarded> {
        self.take_for_address("document", DOCUMENTS_PER_ADDRESS).await?;
        self.take("document", "all", DOCUMENTS).await
    }

    /// One page with credentials on it.
    pub(super) async fn guard_try(&self) -> Result<(), Guarded> {
        self.take_for_address("try", TRIES_PER_ADDRESS).await
    }

    /// Who watches over the keys that a person types.
    pub(super) fn witness(&self) -> Witness<'_, P> {
        Witness::of_chosen(self.platform, self.keyring, self.pairs, self.visitor.source())
    }
}
