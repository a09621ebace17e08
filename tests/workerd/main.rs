//! Tests that need the real runtime: the limiter's Durable Object, races and restarts in authorization, settings that are no
//! text, alerts, the landing page, and an official Rust client.
//!
//! `cargo xtask test` gives the sandbox's address in `SANDBOX_URL` and its own program in `XTASK`, which starts Workers
//! from the build that is there.
#![allow(unreachable_pub, dead_code, reason = "modules that several test programs share")]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test that meets what it does not expect fails"
)]

#[path = "../support/mod.rs"]
mod support;

mod alerts;
mod authorization;
mod bad_inputs;
mod client;
mod disconnects;
mod field;
mod health;
mod limiter;
mod page;
mod settings;
mod sockets;
mod stage;
mod worker;
