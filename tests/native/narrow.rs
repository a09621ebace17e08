//! Tools narrowed by an address, a scope or a choice of organization.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tidbcloud_sandbox::control::WAREHOUSE_CLUSTER_ID;

use crate::{
    support::{
        Answer, Call, Driver,
        bad_inputs::{list, tool},
        keys,
        oauth::{Flow, Tokens, fields, form, tool_with_token, with_token},
        transcript::Transcript,
    },
    world::Native,
};

const SHOP: &str = "1379661944646413143";

fn listed(server: &mut Native, query: &str) -> Vec<Value> {
    let answer = server.send(list().to(&format!("/mcp{query}")));
    assert_eq!(answer.status, 200, "{query}: {}", String::from_utf8_lossy(&answer.body));
    answer.json()["result"]["tools"].as_array().expect("tools").clone()
}

/// The names of tools.
pub fn names(tools: &[Value]) -> BTreeSet<String> {
    tools.iter().map(|tool| tool["name"].as_str().expect("a name").to_owned()).collect()
}

/// The output of a call, or its error.
pub fn result(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    answer.json()["result"]["structuredContent"].clone()
}

fn error(answer: &Answer) -> String {
    result(answer)["error"]["code"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn an_address_for_reading_has_the_tools_that_read() {
    let mut server = Native::new();
    let all = listed(&mut server, "");
    let reading = listed(&mut server, "?readonly=true");
    let expected: Vec<Value> = all.iter().filter(|tool| tool["annotations"]["readOnlyHint"] == true).cloned().collect();
    assert_eq!(reading, expected, "?readonly=true leaves the tools whose EFFECT is to read, and no other (right)");
    let create = tool("tidbcloud_create_cluster", json!({"displayName": "no-way", "region": "regions/aws-us-east-1"}));
    let refused = server.send(create.to("/mcp?readonly=true"));
    assert_eq!(refused.json()["error"]["code"], -32602);
    assert_eq!(listed(&mut server, "?readonly=false"), all);
}

/// Each toolset has a folder of transcripts. What belongs to none is elsewhere.
fn toolsets() -> BTreeSet<String> {
    let is_toolset = |folder: &String| !["server", "finder", "confirmation"].contains(&folder.as_str());
    let folder = |transcript: Transcript| transcript.name.split('/').next().unwrap_or_default().to_owned();
    Transcript::all().into_iter().map(folder).filter(is_toolset).collect()
}

#[test]
fn toolsets_add_up() {
    let mut server = Native::new();
    let all = names(&listed(&mut server, "?toolsets=all"));
    let mut seen = BTreeSet::new();
    for toolset in toolsets() {
        let part = names(&listed(&mut server, &format!("?toolsets={toolset}")));
        assert!(!part.is_empty(), "a toolset has a tool, and {toolset} has none");
        assert!(
            seen.is_disjoint(&part),
            "a tool is in one toolset; {toolset} has {part:?}, and those before it {seen:?}"
        );
        seen.extend(part);
    }
    assert_eq!(seen, all, "every tool is in a toolset that has its folder in tests/transcripts (right: all tools)");
    let two = names(&listed(&mut server, "?toolsets=branches,database"));
    assert!(two.contains("db_query") && two.contains("tidbcloud_get_branch") && !two.contains("tidbcloud_get_cluster"));
}

#[test]
fn what_an_address_fixes_is_no_argument_any_more() {
    let mut server = Native::new();
    let tools = listed(&mut server, "?cluster=shop");
    let left = names(&tools);
    for beyond in
        ["tidbcloud_list_clusters", "tidbcloud_create_cluster", "tidbcloud_list_regions", "tidbcloud_list_aliases"]
    {
        assert!(!left.contains(beyond), "{beyond}");
    }
    for tool in &tools {
        let schema = &tool["inputSchema"];
        let named = schema["properties"].get("cluster").is_some()
            || schema["required"].as_array().is_some_and(|all| all.contains(&json!("cluster")));
        assert!(!named, "where the address fixes the cluster, no tool has an argument `cluster`; this one has: {tool}");
    }
    let query = |call: Call| call.to("/mcp?cluster=shop");
    assert_eq!(result(&server.send(query(tool("tidbcloud_get_cluster", json!({})))))["clusterId"], SHOP);
    let overruled = server.send(query(tool("tidbcloud_get_cluster", json!({"cluster": "999"}))));
    assert_eq!(error(&overruled), "INVALID_ARGUMENT");

    let branch =
        result(&server.send(tool("tidbcloud_create_branch", json!({"cluster": "shop", "displayName": "trial"}))));
    assert_eq!(branch["displayName"], "trial");
    let on_branch = listed(&mut server, "?cluster=shop&branch=trial");
    for beyond in ["tidbcloud_create_branch", "tidbcloud_list_branches", "tidbcloud_get_cluster", "db_create_user"] {
        assert!(!names(&on_branch).contains(beyond), "{beyond}");
    }
    assert!(names(&on_branch).contains("db_query"));
    let got = server.send(tool("tidbcloud_get_branch", json!({})).to("/mcp?cluster=shop&branch=trial"));
    assert_eq!(result(&got)["branchId"], branch["branchId"]);
}

#[test]
fn an_address_never_widens_what_a_token_may_do() {
    let mut server = Native::new();
    let tokens = Flow::new(&mut server).tokens(&mut server, "tidb:read");
    let create = || json!({"displayName": "no-way", "region": "regions/aws-us-east-1"});
    let asked = tool_with_token(&tokens.access, "tidbcloud_create_cluster", create()).to("/mcp?readonly=false");
    assert_eq!(server.send(asked).status, 403);
    // And a token never widens what an address leaves: no step-up leads anywhere here.
    let asked = tool_with_token(&tokens.access, "tidbcloud_create_cluster", create()).to("/mcp?readonly=true");
    assert_eq!(server.send(asked).json()["error"]["code"], -32602);
}

#[test]
fn sql_is_judged_by_its_statements() {
    let mut server = Native::new();
    let write = Flow::new(&mut server).tokens(&mut server, "tidb:write").access;
    let mut execute = |sql: Value| {
        let answer = server.send(tool_with_token(&write, "db_execute", json!({"cluster": "shop", "sql": sql})));
        let challenge = answer.header("WWW-Authenticate").unwrap_or_default().to_owned();
        (answer.status, challenge.contains("tidb:destroy"))
    };
    assert_eq!(execute(json!("CREATE TABLE shop.notes (id INT PRIMARY KEY)")), (200, false));
    assert_eq!(execute(json!("INSERT INTO shop.notes VALUES (1)")), (200, false));
    assert_eq!(execute(json!("DELETE FROM shop.notes WHERE id = 1")), (200, false));
    for sql in [
        json!("DELETE FROM shop.notes"),
        json!("DROP TABLE shop.notes"),
        json!(["INSERT INTO shop.notes VALUES (2)", "TRUNCATE shop.notes"]),
        json!("not SQL"),
        json!(7),
        json!([]),
    ] {
        assert_eq!(execute(sql.clone()), (403, true), "{sql}");
    }
}

/// Two organizations, connected by one person on one page.
fn two_organizations(server: &mut Native) -> String {
    let set = |who: &str, name: &str| {
        let (public, private) = keys(who);
        fields(&[("publicKey", public), ("privateKey", &private), ("name", name)])
    };
    let typed = [
        set("owner", "shops"),
        set("other", "labs"),
        fields(&[("scope", "tidb:write"), ("aliases", &format!("prod = {SHOP}"))]),
    ];
    let flow = Flow::new(server);
    let code = flow.code(server, typed.concat());
    Tokens::of(&server.send(form("/token", &flow.redemption(&code)))).access
}

/// A bill is of an organization, and so is a cluster with its costs.
#[test]
fn bills_of_several_organizations_say_whose_they_are() {
    let mut server = Native::new();
    let token = two_organizations(&mut server);
    let mut read = |name: &str, arguments: Value| {
        let relayed = json!({"name": name, "arguments": arguments});
        server.send(tool_with_token(&token, "tidbcloud_run_read_tool", relayed))
    };
    let charges = |bill: &Value, member: &str| -> Vec<String> {
        let all = bill.pointer(member).and_then(Value::as_array).cloned().unwrap_or_default();
        let line = |charge: &Value| format!("{} {} {}", charge["organization"], charge["name"], charge["totalCost"]);
        all.iter().map(|charge| line(charge).replace('"', "")).collect()
    };
    let bill = result(&read("tidbcloud_get_bill", json!({"month": "2026-10", "by": "project"})));
    assert_eq!(
        charges(&bill, "/charges"),
        ["shops Total 132.73", "shops sandbox 132.73", "shops Support 0.00", "labs Total 0.00", "labs Support 0.00"],
        "{bill}"
    );
    assert_eq!((&bill["month"], &bill["by"]), (&json!("2026-10"), &json!("project")));

    let range = json!({"from": "2026-10-01", "to": "2026-10-31", "granularity": "total"});
    let all = result(&read("tidbcloud_explore_costs", range.clone()));
    let totals = charges(&all, "/costs");
    assert!(["shops Total 132.73", "labs Total 0.00"].iter().all(|total| totals.iter().any(|is| is == total)), "{all}");
    let mut of_cluster = range;
    of_cluster["cluster"] = json!("prod");
    let one = result(&read("tidbcloud_explore_costs", of_cluster));
    assert_eq!(
        one["costs"].as_array().map(Vec::len),
        Some(1),
        "a cluster is of one organization, whose costs these are: {one}"
    );
}

#[test]
fn several_organizations_are_one_list_and_a_call_finds_its_own() {
    let mut server = Native::new();
    let token = two_organizations(&mut server);
    let mut call = |name: &str, arguments: Value| server.send(tool_with_token(&token, name, arguments));

    // Something to create has to be told where.
    let create = |name: &str| json!({"displayName": name, "region": "regions/aws-us-east-1"});
    assert_eq!(error(&call("tidbcloud_create_cluster", create("lab-one"))), "INVALID_ARGUMENT");
    let mut arguments = create("lab-one");
    arguments["organization"] = json!("labs");
    let lab = result(&call("tidbcloud_create_cluster", arguments.clone()))["clusterId"].clone();
    arguments["organization"] = json!("nobody");
    assert_eq!(error(&call("tidbcloud_create_cluster", arguments)), "INVALID_ARGUMENT");

    // Lists merge and say which.
    let all = result(&call("tidbcloud_list_clusters", json!({})))["clusters"].clone();
    let place = |id: &Value| {
        let found = all.as_array().expect("clusters").iter().find(|cluster| cluster["clusterId"] == *id);
        found.map(|cluster| cluster["organization"].clone())
    };
    assert_eq!((place(&json!(SHOP)), place(&lab)), (Some(json!("shops")), Some(json!("labs"))));
    let one = result(&call("tidbcloud_list_clusters", json!({"organization": "labs"})))["clusters"].clone();
    assert!(one.as_array().expect("clusters").iter().all(|cluster| cluster["organization"] == "labs"));

    // A cluster is found by id, by name and by alias, wherever it is.
    for (reference, id) in [(lab.clone(), &lab), (json!("lab-one"), &lab), (json!("prod"), &json!(SHOP))] {
        assert_eq!(result(&call("tidbcloud_get_cluster", json!({"cluster": reference})))["clusterId"], *id);
    }
    assert_eq!(error(&call("tidbcloud_get_cluster", json!({"cluster": "999"}))), "NOT_FOUND");
    assert_eq!(error(&call("tidbcloud_get_cluster", json!({"cluster": "nowhere"}))), "NOT_FOUND");
    let wrong_place = json!({"cluster": lab, "organization": "shops"});
    assert_eq!(error(&call("tidbcloud_get_cluster", wrong_place)), "NOT_FOUND");

    // One name in two organizations means neither.
    for organization in ["shops", "labs"] {
        let mut arguments = create("twin");
        arguments["organization"] = json!(organization);
        result(&call("tidbcloud_create_cluster", arguments));
    }
    assert_eq!(error(&call("tidbcloud_get_cluster", json!({"cluster": "twin"}))), "AMBIGUOUS_NAME");
    let told = json!({"cluster": "twin", "organization": "labs"});
    assert!(result(&call("tidbcloud_get_cluster", told))["clusterId"].is_string());

    let aliases = result(&call("tidbcloud_list_aliases", json!({})));
    assert_eq!(aliases["aliases"], json!([{"alias": "prod", "clusterId": SHOP, "source": "grant"}]));

    // A short name that clusters of two organizations have is that of neither.
    server.advance(30);
    let mut call = |name: &str, arguments: Value| server.send(tool_with_token(&token, name, arguments));
    let mut short_names = |labels: [Value; 2]| {
        for ((cluster, organization), labels) in [("lab-one", "labs"), ("twin", "shops")].into_iter().zip(labels) {
            let arguments = json!({"cluster": cluster, "organization": organization, "labels": labels});
            let changed = result(&call("tidbcloud_update_cluster", arguments));
            assert!(changed["clusterId"].is_string(), "{changed}");
        }
        let all = result(&call("tidbcloud_list_clusters", json!({})))["clusters"].clone();
        let all = all.as_array().expect("clusters").clone();
        all.iter().filter_map(|cluster| cluster["shortName"].as_str().map(str::to_owned)).collect::<BTreeSet<_>>()
    };
    let (none, beta) = (json!({}), json!({"mcp-alias": "beta"}));
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(short_names([beta.clone(), beta.clone()]), set(&["prod"]), "the grant's, and no label that two have");
    assert_eq!(short_names([beta, none]), set(&["beta", "prod"]), "a label that one has is its short name");
}

/// A Dedicated cluster is of an organization as any other is.
#[test]
fn a_dedicated_cluster_is_found_in_its_organization() {
    let mut server = Native::new();
    let token = two_organizations(&mut server);
    let mut read = |cluster: &str| {
        let relayed = json!({"name": "tidbcloud_get_network", "arguments": {"cluster": cluster}});
        server.send(tool_with_token(&token, "tidbcloud_run_read_tool", relayed))
    };
    for cluster in ["warehouse", WAREHOUSE_CLUSTER_ID] {
        let network = result(&read(cluster));
        assert_eq!(
            (&network["clusterId"], &network["plan"]),
            (&json!(WAREHOUSE_CLUSTER_ID), &json!("Dedicated")),
            "{network}"
        );
    }
    assert_eq!(error(&read("nowhere")), "NOT_FOUND");
}

/// An alias means one cluster, and none if that one is gone: never another whose name it is.
#[test]
fn an_alias_is_not_taken_for_the_name_of_a_dedicated_cluster() {
    let mut server = Native::new();
    let (public, private) = keys("owner");
    let mut read = |alias: &str| {
        let typed = [
            fields(&[("publicKey", public), ("privateKey", &private), ("name", "shops")]),
            fields(&[("scope", "tidb:write"), ("aliases", alias)]),
        ];
        let flow = Flow::new(&mut server);
        let code = flow.code(&mut server, typed.concat());
        let token = Tokens::of(&server.send(form("/token", &flow.redemption(&code)))).access;
        let relayed = json!({"name": "tidbcloud_get_network", "arguments": {"cluster": "warehouse"}});
        server.send(tool_with_token(&token, "tidbcloud_run_read_tool", relayed))
    };
    assert_eq!(error(&read("warehouse = 999")), "NOT_FOUND");
    assert_eq!(result(&read(&format!("warehouse = {SHOP}")))["clusterId"], SHOP);
    assert_eq!(result(&read(&format!("lake = {SHOP}")))["clusterId"], WAREHOUSE_CLUSTER_ID);
}

#[test]
fn a_merged_list_goes_on_where_its_page_ended() {
    let mut server = Native::new();
    let token = two_organizations(&mut server);
    let mut call = |name: &str, arguments: Value| server.send(tool_with_token(&token, name, arguments));
    for (name, organization) in [("lab-one", "labs"), ("lab-two", "labs"), ("shop-two", "shops")] {
        let arguments = json!({"displayName": name, "region": "regions/aws-us-east-1", "organization": organization});
        result(&call("tidbcloud_create_cluster", arguments));
    }
    let whole = result(&call("tidbcloud_list_clusters", json!({})))["clusters"].as_array().expect("clusters").len();
    let (mut seen, mut token) = (BTreeSet::new(), None);
    for _ in 0..10 {
        let mut arguments = json!({"pageSize": 1});
        if let Some(token) = &token {
            arguments["pageToken"] = json!(token);
        }
        let page = result(&call("tidbcloud_list_clusters", arguments));
        for cluster in page["clusters"].as_array().expect("clusters") {
            assert!(seen.insert(cluster["clusterId"].to_string()), "twice: {cluster}");
        }
        token = page["nextPageToken"].as_str().map(str::to_owned);
        if token.is_none() {
            break;
        }
    }
    assert_eq!(seen.len(), whole);
    for token in ["x", "9:", "0", "-1:x"] {
        assert_eq!(error(&call("tidbcloud_list_clusters", json!({"pageToken": token}))), "INVALID_ARGUMENT", "{token}");
    }
}

#[test]
fn the_argument_is_there_only_where_there_is_a_choice() {
    let mut server = Native::new();
    let has = |tools: &[Value]| {
        tools.iter().filter(|tool| tool["inputSchema"]["properties"].get("organization").is_some()).count()
    };
    assert_eq!(has(&listed(&mut server, "?toolsets=all")), 0, "with one organization no tool asks which");
    let token = two_organizations(&mut server);
    let all = server.send(with_token(list(), &token).to("/mcp?toolsets=all")).json();
    let tools = all["result"]["tools"].as_array().expect("tools").clone();
    assert_eq!(has(&tools), tools.len(), "with two organizations every tool asks which (left: those that do)");
    assert_eq!(
        tools[0]["inputSchema"]["properties"]["organization"],
        json!({"type": "string", "enum": ["shops", "labs"], "description": "Whose account"})
    );
    let one = tool("tidbcloud_list_clusters", json!({"organization": "shops"}));
    assert_eq!(error(&server.send(one)), "INVALID_ARGUMENT");
}
