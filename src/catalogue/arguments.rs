//! The arguments of a call: normalized once before anything judges by them, then read into a tool's struct, with errors
//! that name the argument.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{code, entry::Entry, organizations};
use crate::{
    base::{
        json::{self, Unread},
        strict,
    },
    mcp::outcome::{ToolError, Unadvised},
};

/// Arguments that other servers take, and what to send here instead.
const NOT_TAKEN: &[(&[&str], &str)] = &[
    (&["host", "port"], "The host comes from TiDB Cloud: name the `cluster` and, if need be, the `branch`."),
    (
        &["username", "user", "adminUsername", "adminUser", "sqlUser"],
        "The server logs in with its own SQL users: name the `cluster` and, if need be, the `branch`.",
    ),
    (
        &["password", "adminPassword", "rootPassword", "newPassword", "sqlPassword"],
        "No password ever passes through a tool. A person sets it in the TiDB Cloud console, under SQL Users of the cluster.",
    ),
];

/// Arguments that the workflow product n8n adds to every call.
const HOST_MEMBERS: [&str; 4] = ["toolCallId", "sessionId", "chatInput", "action"];

/// Normalizes the arguments of a call to the tool's schema: null and empty text are left out, and numbers, booleans,
/// arrays and objects may come as text. A value that cannot be read stays as it is: the tool refuses it by name.
pub(super) fn normalize(tool: &Entry, arguments: &mut Map<String, Value>) {
    arguments.retain(|name, value| {
        let schema = tool.argument(name);
        if schema.is_none() && name != organizations::ARGUMENT {
            return !HOST_MEMBERS.contains(&name.as_str());
        }
        if value.is_null() || *value == "" {
            return false;
        }
        if let Some(plain) = schema.and_then(|schema| plain(value, schema)) {
            *value = plain;
        }
        true
    });
}

/// The value that was meant, if another one was written.
fn plain(value: &Value, schema: &Value) -> Option<Value> {
    let kind = kind(schema);
    let written = match value {
        Value::String(_) if kind == "string" => return None,
        Value::String(text) if kind == "boolean" => strict::read(text.to_ascii_lowercase().as_bytes()).ok()?,
        // One text in place of a list.
        Value::String(text) if kind == "array" && !text.trim_start().starts_with('[') => {
            Value::from(vec![text.clone()])
        }
        Value::String(text) => strict::read(text.as_bytes()).ok()?,
        Value::Number(number) => Value::from(number.clone()),
        _ => return None,
    };
    match (kind, &written) {
        ("integer", Value::Number(number)) => whole(number.as_str()).map(Value::from),
        ("integer", _) => None,
        _ => Some(written).filter(|written| is_of(written, kind)),
    }
}

/// An integer of JSON Schema: `10.0` and `1e1` are one, and Rust's readers take neither. Digit by digit: a reader of floating point
/// takes `1e-400` for 0.
/// <https://json-schema.org/draft/2020-12/json-schema-core#section-4.2.1>
fn whole(text: &str) -> Option<i64> {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let (sign, whole) = whole.strip_prefix('-').map_or(("", whole), |whole| ("-", whole));
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_end_matches('0');
    if significant.is_empty() {
        return Some(0);
    }
    // Trailing zeros; if negative, there is a fraction.
    let zeros = i32::try_from(digits.len()).ok()? - i32::try_from(significant.len() + fraction.len()).ok()?;
    let zeros = usize::try_from(exponent.parse::<i32>().ok()?.checked_add(zeros)?).ok()?;
    // The digits of 2^63.
    if zeros > 19 {
        return None;
    }
    format!("{sign}{significant}{}", "0".repeat(zeros)).parse().ok()
}

fn kind(schema: &Value) -> &str {
    schema.get("type").and_then(Value::as_str).unwrap_or_default()
}

/// Whether a value is of a type of JSON Schema.
fn is_of(value: &Value, kind: &str) -> bool {
    match kind {
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => value.is_string(),
    }
}

/// Whether a value is one of those that a schema lists, and within its bounds.
fn is_within(value: &Value, schema: &Value) -> bool {
    let listed = schema.get("enum").and_then(Value::as_array).is_none_or(|values| values.contains(value));
    let bound = |name| schema.get(name).and_then(Value::as_i64);
    let number = value.as_i64();
    let above = number.zip(bound("minimum")).is_none_or(|(number, least)| number >= least);
    listed && above && number.zip(bound("maximum")).is_none_or(|(number, most)| number <= most)
}

/// Reads the normalized arguments of a call.
///
/// # Errors
/// `INVALID_ARGUMENT` that names the argument and what is wrong with it.
pub(super) fn read<T: DeserializeOwned>(schema: &Value, arguments: Map<String, Value>) -> Result<T, ToolError> {
    check(schema, &arguments)?;
    json::from_value(Value::Object(arguments)).map_err(|error| match error {
        Unread::Shape { path, problem, .. } => against_rule(schema, &path, &problem),
        error @ (Unread::Syntax(_) | Unread::Absent) => against_rule(schema, "", &error.to_string()),
    })
}

/// Refuses arguments that are unknown, missing or of the wrong type.
fn check(schema: &Value, arguments: &Map<String, Value>) -> Result<(), ToolError> {
    let properties = schema.get("properties").and_then(Value::as_object);
    let property = |name: &str| properties.and_then(|properties| properties.get(name));
    if let Some(name) = arguments.keys().find(|name| property(name).is_none()) {
        return Err(unknown(name, properties));
    }
    let required = schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    if let Some(name) = required.into_iter().find(|name| !arguments.contains_key(*name)) {
        return Err(invalid(format!("`{name}` is missing.")).hint(advice(name, property(name))));
    }
    for (name, value) in arguments {
        if let Some(schema) = property(name)
            && !is_of(value, kind(schema))
        {
            let message = format!("`{name}` is {}, not {}.", found(value), wanted(schema));
            return Err(invalid(message).hint(advice(name, Some(schema))));
        }
        if let Some(schema) = property(name)
            && !is_within(value, schema)
        {
            let shown = value.as_i64().map_or_else(|| "another value".to_owned(), |number| number.to_string());
            return Err(invalid(format!("`{name}` is {shown}, which it does not take."))
                .hint(format!("Give {}.", wanted(schema))));
        }
    }
    Ok(())
}

/// A value of the right type that a rule refuses. `path` leads to it: `labels.team`, `sql[1]`.
fn against_rule(schema: &Value, path: &str, problem: &str) -> ToolError {
    let name = path.split(['.', '[']).next().unwrap_or_default();
    let schema = schema.get("properties").and_then(|properties| properties.get(name));
    let description = schema.and_then(|schema| schema.get("description")?.as_str()).filter(|text| text.contains(' '));
    let what = description.map_or_else(String::new, |text| format!(": {text}"));
    invalid(format!("`{path}`: {problem}")).hint(format!("Give another `{name}`{what}"))
}

/// Tools that list what an argument can be.
const LISTED_BY: [(&str, &str); 6] = [
    ("cluster", "tidbcloud_list_clusters"),
    ("branch", "tidbcloud_list_branches"),
    ("database", "show_databases"),
    ("backup", "tidbcloud_list_backups"),
    ("member", "tidbcloud_list_members"),
    ("key", "tidbcloud_list_api_keys"),
];

/// How to give an argument, from its schema.
fn advice(name: &str, schema: Option<&Value>) -> String {
    let Some(schema) = schema else { return format!("Change `{name}`.") };
    let description = schema.get("description").and_then(Value::as_str).unwrap_or_default();
    let colon = if description.is_empty() { "" } else { ": " };
    let mut advice = format!("Give `{name}` as {}{colon}{description}", wanted(schema));
    if let Some((_, tool)) = LISTED_BY.iter().find(|(argument, _)| *argument == name) {
        advice.push_str(&format!(". {tool} lists them."));
    }
    advice
}

/// A schema's type, in words.
fn wanted(schema: &Value) -> String {
    let bound = |name| schema.get(name).and_then(Value::as_i64);
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        let values: Vec<_> = values.iter().filter_map(Value::as_str).collect();
        return format!("one of {}", values.join(", "));
    }
    match (kind(schema), bound("minimum"), bound("maximum")) {
        ("integer", Some(least), Some(most)) => format!("a whole number from {least} to {most}"),
        ("integer", Some(least), None) => format!("a whole number from {least}"),
        ("integer", ..) => "a whole number".to_owned(),
        ("number", ..) => "a number".to_owned(),
        ("boolean", ..) => "true or false".to_owned(),
        ("array", ..) => "an array of strings".to_owned(),
        ("object", ..) => "an object".to_owned(),
        _ => "a string".to_owned(),
    }
}

/// A value's type, in words.
fn found(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

fn invalid(message: String) -> Unadvised {
    ToolError::new(code::INVALID_ARGUMENT, message)
}

fn unknown(name: &str, properties: Option<&Map<String, Value>>) -> ToolError {
    let shown: String = name.chars().filter(|character| !character.is_control()).take(64).collect();
    let error = invalid(format!("This tool has no argument `{shown}`."));
    let known: Vec<&str> = properties.into_iter().flat_map(Map::keys).map(String::as_str).collect();
    match NOT_TAKEN.iter().find(|(names, _)| names.contains(&name)) {
        Some((_, instead)) => error.hint(*instead),
        None if known.is_empty() => error.hint("It takes no arguments."),
        None => error.hint(format!("It takes: {}.", known.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::plain;

    /// Types that no tool uses today are read by the same rules.
    #[test]
    fn text_is_read_as_the_kind_that_the_schema_has() {
        let read = |kind: &str, written| plain(&written, &json!({ "type": kind }));
        for (text, meant) in [("true", true), ("False", false), (" TRUE ", true)] {
            assert_eq!(read("boolean", json!(text)), Some(json!(meant)), "{text}");
        }
        for other in [json!("yes"), json!("1"), json!(1), json!("null"), json!("[true]")] {
            assert_eq!(read("boolean", other.clone()), None, "{other}");
        }
        assert_eq!(read("number", json!("10.5")), Some(json!(10.5)));
        assert_eq!(read("number", json!("ten")), None);
        assert_eq!(read("array", json!("[1, \"a\"]")), Some(json!([1, "a"])));
        assert_eq!(read("array", json!("a")), Some(json!(["a"])));
        assert_eq!(read("array", json!("[1")), None);
        assert_eq!(read("object", json!("{\"a\": {\"b\": []}}")), Some(json!({"a": {"b": []}})));
        assert_eq!(read("object", json!("[]")), None);
        assert_eq!(read("string", json!("10")), None);
    }
}
