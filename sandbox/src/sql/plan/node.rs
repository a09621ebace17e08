//! A plan in TiDB's form, and how it is printed.
//!
//! <https://docs.pingcap.com/tidb/stable/explain-overview>, <https://docs.pingcap.com/tidb/stable/sql-statement-explain-analyze>

use serde::Serialize;

use super::Format;
use crate::exchange::Column;

/// What cannot be told.
const UNKNOWN: &str = "N/A";

/// How many rows an operator gives.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Count {
    pub(super) estimated: Option<f64>,
    /// Over all loops, as TiDB counts; where the statement ran and MariaDB tells.
    pub(super) actual: Option<f64>,
}

impl Count {
    /// The same after a change of either number.
    pub(super) fn map(self, change: impl Fn(f64) -> f64) -> Self {
        Self { estimated: self.estimated.map(&change), actual: self.actual.map(&change) }
    }
}

/// Where an operator runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Task {
    Root,
    Cop,
}

/// A part of an operator's description.
#[derive(Clone, Debug)]
pub(super) enum Part {
    Text(String),
    /// What is written, and which child's name comes after it.
    Child(&'static str, usize),
}

/// An operator with those below it.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) name: &'static str,
    /// What the operator above uses it for, such as `(Build)`.
    pub(super) role: &'static str,
    pub(super) count: Count,
    pub(super) task: Task,
    pub(super) access: String,
    pub(super) info: Vec<Part>,
    /// Time and number of loops, where MariaDB tells.
    pub(super) execution: String,
    pub(super) children: Vec<Node>,
}

impl Node {
    pub(super) fn new(name: &'static str, task: Task, count: Count) -> Self {
        Self {
            name,
            role: "",
            count,
            task,
            access: String::new(),
            info: Vec::new(),
            execution: String::new(),
            children: Vec::new(),
        }
    }

    pub(super) fn root(name: &'static str, count: Count, children: Vec<Node>) -> Self {
        Self { children, ..Self::new(name, Task::Root, count) }
    }

    pub(super) fn told(mut self, info: impl Into<String>) -> Self {
        let info = info.into();
        if !info.is_empty() {
            self.info.push(Part::Text(info));
        }
        self
    }

    pub(super) fn naming(mut self, what: &'static str, child: usize) -> Self {
        self.info.push(Part::Child(what, child));
        self
    }

    pub(super) fn on(mut self, access: impl Into<String>) -> Self {
        self.access = access.into();
        self
    }

    pub(super) fn in_role(mut self, role: &'static str) -> Self {
        self.role = role;
        self
    }
}

/// An operator as `FORMAT = 'tidb_json'` prints it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Operator {
    id: String,
    est_rows: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    act_rows: Option<String>,
    task_type: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    access_object: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    execute_info: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    operator_info: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_info: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disk_info: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sub_operators: Vec<Operator>,
    #[serde(skip)]
    role: &'static str,
}

/// Numbers operators unless the format leaves numbers out.
struct Printer {
    numbered: bool,
    analyzed: bool,
    last: usize,
}

impl Printer {
    fn operator(&mut self, node: &Node) -> Operator {
        self.last += 1;
        let id = if self.numbered { format!("{}_{}", node.name, self.last) } else { node.name.to_owned() };
        let sub_operators: Vec<_> = node.children.iter().map(|child| self.operator(child)).collect();
        let part = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Child(what, child) => {
                format!("{what}{}", sub_operators.get(*child).map_or("", |child| child.id.as_str()))
            }
        };
        let operator_info = node.info.iter().map(part).collect::<Vec<_>>().join(", ");
        let known = |text: String| if text.is_empty() { UNKNOWN.to_owned() } else { text };
        let count =
            |count: Option<f64>, decimals| count.map_or(UNKNOWN.to_owned(), |count| format!("{count:.decimals$}"));
        Operator {
            id,
            est_rows: count(node.count.estimated, 2),
            act_rows: self.analyzed.then(|| count(node.count.actual, 0)),
            task_type: if node.task == Task::Root { "root" } else { "cop[tikv]" },
            access_object: node.access.clone(),
            execute_info: self.analyzed.then(|| known(node.execution.clone())),
            operator_info,
            memory_info: self.analyzed.then_some(UNKNOWN),
            disk_info: self.analyzed.then_some(UNKNOWN),
            sub_operators,
            role: node.role,
        }
    }
}

type Rows = Vec<Vec<Option<String>>>;

/// Columns and rows of a plan.
pub(crate) type Printed = (Vec<Column>, Rows);

/// Adds an operator and those below it: `before` stands before its own name, `below` before the names below it.
fn add_rows(operator: Operator, before: &str, below: &str, verbose: bool, rows: &mut Rows) {
    let id = format!("{before}{}{}", operator.id, operator.role);
    let cost = verbose.then(|| UNKNOWN.to_owned());
    let memory = operator.memory_info.map(str::to_owned);
    let disk = operator.disk_info.map(str::to_owned);
    let cells = [Some(id), Some(operator.est_rows), cost, operator.act_rows, Some(operator.task_type.to_owned())];
    let others = [Some(operator.access_object), operator.execute_info, Some(operator.operator_info), memory, disk];
    rows.push(cells.into_iter().chain(others).flatten().map(Some).collect());
    let count = operator.sub_operators.len();
    for (at, child) in operator.sub_operators.into_iter().enumerate() {
        let (own, further) = if at + 1 == count { ("└─", "  ") } else { ("├─", "│ ") };
        add_rows(child, &format!("{below}{own}"), &format!("{below}{further}"), verbose, rows);
    }
}

/// A plan as this format has it.
pub(super) fn print(plan: &Node, format: Format, analyzed: bool) -> Printed {
    let mut printer = Printer { numbered: format != Format::Brief, analyzed, last: 0 };
    let operator = printer.operator(plan);
    let column = |name: &str| Column { name: name.to_owned(), kind: "CHAR".to_owned(), nullable: true };
    if format == Format::Json {
        let mut text = Vec::new();
        let indented = serde_json::ser::PrettyFormatter::with_indent(b"    ");
        let written = [operator].serialize(&mut serde_json::Serializer::with_formatter(&mut text, indented));
        let text = written.ok().and_then(|()| String::from_utf8(text).ok());
        return (vec![column("TiDB_JSON")], vec![vec![text]]);
    }
    let verbose = format == Format::Verbose;
    let names: &[(&str, bool)] = &[
        ("id", true),
        ("estRows", true),
        ("estCost", verbose),
        ("actRows", analyzed),
        ("task", true),
        ("access object", true),
        ("execution info", analyzed),
        ("operator info", true),
        ("memory", analyzed),
        ("disk", analyzed),
    ];
    let mut rows = Rows::new();
    add_rows(operator, "", "", verbose, &mut rows);
    (names.iter().filter(|(_, there)| *there).map(|(name, _)| column(name)).collect(), rows)
}
