//! Checks a person's keys with TiDB Cloud before they are stored.

use std::time::Duration;

use super::Server;
use crate::{
    limits::lease::Guarded,
    tidbcloud::{ApiError, Authenticator, CheckFailure, Cloud, NotTried},
};

/// TiDB Cloud has this long to accept or refuse a key: five keys, one after the other, while a person waits.
pub(super) const CHECK_TIME_MAX: Duration = Duration::from_secs(10);

/// TiDB Cloud's verdict on a key.
pub(super) enum Checked {
    /// The key is valid.
    Accepted,
    /// The key is invalid.
    Refused,
    /// A guard did not let the key pass.
    Guarded(Guarded),
    /// There is no verdict.
    Unknown,
}

impl Server<'_> {
    /// Asks TiDB Cloud for one cluster: the least that any role may do.
    pub(super) async fn check(&self, authenticator: &Authenticator) -> Checked {
        let (hosts, memory, witness) = (&self.config.hosts, self.tidb_cloud_memory, self.witness());
        let deadline = self.now().after(CHECK_TIME_MAX);
        let cloud = Cloud::new(self.port.io, self.log, hosts, authenticator, &witness, memory, deadline);
        match cloud.check().await {
            Ok(()) => Checked::Accepted,
            Err(CheckFailure::Refused(_)) => Checked::Refused,
            Err(CheckFailure::Unsettled(ApiError::KeyNotTried(why))) => Checked::Guarded(match why {
                NotTried::Limited { retry_after_seconds } => Guarded::Limited(retry_after_seconds),
                NotTried::Unavailable => Guarded::Unavailable,
            }),
            Err(CheckFailure::Unsettled(ApiError::HeldBack { retry_after_seconds })) => {
                Checked::Guarded(Guarded::Limited(retry_after_seconds))
            }
            Err(CheckFailure::Unsettled(_)) => Checked::Unknown,
        }
    }
}
