//! `cargo xtask smoke`: whether a deployment, or `dev`, works, and is what this checkout says. It reads and changes nothing.

mod broken;
mod client;
mod target;

use std::{
    collections::BTreeSet,
    env,
    fs::{self, File},
    io::Read,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

pub(crate) use self::{
    broken::{owners, suite},
    target::Options,
};
use self::{
    client::{Answer, Client, Request},
    target::Keys,
};

/// As in `serverInfo`.
const NAME: &str = "mcp-server-tidbcloud";
/// A revision of each era of the protocol.
const MODERN: &str = "2026-07-28";
const LEGACY: &str = "2025-11-25";
/// The endpoint, with every toolset.
const EVERY_TOOL: &str = "/mcp?toolsets=all";
/// Reads, needs no argument, and every key may call it.
const READING_TOOL: &str = "tidbcloud_list_clusters";
/// The documents of the authorization server (RFC 9728 section 3.1, RFC 8414 section 3).
const RESOURCE_METADATA: &str = "/.well-known/oauth-protected-resource/mcp";
const SERVER_METADATA: &str = "/.well-known/oauth-authorization-server";
/// Cloudflare's header for one of several uploads
/// (<https://developers.cloudflare.com/workers/versions-and-deployments/version-overrides/>).
const OVERRIDE: &str = "cloudflare-workers-version-overrides";

/// What is wrong: what was found, and what was expected.
type Found = Result<(), String>;

/// `cargo xtask smoke`: looks, says what it sees, and whether all of it is right.
pub(crate) fn command(root: &Path, options: &Options) -> Result<bool, String> {
    let started = Instant::now();
    let tools = tools(&options.tools.clone().unwrap_or_else(|| root.join("tests/snapshots/tools")))?;
    let keys = Keys::read(&|name| env::var(name).ok())?;
    let always = match &options.worker_version {
        Some(id) => vec![(OVERRIDE, format!("{}=\"{id}\"", worker_name(root)?))],
        None => Vec::new(),
    };
    let client = Client::start(root, &options.target, options.timeout, always)?;
    let mut look = Look { options, keys, client, versions: Vec::new(), others: Vec::new(), counts: [0; 3] };
    look.wait();
    look.at_everything(&tools)?;
    let [ok, not_ok, left_out] = look.counts;
    println!("{ok} ok, {not_ok} not ok, {left_out} left out, {:.1} s", started.elapsed().as_secs_f32());
    Ok(not_ok == 0)
}

/// The tools of a checkout, from the names of the files in its `tests/snapshots/tools`: the suite `catalogue` holds them to what the
/// server lists. The folder may be of a pull request, whose names are shown in the log of a workflow.
fn tools(folder: &Path) -> Result<Vec<String>, String> {
    let told = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(told)? {
        let name = entry.map_err(told)?.file_name().to_string_lossy().into_owned();
        let tool = name.strip_suffix(".json").unwrap_or_default();
        let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if tool.is_empty() || !tool.bytes().all(is_name) {
            return Err(format!("{}: {name:?} is not a tool's name with .json behind it", folder.display()));
        }
        names.push(tool.to_owned());
    }
    if names.is_empty() {
        return Err(format!("{} names no tool", folder.display()));
    }
    names.sort();
    Ok(names)
}

/// The Worker's name on Cloudflare.
fn worker_name(root: &Path) -> Result<String, String> {
    let text = fs::read_to_string(root.join("wrangler.toml")).map_err(|error| format!("wrangler.toml: {error}"))?;
    let name = text.lines().find_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
    name.map(str::to_owned).ok_or_else(|| "wrangler.toml has no name".to_owned())
}

/// Credentials that nobody has given out: each run makes its own.
struct Wrong {
    token: [(&'static str, String); 1],
    pair: [(&'static str, String); 2],
}

impl Wrong {
    fn draw() -> Result<Self, String> {
        let mut bytes = [0; 32];
        let drawn = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
        drawn.map_err(|error| format!("/dev/urandom: {error}"))?;
        let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let public = text.get(..8).unwrap_or_default().to_ascii_uppercase();
        Ok(Self {
            token: [("authorization", format!("Bearer {text}"))],
            pair: [("x-tidb-api-public-key", public), ("x-tidb-api-private-key", text)],
        })
    }
}

fn get(path: &str) -> Request<'_> {
    Request { method: "GET", path, headers: vec![("accept", "application/json".to_owned())], body: None }
}

/// A message of the protocol's modern era.
fn modern(method: &str, mut params: Value, credentials: &[(&'static str, String)]) -> Request<'static> {
    let name = params.get("name").and_then(Value::as_str).map(str::to_owned);
    if let Some(params) = params.as_object_mut() {
        let meta = json!({
            "io.modelcontextprotocol/protocolVersion": MODERN,
            "io.modelcontextprotocol/clientCapabilities": {},
            "io.modelcontextprotocol/clientInfo": {"name": "smoke", "version": env!("CARGO_PKG_VERSION")},
        });
        params.insert("_meta".to_owned(), meta);
    }
    let mut request = message(EVERY_TOOL, method, &params, credentials);
    request.headers.push(("mcp-protocol-version", MODERN.to_owned()));
    request.headers.push(("mcp-method", method.to_owned()));
    request.headers.extend(name.map(|name| ("mcp-name", name)));
    request
}

fn message(
    path: &'static str,
    method: &str,
    params: &Value,
    credentials: &[(&'static str, String)],
) -> Request<'static> {
    let fixed = [("content-type", "application/json"), ("accept", "application/json, text/event-stream")];
    let headers = fixed.map(|(name, value)| (name, value.to_owned())).into_iter().chain(credentials.iter().cloned());
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    Request { method: "POST", path, headers: headers.collect(), body: Some(body.to_string()) }
}

fn reading_call(credentials: &[(&'static str, String)]) -> Request<'static> {
    modern("tools/call", json!({"name": READING_TOOL, "arguments": {}}), credentials)
}

/// Whether an answer is as expected.
fn expect(answer: &Answer, holds: bool, expected: &str) -> Found {
    if holds { Ok(()) } else { Err(format!("found {}, expected {expected}", answer.summary())) }
}

fn at<'v>(value: &'v Value, pointer: &str) -> &'v Value {
    value.pointer(pointer).unwrap_or(&Value::Null)
}

/// The value of a parameter of a challenge (RFC 9110 section 11.6.1).
fn parameter<'c>(challenge: &'c str, name: &str) -> Option<&'c str> {
    challenge.split_once(&format!("{name}=\""))?.1.split_once('"').map(|(value, _)| value)
}

/// Whether a credential was refused as is documented in `docs/errors.md`: at a door, or by TiDB Cloud.
fn is_refused(answer: &Answer) -> bool {
    let body = answer.json().unwrap_or_default();
    match answer.status {
        401 => at(&body, "/error/data/code") == "UNAUTHENTICATED",
        429 => at(&body, "/error/data/code") == "RATE_LIMITED",
        200 => {
            let result = at(&body, "/result");
            let fields = at(result, "/structuredContent").as_object();
            at(result, "/isError") == true
                && at(result, "/structuredContent/error/code") == "UNAUTHENTICATED_UPSTREAM"
                && fields.is_some_and(|fields| fields.len() == 1)
        }
        _ => false,
    }
}

/// One look at a server.
struct Look<'a> {
    options: &'a Options,
    keys: Keys,
    client: Client<'a>,
    /// The versions that the server gave, and where.
    versions: Vec<(&'static str, String)>,
    /// Answers of an upload that was not asked for, where one was.
    others: Vec<String>,
    /// Checks that passed, failed and were left out.
    counts: [usize; 3],
}

impl Look<'_> {
    /// Every line goes through here, so that no key is shown.
    fn say(&mut self, name: &str, outcome: &Found) {
        let (at, line) = match outcome {
            Ok(()) => (0, format!("ok {name}")),
            Err(found) => (1, format!("not ok {name}: {found}")),
        };
        self.count(at, &line);
    }

    fn leave_out(&mut self, name: &str, why: &str) {
        self.count(2, &format!("left out {name}: {why}"));
    }

    fn count(&mut self, at: usize, line: &str) {
        if let Some(count) = self.counts.get_mut(at) {
            *count += 1;
        }
        // A server may say anything: it must not begin a line, where workflows read commands, nor colour a terminal.
        let shown = line.chars().map(|letter| if letter.is_control() { ' ' } else { letter });
        println!("{}", self.keys.hide(&shown.collect::<String>()));
    }

    fn send(&mut self, request: &Request<'_>) -> Result<Answer, String> {
        let told = |error| format!("found {error}, expected an answer to {} {}", request.method, request.path);
        let answer = self.client.send(request).map_err(told)?;
        if let Some(other) = self.other_upload(&answer) {
            self.others.push(format!("{other} at {} {}", request.method, request.path));
        }
        Ok(answer)
    }

    /// The upload that gave an answer, if another one was asked for.
    fn other_upload(&self, answer: &Answer) -> Option<String> {
        let wanted = self.options.worker_version.as_deref()?;
        let found = answer.header("x-worker-version");
        (found != Some(wanted)).then(|| found.unwrap_or("none").to_owned())
    }

    /// Waits until the server is up, for as long as may be. A new address or upload is known everywhere after some seconds.
    fn wait(&mut self) {
        let deadline = Instant::now() + self.options.wait;
        while Instant::now() < deadline {
            match self.client.send(&get("/livez")) {
                Ok(answer) if answer.status == 200 && self.other_upload(&answer).is_none() => return,
                _ => thread::sleep(Duration::from_secs(1)),
            }
        }
    }

    fn at_everything(&mut self, tools: &[String]) -> Result<(), String> {
        let alive = self.alive();
        self.say("livez", &alive);
        if alive.is_err() {
            // Whoever answers there gets no key.
            self.leave_out("the rest", "nothing here answers as this server does");
            return Ok(());
        }
        let ready = self.ready();
        self.say("readyz", &ready);
        let health = self.health();
        self.say("health", &health.as_ref().map(|_| ()).map_err(Clone::clone));
        let landing = self.landing_page();
        self.say("landing page", &landing);
        let other_verb = self.other_verb();
        self.say("GET /mcp", &other_verb);
        self.challenge();
        let wrong = Wrong::draw()?;
        let refused = self.wrong_credentials(&wrong);
        self.say("wrong credentials", &refused.as_ref().map(|_| ()).map_err(Clone::clone));
        let own = self.keys.headers();
        match (own.is_empty(), refused) {
            (false, _) => self.protocol(&own, tools),
            // TiDB Cloud decides about key pairs, so that any of them may ask what tools there are.
            (true, Ok(true)) => self.protocol(&wrong.pair, tools),
            (true, _) => {
                for name in ["server/discover", "initialize", "tools/list"] {
                    self.leave_out(name, &format!("it takes a key here; {}", Keys::HOW));
                }
            }
        }
        if own.is_empty() {
            self.leave_out(READING_TOOL, &format!("it takes a key; {}", Keys::HOW));
        } else {
            let called = self.reading(&own);
            self.say(READING_TOOL, &called);
        }
        let health = health.unwrap_or_default();
        self.version();
        self.commit(&health);
        self.upload();
        Ok(())
    }

    fn alive(&mut self) -> Found {
        let answer = self.send(&get("/livez"))?;
        let body = answer.json().unwrap_or_default();
        expect(&answer, answer.status == 200 && at(&body, "/status") == "ok", "200 {\"status\":\"ok\"}")
    }

    fn ready(&mut self) -> Found {
        let answer = self.send(&get("/readyz"))?;
        let body = answer.json().unwrap_or_default();
        expect(&answer, answer.status == 200 && at(&body, "/status") == "ready", "200 {\"status\":\"ready\",…}")
    }

    /// Whether something works, `/readyz` says; here it is asked what runs, and whether its settings fit together.
    fn health(&mut self) -> Result<Value, String> {
        let answer = self.send(&get("/health"))?;
        let body = answer.json().unwrap_or_default();
        let is_complete = at(&body, "/checks/settings") == "ok" && body.get("settings").is_none();
        expect(&answer, is_complete, "settings that fit together")?;
        let version = at(&body, "/version").as_str();
        expect(&answer, version.is_some(), "a version")?;
        self.versions.extend(version.map(|version| ("/health", version.to_owned())));
        Ok(body)
    }

    fn landing_page(&mut self) -> Found {
        let answer = self.send(&Request { headers: vec![("accept", "text/html".to_owned())], ..get("/") })?;
        let kind = answer.header("content-type").unwrap_or_default();
        expect(&answer, answer.status == 200 && kind.starts_with("text/html"), "200 text/html")?;
        let mut headers = vec![
            ("content-security-policy", "default-src 'none'"),
            ("content-security-policy", "frame-ancestors 'none'"),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
        ];
        if self.options.target.is_https() {
            headers.push(("strict-transport-security", "max-age="));
        }
        for (name, part) in headers {
            let found = answer.header(name).unwrap_or("none");
            if !found.contains(part) {
                return Err(format!("found {name} {found}, expected {part}"));
            }
        }
        let address = format!("<code>{}/mcp</code>", self.options.target.origin());
        if !answer.body.contains(&address) {
            return Err(format!("found a page without {address}, expected the address to connect to"));
        }
        let version = answer.body.split_once("Version ").and_then(|(_, rest)| rest.split('<').next());
        self.versions.extend(version.map(|version| ("the landing page", version.to_owned())));
        Ok(())
    }

    fn other_verb(&mut self) -> Found {
        let answer = self.send(&get("/mcp"))?;
        let allows_post = answer.header("allow").is_some_and(|allow| allow.contains("POST"));
        expect(&answer, answer.status == 405 && allows_post, "405 with an Allow header that names POST")
    }

    /// Without a credential nobody gets in, and a client learns where to get one.
    fn challenge(&mut self) {
        let (found, leads_to) = match self.challenged() {
            Ok(leads_to) => (Ok(()), Ok(leads_to)),
            Err(error) => (Err(error), Err("the challenge leads nowhere")),
        };
        self.say("challenge", &found);
        match leads_to {
            Ok(Some(address)) => {
                let documents = self.metadata(&address);
                self.say("metadata", &documents);
            }
            Ok(None) => self.leave_out("metadata", "this server has no OAuth"),
            Err(why) => self.leave_out("metadata", why),
        }
    }

    /// The address in the challenge, if the server has OAuth.
    fn challenged(&mut self) -> Result<Option<String>, String> {
        let listing = Request { path: "/mcp", ..modern("tools/list", json!({}), &[]) };
        let answer = self.send(&listing)?;
        let body = answer.json().unwrap_or_default();
        let is_refused = answer.status == 401 && at(&body, "/error/data/code") == "UNAUTHENTICATED";
        expect(&answer, is_refused, "401 UNAUTHENTICATED")?;
        let challenge = answer.header("www-authenticate").unwrap_or_default();
        if !challenge.starts_with("Bearer ") {
            return Err(format!(
                "found a 401 with WWW-Authenticate {challenge:?}, expected Bearer and where its metadata is"
            ));
        }
        let leads_to = parameter(challenge, "resource_metadata").map(str::to_owned);
        if leads_to.is_none() && self.send(&get(RESOURCE_METADATA))?.status == 200 {
            return Err(format!(
                "found {challenge:?}, expected resource_metadata, because {RESOURCE_METADATA} is served"
            ));
        }
        Ok(leads_to)
    }

    /// The two documents say of each other and of this address what they have to.
    fn metadata(&mut self, address: &str) -> Found {
        let origin = self.options.target.origin();
        let expected = format!("{origin}{RESOURCE_METADATA}");
        if address != expected {
            // Nobody else is asked.
            return Err(format!("found a challenge that leads to {address}, expected {expected}"));
        }
        let answer = self.send(&get(RESOURCE_METADATA))?;
        let body = answer.json().unwrap_or_default();
        let resource = format!("{origin}/mcp");
        let is_right =
            at(&body, "/resource") == resource.as_str() && *at(&body, "/authorization_servers") == json!([origin]);
        expect(
            &answer,
            answer.status == 200 && is_right,
            &format!("resource {resource} with authorization server {origin}"),
        )?;
        let answer = self.send(&get(SERVER_METADATA))?;
        let body = answer.json().unwrap_or_default();
        expect(&answer, answer.status == 200 && at(&body, "/issuer") == origin, &format!("issuer {origin}"))?;
        for name in ["authorization_endpoint", "token_endpoint", "registration_endpoint", "revocation_endpoint"] {
            let found = body.get(name).and_then(Value::as_str).unwrap_or("none");
            if !found.strip_prefix(origin).is_some_and(|path| path.starts_with('/')) {
                return Err(format!("found {name} {found}, expected one below {origin}"));
            }
        }
        let methods = at(&body, "/code_challenge_methods_supported");
        if *methods == json!(["S256"]) { Ok(()) } else { Err(format!("found PKCE by {methods}, expected S256 alone")) }
    }

    /// Whether key pairs are taken as such, and TiDB Cloud is asked about each.
    fn wrong_credentials(&mut self, wrong: &Wrong) -> Result<bool, String> {
        let mut answers = Vec::new();
        for (what, credential) in [("a token", &wrong.token[..]), ("a key pair", &wrong.pair)] {
            let answer = self.send(&reading_call(credential))?;
            let expected = format!("{what} that nobody gave out to be refused");
            expect(&answer, is_refused(&answer), &expected)?;
            answers.push(answer.status);
        }
        Ok(answers.last() == Some(&200))
    }

    /// What both eras say of the server, and its tools.
    fn protocol(&mut self, credential: &[(&'static str, String)], tools: &[String]) {
        let discovered = self.discover(credential);
        self.say("server/discover", &discovered);
        let initialized = self.initialize(credential);
        self.say("initialize", &initialized);
        let listed = self.list(credential, tools);
        self.say("tools/list", &listed);
    }

    fn discover(&mut self, credential: &[(&'static str, String)]) -> Found {
        let answer = self.send(&modern("server/discover", json!({}), credential))?;
        let result = answer.json().unwrap_or_default();
        let takes = at(&result, "/result/supportedVersions").as_array().is_some_and(|all| all.contains(&json!(MODERN)));
        expect(&answer, answer.status == 200 && takes, MODERN)?;
        let info = at(&result, "/result/_meta/io.modelcontextprotocol~1serverInfo");
        self.introduced("server/discover", &answer, info)
    }

    fn initialize(&mut self, credential: &[(&'static str, String)]) -> Found {
        let client = json!({"name": "smoke", "version": env!("CARGO_PKG_VERSION")});
        let params = json!({"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": client});
        let answer = self.send(&message("/mcp", "initialize", &params, credential))?;
        let result = answer.json().unwrap_or_default();
        expect(&answer, answer.status == 200 && at(&result, "/result/protocolVersion") == LEGACY, LEGACY)?;
        self.introduced("initialize", &answer, at(&result, "/result/serverInfo"))
    }

    /// How the server introduces itself.
    fn introduced(&mut self, whence: &'static str, answer: &Answer, info: &Value) -> Found {
        let (name, version) = (at(info, "/name"), at(info, "/version").as_str());
        expect(answer, name == NAME && version.is_some(), &format!("serverInfo of {NAME} with a version"))?;
        self.versions.extend(version.map(|version| (whence, version.to_owned())));
        Ok(())
    }

    fn list(&mut self, credential: &[(&'static str, String)], tools: &[String]) -> Found {
        let mut listed = BTreeSet::new();
        // Those that find the others are listed only where not all are.
        for path in [EVERY_TOOL, "/mcp"] {
            let answer = self.send(&Request { path, ..modern("tools/list", json!({}), credential) })?;
            let body = answer.json().unwrap_or_default();
            let tools = at(&body, "/result/tools").as_array().map(Vec::as_slice).unwrap_or_default();
            expect(&answer, answer.status == 200 && !tools.is_empty(), "tools")?;
            listed.extend(tools.iter().filter_map(|tool| Some(at(tool, "/name").as_str()?.to_owned())));
        }
        let listed: Vec<String> = listed.into_iter().collect();
        if listed == tools {
            return Ok(());
        }
        let without = |all: &[String], others: &[String]| -> Vec<String> {
            all.iter().filter(|name| !others.contains(name)).cloned().collect()
        };
        let (missing, unknown) = (without(tools, &listed), without(&listed, tools));
        let of = |names: Vec<String>| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        let (found, expected) = (listed.len(), tools.len());
        let (missing, unknown) = (of(missing), of(unknown));
        Err(format!("found {found} tools, expected {expected}; missing: {missing}; unknown: {unknown}"))
    }

    fn reading(&mut self, credential: &[(&'static str, String)]) -> Found {
        let answer = self.send(&reading_call(credential))?;
        let body = answer.json().unwrap_or_default();
        let is_list = at(&body, "/result/structuredContent/clusters").is_array();
        expect(&answer, is_list && at(&body, "/result/isError") != true, "clusters")
    }

    /// All places name one version, and it is the one that was asked for.
    fn version(&mut self) {
        let wanted = self.options.version.as_deref();
        let is_wanted = |found: &str| match wanted {
            Some(wanted) => found == wanted || found.split('+').next() == Some(wanted),
            None => true,
        };
        let mut distinct: Vec<&str> = self.versions.iter().map(|(_, version)| version.as_str()).collect();
        distinct.sort_unstable();
        distinct.dedup();
        let (name, outcome) = match distinct.as_slice() {
            [] => ("version".to_owned(), Err("found none, expected one at /health".to_owned())),
            [one] if is_wanted(one) => (format!("version {one}"), Ok(())),
            _ => {
                let found: Vec<_> = self.versions.iter().map(|(at, version)| format!("{version} at {at}")).collect();
                let expected = wanted.unwrap_or("the same everywhere");
                ("version".to_owned(), Err(format!("found {}, expected {expected}", found.join(", "))))
            }
        };
        self.say(&name, &outcome);
    }

    fn commit(&mut self, health: &Value) {
        let Some(wanted) = &self.options.commit else { return };
        let found = at(health, "/commit").as_str().unwrap_or("none");
        let is_that = found.starts_with(wanted.as_str()) && !found.ends_with(".dirty");
        let outcome = if is_that { Ok(()) } else { Err(format!("found {found}, expected {wanted}")) };
        self.say("commit", &outcome);
    }

    fn upload(&mut self) {
        let Some(wanted) = &self.options.worker_version else { return };
        let outcome = match self.others.first() {
            None => Ok(()),
            Some(first) => Err(format!("found {first}, in {} answers, expected {wanted}", self.others.len())),
        };
        self.say("worker version", &outcome);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &Value) -> Answer {
        Answer { status, headers: Vec::new(), body: body.to_string() }
    }

    #[test]
    fn only_what_is_documented_counts_as_refused() {
        let result =
            |is_error: bool, content: Value| json!({"result": {"isError": is_error, "structuredContent": content}});
        let of_tidb_cloud = json!({"error": {"code": "UNAUTHENTICATED_UPSTREAM"}});
        let door = |code: &str| json!({"error": {"code": -31001, "data": {"code": code}}});
        for (status, body) in
            [(401, door("UNAUTHENTICATED")), (429, door("RATE_LIMITED")), (200, result(true, of_tidb_cloud.clone()))]
        {
            assert!(is_refused(&answer(status, &body)), "{status} {body}");
        }
        for (status, body) in [
            (401, json!({"clusters": []})),
            (403, door("UNAUTHENTICATED")),
            (200, door("UNAUTHENTICATED")),
            (200, result(false, of_tidb_cloud)),
            (200, result(true, json!({"error": {"code": "UNAUTHENTICATED_UPSTREAM"}, "clusters": []}))),
            (200, result(true, json!({"error": {"code": "UPSTREAM_UNAVAILABLE"}}))),
            (200, result(false, json!({"clusters": []}))),
            (500, Value::Null),
        ] {
            assert!(!is_refused(&answer(status, &body)), "{status} {body}");
        }
    }

    #[test]
    fn a_challenge_is_read_and_an_answer_told_in_a_line() {
        let challenge = "Bearer error=\"x\", scope=\"tidb:read\", resource_metadata=\"https://x.example/y\"";
        assert_eq!(parameter(challenge, "resource_metadata"), Some("https://x.example/y"));
        assert_eq!(parameter("Bearer realm=\"x\"", "resource_metadata"), None);
        let page = Answer {
            status: 302,
            headers: vec![("location".to_owned(), "https://x.example/".to_owned())],
            body: format!("<p>\n  {}", "ä".repeat(1_000)),
        };
        let line = page.summary();
        assert!(line.starts_with("302 to https://x.example/ <p> ä") && line.ends_with('…'), "{line}");
        assert!(line.chars().count() < 300, "{line}");
        let events = Answer {
            status: 200,
            headers: vec![("content-type".to_owned(), "text/event-stream".to_owned())],
            body: ": hello\n\ndata: {\"a\":1}\n\ndata: {\"a\":2}\n\n".to_owned(),
        };
        assert_eq!(events.json(), Some(json!({"a": 2})), "the last event is the answer");
    }

    #[test]
    fn the_tools_and_the_name_are_read_from_this_checkout() {
        let root = Path::new(&env::var_os("CARGO_MANIFEST_DIR").expect("cargo")).join("..");
        let tools = tools(&root.join("tests/snapshots/tools")).expect("the snapshots");
        assert!(super::tools(&root.join("src")).is_err(), "a folder of something else");
        assert!(tools.iter().any(|name| name == READING_TOOL) && tools.len() > 10, "{tools:?}");
        assert_eq!(worker_name(&root).as_deref(), Ok(NAME));
    }
}
