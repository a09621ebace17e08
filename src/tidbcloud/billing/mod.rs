//! Billing: what was charged.

pub(super) mod bills;
pub(super) mod costs;
