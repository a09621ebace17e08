//! The limits of each page and endpoint. All of them protect secrets or other hosts: without a verdict nobody passes.

use super::{Server, redirect::is_known_host};
use crate::{
    limits::{
        keys::{CredentialHash, Limited},
        lease::Guarded,
        witness::Witness,
    },
    store::token::GrantId,
    tidbcloud::ApiKey,
};

impl Server<'_> {
    async fn take(&self, limited: Limited<'_>) -> Result<(), Guarded> {
        limited.limit(self.config).take_strictly(self.port.limiter).await
    }

    /// Any request for a page or a token.
    pub(super) async fn guard_request(&self) -> Result<(), Guarded> {
        self.take(Limited::Authorization(self.visitor)).await
    }

    /// A request with a code or a token of a grant. If many strangers share the address, each grant has as many permits there
    /// as one address has: a refresh does not wait for strangers who open pages. An old token found in a log cannot use them up
    /// from another address.
    pub(super) async fn guard_grant(&self, grant: Option<&GrantId>) -> Result<(), Guarded> {
        match grant.filter(|_| self.visitor.is_shared()) {
            Some(grant) => {
                let hash = CredentialHash::of_grant_at(grant.as_str(), self.visitor, self.keyring);
                self.take(Limited::AuthorizationOfGrant(&hash)).await
            }
            None => self.guard_request().await,
        }
    }

    /// One registration.
    pub(super) async fn guard_registration(&self) -> Result<(), Guarded> {
        self.take(Limited::Registration(self.visitor)).await
    }

    /// Fetching an unknown document. The hosts of known clients need no protection: an attacker could send them the same
    /// requests directly.
    pub(super) async fn guard_new_document(&self, host: &str) -> Result<(), Guarded> {
        self.guard_document().await?;
        if is_known_host(host) {
            return Ok(());
        }
        self.take(Limited::DocumentOfHost(host)).await?;
        self.take(Limited::Document).await
    }

    /// Fetching any document, with permits of the address and its network.
    pub(super) async fn guard_document(&self) -> Result<(), Guarded> {
        self.take(Limited::DocumentOfAddress(self.visitor)).await?;
        self.take(Limited::DocumentOfNetwork(self.visitor)).await
    }

    /// One page with credentials on it. Pairs that TiDB Cloud is known to accept are not kept out by others who guess from the
    /// same address.
    pub(super) async fn guard_try(&self, keys: &[&ApiKey]) -> Result<(), Guarded> {
        let guarded = match self.take(Limited::Try(self.visitor)).await {
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

    /// The witness of the keys that a person types.
    pub(super) fn witness(&self) -> Witness<'_> {
        Witness::of_chosen(self.port, self.config, self.keyring, self.pairs, self.visitor.source())
    }
}
