//! Backups, restore, and the reset of a branch.

use crate::catalogue::{Group, Toolset};

/// The toolset.
pub(super) const GROUP: Group = Group { toolset: Toolset::Recovery, tools: &[] };
