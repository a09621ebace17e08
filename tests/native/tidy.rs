//! House rules that a compiler does not know.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// What each module may import from the crate. `edge` may import everything.
const ARROWS: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("circuit", &["base"]),
    ("watch", &["base"]),
    ("health", &["base"]),
    ("store", &["base"]),
    ("port", &["base", "circuit", "health", "store", "watch"]),
    ("sql", &["base"]),
    ("plan", &["base"]),
    ("picture", &["base"]),
    ("mcp", &["base"]),
    ("tidbcloud", &["base", "circuit", "port", "sql"]),
    ("config", &["base", "port", "tidbcloud"]),
    ("limits", &["base", "config", "port", "store", "tidbcloud"]),
    ("catalogue", &["base", "mcp", "port", "tidbcloud"]),
    ("statements", &["base", "catalogue", "plan", "sql", "tidbcloud"]),
    ("tools", &["base", "catalogue", "picture", "plan", "sql", "statements", "tidbcloud"]),
    ("oauth", &["base", "catalogue", "config", "limits", "port", "store", "tidbcloud"]),
    (
        "app",
        &[
            "base",
            "catalogue",
            "circuit",
            "config",
            "health",
            "limits",
            "mcp",
            "oauth",
            "port",
            "sql",
            "store",
            "tidbcloud",
            "tools",
            "watch",
        ],
    ),
];

/// Words that do not belong outside the edge, and why.
const FORBIDDEN: &[(&str, &str)] = &[
    ("SystemTime", "the time comes from `Io::now`"),
    ("Instant::now", "the time comes from `Io::now`"),
    ("worker::", "only `edge` names the runtime"),
    ("js_sys", "only `edge` names the runtime"),
    ("HashMap", "its order differs from run to run"),
    ("println!", "a Worker logs through `Log::write`"),
];

fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push((path.clone(), fs::read_to_string(&path).expect("text")));
        }
    }
    found
}

/// The crate's modules that a source file imports: `use crate::a`, `use crate::{a, b::c}` and `crate::a::f()`.
fn imports(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("crate::") {
        rest = after;
        if let Some(list) = after.strip_prefix('{') {
            let mut depth = 0;
            let mut name = String::new();
            for character in list.chars() {
                match character {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => found.push(std::mem::take(&mut name)),
                    _ if depth == 0 => name.push(character),
                    _ => {}
                }
            }
            found.push(name);
        } else {
            found.push(after.to_owned());
        }
    }
    found
        .into_iter()
        .map(|path| {
            path.trim().chars().take_while(|character| character.is_alphanumeric() || *character == '_').collect()
        })
        .filter(|name: &String| !name.is_empty())
        .collect()
}

#[test]
fn the_arrows_run_one_way() {
    let root = crate::support::checkout().join("src");
    let mut checked = 0;
    for (path, text) in sources(&root) {
        let relative = path.strip_prefix(&root).expect("below src").to_string_lossy().replace('\\', "/");
        let module = relative.split('/').next().unwrap_or_default().trim_end_matches(".rs");
        let for_tests = relative.ends_with("/tests.rs") || relative.ends_with("/fake.rs");
        if matches!(module, "lib" | "edge") || for_tests {
            continue;
        }
        let (_, allowed) = ARROWS.iter().find(|(name, _)| *name == module).unwrap_or_else(|| {
            panic!("{module} is not in ARROWS (tests/native/tidy.rs): say there what it may import")
        });
        let code: String =
            text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
        for import in imports(&code) {
            assert!(
                import == module || allowed.contains(&import.as_str()),
                "{relative} imports {import}, which stands after {module}: see ARROWS"
            );
            checked += 1;
        }
        for (word, why) in FORBIDDEN {
            assert!(!code.contains(word), "{relative} says {word}: {why}");
        }
    }
    assert!(checked > 0, "the test saw no import in {}: it looks in the wrong place", root.display());
}

/// `base::json` reads a struct in the order of its fields. What it cannot see are the names that serde's `alias` adds, and a default
/// that is in the function of a field and not in the field.
#[test]
fn what_json_is_read_into_has_one_place_for_each_field() {
    let root = crate::support::checkout();
    let mut seen = 0;
    for (path, text) in sources(&root.join("src")) {
        // A field of a tuple stands in one line with its attribute, and is always there.
        for attribute in text.split("\n").zip(text.match_indices('\n').map(|(at, _)| at)).filter_map(|(line, end)| {
            let line_starts = end - line.len();
            line.trim_start().starts_with("#[serde(").then(|| &text[line_starts..])
        }) {
            let attribute = attribute.split_once(")]").map_or(attribute, |(inside, _)| inside);
            let parts: Vec<_> = attribute.split(['(', ',', '\n']).map(str::trim).collect();
            let has = |name: &str| parts.iter().any(|part| part.split([' ', '=']).next() == Some(name));
            let place = path.display();
            assert!(!has("alias"), "{place}: {attribute}: use `rename = \"one|other\"` (see `base::json`)");
            assert!(
                !has("deserialize_with") || has("default"),
                "{place}: {attribute}: without `default` the field has to be there, whatever the function says"
            );
            seen += usize::from(has("deserialize_with"));
        }
    }
    assert!(seen > 50, "the test saw {seen} fields: it looks in the wrong place");
}

#[test]
fn the_protocol_knows_no_database_and_the_client_no_protocol() {
    let root = crate::support::checkout().join("src");
    for (folder, words) in [("mcp", ["tidb", "cluster", "branch"]), ("tidbcloud", ["mcp::", "json-rpc", "jsonrpc"])] {
        for (path, text) in sources(&root.join(folder)) {
            for (number, line) in text.lines().enumerate() {
                let line_of_code = line.to_lowercase();
                let comment = line.trim_start().starts_with("//");
                for word in words {
                    assert!(
                        comment || !line_of_code.contains(word),
                        "{}:{}: {folder} does not know of {word}: {line}",
                        path.display(),
                        number + 1
                    );
                }
            }
        }
    }
}

/// A program that knows where it was compiled reads another checkout's files once its own was moved or copied.
#[test]
fn no_place_of_a_checkout_is_compiled_in() {
    let root = crate::support::checkout();
    let mut seen = 0;
    for folder in ["src", "sandbox/src", "sandbox/tests", "xtask/src", "tests"] {
        for (path, text) in sources(&root.join(folder)) {
            for name in ["MANIFEST_DIR", "MANIFEST_PATH", "TARGET_TMPDIR", "WORKSPACE_DIR"] {
                assert!(
                    !text.contains(&format!("env!(\"CARGO_{name}\")")),
                    "{}: CARGO_{name} is of where it was compiled, which may have moved",
                    path.display()
                );
            }
            seen += 1;
        }
    }
    assert!(seen > 0, "the test saw no file in {}: it looks in the wrong place", root.display());
}

/// What stands between two marks of a document.
fn marked<'t>(text: &'t str, name: &str) -> &'t str {
    let after = text.split_once(&format!("<!-- {name}:begin -->\n")).map(|(_, after)| after);
    let inside = after.and_then(|after| after.split_once(&format!("<!-- {name}:end -->")));
    inside.unwrap_or_else(|| panic!("the document has lost its marks {name}:begin and {name}:end")).0
}

#[test]
fn the_rooms_are_documented() {
    let file = "docs/architecture.md";
    let text = fs::read_to_string(crate::support::checkout().join(file)).expect("the document");
    let rows = marked(&text, "rooms").lines().skip(2);
    let documented: Vec<_> = rows
        .map(|row| {
            let cells: Vec<_> = row.split('|').map(str::trim).collect();
            let name = cells[1].trim_start_matches("[`").split('`').next().unwrap_or_default();
            (name, cells[3].to_owned())
        })
        .collect();
    let list = |names: &[&str]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let ruled = ARROWS.iter().map(|(name, allowed)| (*name, list(allowed)));
    let ruled: Vec<_> = ruled.chain([("edge", "everything".to_owned())]).collect();
    assert_eq!(documented, ruled, "the rooms of {file} and what they import are those of ARROWS, in its order");
    for (at, (name, allowed)) in ARROWS.iter().enumerate() {
        let before: Vec<_> = ARROWS.iter().take(at).map(|(name, _)| *name).collect();
        let below: Vec<_> = allowed.iter().filter(|import| !before.contains(import)).collect();
        assert!(
            below.is_empty(),
            "{name} may import {below:?}, which ARROWS and {file} list after it: no arrow runs back"
        );
    }
}

/// Links of a Markdown text, `[words](target)`, fenced code apart.
fn links(text: &str) -> Vec<(&str, &str)> {
    let prose = text.split("```").step_by(2);
    prose
        .flat_map(|part| part.match_indices("](").map(move |(at, _)| part.split_at(at)))
        .filter_map(|(before, after)| {
            let words = before.rsplit_once('[').map(|(_, words)| words)?;
            Some((words, after.strip_prefix("](")?.split_once(')')?.0))
        })
        .collect()
}

/// Whether Rust code declares what is called `name`.
fn declares(code: &str, name: &str) -> bool {
    let whole = |rest: &str| !rest.starts_with(|next: char| next.is_alphanumeric() || next == '_');
    ["fn", "struct", "enum", "trait", "static", "const", "macro_rules!"]
        .iter()
        .any(|kind| code.split(&format!("{kind} {name}")).skip(1).any(whole))
}

#[test]
fn documents_link_to_what_is_there() {
    let root = crate::support::checkout();
    let folder = fs::read_dir(root.join("docs")).expect("docs");
    let mut documents: Vec<PathBuf> = folder.map(|entry| entry.expect("an entry").path()).collect();
    documents.extend(["README.md", "CHANGELOG.md", "tests/README.md"].map(|name| root.join(name)));
    let mut missing = Vec::new();
    for document in &documents {
        let text = fs::read_to_string(document).expect("text");
        for (words, target) in links(&text).into_iter().filter(|(_, target)| !target.contains("://")) {
            let (file, place) = target.split_once('#').unwrap_or((target, ""));
            let path = if file.is_empty() { document.clone() } else { document.with_file_name(file) };
            let there = fs::read_to_string(&path).unwrap_or_default();
            let name = words.trim_matches('`').rsplit("::").next().unwrap_or_default();
            // A file is also named by its path, and a room or a door by its module.
            let module = file.trim_end_matches(".rs").trim_end_matches("/mod");
            let names_file = name.ends_with(".rs")
                || module.ends_with(&format!("/{name}"))
                || there.contains(&format!("mod {name};"));
            let names_code = words.starts_with('`') && file.ends_with(".rs") && !names_file;
            if !path.exists() {
                missing.push(format!("{}: there is no {target}", document.display()));
            } else if names_code && !declares(&there, name) {
                missing.push(format!("{}: {file} does not declare {words}", document.display()));
            } else if !place.is_empty() && !there.lines().any(|line| line.starts_with('#') && anchor(line) == place) {
                missing.push(format!("{}: {file} has no heading {place}", document.display()));
            }
        }
    }
    assert!(missing.is_empty(), "links of the documents lead to what is there:\n- {}", missing.join("\n- "));
}

/// What a heading is linked by, as GitHub makes it.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'));
    kept.map(|letter| if letter == ' ' { '-' } else { letter }).collect()
}
