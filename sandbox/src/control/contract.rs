//! TiDB Cloud's API as data: `contract/*.json`, and checks of requests and answers against it.
//!
//! The table of services says which file describes which service. `sql-gateway.json` is written by hand: no description of
//! SQL over HTTP is published, so it describes what the npm driver `@tidbcloud/serverless` sends and reads.

use std::{
    collections::BTreeMap,
    sync::{LazyLock, Mutex, PoisonError},
};

use regex::Regex;
use serde::Deserialize;
use serde_json::{Map, Value};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    address::{percent_decode, split_query},
    answers::{ErrorShape, RPC},
    services::{self, Protocol, SERVICES, Service},
};

/// Fields that are accepted and never given back. Swagger 2.0 has a word for read-only fields, none for these.
const INPUT_ONLY: [&str; 1] = ["rootPassword"];

/// The error body that the API gateway itself sends, for every API.
const GATEWAY_STATUSES: [u16; 2] = [401, 429];

/// Where a description comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Origin {
    /// The published Swagger files.
    #[default]
    Published,
    /// PingCAP's command line client, which has operations and fields that are not published.
    Client,
    /// Written by hand.
    ByHand,
}

/// One file of `contract/`.
#[derive(Deserialize)]
struct File {
    /// That of its service.
    host: String,
    #[serde(skip)]
    origin: Origin,
    operations: Vec<Operation>,
    definitions: BTreeMap<String, Schema>,
}

/// A verb on a path.
#[derive(Deserialize)]
pub(super) struct Operation {
    method: String,
    /// The whole path, with `{name}` for parameters.
    pub(super) path: String,
    parameters: Vec<Parameter>,
    responses: BTreeMap<String, Schema>,
}

/// A parameter of an operation.
#[derive(Deserialize)]
struct Parameter {
    name: String,
    #[serde(rename = "in")]
    place: String,
    #[serde(default)]
    required: bool,
    #[serde(rename = "type")]
    kind: Option<String>,
    format: Option<String>,
    #[serde(rename = "enum")]
    allowed: Option<Vec<String>>,
    minimum: Option<i64>,
    maximum: Option<i64>,
    schema: Option<Schema>,
}

/// The words of a Swagger 2.0 schema that the contract keeps.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Schema {
    #[serde(rename = "type")]
    kind: Option<String>,
    format: Option<String>,
    #[serde(rename = "enum")]
    allowed: Option<Vec<Value>>,
    pattern: Option<String>,
    min_length: Option<usize>,
    max_length: Option<usize>,
    minimum: Option<i64>,
    maximum: Option<i64>,
    required: Vec<String>,
    read_only: bool,
    #[serde(rename = "x-nullable")]
    nullable: bool,
    properties: Option<BTreeMap<String, Schema>>,
    additional_properties: Option<Box<Schema>>,
    items: Option<Box<Schema>>,
    #[serde(rename = "$ref")]
    reference: Option<String>,
}

/// Every operation of every published or official client's file, simulated or not, without its shapes.
const OPERATIONS: &str = include_str!("../../../contract/operations.json");

/// An entry of `operations.json`.
#[derive(Deserialize)]
struct Entry {
    host: String,
    method: String,
    path: String,
    /// `operationId`; some files have none.
    id: Option<String>,
}

/// All entries. A test holds that they parse.
static ENTRIES: LazyLock<Vec<Entry>> = LazyLock::new(|| {
    let mut index: BTreeMap<String, Vec<Entry>> = serde_json::from_str(OPERATIONS).unwrap_or_default();
    index.remove("operations").unwrap_or_default()
});

/// TiDB Cloud's operation at a path, simulated or not.
pub(super) enum Known {
    /// This operation, by its name where it has one, method and path.
    Operation(String),
    /// Operations with other methods.
    OtherVerb,
    /// Nothing.
    Nothing,
}

/// Looks a request up among all operations; `path` has no query.
pub(super) fn known(host: &str, method: &str, path: &str) -> Known {
    let mut there =
        ENTRIES.iter().filter(|entry| entry.host == host && parameters(&entry.path, path).is_some()).peekable();
    if there.peek().is_none() {
        return Known::Nothing;
    }
    match there.find(|entry| entry.method == method) {
        Some(Entry { id: Some(id), path, .. }) => Known::Operation(format!("{id} ({method} {path})")),
        Some(Entry { id: None, path, .. }) => Known::Operation(format!("{method} {path}")),
        None => Known::OtherVerb,
    }
}

/// All operations: host, method, path, and whether the published files describe them, or an official client's alone; `None`
/// where no file of `contract/` has their shapes.
pub(super) fn all() -> impl Iterator<Item = (&'static str, &'static str, &'static str, Option<bool>)> {
    ENTRIES.iter().map(|Entry { host, method, path, .. }| {
        let files = FILES.iter().filter(|file| file.host == *host);
        let described = files.filter(|file| {
            file.operations.iter().any(|operation| operation.method == *method && operation.path == *path)
        });
        let origins: Vec<Origin> = described.map(|file| file.origin).collect();
        let is_published = (!origins.is_empty()).then(|| origins.contains(&Origin::Published));
        (host.as_str(), method.as_str(), path.as_str(), is_published)
    })
}

/// The path with `{name}` for parameters of the operation that a request addresses; the most literal one of several.
pub fn template(host: &str, method: &str, target: &str) -> Option<&'static str> {
    let (path, _) = split_query(target);
    let entries = ENTRIES.iter().filter(|entry| entry.host == host && entry.method == method);
    let found = entries.filter_map(|entry| Some((parameters(&entry.path, path)?.len(), entry.path.as_str())));
    found.min().map(|(_, path)| path)
}

/// The files of all services, read. A test holds that each of them parses.
static FILES: LazyLock<Vec<File>> = LazyLock::new(|| {
    let texts = SERVICES.iter().flat_map(|service| service.contract);
    texts.filter_map(|(origin, text)| Some(File { origin: *origin, ..serde_json::from_str(text).ok()? })).collect()
});

impl File {
    /// Follows a reference to a definition.
    fn resolve<'a>(&'a self, schema: &'a Schema) -> Result<&'a Schema, String> {
        match &schema.reference {
            None => Ok(schema),
            Some(reference) => {
                let name = reference.trim_start_matches("#/definitions/");
                self.definitions.get(name).ok_or(format!("the contract has no definition `{name}`"))
            }
        }
    }
}

/// An operation that a request addresses, as one file describes it.
pub(super) struct Found {
    file: &'static File,
    pub(super) operation: &'static Operation,
    /// Path parameters, percent-decoded.
    pub(super) parameters: BTreeMap<String, String>,
}

/// Matches a path against a template; `None` if they differ.
fn parameters(template: &str, path: &str) -> Option<BTreeMap<String, String>> {
    let (mut names, mut parts) = (template.split('/'), path.split('/'));
    let mut found = BTreeMap::new();
    loop {
        match (names.next(), parts.next()) {
            (None, None) => return Some(found),
            (Some(name), Some(part)) => match name.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
                None if name == part => {}
                None => return None,
                Some((name, verb)) => {
                    let value = part.strip_suffix(verb)?;
                    // `:` begins a custom verb (google.api.http), so a bare parameter does not swallow one.
                    if value.is_empty() || value.contains(':') {
                        return None;
                    }
                    found.insert(name.to_owned(), percent_decode(value)?);
                }
            },
            _ => return None,
        }
    }
}

/// The operation for a request to `service` in each file that describes it, in their order; `path` has no query.
pub(super) fn find(service: &Service, method: &str, path: &str) -> Vec<Found> {
    let files = FILES.iter().filter(|file| file.host == service.host);
    let operations = files.flat_map(|file| file.operations.iter().map(move |operation| (file, operation)));
    let found = operations.filter(|(_, operation)| operation.method == method);
    found
        .filter_map(|(file, operation)| Some(Found { file, operation, parameters: parameters(&operation.path, path)? }))
        .collect()
}

/// The operations of `service` that some file lists, by method and path: with their shapes or by name alone.
#[cfg(test)]
pub(super) fn operations(service: &Service) -> std::collections::BTreeSet<(&'static str, &'static str)> {
    let described = FILES.iter().filter(|file| file.host == service.host).flat_map(|file| &file.operations);
    let described = described.map(|operation| (operation.method.as_str(), operation.path.as_str()));
    let listed = ENTRIES.iter().filter(|entry| entry.host == service.host);
    described.chain(listed.map(|entry| (entry.method.as_str(), entry.path.as_str()))).collect()
}

/// What a request is held to beyond types.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// As the service reads it (protojson): read-only fields and nulls are ignored.
    Server,
    /// As a client should write it: no read-only field.
    Client,
    /// As an answer should be: no input-only field.
    Answer,
}

impl Found {
    /// Where the description comes from.
    pub(super) fn origin(&self) -> Origin {
        self.file.origin
    }

    /// The schema of the body, where there is one.
    fn body_schema(&self) -> Option<&'static Schema> {
        self.operation.parameters.iter().find(|parameter| parameter.place == "body")?.schema.as_ref()
    }

    /// Reads a body as the service does: unknown fields and wrong values are refused, read-only fields and nulls dropped.
    pub(super) fn read_body(&self, mut body: Value) -> Result<Map<String, Value>, String> {
        if let Some(schema) = self.body_schema() {
            if body.is_null() && schema.kind.as_deref() == Some("array") {
                // The official client, in Go, writes an empty list so.
                body = Value::Array(Vec::new());
            }
            validate(self.file, schema, &mut body, Rule::Server, "")?;
        }
        match body {
            Value::Object(fields) => Ok(fields),
            // A list, by the name that the description gives the body.
            Value::Array(_) => {
                let name = self.operation.parameters.iter().find(|parameter| parameter.place == "body");
                Ok(Map::from_iter(name.map(|parameter| (parameter.name.clone(), body))))
            }
            _ => Err("the body is not a JSON object".to_owned()),
        }
    }

    /// Whether the operation takes a body.
    pub(super) fn takes_body(&self) -> bool {
        self.body_schema().is_some()
    }

    /// Reads a query: unknown and repeated parameters and wrong types are refused. Limits are left to the operation,
    /// which coerces some of them.
    pub(super) fn read_query(&self, query: &str) -> Result<BTreeMap<String, String>, String> {
        let mut values = BTreeMap::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decode = |text: &str| percent_decode(&text.replace('+', " ")).ok_or("the query is not well encoded");
            let (name, value) = (decode(name)?, decode(value)?);
            let parameter = self
                .operation
                .parameters
                .iter()
                .find(|parameter| parameter.place == "query" && parameter.name == name)
                .ok_or_else(|| format!("unknown query parameter `{name}`"))?;
            // Without a format an integer has no bounds: ids of projects are longer than 32 bits.
            let is_small = parameter.format.as_deref() == Some("int32") && value.parse::<i32>().is_err();
            if parameter.kind.as_deref() == Some("integer") && (is_small || value.parse::<i64>().is_err()) {
                return Err(format!("query parameter `{name}` is not an integer"));
            }
            if let Some(allowed) = &parameter.allowed
                && !allowed.contains(&value)
            {
                return Err(format!("query parameter `{name}` is none of {}", allowed.join(", ")));
            }
            if values.insert(name.clone(), value).is_some() && parameter.kind.as_deref() != Some("array") {
                return Err(format!("query parameter `{name}` is repeated"));
            }
        }
        Ok(values)
    }

    /// Whether `name` is a read-only field of `definition`.
    pub(super) fn is_read_only(&self, definition: &str, name: &str) -> bool {
        let fields = self.file.definitions.get(definition).and_then(|definition| definition.properties.as_ref());
        fields.and_then(|fields| fields.get(name)).is_some_and(|field| field.read_only)
    }
}

/// Checks `value`, and in [`Rule::Server`] drops from it what the service ignores. `at` names the place in errors.
fn validate(file: &File, schema: &Schema, value: &mut Value, rule: Rule, at: &str) -> Result<(), String> {
    let nullable = schema.nullable;
    let schema = file.resolve(schema)?;
    if value.is_null() && (nullable || schema.nullable) {
        return Ok(());
    }
    let wrong = |what: &str| Err(format!("`{at}` {what}"));
    if let Some(allowed) = &schema.allowed
        && !allowed.contains(value)
    {
        return wrong(&format!("is none of {}", Value::Array(allowed.clone())));
    }
    match (schema.kind.as_deref(), &mut *value) {
        (None, _) => Ok(()),
        (Some("string"), Value::String(text)) => text_rules(schema, text).or_else(|what| wrong(&what)),
        (Some("boolean"), Value::Bool(_)) => Ok(()),
        (Some("integer"), Value::Number(number)) => {
            let Some(number) = number.as_i64() else { return wrong("is not an integer") };
            if schema.format.as_deref() == Some("int32") && i32::try_from(number).is_err() {
                return wrong("does not fit 32 bits");
            }
            if schema.minimum.is_some_and(|minimum| number < minimum) {
                return wrong(&format!("is less than {}", schema.minimum.unwrap_or_default()));
            }
            if schema.maximum.is_some_and(|maximum| number > maximum) {
                return wrong(&format!("is more than {}", schema.maximum.unwrap_or_default()));
            }
            Ok(())
        }
        (Some("array"), Value::Array(items)) => {
            let Some(below) = &schema.items else { return Ok(()) };
            items
                .iter_mut()
                .enumerate()
                .try_for_each(|(index, item)| validate(file, below, item, rule, &format!("{at}[{index}]")))
        }
        (Some("object"), Value::Object(fields)) => object_rules(file, schema, fields, rule, at),
        (Some(kind), _) => wrong(&format!("is not of type {kind}")),
    }
}

/// Whether a text matches a pattern, which is compiled when it is first met: that takes far longer than a match, and a few
/// patterns hold for every message.
fn is_match(pattern: &str, text: &str) -> Result<bool, String> {
    static COMPILED: Mutex<BTreeMap<String, Regex>> = Mutex::new(BTreeMap::new());
    let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(regex) = compiled.get(pattern) {
        return Ok(regex.is_match(text));
    }
    let regex = Regex::new(pattern).map_err(|error| error.to_string())?;
    let matches = regex.is_match(text);
    compiled.insert(pattern.to_owned(), regex);
    Ok(matches)
}

/// Pattern, length and format of a text.
fn text_rules(schema: &Schema, text: &str) -> Result<(), String> {
    let length = text.chars().count();
    if schema.min_length.is_some_and(|least| length < least) || schema.max_length.is_some_and(|most| length > most) {
        return Err(format!(
            "must be {} to {} characters long",
            schema.min_length.unwrap_or_default(),
            schema.max_length.unwrap_or(usize::MAX)
        ));
    }
    if let Some(pattern) = &schema.pattern
        && !is_match(pattern, text)?
    {
        return Err(format!("does not match {pattern}"));
    }
    if schema.format.as_deref() == Some("date-time") && OffsetDateTime::parse(text, &Rfc3339).is_err() {
        return Err("is not an RFC 3339 time".to_owned());
    }
    Ok(())
}

/// Fields of an object.
fn object_rules(
    file: &File,
    schema: &Schema,
    fields: &mut Map<String, Value>,
    rule: Rule,
    at: &str,
) -> Result<(), String> {
    let none = BTreeMap::new();
    let known = schema.properties.as_ref().unwrap_or(&none);
    if rule == Rule::Server {
        fields.retain(|name, field| !field.is_null() && !known.get(name).is_some_and(|schema| schema.read_only));
    }
    for (name, field) in fields.iter_mut() {
        let below = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
        let Some(schema) = known.get(name).or(schema.additional_properties.as_deref()) else {
            return Err(format!("unknown field `{below}`"));
        };
        if rule == Rule::Client && schema.read_only {
            return Err(format!("`{below}` is read-only"));
        }
        if rule == Rule::Answer && INPUT_ONLY.contains(&name.as_str()) {
            return Err(format!("`{below}` must never be answered"));
        }
        validate(file, schema, field, rule, &below)?;
    }
    match schema.required.iter().find(|name| !fields.contains_key(*name)) {
        Some(name) if at.is_empty() => Err(format!("field `{name}` is required")),
        Some(name) => Err(format!("field `{at}.{name}` is required")),
        None => Ok(()),
    }
}

/// The error body of this shape.
fn error_body(shape: &ErrorShape) -> Option<(&'static File, &'static Schema)> {
    let name = shape.definition?;
    FILES.iter().find_map(|file| file.definitions.get(name).map(|schema| (file, schema)))
}

/// Checks an answer of TiDB Cloud (or of the sandbox, or of any stand-in) against the contract.
///
/// `path` is the request's path, without the sandbox's host prefix; a query is allowed and ignored. An operation that the
/// contract does not know can only have failed. The bodies of 401 and 429 are the API gateway's on every host.
///
/// # Errors
/// What is wrong, in words, with the place in the body.
pub fn check(host: &str, method: &str, path: &str, status: u16, body: &[u8]) -> Result<(), String> {
    let (path, _) = split_query(path);
    let mut body: Value =
        serde_json::from_slice(body).map_err(|error| format!("{method} {path}: not JSON: {error}"))?;
    let service = services::find(host).ok_or_else(|| format!("{host} is not a host of TiDB Cloud"))?;
    let of_gateway = service.protocol == Protocol::Digest && GATEWAY_STATUSES.contains(&status);
    let found = find(service, method, path);
    let declared = found.first().filter(|_| !of_gateway).and_then(|found| {
        let responses = &found.operation.responses;
        let exact = responses.get(&status.to_string());
        exact.or_else(|| responses.get("default").filter(|_| status >= 400)).map(|schema| (found.file, schema))
    });
    let others = found
        .iter()
        .skip(1)
        .filter(|_| status < 400)
        .filter_map(|found| Some((found.file, found.operation.responses.get(&status.to_string())?)));
    let (file, schema) = match declared {
        Some(declared) => declared,
        None if status >= 400 => {
            let shape = if of_gateway { &RPC } else { service.errors };
            error_body(shape).ok_or("the contract has no error body")?
        }
        None => return Err(format!("{method} {host}{path}: the contract has no answer {status}")),
    };
    // What an official client alone can make (an import of a file) is answered as its description has it.
    let mut is_of_another = others.into_iter();
    let given = body.clone();
    validate(file, schema, &mut body, Rule::Answer, "").or_else(|error| {
        let fits =
            is_of_another.any(|(file, schema)| validate(file, schema, &mut given.clone(), Rule::Answer, "").is_ok());
        if fits { Ok(()) } else { Err(format!("{method} {path} {status}: {error}")) }
    })
}

/// Checks a request as a careful client should write it: a known operation, known query parameters within their limits, and a
/// body with known fields of the right types, none of them read-only.
///
/// `target` is path and query, without the sandbox's host prefix; `body` is empty for none.
///
/// # Errors
/// What is wrong, in words, with the place in the body.
pub fn check_request(host: &str, method: &str, target: &str, body: &[u8]) -> Result<(), String> {
    let (path, query) = split_query(target);
    let found = services::find(host).map(|service| find(service, method, path)).unwrap_or_default();
    if found.is_empty() {
        return Err(format!("{method} {host}{path}: the contract has no such operation"));
    }
    let mut problem = None;
    for found in &found {
        match found.check_request(query, body) {
            Ok(()) => return Ok(()),
            Err(error) => problem = problem.or(Some(error)),
        }
    }
    Err(format!("{method} {path}: {}", problem.unwrap_or_default()))
}

impl Found {
    fn check_request(&self, query: &str, body: &[u8]) -> Result<(), String> {
        let values = self.read_query(query)?;
        for parameter in self.operation.parameters.iter().filter(|parameter| parameter.place == "query") {
            let Some(value) = values.get(&parameter.name) else {
                if parameter.required {
                    return Err(format!("query parameter `{}` is required", parameter.name));
                }
                continue;
            };
            let number = value.parse::<i64>().ok();
            let below = parameter.minimum.is_some_and(|minimum| number.is_none_or(|number| number < minimum));
            let above = parameter.maximum.is_some_and(|maximum| number.is_none_or(|number| number > maximum));
            if below || above {
                return Err(format!("query parameter `{}` is out of range", parameter.name));
            }
        }
        match self.body_schema() {
            None if body.is_empty() => Ok(()),
            None => Err("the operation takes no body".to_owned()),
            Some(schema) => {
                let mut body = serde_json::from_slice(body).map_err(|error| format!("not JSON: {error}"))?;
                validate(self.file, schema, &mut body, Rule::Client, "")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ENTRIES, FILES, File, Known, SERVICES, Schema, known};

    /// Every reference of `schema` resolves, and every pattern compiles.
    fn sound(file: &File, schema: &Schema) {
        file.resolve(schema).unwrap();
        if let Some(pattern) = &schema.pattern {
            regex::Regex::new(pattern).unwrap();
        }
        schema.properties.iter().flat_map(|fields| fields.values()).for_each(|field| sound(file, field));
        schema.items.iter().chain(&schema.additional_properties).for_each(|below| sound(file, below));
    }

    /// The list knows what the files describe, and its paths are found by themselves.
    #[test]
    fn every_operation_is_listed() {
        assert!(ENTRIES.len() > 200, "{}", ENTRIES.len());
        let listed = ENTRIES.iter().map(|entry| (entry.host.as_str(), entry.method.as_str(), entry.path.as_str()));
        let described = FILES.iter().filter(|file| !file.host.contains('*')).flat_map(|file| {
            file.operations
                .iter()
                .map(|operation| (file.host.as_str(), operation.method.as_str(), operation.path.as_str()))
        });
        for (host, method, path) in listed.chain(described) {
            let path = path.replace(['{', '}'], "");
            assert!(matches!(known(host, method, &path), Known::Operation(_)), "{host} {method} {path}");
        }
    }

    #[test]
    fn every_file_is_whole() {
        let texts = SERVICES.iter().flat_map(|service| service.contract.iter().map(move |(_, text)| (service, text)));
        for (service, text) in texts {
            let file: File = serde_json::from_str(text).unwrap();
            assert_eq!(file.host, service.host, "a file is in the row of the service that it describes");
            assert!(!file.operations.is_empty(), "a file of {} describes operations", file.host);
            file.definitions.values().for_each(|definition| sound(&file, definition));
            for operation in &file.operations {
                operation.responses.values().for_each(|schema| sound(&file, schema));
                let bodies = operation.parameters.iter().filter_map(|parameter| parameter.schema.as_ref());
                bodies.for_each(|schema| sound(&file, schema));
            }
        }
    }
}
