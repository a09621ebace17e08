//! `/readyz` where Durable Objects, timeouts and clients that leave are real.

use std::time::Instant;

use serde_json::{Value, json};

use super::stage::{Stage, until};
use crate::support::{Answer, Call};

fn get(target: &str) -> Call {
    Call { method: "GET".to_owned(), target: target.to_owned(), ..Call::default() }
}

/// Requests without credentials, as the one that finds out whether TiDB Cloud is there.
fn probes(stage: &Stage) -> usize {
    let requests = stage.requests();
    requests.iter().filter(|asked| asked["path"] == "/v1beta1/regions").count()
}

fn fault(stage: &Stage, mut fault: Value) {
    fault["match"] = json!({"path": "/v1beta1/regions", "times": 10_000, "challenge": true});
    stage.fault(&fault);
}

/// The first answer of this status.
fn answered(stage: &Stage, status: u16) -> Answer {
    until(&format!("{status} from /readyz"), || {
        let answer = stage.answer(get("/readyz"));
        (answer.status == status).then_some(answer)
    })
}

#[test]
fn readiness_follows_tidb_cloud_and_costs_it_one_request_at_a_time() {
    let (stage, began) = (Stage::new(), Instant::now());
    let mut expected = json!({
        "status": "ready",
        "checks": {"settings": "ok", "limiter": "ok", "grants": "ok", "circuits": "ok", "tidb_cloud": "ok"},
    });
    let ready = answered(&stage, 200);
    assert_eq!(ready.json(), expected);
    println!("{} {}", ready.status, String::from_utf8_lossy(&ready.body));
    fault(&stage, json!({"do": "status", "status": 503, "body": {}}));
    let failing = answered(&stage, 503);
    println!("{} {}", failing.status, String::from_utf8_lossy(&failing.body));
    (expected["status"], expected["checks"]["tidb_cloud"]) = (json!("not_ready"), json!("failing"));
    assert_eq!(failing.json(), expected, "what does not work is named, and nothing else changes");
    assert!(failing.header("Retry-After").is_some());
    let page = stage.answer(Call { headers: vec![("Accept".to_owned(), "text/html".to_owned())], ..get("/health") });
    assert_eq!((page.status, page.header("Content-Type")), (503, Some("text/html; charset=utf-8")));
    let head = stage.answer(Call { method: "HEAD".to_owned(), ..get("/readyz") });
    assert_eq!((head.status, head.body.len()), (503, 0));
    stage.admin("DELETE", "faults", &Value::Null);
    answered(&stage, 200);
    let (asked, found) = (stage.requests().len(), probes(&stage));
    assert_eq!(asked, found, "TiDB Cloud hears of nothing but the question whether it is there");
    let most = 1 + usize::try_from(began.elapsed().as_secs() / 15).expect("a short test");
    assert!((3..=most).contains(&found), "{found} requests: each verdict cost one, and a verdict holds for 15 s");
}

#[test]
fn who_leaves_in_the_middle_leaves_a_verdict_behind() {
    let stage = Stage::new();
    fault(&stage, json!({"do": "delay", "millis": 1_000}));
    let client = stage.begin(&get("/readyz"));
    until("the question to TiDB Cloud", || (probes(&stage) == 1).then_some(()));
    client.leave();
    let known = until("a verdict", || {
        let checks = stage.answer(get("/readyz")).json()["checks"].clone();
        (checks["tidb_cloud"] != "unknown").then_some(checks)
    });
    assert_eq!(probes(&stage), 1, "nobody had to ask again: {known}");
}
