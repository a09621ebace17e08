//! One thing wrong in an otherwise valid request: what is sent for each row of `tests/cases/bad-inputs.tsv`, and what
//! must come of it.
//!
//! Most rows are [`REQUESTS`]; [`WIRE`] has those that no HTTP client sends. A native test holds both, with the rows that
//! need other settings, against the table.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Answer, Call, Driver, catalogue, keys, request};

/// The id of a row, and the requests that it stands for.
pub type Entry = (&'static str, fn() -> Vec<Call>);

/// Rows whose requests can be written down as they are.
pub const REQUESTS: &[Entry] = &[
    ("HTTP-005", || vec![verb("HEAD", "/mcp")]),
    ("HTTP-006", || vec![verb("TRACE", "/mcp")]),
    ("HTTP-007", || vec![preflight("http://localhost:3000"), preflight("http://127.0.0.1:6274")]),
    ("HTTP-008", || vec![preflight("https://evil.example")]),
    ("HTTP-009", || vec![list().to("/mcp/")]),
    ("HTTP-011", || vec![list().to("//mcp")]),
    ("HTTP-014", || vec![list().to("/mcp?api_key=canary-query")]),
    ("HTTP-015", || vec![list().to("/mcp?access_token=canary-query")]),
    ("HTTP-016", || vec![verb("GET", "/nope"), verb("GET", "/%2e%2e/nope"), verb("POST", "/nope")]),
    ("HTTP-017", || vec![Call { headers: Vec::new(), ..verb("GET", "/livez") }]),
    ("HTTP-018", || vec![verb("POST", "/livez")]),
    ("HTTP-021", || {
        let long = "a".repeat(URL_BYTES_MAX);
        vec![list().to(&format!("/mcp?{long}")), verb("GET", &format!("/{long}"))]
    }),
    ("ORIGIN-002", || {
        ["https://evil.example", "http://evil.example", "null", "*"].map(|origin| list().set("Origin", origin)).into()
    }),
    ("ORIGIN-005", || {
        ["https://claude.ai.evil.example", "http://localhost.evil.example", "http://127.0.0.1.evil.example:8787"]
            .map(|origin| list().set("Origin", origin))
            .into()
    }),
    ("ORIGIN-008", || vec![list()]),
    ("ORIGIN-009", || vec![list().set("X-Forwarded-Host", "evil.example").set("X-Forwarded-Proto", "https")]),
    ("NEGOTIATION-002", || vec![list().set("Content-Type", "text/plain"), list().without("Content-Type")]),
    ("NEGOTIATION-003", || vec![list().set("Content-Type", "application/x-www-form-urlencoded")]),
    ("NEGOTIATION-004", || {
        vec![
            list().set("Content-Type", "application/json; charset=utf-8"),
            list().set("Content-Type", "Application/JSON;charset=UTF-8"),
        ]
    }),
    ("NEGOTIATION-007", || {
        vec![
            list().set("Content-Type", "application/json, text/plain"),
            list().set("Content-Type", "application/json; charset=utf-8, text/plain"),
            list().and("Content-Type", "text/plain"),
            list().and("Content-Type", "application/json"),
        ]
    }),
    ("NEGOTIATION-008", || vec![list().set("Content-Type", "application/jsonx")]),
    ("NEGOTIATION-009", || vec![list().set("Content-Type", "application/vnd.api+json")]),
    ("NEGOTIATION-011", || vec![list().set("Accept", "application/json")]),
    ("NEGOTIATION-012", || vec![list().set("Accept", "text/html")]),
    ("NEGOTIATION-014", || vec![list().set("Accept", "*/*"), list().without("Accept")]),
    ("NEGOTIATION-016", || vec![list().set("Content-Encoding", "identity")]),
    ("SIZE-009", || vec![list().padded_to(BODY_BYTES_MAX)]),
    ("JSON-001", || vec![list().text("{"), list().text("")]),
    ("JSON-004", || vec![list().spell("{\"id\"", "// comment\n{\"id\"")]),
    ("JSON-008", || {
        let utf16 = |call: &Call| text(call).encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
        let body = utf16(&list());
        let marked = [&[0xff, 0xfe], body.as_slice()].concat();
        vec![list().bytes(body), list().bytes(marked)]
    }),
    ("JSON-009", || vec![list().with_bytes_in_a_string(b"\xff")]),
    ("JSON-010", || vec![list().with_bytes_in_a_string(b"\xc0\xaf")]),
    ("JSON-014", || {
        ["Infinity", "-Infinity", "NaN"]
            .map(|value| list().spell(r#""params":{"#, &format!(r#""params":{{"x":{value},"#)))
            .into()
    }),
    ("JSON-015", || vec![list().spell(r#""id":1"#, r#""id":1e400"#)]),
    ("JSON-018", || {
        let nested = "[".repeat(129) + &"]".repeat(129);
        let inside = list().spell(r#""params":{"#, &format!(r#""params":{{"x":{nested},"#));
        vec![list().text(&nested), inside, list().text(&"[".repeat(BODY_BYTES_MAX))]
    }),
    ("JSON-019", || {
        let nested: Value = serde_json::from_str(&("[".repeat(100) + &"]".repeat(100))).expect("JSON");
        each("cluster", &nested)
    }),
    ("JSON-020", || {
        let body = format!("[{}]", vec!["[]"; BODY_BYTES_MAX / 3].join(","));
        vec![list().text(&body), list().without("MCP-Protocol-Version").text(&body)]
    }),
    ("JSON-021", || {
        let keys: Vec<_> = (0..100_000).map(|key| format!(r#""{key}":0"#)).collect();
        vec![list().spell(r#""params":{"#, &format!(r#""extra":{{{}}},"params":{{"#, keys.join(",")))]
    }),
    ("JSON-023", || {
        vec![
            list().spell(r#""method":"tools/list""#, r#""method":"tools/list","method":"tools/list""#),
            list().spell(r#""method":"tools/list""#, r#""method":"tools/call","method":"tools/list""#),
        ]
    }),
    ("JSON-024", || vec![list().spell(r#""id":1"#, r#""id":1,"id":2"#)]),
    ("JSON-025", || {
        vec![
            tool("tidbcloud_delete_cluster", json!({"cluster": "shop"}))
                .spell(r#""cluster":"shop""#, r#""cluster":"shop","cluster":"other""#),
        ]
    }),
    ("JSON-026", || {
        vec![list().spell(r#""method":"tools/list""#, r#""method":"tools/list","\u006dethod":"tools/call""#)]
    }),
    ("JSON-027", || foreign("__proto__", &json!({"cluster": "shop"}))),
    ("ENVELOPE-001", || vec![list().text("[]")]),
    ("ENVELOPE-002", || {
        let batch = format!("[{}]", text(&list()));
        vec![list().text(&batch), list().without("MCP-Protocol-Version").text(&batch)]
    }),
    ("ENVELOPE-003", || vec![list().text("null")]),
    ("ENVELOPE-004", || vec![list().text("42")]),
    ("ENVELOPE-008", || {
        [json!("1.0"), json!(2.0), Value::Null]
            .map(|version| list().edit(|body| body["jsonrpc"] = version.clone()))
            .into()
    }),
    ("ENVELOPE-010", || vec![list().id(Value::Null)]),
    ("ENVELOPE-012", || vec![list().id(json!(1.0)), list().id(json!(1.5)), list().spell(r#""id":1"#, r#""id":1e0"#)]),
    ("ENVELOPE-013", || vec![list().id(json!(true))]),
    ("ENVELOPE-015", || vec![list().id(json!([])), list().id(json!({}))]),
    ("ENVELOPE-016", || vec![list().id(json!(""))]),
    ("ENVELOPE-018", || vec![list().id(json!(9_007_199_254_740_993_u64)), list().id(json!(u64::MAX))]),
    ("ENVELOPE-019", || vec![list().id(json!(-1)), list().id(json!(i64::MIN))]),
    ("ENVELOPE-022", || {
        let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        vec![list().set("Mcp-Method", "notifications/initialized").text(&initialized.to_string())]
    }),
    ("ENVELOPE-023", || {
        let notification = |method: &str| json!({"jsonrpc": "2.0", "method": method, "params": {}}).to_string();
        vec![list().text(&notification("notifications/unknown")), list().text(&notification("tools/call"))]
    }),
    ("ENVELOPE-026", || vec![list().edit(|body| body["method"] = json!(5))]),
    ("ENVELOPE-028", || {
        let long = "m".repeat(10 << 10);
        vec![list().edit(|body| body["method"] = json!(long)), list().method(&long)]
    }),
    ("ENVELOPE-029", || vec![list().method("rpc.discover")]),
    ("ENVELOPE-031", || vec![list().edit(|body| body["params"] = json!([]))]),
    ("ENVELOPE-032", || vec![list().edit(|body| body["params"] = json!("x"))]),
    ("ENVELOPE-035", || {
        vec![list().text(&json!({"jsonrpc": "2.0", "id": 1, "error": {"code": -32_603, "message": "x"}}).to_string())]
    }),
    ("ENVELOPE-036", || vec![list().edit(|body| body["result"] = json!({}))]),
    ("ENVELOPE-037", || vec![list().edit(|body| body["extra"] = json!("x"))]),
    ("META-001", || vec![list().without("MCP-Protocol-Version")]),
    ("META-002", || vec![list().meta(|meta| meta[VERSION] = json!("2025-11-25"))]),
    ("META-003", || {
        vec![list().set("MCP-Protocol-Version", "1900-01-01").meta(|meta| meta[VERSION] = json!("1900-01-01"))]
    }),
    ("META-005", || {
        vec![
            list().edit(|body| body["params"] = json!({})),
            list().edit(|body| {
                body.as_object_mut().expect("an object").remove("params");
            }),
        ]
    }),
    ("META-006", || vec![list().meta(|meta| drop(meta.as_object_mut().expect("an object").remove(VERSION)))]),
    ("META-007", || vec![list().meta(|meta| drop(meta.as_object_mut().expect("an object").remove(CAPABILITIES)))]),
    ("META-008", || vec![list().meta(|meta| *meta = json!([]))]),
    ("META-009", || vec![list().meta(|meta| meta[CAPABILITIES] = json!(true))]),
    ("META-010", || vec![list().meta(|meta| meta[VERSION] = json!(20_260_728))]),
    ("META-012", || vec![list().meta(|meta| meta["io.modelcontextprotocol/logLevel"] = json!("loud"))]),
    ("META-013", || vec![list().without("Mcp-Method")]),
    ("META-015", || vec![query("SELECT 1").set("Mcp-Method", "TOOLS/CALL")]),
    ("META-016", || vec![list().without("Mcp-Method").and("mcp-method", "tools/list")]),
    ("META-022", || vec![query("SELECT 1").set("Mcp-Name", "=?base64?!!!?=")]),
    ("META-024", || vec![query("SELECT 1").set("Mcp-Name", "=?base64?//4=?=")]),
    ("META-025", || vec![query("SELECT 1").set("Mcp-Name", "db_quer\u{fd}")]),
    ("META-029", || vec![list().set("Mcp-Param-Unknown", "x")]),
    ("META-030", || vec![list().set("Mcp-Session-Id", "abc")]),
    ("META-031", || vec![list().set("Last-Event-ID", "5")]),
    ("META-034", || vec![list().method("ping")]),
    ("META-037", || vec![list().method("foo/bar")]),
    ("META-038", || vec![list().meta(|meta| meta["traceparent"] = json!("garbage"))]),
    ("META-039", || {
        let zeros = "00-00000000000000000000000000000000-0000000000000000-01";
        vec![list().meta(|meta| meta["traceparent"] = json!(zeros))]
    }),
    ("META-040", || vec![list().set("X-Request-Id", &"x".repeat(4 << 10))]),
    ("META-041", || vec![list().set("X-Request-Id", "a\r\nSet-Cookie: x")]),
    ("TOOLS-001", || vec![list().method("tools/call")]),
    ("TOOLS-002", || vec![query("SELECT 1").edit(|body| body["params"]["name"] = json!(5)).set("Mcp-Name", "5")]),
    ("TOOLS-003", || vec![tool("unknown_tool", json!({}))]),
    ("TOOLS-004", || vec![tool("Db_Query", json!({"cluster": "shop", "sql": "SELECT 1"}))]),
    ("TOOLS-005", || vec![tool("../list_clusters", json!({}))]),
    ("TOOLS-009", || {
        let missing = |(name, required, _): &(&'static str, Value, Value)| {
            let arguments = required.as_object().expect("an object").clone();
            let without = |left_out: &String| {
                let mut rest = arguments.clone();
                rest.remove(left_out);
                tool(name, Value::Object(rest))
            };
            arguments.keys().map(without).collect::<Vec<_>>()
        };
        arguments().iter().flat_map(missing).collect()
    }),
    ("TOOLS-010", || each("pageSize", &json!("ten"))),
    ("TOOLS-011", || each("pageSize", &json!(10.5))),
    ("TOOLS-012", || each("pageSize", &json!(0))),
    ("TOOLS-016", || each("pageSize", &json!(9_007_199_254_740_993_u64))),
    ("TOOLS-019", || {
        let null = |(name, required, _): &(&'static str, Value, Value)| {
            let with_null = |argument: &String| {
                let mut arguments = required.clone();
                arguments[argument] = Value::Null;
                tool(name, arguments)
            };
            required.as_object().expect("an object").keys().map(with_null).collect::<Vec<_>>()
        };
        arguments().iter().flat_map(null).collect()
    }),
    ("TOOLS-020", || each("pageToken", &json!("t".repeat(5 << 10)))),
    ("TOOLS-021", || vec![list().edit(|body| body["params"]["cursor"] = json!("bogus"))]),
    ("TOOLS-022", || {
        vec![
            tool("tidbcloud_list_regions", json!({}))
                .edit(|body| body["params"]["inputResponses"] = json!({"unexpected": {"action": "accept"}})),
        ]
    }),
    ("IDENT-001", || each("cluster", &json!(""))),
    ("IDENT-002", || each("cluster", &json!("   "))),
    ("IDENT-003", || each("cluster", &json!("."))),
    ("IDENT-006", || each("cluster", &json!("..%2fregions"))),
    ("IDENT-008", || each("cluster", &json!("123/branches/456"))),
    ("IDENT-009", || each("cluster", &json!("123?view=FULL"))),
    ("IDENT-010", || each("cluster", &json!("123#x"))),
    ("IDENT-011", || each("cluster", &json!("123;v=1"))),
    ("IDENT-012", || each("cluster", &json!("123:cancel"))),
    ("IDENT-015", || each("cluster", &json!("123\u{0}"))),
    ("IDENT-016", || each("cluster", &json!("123\u{2028}"))),
    ("IDENT-017", || each("cluster", &json!("\u{ff11}\u{ff12}\u{ff13}"))),
    ("IDENT-019", || each("cluster", &json!("1".repeat(10 << 10)))),
    ("IDENT-021", || each("cluster", &json!("http://evil.example/"))),
    ("IDENT-023", || each("cluster", &json!("@evil.example"))),
    ("IDENT-024", || each("branch", &json!("../../clusters/999"))),
    ("IDENT-025", || each("region", &json!("regions/../x"))),
    ("IDENT-026", || each("displayName", &json!("n".repeat(65)))),
    ("IDENT-027", || each("displayName", &json!("shop\u{202e}pohs"))),
    ("IDENT-029", || each("displayName", &json!("<script>alert(1)</script>"))),
    ("IDENT-031", || {
        let labels: Value = (0..1_000).map(|number| (format!("label-{number}"), json!("x"))).collect();
        each("labels", &labels)
    }),
    ("IDENT-033", || each("spendingLimitUsdCents", &json!(0.1))),
    ("IDENT-035", || each("database", &json!("d".repeat(65)))),
    ("IDENT-036", || [each("database", &json!("mysql")), each("database", &json!("MySQL"))].concat()),
    ("IDENT-037", || foreign("host", &json!("evil.example"))),
    ("IDENT-039", || foreign("host", &json!("gateway01.us-east-1.prod.aws.tidbcloud.com.evil.example"))),
    ("IDENT-044", || each("userName", &json!("root"))),
    ("IDENT-045", || foreign("password", &json!("a'b\\c"))),
    ("SQL-001", || [each("sql", &json!("")), each("sql", &json!(" \n"))].concat()),
    ("SQL-003", || vec![tool("db_query", json!({"cluster": "shop", "sql": ["SELECT 1", "SELECT 2"]}))]),
    ("SQL-004", || {
        let rejected: Vec<Call> = gate_rejects().iter().map(|sql| query(sql)).collect();
        assert!(rejected.len() >= 100, "the gate's table has only {} rows to reject", rejected.len());
        rejected
    }),
    ("SQL-006", || vec![tool("db_execute", json!({"cluster": "shop", "sql": vec!["SELECT 1"; 101]}))]),
    ("AUTH-003", || vec![without_keys().set("Authorization", "Bearer garbage")]),
    ("AUTH-010", || vec![without_keys().set("Authorization", "Basic U0JYT1dORVI6Y2FuYXJ5")]),
    ("AUTH-011", || {
        let bearer = || without_keys().set("Authorization", &format!("Bearer {ACCESS_KEY}"));
        vec![
            bearer().and("Authorization", &format!("Bearer {ACCESS_KEY}")),
            bearer().and("Authorization", "Basic U0JYT1dORVI6Y2FuYXJ5"),
        ]
    }),
    ("AUTH-012", || vec![without_keys().set("Authorization", &format!("Bearer {}", "t".repeat(20 << 10)))]),
    ("AUTH-016", || {
        let values = ["canary\rkey", "canary\nkey", "canary:key", "canary\u{e9}key", "canary\u{0}key"];
        let both =
            |value: &str| ["X-TiDB-API-Public-Key", "X-TiDB-API-Private-Key"].map(|name| list().set(name, value));
        values.into_iter().flat_map(both).collect()
    }),
    ("AUTH-017", || {
        let clusters = || tool("tidbcloud_list_clusters", json!({}));
        let refused = "canary00-0000-4000-8000-000000000000";
        vec![
            clusters().set("X-TiDB-API-Private-Key", refused),
            clusters().set("X-TiDB-API-Public-Key", "SBXNOONE").set("X-TiDB-API-Private-Key", refused),
        ]
    }),
];

/// Rows about how bytes arrive: only a real connection can stall, break off or lie about its length.
pub const WIRE: &[&str] = &["SIZE-002", "SIZE-004", "SIZE-005", "SIZE-006", "SIZE-010"];

/// The access key of a deployment that has one.
pub const ACCESS_KEY: &str = "canary-access-key-0123456789abcdef";

/// 1 MiB, the longest body.
pub const BODY_BYTES_MAX: usize = 1 << 20;

/// 16 KiB, more than any URL may have with its origin before it.
const URL_BYTES_MAX: usize = 16 << 10;

const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";

/// One row of the table.
pub struct Row {
    pub id: &'static str,
    pub area: &'static str,
    pub input: &'static str,
    /// A status, or `none`.
    pub http: &'static str,
    /// A JSON-RPC code, `isError:CODE`, or `none`.
    pub code: &'static str,
    pub note: &'static str,
}

/// The table.
pub fn rows() -> Vec<Row> {
    let mut ids = BTreeSet::new();
    let rows: Vec<Row> = include_str!("../cases/bad-inputs.tsv")
        .lines()
        .skip(1)
        .map(|line| match line.split('\t').collect::<Vec<_>>()[..] {
            [id, area, input, http, code, note] => Row { id, area, input, http, code, note },
            _ => panic!("not six columns: {line}"),
        })
        .inspect(|row| assert!(ids.insert(row.id), "{} is there twice", row.id))
        .collect();
    assert!(rows.len() >= 200, "the table has only {} rows", rows.len());
    rows
}

/// The row of this id.
pub fn row(id: &str) -> Row {
    rows().into_iter().find(|row| row.id == id).unwrap_or_else(|| panic!("no row {id}"))
}

/// The statements that the read tool must refuse without asking TiDB Cloud.
fn gate_rejects() -> Vec<String> {
    include_str!("../cases/sql-gate.tsv")
        .lines()
        .skip(1)
        .map(|line| line.split('\t').collect::<Vec<_>>())
        .filter(|columns| columns[1] == "reject")
        .map(|columns| unescaped(columns[0]))
        .collect()
}

/// `\n \r \t \v \f \0 \\ \uXXXX`, and `\*{n}{x}` for n times x.
fn unescaped(cell: &str) -> String {
    let mut text = String::new();
    let mut rest = cell;
    while let Some((before, after)) = rest.split_once('\\') {
        text.push_str(before);
        let (letter, mut tail) = after.split_at(1);
        match letter {
            "n" => text.push('\n'),
            "r" => text.push('\r'),
            "t" => text.push('\t'),
            "v" => text.push('\u{b}'),
            "f" => text.push('\u{c}'),
            "0" => text.push('\0'),
            "\\" => text.push('\\'),
            "u" => {
                let (digits, after) = tail.split_at(4);
                let code = u32::from_str_radix(digits, 16).expect("four hexadecimal digits");
                text.push(char::from_u32(code).expect("a character"));
                tail = after;
            }
            "*" => {
                let (count, after) = tail.strip_prefix('{').and_then(|tail| tail.split_once("}{")).expect("a count");
                let (what, after) = after.split_once('}').expect("a text");
                text.push_str(&what.repeat(count.parse().expect("a number")));
                tail = after;
            }
            _ => panic!("no such escape in {cell}"),
        }
        rest = tail;
    }
    text + rest
}

/// Every tool with its required arguments and its optional ones; together they would succeed or at least be understood.
pub fn arguments() -> Vec<(&'static str, Value, Value)> {
    let of = |tool: &'static Value| {
        let (required, optional) = super::arguments::of(tool).unwrap_or_else(|problem| panic!("{problem}"));
        (tool["name"].as_str().expect("a name"), Value::Object(required), Value::Object(optional))
    };
    catalogue::tools().iter().map(of).collect()
}

/// A call of every tool that has this argument, with this value for it.
fn each(argument: &str, value: &Value) -> Vec<Call> {
    let calls: Vec<Call> = arguments()
        .into_iter()
        .filter(|(_, required, optional)| {
            // An optional argument that is blank is left out.
            let is_blank = value.as_str().is_some_and(|text| text.trim().is_empty());
            required.get(argument).is_some() || (!is_blank && optional.get(argument).is_some())
        })
        .map(|(name, mut required, _)| {
            required[argument] = value.clone();
            tool(name, required)
        })
        .collect();
    assert!(!calls.is_empty(), "no tool has the argument {argument}");
    calls
}

/// A call of every tool with an argument that none has.
fn foreign(argument: &str, value: &Value) -> Vec<Call> {
    arguments()
        .into_iter()
        .map(|(name, mut required, optional)| {
            assert!(required.get(argument).is_none() && optional.get(argument).is_none());
            required[argument] = value.clone();
            tool(name, required)
        })
        .collect()
}

/// A valid `tools/list`.
pub fn list() -> Call {
    request("2026-07-28", "owner", "tools/list", json!({}))
}

/// A `tools/call` whose envelope is valid.
pub fn tool(name: &str, arguments: Value) -> Call {
    let call = request("2026-07-28", "owner", "tools/call", json!({"name": name, "arguments": arguments}));
    call.to(catalogue::home(name))
}

fn query(sql: &str) -> Call {
    tool("db_query", json!({"cluster": "shop", "sql": sql}))
}

fn without_keys() -> Call {
    list().without("X-TiDB-API-Public-Key").without("X-TiDB-API-Private-Key")
}

fn verb(method: &str, target: &str) -> Call {
    Call { method: method.to_owned(), target: target.to_owned(), body: Vec::new(), ..list() }
}

/// What a browser asks before it sends key headers: it never has credentials itself.
fn preflight(origin: &str) -> Call {
    let headers = [
        ("Origin", origin),
        ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", "content-type,x-tidb-api-public-key"),
    ];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    Call { headers, ..verb("OPTIONS", "/mcp") }
}

fn text(call: &Call) -> &str {
    std::str::from_utf8(&call.body).expect("text")
}

impl Call {
    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(field, _)| !field.eq_ignore_ascii_case(name));
        self
    }

    /// One more field, beside others of its name.
    pub fn and(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A field in place of others of its name.
    pub fn set(self, name: &str, value: &str) -> Self {
        self.without(name).and(name, value)
    }

    pub fn to(mut self, target: &str) -> Self {
        target.clone_into(&mut self.target);
        self
    }

    fn bytes(mut self, body: Vec<u8>) -> Self {
        self.body = body;
        self
    }

    fn text(self, body: &str) -> Self {
        self.bytes(body.as_bytes().to_vec())
    }

    /// The body, with one spelling in place of another.
    fn spell(self, from: &str, to: &str) -> Self {
        let body = text(&self);
        assert_eq!(body.matches(from).count(), 1, "{from} in {body}");
        let body = body.replace(from, to);
        self.text(&body)
    }

    fn with_bytes_in_a_string(self, bytes: &[u8]) -> Self {
        let marked = self.edit(|body| body["extra"] = json!("MARK"));
        let at = text(&marked).find("MARK").expect("the mark");
        let body = [&marked.body[..at], bytes, &marked.body[at + 4..]].concat();
        marked.bytes(body)
    }

    fn edit(self, change: impl FnOnce(&mut Value)) -> Self {
        let mut body = serde_json::from_slice(&self.body).expect("JSON");
        change(&mut body);
        self.text(&body.to_string())
    }

    fn meta(self, change: impl FnOnce(&mut Value)) -> Self {
        self.edit(|body| change(&mut body["params"]["_meta"]))
    }

    fn id(self, id: Value) -> Self {
        self.edit(|body| body["id"] = id)
    }

    /// Another method, in the body and in the header.
    fn method(self, method: &str) -> Self {
        self.edit(|body| body["method"] = json!(method)).set("Mcp-Method", method)
    }

    /// The same JSON, made longer with whitespace.
    pub fn padded_to(mut self, length: usize) -> Self {
        self.body.resize(length, b' ');
        self
    }
}

/// Sends a row's requests and holds every answer against the row; the servers, as they are afterwards. `fresh` makes a
/// server that has not heard from this client yet, `valid` is a request that must succeed whatever went before.
pub fn run<D: Driver>(row: &Row, requests: &[Call], valid: &Call, mut fresh: impl FnMut() -> D) -> Vec<D> {
    assert!(!requests.is_empty(), "{} sends nothing", row.id);
    // Half of what one client may send in a minute.
    requests
        .chunks(50)
        .map(|requests| {
            let mut driver = fresh();
            let mut request_ids = BTreeSet::new();
            for call in requests {
                driver.admin("DELETE", "/_sandbox/requests", None);
                let answer = driver.send(call.clone());
                let request_id = check(row, call, &answer);
                assert!(request_ids.insert(request_id), "{}: a request id came twice", row.id);
                let upstream = driver.admin("GET", "/_sandbox/requests", None);
                let reached = upstream["requests"].as_array().is_some_and(|requests| !requests.is_empty());
                assert_eq!(reached, row.reaches_upstream(), "{} ({}): {upstream}", row.id, row.input);
            }
            assert_alive(row, &driver.send(valid.clone()));
            driver
        })
        .collect()
}

/// Holds the answer to a valid request against what it must be.
pub fn assert_alive(row: &Row, answer: &Answer) {
    assert_eq!(answer.status, 200, "after {}: {}", row.id, String::from_utf8_lossy(&answer.body));
    assert!(answer.json()["result"]["tools"].is_array(), "after {}", row.id);
}

impl Row {
    /// The two rows whose requests are understood: one asks for regions, one has keys that TiDB Cloud must refuse.
    fn reaches_upstream(&self) -> bool {
        matches!(self.id, "TOOLS-022" | "AUTH-017")
    }

    /// The argument that the row is about: the word it begins with.
    fn argument(&self) -> &str {
        self.input.split(|character: char| !character.is_ascii_alphanumeric()).next().unwrap_or_default()
    }
}

/// Holds an answer against its row; gives its request id.
pub fn check(row: &Row, call: &Call, answer: &Answer) -> String {
    let body = String::from_utf8_lossy(&answer.body);
    let short = |text: &str| text.chars().take(300).collect::<String>();
    let sent = short(&String::from_utf8_lossy(&call.body));
    let target = short(&call.target);
    let message = serde_json::from_slice::<Value>(&call.body).unwrap_or(Value::Null);
    let tool = message["params"]["name"].as_str().map(|name| format!(" {name}")).unwrap_or_default();
    let place = format!(
        "{} ({}):{tool} {} {target} {sent} -> {} {}",
        row.id,
        row.input,
        call.method,
        answer.status,
        short(&body)
    );

    if row.http != "none" {
        assert_eq!(answer.status.to_string(), row.http, "{place}");
    }
    let request_id = answer.header("X-Request-Id").unwrap_or_else(|| panic!("no X-Request-Id: {place}"));
    assert!(request_id.len() == 32 && request_id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{request_id}: {place}");

    let fields = answer.headers.iter().map(|(name, value)| format!("{name}: {value}"));
    for text in fields.chain([body.to_string()]) {
        for hidden in [&keys("owner").1, "canary", "Y2FuYXJ5", "evil.example", "<script", "\u{202e}"] {
            assert!(!text.contains(hidden), "{hidden} shows in {}: {place}", short(&text));
        }
    }

    let json = serde_json::from_slice::<Value>(&answer.body).unwrap_or(Value::Null);
    let rpc = json.get("jsonrpc").is_some();
    if rpc && json.get("error").is_some() {
        let data = &json["error"]["data"];
        assert!(data["code"].as_str().is_some_and(|code| !code.is_empty()), "{place}");
        assert_eq!(data["requestId"], json!(request_id), "{place}");
        assert!(is_trace_id(&data["traceId"]), "{place}");
        assert_eq!(data["retryable"], json!(matches!(answer.status, 408 | 429 | 503)), "{place}");
        assert!(json["error"]["message"].as_str().is_some_and(|message| message.len() > 10), "{place}");
    }
    if rpc && json.get("id").is_some() {
        let sent = serde_json::from_slice::<Value>(&call.body).unwrap_or_default();
        assert_eq!(json["id"], sent["id"], "{place}");
    }
    if answer.status == 401 {
        let challenge = answer.header("WWW-Authenticate").unwrap_or_default();
        assert!(challenge.starts_with("Bearer ") && challenge.contains("scope=\"tidb:read\""), "{place}");
        assert!(challenge.contains("/.well-known/oauth-protected-resource/mcp\""), "{place}");
        assert_eq!(
            challenge.contains("error=\"invalid_token\""),
            row.note == "error=invalid_token" || row.id == "AUTH-012",
            "{challenge}: {place}"
        );
    }
    if answer.status == 405 {
        assert!(answer.header("Allow").is_some(), "{place}");
    }

    match (row.code, row.code.strip_prefix("isError:")) {
        (_, Some(code)) => {
            let error = &json["result"]["structuredContent"]["error"];
            assert_eq!(json["result"]["isError"], json!(true), "{place}");
            assert_eq!(error["code"], json!(code), "{place}");
            assert_eq!(error["requestId"], json!(request_id), "{place}");
            assert!(is_trace_id(&error["traceId"]), "{place}");
            let message = error["message"].as_str().unwrap_or_default();
            let shown = json["result"]["content"][0]["text"].as_str().unwrap_or_default();
            assert!(shown.starts_with(message) && shown.contains(request_id) && shown.contains(code), "{place}");
            for text in [message, error["hint"].as_str().unwrap_or_default()] {
                assert!(text.ends_with(['.', '!', '?', '\u{2026}']), "{text} {place}");
            }
            if row.area == "ident" {
                assert!(message.contains(&format!("`{}`", row.argument())), "{place}");
            }
        }
        ("none", _) if answer.status == 200 && call.method == "POST" => {
            assert!(json.get("result").is_some() && json["result"].get("isError").is_none(), "{place}");
            assert!(json.get("id").is_some(), "{place}");
        }
        ("none", _) => {}
        (code, _) => assert_eq!(json["error"]["code"].to_string(), code, "{place}"),
    }
    details(row, answer, &json, &body, &place);
    request_id.to_owned()
}

/// What the notes of single rows ask for.
fn details(row: &Row, answer: &Answer, json: &Value, body: &str, place: &str) {
    match row.id {
        "HTTP-005" | "ENVELOPE-022" | "ENVELOPE-023" => assert!(answer.body.is_empty(), "{place}"),
        "HTTP-007" => {
            let allowed = answer.header("Access-Control-Allow-Origin").unwrap_or_default();
            assert!(allowed.starts_with("http://localhost:") || allowed.starts_with("http://127.0.0.1:"), "{place}");
            let headers = answer.header("Access-Control-Allow-Headers").unwrap_or_default();
            assert!(headers.contains("Content-Type") && headers.contains("X-TiDB-API-Public-Key"), "{place}");
            assert!(answer.header("Access-Control-Allow-Methods").is_some_and(|all| all.contains("POST")), "{place}");
            assert!(answer.header("RateLimit").is_none() && answer.body.is_empty(), "{place}");
        }
        "HTTP-008" | "ORIGIN-002" | "ORIGIN-005" => {
            assert!(answer.header("Access-Control-Allow-Origin").is_none(), "{place}");
        }
        "HTTP-009" => assert!(answer.header("Location").is_none(), "{place}"),
        "HTTP-011" | "HTTP-016" => {
            assert_eq!(json["error"], json!("not_found"), "{place}");
            assert!(!body.contains("nope"), "{place}");
        }
        "ENVELOPE-028" => assert!(!body.contains(&"m".repeat(65)), "{place}"),
        "META-003" => {
            assert_eq!(json["error"]["data"]["supported"], json!(["2026-07-28"]), "{place}");
            assert_eq!(json["error"]["data"]["requested"], json!("1900-01-01"), "{place}");
        }
        "META-030" => assert!(answer.header("Mcp-Session-Id").is_none(), "{place}"),
        "META-041" => assert!(answer.header("Set-Cookie").is_none(), "{place}"),
        "IDENT-037" | "IDENT-039" => assert!(body.contains("The host comes from TiDB Cloud"), "{place}"),
        "IDENT-045" => {
            assert!(body.contains("No password ever passes through a tool") && !body.contains("a'b"), "{place}")
        }
        "AUTH-017" => assert!(body.contains("API key") || body.contains("X-TiDB-API"), "{place}"),
        "RATE-001" | "RATE-002" | "RATE-005" => {
            let seconds: u64 = answer.header("Retry-After").and_then(|text| text.parse().ok()).unwrap_or_default();
            assert!(seconds >= 1, "{place}");
            assert_eq!(json["error"]["data"]["retryAfterSeconds"], json!(seconds), "{place}");
            assert!(answer.header("RateLimit").is_some_and(|left| left.contains("r=0")), "{place}");
            assert_eq!(answer.header("RateLimit-Policy"), Some("\"ip\";q=100;w=60"), "{place}");
        }
        _ => {}
    }
}

/// Whether this is the id of a trace: 32 hexadecimal digits.
fn is_trace_id(id: &Value) -> bool {
    id.as_str().is_some_and(|id| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()))
}
