//! `tidbcloud_find_tools`: find tools by what they do.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::catalogue::{Context, Effect, Found, RELAY, Tool, ToolError, Way};

/// Find tools that are not listed: {topics}.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FindTools {
    /// What to do
    query: String,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct FoundTools {
    tools: Vec<FoundTool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    notice: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct FoundTool {
    name: &'static str,
    description: String,
    effect: &'static str,
    scope: &'static str,
    /// How this connection can call it.
    how: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_schema: Option<Map<String, Value>>,
}

impl Tool for FindTools {
    const NAME: &'static str = "tidbcloud_find_tools";
    const TITLE: &'static str = "Find tools";
    const EFFECT: Effect = Effect::Read;
    type Output = FoundTools;

    fn requests_min(_: &Map<String, Value>) -> u32 {
        0
    }

    async fn call(self, context: &Context<'_>) -> Result<FoundTools, ToolError> {
        let view = context.view();
        let found = view.find(&self.query);
        let notice = found.iter().all(|found| matches!(found.way, Way::Listed)).then(|| {
            let fits = if found.is_empty() { "Nothing fits" } else { "Only tools fit that are listed" };
            let topics = view.topics();
            format!("{fits}. Not listed are: {topics}. If it is none of these, TiDB Cloud may have it in its console.")
        });
        let tools = found.into_iter().map(FoundTool::from).collect();
        Ok(FoundTools { tools, notice })
    }
}

impl From<Found> for FoundTool {
    fn from(Found { tool, way, input_schema }: Found) -> Self {
        let how = match way {
            Way::Listed => "Call it by its name: it is listed.".to_owned(),
            Way::Relay => format!("Call {RELAY} with its name and arguments."),
            Way::At(address) => format!("Not on this connection. It is listed where the person connects at {address}."),
            Way::Consent(scope, None) => {
                format!("Not on this connection. The person connects again and allows `{scope}`.")
            }
            Way::Consent(scope, Some(address)) => {
                format!("Not on this connection. The person connects at {address} and allows `{scope}`.")
            }
        };
        Self {
            name: tool.name(),
            description: tool.definition.description.clone(),
            effect: tool.effect.word(),
            scope: tool.effect.least_scope().as_str(),
            how,
            input_schema: input_schema.and_then(|schema| match schema {
                Value::Object(schema) => Some(schema),
                _ => None,
            }),
        }
    }
}
