//! Generated files are current.

use std::{
    fmt::Write,
    fs,
    sync::{Mutex, PoisonError},
};

use mcp_server_tidbcloud::{
    app,
    catalogue::{Entry, code},
    config::SETTINGS,
    mcp::{self, code::TransportCode, revision::Revision},
    tools,
};

use crate::{REGENERATE, is_current, support::checkout};

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

/// The tools as a Markdown table: name, what it does, effect.
fn markdown_table() -> String {
    let mut table = String::from("| tool | what it does | effect |\n| --- | --- | --- |\n");
    for Entry { definition, effect, .. } in tools::ALL.entries() {
        // Writing to a `String` cannot fail.
        let _ = writeln!(
            table,
            "| `{}` | {} | {} |",
            definition.name,
            first_sentence(&definition.description),
            effect.word()
        );
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
    let mut rows = String::new();
    for Entry { definition, effect, .. } in tools::ALL.entries() {
        let _ = writeln!(
            rows,
            "<tr><th scope=\"row\"><code>{}</code></th><td>{}</td><td>{}</td></tr>",
            definition.name,
            code(first_sentence(&definition.description)),
            effect.word(),
        );
    }
    between("static/index.html", "tools", &rows);
}

#[test]
fn the_reference_describes_every_argument() {
    let mut text = String::new();
    for Entry { definition, effect, .. } in tools::ALL.entries() {
        let _ = writeln!(text, "## `{}`\n\n{} ({}.)\n", definition.name, definition.description, effect.word());
        let required = definition.input_schema["required"].as_array().cloned().unwrap_or_default();
        let properties = definition.input_schema["properties"].as_object().cloned().unwrap_or_default();
        if !properties.is_empty() {
            text.push_str("| argument | type | required | meaning |\n| --- | --- | --- | --- |\n");
        }
        for (name, schema) in &properties {
            let _ = writeln!(
                text,
                "| `{name}` | {} | {} | {} |",
                kind(schema),
                if required.iter().any(|required| required == name) { "yes" } else { "no" },
                schema["description"].as_str().unwrap_or_default(),
            );
        }
        if !properties.is_empty() {
            text.push('\n');
        }
        let fields = definition.output_schema["properties"].as_object().cloned().unwrap_or_default();
        let fields: Vec<_> = fields.keys().map(|name| format!("`{name}`")).collect();
        let _ = writeln!(text, "Answers with {}.\n", fields.join(", "));
    }
    between("docs/tools.md", "reference", &text);
}

fn kind(schema: &serde_json::Value) -> String {
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
