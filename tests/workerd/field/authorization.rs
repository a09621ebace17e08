//! The authorization server under strangers, across a restart.

use crate::{
    support::{
        Driver,
        oauth::{Flow, Tokens, error, fields, form, list_clusters, with},
    },
    worker::{Worker, Workerd, free_port},
};

/// Somebody at this address opens the page of a client with a document: the status of what is shown.
fn open(origin: &str, address: &str, client_id: &str, redirect_uri: &str) -> u16 {
    let mut server = Workerd { origin: origin.to_owned(), address: address.to_owned() };
    let flow =
        Flow { origin: origin.to_owned(), client_id: client_id.to_owned(), redirect_uri: redirect_uri.to_owned() };
    flow.open(&mut server, &flow.request()).status
}

/// Strangers use up what one host has for all; a restart leaves no instance with anything in memory.
#[test]
fn sec_008_a_known_client_is_served_whatever_strangers_ask_for_and_after_a_restart() {
    const CLAUDE: &str = "https://claude.ai/oauth/mcp-oauth-client-metadata";
    const CLAUDE_REDIRECT: &str = "https://claude.ai/api/mcp/auth_callback";
    const CONNECTED: &str = "https://clients.example/no-store.json";
    const REDIRECT: &str = "https://clients.example/callback";
    let (state, port) = (tempfile::tempdir().expect("a directory"), free_port());
    let worker = Worker::start_at(state.path(), port);
    let origin = worker.origin.clone();
    let mut server = Workerd { origin: origin.clone(), address: "203.0.113.7".to_owned() };
    let flow = Flow { origin: origin.clone(), client_id: CONNECTED.to_owned(), redirect_uri: REDIRECT.to_owned() };
    flow.tokens(&mut server, "tidb:read");

    let statuses: Vec<u16> = (0..240)
        .map(|number| {
            let id = format!("https://clients.example/stranger-{number}.json");
            open(&origin, &format!("198.51.{}.7", number % 9), &id, REDIRECT)
        })
        .collect();
    assert!(statuses.contains(&429), "there is a limit");
    assert_eq!(open(&origin, "203.0.113.9", CLAUDE, CLAUDE_REDIRECT), 200);
    assert_eq!(open(&origin, "203.0.113.9", CONNECTED, REDIRECT), 200);
    drop(worker);
    let _worker = Worker::start_at(state.path(), port);
    assert_eq!(open(&origin, "203.0.113.10", CLAUDE, CLAUDE_REDIRECT), 200);
    assert_eq!(open(&origin, "203.0.113.10", CONNECTED, REDIRECT), 200);
}

#[test]
fn sec_014_an_error_is_not_sent_to_a_host_that_nobody_vouches_for() {
    let mut server = Workerd { origin: Worker::shared(), address: "198.19.14.1".to_owned() };
    for (redirect, status) in [
        ("https://elsewhere.example/cb", 400),
        ("cursor://anysphere.cursor-deeplink/mcp/install", 400),
        ("http://127.0.0.1:3000/cb", 302),
        ("https://claude.ai/api/mcp/auth_callback", 302),
    ] {
        let flow = Flow::registering(&mut server, &[redirect]);
        let answer = flow.open(&mut server, &with(flow.request(), "response_type", "x"));
        assert_eq!((answer.status, answer.header("Location").is_some()), (status, status == 302), "{redirect}");
        assert!(status == 302 || String::from_utf8_lossy(&answer.body).contains("unsupported_response_type"));
    }
    // Nor does a path of ours lead elsewhere.
    for path in
        ["//elsewhere.example/", "/%2f%2felsewhere.example", "/\\elsewhere.example/", "/index.html", "//index.html"]
    {
        let answer = server.send(crate::support::oauth::get(path));
        let to = answer.header("Location").unwrap_or_default();
        assert!(!to.contains("elsewhere"), "{path}: {} {to}", answer.status);
    }
}

#[test]
fn sec_017_a_refresh_token_two_rotations_old_ends_the_grant() {
    let mut server = Workerd { origin: Worker::shared(), address: "198.19.17.1".to_owned() };
    let flow = Flow::new(&mut server);
    let first = flow.tokens(&mut server, "tidb:read");
    let second = Tokens::of(&server.send(form("/token", &flow.refreshing(&first.refresh))));
    let third = Tokens::of(&server.send(form("/token", &flow.refreshing(&second.refresh))));
    assert_eq!(server.send(list_clusters(&third.access)).status, 200);
    let all = fields(&[("token", &first.refresh), ("client_id", &flow.client_id)]);
    assert_eq!(server.send(form("/revoke", &all)).status, 200);
    for tokens in [&first, &second, &third] {
        assert_eq!(server.send(list_clusters(&tokens.access)).status, 401);
        let refreshed = server.send(form("/token", &flow.refreshing(&tokens.refresh)));
        assert_eq!(error(&refreshed), (400, "invalid_grant".to_owned()));
    }
}
