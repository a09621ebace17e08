//! `tidbcloud_get_quota`: how much of what there is, of how much.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    catalogue::{Context, Effect, Tool, ToolError},
    tidbcloud::{ApiError, Cluster},
    tools::preflight::{BRANCHES_MAX, FREE_INSTANCES, NotCounted, branches_used},
};

/// Quotas and what is used: how many clusters, branches and nodes there are and can be.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct GetQuota {}

#[derive(Serialize, JsonSchema)]
pub(super) struct Quotas {
    quotas: Vec<QuotaLine>,
}

#[derive(Default, Serialize, JsonSchema)]
struct QuotaLine {
    of: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    used: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u64>,
    /// Where a figure comes from, or why it is missing
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

impl Tool for GetQuota {
    const NAME: &'static str = "tidbcloud_get_quota";
    const TITLE: &'static str = "Get quotas";
    const EFFECT: Effect = Effect::Read;
    const LIST: Option<&'static str> = Some("quotas");
    type Output = Quotas;

    /// Clusters, and node quotas.
    fn requests_min(_: &Map<String, Value>) -> u32 {
        2
    }

    /// Where one source fails, the others are shown with its failure beside them; where all fail, the call does.
    async fn call(self, context: &Context<'_>) -> Result<Quotas, ToolError> {
        let clusters = context.cloud().all_clusters().await;
        let nodes = context.cloud().node_quotas().await;
        let mut quotas = Vec::new();
        match (clusters, &nodes) {
            (Err(error), Err(_)) => return Err(error.into()),
            (Err(error), Ok(_)) => quotas.push(missing("Starter clusters and branches", error)),
            (Ok(clusters), _) => {
                quotas.push(free(&clusters));
                quotas.push(branches(context, &clusters).await);
            }
        }
        match nodes {
            Err(error) => quotas.push(missing("Dedicated nodes", error)),
            Ok(nodes) => quotas.extend(nodes.into_iter().map(|node| QuotaLine {
                of: format!("Dedicated {} nodes, all clusters together", node.component_type),
                limit: node.quota,
                note: Some("TiDB Cloud says what is allowed, not what is used.".to_owned()),
                used: None,
            })),
        }
        Ok(Quotas { quotas })
    }
}

fn missing(of: &str, error: ApiError) -> QuotaLine {
    QuotaLine { of: of.to_owned(), note: Some(ToolError::from(error).message), ..QuotaLine::default() }
}

fn free(clusters: &[Cluster]) -> QuotaLine {
    QuotaLine {
        of: "free Starter clusters".to_owned(),
        used: u64::try_from(clusters.iter().filter(|cluster| cluster.is_free()).count()).ok(),
        limit: Some(FREE_INSTANCES),
        note: Some("The limit is the documented default; those with a spending limit do not count.".to_owned()),
    }
}

/// Branches, all clusters together.
async fn branches(context: &Context<'_>, clusters: &[Cluster]) -> QuotaLine {
    let line = |used, note| QuotaLine { of: "branches".to_owned(), used, limit: Some(BRANCHES_MAX), note: Some(note) };
    match branches_used(context, clusters).await {
        Ok(used) => line(Some(used), "The limit is the documented default.".to_owned()),
        Err(NotCounted::Said(why)) => line(None, format!("Not counted: {why}")),
        Err(NotCounted::Failed(error)) => QuotaLine { limit: Some(BRANCHES_MAX), ..missing("branches", *error) },
    }
}
