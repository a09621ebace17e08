//! Conversations about statements: logins, failures, transactions.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    base::http::Response,
    port::{FetchError, Io as _},
    tidbcloud::{
        fake::{
            CLASS, Scene, Script, active, branch_id, challenge, changed, id, in_session, no_login, ok, on_branch,
            on_cluster, query, rows, shop, status,
        },
        *,
    },
};

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
            scene.sql().run(&on_cluster(), CLASS, Some(&shop()), query("select 1"), Replay::Safe).await.unwrap();
        assert_eq!(answer.rows, [[Some(Cell { text: "1".to_owned(), cut: false })], [None]]);
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
    assert_eq!(
        scene.fake.last_body(),
        json!({ "query": "select /*+ MAX_EXECUTION_TIME(29500) MEMORY_QUOTA(512 MB) */ 1" })
    );
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
        scene.sql().run(&on_cluster(), class, None, query("delete from t where id = 1"), Replay::Unsafe).await.unwrap();
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
        scene.sql().run(&on_cluster(), CLASS, None, query("select 1"), Replay::Safe).await.unwrap();
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
        scene.sql().run(&on_cluster(), CLASS, None, query("select 1"), Replay::Safe).await.unwrap();
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
    let failure = scene.sql().run(&on_cluster(), CLASS, None, query("select 1"), Replay::Safe).await.unwrap_err();
    assert_eq!(failure, SqlFailure::LoginNotYet);
    scene.fake.lines();
}

#[tokio::test]
async fn a_branch_is_repaired_once_and_never_given_users() {
    let scene = Scene::warmed(vec![ok(active()), no_login(), ok(json!({})), rows()]).await;
    scene.sql().run(&on_branch(), CLASS, None, query("select 1"), Replay::Safe).await.unwrap();
    let sent = scene.fake.lines();
    let path = format!("PATCH /v1beta1/clusters/{}/branches/{}/sqlUsers/2aEp24QWEDLqRFs.mcp_ro_", id(), branch_id());
    assert!(sent[2].starts_with(&path), "{sent:?}");
    let failure = async |answer| {
        let scene = Scene::warmed(vec![ok(active()), no_login(), answer]).await;
        scene.sql().run(&on_branch(), CLASS, None, query("select 1"), Replay::Safe).await.unwrap_err()
    };
    assert_eq!(failure(status(404, json!({}))).await, SqlFailure::BranchOlderThanItsUsers);
    for status_code in [403, 405] {
        let failure = failure(status(status_code, json!({ "message": "not for you" }))).await;
        assert!(
            matches!(&failure, SqlFailure::NoManagedUser { cause } if cause.to_string().contains("not for you")),
            "{failure}"
        );
    }
}

#[tokio::test]
async fn the_callers_own_user_is_used_on_its_own_instance_only() {
    let mut scene = Scene::warmed(vec![ok(active()), rows(), no_login()]).await;
    scene.own_login = Some(SqlLogin::new("2aEp24QWEDLqRFs.me", "canary-sql-password").unwrap());
    scene.sql().run(&on_cluster(), CLASS, None, query("select 1"), Replay::Safe).await.unwrap();
    assert_eq!(login_of(scene.fake.sent.borrow().last().unwrap()), "2aEp24QWEDLqRFs.me:canary-sql-password");
    let refused = scene.sql().run(&on_cluster(), CLASS, None, query("select 1"), Replay::Safe).await.unwrap_err();
    assert_eq!(refused, SqlFailure::OwnLoginRefused);
    scene.own_login = Some(SqlLogin::new("elsewhere.me", "canary-sql-password").unwrap());
    scene.fake.then([ok(active()), rows()]);
    scene.sql().run(&on_cluster(), CLASS, None, query("select 1"), Replay::Safe).await.unwrap();
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
        let failure = scene.sql().run(&on_cluster(), CLASS, None, query("select 1"), Replay::Safe).await.unwrap_err();
        assert_eq!(failure, expected);
    }
    let elsewhere = with("endpoints", json!({ "public": { "host": "gateway01.evil.example" } }));
    let scene = Scene::warmed(vec![ok(elsewhere)]).await;
    let failure = scene.sql().run(&on_cluster(), CLASS, None, query("select 1"), Replay::Safe).await.unwrap_err();
    assert!(matches!(failure, SqlFailure::Api(ApiError::Malformed(_))), "{failure}");
    assert_eq!(scene.fake.lines().len(), 1, "no password left");
}

/// With less than a round trip left nobody would learn what became of it.
#[tokio::test]
async fn a_write_is_not_sent_at_the_last_moment() {
    for (left, replay, is_sent) in [
        (1_999, Replay::Unsafe, false),
        (2_000, Replay::Unsafe, true),
        (1_999, Replay::Safe, true),
        (499, Replay::Safe, false),
    ] {
        let scene = Scene::warmed(vec![ok(active()), rows()]).await;
        scene.sql().run(&on_cluster(), CLASS, None, query("select 1"), Replay::Safe).await.unwrap();
        scene.fake.lines();
        scene.fake.then(if is_sent { vec![rows()] } else { Vec::new() });
        let late = scene.sql_for(Duration::from_millis(left));
        let answer = late.run(&on_cluster(), CLASS, None, query("delete from t where id = 1"), replay).await;
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
    const GONE: &str = "Error 2013: Lost connection to MySQL server during query";
    const PARTLY: &str = "Error 8143: non-transactional job failed, job id: 2, total jobs: 3";
    let missing = "Error 1146 (42S02): Table 'shop.x' doesn't exist";
    let sql = |code, message: &str| SqlFailure::Sql { code, message: message.to_owned() };
    let unknown = |cause| SqlFailure::OutcomeUnknown { cause: Box::new(cause) };
    let lost = || Ok(Response::json(200, r#"{"types":[{"name":"#));
    let unreadable =
        || ApiError::Unreadable { status: 200, cause: Misread::new("not there: an answer that does not break off") };
    for (answers, replay, expected) in [
        (vec![error(500, missing)], Replay::Safe, sql(Some(1146), missing)),
        (vec![error(400, "only one statement")], Replay::Unsafe, sql(None, "only one statement")),
        (vec![error(400, "Error 1064: near 'a\nb'")], Replay::Safe, sql(Some(1064), "Error 1064: near 'a\\nb'")),
        (vec![lost(), lost()], Replay::Safe, unreadable().into()),
        (vec![lost()], Replay::Unsafe, unknown(unreadable().into())),
        (vec![Err(FetchError::Unreachable)], Replay::Unsafe, unknown(ApiError::Unreachable.into())),
        (vec![Err(FetchError::Timeout)], Replay::Safe, ApiError::Timeout.into()),
        (vec![Err(FetchError::TooLarge)], Replay::Safe, ApiError::TooLarge.into()),
        (
            vec![error(500, "Error 9005: Region is unavailable"), error(500, missing)],
            Replay::Safe,
            sql(Some(1146), missing),
        ),
        // It was rolled back, so it is sent once more.
        (vec![error(500, "Error 9007: Write conflict"), error(500, missing)], Replay::Unsafe, sql(Some(1146), missing)),
        (vec![error(500, GONE)], Replay::Unsafe, unknown(sql(Some(2013), GONE))),
        (vec![error(400, "invalid connection")], Replay::Unsafe, unknown(sql(None, "invalid connection"))),
        (vec![error(500, PARTLY)], Replay::Unsafe, unknown(sql(Some(8143), PARTLY))),
        (
            vec![error(500, "Error 1105: execution result undetermined")],
            Replay::Unsafe,
            unknown(sql(Some(1105), "Error 1105: execution result undetermined")),
        ),
    ] {
        let mut script = vec![ok(active())];
        script.extend(answers);
        let scene = Scene::warmed(script).await;
        let failure = scene.sql().run(&on_cluster(), CLASS, None, query("select 1"), replay).await.unwrap_err();
        assert_eq!(
            failure.outcome_unknown(),
            replay == Replay::Unsafe && matches!(expected, SqlFailure::OutcomeUnknown { .. })
        );
        assert_eq!(failure, expected);
        scene.fake.lines();
    }
    let scene = Scene::warmed(vec![ok(active()), lost(), rows()]).await;
    scene.sql().run(&on_cluster(), CLASS, None, query("select 1"), Replay::Safe).await.unwrap();
    let bad_gateway = status(502, json!({ "message": "bad gateway" }));
    scene.fake.then([bad_gateway]);
    let failure =
        scene.sql().run(&on_cluster(), CLASS, None, query("delete from t"), Replay::Unsafe).await.unwrap_err();
    assert!(failure.outcome_unknown());
}

#[tokio::test]
async fn a_row_that_does_not_fit_its_columns_is_not_shown() {
    let crooked = || ok(json!({ "types": [{ "name": "n", "type": "INT" }], "rows": [["1", "2"]] }));
    let scene = Scene::warmed(vec![ok(active()), crooked(), crooked()]).await;
    let failure = scene.sql().run(&on_cluster(), CLASS, None, query("select 1"), Replay::Safe).await.unwrap_err();
    assert!(matches!(failure, SqlFailure::Api(ApiError::Unreadable { status: 200, .. })), "{failure}");
}

async fn transaction(script: Script) -> (Result<Vec<Rows>, TransactionFailure>, Vec<String>) {
    let scene = Scene::warmed(vec![ok(active())]).await;
    scene.fake.then(script);
    let statements = [query("insert into t values (1)"), query("insert into t values (2)")];
    let sql = scene.sql();
    let (target, shop) = (on_cluster(), shop());
    let done = async {
        let mut transaction = sql.begin(&target, AccessClass::ReadWrite, Some(&shop), 3).await?;
        let mut results = Vec::new();
        for (index, statement) in statements.into_iter().enumerate() {
            results.push(transaction.run(index, statement).await?);
        }
        transaction.commit().await.map(|()| results)
    };
    let done = done.await;
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
