//! The SQL gate, through the service: what is refused is refused before any SQL leaves, and what destroys needs the
//! scope for it. The kinds themselves are generated in `src/sql/kinds.rs`, and listed in `tests/cases/sql-*.tsv` and
//! `destructive.tsv`.

use serde_json::json;

use super::{answer, refusal};
use crate::{
    stakes::agreed,
    support::{
        Driver,
        bad_inputs::tool,
        oauth::{Flow, tool_with_token},
    },
    world::Native,
};

#[test]
fn sec_009_a_text_is_not_explained_as_a_statement() {
    let mut server = Native::new();
    for sql in [
        "EXPLAIN EXPLORE 'SELECT SLEEP(600) FROM mysql.user FOR UPDATE'",
        "EXPLAIN EXPLORE ANALYZE 'DELETE FROM shop.orders'",
        "DESCRIBE /* x */ explore \"SELECT 1\"",
        "EXPLAIN ANALYZE 'e3f0'",
        "EXPLAIN FORMAT = 'brief' 'e3f0'",
        "EXPLAIN FOR CONNECTION 5",
        "TRACE 'SELECT 1'",
        "PLAN REPLAYER DUMP EXPLAIN 'SELECT 1'",
        "PREPARE s FROM 'DELETE FROM shop.orders'",
        "EXECUTE IMMEDIATE 'DELETE FROM shop.orders'",
        "RECOMMEND INDEX RUN FOR 'SELECT 1'",
    ] {
        refusal(&mut server, "db_query", sql);
        refusal(&mut server, "db_execute", sql);
    }
    let binding = "CREATE GLOBAL BINDING FROM HISTORY USING PLAN DIGEST 'e3f0'";
    assert!(refusal(&mut server, "db_execute", binding).contains("digest"));
    assert_eq!(answer(&mut server, "db_query", "EXPLAIN shop.orders")["rows"][0][0], "id", "a table is described");
}

#[test]
fn sec_010_account_statements_do_not_touch_managed_users() {
    let mut server = Native::new();
    let user =
        answer(&mut server, "db_query", "SELECT CURRENT_USER()")["rows"][0][0].as_str().expect("a user").to_owned();
    let (user, _) = user.split_once('@').expect("a host");
    assert!(user.contains(".mcp_ro_"), "{user}");
    let (_, bare) = user.split_once('.').expect("a prefix");
    for sql in [
        format!("GRANT INSERT ON shop.* TO '{user}'@'%'"),
        format!("grant insert on shop.* to `{bare}`"),
        format!("GRANT INSERT ON shop.* TO \"{}\"@localhost", user.to_uppercase()),
        format!("GRANT INSERT ON shop.* TO {bare}"),
        format!("GRANT role_admin TO '{user}'"),
        format!("GRANT '{user}' TO alice"),
        format!("REVOKE role_readonly FROM alice, '{user}'"),
        format!("SET DEFAULT ROLE role_admin TO '{user}'"),
        format!("ALTER USER '{user}' ACCOUNT LOCK"),
        format!("DROP USER IF EXISTS '{user}'"),
        format!("DROP ROLE '{user}'"),
        format!("RENAME USER alice TO '{user}'"),
        format!("CREATE DEFINER = '{user}' VIEW shop.v AS SELECT 1"),
        "GRANT INSERT ON shop.* TO CURRENT_USER()".to_owned(),
        "GRANT INSERT ON shop.* TO role_readonly".to_owned(),
        "DROP ROLE role_readonly".to_owned(),
    ] {
        let message = refusal(&mut server, "db_execute", &sql);
        assert!(sql.starts_with("SET") || message.contains("do not touch managed users"), "{sql}: {message}");
    }
    let mixed = json!(["INSERT INTO shop.event_log VALUES (NOW(), 'a', 'b')", format!("GRANT ALL ON *.* TO '{user}'")]);
    let answer = server.send(tool("db_execute", json!({"cluster": "shop", "sql": mixed}))).json();
    let message = answer["result"]["structuredContent"]["error"]["message"].as_str().expect("a message").to_owned();
    assert!(message.starts_with("Statement 2 of 2: Account statements"), "{message}");
}

#[test]
fn sec_011_sql_opens_no_account() {
    let mut server = Native::new();
    for sql in [
        "CREATE USER '2aEp24QWEDLqRFs.eve'@'%'",
        "create /* x */ user eve",
        "CREATE USER IF NOT EXISTS 'eve', 'mallory'",
        "CREATE OR REPLACE USER eve",
        "CREATE USER eve IDENTIFIED BY 'canary'",
        "CREATE USER eve IDENTIFIED WITH 'mysql_native_password'",
        "CREATE USER eve REQUIRE SSL WITH MAX_USER_CONNECTIONS 5 ACCOUNT LOCK",
        "ALTER USER some_role ACCOUNT UNLOCK",
    ] {
        let message = refusal(&mut server, "db_execute", sql);
        assert!(message.contains("db_create_user") && message.contains("password"), "{sql}: {message}");
    }
}

#[test]
fn sec_011_a_grant_makes_no_account_and_still_grants() {
    let mut server = Native::new();
    assert_eq!(answer(&mut server, "db_execute", "CREATE ROLE readers")["statementCount"], 1);
    // A right is given by a person, whoever goes without one for other statements.
    let mut grant = |to: &str| {
        let sql = format!("GRANT SELECT ON shop.* TO {to}");
        let answer = agreed(&mut server, &tool("db_execute", json!({"cluster": "shop", "sql": sql})));
        answer.json()["result"]["structuredContent"].clone()
    };
    let granted = grant("readers");
    assert_eq!(granted["statementCount"], 1, "{granted}");
    let nobody = grant("'x.eve'@'%'");
    assert_eq!(nobody["error"]["upstream"]["code"], "1133", "there is no such account, before and after: {nobody}");
}

#[test]
fn sec_012_what_reaches_outside_or_reads_a_secret_is_refused_by_its_name() {
    let mut server = Native::new();
    for (sql, word) in [
        ("SELECT EMBED_TEXT('openai/m', body) FROM docs", "`embed_text`"),
        ("SELECT `embed_text` ('openai/m', body) FROM docs", "`embed_text`"),
        ("SELECT d.VEC_EMBED_L2_DISTANCE(v, 'x') FROM docs", "`vec_embed_l2_distance`"),
        ("EXPLAIN SELECT SLEEP(600)", "`sleep`"),
        ("SELECT NO_SUCH_FUNCTION(1)", "`no_such_function`"),
        ("SELECT @@GLOBAL.TIDB_EXP_EMBED_OPENAI_API_KEY", "`tidb_exp_embed_openai_api_key`"),
        ("SELECT UPPER(@@`tidb_exp_embed_cohere_api_key`)", "`tidb_exp_embed_cohere_api_key`"),
        ("SELECT @@authentication_ldap_simple_bind_root_pwd", "`authentication_ldap_simple_bind_root_pwd`"),
        ("SELECT * FROM information_schema.VARIABLES_INFO", "`variables_info`"),
        ("SELECT * FROM performance_schema.`session_variables`", "`session_variables`"),
        ("SHOW VARIABLES WHERE Variable_name LIKE 'tidb%' AND Value LIKE 'sk-%'", "`Value`"),
    ] {
        assert!(refusal(&mut server, "db_query", sql).contains(word), "{sql}");
        assert!(refusal(&mut server, "db_execute", sql).contains(word), "{sql}");
    }
    let generated = "CREATE TABLE shop.d (a TEXT, v VECTOR(3) AS (EMBED_TEXT('m', a)) STORED)";
    assert!(refusal(&mut server, "db_execute", generated).contains("`embed_text`"));
}

#[test]
fn sec_012_variables_are_shown_without_secret_ones() {
    let mut server = Native::new();
    for name in ["db_query", "db_execute"] {
        for sql in
            ["SHOW VARIABLES", "SHOW VARIABLES LIKE 'ssl%'", "show global variables where Variable_name LIKE '%s%'"]
        {
            let all = answer(&mut server, name, sql);
            let rows = if name == "db_query" { &all["rows"] } else { &all["results"][0]["result"]["rows"] };
            let names: Vec<&str> = rows.as_array().expect("rows").iter().filter_map(|row| row[0].as_str()).collect();
            // `ssl_key` stands for the keys that TiDB has.
            assert!(!names.is_empty() && !names.contains(&"ssl_key"), "{name} {sql}: {all}");
        }
    }
    let rows = answer(&mut server, "db_query", "SHOW VARIABLES LIKE 'foreign_key_checks'");
    assert_eq!(rows["rows"][0][1], "ON");
}

#[test]
fn sec_013_a_condition_that_names_no_rows_needs_the_right_to_destroy() {
    let mut server = Native::new();
    let table = [
        "CREATE TABLE shop.vic (id INT PRIMARY KEY, name TEXT)",
        "INSERT INTO shop.vic VALUES (1, 'a'), (2, 'b'), (3, NULL)",
    ];
    for sql in table {
        answer(&mut server, "db_execute", sql);
    }
    let write = Flow::new(&mut server).tokens(&mut server, "tidb:write").access;
    let execute = |server: &mut Native, sql: &str| {
        server.advance(1);
        let answer = server.send(tool_with_token(&write, "db_execute", json!({"cluster": "shop", "sql": sql})));
        (answer.status, answer.header("WWW-Authenticate").unwrap_or_default().contains("tidb:destroy"))
    };
    for condition in [
        "1=1 ORDER BY id",
        "PI()",
        "EXISTS (SELECT 1)",
        "id IS NOT NULL",
        "id = id",
        "id <> -1",
        "NOT (id = -1)",
        "id > 0 OR 1",
        "id IN (SELECT id FROM shop.vic)",
        "id = 7 = 0",
        "id * 0 = 0",
        "name LIKE '%'",
        "VERSION() LIKE '%1%'",
        "TRUE LIMIT 1000",
    ] {
        for change in [
            "DELETE FROM shop.vic WHERE {}",
            "UPDATE shop.vic SET name = 'x' WHERE {}",
            "EXPLAIN ANALYZE DELETE FROM shop.vic WHERE {}",
        ] {
            let sql = change.replace("{}", condition);
            assert_eq!(execute(&mut server, &sql), (403, true), "{sql}");
        }
    }
    let joined = "DELETE v FROM shop.vic v, (SELECT 1 AS one) d WHERE d.one = 1";
    assert_eq!(execute(&mut server, joined), (403, true));
    let left = answer(&mut server, "db_query", "SELECT COUNT(*), MAX(name) FROM shop.vic");
    assert_eq!(left["rows"], json!([["3", "b"]]), "nothing happened");
    for sql in [
        "UPDATE shop.vic SET name = 'c' WHERE id = 1 AND name IS NOT NULL",
        "DELETE FROM shop.vic WHERE id IN (2, 7) ORDER BY id LIMIT 5",
        "DELETE FROM shop.vic WHERE id BETWEEN 3 AND 9",
    ] {
        assert_eq!(execute(&mut server, sql), (200, false), "{sql}");
    }
    assert_eq!(answer(&mut server, "db_query", "SELECT * FROM shop.vic")["rows"], json!([[1, "c"]]));
}

#[test]
fn sec_015_what_rides_on_an_addition_needs_the_right_to_destroy() {
    let mut server = Native::new();
    answer(&mut server, "db_execute", "CREATE TABLE shop.plain (id INT)");
    let write = Flow::new(&mut server).tokens(&mut server, "tidb:write").access;
    let mut execute = |sql: &str| {
        server.advance(1);
        server.send(tool_with_token(&write, "db_execute", json!({"cluster": "shop", "sql": sql}))).status
    };
    for rider in [
        " PARTITION BY HASH (a)",
        " PARTITION BY RANGE (a) (PARTITION p VALUES LESS THAN (5))",
        " REMOVE PARTITIONING",
        " REMOVE TTL",
        ", ORDER BY a",
        ", CONVERT TO CHARACTER SET latin1",
        ", TTL_ENABLE = 'ON'",
        ", SET TIFLASH REPLICA 0",
        ", FORCE AUTO_INCREMENT = 1",
        ", COMMENT 'x' TTL = b + INTERVAL 1 DAY",
    ] {
        assert_eq!(execute(&format!("ALTER TABLE shop.plain ADD COLUMN a INT{rider}")), 403, "{rider}");
    }
    assert_eq!(execute("ALTER DATABASE shop SET TIFLASH REPLICA 0"), 403);
    assert_eq!(execute("ALTER TABLE shop.plain ADD COLUMN a INT, ADD INDEX i (a), COMMENT = 'partition by'"), 200);
}

#[test]
fn tdb_003_the_default_of_a_column_is_not_read() {
    let mut server = Native::new();
    for sql in [
        "SELECT DEFAULT(id) FROM t",
        "EXPLAIN SELECT DEFAULT(id) FROM t",
        "EXPLAIN ANALYZE SELECT DEFAULT (id) FROM t",
        "SELECT a FROM t WHERE a > default/**/(t.id)",
        "WITH c AS (SELECT DEFAULT(id) FROM t) SELECT * FROM c",
        "SELECT `default`(id) FROM t",
    ] {
        refusal(&mut server, "db_query", sql);
    }
    for sql in ["SELECT NEXTVAL(s)", "SELECT SETVAL(s, 5)", "SELECT NEXT VALUE FOR s", "EXPLAIN SELECT NEXTVAL(s)"] {
        assert_eq!(answer(&mut server, "db_query", sql)["error"]["code"], "READ_ONLY_VIOLATION", "{sql}");
    }
    for sql in ["SELECT DEFAULT(id) FROM t", "SELECT NEXTVAL(s)"] {
        assert!(
            refusal(&mut server, "db_execute", &format!("CREATE VIEW shop.v AS {sql}")).contains("sequence"),
            "{sql}"
        );
    }
    answer(&mut server, "db_execute", "CREATE TABLE shop.defaults (id INT DEFAULT 7)");
    answer(&mut server, "db_execute", "INSERT INTO shop.defaults VALUES (DEFAULT(id) + 1)");
    assert_eq!(
        answer(&mut server, "db_query", "SELECT id FROM shop.defaults")["rows"],
        json!([[8]]),
        "a write may use it"
    );
}
