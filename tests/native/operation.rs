//! One call of each kind against a service whose upstream is in trouble: what it asks for, what the client is told, and what
//! must have happened then.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use mcp_server_tidbcloud::app::Isolate;
use serde_json::{Value, json};
use tidbcloud_sandbox::control::SHOP_CLUSTER_ID;

use crate::{
    judge::Schemas,
    ledger::Ledger,
    support::{
        Answer, Call, Driver,
        bad_inputs::tool,
        keys,
        oauth::{Flow, Page, browser_form, form, with, with_token},
        transcript::Judge,
    },
    world::{Asked, Native},
};

/// A kind of operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// A read of the control plane.
    Read,
    /// A new cluster.
    Create,
    /// A new branch.
    Branch,
    /// Another name for a cluster.
    Update,
    /// The end of a cluster.
    Delete,
    /// A read by SQL.
    Query,
    /// A write of one statement.
    Write,
    /// A transaction of two statements; trouble strikes the first.
    Statement,
    /// The same; trouble strikes its COMMIT.
    Commit,
    /// A person gives their keys on the consent page.
    Consent,
    /// A client redeems a code for tokens.
    Redeem,
}

use Operation::{Branch, Commit, Consent, Create, Delete, Query, Read, Redeem, Statement, Update, Write};

impl Operation {
    pub const ALL: [Self; 11] =
        [Read, Create, Branch, Update, Delete, Query, Write, Statement, Commit, Consent, Redeem];

    /// The head of its column.
    pub fn name(self) -> &'static str {
        match self {
            Read => "read",
            Create => "create",
            Branch => "branch",
            Update => "update",
            Delete => "delete",
            Query => "query",
            Write => "write",
            Statement => "statement",
            Commit => "commit",
            Consent => "consent",
            Redeem => "redeem",
        }
    }

    /// The tool that does it, if one does.
    pub fn tool(self) -> &'static str {
        match self {
            Read => "tidbcloud_get_cluster",
            Create => "tidbcloud_create_cluster",
            Branch => "tidbcloud_create_branch",
            Update => "tidbcloud_update_cluster",
            Delete => "tidbcloud_delete_cluster",
            Query => "db_query",
            Write | Statement | Commit => "db_execute",
            Consent | Redeem => "",
        }
    }

    /// Whether it runs SQL.
    pub fn is_sql(self) -> bool {
        matches!(self, Query | Write | Statement | Commit)
    }

    /// The request that the operation is about, as faults of the sandbox match it: method, path, and how many pass first.
    pub fn subject(self) -> (&'static str, &'static str, u32) {
        match self {
            Read => ("GET", "^/v1beta1/clusters/[0-9]+$", 0),
            Create => ("POST", "^/v1beta1/clusters$", 0),
            Branch => ("POST", "^/v1beta1/clusters/[0-9]+/branches$", 0),
            Update => ("PATCH", "^/v1beta1/clusters/[0-9]+$", 0),
            Delete => ("DELETE", "^/v1beta1/clusters/[0-9]+$", 0),
            Query | Write => ("POST", "^/v1beta/sql", 0),
            // After BEGIN.
            Statement => ("POST", "^/v1beta/sql", 1),
            // After BEGIN, and two statements with their warnings.
            Commit => ("POST", "^/v1beta/sql", 5),
            Consent => ("GET", "^/v1beta1/clusters", 0),
            // Nothing is asked of TiDB Cloud.
            Redeem => ("GET", "^/$", 0),
        }
    }

    /// The longest that a call may take, in milliseconds: 28 s, 55 s for SQL, 10 s for keys on a page.
    pub fn millis_max(self) -> u64 {
        match self {
            Read | Create | Branch | Update | Delete => 28_000,
            Query | Write | Statement | Commit => 55_000,
            Consent | Redeem => 10_000,
        }
    }
}

thread_local! {
    /// Schemas take longer to read than calls to make.
    static JUDGE: RefCell<Schemas> = RefCell::default();
}

/// What a client knows of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// It was carried out.
    Done,
    /// It was not.
    NotDone,
    /// Nobody knows, or the call ended without an answer.
    Unknown,
}

/// One call that was made.
pub struct Made {
    /// `ok`, the code of the error, the HTTP status of a refusal, or `gone`; with the seconds to wait after `@`.
    pub outcome: String,
    pub told: Told,
    /// How long it took.
    pub millis: u64,
    /// Requests with credentials that arrived at TiDB Cloud meanwhile, by method.
    pub requests: BTreeMap<String, usize>,
    /// Everything that arrived there, one line each.
    pub saw: Vec<String>,
}

/// What there is at a time.
struct Seen {
    /// How often what an operation makes is there; for a deletion, how often it is gone.
    count: usize,
    /// Everything else, which it must leave as it is: clusters and branches by id and name, and rows.
    others: (Vec<[String; 3]>, Vec<u64>),
}

/// The service, its upstream, and what there was before.
pub struct Bench {
    pub server: Native,
    pub ledger: Rc<RefCell<Ledger>>,
    /// The cluster that is renamed and deleted.
    pub spare: String,
    page: Option<(Flow, Page)>,
    code: Option<(Flow, String)>,
    /// In place of keys.
    token: Option<String>,
    /// The private half that the caller gives.
    private_key: String,
}

impl Bench {
    /// A service with a cluster besides the sample.
    pub fn warm() -> Self {
        let mut bench = Self::cold();
        let server = &mut bench.server;
        let spare = called(
            server,
            "tidbcloud_create_cluster",
            &json!({"displayName": "spare", "region": "regions/aws-us-east-1"}),
        );
        server.advance(60);
        bench.spare = spare["clusterId"].as_str().expect("an id").to_owned();
        bench
    }

    /// An isolate that was busy a moment ago, and so has a nonce.
    pub fn busy(mut self) -> Self {
        called(&mut self.server, "tidbcloud_get_cluster", &json!({"cluster": SHOP_CLUSTER_ID}));
        self
    }

    /// The same, which can run SQL.
    pub fn warm_for_sql(mut self) -> Self {
        called(&mut self.server, "db_query", &json!({"cluster": SHOP_CLUSTER_ID, "sql": Ledger::SELECT}));
        let insert = json!({"cluster": SHOP_CLUSTER_ID, "sql": [Ledger::insert(0)]});
        called(&mut self.server, "db_execute", &insert);
        self.server.advance(60);
        self
    }

    /// A service that has just started.
    pub fn cold() -> Self {
        let server = Native::new();
        let ledger = Ledger::behind(&server);
        Self { server, ledger, spare: String::new(), page: None, code: None, token: None, private_key: keys("owner").1 }
    }

    /// For a consent, which begins with a page.
    pub fn with_page(mut self) -> Self {
        let flow = Flow::new(&mut self.server);
        let page = flow.page(&mut self.server);
        self.page = Some((flow, page));
        self
    }

    /// For a redemption, which begins with a code.
    pub fn with_code(mut self) -> Self {
        let flow = Flow::new(&mut self.server);
        let code = flow.code(&mut self.server, Flow::typed("owner", "tidb:read"));
        self.code = Some((flow, code));
        self
    }

    /// The calls are made by a client whom somebody gave a token, and not with keys.
    pub fn take_token(&mut self) {
        let flow = Flow::new(&mut self.server);
        self.token = Some(flow.tokens(&mut self.server, "tidb:destroy").access);
        self.server.world.subrequests.borrow_mut().clear();
    }

    /// From here on the caller has this private half.
    pub fn take_private_key(&mut self, private_key: &str) {
        private_key.clone_into(&mut self.private_key);
    }

    /// The trouble is over.
    pub fn calm(&mut self) {
        let server = &mut self.server;
        server.admin("DELETE", "/_sandbox/faults", None);
        server.world.limiter_fails.set(None);
        server.world.storage_fails.set(false);
        server.world.loses_reply.set(None);
        server.world.latency.set(0);
        self.private_key = keys("owner").1;
    }

    /// Calls work again once the trouble is over: within two minutes, in which each limit whose clock stepped back may refuse.
    pub fn recovers(&mut self, operation: Operation, place: &str) {
        self.calm();
        let again = if operation.is_sql() { Write } else { Read };
        let mut last = String::new();
        for later in 1..=12 {
            self.server.advance(10);
            let made = self.make(again, u64::MAX - later, &format!("{place}, {later}0 seconds later"), None);
            if made.outcome == "ok" {
                return;
            }
            last = made.outcome;
        }
        panic!("{place}: everything works within two minutes after the trouble, and a call is told {last}");
    }

    /// Whether the cluster is there that can be renamed and deleted.
    pub fn has_spare(&mut self) -> bool {
        let state = self.state();
        state["clusters"]
            .as_array()
            .expect("clusters")
            .iter()
            .any(|cluster| cluster["clusterId"] == self.spare.as_str())
    }

    /// Three callers in turn ask for what cannot be reached, so many times; then it can be reached again.
    pub fn break_circuit(&mut self, operation: Operation, calls: u64) {
        let server = &mut self.server;
        for is_challenge in [true, false] {
            let matching = json!({"path": "/", "times": 1_000, "challenge": is_challenge});
            let fault = json!({"do": "drop", "when": "before", "match": matching});
            server.admin("POST", "/_sandbox/faults", Some(json!({"faults": [fault]})));
        }
        let call = self.call(if operation.is_sql() { Query } else { Read }, 0);
        for number in 0..calls {
            let (public, private) = keys(["owner", "other", "viewer"][usize::try_from(number % 3).expect("an index")]);
            let call = call.clone().set("X-TiDB-API-Public-Key", public).set("X-TiDB-API-Private-Key", &private);
            self.server.send(call);
        }
        self.server.admin("DELETE", "/_sandbox/faults", None);
    }

    /// A cluster that can be renamed and deleted; one that is gone, if there is no other.
    pub fn another_spare(&mut self) -> String {
        let state = self.state();
        let mut all = state["clusters"].as_array().expect("clusters").iter();
        let other =
            all.find(|cluster| cluster["clusterId"] != SHOP_CLUSTER_ID).and_then(|one| one["clusterId"].as_str());
        other.unwrap_or(&self.spare).to_owned()
    }

    /// The isolate ends, and another one goes on.
    pub fn restart(&mut self) {
        self.server.isolate = Isolate::new();
    }

    /// The request of an operation. Whatever it makes is named by `number`.
    fn call(&self, operation: Operation, number: u64) -> Call {
        let shop = SHOP_CLUSTER_ID;
        let inserts = || [Ledger::insert(number), Ledger::insert(number)];
        let arguments = match operation {
            Read => json!({"cluster": shop}),
            Create => json!({"displayName": name(number), "region": "regions/aws-us-east-1"}),
            Branch => json!({"cluster": shop, "displayName": name(number)}),
            Update => json!({"cluster": self.spare, "displayName": name(number)}),
            Delete => json!({"cluster": self.spare}),
            Query => json!({"cluster": shop, "sql": Ledger::SELECT}),
            Write => json!({"cluster": shop, "sql": [Ledger::insert(number)]}),
            Statement | Commit => json!({"cluster": shop, "sql": inserts()}),
            Consent => {
                let (flow, page) = self.page.as_ref().expect("a page");
                let typed = with(Flow::typed("owner", "tidb:read"), "privateKey", &self.private_key);
                let all = page.hidden.iter().cloned().chain(typed).collect();
                return browser_form(&flow.origin, "/consent", &page.cookie, &all);
            }
            Redeem => {
                let (flow, code) = self.code.as_ref().expect("a code");
                return form("/token", &flow.redemption(code));
            }
        };
        let call = tool(operation.tool(), arguments);
        match &self.token {
            Some(token) => with_token(call, token),
            None => call.set("X-TiDB-API-Private-Key", &self.private_key),
        }
    }

    /// Makes one call, and holds everything about it that is true of every call. `place` says which, where it is not.
    ///
    /// With `cut_off_after`, the isolate ends when the call waits for the so manieth time.
    pub fn make(&mut self, operation: Operation, number: u64, place: &str, cut_off_after: Option<usize>) -> Made {
        let (call, world) = (self.call(operation, number), Rc::clone(&self.server.world));
        let before = self.seen(operation, number);
        let begin = world.clock.get();
        // A grant whose making was not confirmed to the server is one whose code nobody was given.
        let may_lose_reply = world.loses_reply.get().is_some();
        world.asked.borrow_mut().clear();
        world.subrequests.borrow_mut().clear();
        let answer = match cut_off_after {
            Some(waits) => self.server.cut_off(call, waits),
            None => Some(self.server.send(call)),
        };
        let mut made = self.judged(operation, place, answer.as_ref(), begin);
        if operation == Consent && may_lose_reply && made.told == Told::NotDone {
            made.told = Told::Unknown;
        }
        let after = self.seen(operation, number);
        let (least, most) = match made.told {
            Told::Done => (1, 1),
            Told::NotDone => (0, 0),
            Told::Unknown => (0, 1),
        };
        let happened = after.count - before.count;
        let changes = !matches!(operation, Read | Query);
        assert!(
            !changes || (least..=most).contains(&happened),
            "{place}: what a client was told is what happened: it was told {}, and it happened {happened} times; \
             TiDB Cloud saw\n    {}",
            made.outcome,
            made.saw.join("\n    ")
        );
        assert_eq!(before.others, after.others, "{place}: nothing else changed");
        made
    }

    /// What every call must be like, whatever its outcome.
    fn judged(&self, operation: Operation, place: &str, answer: Option<&Answer>, begin: u64) -> Made {
        let world = &self.server.world;
        let millis = world.clock.get().saturating_sub(begin);
        let (outcome, told) = match answer {
            None => ("gone".to_owned(), Told::Unknown),
            Some(answer) if operation == Consent || operation == Redeem => authorization_outcome(answer, operation),
            Some(answer) => tool_outcome(answer, place, operation.tool()),
        };
        let mut requests = BTreeMap::new();
        let mut creates = 0;
        for asked in world.asked.borrow().iter() {
            if !asked.has_credentials {
                assert!(asked.body.is_empty(), "{place}: a body is sent with credentials only: {}", asked.target);
                continue;
            }
            *requests.entry(asked.method.clone()).or_default() += 1;
            let path = asked.target.split('?').next().unwrap_or_default();
            let makes = asked.method == "POST" && (path.ends_with("/clusters") || path.ends_with("/branches"));
            // Refused for the nonce or the number of requests: proven not to have been carried out.
            creates += usize::from(makes && !matches!(asked.status, 401 | 429));
        }
        assert!(creates <= 1, "{place}: a create is sent once: it was sent {creates} times");
        let subrequests = world.subrequests.borrow().len();
        assert!(subrequests <= 50, "{place}: a call has 50 subrequests on the free plan: {subrequests}");
        let most = operation.millis_max() + 500;
        assert!(millis <= most, "{place}: a call ends within its time: {millis} ms of {most} ms");
        self.assert_secrets_kept(place, answer);
        Made { outcome, told, millis, requests, saw: self.saw(begin) }
    }

    /// What TiDB Cloud saw during the last call, which began at `begin`.
    pub fn saw(&self, begin: u64) -> Vec<String> {
        let line = |asked: &Asked| {
            let credentials = if asked.has_credentials { "with" } else { "without" };
            let after = asked.millis.saturating_sub(begin);
            format!("{after:>6} ms {} {} {credentials} credentials: {}", asked.method, asked.target, asked.status)
        };
        self.server.world.asked.borrow().iter().map(line).collect()
    }

    /// No private key leaves in any form that can be read, not to TiDB Cloud, a client or the log; no SQL password but where it
    /// belongs.
    fn assert_secrets_kept(&self, place: &str, answer: Option<&Answer>) {
        let (_, private) = keys("owner");
        let world = &self.server.world;
        for (target, sent) in world.sent.borrow_mut().drain(..) {
            assert!(!sent.contains(&private), "{place}: a private key was sent to {target}");
        }
        for line in world.log.borrow_mut().drain(..) {
            assert!(!line.contains(&private) && !line.contains("canary"), "{place}: a secret is in the log: {line}");
        }
        let body = answer.map(|answer| String::from_utf8_lossy(&answer.body)).unwrap_or_default();
        assert!(
            !body.contains(&private) && !body.contains("canary-server"),
            "{place}: a secret is in the answer: {body}"
        );
    }

    /// What there is at TiDB Cloud and in the store now.
    fn seen(&mut self, operation: Operation, number: u64) -> Seen {
        let state = self.state();
        let (made, spare) = (name(number), self.spare.as_str());
        let list = |list: &str| state[list].as_array().map(Vec::as_slice).unwrap_or_default();
        let (clusters, branches) = (list("clusters"), list("branches"));
        let named = |all: &[Value]| all.iter().filter(|one| one["displayName"] == made.as_str()).count();
        let ledger = self.ledger.borrow();
        let count = match operation {
            Read | Query => 0,
            Create | Update => named(clusters),
            Branch => named(branches),
            Delete => usize::from(!clusters.iter().any(|one| one["clusterId"] == spare)),
            Write => ledger.count(number),
            Statement | Commit => {
                let count = ledger.count(number);
                assert!(
                    count.is_multiple_of(2),
                    "a transaction is carried out whole or not at all: {count} of its rows are there"
                );
                count / 2
            }
            Consent => self.grants(|_| true),
            Redeem => self.grants(|grant| grant["access"].as_array().is_some_and(|tokens| !tokens.is_empty())),
        };
        let is_other = |one: &Value| match operation {
            Create | Branch => one["displayName"] != made.as_str(),
            // The branches go with it.
            Delete => one["clusterId"] != spare,
            _ => true,
        };
        let other = |one: &Value| {
            let is_renamed = operation == Update && one["clusterId"] == spare;
            let id = |name: &str| one[name].as_str().unwrap_or_default().to_owned();
            [id("clusterId"), id("branchId"), if is_renamed { String::new() } else { id("displayName") }]
        };
        let instances = clusters.iter().chain(branches).filter(|one| is_other(one)).map(other).collect();
        let rows = ledger.entries.iter().copied().filter(|entry| *entry != number).collect();
        Seen { count, others: (instances, rows) }
    }

    /// How many grants there are like this.
    fn grants(&self, is: fn(&Value) -> bool) -> usize {
        let objects = self.server.world.objects.borrow();
        let grants = objects.iter().filter(|(name, _)| name.starts_with("grant:"));
        grants.filter(|(_, stored)| is(&serde_json::from_str::<Value>(stored).expect("JSON")["grant"])).count()
    }

    /// The state of TiDB Cloud.
    pub fn state(&mut self) -> Value {
        self.server.admin("GET", "/_sandbox/state", None)
    }
}

/// The name of what an operation makes.
fn name(number: u64) -> String {
    format!("made-{number}")
}

/// A call that must succeed.
fn called(server: &mut Native, name: &str, arguments: &Value) -> Value {
    let answer = server.send(tool(name, arguments.clone())).json();
    assert_ne!(answer["result"]["isError"], json!(true), "{name}: {answer}");
    answer["result"]["structuredContent"].clone()
}

/// What the answer to a tool's call says.
fn tool_outcome(answer: &Answer, place: &str, tool: &str) -> (String, Told) {
    let body = answer.json();
    assert_eq!(body["jsonrpc"], "2.0", "{place}: every answer is one of JSON-RPC: {body}");
    let is_early = body["id"].is_null() && matches!(answer.status, 429 | 503);
    assert!(is_early || body["id"] == 1, "{place}: an answer has the id of its request, if that was read: {body}");
    if answer.status != 200 {
        assert!(body["error"]["data"]["requestId"].is_string(), "{place}: a refusal has a request id: {body}");
        return (answer.status.to_string(), Told::NotDone);
    }
    let result = &body["result"];
    assert_eq!(result["resultType"], "complete", "{place}: the result is complete: {body}");
    let error = &result["structuredContent"]["error"];
    let is_error = result["isError"] == json!(true);
    assert_eq!(
        is_error,
        error["code"].is_string(),
        "{place}: `isError` is set exactly where there is a code: {result}"
    );
    JUDGE.with_borrow_mut(|judge| judge.tool_result(place, tool, result));
    let Some(code) = error["code"].as_str() else {
        // Made by a call whose answer was lost, and found.
        let is_found = result["structuredContent"]["reconciled"] == json!(true);
        return (if is_found { "reconciled" } else { "ok" }.to_owned(), Told::Done);
    };
    assert_ne!(code, "INTERNAL", "{place}: nothing upstream is a fault of this server: {error}");
    let seconds = error["retryAfterSeconds"].as_u64().map(|seconds| format!("@{seconds}")).unwrap_or_default();
    let took_effect = &error["details"]["tookEffect"];
    assert!(took_effect.is_null() || *took_effect == json!(0) || code == "OUTCOME_UNKNOWN", "{place}: {error}");
    let told = if code == "OUTCOME_UNKNOWN" { Told::Unknown } else { Told::NotDone };
    (format!("{code}{seconds}"), told)
}

/// What a page or the token endpoint says. An answer of the store that was lost may have been the one that counts.
fn authorization_outcome(answer: &Answer, operation: Operation) -> (String, Told) {
    let told = match answer.status {
        200 => Told::Done,
        503 if operation == Redeem => Told::Unknown,
        _ => Told::NotDone,
    };
    (answer.status.to_string(), told)
}
