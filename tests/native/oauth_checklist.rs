//! What OAuth 2.1, RFC 9700 and MCP's authorization specification demand of this server, one test a line.

use serde_json::{Value, json};

use crate::{
    support::{
        Driver, keys,
        oauth::{
            CHALLENGE, Flow, Page, REDIRECT, Tokens, VERIFIER, altered, attribute, browser_form, elements, error,
            fields, form, get, link, list_clusters, parameter, registration, tool_with_token, with, without,
        },
    },
    world::Native,
};

/// Where the service is in these tests.
const ORIGIN: &str = "http://127.0.0.1:8787";

fn location(answer: &crate::support::Answer) -> url::Url {
    assert_eq!(answer.status, 302, "{}", String::from_utf8_lossy(&answer.body));
    url::Url::parse(answer.header("Location").expect("a place to go")).expect("an address")
}

fn text(answer: &crate::support::Answer) -> String {
    String::from_utf8_lossy(&answer.body).into_owned()
}

fn works(server: &mut Native, token: &str) -> bool {
    server.send(list_clusters(token)).status == 200
}

/// Log lines of one event.
fn audit(server: &Native, event: &str) -> Vec<Value> {
    let log = server.world.log.borrow();
    let lines = log.iter().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    lines.filter(|line| line["event"] == event).collect()
}

#[test]
fn a_person_connects_and_the_client_calls_a_tool() {
    let mut server = Native::new();
    let flow = Flow::new(&mut server);
    let tokens = flow.tokens(&mut server, "tidb:read tidb:write");
    assert_eq!((tokens.scope.as_str(), tokens.expires_in), ("tidb:read tidb:write", 3_600));
    let answer = server.send(list_clusters(&tokens.access));
    assert_eq!(answer.status, 200, "{}", text(&answer));
    assert!(text(&answer).contains("shop"), "{}", text(&answer));
}

#[test]
fn c01_redirect_uris_are_compared_exactly_at_both_endpoints() {
    let mut server = Native::new();
    let flow = Flow::registering(&mut server, &["https://app.example/cb", "http://127.0.0.1:3000/cb"]);
    for (uri, status) in [
        ("https://app.example/cb", 200),
        ("https://app.example/cb/", 400),
        ("https://app.example/cb?x=1", 400),
        ("https://app.example/cb/../cb", 400),
        ("https://app.example:443/cb", 400),
        ("https://evil.example/cb", 400),
        ("http://127.0.0.1:55555/cb", 200),
        ("http://127.0.0.1/cb", 200),
        ("http://localhost:3000/cb", 400),
    ] {
        let answer = flow.open(&mut server, &with(flow.request(), "redirect_uri", uri));
        assert_eq!(answer.status, status, "{uri}");
        assert!(answer.header("Location").is_none(), "{uri}");
    }
    let code = flow.code(&mut server, Flow::typed("owner", "tidb:read"));
    for other in ["http://127.0.0.1:3000/cb", "https://app.example/cb/", ""] {
        let answer = server.send(form("/token", &with(flow.redemption(&code), "redirect_uri", other)));
        assert_eq!(error(&answer), (400, "invalid_grant".to_owned()), "{other}");
    }
    // None of those used the code up.
    Tokens::of(&server.send(form("/token", &flow.redemption(&code))));
}

#[test]
fn c02_only_https_loopback_and_known_schemes_are_redirected_to() {
    let mut server = Native::new();
    let mut register = |uri: &str| server.send(registration(&json!({ "redirect_uris": [uri] }))).status;
    for uri in ["https://app.example/cb", "http://localhost:1/cb", "cursor://anysphere.cursor-mcp/oauth/callback"] {
        assert_eq!(register(uri), 201, "{uri}");
    }
    for uri in [
        "http://app.example/cb",
        "javascript:alert(1)",
        "data:text/html,x",
        "https://user@app.example/cb",
        "https://app.example/cb#x",
        "https://app.example/c b",
        "https://app.example/c\u{7}b",
        "odd-app:/cb",
    ] {
        assert_eq!(register(uri), 400, "{uri}");
    }
}

#[test]
fn c03_an_unknown_client_or_redirect_gets_a_page_and_no_redirect() {
    let mut server = Native::new();
    let flow = Flow::new(&mut server);
    for request in [
        without(flow.request(), "client_id"),
        with(flow.request(), "client_id", "tdb_client_v1.e30.AAAA"),
        with(flow.request(), "client_id", "nobody"),
        without(flow.request(), "redirect_uri"),
        with(flow.request(), "redirect_uri", "https://evil.example/"),
        [flow.request(), fields(&[("redirect_uri", REDIRECT)])].concat(),
        [flow.request(), fields(&[("client_id", &flow.client_id)])].concat(),
    ] {
        let answer = flow.open(&mut server, &request);
        assert_eq!(answer.status, 400, "{request:?}");
        assert!(answer.header("Location").is_none());
        assert!(answer.header("Content-Type").is_some_and(|kind| kind.starts_with("text/html")));
        assert!(!text(&answer).contains("evil.example"), "nothing of the request is shown");
    }
}

#[test]
fn c04_all_other_errors_go_back_to_the_client_with_state_and_iss() {
    let mut server = Native::new();
    let flow = Flow::new(&mut server);
    for (request, code) in [
        (without(flow.request(), "response_type"), "invalid_request"),
        (with(flow.request(), "response_type", "token"), "unsupported_response_type"),
        (with(flow.request(), "response_mode", "fragment"), "invalid_request"),
        (with(flow.request(), "request", "x"), "request_not_supported"),
        (with(flow.request(), "scope", "everything"), "invalid_scope"),
        (with(flow.request(), "resource", "https://other.example/mcp"), "invalid_target"),
        ([flow.request(), fields(&[("resource", "https://other.example/mcp")])].concat(), "invalid_target"),
        ([flow.request(), fields(&[("scope", "tidb:read")])].concat(), "invalid_request"),
    ] {
        let answer = flow.open(&mut server, &request);
        let place = location(&answer);
        assert!(place.as_str().starts_with(REDIRECT), "{place}");
        assert_eq!(parameter(&place, "error").as_deref(), Some(code), "{request:?}");
        assert_eq!(parameter(&place, "state").as_deref(), Some("the client's state"));
        assert_eq!(parameter(&place, "iss").as_deref(), Some(ORIGIN));
        assert!(answer.body.is_empty(), "nothing is reflected in HTML");
    }
    let page = flow.page(&mut server);
    let declined = link(&flow.decide(&mut server, &page, fields(&[("decision", "deny")])));
    assert_eq!(parameter(&declined, "error").as_deref(), Some("access_denied"));
    assert_eq!(parameter(&declined, "state").as_deref(), Some("the client's state"));
    assert_eq!(parameter(&declined, "iss").as_deref(), Some(ORIGIN));
}

#[test]
fn c05_pkce_is_required_and_s256_only() {
    let mut server = Native::new();
    let flow = Flow::new(&mut server);
    for request in [
        without(flow.request(), "code_challenge"),
        without(flow.request(), "code_challenge_method"),
        with(flow.request(), "code_challenge_method", "plain"),
        with(flow.request(), "code_challenge_method", "s256"),
        with(flow.request(), "code_challenge", &CHALLENGE[1..]),
        with(flow.request(), "code_challenge", &CHALLENGE.replace('-', "+")),
    ] {
        let place = location(&flow.open(&mut server, &request));
        assert_eq!(parameter(&place, "error").as_deref(), Some("invalid_request"), "{request:?}");
    }
    let code = flow.code(&mut server, Flow::typed("owner", "tidb:read"));
    for verifier in ["", &VERIFIER[1..], &"a".repeat(129), &VERIFIER.replace('-', "+"), &"a".repeat(43)] {
        let answer = server.send(form("/token", &with(flow.redemption(&code), "code_verifier", verifier)));
        assert_eq!(error(&answer), (400, "invalid_grant".to_owned()), "{verifier}");
    }
    let answer = server.send(form("/token", &without(flow.redemption(&code), "code_verifier")));
    assert_eq!(error(&answer), (400, "invalid_grant".to_owned()));
    Tokens::of(&server.send(form("/token", &flow.redemption(&code))));
}

#[test]
fn c06_a_code_is_used_once_by_its_client_within_a_minute() {
    let mut server = Native::new();
    let flow = Flow::new(&mut server);
    let stranger = Flow::new(&mut server);
    assert_eq!(stranger.client_id, flow.client_id, "the same registration in the same second is the same client");
    server.advance(1);
    let stranger = Flow::new(&mut server);

    let code = flow.code(&mut server, Flow::typed("owner", "tidb:read"));
    let by_stranger = with(flow.redemption(&code), "client_id", &stranger.client_id);
    assert_eq!(error(&server.send(form("/token", &by_stranger))), (400, "invalid_grant".to_owned()));
    let guessed = altered(&code);
    assert_eq!(error(&server.send(form("/token", &flow.redemption(&guessed)))), (400, "invalid_grant".to_owned()));
    let tokens = Tokens::of(&server.send(form("/token", &flow.redemption(&code))));
    assert!(works(&mut server, &tokens.access));

    // A stranger's second try ends nothing; the client's own does.
    assert_eq!(error(&server.send(form("/token", &by_stranger))), (400, "invalid_grant".to_owned()));
    assert!(works(&mut server, &tokens.access));
    assert_eq!(error(&server.send(form("/token", &flow.redemption(&code)))), (400, "invalid_grant".to_owned()));
    assert!(!works(&mut server, &tokens.access));
    assert_eq!(
        error(&server.send(form("/token", &flow.refreshing(&tokens.refresh)))),
        (400, "invalid_grant".to_owned())
    );

    let code = flow.code(&mut server, Flow::typed("owner", "tidb:read"));
    server.advance(60);
    assert_eq!(error(&server.send(form("/token", &flow.redemption(&code)))), (400, "invalid_grant".to_owned()));
}

#[test]
fn c07_a_wrong_resource_is_refused_before_anything_is_used_up() {
    let mut server = Native::new();
    let flow = Flow::new(&mut server);
    let code = flow.code(&mut server, Flow::typed("owner", "tidb:read"));
    let others = ["https://other.example/mcp", "http://127.0.0.1:8788/", "http://127.0.0.1:8787/mcp-v2", "mcp"];
    for other in others {
        let answer = server.send(form("/token", &with(flow.redemption(&code), "resource", other)));
        assert_eq!(error(&answer), (400, "invalid_target".to_owned()), "{other}");
    }
    let with_query = format!("{ORIGIN}/mcp?readonly=true");
    let tokens = Tokens::of(&server.send(form("/token", &with(flow.redemption(&code), "resource", &with_query))));
    for other in others {
        let answer = server.send(form("/token", &with(flow.refreshing(&tokens.refresh), "resource", other)));
        assert_eq!(error(&answer), (400, "invalid_target".to_owned()), "{other}");
    }
    Tokens::of(&server.send(form("/token", &flow.refreshing(&tokens.refresh))));
}

#[test]
fn c08_iss_is_on_every_redirect_and_announced() {
    let mut server = Native::new();
    let flow = Flow::new(&mut server);
    let metadata = server.send(get("/.well-known/oauth-authorization-server")).json();
    assert_eq!(metadata["authorization_response_iss_parameter_supported"], true);
    assert_eq!(metadata["issuer"], ORIGIN);
    let page = flow.page(&mut server);
    let granted = link(&flow.decide(&mut server, &page, Flow::typed("owner", "tidb:read")));
    assert_eq!(parameter(&granted, "iss").as_deref(), Some(ORIGIN));
    assert_eq!(parameter(&granted, "state").as_deref(), Some("the client's state"));
    let refused = location(&flow.open(&mut server, &with(flow.request(), "scope", "x")));
    assert_eq!(parameter(&refused, "iss").as_deref(), Some(ORIGIN));
}

#[test]
fn c09_refresh_tokens_rotate_replay_for_half_a_minute_and_reuse_ends_the_grant() {
    let mut server = Native::new();
    let flow = Flow::new(&mut server);
    let first = flow.tokens(&mut server, "tidb:read tidb:write");
    let mut refresh = |token: &str| server.send(form("/token", &flow.refreshing(token)));
    let second = Tokens::of(&refresh(&first.refresh));
    assert_ne!(second.refresh, first.refresh);
    // The answer may have been lost: the same again.
    assert_eq!(Tokens::of(&refresh(&first.refresh)), second);
    let third = Tokens::of(&refresh(&second.refresh));
    assert!(works(&mut server, &first.access) && works(&mut server, &third.access));

    // Scope narrows, never widens, and a refusal rotates nothing.
    let wider = with(flow.refreshing(&third.refresh), "scope", "tidb:destroy");
    assert_eq!(error(&server.send(form("/token", &wider))), (400, "invalid_scope".to_owned()));
    let narrower = with(flow.refreshing(&third.refresh), "scope", "tidb:read");
    let fourth = Tokens::of(&server.send(form("/token", &narrower)));
    assert_eq!(fourth.scope, "tidb:read");

    // Half a minute later the replaced one is a stolen one.
    server.advance(31);
    assert_eq!(
        error(&server.send(form("/token", &flow.refreshing(&third.refresh)))),
        (400, "invalid_grant".to_owned())
    );
    assert!(!works(&mut server, &fourth.access));
    assert_eq!(audit(&server, "refresh_reuse").len(), 1);

    // Any earlier one of the family ends it as well, at once.
    let first = flow.tokens(&mut server, "tidb:read");
    let second = Tokens::of(&server.send(form("/token", &flow.refreshing(&first.refresh))));
    let third = Tokens::of(&server.send(form("/token", &flow.refreshing(&second.refresh))));
    assert_eq!(
        error(&server.send(form("/token", &flow.refreshing(&first.refresh)))),
        (400, "invalid_grant".to_owned())
    );
    assert!(!works(&mut server, &third.access));
}

#[test]
fn c10_the_token_endpoint_takes_forms_of_single_parameters() {
    let mut server = Native::new();
    let flow = Flow::new(&mut server);
    let code = flow.code(&mut server, Flow::typed("owner", "tidb:read"));
    let mut as_json = form("/token", &flow.redemption(&code));
    as_json.headers[0].1 = "application/json".to_owned();
    assert_eq!(error(&server.send(as_json)), (400, "invalid_request".to_owned()));
    let twice = [flow.redemption(&code), fields(&[("code", &code)])].concat();
    assert_eq!(error(&server.send(form("/token", &twice))), (400, "invalid_request".to_owned()));
    for client in ["nobody", "https://127.0.0.1/x", ""] {
        let answer = server.send(form("/token", &with(flow.redemption(&code), "client_id", client)));
        assert_eq!(error(&answer), (401, "invalid_client".to_owned()), "{client}");
    }
    let mut basic = form("/token", &flow.redemption(&code));
    basic.headers.push(("Authorization".to_owned(), "Basic Y2FuYXJ5OmNhbmFyeQ==".to_owned()));
    let answer = server.send(basic);
    assert_eq!(error(&answer), (401, "invalid_client".to_owned()));
    assert!(answer.header("WWW-Authenticate").is_some_and(|challenge| challenge.starts_with("Basic")));
    let answer = server.send(form("/token", &flow.redemption(&code)));
    assert_eq!(answer.header("Cache-Control"), Some("no-store"));
    assert_eq!(answer.header("Access-Control-Allow-Origin"), Some("*"));
    assert_eq!(answer.header("Access-Control-Allow-Credentials"), None);
    Tokens::of(&answer);
}

#[test]
fn c11_revocation_is_for_the_owner_of_the_token_and_always_200() {
    let mut server = Native::new();
    let flow = Flow::new(&mut server);
    server.advance(1);
    let stranger = Flow::new(&mut server);
    let tokens = flow.tokens(&mut server, "tidb:read");
    let mut revoke = |flow: &Flow, token: &str| {
        let answer = server.send(form("/revoke", &fields(&[("token", token), ("client_id", &flow.client_id)])));
        assert_eq!(answer.status, 200);
        works(&mut server, &tokens.access)
    };
    assert!(revoke(&stranger, &tokens.refresh) && revoke(&stranger, &tokens.access), "nothing of somebody else's");
    assert!(revoke(&flow, "no token at all"));
    assert!(!revoke(&flow, &tokens.refresh), "the whole family goes with a refresh token");

    let tokens = flow.tokens(&mut server, "tidb:read");
    let all = fields(&[("token", &tokens.access), ("client_id", &flow.client_id)]);
    server.send(form("/revoke", &all));
    assert!(!works(&mut server, &tokens.access));
    let next = Tokens::of(&server.send(form("/token", &flow.refreshing(&tokens.refresh))));
    assert!(works(&mut server, &next.access), "an access token goes alone");

    // A client that revokes while it refreshes knows only the token before.
    server.send(form("/revoke", &fields(&[("token", &tokens.refresh), ("client_id", &flow.client_id)])));
    assert!(!works(&mut server, &next.access), "nor does a refresh that came first save it");
}

#[test]
fn c12_there_are_two_grant_types() {
    let mut server = Native::new();
    let flow = Flow::new(&mut server);
    for kind in ["password", "client_credentials", "urn:ietf:params:oauth:grant-type:token-exchange", "implicit"] {
        let all = fields(&[("grant_type", kind), ("client_id", &flow.client_id), ("username", "canary")]);
        assert_eq!(error(&server.send(form("/token", &all))), (400, "unsupported_grant_type".to_owned()), "{kind}");
    }
    let metadata = server.send(get("/.well-known/oauth-authorization-server")).json();
    assert_eq!(metadata["grant_types_supported"], json!(["authorization_code", "refresh_token"]));
    assert_eq!(metadata["response_types_supported"], json!(["code"]));
    assert_eq!(metadata["code_challenge_methods_supported"], json!(["S256"]));
}

#[test]
fn c13_pages_are_framed_by_nobody_load_nothing_and_run_nothing() {
    let mut server = Native::new();
    let flow = Flow::new(&mut server);
    let opened = flow.open(&mut server, &flow.request());
    let page = Page::of(&opened);
    let decided = flow.decide(&mut server, &page, Flow::typed("owner", "tidb:read"));
    let refused = server.send(get("/authorize"));
    let grants = server.send(get("/grants"));
    for answer in [opened, decided, refused, grants] {
        let policy = answer.header("Content-Security-Policy").expect("a policy").to_owned();
        for part in ["default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'", "form-action 'self'"] {
            assert!(policy.split("; ").any(|directive| directive == part), "{part} is not in {policy}");
        }
        assert!(policy.contains("style-src 'nonce-") && !policy.contains("script"), "{policy}");
        assert_eq!(answer.header("X-Frame-Options"), Some("DENY"));
        assert_eq!(answer.header("Referrer-Policy"), Some("same-origin"));
        assert_eq!(answer.header("Cache-Control"), Some("no-store"));
        assert_eq!(answer.header("X-Content-Type-Options"), Some("nosniff"));
        let html = text(&answer);
        assert!(!html.contains("<script") && !html.contains("style=\"") && !html.contains(" onclick"), "{html}");
        let nonce = policy.split_once("'nonce-").and_then(|(_, rest)| rest.split_once('\'')).expect("a nonce").0;
        for sheet in elements(&html, "link") {
            if attribute(&sheet, "rel").as_deref() == Some("stylesheet") {
                assert_eq!(attribute(&sheet, "nonce").as_deref(), Some(nonce));
            }
        }
    }
}

#[test]
fn c14_consent_answers_with_a_page_that_leads_to_the_client() {
    let mut server = Native::new();
    for redirect in ["https://app.example/cb?a=1&b=2", REDIRECT, "cursor://anysphere.cursor-mcp/oauth/callback"] {
        let flow = Flow::registering(&mut server, &[redirect]);
        let page = flow.page(&mut server);
        let answer = flow.decide(&mut server, &page, Flow::typed("owner", "tidb:read"));
        assert_eq!(answer.status, 200);
        assert!(answer.header("Location").is_none(), "a redirect would be blocked by form-action");
        let place = link(&answer);
        assert!(place.as_str().starts_with(redirect), "{place}");
        let html = text(&answer);
        let refresh = elements(&html, "meta").into_iter().find(|tag| tag.contains("http-equiv=\"refresh\""));
        let content = refresh.and_then(|tag| attribute(&tag, "content")).expect("it goes there by itself");
        assert_eq!(content, format!("0;url={place}"));
    }
}

#[test]
fn c15_a_consent_form_belongs_to_its_browser_and_comes_from_its_page() {
    let mut server = Native::new();
    let flow = Flow::new(&mut server);
    let page = flow.page(&mut server);
    let all = || page.hidden.iter().cloned().chain(Flow::typed("owner", "tidb:read")).collect::<Vec<_>>();
    let good = browser_form(ORIGIN, "/consent", &page.cookie, &all());
    let change = |name: &str, value: Option<&str>| {
        let mut call = good.clone();
        call.headers.retain(|(field, _)| field != name);
        call.headers.extend(value.map(|value| (name.to_owned(), value.to_owned())));
        call
    };
    let name = page.cookie.split_once('=').expect("a cookie").0.to_owned();
    let other = flow.page(&mut server);
    for (call, why) in [
        (change("Cookie", None), "no cookie"),
        (change("Cookie", Some(&format!("{name}=canary"))), "another cookie"),
        (change("Cookie", Some(&other.cookie)), "the cookie of another page"),
        (change("Cookie", Some(&format!("{}; {}", page.cookie, page.cookie))), "the cookie twice"),
        (change("Origin", None), "no origin"),
        (change("Origin", Some("null")), "an opaque origin"),
        (change("Origin", Some("https://evil.example")), "another origin"),
        (change("Sec-Fetch-Site", Some("cross-site")), "another site"),
        (change("Sec-Fetch-Site", Some("same-site")), "another host of the site"),
        (browser_form(ORIGIN, "/consent", &page.cookie, &with(all(), "csrf", other.value("csrf"))), "another token"),
    ] {
        let answer = server.send(call);
        assert_eq!(answer.status, 403, "{why}");
    }
    assert_eq!(server.send(change("Sec-Fetch-Site", None)).status, 200, "an old browser says nothing of sites");
}

#[test]
fn c16_the_cookie_comes_with_the_form_and_nothing_is_approved_without_a_person() {
    let mut server = Native::new();
    let flow = Flow::new(&mut server);
    let answer = flow.open(&mut server, &flow.request());
    let cookie = answer.header("Set-Cookie").expect("a cookie").to_owned();
    for part in ["Path=/", "Max-Age=600", "HttpOnly", "SameSite=Lax"] {
        assert!(cookie.split("; ").any(|attribute| attribute == part), "{part} is not in {cookie}");
    }
    assert!(!cookie.contains("Secure") && !cookie.starts_with("__Host-"), "plain http has neither: {cookie}");
    flow.tokens(&mut server, "tidb:read");
    // The second time the person is asked again.
    assert_eq!(flow.open(&mut server, &flow.request()).status, 200);

    let mut https = Native::with(&[]);
    https.origin = "https://mcp.example.com".to_owned();
    https.behind("192.0.2.1");
    let flow = Flow::registering(&mut https, &[REDIRECT]);
    let answer = flow.open(&mut https, &flow.request());
    let cookie = answer.header("Set-Cookie").expect("a cookie");
    assert!(cookie.starts_with("__Host-") && cookie.ends_with("; Secure") && !cookie.contains("Domain"), "{cookie}");
}

#[test]
fn c17_the_page_says_who_asks_for_what_and_what_a_key_can_do() {
    let mut server = Native::new();
    let name = "<b>Claude</b> & \"friends\"";
    let answer = server.send(registration(&json!({"client_name": name, "redirect_uris": ["https://odd.example/cb"]})));
    let client_id = answer.json()["client_id"].as_str().expect("an id").to_owned();
    let flow = Flow { origin: ORIGIN.to_owned(), client_id, redirect_uri: "https://odd.example/cb".to_owned() };
    let request = with(flow.request(), "scope", "tidb:read tidb:write tidb:destroy");
    let html = Page::of(&flow.open(&mut server, &request)).html;
    assert!(!html.contains("<b>Claude") && html.contains("&lt;b&gt;Claude&lt;/b&gt; &amp; "), "{html}");
    assert!(html.contains("odd.example"), "the redirect's host");
    let lower = html.to_lowercase();
    for word in ["says", "role", "api key", "organization"] {
        assert!(lower.contains(word), "{word} is not on the page");
    }
    let ticked = |scope: &str| {
        let boxes = elements(&html, "input");
        let input = boxes.iter().find(|tag| attribute(tag, "value").as_deref() == Some(scope)).expect("a box");
        input.split_whitespace().any(|word| word == "checked")
    };
    assert!(ticked("tidb:read") && ticked("tidb:write"), "what is asked for is preselected");
    assert!(!ticked("tidb:destroy"), "but destroying, which a person ticks");
}

#[test]
fn c18_what_is_typed_is_not_kept_shown_or_logged() {
    let mut server = Native::new();
    let flow = Flow::new(&mut server);
    let page = flow.page(&mut server);
    for tag in elements(&page.html, "input") {
        let name = attribute(&tag, "name").unwrap_or_default();
        if ["privateKey", "sqlPassword", "accessKey"].contains(&name.as_str()) {
            assert_eq!(attribute(&tag, "type").as_deref(), Some("password"), "{tag}");
            assert_eq!(attribute(&tag, "autocomplete").as_deref(), Some("off"), "{tag}");
            assert_eq!(attribute(&tag, "value"), None, "{tag}");
        }
    }
    let typed = fields(&[
        ("publicKey", "SBXOWNER"),
        ("privateKey", "canary-private-key"),
        ("name", "mine"),
        ("sqlUser", "canary-user-without-prefix"),
        ("sqlPassword", "canary-password"),
        ("scope", "tidb:read"),
    ]);
    let answer = flow.decide(&mut server, &page, typed.clone());
    assert_eq!(answer.status, 400);
    assert!(text(&answer).contains("SBXOWNER"), "what is no secret need not be typed again");
    assert!(!text(&answer).contains("canary-private-key") && !text(&answer).contains("canary-password"));
    let mut long = flow.decide(&mut server, &page, with(typed, "name", &"x".repeat(17 << 10)));
    assert_eq!(long.status, 413);
    long.body.clear();
    let log = server.world.log.borrow().join("\n");
    assert!(!log.contains("canary"), "{log}");
}

#[test]
fn c19_registration_is_bounded_and_gives_no_secret() {
    let mut server = Native::new();
    let answer = server.send(registration(&json!({
        "redirect_uris": [REDIRECT], "client_name": "x", "token_endpoint_auth_method": "client_secret_basic", "odd": [1],
    })));
    assert_eq!(answer.status, 201);
    let body = answer.json();
    for absent in ["client_secret", "registration_client_uri", "registration_access_token"] {
        assert!(body.get(absent).is_none(), "{absent}");
    }
    assert_eq!(body["token_endpoint_auth_method"], "none");
    for wrong in [
        json!({"redirect_uris": vec![REDIRECT; 11]}),
        json!({"redirect_uris": [REDIRECT], "client_name": "x".repeat(101)}),
        json!({"redirect_uris": [REDIRECT], "client_secret": "canary"}),
    ] {
        assert_eq!(server.send(registration(&wrong)).status, 400);
    }
    let long = server.send(registration(&json!({"redirect_uris": [REDIRECT], "x": "x".repeat(17 << 10)})));
    assert_eq!(error(&long), (413, "invalid_client_metadata".to_owned()));

    // 90 days.
    let flow = Flow::new(&mut server);
    server.advance(90 * 24 * 60 * 60 - 1);
    assert_eq!(flow.open(&mut server, &flow.request()).status, 200);
    server.advance(1);
    assert_eq!(flow.open(&mut server, &flow.request()).status, 400);

    let mut server = Native::new();
    for _ in 0..100 {
        Flow::new(&mut server);
    }
    let answer = server.send(registration(&json!({ "redirect_uris": [REDIRECT] })));
    assert_eq!(answer.status, 429);
    assert!(answer.header("Retry-After").is_some());
}

#[test]
fn c20_documents_are_fetched_narrowly() {
    let mut server = Native::new();
    let claude = "https://claude.ai/oauth/mcp-oauth-client-metadata";
    let flow = Flow {
        origin: ORIGIN.to_owned(),
        client_id: claude.to_owned(),
        redirect_uri: "https://claude.ai/api/mcp/auth_callback".to_owned(),
    };
    assert_eq!(flow.open(&mut server, &flow.request()).status, 200);
    let fetched = |server: &Native| {
        let sent = server.world.sent.borrow();
        sent.iter().filter(|(target, _)| target.contains("claude.ai")).count()
    };
    assert_eq!(fetched(&server), 1);
    flow.open(&mut server, &flow.request());
    assert_eq!(fetched(&server), 1, "the document is kept");
    let (_, sent) = server.world.sent.borrow().first().cloned().expect("a request");
    assert!(!sent.to_lowercase().contains("authorization") && !sent.to_lowercase().contains("cookie"), "{sent}");
    for id in [
        "http://claude.ai/oauth/mcp-oauth-client-metadata",
        "https://127.0.0.1/x.json",
        "https://0x7f.1/x",
        "https://[::1]/x",
        "https://localhost/x",
        "https://printer.local/x",
        "https://intranet/x",
        "https://claude.ai:8443/x",
        "https://user@claude.ai/x",
        "https://claude.ai/x#y",
        "https://claude.ai/a/../b",
    ] {
        let before = server.world.sent.borrow().len();
        let answer = flow.open(&mut server, &with(flow.request(), "client_id", id));
        assert_eq!(answer.status, 400, "{id}");
        assert!(text(&answer).contains("invalid_client"), "{id}");
        assert_eq!(server.world.sent.borrow().len(), before, "{id} was fetched");
    }
}

#[test]
fn c21_nothing_that_a_client_names_is_fetched() {
    let mut server = Native::new();
    let answer = server.send(registration(&json!({
        "redirect_uris": [REDIRECT], "logo_uri": "https://evil.example/logo.png", "jwks_uri": "https://evil.example/jwks",
        "client_uri": "https://evil.example/", "policy_uri": "https://evil.example/p", "tos_uri": "https://evil.example/t",
    })));
    assert_eq!(answer.status, 201);
    let client_id = answer.json()["client_id"].as_str().expect("an id").to_owned();
    let flow = Flow { origin: ORIGIN.to_owned(), client_id, redirect_uri: REDIRECT.to_owned() };
    let page = flow.page(&mut server);
    assert!(!page.html.contains("evil.example"), "nor shown");
    assert!(server.world.sent.borrow().is_empty());
}

#[test]
fn c22_addresses_are_those_of_the_setting_or_the_request_and_never_of_a_header() {
    let ask = |server: &mut Native, path: &str| {
        let mut call = get(path);
        for (name, value) in
            [("X-Forwarded-Host", "evil.example"), ("X-Forwarded-Proto", "http"), ("Forwarded", "host=evil.example")]
        {
            call.headers.push((name.to_owned(), value.to_owned()));
        }
        server.send(call)
    };
    let mut unset = Native::with(&[]);
    unset.origin = "https://mcp.example.com".to_owned();
    unset.behind("192.0.2.1");
    let mut set = Native::with(&[("PUBLIC_ORIGIN", "https://mcp.example.com")]);
    set.origin = "https://mcp.example.com".to_owned();
    set.behind("192.0.2.1");
    for server in [&mut unset, &mut set] {
        for place in ["/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/mcp"] {
            let metadata = ask(server, place).json();
            assert_eq!(metadata["resource"], "https://mcp.example.com/mcp");
            assert_eq!(metadata["authorization_servers"], json!(["https://mcp.example.com"]));
        }
        let metadata = ask(server, "/.well-known/oauth-authorization-server").json();
        assert_eq!(metadata["issuer"], "https://mcp.example.com");
        assert_eq!(metadata["token_endpoint"], "https://mcp.example.com/token");
    }
    set.origin = "https://other.example.com".to_owned();
    assert_eq!(ask(&mut set, "/.well-known/oauth-authorization-server").status, 403, "no other host is served");
    // With a sandbox each loopback name is its own issuer.
    let mut sandbox = Native::new();
    sandbox.origin = "http://localhost:8787".to_owned();
    assert_eq!(ask(&mut sandbox, "/.well-known/oauth-authorization-server").json()["issuer"], "http://localhost:8787");
}

#[test]
fn c23_unknown_expired_and_revoked_tokens_look_the_same() {
    let mut server = Native::new();
    let flow = Flow::new(&mut server);
    let expired = flow.tokens(&mut server, "tidb:read");
    server.advance(3_600);
    let revoked = flow.tokens(&mut server, "tidb:read");
    server.send(form("/revoke", &fields(&[("token", &revoked.refresh), ("client_id", &flow.client_id)])));
    let living = flow.tokens(&mut server, "tidb:read");
    let wrong = altered(&living.access);
    let made_up = format!("tdb_at_v1.{}.{}", "A".repeat(22), "A".repeat(43));
    let shape = |server: &mut Native, token: &str| {
        let answer = server.send(list_clusters(token));
        assert_eq!(answer.status, 401, "{token}");
        let mut body = answer.json();
        for name in ["requestId", "traceId"] {
            body["error"]["data"][name] = Value::Null;
        }
        (body, answer.header("WWW-Authenticate").map(str::to_owned))
    };
    let first = shape(&mut server, &expired.access);
    for token in [&revoked.access, &wrong, &made_up, &living.refresh.replace("_rt_", "_at_")] {
        assert_eq!(shape(&mut server, token), first);
    }
    let challenge = first.1.expect("a challenge");
    assert!(challenge.contains("error=\"invalid_token\"") && challenge.contains("resource_metadata=\""), "{challenge}");
    assert!(works(&mut server, &living.access), "a wrong secret with a known grant changes nothing");
    // For another address it is no token.
    server.origin = "http://localhost:8787".to_owned();
    assert!(!works(&mut server, &living.access));
}

#[test]
fn c24_hosts_and_origins_are_checked_on_the_endpoint() {
    let mut server = Native::new();
    let flow = Flow::new(&mut server);
    let tokens = flow.tokens(&mut server, "tidb:read");
    for origin in ["https://evil.example", "null"] {
        let mut call = list_clusters(&tokens.access);
        call.headers.push(("Origin".to_owned(), origin.to_owned()));
        assert_eq!(server.send(call).status, 403, "{origin}");
    }
    server.origin = "http://rebound.example:8787".to_owned();
    assert_eq!(server.send(list_clusters(&tokens.access)).status, 403);
    assert_eq!(server.send(get("/authorize")).status, 403);
}

#[test]
fn c25_no_token_of_ours_leaves_for_tidb_cloud() {
    let mut server = Native::new();
    let flow = Flow::new(&mut server);
    let tokens = flow.tokens(&mut server, "tidb:read");
    assert!(works(&mut server, &tokens.access));
    server.send(tool_with_token(&tokens.access, "show_databases", json!({"cluster": "shop"})));
    let sent = server.world.sent.borrow();
    assert!(sent.len() > 3);
    for (target, request) in sent.iter() {
        assert!(!request.contains("tdb_"), "{target}");
        assert!(!request.contains(&keys("owner").1), "{target}: a private key never travels");
        let schemes = ["Digest ", "Basic "];
        let sends_none = !request.contains("authorization");
        assert!(sends_none || schemes.iter().any(|scheme| request.contains(scheme)), "{target}: {request}");
    }
}

#[test]
fn c26_a_person_lists_and_ends_grants() {
    let mut server = Native::new();
    let flow = Flow::new(&mut server);
    let two = [Flow::typed("owner", "tidb:read"), without(Flow::typed("other", "tidb:read"), "scope")].concat();
    let code = flow.code(&mut server, two);
    let tokens = Tokens::of(&server.send(form("/token", &flow.redemption(&code))));
    let others = {
        let code = flow.code(&mut server, Flow::typed("other", "tidb:read"));
        Tokens::of(&server.send(form("/token", &flow.redemption(&code))))
    };

    let (public, private) = keys("owner");
    let wrong = fields(&[("publicKey", public), ("privateKey", "5b000000-0000-4000-8000-0000000000ab")]);
    assert_eq!(server.send(browser_form(ORIGIN, "/grants", "", &wrong)).status, 400);
    let right = fields(&[("publicKey", public), ("privateKey", &private)]);
    assert_eq!(server.send(form("/grants", &right)).status, 403, "only from our own page");
    let answer = server.send(browser_form(ORIGIN, "/grants", "", &right));
    assert_eq!(answer.status, 200);
    assert!(answer.header("Set-Cookie").is_some_and(|cookie| cookie.contains("Max-Age=300")));
    let page = Page::of(&answer);
    assert!(page.html.contains("Test client") && page.html.contains("owner"), "{}", page.html);
    assert!(!page.html.contains(">other<"), "other organizations are left out");
    let grant = page.value("grant").to_owned();
    assert_eq!(page.hidden.iter().filter(|(name, _)| name == "grant").count(), 1);
    assert!(tokens.access.contains(&grant));

    // Nobody else's grant, and not without the page's token.
    let other_grant = others.access.split('.').nth(1).expect("a grant").to_owned();
    let revoke = |csrf: &str, grant: &str| {
        let all = fields(&[("csrf", csrf), ("grant", grant), ("then", "end")]);
        browser_form(ORIGIN, "/grants/revoke", &page.cookie, &all)
    };
    assert_eq!(server.send(revoke("canary", &grant)).status, 403);
    assert_eq!(server.send(revoke(page.value("csrf"), &other_grant)).status, 404);
    assert!(works(&mut server, &others.access) && works(&mut server, &tokens.access));

    // Asked first: until the person says so, nothing ends.
    let asked = fields(&[("csrf", page.value("csrf")), ("grant", &grant), ("grant", &other_grant)]);
    let asked = server.send(browser_form(ORIGIN, "/grants/revoke", &page.cookie, &asked));
    let listed = Page::of(&asked);
    let ids: Vec<_> = listed.hidden.iter().filter(|(name, _)| name == "grant").map(|(_, id)| id.clone()).collect();
    assert_eq!((asked.status, ids), (200, vec![grant.clone()]), "{}", listed.html);
    assert!(listed.html.contains("End now") && works(&mut server, &tokens.access));

    let kept = server.world.objects.borrow().len();
    assert_eq!(server.send(revoke(page.value("csrf"), &grant)).status, 200);
    assert!(!works(&mut server, &tokens.access) && works(&mut server, &others.access));
    assert!(server.world.objects.borrow().len() < kept, "blob and wraps are gone");
    let mut again = get("/grants");
    again.headers.push(("Cookie".to_owned(), page.cookie.clone()));
    assert!(!text(&server.send(again.clone())).contains(&grant));
    server.advance(300);
    let answer = server.send(again);
    assert!(!text(&answer).contains("Test client") && text(&answer).contains("publicKey"), "five minutes are over");
}

#[test]
fn c26_a_person_ends_all_grants_of_a_key_at_once_and_signs_out() {
    let mut server = Native::new();
    let (flow, mut all) = (Flow::new(&mut server), Vec::new());
    for key in ["owner", "owner", "other"] {
        let code = flow.code(&mut server, Flow::typed(key, "tidb:read"));
        all.push(Tokens::of(&server.send(form("/token", &flow.redemption(&code)))));
    }
    let (public, private) = keys("owner");
    let proof = fields(&[("publicKey", public), ("privateKey", &private)]);
    let page = Page::of(&server.send(browser_form(ORIGIN, "/grants", "", &proof)));
    // 90 days after it was allowed, or 30 days after its last use.
    let day = |days: u64| {
        let millis = server.world.clock.get() + days * 24 * 60 * 60 * 1_000;
        let moment = time::OffsetDateTime::from_unix_timestamp(i64::try_from(millis / 1_000).expect("a time"));
        moment.expect("a time").date().to_string()
    };
    let ends = format!("<dt>Ends</dt><dd>{}, or about {} if unused</dd>", day(90), day(30));
    assert_eq!(page.html.matches(&ends).count(), 2, "{ends}: {}", page.html);

    let send = |server: &mut Native, csrf: &str, then: &str| {
        let grants = all.iter().map(|tokens| tokens.access.split('.').nth(1).expect("a grant"));
        let grants: Vec<_> = grants.map(|grant| ("grant", grant)).chain([("csrf", csrf), ("then", then)]).collect();
        server.send(browser_form(ORIGIN, "/grants/revoke", &page.cookie, &fields(&grants)))
    };
    let out = send(&mut server, page.value("csrf"), "sign-out");
    assert!(
        out.header("Set-Cookie").is_some_and(|cookie| cookie.contains("mcp_grants=;") && cookie.contains("Max-Age=0"))
    );
    assert!(text(&out).contains("privateKey") && !text(&out).contains("Test client"), "{}", text(&out));
    for csrf in ["", "canary"] {
        let refused = send(&mut server, csrf, "end");
        assert!(refused.status == 403 && text(&refused).contains("sign in again"), "{}", text(&refused));
    }
    assert!(all.iter().all(|tokens| works(&mut server, &tokens.access)), "nothing has ended yet");

    let ended = send(&mut server, page.value("csrf"), "end");
    assert!(ended.status == 200 && text(&ended).contains("href=\"/grants\""), "{}", text(&ended));
    let works: Vec<_> = all.iter().map(|tokens| works(&mut server, &tokens.access)).collect();
    assert_eq!(works, [false, false, true], "nobody else's");
    assert_eq!(audit(&server, "revocation").len(), 2);
    let mut again = get("/grants");
    again.headers.push(("Cookie".to_owned(), page.cookie.clone()));
    assert!(text(&server.send(again)).contains("No client is connected"));
}

#[test]
fn c27_what_happens_to_grants_is_audited_without_secrets() {
    let mut server = Native::new();
    let flow = Flow::new(&mut server);
    let code = flow.code(&mut server, Flow::typed("owner", "tidb:read"));
    let tokens = Tokens::of(&server.send(form("/token", &flow.redemption(&code))));
    let next = Tokens::of(&server.send(form("/token", &flow.refreshing(&tokens.refresh))));
    assert_eq!(
        server.send(tool_with_token(&next.access, "tidbcloud_delete_cluster", json!({"cluster": "shop"}))).status,
        403
    );
    server.advance(31);
    server.send(form("/token", &flow.refreshing(&tokens.refresh)));
    let last = flow.tokens(&mut server, "tidb:read");
    server.send(form("/revoke", &fields(&[("token", &last.refresh), ("client_id", &flow.client_id)])));
    for (event, count) in
        [("consent", 2), ("code_exchange", 2), ("refresh", 1), ("refresh_reuse", 1), ("revocation", 1), ("step_up", 1)]
    {
        let lines = audit(&server, event);
        assert_eq!(lines.len(), count, "{event}");
        for line in lines {
            assert!(line["grant"].as_str().is_some_and(|grant| grant.len() == 8), "{line}");
            assert!(line["request_id"].is_string() && line["ip_hash"].is_string(), "{line}");
        }
    }
    let log = server.world.log.borrow().join("\n");
    for secret in [&code, &tokens.access, &tokens.refresh, &next.access, &keys("owner").1, &keys("owner").0.to_owned()]
    {
        assert!(!log.contains(secret.as_str()), "{secret} is in the log");
    }
}
