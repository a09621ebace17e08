//! What an address fixed stays fixed, who must be asked for money, and whose list it is.

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Map, Value, json};

use crate::{
    support::{
        Answer, Driver,
        bad_inputs::{arguments, list, tool},
        catalogue, keys,
        oauth::{Flow, Tokens, fields, form, tool_with_token, with_token},
        request,
    },
    world::Native,
};

const SHOP: &str = "1379661944646413143";

/// Both organizations of the sandbox, connected by one person on one page, with a grant alias `prod` for the shop.
fn connect(server: &mut Native, scope: &str) -> String {
    let set = |who: &str, name: &str| {
        let (public, private) = keys(who);
        fields(&[("publicKey", public), ("privateKey", &private), ("name", name)])
    };
    let aliases = format!("prod = {SHOP}");
    let typed = [set("owner", "shops"), set("other", "labs"), fields(&[("scope", scope), ("aliases", &aliases)])];
    let flow = Flow::new(server);
    let code = flow.code(server, typed.concat());
    Tokens::of(&server.send(form("/token", &flow.redemption(&code)))).access
}

/// A tool called at an address, two seconds after the call before: TiDB Cloud takes 100 requests a minute.
fn call(server: &mut Native, token: &str, query: &str, tool: &str, arguments: &Value) -> Answer {
    server.advance(2);
    let target = if query.is_empty() { catalogue::home(tool).to_owned() } else { format!("/mcp{query}") };
    server.send(tool_with_token(token, tool, arguments.clone()).to(&target))
}

fn result(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    answer.json()["result"]["structuredContent"].clone()
}

/// The code of the error that a call ended in; empty if it succeeded.
fn code(answer: &Answer) -> String {
    result(answer)["error"]["code"].as_str().unwrap_or_default().to_owned()
}

/// A cluster of this name and alias label; its id.
fn create(server: &mut Native, token: &str, organization: &str, name: &str, alias: Option<&str>) -> String {
    let mut arguments = json!({"displayName": name, "region": "regions/aws-us-east-1", "organization": organization});
    if let Some(alias) = alias {
        arguments["labels"] = json!({"mcp-alias": alias});
    }
    let made = result(&call(server, token, "", "tidbcloud_create_cluster", &arguments));
    made["clusterId"].as_str().unwrap_or_else(|| panic!("{made}")).to_owned()
}

fn listed(server: &mut Native, token: &str, query: &str) -> Value {
    server.advance(1);
    let answer = server.send(with_token(list(), token).to(&format!("/mcp{query}")));
    assert_eq!(answer.status, 200, "{query}: {}", String::from_utf8_lossy(&answer.body));
    answer.json()["result"].clone()
}

#[test]
fn sec_003_an_organization_beside_a_fixed_cluster_is_refused() {
    let mut server = Native::new();
    let owner = connect(&mut server, "tidb:destroy");
    let mine = create(&mut server, &owner, "shops", "twin-db", None);
    let twin = create(&mut server, &owner, "labs", "twin-db", None);
    let token = connect(&mut server, "tidb:read");
    let at = |id: &str| format!("?cluster={id}");
    for query in ["?cluster=twin-db".to_owned(), at(&mine), at(&twin)] {
        for tool in listed(&mut server, &token, &query)["tools"].as_array().expect("tools") {
            let asks = tool["inputSchema"]["properties"].get("organization").is_some();
            assert!(!asks, "{query} fixes a cluster, so no tool asks for an organization; this one does: {tool}");
        }
        for organization in ["labs", "shops", "nobody"] {
            let arguments = json!({"organization": organization});
            server.world.sent.take();
            let answer = call(&mut server, &token, &query, "tidbcloud_get_cluster", &arguments);
            assert_eq!(code(&answer), "INVALID_ARGUMENT", "{query} {arguments}");
            // No person is asked to allow more for it.
            let answer = call(&mut server, &token, &query, "tidbcloud_delete_cluster", &arguments);
            assert_eq!(code(&answer), "INVALID_ARGUMENT", "{query} {arguments}");
            assert_eq!(server.world.sent.take(), [], "{query} {arguments}");
        }
    }
    for arguments in [json!({}), json!({"organization": null})] {
        let answer = call(&mut server, &token, "?cluster=twin-db", "tidbcloud_get_cluster", &arguments);
        assert_eq!(code(&answer), "AMBIGUOUS_NAME", "{arguments}");
        let hint = result(&answer)["error"]["hint"].to_string();
        assert!(hint.contains("with the cluster's id in it") && !hint.contains("organization"), "{hint}");
        let answer = call(&mut server, &token, &at(&twin), "tidbcloud_get_cluster", &arguments);
        assert_eq!(result(&answer)["clusterId"], json!(twin), "{arguments}");
    }
}

/// What the addresses of the next test fix, and what lies beside it.
struct Estate {
    /// The shop and a cluster of the other organization, and a branch of each.
    fixed: [(String, String); 2],
    /// Names and ids of what no address of a test names.
    others: Vec<String>,
}

impl Estate {
    fn new(server: &mut Native) -> Self {
        let token = connect(server, "tidb:write");
        let alias = json!({"cluster": SHOP, "labels": {"mcp-alias": "gamma", "team": "web"}});
        result(&call(server, &token, "", "tidbcloud_update_cluster", &alias));
        let labs = create(server, &token, "labs", "labs-db", Some("delta"));
        let [_, twin] = ["shops", "labs"].map(|organization| create(server, &token, organization, "twin-db", None));
        let other = create(server, &token, "shops", "other-db", Some("alpha"));
        let beside = create(server, &token, "labs", "beside-db", Some("beta"));
        server.advance(20);
        let mut branch = |cluster: &str, name: &str| {
            let arguments = json!({"cluster": cluster, "displayName": name});
            let made = result(&call(server, &token, "", "tidbcloud_create_branch", &arguments));
            made["branchId"].as_str().unwrap_or_else(|| panic!("{made}")).to_owned()
        };
        let fixed = [SHOP, &labs].map(|cluster| (cluster.to_owned(), branch(cluster, "trial")));
        let foreign = [&other, &beside].map(|cluster| branch(cluster, "foreign"));
        server.advance(20);
        let names = ["twin-db", "alpha", "foreign"].map(str::to_owned);
        Self { fixed, others: names.into_iter().chain([twin]).chain(foreign).collect() }
    }

    /// Values for any argument: what leads elsewhere, in every form that some argument has.
    fn values(&self) -> Vec<Value> {
        let texts = self.others.iter().map(String::as_str).chain(["1:x", "labs"]).map(|text| json!(text));
        texts.chain([json!(null), json!({"mcp-alias": "twin-db"})]).collect()
    }

    /// Whatever this text names that no address does.
    fn foreign_in(&self, text: &str) -> Option<&String> {
        self.others.iter().find(|other| text.contains(*other))
    }

    /// What the sandbox has by id: all that a call could have changed, but for labels and spending limits.
    fn now(server: &mut Native) -> BTreeMap<String, Value> {
        let state = server.admin("GET", "/_sandbox/state", None);
        let all = ["clusters", "branches"].map(|kind| state[kind].as_array().expect("a list").clone()).concat();
        let id = |item: &Value| item.get("branchId").unwrap_or(&item["clusterId"]).as_str().expect("an id").to_owned();
        all.into_iter().map(|item| (id(&item), item)).collect()
    }
}

/// The body of a request as the world noted it.
fn body(what: &str) -> &str {
    what.rsplit_once("] ").map_or("", |(_, body)| body)
}

/// What one request to TiDB Cloud names: the cluster, the branch, and the SQL user's prefix.
fn named(target: &str, what: &str) -> (Option<String>, Option<String>, Option<String>) {
    let segments: Vec<&str> = target.split(['/', '?']).collect();
    let after = |word: &str| {
        let at = segments.iter().position(|segment| *segment == word)?;
        segments.get(at + 1).filter(|segment| !segment.contains('=')).map(|segment| (*segment).to_owned())
    };
    let prefix = what.split_once("\"Basic ").and_then(|(_, rest)| rest.split_once('"')).map(|(basic, _)| {
        let login = BASE64_STANDARD.decode(basic).expect("Base64");
        String::from_utf8_lossy(&login).split('.').next().unwrap_or_default().to_owned()
    });
    (after("clusters"), after("branches"), prefix)
}

/// Arguments with which a call at a fixed cluster changes as little as it can.
fn mildly(tool: &str, required: &Value, on_branch: bool) -> Value {
    let mut arguments = required.clone();
    let members = arguments.as_object_mut().expect("an object");
    members.remove("cluster");
    if on_branch {
        members.remove("branch");
    } else if members.contains_key("branch") {
        members.insert("branch".to_owned(), json!("nowhere"));
    }
    match tool {
        "tidbcloud_update_cluster" => members.insert("spendingLimitUsdCents".to_owned(), json!(500)),
        // Asked for, and refused by TiDB Cloud.
        "tidbcloud_create_branch" => members.insert("parentTimestamp".to_owned(), json!("2036-01-01T00:00:00Z")),
        _ => None,
    };
    arguments
}

/// Every value for every argument of a tool, at one address.
fn attack(server: &mut Native, estate: &Estate, (query, at): (&str, usize), tool: &str, arguments: [&Value; 2]) {
    let (cluster, branch) = &estate.fixed[at];
    let on_branch = query.contains("branch=");
    let before = Estate::now(server);
    let prefix = |id: &str| before[id]["userPrefix"].as_str().expect("a prefix").to_owned();
    let prefixes = if on_branch { vec![prefix(branch)] } else { vec![prefix(cluster), prefix(branch)] };
    let token = connect(server, "tidb:destroy");
    let members = arguments.iter().flat_map(|arguments| arguments.as_object().expect("an object").keys());
    for name in members.map(String::as_str).chain(["cluster", "branch", "organization", "clusterId"]) {
        for value in estate.values() {
            let mut arguments = mildly(tool, arguments[0], on_branch);
            arguments[name] = value.clone();
            // Null is as good as nothing, and then this is the deletion that the address is for.
            if tool.contains("delete") && value.is_null() {
                continue;
            }
            server.world.sent.take();
            let answer = call(server, &token, query, tool, &arguments);
            let place = format!("{query} {tool} {arguments}");
            for (target, what) in server.world.sent.take() {
                let (of, on, user) = named(&target, &what);
                assert!(of.is_none_or(|id| id == *cluster), "{place} left the fixed cluster: it asked for {target}");
                assert!(
                    !on_branch || on.is_none_or(|id| id == *branch),
                    "{place} left the fixed branch: it asked for {target}"
                );
                assert!(
                    user.is_none_or(|prefix| prefixes.contains(&prefix)),
                    "{place} ran SQL as a user of another cluster: {target}"
                );
                // What is made may be called anything, and a statement may name any database of its cluster.
                let free = ["userName", "displayName"].contains(&name) || target.ends_with("/sql");
                let clean = free || estate.foreign_in(body(&what)).is_none();
                assert!(clean, "{place} sent what names another cluster or branch: {target} {what}");
            }
            // An error may repeat what was said.
            let said = value.as_str().filter(|text| !text.is_empty()).unwrap_or("\0");
            let mut told = String::from_utf8_lossy(&answer.body).replace(said, "");
            // Users may be called anything: their prefix says which cluster or branch they are of.
            for (prefix, other) in prefixes.iter().flat_map(|prefix| estate.others.iter().map(move |it| (prefix, it))) {
                told = told.replace(&format!("{prefix}.{other}"), "");
            }
            assert_eq!(estate.foreign_in(&told), None, "{place} told of what the address does not fix: {told}");
        }
    }
}

/// For every tool of the catalogue and every argument that it has or could have, whatever the value: what an address
/// fixed is all that is asked for, shown and changed.
#[test]
fn sec_003_no_argument_of_any_tool_leaves_a_fixed_cluster() {
    let mut server = Native::new();
    let estate = Estate::new(&mut server);
    let before = Estate::now(&mut server);
    // By name, by alias, by id and by label.
    let in_labs = format!("?cluster={}&readonly=false", estate.fixed[1].0);
    let addresses = [
        ("?cluster=shop", 0),
        ("?cluster=prod&branch=trial", 0),
        (in_labs.as_str(), 1),
        ("?branch=trial&cluster=delta", 1),
    ];
    for address in addresses {
        for (tool, required, optional) in arguments() {
            attack(&mut server, &estate, address, tool, [&required, &optional]);
        }
    }
    let after = Estate::now(&mut server);
    let is_fixed = |id: &Value| estate.fixed.iter().any(|(cluster, branch)| id == cluster || id == branch);
    for (id, item) in &before {
        let now = &after[id];
        let same = if is_fixed(&json!(id)) { item["displayName"] == now["displayName"] } else { item == now };
        assert!(same, "calls at fixed addresses changed something beside what those fix: {item} became {now}");
    }
    let made = after.iter().filter(|(id, _)| !before.contains_key(*id));
    assert!(
        made.into_iter().all(|(_, item)| is_fixed(&item["clusterId"])),
        "calls at fixed addresses made something beside what those fix: {after:?}"
    );
    let token = connect(&mut server, "tidb:read");
    for ((cluster, _), alias) in estate.fixed.iter().zip(["gamma", "delta"]) {
        let arguments = json!({ "cluster": cluster });
        let found = result(&call(&mut server, &token, "", "tidbcloud_get_cluster", &arguments));
        assert_eq!(found["labels"]["mcp-alias"], alias, "{found}");
    }
}

/// The parent of a branch stands in a body, where no path keeps it below the cluster: here TiDB Cloud would take it.
#[test]
fn sec_003_a_parent_of_another_cluster_is_no_parent() {
    let mut server = Native::new();
    let estate = Estate::new(&mut server);
    let foreign: Vec<&String> = estate.others.iter().filter(|other| other.starts_with("bran-")).collect();
    assert_eq!(foreign.len(), 2);
    let token = connect(&mut server, "tidb:write");
    for query in ["?cluster=shop", ""] {
        for parent in &foreign {
            let mut arguments = json!({"displayName": "copy-of-it", "parent": parent});
            if query.is_empty() {
                arguments["cluster"] = json!(SHOP);
            }
            server.world.sent.take();
            let answer = call(&mut server, &token, query, "tidbcloud_create_branch", &arguments);
            assert_eq!(code(&answer), "NOT_FOUND", "{query} {arguments}");
            let posted = |(_, what): &(String, String)| body(what).contains(parent.as_str());
            assert!(!server.world.sent.take().iter().any(posted), "{query} {arguments}");
        }
    }
    let own = json!({"displayName": "copy-of-it", "parent": estate.fixed[0].1});
    let made = result(&call(&mut server, &token, "?cluster=shop", "tidbcloud_create_branch", &own));
    assert_eq!(made["parentId"], json!(estate.fixed[0].1), "{made}");
}

/// Each call of a batch is judged on its own: none of them prepares the way for the next.
#[test]
fn sec_003_no_batch_leaves_a_fixed_cluster() {
    let mut server = Native::new();
    let token = connect(&mut server, "tidb:destroy");
    let other = create(&mut server, &token, "shops", "other-db", None);
    let calls = [
        ("tidbcloud_update_cluster", json!({"displayName": "moved-away"})),
        ("tidbcloud_update_cluster", json!({"cluster": other, "displayName": "shop"})),
        ("tidbcloud_update_cluster", json!({"labels": {"mcp-alias": "other-db"}})),
        ("tidbcloud_delete_cluster", json!({"organization": "labs"})),
        ("tidbcloud_delete_cluster", json!({"cluster": other})),
        ("tidbcloud_get_cluster", json!({})),
    ];
    let messages = calls.iter().enumerate().map(|(id, (name, arguments))| {
        json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": name, "arguments": arguments}})
    });
    let mut batch = with_token(request("2025-03-26", "owner", "tools/call", json!({})), &token).to("/mcp?cluster=shop");
    batch.body = Value::from_iter(messages).to_string().into_bytes();
    server.world.sent.take();
    let answers = server.send(batch).json();
    let answers = answers.as_array().expect("answers");
    let code = |at: usize| answers[at]["result"]["structuredContent"]["error"]["code"].clone();
    assert!((0..5).all(|at| code(at) == "INVALID_ARGUMENT"), "{answers:?}");
    assert_eq!(answers[5]["result"]["structuredContent"]["clusterId"], SHOP);
    let sent = server.world.sent.take();
    assert!(!sent.iter().any(|(target, what)| target.contains(&other) || !body(what).is_empty()), "{sent:?}");
}

/// Parameters never add a tool: what several leave is what each of them leaves.
#[test]
fn sec_003_parameters_narrow_together() {
    let mut server = Native::new();
    let token = connect(&mut server, "tidb:destroy");
    let mut names = |query: &str| -> BTreeSet<String> {
        let tools = listed(&mut server, &token, query)["tools"].as_array().expect("tools").clone();
        tools.iter().map(|tool| tool["name"].as_str().expect("a name").to_owned()).collect()
    };
    let choices = [
        vec!["", "readonly=true", "readonly=false"],
        vec!["", "toolsets=clusters", "toolsets=branches,database", "toolsets=organization"],
        vec!["", "cluster=shop", "cluster=shop&branch=trial"],
    ];
    for reading in &choices[0] {
        for toolsets in &choices[1] {
            for fixed in &choices[2] {
                // Without a toolset an address lists less than it reaches: here, all that is there is listed.
                let toolsets = if toolsets.is_empty() { "toolsets=all" } else { toolsets };
                let alone = [reading, toolsets, fixed].map(|query| {
                    let all = if query.contains("toolsets") { "" } else { "&toolsets=all" };
                    names(&format!("?{query}{all}"))
                });
                let together = [*reading, toolsets, *fixed].map(|part| format!("{part}&")).concat();
                let expected = alone.iter().skip(1).fold(alone[0].clone(), |left, more| &left & more);
                assert_eq!(
                    names(&format!("?{}", together.replace("&&", "&").trim_matches('&'))),
                    expected,
                    "{together}"
                );
            }
        }
    }
}

#[test]
fn sec_004_a_label_takes_no_other_clusters_name() {
    let mut server = Native::new();
    let token = connect(&mut server, "tidb:destroy");
    let victim = create(&mut server, &token, "shops", "payments", None);
    let same = create(&mut server, &token, "shops", "reports", Some("reports"));
    let thief = create(&mut server, &token, "shops", "scratch", Some("payments"));
    let far = create(&mut server, &token, "labs", "far-away", Some("shop"));
    for (tool, mut arguments, _) in arguments().into_iter().filter(|(_, required, _)| required.get("cluster").is_some())
    {
        for word in ["payments", "shop"] {
            arguments["cluster"] = json!(word);
            let answer = call(&mut server, &token, "", tool, &arguments);
            assert_eq!(
                code(&answer),
                "AMBIGUOUS_NAME",
                "{tool}: `{word}` is the name of one cluster and the label of another"
            );
            let members: Map<String, Value> = arguments.as_object().expect("an object").clone();
            let rest: Map<String, Value> = members.into_iter().filter(|(name, _)| name != "cluster").collect();
            // Nothing restores into another cluster where one is fixed.
            let others = ["tidbcloud_update_cluster", "tidbcloud_set_backup_policy", "tidbcloud_restore_backup"];
            if !others.contains(&tool) {
                let answer =
                    call(&mut server, &token, &format!("?toolsets=all&cluster={word}"), tool, &Value::Object(rest));
                assert_eq!(code(&answer), "AMBIGUOUS_NAME", "{tool} at {word}");
            }
        }
    }
    for (word, id) in [("reports", &same), (victim.as_str(), &victim), ("scratch", &thief), ("far-away", &far)] {
        let found = result(&call(&mut server, &token, "", "tidbcloud_get_cluster", &json!({"cluster": word})));
        assert_eq!(found["clusterId"], **id, "{word}");
    }
    let aliases = result(&call(&mut server, &token, "", "tidbcloud_list_aliases", &json!({"organization": "shops"})));
    let line = |alias: &str| {
        let all = aliases["aliases"].as_array().expect("a list");
        all.iter().find(|line| line["alias"] == alias).unwrap_or_else(|| panic!("no {alias}: {aliases}")).clone()
    };
    assert_eq!(line("payments")["refused"], "Another cluster has this display name.");
    assert!(line("reports").get("refused").is_none(), "{aliases}");
    let everywhere = result(&call(&mut server, &token, "", "tidbcloud_list_aliases", &json!({})));
    let far = everywhere["aliases"].as_array().expect("a list").iter().find(|line| line["alias"] == "shop");
    assert_eq!(far.expect("the label")["refused"], "Another cluster has this display name.", "{everywhere}");
    let labs = result(&call(&mut server, &token, "", "tidbcloud_list_aliases", &json!({"organization": "labs"})));
    assert!(labs["aliases"][1].get("refused").is_none(), "in its own organization the word is clear: {labs}");
}

/// A word means a cluster when it is the only one that has it as a name or as a label, whoever got it first.
#[test]
fn sec_004_a_word_that_two_clusters_have_means_neither() {
    let mut server = Native::new();
    let token = connect(&mut server, "tidb:write");
    let names = ["shop", "second", "third"];
    let second = create(&mut server, &token, "shops", names[1], None);
    let third = create(&mut server, &token, "shops", names[2], None);
    let ids = [SHOP.to_owned(), second, third];
    server.advance(20);
    let labels = [None, Some("shop"), Some("second"), Some("third"), Some("nick"), Some("9lives")];
    for (first, last) in labels.iter().flat_map(|first| labels.map(|last| (*first, last))) {
        for (id, label) in [(&ids[1], first), (&ids[2], last)] {
            let all: BTreeMap<&str, &str> = label.map(|label| ("mcp-alias", label)).into_iter().collect();
            let arguments = json!({"cluster": id, "labels": all});
            assert_eq!(code(&call(&mut server, &token, "", "tidbcloud_update_cluster", &arguments)), "");
        }
        for word in ["shop", "second", "third", "nick", "9lives"] {
            // What is no alias, because it begins with a digit, is none.
            let label = |label: Option<&str>| label == Some(word) && word != "9lives";
            let has = [names[0] == word, names[1] == word || label(first), names[2] == word || label(last)];
            let meant: Vec<&String> = ids.iter().zip(has).filter(|(_, has)| *has).map(|(id, _)| id).collect();
            let answer = call(&mut server, &token, "", "tidbcloud_get_cluster", &json!({"cluster": word}));
            let expected = match meant.as_slice() {
                [] => ("NOT_FOUND".to_owned(), Value::Null),
                [one] => (String::new(), json!(one)),
                _ => ("AMBIGUOUS_NAME".to_owned(), Value::Null),
            };
            assert_eq!((code(&answer), result(&answer)["clusterId"].clone()), expected, "{word}: {first:?} {last:?}");
        }
    }
}

#[test]
fn sec_004_below_a_fixed_cluster_its_name_and_alias_stay() {
    let mut server = Native::new();
    let token = connect(&mut server, "tidb:destroy");
    let plain = create(&mut server, &token, "labs", "labs-db", None);
    server.advance(20);
    let with_alias = json!({"cluster": SHOP, "labels": {"mcp-alias": "gamma", "team": "web"}});
    result(&call(&mut server, &token, "", "tidbcloud_update_cluster", &with_alias));
    let queries = ["shop", "gamma", "prod", SHOP, &plain].map(|name| format!("?cluster={name}"));
    for query in &queries {
        let tools = listed(&mut server, &token, query)["tools"].clone();
        let update = tools.as_array().expect("tools").iter().find(|tool| tool["name"] == "tidbcloud_update_cluster");
        assert!(update.expect("the tool")["inputSchema"]["properties"].get("displayName").is_none());
        let before = result(&call(&mut server, &token, query, "tidbcloud_get_cluster", &json!({})));
        for change in [
            json!({"displayName": "renamed"}),
            json!({"displayName": before["displayName"]}),
            json!({"displayName": "renamed", "spendingLimitUsdCents": 700}),
            json!({"labels": {"mcp-alias": "other"}}),
            json!({"labels": {"mcp-alias": ""}, "spendingLimitUsdCents": 700}),
            json!({"labels": {"mcp-alias": "Gamma", "team": "web"}}),
        ] {
            let answer = call(&mut server, &token, query, "tidbcloud_update_cluster", &change);
            assert_eq!(code(&answer), "INVALID_ARGUMENT", "{query} {change}");
            let message = result(&answer)["error"]["message"].to_string();
            assert!(message.contains("the URL that this client connected to fixes the cluster"), "{message}");
            assert_eq!(
                result(&call(&mut server, &token, query, "tidbcloud_get_cluster", &json!({}))),
                before,
                "{change}"
            );
        }
        let alias = before["labels"].get("mcp-alias").cloned();
        for change in [
            json!({"labels": {"team": "eu"}, "displayName": null}),
            json!({"labels": {}, "spendingLimitUsdCents": 0}),
            json!({"labels": alias.as_ref().map(|alias| json!({"mcp-alias": alias})).unwrap_or(json!({"a": "b"}))}),
        ] {
            let after = result(&call(&mut server, &token, query, "tidbcloud_update_cluster", &change));
            assert_eq!(after["displayName"], before["displayName"], "{query} {change}: {after}");
            assert_eq!(after["labels"].get("mcp-alias").cloned(), alias, "{query} {change}: {after}");
        }
    }
}

/// A value that cannot be read is no way around the person, and neither is a scope.
#[test]
fn sec_019_money_needs_a_person_whatever_the_scope() {
    let mut server = Native::new();
    let tokens = ["tidb:write", "tidb:destroy"].map(|scope| connect(&mut server, scope));
    let create = json!({"displayName": "rich-one", "region": "regions/aws-us-east-1", "organization": "labs"});
    let calls = [("tidbcloud_create_cluster", create), ("tidbcloud_update_cluster", json!({"cluster": SHOP}))];
    let state = |server: &mut Native| {
        let shop = call(server, &tokens[0], "", "tidbcloud_get_cluster", &json!({"cluster": SHOP}));
        let all = call(server, &tokens[0], "", "tidbcloud_list_clusters", &json!({}));
        (result(&shop)["spendingLimitUsdCents"].clone(), result(&all)["clusters"].clone())
    };
    let before = state(&mut server);
    let costs = [json!(1), json!(100), json!(100.0), json!("100"), json!("1e2")];
    let unreadable = [
        json!("1e-400"),
        json!(0.5),
        json!(-1),
        json!(true),
        json!(false),
        json!(" "),
        json!("ten"),
        json!("０"),
        json!([]),
        json!([0]),
        json!({}),
    ];
    for (tool, arguments) in &calls {
        let with = |money: &Value| {
            let mut arguments = arguments.clone();
            arguments["spendingLimitUsdCents"] = money.clone();
            arguments
        };
        for token in &tokens {
            for (all, expected) in [(&costs[..], "CONFIRMATION_REQUIRED"), (&unreadable[..], "INVALID_ARGUMENT")] {
                for money in all {
                    server.admin("DELETE", "/_sandbox/requests", None);
                    let answer = call(&mut server, token, "", tool, &with(money));
                    assert_eq!(code(&answer), expected, "{tool} {money}");
                    let sent = server.admin("GET", "/_sandbox/requests", None);
                    let sent = sent["requests"].as_array().expect("requests");
                    let reads = sent.iter().all(|request| request["method"] == "GET");
                    assert!(reads, "nobody agreed, so nothing but reads is sent: {tool} {money}: {sent:?}");
                }
            }
            assert_eq!(state(&mut server), before, "{tool}: nothing changed");
        }
    }
    for nothing in [json!(null), json!(""), json!(0), json!(0.0), json!("0"), json!("0.00"), json!(" 0 ")] {
        let mut change = json!({"cluster": SHOP, "labels": {"team": "web"}});
        change["spendingLimitUsdCents"] = nothing.clone();
        let done = call(&mut server, &tokens[0], "", "tidbcloud_update_cluster", &change);
        assert_eq!(code(&done), "", "what costs nothing is asked of nobody: {nothing}");
    }
    // Keys can go without a person, and what was raised is lowered without one.
    let raise = json!({"cluster": SHOP, "spendingLimitUsdCents": 1000});
    let raised = server.send(tool("tidbcloud_update_cluster", raise.clone()));
    assert_eq!(result(&raised)["spendingLimitUsdCents"], 1000, "{}", result(&raised));
    for (cents, expected) in
        [(1001, "CONFIRMATION_REQUIRED"), (1000, ""), (1, ""), (1, ""), (2, "CONFIRMATION_REQUIRED")]
    {
        let limit = json!({"cluster": SHOP, "spendingLimitUsdCents": cents});
        let answer = call(&mut server, &tokens[0], "", "tidbcloud_update_cluster", &limit);
        assert_eq!(code(&answer), expected, "only a higher limit is asked about: {cents}");
    }
}

/// A list that depends on more than the address is for its asker alone.
#[test]
fn sec_020_a_list_that_depends_on_who_asks_is_private() {
    let mut server = Native::new();
    let two = connect(&mut server, "tidb:destroy");
    let one = Flow::new(&mut server).tokens(&mut server, "tidb:read").access;
    for query in ["", "?readonly=true", "?toolsets=clusters,database", "?cluster=shop", "?cluster=shop&branch=trial"] {
        let anybody = server.send(list().to(&format!("/mcp{query}"))).json()["result"].clone();
        assert_eq!(anybody["cacheScope"], "public", "{query}");
        for token in [&two, &one] {
            let own = listed(&mut server, token, query);
            assert_eq!(
                own["cacheScope"], "private",
                "a token has a scope and a grant, on which the list depends: {query}"
            );
            let names_organizations = own.to_string().contains("\"labs\"");
            assert_eq!(names_organizations, *token == two && !query.contains("cluster="), "{query}");
        }
    }
}
