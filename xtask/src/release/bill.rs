//! The bill of materials of the Worker, in CycloneDX 1.6 (<https://cyclonedx.org/docs/1.6/json/>), and the licences of what is compiled
//! in. It is written here and not by `cargo cyclonedx`, which knows what is resolved for the whole workspace; `cargo tree` knows
//! what is compiled for the Worker.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};
use toml_edit::DocumentMut;

use super::{NAME, read};
use crate::{
    process::output,
    programs::{Program, sha256},
};

/// The platform of the Worker.
const TARGET: &str = "wasm32-unknown-unknown";

/// The bill, and the licences as text.
pub(super) struct Bill {
    /// CycloneDX.
    pub(super) json: String,
    /// For a reader, with the texts that the licences want to be handed on.
    pub(super) licences: String,
}

/// A crate's name and version.
type Id = (String, String);

/// What is known of a crate.
struct Crate {
    /// An SPDX expression.
    licence: String,
    /// The SHA-256 of its archive; the server itself has none.
    sum: Option<String>,
    folder: PathBuf,
}

/// The bill of the Worker that is built from this checkout.
pub(super) fn of(root: &Path, version: &str, built: &[PathBuf]) -> Result<Bill, String> {
    let edges = edges(&tree(root)?)?;
    let crates = crates(root, edges.keys())?;
    let rust = output(Command::new("rustc").current_dir(root).arg("--version"))?;
    let rust = rust.split(' ').nth(1).ok_or("rustc does not say its version")?.to_owned();
    let json = bom(root, version, built, &edges, &crates, &rust)?;
    Ok(Bill { json, licences: licences(&crates, &rust)? })
}

fn cargo(root: &Path) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    command
}

/// Of each crate whose code can be in the Worker a line with its depth.
fn tree(root: &Path) -> Result<String, String> {
    let mut command = cargo(root);
    command.args(["tree", "--quiet", "--locked", "--package", NAME, "--target", TARGET]);
    // Macros run in the compiler: their code is not in the Worker.
    command.args(["--edges", "normal,no-proc-macro", "--prefix", "depth", "--format", "|{p}", "--charset", "ascii"]);
    output(&mut command)
}

/// What each crate of the tree needs.
fn edges(tree: &str) -> Result<BTreeMap<Id, BTreeSet<Id>>, String> {
    let mut edges: BTreeMap<Id, BTreeSet<Id>> = BTreeMap::new();
    let mut above: Vec<Id> = Vec::new();
    for line in tree.lines().filter(|line| !line.is_empty()) {
        let parsed = line.split_once('|').and_then(|(depth, package)| {
            let mut words = package.split(' ');
            let id = (words.next()?.to_owned(), words.next()?.strip_prefix('v')?.to_owned());
            Some((depth.parse::<usize>().ok()?, id))
        });
        let (depth, id) = parsed.ok_or_else(|| format!("cargo tree says what cannot be read: {line}"))?;
        above.truncate(depth);
        if let Some(parent) = above.last() {
            edges.entry(parent.clone()).or_default().insert(id.clone());
        }
        edges.entry(id.clone()).or_default();
        above.push(id);
    }
    Ok(edges)
}

/// Licences and folders by `cargo metadata`, hashes by `Cargo.lock`.
fn crates<'i>(root: &Path, ids: impl Iterator<Item = &'i Id>) -> Result<BTreeMap<Id, Crate>, String> {
    let mut command = cargo(root);
    command.args(["metadata", "--quiet", "--locked", "--format-version", "1", "--filter-platform", TARGET]);
    let metadata: Value =
        serde_json::from_str(&output(&mut command)?).map_err(|error| format!("cargo metadata: {error}"))?;
    let packages = metadata.get("packages").and_then(Value::as_array).ok_or("cargo metadata names no packages")?;
    let lock: DocumentMut = read(&root.join("Cargo.lock"))?.parse().map_err(|error| format!("Cargo.lock: {error}"))?;
    let locked = lock.get("package").and_then(|packages| packages.as_array_of_tables());
    let locked = locked.ok_or("Cargo.lock names no packages")?;
    let mut crates = BTreeMap::new();
    for id in ids {
        let (name, version) = id;
        let told = |what: &str| format!("{name} {version} has no {what}");
        let package = packages.iter().find(|package| {
            let is = |key: &str, value: &str| package.get(key).is_some_and(|found| found == value);
            is("name", name) && is("version", version)
        });
        let package = package.ok_or_else(|| told("entry in cargo metadata"))?;
        let text = |key: &str| package.get(key).and_then(Value::as_str);
        let folder = text("manifest_path").and_then(|path| Path::new(path).parent()).ok_or_else(|| told("folder"))?;
        let entry = locked.iter().find(|entry| {
            let is = |key: &str, value: &str| entry.get(key).and_then(|found| found.as_str()) == Some(value);
            is("name", name) && is("version", version)
        });
        let entry = entry.ok_or_else(|| told("entry in Cargo.lock"))?;
        let sum = entry.get("checksum").and_then(|sum| sum.as_str()).map(str::to_owned);
        if sum.is_none() && entry.contains_key("source") {
            return Err(told("hash in Cargo.lock"));
        }
        let licence = expression(text("license").ok_or_else(|| told("licence"))?)?;
        crates.insert(id.clone(), Crate { licence, sum, folder: folder.to_path_buf() });
    }
    Ok(crates)
}

/// A licence as SPDX writes it: older crates say `MIT/Apache-2.0`.
pub(super) fn expression(licence: &str) -> Result<String, String> {
    let changed = spdx::Expression::canonicalize(licence).map_err(|error| format!("{licence}: {error}"))?;
    let licence = changed.unwrap_or_else(|| licence.to_owned());
    spdx::Expression::parse(&licence).map_err(|error| format!("{licence}: {error}"))?;
    Ok(licence)
}

/// <https://github.com/package-url/purl-spec/blob/main/PURL-TYPES.rst>
fn purl(id: &Id) -> String {
    format!("pkg:cargo/{}@{}", id.0, id.1.replace('+', "%2B"))
}

fn bom(
    root: &Path,
    version: &str,
    built: &[PathBuf],
    edges: &BTreeMap<Id, BTreeSet<Id>>,
    crates: &BTreeMap<Id, Crate>,
    rust: &str,
) -> Result<String, String> {
    let own = (NAME.to_owned(), version.to_owned());
    let standard = format!("rust-std@{rust}");
    let expression = |licence: &str| json!([{ "expression": licence }]);
    let mut components = vec![json!({
        "type": "library", "bom-ref": standard, "name": "rust-std", "version": rust, "scope": "required",
        "description": "Rust's standard library", "licenses": expression("MIT OR Apache-2.0"),
    })];
    for (id, known) in crates.iter().filter(|(id, _)| **id != own) {
        let mut component = json!({
            "type": "library", "bom-ref": purl(id), "name": id.0, "version": id.1, "scope": "required",
            "licenses": expression(&known.licence), "purl": purl(id),
        });
        if let (Some(sum), Some(component)) = (&known.sum, component.as_object_mut()) {
            component.insert("hashes".to_owned(), json!([{ "alg": "SHA-256", "content": sum }]));
        }
        components.push(component);
    }
    for (purl, name, version) in tools(root, rust)? {
        components.push(json!({
            "type": "application", "bom-ref": purl, "name": name, "version": version, "scope": "excluded",
            "description": "made the Worker, and is not part of it", "purl": purl,
        }));
    }
    let mut files = Vec::new();
    for path in built {
        let bytes = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let name = format!("build/{}", path.file_name().unwrap_or_default().to_string_lossy());
        files
            .push(json!({ "type": "file", "name": name, "hashes": [{ "alg": "SHA-256", "content": sha256(&bytes) }] }));
    }
    let needs = |id: &Id, needed: &BTreeSet<Id>| {
        let mut refs: Vec<String> = needed.iter().map(purl).collect();
        refs.extend((*id == own).then(|| standard.clone()));
        json!({ "ref": purl(id), "dependsOn": refs })
    };
    let mut metadata = json!({
        "component": {
            "type": "application", "bom-ref": purl(&own), "name": NAME, "version": version,
            "licenses": expression(&crates.get(&own).ok_or("the server is not in its own tree")?.licence),
            "components": files,
        },
        "tools": { "components": [{ "type": "application", "name": "cargo xtask release", "version": version }] },
    });
    // A release is of a commit; what is built elsewhere has no time that would be the same twice.
    let mut commit = Command::new("git");
    commit.current_dir(root).env("TZ", "UTC");
    commit.args(["log", "-1", "--format=%cd", "--date=format-local:%Y-%m-%dT%H:%M:%SZ"]);
    if let (Ok(time), Some(metadata)) = (output(&mut commit), metadata.as_object_mut()) {
        metadata.insert("timestamp".to_owned(), json!(time.trim()));
    }
    let mut bom = json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json", "bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
        "metadata": metadata, "components": components,
        "dependencies": edges.iter().map(|(id, needed)| needs(id, needed)).collect::<Vec<_>>(),
    });
    let serial = serial(&bom.to_string());
    if let Some(bom) = bom.as_object_mut() {
        bom.insert("serialNumber".to_owned(), json!(serial));
    }
    serde_json::to_string_pretty(&bom).map(|text| text + "\n").map_err(|error| error.to_string())
}

/// The number of a bill, of what is in it: a UUID of version 8 (RFC 9562, section 5.8).
fn serial(content: &str) -> String {
    let sum = sha256(content.as_bytes());
    let part = |from: usize, to: usize| sum.get(from..to).unwrap_or_default();
    format!("urn:uuid:{}-{}-8{}-8{}-{}", part(0, 8), part(8, 12), part(12, 15), part(15, 18), part(18, 30))
}

/// The programs that make the Worker of the source, by Package URL, name and version.
fn tools(root: &Path, rust: &str) -> Result<Vec<(String, String, String)>, String> {
    let lock: Value = serde_json::from_str(&read(&root.join("package-lock.json"))?)
        .map_err(|error| format!("package-lock.json: {error}"))?;
    let mut tools = vec![(format!("pkg:generic/rustc@{rust}"), "rustc".to_owned(), rust.to_owned())];
    for program in [Program::worker_build(root)?, Program::wasm_bindgen(root)?] {
        let (name, version) = (program.package().to_owned(), program.version().to_owned());
        tools.push((format!("pkg:cargo/{name}@{version}"), name, version));
    }
    for name in ["binaryen", "esbuild"] {
        let version =
            lock.get("packages").and_then(|all| all.get(format!("node_modules/{name}"))?.get("version")?.as_str());
        let version = version.ok_or_else(|| format!("package-lock.json has no {name}"))?;
        tools.push((format!("pkg:npm/{name}@{version}"), name.to_owned(), version.to_owned()));
    }
    Ok(tools)
}

/// The files of a crate that its licence wants to be handed on.
fn is_licence(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE"].iter().any(|start| name.starts_with(start))
}

/// What is compiled in, with each text once.
fn licences(crates: &BTreeMap<Id, Crate>, rust: &str) -> Result<String, String> {
    let mut list = format!("rust-std {rust}: MIT OR Apache-2.0 (https://www.rust-lang.org/policies/licenses)\n");
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for ((name, version), known) in crates.iter().filter(|((name, _), _)| name != NAME) {
        list.push_str(&format!("{name} {version}: {}\n", known.licence));
        let told = |error: std::io::Error| format!("{}: {error}", known.folder.display());
        let mut files: Vec<PathBuf> =
            fs::read_dir(&known.folder).map_err(told)?.flatten().map(|entry| entry.path()).collect();
        files.retain(|path| path.is_file() && path.file_name().is_some_and(|name| is_licence(&name.to_string_lossy())));
        files.sort();
        for file in files {
            let text = fs::read_to_string(&file).map_err(told)?.replace("\r\n", "\n").trim().to_owned();
            let named = texts.entry(text).or_default();
            let name = format!("{name} {version}");
            if named.last() != Some(&name) {
                named.push(name);
            }
        }
    }
    let mut texts: Vec<(Vec<String>, String)> = texts.into_iter().map(|(text, named)| (named, text)).collect();
    texts.sort();
    let texts: String = texts
        .iter()
        .map(|(named, text)| format!("\n{}\n\n{}:\n\n{text}\n", "-".repeat(100), named.join(", ")))
        .collect();
    Ok(format!(
        "The Worker is compiled from {NAME} (LICENSE) and from:\n\n{list}\nTheir texts, as they carry them:\n{texts}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> PathBuf {
        PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo")).join("..")
    }

    fn id(name: &str, version: &str) -> Id {
        (name.to_owned(), version.to_owned())
    }

    #[test]
    fn a_tree_is_read_as_what_needs_what() {
        let tree = "0|a v1.0.0 (/somewhere/a b)\n1|b v2.0.0\n2|c v3.0.0+spec-1\n1|d v4.0.0\n2|b v2.0.0 (*)\n";
        let found = edges(tree).expect("read");
        let expected = [
            (id("a", "1.0.0"), vec![id("b", "2.0.0"), id("d", "4.0.0")]),
            (id("b", "2.0.0"), vec![id("c", "3.0.0+spec-1")]),
            (id("c", "3.0.0+spec-1"), vec![]),
            (id("d", "4.0.0"), vec![id("b", "2.0.0")]),
        ];
        assert_eq!(found, expected.map(|(id, needed)| (id, needed.into_iter().collect())).into());
        assert_eq!(purl(&id("c", "3.0.0+spec-1")), "pkg:cargo/c@3.0.0%2Bspec-1");
        assert!(edges("something else").is_err());
    }

    #[test]
    fn a_licence_is_an_expression_of_spdx() {
        assert_eq!(expression("MIT/Apache-2.0").as_deref(), Ok("MIT OR Apache-2.0"));
        assert_eq!(
            expression("(MIT OR Apache-2.0) AND Unicode-3.0").as_deref(),
            Ok("(MIT OR Apache-2.0) AND Unicode-3.0")
        );
        assert!(expression("My own licence").is_err());
    }

    /// The names and forms that <https://cyclonedx.org/schema/bom-1.6.schema.json> demands of what is written here.
    #[test]
    fn the_bill_of_this_checkout_is_whole() {
        let root = root();
        let version = super::super::version(&root).expect("a version");
        let folder = root.join(format!("target/tmp/bill-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let module = folder.join("index_bg.wasm");
        fs::write(&module, "abc").expect("written");
        let bill = of(&root, &version, std::slice::from_ref(&module)).expect("a bill");
        assert_eq!(of(&root, &version, &[module]).expect("a bill").json, bill.json, "the same twice");
        fs::remove_dir_all(folder).expect("removed");

        let bom: Value = serde_json::from_str(&bill.json).expect("JSON");
        let keys: Vec<&String> = bom.as_object().expect("an object").keys().collect();
        let known = [
            "$schema",
            "bomFormat",
            "components",
            "dependencies",
            "metadata",
            "serialNumber",
            "specVersion",
            "version",
        ];
        assert_eq!(keys, known);
        let serial = bom["serialNumber"].as_str().expect("text").strip_prefix("urn:uuid:").expect("a URN");
        let lengths: Vec<usize> = serial.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12], "{serial}");
        assert!(serial.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f' | b'-')), "{serial}");
        let file = &bom["metadata"]["component"]["components"][0];
        assert_eq!((file["name"].as_str(), file["type"].as_str()), (Some("build/index_bg.wasm"), Some("file")));
        assert_eq!(file["hashes"][0]["content"], sha256(b"abc"), "the bill is of these bytes");

        let mut refs = BTreeSet::from([bom["metadata"]["component"]["bom-ref"].as_str().expect("a reference")]);
        let mut versions: BTreeMap<&str, &str> = BTreeMap::new();
        for component in bom["components"].as_array().expect("a list") {
            let text = |key: &str| component[key].as_str().unwrap_or_else(|| panic!("{key} of {component}"));
            assert!(refs.insert(text("bom-ref")), "{component}: a reference names one component");
            assert!(matches!((text("type"), text("scope")), ("library", "required") | ("application", "excluded")));
            if text("bom-ref").starts_with("pkg:cargo/") && text("scope") == "required" {
                let sum = component["hashes"][0]["content"].as_str().expect("a hash");
                assert_eq!((sum.len(), component["hashes"][0]["alg"].as_str()), (64, Some("SHA-256")));
                assert!(component["licenses"][0]["expression"].is_string(), "{component}");
                let twice = versions.insert(text("name"), text("version"));
                assert!(
                    twice.is_none(),
                    "the Worker carries {} twice: {twice:?} and {}",
                    text("name"),
                    text("version")
                );
            }
        }
        for dependency in bom["dependencies"].as_array().expect("a list") {
            let needed = dependency["dependsOn"].as_array().expect("a list");
            for named in needed.iter().chain([&dependency["ref"]]) {
                assert!(refs.contains(named.as_str().expect("text")), "{named} is no component");
            }
        }
        let manifest: DocumentMut = read(&root.join("Cargo.toml")).expect("text").parse().expect("TOML");
        let of_wasm = &manifest["target"]["cfg(target_arch = \"wasm32\")"]["dependencies"];
        for (name, _) in
            [&manifest["dependencies"], of_wasm].into_iter().flat_map(|table| table.as_table().expect("a table"))
        {
            assert!(versions.contains_key(name), "{name} is compiled in and not in the bill");
            assert!(bill.licences.contains(&format!("\n{name} ")), "{name} is not in the list of licences");
        }
        for other in ["proptest", "rmcp", "mysql", "wasm-bindgen-macro", "toml_edit"] {
            assert!(!versions.contains_key(other), "{other} is not compiled into the Worker");
        }
        assert!(bill.licences.contains("Permission is hereby granted") && bill.licences.contains("Apache License"));
    }
}
