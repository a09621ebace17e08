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
    support::transcript::{self, Judge, Transcript},
    worker::{Own, Runtime, Worker, Workerd},
};

/// The native run judges results against their schemas; here they only have to be the same.
struct Nothing;

impl Judge for Nothing {
    fn tool_result(&mut self, _place: &str, _tool: &str, _result: &Value) {}
}

/// Of the transcripts that leave something, those that are played under `wrangler dev`, as people run the Worker on their machine: one
/// for each way to ask a person, and a restart in each era. The rest is in workerd by itself, which starts ten times as fast.
const BY_WRANGLER: [&str; 5] = [
    "confirmation/a_page_for_a_person",
    "confirmation/a_form_of_the_client",
    "confirmation/a_call_that_waits",
    "confirmation/a_restart_while_a_form_is_open",
    "confirmation/a_restart_while_a_call_waits",
];

fn main() {
    let names: Vec<String> = Transcript::all().into_iter().map(|transcript| transcript.name).collect();
    let missing = BY_WRANGLER.iter().find(|name| !names.iter().any(|found| found == *name));
    assert_eq!(missing, None, "BY_WRANGLER in {} names a transcript that is not there", file!());
    transcript::main(|transcript, revision, number| {
        let address = format!("198.51.{}.{}", number / 250, number % 250 + 1);
        if transcript.leaves_something() {
            let by_wrangler = BY_WRANGLER.contains(&transcript.name.as_str());
            let runtime = if by_wrangler { Runtime::Wrangler } else { Runtime::Workerd };
            transcript::run(transcript, revision, &mut Own::start_for(runtime, &address), &mut Nothing);
        } else {
            let mut driver = Workerd { origin: Worker::shared(), address };
            transcript::run(transcript, revision, &mut driver, &mut Nothing);
        }
    });
}
