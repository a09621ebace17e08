//! The statements that bring back what a statement dropped.

use super::{
    gate,
    lexer::{self, Token},
    walk::one_of,
};

/// `FLASHBACK TABLE` for each table of a `DROP TABLE`, `FLASHBACK DATABASE` for a `DROP DATABASE`: TiDB keeps what was dropped
/// until it collects garbage. The names are those of the statement, with `database` before those that have none. Empty for any
/// other statement, and with `IF EXISTS`: what was not there must not come back. A table that was truncated is there, and would
/// come back only under another name.
/// <https://docs.pingcap.com/tidbcloud/sql-statement-flashback-table>,
/// <https://docs.pingcap.com/tidbcloud/sql-statement-flashback-database>
pub fn flashback(sql: &str, database: Option<&str>) -> Vec<String> {
    of(sql, database).unwrap_or_default()
}

fn of(sql: &str, database: Option<&str>) -> Option<Vec<String>> {
    let (tokens, places) = lexer::placed(sql)?;
    let (first, second) = (tokens.first(), tokens.get(1));
    let (kind, mut at): (&str, usize) = match () {
        () if one_of(first, &["drop"]) && one_of(second, &["table", "tables"]) => ("TABLE", 2),
        () if one_of(first, &["drop"]) && one_of(second, &["database", "schema"]) => ("DATABASE", 2),
        () => return None,
    };
    if one_of(tokens.get(at), &["if"]) && one_of(tokens.get(at + 1), &["exists"]) {
        return None;
    }
    let mut statements = Vec::new();
    loop {
        let start = at;
        let is_name = |at: usize| matches!(tokens.get(at), Some(Token::Word(_) | Token::Name(_)));
        let is_whole = kind == "DATABASE" || tokens.get(at + 1) == Some(&Token::Symbol('.'));
        at += if tokens.get(at + 1) == Some(&Token::Symbol('.')) { 3 } else { 1 };
        let name = sql.get(places.get(start)?.start..places.get(at - 1)?.end)?;
        let place = if is_whole { String::new() } else { format!("`{}`.", database?.replace('`', "``")) };
        let statement = format!("FLASHBACK {kind} {place}{name}");
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
            ("drop table `a b`, d . `c`;", &["FLASHBACK TABLE `my``db`.`a b`", "FLASHBACK TABLE d . `c`"]),
            ("/* x */ DROP DATABASE shop", &["FLASHBACK DATABASE shop"]),
            ("DROP SCHEMA shop", &["FLASHBACK DATABASE shop"]),
        ] {
            assert_eq!(flashback(sql, Some("my`db")), expected, "{sql}");
        }
        for sql in ["DROP TABLE IF EXISTS d.t", "DROP DATABASE IF EXISTS d", "TRUNCATE TABLE d.t"] {
            assert_eq!(
                flashback(sql, Some("d")),
                Vec::<String>::new(),
                "{sql}: it may have done nothing, or left it there"
            );
        }
        for sql in
            ["DELETE FROM t", "DROP VIEW v", "DROP INDEX i ON t", "DROP USER u", "SELECT 1", "", "DROP TABLE", "'"]
        {
            assert_eq!(flashback(sql, None), Vec::<String>::new(), "{sql}");
        }
    }
}
