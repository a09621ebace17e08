//! What belongs to no cluster.

mod delete_api_key;
mod doctor;
mod get_quota;
mod invite_members;
mod list_aliases;
mod list_api_keys;
mod list_audit_events;
mod list_members;
mod list_projects;
mod remove_member;
mod roles;
mod update_member;
mod who;

use crate::catalogue::{Entry, Group, Toolset};

/// The toolset.
pub(super) const GROUP: Group = Group {
    toolset: Toolset::Organization,
    tools: &[
        Entry::of::<list_projects::ListProjects>,
        Entry::of::<list_members::ListMembers>,
        Entry::of::<invite_members::InviteMembers>,
        Entry::of::<update_member::UpdateMember>,
        Entry::of::<remove_member::RemoveMember>,
        Entry::of::<list_api_keys::ListApiKeys>,
        Entry::of::<delete_api_key::DeleteApiKey>,
        Entry::of::<list_audit_events::ListAuditEvents>,
        Entry::of::<get_quota::GetQuota>,
        Entry::of::<list_aliases::ListAliases>,
        Entry::of::<doctor::Doctor>,
    ],
};
