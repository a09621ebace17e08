//! `tidbcloud_list_audit_events`: the audit log of the console.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    base::{schema::schema_of, text::is_hidden},
    catalogue::{Context, Effect, Moment, PageSize, Tool, ToolError, code, cut_text},
    tidbcloud::{ApiError, AuditEvent, PageToken},
};

/// What was done in the console and by API, by whom: who created, changed or deleted a cluster.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ListAuditEvents {
    /// RFC 3339, or -24h; kept for 90 days
    from: Option<Moment>,
    /// As `from`; default: now
    to: Option<Moment>,
    keyword: Option<Keyword>,
    page_size: Option<PageSize>,
    /// Last `nextPageToken`
    #[schemars(with = "Option<String>")]
    page_token: Option<PageToken>,
}

/// What events are searched for.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Keyword(String);

impl TryFrom<String> for Keyword {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let holds = (1..=100).contains(&text.chars().count()) && !text.contains(is_hidden);
        if holds { Ok(Self(text)) } else { Err("must have 1 to 100 characters, none of them hidden") }
    }
}

schema_of! {
    Keyword => {"type": "string", "description": "Word in an event, such as a name"};
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Events {
    #[schemars(with = "Vec<serde_json::Map<String, serde_json::Value>>")]
    events: Vec<AuditEvent>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_size: Option<u64>,
}

/// TiDB Cloud gives 100 by default, some 300 bytes each, of the 18,000 that a result may have.
const PAGE: u32 = 20;
/// The details of an event are JSON of others; 20 events of 400 bytes and as much for the rest are 16,000.
const DETAILS_BYTES_MAX: usize = 400;

impl Tool for ListAuditEvents {
    const NAME: &'static str = "tidbcloud_list_audit_events";
    const TITLE: &'static str = "List console audit events";
    const EFFECT: Effect = Effect::Read;
    const LIST: Option<&'static str> = Some("events");
    type Output = Events;

    async fn call(self, context: &Context<'_>) -> Result<Events, ToolError> {
        let time = |moment: Option<Moment>| moment.map(|moment| moment.timestamp(context.now()));
        let (from, to) = (time(self.from), time(self.to));
        if let (Some(from), Some(to)) = (&from, &to)
            && from.moment() > to.moment()
        {
            let error = ToolError::new(code::INVALID_ARGUMENT, "`from` is later than `to`.");
            return Err(error.hint("Give a `from` before `to`."));
        }
        let size = self.page_size.map_or(PAGE, PageSize::get);
        let keyword = self.keyword.as_ref().map(|keyword| keyword.0.as_str());
        let read =
            context.cloud().audit_events((from.as_ref(), to.as_ref()), keyword, Some(size), self.page_token.as_ref());
        let mut page = read.await.map_err(not_allowed)?;
        for event in &mut page.items {
            if let Some(details) = &mut event.details {
                cut_text(details, DETAILS_BYTES_MAX);
            }
        }
        Ok(Events { events: page.items, next_page_token: page.next_page_token, total_size: page.total_size })
    }
}

/// <https://docs.pingcap.com/tidbcloud/tidb-cloud-console-auditing/#prerequisites>
fn not_allowed(error: ApiError) -> ToolError {
    let hint = "The audit log is for an Organization Owner or Console Audit Manager, and has to be enabled in the console: ask the person.";
    crate::catalogue::advised(error, |error| matches!(error, ApiError::Forbidden(_)), hint)
}
