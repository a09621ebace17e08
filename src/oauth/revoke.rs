//! Revocation by a client (RFC 7009): 200 for any token, and another client's token stays valid.

use super::{
    Server, client_kind, short,
    token::{NoTokens, is_basic},
};
use crate::{
    base::http::{Head, Response},
    store::{
        grant::{Command, Reply},
        token::{Kind, Token},
    },
};

impl Server<'_> {
    pub(super) async fn revoke(&self, head: &Head, body: &[u8]) -> Response {
        match self.revoke_token(head, body).await {
            Ok(()) => Response::json(200, "{}").with("cache-control", "no-store"),
            Err(refusal) => refusal.response(is_basic(head)),
        }
    }

    async fn revoke_token(&self, head: &Head, body: &[u8]) -> Result<(), NoTokens> {
        let (fields, _) = self.read_form(head, body).await?;
        let client_id = self.known_client(head, &fields)?;
        let text = fields.one("token")?.ok_or(NoTokens::Error("invalid_request", "token is missing."))?;
        let Some(token) = Token::parse(text, self.keyring) else { return Ok(()) };
        let family = (token.kind == Kind::Refresh).then(|| token.family());
        let ended = family.is_some() && self.end_sign_ins(&token, client_id).await;
        let revoke = Command::Revoke { hash: token.fingerprint(), family, client_id: client_id.to_owned() };
        if self.ask_grant(&token.grant, revoke).await? == Reply::Done || ended {
            self.audit(
                "revocation",
                &[("grant", short(&token.grant)), ("client", &client_kind(client_id)), ("by", "client")],
            );
        }
        Ok(())
    }
}
