//! Whether an `UPDATE` or a `DELETE` names the rows that it changes.
//!
//! A condition counts when it compares a column with a value. The rule is strict, because a condition that does not count
//! only needs a wider scope:
//!
//! - It comes after the statement's own `WHERE` and before `ORDER BY` and `LIMIT`; a subquery's condition does not count.
//! - Of parts joined by `AND` one has to count, of parts joined by `OR` each.
//! - A part counts as `column = value` (also `<`, `<=`, `>`, `>=`, `<=>`, the other way round, and for rows of columns),
//!   `column IN (values)`, `column BETWEEN value AND value` and `column LIKE 'pattern'`, if the pattern has a letter or a
//!   digit.
//! - A column may be inside a function without other arguments (`DATE(created) = '2026-01-01'`), or before a JSON path.
//!   With other arguments or arithmetic the expression may be constant (`LEFT(name, 0) = ''`, `id * 0 = 0`).
//! - A value is made of literals and functions of them. `NULL`, another column, a user variable and a subquery are not
//!   values: `id IN (SELECT id FROM t)` is every row, and a misspelt column in a subquery is the outer one, which is every
//!   row too.
//! - A condition that names the rows to keep does not count: `<>`, `NOT`, `IS NULL`, `IS NOT NULL`.
//! - If several tables are joined, each join must compare a column of its table with one of another, and the column in the
//!   condition must name its table. Derived tables, and tables listed with commas, do not count.

use super::{
    functions,
    lexer::{Token, tokens},
    walk::{after_name, between_commas, group, is_part_of_a_name, one_of, outside},
};

/// Functions of one argument that keep different arguments different.
const OF_A_COLUMN: &[&str] = &[
    "date",
    "year",
    "quarter",
    "month",
    "day",
    "dayofmonth",
    "dayofweek",
    "dayofyear",
    "weekday",
    "week",
    "yearweek",
    "hour",
    "minute",
    "second",
    "last_day",
    "to_days",
    "unix_timestamp",
    "lower",
    "lcase",
    "upper",
    "ucase",
    "trim",
    "ltrim",
    "rtrim",
    "length",
    "char_length",
    "json_unquote",
];

/// Bare words in the place of a column that are not columns.
const NO_COLUMNS: &[&str] = &[
    "true",
    "false",
    "null",
    "not",
    "exists",
    "binary",
    "interval",
    "row",
    "case",
    "default",
    "current_date",
    "current_time",
    "current_timestamp",
    "current_user",
    "current_role",
    "localtime",
    "localtimestamp",
    "utc_date",
    "utc_time",
    "utc_timestamp",
    "tidb_current_tso",
];

/// Reserved words that a value may contain besides literals and calls.
const IN_VALUES: &[&str] = &[
    "true",
    "false",
    "interval",
    "div",
    "mod",
    "as",
    "current_date",
    "current_time",
    "current_timestamp",
    "localtime",
    "localtimestamp",
    "utc_date",
    "utc_time",
    "utc_timestamp",
];

/// Types that a literal can be cast to. Without `AS` before it, such a word is a column.
const TYPES: &[&str] = &["date", "datetime", "time", "year", "signed", "unsigned", "char", "decimal"];

/// Units of an interval. Without a number before it, such a word is a column.
const UNITS: &[&str] = &[
    "microsecond",
    "second",
    "minute",
    "hour",
    "day",
    "week",
    "month",
    "quarter",
    "year",
    "day_hour",
    "day_minute",
    "day_second",
    "hour_minute",
    "hour_second",
    "minute_second",
    "year_month",
];

/// Whether the statement, from its `UPDATE` or `DELETE` on, has a condition of its own that counts.
pub(super) fn names_its_rows(change: &[Token]) -> bool {
    let Some(at) = own_where(change) else { return false };
    let (tables, condition) = (change.get(..at).unwrap_or_default(), change.get(at + 1..).unwrap_or_default());
    let end = outside(condition)
        .find(|(at, word)| {
            one_of(Some(word), &["order", "limit", "group", "having"]) && !is_part_of_a_name(condition, *at)
        })
        .map_or(condition.len(), |(at, _)| at);
    let condition = condition.get(..end).unwrap_or_default();
    match tables_of(tables) {
        Tables::One => counts(condition, false),
        Tables::Joined => counts(condition, true),
        Tables::SideBySide => false,
    }
}

/// What ends a condition, or begins another query after it. A column of such a name has to stand in backticks.
const AFTER_A_CONDITION: &[&str] = &[
    "union",
    "except",
    "intersect",
    "minus",
    "where",
    "group",
    "having",
    "window",
    "order",
    "limit",
    "offset",
    "fetch",
    "for",
    "lock",
    "into",
    "procedure",
    "select",
    "from",
];

/// Whether a text is one condition however it is put behind a `WHERE`: its parentheses match by themselves, and nothing outside of
/// them ends it. What reads other tables then is a subquery inside parentheses, whose rows are compared and not given.
pub fn is_one_condition(text: &str) -> bool {
    [true, false].into_iter().all(|backslash| match tokens(text, backslash) {
        Ok(tokens) => !outside(&tokens).any(|(_, token)| one_of(Some(token), AFTER_A_CONDITION)),
        // A server that reads it like this refuses it.
        Err(fault) => !backslash && fault.hopeless,
    })
}

/// Whether more than one table is named.
pub(super) fn joins(change: &[Token]) -> bool {
    let tables = own_where(change).and_then(|at| change.get(..at)).unwrap_or(change);
    !matches!(tables_of(tables), Tables::One)
}

/// Where the condition of the statement itself begins.
pub(super) fn own_where(change: &[Token]) -> Option<usize> {
    outside(change).find(|(at, word)| word.is("where") && !is_part_of_a_name(change, *at)).map(|(at, _)| at)
}

/// Words between `DELETE` and `FROM` that name nothing.
const MODIFIERS: &[&str] = &["low_priority", "quick", "ignore"];

enum Tables {
    One,
    /// Each joined to the ones before by columns of both.
    Joined,
    /// Any other way.
    SideBySide,
}

/// The tables of a change, from its verb up to `SET` or `WHERE`.
fn tables_of(change: &[Token]) -> Tables {
    let of = |word: &str| outside(change).find(|(_, token)| token.is(word)).map_or(change.len(), |(at, _)| at);
    let mut tables = change.get(1..).unwrap_or_default();
    // `DELETE t FROM ...` and `DELETE FROM t USING ...` name the deleted table separately.
    let mut apart = false;
    if one_of(change.first(), &["update"]) {
        tables = change.get(1..of("set")).unwrap_or_default();
    } else if let Some((before, [_, rest @ ..])) = change.split_at_checked(of("from")) {
        tables = rest;
        apart = before.iter().skip(1).any(|token| token.name().is_some_and(|name| !MODIFIERS.contains(&name)));
        let using = |(at, token): &(usize, &Token)| token.is("using") && rest.get(at + 1) != Some(&Token::Symbol('('));
        if let Some((at, _)) = outside(rest).find(using)
            && !apart
        {
            tables = rest.get(at + 1..).unwrap_or_default();
            apart = true;
        }
    }
    if tables.iter().any(|token| one_of(Some(token), &["select", "table", "values", "with", "natural"])) {
        return Tables::SideBySide;
    }
    let several = |token: &Token| *token == Token::Symbol(',') || one_of(Some(token), &["join", "straight_join"]);
    if !apart && !without_lists(tables).iter().any(|token| several(token)) {
        return Tables::One;
    }
    let joins: Vec<usize> = outside(tables)
        .filter(|(_, token)| one_of(Some(token), &["join", "straight_join"]))
        .map(|(at, _)| at)
        .collect();
    let ends = joins.iter().skip(1).copied().chain([tables.len()]);
    let each = joins.iter().zip(ends).all(|(at, end)| is_joined(tables.get(at + 1..end).unwrap_or_default()));
    let first = joins.first().and_then(|end| tables.get(..*end)).unwrap_or(tables);
    let commas = outside(tables).any(|(_, token)| *token == Token::Symbol(','));
    let plain = first.iter().all(|token| !matches!(token, Token::Symbol('(')));
    if each && plain && !commas { Tables::Joined } else { Tables::SideBySide }
}

/// The tables without their lists of partitions and indexes: `PARTITION (p, q)`, `USE INDEX (i, j)`.
fn without_lists(tables: &[Token]) -> Vec<&Token> {
    let mut left = Vec::new();
    let mut rest = tables;
    while let Some((first, after)) = rest.split_first() {
        left.push(first);
        let listed = one_of(Some(first), &["partition", "index", "key"]).then(|| group(after)).flatten();
        rest = listed.map_or(after, |(_, after)| after);
    }
    left
}

/// What follows a `JOIN`: a table with `USING (columns)`, or with `ON` and a comparison of one of its columns with one of
/// another table.
fn is_joined(part: &[Token]) -> bool {
    let Some((at, word)) = outside(part).find(|(_, token)| one_of(Some(token), &["on", "using"])) else { return false };
    let (table, mut condition) = (part.get(..at).unwrap_or_default(), part.get(at + 1..).unwrap_or_default());
    let Some(alias) = table.last().and_then(Token::name).filter(|_| !table.contains(&Token::Symbol('('))) else {
        return false;
    };
    if word.is("using") {
        return group(condition).is_some_and(|(columns, _)| !columns.is_empty());
    }
    while let [rest @ .., last] = condition
        && one_of(Some(last), &["inner", "cross", "left", "right", "outer"])
    {
        condition = rest;
    }
    connects(condition, alias)
}

/// Whether a part of the condition compares a column of this table with one of another.
fn connects(condition: &[Token], alias: &str) -> bool {
    if let Some((inner, [])) = group(condition) {
        return connects(inner, alias);
    }
    let of_two_tables = |part: &[Token]| {
        if matches!(group(part), Some((_, []))) {
            return connects(part, alias);
        }
        let Some(equals) = part.iter().position(|token| *token == Token::Symbol('=')) else { return false };
        let left = part.get(..equals).and_then(table_of_column);
        let right = part.get(equals + 1..).and_then(table_of_column);
        let tables = left.zip(right);
        tables.is_some_and(|(left, right)| left != right && (left == alias || right == alias))
    };
    is_conjunction(condition) && conjuncts(condition).into_iter().any(of_two_tables)
}

/// The table in a column's qualifier, without the schema.
fn table_of_column(tokens: &[Token]) -> Option<&str> {
    let [.., table, Token::Symbol('.'), column] = tokens else { return None };
    let rest = after_name(tokens)?;
    (rest.is_empty() && column.name().is_some()).then(|| table.name()).flatten()
}

/// Whether no `OR`, `XOR` or `CASE` is outside parentheses.
fn is_conjunction(condition: &[Token]) -> bool {
    splittable(condition) && !outside(condition).any(|(at, _)| is_or(condition, at).is_some())
}

/// Whether the tokens between two `AND` are a part of the condition: `CASE` and `INTERVAL` can contain their own `AND`,
/// `XOR` binds differently, an assignment takes everything after it, a comma makes it a row, and `||` joins texts in one SQL
/// mode.
fn splittable(condition: &[Token]) -> bool {
    !outside(condition).any(|(at, token)| {
        let named = is_part_of_a_name(condition, at);
        let joins_texts = *token == Token::Symbol('|') && condition.get(at + 1) == Some(&Token::Symbol('|'));
        matches!(token, Token::Assign | Token::Symbol(','))
            || joins_texts
            || one_of(Some(token), &["case", "xor"]) && !named
            || token.is("interval") && !named && !is_interval(condition.get(at + 1..).unwrap_or_default())
    })
}

/// A number or a string, or something in parentheses, and a unit.
fn is_interval(tokens: &[Token]) -> bool {
    let unit = match tokens {
        [Token::Symbol('-'), Token::Number(_), rest @ ..]
        | [Token::Number(_) | Token::Single(_) | Token::Double(_), rest @ ..] => rest.first(),
        _ => group(tokens).and_then(|(_, rest)| rest.first()),
    };
    one_of(unit, UNITS)
}

/// The length in tokens of the `OR` here, if any.
fn is_or(tokens: &[Token], at: usize) -> Option<usize> {
    (tokens.get(at)?.is("or") && !is_part_of_a_name(tokens, at)).then_some(1)
}

/// The length in tokens of the `AND` here, if any.
fn is_and(tokens: &[Token], at: usize) -> Option<usize> {
    let (here, symbol) = (tokens.get(at)?, Token::Symbol('&'));
    if here.is("and") && !is_part_of_a_name(tokens, at) {
        Some(1)
    } else if *here == symbol && tokens.get(at + 1) == Some(&symbol) {
        Some(2)
    } else {
        None
    }
}

/// The parts between the operators that `found` knows, outside parentheses.
fn split(tokens: &[Token], mut found: impl FnMut(usize) -> Option<usize>) -> Vec<&[Token]> {
    let mut parts = Vec::new();
    let mut start = 0;
    for (at, _) in outside(tokens) {
        if at >= start
            && let Some(length) = found(at)
        {
            parts.push(tokens.get(start..at).unwrap_or_default());
            start = at + length;
        }
    }
    parts.push(tokens.get(start..).unwrap_or_default());
    parts
}

/// The parts between `AND`, except the `AND` of a `BETWEEN`.
fn conjuncts(condition: &[Token]) -> Vec<&[Token]> {
    let mut between = 0_usize;
    split(condition, |at| {
        if one_of(condition.get(at), &["between"]) && !is_part_of_a_name(condition, at) {
            between += 1;
        }
        let length = is_and(condition, at)?;
        if between > 0 && length == 1 {
            between -= 1;
            return None;
        }
        Some(length)
    })
}

/// Whether a condition counts; with `qualified`, only columns that name their table.
fn counts(condition: &[Token], qualified: bool) -> bool {
    if let Some((inner, [])) = group(condition) {
        return counts(inner, qualified);
    }
    splittable(condition)
        && split(condition, |at| is_or(condition, at))
            .into_iter()
            .all(|branch| conjuncts(branch).into_iter().any(|part| compares(part, qualified)))
}

fn compares(part: &[Token], qualified: bool) -> bool {
    if let Some((inner, [])) = group(part) {
        return counts(inner, qualified);
    }
    if let Some((name, rest)) = column(part, qualified) {
        return matches_values(rest, |value| is_value(value, name));
    }
    if let Some((row, rest)) = group(part)
        && let columns = between_commas(row)
        && columns.len() > 1
    {
        let all = columns.iter().all(|part| matches!(column(part, qualified), Some((_, []))));
        return all && matches_values(rest, |values| is_row_of_values(values, columns.len()));
    }
    // `5 = id`: the other way round.
    let at = outside(part).find(|(_, token)| matches!(token, Token::Symbol('<' | '=' | '>'))).map(|(at, _)| at);
    let Some((value, rest)) = at.and_then(|at| part.split_at_checked(at)) else { return false };
    after_comparison(rest)
        .and_then(|right| column(right, qualified))
        .is_some_and(|(name, rest)| rest.is_empty() && is_value(value, name))
}

/// Whether the tokens after a column compare it with values, and nothing follows.
fn matches_values(rest: &[Token], is_value: impl Fn(&[Token]) -> bool) -> bool {
    match rest {
        [word, list @ ..] if word.is("in") => {
            matches!(group(list), Some((values, [])) if between_commas(values).into_iter().all(is_value))
        }
        [word, limits @ ..] if word.is("between") => {
            let and = outside(limits).find(|(_, token)| token.is("and")).map(|(at, _)| at);
            let Some((low, [_, high @ ..])) = and.and_then(|at| limits.split_at_checked(at)) else { return false };
            is_value(low) && is_value(high)
        }
        [word, pattern] | [word, pattern, Token::Word(_), Token::Single(_) | Token::Double(_)]
            if word.is("like") || word.is("ilike") =>
        {
            let escaped = rest.get(2).is_none_or(|word| word.is("escape"));
            escaped
                && matches!(pattern, Token::Single(text) | Token::Double(text) if text.contains(char::is_alphanumeric))
                && is_value(std::slice::from_ref(pattern))
        }
        _ => after_comparison(rest).is_some_and(is_value),
    }
}

/// The tokens after a comparison that can be true of few rows.
fn after_comparison(tokens: &[Token]) -> Option<&[Token]> {
    let length = tokens.iter().take_while(|token| matches!(token, Token::Symbol('<' | '=' | '>' | '!'))).count();
    let (operator, rest) = tokens.split_at_checked(length)?;
    let operator: String = operator
        .iter()
        .filter_map(|token| if let Token::Symbol(symbol) = token { Some(*symbol) } else { None })
        .collect();
    ["=", "<", ">", "<=", ">=", "<=>"].contains(&operator.as_str()).then_some(rest)
}

/// The last part of a column's name, and the tokens after the column.
fn column(tokens: &[Token], qualified: bool) -> Option<(&str, &[Token])> {
    match tokens {
        [Token::Word(function), rest @ ..] if rest.first() == Some(&Token::Symbol('(')) => {
            let (argument, rest) = group(rest)?;
            let (name, after) = column(argument, qualified)?;
            let path = function == "json_extract" && matches!(after, [Token::Symbol(','), Token::Single(_)]);
            (path || OF_A_COLUMN.contains(&function.as_str()) && after.is_empty()).then_some((name, rest))
        }
        [Token::Symbol('('), ..] => {
            let (inner, rest) = group(tokens)?;
            let (name, after) = column(inner, qualified)?;
            after.is_empty().then_some((name, rest))
        }
        [Token::Word(word), ..] if NO_COLUMNS.contains(&word.as_str()) && !is_part_of_a_name(tokens, 0) => None,
        _ => named_column(tokens, qualified),
    }
}

fn named_column(tokens: &[Token], qualified: bool) -> Option<(&str, &[Token])> {
    let part = |token: Option<&Token>| matches!(token, Some(Token::Word(_) | Token::Name(_)));
    let mut last = 0;
    if !part(tokens.first()) {
        return None;
    }
    while tokens.get(last + 1) == Some(&Token::Symbol('.')) && part(tokens.get(last + 2)) {
        last += 2;
    }
    let name = tokens.get(last)?.name()?;
    let rest = match tokens.get(last + 1..)? {
        // A call, or a literal with its kind before it.
        [Token::Symbol('(') | Token::Single(_) | Token::Double(_), ..] => return None,
        [Token::Symbol('-'), Token::Symbol('>'), Token::Symbol('>'), Token::Single(_), rest @ ..]
        | [Token::Symbol('-'), Token::Symbol('>'), Token::Single(_), rest @ ..] => rest,
        rest => rest,
    };
    (last > 0 || !qualified).then_some((name, rest))
}

/// A list of rows of `length` values, or one.
fn is_row_of_values(tokens: &[Token], length: usize) -> bool {
    matches!(group(tokens), Some((values, [])) if {
        // In double quotes each could be the name of a column of the row.
        let literal = |value: &[Token]| is_value(value, "") && !value.iter().any(|token| matches!(token, Token::Double(_)));
        let values = between_commas(values);
        values.len() == length && values.into_iter().all(literal)
    })
}

/// Whether an expression is made of literals. In double quotes a text is a name to a server in ANSI mode, so it must not
/// be the name of the column.
fn is_value(tokens: &[Token], column: &str) -> bool {
    !tokens.is_empty()
        && tokens.iter().enumerate().all(|(at, token)| match token {
            Token::Number(_) | Token::Single(_) => true,
            Token::Double(text) => text != column,
            Token::Symbol(symbol) => "+-*/%(),".contains(*symbol),
            Token::Word(word) => match tokens.get(at + 1) {
                Some(Token::Symbol('(')) => functions::is_listed(word),
                // A byte that SQL modes read in different ways (`bind`).
                Some(Token::Number(digits)) if word == "_utf8mb4" => digits.starts_with("0x"),
                Some(Token::Single(_) | Token::Double(_)) => {
                    word.starts_with('_')
                        || ["date", "time", "timestamp", "interval", "x", "b", "n"].contains(&word.as_str())
                }
                _ => {
                    let before = at.checked_sub(1).and_then(|before| tokens.get(before));
                    let counted = matches!(before, Some(Token::Number(_) | Token::Single(_) | Token::Symbol(')')));
                    IN_VALUES.contains(&word.as_str())
                        || counted && UNITS.contains(&word.as_str())
                        || one_of(before, &["as"]) && TYPES.contains(&word.as_str())
                }
            },
            _ => false,
        })
}
