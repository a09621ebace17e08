//! Tools as the protocol sees them: a definition, and a call that has an outcome.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::{Map, Value, json};

pub use super::success::CacheScope;
use super::{
    Ids, fence,
    http::{CLIENT_CAPABILITIES, elicits},
    jsonrpc::{Id, RpcError, clip},
    outcome::{Answered, Outcome, Question, ToolError},
    revision::Revision,
    success::Success,
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

/// The result of `tools/list`.
pub struct Listing<'a> {
    /// The `tools` array, serialized and minified.
    pub tools: Cow<'a, str>,
    /// Private if something in it comes from the caller's credentials.
    pub cache: CacheScope,
}

/// A tool that was looked up by a caller's name for it.
pub trait Tool: Copy {
    /// Its name.
    fn name(self) -> &'static str;
}

/// Finds a tool by its name, and normalizes the arguments of the call to its schema.
pub type Find<T> = fn(name: &str, arguments: &mut Map<String, Value>) -> Option<T>;

/// The tools of one caller, as the protocol sees them.
#[expect(async_fn_in_trait, reason = "single-threaded: no caller needs `Send`")]
pub trait Toolbox {
    /// One of them.
    type Tool: Tool;

    /// All of them.
    fn list(&self) -> Listing<'_>;

    /// Whether this caller has a tool that exists.
    ///
    /// # Errors
    /// What to do instead, in a sentence.
    fn offers(&self, tool: Self::Tool) -> Result<(), String>;

    /// Calls a tool that it [offers](Toolbox::offers).
    async fn call(&self, tool: Self::Tool, arguments: Map<String, Value>, answered: Answered) -> Outcome;

    /// Takes the answer of a client to a request that it was sent while a call waits. `result` is null if it gave none. An answer to
    /// nothing is dropped.
    async fn hear(&self, id: &str, result: &Value);

    /// Takes that a client wants no answer any more to its request with this id, in JSON. A call that waits for a person ends.
    async fn cancel(&self, request: &str);

    /// A word of letters and digits, at most 64 of them, that is new for each result and cannot be guessed.
    fn boundary(&self) -> String;
}

/// `tools/list`. The array was serialized once; it is copied here, not parsed or built again.
pub(super) fn list(params: &Map<String, Value>, toolbox: &impl Toolbox) -> Result<Success, RpcError> {
    let Listing { tools, cache } = toolbox.list();
    page(params, "tools", &tools, cache)
}

/// An empty list, the same for every caller.
pub(super) fn no_list(params: &Map<String, Value>, name: &str) -> Result<Success, RpcError> {
    page(params, name, "[]", CacheScope::Public)
}

/// A list: everything is on one page, so this server issues no cursor and accepts none.
/// <https://modelcontextprotocol.io/specification/2026-07-28/server/utilities/pagination>
fn page(params: &Map<String, Value>, name: &str, items: &str, cache: CacheScope) -> Result<Success, RpcError> {
    // Presence counts, not truth: `""` is a cursor too.
    if params.contains_key("cursor") {
        return Err(RpcError::invalid_params("Invalid cursor."));
    }
    Ok(Success::cacheable(format!(r#"{{"{name}":{items}}}"#), cache))
}

/// The tool of a `tools/call`, if one has this name; its arguments are normalized from here on.
pub(super) fn find<T>(params: &mut Map<String, Value>, find: Find<T>) -> Option<T> {
    let name = params.get("name").and_then(Value::as_str)?.to_owned();
    match params.get_mut("arguments") {
        Some(Value::Object(arguments)) => find(&name, arguments),
        _ => find(&name, &mut Map::new()),
    }
}

/// `tools/call`. An unknown tool and parameters of the wrong shape are protocol errors; the tool reports wrong arguments,
/// so that the model can fix them.
/// <https://modelcontextprotocol.io/specification/2026-07-28/server/tools#error-handling>
pub(super) async fn call<B: Toolbox>(
    id: &Id,
    tool: Option<B::Tool>,
    params: &mut Map<String, Value>,
    toolbox: &B,
    revision: Revision,
    ids: Ids<'_>,
) -> Result<Success, RpcError> {
    let answered = if revision.is_modern() { answered(params) } else { Answered::default() };
    let answered = Answered { request: id.to_json(), ..answered };
    let arguments = match params.remove("arguments") {
        None => Map::new(),
        Some(Value::Object(arguments)) => arguments,
        Some(_) => return Err(RpcError::invalid_params("`arguments` must be an object. Send it as one JSON object.")),
    };
    let Some(name) = params.get("name").and_then(Value::as_str) else {
        return Err(RpcError::invalid_params("`name` must be a string. Send the name of a tool."));
    };
    let offered = match tool {
        Some(tool) => toolbox.offers(tool).map(|()| tool),
        None => Err("Call tools/list to see the names.".to_owned()),
    };
    let tool =
        offered.map_err(|instead| RpcError::invalid_params(format!("Unknown tool: {}. {instead}", clip(name))))?;
    Ok(match toolbox.call(tool, arguments, answered).await {
        Outcome::Complete(output) => Success::object(fence::result(&output, &toolbox.boundary())),
        Outcome::InputRequired(Question { requests, state }) => {
            Success::input_required(json!({"inputRequests": requests, "requestState": state}))
        }
        Outcome::Failed(error) => failed(&error, ids),
        Outcome::Refused(message) => return Err(RpcError::invalid_params(message)),
    })
}

/// The answer in the parameters of a call, and whether its client can be asked.
fn answered(params: &mut Map<String, Value>) -> Answered {
    let elicits = elicits(params.get("_meta").and_then(|meta| meta.get(CLIENT_CAPABILITIES)));
    let (responses, state) = (params.remove("inputResponses"), params.remove("requestState"));
    Answered { responses, state, elicits, ..Answered::default() }
}

/// A failed call as a result: the model reads the text, programs read `structuredContent.error`.
fn failed(error: &ToolError, ids: Ids<'_>) -> Success {
    let text = format!("{} {} [{}, request {}]", error.message, error.hint, error.code.0, ids.request);
    let mut structured = json!(error);
    if let Some(members) = structured.as_object_mut() {
        members.insert("requestId".into(), ids.request.into());
        members.insert("traceId".into(), ids.trace.into());
    }
    let mut result = Success::plain(json!({
        "content": [{"type": "text", "text": spelled_out(&text)}],
        "structuredContent": {"error": structured},
        "isError": true,
    }));
    result.tool_error = Some(error.code);
    result
}
