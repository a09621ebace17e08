//! Bills and costs.

mod charges;
mod explore_costs;
mod get_bill;

use crate::catalogue::{Entry, Group, Toolset};

/// The toolset.
pub(super) const GROUP: Group = Group {
    toolset: Toolset::Billing,
    tools: &[Entry::of::<get_bill::GetBill>, Entry::of::<explore_costs::ExploreCosts>],
};
