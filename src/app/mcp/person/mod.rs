//! Asks the person behind a connection before a call destroys, costs or opens something: through the client if it can be asked,
//! else on a page.

mod live;
mod repeated;
pub(super) mod session;

use std::cell::{Cell, RefCell};

use serde_json::{Value, json};

pub(super) use self::live::Live;
use self::{live::Asked, session::Session};
use crate::{
    base::{future::Pending, text::spelled_out},
    catalogue::{Bound, Credentials, Item, Person, Stakes, ToolError, code},
    config::Origin,
    limits::keys::CredentialHash,
    mcp::{
        Declared,
        elicitation::{Elicited, Form},
        outcome::{Answered, Instead},
    },
    oauth::confirm::{self, Link},
    port::{Port, RequestLog, StorageFailure},
    store::{
        confirmations::{Command, HANDED_OUT_MAX, Reply, Said},
        grant::Presence,
        object::{self, ObjectName},
        seal::{DataKey, Keyring, Sealed, fingerprint},
    },
};

/// The member of a form that holds the typed name.
const NAME: &str = "name";
/// Two screens of a terminal, of 25 lines of 80 characters. What is longer stands on the page, whole.
const FORM_BYTES_MAX: usize = 4_000;
const NOTHING: &str = "Nothing was changed.";

/// The person behind one connection.
pub(super) struct Connected<'a> {
    pub(super) port: Port<'a>,
    pub(super) log: &'a RequestLog<'a>,
    pub(super) keyring: &'a Keyring,
    pub(super) principal: CredentialHash,
    pub(super) origin: Origin,
    /// Who is asked.
    pub(super) presence: Presence,
    /// What the client of the call answers.
    pub(super) answered: RefCell<Answered>,
    /// The session of a client before 2026-07-28 that shows forms.
    pub(super) session: Option<Session>,
    /// The stream of the response, if a question can be sent on it.
    pub(super) live: Option<Live<'a>>,
    /// The question of the call that waits.
    pub(super) asked: RefCell<Option<Asked>>,
    /// Fingerprint of what was agreed to while the call waited.
    pub(super) agreed: Cell<Option<String>>,
    /// The links to secrets that come later, for which places are kept.
    pub(super) places: RefCell<Vec<Link>>,
}

impl Connected<'_> {
    fn random(&self, bytes: &mut [u8]) {
        self.port.io.random(bytes);
    }

    /// Whether the response has begun before the call was answered.
    pub(super) fn has_streamed(&self) -> bool {
        self.live.as_ref().is_some_and(|live| live.has_begun.get())
    }

    /// The id of a session that begins now.
    pub(super) fn session_id(&self, declared: Declared) -> Option<String> {
        session::begin(declared, &self.principal, self.keyring, self.port.io.now(), &|bytes| self.random(bytes))
    }

    async fn ask(&self, command: Command) -> Result<Reply, ToolError> {
        let name = ObjectName::confirmations(self.principal.as_str());
        match self.port.store.object(&name, &object::Command::Confirmations(command)).await {
            Ok(object::Reply::Confirmations(reply)) => Ok(reply),
            Ok(_) | Err(StorageFailure) => {
                let message = "The server's own storage did not answer, so nobody can be asked. Nothing was changed.";
                let error = ToolError::new(code::STORAGE_UNAVAILABLE, message).hint("Call again in a moment.");
                Err(ToolError { cause: Some("the object of confirmations did not answer".into()), ..error.retryable() })
            }
        }
    }

    async fn agrees_to(&self, bound: &Bound<'_>) -> Result<Option<Credentials>, ToolError> {
        let whole = fingerprint(bound.whole().as_bytes());
        if let Some(agreed) = self.agreed.take() {
            return if agreed == whole { Ok(None) } else { Err(changed()) };
        }
        let Answered { request, responses, state, elicits } = self.answered.take();
        if let Some(state) = state {
            return self.hear_repeated(bound, &state, responses.as_ref()).await.map(|()| None);
        }
        // What is taken is gone: the call that it allows is made, whether or not its client stays.
        self.port.io.must_finish();
        let taken = self.ask(Command::Take { call: whole.clone() }).await?;
        match taken {
            Reply::Done if bound.own_key.is_none() => return Ok(None),
            Reply::HandedIn { key, sealed } => return self.open_handed_in(bound, &whole, &key, &sealed).map(Some),
            _ => {}
        }
        self.port.io.may_be_given_up();
        if taken == Reply::Heard(Said::No) {
            let error = ToolError::new(code::CONFIRMATION_DECLINED, format!("The person declined this. {NOTHING}"));
            return Err(error.hint("Do not make this call again unless they ask for it: it would ask them again."));
        }
        // Secrets are never asked for in a form: the specification's own rule ("Safety Considerations" of elicitation).
        let may_show = |form: &Form| {
            self.presence != Presence::Page && form.message.len() <= FORM_BYTES_MAX && bound.own_key.is_none()
        };
        let form = Some(form_of(bound.stakes)).filter(may_show);
        match form {
            Some(form) if elicits => Err(self.ask_to_repeat(bound, &form)),
            Some(form) if self.can_wait(bound) => Err(self.ask_to_wait(bound, whole, form, request)),
            _ => Err(self.page(bound.stakes, whole, bound.own_key).await?),
        }
    }

    /// What the person handed in for this call.
    fn open_handed_in(
        &self,
        bound: &Bound<'_>,
        whole: &str,
        key: &Sealed,
        sealed: &Sealed,
    ) -> Result<Credentials, ToolError> {
        let bound_to = confirm::bound_to(&self.principal, whole);
        let key = bound.own_key.map(DataKey::of).and_then(|own| DataKey::from_text(&own.open(&bound_to, key)?));
        let text = key.and_then(|key| key.open(&bound_to, sealed));
        let opened = text.and_then(|text| Credentials::from_text(&text));
        opened.ok_or_else(|| {
            invalid(format!("What the person handed in for this call cannot be opened by it. {NOTHING}"))
        })
    }

    /// The error that leads to a page. `own_key` is that of the caller's credential if the person is to hand something in.
    async fn page(&self, stakes: &Stakes, whole: String, own_key: Option<[u8; 32]>) -> Result<ToolError, ToolError> {
        let bytes = |bytes: &mut [u8]| self.random(bytes);
        let link = Link::to_question(&self.principal, &bytes);
        let cannot_be_sealed = || ToolError::fault("what is at stake cannot be sealed");
        let page = link.seal(stakes, &bytes).ok_or_else(cannot_be_sealed)?;
        let keys = match own_key {
            Some(own) => {
                let bound_to = confirm::bound_to(&self.principal, &whole);
                Some(Box::new(link.keys(&DataKey::of(own), &bound_to, &bytes).ok_or_else(cannot_be_sealed)?))
            }
            None => None,
        };
        let ask = Command::Ask { id: link.id_fingerprint(), call: whole, page: Box::new(page), keys };
        if self.ask(ask).await? != Reply::Done {
            let message = format!("Ten questions to the person are open already. {NOTHING}");
            return Err(ToolError::new(code::CONFIRMATION_REQUIRED, message)
                .hint("Ask the person to answer them, or wait ten minutes, then call again."));
        }
        let mut error = required(stakes);
        let page = format!("{}{}", self.origin.as_str(), link.path());
        error.hint = if own_key.is_some() {
            format!(
                "Give the person the link {page} and make the same call again once they have typed the credentials there. Never take any in the chat."
            )
        } else {
            format!("Give the person the link {page} and make the same call again once they have allowed it.")
        };
        Ok(error)
    }

    fn link_to_secrets(&self) -> Link {
        Link::to_handed_out(&self.principal, &|bytes: &mut [u8]| self.random(bytes))
    }

    async fn keep_place(&self) -> Result<(), ToolError> {
        let link = self.link_to_secrets();
        self.ask_for_place(Command::Keep { id: link.id_fingerprint() }).await?;
        self.places.borrow_mut().push(link);
        Ok(())
    }

    /// Seals secrets under a new link, and lays them out.
    async fn lay_out(&self, about: &Stakes, items: &[Item]) -> Result<String, ToolError> {
        let kept = self.places.borrow_mut().pop();
        let link = kept.unwrap_or_else(|| self.link_to_secrets());
        let sealed = link.seal_items(about, items, &|bytes: &mut [u8]| self.random(bytes));
        let (page, items) = sealed.ok_or_else(|| ToolError::fault("what is handed out cannot be sealed"))?;
        self.ask_for_place(Command::HandOut { id: link.id_fingerprint(), page: Box::new(page), items }).await?;
        Ok(format!("{}{}", self.origin.as_str(), link.path()))
    }

    async fn ask_for_place(&self, command: Command) -> Result<(), ToolError> {
        if self.ask(command).await? == Reply::Done {
            return Ok(());
        }
        let message = format!("{HANDED_OUT_MAX} pages with secrets lie ready for the person already.");
        Err(ToolError::new(code::CONFIRMATION_REQUIRED, message)
            .hint("Ask the person to take what is there, or wait ten minutes, then call again."))
    }

    /// The error of a call that a person declined in a client's form. Some clients decline without showing one, so the page is left.
    async fn declined(&self, stakes: &Stakes, whole: String) -> Result<ToolError, ToolError> {
        let page = self.page(stakes, whole, None).await?;
        let message = format!("The person declined, or the client did so without asking. {NOTHING}");
        Ok(ToolError::new(code::CONFIRMATION_DECLINED, message).hint(page.hint))
    }
}

impl Person for Connected<'_> {
    fn hears(&self, answered: Answered) {
        self.answered.replace(answered);
    }

    fn is_absent(&self, tool: &'static str) -> bool {
        let is_absent = self.presence == Presence::Absent;
        if is_absent {
            self.log.noted.confirmation.set(Some("unattended"));
            self.log.event("unattended", json!({ "tool": tool }));
        }
        is_absent
    }

    fn agrees<'c>(&'c self, bound: &'c Bound<'c>) -> Pending<'c, Result<Option<Credentials>, ToolError>> {
        Box::pin(async {
            let agreed = self.agrees_to(bound).await;
            self.log.noted.confirmation.set(Some(match &agreed {
                Ok(_) => "agreed",
                Err(error) if error.code == code::CONFIRMATION_DECLINED => "declined",
                Err(error) if error.code == code::CONFIRMATION_INVALID => "invalid",
                Err(_) => "asked",
            }));
            agreed
        })
    }

    fn keeps_place(&self) -> Pending<'_, Result<(), ToolError>> {
        Box::pin(self.keep_place())
    }

    fn hands_out<'c>(&'c self, about: &'c Stakes, items: &'c [Item]) -> Pending<'c, Result<String, ToolError>> {
        Box::pin(self.lay_out(about, items))
    }

    fn waits(&self) -> Pending<'_, Result<(), ToolError>> {
        Box::pin(self.wait())
    }

    fn hear<'c>(&'c self, id: &'c str, result: &'c Value) -> Pending<'c, ()> {
        Box::pin(self.hear_posted(id, result))
    }

    fn cancel<'c>(&'c self, request: &'c str) -> Pending<'c, ()> {
        Box::pin(self.hear_cancelled(request))
    }
}

/// A question, and how it ends the call.
fn asking(stakes: &Stakes, instead: Instead) -> ToolError {
    let mut error = required(stakes);
    error.instead = Some(Box::new(instead));
    error
}

fn required(stakes: &Stakes) -> ToolError {
    let message = format!("{} A person has to allow this first. {NOTHING}", stakes.what);
    ToolError::new(code::CONFIRMATION_REQUIRED, message).hint("Ask the person, then make the same call again.")
}

fn changed() -> ToolError {
    let message = format!("What the call would do has changed since the person was asked. {NOTHING}");
    invalid(message)
}

fn invalid(message: impl Into<String>) -> ToolError {
    ToolError::new(code::CONFIRMATION_INVALID, message).hint("Make the call again, and ask again.")
}

/// What is at stake, as a form: one line each, and the name to type if something is destroyed.
fn form_of(stakes: &Stakes) -> Form {
    let facts = stakes.shown_facts().map(|(name, value)| format!("{name}: {value}"));
    let statements = stakes.statements.iter().map(|(place, text)| match stakes.statements.len() {
        1 => text.clone(),
        all => format!("{place} of {all}: {text}"),
    });
    let lines = std::iter::once(stakes.what.clone()).chain(facts).chain(statements);
    let message = lines.map(|line| spelled_out(&line).into_owned()).collect::<Vec<_>>().join("\n");
    let schema = match &stakes.name {
        Some(name) => json!({
            "type": "object",
            "properties": {NAME: {"type": "string", "title": format!("Type {} to allow it", spelled_out(name))}},
            "required": [NAME],
        }),
        None => json!({"type": "object", "properties": {}}),
    };
    Form { message, schema }
}

/// What was typed as the name in a form that was sent.
fn typed(elicited: &Elicited) -> Option<String> {
    match elicited {
        Elicited::Accepted(content) => content.get(NAME)?.as_str().map(|name| name.trim().to_owned()),
        Elicited::Declined => None,
    }
}

/// Whether the name was typed that had to be.
fn is_named(stakes: &Stakes, typed: Option<&str>) -> bool {
    stakes.name.as_deref().is_none_or(|name| typed == Some(name))
}
