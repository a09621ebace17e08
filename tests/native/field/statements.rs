//! Which statements run, and the reasons of those that do not: what SHOW CREATE TABLE prints, reads beside SELECT, what a
//! session takes with it and what outlasts it.

use mcp_server_tidbcloud::sql::{self, Class, Reason, classify, inspect};
use proptest::prelude::*;
use serde_json::json;

use super::{answer, refusal};
use crate::world::Native;

/// Whether a statement gets through the gate of `db_query`: the practice server may not know it.
fn is_sent(server: &mut Native, sql: &str) {
    let error = &answer(server, "db_query", sql)["error"];
    assert!(error.is_null() || error["code"] == "SQL_ERROR", "{sql}: {error}");
}

#[test]
fn fld_011_what_show_create_table_prints_can_be_run_again() {
    let mut server = Native::new();
    let table = "CREATE TABLE shop.clustered (id INT, PRIMARY KEY (id) /*T![clustered_index] CLUSTERED */)";
    let made = answer(&mut server, "db_execute", table);
    assert_eq!(made["statementCount"], 1, "{made}");
    assert!(refusal(&mut server, "db_query", "SELECT 1 /*T![clustered_index] + 1 */").contains("/*T!"));
    // As mysqldump writes it: the content is the statement.
    let dumped = "/*!50000 DROP TABLE shop.clustered */";
    assert_eq!(answer(&mut server, "db_execute", dumped)["statementCount"], 1);
    assert_eq!(answer(&mut server, "db_query", "SHOW TABLES FROM shop LIKE 'clustered'")["rows"], json!([]));
    for (sql, word) in [
        ("INSERT INTO shop.event_log VALUES (1 /*T![new_feature] , SLEEP(9) */)", "`sleep`"),
        ("DELETE FROM shop.orders WHERE id = 1 /*T![new_feature] OR 1 */", "as SQL"),
        ("/*!40101 SET NAMES binary */", "each call has its own session"),
        ("/*! SHOW VARIABLES */", "as SQL"),
    ] {
        let message = refusal(&mut server, "db_execute", sql);
        assert!(message.contains(word), "{sql}: {message}");
    }
}

#[test]
fn fld_016_what_ends_with_its_session_is_refused_as_that() {
    let mut server = Native::new();
    for (sql, instead) in [
        ("CREATE TEMPORARY TABLE tt (id INT)", "WITH"),
        ("create /* x */ temporary table if not exists tt like shop.orders", "WITH"),
        ("DROP TEMPORARY TABLE tt", "WITH"),
        ("CREATE SESSION BINDING FOR SELECT 1 USING SELECT 1", "GLOBAL"),
        ("CREATE BINDING USING SELECT 1", "GLOBAL"),
        ("SET @a = 1", "the statement itself"),
        ("SET SESSION sql_mode = ''", "the statement itself"),
        ("SET TRANSACTION ISOLATION LEVEL READ COMMITTED", "the statement itself"),
        ("SET RESOURCE GROUP rg", "the statement itself"),
        ("PREPARE s FROM 'SELECT 1'", "the statement itself"),
        ("EXECUTE s", "the statement itself"),
        ("LOCK TABLES shop.orders WRITE", "one array"),
        ("UNLOCK TABLES", "one array"),
        ("SELECT GET_LOCK('a', 5)", "one array"),
    ] {
        for name in ["db_query", "db_execute"] {
            let message = refusal(&mut server, name, sql);
            assert!(message.contains("each call has its own session") && message.contains(instead), "{sql}: {message}");
        }
    }
    assert!(refusal(&mut server, "db_execute", "SELECT @x := 5").contains("ends with the call"));
    // The definition lasts.
    assert!(inspect("CREATE GLOBAL TEMPORARY TABLE t (id INT) ON COMMIT DELETE ROWS").is_ok());
}

#[test]
fn fld_024_what_show_knows_and_what_changes_nothing_is_read() {
    let mut server = Native::new();
    for sql in [
        "SHOW TRIGGERS",
        "SHOW EVENTS FROM shop",
        "SHOW PROCEDURE STATUS WHERE Db = 'shop'",
        "SHOW FUNCTION STATUS LIKE 'a%'",
        "SHOW PLUGINS",
        "SHOW BINDINGS",
        "show global bindings",
    ] {
        is_sent(&mut server, sql);
    }
    assert!(answer(&mut server, "db_query", "SHOW TRIGGERS FROM shop")["rows"].is_array());
    refusal(&mut server, "db_query", "SHOW TRIGGERS FROM mysql");
}

/// The targets of SHOW in TiDB's grammar (`ShowStmt` and `ShowTargetFilterable` in `parser.y`), and whether `db_query` takes
/// them.
const SHOWN: &[(&str, bool)] = &[
    ("ENGINES", true),
    ("DATABASES", true),
    ("CONFIG", false),
    ("CHARACTER SET", true),
    ("CHARSET", true),
    ("FULL TABLES FROM d", true),
    ("OPEN TABLES IN d", true),
    ("TABLE STATUS FROM d", true),
    ("INDEX FROM t", true),
    ("INDEXES IN t FROM d", true),
    ("KEYS FROM d.t", true),
    ("FULL COLUMNS FROM t", true),
    ("EXTENDED FULL FIELDS FROM t IN d", true),
    ("COUNT(*) WARNINGS", true),
    ("WARNINGS", true),
    ("COUNT(*) ERRORS", true),
    ("ERRORS", true),
    ("GLOBAL VARIABLES", true),
    ("SESSION STATUS", true),
    ("GLOBAL BINDINGS", true),
    ("COLLATION", true),
    ("TRIGGERS FROM d", true),
    ("BINDING_CACHE STATUS", true),
    ("PROCEDURE STATUS", true),
    ("FUNCTION STATUS", true),
    ("EVENTS IN d", true),
    ("PLUGINS", true),
    ("SESSION_STATES", false),
    ("STATS_EXTENDED", true),
    ("STATS_META", true),
    ("STATS_HISTOGRAMS", true),
    ("STATS_TOPN", true),
    ("STATS_BUCKETS", true),
    ("STATS_HEALTHY", true),
    ("STATS_LOCKED", true),
    ("HISTOGRAMS_IN_FLIGHT", true),
    ("COLUMN_STATS_USAGE", true),
    ("AFFINITY", true),
    ("ANALYZE STATUS", true),
    ("BACKUPS", false),
    ("RESTORES", false),
    ("PLACEMENT", true),
    ("PLACEMENT LABELS", true),
    ("IMPORT GROUPS", false),
    ("IMPORT JOBS", false),
    ("RAW IMPORT JOBS", false),
    ("DISTRIBUTION JOBS", true),
    ("TABLE d.t PARTITION (p, q) REGIONS", true),
    ("TABLE t INDEX i REGIONS", true),
    ("TABLE t DISTRIBUTIONS", true),
    ("MASKING POLICIES FOR t", true),
];

/// The same, where no condition follows.
const SHOWN_WHOLE: &[(&str, bool)] = &[
    ("CREATE TABLE d.t", true),
    ("CREATE VIEW v", true),
    ("CREATE DATABASE IF NOT EXISTS d", true),
    ("CREATE SEQUENCE s", true),
    ("CREATE PLACEMENT POLICY p", true),
    ("CREATE RESOURCE GROUP r", true),
    ("CREATE USER u", false),
    ("CREATE PROCEDURE p", true),
    ("TABLE t NEXT_ROW_ID", true),
    ("GRANTS FOR u USING r", true),
    ("MASTER STATUS", false),
    ("BINARY LOG STATUS", false),
    ("REPLICA STATUS", false),
    ("FULL PROCESSLIST", true),
    ("PROFILES", true),
    ("PROFILE CPU FOR QUERY 1 LIMIT 1", true),
    ("PRIVILEGES", true),
    ("BUILTINS", true),
    ("PLACEMENT FOR DATABASE d", true),
    ("PLACEMENT FOR TABLE t PARTITION p", true),
    ("IMPORT JOB 5", false),
    ("DISTRIBUTION JOB 5", true),
];

/// Statements of each kind, and what they are to `db_query` by themselves.
const KINDS: &[(&str, &str)] = &[
    ("SELECT a FROM t WHERE id = 1", "read"),
    ("( SELECT 1 ) UNION ( SELECT 2 )", "read"),
    ("TABLE t", "read"),
    ("VALUES ROW ( 1 )", "read"),
    ("WITH c AS ( SELECT 1 ) SELECT * FROM c", "read"),
    ("SELECT NEXTVAL ( s )", "write"),
    ("SELECT a FROM t FOR UPDATE", "reject"),
    ("SELECT SLEEP ( 9 )", "reject"),
    ("INSERT IGNORE INTO t ( a ) VALUES ( 1 ) ON DUPLICATE KEY UPDATE a = 2", "change"),
    ("INSERT INTO t SELECT a FROM u", "change"),
    ("REPLACE t SET a = 1", "change"),
    ("UPDATE t JOIN u ON t.id = u.id SET t.a = 1 WHERE u.b = 2", "change"),
    ("DELETE FROM t WHERE id = 1 ORDER BY id LIMIT 5", "change"),
    ("DELETE FROM t", "change"),
    ("DELETE t FROM t JOIN u USING ( id )", "change"),
    ("WITH c AS ( SELECT 1 ) UPDATE t SET a = 1", "change"),
    ("UPDATE t SET a = 1 WHERE id = ( SELECT SLEEP ( 9 ) )", "worse"),
    ("INSERT INTO t VALUES ( DEFAULT )", "worse"),
    ("UPDATE t SET a = NEXTVAL ( s )", "worse"),
    ("DELETE FROM mysql.user", "worse"),
    ("CREATE TABLE t ( id INT , PRIMARY KEY ( id ) CLUSTERED )", "write"),
    ("CREATE GLOBAL TEMPORARY TABLE t ( id INT ) ON COMMIT DELETE ROWS", "write"),
    ("CREATE VIEW v AS SELECT a FROM t", "write"),
    ("CREATE VIEW v AS SELECT NEXTVAL ( s )", "write"),
    ("ALTER TABLE t ADD COLUMN a INT , ADD INDEX i ( a )", "write"),
    ("ALTER TABLE t ADD COLUMN a INT REMOVE TTL", "write"),
    ("DROP TABLE t", "write"),
    ("TRUNCATE TABLE t", "write"),
    ("GRANT SELECT ON d.* TO alice", "write"),
    ("GRANT SELECT ON d.* TO mcp_ro_0123abcd", "write"),
    ("RECOVER TABLE t", "write"),
    ("BATCH ON id LIMIT 10 DELETE FROM t WHERE id = 1", "write"),
    ("SHOW VARIABLES", "read"),
    ("SHOW CREATE USER u", "reject"),
    ("EXPLAIN ANALYZE DELETE FROM t WHERE id = 1", "write"),
    ("CREATE TEMPORARY TABLE t ( id INT )", "reject"),
    ("SET GLOBAL a = 1", "reject"),
    ("SET a = 1", "reject"),
    ("USE d", "reject"),
    ("BEGIN", "reject"),
    ("ADMIN CANCEL DDL JOBS 1", "reject"),
    ("ADMIN SHOW DDL JOBS", "read"),
    ("LOAD DATA INFILE 'x' INTO TABLE t", "reject"),
    ("PREPARE s FROM 'SELECT 1'", "reject"),
    ("CALL p ( )", "reject"),
];

fn word(class: &Class) -> &'static str {
    match class {
        Class::Read => "read",
        Class::Write => "write",
        Class::Reject(_) => "reject",
    }
}

#[test]
fn fld_024_each_target_of_show_is_known() {
    for (target, read) in SHOWN.iter().chain(SHOWN_WHOLE) {
        let tails: &[&str] =
            if SHOWN.contains(&(target, *read)) { &["", " LIKE 'a%'", " WHERE a = 1 AND b IN ('x')"] } else { &[""] };
        for tail in tails {
            let sql = format!("SHOW {target}{tail}");
            assert_eq!(classify(&sql) == Class::Read, *read, "{sql}: {:?}", classify(&sql));
            assert_eq!(inspect(&sql).is_ok(), *read, "{sql}: {:?}", inspect(&sql));
            if !read {
                let first = target.split(' ').next().unwrap_or_default();
                let message = inspect(&sql).expect_err("refused").sentence();
                assert!(message.starts_with(&format!("`SHOW {first}")), "{sql}: {message}");
            }
        }
        let sleeps = format!("SHOW {target} WHERE SLEEP(9)");
        assert!(matches!(classify(&sleeps), Class::Reject(_)), "{sleeps}");
    }
}

#[test]
fn fld_025_a_refusal_says_the_true_reason_and_what_to_do() {
    let mut server = Native::new();
    for (sql, word, instead) in [
        ("EXPLAIN FORMAT=TREE SELECT 1", "has no format `TREE`", "'brief'"),
        ("EXPLAIN FORMAT = 'xml' SELECT 1", "has no format `XML`", "'brief'"),
        ("USE shop", "`USE`", "`database`"),
        ("CREATE PROCEDURE p () SELECT 1", "does not have `CREATE PROCEDURE`", "db_execute"),
        (
            "CREATE DEFINER = 'a'@'%' TRIGGER g AFTER INSERT ON t FOR EACH ROW DELETE FROM t",
            "`CREATE TRIGGER`",
            "db_execute",
        ),
        ("DROP FUNCTION IF EXISTS f", "`DROP FUNCTION`", "db_execute"),
        ("CALL p(1)", "`CALL`", "db_execute"),
        ("SELEC 1", "`SELEC`", "Did you mean SELECT?"),
        ("UPDAET t SET a = 1", "`UPDAET`", "Did you mean UPDATE?"),
        ("BEGIN", "`BEGIN`", "one array"),
        ("COMMIT", "`COMMIT`", "one array"),
        ("LOAD DATA LOCAL INFILE 'x' INTO TABLE t", "`LOAD DATA` reads files", "INSERT"),
        ("KILL 5", "`KILL`", "SQL editor"),
        ("FLUSH TABLES", "`FLUSH TABLES`", "SQL editor"),
        ("VACUUM t", "`VACUUM`", "what TiDB supports"),
        ("SELECT * FROM t JOIN LATERAL (SELECT 1) x", "`LATERAL`", "what TiDB supports"),
        ("SELECT 0X1F", "`0X1F`", "0x1f"),
        ("SELECT a FROM t WHERE b = ?", "`?` outside quotes", "`params`"),
        ("SHOW CREATE USER root", "`SHOW CREATE USER`", "information_schema"),
        ("TRACE DELETE FROM t", "`DELETE`", "TRACE SELECT"),
        ("SELECT 1; SELECT 2", "`;`", "db_query call"),
        ("SELECT 'a", "The quote ' is not closed", "Double a quote"),
        ("SELECT /*+ SET_VAR(a = 1) */ 1", "set_var", "Leave it out"),
    ] {
        for name in ["db_query", "db_execute"] {
            let message = refusal(&mut server, name, sql);
            assert!(message.contains(word) && message.contains(instead), "{name} {sql}: {message}");
        }
    }
}

#[test]
fn tdb_004_what_lasts_is_refused_as_that() {
    let mut server = Native::new();
    for (sql, word) in [
        ("LOCK STATS shop.orders", "`LOCK STATS`"),
        ("UNLOCK STATS shop.orders PARTITION p0", "`UNLOCK STATS`"),
        ("SET GLOBAL x = 1", "`SET GLOBAL`"),
        ("SET @@global.x = 1", "`SET GLOBAL`"),
        ("SET @a = 1, @@GLOBAL . x = 1", "`SET GLOBAL`"),
        ("SET x = 1, GLOBAL y = 2", "`SET GLOBAL`"),
        ("SET PERSIST x = 1", "`SET PERSIST`"),
        ("SET DEFAULT ROLE r TO alice", "`SET DEFAULT ROLE`"),
        ("SET CONFIG tikv log.level = 'info'", "`SET CONFIG`"),
        ("SET BINDING DISABLED FOR SELECT 1", "`SET BINDING`"),
        ("ADMIN CANCEL DDL JOBS 5", "`ADMIN CANCEL`"),
        ("ADMIN SET BDR ROLE PRIMARY", "`ADMIN SET`"),
    ] {
        for name in ["db_query", "db_execute"] {
            let message = refusal(&mut server, name, sql);
            assert!(message.starts_with(&format!("{word} is a lasting change")), "{sql}: {message}");
            assert!(!message.contains("gone") && message.contains("SQL editor"), "{sql}: {message}");
        }
    }
    assert!(refusal(&mut server, "db_execute", "SET PASSWORD = 'canary'").contains("db_create_user"));
    let read = "SET @@session.sql_mode = @@global.sql_mode";
    assert!(
        refusal(&mut server, "db_execute", read).contains("each call has its own session"),
        "what is read is not set"
    );
}

#[test]
fn tdb_005_reads_beside_select() {
    let mut server = Native::new();
    for sql in [
        "EXPLAIN INSERT INTO shop.event_log VALUES (1, NOW(), 'x')",
        "EXPLAIN UPDATE shop.orders SET customer_id = 1 WHERE id = 1",
        "EXPLAIN FORMAT = 'brief' DELETE FROM shop.orders",
        "TRACE SELECT 1",
        "TRACE FORMAT = 'json' SELECT 1",
        "ADMIN SHOW DDL JOBS",
        "ADMIN SHOW shop.orders NEXT_ROW_ID",
        "SHOW STATS_LOCKED",
        "SHOW COLUMN_STATS_USAGE",
        "SHOW PLACEMENT",
        "SHOW TABLE shop.orders REGIONS",
        "SELECT {ts '2026-01-01 00:00:00'}, {d '2026-01-01'}, {t '10:00:00'}",
    ] {
        is_sent(&mut server, sql);
    }
    let literal = "SELECT COUNT(*) FROM shop.orders WHERE placed_at < {ts '1970-01-01 00:00:00'}";
    assert_eq!(answer(&mut server, "db_query", literal)["rows"], json!([["0"]]));
    for sql in ["TRACE DELETE FROM shop.orders", "TRACE PLAN SELECT 1", "EXPLAIN EXPLORE SELECT 1", "SELECT {fn NOW()}"]
    {
        refusal(&mut server, "db_query", sql);
    }
    // On a TiDB, the plan takes the next number of a sequence that is the default.
    for (sql, word) in [
        ("EXPLAIN INSERT INTO t VALUES (DEFAULT)", "`DEFAULT`"),
        ("EXPLAIN INSERT INTO t VALUES (NEXTVAL(s))", "`NEXTVAL`"),
        ("EXPLAIN ANALYZE DELETE FROM t WHERE id = 1", "`DELETE`"),
        ("TRACE SELECT NEXT VALUE FOR s", "`NEXT`"),
        ("BATCH ON id LIMIT 10 DELETE FROM t", "`BATCH`"),
    ] {
        let error = &answer(&mut server, "db_query", sql)["error"];
        assert_eq!(error["code"], "READ_ONLY_VIOLATION", "{sql}");
        assert!(error["message"].as_str().expect("a message").starts_with(word), "{sql}: {error}");
    }
}

/// Each kind of statement behind each prefix that explains or traces.
#[test]
fn tdb_005_what_is_explained_or_traced_is_a_read_where_it_runs_nothing_else() {
    let formats = ["row", "brief", "verbose", "dot", "tidb_json", "cost_trace"];
    for (sql, kind) in KINDS {
        assert_eq!(word(&classify(sql)), if matches!(*kind, "change" | "worse") { "write" } else { kind }, "{sql}");
        let query = ["SELECT", "( SELECT", "TABLE", "VALUES", "WITH"].iter().any(|verb| sql.starts_with(verb));
        for verb in ["EXPLAIN", "desc", "DESCRIBE"] {
            for format in formats.iter().map(|name| format!(" FORMAT = '{name}'")).chain([String::new()]) {
                let planned = format!("{verb}{format} {sql}");
                let reads = *kind == "change" || query && *kind == "read";
                assert_eq!(classify(&planned) == Class::Read, reads, "{planned}: {:?}", classify(&planned));
                let run = format!("{verb} ANALYZE{format} {sql}");
                let reads = query && *kind == "read";
                assert_eq!(classify(&run) == Class::Read, reads, "{run}: {:?}", classify(&run));
            }
        }
        for format in ["", " FORMAT = 'row'", " FORMAT = 'json'", " FORMAT = \"log\""] {
            let traced = format!("TRACE{format} {sql}");
            let reads = query && *kind == "read";
            assert_eq!(classify(&traced) == Class::Read, reads, "{traced}: {:?}", classify(&traced));
            assert!(inspect(&traced).is_err() || query && *kind != "change", "{traced}");
        }
        for twice in
            ["EXPLAIN EXPLAIN", "TRACE EXPLAIN", "EXPLAIN TRACE", "TRACE TRACE", "TRACE PLAN", "EXPLAIN EXPLORE"]
        {
            let sql = format!("{twice} {sql}");
            let column = sql == "EXPLAIN TRACE BEGIN";
            assert!(column || matches!(classify(&sql), Class::Reject(_)) && inspect(&sql).is_err(), "{sql}");
        }
    }
}

const OPENERS: &[&str] =
    &["!", "!50000 ", "T!", "T![clustered_index] ", "T![ttl,placement] ", "T![a] ", "T![b] ", "T![a,ttl] "];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// A statement with executable comments is judged as each server reads it: with their content, without it, or with some
    /// of it, as the opener says.
    #[test]
    fn fld_011_a_comment_that_a_server_may_execute_makes_no_other_statement(
        kind in any::<prop::sample::Index>(),
        comments in prop::collection::vec((any::<prop::sample::Index>(), 0..6_usize, 0..OPENERS.len()), 1..4),
    ) {
        let (plain, _) = KINDS[kind.index(KINDS.len())];
        let tokens: Vec<&str> = plain.split(' ').collect();
        // Where each comment begins and ends; one begins after the one before has ended.
        let mut places: Vec<(usize, usize, usize)> = Vec::new();
        for (start, length, opener) in comments {
            let start = places.last().map_or(0, |(_, end, _)| *end).max(start.index(tokens.len() + 1));
            places.push((start, (start + length).min(tokens.len()), opener));
        }
        let read = |executed: &dyn Fn(usize) -> Option<bool>| {
            let mut text = String::new();
            for at in 0..=tokens.len() {
                for (start, end, opener) in &places {
                    if *start == at {
                        match executed(*opener) {
                            None => text.push_str(&format!("/*{} {} */ ", OPENERS[*opener], tokens[*start..*end].join(" "))),
                            Some(true) => text.push_str(&format!("{} ", tokens[*start..*end].join(" "))),
                            Some(false) => {}
                        }
                    }
                }
                let inside = places.iter().any(|(start, end, _)| (*start..*end).contains(&at));
                if let Some(token) = tokens.get(at).filter(|_| !inside) {
                    text.push_str(token);
                    text.push(' ');
                }
            }
            text
        };
        let written = read(&|_| None);
        prop_assert!(matches!(classify(&written), Class::Reject(_)), "{}", written);
        let judged = inspect(&written);
        prop_assert!(judged.is_err() || judged == inspect(plain), "{}: {:?}", written, judged);
        // The first five openers are executed by every TiDB, each of the others where the version knows it, and MySQL skips all.
        let ways = (0..16_u8).filter(|way| *way == 0 || way & 1 == 1);
        let readings: Vec<String> =
            ways.map(|way| read(&|opener| Some(way & (1 << opener.saturating_sub(4)) != 0))).collect();
        let mut all: Vec<_> = readings.iter().map(|text| inspect(text)).filter(|judged| *judged != Err(Reason::Empty)).collect();
        all.dedup();
        if judged.is_ok() {
            prop_assert_eq!(&all, &vec![judged], "{} may be one of {:?}", written, readings);
            return Ok(());
        }
        // It is refused only where that makes a difference: for two statements that it may be, for more features than two,
        // and outside of changes.
        let features = places.iter().map(|(_, _, opener)| *opener).filter(|opener| *opener > 4);
        let few = features.collect::<std::collections::BTreeSet<_>>().len() <= 2;
        let change = ["INSERT", "REPLACE", "UPDATE", "DELETE", "CREATE", "ALTER", "DROP", "TRUNCATE", "RECOVER", "GRANT", "BATCH"];
        let changes = readings.iter().all(|text| text.is_empty() || change.iter().any(|verb| text.starts_with(verb)));
        prop_assert!(!few || !changes || !matches!(all.as_slice(), [Ok(_)]), "{}: {:?} and {:?}", written, judged, all);
    }

    /// A word with a letter too few, too many, wrong, or in the place of its neighbour is known.
    #[test]
    fn fld_025_a_misspelt_first_word_is_known(
        verb in prop::sample::select(vec!["SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "EXPLAIN", "TRUNCATE", "ANALYZE", "DESCRIBE"]),
        at in 1..6_usize, edit in 0..4_usize, letter in "[JKQ]", lower in any::<bool>(),
    ) {
        let mut letters: Vec<char> = verb.chars().collect();
        let letter = letter.chars().next().expect("a letter");
        let at = at.min(letters.len() - 2);
        match edit {
            0 => drop(letters.remove(at)),
            1 => letters.insert(at, letter),
            2 => letters[at] = letter,
            _ => letters.swap(at, at + 1),
        }
        let misspelt: String = letters.iter().collect();
        let sql = format!("{} t", if lower { misspelt.to_lowercase() } else { misspelt.clone() });
        for refused in [inspect(&sql).expect_err("not a statement"), match classify(&sql) { Class::Reject(reason) => reason, other => panic!("{sql}: {other:?}") }] {
            prop_assert_eq!(refused.sentence(), format!("No statement of TiDB begins with `{misspelt}`. Did you mean {verb}?"), "{}", &sql);
        }
    }

    /// Whatever begins a `SET`, one variable of the whole cluster among those of the session makes it last.
    #[test]
    fn tdb_004_a_setting_of_the_whole_cluster_is_found_in_every_place(
        before in prop::collection::vec(prop::sample::select(vec!["a = 1", "@b = 'global'", "@@c = @@global.d", "@@session.e = 1", "`global` = 1"]), 0..3),
        scope in prop::sample::select(vec!["GLOBAL {} = 1", "@@global.{} = 1", "@@GLOBAL . {} = 1", "persist {} = 1", "@@persist.{} = DEFAULT", "PERSIST_ONLY {} = 1", "@@instance.{} = 1"]),
        after in prop::collection::vec(prop::sample::select(vec!["f = 1", "@g = 1"]), 0..2),
    ) {
        let set = |parts: Vec<&str>| format!("SET {}", parts.join(", "));
        let global = scope.replace("{}", "x");
        let with: Vec<&str> = before.iter().copied().chain([global.as_str()]).chain(after.iter().copied()).collect();
        prop_assert!(matches!(inspect(&set(with.clone())), Err(Reason::Lasting(_))), "{:?}: {:?}", &with, inspect(&set(with.clone())));
        let without: Vec<&str> = before.iter().copied().chain(["z = 1"]).chain(after.iter().copied()).collect();
        prop_assert!(matches!(inspect(&set(without.clone())), Err(Reason::Session(..))), "{:?}: {:?}", &without, inspect(&set(without.clone())));
    }
}

/// No reading of a statement is skipped for being long, and none takes much longer than the text itself.
#[test]
fn fld_011_many_comments_are_read_in_good_time() {
    let partition = |at: usize| {
        format!("PARTITION p{at} VALUES LESS THAN ({at}) /*T![placement] PLACEMENT POLICY=`p` */ /*T![a] X=1 */")
    };
    let partitions: Vec<String> = (1..600).map(partition).collect();
    let sql = format!("CREATE TABLE t (id INT) PARTITION BY RANGE (id) ({})", partitions.join(", "));
    assert!(sql.len() > 40_000 && sql.len() < sql::STATEMENT_BYTES_MAX);
    assert!(inspect(&sql).is_ok(), "{:?}", inspect(&sql));
    assert!(inspect(&sql.replace("p599", "p599 /*T![b] X=1 */ /*T![c] X=1 */")).is_err());
}
