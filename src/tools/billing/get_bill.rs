//! `tidbcloud_get_bill`: what a month cost.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::charges::{grouped, picture, refused, short, sort, total};
use crate::{
    base::schema::schema_of,
    catalogue::{Context, Effect, Tool, ToolError, code},
    tidbcloud::{ApiError, Bill, BilledMonth, Charge},
    tools::preflight::UNIT,
};

/// Months before the present one that have bills: "up to 6 months prior to the current month" (TiDB Cloud API, `GET /bills/{billedMonth}`).
const MONTHS_BACK: usize = 6;

/// One month of the bill: what was charged, by project, cluster, service or day.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct GetBill {
    /// YYYY-MM; at most 6 months back
    #[schemars(with = "String")]
    month: BilledMonth,
    /// Default: service
    by: Option<By>,
}

/// What a bill is divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum By {
    Project,
    Cluster,
    Service,
    Day,
}

schema_of! {
    By => {"type": "string", "enum": ["project", "cluster", "service", "day"]};
}

#[derive(Serialize, JsonSchema)]
pub(super) struct BillView {
    month: String,
    by: By,
    /// First the total, then the most expensive; `runningTotal` is before `discounts` and `credits`
    #[schemars(with = "Vec<Map<String, Value>>")]
    charges: Vec<Charge>,
    unit: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    notice: Option<&'static str>,
}

const NOTHING: &str =
    "TiDB Cloud has no charges in this month: nothing was billed, or the organization did not exist yet.";

impl GetBill {
    /// Requires a month that has a bill.
    fn must_exist(&self, now: BilledMonth) -> Result<(), ToolError> {
        let oldest = (0..MONTHS_BACK).fold(now.clone(), |month, _| month.before());
        let why = match &self.month {
            month if *month > now => "has not begun",
            month if *month < oldest => "is too long ago",
            _ => return Ok(()),
        };
        let message = format!("There is no bill of {}: the month {why}. Bills are of {oldest} to {now}.", self.month);
        Err(ToolError::new(code::INVALID_ARGUMENT, message).hint("Give one of these months."))
    }

    fn refused(&self, error: ApiError) -> ToolError {
        let is_missing = matches!(error, ApiError::NotFound(_) | ApiError::Refused(_));
        let mut error = refused(error);
        if is_missing {
            error.hint = format!(
                "TiDB Cloud may have no bill of {}: the organization may be younger. Try a later month.",
                self.month
            );
        }
        error
    }
}

/// The services of a bill that have none within them, by their whole names.
fn leaves(charges: Vec<Charge>, above: &str, all: &mut Vec<Charge>) {
    for mut charge in charges {
        let name = charge.name.take().unwrap_or_default();
        let whole = if above.is_empty() || name.starts_with(above) { name } else { format!("{above} - {name}") };
        let parts = std::mem::take(&mut charge.parts);
        if parts.is_empty() {
            all.push(Charge { name: Some(whole), ..charge });
        } else {
            leaves(parts, &whole, all);
        }
    }
}

impl Tool for GetBill {
    const NAME: &'static str = "tidbcloud_get_bill";
    const TITLE: &'static str = "Get monthly bill";
    const EFFECT: Effect = Effect::Read;
    const LIST: Option<&'static str> = Some("charges");
    const OF_CALLER: &'static [&'static str] = &["month", "by", "unit"];
    type Output = BillView;

    fn picture(output: &BillView) -> Option<String> {
        let by = match output.by {
            By::Project => "project",
            By::Cluster => "cluster",
            By::Service => "service",
            By::Day => "day",
        };
        picture(format!("Bill of {} by {by}", output.month), &output.charges, output.by == By::Day)
    }

    async fn call(self, context: &Context<'_>) -> Result<BillView, ToolError> {
        self.must_exist(BilledMonth::of(context.now()))?;
        let by = self.by.unwrap_or(By::Service);
        let bill = context.cloud().bill(&self.month).await.map_err(|error| self.refused(error))?;
        let Bill { overview, summary_by_project, summary_by_service } = bill;
        let mut parts = match by {
            By::Project => [summary_by_project.projects, summary_by_project.other_charges].concat(),
            By::Service => {
                let mut all = Vec::new();
                leaves(summary_by_service, "", &mut all);
                all
            }
            By::Cluster | By::Day => {
                let details = context.cloud().bill_details(&self.month).await.map_err(|error| self.refused(error))?;
                grouped(
                    details,
                    match by {
                        By::Day => |row| Charge { billed_date: row.billed_date.clone(), ..Charge::default() },
                        _ => |row| {
                            let name = row.cluster_name.clone().or_else(|| Some("no cluster".to_owned()));
                            Charge { name, project: row.name.clone(), ..Charge::default() }
                        },
                    },
                )?
            }
        };
        match by {
            By::Day => parts.sort_by(|one, two| one.billed_date.cmp(&two.billed_date)),
            _ => sort(&mut parts),
        }
        let notice = (parts.is_empty()).then_some(NOTHING);
        let charges =
            std::iter::once(Charge { billed_date: None, ..total(overview) }).chain(parts).map(short).collect();
        Ok(BillView { month: self.month.into(), by, charges, unit: UNIT, notice })
    }
}
