//! Why a database is slow.

mod db_explain;

use crate::catalogue::{Entry, Group, Toolset};

/// The toolset.
pub(super) const GROUP: Group = Group { toolset: Toolset::Insight, tools: &[Entry::of::<db_explain::DbExplain>] };
