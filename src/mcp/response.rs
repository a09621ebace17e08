//! HTTP responses of the endpoint.

use crate::base::http::Response;

/// Responses to an authenticated POST are for its sender only; the cache hints in the body are for clients.
pub(super) fn no_store(response: Response) -> Response {
    response.with("cache-control", "no-store")
}

pub(super) fn json_response(status: u16, body: String) -> Response {
    no_store(Response::json(status, body))
}

/// `no-transform` and `X-Accel-Buffering` keep proxies from holding events back.
pub(super) fn stream_response(body: String) -> Response {
    let mut response = Response::empty(200)
        .with("content-type", "text/event-stream")
        .with("cache-control", "no-store, no-transform")
        .with("x-accel-buffering", "no");
    response.body = body.into_bytes();
    response
}
