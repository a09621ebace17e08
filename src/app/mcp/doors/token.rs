//! This deployment's secrets made the token. The check needs no storage.

use super::{Refusal, Request, credentials, credentials::Credential};
use crate::{oauth, store::seal::Keyring};

const INVALID_TOKEN: &str = "This token is not valid here, has expired or was revoked. Connect again.";

pub(in crate::app::mcp) async fn check(
    request: Request<'_>,
    credential: &Credential,
    keyring: &Keyring,
) -> Result<(), Refusal> {
    match credential {
        Credential::Token(token) if oauth::is_made_up(token.expose(), keyring) => {
            Err(credentials::count_wrong(request, invalid(request)).await)
        }
        _ => Ok(()),
    }
}

/// 401 for an invalid token.
pub(super) fn invalid(request: Request<'_>) -> Refusal {
    credentials::unauthorized(request, Some("invalid_token"), INVALID_TOKEN)
}
