//! The SQL user and instance of a statement.

use std::time::Duration;

use super::{
    Databases, Replay,
    facts::Facts,
    failure::SqlFailure,
    gateway::{Answered, Statement},
};
use crate::{
    base::secret::Secret,
    tidbcloud::{ApiError, ClusterId, Instance, Malformed, State, Target, transport::health::Part},
};

/// First and longest wait for a new SQL user to work. Until a deadline of 55 s these are 30 logins, of the 50
/// subrequests of a call on the free plan of Workers: 0.25 + 0.5 + 1 s and then one every 2 s.
const LOGIN_WAIT: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(2));

/// The caller's own SQL user.
#[derive(Clone)]
pub struct SqlLogin {
    /// Full name, with the prefix of its instance.
    pub user: String,
    /// Its password.
    pub password: Secret,
    /// The only cluster that it is for, with its branches, if its owner named one.
    pub cluster: Option<ClusterId>,
}

impl SqlLogin {
    /// Checks what Basic authentication can carry (RFC 7617 section 2): a name without colon, and neither part with
    /// control characters; at most 128 bytes each.
    pub fn new(user: impl Into<String>, password: impl Into<String>) -> Result<Self, Malformed> {
        let (user, password) = (user.into(), password.into());
        let fits = |text: &str| (1..=128).contains(&text.len()) && !text.chars().any(char::is_control);
        if !fits(&user) || user.contains(':') {
            return Err(Malformed {
                what: "the SQL user",
                expected: "1 to 128 bytes without colon or control characters",
            });
        }
        if !fits(&password) {
            return Err(Malformed { what: "the SQL password", expected: "1 to 128 bytes without control characters" });
        }
        Ok(Self { user, password: Secret::new(password), cluster: None })
    }

    /// The same user for one cluster and its branches alone.
    #[must_use]
    pub fn only_for(self, cluster: Option<ClusterId>) -> Self {
        Self { cluster, ..self }
    }

    /// Whether to log in with it there.
    fn is_for(&self, target: &Target, facts: &Facts) -> bool {
        self.prefix() == facts.prefix.as_deref()
            && self.cluster.as_ref().is_none_or(|cluster| *cluster == target.cluster)
    }

    /// The prefix of the instance that the user belongs to.
    fn prefix(&self) -> Option<&str> {
        self.user.split_once('.').map(|(prefix, _)| prefix)
    }
}

/// The rights that a statement needs, which decide its managed user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessClass {
    /// `role_readonly`
    ReadOnly,
    /// `role_readwrite`
    ReadWrite,
    /// `role_admin`
    Admin,
}

/// Instance and SQL user of statements.
pub(super) struct Access {
    pub(super) facts: Facts,
    pub(super) login: SqlLogin,
    /// The cluster, as far as its health goes.
    pub(super) part: Part,
}

impl Databases<'_> {
    /// Runs a statement as the matching user, and repairs that user if its login fails. A refused login means that the
    /// statement did not run, so writes can be sent again after it.
    pub(super) async fn log_in(
        &self,
        target: &Target,
        class: AccessClass,
        statement: &Statement<'_>,
        replay: Replay,
    ) -> Result<(Access, Answered), SqlFailure> {
        let (cloud, caller) = (&self.cloud, self.cloud.authenticator.caller());
        let known = cloud.memory.facts(caller, target, cloud.sender.io.now());
        let was_known = known.is_some();
        let facts = match known {
            Some(facts) => facts,
            None => self.look_up(target).await?,
        };
        let own = self.own_login.filter(|own| own.is_for(target, &facts));
        let login = own.cloned().unwrap_or_else(|| self.managed_login(target, class, &facts));
        let branch = target.branch.as_ref().map(|branch| format!(" {branch}")).unwrap_or_default();
        let part = Part::new(format!("sql {}{branch}", target.cluster), caller);
        let mut access = Access { facts, login, part };
        if let Some(answered) = self.ask(&access, statement, replay).await? {
            return Ok((access, answered));
        }
        cloud.memory.drop_facts(caller, target);
        if own.is_some() {
            return Err(SqlFailure::OwnLoginRefused);
        }
        if was_known {
            access.facts = self.look_up(target).await?;
            access.login = self.managed_login(target, class, &access.facts);
        }
        self.repair(target, class, &access.login).await?;
        let (mut wait, wait_max) = LOGIN_WAIT;
        loop {
            if let Some(answered) = self.ask(&access, statement, replay).await? {
                cloud.memory.keep_facts(caller, target, cloud.sender.io.now(), access.facts.clone());
                return Ok((access, answered));
            }
            let in_time =
                wait.saturating_add(statement.time_min).saturating_add(statement.reserve) <= cloud.remaining();
            if !in_time || !self.allowance.fits(1) {
                return Err(SqlFailure::LoginNotYet);
            }
            cloud.sender.io.sleep(wait).await;
            wait = wait.saturating_mul(2).min(wait_max);
        }
    }

    /// Asks the control plane how to reach an instance, and remembers it.
    async fn look_up(&self, target: &Target) -> Result<Facts, SqlFailure> {
        let cloud = &self.cloud;
        let facts = facts_of(&cloud.instance(target).await?)?;
        cloud.memory.keep_facts(cloud.authenticator.caller(), target, cloud.sender.io.now(), facts.clone());
        Ok(facts)
    }
}

/// How to reach an instance that accepts SQL.
fn facts_of(instance: &Instance) -> Result<Facts, SqlFailure> {
    let state = instance.state.as_ref().ok_or(ApiError::Unexpected("an instance without a state"))?;
    if *state != State::Active {
        return Err(SqlFailure::NotReady { state: state.as_str().to_owned(), lacks: None });
    }
    if instance.public().is_some_and(|public| public.disabled) {
        return Err(SqlFailure::EndpointDisabled);
    }
    Facts::of(instance)
}
