//! The fault matrix: every kind of trouble against every kind of operation, as rows of `tests/cases/faults.tsv`.
//!
//! A cell says what the client is told and which requests with credentials TiDB Cloud saw: `UPSTREAM_UNAVAILABLE GET:3`.
//! `reconciled` is a success that was found after its answer was lost. `@5` after a code are the seconds that the client is told to wait, `>=1s` at the end is the least time that the call takes,
//! and `-` is a cell that the row does not concern. That what the client is told is what happened, and all else that is true of
//! every call, is in [`Bench::make`].
//!
//! The script of a row is a list of faults as the sandbox takes them, which strike the request that the operation is about,
//! unless they say which themselves; and of what happens around the service:
//!
//! | member | what happens |
//! | --- | --- |
//! | `cold` | the isolate has just started: it has no nonce and knows no SQL user |
//! | `token` | the caller has a token, and no keys |
//! | `private_key` | the caller's private key is this one |
//! | `limiter` | `overloaded` or `unavailable` |
//! | `storage` | `fails`: no object answers; `loses`: the first command is carried out, and its answer is lost |
//! | `clock` | the clock steps by so many seconds |
//! | `breaks` | so many calls, of three callers in turn, fail before this one, which nothing would stop |
//! | `latency` | each request to TiDB Cloud takes so many milliseconds |
//! | `cut_off` | the isolate ends when the call waits for the so manieth time, counted from 0 |

use std::{collections::BTreeSet, env, fmt::Write, fs, panic};

use mcp_server_tidbcloud::port::LimiterFailure;
use serde_json::{Value, json};

use crate::{
    operation::{Bench, Made, Operation},
    support::{Driver, checkout},
};

/// A cell that the row does not concern.
const NOT_CONCERNED: &str = "-";

/// A row of the table.
pub struct Row {
    pub number: String,
    fault: String,
    pub script: Vec<Value>,
    /// One for each operation.
    cells: Vec<String>,
    note: String,
}

impl Row {
    /// Whether its trouble can strike this operation.
    pub fn concerns(&self, operation: Operation) -> bool {
        Operation::ALL.iter().zip(&self.cells).any(|(one, cell)| *one == operation && cell != NOT_CONCERNED)
    }
}

/// The rows of a file in `tests/cases`.
pub fn rows(file: &str) -> Vec<Row> {
    let path = checkout().join("tests/cases").join(file);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut lines = text.lines();
    let names = Operation::ALL.map(Operation::name).join("\t");
    assert_eq!(lines.next(), Some(format!("row\tfault\tscript\t{names}\tnote").as_str()), "the columns of {file}");
    let rows: Vec<_> = lines.map(row).collect();
    let numbers: BTreeSet<_> = rows.iter().map(|row| &row.number).collect();
    assert_eq!(numbers.len(), rows.len(), "a row of {file} has a number of its own");
    rows
}

fn row(line: &str) -> Row {
    let fields: Vec<_> = line.split('\t').map(str::to_owned).collect();
    assert_eq!(fields.len(), Operation::ALL.len() + 4, "a row has a field for each column: {line}");
    let script = serde_json::from_str(&fields[2]).unwrap_or_else(|error| panic!("row {}: {error}", fields[0]));
    Row {
        number: fields[0].clone(),
        fault: fields[1].clone(),
        script,
        cells: fields[3..fields.len() - 1].to_vec(),
        note: fields[fields.len() - 1].clone(),
    }
}

/// Prepares the trouble of a row; when the isolate is to end, if it is.
pub fn strike(bench: &mut Bench, operation: Operation, script: &[Value]) -> Option<usize> {
    let mut cut_off = None;
    for part in script {
        let server = &mut bench.server;
        let Some((name, value)) =
            part.as_object().filter(|part| !part.contains_key("do")).and_then(|part| part.iter().next())
        else {
            server.admin("POST", "/_sandbox/faults", Some(json!({"faults": [aimed(part.clone(), operation)]})));
            continue;
        };
        match (name.as_str(), value.as_str()) {
            ("cold", _) => bench.restart(),
            ("token", _) => bench.take_token(),
            ("private_key", Some(key)) => bench.take_private_key(key),
            ("limiter", Some("overloaded")) => server.world.limiter_fails.set(Some(LimiterFailure::Overloaded)),
            ("limiter", Some("unavailable")) => server.world.limiter_fails.set(Some(LimiterFailure::Unavailable)),
            ("storage", Some("fails")) => server.world.storage_fails.set(true),
            ("storage", Some("loses")) => server.world.loses_reply.set(Some((0, true))),
            ("clock", _) => {
                let seconds = value.as_i64().expect("seconds");
                server.world.clock.set(server.world.clock.get().saturating_add_signed(seconds * 1_000));
            }
            ("breaks", _) => bench.break_circuit(operation, value.as_u64().expect("calls")),
            ("latency", _) => server.world.latency.set(value.as_u64().expect("milliseconds")),
            ("cut_off", _) => cut_off = value.as_u64().and_then(|waits| usize::try_from(waits).ok()),
            _ => panic!("no fault is called {part}"),
        }
    }
    cut_off
}

/// A fault of the sandbox, aimed at the request that the operation is about where it does not say which.
fn aimed(mut fault: Value, operation: Operation) -> Value {
    let (method, path, after) = operation.subject();
    let matching = &mut fault["match"];
    if matching.is_null() {
        *matching = json!({});
    }
    if matching["path"].is_null() && matching["challenge"].is_null() {
        *matching = json!({"method": method, "path": path, "after": after, "times": matching["times"]});
    }
    let members = matching.as_object_mut().expect("an object");
    members.retain(|_, value| !value.is_null());
    fault
}

/// What came of one cell.
fn play(row: &Row, operation: Operation) -> Made {
    let mut bench = Bench::warm();
    if operation.is_sql() {
        bench = bench.warm_for_sql();
    }
    match operation {
        Operation::Consent => bench = bench.with_page(),
        Operation::Redeem => bench = bench.with_code(),
        _ => {}
    }
    bench = bench.busy();
    let cut_off = strike(&mut bench, operation, &row.script);
    let place = format!("row {} ({}), {}", row.number, row.fault, operation.name());
    let made = bench.make(operation, 1, &place, cut_off);
    bench.recovers(operation, &place);
    made
}

/// As a cell has it, without the time.
fn said(made: &Made) -> String {
    let mut said = made.outcome.clone();
    for (method, count) in &made.requests {
        // Writing to a `String` cannot fail.
        let _ = write!(said, " {method}:{count}");
    }
    said
}

/// What a cell expects, and the least time.
fn expected(cell: &str) -> (&str, u64) {
    match cell.split_once(" >=") {
        Some((said, seconds)) => {
            let seconds: u64 = seconds.strip_suffix('s').and_then(|digits| digits.parse().ok()).expect("seconds");
            (said, seconds * 1_000)
        }
        None => (cell, 0),
    }
}

/// Plays a cell.
///
/// # Errors
/// What came, and what TiDB Cloud saw.
fn is_as(row: &Row, operation: Operation, cell: &str) -> Result<(), String> {
    // What a call must never do is worth reporting along with all other cells.
    let made = panic::catch_unwind(|| play(row, operation)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().map_or("a panic", String::as_str);
        format!("  {text}")
    })?;
    let (words, millis) = expected(cell);
    // `@*` is any number of seconds.
    let came = said(&made);
    let is_same = match words.split_once("@*") {
        Some((code, rest)) => came.starts_with(&format!("{code}@")) && came.ends_with(rest),
        None => came == words,
    };
    if is_same && made.millis >= millis {
        return Ok(());
    }
    Err(format!("  came     {} in {} ms; TiDB Cloud saw\n    {}", said(&made), made.millis, made.saw.join("\n    ")))
}

/// Plays all cells of a file; its rows.
fn play_all(file: &str) -> Vec<Row> {
    let mut wrong = Vec::new();
    let rows = rows(file);
    for row in &rows {
        for (operation, cell) in Operation::ALL.into_iter().zip(&row.cells).filter(|(_, cell)| *cell != NOT_CONCERNED) {
            if let Err(came) = is_as(row, operation, cell) {
                let (number, fault) = (&row.number, &row.fault);
                wrong.push(format!("row {number} ({fault}), {}:\n  expected {cell}\n{came}", operation.name()));
            }
        }
    }
    assert!(wrong.is_empty(), "{} cells of {file} are not as they should be:\n{}", wrong.len(), wrong.join("\n"));
    rows
}

/// A cell in Markdown: what the client is told, and the requests below it.
fn markdown(cell: &str) -> String {
    if cell == NOT_CONCERNED {
        return String::new();
    }
    let (said, millis) = expected(cell);
    let mut words = said.split(' ');
    let told = words.next().unwrap_or_default();
    let mut text = match told.split_once('@') {
        Some((code, seconds)) => format!("`{code}`, wait {seconds} s"),
        None if told.starts_with(|first: char| first.is_ascii_uppercase()) => format!("`{told}`"),
        None => told.to_owned(),
    };
    if millis > 0 {
        let _ = write!(text, " after {} s", millis / 1_000);
    }
    let requests: Vec<_> = words.map(|word| word.replace(':', " ")).collect();
    match requests.is_empty() {
        true => text,
        false => format!("{text}<br>{}", requests.join(", ")),
    }
}

/// The table of the document.
fn table(rows: &[Row]) -> String {
    let names = Operation::ALL.map(Operation::name).join(" | ");
    let mut table =
        format!("| | trouble | {names} | why |\n| --- | --- |{} --- |\n", " --- |".repeat(Operation::ALL.len()));
    for row in rows {
        let cells: Vec<_> = row.cells.iter().map(|cell| markdown(cell)).collect();
        let _ = writeln!(table, "| {} | {} | {} | {} |", row.number, row.fault, cells.join(" | "), row.note);
    }
    table
}

/// Every test that a row names in place of cells is there.
fn assert_named_tests_exist(rows: &[Row]) {
    for row in rows {
        let named: Vec<_> = row.note.split('`').filter_map(|part| part.split_once(".rs::")).collect();
        let concerns_none = row.cells.iter().all(|cell| cell == NOT_CONCERNED);
        assert!(!concerns_none || !named.is_empty(), "row {} has a cell, or names the test that plays it", row.number);
        for (file, test) in named {
            let path = checkout().join(format!("{file}.rs"));
            let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            assert!(text.contains(&format!("fn {test}(")), "row {}: there is no test {test} in {file}.rs", row.number);
        }
    }
}

#[test]
fn every_cell_is_as_the_matrix_says_and_so_is_the_document() {
    let rows = play_all("faults.tsv");
    assert_named_tests_exist(&rows);
    document("docs/reliability.md", "matrix", &table(&rows));
}

/// Holds what stands between two marks of a document to what the tests saw; with `UPDATE_EXPECT` set it is written.
fn document(file: &str, name: &str, now: &str) {
    let path = checkout().join(file);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"));
    let (begin, end) = (format!("<!-- {name}:begin -->\n"), format!("<!-- {name}:end -->"));
    let (head, rest) = text.split_once(&begin).unwrap_or_else(|| panic!("{file} has lost its mark {begin}"));
    let (before, tail) = rest.split_once(&end).unwrap_or_else(|| panic!("{file} has lost its mark {end}"));
    if before == now {
        return;
    }
    assert!(
        env::var_os("UPDATE_EXPECT").is_some(),
        "{file} is not what the tests saw: run `UPDATE_EXPECT=1 cargo xtask test native/matrix` and review the diff"
    );
    fs::write(&path, format!("{head}{begin}{now}{end}{tail}")).unwrap_or_else(|error| panic!("{file}: {error}"));
}
