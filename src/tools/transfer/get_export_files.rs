//! `tidbcloud_get_export_files`: the files of an export, and a link for the person who downloads them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::view::{cluster_with_transfers, must_be};
use crate::{
    catalogue::{ClusterReference, Context, Effect, HandOut, Item, Tool, ToolError, code},
    tidbcloud::{Transfer, TransferId, TransferKind},
    tools::views::UNPUBLISHED,
};

/// Names and sizes of a finished export's files, with a link where the person downloads each once, within ten minutes.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct GetExportFiles {
    cluster: ClusterReference,
    /// From tidbcloud_list_transfers
    #[schemars(with = "String")]
    id: TransferId,
    /// To go on: last `nextAfter`
    after: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ExportFiles {
    cluster_id: String,
    id: String,
    /// Those of the link
    files: Vec<FileView>,
    /// Give it to the person
    link: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expire_time: Option<String>,
    /// How many more have no link yet
    #[serde(skip_serializing_if = "Option::is_none")]
    left_out: Option<usize>,
    /// `after` of the next call
    #[serde(skip_serializing_if = "Option::is_none")]
    next_after: Option<String>,
    notice: &'static str,
}

/// The longest size, in words.
const SIZE_BYTES_MAX: usize = 26;

#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
struct FileView {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
}

/// Requires that the files of an export are there.
fn must_have_files(export: &Transfer) -> Result<(), ToolError> {
    let refused = |message: String, hint: &str| Err(ToolError::new(code::FAILED_PRECONDITION, message).hint(hint));
    let place = export.place();
    if place.as_deref() != Some("LOCAL") {
        let place = place.unwrap_or_else(|| "a place that TiDB Cloud does not say".to_owned());
        return refused(
            format!("The files of this export are not at TiDB Cloud: they went to {place}."),
            "The person takes them from there.",
        );
    }
    match export.state.as_str() {
        "SUCCEEDED" => Ok(()),
        "RUNNING" => refused(
            "This export is still running.".to_owned(),
            "Call tidbcloud_list_transfers with this id until `state` is SUCCEEDED.",
        )
        .map_err(ToolError::retryable),
        "EXPIRED" => {
            let when = export.expire_time.as_ref().map(|time| format!(" at {time}")).unwrap_or_default();
            refused(
                format!("This export expired{when}, and its files are gone."),
                "Start a new one with tidbcloud_start_export.",
            )
        }
        _ => refused(
            format!("This export is {} and has no files.", export.said_state()),
            "Call tidbcloud_list_transfers with this id to see why, and start a new one.",
        ),
    }
}

impl Tool for GetExportFiles {
    const NAME: &'static str = "tidbcloud_get_export_files";
    const TITLE: &'static str = "Download exported files";
    const EFFECT: Effect = Effect::Read;
    const DATA_CROSSES: bool = true;
    type Output = ExportFiles;

    /// The cluster, the export, its files and their addresses.
    fn requests_min(_: &Map<String, Value>) -> u32 {
        4
    }

    async fn call(self, context: &Context<'_>) -> Result<ExportFiles, ToolError> {
        must_be(TransferKind::Export, &self.id)?;
        let cluster = cluster_with_transfers(context, &self.cluster).await?;
        let cloud = context.cloud();
        let id = &cluster.cluster_id;
        let export = cloud.own_transfer(id, &self.id).await?;
        must_have_files(&export)?;
        // The official client leaves out this file as well: it says how the export ran.
        let files = cloud.export_files(id, &self.id).await?.into_iter().filter(|file| file.name != "metadata");
        let mut files: Vec<_> = files.map(|file| FileView { name: file.name, bytes: file.size }).collect();
        if let Some(after) = &self.after {
            let at = files.iter().position(|file| file.name == *after).filter(|at| at + 1 < files.len());
            let Some(at) = at else {
                let error = ToolError::new(code::INVALID_ARGUMENT, "`after`: no file comes after one of this name.");
                return Err(error.hint("Give the last `nextAfter`, or leave it out to begin with the first file."));
            };
            files.drain(..=at);
        }
        let mut bytes = 0;
        let mut fits = |name: &&str| {
            bytes += name.len() + SIZE_BYTES_MAX;
            bytes <= HandOut::NAMES_BYTES_MAX
        };
        let names = files.iter().map(|file| file.name.as_str()).take(HandOut::ITEMS_MAX);
        let names: Vec<&str> =
            names.enumerate().take_while(|(at, name)| fits(name) || *at == 0).map(|(_, name)| name).collect();
        if names.is_empty() {
            let error =
                ToolError::new(code::NOT_FOUND, "This export has no files: nothing matched what it was to export.");
            return Err(error.hint("Check database and table with show_tables, and start a new one."));
        }
        let last = names.last().map(|name| (*name).to_owned());
        let mut items = Vec::new();
        for found in cloud.export_addresses(id, &self.id, &names).await? {
            let name = found.name.clone();
            let size = files.iter().find(|file| file.name == name).and_then(|file| file.bytes);
            let address = cloud.download_address(&found.into_secret()).map_err(|host| {
                let message = format!("TiDB Cloud named the host `{host}` for the download, which is no storage that this server knows.");
                ToolError::new(code::UPSTREAM_INVALID_RESPONSE, message)
                    .hint("Ask the person to download it in the TiDB Cloud console, and report this host to the operator of this server.")
            })?;
            items.push(Item::Address { name, size: size.map(|size| format!("{size} bytes")), address });
        }
        let (all, asked) = (files.len(), names.len());
        files.truncate(asked);
        files.retain(|file| items.iter().any(|item| item.shown().0 == file.name));
        let left_out = Some(all - files.len()).filter(|more| *more > 0);
        let next_after = last.filter(|_| all > asked);
        let facts = [("Cluster", Some(cluster.display_name.clone())), ("Export", Some(self.id.to_string()))];
        let facts = facts.into_iter().chain([("Kept until", export.expire_time.clone())]);
        let facts = facts.filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
        let link = context.hand_out(HandOut { title: "Download exported files.".to_owned(), facts, items }).await?;
        Ok(ExportFiles {
            cluster_id: id.to_string(),
            id: self.id.to_string(),
            files,
            link,
            expire_time: export.expire_time,
            left_out,
            next_after,
            notice: UNPUBLISHED,
        })
    }
}
