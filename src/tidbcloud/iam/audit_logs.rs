//! The console's audit log.

use serde::{Deserialize, Serialize};

use crate::tidbcloud::{
    ApiError, Cloud, PageToken, Timestamp,
    service::IAM,
    tolerant::{filled, or_default},
    transport::list::{List, Listed},
};

/// An event (schema `controller.orgAuditLog`), as tools answer with it too.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "fields are those of the published schema, which says what they mean")]
pub struct AuditEvent {
    #[serde(default, deserialize_with = "filled", skip_serializing_if = "Option::is_none", rename(serialize = "time"))]
    pub end_time: Option<String>,
    #[serde(default, deserialize_with = "or_default", rename(serialize = "event"))]
    pub event_type: String,
    #[serde(default, deserialize_with = "filled", skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    #[serde(default, deserialize_with = "filled", skip_serializing_if = "Option::is_none", rename(serialize = "by"))]
    pub operation_email: Option<String>,
    #[serde(default, deserialize_with = "filled", skip_serializing_if = "Option::is_none", rename(serialize = "as"))]
    pub operation_type: Option<String>,
    #[serde(default, deserialize_with = "filled", skip_serializing_if = "Option::is_none", rename(serialize = "ip"))]
    pub operation_ip: Option<String>,
    #[serde(default, deserialize_with = "filled", skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,
    #[serde(default, deserialize_with = "filled", skip_serializing_if = "Option::is_none")]
    pub cluster_name: Option<String>,
    #[serde(default, deserialize_with = "filled", skip_serializing_if = "Option::is_none")]
    pub project_name: Option<String>,
    /// JSON.
    #[serde(default, deserialize_with = "filled", skip_serializing_if = "Option::is_none")]
    pub details: Option<String>,
}

impl Listed for AuditEvent {
    const MEMBER: &'static str = "auditLogs";
}

impl Cloud<'_> {
    /// `GET /auditLogs` of IAM: one page, of 100 by default.
    pub async fn audit_events(
        &self,
        (from, to): (Option<&Timestamp>, Option<&Timestamp>),
        keyword: Option<&str>,
        size: Option<u32>,
        token: Option<&PageToken>,
    ) -> Result<List<AuditEvent>, ApiError> {
        let given =
            [("startTime", from.map(Timestamp::as_str)), ("endTime", to.map(Timestamp::as_str)), ("keyword", keyword)];
        let query: Vec<_> = given.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        self.page(IAM.get("auditLogs", []).with_query(&query), size, token).await
    }
}
