//! Lists that come in pages.

use std::{collections::BTreeSet, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, IgnoredAny, MapAccess, Visitor},
};

use super::{call::Call, error::ApiError};
use crate::tidbcloud::{
    Cloud, PageToken,
    tolerant::{filled, integer},
};

/// Asks for a page of one item.
pub(in crate::tidbcloud) const ONE: &[(&str, &str)] = &[("pageSize", "1")];
/// The largest page that TiDB Cloud gives.
const PAGE_SIZE_MAX: u32 = 100;
/// 50 pages of 100 are 5,000 clusters, 50 times what the API lets an organization have (100 instances and branches),
/// and the subrequests of one call on the free plan of Workers.
const PAGES_MAX: usize = 50;

/// The item of a paged list.
pub trait Listed: DeserializeOwned {
    /// The member of a page that holds them.
    const MEMBER: &'static str;
    /// Its name in the other list that has such items, if there is one.
    const OTHER: &'static str = Self::MEMBER;
}

/// A page of a list (schemas `List…Response`, which differ in the name of one member).
#[derive(Clone, Debug, PartialEq)]
pub struct List<T> {
    /// The items of this page.
    pub items: Vec<T>,
    /// Token of the next page; `None` on the last one.
    pub next_page_token: Option<String>,
    /// The total number of items.
    pub total_size: Option<u64>,
}

impl<'de, T: Listed> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(Members(PhantomData))
    }
}

/// Reads the members of a page.
struct Members<T>(PhantomData<T>);

impl<'de, T: Listed> Visitor<'de> for Members<T> {
    type Value = List<T>;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("a page of a list")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<List<T>, A::Error> {
        #[derive(Deserialize)]
        struct Token(#[serde(deserialize_with = "filled")] Option<String>);
        #[derive(Deserialize)]
        struct Size(#[serde(deserialize_with = "integer")] Option<u64>);
        let mut list = List { items: Vec::new(), next_page_token: None, total_size: None };
        while let Some(name) = map.next_key::<String>()? {
            match name.as_str() {
                "nextPageToken" => list.next_page_token = map.next_value::<Token>()?.0,
                "totalSize" => list.total_size = map.next_value::<Size>()?.0,
                member if member == T::MEMBER || member == T::OTHER => {
                    list.items = map.next_value::<Option<Vec<T>>>()?.unwrap_or_default()
                }
                _ => map.next_value::<IgnoredAny>().map(drop)?,
            }
        }
        Ok(list)
    }
}

impl Cloud<'_> {
    /// One page of a list. `page_size` is 10 by default and 100 at most.
    pub(in crate::tidbcloud) async fn page<T: Listed>(
        &self,
        list: Call<'_>,
        page_size: Option<u32>,
        page_token: Option<&PageToken>,
    ) -> Result<List<T>, ApiError> {
        self.page_at(&list, page_size, page_token.map(PageToken::as_str)).await
    }

    /// All pages of a list. A list that does not end is an error, because a part of it would look complete.
    pub(in crate::tidbcloud) async fn all<T: Listed>(&self, list: Call<'_>) -> Result<Vec<T>, ApiError> {
        let (mut all, mut seen) = (Vec::new(), BTreeSet::new());
        let mut next: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let page = self.page_at(&list, Some(PAGE_SIZE_MAX), next.as_deref()).await?;
            all.extend(page.items);
            let Some(token) = page.next_page_token else {
                return Ok(all);
            };
            if !seen.insert(token.clone()) {
                return Err(ApiError::Unexpected("a list that leads back to a page already read"));
            }
            next = Some(token);
        }
        Err(ApiError::Unexpected("a list of more than 50 pages"))
    }

    async fn page_at<T: Listed>(
        &self,
        list: &Call<'_>,
        size: Option<u32>,
        token: Option<&str>,
    ) -> Result<List<T>, ApiError> {
        let size = size.map(|size| size.to_string());
        let size = size.as_deref().map(|size| ("pageSize", size));
        let paging = size.into_iter().chain(token.map(|token| ("pageToken", token)));
        let query: Vec<_> = list.query.iter().copied().chain(paging).collect();
        self.read(&list.clone().with_query(&query)).await
    }
}
