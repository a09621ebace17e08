//! Clients of 2026-07-28: the call ends with a question, and the client repeats it with the answer and a sealed state.
//!
//! <https://modelcontextprotocol.io/specification/2026-07-28/basic/patterns/mrtr>

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Connected, NOTHING, asking, changed, invalid, is_named, typed};
use crate::{
    base::json,
    catalogue::{Bound, ToolError, code},
    mcp::{
        elicitation::{Elicited, Form},
        outcome::{Instead, Question},
    },
    store::{
        confirmations::{CONFIRMED_MILLIS, Command, Reply},
        seal::{base64url, fingerprint, random, same},
    },
};

/// The key of the one question that is asked.
const CONFIRM: &str = "confirm";
/// What the state is sealed for.
const PURPOSE: &str = "confirmation state v1";

/// What a client carries from a question to the answer: sealed, so that it can neither read nor change it.
#[derive(Serialize, Deserialize)]
struct State {
    /// Who was asked.
    principal: String,
    /// Fingerprint of the call.
    call: String,
    /// Fingerprint of the call and of what it would have done.
    whole: String,
    /// Makes every state another.
    nonce: String,
    /// Milliseconds since 1970.
    ends: u64,
}

impl Connected<'_> {
    /// A question that the client answers with the same call.
    pub(super) fn ask_to_repeat(&self, bound: &Bound<'_>, form: &Form) -> ToolError {
        let bytes = |bytes: &mut [u8]| self.random(bytes);
        let state = State {
            principal: self.principal.as_str().to_owned(),
            call: fingerprint(bound.call().as_bytes()),
            whole: fingerprint(bound.whole().as_bytes()),
            nonce: base64url(&random::<16>(&bytes)),
            ends: self.port.io.now().0.saturating_add(CONFIRMED_MILLIS),
        };
        let text = serde_json::to_string(&state).unwrap_or_default();
        let Some(state) = self.keyring.seal_text(PURPOSE, &text, &bytes) else {
            return ToolError::fault("a state cannot be sealed");
        };
        let requests = json!({CONFIRM: form.to_input_request()});
        asking(bound.stakes, Instead::Ask(Question { requests, state }))
    }

    /// The answer to such a question.
    pub(super) async fn hear_repeated(
        &self,
        bound: &Bound<'_>,
        state: &Value,
        responses: Option<&Value>,
    ) -> Result<(), ToolError> {
        const FOREIGN: &str =
            "`requestState` is not one that this server gave to this caller for this call, or has expired.";
        let sealed = state.as_str().and_then(|text| self.keyring.open_text(PURPOSE, text));
        let known = sealed.and_then(|text| json::read::<State>(text.as_bytes()).ok()).filter(|state| {
            // Nobody was given one about a call that asks for credentials: that question is a page.
            bound.own_key.is_none()
                && state.ends > self.port.io.now().0
                && same(&state.principal, self.principal.as_str())
                && same(&state.call, &fingerprint(bound.call().as_bytes()))
        });
        let Some(known) = known else { return Err(refused(FOREIGN)) };
        let Some(elicited) = elicited(responses).map_err(refused)? else {
            return Err(self.ask_to_repeat(bound, &super::form_of(bound.stakes)));
        };
        let used = Command::Use { state: fingerprint(known.nonce.as_bytes()), ends: known.ends };
        self.port.io.must_finish();
        if self.ask(used).await? != Reply::Done {
            return Err(invalid(format!("This confirmation was used before. {NOTHING}")));
        }
        let whole = fingerprint(bound.whole().as_bytes());
        match elicited {
            Elicited::Declined => Err(self.declined(bound.stakes, whole).await?),
            Elicited::Accepted(_) if known.whole != whole => Err(changed()),
            Elicited::Accepted(_) if is_named(bound.stakes, typed(&elicited).as_deref()) => Ok(()),
            Elicited::Accepted(_) => Err(self.ask_to_repeat(bound, &super::form_of(bound.stakes))),
        }
    }
}

fn refused(message: &'static str) -> ToolError {
    let mut error =
        ToolError::new(code::CONFIRMATION_INVALID, message).hint("Make the call again without `requestState`.");
    error.instead = Some(Box::new(Instead::Refuse));
    error
}

/// What stands in the responses. Without an answer of this question it is asked again.
fn elicited(responses: Option<&Value>) -> Result<Option<Elicited>, &'static str> {
    const SHAPE: &str = "`inputResponses.confirm` must be an object with an `action`: accept, decline or cancel.";
    let Some(responses) = responses else { return Ok(None) };
    let Some(responses) = responses.as_object() else { return Err("`inputResponses` must be an object.") };
    responses.get(CONFIRM).map(|response| Elicited::read(response).ok_or(SHAPE)).transpose()
}
