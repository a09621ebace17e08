//! `tidbcloud_explore_costs`: costs over a range of days.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::charges::{picture, refused, short, sort, total};
use crate::{
    base::schema::schema_of,
    catalogue::{ClusterReference, Context, Effect, Tool, ToolError, code, text_size},
    tidbcloud::{BilledDay, Charge, CostService, CostTerms},
    tools::preflight::UNIT,
};

/// Names in an error.
const NAMES_MAX: usize = 10;
/// Days of one answer: what is billed reaches back 6 months.
const DAYS_MAX: u64 = 190;
/// Bytes of an answer beside its costs.
const REST_BYTES: usize = 1_200;

/// Costs of a range of days: which cluster, service or region you spend most on.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ExploreCosts {
    /// YYYY-MM-DD
    #[schemars(with = "String")]
    from: BilledDay,
    /// Last day
    #[schemars(with = "String")]
    to: BilledDay,
    cluster: Option<ClusterReference>,
    /// As billed
    service: Option<String>,
    /// What by
    group_by: Option<GroupBy>,
    /// Default: day
    granularity: Option<Granularity>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum GroupBy {
    Project,
    Cluster,
    Service,
    Region,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Granularity {
    Day,
    Month,
    Total,
}

schema_of! {
    GroupBy => {"type": "string", "enum": ["project", "cluster", "service", "region"]};
    Granularity => {"type": "string", "enum": ["day", "month", "total"]};
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Costs {
    from: String,
    to: String,
    granularity: Granularity,
    /// First the total; `runningTotal` is before `discounts` and `credits`
    #[schemars(with = "Vec<Map<String, Value>>")]
    costs: Vec<Charge>,
    unit: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    notice: Option<String>,
}

const NOTHING: &str = "TiDB Cloud has no costs for this.";

impl ExploreCosts {
    fn must_be_a_range(&self, today: &BilledDay) -> Result<(), ToolError> {
        let days = self.from.days_to(&self.to) + 1;
        if days > DAYS_MAX && matches!(self.granularity, None | Some(Granularity::Day)) {
            let message = format!("A range by day has at most {DAYS_MAX} days, and this one {days}.");
            return Err(
                ToolError::new(code::INVALID_ARGUMENT, message).hint("Give `granularity` month, or a shorter range.")
            );
        }
        let message = if self.to < self.from {
            format!("The last day, {}, is before the first, {}.", self.to.as_str(), self.from.as_str())
        } else if self.from > *today {
            format!("There are no costs from {} on: today is {} (UTC).", self.from.as_str(), today.as_str())
        } else {
            return Ok(());
        };
        Err(ToolError::new(code::INVALID_ARGUMENT, message)
            .hint("Give `from` and `to` as past days, the earlier first."))
    }

    /// The id of the cluster that is meant. Costs name clusters of every plan, also those that were deleted.
    async fn cluster_id(&self, context: &Context<'_>, terms: &CostTerms) -> Result<Option<String>, ToolError> {
        let name = match &self.cluster {
            None => return Ok(None),
            Some(ClusterReference::Id(id)) => return Ok(Some(id.to_string())),
            Some(ClusterReference::Name(name)) => name,
        };
        if let Some(id) = context.alias(name) {
            return Ok(Some(id.to_string()));
        }
        let mut named =
            terms.clusters.iter().filter(|cluster| cluster.name == *name).map(|cluster| cluster.id.as_str());
        match (named.next(), named.next()) {
            (Some(only), None) => Ok(Some(only.to_owned())),
            (Some(one), Some(other)) => {
                let message = format!("Several clusters with costs are called `{name}`: {one}, {other}, ...");
                Err(ToolError::new(code::AMBIGUOUS_NAME, message).hint("Give one of these ids."))
            }
            (None, _) => match &self.cluster {
                Some(reference) => Ok(Some(context.cluster_id(reference).await?.to_string())),
                None => Ok(None),
            },
        }
    }
}

/// The services that are meant: one by its name, or all of a product.
fn services<'t>(name: &str, terms: &'t CostTerms) -> Result<Vec<&'t CostService>, ToolError> {
    let is = |text: &Option<String>| text.as_deref().is_some_and(|text| text.eq_ignore_ascii_case(name.trim()));
    let found: Vec<_> = terms.services.iter().filter(|service| is(&service.service) || is(&service.product)).collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let names = terms.services.iter().filter_map(|service| service.service.as_deref()).take(NAMES_MAX);
    let names = names.collect::<Vec<_>>().join("; ");
    let message = format!("No product or service with costs has this name. There are: {names}.");
    Err(ToolError::new(code::NOT_FOUND, message)
        .hint("Give `service` as one of these, or as its first part, the product."))
}

/// Leaves out the oldest dates if all of them do not fit, and says so.
fn keep_newest(costs: &mut Vec<Charge>, bytes_max: usize) -> Option<String> {
    let mut bytes = 0;
    let does_not_fit = |cost: &Charge| {
        bytes += serde_json::to_string(cost).map_or(0, |text| text_size(&text) + 1);
        bytes > bytes_max
    };
    let oldest = costs.iter().rposition(does_not_fit)?;
    let date = costs.get(oldest)?.billed_date.clone();
    // A date of which a part does not fit is left out whole, unless it is the only one.
    let is_newer = |cost: &Charge| cost.billed_date > date;
    let kept = costs.iter().position(is_newer).unwrap_or(oldest + 1);
    costs.drain(..kept);
    let first = costs.first()?.billed_date.as_deref().unwrap_or_default();
    let of = if date.as_deref() == Some(first) { "Some of, and all before," } else { "Costs before" };
    Some(format!(
        "{of} {first} do not fit here, and are in the total only. Give a shorter range, `granularity` month or total, or one cluster or service."
    ))
}

impl Tool for ExploreCosts {
    const NAME: &'static str = "tidbcloud_explore_costs";
    const TITLE: &'static str = "Explore costs";
    const EFFECT: Effect = Effect::Read;
    const LIST: Option<&'static str> = Some("costs");
    const OF_CALLER: &'static [&'static str] = &["from", "to", "granularity", "unit"];
    type Output = Costs;

    fn picture(output: &Costs) -> Option<String> {
        // Where the oldest are left out, it is of those that are not.
        let first = output.costs.get(1).and_then(|cost| cost.billed_date.as_ref()).filter(|_| output.notice.is_some());
        let title = format!("Costs from {} to {}", first.unwrap_or(&output.from), output.to);
        picture(title, &output.costs, output.granularity != Granularity::Total)
    }

    async fn call(self, context: &Context<'_>) -> Result<Costs, ToolError> {
        self.must_be_a_range(&BilledDay::of(context.now()))?;
        let granularity = self.granularity.unwrap_or(Granularity::Day);
        let terms = match (&self.cluster, &self.service) {
            (None, None) => CostTerms::default(),
            _ => context.cloud().cost_terms().await.map_err(refused)?,
        };
        let mut filter = Map::new();
        filter.insert("timeRange".to_owned(), json!({"startDate": self.from, "endDate": self.to}));
        if let Some(id) = self.cluster_id(context, &terms).await? {
            filter.insert("clusters".to_owned(), json!([id]));
        }
        if let Some(name) = &self.service {
            filter.insert("services".to_owned(), json!(services(name, &terms)?));
        }
        let mut groups = json!({"timeGranularity": granularity});
        if let (Some(by), Some(groups)) = (self.group_by, groups.as_object_mut()) {
            groups.insert("groupBy".to_owned(), json!([by]));
        }
        let mut whole = context.cloud().costs(&json!({"filter": filter, "groups": groups})).await.map_err(refused)?;
        let mut costs = Vec::new();
        for mut element in std::mem::take(&mut whole.parts) {
            let (parts, date) = (std::mem::take(&mut element.parts), element.billed_date.clone());
            if parts.is_empty() {
                costs.push(element);
            } else {
                // In their breakdown a date need not be repeated.
                costs.extend(
                    parts
                        .into_iter()
                        .map(|part| Charge { billed_date: part.billed_date.clone().or_else(|| date.clone()), ..part }),
                );
            }
        }
        let mut costs: Vec<_> = costs.into_iter().map(short).collect();
        let mut notice = costs.is_empty().then(|| NOTHING.to_owned());
        if granularity == Granularity::Total {
            sort(&mut costs);
        } else {
            costs.sort_by(|one, two| one.billed_date.cmp(&two.billed_date));
            notice = notice.or_else(|| keep_newest(&mut costs, context.result_bytes().saturating_sub(REST_BYTES)));
        }
        costs.insert(0, short(total(whole)));
        Ok(Costs { from: self.from.into(), to: self.to.into(), granularity, costs, unit: UNIT, notice })
    }
}
