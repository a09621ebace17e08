//! The two programs behind `dev` and the tests: the sandbox, and the Worker in workerd under `wrangler dev`.

use std::{
    ffi::OsStr,
    fs, io,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    Flags, build, http,
    process::{self, Process},
    setup::{self, Tools},
};

/// A port that nobody listens on at this moment.
pub(crate) fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(|error| format!("no free port: {error}"))?;
    listener.local_addr().map(|address| address.port()).map_err(|error| format!("no free port: {error}"))
}

/// Refuses a port that somebody listens on, and says which flag changes it.
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
    println!("compiling the sandbox");
    let mut command = tools.cargo();
    command
        .args(["build", "--quiet", "--package", "tidbcloud-sandbox", "--bins"])
        .arg("--message-format=json-render-diagnostics")
        .stderr(Stdio::inherit());
    let output = command.output().map_err(|error| format!("cannot run cargo: {error}"))?;
    if !output.status.success() {
        return Err("the sandbox does not compile".to_owned());
    }
    let program = String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
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

/// Starts a sandbox, with its log in `directory`.
pub(crate) fn start_sandbox(tools: &Tools, program: &Path, port: u16, directory: &Path) -> Result<Service, String> {
    fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let log = directory.join("sandbox.log");
    let mut command = tools.sandbox(program);
    let process = Process::start("the sandbox", command.args(["--port", &port.to_string()]), &log)?;
    Service { process, port, log }.wait("/_sandbox/state", Duration::from_secs(30))
}

/// The id of a sandbox's cluster with sample data.
pub(crate) fn sample_cluster(sandbox: &Service) -> Result<String, String> {
    let state = http::once(sandbox.port, "GET", "/_sandbox/state", "")?;
    let state: Value = serde_json::from_slice(&state.body).map_err(|error| format!("the sandbox's state: {error}"))?;
    let id = state.get("shopClusterId").and_then(Value::as_str);
    id.map(str::to_owned).ok_or_else(|| "the sandbox has no sample cluster".to_owned())
}

/// Starts the Worker as it stands in `build/`, with its state in `directory`.
///
/// `variables` are `NAME:TEXT`; a configuration of its own may set others, as JSON. While the file of [`build_mark`]
/// exists, wrangler leaves the build as it is.
pub(crate) fn start_worker(
    tools: &Tools,
    port: u16,
    sandbox: &str,
    directory: &Path,
    variables: &[&str],
    configuration: Option<&Path>,
) -> Result<Service, String> {
    let log = directory.join("worker.log");
    let state = directory.join("state");
    fs::create_dir_all(&state).map_err(|error| format!("{}: {error}", state.display()))?;
    let mark = build_mark(directory);
    fs::write(&mark, "").map_err(|error| format!("{}: {error}", mark.display()))?;
    let mut command = tools.wrangler();
    command
        .args(["dev", "--local", "--ip", "127.0.0.1", "--port", &port.to_string()])
        .args(["--inspector-port", &free_port()?.to_string(), "--show-interactive-dev-session=false"])
        .args(["--var", &format!("TIDB_CLOUD_SANDBOX:{sandbox}")])
        .args(variables.iter().flat_map(|variable| ["--var", variable]))
        .args(configuration.iter().flat_map(|path| [OsStr::new("--config"), path.as_os_str()]))
        .arg("--persist-to")
        .arg(&state)
        .env(build::UP_TO_DATE, &mark)
        // Workers of several checkouts do not look for each other.
        .env("WRANGLER_REGISTRY_PATH", directory.join("registry"))
        .env("WRANGLER_LOG_PATH", directory.join("wrangler-logs"));
    let process = Process::start("the Worker", &mut command, &log)?;
    Service { process, port, log }.wait("/livez", Duration::from_secs(120))
}

/// Starts one of the two Workers of `bench/workerd.capnp`, without wrangler.
pub(crate) fn start_workerd(
    tools: &Tools,
    config: &str,
    ready: &str,
    sandbox: &str,
    directory: &Path,
) -> Result<Service, String> {
    let (log, port) = (directory.join(format!("{config}.log")), free_port()?);
    let storage = directory.join(format!("{config}-storage"));
    fs::create_dir_all(&storage).map_err(|error| format!("{}: {error}", storage.display()))?;
    let mut command = tools.workerd();
    command
        .args(["serve", "bench/workerd.capnp", config, "--socket-addr", &format!("http=127.0.0.1:{port}")])
        .env("TIDB_CLOUD_SANDBOX", sandbox);
    if config != "bare" {
        command.args(["--directory-path", &format!("storage={}", storage.display())]);
    }
    let process = Process::start("workerd", &mut command, &log)?;
    Service { process, port, log }.wait(ready, Duration::from_secs(30))
}

/// The clients of a suite share the sandbox's keys, and each of them is in a hurry; from addresses of their own they keep
/// within the limit per address. The limit per credential has tests of its own.
pub(crate) const MANY_CLIENTS: &str = "CREDENTIAL_LIMIT_PER_MINUTE:1000000";

/// The file that says that the build is up to date.
pub(crate) fn build_mark(directory: &Path) -> PathBuf {
    directory.join("build-up-to-date")
}

/// `wrangler.toml` with further variables, in `directory`.
fn configuration_with(root: &Path, directory: &Path, vars: &str) -> Result<PathBuf, String> {
    let read = |path: &Path| fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()));
    let absolute = |path: &str| format!("{:?}", root.join(path).display().to_string());
    let text = read(&root.join("wrangler.toml"))?
        .replace("\"build/index.js\"", &absolute("build/index.js"))
        .replace("directory = \"static\"", &format!("directory = {}", absolute("static")));
    let path = directory.join("wrangler.toml");
    fs::write(&path, format!("{text}\n[vars]\n{vars}\n")).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(path)
}

/// `cargo xtask worker`: the Worker in the foreground, for tests that stop and start it while its state stays. It ends
/// with its standard input, so that a test program that dies leaves no Worker behind.
pub(crate) fn worker_command(root: &Path, flags: &Flags) -> Result<(), String> {
    let directory = flags.persist.as_ref().ok_or("worker needs --persist DIR")?;
    let sandbox = flags.sandbox.as_ref().ok_or("worker needs --sandbox URL")?;
    check_free(flags.port, "--port")?;
    let tools = setup::run(root, setup::Part::BUILD)?;
    let configuration = flags.vars.as_ref().map(|vars| configuration_with(root, directory, vars)).transpose()?;
    let worker = start_worker(&tools, flags.port, sandbox, directory, &[MANY_CLIENTS], configuration.as_deref())?;
    println!("ready http://127.0.0.1:{}/mcp", worker.port);
    let input = thread::spawn(|| io::copy(&mut io::stdin(), &mut io::sink()));
    while worker.process.ended()?.is_none() {
        if input.is_finished() {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(200));
    }
    Err(format!("the Worker ended; its output is in {}", worker.log.display()))
}
