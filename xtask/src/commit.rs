//! Which commit this checkout is of, for what a build says of itself.

use std::{fs, path::Path, process::Command};

use crate::process::output;

/// What a build is made from. A change elsewhere, as in documents and tests, leaves the build that of the commit.
const SOURCES: [&str; 10] = [
    "src",
    "static",
    "xtask",
    ".cargo",
    "Cargo.toml",
    "Cargo.lock",
    "rust-toolchain.toml",
    "package.json",
    "package-lock.json",
    "wrangler.toml",
];

/// `git archive`, and so GitHub, writes the commit into this file (gitattributes(5), `export-subst`).
const EXPORTED: &str = "xtask/commit.txt";

/// A commit, and whether the sources are still its own.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Commit {
    id: String,
    is_dirty: bool,
}

impl Commit {
    /// The commit of the checkout at `root`: git says it, or the file of an exported one. `None` in a copy that has neither.
    pub(crate) fn of(root: &Path) -> Result<Option<Self>, String> {
        if !root.join(".git").exists() {
            let text = fs::read_to_string(root.join(EXPORTED)).unwrap_or_default();
            let id = text.trim();
            return Ok(is_id(id).then(|| Self { id: id.to_owned(), is_dirty: false }));
        }
        let git = |arguments: &[&str]| output(Command::new("git").current_dir(root).args(arguments));
        let id = git(&["rev-parse", "--verify", "HEAD"])?.trim().to_owned();
        if !is_id(&id) {
            return Err(format!("git names the commit {id:?}"));
        }
        let status = git(&[["status", "--porcelain", "--"].as_slice(), &SOURCES].concat())?;
        Ok(Some(Self { id, is_dirty: !status.trim().is_empty() }))
    }

    /// The whole id, which ends in `.dirty` if the sources differ.
    pub(crate) fn name(&self) -> String {
        format!("{}{}", self.id, self.dirty())
    }

    /// A version with this commit as its build metadata (<https://semver.org/#spec-item-10>).
    pub(crate) fn version(&self, version: &str) -> String {
        format!("{version}+{}{}", self.id.get(..7).unwrap_or_default(), self.dirty())
    }

    fn dirty(&self) -> &'static str {
        if self.is_dirty { ".dirty" } else { "" }
    }
}

/// Whether this is a whole id, of SHA-1 or SHA-256.
fn is_id(text: &str) -> bool {
    [40, 64].contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

#[cfg(test)]
mod tests {
    use std::{env, path::PathBuf};

    use super::*;

    /// A folder of its own, which goes when the test ends.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let folder = env::temp_dir().join(format!("tidbcloud-commit-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&folder);
            for inner in ["src", "docs", "xtask"] {
                fs::create_dir_all(folder.join(inner)).expect("a folder");
            }
            Self(folder)
        }

        fn write(&self, path: &str, text: &str) {
            fs::write(self.0.join(path), text).expect("a file");
        }

        fn git(&self, arguments: &[&str]) -> String {
            let settings = ["-c", "user.name=x", "-c", "user.email=x@example.com", "-c", "commit.gpgsign=false"];
            output(Command::new("git").current_dir(&self.0).args(settings).args(arguments)).expect("git")
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_build_names_its_commit_and_says_when_its_sources_are_others() {
        let scratch = Scratch::new("git");
        scratch.git(&["init", "--quiet"]);
        scratch.write("src/lib.rs", "one");
        scratch.write("docs/a.md", "one");
        scratch.git(&["add", "."]);
        scratch.git(&["commit", "--quiet", "--message", "x"]);
        let id = scratch.git(&["rev-parse", "HEAD"]).trim().to_owned();
        let named = || Commit::of(&scratch.0).expect("git answers").expect("a commit");
        assert_eq!(named().name(), id);
        assert_eq!(named().version("0.1.0"), format!("0.1.0+{}", &id[..7]));
        scratch.write("docs/a.md", "two");
        assert_eq!(named().name(), id, "nothing is built from a document");
        for (path, text) in [("src/lib.rs", "two"), ("src/new.rs", "new"), ("Cargo.lock", "new")] {
            scratch.write(path, text);
            assert_eq!(named().name(), format!("{id}.dirty"), "{path} is built");
            assert_eq!(named().version("0.1.0"), format!("0.1.0+{}.dirty", &id[..7]));
            scratch.git(&["stash", "--quiet", "--include-untracked"]);
            assert_eq!(named().name(), id);
        }
    }

    #[test]
    fn an_exported_copy_names_its_commit_and_any_other_copy_names_none() {
        let id = "0123456789abcdef0123456789abcdef01234567";
        let scratch = Scratch::new("export");
        assert_eq!(Commit::of(&scratch.0), Ok(None), "no git, no file");
        for (text, expected) in [
            (format!("{id}\n"), Some(Commit { id: id.to_owned(), is_dirty: false })),
            ("$Format:%H$\n".to_owned(), None),
            (id.to_uppercase(), None),
            (id[1..].to_owned(), None),
        ] {
            scratch.write(EXPORTED, &text);
            assert_eq!(Commit::of(&scratch.0), Ok(expected), "{text}");
        }
    }

    #[test]
    fn this_repository_exports_its_commit() {
        let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo")).join("..");
        let attributes = fs::read_to_string(root.join(".gitattributes")).expect(".gitattributes");
        assert!(attributes.lines().any(|line| line == format!("{EXPORTED} export-subst")), "{attributes}");
        let text = fs::read_to_string(root.join(EXPORTED)).expect(EXPORTED);
        // In an exported copy git has written the commit in its place.
        assert!(text.trim() == "$Format:%H$" || is_id(text.trim()), "{text}");
    }
}
