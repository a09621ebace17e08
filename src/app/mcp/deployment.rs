//! What this deployment says of itself: limits to their caller, advice on settings to the access key's holder.

use super::{admission::Caller, doors::credentials::Credential};
use crate::{
    base::future::Pending,
    catalogue::{Advice, Deployment},
    config::{self, Config, Origin},
    limits::{self, keys::Limited},
    port::{LimitState, Port},
};

/// This deployment, as one caller is told of it.
pub(super) struct Deployed<'r> {
    pub(super) port: Port<'r>,
    pub(super) config: &'r Config,
    pub(super) limits: &'r limits::Memory,
    pub(super) caller: &'r Caller,
    /// Where it is served.
    pub(super) origin: &'r Origin,
}

impl Deployment for Deployed<'_> {
    fn limits(&self) -> Pending<'_, Vec<(&'static str, LimitState)>> {
        Box::pin(async {
            let credential = self.caller.principal();
            let look =
                async |limited: Limited<'_>| limited.limit(self.config).look(self.port, &self.limits.permits).await;
            vec![
                ("requests", look(Limited::Credential(&credential)).await),
                ("calls that change something", look(Limited::Write(&credential)).await),
                ("calls that run SQL", self.limits.running.look(&credential, self.port.io.now())),
            ]
        })
    }

    fn advice(&self) -> Option<Vec<Advice>> {
        self.caller.is_owner().then(|| config::advice(self.config, self.origin).into_iter().map(Advice::from).collect())
    }
}

impl From<config::Finding> for Advice {
    fn from(finding: config::Finding) -> Self {
        let config::Finding { setting, level, what, fix } = finding;
        Self { setting, level: level.word(), what, fix }
    }
}

impl Caller {
    /// Whether it holds the deployment's access key, or a grant that was allowed with it.
    fn is_owner(&self) -> bool {
        match (&self.credential, &self.session) {
            (Credential::Owner, _) => true,
            (Credential::Token(_), Some(session)) => session.is_owner,
            _ => false,
        }
    }
}
