//! Tools that belong to no cluster.

mod list_regions;

use crate::catalogue::{Entry, Group, Toolset};

/// The toolset.
pub(super) const GROUP: Group =
    Group { toolset: Toolset::Organization, tools: &[Entry::of::<list_regions::ListRegions>] };
