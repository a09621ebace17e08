//! Asks the person behind a connection before a call destroys, costs or opens something: through the client if it can be asked,
//! else on a page.

use std::cell::RefCell;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    base::{future::Pending, json, text::spelled_out},
    catalogue::{Bound, Person, Stakes, ToolError, code},
    config::Origin,
    limits::keys::CredentialHash,
    mcp::outcome::{Answered, Instead, Question},
    oauth::confirm::{Link, PATH},
    port::{Port, RequestLog, StorageFailure},
    store::{
        confirmations::{CONFIRMED_MILLIS, Command, Reply},
        object::{self, ObjectName},
        seal::{Keyring, base64url, fingerprint, random, same},
    },
};

/// The key of the one question that is asked.
const CONFIRM: &str = "confirm";
/// The member of its answer that holds the typed name.
const NAME: &str = "name";
/// What the state is sealed for.
const PURPOSE: &str = "confirmation state v1";

/// The person behind one connection.
pub(super) struct Connected<'a> {
    pub(super) port: Port<'a>,
    pub(super) log: RequestLog<'a>,
    pub(super) keyring: &'a Keyring,
    pub(super) principal: CredentialHash,
    pub(super) origin: Origin,
    /// Whether the caller goes without a person.
    pub(super) unattended: bool,
    /// What the client of the call answers.
    pub(super) answered: RefCell<Answered>,
}

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

/// What a person said in a client's form.
enum Said {
    /// Yes, and the name that was typed.
    Yes(Option<String>),
    No,
    /// Nothing, or nobody was asked.
    Nothing,
}

impl Connected<'_> {
    fn random(&self, bytes: &mut [u8]) {
        self.port.io.random(bytes);
    }

    async fn ask(&self, name: &ObjectName, command: Command) -> Result<Reply, ToolError> {
        match self.port.store.object(name, &object::Command::Confirmations(command)).await {
            Ok(object::Reply::Confirmations(reply)) => Ok(reply),
            Ok(_) | Err(StorageFailure) => {
                let message = "The server's own storage did not answer, so nobody can be asked. Nothing was changed.";
                Err(ToolError::new(code::STORAGE_UNAVAILABLE, message).hint("Call again in a moment.").retryable())
            }
        }
    }

    fn object(&self) -> ObjectName {
        ObjectName::confirmations(self.principal.as_str())
    }

    async fn agreed(&self, bound: &Bound<'_>) -> Result<(), ToolError> {
        let Answered { responses, state, elicits } = self.answered.take();
        if let Some(state) = state {
            return self.hear(bound, &state, responses.as_ref()).await;
        }
        if self.ask(&self.object(), Command::Take { call: fingerprint(bound.whole().as_bytes()) }).await? == Reply::Done
        {
            return Ok(());
        }
        if elicits { Err(self.question(bound)) } else { Err(self.page(bound).await?) }
    }

    /// The answer of a client to a question of this server.
    async fn hear(&self, bound: &Bound<'_>, state: &Value, responses: Option<&Value>) -> Result<(), ToolError> {
        const FOREIGN: &str =
            "`requestState` is not one that this server gave to this caller for this call, or has expired.";
        let sealed = state.as_str().and_then(|text| self.keyring.open_text(PURPOSE, text));
        let known = sealed.and_then(|text| json::read::<State>(text.as_bytes()).ok()).filter(|state| {
            state.ends > self.port.io.now().0
                && same(&state.principal, self.principal.as_str())
                && same(&state.call, &fingerprint(bound.call().as_bytes()))
        });
        let Some(known) = known else { return Err(refused(FOREIGN)) };
        let said = said(responses).map_err(refused)?;
        if matches!(said, Said::Nothing) {
            return Err(self.question(bound));
        }
        let used = Command::Use { state: fingerprint(known.nonce.as_bytes()), ends: known.ends };
        if self.ask(&self.object(), used).await? != Reply::Done {
            let message = "This confirmation was used before. Nothing was changed.";
            return Err(ToolError::new(code::CONFIRMATION_INVALID, message).hint("Make the call again, and ask again."));
        }
        match said {
            Said::Yes(name) if bound.stakes.name == name || bound.stakes.name.is_none() => {
                if known.whole == fingerprint(bound.whole().as_bytes()) {
                    return Ok(());
                }
                let message = "What the call would do has changed since the person was asked. Nothing was changed.";
                Err(ToolError::new(code::CONFIRMATION_INVALID, message).hint("Make the call again, and ask again."))
            }
            Said::Yes(_) => Err(self.question(bound)),
            Said::No | Said::Nothing => {
                let page = self.page(bound).await?;
                let message = format!("The person declined, or the client did so without asking. {NOTHING}");
                Err(ToolError::new(code::CONFIRMATION_DECLINED, message).hint(page.hint))
            }
        }
    }

    /// A question that the client asks.
    fn question(&self, bound: &Bound<'_>) -> ToolError {
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
        let schema = match &bound.stakes.name {
            Some(name) => json!({
                "type": "object",
                "properties": {NAME: {"type": "string", "title": format!("Type {name} to allow it")}},
                "required": [NAME],
            }),
            None => json!({"type": "object", "properties": {}}),
        };
        let params = json!({"mode": "form", "message": in_words(bound.stakes), "requestedSchema": schema});
        let requests = json!({CONFIRM: {"method": "elicitation/create", "params": params}});
        let mut error = required(bound.stakes);
        error.instead = Some(Box::new(Instead::Ask(Question { requests, state })));
        error
    }

    /// The error that leads to a page.
    async fn page(&self, bound: &Bound<'_>) -> Result<ToolError, ToolError> {
        let bytes = |bytes: &mut [u8]| self.random(bytes);
        let link = Link::new(&self.principal, &bytes);
        let page = link.seal(bound.stakes, &bytes);
        let page = page.ok_or_else(|| ToolError::fault("what is at stake cannot be sealed"))?;
        let call = fingerprint(bound.whole().as_bytes());
        let ask = Command::Ask { id: link.id_fingerprint(), call, page: Box::new(page) };
        if self.ask(&link.object(), ask).await? != Reply::Done {
            let message = format!("Ten questions to the person are open already. {NOTHING}");
            return Err(ToolError::new(code::CONFIRMATION_REQUIRED, message)
                .hint("Ask the person to answer them, or wait ten minutes, then call again."));
        }
        let mut error = required(bound.stakes);
        error.hint = format!(
            "Give the person the link {}{PATH}{} and make the same call again once they have allowed it.",
            self.origin.as_str(),
            link.text()
        );
        Ok(error)
    }
}

impl Person for Connected<'_> {
    fn hears(&self, answered: Answered) {
        self.answered.replace(answered);
    }

    fn is_absent(&self, tool: &'static str) -> bool {
        if self.unattended {
            self.log.event("unattended", json!({ "tool": tool }));
        }
        self.unattended
    }

    fn agrees<'c>(&'c self, bound: &'c Bound<'c>) -> Pending<'c, Result<(), ToolError>> {
        Box::pin(self.agreed(bound))
    }
}

const NOTHING: &str = "Nothing was changed.";

fn required(stakes: &Stakes) -> ToolError {
    let message = format!("{} A person has to allow this first. {NOTHING}", stakes.what);
    ToolError::new(code::CONFIRMATION_REQUIRED, message).hint("Ask the person, then make the same call again.")
}

fn refused(message: &'static str) -> ToolError {
    let mut error =
        ToolError::new(code::CONFIRMATION_INVALID, message).hint("Make the call again without `requestState`.");
    error.instead = Some(Box::new(Instead::Refuse));
    error
}

/// What stands in the responses (schema `ElicitResult`).
fn said(responses: Option<&Value>) -> Result<Said, &'static str> {
    const SHAPE: &str = "`inputResponses.confirm` must be an object with an `action`: accept, decline or cancel.";
    let Some(responses) = responses else { return Ok(Said::Nothing) };
    let Some(responses) = responses.as_object() else { return Err("`inputResponses` must be an object.") };
    let Some(response) = responses.get(CONFIRM) else { return Ok(Said::Nothing) };
    let name = response.get("content").and_then(|content| content.get(NAME)?.as_str());
    match response.get("action").and_then(Value::as_str) {
        Some("accept") => Ok(Said::Yes(name.map(|name| name.trim().to_owned()))),
        Some("decline" | "cancel") => Ok(Said::No),
        _ => Err(SHAPE),
    }
}

/// What is at stake, as a form's message: one line each.
fn in_words(stakes: &Stakes) -> String {
    let facts = stakes.facts.iter().map(|(name, value)| format!("{name}: {value}"));
    let lines: Vec<_> =
        std::iter::once(stakes.what.clone()).chain(facts).chain(stakes.statements.iter().cloned()).collect();
    lines.iter().map(|line| spelled_out(line)).collect::<Vec<_>>().join("\n")
}
