//! TiDB's plan of a statement: what `EXPLAIN FORMAT = 'brief'` and `EXPLAIN ANALYZE FORMAT = 'brief'` answer, read.
//!
//! <https://docs.pingcap.com/tidb/stable/explain-overview>

pub mod advise;
pub mod conditions;
mod weigh;

pub use weigh::{Counts, Pseudo, Weight, weigh};

/// A plan: operators from the root down, each followed by those below it. Common table expressions and scalar subqueries
/// follow as further roots.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// In the order in which TiDB prints them.
    pub operators: Vec<Operator>,
}

/// One step of a plan.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Operator {
    /// What it is, such as `TableFullScan`, without number and role.
    pub name: String,
    /// Its part in the operator above: `Build`, `Probe`, `Seed Part`, `Recursive Part`.
    pub role: Option<String>,
    /// How many operators are above it.
    pub depth: usize,
    /// Rows that it is expected to give, over all loops.
    pub estimated_rows: Option<f64>,
    /// Rows that it gave, if the statement ran.
    pub actual_rows: Option<u64>,
    /// Where it runs: `root`, `cop[tikv]`, `mpp[tiflash]`.
    pub task: String,
    /// What it reads: `table:orders, index:idx_placed(placed_at)`. The table has its alias, if the statement gives it one.
    pub access: String,
    /// Conditions, keys, ranges.
    pub info: String,
    /// Times and request units, if the statement ran.
    pub execution: String,
}

/// The answer has not the columns of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAPlan;

impl Plan {
    /// Reads a result with these columns, of which one row has as many cells.
    ///
    /// # Errors
    /// A column is missing, or there are no rows.
    pub fn read<'r>(columns: &[&str], rows: impl IntoIterator<Item = Vec<Option<&'r str>>>) -> Result<Self, NotAPlan> {
        let at = |name: &str| columns.iter().position(|column| *column == name);
        let of = |name| at(name).ok_or(NotAPlan);
        let (id, estimated, task) = (of("id")?, of("estRows")?, of("task")?);
        let (access, info) = (of("access object")?, of("operator info")?);
        let (actual, execution) = (at("actRows"), at("execution info"));
        let operators: Vec<Operator> = rows
            .into_iter()
            .map(|row| {
                let cell = |at: usize| row.get(at).copied().flatten().unwrap_or_default();
                let (depth, name, role) = identity(cell(id));
                Operator {
                    name: name.to_owned(),
                    role: role.map(str::to_owned),
                    depth,
                    estimated_rows: rows_of(cell(estimated)),
                    actual_rows: actual.and_then(|at| cell(at).parse().ok()),
                    task: cell(task).to_owned(),
                    access: cell(access).to_owned(),
                    info: cell(info).to_owned(),
                    execution: execution.map_or("", cell).to_owned(),
                }
            })
            .collect();
        if operators.is_empty() { Err(NotAPlan) } else { Ok(Self { operators }) }
    }

    /// The operators right below the one at this place, with their places.
    pub fn below(&self, place: usize) -> impl Iterator<Item = (usize, &Operator)> {
        let depth = self.operators.get(place).map_or(usize::MAX, |operator| operator.depth);
        let after = self.operators.iter().enumerate().skip(place.saturating_add(1));
        after
            .take_while(move |(_, operator)| operator.depth > depth)
            .filter(move |(_, operator)| operator.depth == depth.saturating_add(1))
    }
}

impl Operator {
    /// The table that it reads, as the plan calls it.
    pub fn table(&self) -> Option<&str> {
        self.access_part("table:")
    }

    /// The index that it reads, with its columns: `idx_placed(placed_at)`.
    pub fn index(&self) -> Option<&str> {
        let (_, after) = self.access.split_once("index:")?;
        let end = after.find(')').map_or(after.len(), |end| end + 1);
        after.get(..end)
    }

    fn access_part(&self, prefix: &str) -> Option<&str> {
        let (_, after) = self.access.split_once(prefix)?;
        after.split(',').next()
    }
}

/// A number of rows, `12345.67`: the fraction of a row makes no difference, and what reads floating point would be 16 KiB of the
/// Worker.
pub fn rows_of(text: &str) -> Option<f64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) {
        return None;
    }
    let rows = whole.bytes().fold(0.0, |rows, digit| rows * 10.0 + f64::from(digit - b'0'));
    // Half a row is expected to be one.
    Some(if fraction.bytes().next() >= Some(b'5') { rows + 1.0 } else { rows })
}

/// Depth, name and role of a cell such as `│ └─TableFullScan_7(Build)`: two characters for each operator above it, then the name,
/// and in other formats than `brief` a number.
fn identity(cell: &str) -> (usize, &str, Option<&str>) {
    let name = cell.trim_start_matches(['│', '├', '└', '─', ' ']);
    let drawn = cell.get(..cell.len().saturating_sub(name.len())).unwrap_or_default();
    let (name, role) = match name.split_once('(') {
        Some((name, role)) => (name, Some(role.trim_end_matches(')'))),
        None => (name, None),
    };
    (drawn.chars().count() / 2, name, role)
}

/// The plan that TiDB 8.5 answered with, recorded under this name.
#[cfg(test)]
pub(crate) fn recorded(name: &str) -> Option<Plan> {
    use serde_json::Value;
    let lines = include_str!("../../sandbox/data/recorded/answers-insight.jsonl").lines();
    let lines = lines.chain(include_str!("../../tests/cases/definitions.jsonl").lines());
    let mut recordings = lines.map(|line| serde_json::from_str::<Value>(line).expect("a recording"));
    let recording = recordings.find(|recording| recording["name"] == name)?;
    let list = |value: &Value| value.as_array().expect("a list").clone();
    let columns = list(&recording["types"]);
    let columns: Vec<&str> = columns.iter().map(|column| column["name"].as_str().expect("a name")).collect();
    let rows: Vec<Vec<Value>> = list(&recording["rows"]).iter().map(list).collect();
    let rows = rows.iter().map(|row| row.iter().map(Value::as_str).collect());
    Plan::read(&columns, rows).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_read_as_a_tree() {
        let columns = ["id", "estRows", "task", "access object", "operator info"];
        let rows = [
            ["HashAgg", "1.00", "root", "", "funcs:count(1)->Column#12"],
            ["└─HashJoin", "500100000.00", "root", "", "CARTESIAN inner join"],
            ["  ├─IndexReader(Build)", "5001.00", "root", "", "index:IndexFullScan"],
            ["  │ └─IndexFullScan", "5001.00", "cop[tikv]", "table:a, index:uk_email(email, id)", "keep order:false"],
            ["  └─TableReader(Probe)", "N/A", "root", "", "data:TableFullScan"],
        ];
        let plan = Plan::read(&columns, rows.map(|row| row.into_iter().map(Some).collect())).unwrap();
        let told: Vec<_> =
            plan.operators.iter().map(|one| (one.depth, one.name.as_str(), one.role.as_deref())).collect();
        assert_eq!(
            told,
            [
                (0, "HashAgg", None),
                (1, "HashJoin", None),
                (2, "IndexReader", Some("Build")),
                (3, "IndexFullScan", None),
                (2, "TableReader", Some("Probe")),
            ]
        );
        assert_eq!(plan.below(1).map(|(place, _)| place).collect::<Vec<_>>(), [2, 4]);
        let scan = &plan.operators[3];
        assert_eq!((scan.table(), scan.index()), (Some("a"), Some("uk_email(email, id)")));
        assert_eq!((scan.estimated_rows, plan.operators[4].estimated_rows), (Some(5001.0), None));
    }

    #[test]
    fn another_answer_is_no_plan() {
        assert_eq!(Plan::read(&["id", "estRows"], [vec![Some("a"), None]]), Err(NotAPlan));
        assert_eq!(Plan::read(&["id", "estRows", "task", "access object", "operator info"], []), Err(NotAPlan));
    }
}
