//! Every transcript against the server in this process and the sandbox's core; `tests/workerd/transcripts.rs` plays them over
//! HTTP. A program of its own, so that little is compiled between an edit of a tool and its conversation.
#![allow(unreachable_pub, dead_code, reason = "modules that several test programs share")]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test that meets what it does not expect fails"
)]

#[path = "native/judge.rs"]
mod judge;
mod support;
#[path = "native/world.rs"]
mod world;

use crate::{judge::Schemas, support::transcript, world::Native};

fn main() {
    transcript::main(|transcript, revision, _| {
        transcript::run(transcript, revision, &mut Native::new(), &mut Schemas::default());
    });
}
