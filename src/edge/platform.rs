//! The port, on Workers.

use std::{pin::pin, time::Duration};

use futures_util::{
    StreamExt,
    future::{Either, select},
};
use js_sys::{Reflect, Uint8Array};
use wasm_bindgen::{JsValue, prelude::wasm_bindgen};
use worker::{
    AbortController, ByteStream, Delay, Env, Fetch, Request, RequestInit, RequestRedirect, Response, web_sys,
};

use super::glue;
use crate::{
    grants::store::{Command, ObjectName, Reply},
    hash::hex,
    http, json,
    limits::{Admission, LimitKey, Policy},
    platform::{FetchError, Flow, LimiterFailure, Outbound, Platform, Sink, StorageFailure, UnixMillis},
    secret::Secret,
};

/// The limiter is on the way of every request; one that takes longer than this is as good as absent.
const LIMITER_TIMEOUT: Duration = Duration::from_millis(300);

/// A grant is made near its person and may be asked from another continent.
const STORE_TIMEOUT: Duration = Duration::from_secs(5);

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
}

impl<'a> Workers<'a> {
    pub(super) fn new(env: &'a Env) -> Self {
        Self { env }
    }
}

impl Platform for Workers<'_> {
    async fn exchange(&self, request: Outbound, sink: &mut dyn Sink) -> Result<http::Response, FetchError> {
        let controller = AbortController::default();
        let signal = controller.signal();
        let exchange = async {
            let request_to_send = outbound(&request).map_err(|_| FetchError::Unreachable)?;
            let response =
                Fetch::Request(request_to_send).send_with_signal(&signal).await.map_err(|_| FetchError::Unreachable)?;
            let response = web_sys::Response::from(response);
            let (status, headers) = glue::response(&response);
            sink.begin(status);
            let rest = match Response::from(response).stream() {
                Ok(stream) => pour(stream, sink).await?,
                Err(_) => Flow::More,
            };
            Ok((http::Response { status, headers, body: Vec::new() }, rest))
        };
        let result = match select(pin!(exchange), pin!(Delay::from(request.timeout))).await {
            Either::Left((answer, _)) => answer,
            Either::Right(_) => Err(FetchError::Timeout),
        };
        if !matches!(result, Ok((_, Flow::More))) {
            // Releases one of the six connections that a request may hold.
            controller.abort();
        }
        result.map(|(answer, _)| answer)
    }

    fn now(&self) -> UnixMillis {
        UnixMillis(js_sys::Date::now() as u64)
    }

    fn random(&self, bytes: &mut [u8]) {
        get_random_values(bytes);
    }

    async fn sleep(&self, duration: Duration) {
        Delay::from(duration).await;
    }

    async fn admit(&self, key: &LimitKey, policy: Policy, cost: u32) -> Result<Admission, LimiterFailure> {
        let namespace = self.env.durable_object("RATE_LIMITER").map_err(|_| LimiterFailure::Unavailable)?;
        let Policy { permits, seconds, burst } = policy;
        let url = format!("https://limiter/?{permits}&{seconds}&{burst}&{cost}");
        let answer = glue::durable_object(namespace, &key.0, &url, None, LIMITER_TIMEOUT).await.map_err(|error| {
            if is_overloaded(&error) { LimiterFailure::Overloaded } else { LimiterFailure::Unavailable }
        })?;
        json::read(answer.as_bytes()).map_err(|_| LimiterFailure::Unavailable)
    }

    async fn object(&self, name: &ObjectName, command: &Command) -> Result<Reply, StorageFailure> {
        let namespace = self.env.durable_object("AUTHORIZATION_STORE").map_err(|_| StorageFailure)?;
        let command = serde_json::to_string(command).map_err(|_| StorageFailure)?;
        let answer = glue::durable_object(namespace, name.as_str(), "https://store/", Some(&command), STORE_TIMEOUT);
        let answer = answer.await.map_err(|_| StorageFailure)?;
        json::read(answer.as_bytes()).map_err(|_| StorageFailure)
    }

    async fn kept_secret(&self) -> Result<Secret, StorageFailure> {
        let namespace = self.env.durable_object("SECRET_KEEPER").map_err(|_| StorageFailure)?;
        let secret = glue::durable_object(namespace, "server-secret", "https://keeper/", None, KEEPER_TIMEOUT).await;
        // An error page is no secret.
        secret.ok().filter(|secret| secret.len() == 64).map(Secret::new).ok_or(StorageFailure)
    }

    async fn asset(&self, path: &str) -> Option<http::Response> {
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

    fn log(&self, line: &str) {
        worker::console_log!("{line}");
    }
}

/// Gives a body to a sink, one piece after the other, as long as it takes more.
async fn pour(mut stream: ByteStream, sink: &mut dyn Sink) -> Result<Flow, FetchError> {
    while let Some(piece) = stream.next().await {
        if sink.take(&piece.map_err(|_| FetchError::Unreachable)?)? == Flow::Enough {
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
