//! Bills and costs.

use crate::catalogue::{Group, Toolset};

/// The toolset.
pub(super) const GROUP: Group = Group { toolset: Toolset::Billing, tools: &[] };
