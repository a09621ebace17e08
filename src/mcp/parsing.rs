//! From a body to messages with their revision and their tools.

use serde_json::Value;

use super::{
    http,
    json::{self, Document, Refusal},
    jsonrpc::{Id, Malformed, Message, Request, Response, RpcError},
    rejection::Rejection,
    revision::{Method, Revision},
    tools::{self, Find, Tool},
};
use crate::base::http::Headers;

/// A body that was read, with the revision that serves it.
#[derive(Debug)]
pub struct Parsed<T> {
    pub(super) revision: Revision,
    pub(super) content: Content<T>,
}

#[derive(Debug)]
pub(super) enum Content<T> {
    /// A notification: accepted, without a response.
    Accepted { method: &'static str },
    /// The notification that nobody wants the answer to a request any more: accepted in the same way.
    Cancelled { request: Id },
    /// A response to a request of this server: accepted in the same way.
    Response(Response),
    /// One request.
    Request(Posted<T>),
    /// A batch of 1 to 10: requests, nothing for messages that expect no response, and the errors of unreadable ones.
    Batch(Vec<Result<Option<Posted<T>>, Malformed>>),
}

/// A request, and the tool that it calls.
#[derive(Debug)]
pub(super) struct Posted<T> {
    pub(super) request: Request,
    /// `None` if it calls none, or none that exists.
    pub(super) tool: Option<T>,
}

/// What a client declares with `initialize`, once for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Declared {
    /// The revision that both settled on.
    pub revision: Revision,
    /// Whether it shows forms to a person.
    pub elicits: bool,
}

/// Log fields of a request. Every text is bounded and printable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Revision it is served by.
    pub protocol_version: &'static str,
    /// The method if this server knows it, `batch`, or `unknown`.
    pub method: &'static str,
    /// The tool that is called, or `unknown`.
    pub tool: Option<&'static str>,
    /// The client's name: at most 64 characters, those outside printable ASCII replaced by `?`.
    pub client: Option<String>,
}

/// Reads a body and finds the revision that serves it. `find` looks up the tool of each call, once, and normalizes its
/// arguments.
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
        Message::Notification { method, mut params } => {
            let method = notification_name(&method);
            let request = params.remove("requestId").filter(|_| method == CANCELLED).and_then(Id::read);
            Ok(Parsed {
                revision: http::legacy_revision(headers).unwrap_or(Revision::V20260728),
                content: request.map_or(Content::Accepted { method }, |request| Content::Cancelled { request }),
            })
        }
        Message::Response(response) => match http::legacy_revision(headers) {
            Ok(revision) => Ok(Parsed { revision, content: Content::Response(response) }),
            Err(_) => {
                let error = RpcError::invalid_request(
                    "This protocol version has no posted responses: repeat the call with `inputResponses`.",
                );
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
            Ok(Message::Notification { .. } | Message::Response(_)) => Ok(None),
            Err(malformed) => Err(malformed),
        });
    }
    Ok(Parsed { revision, content: Content::Batch(messages) })
}

/// <https://modelcontextprotocol.io/specification/2025-11-25/basic/utilities/cancellation>
const CANCELLED: &str = "notifications/cancelled";

/// The notifications that clients are known to send.
fn notification_name(method: &str) -> &'static str {
    ["notifications/initialized", CANCELLED, "notifications/roots/list_changed"]
        .into_iter()
        .find(|name| *name == method)
        .unwrap_or("unknown")
}

impl<T: Tool> Parsed<T> {
    /// How many messages to charge the sender for.
    pub fn messages(&self) -> usize {
        match &self.content {
            Content::Accepted { .. } | Content::Cancelled { .. } | Content::Response(_) | Content::Request(_) => 1,
            Content::Batch(messages) => messages.len(),
        }
    }

    /// The tools that are called, with their arguments if those are an object: one, or several of a batch.
    pub fn tool_calls(&self) -> impl Iterator<Item = (T, Option<&serde_json::Map<String, Value>>)> {
        let (one, batch) = match &self.content {
            Content::Accepted { .. } | Content::Cancelled { .. } | Content::Response(_) => (None, [].as_slice()),
            Content::Request(request) => (Some(request), [].as_slice()),
            Content::Batch(messages) => (None, messages.as_slice()),
        };
        let of_batch = batch.iter().filter_map(|message| message.as_ref().ok()?.as_ref());
        one.into_iter().chain(of_batch).filter_map(|Posted { request, tool }| {
            Some(((*tool)?, request.params.get("arguments").and_then(Value::as_object)))
        })
    }

    /// What the client declares of itself, if this begins a connection.
    pub fn initializes(&self) -> Option<Declared> {
        match &self.content {
            Content::Request(Posted { request, .. })
                if request.method == "initialize" && !self.revision.is_modern() =>
            {
                let elicits = http::elicits(request.params.get("capabilities"));
                Some(Declared { revision: self.revision, elicits })
            }
            _ => None,
        }
    }

    /// Whether this is one call of a tool, by a client that takes requests of the server on the stream of the answer. Since 2026-07-28
    /// there are none (basic/patterns/mrtr).
    pub fn may_ask_on_stream(&self) -> bool {
        !self.revision.is_modern() && matches!(&self.content, Content::Request(Posted { tool: Some(_), .. }))
    }

    /// `traceparent` of the metadata of each request that has one. A batch has several; its answers name one trace.
    /// <https://modelcontextprotocol.io/specification/2026-07-28/basic#meta>
    pub fn traceparents(&self) -> impl Iterator<Item = &str> {
        let (one, batch) = match &self.content {
            Content::Accepted { .. } | Content::Cancelled { .. } | Content::Response(_) => (None, [].as_slice()),
            Content::Request(request) => (Some(request), [].as_slice()),
            Content::Batch(messages) => (None, messages.as_slice()),
        };
        let of_batch = batch.iter().filter_map(|message| message.as_ref().ok()?.as_ref());
        one.into_iter().chain(of_batch).filter_map(|posted| http::meta(&posted.request)?.get("traceparent")?.as_str())
    }

    /// The log fields of this request.
    pub fn summary(&self) -> Summary {
        let summary = |method| Summary { protocol_version: self.revision.as_str(), method, tool: None, client: None };
        let Posted { request, tool } = match &self.content {
            Content::Accepted { method } => return summary(method),
            Content::Cancelled { .. } => return summary(CANCELLED),
            Content::Response(_) => return summary("response"),
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
