//! The Durable Object that knows whether somebody has to be told of trouble. It loads, steps and stores; [`crate::watch`] has the
//! rules.

use worker::{Date, DurableObject, Env, Request, Response, Result, State, durable_object};

use crate::{
    base::{clock::UnixMillis, json},
    watch::{Event, Watch},
};

const STATE: &str = "watch";

/// One object per deployment.
#[durable_object(fetch)]
pub struct Watcher {
    state: State,
}

impl DurableObject for Watcher {
    fn new(state: State, _env: Env) -> Self {
        Self { state }
    }

    async fn fetch(&self, mut request: Request) -> Result<Response> {
        let event: Event =
            json::read(&request.bytes().await?).map_err(|error| worker::Error::RustError(error.to_string()))?;
        let storage = self.state.storage();
        // Input gates hold other requests back between the read and the write.
        let mut watch = Watch::of_stored(storage.get::<String>(STATE).await?.as_deref());
        let notice = watch.step(UnixMillis(Date::now().as_millis()), &event);
        storage.put(STATE, watch.to_stored()).await?;
        Response::ok(serde_json::to_string(&notice)?)
    }
}
