//! The authorization server: what strangers can use up, where errors are sent, and what ends together.

use mcp_server_tidbcloud::{
    app::Isolate,
    port::Store as _,
    store::{
        document,
        object::{self, ObjectName},
    },
};
use proptest::prelude::*;
use serde_json::{Value, json};
use url::Url;

use crate::{
    support::{
        Answer, Driver,
        bad_inputs::ACCESS_KEY,
        keys,
        oauth::{
            CHALLENGE, Fields, Flow, Page, Tokens, browser_form, error, fields, form, get, link, list_clusters,
            parameter, registration, with, without,
        },
    },
    world::{Native, SANDBOX, block_on},
};

/// Everything that one grant ever gave.
struct Family {
    flow: Flow,
    code: String,
    refresh: Vec<String>,
    access: Vec<String>,
}

impl Family {
    fn new(server: &mut Native) -> Self {
        let flow = Flow::new(server);
        let code = flow.code(server, Flow::typed("owner", "tidb:read"));
        let mut family = Self { flow, code, refresh: Vec::new(), access: Vec::new() };
        let answer = server.send(form("/token", &family.flow.redemption(&family.code)));
        family.take(Tokens::of(&answer));
        family
    }

    fn take(&mut self, tokens: Tokens) {
        if !self.refresh.contains(&tokens.refresh) {
            self.refresh.push(tokens.refresh);
            self.access.push(tokens.access);
        }
    }

    /// Refreshes with the token that was given as many times ago.
    fn refresh(&mut self, server: &mut Native, back: usize) {
        let at = self.refresh.len().saturating_sub(1 + back);
        let answer = server.send(form("/token", &self.flow.refreshing(&self.refresh[at])));
        self.take(Tokens::of(&answer));
    }

    fn revoke(&self, server: &mut Native, token: &str) {
        let all = fields(&[("token", token), ("client_id", &self.flow.client_id)]);
        assert_eq!(server.send(form("/revoke", &all)).status, 200);
    }

    /// The tokens of the grant that still open something or still can be exchanged.
    fn living(&self, server: &mut Native) -> Vec<String> {
        let mut living = Vec::new();
        for token in &self.access {
            if server.send(list_clusters(token)).status == 200 {
                living.push(token.clone());
            }
        }
        for token in &self.refresh {
            if error(&server.send(form("/token", &self.flow.refreshing(token)))) != (400, "invalid_grant".to_owned()) {
                living.push(token.clone());
            }
        }
        if server.send(form("/token", &self.flow.redemption(&self.code))).status == 200 {
            living.push(self.code.clone());
        }
        living
    }
}

/// What is stored of the only grant.
fn stored(server: &Native) -> Value {
    let objects = server.world.objects.borrow();
    let (_, text) = objects.iter().find(|(name, _)| name.starts_with("grant:")).expect("a grant");
    serde_json::from_str::<Value>(text).expect("JSON")["grant"].take()
}

/// A server whose limits are not what a test is about.
fn unlimited() -> Native {
    Native::with(&[
        ("TIDB_CLOUD_SANDBOX", SANDBOX),
        ("RATE_LIMIT_PER_MINUTE", "1000000"),
        ("CREDENTIAL_LIMIT_PER_MINUTE", "1000000"),
    ])
}

#[test]
fn sec_017_a_refresh_token_two_rotations_old_ends_the_grant() {
    let mut server = unlimited();
    let mut family = Family::new(&mut server);
    family.refresh(&mut server, 0);
    family.refresh(&mut server, 0);
    assert_eq!(family.refresh.len(), 3);
    family.revoke(&mut server, &family.refresh[0]);
    assert_eq!(family.living(&mut server), Vec::<String>::new());
    let log = server.world.log.borrow();
    assert_eq!(log.iter().filter(|line| line.contains("\"event\":\"revocation\"")).count(), 1);
}

/// One thing that happens to a grant before somebody revokes it.
#[derive(Clone, Copy, Debug)]
enum Step {
    Refresh,
    /// The token before, within the half minute in which its answer can be had again.
    Replay,
    Wait(u64),
    /// An access token is put away: that alone ends nothing.
    PutAway(prop::sample::Index),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => Just(Step::Refresh),
        2 => Just(Step::Replay),
        2 => prop_oneof![1..29_u64, 31..4_000_u64].prop_map(Step::Wait),
        1 => any::<prop::sample::Index>().prop_map(Step::PutAway),
    ];
    prop::collection::vec(step, 0..10)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever happened before, one revocation with any refresh token that the grant ever gave, or with its code, by its
    /// client leaves nothing that opens. The same by another client changes nothing.
    #[test]
    fn sec_017_any_token_of_a_family_ends_all_of_it(steps in steps(), with in any::<prop::sample::Index>()) {
        let mut server = unlimited();
        let mut family = Family::new(&mut server);
        let mut rotated = None;
        for step in steps {
            match step {
                Step::Refresh => {
                    family.refresh(&mut server, 0);
                    rotated = Some(server.world.clock.get());
                }
                Step::Replay if rotated.is_some_and(|at| server.world.clock.get() < at + 30_000) => {
                    family.refresh(&mut server, 1);
                }
                Step::Replay => {}
                Step::Wait(seconds) => server.advance(seconds),
                Step::PutAway(index) => {
                    let token = index.get(&family.access).clone();
                    family.revoke(&mut server, &token);
                }
            }
        }
        let revoked = with.get(&[family.refresh.clone(), vec![family.code.clone()]].concat()).clone();
        let before = stored(&server);
        let stranger = Flow::registering(&mut server, &["https://stranger.example/cb"]);
        let all = fields(&[("token", &revoked), ("client_id", &stranger.client_id)]);
        prop_assert_eq!(server.send(form("/revoke", &all)).status, 200);
        prop_assert_eq!((&before["code"], &before["refresh"]), (&stored(&server)["code"], &stored(&server)["refresh"]));

        family.revoke(&mut server, &revoked);
        prop_assert_eq!(family.living(&mut server), Vec::<String>::new());
    }
}

/// Every other way in which a grant ends, while its last answer could still be had again.
#[test]
fn sec_017_however_a_grant_ends_all_of_it_ends() {
    type End = fn(&mut Native, &Family);
    let ways: [(&str, End); 4] = [
        ("its code is redeemed twice", |server, family| {
            server.send(form("/token", &family.flow.redemption(&family.code)));
        }),
        ("an old refresh token is used", |server, family| {
            server.send(form("/token", &family.flow.refreshing(&family.refresh[0])));
        }),
        ("the person ends it", |server, _| {
            let (public, private) = keys("owner");
            let proof = fields(&[("publicKey", public), ("privateKey", &private)]);
            let page = Page::of(&server.send(browser_form(&server.origin(), "/grants", "", &proof)));
            let all = fields(&[("csrf", page.value("csrf")), ("grant", page.value("grant")), ("then", "end")]);
            let ended = server.send(browser_form(&server.origin(), "/grants/revoke", &page.cookie, &all));
            assert_eq!(ended.status, 200);
        }),
        ("36 newer grants hold its key", |server, family| {
            for _ in 0..36 {
                server.behind(&format!("192.0.2.{}", server.world.objects.borrow().len()));
                family.flow.code(server, Flow::typed("owner", "tidb:read"));
            }
        }),
    ];
    for (way, end) in ways {
        let mut server = unlimited();
        let mut family = Family::new(&mut server);
        family.refresh(&mut server, 0);
        family.refresh(&mut server, 0);
        family.refresh(&mut server, 1);
        end(&mut server, &family);
        assert_eq!(family.living(&mut server), Vec::<String>::new(), "{way}");
    }
}

/// What has ended is gone from the storage with the next use of the grant, so that a token from an old log opens nothing even
/// together with the storage and the server secret.
#[test]
fn sec_017_nothing_that_a_dead_token_opens_is_kept() {
    let mut server = unlimited();
    let mut family = Family::new(&mut server);
    family.refresh(&mut server, 0);
    let kept = |server: &Native| {
        let grant = stored(server);
        (grant["access"].as_array().map(Vec::len), grant["replaced"].is_null(), grant["code"]["wrapped"].is_null())
    };
    assert_eq!(kept(&server), (Some(2), false, true));
    server.advance(60);
    assert_eq!(server.send(list_clusters(&family.access[1])).status, 200);
    assert_eq!(kept(&server), (Some(2), true, true));
    server.advance(3_600);
    family.refresh(&mut server, 0);
    assert_eq!(kept(&server), (Some(1), false, true));
    assert_eq!(error(&server.send(form("/token", &family.flow.refreshing(&family.refresh[0])))).1, "invalid_grant");
    assert_eq!(server.send(list_clusters(&family.access[2])).status, 401, "and still ends the grant");
}

/// A refresh that succeeds and gives tokens that open nothing keeps a client from connecting again.
#[test]
fn sec_017_an_access_key_that_was_replaced_ends_refresh_tokens_and_codes_as_well() {
    let private = keys("owner").1;
    let deployment = |access_key: &str| {
        Native::with(&[
            ("TIDB_CLOUD_SANDBOX", SANDBOX),
            ("TIDB_CLOUD_PUBLIC_KEY", "SBXOWNER"),
            ("TIDB_CLOUD_PRIVATE_KEY", &private),
            ("MCP_ACCESS_KEY", access_key),
        ])
    };
    let mut server = deployment(ACCESS_KEY);
    let flow = Flow::new(&mut server);
    let typed = || fields(&[("accessKey", ACCESS_KEY), ("scope", "tidb:read")]);
    let code = flow.code(&mut server, typed());
    let tokens = Tokens::of(&server.send(form("/token", &flow.redemption(&code))));
    let unused = flow.code(&mut server, typed());

    server.config = deployment("canary-access-key-two-0123456789abcdef").config;
    server.isolate = Isolate::new();
    let refused = (400, "invalid_grant".to_owned());
    assert_eq!(server.send(list_clusters(&tokens.access)).status, 401);
    assert_eq!(error(&server.send(form("/token", &flow.refreshing(&tokens.refresh)))), refused);
    assert_eq!(error(&server.send(form("/token", &flow.redemption(&unused)))), refused);
}

/// A page that says what is wrong, and leads nowhere.
fn assert_page_of_ours(answer: &Answer, error: &str, place: &str) {
    let html = String::from_utf8_lossy(&answer.body);
    assert_eq!(answer.status, 400, "{place}: {html}");
    assert!(answer.header("Location").is_none() && answer.header("Refresh").is_none(), "{place}");
    assert!(html.contains(&format!("<code>{error}</code>")), "{place}: {html}");
    assert!(!html.contains("http-equiv") && !html.contains("<a "), "{place}: {html}");
    assert!(!html.contains("elsewhere.example"), "{place}: {html}");
}

#[test]
fn sec_014_an_error_is_not_sent_to_a_host_that_nobody_vouches_for() {
    let mut server = unlimited();
    let flow = Flow::registering(&mut server, &["https://elsewhere.example/cb"]);
    let answer = flow.open(&mut server, &with(flow.request(), "response_type", "x"));
    assert_page_of_ours(&answer, "unsupported_response_type", "response_type=x");
}

/// Everything that can be wrong with a request whose client and redirect URI are right, and its error.
fn wrong(request: &Fields) -> Vec<(Fields, &'static str)> {
    let set = |name: &str, value: &str| with(request.clone(), name, value);
    let twice = |name: &str| [request.clone(), fields(&[(name, "tidb:read")])].concat();
    let mut all = vec![
        (set("response_type", "x"), "unsupported_response_type"),
        (set("response_type", "token"), "unsupported_response_type"),
        (set("response_type", "code token"), "unsupported_response_type"),
        (set("response_type", ""), "invalid_request"),
        (without(request.clone(), "response_type"), "invalid_request"),
        (set("response_mode", "fragment"), "invalid_request"),
        (set("response_mode", "form_post"), "invalid_request"),
        (set("request", "x"), "request_not_supported"),
        (set("request_uri", "https://elsewhere.example/x"), "request_uri_not_supported"),
        (without(request.clone(), "code_challenge"), "invalid_request"),
        (set("code_challenge", &CHALLENGE[1..]), "invalid_request"),
        (without(request.clone(), "code_challenge_method"), "invalid_request"),
        (set("code_challenge_method", "plain"), "invalid_request"),
        (set("resource", "https://elsewhere.example/mcp"), "invalid_target"),
        (set("scope", "everything"), "invalid_scope"),
        (set("state", &"x".repeat(2_049)), "invalid_request"),
    ];
    for name in ["response_type", "code_challenge", "code_challenge_method", "scope", "state"] {
        all.push((twice(name), "invalid_request"));
    }
    for name in ["response_mode", "request", "request_uri"] {
        all.push(([request.clone(), fields(&[(name, "query"), (name, "query")])].concat(), "invalid_request"));
    }
    all
}

/// Each of these is opened with each thing that can be wrong, and is either sent to where somebody vouches for, or nowhere.
#[test]
fn sec_014_every_error_goes_where_somebody_vouches_for_or_to_a_page_of_ours() {
    const REGISTERED: &str = "";
    const DOCUMENT: &str = "https://clients.example/valid.json";
    const ELSEWHERE: &str = "https://clients.example/elsewhere.json";
    const CLAUDE: &str = "https://claude.ai/oauth/mcp-oauth-client-metadata";
    let places = [
        (REGISTERED, "http://127.0.0.1:3000/cb", true),
        (REGISTERED, "http://127.8.9.1/cb", true),
        (REGISTERED, "http://localhost:8787/callback?a=1", true),
        (REGISTERED, "https://localhost:8787/callback", true),
        (REGISTERED, "http://[::1]:7777/cb", true),
        (REGISTERED, "https://claude.ai/api/mcp/auth_callback", true),
        (REGISTERED, "https://claude.com/api/mcp/auth_callback", true),
        (REGISTERED, "https://vscode.dev/redirect", true),
        (REGISTERED, "https://insiders.vscode.dev/redirect", true),
        (REGISTERED, "https://www.cursor.com/agents/mcp/oauth/callback", true),
        (REGISTERED, "https://chatgpt.com/connector_platform_oauth_redirect", true),
        (DOCUMENT, "https://clients.example/callback", true),
        (DOCUMENT, "http://127.0.0.1:50123/callback", true),
        (CLAUDE, "https://claude.com/api/mcp/auth_callback", true),
        (REGISTERED, "https://elsewhere.example/cb", false),
        // A redirector of a known host.
        (REGISTERED, "https://vscode.dev/redirect?url=vscode%3Aextension%2Fevil.evil", false),
        (REGISTERED, "https://elsewhere.example:8443/cb?next=https://claude.ai/", false),
        (REGISTERED, "https://claude.ai.elsewhere.example/cb", false),
        (REGISTERED, "https://elsewhere.example/claude.ai", false),
        (REGISTERED, "https://localhost.elsewhere.example/cb", false),
        (REGISTERED, "https://notclaude.ai/cb", false),
        (REGISTERED, "https://api.claude.ai/cb", false),
        (REGISTERED, "https://claude.ai./cb", false),
        (REGISTERED, "https://claude.ai:8443/cb", false),
        (REGISTERED, "https://xn--cude-0la76d.ai/cb", false),
        (REGISTERED, "https://192.0.2.7/cb", false),
        (REGISTERED, "https://[2001:db8::7]/cb", false),
        (REGISTERED, "https://0x7f000001.elsewhere.example/cb", false),
        (REGISTERED, "cursor://anysphere.cursor-deeplink/mcp/install?name=x", false),
        (REGISTERED, "cursor://localhost/cb", false),
        (REGISTERED, "vscode://claude.ai/cb", false),
        (REGISTERED, "vscode-insiders://127.0.0.1/cb", false),
        (REGISTERED, "windsurf://x/cb", false),
        (REGISTERED, "claude://claude.ai/cb", false),
        // A document vouches for its own host, and its own host only.
        (ELSEWHERE, "https://elsewhere.example/callback", false),
        (ELSEWHERE, "https://clients.example:8443/callback", false),
        (ELSEWHERE, "https://clients.example.elsewhere.example/callback", false),
        (ELSEWHERE, "https://www.clients.example/callback", false),
        (ELSEWHERE, "cursor://clients.example/callback", false),
        (REGISTERED, "https://clients.example/callback", false),
    ];
    let mut server = unlimited();
    for (client, redirect, vouched_for) in places {
        let mut flow = if client == REGISTERED {
            Flow::registering(&mut server, &[redirect])
        } else {
            Flow { origin: server.origin(), client_id: client.to_owned(), redirect_uri: redirect.to_owned() }
        };
        flow.redirect_uri = redirect.to_owned();
        for (number, (request, error)) in wrong(&flow.request()).into_iter().enumerate() {
            server.behind(&format!("198.51.100.{number}"));
            let answer = flow.open(&mut server, &request);
            let place = format!("{client} {redirect} {request:?}");
            if vouched_for {
                assert_eq!(answer.status, 302, "{place}");
                let to = Url::parse(answer.header("Location").expect("a place")).expect("an address");
                let registered = Url::parse(redirect).expect("an address");
                assert_eq!((to.origin(), to.path()), (registered.origin(), registered.path()), "{place}");
                assert_eq!(parameter(&to, "error").as_deref(), Some(error), "{place}");
            } else {
                assert_page_of_ours(&answer, error, &place);
            }
        }
        // What is not wrong is shown to a person, whatever else the client wants, and a decision goes where it says.
        for prompt in ["none", "login", "consent"] {
            assert_eq!(flow.open(&mut server, &with(flow.request(), "prompt", prompt)).status, 200, "{redirect}");
        }
        let page = flow.page(&mut server);
        let declined = link(&flow.decide(&mut server, &page, fields(&[("decision", "deny")])));
        assert!(declined.as_str().starts_with(redirect.split('?').next().expect("a start")), "{declined}");
        let ended = flow.decide(&mut server, &page, fields(&[("decision", "deny")]));
        assert_page_of_ours(&ended, "invalid_request", redirect);
        server.advance(60);
    }
}

const CLAUDE: &str = "https://claude.ai/oauth/mcp-oauth-client-metadata";

/// Somebody at this address opens the page of a client with a document: the status of what is shown.
fn open(server: &mut Native, address: &str, client_id: &str, redirect_uri: &str) -> u16 {
    server.behind(address);
    let flow = Flow { origin: server.origin(), client_id: client_id.to_owned(), redirect_uri: redirect_uri.to_owned() };
    flow.open(server, &flow.request()).status
}

fn open_claude(server: &mut Native, address: &str) -> u16 {
    open(server, address, CLAUDE, "https://claude.ai/api/mcp/auth_callback")
}

/// How many requests for these were sent.
fn fetched(server: &Native, what: &str) -> usize {
    server.world.sent.borrow().iter().filter(|(target, _)| target.contains(what)).count()
}

#[test]
fn sec_008_a_known_client_is_served_whatever_strangers_ask_for() {
    let mut server = Native::new();
    let mut refused = 0;
    for number in 0..800 {
        let address = format!("198.51.{}.7", number % 27);
        let id = format!("https://stranger-{number}.example/client.json");
        refused += usize::from(open(&mut server, &address, &id, "https://stranger.example/cb") == 429);
    }
    assert!(refused > 0, "there is a limit");
    assert_eq!(open_claude(&mut server, "203.0.113.9"), 200);
    // So it is from an isolate that knows nothing, and from among the strangers.
    for address in ["203.0.113.9", "198.51.3.8"] {
        server.isolate = Isolate::new();
        assert_eq!(open_claude(&mut server, address), 200, "{address}");
    }
    // A known client may have a document for each of those who connect: 400 says that the sandbox has none.
    let of_chatgpt = "https://chatgpt.com/connectors/1/client.json";
    assert_eq!(open(&mut server, "203.0.113.9", of_chatgpt, "https://chatgpt.com/cb"), 400);
}

/// What somebody has seen, or has connected with, is known, also to an isolate that has not and after weeks.
#[test]
fn sec_008_a_document_that_was_seen_before_is_served_whatever_strangers_ask_for() {
    let mut server = Native::new();
    let seen = "https://clients.example/valid.json";
    assert_eq!(open(&mut server, "203.0.113.8", seen, NO_STORE_REDIRECT), 200);
    connect(&mut server, NO_STORE, NO_STORE_REDIRECT);
    for (wait, known) in [(20 * 60 * 60, [seen, NO_STORE]), (60 * 24 * 60 * 60, [NO_STORE, NO_STORE])] {
        server.advance(wait);
        server.isolate = Isolate::new();
        for number in 0..800 {
            let id = format!("https://clients.example/{number}.json?{wait}");
            open(&mut server, &format!("198.51.{}.7", number % 27), &id, NO_STORE_REDIRECT);
        }
        for known in known {
            assert_eq!(open(&mut server, "203.0.113.9", known, NO_STORE_REDIRECT), 200, "{known} after {wait} s");
        }
        let unknown = "https://clients.example/localhost-only.json";
        assert_eq!(open(&mut server, "203.0.113.9", unknown, "http://localhost/callback"), 429);
    }
}

/// A document whose server wants nobody to keep it.
const NO_STORE: &str = "https://clients.example/no-store.json";
const NO_STORE_REDIRECT: &str = "https://clients.example/callback";

/// Somebody connects with a document.
fn connect(server: &mut Native, client_id: &str, redirect_uri: &str) {
    server.behind("203.0.113.200");
    let flow = Flow { origin: server.origin(), client_id: client_id.to_owned(), redirect_uri: redirect_uri.to_owned() };
    flow.tokens(server, "tidb:read");
}

/// What strangers do: so many requests from one network.
#[derive(Clone, Debug)]
struct Flood {
    network: String,
    /// Another subscriber for each request, or one for all.
    spread: bool,
    kind: usize,
    requests: usize,
    forgetful: bool,
    pause_millis: u64,
}

fn floods() -> impl Strategy<Value = Vec<Flood>> {
    // /24s and /48s of strangers, one of the range that is shared, and the network of whoever is asking.
    let network = prop_oneof![
        (0..200_u8).prop_map(|number| format!("198.51.{number}.")),
        (0..200_u16).prop_map(|number| format!("2001:db8:{number:x}:")),
        Just("160.79.104.".to_owned()),
        Just("203.0.113.".to_owned()),
    ];
    let pause = prop_oneof![3 => Just(0_u64), 1 => 0..120_000_u64];
    let flood = (network, any::<bool>(), 0..8_usize, 20..160_usize, any::<bool>(), pause).prop_map(
        |(network, spread, kind, requests, forgetful, pause_millis)| Flood {
            network,
            spread,
            kind,
            requests,
            forgetful,
            pause_millis,
        },
    );
    prop::collection::vec(flood, 1..12)
}

impl Flood {
    fn address(&self, number: usize) -> String {
        let number = if self.spread { number % 200 } else { 7 };
        if self.network.contains(':') {
            format!("{}{number:x}::7", self.network)
        } else {
            format!("{}{number}", self.network)
        }
    }

    /// Documents that are not there, that are there, at many hosts, at one, at a known client's, and the known ones.
    fn document(&self, number: usize) -> String {
        match self.kind {
            0 => format!("https://stranger-{number}.example/client.json"),
            1 => format!("https://s{number}.clients.example/valid.json"),
            2 => format!("https://clients.example/{number}.json"),
            3 => format!("https://clients.example/valid.json?{number}"),
            4 => format!("https://claude.ai/oauth/{number}"),
            5 => format!("{CLAUDE}?{number}"),
            6 => NO_STORE.to_owned(),
            _ => CLAUDE.to_owned(),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// However many strangers ask from however many networks, for whatever documents, whoever comes with a known document
    /// waits for nobody, and its host is asked no more than once in ten seconds.
    #[test]
    fn sec_008_no_interleaving_of_strangers_keeps_a_known_client_out(floods in floods()) {
        let mut server = unlimited();
        connect(&mut server, NO_STORE, NO_STORE_REDIRECT);
        server.advance(10);
        let (began, before) = (server.world.clock.get(), fetched(&server, "clients.example/no-store.json"));
        for flood in floods {
            for number in 0..flood.requests {
                if flood.forgetful {
                    server.isolate = Isolate::new();
                }
                open(&mut server, &flood.address(number), &flood.document(number), NO_STORE_REDIRECT);
            }
            server.world.clock.set(server.world.clock.get() + flood.pause_millis);
            for forgetful in [false, true] {
                if forgetful {
                    server.isolate = Isolate::new();
                }
                prop_assert_eq!(open_claude(&mut server, "203.0.113.9"), 200);
                prop_assert_eq!(open(&mut server, "203.0.113.9", NO_STORE, NO_STORE_REDIRECT), 200);
            }
        }
        let seconds = (server.world.clock.get() - began).div_ceil(1_000);
        let asked = fetched(&server, "clients.example/no-store.json") - before;
        prop_assert!(asked as u64 <= 1 + seconds / 10, "{asked} times in {seconds} s");
    }
}

/// What one network asks for in three minutes, as fast as it can, leaves enough for others: for a client that nobody here
/// has seen, at a host of its own and at the very host that the network asks for.
#[test]
fn sec_008_one_network_does_not_use_up_what_is_for_all() {
    type Named = (&'static str, fn(usize) -> String);
    let networks: [Named; 4] = [
        ("a /24", |number| format!("198.51.100.{}", number % 256)),
        ("a /48", |number| format!("2001:db8:7:{number:x}::1")),
        ("addresses that many share", |number| format!("160.79.104.{}", number % 256)),
        ("one address", |_| "198.51.100.7".to_owned()),
    ];
    let documents: [Named; 3] = [
        ("at one host", |number| format!("https://clients.example/valid.json?{number}")),
        ("at hosts of their own", |number| format!("https://s{number}.clients.example/valid.json")),
        ("where nothing is", |number| format!("https://stranger-{number}.example/client.json")),
    ];
    for (network, address) in networks {
        for (kind, document) in documents {
            let mut server = unlimited();
            let mut refused = 0;
            for number in 0..600 {
                let status = open(&mut server, &address(number), &document(number), NO_STORE_REDIRECT);
                refused += usize::from(status == 429);
                server.world.clock.set(server.world.clock.get() + 300);
                if number % 100 == 0 {
                    for honest in ["https://clients.example/valid.json", "https://other.clients.example/valid.json"] {
                        server.isolate = Isolate::new();
                        let status = open(&mut server, "203.0.113.9", honest, NO_STORE_REDIRECT);
                        assert_eq!(status, 200, "{network}, documents {kind}: {honest} after {number}");
                    }
                }
            }
            assert!(refused > 300, "{network}, documents {kind}: {refused}");
        }
    }
}

#[test]
fn sec_008_strangers_do_not_push_known_documents_out_of_memory() {
    let mut server = unlimited();
    assert_eq!(open_claude(&mut server, "203.0.113.9"), 200);
    for number in 0..200 {
        let id = format!("https://s{number}.clients.example/valid.json");
        assert_eq!(open(&mut server, &format!("198.51.{number}.7"), &id, NO_STORE_REDIRECT), 200);
    }
    server.world.subrequests.borrow_mut().clear();
    assert_eq!(open_claude(&mut server, "203.0.113.9"), 200);
    let asked = server.world.subrequests.borrow();
    assert!(asked.iter().all(|name| name.starts_with("authorization:")), "{asked:?}");
}

/// Whoever is told to fetch a document and goes away takes the turn with them; done again and again, from other networks than
/// those that use up everything else, that keeps nobody out either, and no old copy alive.
#[test]
fn sec_008_strangers_who_go_away_keep_no_known_client_out() {
    let mut server = Native::new();
    connect(&mut server, NO_STORE, NO_STORE_REDIRECT);
    for wait in [30, 120, 3 * 24 * 60 * 60] {
        server.advance(wait);
        for number in 0..800 {
            let id = format!("https://clients.example/{number}.json?{wait}");
            open(&mut server, &format!("198.51.{}.7", number % 27), &id, NO_STORE_REDIRECT);
        }
        let look = object::Command::Document(document::Command::Look { well_known: false });
        block_on(server.world.object(&ObjectName::document(NO_STORE), &look)).expect("a reply");
        let before = fetched(&server, "/no-store.json");
        assert_eq!(open(&mut server, "203.0.113.9", NO_STORE, NO_STORE_REDIRECT), 200, "after {wait} s");
        assert_eq!(fetched(&server, "/no-store.json") > before, wait > 60, "a copy stands in for a minute");
    }
}

/// A document that was withdrawn or changed is not kept alive by those who keep asking for it.
#[test]
fn sec_008_a_known_document_is_fetched_again_when_it_is_due() {
    let mut server = unlimited();
    connect(&mut server, "https://clients.example/valid.json", NO_STORE_REDIRECT);
    server.advance(600);
    let before = fetched(&server, "/valid.json");
    for _ in 0..50 {
        server.isolate = Isolate::new();
        assert_eq!(open(&mut server, "203.0.113.9", "https://clients.example/valid.json", NO_STORE_REDIRECT), 200);
    }
    assert_eq!(fetched(&server, "/valid.json") - before, 1, "all isolates share what one of them fetched");
    server.advance(301);
    server.isolate = Isolate::new();
    assert_eq!(open(&mut server, "203.0.113.9", "https://clients.example/valid.json", NO_STORE_REDIRECT), 200);
    assert_eq!(fetched(&server, "/valid.json") - before, 2);
}

/// The address is Claude's, and a stranger at it opens pages and registers as fast as it can: whoever refreshes or revokes
/// there goes on.
#[test]
fn sec_008_strangers_at_an_address_that_many_share_use_up_nobody_elses_refreshes() {
    let mut server = Native::new();
    server.behind("160.79.104.9");
    let flow = Flow::new(&mut server);
    let mut tokens = flow.tokens(&mut server, "tidb:read");
    let register = || registration(&json!({"redirect_uris": ["https://claude.ai/api/mcp/auth_callback"]}));
    let pages = (0..1_100).map(|_| server.send(get("/grants")).status);
    assert_eq!(pages.last(), Some(429), "the address has a limit");
    assert_eq!(server.send(register()).status, 201, "pages and registrations are counted apart");
    let registered = (0..1_100).filter(|_| server.send(register()).status == 201).count();
    assert_eq!(registered, 1_000 - 2);
    tokens = Tokens::of(&server.send(form("/token", &flow.refreshing(&tokens.refresh))));
    // Made-up tokens take none of it either.
    for number in 0..200 {
        let made_up = format!("tdb_rt_v1.{}.{number:064}", "A".repeat(22));
        assert_eq!(server.send(form("/token", &flow.refreshing(&made_up))).status, 429);
    }
    tokens = Tokens::of(&server.send(form("/token", &flow.refreshing(&tokens.refresh))));
    let all = fields(&[("token", &tokens.refresh), ("client_id", &flow.client_id)]);
    assert_eq!(server.send(form("/revoke", &all)).status, 200);
    // A grant has a limit of its own there, and what is used up comes back within a minute, registrations too.
    let others = (0..150).map(|_| server.send(form("/token", &flow.refreshing(&tokens.refresh))).status);
    assert_eq!(others.filter(|status| *status == 429).count(), 150 - (100 - 4));
    server.advance(60);
    assert_eq!(server.send(register()).status, 201);
}

/// What a person reads before ticking.
#[test]
fn sec_019_the_consent_page_says_that_changing_may_cost_money() {
    let mut server = Native::new();
    let flow = Flow::new(&mut server);
    for scope in ["tidb:read", "tidb:read tidb:write", "tidb:destroy"] {
        let answer = flow.open(&mut server, &with(flow.request(), "scope", scope));
        let page = Page::of(&answer).html;
        let label = |id: &str| {
            let (_, rest) = page.split_once(&format!("<label for=\"{id}\">")).expect("a label");
            rest.split_once("</label>").expect("its end").0.to_owned()
        };
        assert!(label("scope-2").starts_with("<strong>Change</strong>"), "{}", label("scope-2"));
        assert!(label("scope-2").contains("can cost money"), "{}", label("scope-2"));
    }
}

/// The free plan of Workers lets a request ask others 50 times.
#[test]
fn sec_008_looking_up_a_client_asks_few() {
    let mut server = Native::new();
    let costs = [CLAUDE, "https://clients.example/valid.json", "https://stranger.example/client.json"].map(|id| {
        server.isolate = Isolate::new();
        server.world.subrequests.borrow_mut().clear();
        open(&mut server, "203.0.113.9", id, NO_STORE_REDIRECT);
        server.world.subrequests.take().len()
    });
    // Server secret, limit of the address, what is known, the document, and what is kept; four limits more for what is new.
    assert_eq!(costs, [5, 9, 9]);
}
