//! `show_tables`: the tables of a database.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    catalogue::{BranchReference, ClusterReference, Context, Effect, PageSize, SQL_TIME_MAX, Tool, ToolError, code},
    statements::{
        judged::query,
        names::{Names, Place},
        types::{LikePattern, SchemaName},
    },
    tidbcloud::{AccessClass, Query, Replay},
};

/// List the tables and views of a database.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ShowTables {
    cluster: ClusterReference,
    branch: Option<BranchReference>,
    database: SchemaName,
    like: Option<LikePattern>,
    page_size: Option<PageSize>,
    page_token: Option<Place>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Tables {
    /// As requested.
    database: String,
    tables: Vec<String>,
    returned: usize,
    /// Whether not all requested names fit.
    truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    notice: Option<&'static str>,
    /// Left out if there are no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<String>,
    /// Left out if there are too many to count.
    #[serde(skip_serializing_if = "Option::is_none")]
    total_size: Option<usize>,
}

impl Tool for ShowTables {
    const NAME: &'static str = "show_tables";
    const TITLE: &'static str = "Show tables";
    const EFFECT: Effect = Effect::Read;
    const TIME_MAX: Duration = SQL_TIME_MAX;
    type Output = Tables;

    async fn call(self, context: &Context<'_>) -> Result<Tables, ToolError> {
        let target = context.target(&self.cluster, self.branch.as_ref()).await?;
        let like = self.like.as_ref().map(|like| format!(" LIKE {}", like.literal())).unwrap_or_default();
        let sql = format!("SHOW TABLES FROM {}{like}", self.database.quoted());
        let place = self.page_token.unwrap_or_default();
        let query = Query { skipped_rows: place.get(), ..query(&sql) };
        let rows = context.sql().run(&target, AccessClass::ReadOnly, None, query, Replay::Safe).await?;
        let total_size = rows.complete.then_some(rows.seen);
        let count_max = self.page_size.map_or(usize::MAX, |size| usize::try_from(size.get()).unwrap_or(usize::MAX));
        let page = Names::within(rows, count_max, context.result_bytes());
        if page.more && page.names.is_empty() {
            let message = "This page starts beyond the names that one call reads.";
            let error = ToolError::new(code::RESULT_TOO_LARGE, message);
            return Err(error.hint("Call it alone, or ask for fewer names with `like`."));
        }
        let truncated = page.more && page.names.len() < count_max;
        Ok(Tables {
            returned: page.names.len(),
            truncated,
            notice: truncated.then_some("More names do not fit. Call again with `pageToken` to go on."),
            database: self.database.into_inner(),
            next_page_token: page.more.then(|| place.after(page.names.len())),
            tables: page.names,
            total_size,
        })
    }
}
