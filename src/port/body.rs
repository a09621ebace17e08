//! The body of the HTTP request that is being answered.

use std::time::Duration;

use crate::base::future::Pending;

/// The body of an incoming request, not read yet: a request that an earlier door refuses costs no reading.
pub trait IncomingBody {
    /// Reads the whole body, once; stops at `bytes_max` bytes or after `timeout`.
    fn read(&mut self, bytes_max: usize, timeout: Duration) -> Pending<'_, Result<Vec<u8>, BodyError>>;
}

/// Why the body of an incoming request could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// Longer than allowed.
    TooLarge,
    /// Not complete in time.
    Timeout,
    /// The client went away.
    Broken,
}
