//! What goes wrong on a socket between workerd and TiDB Cloud: resets, bodies that stall, wrong lengths, endless and broken bodies.
//! The same cells as in the fault matrix, where their codes come from; here the HTTP client is the runtime's.

use std::{collections::BTreeMap, thread};

use serde_json::{Value, json};

use super::stage::{Stage, stage};

/// The calls that meet faults. Each matches requests that no other sends, so that all run at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Operation {
    /// Reads from the control plane.
    List,
    Create,
    Delete,
    /// Reads with SQL.
    Query,
    /// The first statement of a transaction.
    Transaction,
}

use Operation::{Create, Delete, List, Query, Transaction};

/// `ok`, or the code of the error; and the requests that TiDB Cloud saw of the kind that met the fault.
type Outcome = (&'static str, usize);

/// Each fault, and what calls that meet it once come to.
fn matrix() -> Vec<(Value, Vec<(Operation, Outcome)>)> {
    let no_answer = |when: &str| {
        // A read is sent again. So is a deletion: by this server, and before that by workerd, which repeats a request without a body
        // that had no answer if its connection had served another one. A creation is looked up.
        let create = if when == "before" { "OUTCOME_UNKNOWN" } else { "ok" };
        vec![
            (List, ("ok", 2)),
            (Create, (create, 1)),
            (Delete, ("ok", 3)),
            (Query, ("ok", 2)),
            (Transaction, ("UPSTREAM_UNAVAILABLE", 3)),
        ]
    };
    let broken_body = || {
        vec![
            (List, ("ok", 2)),
            (Create, ("ok", 1)),
            (Delete, ("ok", 2)),
            (Query, ("ok", 2)),
            (Transaction, ("UPSTREAM_UNAVAILABLE", 3)),
        ]
    };
    vec![
        (json!({ "do": "drop", "when": "after" }), no_answer("after")),
        (json!({ "do": "reset", "when": "before" }), no_answer("before")),
        (json!({ "do": "reset", "when": "after" }), no_answer("after")),
        (json!({ "do": "half_close", "when": "after" }), no_answer("after")),
        (json!({ "do": "reset", "bytes": 10 }), broken_body()),
        (json!({ "do": "truncate", "bytes": 10 }), broken_body()),
        (json!({ "do": "bad_gzip" }), broken_body()),
        (json!({ "do": "bad_chunks" }), broken_body()),
        // What follows the announced length is not read, and what is read is not whole. That a deletion succeeded is in its status.
        (
            json!({ "do": "length", "by": -5 }),
            vec![
                (List, ("ok", 2)),
                (Create, ("ok", 1)),
                (Delete, ("ok", 1)),
                (Query, ("ok", 2)),
                (Transaction, ("UPSTREAM_INVALID_RESPONSE", 3)),
            ],
        ),
        // Reading ends at a length, and the connection with it. All rows were read by then.
        (
            json!({ "do": "endless" }),
            vec![
                (List, ("RESULT_TOO_LARGE", 1)),
                (Create, ("ok", 1)),
                (Delete, ("ok", 1)),
                (Query, ("ok", 1)),
                (Transaction, ("RESULT_TOO_LARGE", 3)),
            ],
        ),
        (
            json!({ "do": "slow", "bytes": 300 }),
            vec![
                (List, ("ok", 1)),
                (Create, ("ok", 1)),
                (Delete, ("ok", 1)),
                (Query, ("ok", 1)),
                // BEGIN, both statements with their warnings, COMMIT.
                (Transaction, ("ok", 6)),
            ],
        ),
        // These take an attempt's time, 8 s. SQL has 30 s.
        (json!({ "do": "stall", "when": "before" }), vec![(Create, ("OUTCOME_UNKNOWN", 1)), (Delete, ("ok", 2))]),
        (json!({ "do": "stall_body", "bytes": 10 }), vec![(List, ("ok", 2)), (Create, ("ok", 1))]),
        (json!({ "do": "length", "by": 5 }), vec![(List, ("ok", 2)), (Delete, ("ok", 2))]),
    ]
}

impl Operation {
    /// Method and path of the requests that meet the fault, as the sandbox matches them.
    fn method_and_path(self) -> (&'static str, &'static str) {
        match self {
            List => ("GET", r"^/v1beta1/clusters/\d+/branches(\?.*)?$"),
            Create => ("POST", r"^/v1beta1/clusters$"),
            Delete => ("DELETE", r"^/v1beta1/clusters/\d+/branches/"),
            Query | Transaction => ("POST", r"^/v1beta/sql$"),
        }
    }

    fn is_like(self, request: &Value) -> bool {
        let path = request["path"].as_str().unwrap_or_default();
        let path = path.split('?').next().unwrap_or_default();
        let method_fits = request["method"] == self.method_and_path().0;
        let is_challenge = self != Delete && request["status"] == 401;
        method_fits
            && !is_challenge
            && match self {
                List => path.ends_with("/branches"),
                Create => path == "/v1beta1/clusters",
                Delete => path.contains("/branches/"),
                Query | Transaction => path == "/v1beta/sql",
            }
    }

    /// One call, from an address and with a name of its own; `ok` or the code of its error.
    fn call(self, name: &str, branch: &Value) -> String {
        // Neither takes a plan, so that the first statement meets the fault.
        let rows =
            [1, 2].map(|id| format!("INSERT INTO shop.sockets VALUES ({id}, 0) ON DUPLICATE KEY UPDATE n = n + 1"));
        let (who, tool, arguments) = match self {
            List => ("viewer", "tidbcloud_list_branches", json!({ "cluster": branch["clusterId"] })),
            Create => {
                let cluster =
                    json!({ "displayName": name, "region": "regions/aws-us-east-1", "spendingLimitUsdCents": 100 });
                ("other", "tidbcloud_create_cluster", cluster)
            }
            Delete => (
                "owner",
                "tidbcloud_delete_branch",
                json!({ "cluster": branch["clusterId"], "branch": branch["branchId"] }),
            ),
            Query => ("owner", "db_query", json!({ "cluster": branch["clusterId"], "sql": "SELECT 1" })),
            Transaction => ("owner", "db_execute", json!({ "cluster": branch["clusterId"], "sql": rows })),
        };
        let answer = stage().answer(Stage::tool(name, who, tool, &arguments)).json();
        let result = &answer["result"];
        match (result["isError"] == true, result["structuredContent"]["error"]["code"].as_str()) {
            (false, _) if answer["error"].is_null() => "ok".to_owned(),
            (_, Some(code)) => code.to_owned(),
            _ => answer.to_string(),
        }
    }
}

/// The sum of the rows that transactions change.
fn sum(shop: &str) -> String {
    let query = json!({ "cluster": shop, "sql": "SELECT n FROM shop.sockets ORDER BY id" });
    stage().done("owner", "db_query", &query)["rows"].to_string()
}

/// Calls one operation after the other with each fault; gives what went another way than it should.
fn play(operations: &[Operation], shop: &str) -> Vec<String> {
    let stage = stage();
    let mut wrong = Vec::new();
    for (number, (fault, cells)) in matrix().into_iter().enumerate() {
        for (operation, expected) in cells.into_iter().filter(|(operation, _)| operations.contains(operation)) {
            let name = format!("socket-{number}-{operation:?}").to_lowercase();
            let mut place = json!({ "clusterId": shop });
            if operation == Delete {
                // Each deletion has a minute of the key's limit of its own, and a nonce of that minute.
                stage.admin("POST", "clock", &json!({ "advanceSeconds": 61 }));
                stage.done("owner", "tidbcloud_get_cluster", &json!({ "cluster": shop }));
                let branch = json!({ "cluster": shop, "displayName": name });
                place["branchId"] = stage.done("owner", "tidbcloud_create_branch", &branch)["branchId"].clone();
            }
            let before = if operation == Transaction { sum(shop) } else { String::new() };
            let (method, path) = operation.method_and_path();
            let mut ordered = fault.clone();
            // Of a transaction, BEGIN passes.
            ordered["match"] =
                json!({ "method": method, "path": path, "after": usize::from(operation == Transaction) });
            let seen = || stage.requests().iter().filter(|request| operation.is_like(request)).count();
            let seen_before = seen();
            stage.fault(&ordered);
            let outcome = operation.call(&name, &place);
            let count = seen() - seen_before;
            let workerd_did_not_repeat = operation == Delete && expected == ("ok", 3) && count == 2;
            if outcome != expected.0 || count != expected.1 && !workerd_did_not_repeat {
                wrong.push(format!("{operation:?} with {fault}: {outcome} after {count} requests, not {expected:?}"));
            }
            if operation == Transaction {
                let is_whole = (sum(shop) == before) == (outcome != "ok");
                if !is_whole {
                    wrong.push(format!("{operation:?} with {fault}: {outcome}, and {before} became {}", sum(shop)));
                }
            }
        }
    }
    wrong
}

#[test]
fn what_goes_wrong_on_a_socket_ends_as_the_matrix_says() {
    let stage = stage();
    // Faults and requests of other tests, and the minute of the keys' limit, are over.
    stage.admin("DELETE", "faults", &Value::Null);
    stage.admin("POST", "clock", &json!({ "advanceSeconds": 61 }));
    let shop = stage.admin("GET", "state", &Value::Null)["shopClusterId"].as_str().expect("a cluster").to_owned();
    let sql = json!([
        "CREATE TABLE shop.sockets (id INT PRIMARY KEY, n INT)",
        "INSERT INTO shop.sockets VALUES (1, 0), (2, 0)"
    ]);
    for sql in sql.as_array().expect("statements") {
        stage.done("owner", "db_execute", &json!({ "cluster": shop, "sql": sql }));
    }
    sum(&shop);
    // A key that TiDB Cloud is known to accept is not doubted for a connection that dropped.
    stage.done("viewer", "tidbcloud_list_branches", &json!({ "cluster": shop }));
    let threads: [&[Operation]; 4] = [&[List], &[Create], &[Delete], &[Query, Transaction]];
    let wrong: Vec<String> = thread::scope(|scope| {
        let players: Vec<_> = threads.map(|operations| scope.spawn(|| play(operations, &shop))).into_iter().collect();
        players.into_iter().flat_map(|player| player.join().expect("a player")).collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // No creation was repeated, whatever its answer was.
    let state = stage.admin("GET", "state", &Value::Null);
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    for cluster in state["clusters"].as_array().expect("clusters") {
        *names.entry(cluster["displayName"].as_str().unwrap_or_default()).or_default() += 1;
    }
    let twice: Vec<_> = names.iter().filter(|(name, count)| name.starts_with("socket-") && **count > 1).collect();
    assert!(twice.is_empty(), "created more than once: {twice:?}");
}
