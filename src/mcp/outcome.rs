//! The outcome of a tool call: a result, or an error written for the model.

use serde::Serialize;
use serde_json::{Map, Value};

/// How a tool call ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// With a result.
    Complete(Output),
    /// With a question to the person, which the client answers with the same call (2026-07-28, "Multi Round-Trip Requests").
    InputRequired(Question),
    /// With an error.
    Failed(Box<ToolError>),
    /// Not at all: what the client sent back is not what it was given, says a sentence.
    Refused(String),
}

/// The result of a tool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// A JSON object that satisfies the tool's output schema, serialized.
    pub structured: String,
    /// Its figures as an SVG document, for people.
    pub picture: Option<String>,
}

impl From<String> for Output {
    fn from(structured: String) -> Self {
        Self { structured, picture: None }
    }
}

/// A question to the person behind a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// `inputRequests`: the question under its key.
    pub requests: Value,
    /// `requestState`, which the client sends back.
    pub state: String,
}

/// What a client answers to a question, as it sent it: nothing of it is to be believed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answered {
    /// The id of the request as JSON text, by which its client can cancel it.
    pub request: String,
    /// `inputResponses`.
    pub responses: Option<Value>,
    /// `requestState`.
    pub state: Option<Value>,
    /// Whether the client shows forms to a person.
    pub elicits: bool,
}

/// What ends a call in place of its error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Instead {
    /// A question.
    Ask(Question),
    /// A protocol error.
    Refuse,
    /// A question, for whose answer the call waits.
    Wait,
}

/// The stable code of a failed tool call, as on the wire: `NOT_FOUND`. The toolbox defines them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ErrorCode(pub &'static str);

/// An upstream's error, for a question to its support.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UpstreamAnswer {
    /// HTTP status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Its own code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Its id of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
}

/// A failed call, written for the model: what happened, and what to do next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolError {
    /// Stable code.
    pub code: ErrorCode,
    /// What happened, in whole sentences that name the word or argument at fault.
    pub message: String,
    /// One thing to do next, in a whole sentence.
    pub hint: String,
    /// Whether the same call can succeed later, and is safe to repeat.
    pub retryable: bool,
    /// Seconds to wait before that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u64>,
    /// The upstream's error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<Box<UpstreamAnswer>>,
    /// What took effect before the failure, if a call does several things.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<Box<Value>>,
    /// What was done or tried, if something has or may have taken effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Box<Map<String, Value>>>,
    /// What ends the call in place of this error, if something does.
    #[serde(skip)]
    pub instead: Option<Box<Instead>>,
    /// The cause of the failure, for the log only: no text of a caller or an upstream.
    #[serde(skip)]
    pub cause: Option<Box<str>>,
}

/// An error without its hint. It must get one, so that every error gives the model a next step.
#[must_use]
pub struct Unadvised {
    code: ErrorCode,
    message: String,
}

impl Unadvised {
    /// The error with what to do next.
    pub fn hint(self, hint: impl Into<String>) -> ToolError {
        ToolError {
            code: self.code,
            message: self.message,
            hint: sentence(hint.into()),
            retryable: false,
            retry_after_seconds: None,
            upstream: None,
            details: None,
            receipt: None,
            instead: None,
            cause: None,
        }
    }
}

impl ToolError {
    /// An error that repeating the call will not fix, once it has a hint.
    #[expect(clippy::new_ret_no_self, reason = "there is no error without advice")]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Unadvised {
        Unadvised { code, message: sentence(message.into()) }
    }

    /// The same error, marked as worth repeating.
    #[must_use]
    pub fn retryable(mut self) -> Self {
        self.retryable = true;
        self
    }
}

/// A text with an end mark: messages of an upstream or a database often have none, and the next sentence follows.
fn sentence(mut text: String) -> String {
    text.truncate(text.trim_end_matches([' ', '\n', ':', ';', ',']).len());
    if !text.ends_with(['.', '!', '?', '\u{2026}']) {
        text.push('.');
    }
    text
}
