//! What a model reads: each view of the catalogue with its tools, tokens and bytes, exact, and what every view keeps to.

use std::{collections::BTreeSet, fmt::Write};

use mcp_server_tidbcloud::{
    catalogue::{Effect, Toolset},
    tools,
};
use serde_json::{Value, json};

use crate::{
    Problems, REGENERATE, documents, is_current,
    support::{
        Call, Driver, checkout,
        oauth::{Flow, with_token},
        request,
    },
    world::Native,
};

/// Where the table is.
const FILE: &str = "tests/snapshots/catalogue.tsv";

/// A view: what an address leaves, and the scope of the token; keys have none and are shown what every scope is.
struct View {
    name: String,
    query: String,
    scope: Option<&'static str>,
}

/// What a view may cost at most.
struct Ceiling {
    query: &'static str,
    scope: Option<&'static str>,
    tools: Option<usize>,
    tokens: usize,
    bytes: usize,
}

/// The catalogue grows to some 80 tools, of which 27 are listed by default, within these.
const CEILINGS: [Ceiling; 4] = [
    Ceiling { query: "", scope: None, tools: Some(27), tokens: 2_700, bytes: 22_000 },
    Ceiling { query: "", scope: Some("tidb:read"), tools: None, tokens: 1_350, bytes: 12_000 },
    Ceiling { query: "?cluster=shop", scope: Some("tidb:read"), tools: None, tokens: 900, bytes: 9_000 },
    Ceiling { query: "?toolsets=all", scope: None, tools: Some(85), tokens: 6_800, bytes: 54_000 },
];

/// Hosts show a model at most so many characters of the instructions.
const INSTRUCTIONS_MAX: usize = 512;

impl View {
    fn all() -> Vec<Self> {
        let named = |name: &str, query: &str| (name.to_owned(), query.to_owned());
        let mut addresses = vec![
            named("default", ""),
            named("one cluster fixed", "?cluster=shop"),
            named("one branch fixed", "?cluster=shop&branch=twig"),
            named("read-only", "?readonly=true"),
            named("every toolset", "?toolsets=all"),
        ];
        for toolset in Toolset::ALL.iter().map(|toolset| toolset.name()) {
            addresses.push((format!("toolset {toolset}"), format!("?toolsets={toolset}")));
        }
        let scopes = [None, Some("tidb:write"), Some("tidb:read")];
        let view = |(name, query): &(String, String), scope| View { name: name.clone(), query: query.clone(), scope };
        addresses.iter().flat_map(|address| scopes.map(|scope| view(address, scope))).collect()
    }

    fn call(&self, tokens: &Tokens, method: &str) -> Call {
        let call = request("2026-07-28", "owner", method, json!({})).to(&format!("/mcp{}", self.query));
        match self.scope {
            None => call,
            Some(scope) => with_token(call, tokens.of(scope)),
        }
    }

    /// The tools in it.
    fn tools(&self, server: &mut Native, tokens: &Tokens) -> Vec<Value> {
        server.advance(5);
        let answer = server.send(self.call(tokens, "tools/list")).json();
        answer["result"]["tools"].as_array().unwrap_or_else(|| panic!("{}: {answer}", self.query)).clone()
    }

    fn who(&self) -> &'static str {
        self.scope.unwrap_or("every scope")
    }

    fn ceiling(&self) -> Option<&'static Ceiling> {
        CEILINGS.iter().find(|ceiling| ceiling.query == self.query && ceiling.scope == self.scope)
    }
}

/// An access token of each scope that hides something.
struct Tokens([(&'static str, String); 2]);

impl Tokens {
    fn new(server: &mut Native) -> Self {
        let mut token = |scope| (scope, Flow::new(server).tokens(server, scope).access);
        Self([token("tidb:read"), token("tidb:write")])
    }

    fn of(&self, scope: &str) -> &str {
        self.0.iter().find(|(name, _)| *name == scope).map(|(_, token)| token.as_str()).expect("a token")
    }
}

fn name(tool: &Value) -> &str {
    tool["name"].as_str().expect("a name")
}

/// What a model reads of a tool: hosts leave titles, annotations and output schemas out.
pub fn tokens(tool: &Value) -> usize {
    let lean = json!({"name": tool["name"], "description": tool["description"], "inputSchema": tool["inputSchema"]});
    tiktoken_rs::o200k_base_singleton().encode_ordinary(&lean.to_string()).len()
}

#[test]
fn every_view_costs_what_the_table_says_and_no_more_than_it_may() {
    let mut server = Native::new();
    let all_tokens = Tokens::new(&mut server);
    let mut table = "view\taddress\tcaller\ttools\ttokens\tbytes\n".to_owned();
    let mut markdown =
        "| view | address | caller | tools | tokens | bytes |\n| --- | --- | --- | --- | --- | --- |\n".to_owned();
    let mut problems = Problems::default();
    for view in View::all() {
        let tools = view.tools(&mut server, &all_tokens);
        let lean: usize = tools.iter().map(tokens).sum();
        let bytes = Value::from(tools.clone()).to_string().len();
        let View { name, query, .. } = &view;
        let _ = writeln!(table, "{name}\t/mcp{query}\t{}\t{}\t{lean}\t{bytes}", view.who(), tools.len());
        let mut most = [String::new(), String::new(), String::new()];
        if let Some(ceiling) = view.ceiling() {
            let limits = [
                ("tools", tools.len(), ceiling.tools),
                ("tokens", lean, Some(ceiling.tokens)),
                ("bytes", bytes, Some(ceiling.bytes)),
            ];
            most = limits.map(|(_, _, limit)| limit.map(|limit| format!(" of {limit}")).unwrap_or_default());
            for (what, takes, limit) in limits {
                problems.unless(limit.is_none_or(|limit| takes <= limit), || {
                    let limit = limit.unwrap_or_default();
                    format!("{name} for {} takes {takes} {what}, and may take {limit}: shorten what models read, or list less", view.who())
                });
            }
        }
        let [tools_max, tokens_max, bytes_max] = most;
        let _ = writeln!(
            markdown,
            "| {name} | `/mcp{query}` | {} | {}{tools_max} | {lean}{tokens_max} | {bytes}{bytes_max} |",
            view.who(),
            tools.len()
        );
    }
    problems.unless(is_current(&checkout().join(FILE), &table), || format!("{FILE} is out of date: {REGENERATE}"));
    documents::between("docs/tools.md", "views", &markdown);
    problems.none();
}

#[test]
fn a_view_for_reading_holds_nothing_but_reads() {
    let mut server = Native::new();
    let tokens = Tokens::new(&mut server);
    let mut problems = Problems::default();
    for view in
        View::all().into_iter().filter(|view| view.scope == Some("tidb:read") || view.query.contains("readonly"))
    {
        for tool in view.tools(&mut server, &tokens) {
            let effect =
                tools::ALL.entries().iter().find(|entry| entry.name() == name(&tool)).map(|entry| entry.effect);
            let reads = effect == Some(Effect::Read) && tool["annotations"]["readOnlyHint"] == json!(true);
            problems.unless(reads, || {
                format!("{} for {} lists `{}`, which changes something", view.name, view.who(), name(&tool))
            });
        }
    }
    problems.none();
}

/// Words that could be names of tools.
fn names_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|character: char| !character.is_ascii_alphanumeric() && character != '_');
    let words = words.filter(|word| ["tidbcloud_", "db_", "show_"].iter().any(|start| word.starts_with(start)));
    words.map(str::to_owned).collect()
}

/// All texts of a schema that a model reads as prose.
fn descriptions(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::String(text) if name == "description" => found.push(text.clone()),
                    value => descriptions(value, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| descriptions(item, found)),
        _ => {}
    }
}

#[test]
fn no_text_of_a_view_names_a_tool_that_it_lacks_or_asks_for_a_password() {
    let mut server = Native::new();
    let tokens = Tokens::new(&mut server);
    let mut problems = Problems::default();
    let asking = ["ask", "enter", "prompt", "give", "send", "provide", "tell", "type"];
    for view in View::all() {
        let tools = view.tools(&mut server, &tokens);
        let listed: BTreeSet<&str> = tools.iter().map(name).collect();
        let mut texts = Vec::new();
        tools.iter().for_each(|tool| descriptions(tool, &mut texts));
        let discovered = server.send(view.call(&tokens, "server/discover")).json();
        let instructions = discovered["result"]["instructions"].as_str().expect("instructions").to_owned();
        problems.unless(instructions.len() <= INSTRUCTIONS_MAX, || {
            format!("the instructions have {} characters, and some hosts show {INSTRUCTIONS_MAX}", instructions.len())
        });
        let instructed = names_in(&instructions);
        problems.unless(instructed.is_empty(), || {
            format!("the instructions name {instructed:?}, which a connection may lack")
        });
        texts.push(instructions);
        for text in texts {
            for named in names_in(&text).iter().filter(|named| !listed.contains(named.as_str())) {
                problems.unless(false, || {
                    format!("{} for {}: `{text}` names `{named}`, which is not listed there", view.name, view.who())
                });
            }
            for sentence in
                text.split(['.', ';']).map(str::to_lowercase).filter(|sentence| sentence.contains("password"))
            {
                let asks = sentence
                    .split(|character: char| !character.is_ascii_alphabetic())
                    .any(|word| asking.contains(&word));
                problems.unless(!asks, || format!("`{text}` reads as if a model should ask for a password"));
            }
        }
    }
    problems.none();
}

#[test]
fn the_finder_names_the_topics_of_all_that_is_not_listed() {
    let mut server = Native::new();
    let tokens = Tokens::new(&mut server);
    let mut problems = Problems::default();
    for view in View::all() {
        let tools = view.tools(&mut server, &tokens);
        let Some(finder) = tools.iter().find(|tool| name(tool) == "tidbcloud_find_tools") else { continue };
        let description = finder["description"].as_str().expect("a description");
        problems.unless(!description.contains(['{', '}']), || format!("the topics are not filled in: {description}"));
        let may_fix = |entry: &&mcp_server_tidbcloud::catalogue::Entry| {
            let takes = |name: &str| entry.definition.input_schema["properties"].get(name).is_some();
            // Where a branch is fixed, what has no branch is of the cluster.
            ["cluster", "branch"].iter().all(|name| !view.query.contains(&format!("{name}=")) || takes(name))
        };
        for entry in tools::ALL.entries().iter().filter(may_fix) {
            let changes = entry.effect != Effect::Read;
            if changes && view.query.contains("readonly") {
                continue;
            }
            if let Some(topics) = entry.toolset.topics() {
                problems.unless(description.contains(topics), || {
                    format!(
                        "{} for {}: `{}` is not listed, and the finder does not name {topics}",
                        view.name,
                        view.who(),
                        entry.name()
                    )
                });
            }
        }
    }
    problems.none();
}

#[test]
fn a_toolset_that_is_not_listed_has_topics_and_every_toolset_has_tools() {
    let mut problems = Problems::default();
    for toolset in Toolset::ALL.iter().chain([&Toolset::Finder]) {
        let has_tools = tools::ALL.entries().iter().any(|entry| entry.toolset == *toolset);
        problems.unless(has_tools, || format!("the toolset {} exists for addresses and has no tool", toolset.name()));
        problems.unless(toolset.topics().is_none_or(|topics| topics.len() > 3), || {
            format!(
                "the toolset {} says no topics (src/catalogue/toolset.rs), so nobody finds its tools",
                toolset.name()
            )
        });
    }
    problems.none();
}
