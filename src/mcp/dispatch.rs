//! Responses, as each revision writes them.

use super::{
    Server,
    code::METHOD_NOT_FOUND,
    jsonrpc::{Id, Malformed, Request, Response, RpcError},
    lifecycle,
    outcome::ErrorCode,
    parsing::{Content, Parsed, Posted},
    response::{event, json_response, no_store, stream_response},
    revision::{Method, Revision},
    success::Success,
    tools::{self, Toolbox},
};
use crate::base::http;

/// A response, and its fields for the log.
#[derive(Clone)]
pub struct Reply {
    /// What to send.
    pub response: http::Response,
    /// JSON-RPC code of the (in a batch: first) protocol error, and its name.
    pub rpc_error: Option<(i64, &'static str)>,
    /// Code of the (in a batch: first) failed tool call.
    pub tool_error: Option<ErrorCode>,
}

/// The answer to one request.
struct Answer {
    status: u16,
    body: String,
    is_stream: bool,
    rpc_error: Option<(i64, &'static str)>,
    tool_error: Option<ErrorCode>,
}

/// Answers. A batch is worked through in order, one message after the other.
pub async fn dispatch<B: Toolbox>(server: &Server<'_>, parsed: Parsed<B::Tool>, toolbox: &B) -> Reply {
    let Parsed { revision, content } = parsed;
    let silence = || Reply { response: no_store(http::Response::empty(202)), rpc_error: None, tool_error: None };
    match content {
        Content::Accepted { .. } => silence(),
        Content::Cancelled { request } => {
            toolbox.cancel(&request.to_json()).await;
            silence()
        }
        Content::Response(Response { id, result }) => {
            if let Some(id) = id {
                toolbox.hear(&id, &result).await;
            }
            silence()
        }
        Content::Request(request) => {
            let Answer { status, body, is_stream, rpc_error, tool_error } =
                answer(server, revision, request, toolbox).await;
            let response = if is_stream { stream_response(body) } else { json_response(status, body) };
            Reply { response, rpc_error, tool_error }
        }
        Content::Batch(messages) => {
            let (mut bodies, mut rpc_error, mut tool_error) = (Vec::new(), None, None);
            for message in messages {
                match message {
                    Ok(Some(request)) => {
                        let answer = answer(server, revision, request, toolbox).await;
                        rpc_error = rpc_error.or(answer.rpc_error);
                        tool_error = tool_error.or(answer.tool_error);
                        bodies.push(answer.body);
                    }
                    Ok(None) => {}
                    Err(Malformed { id, error }) => {
                        rpc_error = rpc_error.or(Some((error.code, error.name)));
                        bodies.push(error.answer(id.as_ref(), server.ids));
                    }
                }
            }
            if bodies.is_empty() {
                return silence();
            }
            Reply { response: json_response(200, format!("[{}]", bodies.join(","))), rpc_error, tool_error }
        }
    }
}

async fn answer<B: Toolbox>(server: &Server<'_>, revision: Revision, posted: Posted<B::Tool>, toolbox: &B) -> Answer {
    let Posted { request: Request { id, method, mut params }, tool } = posted;
    let refuse = |status, error: RpcError| Answer {
        status,
        body: error.answer(Some(&id), server.ids),
        is_stream: false,
        rpc_error: Some((error.code, error.name)),
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
        Method::ToolsCall => tools::call(&id, tool, &mut params, toolbox, revision, server.ids).await,
        Method::Listen => match lifecycle::check_filter(&params) {
            Ok(()) => {
                let body = closed_subscription(server, &id);
                return Answer { status: 200, body, is_stream: true, rpc_error: None, tool_error: None };
            }
            Err(error) => Err(error),
        },
    };
    match outcome {
        Ok(success) => {
            let tool_error = success.tool_error;
            let result = success.result(server, revision);
            let body = format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, id.to_json());
            Answer { status: 200, body, is_stream: false, rpc_error: None, tool_error }
        }
        Err(error) => refuse(200, error),
    }
}

/// The whole stream of a subscription to nothing: the acknowledgement, which omits every kind of notification because
/// none is supported, and the response that closes it gracefully. Clients that ask all the same learn so at once,
/// and no connection is held.
/// <https://modelcontextprotocol.io/specification/2026-07-28/basic/patterns/subscriptions#graceful-closure>
fn closed_subscription(server: &Server<'_>, id: &Id) -> String {
    let (id, info) = (id.to_json(), server.info());
    let subscription = format!(r#""io.modelcontextprotocol/subscriptionId":{id}"#);
    let acknowledged = format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{{"_meta":{{{subscription}}},"notifications":{{}}}}}}"#
    );
    let closed = format!(
        r#"{{"jsonrpc":"2.0","id":{id},"result":{{"resultType":"complete","_meta":{{{subscription},"io.modelcontextprotocol/serverInfo":{info}}}}}}}"#
    );
    event(&acknowledged) + &event(&closed)
}
