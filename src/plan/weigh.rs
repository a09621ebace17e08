//! How much a plan reads, before it runs.

use super::{Operator, Plan};

/// Operators that read rows of tables, in TiKV or TiFlash, through an index or not. The rows of an inner side that is read again and
/// again are those of all loops (TiDB 8.5: 500,100,000 under an `Apply`).
const SCANS: &[&str] = &[
    "TableFullScan",
    "TableRangeScan",
    "TableRowIDScan",
    "TableSample",
    "IndexFullScan",
    "IndexRangeScan",
    "Point_Get",
    "Batch_Point_Get",
];
/// Those that read all of a table or an index.
const FULL: &[&str] = &["TableFullScan", "IndexFullScan"];
/// The rows that TiDB supposes where it has no statistics (8.5).
const SUPPOSED_ROWS: f64 = 10_000.0;

/// What is known of a table whose statistics are missing or stale.
pub type Counts<'c> = &'c dyn Fn(&str) -> Option<f64>;

/// A table whose statistics are missing or stale, as the plan calls it.
pub type Pseudo<'p> = &'p str;

/// What a plan does.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Weight {
    /// Rows that it reads.
    pub read: f64,
    /// Rows that the largest of its joins gives.
    pub joined: f64,
    /// It joins two sides without a condition that says which rows of them belong together.
    pub is_product: bool,
    /// It repeats a query until that gives no more rows.
    pub is_recursive: bool,
    /// An estimate is missing that matters.
    pub is_unclear: bool,
    /// Tables that have no statistics, and whose rows nobody knows.
    pub unknown: Vec<String>,
    /// Tables whose rows were counted elsewhere than in the plan.
    pub counted: Vec<String>,
    /// The table of which most rows are read in vain, and the condition that no index serves.
    pub unserved: Option<(String, String)>,
}

impl Weight {
    /// The larger of the rows that it reads and those that its joins give.
    pub fn rows(&self) -> f64 {
        self.read.max(self.joined)
    }
}

impl Plan {
    /// Tables whose statistics are missing or stale, as the plan calls them.
    pub fn pseudo(&self) -> Vec<Pseudo<'_>> {
        let mut tables: Vec<_> =
            self.operators.iter().filter(|one| one.is_pseudo()).filter_map(Operator::table).collect();
        tables.sort_unstable();
        tables.dedup();
        tables
    }

    /// Whether it looks up one row by a key, and does no more.
    pub fn is_one_row(&self) -> bool {
        const BESIDE: &[&str] = &[
            "Selection",
            "Projection",
            "Limit",
            "TopN",
            "Sort",
            "StreamAgg",
            "HashAgg",
            "Update",
            "Delete",
            "SelectLock",
        ];
        let gets = self.operators.iter().filter(|one| one.name == "Point_Get").count();
        gets == 1 && self.operators.iter().all(|one| one.name == "Point_Get" || BESIDE.contains(&one.name.as_str()))
    }

    /// Whether the operator at this place gives one row at most, whatever the tables hold.
    fn gives_one(&self, place: usize) -> bool {
        let Some(this) = self.operators.get(place) else { return false };
        let mut below = self.below(place).map(|(place, _)| place);
        match this.name.as_str() {
            "MaxOneRow" | "Point_Get" => true,
            "StreamAgg" | "HashAgg" if !this.info.contains("group by:") => true,
            "TableDual" => matches!(this.info.as_str(), "rows:0" | "rows:1"),
            "Limit" | "TopN" | "IndexLookUp" if this.count_is_one() => true,
            name if name.contains("Join") => below.all(|place| self.gives_one(place)),
            "Apply" => below.all(|place| self.gives_one(place)),
            "Projection" | "Selection" | "Sort" | "Limit" | "TopN" | "StreamAgg" | "HashAgg" | "TableReader"
            | "IndexReader" | "ExchangeReceiver" | "ExchangeSender" => {
                below.next().is_some_and(|place| self.gives_one(place))
            }
            _ => false,
        }
    }
}

impl Operator {
    fn is_scan(&self) -> bool {
        SCANS.contains(&self.name.as_str())
    }

    fn is_pseudo(&self) -> bool {
        self.is_scan() && self.info.contains("stats:pseudo")
    }

    fn count_is_one(&self) -> bool {
        let count = self.info.split_once("count:").map(|(_, after)| after.trim_end_matches(')'));
        count == Some("1")
    }
}

/// What a plan does; `counts` gives the rows of a table that has no statistics, by its name in the plan.
pub fn weigh(plan: &Plan, counts: Counts<'_>) -> Weight {
    let mut weight = Weight::default();
    let mut most = 0.0;
    for (place, operator) in plan.operators.iter().enumerate() {
        weight.is_recursive |= operator.info.contains("Recursive CTE");
        let joins = operator.name.contains("Join") || operator.name == "Apply";
        if !joins && !operator.is_scan() {
            continue;
        }
        let Some(mut rows) = operator.estimated_rows.filter(|rows| rows.is_finite()) else {
            weight.is_unclear = true;
            continue;
        };
        if joins {
            weight.joined = weight.joined.max(rows);
            // One row on a side makes no product.
            weight.is_product |= operator.name != "Apply"
                && operator.info.contains("CARTESIAN")
                && !plan.below(place).any(|(place, _)| plan.gives_one(place));
            continue;
        }
        let above = place.checked_sub(1).and_then(|above| plan.operators.get(above));
        let above = above.filter(|above| above.depth < operator.depth);
        let reads_all = FULL.contains(&operator.name.as_str());
        if operator.is_pseudo() {
            let table = operator.table().unwrap_or_default();
            let stops = above.is_some_and(|above| above.name == "Limit") && rows < SUPPOSED_ROWS;
            match counts(table) {
                _ if stops => {}
                Some(count) => {
                    rows = if reads_all { rows.max(SUPPOSED_ROWS) } else { rows } * count / SUPPOSED_ROWS;
                    push(&mut weight.counted, table);
                }
                None => push(&mut weight.unknown, table),
            }
        }
        weight.read += rows;
        if let Some(above) = above.filter(|above| reads_all && above.name == "Selection" && rows > most) {
            most = rows;
            let table = operator.table().unwrap_or_default().to_owned();
            weight.unserved = Some((table, above.info.clone()));
        }
    }
    weight
}

fn push(names: &mut Vec<String>, name: &str) {
    if !names.iter().any(|known| known == name) {
        names.push(name.to_owned());
    }
}
