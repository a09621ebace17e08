//! What MariaDB's plan leaves out and the statement says: `LIMIT`, grouping, aggregates, and which table a name stands for.

use super::super::statement::Token;

/// One `SELECT` of a statement, or an `UPDATE` or `DELETE`, without what stands in it.
#[derive(Clone, Debug, Default)]
pub(super) struct Shape {
    depth: usize,
    pub(super) distinct: bool,
    /// The expressions of `GROUP BY`.
    pub(super) group: Option<String>,
    /// Calls of aggregate functions, such as `count(*)`.
    pub(super) aggregates: Vec<String>,
    /// Calls of window functions, with what they range over.
    pub(super) windows: Vec<String>,
    pub(super) end: End,
}

/// What stands at the end of a query.
#[derive(Clone, Debug, Default)]
pub(super) struct End {
    /// The expressions of `ORDER BY`.
    pub(super) order: Option<String>,
    /// Offset and count of `LIMIT`.
    pub(super) limit: Option<(u64, u64)>,
}

/// A statement's shapes in MariaDB's order of `select_id`, and the end of a union of them.
#[derive(Debug, Default)]
pub(super) struct Shapes {
    pub(super) all: Vec<Shape>,
    pub(super) union: End,
}

const AGGREGATES: &[&str] = &[
    "ANY_VALUE",
    "APPROX_COUNT_DISTINCT",
    "APPROX_PERCENTILE",
    "AVG",
    "BIT_AND",
    "BIT_OR",
    "BIT_XOR",
    "COUNT",
    "GROUP_CONCAT",
    "JSON_ARRAYAGG",
    "JSON_OBJECTAGG",
    "MAX",
    "MIN",
    "STD",
    "STDDEV",
    "STDDEV_POP",
    "STDDEV_SAMP",
    "SUM",
    "VARIANCE",
    "VAR_POP",
    "VAR_SAMP",
];

const SET_OPERATIONS: &[&str] = &["UNION", "INTERSECT", "EXCEPT"];

/// Words that end the list of a clause.
const CLAUSES: &[&str] =
    &["HAVING", "ORDER", "LIMIT", "WINDOW", "FOR", "UNION", "INTERSECT", "EXCEPT", "PROCEDURE", "INTO", "LOCK", "WITH"];

fn is_word(token: Option<&Token>, wanted: &str) -> bool {
    matches!(token, Some(Token::Word(word)) if word == wanted)
}

fn is_symbol(token: Option<&Token>, wanted: char) -> bool {
    matches!(token, Some(Token::Symbol(symbol)) if *symbol == wanted)
}

fn written(tokens: &[Token]) -> String {
    let mut text = String::new();
    for (at, token) in tokens.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| tokens.get(at));
        let next = match token {
            Token::Word(word) => word.to_lowercase(),
            Token::Quoted(inner) => inner.clone(),
            Token::Symbol(symbol) => symbol.to_string(),
            Token::Hint(_) => continue,
        };
        let tight = |symbol: &Token| matches!(symbol, Token::Symbol('.' | '('));
        let spaced =
            before.is_some_and(|before| !tight(before)) && !matches!(token, Token::Symbol('.' | '(' | ')' | ','));
        if spaced {
            text.push(' ');
        }
        text.push_str(&next);
    }
    text
}

/// The place after the parenthesis that closes the one at `at`.
fn after_parentheses(tokens: &[Token], at: usize) -> usize {
    let mut depth = 0_usize;
    for (place, token) in tokens.iter().enumerate().skip(at) {
        match token {
            Token::Symbol('(') => depth += 1,
            Token::Symbol(')') => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return place + 1;
                }
            }
            _ => {}
        }
    }
    tokens.len()
}

/// The tokens from `at` up to the next clause of the same query, or its end.
fn list(tokens: &[Token], at: usize) -> &[Token] {
    let mut depth = 0_usize;
    let mut end = tokens.len();
    for (place, token) in tokens.iter().enumerate().skip(at) {
        match token {
            Token::Symbol('(') => depth += 1,
            Token::Symbol(')') if depth == 0 => {
                end = place;
                break;
            }
            Token::Symbol(')') => depth -= 1,
            Token::Word(word) if depth == 0 && CLAUSES.contains(&word.as_str()) => {
                end = place;
                break;
            }
            _ => {}
        }
    }
    tokens.get(at..end).unwrap_or_default()
}

/// `LIMIT count`, `LIMIT offset, count` or `LIMIT count OFFSET offset`, from after the word on.
fn limit(tokens: &[Token], at: usize) -> Option<(u64, u64)> {
    let number = |at: usize| match tokens.get(at) {
        Some(Token::Word(word)) => word.parse().ok(),
        _ => None,
    };
    let first = number(at)?;
    if is_symbol(tokens.get(at + 1), ',') {
        Some((first, number(at + 2)?))
    } else if is_word(tokens.get(at + 1), "OFFSET") {
        Some((number(at + 2)?, first))
    } else {
        Some((0, first))
    }
}

impl Shapes {
    pub(super) fn read(tokens: &[Token]) -> Self {
        let mut shapes = Self::default();
        // For each open parenthesis: the query that is being read in it, and whether a set operation came before.
        let mut open: Vec<(Option<usize>, bool)> = vec![(None, false)];
        for (at, token) in tokens.iter().enumerate() {
            match token {
                Token::Symbol('(') => open.push((None, false)),
                Token::Symbol(')') if open.len() > 1 => drop(open.pop()),
                Token::Word(word) => shapes.word(tokens, at, word, &mut open),
                _ => {}
            }
        }
        // MariaDB numbers the main query first, even after a `WITH`.
        if is_word(tokens.first(), "WITH")
            && let Some(main) = shapes.all.iter().position(|shape| shape.depth == 0)
        {
            let main = shapes.all.remove(main);
            shapes.all.insert(0, main);
        }
        shapes
    }

    fn word(&mut self, tokens: &[Token], at: usize, word: &str, open: &mut [(Option<usize>, bool)]) {
        let depth = open.len() - 1;
        let inner = open.iter().rev().find_map(|(query, _)| *query);
        let Some((current, operated)) = open.last_mut() else { return };
        let begins = word == "SELECT" || (at == 0 && matches!(word, "UPDATE" | "DELETE"));
        let next = tokens.get(at + 1);
        if begins {
            *current = Some(self.all.len());
            self.all.push(Shape { depth, distinct: is_word(next, "DISTINCT"), ..Shape::default() });
        } else if SET_OPERATIONS.contains(&word) {
            (*current, *operated) = (None, true);
        } else if is_symbol(next, '(') {
            let Some(shape) = inner.and_then(|inner| self.all.get_mut(inner)) else { return };
            let end = after_parentheses(tokens, at + 1);
            if is_word(tokens.get(end), "OVER") {
                // A window in parentheses, or by its name.
                let end =
                    if is_symbol(tokens.get(end + 1), '(') { after_parentheses(tokens, end + 1) } else { end + 2 };
                shape.windows.push(written(tokens.get(at..end).unwrap_or_default()));
            } else if AGGREGATES.contains(&word) {
                shape.aggregates.push(written(tokens.get(at..end).unwrap_or_default()));
            }
        } else {
            let of_union = depth == 0 && *operated;
            let shape = current.and_then(|current| self.all.get_mut(current));
            let by = is_word(next, "BY");
            if let Some(shape) = shape {
                match word {
                    "GROUP" if by => shape.group = Some(written(list(tokens, at + 2))),
                    _ if of_union => self.union.word(tokens, at, word, by),
                    _ => shape.end.word(tokens, at, word, by),
                }
            } else if of_union {
                // After a parenthesis.
                self.union.word(tokens, at, word, by);
            }
        }
    }

    pub(super) fn of(&self, select_id: f64) -> Option<&Shape> {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "MariaDB counts from 1")]
        let at = (select_id as usize).checked_sub(1)?;
        self.all.get(at)
    }
}

impl End {
    fn word(&mut self, tokens: &[Token], at: usize, word: &str, by: bool) {
        match word {
            "ORDER" if by => self.order = Some(written(list(tokens, at + 2))),
            "LIMIT" => self.limit = limit(tokens, at + 1),
            _ => {}
        }
    }
}

/// A table of a statement.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) schema: Option<String>,
    pub(super) name: String,
    /// It is the optional side of an outer join.
    pub(super) optional: bool,
}

fn name(token: Option<&Token>) -> Option<String> {
    match token? {
        Token::Word(word) => Some(word.to_lowercase()),
        Token::Quoted(inner) => Some(inner.to_lowercase()),
        _ => None,
    }
}

/// The table that `alias` stands for.
pub(super) fn table(tokens: &[Token], alias: &str) -> Option<Table> {
    let alias = alias.to_lowercase();
    let words = ["FROM", "JOIN", "STRAIGHT_JOIN", "UPDATE", "INTO"];
    // A comma and a parenthesis stand before columns as well.
    let surely = |before: Option<&Token>| words.iter().any(|word| is_word(before, word));
    let perhaps = |before: Option<&Token>| is_symbol(before, ',') || is_symbol(before, '(');
    let find = |introduced: &dyn Fn(Option<&Token>) -> bool| {
        (1..tokens.len()).filter(|at| introduced(tokens.get(at - 1))).find_map(|at| table_at(tokens, at, &alias))
    };
    find(&surely).or_else(|| find(&perhaps))
}

/// The table that stands at this place, where `alias` means it.
fn table_at(tokens: &[Token], at: usize, alias: &str) -> Option<Table> {
    let first = name(tokens.get(at))?;
    let (schema, table, mut end) = if is_symbol(tokens.get(at + 1), '.') {
        (Some(first), name(tokens.get(at + 2))?, at + 3)
    } else {
        (None, first, at + 1)
    };
    if is_word(tokens.get(end), "AS") {
        end += 1;
    }
    let aliased = name(tokens.get(end)).is_some_and(|name| name == alias);
    if !aliased && table != alias {
        return None;
    }
    let before = |back: usize, word: &str| at.checked_sub(back).is_some_and(|at| is_word(tokens.get(at), word));
    let left = before(1, "JOIN") && (before(2, "LEFT") || (before(2, "OUTER") && before(3, "LEFT")));
    let optional = left || is_word(tokens.get(if aliased { end + 1 } else { end }), "RIGHT");
    Some(Table { schema, name: table, optional })
}
