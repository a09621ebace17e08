//! OAuth where it is decided: in Durable Objects that several requests reach at once, and that restart.

use std::{
    env, fs,
    io::{Read, Write},
    net::TcpListener,
    path::Path,
    process::Command,
    thread,
};

use rmcp::{
    ServiceExt,
    model::{CallToolRequestParams, ClientConfig},
    transport::{
        StreamableHttpClientTransport,
        auth::{AuthClient, AuthorizationRequest, OAuthState},
        streamable_http_client::StreamableHttpClientTransportConfig,
    },
};
use serde_json::Value;

use crate::{
    support::{
        Answer, Driver, keys,
        oauth::{Flow, Tokens, fields, form, list_clusters},
    },
    worker::{Worker, Workerd, free_port, send},
};

fn client(origin: &str, address: &str) -> Workerd {
    Workerd { origin: origin.to_owned(), address: address.to_owned() }
}

/// Sends the same form many times at once.
fn at_once(origin: &str, call: &crate::support::Call, times: usize) -> Vec<Answer> {
    let senders: Vec<_> = (0..times)
        .map(|number| {
            let (origin, mut call) = (origin.to_owned(), call.clone());
            call.headers.push(("CF-Connecting-IP".to_owned(), format!("198.51.100.{number}")));
            thread::spawn(move || send(&origin, call))
        })
        .collect();
    senders.into_iter().map(|sender| sender.join().expect("an answer")).collect()
}

#[test]
fn of_many_who_redeem_a_code_one_gets_tokens_and_the_grant_ends() {
    let mut server = client(&Worker::shared(), "203.0.113.101");
    let flow = Flow::new(&mut server);
    let code = flow.code(&mut server, Flow::typed("owner", "tidb:read"));
    let answers = at_once(&server.origin, &form("/token", &flow.redemption(&code)), 20);
    let granted: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
    assert_eq!(granted.len(), 1);
    assert!(
        answers.iter().filter(|answer| answer.status != 200).all(|answer| answer.json()["error"] == "invalid_grant")
    );
    // The others were a replay, so what the first one got is worth nothing any more.
    let tokens = Tokens::of(granted[0]);
    assert_eq!(server.send(list_clusters(&tokens.access)).status, 401);
    assert_eq!(server.send(form("/token", &flow.refreshing(&tokens.refresh))).status, 400);
}

#[test]
fn all_who_refresh_at_once_get_the_same_tokens() {
    let mut server = client(&Worker::shared(), "203.0.113.102");
    let flow = Flow::new(&mut server);
    let mut tokens = flow.tokens(&mut server, "tidb:read");
    for _ in 0..3 {
        let answers = at_once(&server.origin, &form("/token", &flow.refreshing(&tokens.refresh)), 20);
        let mut all: Vec<_> = answers.iter().map(Tokens::of).collect();
        let first = all.remove(0);
        assert!(all.iter().all(|other| *other == first), "two pairs of tokens for one refresh token");
        assert_ne!(first.refresh, tokens.refresh);
        tokens = first;
    }
    assert_eq!(server.send(list_clusters(&tokens.access)).status, 200);
}

/// Between any two steps the Worker restarts, and with it every Durable Object: what counts was stored. Afterwards nothing
/// that is a secret is found in the storage or in the log.
#[test]
fn a_flow_goes_on_after_a_restart_at_every_step_and_leaves_no_secret_behind() {
    let state = tempfile::tempdir().expect("a directory");
    let port = free_port();
    let mut worker = Worker::start_on(state.path(), port);
    let mut server = client(&worker.origin, "203.0.113.103");
    let mut log = String::new();
    let mut restart = |worker: &mut Worker| {
        worker.stop();
        log.push_str(&fs::read_to_string(state.path().join("worker.log")).expect("a log"));
        *worker = Worker::start_on(state.path(), port);
    };

    let flow = Flow::new(&mut server);
    restart(&mut worker);
    let page = flow.page(&mut server);
    restart(&mut worker);
    let sql = fields(&[("sqlUser", "SbxShop7Wq3Kd9e.canary_user"), ("sqlPassword", "canary-sql-password")]);
    let wrong = [Flow::typed("other", "tidb:read"), fields(&[("sqlUser", "no-prefix")])].concat();
    assert_eq!(flow.decide(&mut server, &page, wrong).status, 400);
    let typed = [Flow::typed("owner", "tidb:read"), sql].concat();
    let decided = flow.decide(&mut server, &page, typed.clone());
    assert_eq!(decided.status, 200);
    let code = crate::support::oauth::parameter(&crate::support::oauth::link(&decided), "code").expect("a code");
    restart(&mut worker);
    assert_eq!(flow.decide(&mut server, &page, typed).status, 400, "the page had ended");
    let first = Tokens::of(&server.send(form("/token", &flow.redemption(&code))));
    restart(&mut worker);
    assert_eq!(server.send(list_clusters(&first.access)).status, 200);
    let second = Tokens::of(&server.send(form("/token", &flow.refreshing(&first.refresh))));
    restart(&mut worker);
    assert_eq!(
        Tokens::of(&server.send(form("/token", &flow.refreshing(&first.refresh)))),
        second,
        "the same answer again"
    );
    assert_eq!(server.send(list_clusters(&second.access)).status, 200);
    let third = Tokens::of(&server.send(form("/token", &flow.refreshing(&second.refresh))));
    restart(&mut worker);
    assert_eq!(server.send(list_clusters(&third.access)).status, 200);
    let revocation = fields(&[("token", &third.refresh), ("client_id", &flow.client_id)]);
    let code_of_another = flow.code(&mut server, Flow::typed("owner", "tidb:read"));
    let kept = Tokens::of(&server.send(form("/token", &flow.redemption(&code_of_another))));
    assert_eq!(server.send(form("/revoke", &revocation)).status, 200);
    restart(&mut worker);
    assert_eq!(server.send(list_clusters(&third.access)).status, 401, "it stays revoked");
    assert_eq!(server.send(list_clusters(&kept.access)).status, 200, "and the other grant stays");
    worker.stop();

    log.push_str(&fs::read_to_string(state.path().join("worker.log")).expect("a log"));
    assert!(log.contains("\"event\":\"consent\""), "the log was read");
    let stored = dump(&state.path().join("state"));
    assert!(contains(&stored, b"Test client"), "the storage was read");
    let (_, private) = keys("owner");
    let (_, other) = keys("other");
    let mut secrets = vec![private, other, "canary".to_owned(), "SBXOWNER".to_owned(), page.value("csrf").to_owned()];
    for token in [&code, &first.access, &first.refresh, &second.access, &second.refresh, &third.refresh, &kept.access] {
        secrets.push(token.rsplit('.').next().expect("a secret").to_owned());
    }
    for secret in &secrets {
        assert!(!contains(&stored, secret.as_bytes()), "{secret} is stored");
        assert!(!log.contains(secret.as_str()), "{secret} is in the log");
    }
}

/// Every byte of every file.
fn dump(folder: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { all.extend(dump(&path)) } else { all.extend(fs::read(&path).expect("a file")) }
    }
    all
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// rmcp, from the bare address to the first tool result, with a person at a browser.
#[test]
fn rmcp_connects_from_the_bare_address() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let url = format!("{}/mcp", Worker::shared());
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let callback = format!("http://{}/callback", listener.local_addr().expect("an address"));
        let mut state = OAuthState::new(&url, None).await.expect("a client");
        let request = AuthorizationRequest::new(&callback).with_client_name("rmcp");
        state.start_authorization(request).await.expect("a request");
        let address = state.get_authorization_url().await.expect("an address");
        let person = thread::spawn(move || {
            let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/lib/approve.mjs");
            let node = env::var("NODE").expect("NODE is not set: run `cargo xtask test`");
            Command::new(node).arg(program).arg(address).output().expect("a browser")
        });
        let called = tokio::task::spawn_blocking(move || answer_callback(&listener)).await.expect("a callback");
        let did = person.join().expect("a person");
        assert!(did.status.success(), "{}", String::from_utf8_lossy(&did.stderr));
        let did: Value = serde_json::from_slice(&did.stdout).expect("JSON");
        println!("-- rmcp: {} click, {} typed fields", did["clicks"], did["fields"]);
        assert_eq!((did["clicks"].as_u64(), did["fields"].as_u64()), (Some(1), Some(2)));
        state.handle_callback_url(&format!("{callback}{called}")).await.expect("tokens");
        let manager = state.into_authorization_manager().expect("an authorized client");
        let config = StreamableHttpClientTransportConfig::with_uri(url);
        let authorized = AuthClient::new(reqwest::Client::new(), manager);
        let transport = StreamableHttpClientTransport::with_client(authorized, config);
        let client = ClientConfig::default().serve(transport).await.expect("a connection");
        let result = client.call_tool(CallToolRequestParams::new("tidbcloud_list_clusters")).await.expect("a result");
        let clusters = result.structured_content.expect("clusters").to_string();
        assert!(clusters.contains("shop"), "{clusters}");
        client.cancel().await.expect("an end");
    });
}

/// Waits for the browser and says that all is well; the query that it came with.
fn answer_callback(listener: &TcpListener) -> String {
    loop {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut bytes = [0; 8_192];
        let read = stream.read(&mut bytes).expect("a request");
        let request = String::from_utf8_lossy(&bytes[..read]).into_owned();
        let body = "You can close this tab.";
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        let _ = stream.write_all(answer.as_bytes());
        let target = request.split(' ').nth(1).unwrap_or_default().to_owned();
        if let Some(query) = target.strip_prefix("/callback") {
            return query.to_owned();
        }
    }
}
