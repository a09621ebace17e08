//! A token was made with the secrets of this deployment. Finding out takes no storage.

use super::{Refusal, Request, credentials, credentials::Credential};
use crate::{oauth, store::seal::Keyring};

const INVALID_TOKEN: &str = "This token is not valid here, has ended or was revoked. Connect again.";

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

/// 401 of a token that opens nothing.
pub(super) fn invalid(request: Request<'_>) -> Refusal {
    credentials::unauthorized(request, Some("invalid_token"), INVALID_TOKEN)
}
