//! A change of schema in a few words.

use std::iter::Peekable;

use super::{
    gate::SCHEMA,
    lexer::{self, Reading, Token},
};

/// Kinds of schema objects, as written after the verb.
const KINDS: &[&str] =
    &["table", "database", "schema", "index", "view", "sequence", "user", "role", "policy", "cluster"];

/// Words between the verb and the kind: `CREATE OR REPLACE DEFINER = CURRENT_USER SQL SECURITY INVOKER VIEW`.
const TO_KIND_MAX: usize = 12;

/// Verb, kind and name: `CREATE TABLE shop.notes`, with `IF NOT EXISTS` if the statement has it. `None` if a statement changes no schema.
pub fn change(sql: &str) -> Option<String> {
    let reading = Reading { backslash: true, executed: Some(Reading::ALL) };
    let tokens = lexer::read(sql, reading).ok()?.tokens;
    let (verb, rest) = match tokens.split_first()? {
        (Token::Word(verb), rest) if SCHEMA.contains(&verb.as_str()) => (verb, rest),
        _ => return None,
    };
    let mut words = vec![verb.to_ascii_uppercase()];
    if matches!(verb.as_str(), "grant" | "revoke") {
        return words.pop();
    }
    let mut rest = rest.iter().peekable();
    let kind_at = rest.clone().take(TO_KIND_MAX).position(|token| KINDS.iter().any(|kind| token.is(kind)));
    if let Some(at) = kind_at
        && let Some(Token::Word(kind)) = rest.nth(at)
    {
        words.push(kind.to_ascii_uppercase());
    }
    // It may have been there already, or not: then the statement did nothing.
    while let Some(word) = rest.next_if(|token| ["if", "not", "exists"].iter().any(|word| token.is(word))) {
        words.extend(word.name().map(str::to_ascii_uppercase));
    }
    let mut names = vec![name(&mut rest)];
    while verb == "drop" && rest.next_if(|token| **token == Token::Symbol(',')).is_some() {
        names.push(name(&mut rest));
    }
    words.extend(Some(names.join(", ")).filter(|names| !names.is_empty()));
    if words.get(1).is_some_and(|kind| kind == "INDEX") && rest.any(|token| token.is("on")) {
        words.extend(["ON".to_owned(), name(&mut rest)]);
    }
    Some(words.join(" "))
}

/// The next name, with its qualifiers.
fn name<'a>(rest: &mut Peekable<impl Iterator<Item = &'a Token>>) -> String {
    let mut name = String::new();
    while let Some(part) = rest.next_if(|token| token.name().is_some()).and_then(Token::name) {
        name.push_str(part);
        if rest.next_if(|token| **token == Token::Symbol('.')).is_none() {
            break;
        }
        name.push('.');
    }
    name
}

#[cfg(test)]
mod tests {
    use super::change;

    #[test]
    fn a_change_is_told_by_verb_kind_and_name() {
        for (sql, expected) in [
            ("create table shop.notes (id INT)", "CREATE TABLE shop.notes"),
            ("CREATE TABLE IF NOT EXISTS `a b` (id INT)", "CREATE TABLE IF NOT EXISTS a b"),
            ("CREATE GLOBAL TEMPORARY TABLE t (id INT) ON COMMIT DELETE ROWS", "CREATE TABLE t"),
            ("CREATE UNIQUE INDEX i USING BTREE ON d.t (a)", "CREATE INDEX i ON d.t"),
            ("DROP INDEX IF EXISTS i ON t", "DROP INDEX IF EXISTS i ON t"),
            ("DROP TABLE IF EXISTS p1, d.`p 2`, p3", "DROP TABLE IF EXISTS p1, d.p 2, p3"),
            ("CREATE OR REPLACE ALGORITHM = MERGE VIEW v AS SELECT 1", "CREATE VIEW v"),
            ("ALTER TABLE t ADD COLUMN user INT", "ALTER TABLE t"),
            ("DROP DATABASE IF EXISTS x", "DROP DATABASE IF EXISTS x"),
            ("TRUNCATE t", "TRUNCATE t"),
            ("RENAME TABLE a TO b", "RENAME TABLE a"),
            ("ANALYZE TABLE shop.orders", "ANALYZE TABLE shop.orders"),
            ("GRANT SELECT ON shop.* TO 'a'@'%'", "GRANT"),
            ("CREATE TABLE t (id INT, PRIMARY KEY (id) /*T![clustered_index] CLUSTERED */)", "CREATE TABLE t"),
        ] {
            assert_eq!(change(sql).as_deref(), Some(expected), "{sql}");
        }
        for other in ["INSERT INTO t VALUES (1)", "SELECT 1", "", "'", "(CREATE TABLE t (a INT))"] {
            assert_eq!(change(other), None, "{other}");
        }
    }
}
