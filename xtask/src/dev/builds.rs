//! The builds of one `dev`. Each has its own folder, and one small module beside them names the served one: renaming that
//! module over the previous one swaps the Worker at once, and an unfinished build disturbs nothing.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use crate::process::Build;

/// How long a Worker may take to show that it starts: the platform gives it one second, wrangler takes up to three on a busy
/// machine.
const TRIAL: Duration = Duration::from_secs(10);

/// Makes the command that builds into a folder.
type Recipe<'a> = Box<dyn Fn(&Path) -> Command + 'a>;

/// The builds, the newest of which is served.
pub(super) struct Builds<'a> {
    directory: PathBuf,
    recipe: Recipe<'a>,
    started: u32,
    running: Option<Running>,
    served: Option<PathBuf>,
    /// The previously served one: wrangler may still be reading it, and it takes over again if the newer one does not start.
    served_before: Option<PathBuf>,
    /// Since when the newest is served.
    swapped: Instant,
}

struct Running {
    build: Build,
    folder: PathBuf,
    since: Instant,
}

/// The outcome of a build.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is served.
    Served,
    /// It is byte for byte the served one.
    Same,
    /// It failed: the served one stays.
    Failed,
}

impl<'a> Builds<'a> {
    /// No builds yet, in `directory`, which is emptied.
    pub(super) fn new(directory: PathBuf, recipe: Recipe<'a>) -> Result<Self, String> {
        if directory.exists() {
            fs::remove_dir_all(&directory).map_err(|error| told(&directory, &error))?;
        }
        fs::create_dir_all(&directory).map_err(|error| told(&directory, &error))?;
        Ok(Self {
            directory,
            recipe,
            started: 0,
            running: None,
            served: None,
            served_before: None,
            swapped: Instant::now(),
        })
    }

    /// The module that stands for the newest build.
    pub(super) fn entry(&self) -> PathBuf {
        self.directory.join("index.js")
    }

    /// Starts a build and ends a running one, whose sources are out of date.
    pub(super) fn start(&mut self) -> Result<(), String> {
        self.abandon();
        self.started += 1;
        let folder = self.directory.join(self.started.to_string());
        let build = Build::start("compiling the Worker", &mut (self.recipe)(&folder))?;
        self.running = Some(Running { build, folder, since: Instant::now() });
        Ok(())
    }

    fn abandon(&mut self) {
        if let Some(Running { build, folder, .. }) = self.running.take() {
            drop(build);
            let _ = fs::remove_dir_all(folder);
        }
    }

    /// The end of the build that runs, once it has ended, and how long it took.
    pub(super) fn ended(&mut self) -> Result<Option<(Outcome, Duration)>, String> {
        let Some(running) = &mut self.running else { return Ok(None) };
        let Some(status) = running.build.ended()? else { return Ok(None) };
        let (took, folder) = (running.since.elapsed(), running.folder.clone());
        let outcome = if status.success() { self.serve(&folder)? } else { Outcome::Failed };
        if outcome == Outcome::Served {
            self.running = None;
        } else {
            self.abandon();
        }
        Ok(Some((outcome, took)))
    }

    fn serve(&mut self, folder: &Path) -> Result<Outcome, String> {
        if self.served.as_deref().is_some_and(|served| is_same(served, folder)) {
            return Ok(Outcome::Same);
        }
        self.point_at(folder)?;
        self.swapped = Instant::now();
        if let Some(stale) = self.served_before.take() {
            let _ = fs::remove_dir_all(stale);
        }
        self.served_before = self.served.replace(folder.to_owned());
        Ok(Outcome::Served)
    }

    /// Serves the previous build again, if the newest was served for so short a time that it must have ended the Worker. Returns
    /// whether there was one.
    pub(super) fn roll_back(&mut self) -> Result<bool, String> {
        if self.swapped.elapsed() > TRIAL {
            return Ok(false);
        }
        let Some(before) = self.served_before.take() else { return Ok(false) };
        self.point_at(&before)?;
        if let Some(broken) = self.served.replace(before) {
            let _ = fs::remove_dir_all(broken);
        }
        Ok(true)
    }

    fn point_at(&self, folder: &Path) -> Result<(), String> {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let module =
            format!("export * from \"./{name}/index.js\";\nexport {{ default }} from \"./{name}/index.js\";\n");
        let (entry, beside) = (self.entry(), self.directory.join("index.js.new"));
        fs::write(&beside, module).map_err(|error| told(&beside, &error))?;
        fs::rename(&beside, &entry).map_err(|error| told(&entry, &error))
    }
}

/// Whether two builds hold the same modules, so that swapping them would end requests for nothing.
fn is_same(one: &Path, other: &Path) -> bool {
    ["index.js", "index_bg.wasm"].iter().all(|module| {
        match (fs::read(one.join(module)), fs::read(other.join(module))) {
            (Ok(one), Ok(other)) => one == other,
            _ => false,
        }
    })
}

fn told(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::test::Directory;

    /// Builds with a shell script in place of the compiler, which finds its folder in `$0` and its input in `source`.
    fn builds<'a>(place: &'a Directory, script: &'a str) -> Builds<'a> {
        let source = place.0.join("source");
        let recipe = move |folder: &Path| {
            let mut command = Command::new("sh");
            command.arg("-c").arg(format!("mkdir $0; . {}; {script}", source.display())).arg(folder);
            command
        };
        Builds::new(place.0.join("worker"), Box::new(recipe)).expect("a folder")
    }

    const WRITES_ITS_MODULES: &str = "echo $text > $0/index.js; echo $text > $0/index_bg.wasm; exit $status";

    fn edit(place: &Directory, source: &str) {
        fs::create_dir_all(&place.0).expect("a folder");
        fs::write(place.0.join("source"), source).expect("a file");
    }

    fn outcome(builds: &mut Builds) -> Outcome {
        loop {
            if let Some((outcome, _)) = builds.ended().expect("a status") {
                return outcome;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// The text of the build that the entry names.
    fn served(builds: &Builds) -> String {
        let entry = fs::read_to_string(builds.entry()).expect("an entry");
        let from = entry.split('"').nth(1).expect("a module's name");
        fs::read_to_string(builds.directory.join(from)).expect("the module").trim().to_owned()
    }

    #[test]
    fn only_a_build_that_succeeds_is_served() {
        let place = Directory::temporary();
        edit(&place, "text=first status=0");
        let mut builds = builds(&place, WRITES_ITS_MODULES);
        assert_eq!(builds.ended(), Ok(None), "none was started");
        for (source, expected, text, rule) in [
            ("text=first status=0", Outcome::Served, "first", "the first build is served"),
            ("text=broken status=1", Outcome::Failed, "first", "a build that fails leaves the one before"),
            ("text=first status=0", Outcome::Same, "first", "equal bytes are not swapped"),
            ("text=second status=0", Outcome::Served, "second", "a good build after a failed one is served"),
            ("text=third status=0", Outcome::Served, "third", "and so on"),
        ] {
            edit(&place, source);
            builds.start().expect("started");
            assert_eq!(outcome(&mut builds), expected, "{rule}");
            assert_eq!(served(&builds), text, "{rule}");
        }
        let kept =
            fs::read_dir(&builds.directory).expect("a folder").flatten().filter(|entry| entry.path().is_dir()).count();
        assert_eq!(kept, 2, "the build that is served and the one before it are kept, and no other");
    }

    #[test]
    fn a_worker_that_does_not_start_gives_way_to_the_one_before() {
        let place = Directory::temporary();
        let mut builds = builds(&place, WRITES_ITS_MODULES);
        for text in ["works", "broken"] {
            edit(&place, &format!("text={text} status=0"));
            builds.start().expect("started");
            assert_eq!(outcome(&mut builds), Outcome::Served, "both builds succeed");
            if text == "works" {
                assert_eq!(builds.roll_back(), Ok(false), "there is nothing before the first build");
            }
        }
        assert_eq!(builds.roll_back(), Ok(true), "the build before is there");
        assert_eq!(served(&builds), "works", "the build before is served again");
        assert_eq!(builds.roll_back(), Ok(false), "where that does not start either, the build is not to blame");
        builds.start().expect("started");
        assert_eq!(outcome(&mut builds), Outcome::Served, "what was broken is compared with what is served now");
        builds.swapped = Instant::now().checked_sub(TRIAL + Duration::from_secs(1)).expect("a time");
        assert_eq!(builds.roll_back(), Ok(false), "a Worker that ran for a while ended for another reason");
    }

    #[test]
    fn a_build_that_runs_changes_nothing_until_it_ends_and_gives_way_to_a_newer_one() {
        let place = Directory::temporary();
        edit(&place, "text=first status=0");
        let script = format!("while test -e {}/hold; do sleep 0.01; done; {WRITES_ITS_MODULES}", place.0.display());
        let mut builds = builds(&place, &script);
        builds.start().expect("started");
        assert_eq!(outcome(&mut builds), Outcome::Served, "nothing holds the first build up");
        fs::write(place.0.join("hold"), "").expect("a file");
        edit(&place, "text=stale status=0");
        builds.start().expect("started");
        let stale = builds.directory.join("2");
        while !stale.exists() {
            assert_eq!(builds.ended(), Ok(None), "the build is held up");
        }
        assert_eq!(served(&builds), "first", "while it builds, the Worker it has is served");
        edit(&place, "text=newest status=0");
        builds.start().expect("started in place of the one that runs");
        fs::remove_file(place.0.join("hold")).expect("removed");
        assert_eq!(outcome(&mut builds), Outcome::Served, "the newer build ends");
        assert_eq!(served(&builds), "newest", "the build it took the place of is never served");
        assert!(!stale.exists(), "what the ended build had written is gone");
    }
}
