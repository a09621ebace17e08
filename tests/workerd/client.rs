//! rmcp, the official Rust client, in both eras.

use std::collections::HashMap;

use rmcp::{
    ClientLifecycleMode,
    model::{CallToolRequestParams, ClientConfig, ProtocolVersion},
    serve_client_with_lifecycle,
    transport::{StreamableHttpClientTransport, streamable_http_client::StreamableHttpClientTransportConfig},
};
use serde_json::json;

use crate::{support::key_headers, worker::Worker};

fn transport(address: &str) -> StreamableHttpClientTransport<reqwest::Client> {
    let mut headers = HashMap::new();
    for (name, value) in key_headers("owner") {
        if name.starts_with("X-TiDB") {
            headers.insert(name.parse().expect("a name"), value.parse().expect("a value"));
        }
    }
    headers.insert("CF-Connecting-IP".parse().expect("a name"), address.parse().expect("a value"));
    let config =
        StreamableHttpClientTransportConfig::with_uri(format!("{}/mcp", Worker::shared())).custom_headers(headers);
    StreamableHttpClientTransport::from_config(config)
}

fn converse(lifecycle: ClientLifecycleMode, address: &str) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let client = serve_client_with_lifecycle(ClientConfig::default(), transport(address), lifecycle)
            .await
            .expect("a connection");
        let tools = client.list_all_tools().await.expect("tools");
        assert_eq!(tools.len(), 17);
        let call = |tool: &'static str, arguments: serde_json::Value| {
            CallToolRequestParams::new(tool).with_arguments(arguments.as_object().cloned().unwrap_or_default())
        };
        let result = client
            .call_tool(call("db_query", json!({"cluster": "shop", "sql": "SELECT COUNT(*) FROM shop.products"})))
            .await
            .expect("a result");
        assert_eq!(result.structured_content.expect("rows")["rows"], json!([["200"]]));
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
