//! What to paste into clients: a file beside the logs, so that it does not hide what matters.

use super::{PRIVATE_KEY, PUBLIC_KEY};

/// A region that the sandbox offers.
const REGION: &str = "regions/aws-us-east-1";

/// The file's text: a block for each client, for the Worker at `origin`.
pub(super) fn text(origin: &str) -> String {
    format!(
        r#"How to connect clients to {origin}/mcp
The keys open the sandbox behind it, nothing else.

== Any client with OAuth: the address alone ==

{origin}/mcp

A page opens. Type there: public key {PUBLIC_KEY}, private key {PRIVATE_KEY}

== Claude Code ==

claude mcp add --transport http tidbcloud {origin}/mcp \
  --header "X-TiDB-API-Public-Key: {PUBLIC_KEY}" \
  --header "X-TiDB-API-Private-Key: {PRIVATE_KEY}"

== Claude Desktop: Settings, Developer, Edit Config ==

A connector that you add under Settings, Connectors is called from Anthropic's servers, which do
not reach this machine. mcp-remote runs here and does.

{{
  "mcpServers": {{
    "tidbcloud": {{
      "command": "npx",
      "args": [
        "-y", "mcp-remote@0.15.1", "{origin}/mcp",
        "--header", "X-TiDB-API-Public-Key:{PUBLIC_KEY}",
        "--header", "X-TiDB-API-Private-Key:{PRIVATE_KEY}"
      ]
    }}
  }}
}}

== Cursor: ~/.cursor/mcp.json ==

{{
  "mcpServers": {{
    "tidbcloud": {{
      "url": "{origin}/mcp",
      "headers": {{
        "X-TiDB-API-Public-Key": "{PUBLIC_KEY}",
        "X-TiDB-API-Private-Key": "{PRIVATE_KEY}"
      }}
    }}
  }}
}}

== VS Code: .vscode/mcp.json ==

{{
  "servers": {{
    "tidbcloud": {{
      "type": "http",
      "url": "{origin}/mcp",
      "headers": {{
        "X-TiDB-API-Public-Key": "{PUBLIC_KEY}",
        "X-TiDB-API-Private-Key": "{PRIVATE_KEY}"
      }}
    }}
  }}
}}

== curl ==

curl -s {origin}/mcp \
  -H 'Content-Type: application/json' -H 'Accept: application/json, text/event-stream' \
  -H 'X-TiDB-API-Public-Key: {PUBLIC_KEY}' \
  -H 'X-TiDB-API-Private-Key: {PRIVATE_KEY}' \
  -d '{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"tidbcloud_list_clusters"}}}}'

== MCP Inspector: in a second terminal, in the checkout ==

inspect() {{
  npx mcp-inspector --cli {origin}/mcp --transport http \
    --header "X-TiDB-API-Public-Key: {PUBLIC_KEY}" \
    --header "X-TiDB-API-Private-Key: {PRIVATE_KEY}" --method "$@"
}}
call() {{ inspect tools/call --tool-name "$1" --tool-args-json "$2"; }}

inspect tools/list
call db_query '{{"cluster":"shop","sql":"SELECT country, COUNT(*) FROM shop.customers GROUP BY 1"}}'

A cluster of your own: CREATING for ten seconds, then ACTIVE.

call tidbcloud_create_cluster '{{"displayName":"first","region":"{REGION}"}}'
call tidbcloud_get_cluster '{{"cluster":"first"}}'

A branch with a copy of the data; wait ten seconds here too.

call tidbcloud_create_branch '{{"cluster":"shop","displayName":"trial"}}'
call db_query '{{"cluster":"shop","branch":"trial","sql":"SELECT name FROM shop.customers LIMIT 3"}}'

A tool that is not listed: find it, then run it.

call tidbcloud_find_tools '{{"query":"how many clusters can there be"}}'
call tidbcloud_run_read_tool '{{"name":"tidbcloud_get_quota","arguments":{{}}}}'
"#
    )
}
