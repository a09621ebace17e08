//! Conversations about clusters and branches.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    port::FetchError,
    tidbcloud::{
        fake::{
            CLASS, SENT_KEY, Scene, active, body_lost, branch_id, challenge, cluster, id, new_cluster, ok, on_branch,
            query, status,
        },
        *,
    },
};

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
    scene.fake.then([challenge("five", false)].into_iter().chain((0..3).map(|_| status(429, json!({})))));
    assert!(matches!(scene.cloud().check().await, Err(CheckFailure::Unsettled(ApiError::RateLimited { .. }))));
    scene.fake.lines();
}

#[tokio::test]
async fn a_lost_creation_is_looked_for_by_its_key_and_never_repeated() {
    let list = |clusters: Value| ok(json!({ "clusters": clusters }));
    let with_key = |number: &str, key: &str| {
        let mut cluster = cluster(number, "shop", "2026-01-31T12:00:01Z");
        cluster["labels"] = json!({ "mcp-idempotency-key": key });
        cluster
    };
    // Somebody else's, of the same name and age.
    let others = || json!([cluster("1", "shop", "2026-01-31T12:00:01Z"), with_key("3", "another key")]);
    let with_ours = || json!([with_key("2", SENT_KEY), with_key("3", "another key")]);
    for lost in [Err(FetchError::Timeout), Err(FetchError::Unreachable), status(502, json!({})), body_lost()] {
        let scene = Scene::warmed(vec![lost]).await;
        scene.fake.then([challenge("b", false), list(others()), list(others()), list(others()), list(with_ours())]);
        let found = scene.cloud().create_cluster(&new_cluster()).await.unwrap();
        assert_eq!(
            (found.made.cluster_id.as_str(), found.reconciled),
            ("2", true),
            "the one with the key of the request"
        );
        assert_eq!(scene.fake.lines().iter().filter(|line| line.starts_with("POST")).count(), 1, "it is sent once");
    }
    // Not there, or the look itself fails: unknown.
    let refused = (0..4).map(|_| status(403, json!({}))).collect::<Vec<_>>();
    for looks in [(0..4).map(|_| list(others())).collect(), refused] {
        let scene = Scene::warmed(vec![status(504, json!({ "message": "gateway" }))]).await;
        scene.fake.then(looks);
        let error = scene.cloud().create_cluster(&new_cluster()).await.unwrap_err();
        assert!(error.outcome_unknown() && error.answer().is_some_and(|answer| answer.status == 504), "{error}");
        assert_eq!(scene.fake.lines().iter().filter(|line| line.starts_with("POST")).count(), 1);
    }
    // Refused is not lost, and an answer is no find.
    let scene = Scene::warmed(vec![status(402, json!({ "message": "payment" }))]).await;
    assert!(matches!(scene.cloud().create_cluster(&new_cluster()).await.unwrap_err(), ApiError::QuotaExceeded(_)));
    let scene = Scene::warmed(vec![ok(with_key("2", SENT_KEY))]).await;
    assert!(!scene.cloud().create_cluster(&new_cluster()).await.unwrap().reconciled);
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
    let failure = scene.sql().run(&on_branch(), CLASS, None, query("select 1"), Replay::Safe).await.unwrap_err();
    assert_eq!(failure, SqlFailure::Api(error));
}

#[tokio::test]
async fn a_lost_branch_is_looked_for_too() {
    let new = NewBranch {
        display_name: "try-it".to_owned().try_into().unwrap(),
        parent_id: Some(branch_id()),
        parent_timestamp: Some(Timestamp::try_from("2026-01-31T10:00:00Z".to_owned()).unwrap()),
    };
    let of = |name: &str, created: &str| json!({ "branchId": branch_id(), "displayName": name, "createTime": created });
    let list = |branches: Value| ok(json!({ "branches": branches }));
    let old = || of("try-it", "2026-01-31T11:59:00Z");
    let made = || of("try-it", "2026-01-31T11:59:57Z");
    // Not there, or twice there: unknown.
    let twice = vec![list(json!([made(), made()]))];
    for looks in [(0..4).map(|_| list(json!([old(), of("other", "2026-01-31T12:00:01Z")]))).collect(), twice] {
        let scene = Scene::warmed(vec![status(504, json!({}))]).await;
        scene.fake.then(looks);
        assert!(scene.cloud().create_branch(&id(), &new).await.unwrap_err().outcome_unknown());
        scene.fake.lines();
    }
    let scene = Scene::warmed(vec![Err(FetchError::Unreachable)]).await;
    scene.fake.then([challenge("b", false), list(json!([old()])), list(json!([old(), made()]))]);
    let found = scene.cloud().create_branch(&id(), &new).await.unwrap();
    assert_eq!((found.made.branch_id, found.reconciled), (branch_id(), true));
    let body: Value = serde_json::from_slice(scene.fake.sent.borrow()[0].body.as_ref().unwrap()).unwrap();
    assert_eq!(
        body,
        json!({ "displayName": "try-it", "parentId": branch_id(), "parentTimestamp": "2026-01-31T10:00:00Z" })
    );
}

#[tokio::test]
async fn an_update_names_one_field_and_is_sent_again_only_if_it_does_not_show() {
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
    scene.fake.then([status(500, json!({})), with("b"), with("a")]);
    scene.cloud().update_cluster(&id(), &change).await.unwrap();
    scene.fake.then([status(500, json!({})), with("b"), status(500, json!({})), with("b")]);
    assert!(scene.cloud().update_cluster(&id(), &change).await.unwrap_err().outcome_unknown());
    scene.fake.then([status(500, json!({})), with("b"), status(403, json!({}))]);
    let error = scene.cloud().update_cluster(&id(), &change).await.unwrap_err();
    assert!(error.outcome_unknown(), "the first one may still take effect: {error}");
    let name = ClusterChange::DisplayName("shop".parse().unwrap());
    scene.fake.then([body_lost(), with("b")]);
    scene.cloud().update_cluster(&id(), &name).await.unwrap();
    assert_eq!(scene.fake.lines().iter().filter(|line| line.starts_with("PATCH")).count(), 8);
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
    let failing = || [status(500, json!({})), status(500, json!({})), status(403, json!({}))];
    scene.fake.then(failing().into_iter().chain([ok(json!({}))]));
    assert!(scene.cloud().delete_sql_user(&id(), "p.reader").await.unwrap_err().outcome_unknown());
    // A last look settles it.
    scene.fake.then(failing().into_iter().chain([gone()]));
    scene.cloud().delete_sql_user(&id(), "p.reader").await.unwrap();
    let sent = scene.fake.lines();
    assert_eq!(sent.len(), 4 + 2 * 4);
    assert!(sent[4].starts_with(&format!("DELETE /v1beta1/clusters/{}/sqlUsers/p.reader ", id())), "{sent:?}");
}
