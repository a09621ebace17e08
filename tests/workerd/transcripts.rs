//! The same transcripts as natively, over HTTP against the Worker in workerd. One at a time: they share a sandbox and its clock.
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
#[path = "worker.rs"]
mod worker;

use serde_json::Value;

use crate::{
    support::transcript::{self, Judge},
    worker::{Own, Worker, Workerd},
};

/// The native run judges results against their schemas; here they only have to be the same.
struct Nothing;

impl Judge for Nothing {
    fn tool_result(&mut self, _place: &str, _tool: &str, _result: &Value) {}
}

fn main() {
    transcript::main(|transcript, revision, number| {
        let address = format!("198.51.{}.{}", number / 250, number % 250 + 1);
        if transcript.leaves_something() {
            transcript::run(transcript, revision, &mut Own::start_for(&address), &mut Nothing);
        } else {
            let mut driver = Workerd { origin: Worker::shared(), address };
            transcript::run(transcript, revision, &mut driver, &mut Nothing);
        }
    });
}
