//! What belongs to no cluster.

mod doctor;
mod list_aliases;

use crate::catalogue::{Entry, Group, Toolset};

/// The toolset.
pub(super) const GROUP: Group = Group {
    toolset: Toolset::Organization,
    tools: &[Entry::of::<list_aliases::ListAliases>, Entry::of::<doctor::Doctor>],
};
