//! What a statement carries to the server that its author did not write: limits, and what its plan needs.

use std::ops::Range;

use super::{
    Reason, gate,
    harm::{DATA, EXPLAIN},
    lexer::{self, Token},
    walk::{after_parentheses, group, main_of_with, one_of, outside},
};

/// Texts to put into a statement, each in place of a part of it that may be empty, in order.
pub type Edits = Vec<(Range<usize>, String)>;

/// How much memory a read may take. A million rows, which pass unasked, are 256 MB if each has 16 columns of 16 bytes; a join or
/// a sort has them twice, as rows and as hash table or copy. It is half of what TiDB allows by default
/// (`tidb_mem_quota_query`, 1 GiB), so the hint never lifts a limit that the owner of a cluster left alone.
const MEMORY_MIB: u32 = 512;

/// Hints that set the limits. Of several of a kind TiDB heeds the last, wherever it stands (8.5: `MAX_EXECUTION_TIME() is defined more
/// than once, only the last definition takes effect`, also in a later part of a `UNION`), so authors may not give their own.
/// <https://docs.pingcap.com/tidb/stable/optimizer-hints>
pub(super) const LIMITS: &[&str] = &["max_execution_time", "memory_quota"];

/// Without this, `EXPLAIN` runs subqueries that are constant.
/// <https://docs.pingcap.com/tidb/stable/system-variables#tidb_opt_enable_non_eval_scalar_subquery-new-in-v730>
const PLANS_ALL: &str = "SET_VAR(tidb_opt_enable_non_eval_scalar_subquery=1)";

/// The name of a query that is put into the `FROM` of another.
const ALIAS: &str = "whole_statement";

/// Where a hint counts for the whole statement.
pub(super) enum Place {
    /// After this token.
    After(usize),
    /// In a `SELECT` around these tokens.
    Around(Range<usize>),
}

/// What makes TiDB end this read after so many milliseconds, or when it takes too much memory.
///
/// TiDB 8.5 honours both hints after the `SELECT` of the statement itself: the first of a `UNION`, the one after the tables of a
/// `WITH`, one in parentheses around the whole statement, and the one that `EXPLAIN ANALYZE` or `TRACE` runs. It does not where
/// parentheses are around a part: `(SELECT ...) UNION ...`, `(SELECT ...) LIMIT 1`. Such a query, and `TABLE t`, becomes a derived
/// table; its own `ORDER BY` and `LIMIT` move out of it, because TiDB drops an order within.
///
/// `EXPLAIN` without `ANALYZE` gets what keeps it from running subqueries instead: it has no limit. Nothing is added where nothing runs
/// for long: `SHOW` and `DESCRIBE` read the schema, and TiDB has no `VALUES` (1051). Writes are not limited by `MAX_EXECUTION_TIME`.
pub fn limited(sql: &str, millis: u64) -> Edits {
    lexer::with_places(sql, true).map(|(tokens, places)| limited_of(&tokens, &places, millis)).unwrap_or_default()
}

fn limited_of(tokens: &[Token], places: &[Range<usize>], millis: u64) -> Edits {
    let hint = format!("MAX_EXECUTION_TIME({millis}) MEMORY_QUOTA({MEMORY_MIB} MB)");
    let (place, hint) = match place_of_plan(tokens) {
        Some(place) => (Some(place), PLANS_ALL),
        None => (place_of_run(tokens), hint.as_str()),
    };
    place.map(|place| hinted(tokens, places, &place, hint)).unwrap_or_default()
}

/// Where the hint for its plan stands in an `EXPLAIN` that does not run what it explains, unless it is there.
fn place_of_plan(tokens: &[Token]) -> Option<Place> {
    if !one_of(tokens.first(), EXPLAIN) || run_by(tokens).is_some() {
        return None;
    }
    let explained = gate::explained(tokens.get(1..)?).2;
    let place = place_of(tokens, tokens.len() - explained.len())?;
    match &place {
        Place::After(at) => match tokens.get(at + 1) {
            Some(Token::Hint(hint)) if hint.contains(&PLANS_ALL.to_ascii_lowercase()) => None,
            _ => Some(place),
        },
        Place::Around(_) => Some(place),
    }
}

/// What turns a statement into the `EXPLAIN` of what it runs: a query or a change of data, by itself, in batches, or analyzed. `None` for
/// what has no plan, or does not run.
pub fn planned(sql: &str) -> Option<Edits> {
    let (tokens, places) = lexer::with_places(sql, true)?;
    planned_of(sql, &tokens, &places)
}

/// The statement with what its plan needs, and these hints, where they count for the whole of it. `None` if there is no place for hints,
/// or if a mode of the server decides where it is.
pub fn planned_with(sql: &str, hints: &str) -> Option<String> {
    let (tokens, places) = lexer::with_places(sql, true)?;
    let place = place_of(&tokens, 0)?;
    let hints = if hints.is_empty() { PLANS_ALL.to_owned() } else { format!("{PLANS_ALL} {hints}") };
    let (mut text, mut from) = (String::new(), 0);
    for (part, added) in hinted(&tokens, &places, &place, &hints) {
        text.extend([sql.get(from..part.start)?, added.as_str()]);
        from = part.end;
    }
    (!text.contains('\\')).then(|| text + sql.get(from..).unwrap_or_default())
}

fn planned_of(sql: &str, tokens: &[Token], places: &[Range<usize>]) -> Option<Edits> {
    const EXPLAINS: &str = "EXPLAIN FORMAT = 'brief' ";
    let run = run_by(tokens)?;
    let place = place_of(tokens, run)?;
    let before = 0..places.get(run)?.start;
    // Lines keep their numbers.
    let lines = sql.get(before.clone())?.matches('\n').count();
    let mut edits = hinted(tokens, places, &place, PLANS_ALL).into_iter().peekable();
    let begin = match edits.next_if(|(range, _)| *range == (before.end..before.end)) {
        Some((_, wraps)) => wraps,
        None => String::new(),
    };
    Some(std::iter::once((before, format!("{EXPLAINS}{}{begin}", "\n".repeat(lines)))).chain(edits).collect())
}

/// Why a statement could not carry its limits, or be planned: modes of the server place its parts differently, or an order within
/// parentheses would be lost.
pub(super) fn unlimited(sql: &str) -> Option<Reason> {
    let (tokens, places) = lexer::with_places(sql, true)?;
    if sql.contains('\\') {
        let other = lexer::with_places(sql, false);
        let alike = |(others, at): (Vec<Token>, Vec<Range<usize>>)| {
            planned_of(sql, &others, &at) == planned_of(sql, &tokens, &places)
                && limited_of(&others, &at, 0) == limited_of(&tokens, &places, 0)
        };
        if !other.is_none_or(alike) {
            return Some(Reason::Backslash);
        }
    }
    let Place::Around(range) = place_of_run(&tokens)? else { return None };
    let (inner, after) = group(tokens.get(range)?)?;
    let orders = outside(innermost(inner)).any(|(_, token)| token.is("order"));
    (after.is_empty() && orders).then_some(Reason::OrderInParentheses)
}

/// A query without the parentheses around all of it.
fn innermost(mut tokens: &[Token]) -> &[Token] {
    while let Some((inner, [])) = group(tokens) {
        tokens = inner;
    }
    tokens
}

/// Where the limits of a read stand.
fn place_of_run(tokens: &[Token]) -> Option<Place> {
    match place_of(tokens, run_by(tokens)?)? {
        Place::After(at) if !one_of(tokens.get(at), &["select"]) => None,
        place => Some(place),
    }
}

/// Where the query or change begins that a statement runs: after `EXPLAIN ANALYZE`, `TRACE` and `BATCH`.
pub(super) fn run_by(tokens: &[Token]) -> Option<usize> {
    let first = tokens.first();
    let rest = tokens.get(1..)?;
    if one_of(first, EXPLAIN) {
        let (analyzes, format, explained) = gate::explained(rest);
        let runs = analyzes || format.and_then(Token::text) == Some("true_card_cost");
        return runs.then_some(tokens.len() - explained.len());
    }
    if one_of(first, &["trace"]) {
        return Some(tokens.len() - gate::explained(rest).2.len());
    }
    if one_of(first, &["batch"]) {
        return outside(tokens).find(|(_, token)| one_of(Some(token), DATA)).map(|(at, _)| at);
    }
    Some(0)
}

/// Where a hint counts for the query or change that begins here.
pub(super) fn place_of(tokens: &[Token], start: usize) -> Option<Place> {
    let (mut start, mut end) = (start, tokens.len());
    loop {
        let rest = tokens.get(start..end)?;
        let at = |rest: &[Token]| end - rest.len();
        let first = rest.first();
        if one_of(first, &["select"]) || one_of(first, DATA) {
            return Some(Place::After(start));
        }
        if one_of(first, &["with"]) {
            start = at(main_of_with(rest)?);
        } else if let Some((inner, after)) = group(rest) {
            if !after.is_empty() {
                return starts_query(rest).then(|| Place::Around(start..tail(rest).map_or(end, |tail| start + tail)));
            }
            start += 1;
            end = start + inner.len();
        } else {
            let table = one_of(first, &["table"]);
            return table.then(|| Place::Around(start..tail(rest).map_or(end, |tail| start + tail)));
        }
    }
}

fn starts_query(tokens: &[Token]) -> bool {
    one_of(after_parentheses(tokens).first(), &["select", "table", "with"])
}

/// Where the `ORDER BY` or `LIMIT` of a query begins that is about all its parts: outside parentheses, after the last of them.
fn tail(tokens: &[Token]) -> Option<usize> {
    let last = outside(tokens).filter(|(_, token)| one_of(Some(token), &["union", "except", "intersect"])).last();
    let from = last.map_or(0, |(at, _)| at);
    outside(tokens)
        .find(|(at, token)| {
            *at > from && (token.is("limit") || token.is("order") && one_of(tokens.get(at + 1), &["by"]))
        })
        .map(|(at, _)| at)
}

/// The edits that put a hint there.
fn hinted(tokens: &[Token], places: &[Range<usize>], place: &Place, hint: &str) -> Edits {
    let insert = |at: usize, text: String| Some((at..at, text));
    match place {
        Place::After(at) => {
            let edit = match tokens.get(at + 1) {
                Some(Token::Hint(_)) => places
                    .get(at + 1)
                    .and_then(|hint| hint.end.checked_sub("*/".len()))
                    .and_then(|end| insert(end, format!(" {hint} "))),
                _ => places.get(*at).and_then(|verb| insert(verb.end, format!(" /*+ {hint} */"))),
            };
            edit.into_iter().collect()
        }
        Place::Around(range) => {
            let begin = places.get(range.start).map(|first| first.start);
            let end = range.end.checked_sub(1).and_then(|last| places.get(last)).map(|last| last.end);
            let edits = begin.zip(end).map(|(begin, end)| {
                [insert(begin, format!("SELECT /*+ {hint} */ * FROM (")), insert(end, format!(") AS {ALIAS}"))]
            });
            edits.into_iter().flatten().flatten().collect()
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::{Edits, limited, planned, planned_with};
    use crate::sql::{Class, classify, inspect};

    /// A statement as its edits make it.
    fn edited(sql: &str, edits: &Edits) -> String {
        let (mut text, mut from) = (String::new(), 0);
        for (part, added) in edits {
            text.push_str(&sql[from..part.start]);
            text.push_str(added);
            from = part.end;
        }
        text + &sql[from..]
    }

    /// The text with a hint that anybody may give in place of those that only the server may.
    pub(crate) fn with_plain_hints(text: &str, millis: u64) -> String {
        let limits = format!("MAX_EXECUTION_TIME({millis}) MEMORY_QUOTA({} MB)", super::MEMORY_MIB);
        text.replace(&limits, "HASH_AGG()").replace(super::PLANS_ALL, "HASH_AGG()")
    }

    /// Where TiDB 8.5 heeds a hint, and where an `EXPLAIN` of what runs takes one: run there with a limit of 50 ms.
    #[test]
    fn a_statement_carries_its_hints_where_tidb_heeds_them() {
        let short = |text: String| {
            text.replace("MAX_EXECUTION_TIME(500) MEMORY_QUOTA(512 MB)", "LIMIT").replace(super::PLANS_ALL, "PLAN")
        };
        let mut wrong = Vec::new();
        for line in include_str!("../../tests/cases/sql-limits.tsv").lines().skip(1) {
            let fields: Vec<_> = line.split('\t').collect();
            let [sql, run, plan] = fields[..] else { panic!("three fields: {line}") };
            let of = |edits: Option<Edits>| match edits {
                Some(edits) if !edits.is_empty() => short(edited(sql, &edits)),
                _ => "-".to_owned(),
            };
            for (found, expected) in [(of(Some(limited(sql, 500))), run), (of(planned(sql)), plan)] {
                if found != expected {
                    wrong.push(format!("{sql}\n  is {found}\n not {expected}"));
                }
            }
            if inspect(sql).is_err() {
                wrong.push(format!("no tool runs {sql}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn hints_of_a_plan_stand_where_its_own_does() {
        for (sql, expected) in [
            ("SELECT 1", Some("SELECT /*+ PLAN H() */ 1")),
            ("select /*+ A() */ 1", Some("select /*+ A()  PLAN H() */ 1")),
            ("WITH c AS (SELECT 1) SELECT * FROM c", Some("WITH c AS (SELECT 1) SELECT /*+ PLAN H() */ * FROM c")),
            ("UPDATE t SET a = 1", Some("UPDATE /*+ PLAN H() */ t SET a = 1")),
            ("INSERT INTO t SELECT 1", Some("INSERT /*+ PLAN H() */ INTO t SELECT 1")),
            ("SELECT '\\'' FROM t", Some("SELECT /*+ PLAN H() */ '\\'' FROM t")),
            (
                "(SELECT 1) UNION (SELECT 2) LIMIT 1",
                Some("SELECT /*+ PLAN H() */ * FROM ((SELECT 1) UNION (SELECT 2)) AS whole_statement LIMIT 1"),
            ),
            ("/* \\ */ SELECT 1", None),
            ("SHOW TABLES", None),
        ] {
            let text = planned_with(sql, "H()").map(|text| text.replace(super::PLANS_ALL, "PLAN"));
            assert_eq!(text.as_deref(), expected, "{sql}");
        }
    }

    /// The caller's own hints would win: of several TiDB heeds the last.
    #[test]
    fn nobody_else_sets_the_limits() {
        for hint in ["MAX_EXECUTION_TIME(9)", "memory_quota( 1 GB )", "HASH_AGG(), Max_Execution_Time(0)"] {
            for sql in [
                format!("SELECT /*+ {hint} */ 1"),
                format!("SELECT 1 UNION SELECT /*+ {hint} */ 2"),
                format!("WITH c AS (SELECT /*+ {hint} */ 1) SELECT * FROM c"),
                format!("EXPLAIN ANALYZE SELECT /*+ {hint} */ 1"),
                format!("INSERT /*+ {hint} */ INTO t SELECT 1"),
                format!("CREATE VIEW v AS SELECT /*+ {hint} */ 1"),
            ] {
                let said = inspect(&sql).expect_err(&sql).sentence();
                assert!(said.starts_with("The server sets the limit m"), "{sql}: {said}");
                assert_ne!(classify(&sql), Class::Read, "{sql}");
            }
        }
    }

    #[test]
    fn what_could_not_carry_its_limits_is_refused() {
        for (sql, said) in [
            ("(SELECT a FROM t ORDER BY a) LIMIT 3", "ORDER BY"),
            ("((SELECT a FROM t UNION SELECT 2 ORDER BY a)) LIMIT 3", "ORDER BY"),
            ("EXPLAIN ANALYZE (SELECT a FROM t ORDER BY a) LIMIT 3", "ORDER BY"),
            ("WITH c AS (SELECT '\\') SELECT 2 -- ') SELECT 1", "backslash"),
        ] {
            let (read, write) = (classify(sql), inspect(sql).expect_err(sql).sentence());
            assert!(matches!(read, Class::Reject(reason) if reason.sentence().contains(said)), "{sql}");
            assert!(write.contains(said), "{sql}: {write}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd(text in "(select|SELECT |table t|with c as \\(|explain analyze |trace |batch |delete |union |order by 1|limit 1|/\\*\\+ hash_agg\\(\\) \\*/|\\*/|\\(|\\)|'|\\\\|\n|\\PC){0,30}") {
            let limits = limited(&text, 500);
            let _ = planned(&text).map(|edits| edited(&text, &edits));
            if !limits.is_empty() && classify(&text) == Class::Read {
                let sent = with_plain_hints(&edited(&text, &limits), 500);
                prop_assert_eq!(classify(&sent), Class::Read, "{}", sent);
            }
        }
    }

    /// Whatever the gate takes for a read stays the same read with its limits, and is only explained where it is planned.
    #[test]
    fn every_read_of_the_gates_cases_stays_the_same_read() {
        let mut seen = [0, 0];
        for line in include_str!("../../tests/cases/sql-gate.tsv").lines().skip(1) {
            let sql = crate::sql::unescape(line.split('\t').next().unwrap_or_default());
            if classify(&sql) != Class::Read {
                continue;
            }
            for (at, edits) in [Some(limited(&sql, 500)), planned(&sql)].into_iter().enumerate() {
                let Some(edits) = edits.filter(|edits| !edits.is_empty()) else { continue };
                let text = with_plain_hints(&edited(&sql, &edits), 500);
                if text.len() <= crate::sql::STATEMENT_BYTES_MAX {
                    assert_eq!(classify(&text), Class::Read, "{text}");
                    seen[at] += 1;
                }
            }
        }
        assert!(seen.iter().all(|count| *count > 50), "limits and plans: {seen:?}");
    }
}
