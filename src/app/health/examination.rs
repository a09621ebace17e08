//! What works: asked of the limiter, the authorization store, the circuits and TiDB Cloud, and remembered.

use std::{cell::RefCell, time::Duration};

use serde_json::json;

use crate::{
    app::App,
    circuit::Verdict,
    health::{Checks, Command, Examinations, Reply, State},
    port::{Ask, LimitKey, LimiterFailure, Policy, Port, StorageFailure},
    store::{
        object::{self, ObjectName},
        transaction,
    },
    tidbcloud::{self, ApiError},
};

/// After this it is seen whether somebody else has found out.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// Eight times 0.5 s are longer than TiDB Cloud may take to answer.
const LOOKS: u32 = 8;
/// Eight looks, the report, and the examination: two asks of the limiter, one of the authorization store and one of the keeper of the
/// server secret, two circuits, and one request to TiDB Cloud.
const REQUESTS_MAX: u32 = LOOKS + 1 + 7;
/// Any policy: whoever looks takes no permit.
const PERMITS: Policy = Policy::per_minute(1, 1);

/// What an isolate remembers of examinations.
pub(in crate::app) struct Memory {
    /// In front of those of all isolates: one request at a time asks them.
    near: RefCell<Examinations>,
    /// In place of those of all isolates while they do not answer.
    alone: RefCell<Examinations>,
}

impl Default for Memory {
    fn default() -> Self {
        Self { near: RefCell::new(Examinations::of_isolate()), alone: RefCell::default() }
    }
}

/// The turn of a request to ask for its isolate. It goes to the next one if this request is given up.
struct Turn<'a> {
    app: &'a App<'a>,
    turn: u64,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.app.step_near(&Command::Release { turn: self.turn });
    }
}

/// What works, as far as it is known: found out at most every 15 s for all isolates together, and asked for at most every 5 s by an
/// isolate.
pub(in crate::app) async fn verdict(app: &App<'_>) -> Checks {
    for _ in 0..LOOKS {
        match app.step_near(&Command::Ask) {
            Reply::Known(checks) => return checks,
            Reply::Examine { turn } => {
                let turn = Turn { app, turn };
                let Some(checks) = of_all(app).await else { break };
                app.step_near(&Command::Report { turn: turn.turn, checks });
                return checks;
            }
            Reply::Wait | Reply::Noted => app.port().io.sleep(LOOK_AGAIN).await,
        }
    }
    Checks::unknown(State::Ok)
}

impl App<'_> {
    fn step_near(&self, command: &Command) -> Reply {
        self.isolate.health.near.borrow_mut().step(self.port().io.now(), command)
    }
}

/// The verdict of all isolates together; `None` if it could not be had.
async fn of_all(app: &App<'_>) -> Option<Checks> {
    let (port, allowance) = (app.port(), &app.metered.allowance);
    // Half an examination would be a wrong verdict for everybody.
    if !allowance.can_spare(REQUESTS_MAX) {
        return None;
    }
    // Others wait for what this request may have to find out.
    port.io.must_finish();
    let alone = &app.isolate.health.alone;
    for _ in 0..LOOKS {
        let now = port.io.now();
        let shared = port.readiness.readiness(&Command::Ask).await;
        match shared.unwrap_or_else(|| alone.borrow_mut().step(now, &Command::Ask)) {
            Reply::Known(checks) => return Some(checks),
            Reply::Examine { turn } => {
                let checks = examine(app).await;
                alone.borrow_mut().note(now, checks);
                if shared.is_some() {
                    port.readiness.readiness(&Command::Report { turn, checks }).await;
                }
                return Some(checks);
            }
            Reply::Wait | Reply::Noted => port.io.sleep(LOOK_AGAIN).await,
        }
    }
    None
}

/// Finds out what works, now and by six requests at most. What does not is logged.
pub(in crate::app) async fn examine(app: &App<'_>) -> Checks {
    let port = app.port();
    let alive = tidbcloud::is_alive(port.io, &app.log, &app.config.hosts).await;
    let checks = Checks {
        settings: State::Ok,
        limiter: limiter(port).await,
        grants: grants(app).await,
        circuits: circuits(port).await,
        tidb_cloud: match &alive {
            Ok(()) => State::Ok,
            Err(ApiError::Exhausted) => State::Unknown,
            Err(_) => State::Failing,
        },
    };
    if !checks.are_ok() {
        let mut line = json!({ "checks": checks });
        if let (Err(error), Some(line)) = (&alive, line.as_object_mut()) {
            line.insert("cause".to_owned(), error.chain().into());
        }
        app.log.warn("not_ready", line);
    }
    checks
}

/// A limit of its own says how much of it is left. An object that sleeps may take longer than a request waits for it: the second try finds it awake.
async fn limiter(port: Port<'_>) -> State {
    let key = LimitKey("readiness:all".to_owned());
    let mut state = State::Unknown;
    for _ in 0..2 {
        match port.limiter.admit(&key, Ask::of(PERMITS, 0)).await {
            Ok(_) => return State::Ok,
            Err(LimiterFailure::Unavailable | LimiterFailure::Overloaded) => state = State::Failing,
            Err(LimiterFailure::Exhausted) => {}
        }
    }
    state
}

/// The server secret, which seals grants, can be had; and a transaction that never began has ended. Nothing is stored of the question.
async fn grants(app: &App<'_>) -> State {
    let port = app.port();
    if app.secret().await.is_err() {
        return State::Failing;
    }
    let look = object::Command::Transaction(transaction::Command::Look { ends: 0 });
    match port.store.object(&ObjectName::transaction("readiness"), &look).await {
        Ok(_) => State::Ok,
        Err(StorageFailure) => State::Failing,
    }
}

/// No API's circuit is open for everybody: that of one caller is that caller's trouble.
async fn circuits(port: Port<'_>) -> State {
    let seen = tidbcloud::circuits(port.io).await;
    if seen.iter().any(|seen| matches!(seen, Some(Verdict::Open { all: true, .. }))) {
        State::Failing
    } else if seen.contains(&None) {
        State::Unknown
    } else {
        State::Ok
    }
}
