//! Optimizer hints put into a statement.

use super::{
    lexer::{self, Token},
    walk::{after_parentheses, main_of_with, one_of},
};

/// The statement with these hints after its outermost `SELECT`, or after the word that changes data. If there are hints already,
/// they are added as the last ones: of several the last one counts.
///
/// `None` if there is no place for hints (`TABLE t`, `VALUES ROW(1)`), or if a mode of the server decides where it is.
pub fn hinted(sql: &str, hints: &str) -> Option<String> {
    let (tokens, places) = lexer::with_places(sql, true)?;
    let mut rest = after_parentheses(&tokens);
    if one_of(rest.first(), &["with"]) {
        rest = after_parentheses(main_of_with(rest)?);
    }
    if !one_of(rest.first(), &["select", "insert", "replace", "update", "delete"]) {
        return None;
    }
    let at = tokens.len() - rest.len();
    let end = places.get(at)?.end;
    let (end, hints) = match tokens.get(at + 1) {
        Some(Token::Hint(_)) => (places.get(at + 1)?.end.checked_sub("*/".len())?, format!(" {hints} ")),
        _ => (end, format!(" /*+ {hints} */")),
    };
    let (before, after) = sql.split_at_checked(end)?;
    (!before.contains('\\')).then(|| format!("{before}{hints}{after}"))
}

#[cfg(test)]
mod tests {
    use super::hinted;

    #[test]
    fn hints_stand_where_tidb_reads_them() {
        for (sql, expected) in [
            ("SELECT 1", Some("SELECT /*+ H() */ 1")),
            ("select /*+ A() */ 1", Some("select /*+ A()  H() */ 1")),
            ("((SELECT a FROM t) UNION SELECT 2)", Some("((SELECT /*+ H() */ a FROM t) UNION SELECT 2)")),
            ("WITH c AS (SELECT 1) SELECT * FROM c", Some("WITH c AS (SELECT 1) SELECT /*+ H() */ * FROM c")),
            ("UPDATE t SET a = 1", Some("UPDATE /*+ H() */ t SET a = 1")),
            ("DELETE FROM t", Some("DELETE /*+ H() */ FROM t")),
            ("INSERT INTO t SELECT 1", Some("INSERT /*+ H() */ INTO t SELECT 1")),
            ("TABLE t", None),
            ("/* \\ */ SELECT 1", None),
            ("SELECT '\\'' FROM t", Some("SELECT /*+ H() */ '\\'' FROM t")),
            ("SHOW TABLES", None),
        ] {
            assert_eq!(hinted(sql, "H()").as_deref(), expected, "{sql}");
        }
    }
}
