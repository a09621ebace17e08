//! How a cluster does: figures, and where they come from.

use crate::catalogue::{Group, Toolset};

/// The toolset.
pub(super) const GROUP: Group = Group { toolset: Toolset::Metrics, tools: &[] };
