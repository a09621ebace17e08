//! Secrets that pass between a person and a call, and never through the client or its model.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;
use url::Url;

use super::{code, context::Context, stakes::Stakes};
use crate::{
    base::{json, scrub::REDACTED, secret::Secret},
    mcp::outcome::ToolError,
};

/// A credential of a cloud that a call needs.
#[derive(Clone, Copy, Debug)]
pub struct CredentialField {
    /// Its name, by which [`Credentials::get`] finds it: letters and digits.
    pub name: &'static str,
    /// What a person calls it.
    pub label: &'static str,
    /// Whether it has several lines, such as the key of a service account.
    pub long: bool,
}

/// 4 KiB of credentials can be handed in for a call: the key of a service account has 2.4 KB, and nothing else comes near. In a form they
/// are at most 12 KiB, where each byte is `%XX`, of the 16 KiB that a form may have. Stored they are at most 11 KB: twice as many bytes
/// as JSON, and a third more in base64. The page, which is larger, is gone by then.
pub const CREDENTIAL_BYTES_MAX: usize = 4 << 10;

/// A shorter text is a word, and no secret.
const HIDDEN_BYTES_MIN: usize = 8;

/// What a person handed in for one call.
pub struct Credentials(Vec<(String, Secret)>);

impl Credentials {
    /// The text that is sealed.
    pub fn to_text(values: &[(String, String)]) -> Option<String> {
        serde_json::to_string(values).ok()
    }

    /// From that text.
    pub fn from_text(text: &str) -> Option<Self> {
        let values: Vec<(String, String)> = json::read(text.as_bytes()).ok()?;
        Some(Self(values.into_iter().map(|(name, value)| (name, Secret::new(value))).collect()))
    }

    /// The one with this name.
    pub fn get(&self, name: &str) -> Option<&Secret> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }
}

/// Secrets of TiDB Cloud for a person, who takes each of them once from a page.
pub struct HandOut {
    /// What they are, in one sentence.
    pub title: String,
    /// Names and values: what it is about.
    pub facts: Vec<(String, String)>,
    /// Each of them.
    pub items: Vec<Item>,
}

/// One of them.
pub enum Item {
    /// The address of a file, which is a secret: whoever has it has the file.
    Address {
        /// What is there.
        name: String,
        /// How much that is, in words.
        size: Option<String>,
        /// The address. The tool has checked its host.
        address: Secret,
    },
    /// A text to copy, such as a key.
    Text {
        /// What it is.
        name: String,
        /// The text.
        value: Secret,
    },
}

impl Item {
    /// What it is, how much that is, and whether it is an address: what is shown of it before it is taken.
    pub fn shown(&self) -> (String, Option<String>, bool) {
        match self {
            Self::Address { name, size, .. } => (name.clone(), size.clone(), true),
            Self::Text { name, .. } => (name.clone(), None, false),
        }
    }

    /// The secret.
    pub fn secret(&self) -> &Secret {
        match self {
            Self::Address { address, .. } => address,
            Self::Text { value, .. } => value,
        }
    }
}

impl HandOut {
    /// A page of at most 50 rows, each with a button of its own.
    pub const ITEMS_MAX: usize = 50;
    /// 96 KiB of secrets: 50 addresses of 1.9 KB each, which is how long a signed one with a session's token gets. Stored they are 131 KB
    /// in base64, beside 5 KB around the single ones and a page of 66 KB: 202 KB, and for the five of a principal 1 MB. Its ten
    /// questions have 440 KB (`SHOWN_BYTES_MAX`), so both fit into the 2 MB of a Durable Object's value
    /// (<https://developers.cloudflare.com/durable-objects/platform/limits/>).
    pub const SECRET_BYTES_MAX: usize = 96 << 10;
    /// 8 KiB of names and sizes, beside the 16 KiB of title and facts at most. They are few where the names are long.
    pub const NAMES_BYTES_MAX: usize = 8 << 10;
}

impl Context<'_> {
    /// What a person handed in for this call, once.
    pub fn handed_in(&self) -> Option<Credentials> {
        self.handed_in.take()
    }

    /// A browser is led to nothing else than a host, over TLS, or into the sandbox that stands for all of them. It is led to what was
    /// checked: an address is laid out as it was read, in the one form that has no blanks or line ends to be read in another way.
    fn fit(&self, item: Item) -> Option<Item> {
        let Item::Address { name, size, address } = item else { return Some(item) };
        let url = Url::parse(address.expose()).ok()?;
        let is_host = url.scheme() == "https" && url.username().is_empty() && url.password().is_none();
        let is_fit = is_host || self.cloud.is_in_sandbox(&url);
        is_fit.then(|| Item::Address { name, size, address: Secret::new(url) })
    }

    /// Keeps what was handed in out of the log and of the answer, as it is and as a tool may send it on: in base64, or without the
    /// question mark before the query of an address.
    pub(super) fn keeps(&self, handed_in: &Credentials) {
        for (_, secret) in &handed_in.0 {
            let text = secret.expose();
            let as_json = Value::from(text).to_string();
            for written in [text, as_json.trim_matches('"'), text.trim_start_matches('?'), &STANDARD.encode(text)] {
                if written.len() >= HIDDEN_BYTES_MIN {
                    self.log.hides(written);
                    self.hidden.borrow_mut().push(Secret::new(written));
                }
            }
        }
    }

    /// What was handed in, in each form in which it may be sent or come back.
    pub fn hidden_forms(&self) -> Vec<Secret> {
        self.hidden.borrow().clone()
    }

    /// An error without it, what it says of other statements and its receipt included.
    pub(super) fn hide_in(&self, error: &mut ToolError) {
        if self.hidden.borrow().is_empty() {
            return;
        }
        self.hide(&mut error.message);
        self.hide(&mut error.hint);
        let hidden = |value: &Value| {
            let mut text = value.to_string();
            self.hide(&mut text);
            json::read::<Value>(text.as_bytes()).unwrap_or_default()
        };
        if let Some(details) = &mut error.details {
            **details = hidden(details);
        }
        if let Some(receipt) = &mut error.receipt {
            receipt.values_mut().for_each(|value| *value = hidden(value));
        }
    }

    /// A text of the answer without it: TiDB Cloud may repeat it in a message, and no tool means to.
    pub(super) fn hide(&self, text: &mut String) {
        for secret in self.hidden.borrow().iter() {
            if text.contains(secret.expose()) {
                *text = text.replace(secret.expose(), REDACTED);
            }
        }
    }

    /// Something would be stored for whatever keys somebody makes up.
    fn knows_key(&self) -> Result<(), ToolError> {
        match self.allowance.requests_sent() {
            0 => Err(ToolError::fault("secrets are handed out before TiDB Cloud has taken the key")),
            _ => Ok(()),
        }
    }

    /// Keeps a place for what this call will hand out. A secret that TiDB Cloud gives once, with what is made, is of no use to anybody if
    /// there is none, so this comes before the change.
    ///
    /// # Errors
    /// There is none: the error of the call.
    pub async fn keep_place(&self) -> Result<(), ToolError> {
        self.knows_key()?;
        self.person.keeps_place().await
    }

    /// The link to a page on which the person behind the caller, and nobody else, takes these secrets, each once, within ten minutes. It
    /// stands in the result, and is no secret.
    ///
    /// # Errors
    /// They cannot be laid out: the error of the call.
    pub async fn hand_out(&self, out: HandOut) -> Result<String, ToolError> {
        let HandOut { title, facts, items } = out;
        for item in &items {
            self.log.hides(item.secret().expose());
        }
        self.knows_key()?;
        let items: Option<Vec<_>> = items.into_iter().map(|item| self.fit(item)).collect();
        let Some(items) = items.filter(|items| !items.is_empty()) else {
            return Err(ToolError::fault("what is handed out is nothing, or no address of a host"));
        };
        for item in &items {
            self.log.hides(item.secret().expose());
        }
        let bytes: usize = items.iter().map(|item| item.secret().expose().len()).sum();
        let shown: usize = items
            .iter()
            .map(|item| item.shown())
            .map(|(name, size, _)| name.len() + size.map_or(0, |size| size.len()))
            .sum();
        if items.len() > HandOut::ITEMS_MAX || bytes > HandOut::SECRET_BYTES_MAX || shown > HandOut::NAMES_BYTES_MAX {
            let message = format!("{} secrets of {bytes} bytes cannot be handed out at once.", items.len());
            let hint = format!("Ask for fewer at once: at most {}.", HandOut::ITEMS_MAX);
            return Err(ToolError::new(code::RESULT_TOO_LARGE, message).hint(hint));
        }
        let mut about = Stakes::of(title);
        for (name, value) in &facts {
            about = about.fact(name, Some(value));
        }
        let about = about.within(self.organization);
        about.must_be_readable()?;
        self.person.hands_out(&about, &items).await
    }
}
