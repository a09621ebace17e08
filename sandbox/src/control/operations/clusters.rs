//! `/v1beta1/clusters`: Starter and Essential instances (ClusterService of the published API).

use std::{collections::BTreeMap, net::Ipv4Addr, sync::LazyLock};

use regex::Regex;
use serde_json::{Map, Value, json};

use super::{Call, Route, imports};
use crate::control::{
    answers::{Failure, Outcome},
    filter::{Filter, is_project},
    pages::{Page, set_token},
    regions::{self, Region, SHOP_REGION},
    services::SERVERLESS,
    state::{
        CREATING_MILLIS, Cluster, KEYS, PROJECTS, Password, SHOP_CLUSTER_ID, SHOP_USER_PREFIX, Server, Settings,
        SqlUser, World, timestamp,
    },
};
use crate::exchange::{Instance, Role, SqlEffect};

/// The operations.
pub(super) static ROUTES: &[Route] = &[
    Route::reads(&SERVERLESS, "GET", "/clusters", list),
    Route::writes(&SERVERLESS, "POST", "/clusters", create),
    Route::reads(&SERVERLESS, "GET", "/clusters/{clusterId}", get),
    Route::writes(&SERVERLESS, "PATCH", "/clusters/{cluster.clusterId}", update)
        .dropping_read_only("cluster", "tidb_cloud_open_apiserverlessv1beta1Cluster"),
    Route::writes(&SERVERLESS, "DELETE", "/clusters/{clusterId}", delete),
];

/// Starter instances without a spending limit that an organization may have. The cluster `shop` is one of them.
pub const FREE_CLUSTERS_MAX: usize = 5;
/// Port of every endpoint.
pub const PORT: u16 = 4000;
/// When `shop` was made: 2026-01-01T00:00:00Z.
const SHOP_CREATED: u64 = 1_767_225_600_000;
/// Letters of a SQL user prefix; 15 of them make one.
const PREFIX_ALPHABET: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Length of a SQL user prefix.
pub(super) const PREFIX_LENGTH: usize = 15;

/// Least and most request capacity units.
type Capacity = (i64, i64);

/// `displayName` of the published Cluster; its PATCH leaves the pattern out.
static DISPLAY_NAME: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new("^[A-Za-z0-9][-A-Za-z0-9]{2,62}[A-Za-z0-9]$").ok());

/// The sample cluster as it is at the start.
fn shop() -> Cluster {
    let settings = Settings::new("shop".to_owned(), None);
    let [owner, ..] = &KEYS;
    Cluster {
        sequence: 1,
        id: SHOP_CLUSTER_ID.to_owned(),
        organization: owner.organization,
        project: default_project(owner.organization),
        settings,
        region: SHOP_REGION,
        enhanced_encryption: false,
        high_availability: "ZONAL".to_owned(),
        created_by: format!("apikey-{}", owner.public),
        created: SHOP_CREATED,
        updated: SHOP_CREATED,
        ready: 0,
        is_restored: false,
        server: Server::new(Instance(SHOP_CLUSTER_ID.to_owned()), SHOP_USER_PREFIX.to_owned(), 0, None),
    }
}

/// Where a cluster goes that names no project.
fn default_project(organization: &str) -> String {
    PROJECTS
        .iter()
        .find(|project| project.organization == organization)
        .map_or(String::new(), |project| project.id.to_owned())
}

impl Server {
    /// A server whose only user is `root`, who can log in where a password is given.
    pub(super) fn new(instance: Instance, prefix: String, now: u64, root_password: Option<&str>) -> Self {
        let root = SqlUser::new(now, Role::Admin, Vec::new(), root_password.map(Password::new));
        Self { instance, prefix, users: BTreeMap::from([("root".to_owned(), root)]) }
    }

    /// A name of a user or a role without the server's prefix; `None` if it does not begin with that.
    pub(super) fn without_prefix<'a>(&self, name: &'a str) -> Option<&'a str> {
        name.strip_prefix(&self.prefix)?.strip_prefix('.')
    }
}

impl World {
    /// Puts the sample cluster there, with its data.
    pub(in crate::control) fn add_sample(&mut self) {
        self.clusters.push(shop());
        self.effect(SqlEffect::Sample(Instance(SHOP_CLUSTER_ID.to_owned())));
    }

    /// A SQL user prefix that nothing else has.
    pub(super) fn draw_prefix(&mut self) -> String {
        self.draw_text("prefix", PREFIX_ALPHABET, PREFIX_LENGTH)
    }
}

impl Settings {
    /// The defaults.
    pub(super) fn new(display_name: String, auto_scaling: Option<Capacity>) -> Self {
        Self {
            display_name,
            spending_limit: 0,
            backup_start: "07:00".to_owned(),
            backup_days: None,
            public_disabled: false,
            authorized_networks: vec![json!({
                "startIpAddress": "0.0.0.0",
                "endIpAddress": "255.255.255.255",
                "displayName": "Allow_all_public_connections",
            })],
            labels: BTreeMap::new(),
            auto_scaling,
        }
    }

    /// Neither a spending limit nor capacity.
    pub(in crate::control) fn is_free(&self) -> bool {
        self.auto_scaling.is_none() && self.spending_limit == 0
    }

    /// For how many days backups are kept: 1 where it is free, else 14, if nothing else was set
    /// (<https://docs.pingcap.com/tidbcloud/backup-and-restore-serverless>). That a new spending limit makes 14 of 1 is a guess.
    pub(super) fn kept_days(&self) -> i64 {
        self.backup_days.unwrap_or(if self.is_free() { 1 } else { 14 })
    }

    /// Takes over one path of an update mask from `fields`. A field that the mask names and the body lacks is cleared, as
    /// `google.protobuf.FieldMask` has it.
    fn update(&mut self, path: &str, fields: &Map<String, Value>) -> Result<(), Failure> {
        match path {
            "displayName" => self.display_name = display_name(fields)?,
            "spendingLimit" | "spendingLimit.monthly" => self.update_spending_limit(fields)?,
            "automatedBackupPolicy" => {
                self.update("automatedBackupPolicy.startTime", fields)?;
                self.update("automatedBackupPolicy.retentionDays", fields)?;
            }
            // A free instance has the policy that the service sets (the documentation of backups). That and how it refuses are a guess.
            "automatedBackupPolicy.startTime" | "automatedBackupPolicy.retentionDays" if self.is_free() => {
                return Err(Failure::new(400, "invalid automatedBackupPolicy: a free instance has a fixed one"));
            }
            "automatedBackupPolicy.startTime" => self.backup_start = backup_start(fields)?,
            "automatedBackupPolicy.retentionDays" => self.backup_days = backup_days(fields)?,
            "endpoints" | "endpoints.public" => {
                self.update("endpoints.public.disabled", fields)?;
                self.update("endpoints.public.authorizedNetworks", fields)?;
            }
            "endpoints.public.disabled" => {
                let disabled = at(fields, &["endpoints", "public", "disabled"]).and_then(Value::as_bool);
                self.public_disabled = disabled.unwrap_or_default();
            }
            "endpoints.public.authorizedNetworks" => self.authorized_networks = authorized_networks(fields)?,
            "labels" => self.labels = user_labels(at(fields, &["labels"]).and_then(Value::as_object)),
            "autoScaling" | "autoScaling.minRcu" | "autoScaling.maxRcu" => self.update_auto_scaling(path, fields)?,
            _ => return Err(Failure::new(400, format!("invalid updateMask: `{path}` cannot be updated"))),
        }
        Ok(())
    }

    fn update_spending_limit(&mut self, fields: &Map<String, Value>) -> Result<(), Failure> {
        let cents = at(fields, &["spendingLimit", "monthly"]).and_then(Value::as_i64).unwrap_or_default();
        if self.auto_scaling.is_some() {
            return Err(Failure::new(400, "an Essential instance has no spending limit"));
        }
        if cents < 0 {
            return Err(Failure::new(400, "invalid spendingLimit.monthly: it is negative"));
        }
        if cents == 0 && self.spending_limit > 0 {
            return Err(Failure::new(400, "Scalable cluster can not set spending limit to 0."));
        }
        self.spending_limit = cents;
        Ok(())
    }

    /// Either end of the range may be changed alone.
    fn update_auto_scaling(&mut self, path: &str, fields: &Map<String, Value>) -> Result<(), Failure> {
        let Some((least, most)) = self.auto_scaling else {
            return Err(Failure::new(400, "a Starter instance has no autoScaling"));
        };
        let number = |name| at(fields, &["autoScaling", name]).and_then(Value::as_i64).unwrap_or_default();
        let least = if path == "autoScaling.maxRcu" { least } else { number("minRcu") };
        let most = if path == "autoScaling.minRcu" { most } else { number("maxRcu") };
        self.auto_scaling = Some(capacity(least, most)?);
        Ok(())
    }
}

/// The member of a body at this path.
fn at<'a>(fields: &'a Map<String, Value>, names: &[&str]) -> Option<&'a Value> {
    let (first, rest) = names.split_first()?;
    rest.iter().try_fold(fields.get(*first)?, |value, name| value.get(*name))
}

fn display_name(fields: &Map<String, Value>) -> Result<String, Failure> {
    let name = at(fields, &["displayName"]).and_then(Value::as_str).unwrap_or_default();
    if !DISPLAY_NAME.as_ref().is_some_and(|pattern| pattern.is_match(name)) {
        return Err(Failure::new(400, "invalid displayName: 4 to 64 letters, digits and hyphens"));
    }
    Ok(name.to_owned())
}

fn backup_start(fields: &Map<String, Value>) -> Result<String, Failure> {
    let time = at(fields, &["automatedBackupPolicy", "startTime"]).and_then(Value::as_str).unwrap_or("07:00");
    if !is_time_of_day(time) {
        return Err(Failure::new(400, "invalid automatedBackupPolicy.startTime: it is not HH:mm"));
    }
    Ok(time.to_owned())
}

/// At most 30 days (the documentation of backups); what is cleared is the default again, which is a guess.
fn backup_days(fields: &Map<String, Value>) -> Result<Option<i64>, Failure> {
    let days = at(fields, &["automatedBackupPolicy", "retentionDays"]).and_then(Value::as_i64);
    if days.is_some_and(|days| !(1..=30).contains(&days)) {
        return Err(Failure::new(400, "invalid automatedBackupPolicy.retentionDays: it is not from 1 to 30"));
    }
    Ok(days)
}

fn authorized_networks(fields: &Map<String, Value>) -> Result<Vec<Value>, Failure> {
    let networks = at(fields, &["endpoints", "public", "authorizedNetworks"]).and_then(Value::as_array);
    let networks = networks.cloned().unwrap_or_default();
    match networks.iter().find(|network| !is_range(network)) {
        Some(bad) => Err(Failure::new(400, format!("invalid authorizedNetworks: {bad} is not an IPv4 range"))),
        None => Ok(networks),
    }
}

/// Whether `text` is `HH:mm`.
fn is_time_of_day(text: &str) -> bool {
    let in_range = |part: &str, end| part.len() == 2 && part.parse::<u8>().is_ok_and(|number| number < end);
    text.split_once(':').is_some_and(|(hour, minute)| in_range(hour, 24) && in_range(minute, 60))
}

/// Whether a network runs from one IPv4 address to the same or a later one.
fn is_range(network: &Value) -> bool {
    let address = |name| network.get(name).and_then(Value::as_str).and_then(|text| text.parse::<Ipv4Addr>().ok());
    matches!((address("startIpAddress"), address("endIpAddress")), (Some(start), Some(end)) if start <= end)
}

/// The labels that the user may set; `tidb.cloud/organization` and `tidb.cloud/project` are the service's.
fn user_labels(labels: Option<&Map<String, Value>>) -> BTreeMap<String, String> {
    let labels = labels.into_iter().flatten().filter(|(key, _)| !RESERVED_LABELS.contains(&key.as_str()));
    labels.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

/// Labels of the service.
const RESERVED_LABELS: [&str; 2] = ["tidb.cloud/organization", "tidb.cloud/project"];

/// Request capacity units as published: 2,000 to 100,000, least not above most.
fn capacity(least: i64, most: i64) -> Result<Capacity, Failure> {
    if least < 2_000 || most > 100_000 || least > most {
        return Err(Failure::new(
            400,
            "invalid autoScaling: minRcu is at least 2000, maxRcu at most 100000 and not less",
        ));
    }
    Ok((least, most))
}

/// As the API shows it, in both views: what `BASIC` leaves out is published nowhere, and PingCAP's command line client
/// takes prefix and endpoints from it without asking whether they are there. It takes the prefix from lists too, of
/// instances in any state; that endpoints appear when the instance is ready is a guess.
pub(super) fn show(cluster: &Cluster, now: u64) -> Value {
    let settings = &cluster.settings;
    let mut labels = settings.labels.clone();
    labels.insert("tidb.cloud/organization".to_owned(), cluster.organization.to_owned());
    labels.insert("tidb.cloud/project".to_owned(), cluster.project.clone());
    let has_password = cluster.server.users.get("root").is_some_and(SqlUser::has_password);
    let mut shown = json!({
        "name": format!("clusters/{}", cluster.id),
        "clusterId": cluster.id,
        "displayName": settings.display_name,
        "region": cluster.region.show(),
        "automatedBackupPolicy": { "startTime": settings.backup_start, "retentionDays": settings.kept_days() },
        "encryptionConfig": { "enhancedEncryptionEnabled": cluster.enhanced_encryption },
        "highAvailabilityType": cluster.high_availability,
        "version": "v8.5.3",
        "createdBy": cluster.created_by,
        "userPrefix": cluster.server.prefix,
        "state": cluster.state(now),
        "labels": labels,
        "annotations": {
            "tidb.cloud/has-set-password": has_password.to_string(),
            "tidb.cloud/available-features": "[\"BRANCH\"]",
        },
        "createTime": timestamp(cluster.created),
        "updateTime": timestamp(cluster.updated),
    });
    let Some(fields) = shown.as_object_mut() else { return shown };
    match settings.auto_scaling {
        Some((least, most)) => {
            fields.insert("servicePlan".to_owned(), json!("Essential"));
            fields.insert("autoScaling".to_owned(), json!({ "minRcu": least, "maxRcu": most }));
        }
        None => {
            fields.insert("servicePlan".to_owned(), json!("Starter"));
            fields.insert("spendingLimit".to_owned(), json!({ "monthly": settings.spending_limit }));
        }
    }
    if now >= cluster.ready {
        fields.insert("endpoints".to_owned(), endpoints(cluster));
    }
    shown
}

/// How to connect; branches share it, but for the prefix of their users.
pub(super) fn endpoints(cluster: &Cluster) -> Value {
    let region = cluster.region;
    json!({
        "public": {
            "host": region.host(),
            "port": PORT,
            "disabled": cluster.settings.public_disabled,
            "authorizedNetworks": cluster.settings.authorized_networks,
        },
        "private": region.private(PORT),
    })
}

/// Refuses what cannot be an id, then what is not there for this caller.
pub(super) fn known<'a>(world: &'a World, call: &Call) -> Result<&'a Cluster, Failure> {
    let id = call.parameter("clusterId").or(call.parameter("cluster.clusterId")).unwrap_or_default();
    if id.is_empty() || id.len() > 20 || !id.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Failure::new(400, "invalid cluster id"));
    }
    world.cluster(call.key.organization, id).ok_or_else(|| Failure::new(404, format!("cluster {id} not found")))
}

/// `GET /v1beta1/clusters`
pub(super) fn list(world: &World, call: &Call) -> Outcome {
    let page = Page::read(&call.query, &format!("clusters {}", call.key.organization), 10)?;
    let filter = call.query.get("filter").map_or("", String::as_str);
    let filter = Filter::parse(filter).map_err(|error| Failure::new(400, format!("invalid filter: {error}")))?;
    let matching = || {
        let own = world.clusters.iter().filter(|cluster| cluster.organization == call.key.organization);
        own.filter(|cluster| filter.admits(cluster, call.now))
    };
    let (clusters, token) = page.cut(matching().map(|cluster| (cluster.sequence, show(cluster, call.now))));
    let mut body = json!({ "clusters": clusters, "totalSize": matching().count() });
    set_token(&mut body, token);
    Ok(body)
}

/// `GET /v1beta1/clusters/{clusterId}`
pub(super) fn get(world: &World, call: &Call) -> Outcome {
    Ok(show(known(world, call)?, call.now))
}

/// The plan of a new instance, as its region and its limits of capacity.
fn plan(body: &Map<String, Value>) -> Result<(&'static Region, Option<Capacity>), Failure> {
    let name = at(body, &["region", "name"]).and_then(Value::as_str).unwrap_or_default();
    let region =
        regions::find(name).ok_or_else(|| Failure::new(400, format!("invalid region: `{name}` is not offered")))?;
    let number = |name| at(body, &["autoScaling", name]).and_then(Value::as_i64).unwrap_or_default();
    if body.contains_key("autoScaling") {
        return Ok((region, Some(capacity(number("minRcu"), number("maxRcu"))?)));
    }
    if !region.starter {
        return Err(Failure::new(400, format!("invalid region: {} has no Starter", region.name())));
    }
    Ok((region, None))
}

/// The settings of a new instance: what the body has of them, and the defaults.
fn new_settings(body: &Map<String, Value>, auto_scaling: Option<Capacity>) -> Result<Settings, Failure> {
    let mut settings = Settings::new(String::new(), auto_scaling);
    settings.update("displayName", body)?;
    for field in ["spendingLimit", "automatedBackupPolicy", "labels"] {
        if body.contains_key(field) {
            settings.update(field, body)?;
        }
    }
    for field in ["disabled", "authorizedNetworks"] {
        if at(body, &["endpoints", "public", field]).is_some() {
            settings.update(&format!("endpoints.public.{field}"), body)?;
        }
    }
    Ok(settings)
}

/// The project that the body names, or the default one.
fn project(body: &Map<String, Value>, organization: &str) -> Result<String, Failure> {
    let named = at(body, &["labels", "tidb.cloud/project"]).and_then(Value::as_str);
    let project = named.map_or_else(|| default_project(organization), str::to_owned);
    if !is_project(organization, &project) {
        return Err(Failure::new(403, "Request error, projectId not exist"));
    }
    Ok(project)
}

/// `POST /v1beta1/clusters`
pub(super) fn create(world: &mut World, call: &Call) -> Outcome {
    let body = &call.body;
    let organization = call.key.organization;
    let (region, auto_scaling) = plan(body)?;
    let settings = new_settings(body, auto_scaling)?;
    let project = project(body, organization)?;
    let encryption = at(body, &["encryptionConfig", "enhancedEncryptionEnabled"]);
    let sequence = world.next_sequence();
    let id = draw_id(world);
    let prefix = world.draw_prefix();
    let root_password = body.get("rootPassword").and_then(Value::as_str);
    let cluster = Cluster {
        sequence,
        server: Server::new(Instance(id.clone()), prefix, call.now, root_password),
        id,
        organization,
        project,
        settings,
        region,
        enhanced_encryption: encryption.and_then(Value::as_bool).unwrap_or_default(),
        high_availability: body.get("highAvailabilityType").and_then(Value::as_str).unwrap_or("ZONAL").to_owned(),
        created_by: format!("apikey-{}", call.key.public),
        created: call.now,
        updated: call.now,
        ready: call.now + CREATING_MILLIS,
        is_restored: false,
    };
    let own = world.clusters.iter().filter(|cluster| cluster.organization == organization);
    if cluster.is_free() && own.filter(|cluster| cluster.is_free()).count() >= FREE_CLUSTERS_MAX {
        let message = "payment required: the organization has its 5 free clusters; set a spending limit";
        return Err(Failure::new(402, message));
    }
    let shown = show(&cluster, call.now);
    world.clusters.push(cluster);
    Ok(shown)
}

/// 19 digits, above what a double can hold exactly.
pub(super) fn draw_id(world: &mut World) -> String {
    let [a, b, c, d, e, f, g, h, ..] = world.draw("cluster");
    let number = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
    (1_000_000_000_000_000_000 + number % 9_000_000_000_000_000_000).to_string()
}

/// `PATCH /v1beta1/clusters/{cluster.clusterId}`
pub(super) fn update(world: &mut World, call: &Call) -> Outcome {
    let cluster = known(world, call)?;
    let mask = call.body.get("updateMask").and_then(Value::as_str).unwrap_or_default();
    if mask.is_empty() {
        return Err(Failure::new(400, "invalid updateMask: it is empty"));
    }
    if cluster.state(call.now) != "ACTIVE" {
        return Err(Failure::new(400, format!("cluster {} is {}", cluster.id, cluster.state(call.now))));
    }
    let none = Map::new();
    let fields = call.body.get("cluster").and_then(Value::as_object).unwrap_or(&none);
    let mut settings = cluster.settings.clone();
    mask.split(',').try_for_each(|path| settings.update(path.trim(), fields))?;
    let id = cluster.id.clone();
    let cluster =
        world.cluster_mut(call.key.organization, &id).ok_or_else(|| Failure::new(404, "cluster not found"))?;
    let before = std::mem::replace(&mut cluster.settings, settings);
    cluster.updated = call.now;
    let shown = show(cluster, call.now);
    world.billed_before.push((id, call.now, before));
    Ok(shown)
}

/// `DELETE /v1beta1/clusters/{clusterId}`: the branches go with it.
pub(super) fn delete(world: &mut World, call: &Call) -> Outcome {
    let cluster = known(world, call)?;
    let id = cluster.id.clone();
    let mut shown = show(cluster, call.now);
    if let Some(fields) = shown.as_object_mut() {
        fields.insert("state".to_owned(), json!("DELETED"));
        fields.insert("updateTime".to_owned(), json!(timestamp(call.now)));
    }
    let (gone, kept): (Vec<_>, Vec<_>) =
        std::mem::take(&mut world.branches).into_iter().partition(|branch| branch.cluster == id);
    world.branches = kept;
    for branch in gone {
        world.effect(SqlEffect::Drop(branch.server.instance));
    }
    let (deleted, kept): (Vec<_>, Vec<_>) =
        std::mem::take(&mut world.clusters).into_iter().partition(|cluster| cluster.id == id);
    world.clusters = kept;
    imports::forget(world, &id);
    world.deleted.extend(deleted.into_iter().map(|cluster| (cluster, call.now)));
    world.effect(SqlEffect::Drop(Instance(id)));
    Ok(shown)
}
