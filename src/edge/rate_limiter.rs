//! The limiter's Durable Object: one per key. It loads a bucket, takes, stores; the arithmetic is [`crate::limits::bucket`].

use std::{cell::Cell, time::Duration};

use worker::{Date, DurableObject, Env, Request, Response, Result, State, durable_object};

use crate::{
    base::{clock::UnixMillis, json},
    limits::bucket::Bucket,
    port::Policy,
};

const BUCKET: &str = "bucket";

/// Buckets are removed this long after they are full again, so that a client that comes once a minute costs one write
/// a minute and no clean-up.
const LINGER: Duration = Duration::from_secs(60);

/// Permits of one key.
#[durable_object(alarm)]
pub struct RateLimiter {
    state: State,
    bucket: Cell<Option<Bucket>>,
}

impl RateLimiter {
    async fn load(&self) -> Result<Bucket> {
        if let Some(bucket) = self.bucket.get() {
            return Ok(bucket);
        }
        let text = self.state.storage().get::<String>(BUCKET).await?;
        Ok(text.and_then(|text| json::read(text.as_bytes()).ok()).unwrap_or(Bucket::FULL))
    }
}

impl DurableObject for RateLimiter {
    fn new(state: State, _env: Env) -> Self {
        Self { state, bucket: Cell::new(None) }
    }

    async fn fetch(&self, request: Request) -> Result<Response> {
        let url = request.url()?;
        let mut numbers = url.query().unwrap_or_default().split('&').filter_map(|number| number.parse::<u32>().ok());
        let mut next = || numbers.next();
        let (Some(permits), Some(seconds), Some(burst), Some(cost)) = (next(), next(), next(), next()) else {
            return Response::error("expected ?permits&seconds&burst&cost", 400);
        };
        let first = self.bucket.get().is_none();
        let mut bucket = self.load().await?;
        // Another request may have taken permits while this one waited for the storage.
        bucket = self.bucket.get().unwrap_or(bucket);
        let admission = bucket.take(Policy { permits, seconds, burst }, now(), cost);
        self.bucket.set(Some(bucket));
        if admission.allowed {
            let storage = self.state.storage();
            // The answer leaves only after the write is confirmed (the output gate of Durable Objects).
            storage.put(BUCKET, serde_json::to_string(&bucket)?).await?;
            if first && storage.get_alarm().await?.is_none() {
                storage.set_alarm(delay_until_unused(&bucket)).await?;
            }
        }
        Response::ok(serde_json::to_string(&admission)?)
    }

    async fn alarm(&self) -> Result<Response> {
        let bucket = self.load().await?;
        let storage = self.state.storage();
        if bucket.full_at() > now() {
            storage.set_alarm(delay_until_unused(&bucket)).await?;
        } else {
            storage.delete_all().await?;
            self.bucket.set(None);
        }
        Response::empty()
    }
}

fn now() -> UnixMillis {
    UnixMillis(Date::now().as_millis())
}

fn delay_until_unused(bucket: &Bucket) -> Duration {
    now().until(bucket.full_at()) + LINGER
}
