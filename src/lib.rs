//! TiDB Cloud for AI agents: one remote MCP server that runs as a Cloudflare Worker.
//!
//! ```text
//! edge (wasm32 only) -> app -> { oauth, tools } -> { limits, mcp, tidbcloud } -> { sql, port } -> base
//! ```
//!
//! What is absent, and stays so: nothing outside `edge` names `worker`; nothing in [`mcp`] names a
//! cluster; nothing in [`tidbcloud`] names MCP; no function reads a clock or draws a random number
//! except through [`port::Io`]; no secret can be printed or serialized.

pub mod app;
pub mod base;
pub mod catalogue;
pub mod config;
#[cfg(target_arch = "wasm32")]
pub mod edge;
pub mod limits;
pub mod mcp;
pub mod oauth;
pub mod port;
pub mod sql;
pub mod store;
pub mod tidbcloud;
pub mod tools;
