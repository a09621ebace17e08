//! Everything that needs no workerd: the real `App` against the sandbox's core, with a clock of its own.

#[path = "../support/mod.rs"]
mod support;

mod bad_inputs;
mod catalogue;
mod documents;
mod limits;
mod secrets;
mod tidy;
mod transcripts;
mod world;
