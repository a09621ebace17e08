//! The page on which a person confirms: where it is served, what proves that the question is theirs, and what a grant's owner chose
//! about being asked.

use mcp_server_tidbcloud::{
    base::secret::Secret,
    catalogue::{
        Catalogue, Context, Done, Effect, Entry, Group, Homes, Narrowing, Organization, Receipt, Stakes, Tool, Tools,
        Toolset, View, code,
    },
    mcp::{
        outcome::{Answered, Outcome, ToolError},
        tools::Toolbox,
    },
    port::{Metered, Port},
    tidbcloud::{ApiKey, Memory, Unwatched},
};
use serde_json::{Map, Value, json};

use crate::{
    confirm::{attended, link, result},
    session::{delete, initialize},
    support::{
        Answer, Call, Driver,
        bad_inputs::ACCESS_KEY,
        keys,
        oauth::{Fields, Flow, Page, Tokens, browser_form, fields, form, get, link as back, parameter, with_token},
    },
    tidb_cloud_oauth::{at_tidb_cloud, user_code},
    world::{Native, Nobody, SANDBOX, block_on},
};

/// A person in front of a page: proves with the keys, and reads what is shown.
fn prove(server: &mut Native, path: &str, who: &str) -> (u16, Page) {
    let (public, private) = keys(who);
    typed(server, path, &[("publicKey", public), ("privateKey", &private)])
}

fn decide(server: &mut Native, path: &str, page: &Page, typed: &[(&str, &str)]) -> Answer {
    let all = page.hidden.iter().cloned().chain(fields(typed)).collect();
    server.send(browser_form(&server.origin(), path, &page.cookie, &all))
}

fn text(answer: &Answer) -> String {
    String::from_utf8_lossy(&answer.body).into_owned()
}

/// An owner's deployment, with these settings too.
fn owned(more: &[(&str, &str)]) -> Native {
    let private = keys("owner").1;
    let settings = [
        ("TIDB_CLOUD_SANDBOX", SANDBOX),
        ("TIDB_CLOUD_PUBLIC_KEY", "SBXOWNER"),
        ("TIDB_CLOUD_PRIVATE_KEY", &private),
        ("MCP_ACCESS_KEY", ACCESS_KEY),
    ];
    // The first of two values counts.
    Native::with(&[more, &settings[..]].concat())
}

fn deletion() -> Call {
    attended("tidbcloud_delete_cluster", json!({"cluster": "shop"}))
}

/// A person in front of a page types something.
fn typed(server: &mut Native, path: &str, what: &[(&str, &str)]) -> (u16, Page) {
    let origin = server.origin();
    let answer = server.send(browser_form(&origin, path, "", &fields(what)));
    (answer.status, Page::of(&answer))
}

/// The person types the cluster's name and agrees.
fn agree(server: &mut Native, path: &str, page: &Page) {
    let agreed = decide(server, path, page, &[("decision", "confirm"), ("name", "shop")]);
    assert_eq!(agreed.status, 200, "the person can agree: {}", text(&agreed));
}

#[test]
fn the_page_is_there_where_nobody_connects_by_oauth() {
    let mut server = Native::with(&[("TIDB_CLOUD_SANDBOX", SANDBOX), ("ALLOWED_CREDENTIALS", "keys")]);
    let origin = server.origin();
    assert_eq!(server.send(get("/grants")).status, 404, "the other pages are switched off");
    let path = link(&server.send(deletion()));
    let opened = server.send(get(&path));
    assert_eq!(opened.status, 200, "the page is served: {}", text(&opened));
    let policy = opened.header("Content-Security-Policy").unwrap_or_default();
    assert!(policy.contains("frame-ancestors 'none'"), "its headers are those of the other pages: {policy}");
    server.origin = "http://elsewhere.example".to_owned();
    assert_eq!(server.send(get(&path)).status, 403, "a host that is not served has no such page");
    server.origin = origin;
    let (_, page) = prove(&mut server, &path, "owner");
    agree(&mut server, &path, &page);
    assert_eq!(result(&server.send(deletion()))["status"], "DELETING", "the confirmed call runs");
}

#[test]
fn on_an_owners_deployment_the_access_key_proves_it() {
    for more in [&[][..], &[("ALLOWED_CREDENTIALS", "access-key")]] {
        let mut server = owned(more);
        let delete = || with_token(deletion(), ACCESS_KEY);
        let path = link(&server.send(delete()));
        assert!(!text(&server.send(get(&path))).contains("privateKey"), "keys of TiDB Cloud are not asked for");
        let (status, page) = typed(&mut server, &path, &[("accessKey", "canary-guess")]);
        assert!(status == 400 && !page.html.contains("shop"), "a guess shows nothing: {}", page.html);
        let (status, page) = typed(&mut server, &path, &[("accessKey", ACCESS_KEY)]);
        assert_eq!(status, 200, "the access key shows what it is: {}", page.html);
        agree(&mut server, &path, &page);
        assert_eq!(result(&server.send(delete()))["status"], "DELETING", "the confirmed call runs");
    }
}

/// Who calls an owner's deployment with keys of their own is another principal than the owner, and is asked by those keys.
#[test]
fn on_an_owners_deployment_that_takes_keys_each_proves_what_they_call_with() {
    let mut server = owned(&[("ALLOWED_CREDENTIALS", "keys,access-key")]);
    let path = link(&server.send(deletion()));
    let (status, _) = typed(&mut server, &path, &[("accessKey", ACCESS_KEY)]);
    assert_eq!(status, 400, "the owner did not ask this");
    let (status, page) = prove(&mut server, &path, "owner");
    assert_eq!(status, 200, "the keys that the call came with show it: {}", page.html);
    let by_owner = with_token(deletion(), ACCESS_KEY);
    let path = link(&server.send(by_owner));
    assert_eq!(prove(&mut server, &path, "owner").0, 400, "the same keys in headers are not the owner");
}

#[test]
fn a_page_is_spent_after_five_wrong_tries() {
    let mut server = Native::new();
    let path = link(&server.send(deletion()));
    for left in (0..mcp_server_tidbcloud::store::confirmations::TRIES_MAX).rev() {
        let (status, page) = prove(&mut server, &path, "other");
        assert_eq!(status, 400, "somebody else's keys prove nothing");
        assert_eq!(page.html.contains(&format!("<strong>{left}</strong>")), left > 0, "it says how many are left");
    }
    assert_eq!(prove(&mut server, &path, "owner").0, 404, "then the right ones come too late");
    let link_again = link(&server.send(deletion()));
    assert_ne!(link_again, path, "the client asks again, with another link");
    assert_eq!(prove(&mut server, &link_again, "owner").0, 200, "which is new");
}

/// A grant, and the cookies of the browser in which the person consented to it.
struct Connected {
    flow: Flow,
    tokens: Tokens,
    cookies: String,
}

impl Connected {
    /// Consents in a browser that has these cookies.
    fn in_browser(server: &mut Native, cookies: &str, typed: Fields) -> Self {
        let flow = Flow::new(server);
        let page = flow.page(server);
        let both = format!("{}; {cookies}", page.cookie);
        let all = page.hidden.iter().cloned().chain(typed).collect();
        let answer = server.send(browser_form(&flow.origin, "/consent", &both, &all));
        assert_eq!(answer.status, 200, "{}", text(&answer));
        let code = parameter(&back(&answer), "code").expect("a code");
        let tokens = Tokens::of(&server.send(form("/token", &flow.redemption(&code))));
        let set = answer.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
        let kept = set.filter(|(_, cookie)| !cookie.contains("Max-Age=0"));
        let cookies: Vec<_> = kept.filter_map(|(_, cookie)| Some(cookie.split_once(';')?.0.to_owned())).collect();
        Self { flow, tokens, cookies: cookies.join("; ") }
    }

    fn new(server: &mut Native) -> Self {
        Self::in_browser(server, "", Flow::typed("owner", "tidb:destroy"))
    }

    /// A deletion with its token.
    fn deletion(&self) -> Call {
        with_token(deletion(), &self.tokens.access)
    }
}

/// What a browser with these cookies is shown.
fn open(server: &mut Native, path: &str, cookies: &str) -> Page {
    let answer = server.send(get(path).set("Cookie", cookies));
    assert_eq!(answer.status, 200, "{}", text(&answer));
    Page::of(&answer)
}

/// The button of a browser that needs no keys.
fn by_browser(server: &mut Native, path: &str, cookies: &str) -> (u16, Page) {
    let origin = server.origin();
    let answer = server.send(browser_form(&origin, path, cookies, &fields(&[("by", "browser")])));
    (answer.status, Page::of(&answer))
}

const BUTTON: &str = "value=\"browser\"";

#[test]
fn the_browser_of_the_consent_needs_no_keys() {
    let mut server = Native::new();
    let origin = server.origin();
    let connected = Connected::new(&mut server);
    let path = link(&server.send(connected.deletion()));
    let opened = open(&mut server, &path, &connected.cookies);
    assert!(!opened.html.contains("shop"), "a GET shows nothing, also with the cookie: {}", opened.html);
    assert!(opened.html.contains(BUTTON), "there is one button: {}", opened.html);
    assert!(opened.html.contains("name=\"privateKey\""), "and the keys can still be typed");
    assert!(!open(&mut server, &path, "").html.contains(BUTTON), "another browser has no such button");

    // A page of another origin cannot press it, nor can a program that says nothing of its origin.
    let sent = |origin: &str, site: &str| {
        browser_form(origin, &path, &connected.cookies, &fields(&[("by", "browser")])).set("Sec-Fetch-Site", site)
    };
    let foreign = [
        sent("https://evil.example", "cross-site"),
        sent("null", "cross-site"),
        sent(&origin, "cross-site"),
        sent(&origin, "same-site"),
        sent(&origin, "none"),
        sent(&origin, "same-origin").without("Origin"),
    ];
    for call in foreign {
        let refused = server.send(call);
        assert!(refused.status == 403 && !text(&refused).contains("shop"), "{}", text(&refused));
    }

    let (status, page) = by_browser(&mut server, &path, &connected.cookies);
    assert_eq!(status, 200, "{}", page.html);
    assert!(page.html.contains("Delete the cluster shop"), "it shows what would happen: {}", page.html);
    agree(&mut server, &path, &page);
    assert_eq!(result(&server.send(connected.deletion()))["status"], "DELETING", "the confirmed call runs");
}

#[test]
fn the_cookie_proves_its_own_grant_and_opens_nothing_else() {
    let mut server = Native::new();
    let (mine, theirs) = (Connected::new(&mut server), Connected::new(&mut server));
    let path = link(&server.send(mine.deletion()));
    let by_keys = link(&server.send(deletion()));
    let (_, secret) = mine.cookies.split_once('=').expect("a cookie");
    let altered = crate::support::oauth::altered(&mine.cookies);
    for (whose, cookies, path) in [
        ("another grant's", &theirs.cookies, &path),
        ("an altered one", &altered, &path),
        ("no", &String::new(), &path),
        ("of a grant whose keys ask by themselves", &mine.cookies, &by_keys),
    ] {
        let (status, page) = by_browser(&mut server, path, cookies);
        assert!(status == 403 && !page.html.contains("shop"), "{whose} cookie proves nothing: {}", page.html);
    }
    assert_eq!(by_browser(&mut server, &path, &mine.cookies).0, 200, "these cost no try");
    // It is no token, and no page but this takes it.
    for token in [secret, secret.split('.').next_back().expect("a part")] {
        assert_eq!(server.send(with_token(deletion(), token)).status, 401, "the cookie is no token");
    }
    let grants = server.send(get("/grants").set("Cookie", &mine.cookies));
    assert!(text(&grants).contains("privateKey"), "the list of grants takes the keys: {}", text(&grants));
}

#[test]
fn the_cookie_and_the_question_end_with_the_grant() {
    let mut server = Native::new();
    let connected = Connected::new(&mut server);
    let path = link(&server.send(connected.deletion()));
    let (_, page) = by_browser(&mut server, &path, &connected.cookies);
    agree(&mut server, &path, &page);
    let limit = || {
        with_token(
            attended("tidbcloud_update_cluster", json!({"cluster": "shop", "spendingLimitUsdCents": 500})),
            &connected.tokens.access,
        )
    };
    let open_path = link(&server.send(limit()));
    let all = fields(&[("token", &connected.tokens.refresh), ("client_id", &connected.flow.client_id)]);
    assert_eq!(server.send(form("/revoke", &all)).status, 200, "the client gives its grant back");
    assert_eq!(server.send(connected.deletion()).status, 401, "what was confirmed is worth nothing without the grant");
    let (status, page) = by_browser(&mut server, &open_path, &connected.cookies);
    assert!(status == 404 && !page.html.contains("500"), "the cookie proves no grant that ended: {}", page.html);
    let (status, page) = prove(&mut server, &open_path, "owner");
    assert!(status == 400 && !page.html.contains("500"), "nor do the keys that it held: {}", page.html);
    // The same keys, connected again, are another grant.
    let again = Connected::in_browser(&mut server, &connected.cookies, Flow::typed("owner", "tidb:destroy"));
    link(&server.send(again.deletion()));
}

#[test]
fn one_browser_proves_the_newest_grants() {
    let mut server = Native::new();
    let mut cookies = String::new();
    let mut all = Vec::new();
    for _ in 0..=mcp_server_tidbcloud::oauth::browser::GRANTS_MAX {
        let connected = Connected::in_browser(&mut server, &cookies, Flow::typed("owner", "tidb:destroy"));
        cookies.clone_from(&connected.cookies);
        all.push(connected);
        server.advance(61);
    }
    assert!(cookies.len() < 4_096, "a browser keeps a cookie of this length: {}", cookies.len());
    for (number, connected) in all.iter().enumerate() {
        let tokens = Tokens::of(&server.send(form("/token", &connected.flow.refreshing(&connected.tokens.refresh))));
        let path = link(&server.send(with_token(deletion(), &tokens.access)));
        let (status, page) = by_browser(&mut server, &path, &cookies);
        assert_eq!(status == 200, number > 0, "only the oldest has made room: {number} {}", page.html);
    }
}

#[test]
fn a_link_is_of_one_principal() {
    let mut server = Native::new();
    let (mine, theirs) = (Connected::new(&mut server), Connected::new(&mut server));
    let path = link(&server.send(mine.deletion()));
    let other = link(&server.send(theirs.deletion()));
    let parts: Vec<&str> = path.split('.').collect();
    let others: Vec<&str> = other.split('.').collect();
    // Somebody puts their own name before the question of another, or their question under another's name.
    for made_up in [
        [others[0], parts[1], parts[2]],
        [parts[0], others[1], others[2]],
        [parts[0], parts[1], others[2]],
        [parts[0], others[1], parts[2]],
    ] {
        let made_up = made_up.join(".");
        for cookies in [&mine.cookies, &theirs.cookies] {
            let (status, page) = by_browser(&mut server, &made_up, cookies);
            assert!([403, 404].contains(&status) && !page.html.contains("shop"), "{made_up}: {}", page.html);
        }
    }
}

#[test]
fn an_owners_grant_ends_with_the_access_key_for_the_cookie_too() {
    let mut server = owned(&[]);
    let typed = fields(&[("accessKey", ACCESS_KEY), ("scope", "tidb:destroy")]);
    let connected = Connected::in_browser(&mut server, "", typed);
    let path = link(&server.send(connected.deletion()));
    assert_eq!(by_browser(&mut server, &path, &connected.cookies).0, 200, "the cookie proves the owner's grant");
    let other = owned(&[("MCP_ACCESS_KEY", "canary-access-key-fedcba9876543210")]);
    server.config = other.config;
    let (status, page) = by_browser(&mut server, &path, &connected.cookies);
    assert!(status == 404 && !page.html.contains("shop"), "with another access key it proves nothing: {}", page.html);
}

#[test]
fn a_grant_from_before_the_cookie_is_proved_by_its_keys() {
    let mut server = Native::new();
    let connected = Connected::new(&mut server);
    for stored in server.world.objects.borrow_mut().values_mut() {
        let mut object: Value = serde_json::from_str(stored).expect("JSON");
        if let Some(grant) = object["grant"].as_object_mut() {
            assert!(grant.remove("browser").is_some(), "a grant is made with a cookie");
            *stored = object.to_string();
        }
    }
    let path = link(&server.send(connected.deletion()));
    assert_eq!(by_browser(&mut server, &path, &connected.cookies).0, 404, "it knows no browser");
    assert_eq!(prove(&mut server, &path, "owner").0, 200, "the keys prove it");
}

/// What a person types who makes these choices.
fn choosing(scope: &str, choices: &[&str]) -> Fields {
    let choices: Vec<_> = choices.iter().map(|choice| ("presence", *choice)).collect();
    [Flow::typed("owner", scope), fields(&choices)].concat()
}

/// The list of the owner's grants, as a person sees it.
fn grants(server: &mut Native) -> String {
    let (public, private) = keys("owner");
    let proof = fields(&[("publicKey", public), ("privateKey", &private)]);
    let origin = server.origin();
    text(&server.send(browser_form(&origin, "/grants", "", &proof)))
}

/// The lines of the log that say that a tool ran without a person.
fn unattended(server: &Native) -> Vec<Value> {
    let log = server.world.log.borrow();
    let lines = log.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let lines = lines.filter(|line| line["event"] == "unattended");
    lines.map(|line| json!([line["event"], line["tool"]])).collect()
}

#[test]
fn a_grant_whose_person_chose_so_is_not_asked_and_the_log_says_it() {
    let mut server = Native::new();
    let of_header = deletion().set("X-MCP-Unattended", "destroy");
    assert_eq!(result(&server.send(of_header))["status"], "DELETING", "the header goes without a person");
    let by_header = unattended(&server);
    assert_eq!(by_header.len(), 1, "which is logged");

    let mut server = Native::new();
    let connected = Connected::in_browser(&mut server, "", choosing("tidb:destroy", &["absent"]));
    assert!(grants(&mut server).contains("without asking"), "the list of grants says it");
    let refreshed = server.send(form("/token", &connected.flow.refreshing(&connected.tokens.refresh)));
    let delete = with_token(deletion(), &Tokens::of(&refreshed).access);
    assert_eq!(result(&server.send(delete))["status"], "DELETING", "so does such a grant, also once it was refreshed");
    assert_eq!(unattended(&server), by_header, "with the same line in the log");
}

#[test]
fn a_choice_never_goes_beyond_the_scope() {
    let mut server = Native::new();
    let origin = server.origin();
    let connected = Connected::in_browser(&mut server, "", choosing("tidb:write", &["absent"]));
    assert_eq!(server.send(connected.deletion()).status, 403, "what destroys takes the scope for it");
    let limit = json!({"cluster": "shop", "spendingLimitUsdCents": 500});
    let raise = with_token(attended("tidbcloud_update_cluster", limit), &connected.tokens.access);
    assert_eq!(result(&server.send(raise))["spendingLimitUsdCents"], 500, "what costs goes without a person");
    Connected::in_browser(&mut server, "", choosing("tidb:read", &["absent"]));
    let listed = grants(&mut server);
    assert_eq!(listed.matches("Asks you").count(), 1, "a grant that only reads has no choice: {listed}");
    // An address that leaves nothing to change does not offer one.
    let flow = Flow::new(&mut server);
    for (query, offered) in [("", true), ("?readonly=true", false)] {
        let request = crate::support::oauth::with(flow.request(), "resource", &format!("{origin}/mcp{query}"));
        let page = text(&flow.open(&mut server, &request));
        assert_eq!(page.contains("name=\"presence\""), offered, "{query}: {page}");
        assert!(!page.contains("name=\"presence\" checked"), "neither is ticked");
    }
}

#[test]
fn a_grant_can_demand_the_page() {
    let mut server = Native::new();
    let connected = Connected::in_browser(&mut server, "", choosing("tidb:destroy", &["page"]));
    assert!(grants(&mut server).contains("Always on a page"), "the list of grants says it");
    let with_forms = json!({"elicitation": {}});
    let begun = server.send(with_token(initialize("2025-11-25", with_forms), &connected.tokens.access));
    let session = begun.header("Mcp-Session-Id").expect("a session id").to_owned();
    let before = server.send(with_token(delete(&session), &connected.tokens.access));
    assert_eq!(before.header("Content-Type"), Some("application/json"), "an older client is not asked on its stream");
    let path = link(&server.send(connected.deletion().with_forms()));
    let (_, page) = by_browser(&mut server, &path, &connected.cookies);
    agree(&mut server, &path, &page);
    let confirmed = result(&server.send(connected.deletion().with_forms()));
    assert_eq!(confirmed["status"], "DELETING", "the page's answer counts: {confirmed}");
}

#[test]
fn choices_that_exclude_each_other_are_refused() {
    let mut server = Native::new();
    let flow = Flow::new(&mut server);
    for choices in [&["absent", "page"][..], &["page", "absent"], &["absent", "absent"], &["other"]] {
        let page = flow.page(&mut server);
        let answer = flow.decide(&mut server, &page, choosing("tidb:destroy", choices));
        assert_eq!(answer.status, 400, "{choices:?}: {}", text(&answer));
        assert!(text(&answer).contains("href=\"#presence\""), "the page says what is wrong: {}", text(&answer));
    }
    assert!(grants(&mut server).contains("No client is connected"), "nothing was granted");
}

/// Keys, tokens and cookies are on no page and in no line of the log, and neither is what a link opens.
#[test]
fn no_page_and_no_line_of_the_log_has_a_secret() {
    let mut server = Native::new();
    let connected = Connected::new(&mut server);
    let path = link(&server.send(connected.deletion()));
    let mut pages = vec![open(&mut server, &path, &connected.cookies).html];
    pages.push(prove(&mut server, &path, "other").1.html);
    pages.push(by_browser(&mut server, &path, &connected.cookies).1.html);
    let (_, page) = prove(&mut server, &path, "owner");
    let agreed = decide(&mut server, &path, &page, &[("decision", "confirm"), ("name", "shop")]);
    pages.extend([page.html, text(&agreed), grants(&mut server)]);
    let log = server.world.log.borrow().join("\n");
    let (_, cookie) = connected.cookies.split_once('=').expect("a cookie");
    let private = [keys("owner").1, keys("other").1];
    let secrets = [&private[0], &private[1], cookie, &connected.tokens.access, &connected.tokens.refresh];
    for secret in secrets {
        for page in &pages {
            assert!(!page.contains(secret), "{secret} is on a page: {page}");
        }
        assert!(!log.contains(secret), "{secret} is in the log");
    }
    let key = path.rsplit('.').next().expect("a key");
    assert!(!log.contains(key) && log.contains("\"route\":\"/confirm\""), "the log has the route without its link");
    let stored = server.world.objects.borrow().values().cloned().collect::<String>();
    assert!(!stored.contains(key) && !stored.contains("Delete the cluster"), "what is shown is stored sealed");
}

/// A deployment that is a client of TiDB Cloud's own OAuth, with these settings too.
fn with_sign_in(more: &[(&str, &str)]) -> Native {
    let client = [
        ("TIDB_CLOUD_SANDBOX", SANDBOX),
        ("TIDB_CLOUD_OAUTH_CLIENT_ID", "sandbox-client"),
        ("TIDB_CLOUD_OAUTH_CLIENT_SECRET", "sandbox-client-secret-0123456789"),
    ];
    Native::with(&[&client[..], more].concat())
}

const PAGE: (&str, &str) = ("TIDB_CLOUD_OAUTH_AUTHORIZE_URL", "https://oauth.tidbcloud.com/authorize");

/// A token of a grant for which this person signed in by a code, and the cookies of their browser.
fn signed_in(server: &mut Native, who: &str) -> (String, String) {
    let flow = Flow::new(server);
    let page = flow.page(server);
    let begun = flow.decide(server, &page, fields(&[("scope", "tidb:destroy"), ("decision", "tidbcloud")]));
    let waiting = Page { cookie: page.cookie, ..Page::of(&begun) };
    let yes = json!({"userCode": user_code(&waiting.html), "approve": true, "key": who});
    server.admin("POST", "/_sandbox/device", Some(yes));
    server.advance(10);
    let done = flow.decide(server, &waiting, fields(&[("decision", "poll")]));
    let code = parameter(&back(&done), "code").unwrap_or_else(|| panic!("no code: {}", text(&done)));
    let tokens = Tokens::of(&server.send(form("/token", &flow.redemption(&code))));
    let set = done.headers.iter().find(|(name, cookie)| name == "set-cookie" && !cookie.contains("Max-Age=0"));
    let cookie = set.and_then(|(_, cookie)| cookie.split(';').next()).expect("a cookie").to_owned();
    (tokens.access, cookie)
}

#[test]
fn who_connected_by_a_sign_in_signs_in_again() {
    let mut server = with_sign_in(&[]);
    let (mine, cookie) = signed_in(&mut server, "owner");
    let (theirs, _) = signed_in(&mut server, "other");
    let delete = |token: &str| with_token(deletion(), token);

    // Without TiDB Cloud's page the cookie is the only proof, and the page says what to do without it.
    let path = link(&server.send(delete(&mine)));
    let page = open(&mut server, &path, "").html;
    assert!(page.contains("connect the client again in this browser"), "it says what to do: {page}");
    assert!(!page.contains("value=\"tidbcloud\""), "there is no sign-in that would prove anything: {page}");
    let (status, page) = typed(&mut server, &path, &[("by", "tidbcloud")]);
    assert!(status == 400 && !page.html.contains("shop"), "and none can be made up: {}", page.html);
    assert_eq!(prove(&mut server, &path, "owner").0, 400, "keys of the same organization are not in the grant");
    assert_eq!(by_browser(&mut server, &path, &cookie).0, 200, "the browser of the consent proves it");

    server.config = with_sign_in(&[PAGE]).config;
    let sign_in = |server: &mut Native, path: &str| {
        let origin = server.origin();
        let left = server.send(browser_form(&origin, path, "", &fields(&[("by", "tidbcloud")])));
        assert_eq!(left.status, 200, "{}", text(&left));
        let query = at_tidb_cloud(server, &back(&left)).query().expect("a query").to_owned();
        (Page::of(&left).cookie, format!("/signed-in?{query}"))
    };
    let (cookie, returned) = sign_in(&mut server, &path);
    for (whose, cookies) in [("no", ""), ("another", "mcp_confirm_x=y")] {
        let stolen = server.send(get(&returned).set("Cookie", cookies));
        assert!(stolen.status == 403 && !text(&stolen).contains("shop"), "{whose} browser takes a sign-in over");
    }
    server.admin("DELETE", "/_sandbox/requests", None);
    let shown = server.send(get(&returned).set("Cookie", &cookie));
    assert_eq!(shown.status, 200, "{}", text(&shown));
    let page = Page::of(&shown);
    assert!(page.html.contains("Delete the cluster shop"), "the same person is shown what it is: {}", page.html);
    let requests = server.admin("GET", "/_sandbox/requests", None).to_string();
    assert_eq!(requests.matches("/v1/revoke").count(), 2, "the sign-in is of no other use and ends: {requests}");
    let (_, again) = sign_in(&mut server, &path);
    assert_eq!(server.send(get(&again).set("Cookie", &cookie)).status, 403, "a cookie is for one sign-in");
    agree(&mut server, &path, &page);
    assert_eq!(result(&server.send(delete(&mine)))["status"], "DELETING", "the confirmed call runs");

    // Another person's grant is not theirs, and neither is a caller with keys.
    let limited = json!({"displayName": "late", "region": "regions/aws-us-east-1", "spendingLimitUsdCents": 500});
    let create = || attended("tidbcloud_create_cluster", limited.clone());
    for call in [with_token(create(), &theirs), create()] {
        let path = link(&server.send(call));
        let (cookie, returned) = sign_in(&mut server, &path);
        let refused = server.send(get(&returned).set("Cookie", &cookie));
        assert!(refused.status == 400 && !text(&refused).contains("late"), "{}", text(&refused));
        assert!(text(&refused).contains("was not connected by the person"), "it says why: {}", text(&refused));
        let (cookie, returned) = sign_in(&mut server, &path);
        server.advance(300);
        assert_eq!(server.send(get(&returned).set("Cookie", &cookie)).status, 403, "five minutes are over");
    }
}

/// A tool that destroys, or lets somebody in, and what a person would have to read of it.
#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Staked<const OPENS: bool, const BYTES: usize> {}

impl<const OPENS: bool, const BYTES: usize> Tool for Staked<OPENS, BYTES> {
    const NAME: &'static str = match (OPENS, BYTES > 1_000) {
        (true, true) => "opens at length",
        (true, false) => "opens",
        (false, _) => "destroys",
    };
    const TITLE: &'static str = "Staked";
    const EFFECT: Effect = Effect::Destroy;
    const RECEIPT: Option<Receipt<Self>> = Some(Receipt {
        tries: |_| "do it".to_owned(),
        look: "Look whether it was done.",
        done: |_| Done::of("Did it"),
    });
    type Output = Value;

    fn opens(&self) -> bool {
        OPENS
    }

    async fn stakes(&self, context: &Context<'_>) -> Result<Option<Stakes>, ToolError> {
        context.cloud().regions().await?;
        Ok(serde_json::from_value(json!({"what": "x".repeat(BYTES)})).ok())
    }

    async fn call(self, _: &Context<'_>) -> Result<Value, ToolError> {
        Ok(json!({"did": true}))
    }
}

static STAKED: Catalogue = Catalogue::new(&[Group {
    toolset: Toolset::Organization,
    tools: &[Entry::of::<Staked<false, 9>>, Entry::of::<Staked<true, 9>>, Entry::of::<Staked<true, 20_000>>],
}]);

#[test]
fn whoever_goes_without_a_person_is_asked_before_somebody_is_let_in() {
    let server = Native::new();
    let (public, private) = keys("owner");
    let key = ApiKey::new(public, private).expect("a key");
    let organizations = [Organization { name: "", authenticator: key.into(), own_login: None }];
    let (memory, homes, secret, all) = (Memory::new(), Homes::default(), Secret::new("canary"), Narrowing::default());
    let view = View {
        catalogue: &STAKED,
        narrowing: &all,
        asked: &all,
        scope: None,
        organizations: &organizations,
        address: "https://mcp.example/mcp",
    };
    let metered = Metered::new(Port::of(&*server.world));
    let tools = Tools {
        view,
        io: metered.port().io,
        log: server.world.request_log(),
        allowance: &metered.allowance,
        hosts: &server.config.hosts,
        witness: &Unwatched,
        memory: &memory,
        homes: &homes,
        secret: &secret,
        person: &Nobody { goes_without: true },
        pace: &Nobody { goes_without: true },
        deployment: &Nobody { goes_without: true },
        aliases: &[],
        sql_tags: true,
        rows_guard: 0,
    };
    let call = |name: &str| {
        let tool = STAKED.find(name, &mut Map::new()).expect("the tool");
        block_on(tools.call(tool, Map::new(), Answered::default()))
    };
    assert!(matches!(call("destroys"), Outcome::Complete(_)), "what only destroys goes without a person");
    let Outcome::Failed(error) = call("opens") else { panic!("what lets somebody in is asked about") };
    assert_eq!(error.code, code::CONFIRMATION_REQUIRED, "and so it waits for a person");
    let Outcome::Failed(error) = call("opens at length") else { panic!("what lets somebody in is asked about") };
    assert_eq!(error.code, code::INVALID_ARGUMENT, "of any tool, what a person cannot read whole is refused");
}

/// Somebody who holds one of the keys of a grant has no say in an organization of which they hold none.
#[test]
fn a_key_of_one_organization_confirms_nothing_in_another() {
    let mut server = Native::new();
    let set = |who: &str, name: &str| {
        let (public, private) = keys(who);
        fields(&[("publicKey", public), ("privateKey", &private), ("name", name)])
    };
    let flow = Flow::new(&mut server);
    let all = [set("owner", "shops"), set("other", "labs"), fields(&[("scope", "tidb:destroy")])].concat();
    let code = flow.code(&mut server, all);
    let token = Tokens::of(&server.send(form("/token", &flow.redemption(&code)))).access;
    let path = link(&server.send(with_token(deletion(), &token)));
    let (status, page) = prove(&mut server, &path, "other");
    assert!(status == 400 && !page.html.contains("shop"), "the cluster is not in their organization: {}", page.html);
    let (status, page) = prove(&mut server, &path, "owner");
    assert!(status == 200 && page.html.contains("shops"), "a key of the cluster's organization is: {}", page.html);
    agree(&mut server, &path, &page);
    assert_eq!(result(&server.send(with_token(deletion(), &token)))["status"], "DELETING");
}
