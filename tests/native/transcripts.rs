//! Every file in `tests/transcripts`, against the sandbox's core.

use std::{collections::BTreeMap, fs};

use serde_json::Value;

use crate::{
    support::{
        REVISIONS, fenced,
        transcript::{self, Judge},
    },
    world::Native,
};

/// Holds every result against the tool's output schema and against its own text.
#[derive(Default)]
pub struct Schemas(BTreeMap<String, jsonschema::Validator>);

impl Judge for Schemas {
    fn tool_result(&mut self, tool: &str, result: &Value) {
        let structured = &result["structuredContent"];
        if result["isError"] == Value::Bool(true) {
            let error = &structured["error"];
            for field in ["code", "requestId"] {
                assert!(error[field].is_string(), "{tool}: {error}");
            }
            // What happened, and one thing to do.
            for field in ["message", "hint"] {
                let ends = |text: &str| text.ends_with(['.', '!', '?', '\u{2026}']);
                assert!(error[field].as_str().is_some_and(ends), "{tool}: {error}");
            }
            assert!(error["retryable"].is_boolean(), "{tool}: {error}");
            return;
        }
        assert_eq!(&fenced(result), structured, "{tool}");
        let validator = self.0.entry(tool.to_owned()).or_insert_with(|| {
            let definition = crate::world::definition(tool);
            jsonschema::validator_for(&definition.output_schema).expect("a schema")
        });
        if let Err(error) = validator.validate(structured) {
            panic!("{tool}: {error}: {structured}");
        }
    }
}

fn play(name: &str) {
    let path = crate::support::checkout().join("tests/transcripts").join(name);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    for revision in REVISIONS {
        transcript::run(name, &text, revision, &mut Native::new(), &mut Schemas::default());
    }
}

macro_rules! transcripts {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            play(concat!(stringify!($name), ".txt"));
        })*

        #[test]
        fn every_file_is_played() {
            let folder = crate::support::checkout().join("tests/transcripts");
            let mut files: Vec<_> = fs::read_dir(folder)
                .expect("the folder")
                .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
                .collect();
            files.sort();
            let mut played = vec![$(concat!(stringify!($name), ".txt")),*];
            played.sort_unstable();
            assert_eq!(files, played);
        }
    };
}

transcripts! {
    a_first_visit
    arguments_as_hosts_write_them
    names_and_ids
    creating_a_cluster_whose_answer_gets_lost
    changing_a_cluster
    deleting
    branches
    branches_without_sql_users
    reading_with_sql
    what_db_query_refuses
    changing_with_sql
    transactions
    sql_users
    a_key_that_may_only_read
    a_sql_user_of_ones_own
    aliases
    when_tidb_cloud_has_trouble
    one_upstream_request
    quotas
    pages
    why_is_this_slow
}
