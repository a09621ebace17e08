//! Everything that needs no workerd: the real `App` against the sandbox's core, with a clock of its own.
#![allow(unreachable_pub, reason = "modules that several test programs share")]

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
