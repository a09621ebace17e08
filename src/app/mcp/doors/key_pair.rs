//! Not too many key pairs were tried before this one.

use super::{Refusal, Request, credentials::Credential};
use crate::{
    limits::{
        guessing::{Entry, enter},
        keys::Visitor,
        witness::Witness,
    },
    store::seal::Keyring,
};

/// Whether the credential may be tried at TiDB Cloud. Without a verdict, requests that need no key go on.
pub(in crate::app::mcp) async fn check(
    request: Request<'_>,
    credential: &Credential,
    keyring: &Keyring,
    visitor: &Visitor,
) -> Result<bool, Refusal> {
    let Credential::Keys(key) = credential else { return Ok(true) };
    let limits = &request.app.isolate.limits;
    let witness = Witness::of_chosen(request.port(), request.config(), keyring, &limits.pairs, visitor.source());
    match enter(request.port(), request.config(), limits, &witness, visitor, key).await {
        Entry::Open => Ok(true),
        Entry::Unknown => Ok(false),
        Entry::Refused(millis) => {
            Err(Refusal::limited("Too many different or refused API keys. Check the keys and wait.", millis))
        }
    }
}
