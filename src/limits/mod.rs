//! Limits: what is limited, for whom and how far; the arithmetic of permits; and the cost of trying credentials. Callers
//! turn the verdicts into responses.

pub mod bucket;
pub mod guessing;
mod health;
pub mod keys;
pub mod lease;
pub mod ledger;
pub mod running;
pub mod witness;

/// What an isolate remembers of limits. Losing it costs calls to Durable Objects, never a limit.
#[derive(Default)]
pub struct Memory {
    /// Permits, and refusals.
    pub permits: lease::Permits,
    /// Calls that run.
    pub running: running::Running,
    /// Key pairs.
    pub pairs: witness::Pairs,
    /// Invalid credentials.
    pub wrong_credentials: guessing::WrongCredentials,
}

/// A wait that is up to a fifth longer, by chance, so that those who were refused together do not return together. Never shorter.
pub fn spread(millis: u64, random: u16) -> u64 {
    let thousandths = u64::from(random) % 201;
    millis.saturating_add(millis.saturating_mul(thousandths) / 1_000)
}

/// Milliseconds to wait, as the whole seconds of a response: one at least.
pub fn wait_seconds(millis: u64) -> u64 {
    millis.div_ceil(1_000).max(1)
}
