//! What a tool is to the protocol: a definition, and a call that ends in a result or an error written for the model.

use serde::Serialize;
use serde_json::{Map, Value};

/// Behaviour hints, all of them stated (MCP schema `ToolAnnotations`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Annotations {
    /// Changes nothing.
    pub read_only_hint: bool,
    /// May destroy or overwrite; meaningful only where not read-only.
    pub destructive_hint: bool,
    /// Calling it again with the same arguments changes nothing more.
    pub idempotent_hint: bool,
    /// Reaches beyond this server.
    pub open_world_hint: bool,
}

/// One entry of `tools/list` (MCP schema `Tool`).
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Definition {
    /// Unique name, `[a-z0-9_]`, at most 40 characters.
    pub name: &'static str,
    /// Name for people.
    pub title: &'static str,
    /// What it does, for the model.
    pub description: String,
    /// JSON Schema of the arguments; the root is an object.
    pub input_schema: Value,
    /// JSON Schema of `structuredContent`; the root is an object.
    pub output_schema: Value,
    /// Behaviour hints.
    pub annotations: Annotations,
}

/// Stable codes of failed tool calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "the meaning of each code is in docs/errors.md, which a test holds against this list")]
pub enum ToolErrorCode {
    InvalidArgument,
    NotFound,
    AmbiguousName,
    UnauthenticatedUpstream,
    PermissionDenied,
    RateLimitedUpstream,
    UpstreamTimeout,
    UpstreamUnavailable,
    UpstreamInvalidResponse,
    DeadlineExceeded,
    Conflict,
    FailedPrecondition,
    QuotaExceeded,
    SqlRejected,
    ReadOnlyViolation,
    SqlError,
    ResultTooLarge,
    OutcomeUnknown,
    Internal,
}

/// What an upstream said, for whoever has to ask its support.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UpstreamAnswer {
    /// HTTP status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Its own code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// A failed call, written for the model: what happened, and what to do next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolError {
    /// Stable code.
    pub code: ToolErrorCode,
    /// What happened, in one sentence.
    pub message: String,
    /// What to do next, in one sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Whether the same call can succeed later, and is safe to repeat.
    pub retryable: bool,
    /// Seconds to wait before that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u64>,
    /// What the upstream said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<UpstreamAnswer>,
    /// What took effect before the failure, where a call does several things.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<Value>,
}

impl ToolError {
    /// An error that repeating the call will not mend.
    pub fn new(code: ToolErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            hint: None,
            retryable: false,
            retry_after_seconds: None,
            upstream: None,
            details: None,
        }
    }

    /// The same error with advice.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same error, marked as worth repeating.
    #[must_use]
    pub fn retryable(mut self) -> Self {
        self.retryable = true;
        self
    }
}

/// The tools of one caller, as the protocol sees them.
#[expect(async_fn_in_trait, reason = "single-threaded: no caller needs `Send`")]
pub trait Toolbox {
    /// The `tools` array, serialized and minified.
    fn list(&self) -> &str;

    /// Whether a tool of exactly this name can be called.
    fn has(&self, name: &str) -> bool;

    /// Calls a tool that [`Toolbox::has`]; the value is an object that satisfies its output schema.
    async fn call(&self, name: &str, arguments: Map<String, Value>) -> Result<Value, ToolError>;
}
