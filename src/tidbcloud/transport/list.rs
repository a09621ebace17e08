//! Lists that come in pages.

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;

use super::{call::Call, error::ApiError};
use crate::tidbcloud::Cloud;

/// The largest page that TiDB Cloud gives.
const PAGE_SIZE_MAX: u32 = 100;
/// 50 pages of 100 are 5,000 clusters, 50 times what the API lets an organization have (100 instances and branches),
/// and the subrequests of one call on the free plan of Workers.
const PAGES_MAX: usize = 50;

/// A page of a list.
pub(in crate::tidbcloud) trait Page: DeserializeOwned {
    /// What it lists.
    type Item;

    /// What is on it, and where the next one starts.
    fn split(self) -> (Vec<Self::Item>, Option<String>);
}

impl Cloud<'_> {
    /// One page of a list. `page_size` is 10 by default and 100 at most.
    pub(in crate::tidbcloud) async fn page<P: Page>(
        &self,
        list: Call<'_>,
        page_size: Option<u32>,
        page_token: Option<&str>,
    ) -> Result<P, ApiError> {
        let size = page_size.map(|size| size.to_string());
        let size = size.as_deref().map(|size| ("pageSize", size));
        let paging = size.into_iter().chain(page_token.map(|token| ("pageToken", token)));
        let query: Vec<_> = list.query.iter().copied().chain(paging).collect();
        self.read(&list.with_query(&query)).await
    }

    /// All pages of a list. A list that does not end is an error, because a part of it would pass for the whole.
    pub(in crate::tidbcloud) async fn all<P: Page>(&self, list: Call<'_>) -> Result<Vec<P::Item>, ApiError> {
        let (mut all, mut seen) = (Vec::new(), BTreeSet::new());
        let mut next: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let page: P = self.page(list.clone(), Some(PAGE_SIZE_MAX), next.as_deref()).await?;
            let (items, token) = page.split();
            all.extend(items);
            let Some(token) = token else {
                return Ok(all);
            };
            if !seen.insert(token.clone()) {
                return Err(ApiError::Unexpected("a list that leads back to a page already read"));
            }
            next = Some(token);
        }
        Err(ApiError::Unexpected("a list of more than 50 pages"))
    }
}
