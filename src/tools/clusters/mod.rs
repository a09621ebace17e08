//! Clusters, and the regions for them.

mod create_cluster;
mod delete_cluster;
mod get_cluster;
mod get_connection;
mod labels;
mod list_clusters;
mod list_regions;
mod plan;
mod update_cluster;
mod view;

use crate::catalogue::{Entry, Group, Toolset};

/// The toolset.
pub(super) const GROUP: Group = Group {
    toolset: Toolset::Clusters,
    tools: &[
        Entry::of::<list_regions::ListRegions>,
        Entry::of::<list_clusters::ListClusters>,
        Entry::of::<get_cluster::GetCluster>,
        Entry::of::<get_connection::GetConnection>,
        Entry::of::<create_cluster::CreateCluster>,
        Entry::of::<update_cluster::UpdateCluster>,
        Entry::of::<delete_cluster::DeleteCluster>,
    ],
};

/// An amount of money for a person.
fn money(cents: i64) -> String {
    format!("{cents} US cents ({})", dollars(cents))
}

/// The same within a sentence.
fn dollars(cents: i64) -> String {
    format!("{}.{:02} US dollars", cents / 100, cents.rem_euclid(100))
}
