//! Branches of clusters.

mod create_branch;
mod delete_branch;
mod get_branch;
mod list_branches;
mod view;

use crate::catalogue::{Entry, Group, Toolset};

/// The toolset.
pub(super) const GROUP: Group = Group {
    toolset: Toolset::Branches,
    tools: &[
        Entry::of::<list_branches::ListBranches>,
        Entry::of::<get_branch::GetBranch>,
        Entry::of::<create_branch::CreateBranch>,
        Entry::of::<delete_branch::DeleteBranch>,
    ],
};
