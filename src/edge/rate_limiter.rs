//! The limiter's Durable Object: one per key. It answers from memory and stores what a restart must know; the rules are those of
//! [`crate::limits::ledger`].

use std::{
    cell::{Cell, RefCell},
    time::Duration,
};

use worker::{Date, DurableObject, Env, Request, Response, Result, State, durable_object};

use crate::{base::clock::UnixMillis, limits::ledger::Ledger, port::Ask};

const STATE: &str = "bucket";

/// State is removed this long after all permits are back, so that a client that comes once a minute costs one write
/// a minute and no clean-up.
const LINGER: Duration = Duration::from_secs(60);

/// Permits of one key.
#[durable_object(alarm)]
pub struct RateLimiter {
    state: State,
    ledger: RefCell<Option<Ledger>>,
    /// Whether the clean-up is set.
    is_set: Cell<bool>,
}

impl RateLimiter {
    async fn load(&self) -> Result<()> {
        if self.ledger.borrow().is_some() {
            return Ok(());
        }
        let text = self.state.storage().get::<String>(STATE).await?;
        // Another request may have taken permits while this one waited for the storage.
        self.ledger.borrow_mut().get_or_insert_with(|| Ledger::of_stored(text.as_deref()));
        Ok(())
    }

    /// How long until nothing needs to be kept.
    fn until_unused(&self) -> Duration {
        self.ledger.borrow().as_ref().map_or(Duration::ZERO, |ledger| now().until(ledger.unused_at()))
    }
}

impl DurableObject for RateLimiter {
    fn new(state: State, _env: Env) -> Self {
        Self { state, ledger: RefCell::new(None), is_set: Cell::new(false) }
    }

    async fn fetch(&self, request: Request) -> Result<Response> {
        let Some(ask) = request.url()?.query().and_then(Ask::of_query) else {
            return Response::error("expected what is asked for", 400);
        };
        self.load().await?;
        let (admission, text) = {
            let mut ledger = self.ledger.borrow_mut();
            let ledger = ledger.get_or_insert_default();
            let (admission, stores) = ledger.admit(&ask, now());
            (admission, stores.then(|| ledger.to_stored()))
        };
        if let Some(text) = text {
            let storage = self.state.storage();
            // The answer leaves only after the write is confirmed (the output gate of Durable Objects).
            storage.put(STATE, text).await?;
            if !self.is_set.replace(true) && storage.get_alarm().await?.is_none() {
                storage.set_alarm(self.until_unused() + LINGER).await?;
            }
        }
        Response::ok(serde_json::to_string(&admission)?)
    }

    async fn alarm(&self) -> Result<Response> {
        self.load().await?;
        let storage = self.state.storage();
        match self.until_unused() {
            Duration::ZERO => {
                storage.delete_all().await?;
                self.ledger.borrow_mut().take();
                self.is_set.set(false);
            }
            wait => storage.set_alarm(wait + LINGER).await?,
        }
        Response::empty()
    }
}

fn now() -> UnixMillis {
    UnixMillis(Date::now().as_millis())
}
