//! Clusters.

use serde::de::IgnoredAny;

use crate::tidbcloud::{ApiError, Cloud, service::DEDICATED, transport::list::ONE};

impl Cloud<'_> {
    /// Whether clusters can be read: `GET /clusters` for one of them, sent once.
    pub async fn sees_dedicated(&self) -> Result<(), ApiError> {
        self.look::<IgnoredAny>(&DEDICATED.get("clusters", []).with_query(ONE)).await.map(drop)
    }
}
