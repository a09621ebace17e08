//! JSON Schemas of a tool from its Rust types: draft 2020-12, everything inlined, an object at the root.
//!
//! Clients hand schemas on to model APIs that take only a part of JSON Schema, and a model reads every byte of them.
//! <https://modelcontextprotocol.io/specification/2026-07-28/server/tools#tool>

use schemars::{
    JsonSchema, Schema,
    generate::{Contract, SchemaSettings},
    transform::{Transform, transform_subschemas},
};
use serde_json::{Map, Value, json};

/// The description of `T` (its doc comment), and the schema of the arguments it is deserialized from.
///
/// An `Option` field is one that may be left out: `null` is not offered beside it.
pub(super) fn input_schema<T: JsonSchema>() -> (String, Value) {
    let mut root = generate::<T>(Contract::Deserialize, Input);
    let description = match root.remove("description") {
        Some(Value::String(description)) => description,
        _ => String::new(),
    };
    let members = root.ensure_object();
    match members.get("properties") {
        // A call with another argument fails by its name, so that a model need not read of it in every tool.
        Some(_) => {
            members.remove("additionalProperties");
        }
        // Function calling of OpenAI's kind refuses an object schema without this member.
        None => {
            members.insert("properties".into(), Map::new().into());
        }
    }
    (description, root.to_value())
}

/// The schema of what `T` is serialized to, as `outputSchema`.
///
/// It has no descriptions, no `additionalProperties` and no `required`: a model uses only names and types, and every byte
/// costs it. At the root nothing can be required anyway: `@modelcontextprotocol/sdk` 1.32 checks the `structuredContent`
/// of failed calls against the schema too, and that root has only `error`; so a result must not have a root field of that
/// name.
///
/// A receipt is described in the documentation; here it is an object.
pub(super) fn output_schema<T: JsonSchema>(has_receipt: bool) -> Value {
    let mut schema = generate::<T>(Contract::Serialize, Output).to_value();
    if has_receipt && let Some(properties) = schema.pointer_mut("/properties").and_then(Value::as_object_mut) {
        properties.insert("receipt".to_owned(), json!({ "type": "object" }));
    }
    schema
}

fn generate<T: JsonSchema>(contract: Contract, transform: impl Transform + Clone + Send + 'static) -> Schema {
    let mut settings = SchemaSettings::draft2020_12().with_transform(transform);
    settings.meta_schema = None;
    settings.inline_subschemas = true;
    settings.contract = contract;
    let mut root = settings.into_generator().into_root_schema_for::<T>();
    root.remove("title");
    root
}

/// Makes argument schemas plain.
#[derive(Clone)]
struct Input;

impl Transform for Input {
    fn transform(&mut self, schema: &mut Schema) {
        transform_subschemas(self, schema);
        let Some(members) = schema.as_object_mut() else { return };
        drop_number_format(members);
        drop_null(members);
        constants_to_enum(members);
        if let Some(Value::String(description)) = members.get_mut("description") {
            *description = unwrap_lines(description);
        }
    }
}

/// Makes result schemas short and open.
#[derive(Clone)]
struct Output;

impl Transform for Output {
    fn transform(&mut self, schema: &mut Schema) {
        transform_subschemas(self, schema);
        let Some(members) = schema.as_object_mut() else { return };
        drop_number_format(members);
        members.remove("description");
        members.remove("default");
        if members.get("minimum").is_some_and(|minimum| minimum.as_f64() == Some(0.0)) {
            members.remove("minimum");
        }
        members.remove("additionalProperties");
        // An optional field without a value is left out, so it is never null.
        let required = members.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
        for (name, property) in members.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten() {
            if let Value::Object(property) = property
                && !required.iter().any(|required| required == name)
            {
                drop_null(property);
            }
        }
        members.remove("required");
    }
}

/// `int32`, `uint64`, `double` are formats of Rust types; no JSON Schema vocabulary has them, and strict validators
/// refuse a schema with a format that they do not know.
fn drop_number_format(members: &mut Map<String, Value>) {
    let is_numeric = |format: &str| format.starts_with("int") || format.starts_with("uint") || format == "double";
    if members.get("format").and_then(Value::as_str).is_some_and(|format| is_numeric(format) || format == "float") {
        members.remove("format");
    }
}

/// Removes what `Option` adds: a second type, a null among the values, or an alternative.
fn drop_null(members: &mut Map<String, Value>) {
    if members.get("default") == Some(&Value::Null) {
        members.remove("default");
    }
    if let Some(Value::Array(types)) = members.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            members.insert("type".into(), only);
        }
    }
    if let Some(Value::Array(values)) = members.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    if let Some(Value::Array(alternatives)) = members.get_mut("anyOf") {
        alternatives.retain(|alternative| alternative.get("type").is_none_or(|name| name != "null"));
        if let [Value::Object(only)] = alternatives.as_slice() {
            let only = only.clone();
            members.remove("anyOf");
            for (key, value) in only {
                // The field's own members take precedence over those of its type.
                members.entry(key).or_insert(value);
            }
        }
    }
}

/// Turns a choice of constants, the form of an enum with documented variants, into a plain `enum`.
fn constants_to_enum(members: &mut Map<String, Value>) {
    let Some(Value::Array(choices)) = members.get("oneOf") else { return };
    let constants: Option<Vec<Value>> =
        choices.iter().map(|choice| choice.get("const").filter(|constant| constant.is_string()).cloned()).collect();
    if let Some(constants) = constants {
        members.remove("oneOf");
        members.insert("type".into(), "string".into());
        members.insert("enum".into(), constants.into());
    }
}

/// Joins the lines of a paragraph, which a doc comment breaks at the margin. Blank lines and list items stay.
fn unwrap_lines(text: &str) -> String {
    let mut joined = String::with_capacity(text.len());
    for line in text.lines().map(str::trim) {
        let starts_block = line.is_empty() || line.starts_with("- ") || line.starts_with("* ");
        if !joined.is_empty() {
            joined.push(if starts_block || joined.ends_with('\n') { '\n' } else { ' ' });
        }
        joined.push_str(line);
    }
    joined
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};

    /// Finds things. The first paragraph is
    /// wrapped at the margin.
    ///
    /// - one
    /// - two
    #[derive(Deserialize, JsonSchema)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    #[expect(dead_code, reason = "only its schema is used")]
    struct Arguments {
        /// What to look for,
        /// in any case.
        text: String,
        /// At most this many.
        #[schemars(range(min = 1, max = 100))]
        page_size: Option<u32>,
        /// In which order.
        order: Option<Order>,
        /// Where from.
        #[serde(default)]
        start: Option<Point>,
        /// A property of this name is not a keyword.
        description: Option<String>,
    }

    #[derive(Deserialize, Serialize, JsonSchema)]
    #[serde(rename_all = "snake_case")]
    enum Order {
        Up,
        Down,
    }

    /// A point, says its type.
    #[derive(Deserialize, Serialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Point {
        /// Across.
        x: f64,
    }

    /// What was found.
    #[derive(Serialize, JsonSchema)]
    #[serde(rename_all = "camelCase")]
    struct Found {
        /// All of them.
        points: Vec<Point>,
        names: Vec<String>,
        /// By name.
        labels: BTreeMap<String, String>,
        total_count: u64,
        order: Option<Order>,
        #[serde(skip_serializing_if = "Option::is_none")]
        next_page_token: Option<String>,
        description: String,
    }

    #[test]
    fn arguments() {
        let (description, schema) = input_schema::<Arguments>();
        assert_eq!(description, "Finds things. The first paragraph is wrapped at the margin.\n\n- one\n- two");
        assert_eq!(
            schema,
            json!({
                "type": "object",
                "required": ["text"],
                "properties": {
                    "text": {"type": "string", "description": "What to look for, in any case."},
                    "pageSize": {"type": "integer", "minimum": 1, "maximum": 100, "description": "At most this many."},
                    "order": {"type": "string", "enum": ["up", "down"], "description": "In which order."},
                    "start": {
                        "type": "object",
                        "additionalProperties": false,
                        "required": ["x"],
                        "properties": {"x": {"type": "number", "description": "Across."}},
                        "description": "Where from.",
                    },
                    "description": {"type": "string", "description": "A property of this name is not a keyword."},
                },
            })
        );
    }

    #[test]
    fn results() {
        assert_eq!(
            output_schema::<Found>(true),
            json!({
                "type": "object",
                "properties": {
                    "points": {
                        "type": "array",
                        "items": {"type": "object", "properties": {"x": {"type": "number"}}},
                    },
                    "names": {"type": "array", "items": {"type": "string"}},
                    "labels": {"type": "object"},
                    "totalCount": {"type": "integer"},
                    "order": {"type": ["string", "null"], "enum": ["up", "down", null]},
                    "nextPageToken": {"type": "string"},
                    "description": {"type": "string"},
                    "receipt": {"type": "object"},
                },
            })
        );
    }
}
