//! What a client is told before its answer is known.

use crate::base::http::Response;

/// The response to the current request, as a stream.
pub trait Stream {
    /// Begins the response with these header fields and the body so far. What the service answers in the end closes it: of that
    /// answer only the body is sent.
    fn begin(&self, response: Response);

    /// Sends more of the body. Nothing is sent before it begins.
    fn send(&self, text: &str);
}
