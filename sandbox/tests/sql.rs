//! SQL on a real server: sessions, rights, types, copies, and what recordings say.
//!
//! These need an engine, and fail where there is none: `cargo xtask test native` gets one and runs them with it.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "in a test a panic is the report, and so is what it prints"
)]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, Instant};

use tidbcloud_sandbox::exchange::{Instance, Role, SqlEffect, SqlOutcome, SqlTask};
use tidbcloud_sandbox::sql::recorded::{AS_READER, AS_ROOT, OF_CLIENTS, Recording};
use tidbcloud_sandbox::sql::{Engine, Servers};

fn engine() -> Engine {
    Engine::find().unwrap_or_else(|error| panic!("{error}\n`cargo xtask test native` runs these tests with one"))
}

/// Shared by all tests and kept between runs: templates are made once. In the folder `tmp` of the target directory that this
/// program runs in, `target/debug/deps/name`: where it was compiled may be another checkout.
static ROOT: LazyLock<PathBuf> =
    LazyLock::new(|| std::env::current_exe().unwrap().ancestors().nth(3).unwrap().join("tmp/sql"));

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
            SqlOutcome::Rows { rows, .. } => rows
                .into_iter()
                .map(|row| row.into_iter().map(|cell| cell.unwrap_or("NULL".into())).collect())
                .collect(),
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

const SAMPLE: &str = "sample";

/// Servers whose instance `sample` holds the sample data, and its administrator.
fn with_sample(servers: &Servers) -> Caller<'_> {
    servers.apply(&SqlEffect::Sample(Instance(SAMPLE.to_owned())));
    Caller::new(servers, SAMPLE, Role::Admin, "root")
}

fn copy(servers: &Servers, from: &str, to: &str) {
    servers.apply(&SqlEffect::Copy { from: Instance(from.to_owned()), to: Instance(to.to_owned()) });
}

/// Names of the recorded statements that the documentation says MariaDB answers otherwise: in backticks, in the first column of
/// the table below the heading.
fn documented_differences() -> BTreeSet<String> {
    let page = include_str!("../../docs/sandbox.md");
    let (_, after) = page.split_once("### Recorded statements that MariaDB answers otherwise").unwrap();
    let table = after.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let names = table.skip(2).flat_map(|line| line.split('|').nth(1).unwrap().split('`').skip(1).step_by(2));
    names.map(str::to_owned).collect()
}

/// Every recorded statement is run in its order, as the user it was recorded with; the answer must be the recorded one, by the
/// server itself or from the recording, unless the documentation names it.
#[test]
fn recordings_replay() {
    let servers = servers();
    let root = with_sample(&servers);
    load(&root, include_str!("../data/types.sql"));
    let mut different = BTreeSet::new();
    let mut types = None;
    for (recordings, role, user) in [(&AS_ROOT, Role::Admin, "root"), (&AS_READER, Role::ReadOnly, "reader")] {
        let caller = Caller::new(&servers, SAMPLE, role, user);
        let caller = caller.in_session(&session(&caller.action("open")));
        for recording in recordings.iter() {
            let outcome = caller.run(&recording.sql);
            if recording.name == "all_types" {
                types = Some(matches(&outcome, recording));
            }
            if !matches(&outcome, recording) {
                different.insert(recording.name.clone());
            }
        }
    }
    for recordings in OF_CLIENTS.chunk_by(|one, next| one.session.is_some() && one.session == next.session) {
        let mut caller = root.clone();
        for recording in recordings {
            caller.task.database = recording.database.clone().unwrap_or_default();
            if recording.session.is_some() && caller.task.session.is_empty() {
                caller.task.session = session(&caller.action("open"));
            }
            let outcome = caller.run(&recording.sql);
            if !matches(&outcome, recording) {
                different.insert(recording.name.clone());
            }
        }
        if !caller.task.session.is_empty() {
            caller.action("close");
        }
    }
    assert_eq!(types, Some(true), "every type on the wire is as recorded");
    // Another release of TiDB has other plans and times; MariaDB's differences are known one by one.
    if !servers.engine().is_tidb() {
        let documented = documented_differences();
        let undocumented: Vec<_> = different.difference(&documented).collect();
        let outdated: Vec<_> = documented.difference(&different).collect();
        // Newer releases of MariaDB differ less: 11.8 has vectors.
        let oldest = root.one("SELECT VERSION()").contains("MariaDB-10.");
        let current = outdated.is_empty() || !oldest;
        assert!(undocumented.is_empty() && current, "undocumented {undocumented:?}, outdated {outdated:?}");
    }
}

#[test]
fn a_transaction_is_seen_by_others_once_it_is_committed() {
    let servers = servers();
    let outside = Caller::new(&servers, "tx", Role::Admin, "prefix.root");
    outside.done("CREATE DATABASE d");
    outside.done("CREATE TABLE d.t (id INT PRIMARY KEY)");
    for (level, sees_outside) in [("READ COMMITTED", "1"), ("repeatable read", "0")] {
        outside.done("DELETE FROM d.t");
        let mut begin = outside.clone();
        begin.task.isolation = Some(level.to_owned());
        let inside = outside.in_session(&session(&begin.run("BEGIN")));
        assert_eq!(inside.one("SELECT COUNT(*) FROM d.t"), "0");
        outside.done("INSERT INTO d.t VALUES (1)");
        assert_eq!(inside.one("SELECT COUNT(*) FROM d.t WHERE id = 1"), sees_outside, "{level}");
        inside.done("INSERT INTO d.t VALUES (2)");
        assert_eq!(outside.one("SELECT COUNT(*) FROM d.t WHERE id = 2"), "0", "uncommitted");
        let after = inside.run("COMMIT");
        assert_eq!(outside.one("SELECT COUNT(*) FROM d.t"), "2");
        assert_eq!(inside.run("SELECT 1"), SqlOutcome::NoSession, "it ended with its transaction");
        // The driver sends the last value back: it must go on working.
        assert_eq!(outside.in_session(&session(&after)).one("SELECT COUNT(*) FROM d.t"), "2");
    }
    let inside = outside.in_session(&session(&outside.run("start transaction")));
    inside.done("DELETE FROM d.t");
    inside.done("SAVEPOINT s");
    inside.done("ROLLBACK TO s");
    assert_eq!(inside.one("SELECT COUNT(*) FROM d.t"), "0", "ROLLBACK TO ends nothing");
    inside.done("ROLLBACK");
    assert_eq!(outside.one("SELECT COUNT(*) FROM d.t"), "2");
    let mut begin = outside.clone();
    begin.task.isolation = Some("SERIALIZABLE".to_owned());
    assert_eq!(begin.code("BEGIN"), 8048);
}

#[test]
fn a_session_belongs_to_its_user_and_instance_and_keeps_its_state() {
    let servers = servers();
    let root = Caller::new(&servers, "a", Role::Admin, "prefix.root");
    root.done("CREATE DATABASE d");
    root.done("USE d");
    assert_eq!(root.one("SELECT DATABASE()"), "NULL", "nothing is kept outside a session");
    assert_eq!(root.one("SELECT CURRENT_USER()"), "prefix.root@%");
    let mut chosen = root.clone();
    chosen.task.database = "d".to_owned();
    assert_eq!(chosen.one("SELECT DATABASE()"), "d");
    chosen.task.database = "nowhere".to_owned();
    assert_eq!(chosen.code("SELECT 1"), 1049);

    let id = session(&root.action("open"));
    let open = root.in_session(&id);
    for (statement, question, expected) in
        [("USE d", "SELECT DATABASE()", "d"), ("SET @a = 7", "SELECT @a", "7"), ("SET @b = 1", "SELECT @a + @b", "8")]
    {
        open.done(statement);
        assert_eq!(open.one(question), expected);
    }
    // A transaction within does not end the connection.
    open.done("BEGIN");
    open.done("COMMIT");
    assert_eq!(open.one("SELECT @a"), "7");
    for (instance, role, user) in
        [("b", Role::Admin, "prefix.root"), ("a", Role::Admin, "prefix.other"), ("a", Role::ReadOnly, "prefix.root")]
    {
        let stranger = Caller::new(&servers, instance, role, user).in_session(&id);
        assert_eq!(stranger.run("SELECT @a"), SqlOutcome::NoSession, "{instance} {role:?} {user}");
        assert_eq!(stranger.action("close"), SqlOutcome::NoSession);
    }
    open.action("close");
    assert_eq!(open.run("SELECT 1"), SqlOutcome::NoSession);
    assert_eq!(root.in_session("never-was").run("SELECT 1"), SqlOutcome::NoSession);
    assert_eq!(root.code(" -- nothing"), 1065);
}

#[test]
fn an_idle_session_ends_and_is_rolled_back() {
    let servers = servers().with_session_idle(Duration::from_millis(400));
    let root = Caller::new(&servers, "a", Role::Admin, "root");
    root.done("CREATE DATABASE d");
    root.done("CREATE TABLE d.t (id INT PRIMARY KEY)");
    let inside = root.in_session(&session(&root.run("BEGIN")));
    inside.done("INSERT INTO d.t VALUES (1)");
    thread::sleep(Duration::from_millis(600));
    // Waits for no lock: the row's owner is gone.
    root.done("INSERT INTO d.t VALUES (1)");
    assert_eq!(inside.run("COMMIT"), SqlOutcome::NoSession);
}

#[test]
fn the_server_itself_enforces_roles() {
    let servers = servers();
    let admin = Caller::new(&servers, "a", Role::Admin, "p.admin");
    admin.done("CREATE DATABASE d");
    admin.done("CREATE TABLE d.t (id INT PRIMARY KEY, v INT)");
    let writer = Caller::new(&servers, "a", Role::ReadWrite, "p.writer");
    assert_eq!(writer.done("INSERT INTO d.t VALUES (1, 1), (2, 2)"), 2);
    assert_eq!(writer.done("UPDATE d.t SET v = 3 WHERE id = 1"), 1);
    assert_eq!(writer.done("UPDATE d.t SET v = 3 WHERE id = 1"), 0, "rows changed, not rows found");
    let reader = Caller::new(&servers, "a", Role::ReadOnly, "p.reader");
    assert_eq!(reader.one("SELECT SUM(v) FROM d.t"), "5");
    let tidb = servers.engine().is_tidb();
    for statement in
        ["CREATE TABLE d.u (id INT)", "DROP TABLE d.t", "ALTER TABLE d.t ADD COLUMN w INT", "DROP DATABASE d"]
    {
        for caller in [&reader, &writer] {
            assert!([1142, 1044].contains(&caller.code(statement)), "{statement}");
        }
    }
    for statement in ["INSERT INTO d.t VALUES (3, 3)", "UPDATE d.t SET v = 0", "DELETE FROM d.t", "TRUNCATE TABLE d.t"]
    {
        assert!([1142, 8121].contains(&reader.code(statement)), "{statement}");
    }
    // Nobody reads or writes files, stops the server or makes somebody who could.
    for caller in [&admin, &writer, &reader] {
        for statement in ["SELECT 1 INTO OUTFILE '/tmp/x'", "SET GLOBAL max_connections = 7", "SHUTDOWN"] {
            let codes = if tidb { vec![1227, 8121, 8132] } else { vec![1227] };
            assert!(codes.contains(&caller.code(statement)), "{statement}");
        }
        assert_ne!(caller.code("GRANT FILE ON *.* TO CURRENT_USER()"), 0);
        let users = if tidb { "mysql.user SET authentication_string" } else { "mysql.global_priv SET Priv" };
        for statement in [
            format!("UPDATE {users} = ''"),
            "DELETE FROM mysql.db".to_owned(),
            "CREATE TABLE mysql.t (id INT)".to_owned(),
            "DROP TABLE mysql.db".to_owned(),
        ] {
            assert!([1142, 8121].contains(&caller.code(&statement)), "{statement}");
        }
        if !tidb {
            assert_eq!(caller.code("INSTALL SONAME 'ha_spider'"), 1142);
        }
    }
    assert_eq!(reader.one("SELECT SUM(v) FROM d.t"), "5");
    // The same name with another role has that role's rights.
    let promoted = Caller::new(&servers, "a", Role::ReadWrite, "p.reader");
    assert_eq!(promoted.done("DELETE FROM d.t"), 2);
    match Caller::new(&servers, "a", Role::ReadOnly, "p.reader").run("DELETE FROM d.t") {
        SqlOutcome::Refused { code, sqlstate, message } => assert_eq!(
            (code, sqlstate.as_str(), message.as_str()),
            (1142, "42000", "DELETE command denied to user 'p.reader'@'%' for table 't'")
        ),
        other => panic!("{other:?}"),
    }
}

#[test]
fn several_statements_are_refused_before_the_first_runs() {
    let servers = servers();
    let root = Caller::new(&servers, "a", Role::Admin, "root");
    root.done("CREATE DATABASE d");
    root.done("CREATE TABLE d.t (id INT)");
    assert_eq!(root.code("INSERT INTO d.t VALUES (1); INSERT INTO d.t VALUES (2)"), 8130);
    // One by the lexer, which reads the quote inside the comment; two by a server that skips the comment.
    root.code("INSERT INTO d.t VALUES (3) /*!9999999 ' */; INSERT INTO d.t VALUES (4) -- '");
    assert_eq!(root.one("SELECT COUNT(*) FROM d.t"), "0");
    root.done("INSERT INTO d.t VALUES (5); -- the end");
    assert_eq!(root.one("SELECT CONCAT(COUNT(*), ';') FROM d.t"), "1;");
}

#[test]
fn ten_thousand_rows_are_given_and_one_more_is_refused() {
    let servers = servers();
    let root = with_sample(&servers);
    assert_eq!(root.rows("SELECT id FROM shop.orders LIMIT 10000").len(), 10_000);
    let open = root.in_session(&session(&root.action("open")));
    let started = Instant::now();
    match open.run("SELECT a.id FROM shop.orders a, shop.order_items b") {
        SqlOutcome::Refused { message, .. } => {
            assert!(message.contains("10000") && message.contains("LIMIT"), "{message}")
        }
        other => panic!("{other:?}"),
    }
    // 20 billion rows take hours to send; the session goes on.
    assert!(started.elapsed() < Duration::from_secs(30));
    assert_eq!(open.one("SELECT 1"), "1");
}

#[test]
fn time_limits_of_hints_hold() {
    let servers = servers();
    let root = with_sample(&servers);
    let open = root.in_session(&session(&root.action("open")));
    let slow =
        "SELECT /*+ MAX_EXECUTION_TIME(100) */ COUNT(*) FROM shop.orders a JOIN shop.orders b ON a.note < b.note + 1";
    assert_eq!(open.code(slow), 3024);
    assert_eq!(open.one("SELECT SLEEP(0.2)"), "0", "the limit was that statement's only");
}

#[test]
fn a_branch_is_a_copy_of_its_parent_as_it_was() {
    let servers = servers();
    let parent = with_sample(&servers);
    let tidb = servers.engine().is_tidb();
    load(&parent, include_str!("../data/types.sql"));
    for statement in [
        "CREATE DATABASE `odd ``name` DEFAULT CHARACTER SET latin1",
        "CREATE TABLE `odd ``name`.`t;1` (id INT AUTO_INCREMENT PRIMARY KEY, f FLOAT, v VARCHAR(30) AS (CONCAT('f', f)) STORED)",
        "INSERT INTO `odd ``name`.`t;1` (f) VALUES (1.2345679), (NULL)",
        "CREATE VIEW shop.a_view AS SELECT * FROM shop.z_view",
        "CREATE SEQUENCE shop.seq START WITH 7",
    ] {
        // A view on another that comes later by name.
        if statement.contains("a_view") {
            parent.done("CREATE VIEW shop.z_view AS SELECT id, email FROM shop.customers WHERE country = 'DE'");
        }
        parent.done(statement);
    }
    assert_eq!(parent.one("SELECT NEXTVAL(shop.seq)"), "7");
    let started = Instant::now();
    copy(&servers, SAMPLE, "branch");
    let returned = started.elapsed();
    // From here on the two are apart, however long the copy takes.
    parent.done("UPDATE shop.orders SET note = 'parent'");
    let branch = Caller::new(&servers, "branch", Role::Admin, "branchprefix.root");
    assert_eq!(branch.one("SELECT COUNT(*) FROM shop.orders WHERE note = 'parent'"), "0");
    println!("copied in {:?}, of which the caller waited {returned:?}", started.elapsed());
    for table in [
        "shop.customers",
        "shop.products",
        "shop.order_items",
        "shop.event_log",
        "kinds.all_types",
        "`odd ``name`.`t;1`",
    ] {
        let everything = format!("SELECT * FROM {table} ORDER BY 1, 2 LIMIT 10000");
        let rows = branch.rows(&everything);
        assert!(!rows.is_empty(), "{table}");
        assert_eq!(rows, parent.rows(&everything), "{table}");
        let definition = format!("SHOW CREATE TABLE {table}");
        assert_eq!(branch.rows(&definition), parent.rows(&definition));
    }
    let bits = "SELECT COUNT(*) FROM `odd ``name`.`t;1` WHERE f = CAST(1.2345679 AS FLOAT)";
    assert_eq!(branch.one(bits), parent.one(bits), "floats are copied bit by bit");
    assert_eq!(branch.one("SELECT COUNT(*) FROM shop.order_items"), "200000");
    let reader = Caller::new(&servers, "branch", Role::ReadOnly, "branchprefix.reader");
    assert_eq!(reader.one("SELECT COUNT(*) FROM shop.a_view"), "1000");
    let next: u64 = branch.one("SELECT NEXTVAL(shop.seq)").parse().unwrap();
    assert!(next > 7, "{next}");
    branch.done("DROP TABLE shop.orders");
    assert_eq!(parent.one("SELECT COUNT(*) FROM shop.orders"), "100000");
    // A copy replaces what was there; sessions on it end.
    let open = branch.in_session(&session(&branch.action("open")));
    copy(&servers, SAMPLE, "branch");
    copy(&servers, "branch", "branch of branch");
    let grandchild = Caller::new(&servers, "branch of branch", Role::ReadOnly, "u");
    assert_eq!(grandchild.one("SELECT COUNT(*) FROM shop.orders WHERE note = 'parent'"), "100000");
    assert_eq!(branch.one("SELECT COUNT(*) FROM shop.orders WHERE note = 'parent'"), "100000");
    assert_eq!(open.run("SELECT 1"), SqlOutcome::NoSession);
    servers.apply(&SqlEffect::Drop(Instance("branch".to_owned())));
    let databases = branch.rows("SHOW DATABASES");
    assert!(!databases.contains(&vec!["shop".to_owned()]), "nothing is left: {databases:?}");
    assert!(tidb || returned < Duration::from_secs(2), "taking the snapshot is quick: {returned:?}");
}

/// Tables whose columns the server fills: a copy has the values that are there, and counts on where storage does.
#[test]
fn what_a_server_made_by_itself_is_copied_as_it_is() {
    let servers = servers();
    let tidb = servers.engine().is_tidb();
    let parent = Caller::new(&servers, "made", Role::Admin, "p.root");
    let mut script = vec![
        "CREATE DATABASE `tick``s`",
        "CREATE DATABASE a_first",
        // Sequences come after the tables that use them, by name and by database.
        "CREATE SEQUENCE `tick``s`.`z``z` START WITH 7",
        "CREATE SEQUENCE `tick``s`.steps START WITH 3 INCREMENT BY 5 CACHE 10",
        "CREATE SEQUENCE `tick``s`.down START WITH 100 INCREMENT BY -3 MINVALUE 1 MAXVALUE 200 CYCLE NOCACHE",
        "CREATE SEQUENCE `tick``s`.unused START WITH 40 INCREMENT BY -1 MINVALUE 1 MAXVALUE 50",
        "CREATE SEQUENCE `tick``s`.spent MAXVALUE 2 NOCACHE NOCYCLE",
        "CREATE TABLE a_first.t (id BIGINT AUTO_INCREMENT PRIMARY KEY, a INT, u VARCHAR(40) DEFAULT (UUID()), \
         n BIGINT DEFAULT NEXTVAL(`tick``s`.`z``z`), s TIMESTAMP(3) DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3), \
         d DATETIME DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP, g INT AS (a * 2) STORED, w INT AS (a + 1) VIRTUAL)",
        "INSERT INTO a_first.t (a) VALUES (1), (2), (3)",
        "DELETE FROM a_first.t WHERE a = 3",
        "CREATE TABLE `tick``s`.`row``s` (a INT, KEY (a))",
        "INSERT INTO `tick``s`.`row``s` VALUES (1), (2), (3)",
        "DELETE FROM `tick``s`.`row``s` WHERE a = 2",
        "CREATE TABLE `tick``s`.both_ids (id INT AUTO_INCREMENT UNIQUE, a INT)",
        "INSERT INTO `tick``s`.both_ids (a) VALUES (5), (6)",
        "CREATE TABLE `tick``s`.empty (id INT AUTO_INCREMENT PRIMARY KEY)",
        "CREATE VIEW `tick``s`.`vi``ew` AS SELECT id, a FROM a_first.t",
        "CREATE VIEW a_first.gone AS SELECT id FROM `tick``s`.empty",
        "DROP TABLE `tick``s`.empty",
    ];
    if tidb {
        script.extend([
            "DROP DATABASE test",
            "CREATE TABLE `tick``s`.rand (id BIGINT AUTO_RANDOM PRIMARY KEY, a INT)",
            "INSERT INTO `tick``s`.rand (a) VALUES (1), (2)",
            "CREATE TABLE `tick``s`.alone (id BIGINT PRIMARY KEY NONCLUSTERED AUTO_INCREMENT, a INT) AUTO_ID_CACHE 1",
            "INSERT INTO `tick``s`.alone (a) VALUES (1), (2)",
            "CREATE TABLE `tick``s`.parts (a INT, b INT) PARTITION BY HASH (a) PARTITIONS 3",
            "INSERT INTO `tick``s`.parts VALUES (1, 1), (2, 2), (3, 3)",
        ]);
    }
    for statement in script {
        parent.done(statement);
    }
    let next = |of: &Caller<'_>, sequence: &str| of.one(&format!("SELECT NEXTVAL(`tick``s`.{sequence})"));
    assert_eq!([next(&parent, "down"), next(&parent, "down")], ["100", "97"]);
    assert_eq!([next(&parent, "steps"), next(&parent, "spent"), next(&parent, "spent")], ["3", "1", "2"]);
    let mut questions: Vec<String> = [
        "SELECT * FROM a_first.t ORDER BY id",
        "SELECT * FROM `tick``s`.`vi``ew` ORDER BY id",
        "SELECT SCHEMA_NAME, DEFAULT_CHARACTER_SET_NAME FROM information_schema.SCHEMATA ORDER BY 1",
        "SHOW CREATE TABLE a_first.t",
        "SHOW CREATE DATABASE `tick``s`",
    ]
    .map(str::to_owned)
    .to_vec();
    let tables: &[&str] =
        if tidb { &["`row``s`", "both_ids", "rand", "alone", "parts"] } else { &["`row``s`", "both_ids"] };
    for table in tables {
        questions.push(format!("SELECT * FROM `tick``s`.{table} ORDER BY a"));
        questions.push(format!("SHOW CREATE TABLE `tick``s`.{table}"));
        if tidb && *table != "rand" {
            questions.push(format!("SELECT a, _tidb_rowid FROM `tick``s`.{table} ORDER BY a"));
        }
        if tidb && *table != "alone" {
            questions.push(format!("SHOW TABLE `tick``s`.{table} NEXT_ROW_ID"));
        }
    }
    for sequence in ["`z``z`", "steps", "down", "unused", "spent"] {
        questions.push(format!("SHOW CREATE SEQUENCE `tick``s`.{sequence}"));
        if tidb {
            questions.push(format!("SHOW TABLE `tick``s`.{sequence} NEXT_ROW_ID"));
        }
    }
    let as_it_was: Vec<_> = questions.iter().map(|question| parent.rows(question)).collect();
    copy(&servers, "made", "made again");
    thread::sleep(Duration::from_millis(1100));
    let branch = Caller::new(&servers, "made again", Role::Admin, "b.root");
    for (question, rows) in questions.iter().zip(&as_it_was) {
        assert_eq!(branch.rows(question), *rows, "{question}");
    }
    // Counting goes on after whatever the parent's server may have in memory.
    assert_eq!([next(&branch, "down"), next(&branch, "steps"), next(&branch, "unused")], ["94", "53", "40"]);
    assert_eq!(branch.code("SELECT NEXTVAL(`tick``s`.spent)"), if tidb { 4135 } else { 4084 });
    let known: BTreeSet<String> = parent.rows("SELECT n FROM a_first.t").concat().into_iter().collect();
    branch.done("INSERT INTO a_first.t (a) VALUES (9)");
    assert!(!known.contains(&branch.one("SELECT n FROM a_first.t WHERE a = 9")));
    branch.done("INSERT INTO `tick``s`.both_ids (a) VALUES (9)");
    branch.done("INSERT INTO `tick``s`.`row``s` VALUES (9)");
    // A view has the rights of its role and no others.
    let reader = Caller::new(&servers, "made again", Role::ReadOnly, "b.reader");
    assert_eq!(reader.one("SELECT COUNT(*) FROM `tick``s`.`vi``ew`"), "3");
    let mut there = reader.clone();
    there.task.database = "tick`s".to_owned();
    assert_eq!(there.one("SELECT COUNT(*) FROM `row``s`"), "3", "a database to begin in may be called anything");
}

/// What a real TiDB must not do on somebody's machine, and what it must do at once.
#[test]
fn a_real_tidb_keeps_to_its_place() {
    let servers = servers();
    if !servers.engine().is_tidb() {
        return;
    }
    let temporary = || -> BTreeSet<_> {
        let entries = std::fs::read_dir(std::env::temp_dir()).unwrap().filter_map(Result::ok);
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter(|name| name.contains("tidb") || name.ends_with("storage")).collect()
    };
    let before = temporary();
    let root = with_sample(&servers);
    root.one("SELECT 1");
    for table in
        ["CLUSTER_PROCESSLIST", "TIFLASH_REPLICA", "CLUSTER_SLOW_QUERY", "CLUSTER_STATEMENTS_SUMMARY", "CLUSTER_INFO"]
    {
        let started = Instant::now();
        root.rows(&format!("SELECT * FROM information_schema.{table} LIMIT 5"));
        assert!(started.elapsed() < Duration::from_secs(10), "{table} took {:?}", started.elapsed());
    }
    assert_eq!(root.one("SELECT @@system_time_zone"), "UTC");
    assert_eq!(root.one("SELECT TIMEDIFF(NOW(), UTC_TIMESTAMP()) BETWEEN '-00:00:01' AND '00:00:01'"), "1");
    assert_eq!(root.one("SELECT @@max_execution_time"), "300000");
    root.one("SELECT SLEEP(0.5)");
    assert_ne!(root.one("SELECT COUNT(*) FROM information_schema.SLOW_QUERY WHERE Query LIKE '%SLEEP%'"), "0");
    assert_eq!(root.rows("SHOW STATS_META WHERE Db_name = 'shop' AND Table_name = 'orders'")[0][5], "100000");
    let plan = root.rows("EXPLAIN SELECT * FROM shop.orders WHERE customer_id = 42").concat().join(" ");
    assert!(!plan.contains("stats:pseudo"), "{plan}");
    root.done("CREATE TABLE shop.dropped (id INT PRIMARY KEY)");
    root.done("DROP TABLE shop.dropped");
    for statement in
        ["FLASHBACK TABLE shop.dropped", "recover table shop.dropped", "/* x */ flashback database shop TO s"]
    {
        match root.run(statement) {
            SqlOutcome::Refused { code: 1235, message, .. } => {
                assert!(message.contains("FLASHBACK") || message.contains("RECOVER TABLE"), "{message}");
            }
            other => panic!("{statement}: {other:?}"),
        }
    }
    // A role works for the first statement after a start.
    servers.apply(&SqlEffect::Sample(Instance("fresh".to_owned())));
    let reader = Caller::new(&servers, "fresh", Role::ReadOnly, "p.reader");
    assert_eq!(reader.one("SELECT COUNT(*) FROM shop.products"), "200");
    servers.close();
    assert_eq!(temporary(), before, "nothing is left behind");
    let here: BTreeSet<_> =
        std::fs::read_dir(".").unwrap().filter_map(Result::ok).map(|entry| entry.file_name()).collect();
    for stray in ["tidb-slow.log", "oom_record", "tmp_ddl-0"] {
        assert!(!here.contains(std::ffi::OsStr::new(stray)), "{stray} is in the working directory");
    }
}

#[test]
fn a_branch_of_what_was_never_used_starts_nothing() {
    let servers = servers();
    servers.apply(&SqlEffect::Sample(Instance(SAMPLE.to_owned())));
    copy(&servers, SAMPLE, "branch");
    copy(&servers, "nothing", "branch of nothing");
    let branch = Caller::new(&servers, "branch", Role::ReadOnly, "u");
    assert_eq!(branch.one("SELECT COUNT(*) FROM shop.orders"), "100000");
    let nothing = Caller::new(&servers, "branch of nothing", Role::ReadOnly, "u");
    assert_eq!(nothing.code("SELECT COUNT(*) FROM shop.orders"), 1146);
}

#[test]
fn a_slow_statement_holds_nobody_up() {
    let servers = servers();
    let caller = |instance: &str| Caller::new(&servers, instance, Role::ReadWrite, "u");
    for instance in ["a", "b"] {
        caller(instance).one("SELECT 1");
    }
    thread::scope(|scope| {
        let slow = scope.spawn(|| {
            let started = Instant::now();
            assert_eq!(caller("a").one("SELECT SLEEP(3)"), "0");
            started.elapsed()
        });
        thread::sleep(Duration::from_millis(200));
        let started = Instant::now();
        for instance in ["a", "b", "a", "b"] {
            assert_eq!(caller(instance).one("SELECT 1"), "1");
        }
        assert!(started.elapsed() < Duration::from_secs(2));
        assert!(slow.join().unwrap() >= Duration::from_secs(3));
    });
}

/// Many at once, the first request of an instance among them: all must find the one server that is started.
#[test]
fn requests_of_one_instance_may_come_at_once() {
    let servers = servers();
    servers.apply(&SqlEffect::Sample(Instance(SAMPLE.to_owned())));
    thread::scope(|scope| {
        for number in 0..16 {
            let servers = &servers;
            scope.spawn(move || {
                let caller = Caller::new(servers, SAMPLE, Role::ReadOnly, &format!("user{}", number % 3));
                for _ in 0..5 {
                    assert_eq!(caller.one("SELECT COUNT(*) FROM shop.products"), "200");
                }
            });
        }
    });
}

fn server_process(caller: &Caller<'_>) -> u32 {
    let file = caller.one("SELECT @@pid_file");
    std::fs::read_to_string(file).unwrap().trim().parse().unwrap()
}

/// One that has ended is not running, even if nobody has waited for it. A small Debian has no `ps`, and macOS no `/proc`.
fn is_running(process: u32) -> bool {
    let state = if Path::new("/proc/self/stat").exists() {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").map(|(_, rest)| rest.to_owned()).unwrap_or_default()
    } else {
        let ps = Command::new("ps").args(["-o", "stat=", "-p", &process.to_string()]).output().unwrap();
        String::from_utf8_lossy(&ps.stdout).trim().to_owned()
    };
    !state.is_empty() && !state.starts_with('Z')
}

fn kill(process: u32) {
    let killed = Command::new("kill").args(["-KILL", &process.to_string()]).status().unwrap();
    assert!(killed.success());
}

fn wait_until_gone(process: u32) {
    let started = Instant::now();
    while is_running(process) {
        assert!(started.elapsed() < Duration::from_secs(10), "process {process} is still there");
        thread::sleep(Duration::from_millis(20));
    }
}

/// This test runs itself as another process, which starts a server, tells its process id and waits to be killed.
#[test]
fn servers_die_with_their_owner_however_it_dies() {
    const OWNER: &str = "SANDBOX_TEST_OWNER";
    if engine().is_tidb() {
        // TiDB tells no process id; it hangs on the same leash.
        return;
    }
    if std::env::var_os(OWNER).is_some() {
        let servers = servers();
        let caller = Caller::new(&servers, "a", Role::Admin, "root");
        println!("\nserver {}", server_process(&caller));
        thread::sleep(Duration::from_secs(600));
    }
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "servers_die_with_their_owner_however_it_dies", "--nocapture"])
        .env(OWNER, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(owner.stdout.take().unwrap()).lines();
    let server = lines.map_while(Result::ok).find_map(|line| line.strip_prefix("server ")?.parse().ok()).unwrap();
    assert!(is_running(server));
    kill(owner.id());
    owner.wait().unwrap();
    wait_until_gone(server);
}

#[test]
fn a_server_that_died_is_started_again_with_its_data() {
    let servers = servers();
    if servers.engine().is_tidb() {
        return;
    }
    let root = Caller::new(&servers, "a", Role::Admin, "root");
    root.done("CREATE DATABASE d");
    root.done("CREATE TABLE d.t (id INT)");
    root.done("INSERT INTO d.t VALUES (1)");
    let open = root.in_session(&session(&root.action("open")));
    let process = server_process(&root);
    // Its log is written once a second.
    thread::sleep(Duration::from_millis(1500));
    kill(process);
    wait_until_gone(process);
    assert!(matches!(open.run("SELECT 1"), SqlOutcome::Unavailable(_)));
    assert_eq!(open.run("SELECT 1"), SqlOutcome::NoSession);
    assert_eq!(root.one("SELECT COUNT(*) FROM d.t"), "1");
    let again = server_process(&root);
    servers.apply(&SqlEffect::DropAll);
    wait_until_gone(again);
}

#[test]
fn what_only_tidb_understands_is_recorded_or_refused() {
    let servers = servers();
    if servers.engine().is_tidb() {
        return;
    }
    let root = with_sample(&servers);
    let plan =
        "EXPLAIN FORMAT = 'brief' SELECT * FROM shop.orders WHERE customer_id = 42 ORDER BY placed_at DESC LIMIT 10";
    assert_eq!(root.rows(plan)[0][0], "TopN");
    root.done("ALTER TABLE shop.orders ADD INDEX idx_customer_placed (customer_id, placed_at)");
    assert_eq!(root.rows(plan)[0][0], "IndexLookUp", "the recording made with the index");
    let reader = Caller::new(&servers, SAMPLE, Role::ReadOnly, "p.reader");
    for statement in [
        "EXPLAIN FORMAT = 'dot' SELECT 1 + 1 FROM shop.orders",
        "SELECT attributes->>'$.weight_g' FROM shop.products",
        "SELECT TIDB_VERSION()",
        "SELECT * FROM information_schema.CLUSTER_SLOW_QUERY",
        "SHOW STATS_META WHERE Db_name = 'other'",
        "SELECT COUNT(*) FROM shop.orders AS OF TIMESTAMP NOW() - INTERVAL 9 SECOND",
    ] {
        match reader.run(statement) {
            SqlOutcome::Refused { code: 1235, message, .. } => {
                assert!(message.contains("only TiDB understands"), "{message}")
            }
            other => panic!("{statement}: {other:?}"),
        }
    }
    // The user's own mistakes stay the user's.
    assert_eq!(reader.code("EXPLAIN SELECT * FROM shop.nothing"), 1146);
    assert_eq!(reader.code("EXPLAIN DELETE FROM shop.orders WHERE id = 7"), 1142);
    assert_eq!(reader.code("SELECT nothing FROM shop.orders"), 1054);
    // Recordings are about the sample data: elsewhere they would be lies.
    let empty = Caller::new(&servers, "empty", Role::Admin, "root");
    assert_eq!(empty.code(plan), 1146);
    assert_eq!(empty.code("SHOW STATS_HEALTHY WHERE Db_name = 'shop'"), 1235);
    assert!(empty.one("SELECT VERSION()").contains("TiDB"));
}

/// TiDB's grants say nothing of passwords; MariaDB's do.
#[test]
fn no_account_is_shown_with_its_password() {
    let servers = servers();
    if servers.engine().is_tidb() {
        return;
    }
    let root = with_sample(&servers);
    root.done("CREATE USER 'other'@'%' IDENTIFIED BY 'Canary-other-1!'");
    root.done("GRANT SELECT ON shop.* TO 'other'@'%'");
    root.done(
        "CREATE USER 'both'@'%' IDENTIFIED VIA unix_socket OR mysql_native_password USING PASSWORD('Canary-both-1!')",
    );
    for role in [Role::ReadOnly, Role::ReadWrite, Role::Admin] {
        let caller = Caller::new(&servers, SAMPLE, role, "p.caller");
        for (show, begins) in [("SHOW GRANTS", "GRANT "), ("SHOW CREATE USER", "CREATE USER ")] {
            let names = if show == "SHOW GRANTS" {
                vec!["", " FOR CURRENT_USER()", " FOR 'other'@'%'", " FOR 'both'@'%'"]
            } else {
                vec!["", " CURRENT_USER", " 'other'@'%'", " 'both'@'%'"]
            };
            for name in names {
                for statement in [
                    format!("{show}{name}"),
                    format!("/*!{show}*/{name}"),
                    format!("/*!50000 {show}*/{name}"),
                    format!("EXECUTE IMMEDIATE \"{show}{name}\""),
                ] {
                    let text = caller.rows(&statement).concat().join("\n");
                    assert!(text.starts_with(begins), "{statement}: {text}");
                    let tells = ["IDENTIFIED", "PASSWORD", "*"]
                        .iter()
                        .any(|word| text.replace("*.*", "").replace(".*", "").contains(word));
                    assert!(!tells, "{statement}: {text}");
                }
            }
        }
    }
    assert_eq!(root.one("SHOW GRANTS FOR 'other'@'%'"), "GRANT USAGE ON *.* TO `other`@`%`");
}

/// Plans follow from statistics: a sample that has just begun has them.
#[test]
fn a_fresh_sample_knows_how_many_rows_it_has() {
    let servers = servers();
    // A TiDB that has just started shows 0 here until it has read its statistics.
    if servers.engine().is_tidb() {
        return;
    }
    let root = with_sample(&servers);
    for (table, rows) in root
        .rows("SELECT TABLE_NAME, TABLE_ROWS FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'shop'")
        .into_iter()
        .map(|row| (row[0].clone(), row[1].parse::<u32>().unwrap()))
    {
        let counted: u32 = root.one(&format!("SELECT COUNT(*) FROM shop.{table}")).parse().unwrap();
        // An estimate may be one.
        assert!(rows.abs_diff(counted) <= counted / 50, "{table}: {rows} in place of {counted}");
    }
}
