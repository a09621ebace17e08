//! The port: everything the service may ask of the outside world, one small trait for each concern. The Worker's edge and
//! the test worlds implement them; users name only the traits that they need. A further trait is an architectural change.

pub mod allowance;
mod assets;
mod body;
mod io;
mod limiter;
mod log;
mod metered;
mod readiness;
mod store;
mod stream;

pub use self::{
    assets::Assets,
    body::{BodyError, IncomingBody},
    io::{FetchError, Flow, Io, Outbound, Sink},
    limiter::{Admission, Ask, Ended, Lease, LimitKey, Limiter, LimiterFailure, Policy},
    log::{Log, RequestLog},
    metered::Metered,
    readiness::Readiness,
    store::{StorageFailure, Store},
    stream::Stream,
};

/// The whole outside world.
#[derive(Clone, Copy)]
pub struct Port<'a> {
    /// Other hosts, time and randomness.
    pub io: &'a dyn Io,
    /// Limits.
    pub limiter: &'a dyn Limiter,
    /// Stored objects.
    pub store: &'a dyn Store,
    /// Whether the service works.
    pub readiness: &'a dyn Readiness,
    /// The files of the landing page.
    pub assets: &'a dyn Assets,
    /// The log.
    pub log: &'a dyn Log,
    /// What the client is told before its answer.
    pub stream: &'a dyn Stream,
}

impl<'a> Port<'a> {
    /// The port of one that implements all of it.
    pub fn of<W: Io + Limiter + Store + Readiness + Assets + Log + Stream>(world: &'a W) -> Self {
        Self { io: world, limiter: world, store: world, readiness: world, assets: world, log: world, stream: world }
    }
}
