//! Conversations about failures that pass, time, and pages.

use std::time::Duration;

use serde_json::json;

use crate::{
    base::http::Method,
    port::{FetchError, Io as _},
    tidbcloud::{
        fake::{START, Scene, active, body_lost, challenge, cluster, id, new_cluster, ok, status},
        *,
    },
};

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

#[tokio::test]
async fn reads_are_repeated_three_times_in_all() {
    let unavailable = || status(503, json!({ "code": 14, "message": "try later" }));
    let scene = Scene::warmed(vec![unavailable(), Err(FetchError::Unreachable), body_lost()]).await;
    let broken = ApiError::Unreadable { status: 200, cause: Misread::new("no JSON at line 1 column 18") };
    assert_eq!(scene.cloud().cluster(&id()).await.unwrap_err(), broken);
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
    let late = scene.cloud_for(Duration::from_millis(499));
    scene.fake.lines();
    assert_eq!(late.cluster(&id()).await.unwrap_err(), ApiError::DeadlineExceeded);
    assert_eq!(late.delete_cluster(&id()).await.unwrap_err(), ApiError::DeadlineExceeded);
    assert_eq!(late.create_cluster(&new_cluster()).await.unwrap_err(), ApiError::DeadlineExceeded);
    assert!(scene.fake.lines().is_empty(), "nothing was sent");
}

#[tokio::test]
async fn a_rate_limit_is_waited_out_if_it_is_short() {
    let limited = |reset: &str| {
        status(429, json!({ "code": 49900007, "message": "The request exceeded the limit" }))
            .map(|answer| answer.with("X-Ratelimit-Reset", reset))
    };
    let scene = Scene::warmed(vec![]).await;
    let call = async |method| match method {
        Method::Get => scene.cloud().cluster(&id()).await.map(drop),
        Method::Post => scene.cloud().create_cluster(&new_cluster()).await.map(drop),
        _ => scene.cloud().delete_cluster(&id()).await.map(drop),
    };
    // It was refused and not carried out, so a write is sent again too.
    for method in [Method::Get, Method::Post, Method::Delete] {
        scene.fake.then([limited("5"), ok(active())]);
        let start = scene.fake.now();
        call(method).await.unwrap();
        assert!(start.until(scene.fake.now()) >= Duration::from_secs(5));
        scene.fake.then([limited("23")]);
        let error = call(method).await.unwrap_err();
        assert!(matches!(error, ApiError::RateLimited { .. }) && !error.outcome_unknown());
        assert_eq!(error.retry_after_seconds(), Some(23));
        // Without a hint: a second or two, and then a minute.
        scene.fake.then((0..3).map(|_| status(429, json!({}))));
        assert_eq!(call(method).await.unwrap_err().retry_after_seconds(), Some(60));
    }
    assert_eq!(scene.fake.lines().len(), 3 * (2 + 1 + 3));
}
