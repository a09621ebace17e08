//! HTTP responses of the endpoint.

use crate::base::http::Response;

/// Responses to an authenticated POST are for its sender only; the cache hints in the body are for clients.
pub(super) fn no_store(response: Response) -> Response {
    response.with("cache-control", "no-store")
}

pub(super) fn json_response(status: u16, body: String) -> Response {
    no_store(Response::json(status, body))
}

/// A comment in a stream, so that nothing on the way takes it for idle.
/// <https://html.spec.whatwg.org/multipage/server-sent-events.html#authoring-notes>
pub const SIGN_OF_LIFE: &str = ": waiting\n\n";

/// One message as an event of a stream. JSON text has no line breaks.
pub fn event(message: &str) -> String {
    format!("event: message\ndata: {message}\n\n")
}

/// A stream of events. `no-transform` and `X-Accel-Buffering` keep proxies from holding events back.
pub fn stream_response(body: String) -> Response {
    let mut response = Response::empty(200)
        .with("content-type", "text/event-stream")
        .with("cache-control", "no-store, no-transform")
        .with("x-accel-buffering", "no");
    response.body = body.into_bytes();
    response
}
