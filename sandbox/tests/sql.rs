//! SQL on a real server: sessions, rights, types, copies, and what recordings say.
//!
//! These need an engine, and fail where there is none: `cargo xtask setup` gets one.

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::{Duration, Instant};

use tidbcloud_sandbox::exchange::{Instance, Role, SqlEffect, SqlOutcome, SqlTask};
use tidbcloud_sandbox::sql::recorded::{AS_READER, AS_ROOT, Recording};
use tidbcloud_sandbox::sql::{Engine, Servers};

fn engine() -> Engine {
    Engine::find().unwrap_or_else(|error| panic!("{error}\nthese tests need a SQL server: run `cargo xtask setup` first"))
}

/// Shared by all tests and kept between runs: templates are made once.
static ROOT: LazyLock<PathBuf> = LazyLock::new(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("sql"));

fn servers() -> Servers {
    Servers::new(engine(), &ROOT).unwrap()
}

/// One caller on one instance.
#[derive(Clone)]
struct Caller<'a> {
    servers: &'a Servers,
    task: SqlTask,
}

impl<'a> Caller<'a> {
    fn new(servers: &'a Servers, instance: &str, role: Role, user: &str) -> Self {
        let task = SqlTask {
            instance: Instance(instance.to_owned()),
            role,
            user: user.to_owned(),
            database: String::new(),
            session: String::new(),
            isolation: None,
            stateful: None,
            query: String::new(),
        };
        Self { servers, task }
    }

    fn run(&self, query: &str) -> SqlOutcome {
        self.servers.run(&SqlTask { query: query.to_owned(), ..self.task.clone() })
    }

    fn in_session(&self, session: &str) -> Self {
        let mut caller = self.clone();
        session.clone_into(&mut caller.task.session);
        caller
    }

    fn action(&self, action: &str) -> SqlOutcome {
        self.servers.run(&SqlTask { stateful: Some(action.to_owned()), ..self.task.clone() })
    }

    /// Rows as text, `NULL` for NULL.
    fn rows(&self, query: &str) -> Vec<Vec<String>> {
        match self.run(query) {
            SqlOutcome::Rows { rows, .. } => {
                rows.into_iter().map(|row| row.into_iter().map(|cell| cell.unwrap_or("NULL".into())).collect()).collect()
            }
            other => panic!("{query}: {other:?}"),
        }
    }

    fn one(&self, query: &str) -> String {
        self.rows(query)[0][0].clone()
    }

    fn done(&self, query: &str) -> u64 {
        match self.run(query) {
            SqlOutcome::Done { rows_affected, .. } => rows_affected,
            other => panic!("{query}: {other:?}"),
        }
    }

    fn code(&self, query: &str) -> u16 {
        match self.run(query) {
            SqlOutcome::Refused { code, .. } => code,
            other => panic!("{query}: {other:?}"),
        }
    }
}

fn session(outcome: &SqlOutcome) -> String {
    match outcome {
        SqlOutcome::Rows { session, .. } | SqlOutcome::Done { session, .. } => session.clone(),
        other => panic!("{other:?}"),
    }
}

fn load(caller: &Caller<'_>, script: &str) {
    let open = caller.action("open");
    let caller = caller.in_session(&session(&open));
    for statement in script.split(";\n").map(str::trim).filter(|statement| !statement.is_empty()) {
        let outcome = caller.run(statement);
        assert!(matches!(outcome, SqlOutcome::Done { .. }), "{statement}: {outcome:?}");
    }
    caller.action("close");
}

fn matches(outcome: &SqlOutcome, recording: &Recording) -> bool {
    match outcome {
        SqlOutcome::Rows { types, rows, .. } => {
            recording.types.as_ref() == Some(types) && recording.rows.as_ref() == Some(rows)
        }
        SqlOutcome::Done { rows_affected, last_insert_id, .. } => {
            recording.rows_affected == Some(*rows_affected) && recording.last_insert_id.as_ref() == Some(last_insert_id)
        }
        SqlOutcome::Refused { code, message, .. } => {
            recording.error.as_ref().is_some_and(|error| error.code == *code && error.message == *message)
        }
        _ => false,
    }
}

#[test]
fn replay() {
    let servers = servers();
    let shop = Instance("shop".into());
    servers.apply(&SqlEffect::Sample(shop));
    let root = Caller::new(&servers, "shop", Role::Admin, "root");
    load(&root, include_str!("../data/types.sql"));
    let mut same = 0;
    for (recordings, role, user) in [(&AS_ROOT, Role::Admin, "root"), (&AS_READER, Role::ReadOnly, "reader")] {
        let caller = Caller::new(&servers, "shop", role, user);
        let open = caller.action("open");
        let caller = caller.in_session(&session(&open));
        for recording in recordings.iter() {
            let t = Instant::now();
            let outcome = caller.run(&recording.sql);
            if matches(&outcome, recording) { same += 1; } else {
                println!("== {} {}\n   want {:?} {:?} {:?} {:?}\n   got  {:?}", recording.name, recording.sql, recording.types.as_ref().map(|t| t.iter().map(|c| format!("{}:{}:{}", c.name, c.kind, c.nullable)).collect::<Vec<_>>()), recording.rows.as_ref().map(|r| r.iter().take(3).collect::<Vec<_>>()), recording.rows_affected, recording.error, match outcome { SqlOutcome::Rows{types, rows, ..} => format!("{:?} {:?}", types.iter().map(|c| format!("{}:{}:{}", c.name, c.kind, c.nullable)).collect::<Vec<_>>(), rows.iter().take(3).collect::<Vec<_>>()), o => format!("{o:?}")});
            }
            if t.elapsed() > Duration::from_millis(300) { println!("SLOW {} {:?}", recording.name, t.elapsed()); }
        }
    }
    println!("same {same}");
}
