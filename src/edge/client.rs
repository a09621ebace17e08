//! The client of one request, who may go away before it is answered.

use std::{cell::Cell, future::poll_fn, pin::pin, task::Poll, time::Duration};

use js_sys::{Date, futures::JsFuture};
use worker::{Context, Delay, web_sys};

use super::glue::Held;
use crate::base::clock::UnixMillis;

/// 20 s for a request to another host that is under way when the client goes away: of the 25 that are left for the call, five
/// remain for a ROLLBACK or a look at what came of it.
const ALONE: Duration = Duration::from_secs(20);

/// The client of one request, or nobody.
pub(super) struct Client {
    held: Option<Held>,
    must_finish: Cell<bool>,
    left_at: Cell<Option<UnixMillis>>,
}

impl Client {
    pub(super) fn new(request: &web_sys::Request, context: &Context) -> Self {
        Self { held: Some(Held::of(request, context.as_ref())), ..Self::nobody() }
    }

    /// For work that no client waits for.
    pub(super) fn nobody() -> Self {
        Self { held: None, must_finish: Cell::default(), left_at: Cell::default() }
    }

    /// The outcome of `work`; `None` if the client went away while it could be given up. It is dropped then, because nothing
    /// would wake it again: the runtime ends what it waits for.
    pub(super) async fn attend<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let left = self.held.as_ref().map(|held| JsFuture::from(held.left()));
        let (mut work, mut left) = (pin!(work), pin!(left));
        let outcome = poll_fn(|context| {
            if self.left_at.get().is_none()
                && let Some(left) = left.as_mut().as_pin_mut()
                && left.poll(context).is_ready()
            {
                self.left_at.set(Some(UnixMillis(Date::now() as u64)));
            }
            if self.is_given_up() {
                return Poll::Ready(None);
            }
            match work.as_mut().poll(context) {
                Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
                Poll::Pending if self.is_given_up() => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        });
        let outcome = outcome.await;
        // A promise that never resolves would keep what waits for it for as long as the isolate lives.
        self.held.iter().for_each(Held::end);
        outcome
    }

    fn is_given_up(&self) -> bool {
        self.left_at.get().is_some() && !self.must_finish.get()
    }

    pub(super) fn left_at(&self) -> Option<UnixMillis> {
        self.left_at.get()
    }

    pub(super) fn must_finish(&self) {
        self.must_finish.set(true);
        self.held.iter().for_each(Held::hold);
    }

    pub(super) fn may_be_given_up(&self) {
        self.must_finish.set(false);
        self.held.iter().for_each(Held::release);
    }

    /// Ends after `timeout`, or sooner once the client has gone away.
    pub(super) async fn time_out(&self, timeout: Duration) {
        let mut timeout = pin!(Delay::from(timeout));
        let mut alone = pin!(None::<Delay>);
        poll_fn(|context| {
            // Everything that waits in this request is polled when the client goes away.
            if self.left_at.get().is_some() && alone.is_none() {
                alone.set(Some(Delay::from(ALONE)));
            }
            let is_alone_too_long = alone.as_mut().as_pin_mut().is_some_and(|alone| alone.poll(context).is_ready());
            if is_alone_too_long { Poll::Ready(()) } else { timeout.as_mut().poll(context) }
        })
        .await;
    }
}
