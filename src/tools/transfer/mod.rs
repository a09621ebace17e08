//! Imports and exports.

mod cancel_transfer;
mod explain;
mod get_export_files;
mod list_transfers;
mod start_export;
mod start_import;
mod storage;
mod view;

use crate::catalogue::{Entry, Group, Toolset};

/// The toolset.
pub(super) const GROUP: Group = Group {
    toolset: Toolset::Transfer,
    tools: &[
        Entry::of::<list_transfers::ListTransfers>,
        Entry::of::<start_import::StartImport>,
        Entry::of::<start_export::StartExport>,
        Entry::of::<cancel_transfer::CancelTransfer>,
        Entry::of::<get_export_files::GetExportFiles>,
    ],
};
