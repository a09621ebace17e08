//! Conditions as plans print them: `eq(shop.orders.customer_id, 42), gt(shop.orders.total, 500)`.

/// A column as plans name it: database, table, column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its database and table, `shop.orders`.
    pub table: String,
    /// Its name.
    pub name: String,
}

/// What a condition means for an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// The column has one of some values.
    Equal(Column),
    /// The column lies between values.
    Range(Column),
    /// The column is an argument of a function, whose name follows: no index on the column can be used.
    Within(Column, String),
    /// The column is converted to the type of what it is compared with: no index on it can be used.
    Converted(Column),
    /// `LIKE` with a pattern that begins with a wildcard.
    Wildcard(Column),
    /// The column is compared with what a subquery gives, which is not run for a plan.
    Subquery(Column),
    /// The column is not null. TiDB adds this to joins of columns that may be null.
    NotNull(Column),
    /// Alternatives, of these columns.
    Either(Vec<Column>),
    /// Anything else, of these columns.
    Other(Vec<Column>),
}

/// What stands for a subquery that was not run: `ScalarQueryCol#14`.
const SUBQUERY: &str = "ScalarQueryCol#";
/// Calls are read this deep. TiDB prints a chain of ANDs as deep as it is long.
const DEPTH_MAX: usize = 50;

/// The conditions of a list of them. What is not printed as a call is none.
pub(super) fn conditions(text: &str) -> Vec<Condition> {
    let mut found = Vec::new();
    read(text, 0, &mut found);
    found
}

fn read(text: &str, depth: usize, found: &mut Vec<Condition>) {
    for part in parts(text) {
        let Some((function, arguments)) = call(part) else { continue };
        if function == "and" && depth < DEPTH_MAX {
            read(arguments, depth + 1, found);
        } else {
            found.push(condition(function, arguments));
        }
    }
}

fn condition(function: &str, arguments: &str) -> Condition {
    let arguments_of = parts(arguments);
    let of = columns(arguments);
    if function == "or" {
        return Condition::Either(of);
    }
    let [first, rest @ ..] = arguments_of.as_slice() else { return Condition::Other(of) };
    // A constant may come first; a comparison of two columns is a join's.
    let alone = match (column(first), rest) {
        (Some(column), _) if of.len() == 1 => Some(column),
        (None, [second]) if of.len() == 1 => column(second),
        _ => None,
    };
    if let ("not", Some(("isnull", inner))) = (function, call(first))
        && let Some(column) = column(inner)
    {
        return Condition::NotNull(column);
    }
    match (function, alone) {
        (_, Some(column)) if arguments.contains(SUBQUERY) => Condition::Subquery(column),
        ("eq" | "nulleq" | "in" | "isnull", Some(column)) => Condition::Equal(column),
        ("gt" | "ge" | "lt" | "le", Some(column)) => Condition::Range(column),
        ("like", Some(column))
            if rest.first().is_some_and(|pattern| pattern.trim_start_matches('"').starts_with(['%', '_'])) =>
        {
            Condition::Wildcard(column)
        }
        ("like", Some(column)) => Condition::Range(column),
        ("eq" | "nulleq" | "in" | "gt" | "ge" | "lt" | "le" | "ne" | "like", None) if of.len() == 1 => {
            let inner = arguments_of.iter().filter_map(|part| call(part)).find(|(_, inner)| !columns(inner).is_empty());
            match (inner, of.into_iter().next()) {
                (Some(("cast", _)), Some(column)) => Condition::Converted(column),
                (Some((inner, _)), Some(column)) => Condition::Within(column, inner.to_owned()),
                (_, column) => Condition::Other(column.into_iter().collect()),
            }
        }
        _ => Condition::Other(of),
    }
}

/// A call's function and arguments.
fn call(text: &str) -> Option<(&str, &str)> {
    let (function, rest) = text.trim().split_once('(')?;
    let name = !function.is_empty() && function.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    Some((function, rest.strip_suffix(')')?)).filter(|_| name)
}

/// The parts between commas outside parentheses and strings. TiDB does not escape quotes in strings: one ends where a comma
/// or a parenthesis follows.
pub(super) fn parts(text: &str) -> Vec<&str> {
    let (mut found, mut depth, mut quoted, mut start) = (Vec::new(), 0_usize, false, 0);
    let bytes = text.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        let next = bytes.get(at + 1);
        match byte {
            b'"' if !quoted => quoted = true,
            b'"' => quoted = !matches!(next, None | Some(b',' | b')')),
            _ if quoted => {}
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => {
                found.push(text.get(start..at).unwrap_or_default().trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    found.push(text.get(start..).unwrap_or_default().trim());
    found.retain(|part| !part.is_empty());
    found
}

/// A text that is a column and nothing else. A name with other characters than letters, digits, `_`, `$` and `-` is not read:
/// where it ends is not certain.
pub(super) fn column(text: &str) -> Option<Column> {
    let (table, name) = text.trim().rsplit_once('.')?;
    let (database, of) = table.split_once('.')?;
    let plain = |name: &str| {
        !name.is_empty() && name.chars().all(|letter| letter.is_alphanumeric() || matches!(letter, '_' | '$' | '-'))
    };
    let number = |name: &str| name.bytes().all(|byte| byte.is_ascii_digit());
    let is_column = [database, of, name].into_iter().all(plain) && !number(database);
    is_column.then(|| Column { table: table.to_owned(), name: name.to_owned() })
}

/// The columns in a text, each once: between brackets and commas, and after a word with a colon (`group by:shop.orders.status`).
pub fn columns(text: &str) -> Vec<Column> {
    let mut found: Vec<Column> = Vec::new();
    let mut quoted = false;
    let mut outside = String::with_capacity(text.len());
    for part in text.split_inclusive('"') {
        if !quoted {
            outside.push_str(part);
        }
        outside.push(' ');
        quoted = !quoted;
    }
    let words = outside.split(['(', ')', '[', ']', ',']).map(|word| {
        let word = word.trim().trim_end_matches(":desc");
        word.rsplit(':').next().unwrap_or(word)
    });
    for column in words.filter_map(column) {
        if !found.contains(&column) {
            found.push(column);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{Column, Condition, conditions};

    fn column(name: &str) -> Column {
        Column { table: "shop.orders".to_owned(), name: name.to_owned() }
    }

    #[test]
    fn a_condition_is_what_an_index_can_do_with_it() {
        // As TiDB 8.5 prints them.
        let equal = |name| Condition::Equal(column(name));
        let range = |name| Condition::Range(column(name));
        for (text, expected) in [
            ("eq(shop.orders.customer_id, 42)", vec![equal("customer_id")]),
            ("eq(42, shop.orders.customer_id)", vec![equal("customer_id")]),
            (
                "ge(shop.orders.total, 10), nulleq(shop.orders.customer_id, 42)",
                vec![range("total"), equal("customer_id")],
            ),
            (
                "eq(shop.orders.note, \"a, b) \"x\"), in(shop.orders.customer_id, 1, 2, 3)",
                vec![equal("note"), equal("customer_id")],
            ),
            (
                "eq(date(shop.orders.placed_at), 2026-02-01 00:00:00.000000)",
                vec![Condition::Within(column("placed_at"), "date".to_owned())],
            ),
            ("eq(cast(shop.orders.note, double BINARY), 5)", vec![Condition::Converted(column("note"))]),
            ("like(shop.orders.note, \"%7\", 92)", vec![Condition::Wildcard(column("note"))]),
            ("like(shop.orders.note, \"7%\", 92)", vec![range("note")]),
            (
                "or(and(eq(shop.orders.status, \"paid\"), gt(shop.orders.total, 5)), isnull(shop.orders.note))",
                vec![Condition::Either(vec![column("status"), column("total"), column("note")])],
            ),
            ("and(eq(shop.orders.status, \"paid\"), gt(shop.orders.total, 5))", vec![equal("status"), range("total")]),
            ("ne(shop.orders.customer_id, 42)", vec![Condition::Other(vec![column("customer_id")])]),
            ("eq(shop.orders.id, ScalarQueryCol#14)", vec![Condition::Subquery(column("id"))]),
            ("not(isnull(shop.orders.customer_id))", vec![Condition::NotNull(column("customer_id"))]),
            ("gt(shop.orders.a b, 4)", vec![Condition::Other(vec![])]),
            ("eq(minus(-1, shop.orders.total), 5)", vec![Condition::Within(column("total"), "minus".to_owned())]),
            ("shop.orders.customer_id = 42", vec![]),
            ("eq(shop.orders.total, \"shop.orders.note\")", vec![equal("total")]),
        ] {
            assert_eq!(conditions(text), expected, "{text}");
        }
    }
}
