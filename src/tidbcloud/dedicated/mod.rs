//! Dedicated.

pub(super) mod clusters;
pub(super) mod node_quota;
