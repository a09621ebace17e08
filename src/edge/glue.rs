//! The calls into JavaScript, one for each thing that the Worker needs.

use std::time::Duration;

use js_sys::{Promise, Uint8Array, futures::JsFuture};
use wasm_bindgen::{JsValue, prelude::wasm_bindgen};
use worker::{ObjectNamespace, web_sys};

use crate::{
    base::http::{Headers, Response},
    port::BodyError,
};

#[wasm_bindgen(module = "/src/edge/glue.js")]
extern "C" {
    fn describe(request: &web_sys::Request) -> String;
    #[wasm_bindgen(js_name = describeResponse)]
    fn describe_response(response: &web_sys::Response) -> String;
    #[wasm_bindgen(catch)]
    fn ask(namespace: &JsValue, name: &str, url: &str, body: Option<&str>, millis: u32) -> Result<Promise, JsValue>;
    #[wasm_bindgen(catch, js_name = wholeBody)]
    fn whole_body(request: &web_sys::Request, millis: u32) -> Result<Promise, JsValue>;
    #[wasm_bindgen(catch)]
    fn respond(status: u16, headers: &str, body: JsValue) -> Result<web_sys::Response, JsValue>;
    /// Text that becomes a body while it is sent.
    pub(super) type Pipe;
    #[wasm_bindgen(constructor)]
    pub(super) fn new() -> Pipe;
    #[wasm_bindgen(method)]
    pub(super) fn send(this: &Pipe, text: &str);
    #[wasm_bindgen(method)]
    pub(super) fn close(this: &Pipe);
    /// The stream of its bytes.
    #[wasm_bindgen(method, getter)]
    pub(super) fn body(this: &Pipe) -> JsValue;
    #[wasm_bindgen(js_name = Pieces)]
    type Reader;
    #[wasm_bindgen(constructor, catch, js_class = "Pieces")]
    fn of(message: &JsValue) -> Result<Reader, JsValue>;
    #[wasm_bindgen(method)]
    fn next(this: &Reader) -> Promise;
    #[wasm_bindgen(method)]
    fn cancel(this: &Reader);
    /// The client of a request.
    #[wasm_bindgen(js_name = Client)]
    pub(super) type Held;
    #[wasm_bindgen(constructor, js_class = "Client")]
    pub(super) fn of(request: &web_sys::Request, context: &JsValue) -> Held;
    /// Resolves once it has gone away, or the request has ended.
    #[wasm_bindgen(method, getter)]
    pub(super) fn left(this: &Held) -> Promise;
    /// Keeps the request alive without it.
    #[wasm_bindgen(method)]
    pub(super) fn hold(this: &Held);
    #[wasm_bindgen(method)]
    pub(super) fn release(this: &Held);
    /// The request has ended.
    #[wasm_bindgen(method)]
    pub(super) fn end(this: &Held);
    /// Whether there is a binding for data points.
    #[wasm_bindgen(js_name = hasAnalytics)]
    pub(super) fn has_analytics(env: &JsValue) -> bool;
    /// Writes one; its words are separated by NUL.
    #[wasm_bindgen(js_name = writeDataPoint)]
    pub(super) fn write_data_point(env: &JsValue, index: &str, blobs: &str, doubles: &[f64]);
    /// A setting as text; JSON where it is no text.
    pub(super) fn setting(env: &JsValue, name: &str) -> Option<String>;
    #[wasm_bindgen(js_name = names)]
    fn all_names(env: &JsValue) -> String;
}

/// Names of all that is bound to the Worker.
pub(super) fn names(env: &JsValue) -> Vec<String> {
    all_names(env).split('\0').map(str::to_owned).collect()
}

/// Method, URL and header fields of a request.
pub(super) fn request(request: &web_sys::Request) -> (String, String, Headers) {
    let text = describe(request);
    let mut fields = text.split('\0');
    let mut next = || fields.next().unwrap_or_default().to_owned();
    let (method, url) = (next(), next());
    (method, url, headers(fields))
}

/// Status and header fields of an answer.
pub(super) fn response(response: &web_sys::Response) -> (u16, Headers) {
    let text = describe_response(response);
    let mut fields = text.split('\0');
    let status = fields.next().and_then(|status| status.parse().ok()).unwrap_or_default();
    (status, headers(fields))
}

fn headers<'a>(mut fields: impl Iterator<Item = &'a str>) -> Headers {
    std::iter::from_fn(|| Some((fields.next()?, fields.next()?))).collect()
}

/// A Durable Object's response to a GET of `url`, or to a POST if there is a body.
///
/// # Errors
/// What it threw, or that it took longer than `timeout`.
pub(super) async fn durable_object(
    namespace: ObjectNamespace,
    name: &str,
    url: &str,
    body: Option<&str>,
    timeout: Duration,
) -> Result<String, JsValue> {
    let answer = JsFuture::from(ask(&namespace.into(), name, url, body, millis(timeout))?).await?;
    Ok(answer.as_string().unwrap_or_default())
}

/// The body of a request whose length is known.
///
/// # Errors
/// It broke off, or took longer than `timeout`.
pub(super) async fn body(request: &web_sys::Request, timeout: Duration) -> Result<Vec<u8>, BodyError> {
    let promise = whole_body(request, millis(timeout)).map_err(|_| BodyError::Broken)?;
    let buffer = JsFuture::from(promise).await.map_err(|_| BodyError::Timeout)?;
    if buffer.is_null() { Err(BodyError::Broken) } else { Ok(Uint8Array::new(&buffer).to_vec()) }
}

/// A body that is read piece by piece. What is not read of it is cancelled when this is dropped.
pub(super) struct Pieces(Reader);

/// A body broke off, or is read by somebody else.
pub(super) struct Broken;

impl Pieces {
    /// The body of a request or a response.
    pub(super) fn of(message: &JsValue) -> Result<Self, Broken> {
        Reader::of(message).map(Self).map_err(|_| Broken)
    }

    /// The next 64 KiB at most; `None` at the end.
    pub(super) async fn next(&self) -> Result<Option<Vec<u8>>, Broken> {
        let piece = JsFuture::from(self.0.next()).await.map_err(|_| Broken)?;
        Ok((!piece.is_undefined()).then(|| Uint8Array::new(&piece).to_vec()))
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

fn millis(timeout: Duration) -> u32 {
    u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX)
}

/// The service's response as the runtime's.
pub(super) fn answer(response: Response) -> worker::Result<web_sys::Response> {
    let body = match response.body.as_slice() {
        [] => JsValue::UNDEFINED,
        body => Uint8Array::from(body).into(),
    };
    respond_with(&response, body)
}

/// The same with another body.
pub(super) fn respond_with(response: &Response, body: JsValue) -> worker::Result<web_sys::Response> {
    let mut headers = String::with_capacity(1 << 10);
    for (name, value) in response.headers.iter() {
        if !headers.is_empty() {
            headers.push('\0');
        }
        headers.push_str(name);
        headers.push('\0');
        headers.push_str(value);
    }
    Ok(respond(response.status, &headers, body)?)
}
