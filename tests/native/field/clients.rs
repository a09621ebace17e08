//! What clients send on the wire: at the doors of `/mcp`, in messages, and to the authorization server.

use std::collections::BTreeSet;

use mcp_server_tidbcloud::base::http::is_query;
use proptest::prelude::*;
use serde_json::{Value, json};
use url::Url;

use crate::{
    support::{
        Answer, Call, Driver,
        bad_inputs::{ACCESS_KEY, list, tool},
        challenge::Challenge,
        keys,
        oauth::{
            Flow, Page, Tokens, browser_form, error, fields, form, get, parameter, registration, tool_with_token,
            unescape, with, with_token, without,
        },
        request,
    },
    world::{Native, SANDBOX},
};

/// The cluster `shop`.
const SHOP: &str = "1379661944646413143";
const METADATA: &str = "/.well-known/oauth-protected-resource";
const CLIENTS: [&str; 4] = ["https://chatgpt.com", "https://claude.ai", "https://claude.com", "https://vscode.dev"];

fn text(answer: &Answer) -> String {
    String::from_utf8_lossy(&answer.body).into_owned()
}

/// A server whose limits are not what a test is about.
fn unlimited() -> Native {
    with_settings(&[])
}

fn with_settings(more: &[(&str, &str)]) -> Native {
    let always = [
        ("TIDB_CLOUD_SANDBOX", SANDBOX),
        ("RATE_LIMIT_PER_MINUTE", "1000000"),
        ("CREDENTIAL_LIMIT_PER_MINUTE", "1000000"),
    ];
    Native::with(&[&always, more].concat())
}

fn owned() -> Native {
    with_settings(&[
        ("TIDB_CLOUD_PUBLIC_KEY", "SBXOWNER"),
        ("TIDB_CLOUD_PRIVATE_KEY", &keys("owner").1),
        ("MCP_ACCESS_KEY", ACCESS_KEY),
    ])
}

/// Without any credentials.
fn nobody() -> Call {
    list().without("X-TiDB-API-Public-Key").without("X-TiDB-API-Private-Key")
}

fn challenge(answer: &Answer) -> Challenge {
    let header = answer.header("WWW-Authenticate").unwrap_or_else(|| panic!("no challenge: {}", text(answer)));
    let challenge = Challenge::parse(header).unwrap_or_else(|| panic!("not a challenge: {header}"));
    assert_eq!(challenge.scheme, "Bearer");
    challenge
}

/// Where a challenge leads, as the path and query that a client asks for.
fn metadata_of(server: &Native, answer: &Answer) -> String {
    let challenge = challenge(answer);
    let address = challenge.get("resource_metadata").expect("an address");
    address.strip_prefix(&server.origin).unwrap_or_else(|| panic!("{address} is elsewhere")).to_owned()
}

fn tools(answer: &Answer) -> BTreeSet<String> {
    assert_eq!(answer.status, 200, "{}", text(answer));
    let tools = answer.json()["result"]["tools"].as_array().expect("tools").clone();
    tools.iter().map(|tool| tool["name"].as_str().expect("a name").to_owned()).collect()
}

// FLD-003: origins.

#[test]
fn fld_003_web_clients_call_with_their_own_origin() {
    let mut server = unlimited();
    for origin in CLIENTS {
        let answer = server.send(list().set("Origin", origin));
        assert_eq!((answer.status, answer.header("Access-Control-Allow-Origin")), (200, Some(origin)));
        let answer = server.send(nobody().set("Origin", origin));
        assert_eq!((answer.status, answer.header("Access-Control-Allow-Origin")), (401, Some(origin)));
        let exposed = answer.header("Access-Control-Expose-Headers").unwrap_or_default();
        assert!(exposed.contains("WWW-Authenticate"), "{exposed}");
        assert_eq!(metadata_of(&server, &answer), format!("{METADATA}/mcp"));
    }
}

/// What is not on the list word for word is refused, and so are the clients of the default where a deployment lists others.
#[test]
fn fld_003_no_other_origin_is_let_in() {
    let mut server = unlimited();
    for origin in CLIENTS {
        let host = origin.trim_start_matches("https://");
        for other in [
            format!("http://{host}"),
            format!("https://{host}:8443"),
            format!("https://{host}."),
            format!("https://www.{host}"),
            format!("https://{host}.evil.example"),
            format!("https://evil-{host}"),
            format!("https://evil.example/{host}"),
            format!("https://{host}@evil.example"),
            format!("{origin}, https://evil.example"),
            host.to_owned(),
        ] {
            let answer = server.send(list().set("Origin", &other));
            assert_eq!((answer.status, answer.header("Access-Control-Allow-Origin")), (403, None), "{other}");
        }
        for setting in ["https://app.example", "", " "] {
            let mut server = with_settings(&[("ALLOWED_ORIGINS", setting)]);
            assert_eq!(server.send(list().set("Origin", origin)).status, 403, "{setting:?}");
            assert_eq!(server.send(list()).status, 200);
        }
        // A form is taken from our own pages alone.
        let flow = Flow::new(&mut server);
        let page = flow.page(&mut server);
        let all = page.hidden.iter().cloned().chain(Flow::typed("owner", "tidb:read")).collect();
        assert_eq!(server.send(browser_form(origin, "/consent", &page.cookie, &all)).status, 403, "{origin}");
    }
}

// FLD-004: spellings of the resource.

/// What the two endpoints make of a resource: whether it stands for ours. A refusal uses nothing up.
fn is_ours(server: &mut Native, resource: &str) -> bool {
    let flow = Flow::new(server);
    let code = flow.code(server, Flow::typed("owner", "tidb:read"));
    let opened = flow.open(server, &with(flow.request(), "resource", resource));
    let redeemed = server.send(form("/token", &with(flow.redemption(&code), "resource", resource)));
    match opened.status {
        200 => {
            let page = Page::of(&opened);
            let answer = flow.decide(server, &page, Flow::typed("owner", "tidb:read"));
            let code = parameter(&crate::support::oauth::link(&answer), "code").expect("a code");
            for answer in [redeemed, server.send(form("/token", &flow.redemption(&code)))] {
                let tokens = Tokens::of(&answer);
                // Bound to the endpoint, whatever stood for it.
                assert_eq!(server.send(with_token(list(), &tokens.access)).status, 200, "{resource}");
                let again = with(flow.refreshing(&tokens.refresh), "resource", resource);
                let tokens = Tokens::of(&server.send(form("/token", &again)));
                assert_eq!(server.send_by_other_name(with_token(list(), &tokens.access)).status, 401, "{resource}");
            }
            true
        }
        302 => {
            let to = Url::parse(opened.header("Location").expect("a place")).expect("an address");
            assert_eq!(parameter(&to, "error").as_deref(), Some("invalid_target"), "{resource}");
            assert_eq!(error(&redeemed), (400, "invalid_target".to_owned()), "{resource}");
            let tokens = Tokens::of(&server.send(form("/token", &flow.redemption(&code))));
            let again = with(flow.refreshing(&tokens.refresh), "resource", resource);
            assert_eq!(error(&server.send(form("/token", &again))), (400, "invalid_target".to_owned()), "{resource}");
            Tokens::of(&server.send(form("/token", &flow.refreshing(&tokens.refresh))));
            false
        }
        status => panic!("{resource}: {status} {}", text(&opened)),
    }
}

#[test]
fn fld_004_the_origin_and_a_slash_stand_for_the_only_resource() {
    let mut server = unlimited();
    let origin = server.origin.clone();
    for ours in ["", "/", "/mcp", "/mcp/"] {
        assert!(is_ours(&mut server, &format!("{origin}{ours}")), "{ours}");
    }
    // Several, as RFC 8707 section 2 lets a client ask for.
    let flow = Flow::new(&mut server);
    let several = [flow.request(), fields(&[("resource", &origin), ("resource", &format!("{origin}/mcp/"))])].concat();
    assert_eq!(flow.open(&mut server, &several).status, 200);
    let foreign = [flow.request(), fields(&[("resource", "https://elsewhere.example/")])].concat();
    assert_eq!(flow.open(&mut server, &foreign).status, 302);
    // One without a value is left out (RFC 6749 section 3.1).
    assert!(is_ours(&mut server, ""));
    assert_eq!(flow.open(&mut server, &without(flow.request(), "resource")).status, 200);
}

/// What makes a resource somebody else's, or none.
const WRONG: [fn(&str, &str, &str) -> String; 16] = [
    |host, path, query| format!("http://{host}{path}{query}#"),
    |host, path, query| format!("http://{host}{path}{query}#part"),
    |host, path, query| format!("https://{host}{path}{query}"),
    |host, path, query| format!("ftp://{host}{path}{query}"),
    |host, path, query| format!("http://someone@{host}{path}{query}"),
    |host, path, query| format!("http://someone:secret@{host}{path}{query}"),
    |host, path, query| format!("http://{host}.evil.example{path}{query}"),
    |_, path, query| format!("http://evil.example{path}{query}"),
    |_, path, query| format!("http://localhost:8787{path}{query}"),
    |_, path, query| format!("http://127.0.0.1{path}{query}"),
    |host, path, query| format!("http://{host}{}/x{query}", path.trim_end_matches('/')),
    |host, _, query| format!("http://{host}/mcp//{query}"),
    |host, _, query| format!("http://{host}/MCP{query}"),
    |host, path, query| format!("http://{host}{path}{query}\t"),
    |host, path, query| format!("http:\\\\{host}{path}{query}"),
    |host, path, _| format!("http://{host}{path}?api_key=canary"),
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn fld_004_every_spelling_of_the_resource_and_no_other(
        scheme in prop::sample::select(vec!["http", "HTTP", "Http"]),
        host in prop::sample::select(vec!["localhost", "LOCALHOST", "LocalHost", "localhost:80", "LOCALHOST:80", "localhost:"]),
        path in prop::sample::select(vec!["", "/", "/mcp", "/mcp/"]),
        query in prop::sample::select(vec!["", "?", "?readonly=false", "?toolsets=clusters", "?cluster=shop&readonly=true"]),
        wrong in prop::option::of(prop::sample::select(WRONG.to_vec())),
    ) {
        let mut server = unlimited();
        server.origin = "http://localhost".to_owned();
        let resource = match wrong {
            None => format!("{scheme}://{host}{path}{query}"),
            Some(wrong) => wrong("localhost", path, query),
        };
        prop_assert_eq!(is_ours(&mut server, &resource), wrong.is_none(), "{}", resource);
    }
}

// FLD-005: queries.

#[test]
fn fld_005_the_query_of_a_narrowed_address_is_in_challenge_and_metadata() {
    let mut server = unlimited();
    let answer = server.send(nobody().to("/mcp?readonly=true"));
    assert_eq!(answer.status, 401);
    let metadata = metadata_of(&server, &answer);
    assert_eq!(metadata, format!("{METADATA}/mcp?readonly=true"));
    let document = server.send(get(&metadata));
    assert_eq!(document.status, 200);
    assert_eq!(document.json()["resource"], json!(format!("{}/mcp?readonly=true", server.origin)));
    assert_eq!(document.json()["authorization_servers"], json!([server.origin]));
}

/// Queries that leave something, in every way of writing them: parameters in any order, and any of their characters
/// percent-encoded in either case.
fn queries() -> impl Strategy<Value = String> {
    let parameters =
        vec!["readonly=true", "readonly=false", "toolsets=clusters,database", "cluster=shop", "cluster=prod-1"];
    let chosen = prop::sample::subsequence(parameters, 0..=5).prop_shuffle();
    (chosen, prop::collection::vec(0..6_u8, 120)).prop_map(|(chosen, spelling)| {
        let mut seen = BTreeSet::new();
        let once = chosen.into_iter().filter(|parameter| seen.insert(parameter.split('=').next()));
        let mut spelling = spelling.into_iter();
        let write = |character: char| match (character, spelling.next()) {
            ('=' | '&', _) => character.to_string(),
            (_, Some(0)) => format!("%{:02x}", character as u32),
            (_, Some(1)) => format!("%{:02X}", character as u32),
            _ => character.to_string(),
        };
        once.collect::<Vec<_>>().join("&").chars().map(write).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whoever is refused is led to a document about the very address that was asked: byte for byte, at both spellings of the
    /// path, for every reason there is.
    #[test]
    fn fld_005_every_query_that_is_taken_comes_back_as_it_was_written(query in queries(), slash in any::<bool>()) {
        let mut server = unlimited();
        let path = if slash { "/mcp/" } else { "/mcp" };
        let target = format!("{path}?{query}");
        prop_assert!(query.len() <= 512);
        prop_assert_eq!(server.send(list().to(&target)).status, 200);
        for refused in [
            nobody(),
            nobody().set("Authorization", "Bearer made-up"),
            nobody().set("Authorization", "Basic U0JYT1dORVI6Y2FuYXJ5"),
            nobody().set("X-TiDB-API-Public-Key", "half-a-pair"),
            nobody().set("X-TiDB-SQL-User", "half-a-pair"),
        ] {
            let answer = server.send(refused.to(&target));
            prop_assert_eq!(answer.status, 401);
            let metadata = metadata_of(&server, &answer);
            prop_assert_eq!(&metadata, &format!("{METADATA}{target}"));
            let document = server.send(get(&metadata)).json();
            prop_assert_eq!(&document["resource"], &json!(format!("{}{target}", server.origin)));
        }
        let at_the_root = server.send(get(&format!("{METADATA}?{query}"))).json();
        prop_assert_eq!(&at_the_root["resource"], &json!(format!("{}/mcp?{query}", server.origin)));
    }

    /// A resource with the query is taken, and a token that may do too little is told of the same address.
    #[test]
    fn fld_005_a_step_up_leads_to_the_same_address(query in queries()) {
        let mut server = unlimited();
        let flow = Flow::new(&mut server);
        let tokens = flow.tokens(&mut server, "tidb:read");
        let target = format!("/mcp?{query}");
        // The list of a token that may only read leaves the tool out; another's at this address does not.
        let taken = tools(&server.send(list().to(&target)));
        let update = tool_with_token(&tokens.access, "db_execute", json!({"sql": "DELETE FROM shop.orders"}));
        let answer = server.send(update.to(&target));
        if taken.contains("db_execute") {
            prop_assert_eq!(answer.status, 403);
            prop_assert_eq!(metadata_of(&server, &answer), format!("{METADATA}{target}"));
        } else {
            prop_assert_eq!(&answer.json()["error"]["code"], -32602);
        }
        let resource = format!("{}{target}", server.origin);
        prop_assert_eq!(flow.open(&mut server, &with(flow.request(), "resource", &resource)).status, 200);
    }
}

/// The queries that are not taken: by a byte that no query has, by what they say, or by their length.
#[test]
fn fld_005_what_is_no_query_or_is_not_taken_is_echoed_nowhere() {
    let mut server = unlimited();
    let flow = Flow::new(&mut server);
    let assert_refused = |server: &mut Native, query: &str, metadata: u16| {
        for call in [list(), nobody()] {
            let answer = server.send(call.to(&format!("/mcp?{query}")));
            assert_eq!(answer.status, 400, "{query}: {}", text(&answer));
            assert_eq!(answer.json()["error"]["data"]["code"], "QUERY_NOT_ALLOWED", "{query}");
            assert!(answer.header("WWW-Authenticate").is_none(), "{query}");
        }
        for place in ["/mcp", "/mcp/", ""] {
            let answer = server.send(get(&format!("{METADATA}{place}?{query}")));
            assert_eq!(answer.status, metadata, "{query}: {}", text(&answer));
            assert!(!text(&answer).contains("resource"), "{query}");
        }
        let resource = format!("{}/mcp?{query}", server.origin);
        let answer = flow.open(server, &with(flow.request(), "resource", &resource));
        assert!(answer.header("Location").is_some_and(|to| to.contains("error=invalid_target")), "{query}");
    };
    // What a URL cannot carry at all does not arrive.
    let bytes = (0x21..=0xff_u8).map(char::from).filter(|byte| !byte.is_ascii_alphanumeric());
    for byte in bytes {
        let query = format!("readonly=true&cluster=shop{byte}");
        let is_in_queries = "-._~!$&'()*+,;=:@/?".contains(byte);
        assert_eq!(is_query(&query), is_in_queries, "{byte:?}");
        if !is_in_queries {
            assert_refused(&mut server, &query, 400);
        } else if !matches!(byte, '-' | '&' | '.' | '_') {
            assert_refused(&mut server, &query, 404);
        }
    }
    for query in ["readonly=true%", "readonly=true%4", "readonly=tru%gg", "readonly=true%2", "cluster=%e4%"] {
        assert_refused(&mut server, query, 400);
    }
    for query in ["api_key=canary", "readonly=maybe", "readonly=true&readonly=true", "branch=dev", "toolsets=none", "x"]
    {
        assert_refused(&mut server, query, 404);
    }
    let long = |bytes: usize| format!("readonly={}&{}", "%74%72%75%65", "&".repeat(bytes - 22));
    assert_eq!(server.send(list().to(&format!("/mcp?{}", long(512)))).status, 200);
    assert_eq!(server.send(get(&format!("{METADATA}/mcp?{}", long(512)))).status, 200);
    assert_eq!(long(513).len(), 513);
    assert_refused(&mut server, &long(513), 404);
}

/// A grant and a token, each asked for with a resource of this query.
fn narrowed(server: &mut Native, grant: &str, token: &str, scope: &str) -> (Flow, Tokens) {
    let flow = Flow::new(server);
    let resource = |query: &str| format!("{}/mcp{query}", flow.origin);
    let page = Page::of(&flow.open(server, &with(flow.request(), "resource", &resource(grant))));
    let answer = flow.decide(server, &page, Flow::typed("owner", scope));
    let code = parameter(&crate::support::oauth::link(&answer), "code").expect("a code");
    let redemption = with(flow.redemption(&code), "resource", &resource(token));
    let tokens = Tokens::of(&server.send(form("/token", &redemption)));
    (flow, tokens)
}

#[test]
fn fld_005_what_a_resource_narrows_is_shown_kept_and_applied() {
    let mut server = unlimited();
    let flow = Flow::new(&mut server);
    let resource = format!("{}/mcp?readonly=true&cluster=shop&toolsets=database,clusters", flow.origin);
    let shown = text(&flow.open(&mut server, &with(flow.request(), "resource", &resource)));
    let said = "<li>tools that change nothing</li><li>the toolsets <code><bdi>clusters,database</bdi></code></li>\
        <li>the cluster <code><bdi>shop</bdi></code></li>";
    assert!(shown.contains(said), "{shown}");
    assert!(!text(&flow.open(&mut server, &flow.request())).contains("gets only"), "nothing is said of nothing");

    let query = "?readonly=true&cluster=shop";
    let (flow, tokens) = narrowed(&mut server, query, query, "tidb:destroy");
    let refreshed = Tokens::of(&server.send(form("/token", &flow.refreshing(&tokens.refresh))));
    let expected = tools(&server.send(list().to("/mcp?readonly=true&cluster=shop")));
    server.admin("DELETE", "/_sandbox/requests", None);
    for token in [&tokens.access, &refreshed.access] {
        for target in ["/mcp", "/mcp/", "/mcp?readonly=false", "/mcp?readonly=true&cluster=shop"] {
            let answer = server.send(with_token(list(), token).to(target));
            assert_eq!(tools(&answer), expected, "{target}");
            assert_eq!(answer.json()["result"]["cacheScope"], "private", "{target}: it depends on who asks");
        }
        let writes = tool_with_token(token, "db_execute", json!({"sql": "DELETE FROM shop.orders"}));
        assert_eq!(
            server.send(writes).json()["error"]["code"],
            -32602,
            "nobody is asked for more, for it is not there"
        );
        let elsewhere = tool_with_token(token, "db_query", json!({"cluster": "twin", "sql": "SELECT 1"}));
        let answer = server.send(elsewhere).json();
        assert_eq!(answer["result"]["structuredContent"]["error"]["code"], "INVALID_ARGUMENT", "{answer}");
    }
    let sent = server.admin("GET", "/_sandbox/requests", None);
    assert_eq!(sent["requests"], json!([]), "nothing was sent");
    let fixed = tool_with_token(&tokens.access, "tidbcloud_get_cluster", json!({}));
    assert_eq!(server.send(fixed).json()["result"]["structuredContent"]["clusterId"], SHOP);
    let stored = server.world.objects.borrow().values().cloned().collect::<String>();
    assert!(!stored.contains("shop"), "sealed: {stored}");
}

/// Queries that fix at most one cluster and one branch: what each leaves, in a row that says which parts contradict.
const NARROWINGS: [&str; 11] = [
    "",
    "?",
    "?readonly=false",
    "?readonly=true",
    "?toolsets=clusters",
    "?toolsets=database,branches",
    "?cluster=shop",
    "?cluster=1379661944646413143",
    "?cluster=shop&branch=dev1&toolsets=database,branches",
    "?cluster=shop&readonly=true",
    "?toolsets=database,clusters&readonly=true",
];

/// The value of a parameter.
fn value<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query.trim_start_matches('?').split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

/// Whether two of these fix different clusters or branches, or have no toolset in common.
fn contradict(one: &str, two: &str) -> bool {
    let differ = |name| matches!((value(one, name), value(two, name)), (Some(one), Some(two)) if one != two);
    let toolsets = |query| value(query, "toolsets").map(|all| all.split(',').collect::<BTreeSet<_>>());
    let disjoint = matches!((toolsets(one), toolsets(two)), (Some(one), Some(two)) if one.is_disjoint(&two));
    differ("cluster") || differ("branch") || disjoint
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A grant, a token and a request, each with a query of its own: what is left is what every one of them leaves, and where
    /// that can be nothing, somebody says so.
    #[test]
    fn fld_005_the_queries_of_grant_token_and_request_hold_together(
        grant in prop::sample::select(NARROWINGS.to_vec()),
        token in prop::sample::select(NARROWINGS.to_vec()),
        request in prop::sample::select(NARROWINGS.to_vec()),
    ) {
        let mut server = unlimited();
        if contradict(grant, token) {
            let flow = Flow::new(&mut server);
            let resource = |query: &str| format!("{}/mcp{query}", flow.origin);
            let both = [with(flow.request(), "resource", &resource(grant)), fields(&[("resource", &resource(token))])].concat();
            let refused = flow.open(&mut server, &both);
            prop_assert!(refused.header("Location").is_some_and(|to| to.contains("error=invalid_target")));
            return Ok(());
        }
        let (flow, tokens) = narrowed(&mut server, grant, token, "tidb:destroy");
        let answer = server.send(with_token(list(), &tokens.access).to(&format!("/mcp{request}")));
        if contradict(grant, request) || contradict(token, request) {
            prop_assert_eq!(answer.status, 403);
            prop_assert_eq!(&answer.json()["error"]["data"]["code"], "INSUFFICIENT_SCOPE");
            prop_assert_eq!(metadata_of(&server, &answer), format!("{METADATA}/mcp{request}"));
            return Ok(());
        }
        let alone = |server: &mut Native, query: &str| tools(&server.send(list().to(&format!("/mcp{query}"))));
        let granted = alone(&mut server, grant);
        let asked = &granted & &alone(&mut server, request);
        prop_assert_eq!(tools(&answer), &asked & &alone(&mut server, token));
        // What the next token asks for is its own; the grant stays.
        let next = Tokens::of(&server.send(form("/token", &flow.refreshing(&tokens.refresh))));
        let answer = server.send(with_token(list(), &next.access).to(&format!("/mcp{request}")));
        prop_assert_eq!(tools(&answer), asked);
    }
}

#[test]
fn fld_005_a_token_cannot_be_asked_for_beyond_its_grant() {
    let mut server = unlimited();
    let (flow, tokens) = narrowed(&mut server, "?cluster=shop", "", "tidb:read");
    for other in ["?cluster=twin-db", "?cluster=1379661944646413143"] {
        let resource = format!("{}/mcp{other}", flow.origin);
        let answer = server.send(form("/token", &with(flow.refreshing(&tokens.refresh), "resource", &resource)));
        assert_eq!(error(&answer), (400, "invalid_target".to_owned()), "{other}");
    }
    Tokens::of(&server.send(form("/token", &flow.refreshing(&tokens.refresh))));
}

/// A person who signs in at TiDB Cloud, in place of giving keys, saw the same page.
/// What a client writes into an address stands apart from the page's own words, and can neither end nor reorder them.
#[test]
fn fld_005_a_name_in_an_address_cannot_speak_for_the_page() {
    let mut server = unlimited();
    let flow = Flow::new(&mut server);
    let open = |server: &mut Native, branch: &str| {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("cluster", "shop"), ("branch", branch)])
            .finish();
        let resource = format!("{}/mcp?{query}", server.origin());
        flow.open(server, &with(flow.request(), "resource", &resource))
    };
    for branch in ["x; only tools that change nothing", "x. You agreed before", "<b>x</b>", "x</bdi></code>"] {
        let page = text(&open(&mut server, branch));
        let values = page.split("<code><bdi>").skip(1).filter_map(|rest| rest.split_once("</bdi></code>"));
        assert_eq!(values.map(|(value, _)| unescape(value)).collect::<Vec<_>>(), ["shop", branch], "{page}");
        assert!(!page.contains("<li>tools that change nothing</li>"), "{page}");
    }
    for hidden in ["\u{202e}x", "x\u{2066}y", "x\u{2028}y", "x\u{e0041}y", "x\u{200b}y"] {
        assert_ne!(open(&mut server, hidden).status, 200, "{hidden:?}");
    }
}

#[test]
fn fld_005_a_sign_in_at_tidb_cloud_is_narrowed_as_well() {
    let mut server = with_settings(&[
        ("TIDB_CLOUD_OAUTH_CLIENT_ID", "sandbox-client"),
        ("TIDB_CLOUD_OAUTH_CLIENT_SECRET", "sandbox-client-secret-0123456789"),
    ]);
    let flow = Flow::new(&mut server);
    let resource = format!("{}/mcp?readonly=true", flow.origin);
    let page = Page::of(&flow.open(&mut server, &with(flow.request(), "resource", &resource)));
    let choice = fields(&[("decision", "tidbcloud"), ("scope", "tidb:destroy")]);
    let mut waiting = Page::of(&flow.decide(&mut server, &page, choice));
    waiting.cookie.clone_from(&page.cookie);
    let place = waiting.html.split_once("<code class=\"place\">").expect("a code").1;
    let user_code = place.split_once('<').expect("its end").0.to_owned();
    let yes = json!({"userCode": user_code, "approve": true, "key": "owner"});
    server.admin("POST", "/_sandbox/device", Some(yes));
    server.advance(5);
    let answer = flow.decide(&mut server, &waiting, fields(&[("decision", "poll")]));
    let code = parameter(&crate::support::oauth::link(&answer), "code").expect("a code");
    let tokens = Tokens::of(&server.send(form("/token", &flow.redemption(&code))));
    let expected = tools(&server.send(list().to("/mcp?readonly=true")));
    assert_eq!(tools(&server.send(with_token(list(), &tokens.access))), expected);
}

// FLD-015: null.

/// A message with null at a place, and what comes of it: as if it were left out, wherever that is possible.
fn with_null(mut call: Call, place: &str) -> Call {
    let mut body: Value = serde_json::from_slice(&call.body).expect("JSON");
    if let Some((parent, name)) = place.rsplit_once('/') {
        let parent = body.pointer_mut(parent).and_then(Value::as_object_mut).unwrap_or_else(|| panic!("{place}"));
        parent.insert(name.replace("~1", "/"), Value::Null);
    }
    call.body = body.to_string().into_bytes();
    call
}

fn left_out(mut call: Call, place: &str) -> Call {
    let mut body: Value = serde_json::from_slice(&call.body).expect("JSON");
    if let Some((parent, name)) = place.rsplit_once('/') {
        let parent = body.pointer_mut(parent).and_then(Value::as_object_mut).unwrap_or_else(|| panic!("{place}"));
        parent.remove(&name.replace("~1", "/"));
    }
    call.body = body.to_string().into_bytes();
    call
}

/// An answer without what differs from request to request.
fn essence(answer: &Answer) -> (u16, String) {
    let mut text = text(answer);
    if let Some((_, rest)) = text.split_once("</data-") {
        let boundary = rest.split('>').next().unwrap_or_default().to_owned();
        text = text.replace(&boundary, "BOUNDARY");
    }
    let id = answer.header("X-Request-Id").unwrap_or_default();
    (answer.status, if id.is_empty() { text } else { text.replace(id, "ID") })
}

#[test]
fn fld_015_null_parameters_are_as_if_left_out() {
    let mut server = unlimited();
    let mut call = request("2025-11-25", "owner", "tools/list", json!({}));
    call.body = br#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":null}"#.to_vec();
    let answer = server.send(call);
    assert_eq!(answer.status, 200);
    assert!(answer.json()["result"]["tools"].is_array(), "{}", text(&answer));
}

/// Every member of a request that a client may leave out, and every one that it may not, as null.
#[test]
fn fld_015_every_member_that_may_be_left_out_may_be_null() {
    const VERSION: &str = "/params/_meta/io.modelcontextprotocol~1protocolVersion";
    const CAPABILITIES: &str = "/params/_meta/io.modelcontextprotocol~1clientCapabilities";
    const CLIENT: &str = "/params/_meta/io.modelcontextprotocol~1clientInfo";
    const LEVEL: &str = "/params/_meta/io.modelcontextprotocol~1logLevel";
    let legacy = |method, params| request("2025-11-25", "owner", method, params);
    let modern = |method, params| request("2026-07-28", "owner", method, params);
    let initialize = || {
        legacy(
            "initialize",
            json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "a", "version": "1"}}),
        )
    };
    let regions = || json!({"name": "tidbcloud_list_regions", "arguments": {}});
    let listen = || modern("subscriptions/listen", json!({"notifications": {}}));
    // Place, call, and the code of the error where there is one.
    let rows: Vec<(&str, Call, Option<i64>)> = vec![
        ("/params", legacy("tools/list", json!({})), None),
        ("/params", legacy("ping", json!({})), None),
        ("/params", legacy("prompts/list", json!({})), None),
        ("/params/_meta", legacy("tools/list", json!({})), None),
        ("/params/cursor", legacy("tools/list", json!({})), None),
        ("/params/cursor", modern("resources/list", json!({})), None),
        ("/params/arguments", legacy("tools/call", regions()), None),
        ("/params/arguments", modern("tools/call", regions()), None),
        ("/params/anything", modern("tools/list", json!({})), None),
        ("/params/inputResponses", modern("tools/call", regions()), None),
        ("/params/requestState", modern("tools/call", regions()), None),
        ("/params/_meta/progressToken", modern("tools/list", json!({})), None),
        (CLIENT, modern("tools/list", json!({})), None),
        (LEVEL, modern("tools/list", json!({})), None),
        ("/params/capabilities", initialize(), None),
        ("/params/clientInfo", initialize(), None),
        ("/params/_meta", initialize(), None),
        ("/params/notifications/toolsListChanged", listen(), None),
        ("/params/notifications/promptsListChanged", listen(), None),
        ("/params/notifications/resourcesListChanged", listen(), None),
        ("/params/notifications/resourceSubscriptions", listen(), None),
        // What a method cannot do without is missing: a modern request has its version and capabilities in there.
        ("/params", modern("tools/list", json!({})), Some(-32602)),
        ("/params/_meta", modern("tools/list", json!({})), Some(-32602)),
        (VERSION, modern("tools/list", json!({})), Some(-32602)),
        (CAPABILITIES, modern("tools/list", json!({})), Some(-32602)),
        ("/params", legacy("tools/call", regions()), Some(-32602)),
        ("/params/name", legacy("tools/call", regions()), Some(-32602)),
        ("/params/name", modern("tools/call", regions()), Some(-32020)),
        ("/params", initialize(), Some(-32602)),
        ("/params/protocolVersion", initialize(), Some(-32602)),
        ("/params/notifications", listen(), Some(-32602)),
        ("/params/uri", legacy("resources/read", json!({"uri": "x:y"})), Some(-32602)),
        ("/params/name", legacy("prompts/get", json!({"name": "x"})), Some(-32602)),
        ("/method", legacy("tools/list", json!({})), Some(-32600)),
        ("/jsonrpc", legacy("tools/list", json!({})), Some(-32600)),
    ];
    let mut server = unlimited();
    for (place, call, code) in rows {
        let body = String::from_utf8_lossy(&call.body).into_owned();
        let null = server.send(with_null(call.clone(), place));
        let answer = serde_json::from_slice::<Value>(&null.body).unwrap_or_default();
        assert_eq!(answer["error"]["code"].as_i64(), code, "{place}: {body}: {}", text(&null));
        if !matches!(place, "/method" | "/jsonrpc") {
            assert_eq!(essence(&null), essence(&server.send(left_out(call, place))), "{place}: {body}");
        }
    }
    // An id that is null names no request (MCP, Base Protocol), and a member of answers makes no request of one that has it.
    for place in ["/id", "/result", "/error"] {
        let answer = server.send(with_null(legacy("tools/list", json!({})), place));
        assert_eq!((answer.status, answer.json()["error"]["code"].as_i64()), (400, Some(-32600)), "{place}");
    }
    let notification = left_out(legacy("notifications/initialized", json!({})), "/id");
    assert_eq!(server.send(with_null(notification, "/params")).status, 202);
    let mut batch = request("2025-03-26", "owner", "tools/list", json!({}));
    batch.body = format!("[{}]", String::from_utf8_lossy(&with_null(batch.clone(), "/params").body)).into_bytes();
    assert!(server.send(batch).json()[0]["result"]["tools"].is_array());
}

/// The same for a client that registers.
#[test]
fn fld_015_null_members_of_a_registration_are_as_if_left_out() {
    let mut server = unlimited();
    let whole = json!({"redirect_uris": ["http://127.0.0.1:3000/cb"], "client_name": "A client"});
    for member in [
        "client_name",
        "client_uri",
        "logo_uri",
        "tos_uri",
        "policy_uri",
        "jwks_uri",
        "jwks",
        "scope",
        "contacts",
        "grant_types",
        "response_types",
        "token_endpoint_auth_method",
        "application_type",
        "software_id",
        "client_secret",
        "client_id",
    ] {
        let (mut null, mut without) = (whole.clone(), whole.clone());
        null[member] = Value::Null;
        without.as_object_mut().expect("an object").remove(member);
        let answer = server.send(registration(&null));
        assert_eq!((answer.status, answer.json()), (201, server.send(registration(&without)).json()), "{member}");
    }
    let answer = server.send(registration(&json!({"redirect_uris": null})));
    assert_eq!(error(&answer), (400, "invalid_redirect_uri".to_owned()));
    let mut twice = registration(&whole);
    twice.body = br#"{"redirect_uris":["http://127.0.0.1:3000/cb"],"client_name":null,"client_name":"x"}"#.to_vec();
    assert_eq!(server.send(twice).status, 400, "one member twice");
}

// FLD-018: versions.

#[test]
fn fld_018_an_unknown_version_is_told_which_are_served() {
    let mut server = unlimited();
    for version in ["2099-01-01", "1900-01-01", "2026-07-29", "v1", "2.0", "2025-11-25, 2025-11-25", "draft", "null"] {
        for method in ["tools/list", "ping", "tools/call", "server/discover", "foo/bar"] {
            let call = request("2025-11-25", "owner", method, json!({})).set("MCP-Protocol-Version", version);
            let answer = server.send(call);
            let error = answer.json()["error"].take();
            assert_eq!((answer.status, &error["code"]), (400, &json!(-32022)), "{version} {method}: {error}");
            assert_eq!(error["data"]["supported"], json!(["2026-07-28"]), "{error}");
            assert_eq!(error["data"]["requested"], json!(version), "{error}");
        }
        // What settles the version is served whatever the header says.
        let initialize =
            json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "a", "version": "1"}});
        let call = request("2025-11-25", "owner", "initialize", initialize).set("MCP-Protocol-Version", version);
        assert_eq!(server.send(call).json()["result"]["protocolVersion"], "2025-11-25");
    }
    // A version that is served wants its metadata.
    let call = request("2025-11-25", "owner", "tools/list", json!({})).set("MCP-Protocol-Version", "2026-07-28");
    assert_eq!(server.send(call).json()["error"]["code"], -32602);
}

// FLD-019: blank headers.

#[test]
fn fld_019_blank_key_headers_beside_a_token_are_absent() {
    let mut server = unlimited();
    let tokens = Flow::new(&mut server).tokens(&mut server, "tidb:read");
    let call = with_token(list(), &tokens.access).set("X-TiDB-API-Public-Key", "").set("X-TiDB-API-Private-Key", "");
    assert_eq!(server.send(call).status, 200);
}

/// Headers of ours and of the protocol, of which none is needed beside every credential.
const OURS: [&str; 10] = [
    "X-TiDB-API-Public-Key",
    "X-TiDB-API-Private-Key",
    "Authorization",
    "X-TiDB-SQL-User",
    "X-TiDB-SQL-Secret",
    "X-Request-Id",
    "MCP-Protocol-Version",
    "Mcp-Session-Id",
    "Last-Event-ID",
    "Mcp-Param-Region",
];

fn legacy_list() -> Call {
    request("2025-11-25", "owner", "tools/list", json!({})).without("MCP-Protocol-Version")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(160))]

    /// Whichever headers are blank, once or twice, the answer is the one without them.
    #[test]
    fn fld_019_blank_headers_beside_every_kind_of_credential(
        kind in 0..4_usize,
        names in prop::sample::subsequence(OURS.to_vec(), 1..=OURS.len()),
        blanks in prop::collection::vec(prop::sample::select(vec!["", " ", "\t", " \t ", "  "]), OURS.len()),
        twice in any::<bool>(),
    ) {
        let mut server = if kind == 2 { owned() } else { unlimited() };
        let keys = ["X-TiDB-API-Public-Key", "X-TiDB-API-Private-Key", "X-MCP-Unattended"];
        let bare = || keys.iter().fold(legacy_list(), |call, name| call.without(name));
        let plain = match kind {
            0 => legacy_list(),
            1 => {
                let token = Flow::new(&mut server).tokens(&mut server, "tidb:read").access;
                bare().set("Authorization", &format!("Bearer {token}"))
            }
            2 => bare().set("Authorization", &format!("Bearer {ACCESS_KEY}")),
            _ => bare(),
        };
        let sent: BTreeSet<_> = plain.headers.iter().map(|(name, _)| name.clone()).collect();
        let mut blank = plain.clone();
        for (name, value) in names.iter().zip(&blanks).filter(|(name, _)| !sent.contains(**name)) {
            blank = blank.and(name, value);
            if twice {
                blank = blank.and(name, value);
            }
        }
        let expected = server.send(plain);
        prop_assert_eq!(expected.status, if kind == 3 { 401 } else { 200 });
        let answer = server.send(blank);
        prop_assert_eq!(essence(&answer), essence(&expected));
        prop_assert_eq!(answer.header("WWW-Authenticate"), expected.header("WWW-Authenticate"));
    }
}

#[test]
fn fld_019_half_of_a_pair_is_half_of_it_whether_the_other_is_blank_or_absent() {
    let mut server = unlimited();
    for name in ["X-TiDB-API-Public-Key", "X-TiDB-API-Private-Key", "X-TiDB-SQL-User", "X-TiDB-SQL-Secret"] {
        let whole = || list().set("X-TiDB-SQL-User", "canary.user").set("X-TiDB-SQL-Secret", "canary-password");
        assert_eq!(server.send(whole()).status, 200);
        for blank in ["", " ", "\t"] {
            let answer = server.send(whole().set(name, blank));
            assert_eq!(answer.status, 401, "{name}");
            assert_eq!(essence(&answer), essence(&server.send(whole().without(name))), "{name}");
        }
    }
    // A template that a form fills in may hold the scheme.
    for blank in ["Bearer", "Bearer ", "bearer \t"] {
        assert_eq!(server.send(list().set("Authorization", blank)).status, 200, "{blank:?}");
        assert_eq!(essence(&server.send(nobody().set("Authorization", blank))), essence(&server.send(nobody())));
    }
    // Two credentials are two, and a value is one.
    for value in ["Bearer x", "Basic", "x", "Bearer,", "\u{a0}", "Bearer \u{a0}"] {
        assert_eq!(server.send(list().set("Authorization", value)).status, 400, "{value:?}");
    }
    assert_eq!(server.send(list().and("X-TiDB-API-Public-Key", "")).status, 401, "one of two fields is none");
    // The origin is not ours: whoever sends one says whose page calls.
    assert_eq!(server.send(list().set("Origin", "")).status, 403);
}

// FLD-020: lists of nothing.

#[test]
fn fld_020_there_are_no_resources_and_no_prompts() {
    let mut server = unlimited();
    for revision in ["2026-07-28", "2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"] {
        let mut call = |method, params| server.send(request(revision, "owner", method, params));
        for (method, name) in [
            ("resources/list", "resources"),
            ("resources/templates/list", "resourceTemplates"),
            ("prompts/list", "prompts"),
        ] {
            let answer = call(method, json!({}));
            assert_eq!(answer.status, 200, "{method}");
            let result = answer.json()["result"].take();
            assert_eq!(result[name], json!([]), "{revision} {method}: {result}");
            let envelope =
                result.get("resultType").is_some() && result["ttlMs"].is_u64() && result["cacheScope"] == "public";
            assert_eq!(envelope, revision == "2026-07-28", "{result}");
            assert_eq!(result.as_object().expect("an object").len(), if envelope { 5 } else { 1 }, "{result}");
            assert_eq!(call(method, json!({"cursor": ""})).json()["error"]["code"], -32602, "no cursor of ours exists");
        }
    }
}

/// What is advertised has its methods, and what is not advertised has none.
#[test]
fn fld_020_what_is_advertised_is_what_there_is() {
    let mut server = unlimited();
    let initialize =
        json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "a", "version": "1"}});
    for (revision, method, params) in
        [("2026-07-28", "server/discover", json!({})), ("2025-11-25", "initialize", initialize)]
    {
        let answer = server.send(request(revision, "owner", method, params)).json();
        assert_eq!(answer["result"]["capabilities"], json!({"tools": {}, "resources": {}, "prompts": {}}), "{answer}");
        let mut code = |method: &str, params: Value| {
            let uri = params.get("uri").and_then(Value::as_str).map(str::to_owned);
            let mut call = request(revision, "owner", method, params);
            if let Some(uri) = uri {
                call = call.set("Mcp-Name", &uri);
            }
            server.send(call).json()["error"].take()
        };
        let missing = code("resources/read", json!({"uri": "tidb://shop"}));
        assert_eq!(missing["code"], if revision == "2026-07-28" { -32602 } else { -32002 }, "{missing}");
        assert_eq!(missing["data"]["uri"], "tidb://shop");
        assert_eq!(code("prompts/get", json!({"name": "report"}))["code"], -32602);
        for absent in [
            "resources/subscribe",
            "resources/unsubscribe",
            "completion/complete",
            "logging/setLevel",
            "tasks/list",
            "resources/templates",
            "prompts",
        ] {
            assert_eq!(code(absent, json!({}))["code"], -32601, "{revision} {absent}");
        }
    }
}

// FLD-021: a slash behind the path.

#[test]
fn fld_021_a_slash_behind_the_path_is_served_alike() {
    let mut server = unlimited();
    let calls = [
        list(),
        nobody(),
        legacy_list(),
        tool("tidbcloud_list_regions", json!({})),
        tool("no_such_tool", json!({})),
        list().set("Origin", "https://evil.example"),
        list().set("Content-Type", "text/plain"),
        Call { method: "GET".to_owned(), ..list() },
        Call { method: "DELETE".to_owned(), ..list() },
        Call { method: "OPTIONS".to_owned(), ..list() }
            .set("Origin", "https://claude.ai")
            .set("Access-Control-Request-Method", "POST"),
    ];
    for (at, call) in calls.into_iter().enumerate() {
        for query in ["", "?readonly=true", "?x=1"] {
            let plain = server.send(call.clone().to(&format!("/mcp{query}")));
            let slash = server.send(call.clone().to(&format!("/mcp/{query}")));
            assert_eq!(essence(&slash), essence(&plain), "call {at}{query}");
            assert!(slash.header("Location").is_none());
            let headers = |answer: &Answer| {
                let of = |name: &String| !matches!(name.as_str(), "x-request-id" | "ratelimit");
                let named = answer.headers.iter().filter(|(name, _)| of(&name.to_lowercase())).cloned();
                named.map(|(name, value)| (name, value.replace("/mcp/", "/mcp"))).collect::<Vec<_>>()
            };
            assert_eq!(headers(&slash), headers(&plain), "call {at}{query}");
        }
    }
    let answer = server.send(nobody().to("/mcp/"));
    assert_eq!(metadata_of(&server, &answer), format!("{METADATA}/mcp/"));
    let document = server.send(get(&format!("{METADATA}/mcp/"))).json();
    assert_eq!(document["resource"], json!(format!("{}/mcp/", server.origin)));
    for line in server.world.log.borrow().iter() {
        let line: Value = serde_json::from_str(line).expect("JSON");
        let route = &line["route"];
        assert!(line["event"] != "request" || route == "/mcp" || route == METADATA, "{line}");
    }
}

#[test]
fn fld_021_no_other_path_is_the_endpoint() {
    let mut server = unlimited();
    for path in
        ["//mcp", "/mcp//", "//mcp/", "/MCP", "/Mcp/", "/mcp/x", "/mcp.", "/mcp%2f", "/%6dcp", "/mcp;/", "/sse", "/"]
    {
        let answer = server.send(list().to(path));
        assert!(matches!(answer.status, 404 | 405), "{path}: {}", text(&answer));
        assert!(answer.header("Location").is_none(), "{path}");
    }
}

// FLD-022: schemes of applications.

#[test]
fn fld_022_a_scheme_with_a_dot_registers_and_consent_warns() {
    let mut server = unlimited();
    for redirect in [
        "com.example.app:/callback",
        "com.example.app:callback",
        "com.example.app://callback",
        "com.googleusercontent.apps.123-abc:/oauth2redirect/google",
        "org.example.Mail.2://auth/cb?a=1",
        "a.b:/",
    ] {
        let flow = Flow::registering(&mut server, &[redirect]);
        let answer = flow.open(&mut server, &flow.request());
        let html = text(&answer);
        assert_eq!(answer.status, 200, "{redirect}: {html}");
        assert!(
            html.contains("That is an app on this device; any app can claim such an address."),
            "{redirect}: {html}"
        );
        let scheme = redirect.split(':').next().expect("a scheme").to_lowercase();
        assert!(html.contains(&format!("<code class=\"place\">{scheme}:")), "{redirect}: {html}");
        // Nobody vouches for it: before a person has decided, nothing is sent there.
        let wrong = flow.open(&mut server, &with(flow.request(), "response_type", "x"));
        assert_eq!((wrong.status, wrong.header("Location")), (400, None), "{redirect}");
        // What was registered and nothing else.
        let other = flow.open(&mut server, &with(flow.request(), "redirect_uri", &format!("{redirect}x")));
        assert_eq!(other.status, 400, "{redirect}");
        let tokens = flow.tokens(&mut server, "tidb:read");
        assert_eq!(server.send(with_token(list(), &tokens.access)).status, 200, "{redirect}");
    }
}

/// Schemes that a browser or a system acts upon, in the ways of writing them, stay out; so does plain http that leaves this
/// machine, and whatever is no scheme.
#[test]
fn fld_022_no_other_scheme_becomes_one() {
    let mut server = unlimited();
    let mut refused: Vec<String> =
        ["//", "/", ":", "com.example.app", "com.example.app/cb", ".com:/cb", "1com.example:/cb"]
            .map(str::to_owned)
            .into();
    for scheme in [
        "javascript",
        "data",
        "file",
        "vbscript",
        "blob",
        "about",
        "filesystem",
        "ftp",
        "ws",
        "wss",
        "http",
        "intent",
        "mailto",
        "tel",
        "sms",
        "odd-app",
        "ms-settings",
        "view-source",
        "jar",
        "chrome",
        "x",
    ] {
        for rest in ["com.example.app/cb", "//com.example.app/cb", "/com.example.app:/cb", "//a.b:80/c.d"] {
            refused.push(format!("{scheme}:{rest}"));
            refused.push(format!("{}:{rest}", scheme.to_uppercase()));
        }
    }
    for wrong in
        ["com.example.app:/cb#", "com.example.app:/cb#x", "com.example.app://u@host/cb", "com.example.app://u:p@host/"]
    {
        refused.push(wrong.to_owned());
    }
    for wrong in
        [" com.example.app:/cb", "com.example.app:/c b", "com.example.app:/<script>", "com.ex\u{e4}mple.app:/cb"]
    {
        refused.push(wrong.to_owned());
    }
    for redirect in refused {
        let answer = server.send(registration(&json!({ "redirect_uris": [redirect] })));
        assert_eq!(error(&answer), (400, "invalid_redirect_uri".to_owned()), "{redirect}");
        server.advance(60);
    }
}

// FLD-023: documents below the path.

#[test]
fn fld_023_clients_find_every_document_with_the_path_behind_it() {
    let mut server = unlimited();
    for name in ["oauth-authorization-server", "openid-configuration", "oauth-protected-resource"] {
        let plain = server.send(get(&format!("/.well-known/{name}")));
        assert_eq!(plain.status, 200, "{name}");
        for behind in ["/mcp", "/mcp/"] {
            for method in ["GET", "HEAD", "OPTIONS"] {
                let answer =
                    server.send(Call { method: method.to_owned(), ..get(&format!("/.well-known/{name}{behind}")) });
                assert_eq!(answer.status, if method == "OPTIONS" { 204 } else { 200 }, "{method} {name}{behind}");
                assert_eq!(answer.header("Access-Control-Allow-Origin"), Some("*"));
                if method == "GET" && name != "oauth-protected-resource" {
                    assert_eq!(answer.json(), plain.json(), "{name}{behind}");
                    assert_eq!(answer.json()["issuer"], json!(server.origin));
                }
            }
        }
        for other in ["/mc", "/mcp/x", "/mcp//", "//mcp", "/x/mcp", "/mcp/mcp", "mcp", "/", "/MCP"] {
            assert_eq!(server.send(get(&format!("/.well-known/{name}{other}"))).status, 404, "{name}{other}");
        }
    }
    for other in ["/.well-known/mcp", "/.well-known/", "/.well-known//mcp", "/mcp/.well-known/openid-configuration"] {
        assert_eq!(server.send(get(other)).status, 404, "{other}");
    }
    let keys_only = [("ALLOWED_CREDENTIALS", "keys")];
    let mut closed = with_settings(&keys_only);
    assert_eq!(closed.send(get("/.well-known/oauth-authorization-server/mcp")).status, 404);
}
