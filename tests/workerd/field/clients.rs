//! What clients send, byte for byte.

use serde_json::json;

use crate::{
    bad_inputs::Wire,
    support::{
        Answer, Call, Driver,
        bad_inputs::list,
        challenge::Challenge,
        key_headers,
        oauth::{Flow, Page, Tokens, form, get, link, list_clusters, parameter, tool_with_token, with, with_token},
    },
    worker::{Worker, Workerd},
};

fn client(address: &str) -> Workerd {
    Workerd { origin: Worker::shared(), address: address.to_owned() }
}

/// Where a challenge leads, as path and query.
fn metadata_of(answer: &Answer) -> String {
    let header = answer.header("WWW-Authenticate").expect("a challenge");
    let challenge = Challenge::parse(header).unwrap_or_else(|| panic!("not a challenge: {header}"));
    let address = challenge.get("resource_metadata").expect("an address");
    address.strip_prefix(&Worker::shared()).unwrap_or_else(|| panic!("{address} is elsewhere")).to_owned()
}

fn without_keys(mut call: Call) -> Call {
    call.headers.retain(|(name, _)| !name.starts_with("X-TiDB-API") && name != "X-MCP-Unattended");
    call
}

#[test]
fn fld_003_web_clients_call_with_their_own_origin() {
    let mut client = client("198.19.3.1");
    for origin in ["https://chatgpt.com", "https://claude.ai", "https://claude.com", "https://vscode.dev"] {
        let answer = client.send(list().set("Origin", origin));
        assert_eq!((answer.status, answer.header("Access-Control-Allow-Origin")), (200, Some(origin)));
        let answer = client.send(without_keys(list()).set("Origin", origin));
        assert_eq!((answer.status, metadata_of(&answer).as_str()), (401, "/.well-known/oauth-protected-resource/mcp"));
        assert_eq!(client.send(list().set("Origin", &format!("{origin}.evil.example"))).status, 403);
    }
}

/// Sends a request as these bytes.
fn wire(number: usize, call: &Call) -> Answer {
    let mut wire = Wire::open(number);
    wire.head(call, format!("Content-Length: {}", call.body.len()).as_bytes());
    wire.bytes(&call.body);
    wire.answer()
}

/// No client that reads an address first sends every query as it was typed, so these go over a connection. `'` is left out: the
/// development server in front of workerd writes it as `%27`.
#[test]
fn fld_005_a_query_comes_back_as_it_was_written() {
    for (number, target) in [
        "/mcp?",
        "/mcp?readonly=true",
        "/mcp?r%65adonly=%74%72ue&&toolsets=clusters%2Cdatabase,branches",
        "/mcp/?toolsets=clusters,database&cluster=%73hop&",
        "/mcp/?readonly=false&cluster=shop&branch=dev%2D1",
    ]
    .into_iter()
    .enumerate()
    {
        let answer = wire(100 + number, &without_keys(list()).to(target));
        assert_eq!(answer.status, 401, "{target}");
        let metadata = metadata_of(&answer);
        assert_eq!(metadata, format!("/.well-known/oauth-protected-resource{target}"));
        let document = wire(110 + number, &get(&metadata));
        assert_eq!(document.status, 200, "{target}");
        assert_eq!(document.json()["resource"], json!(format!("{}{target}", Worker::shared())));
    }
    for (number, byte) in ["{", "}", "|", "\\", "^", "`", "[", "]", "%", "%0", "%g0"].into_iter().enumerate() {
        let query = format!("readonly=true&cluster=shop{byte}");
        let answer = wire(120 + number, &without_keys(list()).to(&format!("/mcp?{query}")));
        assert_eq!(
            (answer.status, &answer.json()["error"]["data"]["code"]),
            (400, &json!("QUERY_NOT_ALLOWED")),
            "{byte}"
        );
        let metadata = get(&format!("/.well-known/oauth-protected-resource/mcp?{query}"));
        assert_eq!(wire(140 + number, &metadata).status, 400, "{byte}");
    }
}

#[test]
fn fld_005_what_a_resource_narrows_holds_for_its_tokens() {
    let mut client = client("198.19.5.1");
    let flow = Flow::new(&mut client);
    let narrowed = with(flow.request(), "resource", &format!("{}/mcp?readonly=true&cluster=shop", flow.origin));
    let page = Page::of(&flow.open(&mut client, &narrowed));
    let said = "<li>tools that change nothing</li><li>the cluster <code><bdi>shop</bdi></code></li>";
    assert!(page.html.contains(said), "{}", page.html);
    let answer = flow.decide(&mut client, &page, Flow::typed("owner", "tidb:destroy"));
    let code = parameter(&link(&answer), "code").expect("a code");
    let tokens = Tokens::of(&client.send(form("/token", &flow.redemption(&code))));
    let listed = client.send(with_token(list(), &tokens.access)).json();
    let expected = client.send(list().to("/mcp?readonly=true&cluster=shop")).json();
    assert_eq!(listed["result"]["tools"], expected["result"]["tools"]);
    assert_eq!(client.send(list_clusters(&tokens.access)).json()["error"]["code"], -32602);
    let query = tool_with_token(&tokens.access, "db_query", json!({"sql": "SELECT COUNT(*) AS n FROM shop.products"}));
    assert_eq!(client.send(query).json()["result"]["structuredContent"]["rows"], json!([["200"]]));
    assert_eq!(client.send(with_token(list(), &tokens.access).to("/mcp?cluster=other")).status, 403);
}

#[test]
fn fld_019_blank_headers_are_absent() {
    let tokens = {
        let mut client = client("198.19.9.1");
        Flow::new(&mut client).tokens(&mut client, "tidb:read")
    };
    let names =
        ["X-TiDB-API-Public-Key", "X-TiDB-API-Private-Key", "X-TiDB-SQL-User", "X-TiDB-SQL-Secret", "Authorization"];
    for (number, blank) in ["", " ", "\t", " \t "].into_iter().enumerate() {
        let with_blanks = |call: Call| {
            names.iter().fold(call, |call, name| {
                let is_there = call.headers.iter().any(|(field, _)| field.eq_ignore_ascii_case(name));
                if is_there { call } else { call.and(name, blank).and(name, blank) }
            })
        };
        let token = without_keys(list()).and("Authorization", &format!("Bearer {}", tokens.access));
        for (at, (call, status)) in [(list(), 200), (token, 200), (without_keys(list()), 401)].into_iter().enumerate() {
            let answer = wire(160 + 3 * number + at, &with_blanks(call));
            assert_eq!(answer.status, status, "{blank:?}: {}", String::from_utf8_lossy(&answer.body));
        }
    }
}

#[test]
fn fld_021_a_slash_behind_the_path_is_served_without_a_redirect() {
    let mut client = client("198.19.21.1");
    let answer = client.send(list().to("/mcp/"));
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["result"]["tools"], client.send(list()).json()["result"]["tools"]);
    let answer = client.send(without_keys(list()).to("/mcp/"));
    assert_eq!(metadata_of(&answer), "/.well-known/oauth-protected-resource/mcp/");
    let get = Call { method: "GET".to_owned(), headers: key_headers("owner"), ..list().to("/mcp/") };
    assert_eq!(client.send(get).status, 405);
}

#[test]
fn fld_023_clients_find_every_document_with_the_path_behind_it() {
    let mut client = client("198.19.23.1");
    for name in ["oauth-authorization-server", "openid-configuration"] {
        let plain = client.send(get(&format!("/.well-known/{name}"))).json();
        let answer = client.send(get(&format!("/.well-known/{name}/mcp")));
        assert_eq!((answer.status, answer.json()), (200, plain), "{name}");
    }
}
