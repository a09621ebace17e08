//! A token opens its grant.

use super::{Refusal, Request, credentials::Credential, token};
use crate::{
    limits::keys::Visitor,
    oauth::{self, AccessRefused, Session},
    store::seal::Keyring,
};

pub(in crate::app::mcp) async fn open(
    request: Request<'_>,
    credential: &Credential,
    keyring: &Keyring,
    visitor: &Visitor,
) -> Result<Option<Session>, Refusal> {
    let Credential::Token(text) = credential else { return Ok(None) };
    let origin = oauth::origin(request.head, request.config());
    match request.app.authorization_server(keyring, visitor, &origin).access(text.expose()).await {
        Ok(session) => Ok(Some(session)),
        Err(AccessRefused::Unavailable) => Err(Refusal::unavailable()),
        // Not counted as a guess: a client with an expired token needs the 401 to connect again, even if strangers at its address
        // used up the limit.
        Err(AccessRefused::Invalid) => Err(token::invalid(request)),
    }
}
