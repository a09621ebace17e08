//! Checks that every result of every tool must pass.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    support::{fenced, transcript::Judge},
    world::definition,
};

/// Holds every result against the tool's output schema and against its own text.
#[derive(Default)]
pub struct Schemas(BTreeMap<String, jsonschema::Validator>);

impl Judge for Schemas {
    fn tool_result(&mut self, place: &str, tool: &str, result: &Value) {
        let structured = &result["structuredContent"];
        if result["isError"] == Value::Bool(true) {
            let error = &structured["error"];
            for field in ["code", "requestId"] {
                assert!(error[field].is_string(), "{place}: every error has a {field}; this one of {tool} is {error}");
            }
            // What happened, and one thing to do.
            for field in ["message", "hint"] {
                let ends = |text: &str| text.ends_with(['.', '!', '?', '\u{2026}']);
                let is_sentence = error[field].as_str().is_some_and(ends);
                assert!(
                    is_sentence,
                    "{place}: an error's {field} is a sentence with its full stop; {tool} says {error}"
                );
            }
            assert!(
                error["retryable"].is_boolean(),
                "{place}: every error says whether it is retryable; {tool} says {error}"
            );
            return;
        }
        assert_eq!(&fenced(result), structured, "{place}: the text of {tool} says the same as its structured content");
        if let Some(member) = null(structured) {
            panic!(
                "{place}: `{member}` of the result of {tool} is null; leave it out with \
                 `skip_serializing_if = \"Option::is_none\"`: {structured}"
            );
        }
        let validator = self.0.entry(tool.to_owned()).or_insert_with(|| {
            let definition = definition(tool);
            jsonschema::validator_for(&definition.output_schema).expect("a schema")
        });
        if let Err(error) = validator.validate(structured) {
            panic!("{place}: the result of {tool} does not match its output schema ({error}): {structured}");
        }
    }
}

/// A member that is null. A value of a row may be.
fn null(value: &Value) -> Option<&str> {
    match value {
        Value::Object(members) => {
            members.iter().find_map(|(name, value)| if value.is_null() { Some(name.as_str()) } else { null(value) })
        }
        Value::Array(elements) => elements.iter().find_map(null),
        _ => None,
    }
}
