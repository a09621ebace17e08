//! The target of a request: one loopback address stands for every host of TiDB Cloud.

use super::{
    documents,
    services::{self, Service},
    storage::STORAGE_HOST,
};
use crate::exchange::Request;

/// A place at a service of TiDB Cloud.
pub(super) struct Address {
    pub(super) service: &'static Service,
    pub(super) host: String,
    /// Path and query on that host.
    pub(super) target: String,
}

/// Whom a request is for.
pub(super) enum Place {
    /// `/_sandbox/...`, with this path.
    Admin(String),
    /// A service of TiDB Cloud.
    Service(Address),
    /// The host of an OAuth client's document.
    Document {
        /// The host.
        host: String,
        /// Path and query on that host.
        target: String,
    },
    /// The storage behind exports and imports.
    Storage {
        /// Path and query there.
        target: String,
    },
    /// Nobody here.
    Refused {
        /// Status to answer.
        status: u16,
        /// Why, for the person who set it up.
        message: &'static str,
    },
}

/// `Host` without its port, lower case.
fn without_port(host: &str) -> String {
    let end = match host.strip_prefix('[').and_then(|rest| rest.find(']')) {
        Some(end) => end + 2,
        None => host.find(':').unwrap_or(host.len()),
    };
    host.get(..end).unwrap_or_default().to_ascii_lowercase()
}

/// Whether `host` names this machine (RFC 6761 section 6.3, RFC 1122 section 3.2.1.3, RFC 4291 section 2.5.3).
fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback())
        || host == "[::1]"
}

/// Reads `Host` and target. A browser always sends `Origin` across sites, so refusing it keeps web pages out; so does taking
/// known `Host`s only, which ends DNS rebinding.
pub(super) fn locate(request: &Request) -> Place {
    let refused = |status, message| Place::Refused { status, message };
    if request.header("origin").is_some() {
        return refused(403, "the sandbox answers no browser: the request has an Origin header");
    }
    let Some(host) = request.header("host").map(without_port) else {
        return refused(400, "the request has no Host header");
    };
    if !request.target.starts_with('/') {
        return refused(400, "the request target must be a path");
    }
    if let Some(service) = services::find(&host) {
        return Place::Service(Address { service, host, target: request.target.clone() });
    }
    if host == STORAGE_HOST {
        return Place::Storage { target: request.target.clone() };
    }
    if !is_loopback(&host) {
        return refused(403, "the Host header is neither loopback nor a host of TiDB Cloud");
    }
    if let Some(rest) = request.target.strip_prefix("/_sandbox/") {
        return Place::Admin(rest.to_owned());
    }
    let rest = request.target.get(1..).unwrap_or_default();
    let (host, target) = match rest.find(['/', '?']) {
        Some(end) => rest.split_at(end),
        None => (rest, "/"),
    };
    let (host, target) = (host.to_owned(), target.to_owned());
    if let Some(service) = services::find(&host) {
        return Place::Service(Address { service, host, target });
    }
    if host == STORAGE_HOST {
        return Place::Storage { target };
    }
    if documents::is_host(&host) {
        return Place::Document { host, target };
    }
    refused(404, "write /<host>/<path> for https://<host>/<path>, with a host of TiDB Cloud")
}

/// Path and query.
pub(super) fn split_query(target: &str) -> (&str, &str) {
    target.split_once('?').unwrap_or((target, ""))
}

/// Undoes percent-encoding (RFC 3986 section 2.1); `None` if it is malformed or not UTF-8.
pub(super) fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let mut digit = || char::from(bytes.next()?).to_digit(16);
            let (high, low) = (digit()?, digit()?);
            decoded.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            decoded.push(byte);
        }
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::{Address, Place, STORAGE_HOST, locate, percent_decode};
    use crate::exchange::Request;

    fn place(host: &str, target: &str) -> String {
        let headers = vec![("Host".to_owned(), host.to_owned())];
        match locate(&Request { method: "GET".to_owned(), target: target.to_owned(), headers, body: Vec::new() }) {
            Place::Admin(path) => format!("admin {path}"),
            Place::Service(Address { host, target, .. }) => format!("{host} {target}"),
            Place::Document { host, target } => format!("document {host} {target}"),
            Place::Storage { target } => format!("storage {target}"),
            Place::Refused { status, .. } => status.to_string(),
        }
    }

    #[test]
    fn one_address_stands_for_every_host() {
        assert_eq!(
            place("127.0.0.1:8788", "/iam.tidbapi.com/v1beta1/projects?a=1"),
            "iam.tidbapi.com /v1beta1/projects?a=1"
        );
        assert_eq!(place("localhost", "/iam.tidbapi.com"), "iam.tidbapi.com /");
        assert_eq!(place("[::1]:1", "/_sandbox/state"), "admin state");
        assert_eq!(place("IAM.tidbapi.com:443", "/v1beta1/projects"), "iam.tidbapi.com /v1beta1/projects");
        assert_eq!(place("serverless.tidbapi.com", "/_sandbox/state"), "serverless.tidbapi.com /_sandbox/state");
        assert_eq!(place("127.0.0.1", "/claude.ai/x"), "document claude.ai /x");
        assert_eq!(place("127.0.0.1", &format!("/{STORAGE_HOST}/x?y")), "storage /x?y");
        assert_eq!(place(STORAGE_HOST, "/x"), "storage /x");
        assert_eq!(place("claude.ai", "/x"), "403");
        assert_eq!(place("127.0.0.1", "/evil.example/x"), "404");
        assert_eq!(place("127.0.0.1.evil.example", "/_sandbox/state"), "403");
        assert_eq!(place("evil.example", "/iam.tidbapi.com/"), "403");
        assert_eq!(place("127.0.0.1", "http://iam.tidbapi.com/"), "400");
    }

    #[test]
    fn reads_percent_encoding() {
        assert_eq!(percent_decode("a%2Fb%C3%A9").as_deref(), Some("a/bé"));
        assert_eq!(percent_decode("%"), None);
        assert_eq!(percent_decode("%zz"), None);
        assert_eq!(percent_decode("%ff"), None);
    }
}
