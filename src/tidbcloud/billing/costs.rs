//! The cost explorer.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::bills::Charge;
use crate::{
    base::http::Method,
    tidbcloud::{
        ApiError, Cloud,
        service::BILLING,
        tolerant::{filled, or_default},
    },
};

/// What costs can be asked for (schema `forms.TrendsArgs`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "fields are those of the published schema, which says what they mean")]
pub struct CostTerms {
    #[serde(default, deserialize_with = "or_default")]
    pub services: Vec<CostService>,
    #[serde(default, deserialize_with = "or_default")]
    pub clusters: Vec<CostCluster>,
}

/// A service (schema `forms.CostExplorerService`): its name, and the three levels of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "fields are those of the published schema, which says what they mean")]
pub struct CostService {
    #[serde(default, deserialize_with = "filled", skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    #[serde(default, deserialize_with = "filled", skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    #[serde(default, deserialize_with = "filled", skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    #[serde(default, deserialize_with = "filled", skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
}

/// A cluster of any plan, also one that was deleted (schema `forms.ClusterOpenAPI`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "fields are those of the published schema, which says what they mean")]
pub struct CostCluster {
    #[serde(default, deserialize_with = "or_default")]
    pub id: String,
    #[serde(default, deserialize_with = "or_default")]
    pub name: String,
}

impl Cloud<'_> {
    /// `GET /billsCostExplorer/args`
    pub async fn cost_terms(&self) -> Result<CostTerms, ApiError> {
        self.read(&BILLING.get("billsCostExplorer/args", [])).await
    }

    /// `POST /billsCostExplorer`: a question (schema `forms.TrendsInput`). It has no effect, so it is asked again as a read is.
    pub async fn costs(&self, query: &Value) -> Result<Charge, ApiError> {
        self.read(&BILLING.call(Method::Post, "billsCostExplorer", []).with_body(query)).await
    }
}
