//! Canaries: no private key, password or server secret is ever seen where it does not belong.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::{
    support::{Call, Driver, REVISIONS, keys, request},
    world::{Native, SERVER_SECRET},
};

/// Calls that touch every kind of secret, well and badly.
fn calls(server: &mut Native) -> Vec<String> {
    let mut seen = Vec::new();
    let mut call = |server: &mut Native, tool: &str, arguments: Value, extra: &[(&str, &str)]| {
        for revision in REVISIONS {
            let mut call: Call =
                request(revision, "owner", "tools/call", json!({"name": tool, "arguments": arguments.clone()}));
            call.headers.extend(extra.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
            let answer = server.send(call);
            seen.push(format!("{:?} {}", answer.headers, String::from_utf8_lossy(&answer.body)));
        }
    };
    call(server, "db_query", json!({"cluster": "shop", "sql": "SELECT 1"}), &[]);
    call(server, "db_query", json!({"cluster": "shop", "sql": "SELECT CURRENT_USER()"}), &[]);
    call(server, "db_execute", json!({"cluster": "shop", "sql": "CREATE TABLE shop.canaries (id INT)"}), &[]);
    call(server, "db_create_user", json!({"cluster": "shop", "userName": "someone", "role": "role_readonly"}), &[]);
    call(server, "db_create_user", json!({"cluster": "shop", "userName": "a", "role": "r", "password": "x"}), &[]);
    call(server, "tidbcloud_create_branch", json!({"cluster": "shop", "displayName": "twig"}), &[]);
    let own = [("X-TiDB-SQL-User", "SbxShop7Wq3Kd9e.nobody"), ("X-TiDB-SQL-Secret", "canary-sql-password")];
    call(server, "db_query", json!({"cluster": "shop", "sql": "SELECT 1"}), &own);
    call(server, "db_query", json!({"cluster": "shop", "sql": "SELECT 1"}), &[("X-TiDB-SQL-Secret", "canary-half")]);
    call(server, "db_query", json!({"cluster": "shop", "sql": "SELEC 'canary-literal'"}), &[]);
    seen
}

/// Everything that the service wrote to somebody other than its caller and TiDB Cloud, by where it went. What it writes to next is
/// one more row.
fn written(server: &Native) -> [(&'static str, Vec<String>); 2] {
    [
        ("the log", server.world.log.borrow().clone()),
        ("the statistics", server.world.points.borrow().iter().map(|point| format!("{point:?}")).collect()),
    ]
}

#[test]
fn no_secret_is_ever_shown_logged_or_sent_elsewhere() {
    let mut server = Native::new();
    server.world.has_analytics.set(true);
    let mut seen = calls(&mut server);
    for (place, texts) in written(&server) {
        assert!(!texts.is_empty(), "nothing went to {place}, so the test sees nothing there");
        for text in &texts {
            assert!(!text.contains("SELEC") && !text.contains("canary"), "{place} has what a caller wrote: {text}");
        }
        seen.extend(texts);
    }
    seen.push(server.admin("GET", "/_sandbox/state", None).to_string());
    seen.push(server.admin("GET", "/_sandbox/requests", None).to_string());

    // The passwords that the server made, as they went to TiDB Cloud.
    let mut secrets =
        vec![keys("owner").1, SERVER_SECRET.to_owned(), "canary-sql-password".to_owned(), "canary-half".to_owned()];
    let mut derived = 0;
    for (target, sent) in server.world.sent.borrow().iter() {
        for secret in [keys("owner").1, SERVER_SECRET.to_owned()] {
            assert!(!sent.contains(&secret) && !target.contains(&secret), "a secret was sent to {target}");
        }
        for marker in ["\"password\":\"", "Basic "] {
            for (index, _) in sent.match_indices(marker) {
                let text: String = sent[index + marker.len()..].chars().take_while(|letter| *letter != '"').collect();
                let password = match STANDARD.decode(&text) {
                    Ok(login) if marker == "Basic " => {
                        let login = String::from_utf8(login).expect("a login");
                        assert!(target.contains("/v1beta/sql"), "a login was sent to {target}");
                        login.split_once(':').expect("a password").1.to_owned()
                    }
                    _ => text,
                };
                derived += 1;
                secrets.push(password);
            }
        }
    }
    assert!(derived >= 4, "the test saw no password at all");
    for secret in &secrets {
        let encoded = STANDARD.encode(secret);
        for text in &seen {
            assert!(!text.contains(secret.as_str()) && !text.contains(&encoded), "a secret shows in {text}");
        }
    }
}
