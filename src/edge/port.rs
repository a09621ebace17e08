//! The port, on Workers.

use std::{cell::OnceCell, pin::pin, time::Duration};

use futures_util::future::{Either, select};
use js_sys::{Reflect, Uint8Array};
use wasm_bindgen::{JsValue, prelude::wasm_bindgen};
use worker::{AbortController, Delay, Env, Fetch, Request, RequestInit, RequestRedirect, web_sys};

use super::{
    client::Client,
    glue::{self, Pieces},
    stream::Started,
};
use crate::{
    base::{clock::UnixMillis, future::Pending, hash::hex, http, json, secret::Secret},
    circuit::{Event, Report, Verdict},
    health,
    port::{
        Admission, Analytics, Ask, Assets, DataPoint, FetchError, Flow, Io, LimitKey, Limiter, LimiterFailure, Log,
        Outbound, Readiness, Sink, StorageFailure, Store, Stream,
    },
    store::object::{Command, ObjectName, Reply},
    watch::{self, Notice},
};

/// The limiter is in the path of every request; one that takes longer than this counts as absent.
const LIMITER_TIMEOUT: Duration = Duration::from_millis(300);

/// A circuit is asked when TiDB Cloud fails; without its verdict an isolate decides alone.
const CIRCUIT_TIMEOUT: Duration = Duration::from_millis(300);

/// No call waits for those who find out whether the service works, and an object that sleeps on another continent takes longer.
const READINESS_TIMEOUT: Duration = Duration::from_secs(1);

/// A grant is made near its person and may be asked from another continent.
const STORE_TIMEOUT: Duration = Duration::from_secs(5);

/// Nobody waits for it but the schedule.
const WATCHER_TIMEOUT: Duration = Duration::from_secs(5);

/// Asked once per isolate; a Durable Object that starts cold on another continent takes a second.
const KEEPER_TIMEOUT: Duration = Duration::from_secs(3);

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = crypto, js_name = getRandomValues)]
    fn get_random_values(bytes: &mut [u8]);
}

/// The Workers runtime.
pub(super) struct Workers<'a> {
    env: &'a Env,
    client: &'a Client,
    started: &'a Started,
}

impl<'a> Workers<'a> {
    pub(super) fn new(env: &'a Env, client: &'a Client, started: &'a Started) -> Self {
        Self { env, client, started }
    }
}

impl Workers<'_> {
    async fn send(&self, request: Outbound, sink: &mut dyn Sink) -> Result<http::Response, FetchError> {
        let controller = AbortController::default();
        let signal = controller.signal();
        let exchange = async {
            let request_to_send = outbound(&request).map_err(|_| FetchError::Unreachable)?;
            let response =
                Fetch::Request(request_to_send).send_with_signal(&signal).await.map_err(|_| FetchError::Unreachable)?;
            let response = web_sys::Response::from(response);
            let (status, headers) = glue::response(&response);
            sink.begin(status);
            let rest = pour(&response, sink).await?;
            Ok((http::Response { status, headers, body: Vec::new() }, rest))
        };
        let result = match select(pin!(exchange), pin!(self.client.time_out(request.timeout))).await {
            Either::Left((answer, _)) => answer,
            Either::Right(_) => Err(FetchError::Timeout),
        };
        if !matches!(result, Ok((_, Flow::More))) {
            // Releases one of the six connections that a request may hold.
            controller.abort();
        }
        result.map(|(answer, _)| answer)
    }

    /// The response of the Durable Object of this name, of the class bound to `binding`.
    async fn ask(
        &self,
        binding: &str,
        name: &str,
        url: &str,
        body: Option<&str>,
        timeout: Duration,
    ) -> Result<String, JsValue> {
        let namespace = self.env.durable_object(binding).map_err(JsValue::from)?;
        glue::durable_object(namespace, name, url, body, timeout).await
    }

    async fn file(&self, path: &str) -> Option<http::Response> {
        let mut response = self.env.assets("ASSETS").ok()?.fetch(format!("https://assets{path}"), None).await.ok()?;
        if response.status_code() != 200 {
            return None;
        }
        let kind = response.headers().get("content-type").ok().flatten()?;
        let mut answer =
            http::Response::empty(200).with("content-type", kind).with("cache-control", "public, max-age=300");
        answer.body = response.bytes().await.ok()?;
        Some(answer)
    }
}

impl Io for Workers<'_> {
    fn exchange<'a>(
        &'a self,
        request: Outbound,
        sink: &'a mut dyn Sink,
    ) -> Pending<'a, Result<http::Response, FetchError>> {
        Box::pin(self.send(request, sink))
    }

    fn now(&self) -> UnixMillis {
        now()
    }

    fn sleep(&self, duration: Duration) -> Pending<'_, ()> {
        Box::pin(Delay::from(duration))
    }

    fn random(&self, bytes: &mut [u8]) {
        get_random_values(bytes);
    }

    fn circuit<'a>(&'a self, name: &'a str, report: &'a Report) -> Pending<'a, Option<Verdict>> {
        Box::pin(async move {
            let timeout = if report.event == Event::Watched { READINESS_TIMEOUT } else { CIRCUIT_TIMEOUT };
            let report = serde_json::to_string(report).ok()?;
            let answer = self.ask("CIRCUIT_BREAKER", name, "https://circuit/", Some(&report), timeout).await.ok()?;
            json::read(answer.as_bytes()).ok()
        })
    }

    fn must_finish(&self) {
        self.client.must_finish();
    }

    fn may_be_given_up(&self) {
        self.client.may_be_given_up();
    }

    fn left_at(&self) -> Option<UnixMillis> {
        self.client.left_at()
    }
}

impl Limiter for Workers<'_> {
    fn admit<'a>(&'a self, key: &'a LimitKey, ask: Ask) -> Pending<'a, Result<Admission, LimiterFailure>> {
        Box::pin(async move {
            let url = format!("https://limiter/?{}", ask.to_query());
            // Who only looks holds nobody up.
            let timeout = if ask.cost == 0 { READINESS_TIMEOUT } else { LIMITER_TIMEOUT };
            let answer = self.ask("RATE_LIMITER", &key.0, &url, None, timeout).await.map_err(|error| {
                if is_overloaded(&error) { LimiterFailure::Overloaded } else { LimiterFailure::Unavailable }
            })?;
            json::read(answer.as_bytes()).map_err(|_| LimiterFailure::Unavailable)
        })
    }
}

impl Store for Workers<'_> {
    fn object<'a>(&'a self, name: &'a ObjectName, command: &'a Command) -> Pending<'a, Result<Reply, StorageFailure>> {
        Box::pin(async move {
            let timeout = STORE_TIMEOUT + command.hold().map_or(Duration::ZERO, |(hold, _)| hold);
            let command = serde_json::to_string(command).map_err(|_| StorageFailure)?;
            let answer =
                self.ask("AUTHORIZATION_STORE", name.as_str(), "https://store/", Some(&command), timeout).await;
            json::read(answer.map_err(|_| StorageFailure)?.as_bytes()).map_err(|_| StorageFailure)
        })
    }

    fn kept_secret(&self) -> Pending<'_, Result<Secret, StorageFailure>> {
        Box::pin(async {
            let secret = self.ask("SECRET_KEEPER", "server-secret", "https://keeper/", None, KEEPER_TIMEOUT).await;
            // An error page is no secret.
            secret.ok().filter(|secret| secret.len() == 64).map(Secret::new).ok_or(StorageFailure)
        })
    }

    fn watch<'a>(&'a self, event: &'a watch::Event) -> Pending<'a, Result<Option<Notice>, StorageFailure>> {
        Box::pin(async move {
            let event = serde_json::to_string(event).map_err(|_| StorageFailure)?;
            let answer = self.ask("WATCHER", "watch", "https://watcher/", Some(&event), WATCHER_TIMEOUT).await;
            json::read(answer.map_err(|_| StorageFailure)?.as_bytes()).map_err(|_| StorageFailure)
        })
    }
}

impl Readiness for Workers<'_> {
    fn readiness<'a>(&'a self, command: &'a health::Command) -> Pending<'a, Option<health::Reply>> {
        Box::pin(async move {
            let command = command.to_text();
            let url = "https://readiness/";
            let answer = self.ask("READINESS", "all", url, Some(&command), READINESS_TIMEOUT).await.ok()?;
            health::Reply::of_text(&answer)
        })
    }
}

impl Assets for Workers<'_> {
    fn asset<'a>(&'a self, path: &'a str) -> Pending<'a, Option<http::Response>> {
        Box::pin(self.file(path))
    }
}

impl Log for Workers<'_> {
    fn write(&self, line: &str) {
        worker::console_log!("{line}");
    }
}

impl Stream for Workers<'_> {
    fn begin(&self, response: http::Response) {
        self.started.begin(response);
    }

    fn send(&self, text: &str) {
        self.started.send(text);
    }
}

thread_local! {
    /// Whether the deployment has the binding, asked once in an isolate.
    static HAS_ANALYTICS: OnceCell<bool> = const { OnceCell::new() };
}

impl Analytics for Workers<'_> {
    fn is_on(&self) -> bool {
        HAS_ANALYTICS.with(|is_there| *is_there.get_or_init(|| glue::has_analytics(self.env)))
    }

    fn write(&self, point: &DataPoint<'_>) {
        glue::write_data_point(self.env, point.index, &point.blobs.join("\0"), point.doubles);
    }
}

pub(super) fn now() -> UnixMillis {
    UnixMillis(js_sys::Date::now() as u64)
}

/// Gives a body to a sink, one piece after the other, as long as it takes more.
async fn pour(response: &web_sys::Response, sink: &mut dyn Sink) -> Result<Flow, FetchError> {
    let pieces = Pieces::of(response).map_err(|_| FetchError::Unreachable)?;
    while let Some(piece) = pieces.next().await.map_err(|_| FetchError::Unreachable)? {
        if sink.take(&piece)? == Flow::Enough {
            return Ok(Flow::Enough);
        }
    }
    Ok(Flow::More)
}

/// 256 random bits in hexadecimal.
pub(super) fn random_hex() -> String {
    let mut bytes = [0; 32];
    get_random_values(&mut bytes);
    hex(&bytes)
}

/// Durable Objects mark an exception of a flooded object with `overloaded`.
fn is_overloaded(error: &JsValue) -> bool {
    Reflect::get(error, &JsValue::from_str("overloaded")).is_ok_and(|flag| flag.is_truthy())
}

fn outbound(request: &Outbound) -> worker::Result<Request> {
    let mut init = RequestInit::new();
    init.with_method(request.method.as_str().to_owned().into()).with_redirect(RequestRedirect::Manual);
    for (name, value) in request.headers.iter() {
        init.headers.append(name, value)?;
    }
    init.with_body(request.body.as_deref().map(|body| Uint8Array::from(body).into()));
    Request::new_with_init(request.url.as_str(), &init)
}
