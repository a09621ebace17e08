//! JSON-RPC 2.0 messages as MCP narrows them: ids are strings or integers, parameters are objects.
//!
//! <https://modelcontextprotocol.io/specification/2026-07-28/basic#messages>

use serde_json::{Map, Value, json};

use super::{
    Ids,
    code::{
        HEADER_MISMATCH, INVALID_META, INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, PARSE_ERROR,
        RESOURCE_NOT_FOUND, TransportCode, UNSUPPORTED_PROTOCOL_VERSION,
    },
    revision::Revision,
};

/// The longest method of any published revision, `notifications/resources/list_changed`, has 36 bytes;
/// extensions prefix theirs. 128 is room for both.
const METHOD_BYTES_MAX: usize = 128;

/// An id, or the URI of a resource, comes back in an answer. A UUID has 36 bytes, a W3C `traceparent` 55; 256 is four times
/// the longer.
const ID_BYTES_MAX: usize = 256;

/// How much of a client's text an error repeats.
const ECHO_BYTES_MAX: usize = 64;

/// A request id, echoed exactly. `1.0` is a number with a fraction part, so it is not an id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Id {
    /// Any string of at most 256 bytes, the empty one included.
    String(String),
    /// Any integer that JSON readers keep exactly: -2^63 to 2^64-1.
    Integer(i128),
}

impl Id {
    pub(super) fn read(value: Value) -> Option<Self> {
        match value {
            Value::String(text) if text.len() <= ID_BYTES_MAX => Some(Self::String(text)),
            Value::Number(number) => {
                number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from)).map(Self::Integer)
            }
            _ => None,
        }
    }

    /// As JSON text.
    pub(super) fn to_json(&self) -> String {
        match self {
            Self::String(text) => Value::from(text.as_str()).to_string(),
            Self::Integer(number) => number.to_string(),
        }
    }
}

/// A request, its envelope checked.
#[derive(Debug, PartialEq)]
pub(super) struct Request {
    pub(super) id: Id,
    /// At most 128 bytes.
    pub(super) method: String,
    /// Empty where absent; no member of it or of its `_meta` is null.
    pub(super) params: Map<String, Value>,
}

/// A message that a client may post.
#[derive(Debug, PartialEq)]
pub(super) enum Message {
    /// Expects a response.
    Request(Request),
    /// Expects none.
    Notification {
        /// At most 128 bytes.
        method: String,
        /// Empty where absent.
        params: Map<String, Value>,
    },
    /// A response.
    Response(Response),
}

/// The answer of a client to a request of this server.
#[derive(Debug, PartialEq)]
pub(super) struct Response {
    /// Of the request. This server writes texts, so that of another kind answers nothing.
    pub(super) id: Option<String>,
    /// The result; null if the client could not give one.
    pub(super) result: Value,
}

/// Why a message has no readable envelope, with its id if that could be read.
#[derive(Debug, PartialEq)]
pub(super) struct Malformed {
    pub(super) id: Option<Id>,
    pub(super) error: RpcError,
}

impl Response {
    fn to(id: Option<Id>, result: Value) -> Self {
        let id = match id {
            Some(Id::String(text)) => Some(text),
            _ => None,
        };
        Self { id, result }
    }
}

impl Message {
    /// Reads one message. Members that JSON-RPC does not know are ignored.
    pub(super) fn read(value: Value) -> Result<Self, Malformed> {
        let Value::Object(mut members) = value else {
            return Err(Malformed { id: None, error: RpcError::invalid_request("The message is not an object.") });
        };
        let (id_present, id) = match members.remove("id") {
            Some(value) => (true, Id::read(value)),
            None => (false, None),
        };
        let malformed =
            |id: Option<Id>, problem: &str| Err(Malformed { id, error: RpcError::invalid_request(problem) });
        if members.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
            return malformed(id, "`jsonrpc` must be \"2.0\".");
        }
        let (has_result, has_error) = (members.contains_key("result"), members.contains_key("error"));
        let method = match members.remove("method") {
            None => {
                // JSON-RPC 2.0 section 5: exactly one of the two; an error may stand for a request nobody could read.
                return match (has_result, has_error) {
                    (true, false) if id.is_some() => {
                        Ok(Self::Response(Response::to(id, members.remove("result").unwrap_or_default())))
                    }
                    (false, true) => Ok(Self::Response(Response::to(id, Value::Null))),
                    _ => malformed(id, "The message is neither a request, a notification nor a response."),
                };
            }
            Some(_) if has_result || has_error => {
                return malformed(id, "A message with `method` has neither `result` nor `error`.");
            }
            Some(Value::String(method)) if method.len() <= METHOD_BYTES_MAX => method,
            Some(_) => return malformed(id, "`method` must be a string of at most 128 bytes."),
        };
        if id_present && id.is_none() {
            return malformed(None, "`id` must be an integer or a string of at most 256 bytes.");
        }
        let params = match members.remove("params") {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(params)) => given(params),
            Some(_) => return malformed(id, "`params` must be an object."),
        };
        Ok(match id {
            Some(id) => Self::Request(Request { id, method, params }),
            None => Self::Notification { method, params },
        })
    }
}

/// Parameters without those that are null: clients write null for an absent parameter, and no parameter of any method has
/// null as a value. The arguments of a tool stay as they are.
fn given(mut params: Map<String, Value>) -> Map<String, Value> {
    drop_nulls(&mut params);
    for name in ["_meta", "notifications"] {
        if let Some(members) = params.get_mut(name).and_then(Value::as_object_mut) {
            drop_nulls(members);
        }
    }
    params
}

fn drop_nulls(members: &mut Map<String, Value>) {
    members.retain(|_, value| !value.is_null());
}

/// A protocol error: the `error` member of a JSON-RPC answer.
///
/// On the wire its `data` holds `code`, `requestId`, `traceId`, `retryable`, and what the constructor adds.
/// Codes: <https://modelcontextprotocol.io/specification/2026-07-28/basic#error-codes>.
#[derive(Clone, Debug, PartialEq)]
pub struct RpcError {
    /// JSON-RPC code.
    pub code: i64,
    /// Its stable name: `data.code`.
    pub name: &'static str,
    /// The problem, in one sentence.
    pub message: String,
    /// For programs, without the names of the request.
    pub(super) data: Map<String, Value>,
}

impl RpcError {
    pub(super) fn new(code: &TransportCode, message: impl Into<String>) -> Self {
        let mut data = Map::new();
        data.insert("code".into(), code.name.into());
        data.insert("retryable".into(), code.is_retryable().into());
        Self { code: code.numbers.rpc, name: code.name, message: message.into(), data }
    }

    pub(super) fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.data.insert(key.into(), value.into());
        self
    }

    /// The body is not JSON.
    pub(super) fn parse(message: impl Into<String>) -> Self {
        Self::new(&PARSE_ERROR, message)
    }

    /// The body is JSON and not a JSON-RPC message that may be posted here.
    pub(super) fn invalid_request(message: impl Into<String>) -> Self {
        Self::new(&INVALID_REQUEST, message)
    }

    /// There is no such resource. The code was one of its own before 2026-07-28.
    pub(super) fn resource_not_found(uri: &str, revision: Revision) -> Self {
        let code = RESOURCE_NOT_FOUND.numbers_in(revision).rpc;
        let error = Self::new(&RESOURCE_NOT_FOUND, "There is no such resource: this server has none.");
        let error = Self { code, ..error };
        // A shortened URI would be another one.
        if uri.len() <= ID_BYTES_MAX { error.with("uri", uri) } else { error }
    }

    /// No such method in this revision.
    pub(super) fn method_not_found(method: &str) -> Self {
        Self::new(&METHOD_NOT_FOUND, format!("Method not found: {}", clip(method)))
    }

    /// The parameters do not have the shape that the method asks for.
    pub(super) fn invalid_params(message: impl Into<String>) -> Self {
        Self::new(&INVALID_PARAMS, message)
    }

    /// The metadata of a 2026-07-28 request is incomplete or malformed.
    pub(super) fn incomplete_meta(message: impl Into<String>) -> Self {
        Self::new(&INVALID_META, message)
    }

    /// A header and the body disagree, or a required header is missing.
    pub(super) fn header_mismatch(message: impl Into<String>) -> Self {
        Self::new(&HEADER_MISMATCH, message)
    }

    /// The revision asked for is not served by per-request metadata.
    pub(super) fn unsupported_version(supported: &[&str], requested: &str) -> Self {
        Self::new(&UNSUPPORTED_PROTOCOL_VERSION, "Unsupported protocol version")
            .with("supported", supported.to_vec())
            .with("requested", clip(requested))
    }

    /// A whole error answer. The schema of 2026-07-28 knows no null id: one that could not be read is left out.
    pub(super) fn answer(&self, id: Option<&Id>, ids: Ids<'_>) -> String {
        let mut data = self.data.clone();
        data.insert("requestId".into(), ids.request.into());
        data.insert("traceId".into(), ids.trace.into());
        let error = json!({"code": self.code, "message": self.message, "data": data});
        match id {
            Some(id) => format!(r#"{{"jsonrpc":"2.0","id":{},"error":{error}}}"#, id.to_json()),
            None => format!(r#"{{"jsonrpc":"2.0","error":{error}}}"#),
        }
    }
}

/// The beginning of a client's text, short enough to repeat.
pub(super) fn clip(text: &str) -> &str {
    text.get(..text.floor_char_boundary(ECHO_BYTES_MAX)).unwrap_or_default()
}
