//! How large a statement is, as far as its text tells.

use std::{collections::BTreeMap, ops::Range};

use super::{
    condition::own_where,
    gate::SCHEMA,
    lexer::{self, Token},
    limits::{Place, place_of, run_by},
    walk::{one_of, outside},
};

/// What the text of a statement tells of the rows that it reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Size {
    /// It reads no table, or does not run.
    Nothing,
    /// It reads one table, by columns that equal literals.
    Keyed(Keyed),
    /// Its plan tells.
    Planned,
    /// It has a plan, and servers of different versions could make different ones of this text.
    Unplannable,
}

/// A table, and the columns that each equal a literal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyed {
    /// As it is written, with its database if that is.
    pub table: String,
    /// Each with the kind of its literal, in order: `email = 5` is a full scan where `email = '5'` finds one row (TiDB 8.5).
    pub columns: Vec<String>,
}

impl Keyed {
    /// Whether a column equals an integer.
    pub fn has_integer(&self) -> bool {
        self.columns.iter().any(|column| column.ends_with(INTEGER))
    }
}

/// The kinds of literals, after a column.
const TEXT: &str = " text";
const INTEGER: &str = " integer";

/// Words that begin a query, or join its parts.
const QUERIES: &[&str] = &["select", "from", "table", "values", "with", "union", "except", "intersect", "join"];
/// Those of them that a change of data with its own values has not.
const SOURCES: &[&str] = &["select", "table", "with"];
/// A number of so many digits fits into every integer that is a key, and compares as one.
const DIGITS_MAX: usize = 18;

/// What the text of a statement tells. What is not known for sure is [`Size::Planned`].
pub fn size(sql: &str) -> Size {
    let Some((tokens, places)) = lexer::with_places(sql, true) else {
        let first = lexer::first_word(sql).unwrap_or_default();
        return if SCHEMA.contains(&first.as_str()) { Size::Nothing } else { Size::Unplannable };
    };
    let Some(start) = run_by(&tokens) else { return Size::Nothing };
    let verb = match place_of(&tokens, start) {
        None => return Size::Nothing,
        Some(Place::Around(_)) => return Size::Planned,
        Some(Place::After(verb)) => verb,
    };
    let rest = tokens.get(verb + 1..).unwrap_or_default();
    let has = |words: &[&str]| rest.iter().any(|token| one_of(Some(token), words));
    let nothing = match tokens.get(verb) {
        Some(verb) if one_of(Some(verb), &["insert", "replace"]) => !has(SOURCES),
        Some(verb) if verb.is("select") => !has(QUERIES),
        _ => false,
    };
    let alone = !tokens.get(start..verb).unwrap_or_default().iter().any(|token| token.is("with"));
    if nothing && alone {
        return Size::Nothing;
    }
    if verb != start || sql.contains('\\') {
        return Size::Planned;
    }
    // Other names may differ to TiDB where they are the same here.
    let is_plain = |(token, place): (&Token, &Range<usize>)| match token {
        Token::Word(_) | Token::Name(_) => {
            sql.get(place.clone()).is_some_and(|text| text.is_ascii() && !text.contains('.'))
        }
        _ => true,
    };
    if !tokens.iter().zip(&places).all(is_plain) {
        return Size::Planned;
    }
    keyed(tokens.get(verb..).unwrap_or_default()).map_or(Size::Planned, Size::Keyed)
}

/// The one table of a statement and its keys.
fn keyed(tokens: &[Token]) -> Option<Keyed> {
    let (verb, rest) = tokens.split_first()?;
    if rest.iter().any(|token| matches!(token, Token::Hint(_) | Token::Assign)) {
        return None;
    }
    let table = match verb {
        verb if verb.is("update") => rest,
        verb if verb.is("delete") => rest.strip_prefix(&[Token::Word("from".to_owned())])?,
        verb if verb.is("select") => {
            let (at, _) = outside(rest).find(|(_, token)| token.is("from"))?;
            let list = rest.get(..at)?;
            (!list.iter().any(|token| one_of(Some(token), QUERIES))).then_some(rest.get(at + 1..)?)?
        }
        _ => return None,
    };
    if table.iter().any(|token| one_of(Some(token), QUERIES)) {
        return None;
    }
    let (table, rest) = name(table)?;
    let condition = match rest {
        [token, ..] if one_of(Some(token), &["where", "set"]) => rest,
        [word, Token::Word(_) | Token::Name(_), rest @ ..] if word.is("as") => rest,
        [Token::Word(_) | Token::Name(_), rest @ ..] => rest,
        _ => return None,
    };
    let condition = match (verb.is("update"), condition.first()) {
        (true, Some(set)) if set.is("set") => condition.get(own_where(condition)?..)?,
        (false, _) => condition,
        _ => return None,
    };
    let mut rest = condition.strip_prefix(&[Token::Word("where".to_owned())])?;
    let mut columns = Vec::new();
    loop {
        let (column, after) = name(rest)?;
        let (literal, after) = after.strip_prefix(&[Token::Symbol('=')])?.split_first()?;
        let kind = match literal {
            Token::Single(text) if !is_figure(text) => TEXT,
            Token::Number(number) if number.len() <= DIGITS_MAX && number.bytes().all(|byte| byte.is_ascii_digit()) => {
                INTEGER
            }
            _ => return None,
        };
        let column = column.last()?;
        columns.push(format!("{column}{kind}"));
        match after.split_first() {
            Some((and, after)) if and.is("and") => rest = after,
            Some((end, after)) if one_of(Some(end), &["order", "limit"]) => {
                let plain = |token: &Token| {
                    matches!(token, Token::Word(_) | Token::Name(_) | Token::Number(_) | Token::Symbol(',' | '.'))
                };
                after.iter().all(plain).then_some(())?;
                break;
            }
            Some(_) => return None,
            None => break,
        }
    }
    columns.sort_unstable();
    columns.dedup();
    Some(Keyed { table: table.join("."), columns })
}

/// Whether a text may be a number with a fraction, a date or a time: whether an index serves `'5.5'` depends on more than the types
/// (TiDB 8.5: a full scan where an integer column has a unique key).
fn is_figure(text: &str) -> bool {
    let has = |is: fn(char) -> bool| text.contains(is);
    has(|character| character.is_ascii_digit())
        && has(|character| !character.is_ascii_digit())
        && !has(char::is_alphabetic)
}

/// The parts of a name, at most three, and what follows it.
fn name(tokens: &[Token]) -> Option<(Vec<&str>, &[Token])> {
    const PARTS_MAX: usize = 3;
    fn part(token: Option<&Token>) -> Option<&str> {
        match token {
            Some(Token::Word(name) | Token::Name(name)) => Some(name),
            _ => None,
        }
    }
    let (mut parts, mut rest) = (vec![part(tokens.first())?], tokens.get(1..)?);
    while parts.len() < PARTS_MAX && rest.first() == Some(&Token::Symbol('.')) {
        parts.push(part(rest.get(1))?);
        rest = rest.get(2..)?;
    }
    (rest.first() != Some(&Token::Symbol('.'))).then_some((parts, rest))
}

/// A table, with its database if a statement names that.
type Named = (Option<String>, String);

/// The tables of a statement, by the names that its plan calls them by; `None` for a name that stands for several.
#[derive(Default)]
pub struct Tables(BTreeMap<String, Option<Named>>);

impl Tables {
    /// Those that are named after `FROM` and the like, and whatever has an alias.
    pub fn of(sql: &str) -> Self {
        const BEFORE: &[&str] = &["from", "join", "update", "into", "table"];
        let mut tables = Self::default();
        let Some((tokens, places)) = lexer::with_places(sql, true) else { return tables };
        // Where folding says more than that two names differ in case, TiDB may tell them apart.
        let is_plain = |at: usize| match (tokens.get(at), places.get(at).and_then(|place| sql.get(place.clone()))) {
            (Some(Token::Word(name)), Some(text)) => text.to_lowercase() == *name,
            (Some(Token::Name(name)), Some(text)) => text.trim_matches('`').to_lowercase() == *name,
            _ => true,
        };
        for (at, before) in tokens.iter().enumerate() {
            let introduces = one_of(Some(before), BEFORE) || matches!(before, Token::Symbol(',' | '('));
            let Some((parts, rest)) = tokens.get(at + 1..).and_then(name).filter(|_| introduces) else { continue };
            let after = tokens.len() - rest.len();
            let rest = if one_of(rest.first(), &["as"]) { rest.get(1..).unwrap_or_default() } else { rest };
            let (Some(table), database) = (parts.last(), parts.iter().rev().nth(1)) else { continue };
            let named = (at..after).all(is_plain).then(|| (database.map(|&name| name.to_owned()), (*table).to_owned()));
            if let Some(Token::Word(alias) | Token::Name(alias)) = rest.first() {
                tables.add(alias, named.as_ref());
            }
            if one_of(Some(before), BEFORE) {
                tables.add(table, named.as_ref());
            }
        }
        tables
    }

    fn add(&mut self, called: &str, table: Option<&Named>) {
        let known = self.0.entry(called.to_owned()).or_insert_with(|| table.cloned());
        if known.as_ref() != table {
            *known = None;
        }
    }

    /// The table that a plan of the statement calls so. `None` if the statement calls none so, or several.
    pub fn called(&self, called: &str) -> Option<&Named> {
        let folded = lexer::fold(called);
        (called.to_lowercase() == folded).then(|| self.0.get(&folded))??.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::{Keyed, Size, Tables, size};

    fn keyed(table: &str, columns: &[&str]) -> Size {
        Size::Keyed(Keyed {
            table: table.to_owned(),
            columns: columns.iter().map(|&column| column.to_owned()).collect(),
        })
    }

    #[test]
    fn one_row_by_columns_that_equal_literals_is_found_in_the_text() {
        for (sql, table, columns) in [
            ("SELECT * FROM orders WHERE id = 5", "orders", &["id integer"] as &[_]),
            ("select /* a */ COUNT(*) from `Shop`.Orders o where o.ID = 5 limit 1;", "shop.orders", &["id integer"]),
            ("SELECT a FROM t AS x WHERE x.b = 'c' AND a = 1 ORDER BY a, b LIMIT 3", "t", &["a integer", "b text"]),
            ("UPDATE t SET a = a + 1, b = 'x' WHERE id = 5", "t", &["id integer"]),
            ("DELETE FROM d.t WHERE id = 5 AND id = 5", "d.t", &["id integer"]),
            ("EXPLAIN ANALYZE SELECT a FROM t WHERE id = 5", "t", &["id integer"]),
            ("BATCH ON id LIMIT 10 DELETE FROM t WHERE id = 5", "t", &["id integer"]),
        ] {
            assert_eq!(size(sql), keyed(table, columns), "{sql}");
        }
    }

    #[test]
    fn what_reads_no_table_is_nothing() {
        for sql in [
            "SELECT 1",
            "(SELECT NOW(), 'from t')",
            "INSERT INTO t VALUES (1, 'select'), (2, NULL)",
            "REPLACE INTO t SET a = 1",
            "INSERT INTO t (a) VALUES (1) ON DUPLICATE KEY UPDATE a = a + 1",
            "SHOW TABLES",
            "EXPLAIN SELECT * FROM a, b",
            "DESCRIBE t",
            "CREATE TABLE t (id INT)",
            "CREATE TABLE t (id INT /*T![auto_rand] AUTO_RANDOM */ PRIMARY KEY)",
            "ALTER TABLE t ADD INDEX (a)",
            "ANALYZE TABLE t",
        ] {
            assert_eq!(size(sql), Size::Nothing, "{sql}");
        }
    }

    #[test]
    fn what_is_not_sure_is_planned() {
        for sql in [
            "SELECT * FROM orders",
            "TABLE orders",
            "(SELECT 1) UNION (SELECT 2)",
            "SELECT * FROM orders WHERE id = 5 OR 1 = 1",
            "SELECT * FROM orders WHERE id = 5 OR a = 1",
            "SELECT * FROM orders WHERE NOT id = 5",
            "SELECT * FROM orders WHERE id <> 5",
            "SELECT * FROM orders WHERE id = NULL",
            "SELECT * FROM orders WHERE id = other",
            "SELECT * FROM orders WHERE id = 5 = 0",
            "SELECT * FROM orders WHERE id = 5.5",
            "SELECT * FROM orders WHERE id = 12345678901234567890",
            "SELECT * FROM orders WHERE id = \"5\"",
            "SELECT * FROM orders WHERE id = 'a\\'b'",
            "SELECT * FROM orders WHERE id = '5.5'",
            "SELECT * FROM orders WHERE id = '2026-01-02'",
            "SELECT * FROM `a.b` WHERE id = 5",
            "SELECT * FROM orders WHERE `a.b` = 5",
            "SELECT * FROM \u{212a} WHERE id = 5",
            "SELECT * FROM orders WHERE \u{17f} = 5",
            "SELECT * FROM a.b.c.d WHERE id = 5",
            "SELECT * FROM orders WHERE id = 'a' 'b'",
            "SELECT * FROM orders WHERE id = 'a' COLLATE utf8mb4_bin",
            "SELECT * FROM orders WHERE BINARY id = 5",
            "SELECT * FROM orders WHERE id = 5 GROUP BY a",
            "SELECT * FROM orders WHERE id = 5 UNION SELECT * FROM orders",
            "SELECT * FROM orders WHERE id = 5 AND a IN (SELECT b FROM u)",
            "SELECT (SELECT MAX(id) FROM u) FROM orders WHERE id = 5",
            "SELECT * FROM orders, u WHERE id = 5",
            "SELECT * FROM orders JOIN u WHERE orders.id = 5",
            "SELECT * FROM (SELECT * FROM orders) o WHERE id = 5",
            "SELECT * FROM orders IGNORE INDEX (a) WHERE id = 5",
            "SELECT * FROM orders PARTITION (p) WHERE id = 5",
            "SELECT * FROM orders AS OF TIMESTAMP '2026-01-01' WHERE id = 5",
            "SELECT /*+ IGNORE_INDEX(orders, a) */ * FROM orders WHERE id = 5",
            "WITH c AS (SELECT * FROM orders) SELECT 1",
            "WITH c AS (SELECT 1) SELECT * FROM orders WHERE id = 5",
            "UPDATE t SET a = (SELECT MAX(id) FROM u) WHERE id = 5",
            "UPDATE t, u SET t.a = 1 WHERE t.id = 5",
            "UPDATE t SET a = 1",
            "DELETE t FROM t WHERE id = 5",
            "INSERT INTO t SELECT * FROM u",
            "INSERT INTO t TABLE u",
            "INSERT INTO t VALUES ((SELECT MAX(id) FROM u))",
            "TRACE SELECT * FROM orders",
            "BATCH LIMIT 10 INSERT INTO t SELECT * FROM u",
        ] {
            assert_eq!(size(sql), Size::Planned, "{sql}");
        }
        assert_eq!(size("DELETE FROM t /*! WHERE a = 1 */"), Size::Unplannable, "versions read it differently");
    }

    #[test]
    fn a_table_is_known_by_its_alias() {
        for (sql, called, table) in [
            ("SELECT * FROM Orders", "orders", Some((None, "orders"))),
            ("SELECT * FROM shop.orders o JOIN customers AS c ON o.x = c.y", "o", Some((Some("shop"), "orders"))),
            ("SELECT * FROM shop.orders o JOIN customers AS c ON o.x = c.y", "C", Some((None, "customers"))),
            ("SELECT * FROM a, d.`b c` x", "x", Some((Some("d"), "b c"))),
            ("UPDATE t SET a = 1", "t", Some((None, "t"))),
            ("SELECT * FROM a o UNION SELECT * FROM b o", "o", None),
            ("SELECT * FROM v", "orders", None),
            ("SELECT * FROM `a.b` x", "x", Some((None, "a.b"))),
            ("SELECT * FROM \u{6771} x", "\u{6771}", Some((None, "\u{6771}"))),
            ("SELECT * FROM \u{17f}", "s", None),
            ("SELECT * FROM s", "\u{17f}", None),
            ("SELECT * FROM a.b.c.d x", "x", None),
        ] {
            let expected = table.map(|(database, name)| (database.map(str::to_owned), name.to_owned()));
            assert_eq!(Tables::of(sql).called(called), expected.as_ref(), "{sql}");
        }
    }
}
