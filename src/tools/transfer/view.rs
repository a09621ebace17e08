//! An import or export, as tools answer with it.

use schemars::JsonSchema;
use serde::Serialize;

use super::explain::explain;
use crate::{
    catalogue::{ClusterReference, Context, Done, ToolError, code},
    tidbcloud::{Cluster, ClusterId, Transfer, TransferId, TransferKind},
};

/// One import or export. The schema leaves out what says itself.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct TransferView {
    pub(super) id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub(super) cluster_id: Option<String>,
    pub(super) state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    file_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    complete_percent: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    total_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    explanation: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    create_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    complete_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    expire_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub(super) next_step: Option<&'static str>,
}

impl TransferView {
    /// One in a list.
    pub(super) fn of(kind: TransferKind, transfer: Transfer) -> Self {
        Self {
            explanation: explain(kind, &transfer),
            file_type: transfer.file_type(),
            place: transfer.place(),
            id: transfer.transfer_id,
            cluster_id: None,
            state: transfer.state,
            complete_percent: transfer.complete_percent,
            total_bytes: transfer.total_size,
            message: transfer.message,
            create_time: transfer.create_time,
            complete_time: transfer.complete_time,
            expire_time: transfer.expire_time,
            next_step: None,
        }
    }

    /// The receipt of one that was just started.
    pub(super) fn begun(&self, kind: TransferKind) -> Done {
        let (id, cluster) = (&self.id, self.cluster_id.as_deref().unwrap_or_default());
        let (of, stays) = match kind {
            TransferKind::Import => ("into", "rows that are loaded by then"),
            TransferKind::Export => ("of", "files that are written by then"),
        };
        let kind = kind.word();
        Done::of(format!("Started the {kind} {id} {of} the cluster {cluster}")).affecting(Some(1)).undone_by(format!(
            "tidbcloud_cancel_transfer {{\"cluster\":\"{cluster}\",\"kind\":\"{kind}\",\"id\":\"{id}\"}} stops it; {stays} stay."
        ))
    }

    /// One that was just started.
    pub(super) fn started(
        kind: TransferKind,
        cluster: &ClusterId,
        transfer: Transfer,
        next_step: &'static str,
    ) -> Self {
        Self { cluster_id: Some(cluster.to_string()), next_step: Some(next_step), ..Self::of(kind, transfer) }
    }
}

/// The cluster that is meant, which must have imports and exports.
pub(super) async fn cluster_with_transfers(
    context: &Context<'_>,
    reference: &ClusterReference,
) -> Result<Cluster, ToolError> {
    let hint =
        "Ask the person to import in the TiDB Cloud console, under Import, and to export with TiDB's tool Dumpling.";
    context.serverless_cluster(reference, hint).await
}

/// Requires that an id is of this kind.
pub(super) fn must_be(kind: TransferKind, id: &TransferId) -> Result<(), ToolError> {
    if TransferKind::of(id) == kind {
        return Ok(());
    }
    let word = kind.word();
    let start = word.get(..3).unwrap_or_default();
    Err(ToolError::new(code::INVALID_ARGUMENT, format!("`id`: the id of an {word} begins with `{start}-`."))
        .hint(format!("Call tidbcloud_list_transfers with `kind` {word} to see the ids.")))
}
