//! Transcripts: prose, then a conversation.
//!
//! ```text
//! << tool {arguments}        what the client calls
//! >> {fields}                what the result must hold: every field given here, others are free
//! >> error CODE words        or: a failed call with this code, whose text holds these words
//! ## key viewer              who calls from here on (owner at first)
//! ## header Name: value      a header field of the calls from here on
//! ## advance 30              let 30 seconds pass
//! ## fault {...}             a fault, as `POST /_sandbox/faults` takes it
//! ## upstream 1              the last call sent this many requests to TiDB Cloud
//! ## upstream POST host/path 200    and one of them was this
//! ## restart                 the isolate forgets everything
//! ```
//!
//! In `>>`, `"$name"` matches anything and is remembered, or matches what was remembered; `"..."` matches anything.
//! In `<<`, `$name` stands for what was remembered. Every transcript runs in every revision.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Call, Driver, request};

/// Checks that hold for every call, whatever the transcript says.
pub trait Judge {
    /// Looks at one answer of `tools/call`.
    fn tool_result(&mut self, tool: &str, result: &Value);
}

/// Runs one transcript in one revision; panics where the answer differs.
pub fn run(name: &str, text: &str, revision: &str, driver: &mut impl Driver, judge: &mut impl Judge) {
    let mut player = Player {
        place: String::new(),
        revision,
        who: "owner".to_owned(),
        headers: Vec::new(),
        remembered: BTreeMap::new(),
        last: None,
        driver,
        judge,
    };
    driver_reset(player.driver);
    for (number, line) in text.lines().enumerate() {
        player.place = format!("{name}:{} in {revision}", number + 1);
        player.line(line);
    }
}

fn driver_reset(driver: &mut impl Driver) {
    driver.admin("POST", "/_sandbox/reset", None);
    driver.admin("DELETE", "/_sandbox/requests", None);
}

struct Player<'a, D, J> {
    place: String,
    revision: &'a str,
    who: String,
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
        let arguments: Value =
            serde_json::from_str(arguments).unwrap_or_else(|error| panic!("{}: {error}: {arguments}", self.place));
        self.driver.admin("DELETE", "/_sandbox/requests", None);
        let mut call: Call =
            request(self.revision, &self.who, "tools/call", json!({"name": tool, "arguments": arguments}));
        call.headers.extend(self.headers.iter().cloned());
        let answer = self.driver.send(call);
        assert_eq!(answer.status, 200, "{}: {}", self.place, String::from_utf8_lossy(&answer.body));
        let result = answer.json()["result"].clone();
        assert!(result.is_object(), "{}: {}", self.place, String::from_utf8_lossy(&answer.body));
        self.judge.tool_result(tool, &result);
        self.last = Some(result);
    }

    fn expect(&mut self, expected: &str) {
        let result = self.last.clone().unwrap_or_else(|| panic!("{}: nothing was called", self.place));
        let failed = result["isError"] == json!(true);
        if let Some(error) = expected.strip_prefix("error ") {
            let (code, words) = error.split_once(' ').unwrap_or((error, ""));
            assert!(failed, "{}: expected {code}, got {}", self.place, result["structuredContent"]);
            let error = &result["structuredContent"]["error"];
            assert_eq!(error["code"], json!(code), "{}: {error}", self.place);
            let text = result["content"][0]["text"].as_str().unwrap_or_default();
            assert!(text.contains(words), "{}: {words:?} is not in {text:?}", self.place);
        } else {
            assert!(!failed, "{}: {}", self.place, result["structuredContent"]);
            let expected: Value =
                serde_json::from_str(expected).unwrap_or_else(|error| panic!("{}: {error}: {expected}", self.place));
            let place = self.place.clone();
            self.matches(&expected, &result["structuredContent"], &place);
        }
    }

    fn matches(&mut self, expected: &Value, actual: &Value, place: &str) {
        match expected {
            Value::String(text) if text == "..." => assert!(!actual.is_null(), "{place}: is missing"),
            Value::String(text) if text.starts_with('$') => {
                let name = &text[1..];
                match self.remembered.get(name) {
                    Some(remembered) => assert_eq!(actual, remembered, "{place}: {text}"),
                    None => {
                        assert!(!actual.is_null(), "{place}: {text} is missing");
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
                let actual = actual.as_array().unwrap_or_else(|| panic!("{place}: {actual} is no array"));
                assert_eq!(items.len(), actual.len(), "{place}: {actual:?}");
                for (index, (item, actual)) in items.iter().zip(actual).enumerate() {
                    self.matches(item, actual, &format!("{place}[{index}]"));
                }
            }
            _ => assert_eq!(expected, actual, "{place}"),
        }
    }

    fn directive(&mut self, directive: &str) {
        let (verb, rest) = directive.split_once(' ').unwrap_or((directive, ""));
        match verb {
            "key" => self.who = rest.to_owned(),
            "header" => {
                let (name, value) = rest.split_once(": ").unwrap_or_else(|| panic!("{}: {rest}", self.place));
                self.headers.push((name.to_owned(), value.to_owned()));
            }
            "advance" => self.driver.advance(rest.parse().unwrap_or_else(|_| panic!("{}: {rest}", self.place))),
            "fault" => {
                let fault: Value = serde_json::from_str(rest).unwrap_or_else(|error| panic!("{}: {error}", self.place));
                self.driver.admin("POST", "/_sandbox/faults", Some(json!({"faults": [fault]})));
            }
            "faults" if rest == "none" => {
                self.driver.admin("DELETE", "/_sandbox/faults", None);
            }
            "upstream" => self.upstream(rest),
            _ => panic!("{}: no such directive: {directive}", self.place),
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
            assert_eq!(lines.len(), count, "{}: {lines:#?}", self.place);
        } else {
            assert!(lines.iter().any(|line| line == expected), "{}: {expected} is not in {lines:#?}", self.place);
        }
    }
}
