//! The rows of `tests/cases/bad-inputs.tsv` that need a client, a person or a token first.

use serde_json::{Value, json};
use url::Url;

use super::{
    Answer, Call, Driver,
    bad_inputs::{Row, list, tool},
    oauth::{
        Flow, REDIRECT, Tokens, VERIFIER, altered, attribute, browser_form, elements, fields, form, get, list_clusters,
        parameter, registration, tool_with_token, with, with_token, without,
    },
    request,
};

/// Rows in the order of the table.
pub const ROWS: &[&str] = &[
    "TOOLS-025",
    "TOOLS-026",
    "TOOLS-027",
    "TOOLS-030",
    "TOOLS-031",
    "TOOLS-034",
    "AUTH-005",
    "AUTH-006",
    "AUTH-007",
    "AUTH-013",
    "AUTH-018",
    "OAUTH-001",
    "OAUTH-002",
    "OAUTH-003",
    "OAUTH-004",
    "OAUTH-005",
    "OAUTH-006",
    "OAUTH-008",
    "OAUTH-010",
    "OAUTH-011",
    "OAUTH-013",
    "OAUTH-014",
    "OAUTH-016",
    "OAUTH-018",
    "OAUTH-020",
    "OAUTH-021",
    "OAUTH-022",
    "OAUTH-026",
    "OAUTH-029",
    "OAUTH-030",
    "OAUTH-032",
    "OAUTH-037",
    "OAUTH-039",
    "OAUTH-040",
    "OAUTH-043",
    "OAUTH-045",
    "OAUTH-049",
    "OAUTH-052",
    "OAUTH-053",
    "OAUTH-056",
    "OAUTH-057",
    "OAUTH-058",
    "OAUTH-059",
    "OAUTH-060",
    "OAUTH-061",
    "OAUTH-062",
    "OAUTH-063",
    "OAUTH-064",
    "OAUTH-066",
    "OAUTH-067",
    "OAUTH-068",
    "OAUTH-069",
    "OAUTH-070",
];

/// Rows that wait: the Worker's own clock cannot be moved.
pub const NEED_A_CLOCK: &[&str] = &["TOOLS-025", "AUTH-005", "OAUTH-061", "OAUTH-063"];

fn works(server: &mut impl Driver, token: &str) -> bool {
    server.send(list_clusters(token)).status == 200
}

/// A call that a person has to allow, by a client that shows forms and sends this: a state and an action.
fn raise(who: &str, answer: Option<(&Value, &str)>) -> Call {
    let mut params = json!({
        "name": "tidbcloud_update_cluster", "arguments": {"cluster": "shop", "spendingLimitUsdCents": 500},
    });
    if let Some((state, action)) = answer {
        params["requestState"] = state.clone();
        params["inputResponses"] = json!({"confirm": {"action": action, "content": {}}});
    }
    request("2026-07-28", who, "tools/call", params).without("X-MCP-Unattended").with_forms()
}

/// The state of the question that the call is answered with.
fn asked(server: &mut impl Driver) -> Value {
    let answer = server.send(raise("owner", None)).json();
    assert_eq!(answer["result"]["resultType"], "input_required", "{answer}");
    answer["result"]["requestState"].clone()
}

/// The limit that the cluster `shop` has.
fn limit(server: &mut impl Driver) -> Value {
    let cluster = json!({"name": "tidbcloud_get_cluster", "arguments": {"cluster": "shop"}});
    let answer = server.send(request("2026-07-28", "owner", "tools/call", cluster)).json();
    answer["result"]["structuredContent"]["spendingLimitUsdCents"].clone()
}

/// What is sent for a row, and its answer. Whatever else the row's note says is asserted on the way.
pub fn ask<D: Driver>(id: &str, server: &mut D) -> Answer {
    let register = |server: &mut D, uri: &str| server.send(registration(&json!({ "redirect_uris": [uri] })));
    let open = |server: &mut D, change: &dyn Fn(&Flow, super::oauth::Fields) -> super::oauth::Fields| {
        let flow = Flow::new(server);
        flow.open(server, &change(&flow, flow.request()))
    };
    let redeem = |server: &mut D, change: &dyn Fn(super::oauth::Fields) -> super::oauth::Fields| {
        let flow = Flow::new(server);
        let code = flow.code(server, Flow::typed("owner", "tidb:read"));
        let answer = server.send(form("/token", &change(flow.redemption(&code))));
        // A refused request uses nothing up.
        Tokens::of(&server.send(form("/token", &flow.redemption(&code))));
        answer
    };
    let of_document = |server: &mut D, id: &str| {
        let flow = Flow { origin: server.origin(), client_id: id.to_owned(), redirect_uri: REDIRECT.to_owned() };
        flow.open(server, &flow.request())
    };
    match id {
        "TOOLS-025" | "TOOLS-026" | "TOOLS-031" => {
            server.admin("POST", "/_sandbox/reset", None);
            let (before, state) = (limit(server), asked(server));
            if id == "TOOLS-025" {
                server.advance(300);
            }
            let (who, action) = match id {
                "TOOLS-026" => ("viewer", "accept"),
                "TOOLS-031" => ("owner", "decline"),
                _ => ("owner", "accept"),
            };
            let answer = server.send(raise(who, Some((&state, action))));
            assert_eq!(limit(server), before, "{id}: nothing was executed");
            answer
        }
        "TOOLS-027" => {
            server.admin("POST", "/_sandbox/reset", None);
            let state = asked(server);
            let raised = server.send(raise("owner", Some((&state, "accept")))).json();
            assert_eq!(raised["result"]["structuredContent"]["spendingLimitUsdCents"], json!(500), "{raised}");
            let lower = json!({"name": "tidbcloud_update_cluster", "arguments": {"cluster": "shop", "spendingLimitUsdCents": 100}});
            server.send(request("2026-07-28", "owner", "tools/call", lower));
            let answer = server.send(raise("owner", Some((&state, "accept"))));
            assert_eq!(limit(server), json!(100), "{id}: nothing was executed the second time");
            answer
        }
        "TOOLS-030" => {
            server.admin("POST", "/_sandbox/reset", None);
            let answer =
                server.send(tool("tidbcloud_delete_cluster", json!({"cluster": "shop"})).without("X-MCP-Unattended"));
            let cluster = server.send(tool("tidbcloud_get_cluster", json!({"cluster": "shop"}))).json();
            assert_eq!(
                cluster["result"]["structuredContent"]["state"], "ACTIVE",
                "{id}: nothing was executed: {cluster}"
            );
            answer
        }
        "TOOLS-034" => {
            let tokens = Flow::new(server).tokens(server, "tidb:read");
            let create = json!({"displayName": "forbidden", "region": "aws-us-east-1"});
            let answer = server.send(tool_with_token(&tokens.access, "tidbcloud_create_cluster", create));
            let challenge = answer.header("WWW-Authenticate").expect("a challenge");
            assert!(challenge.contains("error=\"insufficient_scope\""), "{challenge}");
            assert!(challenge.contains("scope=\"tidb:read tidb:write\""), "{challenge}");
            answer
        }
        "AUTH-005" => {
            let tokens = Flow::new(server).tokens(server, "tidb:read");
            server.advance(3_600);
            server.send(with_token(list(), &tokens.access))
        }
        "AUTH-006" => {
            let flow = Flow::new(server);
            let tokens = flow.tokens(server, "tidb:read");
            let all = fields(&[("token", &tokens.refresh), ("client_id", &flow.client_id)]);
            assert_eq!(server.send(form("/revoke", &all)).status, 200);
            server.send(with_token(list(), &tokens.access))
        }
        // Of the same server at another of its addresses.
        "AUTH-007" => {
            let tokens = Flow::new(server).tokens(server, "tidb:read");
            server.send_by_other_name(with_token(list(), &tokens.access))
        }
        "AUTH-013" => {
            let tokens = Flow::new(server).tokens(server, "tidb:read");
            let wrong = altered(&tokens.access);
            let answer = server.send(with_token(list(), &wrong));
            assert!(works(server, &tokens.access));
            answer
        }
        "AUTH-018" => {
            let last =
                (0..100).map(|number| server.send(list().set("X-TiDB-API-Public-Key", &format!("CANARY{number:02}"))));
            last.last().expect("an answer")
        }
        "OAUTH-001" => {
            let answer = server.send(get("/.well-known/oauth-protected-resource/mcp"));
            assert_eq!(answer.json()["resource"], json!(format!("{}/mcp", server.origin())));
            answer
        }
        "OAUTH-002" => {
            let mut call = get("/.well-known/oauth-authorization-server");
            call.headers.push(("X-Forwarded-Host".to_owned(), "evil.example".to_owned()));
            let answer = server.send(call);
            assert_eq!(answer.json()["issuer"], json!(server.origin()));
            answer
        }
        "OAUTH-003" => open(server, &|_, request| without(request, "client_id")),
        "OAUTH-004" => open(server, &|_, request| with(request, "client_id", "nobody")),
        "OAUTH-005" => open(server, &|_, request| with(request, "redirect_uri", "https://evil.example/cb")),
        "OAUTH-006" => {
            open(server, &|flow, request| with(request, "redirect_uri", &format!("{}/../x", flow.redirect_uri)))
        }
        "OAUTH-008" => {
            let flow = Flow::registering(server, &["http://127.0.0.1:3000/cb"]);
            flow.open(server, &with(flow.request(), "redirect_uri", "http://127.0.0.1:55555/cb"))
        }
        "OAUTH-010" => register(server, "JaVaScRiPt:alert(1)"),
        "OAUTH-011" => register(server, " javascript:alert(1)"),
        "OAUTH-013" => register(server, "https://user:pass@app.example/cb"),
        "OAUTH-014" => register(server, "http://example.com/cb"),
        "OAUTH-016" => open(server, &|_, request| without(request, "code_challenge")),
        "OAUTH-018" => open(server, &|_, request| without(request, "code_challenge_method")),
        "OAUTH-020" => open(server, &|_, request| with(request, "code_challenge", "too-short")),
        "OAUTH-021" => open(server, &|_, request| with(request, "resource", "https://other.example/mcp")),
        "OAUTH-022" => {
            open(server, &|_, request| [request, fields(&[("resource", "https://other.example/mcp")])].concat())
        }
        "OAUTH-026" => of_document(server, "https://127.0.0.1/x.json"),
        "OAUTH-029" => of_document(server, "https://0x7f.1/x"),
        "OAUTH-030" => of_document(server, "http://app.example/x.json"),
        "OAUTH-032" => of_document(server, "https://app.example/a/../b.json"),
        "OAUTH-037" => of_document(server, "https://clients.example/other-client-id.json"),
        "OAUTH-039" => of_document(server, "https://clients.example/javascript-logo.json"),
        "OAUTH-040" => {
            let flow = Flow::new(server);
            let page = flow.page(server);
            let all = page.hidden.iter().cloned().chain(Flow::typed("owner", "tidb:read")).collect();
            server.send(browser_form(&server.origin(), "/consent", "", &all))
        }
        "OAUTH-043" => {
            let flow = Flow::new(server);
            let page = flow.page(server);
            assert_eq!(flow.decide(server, &page, Flow::typed("owner", "tidb:read")).status, 200);
            flow.decide(server, &page, Flow::typed("owner", "tidb:read"))
        }
        "OAUTH-045" => {
            let flow = Flow::new(server);
            let page = flow.page(server);
            // A public key that no other test has refused: five refusals a minute are all that one has.
            let wrong = with(Flow::typed("other", "tidb:read"), "privateKey", "5b000000-0000-4000-8000-0000000000ab");
            let answer = flow.decide(server, &page, wrong.clone());
            let html = String::from_utf8_lossy(&answer.body).into_owned();
            let values: Vec<_> = elements(&html, "input").iter().filter_map(|tag| attribute(tag, "value")).collect();
            assert!(!values.iter().any(|value| value.starts_with("5b000000")), "the key is echoed: {html}");
            // Five tries a page: the answers to all of them are alike.
            for _ in 0..4 {
                assert_eq!(flow.decide(server, &page, wrong.clone()).status, 400);
            }
            let ended = flow.decide(server, &page, Flow::typed("owner", "tidb:read"));
            assert_eq!(ended.status, 400, "the page has ended, also for the right keys");
            answer
        }
        "OAUTH-049" => {
            let flow = Flow::new(server);
            let all = fields(&[("grant_type", "password"), ("client_id", &flow.client_id), ("username", "canary")]);
            server.send(form("/token", &all))
        }
        "OAUTH-052" => server.send(get("/token")),
        "OAUTH-053" => {
            let flow = Flow::new(server);
            let code = flow.code(server, Flow::typed("owner", "tidb:read"));
            let tokens = Tokens::of(&server.send(form("/token", &flow.redemption(&code))));
            let answer = server.send(form("/token", &flow.redemption(&code)));
            assert!(!works(server, &tokens.access), "the grant is gone");
            answer
        }
        "OAUTH-056" => {
            let stranger = Flow::registering(server, &["https://stranger.example/cb"]);
            redeem(server, &|all| with(all, "client_id", &stranger.client_id))
        }
        "OAUTH-057" => redeem(server, &|all| without(all, "code_verifier")),
        "OAUTH-058" => redeem(server, &|all| with(all, "code_verifier", &VERIFIER[1..])),
        // There is no grant without a challenge, because none is authorized: the verifier is sent for a code that is not.
        "OAUTH-059" => {
            let flow = Flow::new(server);
            let refused = flow.open(server, &without(flow.request(), "code_challenge"));
            let place = Url::parse(refused.header("Location").expect("a place")).expect("an address");
            assert_eq!(parameter(&place, "code"), None);
            let made_up = format!("tdb_ac_v1.{}.{}", "A".repeat(22), "A".repeat(43));
            server.send(form("/token", &flow.redemption(&made_up)))
        }
        "OAUTH-060" => redeem(server, &|all| with(all, "redirect_uri", "http://127.0.0.1:3001/callback")),
        "OAUTH-061" => {
            let flow = Flow::new(server);
            let code = flow.code(server, Flow::typed("owner", "tidb:read"));
            server.advance(61);
            server.send(form("/token", &flow.redemption(&code)))
        }
        "OAUTH-062" => {
            let flow = Flow::new(server);
            let tokens = flow.tokens(server, "tidb:read");
            let first = Tokens::of(&server.send(form("/token", &flow.refreshing(&tokens.refresh))));
            let answer = server.send(form("/token", &flow.refreshing(&tokens.refresh)));
            assert_eq!(Tokens::of(&answer), first, "the same answer again");
            answer
        }
        "OAUTH-063" => {
            let flow = Flow::new(server);
            let tokens = flow.tokens(server, "tidb:read");
            let next = Tokens::of(&server.send(form("/token", &flow.refreshing(&tokens.refresh))));
            server.advance(31);
            let answer = server.send(form("/token", &flow.refreshing(&tokens.refresh)));
            assert!(!works(server, &next.access), "the family is revoked");
            answer
        }
        "OAUTH-064" => {
            let flow = Flow::new(server);
            let tokens = flow.tokens(server, "tidb:read");
            let wider = with(flow.refreshing(&tokens.refresh), "scope", "tidb:read tidb:write");
            let answer = server.send(form("/token", &wider));
            Tokens::of(&server.send(form("/token", &flow.refreshing(&tokens.refresh))));
            answer
        }
        "OAUTH-066" => {
            let flow = Flow::new(server);
            let tokens = flow.tokens(server, "tidb:read");
            let stranger = Flow::registering(server, &["https://stranger.example/cb"]);
            let all = fields(&[("token", &tokens.refresh), ("client_id", &stranger.client_id)]);
            let answer = server.send(form("/revoke", &all));
            assert!(works(server, &tokens.access), "nothing is revoked");
            answer
        }
        "OAUTH-067" => {
            for _ in 0..100 {
                assert_eq!(register(server, REDIRECT).status, 201);
            }
            register(server, REDIRECT)
        }
        "OAUTH-068" => server.send(registration(&json!({"redirect_uris": [REDIRECT], "x": "x".repeat(16 << 10)}))),
        "OAUTH-069" => server.send(registration(&json!({ "redirect_uris": [] }))),
        "OAUTH-070" => {
            server.send(registration(&json!({"redirect_uris": [REDIRECT], "client_uri": "javascript:alert(1)"})))
        }
        _ => panic!("{id} has no test"),
    }
}

/// Holds an answer against its row.
pub fn check(row: &Row, answer: &Answer) {
    let body = String::from_utf8_lossy(&answer.body).into_owned();
    let place = format!("{} ({}) -> {} {body}", row.id, row.input, answer.status);
    assert_eq!(answer.status.to_string(), row.http, "{place}");
    assert!(answer.header("X-Request-Id").is_some(), "{place}");
    for (_, value) in &answer.headers {
        assert!(!value.contains("canary") && !value.contains("5b000000"), "{place}");
    }
    assert!(!body.contains("canary") && !body.contains("javascript:"), "{place}");
    let is_page = answer.header("Content-Type").is_some_and(|kind| kind.starts_with("text/html"));
    match (row.code, answer.status) {
        ("consent page", _) => assert!(is_page && body.contains("action=\"/consent\""), "{place}"),
        ("local error page", _) => {
            assert!(answer.header("Location").is_none(), "{place}");
            let is_refusal = is_page || body.contains("\"error\"");
            assert!(is_refusal, "{place}");
        }
        ("none", 401) => {
            let challenge = answer.header("WWW-Authenticate").unwrap_or_default();
            assert!(challenge.contains("error=\"invalid_token\""), "{challenge}: {place}");
        }
        ("none", _) => {}
        (error, 302) => {
            let to = Url::parse(answer.header("Location").unwrap_or_default()).expect("an address");
            assert!(to.as_str().starts_with(REDIRECT), "{place}");
            assert_eq!(parameter(&to, "error").as_deref(), Some(error), "{place}");
        }
        (code, 200) if code.starts_with("isError:") => {
            let error = &answer.json()["result"]["structuredContent"]["error"];
            assert_eq!(error["code"], json!(code["isError:".len()..]), "{place}");
        }
        (error, _) if is_page => assert!(body.contains(error), "{place}"),
        (code, _) if code.starts_with('-') => {
            assert_eq!(answer.json()["error"]["code"].to_string(), code, "{place}");
        }
        (error, _) => assert_eq!(answer.json()["error"], json!(error), "{place}"),
    }
}
