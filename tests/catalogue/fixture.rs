//! The catalogue that the server grows to: a row of `tests/cases/catalogue.tsv` for each tool. A tool equals its row, so what
//! is tried on the whole catalogue today holds for each tool that comes.

use std::{collections::BTreeSet, fs};

use mcp_server_tidbcloud::{
    catalogue::{Effect, Entry},
    tools,
};
use serde_json::Value;

use crate::{Problems, support::checkout};

/// Where the rows are.
pub const FILE: &str = "tests/cases/catalogue.tsv";

const COLUMNS: [&str; 9] =
    ["toolset", "default", "effect", "name", "title", "description", "arguments", "later", "why"];

/// A tool, whether the server has it or not.
pub struct Row {
    pub toolset: String,
    /// Whether it is listed where an address names no toolset.
    pub default: bool,
    pub effect: String,
    pub name: String,
    pub title: String,
    pub description: String,
    pub arguments: Vec<Argument>,
    /// Arguments that the server does not have yet, though it has the tool.
    pub later: Vec<String>,
    /// Why the row is not what was first planned.
    pub why: String,
}

/// An argument; one without values takes any of its type.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Argument {
    pub name: String,
    pub is_required: bool,
    pub values: BTreeSet<String>,
}

impl Argument {
    /// From `name`, `name*` for a required one, or `name(a|b)` with its values.
    fn parse(text: &str) -> Result<Self, String> {
        let (head, values) = match text.split_once('(') {
            Some((head, rest)) => {
                let values = rest.strip_suffix(')').ok_or_else(|| format!("`{text}` lacks its closing bracket"))?;
                (head, values.split('|').map(str::to_owned).collect())
            }
            None => (text, BTreeSet::new()),
        };
        let name = head.strip_suffix('*').unwrap_or(head);
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) || values.contains("") {
            return Err(format!("`{text}` is not `name`, `name*` or `name(a|b)`"));
        }
        Ok(Self { name: name.to_owned(), is_required: head.ends_with('*'), values })
    }

    /// The arguments that a tool takes.
    fn of(tool: &Entry) -> Vec<Self> {
        let schema = &tool.definition.input_schema;
        let required: Vec<&Value> = schema["required"].as_array().into_iter().flatten().collect();
        let properties = schema["properties"].as_object().into_iter().flatten();
        properties
            .map(|(name, schema)| Self {
                name: name.clone(),
                is_required: required.iter().any(|required| *required == name),
                values: schema["enum"].as_array().into_iter().flatten().filter_map(text).collect(),
            })
            .collect()
    }

    /// As the file writes it.
    fn written(&self) -> String {
        let star = if self.is_required { "*" } else { "" };
        let values = self.values.iter().cloned().collect::<Vec<_>>().join("|");
        let values = if values.is_empty() { values } else { format!("({values})") };
        format!("{}{star}{values}", self.name)
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(", ").filter(|item| !item.is_empty())
}

impl Row {
    fn parse(line: &str) -> Result<Self, String> {
        let cells: Vec<&str> = line.split('\t').collect();
        let [toolset, default, effect, name, title, description, arguments, later, why] = cells[..] else {
            return Err(format!("it has {} columns, not the {} of the header", cells.len(), COLUMNS.len()));
        };
        let default = match default {
            "yes" => true,
            "" => false,
            other => return Err(format!("`default` is `yes` or empty, not `{other}`")),
        };
        let row = Self {
            toolset: toolset.to_owned(),
            default,
            effect: effect.to_owned(),
            name: name.to_owned(),
            title: title.to_owned(),
            description: description.to_owned(),
            arguments: list(arguments).map(Argument::parse).collect::<Result<_, _>>()?,
            later: list(later).map(str::to_owned).collect(),
            why: why.to_owned(),
        };
        match row.later.iter().find(|later| row.arguments.iter().all(|argument| argument.name != **later)) {
            Some(later) => Err(format!("`later` names `{later}`, which is not among `arguments`")),
            None => Ok(row),
        }
    }

    /// All of them, in the order of the file.
    pub fn all() -> Vec<Self> {
        let text = fs::read_to_string(checkout().join(FILE)).unwrap_or_else(|error| panic!("{FILE}: {error}"));
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some(COLUMNS.join("\t").as_str()), "the first line of {FILE} names the columns");
        lines
            .enumerate()
            .map(|(index, line)| {
                Self::parse(line).unwrap_or_else(|problem| panic!("{FILE}, line {}: {problem}", index + 2))
            })
            .collect()
    }

    /// The tool, if the server has it.
    pub fn tool(&self) -> Option<&'static Entry> {
        tools::ALL.entries().iter().find(|tool| tool.name() == self.name)
    }

    /// Notes each difference between the row and its tool.
    fn compare(&self, tool: &Entry, problems: &mut Problems) {
        let name = &self.name;
        for (what, is, row) in [
            ("toolset", tool.toolset.name(), &self.toolset),
            ("effect", effect(tool.effect), &self.effect),
            ("title", tool.definition.title, &self.title),
        ] {
            problems.unless(is == row, || format!("`{name}`: its {what} is `{is}`, and `{row}` in its row of {FILE}"));
        }
        let listed = |is: bool| if is { "listed" } else { "not listed" };
        problems.unless(tool.toolset.is_default() == self.default, || {
            let (is, row) = (listed(tool.toolset.is_default()), listed(self.default));
            format!("`{name}`: by default it is {is}, and {row} in its row of {FILE}")
        });
        let taken = Argument::of(tool);
        for argument in &taken {
            let written = argument.written();
            let Some(row) = self.arguments.iter().find(|row| row.name == argument.name) else {
                problems.unless(false, || format!("`{name}` takes `{written}`, which is not in its row of {FILE}"));
                continue;
            };
            problems.unless(argument == row, || {
                format!("`{name}` takes `{written}`, and its row of {FILE} says `{}`", row.written())
            });
            problems.unless(!self.later.contains(&argument.name), || {
                format!("`{name}` takes `{written}` now: drop it from `later` in its row of {FILE}")
            });
        }
        for row in self.arguments.iter().filter(|row| !self.later.contains(&row.name)) {
            problems.unless(taken.iter().any(|argument| argument.name == row.name), || {
                format!("`{name}` does not take `{}`, which is in its row of {FILE}", row.written())
            });
        }
    }
}

/// An effect, as the file writes it.
fn effect(effect: Effect) -> &'static str {
    match effect {
        Effect::Read => "read",
        Effect::Create => "create",
        Effect::Update => "update",
        Effect::Execute => "execute",
        Effect::Destroy => "destroy",
    }
}

#[test]
fn every_tool_is_as_its_row_says() {
    let rows = Row::all();
    let mut problems = Problems::default();
    for tool in tools::ALL.entries() {
        match rows.iter().find(|row| row.name == tool.name()) {
            Some(row) => row.compare(tool, &mut problems),
            None => problems.unless(false, || format!("`{}` has no row in {FILE}: add one", tool.name())),
        }
    }
    problems.none();
}

#[test]
fn every_row_is_a_tool_that_the_rules_allow() {
    let rows = Row::all();
    let mut problems = Problems::default();
    let mut names = BTreeSet::new();
    for row in &rows {
        let name = &row.name;
        problems.unless(names.insert(name), || format!("{FILE} has two rows of `{name}`"));
        problems.unless(name.len() <= 36 && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), || {
            format!("`{name}`: a tool's name has at most 36 characters, lower-case letters and `_`")
        });
        problems.unless(!row.title.is_empty(), || format!("`{name}` has no title, which is its name for people"));
        problems.unless((1..=300).contains(&row.description.len()), || {
            format!("`{name}`: a description has at most 300 characters; this has {}", row.description.len())
        });
        problems.unless(row.arguments.len() <= 8, || {
            format!("`{name}`: a tool takes at most 8 arguments; this takes {}", row.arguments.len())
        });
        problems.unless(["read", "create", "update", "execute", "destroy"].contains(&row.effect.as_str()), || {
            format!("`{name}`: `{}` is no effect", row.effect)
        });
        problems.unless(row.later.is_empty() || row.tool().is_some(), || {
            format!("`{name}` is not built yet, so `later` says nothing: leave it empty")
        });
        let first = rows.iter().find(|other| other.toolset == row.toolset);
        problems.unless(first.is_some_and(|first| first.default == row.default), || {
            format!("`{name}`: a toolset is listed by default as a whole or not at all; {} is not", row.toolset)
        });
    }
    problems.none();
}
