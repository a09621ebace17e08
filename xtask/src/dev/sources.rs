//! The sources of a build, and whether they have changed. One look at some 150 files takes about a millisecond, so no file
//! watcher is needed.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// Files and folders of the checkout that decide what the Worker is. `static` is not among them: wrangler serves it as it is.
const INPUTS: [&str; 5] = ["src", "Cargo.toml", "Cargo.lock", ".cargo/config.toml", "wrangler.toml"];

/// When each file was written, and its size in bytes.
type Snapshot = BTreeMap<PathBuf, (Option<SystemTime>, u64)>;

/// The sources of the Worker, looked at again and again.
pub(super) struct Sources {
    root: PathBuf,
    /// As the newest build found them.
    built: Snapshot,
    /// As the last look found them.
    last: Snapshot,
}

impl Sources {
    /// The sources as they are now: a build that starts after this reads them.
    pub(super) fn new(root: &Path) -> Self {
        let now = snapshot(root);
        Self { root: root.to_owned(), built: now.clone(), last: now }
    }

    /// The first file that differs from the newest build's sources, once no file has changed between two looks, so that a save
    /// of many files is not built halfway. Each change is reported once.
    pub(super) fn changed(&mut self) -> Option<PathBuf> {
        let now = snapshot(&self.root);
        let is_settled = now == self.last;
        self.last = now;
        if !is_settled || self.last == self.built {
            return None;
        }
        let differs = |path: &&PathBuf| self.last.get(*path) != self.built.get(*path);
        let first = self.last.keys().chain(self.built.keys()).find(differs).cloned();
        self.built.clone_from(&self.last);
        first
    }
}

fn snapshot(root: &Path) -> Snapshot {
    let mut found = Snapshot::new();
    let mut places: Vec<PathBuf> = INPUTS.iter().map(|input| root.join(input)).collect();
    while let Some(place) = places.pop() {
        let Ok(metadata) = fs::metadata(&place) else { continue };
        if metadata.is_dir() {
            let entries = fs::read_dir(&place).into_iter().flatten().flatten();
            places.extend(
                entries.filter(|entry| !is_scratch(&entry.file_name().to_string_lossy())).map(|entry| entry.path()),
            );
        } else {
            let path = place.strip_prefix(root).map_or_else(|_| place.clone(), Path::to_owned);
            found.insert(path, (metadata.modified().ok(), metadata.len()));
        }
    }
    found
}

/// Files that editors put beside an open file.
fn is_scratch(name: &str) -> bool {
    name.starts_with(['.', '#']) || name.ends_with('~')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::Directory;

    fn checkout() -> Directory {
        let checkout = Directory::temporary();
        fs::create_dir_all(checkout.0.join("src/tools")).expect("a folder");
        for file in ["src/lib.rs", "src/tools/list.rs", "Cargo.toml"] {
            fs::write(checkout.0.join(file), "before").expect("a file");
        }
        checkout
    }

    #[test]
    fn a_change_is_told_once_and_only_when_it_has_settled() {
        let checkout = checkout();
        let mut sources = Sources::new(&checkout.0);
        assert_eq!(sources.changed(), None, "nothing has changed yet");
        fs::write(checkout.0.join("src/tools/list.rs"), "edited once").expect("a file");
        assert_eq!(sources.changed(), None, "the first look at a change waits for more of it");
        fs::write(checkout.0.join("src/lib.rs"), "edited as well").expect("a file");
        assert_eq!(sources.changed(), None, "more came, so it has not settled");
        assert_eq!(sources.changed(), Some("src/lib.rs".into()), "two equal looks: the change is complete");
        assert_eq!(sources.changed(), None, "a change is told once");
    }

    #[test]
    fn new_and_removed_files_are_changes() {
        let checkout = checkout();
        let mut sources = Sources::new(&checkout.0);
        let mut settled = || (sources.changed(), sources.changed()).1;
        fs::write(checkout.0.join("src/tools/new.rs"), "").expect("a file");
        assert_eq!(settled(), Some("src/tools/new.rs".into()), "a new file can be what a failed build missed");
        fs::remove_file(checkout.0.join("Cargo.toml")).expect("removed");
        assert_eq!(settled(), Some("Cargo.toml".into()), "a file that has gone is named too");
    }

    #[test]
    fn what_no_build_reads_is_no_change() {
        let checkout = checkout();
        let mut sources = Sources::new(&checkout.0);
        fs::create_dir_all(checkout.0.join("docs")).expect("a folder");
        for file in ["src/.list.rs.swp", "src/list.rs~", "src/#list.rs#", "docs/tools.md"] {
            fs::write(checkout.0.join(file), "").expect("a file");
        }
        assert_eq!((sources.changed(), sources.changed()), (None, None), "scratch files and documents build nothing");
    }
}
