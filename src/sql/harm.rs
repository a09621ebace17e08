//! Whether a statement can destroy.

use super::{
    condition,
    lexer::Token,
    walk::{after_name, after_parentheses, between_commas, group, main_of_with, one_of, outside},
};

/// Changes of data.
pub(super) const DATA: &[&str] = &["insert", "replace", "update", "delete"];

pub(super) const EXPLAIN: &[&str] = &["explain", "desc", "describe"];

/// Kinds that a `CREATE` adds; with `OR REPLACE` it replaces.
const CREATED: &[&str] = &[
    "table",
    "temporary",
    "database",
    "schema",
    "index",
    "unique",
    "fulltext",
    "vector",
    "columnar",
    "view",
    "sequence",
];

/// Whether a statement is known to destroy nothing beyond the rows that its own condition names. An allow-list: an
/// unrecognised statement destroys.
pub(super) fn spares(tokens: &[Token]) -> bool {
    let main = after_parentheses(tokens);
    let Some(Token::Word(first)) = main.first() else { return false };
    let second = main.get(1);
    match first.as_str() {
        "select" | "table" | "values" | "show" | "admin" | "trace" | "split" => true,
        "analyze" => !main.iter().any(|token| token.is("drop")),
        // With a query as their source they may overwrite every row.
        "replace" => !takes_from_query(main),
        "insert" => !(main.iter().any(|token| token.is("duplicate")) && takes_from_query(main)),
        "update" | "delete" => condition::names_its_rows(main),
        // A column of the `WITH` query may be constant, so it does not select rows of another table.
        "with" => main_of_with(main).is_some_and(|main| {
            spares(main) && !(one_of(main.first(), &["update", "delete"]) && condition::joins(main))
        }),
        "batch" => change_in_batches(main).is_some_and(spares),
        word if EXPLAIN.contains(&word) => {
            let analyzes = second.is_some_and(|second| second.is("analyze"));
            // `ANALYZE` runs the statement. The word counts as that anywhere.
            match main.iter().rposition(|token| token.is("analyze")) {
                None => true,
                Some(1) if analyzes => after_format(main.get(2..).unwrap_or_default()).is_some_and(spares),
                Some(_) => false,
            }
        }
        "create" => one_of(second, CREATED) || makes_temporary(main) || makes_view(main),
        "rename" => one_of(second, &["table"]),
        "alter" if one_of(second, &["database", "schema"]) => sets_character_set(main.get(2..).unwrap_or_default()),
        "alter" if one_of(second, &["sequence"]) => !main.iter().any(|token| token.is("restart")),
        "alter" if one_of(second, &["table"]) => alters_by_adding(main.get(2..).unwrap_or_default()),
        _ => false,
    }
}

/// `CREATE GLOBAL TEMPORARY TABLE`. A global binding changes how others' statements run.
fn makes_temporary(tokens: &[Token]) -> bool {
    matches!(tokens, [_, global, temporary, ..] if global.is("global") && temporary.is("temporary"))
}

/// `CREATE [ALGORITHM = name] [DEFINER = account] [SQL SECURITY name] VIEW`.
fn makes_view(tokens: &[Token]) -> bool {
    let mut options = tokens.iter().skip(1).take_while(|token| !one_of(Some(token), &["view", "as"]));
    let view = tokens.iter().find(|token| one_of(Some(token), &["view", "as"]));
    one_of(tokens.get(1), &["algorithm", "definer", "sql"])
        && one_of(view, &["view"])
        && options.all(|token| !token.is("replace"))
}

/// Whether a statement contains a query.
fn takes_from_query(tokens: &[Token]) -> bool {
    tokens.iter().skip(1).any(|token| one_of(Some(token), &["select", "table", "with"]))
}

/// The tokens after an optional `FORMAT = x`.
fn after_format(tokens: &[Token]) -> Option<&[Token]> {
    match tokens {
        [format, Token::Symbol('='), _, rest @ ..] if format.is("format") => Some(rest),
        [format, ..] if format.is("format") => None,
        _ => Some(tokens),
    }
}

/// `BATCH [ON name] LIMIT n [DRY RUN [QUERY]]`: the change that follows.
fn change_in_batches(tokens: &[Token]) -> Option<&[Token]> {
    let mut rest = tokens.get(1..)?;
    if rest.first()?.is("on") {
        rest = after_name(rest.get(1..)?)?;
    }
    let [limit, Token::Number(_), after @ ..] = rest else { return None };
    if !limit.is("limit") {
        return None;
    }
    rest = after;
    for word in ["dry", "run", "query"] {
        if rest.first()?.is(word) {
            rest = rest.get(1..)?;
        }
    }
    one_of(rest.first(), DATA).then_some(rest)
}

/// `[name] [[DEFAULT] CHARACTER SET | COLLATE [=] name]...` after `ALTER DATABASE`.
fn sets_character_set(tokens: &[Token]) -> bool {
    const OPTION: &[&str] = &["default", "character", "charset", "collate"];
    let mut rest = if one_of(tokens.first(), OPTION) { tokens } else { tokens.get(1..).unwrap_or_default() };
    while !rest.is_empty() {
        let [first, after @ ..] = rest else { return false };
        rest = if first.is("default") { after } else { rest };
        rest = match rest {
            [character, set, after @ ..] if character.is("character") && set.is("set") => after,
            [word, after @ ..] if one_of(Some(word), &["charset", "collate"]) => after,
            _ => return false,
        };
        rest = match rest {
            [Token::Symbol('='), value, after @ ..] | [value, after @ ..] if value.text().is_some() => after,
            _ => return false,
        };
    }
    true
}

/// Whether each action of an `ALTER TABLE` is known to add or rename: an allow-list, because TiDB may gain new ways to lose
/// data.
fn alters_by_adding(tokens: &[Token]) -> bool {
    let Some(actions) = after_name(tokens) else { return false };
    !actions.is_empty() && between_commas(actions).into_iter().all(adds)
}

/// One action of an `ALTER TABLE`. A clause without a comma after the last one (`PARTITION BY`, `REMOVE PARTITIONING`)
/// belongs to the statement.
fn adds(action: &[Token]) -> bool {
    let rides = || {
        action.iter().any(|token| one_of(Some(token), TAKES_AWAY))
            || outside(action).any(|(_, token)| one_of(Some(token), RIDERS))
    };
    match action {
        [add, partition, rest @ ..] if add.is("add") && partition.is("partition") => {
            let rest =
                rest.strip_prefix(&["if", "not", "exists"].map(|word| Token::Word(word.to_owned()))).unwrap_or(rest);
            matches!(group(rest), Some((_, [])))
        }
        [add, masking, ..] if add.is("add") && masking.is("masking") => false,
        [first, ..] if one_of(Some(first), &["add", "rename"]) => !rides(),
        [word] => one_of(Some(word), &["cache", "nocache"]),
        [comment, Token::Symbol('='), Token::Single(_) | Token::Double(_)]
        | [comment, Token::Single(_) | Token::Double(_)] => comment.is("comment"),
        [option, Token::Symbol('='), Token::Number(_)] | [option, Token::Number(_)] => {
            one_of(Some(option), &["auto_increment", "auto_id_cache"])
        }
        [option, Token::Symbol('='), Token::Word(_)] | [option, Token::Word(_)] => {
            one_of(Some(option), &["algorithm", "lock"])
        }
        // Without a replica, queries that need one fail; the replica itself is made again from the rows.
        [set, tiflash, replica, Token::Number(count)] => {
            set.is("set")
                && tiflash.is("tiflash")
                && replica.is("replica")
                && count.contains(|digit| ('1'..='9').contains(&digit))
        }
        _ => false,
    }
}

/// Words that make an adding action remove something.
const TAKES_AWAY: &[&str] = &[
    "drop",
    "truncate",
    "exchange",
    "remove",
    "discard",
    "import",
    "coalesce",
    "reorganize",
    "change",
    "modify",
    "ttl",
    "ttl_enable",
    "ttl_job_interval",
];

/// First words of clauses after the last action (`AlterTableSpecSingleOpt` and the partition clauses of TiDB's grammar).
const RIDERS: &[&str] =
    &["partition", "partitions", "subpartition", "split", "merge", "compact", "order", "convert", "force"];
