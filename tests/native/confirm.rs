//! A person confirms what a call would destroy or cost, on a page that asks who they are.

use serde_json::{Value, json};

use crate::{
    support::{
        Answer, Call, Driver,
        bad_inputs::tool,
        keys,
        oauth::{Fields, Flow, Page, browser_form, fields, get, tool_with_token},
    },
    world::Native,
};

/// A call by keys of somebody who does not go without a person.
pub fn attended(name: &str, arguments: Value) -> Call {
    tool(name, arguments).without("X-MCP-Unattended")
}

pub fn result(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    answer.json()["result"]["structuredContent"].clone()
}

/// The path of the page that a call refers a person to.
pub fn link(answer: &Answer, origin: &str) -> String {
    let error = result(answer)["error"].clone();
    assert_eq!(error["code"], "CONFIRMATION_REQUIRED", "{error}");
    let hint = error["hint"].as_str().expect("a hint");
    let at = hint.find("/confirm/").unwrap_or_else(|| panic!("no link: {hint}"));
    assert!(hint.contains(&format!("{origin}/confirm/")), "the link leads to this server: {hint}");
    hint[at..].trim_end_matches('.').to_owned()
}

/// What a person who holds these keys types.
fn proof(who: &str) -> Fields {
    let (public, private) = keys(who);
    fields(&[("publicKey", public), ("privateKey", &private)])
}

/// A person in front of a page: proves, and reads what is shown.
pub fn prove(server: &mut Native, path: &str, who: &str) -> (u16, Page) {
    let origin = server.origin();
    let answer = server.send(browser_form(&origin, path, "", &proof(who)));
    (answer.status, Page::of(&answer))
}

pub fn decide(server: &mut Native, path: &str, page: &Page, typed: &[(&str, &str)]) -> Answer {
    let origin = server.origin();
    let all = page.hidden.iter().cloned().chain(fields(typed)).collect();
    server.send(browser_form(&origin, path, &page.cookie, &all))
}

#[test]
fn a_cluster_is_deleted_once_a_person_typed_its_name() {
    let mut server = Native::new();
    let origin = server.origin();
    let delete = || attended("tidbcloud_delete_cluster", json!({"cluster": "shop"}));
    let path = link(&server.send(delete()), &origin);

    // The page shows nothing before it knows who reads it, and opening it changes nothing.
    let before = server.send(get(&path));
    let html = String::from_utf8_lossy(&before.body).into_owned();
    assert!(before.status == 200 && !html.contains("shop"), "{html}");
    let (status, page) = prove(&mut server, &path, "other");
    assert!(status == 400 && !page.html.contains("Delete the cluster"), "a link confirms nothing for a stranger");

    let (status, page) = prove(&mut server, &path, "owner");
    assert_eq!(status, 200, "{}", page.html);
    for shown in ["Delete the cluster shop", "1379661944646413143", "regions/aws-us-east-1", "ACTIVE"] {
        assert!(page.html.contains(shown), "the page says {shown}: {}", page.html);
    }
    let wrong = decide(&mut server, &path, &page, &[("decision", "confirm"), ("name", "shpo")]);
    assert_eq!(wrong.status, 400, "the name is typed exactly");
    let (_, page) = prove(&mut server, &path, "owner");
    let agreed = decide(&mut server, &path, &page, &[("decision", "confirm"), ("name", "shop")]);
    assert_eq!(agreed.status, 200, "{}", String::from_utf8_lossy(&agreed.body));
    let again = decide(&mut server, &path, &page, &[("decision", "confirm"), ("name", "shop")]);
    assert_eq!(again.status, 404, "a question is answered once");

    // Another call is not the one that was confirmed, nor is the same call by another principal.
    let branch = attended("tidbcloud_delete_cluster", json!({"cluster": "1379661944646413143"}));
    link(&server.send(branch), &origin);
    let token = Flow::new(&mut server).tokens(&mut server, "tidb:destroy").access;
    let by_token = tool_with_token(&token, "tidbcloud_delete_cluster", json!({"cluster": "shop"}));
    link(&server.send(by_token), &origin);

    assert_eq!(result(&server.send(delete()))["status"], "DELETING");
}

#[test]
fn what_was_declined_or_has_changed_is_asked_again() {
    let mut server = Native::new();
    let origin = server.origin();
    let delete = || attended("tidbcloud_delete_cluster", json!({"cluster": "shop"}));
    let path = link(&server.send(delete()), &origin);
    let (_, page) = prove(&mut server, &path, "owner");
    assert_eq!(decide(&mut server, &path, &page, &[("decision", "decline")]).status, 200);
    let path = link(&server.send(delete()), &origin);
    let (_, page) = prove(&mut server, &path, "owner");
    assert_eq!(decide(&mut server, &path, &page, &[("decision", "confirm"), ("name", "shop")]).status, 200);
    // A branch more is another deletion.
    let branch = tool("tidbcloud_create_branch", json!({"cluster": "shop", "displayName": "late"}));
    assert_eq!(result(&server.send(branch))["displayName"], "late");
    let path = link(&server.send(delete()), &origin);
    let (_, page) = prove(&mut server, &path, "owner");
    assert!(page.html.contains("late"), "{}", page.html);
    assert_eq!(decide(&mut server, &path, &page, &[("decision", "confirm"), ("name", "shop")]).status, 200);
    server.advance(301);
    link(&server.send(delete()), &origin);
}

#[test]
fn a_grant_is_asked_by_the_keys_that_it_holds() {
    let mut server = Native::new();
    let origin = server.origin();
    let token = Flow::new(&mut server).tokens(&mut server, "tidb:destroy").access;
    let sql = json!({"cluster": "shop", "sql": ["UPDATE shop.orders SET status = 'paid' WHERE id = 1", "DROP TABLE shop.event_log"]});
    let drop = || tool_with_token(&token, "db_execute", sql.clone());
    let path = link(&server.send(drop()), &origin);
    let (status, page) = prove(&mut server, &path, "owner");
    assert_eq!(status, 200, "{}", page.html);
    let place = |text: &str| page.html.find(text).unwrap_or_else(|| panic!("the page shows {text}: {}", page.html));
    assert!(place("DROP TABLE") < place("UPDATE shop.orders"), "what destroys stands first");
    assert_eq!(decide(&mut server, &path, &page, &[("decision", "confirm"), ("name", "shop")]).status, 200);
    let done = result(&server.send(drop()));
    assert_eq!(done["statementCount"], 2, "{done}");
}

#[test]
fn a_higher_limit_is_confirmed_and_a_lower_one_is_not() {
    let mut server = Native::new();
    let origin = server.origin();
    let limit =
        |cents: u32| attended("tidbcloud_update_cluster", json!({"cluster": "shop", "spendingLimitUsdCents": cents}));
    let path = link(&server.send(limit(500)), &origin);
    let (_, page) = prove(&mut server, &path, "owner");
    assert!(page.html.contains("Raise the spending limit") && page.html.contains("500"), "{}", page.html);
    assert_eq!(decide(&mut server, &path, &page, &[("decision", "confirm")]).status, 200);
    assert_eq!(result(&server.send(limit(500)))["spendingLimitUsdCents"], 500);
    assert_eq!(result(&server.send(limit(100)))["spendingLimitUsdCents"], 100, "less is asked of nobody");
}

#[test]
fn who_goes_without_a_person_says_so_beside_keys_and_in_one_word() {
    let mut server = Native::new();
    let delete = |value: &str| {
        attended("tidbcloud_delete_branch", json!({"cluster": "shop", "branch": "no-such"}))
            .set("X-MCP-Unattended", value)
    };
    for value in ["yes", "Destroy", "destroy, destroy", "true"] {
        let refused = server.send(delete(value));
        assert_eq!((refused.status, refused.json()["error"]["code"].clone()), (400, json!(-32600)), "{value}");
    }
    assert_eq!(result(&server.send(delete("destroy")))["error"]["code"], "NOT_FOUND");
    let token = Flow::new(&mut server).tokens(&mut server, "tidb:destroy").access;
    let beside = tool_with_token(&token, "tidbcloud_list_clusters", json!({})).set("X-MCP-Unattended", "destroy");
    assert_eq!(server.send(beside).status, 400, "a token is for clients with a person behind them");
}

/// A call of a client that shows forms, with its answer to the question before.
pub fn eliciting(call: Call, answer: Option<(&Value, Value)>) -> Call {
    let mut body: Value = serde_json::from_slice(&call.body).expect("JSON");
    body["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({"elicitation": {}});
    if let Some((question, response)) = answer {
        body["params"]["requestState"] = question["requestState"].clone();
        body["params"]["inputResponses"] = json!({"confirm": response});
    }
    Call { body: body.to_string().into_bytes(), ..call }
}

fn accept(name: &str) -> Value {
    json!({"action": "accept", "content": {"name": name}})
}

/// The question that a call is answered with.
fn question(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    let result = answer.json()["result"].clone();
    assert_eq!(result["resultType"], "input_required", "{result}");
    assert_eq!(result["inputRequests"]["confirm"]["method"], "elicitation/create", "{result}");
    result
}

#[test]
fn a_client_that_shows_forms_asks_the_person_itself() {
    let mut server = Native::new();
    let delete = || attended("tidbcloud_delete_cluster", json!({"cluster": "shop"}));
    let asked = question(&server.send(eliciting(delete(), None)));
    let params = &asked["inputRequests"]["confirm"]["params"];
    let message = params["message"].as_str().expect("a message");
    assert!(message.contains("Delete the cluster shop") && message.contains("1379661944646413143"), "{message}");
    assert_eq!(params["requestedSchema"]["required"], json!(["name"]), "what destroys is typed");

    // Nothing, or the wrong name, is asked again.
    let unsure = server.send(eliciting(delete(), Some((&asked, json!({"action": "accept", "content": {}})))));
    let asked = question(&unsure);
    let asked = question(&server.send(eliciting(delete(), Some((&asked, accept("shpo"))))));

    // What was altered, or was given to another, is refused by the protocol.
    let token = Flow::new(&mut server).tokens(&mut server, "tidb:destroy").access;
    let by_token = tool_with_token(&token, "tidbcloud_delete_cluster", json!({"cluster": "shop"}));
    let mut tampered = asked.clone();
    tampered["requestState"] = json!(format!("{}-TAMPERED", asked["requestState"].as_str().expect("a state")));
    for (call, state) in [(by_token, &asked), (delete(), &tampered)] {
        let refused = server.send(eliciting(call, Some((state, accept("shop")))));
        assert_eq!(
            (refused.status, refused.json()["error"]["code"].clone()),
            (200, json!(-32602)),
            "{}",
            refused.json()
        );
    }
    let deleted = server.send(eliciting(delete(), Some((&asked, accept("shop")))));
    assert_eq!(result(&deleted)["status"], "DELETING");
}

#[test]
fn an_answer_counts_once_in_time_and_for_what_was_shown() {
    let mut server = Native::new();
    let limit = || attended("tidbcloud_update_cluster", json!({"cluster": "shop", "spendingLimitUsdCents": 500}));
    let code = |answer: &Answer| result(answer)["error"]["code"].clone();
    let yes = json!({"action": "accept", "content": {}});
    let asked = question(&server.send(eliciting(limit(), None)));
    assert_eq!(result(&server.send(eliciting(limit(), Some((&asked, yes.clone())))))["spendingLimitUsdCents"], 500);
    let lower = tool("tidbcloud_update_cluster", json!({"cluster": "shop", "spendingLimitUsdCents": 1}));
    assert_eq!(result(&server.send(lower))["spendingLimitUsdCents"], 1);
    assert_eq!(
        code(&server.send(eliciting(limit(), Some((&asked, yes.clone()))))),
        "CONFIRMATION_INVALID",
        "used before"
    );

    let asked = question(&server.send(eliciting(limit(), None)));
    let raised = tool("tidbcloud_update_cluster", json!({"cluster": "shop", "spendingLimitUsdCents": 100}));
    assert_eq!(result(&server.send(raised))["spendingLimitUsdCents"], 100);
    let changed = server.send(eliciting(limit(), Some((&asked, yes.clone()))));
    assert_eq!(code(&changed), "CONFIRMATION_INVALID", "it was another limit when the person was asked");

    let asked = question(&server.send(eliciting(limit(), None)));
    let declined = server.send(eliciting(limit(), Some((&asked, json!({"action": "decline"})))));
    assert_eq!(code(&declined), "CONFIRMATION_DECLINED");
    assert!(
        result(&declined)["error"]["hint"].as_str().is_some_and(|hint| hint.contains("/confirm/")),
        "and the page is left"
    );

    let asked = question(&server.send(eliciting(limit(), None)));
    server.advance(301);
    let late = server.send(eliciting(limit(), Some((&asked, yes)))).json();
    assert_eq!(late["error"]["code"], -32602, "five minutes are over: {late}");
}
