//! The control plane and the gateway in front of everything: pure.
//!
//! [`Sandbox::handle`] takes the time and a request and gives an answer, or a statement for a SQL server to run; whoever ran
//! it calls [`Sandbox::sql_done`]. Ids and nonces follow from the seed. What the SQL servers must do besides (sample data,
//! copies for branches, removal) is queued for [`Sandbox::take_effects`], which is to be emptied after every request, before
//! the statement that the request may have brought.
//!
//! On hosts of TiDB Cloud a request is answered in this order: challenge or credentials, faults, rate limit, path, right to
//! write, query and body, then the operation. What is refused there is in the shape that the host has for errors.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::exchange::{Delivery, Request, Response, SqlEffect, SqlOutcome, SqlTask, Step};

mod address;
mod admin;
mod answers;
mod branches;
mod clusters;
pub mod contract;
mod digest;
mod documents;
mod faults;
mod filter;
mod gateway;
mod iam;
mod journal;
mod limits;
mod logins;
mod pages;
mod regions;
mod state;

pub use address::{IAM_HOST, SERVERLESS_HOST};
pub use branches::BRANCHES_MAX;
pub use clusters::{FREE_CLUSTERS_MAX, PORT};
pub use digest::{NONCE_LIFETIME_MILLIS, REALM};
pub use gateway::ROWS_MAX;
pub use limits::REQUESTS_PER_MINUTE;
pub use logins::{OAUTH_CLIENT_ID, OAUTH_CLIENT_SECRET};
pub use state::{
    CREATING_MILLIS, KEYS, Key, RESTORING_MILLIS, SHOP_CLUSTER_ID, SHOP_HOST, SHOP_USER_PREFIX, SQL_USER_MILLIS,
};

use address::{Place, is_sql_host, locate, split_query};
use answers::{Failure, Outcome, error_body, json_response};
use contract::{Found, Known, Lookup};
use digest::{Credentials, Nonces, Verdict, hex};
use faults::{Ending, Faults, Instead, Plan, Subject};
use journal::Journal;
use limits::{Limits, Standing, too_many};
use logins::{Logins, OAUTH_HOST};
use state::{KeyRole, World};

/// Largest body that is read, in bytes: what a gRPC server takes by default, 4 MiB.
pub const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The published definition whose read-only fields a PATCH may carry.
const CLUSTER: &str = "tidb_cloud_open_apiserverlessv1beta1Cluster";

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

/// An authenticated request for an operation.
struct Call<'a> {
    now: u64,
    key: &'static Key,
    parameters: &'a BTreeMap<String, String>,
    query: BTreeMap<String, String>,
    body: Map<String, Value>,
}

impl Call<'_> {
    /// A path parameter, decoded.
    fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }
}

/// Adds `nextPageToken` where there is a next page; on the last one the field is absent.
fn set_token(body: &mut Value, token: Option<String>) {
    if let (Some(fields), Some(token)) = (body.as_object_mut(), token) {
        fields.insert("nextPageToken".to_owned(), json!(token));
    }
}

/// Why an operation that the sandbox does not have is refused: 501 with its name where TiDB Cloud has it, so that nobody
/// takes it for a resource that is missing.
fn not_described(host: &str, method: &str, path: &str) -> Failure {
    match contract::known(host, method, path) {
        Known::Operation(name) => Failure::new(501, format!("the sandbox does not simulate {name}")),
        Known::OtherVerb => Failure::new(405, format!("{method} is not allowed on {path}")),
        Known::Nothing => Failure::new(404, format!("there is no {path}")),
    }
}

/// Stands for an answer that is not sent.
fn nothing() -> Response {
    Response { status: 500, headers: Vec::new(), body: Vec::new() }
}

impl Sandbox {
    /// A sandbox with the cluster `shop` in it. The same seed gives the same ids and nonces for the same requests.
    pub fn new(seed: u64) -> Self {
        let mut world = World::new(seed);
        world.add_sample();
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
            Place::Cloud { host, target } if documents::is_host(&host) => {
                let (response, delivery) = documents::serve(&host, &target);
                self.journal.note(&request.method, &host, &target, response.status);
                Step::Answer(response, delivery)
            }
            Place::Cloud { host, target } if host == OAUTH_HOST => {
                let response = self.login(now, &target, request);
                self.journal.note(&request.method, &host, &target, response.status);
                Step::Answer(response, Delivery::default())
            }
            Place::Cloud { host, target } if is_sql_host(&host) => self.sql(now, &host, &target, request),
            Place::Cloud { host, target } => self.control_plane(now, &host, &target, request),
        }
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

    /// What the SQL servers are to do, in order; empties the queue. At the start it holds the sample data of `shop`.
    pub fn take_effects(&mut self) -> Vec<SqlEffect> {
        self.world.take_effects()
    }

    /// Starts over with the same seed: clusters, clock, faults, requests, nonces and counts.
    fn reset(&mut self) {
        self.world.reset();
        self.world.add_sample();
        self.nonces = Nonces::default();
        self.limits = Limits::default();
        self.faults = Faults::default();
        self.journal = Journal::default();
        self.logins = Logins::default();
        self.advanced = 0;
    }

    /// A 401 with a fresh challenge. The body is the same whatever was wrong; the reason is in a header of the sandbox's own.
    fn challenge(&mut self, now: u64, stale: bool, reason: &str) -> Response {
        let nonce = hex(&self.world.draw("nonce"));
        let mut response =
            json_response(401, &json!({ "code": 49_900_001, "message": "public_key not found", "details": [] }));
        response.headers.push(("WWW-Authenticate".to_owned(), self.nonces.issue(now, nonce, stale)));
        response.headers.push(("X-Sandbox-Reason".to_owned(), reason.to_owned()));
        response
    }

    /// Whose request it is.
    fn authenticate(&mut self, now: u64, host: &str, request: &Request) -> Result<&'static Key, Response> {
        let header = request.header("authorization").unwrap_or_default();
        if let Some(key) = self.logins.holder(header, now) {
            return Ok(key);
        }
        let credentials = match Credentials::parse(header) {
            Ok(credentials) => credentials,
            Err(reason) => return Err(self.challenge(now, false, reason)),
        };
        let Some(key) = KEYS.iter().find(|key| key.public == credentials.username) else {
            return Err(self.challenge(now, false, "the public key is unknown"));
        };
        match self.nonces.verify(now, &credentials, key.private, &request.method, &request.target) {
            Verdict::Accepted => Ok(key),
            Verdict::Challenge { stale, reason } => Err(self.challenge(now, stale, reason)),
            Verdict::OtherUri => {
                let failure = Failure::new(400, "the digest uri is not the request target");
                let id = self.world.draw_request_id(now);
                Err(json_response(400, &error_body(host, &failure, &id)))
            }
        }
    }

    /// A request to a host of the control plane.
    fn control_plane(&mut self, now: u64, host: &str, target: &str, request: &Request) -> Step {
        let method = request.method.as_str();
        let id = self.world.draw_request_id(now);
        let caller = self.authenticate(now, host, request);
        let subject = Subject { method, host, target, challenge: caller.is_err(), sql: false };
        let fault = self.faults.strike(subject);
        let Plan { instead, delivery, ending } = Plan::new(fault);
        let mut response = match (instead, caller) {
            (Some(Instead::Drop), _) => {
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
                    match self.operate(now, key, host, target, request) {
                        Ok(body) => json_response(200, &body),
                        Err(failure) => json_response(failure.status, &error_body(host, &failure, &id)),
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

    /// Finds and runs the operation.
    fn operate(&mut self, now: u64, key: &'static Key, host: &str, target: &str, request: &Request) -> Outcome {
        let method = request.method.as_str();
        if request.body.len() > BODY_BYTES_MAX {
            return Err(Failure::new(413, format!("the body has more than {BODY_BYTES_MAX} bytes")));
        }
        let (path, query) = split_query(target);
        let (first, others) = match contract::find(host, method, path) {
            Lookup::Found(first, others) => (first, others),
            Lookup::OtherVerb | Lookup::Unknown => return Err(not_described(host, method, path)),
        };
        if key.role == KeyRole::Viewer && method != "GET" {
            return Err(Failure::new(403, "the API key has no permission to change anything"));
        }
        let invalid = |error: String| Failure::new(400, format!("invalid request: {error}"));
        let query = first.read_query(query).map_err(invalid)?;
        let body = read_body(&first, &others, &request.body).map_err(invalid)?;
        let call = Call { now, key, parameters: &first.parameters, query, body };
        let world = &mut self.world;
        let path = first.operation.path.strip_prefix("/v1beta1").unwrap_or_default();
        match (host, method, path) {
            (SERVERLESS_HOST, "GET", "/clusters") => clusters::list(world, &call),
            (SERVERLESS_HOST, "POST", "/clusters") => clusters::create(world, &call),
            (SERVERLESS_HOST, "GET", "/clusters/{clusterId}") => clusters::get(world, &call),
            (SERVERLESS_HOST, "PATCH", "/clusters/{cluster.clusterId}") => clusters::update(world, &call),
            (SERVERLESS_HOST, "DELETE", "/clusters/{clusterId}") => clusters::delete(world, &call),
            (SERVERLESS_HOST, "GET", "/regions") => Ok(regions::list()),
            (SERVERLESS_HOST, "GET", "/clusters/{clusterId}/branches") => branches::list(world, &call),
            (SERVERLESS_HOST, "POST", "/clusters/{clusterId}/branches") => branches::create(world, &call),
            (SERVERLESS_HOST, "GET", "/clusters/{clusterId}/branches/{branchId}") => branches::get(world, &call),
            (SERVERLESS_HOST, "DELETE", "/clusters/{clusterId}/branches/{branchId}") => branches::delete(world, &call),
            (SERVERLESS_HOST, "POST", "/clusters/{clusterId}/branches/{branchId}:reset") => {
                branches::reset(world, &call)
            }
            (SERVERLESS_HOST, "PATCH", "/clusters/{clusterId}/branches/{branchId}/sqlUsers/{username}") => {
                branches::update_sql_user(world, &call)
            }
            (IAM_HOST, "GET", "/clusters/{clusterId}/sqlUsers") => iam::list_sql_users(world, &call),
            (IAM_HOST, "POST", "/clusters/{clusterId}/sqlUsers") => iam::create_sql_user(world, &call),
            (IAM_HOST, "GET", "/clusters/{clusterId}/sqlUsers/{userName}") => iam::get_sql_user(world, &call),
            (IAM_HOST, "PATCH", "/clusters/{clusterId}/sqlUsers/{userName}") => iam::update_sql_user(world, &call),
            (IAM_HOST, "DELETE", "/clusters/{clusterId}/sqlUsers/{userName}") => iam::delete_sql_user(world, &call),
            (IAM_HOST, "GET", "/projects") => iam::list_projects(world, &call),
            (IAM_HOST, "GET", "/apikeys/{accessKey}") => iam::get_api_key(&call),
            _ => Err(not_described(host, method, &first.operation.path)),
        }
    }

    /// A request to a SQL host.
    fn sql(&mut self, now: u64, host: &str, target: &str, request: &Request) -> Step {
        let method = request.method.as_str();
        let (path, _) = split_query(target);
        let login = if request.body.len() > BODY_BYTES_MAX {
            let failure = Failure::new(413, format!("the body has more than {BODY_BYTES_MAX} bytes"));
            Err(json_response(413, &error_body(host, &failure, "")))
        } else {
            gateway::login(&self.world, now, host, request)
        };
        let checked = login.and_then(|task| {
            gateway::complete(task, method, path, &request.body)
                .map_err(|failure| json_response(failure.status, &error_body(host, &failure, "")))
        });
        let challenge = checked.as_ref().is_err_and(|response| response.status == 401);
        let fault = self.faults.strike(Subject { method, host, target, challenge, sql: true });
        let Plan { instead, delivery, ending } = Plan::new(fault);
        let instead = match instead {
            Some(Instead::Drop) => Some((nothing(), 0)),
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

/// Reads a body by the published contract, or where that refuses it by the one of PingCAP's command line client.
fn read_body(first: &Found, others: &[Found], body: &[u8]) -> Result<Map<String, Value>, String> {
    if !first.takes_body() {
        let blank = body.trim_ascii();
        return if blank.is_empty() || blank == b"{}" { Ok(Map::new()) } else { Err("there is no body".to_owned()) };
    }
    let mut body: Value = serde_json::from_slice(body).map_err(|error| format!("the body is not JSON: {error}"))?;
    if first.operation.path == "/v1beta1/clusters/{cluster.clusterId}"
        && let Some(fields) = body.get_mut("cluster").and_then(Value::as_object_mut)
    {
        fields.retain(|name, _| !first.is_read_only(CLUSTER, name));
    }
    let published = first.read_body(body.clone());
    published.or_else(|error| others.iter().find_map(|other| other.read_body(body.clone()).ok()).ok_or(error))
}
