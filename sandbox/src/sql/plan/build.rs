//! From MariaDB's plan to operators as TiDB would name them.
//!
//! Everything that a plan can hold and this does not know is looked through for tables: no plan is refused for its shape.

use super::node::{Count, Node, Task};
use super::shape::{End, Shape, Shapes, Table, table};
use super::tree::Tree;
use crate::sql::statement::{Statement, Token};

/// TiDB's guess of how many of the rows have a different value, without statistics.
const DISTINCT_SHARE: f64 = 0.8;

/// What a plan needs to know of the tables beside MariaDB's plan.
pub(super) trait Tables {
    /// The columns of an index in order; none if it is not found.
    fn index_columns(&mut self, table: &Table, index: &str) -> Vec<String>;
    /// How many rows a table has, as MariaDB's statistics say.
    fn row_count(&mut self, schema: Option<&str>, name: &str) -> Option<f64>;
}

pub(super) struct Builder<'a> {
    tokens: &'a [Token],
    shapes: Shapes,
    tables: &'a mut dyn Tables,
}

/// One table, derived table or query of a join, with what MariaDB does to it before it joins.
struct Item<'a> {
    at: &'a Tree,
    is_query: bool,
    /// The join buffer that it is compared with.
    buffer: Option<&'a Tree>,
    sort_key: Option<&'a str>,
}

/// What MariaDB does to the rows of a whole query.
#[derive(Default)]
struct Steps<'a> {
    sorts: Vec<&'a Tree>,
    temporary: bool,
    distinct: bool,
    /// What window functions need their rows sorted by.
    windows: Option<Vec<&'a str>>,
}

#[derive(Clone, Copy, Default)]
struct Place<'a> {
    joined: bool,
    buffer: Option<&'a Tree>,
    sort_key: Option<&'a str>,
}

impl<'a> Steps<'a> {
    /// Finds the tables of a query in the order in which they are joined.
    fn collect(&mut self, value: &'a Tree, place: Place<'a>, items: &mut Vec<Item<'a>>) {
        for element in value.elements() {
            self.collect(element, place, items);
        }
        for (name, member) in value.members() {
            let mut place = place;
            match name {
                "table" | "query_block" => {
                    let Place { buffer, sort_key, .. } = place;
                    items.push(Item { at: member, is_query: name == "query_block", buffer, sort_key });
                    continue;
                }
                "subqueries" | "sorts" => continue,
                "nested_loop" => place.joined |= member.elements().len() > 1,
                "block-nl-join" => place.buffer = Some(member),
                "filesort" if place.joined => place.sort_key = member.text("sort_key"),
                "filesort" => self.sorts.push(member),
                "temporary_table" => self.temporary = true,
                "duplicate_removal" => self.distinct = true,
                "window_functions_computation" => {
                    let sorts = member.get("sorts").map(Tree::elements).unwrap_or_default();
                    self.windows =
                        Some(sorts.iter().filter_map(|sort| sort.get("filesort")?.text("sort_key")).collect());
                }
                _ => {}
            }
            self.collect(member, place, items);
        }
    }
}

/// The queries of a part of a plan, at any depth.
fn queries(part: &Tree) -> Vec<&Tree> {
    let mut items = Vec::new();
    Steps::default().collect(part, Place::default(), &mut items);
    items.iter().filter(|item| item.is_query).map(|item| item.at).collect()
}

/// A number of rows of MariaDB's, for each loop, as one over all of them.
fn scanned(leaf: &Tree, outer: Option<Count>) -> Count {
    let loops = outer.map_or(Some(1.0), |outer| outer.estimated);
    let estimated = leaf.number("rows").zip(loops).map(|(rows, loops)| rows * loops);
    let actual = match (leaf.number("r_loops"), leaf.number("r_rows")) {
        // Read before the statement ran.
        (Some(0.0), None) if leaf.text("access_type") == Some("const") => Some(1.0),
        (Some(0.0), None) => Some(0.0),
        (loops, rows) => rows.zip(loops).map(|(rows, loops)| rows * loops),
    };
    Count { estimated, actual }
}

/// What is left of them after the conditions.
fn filtered(leaf: &Tree, count: Count) -> Count {
    let share = |name| leaf.number(name).unwrap_or(100.0) / 100.0;
    Count {
        estimated: count.estimated.map(|rows| rows * share("filtered")),
        actual: count.actual.map(|rows| rows * share("r_filtered")),
    }
}

fn execution(leaf: &Tree) -> String {
    let time = leaf.number("r_total_time_ms").or_else(|| {
        let (table, other) = (leaf.number("r_table_time_ms"), leaf.number("r_other_time_ms"));
        table.map(|table| table + other.unwrap_or_default())
    });
    let loops = leaf.number("r_loops").map(|loops| format!("loops:{loops:.0}"));
    let time = time
        .map(|millis| if millis < 1.0 { format!("time:{:.1}µs", millis * 1e3) } else { format!("time:{millis:.1}ms") });
    time.into_iter().chain(loops).collect::<Vec<_>>().join(", ")
}

/// An expression without the backticks around its names.
fn plain(expression: &str) -> String {
    let mut quote = None;
    let keep = |character: &char| {
        if matches!(character, '\'' | '"') && quote.is_none_or(|open| open == *character) {
            quote = if quote.is_none() { Some(*character) } else { None };
        }
        *character != '`' || quote.is_some()
    };
    expression.chars().filter(keep).collect()
}

fn smaller(count: Count, limit: u64) -> Count {
    #[expect(clippy::cast_precision_loss, reason = "a LIMIT of 2^53 rows is none")]
    count.map(|rows| rows.min(limit as f64))
}

/// `a, b desc` as TiDB writes it.
fn sorted_by(keys: &str) -> String {
    let direction = |key: &str| match key.rsplit_once(' ') {
        Some((key, word)) if word.eq_ignore_ascii_case("desc") => format!("{key}:desc"),
        Some((key, word)) if word.eq_ignore_ascii_case("asc") => key.to_owned(),
        _ => key.to_owned(),
    };
    plain(keys).split(", ").map(direction).collect::<Vec<_>>().join(", ")
}

/// Whether a lookup takes its values from tables that were read before.
fn is_lookup(leaf: &Tree) -> bool {
    leaf.texts("ref").iter().any(|value| !matches!(*value, "const" | "func"))
}

/// Whether a condition is about no other columns than these.
fn is_about(condition: &str, columns: &[&str]) -> bool {
    let tokens = Statement::read(condition).tokens;
    let after_dot = |pair: &[Token]| match pair {
        [Token::Symbol('.'), Token::Word(name) | Token::Quoted(name)] => Some(name.clone()),
        _ => None,
    };
    let mut named = Vec::new();
    for (at, pair) in tokens.windows(2).enumerate() {
        let goes_on = matches!(tokens.get(at + 2), Some(Token::Symbol('.')));
        named.extend(after_dot(pair).filter(|_| !goes_on));
    }
    !named.is_empty() && named.iter().all(|name| columns.iter().any(|column| column.eq_ignore_ascii_case(name)))
}

impl<'a> Builder<'a> {
    pub(super) fn new(statement: &'a Statement, tables: &'a mut dyn Tables) -> Self {
        Self { tokens: &statement.tokens, shapes: Shapes::read(&statement.tokens), tables }
    }

    /// The plan of a whole statement: of the change that it makes, where it makes one.
    pub(super) fn statement(&mut self, plan: &Tree) -> Node {
        let first = if let Some(Token::Word(word)) = self.tokens.first() { word.as_str() } else { "" };
        let change = match first {
            "INSERT" | "REPLACE" => Some("Insert"),
            "UPDATE" => Some("Update"),
            "DELETE" => Some("Delete"),
            _ => None,
        };
        let query = plan.get("query_block").and_then(|query| self.query(query));
        match change {
            Some(change) => Node::root(change, Count::default(), query.into_iter().collect()),
            None => query.unwrap_or_else(|| Node::root("TableDual", Count::default(), Vec::new())),
        }
    }

    /// What a `query_block` gives; `None` if it reads nothing, as `INSERT ... VALUES` does.
    fn query(&mut self, query: &Tree) -> Option<Node> {
        let union = query.members().find(|(_, member)| member.get("query_specifications").is_some());
        let mut node = if let Some((name, union)) = union {
            self.union(name, union)
        } else {
            let (mut steps, mut items) = (Steps::default(), Vec::new());
            steps.collect(query, Place::default(), &mut items);
            let shape = query.number("select_id").and_then(|id| self.shapes.of(id)).cloned();
            let ordered = shape.as_ref().is_some_and(|shape| shape.end.order.is_some()) && steps.sorts.is_empty();
            let node = self.join(&items, ordered)?;
            let node = self.with_subqueries(node, query);
            finish(node, query, &steps, shape.as_ref())
        };
        if node.execution.is_empty() {
            node.execution = execution(query);
        }
        Some(node)
    }

    fn union(&mut self, name: &str, union: &Tree) -> Node {
        let specifications = union.get("query_specifications").map(Tree::elements).unwrap_or_default();
        let queries: Vec<_> = specifications.iter().filter_map(|item| item.get("query_block")).collect();
        if name == "recursive_union" {
            let parts =
                queries.into_iter().zip(["(Seed Part)"].into_iter().chain(std::iter::repeat("(Recursive Part)")));
            let parts = parts.filter_map(|(query, role)| Some(self.query(query)?.in_role(role))).collect();
            return Node::root("CTE", scanned(union, None), parts).told("Recursive CTE");
        }
        // A table for its rows means that equal ones are one.
        let distinct = union.text("table_name").is_some();
        let mut all: Option<Node> = None;
        for query in queries {
            let Some(next) = self.query(query) else { continue };
            all = Some(match (all, query.text("operation")) {
                (None, _) => next,
                (Some(so_far), Some("EXCEPT")) => set_join("anti semi join", so_far, next),
                (Some(so_far), Some("INTERSECT")) => set_join("semi join", so_far, next),
                (Some(mut so_far), _) if so_far.name == "Union" => {
                    so_far.count = sum(so_far.count, next.count);
                    so_far.children.push(next);
                    so_far
                }
                (Some(so_far), _) => Node::root("Union", sum(so_far.count, next.count), vec![so_far, next]),
            });
        }
        let mut node = all.unwrap_or_else(|| Node::root("Union", Count::default(), Vec::new()));
        if distinct && node.name == "Union" {
            let count = Count { actual: union.number("r_rows"), ..node.count };
            node = Node::root("HashAgg", count, vec![node]).told("group by:all columns");
        }
        let end = std::mem::take(&mut self.shapes.union);
        let keys = end.order.as_deref().map(sorted_by);
        ended(node, keys, &end)
    }

    /// Subqueries that stay apart from the query that they stand in.
    fn with_subqueries(&mut self, mut node: Node, query: &Tree) -> Node {
        for subquery in query.get("subqueries").map(Tree::elements).unwrap_or_default() {
            for query in queries(subquery) {
                let Some(inner) = self.query(query) else { continue };
                let id = query.number("select_id").map_or(String::new(), |id| format!(" #{id:.0}"));
                let children = vec![node.clone().in_role("(Build)"), inner.in_role("(Probe)")];
                node =
                    Node::root("Apply", node.count, children).told(format!("subquery{id} of the operators beside it"));
            }
        }
        node
    }

    fn join(&mut self, items: &[Item<'_>], ordered: bool) -> Option<Node> {
        let mut joined: Option<Node> = None;
        for item in items {
            let keep_order = ordered && joined.is_none();
            let outer = joined.as_ref().map(|joined| joined.count);
            let next = if item.is_query { self.query(item.at) } else { self.item(item.at, keep_order, outer) };
            let Some(mut next) = next else { continue };
            if let Some(key) = item.sort_key {
                next = Node::root("Sort", next.count, vec![next]).told(sorted_by(key));
            }
            joined = Some(match joined {
                None => next,
                Some(outer) => self.pair(outer, next, item),
            });
        }
        joined
    }

    /// Two sides of a join.
    fn pair(&mut self, outer: Node, inner: Node, item: &Item<'_>) -> Node {
        let leaf = item.at;
        let alias = leaf.text("table_name").unwrap_or_default();
        let lookup = is_lookup(leaf) && item.buffer.is_none() && leaf.get("materialized").is_none();
        let optional = table(self.tokens, alias).is_some_and(|table| table.optional);
        let kind = if leaf.says("not_exists") {
            "anti semi join"
        } else if leaf.get("first_match").is_some() || alias.starts_with("<subquery") {
            "semi join"
        } else if optional {
            "left outer join"
        } else {
            "inner join"
        };
        let condition = item.buffer.and_then(|buffer| buffer.text("attached_condition"));
        let keys = leaf.texts("used_key_parts");
        let known = keys.iter().zip(leaf.texts("ref")).filter(|(_, value)| !matches!(*value, "const" | "func"));
        let full = self.full_name(alias);
        let equal: Vec<_> = known.map(|(key, value)| format!("eq({value}, {full}.{key})")).collect();
        let product = |one: Option<f64>, other: Option<f64>| one.zip(other).map(|(one, other)| one * other);
        let mut count = if lookup {
            inner.count
        } else {
            let estimated = if condition.is_some() || !equal.is_empty() {
                outer.count.estimated.zip(inner.count.estimated).map(|(one, other)| one.max(other))
            } else {
                product(outer.count.estimated, inner.count.estimated)
            };
            let share = item.buffer.and_then(|buffer| buffer.number("r_filtered")).map_or(1.0, |share| share / 100.0);
            let all = product(outer.count.actual, inner.count.actual);
            Count { estimated, actual: if equal.is_empty() { all.map(|all| all * share) } else { None } }
        };
        if kind == "left outer join" {
            let most = |count: Option<f64>, least: Option<f64>| count.zip(least).map(|(count, least)| count.max(least));
            count = Count {
                estimated: most(count.estimated, outer.count.estimated),
                actual: most(count.actual, outer.count.actual),
            };
        }
        let name = if lookup { "IndexJoin" } else { "HashJoin" };
        let related = lookup || !keys.is_empty() || condition.is_some();
        let text = if related { kind.to_owned() } else { format!("CARTESIAN {kind}") };
        let mut node = Node::root(name, count, vec![outer.in_role("(Build)"), inner.in_role("(Probe)")]).told(text);
        if lookup {
            node = node.naming("inner:", 1);
        }
        if !equal.is_empty() {
            node = node.told(format!("equal:[{}]", equal.join(" ")));
        }
        node.told(condition.map(|condition| format!("other cond:{}", plain(condition))).unwrap_or_default())
    }

    /// One `table` of MariaDB's plan.
    fn item(&mut self, leaf: &Tree, keep_order: bool, outer: Option<Count>) -> Option<Node> {
        if let Some(message) = leaf.text("message") {
            return Some(self.without_table(message));
        }
        let node = if let Some(query) = leaf.get("materialized").and_then(|inner| queries(inner).into_iter().next()) {
            self.query(query)?
        } else {
            // The target of `INSERT ... VALUES` is not read.
            leaf.text("access_type")?;
            let outer = outer.filter(|_| is_lookup(leaf));
            let mut node = self.access(leaf, keep_order, outer);
            let partitions = leaf.texts("partitions");
            if node.access.is_empty() && !partitions.is_empty() {
                node.access = format!("partition:{}", partitions.join(","));
            }
            return Some(node);
        };
        let count = node.count;
        Some(filtered_at_root(node, leaf, count))
    }

    /// MariaDB says in words why no table is read.
    fn without_table(&mut self, message: &str) -> Node {
        let one = Count { estimated: Some(1.0), actual: Some(1.0) };
        let dual = |rows: f64| {
            let count = Count { estimated: Some(rows), actual: Some(rows) };
            Node::new("TableDual", Task::Root, count).told(format!("rows:{rows:.0}"))
        };
        match message {
            "No tables used" => Node::root("Projection", one, vec![dual(1.0)]),
            "Deleting all rows" => {
                let last = self.tokens.iter().rev().find_map(|token| match token {
                    Token::Word(word) => Some(word.to_lowercase()),
                    Token::Quoted(name) => Some(name.clone()),
                    _ => None,
                });
                let name = last.unwrap_or_default();
                let schema = table(self.tokens, &name).and_then(|table| table.schema);
                let count = Count { estimated: self.tables.row_count(schema.as_deref(), &name), actual: None };
                let scan = Node::new("TableFullScan", Task::Cop, count);
                let scan = scan.on(format!("table:{name}")).told("keep order:false");
                reader("TableReader", "data:", scan, count)
            }
            // The ends of an index answer MIN and MAX.
            "Select tables optimized away" => dual(1.0).told(message),
            _ => dual(0.0).told(message),
        }
    }

    /// A table's name as MariaDB writes it before its columns.
    fn full_name(&self, alias: &str) -> String {
        match table(self.tokens, alias).and_then(|table| table.schema) {
            Some(schema) => format!("{schema}.{alias}"),
            None => alias.to_owned(),
        }
    }

    /// `table:alias`, and the index with its columns.
    fn object(&mut self, leaf: &Tree, key: Option<&str>, parts: &[&str]) -> String {
        let alias = leaf.text("table_name").unwrap_or_default();
        let Some(key) = key.filter(|key| *key != "PRIMARY") else { return format!("table:{alias}") };
        let all = table(self.tokens, alias).map(|table| self.tables.index_columns(&table, key)).unwrap_or_default();
        let known = all.len() >= parts.len() && all.iter().zip(parts).all(|(all, part)| all.eq_ignore_ascii_case(part));
        let columns = if known { all.join(", ") } else { parts.join(", ") };
        format!("table:{alias}, index:{key}({columns})")
    }

    /// How a table is read.
    fn access(&mut self, leaf: &Tree, keep_order: bool, outer: Option<Count>) -> Node {
        let count = scanned(leaf, outer);
        let kind = leaf.text("access_type").unwrap_or_default().trim_start_matches("hash_");
        let key = leaf.text("key").map(|key| key.trim_start_matches("#hash#$hj").trim_start_matches(':'));
        let key = key.filter(|key| !key.is_empty() && !matches!(kind, "ALL" | "system"));
        let parts = leaf.texts("used_key_parts");
        let name = leaf.text("table_name").unwrap_or_default();
        if name.starts_with('<') {
            let node = Node::new("CTEFullScan", Task::Root, count).on(format!("CTE:{}", name.trim_matches(['<', '>'])));
            return filtered_at_root(node, leaf, count);
        }
        if kind == "index_merge" {
            return self.merged(leaf, count);
        }
        let object = self.object(leaf, key, &parts);
        let order = if keep_order { "keep order:true" } else { "keep order:false" };
        let Some(key) = key else {
            let scan = Node::new("TableFullScan", Task::Cop, count).on(object).told(order);
            return read("TableReader", "data:", scan, leaf, leaf.text("attached_condition"), count);
        };
        if kind == "const" {
            let full = self.full_name(name);
            let keys: Vec<_> = parts.iter().map(|part| format!("{full}.{part}")).collect();
            let what = if key == "PRIMARY" { "handle" } else { "index" };
            let get = Node::new("Point_Get", Task::Root, count).on(object).told(format!("{what}:{}", keys.join(", ")));
            return filtered_at_root(get, leaf, count);
        }
        // What decides the range filters nothing more.
        let constant = kind == "range" || (kind.starts_with("ref") && !is_lookup(leaf));
        let condition = leaf.text("attached_condition");
        let spent = condition.filter(|condition| constant && is_about(condition, &parts));
        let condition = condition.filter(|_| spent.is_none());
        let decided = spent.map_or_else(|| deciding(leaf, &self.full_name(name), &parts), plain);
        let range = if kind == "index" { String::new() } else { format!("range: decided by [{decided}]") };
        let scan = match (kind, key) {
            ("index", "PRIMARY") => "TableFullScan",
            ("index", _) => "IndexFullScan",
            (_, "PRIMARY") => "TableRangeScan",
            _ => "IndexRangeScan",
        };
        let scan = Node::new(scan, Task::Cop, count).on(object).told(range).told(order);
        by_key(key, scan, leaf, condition, count)
    }

    /// Several indexes of one table.
    fn merged(&mut self, leaf: &Tree, count: Count) -> Node {
        let mut ranges = Vec::new();
        gather_ranges(leaf.get("index_merge"), &mut ranges);
        let mut scans = Vec::new();
        for range in ranges {
            let parts = range.texts("used_key_parts");
            let object = self.object(leaf, range.text("key"), &parts);
            let scan = Node::new("IndexRangeScan", Task::Cop, Count::default()).on(object);
            scans.push(scan.told(format!("range: decided by [{}]", parts.join(", "))).told("keep order:false"));
        }
        let alias = leaf.text("table_name").unwrap_or_default();
        let rows = Node::new("TableRowIDScan", Task::Cop, count).on(format!("table:{alias}")).told("keep order:false");
        look_up("IndexMerge", scans, rows, leaf, leaf.text("attached_condition"), count).told("type: union")
    }
}

/// A reader of a scan, with the filter between them.
fn read(
    name: &'static str,
    what: &'static str,
    scan: Node,
    leaf: &Tree,
    condition: Option<&str>,
    count: Count,
) -> Node {
    let left = filtered(leaf, count);
    let below = match condition {
        Some(condition) => selection(scan, condition, left),
        None => scan,
    };
    let mut node = reader(name, what, below, left);
    node.execution = execution(leaf);
    node
}

/// A reader of a scan by this key: of the table, of the index alone, or of both.
fn by_key(key: &str, scan: Node, leaf: &Tree, condition: Option<&str>, count: Count) -> Node {
    if key == "PRIMARY" {
        return read("TableReader", "data:", scan, leaf, condition, count);
    }
    if leaf.says("using_index") || leaf.says("using_index_for_group_by") {
        return read("IndexReader", "index:", scan, leaf, condition, count);
    }
    let parts = leaf.texts("used_key_parts");
    let build = match leaf.text("index_condition").filter(|condition| !is_about(condition, &parts)) {
        Some(condition) => selection(scan, condition, count),
        None => scan,
    };
    let name = leaf.text("table_name").unwrap_or_default();
    let rows = Node::new("TableRowIDScan", Task::Cop, count).on(format!("table:{name}")).told("keep order:false");
    look_up("IndexLookUp", vec![build], rows, leaf, condition, count)
}

/// Rows of no storage, filtered by the condition that MariaDB attached.
fn filtered_at_root(node: Node, leaf: &Tree, count: Count) -> Node {
    match leaf.text("attached_condition") {
        Some(condition) => Node::root("Selection", filtered(leaf, count), vec![node]).told(plain(condition)),
        None => node,
    }
}

/// What decides which part of an index is read.
fn deciding(leaf: &Tree, alias: &str, parts: &[&str]) -> String {
    let values = leaf.texts("ref");
    if values.is_empty() {
        let condition = ["index_condition", "attached_condition"].into_iter().filter_map(|name| leaf.text(name));
        let names = || parts.iter().map(|part| format!("{alias}.{part}")).collect::<Vec<_>>().join(", ");
        return condition.filter(|condition| is_about(condition, parts)).map(plain).next().unwrap_or_else(names);
    }
    parts.iter().zip(values).map(|(part, value)| format!("eq({alias}.{part}, {value})")).collect::<Vec<_>>().join(", ")
}

fn gather_ranges<'a>(value: Option<&'a Tree>, ranges: &mut Vec<&'a Tree>) {
    let Some(value) = value else { return };
    for element in value.elements() {
        gather_ranges(Some(element), ranges);
    }
    for (name, member) in value.members() {
        if name == "range" { ranges.push(member) } else { gather_ranges(Some(member), ranges) }
    }
}

/// A filter where the rows are.
fn selection(below: Node, condition: &str, count: Count) -> Node {
    Node { children: vec![below], ..Node::new("Selection", Task::Cop, count) }.told(plain(condition))
}

fn reader(name: &'static str, what: &'static str, below: Node, count: Count) -> Node {
    Node::root(name, count, vec![below]).naming(what, 0)
}

/// Indexes that say which rows of a table are read.
fn look_up(
    name: &'static str,
    indexes: Vec<Node>,
    rows: Node,
    leaf: &Tree,
    condition: Option<&str>,
    count: Count,
) -> Node {
    let left = filtered(leaf, count);
    let probe = match condition {
        Some(condition) => selection(rows, condition, left),
        None => rows,
    };
    let indexes = indexes.into_iter().map(|index| index.in_role("(Build)"));
    let mut node = Node::root(name, left, indexes.chain([probe.in_role("(Probe)")]).collect());
    node.execution = execution(leaf);
    node
}

fn set_join(kind: &str, one: Node, other: Node) -> Node {
    let count = Count { actual: None, ..one.count };
    Node::root("HashJoin", count, vec![one.in_role("(Probe)"), other.in_role("(Build)")]).told(kind)
}

fn sum(one: Count, other: Count) -> Count {
    let add = |one: Option<f64>, other: Option<f64>| one.zip(other).map(|(one, other)| one + other);
    Count { estimated: add(one.estimated, other.estimated), actual: add(one.actual, other.actual) }
}

/// The rows of the tables, grouped, filtered, sorted and cut as the statement says.
fn finish(mut node: Node, query: &Tree, steps: &Steps<'_>, shape: Option<&Shape>) -> Node {
    let output = steps.sorts.first().and_then(|sort| sort.number("r_output_rows"));
    let default = Shape::default();
    let known = shape.unwrap_or(&default);
    let functions =
        if known.aggregates.is_empty() { String::new() } else { format!("funcs:{}", known.aggregates.join(", ")) };
    let some = |count: Count| Count { actual: output, ..count.map(|rows| rows * DISTINCT_SHARE) };
    if let Some(group) = &known.group {
        // An index gives the groups one after the other.
        let name = if steps.temporary || !steps.sorts.is_empty() { "HashAgg" } else { "StreamAgg" };
        node = Node::root(name, some(node.count), vec![node]).told(format!("group by:{group}")).told(functions);
    } else if !known.aggregates.is_empty() {
        let one = node.count.map(|_| 1.0);
        node = Node::root("StreamAgg", one, vec![node]).told(functions);
    } else if shape.is_none() && steps.temporary {
        node = Node::root("HashAgg", some(node.count), vec![node]);
    }
    if let Some(condition) = query.text("having_condition") {
        node = Node::root("Selection", node.count, vec![node]).told(plain(condition));
    }
    if let Some(keys) = &steps.windows {
        for key in keys {
            node = Node::root("Sort", node.count, vec![node]).told(sorted_by(key));
        }
        node = Node::root("Window", node.count, vec![node]).told(known.windows.join(", "));
    }
    if known.distinct || steps.distinct {
        node = Node::root("HashAgg", some(node.count), vec![node]).told("group by:all columns");
    }
    let wants = shape.is_none_or(|shape| shape.end.order.is_some());
    let key = steps.sorts.first().filter(|_| wants).and_then(|sort| sort.text("sort_key"));
    ended(node, key.map(sorted_by), &known.end)
}

/// Sorted by `keys` where they are given, and cut.
fn ended(node: Node, keys: Option<String>, end: &End) -> Node {
    let cut = end.limit.map(|(offset, count)| format!("offset:{offset}, count:{count}"));
    let (name, most) = match (&keys, end.limit) {
        (Some(_), Some((_, count))) => ("TopN", count),
        (Some(_), None) => ("Sort", u64::MAX),
        (None, Some((_, count))) => ("Limit", count),
        (None, None) => return node,
    };
    let count = smaller(node.count, most);
    let told = |node: Node| node.told(keys.clone().unwrap_or_default()).told(cut.clone().unwrap_or_default());
    let mut node = node;
    // Where the rows are, so that fewer of them travel.
    if most < u64::MAX
        && matches!(node.name, "TableReader" | "IndexReader")
        && let Some(below) = node.children.pop()
    {
        let most = end.limit.map_or(u64::MAX, |(offset, count)| offset.saturating_add(count));
        let below = Node { children: vec![below], ..Node::new(name, Task::Cop, smaller(node.count, most)) };
        node.count = smaller(node.count, most);
        node.children.push(told(below));
    }
    told(Node::root(name, count, vec![node]))
}
