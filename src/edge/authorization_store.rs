//! The Durable Object of grants, consent pages, their index and known documents. It loads, steps and stores;
//! [`crate::store::object`] defines the result of a command.

use std::{cell::Cell, time::Duration};

use worker::{Date, Delay, DurableObject, Env, Request, Response, Result, State, durable_object};

use crate::{
    base::{clock::UnixMillis, json},
    store::object::{Command, Reply, Stored, step},
};

const STORED: &str = "stored";
/// After this it is seen whether a reply that is held back has changed.
const LOOK_AGAIN: Duration = Duration::from_millis(300);

/// One object per grant, page, key or document.
#[durable_object(alarm)]
pub struct AuthorizationStore {
    state: State,
    /// How often what is stored has changed since the object was loaded.
    changes: Cell<u32>,
}

impl AuthorizationStore {
    /// As JSON text: its form is pinned by a test and readable in any export.
    async fn load(&self) -> Result<Option<Stored>> {
        let text = self.state.storage().get::<String>(STORED).await?;
        Ok(text.and_then(|text| json::read(text.as_bytes()).ok()))
    }

    /// Takes one command.
    async fn take(&self, command: Command) -> Result<Reply> {
        // Input gates hold other requests back between the read and the write.
        let before = self.load().await?;
        let (after, reply) = step(before.clone(), now(), command);
        if after != before {
            self.keep(after).await?;
        }
        Ok(reply)
    }

    /// Writes it down, and when to look at it again.
    async fn keep(&self, stored: Option<Stored>) -> Result<()> {
        self.changes.set(self.changes.get().wrapping_add(1));
        let storage = self.state.storage();
        match &stored {
            Some(stored) => {
                storage.put(STORED, serde_json::to_string(stored)?).await?;
                storage.set_alarm(now().until(stored.due())).await
            }
            None => {
                storage.delete_alarm().await?;
                storage.delete_all().await
            }
        }
    }
}

impl DurableObject for AuthorizationStore {
    fn new(state: State, _env: Env) -> Self {
        Self { state, changes: Cell::default() }
    }

    async fn fetch(&self, mut request: Request) -> Result<Response> {
        let command: Command =
            json::read(&request.bytes().await?).map_err(|error| worker::Error::RustError(error.to_string()))?;
        let mut reply = self.take(command.clone()).await?;
        if let Some((hold, held)) = command.hold() {
            let until = now().after(hold);
            while reply == held && now() < until {
                // Other requests run meanwhile, among them the one that is waited for.
                let seen = self.changes.get();
                Delay::from(LOOK_AGAIN).await;
                if self.changes.get() != seen {
                    reply = self.take(command.clone()).await?;
                }
            }
        }
        Response::ok(serde_json::to_string(&reply)?)
    }

    async fn alarm(&self) -> Result<Response> {
        let left = self.load().await?.and_then(|stored| stored.at(now()));
        self.keep(left).await?;
        Response::empty()
    }
}

fn now() -> UnixMillis {
    UnixMillis(Date::now().as_millis())
}
