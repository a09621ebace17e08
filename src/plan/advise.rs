//! Why a plan reads whole tables, and which indexes could spare it that.

use super::{
    Operator, Plan,
    conditions::{Column, Condition, column, columns, conditions, parts},
};

/// Columns of a candidate: equalities beyond the third seldom leave fewer rows.
const EQUAL_MAX: usize = 3;

/// A table or an index that is read from end to end.
#[derive(Clone, Debug, PartialEq)]
pub struct FullScan {
    /// As the plan calls the table: its alias, if it has one.
    pub called: String,
    /// Its database and table, `shop.orders`, if a condition tells.
    pub table: Option<String>,
    /// The index, with its columns, if that is read and not the table.
    pub index: Option<String>,
    /// Rows that it is expected to read, and did if the statement ran.
    pub estimated_rows: f64,
    /// Rows that it read, if the statement ran.
    pub actual_rows: Option<u64>,
    /// Whether it ends when a LIMIT right above has enough rows.
    pub limited: bool,
    /// Whether its rows are filtered.
    pub filtered: bool,
    /// What they are filtered by, as far as that can be read.
    pub conditions: Vec<Condition>,
    /// The columns by which the table above is joined.
    pub joined: Vec<String>,
    /// The columns by which its rows are sorted or grouped right above.
    pub ordered: Vec<String>,
    /// Whether its statistics are missing or not loaded: `stats:pseudo`, `stats:partial[...]`.
    pub statistics: Option<String>,
}

/// The scans of a plan that read everything, in its order.
pub fn full_scans(plan: &Plan) -> Vec<FullScan> {
    let is_scan = |operator: &Operator| matches!(operator.name.as_str(), "TableFullScan" | "IndexFullScan");
    let scans = plan.operators.iter().enumerate().filter(|(_, operator)| is_scan(operator));
    scans.map(|(place, operator)| scan(plan, place, operator)).collect()
}

fn scan(plan: &Plan, place: usize, operator: &Operator) -> FullScan {
    let mut scan = FullScan {
        called: operator.table().unwrap_or_default().to_owned(),
        table: None,
        index: operator.index().map(str::to_owned),
        estimated_rows: operator.estimated_rows.unwrap_or_default(),
        actual_rows: operator.actual_rows,
        limited: false,
        filtered: false,
        conditions: Vec::new(),
        joined: Vec::new(),
        ordered: Vec::new(),
        statistics: parts(&operator.info).into_iter().find(|part| part.starts_with("stats:")).map(str::to_owned),
    };
    let (mut filter, mut order, mut join) = (String::new(), Vec::new(), String::new());
    let mut passes = true;
    for (at, above) in plan.above(place) {
        let name = above.name.as_str();
        scan.limited |= passes && name == "Limit";
        passes &= matches!(name, "Selection" | "Projection");
        match name {
            "Selection" => {
                filter.push_str(", ");
                filter.push_str(&above.info);
            }
            "TopN" | "Sort" if order.is_empty() => order = leading_columns(&above.info),
            "StreamAgg" | "HashAgg" if order.is_empty() => {
                order = above.info.split_once("group by:").map(|(_, by)| leading_columns(by)).unwrap_or_default();
            }
            name if name.contains("Join") => {
                join = joined(plan, at, place, &above.info);
                break;
            }
            name if name.contains("Union") || name.contains("Apply") => break,
            _ => {}
        }
    }
    scan.filtered = !filter.is_empty();
    scan.conditions = conditions(&filter);
    let of = columns(&filter).into_iter().chain(columns(&join)).chain(order.iter().cloned()).map(|column| column.table);
    // A filter above a join may be about several tables.
    scan.table = of.into_iter().next();
    let table = scan.table.clone().unwrap_or_default();
    let own = |columns: Vec<Column>| -> Vec<String> {
        columns.into_iter().filter(|column| column.table == table).map(|column| column.name).collect()
    };
    scan.joined = own(columns(&join));
    scan.ordered = own(order);
    scan
}

/// The columns that a list begins with: `shop.orders.placed_at:desc, offset:0, count:10`.
fn leading_columns(text: &str) -> Vec<Column> {
    let sorted = parts(text).into_iter().map(|part| column(part.strip_suffix(":desc").unwrap_or(part)));
    sorted.map_while(|column| column).collect()
}

/// What a join says of the columns of the table that is read here: those that the other side does not have.
fn joined(plan: &Plan, join: usize, place: usize, info: &str) -> String {
    let Some((_, pairs)) = info.split_once("equal:[") else { return String::new() };
    let pairs = pairs.split(']').next().unwrap_or_default();
    let own_side = plan.below(join).map(|(at, _)| at).filter(|at| *at <= place).last().unwrap_or(place);
    let depth = plan.operators.get(join).map_or(0, |operator| operator.depth);
    let below = plan.operators.iter().enumerate().skip(join + 1).take_while(|(_, operator)| operator.depth > depth);
    let mut others = String::new();
    let mut of_others = Vec::new();
    let mut side = join;
    for (at, operator) in below {
        side = if operator.depth == depth + 1 { at } else { side };
        if side != own_side {
            others.extend([", ", &operator.info]);
            of_others.extend(operator.table());
        }
    }
    let others = columns(&others);
    let is_other = |table: &str| {
        let bare = table.rsplit('.').next().unwrap_or_default();
        others.iter().any(|column| column.table == table) || of_others.contains(&bare)
    };
    let called = plan.operators.get(place).and_then(Operator::table).unwrap_or_default();
    let tables: Vec<Column> = columns(pairs);
    let of = |wanted: &dyn Fn(&str) -> bool| -> Vec<String> {
        let mut found: Vec<String> =
            tables.iter().map(|column| column.table.clone()).filter(|table| wanted(table)).collect();
        found.dedup();
        found
    };
    let named = of(&|table| table.rsplit('.').next() == Some(called));
    let left = if named.is_empty() { of(&|table| !is_other(table)) } else { named };
    let [table] = left.as_slice() else { return String::new() };
    let own = tables.iter().filter(|column| column.table == *table);
    own.map(|column| format!("{}.{}", column.table, column.name)).collect::<Vec<_>>().join(", ")
}

impl FullScan {
    /// Columns of the indexes that could spare it, the most promising first: those that have one value, then those by which it
    /// is sorted or grouped, or one with a range.
    pub fn candidates(&self) -> Vec<Vec<String>> {
        let own = |column: &Column| Some(&column.table) == self.table.as_ref();
        let mut equal: Vec<String> = Vec::new();
        let mut range = None;
        for condition in &self.conditions {
            match condition {
                Condition::Equal(column) if own(column) && !equal.contains(&column.name) => {
                    equal.push(column.name.clone())
                }
                Condition::Range(column) if own(column) && range.is_none() => range = Some(column.name.clone()),
                _ => {}
            }
        }
        for column in &self.joined {
            if !equal.contains(column) {
                equal.push(column.clone());
            }
        }
        equal.truncate(EQUAL_MAX);
        let with = |more: &[String]| -> Vec<String> {
            let mut all = equal.clone();
            for column in more {
                if !all.contains(column) {
                    all.push(column.clone());
                }
            }
            all
        };
        let mut found: Vec<Vec<String>> = Vec::new();
        let range: Vec<String> = range.into_iter().collect();
        for columns in [with(&self.ordered), with(&range), equal.clone()] {
            if !columns.is_empty() && !found.contains(&columns) {
                found.push(columns);
            }
        }
        found
    }
}

impl Plan {
    /// The operators above the one at this place, the nearest first, with their places.
    pub fn above(&self, place: usize) -> impl Iterator<Item = (usize, &Operator)> {
        let mut depth = self.operators.get(place).map_or(0, |operator| operator.depth);
        let before = self.operators.get(..place).unwrap_or_default();
        before.iter().enumerate().rev().filter(move |(_, operator)| {
            let is_above = operator.depth < depth;
            depth = depth.min(operator.depth);
            is_above
        })
    }

    /// Rows that it reads from tables and indexes: as estimated, and if it ran, as counted.
    pub fn rows_read(&self) -> (f64, Option<u64>) {
        let (mut estimated, mut actual) = (0.0, None);
        for operator in self.operators.iter().filter(|operator| operator.is_scan()) {
            estimated += operator.estimated_rows.unwrap_or_default();
            if let Some(rows) = operator.actual_rows {
                actual = Some(actual.unwrap_or(0_u64).saturating_add(rows));
            }
        }
        (estimated, actual)
    }

    /// Whether it reads this index.
    pub fn uses(&self, index: &str) -> bool {
        self.operators.iter().filter_map(Operator::index).any(|found| found.split('(').next() == Some(index))
    }

    /// The request units that it took, if it ran.
    pub fn request_units(&self) -> Option<&str> {
        let (_, after) = self.operators.first()?.execution.split_once("RU:")?;
        let end = after.find(|next: char| !(next.is_ascii_digit() || next == '.')).unwrap_or(after.len());
        after.get(..end)
    }
}

#[cfg(test)]
mod tests {
    use super::{FullScan, full_scans};
    use crate::plan::{Plan, conditions::Condition};

    fn recorded(name: &str) -> Plan {
        let plans = ["insight.", "plan."].map(|of| crate::plan::recorded(&format!("{of}{name}")));
        plans.into_iter().flatten().next().expect(name)
    }

    fn scans(name: &str) -> Vec<FullScan> {
        full_scans(&recorded(name))
    }

    fn only(name: &str) -> FullScan {
        let mut scans = scans(name);
        assert_eq!(scans.len(), 1, "one scan in {name}");
        scans.remove(0)
    }

    #[test]
    fn candidates_hold_equalities_first_then_the_order_or_a_range() {
        for (name, table, candidates) in [
            ("slow", "shop.orders", vec![vec!["customer_id", "placed_at"], vec!["customer_id"]]),
            ("range", "shop.customers", vec![vec!["name"]]),
            ("sorted", "shop.orders", vec![vec!["total"]]),
            ("join", "shop.orders", vec![vec!["customer_id"]]),
            ("change", "shop.orders", vec![vec!["customer_id"]]),
            ("unhelpful", "shop.orders", vec![vec!["status"]]),
            ("unselective", "shop.orders", vec![vec!["placed_at"]]),
            ("function", "shop.orders", vec![]),
            ("converted", "shop.customers", vec![]),
            ("wildcard", "shop.customers", vec![]),
            ("either", "shop.orders", vec![]),
        ] {
            let scan = only(name);
            assert_eq!(
                (scan.table.as_deref(), scan.candidates()),
                (Some(table), owned(candidates)),
                "of the plan {name}"
            );
        }
        assert!(scans("point").is_empty(), "a row that is found by its key is not scanned for");
        let nothing = only("everything");
        assert_eq!((nothing.table, nothing.filtered, nothing.conditions), (None, false, vec![]));
    }

    fn owned(candidates: Vec<Vec<&str>>) -> Vec<Vec<String>> {
        candidates.into_iter().map(|columns| columns.into_iter().map(str::to_owned).collect()).collect()
    }

    #[test]
    fn a_scan_in_a_subquery_is_seen_and_ends_when_it_has_enough() {
        let [outer, inner] = <[FullScan; 2]>::try_from(scans("subquery")).unwrap();
        assert!(!outer.limited && inner.limited, "a LIMIT is right above the inner one only");
        assert!(outer.candidates().is_empty(), "what it is compared with is not known before it runs");
        assert!(matches!(inner.conditions.as_slice(), [Condition::Equal(column)] if column.name == "customer_id"));
    }

    #[test]
    fn an_index_counts_where_it_is_used_and_spares_rows() {
        let rows = |name: &str| recorded(name).rows_read().0;
        for (before, after, index, uses) in [
            ("slow", "slow_idx_customer_id_placed_at", "idx_customer_id_placed_at", true),
            ("slow", "slow_idx_customer_id", "idx_customer_id", true),
            ("join", "join_idx_customer_id", "idx_customer_id", true),
            ("change", "change_idx_customer_id", "idx_customer_id", true),
            ("sorted", "sorted_idx_total", "idx_total", true),
            ("unhelpful", "unhelpful_idx_status", "idx_status", false),
            ("range", "range_idx_name", "idx_name", false),
        ] {
            let found = recorded(after).uses(index);
            assert_eq!((found, rows(after) < rows(before)), (uses, uses), "the plan {after} against {before}");
        }
        assert!(!recorded("slow_idx_customer_id_placed_at").uses("idx_customer_id"), "a longer name is another index");
    }

    #[test]
    fn a_run_tells_its_cost() {
        let plan = recorded("slow_analyze");
        let units: f64 = plan.request_units().unwrap().parse().unwrap();
        assert!(units > 1.0, "{units}");
        assert_eq!(recorded("slow").request_units(), None, "nothing ran");
        assert!(recorded("slow_analyze").rows_read().1.is_some() && recorded("slow").rows_read().1.is_none());
    }

    #[test]
    fn a_join_of_columns_that_may_be_null_is_still_one_by_equality() {
        let [parent, child] = <[FullScan; 2]>::try_from(scans("nullable_join")).unwrap();
        assert_eq!((parent.called.as_str(), child.called.as_str()), ("p", "c"));
        assert!(matches!(child.conditions.as_slice(), [Condition::NotNull(column)] if column.name == "pid"));
        assert_eq!((child.joined.as_slice(), child.candidates()), (&["pid".to_owned()][..], owned(vec![vec!["pid"]])));
    }

    #[test]
    fn names_with_a_hyphen_are_whole() {
        let scan = only("hyphen");
        assert_eq!(
            (scan.table.as_deref(), scan.candidates()),
            (Some("scra-tch.or-ders"), owned(vec![vec!["cust-id"]]))
        );
        let [a, b] = <[FullScan; 2]>::try_from(scans("hyphen_join")).unwrap();
        assert_eq!(
            (a.table.as_deref(), a.joined, b.table.as_deref(), b.joined),
            (Some("scra-tch.or-ders"), owned_names(&["cust-id"]), Some("scra-tch.custs"), owned_names(&["id"]))
        );
    }

    fn owned_names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_limit_over_groups_ends_no_scan() {
        let columns = ["id", "estRows", "task", "access object", "operator info"];
        let rows = [
            ["Limit", "3.00", "root", "", "offset:0, count:3"],
            ["└─HashAgg", "5.00", "root", "", "group by:d.t.a, funcs:count(1)->Column#9"],
            ["  └─TableReader", "100.00", "root", "", "data:TableFullScan"],
            ["    └─TableFullScan", "100.00", "cop[tikv]", "table:t", "keep order:false"],
        ];
        let plan = Plan::read(&columns, rows.map(|row| row.into_iter().map(Some).collect())).unwrap();
        let [scan] = <[FullScan; 1]>::try_from(full_scans(&plan)).unwrap();
        assert!(!scan.limited, "all rows are read to group them");
        assert_eq!((scan.table.as_deref(), scan.candidates()), (Some("d.t"), owned(vec![vec!["a"]])));
    }

    #[test]
    fn missing_statistics_are_seen() {
        let columns = ["id", "estRows", "task", "access object", "operator info"];
        let rows = [["TableFullScan", "10000.00", "cop[tikv]", "table:t", "keep order:false, stats:pseudo"]];
        let plan = Plan::read(&columns, rows.map(|row| row.into_iter().map(Some).collect())).unwrap();
        assert_eq!(full_scans(&plan)[0].statistics.as_deref(), Some("stats:pseudo"));
    }
}
