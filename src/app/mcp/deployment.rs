//! What this deployment says of itself: limits to their caller, advice on settings to the access key's holder.

use super::{admission::Caller, doors::credentials::Credential};
use crate::{
    app::{App, health::examination::verdict},
    base::future::Pending,
    catalogue::{Advice, Deployment},
    config::{self, Origin},
    limits::keys::Limited,
    port::LimitState,
};

/// This deployment, as one caller is told of it.
pub(super) struct Deployed<'r> {
    pub(super) app: &'r App<'r>,
    pub(super) caller: &'r Caller,
    /// Where it is served.
    pub(super) origin: &'r Origin,
}

impl Deployment for Deployed<'_> {
    fn limits(&self) -> Pending<'_, Vec<(&'static str, LimitState)>> {
        Box::pin(async {
            let (config, port) = (self.app.config, self.app.port());
            let memory = &self.app.isolate.limits;
            let credential = self.caller.principal();
            let look = async |limited: Limited<'_>| limited.limit(config).look(port, &memory.permits).await;
            vec![
                ("requests", look(Limited::Credential(&credential)).await),
                ("calls that change something", look(Limited::Write(&credential)).await),
                ("calls that run SQL", memory.running.look(&credential, port.io.now())),
            ]
        })
    }

    fn checks(&self) -> Pending<'_, Vec<(&'static str, &'static str)>> {
        Box::pin(async {
            let checks = verdict(self.app).await;
            checks.each().into_iter().map(|(name, state)| (name, state.name())).collect()
        })
    }

    fn advice(&self) -> Option<Vec<Advice>> {
        self.caller
            .is_owner()
            .then(|| config::advice(self.app.config, self.origin).into_iter().map(Advice::from).collect())
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
