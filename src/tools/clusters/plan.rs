//! Plans and what limits them, as arguments and in words.

use serde::Deserialize;

use crate::{
    base::schema::schema_of,
    catalogue::{ToolError, refused_by_plan, said},
    tidbcloud::{AutoScaling, Cluster, Plan},
};

/// A plan, as an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum PlanName {
    Starter,
    Essential,
}

impl From<PlanName> for Plan {
    fn from(name: PlanName) -> Self {
        match name {
            PlanName::Starter => Self::Starter,
            PlanName::Essential => Self::Essential,
        }
    }
}

schema_of! {
    PlanName => {"type": "string", "enum": ["starter", "essential"]};
}

/// A range of capacity for a person.
pub(super) fn rcus(capacity: AutoScaling) -> String {
    let AutoScaling { min_rcu, max_rcu } = capacity;
    format!("{} to {} Request Capacity Units (RCUs)", min_rcu.unwrap_or_default(), max_rcu.unwrap_or_default())
}

/// Requires that a cluster has what is to be changed. Nothing has been sent by then.
pub(super) fn must_have(cluster: &Cluster, sets_limit: bool, sets_capacity: bool) -> Result<(), ToolError> {
    let (why, hint) = match cluster.plan() {
        Plan::Starter if sets_capacity => (
            "which has no `maxRcu`: it has a spending limit",
            "Give spendingLimitUsdCents, which limits a Starter cluster.",
        ),
        Plan::Essential if sets_limit => {
            ("which has no spending limit", "Give `maxRcu`, which limits an Essential cluster.")
        }
        _ => return Ok(()),
    };
    let name = said(&cluster.display_name, cluster.cluster_id.as_str());
    Err(refused_by_plan(name, cluster.plan().name(), why, hint))
}
