//! Arguments with which every tool can be called, made from its schema.

use serde_json::{Map, Value, json};

/// The id of the first import in a sandbox with the seed 1, which goes on until it is cancelled.
pub const FIRST_IMPORT: &str = r#""imp-nsvta9ejbhpllkk7674l720gn8""#;

/// Values by the name of the argument, of one tool where it is named: what the sandbox knows, or what a schema's type does not
/// tell. Any other argument gets a value from its schema.
const EXAMPLES: &[(&str, &str, &str)] = &[
    ("", "allow", r#"["203.0.113.7"]"#),
    ("", "backup", r#""303234694""#),
    ("", "branch", r#""twig""#),
    ("", "emails", r#"["new@example.com"]"#),
    ("", "key", r#""pipeline""#),
    ("", "member", r#""analyst@example.com""#),
    ("", "project", r#""sandbox""#),
    ("", "role", r#""project:readonly""#),
    ("db_create_user", "role", r#""role_readonly""#),
    ("tidbcloud_invite_members", "role", r#""org:member""#),
    ("tidbcloud_update_member", "role", r#""org:member""#),
    ("", "cluster", r#""shop""#),
    ("tidbcloud_create_private_endpoint", "cluster", r#""warehouse""#),
    ("tidbcloud_delete_private_endpoint", "cluster", r#""warehouse""#),
    ("", "database", r#""shop""#),
    ("", "displayName", r#""orders""#),
    ("tidbcloud_create_branch", "displayName", r#""twig""#),
    ("", "endpoint", r#""https://storage.example.com""#),
    ("", "id", r#""exp-0""#),
    ("tidbcloud_create_integration", "cluster", r#""warehouse""#),
    ("tidbcloud_delete_integration", "cluster", r#""warehouse""#),
    ("tidbcloud_list_integrations", "cluster", r#""warehouse""#),
    ("tidbcloud_delete_integration", "id", r#""103""#),
    ("", "from", r#""2026-11-01""#),
    ("tidbcloud_list_transfers", "id", FIRST_IMPORT),
    ("tidbcloud_cancel_transfer", "id", FIRST_IMPORT),
    ("", "endpointId", r#""vpce-0a1b2c3d4e5f60718""#),
    ("tidbcloud_delete_private_endpoint", "id", r#""1920561944646499219""#),
    ("", "ifChanged", r#""0123456789ab""#),
    ("", "labels", r#"{"team": "web"}"#),
    ("", "like", r#""order%""#),
    ("", "maxRcu", "4000"),
    ("", "month", r#""2026-10""#),
    ("", "pageSize", "10"),
    ("", "pageToken", r#""next""#),
    ("show_tables", "pageToken", r#""0""#),
    ("", "parent", r#""stem""#),
    ("", "parentTimestamp", r#""2026-11-23T09:00:00Z""#),
    ("", "privateIpAddress", r#""10.0.0.7""#),
    ("", "pointInTime", r#""2026-11-23T09:00:00Z""#),
    ("", "region", r#""regions/aws-us-east-1""#),
    ("", "roleArn", r#""arn:aws:iam::123456789012:role/transfers""#),
    ("", "separator", r#"";""#),
    ("tidbcloud_explore_costs", "service", r#""TiDB Cloud Essential""#),
    ("", "source", r#""s3://uploads/endless""#),
    ("", "spendingLimitUsdCents", "100"),
    ("", "startTime", r#""03:00""#),
    ("", "sql", r#""SELECT 1""#),
    ("db_execute", "sql", r#"["SELECT 1"]"#),
    ("", "table", r#""orders""#),
    ("", "tables", r#""order%""#),
    ("", "target", r#""s3://reports/november""#),
    ("", "where", r#""id < 10""#),
    ("", "to", r#""2026-11-20""#),
    ("tidbcloud_run_read_tool", "arguments", r#"{"pageSize": 10}"#),
    ("tidbcloud_run_read_tool", "name", r#""tidbcloud_list_clusters""#),
    ("", "waitSeconds", "20"),
];

/// Arguments that a schema calls optional because another can stand in their place: a call has them, unless it has the other.
const IN_PLACE: &[(&str, &str)] = &[("db_remove_user", "userName"), ("tidbcloud_restore_backup", "backup")];

fn example(tool: &str, argument: &str, schema: &Value) -> Option<Value> {
    let of = |of: &str| EXAMPLES.iter().find(|(tool, name, _)| *tool == of && *name == argument);
    if let Some((.., text)) = of(tool).or_else(|| of("")) {
        return Some(serde_json::from_str(text).unwrap_or_else(|error| panic!("EXAMPLES: {text}: {error}")));
    }
    if let Some(first) = schema["enum"].get(0) {
        return Some(first.clone());
    }
    match schema["type"].as_str()? {
        "string" => Some(json!("someone")),
        "integer" | "number" => Some(schema.get("minimum").cloned().unwrap_or(json!(1))),
        "boolean" => Some(json!(false)),
        "object" => Some(json!({})),
        "array" => Some(json!([])),
        _ => None,
    }
}

/// Arguments of a call.
type Arguments = Map<String, Value>;

/// The required arguments of a tool and its optional ones, by its definition.
///
/// # Errors
/// Where an argument has no example; the text says what to do.
pub fn of(definition: &Value) -> Result<(Arguments, Arguments), String> {
    let tool = definition["name"].as_str().unwrap_or_default();
    let schema = &definition["inputSchema"];
    let is_required = |name: &str| {
        IN_PLACE.contains(&(tool, name)) || schema["required"].as_array().is_some_and(|all| all.contains(&json!(name)))
    };
    let (mut required, mut optional) = (Map::new(), Map::new());
    for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
        let Some(value) = example(tool, name, schema) else {
            return Err(format!("`{tool}`: no example of `{name}`: add one to EXAMPLES in tests/support/arguments.rs"));
        };
        if is_required(name) { &mut required } else { &mut optional }.insert(name.clone(), value);
    }
    Ok((required, optional))
}
