//! Programs that Cargo builds from published crates, once per user. A program is built from the very bytes that this checkout names:
//! `xtask/tools/SHA256SUMS` has the hash of its crate, and the crate's own lock file, or the one beside the hashes, has those of all
//! that it is compiled with.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use sha2::{Digest, Sha256};

use crate::{
    cache::Cache,
    process::{output, step},
};

/// Where the hashes and the lock files are in the checkout.
const PINS: &str = "xtask/tools";
const SUMS: &str = "xtask/tools/SHA256SUMS";

/// The version of `cargo deny`, which nothing else in the checkout names.
const CARGO_DENY: &str = "0.20.2";

/// A program of a crate.
pub(crate) struct Program {
    package: &'static str,
    program: &'static str,
    version: String,
}

impl Program {
    /// `worker-build` is released together with `worker`, under the same number.
    pub(crate) fn worker_build(root: &Path) -> Result<Self, String> {
        Ok(Self { package: "worker-build", program: "worker-build", version: locked_version(root, "worker")? })
    }

    /// The program and the library must be of the same version: they share a private format.
    pub(crate) fn wasm_bindgen(root: &Path) -> Result<Self, String> {
        let version = locked_version(root, "wasm-bindgen")?;
        Ok(Self { package: "wasm-bindgen-cli", program: "wasm-bindgen", version })
    }

    /// `cargo deny`, for `audit` only.
    pub(crate) fn cargo_deny() -> Self {
        Self { package: "cargo-deny", program: "cargo-deny", version: CARGO_DENY.to_owned() }
    }

    /// The crate.
    pub(crate) fn package(&self) -> &str {
        self.package
    }

    /// Its version.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// The crate and its version, as its files are called.
    pub(crate) fn name(&self) -> String {
        format!("{}-{}", self.package, self.version)
    }

    fn item(&self) -> String {
        format!("tools/{}", self.name())
    }

    /// The program itself.
    pub(crate) fn path(&self, cache: &Cache) -> PathBuf {
        cache.place(&self.item()).join("bin").join(self.program)
    }

    /// Builds it if it is missing.
    pub(crate) fn install(&self, root: &Path, cache: &Cache, what: &str) -> Result<(), String> {
        install(root, cache, &[self], what)
    }

    /// Unpacks the crate into `work`, if it is the one that this checkout names, with the lock file for it.
    fn source(&self, root: &Path, work: &Path) -> Result<PathBuf, String> {
        let (package, version) = (self.package, &self.version);
        let sum = pinned(root, self)?;
        // It puts the crate into Cargo's own cache, after a comparison with the index of crates.io.
        let mut info = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        info.current_dir(root).args(["info", "--quiet", "--registry", "crates-io", &format!("{package}@{version}")]);
        output(&mut info)?;
        let downloaded = of_every_registry("cache")?
            .into_iter()
            .map(|folder| folder.join(format!("{}.crate", self.name())))
            .find(|path| path.is_file());
        let path = downloaded.ok_or_else(|| format!("cargo info did not download {}.crate", self.name()))?;
        let bytes = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let found = sha256(&bytes);
        if found != sum {
            return Err(format!(
                "{} is not what {SUMS} names: its SHA-256 is {found}, not {sum}. Remove the file and try again; if it stays so, \
                 do not build it, and tell the maintainers",
                path.display()
            ));
        }
        output(Command::new("tar").arg("-xzf").arg(&path).arg("-C").arg(work))?;
        let source = work.join(self.name());
        let told = |error: std::io::Error| format!("{}: {error}", source.display());
        let lock = lock_file(root, self);
        if lock.is_file() {
            fs::copy(&lock, source.join("Cargo.lock")).map_err(told)?;
        }
        // The cache may be inside of a workspace, which this is no part of.
        let manifest = fs::read_to_string(source.join("Cargo.toml")).map_err(told)?;
        fs::write(source.join("Cargo.toml"), manifest + "\n[workspace]\n").map_err(told)?;
        Ok(source)
    }
}

/// Builds those of `programs` that are missing.
pub(crate) fn install(root: &Path, cache: &Cache, programs: &[&Program], what: &str) -> Result<(), String> {
    if programs.iter().all(|program| cache.place(&program.item()).exists()) {
        return Ok(());
    }
    // One lock and one target directory for all: they share dependencies, and the next build reuses what an interrupted one
    // has compiled.
    let _held = cache.lock("cargo-install")?;
    let target = cache.scratch("cargo-install");
    let all = programs.len();
    for (number, program) in (1..).zip(programs) {
        cache.item(&program.item(), |work| {
            let source = program.source(root, work)?;
            let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
            command
                .current_dir(root)
                .args(["install", "--locked", "--bin", program.program, "--path"])
                .arg(&source)
                .arg("--root")
                .arg(work)
                .env("CARGO_TARGET_DIR", &target)
                // They run for a second at a time: the shorter build is worth more than the faster program.
                .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")
                .env("CARGO_PROFILE_RELEASE_LTO", "off")
                .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
                .env_remove("CARGO_BUILD_TARGET");
            let what = format!("building {}, {what} {number} of {all} (takes minutes, once per user)", program.version);
            step(program.package, &what, &mut command, &cache.log(program.package))?;
            fs::remove_dir_all(&source).map_err(|error| format!("{}: {error}", source.display()))
        })?;
    }
    let _ = fs::remove_dir_all(&target);
    Ok(())
}

/// The hash of a program's crate.
fn pinned(root: &Path, program: &Program) -> Result<String, String> {
    let text = fs::read_to_string(root.join(SUMS)).map_err(|error| format!("{SUMS}: {error}"))?;
    let name = format!("{}.crate", program.name());
    let sum = text.lines().find_map(|line| line.strip_suffix(&name)?.strip_suffix("  ").map(str::to_owned));
    sum.ok_or_else(|| {
        format!(
            "{SUMS} has no line for {name}, because the version has changed: see \"How each download is checked\" in \
             docs/dependencies.md"
        )
    })
}

/// The lock file that takes the place of the crate's own.
fn lock_file(root: &Path, program: &Program) -> PathBuf {
    root.join(PINS).join(format!("{}.lock", program.name()))
}

/// The version of a package in `Cargo.lock`.
pub(crate) fn locked_version(root: &Path, package: &str) -> Result<String, String> {
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

/// Cargo's own folder. <https://doc.rust-lang.org/cargo/guide/cargo-home.html>
pub(crate) fn cargo_home() -> Result<PathBuf, String> {
    let variable = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = variable("CARGO_HOME").or_else(|| variable("HOME").map(|home| home.join(".cargo")));
    let home = home.ok_or("no CARGO_HOME and no HOME: where does Cargo keep the crates?")?;
    std::path::absolute(&home).map_err(|error| format!("{}: {error}", home.display()))
}

/// The folders of `registry/src` or `registry/cache` in [`cargo_home`], one for each registry.
pub(crate) fn of_every_registry(kind: &str) -> Result<Vec<PathBuf>, String> {
    let folder = cargo_home()?.join("registry").join(kind);
    Ok(fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect())
}

/// A SHA-256 in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> PathBuf {
        PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo")).join("..")
    }

    #[test]
    fn every_program_is_named_by_its_hash() {
        let root = root();
        let programs = [
            Program::worker_build(&root).expect("locked"),
            Program::wasm_bindgen(&root).expect("locked"),
            Program::cargo_deny(),
        ];
        let mut lines = 0;
        for program in &programs {
            let sum = pinned(&root, program).expect("a hash");
            assert!(sum.len() == 64 && sum.bytes().all(|digit| digit.is_ascii_hexdigit()), "{}: {sum}", program.name());
            lines += 1;
        }
        let text = fs::read_to_string(root.join(SUMS)).expect("the hashes");
        assert_eq!(text.lines().count(), lines, "{SUMS} has the versions in use and no others");
        let kept = fs::read_dir(root.join(PINS)).expect("a folder").flatten();
        for name in
            kept.map(|entry| entry.file_name().to_string_lossy().into_owned()).filter(|name| name != "SHA256SUMS")
        {
            let known = programs.iter().any(|program| lock_file(&root, program).ends_with(&name));
            assert!(known, "{PINS}/{name} is of no version in use");
            let lock = fs::read_to_string(root.join(PINS).join(&name)).expect("a lock file");
            let count = |start: &str| lock.lines().filter(|line| line.starts_with(start)).count();
            assert!(
                count("source = ") > 100 && count("source = ") == count("checksum = "),
                "{name}: every crate has a hash"
            );
        }
    }

    #[test]
    fn a_crate_that_differs_is_not_built() {
        let root = root();
        let scratch = root.join(format!("target/tmp/pins-{}", std::process::id()));
        fs::create_dir_all(scratch.join(PINS)).expect("a folder");
        let program = Program::cargo_deny();
        fs::write(scratch.join(SUMS), format!("{}  other-{}.crate\n", "0".repeat(64), CARGO_DENY)).expect("written");
        let error = pinned(&scratch, &program).expect_err("no line of its name");
        assert!(error.contains("cargo-deny-") && error.contains("docs/dependencies.md"), "{error}");
        fs::write(scratch.join(SUMS), format!("{}  {}.crate\n", "0".repeat(64), program.name())).expect("written");
        assert_eq!(pinned(&scratch, &program), Ok("0".repeat(64)));
        fs::remove_dir_all(scratch).expect("removed");
    }

    #[test]
    fn a_hash_is_that_of_the_standard() {
        // FIPS 180-4, example of one block.
        assert_eq!(sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
