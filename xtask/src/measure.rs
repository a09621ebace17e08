//! What a Worker costs: calls to send, and the processor time and memory of its workerd process.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::http::{Answer, Connection};

const VERSION: &str = "2026-07-28";

/// A request of the stateless era, ready to be sent many times.
pub(crate) struct Call {
    method: &'static str,
    tool: Option<String>,
    body: String,
}

impl Call {
    pub(crate) fn new(method: &'static str, mut params: Value) -> Self {
        let tool = params.get("name").and_then(Value::as_str).map(str::to_owned);
        if let Some(params) = params.as_object_mut() {
            let meta = json!({
                "io.modelcontextprotocol/protocolVersion": VERSION,
                "io.modelcontextprotocol/clientCapabilities": {},
            });
            params.insert("_meta".to_owned(), meta);
        }
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
        Self { method, tool, body }
    }

    /// The call of a tool.
    pub(crate) fn of_tool(name: &str, arguments: &Value) -> Self {
        Self::new("tools/call", json!({ "name": name, "arguments": arguments }))
    }

    /// Sends it from the given client address with a pair of keys, whatever the answer.
    pub(crate) fn send_as(
        &self,
        connection: &mut Connection,
        address: &str,
        (public, private): (&str, &str),
    ) -> Result<Answer, String> {
        let mut headers = vec![
            ("content-type", "application/json"),
            ("accept", "application/json, text/event-stream"),
            ("mcp-protocol-version", VERSION),
            ("mcp-method", self.method),
            ("cf-connecting-ip", address),
            ("x-tidb-api-public-key", public),
            ("x-tidb-api-private-key", private),
        ];
        headers.extend(self.tool.as_deref().map(|tool| ("mcp-name", tool)));
        connection.send("POST", "/mcp", &headers, &self.body)
    }

    /// The same; refuses any answer but a good one.
    pub(crate) fn send(&self, connection: &mut Connection, address: &str, keys: (&str, &str)) -> Result<(), String> {
        let answer = self.send_as(connection, address, keys)?;
        let text = String::from_utf8_lossy(&answer.body);
        if answer.status != 200 || text.contains("\"isError\":true") || text.contains("\"error\":{") {
            return Err(format!("{} was answered {}: {text}", self.method, answer.status));
        }
        Ok(())
    }
}

/// Refuses what measures a process where the kernel does not say what one used.
pub(crate) fn check_measurable(command: &str) -> Result<(), String> {
    if Path::new("/proc/self/schedstat").exists() {
        return Ok(());
    }
    Err(format!(
        "{command} reads processor time and memory from /proc, where this system has no schedstat. Run it on Linux; on other \
         systems in the container of .devcontainer (CONTRIBUTING.md, \"Other machines\")"
    ))
}

/// The workerd process of a group: npm's program for it is a script that starts the real one.
pub(crate) fn workerd_of(group: u32) -> Result<u32, String> {
    let entries = fs::read_dir("/proc").map_err(|error| format!("/proc: {error}"))?;
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .find(|process| name_and_group(*process).is_ok_and(|found| found == ("workerd".to_owned(), group)))
        .ok_or_else(|| "no workerd was started".to_owned())
}

/// Microseconds that all threads of a process have run: the first field of `schedstat` (proc_pid_schedstat(5)), in
/// nanoseconds.
pub(crate) fn processor_micros(process: u32) -> Result<u64, String> {
    let path = format!("/proc/{process}/task");
    let threads = fs::read_dir(&path).map_err(|error| format!("{path}: {error}"))?;
    let nanos = threads.flatten().filter_map(|thread| {
        let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    });
    Ok(nanos.sum::<u64>() / 1_000)
}

/// Resident memory in KiB: `VmRSS` of `/proc/<pid>/status` (proc_pid_status(5)).
pub(crate) fn resident_kib(process: u32) -> Result<u64, String> {
    let path = format!("/proc/{process}/status");
    let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.ok_or_else(|| format!("{path} has no VmRSS"))
}

/// Name and group of a process (proc_pid_stat(5)).
fn name_and_group(process: u32) -> Result<(String, u32), String> {
    let path = format!("/proc/{process}/stat");
    let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    // The name is in parentheses and may hold any character; the group is the third field after it.
    let found = text.split_once('(').and_then(|(_, rest)| rest.rsplit_once(')')).and_then(|(name, rest)| {
        let group = rest.split_whitespace().nth(2)?.parse().ok()?;
        Some((name.to_owned(), group))
    });
    found.ok_or_else(|| format!("cannot read {path}"))
}

/// The values below which this share of the sorted ones lie, for each share.
pub(crate) fn percentiles<const N: usize>(sorted: &[u64], shares: [f64; N]) -> [u64; N] {
    shares.map(|share| {
        let at = (sorted.len().saturating_sub(1) as f64 * share).round() as usize;
        sorted.get(at).copied().unwrap_or_default()
    })
}
