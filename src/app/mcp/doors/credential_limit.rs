//! The credential has a permit left, counted over all addresses.

use super::{Refusal, Request, credentials::Credential};
use crate::{
    app::mcp::passage::Passage,
    limits::keys::{CredentialHash, Limit, Limited},
    oauth::Session,
    store::seal::Keyring,
};

pub(in crate::app::mcp) async fn take(
    request: Request<'_>,
    credential: &Credential,
    session: Option<&Session>,
    keyring: &Keyring,
    passage: &mut Passage<'_>,
) -> Result<Limit, Refusal> {
    let hash = match (credential, session) {
        (_, Some(session)) => CredentialHash::of_grant(&session.grant, keyring),
        (Credential::Keys(key), None) => CredentialHash::of_keys(key, keyring),
        (Credential::Owner | Credential::Token(_), None) => CredentialHash::of_owner(keyring),
    };
    passage.line.sub_hash = Some(hash.short().to_owned());
    let limit = Limited::Credential(&hash).limit(request.config());
    let taken = limit.take_ahead(request.port(), &request.app.isolate.limits.permits).await;
    passage.note_limit(taken);
    passage.allowed(&taken).map(|()| limit)
}
