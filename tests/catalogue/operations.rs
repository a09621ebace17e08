//! Every operation of TiDB Cloud's API has a row in `tests/cases/operations.tsv`: the tools that call it, as transcripts show, or
//! why none does.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    fs,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use mcp_server_tidbcloud::tools;
use serde_json::Value;
use tidbcloud_sandbox::control::{Covered, contract, covered};

use crate::{
    Problems, REGENERATE,
    documents::between,
    is_current,
    support::{
        checkout,
        transcript::{Judge, Transcript, run},
    },
    updating,
    world::Native,
};

/// Where the rows are.
const FILE: &str = "tests/cases/operations.tsv";

/// Columns are separated by a tab. `tools` have the operation as their purpose, those of `also` call it on the way, such as to
/// find a cluster by its name; `why` is for an operation that no tool calls.
const COLUMNS: &str = "host\tmethod\tpath\ttools\talso\twhy";

/// An operation: host, method, path.
type Operation = (String, String, String);

/// The tools that call it.
type Calls = BTreeMap<Operation, BTreeSet<String>>;

/// What a row says of its operation.
#[derive(Clone, Default)]
struct Row {
    tools: Vec<String>,
    also: Vec<String>,
    why: String,
}

/// All rows; a line that is none is a problem.
fn rows(problems: &mut Problems) -> BTreeMap<Operation, Row> {
    let text = fs::read_to_string(checkout().join(FILE)).unwrap_or_default();
    let mut rows = BTreeMap::new();
    for (number, line) in text.lines().enumerate().skip(1) {
        let columns: Vec<_> = line.split('\t').collect();
        let [host, method, path, tools, also, why] = columns[..] else {
            problems.unless(false, || format!("{FILE}:{}: a row has these columns: {COLUMNS}", number + 1));
            continue;
        };
        let names = |text: &str| text.split(", ").filter(|name| !name.is_empty()).map(str::to_owned).collect();
        let row = Row { tools: names(tools), also: names(also), why: why.to_owned() };
        let before = rows.insert((host.to_owned(), method.to_owned(), path.to_owned()), row);
        problems.unless(before.is_none(), || format!("{FILE}:{}: {method} {host}{path} has a row twice", number + 1));
    }
    rows
}

/// Notes which tool called which operation.
#[derive(Default)]
struct Listener(Calls);

impl Judge for Listener {
    fn tool_result(&mut self, _: &str, _: &str, _: &Value) {}

    fn hears_requests(&self) -> bool {
        true
    }

    fn requests(&mut self, tool: &str, requests: &Value) {
        for request in requests.as_array().into_iter().flatten() {
            let text = |member: &str| request[member].as_str().unwrap_or_default();
            let (host, method) = (text("host"), text("method"));
            // A challenge asks for a nonce, and carries nothing out.
            if request["status"] == 401 {
                continue;
            }
            if let Some(path) = contract::template(host, method, text("path")) {
                let operation = (host.to_owned(), method.to_owned(), path.to_owned());
                self.0.entry(operation).or_default().insert(tool.to_owned());
            }
        }
    }
}

/// What all transcripts call, each played once.
fn calls() -> Calls {
    let (all, next, calls) = (Transcript::all(), AtomicUsize::new(0), Mutex::new(Calls::new()));
    let play = || {
        let mut listener = Listener::default();
        while let Some(transcript) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
            let revisions = transcript.revisions();
            // In the newest every call is answered at once, with a question if need be.
            let revision = revisions.iter().max().expect("a revision");
            run(transcript, revision, &mut Native::new(), &mut listener);
        }
        let mut calls = calls.lock().unwrap_or_else(PoisonError::into_inner);
        for (operation, tools) in listener.0 {
            calls.entry(operation).or_default().extend(tools);
        }
    };
    thread::scope(|scope| {
        let players: Vec<_> = (0..2).map(|_| scope.spawn(play)).collect();
        for player in players {
            assert!(player.join().is_ok(), "a transcript fails: run `cargo xtask test transcripts` first");
        }
    });
    calls.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn of(covered: &Covered) -> Operation {
    (covered.host.to_owned(), covered.method.to_owned(), covered.path.to_owned())
}

#[test]
fn every_operation_has_the_tools_that_call_it_or_a_reason() {
    let mut problems = Problems::default();
    let (mut rows, calls, all) = (rows(&mut problems), calls(), covered());
    let mut text = format!("{COLUMNS}\n");
    for covered in &all {
        let operation = of(covered);
        let (host, method, path) = &operation;
        let called = calls.get(&operation).cloned().unwrap_or_default();
        let row = rows.remove(&operation);
        let named: BTreeSet<String> = row.iter().flat_map(|row| row.tools.iter().chain(&row.also)).cloned().collect();
        let mut now = row.clone().unwrap_or_default();
        now.tools.retain(|tool| called.contains(tool));
        now.also.retain(|tool| called.contains(tool));
        let new = called.difference(&named).cloned();
        if now.tools.is_empty() { &mut now.tools } else { &mut now.also }.extend(new);
        if !now.tools.is_empty() {
            now.why.clear();
        }
        let Row { tools, also, why } = &now;
        let _ = writeln!(text, "{host}\t{method}\t{path}\t{}\t{}\t{why}", tools.join(", "), also.join(", "));
        let at = format!("{FILE}: the row of {method} {host}{path}");
        problems.unless(!tools.is_empty() || !why.is_empty(), || {
            format!("{at} has no tool, and does not say why: write it into its last column, by hand")
        });
        if updating() {
            continue;
        }
        problems.unless(row.is_some(), || format!("{at} is missing: {REGENERATE}"));
        let surplus: Vec<_> = named.difference(&called).map(String::as_str).collect();
        problems.unless(surplus.is_empty(), || {
            format!(
                "{at} names {}, and no transcript shows a call of it: write one, or {REGENERATE}",
                surplus.join(", ")
            )
        });
        let missing: Vec<_> = called.difference(&named).map(String::as_str).collect();
        problems.unless(missing.is_empty(), || {
            format!("{at} does not name {}, and a transcript shows a call of it: {REGENERATE}", missing.join(", "))
        });
        let both = row.is_some_and(|row| !row.tools.is_empty() && !row.why.is_empty());
        problems.unless(!both, || format!("{at} has a tool, and a reason for having none: {REGENERATE}"));
    }
    for (host, method, path) in rows.keys().filter(|_| !updating()) {
        problems.unless(false, || {
            format!("{FILE}: {method} {host}{path} is no operation of contract/operations.json: {REGENERATE}")
        });
    }
    for (operation, tools) in &calls {
        for tool in tools {
            let exists = tools::ALL.entries().iter().any(|entry| entry.name() == tool);
            problems.unless(exists, || format!("{operation:?} is called by `{tool}`, which is no tool"));
        }
    }
    let current = is_current(&checkout().join(FILE), &text);
    problems.unless(current, || format!("{FILE} is not in its order: {REGENERATE}"));
    problems.none();
}

/// What a host has, in the order of the contract.
fn hosts(all: &[Covered]) -> Vec<(&'static str, Vec<&Covered>)> {
    let mut hosts: Vec<(&str, Vec<&Covered>)> = Vec::new();
    for covered in all {
        match hosts.iter_mut().find(|(host, _)| *host == covered.host) {
            Some((_, operations)) => operations.push(covered),
            None => hosts.push((covered.host, vec![covered])),
        }
    }
    hosts
}

#[test]
fn the_reference_has_every_operation() {
    let (rows, all) = (rows(&mut Problems::default()), covered());
    let row = |covered: &Covered| rows.get(&of(covered)).cloned().unwrap_or_default();
    let count = |operations: &mut dyn Iterator<Item = &Covered>| {
        operations.filter(|covered| !row(covered).tools.is_empty()).count()
    };
    let mut text = format!("Tools call {} of {} operations.\n", count(&mut all.iter()), all.len());
    for (host, operations) in hosts(&all) {
        let called = count(&mut operations.iter().copied());
        let _ = writeln!(text, "\n### `{host}`: {called} of {}\n", operations.len());
        text.push_str("| operation | tools, or why there is none |\n| --- | --- |\n");
        for covered in operations {
            let Row { tools, also, why } = row(covered);
            let note = if covered.is_published == Some(false) && !tools.is_empty() { " (not published)" } else { "" };
            let names: Vec<_> = tools.iter().map(|tool| format!("[`{tool}`](#{tool})")).collect();
            let others = match also.len() {
                0 => String::new(),
                1 => "; on the way 1 other".to_owned(),
                others => format!("; on the way {others} others"),
            };
            let said = if names.is_empty() { why } else { format!("{}{others}", names.join(", ")) };
            let _ = writeln!(text, "| `{} {}`{note} | {said} |", covered.method, covered.path);
        }
    }
    between("docs/tools.md", "operations", &text);
}

#[test]
fn the_coverage_of_the_sandbox_is_counted() {
    let all = covered();
    let simulated = |operations: &[&Covered]| operations.iter().filter(|covered| covered.is_simulated).count();
    let mut table = String::from("| host | simulated | of |\n| --- | --- | --- |\n");
    for (host, operations) in hosts(&all) {
        let _ = writeln!(table, "| `{host}` | {} | {} |", simulated(&operations), operations.len());
    }
    let _ = writeln!(table, "| all | {} | {} |", simulated(&all.iter().collect::<Vec<_>>()), all.len());
    between("docs/sandbox.md", "coverage", &table);
}

/// The operations of a tool that only an official client shows: method, host and path.
pub fn unpublished(tool: &str) -> Vec<String> {
    let rows = rows(&mut Problems::default());
    let calls = |row: &&Row| row.tools.iter().chain(&row.also).any(|name| name == tool);
    let all = covered();
    let own = all.iter().filter(|covered| covered.is_published == Some(false));
    own.filter(|covered| rows.get(&of(covered)).is_some_and(|row| calls(&row)))
        .map(|covered| format!("`{} {}{}`", covered.method, covered.host, covered.path))
        .collect()
}
