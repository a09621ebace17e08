//! Who can reach a cluster: public endpoint, access list, private endpoints.

use crate::catalogue::{Group, Toolset};

/// The toolset.
pub(super) const GROUP: Group = Group { toolset: Toolset::Network, tools: &[] };
