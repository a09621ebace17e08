//! Why tables are read whole, and indexes that are tried without making them.

use serde::Serialize;

use super::{read, tree, whole};
use crate::{
    catalogue::{Context, ToolError, text_size},
    plan::{
        Plan,
        advise::FullScan,
        conditions::{Column, Condition},
    },
    sql::{self, literal, shortest_name},
    statements::{
        definition::{Index, Outline, outline},
        judged::query,
    },
    tidbcloud::{AccessClass, DatabaseName, Replay, Rows, SqlFailure, Target},
};

/// Tables whose definitions are read: a request each.
const TABLES_MAX: usize = 2;
/// Indexes that are tried: a request each.
const TRIED_MAX: usize = 3;
/// 40 lines of the plan with an index.
const PLAN_BYTES_MAX: usize = 2_000;
/// Types whose values an index holds only the beginning of, or not at all.
const UNINDEXED: [&str; 10] =
    ["text", "tinytext", "mediumtext", "longtext", "blob", "tinyblob", "mediumblob", "longblob", "json", "vector"];

/// An index that was tried with `HYPO_INDEX`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct IndexView {
    /// The statement that would make it.
    create: String,
    /// Whether the optimizer would use it, and expects to read fewer rows.
    proven: bool,
    estimated_rows_read: u64,
    /// The plan with it, if that is better.
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<String>,
}

impl IndexView {
    /// Bytes as JSON.
    pub(super) fn size(&self) -> usize {
        text_size(&self.create) + self.plan.as_deref().map_or(0, text_size) + 90
    }
}

#[derive(Default)]
pub(super) struct Advice {
    pub(super) findings: Vec<String>,
    pub(super) indexes: Vec<IndexView>,
    pub(super) notice: Option<String>,
}

/// What advice is made with.
pub(super) struct Adviser<'a> {
    pub(super) context: &'a Context<'a>,
    pub(super) target: &'a Target,
    pub(super) database: Option<&'a DatabaseName>,
    pub(super) sql: &'a str,
}

impl Adviser<'_> {
    /// Findings about each scan, and candidates as they were tried, if they are to be tried.
    pub(super) async fn advise(&self, plan: &Plan, scans: &[FullScan], tries: bool) -> Result<Advice, ToolError> {
        let mut advice = Advice::default();
        let mut tables: Vec<(&str, Option<Outline>)> = Vec::new();
        for scan in scans {
            let known = scan.table.as_deref().filter(|table| !tables.iter().any(|(known, _)| known == table));
            if let Some(table) = known
                && tables.len() < TABLES_MAX
            {
                tables.push((table, self.outline(table).await?));
            }
        }
        let outline_of = |scan: &FullScan| {
            tables
                .iter()
                .find(|(table, _)| Some(*table) == scan.table.as_deref())
                .and_then(|(_, outline)| outline.as_ref())
        };
        for scan in scans {
            advice.findings.extend(reason(scan, outline_of(scan)));
        }
        if let Some((table, _)) = tables.first() {
            advice.findings.extend(self.stale(table, scans).await?);
        }
        if tries {
            for scan in scans {
                if let Some(outline) = outline_of(scan) {
                    self.try_candidates(plan, scan, outline, &mut advice).await?;
                }
            }
        }
        Ok(advice)
    }

    async fn rows(&self, sql: &str) -> Result<Rows, SqlFailure> {
        let sql = query(sql);
        self.context.sql().run(self.target, AccessClass::ReadOnly, self.database, sql, Replay::Safe).await
    }

    /// The columns and indexes of a table; `None` if this user may not see them.
    async fn outline(&self, table: &str) -> Result<Option<Outline>, ToolError> {
        match self.rows(&format!("SHOW CREATE TABLE {}", qualified(table))).await {
            Ok(rows) => {
                let cell = rows.rows.into_iter().next().and_then(|row| row.into_iter().nth(1).flatten());
                Ok(cell.and_then(|cell| outline(&cell.text)))
            }
            Err(SqlFailure::Sql { .. }) => Ok(None),
            Err(failure) => Err(failure.into()),
        }
    }

    /// Tables of these scans whose statistics are missing or old. A user needs the right to read `mysql.stats_meta`.
    async fn stale(&self, table: &str, scans: &[FullScan]) -> Result<Vec<String>, ToolError> {
        let database = table.split('.').next().unwrap_or_default();
        let rows = match self.rows(&format!("SHOW STATS_META WHERE Db_name = {}", literal(database))).await {
            Ok(rows) => rows.rows,
            Err(SqlFailure::Sql { .. }) => return Ok(Vec::new()),
            Err(failure) => return Err(failure.into()),
        };
        let mut found = Vec::new();
        for row in rows {
            let cells: Vec<&str> = row.iter().map(|cell| cell.as_ref().map_or("", |cell| &*cell.text)).collect();
            // Database, table, partition, time of update, rows changed, rows, time of analysis.
            let [_, name, "" | "global", _, changed, count, analyzed] = cells.as_slice() else { continue };
            let qualified = format!("{database}.{name}");
            if !scans.iter().any(|scan| scan.table.as_ref() == Some(&qualified)) {
                continue;
            }
            let (changed, count): (u64, u64) = (changed.parse().unwrap_or(0), count.parse().unwrap_or(0));
            if analyzed.is_empty() {
                found.push(format!(
                    "{qualified} was never analyzed, so estimates are guesses: run ANALYZE TABLE {qualified}."
                ));
            } else if changed > count / 2 {
                // TiDB analyzes by itself where half of the rows have changed (`tidb_auto_analyze_ratio`).
                found.push(format!(
                    "{changed} rows of {qualified} changed since it was analyzed, and it has {count}: run ANALYZE TABLE {qualified}."
                ));
            }
        }
        Ok(found)
    }

    /// Tries what could spare a scan, up to the first that does.
    async fn try_candidates(
        &self,
        plan: &Plan,
        scan: &FullScan,
        outline: &Outline,
        advice: &mut Advice,
    ) -> Result<(), ToolError> {
        let Some(table) = scan.table.as_deref() else { return Ok(()) };
        let before = plan.rows_read().0;
        for columns in scan.candidates() {
            if advice.indexes.len() >= TRIED_MAX || !is_worth_trying(&columns, outline) {
                continue;
            }
            let (name, list) =
                (name(&columns), columns.iter().map(|column| shortest_name(column)).collect::<Vec<_>>().join(", "));
            let create = format!("CREATE INDEX {name} ON {} ({list})", qualified(table));
            if advice.indexes.iter().any(|tried| tried.create == create) {
                continue;
            }
            let hint = format!("HYPO_INDEX({}, {name}, {list})", qualified(table));
            let Some(hinted) = sql::planned_with(self.sql, &hint) else { return Ok(()) };
            let after = match self.rows(&format!("EXPLAIN FORMAT = 'brief' {hinted}")).await {
                Ok(rows) => read(&rows)?,
                Err(SqlFailure::Sql { message, .. }) => {
                    advice.notice = Some(format!("No index was tried: {message}"));
                    return Ok(());
                }
                Err(failure) => return Err(failure.into()),
            };
            let rows = after.rows_read().0;
            let proven = after.uses(&name) && rows < before;
            let shown = proven.then(|| tree::text(&after, PLAN_BYTES_MAX).0);
            advice.indexes.push(IndexView { create, proven, estimated_rows_read: whole(rows), plan: shown });
            if proven {
                break;
            }
        }
        Ok(())
    }
}

/// A qualified name of a plan as a statement writes it.
fn qualified(table: &str) -> String {
    table.split('.').map(|part| shortest_name(part).into_owned()).collect::<Vec<_>>().join(".")
}

/// A name for an index, of 64 characters at most (TiDB, "Schema Object Names").
fn name(columns: &[String]) -> String {
    let plain = |letter: &char| letter.is_ascii_alphanumeric() || *letter == '_';
    format!("idx_{}", columns.join("_")).chars().filter(plain).take(64).collect()
}

/// Whether an index on these columns is possible, and not there already.
fn is_worth_trying(columns: &[String], outline: &Outline) -> bool {
    let indexable = columns.iter().all(|column| {
        let kind = outline.columns.iter().find(|(name, _)| name.eq_ignore_ascii_case(column)).map(|(_, kind)| kind);
        kind.is_some_and(|kind| !UNINDEXED.contains(&kind.to_ascii_lowercase().as_str()))
    });
    indexable && !outline.indexes.iter().any(|index| begins(index, columns))
}

fn begins(index: &Index, columns: &[String]) -> bool {
    index.columns.len() >= columns.len()
        && index.columns.iter().zip(columns).all(|(own, wanted)| own.eq_ignore_ascii_case(wanted))
}

/// Why everything is read.
fn reason(scan: &FullScan, outline: Option<&Outline>) -> Vec<String> {
    let what = match &scan.index {
        Some(index) => format!("The index {index} of {}", scan.called),
        None => scan.called.clone(),
    };
    let rows = scan.actual_rows.unwrap_or_else(|| whole(scan.estimated_rows));
    let head = if scan.limited {
        format!("{what} is read until enough rows are found ({rows} rows): ")
    } else {
        format!("{what} is read from end to end ({rows} rows): ")
    };
    // Conditions that an index seldom answers are a reason only if there is no other.
    let (weak, strong): (Vec<&Condition>, Vec<_>) =
        scan.conditions.iter().partition(|one| matches!(one, Condition::Other(_) | Condition::NotNull(_)));
    let of = |conditions: Vec<&Condition>| -> Vec<String> {
        conditions.into_iter().filter_map(|condition| of_condition(condition, outline)).collect()
    };
    let mut found = of(strong);
    if found.is_empty() && !scan.joined.is_empty() {
        found.push(of_columns(&scan.joined, outline));
    } else if found.is_empty() {
        found = of(weak);
    }
    if found.is_empty() {
        found.push(match scan.ordered.as_slice() {
            _ if scan.filtered => "no index is used for its condition".to_owned(),
            [] => "it has no condition of its own".to_owned(),
            ordered => format!("it has no condition, and is sorted or grouped by {}", ordered.join(", ")),
        });
    }
    let mut sentences: Vec<String> = found.into_iter().map(|reason| format!("{head}{reason}.")).collect();
    if let Some(statistics) = &scan.statistics {
        let state = if statistics.contains("pseudo") { "missing or outdated" } else { "not loaded" };
        sentences
            .push(format!("Statistics of {} are {state} ({statistics}), so estimates may be far off.", scan.called));
    }
    sentences
}

fn of_condition(condition: &Condition, outline: Option<&Outline>) -> Option<String> {
    Some(match condition {
        Condition::Equal(column) | Condition::Range(column) | Condition::NotNull(column) => {
            of_columns(std::slice::from_ref(&column.name), outline)
        }
        Condition::Within(column, function) => format!(
            "{function}() around {} hides it from indexes; compare the column itself, for example with a range",
            column.name
        ),
        Condition::Converted(column) => {
            let kind = outline.and_then(|outline| outline.columns.iter().find(|(name, _)| *name == column.name));
            let kind = kind.map_or_else(String::new, |(_, kind)| format!(", which is {kind}"));
            format!("each {}{kind}, is converted to compare it; write the value in the column's type", column.name)
        }
        Condition::Wildcard(column) => {
            format!("LIKE on {} begins with a wildcard, which no index of its order can find", column.name)
        }
        Condition::Subquery(column) => format!(
            "{} is compared with a subquery, which does not run for a plan; an index on {} may be used when it runs",
            column.name, column.name
        ),
        Condition::Either(columns) => format!("it is OR over {}; each side needs an index", names(columns)),
        Condition::Other(columns) if columns.is_empty() => return None,
        Condition::Other(columns) => format!("the condition on {} is no equality and no range", names(columns)),
    })
}

fn names(columns: &[Column]) -> String {
    columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// What the indexes say of conditions that an index can answer.
fn of_columns(columns: &[String], outline: Option<&Outline>) -> String {
    let listed = columns.join(", ");
    let Some(outline) = outline else { return format!("no index on {listed} is used") };
    let first = columns.get(..1).unwrap_or_default();
    let suited: Vec<&Index> = outline.indexes.iter().filter(|index| begins(index, first)).collect();
    if let Some(index) = suited.iter().find(|index| index.visible) {
        return format!(
            "the index {} begins with {listed}, but the optimizer expects that reading everything is cheaper",
            index.name
        );
    }
    match suited.first() {
        Some(index) => format!("the index {} on {listed} is invisible", index.name),
        None => format!("no index begins with {listed}"),
    }
}
