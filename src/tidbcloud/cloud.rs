//! TiDB Cloud as one caller sees it.

use std::time::Duration;

use serde::de::IgnoredAny;
use url::Url;

use super::{
    Authenticator, CheckFailure, Databases, Hosts, KeyWitness, Memory, SqlLogin, Trail,
    service::{SERVERLESS, Service},
    transport::{
        health::{Checkup, Part},
        list::ONE,
        send::Sender,
    },
};
use crate::{
    base::{clock::UnixMillis, secret::Secret},
    port::{Io, LimitState, RequestLog, allowance::Allowance},
};

/// TiDB Cloud as one caller sees it during one call.
#[derive(Clone, Copy)]
pub struct Cloud<'a> {
    pub(in crate::tidbcloud) sender: Sender<'a>,
    pub(in crate::tidbcloud) authenticator: &'a Authenticator,
    pub(in crate::tidbcloud) witness: &'a dyn KeyWitness,
    pub(in crate::tidbcloud) memory: &'a Memory,
}

impl<'a> Cloud<'a> {
    /// All requests end by `deadline`. `witness` watches over the key of `authenticator`, if it is one.
    pub fn new(
        io: &'a dyn Io,
        log: &'a RequestLog<'a>,
        hosts: &'a Hosts,
        authenticator: &'a Authenticator,
        witness: &'a dyn KeyWitness,
        memory: &'a Memory,
        deadline: UnixMillis,
    ) -> Self {
        log.hides(authenticator.secret().expose());
        Self { sender: Sender { io, log, hosts, deadline, trail: None }, authenticator, witness, memory }
    }

    /// The same, whose requests are noted in `trail`.
    #[must_use]
    pub fn noting(self, trail: &'a Trail<'a>) -> Self {
        Self { sender: Sender { trail: Some(trail), ..self.sender }, ..self }
    }

    /// Whose credentials these are, for receipts and the log: see [`Authenticator::fingerprint`].
    pub fn fingerprint(&self, server_secret: &Secret) -> String {
        self.authenticator.fingerprint(server_secret)
    }

    /// The key of the caller's credential, for what a person hands in: see [`Authenticator::hand_in_key`].
    pub fn hand_in_key(&self, server_secret: &Secret) -> [u8; 32] {
        self.authenticator.hand_in_key(server_secret)
    }

    /// Whether an address leads into the sandbox that stands for TiDB Cloud and the storage around it.
    pub(crate) fn is_in_sandbox(&self, address: &Url) -> bool {
        self.sender.hosts.is_in_sandbox(address)
    }

    /// What is left of the requests that may be sent with the caller's key, if anybody counts them.
    pub async fn requests_left(&self) -> Option<LimitState> {
        match self.authenticator {
            Authenticator::Digest(key) => self.witness.requests_left(key).await,
            Authenticator::Bearer(_) => None,
        }
    }

    /// An API, as far as its health goes.
    pub(in crate::tidbcloud) fn part(&self, service: &'static Service) -> Part {
        Part::new(service.host.name(), self.authenticator.caller())
    }

    pub(in crate::tidbcloud) fn checkup<'p>(&self, part: &'p Part) -> Checkup<'p>
    where
        'a: 'p,
    {
        Checkup { sender: self.sender, memory: self.memory, part }
    }

    /// The time left for the whole call.
    pub fn remaining(&self) -> Duration {
        self.sender.remaining()
    }

    /// Whether TiDB Cloud accepts the caller's credentials: `GET /clusters` for one cluster, because a caller who cannot list
    /// clusters can do nothing here.
    ///
    /// # Errors
    /// [`CheckFailure::Refused`] if it does not accept them, [`CheckFailure::Unsettled`] if it did not say.
    pub async fn check(&self) -> Result<(), CheckFailure> {
        let call = SERVERLESS.get("clusters", []).with_query(ONE);
        match self.read::<IgnoredAny>(&call).await {
            Ok(_) => Ok(()),
            Err(error) => Err(match error.answer() {
                Some(answer) if matches!(answer.status, 401 | 403) => CheckFailure::Refused(answer.clone()),
                _ => CheckFailure::Unsettled(error),
            }),
        }
    }

    /// SQL on this caller's instances, by managed users whose passwords are derived from `server_secret`, or by
    /// `own_login`, the caller's own SQL user, if it belongs to the instance.
    ///
    /// `allowance` is that of the HTTP request.
    pub fn sql(
        &self,
        server_secret: &'a Secret,
        own_login: Option<&'a SqlLogin>,
        allowance: &'a Allowance,
    ) -> Databases<'a> {
        Databases { cloud: *self, server_secret, own_login, allowance, tag: None }
    }
}
