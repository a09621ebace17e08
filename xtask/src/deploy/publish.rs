//! `cargo xtask publish`: makes a release on GitHub of what `cargo xtask release` wrote.

use std::{fs, path::Path, process::Command};

use super::{Flags, github};
use crate::process;

/// Where `cargo xtask release` writes.
const BUNDLE: &str = "target/release-bundle";
const SUMS: &str = "SHA256SUMS";
const NOTES: &str = "notes.md";

pub(crate) fn command(root: &Path, words: &[&str]) -> Result<(), String> {
    let flags = Flags::parse(words, &["--tag", "--dir"])?;
    let tag = flags.needed("--tag")?;
    let version = env!("CARGO_PKG_VERSION");
    if tag.strip_prefix('v') != Some(version) {
        return Err(format!(
            "the tag is {tag:?}, but the version in Cargo.toml is {version}: the tag has to be v{version}"
        ));
    }
    let bundle = flags.get("--dir").map_or_else(|| root.join(BUNDLE), |dir| root.join(dir));
    let notes = bundle.join(NOTES);
    let told = |error: std::io::Error| format!("{}: {error}: run `cargo xtask release` first", bundle.display());
    if fs::read_to_string(&notes).map_err(told)?.trim().is_empty() {
        return Err(format!("{} says nothing", notes.display()));
    }
    let mut files = listed(&fs::read_to_string(bundle.join(SUMS)).map_err(told)?)?;
    // What is published is what was built: the sums were attested.
    let mut check = Command::new("sha256sum");
    check.args(["--check", "--strict", "--quiet", SUMS]).current_dir(&bundle);
    process::output(&mut check).map_err(|error| format!("the files differ from {SUMS}: {error}"))?;
    // The notes are the text of the release, and no file of it.
    files.retain(|file| file != NOTES);
    files.push(SUMS.to_owned());
    let paths: Vec<String> = files.iter().map(|file| bundle.join(file).display().to_string()).collect();
    github::release(tag, version.contains('-'), &notes, &paths)
}

/// The names in a file of sums: plain names of files beside it.
fn listed(sums: &str) -> Result<Vec<String>, String> {
    let name = |line: &str| {
        let (sum, name) = line.split_once("  ").unwrap_or_default();
        let is_sum = sum.len() == 64 && sum.chars().all(|character| character.is_ascii_hexdigit());
        let is_plain =
            |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '-' | '_' | '+');
        let is_name =
            name.starts_with(|character: char| character.is_ascii_alphanumeric()) && name.chars().all(is_plain);
        if is_sum && is_name { Ok(name.to_owned()) } else { Err(format!("{SUMS} has the line {line:?}")) }
    };
    let names: Vec<String> = sums.lines().map(name).collect::<Result<_, _>>()?;
    if names.is_empty() { Err(format!("{SUMS} lists nothing")) } else { Ok(names) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_name_files_beside_them() {
        let sum = "0".repeat(64);
        let of = |name: &str| listed(&format!("{sum}  {name}\n"));
        assert_eq!(of("worker-0.1.0.tar.gz"), Ok(vec!["worker-0.1.0.tar.gz".to_owned()]));
        for other in ["../x", "/etc/passwd", "--notes", "a b", ""] {
            assert!(of(other).is_err(), "{other:?}");
        }
        assert!(listed("").is_err() && listed("abc  x").is_err());
    }
}
