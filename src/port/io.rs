//! Other hosts, time and randomness.

use std::time::Duration;

use url::Url;

use crate::{
    base::{
        clock::UnixMillis,
        future::Pending,
        http::{Headers, Method, Response},
    },
    circuit::{Report, Verdict},
};

/// Input and output of the process, and its clock.
pub trait Io {
    /// Sends one request and gives the response body to `sink`. The returned response has no body.
    fn exchange<'a>(&'a self, request: Outbound, sink: &'a mut dyn Sink) -> Pending<'a, Result<Response, FetchError>>;

    /// Wall clock. On Workers it advances only across I/O.
    fn now(&self) -> UnixMillis;

    /// Waits.
    fn sleep(&self, duration: Duration) -> Pending<'_, ()>;

    /// Fills `bytes` with cryptographically strong random ones.
    fn random(&self, bytes: &mut [u8]);

    /// Tells the circuit of this name what happened. `None`: there is no verdict of all isolates together.
    fn circuit<'a>(&'a self, name: &'a str, report: &'a Report) -> Pending<'a, Option<Verdict>> {
        let _ = (name, report);
        Box::pin(async { None })
    }

    /// Whether this many more requests, to other hosts or to stored objects, may be sent for the current HTTP request.
    fn may_send(&self, requests: u32) -> bool {
        let _ = requests;
        true
    }

    /// From here on the request changes something, and is carried out whether or not its client stays to hear of it.
    fn must_finish(&self) {}

    /// Takes [`Io::must_finish`] back: nothing was changed yet after all.
    fn may_be_given_up(&self) {}

    /// When the client of a request that must be finished went away, if it did. Any other request ends with its client.
    fn left_at(&self) -> Option<UnixMillis> {
        None
    }
}

impl dyn Io + '_ {
    /// Sends one request and reads the whole answer, whose body has at most `bytes_max` bytes.
    ///
    /// # Errors
    /// No complete answer, or a success that is longer. Of a longer refusal the beginning is enough.
    pub async fn fetch(&self, request: Outbound, bytes_max: usize) -> Result<Response, FetchError> {
        let mut whole = Whole { bytes: Vec::new(), bytes_max, is_success: true };
        let answer = self.exchange(request, &mut whole).await?;
        Ok(Response { body: whole.bytes, ..answer })
    }
}

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

/// Takes a response body piece by piece, so that a long one is never held whole.
pub trait Sink {
    /// Begins an answer of this status. The pieces of its body follow.
    fn begin(&mut self, status: u16);

    /// Takes the next piece of the body.
    ///
    /// # Errors
    /// [`FetchError::TooLarge`] if the body is longer than allowed: the exchange fails with it.
    fn take(&mut self, piece: &[u8]) -> Result<Flow, FetchError>;
}

/// Whether a [`Sink`] takes more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// The next piece, if any.
    More,
    /// The rest is not read.
    Enough,
}

/// Keeps a body whole, up to a length.
struct Whole {
    bytes: Vec<u8>,
    bytes_max: usize,
    is_success: bool,
}

impl Sink for Whole {
    fn begin(&mut self, status: u16) {
        self.is_success = (200..=299).contains(&status);
    }

    fn take(&mut self, piece: &[u8]) -> Result<Flow, FetchError> {
        if self.bytes.len().saturating_add(piece.len()) > self.bytes_max {
            return if self.is_success { Err(FetchError::TooLarge) } else { Ok(Flow::Enough) };
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
    /// Nothing was sent: the allowance of the HTTP request is used up.
    Exhausted,
}
