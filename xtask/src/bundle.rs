//! `cargo xtask bundle`: the MCP bundle (`.mcpb`) for hosts that only start programs, and `server.json` for the MCP registry.
//!
//! A bundle is a zip archive with `manifest.json` at its root
//! (<https://github.com/anthropics/mcpb/blob/main/MANIFEST.md>). The same files give the same bytes on any machine: nothing is
//! compressed, and every entry has the date that zip begins with. `mcpb pack` writes the present time.

use std::{
    fs,
    io::{Cursor, Write},
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use zip::{CompressionMethod, DateTime, ZipWriter, write::SimpleFileOptions};

/// What goes in, in this order: the file in the checkout, and its name in the bundle.
const FILES: [(&str, &str); 4] = [
    ("bundle/manifest.json", "manifest.json"),
    ("bundle/icon.png", "icon.png"),
    ("bundle/server/index.mjs", "server/index.mjs"),
    ("LICENSE", "LICENSE"),
];

/// The name of server and bundle.
const NAME: &str = "mcp-server-tidbcloud";

/// The account that stands in `server.json` until a release says its own.
const OWNER: &str = "OWNER";

/// `[--out DIR] [--repository URL]`.
pub(crate) fn command(root: &Path, words: &[&str]) -> Result<(), String> {
    let (mut out, mut repository) = (root.join("target/bundle"), None);
    let mut rest = words.iter();
    while let Some(name) = rest.next() {
        let value = rest.next().ok_or_else(|| format!("{name} needs a value"))?;
        match *name {
            "--out" => out = PathBuf::from(value),
            "--repository" => repository = Some(*value),
            _ => return Err(format!("cargo xtask bundle has no {name}: it takes --out DIR and --repository URL")),
        }
    }
    for path in build(root, &out, repository)? {
        println!("{}", path.display());
    }
    if repository.is_none() {
        println!(
            "server.json for the MCP registry is written too where --repository says whose release holds the bundle"
        );
    }
    Ok(())
}

/// Writes the bundle into `out`, and with the address of the repository that releases it, `server.json` beside it. Gives the files.
pub(crate) fn build(root: &Path, out: &Path, repository: Option<&str>) -> Result<Vec<PathBuf>, String> {
    let version = version(root)?;
    let bundle = packed(root)?;
    let hash: String = Sha256::digest(&bundle).iter().map(|byte| format!("{byte:02x}")).collect();
    let name = format!("{NAME}-{version}.mcpb");
    let mut files = vec![(name.clone(), bundle)];
    if let Some(repository) = repository {
        let server = read_json(root, "server.json")?;
        let server = published(server, repository, &version, &name, &hash)?;
        let text = serde_json::to_string_pretty(&server).map_err(|error| format!("server.json: {error}"))?;
        files.push(("server.json".to_owned(), format!("{text}\n").into_bytes()));
    }
    fs::create_dir_all(out).map_err(|error| format!("{}: {error}", out.display()))?;
    files
        .into_iter()
        .map(|(name, content)| {
            let path = out.join(name);
            fs::write(&path, content).map_err(|error| format!("{}: {error}", path.display()))?;
            Ok(path)
        })
        .collect()
}

/// The version that all of the project has. Both manifests have to say it.
fn version(root: &Path) -> Result<String, String> {
    let version = env!("CARGO_PKG_VERSION");
    for file in ["bundle/manifest.json", "server.json"] {
        let stated = read_json(root, file)?.get("version").and_then(Value::as_str).map(str::to_owned);
        if stated.as_deref() != Some(version) {
            return Err(format!(
                "{file} says version {}, Cargo.toml says {version}: write {version} there",
                stated.as_deref().unwrap_or("none")
            ));
        }
    }
    Ok(version.to_owned())
}

fn read(root: &Path, file: &str) -> Result<Vec<u8>, String> {
    fs::read(root.join(file)).map_err(|error| format!("{file}: {error}"))
}

fn read_json(root: &Path, file: &str) -> Result<Value, String> {
    serde_json::from_slice(&read(root, file)?).map_err(|error| format!("{file}: {error}"))
}

fn packed(root: &Path) -> Result<Vec<u8>, String> {
    let told = |error: &dyn std::fmt::Display| format!("packing the bundle: {error}");
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(DateTime::default())
        .unix_permissions(0o644);
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (file, name) in FILES {
        archive.start_file(name, options).map_err(|error| told(&error))?;
        archive.write_all(&read(root, file)?).map_err(|error| told(&error))?;
    }
    Ok(archive.finish().map_err(|error| told(&error))?.into_inner())
}

/// `server.json` as the registry takes it: in the name of the account that releases the bundle, with the bundle's address and hash.
///
/// The registry gives the names `io.github.ACCOUNT/…` to whoever signs in as that account, and takes bundles of releases on GitHub
/// (<https://github.com/modelcontextprotocol/registry/blob/main/docs/modelcontextprotocol-io/package-types.mdx>).
fn published(mut server: Value, repository: &str, version: &str, file: &str, hash: &str) -> Result<Value, String> {
    let repository = repository.trim_end_matches('/');
    let repository = repository.strip_suffix(".git").unwrap_or(repository);
    let wrong = || format!("--repository takes an address like https://github.com/OWNER/NAME, not {repository:?}");
    let (owner, name) =
        repository.strip_prefix("https://github.com/").and_then(|path| path.split_once('/')).ok_or_else(wrong)?;
    let is_word = |word: &str| {
        !word.is_empty()
            && word.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '.' | '_'))
    };
    if !is_word(owner) || !is_word(name) {
        return Err(wrong());
    }
    let fields = server.as_object_mut().ok_or("server.json is no object")?;
    let stated = fields.get("name").and_then(Value::as_str).unwrap_or_default();
    if !stated.contains(OWNER) {
        return Err(format!("server.json says {stated:?}, in which {OWNER} should stand for the account"));
    }
    fields.insert("name".to_owned(), json!(stated.replace(OWNER, owner)));
    fields.insert("repository".to_owned(), json!({ "url": repository, "source": "github" }));
    let package = json!({
        "registryType": "mcpb",
        "identifier": format!("{repository}/releases/download/v{version}/{file}"),
        "fileSha256": hash,
        "transport": { "type": "stdio" },
    });
    fields.insert("packages".to_owned(), json!([package]));
    Ok(server)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn root() -> PathBuf {
        PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo")).join("..")
    }

    #[test]
    fn the_bundle_has_the_same_bytes_each_time_and_holds_the_files_as_they_are() {
        let bundle = packed(&root()).expect("a bundle");
        assert_eq!(bundle, packed(&root()).expect("a bundle"));
        let mut archive = zip::ZipArchive::new(Cursor::new(bundle)).expect("an archive");
        assert_eq!(archive.len(), FILES.len());
        for (at, (file, name)) in FILES.into_iter().enumerate() {
            let mut entry = archive.by_index(at).expect("an entry");
            assert_eq!(entry.name().expect("a name"), name);
            assert_eq!(entry.unix_mode(), Some(0o100_644), "{name}");
            assert_eq!(entry.last_modified().map(|time| time.year()), Some(1980), "{name}: no date of this machine");
            let mut content = Vec::new();
            entry.read_to_end(&mut content).expect("its content");
            assert_eq!(content, read(&root(), file).expect("a file"), "{name}");
        }
    }

    #[test]
    fn the_registry_gets_the_account_the_address_and_the_hash_of_a_release() {
        let given = || json!({ "name": "io.github.OWNER/mcp-server-tidbcloud", "version": "1.2.3", "remotes": [] });
        let server = |repository: &str| published(given(), repository, "1.2.3", "a.mcpb", "00ff");
        for repository in ["https://github.com/someone/a.fork", "https://github.com/someone/a.fork.git/"] {
            let server = server(repository.trim_end_matches('/')).expect("a repository");
            assert_eq!(server["name"], "io.github.someone/mcp-server-tidbcloud");
            assert_eq!(server["repository"], json!({ "url": "https://github.com/someone/a.fork", "source": "github" }));
            let [package] = server["packages"].as_array().expect("packages").as_slice() else { panic!("one package") };
            assert_eq!(package["identifier"], "https://github.com/someone/a.fork/releases/download/v1.2.3/a.mcpb");
            assert_eq!(package["fileSha256"], "00ff");
            assert_eq!(server["remotes"], json!([]), "the rest stays");
        }
        for wrong in [
            "",
            "someone/a",
            "https://gitlab.com/a/b",
            "http://github.com/a/b",
            "https://github.com/a",
            "https://github.com/a/b/c",
        ] {
            assert!(server(wrong).is_err(), "{wrong}");
        }
        assert!(published(json!({ "name": "io.github.else/x" }), "https://github.com/a/b", "1", "f", "0").is_err());
    }

    #[test]
    fn a_version_that_is_another_is_named_with_its_file() {
        assert_eq!(version(&root()).as_deref(), Ok(env!("CARGO_PKG_VERSION")));
        let scratch = root().join(format!("target/tmp/bundle-{}", std::process::id()));
        fs::create_dir_all(scratch.join("bundle")).expect("a folder");
        fs::write(scratch.join("bundle/manifest.json"), r#"{"version": "0.0.9"}"#).expect("a file");
        let told = version(&scratch).expect_err("another version");
        assert!(told.contains("bundle/manifest.json says version 0.0.9"), "{told}");
        fs::remove_dir_all(scratch).expect("removed");
    }
}
