//! The Model Context Protocol, both eras, over streamable HTTP, without sessions. Nothing here names a cluster.
//!
//! A POST passes through here in three steps, so that its sender can be charged for it in between:
//! [`precheck`] looks at the headers, [`parse`] at the body, [`dispatch`] answers. What can be refused with a status
//! of its own is refused by the first two; from then on a modern answer is 200 or, for an unknown method, 404.
//!
//! There is one model of what a result is, and two ways to write it down: the modern era wraps it in `resultType`,
//! `_meta` and cache hints, the legacy era must never see those.

pub mod code;
mod dispatch;
mod fence;
mod http;
mod json;
pub mod jsonrpc;
mod lifecycle;
pub mod outcome;
mod parsing;
mod rejection;
pub mod revision;
pub mod tools;

#[cfg(test)]
mod tests;

pub use self::{
    dispatch::{Reply, dispatch},
    http::precheck,
    parsing::{Parsed, Summary, parse},
    rejection::Rejection,
};
/// Who answers, and under which request id.
#[derive(Clone, Copy, Debug)]
pub struct Server<'a> {
    /// Name for programs.
    pub name: &'static str,
    /// Name for people.
    pub title: &'static str,
    /// Version of the server.
    pub version: &'static str,
    /// What a model should know before it calls the first tool.
    pub instructions: &'static str,
    /// Names this request in the log and in every error.
    pub request_id: &'a str,
}
