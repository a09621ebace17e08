//! `cargo xtask release`: what a release consists of. The same commit gives the same bytes wherever it is built with the same Rust:
//! nothing here depends on the folder, the user, the clock or the order of a directory.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use toml_edit::DocumentMut;

use crate::{
    build, bundle, process,
    programs::{cargo_home, sha256},
    setup::{self, Part, Tools},
};

mod archive;
mod bill;
mod notes;

/// What the files of a release are named after.
const NAME: &str = "mcp-server-tidbcloud";

/// Where it is written, unless `--out` says it.
const FOLDER: &str = "target/release-bundle";

/// The file with the hashes of all others.
const SUMS: &str = "SHA256SUMS";

/// `--out`, `--tag` and `--repository`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Flags {
    out: Option<PathBuf>,
    tag: Option<String>,
    repository: Option<String>,
}

impl Flags {
    fn parse(words: &[&str]) -> Result<Self, String> {
        let mut flags = Self::default();
        let mut rest = words.iter();
        while let Some(name) = rest.next() {
            let value = rest.next().filter(|value| !value.is_empty()).ok_or_else(|| format!("{name} needs a value"))?;
            match *name {
                "--out" => flags.out = Some(PathBuf::from(value)),
                "--tag" => flags.tag = Some((*value).to_owned()),
                "--repository" => flags.repository = Some((*value).to_owned()),
                _ => return Err(format!("unknown flag {name}: there are --out, --tag and --repository")),
            }
        }
        Ok(flags)
    }
}

/// Builds the Worker and writes the files.
pub(crate) fn command(root: &Path, words: &[&str]) -> Result<(), String> {
    let flags = Flags::parse(words)?;
    let version = version(root)?;
    let changelog = read(&root.join("CHANGELOG.md"))?;
    // Before minutes are spent on a build.
    let notes = notes::of(&changelog, &version, flags.tag.as_deref())?;
    let tools = setup::run(root, Part::BUILD)?;
    build::run(root, &tools)?;
    let out = flags.out.map_or_else(|| root.join(FOLDER), |out| std::path::absolute(&out).unwrap_or(out));
    let written = write(&tools, &version, &notes, flags.repository.as_deref(), &out)?;
    println!("\nversion {version}, in {}:", out.display());
    for (name, sum) in written {
        println!("{sum}  {name}");
    }
    Ok(())
}

/// Writes a release of what is built, and returns its files with their hashes.
pub(crate) fn write(
    tools: &Tools,
    version: &str,
    notes: &str,
    repository: Option<&str>,
    out: &Path,
) -> Result<Vec<(String, String)>, String> {
    let root = tools.root();
    let told = |error: std::io::Error| format!("{}: {error}", out.display());
    if out.exists() {
        only_a_release(out)?;
        fs::remove_dir_all(out).map_err(told)?;
    }
    fs::create_dir_all(out).map_err(told)?;
    let built = build::modules(&root.join("build"))?;
    for module in &built {
        names_no_place(module, &[root, &cargo_home()?])?;
    }
    let bill = bill::of(root, version, &built)?;
    let folder = format!("{NAME}-{version}");
    let archive = archive::packed(&folder, &contents(root, version, &built, &bill)?)?;
    let put = |name: &str, bytes: &[u8]| fs::write(out.join(name), bytes).map_err(told);
    put(&format!("{folder}.tar.gz"), &archive)?;
    put(&format!("{folder}.cdx.json"), bill.json.as_bytes())?;
    put("notes.md", notes.as_bytes())?;
    bundle::build(root, out, repository)?;
    let mut sums = Vec::new();
    for entry in fs::read_dir(out).map_err(told)?.flatten() {
        let bytes = fs::read(entry.path()).map_err(told)?;
        sums.push((entry.file_name().to_string_lossy().into_owned(), sha256(&bytes)));
    }
    sums.sort_unstable();
    let lines: String = sums.iter().map(|(name, sum)| format!("{sum}  {name}\n")).collect();
    put(SUMS, lines.as_bytes())?;
    Ok(sums)
}

/// Writes a release of what is built twice, and deploys the archive as far as it goes without an account. Whether both are the same, and
/// the deployment takes the Worker that is in it.
pub(crate) fn rehearsal(tools: &Tools) -> Result<bool, String> {
    let root = tools.root();
    let version = version(root)?;
    let out = root.join("target/release-rehearsal");
    let notes = notes::of(&read(&root.join("CHANGELOG.md"))?, &version, None)?;
    let once = write(tools, &version, &notes, None, &out)?;
    let again = write(tools, &version, &notes, None, &out)?;
    if once != again {
        println!("not the same twice: {once:?} and {again:?}");
        return Ok(false);
    }
    let unpacked = root.join("target/release-unpacked");
    let told = |error: std::io::Error| format!("{}: {error}", unpacked.display());
    if unpacked.exists() {
        fs::remove_dir_all(&unpacked).map_err(told)?;
    }
    fs::create_dir_all(&unpacked).map_err(told)?;
    let folder = format!("{NAME}-{version}");
    let archive = out.join(format!("{folder}.tar.gz"));
    process::output(Command::new("tar").arg("-xzf").arg(&archive).arg("-C").arg(&unpacked))?;
    let mut command = tools.wrangler();
    command.current_dir(unpacked.join(&folder)).args(["deploy", "--dry-run", "--outdir", "../uploaded"]);
    if !process::shown("wrangler deploy --dry-run of the archive", &mut command)?.success {
        return Ok(false);
    }
    // wrangler puts a hash before the names of modules.
    let uploaded = fs::read_dir(unpacked.join("uploaded")).map_err(told)?.flatten().map(|entry| entry.path());
    let module = fs::read(root.join("build/index_bg.wasm")).map_err(told)?;
    let is_it = |path: &PathBuf| fs::read(path).is_ok_and(|bytes| bytes == module);
    let there =
        uploaded.filter(|path| path.extension().is_some_and(|extension| extension == "wasm")).any(|path| is_it(&path));
    if !there {
        println!("the deployment would not upload build/index_bg.wasm");
    }
    Ok(there)
}

/// Refuses to replace a folder that an earlier release did not make.
fn only_a_release(out: &Path) -> Result<(), String> {
    let mut entries = fs::read_dir(out).map_err(|error| format!("{}: {error}", out.display()))?;
    if entries.next().is_some() && !out.join(SUMS).is_file() {
        return Err(format!("{} holds something else than a release: give an empty folder with --out", out.display()));
    }
    Ok(())
}

/// What a deployment without Rust needs.
fn contents(
    root: &Path,
    version: &str,
    built: &[PathBuf],
    bill: &bill::Bill,
) -> Result<Vec<(String, Vec<u8>)>, String> {
    let mut files = vec![
        ("LICENSE".to_owned(), read(&root.join("LICENSE"))?.into_bytes()),
        ("THIRD-PARTY.txt".to_owned(), bill.licences.clone().into_bytes()),
        ("README.md".to_owned(), readme(root, version)?.into_bytes()),
        ("wrangler.toml".to_owned(), without_build(&read(&root.join("wrangler.toml"))?)?.into_bytes()),
    ];
    for (folder, paths) in [("build", built.to_vec()), ("static", files_of(&root.join("static"))?)] {
        for path in paths {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let bytes = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            files.push((format!("{folder}/{name}"), bytes));
        }
    }
    Ok(files)
}

/// The files of a folder without folders, hidden ones apart: an editor or a system may have left those.
fn files_of(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|path| !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.')));
    match files.iter().find(|path| !path.is_file()) {
        Some(other) => Err(format!("{} is no file: the archive would lack what is in it", other.display())),
        None => Ok(files),
    }
}

/// `wrangler.toml` for a deployment of what is built already.
fn without_build(text: &str) -> Result<String, String> {
    let mut document: DocumentMut = text.parse().map_err(|error| format!("wrangler.toml: {error}"))?;
    document.remove("build").ok_or("wrangler.toml has no [build], which a release leaves out")?;
    Ok(document.to_string())
}

fn readme(root: &Path, version: &str) -> Result<String, String> {
    let package: serde_json::Value =
        serde_json::from_str(&read(&root.join("package.json"))?).map_err(|error| format!("package.json: {error}"))?;
    let wrangler = package.pointer("/devDependencies/wrangler").and_then(serde_json::Value::as_str);
    let wrangler = wrangler.ok_or("package.json has no wrangler")?;
    Ok(format!(
        "# {NAME} {version}, built

An MCP server for TiDB Cloud, for Cloudflare Workers. To deploy it you need Node.js 22 or newer and a Cloudflare account, and no Rust:

```console
$ npx wrangler@{wrangler} login
$ npx wrangler@{wrangler} deploy
```

wrangler prints the address at the end. The server works at once and is closed: it has no key of TiDB Cloud, so whoever connects needs
keys of their own. Look at `/health` there: it says for whom the server is set up, what is missing, and how to set it.

- `build/`: the Worker. `static/`: the files that it serves. `wrangler.toml`: how it is deployed; settings go under `[vars]`.
- `LICENSE`: the licence of this server. `THIRD-PARTY.txt`: those of what is compiled in.
- A bill of materials (CycloneDX) and the hashes of all files of the release lie beside this archive.
"
    ))
}

/// The version in `Cargo.toml`.
pub(crate) fn version(root: &Path) -> Result<String, String> {
    let document: DocumentMut =
        read(&root.join("Cargo.toml"))?.parse().map_err(|error| format!("Cargo.toml: {error}"))?;
    let version = document.get("workspace").and_then(|table| table.get("package")?.get("version")?.as_str());
    version.map(str::to_owned).ok_or_else(|| "Cargo.toml has no workspace.package.version".to_owned())
}

/// Fails if a file says where it was built: then another folder, or another user, would give other bytes.
pub(crate) fn names_no_place(file: &Path, places: &[&Path]) -> Result<(), String> {
    let bytes = fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    match places.iter().find_map(|place| place_in(&bytes, place)) {
        Some(found) => Err(format!(
            "{} names a place of this machine: {found}. `remap` in xtask/src/build.rs has to replace it",
            file.display()
        )),
        None => Ok(()),
    }
}

/// The text around the place, if it is there.
fn place_in(bytes: &[u8], place: &Path) -> Option<String> {
    let place = place.as_os_str().as_encoded_bytes();
    // A checkout in `/` says nothing about anybody, and would be found everywhere.
    if place.len() < 3 {
        return None;
    }
    let at = bytes.windows(place.len()).position(|window| window == place)?;
    let text = bytes.get(at..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_graphic()).take(120);
    Some(text.map(|byte| char::from(*byte)).collect())
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> PathBuf {
        PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo")).join("..")
    }

    #[test]
    fn flags_have_values() {
        assert_eq!(Flags::parse(&[]), Ok(Flags::default()));
        let given = Flags::parse(&["--tag", "v1.2.3", "--out", "here"]).expect("two flags");
        assert_eq!((given.tag.as_deref(), given.out), (Some("v1.2.3"), Some(PathBuf::from("here"))));
        assert!(Flags::parse(&["--tag"]).is_err() && Flags::parse(&["--tag", ""]).is_err(), "an empty tag is no tag");
        assert!(Flags::parse(&["--tags", "v1"]).is_err());
    }

    #[test]
    fn only_the_build_command_is_left_out() {
        let text = read(&root().join("wrangler.toml")).expect("the file");
        let found = without_build(&text).expect("it has one");
        let (before, after) = [&text, &found].map(|text| text.parse::<DocumentMut>().expect("TOML")).into();
        let keys = |document: &DocumentMut| document.iter().map(|(key, _)| key.to_owned()).collect::<Vec<_>>();
        let kept: Vec<String> = keys(&before).into_iter().filter(|key| key != "build").collect();
        assert_eq!(keys(&after), kept);
        let mut settings = found.lines().filter(|line| !line.starts_with('#'));
        assert!(settings.all(|line| !line.contains("cargo")), "nothing of it needs Rust:\n{found}");
        assert!(without_build(&found).is_err(), "a file without it has changed");
    }

    #[test]
    fn a_place_of_the_machine_is_found() {
        let place = Path::new("/home/somebody/.cargo");
        let found = place_in(b"\0\x01/home/somebody/.cargo/registry/src/x.rs\0more", place);
        assert_eq!(found.as_deref(), Some("/home/somebody/.cargo/registry/src/x.rs"));
        assert_eq!(place_in(b"/home/somebody", place), None, "only the whole");
        assert_eq!(place_in(b"/rustc/5980761/library/core/src/fmt/mod.rs", place), None);
        assert_eq!(place_in(b"a/b", Path::new("/")), None);
    }

    #[test]
    fn a_folder_of_something_else_is_kept() {
        let folder = root().join(format!("target/tmp/release-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        assert_eq!(only_a_release(&folder), Ok(()), "an empty one");
        fs::write(folder.join("thesis.tex"), "").expect("written");
        assert!(only_a_release(&folder).is_err());
        fs::write(folder.join(SUMS), "").expect("written");
        assert_eq!(only_a_release(&folder), Ok(()));
        fs::remove_dir_all(folder).expect("removed");
    }
}
