//! An example of each tool: a call and its answer, as a transcript has them.

use mcp_server_tidbcloud::catalogue::Entry;
use serde_json::Value;

use crate::support::transcript::Transcript;

/// A call that succeeds.
pub struct Example {
    /// The parameters of `tools/call`, as JSON.
    pub call: String,
    /// What the transcript states of the result.
    pub answer: String,
}

/// The example of a tool: of the calls that succeed in the folder of its toolset, before a transcript's first fault, the one
/// whose answer states most. That is the one with most fields that hold a value, then the one with most values; of several,
/// the first.
///
/// # Errors
/// There is none. The text says where to write one.
pub fn of(tool: &Entry) -> Result<Example, String> {
    let (name, folder) = (tool.name(), tool.toolset.name());
    let mut best: Option<((usize, usize), Example)> = None;
    for transcript in Transcript::all().iter().filter(|one| one.name.starts_with(&format!("{folder}/"))) {
        let mut arguments = None;
        // What a call answers with in trouble is no example.
        let usual = transcript.text.lines().take_while(|line| !line.starts_with("## fault "));
        for line in usual {
            if let Some(call) = line.strip_prefix("<< ") {
                let (called, given) = call.split_once(' ').unwrap_or((call, "{}"));
                arguments = (called == name).then_some(given);
                continue;
            }
            let answer = line.strip_prefix(">> ").filter(|answer| answer.starts_with('{'));
            let Some((arguments, answer)) = arguments.zip(answer) else { continue };
            let said = said(answer);
            if said > best.as_ref().map_or((0, 0), |(most, _)| *most) {
                let call = format!(r#"{{"name": "{name}", "arguments": {arguments}}}"#);
                best = Some((said, Example { call, answer: answer.to_owned() }));
            }
        }
    }
    best.map(|(_, example)| example).ok_or_else(|| {
        format!(
            "`{name}` has no example: write a call of it that succeeds into a transcript in tests/transcripts/{folder}, before any \
             fault, with a `>>` line that states values, not only `...` and `$name`"
        )
    })
}

/// The fields of an answer that hold a value, and its values.
fn said(answer: &str) -> (usize, usize) {
    let answer: Value = serde_json::from_str(answer).unwrap_or_else(|error| panic!("{answer} is not JSON: {error}"));
    let fields = answer.as_object().into_iter().flat_map(|fields| fields.values());
    (fields.filter(|field| values(field) > 0).count(), values(&answer))
}

/// Values that the transcript writes out.
fn values(value: &Value) -> usize {
    match value {
        Value::Null => 0,
        Value::String(text) if text == "..." || text.starts_with('$') => 0,
        Value::Array(items) => items.iter().map(values).sum(),
        Value::Object(fields) => fields.values().map(values).sum(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => 1,
    }
}

/// JSON for a document: what is longer than a line of 100 characters has each member in a line of its own.
pub fn spread(json: &str) -> String {
    spread_after(json, 0, 0)
}

/// The same for a value that stands after `taken` characters, in a line indented by `indent`.
fn spread_after(json: &str, indent: usize, taken: usize) -> String {
    const WIDTH: usize = 100;
    let Some((open, inner)) = json.split_at_checked(1).filter(|(open, _)| ["{", "["].contains(open)) else {
        return json.to_owned();
    };
    if taken + json.chars().count() <= WIDTH {
        return json.to_owned();
    }
    let (inner, close) = inner.split_at(inner.len() - 1);
    let within = indent + 2;
    let lines = members(inner).into_iter().map(|member| {
        let (key, value) = match member.split_once("\": ").filter(|_| open == "{") {
            Some((key, value)) => (format!("{key}\": "), value),
            None => (String::new(), member),
        };
        let value = spread_after(value, within, within + key.chars().count());
        format!("{:within$}{key}{value}", "")
    });
    format!("{open}\n{}\n{:indent$}{close}", lines.collect::<Vec<_>>().join(",\n"), "")
}

/// What stands between commas, but for those within members and texts.
fn members(inner: &str) -> Vec<&str> {
    let (mut depth, mut is_text, mut is_escaped) = (0, false, false);
    let parts = inner.split(|character: char| {
        let is_comma = character == ',' && depth == 0 && !is_text;
        match character {
            _ if is_escaped => {}
            '"' => is_text = !is_text,
            '[' | '{' if !is_text => depth += 1,
            ']' | '}' if !is_text => depth -= 1,
            _ => {}
        }
        is_escaped = is_text && character == '\\' && !is_escaped;
        is_comma
    });
    parts.map(str::trim).collect()
}

#[test]
fn json_is_spread_over_lines_where_it_is_long() {
    assert_eq!(spread(r#"{"rows": [["1"]]}"#), r#"{"rows": [["1"]]}"#, "what fits into a line stays one");
    let long = "x".repeat(95);
    let json = format!(r#"{{"sql": "SELECT '\", {{'", "rows": [["{long}"], ["b", {{}}]]}}"#);
    let lines = format!(
        r#"{{
  "sql": "SELECT '\", {{'",
  "rows": [
    [
      "{long}"
    ],
    ["b", {{}}]
  ]
}}"#
    );
    assert_eq!(spread(&json), lines, "each member has its line, and what is short stays together");
}
