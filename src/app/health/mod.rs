//! Liveness, and readiness: whether the settings fit together.

use super::{
    log, request_id,
    response::{finish, method_not_allowed},
};
use crate::{
    base::http::{Head, Method, Response},
    config::Problem,
    port::Port,
};

/// The health route of a path.
pub(super) fn route(path: &str) -> Option<&'static str> {
    ["/livez", "/readyz", "/health"].into_iter().find(|route| *route == path)
}

/// The answer of a server that lives and is ready.
pub(super) fn answer(method: Method) -> Response {
    if matches!(method, Method::Get | Method::Head) { ok() } else { method_not_allowed("GET, HEAD") }
}

fn ok() -> Response {
    Response::json(200, r#"{"status":"ok"}"#)
}

/// The answer of a server with wrong settings: 503 that names each of them, but no value. `/livez` still reports that the
/// process is alive.
pub fn misconfigured(problems: &[Problem], head: &Head, port: Port<'_>) -> Response {
    let mut line = log::Line::new(request_id(port), head, port.io.now());
    let response = if head.url.path() == "/livez" {
        ok()
    } else {
        let settings: Vec<_> = problems
            .iter()
            .map(|problem| serde_json::json!({"setting": problem.setting, "problem": problem.rule}))
            .collect();
        let body = serde_json::json!({"status": "misconfigured", "settings": settings});
        Response::json(503, body.to_string()).with("retry-after", "60")
    };
    line.finish(port, &response, 0);
    finish(response, head, &line.request_id)
}
