//! What all isolates know together of whether the service works.

use crate::{
    base::future::Pending,
    health::{Command, Reply},
};

/// The examinations of the deployment. A trait of its own, because only the health routes may reach it: [`super::Io`], which knows
/// circuits, is given to the client of TiDB Cloud, and [`super::Store`] keeps what must not be lost.
pub trait Readiness {
    /// Sends a command to them. `None`: they did not answer in time. [`crate::health::Examinations::step`] makes the reply.
    fn readiness<'a>(&'a self, command: &'a Command) -> Pending<'a, Option<Reply>>;
}
