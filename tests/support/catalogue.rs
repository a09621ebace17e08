//! The tools as they are committed, for tests that cannot ask the code: the suite `catalogue` holds the files to it.

use std::{fs, sync::OnceLock};

use serde_json::Value;

use super::checkout;

/// One file a tool.
pub const FOLDER: &str = "tests/snapshots/tools";

/// The definitions of all tools, by name.
pub fn tools() -> &'static [Value] {
    static TOOLS: OnceLock<Vec<Value>> = OnceLock::new();
    TOOLS.get_or_init(|| {
        let folder = checkout().join(FOLDER);
        let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
        paths.sort();
        let read = |path: &std::path::PathBuf| {
            serde_json::from_str(&fs::read_to_string(path).expect("text"))
                .unwrap_or_else(|error| panic!("{} is not JSON: {error}", path.display()))
        };
        paths.iter().map(read).collect()
    })
}

/// The target of a call of this tool: the plain address if it is listed there, else the one that lists every toolset.
pub fn home(name: &str) -> &'static str {
    static LISTED: OnceLock<Vec<String>> = OnceLock::new();
    let listed = LISTED.get_or_init(|| {
        let path = checkout().join("tests/cases/catalogue.tsv");
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let rows = text.lines().map(|line| line.split('\t').collect::<Vec<_>>());
        rows.filter(|row| row[1] == "yes").map(|row| row[3].to_owned()).collect()
    });
    if listed.iter().any(|one| one == name) { "/mcp" } else { "/mcp?toolsets=all" }
}

/// The names of those that are listed where an address names no toolset.
pub fn listed() -> Vec<&'static str> {
    names().into_iter().filter(|name| home(name) == "/mcp").collect()
}

/// Their names.
pub fn names() -> Vec<&'static str> {
    tools().iter().map(|tool| tool["name"].as_str().expect("a name")).collect()
}
