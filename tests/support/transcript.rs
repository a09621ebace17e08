//! Transcripts: prose, then a conversation. `tests/README.md` explains how to write one.
//!
//! ```text
//! << tool {arguments}        what the client calls
//! >> {fields}                what the result must hold: every field given here, others are free
//! >> error CODE words        or: a failed call with this code, whose text holds these words
//! ## address ?readonly=true  the query of the address from here on (?toolsets=all at first)
//! ## key viewer              who calls from here on (owner at first)
//! ## header Name: value      a header field of the calls from here on
//! ## advance 30              let 30 seconds pass
//! ## fault {...}             a fault, as `POST /_sandbox/faults` takes it
//! ## upstream 1              the last call sent this many requests to TiDB Cloud
//! ## upstream POST host/path 200    and one of them was this
//! ## faults none             from here on TiDB Cloud has no trouble any more
//! ```
//!
//! In `>>`, `"$name"` matches anything and is remembered, or matches what was remembered; `"..."` matches anything, and at
//! the end of an array all that is left of it, which is at least one item.
//! In `<<`, `$name` stands for what was remembered. Every transcript runs in every revision.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use libtest_mimic::{Arguments, Trial};
use serde_json::{Value, json};

use super::{Call, Driver, REVISIONS, checkout, request};

/// One file below `tests/transcripts`.
#[derive(Clone)]
pub struct Transcript {
    /// Its path below that folder, without `.txt`: `branches/a_copy_to_work_on`.
    pub name: String,
    /// What it says.
    pub text: String,
}

impl Transcript {
    /// All of them by name, as they lie on the disk: a file is played because it is there.
    pub fn all() -> Vec<Self> {
        let root = checkout().join("tests/transcripts");
        let mut found = Vec::new();
        collect(&root, &root, &mut found);
        assert!(!found.is_empty(), "there are no transcripts in {}", root.display());
        found.sort_by(|one, other| one.name.cmp(&other.name));
        found
    }

    /// Where it lies in the checkout.
    pub fn path(&self) -> String {
        format!("tests/transcripts/{}.txt", self.name)
    }
}

fn collect(root: &Path, folder: &Path, found: &mut Vec<Transcript>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    for path in paths {
        if path.is_dir() {
            collect(root, &path, found);
            continue;
        }
        let name = path.strip_prefix(root).expect("below the folder").with_extension("");
        let name = name.to_string_lossy().replace('\\', "/");
        let ends = path.extension().is_some_and(|extension| extension == "txt");
        assert!(
            ends && name.contains('/'),
            "{} is no transcript: those lie in the folder of their toolset and end in .txt",
            path.display()
        );
        found.push(Transcript { name, text: fs::read_to_string(&path).expect("text") });
    }
}

/// A test program that plays each transcript in each revision, as a test of its own. `play` gets a transcript, a revision,
/// and a number that no other pair has.
pub fn main(play: fn(&Transcript, &str, usize)) {
    let pairs =
        Transcript::all().into_iter().flat_map(|transcript| REVISIONS.map(|revision| (transcript.clone(), revision)));
    let trials = pairs.enumerate().map(|(number, (transcript, revision))| {
        let name = format!("transcripts/{}", transcript.name);
        Trial::test(name, move || {
            play(&transcript, revision, number);
            Ok(())
        })
        .with_kind(revision)
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit();
}

/// Checks for every call, in addition to the transcript's own.
pub trait Judge {
    /// Looks at one answer of `tools/call`; `place` is the line of the transcript.
    fn tool_result(&mut self, place: &str, tool: &str, result: &Value);
}

/// Plays one transcript in one revision; panics where the answer differs.
pub fn run(transcript: &Transcript, revision: &str, driver: &mut impl Driver, judge: &mut impl Judge) {
    let mut player = Player {
        place: String::new(),
        revision,
        who: "owner".to_owned(),
        query: "?toolsets=all".to_owned(),
        headers: Vec::new(),
        remembered: BTreeMap::new(),
        last: None,
        driver,
        judge,
    };
    player.driver.admin("POST", "/_sandbox/reset", None);
    player.driver.admin("DELETE", "/_sandbox/requests", None);
    for (number, line) in transcript.text.lines().enumerate() {
        player.place = format!("{}:{} in {revision}", transcript.path(), number + 1);
        player.line(line);
    }
}

struct Player<'a, D, J> {
    place: String,
    revision: &'a str,
    who: String,
    query: String,
    headers: Vec<(String, String)>,
    remembered: BTreeMap<String, Value>,
    last: Option<Value>,
    driver: &'a mut D,
    judge: &'a mut J,
}

impl<D: Driver, J: Judge> Player<'_, D, J> {
    fn line(&mut self, line: &str) {
        if let Some(call) = line.strip_prefix("<< ") {
            self.call(call);
        } else if let Some(expected) = line.strip_prefix(">> ") {
            self.expect(expected);
        } else if let Some(directive) = line.strip_prefix("## ") {
            self.directive(directive);
        }
    }

    fn call(&mut self, call: &str) {
        let mut call = call.to_owned();
        for (name, value) in self.remembered.iter().rev() {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            call = call.replace(&format!("${name}"), &text);
        }
        let (tool, arguments) = call.split_once(' ').unwrap_or((&call, "{}"));
        let arguments: Value = self.json(arguments);
        self.driver.admin("DELETE", "/_sandbox/requests", None);
        let mut call: Call =
            request(self.revision, &self.who, "tools/call", json!({"name": tool, "arguments": arguments}));
        call.target.push_str(&self.query);
        call.headers.extend(self.headers.iter().cloned());
        let answer = self.driver.send(call);
        let body = String::from_utf8_lossy(&answer.body);
        assert_eq!(
            answer.status, 200,
            "{}: a call of a tool is answered with 200 and a result, not with {body}",
            self.place
        );
        let result = answer.json()["result"].clone();
        assert!(result.is_object(), "{}: the server has no tool {tool}, or refuses the call: {body}", self.place);
        self.judge.tool_result(&self.place, tool, &result);
        self.last = Some(result);
    }

    fn json(&self, text: &str) -> Value {
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{}: {text:?} is not JSON: {error}", self.place))
    }

    fn expect(&mut self, expected: &str) {
        let place = self.place.clone();
        let result = self.last.clone().unwrap_or_else(|| panic!("{place}: `>>` stands before any `<<`"));
        let structured = &result["structuredContent"];
        let failed = result["isError"] == json!(true);
        if let Some(error) = expected.strip_prefix("error ") {
            let (code, words) = error.split_once(' ').unwrap_or((error, ""));
            assert!(failed, "{place}: the transcript expects the error {code}, and the call succeeded: {structured}");
            let error = &structured["error"];
            assert_eq!(error["code"], json!(code), "{place}: the call failed with another code: {error}");
            let text = result["content"][0]["text"].as_str().unwrap_or_default();
            assert!(text.contains(words), "{place}: the error does not say {words:?} but {text:?}");
        } else {
            assert!(!failed, "{place}: the transcript expects a result, and the call failed: {structured}");
            let expected = self.json(expected);
            self.matches(&expected, structured, &place);
        }
    }

    fn matches(&mut self, expected: &Value, actual: &Value, place: &str) {
        match expected {
            Value::String(text) if text == "..." => assert!(!actual.is_null(), "{place} is missing"),
            Value::String(text) if text.starts_with('$') => {
                let name = &text[1..];
                match self.remembered.get(name) {
                    Some(remembered) => {
                        assert_eq!(actual, remembered, "{place} is not what {text} was before (left: the answer)")
                    }
                    None => {
                        assert!(!actual.is_null(), "{place} is missing, so {text} remembers nothing");
                        self.remembered.insert(name.to_owned(), actual.clone());
                    }
                }
            }
            Value::Object(fields) => {
                for (name, value) in fields {
                    let actual = actual.get(name).unwrap_or(&Value::Null);
                    self.matches(value, actual, &format!("{place}.{name}"));
                }
            }
            Value::Array(items) => {
                let actual = actual.as_array().unwrap_or_else(|| panic!("{place} is not an array but {actual}"));
                // The last `"..."` matches one item or more.
                let more = items.last().is_some_and(|last| last == "...") && actual.len() > items.len();
                let actual = if more { &actual[..items.len()] } else { actual.as_slice() };
                assert_eq!(
                    items.len(),
                    actual.len(),
                    "{place} has another number of items than the transcript says: {actual:?}"
                );
                for (index, (item, actual)) in items.iter().zip(actual).enumerate() {
                    self.matches(item, actual, &format!("{place}[{index}]"));
                }
            }
            _ => assert_eq!(expected, actual, "{place} differs (left: the transcript, right: the answer)"),
        }
    }

    fn directive(&mut self, directive: &str) {
        let (verb, rest) = directive.split_once(' ').unwrap_or((directive, ""));
        match verb {
            "address" => rest.clone_into(&mut self.query),
            "key" => self.who = rest.to_owned(),
            "header" => {
                let field = rest.split_once(": ");
                let (name, value) = field.unwrap_or_else(|| panic!("{}: write `## header Name: value`", self.place));
                self.headers.push((name.to_owned(), value.to_owned()));
            }
            "advance" => {
                let seconds =
                    rest.parse().unwrap_or_else(|_| panic!("{}: {rest:?} is no number of seconds", self.place));
                self.driver.advance(seconds);
            }
            "fault" => {
                let fault = self.json(rest);
                self.driver.admin("POST", "/_sandbox/faults", Some(json!({"faults": [fault]})));
            }
            "faults" if rest == "none" => {
                self.driver.admin("DELETE", "/_sandbox/faults", None);
            }
            "upstream" => self.upstream(rest),
            _ => panic!("{}: there is no directive `## {directive}`; tests/README.md lists them", self.place),
        }
    }

    fn upstream(&mut self, expected: &str) {
        let requests = self.driver.admin("GET", "/_sandbox/requests", None);
        let lines: Vec<String> = requests["requests"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|request| {
                let word = |name: &str| request[name].as_str().unwrap_or_default().to_owned();
                format!("{} {}{} {}", word("method"), word("host"), word("path"), request["status"])
            })
            .collect();
        if let Ok(count) = expected.parse::<usize>() {
            assert_eq!(
                lines.len(),
                count,
                "{}: the last call sent another number of requests to TiDB Cloud: {lines:#?}",
                self.place
            );
        } else {
            let sent = lines.iter().any(|line| line == expected);
            assert!(sent, "{}: the last call did not send {expected}; it sent {lines:#?}", self.place);
        }
    }
}
