//! The two builds of the Worker: the release build, which `wrangler.toml` calls and which prints sizes, and the fast one of
//! `dev`. They share no Cargo profile and no folder.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    commit::Commit,
    order, process,
    setup::{self, Tools},
};

/// The largest upload, in KiB after gzip: 525 with 17 tools, 6 for each of the four that came after them, 51 for what a person
/// confirms, 45 for circuits, leases, receipts and clients that go away, and 59 for what an operator sees: readiness and its page, alerts,
/// lines for requests to TiDB Cloud, the scrubber, data points, and the doctor with its advice; and 108 for SQL as an expert runs it: values,
/// limits, the guard, dry runs, and two tools that describe tables and plans. Workers on the free plan allow 3 MiB; start-up time allows
/// this.
const BUDGET_KIB: usize = 1_000;

/// Of the workspace, and so of the server.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The release build's folder in the checkout, and its entry module.
const FOLDER: &str = "build";
pub(crate) const ENTRY: &str = "build/index.js";

/// `cargo xtask build`: sets up what a build needs, and builds.
pub(crate) fn command(root: &Path) -> Result<(), String> {
    run(root, &setup::run(root, setup::Part::BUILD)?)
}

/// Builds the Worker for release, prints the sizes, and fails above the budget.
pub(crate) fn run(root: &Path, tools: &Tools) -> Result<(), String> {
    let commit = Commit::of(root).unwrap_or_else(|error| {
        println!("the build will not say its commit: {error}");
        None
    });
    let version = commit.as_ref().map_or_else(|| VERSION.to_owned(), |commit| commit.version(VERSION));
    println!("compiling the Worker for release, version {version}");
    let mut command = tools.worker_build();
    command.args(["--release", "--out-dir", FOLDER]).env("MCP_SERVER_TIDBCLOUD_VERSION", version);
    match commit {
        Some(commit) => command.env("MCP_SERVER_TIDBCLOUD_COMMIT", commit.name()),
        None => command.env_remove("MCP_SERVER_TIDBCLOUD_COMMIT"),
    };
    process::Build::run("compiling the Worker", &mut command)?.ok_or("the Worker does not build")?;
    println!("making it small");
    shrink(root, tools)?;
    sizes(root).map(|line| println!("{line}"))
}

/// Builds the Worker into `folder` as fast as possible, for `dev` only.
pub(crate) fn fast(tools: &Tools, folder: &Path) -> Command {
    let mut command = tools.worker_build();
    command.args(["--profile", "worker-dev", "--no-opt", "--out-dir"]).arg(folder);
    // It follows the files as they are, of no commit.
    command.env_remove("MCP_SERVER_TIDBCLOUD_VERSION").env_remove("MCP_SERVER_TIDBCLOUD_COMMIT");
    command
}

/// What the compiler's backend for WebAssembly and wasm-bindgen use beyond the first version of WebAssembly.
const FEATURES: [&str; 8] = [
    "--enable-bulk-memory",
    "--enable-bulk-memory-opt",
    "--enable-nontrapping-float-to-int",
    "--enable-sign-ext",
    "--enable-mutable-globals",
    "--enable-reference-types",
    "--enable-multivalue",
    "--enable-exception-handling",
];

/// Optimizes for size; then propagates constants over the whole module, specializes functions for callers that pass
/// constants, and optimizes for size again. No function is inlined into its only caller: the code would be no shorter, and
/// similar functions would differ in their locals, so that gzip could not match them (68 KiB of 583). The list of tools
/// that made the module is left out.
const PASSES: [&str; 6] = [
    "-Oz",
    "--gufa-optimizing",
    "--monomorphize",
    "-Oz",
    "--one-caller-inline-max-function-size=0",
    "--strip-producers",
];

/// Functions that are alike stand together, which [`order`] says by their names (46 KiB of 993); then names go.
const ORDER: [&str; 2] = ["--reorder-functions-by-name", "--strip-debug"];

/// worker-build's own run of wasm-opt is switched off in `Cargo.toml`: it is for speed, and what it inlines stays.
fn shrink(root: &Path, tools: &Tools) -> Result<(), String> {
    let version = process::output(tools.wasm_opt().arg("--version"))?;
    for path in modules(&root.join(FOLDER))? {
        if path.extension().is_some_and(|extension| extension == "wasm") {
            optimize(root, tools, &version, "shrink", &PASSES, &path)?;
            let module = read(&path)?;
            write(&path, &order::named(&module)?)?;
            optimize(root, tools, &version, "order", &ORDER, &path)?;
        }
    }
    Ok(())
}

/// Runs these passes over a module. It takes minutes, and the result follows from the module, the passes and the version of
/// wasm-opt: the last one of each step is kept.
fn optimize(root: &Path, tools: &Tools, version: &str, step: &str, passes: &[&str], path: &Path) -> Result<(), String> {
    let kept = Kept::in_directory(root.join("target/wasm-opt").join(step));
    let how = format!("{version}\n{}\n{}", passes.join(" "), FEATURES.join(" "));
    let before = read(path)?;
    if let Some(after) = kept.result(&how, &before) {
        println!("wasm-opt: {step} has been done with just this");
        return write(path, &after);
    }
    let mut command = tools.wasm_opt();
    command.args(passes).args(FEATURES).arg(path).arg("-o").arg(path);
    if !process::shown("wasm-opt", &mut command)?.success {
        return Err("wasm-opt failed".to_owned());
    }
    kept.keep(&how, &before, &read(path)?)
}

/// The last result of a step, with all that it follows from.
struct Kept {
    directory: PathBuf,
    how: PathBuf,
    before: PathBuf,
    after: PathBuf,
}

impl Kept {
    fn in_directory(directory: PathBuf) -> Self {
        let file = |name| directory.join(name);
        Self { how: file("how"), before: file("before.wasm"), after: file("after.wasm"), directory }
    }

    /// The result, if it is one of just this.
    fn result(&self, how: &str, before: &[u8]) -> Option<Vec<u8>> {
        let is_same = fs::read(&self.how).ok()? == how.as_bytes() && fs::read(&self.before).ok()? == before;
        if is_same { fs::read(&self.after).ok() } else { None }
    }

    /// Takes the place of an earlier one. What says how comes last: without it there is no result.
    fn keep(&self, how: &str, before: &[u8], after: &[u8]) -> Result<(), String> {
        fs::create_dir_all(&self.directory).map_err(|error| format!("{}: {error}", self.directory.display()))?;
        let _ = fs::remove_file(&self.how);
        write(&self.before, before)?;
        write(&self.after, after)?;
        write(&self.how, how.as_bytes())
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn write(path: &Path, content: &[u8]) -> Result<(), String> {
    fs::write(path, content).map_err(|error| format!("{}: {error}", path.display()))
}

fn sizes(root: &Path) -> Result<String, String> {
    let build = root.join(FOLDER);
    let (mut wasm, mut js, mut packed) = (0, 0, 0);
    for path in modules(&build)? {
        let size = fs::metadata(&path).map_err(|error| format!("{}: {error}", path.display()))?.len();
        if path.extension().is_some_and(|extension| extension == "wasm") {
            wasm += size;
        } else {
            js += size;
        }
        // The level changes the total by a few per cent; gzip's own default is the usual yardstick.
        let gzip = Command::new("gzip").arg("-c").arg(&path).output().map_err(|error| format!("gzip: {error}"))?;
        if !gzip.status.success() {
            return Err(format!("gzip failed on {}", path.display()));
        }
        packed += gzip.stdout.len();
    }
    let kib = |bytes: f64| bytes / 1024.0;
    let line = format!(
        "sizes: wasm {:.1} KiB, js {:.1} KiB, gzip {:.1} KiB of {BUDGET_KIB} KiB",
        kib(wasm as f64),
        kib(js as f64),
        kib(packed as f64)
    );
    if packed > BUDGET_KIB * 1024 { Err(format!("too large: {line}")) } else { Ok(line) }
}

/// The names of the files of the upload, which are in [`ENTRY`]'s folder.
pub(crate) fn names(root: &Path) -> Result<Vec<String>, String> {
    let paths = modules(&root.join(FOLDER))?;
    Ok(paths.iter().filter_map(|path| path.file_name()).map(|name| name.to_string_lossy().into_owned()).collect())
}

/// The upload: the entry module and the WebAssembly module it imports.
fn modules(build: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir(build).map_err(|error| format!("{}: {error}", build.display()))?;
    let modules: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "js" || extension == "wasm"))
        .collect();
    if modules.is_empty() { Err(format!("{} holds no modules", build.display())) } else { Ok(modules) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_kept_for_just_what_it_follows_from() {
        let package = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo"));
        let directory = package.join(format!("../target/tmp/kept-{}", std::process::id()));
        let kept = Kept::in_directory(directory.clone());
        assert_eq!(kept.result("-Oz", b"module"), None, "there is none at first");
        kept.keep("-Oz", b"module", b"small").expect("kept");
        assert_eq!(kept.result("-Oz", b"module").as_deref(), Some(&b"small"[..]));
        assert_eq!(kept.result("-O3", b"module"), None, "other passes");
        assert_eq!(kept.result("-Oz", b"modulf"), None, "another module");
        kept.keep("-Oz", b"modulf", b"other").expect("kept");
        assert_eq!(kept.result("-Oz", b"module"), None, "the last one only");
        fs::remove_file(&kept.how).expect("removed");
        assert_eq!(kept.result("-Oz", b"modulf"), None, "an attempt that was interrupted");
        fs::remove_dir_all(directory).expect("removed");
    }
}
