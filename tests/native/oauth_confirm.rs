//! The page on which a person confirms: where it is served, what proves that the question is theirs, and what a grant's owner chose
//! about being asked.

use serde_json::json;

use crate::{
    confirm::{attended, decide, link, prove, result},
    support::{
        Answer, Call, Driver,
        bad_inputs::ACCESS_KEY,
        keys,
        oauth::{Page, browser_form, fields, get, with_token},
    },
    world::{Native, SANDBOX},
};

fn text(answer: &Answer) -> String {
    String::from_utf8_lossy(&answer.body).into_owned()
}

/// An owner's deployment, with these settings too.
fn owned(more: &[(&str, &str)]) -> Native {
    let private = keys("owner").1;
    let settings = [
        ("TIDB_CLOUD_SANDBOX", SANDBOX),
        ("TIDB_CLOUD_PUBLIC_KEY", "SBXOWNER"),
        ("TIDB_CLOUD_PRIVATE_KEY", &private),
        ("MCP_ACCESS_KEY", ACCESS_KEY),
    ];
    Native::with(&[&settings[..], more].concat())
}

fn deletion() -> Call {
    attended("tidbcloud_delete_cluster", json!({"cluster": "shop"}))
}

/// A person in front of a page types something.
fn typed(server: &mut Native, path: &str, what: &[(&str, &str)]) -> (u16, Page) {
    let origin = server.origin();
    let answer = server.send(browser_form(&origin, path, "", &fields(what)));
    (answer.status, Page::of(&answer))
}

/// The person types the cluster's name and agrees.
fn agree(server: &mut Native, path: &str, page: &Page) {
    let agreed = decide(server, path, page, &[("decision", "confirm"), ("name", "shop")]);
    assert_eq!(agreed.status, 200, "the person can agree: {}", text(&agreed));
}

#[test]
fn the_page_is_there_where_nobody_connects_by_oauth() {
    let mut server = Native::with(&[("TIDB_CLOUD_SANDBOX", SANDBOX), ("ALLOWED_CREDENTIALS", "keys")]);
    let origin = server.origin();
    assert_eq!(server.send(get("/grants")).status, 404, "the other pages are switched off");
    let path = link(&server.send(deletion()), &origin);
    let opened = server.send(get(&path));
    assert_eq!(opened.status, 200, "the page is served: {}", text(&opened));
    let policy = opened.header("Content-Security-Policy").unwrap_or_default();
    assert!(policy.contains("frame-ancestors 'none'"), "its headers are those of the other pages: {policy}");
    server.origin = "http://elsewhere.example".to_owned();
    assert_eq!(server.send(get(&path)).status, 403, "a host that is not served has no such page");
    server.origin = origin;
    let (_, page) = prove(&mut server, &path, "owner");
    agree(&mut server, &path, &page);
    assert_eq!(result(&server.send(deletion()))["status"], "DELETING", "the confirmed call runs");
}

#[test]
fn on_an_owners_deployment_the_access_key_proves_it() {
    for more in [&[][..], &[("ALLOWED_CREDENTIALS", "access-key")]] {
        let mut server = owned(more);
        let origin = server.origin();
        let delete = || with_token(deletion(), ACCESS_KEY);
        let path = link(&server.send(delete()), &origin);
        assert!(!text(&server.send(get(&path))).contains("privateKey"), "keys of TiDB Cloud are not asked for");
        let (status, page) = typed(&mut server, &path, &[("accessKey", "canary-guess")]);
        assert!(status == 400 && !page.html.contains("shop"), "a guess shows nothing: {}", page.html);
        let (status, page) = typed(&mut server, &path, &[("accessKey", ACCESS_KEY)]);
        assert_eq!(status, 200, "the access key shows what it is: {}", page.html);
        agree(&mut server, &path, &page);
        assert_eq!(result(&server.send(delete()))["status"], "DELETING", "the confirmed call runs");
    }
}

/// Who calls an owner's deployment with keys of their own is another principal than the owner, and is asked by those keys.
#[test]
fn on_an_owners_deployment_that_takes_keys_each_proves_what_they_call_with() {
    let mut server = owned(&[("ALLOWED_CREDENTIALS", "keys,access-key")]);
    let origin = server.origin();
    let path = link(&server.send(deletion()), &origin);
    let (status, _) = typed(&mut server, &path, &[("accessKey", ACCESS_KEY)]);
    assert_eq!(status, 400, "the owner did not ask this");
    let (status, page) = prove(&mut server, &path, "owner");
    assert_eq!(status, 200, "the keys that the call came with show it: {}", page.html);
    let by_owner = with_token(deletion(), ACCESS_KEY);
    let path = link(&server.send(by_owner), &origin);
    assert_eq!(prove(&mut server, &path, "owner").0, 400, "the same keys in headers are not the owner");
}

#[test]
fn a_page_is_spent_after_five_wrong_tries() {
    let mut server = Native::new();
    let origin = server.origin();
    let path = link(&server.send(deletion()), &origin);
    for left in (0..mcp_server_tidbcloud::store::confirmations::TRIES_MAX).rev() {
        let (status, page) = prove(&mut server, &path, "other");
        assert_eq!(status, 400, "somebody else's keys prove nothing");
        assert_eq!(page.html.contains(&format!("<strong>{left}</strong>")), left > 0, "it says how many are left");
    }
    assert_eq!(prove(&mut server, &path, "owner").0, 404, "then the right ones come too late");
    let link_again = link(&server.send(deletion()), &origin);
    assert_ne!(link_again, path, "the client asks again, with another link");
    assert_eq!(prove(&mut server, &link_again, "owner").0, 200, "which is new");
}
