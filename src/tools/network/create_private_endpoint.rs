//! `tidbcloud_create_private_endpoint`: let an endpoint of somebody's own network in.

use std::net::Ipv4Addr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::with_private_endpoints;
use crate::{
    base::schema::schema_of,
    catalogue::{ClusterReference, Context, Done, Effect, Receipt, Stakes, Tool, ToolError, advised, said},
    tidbcloud::{ApiError, PrivateEndpointConnection},
};

/// Connect a private endpoint (PrivateLink) of a cloud account's VPC to a Dedicated cluster. It is made first, for the service that
/// tidbcloud_get_network shows.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct CreatePrivateEndpoint {
    cluster: ClusterReference,
    /// As the cloud provider calls it: vpce-...
    endpoint_id: EndpointId,
    /// Azure only
    private_ip_address: Option<Ip>,
}

/// The id of a VPC endpoint, or of an Azure resource, whose paths may have some 300 characters.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct EndpointId(String);

impl TryFrom<String> for EndpointId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match (1..=512).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            true => Ok(Self(text)),
            false => Err("must be the id of an endpoint, without spaces: 1 to 512 characters"),
        }
    }
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Ip(String);

impl TryFrom<String> for Ip {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.parse::<Ipv4Addr>().is_ok() { Ok(Self(text)) } else { Err("must be an IPv4 address") }
    }
}

schema_of! {
    EndpointId => {"type": "string"};
    Ip => {"type": "string"};
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ConnectedEndpoint {
    cluster_id: String,
    #[serde(flatten)]
    connection: PrivateEndpointConnection,
    next_step: &'static str,
}

impl Tool for CreatePrivateEndpoint {
    const NAME: &'static str = "tidbcloud_create_private_endpoint";
    const TITLE: &'static str = "Create private endpoint";
    const EFFECT: Effect = Effect::Create;
    const RECEIPT: Option<Receipt<Self>> = Some(Receipt {
        look: "Look with tidbcloud_get_network before trying again.",
        tries: |call| format!("connect the private endpoint {} to {}", call.endpoint_id.0, call.cluster.as_str()),
        done: |made| {
            let (cluster, id) = (&made.cluster_id, &made.connection.id);
            Done::of(format!("Connected a private endpoint to the cluster {cluster}, as {id}"))
                .affecting(Some(1))
                .undone_by(format!(
                    "tidbcloud_delete_private_endpoint {{\"cluster\":\"{cluster}\",\"id\":\"{id}\"}} disconnects it."
                ))
        },
    });
    type Output = ConnectedEndpoint;

    /// The cluster, and the connection.
    fn requests_min(_: &Map<String, Value>) -> u32 {
        3
    }

    fn asks(&self) -> bool {
        true
    }

    fn opens(&self) -> bool {
        true
    }

    async fn stakes(&self, context: &Context<'_>) -> Result<Option<Stakes>, ToolError> {
        let (cluster, group) = with_private_endpoints(context, &self.cluster).await?;
        let service = context.cloud().private_link_service(&cluster.cluster_id, &group).await?;
        let name = said(&cluster.display_name, cluster.cluster_id.as_str());
        let stakes = Stakes::of(format!("Let the network of a private endpoint connect to the cluster {name}."))
            .fact("Endpoint", Some(&self.endpoint_id.0))
            .fact("Private address", self.private_ip_address.as_ref().map(|ip| &ip.0))
            .fact("Cluster", Some(&cluster.display_name))
            .fact("Cluster id", Some(&cluster.cluster_id))
            .fact("Service", service.service_name);
        Ok(Some(stakes))
    }

    async fn call(self, context: &Context<'_>) -> Result<ConnectedEndpoint, ToolError> {
        let (cluster, group) = with_private_endpoints(context, &self.cluster).await?;
        let (endpoint, ip) = (self.endpoint_id.0, self.private_ip_address.map(|ip| ip.0));
        let made =
            context.cloud().connect_private_endpoint(&cluster.cluster_id, &group, &endpoint, ip.as_deref()).await;
        let connection = made.map_err(|error| {
            let hint = "Call tidbcloud_get_network: the endpoint has to be made in the VPC for the service shown there, and \
                        is connected once.";
            advised(error, |error| matches!(error, ApiError::Refused(_) | ApiError::Conflict(_)), hint)
        })?;
        Ok(ConnectedEndpoint {
            cluster_id: cluster.cluster_id.into(),
            connection,
            next_step: "Call tidbcloud_get_network until its `state` is ACTIVE; FAILED comes with a message.",
        })
    }
}
