//! The doors before the body: who is calling, and whether they may.

use super::{
    Arrived, Refusal, Request,
    doors::{self, credentials::Credential},
    passage::Passage,
};
use crate::{
    catalogue::Narrowing,
    limits::keys::{Limit, Visitor},
    oauth::Session,
    port::IncomingBody,
    store::seal::Keyring,
    tidbcloud::SqlLogin,
};

/// An admitted request. Its body is not read yet.
pub(super) struct Admitted<'r> {
    pub(super) request: Request<'r>,
    pub(super) body: &'r mut dyn IncomingBody,
    pub(super) caller: Caller,
    /// The limits that each further message of a batch is charged to.
    pub(super) limits: [Limit; 2],
}

/// The admitted caller, and how its tools are narrowed.
pub(super) struct Caller {
    pub(super) keyring: Keyring,
    pub(super) visitor: Visitor,
    pub(super) credential: Credential,
    /// The caller's own SQL user, for the cluster or branch that it belongs to.
    pub(super) sql_login: Option<SqlLogin>,
    /// The token's session.
    pub(super) session: Option<Session>,
    /// Whether it goes without a person (`X-MCP-Unattended`).
    pub(super) unattended: bool,
    /// Whether the credential may be tried at TiDB Cloud.
    pub(super) may_be_tried: bool,
    /// How the address narrows the tools.
    pub(super) asked: Narrowing,
    /// How address and token narrow them.
    pub(super) narrowing: Narrowing,
}

impl<'r> Arrived<'r> {
    /// Passes the doors before the body, in order.
    pub(super) async fn admit(self, passage: &mut Passage<'_>) -> Result<Admitted<'r>, Refusal> {
        let Self { request, body } = self;
        doors::verb::check(request)?;
        doors::url::check(request)?;
        doors::host::check(request)?;
        doors::origin::check(request)?;
        doors::address::check(request)?;
        let asked = doors::query::read(request)?;
        let (credential, sql_login) = doors::credentials::read(request).await?;
        passage.line.auth = Some(credential.kind());
        let address = doors::address::read(request)?;
        let keyring = request.app.keyring_for(&credential).await?;
        doors::token::check(request, &credential, &keyring).await?;
        let unattended = doors::unattended::read(request, &credential)?;
        let visitor = Visitor::of(address, request.config(), &keyring);
        passage.line.ip_hash = Some(visitor.short_hash().to_owned());
        let of_address = doors::address_limit::take(request, &visitor, passage).await?;
        let session = doors::grant::open(request, &credential, &keyring, &visitor).await?;
        let may_be_tried = doors::key_pair::check(request, &credential, &keyring, &visitor).await?;
        let of_credential =
            doors::credential_limit::take(request, &credential, session.as_ref(), &keyring, passage).await?;
        let narrowing = doors::narrowing::narrow(request, &asked, session.as_ref())?;
        let caller =
            Caller { keyring, visitor, credential, sql_login, session, unattended, may_be_tried, asked, narrowing };
        Ok(Admitted { request, body, caller, limits: [of_address, of_credential] })
    }
}
