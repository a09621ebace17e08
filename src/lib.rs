//! TiDB Cloud for AI agents: one remote MCP server that runs as a Cloudflare Worker.
//!
//! ```text
//! base        words that everything uses: addresses, clock, hash, HTTP, JSON, secrets, text
//! circuit     whether a part of TiDB Cloud is worth asking: a pure state machine
//! watch       whether somebody has to be told that a deployment is in trouble: a pure state machine
//! health      whether the service works, and who finds out: a pure state machine
//! store       what is kept of an authorization, and how it is sealed: pure state machines
//! port        what the platform gives, one small trait for each concern
//! sql         what a statement is and does, decided without a server
//! plan        TiDB's plan of a statement, read and weighed
//! picture     figures as an SVG document
//! mcp         the protocol, both eras
//! tidbcloud   the client: a folder for each service, one transport, SQL over HTTP
//! config      the settings, a row each
//! limits      what is limited, for whom and how far
//! catalogue   what makes tools out of files
//! statements  what tools share that run a caller's SQL
//! tools       the tools: a folder for each toolset, a file for each tool
//! oauth       the authorization server and its pages
//! app         routes, and `POST /mcp` as a pipeline of doors
//! edge        the Worker and its Durable Objects; wasm32 only
//! ```
//!
//! Each imports only what stands above it; `docs/architecture.md` says which, and walks through one call.
//!
//! What is absent, and stays so: nothing outside `edge` names `worker`; nothing in [`mcp`] names a cluster; nothing in
//! [`tidbcloud`] names MCP; no function reads a clock or draws a random number except through [`port::Io`]; no secret can
//! be printed or serialized.

pub mod app;
pub mod base;
pub mod catalogue;
pub mod circuit;
pub mod config;
#[cfg(target_arch = "wasm32")]
pub mod edge;
pub mod health;
pub mod limits;
pub mod mcp;
pub mod oauth;
pub mod picture;
pub mod plan;
pub mod port;
pub mod sql;
pub mod statements;
pub mod store;
pub mod tidbcloud;
pub mod tools;
pub mod watch;
