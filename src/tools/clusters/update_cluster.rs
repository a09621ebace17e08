//! `tidbcloud_update_cluster`: rename, set the spending limit, the capacity or the labels.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    dollars,
    labels::{Labels, in_words, is_own},
    money,
    plan::{must_have, rcus},
    view::ClusterView,
};
use crate::{
    catalogue::{
        ALIAS_LABEL, CALLED, ClusterReference, Context, Done, Effect, Receipt, Stakes, Tool, ToolError, code, named,
        said,
    },
    tidbcloud::{ApiError, AutoScaling, Cluster, ClusterChange, DisplayName, Plan, Rcu, UsdCents},
    tools::preflight::{MayCost, preflight},
};

/// Change a cluster's name, spending limit or labels; what is left out stays.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct UpdateCluster {
    cluster: ClusterReference,
    /// Name
    #[schemars(with = "Option<String>")]
    display_name: Option<DisplayName>,
    /// Starter: monthly bill
    spending_limit_usd_cents: Option<UsdCents>,
    /// Essential: highest capacity
    max_rcu: Option<Rcu>,
    /// Whole new set; systemLabels stay
    labels: Option<Labels>,
}

impl Tool for UpdateCluster {
    const NAME: &'static str = "tidbcloud_update_cluster";
    const TITLE: &'static str = "Update cluster";
    const EFFECT: Effect = Effect::Update;
    const RECEIPT: Option<Receipt<Self>> = Some(Receipt {
        look: "Look with tidbcloud_get_cluster before trying again.",
        tries: |call| format!("update the cluster {}", call.cluster.as_str()),
        done: |cluster| {
            cluster.change.clone().unwrap_or_else(|| Done::of(format!("Updated the cluster {}", cluster.named())))
        },
    });
    const RENAMES: &'static [&'static str] = &["displayName"];
    type Output = ClusterView;

    fn requests_min(arguments: &Map<String, Value>) -> u32 {
        let changes =
            ["displayName", "labels", "spendingLimitUsdCents", "maxRcu"].map(|field| arguments.contains_key(field));
        1 + changes.map(u32::from).iter().sum::<u32>()
    }

    fn asks(&self) -> bool {
        self.spending_limit_usd_cents.is_some_and(|limit| limit.cents() > 0) || self.max_rcu.is_some()
    }

    /// Only a higher limit is asked about, but all that the call changes is shown.
    async fn stakes(&self, context: &Context<'_>) -> Result<Option<Stakes>, ToolError> {
        let id = context.cluster_id(&self.cluster).await?;
        let cluster = context.cloud().cluster(&id).await?;
        must_have(&cluster, self.spending_limit_usd_cents.is_some(), self.max_rcu.is_some())?;
        let Some(raised) = self.raise(&cluster) else { return Ok(None) };
        let labels = match &self.labels {
            Some(labels) if context.narrowing().fixes_cluster() => {
                Some(with_its_alias(&cluster, labels.clone().into_inner())?)
            }
            labels => labels.clone().map(Labels::into_inner),
        };
        let stakes = Stakes::of(raised.what)
            .fact("Name", Some(&cluster.display_name))
            .fact("Id", Some(&id))
            .fact("Plan", Some(cluster.plan().name()))
            .fact("Region", cluster.region.as_ref().map(|region| &region.name))
            .fact(&format!("{} now", raised.limit), Some(raised.before))
            .fact(&format!("{} then", raised.limit), Some(raised.after))
            .fact("New name", self.display_name.as_ref().map(DisplayName::as_str))
            .fact("Labels now", labels.as_ref().map(|_| in_words(&cluster.labels)))
            .fact("Labels then", labels.as_ref().map(in_words));
        Ok(Some(preflight(context, stakes, MayCost::More(cluster.plan())).await))
    }

    async fn call(self, context: &Context<'_>) -> Result<ClusterView, ToolError> {
        let sets_limit = self.spending_limit_usd_cents.is_some();
        if self.display_name.is_none() && !sets_limit && self.max_rcu.is_none() && self.labels.is_none() {
            let fields = if context.narrowing().fixes_cluster() { "" } else { "displayName, " };
            return Err(ToolError::new(code::INVALID_ARGUMENT, "There is nothing to change: no argument says what.")
                .hint(format!("Give {fields}spendingLimitUsdCents, maxRcu or labels.")));
        }
        let id = context.cluster_id(&self.cluster).await?;
        let keeps_alias = self.labels.is_some() && context.narrowing().fixes_cluster();
        let before = context.cloud().cluster(&id).await?;
        must_have(&before, sets_limit, self.max_rcu.is_some())?;
        let labels = match self.labels.map(Labels::into_inner) {
            Some(labels) if keeps_alias => Some(with_its_alias(&before, labels)?),
            labels => labels,
        };
        let capacity = self.max_rcu.map(|max| AutoScaling::up_to(max, before.auto_scaling));
        let changes = [
            self.spending_limit_usd_cents.map(|limit| ("spendingLimitUsdCents", ClusterChange::SpendingLimit(limit))),
            capacity.map(|capacity| ("maxRcu", ClusterChange::Capacity(capacity))),
            labels.map(|labels| ("labels", ClusterChange::Labels(labels))),
            self.display_name.map(|name| ("displayName", ClusterChange::DisplayName(name))),
        ];
        let mut changed: Vec<&str> = Vec::new();
        let mut last = None;
        // TiDB Cloud takes one field per PATCH, and a PATCH may need a request for a nonce. Either all of them fit or none is sent.
        let requests = changes.iter().flatten().map(|_| REQUESTS_PER_CHANGE).sum();
        let mut held = context.allowance().hold(requests).ok_or(ApiError::Exhausted)?;
        for (field, change) in changes.into_iter().flatten() {
            held.release(REQUESTS_PER_CHANGE);
            match context.cloud().update_cluster(&id, &change).await {
                Ok(cluster) => last = Some(cluster),
                Err(error) => {
                    let mut error = ToolError::from(error);
                    if !changed.is_empty() {
                        error.receipt = changed_from(&before, &changed, capacity).in_part();
                        error.details = Some(json!({"changed": changed, "failed": field}).into());
                    }
                    return Err(error);
                }
            }
            changed.push(field);
        }
        let mut cluster = match last {
            Some(cluster) => ClusterView::from(cluster),
            None => context.cloud().cluster(&id).await?.into(),
        };
        cluster.change = Some(changed_from(&before, &changed, capacity));
        if let Some(capacity) = capacity {
            let before = before.auto_scaling.unwrap_or_default();
            cluster.previous_max_rcu = before.max_rcu;
            cluster.previous_min_rcu = before.min_rcu.filter(|least| Some(*least) != capacity.min_rcu);
        }
        if sets_limit {
            // proto3 JSON leaves zeros out.
            cluster.spending_limit_usd_cents.get_or_insert(0);
            cluster.previous_spending_limit_usd_cents = Some(before.limit_cents());
            cluster.notice = Some(ZERO);
        }
        Ok(cluster)
    }
}

/// A raise of what a cluster may cost, for a person.
struct Raise {
    what: String,
    limit: &'static str,
    before: String,
    after: String,
}

impl UpdateCluster {
    /// The raise that the call would be; `None` if it lowers the limit, or leaves it.
    fn raise(&self, cluster: &Cluster) -> Option<Raise> {
        let name = said(&cluster.display_name, cluster.cluster_id.as_str());
        match cluster.plan() {
            Plan::Starter => {
                let (before, after) = (cluster.limit_cents(), i64::from(self.spending_limit_usd_cents?.cents()));
                let (from, to) = (dollars(before), dollars(after));
                let what = format!("Raise the spending limit of the cluster {name} from {from} to {to} a month.");
                let raise = Raise { what, limit: "Highest monthly bill", before: money(before), after: money(after) };
                (after > before).then_some(raise)
            }
            Plan::Essential => {
                let after = AutoScaling::up_to(self.max_rcu?, cluster.auto_scaling);
                let before = cluster.auto_scaling.unwrap_or_default();
                let (from, to) = (before.max_rcu.unwrap_or_default(), after.max_rcu.unwrap_or_default());
                let what = format!(
                    "Raise the highest capacity of the cluster {name} from {from} to {to} RCUs, which are billed."
                );
                (to > from).then(|| Raise { what, limit: "Capacity", before: rcus(before), after: rcus(after) })
            }
        }
    }
}

/// What a change of these fields did, the call that sets them to what they were, and what that call does not set.
fn changed_from(before: &Cluster, fields: &[&'static str], capacity: Option<AutoScaling>) -> Done {
    let id = &before.cluster_id;
    let (own, now) = (before.auto_scaling.unwrap_or_default(), capacity.unwrap_or_default());
    let mut call = Map::from_iter([("cluster".to_owned(), json!(id.as_str()))]);
    let mut lasting = String::new();
    for field in fields {
        let value: Value = match *field {
            "displayName" => before.display_name.as_str().into(),
            "labels" => {
                let own = before.labels.iter().filter(|(name, _)| is_own(name));
                own.map(|(name, value)| (name.clone(), json!(value))).collect()
            }
            "maxRcu" => {
                if let Some(least) = own.min_rcu.filter(|least| Some(*least) != now.min_rcu) {
                    lasting = format!(
                        " But the least capacity stays {}: it was {least}, which only the console sets.",
                        now.min_rcu.unwrap_or_default()
                    );
                }
                match own.max_rcu {
                    Some(most) => most.into(),
                    None => continue,
                }
            }
            _ => before.limit_cents().into(),
        };
        call.insert((*field).to_owned(), value);
    }
    let cluster = named(&before.display_name, id.as_str());
    let done = Done::of(format!("Changed {} of the cluster {cluster}", fields.join(", "))).affecting(Some(1));
    if call.len() == 1 {
        return done;
    }
    let call = Value::Object(call);
    done.undone_by(format!("tidbcloud_update_cluster {call} sets what was there before.{lasting}"))
}

/// The meaning of a limit of 0. <https://docs.pingcap.com/tidbcloud/manage-serverless-spend-limit>
const ZERO: &str = "A limit of 0 US cents would mean the free quota only: once that is used up, reads and writes are \
    throttled until the next month begins.";

const REQUESTS_PER_CHANGE: u32 = 2;

/// The new labels of a cluster that the address fixes: the alias label stays as it is.
fn with_its_alias(
    before: &Cluster,
    mut labels: BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, ToolError> {
    let alias = before.labels.get(ALIAS_LABEL);
    let given = labels.get(ALIAS_LABEL);
    if given.is_some() && given != alias {
        let message = format!("`labels`: `{ALIAS_LABEL}` {CALLED}");
        return Err(ToolError::new(code::INVALID_ARGUMENT, message).hint(format!("Leave `{ALIAS_LABEL}` out.")));
    }
    labels.extend(alias.map(|alias| (ALIAS_LABEL.to_owned(), alias.clone())));
    Ok(labels)
}
