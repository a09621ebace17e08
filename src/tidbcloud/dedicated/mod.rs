//! Dedicated.

pub(super) mod clusters;
pub(super) mod integrations;
pub(super) mod node_quota;
pub(super) mod private_endpoints;
