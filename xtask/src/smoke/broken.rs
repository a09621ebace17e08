//! The suite `smoke`: the command passes against a Worker of the tests, and against one that is broken it fails at the check that
//! is meant and at no other. A proxy in front of the Worker breaks it.

use std::{
    env, fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::Command,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use serde_json::Value;

use super::RESOURCE_METADATA;
use crate::{
    commit::Commit,
    dev,
    http::{self, Answer},
    process,
    services::{self, Service},
    setup::Tools,
};

/// The access key of the owner's Worker.
const ACCESS_KEY: &str = "canary-access-key-of-the-smoke-tests";

/// A Worker that belongs to its owner, in front of the same sandbox.
pub(crate) fn owners(tools: &Tools, sandbox: &str, directory: &Path) -> Result<Service, String> {
    let variables = [
        format!("MCP_ACCESS_KEY:{ACCESS_KEY}"),
        format!("TIDB_CLOUD_PUBLIC_KEY:{}", dev::PUBLIC_KEY),
        format!("TIDB_CLOUD_PRIVATE_KEY:{}", dev::PRIVATE_KEY),
        services::MANY_CLIENTS.to_owned(),
    ];
    let variables: Vec<&str> = variables.iter().map(String::as_str).collect();
    services::start_worker(tools, services::free_port()?, sandbox, directory, &variables, None)
}

/// A request as the proxy reads it.
struct Asked {
    method: String,
    path: String,
    /// Names in lower case.
    headers: Vec<(String, String)>,
    body: String,
}

impl Asked {
    fn read(stream: &TcpStream) -> Option<Self> {
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let mut words = line.split(' ').map(str::to_owned);
        let (method, path) = (words.next()?, words.next()?);
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut asked = Self { method, path, headers, body: String::new() };
        let length = asked.header("content-length").and_then(|length| length.parse().ok()).unwrap_or_default();
        reader.take(length).read_to_string(&mut asked.body).ok()?;
        Some(asked)
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    fn method_of_message(&self) -> String {
        let message: Value = serde_json::from_str(&self.body).unwrap_or_default();
        message.get("method").and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    fn has_key(&self) -> bool {
        self.headers.iter().any(|(_, value)| value.contains(dev::PRIVATE_KEY) || value.contains(ACCESS_KEY))
    }
}

fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Answer {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Answer { status, headers, body: body.as_bytes().to_vec() }
}

fn replace(answer: &mut Answer, old: &str, new: &str) {
    answer.body = String::from_utf8_lossy(&answer.body).replace(old, new).into_bytes();
}

type Instead = Box<dyn Fn(&Asked) -> Option<Answer> + Send + Sync>;
type Change = Box<dyn Fn(&Asked, &mut Answer) + Send + Sync>;

/// How a server is broken.
enum Break {
    /// It is not.
    Not,
    /// What is asked of the Worker is changed.
    Request(Box<dyn Fn(&mut Asked) + Send + Sync>),
    /// What the Worker says is changed.
    Answer(Change),
    /// The Worker is not asked, where something else is answered.
    Instead(Instead),
    /// It never answers.
    Hangs,
    /// It never ends its answer.
    HangsInTheMiddle,
}

/// What came to a server.
#[derive(Default)]
struct Came {
    requests: AtomicUsize,
    wrong: Mutex<Vec<String>>,
}

impl Came {
    fn note(&self, what: String) {
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }
}

/// Something in front of a Worker, at a port of its own, for as long as this program runs.
struct Proxy {
    port: u16,
    came: Arc<Came>,
}

impl Proxy {
    /// `visitor` is the address that the Worker counts it under.
    fn start(
        worker: u16,
        visitor: String,
        broken: Break,
        headers: Vec<(&'static str, String)>,
    ) -> Result<Self, String> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(|error| format!("no free port: {error}"))?;
        let port = listener.local_addr().map_err(|error| format!("no free port: {error}"))?.port();
        let came = Arc::<Came>::default();
        let (noted, broken, headers) = (Arc::clone(&came), Arc::new(broken), Arc::new(headers));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (noted, broken, visitor) = (Arc::clone(&noted), Arc::clone(&broken), visitor.clone());
                let headers = Arc::clone(&headers);
                thread::spawn(move || serve(stream, worker, &visitor, &broken, &headers, &noted));
            }
        });
        Ok(Self { port, came })
    }

    fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

/// Answers one request, notes what should not have come, and closes the connection.
fn serve(
    mut stream: TcpStream,
    worker: u16,
    visitor: &str,
    broken: &Break,
    expected: &[(&'static str, String)],
    came: &Came,
) {
    let Some(mut asked) = Asked::read(&stream) else { return };
    came.requests.fetch_add(1, Ordering::Relaxed);
    if asked.has_key() && (asked.method != "POST" || !asked.path.starts_with("/mcp")) {
        came.note(format!("a key came to {} {}", asked.method, asked.path));
    }
    for (name, value) in expected {
        if asked.header(name) != Some(value) {
            came.note(format!("{} {} has no {name}: {value}", asked.method, asked.path));
        }
    }
    let answer = match broken {
        Break::Hangs => {
            thread::sleep(Duration::from_secs(60));
            return;
        }
        Break::HangsInTheMiddle => {
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 15\r\n\r\n{\"stat");
            thread::sleep(Duration::from_secs(60));
            return;
        }
        Break::Instead(instead) => instead(&asked).map_or_else(|| ask(worker, visitor, &asked), Ok),
        Break::Request(change) => {
            change(&mut asked);
            ask(worker, visitor, &asked)
        }
        Break::Answer(change) => ask(worker, visitor, &asked).map(|mut answer| {
            change(&asked, &mut answer);
            answer
        }),
        Break::Not => ask(worker, visitor, &asked),
    };
    let answer = answer.unwrap_or_else(|error| self::answer(502, &[], &error));
    let mut head =
        format!("HTTP/1.1 {} x\r\nconnection: close\r\ncontent-length: {}\r\n", answer.status, answer.body.len());
    for (name, value) in &answer.headers {
        if !["connection", "content-length", "transfer-encoding", "keep-alive"].contains(&name.as_str()) {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    head.push_str("\r\n");
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&answer.body));
}

fn ask(worker: u16, visitor: &str, asked: &Asked) -> Result<Answer, String> {
    let own = ["content-length", "connection", "accept-encoding", "keep-alive"];
    let mut headers: Vec<(&str, &str)> = asked
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .filter(|(name, _)| !own.contains(name))
        .collect();
    headers.push(("cf-connecting-ip", visitor));
    http::Connection::open(worker)?.send(&asked.method, &asked.path, &headers, &asked.body)
}

/// Which keys are in the environment.
#[derive(Clone, Copy)]
enum With {
    Nothing,
    Pair,
    AccessKey,
}

/// What a run of the command is expected to do.
struct Scenario {
    name: &'static str,
    broken: Break,
    /// In front of the owner's Worker.
    owners: bool,
    with: With,
    words: Vec<String>,
    /// Header fields that every request has.
    headers: Vec<(&'static str, String)>,
    /// The checks that fail.
    fails: &'static [&'static str],
    /// What the output says.
    says: Vec<String>,
}

impl Scenario {
    fn new(name: &'static str, broken: Break, fails: &'static [&'static str]) -> Self {
        let (owners, with, words, headers, says) = (false, With::Pair, Vec::new(), Vec::new(), Vec::new());
        Self { name, broken, owners, with, words, headers, fails, says }
    }

    fn words(mut self, words: &[&str]) -> Self {
        self.words = words.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    fn says(mut self, says: &[&str]) -> Self {
        self.says = says.iter().map(|said| (*said).to_owned()).collect();
        self
    }

    fn with(self, with: With) -> Self {
        Self { with, ..self }
    }

    fn owners(self) -> Self {
        Self { owners: true, ..self }
    }
}

/// The command, as a person runs it; what is wrong with what it did.
fn run(root: &Path, scenario: &Scenario, origin: &str, came: Option<&Came>) -> Result<(), String> {
    let program = process::own()?;
    let mut command = Command::new(program);
    command.current_dir(root).args(["smoke", origin]).args(&scenario.words);
    for name in ["SMOKE_ACCESS_KEY", "SMOKE_PUBLIC_KEY", "SMOKE_PRIVATE_KEY"] {
        command.env_remove(name);
    }
    match scenario.with {
        With::Nothing => {}
        With::Pair => {
            command.env("SMOKE_PUBLIC_KEY", dev::PUBLIC_KEY).env("SMOKE_PRIVATE_KEY", dev::PRIVATE_KEY);
        }
        With::AccessKey => {
            command.env("SMOKE_ACCESS_KEY", ACCESS_KEY);
        }
    }
    let ran = command.output().map_err(|error| format!("cannot run smoke: {error}"))?;
    let text = [ran.stdout, ran.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    let problem = |what: String| Err(format!("{what}\n{text}"));
    let failed: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("not ok ")?.split(':').next()).collect();
    let passed = text.lines().filter(|line| line.starts_with("ok ")).count();
    if failed != scenario.fails {
        return problem(format!("it fails at {failed:?}, and has to at {:?}", scenario.fails));
    }
    if ran.status.code() != Some(i32::from(!scenario.fails.is_empty())) || passed + failed.len() == 0 {
        return problem(format!("it ended with {}", ran.status));
    }
    if let Some(missing) = scenario.says.iter().find(|said| !text.contains(said.as_str())) {
        return problem(format!("it does not say {missing:?}"));
    }
    if [dev::PRIVATE_KEY, dev::PUBLIC_KEY, ACCESS_KEY].iter().any(|key| text.contains(key)) {
        return problem("it shows a key".to_owned());
    }
    let wrong = came.map(|came| came.wrong.lock().unwrap_or_else(PoisonError::into_inner).join("; "));
    wrong.filter(|wrong| !wrong.is_empty()).map_or(Ok(()), problem)
}

/// What `/health` of a Worker says.
fn health(worker: u16) -> Result<Value, String> {
    let answer = http::once(worker, "GET", "/health", "")?;
    serde_json::from_slice(&answer.body).map_err(|error| format!("/health: {error}"))
}

/// Every scenario whose name `takes`, with what is wrong with it. `worker` takes keys of TiDB Cloud, `owners` its owner's access key.
pub(crate) fn suite(
    root: &Path,
    worker: u16,
    owners: u16,
    takes: &dyn Fn(&str) -> bool,
) -> Result<Vec<(&'static str, Option<String>)>, String> {
    let health = health(worker)?;
    let told = |name: &str| health.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let tools = root.join("target/tmp/smoke-tools");
    fs::create_dir_all(&tools)
        .and_then(|()| fs::write(tools.join("db_of_another_branch.json"), ""))
        .map_err(|error| format!("{}: {error}", tools.display()))?;
    let elsewhere = Proxy::start(worker, "203.0.113.250".to_owned(), Break::Not, Vec::new())?;
    let mut outcomes = Vec::new();
    for (number, scenario) in (1_u8..).zip(scenarios(&told, &elsewhere.origin())) {
        let name = scenario.name;
        if !takes(name) {
            continue;
        }
        let mut scenario = scenario;
        let broken = std::mem::replace(&mut scenario.broken, Break::Not);
        let behind = if scenario.owners { owners } else { worker };
        let proxy = Proxy::start(behind, format!("203.0.113.{number}"), broken, scenario.headers.clone())?;
        outcomes.push((name, run(root, &scenario, &proxy.origin(), Some(&proxy.came)).err()));
    }
    if takes("a server that is down") {
        let down =
            Scenario::new("a server that is down", Break::Not, &["livez"]).says(&["ECONNREFUSED", "left out the rest"]);
        let origin = format!("http://127.0.0.1:{}", services::free_port()?);
        outcomes.push((down.name, run(root, &down, &origin, None).err()));
    }
    if takes("a wrong command line") {
        outcomes.push(("a wrong command line", wrong_words(root).err()));
    }
    if takes("the commit of this checkout is in the build") {
        // Somebody may have changed a file since the build.
        let clean = |name: String| name.trim_end_matches(".dirty").to_owned();
        let expected = clean(Commit::of(root)?.map(|commit| commit.name()).unwrap_or_default());
        let found = clean(told("commit"));
        let problem = (found != expected).then(|| format!("/health says {found:?}, and git {expected:?}"));
        outcomes.push(("the commit of this checkout is in the build", problem));
    }
    let strays = elsewhere.came.requests.load(Ordering::Relaxed);
    let problem = (strays > 0).then(|| format!("{strays} requests went to a host that nobody named"));
    outcomes.push(("nobody else is asked", problem));
    Ok(outcomes)
}

fn wrong_words(root: &Path) -> Result<(), String> {
    let program = process::own()?;
    for words in [&["smoke"][..], &["smoke", "http://mcp.example.com"], &["smoke", "https://mcp.example.com", "--wat"]]
    {
        let ran = Command::new(program).current_dir(root).args(words).output();
        let code = ran.map_err(|error| format!("cannot run smoke: {error}"))?.status.code();
        if code != Some(2) {
            return Err(format!("{words:?} ends with {code:?}, not 2"));
        }
    }
    Ok(())
}

/// `told` is what `/health` says; `elsewhere` is a server that nobody may be led to.
fn scenarios(told: &dyn Fn(&str) -> String, elsewhere: &str) -> Vec<Scenario> {
    let (version, upload) = (told("version"), told("worker_version"));
    let of_package = env!("CARGO_PKG_VERSION");
    let commit = told("commit");
    let away = elsewhere.to_owned();
    let mut all = of_healthy(&version);
    all.extend(of_wrong_answers(&version, elsewhere));
    all.push(Scenario::new(
        "a redirect of the first request",
        Break::Instead(redirect(away.clone(), "/livez")),
        &["livez"],
    ));
    all.push(Scenario::new(
        "a redirect of the endpoint to another host",
        Break::Instead(redirect(away, "/mcp")),
        &[
            "GET /mcp",
            "challenge",
            "wrong credentials",
            "server/discover",
            "initialize",
            "tools/list",
            super::READING_TOOL,
        ],
    ));
    if !commit.is_empty() {
        let is_clean = !commit.ends_with(".dirty");
        let fails: &[&str] = if is_clean { &[] } else { &["commit"] };
        all.push(Scenario::new("this version and commit", Break::Not, fails).words(&[
            "--version",
            of_package,
            "--commit",
            commit.get(..10).unwrap_or_default(),
        ]));
    }
    if !upload.is_empty() {
        let header = vec![(super::OVERRIDE, format!("{}=\"{upload}\"", super::NAME))];
        let one = Scenario::new("one upload of two", Break::Not, &[]).words(&["--worker-version", &upload]);
        all.push(Scenario { headers: header, ..one.says(&["ok worker version"]) });
        let other = Break::Answer(Box::new(|asked, answer| {
            if asked.path == "/health" {
                answer.headers.retain(|(name, _)| name != "x-worker-version");
                answer.headers.push(("x-worker-version".to_owned(), "another".to_owned()));
            }
        }));
        let other = Scenario::new("an answer of another upload", other, &["worker version"]);
        all.push(other.words(&["--worker-version", &upload]).says(&["found another at GET /health, in 1 answers"]));
        let never = "00000000-0000-4000-8000-000000000000";
        let never = Scenario::new("an upload that is not there", Break::Not, &["worker version"]).words(&[
            "--worker-version",
            never,
            "--wait",
            "1",
        ]);
        all.push(never);
    }
    all
}

/// A server that leads away from a path.
fn redirect(to: String, from: &'static str) -> Instead {
    Box::new(move |asked| {
        let is_there = asked.path.split('?').next() == Some(from);
        is_there.then(|| answer(307, &[("location", &format!("{to}{}", asked.path))], ""))
    })
}

/// Servers that work.
fn of_healthy(version: &str) -> Vec<Scenario> {
    let reads = format!("ok {}", super::READING_TOOL);
    let comes_up = AtomicUsize::new(0);
    let comes_up = Break::Instead(Box::new(move |asked| {
        let is_early = asked.path == "/livez" && comes_up.fetch_add(1, Ordering::Relaxed) < 2;
        is_early.then(|| answer(503, &[], "not yet"))
    }));
    let without_oauth = Break::Answer(Box::new(|asked, answer| {
        if asked.path.starts_with("/.well-known/") {
            *answer = self::answer(404, &[], "{}");
        }
        for (name, value) in &mut answer.headers {
            if name == "www-authenticate" {
                *value = "Bearer realm=\"mcp-server-tidbcloud\"".to_owned();
            }
        }
    }));
    vec![
        Scenario::new("a server that takes keys", Break::Not, &[]).says(&[
            &reads,
            "ok metadata",
            &format!("ok version {version}"),
            "0 left out",
        ]),
        Scenario::new("a server that takes keys, without any", Break::Not, &[])
            .with(With::Nothing)
            .says(&["ok tools/list", "left out tidbcloud_list_clusters: it takes a key"]),
        Scenario::new("a server of its owner", Break::Not, &[])
            .owners()
            .with(With::AccessKey)
            .says(&[&reads, "0 left out"]),
        Scenario::new("a server of its owner, without the key", Break::Not, &[])
            .owners()
            .with(With::Nothing)
            .says(&["left out tools/list: it takes a key here", "4 left out"]),
        Scenario::new("a server without OAuth", without_oauth, &[])
            .says(&["left out metadata: this server has no OAuth"]),
        Scenario::new("a server that comes up late", comes_up, &[]).words(&["--wait", "20"]),
    ]
}

/// Servers that answer, and something is wrong with it.
fn of_wrong_answers(version: &str, elsewhere: &str) -> Vec<Scenario> {
    let on = |change: Change| Break::Answer(change);
    let no_challenge = |answer: &mut Answer| answer.headers.retain(|(name, _)| name != "www-authenticate");
    let not_ready = r#"{"status":"not_ready","checks":{"settings":"ok","limiter":"failing"}}"#;
    let (everywhere, at_health, elsewhere) = (version.to_owned(), version.to_owned(), elsewhere.to_owned());
    let own_to_others = |asked: &mut Asked| {
        let is_wrong = asked.header("authorization").is_some() || asked.header("x-tidb-api-public-key").is_some();
        if is_wrong && !asked.has_key() {
            asked.headers.retain(|(name, _)| name != "authorization" && !name.starts_with("x-tidb-api"));
            for (name, value) in
                [("x-tidb-api-public-key", dev::PUBLIC_KEY), ("x-tidb-api-private-key", dev::PRIVATE_KEY)]
            {
                asked.headers.push((name.to_owned(), value.to_owned()));
            }
        }
    };
    let without = |header: &'static str| {
        on(Box::new(move |asked, answer| {
            if asked.path == "/" {
                answer.headers.retain(|(name, _)| name != header);
            }
        }))
    };
    let html = |asked: &Asked| {
        let seen: Vec<_> = asked.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        let page = format!("<!doctype html><title>Hello</title><pre>{}</pre>", seen.join(" "));
        answer(200, &[("content-type", "text/html")], &page)
    };
    vec![
        // The five that the smoke tests are for.
        Scenario::new(
            "no challenge on a 401",
            on(Box::new(move |_, answer| {
                if answer.status == 401 {
                    no_challenge(answer);
                }
            })),
            &["challenge"],
        ),
        Scenario::new(
            "/readyz 503",
            Break::Instead(Box::new(move |asked| (asked.path == "/readyz").then(|| answer(503, &[], not_ready)))),
            &["readyz"],
        )
        .says(&["found 503", "\"limiter\":\"failing\""]),
        Scenario::new(
            "a tool missing",
            on(Box::new(|asked, answer| {
                if asked.method_of_message() == "tools/list" {
                    replace(answer, "\"name\":\"db_query\"", "\"name\":\"db_quarry\"");
                }
            })),
            &["tools/list"],
        )
        .says(&["missing: db_query; unknown: db_quarry"]),
        Scenario::new(
            "the wrong version",
            on(Box::new(move |_, answer| replace(answer, &everywhere, "9.9.9+abcdef0"))),
            &["version"],
        )
        .words(&["--version", env!("CARGO_PKG_VERSION")])
        .says(&["9.9.9+abcdef0 at /health"]),
        Scenario::new("wrong credentials accepted", Break::Request(Box::new(own_to_others)), &["wrong credentials"]),
        // And others.
        Scenario::new(
            "wrong credentials accepted, without keys",
            Break::Request(Box::new(own_to_others)),
            &["wrong credentials"],
        )
        .with(With::Nothing),
        Scenario::new(
            "a wrong key pair accepted by its owner's server",
            Break::Answer(Box::new(|asked, answer| {
                if asked.header("x-tidb-api-public-key").is_some() {
                    *answer = self::answer(200, &[], r#"{"result":{"structuredContent":{"clusters":[]}}}"#);
                }
            })),
            &["wrong credentials"],
        )
        .owners()
        .with(With::AccessKey),
        Scenario::new(
            "versions that differ",
            on(Box::new(move |asked, answer| {
                if asked.path == "/health" {
                    replace(answer, &at_health, "0.0.9");
                }
            })),
            &["version"],
        )
        .says(&["expected the same everywhere"]),
        Scenario::new(
            "a version that would begin a line",
            on(Box::new(|asked, answer| {
                if asked.path == "/health" {
                    replace(answer, "\"version\":\"", "\"version\":\"\\n::error::\\u001b[1m");
                }
            })),
            &["version"],
        )
        .says(&["found  ::error:: [1m"]),
        Scenario::new("tools of another branch", Break::Not, &["tools/list"])
            .words(&["--tools", "target/tmp/smoke-tools"])
            .says(&["expected 1; missing: db_of_another_branch; unknown: db_"]),
        Scenario::new("another commit", Break::Not, &["commit"]).words(&["--commit", "0000000"]),
        Scenario::new(
            "a setting missing",
            on(Box::new(|asked, answer| {
                if asked.path == "/health" {
                    replace(answer, "\"settings\":\"ok\"", "\"settings\":\"failing\"");
                }
            })),
            &["health"],
        ),
        Scenario::new("a landing page without its policy", without("content-security-policy"), &["landing page"]),
        Scenario::new(
            "a landing page with another address",
            on(Box::new(|asked, answer| {
                if asked.path == "/" {
                    replace(answer, "/mcp</code>", "/sse</code>");
                }
            })),
            &["landing page"],
        ),
        Scenario::new(
            "a challenge that leads to another host",
            on(Box::new(move |_, answer| {
                for (name, value) in &mut answer.headers {
                    if name == "www-authenticate" {
                        *value = format!("Bearer resource_metadata=\"{elsewhere}{RESOURCE_METADATA}\"");
                    }
                }
            })),
            &["metadata"],
        ),
        Scenario::new(
            "metadata of another address",
            on(Box::new(|asked, answer| {
                if asked.path.starts_with("/.well-known/oauth-authorization-server") {
                    replace(answer, "\"issuer\":\"http://127.0.0.1", "\"issuer\":\"http://127.0.0.2");
                }
            })),
            &["metadata"],
        ),
        Scenario::new(
            "GET /mcp that is answered",
            Break::Instead(Box::new(move |asked| (asked.method == "GET" && asked.path == "/mcp").then(|| html(asked)))),
            &["GET /mcp"],
        ),
        Scenario::new(
            "keys repeated in an answer",
            Break::Instead(Box::new(move |asked| asked.has_key().then(|| html(asked)))),
            &["server/discover", "initialize", "tools/list", super::READING_TOOL],
        )
        .says(&["[key]"]),
        Scenario::new(
            "a server that answers HTML",
            Break::Instead(Box::new(move |asked| Some(html(asked)))),
            &["livez"],
        )
        .says(&["text/html", "left out the rest"]),
        Scenario::new("a server that hangs", Break::Hangs, &["livez"])
            .words(&["--timeout", "1"])
            .says(&["no answer within 1 s", "left out the rest"]),
        Scenario::new("a server that hangs in the middle", Break::HangsInTheMiddle, &["livez"])
            .words(&["--timeout", "1"])
            .says(&["no answer within 1 s", "left out the rest"]),
    ]
}
