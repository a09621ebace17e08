//! The Worker: the only place that names `worker`. No rule of the product lives here.

mod authorization_store;
mod body;
mod circuit_breaker;
mod client;
mod glue;
mod port;
mod rate_limiter;
mod readiness;
mod secret_keeper;
mod stream;
mod watcher;

use std::{
    cell::OnceCell,
    future::poll_fn,
    rc::Rc,
    sync::atomic::{AtomicBool, Ordering},
    task::Poll,
    time::Duration,
};

use worker::wasm_bindgen_futures::spawn_local;
use worker::{Context, Env, Result, ScheduleContext, ScheduledEvent, event, web_sys};

use self::{body::Body, client::Client, port::Workers, stream::Started};
use crate::{
    app::{self, App, Isolate, watch},
    base::http::{Head, Method, Response},
    config::{self, Config, Problem},
    port::Port,
};

/// Settings are constant for as long as an isolate lives.
struct State {
    config: std::result::Result<Config, Vec<Problem>>,
    worker_version: Option<String>,
    isolate: Isolate,
}

thread_local! {
    static STATE: OnceCell<&'static State> = const { OnceCell::new() };
}

fn state(env: &Env) -> &'static State {
    STATE.with(|cell| {
        *cell.get_or_init(|| {
            let config = Config::read(&|name| glue::setting(env, name));
            let worker_version = glue::setting(env, "CF_VERSION_METADATA").as_deref().and_then(config::worker_version);
            let config = config.map(|config| Config {
                names: glue::names(env),
                worker_version: worker_version.clone(),
                ..config
            });
            MESSAGES.store(config.as_ref().is_ok_and(|config| config.hosts.is_sandbox()), Ordering::Relaxed);
            // One per isolate, for as long as it lives.
            Box::leak(Box::new(State { config, worker_version, isolate: Isolate::new() }))
        })
    })
}

/// Whether a panic's message is logged: it may hold data, which is harmless only in a sandbox. Its place holds none.
static MESSAGES: AtomicBool = AtomicBool::new(false);

#[event(start)]
fn start() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(|place| (place.file(), place.line()));
        let message = panic.payload_as_str().filter(|_| MESSAGES.load(Ordering::Relaxed));
        worker::console_error!("{}", app::panic_line(port::now(), place, message));
    }));
}

#[event(fetch)]
async fn fetch(request: web_sys::Request, env: Env, context: Context) -> Result<web_sys::Response> {
    let (method, url, headers) = glue::request(&request);
    let head = Head::new(Method::parse(&method), &url, headers)
        .map_err(|error| worker::Error::RustError(error.to_string()))?;
    let started = Rc::new(Started::default());
    let mut answering = Box::pin(attended(request, head, env, context, Rc::clone(&started)));
    // The stream begins while the service still works on the answer.
    let whole = poll_fn(|context| match answering.as_mut().poll(context) {
        Poll::Ready(answer) => Poll::Ready(Some(answer)),
        Poll::Pending if started.has_begun() => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    });
    match whole.await {
        // Without a client nobody sees what is answered.
        Some(answer) => glue::answer(answer.unwrap_or_else(|| Response::empty(204))),
        None => {
            let response = started.response()?;
            // The runtime keeps a request alive for as long as its response has an open stream.
            spawn_local(async move {
                if let Some(answer) = answering.await {
                    started.end(&answer);
                }
            });
            Ok(response)
        }
    }
}

/// The answer, unless the client went away before anything was changed.
async fn attended(
    request: web_sys::Request,
    head: Head,
    env: Env,
    context: Context,
    started: Rc<Started>,
) -> Option<Response> {
    let client = Client::new(&request, &context);
    let (answer, report) = client.attend(answer(request, head, &env, &client, &started)).await?;
    if let Some(wait) = report {
        context.wait_until(async move {
            let (client, started) = (Client::nobody(), Started::default());
            watch::report(&state(&env).isolate, wait, Port::of(&Workers::new(&env, &client, &started))).await;
        });
    }
    Some(answer)
}

/// The answer, and how long after it this isolate reports what it counted, if it does.
async fn answer(
    request: web_sys::Request,
    head: Head,
    env: &Env,
    client: &Client,
    started: &Started,
) -> (Response, Option<Duration>) {
    let workers = Workers::new(env, client, started);
    let state = state(env);
    match &state.config {
        Err(problems) => {
            let worker_version = state.worker_version.as_deref();
            (app::misconfigured(problems, worker_version, &head, Port::of(&workers)).await, None)
        }
        Ok(config) => {
            let declared = head.headers.get("content-length").and_then(|length| length.parse().ok());
            let app = App::new(config, &state.isolate, Port::of(&workers));
            let answer = app.handle(head, &mut Body { request, declared }).await;
            (answer, app.carries_report())
        }
    }
}

#[event(scheduled)]
async fn scheduled(_event: ScheduledEvent, env: Env, _context: ScheduleContext) {
    let (client, started) = (Client::nobody(), Started::default());
    let workers = Workers::new(&env, &client, &started);
    let state = state(&env);
    match &state.config {
        Ok(config) => App::new(config, &state.isolate, Port::of(&workers)).look().await,
        Err(problems) => {
            if let Some(alerts) = Config::alerts_of(&|name| glue::setting(&env, name)) {
                watch::look_at_wrong_settings(&alerts, problems.len(), Port::of(&workers)).await;
            }
        }
    }
}
