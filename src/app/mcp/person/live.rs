//! Clients before 2026-07-28: the question goes out on the stream that answers the call, which waits; the client posts the answer,
//! perhaps to another isolate, and a Durable Object brings both together.
//!
//! <https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#sending-messages-to-the-server>

use std::cell::Cell;

use serde_json::Value;

use super::{Connected, asking, required, typed};
use crate::{
    base::http::Response,
    catalogue::{Bound, Stakes, ToolError},
    mcp::{
        SIGN_OF_LIFE,
        elicitation::{Elicited, Form},
        outcome::Instead,
    },
    port::{Stream, allowance::TO_BEGIN},
    store::{
        confirmations::{Command, HOLD, Reply, Said, WAIT_MILLIS},
        seal::{base64url, fingerprint, random},
    },
};

/// Requests to the Durable Object of a call that waits: it begins, asks six times and once more, and in the end may need a page.
#[allow(clippy::cast_possible_truncation, reason = "120,000 ms / 20,000 ms = 6")]
const OBJECTS: u32 = (WAIT_MILLIS as u128 / HOLD.as_millis()) as u32 + 3;

/// The stream of a response that has not begun.
pub(in crate::app::mcp) struct Live<'a> {
    pub(in crate::app::mcp) stream: &'a dyn Stream,
    /// Status and header fields.
    pub(in crate::app::mcp) head: Response,
    /// Whether it has begun.
    pub(in crate::app::mcp) has_begun: Cell<bool>,
}

impl Live<'_> {
    fn begin(&self, body: String) {
        self.stream.begin(Response { body: body.into_bytes(), ..self.head.clone() });
        self.has_begun.set(true);
    }
}

/// A question for whose answer a call waits.
pub(in crate::app::mcp) struct Asked {
    form: Form,
    stakes: Stakes,
    /// Fingerprint of the call and of what it would do.
    whole: String,
    /// The id of the request, in JSON.
    request: String,
}

impl Connected<'_> {
    /// Whether the client can be asked while the call waits: the requests of its allowance last for the wait and, after it, for the
    /// whole call again.
    pub(super) fn can_wait(&self, bound: &Bound<'_>) -> bool {
        self.session.is_some()
            && self.live.is_some()
            && self.port.io.may_send(OBJECTS.saturating_add(TO_BEGIN).saturating_add(bound.requests))
    }

    /// Ends the call with a question that [`Connected::wait`] sends.
    pub(super) fn ask_to_wait(&self, bound: &Bound<'_>, whole: String, form: Form, request: String) -> ToolError {
        self.asked.replace(Some(Asked { form, stakes: bound.stakes.clone(), whole, request }));
        asking(bound.stakes, Instead::Wait)
    }

    /// Sends the question, and waits for the answer.
    pub(super) async fn wait(&self) -> Result<(), ToolError> {
        let (Some(Asked { form, stakes, whole, request }), Some(session), Some(live)) =
            (self.asked.take(), &self.session, &self.live)
        else {
            return Err(ToolError::fault("nobody was asked"));
        };
        let bytes = |bytes: &mut [u8]| self.random(bytes);
        let id = base64url(&random::<16>(&bytes));
        let Some(sealed) = session.seal_id(&id, self.keyring, &bytes) else {
            return Err(ToolError::fault("the id of a question cannot be sealed"));
        };
        let id = fingerprint(id.as_bytes());
        if self.ask(Command::Wait { id: id.clone(), call: session.call(&request) }).await? != Reply::Done {
            return Err(self.page(&stakes, whole, None).await?);
        }
        live.begin(form.to_event(&sealed));
        let named = stakes.name.as_ref().map(|name| fingerprint(name.as_bytes()));
        loop {
            match self.ask(Command::Await { id: id.clone() }).await? {
                Reply::Waiting => live.stream.send(SIGN_OF_LIFE),
                Reply::Heard(Said::Yes { name }) if named.is_none() || name == named => {
                    self.port.io.must_finish();
                    self.agreed.set(Some(whole));
                    return Ok(());
                }
                // Nobody reads this, and nobody would answer another question.
                Reply::Heard(Said::Cancelled) => return Err(required(&stakes)),
                Reply::Heard(Said::No) => return Err(self.declined(&stakes, whole).await?),
                // Another name, or nothing in time.
                _ => return Err(self.page(&stakes, whole, None).await?),
            }
        }
    }

    /// Takes a posted answer. One to a question of somebody else, of another session or of none is dropped.
    pub(super) async fn hear_posted(&self, id: &str, result: &Value) {
        let Some(id) = self.session.as_ref().and_then(|session| session.open_id(id, self.keyring)) else { return };
        let said = match Elicited::read(result) {
            Some(elicited @ Elicited::Accepted(_)) => {
                Said::Yes { name: typed(&elicited).map(|name| fingerprint(name.as_bytes())) }
            }
            Some(Elicited::Declined) | None => Said::No,
        };
        // A failure leaves the call waiting, until it ends as not confirmed.
        let _ = self.ask(Command::Hear { id: fingerprint(id.as_bytes()), said }).await;
    }

    /// Ends a call that waits because its client gave it up: an answer that comes later is not for it.
    pub(super) async fn hear_cancelled(&self, request: &str) {
        let Some(session) = &self.session else { return };
        let _ = self.ask(Command::Hear { id: session.call(request), said: Said::Cancelled }).await;
    }
}
