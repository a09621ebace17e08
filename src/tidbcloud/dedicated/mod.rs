//! Dedicated.

pub(super) mod clusters;
