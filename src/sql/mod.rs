//! SQL text: classifies statements without a server.
//!
//! It is the second wall around reads. The first is a database user that can only read; this one stops what such a user
//! can still do (take locks, sleep, read password hashes, change its session), and gives a good error before anything is
//! sent. It is an allow-list: a statement that is not known to be a read is not one.

mod account;
mod bind;
mod change;
mod condition;
mod dry_run;
mod flashback;
mod functions;
mod gate;
mod harm;
#[cfg(test)]
mod kinds;
mod lexer;
mod limits;
mod reason;
mod refused;
mod reserved;
mod small;
mod touched;
mod variables;
mod walk;

pub use bind::{Parameter, Placeholders, Unbound, bind};
pub use change::change;
pub use condition::is_one_condition;
pub use dry_run::{NotHeld, advances_sequence, held_by_transaction, ignores_errors};
pub use flashback::flashback;
#[cfg(test)]
pub(crate) use gate::tests::unescape;
pub use gate::{Class, Statement, changing_word, classify, inspect, plans_change, shows_variables};
#[cfg(test)]
pub(crate) use limits::tests as limits_tests;
pub use limits::{Edits, limited, planned, planned_with};
pub use reason::Reason;
pub use reserved::{literal, shortest_name};
pub use small::{Keyed, Size, Tables, size};
pub use touched::{Changed, ChangedRows, changed_rows, count_touched, list_dropped, rows_as_of};
pub use variables::holds_secret;

/// 64 KiB, the longest statement: the longest that a person writes has a few KiB; the rest is room for generated ones.
pub const STATEMENT_BYTES_MAX: usize = 64 << 10;

/// The kind of a statement's result, judged by its first word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Rows about the database, of `SHOW`, `EXPLAIN`, `TRACE` and `ADMIN SHOW`: their values are not available otherwise.
    Description,
    /// Rows of data.
    Rows,
    /// A count at most.
    Count,
}

/// The kind of a statement's result.
pub fn answer(sql: &str) -> Answer {
    match lexer::first_word(sql).as_deref() {
        Some("show" | "explain" | "describe" | "desc" | "trace" | "admin") => Answer::Description,
        Some("select" | "table" | "values" | "with") => Answer::Rows,
        _ => Answer::Count,
    }
}

/// Whether a statement is a `SHOW STATS_...` or `SHOW COLUMN_STATS_USAGE`: each of its rows begins with the schema that it
/// is about.
pub fn shows_statistics(sql: &str) -> bool {
    let tokens = lexer::tokens(sql, true).unwrap_or_default();
    matches!(tokens.as_slice(), [show, lexer::Token::Word(what), ..] if show.is("show") && what.contains("stats_"))
}

/// A name in backticks.
///
/// `None` if no identifier of TiDB looks like this: empty, longer than 64 characters, with NUL, or with a blank at
/// its end. <https://docs.pingcap.com/tidb/stable/schema-object-names>
pub fn quote_identifier(name: &str) -> Option<String> {
    const CHARACTERS_MAX: usize = 64;
    let legal = !name.is_empty()
        && name.chars().count() <= CHARACTERS_MAX
        && !name.contains('\0')
        && !name.ends_with(char::is_whitespace);
    legal.then(|| format!("`{}`", name.replace('`', "``")))
}

/// Why no tool works in the schema of [`is_system_secret_schema`].
pub const SECRET_SCHEMA_REFUSED: &str = "the system schema `mysql` holds password hashes and is not open to tools";

/// Whether this is the schema that holds users and their password hashes, or a name that a component on the way could take
/// for it: with surrounding whitespace, or in letters that compare equal without case.
pub fn is_system_secret_schema(name: &str) -> bool {
    lexer::fold(name.trim()) == "mysql"
}

#[cfg(test)]
mod tests {
    use super::{Answer, answer, is_system_secret_schema, quote_identifier};

    #[test]
    fn an_answer_is_known_by_the_first_word() {
        assert_eq!(answer("/* x */ show create table t"), Answer::Description);
        assert_eq!(answer("EXPLAIN SELECT 1"), Answer::Description);
        assert_eq!(answer("((SELECT 1) UNION (SELECT 2))"), Answer::Rows);
        assert_eq!(answer("WITH c AS (SELECT 1) SELECT * FROM c"), Answer::Rows);
        for other in ["UPDATE t SET a = 1", "`show` tables", "'select'", "", "-- show", "'"] {
            assert_eq!(answer(other), Answer::Count, "{other}");
        }
    }

    #[test]
    fn a_quoted_name_cannot_end_early() {
        assert_eq!(quote_identifier("orders").as_deref(), Some("`orders`"));
        assert_eq!(quote_identifier("a`; DROP TABLE t; -- ").as_deref(), None);
        assert_eq!(quote_identifier("a`; DROP TABLE t; --").as_deref(), Some("`a``; DROP TABLE t; --`"));
        assert!(quote_identifier(&"名".repeat(64)).is_some());
        for bad in ["", "a\0b", "a ", &"x".repeat(65)] {
            assert_eq!(quote_identifier(bad), None, "{bad:?}");
        }
        for (name, secret) in
            [("MySQL", true), ("\tmy\u{17f}ql ", true), ("mysql2", false), ("my sql", false), ("", false)]
        {
            assert_eq!(is_system_secret_schema(name), secret, "{name:?}");
        }
    }
}
