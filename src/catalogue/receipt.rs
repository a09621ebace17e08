//! Receipts: what a call changed, as whom, under which ids, and how to undo it.
//!
//! A tool says what it did and how that is undone, by [`Tool::RECEIPT`](super::entry::Tool::RECEIPT); the rest is added here. A
//! result carries its receipt as the member `receipt`, and so does an error after which something has or may have taken effect.

use serde_json::{Map, Value};

use super::{budget::cut_text, code, context::Context, entry::Tool, failures::LOOK_AROUND};
use crate::{
    mcp::outcome::ToolError,
    tidbcloud::{Timestamp, Trail},
};

/// 320 bytes hold a verb, two names of 64 characters and two ids.
const DID_BYTES_MAX: usize = 320;

/// 3,400 bytes hold a call with twenty labels of 63 characters each, and quotes: 20 * (2 * 63 + 6) are 2,640, and 700 for the rest.
const UNDO_BYTES_MAX: usize = 3_400;

/// Bytes that a result of rows leaves for its receipt: `did` with 320, an `undo` of SQL with 500, and 290 for the rest (names
/// of members 85, credential 20, time 22, request id 34, trace id 66, a count 20, punctuation 40).
pub(super) const BYTES: usize = 1_200;

/// A tool's own part of its receipts.
pub struct Receipt<T: Tool> {
    /// The hint after a call whose outcome is unknown: the tool that shows it, in a sentence.
    pub look: &'static str,
    /// What a call with these arguments tries, for one whose outcome is unknown: `create the cluster shop`.
    pub tries: fn(&T) -> String,
    /// What a call with this result did.
    pub done: fn(&T::Output) -> Done,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    did: String,
    affected: Option<u64>,
    undo: Option<String>,
}

impl Done {
    /// This, in a phrase that begins with a verb in the past: `Created the cluster shop`.
    pub fn of(did: impl Into<String>) -> Self {
        Self { did: did.into(), affected: None, undo: None }
    }

    /// The same with the number of rows or resources that changed, if it is known.
    #[must_use]
    pub(crate) fn affecting(self, affected: Option<u64>) -> Self {
        Self { affected, ..self }
    }

    /// The same with what undoes it, in one sentence. Without it, nothing does.
    #[must_use]
    pub(crate) fn undone_by(self, undo: impl Into<String>) -> Self {
        Self { undo: Some(undo.into()), ..self }
    }

    /// For the error of a call of which only this took effect.
    pub(crate) fn in_part(self) -> Option<Box<Map<String, Value>>> {
        Some(Box::new(self.members()))
    }

    fn members(self) -> Map<String, Value> {
        let Self { mut did, affected, mut undo } = self;
        cut_text(&mut did, DID_BYTES_MAX);
        if let Some(undo) = &mut undo {
            cut_text(undo, UNDO_BYTES_MAX);
        }
        let mut members = Map::new();
        members.insert("did".to_owned(), did.into());
        members.extend(affected.map(|affected| ("affected".to_owned(), affected.into())));
        members.extend(undo.map(|undo| ("undo".to_owned(), undo.into())));
        members
    }
}

/// A thing by its name and id, as receipts call it.
pub(crate) fn named(name: &str, id: &str) -> String {
    if name.is_empty() { id.to_owned() } else { format!("{name} ({id})") }
}

/// The end of a call: its receipt, its line in the log, and TiDB Cloud's id in its error.
pub(super) struct Closing<'c> {
    pub(super) context: &'c Context<'c>,
    pub(super) trail: &'c Trail<'c>,
    /// Fingerprint of the credential.
    pub(super) caller: &'c str,
}

impl Closing<'_> {
    /// The output, a JSON object, with its receipt.
    pub(super) fn done(&self, mut output: String, done: Done) -> String {
        self.trail.end("done");
        if output.pop() == Some('}') {
            let receipt = Value::Object(self.complete(done.members()));
            let comma = if output.ends_with('{') { "" } else { "," };
            output.push_str(&format!("{comma}\"receipt\":{receipt}}}"));
        }
        output
    }

    /// The error of a call that tried to do something. If some of it took effect, the tool has said so in the error's receipt.
    pub(super) fn failed(&self, mut error: ToolError, tried: Option<String>, look: Option<&str>) -> ToolError {
        let unknown = error.code == code::OUTCOME_UNKNOWN;
        if let Some(look) = look.filter(|_| unknown && error.hint == LOOK_AROUND) {
            look.clone_into(&mut error.hint);
        }
        self.trail.end(match (&error.receipt, &error.upstream) {
            _ if unknown => "unknown",
            (None, Some(_)) => "refused",
            _ => "failed",
        });
        if let Some(id) = self.trail.trace_id()
            && (unknown || error.upstream.is_some() || error.code == code::UPSTREAM_INVALID_RESPONSE)
        {
            error.upstream.get_or_insert_default().trace_id = Some(id);
        }
        if let Some(mut tried) = tried.filter(|_| unknown) {
            cut_text(&mut tried, DID_BYTES_MAX);
            error.receipt.get_or_insert_default().insert("tried".to_owned(), tried.into());
        }
        error.receipt = error.receipt.map(|members| Box::new(self.complete(*members)));
        error
    }

    /// With who, when, and under which ids.
    fn complete(&self, mut members: Map<String, Value>) -> Map<String, Value> {
        let mut add = |name: &str, text: &str| members.insert(name.to_owned(), text.into());
        add("as", self.caller);
        add("at", Timestamp::at(self.context.now()).as_str());
        add("requestId", &self.context.log().request_id);
        if let Some(id) = self.trail.trace_id() {
            add("traceId", &id);
        }
        members
    }
}
