//! `cargo xtask dev`: the Worker on this machine, in front of a sandbox, with what to paste into clients.

mod builds;
mod clients;
mod sources;

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::symlink,
    path::Path,
    thread,
    time::Duration,
};

use self::{
    builds::{Builds, Outcome},
    sources::Sources,
};
use crate::{
    Flags, build,
    services::{self, Service},
    setup::{self, Tools},
};

/// How often logs, sources and the running build are looked at.
const LOOK: Duration = Duration::from_millis(100);

/// The sandbox's owner. These keys open nothing but sandboxes.
pub(crate) const PUBLIC_KEY: &str = "SBXOWNER";
/// The other half.
pub(crate) const PRIVATE_KEY: &str = "5b000000-0000-4000-8000-0000000000aa";

const KEYS: &str = "SBXOWNER / 5b000000-0000-4000-8000-0000000000aa (public / private, for this sandbox only)";

/// Settings of one's own for this machine.
const DEV_VARS: &str = ".dev.vars";

/// Runs until Ctrl-C, or until one of the two programs ends. A change of the sources is built beside the Worker that runs,
/// which answers until the new one takes its place.
pub(crate) fn run(root: &Path, flags: &Flags) -> Result<(), String> {
    services::check_free(flags.port, "--port")?;
    services::check_free(flags.sandbox_port, "--sandbox-port")?;
    if let Some(port) = flags.mysql_port {
        services::check_free(port, "--mysql-port")?;
    }
    let tools = setup::run(root, setup::Part::DEV)?;
    let default = root.join(".wrangler/dev").join(flags.port.to_string());
    let directory =
        &std::path::absolute(flags.persist.as_ref().unwrap_or(&default)).map_err(|error| error.to_string())?;
    fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let recipe = Box::new(|folder: &Path| build::fast(&tools, folder));
    let mut builds = Builds::new(directory.join("worker"), recipe)?;
    let sources = Sources::new(root);
    println!(
        "compiling the Worker and the sandbox: seconds, or a few minutes the first time, half a minute of it for the last crate"
    );
    builds.start()?;
    // Both at once: they are independent, and each has steps that use only one processor.
    let (sandbox, built) = thread::scope(|scope| {
        let sandbox = scope.spawn(|| start_sandbox(&tools, flags, directory));
        let built = first(&mut builds);
        (sandbox.join().unwrap_or_else(|_| Err("the thread of the sandbox ended early".to_owned())), built)
    });
    let sandbox = Program::new(sandbox?, flags.logs)?;
    built?;
    secrets_beside(root, directory)?;
    let (entry, origin) = (builds.entry(), sandbox.service.origin());
    let configure = || services::write_configuration(root, directory, &entry, "");
    let serve = || {
        let worker = services::serve(&tools, &configure()?, flags.port, &origin, directory, &[])?;
        let mut worker = Program::new(worker, flags.logs)?;
        // wrangler's greeting tells of keys that are not there to be pressed.
        worker.log.seek(SeekFrom::End(0)).map_err(|error| error.to_string())?;
        Ok(worker)
    };
    let worker = serve()?;
    let (address, clients) = (worker.service.origin(), directory.join("clients.txt"));
    fs::write(&clients, clients::text(&address)).map_err(|error| format!("{}: {error}", clients.display()))?;
    let mysql = match flags.mysql_port {
        Some(port) => {
            let authority = services::mysql_authority(&sandbox.service)?;
            format!("mysql 127.0.0.1:{port} with the CA {}\n", authority.display())
        }
        None => String::new(),
    };
    let here = clients.strip_prefix(root).unwrap_or(&clients).display().to_string();
    let own = fs::read_to_string(root.join(DEV_VARS)).unwrap_or_default();
    print!("{}", greeting(&address, keys(&own), &mysql, &here));
    attend(sandbox, worker, builds, sources, &|| configure().map(drop), &serve)
}

/// Shows what the two programs print, and builds what changes, until one of them ends.
fn attend(
    mut sandbox: Program,
    mut worker: Program,
    mut builds: Builds,
    mut sources: Sources,
    configure: &dyn Fn() -> Result<(), String>,
    serve: &dyn Fn() -> Result<Program, String>,
) -> Result<(), String> {
    loop {
        let ends = [sandbox.ended()?, worker.ended()?];
        sandbox.pass_on();
        worker.pass_on();
        match ends {
            [None, None] => {}
            [None, Some(_)] if builds.roll_back()? => {
                println!("\nthe new Worker does not start: the previous one takes over again\n");
                // Before the next one: it may still hold the port.
                drop(worker);
                worker = serve()?;
            }
            ends => return Err(ends.into_iter().flatten().collect::<Vec<_>>().join("\nerror: ")),
        }
        if let Some(path) = sources.changed() {
            println!("\n{} changed: building while the Worker runs", path.display());
            match configure() {
                Ok(()) => builds.start()?,
                Err(error) => println!("{error}: the Worker stays as it is\n"),
            }
        }
        if let Some((outcome, took)) = builds.ended()? {
            println!("{}\n", verdict(&outcome, took));
        }
        thread::sleep(LOOK);
    }
}

/// Settings of one's own: wrangler reads them beside its configuration, and they stand in the checkout.
fn secrets_beside(root: &Path, directory: &Path) -> Result<(), String> {
    let link = directory.join(DEV_VARS);
    match symlink(root.join(DEV_VARS), &link) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(format!("{}: {error}", link.display())),
        _ => Ok(()),
    }
}

fn start_sandbox(tools: &Tools, flags: &Flags, directory: &Path) -> Result<Service, String> {
    let program = services::build_sandbox(tools)?;
    services::start_sandbox(tools, &program, flags.sandbox_port, flags.mysql_port, directory)
}

/// Waits for the first build, without which there is nothing to run.
fn first(builds: &mut Builds) -> Result<(), String> {
    loop {
        match builds.ended()? {
            Some((Outcome::Failed, _)) => return Err("the Worker does not build".to_owned()),
            Some(_) => return Ok(()),
            None => thread::sleep(LOOK),
        }
    }
}

/// The outcome of a later build, for the person who made the change.
fn verdict(outcome: &Outcome, took: Duration) -> String {
    let seconds = took.as_secs_f32();
    match outcome {
        Outcome::Served => format!("built in {seconds:.1} s: the new Worker takes over"),
        Outcome::Same => format!("built in {seconds:.1} s: the Worker is the same as before"),
        Outcome::Failed => format!("the build failed after {seconds:.1} s: the previous Worker stays"),
    }
}

/// A running program, with the position in its log up to which it was shown.
struct Program {
    service: Service,
    log: File,
    /// Whether all of it is shown, or failures only.
    in_full: bool,
    /// A line whose end is not written yet.
    begun: Vec<u8>,
}

impl Program {
    fn new(service: Service, in_full: bool) -> Result<Self, String> {
        let log = File::open(&service.log).map_err(|error| format!("{}: {error}", service.log.display()))?;
        Ok(Self { service, log, in_full, begun: Vec::new() })
    }

    /// Shows what was added to the log since the last time, in whole lines.
    fn pass_on(&mut self) {
        if self.log.read_to_end(&mut self.begun).is_err() {
            return;
        }
        let Some(end) = self.begun.iter().rposition(|byte| *byte == b'\n') else { return };
        let rest = self.begun.split_off(end + 1);
        let lines = std::mem::replace(&mut self.begun, rest);
        for line in String::from_utf8_lossy(&lines).lines().filter(|line| self.in_full || is_trouble(line)) {
            println!("{line}");
        }
    }

    /// How it ended, which it does not do by itself.
    fn ended(&self) -> Result<Option<String>, String> {
        let status = self.service.process.ended()?;
        let (name, log) = (self.service.process.name(), self.service.log.display());
        Ok(status.map(|status| format!("{name} ended ({status}); its output is in {log}")))
    }
}

/// What a person needs first: the address, the keys, the page, and where the rest is. `mysql` is the sandbox's own line about its
/// port for MySQL clients.
/// What the server takes, with these settings of one's own.
fn keys(settings: &str) -> &'static str {
    let is_owners = settings.lines().any(|line| line.trim_start().starts_with("MCP_ACCESS_KEY"));
    if is_owners { "MCP_ACCESS_KEY of .dev.vars, as Authorization: Bearer, and not those below" } else { KEYS }
}

fn greeting(origin: &str, keys: &str, mysql: &str, clients: &str) -> String {
    format!(
        "
ready {origin}/mcp
keys  {keys}
page  {origin}/ shows how to connect each client, with these keys
{mysql}
Lines to paste for Claude, Cursor, VS Code, curl and MCP Inspector, with these keys:
  cat {clients}
Logs are beside it; --logs shows them here. Ctrl-C ends everything.
"
    )
}

/// Whether a line of a log is about a failure, which is shown even where logs are not.
fn is_trouble(line: &str) -> bool {
    line.contains("[ERROR]") || line.starts_with("error") || line.contains("panicked at")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::{KEYS, PRIVATE_KEY, PUBLIC_KEY, clients, greeting, is_trouble, keys};

    const ORIGIN: &str = "http://127.0.0.1:8787";

    #[test]
    fn the_greeting_is_short_and_its_lines_fit_into_a_terminal() {
        assert!(KEYS.contains(PUBLIC_KEY) && KEYS.contains(PRIVATE_KEY));
        let owners = greeting(ORIGIN, keys("A=1\nMCP_ACCESS_KEY=x"), "", ".wrangler/dev/8787/clients.txt");
        assert!(!owners.contains(PUBLIC_KEY) && owners.contains("Bearer"), "{owners}");
        let text = greeting(ORIGIN, keys("MCP_SECRET=x"), "", ".wrangler/dev/8787/clients.txt");
        let lines: Vec<&str> = text.trim().lines().collect();
        assert_eq!(lines.first(), Some(&"ready http://127.0.0.1:8787/mcp"), "tests and people look for it");
        assert!(lines.len() <= 7, "{text}");
        for line in lines.into_iter().chain(clients::text(ORIGIN).lines()) {
            assert!(line.chars().count() <= 100, "{line}");
        }
    }

    #[test]
    fn what_clients_read_as_json_is_json_and_names_the_address_and_both_keys() {
        let text = clients::text(ORIGIN);
        let blocks: Vec<&str> = text.split("\n\n").filter(|block| block.starts_with('{')).collect();
        assert_eq!(blocks.len(), 3, "Claude Desktop, Cursor, VS Code");
        for block in blocks {
            let read: Value = serde_json::from_str(block).unwrap_or_else(|error| panic!("{error} in {block}"));
            let written = read.to_string();
            for part in ["http://127.0.0.1:8787/mcp", super::PUBLIC_KEY, super::PRIVATE_KEY] {
                assert!(written.contains(part), "{part} is missing in {block}");
            }
        }
        for line in text.lines().filter(|line| line.starts_with("call ")) {
            let arguments = line.split('\'').nth(1).unwrap_or_default();
            assert!(serde_json::from_str::<Value>(arguments).is_ok_and(|value| value.is_object()), "{line}");
        }
    }

    #[test]
    fn mcp_remote_is_the_version_that_is_tested() {
        let package = std::path::PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo"));
        let package = std::fs::read_to_string(package.join("../package.json")).expect("package.json");
        let package: Value = serde_json::from_str(&package).expect("JSON");
        let version = package["devDependencies"]["mcp-remote"].as_str().expect("a version");
        let pinned = format!("\"mcp-remote@{version}\"");
        assert!(clients::text(ORIGIN).contains(&pinned), "the file for clients does not say {pinned}");
    }

    #[test]
    fn failures_are_shown_and_requests_are_not() {
        for line in
            ["✘ [ERROR] Uncaught TypeError: x", "error: no SQL server", "thread 'main' panicked at src/a.rs:1:1"]
        {
            assert!(is_trouble(line), "{line}");
        }
        for line in ["[wrangler:info] GET /livez 200 OK (846ms)", "{\"event\":\"request\",\"error\":null}", ""] {
            assert!(!is_trouble(line), "{line}");
        }
    }
}
