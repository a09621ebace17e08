//! Description and schemas of a tool, generated from its types.
//!
//! They are generated natively, and a test compares the committed `schemas.json` with the result. The Worker reads that
//! file: generating them there would take a twentieth of its size, and time at each start.

use serde_json::Value;

use super::entry::Tool;

/// Description and schemas of one tool.
pub(super) struct Schemas {
    pub(super) description: String,
    pub(super) input_schema: Value,
    pub(super) output_schema: Value,
}

impl Schemas {
    /// Of this tool.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn of<T: Tool>() -> Self {
        use super::schema;
        let (description, input_schema) = schema::input_schema::<T>();
        let output_schema = schema::output_schema::<T::Output>(T::RECEIPT.is_some());
        Self { description, input_schema, output_schema }
    }

    /// Of this tool, as they were generated.
    #[cfg(target_arch = "wasm32")]
    pub(super) fn of<T: Tool>() -> Self {
        Self::generated(T::NAME)
    }

    #[cfg(target_arch = "wasm32")]
    fn generated(name: &str) -> Self {
        static ALL: std::sync::OnceLock<Value> = std::sync::OnceLock::new();
        let all = ALL.get_or_init(|| serde_json::from_slice(include_bytes!("schemas.json")).unwrap_or_default());
        let member = |member| all.get(name).and_then(|tool| tool.get(member)).cloned().unwrap_or_default();
        let description = member("description").as_str().unwrap_or_default().to_owned();
        Self { description, input_schema: member("inputSchema"), output_schema: member("outputSchema") }
    }
}
