//! Kinds of statements that no tool runs, by their first words, and why.

use super::{
    Reason,
    lexer::Token,
    walk::{after_parentheses, one_of},
};

/// Statements whose effect ends with the session.
const SESSION: &[(&str, &str)] = &[
    ("use", "Give the argument `database`, or write schema.table."),
    ("set", "Write the value into the statement itself, or a hint like /*+ USE_INDEX(orders, idx_placed) */."),
    ("prepare", PREPARED),
    ("execute", PREPARED),
    ("deallocate", PREPARED),
    ("lock", LOCKED),
    ("unlock", LOCKED),
];

const PREPARED: &str = "Send the statement itself, with its values.";
pub(super) const LOCKED: &str = "Give the statements to db_execute as one array: they run in one transaction.";
const TEMPORARY: &str = "Create a table, or name the rows with WITH in the statement that needs them.";
const BINDING: &str = "Write GLOBAL before BINDING.";

/// Statements that begin or end a transaction.
const TRANSACTION: &[&str] = &["begin", "start", "commit", "rollback", "savepoint", "release"];

/// Statements of TiDB about the server, its jobs, its statistics and other sessions.
const OPERATOR: &[&str] = &[
    "admin",
    "kill",
    "flush",
    "shutdown",
    "restart",
    "backup",
    "restore",
    "plan",
    "binlog",
    "calibrate",
    "traffic",
    "recommend",
    "query",
    "refresh",
    "distribute",
    "cancel",
    "help",
    "do",
];

/// First words of statements that MySQL or other databases have.
const MISSING: &[&str] = &[
    "handler",
    "xa",
    "install",
    "uninstall",
    "check",
    "checksum",
    "repair",
    "optimize",
    "change",
    "reset",
    "purge",
    "stop",
    "clone",
    "merge",
    "upsert",
    "copy",
    "vacuum",
    "pragma",
    "declare",
    "delimiter",
    "source",
];

/// Forms of `SET` and `LOCK` that outlive the session.
const LASTING: &[(&str, &str)] =
    &[("set", "default"), ("set", "config"), ("set", "binding"), ("lock", "stats"), ("unlock", "stats")];

/// Scopes of a variable that outlive the session.
const SCOPES: &[&str] = &["global", "persist", "persist_only", "instance"];

/// Objects of `CREATE`, `ALTER` and `DROP` that MySQL has and TiDB does not: routines, and others.
const ROUTINES: &[&str] = &["procedure", "function", "trigger", "event"];

const MISSING_KINDS: &[&str] = &["spatial", "server", "tablespace", "logfile"];

/// Words between `CREATE` and the kind of object.
const BEFORE_KIND: &[&str] = &["or", "replace", "definer", "current_user", "aggregate", "if", "not", "exists"];

/// First words that a person may have meant.
const KNOWN: &[&str] = &[
    "SELECT",
    "INSERT",
    "UPDATE",
    "DELETE",
    "REPLACE",
    "CREATE",
    "ALTER",
    "DROP",
    "TRUNCATE",
    "RENAME",
    "SHOW",
    "EXPLAIN",
    "DESCRIBE",
    "WITH",
    "TABLE",
    "VALUES",
    "GRANT",
    "REVOKE",
    "ANALYZE",
    "TRACE",
    "BATCH",
    "FLASHBACK",
];

/// Why no tool runs a statement that begins like this; `None` if a tool may.
pub(super) fn kind(tokens: &[Token]) -> Option<Reason> {
    let tokens = after_parentheses(tokens);
    let Some(Token::Word(first)) = tokens.first() else { return None };
    let second = tokens.get(1);
    let named = |count: usize| words(tokens.get(..count).unwrap_or(tokens));
    let first = first.as_str();
    if first == "set" && one_of(second, &["password"]) {
        return Some(Reason::Password(named(2)));
    }
    if LASTING.iter().any(|(verb, what)| first == *verb && one_of(second, &[what])) {
        return Some(Reason::Lasting(named(if one_of(second, &["default"]) { 3 } else { 2 })));
    }
    if first == "set"
        && let Some(scope) = lasting_scope(tokens)
    {
        return Some(Reason::Lasting(format!("SET {}", scope.to_ascii_uppercase())));
    }
    if let Some((_, instead)) = SESSION.iter().find(|(verb, _)| first == *verb) {
        return Some(Reason::Session(named(if first == "lock" || first == "unlock" { 2 } else { 1 }), instead));
    }
    let lasts = first == "admin" && !one_of(second, &["check", "checksum", "show"]);
    match first {
        "admin" if lasts => Some(Reason::Lasting(named(2))),
        "create" | "alter" | "drop" => defined(tokens),
        "call" => Some(Reason::Routine(named(1))),
        "load" | "import" => Some(Reason::Files(named(2))),
        _ if TRANSACTION.contains(&first) => Some(Reason::Transaction(named(1))),
        _ if OPERATOR.contains(&first) => Some(Reason::Operator(named(2))),
        _ if MISSING.contains(&first) => Some(Reason::Missing(named(1))),
        _ => None,
    }
}

/// Why no statement begins with this token.
pub(super) fn unknown(tokens: &[Token]) -> Reason {
    match after_parentheses(tokens).first() {
        Some(Token::Word(word)) if tokens.first() != Some(&Token::Symbol('(')) => {
            let upper = word.to_ascii_uppercase();
            let near = nearest(&upper);
            Reason::Unknown(upper, near)
        }
        Some(token) if tokens.first() == Some(&Token::Symbol('(')) => Reason::Nested(shown(token)),
        first => Reason::Unknown(first.map(shown).unwrap_or_default(), None),
    }
}

/// A token, for the model.
pub(super) fn shown(token: &Token) -> String {
    match token {
        Token::Word(text) | Token::Name(text) | Token::Double(text) | Token::Single(text) | Token::Number(text) => {
            text.clone()
        }
        Token::Hint(_) => "/*+ */".to_owned(),
        Token::Assign => ":=".to_owned(),
        Token::Placeholder => "?".to_owned(),
        Token::Symbol(symbol) => symbol.to_string(),
    }
}

/// The bare words at the beginning of these tokens, in upper case.
pub(super) fn words<'a>(tokens: impl IntoIterator<Item = &'a Token>) -> String {
    let words = tokens
        .into_iter()
        .map_while(|token| if let Token::Word(word) = token { Some(word.to_ascii_uppercase()) } else { None });
    words.collect::<Vec<_>>().join(" ")
}

/// The scope beyond the session in which a `SET` sets a variable: `SET GLOBAL a = 1`, `SET b = 1, @@global.a = 1`.
fn lasting_scope(tokens: &[Token]) -> Option<&str> {
    let begins = |at: usize| {
        let before = at.checked_sub(1).and_then(|before| tokens.get(before));
        before == Some(&Token::Symbol(',')) || one_of(before, &["set"])
    };
    tokens.iter().enumerate().find_map(|(at, token)| {
        let Token::Word(word) = token else { return None };
        let variable = at >= 2 && tokens.get(at - 1) == Some(&Token::Symbol('@'));
        (SCOPES.contains(&word.as_str()) && (begins(at) || variable && begins(at - 2))).then_some(word.as_str())
    })
}

/// `CREATE`, `ALTER` and `DROP` of objects that end with the session, or that TiDB does not have.
fn defined(tokens: &[Token]) -> Option<Reason> {
    let is_value = |at: usize| matches!(tokens.get(at), Some(Token::Symbol('=' | '@')));
    let words_of_kind = |(at, token): &(usize, &Token)| {
        matches!(token, Token::Word(_)) && !one_of(Some(token), BEFORE_KIND) && !is_value(at - 1)
    };
    let mut head = tokens.iter().enumerate().skip(1).filter(words_of_kind).map(|(_, token)| token);
    let (kind, next) = (head.next(), head.next());
    let named = |next: Option<&Token>| words(tokens.first().into_iter().chain(kind).chain(next));
    match kind {
        Some(kind) if kind.is("temporary") => Some(Reason::Session(named(next), TEMPORARY)),
        Some(kind) if kind.is("prepare") => Some(Reason::Session(named(None), PREPARED)),
        Some(kind) if kind.is("binding") => Some(Reason::Session(named(None), BINDING)),
        Some(kind) if kind.is("session") && one_of(next, &["binding"]) => Some(Reason::Session(named(next), BINDING)),
        kind if one_of(kind, ROUTINES) => Some(Reason::Routine(named(None))),
        kind if one_of(kind, MISSING_KINDS) => Some(Reason::Missing(named(None))),
        _ => None,
    }
}

/// The word that was probably meant: at most one edit away for three letters, two for more, as two swapped letters count as
/// two. Among several, the nearest, preferably with the same first letter.
fn nearest(word: &str) -> Option<&'static str> {
    let edits_max = match word.len() {
        0..3 => return None,
        3 => 1,
        _ => 2,
    };
    let rank = |known: &str| (edits(word, known), !word.starts_with(known.get(..1).unwrap_or_default()));
    let near = KNOWN.iter().copied().filter(|known| known.len().abs_diff(word.len()) <= edits_max);
    near.min_by_key(|known| rank(known)).filter(|known| rank(known).0 <= edits_max)
}

/// How many letters are added, left out or changed between two words (the Levenshtein distance).
fn edits(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (at, here) in left.bytes().enumerate() {
        let (mut diagonal, mut before) = (at, at + 1);
        for (place, there) in row.iter_mut().skip(1).zip(right.bytes()) {
            before = (diagonal + usize::from(here != there)).min(*place + 1).min(before + 1);
            diagonal = std::mem::replace(place, before);
        }
        if let Some(first) = row.first_mut() {
            *first = at + 1;
        }
    }
    row.pop().unwrap_or_default()
}
