//! SQL text: what a statement is and does, decided without a server.
//!
//! It is the second wall around reads. The first is a database user that may only read; this one stops what such a user
//! still may do (take locks, sleep, read password hashes, change its session), and gives a good error before anything
//! is sent. It is an allow-list: what it does not know to be a read is not one.

mod account;
mod condition;
mod functions;
mod gate;
mod harm;
#[cfg(test)]
mod kinds;
mod lexer;
mod reason;
mod variables;
mod walk;

pub use gate::{Class, Statement, classify, inspect, shows_variables};
pub use reason::Reason;
pub use variables::holds_secret;

/// A name in backticks, so that any identifier is just a name.
///
/// `None` where no identifier of TiDB looks like this: empty, longer than 64 characters, with NUL, or with a blank at
/// its end. <https://docs.pingcap.com/tidb/stable/schema-object-names>
pub fn quote_identifier(name: &str) -> Option<String> {
    const CHARACTERS_MAX: usize = 64;
    let legal = !name.is_empty()
        && name.chars().count() <= CHARACTERS_MAX
        && !name.contains('\0')
        && !name.ends_with(char::is_whitespace);
    legal.then(|| format!("`{}`", name.replace('`', "``")))
}

/// Whether this is the schema that holds users and their password hashes.
pub fn is_system_secret_schema(name: &str) -> bool {
    name.eq_ignore_ascii_case("mysql")
}

#[cfg(test)]
mod tests {
    use super::{is_system_secret_schema, quote_identifier};

    #[test]
    fn a_quoted_name_cannot_end_early() {
        assert_eq!(quote_identifier("orders").as_deref(), Some("`orders`"));
        assert_eq!(quote_identifier("a`; DROP TABLE t; -- ").as_deref(), None);
        assert_eq!(quote_identifier("a`; DROP TABLE t; --").as_deref(), Some("`a``; DROP TABLE t; --`"));
        assert!(quote_identifier(&"名".repeat(64)).is_some());
        for bad in ["", "a\0b", "a ", &"x".repeat(65)] {
            assert_eq!(quote_identifier(bad), None, "{bad:?}");
        }
        assert!(is_system_secret_schema("MySQL") && !is_system_secret_schema("mysql2"));
    }
}
