//! How a call becomes requests, and answers become a result.

pub(super) mod alive;
pub(super) mod answer;
pub(super) mod call;
pub(super) mod error;
mod exchange;
pub(super) mod health;
pub(super) mod hosts;
pub(super) mod list;
pub(super) mod memory;
pub(super) mod redact;
pub(super) mod refusal;
pub(super) mod repeat;
pub(super) mod retry;
pub(super) mod send;
pub(super) mod trail;

#[cfg(test)]
mod tests;
