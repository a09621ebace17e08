//! The release build: what `wrangler.toml` calls, and the sizes that come out of it.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    process,
    setup::{self, Tools},
};

/// While the file that this variable names exists, the build is up to date: wrangler asks for one whenever it starts,
/// and the commands that start wrangler have just built.
pub(crate) const UP_TO_DATE: &str = "MCP_TIDBCLOUD_BUILD_UP_TO_DATE";

/// What may be uploaded, in KiB after gzip. Workers on the free plan take 3 MiB; this is what start-up time allows.
const BUDGET_KIB: usize = 545;

/// `cargo xtask build`: sets up what a build needs, and builds, unless told that it is up to date.
pub(crate) fn command(root: &Path) -> Result<(), String> {
    if env::var_os(UP_TO_DATE).is_some_and(|file| Path::new(&file).exists()) {
        return Ok(());
    }
    run(root, &setup::run(root, setup::Part::BUILD)?)
}

/// Builds the Worker for release, prints the sizes, and fails above the budget.
pub(crate) fn run(root: &Path, tools: &Tools) -> Result<(), String> {
    if !process::shown("worker-build", tools.worker_build().arg("--release"))?.success {
        return Err("worker-build failed".to_owned());
    }
    shrink(root, tools)?;
    sizes(root).map(|line| println!("{line}"))
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

/// Small first; then what is known of values over the whole module is put in their place, functions are made for the
/// callers that pass constants, and what that leaves is made small once more. No function is put into its only caller:
/// the code would be no shorter, and what is alike in two places would differ in its locals, so that gzip no longer sees
/// it (68 KiB of 583). The list of tools that made the module is left out.
const PASSES: [&str; 7] = [
    "-Oz",
    "--gufa-optimizing",
    "--monomorphize",
    "-Oz",
    "--one-caller-inline-max-function-size=0",
    "--strip-producers",
    "--debuginfo",
];

/// Functions of one name stand together, because gzip looks back 32 KiB only (13 KiB of 596); then names go.
const ORDER: [&str; 2] = ["--reorder-functions-by-name", "--strip-debug"];

/// worker-build's own run of wasm-opt is switched off in `Cargo.toml`: it is for speed, and what it inlines stays.
fn shrink(root: &Path, tools: &Tools) -> Result<(), String> {
    for path in modules(&root.join("build"))? {
        if path.extension().is_some_and(|extension| extension == "wasm") {
            for passes in [&PASSES[..], &ORDER] {
                let mut command = tools.wasm_opt();
                command.args(passes).args(FEATURES).arg(&path).arg("-o").arg(&path);
                if !process::shown("wasm-opt", &mut command)?.success {
                    return Err("wasm-opt failed".to_owned());
                }
            }
        }
    }
    Ok(())
}

fn sizes(root: &Path) -> Result<String, String> {
    let build = root.join("build");
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

/// What wrangler uploads: the entry module and the WebAssembly module it imports.
fn modules(build: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir(build).map_err(|error| format!("{}: {error}", build.display()))?;
    let modules: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "js" || extension == "wasm"))
        .collect();
    if modules.is_empty() { Err(format!("{} holds no modules", build.display())) } else { Ok(modules) }
}
