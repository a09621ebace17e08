//! Private endpoints of a Dedicated cluster's node groups.

use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::json;

use crate::{
    base::http::Method,
    tidbcloud::{
        ApiError, Cloud, ClusterId, OpaqueId,
        service::DEDICATED,
        tolerant::{integer, or_default},
        transport::list::Listed,
    },
};

/// What private endpoints connect to (schema `dedicatedv1beta1PrivateLinkService`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "fields are those of the published schema, which says what they mean")]
pub struct PrivateLinkService {
    #[serde(default)]
    pub service_name: Option<String>,
    #[serde(default)]
    pub service_dns_name: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub available_zones: Vec<String>,
    #[serde(default)]
    pub state: Option<String>,
}

/// A private endpoint of a customer's network (schema `dedicatedv1beta1PrivateEndpointConnection`).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct PrivateEndpointConnection {
    /// Its id.
    #[serde(rename(deserialize = "privateEndpointConnectionId"))]
    pub id: OpaqueId,
    /// What the cloud provider calls the endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint_id: Option<String>,
    /// `PENDING`, `ACTIVE`, `DELETING`, `FAILED` or `DISCOVERED`.
    #[serde(default, rename(deserialize = "endpointState"), skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Why it failed.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    #[schemars(skip)]
    pub message: String,
    /// Where clients connect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// See `host`.
    #[serde(default, deserialize_with = "integer", skip_serializing_if = "Option::is_none")]
    pub port: Option<i64>,
}

impl Listed for PrivateEndpointConnection {
    const MEMBER: &'static str = "privateEndpointConnections";
}

const CONNECTIONS: &str = "clusters/{}/tidbNodeGroups/{}/privateEndpointConnections";
const CONNECTION: &str = "clusters/{}/tidbNodeGroups/{}/privateEndpointConnections/{}";

impl Cloud<'_> {
    /// `GET .../privateLinkService` of Dedicated.
    pub async fn private_link_service(&self, id: &ClusterId, group: &OpaqueId) -> Result<PrivateLinkService, ApiError> {
        let path = "clusters/{}/tidbNodeGroups/{}/privateLinkService";
        self.read(&DEDICATED.get(path, [id.as_str(), group.as_str()])).await
    }

    /// `GET .../privateEndpointConnections` of Dedicated: all pages.
    pub async fn private_endpoints(
        &self,
        id: &ClusterId,
        group: &OpaqueId,
    ) -> Result<Vec<PrivateEndpointConnection>, ApiError> {
        self.all(DEDICATED.get(CONNECTIONS, [id.as_str(), group.as_str()])).await
    }

    /// `POST .../privateEndpointConnections` of Dedicated. `private_ip` is for Azure. Sent once; if no answer comes, the connection of
    /// this endpoint is looked up: there can be one.
    pub async fn connect_private_endpoint(
        &self,
        id: &ClusterId,
        group: &OpaqueId,
        endpoint: &str,
        private_ip: Option<&str>,
    ) -> Result<PrivateEndpointConnection, ApiError> {
        let mut body = json!({ "endpointId": endpoint });
        if let (Some(body), Some(ip)) = (body.as_object_mut(), private_ip) {
            body.insert("privateIpAddress".to_owned(), ip.into());
        }
        let call = DEDICATED.call(Method::Post, CONNECTIONS, [id.as_str(), group.as_str()]).with_body(&body);
        match self.write(&call).await {
            Err(unknown @ ApiError::OutcomeUnknown { .. }) => {
                let all = self.private_endpoints(id, group).await.unwrap_or_default();
                all.into_iter().find(|found| found.endpoint_id.as_deref() == Some(endpoint)).ok_or(unknown)
            }
            made => made,
        }
    }

    /// `GET .../privateEndpointConnections/{privateEndpointConnectionId}` of Dedicated.
    pub async fn private_endpoint(
        &self,
        id: &ClusterId,
        group: &OpaqueId,
        connection: &OpaqueId,
    ) -> Result<PrivateEndpointConnection, ApiError> {
        self.read(&DEDICATED.get(CONNECTION, [id.as_str(), group.as_str(), connection.as_str()])).await
    }

    /// `DELETE .../privateEndpointConnections/{privateEndpointConnectionId}` of Dedicated. Repeated after a lost answer.
    pub async fn disconnect_private_endpoint(
        &self,
        id: &ClusterId,
        group: &OpaqueId,
        connection: &OpaqueId,
    ) -> Result<(), ApiError> {
        let arguments = [id.as_str(), group.as_str(), connection.as_str()];
        self.remove::<IgnoredAny>(&DEDICATED.call(Method::Delete, CONNECTION, arguments)).await.map(drop)
    }
}
