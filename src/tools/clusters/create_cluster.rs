//! `tidbcloud_create_cluster`: start a new cluster.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{dollars, labels::Labels, money, view::ClusterView};
use crate::{
    catalogue::{Context, Done, Effect, Receipt, Stakes, Tool, ToolError},
    tidbcloud::{DisplayName, Made, NewCluster, RegionName, UsdCents},
};

/// Create a Starter cluster, free without a spending limit. CREATING usually takes 30 s: call tidbcloud_get_cluster with
/// `waitSeconds` until `state` is ACTIVE.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct CreateCluster {
    /// Name
    display_name: DisplayName,
    /// `name` from tidbcloud_list_regions
    #[schemars(with = "String")]
    region: RegionName,
    /// Highest monthly bill; 0: free quota only
    spending_limit_usd_cents: Option<UsdCents>,
    /// Your own labels
    labels: Option<Labels>,
}

impl Tool for CreateCluster {
    const NAME: &'static str = "tidbcloud_create_cluster";
    const TITLE: &'static str = "Create cluster";
    const EFFECT: Effect = Effect::Create;
    const RECEIPT: Option<Receipt<Self>> = Some(Receipt {
        tries: |call| format!("create the cluster {}", call.display_name.as_str()),
        done: |cluster| {
            let id = &cluster.cluster_id;
            Done::of(format!("Created the cluster {}", cluster.named()))
                .affecting(Some(1))
                .undone_by(format!("tidbcloud_delete_cluster {{\"cluster\":\"{id}\"}} deletes it."))
        },
    });
    type Output = ClusterView;

    fn asks(&self) -> bool {
        self.spending_limit_usd_cents.is_some_and(|limit| limit.cents() > 0)
    }

    async fn stakes(&self, context: &Context<'_>) -> Result<Option<Stakes>, ToolError> {
        // A new cluster has nothing to read, but no question is stored for a key that TiDB Cloud has not taken.
        context.cloud().regions().await?;
        let costs = self.spending_limit_usd_cents.filter(|limit| limit.cents() > 0);
        Ok(costs.map(|limit| {
            let (name, most) = (self.display_name.as_str(), dollars(limit.cents().into()));
            Stakes::of(format!("Create the cluster {name}, which may cost up to {most} a month."))
                .fact("Region", Some(self.region.as_str()))
                .fact("Highest monthly bill", Some(money(limit.cents().into())))
                .fact("Labels", self.labels.as_ref().map(Labels::in_words))
        }))
    }

    async fn call(self, context: &Context<'_>) -> Result<ClusterView, ToolError> {
        let new = NewCluster {
            display_name: self.display_name,
            region: self.region,
            spending_limit: self.spending_limit_usd_cents,
            labels: self.labels.map(Labels::into_inner).unwrap_or_default(),
        };
        let Made { made, reconciled } = context.cloud().create_cluster(&new).await?;
        let mut view = ClusterView::from(made);
        view.reconciled = reconciled;
        Ok(view)
    }
}
