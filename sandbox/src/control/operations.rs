//! The operations of the control plane: a file for each resource has its `ROUTES` and says what they do.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{
    BODY_BYTES_MAX,
    address::{Address, split_query},
    answers::{Failure, Outcome},
    contract::{self, Found, Known, Origin, Origin::Published},
    services::Service,
    state::{Key, KeyRole, World},
};
use crate::exchange::Request;

mod api_keys;
mod audit_logs;
pub(super) mod backups;
mod billing;
pub(super) mod branches;
pub(super) mod clusters;
pub(super) mod dedicated;
pub(super) mod exports;
mod iam;
pub(super) mod imports;
pub(super) mod integrations;
mod members;
mod node_quota;
mod premium;
mod regions;
mod transfers;

/// What is simulated, a list for each file. A test holds this against the contract.
static ROUTES: &[&[Route]] = &[
    clusters::ROUTES,
    branches::ROUTES,
    backups::ROUTES,
    regions::ROUTES,
    iam::ROUTES,
    premium::ROUTES,
    dedicated::ROUTES,
    exports::ROUTES,
    imports::ROUTES,
    billing::ROUTES,
    members::ROUTES,
    api_keys::ROUTES,
    audit_logs::ROUTES,
    node_quota::ROUTES,
    integrations::ROUTES,
];

/// All of them.
fn routes() -> impl Iterator<Item = &'static Route> {
    ROUTES.iter().copied().flatten()
}

/// An operation of TiDB Cloud's API, as the sandbox knows it.
pub struct Covered {
    /// Its host.
    pub host: &'static str,
    /// Its verb.
    pub method: &'static str,
    /// Its whole path, with `{name}` for parameters.
    pub path: &'static str,
    /// Whether it is published; `None` where no file has its shapes.
    pub is_published: Option<bool>,
    /// Whether the sandbox has it.
    pub is_simulated: bool,
}

/// Every operation of TiDB Cloud's API that is published or that an official client knows.
pub fn covered() -> Vec<Covered> {
    let is_route = |host: &str, method: &str, path: &str| {
        routes().any(|route| route.service.host == host && route.is(route.service, method, path))
    };
    let covered = |(host, method, path, is_published)| Covered {
        host,
        method,
        path,
        is_published,
        is_simulated: is_route(host, method, path),
    };
    contract::all().map(covered).collect()
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

type Reads = fn(&World, &Call<'_>) -> Outcome;
type Writes = fn(&mut World, &Call<'_>) -> Outcome;

/// What an operation does.
enum Handler {
    Reads(Reads),
    Writes(Writes),
}

/// An operation of a service, and what reading its requests takes beyond its published description.
struct Route {
    service: &'static Service,
    method: &'static str,
    /// The path below the service's base, as the contract has it.
    path: &'static str,
    /// Whose descriptions a request is read by, the main one first: a body that it refuses is read by the next.
    origins: &'static [Origin],
    /// A member of the body, and the definition whose read-only members are dropped from it.
    read_only: Option<(&'static str, &'static str)>,
    handler: Handler,
}

impl Route {
    /// One that a key which may only read may use.
    const fn reads(service: &'static Service, method: &'static str, path: &'static str, run: Reads) -> Self {
        Self { service, method, path, origins: &[Published], read_only: None, handler: Handler::Reads(run) }
    }

    /// One that takes the right to change something.
    const fn writes(service: &'static Service, method: &'static str, path: &'static str, run: Writes) -> Self {
        Self { service, method, path, origins: &[Published], read_only: None, handler: Handler::Writes(run) }
    }

    /// Not published, or not all of it.
    const fn read_as(self, origins: &'static [Origin]) -> Self {
        Self { origins, ..self }
    }

    /// `member` may carry what is read-only in `definition`, though its own schema leaves it out.
    const fn dropping_read_only(self, member: &'static str, definition: &'static str) -> Self {
        Self { read_only: Some((member, definition)), ..self }
    }

    /// Whether this is the operation of `service` with this method and template.
    fn is(&self, service: &Service, method: &str, template: &str) -> bool {
        self.service.host == service.host
            && self.method == method
            && template.strip_prefix(service.base) == Some(self.path)
    }

    /// Reads a body by the descriptions among `found` that the route names.
    fn read_body(&self, main: &Found, found: &[Found], body: &[u8]) -> Result<Map<String, Value>, String> {
        if !main.takes_body() {
            let blank = body.trim_ascii();
            return if blank.is_empty() || blank == b"{}" {
                Ok(Map::new())
            } else {
                Err("there is no body".to_owned())
            };
        }
        let mut body: Value = serde_json::from_slice(body).map_err(|error| format!("the body is not JSON: {error}"))?;
        if let Some((member, definition)) = self.read_only
            && let Some(fields) = body.get_mut(member).and_then(Value::as_object_mut)
        {
            fields.retain(|name, _| !main.is_read_only(definition, name));
        }
        let others = found.iter().filter(|found| self.origins.iter().skip(1).any(|origin| *origin == found.origin()));
        let read = main.read_body(body.clone());
        read.or_else(|error| others.into_iter().find_map(|other| other.read_body(body.clone()).ok()).ok_or(error))
    }
}

/// The route of what a request was found to address, and the description that is its main one.
fn routed<'a>(service: &Service, method: &str, found: &'a [Found]) -> Option<(&'static Route, &'a Found)> {
    found.iter().find_map(|found| {
        let route = routes().find(|route| route.is(service, method, &found.operation.path))?;
        (route.origins.first() == Some(&found.origin())).then_some((route, found))
    })
}

/// Why an operation that the sandbox does not have is refused: 501 with its name where TiDB Cloud has it, so that nobody
/// takes it for a resource that is missing.
fn not_simulated(service: &Service, method: &str, path: &str) -> Failure {
    match contract::known(service.host, method, path) {
        Known::Operation(name) => Failure::new(501, format!("the sandbox does not simulate {name}")),
        Known::OtherVerb => Failure::new(405, format!("{method} is not allowed on {path}")),
        Known::Nothing => Failure::new(404, format!("there is no {path}")),
    }
}

/// Finds and runs the operation that `request` addresses.
pub(super) fn run(world: &mut World, now: u64, key: &'static Key, address: &Address, request: &Request) -> Outcome {
    let (service, method) = (address.service, request.method.as_str());
    if request.body.len() > BODY_BYTES_MAX {
        return Err(Failure::new(413, format!("the body has more than {BODY_BYTES_MAX} bytes")));
    }
    let (path, query) = split_query(&address.target);
    let found = contract::find(service, method, path);
    let (route, main) = routed(service, method, &found).ok_or_else(|| not_simulated(service, method, path))?;
    if key.role == KeyRole::Viewer && matches!(route.handler, Handler::Writes(_)) {
        return Err(Failure::new(403, "the API key has no permission to change anything"));
    }
    let invalid = |error: String| Failure::new(400, format!("invalid request: {error}"));
    let query = main.read_query(query).map_err(invalid)?;
    let body = route.read_body(main, &found, &request.body).map_err(invalid)?;
    let call = Call { now, key, parameters: &main.parameters, query, body };
    world.keep_backups(now);
    match route.handler {
        Handler::Reads(reads) => reads(world, &call),
        Handler::Writes(writes) => {
            let subject = audit_logs::subject(world, method, route.path, &call);
            let outcome = writes(world, &call);
            if let Some(subject) = subject {
                audit_logs::log(world, now, key, subject, &outcome);
            }
            outcome
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Found, World, routes, run};
    use crate::{
        control::{
            KEYS,
            address::Address,
            contract::{self, Origin},
            services::{Protocol, SERVICES},
        },
        exchange::Request,
    };

    #[test]
    fn every_route_is_in_the_contract_as_it_says() {
        let mut seen = BTreeSet::new();
        for route in routes() {
            let (host, method, path) =
                (route.service.host, route.method, format!("{}{}", route.service.base, route.path));
            assert!(seen.insert((host, method, route.path)), "{method} {host}{path} is a route twice");
            let found = contract::find(route.service, method, &path.replace(['{', '}'], ""));
            let found: Vec<_> = found.iter().filter(|found| found.operation.path == path).map(Found::origin).collect();
            let Some(main) = route.origins.first() else { panic!("{method} {host}{path} is read as nothing") };
            for origin in route.origins {
                assert!(found.contains(origin), "{method} {host}{path} is not in the file of {origin:?}");
            }
            assert!(
                *main == Origin::Published || !found.contains(&Origin::Published),
                "{method} {host}{path} is published: read it as that first"
            );
        }
    }

    #[test]
    fn what_has_no_route_answers_501_by_its_name() {
        let [owner, ..] = &KEYS;
        for service in SERVICES.iter().filter(|service| service.protocol == Protocol::Digest) {
            for (method, path) in contract::operations(service) {
                let routed = routes().any(|route| route.is(service, method, path));
                let request = Request {
                    method: method.to_owned(),
                    target: path.replace(['{', '}'], ""),
                    headers: Vec::new(),
                    body: Vec::new(),
                };
                let address = Address { service, host: service.host.to_owned(), target: request.target.clone() };
                let answer = run(&mut World::new(1), 0, owner, &address, &request);
                let refused = answer.as_ref().err().filter(|failure| failure.status == 501);
                assert_eq!(
                    refused.is_none(),
                    routed,
                    "{method} {}{path} answers 501 just where it has no route",
                    service.host
                );
                if let Some(failure) = refused {
                    let name = format!("{method} {path}");
                    assert!(failure.message.contains(&name), "{}: the refusal names {name}", failure.message);
                }
            }
        }
    }
}
