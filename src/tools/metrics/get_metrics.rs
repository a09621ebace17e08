//! `tidbcloud_get_metrics`: what a cluster says of itself, and where the rest is.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::elsewhere;
use crate::{
    catalogue::{AnyCluster, BranchReference, ClusterReference, Context, Effect, SQL_TIME_MAX, Tool, ToolError, said},
    picture::{Figure, Picture, Series, Shape},
    statements::{judged::query, types::SchemaName},
    tidbcloud::{AccessClass, Cell, Replay, Rows, SqlFailure, Target, Timestamp},
};

/// Figures of a cluster now: storage by table, rows, sessions, running statements. CPU, memory, queries per second, latency,
/// request units and history have no API: the answer says where to see them.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct GetMetrics {
    cluster: ClusterReference,
    branch: Option<BranchReference>,
    /// Storage of this one only
    database: Option<SchemaName>,
}

/// Tables by name in an answer: a picture shows 13 of them, and a list of 20 is read.
const TABLES_MAX: usize = 20;
/// Tables by name in a picture, beside all others.
const BARS_MAX: usize = 13;
/// Where sizes are from. <https://docs.pingcap.com/tidb/stable/information-schema-tables/>
const OF_TABLES: &str = "information_schema.TABLES";
/// Where sessions are from. <https://docs.pingcap.com/tidb/stable/information-schema-processlist/>
const OF_SESSIONS: &str = "information_schema.CLUSTER_PROCESSLIST";
/// Sizes and rows are 0 until a table has statistics. <https://docs.pingcap.com/tidb/stable/information-schema-tables/>
const NOT_ANALYZED: &str = "No table has statistics yet, which ANALYZE TABLE makes, or all are empty.";
const NO_API: &str = "No API has CPU, memory, queries per second, latency, request units or figures of the past.";

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Metrics {
    cluster_id: String,
    display_name: String,
    plan: &'static str,
    read_at: String,
    /// Without `value` where it could not be read: `missing` says why.
    #[schemars(with = "Vec<Map<String, Value>>")]
    figures: Vec<FigureView>,
    /// The largest.
    #[schemars(with = "Vec<Map<String, Value>>")]
    tables: Vec<TableView>,
    notice: String,
}

#[derive(Serialize)]
struct FigureView {
    name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<u64>,
    unit: &'static str,
    from: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TableView {
    table: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    index_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<u64>,
}

/// What all tables together have, and their names with their units.
const STORAGE: [(&str, &str); 4] = [("tables", "tables"), ("data", "bytes"), ("indexes", "bytes"), ("rows", "rows")];
/// What is known of sessions.
const SESSIONS: [(&str, &str); 3] =
    [("sessions", "sessions"), ("runningStatements", "statements"), ("longestStatement", "seconds")];

impl Tool for GetMetrics {
    const NAME: &'static str = "tidbcloud_get_metrics";
    const TITLE: &'static str = "Get metrics";
    const EFFECT: Effect = Effect::Read;
    const TIME_MAX: Duration = SQL_TIME_MAX;
    type Output = Metrics;

    /// The cluster, and two statements.
    fn requests_min(_: &Map<String, Value>) -> u32 {
        3
    }

    async fn call(self, context: &Context<'_>) -> Result<Metrics, ToolError> {
        let cluster = context.any_cluster(&self.cluster).await?;
        let plan = cluster.plan();
        let (id, name) = match cluster {
            AnyCluster::Serverless(cluster) => (cluster.cluster_id, cluster.display_name),
            AnyCluster::Dedicated(cluster) => {
                return Ok(Metrics {
                    cluster_id: cluster.cluster_id.to_string(),
                    display_name: cluster.display_name,
                    plan,
                    read_at: now(context),
                    figures: Vec::new(),
                    tables: Vec::new(),
                    notice: format!("{NO_API} Dedicated has no SQL over HTTP either. {}", elsewhere(plan)),
                });
            }
        };
        let target = context.target(&ClusterReference::Id(id.clone()), self.branch.as_ref()).await?;
        let (totals, tables) = match ask(context, &target, &storage_of(self.database.as_ref())).await {
            Ok(rows) => storage(&rows),
            Err(SqlFailure::Sql { message, .. }) => (Err(refused(&message)), Vec::new()),
            // Whoever cannot log in cannot read the other figures.
            Err(failure) => return Err(failure.into()),
        };
        let sessions = match ask(context, &target, &sessions_of_others()).await {
            Ok(rows) => sessions(&rows),
            Err(SqlFailure::Sql { message, .. }) => Err(refused(&message)),
            Err(failure) => Err(ToolError::from(failure).message),
        };
        let mut figures = Vec::new();
        add(&mut figures, &STORAGE, (OF_TABLES, NOT_ANALYZED), totals);
        add(&mut figures, &SESSIONS, (OF_SESSIONS, "The database does not know it."), sessions);
        Ok(Metrics {
            cluster_id: id.to_string(),
            display_name: name,
            plan,
            read_at: now(context),
            figures,
            tables,
            notice: format!(
                "Bytes and rows are estimates by statistics, and leave out tables without any. {NO_API} {}",
                elsewhere(plan)
            ),
        })
    }

    fn picture(output: &Metrics) -> Option<String> {
        let total = |name: &str| output.figures.iter().find(|figure| figure.name == name)?.value;
        let shown = output.tables.get(..output.tables.len().min(BARS_MAX))?;
        let largest = shown.iter().map(|table| table.data_bytes.unwrap_or_default()).max()?;
        let (unit, size) = unit_for(largest);
        let mut places: Vec<String> = shown.iter().map(|table| table.table.clone()).collect();
        let others = total("tables")?.saturating_sub(u64::try_from(shown.len()).ok()?);
        let series = |name: &str, of: fn(&TableView) -> Option<u64>, all: Option<u64>| {
            let mut values: Vec<_> =
                shown.iter().map(|table| of(table).and_then(|bytes| in_unit(bytes, size))).collect();
            if others > 0 {
                let known = shown.iter().filter_map(of).fold(0, u64::saturating_add);
                values.push(all.and_then(|all| in_unit(all.saturating_sub(known), size)));
            }
            Series { name: name.to_owned(), values }
        };
        let series = vec![
            series("data", |table| table.data_bytes, total("data")),
            series("indexes", |table| table.index_bytes, total("indexes")),
        ];
        if others > 0 {
            places.push(format!("{others} others"));
        }
        let title = format!("Storage of {} by table", said(&output.display_name, &output.cluster_id));
        Picture { title, unit: unit.to_owned(), shape: Shape::Bars, places, series }.draw()
    }
}

fn now(context: &Context<'_>) -> String {
    Timestamp::at(context.now()).as_str().to_owned()
}

async fn ask(context: &Context<'_>, target: &Target, sql: &str) -> Result<Rows, SqlFailure> {
    context.sql().run(target, AccessClass::ReadOnly, None, query(sql), Replay::Safe).await
}

fn refused(message: &str) -> String {
    format!("The database refused to say: {message}")
}

/// The largest tables, and beside each what all of them have together.
fn storage_of(database: Option<&SchemaName>) -> String {
    let of = database.map_or_else(
        || "LOWER(TABLE_SCHEMA) NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema', 'metrics_schema', 'lightning_task_info')".to_owned(),
        |database| format!("TABLE_SCHEMA = {}", crate::sql::literal(database.as_str())),
    );
    format!(
        "SELECT CONCAT(TABLE_SCHEMA, '.', TABLE_NAME), DATA_LENGTH, INDEX_LENGTH, TABLE_ROWS, COUNT(*) OVER (), \
         SUM(DATA_LENGTH) OVER (), SUM(INDEX_LENGTH) OVER (), SUM(TABLE_ROWS) OVER () FROM information_schema.TABLES \
         WHERE TABLE_TYPE = 'BASE TABLE' AND {of} ORDER BY DATA_LENGTH + INDEX_LENGTH DESC, TABLE_SCHEMA, TABLE_NAME LIMIT {TABLES_MAX}"
    )
}

/// Sessions beside the one that asks, and how many of them are of other users.
fn sessions_of_others() -> String {
    format!(
        "SELECT COUNT(*), COALESCE(SUM(COMMAND <> 'Sleep'), 0), COALESCE(MAX(IF(COMMAND = 'Sleep', 0, TIME)), 0), \
         COALESCE(SUM(USER <> SUBSTRING_INDEX(CURRENT_USER(), '@', 1)), 0) FROM {OF_SESSIONS} WHERE ID <> CONNECTION_ID()"
    )
}

fn number(cell: Option<&Option<Cell>>) -> Option<u64> {
    // Sums may be decimals.
    cell?.as_ref()?.text.split('.').next()?.parse().ok()
}

/// What all tables have, and the largest of them. Where all that is known of a table is 0, it is not known.
fn storage(rows: &Rows) -> (Result<Vec<Option<u64>>, String>, Vec<TableView>) {
    let known = |row: &[Option<Cell>], at: usize| {
        let figures = [at, at + 1, at + 2].map(|at| number(row.get(at)));
        if figures.iter().flatten().all(|figure| *figure == 0) { [None; 3] } else { figures }
    };
    let view = |row: &Vec<Option<Cell>>| {
        let [data_bytes, index_bytes, rows] = known(row, 1);
        let table = row.first().and_then(Option::as_ref).map(|cell| cell.text.clone()).unwrap_or_default();
        TableView { table, data_bytes, index_bytes, rows }
    };
    // No row is no table.
    let totals = rows
        .rows
        .first()
        .map_or(vec![Some(0); 4], |row| [number(row.get(4))].into_iter().chain(known(row, 5)).collect());
    (Ok(totals), rows.rows.iter().map(view).collect())
}

/// Sessions, unless only those of the asking user can be seen: a user without the right PROCESS has no others.
/// <https://docs.pingcap.com/tidb/stable/information-schema-processlist/>
fn sessions(rows: &Rows) -> Result<Vec<Option<u64>>, String> {
    let row = rows.rows.first().map(Vec::as_slice).unwrap_or_default();
    if number(row.get(3)).unwrap_or_default() == 0 {
        return Err(
            "This SQL user sees its own sessions only, for it lacks the right PROCESS, or nobody else is connected."
                .to_owned(),
        );
    }
    Ok((0..3).map(|at| number(row.get(at))).collect())
}

/// The figures of a source, or why they are missing.
fn add(
    figures: &mut Vec<FigureView>,
    names: &[(&'static str, &'static str)],
    (from, unknown): (&'static str, &str),
    values: Result<Vec<Option<u64>>, String>,
) {
    for (at, (name, unit)) in names.iter().enumerate() {
        let (value, missing) = match &values {
            Ok(values) => match values.get(at).copied().flatten() {
                Some(value) => (Some(value), None),
                None => (None, Some(unknown.to_owned())),
            },
            Err(why) => (None, Some(why.clone())),
        };
        figures.push(FigureView { name, value, unit, from, missing });
    }
}

/// The unit in which the largest of some sizes has at most four digits before its point.
fn unit_for(largest: u64) -> (&'static str, u64) {
    [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)]
        .into_iter()
        .map(|(unit, bits)| (unit, 1_u64 << bits))
        .find(|(_, size)| largest >= *size)
        .unwrap_or(("bytes", 1))
}

/// Bytes in a unit, with the two decimals that are left of them.
fn in_unit(bytes: u64, size: u64) -> Option<Figure> {
    let hundredths = u128::from(bytes) * 100 / u128::from(size);
    Figure::parse(&format!("{}.{:02}", hundredths / 100, hundredths % 100))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(tables: Vec<TableView>, totals: [u64; 4]) -> Metrics {
        let mut figures = Vec::new();
        add(&mut figures, &STORAGE, (OF_TABLES, NOT_ANALYZED), Ok(totals.map(Some).to_vec()));
        Metrics {
            cluster_id: "7".into(),
            display_name: "shop".into(),
            plan: "Starter",
            read_at: String::new(),
            figures,
            tables,
            notice: String::new(),
        }
    }

    #[test]
    fn a_picture_sums_what_is_not_listed() {
        let table = |at: u64| TableView {
            table: format!("shop.t{at}"),
            data_bytes: Some((30 - at) << 20),
            index_bytes: None,
            rows: None,
        };
        let all: u64 = (0..30).map(|at| (30 - at) << 20).sum();
        let svg = GetMetrics::picture(&metrics((0..20).map(table).collect(), [30, all, 5 << 20, 0])).unwrap();
        let others: u64 = (13..30).map(|at| 30 - at).sum();
        assert!(svg.contains("Storage of shop by table") && svg.contains(">MiB<"), "{svg}");
        assert!(svg.contains(">17 others<") && svg.contains(&format!(">{}<", others + 5)), "{svg}");
        assert!(!svg.contains("shop.t13"), "{svg}");
    }

    #[test]
    fn nothing_is_drawn_without_tables() {
        assert_eq!(GetMetrics::picture(&metrics(Vec::new(), [0; 4])), None);
    }

    #[test]
    fn tables_without_statistics_are_gaps() {
        let row = |texts: [&str; 8]| texts.map(|text| Some(Cell { text: text.to_owned(), cut: false })).to_vec();
        let of = |rows: Vec<_>| {
            let (totals, tables) = storage(&Rows { rows, ..Rows::default() });
            (totals.unwrap(), tables.iter().map(|table| table.rows).collect::<Vec<_>>())
        };
        let none = row(["shop.a", "0", "0", "0", "2", "0", "0", "0"]);
        assert_eq!(of(vec![none.clone(), none]), (vec![Some(2), None, None, None], vec![None, None]));
        let some =
            [row(["shop.a", "8", "0", "1", "2", "8", "0", "1"]), row(["shop.b", "0", "0", "0", "2", "8", "0", "1"])];
        assert_eq!(of(some.to_vec()), (vec![Some(2), Some(8), Some(0), Some(1)], vec![Some(1), None]));
        assert_eq!(of(Vec::new()), (vec![Some(0); 4], Vec::new()));
    }

    #[test]
    fn units_have_few_digits() {
        for (bytes, unit, text) in [
            (0, "bytes", "0.00"),
            (1_023, "bytes", "1023.00"),
            (1 << 20, "MiB", "1.00"),
            (u64::MAX, "TiB", "16777215.99"),
        ] {
            let (name, size) = unit_for(bytes);
            assert_eq!((name, in_unit(bytes, size)), (unit, Figure::parse(text)), "{bytes}");
        }
    }
}
