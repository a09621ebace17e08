//! The doors of the authorization server: method, origin, size. [`crate::oauth`] makes the responses.

use super::{
    App, BODY_TIMEOUT, doors, log,
    response::{method_not_allowed, plain_error},
};
use crate::{
    base::http::{Head, Method, Response},
    config::Origin,
    limits::keys::Visitor,
    oauth::{self, BODY_BYTES_MAX, Route},
    port::{BodyError, IncomingBody},
};

/// Headers that pages of other origins may send to the token, registration and revocation endpoints.
const PREFLIGHT_HEADERS: &str = "Authorization, Content-Type, Accept, MCP-Protocol-Version";

impl App<'_> {
    /// Passes the doors of a route, then answers it.
    pub(super) async fn answer_authorization(
        &self,
        route: Route,
        head: &Head,
        body: &mut dyn IncomingBody,
        line: &mut log::Line,
    ) -> Response {
        if head.method == Method::Options && route.is_open_to_every_origin() {
            return Response::empty(204)
                .with("access-control-allow-methods", route.allow())
                .with("access-control-allow-headers", PREFLIGHT_HEADERS)
                .with("access-control-max-age", "86400");
        }
        if !route.takes(head.method) {
            return method_not_allowed(route.allow());
        }
        let origin = oauth::origin(head, self.config);
        if route.is_page() && head.method == Method::Post && !is_own(head, &origin) {
            return plain_error(403, "forbidden", "This form is accepted only from this server's own pages.");
        }
        let Ok(keyring) = self.keyring().await else {
            return plain_error(503, "temporarily_unavailable", "The server's own storage did not answer. Try again.")
                .with("retry-after", "5");
        };
        let address = doors::address::of_client(head);
        let visitor = match address {
            Some(address) => Visitor::of(address, self.config, &keyring),
            None if route.is_metadata() => Visitor::unknown(),
            None => return plain_error(403, "forbidden", "The client's address is not known."),
        };
        line.ip_hash = Some(visitor.short_hash().to_owned());
        let bytes = match body.read(BODY_BYTES_MAX, BODY_TIMEOUT).await {
            Ok(bytes) => bytes,
            Err(error) => return body_refused(route, error),
        };
        line.bytes_in = bytes.len();
        if !route.is_metadata() {
            // A code, a token or a consent is not left half used.
            self.port().io.must_finish();
        }
        let server = self.authorization_server(&keyring, &visitor, &origin);
        server.handle(route, head, &bytes).await
    }
}

/// The CORS headers of routes that pages of every origin may call.
pub(super) fn allow_every_origin(route: Route, response: Response) -> Response {
    if !route.is_open_to_every_origin() {
        return response;
    }
    // These routes take no cookie, so the calling page makes no difference.
    response
        .with("access-control-allow-origin", "*")
        .with("access-control-expose-headers", "WWW-Authenticate, X-Request-Id, Retry-After")
}

/// Whether a form was posted by a page of this server, as browsers say it (Fetch, `Origin`; W3C Fetch Metadata,
/// `Sec-Fetch-Site`). This server's forms always have an origin.
fn is_own(head: &Head, origin: &Origin) -> bool {
    let sent = head.headers.get("origin").is_some_and(|sent| sent == origin.as_str());
    let site = head.headers.get("sec-fetch-site");
    sent && site.is_none_or(|site| site == "same-origin")
}

fn body_refused(route: Route, error: BodyError) -> Response {
    let (status, message) = match error {
        BodyError::TooLarge => (413, "The body is longer than 16 KiB."),
        BodyError::Timeout => (408, "The body did not arrive within 10 seconds."),
        BodyError::Broken => (400, "The body broke off."),
    };
    let code = if route == Route::Register { "invalid_client_metadata" } else { "invalid_request" };
    let body = serde_json::json!({"error": code, "error_description": message});
    Response::json(status, body.to_string())
}
