//! `tidbcloud_run_read_tool`: run a tool that is not listed and only reads.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::catalogue::{Context, Effect, RELAY, Tool, ToolError};

/// Run a read-only tool that tidbcloud_find_tools named.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RunReadTool {
    /// Name of the tool
    name: String,
    /// By the tool's schema
    #[serde(rename = "arguments", default)]
    #[schemars(schema_with = "any_object")]
    _arguments: Option<Map<String, Value>>,
}

/// Function calling of OpenAI's kind refuses an object schema without `properties`.
fn any_object(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"type": "object", "properties": {}})
}

/// The result of the tool that ran.
#[derive(Serialize, JsonSchema)]
pub(super) struct Nothing {}

impl Tool for RunReadTool {
    const NAME: &'static str = RELAY;
    const TITLE: &'static str = "Run a reading tool";
    const EFFECT: Effect = Effect::Read;
    type Output = Nothing;

    fn requests_min(_: &Map<String, Value>) -> u32 {
        0
    }

    /// A call that names a tool which reads has become a call of that tool: all others end here.
    async fn call(self, context: &Context<'_>) -> Result<Nothing, ToolError> {
        Err(context.view().not_relayed(&self.name))
    }
}
