//! Shared ways to walk through tokens.

use super::lexer::Token;

/// Whether this is one of these bare words.
pub(super) fn one_of(token: Option<&Token>, words: &[&str]) -> bool {
    token.is_some_and(|token| words.iter().any(|word| token.is(word)))
}

pub(super) fn after_parentheses(tokens: &[Token]) -> &[Token] {
    let depth = tokens.iter().take_while(|token| **token == Token::Symbol('(')).count();
    tokens.get(depth..).unwrap_or_default()
}

/// The tokens inside the parentheses that open here, and those after.
pub(super) fn group(tokens: &[Token]) -> Option<(&[Token], &[Token])> {
    if tokens.first()? != &Token::Symbol('(') {
        return None;
    }
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate() {
        match token {
            Token::Symbol('(') => depth += 1,
            Token::Symbol(')') => depth = depth.checked_sub(1)?,
            _ => {}
        }
        if depth == 0 {
            return Some((tokens.get(1..index)?, tokens.get(index + 1..)?));
        }
    }
    None
}

/// The tokens after a name of up to three parts.
pub(super) fn after_name(tokens: &[Token]) -> Option<&[Token]> {
    tokens.first()?.name()?;
    let mut rest = tokens.get(1..)?;
    while rest.first() == Some(&Token::Symbol('.')) {
        rest.get(1)?.name()?;
        rest = rest.get(2..)?;
    }
    Some(rest)
}

/// The tokens outside all parentheses, with their places.
pub(super) fn outside(tokens: &[Token]) -> impl Iterator<Item = (usize, &Token)> {
    let mut depth = 0_usize;
    tokens.iter().enumerate().filter(move |(_, token)| match token {
        Token::Symbol('(') => {
            depth += 1;
            false
        }
        Token::Symbol(')') => {
            depth = depth.saturating_sub(1);
            false
        }
        _ => depth == 0,
    })
}

/// The parts between the commas outside parentheses.
pub(super) fn between_commas(tokens: &[Token]) -> Vec<&[Token]> {
    let mut parts = Vec::new();
    let mut start = 0;
    for (at, token) in outside(tokens) {
        if *token == Token::Symbol(',') {
            parts.push(tokens.get(start..at).unwrap_or_default());
            start = at + 1;
        }
    }
    parts.push(tokens.get(start..).unwrap_or_default());
    parts
}

/// Whether any word at this place is a name: part of a qualified one, or a variable's.
pub(super) fn is_part_of_a_name(tokens: &[Token], at: usize) -> bool {
    let before = at.checked_sub(1).and_then(|before| tokens.get(before));
    let (dot, mark) = (Token::Symbol('.'), Token::Symbol('@'));
    before == Some(&dot) || before == Some(&mark) || tokens.get(at + 1) == Some(&dot)
}

pub(super) fn starts_as_query(tokens: &[Token]) -> bool {
    one_of(after_parentheses(tokens).first(), &["select", "table", "values"])
}

/// The tokens after `WITH [RECURSIVE] name [(columns)] AS (query) [, ...]`.
pub(super) fn main_of_with(tokens: &[Token]) -> Option<&[Token]> {
    let mut rest = tokens.get(1..)?;
    if rest.first()?.is("recursive") {
        rest = rest.get(1..)?;
    }
    loop {
        rest.first()?.name()?;
        rest = rest.get(1..)?;
        if rest.first()? == &Token::Symbol('(') {
            rest = group(rest)?.1;
        }
        if !rest.first()?.is("as") {
            return None;
        }
        let (body, after) = group(rest.get(1..)?)?;
        let nested = after_parentheses(body);
        let reads = match nested.first() {
            Some(first) if first.is("with") => starts_as_query(main_of_with(nested)?),
            _ => starts_as_query(nested),
        };
        if !reads {
            return None;
        }
        rest = after;
        if rest.first()? != &Token::Symbol(',') {
            return Some(rest);
        }
        rest = rest.get(1..)?;
    }
}
