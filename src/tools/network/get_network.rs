//! `tidbcloud_get_network`: how a cluster can be reached, and from where.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::ranges::Range;
use crate::{
    catalogue::{AnyCluster, ClusterReference, Context, Effect, Tool, ToolError},
    tidbcloud::{AuthorizedNetwork, Cluster, DedicatedCluster, PrivateEndpointConnection, PublicEndpoint},
};

/// What can reach a cluster from the internet or privately: public endpoint, IP access list (firewall), private endpoints.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct GetNetwork {
    cluster: ClusterReference,
}

#[derive(Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct NetworkView {
    cluster_id: String,
    plan: &'static str,
    #[schemars(with = "Map<String, Value>")]
    public_endpoint: EndpointView,
    /// The access list
    #[serde(skip_serializing_if = "Option::is_none")]
    allow: Option<Vec<EntryView>>,
    /// What an endpoint of a VPC connects to
    #[schemars(with = "Map<String, Value>")]
    private_endpoint: EndpointView,
    /// Of Dedicated
    #[serde(skip_serializing_if = "Option::is_none")]
    connections: Option<Vec<PrivateEndpointConnection>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    notice: Option<String>,
}

/// One way in.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct EndpointView {
    /// Not known: left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    enabled: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_name: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    availability_zones: Vec<String>,
}

/// An entry of the access list.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct EntryView {
    /// As `allow` takes it
    addresses: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

/// The addresses of an entry, as it can be given back if it can be read.
pub(super) fn words(network: &AuthorizedNetwork) -> String {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let unread = || format!("{}-{}", text(&network.start_ip_address), text(&network.end_ip_address));
    Range::of(network).map_or_else(unread, Range::words)
}

/// The access list.
pub(super) fn entries(public: &PublicEndpoint) -> Vec<EntryView> {
    let entry =
        |network: &AuthorizedNetwork| EntryView { addresses: words(network), name: network.display_name.clone() };
    public.authorized_networks.iter().map(entry).collect()
}

impl Tool for GetNetwork {
    const NAME: &'static str = "tidbcloud_get_network";
    const TITLE: &'static str = "Get network access";
    const EFFECT: Effect = Effect::Read;
    type Output = NetworkView;

    async fn call(self, context: &Context<'_>) -> Result<NetworkView, ToolError> {
        match context.any_cluster(&self.cluster).await? {
            AnyCluster::Serverless(cluster) => Ok(of_serverless(*cluster)),
            AnyCluster::Dedicated(cluster) => of_dedicated(context, cluster).await,
        }
    }
}

fn of_serverless(cluster: Cluster) -> NetworkView {
    let plan = cluster.plan().name();
    let endpoints = cluster.endpoints;
    let (public, private) = endpoints.map_or((None, None), |endpoints| (endpoints.public, endpoints.private));
    let allow = public.as_ref().map(entries);
    let notice = match public.is_none() {
        true => Some("TiDB Cloud shows no endpoints of this cluster yet.".to_owned()),
        false => None,
    };
    let public_endpoint = public.map_or_else(EndpointView::default, |public| EndpointView {
        enabled: Some(!public.disabled),
        host: public.host,
        port: public.port,
        ..EndpointView::default()
    });
    let private_endpoint = private.map_or_else(EndpointView::default, |private| {
        let service = private.aws.or(private.alicloud);
        let (service_name, availability_zones) =
            service.map_or((None, Vec::new()), |service| (service.service_name, service.availability_zone));
        EndpointView { enabled: Some(true), host: private.host, port: private.port, service_name, availability_zones }
    });
    NetworkView {
        cluster_id: cluster.cluster_id.into(),
        plan,
        public_endpoint,
        allow,
        private_endpoint,
        connections: None,
        notice,
    }
}

/// What one of the sources fails to say is said in the notice.
async fn of_dedicated(context: &Context<'_>, cluster: DedicatedCluster) -> Result<NetworkView, ToolError> {
    let mut notice =
        "The access list of a Dedicated cluster is not in TiDB Cloud's published API: the person sees it in the \
                      console, under Settings, Networking."
            .to_owned();
    let mut view =
        NetworkView { cluster_id: cluster.cluster_id.to_string(), plan: "Dedicated", ..NetworkView::default() };
    let shown = usize::from(cluster.default_group().is_some());
    match cluster.groups().saturating_sub(shown) {
        0 => {}
        1 => notice.push_str(" 1 node group is not shown."),
        more => notice.push_str(&format!(" {more} node groups are not shown.")),
    }
    if let Some(group) = cluster.default_group() {
        let endpoint = |kind: &str| {
            let of_kind = group.endpoints.iter().find(|endpoint| endpoint.connection_type.as_deref() == Some(kind));
            of_kind.map_or_else(EndpointView::default, |endpoint| EndpointView {
                enabled: endpoint.host.as_ref().map(|_| true),
                host: endpoint.host.clone(),
                port: endpoint.port,
                ..EndpointView::default()
            })
        };
        view.public_endpoint = endpoint("PUBLIC");
        view.private_endpoint = endpoint("PRIVATE_ENDPOINT");
        let id = &group.tidb_node_group_id;
        match context.cloud().private_link_service(&cluster.cluster_id, id).await {
            Ok(service) => {
                view.private_endpoint.enabled = service.state.map(|state| state == "ACTIVE");
                view.private_endpoint.service_name = service.service_name;
                view.private_endpoint.availability_zones = service.available_zones;
                view.private_endpoint.host = service.service_dns_name.or(view.private_endpoint.host);
            }
            Err(error) => {
                let message = ToolError::from(error).message;
                notice.push_str(&format!(" The private link service could not be read: {message}"));
            }
        }
        match context.cloud().private_endpoints(&cluster.cluster_id, id).await {
            Ok(connections) => view.connections = Some(connections),
            Err(error) => {
                let message = ToolError::from(error).message;
                notice.push_str(&format!(" Private endpoints could not be read: {message}"));
            }
        }
    }
    view.notice = Some(notice);
    Ok(view)
}
