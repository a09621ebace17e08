//! A person whose key may not manage SQL users brings one.

use mcp_server_tidbcloud::{
    base::{clock::UnixMillis, secret::Secret},
    port::Io,
    tidbcloud::{ApiKey, Cloud, ClusterId, Memory, SqlRole, Unwatched},
};
use serde_json::json;
use tidbcloud_sandbox::control::{SHOP_CLUSTER_ID, SHOP_USER_PREFIX};

use crate::{
    support::{Driver, keys, request},
    world::{Native, block_on},
};

const PASSWORD: &str = "canary-Own-Password-1";

#[test]
fn a_sql_user_in_headers_is_used_where_its_prefix_belongs_and_nowhere_else() {
    let mut server = Native::new();
    let (public, private) = keys("owner");
    let authenticator = ApiKey::new(public, private).expect("a key").into();
    let memory = Memory::new();
    let deadline = UnixMillis(server.world.now().0 + 28_000);
    let cloud = Cloud::new(
        &*server.world,
        server.world.request_log(),
        &server.config.hosts,
        &authenticator,
        &Unwatched,
        &memory,
        deadline,
    );
    let id = ClusterId::try_from(SHOP_CLUSTER_ID.to_owned()).expect("an id");
    block_on(cloud.create_sql_user(&id, "reader", SqlRole::ReadOnly, &Secret::new(PASSWORD))).expect("a user");
    server.advance(5);

    let query = |server: &mut Native, user: &str, tool: &str, sql: &str| {
        let arguments = json!({"cluster": SHOP_CLUSTER_ID, "sql": sql});
        let mut call = request("2026-07-28", "viewer", "tools/call", json!({"name": tool, "arguments": arguments}));
        call.headers.push(("X-TiDB-SQL-User".to_owned(), user.to_owned()));
        call.headers.push(("X-TiDB-SQL-Secret".to_owned(), PASSWORD.to_owned()));
        server.send(call).json()["result"]["structuredContent"].clone()
    };
    let own = format!("{SHOP_USER_PREFIX}.reader");
    let read = query(&mut server, &own, "db_query", "SELECT COUNT(*) FROM shop.products");
    assert_eq!(read["rows"], json!([["200"]]));
    let write = query(&mut server, &own, "db_execute", "DELETE FROM shop.event_log");
    assert_eq!(write["error"]["code"], json!("SQL_ERROR"), "{write}");
    let elsewhere = query(&mut server, "another.reader", "db_query", "SELECT 1");
    assert_eq!(elsewhere["error"]["code"], json!("PERMISSION_DENIED"), "{elsewhere}");
    let users = server.admin("GET", "/_sandbox/state", None)["clusters"][0]["sqlUsers"].to_string();
    assert!(!users.contains(".mcp_"), "a managed user was made beside the person's own: {users}");
}
