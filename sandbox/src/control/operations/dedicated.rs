//! `dedicated.tidbapi.com` (Dedicated of the published API): one sample cluster, the private link service of its node group, and
//! the private endpoints that are connected to it.
//!
//! Names, fields and states are those of the published description. Guesses, because nothing says: an endpoint is PENDING for
//! [`ACCEPTING_MILLIS`] and DELETING for as long; one that is connected already is refused with 409; an id that is no VPC endpoint of
//! AWS becomes FAILED, with a message of ours.

use serde_json::{Value, json};

use super::{Call, Route};
use crate::control::{
    answers::{Failure, Outcome},
    pages::{Page, set_token},
    services::DEDICATED,
    state::{KEYS, World, timestamp},
};

/// The operations.
pub(super) static ROUTES: &[Route] = &[
    Route::reads(&DEDICATED, "GET", "/clusters", list),
    Route::reads(&DEDICATED, "GET", "/clusters/{clusterId}", get),
    Route::reads(
        &DEDICATED,
        "GET",
        "/clusters/{clusterId}/tidbNodeGroups/{tidbNodeGroupId}/privateLinkService",
        service,
    ),
    Route::reads(
        &DEDICATED,
        "GET",
        "/clusters/{clusterId}/tidbNodeGroups/{tidbNodeGroupId}/privateEndpointConnections",
        list_connections,
    ),
    Route::writes(
        &DEDICATED,
        "POST",
        "/clusters/{clusterId}/tidbNodeGroups/{tidbNodeGroupId}/privateEndpointConnections",
        connect,
    ),
    Route::reads(
        &DEDICATED,
        "GET",
        "/clusters/{clusterId}/tidbNodeGroups/{tidbNodeGroupId}/privateEndpointConnections/{privateEndpointConnectionId}",
        get_connection,
    ),
    Route::writes(
        &DEDICATED,
        "DELETE",
        "/clusters/{clusterId}/tidbNodeGroups/{tidbNodeGroupId}/privateEndpointConnections/{privateEndpointConnectionId}",
        disconnect,
    ),
];

/// Id of the Dedicated cluster `warehouse`, which is there from the start. It is simulated as far as its control plane goes: no SQL.
pub const WAREHOUSE_CLUSTER_ID: &str = "1379661944646499217";
/// Id of its only node group.
pub const WAREHOUSE_NODE_GROUP_ID: &str = "1920561944646499218";
/// Id of the private endpoint connection that it has from the start.
pub const WAREHOUSE_CONNECTION_ID: &str = "1920561944646499219";
/// How long a private endpoint is PENDING or DELETING, in milliseconds.
pub const ACCEPTING_MILLIS: u64 = 10_000;
/// When `warehouse` was made: 2026-02-01T00:00:00Z.
const CREATED: u64 = 1_769_904_000_000;
/// Its private link service, in the form of the published example.
const SERVICE: &str = "com.amazonaws.vpce.us-east-1.vpce-svc-0a1b2c3d4e5f60718";
/// See [`SERVICE`].
const SERVICE_HOST: &str = "privatelink-19205619.k7wq3dxshop.clusters.tidb-cloud.com";
const REGION: &str = "aws-us-east-1";
const REGION_NAME: &str = "N. Virginia (us-east-1)";
/// The project of the default organization that has Dedicated clusters.
const PROJECT: &str = "1372813089454525346";

/// A Dedicated cluster.
pub(in crate::control) struct Dedicated {
    pub(super) id: &'static str,
    pub(super) organization: &'static str,
    display_name: &'static str,
    node_group: &'static str,
    connections: Vec<Connection>,
}

/// A private endpoint of a customer's own network.
struct Connection {
    sequence: u64,
    id: String,
    endpoint: String,
    private_ip: Option<String>,
    since: u64,
    deleted: Option<u64>,
}

impl Connection {
    /// `None`: gone.
    fn state(&self, now: u64) -> Option<&'static str> {
        match self.deleted {
            Some(deleted) if now >= deleted + ACCEPTING_MILLIS => None,
            Some(_) => Some("DELETING"),
            None if now < self.since + ACCEPTING_MILLIS => Some("PENDING"),
            None if is_vpc_endpoint(&self.endpoint) => Some("ACTIVE"),
            None => Some("FAILED"),
        }
    }
}

/// `vpce-` and hexadecimal digits, as AWS has it.
fn is_vpc_endpoint(id: &str) -> bool {
    id.strip_prefix("vpce-").is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

impl World {
    /// Puts the Dedicated cluster there.
    pub(in crate::control) fn add_warehouse(&mut self) {
        let [owner, ..] = &KEYS;
        self.dedicated.push(Dedicated {
            id: WAREHOUSE_CLUSTER_ID,
            organization: owner.organization,
            display_name: "warehouse",
            node_group: WAREHOUSE_NODE_GROUP_ID,
            connections: vec![Connection {
                sequence: 1,
                id: WAREHOUSE_CONNECTION_ID.to_owned(),
                endpoint: "vpce-0123456789abcdef0".to_owned(),
                private_ip: None,
                since: CREATED,
                deleted: None,
            }],
        });
    }
}

/// As the API shows it.
fn show(cluster: &Dedicated) -> Value {
    let [owner, ..] = &KEYS;
    json!({
        "name": format!("clusters/{}", cluster.id),
        "clusterId": cluster.id,
        "displayName": cluster.display_name,
        "regionId": REGION,
        "regionDisplayName": REGION_NAME,
        "cloudProvider": "aws",
        "labels": { "tidb.cloud/organization": cluster.organization, "tidb.cloud/project": PROJECT },
        "tidbNodeSetting": {
            "nodeSpecKey": "8C16G",
            "nodeSpecDisplayName": "8 vCPU, 16 GiB",
            "tidbNodeGroups": [{
                "name": format!("tidbNodeGroups/{}", cluster.node_group),
                "tidbNodeGroupId": cluster.node_group,
                "clusterId": cluster.id,
                "displayName": "DefaultGroup",
                "nodeCount": 2,
                "nodeSpecKey": "8C16G",
                "nodeSpecDisplayName": "8 vCPU, 16 GiB",
                "isDefaultGroup": true,
                "state": "ACTIVE",
                "endpoints": [
                    { "host": "tidb.k7wq3dxshop.clusters.tidb-cloud.com", "port": 4000, "connectionType": "PUBLIC" },
                    { "host": SERVICE_HOST, "port": 4000, "connectionType": "PRIVATE_ENDPOINT" },
                ],
            }],
        },
        "tikvNodeSetting": {
            "nodeCount": 3,
            "nodeSpecKey": "8C32G",
            "nodeSpecDisplayName": "8 vCPU, 32 GiB",
            "storageSizeGi": 500,
            "storageType": "Standard",
        },
        "port": 4000,
        "state": "ACTIVE",
        "version": "v8.5.3",
        "createdBy": format!("apikey-{}", owner.public),
        "annotations": { "tidb.cloud/has-set-password": "true" },
        "createTime": timestamp(CREATED),
        "updateTime": timestamp(CREATED),
    })
}

/// The cluster that the path names, for this caller.
pub(super) fn known<'a>(world: &'a World, call: &Call) -> Result<&'a Dedicated, Failure> {
    let id = call.parameter("clusterId").unwrap_or_default();
    let of_caller = |cluster: &&Dedicated| cluster.organization == call.key.organization && cluster.id == id;
    world.dedicated.iter().find(of_caller).ok_or_else(|| Failure::new(404, format!("cluster {id} not found")))
}

/// The same, with the node group that the path names.
fn group<'a>(world: &'a World, call: &Call) -> Result<&'a Dedicated, Failure> {
    let cluster = known(world, call)?;
    match call.parameter("tidbNodeGroupId") {
        Some(group) if group == cluster.node_group => Ok(cluster),
        group => Err(Failure::new(404, format!("TiDB node group {} not found", group.unwrap_or_default()))),
    }
}

/// `GET /v1beta1/clusters`
pub(super) fn list(world: &World, call: &Call) -> Outcome {
    let page = Page::read(&call.query, &format!("dedicated {}", call.key.organization), 10)?;
    let own = || world.dedicated.iter().filter(|cluster| cluster.organization == call.key.organization);
    let (clusters, token) = page.cut((1..).zip(own().map(show)));
    let mut body = json!({ "clusters": clusters, "totalSize": own().count() });
    set_token(&mut body, token);
    Ok(body)
}

/// `GET /v1beta1/clusters/{clusterId}`
pub(super) fn get(world: &World, call: &Call) -> Outcome {
    Ok(show(known(world, call)?))
}

/// `GET .../privateLinkService`
pub(super) fn service(world: &World, call: &Call) -> Outcome {
    let cluster = group(world, call)?;
    Ok(json!({
        "name": format!("tidbNodeGroups/{}/privateLinkService", cluster.node_group),
        "tidbNodeGroupId": cluster.node_group,
        "serviceName": SERVICE,
        "serviceDnsName": SERVICE_HOST,
        "availableZones": ["use1-az1", "use1-az4", "use1-az6"],
        "state": "ACTIVE",
        "regionId": REGION,
        "regionDisplayName": REGION_NAME,
        "cloudProvider": "aws",
    }))
}

/// As the API shows it; `None` if it is gone.
fn show_connection(cluster: &Dedicated, connection: &Connection, now: u64) -> Option<Value> {
    let state = connection.state(now)?;
    let mut shown = json!({
        "name": format!("tidbNodeGroups/{}/privateEndpointConnections/{}", cluster.node_group, connection.id),
        "tidbNodeGroupId": cluster.node_group,
        "tidbNodeGroupDisplayName": "DefaultGroup",
        "privateEndpointConnectionId": connection.id,
        "clusterId": cluster.id,
        "clusterDisplayName": cluster.display_name,
        "labels": { "tidb.cloud/project": PROJECT },
        "endpointId": connection.endpoint,
        "endpointState": state,
        "message": if state == "FAILED" { "the endpoint was not found in the private link service" } else { "" },
        "regionId": REGION,
        "regionDisplayName": REGION_NAME,
        "cloudProvider": "aws",
        "privateLinkServiceName": SERVICE,
        "privateLinkServiceState": "ACTIVE",
        "host": SERVICE_HOST,
        "port": 4000,
    });
    if let (Some(fields), Some(ip)) = (shown.as_object_mut(), &connection.private_ip) {
        fields.insert("privateIpAddress".to_owned(), json!(ip));
    }
    Some(shown)
}

/// `GET .../privateEndpointConnections`
pub(super) fn list_connections(world: &World, call: &Call) -> Outcome {
    let cluster = group(world, call)?;
    let page = Page::read(&call.query, &format!("connections {}", cluster.id), 10)?;
    let of_provider = call.query.get("cloudProvider").is_none_or(|provider| provider == "aws");
    let shown = |connection: &Connection| {
        let shown = show_connection(cluster, connection, call.now).filter(|_| of_provider)?;
        Some((connection.sequence, shown))
    };
    let all = || cluster.connections.iter().filter_map(shown);
    let (connections, token) = page.cut(all());
    let mut body = json!({ "privateEndpointConnections": connections, "totalSize": all().count() });
    set_token(&mut body, token);
    Ok(body)
}

/// `POST .../privateEndpointConnections`
pub(super) fn connect(world: &mut World, call: &Call) -> Outcome {
    let cluster = group(world, call)?;
    let text = |name: &str| call.body.get(name).and_then(Value::as_str);
    let endpoint = text("endpointId").unwrap_or_default().to_owned();
    if endpoint.is_empty() {
        return Err(Failure::new(400, "invalid endpointId: it is empty"));
    }
    let is_same = |connection: &&Connection| connection.endpoint == endpoint && connection.state(call.now).is_some();
    if cluster.connections.iter().any(|connection| is_same(&connection)) {
        return Err(Failure::new(409, format!("endpoint {endpoint} is connected already")));
    }
    let (id, validates) = (cluster.id, call.query.get("validateOnly").is_some_and(|only| only == "true"));
    let sequence = cluster.connections.iter().map(|connection| connection.sequence).max().unwrap_or_default() + 1;
    let connection = Connection {
        sequence,
        id: world.draw_text("connection", b"123456789", 19),
        endpoint,
        private_ip: text("privateIpAddress").map(str::to_owned),
        since: call.now,
        deleted: None,
    };
    let missing = || Failure::new(404, format!("cluster {id} not found"));
    let cluster = world.dedicated.iter_mut().find(|cluster| cluster.id == id).ok_or_else(missing)?;
    let shown = show_connection(cluster, &connection, call.now).unwrap_or_default();
    if !validates {
        cluster.connections.push(connection);
    }
    Ok(shown)
}

/// The connection that the path names.
fn connection<'a>(world: &'a World, call: &Call) -> Result<(&'a Dedicated, &'a Connection), Failure> {
    let cluster = group(world, call)?;
    let id = call.parameter("privateEndpointConnectionId").unwrap_or_default();
    let is_meant = |connection: &&Connection| connection.id == id && connection.state(call.now).is_some();
    let found = cluster.connections.iter().find(is_meant);
    Ok((cluster, found.ok_or_else(|| Failure::new(404, format!("private endpoint connection {id} not found")))?))
}

/// `GET .../privateEndpointConnections/{privateEndpointConnectionId}`
pub(super) fn get_connection(world: &World, call: &Call) -> Outcome {
    let (cluster, connection) = connection(world, call)?;
    Ok(show_connection(cluster, connection, call.now).unwrap_or_default())
}

/// `DELETE .../privateEndpointConnections/{privateEndpointConnectionId}`
pub(super) fn disconnect(world: &mut World, call: &Call) -> Outcome {
    let (cluster, connection) = connection(world, call)?;
    let (id, meant) = (cluster.id, connection.id.clone());
    let cluster = world.dedicated.iter_mut().find(|cluster| cluster.id == id);
    let mut connections = cluster.into_iter().flat_map(|cluster| &mut cluster.connections);
    if let Some(connection) = connections.find(|connection| connection.id == meant) {
        connection.deleted.get_or_insert(call.now);
    }
    Ok(json!({}))
}
