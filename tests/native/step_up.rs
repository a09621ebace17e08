//! A client is allowed more without the keys typed again, and what takes them again.

use mcp_server_tidbcloud::{app::Isolate, config::Config};
use serde_json::{Value, json};

use crate::{
    support::{
        Answer, Call, Driver,
        bad_inputs::ACCESS_KEY,
        keys,
        oauth::{
            Fields, Flow, Page, Tokens, browser_form, encode, error, fields, form, get, link, list_clusters, parameter,
            tool_with_token, with,
        },
    },
    tidb_cloud_oauth::user_code,
    world::{Native, SANDBOX},
};

const HTTPS: &str = "https://claude.ai/api/mcp/auth_callback";
const CHANGE: &str = "tidb:read tidb:write";
const TITLE: &str = "<h1>Test client wants to change things</h1>";

fn text(answer: &Answer) -> String {
    String::from_utf8_lossy(&answer.body).into_owned()
}

/// A browser that keeps its cookies.
struct Browser {
    cookies: Vec<(String, String)>,
}

impl Browser {
    fn send(&mut self, server: &mut Native, mut call: Call) -> Answer {
        if !self.cookies.is_empty() {
            let all: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            call.headers.push(("Cookie".to_owned(), all.join("; ")));
        }
        let answer = server.send(call);
        for (name, value) in &answer.headers {
            if name.eq_ignore_ascii_case("set-cookie") {
                let (name, rest) = value.split_once('=').expect("a cookie");
                self.cookies.retain(|(kept, _)| kept != name);
                if !rest.contains("Max-Age=0") {
                    let value = rest.split(';').next().expect("a value");
                    self.cookies.push((name.to_owned(), value.to_owned()));
                }
            }
        }
        answer
    }

    fn open(&mut self, server: &mut Native, request: &Fields) -> Page {
        let answer = self.send(server, get(&format!("/authorize?{}", encode(request))));
        assert_eq!(answer.status, 200, "{}", text(&answer));
        Page::of(&answer)
    }

    fn decide(&mut self, server: &mut Native, page: &Page, typed: Fields) -> Answer {
        let all = page.hidden.iter().cloned().chain(typed).collect();
        let origin = server.origin();
        self.send(server, browser_form(&origin, "/consent", "", &all))
    }
}

/// A person who connected a client in a browser.
struct Connected {
    server: Native,
    browser: Browser,
    flow: Flow,
    tokens: Tokens,
}

fn typed(more: &[(&str, &str)]) -> Fields {
    [Flow::typed("owner", "tidb:read"), fields(more)].concat()
}

impl Connected {
    fn new() -> Self {
        Self::of(Native::new(), HTTPS, "", typed(&[]))
    }

    fn of(mut server: Native, redirect: &str, query: &str, typed: Fields) -> Self {
        let flow = Flow::registering(&mut server, &[redirect, "https://claude.ai/other"]);
        let mut browser = Browser { cookies: Vec::new() };
        let resource = format!("{}/mcp{query}", flow.origin);
        let page = browser.open(&mut server, &with(flow.request(), "resource", &resource));
        let answer = browser.decide(&mut server, &page, typed);
        assert_eq!(answer.status, 200, "{}", text(&answer));
        let code = parameter(&link(&answer), "code").expect("a code");
        let tokens = Tokens::of(&server.send(form("/token", &flow.redemption(&code))));
        Self { server, browser, flow, tokens }
    }

    fn create(&mut self, token: &str) -> Answer {
        let arguments = json!({"displayName": "step-up", "region": "aws-us-east-1", "spendingLimitUsdCents": 0});
        self.server.send(tool_with_token(token, "tidbcloud_create_cluster", arguments))
    }

    /// A call that is refused for its scope.
    fn refused(&mut self) {
        let token = self.tokens.access.clone();
        assert_eq!(self.create(&token).status, 403);
    }

    fn wants(&self, scope: &str) -> Fields {
        with(self.flow.request(), "scope", scope)
    }

    fn open(&mut self, request: &Fields) -> Page {
        self.browser.open(&mut self.server, request)
    }

    fn decide(&mut self, page: &Page, chosen: &[(&str, &str)]) -> Answer {
        self.browser.decide(&mut self.server, page, fields(chosen))
    }

    fn allow(&mut self, page: &Page) -> Answer {
        self.decide(page, &[("decision", "allow"), ("scope", "tidb:write")])
    }

    /// The page takes keys, and says why or nothing.
    fn takes_keys(&mut self, request: &Fields, why: Option<&str>) {
        let page = self.open(request);
        assert!(page.html.contains("name=\"privateKey\"") && !page.html.contains(TITLE), "{}", page.html);
        let said = page.html.contains("You connected this client before.");
        assert_eq!(said, why.is_some(), "{}", page.html);
        assert!(page.html.contains(why.unwrap_or_default()), "{why:?}: {}", page.html);
    }

    fn works(&mut self, token: &str) -> bool {
        self.server.send(list_clusters(token)).status == 200
    }

    fn redeem(&mut self, answer: &Answer) -> Answer {
        let code = parameter(&link(answer), "code").expect("a code");
        self.server.send(form("/token", &self.flow.redemption(&code)))
    }
}

#[test]
fn more_is_allowed_without_the_keys_and_one_grant_is_left() {
    let mut all = Connected::new();
    all.refused();
    let request = all.wants(CHANGE);
    let page = all.open(&request);
    assert!(page.html.contains(TITLE) && page.html.contains("claude.ai"), "{}", page.html);
    for absent in ["privateKey", "accessKey", " checked", "presence", "tidb:destroy", "value=\"tidb:read\""] {
        assert!(!page.html.contains(absent), "{absent}: {}", page.html);
    }
    let nothing = all.decide(&page, &[("decision", "allow")]);
    assert!(nothing.status == 400 && text(&nothing).contains(TITLE), "nothing is allowed without a tick");
    let more = all.decide(&page, &[("decision", "allow"), ("scope", "tidb:destroy")]);
    assert_eq!(more.status, 400, "no more than the client asked for");
    let before = all.tokens.access.clone();
    let cookies = all.browser.cookies.clone();
    let answer = all.allow(&page);
    assert_eq!(answer.status, 200, "{}", text(&answer));
    assert!(link(&answer).as_str().starts_with(HTTPS));
    assert!(all.works(&before), "the old grant goes on until the code is redeemed");
    // A code that somebody else has ends nothing.
    let code = parameter(&link(&answer), "code").expect("a code");
    let wrong = with(all.flow.redemption(&code), "code_verifier", &"A".repeat(43));
    assert_eq!(error(&all.server.send(form("/token", &wrong))), (400, "invalid_grant".to_owned()));
    assert!(all.works(&before));
    let after = std::mem::replace(&mut all.browser.cookies, cookies);
    assert_eq!(all.allow(&page).status, 400, "a page counts once");
    all.browser.cookies = after;
    let tokens = Tokens::of(&all.redeem(&answer));
    assert_eq!(tokens.scope, CHANGE);
    assert_eq!(all.create(&tokens.access).status, 200);
    assert!(!all.works(&before), "the old tokens end");
    let refreshing = all.flow.refreshing(&all.tokens.refresh);
    assert_eq!(all.server.send(form("/token", &refreshing)).status, 400);
    let (public, private) = keys("owner");
    let proof = fields(&[("publicKey", public), ("privateKey", &private)]);
    let grants = all.server.send(browser_form(&all.server.origin(), "/grants", "", &proof));
    assert_eq!(text(&grants).matches("name=\"grant\"").count(), 1, "{}", text(&grants));
    // The wider one can be widened in its turn.
    let delete = tool_with_token(&tokens.access, "tidbcloud_delete_cluster", json!({"cluster": "step-up"}));
    assert_eq!(all.server.send(delete).status, 403);
    let request = all.wants("tidb:read tidb:write tidb:destroy");
    let page = all.open(&request);
    assert!(page.html.contains("<h1>Test client wants to destroy things</h1>") && !page.html.contains(" checked"));
}

#[test]
fn it_takes_a_refused_call_of_the_last_ten_minutes() {
    const LATE: Option<&str> = Some("no call of it was refused in the last ten minutes");
    let mut all = Connected::new();
    let request = all.wants(CHANGE);
    all.takes_keys(&request, LATE);
    let reading = all.wants("tidb:read");
    all.takes_keys(&reading, None);
    all.refused();
    all.server.advance(599);
    let page = all.open(&request);
    assert!(page.html.contains(TITLE));
    all.server.advance(1);
    assert_eq!(all.allow(&page).status, 400, "the window counts at the button, too");
    all.takes_keys(&request, LATE);
}

#[test]
fn many_refused_calls_are_one_note() {
    let mut all = Connected::new();
    all.refused();
    let stored = |all: &Connected| all.server.world.objects.borrow().clone();
    let before = stored(&all);
    all.server.advance(59);
    all.refused();
    assert_eq!(stored(&all), before);
    all.server.advance(1);
    all.refused();
    assert_ne!(stored(&all), before);
}

#[test]
fn only_the_same_client_and_the_same_redirect() {
    let mut all = Connected::new();
    all.refused();
    let request = all.wants(CHANGE);
    all.takes_keys(&with(request.clone(), "redirect_uri", "https://claude.ai/other"), None);
    // An attacker's own client, even with the victim's redirect.
    let theirs = Flow::registering(&mut all.server, &[HTTPS]);
    all.takes_keys(&with(request.clone(), "client_id", &theirs.client_id), None);
    assert!(all.open(&request).html.contains(TITLE));
    // Another browser.
    all.browser.cookies.clear();
    all.takes_keys(&request, None);
}

#[test]
fn what_takes_the_keys_again_is_said() {
    for (redirect, query, typed, asked, why) in [
        ("http://127.0.0.1:3000/callback", "", typed(&[]), "", "a program on this device"),
        ("cursor://anysphere.cursor-mcp/oauth/callback", "", typed(&[]), "", "a program on this device"),
        ("https://app.localhost:8443/callback", "", typed(&[]), "", "a program on this device"),
        ("https://0.0.0.0/callback", "", typed(&[]), "", "a program on this device"),
        ("https://[::ffff:127.0.0.1]/callback", "", typed(&[]), "", "a program on this device"),
        (HTTPS, "?toolsets=clusters", typed(&[]), "?toolsets=clusters,database", "its address names tools"),
        (HTTPS, "?cluster=shop", typed(&[]), "?cluster=other", "its address names tools"),
    ] {
        let mut all = Connected::of(Native::new(), redirect, query, typed);
        all.refused_somehow();
        if why.contains("device") {
            assert!(!stored(&all).contains("step_up"), "{redirect}: nothing is kept for it");
        }
        let resource = format!("{}/mcp{asked}", all.flow.origin);
        let request = with(all.wants(CHANGE), "resource", &resource);
        all.takes_keys(&request, Some(why));
        // Keys that are refused do not make the reason go away.
        let page = all.open(&request);
        let wrong = with(Flow::typed("owner", "tidb:read"), "privateKey", "5b000000-0000-4000-8000-0000000000ff");
        let again = text(&all.browser.decide(&mut all.server, &page, wrong));
        assert!(again.contains("does not accept these keys") && again.contains(why), "{again}");
        assert!(again.contains("It takes your keys again") && again.contains("Keep them in"), "{again}");
    }
    let absent = with(typed(&[("presence", "absent")]), "scope", CHANGE);
    let mut all = Connected::of(Native::new(), HTTPS, "", absent);
    let request = all.wants("tidb:read tidb:write tidb:destroy");
    all.takes_keys(&request, Some("it works without asking you"));
    assert!(!stored(&all).contains("step_up"), "nothing is kept for it");
}

#[test]
fn of_several_connections_none_is_widened() {
    let mut all = Connected::new();
    let again = all.flow.request();
    let page = all.open(&again);
    let typed = [typed(&[]), fields(&[("decision", "allow")])].concat();
    let answer = all.browser.decide(&mut all.server, &page, typed);
    Tokens::of(&all.redeem(&answer));
    all.refused();
    let request = all.wants(CHANGE);
    all.takes_keys(&request, Some("several connections"));
}

fn log(all: &Connected) -> String {
    all.server.world.log.borrow().join("\n")
}

fn stored(all: &Connected) -> String {
    all.server.world.objects.borrow().values().cloned().collect()
}

impl Connected {
    /// As [`Self::refused`], also at an address of one cluster.
    fn refused_somehow(&mut self) {
        let token = self.tokens.access.clone();
        let branch = tool_with_token(&token, "tidbcloud_create_branch", json!({"displayName": "x"}));
        let answers = [self.create(&token).status, self.server.send(branch).status];
        assert!(answers.contains(&403), "{answers:?}");
    }
}

#[test]
fn a_grant_keeps_its_tools_and_how_it_asks() {
    let chosen = typed(&[("toolsets", "clusters"), ("toolsets", "database"), ("presence", "page")]);
    let mut all = Connected::of(Native::new(), HTTPS, "", chosen);
    all.refused();
    let request = all.wants(CHANGE);
    let page = all.open(&request);
    assert!(page.html.contains(TITLE) && page.html.contains("the toolsets"), "{}", page.html);
    let answer = all.allow(&page);
    let tokens = Tokens::of(&all.redeem(&answer));
    let call = tool_with_token(&tokens.access, "tidbcloud_list_branches", json!({"cluster": "shop"}));
    let refused = text(&all.server.send(call));
    assert!(!refused.contains("\"isError\":false"), "a tool that was not ticked stays out: {refused}");
    assert_eq!(all.create(&tokens.access).status, 200);
    assert!(
        stored(&all).contains("\"presence\":\"page\""),
        "a person who is asked on a page goes on being asked there"
    );
}

#[test]
fn a_grant_that_ended_is_not_widened() {
    let mut all = Connected::new();
    all.refused();
    let request = all.wants(CHANGE);
    let page = all.open(&request);
    let revoke = fields(&[("token", &all.tokens.refresh), ("client_id", &all.flow.client_id)]);
    assert_eq!(all.server.send(form("/revoke", &revoke)).status, 200);
    assert_eq!(all.allow(&page).status, 400);
    all.takes_keys(&request, None);
}

#[test]
fn declining_and_never_redeeming_leave_the_grant_as_it_was() {
    let mut all = Connected::new();
    all.refused();
    let request = all.wants(CHANGE);
    let token = all.tokens.access.clone();
    let page = all.open(&request);
    let declined = all.decide(&page, &[("decision", "deny")]);
    assert_eq!(parameter(&link(&declined), "error").as_deref(), Some("access_denied"));
    all.takes_keys(&request, Some("or you cancelled since"));
    all.refused();
    let page = all.open(&request);
    assert_eq!(all.allow(&page).status, 200);
    all.server.advance(61);
    assert!(all.works(&token));
    assert!(all.open(&request).html.contains(TITLE), "and can be tried again");
}

#[test]
fn an_owners_grant_ends_with_its_access_key() {
    let private = keys("owner").1;
    let settings = |access_key: &str| -> Vec<(&'static str, String)> {
        vec![
            ("TIDB_CLOUD_SANDBOX", SANDBOX.to_owned()),
            ("TIDB_CLOUD_PUBLIC_KEY", "SBXOWNER".to_owned()),
            ("TIDB_CLOUD_PRIVATE_KEY", private.clone()),
            ("MCP_ACCESS_KEY", access_key.to_owned()),
        ]
    };
    let redeploy = |server: &mut Native, settings: &[(&str, String)]| {
        let read = |name: &str| settings.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone());
        server.config = Config::read(&read).unwrap_or_else(|problems| panic!("{problems:?}")).into();
        server.isolate = Isolate::new();
    };
    let mut server = Native::new();
    redeploy(&mut server, &settings(ACCESS_KEY));
    let mut all = Connected::of(server, HTTPS, "", fields(&[("accessKey", ACCESS_KEY), ("scope", "tidb:read")]));
    all.refused();
    let request = all.wants(CHANGE);
    redeploy(&mut all.server, &settings("canary-access-key-two-0123456789abcdef"));
    for minutes in [0, 10] {
        all.server.advance(minutes * 60);
        let page = all.open(&request);
        assert!(page.html.contains("name=\"accessKey\"") && !page.html.contains(TITLE), "{}", page.html);
        assert!(!page.html.contains("You connected this client"), "nothing is said of the grant: {}", page.html);
    }
    redeploy(&mut all.server, &settings(ACCESS_KEY));
    let page = all.open(&request);
    assert!(page.html.contains("It takes the access key again"), "{}", page.html);
    assert!(
        page.html.contains("Keep it in your password manager") && !page.html.contains("your keys"),
        "{}",
        page.html
    );
    all.refused();
    let page = all.open(&request);
    assert!(page.html.contains(TITLE) && !page.html.contains("accessKey"));
    let answer = all.allow(&page);
    let tokens = Tokens::of(&all.redeem(&answer));
    assert_eq!(all.create(&tokens.access).status, 200);
}

/// The attacker has their own verifier and state, and the victim's client and redirect; the victim follows the link.
#[test]
fn a_link_of_an_attacker_allows_nothing_by_itself() {
    let mut all = Connected::new();
    all.refused();
    let challenge = "ZZBjftJeZ4CVPmB92K27uhbUJU1p1rwW1gFWFOEjXkM";
    let request = with(with(all.wants(CHANGE), "state", "the attacker's"), "code_challenge", challenge);
    let grants =
        |all: &Connected| all.server.world.objects.borrow().keys().filter(|name| name.starts_with("grant:")).count();
    let before = stored(&all);
    let page = all.open(&request);
    assert!(page.html.contains(TITLE) && !page.html.contains(" checked") && !page.html.contains("http-equiv"));
    assert_eq!(stored(&all), before, "following it changes nothing");
    // The attacker sends the form from their own page, or without the victim's cookies.
    let ticked: Fields =
        page.hidden.iter().cloned().chain(fields(&[("decision", "allow"), ("scope", "tidb:write")])).collect();
    let cross = browser_form("https://attacker.example", "/consent", "", &ticked);
    assert_eq!(all.browser.send(&mut all.server, cross).status, 403);
    let origin = all.server.origin();
    assert_eq!(all.server.send(browser_form(&origin, "/consent", "", &ticked)).status, 403);
    let own = all.browser.cookies.iter().find(|(name, _)| name.contains("consent")).expect("a cookie").clone();
    let cookie = format!("{}={}", own.0, own.1);
    let without = all.server.send(browser_form(&origin, "/consent", &cookie, &ticked));
    assert_eq!(without.status, 400, "the page alone is not the browser");
    // An empty tick, or the Enter key, is no decision.
    assert_eq!(all.decide(&page, &[("decision", "allow")]).status, 400);
    assert_eq!(all.decide(&page, &[("scope", "tidb:write")]).status, 400);
    assert_eq!(grants(&all), 1);
    // With the victim's tick and button the code goes to the registered address, and the victim's client cannot redeem it.
    let answer = all.allow(&page);
    assert!(link(&answer).as_str().starts_with(HTTPS));
    assert_eq!(error(&all.redeem(&answer)), (400, "invalid_grant".to_owned()));
    let token = all.tokens.access.clone();
    assert!(all.works(&token), "and the grant goes on");
}

#[test]
fn the_cookie_is_no_token_and_what_is_stored_opens_nothing() {
    let mut all = Connected::new();
    assert!(stored(&all).contains("step_up"));
    let cookie = all.browser.cookies.iter().find(|(name, _)| name.contains("browser")).expect("a cookie").1.clone();
    assert!(!stored(&all).contains(&cookie) && cookie.len() < 1_000);
    assert_eq!(all.server.send(list_clusters(&cookie)).status, 401);
    let refreshing = all.flow.refreshing(&cookie);
    assert_eq!(all.server.send(form("/token", &refreshing)).status, 400);
}

#[test]
fn a_sign_in_at_tidb_cloud_is_made_again() {
    let secret = "sandbox-client-secret-0123456789";
    let mut all = Connected::of(
        Native::with(&[
            ("TIDB_CLOUD_SANDBOX", SANDBOX),
            ("TIDB_CLOUD_OAUTH_CLIENT_ID", "sandbox-client"),
            ("TIDB_CLOUD_OAUTH_CLIENT_SECRET", secret),
        ]),
        HTTPS,
        "",
        typed(&[]),
    );
    let reading = all.wants("tidb:read");
    let page = all.open(&reading);
    let begun = all.decide(&page, &[("scope", "tidb:read"), ("decision", "tidbcloud")]);
    let waiting = Page::of(&begun);
    let yes = json!({"userCode": user_code(&waiting.html), "approve": true, "key": "owner"});
    all.server.admin("POST", "/_sandbox/device", Some(yes));
    all.server.advance(10);
    // The grant with the keys is not in this browser.
    all.browser.cookies.retain(|(name, _)| !name.contains("browser"));
    let done = all.decide(&waiting, &[("decision", "poll")]);
    all.tokens = Tokens::of(&all.redeem(&done));
    all.refused();
    let request = all.wants(CHANGE);
    all.takes_keys(&request, Some("a sign-in at TiDB Cloud, or before"));
    all.takes_keys(&request, Some("It takes your keys, or a sign-in at TiDB Cloud, again"));
    assert!(log(&all).contains("\"by\":\"sign-in\""));
}

/// Ends the connection that the client has, and looks for what was to come of it.
fn ended_while_the_code_waits(end: impl Fn(&mut Connected)) {
    let mut all = Connected::new();
    all.refused();
    let request = all.wants(CHANGE);
    let page = all.open(&request);
    let answer = all.allow(&page);
    end(&mut all);
    assert_eq!(error(&all.redeem(&answer)), (400, "invalid_grant".to_owned()));
    let token = all.tokens.access.clone();
    assert!(!all.works(&token));
    let left = all.server.world.objects.borrow().keys().filter(|name| name.starts_with("grant:")).count();
    assert_eq!(left, 0, "nothing of either is left");
}

#[test]
fn what_was_allowed_ends_with_the_grant_that_it_widens() {
    ended_while_the_code_waits(|all| {
        let revoke = fields(&[("token", &all.tokens.refresh), ("client_id", &all.flow.client_id)]);
        assert_eq!(all.server.send(form("/revoke", &revoke)).status, 200);
    });
    // The person ends the one that has tokens, of the two that the page lists.
    ended_while_the_code_waits(|all| {
        let (public, private) = keys("owner");
        let origin = all.server.origin();
        let proof = browser_form(&origin, "/grants", "", &fields(&[("publicKey", public), ("privateKey", &private)]));
        let list = Page::of(&all.browser.send(&mut all.server, proof));
        let grants: Vec<_> = list.hidden.iter().filter(|(name, _)| name == "grant").cloned().collect();
        let csrf = list.hidden.iter().find(|(name, _)| name == "csrf").expect("a token").clone();
        let mut ids: Vec<_> = grants.iter().map(|(_, id)| id.clone()).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 2, "{}", list.html);
        let waiting = |id: &str| -> bool {
            all.server.world.objects.borrow().get(&format!("grant:{id}")).is_some_and(|text| text.contains("replaces"))
        };
        let used = ids.into_iter().find(|id| !waiting(id)).expect("the first one");
        let end = vec![csrf, ("grant".to_owned(), used), ("then".to_owned(), "end".to_owned())];
        let ended = all.browser.send(&mut all.server, browser_form(&origin, "/grants/revoke", "", &end));
        assert!(text(&ended).contains("Ended"), "{}", text(&ended));
    });
    // Or it ends by itself.
    ended_while_the_code_waits(|all| {
        for text in all.server.world.objects.borrow_mut().values_mut() {
            let mut stored: Value = serde_json::from_str(text).expect("JSON");
            if let Some(grant) = stored.get_mut("grant").filter(|grant| !grant["refresh"].is_null()) {
                grant["created"] = json!(0);
            }
            *text = stored.to_string();
        }
    });
}

/// A list that is full makes room for the wider grant without ending the one that it replaces, which is the oldest.
#[test]
fn a_full_list_ends_another_grant_than_the_one_that_is_widened() {
    let mut all = Connected::new();
    let other = Flow::registering(&mut all.server, &[HTTPS]);
    let mut second = String::new();
    for at in 1..mcp_server_tidbcloud::store::index::ENTRIES_MAX {
        all.server.advance(61);
        let tokens = other.tokens(&mut all.server, "tidb:read");
        second = if at == 1 { tokens.access } else { second };
    }
    all.refused();
    let request = all.wants(CHANGE);
    let page = all.open(&request);
    let answer = all.allow(&page);
    assert!(!all.works(&second), "the oldest of the others has ended");
    let tokens = Tokens::of(&all.redeem(&answer));
    assert_eq!(all.create(&tokens.access).status, 200);
}

/// A browser proves ten grants. One that was replaced takes the place of no other.
#[test]
fn a_grant_that_was_replaced_makes_room_first() {
    let mut all = Connected::new();
    let mut others = Vec::new();
    let connect = |all: &mut Connected, others: &mut Vec<Another>| {
        let flow = Flow::registering(&mut all.server, &[HTTPS]);
        let page = all.open(&flow.request());
        let answer = all.browser.decide(&mut all.server, &page, typed(&[("decision", "allow")]));
        let code = parameter(&link(&answer), "code").expect("a code");
        let tokens = Tokens::of(&all.server.send(form("/token", &flow.redemption(&code))));
        others.push(Another { flow, tokens });
        all.server.advance(61);
    };
    // The oldest of the others is older than the one that is widened.
    all.browser.cookies.clear();
    connect(&mut all, &mut others);
    let page = all.open(&all.flow.request());
    let answer = all.browser.decide(&mut all.server, &page, typed(&[("decision", "allow")]));
    all.tokens = Tokens::of(&all.redeem(&answer));
    for _ in 2..mcp_server_tidbcloud::oauth::browser::GRANTS_MAX {
        connect(&mut all, &mut others);
    }
    all.refused();
    let request = all.wants(CHANGE);
    let page = all.open(&request);
    let answer = all.allow(&page);
    Tokens::of(&all.redeem(&answer));
    let Another { flow, tokens } = others.swap_remove(0);
    all.tokens = tokens;
    all.flow = flow;
    all.refused();
    let request = all.wants(CHANGE);
    assert!(all.open(&request).html.contains(TITLE), "this browser still proves the oldest of the others");
}

/// Another client in the same browser.
struct Another {
    flow: Flow,
    tokens: Tokens,
}

/// A client that is widened again and again shows the keys after 90 days as any other.
#[test]
fn a_wider_grant_ends_when_the_first_would_have() {
    const DAY: u64 = 24 * 60 * 60;
    let mut all = Connected::new();
    let widen = |all: &mut Connected, scope: &str, tick: &str, days: u64| {
        for _ in 0..days / 20 {
            all.server.advance(20 * DAY);
            let refreshing = all.flow.refreshing(&all.tokens.refresh);
            all.tokens = Tokens::of(&all.server.send(form("/token", &refreshing)));
        }
        let delete = tool_with_token(&all.tokens.access, "tidbcloud_delete_cluster", json!({"cluster": "shop"}));
        assert_eq!(all.server.send(delete).status, 403);
        let request = all.wants(scope);
        let page = all.open(&request);
        let answer = all.decide(&page, &[("decision", "allow"), ("scope", tick)]);
        all.tokens = Tokens::of(&all.redeem(&answer));
    };
    widen(&mut all, CHANGE, "tidb:write", 40);
    widen(&mut all, "tidb:read tidb:write tidb:destroy", "tidb:destroy", 40);
    let (public, private) = keys("owner");
    let proof = fields(&[("publicKey", public), ("privateKey", &private)]);
    let grants = text(&all.server.send(browser_form(&all.server.origin(), "/grants", "", &proof)));
    let ends = grants.split("Ends</dt>").nth(1).expect("when it ends");
    all.server.advance(10 * DAY - 1);
    let refreshing = all.flow.refreshing(&all.tokens.refresh);
    let last = Tokens::of(&all.server.send(form("/token", &refreshing)));
    assert!(all.works(&last.access));
    all.server.advance(1);
    assert!(!all.works(&last.access), "{ends}");
    assert_eq!(all.server.send(form("/token", &all.flow.refreshing(&last.refresh))).status, 400);
}

#[test]
fn the_log_tells_a_step_up_from_typed_keys() {
    let mut all = Connected::new();
    let of = |all: &Connected, by: &str| log(all).matches(&format!("\"by\":\"{by}\"")).count();
    assert_eq!((of(&all, "keys"), of(&all, "step-up")), (1, 0));
    all.refused();
    let request = all.wants(CHANGE);
    let page = all.open(&request);
    all.allow(&page);
    assert_eq!((of(&all, "keys"), of(&all, "step-up")), (1, 1), "{}", log(&all));
    assert!(log(&all).contains("\"widens\":\""), "{}", log(&all));
}

#[test]
fn a_code_waits_until_the_old_grant_can_be_ended() {
    let mut all = Connected::new();
    all.refused();
    let request = all.wants(CHANGE);
    let page = all.open(&request);
    let answer = all.allow(&page);
    all.server.world.storage_fails.set(true);
    assert_eq!(all.redeem(&answer).status, 503);
    all.server.world.storage_fails.set(false);
    let before = all.tokens.access.clone();
    assert!(all.works(&before));
    Tokens::of(&all.redeem(&answer));
    assert!(!all.works(&before));
}

/// What an earlier version stored has none of the new fields.
#[test]
fn a_grant_of_an_earlier_version_works_and_takes_the_keys() {
    let mut all = Connected::new();
    all.refused();
    for text in all.server.world.objects.borrow_mut().values_mut() {
        let mut stored: Value = serde_json::from_str(text).expect("JSON");
        if let Some(grant) = stored.get_mut("grant").and_then(Value::as_object_mut) {
            assert!(grant.remove("step_up").is_some() && grant.remove("lacks").is_some());
        }
        *text = stored.to_string();
    }
    let token = all.tokens.access.clone();
    assert!(all.works(&token));
    let request = all.wants(CHANGE);
    all.takes_keys(&request, Some("before this server could do without"));
}
