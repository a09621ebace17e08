//! The gate: reads pass for the tool that reads, single whole statements for the tool that writes.

mod hint;

use super::{
    Reason, account, functions,
    harm::{DATA, EXPLAIN, spares},
    is_system_secret_schema,
    lexer::{Reading, Token, read, tokens},
    limits::{self, LIMITS},
    refused, variables,
    walk::{after_name, after_parentheses, group, is_part_of_a_name, main_of_with, one_of, outside, starts_as_query},
};

/// The class of a statement for the tool that reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Class {
    /// Known to change nothing.
    Read,
    /// Known to change something.
    Write,
    /// Unknown, or refused.
    Reject(Reason),
}

/// Properties of a statement for the tool that writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statement {
    /// It commits the transaction it runs in, and needs an administrator.
    pub ddl: bool,
    /// It creates an account if its name is new and the server's mode allows it.
    pub may_make_account: bool,
    /// It may destroy more than the rows it names: it drops, empties, grants, or changes all rows.
    pub destructive: bool,
    /// It may let somebody in, or let an account do or see more. Such a statement is destructive too.
    pub opens: bool,
}

/// Changes of schema and accounts. Each commits by itself.
pub(super) const SCHEMA: &[&str] =
    &["create", "alter", "drop", "truncate", "rename", "recover", "flashback", "grant", "revoke", "analyze", "split"];

/// Values of `EXPLAIN FORMAT =`. <https://docs.pingcap.com/tidb/stable/sql-statement-explain>
const FORMATS: &[&str] = &[
    "row",
    "brief",
    "verbose",
    "dot",
    "json",
    "tidb_json",
    "traditional",
    "plan_tree",
    "plan_cache",
    "cost_trace",
    "hint",
    "binary",
    "true_card_cost",
];

/// Values of `TRACE FORMAT =`. <https://docs.pingcap.com/tidb/stable/sql-statement-trace>
const TRACE_FORMATS: &[&str] = &["row", "json", "log"];

/// Allowed targets of `SHOW`, after `FULL`, `EXTENDED`, `GLOBAL` or `SESSION`: metadata without other users' SQL, password
/// hashes or storage credentials.
const SHOW: &[&[&str]] = &[
    &["databases"],
    &["schemas"],
    &["tables"],
    &["open", "tables"],
    &["table", "status"],
    &["columns"],
    &["fields"],
    &["index"],
    &["indexes"],
    &["keys"],
    &["create", "table"],
    &["create", "view"],
    &["create", "database"],
    &["create", "schema"],
    &["create", "sequence"],
    &["create", "placement", "policy"],
    &["create", "resource", "group"],
    &["create", "procedure"],
    &["variables"],
    &["status"],
    &["warnings"],
    &["errors"],
    &["character", "set"],
    &["charset"],
    &["collation"],
    &["engines"],
    &["privileges"],
    &["builtins"],
    &["grants"],
    &["processlist"],
    &["triggers"],
    &["events"],
    &["procedure", "status"],
    &["function", "status"],
    &["plugins"],
    &["bindings"],
    &["binding_cache", "status"],
    &["profiles"],
    &["profile"],
    &["placement"],
    &["affinity"],
    &["distribution", "job"],
    &["distribution", "jobs"],
    &["masking", "policies"],
    &["stats_meta"],
    &["stats_healthy"],
    &["stats_histograms"],
    &["stats_topn"],
    &["stats_buckets"],
    &["stats_extended"],
    &["stats_locked"],
    &["histograms_in_flight"],
    &["column_stats_usage"],
    &["analyze", "status"],
];

/// Allowed targets of `ADMIN SHOW`.
const ADMIN_SHOW: &[&[&str]] = &[&["ddl"], &["slow", "recent"], &["slow", "top"], &["bdr", "role"]];

/// Allowed ends of `SHOW TABLE name [PARTITION (names)] [INDEX name]`.
const OF_A_TABLE: &[&str] = &["regions", "next_row_id", "distributions"];

/// Classifies a statement for the tool that reads, by an allow-list.
///
/// The text is read twice, with and without backslash escapes: the server's mode is not known here, and ambiguous text is
/// refused. If the second reading ends inside a quote, or meets a backslash outside one, a server in that mode would refuse
/// the text itself.
pub fn classify(sql: &str) -> Class {
    match tokens(sql, true) {
        Err(fault) => Class::Reject(fault.reason),
        Ok(read) => {
            let class = of_statement(&read);
            let alike = match tokens(sql, false) {
                Err(fault) => fault.hopeless,
                Ok(other) => of_statement(&other) == class,
            };
            match class {
                _ if !alike => Class::Reject(Reason::Backslash),
                Class::Read => limits::unlimited(sql).map_or(Class::Read, Class::Reject),
                class => class,
            }
        }
    }
}

/// Checks a statement for the tool that writes: exactly one statement of a known kind. An executable comment is allowed in
/// a change that the gate judges the same with and without its content.
///
/// # Errors
/// Why it is not run.
pub fn inspect(sql: &str) -> Result<Statement, Reason> {
    let mut judged = None;
    for backslash in [true, false] {
        let mut ways = vec![Reading::ALL];
        while let Some(executed) = ways.pop() {
            let skips = executed != Reading::ALL;
            let statement = match read(sql, Reading { backslash, executed: Some(executed) }) {
                // Nothing is left to run, or a server that reads it like this refuses it.
                Err(fault) if skips && fault.reason == Reason::Empty || !backslash && fault.hopeless => continue,
                Err(fault) => Err(fault.reason),
                Ok(text) => {
                    if !skips {
                        ways.extend(other_ways(text.kinds.len()));
                    }
                    if text.kinds.is_empty() || changes(&text.tokens) {
                        of_write(&text.tokens)
                    } else {
                        Err(refused::kind(&text.tokens).unwrap_or(Reason::ExecutableComment))
                    }
                }
            };
            match judged {
                None => judged = Some(statement?),
                Some(first) if statement == Ok(first) => {}
                Some(_) => return Err(if skips { Reason::ExecutableComment } else { Reason::Backslash }),
            }
        }
    }
    if let Some(reason) = limits::unlimited(sql) {
        return Err(reason);
    }
    judged.ok_or(Reason::Empty)
}

/// Which executable comments are executed in the readings that do not execute all: none, or the ones that TiDB always
/// executes and some of the other kinds, of which there are `kinds - 1`.
fn other_ways(kinds: usize) -> impl Iterator<Item = u8> {
    let unknown = u32::try_from(kinds).unwrap_or_default().saturating_sub(1).min(u8::BITS - 1);
    let some = (0..(1_u8 << unknown) - 1).map(|some| 1 | (some << 1));
    (kinds > 0).then_some(0).into_iter().chain(some)
}

/// Whether a statement changes data or schema.
fn changes(tokens: &[Token]) -> bool {
    let first = tokens.first();
    one_of(first, DATA) || one_of(first, SCHEMA) || one_of(first, &["batch"])
}

/// Whether a statement only plans a change.
pub fn plans_change(sql: &str) -> bool {
    let planned = |tokens: &[Token]| {
        let explained = one_of(tokens.first(), EXPLAIN).then(|| explained(tokens.get(1..).unwrap_or_default()));
        explained.is_some_and(|(analyzes, _, rest)| !analyzes && change_in(rest).is_some())
    };
    tokens(sql, true).is_ok_and(|tokens| planned(&tokens))
}

/// The word for which a statement is [`Class::Write`], in upper case: its verb, or what advances a sequence.
pub fn changing_word(sql: &str) -> Option<String> {
    let tokens = tokens(sql, true).ok()?;
    let planned = one_of(tokens.first(), EXPLAIN) && !one_of(tokens.get(1), &["analyze"]);
    let called = |at: usize| tokens.get(at + 1) == Some(&Token::Symbol('('));
    let changes_here = |at: usize, token: &Token| match token.name() {
        Some("next") => one_of(tokens.get(at + 1), &["value"]),
        Some("default") => planned && !is_part_of_a_name(&tokens, at),
        Some(name) if called(at) => functions::ADVANCING.contains(&name),
        // `EXPLAIN ANALYZE` is not the statement.
        _ => !planned && (at == 0 || !token.is("analyze")) && changes(std::slice::from_ref(token)),
    };
    let (_, token) = tokens.iter().enumerate().find(|(at, token)| changes_here(*at, token))?;
    Some(refused::shown(token).to_ascii_uppercase())
}

/// Whether a statement that runs is a `SHOW VARIABLES`: its answer has the name of a variable in the first column.
pub fn shows_variables(sql: &str) -> bool {
    tokens(sql, true).is_ok_and(|tokens| variables::shown(&tokens).is_some())
}

fn of_write(tokens: &[Token]) -> Result<Statement, Reason> {
    let first = tokens.iter().find(|token| **token != Token::Symbol('('));
    let shape = match first {
        Some(first)
            if ["admin", "show", "trace", "with"].iter().any(|word| first.is(word)) || one_of(Some(first), EXPLAIN) =>
        {
            shape(tokens)
        }
        _ => refused::kind(tokens).map_or(Class::Read, Class::Reject),
    };
    if let Class::Reject(reason) = shape {
        return Err(reason);
    }
    forbidden_everywhere(tokens)?;
    account::check(tokens)?;
    kept_for_later(tokens)?;
    let writes_file = tokens
        .windows(2)
        .any(|pair| matches!(pair, [into, file] if into.is("into") && one_of(Some(file), &["outfile", "dumpfile"])));
    if writes_file {
        return Err(Reason::Into);
    }
    let reads =
        one_of(first, &["select", "table", "values", "with", "show", "admin", "trace"]) || one_of(first, EXPLAIN);
    if !reads && !changes(after_parentheses(tokens)) {
        return Err(refused::unknown(tokens));
    }
    if one_of(first, &["create", "alter", "grant"]) && tokens.iter().any(|token| token.is("identified")) {
        return Err(Reason::Password(refused::words(tokens.iter().take(2))));
    }
    // A variable set by a query alone ends with it.
    if reads && !one_of(first, EXPLAIN) && query(tokens) == Class::Read {
        let variable = |token: &Token| match token {
            Token::Assign => Some(Reason::Assignment),
            token => token.is("into").then_some(Reason::Into),
        };
        if let Some(reason) = tokens.iter().find_map(variable) {
            return Err(reason);
        }
    }
    let destructive = !spares(tokens);
    Ok(Statement {
        ddl: one_of(first, SCHEMA),
        may_make_account: one_of(first, &["grant"]),
        destructive,
        opens: destructive && account::opens(tokens),
    })
}

fn of_statement(tokens: &[Token]) -> Class {
    let class = shape(tokens);
    if class != Class::Read {
        return class;
    }
    match within_a_read(tokens) {
        Ok(class) => class,
        Err(reason) => Class::Reject(reason),
    }
}

/// The class of a statement by its first words.
fn shape(tokens: &[Token]) -> Class {
    let Some(first) = tokens.first() else { return Class::Reject(Reason::Empty) };
    let rest = tokens.get(1..).unwrap_or_default();
    if first == &Token::Symbol('(') || one_of(Some(first), &["select", "table", "values", "with"]) {
        return query(tokens);
    }
    if one_of(Some(first), EXPLAIN) {
        return explain(tokens);
    }
    if first.is("trace") {
        return trace(rest);
    }
    if first.is("show") {
        return show(tokens).map_or_else(Class::Reject, |()| Class::Read);
    }
    if first.is("admin") && shows_jobs(rest) {
        return if has_query(rest) { Class::Reject(Reason::ShowQuery) } else { Class::Read };
    }
    match refused::kind(tokens) {
        Some(reason) => Class::Reject(reason),
        None if changes(tokens) => Class::Write,
        None => Class::Reject(refused::unknown(tokens)),
    }
}

/// A query by itself, or the main part of a `WITH`.
fn query(tokens: &[Token]) -> Class {
    let tokens = after_parentheses(tokens);
    match tokens.first() {
        Some(first) if first.is("with") => match main_of_with(tokens) {
            Some(main) if one_of(main.first(), DATA) => Class::Write,
            Some(main) if starts_as_query(main) => Class::Read,
            main => Class::Reject(cannot_follow(main.and_then(<[Token]>::first).or(Some(first)))),
        },
        _ if starts_as_query(tokens) => Class::Read,
        first => Class::Reject(Reason::Nested(first.map(refused::shown).unwrap_or_default())),
    }
}

fn cannot_follow(token: Option<&Token>) -> Reason {
    Reason::Structure(token.map_or_else(|| "the end".to_owned(), |token| refused::shown(token).to_ascii_uppercase()))
}

/// `EXPLAIN` of a query, of a change of data, or of a table and perhaps a column of it. Without `ANALYZE` a change is only
/// planned.
fn explain(tokens: &[Token]) -> Class {
    let tokens = tokens.get(1..).unwrap_or_default();
    let (analyzes, format, rest) = explained(tokens);
    let format = format.map(|format| (format, format.text().filter(|name| FORMATS.contains(name))));
    let name = match format {
        Some((format, None)) => return Class::Reject(Reason::Format(refused::shown(format).to_ascii_uppercase())),
        Some((_, name)) => name,
        None => None,
    };
    let runs = analyzes || name == Some("true_card_cost");
    if starts_as_query(rest) || one_of(after_parentheses(rest).first(), &["with"]) {
        let planned = !runs && change_in(rest).is_some();
        return if planned { Class::Read } else { query(rest) };
    }
    if one_of(rest.first(), DATA) {
        return if runs { Class::Write } else { Class::Read };
    }
    let plain = rest.len() == tokens.len();
    // `EXPLORE` takes a text for a statement.
    let keyword = [&["for", "format", "with", "explore", "analyze", "show"], DATA, SCHEMA, EXPLAIN]
        .iter()
        .any(|words| one_of(rest.first(), words))
        || refused::kind(rest).is_some();
    // A string here is the digest of a plan, from any session, or a statement.
    let table = match rest {
        [Token::Word(_) | Token::Name(_), Token::Symbol('.'), Token::Word(_) | Token::Name(_), after @ ..]
        | [Token::Word(_) | Token::Name(_), after @ ..] => Some(after),
        _ => None,
    };
    match table {
        Some([] | [Token::Word(_) | Token::Name(_)]) if plain && !keyword => Class::Read,
        _ if rest.iter().any(|token| matches!(token, Token::Single(_) | Token::Double(_))) => {
            Class::Reject(Reason::Digest)
        }
        _ => Class::Reject(cannot_follow(rest.first())),
    }
}

/// What follows `EXPLAIN`: whether it is `ANALYZE`, what the format is, and what is explained.
pub(super) fn explained(tokens: &[Token]) -> (bool, Option<&Token>, &[Token]) {
    let analyzes = one_of(tokens.first(), &["analyze"]);
    let rest = tokens.get(usize::from(analyzes)..).unwrap_or_default();
    match rest {
        [format, Token::Symbol('='), value, after @ ..] if format.is("format") => (analyzes, Some(value), after),
        _ => (analyzes, None, rest),
    }
}

/// The change of data here, or after a `WITH`.
fn change_in(tokens: &[Token]) -> Option<&[Token]> {
    let main = if one_of(tokens.first(), &["with"]) { main_of_with(tokens)? } else { tokens };
    one_of(main.first(), DATA).then_some(main)
}

/// After `TRACE`, which runs what follows: a query, and no format that makes a file.
fn trace(tokens: &[Token]) -> Class {
    let rest = match tokens {
        [format, Token::Symbol('='), value, rest @ ..] if format.is("format") => {
            let quoted =
                matches!(value, Token::Single(name) | Token::Double(name) if TRACE_FORMATS.contains(&name.as_str()));
            if !quoted {
                return Class::Reject(Reason::Format(refused::shown(value).to_ascii_uppercase()));
            }
            rest
        }
        _ => tokens,
    };
    let first = after_parentheses(rest).first();
    match one_of(first, &["select", "table", "values", "with"]).then(|| query(rest)) {
        None | Some(Class::Write) => Class::Reject(cannot_follow(change_in(rest).unwrap_or(rest).first())),
        Some(class) => class,
    }
}

/// Whether the tokens begin with words of this list.
fn begins_as(tokens: &[Token], list: &[&[&str]]) -> bool {
    let begins =
        |words: &&[&str]| tokens.len() >= words.len() && words.iter().zip(tokens).all(|(word, token)| token.is(word));
    list.iter().any(begins)
}

/// `ADMIN SHOW` of jobs, or of the next number of a table.
fn shows_jobs(tokens: &[Token]) -> bool {
    let [show, rest @ ..] = tokens else { return false };
    let next_number = || matches!(after_name(rest), Some([word]) if word.is("next_row_id"));
    show.is("show") && (begins_as(rest, ADMIN_SHOW) || next_number())
}

fn show(tokens: &[Token]) -> Result<(), Reason> {
    let rest = tokens.get(1..).unwrap_or_default();
    let modifiers =
        rest.iter().take_while(|token| one_of(Some(token), &["full", "extended", "global", "session"])).count();
    let rest = rest.get(modifiers..).unwrap_or_default();
    let counts = matches!(rest, [count, Token::Symbol('('), Token::Symbol('*'), Token::Symbol(')'), what, ..]
        if count.is("count") && one_of(Some(what), &["warnings", "errors"]));
    if !counts && !shows_parts(rest) && !begins_as(rest, SHOW) {
        return Err(Reason::Show(refused::words(rest.iter().take(2))));
    }
    if has_query(rest) {
        return Err(Reason::ShowQuery);
    }
    // Rows with secrets are left out of the result; whether a row is there must not depend on the secret.
    let condition = variables::shown(tokens).unwrap_or_default();
    if condition.iter().any(|token| token.name() == Some("value")) { Err(Reason::VariableValue) } else { Ok(()) }
}

/// Whether a query stands in a condition. A `SHOW` has no place for hints that would limit it.
fn has_query(tokens: &[Token]) -> bool {
    tokens.iter().enumerate().any(|(at, token)| match token {
        Token::Symbol('(') => one_of(tokens.get(at + 1), &["table", "with", "values"]),
        token => token.is("select") && !is_part_of_a_name(tokens, at),
    })
}

/// `TABLE name [PARTITION (names)] [INDEX name]`, and one of the words of [`OF_A_TABLE`].
fn shows_parts(tokens: &[Token]) -> bool {
    let [table, rest @ ..] = tokens else { return false };
    let Some(mut rest) = after_name(rest).filter(|_| table.is("table")) else { return false };
    if one_of(rest.first(), &["partition"]) {
        rest = rest.get(1..).and_then(group).map(|(_, rest)| rest).unwrap_or_default();
    }
    if one_of(rest.first(), &["index"]) {
        rest = rest.get(2..).unwrap_or_default();
    }
    one_of(rest.first(), OF_A_TABLE)
}

/// Statements that a server stores and runs later: a view is a read, and a binding must contain its statement, not a
/// digest.
fn kept_for_later(tokens: &[Token]) -> Result<(), Reason> {
    if !tokens.first().is_some_and(|first| one_of(Some(first), &["create", "alter"])) {
        return Ok(());
    }
    let head = outside(tokens).take_while(|(_, token)| !one_of(Some(token), &["as", "table", "using", "for"]));
    let kind = head.map(|(_, token)| token).find(|token| one_of(Some(token), &["view", "binding"]));
    if one_of(kind, &["binding"]) && tokens.iter().any(|token| one_of(Some(token), &["history", "digest"])) {
        return Err(Reason::Digest);
    }
    let query = outside(tokens).find(|(_, token)| token.is("as")).and_then(|(at, _)| tokens.get(at + 1..));
    match query.filter(|_| one_of(kind, &["view"])).map(within_a_read).transpose()? {
        Some(Class::Write) => Err(Reason::Sequence("NEXTVAL".to_owned())),
        _ => Ok(()),
    }
}

/// Refuses text that no tool runs, anywhere in a statement.
fn forbidden_everywhere(tokens: &[Token]) -> Result<(), Reason> {
    for (index, token) in tokens.iter().enumerate() {
        if let Token::Hint(hint) = token
            && let Some(word) = ["set_var", "resource_group"].into_iter().find(|word| hint.contains(word))
        {
            return Err(Reason::Hint(word));
        }
        if let Token::Hint(hint) = token
            && let Some(word) = LIMITS.iter().find(|word| hint.contains(**word))
        {
            return Err(Reason::Limit(word));
        }
        if let Token::Hint(hint) = token
            && let Some(unclear) = hint::unclear(hint)
        {
            let name = unclear.split(|character: char| !(character.is_ascii_alphanumeric() || character == '_')).next();
            return Err(Reason::HintUnclear(name.unwrap_or_default().to_owned()));
        }
        if token.name().is_some_and(is_system_secret_schema) && names_schema(tokens, index) {
            return Err(Reason::SystemSchema);
        }
    }
    variables::check(tokens)?;
    functions::unlisted_call(tokens).map_or(Ok(()), |name| Err(functions::reason(name)))
}

/// Whether the name here is a schema's: before a dot, after `DATABASE` or `SCHEMA`, or anywhere in a `SHOW`, which has many
/// ways to name one.
fn names_schema(tokens: &[Token], at: usize) -> bool {
    let before = tokens.get(..at).unwrap_or_default();
    let introduced = before.iter().rev().find(|token| !one_of(Some(token), &["if", "not", "exists"]));
    tokens.get(at + 1) == Some(&Token::Symbol('.'))
        || one_of(introduced, &["database", "schema"])
        || one_of(tokens.first(), &["show"])
}

/// Refuses text that must not be in a read; a read that advances a sequence is a write.
fn within_a_read(tokens: &[Token]) -> Result<Class, Reason> {
    forbidden_everywhere(tokens)?;
    let mut class = Class::Read;
    let shows = one_of(tokens.first(), &["show"]);
    let planned = one_of(tokens.first(), EXPLAIN)
        .then(|| change_in(explained(tokens.get(1..)?).2))
        .flatten()
        .map(|change| tokens.len() - change.len());
    for (index, token) in tokens.iter().enumerate() {
        let next = tokens.get(index + 1);
        let calls = next == Some(&Token::Symbol('('));
        let before = index.checked_sub(1).and_then(|before| tokens.get(before));
        match token {
            Token::Assign => return Err(Reason::Assignment),
            // Hints of a read come only after SELECT, or after the verb of the explained change.
            Token::Hint(_) if !one_of(before, &["select"]) && planned.is_none_or(|verb| index != verb + 1) => {
                return Err(Reason::HintPlace);
            }
            Token::Word(word) => match word.as_str() {
                "into" if !planned.is_some_and(|verb| follows_verb(tokens, verb, index)) => return Err(Reason::Into),
                "procedure" if !shows => return Err(Reason::Missing("PROCEDURE".to_owned())),
                // A column's default may be the next number of a sequence; reading the default takes it.
                "default" if calls => return Err(Reason::Sequence("DEFAULT(column)".to_owned())),
                "default" if planned.is_some() && !is_part_of_a_name(tokens, index) => class = Class::Write,
                "for" if one_of(next, &["update"]) => return Err(Reason::Locks("FOR UPDATE")),
                "for" if one_of(next, &["share"]) => return Err(Reason::Locks("FOR SHARE")),
                "lock" if one_of(next, &["in"]) => return Err(Reason::Locks("LOCK IN SHARE MODE")),
                "next" if one_of(next, &["value"]) && one_of(tokens.get(index + 2), &["for"]) => class = Class::Write,
                _ => {}
            },
            Token::Symbol('(') if one_of(next, DATA) && tokens.get(index + 2) != Some(&Token::Symbol('(')) => {
                return Err(Reason::Nested(refused::words(next)));
            }
            _ => {}
        }
        if calls && token.name().is_some_and(|name| functions::ADVANCING.contains(&name)) {
            class = Class::Write;
        }
    }
    Ok(class)
}

/// Whether only modifiers and a hint are between the verb of a change and this place.
fn follows_verb(tokens: &[Token], verb: usize, at: usize) -> bool {
    const MODIFIERS: &[&str] = &["low_priority", "high_priority", "delayed", "ignore"];
    let between = tokens.get(verb + 1..at);
    one_of(tokens.get(verb), &["insert", "replace"])
        && between.is_some_and(|between| {
            between.iter().all(|token| matches!(token, Token::Hint(_)) || one_of(Some(token), MODIFIERS))
        })
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::{Class, Reason, classify, inspect};

    /// Escapes of the case file: `\n \r \t \v \f \0 \\ \uXXXX`, and `\*{n}{x}` for x repeated n times.
    pub(crate) fn unescape(text: &str) -> String {
        let mut result = String::new();
        let mut rest = text;
        while let Some(index) = rest.find('\\') {
            result.push_str(&rest[..index]);
            rest = &rest[index + 1..];
            let kind = rest.chars().next().expect("an escape");
            rest = &rest[kind.len_utf8()..];
            match kind {
                'n' => result.push('\n'),
                'r' => result.push('\r'),
                't' => result.push('\t'),
                'v' => result.push('\u{b}'),
                'f' => result.push('\u{c}'),
                '0' => result.push('\0'),
                '\\' => result.push('\\'),
                'u' => {
                    let code = u32::from_str_radix(&rest[..4], 16).expect("four hexadecimal digits");
                    result.push(char::from_u32(code).expect("a character"));
                    rest = &rest[4..];
                }
                '*' => {
                    let (count, after) = rest[1..].split_once("}{").expect("{n}{x}");
                    let (text, after) = after.split_once('}').expect("{n}{x}");
                    result.push_str(&text.repeat(count.parse().expect("a number")));
                    rest = after;
                }
                other => panic!("unknown escape {other}"),
            }
        }
        result + rest
    }

    fn cases() -> Vec<(String, String, String)> {
        include_str!("../../tests/cases/sql-gate.tsv")
            .lines()
            .skip(1)
            .map(|line| {
                let mut fields = line.split('\t');
                let mut field = || fields.next().expect("three fields").to_owned();
                (unescape(&field()), field(), field())
            })
            .collect()
    }

    fn word(class: Class) -> &'static str {
        match class {
            Class::Read => "read",
            Class::Write => "write",
            Class::Reject(_) => "reject",
        }
    }

    #[test]
    fn every_case_is_classified_as_it_says() {
        let wrong: Vec<_> = cases()
            .into_iter()
            .filter(|(sql, expected, _)| word(classify(sql)) != expected)
            .map(|(sql, expected, why)| format!("{:.80} is {:?}, expected {expected}: {why}", sql, classify(&sql)))
            .collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert!(cases().len() > 200);
    }

    #[test]
    fn a_refusal_names_its_reason() {
        for (sql, reason) in [
            ("-- nothing", Reason::Empty),
            ("SELECT (1", Reason::Unbalanced),
            ("SELECT 'a", Reason::Unterminated('\'')),
            ("SELECT {fn NOW()}", Reason::Characters('}')),
            ("SELECT a FROM t WHERE b = ?", Reason::Characters('?')),
            ("SELECT\u{a0}1", Reason::Characters('\u{a0}')),
            ("SELECT 1 */", Reason::Comment),
            ("SELECT 1 /*! INTO @x */", Reason::ExecutableComment),
            ("SELECT 1 /*+ MAX_EXECUTION_TIME(1) */", Reason::HintPlace),
            ("SELECT /*+ SET_VAR(sql_mode='') */ 1", Reason::Hint("set_var")),
            ("SELECT 1into FROM t", Reason::NumberRunsOn("1into".to_owned())),
            ("SELECT 1; SELECT 2", Reason::SeveralStatements),
            ("SELECT 'a\\' INTO @x -- '", Reason::Backslash),
            ("CALL p()", Reason::Routine("CALL".to_owned())),
            ("WITH c AS (SELECT 1)", Reason::Structure("WITH".to_owned())),
            ("EXPLAIN FOR CONNECTION 1", Reason::Structure("FOR".to_owned())),
            ("SHOW CREATE USER root", Reason::Show("CREATE USER".to_owned())),
            ("SELECT 1 INTO @x", Reason::Into),
            ("SELECT * FROM t FOR SHARE", Reason::Locks("FOR SHARE")),
            ("SELECT \"sleep\"(10)", Reason::Function("sleep".to_owned())),
            ("SELECT * FROM `mysql` . user", Reason::SystemSchema),
            ("SELECT @a := 1", Reason::Assignment),
        ] {
            assert_eq!(classify(sql), Class::Reject(reason), "{sql}");
        }
        assert_eq!(classify(&"(".repeat(101)), Class::Reject(Reason::TooDeep));
        assert_eq!(classify(&"x".repeat(65_537)), Class::Reject(Reason::TooLong));
    }

    /// The sentence of a refusal.
    #[test]
    fn a_refusal_has_two_short_sentences_at_least() {
        let writes = include_str!("../../tests/cases/sql-writes.tsv").lines().skip(1);
        let texts = writes.map(|line| unescape(line.split('\t').next().unwrap_or_default()));
        let mut refused = 0;
        for sql in cases().into_iter().map(|(sql, ..)| sql).chain(texts) {
            let class = match classify(&sql) {
                Class::Reject(reason) => Some(reason),
                _ => None,
            };
            for reason in class.into_iter().chain(inspect(&sql).err()) {
                let sentence = reason.sentence();
                let advice = sentence.split_once(". ").map_or("", |(_, advice)| advice);
                assert!(advice.len() >= 10 && sentence.ends_with(['.', '?']), "{sql:.80}: {sentence}");
                assert!(
                    sentence.len() <= 300 && !sentence.contains("``") && !sentence.contains("{}"),
                    "{sql:.80}: {sentence}"
                );
                refused += 1;
            }
        }
        assert!(refused > 300, "{refused}");
    }

    #[test]
    fn the_schema_of_accounts_is_closed_without_a_dot_too() {
        for sql in [
            "ALTER DATABASE mysql CHARACTER SET utf8mb4",
            "CREATE DATABASE IF NOT EXISTS `MYSQL`",
            "DROP SCHEMA mysql",
            "FLASHBACK DATABASE mysql TO m",
            "DROP DATABASE IF EXISTS mysql",
        ] {
            assert_eq!(inspect(sql), Err(Reason::SystemSchema), "{sql}");
        }
    }

    #[test]
    fn a_write_is_known_before_it_runs() {
        let statement = |sql| inspect(sql).unwrap_or_else(|reason| panic!("{sql}: {reason:?}"));
        assert!(!statement("INSERT INTO t SELECT 'DROP TABLE t'").ddl);
        for sql in [
            "CREATE TABLE t (id INT)",
            "drop table t",
            "/* x */ TRUNCATE t",
            "GRANT SELECT ON d.* TO u",
            "ALTER TABLE t ADD b INT",
        ] {
            assert!(statement(sql).ddl, "{sql}");
        }
        for (sql, words) in [
            ("GRANT SELECT ON d.* TO u IDENTIFIED BY 'p'", "GRANT SELECT"),
            ("ALTER USER u identified/**/WITH x AS 'p'", "ALTER USER"),
            ("SET PASSWORD = 'p'", "SET PASSWORD"),
        ] {
            assert_eq!(inspect(sql), Err(Reason::Password(words.to_owned())), "{sql}");
        }
        for sql in ["SELECT 'identified', `identified` FROM t", "UPDATE animals SET identified = 1 WHERE id = 2"] {
            assert!(inspect(sql).is_ok(), "{sql}");
        }
        assert!(inspect("INSERT INTO sleep (hours) VALUES (8)").is_ok(), "a table may have a function's name");
        assert_eq!(inspect("INSERT INTO t (a) SELECT SLEEP(9)"), Err(Reason::Function("sleep".to_owned())));
        for (sql, reason) in [
            ("INSERT INTO t VALUES (1); DROP TABLE t", Reason::SeveralStatements),
            ("INSERT INTO t /*M! SELECT */ VALUES (1)", Reason::ExecutableComment),
            ("LOAD DATA INFILE '/etc/passwd' INTO TABLE t", Reason::Files("LOAD DATA".to_owned())),
            ("SELECT * FROM t INTO OUTFILE '/tmp/x'", Reason::Into),
            ("INSERT INTO t VALUES (LOAD_FILE('/etc/passwd'))", Reason::Function("load_file".to_owned())),
            ("DELETE FROM mysql.user", Reason::SystemSchema),
            ("INSERT INTO t VALUES ('a\\'); DROP TABLE t; -- ')", Reason::Backslash),
            ("KILL 1", Reason::Operator("KILL".to_owned())),
            ("ADMIN CANCEL DDL JOBS 1", Reason::Lasting("ADMIN CANCEL".to_owned())),
            ("SHOW CREATE USER 'root'@'%'", Reason::Show("CREATE USER".to_owned())),
            ("SHOW IMPORT JOBS", Reason::Show("IMPORT JOBS".to_owned())),
            ("EXPLAIN FOR CONNECTION 1", Reason::Structure("FOR".to_owned())),
        ] {
            assert_eq!(inspect(sql), Err(reason), "{sql}");
        }
    }

    #[test]
    fn a_write_runs_or_is_refused_by_what_is_wrong_with_it() {
        let rows = include_str!("../../tests/cases/sql-writes.tsv").lines().skip(1);
        let wrong: Vec<_> = rows
            .map(|line| line.split('\t').collect::<Vec<_>>())
            .filter_map(|fields| {
                let (sql, expected) = (unescape(fields[0]), fields[1]);
                let answer = inspect(&sql).map_or_else(|reason| reason.sentence(), |_| "runs".to_owned());
                (!answer.contains(expected)).then(|| format!("{sql}: {answer} and not {expected}"))
            })
            .collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn what_destroys_is_known_before_it_runs() {
        let mut seen = [0, 0];
        let mut wrong = Vec::new();
        for line in include_str!("../../tests/cases/destructive.tsv").lines().skip(1) {
            let mut fields = line.split('\t');
            let (sql, expected) = (unescape(fields.next().expect("SQL")), fields.next().expect("a word"));
            let statement = inspect(&sql).unwrap_or_else(|reason| panic!("{sql}: {reason:?}"));
            if statement.destructive != (expected == "destroys") {
                wrong.push(format!("{sql} is not {expected}"));
            }
            seen[usize::from(statement.destructive)] += 1;
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert!(seen[0] > 20 && seen[1] > 20, "{seen:?}");
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd(text in ".{0,200}") {
            let _ = classify(&text);
            let _ = inspect(&text);
        }

        /// Comments, blanks, case and parentheses are no way around the gate.
        #[test]
        fn what_is_no_read_stays_none(pick in any::<prop::sample::Index>(), blanks in prop::collection::vec(0..5_usize, 64), upper in any::<bool>(), wrapped in any::<bool>()) {
            let all: Vec<_> = cases().into_iter().filter(|(sql, expected, _)| expected != "read" && !sql.contains(['\'', '"', '`', '\\', '#', '\n', '\r']) && !sql.contains("--") && !sql.contains("/*")).collect();
            let (sql, expected, _) = &all[pick.index(all.len())];
            let mut changed = String::new();
            for (index, part) in sql.split(' ').enumerate() {
                if index > 0 {
                    changed.push_str([" ", "\t", "/**/", " /* x */ ", "\n"][blanks[index % blanks.len()]]);
                }
                changed.push_str(part);
            }
            if upper { changed = changed.to_ascii_uppercase(); }
            if wrapped { changed = format!("({changed})"); }
            prop_assert_ne!(classify(&changed), Class::Read, "{:?} was {}", changed, expected);
        }
    }
}
