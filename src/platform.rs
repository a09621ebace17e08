//! The port: everything the service may ask of the outside world, on one screen.

use std::time::Duration;

use url::Url;

pub use crate::clock::UnixMillis;
use crate::{
    grants::store::{Command, ObjectName, Reply},
    http::{Headers, Method, Response},
    limits::{Admission, LimitKey, Policy},
    secret::Secret,
};

/// One request to another host. Redirects are never followed: a digest answer signs the exact URI.
pub struct Outbound {
    /// Method.
    pub method: Method,
    /// Where to.
    pub url: Url,
    /// Header fields; they may hold secrets.
    pub headers: Headers,
    /// The body; `None` sends none.
    pub body: Option<Vec<u8>>,
    /// How long headers and body together may take.
    pub timeout: Duration,
}

/// Takes the body of an answer piece by piece, so that nobody has to hold one that is longer than what is kept of it.
pub trait Sink {
    /// Begins an answer of this status. The pieces of its body follow.
    fn begin(&mut self, status: u16);

    /// Takes the next piece of the body.
    ///
    /// # Errors
    /// [`FetchError::TooLarge`] where the body is longer than allowed: the exchange fails with it.
    fn take(&mut self, piece: &[u8]) -> Result<Flow, FetchError>;
}

/// Whether a [`Sink`] takes more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// The next piece, where there is one.
    More,
    /// It knows enough: the rest is not read.
    Enough,
}

/// Keeps a body whole, up to a length.
struct Whole {
    bytes: Vec<u8>,
    bytes_max: usize,
}

impl Sink for Whole {
    fn begin(&mut self, _: u16) {}

    fn take(&mut self, piece: &[u8]) -> Result<Flow, FetchError> {
        if self.bytes.len().saturating_add(piece.len()) > self.bytes_max {
            return Err(FetchError::TooLarge);
        }
        self.bytes.extend_from_slice(piece);
        Ok(Flow::More)
    }
}

/// Why an exchange gave no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchError {
    /// No complete answer in time. The request may have been carried out.
    Timeout,
    /// The connection failed, before or after the request was sent; Workers do not say which.
    Unreachable,
    /// The body was longer than allowed.
    TooLarge,
    /// Nothing was sent: the HTTP request that this is for may send no more.
    Exhausted,
}

/// The limiter gave no verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimiterFailure {
    /// It said that it is overloaded: this key is the flood.
    Overloaded,
    /// It did not answer in time, or failed.
    Unavailable,
}

/// Storage failed; the request can be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StorageFailure;

/// Why the body of an incoming request could not be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// Longer than allowed.
    TooLarge,
    /// Not complete in time.
    Timeout,
    /// The client went away.
    Broken,
}

/// The body of an incoming request, not read yet: whoever is refused at a door before it costs nothing more.
#[expect(async_fn_in_trait, reason = "the platform is single-threaded: no caller needs `Send`")]
pub trait IncomingBody {
    /// Reads the whole body; stops at `bytes_max` bytes or after `timeout`.
    async fn read(self, bytes_max: usize, timeout: Duration) -> Result<Vec<u8>, BodyError>;
}

/// Everything the service may ask of the outside world.
///
/// Implemented by the Worker's edge and by the test world. Adding a method here is an architectural change.
#[expect(async_fn_in_trait, reason = "the platform is single-threaded: no caller needs `Send`")]
pub trait Platform {
    /// Sends one request and gives its body to `sink`. The answer has status and header fields, and no body.
    async fn exchange(&self, request: Outbound, sink: &mut dyn Sink) -> Result<Response, FetchError>;

    /// Sends one request and reads the whole answer, whose body has at most `bytes_max` bytes.
    async fn fetch(&self, request: Outbound, bytes_max: usize) -> Result<Response, FetchError> {
        let mut whole = Whole { bytes: Vec::new(), bytes_max };
        let answer = self.exchange(request, &mut whole).await?;
        Ok(Response { body: whole.bytes, ..answer })
    }

    /// Wall clock. On Workers it advances only across I/O.
    fn now(&self) -> UnixMillis;

    /// Fills `bytes` with cryptographically strong random ones.
    fn random(&self, bytes: &mut [u8]);

    /// Waits.
    async fn sleep(&self, duration: Duration);

    /// Takes `cost` permits from the limit of this key: strongly consistent per key, and every admission is
    /// persisted before it is answered.
    async fn admit(&self, key: &LimitKey, policy: Policy, cost: u32) -> Result<Admission, LimiterFailure>;

    /// Asks a stored object: one command after the other, each with what the one before it left, and every change is
    /// persisted before it is answered. What it answers is [`crate::grants::store::step`]'s to say.
    async fn object(&self, name: &ObjectName, command: &Command) -> Result<Reply, StorageFailure>;

    /// The server secret of a deployment that has set none: made once, the same for every isolate.
    async fn kept_secret(&self) -> Result<Secret, StorageFailure>;

    /// A file of the landing page: `GET` of `path` from the static assets. `None` where there is none.
    async fn asset(&self, path: &str) -> Option<Response>;

    /// Whether so many more requests, to other hosts or to stored objects, may be sent for the HTTP request that is being
    /// answered.
    fn may_send(&self, requests: u32) -> bool {
        let _ = requests;
        true
    }

    /// Names the HTTP request that is being answered; empty where there is none.
    fn request_id(&self) -> &str {
        ""
    }

    /// Writes one line to the log.
    fn log(&self, line: &str);
}
