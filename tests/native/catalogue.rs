//! The tools as a client sees them: snapshots, properties of the whole catalogue, and its price in tokens.

use std::{collections::BTreeSet, fs, path::Path};

use mcp_server_tidbcloud::tools;
use serde_json::{Value, json};

use crate::{
    support::{Driver, request},
    world::Native,
};

/// What the default tools may cost a model, as `tools/list` sends them.
const TOKENS_MAX: usize = 3_000;

fn listed() -> Vec<Value> {
    let answer = Native::new().send(request("2026-07-28", "owner", "tools/list", json!({})));
    answer.json()["result"]["tools"].as_array().expect("tools").clone()
}

#[test]
fn every_definition_is_as_its_snapshot() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots/tools");
    let mut expected = BTreeSet::new();
    for tool in listed() {
        let name = tool["name"].as_str().expect("a name");
        let path = folder.join(format!("{name}.json"));
        let now = format!("{}\n", serde_json::to_string_pretty(&tool).expect("JSON"));
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            fs::create_dir_all(&folder).expect("the folder");
            fs::write(&path, &now).expect("written");
        }
        let snapshot = fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(
            snapshot, now,
            "{name} changed; if it should, run UPDATE_EXPECT=1 cargo xtask test native and review the diff"
        );
        expected.insert(format!("{name}.json"));
    }
    let files: BTreeSet<String> = fs::read_dir(folder)
        .expect("the folder")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(files, expected, "a snapshot without a tool");
}

#[test]
fn the_catalogue_fits_its_budget() {
    let tools = serde_json::to_string(&listed()).expect("JSON");
    let tokens = tiktoken_rs::o200k_base().expect("the vocabulary").encode_ordinary(&tools).len();
    println!("tools/list: {tokens} tokens, {} bytes", tools.len());
    assert!(tokens <= TOKENS_MAX, "{tokens} tokens");
}

#[test]
fn every_tool_is_well_formed() {
    let tools = listed();
    assert_eq!(tools.len(), 17);
    for tool in &tools {
        let name = tool["name"].as_str().expect("a name");
        assert!(name.len() <= 40 && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
        for field in ["title", "description"] {
            assert!(tool[field].as_str().is_some_and(|text| !text.is_empty()), "{name} has no {field}");
        }
        let description = tool["description"].as_str().expect("a description");
        assert!(description.len() <= 300 && !description.contains('\n'), "{name}: {description}");
        for hint in ["readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"] {
            assert!(tool["annotations"][hint].is_boolean(), "{name} does not state {hint}");
        }
        let input = &tool["inputSchema"];
        assert_eq!(input["type"], json!("object"), "{name}");
        assert_eq!(input["additionalProperties"], json!(false), "{name}");
        assert_eq!(tool["outputSchema"]["type"], json!("object"), "{name}");
        for schema in [input, &tool["outputSchema"]] {
            jsonschema::meta::validate(&json!({
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "allOf": [schema],
            }))
            .unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(!schema.to_string().contains("$ref"), "{name}: {schema}");
        }
        assert!(!input.to_string().contains("\"null\""), "{name}: {input}");
        for secret in ["password", "host", "username"] {
            assert!(input["properties"].get(secret).is_none(), "{name} takes {secret}");
        }
    }
    for (definition, effect) in tools::definitions() {
        let reads = *effect == tools::Effect::Read;
        let name = definition.name;
        let verb = name.trim_start_matches("tidbcloud_");
        let named_as_read = ["list_", "get_", "show_", "db_query"].iter().any(|prefix| verb.starts_with(prefix));
        assert_eq!(reads, named_as_read, "{name}");
    }
}

#[test]
fn every_tool_has_a_conversation_that_succeeds_and_one_that_fails() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts");
    let mut succeeded = BTreeSet::new();
    let mut failed = BTreeSet::new();
    for entry in fs::read_dir(folder).expect("the folder") {
        let text = fs::read_to_string(entry.expect("an entry").path()).expect("text");
        let mut last = "";
        for line in text.lines() {
            if let Some(call) = line.strip_prefix("<< ") {
                last = call.split(' ').next().unwrap_or_default();
            } else if line.starts_with(">> error") {
                failed.insert(last.to_owned());
            } else if line.starts_with(">> ") {
                succeeded.insert(last.to_owned());
            }
        }
    }
    for (definition, _) in tools::definitions() {
        assert!(succeeded.contains(definition.name), "{} never succeeds", definition.name);
        // Nothing that a caller sends to this one can be wrong but an argument that it does not have.
        if definition.name != "tidbcloud_list_regions" {
            assert!(failed.contains(definition.name), "{} never fails", definition.name);
        }
    }
}
