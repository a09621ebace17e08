//! What a caller sees of the catalogue and may call: by address, grant and scope, and through the pair that finds the rest.

use std::collections::BTreeSet;

use mcp_server_tidbcloud::{
    catalogue::{Effect, Toolset},
    tools,
};
use serde_json::{Value, json};

use crate::{
    narrow::{names, result},
    support::{
        Answer, Call, Driver, REVISIONS,
        bad_inputs::{list, tool},
        keys,
        oauth::{Flow, Page, Tokens, fields, form, tool_with_token, with, with_token},
        request,
    },
    world::Native,
};

const FIND: &str = "tidbcloud_find_tools";
const RELAY: &str = "tidbcloud_run_read_tool";

fn listed(server: &mut Native, call: Call) -> Vec<Value> {
    let answer = server.send(call);
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    answer.json()["result"]["tools"].as_array().expect("tools").clone()
}

/// The message of a call that the protocol refuses.
fn refused(answer: &Answer) -> String {
    let error = answer.json()["error"].clone();
    assert_eq!(error["code"], -32602, "the protocol has no such tool: {}", answer.json());
    error["message"].as_str().expect("a message").to_owned()
}

fn relay(name: &str, arguments: &Value) -> Call {
    tool(RELAY, json!({"name": name, "arguments": arguments}))
}

/// What the finder says of a tool.
fn found(server: &mut Native, call: Call, name: &str) -> Value {
    let tools = result(&server.send(call))["tools"].clone();
    let all = tools.as_array().expect("tools");
    all.iter().find(|tool| tool["name"] == name).unwrap_or_else(|| panic!("{name} is not found: {tools}")).clone()
}

/// Tools that are not listed by default.
fn hidden() -> Vec<(&'static str, Effect)> {
    let not_listed = tools::ALL.entries().iter().filter(|tool| !tool.toolset.is_default());
    not_listed.map(|tool| (tool.name(), tool.effect)).collect()
}

#[test]
fn what_is_not_listed_runs_through_the_relay_only() {
    let mut server = Native::new();
    let all = names(&listed(&mut server, list()));
    assert!(!hidden().is_empty() && all.contains(FIND) && all.contains(RELAY));
    for (name, effect) in hidden() {
        assert!(!all.contains(name), "{name} is in a toolset that is not listed by default");
        let instead = refused(&server.send(tool(name, json!({})).to("/mcp")));
        let way = if effect == Effect::Read { RELAY } else { "/mcp?toolsets=default," };
        assert!(
            instead.contains(way),
            "{name} is called by its name, and the refusal says how it is reached: {instead}"
        );
    }
    let aliases = server.send(relay("tidbcloud_list_aliases", &json!({})));
    assert_eq!(result(&aliases), json!({"aliases": []}));
    let line: Value = serde_json::from_str(server.world.log.borrow().last().expect("a line")).expect("JSON");
    assert_eq!(line["tool"], "tidbcloud_list_aliases", "the log names the tool that ran");
}

/// A model reads of every tool that is not listed how it can be called here.
#[test]
fn the_finder_says_how_each_tool_is_called() {
    let mut server = Native::new();
    for entry in tools::ALL.entries().iter().filter(|entry| entry.toolset != Toolset::Finder) {
        let one = found(&mut server, tool(FIND, json!({"query": entry.definition.title})), entry.name());
        let how = one["how"].as_str().expect("how");
        let (way, has_schema) = match (entry.toolset.is_default(), entry.effect) {
            (true, _) => ("it is listed".to_owned(), false),
            (false, Effect::Read) => (RELAY.to_owned(), true),
            (false, _) => (format!("/mcp?toolsets=default,{}", entry.toolset.name()), true),
        };
        assert!(how.contains(&way), "{}: {how}", entry.name());
        assert_eq!(
            one.get("inputSchema").is_some(),
            has_schema,
            "tools/list shows the schemas of what is listed: {one}"
        );
        assert_eq!(one["effect"], entry.effect.word());
    }
    let nothing = result(&server.send(tool(FIND, json!({"query": "weather"}))));
    assert_eq!(nothing["tools"], json!([]));
    assert!(nothing["notice"].as_str().is_some_and(|notice| notice.contains("short names of clusters")), "{nothing}");
    let listed = result(&server.send(tool(FIND, json!({"query": "show databases"}))));
    assert!(listed["tools"].as_array().is_some_and(|tools| !tools.is_empty()), "{listed}");
    let notice = listed["notice"].as_str().unwrap_or_default();
    assert!(notice.contains("in its console"), "tools fit that are listed, and others may be meant: {listed}");
    for query in ["", " ", "\u{1f600}", "名前", &"list ".repeat(10_000)] {
        let answer = result(&server.send(tool(FIND, json!({"query": query}))));
        assert!(
            answer.get("tools").is_some() || answer["error"]["code"] == "INVALID_ARGUMENT",
            "{query:.20}: {answer}"
        );
    }
}

#[test]
fn the_relay_runs_nothing_that_changes_something() {
    for revision in REVISIONS {
        let mut server = Native::new();
        for entry in tools::ALL.entries().iter().filter(|entry| entry.effect != Effect::Read) {
            for arguments in [json!({"cluster": "shop"}), json!("{"), json!([]), json!(null)] {
                server.world.sent.take();
                let params = json!({"name": RELAY, "arguments": {"name": entry.name(), "arguments": arguments}});
                let error = result(&server.send(request(revision, "owner", "tools/call", params)))["error"].clone();
                assert_eq!(error["code"], "READ_ONLY_VIOLATION", "{} with {arguments}: {error}", entry.name());
                assert_eq!(server.world.sent.take(), [], "{} is refused before anything is asked", entry.name());
            }
        }
    }
}

/// A relayed call is narrowed, charged and judged as the tool's own.
#[test]
fn a_relayed_call_is_one_of_the_tool_it_names() {
    let mut server = Native::new();
    let pair = BTreeSet::from([FIND.to_owned(), RELAY.to_owned()]);
    let at = |call: Call| call.to("/mcp?cluster=shop");
    assert!(
        names(&listed(&mut server, at(list()))).is_disjoint(&pair),
        "where a cluster is fixed, tools are listed or out of reach"
    );
    refused(&server.send(at(relay("tidbcloud_get_metrics", &json!({})))));
    let within = |call: Call| call.to("/mcp?cluster=shop&toolsets=metrics");
    let fixed = result(&server.send(within(tool("tidbcloud_get_metrics", json!({})))));
    assert_eq!(fixed["displayName"], "shop", "the address fills in the cluster: {fixed}");
    let named = result(&server.send(within(tool("tidbcloud_get_metrics", json!({"cluster": "shop"})))));
    assert_eq!(named["error"]["code"], "INVALID_ARGUMENT", "and nobody else does: {named}");
    let alone = |call: Call| call.to("/mcp?toolsets=default&cluster=shop");
    assert!(names(&listed(&mut server, alone(list()))).is_disjoint(&pair), "a boundary leaves nothing to find");
    refused(&server.send(alone(relay("tidbcloud_get_cluster", &json!({})))));
    let token = Flow::new(&mut server).tokens(&mut server, "tidb:read").access;
    refused(&server.send(alone(tool_with_token(
        &token,
        RELAY,
        json!({"name": "tidbcloud_get_cluster", "arguments": {}}),
    ))));
    let read_only = |name: &str, arguments: Value| {
        tool_with_token(&token, RELAY, json!({"name": name, "arguments": arguments})).to("/mcp?readonly=true")
    };
    assert!(result(&server.send(read_only("tidbcloud_list_aliases", json!({}))))["aliases"].is_array());
    let beyond = result(&server.send(read_only("tidbcloud_delete_cluster", json!({"cluster": "shop"}))));
    assert_eq!(beyond["error"]["code"], "NOT_FOUND", "what changes something is beyond the address: {beyond}");
}

#[test]
fn a_toolset_in_the_address_is_a_boundary() {
    let mut server = Native::new();
    for toolset in Toolset::ALL.iter().map(|toolset| toolset.name()) {
        let target = format!("/mcp?toolsets={toolset}");
        let of = |entry: &&mcp_server_tidbcloud::catalogue::Entry| entry.toolset.name() == toolset;
        let expected: BTreeSet<String> =
            tools::ALL.entries().iter().filter(of).map(|it| it.name().to_owned()).collect();
        assert_eq!(names(&listed(&mut server, list().to(&target))), expected, "{target} lists its tools and no others");
        server.advance(60);
        for entry in tools::ALL.entries().iter().filter(|entry| !of(entry)) {
            refused(&server.send(tool(entry.name(), json!({})).to(&target)));
        }
        for name in &expected {
            refused(&server.send(relay(name, &json!({})).to(&target)));
        }
    }
    let all = names(&listed(&mut server, list().to("/mcp?toolsets=all")));
    let default = names(&listed(&mut server, list().to("/mcp?toolsets=default")));
    let plain = names(&listed(&mut server, list()));
    let finder = BTreeSet::from([FIND.to_owned(), RELAY.to_owned()]);
    assert_eq!(&plain - &default, finder, "naming the default toolsets drops the pair that finds the rest");
    let hidden: BTreeSet<String> = hidden().into_iter().map(|(name, _)| name.to_owned()).collect();
    assert_eq!(all, &default | &hidden, "`all` lists what is listed by default and what is not");
    let unknown = server.send(list().to("/mcp?toolsets=default,biling"));
    assert_eq!(unknown.status, 400);
    let message = unknown.json()["error"]["message"].as_str().expect("a message").to_owned();
    for toolset in Toolset::ALL.iter().map(|toolset| toolset.name()).chain(["default", "all"]) {
        assert!(message.contains(toolset), "the refusal lists the toolsets that exist: {message}");
    }
    assert!(!message.contains("biling"), "and quotes nothing of the address: {message}");
}

/// Advice is for the connection that gets it.
#[test]
fn a_hint_that_names_a_tool_says_where_it_is_not_listed() {
    let mut server = Native::new();
    let mut hint = |target: &str| {
        let answer = server.send(tool("show_databases", json!({"cluster": "nowhere"})).to(target));
        result(&answer)["error"]["hint"].as_str().expect("a hint").to_owned()
    };
    for (target, is_listed) in
        [("/mcp", true), ("/mcp?toolsets=database,clusters", true), ("/mcp?toolsets=database", false)]
    {
        let hint = hint(target);
        assert!(hint.contains("tidbcloud_list_clusters"), "{target}: {hint}");
        assert_eq!(!hint.contains("ask the person instead"), is_listed, "{target}: {hint}");
    }
}

#[test]
fn a_token_that_may_only_read_is_shown_what_reads() {
    let mut server = Native::new();
    for (scope, most) in [("tidb:read", "reads"), ("tidb:write", "writes"), ("tidb:destroy", "destroys")] {
        let token = Flow::new(&mut server).tokens(&mut server, scope).access;
        let tools = listed(&mut server, with_token(list(), &token));
        let effects: BTreeSet<_> = tools::ALL
            .entries()
            .iter()
            .filter(|entry| names(&tools).contains(entry.name()))
            .map(|entry| entry.effect.word())
            .collect();
        assert!(effects.contains(most), "{scope} shows what it may do: {effects:?}");
        let may_destroy = scope == "tidb:destroy";
        assert_eq!(effects.contains("destroys"), may_destroy, "{scope} shows no more than it may do: {effects:?}");
        assert_eq!(effects.len() == 1, scope == "tidb:read", "{scope}: {effects:?}");

        // What its scope hides can be asked for: the person is asked for more.
        let answer = server.send(tool_with_token(&token, "tidbcloud_delete_cluster", json!({"cluster": "no-such"})));
        assert_eq!(answer.status, if may_destroy { 200 } else { 403 }, "{scope}");
        let asked = tool_with_token(&token, FIND, json!({"query": "delete a cluster"}));
        let one = found(&mut server, asked, "tidbcloud_delete_cluster");
        let how = one["how"].as_str().expect("how");
        assert_eq!(how.contains("allows `tidb:destroy`"), !may_destroy, "{scope}: {how}");
        let discover = with_token(request("2026-07-28", "owner", "server/discover", json!({})), &token);
        let discovered = server.send(discover).json()["result"].clone();
        let instructions = discovered["instructions"].as_str().expect("instructions");
        assert_eq!(instructions.contains("only reads"), scope == "tidb:read", "{scope}: {instructions}");
        assert_eq!(discovered["cacheScope"], "private", "they depend on the token");
    }
}

/// What a person ticks on the page, an address narrows further and never widens.
#[test]
fn toolsets_of_a_grant_are_a_boundary_for_every_address() {
    let mut server = Native::new();
    let flow = Flow::new(&mut server);
    let grant = |server: &mut Native, toolsets: &[&str]| {
        let mut typed = Flow::typed("owner", "tidb:destroy");
        typed.extend(toolsets.iter().map(|name| ("toolsets".to_owned(), (*name).to_owned())));
        let code = flow.code(server, typed);
        Tokens::of(&server.send(form("/token", &flow.redemption(&code)))).access
    };
    let token = grant(&mut server, &["clusters", "organization"]);
    let own = |call: Call, query: &str| with_token(call, &token).to(&format!("/mcp{query}"));
    let at = |server: &mut Native, query: &str| names(&listed(server, own(list(), query)));
    let everything = at(&mut server, "");
    assert!(everything.contains("tidbcloud_list_aliases") && everything.contains("tidbcloud_get_cluster"));
    assert!(!everything.contains("db_query") && !everything.contains(FIND), "the rest is out of reach: {everything:?}");
    assert_eq!(at(&mut server, "?toolsets=all"), everything, "an address that lists all of them widens nothing");
    let clusters = at(&mut server, "?toolsets=default");
    assert!(clusters.contains("tidbcloud_get_cluster") && !clusters.contains("tidbcloud_list_aliases"), "{clusters:?}");
    assert_eq!(server.send(own(list(), "?toolsets=database")).status, 403, "nothing is left: connect again");
    for call in [tool("db_query", json!({"cluster": "shop", "sql": "SELECT 1"})), relay("show_databases", &json!({}))] {
        for query in ["", "?toolsets=all", "?toolsets=default"] {
            refused(&server.send(own(call.clone(), query)));
        }
    }

    // With nothing ticked the address decides.
    let token = grant(&mut server, &[]);
    let all = names(&listed(&mut server, with_token(list(), &token).to("/mcp?toolsets=all")));
    assert_eq!(all.len() + 2, tools::ALL.entries().len(), "all but the pair that finds the rest");

    // With all ticked everything is listed at once, and an address still narrows it.
    let token = grant(&mut server, &["all"]);
    assert_eq!(names(&listed(&mut server, with_token(list(), &token))), all, "at the plain address");
    let clusters = names(&listed(&mut server, with_token(list(), &token).to("/mcp?toolsets=clusters")));
    assert!(clusters.len() < all.len() && clusters.is_subset(&all), "{clusters:?}");
}

#[test]
fn the_page_offers_the_toolsets_that_the_address_leaves() {
    let mut server = Native::new();
    let flow = Flow::new(&mut server);
    let asked = |query: &str| with(flow.request(), "resource", &format!("{}/mcp{query}", flow.origin));
    let boxes = |page: &Page| {
        let ticks = page.html.split("name=\"toolsets\" value=\"").skip(1);
        ticks.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())).collect::<Vec<_>>()
    };
    let open = |server: &mut Native, query: &str| Page::of(&flow.open(server, &asked(query)));
    let every: Vec<_> = Toolset::ALL.iter().map(|toolset| toolset.name().to_owned()).collect();
    let page = open(&mut server, "");
    let mut offered = every.clone();
    offered.push("all".to_owned());
    assert_eq!((boxes(&page), page.html.matches(" checked").count()), (offered, 1), "no toolset is ticked beforehand");
    let all = open(&mut server, "?toolsets=all");
    assert_eq!(boxes(&all), every);
    for (page, says) in [(&page, true), (&all, false)] {
        let finds = page.html.contains("can look for others") && page.html.contains("not listed unless ticked");
        assert_eq!(finds, says, "an address that names toolsets lists all of them, and finds no others");
    }
    assert_eq!(boxes(&open(&mut server, "?toolsets=clusters,database")), ["clusters", "database"]);
    assert_eq!(boxes(&open(&mut server, "?toolsets=database")), [] as [&str; 0], "one is no choice");

    // Nor is a toolset a choice of which the fixed cluster leaves nothing.
    for query in ["?cluster=shop", "?cluster=shop&branch=trial"] {
        let offered = boxes(&open(&mut server, query));
        assert!(!offered.is_empty() || query.contains("branch"), "{query}");
        for toolset in offered {
            let left = listed(&mut server, list().to(&format!("/mcp{query}&toolsets={toolset}")));
            assert!(!left.is_empty(), "{query} offers {toolset}, of which nothing is left");
        }
    }
    let page = open(&mut server, "?cluster=shop");
    let typed = [Flow::typed("owner", "tidb:read"), fields(&[("toolsets", "organization")])].concat();
    assert_eq!(flow.decide(&mut server, &page, typed).status, 400, "a grant of no tool is none");

    // What the address does not leave cannot be ticked, whatever a form says.
    for wrong in ["branches", "everything", "finder", ""] {
        let page = open(&mut server, "?toolsets=clusters,database");
        let typed = [Flow::typed("owner", "tidb:read"), fields(&[("toolsets", wrong)])].concat();
        let answer = flow.decide(&mut server, &page, typed);
        assert_eq!(answer.status, if wrong.is_empty() { 200 } else { 400 }, "{wrong}");
        let html = String::from_utf8_lossy(&answer.body).into_owned();
        assert_eq!(html.contains("Choose among these tools."), !wrong.is_empty(), "{wrong}");
    }
    // A form with another mistake comes back with the same boxes ticked.
    let page = open(&mut server, "");
    let typed = fields(&[("scope", "tidb:read"), ("toolsets", "database"), ("publicKey", "")]);
    let again = Page::of(&flow.decide(&mut server, &page, typed)).html;
    assert!(again.contains("value=\"database\" id=\"toolsets-3\" checked"), "{again}");
}

/// A token that may read in two organizations.
fn shops_and_labs(server: &mut Native) -> String {
    let set = |who: &str, name: &str| {
        let (public, private) = keys(who);
        fields(&[("publicKey", public), ("privateKey", &private), ("name", name)])
    };
    let typed = [set("owner", "shops"), set("other", "labs"), fields(&[("scope", "tidb:read")])].concat();
    let flow = Flow::new(server);
    let code = flow.code(server, typed);
    Tokens::of(&server.send(form("/token", &flow.redemption(&code)))).access
}

/// Two organizations: the relay takes the one that is meant among the arguments of the tool it runs.
#[test]
fn a_relayed_call_names_its_organization() {
    let mut server = Native::new();
    let token = shops_and_labs(&mut server);
    let one =
        found(&mut server, tool_with_token(&token, FIND, json!({"query": "short names"})), "tidbcloud_list_aliases");
    assert_eq!(one["inputSchema"]["properties"]["organization"]["enum"], json!(["shops", "labs"]), "{one}");
    let arguments = json!({"name": "tidbcloud_list_clusters", "arguments": {"organization": "shops"}});
    let clusters = result(&server.send(tool_with_token(&token, RELAY, arguments)))["clusters"].clone();
    assert_eq!(clusters[0]["organization"], "shops", "{clusters}");
}

/// Several organizations: a tool that takes no cluster is not taken to one, so that a refusal comes before TiDB Cloud is asked.
#[test]
fn a_refused_relay_asks_nothing_in_several_organizations() {
    let mut server = Native::new();
    let token = shops_and_labs(&mut server);
    for (argument, value) in [("cluster", "shop"), ("cluster", "nowhere"), ("organization", "labs")] {
        for name in ["tidbcloud_delete_cluster", "tidbcloud_get_cluster", "tidbcloud_list_clusters", "no_such_tool"] {
            server.world.sent.take();
            let answer = server.send(tool_with_token(&token, RELAY, json!({"name": name, argument: value})));
            let error = result(&answer)["error"].clone();
            assert_eq!(error["code"], "INVALID_ARGUMENT", "`{argument}` belongs to the arguments of {name}: {error}");
            let message = error["message"].as_str().expect("a message");
            assert!(
                message.contains(&format!("`{argument}`")),
                "the refusal names what stands in the wrong place: {message}"
            );
            assert_eq!(server.world.sent.take(), [], "{name} beside {value} is refused before anything is asked");
        }
    }
}

/// What hosts write in place of arguments is read for the tool that runs; what stands beside its name is for no tool.
#[test]
fn a_relayed_call_takes_its_arguments_as_the_tool_would() {
    let mut server = Native::new();
    let mut error = |arguments: Value| {
        let error = result(&server.send(tool(RELAY, arguments)))["error"].clone();
        error["message"].as_str().map(str::to_owned)
    };
    let inner = |arguments: Value| json!({"name": "tidbcloud_list_clusters", "arguments": arguments});
    for arguments in
        [json!({"pageSize": "1"}), json!({"pageSize": 1.0, "pageToken": null}), json!("{\"pageSize\": \"1\"}")]
    {
        assert_eq!(error(inner(arguments.clone())), None, "{arguments} is as good as {{\"pageSize\": 1}}");
    }
    for beside in ["pageSize", "cluster", "organization"] {
        let message = error(json!({"name": "tidbcloud_list_clusters", beside: "1"}));
        assert_eq!(
            message,
            Some(format!("This tool has no argument `{beside}`.")),
            "nothing is dropped without a word"
        );
    }
}

#[test]
fn the_finder_finds_nothing_beyond_the_address() {
    let mut server = Native::new();
    let token = Flow::new(&mut server).tokens(&mut server, "tidb:read").access;
    for (query, beyond) in
        [("?readonly=true", "tidbcloud_delete_cluster"), ("?cluster=shop", "tidbcloud_list_clusters")]
    {
        let entry = tools::ALL.entries().iter().find(|entry| entry.name() == beyond).expect("a tool");
        let find = tool_with_token(&token, FIND, json!({"query": entry.definition.title}));
        let found = result(&server.send(find.to(&format!("/mcp{query}"))))["tools"].to_string();
        assert!(!found.contains(&format!("\"{beyond}\"")), "{beyond} is out of reach at {query}: {found}");
    }
}
