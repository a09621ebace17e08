//! TiDB Cloud for AI agents: one remote MCP server that runs as a Cloudflare Worker.
//!
//! ```text
//! edge (wasm32 only) -> app -> tools -> { mcp, tidbcloud }
//! ```
//!
//! What is absent, and stays so: nothing outside `edge` names `worker`; nothing in [`mcp`] names a
//! cluster; nothing in [`tidbcloud`] names MCP; no function reads a clock or draws a random number
//! except through [`platform::Platform`]; no secret can be printed or serialized.

pub mod address;
pub mod alias;
pub mod allowance;
pub mod app;
pub mod clock;
pub mod config;
#[cfg(target_arch = "wasm32")]
pub mod edge;
pub mod grants;
pub mod guesses;
pub mod hash;
pub mod http;
pub mod json;
pub mod limits;
pub mod managed_name;
pub mod mcp;
pub mod oauth;
pub mod platform;
pub mod scope;
pub mod secret;
pub mod sql;
pub mod text;
pub mod tidbcloud;
pub mod tools;
