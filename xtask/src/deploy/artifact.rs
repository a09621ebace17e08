//! What is deployed: a Worker that another job has built, with the `wrangler.toml` of this checkout.
//!
//! The artifact of a pull request is data of a stranger. Of it only files of known names are taken, nothing in it is run or bundled
//! here, and what configures the deployment comes from this checkout.

use std::{
    fs,
    path::{Path, PathBuf},
};

use toml_edit::{DocumentMut, Item, value};

/// What is built: the entry module and the WebAssembly module that it imports.
const MODULES: [&str; 2] = ["index.js", "index_bg.wasm"];

/// A file for each tool that the Worker has, for its smoke tests, which read the names of the files alone. None need be there.
const TOOLS: &str = "tests/snapshots/tools";

/// What the files of `static/` may end with. None of them configures a deployment, as `_headers` and `_redirects` would.
const ENDINGS: [&str; 9] = [".html", ".css", ".js", ".svg", ".txt", ".png", ".ico", ".json", ".webmanifest"];

/// The largest artifact. A build has 3 MiB; Workers takes 64 MiB before compression.
const LARGEST: u64 = 20 * 1024 * 1024;

/// A directory that wrangler deploys from.
pub(super) struct Artifact {
    directory: PathBuf,
}

impl Artifact {
    /// Copies the known files of `from` into `directory`, which is emptied, and refuses anything else.
    pub(super) fn take(from: &Path, directory: &Path) -> Result<Self, String> {
        let _ = fs::remove_dir_all(directory);
        let mut left = LARGEST;
        for name in names(from, "")? {
            let is_known = match name.split_once('/') {
                Some(("build", file)) => MODULES.contains(&file),
                Some(("static", file)) => is_page(file),
                _ => name.strip_prefix(TOOLS).and_then(|file| file.strip_prefix('/')).is_some_and(is_tool),
            };
            if !is_known {
                return Err(format!("the artifact has {name:?}, which is not deployed: it was not made by build.yml"));
            }
            let (source, target) = (from.join(&name), directory.join(&name));
            let told = |error: std::io::Error| format!("{name}: {error}");
            let size = fs::symlink_metadata(&source).map_err(told)?.len();
            left = left.checked_sub(size).ok_or(format!("the artifact is larger than {LARGEST} bytes"))?;
            if let Some(parent) = target.parent() {
                fs::create_dir_all(parent).map_err(told)?;
            }
            fs::copy(&source, &target).map_err(told)?;
        }
        for module in MODULES {
            if !directory.join("build").join(module).is_file() {
                return Err(format!("{} has no build/{module}: run `cargo xtask build` first", from.display()));
            }
        }
        Ok(Self { directory: directory.to_path_buf() })
    }

    /// The checkout's own build, as `cargo xtask build` left it.
    pub(super) fn of_checkout(root: &Path, directory: &Path) -> Result<Self, String> {
        let gathered = directory.with_extension("gathered");
        let _ = fs::remove_dir_all(&gathered);
        let copy = |name: &str| {
            let told = |error: std::io::Error| format!("{name}: {error}");
            let target = gathered.join(name);
            fs::create_dir_all(target.parent().unwrap_or(&gathered)).map_err(told)?;
            fs::copy(root.join(name), target).map_err(told).map(|_| ())
        };
        for module in MODULES.iter().filter(|module| root.join("build").join(module).is_file()) {
            copy(&format!("build/{module}"))?;
        }
        for name in names(root, "static")? {
            copy(&name)?;
        }
        let taken = Self::take(&gathered, directory);
        let _ = fs::remove_dir_all(&gathered);
        taken
    }

    /// Writes the configuration and says where it is. `name` is the Worker's if it is not the checkout's own; such a Worker has no
    /// cron trigger and no route: an account has few of the first, and the second belong to the deployment.
    pub(super) fn configure(&self, root: &Path, name: Option<&str>) -> Result<PathBuf, String> {
        let text = configuration(&read(root)?, name)?;
        let path = self.directory.join("wrangler.toml");
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(path)
    }

    /// The folder that names the tools, if the artifact brought one.
    pub(super) fn tools(&self) -> Option<PathBuf> {
        Some(self.directory.join(TOOLS)).filter(|path| path.is_dir())
    }
}

/// The names of all files below `folder` of `from`, with `/`. A link is refused: it may lead anywhere.
fn names(from: &Path, folder: &str) -> Result<Vec<String>, String> {
    let place = from.join(folder);
    let entries = fs::read_dir(&place).map_err(|error| format!("{}: {error}", place.display()))?;
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| format!("{}: {error}", place.display()))?;
        let name = entry.file_name().into_string().map_err(|name| format!("{name:?} is no name of a file here"))?;
        let name = if folder.is_empty() { name } else { format!("{folder}/{name}") };
        let kind = entry.file_type().map_err(|error| format!("{name}: {error}"))?;
        if kind.is_dir() {
            found.extend(names(from, &name)?);
        } else if kind.is_file() {
            found.push(name);
        } else {
            return Err(format!("{name} is neither a file nor a folder"));
        }
        if found.len() > 200 {
            return Err("the artifact has more than 200 files".to_owned());
        }
    }
    found.sort();
    Ok(found)
}

fn is_tool(file: &str) -> bool {
    let is_plain = |character: char| matches!(character, 'a'..='z' | '0'..='9' | '_');
    file.strip_suffix(".json").is_some_and(|name| !name.is_empty() && name.chars().all(is_plain))
}

fn is_page(file: &str) -> bool {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '-' | '_');
    file.starts_with(|character: char| character.is_ascii_alphanumeric())
        && file.chars().all(is_plain)
        && ENDINGS.iter().any(|ending| file.ends_with(ending))
}

fn read(root: &Path) -> Result<DocumentMut, String> {
    let path = root.join("wrangler.toml");
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    text.parse().map_err(|error| format!("{}: {error}", path.display()))
}

/// The name of this checkout's Worker.
pub(super) fn worker_name(root: &Path) -> Result<String, String> {
    let document = read(root)?;
    document.get("name").and_then(Item::as_str).map(str::to_owned).ok_or_else(|| "wrangler.toml has no name".to_owned())
}

/// The newest migration of Durable Objects in this checkout.
pub(super) fn newest_migration(root: &Path) -> Result<Option<String>, String> {
    let document = read(root)?;
    let Some(migrations) = document.get("migrations") else { return Ok(None) };
    let migrations =
        migrations.as_array_of_tables().ok_or("migrations of wrangler.toml are no [[migrations]] tables")?;
    let Some(last) = migrations.iter().last() else { return Ok(None) };
    let tag = last.get("tag").and_then(Item::as_str).ok_or("a [[migrations]] table of wrangler.toml has no tag")?;
    Ok(Some(tag.to_owned()))
}

fn configuration(document: &DocumentMut, name: Option<&str>) -> Result<String, String> {
    let mut document = document.clone();
    let is = |item: Option<&Item>, expected: &str| item.and_then(Item::as_str) == Some(expected);
    if !is(document.get("main"), crate::build::ENTRY) || document.remove("build").is_none() {
        return Err("wrangler.toml has another main or no [build]: see deploy/artifact.rs".to_owned());
    }
    if !is(document.get("assets").and_then(|assets| assets.get("directory")), "static") {
        return Err("the assets of wrangler.toml are not in static: see deploy/artifact.rs".to_owned());
    }
    if let Some(name) = name {
        document.insert("name", value(name));
        for own in ["triggers", "routes", "route"] {
            document.remove(own);
        }
    }
    Ok(document.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::Directory;

    const OWN: &str = include_str!("../../../wrangler.toml");

    fn artifact(files: &[(&str, usize)]) -> Directory {
        let scratch = Directory::temporary();
        for (name, size) in files {
            let path = scratch.0.join("artifact").join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(path, vec![b'x'; *size]).expect("written");
        }
        scratch
    }

    fn take(files: &[(&str, usize)]) -> Result<Vec<String>, String> {
        let mut complete = vec![("build/index.js", 10), ("build/index_bg.wasm", 10), ("static/index.html", 10)];
        complete.extend(files);
        let scratch = artifact(&complete);
        let target = scratch.0.join("taken");
        Artifact::take(&scratch.0.join("artifact"), &target)?;
        names(&target, "")
    }

    #[test]
    fn an_artifact_has_files_of_known_names_and_no_others() {
        let usual = ["build/index.js", "build/index_bg.wasm", "static/index.html"];
        assert_eq!(take(&[]).expect("a usual one"), usual);
        assert!(take(&[("static/style.css", 1), ("tests/snapshots/tools/db_query.json", 1)]).is_ok());
        let wrong = [
            "wrangler.toml",
            "build/wrangler.toml",
            "build/other.js",
            "build/index.js/x",
            "static/_headers",
            "static/_worker.js",
            "static/.assetsignore",
            "static/deep/index.html",
            "static/run.sh",
            "tests/snapshots/catalogue.tsv",
            "tests/snapshots/tools/run.sh",
            "tests/snapshots/tools/deep/db_query.json",
            "tests/snapshots/tools/.json",
            ".env",
            ".dev.vars",
            "node_modules/x/index.js",
        ];
        for name in wrong.into_iter().filter(|name| *name != "build/index.js/x") {
            let refused = take(&[(name, 1)]).expect_err(name);
            assert!(refused.contains(name), "{refused}");
        }
    }

    #[test]
    fn an_artifact_is_complete_and_not_too_large() {
        let scratch = artifact(&[("build/index.js", 1)]);
        let taken = Artifact::take(&scratch.0.join("artifact"), &scratch.0.join("taken"));
        assert!(taken.is_err_and(|error| error.contains("index_bg.wasm")));
        let large = usize::try_from(LARGEST).expect("a size") - 29;
        assert!(take(&[("static/large.png", large)]).expect_err("one byte more").contains("larger"));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_leads_nowhere() {
        let scratch = artifact(&[("build/index.js", 1), ("build/index_bg.wasm", 1)]);
        let from = scratch.0.join("artifact");
        fs::create_dir(from.join("static")).expect("made");
        std::os::unix::fs::symlink("/etc/passwd", from.join("static/passwd.txt")).expect("a link");
        assert!(Artifact::take(&from, &scratch.0.join("taken")).is_err_and(|error| error.contains("passwd.txt")));
        fs::remove_file(from.join("static/passwd.txt")).expect("removed");
        std::os::unix::fs::symlink("/etc", from.join("static/etc")).expect("a link");
        assert!(Artifact::take(&from, &scratch.0.join("taken")).is_err(), "nor does one to a folder");
    }

    #[test]
    fn a_preview_is_configured_as_the_deployment_without_what_is_the_deployments_own() {
        let own: DocumentMut = OWN.parse().expect("TOML");
        let made: DocumentMut = configuration(&own, Some("a-preview")).expect("a text").parse().expect("TOML");
        let tables =
            |document: &DocumentMut| -> Vec<String> { document.iter().map(|(name, _)| name.to_owned()).collect() };
        let kept: Vec<String> =
            tables(&own).into_iter().filter(|name| !["build", "triggers"].contains(&name.as_str())).collect();
        assert_eq!(tables(&made), kept, "everything else is there");
        assert_eq!(made.get("name").and_then(Item::as_str), Some("a-preview"));
        let whole: DocumentMut = configuration(&own, None).expect("a text").parse().expect("TOML");
        assert!(whole.contains_key("triggers") && !whole.contains_key("build"), "the deployment keeps its triggers");
        assert_eq!(whole.get("name").map(Item::to_string), own.get("name").map(Item::to_string));
        for line in ["main = \"build/index.js\"", "[build]\ncommand = \"cargo xtask build\"", "directory = \"static\""]
        {
            assert!(OWN.contains(line), "{line}");
            let other: DocumentMut = OWN.replace(line, "").parse().expect("TOML");
            assert!(
                configuration(&other, None).is_err(),
                "without {line} the result would not be what it is taken for"
            );
        }
    }

    #[test]
    fn the_newest_migration_is_the_last() {
        let scratch = Directory::temporary();
        fs::create_dir_all(&scratch.0).expect("a folder");
        let newest = |text: &str| {
            fs::write(scratch.0.join("wrangler.toml"), text).expect("written");
            newest_migration(&scratch.0)
        };
        assert_eq!(newest("name = \"x\""), Ok(None));
        let two =
            "[[migrations]]\ntag = \"v1\"\n# [[migrations]]\n[[migrations]]\ntag = \"v2\"\nnew_sqlite_classes = []";
        assert_eq!(newest(two), Ok(Some("v2".to_owned())));
        assert!(newest("[[migrations]]\nnew_sqlite_classes = []").is_err());
    }
}
