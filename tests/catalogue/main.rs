//! What every tool keeps to, and what is generated from the tools: the first suite to run after a tool was added. It tells
//! everything that is wrong in one run, each thing as a sentence. `UPDATE_EXPECT=1 cargo xtask test catalogue` writes what is
//! generated.
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
#[path = "../native/world.rs"]
mod world;

mod documents;
mod examples;
mod finding;
mod fixture;
mod operations;
mod rules;
mod views;

use std::{fs, path::Path};

/// All problems together: a person who adds a tool wants to know them at once.
#[derive(Default)]
pub struct Problems(Vec<String>);

impl Problems {
    /// Notes `problem` where the rule does not hold.
    pub fn unless(&mut self, holds: bool, problem: impl FnOnce() -> String) {
        if !holds {
            self.0.push(problem());
        }
    }

    /// Fails where there are any.
    pub fn none(self) {
        assert!(self.0.is_empty(), "{} to fix:\n- {}\n", self.0.len(), self.0.join("\n- "));
    }
}

/// Whether what is generated is to be written.
pub fn updating() -> bool {
    std::env::var_os("UPDATE_EXPECT").is_some()
}

/// Whether a generated file is current; with `UPDATE_EXPECT` set it is written, and is.
pub fn is_current(path: &Path, now: &str) -> bool {
    if fs::read_to_string(path).unwrap_or_default() == now {
        return true;
    }
    if updating() {
        fs::create_dir_all(path.parent().expect("a folder")).expect("the folder");
        fs::write(path, now).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
    updating()
}

/// The remedy for a generated file that is not current.
pub const REGENERATE: &str = "run `UPDATE_EXPECT=1 cargo xtask test catalogue` and review the diff";
