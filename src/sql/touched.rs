//! The rows that a statement touches, as a query that counts them.

use std::ops::Range;

use super::{
    condition::own_where,
    gate::{Class, classify},
    lexer::{self, Token},
    walk::{between_commas, group, one_of},
};

/// Words after which a query means something else than the change that they are taken from: what selects fewer rows, and what
/// begins another query.
const NOT_COUNTED: &[&str] = &[
    "select",
    "table",
    "values",
    "with",
    "order",
    "limit",
    "group",
    "having",
    "union",
    "except",
    "intersect",
    "into",
    "for",
    "lock",
    "window",
    "returning",
    "procedure",
    "current_user",
    "current_role",
];

/// Functions that give something else in another session, or each time.
const OF_THE_SESSION: &[&str] = &[
    "rand",
    "random_bytes",
    "uuid",
    "uuid_short",
    "uuid_v4",
    "uuid_v7",
    "user",
    "session_user",
    "system_user",
    "connection_id",
    "current_resource_group",
    "last_insert_id",
    "lastval",
    "found_rows",
    "row_count",
    "tidb_current_tso",
    "sysdate",
];

/// A read that counts the rows that `DROP TABLE`, `TRUNCATE`, `DELETE` or `UPDATE` of one table would touch now. It is made of the
/// statement's own text, from the table and the condition as the lexer found them. `None` if that cannot be told for sure.
pub fn count_touched(sql: &str) -> Option<String> {
    let (tokens, places) = lexer::placed(sql)?;
    let (table, condition) = table_and_condition(&tokens)?;
    let text = |part: Range<usize>| {
        let places = places.get(part)?;
        sql.get(places.first()?.start..places.last()?.end)
    };
    let mut query = format!("SELECT COUNT(*) FROM {}", text(table)?);
    if !condition.is_empty() {
        query.extend([" ", text(condition)?]);
    }
    (classify(&query) == Class::Read).then_some(query)
}

/// A read that lists the tables that `DROP DATABASE` drops, found by the database just as that statement finds it.
pub fn list_dropped(sql: &str) -> Option<String> {
    let (tokens, places) = lexer::placed(sql)?;
    let begins = |words: &[&[&str]]| words.iter().enumerate().all(|(at, word)| one_of(tokens.get(at), word));
    let drops: &[&[&str]] = &[&["drop"], &["database", "schema"], &["if"], &["exists"]];
    let start = [4, 2].into_iter().find(|count| drops.get(..*count).is_some_and(begins))?;
    match tokens.get(start..)? {
        [Token::Word(_) | Token::Name(_)] => {}
        _ => return None,
    }
    let query = format!("SHOW TABLES FROM {}", sql.get(places.get(start)?.clone())?);
    (classify(&query) == Class::Read).then_some(query)
}

/// The rows of one table that a statement changes, by its own text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The table, as the statement names it.
    pub table: String,
    /// Which rows.
    pub rows: ChangedRows,
}

/// Which rows of a table a statement changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangedRows {
    /// Those that were there and match.
    Matching {
        /// From `WHERE` on; empty if there is none.
        condition: String,
        /// Columns that it sets, in lower case: none if it deletes the rows.
        sets: Vec<String>,
    },
    /// One for each list of its `VALUES`.
    Inserted {
        /// The columns that it gives values, in lower case.
        columns: Vec<String>,
    },
}

/// The rows that an `UPDATE` or a `DELETE` of one table, or an `INSERT ... VALUES` with a list of columns, changes. `None` if they
/// cannot be told for sure.
pub fn changed_rows(sql: &str) -> Option<Changed> {
    let (tokens, places) = lexer::placed(sql)?;
    let text = |part: Range<usize>| {
        let places = places.get(part)?;
        sql.get(places.first()?.start..places.last()?.end).map(str::to_owned)
    };
    if one_of(tokens.first(), &["insert"]) {
        let (table, columns) = inserts(&tokens)?;
        let table = text(table)?;
        let reads = classify(&format!("SELECT * FROM {table}")) == Class::Read;
        return reads.then_some(Changed { table, rows: ChangedRows::Inserted { columns } });
    }
    if !one_of(tokens.first(), &["update", "delete"]) {
        return None;
    }
    let (table, condition) = table_and_condition(&tokens)?;
    let end = if condition.is_empty() { tokens.len() } else { condition.start };
    let sets = match tokens.get(table.end..end)? {
        [set, assignments @ ..] if set.is("set") => {
            between_commas(assignments).into_iter().map(assigned).collect::<Option<Vec<_>>>()?
        }
        _ => Vec::new(),
    };
    let condition = if condition.is_empty() { String::new() } else { text(condition)? };
    let table = text(table)?;
    let reads = classify(&format!("SELECT * FROM {table} {condition}")) == Class::Read;
    reads.then_some(Changed { table, rows: ChangedRows::Matching { condition, sets } })
}

/// Functions that give something else later.
const OF_THE_TIME: &[&str] = &[
    "now",
    "current_timestamp",
    "current_date",
    "current_time",
    "localtime",
    "localtimestamp",
    "curdate",
    "curtime",
    "utc_timestamp",
    "utc_date",
    "utc_time",
    "unix_timestamp",
];

/// A read of the rows that an `UPDATE` or a `DELETE` of one table changed, as they were at this time, in seconds since 1970. `None` if
/// they cannot be told for sure. <https://docs.pingcap.com/tidbcloud/as-of-timestamp>
pub fn rows_as_of(sql: &str, database: Option<&str>, seconds: u64) -> Option<String> {
    let Changed { table, rows: ChangedRows::Matching { condition, .. } } = changed_rows(sql)? else { return None };
    let (tokens, _) = lexer::placed(&condition).unwrap_or_default();
    if tokens.iter().any(|token| token.name().is_some_and(|name| OF_THE_TIME.contains(&name))) {
        return None;
    }
    let is_whole = lexer::placed(&table)?.0.contains(&Token::Symbol('.'));
    let place = if is_whole { String::new() } else { format!("`{}`.", database?.replace('`', "``")) };
    let query = format!("SELECT * FROM {place}{table} AS OF TIMESTAMP FROM_UNIXTIME({seconds}) {condition}");
    let query = query.trim_end().to_owned();
    (classify(&query) == Class::Read).then_some(query)
}

/// The column that an assignment sets.
fn assigned(assignment: &[Token]) -> Option<String> {
    let (at, _) = assignment.iter().enumerate().find(|(_, token)| **token == Token::Symbol('='))?;
    assignment.get(at.checked_sub(1)?)?.name().map(str::to_owned)
}

/// Which tokens of an `INSERT [INTO] table (columns) VALUES ...` name the table, and the columns.
fn inserts(tokens: &[Token]) -> Option<(Range<usize>, Vec<String>)> {
    const UNCERTAIN: &[&str] = &["select", "table", "with", "duplicate", "returning"];
    let start = 1 + usize::from(one_of(tokens.get(1), &["into"]));
    let end = if tokens.get(start + 1) == Some(&Token::Symbol('.')) { start + 3 } else { start + 1 };
    let is_name = |at: usize| matches!(tokens.get(at), Some(Token::Word(_) | Token::Name(_)));
    let (columns, values) = group(tokens.get(end..)?)?;
    let columns: Option<Vec<String>> = between_commas(columns)
        .into_iter()
        .map(|column| match column {
            [Token::Word(name) | Token::Name(name)] => Some(name.clone()),
            _ => None,
        })
        .collect();
    let certain = is_name(start)
        && is_name(end - 1)
        && one_of(values.first(), &["values", "value"])
        && !values.iter().any(|token| one_of(Some(token), UNCERTAIN));
    if certain { Some((start..end, columns?)) } else { None }
}

/// Which tokens name the one table, and which are its condition, from `WHERE` on.
fn table_and_condition(tokens: &[Token]) -> Option<(Range<usize>, Range<usize>)> {
    let Token::Word(verb) = tokens.first()? else { return None };
    let begins = |words: &[&str]| words.iter().enumerate().all(|(at, word)| one_of(tokens.get(at), &[word]));
    let start = match verb.as_str() {
        "drop" if begins(&["drop", "table", "if", "exists"]) => 4,
        "drop" if begins(&["drop", "table"]) => 2,
        "truncate" => 1 + usize::from(begins(&["truncate", "table"])),
        "delete" if begins(&["delete", "from"]) => 2,
        "update" => 1,
        _ => return None,
    };
    // In double quotes it is a name in one mode of the server alone.
    let is_name = |at: usize| matches!(tokens.get(at), Some(Token::Word(_) | Token::Name(_)));
    let qualified = tokens.get(start + 1) == Some(&Token::Symbol('.'));
    let end = if qualified { start + 3 } else { start + 1 };
    if !is_name(start) || !is_name(end - 1) {
        return None;
    }
    let rest = tokens.get(end..)?;
    let condition = match verb.as_str() {
        "delete" if one_of(rest.first(), &["where"]) => Some(0),
        "update" if one_of(rest.first(), &["set"]) => own_where(rest),
        "update" => return None,
        _ if rest.is_empty() => None,
        _ => return None,
    };
    (!rest.iter().enumerate().any(|(at, token)| is_uncertain(token, rest.get(at + 1)))).then_some(())?;
    Some((start..end, condition.map_or(0..0, |at| end + at..tokens.len())))
}

/// Whether a count could differ because of this token.
fn is_uncertain(token: &Token, next: Option<&Token>) -> bool {
    let called = next == Some(&Token::Symbol('('));
    one_of(Some(token), NOT_COUNTED)
        || matches!(token, Token::Hint(_) | Token::Assign | Token::Symbol('@'))
        || called && token.name().is_some_and(|name| OF_THE_SESSION.contains(&name))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{ChangedRows, changed_rows, count_touched, list_dropped, rows_as_of};
    use crate::sql::{Class, classify, inspect};

    #[test]
    fn a_count_is_made_of_the_statements_own_table_and_condition() {
        for (sql, count) in [
            ("DROP TABLE shop.event_log", "SELECT COUNT(*) FROM shop.event_log"),
            ("drop /* old */ table if exists `Event Log` ;", "SELECT COUNT(*) FROM `Event Log`"),
            ("TRUNCATE t", "SELECT COUNT(*) FROM t"),
            ("TRUNCATE TABLE d . `t`", "SELECT COUNT(*) FROM d . `t`"),
            ("DELETE FROM t", "SELECT COUNT(*) FROM t"),
            ("DELETE FROM t -- all", "SELECT COUNT(*) FROM t"),
            (
                "DELETE FROM T WHERE Name <> 'O''Brien WHERE' AND (a = 1 OR b IS NULL) -- x",
                "SELECT COUNT(*) FROM T WHERE Name <> 'O''Brien WHERE' AND (a = 1 OR b IS NULL)",
            ),
            ("UPDATE t SET a = 'x WHERE 1', b = b + 1", "SELECT COUNT(*) FROM t"),
            (
                "UPDATE d.t SET a = IF(b, '1', \"2\") WHERE created < NOW() - INTERVAL 90 DAY;",
                "SELECT COUNT(*) FROM d.t WHERE created < NOW() - INTERVAL 90 DAY",
            ),
            ("UPDATE t SET `where` = 1 WHERE user = 'x'", "SELECT COUNT(*) FROM t WHERE user = 'x'"),
        ] {
            assert_eq!(count_touched(sql).as_deref(), Some(count), "{sql}");
        }
    }

    #[test]
    fn the_rows_that_a_change_names_are_told_by_its_own_text() {
        let matching = |condition: &str, sets: &[&str]| ChangedRows::Matching {
            condition: condition.to_owned(),
            sets: sets.iter().map(|name| (*name).to_owned()).collect(),
        };
        let inserted = |columns: &[&str]| ChangedRows::Inserted {
            columns: columns.iter().map(|name| (*name).to_owned()).collect(),
        };
        for (sql, table, rows) in [
            (
                "UPDATE d.t SET a = 1, `B` = IF(c = 1, 2, 3), t.e = 2 WHERE id = 1",
                "d.t",
                matching("WHERE id = 1", &["a", "b", "e"]),
            ),
            ("UPDATE `T x` SET a = 1", "`T x`", matching("", &["a"])),
            ("DELETE FROM t WHERE a < 3;", "t", matching("WHERE a < 3", &[])),
            ("delete from t", "t", matching("", &[])),
            ("INSERT INTO d.t (A, `b`) VALUES (1, 'x'), (2, 'y')", "d.t", inserted(&["a", "b"])),
            ("insert t (a) value (DEFAULT)", "t", inserted(&["a"])),
        ] {
            let changed = changed_rows(sql).expect(sql);
            assert_eq!((changed.table.as_str(), changed.rows), (table, rows), "{sql}");
        }
        for sql in [
            "TRUNCATE t",
            "DROP TABLE t",
            "UPDATE t, u SET t.a = 1",
            "UPDATE t SET a = 1 LIMIT 1",
            "DELETE FROM t WHERE a IN (SELECT 1)",
            "DELETE FROM mysql.user WHERE a = 1",
            "INSERT INTO mysql.user (a) VALUES (1)",
            "INSERT INTO t VALUES (1)",
            "INSERT IGNORE INTO t (a) VALUES (1)",
            "INSERT INTO t (a) VALUES (1) ON DUPLICATE KEY UPDATE a = 2",
            "INSERT INTO t (a) VALUES ((SELECT 1))",
            "INSERT INTO t (a) SELECT 1",
            "INSERT INTO t SET a = 1",
            "INSERT INTO t (a) VALUES ('\\'')",
            "REPLACE INTO t (a) VALUES (1)",
            "SELECT 1",
            "",
        ] {
            assert_eq!(changed_rows(sql), None, "{sql}");
        }
    }

    #[test]
    fn rows_as_they_were_are_read_by_the_statements_own_condition() {
        for (sql, read) in [
            ("UPDATE d.t SET a = 1 WHERE id = 5", "SELECT * FROM d.t AS OF TIMESTAMP FROM_UNIXTIME(17) WHERE id = 5"),
            ("DELETE FROM `T x`", "SELECT * FROM `my``db`.`T x` AS OF TIMESTAMP FROM_UNIXTIME(17)"),
            ("UPDATE t SET a = NOW()", "SELECT * FROM `my``db`.t AS OF TIMESTAMP FROM_UNIXTIME(17)"),
        ] {
            assert_eq!(rows_as_of(sql, Some("my`db"), 17).as_deref(), Some(read), "{sql}");
        }
        for sql in [
            "DELETE FROM t WHERE a < NOW()",
            "DELETE FROM t WHERE a < CURRENT_DATE",
            "DELETE FROM t LIMIT 1",
            "INSERT INTO t (a) VALUES (1)",
            "REPLACE INTO t (a) VALUES (1)",
            "TRUNCATE t",
        ] {
            assert_eq!(rows_as_of(sql, Some("d"), 17), None, "{sql}");
        }
        assert_eq!(rows_as_of("DELETE FROM t", None, 17), None, "no database to name");
    }

    #[test]
    fn tables_are_listed_of_the_database_that_the_statement_names() {
        for (sql, list) in [
            ("DROP DATABASE shop", Some("SHOW TABLES FROM shop")),
            ("drop /* old */ schema if exists `Old Shop` ; -- x", Some("SHOW TABLES FROM `Old Shop`")),
            ("DROP DATABASE \"shop\"", None),
            ("DROP DATABASE a, b", None),
            ("DROP DATABASE IF EXISTS", None),
            ("DROP DATABASE mysql", None),
            ("DROP DATABASE", None),
            ("DROP TABLE shop", None),
            ("CREATE DATABASE shop", None),
        ] {
            assert_eq!(list_dropped(sql).as_deref(), list, "{sql}");
        }
    }

    #[test]
    fn what_could_be_counted_wrongly_is_not_counted() {
        for sql in [
            "DROP TABLE a, b",
            "DROP TABLE a CASCADE",
            "DROP DATABASE d",
            "DROP VIEW v",
            "TRUNCATE TABLE",
            "TRUNCATE a b",
            "DELETE FROM \"t\"",
            "DELETE FROM a.b.c",
            "DELETE FROM t LIMIT 5",
            "DELETE FROM t WHERE a <> 1 ORDER BY a LIMIT 5",
            "DELETE FROM t AS x WHERE x.a <> 1",
            "DELETE FROM t PARTITION (p)",
            "DELETE IGNORE FROM t",
            "DELETE t FROM t JOIN u ON t.id <> u.id",
            "DELETE FROM t USING t JOIN u ON t.id <> u.id",
            "DELETE FROM t WHERE id IN (SELECT id FROM u)",
            "DELETE FROM t WHERE a NOT IN (TABLE u)",
            "DELETE FROM t WHERE RAND() < 0.5",
            "DELETE FROM t WHERE `uuid`() <> a",
            "DELETE FROM t WHERE owner <> CURRENT_USER",
            "DELETE FROM t WHERE a <> @x",
            "DELETE FROM t WHERE a <> 'x\\'",
            "DELETE FROM t WHERE a <> {d '2026-01-01'}",
            "DELETE /*+ MAX_EXECUTION_TIME(1) */ FROM t",
            "DELETE FROM t /*! WHERE a = 1 */",
            "UPDATE t, u SET t.a = 1",
            "UPDATE t JOIN u ON t.id = u.id SET t.a = 1",
            "UPDATE t SET a = (SELECT 1)",
            "UPDATE t SET a = 1 LIMIT 5",
            "WITH c AS (SELECT 1) DELETE FROM t",
            "BATCH ON id LIMIT 10 DELETE FROM t",
            "DELETE FROM mysql.user",
            "REPLACE INTO t SELECT * FROM u",
            "ALTER TABLE t DROP COLUMN a",
            "DELETE FROM t; DROP TABLE t",
            "DELETE FROM t WHERE (a <> 1",
            "",
        ] {
            assert_eq!(count_touched(sql), None, "{sql}");
        }
    }

    proptest! {
        /// Whatever is pieced together: a count is a read of what the statement itself says, of a change that is known to be one.
        #[test]
        fn a_count_says_nothing_of_its_own(
            verb in "(DROP TABLE|drop table if exists|TRUNCATE|DELETE FROM|UPDATE|DELETE|UPDATE IGNORE|BATCH LIMIT 1 DELETE FROM) ",
            table in "(t|d\\.t|`a b`|\"t\"|t, u|d . `t`)",
            pieces in prop::collection::vec(prop::sample::select(vec![
                "SET a = 1", "WHERE", "a <> 1", "AND", "'x'", "'", "(", ")", ",", ";", "-- x\n", "/*x*/", "/*!x*/", "#", "\\", "(SELECT 1 FROM u)",
                "UNION", "LIMIT 1", "\u{a0}", "@a", "`b`", "\"", "USER()", "{d '2026-01-01'}", "1.5e3", "0x1f", "RAND()", "NOW()",
            ]), 0..8),
        ) {
            let sql = format!("{verb}{table} {}", pieces.join(" "));
            if let Some(count) = count_touched(&sql) {
                prop_assert_eq!(classify(&count), Class::Read, "{}: {}", sql, count);
                let change = inspect(&sql).is_ok_and(|statement| !statement.opens) && classify(&sql) == Class::Write;
                prop_assert!(change, "{}: {}", sql, count);
                let said = count.strip_prefix("SELECT COUNT(*) FROM ").expect("a count");
                let (table, condition) = said.split_once(" WHERE").unwrap_or((said, ""));
                prop_assert!(sql.contains(table) && sql.contains(condition), "{}: {}", sql, count);
                let odd = ["SELECT", "LIMIT", "RAND", "!", "@", "\\", ";"].iter().any(|odd| said.contains(odd));
                prop_assert!(!odd || said.contains('\''), "{}: {}", sql, count);
            }
        }
    }
}
