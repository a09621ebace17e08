//! One cache per user, shared by all checkouts: an item is made once, under a lock, in a directory beside its place,
//! and renamed into it. So an item with its final name is complete, and an interrupted attempt is just repeated.

use std::{
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

/// The cache's directory.
pub(crate) struct Cache {
    root: PathBuf,
}

impl Cache {
    /// `MCP_TIDBCLOUD_CACHE`, or the user's cache directory.
    pub(crate) fn locate() -> Result<Self, String> {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let root = variable("MCP_TIDBCLOUD_CACHE").or_else(|| {
            let base = if cfg!(target_os = "macos") {
                variable("HOME").map(|home| home.join("Library/Caches"))
            } else {
                variable("XDG_CACHE_HOME").or_else(|| variable("HOME").map(|home| home.join(".cache")))
            };
            base.map(|base| base.join("mcp-server-tidbcloud"))
        });
        let root = root.ok_or("no place for the cache: set MCP_TIDBCLOUD_CACHE to a directory")?;
        let root = std::path::absolute(&root).map_err(|error| format!("{}: {error}", root.display()))?;
        for part in ["locks", "logs", "tmp"] {
            let part = root.join(part);
            fs::create_dir_all(&part).map_err(|error| format!("cannot create {}: {error}", part.display()))?;
        }
        Ok(Self { root })
    }

    /// The directory itself.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The path of a complete item.
    pub(crate) fn place(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Where the output of a step goes.
    pub(crate) fn log(&self, step: &str) -> PathBuf {
        self.root.join("logs").join(format!("{step}-{}.log", std::process::id()))
    }

    /// A directory that survives an interruption, so that long work goes on where it stopped.
    pub(crate) fn scratch(&self, name: &str) -> PathBuf {
        self.root.join("tmp").join(name)
    }

    /// Waits until no other process holds the lock of this name.
    pub(crate) fn lock(&self, name: &str) -> Result<File, String> {
        lock_file(&self.root.join("locks").join(format!("{}.lock", name.replace('/', "-"))), name)
    }

    /// The item of this name; if missing, `make` makes it in an empty directory.
    pub(crate) fn item(&self, name: &str, make: impl FnOnce(&Path) -> Result<(), String>) -> Result<PathBuf, String> {
        let place = self.place(name);
        if place.exists() {
            return Ok(place);
        }
        let _held = self.lock(name)?;
        if place.exists() {
            return Ok(place);
        }
        let work = self.root.join("tmp").join(name.replace('/', "-"));
        let told = |path: &Path| {
            let path = path.display().to_string();
            move |error: std::io::Error| format!("{path}: {error}")
        };
        if work.exists() {
            fs::remove_dir_all(&work).map_err(told(&work))?;
        }
        fs::create_dir_all(&work).map_err(told(&work))?;
        make(&work)?;
        if let Some(parent) = place.parent() {
            fs::create_dir_all(parent).map_err(told(parent))?;
        }
        fs::rename(&work, &place).map_err(told(&place))?;
        Ok(place)
    }
}

/// Locks a file until the answer is dropped or the process ends, however it ends.
pub(crate) fn lock_file(path: &Path, what: &str) -> Result<File, String> {
    let told_error = |error: std::io::Error| format!("cannot lock {}: {error}", path.display());
    let file = File::options().create(true).truncate(false).write(true).open(path).map_err(told_error)?;
    let started = Instant::now();
    let mut told: Option<Instant> = None;
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) => {
                if told.is_none_or(|told| told.elapsed() >= Duration::from_secs(10)) {
                    let seconds = started.elapsed().as_secs();
                    println!("  waiting for another process that is making {what}, {seconds} s");
                    told = Some(Instant::now());
                }
                thread::sleep(Duration::from_millis(100));
            }
            Err(TryLockError::Error(error)) => return Err(told_error(error)),
        }
    }
    Ok(file)
}
