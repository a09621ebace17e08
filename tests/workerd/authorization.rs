//! Authorization where it has to be right: many requests at once, a restart between any two steps, and what is found
//! where it is stored.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use serde_json::Value;

use crate::{
    support::{
        Answer, Call, Driver, keys,
        oauth::{
            Flow, Page, Tokens, browser_form, encode, error, fields, form, get, link, list_clusters, parameter,
            registration, with,
        },
    },
    worker::{Own, Runtime, Worker, Workerd},
};

const SQL_PASSWORD: &str = "canary-Sql-password-1!";
const CLIENT_NAME: &str = "Canary client";

/// How many requests are under way at once.
const WIDTH: usize = 20;

/// Sends all at once, each from an address of its own.
fn at_once(origin: &str, calls: Vec<Call>) -> Vec<Answer> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let client = reqwest::Client::new();
    runtime.block_on(async {
        let senders: Vec<_> = calls
            .into_iter()
            .enumerate()
            .map(|(number, call)| {
                let mut request = client.post(format!("{origin}{}", call.target)).body(call.body);
                for (name, value) in &call.headers {
                    request = request.header(name, value);
                }
                request = request.header("CF-Connecting-IP", format!("198.19.200.{}", number + 1));
                tokio::spawn(async move {
                    let answer = request.send().await.expect("an answer");
                    Answer {
                        status: answer.status().as_u16(),
                        headers: Vec::new(),
                        body: answer.bytes().await.expect("a body").to_vec(),
                    }
                })
            })
            .collect();
        let mut answers = Vec::new();
        for sender in senders {
            answers.push(sender.await.expect("a sender"));
        }
        answers
    })
}

fn shared(number: u8) -> Workerd {
    Workerd { origin: Worker::shared(), address: format!("198.19.8.{number}") }
}

fn works(server: &mut impl Driver, access: &str) -> bool {
    match server.send(list_clusters(access)).status {
        200 => true,
        401 => false,
        status => panic!("{status}"),
    }
}

/// Neither token of a pair is worth anything.
fn assert_ended(server: &mut Workerd, flow: &Flow, tokens: &Tokens) {
    assert!(!works(server, &tokens.access));
    let refreshed = server.send(form("/token", &flow.refreshing(&tokens.refresh)));
    assert_eq!(error(&refreshed), (400, "invalid_grant".to_owned()));
}

#[test]
fn of_twenty_who_redeem_one_code_one_gets_tokens_and_they_end_at_once() {
    let mut server = shared(1);
    let flow = Flow::new(&mut server);
    for round in 0..3 {
        let code = flow.code(&mut server, Flow::typed("owner", "tidb:read"));
        let answers = at_once(&server.origin, vec![form("/token", &flow.redemption(&code)); WIDTH]);
        let (granted, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
        assert_eq!(granted.len(), 1, "round {round}");
        for answer in refused {
            assert_eq!(error(answer), (400, "invalid_grant".to_owned()));
        }
        // A code that comes twice may have been stolen.
        let tokens = Tokens::of(granted[0]);
        assert_ended(&mut server, &flow, &tokens);
    }
}

#[test]
fn twenty_refreshes_with_one_token_get_the_same_tokens() {
    let mut server = shared(2);
    let flow = Flow::new(&mut server);
    let mut tokens = flow.tokens(&mut server, "tidb:read");
    for round in 0..3 {
        let answers = at_once(&server.origin, vec![form("/token", &flow.refreshing(&tokens.refresh)); WIDTH]);
        let mut all = answers.iter().map(Tokens::of);
        let next = all.next().expect("tokens");
        assert!(all.all(|other| other == next), "round {round}");
        assert_ne!(next.refresh, tokens.refresh);
        assert!(works(&mut server, &next.access));
        tokens = next;
    }
}

#[test]
fn whatever_is_refreshed_while_it_is_revoked_is_revoked() {
    let mut server = shared(3);
    let flow = Flow::new(&mut server);
    for _ in 0..3 {
        let tokens = flow.tokens(&mut server, "tidb:read");
        let mut calls = vec![form("/token", &flow.refreshing(&tokens.refresh)); WIDTH / 2];
        let revocation = fields(&[("token", &tokens.refresh), ("client_id", &flow.client_id)]);
        calls.insert(WIDTH / 4, form("/revoke", &revocation));
        let answers = at_once(&server.origin, calls);
        assert_eq!(answers[WIDTH / 4].status, 200);
        assert!(!works(&mut server, &tokens.access));
        for answer in answers.iter().filter(|answer| answer.status == 200 && answer.body.len() > 2) {
            let tokens = Tokens::of(answer);
            assert_ended(&mut server, &flow, &tokens);
        }
    }
}

#[test]
fn a_form_that_is_sent_twenty_times_makes_one_grant() {
    let mut server = shared(4);
    let flow = Flow::new(&mut server);
    let page = flow.page(&mut server);
    let all = page.hidden.iter().cloned().chain(Flow::typed("owner", "tidb:read")).collect();
    let answers = at_once(&server.origin, vec![browser_form(&server.origin, "/consent", &page.cookie, &all); WIDTH]);
    let granted: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
    assert_eq!(granted.len(), 1);
    assert!(answers.iter().all(|answer| matches!(answer.status, 200 | 400)));
    let code = parameter(&link(granted[0]), "code").expect("a code");
    Tokens::of(&server.send(form("/token", &flow.redemption(&code))));
}

/// Each guess comes from an address of its own, and about a key of its own, so that no other limit is in the way.
#[test]
fn a_page_takes_five_guesses_however_fast_they_come() {
    let mut server = shared(5);
    let flow = Flow::new(&mut server);
    let page = flow.page(&mut server);
    let guess = |number: usize| {
        let typed = with(Flow::typed("owner", "tidb:read"), "publicKey", &format!("GUESS{number:03}"));
        browser_form(&server.origin, "/consent", &page.cookie, &page.hidden.iter().cloned().chain(typed).collect())
    };
    let calls = (0..WIDTH).map(guess).collect();
    server.admin("DELETE", "/_sandbox/requests", None);
    let answers = at_once(&server.origin, calls);
    assert!(answers.iter().all(|answer| answer.status == 400));
    let upstream = server.admin("GET", "/_sandbox/requests", None)["requests"].clone();
    // Each guess that gets through is one challenge and one answer to it (RFC 7616 section 3.3).
    let asked = upstream.as_array().expect("requests").len();
    assert!((5..=10).contains(&asked), "{asked} requests: {upstream}");
    let late = flow.decide(&mut server, &page, Flow::typed("owner", "tidb:read"));
    assert_eq!(late.status, 400, "the page has ended for the right keys as well");
}

/// A Worker that is stopped and started, and all that it said.
struct Restarted {
    own: Own,
    /// Every answer, without the one that holds tokens.
    answers: Vec<String>,
    /// What all Workers wrote so far.
    logs: String,
}

impl Restarted {
    fn new(address: &str) -> Self {
        Self { own: Own::start_for(Runtime::Workerd, address), answers: Vec::new(), logs: String::new() }
    }

    fn stop(&mut self) {
        self.own.stop();
        let log = fs::read_to_string(self.own.state.path().join("worker.log")).expect("a log");
        self.logs.push_str(&log);
    }
}

impl Driver for Restarted {
    fn send(&mut self, call: Call) -> Answer {
        let is_token = call.target == "/token";
        let answer = self.own.send(call);
        if !is_token {
            self.answers.push(format!("{:?} {}", answer.headers, String::from_utf8_lossy(&answer.body)));
        }
        answer
    }

    fn origin(&self) -> String {
        self.own.origin()
    }

    fn send_by_other_name(&mut self, call: Call) -> Answer {
        self.own.send_by_other_name(call)
    }

    fn admin(&mut self, method: &str, path: &str, body: Option<Value>) -> Value {
        self.own.admin(method, path, body)
    }

    fn advance(&mut self, seconds: u64) {
        self.own.advance(seconds);
    }

    fn restart(&mut self) {
        self.stop();
        self.own.start();
    }
}

fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a directory").flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// Texts to look for, by their first two bytes: what a Worker leaves behind is a few megabytes, and the spellings are many.
struct Needles {
    by_start: Vec<Vec<(String, Vec<u8>)>>,
}

impl Needles {
    fn new<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut by_start = vec![Vec::new(); 1 << 16];
        for text in texts {
            for spelling in spellings(text) {
                by_start[usize::from(u16::from_be_bytes([spelling[0], spelling[1]]))].push((text.to_owned(), spelling));
            }
        }
        Self { by_start }
    }

    /// One that is there.
    fn found_in(&self, bytes: &[u8]) -> Option<&str> {
        bytes.windows(2).enumerate().find_map(|(at, start)| {
            let candidates = &self.by_start[usize::from(u16::from_be_bytes([start[0], start[1]]))];
            let found = candidates.iter().find(|(_, spelling)| bytes[at..].starts_with(spelling));
            found.map(|(text, _)| text.as_str())
        })
    }
}

/// How a text may be written: as it is, in the two bytes a character that V8 stores a text with other letters in, and in
/// base64 and hexadecimal digits. Of base64, what does not depend on where the text begins.
fn spellings(text: &str) -> Vec<Vec<u8>> {
    let wide = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut all = vec![text.as_bytes().to_vec(), wide];
    for skipped in 0..3 {
        let whole = text.len() - skipped - (text.len() - skipped) % 3;
        let part = &text.as_bytes()[skipped..skipped + whole];
        all.extend([STANDARD_NO_PAD.encode(part).into_bytes(), URL_SAFE_NO_PAD.encode(part).into_bytes()]);
    }
    let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    all.push(hex.into_bytes());
    all
}

/// Looks for secrets in everything that a stopped Worker left behind: the databases of its Durable Objects and all logs.
fn assert_nothing_is_left(server: &Restarted, secrets: &BTreeSet<String>) {
    let mut found = Vec::new();
    files(server.own.state.path(), &mut found);
    assert!(found.iter().any(|path| path.to_string_lossy().contains("AuthorizationStore")), "{found:?}");
    let mut contents: Vec<(String, Vec<u8>)> =
        found.iter().map(|path| (path.display().to_string(), fs::read(path).expect("a file"))).collect();
    contents.push(("the logs".to_owned(), server.logs.clone().into_bytes()));
    let needles = Needles::new(secrets.iter().map(String::as_str));
    for (place, bytes) in &contents {
        assert_eq!(needles.found_in(bytes), None, "in {place}");
    }
}

fn is_stored(server: &Restarted, text: &str) -> bool {
    let mut found = Vec::new();
    files(server.own.state.path(), &mut found);
    let needles = Needles::new([text]);
    let stored = found.iter().filter(|path| path.to_string_lossy().contains("AuthorizationStore"));
    stored.into_iter().any(|path| needles.found_in(&fs::read(path).expect("a file")).is_some())
}

/// The part of a token or a code that nobody but its client knows.
fn secret_of(token: &str) -> String {
    token.rsplit('.').next().expect("a last part").to_owned()
}

/// The whole life of a grant, with the Worker stopped after every step, and what it left behind searched.
#[test]
fn nothing_is_forgotten_in_a_restart_and_no_secret_is_stored_shown_or_logged() {
    let mut server = Restarted::new("198.19.9.1");
    let (public, private) = keys("owner");
    let mut secrets = BTreeSet::from([public.to_owned(), private.clone(), SQL_PASSWORD.to_owned()]);
    let mut step = |server: &mut Restarted, more: &[&str]| {
        secrets.extend(more.iter().map(|token| secret_of(token)));
        server.stop();
        assert_nothing_is_left(server, &secrets);
        server.own.start();
    };

    let redirect = "http://127.0.0.1:3000/callback";
    let about = serde_json::json!({"client_name": CLIENT_NAME, "redirect_uris": [redirect]});
    let registered = server.send(registration(&about));
    assert_eq!(registered.status, 201);
    let client_id = registered.json()["client_id"].as_str().expect("a client id").to_owned();
    let flow = Flow { origin: server.origin(), client_id, redirect_uri: redirect.to_owned() };
    step(&mut server, &[]);

    let request = with(flow.request(), "scope", "tidb:read tidb:write");
    let page = Page::of(&server.send(get(&format!("/authorize?{}", encode(&request)))));
    let csrf = page.value("csrf").to_owned();
    step(&mut server, &[]);

    let typed = [
        Flow::typed("owner", "tidb:write"),
        fields(&[("sqlUser", "SbxShop7Wq3Kd9e.reports"), ("sqlPassword", SQL_PASSWORD)]),
    ];
    let consent = flow.decide(&mut server, &page, typed.concat());
    assert_eq!(consent.status, 200, "{}", String::from_utf8_lossy(&consent.body));
    let code = parameter(&link(&consent), "code").expect("a code");
    step(&mut server, &[&code, &csrf]);

    // What is stored in the open is found.
    assert!(is_stored(&server, CLIENT_NAME));

    let first = Tokens::of(&server.send(form("/token", &flow.redemption(&code))));
    step(&mut server, &[&first.access, &first.refresh]);
    assert!(works(&mut server, &first.access));
    step(&mut server, &[]);
    let second = Tokens::of(&server.send(form("/token", &flow.refreshing(&first.refresh))));
    step(&mut server, &[&second.access, &second.refresh]);
    assert!(works(&mut server, &second.access));
    step(&mut server, &[]);
    let revocation = fields(&[("token", &second.refresh), ("client_id", &flow.client_id)]);
    assert_eq!(server.send(form("/revoke", &revocation)).status, 200);
    step(&mut server, &[]);
    assert!(!works(&mut server, &first.access) && !works(&mut server, &second.access));
    for gone in [flow.redemption(&code), flow.refreshing(&first.refresh), flow.refreshing(&second.refresh)] {
        assert_eq!(error(&server.send(form("/token", &gone))), (400, "invalid_grant".to_owned()));
    }
    server.stop();

    // The search would have found something: each of these steps was logged.
    for event in ["consent", "code_exchange", "refresh", "revocation"] {
        assert!(server.logs.contains(&format!("\"event\":\"{event}\"")), "{event} is not in {}", server.logs);
    }
    let needles = Needles::new([private.as_str(), SQL_PASSWORD]);
    for answer in &server.answers {
        assert_eq!(needles.found_in(answer.as_bytes()), None, "in {answer}");
    }
}
