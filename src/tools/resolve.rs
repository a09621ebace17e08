//! From what a caller writes to one cluster or branch.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use super::Context;
use crate::{
    mcp::tools::{ToolError, ToolErrorCode},
    platform::Platform,
    tidbcloud::{BranchId, ClusterId, DisplayName, Target},
};

/// At most this many names in an error: enough to see a typing error, little enough to read.
const SIMILAR_MAX: usize = 5;

/// A cluster as a caller writes it: digits are an id, anything else a display name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) enum ClusterReference {
    Id(ClusterId),
    Name(DisplayName),
}

impl TryFrom<String> for ClusterReference {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        const RULE: &str = "must be a cluster id (digits) or a display name (4 to 64 letters, digits and hyphens)";
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            ClusterId::try_from(text).map(Self::Id).map_err(|_| RULE)
        } else {
            DisplayName::try_from(text).map(Self::Name).map_err(|_| RULE)
        }
    }
}

/// A branch as a caller writes it: `bran-` and 26 characters are an id, anything else a display name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) enum BranchReference {
    Id(BranchId),
    Name(DisplayName),
}

impl TryFrom<String> for BranchReference {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match BranchId::try_from(text.clone()) {
            Ok(id) => Ok(Self::Id(id)),
            Err(_) => DisplayName::try_from(text)
                .map(Self::Name)
                .map_err(|_| "must be a branch id (bran-...) or a display name (4 to 64 letters, digits and hyphens)"),
        }
    }
}

macro_rules! string_schema {
    ($($type:ty),*) => {
        $(impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({"type": "string"})
            }
        })*
    };
}

string_schema!(ClusterReference, BranchReference);

impl<P: Platform> Context<'_, P> {
    /// The id of the one cluster that is meant.
    pub(super) async fn cluster_id(&self, reference: &ClusterReference) -> Result<ClusterId, ToolError> {
        let name = match reference {
            ClusterReference::Id(id) => return Ok(id.clone()),
            ClusterReference::Name(name) => name.as_str(),
        };
        let clusters = self.cloud().all_clusters().await?;
        let all = clusters.into_iter().map(|cluster| (cluster.display_name, cluster.cluster_id));
        one("cluster", name, all, "tidbcloud_list_clusters")
    }

    /// The id of the one branch that is meant.
    pub(super) async fn branch_id(
        &self,
        cluster: &ClusterId,
        reference: &BranchReference,
    ) -> Result<BranchId, ToolError> {
        let name = match reference {
            BranchReference::Id(id) => return Ok(id.clone()),
            BranchReference::Name(name) => name.as_str(),
        };
        let branches = self.cloud().all_branches(cluster).await?;
        let all = branches.into_iter().map(|branch| (branch.display_name, branch.branch_id));
        one("branch", name, all, "tidbcloud_list_branches")
    }

    /// Where SQL goes.
    pub(super) async fn target(
        &self,
        cluster: &ClusterReference,
        branch: Option<&BranchReference>,
    ) -> Result<Target, ToolError> {
        let cluster = self.cluster_id(cluster).await?;
        let branch = match branch {
            Some(branch) => Some(self.branch_id(&cluster, branch).await?),
            None => None,
        };
        Ok(Target { cluster, branch })
    }
}

/// Names are compared exactly: acting on a look-alike is worse than asking again.
fn one<T: std::fmt::Display>(
    what: &str,
    name: &str,
    all: impl Iterator<Item = (String, T)>,
    list: &str,
) -> Result<T, ToolError> {
    let (mut matching, others): (Vec<_>, Vec<_>) = all.partition(|(candidate, _)| candidate == name);
    if matching.len() > 1 {
        let ids: Vec<_> = matching.iter().take(SIMILAR_MAX).map(|(_, id)| id.to_string()).collect();
        return Err(ToolError::new(
            ToolErrorCode::AmbiguousName,
            format!("{} {what}s are named `{name}`: {}.", matching.len(), ids.join(", ")),
        )
        .hint(format!("Give the {what} by its id.")));
    }
    if let Some((_, id)) = matching.pop() {
        return Ok(id);
    }
    let lower = name.to_lowercase();
    let similar: Vec<_> = others
        .iter()
        .map(|(candidate, _)| candidate)
        .filter(|candidate| {
            let candidate = candidate.to_lowercase();
            candidate.contains(&lower) || lower.contains(&candidate)
        })
        .take(SIMILAR_MAX)
        .map(|candidate| format!("`{candidate}`"))
        .collect();
    let error = ToolError::new(ToolErrorCode::NotFound, format!("No {what} is named `{name}`."));
    Err(if similar.is_empty() {
        error.hint(format!("Call {list} to see the names."))
    } else {
        error.hint(format!("Similar names: {}.", similar.join(", ")))
    })
}
