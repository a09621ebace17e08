//! Conversations about credentials: which are sent when, and what is made of a refusal.

use std::cell::{Cell, RefCell};

use serde_json::json;

use crate::{
    base::{future::Pending, secret::Secret},
    port::FetchError,
    tidbcloud::{
        fake::{
            CLASS, Scene, Script, active, body_lost, challenge, cluster, id, new_cluster, ok, on_cluster, query, rows,
            scene, status,
        },
        *,
    },
};

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

/// Records each verdict, and allows a number of tries.
struct Notes {
    left: Cell<u32>,
    told: RefCell<Vec<KeyVerdict>>,
}

impl KeyWitness for Notes {
    fn may_try<'w>(&'w self, _: &'w ApiKey) -> Pending<'w, Result<KeyTry, NotTried>> {
        let left = self.left.replace(self.left.get().saturating_sub(1));
        Box::pin(async move {
            if left > 0 {
                Ok(KeyTry { counted: None, is_known: false })
            } else {
                Err(NotTried::Limited { retry_after_seconds: 7 })
            }
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
    assert_eq!(scene.cloud().create_cluster(&new_cluster()).await.unwrap().made.cluster_id.as_str(), "7");
    let body = json!({ "displayName": "shop", "region": { "name": "regions/aws-us-east-1" },
        "spendingLimit": { "monthly": 500 }, "labels": { "mcp-idempotency-key": "0102030405060708090a0b0c0d0e0f10" } });
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
    scene.sql().run(&on_cluster(), CLASS, None, query("select 1"), Replay::Safe).await.unwrap();
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
    // TiDB Cloud always challenges for Digest.
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

/// What a person hands in is found by the same caller, also with a renewed token, and by nobody else.
#[test]
fn a_hand_in_key_takes_the_callers_own_secret_and_the_server_secret() {
    let (one, two) = (Secret::new("canary-server-one"), Secret::new("canary-server-two"));
    let derivation = "0".repeat(64);
    let key = |public: &str, private: &str| Authenticator::from(ApiKey::new(public, private).expect("a key"));
    let token = |token: &str, subject: &str, derivation: &str| {
        Authenticator::from(BearerToken::new(token, subject, derivation).expect("a token"))
    };
    let of_key = key("CANARY01", "private").hand_in_key(&one);
    let of_token = token("first", "user", &derivation).hand_in_key(&one);
    assert_eq!(token("renewed", "user", &derivation).hand_in_key(&one), of_token);
    let others = [
        key("CANARY01", "private").hand_in_key(&two),
        key("CANARY01", "other").hand_in_key(&one),
        key("CANARY02", "private").hand_in_key(&one),
        key("CANARY01", "private").sql_password_key(&one),
        token("first", "user", &"1".repeat(64)).hand_in_key(&one),
        token("first", "other", &derivation).hand_in_key(&one),
        token("first", "user", &derivation).sql_password_key(&one),
        of_token,
    ];
    assert!(!others.contains(&of_key));
    assert!(!others[..others.len() - 1].contains(&of_token));
}
