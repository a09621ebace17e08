//! The URL reaches no further than the token was granted for.

use super::{Refusal, Request, scope};
use crate::{base::scope::Scope, catalogue::Narrowing, oauth::Session};

pub(in crate::app::mcp) fn narrow(
    request: Request<'_>,
    asked: &Narrowing,
    session: Option<&Session>,
) -> Result<Narrowing, Refusal> {
    let (scope, own) = session.map_or((Scope::Read, None), |session| (session.scope, Some(&session.view)));
    asked.and(own.unwrap_or(&Narrowing::default())).ok_or_else(|| {
        let message =
            "The token was granted for another cluster, branch or toolset than this URL names. Connect again.";
        scope::insufficient(request, scope, message)
    })
}
