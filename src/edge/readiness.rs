//! The Durable Object of the examinations. What it knows stays in memory: losing it costs one examination. The rules are
//! [`crate::health`].

use std::cell::RefCell;

use worker::{Date, DurableObject, Env, Request, Response, Result, State, durable_object};

use crate::{
    base::clock::UnixMillis,
    health::{Command, Examinations},
};

/// One object per deployment.
#[durable_object(fetch)]
pub struct Readiness {
    examinations: RefCell<Examinations>,
}

impl DurableObject for Readiness {
    fn new(_state: State, _env: Env) -> Self {
        Self { examinations: RefCell::default() }
    }

    async fn fetch(&self, mut request: Request) -> Result<Response> {
        let Some(command) = Command::of_text(&String::from_utf8_lossy(&request.bytes().await?)) else {
            return Response::error("expected a command", 400);
        };
        let reply = self.examinations.borrow_mut().step(UnixMillis(Date::now().as_millis()), &command);
        Response::ok(reply.to_text())
    }
}
