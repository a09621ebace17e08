//! Transcripts: prose, then a conversation. `tests/README.md` explains how to write one.
//!
//! ```text
//! << tool {arguments}        what the client calls
//! >> {fields}                what the result must hold: every field given here, others are free
//! >> error CODE words        or: a failed call with this code, whose text holds these words
//! >> question $name words    or: a question to the person, whose text holds these words; $name remembers its state
//! >> refused 400 -32600 words    or: a refusal of the protocol, with this HTTP status, code and words
//! ## address ?readonly=true  the query of the address from here on (?toolsets=all at first)
//! ## key viewer              who calls from here on (owner at first)
//! ## header Name: value      a header field of the calls from here on
//! ## advance 30              let 30 seconds pass
//! ## fault {...}             a fault, as `POST /_sandbox/faults` takes it
//! ## upstream 1              the last call sent this many requests to TiDB Cloud
//! ## upstream POST host/path 200    and one of them was this
//! ## picture words           the last result has a picture with these words; `## picture none`: it has none
//! ## faults none             from here on TiDB Cloud has no trouble any more
//! ```
//!
//! In `>>`, `"$name"` matches anything and is remembered, or matches what was remembered; `"..."` matches anything, and at
//! the end of an array all that is left of it, which is at least one item. Words with ` ... ` between them come in this order.
//! Within a text `...` matches any text. In `<<`, `$name` stands for what was remembered. Every transcript runs in every revision, unless it names one.
//!
//! Where a person confirms:
//!
//! ```text
//! ## client with forms       a person is there, and their client shows them questions
//! ## client without forms    a person is there, and their client cannot ask them
//! ## client unattended       nobody is there, and the calls say so (at first)
//! ## token owner tidb:write  the caller from here on is a client whom the holder of this key gave a token
//! ## answer $state accept shop    what the next call says to a question: `accept` (and what was typed), `decline`, `cancel`,
//!                            or `nothing`
//! >> link $link              the error has the link to the page for a person, which is remembered
//! ## open $link              the person opens the page
//! ## prove owner             they type these keys
//! ## allow shop              they type this, if anything, and press "Allow it"
//! ## give secret words       they type these words into the field for the credential `secret`, before they press "Allow it"
//! ## decline                 they press "Decline"
//! ## take orders.csv         they press the button of this secret, on a page where some lie ready
//! ## page leads https://...  the page now leads to this address
//! ## page 200 words          the page now has this status and these words
//! ## page hides words        and not these, not even in its source
//! ## at once 5               the next call is sent five times at the same time; exactly one has a result, which `>>` is about
//! >> others error CODE words     the others failed so
//! ## restart                 the server forgets all that it has in memory
//! ## wait 301                301 seconds pass for the server too; its clock stands in workerd, where a transcript ends here
//! ## revision 2026-07-28     the only revision that the transcript runs in
//! ```
//!
//! Before 2026-07-28 a call waits for the answer to its question:
//!
//! ```text
//! << tool {arguments}
//! >> question $asked words   the question on the stream of the call
//!                            (what happens while the call waits)
//! ## answer $asked accept shop    the client posts this; `nothing` is two minutes, so that a transcript ends there in workerd
//! >> {fields}                after an answer: what the call that waited for it came to
//! ## cancel $asked           the client cancels the call
//! ## session other           another session of the caller from here on; each is begun by its first call
//! >> gone                    the call ended without a result
//! ```

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use libtest_mimic::{Arguments, Trial};
use serde_json::{Value, json};

use super::{
    Answer, Begun, Call, REVISIONS, Streams, checkout, events,
    oauth::{Flow, Tokens, form, with_token},
    person::Browser,
    request,
};

/// One file below `tests/transcripts`.
#[derive(Clone)]
pub struct Transcript {
    /// Its path below that folder, without `.txt`: `branches/a_copy_to_work_on`.
    pub name: String,
    /// What it says.
    pub text: String,
}

impl Transcript {
    /// All of them by name, as they lie on the disk: a file is played because it is there.
    pub fn all() -> Vec<Self> {
        let root = checkout().join("tests/transcripts");
        let mut found = Vec::new();
        collect(&root, &root, &mut found);
        assert!(!found.is_empty(), "there are no transcripts in {}", root.display());
        found.sort_by(|one, other| one.name.cmp(&other.name));
        found
    }

    /// The revisions that it runs in.
    pub fn revisions(&self) -> Vec<&'static str> {
        let only = self.text.lines().find_map(|line| line.strip_prefix("## revision "));
        REVISIONS.into_iter().filter(|revision| only.is_none_or(|only| only == *revision)).collect()
    }

    /// Whether the server remembers something of it that its end does not end: questions and pages for a person, which count for
    /// minutes, and circuits that opened.
    pub fn leaves_something(&self) -> bool {
        let directives = self.text.lines().filter_map(|line| line.strip_prefix("## "));
        let mut directives = directives.map(|line| line.split(' ').next().unwrap_or_default());
        directives.any(|directive| matches!(directive, "client" | "open"))
            || ["CONFIRMATION_", "CIRCUIT_OPEN"].iter().any(|code| self.text.contains(code))
    }

    /// Where it lies in the checkout.
    pub fn path(&self) -> String {
        format!("tests/transcripts/{}.txt", self.name)
    }
}

fn collect(root: &Path, folder: &Path, found: &mut Vec<Transcript>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    for path in paths {
        if path.is_dir() {
            collect(root, &path, found);
            continue;
        }
        let name = path.strip_prefix(root).expect("below the folder").with_extension("");
        let name = name.to_string_lossy().replace('\\', "/");
        let ends = path.extension().is_some_and(|extension| extension == "txt");
        assert!(
            ends && name.contains('/'),
            "{} is no transcript: those lie in the folder of their toolset and end in .txt",
            path.display()
        );
        found.push(Transcript { name, text: fs::read_to_string(&path).expect("text") });
    }
}

/// A test program that plays each transcript in each revision, as a test of its own. `play` gets a transcript, a revision,
/// and a number that no other pair has. With `TRANSCRIPTS_PART` only every second of them, as `0/2` and `1/2`, or every third, ...
pub fn main(play: fn(&Transcript, &str, usize)) {
    let part: Option<(usize, usize)> = env::var("TRANSCRIPTS_PART").ok().map(|part| {
        let read = part.split_once('/').and_then(|(part, of)| Some((part.parse().ok()?, of.parse().ok()?)));
        read.unwrap_or_else(|| panic!("TRANSCRIPTS_PART is {part}, and not a number from 0, a slash, and of how many"))
    });
    let pairs = Transcript::all().into_iter().flat_map(|transcript| {
        let revisions = transcript.revisions();
        assert!(!revisions.is_empty(), "{} names a revision that there is not", transcript.path());
        revisions.into_iter().map(move |revision| (transcript.clone(), revision))
    });
    let trials = pairs.enumerate().filter(|(number, _)| part.is_none_or(|(part, of)| *number % of == part));
    let trials = trials.map(|(number, (transcript, revision))| {
        let name = format!("transcripts/{}", transcript.name);
        Trial::test(name, move || {
            play(&transcript, revision, number);
            Ok(())
        })
        .with_kind(revision)
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit();
}

/// Checks for every call, in addition to the transcript's own.
pub trait Judge {
    /// Looks at one answer of `tools/call`; `place` is the line of the transcript.
    fn tool_result(&mut self, place: &str, tool: &str, result: &Value);

    /// Whether [`Judge::requests`] is to hear of each call.
    fn hears_requests(&self) -> bool {
        false
    }

    /// Hears which requests TiDB Cloud got because of a call, as `GET /_sandbox/requests` lists them.
    fn requests(&mut self, tool: &str, requests: &Value) {
        let _ = (tool, requests);
    }
}

/// Plays one transcript in one revision; panics where the answer differs.
pub fn run(transcript: &Transcript, revision: &str, driver: &mut impl Streams, judge: &mut impl Judge) {
    let mut player = Player {
        place: String::new(),
        revision,
        who: "owner".to_owned(),
        token: None,
        tokens: BTreeMap::new(),
        client: Client::Unattended,
        query: "?toolsets=all".to_owned(),
        headers: Vec::new(),
        remembered: BTreeMap::new(),
        answer: None,
        session: String::new(),
        sessions: BTreeMap::new(),
        waiting: BTreeMap::new(),
        calls: 0,
        answered: None,
        is_over: false,
        at_once: 1,
        last: None,
        others: Vec::new(),
        browser: Browser::default(),
        driver,
        judge,
    };
    player.driver.admin("POST", "/_sandbox/reset", None);
    player.driver.admin("DELETE", "/_sandbox/requests", None);
    for (number, line) in transcript.text.lines().enumerate() {
        if line.starts_with("<< ") {
            player.hears_no_refusal();
        }
        player.place = format!("{}:{} in {revision}", transcript.path(), number + 1);
        player.line(line);
        if player.is_over {
            break;
        }
    }
    player.hears_no_refusal();
    let all_ended = player.is_over || player.waiting.is_empty();
    assert!(all_ended, "{}: a call waits, and the transcript does not say how it ends", player.place);
}

/// Who is behind the calls.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Client {
    /// Nobody.
    Unattended,
    /// A person, whom the client cannot ask.
    WithoutForms,
    /// A person, whom the client asks.
    WithForms,
}

/// What a call was answered with.
#[derive(Clone)]
enum Heard {
    /// `result` of an answer with 200.
    Result(Value),
    /// Another answer.
    Refusal { status: u16, error: Value },
    /// A request of the server, on whose response the call waits.
    Question(Value),
    /// A stream that ended without an answer.
    Gone,
}

/// A call that waits.
struct Waiting<W> {
    tool: String,
    /// The id of its request.
    id: u64,
    call: W,
}

/// Whose session, by its name in the transcript.
type Session = (String, Option<String>, Client, String);

struct Player<'a, D: Streams, J> {
    place: String,
    revision: &'a str,
    who: String,
    token: Option<String>,
    /// Tokens by whose and what for.
    tokens: BTreeMap<String, String>,
    client: Client,
    query: String,
    headers: Vec<(String, String)>,
    remembered: BTreeMap<String, Value>,
    /// What the next call says to a question: state and response.
    answer: Option<(String, Option<Value>)>,
    /// The name of the session.
    session: String,
    /// Ids of sessions.
    sessions: BTreeMap<Session, String>,
    /// Calls that wait, by the id of their question.
    waiting: BTreeMap<String, Waiting<D::Waiting>>,
    /// How many calls were sent: each has an id that no other has.
    calls: u64,
    /// The question that was answered last.
    answered: Option<String>,
    /// Whether the rest cannot be played.
    is_over: bool,
    /// How often the next call is sent.
    at_once: usize,
    last: Option<Heard>,
    /// What calls heard that were sent at the same time as the last.
    others: Vec<Heard>,
    browser: Browser,
    driver: &'a mut D,
    judge: &'a mut J,
}

impl<D: Streams, J: Judge> Player<'_, D, J> {
    fn line(&mut self, line: &str) {
        if let Some(call) = line.strip_prefix("<< ") {
            self.call(call);
        } else if let Some(expected) = line.strip_prefix(">> ") {
            self.expect(expected);
        } else if let Some(directive) = line.strip_prefix("## ") {
            self.directive(directive);
        }
    }

    /// The text with what was remembered in place of its names.
    fn filled(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, value) in self.remembered.iter().rev() {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            text = text.replace(&format!("${name}"), &value);
        }
        text
    }

    fn call(&mut self, call: &str) {
        let call = self.filled(call);
        let (tool, arguments) = call.split_once(' ').unwrap_or((&call, "{}"));
        let request = self.request(tool, self.json(arguments));
        self.driver.admin("DELETE", "/_sandbox/requests", None);
        self.answered = None;
        let answers = match std::mem::replace(&mut self.at_once, 1) {
            1 if self.client == Client::WithForms && self.has_sessions() => match self.driver.begin(request) {
                Begun::Answered(answer) => vec![answer],
                Begun::Asked(call, so_far) => return self.is_asked(tool, call, &so_far),
            },
            1 => vec![self.driver.send(request)],
            count => self.driver.send_at_once(vec![request; count]),
        };
        if self.judge.hears_requests() {
            let relayed = self.json(arguments)["name"].as_str().map(str::to_owned);
            let runs = relayed.filter(|_| tool == "tidbcloud_run_read_tool").unwrap_or_else(|| tool.to_owned());
            let requests = self.driver.admin("GET", "/_sandbox/requests", None);
            self.judge.requests(&runs, &requests["requests"]);
        }
        let several = answers.len() > 1;
        let heard: Vec<Heard> = answers.iter().map(|answer| self.hear(tool, answer)).collect();
        let (mut succeeded, failed): (Vec<_>, Vec<_>) = heard.into_iter().partition(|heard| match heard {
            Heard::Result(result) => {
                !several || result.get("structuredContent").is_some() && result.get("isError").is_none()
            }
            _ => !several,
        });
        assert_eq!(
            succeeded.len(),
            1,
            "{}: of calls at once, exactly one has a result (left: how many have)",
            self.place
        );
        self.last = succeeded.pop();
        self.others = failed;
    }

    fn request(&mut self, tool: &str, arguments: Value) -> Call {
        let mut params = json!({"name": tool, "arguments": arguments});
        if let Some((state, response)) = self.answer.take() {
            params["requestState"] = json!(state);
            if let Some(response) = response {
                params["inputResponses"] = json!({"confirm": response});
            }
        }
        self.calls += 1;
        let call = request(self.revision, &self.who, "tools/call", params).with_member("id", json!(self.calls));
        match self.client {
            Client::WithForms if !self.has_sessions() => self.of_caller(call.with_forms()),
            _ => self.in_session(call),
        }
    }

    /// Whether clients say in `initialize` what they can do, and not in each call.
    fn has_sessions(&self) -> bool {
        self.revision < "2026-07-28"
    }

    fn of_caller(&self, mut call: Call) -> Call {
        if let Some(token) = &self.token {
            call = with_token(call, token);
        }
        if self.client != Client::Unattended {
            call = call.without("X-MCP-Unattended");
        }
        call.target.push_str(&self.query);
        call.headers.extend(self.headers.iter().cloned());
        call
    }

    /// A request in the caller's session, which begins with the first.
    fn in_session(&mut self, call: Call) -> Call {
        let call = self.of_caller(call);
        if self.client == Client::Unattended || !self.has_sessions() {
            return call;
        }
        let session = (self.who.clone(), self.token.clone(), self.client, self.session.clone());
        if !self.sessions.contains_key(&session) {
            let capabilities = if self.client == Client::WithForms { json!({"elicitation": {}}) } else { json!({}) };
            let client = json!({"name": "transcript", "version": "1"});
            let params = json!({"protocolVersion": self.revision, "capabilities": capabilities, "clientInfo": client});
            let answer = self.driver.send(self.of_caller(request(self.revision, &self.who, "initialize", params)));
            // Whoever is refused here is refused again.
            let Some(id) = answer.header("Mcp-Session-Id") else { return call };
            self.sessions.insert(session.clone(), id.to_owned());
        }
        call.set("Mcp-Session-Id", &self.sessions[&session])
    }

    /// Notes a question on the stream of a call, which waits.
    fn is_asked(&mut self, tool: &str, call: D::Waiting, so_far: &str) {
        let question = events(so_far).pop().unwrap_or_else(|| panic!("{}: no question came: {so_far}", self.place));
        let id = question["id"].as_str().unwrap_or_else(|| panic!("{}: a question has an id: {question}", self.place));
        self.waiting.insert(id.to_owned(), Waiting { tool: tool.to_owned(), id: self.calls, call });
        self.last = Some(Heard::Question(question));
    }

    /// The client posts what the person said to a question. The call that waits for it is heard with the next `>>`.
    fn post_answer(&mut self, question: String, response: Option<Value>) {
        match response {
            Some(response) => self.post(json!({"jsonrpc": "2.0", "id": question, "result": response}), question),
            None => {
                // Natively the time passes as the server waits. In workerd nobody waits for two minutes.
                self.is_over = !self.driver.wait(0);
                self.answered = Some(question);
            }
        }
    }

    /// Posts a message about a question.
    fn post(&mut self, message: Value, question: String) {
        let call = request(self.revision, &self.who, "ping", json!({}));
        let call = self.in_session(Call { body: message.to_string().into_bytes(), ..call });
        let answer = self.driver.send(call);
        assert_eq!(answer.status, 202, "{}: what a client posts is taken, whatever comes of it", self.place);
        if let Some(waiting) = self.waiting.get_mut(&question) {
            self.driver.go_on(&mut waiting.call);
        }
        self.answered = Some(question);
    }

    fn hear(&mut self, tool: &str, answer: &Answer) -> Heard {
        let mut body = match answer.events() {
            Some(mut messages) => match messages.pop().filter(|last| last.get("method").is_none()) {
                Some(last) => last,
                None => return Heard::Gone,
            },
            None => answer.json(),
        };
        if answer.status != 200 || !body["result"].is_object() {
            return Heard::Refusal { status: answer.status, error: body["error"].take() };
        }
        let result = body["result"].take();
        if result["resultType"] != "input_required" {
            self.judge.tool_result(&self.place, tool, &result);
        }
        Heard::Result(result)
    }

    /// A transcript says so where the protocol refuses a call.
    fn hears_no_refusal(&mut self) {
        if let Some(Heard::Refusal { status, error }) = &self.last {
            panic!("{}: a call of a tool is answered with 200 and a result, not with {status} and {error}", self.place);
        }
    }

    fn json(&self, text: &str) -> Value {
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{}: {text:?} is not JSON: {error}", self.place))
    }

    fn expect(&mut self, expected: &str) {
        let place = self.place.clone();
        if let Some(expected) = expected.strip_prefix("others ") {
            assert!(!self.others.is_empty(), "{place}: `>> others` stands after no calls at once");
            for heard in std::mem::take(&mut self.others) {
                self.last = Some(heard);
                self.expect(expected);
            }
            return;
        }
        if let Some(Waiting { tool, call, .. }) = self.answered.take().and_then(|asked| self.waiting.remove(&asked)) {
            let answer = self.driver.finish(call);
            self.last = Some(self.hear(&tool, &answer));
        }
        let last = self.last.clone().unwrap_or_else(|| panic!("{place}: `>>` stands before any `<<`"));
        if expected == "gone" {
            assert!(matches!(last, Heard::Gone), "{place}: the call did not end without an answer");
            return;
        }
        if let Some(refusal) = expected.strip_prefix("refused ") {
            let Heard::Refusal { status, error } = last else { panic!("{place}: the call was not refused") };
            let mut words = refusal.splitn(3, ' ');
            let said = [Some(status.to_string()), Some(error["code"].to_string())];
            let expected = [words.next().map(str::to_owned), words.next().map(str::to_owned)];
            assert_eq!(expected, said, "{place}: status and code (left: the transcript, right: the answer): {error}");
            self.says("the refusal", error["message"].as_str().unwrap_or_default(), words.next().unwrap_or_default());
            self.last = None;
            return;
        }
        self.hears_no_refusal();
        let result = match last {
            Heard::Question(question) => match expected.strip_prefix("question $") {
                Some(expected) => return self.question(&question, &question["id"], expected),
                None => panic!("{place}: the call waits for a person: {question}"),
            },
            Heard::Result(result) => result,
            _ => panic!("{place}: the call ended without an answer"),
        };
        let structured = &result["structuredContent"];
        let failed = result["isError"] == json!(true);
        let text = result["content"][0]["text"].as_str().unwrap_or_default();
        if let Some(error) = expected.strip_prefix("error ") {
            let (code, words) = error.split_once(' ').unwrap_or((error, ""));
            assert!(failed, "{place}: the transcript expects the error {code}, and the answer is {result}");
            let error = &structured["error"];
            assert_eq!(error["code"], json!(code), "{place}: the call failed with another code: {error}");
            self.says("the error", text, words);
        } else if let Some(expected) = expected.strip_prefix("question $") {
            assert_eq!(
                result["resultType"], "input_required",
                "{place}: the transcript expects a question, not {result}"
            );
            let question = &result["inputRequests"]["confirm"];
            assert_eq!(question["params"]["mode"], "form", "{place}: a person is asked in a form: {question}");
            self.question(question, &result["requestState"], expected);
        } else if let Some(name) = expected.strip_prefix("link $") {
            let start = format!("{}/confirm/", self.driver.origin());
            let at =
                text.find(&start).unwrap_or_else(|| panic!("{place}: the answer has no link to {start}: {result}"));
            let link = text[at..].split_whitespace().next().unwrap_or_default();
            assert!(!link.ends_with(['.', ',', ';', ':']), "{place}: people copy {link} with the mark at its end");
            let path = &link[self.driver.origin().len()..];
            self.remembered.insert(name.to_owned(), json!(path));
        } else {
            assert!(
                !failed && !structured.is_null(),
                "{place}: the transcript expects a result, and the answer is {result}"
            );
            let expected = self.json(expected);
            self.matches(&expected, structured, &place);
        }
    }

    /// A form for one name, or for nothing but the decision; `state` is what its answer comes with.
    fn question(&mut self, question: &Value, state: &Value, expected: &str) {
        let (name, words) = expected.split_once(' ').unwrap_or((expected, ""));
        let place = &self.place;
        assert_eq!(question["method"], "elicitation/create", "{place}: a person is asked by elicitation: {question}");
        let params = &question["params"];
        let schema = &params["requestedSchema"];
        let asked: Vec<_> =
            schema["properties"].as_object().into_iter().flatten().map(|(name, _)| json!(name)).collect();
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        assert_eq!(asked, required, "{place}: what the form has must be filled in: {schema}");
        let titles: Vec<_> =
            asked.iter().filter_map(|name| schema["properties"][name.as_str()?]["title"].as_str()).collect();
        let text = [params["message"].as_str().unwrap_or_default(), &titles.join(" ")].join(" ");
        self.says("the question", &text, words);
        assert!(state.is_string(), "{place}: a question has a state: {question}");
        self.remembered.insert(name.to_owned(), state.clone());
    }

    /// Words, in their order where they stand with ` ... ` between them. Lines may be broken elsewhere.
    fn says(&self, what: &str, text: &str, words: &str) {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let words = self.filled(words);
        let mut rest = text.as_str();
        for part in words.split(" ... ") {
            let at = rest
                .find(part)
                .unwrap_or_else(|| panic!("{}: {what} does not say {part:?} there: {text:?}", self.place));
            rest = &rest[at + part.len()..];
        }
    }

    fn matches(&mut self, expected: &Value, actual: &Value, place: &str) {
        match expected {
            Value::String(text) if text == "..." => assert!(!actual.is_null(), "{place} is missing"),
            Value::String(text) if text.starts_with('$') => {
                let name = &text[1..];
                match self.remembered.get(name) {
                    Some(remembered) => {
                        assert_eq!(actual, remembered, "{place} is not what {text} was before (left: the answer)")
                    }
                    None => {
                        assert!(!actual.is_null(), "{place} is missing, so {text} remembers nothing");
                        self.remembered.insert(name.to_owned(), actual.clone());
                    }
                }
            }
            Value::String(text) if text.contains("...") => {
                let actual = actual.as_str().unwrap_or_else(|| panic!("{place} is not a text but {actual}"));
                assert!(has_gaps_as(text, actual), "{place} is not `{text}`, where `...` is any text, but `{actual}`");
            }
            Value::Object(fields) => {
                for (name, value) in fields {
                    let actual = actual.get(name).unwrap_or(&Value::Null);
                    self.matches(value, actual, &format!("{place}.{name}"));
                }
            }
            Value::Array(items) => {
                let actual = actual.as_array().unwrap_or_else(|| panic!("{place} is not an array but {actual}"));
                // The last `"..."` matches one item or more.
                let more = items.last().is_some_and(|last| last == "...") && actual.len() > items.len();
                let actual = if more { &actual[..items.len()] } else { actual.as_slice() };
                assert_eq!(
                    items.len(),
                    actual.len(),
                    "{place} has another number of items than the transcript says: {actual:?}"
                );
                for (index, (item, actual)) in items.iter().zip(actual).enumerate() {
                    self.matches(item, actual, &format!("{place}[{index}]"));
                }
            }
            _ => assert_eq!(expected, actual, "{place} differs (left: the transcript, right: the answer)"),
        }
    }

    /// What the last result shows to people.
    fn picture(&self, words: &str) {
        let Some(Heard::Result(result)) = &self.last else { panic!("{}: no result has a picture", self.place) };
        let blocks = result["content"].as_array().cloned().unwrap_or_default();
        let picture = blocks.iter().find(|block| block["type"] == "image");
        if words == "none" {
            assert!(picture.is_none(), "{}: no picture is wanted here: {result}", self.place);
            return;
        }
        let picture = picture.unwrap_or_else(|| panic!("{}: the result has no picture: {result}", self.place));
        assert_eq!(picture, blocks.last().expect("a block"), "{}: a picture comes after the text", self.place);
        assert_eq!(picture["mimeType"], "image/svg+xml", "{}: a picture is an SVG", self.place);
        let data = STANDARD.decode(picture["data"].as_str().unwrap_or_default()).expect("base64");
        let svg = String::from_utf8(data).expect("UTF-8");
        assert!(svg.len() <= 8_192, "{}: a picture has 8 KiB at most, not {} bytes", self.place, svg.len());
        // Its words only: texts of the document, with a space between them.
        let text: String = svg.split('>').filter_map(|part| Some(format!("{} ", part.split_once('<')?.0))).collect();
        self.says("the picture", &text, words);
    }

    fn directive(&mut self, directive: &str) {
        let (verb, rest) = directive.split_once(' ').unwrap_or((directive, ""));
        match verb {
            "address" => rest.clone_into(&mut self.query),
            "key" => {
                self.who = rest.to_owned();
                self.token = None;
            }
            "header" => {
                let field = rest.split_once(": ");
                let (name, value) = field.unwrap_or_else(|| panic!("{}: write `## header Name: value`", self.place));
                self.headers.retain(|(set, _)| set != name);
                self.headers.push((name.to_owned(), value.to_owned()));
            }
            "advance" => {
                let seconds =
                    rest.parse().unwrap_or_else(|_| panic!("{}: {rest:?} is no number of seconds", self.place));
                self.driver.advance(seconds);
            }
            "fault" => {
                let fault = self.json(&self.filled(rest));
                self.driver.admin("POST", "/_sandbox/faults", Some(json!({"faults": [fault]})));
            }
            "faults" if rest == "none" => {
                self.driver.admin("DELETE", "/_sandbox/faults", None);
            }
            "upstream" => self.upstream(rest),
            "picture" => self.picture(rest),
            "at" => {
                let count = rest.strip_prefix("once ").and_then(|count| count.parse().ok()).filter(|count| *count > 1);
                self.at_once = count.unwrap_or_else(|| panic!("{}: write `## at once 2`", self.place));
            }
            "restart" => self.driver.restart(),
            "wait" => {
                let seconds = rest.parse().unwrap_or_else(|_| panic!("{}: no number of seconds", self.place));
                self.is_over = !self.driver.wait(seconds);
            }
            // Read before the first line.
            "revision" => {}
            _ => self.person(verb, rest),
        }
    }

    /// Where a person confirms.
    fn person(&mut self, directive: &str, rest: &str) {
        match directive {
            "client" => {
                self.client = match rest {
                    "unattended" => Client::Unattended,
                    "without forms" => Client::WithoutForms,
                    "with forms" => Client::WithForms,
                    _ => panic!("{}: a client is `unattended`, `without forms` or `with forms`", self.place),
                }
            }
            "token" => {
                let (who, scope) =
                    rest.split_once(' ').unwrap_or_else(|| panic!("{}: write `## token owner tidb:write`", self.place));
                if !self.tokens.contains_key(rest) {
                    let flow = Flow::new(self.driver);
                    let code = flow.code(self.driver, Flow::typed(who, scope));
                    let tokens = Tokens::of(&self.driver.send(form("/token", &flow.redemption(&code))));
                    self.tokens.insert(rest.to_owned(), tokens.access);
                }
                self.token = self.tokens.get(rest).cloned();
            }
            "answer" => {
                let filled = self.filled(rest);
                let mut words = filled.splitn(3, ' ');
                let state = words.next().unwrap_or_default().to_owned();
                let response = match (words.next(), words.next()) {
                    (Some("accept"), Some(name)) => Some(json!({"action": "accept", "content": {"name": name}})),
                    (Some("accept"), None) => Some(json!({"action": "accept", "content": {}})),
                    (Some(action @ ("decline" | "cancel")), None) => Some(json!({"action": action})),
                    (Some("nothing"), None) => None,
                    _ => panic!("{}: an answer is `accept`, `decline`, `cancel` or `nothing`", self.place),
                };
                if self.has_sessions() {
                    self.post_answer(state, response);
                } else {
                    self.answer = Some((state, response));
                }
            }
            "cancel" => {
                let asked = self.filled(rest);
                let waiting = self.waiting.get(&asked);
                let id = waiting.unwrap_or_else(|| panic!("{}: no call waits for {rest}", self.place)).id;
                let params = json!({"requestId": id});
                let message = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params});
                self.post(message, asked);
            }
            "session" => rest.clone_into(&mut self.session),
            "open" => {
                let path = self.filled(rest);
                self.browser.open(self.driver, &path);
            }
            "prove" => self.browser.prove(self.driver, rest),
            "give" => {
                let (name, value) =
                    rest.split_once(' ').unwrap_or_else(|| panic!("{}: write `## give name value`", self.place));
                self.browser.give(name, value);
            }
            "take" => self.browser.take(self.driver, &self.filled(rest)),
            "allow" => self.browser.decide(self.driver, "confirm", rest),
            "decline" => self.browser.decide(self.driver, "decline", ""),
            "page" => {
                if let Some(words) = rest.strip_prefix("hides ") {
                    let html = self.browser.html();
                    assert!(!html.contains(words), "{}: the page has {words:?}: {html}", self.place);
                    return;
                }
                if let Some(address) = rest.strip_prefix("leads ") {
                    let leads = self.browser.leads().unwrap_or_default();
                    let is_there = has_gaps_as(&self.filled(address), &leads);
                    assert!(is_there, "{}: the page leads to {leads:?}", self.place);
                    return;
                }
                let (status, words) = rest.split_once(' ').unwrap_or((rest, ""));
                let text = self.browser.text();
                assert_eq!(status, self.browser.status().to_string(), "{}: status of the page: {text}", self.place);
                self.says("the page", &text, words);
            }
            _ => panic!("{}: there is no directive `## {directive}`; tests/README.md lists them", self.place),
        }
    }

    fn upstream(&mut self, expected: &str) {
        let requests = self.driver.admin("GET", "/_sandbox/requests", None);
        let lines: Vec<String> = requests["requests"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|request| {
                let word = |name: &str| request[name].as_str().unwrap_or_default().to_owned();
                format!("{} {}{} {}", word("method"), word("host"), word("path"), request["status"])
            })
            .collect();
        if let Ok(count) = expected.parse::<usize>() {
            assert_eq!(
                lines.len(),
                count,
                "{}: the last call sent another number of requests to TiDB Cloud: {lines:#?}",
                self.place
            );
        } else {
            let sent = lines.iter().any(|line| line == expected);
            assert!(sent, "{}: the last call did not send {expected}; it sent {lines:#?}", self.place);
        }
    }
}

/// Whether a text is this one, in which each `...` stands for any text.
fn has_gaps_as(expected: &str, actual: &str) -> bool {
    let Some((start, rest)) = expected.split_once("...") else { return expected == actual };
    let Some(mut left) = actual.strip_prefix(start) else { return false };
    let mut parts: Vec<&str> = rest.split("...").collect();
    let end = parts.pop().unwrap_or_default();
    for part in parts {
        match left.split_once(part) {
            Some((_, after)) => left = after,
            None => return false,
        }
    }
    left.ends_with(end)
}
