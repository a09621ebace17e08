//! rmcp, the official Rust client, in both eras.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    process::Command,
    thread,
};

use rmcp::{
    ClientLifecycleMode,
    model::{CallToolRequestParams, ClientConfig, ProtocolVersion},
    serve_client_with_lifecycle,
    transport::{
        StreamableHttpClientTransport,
        auth::{AuthClient, AuthorizationRequest, OAuthState},
        streamable_http_client::StreamableHttpClientTransportConfig,
    },
};
use serde_json::{Value, json};

use crate::{
    support::{Driver, bad_inputs::list, catalogue, key_headers},
    worker::{Worker, Workerd},
};

fn transport(url: String, address: &str) -> StreamableHttpClientTransport<reqwest::Client> {
    let mut headers = HashMap::new();
    for (name, value) in key_headers("owner") {
        if name.starts_with("X-TiDB") {
            headers.insert(name.parse().expect("a name"), value.parse().expect("a value"));
        }
    }
    headers.insert("CF-Connecting-IP".parse().expect("a name"), address.parse().expect("a value"));
    let config = StreamableHttpClientTransportConfig::with_uri(url).custom_headers(headers);
    StreamableHttpClientTransport::from_config(config)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime")
}

fn converse(lifecycle: ClientLifecycleMode, address: &str) {
    // Before the runtime: waiting for the Worker blocks.
    let url = format!("{}/mcp", Worker::shared());
    runtime().block_on(async {
        let client = serve_client_with_lifecycle(ClientConfig::default(), transport(url, address), lifecycle)
            .await
            .expect("a connection");
        let tools = client.list_all_tools().await.expect("tools");
        let mut names: Vec<_> = tools.iter().map(|tool| tool.name.to_string()).collect();
        names.sort();
        assert_eq!(names, catalogue::listed(), "rmcp sees every tool that is listed by default (left: rmcp)");
        let call = |tool: &'static str, arguments: serde_json::Value| {
            CallToolRequestParams::new(tool).with_arguments(arguments.as_object().cloned().unwrap_or_default())
        };
        let result = client
            .call_tool(call("db_query", json!({"cluster": "shop", "sql": "SELECT COUNT(*) FROM shop.products"})))
            .await
            .expect("a result");
        assert_eq!(result.structured_content.expect("rows")["rows"], json!([["200"]]));
        let relayed = json!({"name": "tidbcloud_list_aliases", "arguments": {}});
        let result = client.call_tool(call("tidbcloud_run_read_tool", relayed)).await.expect("a result");
        assert!(result.structured_content.expect("aliases")["aliases"].is_array());
        let result =
            client.call_tool(call("tidbcloud_get_cluster", json!({"cluster": "nowhere"}))).await.expect("a result");
        assert_eq!(result.is_error, Some(true));
        client.cancel().await.expect("an end");
    });
}

#[test]
fn rmcp_by_initialize() {
    converse(ClientLifecycleMode::Initialize, "203.0.113.11");
}

#[test]
fn rmcp_by_discover() {
    converse(ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] }, "203.0.113.12");
}

#[test]
fn rmcp_by_probe() {
    converse(
        ClientLifecycleMode::Auto { preferred_versions: vec![ProtocolVersion::V_2026_07_28], legacy_version: None },
        "203.0.113.13",
    );
}

/// Waits for a browser at a client's redirect URI; gives what it asked for.
fn listen(listener: TcpListener) -> String {
    let (stream, _) = listener.accept().expect("a browser");
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line).expect("a request");
    let page = "Connected.";
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{page}",
        page.len()
    );
    (&stream).write_all(answer.as_bytes()).expect("a connection");
    line.split(' ').nth(1).expect("a target").to_owned()
}

/// A person in a browser approves what the address asks for; clicks and typed fields.
fn approve(address: &str) -> (u64, u64) {
    let output = Command::new("node")
        .args(["tests/clients/lib/approve.mjs", address])
        .env("MCP_URL", format!("{}/mcp", Worker::shared()))
        .output()
        .expect("node");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let done: Value = serde_json::from_slice(&output.stdout).expect("what came of it");
    assert_eq!(done["status"], 200, "{done}");
    (done["clicks"].as_u64().expect("a number"), done["typed"].as_u64().expect("a number"))
}

/// From the bare address to the first answer: rmcp's own code finds the server, registers, and redeems the code.
#[test]
fn rmcp_by_oauth() {
    connect_by_oauth("/mcp");
}

/// The same at an address that a person pasted with a slash and a query: rmcp goes by the metadata of just that.
#[test]
fn rmcp_by_oauth_at_a_narrowed_address() {
    connect_by_oauth("/mcp/?readonly=true&toolsets=clusters,database");
}

/// The names of the tools that this address leaves a token that may write, by a plain request with keys: the page never ticks
/// permission to destroy beforehand.
fn left_at(endpoint: &str) -> Vec<String> {
    let mut server = Workerd { origin: Worker::shared(), address: "203.0.113.14".to_owned() };
    let answer = server.send(list().to(endpoint)).json();
    let tools = answer["result"]["tools"].as_array().expect("tools");
    let names = tools.iter().map(|tool| tool["name"].as_str().expect("a name").to_owned());
    names.filter(|name| !name.contains("delete") && !name.contains("remove")).collect()
}

fn connect_by_oauth(endpoint: &str) {
    let url = format!("{}{endpoint}", Worker::shared());
    let left = left_at(endpoint);
    let finds_more = left.iter().any(|name| name == "tidbcloud_find_tools");
    assert_eq!(
        finds_more,
        !endpoint.contains("toolsets"),
        "an address that names toolsets leaves no others to find; {endpoint} leaves {left:?}"
    );
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let redirect = format!("http://127.0.0.1:{}", listener.local_addr().expect("an address").port());
    let (clicks, typed) = runtime().block_on(async {
        let mut state = OAuthState::new(&url, None).await.expect("a client");
        let request = AuthorizationRequest::new(format!("{redirect}/callback")).with_client_name("rmcp");
        state.start_authorization(request).await.expect("an authorization server");
        let address = state.get_authorization_url().await.expect("an address to open");
        let callback = thread::spawn(move || listen(listener));
        let counted = tokio::task::spawn_blocking(move || approve(&address)).await.expect("a person");
        let target = callback.join().expect("a browser");
        state.handle_callback_url(&format!("{redirect}{target}")).await.expect("tokens");
        state.refresh_token().await.expect("new tokens");

        let manager = state.into_authorization_manager().expect("an authorized client");
        let client = AuthClient::new(reqwest::Client::new(), manager);
        let config = StreamableHttpClientTransportConfig::with_uri(url);
        let transport = StreamableHttpClientTransport::with_client(client, config);
        let lifecycle = ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] };
        let client =
            serve_client_with_lifecycle(ClientConfig::default(), transport, lifecycle).await.expect("a connection");
        let tools = client.list_all_tools().await.expect("tools");
        let names: Vec<_> = tools.iter().map(|tool| tool.name.to_string()).collect();
        assert_eq!(
            names, left,
            "a token that may write shows the tools that keys show at {endpoint}, but for those that destroy (left: the token)"
        );
        let result = client.call_tool(CallToolRequestParams::new("tidbcloud_list_clusters")).await.expect("an answer");
        let clusters = result.structured_content.expect("clusters")["clusters"].clone();
        assert!(clusters.as_array().expect("a list").iter().any(|cluster| cluster["displayName"] == "shop"));
        client.cancel().await.expect("an end");
        counted
    });
    // Past the test harness, which keeps what passing tests print to itself.
    let line = format!("ok rmcp 3.11: a first answer at {endpoint} ({clicks} clicks, {typed} typed fields)\n");
    std::io::stdout().write_all(line.as_bytes()).expect("standard output");
    assert_eq!((clicks, typed), (2, 2), "a person connects with two clicks and two typed fields");
}
