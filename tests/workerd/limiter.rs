//! The limiter where it has to be right: many isolates' worth of requests at once, and a restart.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use serde_json::json;

use crate::{
    support::request,
    worker::{Worker, sandbox, send},
};

fn call(address: &str) -> crate::support::Call {
    let mut call = request("2026-07-28", "owner", "tools/list", json!({}));
    call.headers.push(("CF-Connecting-IP".to_owned(), address.to_owned()));
    call
}

/// Sends requests with `width` under way at once; gives how many were admitted.
fn flood(origin: &str, address: &str, count: usize, width: usize) -> usize {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let client = reqwest::Client::new();
    let admitted = Arc::new(AtomicUsize::new(0));
    let next = Arc::new(AtomicUsize::new(0));
    runtime.block_on(async {
        let senders: Vec<_> = (0..width)
            .map(|_| {
                let (client, admitted, next) = (client.clone(), admitted.clone(), next.clone());
                let (call, url) = (call(address), format!("{origin}/mcp"));
                tokio::spawn(async move {
                    while next.fetch_add(1, Ordering::SeqCst) < count {
                        let mut request = client.post(&url).body(call.body.clone());
                        for (name, value) in &call.headers {
                            request = request.header(name, value);
                        }
                        let answer = request.send().await.expect("an answer");
                        match answer.status().as_u16() {
                            200 => admitted.fetch_add(1, Ordering::SeqCst),
                            429 => 0,
                            status => panic!("{status}"),
                        };
                    }
                })
            })
            .collect();
        for sender in senders {
            sender.await.expect("a sender");
        }
    });
    admitted.load(Ordering::SeqCst)
}

#[test]
fn a_thousand_at_once_get_the_burst_and_what_refills_meanwhile() {
    let state = tempfile::tempdir().expect("a directory");
    let worker = Worker::start(state.path());
    let started = Instant::now();
    // 100 at once, and 100 a minute after that; one more for the request that straddles the end.
    let most = || 100.0 + started.elapsed().as_secs_f64() * 100.0 / 60.0 + 1.0;
    let admitted = flood(&worker.origin, "203.0.113.1", 1_000, 1_000);
    println!("{admitted} of 1000 admitted, at most {:.1}", most());
    assert!(admitted >= 100, "{admitted}");
    assert!(admitted as f64 <= most(), "{admitted} of {}", most());

    // A restart forgets isolates, not permits.
    drop(worker);
    let worker = Worker::start(state.path());
    let again = flood(&worker.origin, "203.0.113.1", 100, 10);
    println!("{again} of 100 admitted after a restart, {} of {:.1} in all", admitted + again, most());
    assert!((admitted + again) as f64 <= most(), "{admitted} and {again} of {}", most());
    assert!(again < 100);
}

#[test]
fn the_servers_own_secret_outlives_a_restart() {
    let state = tempfile::tempdir().expect("a directory");
    let query = || {
        let mut call = request(
            "2026-07-28",
            "owner",
            "tools/call",
            json!({"name": "db_query", "arguments": {"cluster": "shop", "sql": "SELECT 1"}}),
        );
        call.headers.push(("CF-Connecting-IP".to_owned(), "203.0.113.2".to_owned()));
        call
    };
    let users = || {
        let answer = send(
            &sandbox(),
            crate::support::Call {
                method: "GET".to_owned(),
                target: "/_sandbox/state".to_owned(),
                ..Default::default()
            },
        );
        let state = answer.json();
        let mut names: Vec<String> = state["clusters"]
            .as_array()
            .expect("clusters")
            .iter()
            .flat_map(|cluster| cluster["sqlUsers"].as_array().expect("SQL users"))
            .filter_map(|user| user["userName"].as_str())
            .filter(|name| name.contains(".mcp_"))
            .map(str::to_owned)
            .collect();
        names.sort();
        names
    };
    let before = {
        let worker = Worker::by_wrangler(state.path(), &sandbox(), "");
        assert_eq!(send(&worker.origin, query()).status, 200);
        users()
    };
    assert!(!before.is_empty());
    let worker = Worker::by_wrangler(state.path(), &sandbox(), "");
    assert_eq!(send(&worker.origin, query()).status, 200);
    assert_eq!(users(), before, "the name of a managed user follows from the secret");
}
