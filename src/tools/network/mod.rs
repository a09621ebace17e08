//! Who can reach a cluster: public endpoint, access list, private endpoints.

mod create_private_endpoint;
mod delete_private_endpoint;
mod get_network;
mod ranges;
mod set_public_access;

use crate::{
    catalogue::{ClusterReference, Context, Entry, Group, ToolError, Toolset, code, said},
    tidbcloud::{DedicatedCluster, OpaqueId},
};

/// The toolset.
pub(super) const GROUP: Group = Group {
    toolset: Toolset::Network,
    tools: &[
        Entry::of::<get_network::GetNetwork>,
        Entry::of::<set_public_access::SetPublicAccess>,
        Entry::of::<create_private_endpoint::CreatePrivateEndpoint>,
        Entry::of::<delete_private_endpoint::DeletePrivateEndpoint>,
    ],
};

/// The Dedicated cluster that is meant, and the node group whose private endpoints are managed: other plans share a service to which
/// every endpoint connects by itself.
async fn with_private_endpoints(
    context: &Context<'_>,
    reference: &ClusterReference,
) -> Result<(DedicatedCluster, OpaqueId), ToolError> {
    let hint = |_: &str| {
        "This plan has no private endpoints of its own: an endpoint of the person's VPC connects by itself to the service that \
         tidbcloud_get_network shows."
            .to_owned()
    };
    let cluster = context.dedicated_cluster(reference, hint).await?;
    match cluster.default_group().map(|group| group.tidb_node_group_id.clone()) {
        Some(group) => Ok((cluster, group)),
        None => {
            let name = said(&cluster.display_name, cluster.cluster_id.as_str());
            let message = format!(
                "The cluster {name} does not say which of its node groups is the default one. Nothing was changed."
            );
            Err(ToolError::new(code::FAILED_PRECONDITION, message).hint(IN_CONSOLE))
        }
    }
}

/// What this server cannot do.
const IN_CONSOLE: &str = "Ask the person to do it in the TiDB Cloud console: this cluster, Settings, Networking.";
