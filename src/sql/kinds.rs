//! Generated kinds of statements that the gate must judge alike.

use proptest::prelude::*;

use super::{Class, Reason, classify, functions::is_listed, holds_secret, inspect};

/// A name in one of the ways in which it can be written.
fn written(name: &str, way: usize) -> String {
    match way % 5 {
        0 => name.to_owned(),
        1 => name.to_ascii_uppercase(),
        2 => format!("`{name}`"),
        3 => format!("\"{name}\""),
        _ => format!("d . `{name}`"),
    }
}

/// Where a call can stand, in statements that read and in statements that write.
const READS: &[&str] = &[
    "SELECT {}",
    "SELECT a, ({}) AS b FROM t",
    "SELECT * FROM t WHERE a = 1 AND b = {}",
    "SELECT * FROM t JOIN u ON {}",
    "SELECT a FROM t GROUP BY a HAVING {} > 1 ORDER BY a",
    "SELECT a FROM t ORDER BY {} LIMIT 5",
    "SELECT SUM({}) OVER (PARTITION BY {} ORDER BY a) FROM t",
    "SELECT * FROM (SELECT {} AS a) x",
    "SELECT 1 UNION ALL SELECT {}",
    "WITH c (a) AS (SELECT {}) SELECT * FROM c",
    "SELECT CASE WHEN a THEN {} ELSE ({}) END FROM t",
    "SELECT IF(a, COALESCE({}, 1), CAST({} AS CHAR(5))) FROM t",
    "SELECT * FROM t AS OF TIMESTAMP {}",
    "SHOW TABLES WHERE {} = 1",
    "EXPLAIN SELECT {}",
    "EXPLAIN ANALYZE FORMAT = 'brief' (SELECT {})",
    "VALUES ROW({}, 1)",
];
const WRITES: &[&str] = &[
    "INSERT INTO t (a) VALUES (1), ({})",
    "INSERT t SET a = {}",
    "INSERT INTO t (a) VALUES (1) ON DUPLICATE KEY UPDATE a = {}",
    "REPLACE INTO t (a) SELECT {}",
    "UPDATE t SET a = {} WHERE id = 5",
    "UPDATE t SET a = 1 WHERE id = 5 AND {} = 1",
    "DELETE FROM t WHERE id = {}",
    "BATCH ON id LIMIT 10 DELETE FROM t WHERE id = {}",
    "CREATE TABLE t (a INT DEFAULT ({}))",
    "CREATE TABLE t (a INT, b INT AS ({}) STORED)",
    "CREATE TABLE t (a INT, CHECK ({} > 0), KEY k (a))",
    "CREATE TABLE t (a INT, KEY k (({})))",
    "CREATE TABLE t (a INT) PARTITION BY HASH ({}) PARTITIONS 4",
    "CREATE INDEX i ON t (({}))",
    "CREATE VIEW v (a) AS SELECT {}",
    "ALTER TABLE t ADD COLUMN b INT DEFAULT ({})",
    "CREATE GLOBAL BINDING FOR SELECT {} USING SELECT {}",
];

/// Conditions that say of a column which values are meant.
fn narrow() -> impl Strategy<Value = String> {
    let column = prop::sample::select(vec!["id", "t.id", "`order`", "d.t.`a b`", "LOWER(name)", "doc->>'$.a'", "(id)"]);
    let value = prop::sample::select(vec![
        "5",
        "-1",
        "'x'",
        "NOW() - INTERVAL 3 DAY",
        "CAST('1' AS SIGNED)",
        "(5 + 1)",
        "x'00'",
    ]);
    (column, value, 0..8_usize).prop_map(|(column, value, form)| match form {
        0 => format!("{column} = {value}"),
        1 => format!("{value} = {column}"),
        2 => format!("{column} <= {value}"),
        3 => format!("{column} IN ({value}, 7)"),
        4 => format!("{column} BETWEEN {value} AND {value}"),
        5 => format!("{column} LIKE 'a%'"),
        6 => format!("({column} > {value})"),
        _ => format!("{column} <=> {value}"),
    })
}

/// Conditions that may be true of every row.
fn wide() -> impl Strategy<Value = String> {
    let one = prop::sample::select(vec![
        "1",
        "TRUE",
        "1 = 1",
        "'a' = 'a'",
        "PI()",
        "id",
        "id = id",
        "t.id = u.id",
        "id IS NULL",
        "id IS NOT NULL",
        "id <> 5",
        "id != 5",
        "NOT id = 5",
        "id NOT IN (5)",
        "id NOT LIKE 'a%'",
        "id NOT BETWEEN 1 AND 2",
        "id = NULL",
        "id = @x",
        "@x = 5",
        "@@autocommit = 1",
        "CURRENT_DATE > '2020-01-01'",
        "VERSION() <> 'x'",
        "name LIKE '%'",
        "name LIKE '__%'",
        "name REGEXP '^'",
        "EXISTS (SELECT 1)",
        "id IN (SELECT id FROM t WHERE id = 5)",
        "id = (SELECT t.id)",
        "id >= ALL (SELECT 5)",
        "id IN (5, id)",
        "id BETWEEN id AND 5",
        "id * 0 = 0",
        "id - id < 5",
        "LEFT(name, 0) = ''",
        "COALESCE(id, 5) = 5",
        "(id = 5) = 0",
        "id = 5 = 0",
        "id = 5 IS FALSE",
        "id = 5 XOR 1",
        "! (id = 5)",
        "(id, 1) = (id, 1)",
        "id = day",
        "CASE WHEN id = 5 THEN 1 ELSE 1 END",
        "id | 1 > 0",
        "id = 5 OR 1",
        "id = 5 || TRUE",
        "'id' = 5",
        "\"id\" = 5",
        "id = \"id\"",
    ]);
    one.prop_map(str::to_owned)
}

/// Whether a change destroys. `None` if it is refused.
fn destroys(sql: &str) -> Option<bool> {
    inspect(sql).ok().map(|statement| statement.destructive)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_function_that_is_not_listed_is_refused_by_its_name_wherever_it_is_called(
        name in "[a-z][a-z0-9_]{2,20}", way in 0..5_usize, at in any::<prop::sample::Index>(), blank in "( |/\\*x\\*/|\n){0,2}",
    ) {
        let reserved = ["not", "and", "all", "any", "key", "set", "div", "row", "for", "int", "dec", "bit", "out"];
        // A bare keyword is not a call; there are some hundreds, and none but these is likely to be drawn.
        prop_assume!(!(is_listed(&name) || way < 2 && reserved.contains(&name.as_str())));
        let call = format!("{}{blank}(a, 'x')", written(&name, way));
        let all: Vec<_> = READS.iter().chain(WRITES).collect();
        let sql = all[at.index(all.len())].replace("{}", &call);
        let reason = Reason::Function(name);
        prop_assert_eq!(inspect(&sql), Err(reason.clone()), "{}", sql);
        prop_assert_ne!(classify(&sql), Class::Read, "{}", sql);
        if READS.iter().any(|read| sql == read.replace("{}", &call)) {
            prop_assert_eq!(classify(&sql), Class::Reject(reason), "{}", sql);
        }
    }

    #[test]
    fn a_listed_function_runs_wherever_it_is_called(name in "(lower|uuid|json_extract|vec_dims|count|date_format)", way in 0..5_usize, at in any::<prop::sample::Index>()) {
        let call = format!("{}(a, 'x')", written(&name, way));
        let read = READS[at.index(READS.len())].replace("{}", &call);
        prop_assert_eq!(classify(&read), Class::Read, "{}", read);
        let write = WRITES[at.index(WRITES.len())].replace("{}", &call);
        prop_assert!(inspect(&write).is_ok(), "{}: {:?}", write, inspect(&write));
    }

    #[test]
    fn what_advances_a_sequence_is_not_a_read(way in 0..3_usize, at in any::<prop::sample::Index>(), blank in "( |/\\*x\\*/){0,2}") {
        let call = [format!("DEFAULT{blank}(id)"), format!("nextval{blank}(s)"), "NEXT VALUE FOR s".to_owned()][way].clone();
        let read = READS[at.index(READS.len())].replace("{}", &call);
        prop_assert_ne!(classify(&read), Class::Read, "{}", &read);
        let view = inspect(&format!("CREATE VIEW v AS {read}"));
        prop_assert!(view.is_err() || !read.starts_with("SELECT"), "{}", read);
    }

    #[test]
    fn a_variable_that_holds_a_secret_is_not_read(
        before in "([a-z]{1,8}_){0,3}", secret in "(api_key|password|root_pwd|secret|access_token|storage_uri|credential)", after in "(_[a-z]{1,8}){0,2}",
        scope in "(|global\\.|session\\.|SESSION \\. )", way in 0..4_usize, at in any::<prop::sample::Index>(),
    ) {
        let name = format!("{before}{secret}{after}");
        prop_assume!(holds_secret(&name));
        let variable = format!("@@{scope}{}", written(&name, way));
        let all: Vec<_> = READS.iter().chain(WRITES).collect();
        let sql = all[at.index(all.len())].replace("{}", &variable);
        prop_assert_eq!(inspect(&sql), Err(Reason::SecretVariable(name)), "{}", sql);
        prop_assert_ne!(classify(&sql), Class::Read, "{}", sql);
    }

    #[test]
    fn a_text_is_never_taken_for_a_statement(
        explain in "(EXPLAIN|DESC|describe)", words in "( EXPLORE| ANALYZE| FORMAT = 'brief'| FORMAT = json){0,3}", quote in "['\"]",
    ) {
        let sql = format!("{explain}{words} {quote}DELETE FROM t{quote}");
        prop_assert!(matches!(classify(&sql), Class::Reject(_)), "{}", sql);
        prop_assert!(inspect(&sql).is_err(), "{}", sql);
    }

    #[test]
    fn a_managed_user_is_not_touched(
        class in "(ro|rw|ad)", hash in "[0-9a-f]{8}", prefix in "([A-Za-z0-9]{15}\\.)?", host in "(|@'%'|@`10\\.%`)", way in 0..4_usize,
        form in prop::sample::select(vec![
            "GRANT {r} ON d.* TO {u}", "GRANT {r} ON *.* TO bob, {u}", "GRANT role_readonly, r TO {u}", "GRANT {u} TO bob",
            "GRANT PROXY ON {u} TO bob", "GRANT PROXY ON bob TO {u}", "REVOKE {r} ON d.* FROM {u}", "REVOKE ALL, GRANT OPTION FROM {u}",
            "REVOKE r FROM bob, {u}", "ALTER USER {u} ACCOUNT LOCK", "ALTER USER IF EXISTS bob, {u} PASSWORD EXPIRE", "DROP USER {u}",
            "DROP USER IF EXISTS bob, {u}", "DROP ROLE {u}", "RENAME USER {u} TO bob", "RENAME USER bob TO {u}", "CREATE ROLE {u}",
            "CREATE DEFINER = {u} VIEW v AS SELECT 1",
        ]),
        right in "(SELECT|INSERT, UPDATE|ALL PRIVILEGES|INSERT \\(a\\))",
    ) {
        let name = format!("{prefix}mcp_{class}_{hash}");
        let user = match way {
            0 => format!("'{name}'{host}"),
            1 => format!("`{}`{host}", name.to_ascii_uppercase()),
            2 => format!("\"{name}\"{host}"),
            _ => format!("mcp_{class}_{hash}{host}"),
        };
        let sql = form.replace("{r}", &right).replace("{u}", &user);
        prop_assert!(matches!(inspect(&sql), Err(Reason::ManagedUser(_))), "{}: {:?}", sql, inspect(&sql));
        let other = form.replace("{r}", &right).replace("{u}", "'x.alice'@'%'");
        prop_assert!(inspect(&other).is_ok(), "{}: {:?}", other, inspect(&other));
    }

    #[test]
    fn conditions_count_as_their_parts_do(narrow in narrow(), other in narrow(), wide in wide(), wide_too in wide(), change in prop::sample::select(vec![
        "DELETE FROM t WHERE {}", "DELETE FROM d.t WHERE {} ORDER BY id LIMIT 5", "UPDATE t SET a = 1 WHERE {}",
        "UPDATE IGNORE t AS x SET a = (SELECT 1 WHERE id = 5), b = 2 WHERE {} LIMIT 5", "BATCH ON id LIMIT 10 DELETE FROM t WHERE {}",
        "EXPLAIN ANALYZE DELETE FROM t WHERE {}", "WITH c AS (SELECT 1 FROM u WHERE id = 5) DELETE FROM t WHERE {}",
    ])) {
        let of = |condition: String| {
            let sql = change.replace("{}", &condition);
            (destroys(&sql), sql)
        };
        for condition in [
            narrow.clone(), format!("({narrow})"), format!("{narrow} AND {other}"), format!("{narrow} OR {other}"),
            format!("({wide}) AND {narrow}"), format!("{narrow} && ({wide} OR {wide_too})"), format!("(({narrow}) OR ({other} AND ({wide})))"),
        ] {
            let (destroys, sql) = of(condition);
            prop_assert_eq!(destroys, Some(false), "{}", sql);
        }
        for condition in [
            wide.clone(), format!("({wide})"), format!("{wide} AND ({wide_too})"), format!("{narrow} OR {wide}"), format!("{wide} OR {narrow}"),
            format!("({narrow} AND {other}) OR ({wide})"), format!("NOT ({narrow})"), format!("({narrow}) = 0"), format!("({narrow}) IS NOT TRUE"),
            format!("({narrow}) XOR ({other})"), format!("{wide} ORDER BY {narrow}"),
            format!("EXISTS (SELECT 1 FROM u WHERE {narrow})"), format!("CASE WHEN {narrow} THEN 1 ELSE 1 END"), format!("IF({narrow}, 1, 1)"),
        ] {
            // A text that is no statement is no way around either.
            let (destroys, sql) = of(condition);
            prop_assert_ne!(destroys, Some(false), "{}", sql);
        }
    }

    #[test]
    fn what_rides_on_an_addition_destroys(
        addition in prop::sample::select(vec![
            "ADD COLUMN a INT", "ADD INDEX i (a)", "ADD COLUMN (a INT, b VARCHAR(5))", "RENAME COLUMN a TO b", "RENAME TO u", "COMMENT = 'x'",
            "ADD UNIQUE KEY k (a)", "AUTO_INCREMENT = 5", "ADD CONSTRAINT c CHECK (a > 0)", "SET TIFLASH REPLICA 1", "ADD PARTITION (PARTITION p VALUES LESS THAN (5))",
        ]),
        rider in prop::sample::select(vec![
            " PARTITION BY HASH (a)", " PARTITION BY RANGE (a) (PARTITION p VALUES LESS THAN (5))", " partition by key (a) partitions 4", " REMOVE PARTITIONING", " REMOVE TTL",
            " REORGANIZE PARTITION p INTO (PARTITION q VALUES LESS THAN (5))", " SPLIT MAXVALUE PARTITION LESS THAN (5)", " MERGE FIRST PARTITION LESS THAN (5)",
            ", ORDER BY a", ", DROP COLUMN b", ", MODIFY a TINYINT", ", CHANGE a b INT", ", CONVERT TO CHARACTER SET latin1", ", TTL_ENABLE = 'ON'", ", FORCE AUTO_INCREMENT = 1",
            ", SET TIFLASH REPLICA 0", ", TRUNCATE PARTITION p", ", EXCHANGE PARTITION p WITH TABLE u", ", ENGINE = InnoDB", ", FORCE", ", DISCARD TABLESPACE", ", IMPORT TABLESPACE",
            ", ALTER COLUMN a DROP DEFAULT", ", DISABLE KEYS", ", REBUILD PARTITION ALL", ", TTL = a + INTERVAL 1 DAY", ", SHARD_ROW_ID_BITS = 4", ", ATTRIBUTES = 'x'",
        ]),
    ) {
        prop_assert_eq!(destroys(&format!("ALTER TABLE d.t {addition}")), Some(false));
        let sql = format!("ALTER TABLE d.t {addition}{rider}");
        prop_assert_eq!(destroys(&sql), Some(true), "{}", sql);
        let sql = format!("ALTER TABLE d.t {addition}, ADD COLUMN z INT{rider}");
        prop_assert_eq!(destroys(&sql), Some(true), "{}", sql);
    }
}
