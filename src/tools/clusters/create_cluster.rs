//! `tidbcloud_create_cluster`: start a new cluster.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    dollars,
    labels::Labels,
    money,
    plan::{PlanName, rcus},
    view::ClusterView,
};
use crate::{
    catalogue::{Context, Done, Effect, Receipt, Stakes, Tool, ToolError, advised, code},
    tidbcloud::{ApiError, AutoScaling, DisplayName, Made, NewCluster, Plan, Rcu, RegionName, UsdCents},
    tools::preflight::{MayCost, preflight},
};

/// Create a Starter cluster (free without a spending limit) or an Essential one (billed). CREATING takes 30 s:
/// tidbcloud_get_cluster with `waitSeconds` waits for ACTIVE.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct CreateCluster {
    /// Name
    #[schemars(with = "String")]
    display_name: DisplayName,
    /// From tidbcloud_list_regions
    #[schemars(with = "String")]
    region: RegionName,
    /// Default: starter
    plan: Option<PlanName>,
    /// Starter: highest bill; 0: free quota
    spending_limit_usd_cents: Option<UsdCents>,
    /// Of Essential
    max_rcu: Option<Rcu>,
    /// Yours
    labels: Option<Labels>,
}

impl CreateCluster {
    fn plan(&self) -> Plan {
        self.plan.map_or(Plan::Starter, Plan::from)
    }

    /// Requires the limit that its plan has, and not the other's.
    fn must_fit_plan(&self) -> Result<(), ToolError> {
        let (message, hint) = match (self.plan(), self.spending_limit_usd_cents, self.max_rcu) {
            (Plan::Starter, _, Some(_)) => (
                "`maxRcu` is of Essential, and this would be a Starter cluster.",
                "Give `plan` essential, or limit a Starter cluster by spendingLimitUsdCents.",
            ),
            (Plan::Essential, Some(_), _) => (
                "An Essential cluster has no spending limit.",
                "Leave spendingLimitUsdCents out: `maxRcu` limits the capacity that is billed.",
            ),
            (Plan::Essential, None, None) => (
                "An Essential cluster needs its highest capacity, which limits what is billed.",
                "Give `maxRcu`, 2000 to 100000.",
            ),
            _ => return Ok(()),
        };
        Err(ToolError::new(code::INVALID_ARGUMENT, message).hint(hint))
    }

    /// Requires that the region has the plan, by what TiDB Cloud lists. It leaves the decision to TiDB Cloud where a region does not say.
    async fn must_be_offered(&self, context: &Context<'_>) -> Result<(), ToolError> {
        let (plan, region) = (self.plan().name(), self.region.as_str());
        let regions = context.cloud().regions().await?;
        let found = regions.iter().find(|found| found.name == region);
        let plans = found.map(|found| found.service_plans.as_slice()).unwrap_or_default();
        if plans.is_empty() || plans.iter().any(|offered| offered == plan) {
            return Ok(());
        }
        let message = format!("{region} has no {plan}, only {}. Nothing was created.", plans.join(", "));
        Err(ToolError::new(code::FAILED_PRECONDITION, message)
            .hint("Choose a region from tidbcloud_list_regions whose `plans` has it."))
    }
}

impl Tool for CreateCluster {
    const NAME: &'static str = "tidbcloud_create_cluster";
    const TITLE: &'static str = "Create cluster";
    const EFFECT: Effect = Effect::Create;
    const RECEIPT: Option<Receipt<Self>> = Some(Receipt {
        look: "Look with tidbcloud_list_clusters before trying again.",
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
        self.plan() == Plan::Essential || self.spending_limit_usd_cents.is_some_and(|limit| limit.cents() > 0)
    }

    async fn stakes(&self, context: &Context<'_>) -> Result<Option<Stakes>, ToolError> {
        self.must_fit_plan()?;
        // A new cluster has nothing to read, but no question is stored for a key that TiDB Cloud has not taken.
        self.must_be_offered(context).await?;
        let name = self.display_name.as_str();
        let limit = self.spending_limit_usd_cents.map(|limit| i64::from(limit.cents()));
        let what = match limit {
            Some(limit) => format!("Create the cluster {name}, which may cost up to {} a month.", dollars(limit)),
            None => {
                format!("Create the Essential cluster {name}, which is billed from the start, without a monthly limit.")
            }
        };
        let capacity = self.max_rcu.map(|max| AutoScaling::up_to(max, None));
        let stakes = Stakes::of(what)
            .fact("Plan", Some(self.plan().name()))
            .fact("Region", Some(self.region.as_str()))
            .fact("Highest monthly bill", limit.map(money))
            .fact("Capacity", capacity.map(rcus))
            .fact("Labels", self.labels.as_ref().map(Labels::in_words));
        Ok(Some(preflight(context, stakes, MayCost::New(self.plan())).await))
    }

    async fn call(self, context: &Context<'_>) -> Result<ClusterView, ToolError> {
        self.must_fit_plan()?;
        if self.plan() == Plan::Essential {
            self.must_be_offered(context).await?;
        }
        let new = NewCluster {
            display_name: self.display_name,
            region: self.region,
            spending_limit: self.spending_limit_usd_cents,
            auto_scaling: self.max_rcu.map(|max| AutoScaling::up_to(max, None)),
            labels: self.labels.map(Labels::into_inner).unwrap_or_default(),
        };
        let created = context.cloud().create_cluster(&new).await;
        let Made { made, reconciled } = created.map_err(|error| advised(error, is_quota, FIVE))?;
        let mut view = ClusterView::from(made);
        view.reconciled = reconciled;
        Ok(view)
    }
}

fn is_quota(error: &ApiError) -> bool {
    matches!(error, ApiError::QuotaExceeded(_))
}

const FIVE: &str = "An organization has five free Starter clusters: delete one that is not needed, or give spendingLimitUsdCents. If a \
    payment is due, or there is no payment method, ask the person to see to it in the TiDB Cloud console, under Billing.";
