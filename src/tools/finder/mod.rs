//! The pair that reaches tools which are not listed.

mod find_tools;
mod run_read_tool;

use crate::catalogue::{Entry, Group, Toolset};

/// The toolset.
pub(super) const GROUP: Group = Group {
    toolset: Toolset::Finder,
    tools: &[Entry::of::<find_tools::FindTools>, Entry::of::<run_read_tool::RunReadTool>],
};
