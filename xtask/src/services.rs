//! The two programs behind `dev` and the tests: the sandbox, and the Worker in workerd under `wrangler dev`.

use std::{
    fs, io,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    Flags, build, http,
    process::{self, Build, Process},
    setup::{self, Tools},
    workerd,
};

/// The name of what the Worker leaves in its directory: its log, and its state where wrangler does not keep that.
const WORKER: &str = "worker";

/// A port that is free at this moment.
pub(crate) fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(|error| format!("no free port: {error}"))?;
    listener.local_addr().map(|address| address.port()).map_err(|error| format!("no free port: {error}"))
}

/// Refuses a port in use, and says which flag changes it.
pub(crate) fn check_free(port: u16, flag: &str) -> Result<(), String> {
    TcpListener::bind(("127.0.0.1", port)).map(drop).map_err(|error| {
        format!(
            "cannot listen on port {port} ({error}): choose another one with {flag}, for example {flag} {}",
            port ^ 1 << 4
        )
    })
}

/// Compiles the sandbox, prepares its data, and says where its program is.
pub(crate) fn build_sandbox(tools: &Tools) -> Result<PathBuf, String> {
    sandbox_of(tools, &["--package", SANDBOX, "--bins"])
}

/// The same among all packages and their tests, where Cargo gives what they depend on other features: a run of all tests compiles
/// that once only. The test is there because without one Cargo leaves out the features that tests ask for.
/// <https://doc.rust-lang.org/cargo/reference/resolver.html#features-resolver-version-2>
pub(crate) fn build_sandbox_with_tests(tools: &Tools) -> Result<PathBuf, String> {
    sandbox_of(tools, &["--workspace", "--bin", SANDBOX, "--test", "control"])
}

/// The sandbox's package, and its program.
const SANDBOX: &str = "tidbcloud-sandbox";

fn sandbox_of(tools: &Tools, what: &[&str]) -> Result<PathBuf, String> {
    let mut command = tools.cargo();
    command.arg("build").args(what).arg("--message-format=json-render-diagnostics");
    let messages = Build::run("compiling the sandbox", &mut command)?.ok_or("the sandbox does not compile")?;
    let program = messages
        .iter()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message.pointer("/target/name").is_some_and(|name| name == SANDBOX))
        .find_map(|message| message.get("executable")?.as_str().map(PathBuf::from))
        .ok_or("the sandbox has no program")?;
    if process::shown("the sandbox", tools.sandbox(&program).arg("--prepare"))?.success {
        Ok(program)
    } else {
        Err("the sandbox's SQL server does not work".to_owned())
    }
}

/// A running service, and where its output goes.
pub(crate) struct Service {
    /// The program.
    pub(crate) process: Process,
    /// Where it listens.
    pub(crate) port: u16,
    /// Its output.
    pub(crate) log: PathBuf,
}

impl Service {
    /// Its address.
    pub(crate) fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Waits until `GET path` is answered with 200.
    fn wait(self, path: &str, patience: Duration) -> Result<Self, String> {
        let deadline = Instant::now() + patience;
        loop {
            let answer = http::once(self.port, "GET", path, "");
            if answer.as_ref().is_ok_and(|answer| answer.status == 200) {
                return Ok(self);
            }
            let trouble = match self.process.ended()? {
                Some(status) => format!("ended ({status})"),
                None if Instant::now() > deadline => match answer {
                    Ok(answer) => format!("answers GET {path} with {}", answer.status),
                    Err(error) => format!("does not answer: {error}"),
                },
                None => {
                    thread::sleep(Duration::from_millis(50));
                    continue;
                }
            };
            return Err(format!("{} {trouble}\n{}", self.process.name(), self.last_lines()));
        }
    }

    /// The end of its output.
    pub(crate) fn last_lines(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines.get(lines.len().saturating_sub(40)..).unwrap_or_default().join("\n")
    }
}

/// Starts a sandbox, with its log in `directory`; with a port for MySQL clients where one is given.
pub(crate) fn start_sandbox(
    tools: &Tools,
    program: &Path,
    port: u16,
    mysql_port: Option<u16>,
    directory: &Path,
) -> Result<Service, String> {
    fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let log = directory.join("sandbox.log");
    let mut command = tools.sandbox(program);
    command.args(["--port", &port.to_string()]);
    if let Some(port) = mysql_port {
        command.args(["--mysql-port", &port.to_string()]);
    }
    let process = Process::start("the sandbox", &mut command, &log)?;
    Service { process, port, log }.wait("/_sandbox/state", Duration::from_secs(30))
}

/// The certificate authority of a sandbox's port for MySQL clients. The sandbox prints it when that port is open, which is a moment
/// after it answers HTTP.
pub(crate) fn mysql_authority(sandbox: &Service) -> Result<PathBuf, String> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let log = fs::read_to_string(&sandbox.log).map_err(|error| format!("{}: {error}", sandbox.log.display()))?;
        let mut lines = log.lines().filter(|line| line.trim_start().starts_with("MySQL "));
        match lines.find_map(|line| line.split_once(" CA ")) {
            Some((_, path)) => return Ok(PathBuf::from(path)),
            None if Instant::now() > deadline => return Err("the sandbox opens no port for MySQL".to_owned()),
            None => thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// The id of a sandbox's cluster with sample data.
pub(crate) fn sample_cluster(sandbox: &Service) -> Result<String, String> {
    let state = http::once(sandbox.port, "GET", "/_sandbox/state", "")?;
    let state: Value = serde_json::from_slice(&state.body).map_err(|error| format!("the sandbox's state: {error}"))?;
    let id = state.get("shopClusterId").and_then(Value::as_str);
    id.map(str::to_owned).ok_or_else(|| "the sandbox has no sample cluster".to_owned())
}

/// Starts the release build of the Worker, with its state in `directory`.
///
/// `variables` are `NAME:TEXT`; `vars` are lines of a `[vars]` table, for values of other types.
pub(crate) fn start_worker(
    tools: &Tools,
    port: u16,
    sandbox: &str,
    directory: &Path,
    variables: &[&str],
    vars: Option<&str>,
) -> Result<Service, String> {
    fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let root = tools.root();
    let configuration = write_configuration(root, directory, &root.join(build::ENTRY), vars.unwrap_or_default())?;
    serve(tools, &configuration, port, sandbox, directory, variables)
}

/// Starts the Worker of a configuration that [`write_configuration`] made.
pub(crate) fn serve(
    tools: &Tools,
    configuration: &Path,
    port: u16,
    sandbox: &str,
    directory: &Path,
    variables: &[&str],
) -> Result<Service, String> {
    let log = directory.join(format!("{WORKER}.log"));
    let state = directory.join("state");
    fs::create_dir_all(&state).map_err(|error| format!("{}: {error}", state.display()))?;
    let start = || {
        let mut command = tools.wrangler();
        command
            .arg("dev")
            .arg("--config")
            .arg(configuration)
            .args(["--local", "--ip", "127.0.0.1", "--port", &port.to_string()])
            .args(["--inspector-port", &free_port()?.to_string(), "--show-interactive-dev-session=false"])
            .args(["--var", &format!("TIDB_CLOUD_SANDBOX:{sandbox}")])
            .args(variables.iter().flat_map(|variable| ["--var", variable]))
            .arg("--persist-to")
            .arg(&state)
            // Workers of several checkouts do not look for each other.
            .env("WRANGLER_REGISTRY_PATH", directory.join("registry"))
            .env("WRANGLER_LOG_PATH", directory.join("wrangler-logs"));
        let process = Process::start("the Worker", &mut command, &log)?;
        Service { process, port, log: log.clone() }.wait("/livez", Duration::from_secs(120))
    };
    // wrangler looks for ports of its own, and another program may take one before it does.
    let mut tries_left = 2;
    loop {
        match start() {
            Err(error) if tries_left > 0 && error.contains("Address already in use") => tries_left -= 1,
            outcome => return outcome,
        }
    }
}

/// Starts a Worker without wrangler: [`workerd::NAME`] is the one that is built, the others are those of `bench/workerd.capnp`.
pub(crate) fn start_workerd(
    tools: &Tools,
    port: u16,
    config: &str,
    ready: &str,
    sandbox: &str,
    directory: &Path,
    inspector: Option<u16>,
) -> Result<Service, String> {
    if config == workerd::NAME {
        // One credential asks as often as the machine can: what a limit costs is measured, not what it refuses.
        return start_own(tools, port, sandbox, directory, "", inspector);
    }
    let mut command = tools.workerd();
    command.args(["serve", "bench/workerd.capnp", config]);
    serve_workerd(command, port, config, ready, directory, inspector)
}

/// Starts the release build of the Worker without wrangler, with its state in `directory`, and with these lines of a `[vars]`
/// table besides [`MANY_CLIENTS`].
pub(crate) fn start_own(
    tools: &Tools,
    port: u16,
    sandbox: &str,
    directory: &Path,
    vars: &str,
    inspector: Option<u16>,
) -> Result<Service, String> {
    fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let root = tools.root();
    let wrangler = root.join("wrangler.toml");
    let wrangler = fs::read_to_string(&wrangler).map_err(|error| format!("{}: {error}", wrangler.display()))?;
    let text = |name: &str, value: &str| (name.to_owned(), Value::from(value));
    let (limit, many) = MANY_CLIENTS.split_once(':').unwrap_or_default();
    let mut given = vec![text("TIDB_CLOUD_SANDBOX", sandbox), text(limit, many)];
    given.extend(workerd::vars(vars)?);
    let configuration = workerd::configuration(&wrangler, &build::names(root)?, root, &given)?;
    let path = directory.join("workerd.capnp");
    fs::write(&path, configuration).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut command = tools.workerd();
    // What it embeds is named from the root of the checkout.
    command.arg("serve").arg(&path).arg(workerd::NAME).arg("--import-path").arg(root);
    serve_workerd(command, port, WORKER, "/livez", directory, inspector)
}

fn serve_workerd(
    mut command: Command,
    port: u16,
    name: &str,
    ready: &str,
    directory: &Path,
    inspector: Option<u16>,
) -> Result<Service, String> {
    let log = directory.join(format!("{name}.log"));
    command.args(["--socket-addr", &format!("http=127.0.0.1:{port}")]);
    if name != "bare" {
        let storage = directory.join(format!("{name}-storage"));
        fs::create_dir_all(&storage).map_err(|error| format!("{}: {error}", storage.display()))?;
        command.args(["--directory-path", &format!("storage={}", storage.display())]);
    }
    if let Some(inspector) = inspector {
        command.arg(format!("--inspector-addr=127.0.0.1:{inspector}"));
    }
    let process = Process::start("workerd", &mut command, &log)?;
    Service { process, port, log }.wait(ready, Duration::from_secs(30))
}

/// The clients of a suite share the sandbox's keys and send fast; from separate addresses they stay within the limit per
/// address. The limit per credential has its own tests.
pub(crate) const MANY_CLIENTS: &str = "CREDENTIAL_LIMIT_PER_MINUTE:1000000";

/// `wrangler.toml` for a Worker that is built already: its entry module is `main`, wrangler builds nothing, and `vars` are
/// further lines of a `[vars]` table. Written into `directory` where it differs from what is there, because wrangler starts anew
/// when it is written.
pub(crate) fn write_configuration(root: &Path, directory: &Path, main: &Path, vars: &str) -> Result<PathBuf, String> {
    let source = root.join("wrangler.toml");
    let text = fs::read_to_string(&source).map_err(|error| format!("{}: {error}", source.display()))?;
    let text = configuration(root, &text, main, vars).map_err(|error| format!("{}: {error}", source.display()))?;
    let path = directory.join("wrangler.toml");
    if fs::read_to_string(&path).is_ok_and(|written| written == text) {
        return Ok(path);
    }
    fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(path)
}

fn configuration(root: &Path, text: &str, main: &Path, vars: &str) -> Result<String, String> {
    let absolute = |path: &Path| format!("{:?}", path.display().to_string());
    let entry = format!("main = \"{}\"", build::ENTRY);
    let mut text = text.to_owned();
    for (line, instead) in [
        (entry.as_str(), format!("main = {}", absolute(main))),
        ("directory = \"static\"", format!("directory = {}", absolute(&root.join("static")))),
    ] {
        if !text.lines().any(|found| found == line) {
            return Err(format!("no line says {line}"));
        }
        text = text.replace(line, &instead);
    }
    let (before, build) = text.split_once("[build]\n").ok_or("no table [build]")?;
    let after = build.find("\n[").map_or("", |next| build.get(next..).unwrap_or_default());
    let text = format!("{before}{after}");
    Ok(match text.split_once("\n[vars]\n") {
        Some((before, own)) => format!("{before}\n[vars]\n{vars}\n{own}"),
        None => format!("{text}\n[vars]\n{vars}\n"),
    })
}

/// `cargo xtask worker`: the Worker in the foreground, for tests that stop and start it while its state stays. It ends
/// with its standard input, so that a test program that dies leaves no Worker behind.
pub(crate) fn worker_command(root: &Path, flags: &Flags) -> Result<(), String> {
    let directory = flags.persist.as_ref().ok_or("worker needs --persist DIR")?;
    let sandbox = flags.sandbox.as_ref().ok_or("worker needs --sandbox URL")?;
    check_free(flags.port, "--port")?;
    let tools = setup::run(root, setup::Part::BUILD)?;
    let vars = flags.vars.as_deref();
    let worker = if flags.workerd {
        start_own(&tools, flags.port, sandbox, directory, vars.unwrap_or_default(), None)?
    } else {
        start_worker(&tools, flags.port, sandbox, directory, &[MANY_CLIENTS], vars)?
    };
    println!("ready http://127.0.0.1:{}/mcp", worker.port);
    let input = thread::spawn(|| io::copy(&mut io::stdin(), &mut io::sink()));
    while worker.process.ended()?.is_none() {
        if input.is_finished() {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(20));
    }
    Err(format!("the Worker ended; its output is in {}", worker.log.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_is_built_already_is_configured_as_the_deployed_one_but_builds_nothing() {
        let package = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo"));
        let own = fs::read_to_string(package.join("../wrangler.toml")).expect("wrangler.toml");
        let made =
            configuration(Path::new("/checkout"), &own, Path::new("/a/worker/index.js"), "LIMIT = 5").expect("a text");
        let added = ["main = \"/a/worker/index.js\"", "directory = \"/checkout/static\"", "[vars]", "LIMIT = 5"];
        for line in added {
            assert!(made.lines().any(|found| found == line), "{line} is missing in\n{made}");
        }
        assert!(!made.contains("[build]") && !made.contains("command ="), "wrangler would build:\n{made}");
        let tables = |text: &str| -> Vec<String> {
            text.lines().filter(|line| line.starts_with('[') && !added.contains(line)).map(str::to_owned).collect()
        };
        let kept: Vec<String> = tables(&own).into_iter().filter(|table| table != "[build]").collect();
        assert_eq!(tables(&made), kept, "every table but [build] is kept, in its order");
        let again =
            configuration(Path::new("/"), &format!("{own}\n[vars]\nOWN = 1\n"), Path::new("/a.js"), "LIMIT = 5");
        assert!(again.expect("a text").ends_with("\n[vars]\nLIMIT = 5\nOWN = 1\n"), "TOML allows one table of a name");
    }

    #[test]
    fn a_wrangler_toml_that_says_something_else_is_refused() {
        let complete = "main = \"build/index.js\"\n[build]\ncommand = \"x\"\n[assets]\ndirectory = \"static\"\n";
        let try_text = |text: &str| configuration(Path::new("/"), text, Path::new("/index.js"), "");
        assert!(try_text(complete).is_ok(), "these lines are enough");
        for line in ["main = \"build/index.js\"\n", "[build]\n", "directory = \"static\"\n"] {
            assert!(
                try_text(&complete.replace(line, "")).is_err(),
                "without {line:?} the result would not be what it is taken for"
            );
        }
    }
}
