//! `POST /mcp` as a pipeline: a request that has [`Arrived`] is [`Admitted`](admission::Admitted), then
//! [`Parsed`](parsing::Parsed), then a [`Call`](call::Call). Each step consumes the one before it, and each door adds its
//! findings or ends the request with a [`Refusal`], which one place turns into an answer.
//!
//! The steps list the doors in order, one per line, and the first refusal ends the request: before the body in
//! [`admission`], with the body in [`parsing`], with the tools in [`call`]. Before the limit of the address, only one in ten
//! invalid credentials costs a call to a Durable Object.

mod admission;
mod call;
mod deployment;
pub(super) mod doors;
mod pace;
mod parsing;
mod passage;
mod person;
mod refusal;

use self::{passage::Passage, refusal::Refusal};
use super::{App, log};
use crate::{
    base::http::{Head, Method, Response},
    config::Config,
    mcp::Ids,
    port::{IncomingBody, Port},
};

/// A request and the service that answers it: what every door sees.
#[derive(Clone, Copy)]
pub(super) struct Request<'r> {
    app: &'r App<'r>,
    head: &'r Head,
}

impl<'r> Request<'r> {
    fn config(self) -> &'r Config {
        self.app.config
    }

    fn port(self) -> Port<'r> {
        self.app.port()
    }
}

/// A request that passed no door yet.
struct Arrived<'r> {
    request: Request<'r>,
    body: &'r mut dyn IncomingBody,
}

impl App<'_> {
    /// Answers a request to the MCP endpoint. Only here does a refusal become an answer.
    pub(super) async fn answer_mcp(&self, head: &Head, body: &mut dyn IncomingBody, line: &mut log::Line) -> Response {
        let request = Request { app: self, head };
        let mut passage = Passage::new(line, &self.log.request_id);
        let answer = match head.method {
            Method::Options => answer_preflight(request),
            Method::Delete => answer_delete(request),
            _ => answer_post(Arrived { request, body }, &mut passage).await,
        };
        let response = answer.unwrap_or_else(|refusal| {
            passage.line.refused(refusal.error());
            refusal.response(Ids { request: &self.log.request_id, trace: &self.log.trace().id() })
        });
        passage.describe_limits(response)
    }
}

async fn answer_post(arrived: Arrived<'_>, passage: &mut Passage<'_>) -> Result<Response, Refusal> {
    let admitted = arrived.admit(passage).await?;
    let parsed = admitted.parse(passage).await?;
    let call = parsed.prepare().await?;
    call.answer(passage).await
}

/// Answers the end of a session. Nothing was kept of it, so nobody has to prove that it was theirs.
fn answer_delete(request: Request<'_>) -> Result<Response, Refusal> {
    doors::url::check(request)?;
    doors::host::check(request)?;
    doors::origin::check(request)?;
    doors::verb::check_delete(request)?;
    Ok(Response::empty(204))
}

/// Answers a browser's preflight: it has no credentials, so it passes only the doors that need none.
fn answer_preflight(request: Request<'_>) -> Result<Response, Refusal> {
    doors::url::check(request)?;
    doors::host::check(request)?;
    doors::origin::check(request)?;
    doors::verb::check_preflight(request)?;
    Ok(Response::empty(204))
}
