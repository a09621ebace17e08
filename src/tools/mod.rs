//! The tools, a folder for each toolset and a file for each tool. The machinery around them is [`crate::catalogue`].
//!
//! A file has the argument struct (its doc comments are the descriptions that the model reads, the struct is the input
//! schema), the output struct (the output schema), and [`Tool`](crate::catalogue::Tool). Adding one means that file and its two
//! lines in the `mod.rs` of its toolset; schemas, reference, README table and landing page follow.

mod billing;
mod branches;
mod clusters;
mod database;
mod finder;
mod insight;
mod metrics;
mod network;
mod organization;
mod preflight;
mod recovery;
mod transfer;
mod views;

use serde_json::{Map, Value};

use crate::catalogue::{Called, Catalogue};

/// All of them, in the order in which clients see them.
pub static ALL: Catalogue = Catalogue::new(&[
    clusters::GROUP,
    branches::GROUP,
    database::GROUP,
    insight::GROUP,
    finder::GROUP,
    transfer::GROUP,
    recovery::GROUP,
    billing::GROUP,
    metrics::GROUP,
    organization::GROUP,
    network::GROUP,
]);

/// The tool that a call means. Normalizes its arguments to the tool's schema.
pub fn find(name: &str, arguments: &mut Map<String, Value>) -> Option<Called> {
    ALL.find(name, arguments)
}
