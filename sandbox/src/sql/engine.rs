//! Finds the SQL server to use.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The image that runs where a Docker engine answers and already holds it.
const IMAGE: &str = "pingcap/tidb";

/// Where systems install `mariadbd` outside `PATH`.
const INSTALLED: [&str; 2] = ["/usr/sbin/mariadbd", "/usr/libexec/mariadbd"];

/// A kind of SQL server that can be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Engine {
    /// A `tidb-server`.
    Tidb {
        /// The executable.
        binary: PathBuf,
        /// Which rule found it.
        found: &'static str,
    },
    /// The image `pingcap/tidb`, run by Docker.
    TidbImage {
        /// Image and tag.
        image: String,
    },
    /// A `mariadbd`.
    MariaDb {
        /// The executable.
        binary: PathBuf,
        /// Which rule found it.
        found: &'static str,
        /// The directory that Debian packages were unpacked into, where it was not installed.
        unpacked: Option<PathBuf>,
    },
}

/// There is no SQL server, or a setting that names one is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoEngine(String);

impl fmt::Display for NoEngine {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for NoEngine {}

impl fmt::Display for Engine {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tidb { binary, found } => write!(out, "TiDB: {} ({found})", binary.display()),
            Self::TidbImage { image } => write!(out, "TiDB: image {image} (Docker)"),
            Self::MariaDb { binary, found, .. } => write!(
                out,
                "MariaDB in place of TiDB: {} ({found}); for TiDB itself set SANDBOX_TIDB or put tidb-server on PATH",
                binary.display()
            ),
        }
    }
}

/// The newest by version number: TiUP keeps each release in a directory named after it, such as `v8.5.3`.
fn newest(directory: &Path) -> Option<PathBuf> {
    let version = |path: &Path| -> Vec<u32> {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.trim_start_matches('v').split(['.', '-']).map_while(|part| part.parse().ok()).collect()
    };
    let releases = std::fs::read_dir(directory).ok()?.filter_map(Result::ok).map(|entry| entry.path());
    let servers = releases.filter(|release| release.join("tidb-server").is_file());
    servers.max_by_key(|release| version(release)).map(|release| release.join("tidb-server"))
}

fn docker_image() -> Option<String> {
    let inspect = ["image", "ls", "--format", "{{.Repository}}:{{.Tag}}", IMAGE];
    let output = Command::new("docker").args(inspect).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let images = String::from_utf8(output.stdout).ok()?;
    let tagged = |image: &&str| !image.is_empty() && !image.ends_with(":<none>");
    output.status.success().then(|| images.lines().find(tagged).map(str::to_owned)).flatten()
}

impl Engine {
    /// Looks in this order: `SANDBOX_TIDB`, `tidb-server` on `PATH`, TiUP's newest, the image `pingcap/tidb` where a Docker
    /// engine answers and has it, `mariadbd` on `PATH` or where systems install it, `SANDBOX_MARIADB` (a directory that the Debian packages were unpacked
    /// into).
    ///
    /// # Errors
    /// There is none, or a setting points at nothing; the text says what to do.
    pub fn find() -> Result<Self, NoEngine> {
        Self::find_with(&|name| std::env::var_os(name), docker_image)
    }

    /// As [`Engine::find`], with settings from `setting` and the Docker image from `image`.
    ///
    /// # Errors
    /// As [`Engine::find`].
    pub fn find_with(
        setting: &dyn Fn(&str) -> Option<OsString>,
        image: impl FnOnce() -> Option<String>,
    ) -> Result<Self, NoEngine> {
        let set = |name: &str| setting(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let on_path = |name: &str| {
            let path = setting("PATH").unwrap_or_default();
            std::env::split_paths(&path).map(|directory| directory.join(name)).find(|file| file.is_file())
        };
        if let Some(binary) = set("SANDBOX_TIDB") {
            return if binary.is_file() {
                Ok(Self::Tidb { binary, found: "SANDBOX_TIDB" })
            } else {
                Err(NoEngine(format!("SANDBOX_TIDB={} is not a file; it must be a tidb-server", binary.display())))
            };
        }
        if let Some(binary) = on_path("tidb-server") {
            return Ok(Self::Tidb { binary, found: "on PATH" });
        }
        let tiup = set("TIUP_HOME").or_else(|| set("HOME").map(|home| home.join(".tiup")));
        if let Some(binary) = tiup.and_then(|home| newest(&home.join("components/tidb"))) {
            return Ok(Self::Tidb { binary, found: "installed by TiUP" });
        }
        if let Some(image) = image() {
            return Ok(Self::TidbImage { image });
        }
        if let Some(binary) = on_path("mariadbd") {
            return Ok(Self::MariaDb { binary, found: "on PATH", unpacked: None });
        }
        // Debian and Fedora install it where only root's PATH looks, or none.
        if let Some(binary) = INSTALLED.iter().map(PathBuf::from).find(|file| file.is_file()) {
            return Ok(Self::MariaDb { binary, found: "installed", unpacked: None });
        }
        match set("SANDBOX_MARIADB") {
            Some(root) if root.join("usr/sbin/mariadbd").is_file() => Ok(Self::MariaDb {
                binary: root.join("usr/sbin/mariadbd"),
                found: "SANDBOX_MARIADB",
                unpacked: Some(root),
            }),
            Some(root) => Err(NoEngine(format!(
                "SANDBOX_MARIADB={} holds no usr/sbin/mariadbd; it must be a directory that the package mariadb-server-core was \
                 unpacked into",
                root.display()
            ))),
            None => Err(NoEngine(
                "no SQL server: `cargo xtask dev` starts the sandbox with the one that its set-up unpacked; without it, set SANDBOX_TIDB \
                 to a tidb-server or SANDBOX_MARIADB to a directory that the package mariadb-server-core was unpacked into, or put \
                 tidb-server or mariadbd on PATH"
                    .to_owned(),
            )),
        }
    }

    /// Whether this is TiDB itself.
    pub fn is_tidb(&self) -> bool {
        !matches!(self, Self::MariaDb { .. })
    }

    /// A command of this engine's executable, its libraries included. `None` for an image.
    pub(crate) fn command(&self) -> Option<Command> {
        match self {
            Self::Tidb { binary, .. } => Some(Command::new(binary)),
            Self::TidbImage { .. } => None,
            Self::MariaDb { binary, unpacked, .. } => {
                let mut command = Command::new(binary);
                if let Some(root) = unpacked {
                    // Debian's multiarch directory is the only one below usr/lib that the packages fill.
                    let libraries =
                        std::fs::read_dir(root.join("usr/lib")).into_iter().flatten().filter_map(Result::ok);
                    let libraries = libraries.map(|entry| entry.path()).filter(|path| path.is_dir());
                    let inherited = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
                    let all =
                        libraries.chain(std::env::split_paths(&inherited).filter(|path| !path.as_os_str().is_empty()));
                    if let Ok(paths) = std::env::join_paths(all)
                        && !paths.is_empty()
                    {
                        command.env("LD_LIBRARY_PATH", paths);
                    }
                }
                Some(command)
            }
        }
    }

    /// What the server says its version is; names the templates made with it.
    ///
    /// # Errors
    /// It cannot be run; the text holds its output.
    pub(crate) fn version(&self) -> Result<String, String> {
        let Some(mut command) = self.command() else { return Ok(self.to_string()) };
        let flag = if self.is_tidb() { "-V" } else { "--version" };
        let output = command.arg(flag).stdin(Stdio::null()).output();
        let output = output.map_err(|error| format!("{:?} cannot be run: {error}", command.get_program()))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{:?} {flag} failed: {}", command.get_program(), said.trim()));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;

    use super::Engine;

    /// Each source is taken away in turn, so that the next in the documented order must be found.
    #[test]
    fn servers_are_looked_for_in_the_documented_order() {
        let directory = tempfile::tempdir().unwrap();
        let at = |path: &str| directory.path().join(path);
        for path in [
            "given/tidb-server",
            "path/tidb-server",
            "home/.tiup/components/tidb/v8.5.10/tidb-server",
            "home/.tiup/components/tidb/v8.5.9/tidb-server",
            "path/mariadbd",
            "unpacked/usr/sbin/mariadbd",
        ] {
            fs::create_dir_all(at(path).parent().unwrap()).unwrap();
            fs::write(at(path), "").unwrap();
        }
        let mut settings = BTreeMap::from([
            ("SANDBOX_TIDB", at("given/tidb-server")),
            ("PATH", at("path")),
            ("HOME", at("home")),
            ("SANDBOX_MARIADB", at("unpacked")),
        ]);
        let find = |settings: &BTreeMap<&str, std::path::PathBuf>, image: Option<&str>| {
            let image = image.map(str::to_owned);
            Engine::find_with(&|name| settings.get(name).map(|path| path.clone().into_os_string()), || image)
        };
        let binary = |engine: Engine| match engine {
            Engine::Tidb { binary, .. } | Engine::MariaDb { binary, .. } => binary,
            Engine::TidbImage { image } => image.into(),
        };
        let image = Some("pingcap/tidb:v8.5.3");
        assert_eq!(binary(find(&settings, image).unwrap()), at("given/tidb-server"));
        settings.remove("SANDBOX_TIDB");
        assert_eq!(binary(find(&settings, image).unwrap()), at("path/tidb-server"));
        fs::remove_file(at("path/tidb-server")).unwrap();
        let tiup = at("home/.tiup/components/tidb/v8.5.10/tidb-server");
        assert_eq!(binary(find(&settings, image).unwrap()), tiup);
        settings.remove("HOME");
        assert_eq!(find(&settings, image).unwrap(), Engine::TidbImage { image: "pingcap/tidb:v8.5.3".into() });
        assert_eq!(binary(find(&settings, None).unwrap()), at("path/mariadbd"));
        settings.insert("SANDBOX_TIDB", at("nowhere"));
        assert!(find(&settings, image).unwrap_err().to_string().contains("SANDBOX_TIDB"));
    }

    /// A person who has set everything up and starts the program by hand is told how.
    #[test]
    fn without_a_server_the_ways_to_one_are_named() {
        // A server that the system has installed is found without any setting.
        let Err(error) = Engine::find_with(&|_| None, || None) else { return };
        for way in ["`cargo xtask dev`", "SANDBOX_TIDB", "SANDBOX_MARIADB", "PATH"] {
            assert!(error.to_string().contains(way), "{error}");
        }
    }
}
