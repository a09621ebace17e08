//! The port, limited to the allowance of one HTTP request.

use std::{cell::RefCell, time::Duration};

use super::{
    Admission, Ask, FetchError, Io, LimitKey, Limiter, LimiterFailure, Outbound, Port, Readiness, Sink, StorageFailure,
    Store, allowance::Allowance,
};
use crate::{
    base::{clock::UnixMillis, future::Pending, http::Response, secret::Secret},
    circuit::{Report, Verdict},
    health,
    store::object::{Command, ObjectName, Reply},
    watch::{Event, Notice},
};

/// Counts requests to other hosts and to stored objects, and refuses those beyond the allowance.
pub struct Metered<'a> {
    inner: Port<'a>,
    /// The remaining allowance.
    pub allowance: Allowance,
    /// The kinds of stored objects that did not answer.
    silent: RefCell<Vec<&'static str>>,
}

impl<'a> Metered<'a> {
    /// The allowance of an HTTP request that arrives now.
    pub fn new(inner: Port<'a>) -> Self {
        Self { inner, allowance: Allowance::new(inner.io.now()), silent: RefCell::default() }
    }

    /// The kinds of stored objects that did not answer.
    pub fn silent(&self) -> Vec<&'static str> {
        self.silent.borrow().clone()
    }

    async fn heard<T>(
        &self,
        kind: &'static str,
        reply: impl Future<Output = Result<T, StorageFailure>>,
    ) -> Result<T, StorageFailure> {
        let reply = reply.await;
        let mut silent = self.silent.borrow_mut();
        if reply.is_err() && !silent.contains(&kind) {
            silent.push(kind);
        }
        reply
    }

    /// The port that counts.
    pub fn port(&self) -> Port<'_> {
        Port { io: self, limiter: self, store: self, readiness: self, ..self.inner }
    }
}

impl Io for Metered<'_> {
    fn exchange<'a>(&'a self, request: Outbound, sink: &'a mut dyn Sink) -> Pending<'a, Result<Response, FetchError>> {
        if self.allowance.take_request() {
            self.inner.io.exchange(request, sink)
        } else {
            Box::pin(async { Err(FetchError::Exhausted) })
        }
    }

    fn now(&self) -> UnixMillis {
        self.inner.io.now()
    }

    fn sleep(&self, duration: Duration) -> Pending<'_, ()> {
        self.inner.io.sleep(duration)
    }

    fn random(&self, bytes: &mut [u8]) {
        self.inner.io.random(bytes);
    }

    fn circuit<'a>(&'a self, name: &'a str, report: &'a Report) -> Pending<'a, Option<Verdict>> {
        // What is held back for a COMMIT or ROLLBACK is not spent on this.
        if self.allowance.fits(1) && self.allowance.take_object() {
            self.inner.io.circuit(name, report)
        } else {
            Box::pin(async { None })
        }
    }

    fn may_send(&self, requests: u32) -> bool {
        self.allowance.fits(requests)
    }

    fn must_finish(&self) {
        self.inner.io.must_finish();
    }

    fn may_be_given_up(&self) {
        self.inner.io.may_be_given_up();
    }

    fn left_at(&self) -> Option<UnixMillis> {
        self.inner.io.left_at()
    }
}

impl Limiter for Metered<'_> {
    fn admit<'a>(&'a self, key: &'a LimitKey, ask: Ask) -> Pending<'a, Result<Admission, LimiterFailure>> {
        // Who only looks takes nothing from those who count.
        let allowed = match ask.cost {
            0 => self.allowance.can_spare(1) && self.allowance.take_object(),
            _ => self.allowance.take_limit(),
        };
        if allowed { self.inner.limiter.admit(key, ask) } else { Box::pin(async { Err(LimiterFailure::Exhausted) }) }
    }
}

impl Store for Metered<'_> {
    fn object<'a>(&'a self, name: &'a ObjectName, command: &'a Command) -> Pending<'a, Result<Reply, StorageFailure>> {
        if self.allowance.take_object() {
            Box::pin(self.heard(name.kind(), self.inner.store.object(name, command)))
        } else {
            Box::pin(async { Err(StorageFailure) })
        }
    }

    fn kept_secret(&self) -> Pending<'_, Result<Secret, StorageFailure>> {
        if self.allowance.take_object() {
            Box::pin(self.heard("server-secret", self.inner.store.kept_secret()))
        } else {
            Box::pin(async { Err(StorageFailure) })
        }
    }

    fn watch<'a>(&'a self, event: &'a Event) -> Pending<'a, Result<Option<Notice>, StorageFailure>> {
        if self.allowance.take_object() {
            self.inner.store.watch(event)
        } else {
            Box::pin(async { Err(StorageFailure) })
        }
    }
}

impl Readiness for Metered<'_> {
    fn readiness<'a>(&'a self, command: &'a health::Command) -> Pending<'a, Option<health::Reply>> {
        if self.allowance.fits(1) && self.allowance.take_object() {
            self.inner.readiness.readiness(command)
        } else {
            Box::pin(async { None })
        }
    }
}
