//! Imports and exports.

use crate::catalogue::{Group, Toolset};

/// The toolset.
pub(super) const GROUP: Group = Group { toolset: Toolset::Transfer, tools: &[] };
