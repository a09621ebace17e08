//! `tidbcloud_cancel_transfer`: stop an import or export.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::view::{cluster_with_transfers, must_be};
use crate::{
    catalogue::{ClusterReference, Context, Done, Effect, Receipt, Stakes, Tool, ToolError, code, said},
    tidbcloud::{ApiError, Cluster, Transfer, TransferId, TransferKind},
};

/// Stop an import or export. Rows already loaded stay, and so do files already written.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CancelTransfer {
    cluster: ClusterReference,
    /// Data in, or data out
    kind: TransferKind,
    /// From tidbcloud_list_transfers
    #[schemars(with = "String")]
    id: TransferId,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Canceled {
    cluster_id: String,
    id: String,
    state: String,
    stays: &'static str,
}

impl CancelTransfer {
    /// What stays when it stops.
    fn stays(&self) -> &'static str {
        match self.kind {
            TransferKind::Import => "Rows that are loaded already stay in their tables.",
            TransferKind::Export => "Files that are written already stay where they are.",
        }
    }

    /// The one that is meant, if it can be stopped.
    async fn running(&self, context: &Context<'_>) -> Result<(Cluster, Transfer), ToolError> {
        must_be(self.kind, &self.id)?;
        let cluster = cluster_with_transfers(context, &self.cluster).await?;
        let transfer = context.cloud().own_transfer(&cluster.cluster_id, &self.id).await?;
        if matches!(transfer.state.as_str(), "RUNNING" | "PREPARING" | "IMPORTING") {
            return Ok((cluster, transfer));
        }
        let message = format!(
            "This {} is {}: there is nothing to stop. Nothing was sent.",
            self.kind.word(),
            transfer.said_state()
        );
        Err(ToolError::new(code::FAILED_PRECONDITION, message)
            .hint("Call tidbcloud_list_transfers with `id` to see how it ended."))
    }
}

impl Tool for CancelTransfer {
    const NAME: &'static str = "tidbcloud_cancel_transfer";
    const TITLE: &'static str = "Cancel import or export";
    const EFFECT: Effect = Effect::Destroy;
    const RECEIPT: Option<Receipt<Self>> = Some(Receipt {
        look: "Look with tidbcloud_list_transfers before trying again.",
        tries: |call| format!("cancel the {} {} of the cluster {}", call.kind.word(), call.id, call.cluster.as_str()),
        done: |canceled| {
            let Canceled { cluster_id, id, stays, .. } = canceled;
            Done::of(format!("Canceled {id} of the cluster {cluster_id}. {stays}")).affecting(Some(1))
        },
    });
    type Output = Canceled;

    /// The cluster, the transfer before and after, and the change.
    fn requests_min(_: &Map<String, Value>) -> u32 {
        4
    }

    async fn stakes(&self, context: &Context<'_>) -> Result<Option<Stakes>, ToolError> {
        let (cluster, transfer) = self.running(context).await?;
        let name = said(&cluster.display_name, cluster.cluster_id.as_str());
        // No state and no progress: both change while the person reads.
        let stakes = Stakes::of(format!("Stop the {} {} of the cluster {name}.", self.kind.word(), self.id))
            .fact("Cluster", Some(&cluster.display_name))
            .fact("Cluster id", Some(&cluster.cluster_id))
            .fact("Name", transfer.display_name.as_ref())
            .fact("Files", transfer.place())
            .fact("File type", transfer.file_type())
            .fact("Started", transfer.create_time.as_ref())
            .fact("What stays", Some(self.stays()));
        Ok(Some(stakes.typing(&cluster.display_name, cluster.cluster_id.as_str())))
    }

    async fn call(self, context: &Context<'_>) -> Result<Canceled, ToolError> {
        let (cluster, _) = self.running(context).await?;
        let cluster = cluster.cluster_id;
        let sent = context.cloud().cancel_transfer(&cluster, &self.id).await;
        let maybe_done = matches!(sent, Err(ApiError::OutcomeUnknown { .. }));
        if !maybe_done {
            sent?;
            let seen = context.cloud().transfer(&cluster, &self.id).await;
            // It was accepted, whatever the look says.
            let state = seen.map_or_else(|_| "CANCELING".to_owned(), |transfer| transfer.state);
            return Ok(self.canceled(&cluster.to_string(), state));
        }
        let seen = context.cloud().transfer(&cluster, &self.id).await;
        match (seen, sent) {
            (Ok(transfer), _) if transfer.state.starts_with("CANCEL") => {
                Ok(self.canceled(&cluster.to_string(), transfer.state))
            }
            (_, Err(error)) => Err(crate::catalogue::advised(
                error,
                |_| true,
                "Look with tidbcloud_list_transfers: if it still runs, call again.",
            )),
            (_, Ok(())) => Err(ToolError::fault("a cancellation was sent and not sent")),
        }
    }
}

impl CancelTransfer {
    fn canceled(&self, cluster: &str, state: String) -> Canceled {
        Canceled { cluster_id: cluster.to_owned(), id: self.id.to_string(), state, stays: self.stays() }
    }
}
