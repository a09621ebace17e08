//! The control plane and the gateway in front of everything: pure.
//!
//! [`Sandbox::handle`] takes the time and a request and returns a response, or a statement for a SQL server; the caller that
//! ran it calls [`Sandbox::sql_done`]. Ids and nonces follow from the seed. Other work for the SQL servers (sample data,
//! copies for branches, removal) is queued for [`Sandbox::take_effects`], which must be emptied after every request, before
//! the request's own statement runs.
//!
//! On hosts of TiDB Cloud a request is answered in this order: challenge or credentials, faults, rate limit, path, right to
//! write, query and body, then the operation. Refusals have the host's error shape.

use serde_json::json;

use crate::exchange::{Admission, Delivery, NotAdmitted, Request, Response, SqlEffect, SqlOutcome, SqlTask, Step};

mod address;
mod admin;
mod answers;
pub mod contract;
mod digest;
mod documents;
mod faults;
mod filter;
mod gateway;
mod journal;
mod limits;
mod logins;
mod operations;
mod pages;
mod regions;
mod services;
mod state;
mod storage;

pub(crate) use digest::hex;
pub use digest::{NONCE_LIFETIME_MILLIS, REALM};
pub use gateway::ROWS_MAX;
pub use limits::REQUESTS_PER_MINUTE;
pub use logins::{OAUTH_CLIENT_ID, OAUTH_CLIENT_SECRET};
pub use operations::branches::BRANCHES_MAX;
pub use operations::clusters::{FREE_CLUSTERS_MAX, PORT};
pub use operations::dedicated::{
    ACCEPTING_MILLIS, WAREHOUSE_CLUSTER_ID, WAREHOUSE_CONNECTION_ID, WAREHOUSE_NODE_GROUP_ID,
};
pub use operations::exports::{RUNNING_MAX as EXPORTS_RUNNING_MAX, RUNNING_MILLIS as EXPORT_MILLIS};
pub use operations::imports::{IMPORTING_MILLIS, PREPARING_MILLIS};
pub use operations::{Covered, covered};
pub(crate) use regions::public_hosts;
pub(crate) use services::https_hosts;
pub use services::{IAM_HOST, SERVERLESS_HOST};
pub use state::{
    CREATING_MILLIS, KEYS, Key, RESTORING_MILLIS, SHOP_CLUSTER_ID, SHOP_HOST, SHOP_USER_PREFIX, SQL_USER_MILLIS,
};
pub use storage::STORAGE_HOST;

use address::{Address, Place, locate, split_query};
use answers::{Failure, json_response};
use digest::{Credentials, Nonces, Verdict};
use faults::{Ending, Faults, Instead, Plan, Subject};
use journal::Journal;
use limits::{Limits, Standing, too_many};
use logins::Logins;
use services::Protocol;
use state::{Proof, World};

/// Largest body that is read, in bytes: what a gRPC server takes by default, 4 MiB.
pub const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// TiDB Cloud, without clock, randomness or I/O of its own.
pub struct Sandbox {
    world: World,
    nonces: Nonces,
    limits: Limits,
    faults: Faults,
    journal: Journal,
    logins: Logins,
    /// Milliseconds that `POST /_sandbox/clock` added to the caller's time.
    advanced: u64,
}

/// Stands for an answer that is not sent.
fn nothing() -> Response {
    Response { status: 500, headers: Vec::new(), body: Vec::new() }
}

impl Sandbox {
    /// A sandbox with the cluster `shop` in it. The same seed gives the same ids and nonces for the same requests.
    pub fn new(seed: u64) -> Self {
        Self::around(World::new(seed))
    }

    /// A fresh one, with the cluster `shop` in `world`.
    fn around(mut world: World) -> Self {
        world.add_sample();
        world.add_warehouse();
        world.add_datadog();
        Self {
            world,
            nonces: Nonces::default(),
            limits: Limits::default(),
            faults: Faults::default(),
            journal: Journal::default(),
            logins: Logins::default(),
            advanced: 0,
        }
    }

    /// Answers a request, or hands out a statement to run. `now_millis` is the time since 1970.
    pub fn handle(&mut self, now_millis: u64, request: &Request) -> Step {
        let now = now_millis + self.advanced;
        match locate(request) {
            Place::Refused { status, message } => {
                Step::Answer(json_response(status, &json!({ "message": message })), Delivery::default())
            }
            Place::Admin(path) => Step::Answer(self.admin(now_millis, now, &path, request), Delivery::default()),
            Place::Document { host, target } => {
                let (response, delivery) = documents::serve(&host, &target);
                self.journal.note(&request.method, &host, &target, response.status);
                Step::Answer(response, delivery)
            }
            Place::Storage { target } => self.storage(now, &target, request),
            Place::Service(address) => match address.service.protocol {
                Protocol::Digest => self.control_plane(now, &address, request),
                Protocol::Sql => self.sql(now, &address, request),
                Protocol::OAuth => {
                    let response = self.login(now, &address.target, request);
                    self.journal.note(&request.method, &address.host, &address.target, response.status);
                    Step::Answer(response, Delivery::default())
                }
            },
        }
    }

    /// Lets in a SQL user of the MySQL protocol, who gave `answer` to `nonce` by `mysql_native_password`.
    ///
    /// # Errors
    /// Why the user is not let in.
    pub fn admit(&self, now_millis: u64, user: &str, nonce: &[u8], answer: &[u8]) -> Result<Admission, NotAdmitted> {
        gateway::admit(&self.world, now_millis + self.advanced, None, user, &Proof::Native { nonce, answer })
    }

    /// Answers a statement that was run.
    pub fn sql_done(&mut self, now_millis: u64, task: SqlTask, outcome: SqlOutcome) -> Response {
        let now = now_millis + self.advanced;
        let mut response = gateway::render(outcome);
        response.headers.push(("X-Debug-Trace-Id".to_owned(), self.world.draw_request_id(now)));
        let (number, ending) = self.journal.finish(&task);
        let (response, status) = ending.apply(response);
        if let Some(number) = number {
            self.journal.settle(number, status);
        }
        response
    }

    /// The pending work of the SQL servers, in order; empties the queue. At the start it holds the sample data of `shop`.
    pub fn take_effects(&mut self) -> Vec<SqlEffect> {
        self.world.take_effects()
    }

    /// The number of the last request to TiDB Cloud.
    pub fn last_request(&self) -> u64 {
        self.journal.last()
    }

    /// Notes that the client of request `number` closed its connection before the whole answer was sent.
    pub fn given_up(&mut self, number: u64) {
        self.journal.give_up(number);
    }

    /// Starts over with the same seed: clusters, clock, faults, requests, nonces and counts.
    fn reset(&mut self) {
        self.world.reset();
        *self = Self::around(std::mem::take(&mut self.world));
    }

    /// A 401 with a fresh challenge. The body is always the same; the reason is in a header of the sandbox.
    fn challenge(&mut self, now: u64, stale: bool, reason: &str) -> Response {
        let nonce = hex(&self.world.draw("nonce"));
        let mut response =
            json_response(401, &json!({ "code": 49_900_001, "message": "public_key not found", "details": [] }));
        response.headers.push(("WWW-Authenticate".to_owned(), self.nonces.issue(now, nonce, stale)));
        response.headers.push(("X-Sandbox-Reason".to_owned(), reason.to_owned()));
        response
    }

    /// Whose request it is.
    fn authenticate(&mut self, now: u64, address: &Address, request: &Request) -> Result<&'static Key, Response> {
        let header = request.header("authorization").unwrap_or_default();
        if let Some(key) = self.logins.holder(header, now) {
            return Ok(key);
        }
        let credentials = match Credentials::parse(header) {
            Ok(credentials) => credentials,
            Err(reason) => return Err(self.challenge(now, false, reason)),
        };
        let exists = |key: &&Key| self.world.api_keys.iter().any(|known| known.public == key.public);
        let Some(key) = KEYS.iter().filter(exists).find(|key| key.public == credentials.username) else {
            return Err(self.challenge(now, false, "the public key is unknown"));
        };
        match self.nonces.verify(now, &credentials, key.private, &request.method, &request.target) {
            Verdict::Accepted => Ok(key),
            Verdict::Challenge { stale, reason } => Err(self.challenge(now, stale, reason)),
            Verdict::OtherUri => {
                let failure = Failure::new(400, "the digest uri is not the request target");
                let id = self.world.draw_request_id(now);
                Err(address.service.errors.response(&failure, &id))
            }
        }
    }

    /// A request to a service of the control plane.
    fn control_plane(&mut self, now: u64, address: &Address, request: &Request) -> Step {
        let Address { service, host, target } = address;
        let method = request.method.as_str();
        let id = self.world.draw_request_id(now);
        let caller = self.authenticate(now, address, request);
        let subject = Subject { method, host, target, challenge: caller.is_err(), digest: true };
        let fault = self.faults.strike(subject);
        let Plan { instead, delivery, ending } = Plan::new(fault);
        let mut response = match (instead, caller) {
            (Some(Instead::Nothing), _) => {
                self.journal.note(method, host, target, 0);
                return Step::Answer(nothing(), delivery);
            }
            (Some(Instead::Answer(replacement)), _) => replacement.into(),
            (Some(Instead::StaleNonce), _) => {
                if let Ok(credentials) = Credentials::parse(request.header("authorization").unwrap_or_default()) {
                    self.nonces.forget(&credentials);
                }
                self.challenge(now, true, "a fault was asked for")
            }
            (Some(Instead::RateLimit), _) => {
                let mut response = too_many();
                response.headers.extend(Standing::exceeded(now).headers());
                response
            }
            (None, Err(response)) => response,
            (None, Ok(key)) => {
                let standing = self.limits.take(now, key.public);
                let mut response = if standing.allowed {
                    match operations::run(&mut self.world, now, key, address, request) {
                        Ok(body) => json_response(200, &body),
                        Err(failure) => service.errors.response(&failure, &id),
                    }
                } else {
                    too_many()
                };
                response.headers.extend(standing.headers());
                response
            }
        };
        response.headers.push(("X-Debug-Trace-Id".to_owned(), id));
        response.headers.push(("Server".to_owned(), "kong/2.8.1".to_owned()));
        let (response, status) = ending.apply(response);
        self.journal.note(method, host, target, status);
        Step::Answer(response, delivery)
    }

    /// A request to the storage behind exports and imports.
    fn storage(&mut self, now: u64, target: &str, request: &Request) -> Step {
        // The query of an address is what opens it: neither the journal nor a rule of faults sees it.
        let (method, path) = (request.method.as_str(), split_query(target).0);
        // Faults of digest and of the control plane's limit pass it by.
        let subject = Subject { method, host: STORAGE_HOST, target: path, challenge: false, digest: false };
        let Plan { instead, delivery, ending } = Plan::new(self.faults.strike(subject));
        let (response, status) = match instead {
            Some(Instead::Answer(replacement)) => Ending::Replaced(replacement).apply(nothing()),
            Some(_) => (nothing(), 0),
            None => ending.apply(storage::serve(&mut self.world, now, target, request)),
        };
        self.journal.note(method, STORAGE_HOST, path, status);
        Step::Answer(response, delivery)
    }

    /// A request to a SQL host.
    fn sql(&mut self, now: u64, address: &Address, request: &Request) -> Step {
        let Address { service, host, target } = address;
        let method = request.method.as_str();
        let (path, _) = split_query(target);
        let login = if request.body.len() > BODY_BYTES_MAX {
            let failure = Failure::new(413, format!("the body has more than {BODY_BYTES_MAX} bytes"));
            Err(service.errors.response(&failure, ""))
        } else {
            gateway::login(&self.world, now, host, request)
        };
        let checked = login.and_then(|task| {
            gateway::complete(task, method, path, &request.body)
                .map_err(|failure| service.errors.response(&failure, ""))
        });
        let challenge = checked.as_ref().is_err_and(|response| response.status == 401);
        let fault = self.faults.strike(Subject { method, host, target, challenge, digest: false });
        let Plan { instead, delivery, ending } = Plan::new(fault);
        let instead = match instead {
            Some(Instead::Nothing) => Some((nothing(), 0)),
            Some(Instead::Answer(replacement)) => Some(Ending::Replaced(replacement).apply(nothing())),
            // Faults of digest and of the control plane's limit pass SQL by.
            None | Some(Instead::StaleNonce | Instead::RateLimit) => None,
        };
        let (response, status) = match (instead, checked) {
            (Some(answer), _) => answer,
            (None, Ok(task)) => {
                // The status is filled in when the statement has run.
                let number = self.journal.note(method, host, target, 0);
                self.journal.start(number, &task, ending);
                return Step::Sql(task, delivery);
            }
            (None, Err(mut response)) => {
                response.headers.push(("X-Debug-Trace-Id".to_owned(), self.world.draw_request_id(now)));
                ending.apply(response)
            }
        };
        self.journal.note(method, host, target, status);
        Step::Answer(response, delivery)
    }
}
