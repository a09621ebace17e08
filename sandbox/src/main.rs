//! `tidbcloud-sandbox`: TiDB Cloud on this machine.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a command: printing is what it does")]

use std::path::PathBuf;
use std::process::ExitCode;

use tidbcloud_sandbox::control::{KEYS, SHOP_CLUSTER_ID};
use tidbcloud_sandbox::serve::Running;
use tidbcloud_sandbox::sql::{Engine, Servers};
use tokio::signal::unix::{SignalKind, signal};

const USAGE: &str = "\
TiDB Cloud on this machine: control plane, digest authentication and SQL over HTTP

usage: tidbcloud-sandbox [--port PORT] [--tls-port PORT] [--mysql-port PORT] [--data DIR] [--seed N]
       tidbcloud-sandbox --prepare [--data DIR]

  --port PORT        port of loopback to listen on (8788)
  --tls-port PORT    port of loopback for HTTPS, 0 for any that is free (none)
  --mysql-port PORT  port of loopback for MySQL clients, 0 for any that is free (none)
  --data DIR         where data directories are kept ($XDG_CACHE_HOME or ~/.cache, tidbcloud-sandbox below it)
  --seed N           what everything random is made from (1)
  --prepare          make the data directories that SQL servers start from, and exit";

struct Arguments {
    port: u16,
    tls_port: Option<u16>,
    mysql_port: Option<u16>,
    data: PathBuf,
    seed: u64,
    prepare: bool,
}

fn default_data() -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").filter(|path| !path.is_empty()).map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
    Some(cache.join("tidbcloud-sandbox"))
}

fn parse(arguments: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let (mut port, mut tls_port, mut mysql_port) = (8788, None, None);
    let (mut data, mut seed, mut prepare) = (None, 1, false);
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value\n\n{USAGE}"));
        let wrong = |text: &str| format!("{argument} takes no {text}\n\n{USAGE}");
        match argument.as_str() {
            "--port" => port = value().and_then(|text| text.parse().map_err(|_| wrong(&text)))?,
            "--tls-port" => tls_port = Some(value().and_then(|text| text.parse().map_err(|_| wrong(&text)))?),
            "--mysql-port" => mysql_port = Some(value().and_then(|text| text.parse().map_err(|_| wrong(&text)))?),
            "--seed" => seed = value().and_then(|text| text.parse().map_err(|_| wrong(&text)))?,
            "--data" => data = Some(PathBuf::from(value()?)),
            "--prepare" => prepare = true,
            "--help" | "-h" => return Err(USAGE.to_owned()),
            other => return Err(format!("{other} is not known\n\n{USAGE}")),
        }
    }
    let data = data.or_else(default_data).ok_or("neither XDG_CACHE_HOME nor HOME is set: give --data DIR")?;
    Ok(Arguments { port, tls_port, mysql_port, data, seed, prepare })
}

async fn until_asked_to_stop() -> std::io::Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
    Ok(())
}

fn run() -> Result<(), String> {
    let arguments = parse(std::env::args().skip(1))?;
    let engine = Engine::find().map_err(|error| error.to_string())?;
    if arguments.prepare {
        let servers = Servers::new(engine, &arguments.data)?;
        return servers.prepare(&|line| eprintln!("{line}"));
    }
    let name = engine.to_string();
    let running = Running::start(arguments.port, arguments.seed, engine, &arguments.data);
    let mut running = running.map_err(|error| format!("port {}: {error}", arguments.port))?;
    let failed = |port: u16| move |error: std::io::Error| format!("port {port}: {error}");
    let https = arguments.tls_port.map(|port| running.listen_for_https(port, &arguments.data).map_err(failed(port)));
    let https = https.transpose()?;
    let mysql = arguments.mysql_port.map(|port| running.listen_for_mysql(port, &arguments.data).map_err(failed(port)));
    let mysql = mysql.transpose()?;
    println!("sandbox http://{}", running.address);
    println!("  SQL server       {name}");
    for key in &KEYS {
        println!("  API key          {}  {}", key.public, key.private);
    }
    println!("  sample cluster   shop      {SHOP_CLUSTER_ID}");
    for (name, secured) in [("HTTPS", https), ("MySQL", mysql)] {
        if let Some(secured) = secured {
            println!("  {name}            {}  CA {}", secured.address, secured.authority.display());
        }
    }
    let waiting = tokio::runtime::Builder::new_current_thread().enable_all().build();
    waiting.and_then(|waiting| waiting.block_on(until_asked_to_stop())).map_err(|error| error.to_string())?;
    drop(running);
    Ok(())
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
