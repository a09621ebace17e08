//! Whether TiDB Cloud answers, asked without anybody's credentials.

use std::time::Duration;

use super::{
    error::ApiError,
    hosts::{Hosts, Path},
    send::{Operation, Request, Sender},
};
use crate::{
    base::http::Method,
    circuit::{Event, Report, Verdict},
    port::{Io, RequestLog},
    tidbcloud::{
        auth::digest::{self, Carried},
        service::{CONTROL_PLANE, SERVERLESS},
    },
};

/// 3 s: an answer without credentials takes no more than a look at a header.
const TIMEOUT: Duration = Duration::from_secs(3);
/// 16 KiB: its body says nothing that matters here.
const RESPONSE_BYTES_MAX: usize = 16 * 1024;

/// The circuits of the APIs that tools cannot do without, as somebody sees them who is no caller; `None` where that cannot be known.
pub async fn circuits(io: &dyn Io) -> Vec<Option<Verdict>> {
    let watched = Report { caller: String::new(), event: Event::Watched, random: 0 };
    let mut seen = Vec::with_capacity(CONTROL_PLANE.len());
    for service in CONTROL_PLANE {
        seen.push(io.circuit(service.host.name(), &watched).await);
    }
    seen
}

/// Whether TiDB Cloud answers a request without credentials as it does when it works: 401 with a Digest challenge (RFC 7616 section
/// 3.3) within 3 s. One request, never repeated.
///
/// # Errors
/// How it answered, or that it did not.
pub async fn is_alive(io: &dyn Io, log: &RequestLog<'_>, hosts: &Hosts) -> Result<(), ApiError> {
    let path = Path { version: SERVERLESS.version, template: SERVERLESS.probe, arguments: &[], query: &[] };
    let url = hosts.url(SERVERLESS.host, &path).map_err(ApiError::Malformed)?;
    let operation = Operation { service: SERVERLESS.host.name(), path: SERVERLESS.probe };
    let sender = Sender { io, log, hosts, deadline: io.now().after(TIMEOUT), trail: None };
    // Its success is a refusal, which counts for nothing, so its failure must not either.
    let request = Request { counts: false, ..Request::new(Method::Get, url, operation, TIMEOUT) };
    let answer = sender.fetch(request, RESPONSE_BYTES_MAX).await;
    let response = answer.map_err(|failed| failed.error)?;
    let challenge = response.headers.get("www-authenticate");
    match response.status {
        401 => match digest::refused(Carried::Nothing, false, challenge.as_deref()) {
            digest::Refusal::Answer(..) => Ok(()),
            _ => Err(ApiError::Unexpected("401 without a Digest challenge")),
        },
        status if status < 400 => Err(ApiError::Unexpected("a request without credentials was not refused")),
        _ => Err(ApiError::of_refusal(&SERVERLESS.errors, &response, io.now(), &[])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        base::http::Response,
        port::FetchError,
        tidbcloud::fake::{Fake, no_log},
    };

    const DIGEST: &str = r#"Digest realm="tidb.cloud", nonce="n", algorithm=MD5, qop="auth""#;

    async fn asked(answer: Result<Response, FetchError>) -> Result<(), ApiError> {
        let fake = Fake::new([answer]);
        let found = is_alive(&fake, no_log(), &Hosts::real()).await;
        assert_eq!(fake.lines(), ["GET /v1beta1/regions"], "one request without credentials is sent");
        found
    }

    #[tokio::test]
    async fn only_a_digest_challenge_is_a_sign_of_life() {
        assert_eq!(asked(Ok(Response::empty(401).with("www-authenticate", DIGEST))).await, Ok(()));
        let others = [
            Ok(Response::empty(401)),
            Ok(Response::empty(401).with("www-authenticate", "Basic realm=\"tidb.cloud\"")),
            Ok(Response::json(200, "{}").with("www-authenticate", DIGEST)),
            Ok(Response::empty(302).with("www-authenticate", DIGEST)),
            Ok(Response::empty(403).with("www-authenticate", DIGEST)),
            Ok(Response::empty(500).with("www-authenticate", DIGEST)),
            Ok(Response::json(503, "x".repeat(RESPONSE_BYTES_MAX))),
            Err(FetchError::Timeout),
            Err(FetchError::Unreachable),
        ];
        for answer in others {
            let status = answer.as_ref().map(|response| response.status).map_err(|error| *error);
            assert!(asked(answer).await.is_err(), "{status:?} is no sign of life");
        }
    }
}
