//! The tools, a folder for each toolset and a file for each tool. The machinery around them is [`crate::catalogue`].
//!
//! A file has the argument struct (its doc comments are the descriptions that the model reads, the struct is the input
//! schema), the output struct (the output schema), and [`Tool`](crate::catalogue::Tool). Adding one means that file and its two
//! lines in the `mod.rs` of its toolset; schemas, reference, README table and landing page follow.

mod branches;
mod clusters;
mod database;
mod organization;
mod views;

use serde_json::{Map, Value};

use crate::catalogue::{Catalogue, Entry};

/// All of them, in the order in which clients see them.
pub static ALL: Catalogue = Catalogue::new(&[organization::GROUP, clusters::GROUP, branches::GROUP, database::GROUP]);

/// The tool of this name. Normalizes the arguments of the call to its schema.
pub fn find(name: &str, arguments: &mut Map<String, Value>) -> Option<&'static Entry> {
    ALL.find(name, arguments)
}
