//! Why tables are read whole, and indexes that are tried without making them.

use serde::Serialize;

use super::{read, tree, whole};
use crate::{
    catalogue::{Context, ToolError, text_size},
    plan::{
        Plan,
        advise::FullScan,
        conditions::{self, Condition},
    },
    sql::{self, literal, shortest_name},
    statements::{
        definition::{Column, Index, Outline, outline},
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
/// A longer key is refused: "Specified key was too long (3076 bytes); max key length is 3072 bytes" (TiDB 8.5).
const KEY_BYTES_MAX: u64 = 3_072;
/// Types whose values an index holds only the beginning of, or not at all.
const UNINDEXED: [&str; 10] =
    ["text", "tinytext", "mediumtext", "longtext", "blob", "tinyblob", "mediumblob", "longblob", "json", "vector"];

/// An index that was tried with `HYPO_INDEX`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct IndexView {
    /// The statement that would make it.
    create: String,
    /// Whether the optimizer would use it, and expects to read fewer rows by statistics of the table.
    proven: bool,
    estimated_rows_read: u64,
    /// The plan with it, if that is better.
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    notice: Option<String>,
}

impl IndexView {
    /// Bytes as JSON.
    pub(super) fn size(&self) -> usize {
        let texts = [&self.plan, &self.notice].into_iter().flatten();
        text_size(&self.create) + texts.map(|text| text_size(text)).sum::<usize>() + 105
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
            let sentences = reason(scan, outline_of(scan));
            advice.findings.extend(sentences);
        }
        advice.findings.extend(self.stale(scans).await?);
        let mut said = Vec::new();
        advice.findings.retain(|finding| {
            let is_new = !said.contains(finding);
            said.push(finding.clone());
            is_new
        });
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
    async fn stale(&self, scans: &[FullScan]) -> Result<Vec<String>, ToolError> {
        let tables: Vec<&str> = scans.iter().filter_map(|scan| scan.table.as_deref()).collect();
        // A plan may write a name in other letters than the statistics do.
        let mut databases: Vec<String> =
            tables.iter().filter_map(|table| table.split('.').next()).map(str::to_lowercase).collect();
        databases.sort_unstable();
        databases.dedup();
        if databases.is_empty() {
            return Ok(Vec::new());
        }
        let listed = databases.iter().map(|name| literal(name)).collect::<Vec<_>>().join(", ");
        let rows = match self.rows(&format!("SHOW STATS_META WHERE LOWER(Db_name) IN ({listed})")).await {
            Ok(rows) => rows.rows,
            Err(SqlFailure::Sql { .. }) => return Ok(Vec::new()),
            Err(failure) => return Err(failure.into()),
        };
        let mut found = Vec::new();
        for row in rows {
            let cells: Vec<&str> = row.iter().map(|cell| cell.as_ref().map_or("", |cell| &*cell.text)).collect();
            // Database, table, partition, time of update, rows changed, rows, time of analysis.
            let [database, name, "" | "global", _, changed, count, analyzed] = cells.as_slice() else { continue };
            let written = format!("{database}.{name}").to_lowercase();
            let Some(table) = tables.iter().find(|table| table.to_lowercase() == written) else { continue };
            let qualified = qualified(table);
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
            let taken = outline.indexes.iter().map(|index| index.name.as_str());
            let (name, list) = (
                name(&columns, &taken.collect::<Vec<_>>()),
                columns.iter().map(|column| shortest_name(column)).collect::<Vec<_>>().join(", "),
            );
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
            let helps = after.uses(&name) && rows < before;
            let is_guess = [plan, &after].iter().any(|plan| guesses(plan, &scan.called));
            let notice = (helps && is_guess).then(|| {
                let table = qualified(table);
                format!("Both estimates are guesses: {table} has no usable statistics. Run ANALYZE TABLE {table}, then explain again.")
            });
            let shown = helps.then(|| tree::text(&after, PLAN_BYTES_MAX).0);
            let (proven, estimated_rows_read) = (helps && !is_guess, whole(rows));
            advice.indexes.push(IndexView { create, proven, estimated_rows_read, plan: shown, notice });
            if helps {
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

/// A name for an index that no other has, of 64 characters at most (TiDB, "Schema Object Names").
fn name(columns: &[String], taken: &[&str]) -> String {
    const LENGTH_MAX: usize = 64;
    let plain = |letter: &char| letter.is_ascii_alphanumeric() || *letter == '_';
    let base: String = format!("idx_{}", columns.join("_")).chars().filter(plain).collect();
    let suffixes = std::iter::once(String::new()).chain((2..).map(|number| format!("_{number}")));
    let mut names = suffixes.map(|suffix| {
        let begin: String = base.chars().take(LENGTH_MAX - suffix.len()).collect();
        begin + &suffix
    });
    names.find(|name| !taken.iter().any(|other| other.eq_ignore_ascii_case(name))).unwrap_or(base)
}

/// Whether the rows of a table in a plan are estimated without statistics.
fn guesses(plan: &Plan, called: &str) -> bool {
    plan.operators.iter().any(|operator| operator.table() == Some(called) && operator.info.contains("stats:pseudo"))
}

/// Whether an index on these columns is possible, and not there already.
fn is_worth_trying(columns: &[String], outline: &Outline) -> bool {
    let bytes: Option<u64> = columns.iter().map(|column| key_bytes(outline.column(column)?)).sum();
    bytes.is_some_and(|bytes| bytes <= KEY_BYTES_MAX) && !outline.indexes.iter().any(|index| begins(index, columns))
}

/// The longest that a value is in an index; `None` if an index holds only the beginning of it, or nothing.
fn key_bytes(column: &Column) -> Option<u64> {
    /// Of utf8mb4.
    const CHARACTER: u64 = 4;
    let kind = column.kind.to_ascii_lowercase();
    match (kind.as_str(), column.length) {
        (kind, _) if UNINDEXED.contains(&kind) => None,
        ("char" | "varchar", Some(length)) => Some(length.saturating_mul(CHARACTER)),
        ("binary" | "varbinary", Some(length)) => Some(length),
        // Numbers, times and what is kept as a number.
        _ => Some(8),
    }
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
            let kind = outline.and_then(|outline| outline.column(&column.name));
            let kind = kind.map_or_else(String::new, |column| format!(", which is {}", column.kind));
            format!("each {}{kind}, is converted to compare it; write the value in the column's type", column.name)
        }
        Condition::Wildcard(column) => {
            format!("LIKE on {} begins with a wildcard, which no index of its order can find", column.name)
        }
        Condition::Subquery(column) => format!(
            "{} is compared with a subquery, which does not run for a plan; an index on {} may be used when it runs",
            column.name, column.name
        ),
        Condition::Either(columns) if columns.len() == 1 => of_columns(&[names(columns)], outline),
        Condition::Either(columns) => format!("it is OR over {}; each side needs an index", names(columns)),
        Condition::Other(columns) if columns.is_empty() => return None,
        Condition::Other(columns) => format!("the condition on {} is no equality and no range", names(columns)),
    })
}

fn names(columns: &[conditions::Column]) -> String {
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

#[cfg(test)]
mod tests {
    use super::{guesses, is_worth_trying, name, reason};
    use crate::{
        plan::{Plan, advise::full_scans},
        statements::definition::{Outline, outline},
    };

    fn recorded(name: &str) -> Plan {
        crate::plan::recorded(name).expect(name)
    }

    fn columns(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn table(items: &str) -> Outline {
        outline(&format!("CREATE TABLE `t` (\n{items}\n)")).expect("columns")
    }

    #[test]
    fn an_index_gets_a_name_that_is_free() {
        let a = columns(&["a"]);
        assert_eq!(name(&a, &[]), "idx_a");
        assert_eq!(name(&a, &["IDX_A", "idx_a_2"]), "idx_a_3", "names are compared without regard to case");
        let long = columns(&["n".repeat(70).as_str()]);
        let first = name(&long, &[]);
        let second = name(&long, &[&first]);
        assert_eq!((first.len(), second.len()), (64, 64));
        assert!(second.ends_with("n_2"), "{second}");
    }

    #[test]
    fn a_key_that_tidb_refuses_is_not_tried() {
        let table = table(
            "  `a` varchar(768),\n  `b` varchar(769),\n  `c` int,\n  `d` text,\n  `e` varbinary(3072),\n  `f` decimal(65,2),\n  \
             PRIMARY KEY (`c`)",
        );
        for (names, tried) in [
            (&["a"][..], true),
            (&["b"], false),
            (&["a", "f"], false),
            (&["d"], false),
            (&["e"], true),
            (&["f", "c"], true),
            (&["c"], false),
            (&["nowhere"], false),
        ] {
            assert_eq!(is_worth_trying(&columns(names), &table), tried, "an index on {names:?}");
        }
    }

    #[test]
    fn an_estimate_without_statistics_is_a_guess() {
        assert!(guesses(&recorded("plan.nullable_join"), "c") && !guesses(&recorded("plan.nullable_join"), "orders"));
        assert!(!guesses(&recorded("insight.slow"), "orders"), "it was analyzed");
    }

    #[test]
    fn the_reason_is_what_an_index_would_change() {
        let plain = table("  `id` int,\n  `pid` int,\n  `v` int,\n  PRIMARY KEY (`id`)");
        let reasons = |name: &str| -> Vec<String> {
            let plan = recorded(name);
            full_scans(&plan).iter().flat_map(|scan| reason(scan, Some(&plain))).collect()
        };
        for (name, has, has_not) in [
            ("plan.nullable_join", "c is read from end to end (10000 rows): no index begins with pid.", "pid is no"),
            ("plan.unequal", "no index begins with pid.", "on v"),
            ("plan.either", "no index begins with v.", "each side"),
            ("plan.not_null", "no index begins with pid.", "no equality"),
        ] {
            let found = reasons(name).join(" ");
            assert!(found.contains(has) && !found.contains(has_not), "of the plan {name}: {found}");
        }
    }
}
