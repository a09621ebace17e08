//! `/v1beta1/clusters/{clusterId}/imports` (ImportService of the published API); uploads of a file, and imports of one, only in PingCAP's
//! command line client.
//!
//! The states are those of the contract (`ImportState.Enum`); how long each lasts is the sandbox's own. No row is loaded.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{
    Call, Route, clusters,
    transfers::{self, Place, active, draw_id},
};
use crate::control::{
    answers::{Failure, Outcome},
    contract::Origin::{Client, Published},
    services::SERVERLESS,
    state::{World, timestamp},
    storage,
};

/// The operations.
pub(super) static ROUTES: &[Route] = &[
    Route::reads(&SERVERLESS, "GET", "/clusters/{clusterId}/imports", list),
    Route::writes(&SERVERLESS, "POST", "/clusters/{clusterId}/imports", create).read_as(&[Published, Client]),
    Route::reads(&SERVERLESS, "GET", "/clusters/{clusterId}/imports/{id}", get),
    Route::writes(&SERVERLESS, "POST", "/clusters/{clusterId}/imports/{id}:cancel", cancel),
    Route::writes(&SERVERLESS, "POST", "/clusters/{clusterId}/imports:startUpload", start_upload).read_as(&[Client]),
    Route::writes(&SERVERLESS, "POST", "/clusters/{clusterId}/imports:completeUpload", complete_upload)
        .read_as(&[Client]),
    Route::writes(&SERVERLESS, "POST", "/clusters/{clusterId}/imports:cancelUpload", cancel_upload).read_as(&[Client]),
];

/// How long an import is PREPARING. The sandbox's own.
pub const PREPARING_MILLIS: u64 = 10_000;
/// How long it is IMPORTING then. The sandbox's own.
pub const IMPORTING_MILLIS: u64 = 20_000;
/// How long it is CANCELING. The sandbox's own.
const CANCELING_MILLIS: u64 = 5_000;
/// Imports of a cluster that run at once. A guess.
const RUNNING_MAX: usize = 5;
/// Size of what is imported from a cloud, which the sandbox does not read. The sandbox's own.
const SIZE: usize = 1 << 20;
/// Parts of an upload: those of S3 (official client, `MaxUploadParts`).
const PARTS_MAX: usize = 10_000;

/// An import.
pub(in crate::control) struct Import {
    sequence: u64,
    id: String,
    cluster: String,
    options: Map<String, Value>,
    source: Place,
    size: usize,
    created_by: String,
    created: u64,
    canceled: Option<u64>,
}

/// A file that is uploaded.
pub(in crate::control) struct Upload {
    id: String,
    cluster: String,
    file_name: String,
    parts: usize,
    /// Bytes, once it is complete.
    size: Option<usize>,
}

impl Import {
    /// What happens to the rows, by a word in the URI: the words are the sandbox's, the messages those that PingCAP's own end-to-end
    /// tests expect.
    fn failure(&self) -> Option<String> {
        let uri = self.source.uri();
        self.source.refusal().or_else(|| {
            uri.contains("misaligned").then(|| {
                "CastValueError: when encoding 1-th data row in file test.a.csv, the value of column `number` cannot be cast".to_owned()
            })
        }).or_else(|| {
            uri.contains("nodefault").then(|| "TiDB schema `test`.`a` doesn't have the default value for number".to_owned())
        })
    }

    fn state(&self, now: u64) -> &'static str {
        let importing = self.created + PREPARING_MILLIS;
        match self.canceled {
            Some(at) if now < at + CANCELING_MILLIS => "CANCELING",
            Some(_) => "CANCELED",
            None if now < importing => "PREPARING",
            // Access is tried before anything is read.
            None if self.source.refusal().is_some() => "FAILED",
            None if now < importing + IMPORTING_MILLIS || self.source.uri().contains("endless") => "IMPORTING",
            None if self.failure().is_some() => "FAILED",
            None => "COMPLETED",
        }
    }

    fn show(&self, now: u64) -> Value {
        let state = self.state(now);
        // What was stopped stays where it was; what fails on the way in has read nothing.
        let since = match self.canceled {
            None if self.source.refusal().is_some() => 0,
            canceled => canceled.unwrap_or(now).saturating_sub(self.created + PREPARING_MILLIS).min(IMPORTING_MILLIS),
        };
        let percent = match state {
            "COMPLETED" => 100,
            "PREPARING" => 0,
            // A guess: what does not arrive stops short of the end.
            "IMPORTING" => (since * 100 / IMPORTING_MILLIS).min(99),
            _ => since * 99 / IMPORTING_MILLIS,
        };
        // PingCAP's end-to-end tests take a COMPLETED import of nothing for a bug.
        let is_empty = self.source.uri().contains("empty");
        let mut shown = json!({
            "name": format!("clusters/{}/imports/{}", self.cluster, self.id),
            "id": self.id,
            "importId": self.id,
            "clusterId": self.cluster,
            "createdBy": self.created_by,
            "createTime": timestamp(self.created),
            "state": state,
            "completePercent": percent,
            "totalSize": if is_empty { 0 } else { self.size }.to_string(),
            "creationDetails": { "importOptions": self.options, "source": self.source.shown },
            "message": if state == "FAILED" { self.failure().unwrap_or_default() } else { String::new() },
        });
        if matches!(state, "COMPLETED" | "FAILED" | "CANCELED")
            && let Some(fields) = shown.as_object_mut()
        {
            let end = match (self.canceled, state) {
                (Some(at), _) => at + CANCELING_MILLIS,
                (None, "FAILED") if self.source.refusal().is_some() => self.created + PREPARING_MILLIS,
                _ => self.created + PREPARING_MILLIS + IMPORTING_MILLIS,
            };
            fields.insert("completeTime".to_owned(), timestamp(end).into());
        }
        shown
    }
}

/// The import of the path. Gives its position in `world.imports`.
fn known<'w>(world: &'w World, call: &Call) -> Result<(usize, &'w Import), Failure> {
    let cluster = clusters::known(world, call)?;
    let id = call.parameter("id").unwrap_or_default();
    let mut all = world.imports.iter().enumerate();
    all.find(|(_, import)| import.cluster == cluster.id && import.id == id)
        .ok_or_else(|| Failure::new(404, format!("import {id} not found")))
}

/// `GET .../imports`
fn list(world: &World, call: &Call) -> Outcome {
    let cluster = clusters::known(world, call)?;
    let own = world.imports.iter().filter(|import| import.cluster == cluster.id);
    transfers::list(call, "imports", &cluster.id, own.map(|import| (import.sequence, import.show(call.now))).collect())
}

/// `GET .../imports/{id}`
fn get(world: &World, call: &Call) -> Outcome {
    Ok(known(world, call)?.1.show(call.now))
}

/// `POST .../imports`. That TiDB Cloud copies a file that was uploaded, and forgets it, is a guess.
fn create(world: &mut World, call: &Call) -> Outcome {
    let cluster = active(world, call)?.id.clone();
    let mut source = Place::read(call.body.get("source"), "")?;
    let running = world.imports.iter().filter(|import| import.cluster == cluster);
    if running.filter(|import| matches!(import.state(call.now), "PREPARING" | "IMPORTING")).count() >= RUNNING_MAX {
        return Err(Failure::new(400, format!("the quota of {RUNNING_MAX} running imports of a cluster is used up")));
    }
    let mut size = SIZE;
    if source.kind == "LOCAL" {
        let local = source.shown.get_mut("local").and_then(Value::as_object_mut);
        let local = local.ok_or(Failure::new(400, "local is required for the type LOCAL"))?;
        let id = local.get("uploadId").and_then(Value::as_str).unwrap_or_default().to_owned();
        let position = world.uploads.iter().position(|upload| upload.id == id && upload.cluster == cluster);
        let upload = position.and_then(|position| world.uploads.get(position));
        let upload = upload.ok_or_else(|| Failure::new(404, format!("upload {id} not found")))?;
        size = upload.size.ok_or_else(|| Failure::new(400, format!("upload {id} is not complete")))?;
        local.insert("fileName".to_owned(), upload.file_name.as_str().into());
        world.uploads.retain(|upload| upload.id != id);
    }
    let sequence = world.imports.last().map_or(1, |import| import.sequence + 1);
    let import = Import {
        sequence,
        id: draw_id(world, "imp"),
        cluster,
        options: call.body.get("importOptions").and_then(Value::as_object).cloned().unwrap_or_default(),
        source,
        size,
        created_by: format!("apikey-{}", call.key.public),
        created: call.now,
        canceled: None,
    };
    let shown = import.show(call.now);
    world.imports.push(import);
    Ok(shown)
}

/// `POST .../imports/{id}:cancel`
fn cancel(world: &mut World, call: &Call) -> Outcome {
    let (position, import) = known(world, call)?;
    let state = import.state(call.now);
    if !matches!(state, "PREPARING" | "IMPORTING") {
        // A guess.
        return Err(Failure::new(400, format!("import {} is {state}, so it cannot be canceled", import.id)));
    }
    if let Some(import) = world.imports.get_mut(position) {
        import.canceled = Some(call.now);
    }
    Ok(json!({}))
}

fn key_of_part(upload: &str, part: usize) -> String {
    format!("uploads/{upload}/{part}")
}

/// `POST .../imports:startUpload`: `partNumber` is how many parts there are (official client, `uploader.go`).
fn start_upload(world: &mut World, call: &Call) -> Outcome {
    let cluster = active(world, call)?.id.clone();
    let asked = |name: &str| call.query.get(name).map(String::as_str).filter(|text| !text.is_empty());
    for name in ["fileName", "targetDatabase", "targetTable"] {
        if asked(name).is_none() {
            return Err(Failure::new(400, format!("{name} is required")));
        }
    }
    let parts = asked("partNumber").and_then(|text| text.parse().ok()).filter(|parts| (1..=PARTS_MAX).contains(parts));
    let parts = parts.ok_or_else(|| Failure::new(400, format!("partNumber must be 1 to {PARTS_MAX}")))?;
    let id = draw_id(world, "upload");
    let file_name = asked("fileName").unwrap_or_default().to_owned();
    let urls: Vec<String> =
        (1..=parts).map(|part| storage::address(world, call.now, "PUT", &key_of_part(&id, part), None)).collect();
    world.uploads.push(Upload { id: id.clone(), cluster, file_name, parts, size: None });
    Ok(json!({ "uploadId": id, "uploadUrl": urls }))
}

/// The upload that a request names.
fn upload_of<'w>(world: &'w mut World, call: &Call) -> Result<&'w mut Upload, Failure> {
    let cluster = clusters::known(world, call)?.id.clone();
    let id = call.query.get("uploadId").cloned().unwrap_or_default();
    let mut all = world.uploads.iter_mut();
    all.find(|upload| upload.id == id && upload.cluster == cluster)
        .ok_or_else(|| Failure::new(404, format!("upload {id} not found")))
}

/// `POST .../imports:completeUpload`: each part by the ETag that its upload was answered with, as S3 does. Of a single part the official
/// client gives none ("only needed when upload is multipart").
fn complete_upload(world: &mut World, call: &Call) -> Outcome {
    let (id, parts) = upload_of(world, call).map(|upload| (upload.id.clone(), upload.parts))?;
    let mut size = 0;
    let given: BTreeMap<i64, &str> = call
        .body
        .get("parts")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|part| Some((part.get("partNumber")?.as_i64()?, part.get("etag")?.as_str()?)))
        .collect();
    for part in 1..=parts {
        let stored = world.objects.get(&key_of_part(&id, part));
        let stored = stored.ok_or_else(|| Failure::new(400, format!("part {part} was not uploaded")))?;
        let etag = i64::try_from(part).ok().and_then(|part| given.get(&part)).map(|etag| etag.trim_matches('"'));
        if (parts > 1 || etag.is_some()) && etag != Some(storage::etag(stored).as_str()) {
            return Err(Failure::new(400, format!("the etag of part {part} is another one")));
        }
        size += stored.len();
    }
    upload_of(world, call)?.size = Some(size);
    Ok(json!({}))
}

/// `POST .../imports:cancelUpload`
fn cancel_upload(world: &mut World, call: &Call) -> Outcome {
    let id = upload_of(world, call)?.id.clone();
    world.uploads.retain(|upload| upload.id != id);
    storage::clear(world, &format!("uploads/{id}/"));
    Ok(json!({}))
}

/// Forgets what a deleted cluster had: its exports with their files, imports and uploads.
pub(super) fn forget(world: &mut World, cluster: &str) {
    world.exports.retain(|export| export.cluster != cluster);
    world.imports.retain(|import| import.cluster != cluster);
    let (gone, kept) =
        std::mem::take(&mut world.uploads).into_iter().partition::<Vec<_>, _>(|upload| upload.cluster == cluster);
    world.uploads = kept;
    storage::clear(world, &format!("{cluster}/"));
    for upload in gone {
        storage::clear(world, &format!("uploads/{}/", upload.id));
    }
}
