//! What outlives an isolate.

use crate::{
    base::{future::Pending, secret::Secret},
    store::object::{Command, ObjectName, Reply},
};

/// Stored objects.
pub trait Store {
    /// Asks a stored object: one command after the other, each with what the one before it left, and every change is
    /// persisted before it is answered. What it answers is [`crate::store::object::step`]'s to say.
    fn object<'a>(&'a self, name: &'a ObjectName, command: &'a Command) -> Pending<'a, Result<Reply, StorageFailure>>;

    /// The server secret of a deployment that has set none: made once, the same for every isolate.
    fn kept_secret(&self) -> Pending<'_, Result<Secret, StorageFailure>>;
}

/// Storage failed; the request can be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StorageFailure;
