//! A dry run: statements run in a transaction that is rolled back, with the rows of some before and after.

use serde_json::json;

use super::{
    plan::Plan,
    results::{Beside, Room, StatementResult},
    run::{WARNINGS, failed},
};
use crate::{
    catalogue::{Context, ToolError, code},
    sql::{self, Changed, ChangedRows},
    statements::judged::{place, query},
    tidbcloud::{
        Cell, ColumnType, DatabaseName, Query, Replay, Rows, SqlFailure, Target, Transaction, TransactionFailure,
    },
};

/// Rows of a sample.
const SAMPLE_ROWS_MAX: usize = 5;

/// Requests of the steps of a dry run. Of 45, seven look up cluster, branch and how to reach them; six make a SQL user; BEGIN comes
/// with four Durable Objects, and two hold a question; one is a ROLLBACK after a step that failed, one the ROLLBACK, and two the
/// reads before and after it that prove it; a third is of the first statement whose rows are shown.
const STEPS_MAX: usize = 45 - 7 - 6 - 5 - 2 - 1 - 1 - 2;

/// Requests of each statement: the guard's plan, itself, and its warnings.
const STEP: usize = 3;

/// Statements that fit, without the rows of any.
const STATEMENTS_MAX: usize = STEPS_MAX / STEP;

/// Why there is no sample of a statement that is not read for sure.
const UNCLEAR: &str = "Its text does not say for sure which rows of one table it changes: name one table without an alias, in INSERT \
    with a list of columns, and write keys in place of a subquery.";

/// What a dry run gave.
pub(super) struct DryRun {
    pub(super) results: Vec<StatementResult>,
    /// Whether a read has proven that it was rolled back; `None` if no row was read that it would have left changed.
    pub(super) proven: Option<bool>,
    pub(super) notice: Option<String>,
}

/// The primary key of a table.
#[derive(Clone)]
struct Key {
    columns: Vec<String>,
    /// It is one column, which numbers rows by itself.
    is_counter: bool,
}

/// A statement, the rows of it that can be shown, and the key of these, or why there are none.
struct Step<'s> {
    query: Query<'s>,
    shows: Result<(Changed, Key), String>,
}

impl Step<'_> {
    fn has_sample(&self) -> bool {
        self.shows.is_ok()
    }
}

/// Reads in the transaction before its end, of rows that may have changed since their sample: those of a statement that is neither
/// the first, whose rows need no read outside before, nor the last.
fn rereads(statements: usize) -> usize {
    usize::from(statements > 2)
}

impl Changed {
    /// How often its rows are read: after it, and where they were there already, before it.
    fn reads(&self) -> usize {
        match self.rows {
            ChangedRows::Matching { .. } => 2,
            ChangedRows::Inserted { .. } => 1,
        }
    }
}

type Row = Vec<Option<Cell>>;

/// Rows that a statement changed, those that are known whole.
struct Sample {
    /// The statement's place.
    index: usize,
    /// The query that reads them by key.
    by_key: String,
    before: Vec<Row>,
    after: Vec<Row>,
}

/// The least number of requests of a dry run: its statements, their warnings, BEGIN and ROLLBACK.
pub(super) fn requests_min(statements: usize) -> usize {
    statements.saturating_mul(2).saturating_add(2)
}

/// Requires that all statements fit.
pub(super) fn must_fit(count: usize) -> Result<(), ToolError> {
    if count <= STATEMENTS_MAX {
        return Ok(());
    }
    let message = format!(
        "A dry run of {count} statements takes more requests than one call may send: {STATEMENTS_MAX} statements fit."
    );
    Err(ToolError::new(code::INVALID_ARGUMENT, message).hint("Send fewer statements with `dryRun`."))
}

/// Runs the statements and rolls them back.
pub(super) async fn dry_run(
    context: &Context<'_>,
    target: &Target,
    database: Option<&DatabaseName>,
    statements: &[&str],
    plan: &Plan,
    room: &mut Room,
) -> Result<DryRun, ToolError> {
    let fail = |failure| failed(failure, statements.len());
    let steps = steps(context, target, database, statements, plan).await?;
    let sql = context.sql();
    let in_steps: usize =
        steps.iter().map(|step| 2 + step.shows.as_ref().map_or(0, |(changed, _)| changed.reads())).sum();
    let proof = 2 + usize::from(steps.iter().any(Step::has_sample)) * rereads(statements.len());
    let requests = u32::try_from(in_steps + 1 + proof).unwrap_or(u32::MAX);
    let mut open = sql.begin(target, plan.class, database, requests).await.map_err(fail)?;
    let (mut results, mut samples) = (Vec::new(), Vec::new());
    for (index, step) in steps.iter().enumerate() {
        let (rows, warnings, sample) = run(&mut open, index, step).await.map_err(fail)?;
        let sample = sample.map(|(sample, shown)| {
            samples.push(sample);
            shown
        });
        results.push(room.take(rows, &step.query, Beside { warnings: Some(warnings), sample: Some(sample) }));
    }
    let change = net_change(&mut open, samples, statements.len()).await.map_err(fail)?;
    let mut outside = open.roll_back().await.map_err(fail)?;
    let proven = match change {
        Some((by_key, before)) => match outside.read(query(&by_key)).await.map(|now| known(now.rows)) {
            Ok(now) if now == before => Some(true),
            Ok(_) => return Err(not_proven(None)),
            Err(failure) => return Err(not_proven(Some(failure))),
        },
        None => None,
    };
    let notice = notice(statements, &results, proven);
    Ok(DryRun { results, proven, notice })
}

/// A query for rows that the transaction would leave changed, and these rows as they are committed. It is undone as a whole, so
/// one row that is then as before proves it for all; a row that it leaves as it was would prove nothing, because it is so after a
/// COMMIT, too.
async fn net_change(
    open: &mut Transaction<'_>,
    samples: Vec<Sample>,
    statements: usize,
) -> Result<Option<(String, Vec<Row>)>, TransactionFailure> {
    let Some(sample) = samples.into_iter().rev().find(|one| one.before != one.after) else { return Ok(None) };
    let Sample { index, by_key, mut before, mut after } = sample;
    if index > 0 {
        // What earlier statements did is in the rows before it.
        before = known(open.read_outside(index, query(&by_key)).await?.rows);
    }
    if index + 1 < statements {
        // What later statements did is not in the rows after it.
        after = known(open.look(index, query(&locking(&by_key))).await?.rows);
    }
    Ok((before != after).then_some((by_key, before)))
}

/// Rows without those that have a value whose end was cut: they may differ behind it.
fn known(mut rows: Vec<Row>) -> Vec<Row> {
    rows.retain(|row| !is_cut(row));
    rows
}

fn is_cut(row: &Row) -> bool {
    row.iter().flatten().any(|cell| cell.cut)
}

/// The query as one that locks what it reads: in a transaction it reads what is committed now, or changed by itself.
fn locking(query: &str) -> String {
    format!("{query} FOR UPDATE")
}

/// The statements, and which rows of them are read: as many as there are requests left for, in their order.
async fn steps<'s>(
    context: &Context<'_>,
    target: &Target,
    database: Option<&DatabaseName>,
    statements: &[&'s str],
    plan: &Plan,
) -> Result<Vec<Step<'s>>, ToolError> {
    let mut left = STEPS_MAX.saturating_sub(STEP.saturating_mul(statements.len()));
    let mut keys: Vec<(String, Result<Key, String>)> = Vec::new();
    let mut steps = Vec::with_capacity(statements.len());
    for (index, text) in statements.iter().enumerate() {
        let shows = match sql::changed_rows(text) {
            None => Err(UNCLEAR.to_owned()),
            Some(changed) => {
                let known = keys.iter().find(|(table, _)| *table == changed.table).map(|(_, key)| key.clone());
                let looks = usize::from(known.is_none());
                // The first sample brings the proof.
                let again = if steps.iter().any(Step::has_sample) { 0 } else { rereads(statements.len()) };
                match left.checked_sub(looks + again + changed.reads()) {
                    None => Err("There is no request left for its rows: send fewer statements.".to_owned()),
                    Some(rest) => {
                        let key = match known {
                            Some(key) => key,
                            None => {
                                let text = format!("SHOW COLUMNS FROM {} WHERE `Key` = 'PRI'", changed.table);
                                let (sql, query) = (context.sql(), query(&text));
                                let columns = sql.run(target, plan.class, database, query, Replay::Safe).await;
                                let at = |error: SqlFailure| place(error.into(), index, statements.len());
                                let key = key_of(columns).map_err(at)?;
                                keys.push((changed.table.clone(), key.clone()));
                                key
                            }
                        };
                        let shows = key.and_then(|key| suited(changed, key));
                        left = if shows.is_ok() { rest } else { left.saturating_sub(looks) };
                        shows
                    }
                }
            }
        };
        steps.push(Step { query: query(text), shows });
    }
    Ok(steps)
}

/// The key that `SHOW COLUMNS` gives. What the database refuses leaves the statement without a sample.
fn key_of(columns: Result<Rows, SqlFailure>) -> Result<Result<Key, String>, SqlFailure> {
    let columns = match columns {
        Ok(columns) => columns,
        Err(SqlFailure::Sql { .. }) => return Ok(Err("The key of its table could not be read.".to_owned())),
        Err(failure) => return Err(failure),
    };
    let cell = |row: &[Option<Cell>], at: Option<usize>| {
        let cell = row.get(at?)?.as_ref()?;
        Some(cell.text.clone())
    };
    let extra = columns.types.len().checked_sub(1);
    let is_counter = |row: &Vec<Option<Cell>>| {
        cell(row, extra).is_some_and(|extra| extra.to_ascii_lowercase().contains("auto_increment"))
    };
    let key = Key {
        columns: columns.rows.iter().filter_map(|row| cell(row, Some(0))).collect(),
        is_counter: columns.rows.len() == 1 && columns.rows.iter().all(is_counter),
    };
    Ok(if key.columns.is_empty() { Err("Its table has no primary key.".to_owned()) } else { Ok(key) })
}

/// Whether rows can be found again by this key.
fn suited(changed: Changed, key: Key) -> Result<(Changed, Key), String> {
    let names = |columns: &[String]| key.columns.iter().any(|name| columns.contains(&name.to_lowercase()));
    match &changed.rows {
        ChangedRows::Matching { sets, .. } if names(sets) => {
            Err("It changes the primary key, by which rows are found again.".to_owned())
        }
        ChangedRows::Inserted { columns } if !key.is_counter || names(columns) => {
            Err("Inserted rows are found by an AUTO_INCREMENT key that the statement leaves out.".to_owned())
        }
        _ => Ok((changed, key)),
    }
}

/// What a step gave: its own answer, its warnings, and its rows, or why there are none.
type Ran = (Rows, Rows, Result<(Sample, Rows), String>);

/// Runs a statement, and reads its rows before and after it. The reads lock the rows, which the statement does anyway: what is
/// read is what it changes, and stays so until the end.
async fn run(open: &mut Transaction<'_>, index: usize, step: &Step<'_>) -> Result<Ran, TransactionFailure> {
    let (changed, key) = match &step.shows {
        Ok(shows) => shows,
        Err(reason) => {
            let rows = open.run(index, step.query).await?;
            return Ok((rows, open.look(index, WARNINGS).await?, Err(reason.clone())));
        }
    };
    let order = ordered(key);
    let mut before = Rows::default();
    if let ChangedRows::Matching { condition, .. } = &changed.rows {
        let text =
            format!("SELECT * FROM {} {condition} ORDER BY {order} LIMIT {SAMPLE_ROWS_MAX} FOR UPDATE", changed.table);
        before = open.look(index, query(&text)).await?;
    }
    let rows = open.run(index, step.query).await?;
    let warnings = open.look(index, WARNINGS).await?;
    let which = match &changed.rows {
        ChangedRows::Matching { .. } => having(key, &before),
        ChangedRows::Inserted { .. } => numbered(key, &rows),
    };
    let (by_key, expected) = match which {
        Ok(which) => which,
        Err(reason) => return Ok((rows, warnings, Err(reason))),
    };
    let by_key = format!("SELECT * FROM {} WHERE {by_key} ORDER BY {order}", changed.table);
    let after = open.look(index, query(&locking(&by_key))).await?;
    let all_kept = before.rows.len() == before.seen && after.rows.len() == after.seen;
    let found = expected.is_none_or(|expected| after.seen == expected);
    if !all_kept || !found {
        let reason = if found {
            "Its rows are too long to be shown."
        } else {
            "The inserted rows could not be found by their numbers."
        };
        return Ok((rows, warnings, Err(reason.to_owned())));
    }
    let shown = side_by_side(key, &before, &after);
    let sample = Sample { index, by_key, before: known(before.rows), after: known(after.rows) };
    Ok((rows, warnings, Ok((sample, shown))))
}

/// The columns of a key, quoted.
fn ordered(key: &Key) -> String {
    key.columns.iter().map(|name| format!("`{}`", name.replace('`', "``"))).collect::<Vec<_>>().join(", ")
}

/// A condition that selects rows, and how many there must be if that is known.
type Which = Result<(String, Option<usize>), String>;

/// The rows with the keys of these.
fn having(key: &Key, rows: &Rows) -> Which {
    if rows.rows.is_empty() {
        return Err("No row matches it.".to_owned());
    }
    let places = places(key, &rows.types).ok_or("Its key could not be read.")?;
    let listed: Option<Vec<String>> = rows
        .rows
        .iter()
        .map(|row| {
            let values: Option<Vec<String>> =
                places.iter().map(|at| literal(row.get(*at)?.as_ref()?, rows.types.get(*at)?)).collect();
            Some(format!("({})", values?.join(", ")))
        })
        .collect();
    let listed = listed.ok_or("Its key has values that cannot be written in a statement for sure.")?;
    Ok((format!("({}) IN ({})", ordered(key), listed.join(", ")), None))
}

/// The rows that an insert numbered, from the first number on.
fn numbered(key: &Key, rows: &Rows) -> Which {
    let first = rows.last_insert_id.as_ref().and_then(|id| id.parse::<u64>().ok()).filter(|id| *id > 0);
    let count = rows.rows_affected.filter(|count| *count > 0);
    let (Some(first), Some(count)) = (first, count) else {
        return Err("No row was inserted under a new number.".to_owned());
    };
    let shown = count.min(u64::try_from(SAMPLE_ROWS_MAX).unwrap_or(u64::MAX));
    let name = ordered(key);
    let last = first.saturating_add(shown - 1);
    Ok((format!("{name} BETWEEN {first} AND {last}"), usize::try_from(shown).ok()))
}

/// Where the columns of a key stand in rows.
fn places(key: &Key, types: &[ColumnType]) -> Option<Vec<usize>> {
    let place = |name: &String| types.iter().position(|column| column.name.eq_ignore_ascii_case(name));
    key.columns.iter().map(place).collect()
}

/// A value of a key as a literal that means the same in every SQL mode; `None` if there is none for sure.
fn literal(cell: &Cell, kind: &ColumnType) -> Option<String> {
    let text = cell.text.as_str();
    if cell.cut {
        return None;
    }
    match kind.kind.trim_start_matches("UNSIGNED ") {
        "TINYINT" | "SMALLINT" | "MEDIUMINT" | "INT" | "BIGINT" | "YEAR" | "DECIMAL" => {
            let is_number = text.chars().all(|one| one.is_ascii_digit() || matches!(one, '-' | '.'));
            (is_number && !text.is_empty()).then(|| text.to_owned())
        }
        "CHAR" | "VARCHAR" | "TEXT" | "ENUM" | "DATE" | "DATETIME" | "TIMESTAMP" | "TIME" => {
            (!text.contains(['\\', '\0'])).then(|| format!("'{}'", text.replace('\'', "''")))
        }
        "BINARY" | "VARBINARY" => text.chars().all(|one| one.is_ascii_hexdigit()).then(|| format!("x'{text}'")),
        _ => None,
    }
}

/// Rows before and after, each next to itself, under a first column that says which it is.
fn side_by_side(key: &Key, before: &Rows, after: &Rows) -> Rows {
    let types = if before.types.is_empty() { &after.types } else { &before.types };
    let places = places(key, types).unwrap_or_default();
    let key_of = |row: &Row| places.iter().map(|at| row.get(*at).cloned().flatten()).collect::<Vec<_>>();
    let labelled = |label: &str, row: &[Option<Cell>]| {
        let label = Cell { text: label.to_owned(), cut: false };
        std::iter::once(Some(label)).chain(row.iter().cloned()).collect::<Vec<_>>()
    };
    let mut rows = Vec::new();
    for old in &before.rows {
        match after.rows.iter().find(|new| key_of(new) == key_of(old)) {
            Some(new) if new == old && !is_cut(old) => rows.push(labelled("unchanged", old)),
            Some(new) => rows.extend([labelled("before", old), labelled("after", new)]),
            None => rows.push(labelled("deleted", old)),
        }
    }
    if before.rows.is_empty() {
        rows.extend(after.rows.iter().map(|new| labelled("inserted", new)));
    }
    let label = ColumnType { name: "dryRun".to_owned(), kind: "VARCHAR".to_owned(), nullable: false };
    Rows {
        types: std::iter::once(label).chain(types.iter().cloned()).collect(),
        seen: rows.len(),
        rows,
        complete: true,
        elapsed_millis: after.elapsed_millis,
        ..Rows::default()
    }
}

/// The error of a dry run that TiDB said was rolled back, where a read did not show it.
fn not_proven(failure: Option<SqlFailure>) -> ToolError {
    let (upstream, cause, why) = match failure.map(ToolError::from) {
        Some(error) => (error.upstream, error.cause, "the read that would prove it failed"),
        None => (None, None, "rows of its sample are not as they were: somebody else changed them, or it took effect"),
    };
    let message = format!("TiDB confirmed the ROLLBACK of the dry run, but {why}.");
    let hint = "Look with db_query whether the rows are as they should be.";
    let details = json!({"rollbackConfirmed": true, "rolledBack": "unknown"});
    ToolError {
        upstream,
        cause,
        details: Some(details.into()),
        ..ToolError::new(code::OUTCOME_UNKNOWN, message).hint(hint)
    }
}

/// What the results do not say by themselves.
fn notice(statements: &[&str], results: &[StatementResult], proven: Option<bool>) -> Option<String> {
    let mut notice = Vec::new();
    if proven.is_none() {
        notice.push(
            "TiDB confirmed the ROLLBACK; no row that it would have left changed was read, so nothing more proves it.",
        );
    }
    let numbered = |result: &StatementResult| result.last_insert_id.as_ref().is_some_and(|id| id != "0");
    if results.iter().any(numbered) || statements.iter().any(|text| sql::advances_sequence(text)) {
        notice.push("Numbers that AUTO_INCREMENT or a sequence gave are used up: a rollback does not take them back.");
    }
    (!notice.is_empty()).then(|| notice.join(" "))
}
