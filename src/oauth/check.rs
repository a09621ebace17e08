//! Whether TiDB Cloud takes what a person gave, before anything is kept of it.

use std::time::Duration;

use super::{Server, guard::Guarded};
use crate::{
    platform::Platform,
    tidbcloud::{ApiKey, Authenticator, CheckFailure, Cloud},
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

impl<P: Platform> Server<'_, P> {
    /// Whether TiDB Cloud takes a key.
    pub(super) async fn check_key(&self, key: &ApiKey) -> Checked {
        if let Err(guarded) = self.guard_key(key).await {
            return Checked::Guarded(guarded);
        }
        let checked = self.check(&key.clone().into()).await;
        match checked {
            Checked::Accepted => self.remember_accepted(key).await,
            Checked::Refused => self.count_refusal(key).await,
            Checked::Guarded(_) | Checked::Unknown => {}
        }
        checked
    }

    /// Asks TiDB Cloud for one cluster: the least that any role may do.
    pub(super) async fn check(&self, authenticator: &Authenticator) -> Checked {
        let deadline = self.now().after(CHECK_TIME_MAX);
        let cloud = Cloud::new(self.platform, &self.config.hosts, authenticator, self.tidb_cloud_memory, deadline);
        match cloud.check().await {
            Ok(()) => Checked::Accepted,
            Err(CheckFailure::Refused(_)) => Checked::Refused,
            Err(CheckFailure::Unsettled(_)) => Checked::Unknown,
        }
    }
}
