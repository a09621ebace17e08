//! Values in the place of placeholders.
//!
//! The gateway binds nothing, so it is done here. The lexer finds each `?`; one in a string, a quoted name, a comment or a hint is
//! none. A value becomes one literal, and is put only where no value can be anything else than one operand: whatever it holds, the
//! statement around it stays the same.

use std::fmt::{self, Write};

use serde::Deserialize;
use serde_json::{Number, Value};

use super::{
    Reason, STATEMENT_BYTES_MAX,
    lexer::{Token, with_placeholders},
    refused,
    walk::{is_part_of_a_name, one_of},
};

/// A value.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Value")]
pub enum Parameter {
    /// `NULL`
    Null,
    /// `TRUE` or `FALSE`
    Boolean(bool),
    /// A number, in the digits that the caller wrote.
    Number(Number),
    /// A text.
    Text(String),
}

impl TryFrom<Value> for Parameter {
    type Error = &'static str;

    fn try_from(value: Value) -> Result<Self, Self::Error> {
        Ok(match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Boolean(value),
            Value::Number(number) => Self::Number(number),
            Value::String(text) => Self::Text(text),
            Value::Array(_) => return Err("an array is no value: give each element its own `?`, or JSON as a string"),
            Value::Object(_) => return Err("an object is no value: give JSON as a string"),
        })
    }
}

impl Parameter {
    /// Bytes of [`Parameter::write`].
    fn len(&self) -> usize {
        let mut bytes = Bytes(0);
        let _ = self.write(&mut bytes);
        bytes.0
    }

    /// Writes it as one operand.
    ///
    /// A text is `'...'`, with quotes doubled, which every SQL mode reads alike; but a backslash is an escape to one mode and a
    /// character to another (`NO_BACKSLASH_ESCAPES`), and the gate refuses NUL. These are written as bytes, and the text is
    /// `CONCAT('C:', _utf8mb4 0x5c, 'temp')`. TiDB 8.5 folds that into the literal: type, character set, coercibility 4, Point_Get
    /// and ranges are the same. Bytes alone would be a number beside a number: `_utf8mb4 0x05 = 5` is true.
    fn write(&self, out: &mut dyn Write) -> fmt::Result {
        match self {
            Self::Null => out.write_str("NULL"),
            Self::Boolean(true) => out.write_str("TRUE"),
            Self::Boolean(false) => out.write_str("FALSE"),
            Self::Number(number) => out.write_str(number.as_str()),
            Self::Text(text) if !text.contains(in_bytes) => quoted(text, out),
            Self::Text(text) => {
                let mut rest = text.as_str();
                let mut before = "CONCAT(";
                while let Some(first) = rest.chars().next() {
                    let end = rest.find(|next| in_bytes(next) != in_bytes(first)).unwrap_or(rest.len());
                    let (part, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
                    out.write_str(before)?;
                    if in_bytes(first) {
                        out.write_str("_utf8mb4 0x")?;
                        part.bytes().try_for_each(|byte| write!(out, "{byte:02x}"))?;
                    } else {
                        quoted(part, out)?;
                    }
                    (rest, before) = (after, ", ");
                }
                out.write_str(")")
            }
        }
    }

    /// As a count of rows: a whole number, or its digits in a text.
    fn count(&self) -> Option<&str> {
        let text = match self {
            Self::Number(number) => number.as_str(),
            Self::Text(text) => text,
            _ => return None,
        };
        // The digits of 2^64.
        ((1..=20).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())).then_some(text)
    }
}

/// Whether a character is written as a byte.
fn in_bytes(character: char) -> bool {
    matches!(character, '\\' | '\0')
}

fn quoted(text: &str, out: &mut dyn Write) -> fmt::Result {
    let mut quote = "'";
    for part in text.split('\'') {
        out.write_str(quote)?;
        out.write_str(part)?;
        quote = "''";
    }
    out.write_str("'")
}

/// Counts what is written.
struct Bytes(usize);

impl Write for Bytes {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 = self.0.saturating_add(text.len());
        Ok(())
    }
}

/// Why values cannot be put into a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unbound {
    /// The statement cannot be read, or would be too long.
    Refused(Reason),
    /// No value can stand at this placeholder, counted from 1, which comes after this.
    Misplaced(usize, String),
    /// Only a count of rows can stand at this placeholder, and its value is none.
    NoCount(usize),
    /// Only a literal can stand at this placeholder, and its text has a backslash or NUL, which no literal has in every SQL mode.
    NoLiteral(usize),
}

/// What can stand at a placeholder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Value,
    Count,
    /// A value that TiDB's grammar takes as a literal only.
    Literal,
}

/// Where a statement's placeholders are in its text, and what can stand there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placeholders(Vec<(usize, Kind)>);

impl Placeholders {
    /// Finds them.
    ///
    /// # Errors
    /// [`Unbound::Refused`]: the text cannot be read, or one SQL mode sees other placeholders than another.
    /// [`Unbound::Misplaced`]: a value cannot stand at one of them.
    pub fn of(sql: &str) -> Result<Self, Unbound> {
        let (tokens, places) = with_placeholders(sql, true).map_err(|fault| Unbound::Refused(fault.reason))?;
        match with_placeholders(sql, false) {
            Err(fault) if fault.hopeless => {}
            Ok((_, same)) if same == places => {}
            _ => return Err(Unbound::Refused(Reason::Backslash)),
        }
        let kinds = Clauses::kinds(&tokens).map_err(|(number, after)| Unbound::Misplaced(number, after))?;
        Ok(Self(places.into_iter().zip(kinds).collect()))
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

/// Puts values into a statement, one for each of its placeholders.
///
/// # Errors
/// [`Unbound::NoCount`], or [`Unbound::Refused`] with [`Reason::TooLong`], before anything is allocated.
pub fn bind(sql: &str, placeholders: &Placeholders, values: &[Parameter]) -> Result<String, Unbound> {
    let pairs = || placeholders.0.iter().zip(values);
    if let Some(at) = pairs().position(|((_, kind), value)| *kind == Kind::Count && value.count().is_none()) {
        return Err(Unbound::NoCount(at + 1));
    }
    let is_split = |value: &Parameter| matches!(value, Parameter::Text(text) if text.contains(in_bytes));
    if let Some(at) = pairs().position(|((_, kind), value)| *kind == Kind::Literal && is_split(value)) {
        return Err(Unbound::NoLiteral(at + 1));
    }
    // A blank on each side, in the place of a `?`.
    let longer = pairs().map(|(_, value)| value.len().saturating_add(1)).fold(0_usize, usize::saturating_add);
    if sql.len().saturating_add(longer) > STATEMENT_BYTES_MAX {
        return Err(Unbound::Refused(Reason::TooLong));
    }
    let mut bound = String::with_capacity(sql.len() + longer);
    let mut rest = 0;
    for ((at, kind), value) in pairs() {
        bound.push_str(sql.get(rest..*at).unwrap_or_default());
        // `a-?` and -1 are no comment, `LIMIT?` and 1 are no word.
        if !bound.ends_with([' ', '(', ',']) {
            bound.push(' ');
        }
        match value.count().filter(|_| *kind == Kind::Count) {
            Some(count) => bound.push_str(count),
            None => {
                // A `String` takes everything.
                let _ = value.write(&mut bound);
            }
        }
        rest = at + "?".len();
        let after = sql.get(rest..).unwrap_or_default();
        if !after.is_empty() && !after.starts_with([' ', ')', ',', ';']) {
            bound.push(' ');
        }
    }
    bound.push_str(sql.get(rest..).unwrap_or_default());
    Ok(bound)
}

/// Whether TiDB's grammar takes nothing but a literal here: after `ESCAPE`, `SEPARATOR`, `COMMENT`, `->` and `->>`.
fn takes_a_literal(tokens: &[Token], at: usize) -> bool {
    let before = tokens.get(..at).unwrap_or_default();
    let arrow = [Token::Symbol('-'), Token::Symbol('>')];
    let from = before.len().saturating_sub(usize::from(before.ends_with(&[Token::Symbol('>'), Token::Symbol('>')])));
    one_of(before.last(), &["escape", "separator", "comment"])
        || before.get(..from).is_some_and(|before| before.ends_with(&arrow))
}

/// Words that a value can follow.
const BEFORE_A_VALUE: &[&str] = &[
    "select",
    "distinct",
    "all",
    "where",
    "having",
    "on",
    "and",
    "or",
    "not",
    "xor",
    "like",
    "ilike",
    "rlike",
    "regexp",
    "between",
    "escape",
    "div",
    "mod",
    "case",
    "when",
    "then",
    "else",
    "interval",
    "binary",
    "separator",
    "default",
    "comment",
    "rows",
    "range",
    "by",
    "limit",
    "offset",
    "both",
    "leading",
    "trailing",
];

/// Words after a value that make it a part of an expression.
const OPERATORS: &[&str] =
    &["and", "or", "xor", "not", "like", "ilike", "rlike", "regexp", "in", "between", "is", "div", "mod", "collate"];

/// What the commas and parentheses of a part of a statement hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Clause {
    /// Expressions.
    Values,
    /// Tables or columns by name.
    Names,
    /// Columns by name, each with its new value.
    Assignments,
    /// Columns to sort or group by: a value alone would be a constant there, or the number of a column.
    Order,
    /// Counts of rows.
    Counts,
}

/// The clauses around a token, from the outermost parentheses inwards, each with whether it is in the parentheses of a function or a
/// list, and not a query.
struct Clauses(Vec<(Clause, bool)>);

impl Clauses {
    /// What can stand at each placeholder.
    ///
    /// # Errors
    /// The number of the first at which nothing can, and what comes before it.
    fn kinds(tokens: &[Token]) -> Result<Vec<Kind>, (usize, String)> {
        let mut clauses = Self(vec![(Clause::Names, false)]);
        let mut kinds = Vec::new();
        for (at, token) in tokens.iter().enumerate() {
            match token {
                Token::Placeholder => match clauses.kind(tokens, at) {
                    Some(Kind::Value) if takes_a_literal(tokens, at) => kinds.push(Kind::Literal),
                    Some(kind) => kinds.push(kind),
                    None => return Err((kinds.len() + 1, before(tokens, at).map_or_else(String::new, refused::shown))),
                },
                Token::Symbol('(') => {
                    // A list of columns after a table; inside of one, names of functions.
                    let clause = match clauses.0.last() {
                        Some((Clause::Names, false)) => Clause::Names,
                        _ => Clause::Values,
                    };
                    clauses.0.push((clause, true));
                }
                Token::Symbol(')') => drop(clauses.0.pop()),
                Token::Word(word) if !is_part_of_a_name(tokens, at) => clauses.word(tokens, at, word),
                _ => {}
            }
        }
        Ok(kinds)
    }

    /// Goes on to the clause that this word begins, if it begins one.
    fn word(&mut self, tokens: &[Token], at: usize, word: &str) {
        let Some((clause, listed)) = self.0.last_mut() else { return };
        let called = tokens.get(at + 1) == Some(&Token::Symbol('('));
        let after = |words| one_of(before(tokens, at), words);
        *clause = match word {
            // `EXTRACT(YEAR FROM ?)`
            "from" if *listed => Clause::Values,
            "update" if after(&["key"]) => Clause::Assignments,
            "set" => Clause::Assignments,
            "insert" | "replace" if called => return,
            "timestamp" if !after(&["of"]) => return,
            "select" => {
                *listed = false;
                Clause::Values
            }
            "from" | "join" | "straight_join" | "into" | "table" | "update" | "delete" | "insert" | "replace"
            | "using" => Clause::Names,
            "where" | "having" | "on" | "values" | "timestamp" | "rows" | "range" => Clause::Values,
            "by" => Clause::Order,
            "limit" | "offset" => Clause::Counts,
            _ => return,
        };
    }

    /// What can stand at this placeholder.
    fn kind(&self, tokens: &[Token], at: usize) -> Option<Kind> {
        let (clause, listed) = *self.0.last()?;
        let next = tokens.get(at + 1);
        // Texts beside each other are one text, and with a name or a call after it a number is another token.
        let ends = match next {
            None | Some(Token::Word(_) | Token::Name(_)) => true,
            Some(Token::Symbol(symbol)) => !".(@{".contains(*symbol),
            _ => false,
        };
        let operand = match next {
            Some(Token::Symbol(symbol)) => !",);".contains(*symbol),
            next => one_of(next, OPERATORS),
        };
        let before = before(tokens, at)?;
        let named = at.checked_sub(1).is_some_and(|before| is_part_of_a_name(tokens, before));
        let fits = match before {
            Token::Symbol('(') => clause != Clause::Names,
            Token::Symbol(',') => match clause {
                Clause::Names | Clause::Assignments => false,
                Clause::Order => operand,
                Clause::Values | Clause::Counts => true,
            },
            Token::Symbol(symbol) => "=<>+-*/%&|^!~".contains(*symbol),
            Token::Assign => true,
            Token::Word(word) => match word.as_str() {
                _ if named => false,
                "by" => operand,
                "from" | "for" => listed,
                // Of `AS OF TIMESTAMP`.
                "timestamp" => clause == Clause::Values && one_of(self::before(tokens, at - 1), &["of"]),
                word => BEFORE_A_VALUE.contains(&word),
            },
            _ => false,
        };
        let counts =
            clause == Clause::Counts && (one_of(Some(before), &["limit", "offset"]) || *before == Token::Symbol(','));
        (ends && fits).then_some(if counts { Kind::Count } else { Kind::Value })
    }
}

fn before(tokens: &[Token], at: usize) -> Option<&Token> {
    tokens.get(at.checked_sub(1)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::sql::{
        lexer::{Fault, Reading, read},
        unescape,
    };

    fn bound(sql: &str, values: Value) -> Result<String, Unbound> {
        let Value::Array(values) = values else { panic!("an array") };
        let values: Vec<Parameter> =
            values.into_iter().map(|value| Parameter::try_from(value).expect("a value")).collect();
        let placeholders = Placeholders::of(sql)?;
        assert_eq!(placeholders.count(), values.len(), "{sql}");
        bind(sql, &placeholders, &values)
    }

    /// The numbers of JSON, as texts write them.
    fn numbers() -> impl Strategy<Value = Number> {
        "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,30})?(e[+-]?[0-9]{1,2})?".prop_map(|text| text.parse().expect("a number"))
    }

    /// Texts of what matters to a lexer, and any others.
    fn texts() -> impl Strategy<Value = String> {
        let part = prop_oneof![
            prop::sample::select(vec![
                "'",
                "''",
                "\\",
                "\\'",
                "\"",
                "`",
                "\0",
                "?",
                "-- ",
                "#",
                "/*",
                "*/",
                "/*!",
                "/*+ ",
                "\n",
                "\r",
                "\u{1a}",
                ";",
                ")",
                "(",
                ",",
                "@",
                ".",
                "DROP TABLE t",
                "名",
                "\u{feff}",
                "\u{2028}",
                "%",
                "_",
                "0x",
                "x'",
            ])
            .prop_map(str::to_owned),
            any::<String>(),
        ];
        prop::collection::vec(part, 0..8).prop_map(|parts| parts.concat())
    }

    fn parameters() -> impl Strategy<Value = Parameter> {
        prop_oneof![
            Just(Parameter::Null),
            any::<bool>().prop_map(Parameter::Boolean),
            numbers().prop_map(Parameter::Number),
            texts().prop_map(Parameter::Text),
        ]
    }

    /// The tokens of a value.
    fn operand(value: &Parameter) -> Vec<Token> {
        match value {
            Parameter::Null => vec![Token::Word("null".to_owned())],
            Parameter::Boolean(value) => vec![Token::Word(value.to_string())],
            Parameter::Number(number) => match number.as_str().strip_prefix('-') {
                Some(digits) => vec![Token::Symbol('-'), Token::Number(digits.to_owned())],
                None => vec![Token::Number(number.as_str().to_owned())],
            },
            Parameter::Text(text) if !text.contains(in_bytes) => vec![Token::Single(crate::sql::lexer::fold(text))],
            Parameter::Text(text) => {
                let mut all = vec![Token::Word("concat".to_owned())];
                let mut rest = text.as_str();
                let mut before = '(';
                while !rest.is_empty() {
                    let bytes: String = rest.chars().take_while(|next| in_bytes(*next)).collect();
                    let part: String = rest[bytes.len()..].chars().take_while(|next| !in_bytes(*next)).collect();
                    all.push(Token::Symbol(before));
                    if !bytes.is_empty() {
                        let digits: String = bytes.bytes().map(|byte| format!("{byte:02x}")).collect();
                        all.extend([Token::Word("_utf8mb4".to_owned()), Token::Number(format!("0x{digits}"))]);
                    }
                    if !bytes.is_empty() && !part.is_empty() {
                        all.push(Token::Symbol(','));
                    }
                    if !part.is_empty() {
                        all.push(Token::Single(crate::sql::lexer::fold(&part)));
                    }
                    rest = &rest[bytes.len() + part.len()..];
                    before = ',';
                }
                all.push(Token::Symbol(')'));
                all
            }
        }
    }

    fn tokens_of(sql: &str, backslash: bool) -> Result<Vec<Token>, Reason> {
        read(sql, Reading { backslash, executed: Some(Reading::ALL) })
            .map(|text| text.tokens)
            .map_err(|fault: Fault| fault.reason)
    }

    /// Where a value can stand, closely surrounded and not.
    const STATEMENTS: &[&str] = &[
        "SELECT ?",
        "SELECT?FROM t",
        "SELECT a-?-?, -?, a/?*?, ?|?, !?, ~? FROM t WHERE?=b AND'?'=? OR c IN(?,?)#?\n",
        "SELECT f(?,?), f( ? )-- ? '\n FROM t /* ? ' */ WHERE `?`=? AND \"?\"<>?",
        "SELECT /*+ ? */ CASE ? WHEN ? THEN ? ELSE ? END x, ? `y`, ? z",
        "SELECT * FROM t WHERE a LIKE ? ESCAPE ? AND b BETWEEN ? AND ? XOR NOT ? ORDER BY a = ?, ? + a",
        "SELECT EXTRACT(YEAR FROM ?), SUBSTRING(? FROM ? FOR ?), NOW() - INTERVAL ? DAY",
        "INSERT INTO t (a, b) VALUES (?, ?), (?,?) ON DUPLICATE KEY UPDATE a = ?, b = f(?,?)",
        "UPDATE t JOIN u ON u.a = t.a AND u.b = ? SET t.a = ?, t.b=?,c=f(?,?) WHERE ?",
        "DELETE FROM t WHERE ?",
        "WITH c AS (SELECT ?) SELECT ? FROM c, (SELECT ? AS d) e WHERE {d '2026-01-01'}<? HAVING ?",
        "EXPLAIN SELECT ? FROM t AS OF TIMESTAMP ? WHERE a->'$.b' = ?",
        "CREATE TABLE t (a INT DEFAULT ? COMMENT ?)",
        "INSERT INTO t /*! (a) */ VALUES (?)",
    ];

    #[test]
    fn a_value_is_one_literal() {
        for (sql, values, expected) in [
            ("SELECT ?, ?, ?", json!([null, true, false]), "SELECT NULL, TRUE, FALSE"),
            ("SELECT a-?", json!([-1]), "SELECT a- -1"),
            ("SELECT ?", json!(["it's"]), "SELECT 'it''s'"),
            ("SELECT ?", json!(["a'\\\\b"]), "SELECT CONCAT('a''', _utf8mb4 0x5c5c, 'b')"),
            ("SELECT ?", json!(["\0"]), "SELECT CONCAT(_utf8mb4 0x00)"),
            ("SELECT ?", json!([""]), "SELECT ''"),
            ("SELECT '?', ?", json!(["?"]), "SELECT '?', '?'"),
            ("SELECT 1 LIMIT?,?", json!([5, "10"]), "SELECT 1 LIMIT 5,10"),
            ("DELETE FROM t WHERE id = ? OR ?;", json!([7, true]), "DELETE FROM t WHERE id = 7 OR TRUE;"),
        ] {
            assert_eq!(bound(sql, values).as_deref(), Ok(expected), "{sql}");
        }
        for digits in
            ["9007199254740993", "18446744073709551616", "1.10", "0.1000000000000000055511151231257827", "-0.0"]
        {
            let number: Number = digits.parse().expect("a number");
            assert_eq!(bound("SELECT ?", Value::from(vec![Value::Number(number)])), Ok(format!("SELECT {digits}")));
        }
    }

    /// `answer` is what TiDB 8.5 answered the bound text, the same under six SQL modes, from none to `NO_BACKSLASH_ESCAPES` with
    /// `ANSI_QUOTES` (texts that have a backslash of their own: under those in which it escapes).
    #[test]
    fn every_case_is_bound_as_tidb_was_asked() {
        let mut count = 0;
        for line in include_str!("../../tests/cases/params.tsv").lines().skip(1) {
            let fields: Vec<&str> = line.split('\t').collect();
            let [sql, params, expected, answer] = fields[..] else { panic!("four columns: {line}") };
            let values = crate::base::strict::read(params.as_bytes()).expect("JSON");
            assert_eq!(bound(&unescape(sql), values.clone()), Ok(unescape(expected)), "{line}");
            let round_trip = sql == "SELECT ?" && values[0].is_string();
            assert!(
                !round_trip || serde_json::from_str::<Value>(answer).expect("JSON") == values,
                "a text comes back: {line}"
            );
            count += 1;
        }
        assert!(count > 40, "{count}");
    }

    #[test]
    fn a_value_is_no_name() {
        for (sql, after) in [
            ("SELECT * FROM ?", "from"),
            ("SELECT * FROM a, ?", ","),
            ("SELECT * FROM a JOIN ?", "join"),
            ("INSERT INTO ? VALUES (1)", "into"),
            ("INSERT INTO t (?) VALUES (1)", "("),
            ("INSERT INTO t (a, ?) VALUES (1)", ","),
            ("UPDATE ? SET a = 1", "update"),
            ("UPDATE t SET ? = 1", "set"),
            ("UPDATE t SET a = 1, ? = 2", ","),
            ("TABLE ?", "table"),
            ("DROP TABLE a, ?", ","),
            ("SELECT t.?", "."),
            ("SELECT ?.a FROM t", "select"),
            ("SELECT @?", "@"),
            ("SELECT @@?", "@"),
            ("GRANT SELECT ON d.* TO ?@'%'", "to"),
            ("SELECT a AS ?", "as"),
            ("SELECT a ?", "a"),
            ("SELECT `a` ?", "a"),
            ("SELECT f() ?", ")"),
            ("SELECT 'a' ?", "a"),
            ("SELECT ? 'a'", "select"),
            ("SELECT ? \"a\"", "select"),
            ("SELECT ? ?", "select"),
            ("SELECT ??", "select"),
            ("SELECT N?", "n"),
            ("SELECT x?", "x"),
            ("SELECT _utf8mb4 ?", "_utf8mb4"),
            ("SELECT t.where ?", "where"),
            ("SELECT ?(1)", "select"),
            ("SELECT a FROM t ORDER BY ?", "by"),
            ("SELECT a FROM t ORDER BY a, ? DESC", ","),
            ("SELECT a FROM t GROUP BY ? HAVING 1", "by"),
            ("SELECT a FROM t WHERE a IS ?", "is"),
            ("SELECT a FROM t WHERE a IN ?", "in"),
            ("SELECT a FROM t JOIN u USING (?)", "("),
            ("SHOW TABLES FROM ?", "from"),
            ("? SELECT", ""),
        ] {
            let error = Placeholders::of(sql).expect_err(sql);
            assert_eq!(error, Unbound::Misplaced(1, after.to_owned()), "{sql}");
        }
        for value in [json!(-1), json!(1.5), json!(null), json!("ten"), json!(""), json!("1 OFFSET 2"), json!(true)] {
            for sql in ["SELECT 1 LIMIT ?", "SELECT 1 LIMIT 1 OFFSET ?", "SELECT 1 LIMIT 1, ?"] {
                assert_eq!(bound(sql, json!([value])), Err(Unbound::NoCount(1)), "{sql} {value}");
            }
        }
    }

    #[test]
    fn a_placeholder_is_the_same_in_every_mode() {
        assert_eq!(
            Placeholders::of(r"SELECT 'a\'', ?, 'b' -- '").map(|found| found.count()),
            Err(Unbound::Refused(Reason::Backslash))
        );
        assert_eq!(Placeholders::of(r"SELECT 'a\b', ?").map(|found| found.count()), Ok(1));
        assert_eq!(
            Placeholders::of("INSERT INTO t VALUES (1 /*! , ? */)"),
            Err(Unbound::Refused(Reason::ExecutableComment)),
            "some servers would not see it"
        );
    }

    #[test]
    fn a_statement_stays_within_its_length() {
        for (bytes, fits) in [(STATEMENT_BYTES_MAX - 11, true), (STATEMENT_BYTES_MAX - 10, false)] {
            let text = "x".repeat(bytes);
            let sql = bound("SELECT ?", json!([text]));
            assert_eq!(sql.is_ok(), fits, "{bytes}");
            assert!(sql.is_ok_and(|sql| sql.len() <= STATEMENT_BYTES_MAX) || !fits);
        }
    }

    #[test]
    fn where_only_a_literal_stands_a_text_must_be_one() {
        let bound = |sql: &str, text: &str| {
            let placeholders = Placeholders::of(sql).unwrap_or_else(|unbound| panic!("{sql}: {unbound:?}"));
            bind(sql, &placeholders, &[Parameter::Text(text.to_owned())])
        };
        for sql in [
            "SELECT a LIKE 'x' ESCAPE ? FROM t",
            "SELECT GROUP_CONCAT(a SEPARATOR ?) FROM t",
            "SELECT j->? FROM t",
            "SELECT j->>? FROM t",
            "CREATE TABLE t (a INT COMMENT ?)",
        ] {
            assert!(bound(sql, "!").is_ok_and(|text| text.contains("'!'")), "{sql}");
            assert_eq!(bound(sql, "\\"), Err(Unbound::NoLiteral(1)), "{sql}");
        }
        assert!(bound("SELECT a > ? FROM t", "\\").is_ok(), "a comparison takes an expression");
    }

    proptest! {
        /// No value changes the statement around it, however a server reads backslashes.
        #[test]
        fn a_bound_text_has_the_tokens_of_the_text_with_values_in_it(pick in 0..STATEMENTS.len(), values in prop::collection::vec(parameters(), 16)) {
            let sql = STATEMENTS[pick];
            let placeholders = Placeholders::of(sql).expect(sql);
            let values = &values[..placeholders.count()];
            let bound = match bind(sql, &placeholders, values) {
                // In place of a literal no other form of a text is taken.
                Err(Unbound::NoLiteral(_)) => return Ok(()),
                bound => bound.expect(sql),
            };
            for backslash in [true, false] {
                let (template, _) = with_placeholders(sql, backslash).ok().expect(sql);
                let mut left = values.iter();
                let expected: Vec<Token> = template.into_iter().flat_map(|token| match token {
                    Token::Placeholder => operand(left.next().expect("a value")),
                    token => vec![token],
                }).collect();
                prop_assert_eq!(tokens_of(&bound, backslash), Ok(expected), "{}", bound);
            }
            prop_assert!(bound.len() <= sql.len() + values.iter().map(|value| value.len() + 1).sum::<usize>());
        }

        /// What a text is bound as is judged as if it had been written with another text of its kind.
        #[test]
        fn the_gate_judges_a_condition_alike_whatever_the_text(text in texts()) {
            let sql = "DELETE FROM t WHERE id = ?";
            let statement = bound(sql, json!([text])).map(|sql| crate::sql::inspect(&sql));
            prop_assert!(matches!(statement, Ok(Ok(statement)) if !statement.destructive), "{:?}", statement);
            let all = bound("DELETE FROM t WHERE ?", json!([text])).map(|sql| crate::sql::inspect(&sql));
            prop_assert!(matches!(all, Ok(Ok(statement)) if statement.destructive), "{:?}", all);
        }

        #[test]
        fn no_text_is_too_odd(text in "(\\PC|[?'\"\\\\`(){}@.]){0,60}") {
            if let Ok(placeholders) = Placeholders::of(&text) {
                let values = vec![Parameter::Number(1.into()); placeholders.count()];
                let _ = bind(&text, &placeholders, &values);
            }
        }
    }
}
