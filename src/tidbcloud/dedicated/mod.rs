//! Dedicated.

pub(super) mod clusters;
pub(super) mod private_endpoints;
