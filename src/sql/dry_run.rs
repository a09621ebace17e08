//! Which statements a transaction that is rolled back leaves no trace of.

use super::{functions, harm::DATA, lexer, walk::one_of};

/// Statements that a transaction holds: changes of data, and reads. An allow-list, because what commits by itself would take
/// effect.
const HELD: &[&str] = &[
    "insert", "replace", "update", "delete", "select", "with", "table", "values", "explain", "desc", "describe", "show",
];

/// Why a transaction does not hold a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotHeld {
    /// It commits by itself, and what was before it in the transaction, too.
    CommitsByItself,
    /// A `BATCH`: each part commits.
    InParts,
}

/// Whether a transaction holds this statement, so that ROLLBACK undoes it.
///
/// # Errors
/// Why not.
pub fn held_by_transaction(sql: &str) -> Result<(), NotHeld> {
    match lexer::first_word(sql).as_deref() {
        Some("batch") => Err(NotHeld::InParts),
        Some(word) if HELD.contains(&word) => Ok(()),
        _ => Err(NotHeld::CommitsByItself),
    }
}

/// Whether a statement takes the next value of a sequence, by its own text.
pub fn advances_sequence(sql: &str) -> bool {
    let Ok(tokens) = lexer::tokens(sql, true) else { return false };
    let names = tokens.iter().filter_map(lexer::Token::name);
    let mut following = tokens.iter().skip(1);
    names.clone().any(|name| functions::ADVANCING.contains(&name))
        || tokens.iter().any(|token| {
            let value = following.next().is_some_and(|next| next.is("value"));
            token.is("next") && value
        })
}

/// Whether a change of data goes on past what it cannot do, and says so in warnings alone.
pub fn ignores_errors(sql: &str) -> bool {
    /// Modifiers come right after the verb, with an optimizer hint between them.
    const MODIFIERS_MAX: usize = 4;
    let Ok(tokens) = lexer::tokens(sql, true) else { return false };
    one_of(tokens.first(), DATA) && tokens.iter().skip(1).take(MODIFIERS_MAX).any(|token| token.is("ignore"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_holds_changes_of_data_and_reads() {
        for sql in [
            "INSERT INTO t VALUES (1)",
            "/* x */ replace into t values (1)",
            "UPDATE t SET a = 1",
            "DELETE FROM t",
            "WITH c AS (SELECT 1) DELETE FROM t",
            "(SELECT 1)",
            "EXPLAIN ANALYZE DELETE FROM t",
            "SHOW TABLES",
        ] {
            assert_eq!(held_by_transaction(sql), Ok(()), "{sql}");
        }
        for sql in ["BATCH ON id LIMIT 10 DELETE FROM t", "batch limit 1 update t set a = 1"] {
            assert_eq!(held_by_transaction(sql), Err(NotHeld::InParts), "{sql}");
        }
        let by_themselves = crate::sql::gate::SCHEMA.iter().map(|verb| format!("{verb} x"));
        let others = ["ADMIN CHECK TABLE t", "TRACE DELETE FROM t", "/*! DELETE FROM t */", "COMMIT", "", "'"];
        for sql in by_themselves.chain(others.map(str::to_owned)) {
            assert_eq!(held_by_transaction(&sql), Err(NotHeld::CommitsByItself), "{sql}");
        }
    }

    #[test]
    fn what_cannot_be_rolled_back_and_what_warns_is_known_by_the_text() {
        for sql in ["SELECT NEXTVAL(s)", "INSERT INTO t VALUES (NEXT VALUE FOR s)", "UPDATE t SET a = `setval`(s, 5)"] {
            assert!(advances_sequence(sql), "{sql}");
        }
        for sql in ["INSERT INTO t (next) VALUES ('next value')", "SELECT value, next FROM t", "'"] {
            assert!(!advances_sequence(sql), "{sql}");
        }
        for sql in
            ["INSERT IGNORE INTO t VALUES (1)", "update low_priority ignore t set a = 1", "DELETE QUICK IGNORE FROM t"]
        {
            assert!(ignores_errors(sql), "{sql}");
        }
        for sql in ["INSERT INTO t VALUES ('ignore')", "SELECT 1 FROM t IGNORE INDEX (a)", "UPDATE t SET a = 1", "'"] {
            assert!(!ignores_errors(sql), "{sql}");
        }
    }
}
