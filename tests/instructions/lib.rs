//! Requests whose instructions are counted: compiled to WebAssembly as the Worker is, without its edge in use, and run by
//! `cargo xtask test instructions` in an interpreter, so that the same code costs the same in every run.
#![allow(clippy::expect_used, clippy::panic, reason = "a measurement that meets what it does not expect ends")]
#![allow(unsafe_code, reason = "the interpreter calls these functions by their names")]

#[path = "../support/endless.rs"]
mod endless;

use mcp_server_tidbcloud::{
    app::{App, Isolate},
    base::http::{Head, Headers, Method, Response},
    config::Config,
    port::Port,
};
use serde_json::{Value, json};

use self::endless::{Body, Endless, block_on};

/// A request that is measured.
struct Case {
    /// What it is, in a table of results.
    name: &'static str,
    /// Whether it has credentials.
    is_known: bool,
    /// How many rows of ten columns the database gives for a statement.
    rows: usize,
    /// Its method of MCP, and the parameters.
    request: fn() -> (&'static str, Value),
    /// What the answer holds: a refusal that nobody meant would be cheap.
    answered: &'static str,
}

const CASES: [Case; 8] = [
    Case {
        name: "a call without credentials, refused",
        is_known: false,
        rows: 0,
        request: || call("tidbcloud_get_cluster", json!({"cluster": "7"})),
        answered: "UNAUTHENTICATED",
    },
    Case {
        name: "initialize",
        is_known: true,
        rows: 0,
        request: || {
            let client = json!({"name": "measured", "version": "1"});
            ("initialize", json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client}))
        },
        answered: "serverInfo",
    },
    Case {
        name: "tools/list",
        is_known: true,
        rows: 0,
        request: || ("tools/list", json!({})),
        answered: "tidbcloud_find_tools",
    },
    Case {
        name: "tidbcloud_get_cluster",
        is_known: true,
        rows: 0,
        request: || call("tidbcloud_get_cluster", json!({"cluster": "7"})),
        answered: "gateway01",
    },
    Case {
        name: "db_query of a statement that writes, refused",
        is_known: true,
        rows: 0,
        request: || call("db_query", json!({"cluster": "7", "sql": "DELETE FROM shop.orders WHERE id = 1"})),
        answered: "READ_ONLY_VIOLATION",
    },
    Case {
        name: "db_query, one row",
        is_known: true,
        rows: 1,
        request: || call("db_query", json!({"cluster": "7", "sql": "SELECT * FROM shop.orders WHERE id = 1"})),
        answered: r#""total":1,"truncated":false"#,
    },
    Case {
        name: "db_query, 200 rows of ten columns, of which the answer holds some",
        is_known: true,
        rows: 200,
        request: || call("db_query", json!({"cluster": "7", "sql": "SELECT * FROM shop.orders"})),
        answered: r#""total":200,"truncated":true"#,
    },
    Case {
        name: "db_query, a statement of 2 KB, which is 1,300 tokens",
        is_known: true,
        rows: 1,
        request: || call("db_query", json!({"cluster": "7", "sql": format!("SELECT {}1", "1, ".repeat(650))})),
        answered: r#""total":1,"truncated":false"#,
    },
];

fn call(tool: &str, arguments: Value) -> (&'static str, Value) {
    ("tools/call", json!({"name": tool, "arguments": arguments}))
}

impl Case {
    /// One isolate answers this request `times` times; `None` where an answer is not the one that was meant, which `seen` is given.
    fn run(&self, times: u32, seen: &mut dyn FnMut(&Response)) -> Option<()> {
        let setting = |name: &str| (name == "CREDENTIAL_LIMIT_PER_MINUTE").then(|| "1000000".to_owned());
        let config = Config::read(&setting).unwrap_or_else(|problems| panic!("{problems:?}"));
        let world = Endless::new(self.rows, 10, "a value", 1);
        let isolate = Isolate::new();
        let (method, parameters) = (self.request)();
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}).to_string();
        for _ in 0..times {
            let mut headers =
                Headers::from_iter([("Content-Type", "application/json"), ("MCP-Protocol-Version", "2025-11-25")]);
            headers.set("Accept", "application/json, text/event-stream");
            if self.is_known {
                headers.set("X-TiDB-API-Public-Key", "CANARY01");
                headers.set("X-TiDB-API-Private-Key", "5b000000-0000-4000-8000-0000000000aa");
                // The plans of this world say nothing, so the guard would ask a person.
                headers.set("X-MCP-Unattended", "destroy");
            }
            let head = Head::new(Method::Post, "http://127.0.0.1:8787/mcp", headers).expect("a URL");
            let mut body = Body(body.clone().into_bytes());
            let answer = block_on(App::new(&config, &isolate, Port::of(&world)).handle(head, &mut body));
            seen(&answer);
            String::from_utf8_lossy(&answer.body).contains(self.answered).then_some(())?;
        }
        Some(())
    }
}

/// How many cases there are.
#[unsafe(no_mangle)]
pub extern "C" fn cases() -> u32 {
    CASES.len() as u32
}

/// Where the name of a case lies in memory: its address, and in the higher half its length in bytes; 0 where there is no such case.
#[unsafe(no_mangle)]
pub extern "C" fn name(case: u32) -> u64 {
    let name = CASES.get(case as usize).map_or("", |case| case.name);
    (name.len() as u64) << 32 | name.as_ptr() as u64
}

/// Has one isolate answer the request of a case `times` times; 1 if each answer was the one that was meant, 0 if not.
#[unsafe(no_mangle)]
pub extern "C" fn run(case: u32, times: u32) -> u32 {
    CASES.get(case as usize).and_then(|case| case.run(times, &mut |_| {})).is_some().into()
}

#[cfg(test)]
mod tests {
    #[test]
    fn each_request_is_answered_as_it_is_meant_to_be() {
        for case in super::CASES {
            let mut last = String::new();
            let meant = case
                .run(2, &mut |answer| last = format!("{} {}", answer.status, String::from_utf8_lossy(&answer.body)));
            assert!(meant.is_some(), "{}: {last}", case.name);
        }
    }
}
