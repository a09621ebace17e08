//! How a cluster does: figures, and where they come from.

mod create_integration;
mod delete_integration;
mod get_metrics;
mod list_integrations;

use crate::{
    catalogue::{ClusterReference, Context, Entry, Group, ToolError, Toolset},
    tidbcloud::DedicatedCluster,
};

/// The toolset.
pub(super) const GROUP: Group = Group {
    toolset: Toolset::Metrics,
    tools: &[
        Entry::of::<get_metrics::GetMetrics>,
        Entry::of::<list_integrations::ListIntegrations>,
        Entry::of::<create_integration::CreateIntegration>,
        Entry::of::<delete_integration::DeleteIntegration>,
    ],
};

/// Where a person sees on a plan what no API has.
/// <https://docs.pingcap.com/tidbcloud/monitor-tidb-cluster/>,
/// <https://docs.pingcap.com/tidbcloud/monitor-prometheus-and-grafana-integration/>
fn elsewhere(plan: &str) -> &'static str {
    match plan {
        "Starter" => "The person sees them in the console, https://tidbcloud.com/tidbs, under Metrics of the instance.",
        "Dedicated" => {
            "tidbcloud_create_integration makes a Prometheus endpoint that has them; the person sees them in the console, https://tidbcloud.com/tidbs, under Metrics of the cluster."
        }
        _ => {
            "The person sees them in the console, https://tidbcloud.com/tidbs, under Metrics of the instance, and can make a Prometheus scrape configuration there under Settings, Integrations (preview)."
        }
    }
}

/// The Dedicated cluster that is meant: no other plan has an API of integrations.
async fn dedicated(context: &Context<'_>, reference: &ClusterReference) -> Result<DedicatedCluster, ToolError> {
    let hint = |plan: &str| {
        format!(
            "Only Dedicated has an API of monitoring integrations: call tidbcloud_get_metrics for the figures that there are. {}",
            elsewhere(plan)
        )
    };
    context.dedicated_cluster(reference, hint).await
}
