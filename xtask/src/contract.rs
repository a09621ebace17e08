//! `cargo xtask contract DIR`: derives `contract/*.json` from the Swagger 2.0 files of TiDB Cloud's API.
//!
//! It keeps the facts that bind a client or a server: paths, verbs, parameters, fields, types, enums, patterns, limits,
//! required lists, read-only flags. It drops prose. Paths are written whole, base path included, and an `allOf` of one
//! reference (how the originals attach `readOnly` to a reference) becomes the reference itself. `operations.json` lists all
//! other operations, by method, path and name.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use serde_json::{Map, Value, json};

/// One contract file.
struct Source {
    /// File name in the directory of originals.
    original: &'static str,
    /// File name in `contract/`.
    contract: &'static str,
    /// The host, if the original names none.
    host: &'static str,
    /// Starts of the paths that are taken; none means all.
    only: &'static [&'static str],
}

/// Published files, and those that come with the sources of PingCAP's command line client and hold operations that are not
/// published. That of Premium is its published description in the client's copy, with shorter prose.
const SOURCES: &[Source] = &[
    Source {
        original: "published-v1beta1-serverless.swagger.json",
        contract: "serverless.json",
        host: "serverless.tidbapi.com",
        only: &[],
    },
    Source { original: "published-v1beta1-iam.swagger.json", contract: "iam.json", host: "iam.tidbapi.com", only: &[] },
    Source {
        original: "cli-v1beta1-iam.swagger.json",
        contract: "iam-client.json",
        host: "iam.tidbapi.com",
        only: &["/v1beta1/clusters/{clusterId}/sqlUsers", "/v1beta1/projects"],
    },
    Source {
        original: "published-v1beta1-billing.swagger.json",
        contract: "billing.json",
        host: "billing.tidbapi.com",
        only: &[],
    },
    Source {
        original: "cli-v1beta1-serverless-export.swagger.json",
        contract: "serverless-export-client.json",
        host: "serverless.tidbapi.com",
        only: &[],
    },
    Source {
        original: "cli-v1beta1-serverless-import.swagger.json",
        contract: "serverless-import-client.json",
        host: "serverless.tidbapi.com",
        only: &[],
    },
    Source {
        original: "cli-v1beta1-serverless-br.swagger.json",
        contract: "serverless-backup-client.json",
        host: "serverless.tidbapi.com",
        only: &[],
    },
    Source {
        original: "cli-v1beta1-serverless-branch.swagger.json",
        contract: "serverless-branch-client.json",
        host: "serverless.tidbapi.com",
        only: &[],
    },
    Source {
        original: "premium-v1beta2-nextgen.condensed.swagger.json",
        contract: "premium.json",
        host: "cloud.tidbapi.com",
        only: &[],
    },
    Source {
        original: "published-v1beta1-dedicated.swagger.json",
        contract: "dedicated.json",
        host: "dedicated.tidbapi.com",
        only: &[],
    },
];

/// Schema words that are kept as they are.
const KEPT: [&str; 14] = [
    "type",
    "format",
    "enum",
    "pattern",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "required",
    "readOnly",
    "x-nullable",
    "default",
    "collectionFormat",
    "$ref",
];

/// Reads the originals in `dir` and writes the contract files to `out`.
///
/// # Errors
/// A file that cannot be read, parsed or written, or an `allOf` that is more than one reference.
pub(crate) fn run(dir: &Path, out: &Path) -> Result<(), String> {
    for source in SOURCES {
        let path = dir.join(source.original);
        let text = fs::read_to_string(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        let original = serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
        let contract = derive(&original, source).map_err(|error| format!("{}: {error}", path.display()))?;
        let target = out.join(source.contract);
        fs::write(&target, render(&contract)).map_err(|error| format!("cannot write {}: {error}", target.display()))?;
    }
    let target = out.join("operations.json");
    let index = index(dir)?;
    fs::write(&target, render(&index)).map_err(|error| format!("cannot write {}: {error}", target.display()))
}

/// Every operation of every original that names its host, with the name that the original has for it, if any: what a
/// sandbox can tell from a path that does not exist. Published files come first, so theirs is the path that counts where
/// another file names a parameter otherwise.
fn index(dir: &Path) -> Result<Value, String> {
    let unreadable = |error| format!("cannot read {}: {error}", dir.display());
    let entries = fs::read_dir(dir).map_err(unreadable)?.collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
    let named = |path: &Path, end: &str| path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(end));
    let mut files: Vec<_> =
        entries.iter().map(fs::DirEntry::path).filter(|path| named(path, ".swagger.json")).collect();
    let published = |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("published-"));
    files.sort_by_key(|path| (!published(path), path.clone()));
    let mut operations = BTreeMap::new();
    for path in files {
        let text = fs::read_to_string(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        let original: Value = serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
        add_operations(&original, &mut operations);
    }
    Ok(json!({ "operations": operations.into_values().collect::<Vec<_>>() }))
}

/// Adds the operations of one original by host, method and path; the names of path parameters do not count.
fn add_operations(original: &Value, operations: &mut BTreeMap<(String, String, String), Value>) {
    const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];
    let Some(host) = original.get("host").and_then(Value::as_str) else { return };
    let base = original.get("basePath").and_then(Value::as_str).unwrap_or_default().trim_end_matches('/');
    for (path, item) in original.get("paths").and_then(Value::as_object).into_iter().flatten() {
        for (verb, operation) in item.as_object().into_iter().flatten() {
            if !METHODS.contains(&verb.as_str()) {
                continue;
            }
            let (method, path) = (verb.to_ascii_uppercase(), format!("{base}{path}"));
            let nameless = path.split('/').map(|part| match part.split_once('}') {
                Some((_, verb)) if part.starts_with('{') => format!("{{}}{verb}"),
                _ => part.to_owned(),
            });
            let key = (host.to_owned(), nameless.collect::<Vec<_>>().join("/"), method.clone());
            let entry = operations.entry(key).or_insert(json!({ "host": host, "method": method, "path": path }));
            // A later file may have the name that an earlier one left out.
            if let (Some(fields), Some(id)) = (entry.as_object_mut(), operation.get("operationId")) {
                fields.entry("id").or_insert_with(|| id.clone());
            }
        }
    }
}

/// `{host, operations: [{method, path, parameters, responses}], definitions}`.
fn derive(original: &Value, source: &Source) -> Result<Value, String> {
    let host = original.get("host").and_then(Value::as_str).unwrap_or(source.host);
    let base = original.get("basePath").and_then(Value::as_str).unwrap_or_default().trim_end_matches('/');
    let paths = original.get("paths").and_then(Value::as_object).ok_or("it has no `paths`")?;
    let mut operations = Vec::new();
    for (path, item) in paths {
        if !source.only.is_empty() && !source.only.iter().any(|start| path.starts_with(start)) {
            continue;
        }
        for (verb, operation) in item.as_object().into_iter().flatten() {
            let parameters = list(operation, "parameters").map(parameter).collect::<Result<Vec<_>, _>>()?;
            let mut responses = Map::new();
            for (status, response) in operation.get("responses").and_then(Value::as_object).into_iter().flatten() {
                responses.insert(status.clone(), response.get("schema").map_or(Ok(json!({})), schema)?);
            }
            operations.push(json!({
                "method": verb.to_ascii_uppercase(),
                "path": format!("{base}{path}"),
                "parameters": parameters,
                "responses": responses,
            }));
        }
    }
    let mut wanted = BTreeSet::new();
    references(&Value::Array(operations.clone()), &mut wanted);
    let definitions = definitions(original, wanted)?;
    Ok(json!({ "host": host, "operations": operations, "definitions": definitions }))
}

/// The definitions that the operations reach.
fn definitions(original: &Value, mut wanted: BTreeSet<String>) -> Result<BTreeMap<String, Value>, String> {
    let mut reached = BTreeMap::new();
    while let Some(name) = wanted.pop_first() {
        if reached.contains_key(&name) {
            continue;
        }
        let definition =
            original.get("definitions").and_then(|all| all.get(&name)).ok_or(format!("no definition {name}"))?;
        let derived = schema(definition)?;
        references(&derived, &mut wanted);
        reached.insert(name, derived);
    }
    Ok(reached)
}

/// Names of the definitions that `value` refers to.
fn references(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match field {
                    Value::String(target) if name == "$ref" => {
                        names.insert(target.trim_start_matches("#/definitions/").to_owned());
                    }
                    _ => references(field, names),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, names)),
        _ => {}
    }
}

/// The elements of the array `name`, none if it is absent.
fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

/// A parameter: its place, and what is known of its value. The body's schema stays below `schema`.
fn parameter(original: &Value) -> Result<Value, String> {
    let mut derived = schema(original)?;
    if let Some(fields) = derived.as_object_mut() {
        for word in ["name", "in"] {
            fields.insert(word.to_owned(), original.get(word).cloned().ok_or(format!("a parameter without `{word}`"))?);
        }
        if let Some(body) = original.get("schema") {
            fields.insert("schema".to_owned(), schema(body)?);
        }
    }
    Ok(derived)
}

/// A limit or default of an integer that the original writes as a text.
fn number(original: &Value, value: &Value) -> Option<Value> {
    let integer = original.get("type").and_then(Value::as_str) == Some("integer");
    value.as_str().filter(|_| integer)?.parse::<i64>().ok().map(Value::from)
}

/// A schema without its prose.
fn schema(original: &Value) -> Result<Value, String> {
    let mut derived = Map::new();
    for word in KEPT {
        if let Some(value) = original.get(word) {
            derived.insert(word.to_owned(), number(original, value).unwrap_or_else(|| value.clone()));
        }
    }
    if let Some(parts) = original.get("allOf") {
        match parts.as_array().map(Vec::as_slice) {
            Some([only]) => derived.extend(schema(only)?.as_object().cloned().unwrap_or_default()),
            _ => return Err("an `allOf` that is not one reference".to_owned()),
        }
    }
    if derived.contains_key("$ref") {
        derived.remove("type");
    }
    if let Some(fields) = original.get("properties").and_then(Value::as_object) {
        let fields = fields.iter().map(|(name, field)| Ok((name.clone(), schema(field)?)));
        derived.insert("properties".to_owned(), Value::Object(fields.collect::<Result<_, String>>()?));
    }
    for word in ["items", "additionalProperties"] {
        match original.get(word) {
            Some(below @ Value::Object(_)) => {
                derived.insert(word.to_owned(), schema(below)?);
            }
            Some(plain) => {
                derived.insert(word.to_owned(), plain.clone());
            }
            None => {}
        }
    }
    Ok(Value::Object(derived))
}

/// Columns that a value may take on one line.
const WIDTH: usize = 118;

/// JSON with short values on one line, so that a change of one field is a change of one line.
fn render(contract: &Value) -> String {
    let mut text = String::new();
    write(contract, 0, 0, &mut text);
    text.push('\n');
    text
}

/// Writes `value`, whose line begins `indent` columns in and is `used` columns long already.
fn write(value: &Value, indent: usize, used: usize, text: &mut String) {
    let compact = value.to_string();
    if indent > 0 && indent + used + compact.len() <= WIDTH {
        text.push_str(&compact);
        return;
    }
    let inner = indent + 1;
    match value {
        Value::Object(fields) => {
            text.push('{');
            for (index, (name, field)) in fields.iter().enumerate() {
                let label = format!("{}: ", Value::String(name.clone()));
                text.push_str(if index == 0 { "\n" } else { ",\n" });
                text.push_str(&" ".repeat(inner));
                text.push_str(&label);
                write(field, inner, label.len(), text);
            }
            text.push('\n');
            text.push_str(&" ".repeat(indent));
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                text.push_str(if index == 0 { "\n" } else { ",\n" });
                text.push_str(&" ".repeat(inner));
                write(item, inner, 0, text);
            }
            text.push('\n');
            text.push_str(&" ".repeat(indent));
            text.push(']');
        }
        _ => text.push_str(&compact),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::{Source, add_operations, derive, render};

    const SOURCE: Source = Source { original: "", contract: "", host: "h.example", only: &["/things"] };

    #[test]
    fn keeps_the_facts_and_drops_the_prose() {
        let original = json!({
            "basePath": "/v1",
            "paths": {
                "/things/{id}": { "get": {
                    "summary": "prose", "description": "prose", "operationId": "prose", "tags": ["prose"],
                    "parameters": [{ "name": "id", "in": "path", "required": true, "type": "string", "description": "prose", "example": "prose" },
                        { "name": "size", "in": "query", "type": "integer", "maximum": "100", "default": "10" }],
                    "responses": { "200": { "description": "prose", "schema": { "$ref": "#/definitions/Thing" } }, "204": { "description": "prose" } },
                } },
                "/others": { "get": { "responses": {} } },
            },
            "definitions": {
                "Thing": { "type": "object", "title": "prose", "required": ["description"], "properties": {
                    "description": { "type": "string", "description": "prose", "pattern": "^a$" },
                    "state": { "description": "prose", "readOnly": true, "allOf": [{ "$ref": "#/definitions/State" }] },
                } },
                "State": { "type": "string", "enum": ["ON"], "description": "prose" },
                "Unreached": { "type": "string" },
            },
        });
        let contract = derive(&original, &SOURCE).unwrap();
        assert_eq!(
            contract,
            json!({
                "host": "h.example",
                "operations": [{
                    "method": "GET",
                    "path": "/v1/things/{id}",
                    "parameters": [
                        { "name": "id", "in": "path", "required": true, "type": "string" },
                        { "name": "size", "in": "query", "type": "integer", "maximum": 100, "default": 10 },
                    ],
                    "responses": { "200": { "$ref": "#/definitions/Thing" }, "204": {} },
                }],
                "definitions": {
                    "State": { "type": "string", "enum": ["ON"] },
                    "Thing": { "type": "object", "required": ["description"], "properties": {
                        "description": { "type": "string", "pattern": "^a$" },
                        "state": { "readOnly": true, "$ref": "#/definitions/State" },
                    } },
                },
            })
        );
        let text = render(&contract);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), contract);
        assert!(text.lines().count() > 8 && text.lines().all(|line| line.len() <= 130), "{text}");
    }

    #[test]
    fn an_operation_is_listed_once_under_the_first_path_that_names_it() {
        let mut operations = BTreeMap::new();
        let get = |id: Option<&str>| json!({ "get": id.map_or(json!({}), |id| json!({ "operationId": id })), "parameters": [] });
        let first =
            json!({ "host": "h.example", "basePath": "/v1", "paths": { "/things/{thing.id}:stop": get(None) } });
        let second = json!({ "host": "h.example", "paths": { "/v1/things/{id}:stop": get(Some("Stop")), "/v1/more": get(None) } });
        for original in [first, second, json!({ "paths": { "/hostless": get(None) } })] {
            add_operations(&original, &mut operations);
        }
        let listed: Vec<_> = operations.into_values().collect();
        assert_eq!(
            listed,
            [
                json!({ "host": "h.example", "method": "GET", "path": "/v1/more" }),
                json!({ "host": "h.example", "method": "GET", "path": "/v1/things/{thing.id}:stop", "id": "Stop" }),
            ]
        );
    }

    #[test]
    fn refuses_what_it_cannot_flatten() {
        let original = json!({ "paths": { "/things": { "get": { "responses": { "200": { "schema":
            { "allOf": [{ "$ref": "#/definitions/A" }, { "$ref": "#/definitions/B" }] } } } } } } });
        assert!(derive(&original, &SOURCE).is_err());
    }
}
