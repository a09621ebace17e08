//! Before something that may cost: what a person reads about money beside what happens. What is billed, in which unit, what the month
//! has cost so far, how many free instances are used. Never a price: prices are TiDB Cloud's.

use crate::{
    catalogue::{Context, Stakes},
    tidbcloud::{ApiError, BilledMonth, Cluster, Plan},
};

/// What may cost, on which plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MayCost {
    /// A new instance, also one that a backup is restored into.
    New(Plan),
    /// More of an instance: a higher limit, or more capacity.
    More(Plan),
    /// Data that is read, written or sent, as by an export or an import.
    Transfer(Plan),
}

/// Instances without cost that an organization may have.
/// <https://docs.pingcap.com/tidbcloud/select-cluster-tier/#usage-quota>
pub(super) const FREE_INSTANCES: u64 = 5;

/// Branches that an organization may have by default. <https://docs.pingcap.com/tidbcloud/branch-overview/>
pub(super) const BRANCHES_MAX: u64 = 5;

/// Clusters whose branches are counted, a request each: with those for the rest, half of what an HTTP request may send.
const COUNTED_MAX: usize = 20;

/// Why branches were not counted.
pub(super) enum NotCounted {
    /// In words.
    Said(String),
    /// TiDB Cloud did not answer for a cluster.
    Failed(Box<ApiError>),
}

/// Branches of all Starter clusters, counted cluster by cluster.
pub(super) async fn branches_used(context: &Context<'_>, clusters: &[Cluster]) -> Result<u64, NotCounted> {
    let starter: Vec<_> = clusters.iter().filter(|cluster| cluster.plan() == Plan::Starter).collect();
    if starter.len() > COUNTED_MAX {
        return Err(NotCounted::Said(format!("there are more than {COUNTED_MAX} Starter clusters.")));
    }
    let mut used = 0;
    for cluster in starter {
        let page = context.cloud().branches(&cluster.cluster_id, Some(1), None).await;
        let page = page.map_err(|error| NotCounted::Failed(Box::new(error)))?;
        used += page.total_size.or(page.items.is_empty().then_some(0)).ok_or_else(|| {
            NotCounted::Said(format!("TiDB Cloud does not say how many `{}` has.", cluster.display_name))
        })?;
    }
    Ok(used)
}

/// Units and the free quota: <https://docs.pingcap.com/tidbcloud/select-cluster-tier/>. Backups and egress are billed on Essential
/// since 2026-09-01.
fn billed(costs: MayCost) -> &'static str {
    match costs {
        MayCost::New(Plan::Starter) | MayCost::More(Plan::Starter) => {
            "by use, in Request Units (RUs) and GiB of storage; of an organization's first five instances each has 50 million RUs and \
             5 GiB of rows and 5 GiB of columns a month free; never above the spending limit"
        }
        MayCost::New(Plan::Essential) | MayCost::More(Plan::Essential) => {
            "in Request Capacity Units (RCUs): the least of the range always, more by use up to the most; besides, GiB of storage, \
             backups and network egress"
        }
        MayCost::Transfer(Plan::Starter) => {
            "Request Units (RUs) of the cluster, from its free quota first and never above its spending limit"
        }
        MayCost::Transfer(Plan::Essential) => {
            "Request Capacity Units (RCUs) of the cluster within its range, and network egress"
        }
    }
}

/// The stakes with what is known of money. It fails for nothing: what could not be read is said to be not known. It takes one
/// request; for a new Starter instance one more, and one for each of 20 Starter instances at most.
pub(super) async fn preflight(context: &Context<'_>, stakes: Stakes, costs: MayCost) -> Stakes {
    let stakes = stakes.fact("Billed", Some(billed(costs)));
    let month = BilledMonth::of(context.now());
    let spent = match context.cloud().bill_at_a_glance(&month).await {
        Ok(bill) if bill.overview.total_cost.is_empty() => "not known: the bill has no total".to_owned(),
        Ok(bill) => format!("{} in {month}. {UNIT}", bill.overview.total_cost),
        Err(error) => unknown(&error, "this key may not read bills"),
    };
    let stakes = stakes.moving_fact("The organization's month to date", spent);
    if costs != MayCost::New(Plan::Starter) {
        return stakes;
    }
    let used = match context.cloud().clusters_at_a_glance().await {
        Ok(page) => {
            let free = page.items.iter().filter(|cluster| cluster.is_free()).count();
            let least = if page.next_page_token.is_some() { "at least " } else { "" };
            let branches = match branches_used(context, &page.items).await {
                Ok(branches) => format!("{least}{branches} of {BRANCHES_MAX}"),
                Err(NotCounted::Said(why)) => format!("not known: {why}"),
                Err(NotCounted::Failed(error)) => unknown(&error, "this key may not list branches"),
            };
            (format!("{least}{free} of {FREE_INSTANCES}"), branches)
        }
        Err(error) => {
            let why = unknown(&error, "this key may not list clusters");
            (why.clone(), why)
        }
    };
    let (free, branches) = used;
    stakes.moving_fact("Free instances used", free).moving_fact("Branches used", branches)
}

/// What is said of amounts. The Billing API describes each as "expressed in cents (100ths of one US Dollar)", with the example `0.00`.
pub(super) const UNIT: &str = "As TiDB Cloud's bill has them. Its API says US cents and writes them as 0.00, which may as well be dollars: \
    compare one with the console.";

fn unknown(error: &ApiError, forbidden: &str) -> String {
    let why = match error {
        ApiError::Forbidden(_) => forbidden,
        ApiError::KeyRejected(_) | ApiError::TokenRejected(_) => {
            "this part of TiDB Cloud does not take these credentials"
        }
        ApiError::NotFound(_) | ApiError::Refused(_) | ApiError::NotOffered(_) => "TiDB Cloud has none",
        _ => "TiDB Cloud did not answer",
    };
    format!("not known: {why}")
}
