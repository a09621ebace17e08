//! Records what a TiDB answers to the statements of a file, one JSON object a line, as `data/recorded` has them.
//!
//! ```console
//! $ SANDBOX_TIDB=/path/to/tidb-server cargo run -p tidbcloud-sandbox --example record -- \
//!     sandbox/data/recorded/statements-guard.sql > sandbox/data/recorded/answers-guard.jsonl
//! ```
//!
//! `-- name: N` begins a statement, `-- database: D` selects a database for it, and those between `-- session N` and `-- end` run in
//! one session. All run as an administrator, on the sample data.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a command: printing is what it does")]

use std::process::ExitCode;

use serde_json::{Map, json};
use tidbcloud_sandbox::exchange::{Instance, Role, SqlEffect, SqlOutcome, SqlTask};
use tidbcloud_sandbox::sql::recorded::{self, Wanted};
use tidbcloud_sandbox::sql::{Engine, Servers};

fn record(file: &str) -> Result<(), String> {
    let engine = Engine::find().map_err(|error| error.to_string())?;
    if !engine.is_tidb() {
        return Err(format!("{engine} is no TiDB: set SANDBOX_TIDB to the path of a tidb-server"));
    }
    let servers = Servers::new(engine, &std::env::temp_dir().join("tidbcloud-sandbox-record"))?;
    let instance = Instance("recorded".to_owned());
    servers.apply(&SqlEffect::Sample(instance.clone()));
    let task = SqlTask {
        instance,
        role: Role::Admin,
        user: "root".to_owned(),
        database: String::new(),
        session: String::new(),
        isolation: None,
        stateful: None,
        query: String::new(),
    };
    let mut at = (None, String::new());
    for Wanted { name, database, session, sql } in recorded::wanted(file) {
        if session != at.0 {
            let open = SqlTask { database: database.clone(), stateful: Some("open".to_owned()), ..task.clone() };
            at = match session.as_ref().map(|_| servers.run(&open)) {
                Some(SqlOutcome::Done { session: id, .. }) => (session.clone(), id),
                _ => (None, String::new()),
            };
        }
        let outcome = servers.run(&SqlTask {
            database: database.clone(),
            session: at.1.clone(),
            query: sql.clone(),
            ..task.clone()
        });
        let mut line = Map::from_iter([("name".to_owned(), json!(name)), ("sql".to_owned(), json!(sql))]);
        line.extend(session.map(|session| ("session".to_owned(), json!(session))));
        line.extend((!database.is_empty()).then(|| ("database".to_owned(), json!(database))));
        let answer = match outcome {
            SqlOutcome::Rows { types, rows, .. } => json!({"types": types, "rows": rows}),
            SqlOutcome::Done { rows_affected, last_insert_id, .. } => {
                json!({"rowsAffected": rows_affected, "lastInsertId": last_insert_id})
            }
            SqlOutcome::Refused { code, message, .. } => json!({"error": {"code": code, "message": message}}),
            other => return Err(format!("{name}: {other:?}")),
        };
        line.extend(answer.as_object().cloned().unwrap_or_default());
        println!("{}", json!(line));
    }
    Ok(())
}

fn main() -> ExitCode {
    let Some(path) = std::env::args().nth(1) else {
        eprintln!("usage: record STATEMENTS.sql > ANSWERS.jsonl");
        return ExitCode::FAILURE;
    };
    match std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}")).and_then(|file| record(&file)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
