//! State that outlives an isolate.

use crate::{
    base::{future::Pending, secret::Secret},
    store::object::{Command, ObjectName, Reply},
    watch::{Event, Notice},
};

/// Stored objects.
pub trait Store {
    /// Sends a command to a stored object. Commands run one after the other, each on the state that the previous one left, and
    /// every change is persisted before the reply. [`crate::store::object::step`] makes the reply.
    fn object<'a>(&'a self, name: &'a ObjectName, command: &'a Command) -> Pending<'a, Result<Reply, StorageFailure>>;

    /// The server secret of a deployment that has set none: made once, the same for every isolate.
    fn kept_secret(&self) -> Pending<'_, Result<Secret, StorageFailure>>;

    /// Tells the watcher of this deployment what happened. Returns what to send. [`crate::watch`] has the rules.
    fn watch<'a>(&'a self, event: &'a Event) -> Pending<'a, Result<Option<Notice>, StorageFailure>>;
}

/// Storage failed; the request can be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StorageFailure;
