//! Finding tools that are not listed, and the relay that runs those of them that read.

use serde_json::{Map, Value};

use super::{
    arguments, code,
    entry::{Effect, Entry},
    rank::{Document, rank},
    toolbox::{Called, Catalogue},
    toolset::Toolset,
    view::View,
};
use crate::{base::scope::Scope, mcp::outcome::ToolError};

/// Name of the tool that runs another one which only reads.
pub(crate) const RELAY: &str = "tidbcloud_run_read_tool";

/// Tools in one answer: five schemas are some 4 KB of the 18 that an answer may have.
const FOUND_MAX: usize = 5;

/// A tool that fits what was asked for.
pub(crate) struct Found {
    pub(crate) tool: &'static Entry,
    /// How this caller can call it.
    pub(crate) way: Way,
    /// Its arguments, unless `tools/list` has them.
    pub(crate) input_schema: Option<Value>,
}

/// How a caller can call a tool.
pub(crate) enum Way {
    /// By its name: it is listed.
    Listed,
    /// Through the relay.
    Relay,
    /// Where another address lists it.
    At(String),
    /// After the person has connected again and allowed more, at another address if need be.
    Consent(Scope, Option<String>),
}

impl Catalogue {
    /// The tool that runs others.
    pub(super) fn relay(&self) -> Option<&Entry> {
        self.entries().iter().find(|tool| tool.name() == RELAY)
    }

    /// The tool that a call means. A call of the relay that names a tool which reads is from here on a call of that tool, so
    /// that scope, narrowing, limits and log see it as one. Any other call of the relay fails as the relay's own.
    pub fn find(&'static self, name: &str, arguments: &mut Map<String, Value>) -> Option<Called> {
        let tool = self.tool(name)?;
        arguments::normalize(tool, arguments);
        let inner = if name == RELAY { self.relayed(arguments) } else { None };
        let Some((tool, inner)) = inner else { return Some(Called { tool, is_relayed: false }) };
        *arguments = inner;
        arguments::normalize(tool, arguments);
        Some(Called { tool, is_relayed: true })
    }

    /// The tool that the relay shall run, and its arguments.
    fn relayed(&self, outer: &mut Map<String, Value>) -> Option<(&Entry, Map<String, Value>)> {
        let tool = self.tool(outer.get("name")?.as_str()?)?;
        if !may_relay(tool) {
            // It is refused whatever they are.
            outer.remove("arguments");
            return None;
        }
        if outer.keys().any(|name| name != "name" && name != "arguments") {
            return None;
        }
        match outer.remove("arguments") {
            None => Some((tool, Map::new())),
            Some(Value::Object(inner)) => Some((tool, inner)),
            Some(other) => {
                outer.insert("arguments".to_owned(), other);
                None
            }
        }
    }
}

fn may_relay(tool: &Entry) -> bool {
    tool.effect == Effect::Read && tool.toolset != Toolset::Finder
}

impl View<'_> {
    /// The tools within reach that fit a query best.
    pub(crate) fn find(&self, query: &str) -> Vec<Found> {
        let tools = self.catalogue.entries().iter().filter(|tool| tool.toolset != Toolset::Finder);
        let tools: Vec<_> = tools.filter(|tool| self.narrowing.reaches(tool)).collect();
        let documents: Vec<_> = tools.iter().map(|tool| Document::of(&tool.definition)).collect();
        let best = rank(&documents, query).into_iter().filter_map(|at| tools.get(at).copied());
        let found = best.take(FOUND_MAX).map(|tool| {
            let way = self.way(tool);
            let shows = !matches!(way, Way::Listed);
            let input_schema = shows.then(|| self.definition(tool).input_schema);
            Found { tool, way, input_schema }
        });
        found.collect()
    }

    fn way(&self, tool: &Entry) -> Way {
        let address = || (!self.narrowing.lists(tool)).then(|| self.address_of(tool));
        if !self.covers(tool) {
            Way::Consent(tool.effect.least_scope(), address())
        } else if self.narrowing.lists(tool) {
            Way::Listed
        } else if may_relay(tool) {
            Way::Relay
        } else {
            Way::At(self.address_of(tool))
        }
    }

    /// The error of a call of the relay that names no tool which it runs here.
    pub(crate) fn not_relayed(&self, name: &str) -> ToolError {
        let tool = self.catalogue.tool(name).filter(|tool| self.narrowing.reaches(tool));
        match tool {
            Some(tool) if tool.toolset == Toolset::Finder => {
                ToolError::new(code::INVALID_ARGUMENT, format!("`name`: `{}` is listed.", tool.name()))
                    .hint("Call it by its own name.")
            }
            Some(tool) if tool.effect != Effect::Read => {
                let message = format!("`{}` changes something, and {RELAY} only runs tools that read.", tool.name());
                let hint = match self.way(tool) {
                    Way::Listed | Way::Relay => "Call it by its own name.".to_owned(),
                    Way::At(address) => format!("The person connects at {address}, which lists it."),
                    Way::Consent(scope, None) => format!("The person connects again and allows `{scope}`."),
                    Way::Consent(scope, Some(address)) => {
                        format!("The person connects at {address} and allows `{scope}`.")
                    }
                };
                ToolError::new(code::READ_ONLY_VIOLATION, message).hint(hint)
            }
            _ => ToolError::new(code::NOT_FOUND, "`name` names no tool that this connection reaches.")
                .hint("Call tidbcloud_find_tools to see their names."),
        }
    }
}
