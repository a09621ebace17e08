//! What a call puts at stake: what a person reads before it happens, and all that the answer is bound to.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{
    base::future::Pending,
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
    /// SQL statements, those that destroy first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub statements: Vec<String>,
    /// The name to type, if something is destroyed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl Stakes {
    /// A call that does this.
    pub(crate) fn of(what: impl Into<String>) -> Self {
        Self { what: what.into(), facts: Vec::new(), statements: Vec::new(), name: None }
    }

    /// The same with a fact, if it is known.
    #[must_use]
    pub(crate) fn fact(mut self, name: &str, value: Option<impl ToString>) -> Self {
        self.facts.extend(value.map(|value| (name.to_owned(), value.to_string())));
        self
    }

    /// The same, confirmed by typing this name.
    #[must_use]
    pub(crate) fn typing(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
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
    /// Requests to TiDB Cloud that the whole call takes at least.
    pub requests: u32,
}

impl Bound<'_> {
    /// The call alone: what a client may not alter between its question and the answer. Members of an object stand in the order
    /// of their names.
    pub fn call(&self) -> String {
        json!([self.tool, self.arguments, self.organization, self.narrowing]).to_string()
    }

    /// The call and what it would do now.
    pub fn whole(&self) -> String {
        json!([self.tool, self.arguments, self.organization, self.narrowing, self.stakes]).to_string()
    }
}

/// Whoever asks the person behind a connection.
pub trait Person {
    /// What the client of the next call answers.
    fn hears(&self, answered: Answered);

    /// Whether the caller goes without a person, who is then not asked before this tool runs. Notes it.
    fn is_absent(&self, tool: &'static str) -> bool;

    /// Whether they agreed to this very call. An agreement is used up by this.
    ///
    /// # Errors
    /// They did not, or not yet: the error, or the question, of the call.
    fn agrees<'c>(&'c self, bound: &'c Bound<'c>) -> Pending<'c, Result<(), ToolError>>;

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
        let stakes = Stakes::of("Delete the cluster shop.").fact("Region", Some("aws-us-east-1")).typing("shop");
        let changed = Stakes::of("Delete the cluster shop.").fact("Region", Some("aws-eu-central-1")).typing("shop");
        let arguments = json!({"cluster": "shop"}).as_object().expect("an object").clone();
        let others = json!({"cluster": "shop", "branch": "x"}).as_object().expect("an object").clone();
        let bound = |tool, arguments, organization, narrowing: &str, stakes| Bound {
            tool,
            arguments,
            organization,
            narrowing: narrowing.to_owned(),
            stakes,
            requests: 1,
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
    }
}
