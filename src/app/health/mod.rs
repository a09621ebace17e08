//! Liveness, and readiness: for monitors `/livez` and `/readyz`, for people `/health`.

pub(super) mod examination;
mod page;

use serde::Serialize;

use self::examination::verdict;
use super::{
    App, COMMIT, VERSION, doors, log,
    response::{finish, method_not_allowed, plain_error},
};
use crate::{
    base::http::{Head, Headers, Method, Response},
    config::Problem,
    health::{Checks, State},
    limits::{
        keys::{Limited, Visitor},
        spread, wait_seconds,
    },
    port::{Port, RequestLog},
    store::seal::Keyring,
};

/// What does not work now may work after the next examination.
const RETRY_SECONDS: &str = "15";
/// A setting is only corrected by a person.
const RETRY_SETTINGS_SECONDS: &str = "60";

/// The health route of a path.
pub(super) fn route(path: &str) -> Option<&'static str> {
    ["/livez", "/readyz", "/health"].into_iter().find(|route| *route == path)
}

/// The answer of a server whose settings fit together.
pub(super) async fn answer(app: &App<'_>, head: &Head, line: &mut log::Line) -> Response {
    if !matches!(head.method, Method::Get | Method::Head) {
        return method_not_allowed("GET, HEAD");
    }
    if head.url.path() == "/livez" {
        return alive();
    }
    match limited(app, head, line).await {
        Some(refusal) => refusal,
        None => {
            let owned = Some(app.config.owner.is_some());
            let worker_version = app.config.worker_version.as_deref();
            Document { owned, ..Document::new(verdict(app).await, &[]) }.response(head, worker_version)
        }
    }
}

/// The process is there; nothing else is asked.
fn alive() -> Response {
    Response::json(200, r#"{"status":"ok"}"#)
}

/// The refusal of an address that asks too often, which counts together with its messages to `/mcp`.
async fn limited(app: &App<'_>, head: &Head, line: &mut log::Line) -> Option<Response> {
    let Some(address) = doors::address::of_client(head) else {
        return Some(plain_error(403, "forbidden", "The client's address is not known."));
    };
    // Without the server secret no address can be counted. The examination asks for it too, so that is what is told then.
    let secret = app.secret().await.ok()?;
    let visitor = Visitor::of(address, app.config, &Keyring::new(secret, []));
    line.ip_hash = Some(visitor.short_hash().to_owned());
    let limit = Limited::Address(&visitor).limit(app.config);
    let taken = limit.take_ahead(app.port(), &app.isolate.limits.permits).await;
    line.limited(&taken);
    if taken.allowed() {
        return None;
    }
    let mut random = [0; 2];
    app.port().io.random(&mut random);
    let seconds = wait_seconds(spread(taken.admission.retry_after_millis, u16::from_be_bytes(random)));
    let refusal = plain_error(429, "rate_limited", "Too many requests from this address.");
    Some(refusal.with("retry-after", seconds.to_string()))
}

/// The answer of a server with wrong settings: 503 that names each of them, but no value; to a browser a page that says what to do.
/// `/livez` still reports that the process is alive, and what the page looks like is served.
pub async fn misconfigured(
    problems: &[Problem],
    worker_version: Option<&str>,
    head: &Head,
    port: Port<'_>,
) -> Response {
    let log = RequestLog::new(port.log, port.io, 100);
    log::begins(&log, head);
    let mut line = log::Line::new(head, port.io.now());
    let path = head.url.path();
    let look = match path {
        "/style.css" | "/pages.css" | "/favicon.svg" => port.assets.asset(path).await,
        _ => None,
    };
    let reads = matches!(head.method, Method::Get | Method::Head);
    let response = match route(path) {
        Some(_) if !reads => method_not_allowed("GET, HEAD"),
        Some("/livez") => alive(),
        Some(_) => Document::new(Checks::unknown(State::Failing), problems).response(head, worker_version),
        None if reads && let Some(look) = look => look,
        None if reads && prefers_html(&head.headers) => {
            Document::new(Checks::unknown(State::Failing), problems).shown(503)
        }
        None => {
            let settings: Vec<_> = problems
                .iter()
                .map(|problem| serde_json::json!({"setting": problem.setting, "problem": problem.rule}))
                .collect();
            let body = serde_json::json!({"status": "misconfigured", "settings": settings});
            Response::json(503, body.to_string()).with("vary", "Accept").with("retry-after", RETRY_SETTINGS_SECONDS)
        }
    };
    line.finish(port, &log, &response);
    finish(response, head, &log.request_id, worker_version)
}

/// What strangers are told: names, rules and states, and nothing that was set or said by others.
#[derive(Serialize)]
struct Document<'p> {
    status: &'static str,
    checks: Checks,
    /// What runs here, at `/health` only: the version,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'static str>,
    /// its commit, if the build was told,
    #[serde(skip_serializing_if = "Option::is_none")]
    commit: Option<&'static str>,
    /// and the id of the upload, on Cloudflare.
    #[serde(skip_serializing_if = "Option::is_none")]
    worker_version: Option<&'p str>,
    /// Those that are wrong or missing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    settings: Vec<Named>,
    /// The rules that they break: for people.
    #[serde(skip)]
    problems: &'p [Problem],
    /// Whether the owner's three secrets are set, which the challenge of `/mcp` says too. Not known while a setting is wrong.
    #[serde(skip)]
    owned: Option<bool>,
}

/// A setting, named as in the answer of every other path.
#[derive(Serialize)]
struct Named {
    setting: &'static str,
}

impl<'p> Document<'p> {
    fn new(checks: Checks, problems: &'p [Problem]) -> Self {
        let status = if checks.are_ok() { "ready" } else { "not_ready" };
        let mut settings: Vec<_> = problems.iter().map(|problem| Named { setting: problem.setting }).collect();
        settings.dedup_by_key(|named| named.setting);
        Self { status, checks, version: None, commit: None, worker_version: None, settings, problems, owned: None }
    }

    /// For `/readyz`, and for `/health` as a page if that is what the client would rather have.
    fn response(mut self, head: &Head, worker_version: Option<&'p str>) -> Response {
        let status = if self.checks.are_ok() { 200 } else { 503 };
        let for_people = head.url.path() == "/health";
        if for_people && prefers_html(&head.headers) {
            return self.shown(status);
        }
        if for_people {
            (self.version, self.commit, self.worker_version) = (Some(VERSION), COMMIT, worker_version);
        }
        let response = self.timed(Response::json(status, serde_json::to_string(&self).unwrap_or_default()));
        if for_people { response.with("vary", "Accept") } else { response }
    }

    /// The page as an answer.
    fn shown(&self, status: u16) -> Response {
        let mut page = Response::empty(status).with("content-type", "text/html; charset=utf-8").with("vary", "Accept");
        page.body = self.page().into_bytes();
        self.timed(page)
    }

    /// Says when to ask again, if not everything works.
    fn timed(&self, response: Response) -> Response {
        match response.status {
            503 if self.settings.is_empty() => response.with("retry-after", RETRY_SECONDS),
            503 => response.with("retry-after", RETRY_SETTINGS_SECONDS),
            _ => response,
        }
    }
}

/// Whether a client would rather have HTML than JSON (RFC 9110 section 12.5.1). Browsers say so, other programs do not.
pub(super) fn prefers_html(headers: &Headers) -> bool {
    let accept = headers.get("accept").unwrap_or_default();
    weight(&accept, ["text/html", "text/*", "*/*"]) > weight(&accept, ["application/json", "application/*", "*/*"])
}

/// The weight in thousandths that a list of media ranges gives a type, whose ranges are in order of precedence.
fn weight(accept: &str, ranges: [&str; 3]) -> u16 {
    let mut found = [None; 3];
    for item in accept.split(',') {
        let mut parts = item.split(';').map(str::trim);
        let range = parts.next().unwrap_or_default();
        let Some(at) = ranges.iter().position(|known| known.eq_ignore_ascii_case(range)) else { continue };
        let q = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        if let Some(found) = found.get_mut(at) {
            *found = Some(q.map_or(1_000, thousandths));
        }
    }
    found.into_iter().flatten().next().unwrap_or_default()
}

/// A weight (RFC 9110 section 12.4.2): 0 or 1, and at most three digits after the point. Anything else weighs nothing.
fn thousandths(q: &str) -> u16 {
    let (whole, fraction) = q.split_once('.').unwrap_or((q, ""));
    let is_weight = whole.len() == 1 && fraction.len() <= 3;
    let digits = format!("{whole}{fraction:0<3}");
    digits.parse().ok().filter(|weight| is_weight && *weight <= 1_000).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_prefer_a_page_and_programs_do_not() {
        let prefers = |accept: &str| prefers_html(&Headers::from_iter([("accept", accept)]));
        for browser in [
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "text/html",
            "text/*, application/json;q=0.5",
            "TEXT/HTML ; Q=0.9, application/json; q=0.8",
            "text/html;level=1;q=0.4, */*;q=0.3",
        ] {
            assert!(prefers(browser), "{browser} prefers a page");
        }
        for program in [
            "",
            "*/*",
            "application/json",
            "application/json, text/html",
            "text/html;q=0, application/json;q=0",
            "text/html;q=0.5, application/*",
            "text/html;q=x",
            "text/html;q=2",
            "text/html;q=0.9999",
            "text/htmlx",
            "application/json, text/plain, */*",
        ] {
            assert!(!prefers(program), "{program} does not");
        }
        assert!(!prefers_html(&Headers::new()), "who says nothing is a program");
    }
}
