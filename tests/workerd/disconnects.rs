//! A client that goes away: at each step of a call, with a socket that is reset, in workerd by itself.

use serde_json::{Value, json};

use super::stage::{Stage, stage, until};
use crate::support::{Call, request};

/// How long TiDB Cloud holds an answer back, so that the client goes away before it comes.
const HELD_MILLIS: u64 = 1_500;

/// What becomes of a call whose client goes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It ends there. Where it waits for an answer, that request is ended too.
    GivenUp,
    /// The same between two requests.
    GivenUpBetween,
    /// It goes on to its end.
    Finished,
}

/// Whether a request is one of those that are meant.
type OfRequest = fn(&Value) -> bool;

/// A step of a call.
struct Moment {
    name: &'static str,
    call: Call,
    fault: Option<Value>,
    /// The client goes away once so many requests like this one were seen.
    leaves_at: (usize, OfRequest),
    fate: Fate,
    /// Of all requests for this call, those that matter here, and how many of them there are in the end.
    counts: Vec<(usize, OfRequest)>,
    /// What its transaction writes into both rows.
    writes: Option<usize>,
}

fn is_sql(request: &Value) -> bool {
    request["path"] == "/v1beta/sql"
}

fn is_challenge(request: &Value) -> bool {
    request["status"] == 401
}

fn is_post(request: &Value) -> bool {
    request["method"] == "POST" && !is_sql(request)
}

fn is_delete(request: &Value) -> bool {
    request["method"] == "DELETE"
}

fn is_get(request: &Value) -> bool {
    request["method"] == "GET" && !is_challenge(request)
}

fn any(_: &Value) -> bool {
    true
}

fn held(mut fault: Value) -> Option<Value> {
    fault["do"] = "delay".into();
    fault["millis"] = HELD_MILLIS.into();
    Some(fault)
}

/// A change of two rows in one transaction, whose `index`-th request has a late answer: BEGIN, two statements, each with its warnings,
/// COMMIT. Rows that are written as they are need no plan.
fn transaction(name: &'static str, index: usize, value: usize) -> Moment {
    let leaves: OfRequest = is_sql;
    Moment {
        name,
        call: Stage::tool(name, "owner", "db_execute", &json!({ "cluster": "shop", "sql": both_rows(value) })),
        fault: held(json!({ "match": { "path": "/v1beta/sql", "after": index } })),
        leaves_at: (index + 1, leaves),
        fate: Fate::Finished,
        counts: vec![(6, is_sql)],
        writes: Some(value),
    }
}

fn both_rows(value: usize) -> Vec<String> {
    [1, 2].map(|id| format!("REPLACE INTO shop.moments VALUES ({id}, {value})")).to_vec()
}

fn moments() -> Vec<Moment> {
    let create = |name: &str, who: &str| {
        Stage::tool(
            name,
            who,
            "tidbcloud_create_cluster",
            &json!({ "displayName": name, "region": "regions/aws-us-east-1" }),
        )
    };
    let list = |name: &str, who: &str| Stage::tool(name, who, "tidbcloud_list_clusters", &json!({}));
    let of_shop = |name: &str, tool: &str, sql: Value| {
        Stage::tool(name, "owner", tool, &json!({ "cluster": "shop", "sql": sql }))
    };
    let tables: Vec<_> =
        ["a", "b", "c"].map(|table| format!("CREATE TABLE shop.left_{table} (id INT PRIMARY KEY)")).to_vec();
    let failing = ["REPLACE INTO shop.moments VALUES (1, 999)", "INSERT INTO shop.moments VALUES (2, 999)"];
    vec![
        Moment {
            name: "first-leg-of-a-read",
            call: list("first-leg-of-a-read", "viewer"),
            fault: held(json!({ "match": { "challenge": true } })),
            leaves_at: (1, is_challenge),
            fate: Fate::GivenUp,
            counts: vec![(1, any)],
            writes: None,
        },
        Moment {
            name: "first-leg-of-a-creation",
            call: create("first-leg-of-a-creation", "other"),
            fault: held(json!({ "match": { "challenge": true } })),
            leaves_at: (1, is_challenge),
            fate: Fate::GivenUp,
            counts: vec![(1, any)],
            writes: None,
        },
        Moment {
            name: "list",
            call: list("list", "owner"),
            fault: held(json!({ "match": { "method": "GET" } })),
            leaves_at: (1, is_get),
            fate: Fate::GivenUp,
            counts: vec![(1, is_get)],
            writes: None,
        },
        Moment {
            name: "body-of-a-list",
            call: list("body-of-a-list", "owner"),
            fault: Some(json!({ "match": { "method": "GET" }, "do": "stall_body", "bytes": 10 })),
            leaves_at: (1, is_get),
            fate: Fate::GivenUp,
            counts: vec![(1, is_get)],
            writes: None,
        },
        Moment {
            name: "query",
            call: of_shop("query", "db_query", "SELECT n FROM shop.moments".into()),
            fault: held(json!({ "match": { "path": "/v1beta/sql" } })),
            leaves_at: (1, is_sql),
            fate: Fate::GivenUp,
            counts: vec![(1, is_sql)],
            writes: None,
        },
        Moment {
            name: "wait-for-a-state",
            call: Stage::tool(
                "wait-for-a-state",
                "owner",
                "tidbcloud_get_cluster",
                &json!({ "cluster": "waited-for", "waitSeconds": 20 }),
            ),
            fault: None,
            leaves_at: (2, is_get),
            fate: Fate::GivenUpBetween,
            counts: vec![(2, is_get)],
            writes: None,
        },
        Moment {
            name: "creation",
            call: create("creation", "other"),
            fault: held(json!({ "match": { "method": "POST" } })),
            leaves_at: (1, is_post),
            fate: Fate::Finished,
            counts: vec![(1, is_post)],
            writes: None,
        },
        Moment {
            name: "creation-whose-answer-is-lost",
            call: create("creation-whose-answer-is-lost", "other"),
            fault: Some(json!({ "match": { "method": "POST" }, "do": "stall_body", "bytes": 10 })),
            leaves_at: (1, is_post),
            fate: Fate::Finished,
            counts: vec![(1, is_post), (1, is_get)],
            writes: None,
        },
        Moment {
            name: "deletion",
            call: Stage::tool("deletion", "owner", "tidbcloud_delete_cluster", &json!({ "cluster": "to-be-deleted" })),
            fault: held(json!({ "match": { "method": "DELETE" } })),
            leaves_at: (1, is_delete),
            fate: Fate::Finished,
            counts: vec![(1, is_delete)],
            writes: None,
        },
        transaction("begin", 0, 10),
        transaction("first-statement", 1, 11),
        transaction("second-statement", 3, 12),
        transaction("commit", 5, 13),
        Moment {
            name: "transaction-that-fails-later",
            call: of_shop("transaction-that-fails-later", "db_execute", json!(failing)),
            fault: held(json!({ "match": { "path": "/v1beta/sql", "after": 1 } })),
            leaves_at: (2, is_sql),
            fate: Fate::Finished,
            // BEGIN, both statements, warnings of the first, ROLLBACK.
            counts: vec![(5, is_sql)],
            writes: None,
        },
        Moment {
            name: "changes-of-schema",
            call: of_shop("changes-of-schema", "db_execute", json!(tables)),
            fault: held(json!({ "match": { "path": "/v1beta/sql" } })),
            leaves_at: (1, is_sql),
            fate: Fate::Finished,
            counts: vec![(3, is_sql)],
            writes: None,
        },
    ]
}

/// The rows of the table that transactions change.
fn rows() -> Value {
    let query = json!({ "cluster": "shop", "sql": "SELECT n FROM shop.moments ORDER BY id" });
    stage().done("owner", "db_query", &query)["rows"].clone()
}

fn clusters(name: &str) -> Vec<Value> {
    let state = stage().admin("GET", "state", &Value::Null);
    let clusters = state["clusters"].as_array().expect("clusters").clone();
    clusters.into_iter().filter(|cluster| cluster["displayName"] == name).collect()
}

/// Plays a moment up to the end of its call; gives what TiDB Cloud saw of it.
fn play(moment: &Moment) -> Vec<Value> {
    let (stage, name) = (stage(), moment.name);
    let before = stage.requests().len();
    let of_call = || stage.requests().split_off(before);
    if let Some(fault) = &moment.fault {
        stage.fault(fault);
    }
    let client = stage.begin(&moment.call);
    let (count, is_like) = moment.leaves_at;
    until(&format!("the moment {name}"), || {
        (of_call().iter().filter(|request| is_like(request)).count() >= count).then_some(())
    });
    client.leave();
    let line = stage.line(name);
    assert_eq!(line["client_left"], true, "{name}: the log says that the client went away: {line}");
    let is_given_up = line["status"] == 499;
    assert_eq!(is_given_up, moment.fate != Fate::Finished, "{name} should have been {:?}: {line}", moment.fate);
    if moment.fate == Fate::GivenUp {
        until(&format!("the end of the request that {name} waited for"), || {
            of_call().last().filter(|request| request["givenUp"] == true).map(drop)
        });
    }
    let requests = of_call();
    for (count, is_like) in &moment.counts {
        let like = requests.iter().filter(|request| is_like(request)).count();
        assert_eq!(like, *count, "{name}: how often TiDB Cloud was asked: {requests:?}");
    }
    stage.admin("DELETE", "faults", &Value::Null);
    requests
}

/// Clusters, a table, SQL users that work, and everything about `shop` in the Worker's memory.
fn prepare() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let stage = stage();
        for name in ["to-be-deleted", "asked-about", "agreed-to"] {
            let cluster = json!({ "displayName": name, "region": "regions/aws-us-east-1" });
            stage.done("owner", "tidbcloud_create_cluster", &cluster);
        }
        let sql =
            ["CREATE TABLE shop.moments (id INT PRIMARY KEY, n INT)", "CREATE TABLE shop.doomed (id INT PRIMARY KEY)"];
        stage.done("owner", "db_execute", &json!({ "cluster": "shop", "sql": sql }));
        stage.done(
            "owner",
            "db_execute",
            &json!({ "cluster": "shop", "sql": "INSERT INTO shop.moments VALUES (1, 0), (2, 0)" }),
        );
        rows();
    });
}

#[test]
fn a_client_that_goes_away_ends_a_read_and_never_a_change() {
    prepare();
    let stage = stage();
    for moment in moments() {
        let name = moment.name;
        if name == "wait-for-a-state" {
            // It is CREATING for ten seconds from here.
            let cluster = json!({ "displayName": "waited-for", "region": "regions/aws-us-east-1" });
            stage.done("owner", "tidbcloud_create_cluster", &cluster);
        }
        let before = if name == "transaction-that-fails-later" { rows() } else { Value::Null };
        play(&moment);
        match name {
            "first-leg-of-a-creation" => assert!(clusters(name).is_empty(), "{name}: nothing was created"),
            "creation" | "creation-whose-answer-is-lost" => {
                assert_eq!(clusters(name).len(), 1, "{name}: created exactly once");
                stage.done("other", "tidbcloud_delete_cluster", &json!({ "cluster": name }));
            }
            "deletion" => {
                let left = clusters("to-be-deleted");
                assert!(left.iter().all(|cluster| cluster["state"] == "DELETING"), "{name}: {left:?}");
            }
            "transaction-that-fails-later" => assert_eq!(rows(), before, "{name}: nothing of it took effect"),
            "changes-of-schema" => {
                let list = json!({ "cluster": "shop", "sql": "SELECT COUNT(*) FROM information_schema.tables WHERE table_name LIKE 'left\\_%'" });
                let counted = stage.done("owner", "db_query", &list)["rows"].to_string();
                assert!(counted.contains('3'), "{name}: all statements ran: {counted}");
            }
            _ => {}
        }
        if let Some(value) = moment.writes {
            let changed = rows().to_string();
            assert_eq!(changed.matches(&value.to_string()).count(), 2, "{name}: both rows were changed: {changed}");
            // A session that was left open would hold locks on them.
            stage.done("owner", "db_execute", &json!({ "cluster": "shop", "sql": both_rows(0) }));
        }
    }
}

#[test]
fn a_transaction_that_cannot_finish_alone_is_rolled_back_in_time() {
    prepare();
    let before = rows();
    let moment = Moment {
        fault: Some(json!({ "match": { "path": "/v1beta/sql", "after": 3 }, "do": "stall", "when": "before" })),
        // BEGIN, both statements, warnings of the first, ROLLBACK.
        counts: vec![(5, is_sql)],
        ..transaction("stalled-statement", 3, 77)
    };
    play(&moment);
    let line = stage().line(moment.name);
    let millis = line["millis"].as_u64().expect("a time");
    // The platform ends what runs 30 s after its client went away, and a statement alone could take 30 s.
    assert!((15_000..28_000).contains(&millis), "ended {millis} ms after it began, when its client went away: {line}");
    assert_eq!(rows(), before, "nothing of it took effect");
    stage().done("owner", "db_execute", &json!({ "cluster": "shop", "sql": both_rows(0) }));
}

/// A call by a client before 2026-07-28 that shows forms, in a session of its own; and the question, once it is asked.
struct Asking {
    client: super::stage::Client,
    question: Value,
    session: String,
}

fn with_person(mut call: Call) -> Call {
    call.headers.retain(|(name, _)| name != "X-MCP-Unattended");
    call
}

fn ask(name: &str, cluster: &str) -> Asking {
    let stage = stage();
    let client = json!({ "name": "disconnects", "version": "1" });
    let hello = json!({ "protocolVersion": "2025-11-25", "capabilities": { "elicitation": {} }, "clientInfo": client });
    let answer = stage.answer(with_person(request("2025-11-25", "owner", "initialize", hello)));
    let session = answer.header("Mcp-Session-Id").expect("a session").to_owned();
    let delete = json!({ "name": "tidbcloud_delete_cluster", "arguments": { "cluster": cluster } });
    let mut call = with_person(request("2025-11-25", "owner", "tools/call", delete));
    call.headers.push(("Mcp-Session-Id".to_owned(), session.clone()));
    call.headers.push(("X-Request-Id".to_owned(), name.to_owned()));
    let mut client = stage.begin(&call);
    let question = client.question();
    assert_eq!(question["method"], "elicitation/create", "{name}: a person is asked");
    Asking { client, question, session }
}

impl Asking {
    /// The person agrees.
    fn agree(&self, typed: &str) {
        let said = json!({ "action": "accept", "content": { "name": typed } });
        let mut call = with_person(request("2025-11-25", "owner", "", Value::Null));
        call.headers.push(("Mcp-Session-Id".to_owned(), self.session.clone()));
        call.body = json!({ "jsonrpc": "2.0", "id": self.question["id"], "result": said }).to_string().into_bytes();
        let answer = stage().answer(call);
        assert!(answer.status < 300, "an answer of the client is taken: {}", answer.status);
    }
}

#[test]
fn nothing_happens_for_a_client_that_goes_away_while_a_person_is_asked() {
    prepare();
    let asking = ask("while-asked", "asked-about");
    let before = stage().requests().len();
    let Asking { client, question, session } = asking;
    client.leave();
    let line = stage().line("while-asked");
    assert!(line["client_left"] == true && line["status"] == 499, "the call ended with its client: {line}");
    // The form may still be open, and the person may still press the button.
    let left_open = Asking {
        client: stage().begin(&Call { method: "GET".to_owned(), target: "/livez".to_owned(), ..Call::default() }),
        question,
        session,
    };
    left_open.agree("asked-about");
    let later = stage().requests().split_off(before);
    assert!(later.is_empty(), "TiDB Cloud is not asked for anything more: {later:?}");
    assert_eq!(clusters("asked-about").len(), 1, "the cluster is there");
}

#[test]
fn what_a_person_agreed_to_is_done_without_the_client() {
    prepare();
    let before = stage().requests().len();
    let asking = ask("while-done", "agreed-to");
    stage().fault(&held(json!({ "match": { "method": "DELETE" } })).expect("a fault"));
    asking.agree("agreed-to");
    let deletions = || stage().requests().split_off(before).into_iter().filter(is_delete).count();
    until("the deletion", || (deletions() > 0).then_some(()));
    asking.client.leave();
    let line = stage().line("while-done");
    assert!(line["client_left"] == true && line["status"] == 200, "the call went on to its end: {line}");
    assert_eq!(deletions(), 1, "deleted once");
    assert!(clusters("agreed-to").iter().all(|cluster| cluster["state"] == "DELETING"), "it is gone");
}

#[test]
fn a_confirmation_is_used_once_though_its_client_went_away() {
    prepare();
    let stage = stage();
    let drop_table = json!({ "cluster": "shop", "sql": "DROP TABLE shop.doomed" });
    let call = |name: &str| with_person(Stage::tool(name, "owner", "db_execute", &drop_table)).with_forms();
    let asked = stage.answer(call("question")).json();
    let state = asked["result"]["requestState"].clone();
    assert!(state.is_string(), "a person is asked: {asked}");
    let confirmed = |name: &str| {
        let mut call = call(name);
        let mut body: Value = serde_json::from_slice(&call.body).expect("JSON");
        body["params"]["requestState"] = state.clone();
        body["params"]["inputResponses"] = json!({ "confirm": { "action": "accept", "content": { "name": "shop" } } });
        call.body = body.to_string().into_bytes();
        call
    };
    let there = || {
        let list = json!({ "cluster": "shop", "sql": "SHOW TABLES FROM shop LIKE 'doomed'" });
        stage.done("owner", "db_query", &list)["rows"].to_string().contains("doomed")
    };
    assert!(there(), "the table is there at first");
    // Before the change: what is at stake is read, and counted.
    let sql = |requests: &[Value]| requests.iter().filter(|request| is_sql(request)).count();
    let before = stage.requests().len();
    let declined = stage.answer(call("how-much-is-read"));
    assert_eq!(declined.status, 200);
    let read_before = sql(&stage.requests().split_off(before));
    let moment = Moment {
        name: "confirmed",
        call: confirmed("confirmed"),
        fault: held(json!({ "match": { "path": "/v1beta/sql", "after": read_before } })),
        leaves_at: (read_before + 1, is_sql),
        fate: Fate::Finished,
        counts: vec![(read_before + 1, is_sql)],
        writes: None,
    };
    play(&moment);
    assert!(!there(), "what was confirmed was done");
    let again = json!({ "cluster": "shop", "sql": "CREATE TABLE shop.doomed (id INT PRIMARY KEY)" });
    stage.done("owner", "db_execute", &again);
    let second = stage.answer(confirmed("confirmed-twice")).json();
    assert!(second.to_string().contains("CONFIRMATION_INVALID"), "it counts once: {second}");
    assert!(there(), "the second table is still there");
}
