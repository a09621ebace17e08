//! What a conversation does not show of a confirmation: the log, what is stored, and requests that no client or browser of good
//! will sends. The conversations are in `tests/transcripts/confirmation`.

use mcp_server_tidbcloud::store::confirmations::TRIES_MAX;
use serde_json::{Value, json};

use crate::{
    support::{
        Answer, Call, Driver,
        bad_inputs::{ACCESS_KEY, tool},
        keys,
        oauth::{Fields, Flow, Page, browser_form, fields, get, tool_with_token, with, without},
    },
    world::{Native, SANDBOX},
};

/// A call with a person behind it, by a client that cannot ask them.
pub fn attended(name: &str, arguments: Value) -> Call {
    tool(name, arguments).without("X-MCP-Unattended")
}

fn delete() -> Call {
    attended("tidbcloud_delete_cluster", json!({"cluster": "shop"}))
}

/// A raise by a client that shows forms, with these members in its parameters.
fn raise(members: Value) -> Call {
    let mut call = attended("tidbcloud_update_cluster", json!({"cluster": "shop", "spendingLimitUsdCents": 500}));
    let mut body: Value = serde_json::from_slice(&call.body).expect("JSON");
    for (name, value) in members.as_object().expect("members") {
        body["params"][name] = value.clone();
    }
    call.body = body.to_string().into_bytes();
    call.with_forms()
}

pub fn result(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    answer.json()["result"]["structuredContent"].clone()
}

/// The code of a failed call.
fn code(answer: &Answer) -> Value {
    result(answer)["error"]["code"].clone()
}

/// The path of the page that a call refers a person to.
pub fn link(answer: &Answer) -> String {
    let hint = result(answer)["error"]["hint"].as_str().unwrap_or_default().to_owned();
    let at = hint.find("/confirm/").unwrap_or_else(|| panic!("no link: {}", String::from_utf8_lossy(&answer.body)));
    hint[at..].split(' ').next().expect("a word").to_owned()
}

/// What the owner of the sandbox's keys types.
fn proof() -> Fields {
    let (public, private) = keys("owner");
    fields(&[("publicKey", public), ("privateKey", &private)])
}

fn submit(server: &mut Native, path: &str, cookie: &str, all: &Fields) -> Answer {
    let origin = server.origin();
    server.send(browser_form(&origin, path, cookie, all))
}

/// The form that shows what is at stake, with everything filled in that agrees.
fn agreement(server: &mut Native, path: &str) -> (Page, Fields) {
    let shown = Page::of(&submit(server, path, "", &proof()));
    let typed = fields(&[("decision", "confirm"), ("name", "shop")]);
    let all = shown.hidden.iter().cloned().chain(typed).collect();
    (shown, all)
}

#[test]
fn the_form_is_worth_nothing_without_its_cookie_its_proof_or_on_another_page() {
    let mut server = Native::new();
    let path = link(&server.send(delete()));
    let (page, all) = agreement(&mut server, &path);
    let other = link(&server.send(attended("tidbcloud_delete_cluster", json!({"cluster": "1379661944646413143"}))));
    let (other_page, _) = agreement(&mut server, &other);
    let named = |page: &Page, value: &str| format!("{}={value}", page.cookie.split('=').next().expect("a name"));
    let planted = named(&page, "planted");
    let moved = named(&other_page, page.value("csrf"));
    let tries = [
        (&path, planted.as_str(), with(all.clone(), "csrf", "planted"), "a proof is of one browser"),
        (&other, moved.as_str(), all.clone(), "a proof is of one page, whatever cookie comes with it"),
        (&path, "", all.clone(), "without the cookie, another site could send it"),
        (&path, other_page.cookie.as_str(), all.clone(), "a cookie is of one page"),
        (&path, page.cookie.as_str(), without(all.clone(), "csrf"), "the form repeats the cookie"),
        (&path, page.cookie.as_str(), without(all.clone(), "proof"), "whoever decides proved who they are"),
        (&other, page.cookie.as_str(), all.clone(), "what was proved on one page decides nothing on another"),
    ];
    for (path, cookie, all, rule) in tries {
        assert_eq!(submit(&mut server, path, cookie, &all).status, 403, "{rule}");
    }
    assert_eq!(code(&server.send(delete())), "CONFIRMATION_REQUIRED", "none of this was a yes");
    let path = link(&server.send(delete()));
    let (page, all) = agreement(&mut server, &path);
    assert_eq!(submit(&mut server, &path, &page.cookie, &all).status, 200);
    assert_eq!(result(&server.send(delete()))["status"], "DELETING");
}

#[test]
fn a_link_to_no_question_shows_nothing() {
    let mut server = Native::new();
    let path = link(&server.send(delete()));
    let parts: Vec<&str> = path.trim_start_matches("/confirm/").split('.').collect();
    let (principal, id, key) = (parts[0], parts[1], parts[2]);
    let elsewhere = "A".repeat(43);
    for made_up in [
        format!("{principal}.{}.{key}", "A".repeat(22)),
        format!("{elsewhere}.{id}.{key}"),
        format!("{principal}.{id}.{elsewhere}"),
        format!("{principal}.{id}"),
        format!("{path}.{key}"),
    ] {
        let answer = submit(&mut server, &format!("/confirm/{made_up}"), "", &proof());
        let html = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(answer.status >= 400 && !html.contains("Delete the cluster"), "{made_up}: {} {html}", answer.status);
    }
}

/// A grant is found by the public half of a key, which is no secret.
#[test]
fn a_grant_is_not_confirmed_by_the_public_half_of_its_key() {
    let mut server = Native::new();
    let token = Flow::new(&mut server).tokens(&mut server, "tidb:destroy").access;
    let path = link(&server.send(tool_with_token(&token, "tidbcloud_delete_cluster", json!({"cluster": "shop"}))));
    let wrong = submit(&mut server, &path, "", &with(proof(), "privateKey", "5b000000-0000-4000-8000-000000000000"));
    let html = String::from_utf8_lossy(&wrong.body).into_owned();
    assert!(wrong.status == 400 && !html.contains("Delete the cluster"), "{html}");
    assert_eq!(submit(&mut server, &path, "", &proof()).status, 200, "with the other half it is");
}

#[test]
fn the_page_is_under_the_limits_of_an_address() {
    let mut server = Native::new();
    server.behind("198.51.100.9");
    let path = link(&server.send(delete()));
    let opened: Vec<u16> = (0..=100).map(|_| server.send(get(&path)).status).collect();
    assert_eq!(opened.last(), Some(&429), "requests of one address are counted here too");

    let mut server = Native::new();
    server.behind("198.51.100.9");
    let mut last = 0;
    // A new page has tries of its own, and what is no key is not shown to TiDB Cloud: no other limit is in the way.
    for _ in 0..=10 {
        let path = link(&server.send(delete()));
        let wrong = fields(&[("publicKey", "NOBODY"), ("privateKey", "")]);
        last = submit(&mut server, &path, "", &wrong).status;
    }
    assert_eq!(last, 429, "keys that are tried are counted as on the consent page");
}

/// A batch of 2025-03-26.
fn batch(calls: &[(&str, Value)]) -> Call {
    let message = |(id, (name, arguments)): (usize, &(&str, Value))| json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": name, "arguments": arguments}});
    let messages: Vec<Value> = calls.iter().enumerate().map(message).collect();
    let mut call = attended("tidbcloud_list_clusters", json!({})).set("MCP-Protocol-Version", "2025-03-26");
    call.headers.retain(|(name, _)| !["Mcp-Method", "Mcp-Name"].contains(&name.as_str()));
    call.body = Value::from(messages).to_string().into_bytes();
    call
}

#[test]
fn one_yes_is_for_one_call_of_a_batch() {
    let mut server = Native::new();
    let paid = json!({"displayName": "paid", "region": "regions/aws-us-east-1", "spendingLimitUsdCents": 100});
    let path = link(&server.send(attended("tidbcloud_create_cluster", paid.clone()).to("/mcp")));
    let (page, all) = agreement(&mut server, &path);
    assert_eq!(submit(&mut server, &path, &page.cookie, &all).status, 200);
    let calls = [("tidbcloud_create_cluster", paid.clone()), ("tidbcloud_create_cluster", paid)];
    let answers = server.send(batch(&calls)).json();
    let said: Vec<_> =
        answers.as_array().expect("answers").iter().map(|answer| &answer["result"]["structuredContent"]).collect();
    let created = said.iter().filter(|said| said["displayName"] == "paid").count();
    let asked = said.iter().filter(|said| said["error"]["code"] == "CONFIRMATION_REQUIRED").count();
    assert_eq!((created, asked), (1, 1), "one of the two runs, the other is asked about: {answers}");
}

/// The deployment's own access key is a caller like another, and proves the same on the page.
#[test]
fn an_owner_confirms_with_the_access_key() {
    let settings = [
        ("TIDB_CLOUD_SANDBOX", SANDBOX),
        ("TIDB_CLOUD_PUBLIC_KEY", "SBXOWNER"),
        ("TIDB_CLOUD_PRIVATE_KEY", &keys("owner").1),
        ("MCP_ACCESS_KEY", ACCESS_KEY),
    ];
    let mut server = Native::with(&settings);
    let delete = || {
        let call = delete().without("X-TiDB-API-Public-Key").without("X-TiDB-API-Private-Key");
        call.set("Authorization", &format!("Bearer {ACCESS_KEY}"))
    };
    let path = link(&server.send(delete()));
    let wrong = submit(&mut server, &path, "", &proof());
    assert_eq!(wrong.status, 400, "keys are nothing here");
    let shown = Page::of(&submit(&mut server, &path, "", &fields(&[("accessKey", ACCESS_KEY)])));
    let typed = fields(&[("decision", "confirm"), ("name", "shop")]);
    let all = shown.hidden.iter().cloned().chain(typed).collect();
    assert_eq!(submit(&mut server, &path, &shown.cookie, &all).status, 200);
    assert_eq!(result(&server.send(delete()))["status"], "DELETING");
    let unattended = delete().set("X-MCP-Unattended", "destroy");
    assert_eq!(code(&server.send(unattended)), "NOT_FOUND", "the access key may go without a person");
}

#[test]
fn the_log_says_who_went_without_a_person_and_what_was_decided() {
    let mut server = Native::new();
    let path = link(&server.send(delete()));
    let (page, all) = agreement(&mut server, &path);
    submit(&mut server, &path, &page.cookie, &all);
    let path = link(&server.send(attended("tidbcloud_delete_cluster", json!({"cluster": "1379661944646413143"}))));
    let (page, all) = agreement(&mut server, &path);
    let no = without(all, "decision").into_iter().chain(fields(&[("decision", "decline")])).collect();
    submit(&mut server, &path, &page.cookie, &no);
    assert_eq!(result(&server.send(delete().set("X-MCP-Unattended", "destroy")))["status"], "DELETING");
    let log = server.world.log.borrow().join("\n");
    for event in ["confirmed", "declined", "unattended"] {
        assert_eq!(log.matches(&format!("\"event\":\"{event}\"")).count(), 1, "{event} once in {log}");
    }
    let unattended = log.lines().find(|line| line.contains("\"event\":\"unattended\"")).expect("its line");
    assert!(unattended.contains("tidbcloud_delete_cluster"), "it names the tool: {unattended}");
    let key = path.rsplit('.').next().expect("a key");
    for secret in [key, page.cookie.as_str(), &keys("owner").1] {
        assert!(!log.contains(secret), "{secret} opens something, and is in the log: {log}");
    }
}

#[test]
fn what_is_stored_says_nothing_about_the_question() {
    let mut server = Native::new();
    let path = link(&server.send(delete()));
    let (page, all) = agreement(&mut server, &path);
    let stored = |server: &Native| format!("{:?}", server.world.objects.borrow());
    let key = path.rsplit('.').next().expect("a key");
    let before = stored(&server);
    assert_eq!(submit(&mut server, &path, &page.cookie, &all).status, 200);
    for kept in [before, stored(&server)] {
        for readable in ["shop", "Delete the cluster", "1379661944646413143", key, keys("owner").0] {
            assert!(!kept.contains(readable), "{readable} can be read in the store: {kept}");
        }
    }
}

#[test]
fn without_storage_nobody_can_agree_and_nothing_happens() {
    let mut server = Native::new();
    let path = link(&server.send(delete()));
    let (page, all) = agreement(&mut server, &path);
    assert_eq!(submit(&mut server, &path, &page.cookie, &all).status, 200);
    let asked = server.send(raise(json!({}))).json()["result"]["requestState"].clone();
    server.world.storage_fails.set(true);
    let yes = raise(json!({"requestState": asked, "inputResponses": {"confirm": {"action": "accept"}}}));
    for call in [delete(), yes.clone(), raise(json!({}))] {
        assert_eq!(code(&server.send(call)), "STORAGE_UNAVAILABLE", "whether somebody agreed is not known");
    }
    server.world.storage_fails.set(false);
    assert_eq!(result(&server.send(yes))["spendingLimitUsdCents"], 500, "nothing was used up");
}

/// A person, a client and a page go on after each failure as they would: they try once more.
#[test]
fn whichever_reply_of_the_storage_is_lost_nothing_happens_twice_or_unasked() {
    let paid = json!({"displayName": "paid", "region": "regions/aws-us-east-1", "spendingLimitUsdCents": 100});
    let call = || attended("tidbcloud_create_cluster", paid.clone());
    for is_done in [false, true] {
        let mut lost = 0;
        loop {
            let mut server = Native::new();
            server.world.loses_reply.set(Some((lost, is_done)));
            let mut agreed = 0;
            let mut ran = 0;
            for _ in 0..4 {
                let answer = server.send(call());
                if answer.status == 503 {
                    continue;
                }
                let result = result(&answer);
                if result["error"] == Value::Null {
                    ran += 1;
                    assert!(ran <= agreed, "without reply {lost}, {ran} calls ran of {agreed} that were agreed to");
                    continue;
                }
                if result["error"]["code"] != "CONFIRMATION_REQUIRED" {
                    continue;
                }
                let path = link(&answer);
                let proved = submit(&mut server, &path, "", &proof());
                if proved.status != 200 {
                    continue;
                }
                let page = Page::of(&proved);
                let typed = fields(&[("decision", "confirm")]);
                let all = page.hidden.iter().cloned().chain(typed).collect();
                agreed += 1;
                submit(&mut server, &path, &page.cookie, &all);
            }
            assert!(ran > 0, "without reply {lost}, nobody can agree any more");
            if server.world.loses_reply.get().is_some() {
                assert!(lost > 4, "a reply of each step was lost: {lost}");
                break;
            }
            lost += 1;
        }
    }
}

#[test]
fn an_answer_in_another_form_is_refused() {
    let mut server = Native::new();
    let asked = server.send(raise(json!({}))).json()["result"]["requestState"].clone();
    let accept = json!({"confirm": {"action": "accept", "content": {}}});
    let wrong = [
        json!({"requestState": asked, "inputResponses": [accept]}),
        json!({"requestState": asked, "inputResponses": "accept"}),
        json!({"requestState": asked, "inputResponses": {"confirm": "accept"}}),
        json!({"requestState": asked, "inputResponses": {"confirm": {"action": "Accept"}}}),
        json!({"requestState": asked, "inputResponses": {"confirm": {"action": true}}}),
        json!({"requestState": asked, "inputResponses": {"confirm": {}}}),
        json!({"requestState": [asked], "inputResponses": accept}),
        json!({"requestState": "", "inputResponses": accept}),
        json!({"requestState": 1, "inputResponses": accept}),
    ];
    for members in wrong {
        let answer = server.send(raise(members.clone()));
        assert_eq!((answer.status, answer.json()["error"]["code"].clone()), (200, json!(-32602)), "{members}");
    }
    for members in [json!({"inputResponses": accept}), json!({"requestState": null, "inputResponses": accept})] {
        let alone = server.send(raise(members)).json();
        assert_eq!(alone["result"]["resultType"], "input_required", "an answer to no question is none: {alone}");
    }
    let answered = server.send(raise(json!({"requestState": asked, "inputResponses": accept})));
    assert_eq!(result(&answered)["spendingLimitUsdCents"], 500, "none of these used it up");
}

/// <https://modelcontextprotocol.io/specification/2026-07-28/client/elicitation#capabilities>
#[test]
fn only_a_client_that_shows_forms_is_asked_by_form() {
    let mut server = Native::new();
    let mut with = |capabilities: Value| {
        let mut call = raise(json!({}));
        let mut body: Value = serde_json::from_slice(&call.body).expect("JSON");
        body["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"] = capabilities;
        call.body = body.to_string().into_bytes();
        let answer = server.send(call);
        answer.json()["result"]["resultType"].as_str().map(str::to_owned)
    };
    for forms in [
        json!({"elicitation": {}}),
        json!({"elicitation": {"form": {}}}),
        json!({"elicitation": {"form": {}, "url": {}}}),
    ] {
        assert_eq!(with(forms.clone()).as_deref(), Some("input_required"), "{forms}");
    }
    for none in [json!({}), json!({"elicitation": {"url": {}}}), json!({"elicitation": null}), json!({"sampling": {}})]
    {
        assert_eq!(with(none.clone()).as_deref(), Some("complete"), "{none}");
    }
}

/// A stranger could fill the store otherwise.
#[test]
fn nothing_is_asked_for_a_key_that_tidb_cloud_does_not_know() {
    let create = json!({"displayName": "paid", "region": "regions/aws-us-east-1", "spendingLimitUsdCents": 100});
    for call in [delete(), attended("tidbcloud_create_cluster", create)] {
        let mut server = Native::new();
        let answer = server.send(call.set("X-TiDB-API-Public-Key", "NOBODY"));
        let body = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(!body.contains("/confirm/"), "there is no link for whoever TiDB Cloud does not know: {body}");
        let objects = server.world.objects.borrow();
        let asked = objects.keys().any(|name| name.starts_with("confirmations:"));
        assert!(!asked, "and no question is stored: {objects:?}");
    }
}

#[test]
fn a_page_counts_tries_and_says_how_many_are_left() {
    let mut server = Native::new();
    let path = link(&server.send(delete()));
    for left in (1..TRIES_MAX).rev() {
        let wrong = submit(&mut server, &path, "", &fields(&[("publicKey", "SBXOWNER"), ("privateKey", "wrong")]));
        let html = String::from_utf8_lossy(&wrong.body).into_owned();
        assert!(wrong.status == 400 && html.contains(&left.to_string()), "{left} are left: {html}");
    }
}
