//! What a deployment says of itself to a caller.

use serde::Serialize;

use crate::base::future::Pending;
pub use crate::port::LimitState;

/// Whoever knows the deployment.
pub trait Deployment {
    /// The limits of the caller as they stand, by name. Looking takes nothing from them.
    fn limits(&self) -> Pending<'_, Vec<(&'static str, LimitState)>>;

    /// Whether the deployment works: the names and states of its checks, as `/readyz` says them.
    fn checks(&self) -> Pending<'_, Vec<(&'static str, &'static str)>>;

    /// What is to be changed in the settings; `None` for a caller who is not told.
    fn advice(&self) -> Option<Vec<Advice>>;
}

/// Something to be changed in the settings. It never has a value of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Advice {
    /// Name of the setting.
    pub setting: String,
    /// What kind of finding it is, in a word.
    pub level: &'static str,
    /// What is the matter.
    pub what: String,
    /// What to do.
    pub fix: String,
}
