//! TiDB Cloud's own OAuth from the first request to the last, against the sandbox that plays its server.

use mcp_server_tidbcloud::{
    base::{
        clock::UnixMillis,
        http::{Headers, Method},
        secret::Secret,
    },
    port::{Io, Outbound, allowance::Allowance},
    tidbcloud::{
        AccessClass, AuthorizationServer, BearerToken, CheckFailure, Cloud, Memory, OAuthError, Query, Replay,
        SqlFailure, Target, TokenKind, Unwatched,
    },
};
use serde_json::json;
use tidbcloud_sandbox::control::SHOP_CLUSTER_ID;

use crate::{
    support::{
        Answer, Driver,
        bad_inputs::list,
        oauth::{
            Flow, Page, Tokens, attribute, elements, fields, form, get, link, list_clusters, parameter,
            tool_with_token, with, with_token,
        },
    },
    world::{Native, SANDBOX, SERVER_SECRET, block_on},
};

#[test]
fn a_person_signs_in_at_tidb_cloud_and_its_token_does_what_a_key_does() {
    let mut server = Native::new();
    let client_secret = Secret::new("sandbox-client-secret-0123456789");
    let deadline = UnixMillis(server.world.now().0 + 3 * 3_600_000);
    // `server` is also told what the person does, so the client is made anew for each call.
    macro_rules! oauth {
        ($call:ident($($argument:expr),*)) => {
            block_on(
                AuthorizationServer::new(
                    &*server.world,
                    server.world.request_log(),
                    &server.config.hosts,
                    "sandbox-client",
                    &client_secret,
                    deadline,
                )
                .$call($($argument),*),
            )
        };
    }
    let begun = oauth!(device_authorization()).ok().expect("a device authorization");
    server.advance(begun.interval.as_secs());
    assert_eq!(oauth!(token_by_device_code(&begun.device_code)).err(), Some(OAuthError::Pending));
    assert_eq!(oauth!(token_by_device_code(&begun.device_code)).err(), Some(OAuthError::SlowDown));
    let yes = json!({"userCode": begun.user_code, "approve": true, "key": "owner"});
    server.admin("POST", "/_sandbox/device", Some(yes));
    server.advance(2 * begun.interval.as_secs());
    let tokens = oauth!(token_by_device_code(&begun.device_code)).ok().expect("tokens");
    let again = oauth!(token_by_device_code(&begun.device_code)).err();
    assert!(matches!(again, Some(OAuthError::Refused(_) | OAuthError::Expired)), "a code works once: {again:?}");
    let user = oauth!(user_info(&tokens.access)).expect("a user");

    let derivation = "0a".repeat(32);
    let bearer =
        |access: &Secret| BearerToken::new(access.expose(), user.subject(), derivation.as_str()).expect("fits");
    let target = Target { cluster: SHOP_CLUSTER_ID.parse().expect("an id"), branch: None };
    let secret = Secret::new(SERVER_SECRET);
    let count = |server: &Native, access: &Secret| {
        let (authenticator, memory) = (bearer(access).into(), Memory::new());
        let cloud = Cloud::new(
            &*server.world,
            server.world.request_log(),
            &server.config.hosts,
            &authenticator,
            &Unwatched,
            &memory,
            deadline,
        );
        let query = Query { sql: "SELECT COUNT(*) FROM shop.products", whole_values: false, skipped_rows: 0 };
        let allowance = Allowance::new(server.world.now());
        let run = cloud.sql(&secret, None, &allowance);
        let rows = block_on(run.run(&target, AccessClass::ReadOnly, None, query, Replay::Safe))?;
        Ok::<_, SqlFailure>(rows.rows.concat().into_iter().flatten().map(|cell| cell.text).collect::<Vec<_>>())
    };
    assert_eq!(count(&server, &tokens.access).expect("rows"), ["200"]);

    server.advance(3_601);
    assert!(count(&server, &tokens.access).is_err(), "the token has ended");
    let refresh = tokens.refresh.expect("a refresh token");
    let refreshed = oauth!(token_by_refresh_token(&refresh)).ok().expect("new tokens");
    server.admin("DELETE", "/_sandbox/requests", None);
    assert_eq!(count(&server, &refreshed.access).expect("rows"), ["200"]);
    let requests = server.admin("GET", "/_sandbox/requests", None)["requests"].as_array().expect("requests").len();
    assert_eq!(requests, 2, "the cluster and the statement: the user that the first token made still works");
    let reused = oauth!(token_by_refresh_token(&refresh)).err();
    assert!(matches!(reused, Some(OAuthError::Refused(_))), "{reused:?}");

    assert_eq!(oauth!(revoke(&refreshed.access, TokenKind::Access)), Ok(()));
    let (authenticator, memory) = (bearer(&refreshed.access).into(), Memory::new());
    let cloud = Cloud::new(
        &*server.world,
        server.world.request_log(),
        &server.config.hosts,
        &authenticator,
        &Unwatched,
        &memory,
        deadline,
    );
    assert!(matches!(block_on(cloud.check()), Err(CheckFailure::Refused(_))), "it was revoked");
}

fn text(answer: &Answer) -> String {
    String::from_utf8_lossy(&answer.body).into_owned()
}

/// A deployment that is a client of TiDB Cloud's own OAuth.
fn deployment() -> Native {
    Native::with(&[
        ("TIDB_CLOUD_SANDBOX", SANDBOX),
        ("TIDB_CLOUD_OAUTH_CLIENT_ID", "sandbox-client"),
        ("TIDB_CLOUD_OAUTH_CLIENT_SECRET", "sandbox-client-secret-0123456789"),
    ])
}

/// The code that the page shows.
pub fn user_code(html: &str) -> String {
    let place = html.split_once("<code class=\"place\">").expect("a code").1;
    place.split_once('<').expect("its end").0.to_owned()
}

#[test]
fn a_person_signs_in_at_tidb_cloud_in_place_of_giving_keys() {
    let mut server = deployment();
    let flow = Flow::new(&mut server);
    let page = flow.page(&mut server);
    assert!(page.html.contains("Sign in at TiDB Cloud instead"));
    let begun = flow.decide(&mut server, &page, fields(&[("scope", "tidb:write"), ("decision", "tidbcloud")]));
    assert_eq!(begun.status, 200, "{}", text(&begun));
    let waiting = Page { cookie: page.cookie.clone(), ..Page::of(&begun) };
    let address = elements(&waiting.html, "a").iter().find_map(|tag| attribute(tag, "href")).expect("a link");
    assert!(address.starts_with("https://oauth.tidbcloud.com/activate?user_code="), "{address}");
    let poll = || fields(&[("decision", "poll")]);
    let early = flow.decide(&mut server, &waiting, poll());
    assert_eq!(early.status, 200);
    assert!(text(&early).contains("nobody has signed in yet"));
    let yes = json!({"userCode": user_code(&waiting.html), "approve": true, "key": "owner"});
    server.admin("POST", "/_sandbox/device", Some(yes));
    server.advance(10);
    // A page of somebody else's cannot take the sign-in over.
    let other = flow.page(&mut server);
    let stolen = with(other.hidden.clone(), "device", waiting.value("device"));
    assert_eq!(flow.decide(&mut server, &Page { hidden: stolen, ..other }, poll()).status, 400);
    let done = flow.decide(&mut server, &waiting, poll());
    assert_eq!(done.status, 200, "{}", text(&done));
    let code = parameter(&link(&done), "code").expect("a code");
    let tokens = Tokens::of(&server.send(form("/token", &flow.redemption(&code))));
    assert!(tokens.expires_in <= 3_600);
    assert!(text(&server.send(list_clusters(&tokens.access))).contains("shop"));
    let query = json!({"cluster": "shop", "sql": "SELECT COUNT(*) FROM shop.products"});
    assert!(text(&server.send(tool_with_token(&tokens.access, "db_query", query))).contains("200"));

    // The sign-in is renewed with our own token, so that neither outlives the other.
    server.advance(3_000);
    let tokens = Tokens::of(&server.send(form("/token", &flow.refreshing(&tokens.refresh))));
    assert!(tokens.expires_in > 3_000, "{}", tokens.expires_in);
    server.advance(1_000);
    assert_eq!(server.send(list_clusters(&tokens.access)).status, 200, "the first sign-in has ended by now");

    // Revoking ends the sign-in as well, also by a client that refreshes meanwhile and knows only the token before.
    let before = tokens.refresh;
    let tokens = Tokens::of(&server.send(form("/token", &flow.refreshing(&before))));
    server.admin("DELETE", "/_sandbox/requests", None);
    let all = fields(&[("token", &before), ("client_id", &flow.client_id)]);
    assert_eq!(server.send(form("/revoke", &all)).status, 200);
    let requests = server.admin("GET", "/_sandbox/requests", None).to_string();
    assert_eq!(requests.matches("/v1/revoke").count(), 2, "access and refresh token: {requests}");
    assert_eq!(server.send(list_clusters(&tokens.access)).status, 401);

    let dump =
        server.world.objects.borrow().values().cloned().collect::<String>() + &server.world.log.borrow().join("");
    for (target, sent) in server.world.sent.borrow().iter().filter(|(target, _)| target.contains("oauth.tidbcloud.com"))
    {
        assert!(!sent.contains("tdb_"), "{target}");
    }
    assert!(!dump.contains("sandbox-client-secret"));
}

#[test]
fn whoever_declines_at_tidb_cloud_is_not_connected() {
    let mut server = deployment();
    let flow = Flow::new(&mut server);
    let page = flow.page(&mut server);
    let begun = flow.decide(&mut server, &page, fields(&[("scope", "tidb:read"), ("decision", "tidbcloud")]));
    let waiting = Page { cookie: page.cookie.clone(), ..Page::of(&begun) };
    let no = json!({"userCode": user_code(&waiting.html), "approve": false});
    server.admin("POST", "/_sandbox/device", Some(no));
    let refused = flow.decide(&mut server, &waiting, fields(&[("decision", "poll")]));
    assert_eq!(refused.status, 400);
    assert!(text(&refused).contains("nobody signed in"));
    // A deployment that is no client of it has no such button, and no such answer.
    let mut server = Native::new();
    let flow = Flow::new(&mut server);
    let page = flow.page(&mut server);
    assert!(!page.html.contains("Sign in at TiDB Cloud"));
    let asked = flow.decide(&mut server, &page, fields(&[("scope", "tidb:read"), ("decision", "tidbcloud")]));
    assert_eq!(asked.status, 400);
    assert!(server.world.sent.borrow().is_empty());
}

/// Where a browser is sent by TiDB Cloud's page.
pub fn at_tidb_cloud(server: &Native, address: &url::Url) -> url::Url {
    let through = server.config.hosts.public(address.as_str()).expect("the sandbox");
    let request = Outbound {
        method: Method::Get,
        url: through,
        headers: Headers::new(),
        body: None,
        timeout: std::time::Duration::from_secs(8),
    };
    let answer = block_on(<dyn Io>::fetch(&*server.world, request, 4_096)).expect("an answer");
    url::Url::parse(&answer.headers.get("location").expect("a place")).expect("an address")
}

#[test]
fn a_deployment_that_knows_the_page_sends_people_there_and_takes_them_back() {
    let mut server = Native::with(&[
        ("TIDB_CLOUD_SANDBOX", SANDBOX),
        ("TIDB_CLOUD_OAUTH_CLIENT_ID", "sandbox-client"),
        ("TIDB_CLOUD_OAUTH_CLIENT_SECRET", "sandbox-client-secret-0123456789"),
        ("TIDB_CLOUD_OAUTH_AUTHORIZE_URL", "https://oauth.tidbcloud.com/authorize"),
    ]);
    let flow = Flow::new(&mut server);
    let page = flow.page(&mut server);
    let sent = flow.decide(&mut server, &page, fields(&[("scope", "tidb:read"), ("decision", "tidbcloud")]));
    assert_eq!(sent.status, 200, "{}", text(&sent));
    let there = link(&sent);
    assert_eq!(parameter(&there, "redirect_uri").as_deref(), Some("http://127.0.0.1:8787/signed-in"));
    let back = at_tidb_cloud(&server, &there);
    let call = |query: &str, cookie: &str| {
        let mut call = get(&format!("/signed-in?{query}"));
        call.headers.push(("Cookie".to_owned(), cookie.to_owned()));
        call
    };
    let query = back.query().expect("a query").to_owned();
    // Neither somebody else's browser nor a state of their own making gets in.
    let other = flow.page(&mut server);
    assert_eq!(server.send(call(&query, &other.cookie)).status, 403);
    assert_eq!(server.send(call(&query, "")).status, 403);
    assert_eq!(server.send(call("code=x&state=canary", &page.cookie)).status, 400);
    let done = server.send(call(&query, &page.cookie));
    assert_eq!(done.status, 200, "{}", text(&done));
    let code = parameter(&link(&done), "code").expect("a code");
    let tokens = Tokens::of(&server.send(form("/token", &flow.redemption(&code))));
    assert!(text(&server.send(list_clusters(&tokens.access))).contains("shop"));
    assert_eq!(server.send(call(&query, &page.cookie)).status, 400, "the page has ended");
}

/// The toolsets that a person ticks hold however the person proves who they are: here by a sign-in, which takes them through
/// TiDB Cloud's pages and back.
#[test]
fn a_sign_in_keeps_the_toolsets_that_were_ticked() {
    let client = [
        ("TIDB_CLOUD_SANDBOX", SANDBOX),
        ("TIDB_CLOUD_OAUTH_CLIENT_ID", "sandbox-client"),
        ("TIDB_CLOUD_OAUTH_CLIENT_SECRET", "sandbox-client-secret-0123456789"),
    ];
    let page = ("TIDB_CLOUD_OAUTH_AUTHORIZE_URL", "https://oauth.tidbcloud.com/authorize");
    for (by, settings) in [("device flow", client.to_vec()), ("page", [&client[..], &[page]].concat())] {
        let mut server = Native::with(&settings);
        let flow = Flow::new(&mut server);
        let page = flow.page(&mut server);
        let sign_in =
            |toolset: &str| fields(&[("scope", "tidb:write"), ("toolsets", toolset), ("decision", "tidbcloud")]);
        let wrong = flow.decide(&mut server, &page, sign_in("everything"));
        assert_eq!(wrong.status, 400, "{by}: what cannot be ticked is refused before anybody signs in");
        let sent = flow.decide(&mut server, &page, sign_in("branches"));
        assert_eq!(sent.status, 200, "{by}: {}", text(&sent));
        let done = if by == "page" {
            let back = at_tidb_cloud(&server, &link(&sent));
            let mut call = get(&format!("/signed-in?{}", back.query().expect("a query")));
            call.headers.push(("Cookie".to_owned(), page.cookie.clone()));
            server.send(call)
        } else {
            let waiting = Page { cookie: page.cookie.clone(), ..Page::of(&sent) };
            let early = flow.decide(&mut server, &waiting, fields(&[("decision", "poll")]));
            let waiting = Page { cookie: page.cookie.clone(), ..Page::of(&early) };
            let yes = json!({"userCode": user_code(&waiting.html), "approve": true, "key": "owner"});
            server.admin("POST", "/_sandbox/device", Some(yes));
            server.advance(10);
            // The person's choice was made on the page before: this one cannot change it.
            flow.decide(&mut server, &waiting, fields(&[("decision", "poll"), ("toolsets", "database")]))
        };
        assert_eq!(done.status, 200, "{by}: {}", text(&done));
        let code = parameter(&link(&done), "code").expect("a code");
        let tokens = Tokens::of(&server.send(form("/token", &flow.redemption(&code))));
        let listed = text(&server.send(with_token(list(), &tokens.access).to("/mcp?toolsets=all")));
        assert!(listed.contains("tidbcloud_create_branch"), "{by}: {listed}");
        assert!(!listed.contains("db_query") && !listed.contains("tidbcloud_get_cluster"), "{by}: {listed}");
    }
}
