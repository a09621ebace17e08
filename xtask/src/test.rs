//! `cargo xtask test`: every suite in turn, and one closing line that counts them all.

use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    time::Instant,
};

use crate::{
    build,
    process::{self, Ran},
    services::{self, Service},
    setup::{self, Tools},
};

/// How many checks of a suite passed and failed.
#[derive(Clone, Copy, Default)]
struct Tally {
    passed: usize,
    failed: usize,
}

impl Tally {
    fn one(passed: bool) -> Self {
        Self { passed: usize::from(passed), failed: usize::from(!passed) }
    }

    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }

    /// A program that failed without naming a failed test counts as one.
    fn with_status(mut self, success: bool) -> Self {
        if !success && self.failed == 0 {
            self.failed = 1;
        }
        self
    }
}

type Suite = fn(&Context) -> Result<Tally, String>;

const SUITES: [(&str, &str, Suite); 6] = [
    ("checks", "formatting, lints and documentation", checks),
    ("native", "the core and the sandbox on this machine", native),
    ("build", "the release build, its size, and a dry deployment", release),
    ("workerd", "the Worker in workerd over HTTP", workerd),
    ("clients", "real MCP clients and the official SQL driver", clients),
    ("page", "the landing page in a browser", page),
];

struct Context {
    root: PathBuf,
    tools: Tools,
}

/// Runs all suites, or the chosen ones; whether all of them passed.
pub(crate) fn run(root: &Path, chosen: &[&str]) -> Result<bool, String> {
    if let Some(unknown) = chosen.iter().find(|name| SUITES.iter().all(|(suite, ..)| suite != *name)) {
        let names = SUITES.map(|(name, ..)| name).join(", ");
        return Err(format!("no suite is called {unknown:?}; there are {names}"));
    }
    let wanted = |name: &str| chosen.is_empty() || chosen.contains(&name);
    let started = Instant::now();
    let context = Context { root: root.to_path_buf(), tools: setup::run(root, setup::Part::ALL)? };
    if !wanted("build") && ["workerd", "clients", "page"].into_iter().any(wanted) {
        build::run(root, &context.tools)?;
    }
    let mut total = Tally::default();
    let mut summary = Vec::new();
    for (name, what, suite) in SUITES.into_iter().filter(|(name, ..)| wanted(name)) {
        println!("\n==== {name}: {what} ====");
        let suite_started = Instant::now();
        let mut tally = suite(&context).unwrap_or_else(|error| {
            println!("error: {error}");
            Tally::one(false)
        });
        if tally.passed + tally.failed == 0 {
            println!("error: the suite {name} ran nothing");
            tally.failed = 1;
        }
        let seconds = suite_started.elapsed().as_secs();
        summary.push(format!("{name:<8} {:>5} passed {:>3} failed {seconds:>5} s", tally.passed, tally.failed));
        total.add(tally);
    }
    println!("\n==== all suites, {} s ====\n{}\n", started.elapsed().as_secs(), summary.join("\n"));
    println!("{} passed, {} failed", total.passed, total.failed);
    Ok(total.failed == 0)
}

fn checks(context: &Context) -> Result<Tally, String> {
    let strict = ["--", "--deny", "warnings"];
    let mut tally = Tally::default();
    let commands: [(&str, &[&str], &[&str]); 4] = [
        ("formatting", &["fmt", "--all", "--check"], &[]),
        ("lints", &["clippy", "--workspace", "--all-targets"], &strict),
        (
            "lints of the Worker",
            &["clippy", "--package", "mcp-server-tidbcloud", "--lib", "--target", "wasm32-unknown-unknown"],
            &strict,
        ),
        ("documentation", &["doc", "--no-deps", "--workspace"], &[]),
    ];
    for (name, arguments, more) in commands {
        let mut command = context.tools.cargo();
        command.args(arguments).args(more).env("RUSTDOCFLAGS", "--deny warnings");
        let success = process::shown(name, &mut command)?.success;
        println!("{} {name}", if success { "ok" } else { "not ok" });
        tally.add(Tally::one(success));
    }
    Ok(tally)
}

/// Sums what the test runners of `cargo test` report.
fn cargo_tally(ran: &Ran) -> Tally {
    let mut tally = Tally::default();
    for line in &ran.lines {
        let Some(counts) = line.trim().strip_prefix("test result: ") else { continue };
        let mut words = counts.split([' ', ';', '.']).filter(|word| !word.is_empty());
        let mut last = 0;
        for word in words.by_ref() {
            match word {
                "passed" => tally.passed += last,
                "failed" => tally.failed += last,
                _ => last = word.parse().unwrap_or(0),
            }
        }
    }
    tally.with_status(ran.success)
}

/// How long each parser is fed with what strangers might send.
const FUZZ_SECONDS: &str = "20";

fn native(context: &Context) -> Result<Tally, String> {
    let mut command = context.tools.cargo();
    command.args(["test", "--workspace", "--no-fail-fast"]).env("FUZZ_SECONDS", FUZZ_SECONDS);
    process::shown("cargo test", &mut command).map(|ran| cargo_tally(&ran))
}

fn release(context: &Context) -> Result<Tally, String> {
    let mut tally = Tally::default();
    let built = build::run(&context.root, &context.tools);
    if let Err(error) = &built {
        println!("error: {error}");
    }
    tally.add(Tally::one(built.is_ok()));
    // With the project's own configuration: this is the way that a deployment goes, build command included.
    let mut command = context.tools.wrangler();
    let outdir = context.root.join("target/dry-run");
    command.args(["deploy", "--dry-run", "--outdir"]).arg(outdir);
    tally.add(Tally::one(process::shown("wrangler deploy --dry-run", &mut command)?.success));
    Ok(tally)
}

/// A directory for the state of what a suite starts.
pub(crate) struct Directory(pub(crate) PathBuf);

impl Directory {
    /// A short path: the address of a unix socket below it has 107 bytes at most (unix(7)).
    pub(crate) fn temporary() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("tidbcloud-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        Self(env::temp_dir().join(name))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A sandbox on a port that was free.
pub(crate) fn sandbox_in(tools: &Tools, directory: &Directory) -> Result<Service, String> {
    let program = services::build_sandbox(tools)?;
    services::start_sandbox(tools, &program, services::free_port()?, &directory.0)
}

/// A sandbox and a Worker of a suite's own, on ports that were free, with their state in a temporary directory.
struct World {
    worker: Service,
    sandbox: Service,
    // Last: fields are dropped in order, and the programs have to end before it goes.
    _directory: Directory,
}

impl World {
    fn start(tools: &Tools) -> Result<Self, String> {
        let directory = Directory::temporary();
        let sandbox = sandbox_in(tools, &directory)?;
        let port = services::free_port()?;
        let worker =
            services::start_worker(tools, port, &sandbox.origin(), &directory.0, &[services::MANY_CLIENTS], None)?;
        Ok(Self { worker, sandbox, _directory: directory })
    }
}

/// After a failure: what a program had to say.
fn show_log(service: &Service) {
    println!("---- the last lines of {} ----\n{}\n----", service.process.name(), service.last_lines());
}

/// The tests start Workers themselves, through this program, and stop them with their state kept.
fn workerd(context: &Context) -> Result<Tally, String> {
    let directory = Directory::temporary();
    let sandbox = sandbox_in(&context.tools, &directory)?;
    let own = env::current_exe().map_err(|error| format!("where am I: {error}"))?;
    let mut command = context.tools.cargo();
    command
        .args(["test", "--package", "mcp-server-tidbcloud", "--test", "workerd", "--", "--test-threads=1"])
        .env("XTASK", own)
        .env("SANDBOX_URL", sandbox.origin())
        .env("BROWSER_DIR", context.tools.browser());
    let tally = cargo_tally(&process::shown("the tests in workerd", &mut command)?);
    if tally.failed > 0 {
        show_log(&sandbox);
    }
    Ok(tally)
}

/// Runs a script that prints `ok NAME` or `not ok NAME: WHY` for each of its tests.
fn script(context: &Context, world: &World, path: &Path) -> Result<Tally, String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    println!("-- {name}");
    let mut command = context.tools.node();
    command
        .arg(path)
        .env("MCP_URL", format!("{}/mcp", world.worker.origin()))
        .env("SANDBOX_URL", world.sandbox.origin())
        .env("BROWSER_DIR", context.tools.browser())
        .env("SCREENSHOTS_DIR", context.root.join("target/screenshots"));
    let ran = process::shown(&name, &mut command)?;
    let count = |prefix: &str| ran.lines.iter().filter(|line| line.starts_with(prefix)).count();
    let mut tally = Tally { passed: count("ok "), failed: count("not ok ") }.with_status(ran.success);
    if tally.passed + tally.failed == 0 {
        println!("not ok {name}: it tested nothing");
        tally.failed = 1;
    }
    Ok(tally)
}

fn scripts(context: &Context, directory: &str) -> Result<Tally, String> {
    let directory = context.root.join(directory);
    let entries = fs::read_dir(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let mut paths: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "mjs"))
        .collect();
    paths.sort();
    let world = World::start(&context.tools)?;
    let mut tally = Tally::default();
    for path in paths {
        tally.add(script(context, &world, &path)?);
    }
    if tally.failed > 0 {
        show_log(&world.sandbox);
        show_log(&world.worker);
    }
    Ok(tally)
}

fn clients(context: &Context) -> Result<Tally, String> {
    scripts(context, "tests/clients")
}

fn page(context: &Context) -> Result<Tally, String> {
    scripts(context, "tests/page")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counts_of_cargo_test_are_summed() {
        let ran = |success, lines: &[&str]| Ran { success, lines: lines.iter().map(|&line| line.to_owned()).collect() };
        let report = [
            "running 3 tests",
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.31s",
            "test result: FAILED. 2 passed; 3 failed; 0 ignored; 0 measured; 7 filtered out; finished in 0.00s",
        ];
        let tally = cargo_tally(&ran(false, &report));
        assert_eq!((tally.passed, tally.failed), (14, 3));
        let broken = cargo_tally(&ran(false, &["error: could not compile"]));
        assert_eq!((broken.passed, broken.failed), (0, 1), "a build that fails is a failure");
    }
}
