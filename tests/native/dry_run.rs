//! Changes that are tried and rolled back, and changes that are undone because they were not as expected.

use proptest::prelude::*;
use serde_json::{Value, json};
use tidbcloud_sandbox::exchange::{Column, SqlOutcome, SqlTask};

use crate::{
    support::{Driver, bad_inputs::tool},
    world::Native,
};

const GATEWAY: &str = "/v1beta/sql";

/// A table to change, and users that work.
fn prepared() -> Native {
    let mut server = Native::new();
    for sql in [
        "CREATE TABLE shop.notes (id BIGINT AUTO_INCREMENT PRIMARY KEY, body VARCHAR(20) UNIQUE, size INT NOT NULL DEFAULT 0)",
        "INSERT INTO shop.notes (id, body) VALUES (1, 'a'), (2, 'b'), (3, 'c''d'), (4, NULL)",
    ] {
        let done = execute(&mut server, json!({"sql": [sql]}));
        assert_eq!(done.get("error"), None, "{done}");
    }
    read(&mut server, "SELECT 1");
    server.world.subrequests.borrow_mut().clear();
    server
}

/// The structured content of a `db_execute`.
fn execute(server: &mut Native, arguments: Value) -> Value {
    let mut arguments = arguments;
    arguments["cluster"] = json!("shop");
    server.send(tool("db_execute", arguments)).json()["result"]["structuredContent"].clone()
}

fn read(server: &mut Native, sql: &str) -> Value {
    let answer = server.send(tool("db_query", json!({"cluster": "shop", "sql": sql}))).json();
    answer["result"]["structuredContent"]["rows"].clone()
}

/// All rows of the table.
fn rows(server: &mut Native) -> Value {
    read(server, "SELECT * FROM shop.notes ORDER BY id")
}

/// How many requests went to the SQL gateway since the last time.
fn statements_sent(server: &Native) -> usize {
    let mut sent = server.world.subrequests.borrow_mut();
    let count = sent.iter().filter(|target| target.ends_with(GATEWAY)).count();
    sent.clear();
    count
}

/// Drops the SQL request after so many, before or after TiDB has it.
fn drop_one(server: &mut Native, after: usize, when: &str) {
    let fault = json!({"do": "drop", "when": when, "match": {"path": GATEWAY, "after": after}});
    server.admin("POST", "/_sandbox/faults", Some(json!({"faults": [fault]})));
}

fn heal(server: &mut Native) {
    server.admin("DELETE", "/_sandbox/faults", None);
}

const UPDATE: &str = "UPDATE shop.notes SET size = size + 1 WHERE id <= 2";

/// Requests of a dry run of [`UPDATE`], in order: its plan, the key, BEGIN, the rows before it, itself, its warnings, the rows after it,
/// ROLLBACK, and the rows after that.
const STEPS: [&str; 9] = ["plan", "key", "BEGIN", "before", "statement", "warnings", "after", "ROLLBACK", "proof"];

#[test]
fn a_dry_run_whose_answers_get_lost_never_says_that_it_was_rolled_back_unless_a_read_has_shown_it() {
    for when in ["before", "after"] {
        for (at, step) in STEPS.iter().enumerate() {
            let mut server = prepared();
            let was = rows(&mut server);
            drop_one(&mut server, at, when);
            let tried = execute(&mut server, json!({"sql": [UPDATE], "dryRun": true}));
            let place = format!("{step} lost {when} it ran: {tried}");
            let error = &tried["error"];
            match *step {
                // Reads and BEGIN are sent again.
                "plan" | "key" | "BEGIN" => assert_eq!(tried["rolledBack"], json!(true), "{place}"),
                "ROLLBACK" => {
                    let message = error["message"].as_str().unwrap_or_default();
                    assert!(message.contains("Nothing was committed") && message.contains("10 minutes"), "{place}");
                    assert_eq!(tried.get("rolledBack"), None, "{place}");
                }
                "proof" => {
                    assert_eq!(error["code"], "OUTCOME_UNKNOWN", "{place}");
                    assert_eq!(error["details"]["rollbackConfirmed"], json!(true), "{place}");
                }
                _ => assert_eq!(error["details"]["tookEffect"], json!(0), "{place}"),
            }
            heal(&mut server);
            assert_eq!(rows(&mut server), was, "{place}");
        }
    }
}

#[test]
fn what_is_not_as_expected_is_rolled_back_and_a_lost_commit_is_not_called_so() {
    let mut server = prepared();
    let was = rows(&mut server);
    let done = execute(&mut server, json!({"sql": [UPDATE], "expectedRows": 3}));
    assert_eq!(done["error"]["code"], "FAILED_PRECONDITION", "{done}");
    let details = &done["error"]["details"];
    assert_eq!(
        (&details["expectedRows"], &details["rowsAffected"], &details["tookEffect"]),
        (&json!(3), &json!(2), &json!(0))
    );
    assert_eq!(rows(&mut server), was, "nothing took effect");
    // Its plan, BEGIN, the statement, its warnings, COMMIT.
    statements_sent(&server);
    let done = execute(&mut server, json!({"sql": [UPDATE], "expectedRows": 2}));
    assert_eq!((&done["results"][0]["rowsAffected"], statements_sent(&server)), (&json!(2), 5), "{done}");
    assert_ne!(rows(&mut server), was, "it took effect");
    let was = rows(&mut server);
    // Rows that are as they should be are not affected.
    let same = "UPDATE shop.notes SET size = 1 WHERE id <= 2";
    assert_eq!(
        execute(&mut server, json!({"sql": [same], "expectedRows": 2}))["error"]["details"]["rowsAffected"],
        json!(0)
    );
    assert_eq!(rows(&mut server), was);
    for (when, took_effect) in [("before", false), ("after", true)] {
        drop_one(&mut server, 4, when);
        let done = execute(&mut server, json!({"sql": [UPDATE], "expectedRows": 2}));
        assert_eq!(done["error"]["code"], "OUTCOME_UNKNOWN", "{done}");
        heal(&mut server);
        assert_eq!(rows(&mut server) != was, took_effect, "COMMIT lost {when} it ran");
    }
}

/// Statements, how often their rows are read if there are requests left for it (after it, and before it), and how often the same
/// statement is planned.
const KINDS: [(&str, usize, usize); 3] = [
    ("UPDATE shop.customers SET name = CONCAT(name, '!') WHERE id <= 2", 2, 1),
    ("INSERT INTO shop.customers (email, name, country, created_at) VALUES (UUID(), 'a', 'DE', NOW())", 1, 0),
    ("DELETE FROM shop.customers ORDER BY id LIMIT 1", 0, 1),
];

/// Statements of a dry run.
const STATEMENTS_MAX: usize = 7;

#[test]
fn a_dry_run_sends_as_many_requests_as_computed_and_always_fits() {
    /// What 45 requests leave for steps, of which each statement has three.
    const STEPS_MAX: usize = 21;
    for (sql, reads, plans) in KINDS {
        let mut server = prepared();
        for count in 1..=STATEMENTS_MAX {
            let tried = execute(&mut server, json!({"sql": vec![sql; count], "dryRun": true}));
            let place = format!("{count} of {sql}: {tried}");
            assert_eq!(tried.get("error"), None, "{place}");
            // The first read of a table needs its key.
            let (mut left, mut sampled, mut keys) = (STEPS_MAX - 3 * count, 0, 0);
            // And, among three or more, one more for the proof.
            let first = 1 + usize::from(count > 2);
            while reads > 0 && sampled < count && left >= reads + (1 - keys) * first {
                left -= reads + (1 - keys) * first;
                (sampled, keys) = (sampled + 1, 1);
            }
            let results = tried["results"].as_array().expect("results");
            assert_eq!(results.iter().filter(|one| one["sample"].is_object()).count(), sampled, "{place}");
            // What proves it is the last sample: read afterwards, outside before if others ran before it, and inside if others ran
            // after it.
            let proof = if sampled > 0 { 1 + usize::from(sampled > 1) + usize::from(sampled < count) } else { 0 };
            // BEGIN and ROLLBACK, each statement with its warnings, the key, the rows, and the proof.
            let computed = plans + 2 + 2 * count + keys + reads * sampled + proof;
            assert_eq!(statements_sent(&server), computed, "{place}");
        }
        let tried = execute(&mut server, json!({"sql": vec![sql; STATEMENTS_MAX + 1], "dryRun": true}));
        assert_eq!(tried["error"]["code"], "INVALID_ARGUMENT", "{tried}");
        assert_eq!(statements_sent(&server), 0, "nothing was sent");
        // A caller whom TiDB Cloud has never seen, and whose SQL user has to be made.
        let mut new = Native::new();
        let tried = execute(&mut new, json!({"sql": vec![sql; STATEMENTS_MAX], "dryRun": true}));
        assert_eq!(tried.get("error"), None, "{tried}");
        let sent = new.world.subrequests.borrow();
        assert!(sent.iter().filter(|target| target.starts_with('/')).count() <= 45 && sent.len() <= 50, "{sent:?}");
    }
}

#[test]
fn a_sample_is_what_was_there_before_and_after_by_key() {
    let mut server = prepared();
    let sample = |server: &mut Native, sql: &str| {
        let tried = execute(server, json!({"sql": [sql], "dryRun": true}));
        let result = &tried["results"][0];
        assert_eq!(tried["rolledBack"], json!(true), "{tried}");
        result["sample"]["rows"].clone()
    };
    assert_eq!(
        sample(&mut server, "UPDATE shop.notes SET size = 1 WHERE body IN ('a', 'c''d') OR size = 1"),
        json!([["before", "1", "a", 0], ["after", "1", "a", 1], ["before", "3", "c'd", 0], ["after", "3", "c'd", 1]])
    );
    assert_eq!(
        sample(&mut server, "UPDATE shop.notes SET size = IF(id = 2, 5, size) WHERE id <= 2"),
        json!([["unchanged", "1", "a", 0], ["before", "2", "b", 0], ["after", "2", "b", 5]])
    );
    assert_eq!(sample(&mut server, "DELETE FROM shop.notes WHERE body IS NULL"), json!([["deleted", "4", null, 0]]));
    let several = json!({"sql": [UPDATE, "DELETE FROM shop.notes WHERE size = 1"], "dryRun": true});
    let tried = execute(&mut server, several);
    assert_eq!(
        tried["results"][1]["sample"]["rows"],
        json!([["deleted", "1", "a", 1], ["deleted", "2", "b", 1]]),
        "{tried}"
    );
    assert_eq!(tried["rolledBack"], json!(true), "{tried}");
    // A key of text, with a quote in it, and of two columns.
    let made = json!({"sql": ["CREATE TABLE shop.pairs (a VARCHAR(9), b INT, c INT, PRIMARY KEY (a, b))",
        "INSERT INTO shop.pairs VALUES ('it''s', 1, 1), ('x', 2, 1)"]});
    execute(&mut server, made);
    assert_eq!(
        sample(&mut server, "UPDATE shop.pairs SET c = 2 WHERE b = 1"),
        json!([["before", "it's", 1, 1], ["after", "it's", 1, 2]])
    );
    let none = json!({"sql": ["UPDATE shop.pairs SET c = 2 WHERE b = 9"], "dryRun": true});
    let tried = execute(&mut server, none);
    assert_eq!(
        (&tried["results"][0]["noSample"], tried.get("rolledBack")),
        (&json!("No row matches it."), None),
        "{tried}"
    );
}

/// Puts a database behind every instance that knows one table of one row, and calls the proof's row by this name.
fn scripted(server: &Native, proven: &'static str) {
    let mut rolled_back = false;
    let rows = |columns: &[(&str, &str)], row: Option<&[&str]>| SqlOutcome::Rows {
        types: columns
            .iter()
            .map(|(name, kind)| Column { name: (*name).to_owned(), kind: (*kind).to_owned(), nullable: true })
            .collect(),
        rows: row.into_iter().map(|row| row.iter().map(|text| Some((*text).to_owned())).collect()).collect(),
        session: "s".to_owned(),
    };
    let answer = move |task: &SqlTask| {
        let table = [("id", "BIGINT"), ("body", "VARCHAR")];
        let has = |text: &str| task.query.contains(text);
        match () {
            () if has("SHOW COLUMNS") => rows(&[("Field", "VARCHAR"), ("Extra", "VARCHAR")], Some(&["id", ""])),
            () if has("SHOW WARNINGS") => rows(&[("Level", "VARCHAR"), ("Code", "INT"), ("Message", "VARCHAR")], None),
            () if has("LIMIT 5 FOR UPDATE") => rows(&table, Some(&["1", "old"])),
            () if has("FOR UPDATE") => rows(&table, Some(&["1", "new"])),
            () if has("ORDER BY `id`") => {
                assert!(
                    rolled_back && task.session.is_empty(),
                    "the proof is read after ROLLBACK, outside of the session"
                );
                rows(&table, Some(&["1", proven]))
            }
            () => {
                rolled_back |= task.query == "ROLLBACK";
                assert_ne!(task.query, "COMMIT", "a dry run commits nothing");
                SqlOutcome::Done { rows_affected: 1, last_insert_id: "0".to_owned(), session: "s".to_owned() }
            }
        }
    };
    server.world.database.replace(Some(Box::new(answer)));
}

/// Where somebody else changes a row right after the ROLLBACK, nothing proves that it was one.
#[test]
fn a_dry_run_is_proven_by_the_rows_that_are_there_after_it() {
    for (proven, is_proven) in [("old", true), ("new", false), ("another", false)] {
        let mut server = prepared();
        scripted(&server, proven);
        let tried =
            execute(&mut server, json!({"sql": ["UPDATE shop.notes SET body = 'new' WHERE id = 1"], "dryRun": true}));
        if is_proven {
            assert_eq!(tried["rolledBack"], json!(true), "{tried}");
        } else {
            assert_eq!(tried["error"]["code"], "OUTCOME_UNKNOWN", "{proven}: {tried}");
            assert_eq!(tried["error"]["details"], json!({"rollbackConfirmed": true, "rolledBack": "unknown"}));
        }
    }
}

/// Puts a database behind every instance that commits where it should roll back, with a table of one row.
fn committing(server: &Native, body: &str) {
    let (mut committed, mut body) = (body.to_owned(), body.to_owned());
    let answer = move |task: &SqlTask| {
        let sql = task.query.as_str();
        let rows = |columns: &[(&str, &str)], rows: Vec<Vec<&str>>| SqlOutcome::Rows {
            types: columns
                .iter()
                .map(|(name, kind)| Column { name: (*name).to_owned(), kind: (*kind).to_owned(), nullable: true })
                .collect(),
            rows: rows.iter().map(|row| row.iter().map(|text| Some((*text).to_owned())).collect()).collect(),
            session: "s".to_owned(),
        };
        let has = |text: &str| sql.contains(text) && !sql.contains("EXPLAIN");
        if has("SHOW COLUMNS") {
            return rows(&[("Field", "VARCHAR"), ("Extra", "VARCHAR")], vec![vec!["id", ""]]);
        }
        if has("SHOW WARNINGS") {
            return rows(&[("Level", "VARCHAR"), ("Code", "INT"), ("Message", "VARCHAR")], vec![]);
        }
        if has("SELECT") {
            let seen = if task.session.is_empty() { &committed } else { &body };
            return rows(&[("id", "BIGINT"), ("body", "TEXT")], vec![vec!["1", seen]]);
        }
        if sql == "ROLLBACK" {
            committed.clone_from(&body);
        }
        if let Some((_, set)) = sql.split_once("SET body = '").filter(|_| has("UPDATE")) {
            body = set.split('\'').next().unwrap_or_default().to_owned();
        }
        SqlOutcome::Done { rows_affected: 1, last_insert_id: "0".to_owned(), session: "s".to_owned() }
    };
    server.world.database.replace(Some(Box::new(answer)));
}

/// What is the same after a COMMIT as after a ROLLBACK proves neither.
#[test]
fn rows_that_a_commit_would_leave_as_they_were_prove_no_rollback() {
    let set = |body: &str| format!("UPDATE shop.notes SET body = '{body}' WHERE id = 1");
    let long = "x".repeat(4096);
    for (sql, was) in [
        (vec![set("old")], "old"),
        (vec![set("new"), set("old")], "old"),
        (vec![set("new"), set("newer"), set("old")], "old"),
        (vec![set("old"), "UPDATE shop.notes SET size = 1".to_owned(), set("old")], "old"),
        // What differs behind the end of what is read.
        (vec![set(&format!("{long}2"))], &format!("{long}1")),
    ] {
        let mut server = prepared();
        committing(&server, was);
        let tried = execute(&mut server, json!({"sql": sql, "dryRun": true}));
        assert_eq!((tried.get("rolledBack"), tried.get("error")), (None, None), "{sql:?}: {tried}");
        assert!(tried["notice"].as_str().is_some_and(|notice| notice.contains("nothing more proves it")), "{tried}");
        let first = &tried["results"][0]["sample"]["rows"][0];
        assert_eq!(
            first[0] == "unchanged",
            sql[0] == set(was),
            "a value that was cut is not called unchanged: {first}"
        );
    }
    for sql in [
        vec![set("new")],
        vec![set("new"), set("old"), set("new")],
        vec![set("a"), set("b"), "DELETE FROM shop.notes WHERE body = 'x' LIMIT 1".to_owned()],
    ] {
        let mut server = prepared();
        committing(&server, "old");
        let tried = execute(&mut server, json!({"sql": sql, "dryRun": true}));
        assert_eq!(tried["error"]["code"], "OUTCOME_UNKNOWN", "a COMMIT is seen: {sql:?}: {tried}");
    }
}

/// What comes after a session has ended is refused, and not run by itself.
#[test]
fn a_session_that_ends_on_the_way_takes_all_of_a_dry_run_with_it() {
    // After BEGIN and before the proof, which is read without a session.
    for (at, step) in STEPS.iter().enumerate().take(STEPS.len() - 1).skip(3) {
        let mut server = prepared();
        let was = rows(&mut server);
        let ended =
            json!({"message": "Error 1105 (HY000): there is no such session; it may have ended", "code": "1105"});
        let fault =
            json!({"do": "status", "status": 400, "body": ended, "match": {"path": GATEWAY, "after": at, "times": 99}});
        server.admin("POST", "/_sandbox/faults", Some(json!({"faults": [fault]})));
        let tried = execute(&mut server, json!({"sql": [UPDATE], "dryRun": true}));
        let message = tried["error"]["message"].as_str().unwrap_or_default();
        assert!(message.contains("Nothing was committed"), "{step}: {tried}");
        heal(&mut server);
        assert_eq!(rows(&mut server), was, "{step}: {tried}");
    }
}

fn changes() -> impl Strategy<Value = Vec<String>> {
    let one = (0..7_usize, 0..6_u8, 0..3_i8).prop_map(|(kind, id, size)| match kind {
        0 => format!("UPDATE shop.notes SET size = size + {size} WHERE id <= {id}"),
        1 => format!("DELETE FROM shop.notes WHERE id = {id}"),
        2 => format!("INSERT INTO shop.notes (size) VALUES ({size}), (7)"),
        3 => format!("REPLACE INTO shop.notes (id, body) VALUES ({id}, 'r{size}')"),
        4 => format!("INSERT IGNORE INTO shop.notes (id, body) VALUES ({id}, 'i')"),
        5 => format!("INSERT INTO shop.notes (id, body) VALUES ({id}, 'a') ON DUPLICATE KEY UPDATE size = {size}"),
        // A key that may be there already: the database refuses it, and the transaction ends.
        _ => format!("UPDATE shop.notes SET id = id + {size} WHERE size = 0 ORDER BY id DESC"),
    });
    prop::collection::vec(one, 1..7)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever is tried, and whatever answer gets lost on the way: the rows stay as they were.
    #[test]
    fn nothing_is_ever_committed_by_a_dry_run(sql in changes(), lost in prop::option::of((0..20_usize, any::<bool>()))) {
        let mut server = prepared();
        let was = rows(&mut server);
        if let Some((after, before)) = lost {
            drop_one(&mut server, after, if before { "before" } else { "after" });
        }
        let tried = execute(&mut server, json!({"sql": sql, "dryRun": true}));
        heal(&mut server);
        prop_assert_eq!(rows(&mut server), was, "{:?}: {}", sql, tried);
        if tried.get("error").is_none() {
            prop_assert!(tried["rolledBack"] == json!(true) || tried["notice"].is_string(), "{}", tried);
        }
    }
}
