//! The project's commands: `cargo xtask setup | build | dev | test | smoke | bench | soak | contract | audit | bundle | release | publish |
//! deploy | newest`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "these commands talk to a person at a terminal")]

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

#[cfg(not(unix))]
compile_error!("cargo xtask runs on Linux and macOS: on Windows work in WSL 2, or in the container of .devcontainer");

mod audit;
mod bench;
mod build;
mod bundle;
mod cache;
mod commit;
mod contract;
mod deploy;
mod dev;
mod http;
mod measure;
mod newest;
mod order;
mod process;
mod programs;
mod release;
mod services;
mod setup;
mod smoke;
mod soak;
mod test;
mod workerd;

const USAGE: &str = "\
cargo xtask setup                                     fetch and build every tool that is missing
cargo xtask dev [--port 8787] [--sandbox-port 8788] [--mysql-port PORT] [--logs]
                                                      run the Worker against a sandbox of TiDB Cloud on this machine, which
                                                      takes MySQL clients too where it is given a port for them; with --logs
                                                      the logs of both are shown, not only their failures
cargo xtask test [SUITE[/PART]...]                    run every test, or only these suites, and of a suite only what has
                                                      PART in its name, as transcripts/branches (tests/README.md)
cargo xtask build                                     build the Worker for release and print its sizes
cargo xtask bundle [--out DIR] [--repository URL]     pack the bridge for hosts without remote connectors into a .mcpb in
                                                      target/bundle or DIR, and with the address of the repository that
                                                      releases it also server.json for the MCP registry (docs/directories.md)
cargo xtask smoke URL [--version X] [--commit SHA] [--worker-version ID] [--tools FOLDER]
                  [--wait SECONDS] [--timeout SECONDS]
                                                      look whether the server at this address works, and is this version;
                                                      keys for it are in SMOKE_ACCESS_KEY, or in SMOKE_PUBLIC_KEY and
                                                      SMOKE_PRIVATE_KEY (docs/operations.md)
cargo xtask audit [--offline]                         check licences, sources and known faults of all that this depends on;
                                                      with --offline without the known faults, whose databases are elsewhere
cargo xtask release [--out DIR] [--tag vVERSION] [--repository URL]
                                                      write what a release consists of to target/release-bundle, or to DIR: the
                                                      Worker as built, with its bill of materials, notes and hashes; with --tag
                                                      only if this is the version of that tag
cargo xtask bench                                     measure CPU, load and upstream requests
cargo xtask soak [MINUTES]                            use the Worker steadily for an hour, or for so many minutes, while
                                                      somebody sends too much; memory and errors are checked
cargo xtask contract DIR                              rewrite contract/ from the published API files in DIR
cargo xtask newest                                    raise the MCP clients in package.json to their newest versions
cargo xtask deploy plan                               say whether this checkout can be deployed in two steps
cargo xtask deploy canary | whole [--url URL] [--artifact DIR] [--commit SHA] [--smoke PROGRAM]
                                                      deploy it: a tenth of the traffic first, or all at once
                                                      (docs/releasing.md)
cargo xtask deploy roll-back                          give all traffic to the old version, if a canary was left half done
cargo xtask deploy preview --number N --artifact DIR [--smoke PROGRAM]
                                                      deploy what is built in DIR as the preview of a pull request
cargo xtask deploy remove --number N                  delete that preview
cargo xtask deploy pull-request [--smoke PROGRAM]     the same, for the event of a workflow
cargo xtask publish --tag TAG [--dir DIR]             make a release on GitHub of what `cargo xtask release` wrote
cargo xtask worker --port P --sandbox URL --persist DIR [--vars TOML] [--workerd]
                                                      run the Worker as built, with its state in DIR and these further
                                                      variables, until its input ends; with --workerd without wrangler,
                                                      which starts slowly and hides that a client went away
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let Err(error) = process::own().and_then(|_| process::stop_everything_on_signals()) {
        return fail(&error);
    }
    let root = match root(std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from), std::env::current_dir().ok()) {
        Ok(root) => root,
        Err(error) => return fail(&error),
    };
    if words.iter().any(|word| ["--help", "-h"].contains(word)) || words.as_slice() == ["help"] {
        print!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let outcome = match words.as_slice() {
        ["smoke", words @ ..] => match smoke::Options::parse(words) {
            Ok(options) => smoke::command(&root, &options),
            Err(error) => {
                eprint!("error: {error}\n\n{USAGE}");
                return ExitCode::from(2);
            }
        },
        ["setup"] => setup::run(&root, setup::Part::ALL).map(|_| true),
        ["build"] => build::command(&root).map(|()| true),
        ["bundle", flags @ ..] => bundle::command(&root, flags).map(|()| true),
        ["dev", flags @ ..] => Flags::parse(flags).and_then(|flags| dev::run(&root, &flags)).map(|()| true),
        ["worker", flags @ ..] => {
            Flags::parse(flags).and_then(|flags| services::worker_command(&root, &flags)).map(|()| true)
        }
        ["test", suites @ ..] => test::run(&root, suites),
        ["audit", flags @ ..] => audit::run(&root, flags),
        ["release", flags @ ..] => release::command(&root, flags).map(|()| true),
        ["bench"] => bench::run(&root).map(|()| true),
        ["soak"] => soak::command(&root, 60),
        ["soak", minutes] => soak::minutes(minutes).and_then(|minutes| soak::command(&root, minutes)),
        ["newest"] => newest::run(&root).map(|()| true),
        ["deploy", words @ ..] => deploy::command(&root, words).map(|()| true),
        ["publish", words @ ..] => deploy::publish(&root, words).map(|()| true),
        ["contract", dir] => contract::run(Path::new(dir), &root.join("contract")).map(|()| true),
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

/// The checkout that this was started in, which need not be the one it was compiled in: that may have been moved or copied, target
/// directory included. `package` is this package's folder, which `cargo run` sets; without it, what is looked for is above `here`.
fn root(package: Option<PathBuf>, here: Option<PathBuf>) -> Result<PathBuf, String> {
    let places = [package, here];
    let mut above = places.iter().flatten().flat_map(|place| place.ancestors());
    let root = above.find(|place| place.join("xtask/Cargo.toml").is_file());
    root.map(Path::to_path_buf).ok_or_else(|| "this is no checkout: run `cargo xtask` inside one".to_owned())
}

/// `--name value` pairs of `dev` and `worker`, `--logs` and `--workerd`.
struct Flags {
    /// `--port`: where the Worker listens.
    port: u16,
    /// `--sandbox-port`: where the sandbox listens.
    sandbox_port: u16,
    /// `--mysql-port`: where the sandbox takes MySQL clients, if anywhere.
    mysql_port: Option<u16>,
    /// `--logs`: whether the logs of the two programs are shown.
    logs: bool,
    /// `--sandbox`: address of a sandbox that runs already.
    sandbox: Option<String>,
    /// `--persist`: where the Worker keeps its state.
    persist: Option<PathBuf>,
    /// `--vars`: lines of a `[vars]` table of `wrangler.toml`.
    vars: Option<String>,
    /// `--workerd`: whether workerd runs by itself.
    workerd: bool,
}

impl Flags {
    fn parse(words: &[&str]) -> Result<Self, String> {
        let mut flags = Self {
            port: 8787,
            sandbox_port: 8788,
            mysql_port: None,
            logs: false,
            sandbox: None,
            persist: None,
            vars: None,
            workerd: false,
        };
        let port = |name: &str, value: &str| {
            let port = value.parse().ok().filter(|port| *port != 0);
            port.ok_or_else(|| format!("{name} takes a port number (1 to 65535), not {value:?}"))
        };
        let (mut pairs, mut rest) = (Vec::new(), words.iter());
        while let Some(name) = rest.next() {
            match *name {
                "--logs" => flags.logs = true,
                "--workerd" => flags.workerd = true,
                _ => pairs.push((*name, *rest.next().ok_or_else(|| format!("{name} needs a value\n{USAGE}"))?)),
            }
        }
        for (name, value) in pairs {
            match name {
                "--port" => flags.port = port(name, value)?,
                "--sandbox-port" => flags.sandbox_port = port(name, value)?,
                "--mysql-port" => flags.mysql_port = Some(port(name, value)?),
                "--sandbox" => flags.sandbox = Some(value.to_owned()),
                "--vars" => flags.vars = Some(value.to_owned()),
                "--persist" => flags.persist = Some(PathBuf::from(value)),
                _ => return Err(format!("unknown flag {name}\n{USAGE}")),
            }
        }
        let mut ports: Vec<u16> = [flags.port, flags.sandbox_port].into_iter().chain(flags.mysql_port).collect();
        ports.sort_unstable();
        if ports.windows(2).any(|two| two.first() == two.last()) {
            return Err("--port, --sandbox-port and --mysql-port must differ".to_owned());
        }
        Ok(flags)
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use super::{Flags, root};

    #[test]
    fn ports_differ_and_mysql_clients_have_one_on_request() {
        assert!(Flags::parse(&[]).is_ok_and(|flags| flags.mysql_port.is_none()), "no port is opened unasked");
        let given = Flags::parse(&["--mysql-port", "4000"]);
        assert!(given.is_ok_and(|flags| flags.mysql_port == Some(4000)), "the one that was asked for");
        assert!(Flags::parse(&["--mysql-port", "8788"]).is_err(), "two programs cannot have one port");
        for name in ["--port", "--sandbox-port", "--mysql-port"] {
            let refused = |value| Flags::parse(&[name, value]).err().unwrap_or_default();
            for value in ["0", "65536", "-1", "http"] {
                let error = refused(value);
                assert!(error.contains(name) && error.contains("1 to 65535"), "{value}: {error:?}");
            }
        }
    }

    #[test]
    fn logs_are_shown_on_request_and_take_no_value() {
        assert!(Flags::parse(&["--port", "9000"]).is_ok_and(|flags| !flags.logs));
        let given = Flags::parse(&["--logs", "--port", "9000"]);
        assert!(given.is_ok_and(|flags| flags.logs && flags.port == 9000), "what follows is not its value");
    }

    #[test]
    fn the_checkout_is_the_one_it_is_started_in() {
        let scratch = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo"))
            .join(format!("../target/tmp/checkouts-{}", std::process::id()));
        let [copy, other] = ["copy", "other"].map(|name| scratch.join(name));
        for checkout in [&copy, &other] {
            fs::create_dir_all(checkout.join("xtask/src")).expect("a folder");
            fs::write(checkout.join("xtask/Cargo.toml"), "").expect("a file");
        }
        let find = |package: Option<PathBuf>, here: Option<PathBuf>| root(package, here).expect("a checkout");
        assert_eq!(find(Some(copy.join("xtask")), Some(other.clone())), copy);
        assert_eq!(find(None, Some(copy.join("xtask/src"))), copy, "run without cargo");
        assert_eq!(find(Some(PathBuf::from("/")), Some(other.clone())), other, "another package's");
        assert!(root(None, Some(PathBuf::from("/"))).is_err());
        fs::remove_dir_all(scratch).expect("removed");
    }
}
