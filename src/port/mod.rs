//! The port: everything the service may ask of the outside world, one small trait for each concern. The Worker's edge and
//! the test worlds implement them; users name only the traits that they need. A further trait is an architectural change.

pub mod allowance;
mod analytics;
mod assets;
mod body;
mod io;
mod limiter;
mod log;
mod metered;
mod readiness;
mod store;
mod stream;

#[cfg(not(target_arch = "wasm32"))]
pub use self::log::FIELDS;
pub use self::{
    analytics::{Analytics, DataPoint},
    assets::Assets,
    body::{BodyError, IncomingBody},
    io::{FetchError, Flow, Io, Outbound, Sink},
    limiter::{Admission, Ask, Ended, Lease, LimitKey, LimitState, Limiter, LimiterFailure, Policy},
    log::{Answers, Called, Level, Log, Noted, RequestLog, Statement, line},
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
    /// Statistics.
    pub analytics: &'a dyn Analytics,
}

impl<'a> Port<'a> {
    /// The port of one that implements all of it.
    pub fn of<W: Io + Limiter + Store + Readiness + Assets + Log + Stream + Analytics>(world: &'a W) -> Self {
        Self {
            io: world,
            limiter: world,
            store: world,
            readiness: world,
            assets: world,
            log: world,
            stream: world,
            analytics: world,
        }
    }
}
