//! Generated files are current.

use std::{
    fmt::Write,
    fs,
    sync::{Mutex, PoisonError},
};

use mcp_server_tidbcloud::{
    app::{
        self,
        analytics::{BLOBS, DOUBLES, INDEX},
    },
    catalogue::{Entry, Toolset, code},
    config::SETTINGS,
    mcp::{self, code::TransportCode, revision::Revision},
    port::FIELDS,
    tools,
};
use serde_json::Value;

use crate::{
    Problems, REGENERATE,
    examples::{self, Example},
    is_current,
    support::{arguments, checkout},
    world::definitions,
};

/// Two tests may write into one document, and each must read what the other wrote.
static WRITING: Mutex<()> = Mutex::new(());

/// Replaces what stands between `<!-- name:begin -->` and `<!-- name:end -->`.
pub fn between(file: &str, name: &str, now: &str) {
    let _alone = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    let path = checkout().join(file);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"));
    let (begin, end) = (format!("<!-- {name}:begin -->\n"), format!("<!-- {name}:end -->"));
    let (head, rest) = text.split_once(&begin).unwrap_or_else(|| panic!("{file} has lost its mark {begin}"));
    let (_, tail) = rest.split_once(&end).unwrap_or_else(|| panic!("{file} has lost its mark {end}"));
    let current = format!("{head}{begin}{now}{end}{tail}");
    assert!(is_current(&path, &current), "{file} is not what follows from the code ({name}): {REGENERATE}");
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Inline Markdown code as HTML.
fn code(text: &str) -> String {
    let mut html = String::new();
    for (index, part) in escape(text).split('`').enumerate() {
        if index % 2 == 1 {
            let _ = write!(html, "<code>{part}</code>");
        } else {
            html.push_str(part);
        }
    }
    html
}

/// The tools of each toolset as clients see them, in their order.
fn toolsets() -> Vec<(Toolset, Vec<(&'static Entry, &'static Value)>)> {
    let tools: Vec<_> = tools::ALL.entries().iter().zip(definitions()).collect();
    tools
        .chunk_by(|(one, _), (two, _)| one.toolset == two.toolset)
        .map(|tools| (tools[0].0.toolset, tools.to_vec()))
        .collect()
}

/// A toolset in an address, and when it is listed: inline Markdown.
fn reach(toolset: Toolset) -> String {
    let name = toolset.name();
    match toolset {
        Toolset::Finder => "this pair finds them, and runs those that read".to_owned(),
        _ if toolset.is_default() => format!("`{name}`, listed by default"),
        _ => format!("`{name}`, not listed by default"),
    }
}

/// What a tool does, in its first sentence.
fn summary(tool: &Value) -> &str {
    first_sentence(text(&tool["description"]))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The tools as a Markdown table: name, what it does, effect. A toolset has a row above its tools.
fn markdown_table() -> String {
    let mut table = String::from("| tool | what it does | effect |\n| --- | --- | --- |\n");
    for (toolset, tools) in toolsets() {
        // Writing to a `String` cannot fail.
        let _ = writeln!(table, "| **{}** | {} | |", toolset.title(), reach(toolset));
        for (Entry { effect, .. }, tool) in tools {
            let _ = writeln!(table, "| `{}` | {} | {} |", text(&tool["name"]), summary(tool), effect.word());
        }
    }
    table
}

/// Up to the first full stop that ends a sentence.
fn first_sentence(text: &str) -> &str {
    text.split_once(". ").map_or(text.trim_end_matches('.'), |(first, _)| first)
}

#[test]
fn the_readme_lists_the_tools() {
    between("README.md", "tools", &markdown_table());
}

#[test]
fn the_landing_page_lists_the_tools() {
    let mut groups = String::new();
    for (toolset, mut tools) in toolsets() {
        // By effect within a toolset: what reads, what writes, what destroys.
        tools.sort_by_key(|(entry, _)| entry.effect.scope());
        let _ = writeln!(
            groups,
            "<tbody>\n<tr><th scope=\"rowgroup\" colspan=\"3\">{} <small>{}</small></th></tr>",
            escape(toolset.title()),
            code(&reach(toolset)),
        );
        for (Entry { effect, .. }, tool) in tools {
            let _ = writeln!(
                groups,
                "<tr><th scope=\"row\"><code>{}</code></th><td>{}</td><td><span class=\"{}\">{}</span></td></tr>",
                text(&tool["name"]),
                code(summary(tool)),
                effect.word().split(',').next().unwrap_or_default(),
                effect.word(),
            );
        }
        groups.push_str("</tbody>\n");
    }
    between("static/index.html", "tools", &groups);
}

#[test]
fn the_reference_describes_every_tool() {
    let mut reference = String::new();
    let mut problems = Problems::default();
    for (toolset, tools) in toolsets() {
        let _ = writeln!(reference, "## {}\n\n{}\n", toolset.title(), way_to(toolset));
        for (entry, tool) in tools {
            match examples::of(entry) {
                Ok(example) => reference.push_str(&section(entry, tool, &example)),
                Err(problem) => problems.unless(false, || problem),
            }
        }
    }
    problems.none();
    between("docs/tools.md", "reference", &reference);
}

/// How the tools of a toolset are reached, in whole sentences.
fn way_to(toolset: Toolset) -> String {
    let name = toolset.name();
    match toolset {
        Toolset::Finder => {
            "This pair finds them and runs those that read, unless the address names toolsets.".to_owned()
        }
        _ if toolset.is_default() => format!("Toolset `{name}`, listed by default."),
        _ => format!(
            "Toolset `{name}`, not listed by default: connect at `?toolsets=default,{name}`, or let \
             [`tidbcloud_find_tools`](#tidbcloud_find_tools) find its tools."
        ),
    }
}

/// What the reference says of one tool.
fn section(entry: &Entry, tool: &Value, example: &Example) -> String {
    let mut section = format!("### `{}`\n\n{}\n\n", entry.name(), text(&tool["description"]));
    let _ = writeln!(section, "Effect: {}. Scope: {}.\n", entry.effect.word(), scope(entry, tool));
    let required = tool["inputSchema"]["required"].as_array().cloned().unwrap_or_default();
    let properties = tool["inputSchema"]["properties"].as_object().cloned().unwrap_or_default();
    if !properties.is_empty() {
        section.push_str("| argument | type | required | meaning |\n| --- | --- | --- | --- |\n");
    }
    for (name, schema) in &properties {
        let is_required = if required.iter().any(|required| required == name) { "yes" } else { "no" };
        let _ = writeln!(section, "| `{name}` | {} | {is_required} | {} |", kind(schema), text(&schema["description"]));
    }
    if !properties.is_empty() {
        section.push('\n');
    }
    let fields = tool["outputSchema"]["properties"].as_object().cloned().unwrap_or_default();
    let fields: Vec<_> = fields.keys().map(|name| format!("`{name}`")).collect();
    if fields.is_empty() {
        section.push_str("What it answers with depends on the call.\n\n");
    } else {
        let _ = writeln!(section, "Answers with {}.\n", fields.join(", "));
    }
    let unpublished = crate::operations::unpublished(entry.name());
    if !unpublished.is_empty() {
        let _ = writeln!(
            section,
            "TiDB Cloud has not published {}: called as its command line client does.\n",
            unpublished.join(", ")
        );
    }
    for json in [&example.call, &example.answer] {
        let _ = writeln!(section, "```json\n{}\n```\n", examples::spread(json));
    }
    section
}

/// The scope that a tool needs, and the one that some of its calls need.
fn scope(entry: &Entry, tool: &Value) -> String {
    let (mut all, optional) = arguments::of(tool).unwrap_or_default();
    all.extend(optional);
    let least = entry.effect.least_scope();
    let most = entry.effect.scope().max(entry.scope(&all));
    if most > least { format!("`{least}`, for some calls `{most}`") } else { format!("`{least}`") }
}

fn kind(schema: &Value) -> String {
    if let Some(values) = schema["enum"].as_array() {
        return values
            .iter()
            .filter_map(|value| value.as_str())
            .map(|value| format!("`{value}`"))
            .collect::<Vec<_>>()
            .join(", ");
    }
    match schema["type"].as_str() {
        Some("array") => format!("array of {}", kind(&schema["items"])),
        Some(name) => name.to_owned(),
        None => "any".to_owned(),
    }
}

#[test]
fn the_settings_are_documented() {
    let mut table = String::from("| setting | kind | default | meaning |\n| --- | --- | --- | --- |\n");
    for setting in SETTINGS {
        let kind = if setting.secret { "secret" } else { "variable" };
        let _ = writeln!(table, "| `{}` | {kind} | {} | {} |", setting.name, setting.unset.text(), setting.meaning);
    }
    between("docs/settings.md", "settings", &table);
}

#[test]
fn the_fields_of_the_log_are_documented() {
    let mut table = String::from("| field | meaning |\n| --- | --- |\n");
    for (name, meaning) in FIELDS {
        let _ = writeln!(table, "| `{name}` | {meaning} |");
    }
    between("docs/operations.md", "fields", &table);
}

#[test]
fn the_columns_of_data_points_are_documented() {
    let mut table = String::from("| column | name | meaning |\n| --- | --- | --- |\n");
    let mut add = |column: String, name, meaning| {
        let _ = writeln!(table, "| `{column}` | {name} | {meaning} |");
    };
    add("index1".to_owned(), INDEX.name, INDEX.meaning);
    BLOBS.iter().zip(1..).for_each(|(column, at)| add(format!("blob{at}"), column.name, column.meaning));
    DOUBLES.iter().zip(1..).for_each(|(column, at)| add(format!("double{at}"), column.name, column.meaning));
    between("docs/operations.md", "points", &table);
}

/// All codes of protocol errors, by status; those of the protocol before our own.
fn transport_codes() -> Vec<&'static TransportCode> {
    let mut codes: Vec<_> = mcp::code::ALL.iter().chain(app::codes::ALL).copied().collect();
    codes.sort_by_key(|code| code.numbers.status);
    codes
}

#[test]
fn the_protocol_errors_are_documented() {
    let modern = Revision::MODERN.first().expect("a modern revision");
    let number = |now: i64, before: i64| {
        if now == before { now.to_string() } else { format!("{now}, before {modern} {before}") }
    };
    let mut table =
        String::from("| HTTP | code | `data.code` | when | what to do |\n| --- | --- | --- | --- | --- |\n");
    for TransportCode { name, numbers, numbers_before, when, what_to_do } in transport_codes() {
        let status = number(numbers.status.into(), numbers_before.status.into());
        let rpc = number(numbers.rpc, numbers_before.rpc);
        let _ = writeln!(table, "| {status} | {rpc} | `{name}` | {when} | {what_to_do} |");
    }
    between("docs/errors.md", "protocol-errors", &table);
}

#[test]
fn a_protocol_error_has_one_row_for_each_status_and_whole_sentences() {
    let codes = transport_codes();
    for (at, code) in codes.iter().enumerate() {
        let rows = codes.iter().filter(|other| (other.name, other.numbers) == (code.name, code.numbers)).count();
        assert_eq!(rows, 1, "{}: two rows say the same", code.name);
        for sentence in [code.when, code.what_to_do] {
            assert!(sentence.ends_with('.'), "{}: `{sentence}` does not end as a sentence", code.name);
            assert!(!sentence.contains('|'), "{}: `{sentence}` would break the table in row {at}", code.name);
        }
    }
}

#[test]
fn the_reference_describes_every_error_code() {
    let mut table = String::from("| code | when | retryable | what to do |\n| --- | --- | --- | --- |\n");
    for (code, meanings) in code::ALL {
        for (index, code::Meaning { when, retryable, what_to_do }) in meanings.iter().enumerate() {
            let name = if index == 0 { format!("`{}`", code.0) } else { String::new() };
            let retryable = if *retryable { "yes" } else { "no" };
            let _ = writeln!(table, "| {name} | {when} | {retryable} | {what_to_do} |");
        }
    }
    between("docs/errors.md", "tool-errors", &table);
}
