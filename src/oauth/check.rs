//! Whether TiDB Cloud takes what a person gave, before anything is kept of it.

use std::time::Duration;

use super::Server;
use crate::{
    limits::lease::Guarded,
    tidbcloud::{ApiError, Authenticator, CheckFailure, Cloud, NotTried},
};

/// TiDB Cloud has this long to say whether it takes a key: five keys, one after the other, within what a person waits for.
pub(super) const CHECK_TIME_MAX: Duration = Duration::from_secs(10);

/// What TiDB Cloud said of a key.
pub(super) enum Checked {
    /// It takes it.
    Accepted,
    /// It does not.
    Refused,
    /// A guard is in the way.
    Guarded(Guarded),
    /// It did not say.
    Unknown,
}

impl Server<'_> {
    /// Asks TiDB Cloud for one cluster: the least that any role may do.
    pub(super) async fn check(&self, authenticator: &Authenticator) -> Checked {
        let (hosts, memory, witness) = (&self.config.hosts, self.tidb_cloud_memory, self.witness());
        let deadline = self.now().after(CHECK_TIME_MAX);
        let cloud = Cloud::new(self.port.io, self.log(), hosts, authenticator, &witness, memory, deadline);
        match cloud.check().await {
            Ok(()) => Checked::Accepted,
            Err(CheckFailure::Refused(_)) => Checked::Refused,
            Err(CheckFailure::Unsettled(ApiError::KeyNotTried(why))) => Checked::Guarded(match why {
                NotTried::Limited { retry_after_seconds } => Guarded::Limited(retry_after_seconds),
                NotTried::Unavailable => Guarded::Unavailable,
            }),
            Err(CheckFailure::Unsettled(_)) => Checked::Unknown,
        }
    }
}
