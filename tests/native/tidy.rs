//! House rules that a compiler does not know.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// What each module may import from the crate. `edge` may import everything.
const ARROWS: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("store", &["base"]),
    ("port", &["base", "store"]),
    ("sql", &["base"]),
    ("mcp", &["base"]),
    ("tidbcloud", &["base", "port", "sql"]),
    ("config", &["base", "port", "tidbcloud"]),
    ("limits", &["base", "config", "port", "store", "tidbcloud"]),
    ("catalogue", &["base", "mcp", "port", "tidbcloud"]),
    ("tools", &["base", "catalogue", "sql", "tidbcloud"]),
    ("oauth", &["base", "catalogue", "config", "limits", "port", "store", "tidbcloud"]),
    ("app", &["base", "catalogue", "config", "limits", "mcp", "oauth", "port", "sql", "store", "tidbcloud", "tools"]),
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
