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
pub(super) fn marked<'t>(text: &'t str, name: &str) -> &'t str {
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

/// Every document: `docs`, and the Markdown files beside it that GitHub and people look for by name.
pub(super) fn documents() -> Vec<PathBuf> {
    let root = crate::support::checkout();
    let of =
        |folder: &str| fs::read_dir(root.join(folder)).expect("a folder").map(|entry| entry.expect("an entry").path());
    let is_document = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "md");
    let mut found: Vec<PathBuf> = [".", ".github", "tests"].into_iter().flat_map(of).filter(is_document).collect();
    found.extend(of("docs").filter(|path| path.is_file()));
    found.sort();
    assert!(found.iter().any(|path| path.ends_with("CONTRIBUTING.md")), "the documents of the checkout: {found:?}");
    found
}

#[test]
fn documents_link_to_what_is_there() {
    let mut missing = Vec::new();
    for document in &documents() {
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

/// The source without the breaks in its texts.
fn texts_of_the_source() -> String {
    let sources = sources(&crate::support::checkout().join("src"));
    let all: String = sources.into_iter().map(|(_, text)| text).collect();
    all.split("\\\n").map(str::trim_start).collect()
}

/// Whether `source` has `example`, a text in which `…` and words in code marks or capitals stand for what differs.
fn is_said(source: &str, example: &str) -> bool {
    let pieces = example.split('…').flat_map(|part| part.split('`')).enumerate();
    let fixed: Vec<_> = pieces.filter(|(at, _)| at % 2 == 0).map(|(_, piece)| piece.trim()).collect();
    let whole = example.trim_matches(['…', ' ']);
    source.contains(whole) || fixed.iter().all(|piece| piece.is_empty() || source.contains(piece))
}

#[test]
fn every_error_code_has_words_for_a_person_and_an_example_that_is_said() {
    let text = fs::read_to_string(crate::support::checkout().join("docs/errors.md")).expect("the document");
    let section = text.split_once("### What a person does").expect("the section").1;
    let section = section.split_once("\n## ").expect("an end").0;
    let rows: Vec<Vec<&str>> = section
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    let named: Vec<&str> = rows.iter().map(|row| row[1].trim_matches('`')).collect();
    let codes: Vec<&str> = mcp_server_tidbcloud::catalogue::code::ALL.iter().map(|(code, _)| code.0).collect();
    assert_eq!(named, codes, "docs/errors.md has a row for each code, in the order of src/catalogue/code.rs");
    let source = texts_of_the_source();
    for row in rows {
        let example = row[2].replace("2 clusters", "`2` `clusters`").replace("CREATING", "`CREATING`");
        assert!(row[3].ends_with('.'), "{}: what a person does is a sentence", row[1]);
        assert!(is_said(&source, &example), "{}: nothing in src says {}", row[1], row[2]);
    }
}

/// A block of code in a document.
struct Snippet {
    place: String,
    kind: String,
    text: String,
}

/// The documents for users, and their blocks of code.
fn snippets() -> Vec<Snippet> {
    let root = crate::support::checkout();
    let mut files = documents();
    files.push(root.join("static/llms.txt"));
    let mut found: Vec<Snippet> = Vec::new();
    for file in files.iter().filter(|file| file.is_file()) {
        let name = file.strip_prefix(&root).expect("below the checkout").display().to_string();
        let text = fs::read_to_string(file).expect("text");
        let mut open = false;
        for (number, line) in text.lines().enumerate() {
            // A block in a list is indented.
            let line = line.trim_end();
            match line.trim_start().strip_prefix("```") {
                Some(kind) if !open => {
                    let place = format!("{name}:{}", number + 1);
                    found.push(Snippet { place, kind: kind.to_owned(), text: String::new() });
                    open = true;
                }
                Some(_) => open = false,
                None if open => {
                    let snippet = found.last_mut().expect("one that began");
                    snippet.text.push_str(line);
                    snippet.text.push('\n');
                }
                None => {}
            }
        }
        assert!(!open, "{name}: a block of code does not end");
    }
    found
}

/// The commands of a block: in `console` what follows a `$`, with the lines that go on with it; in `sh` and `bash` all of it.
fn commands(snippet: &Snippet) -> Vec<String> {
    if matches!(snippet.kind.as_str(), "sh" | "bash") {
        return vec![snippet.text.clone()];
    }
    let mut found: Vec<String> = Vec::new();
    let mut goes_on = false;
    for line in snippet.text.lines().map(str::trim_start).filter(|_| snippet.kind == "console") {
        if goes_on {
            let command = found.last_mut().expect("one that began");
            command.push('\n');
            command.push_str(line);
        } else if let Some(command) = line.strip_prefix("$ ") {
            found.push(command.to_owned());
        } else {
            continue;
        }
        goes_on = line.ends_with('\\') || found.last().is_some_and(|command| command.matches('\'').count() % 2 == 1);
    }
    found
}

#[test]
fn json_and_toml_of_the_documents_can_be_read() {
    let mut seen = [0; 2];
    for Snippet { place, kind, text } in snippets() {
        match kind.as_str() {
            "json" => {
                // One value, several one after another, or members of an object.
                let is_member = text.trim_start().starts_with('"') && text.trim_end().ends_with('}');
                let text = if is_member { format!("{{{text}}}") } else { text };
                for value in serde_json::Deserializer::from_str(&text).into_iter::<serde_json::Value>() {
                    if let Err(error) = value {
                        panic!("{place}: this is not JSON: {error}\n{text}");
                    }
                }
                seen[0] += 1;
            }
            "toml" => {
                for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
                    let is_table = line.starts_with('[') && line.trim_end_matches(']').len() < line.len();
                    let is_pair = line.split_once(" = ").is_some_and(|(key, value)| {
                        let balanced = |one, other| value.matches(one).count() == value.matches(other).count();
                        let is_key = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '-' | '.');
                        !value.is_empty()
                            && key.chars().all(is_key)
                            && value.matches('"').count() % 2 == 0
                            && balanced('[', ']')
                            && balanced('{', '}')
                    });
                    assert!(is_table || is_pair, "{place}: this is no line of TOML: {line}");
                }
                seen[1] += 1;
            }
            _ => {}
        }
    }
    assert!(seen[0] > 50 && seen[1] > 0, "the test saw {seen:?} blocks: it looks in the wrong place");
}

#[test]
fn commands_of_the_documents_are_commands() {
    use std::process::Command;

    let root = crate::support::checkout();
    let usage = fs::read_to_string(root.join("xtask/src/main.rs")).expect("xtask");
    let usage = usage.split_once("const USAGE").expect("the usage").1.split_once("\";").expect("its end").0;
    let package: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(root.join("package.json")).expect("package.json")).expect("JSON");
    let pinned = package["devDependencies"].as_object().expect("dependencies");
    let mut wrong = Vec::new();
    let mut seen = [0; 3];
    for snippet in snippets() {
        for command in commands(&snippet) {
            let place = &snippet.place;
            let shell = Command::new("bash").args(["-n", "-c", &command]).output().expect("bash");
            if !shell.status.success() {
                wrong
                    .push(format!("{place}: bash cannot read `{command}`: {}", String::from_utf8_lossy(&shell.stderr)));
            }
            seen[0] += 1;
            let words: Vec<&str> = command.split_whitespace().take_while(|word| *word != "#").collect();
            for (at, _) in words.windows(2).enumerate().filter(|(_, pair)| *pair == ["cargo", "xtask"]) {
                let name = words.get(at + 2).copied().unwrap_or_default();
                let known: Vec<&str> = usage.split(&format!("cargo xtask {name} ")).skip(1).collect();
                let about = known.first().map(|about| about.split("cargo xtask ").next().unwrap_or_default());
                let flags = words.iter().skip(at + 3).filter(|word| word.starts_with("--"));
                for flag in flags.filter(|flag| !about.is_some_and(|about| about.contains(**flag))) {
                    wrong.push(format!("{place}: `cargo xtask {name}` has no {flag}"));
                }
                if name.is_empty() || about.is_none() {
                    wrong.push(format!("{place}: there is no `cargo xtask {name}`"));
                }
                seen[1] += 1;
            }
            for at in words.iter().enumerate().filter(|(_, word)| **word == "npx").map(|(at, _)| at) {
                let program =
                    words.iter().skip(at + 1).find(|word| !word.starts_with('-')).copied().unwrap_or_default();
                let (name, version) = match program.rsplit_once('@') {
                    Some((name, version)) if !name.is_empty() => (name, Some(version)),
                    _ => (program, None),
                };
                let is_bin = root.join("node_modules/.bin").join(name).exists();
                match (pinned.get(name), version) {
                    (Some(ours), Some(version)) if ours == version => {}
                    (Some(ours), Some(version)) => {
                        wrong.push(format!("{place}: {name}@{version} is not {ours} of package.json"));
                    }
                    (Some(_), None) => {}
                    (None, None) if is_bin || name == "mcp-inspector" => {}
                    (None, _) => wrong.push(format!("{place}: {program} is not in package.json")),
                }
                seen[2] += 1;
            }
        }
    }
    assert!(wrong.is_empty(), "commands of the documents can be run:\n- {}", wrong.join("\n- "));
    assert!(seen.iter().all(|count| *count > 3), "the test saw {seen:?} commands: it looks in the wrong place");
}

/// Words that look like settings, and are names of something else.
const NO_SETTINGS: &[&str] = &["ALERT_WEBHOK_URL"];

#[test]
fn documents_name_settings_that_there_are() {
    let root = crate::support::checkout();
    let settings: Vec<&str> = mcp_server_tidbcloud::config::SETTINGS.iter().map(|setting| setting.name).collect();
    let prefixes = ["TIDB_CLOUD_", "MCP_", "ALERT_", "RATE_LIMIT_", "ALLOWED_", "CREDENTIAL_LIMIT_", "LOG_", "PUBLIC_"];
    let mut seen = 0;
    for file in ["README.md", "docs/operations.md", "docs/settings.md", "docs/security.md", "docs/clients.md"] {
        let text = fs::read_to_string(root.join(file)).expect("the document");
        for word in text.split(|letter: char| !letter.is_ascii_uppercase() && letter != '_') {
            let is_setting = prefixes.iter().any(|prefix| word.starts_with(prefix) && word.len() > prefix.len());
            if is_setting && !NO_SETTINGS.contains(&word) {
                assert!(settings.contains(&word), "{file}: there is no setting {word}");
                seen += 1;
            }
        }
    }
    assert!(seen > 30, "the test saw {seen} settings: it looks in the wrong place");
}
