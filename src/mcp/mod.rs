//! The Model Context Protocol, both eras, over streamable HTTP. Nothing is kept of a connection. Nothing here names a cluster.
//!
//! A POST passes through here in three steps, so that its sender can be charged for it in between:
//! [`precheck`] looks at the headers, [`parse`] at the body, [`dispatch`] answers. The first two refuse everything that has
//! its own status; from then on a modern answer is 200 or, for an unknown method, 404.
//!
//! A result has one model and two forms: the modern era wraps it in `resultType`, `_meta` and cache hints, which the legacy
//! era must never see.

pub mod clients;
pub mod code;
mod dispatch;
pub mod elicitation;
mod fence;
mod http;
mod json;
pub mod jsonrpc;
mod lifecycle;
pub mod outcome;
mod parsing;
mod rejection;
mod response;
pub mod revision;
mod success;
pub mod tools;

#[cfg(test)]
mod tests;

use serde_json::{Value, json};

pub use self::{
    dispatch::{Reply, dispatch},
    http::{accepts_events, precheck},
    jsonrpc::RpcError,
    parsing::{Declared, Parsed, Summary, parse},
    rejection::Rejection,
    response::{SIGN_OF_LIFE, event, stream_response},
};
/// The server's identity, and the names of the request.
#[derive(Clone, Copy, Debug)]
pub struct Server<'a> {
    /// Name for programs.
    pub name: &'static str,
    /// Name for people.
    pub title: &'static str,
    /// Version of the server.
    pub version: &'static str,
    /// Instructions for the model, read before the first tool call.
    pub instructions: &'a str,
    /// Whether they depend on who asks.
    pub instructions_are_own: bool,
    /// Names of this request in every error.
    pub ids: Ids<'a>,
}

/// The names of a request in logs, this server's and everybody's.
#[derive(Clone, Copy, Debug)]
pub struct Ids<'a> {
    /// This server's name for it.
    pub request: &'a str,
    /// The id of the trace that it is a part of (W3C Trace Context).
    pub trace: &'a str,
}

impl Server<'_> {
    /// Name and version for clients (schema `Implementation`).
    fn info(&self) -> Value {
        json!({"name": self.name, "title": self.title, "version": self.version})
    }
}
