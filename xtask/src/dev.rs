//! `cargo xtask dev`: the Worker on this machine, in front of a sandbox, with lines to paste into real clients.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::Path,
    thread,
    time::Duration,
};

use crate::{
    Flags, build,
    services::{self, Service},
    setup,
};

/// The sandbox's owner. These keys open nothing but sandboxes.
pub(crate) const PUBLIC_KEY: &str = "SBXOWNER";
/// The other half.
pub(crate) const PRIVATE_KEY: &str = "5b000000-0000-4000-8000-0000000000aa";

/// Runs until Ctrl-C, or until one of the two programs ends.
pub(crate) fn run(root: &Path, flags: &Flags) -> Result<(), String> {
    services::check_free(flags.port, "--port")?;
    services::check_free(flags.sandbox_port, "--sandbox-port")?;
    let tools = setup::run(root, setup::Part::DEV)?;
    let program = services::build_sandbox(&tools)?;
    build::run(root, &tools)?;
    let default = root.join(".wrangler/dev").join(flags.port.to_string());
    let directory = flags.persist.as_ref().unwrap_or(&default);
    let sandbox = services::start_sandbox(&tools, &program, flags.sandbox_port, directory)?;
    let worker = services::start_worker(&tools, flags.port, &sandbox.origin(), directory, &[], None)?;
    let mark = services::build_mark(directory);
    // From here on a change of the source makes wrangler build again.
    fs::remove_file(&mark).map_err(|error| format!("{}: {error}", mark.display()))?;
    let (mut sandbox_log, mut worker_log) = (follow(&sandbox)?, follow(&worker)?);
    pass_on(&mut sandbox_log);
    io::copy(&mut worker_log, &mut io::sink()).map_err(|error| error.to_string())?;
    print!("{}", lines(&worker.origin(), &sandbox.origin(), &services::sample_cluster(&sandbox)?));
    loop {
        pass_on(&mut sandbox_log);
        pass_on(&mut worker_log);
        for service in [&sandbox, &worker] {
            if let Some(status) = service.process.ended()? {
                pass_on(&mut sandbox_log);
                pass_on(&mut worker_log);
                return Err(format!(
                    "{} ended ({status}); its output is in {}",
                    service.process.name(),
                    service.log.display()
                ));
            }
        }
        thread::sleep(Duration::from_millis(200));
    }
}

fn follow(service: &Service) -> Result<File, String> {
    File::open(&service.log).map_err(|error| format!("{}: {error}", service.log.display()))
}

/// Shows what was added to a log since the last time.
fn pass_on(log: &mut File) {
    let mut added = Vec::new();
    if log.read_to_end(&mut added).is_ok() && !added.is_empty() {
        let mut out = io::stdout();
        let _ = out.write_all(&added).and_then(|()| out.flush());
    }
}

/// What a person pastes where.
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
