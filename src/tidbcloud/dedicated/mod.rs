//! Dedicated.

pub(super) mod clusters;
pub(super) mod integrations;
