//! Conversations with the core of the sandbox. Every answer of a TiDB Cloud host is held against the contract.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a helper that fails is a test that fails"
)]

use std::collections::BTreeSet;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use md5::{Digest as _, Md5};
use serde_json::{Value, json};
use tidbcloud_sandbox::{
    control::{
        ACCEPTING_MILLIS, BRANCHES_MAX, CREATING_MILLIS, EXPORT_MILLIS, EXPORTS_RUNNING_MAX, FREE_CLUSTERS_MAX,
        IAM_HOST as IAM, IMPORTING_MILLIS, KEYS, NONCE_LIFETIME_MILLIS, PREPARING_MILLIS, REQUESTS_PER_MINUTE,
        RESTORING_MILLIS, ROWS_MAX, SERVERLESS_HOST as SERVERLESS, SHOP_CLUSTER_ID as SHOP, SHOP_HOST,
        SHOP_USER_PREFIX, SQL_USER_MILLIS, STORAGE_HOST, Sandbox, WAREHOUSE_CLUSTER_ID as WAREHOUSE,
        WAREHOUSE_CONNECTION_ID, WAREHOUSE_NODE_GROUP_ID, contract,
    },
    exchange::{
        Column, Course, Delivery, Instance, Request, Response, Role, SqlEffect, SqlOutcome, SqlTask, Step, Stop,
    },
};

/// 2026-11-22T12:00:00Z, the start of a calendar minute.
const START: u64 = 1_795_348_800_000;
const PASSWORD: &str = "canary-password-1";

fn hash(text: &str) -> String {
    Md5::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An answer, read.
struct Answer {
    status: u16,
    response: Response,
    delivery: Delivery,
    json: Value,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        let found = self.response.headers.iter().find(|(field, _)| field.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value.as_str())
    }

    fn text(&self, pointer: &str) -> &str {
        self.json.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("no {pointer} in {}", self.json))
    }

    fn nonce(&self) -> String {
        let challenge = self.header("www-authenticate");
        let (_, rest) = challenge.split_once("nonce=\"").expect(challenge);
        rest.split_once('"').unwrap().0.to_owned()
    }
}

/// One who talks to a sandbox, with a key and a nonce that is used as long as it works.
struct World {
    sandbox: Sandbox,
    now: u64,
    key: usize,
    nonce: Option<(String, u32)>,
    /// Everything that was ever answered.
    heard: String,
    /// Off where faults spoil the bodies on purpose.
    check: bool,
}

impl World {
    fn new() -> Self {
        Self { sandbox: Sandbox::new(7), now: START, key: 0, nonce: None, heard: String::new(), check: true }
    }

    fn read(&mut self, method: &str, host: &str, path: &str, response: Response, delivery: Delivery) -> Answer {
        if self.check && !host.is_empty() {
            contract::check(host, method, path, response.status, &response.body).unwrap();
        }
        self.heard.push_str(&format!("{:?} {}\n", response.headers, String::from_utf8_lossy(&response.body)));
        let json = serde_json::from_slice(&response.body).unwrap_or(Value::Null);
        Answer { status: response.status, response, delivery, json }
    }

    fn step(&mut self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Step {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let request = Request { method: method.into(), target: target.into(), headers, body: body.into() };
        self.sandbox.handle(self.now, &request)
    }

    /// Sends a request to `host`, with this `Authorization` where it is not empty.
    fn raw(&mut self, method: &str, host: &str, path: &str, authorization: &str, body: &[u8]) -> Answer {
        let mut headers = vec![("Host", "127.0.0.1:8788")];
        if !authorization.is_empty() {
            headers.push(("Authorization", authorization));
        }
        match self.step(method, &format!("/{host}{path}"), &headers, body) {
            Step::Answer(response, delivery) => self.read(method, host, path, response, delivery),
            Step::Sql(..) => panic!("no SQL here"),
        }
    }

    fn authorization(&self, method: &str, uri: &str, nonce: &str, nc: &str) -> String {
        let key = &KEYS[self.key];
        let secret = hash(&format!("{}:tidb.cloud:{}", key.public, key.private));
        let request = hash(&format!("{method}:{uri}"));
        let response = hash(&format!("{secret}:{nonce}:{nc}:c0ffee:auth:{request}"));
        format!(
            "Digest username=\"{}\", realm=\"tidb.cloud\", nonce=\"{nonce}\", uri=\"{uri}\", algorithm=MD5, qop=auth, \
             nc={nc}, cnonce=\"c0ffee\", response=\"{response}\"",
            key.public
        )
    }

    /// Asks the operation, with a challenge answered on the way where one is needed.
    fn call(&mut self, method: &str, host: &str, path: &str, body: Value) -> Answer {
        let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let (nonce, used) = self.nonce.take().unwrap_or_else(|| {
            let answer = self.raw(method, host, path, "", b"");
            assert_eq!(answer.status, 401);
            (answer.nonce(), 0)
        });
        let uri = format!("/{host}{path}");
        let authorization = self.authorization(method, &uri, &nonce, &format!("{:08x}", used + 1));
        let answer = self.raw(method, host, path, &authorization, &bytes);
        if answer.status == 401 {
            assert!(used > 0, "a fresh nonce was refused: {}", answer.header("x-sandbox-reason"));
            return self.call(method, host, path, body);
        }
        self.nonce = Some((nonce, used + 1));
        answer
    }

    fn get(&mut self, path: &str) -> Answer {
        self.call("GET", SERVERLESS, path, Value::Null)
    }

    fn delete(&mut self, path: &str) -> Answer {
        self.call("DELETE", SERVERLESS, path, Value::Null)
    }

    fn post(&mut self, path: &str, body: Value) -> Answer {
        self.call("POST", SERVERLESS, path, body)
    }

    fn patch(&mut self, path: &str, body: Value) -> Answer {
        self.call("PATCH", SERVERLESS, path, body)
    }

    fn admin(&mut self, method: &str, path: &str, body: Value) -> Answer {
        let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        match self.step(method, &format!("/_sandbox/{path}"), &[("Host", "localhost:8788")], &bytes) {
            Step::Answer(response, delivery) => self.read(method, "", path, response, delivery),
            Step::Sql(..) => panic!("no SQL here"),
        }
    }

    /// A Starter instance that is ready; gives its id.
    fn cluster(&mut self, name: &str) -> String {
        let answer = self.post("/v1beta1/clusters", cluster(name));
        assert_eq!(answer.status, 200, "{}", answer.json);
        self.now += CREATING_MILLIS;
        answer.text("/clusterId").to_owned()
    }

    /// A SQL user on the shop, made by the API; gives its full name.
    fn sql_user(&mut self, name: &str, role: &str) -> String {
        let body = json!({
            "userName": name, "password": PASSWORD, "authMethod": "mysql_native_password",
            "autoPrefix": true, "builtinRole": role,
        });
        let answer = self.call("POST", IAM, &format!("/v1beta1/clusters/{SHOP}/sqlUsers"), body);
        assert_eq!(answer.status, 200, "{}", answer.json);
        answer.text("/userName").to_owned()
    }

    /// Runs `query` as `user`, with `outcome` from the SQL server; an error where the statement does not get that far.
    fn sql(
        &mut self,
        user: &str,
        password: &str,
        query: &str,
        outcome: SqlOutcome,
    ) -> Result<(SqlTask, Answer), Box<Answer>> {
        let host = format!("http-{SHOP_HOST}");
        let basic = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        let body = json!({ "query": query, "database": "ignored" }).to_string();
        let headers = [
            ("Host", "127.0.0.1"),
            ("Authorization", basic.as_str()),
            ("TiDB-Database", "shop"),
            ("TiDB-Session", "s1"),
        ];
        match self.step("POST", &format!("/{host}/v1beta/sql"), &headers, body.as_bytes()) {
            Step::Answer(response, delivery) => {
                Err(Box::new(self.read("POST", &host, "/v1beta/sql", response, delivery)))
            }
            Step::Sql(task, delivery) => {
                let response = self.sandbox.sql_done(self.now, task.clone(), outcome);
                Ok((task, self.read("POST", &host, "/v1beta/sql", response, delivery)))
            }
        }
    }

    /// Whether a login works, and as what.
    fn login(&mut self, user: &str, password: &str) -> Option<(Instance, Role)> {
        match self.sql(user, password, "DO 0", done()) {
            Ok((task, _)) => Some((task.instance, task.role)),
            Err(answer) => {
                assert_eq!(answer.status, 401);
                assert!(answer.text("/message").starts_with("Error 1045 (28000): Access denied for user"));
                None
            }
        }
    }

    /// `GET /_sandbox/requests` as lines.
    fn requests(&mut self) -> Vec<String> {
        let answer = self.admin("GET", "requests", Value::Null);
        let line = |entry: &Value| {
            let text = |name: &str| entry[name].as_str().unwrap().to_owned();
            format!("{} {}{} {}", text("method"), text("host"), text("path"), entry["status"])
        };
        answer.json["requests"].as_array().unwrap().iter().map(line).collect()
    }
}

fn cluster(name: &str) -> Value {
    json!({ "displayName": name, "region": { "name": "regions/aws-us-east-1" } })
}

fn done() -> SqlOutcome {
    SqlOutcome::Done { rows_affected: 1, last_insert_id: "0".into(), session: "s2".into() }
}

/// `body` with the value at `pointer` set, objects on the way made.
fn with(mut body: Value, pointer: &str, value: Value) -> Value {
    let mut place = &mut body;
    for name in pointer.split('/').skip(1) {
        place = &mut place[name.replace("~1", "/")];
    }
    *place = value;
    body
}

#[test]
fn a_cluster_lives_by_the_clock() {
    let mut world = World::new();
    let body = with(cluster("first-one"), "/labels", json!({ "team": "a", "tidb.cloud/organization": "ignored" }));
    let body = with(body, "/rootPassword", json!(PASSWORD));
    let body = with(body, "/highAvailabilityType", Value::Null);
    let created = world.post("/v1beta1/clusters", with(body, "/state", json!("output fields and nulls are ignored")));
    assert_eq!((created.status, created.text("/state"), created.text("/servicePlan")), (200, "CREATING", "Starter"));
    assert_eq!(created.json.get("endpoints"), None);
    assert_eq!(created.text("/createdBy"), "apikey-SBXOWNER");
    assert_eq!(created.text("/createTime"), "2026-11-22T12:00:00Z");
    assert_eq!(created.text("/labels/tidb.cloud~1organization"), "1372813089209061633");
    assert_eq!(created.text("/annotations/tidb.cloud~1has-set-password"), "true");
    let id = created.text("/clusterId").to_owned();
    assert!(id.len() == 19 && id.parse::<u64>().is_ok_and(|number| number > 1 << 53), "{id}");
    assert_eq!(created.text("/name"), format!("clusters/{id}"));

    let path = format!("/v1beta1/clusters/{id}");
    world.now += CREATING_MILLIS - 1;
    assert_eq!(world.get(&path).text("/state"), "CREATING");
    let early = world.call("GET", IAM, &format!("{path}/sqlUsers"), Value::Null);
    assert_eq!((early.status, early.json["status"].as_i64()), (400, Some(400)));
    world.now += 1;
    let active = world.get(&path);
    assert_eq!((active.text("/state"), active.text("/endpoints/public/host")), ("ACTIVE", SHOP_HOST));
    assert_eq!(active.json["endpoints"]["public"]["port"], 4000);
    assert_eq!(active.text("/userPrefix").len(), 15);
    assert_eq!(world.get(&format!("{path}?view=BASIC")).json, active.json);

    world.now += 5_000;
    let update = json!({
        "cluster": {
            "displayName": "second-name", "labels": { "b": "c" }, "spendingLimit": { "monthly": 500 }, "state": "ACTIVE",
            "automatedBackupPolicy": { "startTime": "23:00" },
        },
        "updateMask": "displayName,labels,spendingLimit.monthly",
    });
    let updated = world.patch(&path, update);
    assert_eq!((updated.status, updated.text("/displayName")), (200, "second-name"));
    let labels: BTreeSet<_> = updated.json["labels"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(labels, BTreeSet::from(["b", "tidb.cloud/organization", "tidb.cloud/project"]));
    assert_eq!(updated.text("/updateTime"), "2026-11-22T12:00:15Z");
    assert_eq!(updated.text("/automatedBackupPolicy/startTime"), "07:00", "the mask does not name it");
    let zero = json!({ "cluster": { "spendingLimit": { "monthly": 0 } }, "updateMask": "spendingLimit" });
    let zero = world.patch(&path, zero);
    assert_eq!((zero.status, zero.text("/message")), (400, "Scalable cluster can not set spending limit to 0."));
    assert!(zero.text("/details/0/requestId").starts_with("20261122120015"));
    assert_eq!(zero.text("/details/0/requestId"), zero.header("x-debug-trace-id"));

    let branch = world.post(&format!("{path}/branches"), json!({ "displayName": "b" }));
    let instance = Instance(format!("{id}/{}", branch.text("/branchId")));
    assert_eq!(world.delete(&path).text("/state"), "DELETED");
    assert_eq!(world.get(&path).status, 404);
    assert_eq!(world.delete(&path).status, 404);
    let own = Instance(id);
    assert_eq!(
        world.sandbox.take_effects(),
        [
            SqlEffect::Sample(Instance(SHOP.into())),
            SqlEffect::Copy { from: own.clone(), to: instance.clone() },
            SqlEffect::Drop(instance),
            SqlEffect::Drop(own)
        ]
    );
    assert_eq!(world.sandbox.take_effects(), []);
}

#[test]
fn essential_is_made_by_auto_scaling() {
    let mut world = World::new();
    let region = with(cluster("essential"), "/region/name", json!("regions/alicloud-ap-southeast-5"));
    let body = with(region.clone(), "/autoScaling", json!({ "minRcu": 2000, "maxRcu": 4000 }));
    let created = world.post("/v1beta1/clusters", body.clone());
    assert_eq!((created.status, created.text("/servicePlan")), (200, "Essential"));
    assert_eq!(created.json.get("spendingLimit"), None);
    let path = format!("/v1beta1/clusters/{}", created.text("/clusterId"));
    let update = json!({ "cluster": { "autoScaling": { "maxRcu": 9000 } }, "updateMask": "autoScaling.maxRcu" });
    assert_eq!(world.patch(&path, update.clone()).status, 400, "it is CREATING");
    world.now += CREATING_MILLIS;
    assert_eq!(world.patch(&path, update).json["autoScaling"], json!({ "minRcu": 2000, "maxRcu": 9000 }));
    assert_eq!(world.post("/v1beta1/clusters", with(body, "/autoScaling/minRcu", json!(5000))).status, 400);
    assert_eq!(world.post("/v1beta1/clusters", region).status, 400, "no Starter in that region");
    let regions = world.get("/v1beta1/regions");
    let regions = regions.json["regions"].as_array().unwrap();
    assert!(regions.iter().any(|region| region["servicePlans"] == json!(["Essential"])));
}

#[test]
fn what_is_not_published_is_refused() {
    let mut world = World::new();
    let bad = |pointer: &str, value: Value| with(cluster("name"), pointer, value);
    let networks = |start: &str, end: &str| {
        let network = json!({ "startIpAddress": start, "endIpAddress": end, "displayName": "x" });
        bad("/endpoints/public/authorizedNetworks", json!([network]))
    };
    assert_eq!(world.post("/v1beta1/clusters", networks("1.0.0.0", "2.0.0.0")).status, 200);
    for body in [
        json!([]),
        json!({}),
        json!({ "displayName": "only-a-name" }),
        bad("/displayName", json!("abc")),
        bad("/displayName", json!("-abcd")),
        bad("/displayName", json!("sp ace")),
        bad("/displayName", json!("a".repeat(65))),
        bad("/displayName", json!(7)),
        bad("/unknown", json!(1)),
        bad("/region/unknown", json!(1)),
        bad("/region/name", json!("regions/aws-mars-1")),
        bad("/region/name", json!("aws-us-east-1")),
        bad("/spendingLimit/weekly", json!(1)),
        bad("/spendingLimit/monthly", json!(-1)),
        bad("/spendingLimit/monthly", json!(1.5)),
        bad("/spendingLimit/monthly", json!(1_u64 << 40)),
        bad("/rootPassword", json!("short")),
        bad("/rootPassword", json!("x".repeat(65))),
        bad("/autoScaling/minRcu", json!(1999)),
        bad("/autoScaling", json!({ "minRcu": 2000 })),
        bad("/highAvailabilityType", json!("GLOBAL")),
        bad("/automatedBackupPolicy/startTime", json!("25:00")),
        bad("/automatedBackupPolicy/retentionDays", json!(0)),
        bad("/labels/tidb.cloud~1project", json!(1)),
        bad("/endpoints/public/authorizedNetworks", json!([{ "startIpAddress": "1.1.1.1" }])),
        networks("2.0.0.0", "1.0.0.0"),
        networks("one", "two"),
    ] {
        let answer = world.post("/v1beta1/clusters", body.clone());
        assert_eq!((answer.status, answer.json["code"].as_i64()), (400, Some(400)), "{body} {}", answer.json);
    }
    let foreign = world.post("/v1beta1/clusters", bad("/labels/tidb.cloud~1project", json!("12")));
    assert_eq!((foreign.status, foreign.text("/message")), (403, "Request error, projectId not exist"));

    let shop = format!("/v1beta1/clusters/{SHOP}");
    for body in [
        json!({ "cluster": { "displayName": "fine" } }),
        json!({ "cluster": { "displayName": "fine" }, "updateMask": "" }),
        json!({ "cluster": { "displayName": "fine" }, "updateMask": "display_name" }),
        json!({ "cluster": { "displayName": "fine" }, "updateMask": "displayName,state" }),
        json!({ "cluster": { "displayName": "x" }, "updateMask": "displayName" }),
        json!({ "cluster": {}, "updateMask": "displayName" }),
        json!({ "cluster": { "region": { "name": "regions/aws-us-east-1" } }, "updateMask": "region" }),
        json!({ "cluster": { "autoScaling": { "minRcu": 2000, "maxRcu": 4000 } }, "updateMask": "autoScaling" }),
        json!({ "displayName": "fine", "updateMask": "displayName" }),
        Value::Null,
    ] {
        let answer = world.patch(&shop, body.clone());
        assert_eq!(answer.status, 400, "{body} {}", answer.json);
    }
    assert_eq!(world.get(&shop).text("/displayName"), "shop", "a refused mask changes nothing");

    for (path, status) in [
        ("/v1beta1/clusters/abc", 400),
        ("/v1beta1/clusters/123456789012345678901", 400),
        ("/v1beta1/clusters/12", 404),
        ("/v1beta1/clusters/%zz", 404),
        ("/v1beta1/clusters?pageSize=x", 400),
        ("/v1beta1/clusters?pageSize=-1", 400),
        ("/v1beta1/clusters?skip=-1", 400),
        ("/v1beta1/clusters?page_size=1", 400),
        ("/v1beta1/clusters?pageSize=1&pageSize=2", 400),
        ("/v1beta1/clusters?pageToken=bm9uZQ", 400),
        ("/v1beta1/clusters?filter=servicePlan%3DStarter", 400),
        ("/v1beta1/clusters?filter=state%3DGONE", 400),
        ("/v1beta1/regions/x", 404),
        ("/v1beta1/nothing", 404),
    ] {
        let answer = world.get(path);
        assert_eq!(answer.status, status, "{path} {}", answer.json);
    }
    assert_eq!(world.get(&format!("{shop}?view=ALL")).status, 400);
    assert_eq!(world.get(&format!("{shop}/branches/bran-short")).status, 400);
    assert_eq!(world.get(&format!("{shop}/branches/bran-{}", "a".repeat(26))).status, 404);
    assert_eq!(world.call("PUT", SERVERLESS, &shop, Value::Null).status, 405);
    assert_eq!(world.call("DELETE", SERVERLESS, &shop, json!({ "force": true })).status, 400);
    assert_eq!(world.call("GET", "cloud.tidbapi.com", "/v1beta2/tidbs/1/nothing", Value::Null).status, 404);
    assert_eq!(world.call("PUT", "cloud.tidbapi.com", "/v1beta2/tidbs", Value::Null).status, 405);
    assert_eq!(
        world.call("GET", IAM, "/mspCustomers", Value::Null).status,
        501,
        "TiDB Cloud has it and the sandbox does not: it is no resource that is missing"
    );
}

/// What official clients read without asking whether it is there, in every state: PingCAP's command line client `ticloud`
/// (github.com/tidbcloud/tidbcloud-cli at 19aea6a: `internal/cli/serverless`, `internal/service/cloud/logic.go`) ends with a
/// nil pointer where one of these is missing.
#[test]
fn official_clients_find_the_fields_that_they_read() {
    const IN_ANY_STATE: [&str; 8] =
        ["clusterId", "displayName", "state", "version", "userPrefix", "servicePlan", "createdBy", "createTime"];
    let mut world = World::new();
    let path = format!("/v1beta1/clusters/{}", world.cluster("fields-1"));
    let branch = world.post(&format!("{path}/branches"), json!({ "displayName": "b" }));
    let branch = format!("{path}/branches/{}", branch.text("/branchId"));
    world.post("/v1beta1/clusters", cluster("creating-1"));
    let filled = |what: &Value, names: &[&str]| {
        for name in names {
            let value = what.pointer(&format!("/{name}")).unwrap_or_else(|| panic!("no {name} in {what}"));
            assert!(!value.is_null() && value != "", "{name} of {what}");
        }
    };
    for target in ["/v1beta1/clusters".to_owned(), path.clone(), format!("{path}?view=BASIC")] {
        let answer = world.get(&target).json;
        let list = answer.get("clusters").and_then(Value::as_array).cloned().unwrap_or(vec![answer]);
        for cluster in list {
            filled(&cluster, &IN_ANY_STATE);
            filled(&cluster, &["region/name", "region/displayName", "region/cloudProvider"]);
            if cluster["state"] == "ACTIVE" {
                filled(
                    &cluster,
                    &["endpoints/public/host", "endpoints/public/port", "endpoints/public/authorizedNetworks"],
                );
            }
        }
    }
    let in_any_state =
        ["branchId", "displayName", "parentId", "parentDisplayName", "state", "userPrefix", "createTime"];
    for state in ["CREATING", "ACTIVE"] {
        assert_eq!(world.get(&branch).text("/state"), state);
        for view in ["", "?view=BASIC", "?view=FULL"] {
            filled(&world.get(&format!("{branch}{view}")).json, &in_any_state);
        }
        filled(&world.get(&format!("{path}/branches")).json["branches"][0], &in_any_state);
        world.now += CREATING_MILLIS;
    }
    for view in ["", "?view=BASIC"] {
        filled(&world.get(&format!("{branch}{view}")).json, &["endpoints/public/host", "endpoints/public/port"]);
    }
    for region in world.get("/v1beta1/regions").json["regions"].as_array().unwrap() {
        filled(region, &["name", "displayName", "cloudProvider"]);
    }
    world.sql_user("someone", "role_readonly");
    let users = world.call("GET", IAM, &format!("/v1beta1/clusters/{SHOP}/sqlUsers"), Value::Null).json;
    for user in users["sqlUsers"].as_array().unwrap() {
        filled(user, &["userName", "builtinRole", "authMethod"]);
    }
}

#[test]
fn lists_come_in_pages_and_filtered() {
    let mut world = World::new();
    let mut names = vec!["shop".to_owned()];
    for number in 0..12 {
        let name = format!("list-{:02}", number / 2);
        let body = with(cluster(&name), "/spendingLimit/monthly", json!(100));
        let created = world.post("/v1beta1/clusters", with(body, "/labels/number", json!(number.to_string())));
        assert_eq!(created.status, 200, "the same name twice is allowed");
        names.push(name);
    }
    let seen = |answer: &Answer| -> Vec<String> {
        let clusters = answer.json["clusters"].as_array().unwrap().iter();
        clusters.map(|cluster| cluster["displayName"].as_str().unwrap().to_owned()).collect()
    };
    let first = world.get("/v1beta1/clusters");
    assert_eq!((seen(&first), first.json["totalSize"].as_i64()), (names[..10].to_vec(), Some(13)));
    let token = first.text("/nextPageToken").to_owned();
    let second = world.get(&format!("/v1beta1/clusters?pageToken={token}"));
    assert_eq!((seen(&second), second.json.get("nextPageToken")), (names[10..].to_vec(), None));
    let other = world.get(&format!("/v1beta1/clusters?pageSize=5&pageToken={token}"));
    assert_eq!(other.status, 400, "other parameters changed");
    world.key = 2;
    world.nonce = None;
    assert_eq!(world.get(&format!("/v1beta1/clusters?pageToken={token}")).status, 400, "another organization");
    assert_eq!(world.get("/v1beta1/clusters").json, json!({ "clusters": [], "totalSize": 0 }));
    assert_eq!(world.get(&format!("/v1beta1/clusters/{SHOP}")).status, 404);
    world.key = 0;
    world.nonce = None;

    let mut all = Vec::new();
    let mut path = "/v1beta1/clusters?pageSize=4&skip=2".to_owned();
    loop {
        let page = world.get(&path);
        all.append(&mut seen(&page));
        let Some(token) = page.json.get("nextPageToken").and_then(Value::as_str) else { break };
        path = format!("/v1beta1/clusters?pageSize=4&skip=2&pageToken={token}");
    }
    assert_eq!(all, names[2..]);
    assert_eq!(seen(&world.get("/v1beta1/clusters?pageSize=1000")).len(), 13);
    let past = world.get("/v1beta1/clusters?skip=13");
    assert_eq!((seen(&past), past.json.get("nextPageToken")), (Vec::new(), None));

    for (filter, count) in [
        ("state=ACTIVE", 1),
        ("state=%22CREATING%22", 12),
        ("region.provider%3D%22aws%22%20AND%20displayName=list-03", 2),
        ("region.name=regions/aws-us-west-2", 0),
        (&format!("clusterId={SHOP},12"), 1),
        ("labels.number=7", 1),
        ("labels.%22tidb.cloud/project%22=12", 0),
    ] {
        let answer = world.get(&format!("/v1beta1/clusters?pageSize=100&filter={filter}"));
        assert_eq!((seen(&answer).len(), &answer.json["totalSize"]), (count, &json!(count)), "{filter}");
    }
}

#[test]
fn quotas_end_in_402() {
    let mut world = World::new();
    for number in 1..FREE_CLUSTERS_MAX {
        world.cluster(&format!("free-{number}"));
    }
    let refused = world.post("/v1beta1/clusters", cluster("one-too-many"));
    assert_eq!((refused.status, refused.json["code"].as_i64()), (402, Some(402)));
    let paid = with(cluster("with-a-limit"), "/spendingLimit/monthly", json!(1000));
    assert_eq!(world.post("/v1beta1/clusters", paid).status, 200);

    let branches = format!("/v1beta1/clusters/{SHOP}/branches");
    for number in 0..BRANCHES_MAX {
        assert_eq!(world.post(&branches, json!({ "displayName": format!("b{number}") })).status, 200);
    }
    assert_eq!(world.post(&branches, json!({ "displayName": "b5" })).status, 402);
    let page = world.get(&format!("{branches}?pageSize=3"));
    assert_eq!((page.json["branches"].as_array().unwrap().len(), page.json["totalSize"].as_i64()), (3, Some(5)));
    let next = world.get(&format!("{branches}?pageSize=3&pageToken={}", page.text("/nextPageToken")));
    assert_eq!(next.json["branches"].as_array().unwrap().len(), 2);
    assert_eq!(world.delete(&format!("{branches}/{}", page.text("/branches/0/branchId"))).text("/state"), "DELETED");
    assert_eq!(world.post(&branches, json!({ "displayName": "b5" })).status, 200);
}

#[test]
fn branches_copy_data_and_users() {
    let mut world = World::new();
    let branches = format!("/v1beta1/clusters/{SHOP}/branches");
    let reader = world.sql_user("reader", "role_readonly");
    let young = format!("/v1beta1/clusters/{}/branches", world.cluster("young-one"));
    let before_it = json!({ "displayName": "x", "parentTimestamp": "2026-11-22T11:59:59Z" });
    assert_eq!(world.post(&young, before_it).status, 400);
    world.sandbox.take_effects();

    let created = world.post(&branches, json!({ "displayName": "feature", "rootPassword": "canary-root-pass" }));
    assert_eq!((created.status, created.text("/state")), (200, "CREATING"));
    assert_eq!((created.text("/parentId"), created.text("/parentDisplayName")), (SHOP, "shop"));
    assert_eq!(created.json.get("endpoints"), None);
    let id = created.text("/branchId").to_owned();
    assert_eq!((id.len(), id.starts_with("bran-")), (31, true));
    let (shop, copy) = (Instance(SHOP.into()), Instance(format!("{SHOP}/{id}")));
    assert_eq!(world.sandbox.take_effects(), [SqlEffect::Copy { from: shop.clone(), to: copy.clone() }]);
    let path = format!("{branches}/{id}");
    let nested = json!({ "displayName": "nested", "parentId": id });
    assert_eq!(world.post(&branches, nested.clone()).status, 400, "the parent is CREATING");
    assert_eq!(world.post(&format!("{path}:reset"), Value::Null).status, 400);

    world.now += CREATING_MILLIS;
    let active = world.get(&path);
    assert_eq!((active.text("/state"), active.text("/endpoints/public/host")), ("ACTIVE", SHOP_HOST));
    let prefix = active.text("/userPrefix").to_owned();
    assert_ne!(prefix, SHOP_USER_PREFIX);
    let own_reader = format!("{prefix}.reader");
    assert_eq!(world.login(&own_reader, PASSWORD), Some((copy.clone(), Role::ReadOnly)));
    assert_eq!(world.login(&reader, PASSWORD), Some((shop.clone(), Role::ReadOnly)));
    assert_eq!(world.login(&format!("{prefix}.root"), "canary-root-pass"), Some((copy.clone(), Role::Admin)));

    let patched = world.patch(&format!("{path}/sqlUsers/{own_reader}"), json!({ "password": "canary-password-2" }));
    assert_eq!((patched.status, patched.json), (200, json!({ "username": own_reader })));
    world.now += SQL_USER_MILLIS;
    assert_eq!(world.login(&own_reader, PASSWORD), None);
    assert!(world.login(&own_reader, "canary-password-2").is_some());
    assert!(world.login(&reader, PASSWORD).is_some(), "the parent is as it was");
    for (user, body, status) in [
        ("nobody", json!({ "password": PASSWORD }), 404),
        (reader.as_str(), json!({ "password": PASSWORD }), 404),
        (own_reader.as_str(), json!({ "password": "short" }), 400),
        (own_reader.as_str(), json!({}), 400),
        (own_reader.as_str(), json!({ "password": PASSWORD, "role": "x" }), 400),
    ] {
        assert_eq!(world.patch(&format!("{path}/sqlUsers/{user}"), body).status, status, "{user}");
    }

    let nested = world.post(&branches, nested);
    assert_eq!((nested.status, nested.text("/parentDisplayName")), (200, "feature"));
    let reset = world.post(&format!("{path}:reset"), Value::Null);
    assert_eq!((reset.status, reset.text("/state")), (200, "RESTORING"));
    let grandchild = Instance(format!("{SHOP}/{}", nested.text("/branchId")));
    assert_eq!(
        world.sandbox.take_effects(),
        [SqlEffect::Copy { from: copy.clone(), to: grandchild }, SqlEffect::Copy { from: shop, to: copy }]
    );
    assert_eq!(world.sql(&own_reader, PASSWORD, "SELECT 1", done()).err().unwrap().status, 503);
    world.now += RESTORING_MILLIS;
    assert_eq!(world.get(&path).text("/state"), "ACTIVE");
    assert!(world.login(&own_reader, PASSWORD).is_some(), "the parent's password again");

    for (timestamp, status) in [
        ("2026-11-21T13:00:00.9Z", 200),
        ("2026-11-21T11:00:00Z", 400),
        ("2026-11-23T00:00:00Z", 400),
        ("yesterday", 400),
    ] {
        let answer = world.post(&branches, json!({ "displayName": "back", "parentTimestamp": timestamp }));
        assert_eq!(answer.status, status, "{timestamp}");
        if status == 200 {
            assert_eq!(answer.text("/parentTimestamp"), "2026-11-21T13:00:00Z");
        }
    }
    for body in [
        json!({}),
        json!({ "displayName": "" }),
        json!({ "displayName": "x", "parentId": "12" }),
        json!({ "displayName": "x", "colour": "red" }),
    ] {
        assert_eq!(world.post(&branches, body.clone()).status, 400, "{body}");
    }
    world.delete(&path);
    assert_eq!(world.login(&own_reader, PASSWORD), None);
    world.now += CREATING_MILLIS;
    let orphan = format!("{branches}/{}:reset", nested.text("/branchId"));
    assert_eq!(world.post(&orphan, Value::Null).status, 400, "its parent is gone");
}

/// `POST` below the cluster `shop`.
fn post(world: &mut World, path: &str, body: Value) -> Answer {
    world.call("POST", SERVERLESS, &format!("/v1beta1/clusters/{SHOP}/{path}"), body)
}

/// `GET` or `PUT` at an address that the sandbox gave.
fn at_storage(world: &mut World, method: &str, address: &str, body: &[u8]) -> Response {
    let target = address.strip_prefix("https://").unwrap();
    match world.step(method, &format!("/{target}"), &[("Host", "127.0.0.1:8788")], body) {
        Step::Answer(response, _) => response,
        Step::Sql(..) => panic!("no SQL here"),
    }
}

#[test]
fn an_export_has_files_for_two_days() {
    let mut world = World::new();
    let body = json!({
        "exportOptions": { "filter": { "table": { "patterns": ["shop.customers"] } } },
        "target": { "type": "LOCAL" },
    });
    let export = post(&mut world, "exports", body).text("/exportId").to_owned();
    let path = format!("/v1beta1/clusters/{SHOP}/exports/{export}");
    assert_eq!(world.get(&path).text("/state"), "RUNNING");
    assert_eq!(world.get(&format!("{path}/files")).status, 400, "there is nothing yet");
    world.now += EXPORT_MILLIS;
    let done = world.get(&path);
    assert_eq!((done.text("/state"), done.text("/exportOptions/fileType")), ("SUCCEEDED", "CSV"));
    let files = world.get(&format!("{path}/files"));
    assert_eq!(files.text("/files/0/name"), "shop.customers.000000000.csv");
    assert!(files.json["files"][0].get("url").is_none(), "a list of names opens nothing: {}", files.json);
    let answer = post(
        &mut world,
        &format!("exports/{export}/files:download"),
        json!({ "fileNames": ["shop.customers.000000000.csv"] }),
    );
    let address = answer.text("/files/0/url").to_owned();
    assert!(address.starts_with(&format!("https://{STORAGE_HOST}/")), "{address}");
    let content = at_storage(&mut world, "GET", &address, b"");
    let text = String::from_utf8(content.body).unwrap();
    assert!(text.contains("7,\"customer7@example.com\",\"Customer 7\",\"JP\""), "the rows of the sample data: {text}");
    assert_eq!(text.len(), usize::try_from(files.json["files"][0]["size"].as_u64().unwrap()).unwrap());
    for (method, address) in [
        ("PUT", address.clone()),
        ("GET", address.replace(".csv", ".sql")),
        ("GET", address.split("X-Amz-Signature").next().unwrap().to_owned()),
        ("GET", format!("{address}0")),
    ] {
        assert_eq!(at_storage(&mut world, method, &address, b"").status, 403, "{method} {address} is not signed");
    }
    assert_eq!(
        post(&mut world, &format!("exports/{export}:download"), json!({})).json["downloads"].as_array().unwrap().len(),
        2
    );
    let missing = post(&mut world, &format!("exports/{export}/files:download"), json!({ "fileNames": ["x"] }));
    assert_eq!(missing.status, 404);
    world.now += 60 * 60 * 1_000 + 1;
    assert_eq!(at_storage(&mut world, "GET", &address, b"").status, 403, "an address ends");
    world.now += 2 * 24 * 60 * 60 * 1_000;
    assert_eq!(world.get(&path).text("/state"), "EXPIRED");
    assert_eq!(world.get(&format!("{path}/files")).status, 400, "what expired is gone");
    assert_eq!(world.delete(&path).text("/state"), "DELETED");
    assert_eq!(world.get(&path).status, 404);
    let Step::Answer(shown, _) = world.step("GET", "/_sandbox/requests", &[("Host", "127.0.0.1")], b"") else {
        panic!("no SQL here")
    };
    let shown = String::from_utf8(shown.body).unwrap();
    assert!(shown.contains(STORAGE_HOST) && !shown.contains("X-Amz-Signature"), "no secret is shown: {shown}");
}

#[test]
fn the_storage_has_faults_and_goes_with_its_cluster() {
    let mut world = World::new();
    let export = post(&mut world, "exports", json!({})).text("/exportId").to_owned();
    world.now += EXPORT_MILLIS;
    let path = format!("exports/{export}");
    let name = "all.000000059.csv";
    let answer = post(&mut world, &format!("{path}/files:download"), json!({ "fileNames": [name] }));
    let address = answer.text("/files/0/url").to_owned();
    let fault = json!({ "faults": [{ "match": { "host": STORAGE_HOST }, "do": "status", "status": 503 }] });
    let host = [("Host", "127.0.0.1:8788")];
    world.step("POST", "/_sandbox/faults", &host, fault.to_string().as_bytes());
    assert_eq!(at_storage(&mut world, "GET", &address, b"").status, 503, "a download can be broken");
    assert_eq!(at_storage(&mut world, "GET", &address, b"").status, 200, "once");
    let import = json!({ "source": { "type": "S3", "s3": { "uri": "s3://a/b", "authType": "ROLE_ARN", "roleArn": "arn:aws:iam::123456789012:role/a" } }, "importOptions": { "fileType": "CSV" } });
    assert_eq!(post(&mut world, "imports", import).status, 200);
    assert_eq!(world.delete(&format!("/v1beta1/clusters/{SHOP}")).status, 200);
    assert_eq!(at_storage(&mut world, "GET", &address, b"").status, 403, "its files are gone");
}

#[test]
fn exports_are_counted_checked_and_canceled() {
    let mut world = World::new();
    let to_s3 = |way: Value| {
        let mut s3 = json!({ "uri": "s3://reports/denied" });
        s3.as_object_mut().unwrap().extend(way.as_object().unwrap().clone());
        json!({ "target": { "type": "S3", "s3": s3 } })
    };
    for body in [
        json!({ "target": { "type": "S3" } }),
        to_s3(json!({ "authType": "ROLE_ARN" })),
        to_s3(json!({ "authType": "ACCESS_KEY" })),
        to_s3(json!({ "authType": "SAS_TOKEN", "sasToken": "x" })),
        json!({ "target": { "type": "FTP" } }),
        json!({ "exportOptions": { "fileType": "XML" } }),
    ] {
        assert_eq!(post(&mut world, "exports", body.clone()).status, 400, "{body}");
    }
    let body = to_s3(json!({ "authType": "ACCESS_KEY", "accessKey": { "id": "AKIA", "secret": "canary-secret" } }));
    let export = post(&mut world, "exports", body).text("/exportId").to_owned();
    let path = format!("/v1beta1/clusters/{SHOP}/exports/{export}");
    world.now += EXPORT_MILLIS;
    let failed = world.get(&path);
    assert_eq!((failed.text("/state"), failed.text("/reason")), ("FAILED", "AccessDenied: Access Denied"));
    assert_eq!(failed.text("/target/s3/uri"), "s3://reports/denied");
    for _ in 0..EXPORTS_RUNNING_MAX {
        world.now += 1_000;
        assert_eq!(post(&mut world, "exports", json!({})).status, 200);
    }
    let refused = post(&mut world, "exports", json!({}));
    assert!(refused.status == 400 && refused.text("/message").contains("quota"), "{}", refused.json);
    let list = world.get(&format!("/v1beta1/clusters/{SHOP}/exports?orderBy=createTime%20desc&pageSize=2"));
    let newest = list.text("/exports/0/exportId").to_owned();
    assert!(list.text("/exports/0/createTime") > list.text("/exports/1/createTime"), "{}", list.json);
    let token = list.text("/nextPageToken").to_owned();
    let next = format!("/v1beta1/clusters/{SHOP}/exports?orderBy=createTime%20desc&pageSize=100&pageToken={token}");
    assert_eq!(world.get(&next).status, 400, "another page size is another list");
    assert_eq!(world.get(&format!("/v1beta1/clusters/{SHOP}/exports?orderBy=state")).status, 400);
    assert_eq!(post(&mut world, &format!("exports/{newest}:cancel"), Value::Null).text("/state"), "CANCELED");
    assert_eq!(post(&mut world, &format!("exports/{newest}:cancel"), Value::Null).status, 400, "it does not run");
    assert!(!world.heard.contains("canary-secret"), "secrets never come back");
}

#[test]
fn an_import_goes_through_its_states() {
    let mut world = World::new();
    let body = json!({
        "importOptions": { "fileType": "CSV" },
        "source": { "type": "GCS", "gcs": { "uri": "gs://uploads/a", "authType": "SERVICE_ACCOUNT_KEY", "serviceAccountKey": "Y2FuYXJ5LXNlY3JldA==" } },
    });
    for source in [
        json!({ "type": "GCS", "gcs": { "uri": "gs://uploads/a", "authType": "SERVICE_ACCOUNT_KEY", "serviceAccountKey": "{\"type\":1}" } }),
        json!({ "type": "AZURE_BLOB", "azureBlob": { "uri": "azure://a.blob.core.windows.net/b", "authType": "SAS_TOKEN", "sasToken": "?sv=1" } }),
    ] {
        let body = json!({ "importOptions": { "fileType": "CSV" }, "source": source });
        assert_eq!(post(&mut world, "imports", body).status, 400, "another form than the official client sends");
    }
    let import = post(&mut world, "imports", body.clone()).text("/importId").to_owned();
    let path = format!("/v1beta1/clusters/{SHOP}/imports/{import}");
    let mut seen = Vec::new();
    for wait in [0, PREPARING_MILLIS, IMPORTING_MILLIS / 2, IMPORTING_MILLIS / 2] {
        world.now += wait;
        let import = world.get(&path);
        seen.push((import.text("/state").to_owned(), import.json["completePercent"].as_u64().unwrap()));
    }
    let states: Vec<_> = seen.iter().map(|(state, percent)| (state.as_str(), *percent)).collect();
    assert_eq!(states, [("PREPARING", 0), ("IMPORTING", 0), ("IMPORTING", 50), ("COMPLETED", 100)]);
    let second = post(&mut world, "imports", body).text("/importId").to_owned();
    assert_eq!(post(&mut world, &format!("imports/{second}:cancel"), Value::Null).json, json!({}));
    let path = format!("/v1beta1/clusters/{SHOP}/imports/{second}");
    assert_eq!(world.get(&path).text("/state"), "CANCELING");
    world.now += 5_000;
    assert_eq!(world.get(&path).text("/state"), "CANCELED");
    world.now += PREPARING_MILLIS + IMPORTING_MILLIS;
    assert_eq!(world.get(&path).json["completePercent"], 0, "what was stopped stays where it was");
    assert_eq!(post(&mut world, &format!("imports/{second}:cancel"), Value::Null).status, 400);
    assert_eq!(post(&mut world, "imports/imp-0:cancel", Value::Null).status, 404);
    assert!(!world.heard.contains("Y2FuYXJ5LXNlY3JldA"), "secrets never come back");
}

/// As `ticloud serverless import start --local.file-path` does it.
#[test]
fn a_file_is_uploaded_in_parts_and_imported() {
    let mut world = World::new();
    let start = "imports:startUpload?fileName=a.csv&partNumber=2&targetDatabase=shop&targetTable=customers";
    let upload = post(&mut world, start, Value::Null);
    let id = upload.text("/uploadId").to_owned();
    let addresses = [upload.text("/uploadUrl/0").to_owned(), upload.text("/uploadUrl/1").to_owned()];
    let source = json!({
        "importOptions": { "fileType": "CSV" },
        "source": { "type": "LOCAL", "local": { "uploadId": id, "targetDatabase": "shop", "targetTable": "customers" } },
    });
    assert_eq!(post(&mut world, "imports", source.clone()).status, 400, "it is not complete");
    let mut parts = Vec::new();
    for (number, address) in (1..).zip(&addresses) {
        let stored = at_storage(&mut world, "PUT", address, format!("part {number}").as_bytes());
        assert_eq!(stored.status, 200);
        let (_, etag) = stored.headers.iter().find(|(name, _)| name == "ETag").unwrap();
        parts.push(json!({ "partNumber": number, "etag": etag }));
    }
    let complete = format!("imports:completeUpload?uploadId={id}");
    let wrong = json!([{ "partNumber": 1, "etag": "x" }, parts[1]]);
    assert_eq!(post(&mut world, &complete, wrong).status, 400, "a part that was changed on the way");
    assert_eq!(post(&mut world, &complete, json!(parts)).status, 200);
    let import = post(&mut world, "imports", source.clone());
    assert_eq!((import.text("/totalSize"), import.text("/creationDetails/source/local/fileName")), ("12", "a.csv"));
    assert_eq!(post(&mut world, "imports", source).status, 404, "an upload is imported once");
    let single = post(&mut world, &start.replace("partNumber=2", "partNumber=1"), Value::Null);
    let (id, address) = (single.text("/uploadId").to_owned(), single.text("/uploadUrl/0").to_owned());
    assert_eq!(at_storage(&mut world, "PUT", &address, b"whole").status, 200);
    let complete = format!("/v1beta1/clusters/{SHOP}/imports:completeUpload?uploadId={id}");
    let (nonce, used) = world.nonce.take().unwrap();
    let header = world.authorization("POST", &format!("/{SERVERLESS}{complete}"), &nonce, &format!("{:08x}", used + 1));
    assert_eq!(
        world.raw("POST", SERVERLESS, &complete, &header, b"null").status,
        200,
        "as the official client sends it"
    );
    let other = post(&mut world, start, Value::Null).text("/uploadId").to_owned();
    assert_eq!(post(&mut world, &format!("imports:cancelUpload?uploadId={other}"), Value::Null).status, 200);
    assert_eq!(post(&mut world, &format!("imports:completeUpload?uploadId={other}"), json!([])).status, 404);
    for bad in ["partNumber=0", "partNumber=10001", "partNumber=x"] {
        assert_eq!(post(&mut world, &start.replace("partNumber=2", bad), Value::Null).status, 400, "{bad}");
    }
    assert_eq!(post(&mut world, &start.replace("fileName=a.csv&", ""), Value::Null).status, 400);
}

#[test]
fn sql_users_take_a_moment() {
    let mut world = World::new();
    let users = format!("/v1beta1/clusters/{SHOP}/sqlUsers");
    let writer = world.sql_user("writer", "role_readwrite");
    assert_eq!(writer, format!("{SHOP_USER_PREFIX}.writer"));
    assert_eq!(world.login(&writer, PASSWORD), None, "not yet");
    world.now += SQL_USER_MILLIS;
    assert_eq!(world.login(&writer, PASSWORD), Some((Instance(SHOP.into()), Role::ReadWrite)));
    assert_eq!(world.login(&writer, "canary-wrong"), None);
    assert_eq!(world.login("writer", PASSWORD), None, "without prefix");

    let path = format!("{users}/{}", writer.replace('.', "%2E"));
    let shown = world.call("GET", IAM, &path, Value::Null);
    assert_eq!(shown.text("/builtinRole"), format!("{SHOP_USER_PREFIX}.role_readwrite"));
    let change = json!({ "password": "canary-password-3", "builtinRole": "role_admin" });
    let patched = world.call("PATCH", IAM, &path, change);
    assert_eq!((patched.status, patched.text("/builtinRole")), (200, "role_admin"));
    assert!(world.login(&writer, PASSWORD).is_some(), "the old one until the new one works");
    assert_eq!(world.login(&writer, "canary-password-3"), None);
    world.now += SQL_USER_MILLIS;
    assert_eq!(world.login(&writer, PASSWORD), None);
    assert_eq!(world.login(&writer, "canary-password-3"), Some((Instance(SHOP.into()), Role::Admin)));

    let body = |name: &str, extra: Value| {
        let mut body =
            json!({ "userName": name, "password": PASSWORD, "autoPrefix": true, "builtinRole": "role_admin" });
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        body
    };
    let full = format!("{SHOP_USER_PREFIX}.u");
    let prefixed_role = format!("{SHOP_USER_PREFIX}.role_readonly");
    for (body, status) in [
        (body("writer", json!({})), 409),
        (body("", json!({})), 400),
        (body("sp ace", json!({})), 400),
        (body("seventeen-letters", json!({})), 400),
        (body("u", json!({ "password": "short" })), 400),
        (body("u", json!({ "password": Value::Null })), 400),
        (body("u", json!({ "builtinRole": "root" })), 400),
        (body("u", json!({ "authMethod": "caching_sha2_password" })), 400),
        (body("u", json!({ "host": "%" })), 400),
        (body("u", json!({ "autoPrefix": false })), 400),
        (body(&full, json!({ "autoPrefix": false, "builtinRole": "role_readonly" })), 400),
        (body(&full, json!({ "autoPrefix": false, "builtinRole": prefixed_role, "customRoles": ["r"] })), 200),
    ] {
        let answer = world.call("POST", IAM, &users, body.clone());
        assert_eq!(answer.status, status, "{body} {}", answer.json);
        if status != 200 {
            assert_eq!(answer.json["status"], status, "{}", answer.json);
        }
    }
    let first = world.call("GET", IAM, &format!("{users}?pageSize=2"), Value::Null);
    let second = format!("{users}?pageSize=2&pageToken={}", first.text("/nextPageToken"));
    let second = world.call("GET", IAM, &second, Value::Null);
    let names: Vec<_> = [&first, &second]
        .iter()
        .flat_map(|page| page.json["sqlUsers"].as_array().unwrap())
        .map(|user| user["userName"].as_str().unwrap().strip_prefix(SHOP_USER_PREFIX).unwrap())
        .collect();
    assert_eq!(names, [".root", ".u", ".writer"]);
    assert_eq!(second.json.get("nextPageToken"), None);

    assert_eq!(world.call("DELETE", IAM, &format!("{users}/{SHOP_USER_PREFIX}.root"), Value::Null).status, 400);
    assert_eq!(world.call("DELETE", IAM, &path, Value::Null).json["code"], 200);
    assert_eq!(world.login(&writer, "canary-password-3"), None);
    assert_eq!(world.call("DELETE", IAM, &path, Value::Null).status, 404);

    let projects = world.call("GET", IAM, "/v1beta1/projects", Value::Null);
    assert_eq!(projects.json["projects"].as_array().unwrap().len(), 2);
    assert_eq!(projects.json["projects"][0]["cluster_count"], 1);
    let me = world.call("GET", IAM, "/v1beta1/apikeys/SBXOWNER", Value::Null);
    assert_eq!((me.text("/accessKey"), me.text("/role"), me.json.get("secretKey")), ("SBXOWNER", "org:owner", None));
    assert_eq!(world.call("GET", IAM, "/v1beta1/apikeys/SBXOTHER", Value::Null).status, 404);
}

#[test]
fn members_are_invited_changed_and_removed() {
    let mut world = World::new();
    let emails = |answer: &Answer| -> Vec<String> {
        let users = answer.json["users"].as_array().unwrap();
        users.iter().map(|user| user["email"].as_str().unwrap().to_owned()).collect()
    };
    let all = world.call("GET", IAM, "/v1beta1/members", Value::Null);
    assert_eq!(emails(&all), ["analyst@example.com", "books@example.com", "owner@example.com"], "in their order");
    assert_eq!(all.json["totalSize"], 3);
    let one = world.call("GET", IAM, "/v1beta1/members?email=OWNER@example.com", Value::Null);
    assert_eq!(emails(&one), ["owner@example.com"], "an address is compared without case");
    let of_project = world.call("GET", IAM, "/v1beta1/members?projectId=1372813089454525346", Value::Null);
    assert_eq!(emails(&of_project), ["analyst@example.com"]);
    let first = world.call("GET", IAM, "/v1beta1/members?pageSize=2", Value::Null);
    let next = first.text("/nextPageToken").to_owned();
    let rest = world.call("GET", IAM, &format!("/v1beta1/members?pageSize=2&pageToken={next}"), Value::Null);
    assert_eq!(emails(&rest), ["owner@example.com"]);

    let body = |emails: Value, project: &str| {
        let roles = json!([{ "rbacRole": "project:dev", "scopeId": project }]);
        json!({ "emails": emails, "orgRole": { "rbacRole": "org:member" }, "projectRoles": roles })
    };
    let project = "1372813089454525346";
    for (refused, status) in [
        (body(json!([]), project), 400),
        (body(json!(["nobody"]), project), 400),
        (body(json!(["a@example.com"]), "1372813089454525401"), 400),
        (body(json!(["a@example.com", "Owner@example.com"]), project), 409),
        (body(json!(["a@example.com", "A@example.com"]), project), 400),
        (json!({ "emails": ["a@example.com"] }), 400),
        (json!({ "emails": ["a@example.com"], "orgRole": { "rbacRole": "org:king" } }), 400),
    ] {
        let answer = world.call("POST", IAM, "/v1beta1/members", refused.clone());
        assert_eq!(answer.status, status, "{refused}: {}", answer.json);
    }
    assert_eq!(world.call("GET", IAM, "/v1beta1/members", Value::Null).json["totalSize"], 3, "nobody was invited");
    let invited = world.call("POST", IAM, "/v1beta1/members", body(json!(["a@example.com"]), project));
    assert_eq!((invited.status, &invited.json["success"]), (200, &json!(true)));
    let id = invited.text("/users/0/userId").to_owned();
    let again = format!("/v1beta1/members/{id}/resendInvitation");
    assert_eq!(world.call("POST", IAM, &again, Value::Null).status, 200);
    let accepted = world.call("POST", IAM, "/v1beta1/members/300001/resendInvitation", Value::Null);
    assert_eq!(accepted.status, 400, "who has accepted is not invited again");

    let change = json!({ "projectRoles": [] });
    assert_eq!(world.call("PATCH", IAM, &format!("/v1beta1/members/{id}"), change).status, 200);
    let now = world.call("GET", IAM, "/v1beta1/members?email=a@example.com", Value::Null);
    assert_eq!(now.json["users"][0]["projectRoles"], json!([]), "roles of a kind are replaced together");
    assert_eq!(now.text("/users/0/orgRole/rbacRole"), "org:member", "and those of other kinds stay");
    let last = json!({ "orgRole": { "rbacRole": "org:member" } });
    assert_eq!(world.call("PATCH", IAM, "/v1beta1/members/300001", last).status, 400, "the last owner stays one");
    assert_eq!(world.call("DELETE", IAM, "/v1beta1/members/300001", Value::Null).status, 400);
    assert_eq!(
        world.call("DELETE", IAM, "/v1beta1/members/300101", Value::Null).status,
        404,
        "of another organization"
    );
    assert_eq!(world.call("DELETE", IAM, &format!("/v1beta1/members/{id}"), Value::Null).status, 200);
    assert_eq!(world.call("DELETE", IAM, &format!("/v1beta1/members/{id}"), Value::Null).status, 404);

    world.key = 1;
    world.nonce = None;
    assert_eq!(world.call("GET", IAM, "/v1beta1/members", Value::Null).status, 200, "every role sees members");
    for (method, path) in [("POST", "/v1beta1/members"), ("DELETE", "/v1beta1/members/300002")] {
        assert_eq!(world.call(method, IAM, path, json!({})).status, 403, "a viewer changes nothing: {method} {path}");
    }
}

#[test]
fn keys_are_listed_and_deleted() {
    let mut world = World::new();
    let keys = world.call("GET", IAM, "/v1beta1/apikeys", Value::Null);
    let of = |answer: &Answer| -> Vec<String> {
        let keys = answer.json["apiKeys"].as_array().unwrap();
        keys.iter().map(|key| key["accessKey"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(of(&keys), ["SBXOWNER", "SBXVIEWR", "SBXPIPEL"]);
    assert!(!keys.json.to_string().contains("secretKey"), "no private key is shown");
    let of_project = world.call("GET", IAM, "/v1beta1/apikeys?projectId=1372813089454525346", Value::Null);
    assert_eq!(of(&of_project), ["SBXVIEWR", "SBXPIPEL"]);
    assert_eq!(world.call("DELETE", IAM, "/v1beta1/apikeys/SBXOTHER", Value::Null).status, 404);
    assert_eq!(world.call("DELETE", IAM, "/v1beta1/apikeys/SBXVIEWR", Value::Null).status, 200);
    assert_eq!(world.call("DELETE", IAM, "/v1beta1/apikeys/SBXVIEWR", Value::Null).status, 404);
    world.key = 2;
    world.nonce = None;
    assert_eq!(of(&world.call("GET", IAM, "/v1beta1/apikeys", Value::Null)), ["SBXOTHER"]);
}

#[test]
fn the_audit_log_has_what_keys_changed() {
    let mut world = World::new();
    let events = |world: &mut World, query: &str| -> Vec<String> {
        let answer = world.call("GET", IAM, &format!("/v1beta1/auditLogs{query}"), Value::Null);
        let text = |event: &Value, name: &str| event[name].as_str().unwrap_or_default().to_owned();
        let line = |event: &Value| format!("{} {}", text(event, "eventType"), text(event, "result"));
        answer.json["auditLogs"].as_array().unwrap_or_else(|| panic!("{}", answer.json)).iter().map(line).collect()
    };
    assert!(events(&mut world, "").is_empty(), "reading is not logged");
    let new = json!({ "displayName": "orders", "region": { "name": "regions/aws-us-east-1" } });
    let id = world.call("POST", SERVERLESS, "/v1beta1/clusters", new).text("/clusterId").to_owned();
    world.now += CREATING_MILLIS;
    assert_eq!(world.call("DELETE", SERVERLESS, &format!("/v1beta1/clusters/{id}"), Value::Null).status, 200);
    assert_eq!(world.call("DELETE", IAM, "/v1beta1/members/300001", Value::Null).status, 400);
    let all = ["DeleteUserFromOrganization failure", "DeleteCluster success", "CreateCluster success"];
    assert_eq!(events(&mut world, ""), all, "the newest first");
    assert_eq!(events(&mut world, "?pageSize=1"), all[..1]);
    assert_eq!(events(&mut world, "?keyword=orders"), all[1..], "by the name of the cluster, which is gone");
    assert_eq!(events(&mut world, "?auditEventTypes=CreateCluster"), all[2..]);
    assert_eq!(events(&mut world, "?endTime=2026-11-22T12:00:00Z"), all[2..]);
    assert_eq!(events(&mut world, "?startTime=2026-11-22T12:00:10Z"), all[..2]);
    let shop = format!("/v1beta1/clusters/{SHOP}");
    let branch = world.call("POST", SERVERLESS, &format!("{shop}/branches"), json!({ "displayName": "try-it" }));
    let path = format!("{shop}/branches/{}", branch.text("/branchId"));
    world.now += CREATING_MILLIS;
    assert_eq!(world.call("DELETE", SERVERLESS, &path, Value::Null).status, 200);
    let limit = json!({ "cluster": { "spendingLimit": { "monthly": 100 } }, "updateMask": "spendingLimit" });
    assert_eq!(world.call("PATCH", SERVERLESS, &shop, limit).status, 200);
    let labels = json!({ "cluster": { "labels": {} }, "updateMask": "labels" });
    assert_eq!(world.call("PATCH", SERVERLESS, &shop, labels).status, 200, "which has no event type");
    assert_eq!(world.call("DELETE", IAM, "/v1beta1/members/300003", Value::Null).status, 200);
    let integrations = format!("/v1beta1/clusters/{WAREHOUSE}/integrations");
    let made =
        world.call("POST", "dedicated.tidbapi.com", &integrations, json!({ "type": "PROMETHEUS", "prometheus": {} }));
    let path = format!("{integrations}/{}", made.text("/id"));
    assert_eq!(world.call("DELETE", "dedicated.tidbapi.com", &path, Value::Null).status, 200);
    let newest = [
        "DeletePrometheusIntegration success",
        "CreatePrometheusIntegration success",
        "DeleteInvitationToOrganization success",
        "SetSpendLimit success",
        "DeleteBranch success",
        "CreateBranch success",
    ];
    assert_eq!(events(&mut world, "?pageSize=6"), newest);
    let wrong = world.call("GET", IAM, "/v1beta1/auditLogs?startTime=yesterday", Value::Null);
    assert_eq!(wrong.status, 400);
    world.key = 2;
    world.nonce = None;
    assert!(events(&mut world, "").is_empty(), "another organization has its own");
    world.key = 1;
    world.nonce = None;
    assert_eq!(world.call("GET", IAM, "/v1beta1/auditLogs", Value::Null).status, 403, "not every role sees it");
}

#[test]
fn quotas_of_dedicated_nodes_are_the_documented_defaults() {
    let mut world = World::new();
    let quota = world.call("GET", "dedicated.tidbapi.com", "/v1beta1/clusters:showNodeQuota", Value::Null);
    assert_eq!(quota.json["componentQuotas"][1], json!({ "componentType": "TIKV", "quota": 15 }));
}

#[test]
fn bills_add_up_and_name_what_was_deleted() {
    const BILLING: &str = "billing.tidbapi.com";
    let mut world = World::new();
    let hundredths = |amount: &Value| amount.as_str().unwrap().replace('.', "").parse::<i64>().unwrap();
    let essential = with(cluster("big1"), "/autoScaling", json!({ "minRcu": 2000, "maxRcu": 4000 }));
    let big = world.post("/v1beta1/clusters", essential).text("/clusterId").to_owned();
    let month = world.call("GET", BILLING, "/v1beta1/bills/2026-11", Value::Null);
    let overview = month.json["overview"].clone();
    let amount = |name: &str| hundredths(&overview[name]);
    assert!(amount("totalCost") > 0);
    assert_eq!(amount("totalCost"), amount("runningTotal") - amount("discounts") - amount("credits"));
    let sum = |list: &Value| list.as_array().unwrap().iter().map(|item| hundredths(&item["totalCost"])).sum::<i64>();
    assert_eq!(sum(&month.json["summaryByProject"]["projects"]), amount("totalCost"));
    assert_eq!(sum(&month.json["summaryByService"]), amount("totalCost"));
    let service = month.json["summaryByService"][0].clone();
    assert_eq!(service["serviceName"], "TiDB Cloud Essential");
    assert_eq!(sum(&service["serviceCosts"]), hundredths(&service["totalCost"]), "levels add up");
    let details = world.call("GET", BILLING, "/v1beta1/billsDetails/2026-11", Value::Null);
    assert_eq!(sum(&details.json["details"]), amount("totalCost"));
    let named = |details: &Value, name: &str| {
        details["details"].as_array().unwrap().iter().filter(|row| row["clusterName"] == name).count()
    };
    assert!(named(&details.json, "big1") > 0 && named(&details.json, "reports") > 0);
    assert_eq!(named(&details.json, "shop"), 0, "a free instance has no rows");
    assert_eq!(world.delete(&format!("/v1beta1/clusters/{big}")).status, 200);
    let details = world.call("GET", BILLING, "/v1beta1/billsDetails/2026-11", Value::Null);
    assert!(named(&details.json, "big1") > 0, "what was deleted was used until then");

    let terms = world.call("GET", BILLING, "/v1beta1/billsCostExplorer/args", Value::Null);
    let clusters = terms.json["clusters"].as_array().unwrap();
    let status = |name: &str| clusters.iter().find(|cluster| cluster["name"] == name).unwrap()["status"].clone();
    assert_eq!((status("shop"), status("big1")), (json!("ACTIVE"), json!("DELETED")));
    let reports = clusters.iter().find(|cluster| cluster["name"] == "reports").unwrap()["id"].clone();
    let range = json!({ "startDate": "2026-10-01", "endDate": "2026-11-30" });
    let query = json!({
        "filter": { "timeRange": range, "clusters": [reports], "services": [{ "product": "TiDB Cloud Essential", "category": "Backup" }] },
        "groups": { "timeGranularity": "month", "groupBy": ["cluster"] },
    });
    let costs = world.call("POST", BILLING, "/v1beta1/billsCostExplorer", query.clone());
    let elements = costs.json["elements"].as_array().unwrap();
    assert_eq!((elements.len(), &elements[0]["billedDate"]), (2, &json!("2026-10")));
    assert_eq!(elements[1]["breakdown"][0]["detailKey"], reports);
    assert_eq!(sum(&costs.json["elements"]), hundredths(&costs.json["totalCost"]));

    for (month, words) in
        [("2026-12", "has not begun"), ("2026-04", "more than 6 months"), ("2026-13", "YYYY-MM"), ("x", "YYYY-MM")]
    {
        let refused = world.call("GET", BILLING, &format!("/v1beta1/bills/{month}"), Value::Null);
        assert_eq!(refused.status, 400);
        assert!(refused.text("/error").contains(words), "{month}: {}", refused.json);
    }
    let backwards = with(query, "/filter/timeRange", json!({ "startDate": "2026-11-30", "endDate": "2026-10-01" }));
    assert_eq!(world.call("POST", BILLING, "/v1beta1/billsCostExplorer", backwards).status, 400);
    (world.key, world.nonce) = (1, None);
    assert_eq!(
        world.call("GET", BILLING, "/v1beta1/bills/2026-11", Value::Null).status,
        403,
        "a viewer reads no bills"
    );
    assert_eq!(world.call("GET", BILLING, "/v1beta1/billsCostExplorer/args", Value::Null).status, 403);
}

#[test]
fn a_change_bills_nothing_of_the_past() {
    const BILLING: &str = "billing.tidbapi.com";
    let mut world = World::new();
    let days = |world: &mut World| {
        let details = world.call("GET", BILLING, "/v1beta1/billsDetails/2026-11", Value::Null);
        let rows = details.json["details"].as_array().unwrap().clone();
        let own = rows.into_iter().filter(|row| row["clusterName"] != "reports");
        let costs = own.map(|row| json!([row["billedDate"], row["servicePathName"], row["totalCost"]]));
        costs.collect::<Vec<_>>()
    };
    let essential = with(cluster("big1"), "/autoScaling", json!({ "minRcu": 2000, "maxRcu": 8000 }));
    let big = format!("/v1beta1/clusters/{}", world.post("/v1beta1/clusters", essential).text("/clusterId"));
    world.now += 2 * 86_400_000;
    let before = days(&mut world);
    for (mask, body) in [
        ("displayName", json!({ "displayName": "big2" })),
        ("labels", json!({ "labels": { "team": "one" } })),
        ("autoScaling", json!({ "autoScaling": { "minRcu": 8000, "maxRcu": 8000 } })),
    ] {
        let changed = world.patch(&big, json!({ "updateMask": mask, "cluster": body }));
        assert_eq!(changed.status, 200, "{}", changed.json);
    }
    let today = before.last().unwrap()[0].clone();
    let past = |days: Vec<Value>| days.into_iter().filter(|day| day[0] != today).collect::<Vec<_>>();
    let after = days(&mut world);
    assert_ne!(after, before, "today is billed by the new capacity");
    assert_eq!(past(after.clone()), past(before));
    for path in [big.as_str(), &format!("/v1beta1/clusters/{SHOP}")] {
        assert_eq!(world.delete(path).status, 200);
    }
    assert_eq!(days(&mut world), after, "what is deleted was used");
    let month = world.call("GET", BILLING, "/v1beta1/bills/2026-10", Value::Null);
    assert_ne!(month.json["overview"]["totalCost"], "0.00", "and what was before it");
}

#[test]
fn other_plans_are_there_and_empty() {
    let mut world = World::new();
    let answer = world.call("GET", "cloud.tidbapi.com", "/v1beta2/tidbs?pageSize=1", Value::Null);
    assert_eq!((answer.status, &answer.json["tidbs"]), (200, &json!([])), "nobody has an instance of Premium");
}

#[test]
fn a_dedicated_cluster_has_private_endpoints() {
    let host = "dedicated.tidbapi.com";
    let mut world = World::new();
    let clusters = world.call("GET", host, "/v1beta1/clusters?pageSize=1", Value::Null);
    assert_eq!((clusters.text("/clusters/0/displayName"), &clusters.json["totalSize"]), ("warehouse", &json!(1)));
    let path = format!("/v1beta1/clusters/{WAREHOUSE}");
    let warehouse = world.call("GET", host, &path, Value::Null);
    assert_eq!(warehouse.text("/tidbNodeSetting/tidbNodeGroups/0/tidbNodeGroupId"), WAREHOUSE_NODE_GROUP_ID);
    assert_eq!(world.get(&path).status, 404, "it is no cluster of Starter or Essential");

    let group = format!("{path}/tidbNodeGroups/{WAREHOUSE_NODE_GROUP_ID}");
    let service = world.call("GET", host, &format!("{group}/privateLinkService"), Value::Null);
    assert!(service.text("/serviceName").starts_with("com.amazonaws.vpce."));
    assert_eq!(
        world.call("GET", host, &format!("{path}/tidbNodeGroups/7/privateLinkService"), Value::Null).status,
        404
    );

    let connections = format!("{group}/privateEndpointConnections");
    let body = json!({ "endpointId": "vpce-0a1b2c3d4e5f60718" });
    let tried = world.call("POST", host, &format!("{connections}?validateOnly=true"), body.clone());
    assert_eq!(tried.text("/endpointState"), "PENDING");
    let listed = world.call("GET", host, &connections, Value::Null);
    let (first, count) =
        (listed.text("/privateEndpointConnections/0/privateEndpointConnectionId"), &listed.json["totalSize"]);
    assert_eq!((first, count), (WAREHOUSE_CONNECTION_ID, &json!(1)), "what was only validated is not made");
    let made = world.call("POST", host, &connections, body.clone());
    let one = format!("{connections}/{}", made.text("/privateEndpointConnectionId"));
    assert_eq!(world.call("POST", host, &connections, body).status, 409, "it is connected already");
    let foreign = world.call("POST", host, &connections, json!({ "endpointId": "not-of-aws" }));
    assert_eq!(world.call("POST", host, &connections, json!({})).status, 400);
    world.now += ACCEPTING_MILLIS;
    assert_eq!(world.call("GET", host, &one, Value::Null).text("/endpointState"), "ACTIVE");
    let foreign = format!("{connections}/{}", foreign.text("/privateEndpointConnectionId"));
    assert_eq!(world.call("GET", host, &foreign, Value::Null).text("/endpointState"), "FAILED");
    let all = world.call("GET", host, &format!("{connections}?cloudProvider=aws&pageSize=1"), Value::Null);
    assert_eq!((&all.json["totalSize"], all.text("/nextPageToken").is_empty()), (&json!(3), false));

    assert_eq!(world.call("DELETE", host, &one, Value::Null).json, json!({}));
    assert_eq!(world.call("GET", host, &one, Value::Null).text("/endpointState"), "DELETING");
    world.now += ACCEPTING_MILLIS;
    assert_eq!(world.call("DELETE", host, &one, Value::Null).status, 404);

    world.key = 2;
    world.nonce = None;
    assert_eq!(world.call("GET", host, &path, Value::Null).status, 404, "another organization does not see it");
    assert_eq!(world.call("GET", host, &connections, Value::Null).status, 404);
}

#[test]
fn a_dedicated_cluster_has_integrations() {
    let host = "dedicated.tidbapi.com";
    let mut world = World::new();
    let path = format!("/v1beta1/clusters/{WAREHOUSE}/integrations");
    let all = world.call("GET", host, &path, Value::Null);
    assert_eq!((all.text("/items/0/type"), all.text("/items/0/datadog/state")), ("DATADOG", "ACTIVE"));

    let body = json!({ "type": "PROMETHEUS", "prometheus": {} });
    let made = world.call("POST", host, &path, body);
    let key = made.text("/prometheus/key").to_owned();
    assert_eq!((key.len(), made.text("/prometheus/queryEndpoint").starts_with("https://")), (32, true));
    let relic = json!({ "type": "NEWRELIC", "newrelic": { "apiKey": "canary-key-abcd", "site": "US_OTLP" } });
    let relic = world.call("POST", host, &path, relic);
    assert_eq!(relic.text("/newrelic/maskedApiKey"), "****abcd");
    for refused in [json!({}), json!({ "type": "DATADOG" }), json!({ "type": "GRAFANA" })] {
        assert_eq!(world.call("POST", host, &path, refused.clone()).status, 400, "{refused}");
    }
    let all = world.call("GET", host, &path, Value::Null);
    assert_eq!(all.json["total"], 3);
    assert!(!all.json.to_string().contains(&key), "the key is said once");

    let one = format!("{path}/{}", made.text("/id"));
    assert_eq!(world.call("DELETE", host, &one, Value::Null).json, json!({}));
    assert_eq!(world.call("DELETE", host, &one, Value::Null).status, 404);
    world.key = 2;
    world.nonce = None;
    assert_eq!(world.call("GET", host, &path, Value::Null).status, 404, "another organization does not see it");
}

#[test]
fn backups_are_made_each_day_and_restored_into_a_new_cluster() {
    let mut world = World::new();
    let shop = format!("/v1beta1/clusters/{SHOP}");
    let list = format!("/v1beta1/backups?clusterId={SHOP}");
    let backups = world.get(&list);
    let (first, time) = (backups.text("/backups/0/backupId").to_owned(), backups.text("/backups/0/createTime"));
    assert_eq!((time, &backups.json["totalSize"]), ("2026-11-22T07:00:00Z", &json!(1)), "a free one is kept for a day");
    assert_eq!(world.get("/v1beta1/backups").status, 400);
    assert_eq!(world.get("/v1beta1/backups?clusterId=7").status, 404);
    let one = format!("/v1beta1/backups/{first}");
    assert_eq!(world.get(&one).text("/name"), format!("backups/{first}"));

    let policy = |days: i64| {
        let policy = json!({ "startTime": "13:30", "retentionDays": days });
        json!({ "cluster": { "automatedBackupPolicy": policy }, "updateMask": "automatedBackupPolicy" })
    };
    let free = world.call("PATCH", SERVERLESS, &shop, policy(3));
    assert_eq!((free.status, free.text("/message").contains("free")), (400, true), "{}", free.json);
    let limit = json!({ "cluster": { "spendingLimit": { "monthly": 100 } }, "updateMask": "spendingLimit.monthly" });
    let limited = world.call("PATCH", SERVERLESS, &shop, limit);
    assert_eq!((limited.status, &limited.json["automatedBackupPolicy"]["retentionDays"]), (200, &json!(14)));
    for (days, status) in [(0, 400), (31, 400), (30, 200), (3, 200)] {
        assert_eq!(world.call("PATCH", SERVERLESS, &shop, policy(days)).status, status, "{days} days");
    }
    world.now += 3 * 24 * 3_600_000;
    let later = world.get(&format!("{list}&pageSize=2"));
    assert_eq!(later.text("/backups/0/createTime"), "2026-11-24T13:30:00Z", "the newest is first, by the new time");
    assert_eq!((&later.json["totalSize"], world.get(&one).status), (&json!(3), 404), "three days are kept");
    let next = world.get(&format!("{list}&pageSize=2&pageToken={}", later.text("/nextPageToken")));
    assert_eq!((next.text("/backups/0/createTime"), next.json.get("nextPageToken")), ("2026-11-22T13:30:00Z", None));

    let id = later.text("/backups/0/backupId").to_owned();
    for (body, status) in [
        (json!({}), 400),
        (json!({ "snapshot": { "backupId": "1" } }), 404),
        (json!({ "pointInTime": { "clusterId": SHOP, "backupTime": "2026-11-24T13:30:00Z" } }), 400),
    ] {
        assert_eq!(world.call("POST", SERVERLESS, "/v1beta1/clusters:restore", body.clone()).status, status, "{body}");
    }
    world.sandbox.take_effects();
    let body = json!({ "snapshot": { "backupId": id } });
    let restored = world.call("POST", SERVERLESS, "/v1beta1/clusters:restore", body).text("/clusterId").to_owned();
    let (from, to) = (Instance(SHOP.to_owned()), Instance(restored.clone()));
    assert_eq!(world.sandbox.take_effects(), [SqlEffect::Copy { from, to }]);
    let restored = format!("/v1beta1/clusters/{restored}");
    assert_eq!(world.get(&restored).text("/state"), "RESTORING");
    assert_eq!(world.get(&restored).text("/annotations/tidb.cloud~1has-set-password"), "false", "root has no password");
    world.now += RESTORING_MILLIS;
    assert_eq!(world.get(&restored).text("/state"), "ACTIVE");

    let gone = world.delete(&format!("/v1beta1/backups/{id}"));
    assert_eq!((gone.text("/backupId"), world.get(&list).json["totalSize"].clone()), (&*id, json!(2)));
    world.key = 2;
    world.nonce = None;
    assert_eq!(world.get(&list).status, 404, "another organization does not see them");
}

#[test]
fn essential_is_restored_to_a_point_in_time() {
    let mut world = World::new();
    let body = json!({ "displayName": "orders", "region": { "name": "regions/aws-us-east-1" },
        "autoScaling": { "minRcu": 2000, "maxRcu": 4000 } });
    let orders = world.call("POST", SERVERLESS, "/v1beta1/clusters", body).text("/clusterId").to_owned();
    world.now += 3_600_000;
    for (time, status) in [
        ("2026-11-22T12:30:00Z", 200),
        ("2026-11-22T11:00:00Z", 400),
        ("2026-11-22T12:59:30Z", 400),
        ("yesterday", 400),
    ] {
        let body = json!({ "pointInTime": { "clusterId": orders, "backupTime": time } });
        let answer = world.call("POST", SERVERLESS, "/v1beta1/clusters:restore", body);
        assert_eq!(answer.status, status, "{time}: from the creation to a minute ago");
    }
}

#[test]
fn a_viewer_reads_only() {
    let mut world = World::new();
    let writer = world.sql_user("writer", "role_readwrite");
    world.key = 1;
    world.nonce = None;
    let shop = format!("/v1beta1/clusters/{SHOP}");
    assert_eq!(world.get(&shop).status, 200);
    assert_eq!(world.call("GET", IAM, &format!("{shop}/sqlUsers"), Value::Null).status, 200);
    assert_eq!(world.call("GET", IAM, "/v1beta1/apikeys/SBXVIEWR", Value::Null).status, 200);
    assert_eq!(world.call("GET", IAM, "/v1beta1/apikeys/SBXOWNER", Value::Null).status, 404);
    for (method, host, path) in [
        ("POST", SERVERLESS, "/v1beta1/clusters".to_owned()),
        ("DELETE", SERVERLESS, shop.clone()),
        ("POST", SERVERLESS, format!("{shop}/branches")),
        ("POST", IAM, format!("{shop}/sqlUsers")),
        ("DELETE", IAM, format!("{shop}/sqlUsers/{writer}")),
    ] {
        assert_eq!(world.call(method, host, &path, json!({})).status, 403, "{method} {path}");
    }
}

#[test]
fn digest_is_strict() {
    let mut world = World::new();
    let path = "/v1beta1/clusters?pageSize=1";
    let uri = format!("/{SERVERLESS}{path}");
    let first = world.raw("GET", SERVERLESS, path, "", b"");
    let nonce = first.nonce();
    assert_eq!(
        first.header("www-authenticate"),
        format!(
            "Digest realm=\"tidb.cloud\", domain=\"\", nonce=\"{nonce}\", algorithm=MD5, qop=\"auth\", stale=false"
        )
    );
    assert_eq!(first.json, json!({ "code": 49_900_001, "message": "public_key not found", "details": [] }));
    assert_eq!((first.header("server"), first.header("x-ratelimit-limit-minute")), ("kong/2.8.1", ""));

    let stale = |answer: &Answer| answer.header("www-authenticate").ends_with("stale=true");
    let good = world.authorization("GET", &uri, &nonce, "00000003");
    assert_eq!(world.raw("GET", SERVERLESS, path, &good, b"").status, 200);
    for nc in ["00000003", "00000001"] {
        let header = world.authorization("GET", &uri, &nonce, nc);
        let replayed = world.raw("GET", SERVERLESS, path, &header, b"");
        assert_eq!((replayed.status, stale(&replayed)), (401, false), "{nc}");
        assert_ne!(replayed.nonce(), nonce);
    }
    let next = world.authorization("GET", &uri, &nonce, "0000000a");
    for (what, header) in [
        ("another method", world.authorization("POST", &uri, &nonce, "0000000a")),
        ("a wrong response", next.replace("c0ffee", "c0ffef")),
        ("an unknown key", next.replace("SBXOWNER", "SBXNOONE")),
        ("another key's name", next.replace("SBXOWNER", "SBXVIEWR")),
        ("another realm", next.replace("tidb.cloud", "tidb.clod")),
        ("no qop", next.replace(" qop=auth,", "")),
        ("Basic", format!("Basic {}", STANDARD.encode("SBXOWNER:x"))),
    ] {
        assert_ne!(header, next, "{what}");
        let refused = world.raw("GET", SERVERLESS, path, &header, b"");
        assert_eq!((refused.status, stale(&refused)), (401, false), "{what}");
        assert_eq!(refused.json["code"], 49_900_001);
    }
    for other in [path.replace("=1", "=2"), path.replace("?pageSize=1", "")] {
        let header = world.authorization("GET", &format!("/{SERVERLESS}{other}"), &nonce, "0000000a");
        assert_eq!(world.raw("GET", SERVERLESS, path, &header, b"").status, 400, "the uri of another request");
    }
    assert_eq!(world.raw("GET", SERVERLESS, path, &next, b"").status, 200, "refused attempts do not use up the nonce");
    let unknown = world.authorization("GET", &uri, "feedface", "00000001");
    assert!(stale(&world.raw("GET", SERVERLESS, path, &unknown, b"")));

    let fresh = world.raw("GET", SERVERLESS, path, "", b"").nonce();
    world.now += NONCE_LIFETIME_MILLIS - 1;
    let header = world.authorization("GET", &uri, &fresh, "00000001");
    assert_eq!(world.raw("GET", SERVERLESS, path, &header, b"").status, 200);
    world.now += 1;
    let header = world.authorization("GET", &uri, &fresh, "00000002");
    let expired = world.raw("GET", SERVERLESS, path, &header, b"");
    assert_eq!((expired.status, stale(&expired)), (401, true));
}

#[test]
fn a_hundred_requests_a_minute_and_key() {
    let mut world = World::new();
    world.now += 37_000;
    let path = "/v1beta1/regions";
    let first = world.get(path);
    assert_eq!(first.header("x-ratelimit-limit-minute"), "100");
    assert_eq!((first.header("x-ratelimit-remaining-minute"), first.header("x-ratelimit-reset")), ("99", "23"));
    for _ in 0..20 {
        world.raw("GET", SERVERLESS, path, "", b"");
    }
    for number in 2..=REQUESTS_PER_MINUTE {
        let host = if number % 2 == 0 { IAM } else { SERVERLESS };
        let answer = world.call("GET", host, "/v1beta1/projects", Value::Null);
        assert_eq!(answer.header("x-ratelimit-remaining-minute"), (REQUESTS_PER_MINUTE - number).to_string());
    }
    for host in [SERVERLESS, IAM] {
        let limited = world.call("GET", host, "/v1beta1/projects", Value::Null);
        assert_eq!((limited.status, limited.header("x-ratelimit-remaining-minute")), (429, "0"));
        assert_eq!((limited.header("x-ratelimit-reset"), limited.header("retry-after")), ("23", ""));
        let message = "The request exceeded the limit of 100 times per apikey per minute. For more quota, please contact \
                       us: https://support.pingcap.com/hc/en-us/requests/new?ticket_form_id=7800003722519";
        assert_eq!(limited.json, json!({ "details": [], "code": 49_900_007, "message": message }));
    }
    world.key = 1;
    assert_eq!(world.get(path).status, 200, "another key has its own");
    world.key = 0;
    world.now += 23_000;
    assert_eq!(world.get(path).header("x-ratelimit-remaining-minute"), "99");
}

#[test]
fn sql_goes_in_and_out() {
    let mut world = World::new();
    let reader = world.sql_user("reader", "role_readonly");
    world.now += SQL_USER_MILLIS;
    let types = vec![Column { name: "a".into(), kind: "BIGINT".into(), nullable: true }];
    let rows = |count| SqlOutcome::Rows { types: types.clone(), rows: vec![vec![None]; count], session: "s2".into() };
    let (task, answer) = world.sql(&reader, PASSWORD, "SELECT 1", rows(1)).ok().unwrap();
    assert_eq!((task.instance, task.role, task.user), (Instance(SHOP.into()), Role::ReadOnly, reader.clone()));
    assert_eq!((task.database, task.session, task.query), ("shop".into(), "s1".into(), "SELECT 1".into()));
    assert_eq!((answer.status, answer.header("tidb-session")), (200, "s2"));
    let types = json!([{ "name": "a", "type": "BIGINT", "nullable": true }]);
    assert_eq!(answer.json, json!({ "types": types, "rows": [[null]], "rowsAffected": null, "sLastInsertID": null }));
    let last_insert_id = "18446744073709551615";
    let inserted = SqlOutcome::Done { rows_affected: 3, last_insert_id: last_insert_id.into(), session: "s2".into() };
    let (_, answer) = world.sql(&reader, PASSWORD, "INSERT", inserted).ok().unwrap();
    assert_eq!(answer.json, json!({ "types": null, "rows": null, "rowsAffected": 3, "sLastInsertID": last_insert_id }));
    let text = "Table 'shop.x' doesn't exist";
    let refused = SqlOutcome::Refused { code: 1146, sqlstate: "42S02".into(), message: text.into() };
    for (outcome, status, message) in [
        (rows(ROWS_MAX), 200, ""),
        (rows(ROWS_MAX + 1), 400, "Error 1105 (HY000): the result has more than 10000 rows; add LIMIT"),
        (refused, 400, "Error 1146 (42S02): Table 'shop.x' doesn't exist"),
        (SqlOutcome::NoSession, 400, "Error 1105 (HY000): there is no such session; it may have ended"),
        (SqlOutcome::Unavailable("no server".into()), 503, "no server"),
    ] {
        let (_, answer) = world.sql(&reader, PASSWORD, "SELECT 2", outcome).ok().unwrap();
        assert_eq!((answer.status, answer.json["message"].as_str().unwrap_or_default()), (status, message));
    }
    let empty = world.sql(&reader, PASSWORD, " ", done()).err().unwrap();
    assert_eq!((empty.status, empty.text("/message")), (400, "Error 1065 (42000): Query was empty"));

    let host = format!("http-{SHOP_HOST}");
    let basic = format!("Basic {}", STANDARD.encode(format!("{reader}:{PASSWORD}")));
    assert_eq!(world.raw("POST", &host, "/v1beta/sql", &basic, b"{").status, 400);
    assert_eq!(world.raw("POST", &host, "/v1beta/other", &basic, b"{}").status, 404);
    assert_eq!(world.raw("GET", &host, "/v1beta/sql", &basic, b"").status, 405);
    assert_eq!(world.raw("POST", &host, "/v1beta/sql", "", b"{}").status, 401);
    assert_eq!(world.raw("POST", &host, "/v1beta/sql", &basic, &vec![b' '; 4 * 1024 * 1024 + 1]).status, 413);
    let elsewhere = host.replace("us-east-1", "us-west-2");
    assert_eq!(world.raw("POST", &elsewhere, "/v1beta/sql", &basic, b"{\"query\":\"SELECT 1\"}").status, 401);

    let log = world.requests();
    assert!(log.contains(&format!("POST {host}/v1beta/sql 503")), "{log:?}");
    let disabled = json!({ "endpoints": { "public": { "disabled": true } } });
    let update = json!({ "cluster": disabled, "updateMask": "endpoints.public.disabled" });
    assert_eq!(world.patch(&format!("/v1beta1/clusters/{SHOP}"), update).status, 200);
    assert_eq!(world.sql(&reader, PASSWORD, "SELECT 1", done()).err().unwrap().status, 403);
}

#[test]
fn faults_by_script() {
    let mut world = World::new();
    world.check = false;
    let reader = world.sql_user("reader", "role_readonly");
    world.now += SQL_USER_MILLIS;
    let clusters = "/v1beta1/clusters";
    let count = |world: &mut World| {
        let state = world.admin("GET", "state", Value::Null);
        state.json["clusters"].as_array().unwrap().len()
    };
    let order = |world: &mut World, fault: Value| {
        assert_eq!(world.admin("POST", "faults", json!({ "faults": [fault] })).status, 200);
    };
    let post = json!({ "method": "POST", "host": SERVERLESS, "path": clusters });

    let closed = Course::Stops { after: None, how: Stop::Close };

    world.nonce = None;
    order(&mut world, json!({ "match": post, "do": "drop", "when": "before" }));
    let answer = world.post(clusters, cluster("lost-before"));
    assert_eq!((answer.delivery.course, count(&mut world)), (closed, 1));
    order(&mut world, json!({ "match": post, "do": "drop", "when": "after" }));
    let answer = world.post(clusters, cluster("lost-after"));
    assert_eq!((answer.delivery.course, count(&mut world)), (closed, 2));
    order(&mut world, json!({ "match": post, "do": "delay", "millis": 1500 }));
    let late = world.post(clusters, cluster("late"));
    assert_eq!(late.delivery, Delivery { delay_millis: 1500, course: Course::Whole });
    assert_eq!(world.post(clusters, cluster("in-time")).delivery, Delivery::default(), "once by default");

    let lists = json!({ "path": "^/v1beta1/(clusters|regions)$", "times": 2, "after": 1 });
    let headers = json!({ "Retry-After": "3" });
    order(&mut world, json!({ "match": lists, "do": "status", "status": 503, "body": { "a": 1 }, "headers": headers }));
    let answers: Vec<_> = (0..4).map(|_| world.get(clusters)).collect();
    assert_eq!(answers.iter().map(|answer| answer.status).collect::<Vec<_>>(), [200, 503, 503, 200]);
    assert_eq!((answers[1].header("retry-after"), &answers[1].json), ("3", &json!({ "a": 1 })));
    let paid = with(cluster("done-yet-500"), "/spendingLimit/monthly", json!(100));
    order(&mut world, json!({ "match": post, "do": "status", "status": 500, "when": "after" }));
    let before = count(&mut world);
    assert_eq!((world.post(clusters, paid).status, count(&mut world)), (500, before + 1));
    order(&mut world, json!({ "do": "garbage" }));
    let garbage = world.get(clusters);
    assert!(garbage.status == 200 && garbage.json.is_null());
    order(&mut world, json!({ "do": "truncate", "bytes": 7 }));
    assert_eq!(world.get(clusters).delivery.course, Course::Stops { after: Some(7), how: Stop::Close });
    let stops = |after, how| Course::Stops { after, how };
    let paid = with(cluster("in-vain"), "/spendingLimit/monthly", json!(100));
    for (fault, course) in [
        (json!({ "do": "half_close", "when": "after" }), stops(None, Stop::HalfClose)),
        (json!({ "do": "stall", "when": "before" }), stops(None, Stop::Stall)),
        (json!({ "do": "reset", "when": "after" }), stops(None, Stop::Reset)),
        (json!({ "do": "reset", "bytes": 7 }), stops(Some(7), Stop::Reset)),
        (json!({ "do": "stall_body", "bytes": 0 }), stops(Some(0), Stop::Stall)),
        (json!({ "do": "length", "by": -3 }), Course::Length(-3)),
        (json!({ "do": "endless" }), Course::Endless),
        (json!({ "do": "slow", "bytes": 10 }), Course::Slow(10)),
        (json!({ "do": "bad_gzip" }), Course::BadGzip),
        (json!({ "do": "bad_chunks" }), Course::BadChunks),
    ] {
        order(&mut world, fault.clone());
        assert_eq!(world.get(clusters).delivery.course, course, "{fault}");
        let is_done = count(&mut world);
        let mut creation = fault;
        creation["match"] = post.clone();
        order(&mut world, creation.clone());
        assert_eq!(world.post(clusters, paid.clone()).delivery.course, course, "{creation}");
        let created = usize::from(creation["when"] != "before");
        assert_eq!(count(&mut world), is_done + created, "{creation}: the effect happens, unless it says before");
    }

    order(&mut world, json!({ "do": "rate_limit" }));
    let limited = world.get(clusters);
    assert_eq!((limited.status, &limited.json["code"]), (429, &json!(49_900_007)));
    assert_eq!(limited.header("x-ratelimit-reset"), "58");

    order(&mut world, json!({ "do": "stale_nonce" }));
    let (nonce, used) = world.nonce.clone().unwrap();
    let header = world.authorization("GET", &format!("/{SERVERLESS}{clusters}"), &nonce, &format!("{:08x}", used + 1));
    for _ in 0..2 {
        let stale = world.raw("GET", SERVERLESS, clusters, &header, b"");
        assert_eq!(stale.status, 401);
        assert!(stale.header("www-authenticate").ends_with("stale=true"));
    }
    order(&mut world, json!({ "match": { "challenge": true }, "do": "status", "status": 502 }));
    assert_eq!(world.raw("GET", SERVERLESS, clusters, "", b"").status, 502);
    world.nonce = None;

    let sql = json!({ "path": "/v1beta/sql" });
    order(&mut world, json!({ "match": sql, "do": "drop", "when": "before" }));
    let lost = world.sql(&reader, PASSWORD, "DELETE", done()).err().unwrap();
    assert_eq!(lost.delivery.course, closed, "the statement does not run");
    order(&mut world, json!({ "match": sql, "do": "drop", "when": "after" }));
    let (_, lost) = world.sql(&reader, PASSWORD, "DELETE", done()).ok().unwrap();
    assert_eq!(lost.delivery.course, closed, "the statement runs");
    order(&mut world, json!({ "match": sql, "do": "garbage" }));
    let (_, garbage) = world.sql(&reader, PASSWORD, "DELETE", done()).ok().unwrap();
    assert!(garbage.status == 200 && garbage.json.is_null());
    order(&mut world, json!({ "match": sql, "do": "status", "status": 504, "when": "after" }));
    assert_eq!(world.sql(&reader, PASSWORD, "DELETE", done()).ok().unwrap().1.status, 504);
    let log = world.requests();
    let tail: Vec<_> = log[log.len() - 4..].iter().map(|line| line.rsplit_once(' ').unwrap().1).collect();
    assert_eq!(tail, ["0", "0", "200", "504"]);

    order(&mut world, json!({ "match": { "times": 9 }, "do": "garbage" }));
    assert_eq!(world.admin("DELETE", "faults", Value::Null).status, 200);
    assert!(!world.get(clusters).json.is_null());
    let one = |fault: Value| json!({ "faults": [fault] });
    for bad in [
        json!({}),
        json!({ "faults": [] }),
        one(json!({ "do": "explode" })),
        one(json!({ "do": "delay" })),
        one(json!({ "do": "drop" })),
        one(json!({ "do": "half_close" })),
        one(json!({ "do": "stall" })),
        one(json!({ "do": "reset" })),
        one(json!({ "do": "stall_body" })),
        one(json!({ "do": "length" })),
        one(json!({ "do": "slow" })),
        one(json!({ "do": "slow", "bytes": 0 })),
        one(json!({ "do": "status", "status": 99 })),
        one(json!({ "do": "garbage", "match": { "path": "^(" } })),
        one(json!({ "do": "garbage", "match": { "verb": "GET" } })),
        json!({ "seed": 1 }),
        json!({ "seed": 1, "rate": 2 }),
    ] {
        assert_eq!(world.admin("POST", "faults", bad.clone()).status, 400, "{bad}");
    }
}

#[test]
fn a_seed_decides_everything() {
    let run = |seed: u64, faults: u64| {
        let mut world = World::new();
        world.check = false;
        world.sandbox = Sandbox::new(seed);
        let order = json!({ "seed": faults, "rate": 0.3, "kinds": ["status", "delay", "garbage"] });
        assert_eq!(world.admin("POST", "faults", order).status, 200);
        let mut fates = Vec::new();
        for _ in 0..60 {
            let answer = world.get("/v1beta1/regions");
            fates.push((answer.status, answer.delivery, answer.json.is_null()));
        }
        world.admin("DELETE", "faults", Value::Null);
        let id = world.post("/v1beta1/clusters", cluster("by-seed")).text("/clusterId").to_owned();
        (fates, id, world.heard)
    };
    let first = run(1, 1);
    assert!(first == run(1, 1));
    let untouched = (200, Delivery::default(), false);
    let struck = first.0.iter().filter(|fate| **fate != untouched).count();
    assert!((9..=27).contains(&struck), "{struck} of 60 at a rate of 0.3");
    let other = run(2, 2);
    assert_ne!(first.0, other.0);
    assert_ne!(first.1, other.1);

    let mut world = World::new();
    world.sandbox = Sandbox::new(1);
    for _ in 0..5 {
        world.raw("GET", SERVERLESS, "/v1beta1/regions", "", b"");
    }
    let created = world.post("/v1beta1/clusters", cluster("by-seed"));
    assert_eq!(created.text("/clusterId"), first.1, "ids do not depend on what else was asked");
}

#[test]
fn the_sandbox_tells_about_itself_and_never_a_secret() {
    let mut world = World::new();
    let reader = world.sql_user("reader", "role_readonly");
    world.post("/v1beta1/clusters", with(cluster("with-a-password"), "/rootPassword", json!("canary-root-password")));
    let user = format!("/v1beta1/clusters/{SHOP}/sqlUsers/{reader}");
    world.call("PATCH", IAM, &user, json!({ "password": "canary-again" }));
    world.call("PATCH", IAM, &user, json!({ "password": ["canary-list"] }));
    world.call("PATCH", IAM, &user, json!({ "password": "canary".repeat(20) }));
    world.post("/v1beta1/clusters", with(cluster("x"), "/rootPassword", json!("canary-name-is-short")));
    world.login(&reader, "canary-wrong");
    let state = world.admin("GET", "state", Value::Null);
    assert_eq!(state.text("/shopClusterId"), SHOP);
    assert_eq!(state.json["publicKeys"], json!(["SBXOWNER", "SBXVIEWR", "SBXOTHER"]));
    assert_eq!(state.json["effects"], json!([format!("sample {SHOP}")]));
    assert_eq!(
        state.json["clusters"][0]["sqlUsers"][0],
        json!({ "userName": reader, "role": "role_readonly", "hasPassword": true })
    );
    let log = world.requests();
    assert_eq!(log[0], format!("POST {IAM}/v1beta1/clusters/{SHOP}/sqlUsers 401"));
    assert_eq!(log[1], format!("POST {IAM}/v1beta1/clusters/{SHOP}/sqlUsers 200"));
    assert!(!world.heard.contains("canary"), "a password was answered");
    for key in KEYS {
        assert!(!world.heard.contains(key.private) && !world.heard.contains("Digest username"));
    }

    let clock = world.admin("POST", "clock", json!({ "advanceSeconds": 10 }));
    assert_eq!(clock.text("/now"), "2026-11-22T12:00:10Z");
    assert_eq!(world.admin("POST", "clock", json!({ "advanceSeconds": -1 })).status, 400);
    assert_eq!(world.admin("POST", "clock", json!({ "seconds": 1 })).status, 400);
    let clusters = world.get("/v1beta1/clusters?filter=state=ACTIVE");
    assert_eq!(clusters.json["totalSize"], 2, "the clock moved on");
    world.admin("DELETE", "requests", Value::Null);
    assert_eq!(world.requests(), Vec::<String>::new());
    assert_eq!(world.admin("PUT", "clock", Value::Null).status, 405);
    assert_eq!(world.admin("GET", "secrets", Value::Null).status, 404);

    world.sandbox.take_effects();
    world.delete(&format!("/v1beta1/clusters/{SHOP}"));
    assert_eq!(world.admin("POST", "reset", Value::Null).status, 200);
    let shop = Instance(SHOP.into());
    assert_eq!(
        world.sandbox.take_effects(),
        [SqlEffect::Drop(shop.clone()), SqlEffect::DropAll, SqlEffect::Sample(shop)]
    );
    world.nonce = None;
    assert_eq!(world.get("/v1beta1/clusters").json["totalSize"], 1);
    assert_eq!(world.admin("GET", "state", Value::Null).text("/now"), "2026-11-22T12:00:00Z");
}

#[test]
fn only_loopback_and_cloud_hosts_are_served() {
    let mut world = World::new();
    let mut status = |target: &str, headers: &[(&str, &str)]| match world.step("GET", target, headers, b"") {
        Step::Answer(response, _) => response.status,
        Step::Sql(..) => panic!("no SQL here"),
    };
    assert_eq!(status("/_sandbox/state", &[("Host", "127.0.0.1:8788")]), 200);
    assert_eq!(status("/_sandbox/state", &[("Host", "127.0.0.1:8788"), ("Origin", "null")]), 403);
    assert_eq!(status("/_sandbox/state", &[("Host", "localhost"), ("Origin", "http://localhost:1")]), 403);
    assert_eq!(status("/_sandbox/state", &[("Host", "rebound.example")]), 403);
    assert_eq!(status("/_sandbox/state", &[]), 400);
    assert_eq!(status("/v1beta1/regions", &[("Host", SERVERLESS)]), 401);
    assert_eq!(status("/_sandbox/state", &[("Host", SERVERLESS)]), 401);
    assert_eq!(status("/evil.example/", &[("Host", "127.0.0.1")]), 404);

    let challenge = world.raw("GET", SERVERLESS, "/v1beta1/regions", "", b"");
    let header = world.authorization("GET", "/v1beta1/regions", &challenge.nonce(), "00000001");
    match world.step("GET", "/v1beta1/regions", &[("Host", SERVERLESS), ("Authorization", &header)], b"") {
        Step::Answer(response, _) => assert_eq!(response.status, 200, "the uri is that of the target as sent"),
        Step::Sql(..) => panic!("no SQL here"),
    }
}

#[test]
fn the_contract_finds_what_is_wrong() {
    let path = "/v1beta1/clusters/12";
    let check = |status, body: &Value| contract::check(SERVERLESS, "GET", path, status, body.to_string().as_bytes());
    check(200, &cluster("good")).unwrap();
    for (name, value) in [
        ("displayName", json!("x")),
        ("region", json!({ "name": "mars" })),
        ("state", json!("GONE")),
        ("createTime", json!("today")),
        ("unknown", json!(1)),
        ("rootPassword", json!(PASSWORD)),
        ("labels", json!({ "a": 1 })),
        ("endpoints", json!({ "public": { "port": "4000" } })),
        ("autoScaling", json!({ "maxRcu": 100_001 })),
    ] {
        let error = check(200, &with(cluster("good"), &format!("/{name}"), value)).unwrap_err();
        assert!(error.contains(name) && !error.contains("canary"), "{error}");
    }
    assert!(check(200, &json!({ "displayName": "good" })).is_err());
    check(404, &json!({ "code": 404, "message": "", "details": [] })).unwrap();
    assert!(check(404, &json!({ "code": "404", "message": "" })).is_err());
    assert!(contract::check(SERVERLESS, "GET", path, 200, b"<html>").is_err());
    assert!(contract::check(SERVERLESS, "PUT", path, 200, b"{}").is_err());
    let iam = json!({ "code": "409", "error": "x", "msgPrefix": "", "status": 409 }).to_string();
    contract::check(IAM, "POST", &format!("{path}/sqlUsers"), 409, iam.as_bytes()).unwrap();
    assert!(contract::check(SERVERLESS, "POST", path, 409, iam.as_bytes()).is_err());

    let request =
        |method, target: &str, body: &str| contract::check_request(SERVERLESS, method, target, body.as_bytes());
    request("GET", "/v1beta1/clusters?pageSize=100&filter=state%3DACTIVE", "").unwrap();
    request("POST", "/v1beta1/clusters", &cluster("good").to_string()).unwrap();
    request("POST", "/v1beta1/clusters/1/branches", r#"{"displayName":"b","rootPassword":"canary-password"}"#).unwrap();
    request("POST", "/v1beta1/clusters/1/branches/bran-x:reset", "").unwrap();
    request("PATCH", "/v1beta1/clusters/1/branches/b/sqlUsers/p.u", r#"{"password":"canary-password"}"#).unwrap();
    for (method, target, body) in [
        ("GET", "/v1beta1/clusters?pageSize=101", ""),
        ("GET", "/v1beta1/clusters?page_size=1", ""),
        ("GET", "/v1beta1/clusters/1?view=ALL", ""),
        ("GET", "/v1beta1/cluster", ""),
        ("GET", "/v1beta1/clusters", "{}"),
        ("PUT", "/v1beta1/clusters", "{}"),
        ("POST", "/v1beta1/clusters", r#"{"displayName":"good"}"#),
        ("POST", "/v1beta1/clusters/1/branches", r#"{"displayName":"b","state":"ACTIVE"}"#),
        ("PATCH", "/v1beta1/clusters/1", r#"{"cluster":{}}"#),
    ] {
        assert!(request(method, target, body).is_err(), "{method} {target} {body}");
    }
}
