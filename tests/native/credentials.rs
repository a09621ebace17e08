//! Whether TiDB Cloud takes what somebody gave, before anything is kept of it.

use mcp_server_tidbcloud::{
    base::clock::UnixMillis,
    port::Io,
    tidbcloud::{ApiError, ApiKey, Authenticator, BearerToken, CheckFailure, Cloud, Memory, Unwatched},
};
use serde_json::json;

use crate::{
    support::{Driver, keys},
    world::{Native, block_on},
};

/// What a check says in a fresh isolate, and how many requests it took.
fn check(server: &mut Native, authenticator: &Authenticator) -> (Result<(), CheckFailure>, usize) {
    server.admin("DELETE", "/_sandbox/requests", None);
    let (memory, deadline) = (Memory::new(), UnixMillis(server.world.now().0 + 28_000));
    let cloud = Cloud::new(
        &*server.world,
        server.world.request_log(),
        &server.config.hosts,
        authenticator,
        &Unwatched,
        &memory,
        deadline,
    );
    let said = block_on(cloud.check());
    let sent = server.admin("GET", "/_sandbox/requests", None)["requests"].as_array().expect("requests").len();
    (said, sent)
}

#[test]
fn a_check_finds_out_what_credentials_are_worth() {
    let mut server = Native::new();
    let key = |public: &str, private: &str| Authenticator::from(ApiKey::new(public, private).expect("a key"));
    for who in ["owner", "viewer", "other"] {
        let (public, private) = keys(who);
        let said = check(&mut server, &key(public, &private));
        assert_eq!(said, (Ok(()), 2), "{who}: one request for the nonce and one that counts");
    }
    let (_, private) = keys("owner");
    let token = BearerToken::new("canary-token", "person@example.com", "0a".repeat(32)).expect("a token");
    for (worthless, requests) in [
        (key("SBXOWNER", "canary-private-key"), 2),
        (key("NOBODY00", &private), 2),
        // A digest challenge comes with the refusal, and is not answered: there is no key to answer it with.
        (token.into(), 1),
    ] {
        let (said, sent) = check(&mut server, &worthless);
        assert!(matches!(&said, Err(CheckFailure::Refused(answer)) if answer.status == 401), "{said:?}");
        assert_eq!(sent, requests);
    }

    let outage =
        json!({"faults": [{"match": {"path": "/v1beta1/clusters", "times": 9}, "do": "status", "status": 503}]});
    server.admin("POST", "/_sandbox/faults", Some(outage));
    let (public, private) = keys("owner");
    let (said, _) = check(&mut server, &key(public, &private));
    assert!(matches!(said, Err(CheckFailure::Unsettled(ApiError::Failing { .. }))), "{said:?}");
}
