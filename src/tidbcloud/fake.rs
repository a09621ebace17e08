//! The outside world of this module's tests: answers by script, and a clock that only waiting moves.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    time::Duration,
};

use serde_json::Value;

use crate::{
    base::{clock::UnixMillis, future::Pending, http::Response},
    port::{FetchError, Flow, Io, Log, Outbound, RequestLog, Sink},
};

/// Answers each request with the next line of its script.
#[derive(Default)]
pub(super) struct Fake {
    script: RefCell<VecDeque<Result<Response, FetchError>>>,
    pub(super) sent: RefCell<Vec<Outbound>>,
    clock: Cell<u64>,
    drawn: Cell<u8>,
}

impl Fake {
    pub(super) fn new(script: impl IntoIterator<Item = Result<Response, FetchError>>) -> Self {
        Self { script: RefCell::new(script.into_iter().collect()), clock: Cell::new(START.0), ..Self::default() }
    }

    pub(super) fn then(&self, script: impl IntoIterator<Item = Result<Response, FetchError>>) {
        self.script.borrow_mut().extend(script);
    }

    /// What was sent since the last call: method, path and query, one line each; the script is then used up.
    pub(super) fn lines(&self) -> Vec<String> {
        assert!(self.script.borrow().is_empty(), "{} answers were not asked for", self.script.borrow().len());
        let line = |sent: &Outbound| {
            let query = sent.url.query().map(|query| format!("?{query}")).unwrap_or_default();
            let signed = match sent.headers.get("authorization") {
                Some(value) if value.starts_with("Digest ") => {
                    // RFC 7616 section 3.4: what is signed is the request target as sent.
                    assert!(value.contains(&format!(" uri=\"{}{query}\"", sent.url.path())), "{value}");
                    let part = |name: &str| Some(value.split(name).nth(1)?.split(['"', ',']).next()?.to_owned());
                    format!(" {}/{}", part(" nonce=\"").unwrap(), part("nc=0000000").unwrap())
                }
                Some(value) if value.starts_with("Bearer ") => " bearer".to_owned(),
                Some(_) => " basic".to_owned(),
                None => String::new(),
            };
            let body = if sent.body.is_some() { " body" } else { "" };
            format!("{} {}{query}{body}{signed}", sent.method.as_str(), sent.url.path())
        };
        self.sent.take().iter().map(line).collect()
    }

    /// The body of the last request.
    pub(super) fn last_body(&self) -> Value {
        let sent = self.sent.borrow();
        serde_json::from_slice(sent.last().unwrap().body.as_ref().unwrap()).unwrap()
    }

    pub(super) fn advance(&self, duration: Duration) {
        self.clock.set(self.clock.get() + u64::try_from(duration.as_millis()).unwrap());
    }
}

/// 2026-01-31T12:00:00Z
pub(super) const START: UnixMillis = UnixMillis(1_769_860_800_000);

pub(super) fn ok(body: Value) -> Result<Response, FetchError> {
    Ok(Response::json(200, body.to_string()))
}

pub(super) fn status(status: u16, body: Value) -> Result<Response, FetchError> {
    Ok(Response::json(status, body.to_string()))
}

/// A 401 with a challenge.
pub(super) fn challenge(nonce: &str, stale: bool) -> Result<Response, FetchError> {
    let value = format!(
        "Digest realm=\"tidb.cloud\", domain=\"\", nonce=\"{nonce}\", algorithm=MD5, qop=\"auth\", stale={stale}"
    );
    Ok(Response::json(401, r#"{"code":16,"message":"unauthorized"}"#).with("www-authenticate", value))
}

impl Fake {
    async fn answer(&self, request: Outbound, sink: &mut dyn Sink) -> Result<Response, FetchError> {
        let timeout = request.timeout;
        let line = format!("{} {}", request.method.as_str(), request.url);
        self.sent.borrow_mut().push(request);
        // Others run while an answer is awaited.
        tokio::task::yield_now().await;
        let next = self.script.borrow_mut().pop_front();
        let answer = next.unwrap_or_else(|| panic!("no answer is left for {line}"));
        self.advance(if matches!(answer, Err(FetchError::Timeout)) { timeout } else { Duration::from_millis(20) });
        let answer = answer?;
        sink.begin(answer.status);
        // Odd pieces: what belongs together arrives apart.
        for piece in answer.body.chunks(7) {
            if sink.take(piece)? == Flow::Enough {
                break;
            }
        }
        Ok(Response { body: Vec::new(), ..answer })
    }
}

impl Io for Fake {
    fn exchange<'a>(&'a self, request: Outbound, sink: &'a mut dyn Sink) -> Pending<'a, Result<Response, FetchError>> {
        Box::pin(self.answer(request, sink))
    }

    fn now(&self) -> UnixMillis {
        UnixMillis(self.clock.get())
    }

    fn sleep(&self, duration: Duration) -> Pending<'_, ()> {
        Box::pin(async move { self.advance(duration) })
    }

    fn random(&self, bytes: &mut [u8]) {
        for byte in bytes {
            self.drawn.set(self.drawn.get().wrapping_add(1));
            *byte = self.drawn.get();
        }
    }
}

/// Keeps nothing of what is logged.
pub(super) const NO_LOG: RequestLog<'static> = RequestLog { to: &Nowhere, request_id: "" };

struct Nowhere;

impl Log for Nowhere {
    fn write(&self, _: &str) {}
}
