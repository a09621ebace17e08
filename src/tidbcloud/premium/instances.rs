//! Instances.

use serde::de::IgnoredAny;

use crate::tidbcloud::{ApiError, Cloud, service::PREMIUM, transport::list::ONE};

impl Cloud<'_> {
    /// Whether instances can be read: `GET /tidbs` for one of them, sent once.
    pub async fn sees_premium(&self) -> Result<(), ApiError> {
        self.look::<IgnoredAny>(&PREMIUM.get("tidbs", []).with_query(ONE)).await.map(drop)
    }
}
