//! `cargo xtask dev`: the Worker on this machine, in front of a sandbox, with lines to paste into real clients.

mod builds;
mod sources;

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom, Write},
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
    builds.start()?;
    // Both at once: they are independent, and each has steps that use only one processor.
    let (sandbox, built) = thread::scope(|scope| {
        let sandbox = scope.spawn(|| start_sandbox(&tools, flags, directory));
        let built = first(&mut builds);
        (sandbox.join().unwrap_or_else(|_| Err("the thread of the sandbox ended early".to_owned())), built)
    });
    let mut sandbox = Program::new(sandbox?)?;
    built?;
    secrets_beside(root, directory)?;
    let (entry, origin) = (builds.entry(), sandbox.service.origin());
    let configure = || services::write_configuration(root, directory, &entry, "");
    let serve = || {
        let mut worker = Program::new(services::serve(&tools, &configure()?, flags.port, &origin, directory, &[])?)?;
        // wrangler's greeting tells of keys that are not there to be pressed.
        worker.log.seek(SeekFrom::End(0)).map_err(|error| error.to_string())?;
        Ok(worker)
    };
    let worker = serve()?;
    sandbox.pass_on();
    print!("{}", lines(&worker.service.origin(), &origin, &services::sample_cluster(&sandbox.service)?));
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
    const NAME: &str = ".dev.vars";
    let link = directory.join(NAME);
    match symlink(root.join(NAME), &link) {
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
}

impl Program {
    fn new(service: Service) -> Result<Self, String> {
        let log = File::open(&service.log).map_err(|error| format!("{}: {error}", service.log.display()))?;
        Ok(Self { service, log })
    }

    /// Shows what was added to the log since the last time.
    fn pass_on(&mut self) {
        let mut added = Vec::new();
        if self.log.read_to_end(&mut added).is_ok() && !added.is_empty() {
            let mut out = io::stdout();
            let _ = out.write_all(&added).and_then(|()| out.flush());
        }
    }

    /// How it ended, which it does not do by itself.
    fn ended(&self) -> Result<Option<String>, String> {
        let status = self.service.process.ended()?;
        let (name, log) = (self.service.process.name(), self.service.log.display());
        Ok(status.map(|status| format!("{name} ended ({status}); its output is in {log}")))
    }
}

/// The lines to paste into clients.
fn lines(worker: &str, sandbox: &str, shop: &str) -> String {
    let url = format!("{worker}/mcp");
    let headers = format!(
        "\"headers\": {{ \"X-TiDB-API-Public-Key\": \"{PUBLIC_KEY}\", \"X-TiDB-API-Private-Key\": \"{PRIVATE_KEY}\" }}"
    );
    let header_flags =
        format!("--header \"X-TiDB-API-Public-Key: {PUBLIC_KEY}\" --header \"X-TiDB-API-Private-Key: {PRIVATE_KEY}\"");
    let inspector = format!("npx mcp-inspector --cli {url} --transport http {header_flags} --method");
    format!(
        r#"
ready {url}

The page for people is {worker}/ and the sandbox of TiDB Cloud {sandbox}/_sandbox/state
Its keys open nothing else. A cluster with sample data is there: shop, id {shop}

Any client with OAuth takes the address alone:
  {url}
      and opens a page. Type there: public key {PUBLIC_KEY}, private key {PRIVATE_KEY}

Claude Code, with the keys in headers:
  claude mcp add --transport http tidbcloud {url} {header_flags}

Cursor, the same, in ~/.cursor/mcp.json:
  {{ "mcpServers": {{ "tidbcloud": {{ "url": "{url}", {headers} }} }} }}

VS Code, the same, in .vscode/mcp.json:
  {{ "servers": {{ "tidbcloud": {{ "type": "http", "url": "{url}", {headers} }} }} }}

MCP Inspector, one line after the other in a second terminal, in this directory:
  {inspector} tools/list
  {inspector} tools/call --tool-name db_query --tool-args-json '{{"cluster":"shop","sql":"SELECT country, COUNT(*) AS customers FROM shop.customers GROUP BY country"}}'
  {inspector} tools/call --tool-name tidbcloud_create_cluster --tool-args-json '{{"displayName":"first","region":"{REGION}"}}'
  {inspector} tools/call --tool-name tidbcloud_get_cluster --tool-args-json '{{"cluster":"first"}}'
      (CREATING for 10 seconds, then ACTIVE)
  {inspector} tools/call --tool-name tidbcloud_create_branch --tool-args-json '{{"cluster":"shop","displayName":"trial"}}'
      (wait 10 seconds here too)
  {inspector} tools/call --tool-name db_query --tool-args-json '{{"cluster":"shop","branch":"trial","sql":"SELECT id, name FROM shop.customers ORDER BY id LIMIT 3"}}'

Ctrl-C ends everything.
"#
    )
}

/// A region that the sandbox offers.
const REGION: &str = "regions/aws-us-east-1";
