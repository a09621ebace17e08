//! Connecting, beyond the checklist: an owner's deployment, several organizations, secrets that are replaced, what is stored,
//! and what guessing costs.

use std::{env, fs};

use mcp_server_tidbcloud::{app::Isolate, config::Config, port::LimiterFailure};
use serde_json::{Value, json};

use crate::{
    support::{
        Answer, Call, Driver,
        bad_inputs::{ACCESS_KEY, list},
        keys,
        oauth::{
            Flow, Page, REDIRECT, Tokens, browser_form, error, fields, form, get, link, list_clusters, parameter,
            tool_with_token, with, with_token, without,
        },
    },
    world::{Native, SANDBOX, SERVER_SECRET},
};

const SECRET_ONE: &str = "canary-mcp-secret-one-0123456789abcdef";
const SECRET_TWO: &str = "canary-mcp-secret-two-0123456789abcdef";

fn owner_settings(access_key: &str) -> Vec<(&'static str, String)> {
    vec![
        ("TIDB_CLOUD_SANDBOX", SANDBOX.to_owned()),
        ("TIDB_CLOUD_PUBLIC_KEY", "SBXOWNER".to_owned()),
        ("TIDB_CLOUD_PRIVATE_KEY", keys("owner").1),
        ("MCP_ACCESS_KEY", access_key.to_owned()),
    ]
}

fn configure(settings: &[(&str, String)]) -> Config {
    let read = |name: &str| settings.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone());
    Config::read(&read).unwrap_or_else(|problems| panic!("{problems:?}"))
}

/// A deployment that was given other settings: a new isolate, with everything that is stored.
fn redeploy(server: &mut Native, settings: &[(&str, String)]) {
    server.config = configure(settings).into();
    server.isolate = Isolate::new();
}

fn sandbox_with(secrets: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    let sandbox = [("TIDB_CLOUD_SANDBOX", SANDBOX)];
    sandbox.iter().chain(secrets).map(|(name, value)| (*name, (*value).to_owned())).collect()
}

fn text(answer: &Answer) -> String {
    String::from_utf8_lossy(&answer.body).into_owned()
}

fn works(server: &mut Native, token: &str) -> bool {
    server.send(list_clusters(token)).status == 200
}

#[test]
fn an_owner_connects_with_the_access_key_and_replacing_it_ends_every_grant() {
    let mut server = Native::new();
    redeploy(&mut server, &owner_settings(ACCESS_KEY));
    let flow = Flow::new(&mut server);
    let page = flow.page(&mut server);
    assert!(page.html.contains("name=\"accessKey\"") && !page.html.contains("name=\"privateKey\""));
    let wrong = flow.decide(&mut server, &page, fields(&[("accessKey", "canary-wrong"), ("scope", "tidb:read")]));
    assert_eq!(wrong.status, 400);
    // Keys of TiDB Cloud get nobody in here.
    assert_eq!(flow.decide(&mut server, &page, Flow::typed("other", "tidb:read")).status, 400);
    let code = flow.code(&mut server, fields(&[("accessKey", ACCESS_KEY), ("scope", "tidb:read tidb:write")]));
    let tokens = Tokens::of(&server.send(form("/token", &flow.redemption(&code))));
    assert!(text(&server.send(list_clusters(&tokens.access))).contains("shop"));
    assert_eq!(server.send(with_token(list(), ACCESS_KEY)).status, 200, "the key itself works beside it");

    let proof = fields(&[("accessKey", ACCESS_KEY)]);
    let grants = server.send(browser_form(&server.origin(), "/grants", "", &proof));
    assert!(text(&grants).contains("Test client"), "{}", text(&grants));

    redeploy(&mut server, &owner_settings("canary-access-key-two-0123456789abcdef"));
    assert!(!works(&mut server, &tokens.access));
    redeploy(&mut server, &owner_settings(ACCESS_KEY));
    assert!(works(&mut server, &tokens.access));
    redeploy(&mut server, &sandbox_with(&[]));
    assert!(!works(&mut server, &tokens.access), "a deployment without an owner has no keys for it");
}

#[test]
fn up_to_five_organizations_and_what_is_wrong_with_each_is_named() {
    let mut server = Native::new();
    let flow = Flow::new(&mut server);
    let (owner, other) = (keys("owner"), keys("other"));
    let set = |public: &str, private: &str, name: &str| {
        fields(&[
            ("publicKey", public),
            ("privateKey", private),
            ("name", name),
            ("sqlCluster", ""),
            ("sqlUser", ""),
            ("sqlPassword", ""),
        ])
    };
    let blank = || set("", "", "");
    let scope = || fields(&[("scope", "tidb:read")]);
    let problem = |server: &mut Native, sets: Vec<(String, String)>| {
        let page = flow.page(server);
        let answer = flow.decide(server, &page, sets);
        assert_eq!(answer.status, 400);
        server.world.sent.borrow_mut().clear();
        text(&answer)
    };
    for (sets, expected) in [
        ([blank(), scope()].concat(), "Type the two keys"),
        ([set(owner.0, "", "a"), scope()].concat(), "private key is missing"),
        ([set("", &owner.1, "a"), scope()].concat(), "public key is missing"),
        ([set("no key", "no key either", "a"), scope()].concat(), "do not look like keys"),
        ([set(owner.0, &owner.1, "a"), set(other.0, &other.1, "A"), scope()].concat(), "have this name"),
        ([set(owner.0, &owner.1, "a"), set(owner.0, &owner.1, "b"), scope()].concat(), "key is here twice"),
        ([set(owner.0, &owner.1, "<b>"), scope()].concat(), "1 to 64"),
        ([with(set(owner.0, &owner.1, "a"), "sqlUser", "x.root"), scope()].concat(), "name and a password"),
        (set(owner.0, &owner.1, "a"), "Choose what the client may do"),
        ([set(owner.0, &owner.1, "a"), scope(), fields(&[("aliases", "no equals sign")])].concat(), "one alias a line"),
    ] {
        assert!(problem(&mut server, sets).contains(expected), "{expected}");
    }
    // Blank sets are ignored wherever they stand.
    let all = [blank(), set(owner.0, &owner.1, "mine"), blank(), set(other.0, &other.1, "theirs"), scope()].concat();
    let code = flow.code(&mut server, all);
    let tokens = Tokens::of(&server.send(form("/token", &flow.redemption(&code))));
    assert!(works(&mut server, &tokens.access));
    // One pair that TiDB Cloud refuses spoils all, in the same words whichever it is.
    let page = flow.page(&mut server);
    let wrong = [set(owner.0, &owner.1, "mine"), set(other.0, &owner.1, "theirs"), scope()].concat();
    assert!(text(&flow.decide(&mut server, &page, wrong)).contains("does not accept these keys"));
}

#[test]
fn client_ids_and_grants_outlive_the_secret_that_made_them() {
    let mut server = Native::new();
    let flow = Flow::new(&mut server);
    let code = flow.code(&mut server, Flow::typed("owner", "tidb:read"));
    let tokens = Tokens::of(&server.send(form("/token", &flow.redemption(&code))));

    // The secret that the deployment made for itself counts as previous once one is set.
    redeploy(&mut server, &sandbox_with(&[("MCP_SECRET", SECRET_ONE)]));
    assert!(works(&mut server, &tokens.access));
    assert_eq!(flow.open(&mut server, &flow.request()).status, 200);
    let tokens = Tokens::of(&server.send(form("/token", &flow.refreshing(&tokens.refresh))));

    redeploy(&mut server, &sandbox_with(&[("MCP_SECRET", SECRET_TWO), ("MCP_SECRET_PREVIOUS", SECRET_ONE)]));
    assert!(works(&mut server, &tokens.access));
    let tokens = Tokens::of(&server.send(form("/token", &flow.refreshing(&tokens.refresh))));
    let (public, private) = keys("owner");
    let proof = fields(&[("publicKey", public), ("privateKey", &private)]);
    let grants = server.send(browser_form(&server.origin(), "/grants", "", &proof));
    assert!(text(&grants).contains("Test client"), "the page finds grants of earlier secrets");

    // What was refreshed since is sealed with the new secret alone.
    redeploy(&mut server, &sandbox_with(&[("MCP_SECRET", SECRET_TWO)]));
    assert_eq!(server.send(form("/token", &flow.refreshing(&tokens.refresh))).status, 200);
}

/// What is stored for one grant, from a person's consent to the second refresh. The file pins the form: what an earlier
/// version stored has to be read by all later ones.
#[test]
fn what_is_stored_is_pinned_and_holds_no_secret() {
    let mut server = Native::new();
    redeploy(&mut server, &sandbox_with(&[("MCP_SECRET", SECRET_ONE)]));
    let flow = Flow::new(&mut server);
    let sql = fields(&[
        ("sqlCluster", "1379661944646413143"),
        ("sqlUser", "SbxShop7Wq3Kd9e.canary_user"),
        ("sqlPassword", "canary-sql-password"),
        ("aliases", "prod = 1379661944646413143"),
    ]);
    let typed = [Flow::typed("owner", "tidb:read tidb:write"), sql].concat();
    let page = flow.page(&mut server);
    let answer = flow.decide(&mut server, &page, typed);
    let code = parameter(&link(&answer), "code").expect("a code");
    let stored = |server: &Native| {
        let objects = server.world.objects.borrow();
        let all = objects.iter().map(|(name, text)| (name.clone(), serde_json::from_str::<Value>(text).expect("JSON")));
        Value::Object(all.collect())
    };
    let consented = stored(&server);
    let first = Tokens::of(&server.send(form("/token", &flow.redemption(&code))));
    let redeemed = stored(&server);
    let second = Tokens::of(&server.send(form("/token", &flow.refreshing(&first.refresh))));
    let refreshed = stored(&server);
    let pinned = json!({
        "clientId": flow.client_id, "accessToken": second.access, "refreshToken": second.refresh,
        "consented": consented, "redeemed": redeemed, "refreshed": refreshed,
    });

    let dump = json!([consented, redeemed, refreshed]).to_string();
    let (public, private) = keys("owner");
    for secret in [public, &private, "canary", &code, &first.access, &first.refresh, &second.access, &second.refresh] {
        assert!(!dump.contains(secret), "{secret} is stored");
    }
    for token in [&code, &first.access, &first.refresh, &second.access, &second.refresh] {
        let secret = token.rsplit('.').next().expect("a secret");
        assert!(!dump.contains(secret) && !dump.contains(page.value("csrf")));
    }

    let path = crate::support::checkout().join("tests/snapshots/stored_grant.json");
    let text = serde_json::to_string_pretty(&pinned).expect("JSON") + "\n";
    if env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&path, &text).expect("a file");
    }
    let before = fs::read_to_string(&path).expect("a file");
    assert_eq!(text, before, "the stored form changed: earlier grants must still be read");

    // And it is read: by a server that knows nothing but the storage and the secret.
    let before: Value = serde_json::from_str(&before).expect("JSON");
    let mut later = Native::new();
    redeploy(&mut later, &sandbox_with(&[("MCP_SECRET", SECRET_ONE)]));
    later.restore(before["refreshed"].as_object().expect("objects"));
    assert!(works(&mut later, before["accessToken"].as_str().expect("a token")));
    let client_id = before["clientId"].as_str().expect("an id").to_owned();
    let same = Flow { origin: later.origin(), client_id, redirect_uri: REDIRECT.to_owned() };
    Tokens::of(&later.send(form("/token", &same.refreshing(before["refreshToken"].as_str().expect("a token")))));
}

#[test]
fn neither_storage_alone_nor_the_secret_alone_opens_a_grant() {
    let mut server = Native::new();
    redeploy(&mut server, &sandbox_with(&[("MCP_SECRET", SECRET_ONE)]));
    let flow = Flow::new(&mut server);
    let tokens = flow.tokens(&mut server, "tidb:read");
    // Storage and token, without the secret.
    redeploy(&mut server, &sandbox_with(&[("MCP_SECRET", SECRET_TWO)]));
    assert!(!works(&mut server, &tokens.access));
    // Secret and token, without the storage.
    redeploy(&mut server, &sandbox_with(&[("MCP_SECRET", SECRET_ONE)]));
    assert!(works(&mut server, &tokens.access));
    server.world.objects.borrow_mut().clear();
    assert!(!works(&mut server, &tokens.access));
    // Secret and storage, with a token that is not the one.
    let again = flow.tokens(&mut server, "tidb:read");
    let forged = format!("{}.{}", again.access.rsplit_once('.').expect("parts").0, "A".repeat(43));
    assert!(!works(&mut server, &forged));
}

#[test]
fn a_grant_that_is_not_used_ends_after_30_days_and_every_grant_after_90() {
    let day = 24 * 60 * 60;
    let mut server = Native::new();
    let flow = Flow::new(&mut server);
    let tokens = flow.tokens(&mut server, "tidb:read");
    server.advance(30 * day);
    assert_eq!(
        error(&server.send(form("/token", &flow.refreshing(&tokens.refresh)))),
        (400, "invalid_grant".to_owned())
    );

    let mut tokens = flow.tokens(&mut server, "tidb:read");
    for _ in 0..3 {
        server.advance(29 * day);
        tokens = Tokens::of(&server.send(form("/token", &flow.refreshing(&tokens.refresh))));
    }
    server.advance(3 * day);
    assert_eq!(
        error(&server.send(form("/token", &flow.refreshing(&tokens.refresh)))),
        (400, "invalid_grant".to_owned())
    );
}

#[test]
fn what_may_destroy_lives_for_a_quarter_of_an_hour() {
    let mut server = Native::new();
    let flow = Flow::new(&mut server);
    let tokens = flow.tokens(&mut server, "tidb:destroy");
    assert_eq!((tokens.scope.as_str(), tokens.expires_in), ("tidb:read tidb:write tidb:destroy", 900));
    server.advance(899);
    assert!(works(&mut server, &tokens.access));
    server.advance(1);
    assert!(!works(&mut server, &tokens.access));
    assert_eq!(server.send(form("/token", &flow.refreshing(&tokens.refresh))).status, 200);
}

#[test]
fn a_step_up_ends_in_a_token_that_may_do_it() {
    let mut server = Native::new();
    let flow = Flow::new(&mut server);
    let tokens = flow.tokens(&mut server, "tidb:read");
    let create = || json!({"displayName": "step-up", "region": "aws-us-east-1", "spendingLimitUsdCents": 0});
    let refused = server.send(tool_with_token(&tokens.access, "tidbcloud_create_cluster", create()));
    assert_eq!(refused.status, 403);
    let challenge = refused.header("WWW-Authenticate").expect("a challenge");
    let scope = challenge.split_once("scope=\"").and_then(|(_, rest)| rest.split_once('"')).expect("a scope").0;
    assert_eq!(scope, "tidb:read tidb:write");
    // What the client asks for is preselected, so the person just allows it.
    let answer = flow.open(&mut server, &with(flow.request(), "scope", scope));
    let page = Page::of(&answer);
    let decided = flow.decide(&mut server, &page, Flow::typed("owner", scope));
    let code = parameter(&link(&decided), "code").expect("a code");
    let tokens = Tokens::of(&server.send(form("/token", &flow.redemption(&code))));
    let created = server.send(tool_with_token(&tokens.access, "tidbcloud_create_cluster", create()));
    assert_eq!(created.status, 200, "{}", text(&created));
}

#[test]
fn a_deployment_takes_the_kinds_of_credential_that_it_allows() {
    let token = |server: &mut Native| Flow::new(server).tokens(server, "tidb:read").access;
    let mut server = Native::new();
    let access = token(&mut server);

    redeploy(&mut server, &sandbox_with(&[("ALLOWED_CREDENTIALS", "keys")]));
    assert_eq!(server.send(list()).status, 200);
    let answer = server.send(with_token(list(), &access));
    assert_eq!(answer.status, 401);
    assert!(!answer.header("WWW-Authenticate").expect("a challenge").contains("resource_metadata"));
    for path in ["/authorize", "/token", "/grants", "/.well-known/oauth-authorization-server"] {
        assert_eq!(server.send(get(path)).status, 404, "{path}");
    }

    redeploy(&mut server, &sandbox_with(&[("ALLOWED_CREDENTIALS", "oauth")]));
    assert_eq!(server.send(list()).status, 401);
    assert_eq!(server.send(with_token(list(), &access)).status, 200);

    redeploy(&mut server, &owner_settings(ACCESS_KEY));
    assert_eq!(server.send(list()).status, 401, "an owner's deployment takes no strangers' keys");
    assert_eq!(server.send(with_token(list(), ACCESS_KEY)).status, 200);
    let two_kinds = {
        let mut call = list();
        call.headers.push(("Authorization".to_owned(), format!("Bearer {access}")));
        server.send(call)
    };
    assert_eq!(two_kinds.status, 400);
}

#[test]
fn an_allow_list_of_addresses_holds_for_every_credential_and_no_page() {
    let mut server = Native::new();
    redeploy(&mut server, &sandbox_with(&[("ALLOWED_IPS", "192.0.2.0/24, 2001:db8::7")]));
    for (address, status) in [
        ("192.0.2.9", 200),
        ("198.51.100.9", 403),
        ("2001:db8::7", 200),
        ("2001:db8::8", 403),
        ("::ffff:192.0.2.1", 200),
    ] {
        server.behind(address);
        assert_eq!(server.send(list()).status, status, "{address}");
    }
    server.behind("198.51.100.9");
    let flow = Flow::new(&mut server);
    assert_eq!(flow.open(&mut server, &flow.request()).status, 200);
}

#[test]
fn a_credential_has_a_limit_of_its_own_wherever_it_comes_from() {
    let mut server = Native::new();
    redeploy(&mut server, &sandbox_with(&[]));
    for number in 0..30 {
        server.behind(&format!("192.0.2.{number}"));
        assert_eq!(server.send(list()).status, 200);
    }
    let refused = server.send(list());
    assert_eq!(refused.status, 429);
    let limits = refused.header("RateLimit-Policy").expect("a policy");
    assert_eq!(limits, "\"ip\";q=100;w=60, \"credential\";q=120;w=60");
    assert!(refused.header("RateLimit").is_some_and(|left| left.contains("\"credential\";r=0")));
    // Another pair of keys from the same address goes on.
    let (public, private) = keys("viewer");
    let other = list().set("X-TiDB-API-Public-Key", public).set("X-TiDB-API-Private-Key", &private);
    assert_eq!(server.send(other).status, 200);
    server.advance(1);
    assert_eq!(server.send(list()).status, 200, "one comes back every half second");
}

#[test]
fn guessing_private_keys_locks_the_guesser_out_and_not_the_owner() {
    let mut server = Native::new();
    let call = |private: &str| {
        let call =
            crate::support::request("2026-07-28", "owner", "tools/call", json!({"name": "tidbcloud_list_regions"}));
        call.set("X-TiDB-API-Private-Key", private)
    };
    let right = keys("owner").1;
    assert_eq!(server.send(call(&right)).status, 200);
    server.behind("192.0.2.66");
    let guess = |number: u32| call(&format!("5b000000-0000-4000-8000-0000000001{number:02}"));
    let statuses: Vec<u16> = (0..8).map(|number| server.send(guess(number)).status).collect();
    assert_eq!(statuses, [200, 200, 200, 200, 200, 429, 429, 429], "five refusals");
    assert_eq!(server.send(call(&right)).status, 200, "the pair that was taken is never locked out");
    // The consent page counts the same refusals.
    let flow = Flow::new(&mut server);
    let page = flow.page(&mut server);
    let wrong = with(Flow::typed("owner", "tidb:read"), "privateKey", "5b000000-0000-4000-8000-0000000002ff");
    assert_eq!(flow.decide(&mut server, &page, wrong).status, 429);
}

#[test]
fn guards_of_secrets_fail_closed() {
    let mut server = Native::new();
    let flow = Flow::new(&mut server);
    let page = flow.page(&mut server);
    let tokens = flow.tokens(&mut server, "tidb:read");
    server.world.limiter_fails.set(Some(LimiterFailure::Unavailable));
    let all: Vec<Call> = vec![
        get("/authorize"),
        get("/grants"),
        form("/token", &flow.refreshing(&tokens.refresh)),
        form("/revoke", &fields(&[("token", &tokens.refresh), ("client_id", &flow.client_id)])),
        browser_form(&server.origin(), "/consent", &page.cookie, &page.hidden),
        browser_form(&server.origin(), "/grants", "", &fields(&[("publicKey", "SBXOWNER")])),
    ];
    for call in all {
        let target = call.target.clone();
        let answer = server.send(call);
        assert_eq!(answer.status, 503, "{target}");
        assert!(answer.header("Retry-After").is_some(), "{target}");
    }
    // Keys in headers are not tried either, unless they were known before.
    let regions =
        |who: &str| crate::support::request("2026-07-28", who, "tools/call", json!({"name": "tidbcloud_list_regions"}));
    server.world.limiter_fails.set(None);
    assert_eq!(server.send(regions("owner")).status, 200);
    let wrong = regions("other").set("X-TiDB-API-Private-Key", "5b000000-0000-4000-8000-0000000003ff");
    let list_with_wrong = list().set("X-TiDB-API-Public-Key", "SBXOTHER");
    let list_with_wrong = list_with_wrong.set("X-TiDB-API-Private-Key", "5b000000-0000-4000-8000-0000000003ff");
    assert_eq!(server.send(list_with_wrong).status, 200);
    server.world.limiter_fails.set(Some(LimiterFailure::Unavailable));
    assert_eq!(server.send(regions("owner")).status, 200);
    let asked = server.world.sent.borrow().len();
    let unknown = server.send(regions("viewer"));
    assert_eq!((unknown.status, unknown.header("Retry-After")), (503, Some("5")));
    assert_eq!(server.world.sent.borrow().len(), asked, "nothing was sent");
    // The key's own object counts on. Where it does not answer either, what is not known to be taken is not tried.
    assert!(text(&server.send(wrong.clone())).contains("UNAUTHENTICATED_UPSTREAM"));
    server.world.limiter_fails.set(None);
    server.world.storage_fails.set(true);
    assert_eq!(server.send(regions("owner")).status, 200);
    let asked = server.world.sent.borrow().len();
    for unknown in [wrong, regions("viewer")] {
        let unknown = server.send(unknown);
        assert_eq!((unknown.status, unknown.header("Retry-After")), (503, Some("5")));
    }
    assert_eq!(server.world.sent.borrow().len(), asked, "nothing was sent");
    for request in [list_clusters(&tokens.access), form("/token", &flow.refreshing(&tokens.refresh))] {
        let answer = server.send(request);
        assert_eq!(answer.status, 503, "a 401 would make a client drop its token");
        assert!(answer.header("Retry-After").is_some(), "a 503 says when to come back");
    }
    assert_eq!(flow.decide(&mut server, &page, Flow::typed("owner", "tidb:read")).status, 503);
    server.world.storage_fails.set(false);
    // Nothing was lost on the way.
    assert!(works(&mut server, &tokens.access));
    Tokens::of(&server.send(form("/token", &flow.refreshing(&tokens.refresh))));
    assert_eq!(flow.decide(&mut server, &page, Flow::typed("owner", "tidb:read")).status, 200);
}

#[test]
fn a_page_ends_after_ten_minutes_or_by_declining() {
    let mut server = Native::new();
    let flow = Flow::new(&mut server);
    let page = flow.page(&mut server);
    server.advance(600);
    assert_eq!(flow.decide(&mut server, &page, Flow::typed("owner", "tidb:read")).status, 400);
    let page = flow.page(&mut server);
    assert_eq!(flow.decide(&mut server, &page, fields(&[("decision", "deny")])).status, 200);
    assert_eq!(flow.decide(&mut server, &page, Flow::typed("owner", "tidb:read")).status, 400);
    assert!(server.world.sent.borrow().is_empty(), "TiDB Cloud was never asked");
    let page = flow.page(&mut server);
    for unclear in [fields(&[("decision", "perhaps")]), fields(&[("decision", "deny"), ("decision", "allow")])] {
        let typed = [Flow::typed("owner", "tidb:read"), unclear].concat();
        assert_eq!(flow.decide(&mut server, &page, typed).status, 400, "what is unclear is no consent");
    }
    let tampered = with(page.hidden.clone(), "transaction", &page.value("transaction").replace('A', "B"));
    let answer = server.send(browser_form(&server.origin(), "/consent", &page.cookie, &tampered));
    assert_eq!(answer.status, 400);
    assert_eq!(without(page.hidden, "csrf").len(), 1);
}

#[test]
fn a_document_that_is_wrong_in_any_way_gets_nobody_to_the_page() {
    let mut server = Native::new();
    let open = |server: &mut Native, path: &str, redirect: &str| {
        let client_id = format!("https://clients.example{path}");
        let flow = Flow { origin: server.origin(), client_id, redirect_uri: redirect.to_owned() };
        flow.open(server, &flow.request())
    };
    let good = open(&mut server, "/valid.json", "http://127.0.0.1:50123/callback");
    assert_eq!(good.status, 200);
    assert!(text(&good).contains("clients.example") && text(&good).contains("self-reported"));
    assert!(text(&good).contains("program on this computer"), "a warning for localhost");
    assert_eq!(open(&mut server, "/valid.json", "https://clients.example/other").status, 400);
    let wrong = [
        "/other-client-id.json",
        "/no-name.json",
        "/no-redirects.json",
        "/dangerous-redirect.json",
        "/javascript-logo.json",
        "/secret.json",
        "/secret-method.json",
        "/large.json",
        "/array.json",
        "/not-json.json",
        "/not-utf-8.json",
        "/twice.json",
        "/text.json",
        "/error.json",
        "/redirect.json",
        "/slow.json",
        "/none.json",
    ];
    for path in wrong {
        let answer = open(&mut server, path, REDIRECT);
        assert_eq!(answer.status, 400, "{path}");
        assert!(text(&answer).contains("invalid_client") && answer.header("Location").is_none(), "{path}");
    }
    let fetched = |server: &Native, path: &str| {
        let sent = server.world.sent.borrow();
        sent.iter().filter(|(target, _)| target.ends_with(path)).count()
    };
    // A failure is remembered for a minute, and a redirect is not followed.
    open(&mut server, "/error.json", REDIRECT);
    assert_eq!((fetched(&server, "/error.json"), fetched(&server, "/valid.json")), (1, 1));
    server.advance(60);
    open(&mut server, "/error.json", REDIRECT);
    assert_eq!(fetched(&server, "/error.json"), 2);
    // So is what its server wants nobody to keep.
    for _ in 0..2 {
        assert_eq!(open(&mut server, "/no-store.json", REDIRECT).status, 200);
    }
    assert_eq!(fetched(&server, "/no-store.json"), 2);
}

/// The client ids and redirect URIs that Claude, Claude Code, VS Code and GitHub Copilot CLI document.
#[test]
fn clients_with_documents_connect_as_they_say_they_do() {
    let mut server = Native::new();
    for (client_id, redirects) in [
        (
            "https://claude.ai/oauth/mcp-oauth-client-metadata",
            &["https://claude.ai/api/mcp/auth_callback", "https://claude.com/api/mcp/auth_callback"][..],
        ),
        (
            "https://claude.ai/oauth/claude-code-client-metadata",
            &["http://localhost:54545/callback", "http://127.0.0.1:61999/callback"],
        ),
        (
            "https://vscode.dev/oauth/client-metadata.json",
            &["http://127.0.0.1:33418/", "http://127.0.0.1:50001/", "https://vscode.dev/redirect"],
        ),
        ("https://github.com/copilot/cli/client-metadata.json", &["http://127.0.0.1:49152/"]),
    ] {
        for redirect in redirects {
            let flow =
                Flow { origin: server.origin(), client_id: client_id.to_owned(), redirect_uri: (*redirect).to_owned() };
            let tokens = flow.tokens(&mut server, "tidb:read");
            assert!(works(&mut server, &tokens.access), "{client_id} {redirect}");
            Tokens::of(&server.send(form("/token", &flow.refreshing(&tokens.refresh))));
            server.advance(60);
        }
    }
}

/// Cursor registers once, with three redirect URIs of three kinds, and uses one of them.
#[test]
fn cursor_connects_by_any_of_its_three_redirects() {
    let mut server = Native::new();
    let redirects = [
        "cursor://anysphere.cursor-mcp/oauth/callback",
        "https://www.cursor.com/agents/mcp/oauth/callback",
        "http://localhost:8787/callback",
    ];
    let flow = Flow::registering(&mut server, &redirects);
    for redirect in redirects {
        let flow =
            Flow { redirect_uri: redirect.to_owned(), origin: server.origin(), client_id: flow.client_id.clone() };
        let tokens = flow.tokens(&mut server, "tidb:read");
        assert!(works(&mut server, &tokens.access), "{redirect}");
        server.advance(60);
    }
}

#[test]
fn the_thirty_seventh_grant_of_a_key_ends_the_oldest() {
    let mut server = Native::new();
    let flow = Flow::new(&mut server);
    let first = flow.tokens(&mut server, "tidb:read");
    let second = flow.tokens(&mut server, "tidb:read");
    for _ in 2..36 {
        server.advance(10);
        flow.code(&mut server, Flow::typed("owner", "tidb:read"));
    }
    assert!(works(&mut server, &first.access));
    server.advance(10);
    flow.code(&mut server, Flow::typed("owner", "tidb:read"));
    assert!(!works(&mut server, &first.access) && works(&mut server, &second.access));
}

/// A request on the free plan of Workers may ask others 50 times.
#[test]
fn the_grants_page_asks_fifty_times_at_most() {
    let mut server = Native::new();
    let deployments: [&[(&str, &str)]; 3] =
        [&[], &[("MCP_SECRET", SECRET_ONE)], &[("MCP_SECRET", SECRET_TWO), ("MCP_SECRET_PREVIOUS", SECRET_ONE)]];
    for deployment in deployments {
        redeploy(&mut server, &sandbox_with(deployment));
        let flow = Flow::new(&mut server);
        for _ in 0..36 {
            server.advance(10);
            flow.code(&mut server, Flow::typed("owner", "tidb:read"));
        }
    }
    // Codes that nobody redeems end after a minute, and their grants with them.
    let flow = Flow::new(&mut server);
    flow.tokens(&mut server, "tidb:read");
    server.advance(600);
    let (public, private) = keys("owner");
    let proof = fields(&[("publicKey", public), ("privateKey", &private)]);
    let mut shown = Vec::new();
    for _ in 0..4 {
        redeploy(&mut server, &sandbox_with(deployments[2]));
        server.advance(60);
        server.world.subrequests.borrow_mut().clear();
        let grants = server.send(browser_form(&server.origin(), "/grants", "", &proof));
        let asked = server.world.subrequests.take();
        assert!(asked.len() <= 50, "{}: {asked:#?}", asked.len());
        assert_eq!(text(&grants).matches("<h2>").count(), 1, "the one that lives is the newest");
        shown.push((text(&grants).contains("Only the newest are listed"), asked.len() > 40));
    }
    // Ending as many as are listed stays within it too, although the ends of several are not shown at once.
    for _ in 0..35 {
        server.advance(10);
        flow.code(&mut server, Flow::typed("owner", "tidb:read"));
    }
    let page = Page::of(&server.send(browser_form(&server.origin(), "/grants", "", &proof)));
    let mut ends: Vec<_> = page.hidden.iter().filter(|(name, _)| name == "grant").map(|(_, id)| id.clone()).collect();
    ends.sort();
    ends.dedup();
    let ends: Vec<_> = ends.iter().map(|id| ("grant", id.as_str())).collect();
    assert!(ends.len() > 1, "{}", page.html);
    let then = [ends.clone(), vec![("csrf", page.value("csrf")), ("then", "end")]].concat();
    redeploy(&mut server, &sandbox_with(deployments[2]));
    server.world.subrequests.borrow_mut().clear();
    let ended = server.send(browser_form(&server.origin(), "/grants/revoke", &page.cookie, &fields(&then)));
    let asked = server.world.subrequests.take();
    assert!(ended.status == 200 && asked.len() > ends.len() && asked.len() <= 50, "{}: {asked:#?}", asked.len());
    // 108 were listed; each time 36 are asked, and those that have ended are forgotten.
    assert_eq!(shown, [(true, true), (true, true), (true, true), (false, false)]);
}

/// Whatever secret a world has: of the owner, of the server, of a person, a code or a token.
#[test]
fn the_server_secret_shows_nowhere() {
    let mut server = Native::new();
    let flow = Flow::new(&mut server);
    let page = flow.page(&mut server);
    let answer = flow.decide(&mut server, &page, Flow::typed("owner", "tidb:read"));
    let everything = format!("{}{}{}", page.html, text(&answer), server.world.log.borrow().join("\n"));
    assert!(!everything.contains(SERVER_SECRET) && !everything.contains(&keys("owner").1));
}
