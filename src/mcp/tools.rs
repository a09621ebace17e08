//! What a tool is to the protocol: a definition, and a call that ends in a result or an error written for the model.

use std::{borrow::Cow, fmt};

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{
    Success, fence,
    jsonrpc::{RpcError, clip},
};
use crate::base::text::spelled_out;

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
    RateLimited,
    StorageUnavailable,
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
    RequestsExhausted,
    OutcomeUnknown,
    Internal,
}

impl fmt::Display for ToolErrorCode {
    /// As on the wire: `NOT_FOUND`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(formatter)
    }
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
    /// What happened, in whole sentences that name the word or argument at fault.
    pub message: String,
    /// One thing to do next, in a whole sentence.
    pub hint: String,
    /// Whether the same call can succeed later, and is safe to repeat.
    pub retryable: bool,
    /// Seconds to wait before that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u64>,
    /// What the upstream said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<Box<UpstreamAnswer>>,
    /// What took effect before the failure, where a call does several things.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<Value>,
    /// What was wrong with this server, for its log alone.
    #[serde(skip)]
    pub cause: Option<Box<str>>,
}

/// What happened, without advice yet. An error that leaves the model without a next step cannot be made.
#[must_use]
pub struct Unadvised {
    code: ToolErrorCode,
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
            cause: None,
        }
    }
}

impl ToolError {
    /// What happened: an error that repeating the call will not mend, once it says what to do next.
    #[expect(clippy::new_ret_no_self, reason = "there is no error without advice")]
    pub fn new(code: ToolErrorCode, message: impl Into<String>) -> Unadvised {
        Unadvised { code, message: sentence(message.into()) }
    }

    /// A fault of this server: the cause goes to the log, and nothing of it to the caller.
    pub fn fault(cause: impl Into<Box<str>>) -> Self {
        let error = Self::new(ToolErrorCode::Internal, "This server failed.");
        Self { cause: Some(cause.into()), ..error.hint("Report the request id to whoever runs it.") }
    }

    /// The same error, marked as worth repeating.
    #[must_use]
    pub fn retryable(mut self) -> Self {
        self.retryable = true;
        self
    }
}

/// A text with an end mark: what an upstream or a database says often has none, and the next sentence follows it.
fn sentence(mut text: String) -> String {
    text.truncate(text.trim_end_matches([' ', '\n', ':', ';', ',']).len());
    if !text.ends_with(['.', '!', '?', '\u{2026}']) {
        text.push('.');
    }
    text
}

/// Who may be given what somebody was answered (MCP schema `CacheableResult`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CacheScope {
    /// Whoever asks at the same address.
    Public,
    /// Only the one who asked: it depends on who that was.
    Private,
}

impl CacheScope {
    /// As on the wire.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Private => "private",
        }
    }
}

/// What `tools/list` says.
pub struct Listing<'a> {
    /// The `tools` array, serialized and minified.
    pub tools: Cow<'a, str>,
    /// Private wherever something in it comes from the caller's credentials.
    pub cache: CacheScope,
}

/// The tools of one caller, as the protocol sees them.
#[expect(async_fn_in_trait, reason = "single-threaded: no caller needs `Send`")]
pub trait Toolbox {
    /// All of them.
    fn list(&self) -> Listing<'_>;

    /// Whether a tool of exactly this name can be called.
    fn has(&self, name: &str) -> bool;

    /// Calls a tool that [`Toolbox::has`]; the text is a JSON object that satisfies its output schema.
    async fn call(&self, name: &str, arguments: Map<String, Value>) -> Result<String, ToolError>;

    /// A word of letters and digits, at most 64 of them, that is new for each result and cannot be guessed.
    fn boundary(&self) -> String;
}

/// Whether this could be the name of a [`Definition`].
pub(super) fn is_name(name: &str) -> bool {
    (1..=40).contains(&name.len()) && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
}

/// `tools/list`. The array was serialized once; it is copied here, not parsed or built again.
pub(super) fn list(params: &Map<String, Value>, toolbox: &impl Toolbox) -> Result<Success, RpcError> {
    let Listing { tools, cache } = toolbox.list();
    page(params, "tools", &tools, cache)
}

/// The list of what there is none of, which is the same for everybody.
pub(super) fn no_list(params: &Map<String, Value>, name: &str) -> Result<Success, RpcError> {
    page(params, name, "[]", CacheScope::Public)
}

/// A list: everything on one page, so no cursor of ours exists and none is accepted.
/// <https://modelcontextprotocol.io/specification/2026-07-28/server/utilities/pagination>
fn page(params: &Map<String, Value>, name: &str, items: &str, cache: CacheScope) -> Result<Success, RpcError> {
    // Presence counts, not truth: `""` is a cursor too.
    if params.contains_key("cursor") {
        return Err(RpcError::invalid_params("Invalid cursor."));
    }
    Ok(Success::cacheable(format!(r#"{{"{name}":{items}}}"#), cache))
}

/// Gives the arguments of a call the form that the tool's schema says; which form that is only the toolbox knows.
pub type Normalize = fn(tool: &str, arguments: &mut Map<String, Value>);

/// Puts the arguments of a `tools/call` into their form before anybody reads them.
pub(super) fn normalize(params: &mut Map<String, Value>, normalize: Normalize) {
    let name = params.get("name").and_then(Value::as_str).map(str::to_owned);
    if let (Some(name), Some(Value::Object(arguments))) = (name, params.get_mut("arguments")) {
        normalize(&name, arguments);
    }
}

/// `tools/call`. An unknown tool and parameters of the wrong shape are protocol errors; whatever is wrong with the
/// arguments themselves is the tool's to say, so that the model can mend it.
/// <https://modelcontextprotocol.io/specification/2026-07-28/server/tools#error-handling>
pub(super) async fn call(
    params: &mut Map<String, Value>,
    toolbox: &impl Toolbox,
    request_id: &str,
) -> Result<Success, RpcError> {
    let arguments = match params.remove("arguments") {
        None => Map::new(),
        Some(Value::Object(arguments)) => arguments,
        Some(_) => return Err(RpcError::invalid_params("`arguments` must be an object. Send it as one JSON object.")),
    };
    let Some(name) = params.get("name").and_then(Value::as_str) else {
        return Err(RpcError::invalid_params("`name` must be a string. Send the name of a tool."));
    };
    if !toolbox.has(name) {
        return Err(RpcError::invalid_params(format!(
            "Unknown tool: {}. Call tools/list to see the names.",
            clip(name)
        )));
    }
    Ok(match toolbox.call(name, arguments).await {
        Ok(structured) => Success::object(fence::result(&structured, &toolbox.boundary())),
        Err(error) => failed(&error, request_id),
    })
}

/// A failed call as a result: the model reads the text, programs read `structuredContent.error`.
fn failed(error: &ToolError, request_id: &str) -> Success {
    let text = format!("{} {} [{}, request {request_id}]", error.message, error.hint, error.code);
    let mut structured = json!(error);
    if let Some(members) = structured.as_object_mut() {
        members.insert("requestId".into(), request_id.into());
    }
    let mut result = Success::plain(json!({
        "content": [{"type": "text", "text": spelled_out(&text)}],
        "structuredContent": {"error": structured},
        "isError": true,
    }));
    result.tool_error = Some(error.code);
    result
}
