//! Asks the person behind a connection on a page, where a call needs it.

use serde_json::json;

use crate::{
    base::future::Pending,
    catalogue::{Bound, Person, ToolError, code},
    config::Origin,
    limits::keys::CredentialHash,
    oauth::confirm::{Link, PATH},
    port::{Port, RequestLog, StorageFailure},
    store::{
        confirmations::{Command, Reply},
        object::{self, ObjectName},
        seal::fingerprint,
    },
};

/// The person behind one connection.
pub(super) struct ByPage<'a> {
    pub(super) port: Port<'a>,
    pub(super) log: RequestLog<'a>,
    pub(super) principal: CredentialHash,
    pub(super) origin: Origin,
    /// Whether the caller goes without a person.
    pub(super) unattended: bool,
}

impl ByPage<'_> {
    async fn ask(&self, name: &ObjectName, command: Command) -> Result<Reply, ToolError> {
        let answer = self.port.store.object(name, &object::Command::Confirmations(command)).await;
        match answer {
            Ok(object::Reply::Confirmations(reply)) => Ok(reply),
            Ok(_) | Err(StorageFailure) => {
                let message = "The server's own storage did not answer, so nobody can be asked. Nothing was changed.";
                Err(ToolError::new(code::STORAGE_UNAVAILABLE, message).hint("Call again in a moment.").retryable())
            }
        }
    }

    async fn agreed(&self, bound: &Bound<'_>) -> Result<(), ToolError> {
        if self.unattended && !bound.stakes.opens {
            self.log.event("unattended", json!({ "tool": bound.tool }));
            return Ok(());
        }
        let call = fingerprint(bound.whole().as_bytes());
        let random = |bytes: &mut [u8]| self.port.io.random(bytes);
        let link = Link::new(&self.principal, &random);
        if self.ask(&link.object(), Command::Take { call: call.clone() }).await? == Reply::Done {
            return Ok(());
        }
        let page = link.seal(bound.stakes, &random);
        let page = page.ok_or_else(|| ToolError::fault("what is at stake cannot be sealed"))?;
        let ask = Command::Ask { id: link.id_fingerprint(), call, page: Box::new(page) };
        if self.ask(&link.object(), ask).await? != Reply::Done {
            let message = "Ten questions to the person are open already. Nothing was changed.";
            return Err(ToolError::new(code::CONFIRMATION_REQUIRED, message)
                .hint("Ask the person to answer them, or wait ten minutes, then call again."));
        }
        let message = format!("{} A person has to allow this first. Nothing was changed.", bound.stakes.what);
        let hint = format!(
            "Give the person this link, and make the same call again once they have allowed it: {}{PATH}{}",
            self.origin.as_str(),
            link.text()
        );
        Err(ToolError::new(code::CONFIRMATION_REQUIRED, message).hint(hint))
    }
}

impl Person for ByPage<'_> {
    fn agrees<'c>(&'c self, bound: &'c Bound<'c>) -> Pending<'c, Result<(), ToolError>> {
        Box::pin(self.agreed(bound))
    }
}
