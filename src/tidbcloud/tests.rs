//! Conversations with a scripted TiDB Cloud: what is sent, in order, and what the caller is told.
//!
//! A line is `METHOD path?query`, then `body` where there is one, then `nonce/nc` where it is signed.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    time::Duration,
};

use serde_json::json;

use super::{
    fake::{Fake, NO_LOG, START, challenge, ok, status},
    *,
};
use crate::{
    base::{future::Pending, http::Response},
    port::{FetchError, Io as _},
};

const PRIVATE_KEY: &str = "canary-private-key";

/// One caller in a fresh isolate.
struct Scene {
    fake: Fake,
    hosts: Hosts,
    authenticator: Authenticator,
    memory: Memory,
    server_secret: Secret,
    fallback: Option<SqlLogin>,
    allowance: Allowance,
}

type Script = Vec<Result<Response, FetchError>>;

fn scene(script: Script) -> Scene {
    Scene {
        fake: Fake::new(script),
        hosts: Hosts::real(),
        authenticator: ApiKey::new("SBXOWNER", PRIVATE_KEY).unwrap().into(),
        memory: Memory::new(),
        server_secret: Secret::new("canary-server-secret"),
        fallback: None,
        allowance: Allowance::new(START),
    }
}

fn query(sql: &str) -> Query<'_> {
    Query { sql, whole_values: false, skipped_rows: 0 }
}

impl Scene {
    /// A call that may take 28 s.
    fn cloud(&self) -> Cloud<'_> {
        let deadline = self.fake.now().after(Duration::from_secs(28));
        Cloud::new(&self.fake, NO_LOG, &self.hosts, &self.authenticator, &Unwatched, &self.memory, deadline)
    }

    /// SQL that may take 55 s.
    fn sql(&self) -> Databases<'_> {
        let deadline = self.fake.now().after(Duration::from_secs(55));
        Cloud { deadline, ..self.cloud() }.sql(&self.server_secret, self.fallback.as_ref(), &self.allowance)
    }

    /// One warm nonce, `warm`, for the control plane and one for IAM, each used once.
    async fn warmed(script: Script) -> Self {
        let scene = scene(vec![challenge("warm", false), ok(json!({})), challenge("iam", false)]);
        scene.cloud().regions().await.unwrap();
        scene.fake.then([status(404, json!({}))]);
        scene.cloud().sql_user(&id(), "x").await.unwrap_err();
        scene.fake.lines();
        scene.fake.then(script);
        scene
    }
}

fn id() -> ClusterId {
    "10581234567890123456".parse().unwrap()
}

fn branch_id() -> BranchId {
    "bran-0123456789abcdefghijklmnop".parse().unwrap()
}

fn new_cluster() -> NewCluster {
    NewCluster {
        display_name: "shop".parse().unwrap(),
        region: "regions/aws-us-east-1".parse().unwrap(),
        spending_limit: Some(UsdCents::try_from(500).unwrap()),
        labels: BTreeMap::new(),
    }
}

fn cluster(number: &str, name: &str, created: &str) -> Value {
    json!({ "clusterId": number, "displayName": name, "createTime": created, "state": "CREATING" })
}

/// An active instance with an endpoint and a prefix.
fn active() -> Value {
    json!({ "clusterId": id(), "branchId": branch_id(), "state": "ACTIVE", "userPrefix": "2aEp24QWEDLqRFs",
        "servicePlan": "Starter",
        "endpoints": { "public": { "host": "gateway01.us-east-1.prod.aws.tidbcloud.com", "port": 4000 } } })
}

fn body_lost() -> Result<Response, FetchError> {
    Ok(Response::json(200, r#"{"clusterId": "105"#))
}

// Digest.

#[tokio::test]
async fn a_warm_call_is_one_request() {
    let scene = scene(vec![challenge("one", false), ok(json!({})), ok(json!({})), ok(json!({}))]);
    for _ in 0..3 {
        scene.cloud().regions().await.unwrap();
    }
    assert_eq!(
        scene.fake.lines(),
        [
            "GET /v1beta1/regions",
            "GET /v1beta1/regions one/1",
            "GET /v1beta1/regions one/2",
            "GET /v1beta1/regions one/3"
        ]
    );
}

#[tokio::test]
async fn an_older_nonce_that_is_refused_is_no_wrong_key() {
    let scene = Scene::warmed(vec![challenge("two", false), ok(json!({}))]).await;
    scene.cloud().regions().await.unwrap();
    scene.fake.then([challenge("three", true), challenge("four", true), ok(json!({}))]);
    scene.cloud().regions().await.unwrap();
    assert_eq!(
        scene.fake.lines(),
        [
            "GET /v1beta1/regions warm/2",
            "GET /v1beta1/regions two/1",
            "GET /v1beta1/regions two/2",
            "GET /v1beta1/regions three/1",
            "GET /v1beta1/regions four/1",
        ]
    );
}

#[tokio::test]
async fn a_wrong_key_is_tried_once() {
    let scene = scene(vec![challenge("one", false), challenge("two", false)]);
    let error = scene.cloud().regions().await.unwrap_err();
    assert!(matches!(&error, ApiError::KeyRejected(answer) if answer.status == 401), "{error}");
    scene.fake.then([challenge("three", true), challenge("four", true), challenge("five", true)]);
    assert!(matches!(scene.cloud().regions().await.unwrap_err(), ApiError::Unexpected(_)));
    scene.fake.then([status(401, json!({ "code": 49900001, "message": "public_key not found" }))]);
    assert!(matches!(scene.cloud().regions().await.unwrap_err(), ApiError::Unexpected(_)), "it was not asked yet");
    let unknown = status(401, json!({ "code": 49900001, "message": "public_key not found" }));
    scene.fake.then([challenge("six", false), unknown]);
    assert!(matches!(scene.cloud().regions().await.unwrap_err(), ApiError::KeyRejected(_)));
    assert_eq!(scene.fake.lines().len(), 8);
}

/// Notes what it is told, and lets so many tries pass.
struct Notes {
    left: Cell<u32>,
    told: RefCell<Vec<KeyVerdict>>,
}

impl KeyWitness for Notes {
    fn may_try<'w>(&'w self, _: &'w ApiKey) -> Pending<'w, Result<KeyTry, NotTried>> {
        let left = self.left.replace(self.left.get().saturating_sub(1));
        Box::pin(async move {
            if left > 0 { Ok(KeyTry { counted: None }) } else { Err(NotTried::Limited { retry_after_seconds: 7 }) }
        })
    }

    fn heard<'w>(&'w self, _: &'w ApiKey, _: KeyTry, verdict: KeyVerdict) -> Pending<'w, ()> {
        self.told.borrow_mut().push(verdict);
        Box::pin(async {})
    }
}

/// One word for each exchange, however many requests it takes; `read` is a GET, which is tried three times, and a write is
/// tried once.
#[tokio::test]
async fn a_witness_is_told_what_each_exchange_said_of_the_key() {
    use KeyVerdict::{KeyAnswered, KeyRefused, KeyTaken, NotAsked};
    let unknown = || status(401, json!({ "code": 49900001, "message": "public_key not found" }));
    let fresh = |answer| vec![challenge("one", false), answer];
    let reads = [
        (fresh(ok(json!({}))), vec![KeyTaken]),
        (vec![challenge("one", false), body_lost(), body_lost(), body_lost()], vec![KeyTaken; 3]),
        (vec![challenge("one", false), challenge("two", true), ok(json!({}))], vec![KeyTaken]),
        (fresh(challenge("two", false)), vec![KeyRefused]),
        (fresh(unknown()), vec![KeyRefused]),
        (vec![unknown()], vec![NotAsked]),
        (fresh(status(401, json!({}))), vec![NotAsked]),
        (vec![challenge("one", false), challenge("two", true), challenge("three", true)], vec![NotAsked]),
        (vec![status(404, json!({}))], vec![NotAsked]),
        (fresh(status(400, json!({}))), vec![KeyAnswered]),
        (fresh(status(403, json!({}))), vec![KeyAnswered]),
        (fresh(status(404, json!({}))), vec![KeyAnswered]),
        (fresh(status(409, json!({}))), vec![KeyAnswered]),
        (fresh(status(414, json!({}))), vec![NotAsked]),
        (fresh(status(302, json!({}))), vec![NotAsked]),
        (fresh(status(501, json!({}))), vec![NotAsked]),
        ((0..3).map(|_| Err(FetchError::Unreachable)).collect(), vec![NotAsked; 3]),
        (
            vec![challenge("one", false), status(503, json!({})), challenge("two", false), challenge("three", false)],
            vec![NotAsked, KeyRefused],
        ),
    ];
    for (number, (script, expected)) in reads.into_iter().enumerate() {
        let scene = scene(script);
        let notes = Notes { left: Cell::new(9), told: RefCell::default() };
        let _ = Cloud { witness: &notes, ..scene.cloud() }.regions().await;
        assert_eq!(notes.told.take(), expected, "read {number}");
    }
    // The nonce for a write is asked for without the key.
    let scene = scene(vec![challenge("one", false), challenge("two", false), challenge("three", false)]);
    let notes = Notes { left: Cell::new(1), told: RefCell::default() };
    let cloud = Cloud { witness: &notes, ..scene.cloud() };
    assert!(matches!(cloud.create_cluster(&new_cluster()).await, Err(ApiError::KeyRejected(_))));
    assert_eq!(notes.told.take(), [KeyRefused]);
    // Where it does not let the key pass, nothing is sent, not even without the key.
    scene.fake.lines();
    for error in [
        cloud.create_cluster(&new_cluster()).await.unwrap_err(),
        cloud.delete_cluster(&id()).await.unwrap_err(),
        cloud.regions().await.unwrap_err(),
    ] {
        assert_eq!(error, ApiError::KeyNotTried(NotTried::Limited { retry_after_seconds: 7 }));
    }
    assert!(scene.fake.lines().is_empty() && notes.told.take().is_empty());
}

#[tokio::test]
async fn a_check_tells_refused_credentials_from_a_service_that_does_not_say() {
    let scene = Scene::warmed(vec![ok(json!({ "clusters": [] }))]).await;
    assert_eq!(scene.cloud().check().await, Ok(()));
    assert_eq!(scene.fake.lines(), ["GET /v1beta1/clusters?pageSize=1 warm/2"]);

    // The older nonce is refused, and then the fresh one.
    scene.fake.then([challenge("two", false), challenge("three", false)]);
    assert!(matches!(scene.cloud().check().await, Err(CheckFailure::Refused(answer)) if answer.status == 401));
    scene.fake.then([challenge("four", false), status(403, json!({ "message": "role" }))]);
    assert!(matches!(scene.cloud().check().await, Err(CheckFailure::Refused(answer)) if answer.message == "role"));

    scene.fake.then((0..3).map(|_| Err(FetchError::Unreachable)));
    assert_eq!(scene.cloud().check().await, Err(CheckFailure::Unsettled(ApiError::Unreachable)));
    scene.fake.then([challenge("five", false), status(429, json!({}))]);
    assert!(matches!(scene.cloud().check().await, Err(CheckFailure::Unsettled(ApiError::RateLimited { .. }))));
    scene.fake.lines();
}

#[tokio::test]
async fn a_nonce_that_the_server_hands_out_is_used_next() {
    let next = ok(json!({})).map(|answer| answer.with("Authentication-Info", "nextnonce=\"next\", qop=auth"));
    let scene = Scene::warmed(vec![next, ok(json!({}))]).await;
    scene.cloud().regions().await.unwrap();
    scene.cloud().regions().await.unwrap();
    assert_eq!(scene.fake.lines(), ["GET /v1beta1/regions warm/2", "GET /v1beta1/regions next/1"]);
}

#[tokio::test]
async fn the_body_of_a_write_is_sent_once_and_signed() {
    let scene = scene(vec![challenge("one", false), ok(cluster("7", "shop", "2026-01-31T12:00:00Z"))]);
    assert_eq!(scene.cloud().create_cluster(&new_cluster()).await.unwrap().cluster_id.as_str(), "7");
    let body = json!({ "displayName": "shop", "region": { "name": "regions/aws-us-east-1" },
        "spendingLimit": { "monthly": 500 } });
    assert_eq!(scene.fake.last_body(), body);
    assert_eq!(scene.fake.lines(), ["GET /v1beta1/regions", "POST /v1beta1/clusters body one/1"]);

    // A server that ties nonces to addresses.
    let other = self::scene(vec![challenge("one", false), challenge("two", false), ok(cluster("7", "shop", ""))]);
    other.cloud().create_cluster(&new_cluster()).await.unwrap();
    let sent = other.fake.lines();
    assert_eq!(sent[1..], ["POST /v1beta1/clusters body one/1", "POST /v1beta1/clusters body two/1"]);
}

#[tokio::test]
async fn two_calls_at_once_do_not_share_a_nonce() {
    let scene = Scene::warmed(vec![ok(json!({})), challenge("two", false), ok(json!({}))]).await;
    let (first, second) = (scene.cloud(), scene.cloud());
    let (first, second) = tokio::join!(biased; first.regions(), second.regions());
    assert!(first.is_ok() && second.is_ok());
    assert_eq!(
        scene.fake.lines(),
        ["GET /v1beta1/regions warm/2", "GET /v1beta1/regions", "GET /v1beta1/regions two/1"]
    );
    scene.fake.then([ok(json!({})), ok(json!({}))]);
    let (first, second) = (scene.cloud(), scene.cloud());
    let (first, second) = tokio::join!(biased; first.regions(), second.regions());
    assert!(first.is_ok() && second.is_ok());
    assert_eq!(scene.fake.lines(), ["GET /v1beta1/regions two/2", "GET /v1beta1/regions warm/3"]);
}

// A bearer token.

const TOKEN: &str = "canary-token";

/// A caller with a token of TiDB Cloud's own OAuth.
fn with_token(script: Script) -> Scene {
    let token = BearerToken::new(TOKEN, "person@example.com", "0a".repeat(32)).unwrap();
    Scene { authenticator: token.into(), ..scene(script) }
}

#[tokio::test]
async fn a_token_is_sent_with_the_first_request_and_every_other() {
    let scene = with_token(vec![ok(json!({})), ok(cluster("7", "shop", "")), ok(json!({})), ok(active()), rows()]);
    scene.cloud().regions().await.unwrap();
    scene.cloud().create_cluster(&new_cluster()).await.unwrap();
    scene.cloud().set_sql_password(&id(), "p.u", &Secret::new("canary-password")).await.unwrap();
    scene.sql().run(&on_cluster(), CLASS, None, query("select 1"), Effect::Read).await.unwrap();
    for request in scene.fake.sent.borrow().iter().take(4) {
        assert_eq!(request.headers.get("authorization").as_deref(), Some("Bearer canary-token"));
    }
    let (cluster, sql) = (id(), "POST /v1beta/sql body basic");
    assert_eq!(
        scene.fake.lines(),
        [
            "GET /v1beta1/regions bearer",
            "POST /v1beta1/clusters body bearer",
            &format!("PATCH /v1beta1/clusters/{cluster}/sqlUsers/p.u body bearer"),
            &format!("GET /v1beta1/clusters/{cluster} bearer"),
            sql,
        ]
    );
}

#[tokio::test]
async fn a_refused_token_is_sent_once_and_never_repeated() {
    // TiDB Cloud challenges for Digest whatever was sent.
    let said = json!({ "code": 16, "message": "token canary-token has expired" });
    let refused =
        || status(401, said.clone()).map(|answer| answer.with("www-authenticate", "Digest realm=\"r\", nonce=\"n\""));
    let scene = with_token(vec![refused(), refused(), refused(), refused()]);
    let cloud = scene.cloud();
    for error in [
        cloud.regions().await.unwrap_err(),
        cloud.create_cluster(&new_cluster()).await.unwrap_err(),
        cloud.delete_cluster(&id()).await.unwrap_err(),
    ] {
        assert!(matches!(error, ApiError::TokenRejected(_)), "{error}");
        assert!(error.to_string().contains("token [redacted] has expired"), "{error}");
    }
    assert!(matches!(cloud.check().await, Err(CheckFailure::Refused(answer)) if answer.status == 401));
    assert_eq!(scene.fake.lines().len(), 4);
}

// Lists.

#[tokio::test]
async fn lists_are_read_to_their_end() {
    let page = |number: &str, next: Option<&str>| {
        ok(json!({ "clusters": [cluster(number, "shop", "")], "nextPageToken": next, "totalSize": "2" }))
    };
    let scene = Scene::warmed(vec![page("1", Some("a/b")), page("2", Some(""))]).await;
    let all = scene.cloud().all_clusters().await.unwrap();
    assert_eq!(all.iter().map(|cluster| cluster.cluster_id.as_str()).collect::<Vec<_>>(), ["1", "2"]);
    scene.fake.then([page("1", Some("a")), page("2", Some("b")), page("3", Some("a"))]);
    assert!(matches!(scene.cloud().all_clusters().await.unwrap_err(), ApiError::Unexpected(_)));
    scene.fake.then([ok(json!({ "branches": [] }))]);
    let token = "t&=".parse().unwrap();
    scene.cloud().branches(&id(), Some(5), Some(&token)).await.unwrap();
    let sent = scene.fake.lines();
    assert!(sent[0].starts_with("GET /v1beta1/clusters?pageSize=100 "), "{sent:?}");
    assert!(sent[1].starts_with("GET /v1beta1/clusters?pageSize=100&pageToken=a%2Fb "), "{sent:?}");
    let page = format!("GET /v1beta1/clusters/{}/branches?pageSize=5&pageToken=t%26%3D ", id());
    assert!(sent[5].starts_with(&page), "{sent:?}");
}

// Failures.

#[tokio::test]
async fn reads_are_repeated_three_times_in_all() {
    let unavailable = || status(503, json!({ "code": 14, "message": "try later" }));
    let scene = Scene::warmed(vec![unavailable(), Err(FetchError::Unreachable), body_lost()]).await;
    assert_eq!(scene.cloud().cluster(&id()).await.unwrap_err(), ApiError::Unreadable { status: 200 });
    scene.fake.then([challenge("two", false), unavailable(), unavailable(), ok(active())]);
    scene.cloud().cluster(&id()).await.unwrap();
    assert_eq!(scene.fake.lines().len(), 3 + 4);
    assert!(scene.fake.now() < START.after(Duration::from_secs(2)), "waits are short");
    for permanent in [400, 403, 404, 409, 501] {
        scene.fake.then([status(permanent, json!({}))]);
        scene.cloud().cluster(&id()).await.unwrap_err();
    }
    scene.fake.lines();
}

#[tokio::test]
async fn time_limits_hold_for_the_whole_call() {
    let scene = Scene::warmed(vec![Err(FetchError::Timeout), challenge("a", false), Err(FetchError::Timeout)]).await;
    scene.fake.then([challenge("b", false), Err(FetchError::Timeout)]);
    let start = scene.fake.now();
    assert_eq!(scene.cloud().cluster(&id()).await.unwrap_err(), ApiError::Timeout);
    assert!(start.until(scene.fake.now()) < Duration::from_secs(25));
    let late = Cloud { deadline: scene.fake.now().after(Duration::from_millis(499)), ..scene.cloud() };
    scene.fake.lines();
    assert_eq!(late.cluster(&id()).await.unwrap_err(), ApiError::DeadlineExceeded);
    assert_eq!(late.delete_cluster(&id()).await.unwrap_err(), ApiError::DeadlineExceeded);
    assert_eq!(late.create_cluster(&new_cluster()).await.unwrap_err(), ApiError::DeadlineExceeded);
    assert!(scene.fake.lines().is_empty(), "nothing was sent");
}

#[tokio::test]
async fn a_rate_limit_is_waited_out_only_for_reads_and_only_shortly() {
    let limited = |reset: &str| {
        status(429, json!({ "code": 49900007, "message": "The request exceeded the limit" }))
            .map(|answer| answer.with("X-Ratelimit-Reset", reset))
    };
    let scene = Scene::warmed(vec![limited("5"), ok(active()), limited("23"), limited("1"), limited("1")]).await;
    let start = scene.fake.now();
    scene.cloud().cluster(&id()).await.unwrap();
    assert!(start.until(scene.fake.now()) >= Duration::from_secs(5));
    for (error, seconds) in [
        (scene.cloud().cluster(&id()).await.unwrap_err(), 23),
        (scene.cloud().create_cluster(&new_cluster()).await.unwrap_err(), 1),
        (scene.cloud().delete_cluster(&id()).await.unwrap_err(), 1),
    ] {
        assert!(matches!(error, ApiError::RateLimited { .. }) && !error.outcome_unknown());
        assert_eq!(error.retry_after_seconds(), Some(seconds));
    }
    assert_eq!(scene.fake.lines().len(), 5);
}

#[tokio::test]
async fn a_lost_creation_is_looked_for_and_never_repeated() {
    let list = |clusters: Value| ok(json!({ "clusters": clusters }));
    let old = || cluster("1", "shop", "2026-01-31T11:59:00Z");
    let new = || cluster("2", "shop", "2026-01-31T11:59:57Z");
    for lost in [Err(FetchError::Timeout), Err(FetchError::Unreachable), status(502, json!({})), body_lost()] {
        let scene = Scene::warmed(vec![lost]).await;
        scene.fake.then([challenge("b", false), list(json!([old()])), list(json!([old(), new()]))]);
        if scene.cloud().create_cluster(&new_cluster()).await.is_ok_and(|found| found.cluster_id.as_str() == "2") {
            assert_eq!(scene.fake.lines().iter().filter(|line| line.starts_with("POST")).count(), 1);
        } else {
            panic!("not found");
        }
    }
    // Not there, twice there, or the look itself fails: unknown.
    let not_there =
        vec![list(json!([])), list(json!([old()])), list(json!([cluster("3", "other", "2026-01-31T12:00:01Z")]))];
    let twice = vec![list(json!([new(), cluster("3", "shop", "2026-01-31T12:00:01Z")]))];
    for looks in [not_there, twice, vec![status(403, json!({}))]] {
        let scene = Scene::warmed(vec![status(504, json!({ "message": "gateway" }))]).await;
        scene.fake.then(looks);
        let error = scene.cloud().create_cluster(&new_cluster()).await.unwrap_err();
        assert!(error.outcome_unknown() && error.answer().is_some_and(|answer| answer.status == 504), "{error}");
        assert_eq!(scene.fake.lines().iter().filter(|line| line.starts_with("POST")).count(), 1);
    }
    // Refused is not lost.
    let scene = Scene::warmed(vec![status(402, json!({ "message": "payment" }))]).await;
    assert!(matches!(scene.cloud().create_cluster(&new_cluster()).await.unwrap_err(), ApiError::QuotaExceeded(_)));
}

#[tokio::test]
async fn a_branch_of_another_cluster_is_never_shown() {
    let foreign = || json!({ "clusterId": "7", "branchId": branch_id(), "displayName": "try-it", "state": "ACTIVE" });
    let list = || json!({ "branches": [{ "branchId": branch_id(), "displayName": "own" }, foreign()] });
    let scene = Scene::warmed(vec![ok(foreign()), ok(list()), ok(list()), ok(foreign())]).await;
    let error = ApiError::Unexpected("a branch of another cluster");
    assert_eq!(scene.cloud().branch(&id(), &branch_id()).await.err(), Some(error.clone()));
    assert_eq!(scene.cloud().branches(&id(), None, None).await.err(), Some(error.clone()));
    assert_eq!(scene.cloud().all_branches(&id()).await.err(), Some(error.clone()));
    let failure = scene.sql().run(&on_branch(), CLASS, None, query("select 1"), Effect::Read).await.unwrap_err();
    assert_eq!(failure, SqlFailure::Api(error));
}

#[tokio::test]
async fn a_lost_branch_is_looked_for_too() {
    let new = NewBranch {
        display_name: "try-it".to_owned().try_into().unwrap(),
        parent_id: Some(branch_id()),
        parent_timestamp: Some(Timestamp::try_from("2026-01-31T10:00:00Z".to_owned()).unwrap()),
    };
    let made = json!({ "branchId": branch_id(), "displayName": "try-it", "createTime": "2026-01-31T12:00:01Z" });
    let scene = Scene::warmed(vec![Err(FetchError::Unreachable)]).await;
    scene.fake.then([challenge("b", false), ok(json!({ "branches": [made] }))]);
    assert_eq!(scene.cloud().create_branch(&id(), &new).await.unwrap().branch_id, branch_id());
    let body: Value = serde_json::from_slice(scene.fake.sent.borrow()[0].body.as_ref().unwrap()).unwrap();
    assert_eq!(
        body,
        json!({ "displayName": "try-it", "parentId": branch_id(), "parentTimestamp": "2026-01-31T10:00:00Z" })
    );
}

#[tokio::test]
async fn an_update_names_one_field_and_is_looked_at_when_its_answer_is_lost() {
    let limit = ClusterChange::SpendingLimit(UsdCents::try_from(0).unwrap());
    let scene = Scene::warmed(vec![ok(active())]).await;
    scene.cloud().update_cluster(&id(), &limit).await.unwrap();
    assert_eq!(
        scene.fake.last_body(),
        json!({ "cluster": { "spendingLimit": { "monthly": 0 } }, "updateMask": "spendingLimit.monthly" })
    );
    scene.fake.lines();
    let labels = |value: &str| BTreeMap::from([("team".to_owned(), value.to_owned())]);
    let with = |value: &str| {
        ok(json!({ "clusterId": id(), "displayName": "shop", "labels": { "team": value, "tidb.cloud/project": "1" } }))
    };
    let change = ClusterChange::Labels(labels("a"));
    scene.fake.then([status(500, json!({})), with("a")]);
    scene.cloud().update_cluster(&id(), &change).await.unwrap();
    scene.fake.then([status(500, json!({})), with("b")]);
    assert!(scene.cloud().update_cluster(&id(), &change).await.unwrap_err().outcome_unknown());
    let name = ClusterChange::DisplayName("shop".parse().unwrap());
    scene.fake.then([body_lost(), with("b")]);
    scene.cloud().update_cluster(&id(), &name).await.unwrap();
    assert_eq!(scene.fake.lines().iter().filter(|line| line.starts_with("PATCH")).count(), 3);
}

#[tokio::test]
async fn a_deletion_is_repeated_until_it_is_gone() {
    let gone = || status(404, json!({ "code": 5, "message": "not found" }));
    let scene = Scene::warmed(vec![status(504, json!({})), gone()]).await;
    assert_eq!(scene.cloud().delete_cluster(&id()).await.unwrap().state, Some(State::Deleted));
    scene.fake.then([gone()]);
    assert!(matches!(scene.cloud().delete_cluster(&id()).await.unwrap_err(), ApiError::NotFound(_)));
    scene.fake.then([body_lost()]);
    assert_eq!(scene.cloud().delete_branch(&id(), &branch_id()).await.unwrap().branch_id, branch_id());
    scene.fake.then([status(500, json!({})), status(500, json!({})), status(403, json!({}))]);
    assert!(scene.cloud().delete_sql_user(&id(), "p.reader").await.unwrap_err().outcome_unknown());
    let sent = scene.fake.lines();
    assert_eq!(sent.len(), 7);
    assert!(sent[4].starts_with(&format!("DELETE /v1beta1/clusters/{}/sqlUsers/p.reader ", id())), "{sent:?}");
}

#[tokio::test]
async fn a_password_that_tidb_cloud_repeats_is_not_repeated() {
    let password = Secret::new("Canary-password-1");
    let echo = json!({ "code": "40001", "msgPrefix": "bad password Canary-password-1", "status": 400 });
    let scene = Scene::warmed(vec![status(400, echo)]).await;
    let error = scene.cloud().create_sql_user(&id(), "reader", SqlRole::ReadOnly, &password).await.unwrap_err();
    assert_eq!(error.to_string(), "TiDB Cloud refused the request (HTTP 400: bad password [redacted])");
    let sent = &scene.fake.sent.borrow()[0];
    assert_eq!(sent.url.as_str(), format!("https://iam.tidbapi.com/v1beta1/clusters/{}/sqlUsers", id()));
}

// SQL.

const CLASS: AccessClass = AccessClass::ReadOnly;

fn on_cluster() -> Target {
    Target { cluster: id(), branch: None }
}

fn shop() -> DatabaseName {
    DatabaseName::try_from("shop".to_owned()).unwrap()
}

fn on_branch() -> Target {
    Target { cluster: id(), branch: Some(branch_id()) }
}

fn rows() -> Result<Response, FetchError> {
    in_session(
        "",
        json!({ "types": [{ "name": "n", "type": "BIGINT", "nullable": false }], "rows": [["1"], [null]],
        "rowsAffected": null, "sLastInsertID": null }),
    )
}

fn changed() -> Value {
    json!({ "types": null, "rows": null, "rowsAffected": 2, "sLastInsertID": "7" })
}

fn in_session(session: &str, body: Value) -> Result<Response, FetchError> {
    ok(body).map(|answer| answer.with("TiDB-Session", session))
}

fn no_login() -> Result<Response, FetchError> {
    status(401, json!({ "message": "Error 1045 (28000): Access denied for user 'x'@'%'", "code": "1045" }))
}

fn session_of(request: &crate::port::Outbound) -> String {
    request.headers.get("tidb-session").unwrap()
}

/// What Basic authentication carried.
fn login_of(request: &crate::port::Outbound) -> String {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    let value = request.headers.get("authorization").unwrap();
    let encoded = value.strip_prefix("Basic ").unwrap();
    String::from_utf8(BASE64_STANDARD.decode(encoded).unwrap()).unwrap()
}

#[tokio::test]
async fn a_warm_statement_is_one_request() {
    let scene = Scene::warmed(vec![ok(active()), rows(), rows()]).await;
    for _ in 0..2 {
        let answer =
            scene.sql().run(&on_cluster(), CLASS, Some(&shop()), query("select 1"), Effect::Read).await.unwrap();
        assert_eq!(answer.rows, [[Some(rows::Cell { text: "1".to_owned(), cut: false })], [None]]);
        assert_eq!(answer.types[0].kind, "BIGINT");
    }
    {
        let sent = scene.fake.sent.borrow();
        let login = login_of(&sent[1]);
        assert!(login.starts_with("2aEp24QWEDLqRFs.mcp_ro_"), "{login}");
        assert_eq!(sent[1].headers.get("tidb-database").as_deref(), Some("shop"));
        assert_eq!(sent[1].url.as_str(), "https://http-gateway01.us-east-1.prod.aws.tidbcloud.com/v1beta/sql");
        assert!(sent.iter().all(|request| !request.headers.get("authorization").unwrap().contains("canary")));
    }
    assert_eq!(scene.fake.last_body(), json!({ "query": "select 1" }));
    let get = format!("GET /v1beta1/clusters/{} warm/2", id());
    assert_eq!(scene.fake.lines(), [get.as_str(), "POST /v1beta/sql body basic", "POST /v1beta/sql body basic"]);
}

#[tokio::test]
async fn a_first_login_makes_the_user_and_waits_for_it() {
    let scene = Scene::warmed(vec![ok(active()), no_login(), ok(json!({ "userName": "p.u" })), no_login()]).await;
    scene.fake.then([no_login(), in_session("", changed())]);
    let start = scene.fake.now();
    let class = AccessClass::ReadWrite;
    let done =
        scene.sql().run(&on_cluster(), class, None, query("delete from t where id = 1"), Effect::Write).await.unwrap();
    assert_eq!((done.rows_affected, done.last_insert_id.as_deref()), (Some(2), Some("7")));
    assert!(start.until(scene.fake.now()) >= Duration::from_millis(250 + 500));
    let created: Value = serde_json::from_slice(scene.fake.sent.borrow()[2].body.as_ref().unwrap()).unwrap();
    let (user, password) =
        login_of(&scene.fake.sent.borrow()[1]).split_once(':').map(|(u, p)| (u.to_owned(), p.to_owned())).unwrap();
    assert_eq!(format!("2aEp24QWEDLqRFs.{}", created["userName"].as_str().unwrap()), user);
    assert_eq!(created["password"], password);
    assert_eq!((&created["builtinRole"], &created["autoPrefix"]), (&json!("role_readwrite"), &json!(true)));
    let (sql, cluster) = ("POST /v1beta/sql body basic", id());
    assert_eq!(
        scene.fake.lines(),
        [
            &format!("GET /v1beta1/clusters/{cluster} warm/2"),
            sql,
            &format!("POST /v1beta1/clusters/{cluster}/sqlUsers body iam/2"),
            sql,
            sql,
            sql,
        ]
    );
}

#[tokio::test]
async fn a_user_with_another_password_is_given_ours() {
    for exists in [
        status(409, json!({})),
        status(400, json!({ "code": "1", "msgPrefix": "user already exists", "status": 400 })),
        status(500, json!({})),
    ] {
        let scene = Scene::warmed(vec![ok(active()), no_login(), exists, ok(json!({})), rows()]).await;
        scene.sql().run(&on_cluster(), CLASS, None, query("select 1"), Effect::Read).await.unwrap();
        let patch: Value = serde_json::from_slice(scene.fake.sent.borrow()[3].body.as_ref().unwrap()).unwrap();
        assert_eq!(patch["builtinRole"], "role_readonly");
        let sent = scene.fake.lines();
        let path = format!("PATCH /v1beta1/clusters/{}/sqlUsers/2aEp24QWEDLqRFs.mcp_ro_", id());
        assert!(sent[3].starts_with(&path), "{sent:?}");
    }
}

#[tokio::test]
async fn remembered_facts_are_dropped_when_a_login_fails() {
    let moved = json!({ "clusterId": id(), "state": "ACTIVE", "userPrefix": "otherPrefix", "servicePlan": "Starter",
        "endpoints": { "public": { "host": "gateway02.us-east-1.prod.aws.tidbcloud.com" } } });
    let scene =
        Scene::warmed(vec![ok(active()), rows(), no_login(), ok(moved), status(409, json!({})), ok(json!({})), rows()])
            .await;
    for _ in 0..2 {
        scene.sql().run(&on_cluster(), CLASS, None, query("select 1"), Effect::Read).await.unwrap();
    }
    let last = login_of(scene.fake.sent.borrow().last().unwrap());
    assert!(last.starts_with("otherPrefix.mcp_ro_"));
    scene.fake.lines();
}

#[tokio::test]
async fn a_user_that_never_works_is_a_failure_to_try_again() {
    let scene = Scene::warmed(vec![ok(active()), no_login(), ok(json!({}))]).await;
    // Four logins until 0.25 + 0.5 + 1 s have been waited, then one every 2 s while 2.5 s of 55 s are left: 4 + 26.
    scene.fake.then((0..30).map(|_| no_login()));
    let failure = scene.sql().run(&on_cluster(), CLASS, None, query("select 1"), Effect::Read).await.unwrap_err();
    assert_eq!(failure, SqlFailure::LoginNotYet);
    scene.fake.lines();
}

#[tokio::test]
async fn a_branch_is_repaired_once_and_never_given_users() {
    let scene = Scene::warmed(vec![ok(active()), no_login(), ok(json!({})), rows()]).await;
    scene.sql().run(&on_branch(), CLASS, None, query("select 1"), Effect::Read).await.unwrap();
    let sent = scene.fake.lines();
    let path = format!("PATCH /v1beta1/clusters/{}/branches/{}/sqlUsers/2aEp24QWEDLqRFs.mcp_ro_", id(), branch_id());
    assert!(sent[2].starts_with(&path), "{sent:?}");
    let failure = async |answer| {
        let scene = Scene::warmed(vec![ok(active()), no_login(), answer]).await;
        scene.sql().run(&on_branch(), CLASS, None, query("select 1"), Effect::Read).await.unwrap_err()
    };
    assert_eq!(failure(status(404, json!({}))).await, SqlFailure::BranchOlderThanItsUsers);
    for status_code in [403, 405] {
        let failure = failure(status(status_code, json!({ "message": "not for you" }))).await;
        assert!(matches!(&failure, SqlFailure::NoManagedUser { why } if why.contains("not for you")), "{failure}");
    }
}

#[tokio::test]
async fn the_callers_own_user_is_used_on_its_own_instance_only() {
    let mut scene = Scene::warmed(vec![ok(active()), rows(), no_login()]).await;
    scene.fallback = Some(SqlLogin::new("2aEp24QWEDLqRFs.me", "canary-sql-password").unwrap());
    scene.sql().run(&on_cluster(), CLASS, None, query("select 1"), Effect::Read).await.unwrap();
    assert_eq!(login_of(scene.fake.sent.borrow().last().unwrap()), "2aEp24QWEDLqRFs.me:canary-sql-password");
    let refused = scene.sql().run(&on_cluster(), CLASS, None, query("select 1"), Effect::Read).await.unwrap_err();
    assert_eq!(refused, SqlFailure::OwnLoginRefused);
    scene.fallback = Some(SqlLogin::new("elsewhere.me", "canary-sql-password").unwrap());
    scene.fake.then([ok(active()), rows()]);
    scene.sql().run(&on_cluster(), CLASS, None, query("select 1"), Effect::Read).await.unwrap();
    assert!(login_of(scene.fake.sent.borrow().last().unwrap()).starts_with("2aEp24QWEDLqRFs.mcp_ro_"));
    assert_eq!(scene.fake.lines().len(), 5);
}

#[tokio::test]
async fn instances_that_are_not_ready_say_so() {
    let not_ready = |state: &str, lacks| SqlFailure::NotReady { state: state.to_owned(), lacks };
    let without = |field: &str| {
        let mut instance = active();
        instance.as_object_mut().unwrap().remove(field);
        instance
    };
    let with = |field: &str, value: Value| {
        let mut instance = active();
        instance[field] = value;
        instance
    };
    for (instance, expected) in [
        (with("state", json!("CREATING")), not_ready("CREATING", None)),
        (with("state", json!("PAUSED")), not_ready("PAUSED", None)),
        (without("endpoints"), not_ready("ACTIVE", Some("a public endpoint"))),
        (without("userPrefix"), not_ready("ACTIVE", Some("a user prefix"))),
        (with("endpoints", json!({ "public": { "disabled": true } })), SqlFailure::EndpointDisabled),
    ] {
        let scene = Scene::warmed(vec![ok(instance)]).await;
        let failure = scene.sql().run(&on_cluster(), CLASS, None, query("select 1"), Effect::Read).await.unwrap_err();
        assert_eq!(failure, expected);
    }
    let elsewhere = with("endpoints", json!({ "public": { "host": "gateway01.evil.example" } }));
    let scene = Scene::warmed(vec![ok(elsewhere)]).await;
    let failure = scene.sql().run(&on_cluster(), CLASS, None, query("select 1"), Effect::Read).await.unwrap_err();
    assert!(matches!(failure, SqlFailure::Api(ApiError::Malformed(_))), "{failure}");
    assert_eq!(scene.fake.lines().len(), 1, "no password left");
}

/// With less than a round trip left nobody would learn what became of it.
#[tokio::test]
async fn a_write_is_not_sent_at_the_last_moment() {
    for (left, effect, is_sent) in [
        (1_999, Effect::Write, false),
        (2_000, Effect::Write, true),
        (1_999, Effect::Read, true),
        (499, Effect::Read, false),
    ] {
        let scene = Scene::warmed(vec![ok(active()), rows()]).await;
        scene.sql().run(&on_cluster(), CLASS, None, query("select 1"), Effect::Read).await.unwrap();
        scene.fake.lines();
        scene.fake.then(if is_sent { vec![rows()] } else { Vec::new() });
        let deadline = scene.fake.now().after(Duration::from_millis(left));
        let late =
            Cloud { deadline, ..scene.cloud() }.sql(&scene.server_secret, scene.fallback.as_ref(), &scene.allowance);
        let answer = late.run(&on_cluster(), CLASS, None, query("delete from t where id = 1"), effect).await;
        assert_eq!(answer.is_ok(), is_sent, "{left} ms: {answer:?}");
        assert_eq!(scene.fake.lines().len(), usize::from(is_sent), "{left} ms");
        if let Err(failure) = answer {
            assert_eq!(failure, ApiError::DeadlineExceeded.into());
        }
    }
}

#[tokio::test]
async fn statements_fail_as_what_they_are() {
    let error = |status_code, message: &str| status(status_code, json!({ "message": message, "code": "" }));
    let missing = "Error 1146 (42S02): Table 'shop.x' doesn't exist";
    let sql = |code, message: &str| SqlFailure::Sql { code, message: message.to_owned() };
    let unknown = |cause| SqlFailure::OutcomeUnknown { cause: Box::new(cause) };
    let lost = || Ok(Response::json(200, r#"{"types":[{"name":"#));
    for (answers, effect, expected) in [
        (vec![error(500, missing)], Effect::Read, sql(Some(1146), missing)),
        (vec![error(400, "only one statement")], Effect::Write, sql(None, "only one statement")),
        (vec![error(400, "Error 1064: near 'a\nb'")], Effect::Read, sql(Some(1064), "Error 1064: near 'a\\nb'")),
        (vec![lost(), lost()], Effect::Read, ApiError::Unreadable { status: 200 }.into()),
        (vec![lost()], Effect::Write, unknown(ApiError::Unreadable { status: 200 }.into())),
        (vec![Err(FetchError::Unreachable)], Effect::Write, unknown(ApiError::Unreachable.into())),
        (vec![Err(FetchError::Timeout)], Effect::Read, ApiError::Timeout.into()),
        (vec![Err(FetchError::TooLarge)], Effect::Read, ApiError::TooLarge.into()),
        (
            vec![error(500, "Error 9005: Region is unavailable"), error(500, missing)],
            Effect::Read,
            sql(Some(1146), missing),
        ),
        (vec![error(500, "Error 9007: Write conflict")], Effect::Write, sql(Some(9007), "Error 9007: Write conflict")),
        (
            vec![error(500, "Error 1105: execution result undetermined")],
            Effect::Write,
            unknown(sql(Some(1105), "Error 1105: execution result undetermined")),
        ),
    ] {
        let mut script = vec![ok(active())];
        script.extend(answers);
        let scene = Scene::warmed(script).await;
        let failure = scene.sql().run(&on_cluster(), CLASS, None, query("select 1"), effect).await.unwrap_err();
        assert_eq!(
            failure.outcome_unknown(),
            effect == Effect::Write && matches!(expected, SqlFailure::OutcomeUnknown { .. })
        );
        assert_eq!(failure, expected);
        scene.fake.lines();
    }
    let scene = Scene::warmed(vec![ok(active()), lost(), rows()]).await;
    scene.sql().run(&on_cluster(), CLASS, None, query("select 1"), Effect::Read).await.unwrap();
    let bad_gateway = status(502, json!({ "message": "bad gateway" }));
    scene.fake.then([bad_gateway]);
    let failure = scene.sql().run(&on_cluster(), CLASS, None, query("delete from t"), Effect::Write).await.unwrap_err();
    assert!(failure.outcome_unknown());
}

#[tokio::test]
async fn a_row_that_does_not_fit_its_columns_is_not_shown() {
    let crooked = || ok(json!({ "types": [{ "name": "n", "type": "INT" }], "rows": [["1", "2"]] }));
    let scene = Scene::warmed(vec![ok(active()), crooked(), crooked()]).await;
    let failure = scene.sql().run(&on_cluster(), CLASS, None, query("select 1"), Effect::Read).await.unwrap_err();
    assert_eq!(failure, ApiError::Unreadable { status: 200 }.into());
}

async fn transaction(script: Script) -> (Result<Vec<Rows>, TransactionFailure>, Vec<String>) {
    let scene = Scene::warmed(vec![ok(active())]).await;
    scene.fake.then(script);
    let statements = [query("insert into t values (1)"), query("insert into t values (2)")];
    let keep = |_: &Query<'_>, rows| rows;
    let done = scene.sql().transaction(&on_cluster(), AccessClass::ReadWrite, Some(&shop()), &statements, keep).await;
    let line = |sent: &crate::port::Outbound| {
        let body: Value = serde_json::from_slice(sent.body.as_ref().unwrap()).unwrap();
        format!("{} {}", session_of(sent), body["query"].as_str().unwrap())
    };
    let sent = scene.fake.sent.borrow().iter().skip(1).map(line).collect();
    scene.fake.lines();
    (done, sent)
}

#[tokio::test]
async fn a_transaction_stays_in_its_session() {
    let (done, sent) = transaction(vec![
        in_session("s1", changed()),
        in_session("s2", changed()),
        in_session("", changed()),
        in_session("s2", changed()),
    ])
    .await;
    assert_eq!(done.unwrap().len(), 2);
    assert_eq!(sent, [" BEGIN", "s1 insert into t values (1)", "s2 insert into t values (2)", "s2 COMMIT"]);
}

#[tokio::test]
async fn a_failed_transaction_says_what_took_effect() {
    let ran = || in_session("s", changed());
    let duplicate = || status(500, json!({ "message": "Error 1062 (23000): Duplicate entry '1'" }));
    let conflict = || status(500, json!({ "message": "Error 9007: Write conflict" }));
    let lost = || Err(FetchError::Unreachable);
    for (script, failed_index, rolled_back, last) in [
        (vec![ran(), ran(), duplicate(), ran()], Some(1), RolledBack::Yes, "s ROLLBACK"),
        (vec![ran(), lost(), ran()], Some(0), RolledBack::Yes, "s ROLLBACK"),
        (vec![ran(), lost(), lost()], Some(0), RolledBack::No, "s ROLLBACK"),
        (vec![ran(), ran(), ran(), lost(), ran()], None, RolledBack::Unknown, "s ROLLBACK"),
        (vec![ran(), ran(), ran(), lost(), lost()], None, RolledBack::Unknown, "s ROLLBACK"),
        (vec![ran(), ran(), ran(), conflict()], None, RolledBack::Yes, "s COMMIT"),
        (vec![in_session("", changed())], None, RolledBack::Yes, " BEGIN"),
        (vec![duplicate()], None, RolledBack::Yes, " BEGIN"),
    ] {
        let (done, sent) = transaction(script).await;
        let failure = done.unwrap_err();
        assert_eq!((failure.failed_index, failure.rolled_back), (failed_index, rolled_back), "{sent:?}");
        assert_eq!(sent.last().map(String::as_str), Some(last));
    }
}

#[tokio::test]
async fn the_users_of_a_parent_are_there_before_a_branch_is_made() {
    let scene = Scene::warmed(vec![ok(json!({})), status(409, json!({})), Err(FetchError::Unreachable)]).await;
    scene.fake.then([challenge("b", false), ok(json!({ "userName": "p.u" }))]);
    scene.sql().ensure_users(&id(), "2aEp24QWEDLqRFs").await.unwrap();
    let sent = scene.fake.lines();
    assert_eq!(sent.iter().filter(|line| line.starts_with("POST")).count(), 3);
    assert!(sent.last().unwrap().contains("/sqlUsers/2aEp24QWEDLqRFs.mcp_ad_"), "{sent:?}");
    scene.fake.then([status(405, json!({}))]);
    assert!(matches!(scene.sql().ensure_users(&id(), "p").await.unwrap_err(), ApiError::NotOffered(_)));
}
