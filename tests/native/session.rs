//! Clients before 2026-07-28 that declared forms in `initialize`: the question goes out on the stream of the answer, and the client
//! posts what the person said. `tests/transcripts/confirmation` has what people see of it; here is what no transcript can send.

use serde_json::{Value, json};

use crate::{
    support::{Answer, Call, Driver, events, oauth::Flow, oauth::with_token, request},
    world::Native,
};

/// A request of a revision by somebody who does not go without a person.
fn attended(method: &str, params: Value) -> Call {
    let accept = "application/json, text/event-stream";
    request("2025-11-25", "owner", method, params).without("X-MCP-Unattended").set("Accept", accept)
}

pub fn initialize(revision: &str, capabilities: Value) -> Call {
    let client = json!({"name": "a client", "version": "1"});
    attended("initialize", json!({"protocolVersion": revision, "capabilities": capabilities, "clientInfo": client}))
}

/// The id that `initialize` gave to a client with these capabilities.
fn session(server: &mut Native, revision: &str, capabilities: Value) -> String {
    let answer = server.send(initialize(revision, capabilities));
    answer.header("Mcp-Session-Id").expect("a session id").to_owned()
}

fn call(tool: &str, arguments: Value, session: &str) -> Call {
    attended("tools/call", json!({"name": tool, "arguments": arguments})).set("Mcp-Session-Id", session)
}

pub fn delete(session: &str) -> Call {
    call("tidbcloud_delete_cluster", json!({"cluster": "shop"}), session)
}

/// What a client posts as the response to a request of the server.
fn posted(id: &Value, result: Value, session: &str) -> Call {
    let body = json!({"jsonrpc": "2.0", "id": id, "result": result});
    Call { body: body.to_string().into_bytes(), ..attended("ping", json!({})).set("Mcp-Session-Id", session) }
}

fn accept(name: &str) -> Value {
    json!({"action": "accept", "content": {"name": name}})
}

fn streamed(answer: &Answer) -> Vec<Value> {
    answer.events().unwrap_or_else(|| panic!("no stream: {}", String::from_utf8_lossy(&answer.body)))
}

/// The error code of the result that ends a stream, or an answer without one.
fn code(answer: &Answer) -> Value {
    let last = answer.events().map_or_else(|| answer.json(), |mut all| all.pop().expect("an event"));
    last["result"]["structuredContent"]["error"]["code"].clone()
}

fn is_there(server: &mut Native) -> bool {
    let shop =
        server.send(attended("tools/call", json!({"name": "tidbcloud_get_cluster", "arguments": {"cluster": "shop"}})));
    shop.json()["result"]["structuredContent"]["state"] == "ACTIVE"
}

#[test]
fn a_stream_has_the_question_the_result_and_the_header_fields_of_every_answer() {
    for revision in ["2025-06-18", "2025-11-25"] {
        let mut server = Native::new();
        let session = session(&mut server, revision, json!({"elicitation": {}}));
        let mut seen = Vec::new();
        let answer = server.converse(delete(&session), &mut |so_far| {
            seen = events(so_far);
            Some(posted(&seen[0]["id"], accept("shop"), &session))
        });
        let question = &seen[0];
        assert_eq!(question["method"], "elicitation/create", "{question}");
        assert_eq!(question["params"].get("mode"), None, "2025-06-18 knows no modes: {question}");
        let all = streamed(&answer);
        assert_eq!(all.len(), 2, "the question and the result: {all:?}");
        assert_eq!(all[1]["result"]["structuredContent"]["status"], "DELETING", "{}", all[1]);
        assert_eq!(answer.header("Cache-Control"), Some("no-store, no-transform"));
        assert!(answer.header("X-Request-Id").is_some() && answer.header("RateLimit").is_some(), "as every answer has");
    }
}

#[test]
fn a_response_without_an_action_is_no_agreement() {
    let mut server = Native::new();
    let session = session(&mut server, "2025-11-25", json!({"elicitation": {"form": {}}}));
    let answer = server.converse(delete(&session), &mut |so_far| {
        Some(posted(&events(so_far)[0]["id"], json!({"anything": "else"}), &session))
    });
    assert_eq!(code(&answer), "CONFIRMATION_DECLINED");
    assert!(is_there(&mut server));
}

#[test]
fn a_client_hears_every_20_seconds_that_its_call_still_waits() {
    let mut server = Native::new();
    let session = session(&mut server, "2025-11-25", json!({"elicitation": {}}));
    let answer = server.send(delete(&session));
    assert_eq!(code(&answer), "CONFIRMATION_REQUIRED");
    let signs = String::from_utf8_lossy(&answer.body).matches(": waiting").count();
    assert_eq!(signs, 6, "one each 20 of 120 seconds");
}

/// The sessions of transcripts are their caller's own.
#[test]
fn an_answer_in_no_session_or_in_a_stolen_one_is_dropped() {
    let mut server = Native::new();
    let ours = session(&mut server, "2025-11-25", json!({"elicitation": {}}));
    let token = Flow::new(&mut server).tokens(&mut server, "tidb:destroy").access;
    let mut said = 0;
    let answer = server.converse(delete(&ours), &mut |so_far| {
        let id = &events(so_far)[0]["id"];
        said += 1;
        Some(match said {
            1 => posted(id, accept("shop"), "").without("Mcp-Session-Id"),
            2 => with_token(posted(id, accept("shop"), &ours), &token),
            3 => posted(id, json!({"action": "decline"}), &ours),
            _ => panic!("the third answer counts"),
        })
    });
    assert_eq!((said, code(&answer)), (3, json!("CONFIRMATION_DECLINED")));
    assert!(is_there(&mut server));
}

#[test]
fn a_call_goes_on_if_another_is_cancelled() {
    // The call has the id 1, which is not the text.
    for (id, is_other_session) in [(json!("1"), false), (json!(2), false), (json!(1), true)] {
        let mut server = Native::new();
        let ours = session(&mut server, "2025-11-25", json!({"elicitation": {}}));
        let other = session(&mut server, "2025-11-25", json!({"elicitation": {}}));
        let body = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}});
        let cancelled =
            attended("ping", json!({})).set("Mcp-Session-Id", if is_other_session { &other } else { &ours });
        let cancelled = Call { body: body.to_string().into_bytes(), ..cancelled };
        let mut said = 0;
        let answer = server.converse(delete(&ours), &mut |so_far| {
            said += 1;
            Some(if said == 1 { cancelled.clone() } else { posted(&events(so_far)[0]["id"], accept("shop"), &ours) })
        });
        let status = streamed(&answer)[1]["result"]["structuredContent"]["status"].clone();
        assert_eq!(status, "DELETING", "the request {id} was cancelled, of another session: {is_other_session}");
    }
}

#[test]
fn who_cannot_be_asked_gets_the_page() {
    let mut server = Native::new();
    let with_forms = session(&mut server, "2025-11-25", json!({"elicitation": {}}));
    let links_only = session(&mut server, "2025-11-25", json!({"elicitation": {"url": {}}}));
    let before_forms = session(&mut server, "2025-03-26", json!({"elicitation": {}}));
    let token = Flow::new(&mut server).tokens(&mut server, "tidb:destroy").access;
    let arguments = json!({"name": "tidbcloud_delete_cluster", "arguments": {"cluster": "shop"}});
    let many = json!({"cluster": "shop", "sql": vec!["DELETE FROM shop.orders WHERE id <> 1"; 20]});
    let many = call("db_execute", many, &with_forms);
    let modern = request("2026-07-28", "owner", "tools/call", arguments).without("X-MCP-Unattended");
    let calls = [
        ("no session", delete("").without("Mcp-Session-Id")),
        ("one that is not ours", delete("canary-session")),
        ("somebody else's", with_token(delete(&with_forms), &token)),
        ("links only", delete(&links_only)),
        ("a revision without forms", delete(&before_forms)),
        ("no stream", delete(&with_forms).set("Accept", "application/json")),
        ("a call that could not be made again within the request", many),
        ("a revision that has no sessions", modern.set("Mcp-Session-Id", &with_forms).set("Accept", "*/*")),
    ];
    for (who, call) in calls {
        let answer = server.send(call);
        assert_eq!(answer.header("Content-Type"), Some("application/json"), "{who}");
        assert_eq!((answer.status, code(&answer)), (200, json!("CONFIRMATION_REQUIRED")), "{who}: never 404");
    }
    server.advance(24 * 3_600);
    assert_eq!(server.send(delete(&with_forms)).header("Content-Type"), Some("application/json"), "a day is over");
    assert!(is_there(&mut server));
}

#[test]
fn a_session_is_ended_without_a_word() {
    let mut server = Native::new();
    let session = session(&mut server, "2025-11-25", json!({}));
    let end = |session: &str| {
        Call { method: "DELETE".to_owned(), ..Call::default() }.to("/mcp").set("Mcp-Session-Id", session)
    };
    let ended = server.send(end(&session));
    assert_eq!((ended.status, ended.body.len()), (204, 0));
    let without = server.send(end(&session).without("Mcp-Session-Id"));
    assert_eq!((without.status, without.header("Allow")), (405, Some("POST, DELETE, OPTIONS")));
    let refused = server.send(initialize("2025-11-25", json!({})).without("X-TiDB-API-Private-Key"));
    assert_eq!(refused.header("Mcp-Session-Id"), None, "a session is of somebody");
}

/// What a client posts waits in storage until the call has it.
#[test]
fn what_was_typed_says_nothing_to_the_storage_and_takes_no_space() {
    let mut server = Native::new();
    let session = session(&mut server, "2025-11-25", json!({"elicitation": {}}));
    let server = &server;
    for typed in ["shop ".repeat(9_000), "shop".to_owned()] {
        let answer = server.converse(delete(&session), &mut |so_far| {
            server.converse(posted(&events(so_far)[0]["id"], accept(&typed), &session), &mut |_| None);
            let stored = server.world.objects.borrow();
            let kept = stored.iter().find(|(name, _)| name.starts_with("confirmations:")).expect("the call waits").1;
            assert!(kept.contains("Yes") && !kept.contains("shop"), "the cluster's name can be read: {kept:.200}");
            assert!(kept.len() < 2_000, "a client decides how much is stored: {} bytes", kept.len());
            None
        });
        let expected = if typed == "shop" { json!(null) } else { json!("CONFIRMATION_REQUIRED") };
        assert_eq!(code(&answer), expected, "{typed:.20}");
    }
}
