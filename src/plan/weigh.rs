//! How much a plan reads, before it runs.

use super::{Operator, Plan};

/// Operators that read rows of tables, in TiKV or TiFlash, through an index or not, or of a common table expression. The rows of an inner side that is read again and
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
    "CTEFullScan",
];
/// Those that read all of a table or an index.
const FULL: &[&str] = &["TableFullScan", "IndexFullScan"];
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

    /// Whether it looks up rows by the integer key that the table is stored by: any other integer is looked up in the same way, but not
    /// in an index, whose column may be a date (TiDB 8.5: one row for `20200101`, and a full scan for `20`).
    pub fn is_by_handle(&self) -> bool {
        self.operators.iter().any(|one| one.name == "Point_Get" && one.info.contains("handle:"))
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
    /// Whether it reads rows of a table, an index, or a common table expression.
    pub(super) fn is_scan(&self) -> bool {
        SCANS.contains(&self.name.as_str())
    }

    fn is_pseudo(&self) -> bool {
        self.is_scan() && self.info.contains("stats:pseudo")
    }

    /// The rows after which a `Limit` stops what it reads from.
    fn limit(&self) -> Option<f64> {
        let (offset, count) = self.info.strip_prefix("offset:")?.split_once(", count:")?;
        let (offset, count): (f64, f64) = (offset.parse().ok()?, count.parse().ok()?);
        (self.name == "Limit").then_some(offset + count)
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
        weight.is_recursive |= operator.info.starts_with("Recursive CTE");
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
            let rows_max = above.and_then(Operator::limit).unwrap_or(f64::INFINITY);
            match counts(table) {
                _ if rows_max <= rows => {}
                Some(count) => {
                    // A range is estimated of the rows that TiDB counted (8.5), and so is a whole table, unless a condition and a
                    // limit let it hope to find what it needs early. The estimate of a table that is read again and again is larger.
                    rows = if reads_all { rows.max(count.min(rows_max)) } else { rows };
                    push(&mut weight.counted, table);
                }
                None if rows_max.is_finite() => rows = rows.max(rows_max),
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

#[cfg(test)]
mod tests {
    use super::{Weight, weigh};
    use crate::plan::Plan;

    /// A plan of TiDB 8.5: an operator a line, its cells separated by ` | ` as its client prints them.
    fn plan(text: &str) -> Plan {
        let columns = ["id", "estRows", "task", "access object", "operator info"];
        let rows = text.lines().map(|line| line.split(" | ").map(|cell| Some(cell.trim_end())).collect());
        Plan::read(&columns, rows).expect("a plan")
    }

    fn weight(text: &str) -> Weight {
        weigh(&plan(text), &|_| None)
    }

    #[test]
    fn what_is_read_is_counted_wherever_it_stands() {
        for (what, text, read, joined) in [
            (
                "a limit that reaches the scan",
                "Limit | 10.00 | root |  | offset:0, count:10\n└─TableReader | 10.00 | root |  | data:Limit\n  └─Limit | 10.00 | cop[tikv] |  | offset:0, count:10\n    └─TableFullScan | 10.00 | cop[tikv] | table:orders | keep order:false",
                10.0,
                0.0,
            ),
            (
                "a join by a column with few values",
                "HashAgg | 1.00 | root |  | funcs:count(1)->Column#13\n└─HashJoin | 1999960000.00 | root |  | inner join, equal:[eq(shop.orders.status, shop.orders.status)]\n  ├─IndexReader(Build) | 100000.00 | root |  | index:IndexFullScan\n  │ └─IndexFullScan | 100000.00 | cop[tikv] | table:b, index:idx_placed_status(placed_at, status) | keep order:false\n  └─IndexReader(Probe) | 100000.00 | root |  | index:IndexFullScan\n    └─IndexFullScan | 100000.00 | cop[tikv] | table:a, index:idx_placed_status(placed_at, status) | keep order:false",
                200_000.0,
                1_999_960_000.0,
            ),
            (
                "a subquery that is constant",
                "Update | N/A | root |  | N/A\n└─Selection | 80000.00 | root |  | eq(shop.orders.id, ScalarQueryCol#17)\n  └─TableReader | 100000.00 | root |  | data:TableFullScan\n    └─TableFullScan | 100000.00 | cop[tikv] | table:orders | keep order:false\nScalarSubQuery | N/A | root |  | Output: ScalarQueryCol#17\n└─MaxOneRow | 1.00 | root |  | \n  └─TableReader | 5001.00 | root |  | data:TableFullScan\n    └─TableFullScan | 5001.00 | cop[tikv] | table:customers | keep order:false",
                105_001.0,
                0.0,
            ),
            (
                "rows that an index finds, and looks up",
                "IndexLookUp | 1.00 | root |  | limit embedded(offset:0, count:1)\n├─Limit(Build) | 7.00 | cop[tikv] |  | offset:0, count:1\n│ └─IndexRangeScan | 7.00 | cop[tikv] | table:orders, index:idx_placed(placed_at) | range:(2026-01-02 00:00:00,+inf], keep order:true\n└─TableRowIDScan(Probe) | 7.00 | cop[tikv] | table:orders | keep order:false",
                14.0,
                0.0,
            ),
            (
                "an inner side that is read again and again",
                "Apply | 100000.00 | root |  | CARTESIAN left outer join\n├─TableReader(Build) | 100000.00 | root |  | data:TableFullScan\n│ └─TableFullScan | 100000.00 | cop[tikv] | table:o | keep order:false\n└─MaxOneRow(Probe) | 100000.00 | root |  | \n  └─TableReader | 500100000.00 | root |  | data:TableFullScan\n    └─TableFullScan | 500100000.00 | cop[tikv] | table:c | keep order:false",
                500_200_000.0,
                100_000.0,
            ),
            (
                "a common table expression that is read again and again",
                "Apply | 80179.60 | root |  | CARTESIAN left outer join\n├─CTEFullScan(Build) | 100000.00 | root | CTE:c AS c2 | data:CTE_0\n└─HashAgg(Probe) | 80179.60 | root |  | funcs:count(1)->Column#19\n  └─Selection | 6414368184.73 | root |  | gt(plus(shop.orders.id, shop.orders.id), 5)\n    └─CTEFullScan | 8017960230.00 | root | CTE:c | data:CTE_0\nCTE_0 | 100000.00 | root |  | Non-Recursive CTE\n└─IndexFullScan(Seed Part) | 100000.00 | cop[tikv] | table:orders, index:idx_placed_status(placed_at, status) | keep order:false",
                8_018_160_230.0,
                80_180.0,
            ),
        ] {
            let found = weight(text);
            assert_eq!((found.read, found.joined), (read, joined), "{what}");
            assert!(!found.is_product && !found.is_recursive && !found.is_unclear, "{what}: {found:?}");
        }
    }

    #[test]
    fn a_product_has_several_rows_on_both_sides() {
        const PRODUCT: &str = "HashJoin | 10002.00 | root |  | CARTESIAN inner join";
        let many = "└─TableReader(Probe) | 5001.00 | root |  | data:TableFullScan\n  └─TableFullScan | 5001.00 | cop[tikv] | table:customers | keep order:false";
        for (side, is_product) in [
            (
                "├─TableReader(Build) | 2.00 | root |  | data:TableFullScan\n│ └─TableFullScan | 2.00 | cop[tikv] | table:c | keep order:false",
                true,
            ),
            (
                "├─HashAgg(Build) | 1.00 | root |  | funcs:count(Column#16)->Column#12\n│ └─IndexFullScan | 9.00 | cop[tikv] | table:orders | keep order:false",
                false,
            ),
            (
                "├─HashAgg(Build) | 1.00 | root |  | group by:shop.orders.status, funcs:count(1)->Column#12\n│ └─IndexFullScan | 9.00 | cop[tikv] | table:orders | keep order:false",
                true,
            ),
            ("├─Point_Get(Build) | 1.00 | root | table:orders | handle:5", false),
            ("├─Projection(Build) | 1.00 | root |  | 1->Column#1\n│ └─TableDual | 1.00 | root |  | rows:1", false),
            (
                "├─Limit(Build) | 1.00 | root |  | offset:0, count:1\n│ └─TableFullScan | 1.00 | cop[tikv] | table:orders | keep order:false",
                false,
            ),
            (
                "├─Limit(Build) | 10.00 | root |  | offset:0, count:10\n│ └─TableFullScan | 10.00 | cop[tikv] | table:orders | keep order:false",
                true,
            ),
            (
                "├─TopN(Build) | 1.00 | root |  | shop.orders.total, offset:0, count:1\n│ └─TableFullScan | 9.00 | cop[tikv] | table:orders | keep order:false",
                false,
            ),
            (
                "├─MaxOneRow(Build) | 1.00 | root |  | \n│ └─TableFullScan | 9.00 | cop[tikv] | table:orders | keep order:false",
                false,
            ),
        ] {
            assert_eq!(weight(&format!("{PRODUCT}\n{side}\n{many}")).is_product, is_product, "{side}");
        }
        let condition = PRODUCT.replace("CARTESIAN inner join", "inner join, equal:[eq(shop.a.id, shop.b.id)]");
        let side = "├─TableFullScan(Build) | 2.00 | cop[tikv] | table:c | keep order:false";
        assert!(!weight(&format!("{condition}\n{side}\n{many}")).is_product, "a condition joins them");
    }

    #[test]
    fn what_has_no_figure_is_not_nothing() {
        assert!(weight("TableFullScan | N/A | cop[tikv] | table:orders | keep order:false").is_unclear);
        assert!(weight("CTE_0 | 1.80 | root |  | Recursive CTE\n├─Projection(Seed Part) | 1.00 | root |  | 1->Column#2\n└─CTETable(Recursive Part) | 1.00 | root |  | Scan on CTE_0").is_recursive);
    }

    /// TiDB supposes 10,000 rows where it has neither statistics nor a count; its own count decides, and where that is missing the table is
    /// large.
    #[test]
    fn a_table_without_statistics_has_the_rows_that_tidb_counted() {
        let scan = |name: &str, rows: &str, above: &str| {
            let info = if above == "Limit" { "offset:5, count:2995" } else { "a" };
            format!(
                "{above} | {rows} | root |  | {info}\n└─{name} | {rows} | cop[tikv] | table:o | keep order:false, stats:pseudo"
            )
        };
        for (text, read) in [
            (scan("TableFullScan", "10000.00", "TableReader"), 2_000_000.0),
            (scan("TableRangeScan", "533333.33", "TableReader"), 533_333.0),
            (scan("TableFullScan", "12.50", "Selection"), 2_000_000.0),
            (scan("TableFullScan", "5000000.00", "TableReader"), 5_000_000.0),
            (scan("TableFullScan", "3000.00", "Limit"), 3_000.0),
            (scan("TableFullScan", "1000.00", "Limit"), 3_000.0),
        ] {
            let known = weigh(&plan(&text), &|table| (table == "o").then_some(2_000_000.0));
            assert_eq!((known.read, known.unknown.len()), (read, 0), "{text}");
            let limited = text.starts_with("Limit");
            assert_eq!(weight(&text).unknown.is_empty(), limited, "a limit alone needs no count: {text}");
            assert_eq!(plan(&text).pseudo(), ["o"], "it is asked for");
        }
        let far = scan("TableFullScan", "10000.00", "Limit").replace("count:2995", "count:4000000000");
        assert_eq!(weigh(&plan(&far), &|_| Some(2_000_000.0)).read, 2_000_000.0, "no limit is larger than the table");
        assert_eq!(weight(&far).read, 4_000_000_005.0, "a limit says how many rows of a table whose size is not known");
    }

    #[test]
    fn one_row_by_a_key_is_known_by_its_plan() {
        let handle = plan("Delete | N/A | root |  | N/A\n└─Point_Get | 1.00 | root | table:orders | handle:5");
        let index = plan("Point_Get | 1.00 | root | table:days, index:uk_day(day) | ");
        assert!(handle.is_by_handle() && index.is_one_row() && !index.is_by_handle(), "an index may not hold integers");
        for (text, is_one) in [
            ("Point_Get | 1.00 | root | table:orders | handle:5", true),
            (
                "Limit | 0.00 | root |  | offset:0, count:3\n└─Selection | 0.00 | root |  | eq(shop.customers.name, \"b\")\n  └─Point_Get | 1.00 | root | table:customers, index:uk_email(email) | ",
                true,
            ),
            ("Delete | N/A | root |  | N/A\n└─Point_Get | 1.00 | root | table:orders | handle:5", true),
            ("Batch_Point_Get | 2.00 | root | table:orders | handle:[5 6]", false),
            ("TableDual | 0.00 | root |  | rows:0", false),
            (
                "HashJoin | 1.00 | root |  | inner join\n├─Point_Get(Build) | 1.00 | root | table:orders | handle:5\n└─Point_Get(Probe) | 1.00 | root | table:o | handle:5",
                false,
            ),
            ("TableReader | 1.00 | root |  | a\n└─TableFullScan | 1.00 | cop[tikv] | table:orders | ", false),
        ] {
            assert_eq!(plan(text).is_one_row(), is_one, "{text}");
        }
    }
}
