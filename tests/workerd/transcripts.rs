//! The same transcripts as natively, over HTTP.

use std::fs;

use serde_json::Value;

use crate::{
    support::{
        REVISIONS,
        transcript::{self, Judge},
    },
    worker::{Worker, Workerd},
};

/// The native run judges results against their schemas; here they only have to be the same.
struct Nothing;

impl Judge for Nothing {
    fn tool_result(&mut self, _tool: &str, _result: &Value) {}
}

#[test]
fn every_transcript_in_every_revision() {
    let folder = crate::support::checkout().join("tests/transcripts");
    let mut files: Vec<_> =
        fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    assert!(files.len() >= 18);
    for (number, path) in files.iter().enumerate() {
        let text = fs::read_to_string(path).expect("text");
        let name = path.file_name().expect("a name").to_string_lossy();
        for (variant, revision) in REVISIONS.iter().enumerate() {
            let mut driver = Workerd { origin: Worker::shared(), address: format!("198.51.{variant}.{number}") };
            transcript::run(&name, &text, revision, &mut driver, &mut Nothing);
            println!("{name} in {revision}");
        }
    }
}
