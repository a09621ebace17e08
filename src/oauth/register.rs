//! Registration (RFC 7591). Nothing is stored: the client id is the registration, signed.

use super::{Server, client, form::media_type, json_error, json_unavailable};
use crate::{
    base::http::{Head, Response},
    limits::lease::Guarded,
};

impl Server<'_> {
    pub(super) async fn register(&self, head: &Head, body: &[u8]) -> Response {
        match self.guard_registration().await {
            Ok(()) => {}
            Err(Guarded::Limited(seconds)) => {
                return json_error(429, "temporarily_unavailable", "Too many registrations from this address.")
                    .with("retry-after", seconds.to_string());
            }
            Err(Guarded::Unavailable) => return json_unavailable(),
        }
        if media_type(&head.headers).as_deref() != Some("application/json") {
            return json_error(400, "invalid_client_metadata", "Send the registration as application/json.");
        }
        match client::read_registration(body) {
            Ok(metadata) => Response::json(201, metadata.registered(self.keyring, self.now()).to_string()),
            Err(invalid) => json_error(400, invalid.error, invalid.description),
        }
    }
}
