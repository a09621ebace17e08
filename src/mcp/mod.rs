//! The Model Context Protocol, both eras, over streamable HTTP, without sessions. Nothing here names a cluster.
//!
//! A POST passes through here in three steps, so that its sender can be charged for it in between:
//! [`precheck`] looks at the headers, [`parse`] at the body, [`dispatch`] answers. What can be refused with a status
//! of its own is refused by the first two; from then on a modern answer is 200 or, for an unknown method, 404.
//!
//! There is one model of what a result is, and two ways to write it down: the modern era wraps it in `resultType`,
//! `_meta` and cache hints, the legacy era must never see those.

pub mod code;
mod fence;
mod http;
mod json;
pub mod jsonrpc;
mod lifecycle;
pub mod outcome;
pub mod revision;
pub mod tools;

#[cfg(test)]
mod tests;

use serde_json::Value;

pub use self::http::precheck;
use self::{
    code::{METHOD_NOT_FOUND, TransportCode},
    json::{Document, Refusal},
    jsonrpc::{Id, Malformed, Message, Request, RpcError},
    outcome::ErrorCode,
    revision::{Method, Revision},
    tools::{CacheScope, Find, Tool, Toolbox},
};
use crate::base::http::{Headers, Response};

/// How long a client may keep `server/discover` and `tools/list`: both change only with a deployment, and five
/// minutes after one every client has seen it.
/// <https://modelcontextprotocol.io/specification/2026-07-28/server/utilities/caching>
const CACHE_MILLIS: u32 = 300_000;

/// Who answers, and under which request id.
#[derive(Clone, Copy, Debug)]
pub struct Server<'a> {
    /// Name for programs.
    pub name: &'static str,
    /// Name for people.
    pub title: &'static str,
    /// Version of the server.
    pub version: &'static str,
    /// What a model should know before it calls the first tool.
    pub instructions: &'static str,
    /// Names this request in the log and in every error.
    pub request_id: &'a str,
}

/// A body that was read and has a revision to be served by.
#[derive(Debug)]
pub struct Parsed<T> {
    revision: Revision,
    content: Content<T>,
}

#[derive(Debug)]
enum Content<T> {
    /// A notification or a response: taken, and nothing to say.
    Accepted { method: &'static str },
    /// One request.
    Request(Posted<T>),
    /// A batch of 1 to 10: requests, nothing where a message wants no answer, and what was wrong in those that could not be
    /// read.
    Batch(Vec<Result<Option<Posted<T>>, Malformed>>),
}

/// A request, and the tool that it calls.
#[derive(Debug)]
struct Posted<T> {
    request: Request,
    /// `None` where it calls none, or none that exists.
    tool: Option<T>,
}

/// What the log says about a request. Every text is bounded and printable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Revision it is served by.
    pub protocol_version: &'static str,
    /// The method where this server knows it, `batch`, or `unknown`.
    pub method: &'static str,
    /// The tool that is called, or `unknown`.
    pub tool: Option<&'static str>,
    /// What the client calls itself: at most 64 characters, others than printable ASCII replaced by `?`.
    pub client: Option<String>,
}

/// An answer, and what of it belongs in the log.
#[derive(Clone)]
pub struct Reply {
    /// What to send.
    pub response: Response,
    /// JSON-RPC code of the (in a batch: first) protocol error.
    pub rpc_code: Option<i64>,
    /// Code of the (in a batch: first) failed tool call.
    pub tool_error: Option<ErrorCode>,
}

/// A request that was refused as a whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Rejection {
    /// HTTP status, 400 or greater.
    pub status: u16,
    /// Whom the answer is for, where that could be read.
    pub id: Option<Id>,
    /// What is wrong.
    pub error: RpcError,
}

impl Rejection {
    /// A refusal of this code, with what is wrong in one sentence.
    pub fn new(code: &TransportCode, message: impl Into<String>) -> Self {
        Self { status: code.numbers.status, id: None, error: RpcError::new(code, message) }
    }

    fn bad_request(id: Option<Id>, error: RpcError) -> Self {
        Self { status: 400, id, error }
    }

    /// The same refusal with the seconds to wait before trying again, as `data.retryAfterSeconds` and as the header
    /// `Retry-After` (RFC 9110 section 10.2.3).
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.error = self.error.with("retryAfterSeconds", seconds);
        self
    }

    /// The answer.
    pub fn response(&self, request_id: &str) -> Response {
        let response = json_response(self.status, self.error.answer(self.id.as_ref(), request_id));
        match self.error.data.get("retryAfterSeconds") {
            Some(seconds) => response.with("retry-after", seconds.to_string()),
            None => response,
        }
    }
}

/// Reads a body and finds the revision that serves it. `find` finds the tool of each call, once, and gives its
/// arguments their form.
///
/// # Errors
///
/// 400 with -32700 (not JSON), -32600 (not a message that may be posted), -32602 (`_meta` incomplete), -32020 (headers
/// disagree with the body) or -32022 (revision not served), checked in this order.
pub fn parse<T: Tool>(headers: &Headers, body: &[u8], find: Find<T>) -> Result<Parsed<T>, Rejection> {
    let value = match json::read(body) {
        Ok(Document::One(value)) => value,
        Ok(Document::Batch(values)) => {
            return parse_batch(headers, values, find).map_err(|error| Rejection::bad_request(None, error));
        }
        Err(Refusal::Syntax(problem)) => {
            let error = RpcError::parse(format!("The body is not JSON: {problem}."));
            return Err(Rejection::bad_request(None, error));
        }
        Err(Refusal::Structure(problem)) => {
            let error = RpcError::invalid_request(format!("The body is refused: {problem}."));
            return Err(Rejection::bad_request(None, error));
        }
    };
    let message = Message::read(value).map_err(|Malformed { id, error }| Rejection::bad_request(id, error))?;
    match message {
        Message::Request(request) => match http::revision(headers, &request) {
            Ok(revision) => Ok(Parsed { revision, content: Content::Request(posted(request, revision, find)) }),
            Err(error) => Err(Rejection::bad_request(Some(request.id), error)),
        },
        // The modern revision defines no header rules for notifications, so none are applied.
        Message::Notification { method } => Ok(Parsed {
            revision: http::legacy_revision(headers).unwrap_or(Revision::V20260728),
            content: Content::Accepted { method: notification_name(&method) },
        }),
        Message::Response => match http::legacy_revision(headers) {
            Ok(revision) => Ok(Parsed { revision, content: Content::Accepted { method: "response" } }),
            Err(_) => {
                let error = RpcError::invalid_request("A client must not post responses: this server asks nothing.");
                Err(Rejection::bad_request(None, error))
            }
        },
    }
}

fn posted<T>(mut request: Request, revision: Revision, find: Find<T>) -> Posted<T> {
    let tool = match Method::find(revision, &request.method) {
        Some(Method::ToolsCall) => tools::find(&mut request.params, find),
        _ => None,
    };
    Posted { request, tool }
}

fn parse_batch<T>(headers: &Headers, values: Vec<Value>, find: Find<T>) -> Result<Parsed<T>, RpcError> {
    let Some(revision) = http::legacy_revision(headers).ok().filter(|revision| revision.has_batches()) else {
        return Err(RpcError::invalid_request("This protocol version has no batches: post one message."));
    };
    if values.is_empty() {
        return Err(RpcError::invalid_request("The batch is empty."));
    }
    let mut messages = Vec::with_capacity(values.len());
    for value in values {
        messages.push(match Message::read(value) {
            Ok(Message::Request(request)) if request.method == "initialize" => {
                return Err(RpcError::invalid_request("`initialize` must not be part of a batch."));
            }
            Ok(Message::Request(request)) if http::claims_modern(&request) => {
                return Err(RpcError::invalid_request("A request of 2026-07-28 must not be part of a batch."));
            }
            Ok(Message::Request(request)) => Ok(Some(posted(request, revision, find))),
            Ok(Message::Notification { .. } | Message::Response) => Ok(None),
            Err(malformed) => Err(malformed),
        });
    }
    Ok(Parsed { revision, content: Content::Batch(messages) })
}

/// The notifications that clients are known to send.
fn notification_name(method: &str) -> &'static str {
    ["notifications/initialized", "notifications/cancelled", "notifications/roots/list_changed"]
        .into_iter()
        .find(|name| *name == method)
        .unwrap_or("unknown")
}

impl<T: Tool> Parsed<T> {
    /// How many messages to charge the sender for.
    pub fn messages(&self) -> usize {
        match &self.content {
            Content::Accepted { .. } | Content::Request(_) => 1,
            Content::Batch(messages) => messages.len(),
        }
    }

    /// The tools that are called, with their arguments where those are an object: one, or several of a batch.
    pub fn tool_calls(&self) -> impl Iterator<Item = (T, Option<&serde_json::Map<String, Value>>)> {
        let (one, batch) = match &self.content {
            Content::Accepted { .. } => (None, [].as_slice()),
            Content::Request(request) => (Some(request), [].as_slice()),
            Content::Batch(messages) => (None, messages.as_slice()),
        };
        let of_batch = batch.iter().filter_map(|message| message.as_ref().ok()?.as_ref());
        one.into_iter().chain(of_batch).filter_map(|Posted { request, tool }| {
            Some(((*tool)?, request.params.get("arguments").and_then(Value::as_object)))
        })
    }

    /// What the log says about this request.
    pub fn summary(&self) -> Summary {
        let summary = |method| Summary { protocol_version: self.revision.as_str(), method, tool: None, client: None };
        let Posted { request, tool } = match &self.content {
            Content::Accepted { method } => return summary(method),
            Content::Batch(_) => return summary("batch"),
            Content::Request(posted) => posted,
        };
        let method = Method::find(self.revision, &request.method);
        // A name that no tool has is the caller's text.
        let tool = (method == Some(Method::ToolsCall)).then(|| tool.map_or("unknown", Tool::name));
        let client = match method {
            Some(Method::Initialize) => request.params.get("clientInfo").and_then(|info| info.get("name")?.as_str()),
            _ => http::client_name(request),
        };
        Summary { tool, client: client.map(printable), ..summary(method.map_or("unknown", Method::as_str)) }
    }
}

fn printable(text: &str) -> String {
    text.chars().take(64).map(|char| if matches!(char, ' '..='~') { char } else { '?' }).collect()
}

/// A result before its era's envelope.
struct Success {
    /// A JSON object, serialized.
    object: String,
    /// For whom modern clients may keep it (schema `CacheableResult`).
    cache: Option<CacheScope>,
    /// The code, where it says that a tool call failed.
    tool_error: Option<ErrorCode>,
}

impl Success {
    fn object(object: String) -> Self {
        Self { object, cache: None, tool_error: None }
    }

    fn plain(object: Value) -> Self {
        Self::object(object.to_string())
    }

    fn cacheable(object: String, cache: CacheScope) -> Self {
        Self { cache: Some(cache), ..Self::object(object) }
    }

    /// The `result` member as this revision writes it.
    fn result(self, server: &Server<'_>, revision: Revision) -> String {
        let mut result = self.object;
        if !revision.is_modern() {
            return result;
        }
        // The object's last brace makes room for the envelope; no modern result is empty.
        result.pop();
        result.push_str(r#","resultType":"complete","#);
        if let Some(scope) = self.cache {
            result.push_str(&format!(r#""ttlMs":{CACHE_MILLIS},"cacheScope":"{}","#, scope.as_str()));
        }
        let info = lifecycle::server_info(server);
        result.push_str(&format!(r#""_meta":{{"io.modelcontextprotocol/serverInfo":{info}}}}}"#));
        result
    }
}

/// The answer to one request.
struct Answer {
    status: u16,
    body: String,
    is_stream: bool,
    rpc_code: Option<i64>,
    tool_error: Option<ErrorCode>,
}

/// Answers. A batch is worked through in order, one message after the other.
pub async fn dispatch<B: Toolbox>(server: &Server<'_>, parsed: Parsed<B::Tool>, toolbox: &B) -> Reply {
    let Parsed { revision, content } = parsed;
    let silence = || Reply { response: no_store(Response::empty(202)), rpc_code: None, tool_error: None };
    match content {
        Content::Accepted { .. } => silence(),
        Content::Request(request) => {
            let Answer { status, body, is_stream, rpc_code, tool_error } =
                answer(server, revision, request, toolbox).await;
            let response = if is_stream { stream_response(body) } else { json_response(status, body) };
            Reply { response, rpc_code, tool_error }
        }
        Content::Batch(messages) => {
            let (mut bodies, mut rpc_code, mut tool_error) = (Vec::new(), None, None);
            for message in messages {
                match message {
                    Ok(Some(request)) => {
                        let answer = answer(server, revision, request, toolbox).await;
                        rpc_code = rpc_code.or(answer.rpc_code);
                        tool_error = tool_error.or(answer.tool_error);
                        bodies.push(answer.body);
                    }
                    Ok(None) => {}
                    Err(Malformed { id, error }) => {
                        rpc_code = rpc_code.or(Some(error.code));
                        bodies.push(error.answer(id.as_ref(), server.request_id));
                    }
                }
            }
            if bodies.is_empty() {
                return silence();
            }
            Reply { response: json_response(200, format!("[{}]", bodies.join(","))), rpc_code, tool_error }
        }
    }
}

async fn answer<B: Toolbox>(server: &Server<'_>, revision: Revision, posted: Posted<B::Tool>, toolbox: &B) -> Answer {
    let Posted { request: Request { id, method, mut params }, tool } = posted;
    let refuse = |status, error: RpcError| Answer {
        status,
        body: error.answer(Some(&id), server.request_id),
        is_stream: false,
        rpc_code: Some(error.code),
        tool_error: None,
    };
    let Some(method) = Method::find(revision, &method) else {
        return refuse(METHOD_NOT_FOUND.numbers_in(revision).status, RpcError::method_not_found(&method));
    };
    let outcome = match method {
        Method::Initialize => lifecycle::initialize(server, revision, &params),
        // Strict clients take nothing but an empty object here (schema 2025-11-25, `EmptyResult`).
        Method::Ping => Ok(Success::object("{}".to_owned())),
        Method::Discover => Ok(lifecycle::discover(server)),
        Method::ToolsList => tools::list(&params, toolbox),
        Method::ResourcesList => tools::no_list(&params, "resources"),
        Method::TemplatesList => tools::no_list(&params, "resourceTemplates"),
        Method::PromptsList => tools::no_list(&params, "prompts"),
        Method::ResourcesRead => Err(lifecycle::no_resource(&params, revision)),
        Method::PromptsGet => Err(lifecycle::no_prompt(&params)),
        Method::ToolsCall => tools::call(tool, &mut params, toolbox, server.request_id).await,
        Method::Listen => match lifecycle::check_filter(&params) {
            Ok(()) => {
                let body = closed_subscription(server, &id);
                return Answer { status: 200, body, is_stream: true, rpc_code: None, tool_error: None };
            }
            Err(error) => Err(error),
        },
    };
    match outcome {
        Ok(success) => {
            let tool_error = success.tool_error;
            let result = success.result(server, revision);
            let body = format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, id.to_json());
            Answer { status: 200, body, is_stream: false, rpc_code: None, tool_error }
        }
        Err(error) => refuse(200, error),
    }
}

/// The whole stream of a subscription to nothing: the acknowledgement, which omits every kind of notification because
/// none is supported, and the response that closes it gracefully. Clients that ask all the same learn so at once,
/// and no connection is held.
/// <https://modelcontextprotocol.io/specification/2026-07-28/basic/patterns/subscriptions#graceful-closure>
fn closed_subscription(server: &Server<'_>, id: &Id) -> String {
    let (id, info) = (id.to_json(), lifecycle::server_info(server));
    let subscription = format!(r#""io.modelcontextprotocol/subscriptionId":{id}"#);
    let acknowledged = format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{{"_meta":{{{subscription}}},"notifications":{{}}}}}}"#
    );
    let closed = format!(
        r#"{{"jsonrpc":"2.0","id":{id},"result":{{"resultType":"complete","_meta":{{{subscription},"io.modelcontextprotocol/serverInfo":{info}}}}}}}"#
    );
    format!("event: message\ndata: {acknowledged}\n\nevent: message\ndata: {closed}\n\n")
}

/// Answers to an authenticated POST are for its sender only, whatever the cache hints in the body say to clients.
fn no_store(response: Response) -> Response {
    response.with("cache-control", "no-store")
}

fn json_response(status: u16, body: String) -> Response {
    no_store(Response::json(status, body))
}

/// `no-transform` and `X-Accel-Buffering` keep proxies from holding events back.
fn stream_response(body: String) -> Response {
    let mut response = Response::empty(200)
        .with("content-type", "text/event-stream")
        .with("cache-control", "no-store, no-transform")
        .with("x-accel-buffering", "no");
    response.body = body.into_bytes();
    response
}
