//! Secrets that lie ready for a principal, who takes each of them once.

use serde::{Deserialize, Serialize};

use super::{confirmations::TRIES_MAX, seal::Sealed};

/// Times that secrets can lie ready for one principal (`HandOut` of `catalogue::handed` has the arithmetic).
pub const HANDED_OUT_MAX: usize = 5;
/// A place is kept for as long as a call can last, which is 55 seconds, and five more.
pub(super) const KEPT_MILLIS: u64 = 60_000;

/// Secrets that lie behind one link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct HandedOut {
    /// Fingerprint of the id of their link.
    pub(super) id: String,
    /// What the page shows, sealed under a key in the link.
    pub(super) page: Sealed,
    /// The secrets, each sealed under the same; those that were taken are gone.
    items: Vec<Option<Sealed>>,
    pub(super) tries: u8,
    /// Milliseconds since 1970.
    pub(super) ends: u64,
}

impl HandedOut {
    pub(super) fn new(id: String, page: Sealed, items: Vec<Sealed>, ends: u64) -> Self {
        Self { id, page, items: items.into_iter().map(Some).collect(), tries: 0, ends }
    }

    /// Places of those that were not taken.
    pub(super) fn left(&self) -> Vec<usize> {
        let items = self.items.iter().enumerate();
        items.filter(|(_, item)| item.is_some()).map(|(at, _)| at).collect()
    }

    /// Takes one of them.
    pub(super) fn give(&mut self, item: usize) -> Option<Sealed> {
        self.items.get_mut(item)?.take()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.iter().all(Option::is_none)
    }

    pub(super) fn tries_left(&self) -> u8 {
        TRIES_MAX.saturating_sub(self.tries)
    }
}

/// A place that is kept for secrets, before the change is made that they come of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    /// Fingerprint of the id of their link.
    pub(super) id: String,
    /// Milliseconds since 1970.
    pub(super) ends: u64,
}
