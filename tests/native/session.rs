//! Clients before 2026-07-28 that declared forms in `initialize`: the question goes out on the stream of the answer, and the client
//! posts what the person said.

use serde_json::{Value, json};

use crate::{
    support::{Answer, Call, Driver, oauth::Flow, oauth::with_token, request},
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

/// The messages of a stream.
fn events(text: &str) -> Vec<Value> {
    let data = |event: &str| event.strip_prefix("event: message\ndata: ").map(str::to_owned);
    let messages = text.split("\n\n").filter_map(data);
    messages.map(|text| serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))).collect()
}

fn streamed(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.header("Content-Type"), Some("text/event-stream"), "{}", String::from_utf8_lossy(&answer.body));
    events(&String::from_utf8_lossy(&answer.body))
}

/// The error code of the result that ends a stream, or an answer without one.
fn code(answer: &Answer) -> Value {
    let is_stream = answer.header("Content-Type") == Some("text/event-stream");
    let last = if is_stream { streamed(answer).pop().expect("an event") } else { answer.json() };
    last["result"]["structuredContent"]["error"]["code"].clone()
}

fn is_there(server: &mut Native) -> bool {
    let shop =
        server.send(attended("tools/call", json!({"name": "tidbcloud_get_cluster", "arguments": {"cluster": "shop"}})));
    shop.json()["result"]["structuredContent"]["state"] == "ACTIVE"
}

#[test]
fn the_question_is_asked_on_the_stream_and_the_call_goes_on_once_it_is_answered() {
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
        let message = question["params"]["message"].as_str().expect("a message");
        assert!(message.contains("Delete the cluster shop") && message.contains("1379661944646413143"), "{message}");
        assert_eq!(question["params"]["requestedSchema"]["required"], json!(["name"]), "what destroys is typed");
        let all = streamed(&answer);
        assert_eq!(all.len(), 2, "the question and the result: {all:?}");
        assert_eq!(all[1]["result"]["structuredContent"]["status"], "DELETING", "{}", all[1]);
        assert_eq!(answer.header("Cache-Control"), Some("no-store, no-transform"));
        assert!(answer.header("X-Request-Id").is_some() && answer.header("RateLimit").is_some(), "as every answer has");
    }
}

#[test]
fn what_is_not_agreed_to_leads_to_the_page_and_changes_nothing() {
    let says = [
        (json!({"action": "decline"}), "CONFIRMATION_DECLINED"),
        (json!({"action": "cancel"}), "CONFIRMATION_DECLINED"),
        (json!({"action": "accept", "content": {"name": "shpo"}}), "CONFIRMATION_REQUIRED"),
        (json!({"action": "accept"}), "CONFIRMATION_REQUIRED"),
        (json!({"anything": "else"}), "CONFIRMATION_DECLINED"),
    ];
    for (said, expected) in says {
        let mut server = Native::new();
        let session = session(&mut server, "2025-11-25", json!({"elicitation": {"form": {}}}));
        let answer = server
            .converse(delete(&session), &mut |so_far| Some(posted(&events(so_far)[0]["id"], said.clone(), &session)));
        assert_eq!(code(&answer), expected, "{said}");
        let hint = streamed(&answer)[1]["result"]["structuredContent"]["error"]["hint"].to_string();
        assert!(hint.contains("/confirm/"), "some clients decline without showing anything: {hint}");
        assert!(is_there(&mut server), "{said}");
    }
    // Nobody answers for two minutes: the client hears that the server lives, and then that nothing happened.
    let mut server = Native::new();
    let session = session(&mut server, "2025-11-25", json!({"elicitation": {}}));
    let answer = server.send(delete(&session));
    assert_eq!(code(&answer), "CONFIRMATION_REQUIRED");
    let signs = String::from_utf8_lossy(&answer.body).matches(": waiting").count();
    assert_eq!(signs, 6, "one each 20 of 120 seconds");
    assert!(is_there(&mut server));
}

#[test]
fn only_the_same_credential_in_the_same_session_answers_and_once() {
    let mut server = Native::new();
    let ours = session(&mut server, "2025-11-25", json!({"elicitation": {}}));
    let other = session(&mut server, "2025-11-25", json!({"elicitation": {}}));
    let token = Flow::new(&mut server).tokens(&mut server, "tidb:destroy").access;
    let theirs = server.send(with_token(initialize("2025-11-25", json!({"elicitation": {}})), &token));
    let theirs = theirs.header("Mcp-Session-Id").expect("a session id").to_owned();
    let mut said = 0;
    let answer = server.converse(delete(&ours), &mut |so_far| {
        let id = &events(so_far)[0]["id"];
        said += 1;
        Some(match said {
            1 => posted(id, accept("shop"), &other),
            2 => posted(id, accept("shop"), "").without("Mcp-Session-Id"),
            3 => with_token(posted(id, accept("shop"), &theirs), &token),
            4 => with_token(posted(id, accept("shop"), &ours), &token),
            5 => posted(&json!("another"), accept("shop"), &ours),
            6 => posted(id, json!({"action": "decline"}), &ours),
            _ => panic!("the sixth answer counts"),
        })
    });
    assert_eq!((said, code(&answer)), (6, json!("CONFIRMATION_DECLINED")));
    assert!(is_there(&mut server));
    // What comes after the first answer is too late.
    let answer = server.converse(delete(&ours), &mut |so_far| {
        Some(posted(&events(so_far)[0]["id"], json!({"action": "decline"}), &ours))
    });
    let id = streamed(&answer)[0]["id"].clone();
    assert_eq!(server.send(posted(&id, accept("shop"), &ours)).status, 202, "it is accepted, and answers nothing");
    assert!(is_there(&mut server));
}

#[test]
fn who_cannot_be_asked_gets_the_page() {
    let mut server = Native::new();
    let with_forms = session(&mut server, "2025-11-25", json!({"elicitation": {}}));
    let without = session(&mut server, "2025-11-25", json!({}));
    let links_only = session(&mut server, "2025-11-25", json!({"elicitation": {"url": {}}}));
    let before_forms = session(&mut server, "2025-03-26", json!({"elicitation": {}}));
    let token = Flow::new(&mut server).tokens(&mut server, "tidb:destroy").access;
    let arguments = json!({"name": "tidbcloud_delete_cluster", "arguments": {"cluster": "shop"}});
    let many = json!({"cluster": "shop", "sql": vec!["DELETE FROM shop.event_log WHERE id <> 1"; 20]});
    let many = call("db_execute", many, &with_forms);
    let modern = request("2026-07-28", "owner", "tools/call", arguments).without("X-MCP-Unattended");
    let calls = [
        ("no session", delete("").without("Mcp-Session-Id")),
        ("one that is not ours", delete("canary-session")),
        ("somebody else's", with_token(delete(&with_forms), &token)),
        ("no forms", delete(&without)),
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
fn what_changes_while_a_person_reads_was_not_agreed_to() {
    let mut server = Native::new();
    let session = session(&mut server, "2025-11-25", json!({"elicitation": {}}));
    let branch = request(
        "2025-11-25",
        "owner",
        "tools/call",
        json!({
            "name": "tidbcloud_create_branch", "arguments": {"cluster": "shop", "displayName": "late"},
        }),
    );
    let mut said = 0;
    let answer = server.converse(delete(&session), &mut |so_far| {
        said += 1;
        Some(if said == 1 { branch.clone() } else { posted(&events(so_far)[0]["id"], accept("shop"), &session) })
    });
    assert_eq!(code(&answer), "CONFIRMATION_INVALID");
    assert!(is_there(&mut server));
}

#[test]
fn three_calls_of_one_principal_wait_and_the_fourth_gets_the_page() {
    let mut server = Native::new();
    let session = session(&mut server, "2025-11-25", json!({"elicitation": {}}));
    let limit = |cents: u32| {
        call("tidbcloud_update_cluster", json!({"cluster": "shop", "spendingLimitUsdCents": cents}), &session)
    };
    let server = &server;
    // Each of the others begins while the one before it waits.
    let mut kinds = Vec::new();
    fn next(server: &Native, limit: &dyn Fn(u32) -> Call, depth: u32, kinds: &mut Vec<String>) {
        let mut begun = false;
        let answer = server.converse(limit(100 * depth), &mut |_| {
            if !std::mem::replace(&mut begun, true) {
                next(server, limit, depth + 1, kinds);
            }
            None
        });
        kinds.push(answer.header("Content-Type").expect("a type").to_owned());
    }
    next(server, &limit, 1, &mut kinds);
    assert_eq!(kinds, ["application/json", "text/event-stream", "text/event-stream", "text/event-stream"]);
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
