//! From what a caller writes to one cluster or branch.

use std::cell::RefCell;

use serde::Deserialize;

use super::{code, context::Context};
use crate::base::schema::schema_of;
use crate::{
    mcp::outcome::ToolError,
    tidbcloud::{
        ApiError, BranchId, BranchName, Cluster, ClusterId, DedicatedCluster, DisplayName, Target, alias::is_alias,
    },
};

/// Names in an error: enough to spot a typing error, few enough to read.
const SIMILAR_MAX: usize = 5;

/// A cluster as a caller writes it: digits are an id, anything else an alias or a display name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) enum ClusterReference {
    Id(ClusterId),
    Name(String),
}

impl ClusterReference {
    /// As it was written.
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Id(id) => id.as_str(),
            Self::Name(name) => name,
        }
    }
}

impl TryFrom<String> for ClusterReference {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        const RULE: &str =
            "must be a cluster id (digits), an alias, or a display name (4 to 64 letters, digits and hyphens)";
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            ClusterId::try_from(text).map(Self::Id).map_err(|_| RULE)
        } else if is_alias(&text) || DisplayName::holds(&text) {
            Ok(Self::Name(text))
        } else {
            Err(RULE)
        }
    }
}

/// A branch as a caller writes it: `bran-` and letters or digits are an id, anything else a display name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) enum BranchReference {
    Id(BranchId),
    Name(String),
}

impl BranchReference {
    /// As it was written.
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Id(id) => id.as_str(),
            Self::Name(name) => name,
        }
    }
}

impl TryFrom<String> for BranchReference {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match BranchId::try_from(text.clone()) {
            Ok(id) => Ok(Self::Id(id)),
            Err(_) if BranchName::may_exist(&text) => Ok(Self::Name(text)),
            Err(_) => Err("must be a branch id (bran-...) or an exact display name (1 to 64 characters)"),
        }
    }
}

schema_of! {
    ClusterReference => {"type": "string", "description": "Id, exact name or short name"};
    BranchReference => {"type": "string", "description": "Id or exact name"};
}

/// What references turned out to mean. Each means the same for the whole of a call: what a person agreed to is what happens, even if
/// another call renames something between the question's last reading and the change.
#[derive(Default)]
pub(super) struct Meant {
    clusters: RefCell<Vec<(ClusterReference, ClusterId)>>,
    branches: RefCell<Vec<((ClusterId, BranchReference), BranchId)>>,
    /// Of other kinds: the kind, what was written, and the id.
    others: RefCell<Vec<((&'static str, String), String)>>,
    dedicated: RefCell<Vec<(ClusterReference, DedicatedCluster)>>,
}

fn meant<R: PartialEq, I: Clone>(all: &RefCell<Vec<(R, I)>>, reference: &R) -> Option<I> {
    all.borrow().iter().find(|(known, _)| known == reference).map(|(_, id)| id.clone())
}

impl Context<'_> {
    /// The id of the cluster that is meant.
    pub(crate) async fn cluster_id(&self, reference: &ClusterReference) -> Result<ClusterId, ToolError> {
        let name = match reference {
            ClusterReference::Id(id) => return Ok(id.clone()),
            ClusterReference::Name(name) => name.as_str(),
        };
        if let Some(id) = self.alias(name) {
            return Ok(id.clone());
        }
        if let Some(id) = meant(&self.meant.clusters, reference) {
            return Ok(id);
        }
        let found = named(name, &self.cloud().all_clusters().await?);
        let id = found.map_err(|error| match self.narrowing().fixes_cluster() {
            true => at_fixed("cluster", name, error),
            false => error,
        })?;
        self.meant.clusters.borrow_mut().push((reference.clone(), id.clone()));
        Ok(id)
    }

    /// Requires that what was written still means the same thing of this kind as before in this call.
    ///
    /// # Errors
    /// It means another one by now, to which nobody agreed.
    pub(crate) fn still_means(&self, kind: &'static str, written: &str, id: &str) -> Result<(), ToolError> {
        let reference = (kind, written.to_owned());
        match meant(&self.meant.others, &reference) {
            Some(known) if known != id => {
                let message = format!("`{written}` became the name of another {kind} meanwhile. Nothing was changed.");
                Err(ToolError::new(code::CONFLICT, message).hint(format!("Give the {kind} by its id.")))
            }
            Some(_) => Ok(()),
            None => {
                self.meant.others.borrow_mut().push((reference, id.to_owned()));
                Ok(())
            }
        }
    }

    /// The cluster of an alias that a setting or the grant names.
    pub(crate) fn alias(&self, name: &str) -> Option<&ClusterId> {
        self.aliases.iter().find_map(|(_, aliases)| aliases.get(name))
    }

    /// All aliases, including those that are ignored.
    pub(crate) async fn known_aliases(&self) -> Result<Vec<KnownAlias>, ToolError> {
        let mut known: Vec<KnownAlias> = Vec::new();
        for (source, aliases) in self.aliases {
            for (alias, cluster) in aliases.iter() {
                let refused = known.iter().any(|other| other.alias == alias).then_some(EARLIER);
                known.push(KnownAlias { alias: alias.to_owned(), cluster: cluster.clone(), source, refused });
            }
        }
        let clusters = self.cloud().all_clusters().await?;
        let all = self.with_others(clusters.clone()).await?;
        for (cluster, alias) in clusters.iter().filter_map(|cluster| Some((cluster, cluster.labels.get(ALIAS_LABEL)?)))
        {
            let refused = self.label_refused(cluster, alias, &all);
            known.push(KnownAlias {
                alias: alias.clone(),
                cluster: cluster.cluster_id.clone(),
                source: "label",
                refused,
            });
        }
        Ok(known)
    }

    /// Why the label of a cluster is no alias among these clusters.
    fn label_refused(&self, cluster: &Cluster, alias: &String, all: &[Cluster]) -> Option<&'static str> {
        let mut others = all.iter().filter(|other| other.cluster_id != cluster.cluster_id);
        if !is_alias(alias) {
            Some("It is not an alias: 2 to 64 letters, digits and hyphens, beginning with a letter.")
        } else if self.alias(alias).is_some() {
            Some(EARLIER)
        } else if others.clone().any(|other| other.labels.get(ALIAS_LABEL) == Some(alias)) {
            Some("Several clusters have this label.")
        } else if others.any(|other| other.display_name == *alias) {
            Some("Another cluster has this display name.")
        } else {
            None
        }
    }

    /// The same clusters, and if the call is for all organizations those of the others: a label must be unique among all.
    async fn with_others(&self, mut clusters: Vec<Cluster>) -> Result<Vec<Cluster>, ToolError> {
        for other in &self.others {
            clusters.extend(other.all_clusters().await?);
        }
        Ok(clusters)
    }

    /// The short name of each cluster of a page, if it has one. All clusters are read where a label on the page could be
    /// refused for a cluster that is not on it.
    pub(crate) async fn short_names(&self, page: &[Cluster], is_whole: bool) -> Result<Vec<Option<String>>, ToolError> {
        let is_enough = is_whole && self.others.is_empty();
        let all = match page.iter().any(|cluster| cluster.labels.contains_key(ALIAS_LABEL)) && !is_enough {
            true => Some(self.with_others(self.cloud().all_clusters().await?).await?),
            false => None,
        };
        let all = all.as_deref().unwrap_or(page);
        Ok(page.iter().map(|cluster| self.short_name(cluster, all)).collect())
    }

    fn short_name(&self, cluster: &Cluster, all: &[Cluster]) -> Option<String> {
        let given = self.aliases.iter().flat_map(|(_, aliases)| aliases.iter());
        let mut given = given.filter(|(alias, id)| **id == cluster.cluster_id && self.alias(alias) == Some(*id));
        let label = cluster.labels.get(ALIAS_LABEL);
        let label = label.filter(|label| self.label_refused(cluster, label, all).is_none());
        given.next().map(|(alias, _)| alias.to_owned()).or_else(|| label.cloned())
    }

    /// The id of the branch that is meant.
    pub(crate) async fn branch_id(
        &self,
        cluster: &ClusterId,
        reference: &BranchReference,
    ) -> Result<BranchId, ToolError> {
        let name = match reference {
            BranchReference::Id(id) => return Ok(id.clone()),
            BranchReference::Name(name) => name.as_str(),
        };
        let of_cluster = (cluster.clone(), reference.clone());
        if let Some(id) = meant(&self.meant.branches, &of_cluster) {
            return Ok(id);
        }
        let branches = self.cloud().all_branches(cluster).await?;
        let all = branches.into_iter().map(|branch| (branch.display_name, branch.branch_id));
        let found = one("branch", name, all, "tidbcloud_list_branches");
        let id = found.map_err(|error| match self.narrowing().fixes_branch() {
            true => at_fixed("branch", name, error),
            false => error,
        })?;
        self.meant.branches.borrow_mut().push((of_cluster, id.clone()));
        Ok(id)
    }

    /// The same, but asks TiDB Cloud first whether the branch belongs to this cluster. Needed for a parent, which only the
    /// body names, and for deletion: there an id alone could reach a branch of another cluster.
    pub(crate) async fn branch_within(
        &self,
        cluster: &ClusterId,
        reference: &BranchReference,
    ) -> Result<BranchId, ToolError> {
        let id = self.branch_id(cluster, reference).await?;
        let of_cluster = (cluster.clone(), reference.clone());
        if matches!(reference, BranchReference::Name(_)) || meant(&self.meant.branches, &of_cluster).is_some() {
            return Ok(id);
        }
        match self.cloud().branch(cluster, &id).await {
            Ok(branch) => {
                self.meant.branches.borrow_mut().push((of_cluster, id));
                Ok(branch.branch_id)
            }
            Err(ApiError::NotFound(_)) => {
                let error = ToolError::new(code::NOT_FOUND, format!("This cluster has no branch `{id}`."));
                let error = error.hint("Call tidbcloud_list_branches to see its branches.");
                Err(if self.narrowing().fixes_branch() { at_fixed("branch", id.as_str(), error) } else { error })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The cluster that is meant, of any plan that some tool knows. A name that a cluster of Starter or Essential and one of Dedicated
    /// have is ambiguous.
    pub(crate) async fn any_cluster(&self, reference: &ClusterReference) -> Result<AnyCluster, ToolError> {
        let found = self.first_cluster(reference).await?;
        let ClusterReference::Name(name) = reference else { return Ok(found) };
        if let AnyCluster::Serverless(cluster) = &found
            && self.alias(name).is_none()
            // Where Dedicated fails, clusters of other plans can still be reached.
            && let Ok(others) = self.dedicated().await
            && let Some(other) = others.iter().find(|other| other.display_name == *name)
        {
            return Err(self.several(name, [&cluster.cluster_id, &other.cluster_id]));
        }
        Ok(found)
    }

    /// The cluster of Starter or Essential that is meant, for a tool that serves no other; `hint` is for other plans.
    pub(crate) async fn serverless_cluster(
        &self,
        reference: &ClusterReference,
        hint: &str,
    ) -> Result<Cluster, ToolError> {
        match self.first_cluster(reference).await? {
            AnyCluster::Serverless(cluster) => Ok(*cluster),
            other @ AnyCluster::Dedicated(_) => Err(other.refused(NOT_SERVED, hint)),
        }
    }

    /// The Dedicated cluster that is meant, for a tool that serves no other; `hint` is for other plans.
    pub(crate) async fn dedicated_cluster(
        &self,
        reference: &ClusterReference,
        hint: fn(&str) -> String,
    ) -> Result<DedicatedCluster, ToolError> {
        match self.any_cluster(reference).await? {
            AnyCluster::Dedicated(cluster) => Ok(cluster),
            other @ AnyCluster::Serverless(_) => Err(other.refused(NOT_SERVED, &hint(other.plan()))),
        }
    }

    /// Clusters of Dedicated. Credentials that may not see any have none there.
    pub(super) async fn dedicated(&self) -> Result<Vec<DedicatedCluster>, ApiError> {
        match self.cloud().all_dedicated().await {
            Err(
                ApiError::Forbidden(_) | ApiError::NotFound(_) | ApiError::KeyRejected(_) | ApiError::TokenRejected(_),
            ) => Ok(Vec::new()),
            other => other,
        }
    }

    /// Starter and Essential first, then Dedicated: there by a name only if no other plan knows it.
    async fn first_cluster(&self, reference: &ClusterReference) -> Result<AnyCluster, ToolError> {
        if let Some(cluster) = meant(&self.meant.dedicated, reference) {
            return Ok(AnyCluster::Dedicated(cluster));
        }
        let (id, missing) = match self.cluster_id(reference).await {
            Ok(id) => match self.cloud().cluster(&id).await {
                Ok(cluster) => return Ok(AnyCluster::Serverless(Box::new(cluster))),
                Err(error) => (Some(id), error.into()),
            },
            Err(error) => (None, error),
        };
        if !matches!(missing.code, code::NOT_FOUND | code::PERMISSION_DENIED) {
            return Err(missing);
        }
        let mut clusters = self.dedicated().await?;
        clusters.retain(|cluster| match &id {
            Some(id) => cluster.cluster_id == *id,
            None => cluster.display_name == reference.as_str(),
        });
        let cluster = match clusters.as_slice() {
            [] => return Err(missing),
            [only] => only.clone(),
            [one, other, ..] => return Err(self.several(reference.as_str(), [&one.cluster_id, &other.cluster_id])),
        };
        self.meant.dedicated.borrow_mut().push((reference.clone(), cluster.clone()));
        Ok(AnyCluster::Dedicated(cluster))
    }

    fn several(&self, name: &str, ids: [&ClusterId; 2]) -> ToolError {
        let all = ids.into_iter().map(|id| (name.to_owned(), id.clone()));
        match one("cluster", name, all, "") {
            Err(error) if self.narrowing().fixes_cluster() => at_fixed("cluster", name, error),
            Err(error) => error,
            Ok(_) => ToolError::fault("two clusters of a name are one"),
        }
    }

    /// Where SQL goes.
    pub(crate) async fn target(
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

/// A cluster of any plan that some tool knows.
pub(crate) enum AnyCluster {
    /// Starter or Essential.
    Serverless(Box<Cluster>),
    /// Dedicated.
    Dedicated(DedicatedCluster),
}

/// Why a tool refuses a cluster of another plan.
const NOT_SERVED: &str = "which this tool does not serve";

impl AnyCluster {
    /// Its plan, as TiDB Cloud calls it.
    pub(crate) fn plan(&self) -> &'static str {
        match self {
            Self::Serverless(cluster) => cluster.plan().name(),
            Self::Dedicated(_) => "Dedicated",
        }
    }

    fn refused(&self, why: &str, hint: &str) -> ToolError {
        let (name, id) = match self {
            Self::Serverless(cluster) => (&cluster.display_name, &cluster.cluster_id),
            Self::Dedicated(cluster) => (&cluster.display_name, &cluster.cluster_id),
        };
        refused_by_plan(said(name, id.as_str()), self.plan(), why, hint)
    }
}

/// A cluster's plan does not have what a call is about; nothing has been sent by then. `why` begins with "which".
pub(crate) fn refused_by_plan(cluster: &str, plan: &str, why: &str, hint: &str) -> ToolError {
    let message = format!("The cluster {cluster} is of the plan {plan}, {why}. Nothing was changed.");
    ToolError::new(code::FAILED_PRECONDITION, message).hint(hint)
}

/// The label of a cluster that gives it a short name.
pub(crate) const ALIAS_LABEL: &str = "mcp-alias";

/// Why an alias is ignored if an earlier source has its name.
const EARLIER: &str = "A source with higher precedence has this alias.";

/// An alias, and where it comes from.
pub(crate) struct KnownAlias {
    pub(crate) alias: String,
    pub(crate) cluster: ClusterId,
    pub(crate) source: &'static str,
    /// Why it is ignored.
    pub(crate) refused: Option<&'static str>,
}

/// The cluster with this display name or alias label. Labels have no precedence over names: permission to label one
/// cluster must not allow taking the name of another.
pub(crate) fn named(name: &str, clusters: &[Cluster]) -> Result<ClusterId, ToolError> {
    let all = clusters.iter().map(|cluster| {
        let label = cluster.labels.get(ALIAS_LABEL).filter(|label| is_alias(label) && *label == name);
        (label.unwrap_or(&cluster.display_name).clone(), cluster.cluster_id.clone())
    });
    one("cluster", name, all, "tidbcloud_list_clusters")
}

/// The error if the name that the address fixes was not found or is ambiguous. It shows no other names, and the remedy is
/// not an argument.
pub(crate) fn at_fixed(what: &str, name: &str, error: ToolError) -> ToolError {
    let found = match error.code {
        code::AMBIGUOUS_NAME => "more than one has that name",
        code::NOT_FOUND => "it does not exist",
        _ => return error,
    };
    let message = format!("The URL that this client connected to names the {what} `{name}`, and {found}.");
    let hint =
        format!("Ask the person to correct the URL: with the {what}'s id in it, it always means the same {what}.");
    ToolError::new(error.code, message).hint(hint)
}

/// Whether a name can stand in an error: one that is a sentence, or closes its quotes, could pass for the server's own words.
fn is_plain(name: &str) -> bool {
    name.chars().all(|character| character.is_alphanumeric() || "-_./".contains(character))
}

/// What something is called in an error: by its name, or by its id where the name could pass for the server's own words.
pub(crate) fn said<'n>(name: &'n str, id: &'n str) -> &'n str {
    if is_plain(name) && !name.is_empty() { name } else { id }
}

/// Names are compared exactly: acting on a look-alike is worse than asking again.
pub(crate) fn one<T: std::fmt::Display>(
    what: &str,
    name: &str,
    all: impl Iterator<Item = (String, T)>,
    list: &str,
) -> Result<T, ToolError> {
    let (mut matching, others): (Vec<_>, Vec<_>) = all.partition(|(candidate, _)| candidate == name);
    if matching.len() > 1 {
        let ids: Vec<_> = matching.iter().take(SIMILAR_MAX).map(|(_, id)| id.to_string()).collect();
        let plural = if what.ends_with('h') { "es" } else { "s" };
        return Err(ToolError::new(
            code::AMBIGUOUS_NAME,
            format!("{} {what}{plural} are named `{name}`: {}.", matching.len(), ids.join(", ")),
        )
        .hint(format!("Give the {what} by its id.")));
    }
    if let Some((_, id)) = matching.pop() {
        return Ok(id);
    }
    let lower = name.to_ascii_lowercase();
    let similar: Vec<_> = others
        .iter()
        .map(|(candidate, _)| candidate)
        .filter(|candidate| {
            let candidate = candidate.to_ascii_lowercase();
            is_plain(&candidate) && (candidate.contains(&lower) || lower.contains(&candidate))
        })
        .take(SIMILAR_MAX)
        .map(|candidate| format!("`{candidate}`"))
        .collect();
    let error = ToolError::new(code::NOT_FOUND, format!("No {what} is named `{name}`."));
    Err(if similar.is_empty() {
        error.hint(format!("Call {list} to see the names."))
    } else {
        error.hint(format!("Similar names: {}. Use one of them, or call {list}.", similar.join(", ")))
    })
}
