//! What guessing costs: limits that fail closed, because they protect secrets.

use super::{Server, redirect::is_known_host};
use crate::{
    limits::witness::{Source, Witness},
    port::{LimitKey, Policy},
    store::{
        key::REFUSALS_PER_ADDRESS,
        seal::{base64url, fingerprint},
        token::GrantId,
    },
    tidbcloud::ApiKey,
};

/// Pages on which credentials are tried: a person types some 30 s on each.
const TRIES_PER_ADDRESS: Policy = Policy::per_minute(10, 10);
/// Hosted clients register anew on each connect, from addresses that they share.
const REGISTRATIONS: Policy = Policy::per_hour(100);
/// Documents that are not known: nobody uses this server to knock on others' doors. Each is fetched once in the five minutes
/// that an isolate keeps it, and a person connects few clients that are new here in a minute. For one address, for its
/// network, from one host, and in all; the last two are shared with strangers, so one network alone never uses them up: in
/// t minutes it takes at most 60 + 60 t, of 120 + 120 t and 600 + 600 t. Ten networks can. What is known is then still
/// served ([`crate::store::document`]).
const DOCUMENTS_PER_ADDRESS: Policy = Policy::per_minute(30, 30);
const DOCUMENTS_PER_NETWORK: Policy = Policy::per_minute(60, 60);
const DOCUMENTS_PER_HOST: Policy = Policy::per_minute(120, 120);
const DOCUMENTS: Policy = Policy::per_minute(600, 600);

/// Who is asking, as far as limits go.
pub struct Visitor {
    /// Keyed hash of the address.
    pub hash: String,
    /// Keyed hash of the network that it lies in.
    pub network: String,
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

impl Server<'_> {
    async fn take(&self, class: &str, id: &str, policy: Policy) -> Result<(), Guarded> {
        let admission = self
            .port
            .limiter
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

    /// A request with a code or a token of a grant. Where many strangers share the address, each grant has as many there as
    /// one address has: whoever refreshes does not wait for strangers who open pages. At another address nobody uses them
    /// up, whatever old token is found in a log.
    pub(super) async fn guard_grant(&self, grant: Option<&GrantId>) -> Result<(), Guarded> {
        match grant.filter(|_| self.visitor.shared) {
            Some(grant) => {
                let parts = [grant.as_str().as_bytes(), self.visitor.hash.as_bytes()];
                let id = base64url(&self.keyring.mac("limit per grant and address v1", &parts));
                self.take("authorization-grant", &id, self.config.rate_limit).await
            }
            None => self.guard_request().await,
        }
    }

    /// One registration. Nothing is stored of it, so where many strangers share the address there are as many as requests in
    /// a minute: an hour's permits could be used up for all of them.
    pub(super) async fn guard_registration(&self) -> Result<(), Guarded> {
        let policy = if self.visitor.shared { self.config.shared_rate_limit } else { REGISTRATIONS };
        self.take("registration", &self.visitor.hash, policy).await
    }

    /// Fetching a document that is not known. The hosts of known clients can take what an attacker could as well ask of them
    /// directly.
    pub(super) async fn guard_new_document(&self, host: &str) -> Result<(), Guarded> {
        self.guard_document().await?;
        if is_known_host(host) {
            return Ok(());
        }
        self.take("document-host", &fingerprint(host.as_bytes()), DOCUMENTS_PER_HOST).await?;
        self.take("document", "all", DOCUMENTS).await
    }

    /// Fetching any document, with permits of the address and its network. Addresses that many strangers share have no more
    /// than others: one network could use up what is for all, and what they connected with once is known.
    pub(super) async fn guard_document(&self) -> Result<(), Guarded> {
        self.take("document", &self.visitor.hash, DOCUMENTS_PER_ADDRESS).await?;
        self.take("document-network", &self.visitor.network, DOCUMENTS_PER_NETWORK).await
    }

    /// One page with credentials on it. Pairs that TiDB Cloud is known to take are not kept out by others who guess from the
    /// same address.
    pub(super) async fn guard_try(&self, keys: &[&ApiKey]) -> Result<(), Guarded> {
        let guarded = match self.take_for_address("try", TRIES_PER_ADDRESS).await {
            Err(guarded @ Guarded::Limited(_)) if !keys.is_empty() => guarded,
            other => return other,
        };
        for key in keys {
            if !self.witness().knows(key).await {
                return Err(guarded);
            }
        }
        Ok(())
    }

    /// Who watches over the keys that a person types.
    pub(super) fn witness(&self) -> Witness<'_> {
        Witness::of_chosen(self.port, self.keyring, self.pairs, self.visitor.source())
    }
}
