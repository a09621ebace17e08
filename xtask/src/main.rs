//! The project's commands: `cargo xtask setup | build | dev | test | bench | contract`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "these commands talk to a person at a terminal")]

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

mod bench;
mod build;
mod cache;
mod contract;
mod dev;
mod http;
mod process;
mod services;
mod setup;
mod test;

const USAGE: &str = "\
cargo xtask setup                                     fetch and build every tool that is missing
cargo xtask dev [--port 8787] [--sandbox-port 8788]   run the Worker against a sandbox of TiDB Cloud on this machine
cargo xtask test [SUITE...]                           run every test, or only these suites:
                                                      checks native build workerd clients page
cargo xtask build                                     build the Worker for release and print its sizes
cargo xtask bench                                     measure CPU and upstream requests
cargo xtask contract DIR                              rewrite contract/ from the published API files in DIR
cargo xtask worker --port P --sandbox URL --persist DIR [--vars TOML]
                                                      run the Worker as built, with its state in DIR and these further
                                                      variables, until its input ends
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let Err(error) = process::stop_everything_on_signals() {
        return fail(&error);
    }
    let outcome = match words.as_slice() {
        ["setup"] => setup::run(&root(), setup::Part::ALL).map(|_| true),
        ["build"] => build::command(&root()).map(|()| true),
        ["dev", flags @ ..] => Flags::parse(flags).and_then(|flags| dev::run(&root(), &flags)).map(|()| true),
        ["worker", flags @ ..] => {
            Flags::parse(flags).and_then(|flags| services::worker_command(&root(), &flags)).map(|()| true)
        }
        ["test", suites @ ..] => test::run(&root(), suites),
        ["bench"] => bench::run(&root()).map(|()| true),
        ["contract", dir] => contract::run(Path::new(dir), &root().join("contract")).map(|()| true),
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    process::stop_at_end();
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => fail(&error),
    }
}

fn fail(error: &str) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::FAILURE
}

/// The checkout this program was compiled in.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default()
}

/// `--name value` pairs of `dev` and `worker`.
struct Flags {
    /// `--port`: where the Worker listens.
    port: u16,
    /// `--sandbox-port`: where the sandbox listens.
    sandbox_port: u16,
    /// `--sandbox`: address of a sandbox that runs already.
    sandbox: Option<String>,
    /// `--persist`: where the Worker keeps its state.
    persist: Option<PathBuf>,
    /// `--vars`: lines of a `[vars]` table of `wrangler.toml`.
    vars: Option<String>,
}

impl Flags {
    fn parse(words: &[&str]) -> Result<Self, String> {
        let mut flags = Self { port: 8787, sandbox_port: 8788, sandbox: None, persist: None, vars: None };
        let port = |name: &str, value: &str| {
            value.parse().map_err(|_| format!("{name} takes a port number (1 to 65535), not {value:?}"))
        };
        let mut rest = words.iter();
        while let Some(name) = rest.next() {
            let value = rest.next().ok_or_else(|| format!("{name} needs a value\n{USAGE}"))?;
            match *name {
                "--port" => flags.port = port(name, value)?,
                "--sandbox-port" => flags.sandbox_port = port(name, value)?,
                "--sandbox" => flags.sandbox = Some((*value).to_owned()),
                "--vars" => flags.vars = Some((*value).to_owned()),
                "--persist" => flags.persist = Some(PathBuf::from(value)),
                _ => return Err(format!("unknown flag {name}\n{USAGE}")),
            }
        }
        if flags.port == flags.sandbox_port {
            return Err("--port and --sandbox-port must differ".to_owned());
        }
        Ok(flags)
    }
}
