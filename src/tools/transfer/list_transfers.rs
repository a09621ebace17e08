//! `tidbcloud_list_transfers`: imports or exports of a cluster.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::view::{TransferView, cluster_with_transfers, must_be};
use crate::{
    catalogue::{ClusterReference, Context, Effect, PageSize, Tool, ToolError},
    tidbcloud::{PageToken, TransferId, TransferKind},
};

/// List imports or exports of a cluster, or get one: whether it is done, progress, errors with their fix. Most take
/// minutes.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ListTransfers {
    cluster: ClusterReference,
    /// Data in, or data out
    kind: TransferKind,
    /// Only this one, by `id`
    #[schemars(with = "Option<String>")]
    id: Option<TransferId>,
    page_size: Option<PageSize>,
    /// Last `nextPageToken`
    #[schemars(with = "Option<String>")]
    page_token: Option<PageToken>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Transfers {
    cluster_id: String,
    transfers: Vec<TransferView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_size: Option<u64>,
}

impl Tool for ListTransfers {
    const NAME: &'static str = "tidbcloud_list_transfers";
    const TITLE: &'static str = "List imports and exports";
    const EFFECT: Effect = Effect::Read;
    type Output = Transfers;

    /// The cluster, whose plan must have transfers, and these.
    fn requests_min(_: &Map<String, Value>) -> u32 {
        2
    }

    async fn call(self, context: &Context<'_>) -> Result<Transfers, ToolError> {
        if let Some(id) = &self.id {
            must_be(self.kind, id)?;
        }
        let cluster = cluster_with_transfers(context, &self.cluster).await?.cluster_id;
        let cluster_id = cluster.to_string();
        let view = |transfer| TransferView::of(self.kind, transfer);
        if let Some(id) = &self.id {
            let transfer = context.cloud().transfer(&cluster, id).await?;
            return Ok(Transfers {
                cluster_id,
                transfers: vec![view(transfer)],
                next_page_token: None,
                total_size: None,
            });
        }
        let size = self.page_size.map(PageSize::get);
        let page = context.cloud().transfers(self.kind, &cluster, size, self.page_token.as_ref()).await?;
        Ok(Transfers {
            cluster_id,
            transfers: page.items.into_iter().map(view).collect(),
            next_page_token: page.next_page_token,
            total_size: page.total_size,
        })
    }
}
