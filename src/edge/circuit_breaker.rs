//! The Durable Object of a circuit. What it knows stays in memory: losing it costs requests that fail, nothing else. The
//! rules are [`crate::circuit`].

use std::cell::RefCell;

use worker::{Date, DurableObject, Env, Request, Response, Result, State, durable_object};

use crate::{
    base::{clock::UnixMillis, json},
    circuit::{Circuit, Report},
};

/// One object for each API, and for the SQL of each cluster.
#[durable_object(fetch)]
pub struct CircuitBreaker {
    circuit: RefCell<Circuit>,
}

impl DurableObject for CircuitBreaker {
    fn new(_state: State, _env: Env) -> Self {
        Self { circuit: RefCell::default() }
    }

    async fn fetch(&self, mut request: Request) -> Result<Response> {
        let report: Report =
            json::read(&request.bytes().await?).map_err(|error| worker::Error::RustError(error.to_string()))?;
        let verdict = self.circuit.borrow_mut().step(UnixMillis(Date::now().as_millis()), &report);
        Response::ok(serde_json::to_string(&verdict)?)
    }
}
