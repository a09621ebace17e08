//! The statements that bring back what a statement dropped.

use std::ops::Range;

use super::{
    gate,
    lexer::{self, Token},
    walk::one_of,
};

/// `FLASHBACK TABLE` for each table of a `DROP TABLE` or `TRUNCATE`, `FLASHBACK DATABASE` for a `DROP DATABASE`: TiDB keeps what
/// was dropped until it collects garbage. The names are those of the statement. Empty for any other statement.
/// <https://docs.pingcap.com/tidbcloud/sql-statement-flashback-table>,
/// <https://docs.pingcap.com/tidbcloud/sql-statement-flashback-database>
pub fn flashback(sql: &str) -> Vec<String> {
    of(sql).unwrap_or_default()
}

fn of(sql: &str) -> Option<Vec<String>> {
    let (tokens, places): (Vec<Token>, Vec<Range<usize>>) = lexer::placed(sql)?.into_iter().unzip();
    let (first, second) = (tokens.first(), tokens.get(1));
    let (kind, mut at) = match () {
        () if one_of(first, &["truncate"]) => ("TABLE", 1 + usize::from(one_of(second, &["table"]))),
        () if one_of(first, &["drop"]) && one_of(second, &["table", "tables"]) => ("TABLE", 2),
        () if one_of(first, &["drop"]) && one_of(second, &["database", "schema"]) => ("DATABASE", 2),
        () => return None,
    };
    if one_of(tokens.get(at), &["if"]) && one_of(tokens.get(at + 1), &["exists"]) {
        at += 2;
    }
    let mut statements = Vec::new();
    loop {
        let start = at;
        let is_name = |at: usize| matches!(tokens.get(at), Some(Token::Word(_) | Token::Name(_)));
        at += if tokens.get(at + 1) == Some(&Token::Symbol('.')) { 3 } else { 1 };
        let name = sql.get(places.get(start)?.start..places.get(at - 1)?.end)?;
        let statement = format!("FLASHBACK {kind} {name}");
        if !is_name(start) || !is_name(at - 1) || gate::inspect(&statement).is_err() {
            return None;
        }
        statements.push(statement);
        if tokens.get(at) != Some(&Token::Symbol(',')) {
            return Some(statements);
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::flashback;

    #[test]
    fn what_was_dropped_is_brought_back_by_its_own_name() {
        for (sql, expected) in [
            ("DROP TABLE shop.orders", &["FLASHBACK TABLE shop.orders"][..]),
            ("drop table if exists `a b`, d . `c`;", &["FLASHBACK TABLE `a b`", "FLASHBACK TABLE d . `c`"]),
            ("TRUNCATE TABLE t", &["FLASHBACK TABLE t"]),
            ("/* x */ truncate Big", &["FLASHBACK TABLE Big"]),
            ("DROP DATABASE IF EXISTS shop", &["FLASHBACK DATABASE shop"]),
            ("DROP SCHEMA shop", &["FLASHBACK DATABASE shop"]),
        ] {
            assert_eq!(flashback(sql), expected, "{sql}");
        }
        for sql in
            ["DELETE FROM t", "DROP VIEW v", "DROP INDEX i ON t", "DROP USER u", "SELECT 1", "", "DROP TABLE", "'"]
        {
            assert_eq!(flashback(sql), Vec::<String>::new(), "{sql}");
        }
    }
}
