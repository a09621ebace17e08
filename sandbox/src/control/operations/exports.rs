//! `/v1beta1/clusters/{clusterId}/exports` (ExportService of the published API); files and their addresses only in PingCAP's command
//! line client.
//!
//! The states are those of the contract (`ExportState.Enum`). That an export is RUNNING for [`RUNNING_MILLIS`] is the sandbox's own.
//! That only a LOCAL one expires is in the official client's description of the states, and that it does so after two days is in the
//! public documentation. What else is a guess is marked.

use serde_json::{Map, Value, json};

use super::{
    Call, Route, clusters,
    transfers::{self, Place, active, draw_id},
};
use crate::control::{
    answers::{Failure, Outcome},
    contract::Origin::{Client, Published},
    pages::{Page, set_token},
    services::SERVERLESS,
    state::{SHOP_CLUSTER_ID, World, timestamp},
    storage,
};

/// The operations.
pub(super) static ROUTES: &[Route] = &[
    Route::reads(&SERVERLESS, "GET", "/clusters/{clusterId}/exports", list),
    Route::writes(&SERVERLESS, "POST", "/clusters/{clusterId}/exports", create).read_as(&[Published, Client]),
    Route::reads(&SERVERLESS, "GET", "/clusters/{clusterId}/exports/{exportId}", get),
    Route::writes(&SERVERLESS, "DELETE", "/clusters/{clusterId}/exports/{exportId}", delete),
    Route::writes(&SERVERLESS, "POST", "/clusters/{clusterId}/exports/{exportId}:cancel", cancel),
    Route::reads(&SERVERLESS, "GET", "/clusters/{clusterId}/exports/{exportId}/files", files).read_as(&[Client]),
    Route::writes(&SERVERLESS, "POST", "/clusters/{clusterId}/exports/{exportId}:download", download)
        .read_as(&[Client]),
    Route::writes(&SERVERLESS, "POST", "/clusters/{clusterId}/exports/{exportId}/files:download", download_files)
        .read_as(&[Client]),
];

/// How long an export is RUNNING. The sandbox's own.
pub const RUNNING_MILLIS: u64 = 20_000;
/// How long the files of a LOCAL export are kept: two days.
const KEPT_MILLIS: u64 = 2 * 24 * 60 * 60 * 1_000;
/// Exports of a cluster that run at once. A guess.
pub const RUNNING_MAX: usize = 5;
/// Rows of a file. The sandbox's own.
const ROWS: u64 = 100;

/// Files of an export of everything. The sandbox's own.
const FILES_OF_EVERYTHING: usize = 60;

/// An export.
pub(in crate::control) struct Export {
    sequence: u64,
    id: String,
    pub(super) cluster: String,
    display_name: String,
    options: Map<String, Value>,
    target: Place,
    created_by: String,
    created: u64,
    canceled: Option<u64>,
}

impl Export {
    fn completed(&self) -> u64 {
        self.created + RUNNING_MILLIS
    }

    fn is_local(&self) -> bool {
        self.target.kind == "LOCAL"
    }

    fn state(&self, now: u64) -> &'static str {
        if self.canceled.is_some() {
            "CANCELED"
        } else if now < self.completed() {
            "RUNNING"
        } else if self.target.refusal().is_some() {
            "FAILED"
        } else if self.is_local() && now >= self.completed() + KEPT_MILLIS {
            "EXPIRED"
        } else {
            "SUCCEEDED"
        }
    }

    fn show(&self, now: u64) -> Value {
        let state = self.state(now);
        let mut shown = json!({
            "name": format!("clusters/{}/exports/{}", self.cluster, self.id),
            "exportId": self.id,
            "clusterId": self.cluster,
            "displayName": self.display_name,
            "createdBy": self.created_by,
            "createTime": timestamp(self.created),
            "snapshotTime": timestamp(self.created),
            "state": state,
            "exportOptions": self.options,
            "target": self.target.shown,
        });
        let Some(fields) = shown.as_object_mut() else { return shown };
        let mut add = |name: &str, value: Value| fields.insert(name.to_owned(), value);
        if state != "RUNNING" {
            let end = self.canceled.unwrap_or(self.completed());
            add("completeTime", timestamp(end).into());
            add("updateTime", timestamp(end).into());
        }
        if self.is_local() && matches!(state, "SUCCEEDED" | "EXPIRED") {
            add("expireTime", timestamp(self.completed() + KEPT_MILLIS).into());
        }
        if let Some(reason) = self.target.refusal().filter(|_| state == "FAILED") {
            add("reason", reason.into());
        }
        shown
    }

    /// Its files: names as dumpling's (`database.table.number.extension`); the schema file that dumpling writes too is left out.
    fn files(&self) -> Vec<(String, Vec<u8>)> {
        let extension = match self.options.get("fileType").and_then(Value::as_str) {
            Some("SQL") => "sql",
            Some("PARQUET") => "parquet",
            _ => "csv",
        };
        let patterns = self.options.get("filter").and_then(|filter| filter.pointer("/table/patterns"));
        let patterns: Vec<&str> =
            patterns.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        let is_sample = self.cluster == SHOP_CLUSTER_ID && extension == "csv";
        let (name, content) = match patterns.as_slice() {
            ["shop.customers"] if is_sample => ("shop.customers".to_owned(), customers()),
            [one] if !one.contains(['*', '/', '\\']) => ((*one).to_owned(), MADE_UP.to_owned()),
            [] if self.options.get("filter").is_some_and(|filter| filter.get("sql").is_some()) => {
                ("result".to_owned(), MADE_UP.to_owned())
            }
            _ => ("all".to_owned(), MADE_UP.to_owned()),
        };
        // An export of everything has more files than one page of links takes. How many is the sandbox's own.
        let count = if self.options.contains_key("filter") { 1 } else { FILES_OF_EVERYTHING };
        let file = |number| (format!("{name}.{number:09}.{extension}"), content.clone().into_bytes());
        (0..count).map(file).chain([("metadata".to_owned(), b"Started dump\n".to_vec())]).collect()
    }
}

/// What stands in files for which the sandbox makes up no rows.
const MADE_UP: &str = "The sandbox reads no table: this file stands for an exported one.\n";

/// The first rows of the table `customers` of the sample data, by the rule that `shop.sql` makes them by.
fn customers() -> String {
    let row = |number: u64| {
        let country =
            ["DE", "FR", "JP", "US", "BR"].get(usize::try_from(number % 5).unwrap_or_default()).unwrap_or(&"");
        format!("{number},\"customer{number}@example.com\",\"Customer {number}\",\"{country}\"\n")
    };
    let rows: String = (1..=ROWS).map(row).collect();
    format!("\"id\",\"email\",\"name\",\"country\"\n{rows}")
}

/// The export of the path. Gives its position in `world.exports`.
fn known<'w>(world: &'w World, call: &Call) -> Result<(usize, &'w Export), Failure> {
    let cluster = clusters::known(world, call)?;
    let id = call.parameter("exportId").unwrap_or_default();
    let mut all = world.exports.iter().enumerate();
    all.find(|(_, export)| export.cluster == cluster.id && export.id == id)
        .ok_or_else(|| Failure::new(404, format!("export {id} not found")))
}

/// `GET .../exports`
fn list(world: &World, call: &Call) -> Outcome {
    let cluster = clusters::known(world, call)?;
    let own = world.exports.iter().filter(|export| export.cluster == cluster.id);
    transfers::list(call, "exports", &cluster.id, own.map(|export| (export.sequence, export.show(call.now))).collect())
}

/// `GET .../exports/{exportId}`
fn get(world: &World, call: &Call) -> Outcome {
    Ok(known(world, call)?.1.show(call.now))
}

/// `POST .../exports`
fn create(world: &mut World, call: &Call) -> Outcome {
    let cluster = active(world, call)?;
    let (id, is_essential) = (cluster.id.clone(), cluster.settings.auto_scaling.is_some());
    let target = Place::read(call.body.get("target"), "LOCAL")?;
    let mut options = call.body.get("exportOptions").and_then(Value::as_object).cloned().unwrap_or_default();
    // The default of the contract.
    let file_type = options.entry("fileType").or_insert_with(|| "CSV".into()).clone();
    // Both are in the public documentation's tables of what a plan has; the words are a guess.
    if is_essential && file_type == "PARQUET" {
        return Err(Failure::new(400, "exporting Parquet files is not supported for TiDB Cloud Essential"));
    }
    if is_essential && target.kind == "LOCAL" {
        return Err(Failure::new(
            400,
            "exporting to local storage is not supported for this TiDB Cloud Essential instance",
        ));
    }
    let running = world.exports.iter().filter(|export| export.cluster == id && export.state(call.now) == "RUNNING");
    if running.count() >= RUNNING_MAX {
        return Err(Failure::new(400, format!("the quota of {RUNNING_MAX} running exports of a cluster is used up")));
    }
    let sequence = world.exports.last().map_or(1, |export| export.sequence + 1);
    let given = call.body.get("displayName").and_then(Value::as_str);
    // The default of the contract.
    let display_name = given.map_or_else(|| format!("SNAPSHOT_{}", timestamp(call.now)), str::to_owned);
    let export = Export {
        sequence,
        id: draw_id(world, "exp"),
        cluster: id,
        display_name,
        options,
        target,
        created_by: format!("apikey-{}", call.key.public),
        created: call.now,
        canceled: None,
    };
    let shown = export.show(call.now);
    world.exports.push(export);
    Ok(shown)
}

/// `DELETE .../exports/{exportId}`
fn delete(world: &mut World, call: &Call) -> Outcome {
    let (position, export) = known(world, call)?;
    // A guess: what runs is cancelled first.
    if export.state(call.now) == "RUNNING" {
        return Err(Failure::new(400, format!("export {} is RUNNING: cancel it first", export.id)));
    }
    let mut shown = export.show(call.now);
    if let Some(fields) = shown.as_object_mut() {
        fields.insert("state".to_owned(), "DELETED".into());
    }
    world.exports.remove(position);
    Ok(shown)
}

/// `POST .../exports/{exportId}:cancel`
fn cancel(world: &mut World, call: &Call) -> Outcome {
    let (position, export) = known(world, call)?;
    let state = export.state(call.now);
    if state != "RUNNING" {
        // A guess.
        return Err(Failure::new(400, format!("export {} is {state}, not RUNNING", export.id)));
    }
    if let Some(export) = world.exports.get_mut(position) {
        export.canceled = Some(call.now);
    }
    get(world, call)
}

/// The files of a finished LOCAL export; other exports have none here (the official client: "only local export"). The words are a guess.
fn its_files(world: &World, call: &Call) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let (_, export) = known(world, call)?;
    if !export.is_local() {
        return Err(Failure::new(400, format!("export {} is not a local one", export.id)));
    }
    match export.state(call.now) {
        "SUCCEEDED" => Ok(export.files()),
        state => Err(Failure::new(400, format!("export {} is {state}, not SUCCEEDED", export.id))),
    }
}

/// Puts a file where its address leads, and gives that.
fn publish(world: &mut World, call: &Call, name: &str, content: Vec<u8>) -> String {
    let cluster = call.parameter("clusterId").unwrap_or_default();
    let id = call.parameter("exportId").unwrap_or_default();
    storage::address(world, call.now, "GET", &format!("{cluster}/{id}/{name}"), Some(content))
}

/// `GET .../exports/{exportId}/files`. With `generateUrl` the client's description has the addresses too: they are asked for by
/// `files:download` here, because a read has no effect.
fn files(world: &World, call: &Call) -> Outcome {
    let files = its_files(world, call)?;
    let page = Page::read(&call.query, call.parameter("exportId").unwrap_or_default(), 100)?;
    let shown = files.iter().zip(1..).map(|((name, content), at)| (at, json!({ "name": name, "size": content.len() })));
    let (files, token) = page.cut(shown);
    let mut body = json!({ "files": files });
    set_token(&mut body, token);
    Ok(body)
}

/// `POST .../exports/{exportId}:download`: the addresses of all files.
fn download(world: &mut World, call: &Call) -> Outcome {
    let mut downloads = Vec::new();
    for (name, content) in its_files(world, call)? {
        let size = content.len();
        let url = publish(world, call, &name, content);
        downloads.push(json!({ "name": name, "size": size, "url": url }));
    }
    Ok(json!({ "downloads": downloads }))
}

/// `POST .../exports/{exportId}/files:download`: the addresses of some files.
fn download_files(world: &mut World, call: &Call) -> Outcome {
    let all = its_files(world, call)?;
    let mut files = Vec::new();
    for name in call.body.get("fileNames").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        let Some((_, content)) = all.iter().find(|(known, _)| known == name) else {
            return Err(Failure::new(404, format!("file {name} not found")));
        };
        let url = publish(world, call, name, content.clone());
        files.push(json!({ "name": name, "size": content.len(), "url": url }));
    }
    Ok(json!({ "files": files }))
}
