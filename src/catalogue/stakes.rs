//! What a call puts at stake: what a person reads before it happens, and all that the answer is bound to.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    code,
    handed::{CredentialField, Credentials, Item},
};
use crate::{
    base::{future::Pending, text::spelled_out},
    mcp::outcome::{Answered, ToolError},
};

/// What a call would do, as a person reads it. The page seals it and shows it, the answer is bound to it, and the repeated call
/// reads it again: what changed meanwhile was not confirmed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stakes {
    /// What happens, in one sentence.
    pub what: String,
    /// Names and values: what it is about, and its state now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub facts: Vec<(String, String)>,
    /// The same of what moves by itself, such as what the month has cost so far. It is shown, and no answer is bound to it: it would
    /// be another one a minute later.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub moving: Vec<(String, String)>,
    /// SQL statements, those that destroy first, each with its place in the order in which they run, from 1: what a statement does
    /// depends on those before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub statements: Vec<(usize, String)>,
    /// The name to type, if something is destroyed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Credentials that the person hands in with the answer: name, label, and whether a value has several lines.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub credentials: Vec<(String, String, bool)>,
}

/// 16,384 bytes of text are shown at most. A person has ten minutes (`ASKED_MILLIS` of `store::confirmations`),
/// and reads some 1,500 characters a minute with care: 15,000. Stored, they are at most 44 KB: twice as many bytes as JSON, where
/// each could be a quote or a backslash, and a third more in base64. Ten such pages are 440 KB of the 2 MB of a Durable Object's
/// value (<https://developers.cloudflare.com/durable-objects/platform/limits/>).
pub(crate) const SHOWN_BYTES_MAX: usize = 16 << 10;

/// The fact that names the organization.
const ORGANIZATION: &str = "Organization";

impl Stakes {
    /// A call that does this. Here and below hidden characters are spelled out, so that all texts are as a person reads them.
    pub(crate) fn of(what: impl AsRef<str>) -> Self {
        let what = spelled_out(what.as_ref()).into_owned();
        Self {
            what,
            facts: Vec::new(),
            moving: Vec::new(),
            statements: Vec::new(),
            name: None,
            credentials: Vec::new(),
        }
    }

    /// The same with a fact, if it is known.
    #[must_use]
    pub(crate) fn fact(mut self, name: &str, value: Option<impl ToString>) -> Self {
        self.facts.extend(value.map(|value| (name.to_owned(), spelled_out(&value.to_string()).into_owned())));
        self
    }

    /// The same with a fact that moves by itself: an answer holds whatever it is by then.
    #[must_use]
    pub(crate) fn moving_fact(mut self, name: &str, value: impl AsRef<str>) -> Self {
        self.moving.push((name.to_owned(), spelled_out(value.as_ref()).into_owned()));
        self
    }

    /// All facts, in the order in which they are shown.
    pub fn shown_facts(&self) -> impl Iterator<Item = &(String, String)> {
        self.facts.iter().chain(&self.moving)
    }

    /// The same with SQL statements and their places.
    #[must_use]
    pub(crate) fn running<'s>(mut self, statements: impl IntoIterator<Item = (usize, &'s str)>) -> Self {
        // A line of SQL stays a line.
        let shown = |text: &str| text.split('\n').map(spelled_out).collect::<Vec<_>>().join("\n");
        self.statements.extend(statements.into_iter().map(|(place, text)| (place, shown(text))));
        self
    }

    /// The same, confirmed by typing this name as it is shown: hidden characters as their escapes, and one space for any
    /// blanks, because a page shows several as one. A name of blanks alone cannot be typed, and is replaced by the id.
    #[must_use]
    pub(crate) fn typing(mut self, name: &str, id: &str) -> Self {
        let seen = spelled_out(name).split_whitespace().collect::<Vec<_>>().join(" ");
        self.name = Some(if seen.is_empty() { id.to_owned() } else { seen });
        self
    }

    /// The same with credentials that the person hands in: the question is then a page, in every client and also where nobody is
    /// asked otherwise. The tool says [`opens`](super::entry::Tool::opens), and has them from
    /// [`Context::handed_in`](super::context::Context::handed_in).
    #[must_use]
    pub fn asking_for(mut self, fields: &'static [CredentialField]) -> Self {
        let owned = |field: &CredentialField| (field.name.to_owned(), field.label.to_owned(), field.long);
        self.credentials.extend(fields.iter().map(owned));
        self
    }

    /// The same in an organization; one without a name is the only one.
    #[must_use]
    pub(crate) fn within(self, organization: &str) -> Self {
        self.fact(ORGANIZATION, (!organization.is_empty()).then_some(organization))
    }

    /// Whether it happens in this organization.
    pub(crate) fn is_in(&self, organization: &str) -> bool {
        let named = self.facts.iter().find(|(name, _)| name == ORGANIZATION);
        named.map_or("", |(_, value)| value) == spelled_out(organization)
    }

    /// Requires that it can be shown whole.
    ///
    /// # Errors
    /// It is longer than a person can read: the error of the call.
    pub(crate) fn must_be_readable(&self) -> Result<(), ToolError> {
        let facts = self.shown_facts().flat_map(|(name, value)| [name, value]);
        let labels = self.credentials.iter().map(|(_, label, _)| label);
        let texts = facts
            .chain(self.statements.iter().map(|(_, text)| text))
            .chain(&self.name)
            .chain([&self.what])
            .chain(labels);
        let bytes: usize = texts.map(String::len).sum();
        if bytes <= SHOWN_BYTES_MAX {
            return Ok(());
        }
        let message = format!(
            "A person has to allow this call, and cannot read all of it: {bytes} bytes, of at most {SHOWN_BYTES_MAX}. \
             Nothing was changed."
        );
        let hint = "Do less in one call: fewer or shorter statements, and what destroys apart from long data.";
        Err(ToolError::new(code::INVALID_ARGUMENT, message).hint(hint))
    }
}

/// A call with what is at stake: what an answer is bound to, beside the principal.
pub struct Bound<'c> {
    /// Name of the tool.
    pub tool: &'static str,
    /// Its normalized arguments, with those that address and grant fix.
    pub arguments: &'c Map<String, Value>,
    /// The organization's name; empty if there is one.
    pub organization: &'c str,
    /// What address and grant leave, as a query.
    pub narrowing: String,
    /// What happens.
    pub stakes: &'c Stakes,
    /// Requests to TiDB Cloud that the whole call would take if it began again.
    pub requests: u32,
    /// The key of the caller's credential, under which it finds what a person hands in; `None` if nothing is asked for.
    pub own_key: Option<[u8; 32]>,
}

impl Bound<'_> {
    /// The call alone: what a client may not alter between its question and the answer. Members of an object stand in the order
    /// of their names.
    pub fn call(&self) -> String {
        json!([self.tool, self.arguments, self.organization, self.narrowing]).to_string()
    }

    /// The call and what it would do now, without what moves by itself.
    pub fn whole(&self) -> String {
        let stakes = Stakes { moving: Vec::new(), ..self.stakes.clone() };
        json!([self.tool, self.arguments, self.organization, self.narrowing, stakes]).to_string()
    }
}

/// Whoever asks the person behind a connection.
pub trait Person {
    /// What the client of the next call answers.
    fn hears(&self, answered: Answered);

    /// Whether the caller goes without a person, who is then not asked before this tool runs. Notes it.
    fn is_absent(&self, tool: &'static str) -> bool;

    /// Whether they agreed to this very call, and the credentials that they handed in if it asks for some. An agreement is used up by
    /// this.
    ///
    /// # Errors
    /// They did not, or not yet: the error, or the question, of the call.
    fn agrees<'c>(&'c self, bound: &'c Bound<'c>) -> Pending<'c, Result<Option<Credentials>, ToolError>>;

    /// Keeps a place for secrets that come later in this call.
    ///
    /// # Errors
    /// Storage did not answer, or too much lies there already: the error of the call.
    fn keeps_place(&self) -> Pending<'_, Result<(), ToolError>>;

    /// Lays secrets out for them, in the place that was kept if one was, and gives the link to the page on which they take these.
    ///
    /// # Errors
    /// Storage did not answer, or too much lies there already: the error of the call.
    fn hands_out<'c>(&'c self, about: &'c Stakes, items: &'c [Item]) -> Pending<'c, Result<String, ToolError>>;

    /// Waits for the answer to the question that ended a call with [`Instead::Wait`](crate::mcp::outcome::Instead). The call is
    /// then made again, and reads again what is at stake.
    ///
    /// # Errors
    /// They did not agree: the error of the call.
    fn waits(&self) -> Pending<'_, Result<(), ToolError>>;

    /// Takes what a client posted in answer to a question for which another request waits.
    fn hear<'c>(&'c self, id: &'c str, result: &'c Value) -> Pending<'c, ()>;

    /// Takes that the client cancelled its request with this id, in JSON, which waits for a person.
    fn cancel<'c>(&'c self, request: &'c str) -> Pending<'c, ()>;
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// An answer is for one call: whatever differs makes another.
    #[test]
    fn whatever_differs_makes_another_call() {
        let stakes = Stakes::of("Delete the cluster shop.").fact("Region", Some("aws-us-east-1")).typing("shop", "1");
        let changed =
            Stakes::of("Delete the cluster shop.").fact("Region", Some("aws-eu-central-1")).typing("shop", "1");
        let arguments = json!({"cluster": "shop"}).as_object().expect("an object").clone();
        let others = json!({"cluster": "shop", "branch": "x"}).as_object().expect("an object").clone();
        let bound = |tool, arguments, organization, narrowing: &str, stakes| Bound {
            tool,
            arguments,
            organization,
            narrowing: narrowing.to_owned(),
            stakes,
            requests: 1,
            own_key: None,
        };
        let this = bound("delete", &arguments, "", "", &stakes);
        let calls = [
            bound("drop", &arguments, "", "", &stakes),
            bound("delete", &others, "", "", &stakes),
            bound("delete", &arguments, "labs", "", &stakes),
            bound("delete", &arguments, "", "cluster=shop", &stakes),
        ];
        for other in &calls {
            assert_ne!(this.call(), other.call());
            assert_ne!(this.whole(), other.whole());
        }
        let later = bound("delete", &arguments, "", "", &changed);
        assert_eq!(this.call(), later.call(), "it is the same call");
        assert_ne!(this.whole(), later.whole(), "of something that changed meanwhile");
        let [then, now] = ["1.00", "2.00"].map(|cost| stakes.clone().moving_fact("Month to date", cost));
        assert_ne!(then, now);
        let [then, now] = [&then, &now].map(|stakes| bound("delete", &arguments, "", "", stakes).whole());
        assert_eq!(then, now, "what moves by itself makes no other call of it");
        assert_eq!(then, this.whole());
    }

    /// Whatever a text holds, a person sees it, and can type the name that is shown.
    #[test]
    fn hidden_characters_are_seen_and_can_be_typed() {
        let name = "sh\u{202e}op\u{200b} \u{3000} two\n";
        let sql = "DROP TABLE a\n-- sh\u{202e}op\u{200b}\r";
        let stakes =
            Stakes::of(format!("Delete {name}.")).fact("Na\tme", Some(name)).running([(1, sql)]).typing(name, "7");
        let shown = r"sh\u202eop\u200b";
        let lines: Vec<_> = stakes.statements[0].1.split('\n').map(str::to_owned).collect();
        assert_eq!(lines, ["DROP TABLE a", &format!(r"-- {shown}\r")], "a line of SQL stays a line");
        for text in [&stakes.what, &stakes.facts[0].1, &lines[1], stakes.name.as_ref().expect("a name")] {
            assert!(text.contains(shown) && !text.contains(crate::base::text::is_hidden), "{text:?}");
        }
        assert_eq!(stakes.name.as_deref(), Some(&*format!(r"{shown} two\n")), "one space is typed for several blanks");
        for blank in ["", " ", "\u{3000}"] {
            assert_eq!(
                Stakes::of("").typing(blank, "7").name.as_deref(),
                Some("7"),
                "a blank name cannot be typed: {blank:?}"
            );
        }
    }

    /// What cannot be shown whole is refused, wherever the bytes are, and counted as they are shown.
    #[test]
    fn what_a_person_cannot_read_is_refused() {
        let long = |bytes: usize| "x".repeat(bytes);
        let full = SHOWN_BYTES_MAX - "Drop it.".len();
        for (bytes, readable) in [(full, true), (full + 1, false)] {
            let half = bytes / 2;
            for stakes in [
                Stakes::of("Drop it.").running([(1, &*long(bytes))]),
                Stakes::of("Drop it.").running([(1, &*long(half)), (2, &*long(bytes - half))]),
                Stakes::of("Drop it.").fact(&long(half), Some(long(bytes - half))),
                Stakes::of("Drop it.").moving_fact(&long(half), long(bytes - half)),
                Stakes::of("Drop it.").typing(&long(bytes), "7"),
                Stakes::of(format!("Drop it.{}", long(bytes))),
            ] {
                assert_eq!(stakes.must_be_readable().is_ok(), readable, "{bytes} bytes");
            }
        }
        let escaped = Stakes::of("").running([(1, "\u{202e}".repeat(SHOWN_BYTES_MAX / r"\u202e".len() + 1).as_str())]);
        let error = escaped.must_be_readable().expect_err("an escape is longer than its character");
        assert_eq!(error.code, code::INVALID_ARGUMENT);
        assert!(error.hint.contains("fewer or shorter statements"), "{}", error.hint);
    }
}
