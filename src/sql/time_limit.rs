//! The time limit that a read carries to the server.

use super::{
    gate,
    lexer::{self, Token},
    walk::{after_parentheses, main_of_with, one_of},
};

/// The name of the hint. <https://docs.pingcap.com/tidb/stable/optimizer-hints#max_execution_timen>
const HINT: &str = "max_execution_time";

/// Where to put the text, and the text, that makes TiDB end this read after so many milliseconds.
///
/// TiDB honours the hint after the `SELECT` of the statement itself: the first of a `UNION`, the one after the tables of a `WITH`,
/// and the one that `EXPLAIN ANALYZE` runs. If there are hints already, it is added as the last of them: of several the last
/// one counts. `None` if the author's own hint ends it sooner, or if there is no place for one:
///
/// - `SHOW`, `DESCRIBE` and `EXPLAIN` without `ANALYZE` read schema and statistics. They end by themselves.
/// - `TABLE t` and `VALUES` have no `SELECT`; `TRACE` and `ADMIN` statements take no hint for what they run. Those and
///   statements in which TiDB's `max_execution_time` is set are ended by that variable, if the owner of the cluster has set it, and
///   by the gateway's own limits.
/// - In a text where a backslash comes before the `SELECT`, a mode of the server decides where the `SELECT` is.
///
/// A hint in a later part of a `UNION` is its author's and takes precedence.
pub fn time_limit(sql: &str, millis: u64) -> Option<(usize, String)> {
    let (tokens, places) = lexer::with_places(sql)?;
    let select = outermost_select(&tokens)?;
    let end = places.get(select)?.end;
    if sql.get(..end)?.contains('\\') {
        return None;
    }
    let Some(Token::Hint(hint)) = tokens.get(select + 1) else {
        return Some((end, format!(" /*+ {}({millis}) */", HINT.to_ascii_uppercase())));
    };
    if own_limit(hint).is_some_and(|own| (1..=millis).contains(&own)) {
        return None;
    }
    let close = places.get(select + 1)?.end.checked_sub("*/".len())?;
    Some((close, format!(" {}({millis}) ", HINT.to_ascii_uppercase())))
}

/// The place of the `SELECT` that is the statement's own.
fn outermost_select(tokens: &[Token]) -> Option<usize> {
    let mut rest = tokens;
    if one_of(rest.first(), &["explain", "describe", "desc"]) {
        let (analyzes, _, explained) = gate::explained(rest.get(1..)?);
        rest = if analyzes { explained } else { return None };
    }
    rest = after_parentheses(rest);
    if one_of(rest.first(), &["with"]) {
        rest = after_parentheses(main_of_with(rest)?);
    }
    one_of(rest.first(), &["select"]).then(|| tokens.len() - rest.len())
}

/// The last limit in a hint, in milliseconds; `None` if there is none, or none that can be read.
fn own_limit(hint: &str) -> Option<u64> {
    let (_, after) = hint.rsplit_once(HINT)?;
    after.trim_start().strip_prefix('(')?.split(')').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::time_limit;
    use crate::sql::{Class, classify};

    fn limited(sql: &str) -> Option<String> {
        time_limit(sql, 500).map(|(at, text)| {
            let (before, after) = sql.split_at(at);
            format!("{before}{text}{after}")
        })
    }

    #[test]
    fn a_read_carries_its_limit_where_tidb_honours_it() {
        for (sql, expected) in [
            ("SELECT 1", "SELECT /*+ MAX_EXECUTION_TIME(500) */ 1"),
            (
                "/* a */ ((select a from t) union select 2)",
                "/* a */ ((select /*+ MAX_EXECUTION_TIME(500) */ a from t) union select 2)",
            ),
            ("SELECT(1)", "SELECT /*+ MAX_EXECUTION_TIME(500) */(1)"),
            (
                "SELECT a FROM (SELECT /*+ MAX_EXECUTION_TIME(9) */ 1 a) t",
                "SELECT /*+ MAX_EXECUTION_TIME(500) */ a FROM (SELECT /*+ MAX_EXECUTION_TIME(9) */ 1 a) t",
            ),
            ("SELECT '\\'' FROM t", "SELECT /*+ MAX_EXECUTION_TIME(500) */ '\\'' FROM t"),
            (
                "WITH RECURSIVE c (n) AS (SELECT 'select' UNION ALL SELECT n FROM c), d AS (TABLE t) SELECT * FROM c",
                "WITH RECURSIVE c (n) AS (SELECT 'select' UNION ALL SELECT n FROM c), d AS (TABLE t) SELECT /*+ MAX_EXECUTION_TIME(500) */ * FROM c",
            ),
            (
                "EXPLAIN ANALYZE FORMAT = 'brief' SELECT 1",
                "EXPLAIN ANALYZE FORMAT = 'brief' SELECT /*+ MAX_EXECUTION_TIME(500) */ 1",
            ),
            ("SELECT /*+ HASH_AGG() */ 1", "SELECT /*+ HASH_AGG()  MAX_EXECUTION_TIME(500) */ 1"),
            (
                "SELECT /*+ max_execution_time( 501 ) */ 1",
                "SELECT /*+ max_execution_time( 501 )  MAX_EXECUTION_TIME(500) */ 1",
            ),
            (
                "SELECT /*+ MAX_EXECUTION_TIME(0), HASH_AGG()*/ 1",
                "SELECT /*+ MAX_EXECUTION_TIME(0), HASH_AGG() MAX_EXECUTION_TIME(500) */ 1",
            ),
            (
                "SELECT /*+ MAX_EXECUTION_TIME(9) MAX_EXECUTION_TIME(900) */ 1",
                "SELECT /*+ MAX_EXECUTION_TIME(9) MAX_EXECUTION_TIME(900)  MAX_EXECUTION_TIME(500) */ 1",
            ),
        ] {
            assert_eq!(limited(sql).as_deref(), Some(expected), "{sql}");
            assert_eq!(classify(expected), classify(sql), "the limit changes nothing for the gate: {sql}");
        }
    }

    #[test]
    fn where_there_is_no_place_the_statement_stays() {
        for sql in [
            "SELECT /*+ MAX_EXECUTION_TIME(500) */ 1",
            "SELECT /*+ MAX_EXECUTION_TIME(900) MAX_EXECUTION_TIME( 9 ) */ 1",
            "SHOW TABLES",
            "EXPLAIN SELECT 1",
            "DESC t",
            "TABLE t",
            "VALUES ROW(1)",
            "TRACE SELECT 1",
            "INSERT INTO t SELECT 1",
            "UPDATE t SET a = (SELECT 1) WHERE id = 1",
            "WITH c AS (SELECT 1) DELETE FROM t WHERE id = 1",
            "WITH c AS (SELECT '\\') SELECT 2 -- ') SELECT 1",
            "`select` 1",
            "BEGIN",
            "",
            "'",
        ] {
            assert_eq!(limited(sql), None, "{sql}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd(text in "(select|SELECT |with|explain analyze |/\\*\\+ max_execution_time\\([0-9]\\)|\\*/|\\(|\\)|'|\\\\|\\PC){0,30}") {
            if let Some(limited) = limited(&text) && classify(&text) == Class::Read {
                prop_assert_eq!(classify(&limited), Class::Read, "{}", limited);
            }
        }
    }

    /// Whatever the gate takes for a read stays the same read with its limit.
    #[test]
    fn every_read_of_the_gates_cases_stays_the_same_read() {
        let mut limits = 0;
        for line in include_str!("../../tests/cases/sql-gate.tsv").lines().skip(1) {
            let sql = line.split('\t').next().unwrap_or_default();
            if let Some(text) = limited(sql).filter(|_| classify(sql) == Class::Read) {
                assert_eq!(classify(&text), Class::Read, "{text}");
                limits += 1;
            }
        }
        assert!(limits > 50, "only {limits} reads have a limit");
    }
}
