//! Bills of a month.

use serde::{Deserialize, Serialize};

use crate::tidbcloud::{
    ApiError, BilledMonth, Cloud,
    service::BILLING,
    tolerant::{filled, or_default},
};

/// An amount charged for something: one struct for all schemas of the Billing API that have these four amounts
/// (`forms.BillsOverview`, `BillsProjects`, `BillsOtherName`, `BillsServiceCosts`, `BillsDetail`, `BillsCostExplorer`, its elements and
/// their breakdown). Amounts are decimal text and stay text: the API describes them as cents and shows `0.00`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Charge {
    /// What it is for: a project, another charge, a service, or a group of the cost explorer.
    #[serde(
        default,
        rename(deserialize = "name|projectName|chargeName|serviceName|detailName"),
        deserialize_with = "filled",
        skip_serializing_if = "Option::is_none"
    )]
    pub name: Option<String>,
    /// The project of a cluster, where charges are put together by cluster. It is never read.
    #[serde(skip_deserializing, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// The cluster, in daily rows.
    #[serde(default, deserialize_with = "filled", skip_serializing_if = "Option::is_none")]
    pub cluster_name: Option<String>,
    /// The service with those it belongs to, in daily rows.
    #[serde(default, deserialize_with = "filled", skip_serializing_if = "Option::is_none")]
    pub service_path_name: Option<String>,
    /// The id of a group of the cost explorer.
    #[serde(default, rename(serialize = "key"), deserialize_with = "filled", skip_serializing_if = "Option::is_none")]
    pub detail_key: Option<String>,
    /// The day, or the month.
    #[serde(
        default,
        rename(serialize = "date", deserialize = "billedDate|billedMonth"),
        deserialize_with = "filled",
        skip_serializing_if = "Option::is_none"
    )]
    pub billed_date: Option<String>,
    /// What is to be paid: `runningTotal` less `discounts` and `credits`.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub total_cost: String,
    /// What was used.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub running_total: String,
    /// Discounts.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub discounts: String,
    /// Credits.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub credits: String,
    /// The charges that it is made of.
    #[serde(
        default,
        rename(deserialize = "parts|serviceCosts|elements|breakdown"),
        deserialize_with = "or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub parts: Vec<Charge>,
}

/// A bill (schema `forms.BillsExplorer`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Bill {
    /// The sums of the month.
    #[serde(default, deserialize_with = "or_default")]
    pub overview: Charge,
    /// By project.
    #[serde(default, deserialize_with = "or_default")]
    pub summary_by_project: ByProject,
    /// By service, each with the services within it.
    #[serde(default, deserialize_with = "or_default")]
    pub summary_by_service: Vec<Charge>,
}

/// A bill by project (schema `forms.SummaryByProject`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ByProject {
    /// The projects.
    #[serde(default, deserialize_with = "or_default")]
    pub projects: Vec<Charge>,
    /// What belongs to no project, such as support.
    #[serde(default, deserialize_with = "or_default")]
    pub other_charges: Vec<Charge>,
}

impl Cloud<'_> {
    /// `GET /bills/{billedMonth}`
    pub async fn bill(&self, month: &BilledMonth) -> Result<Bill, ApiError> {
        self.read(&BILLING.get("bills/{}", [month.as_str()])).await
    }

    /// `GET /bills/{billedMonth}`, sent once: for a question that can do without it.
    pub async fn bill_at_a_glance(&self, month: &BilledMonth) -> Result<Bill, ApiError> {
        self.look(&BILLING.get("bills/{}", [month.as_str()])).await
    }

    /// `GET /billsDetails/{billedMonth}`: a row for each day, project, cluster and service.
    pub async fn bill_details(&self, month: &BilledMonth) -> Result<Vec<Charge>, ApiError> {
        #[derive(Deserialize)]
        struct Details {
            #[serde(default, deserialize_with = "or_default")]
            details: Vec<Charge>,
        }
        let Details { details } = self.read(&BILLING.get("billsDetails/{}", [month.as_str()])).await?;
        Ok(details)
    }
}
