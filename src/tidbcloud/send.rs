//! The one place that sends: credentials, attempts, time limits.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::json;
use url::{Position, Url};

use super::{
    Cloud,
    authenticator::Authenticator,
    digest::{self, Carried, Nonce, Refusal},
    error::{ApiError, Said},
    hosts::Host,
    nonces::Space,
    retry::{self, Passing},
    units::ApiKey,
    witness::KeyVerdict,
};
use crate::{
    base::{
        hash::hex,
        http::{Headers, Method, Response},
        json::{self, Unread},
        secret::Secret,
    },
    port::{FetchError, Outbound, RequestLog},
};

/// 8 s: three attempts fit into the 28 s of a call.
const TIMEOUT: Duration = Duration::from_secs(8);
/// 2 MiB: a page of 100 clusters of 4 KiB each is 400 KiB; the rest is room for labels and annotations.
const RESPONSE_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Attempts of what can be repeated.
const ATTEMPTS_MAX: u32 = 3;
/// TiDB Cloud's code for a public key that does not exist.
const UNKNOWN_PUBLIC_KEY: &str = "49900001";
/// Who we are, for whoever reads TiDB Cloud's logs.
pub(super) const USER_AGENT: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));

/// One call of the API.
pub(super) struct Call<'c> {
    pub(super) host: Host,
    pub(super) method: Method,
    /// After `/v1beta1`.
    pub(super) segments: &'c [&'c str],
    pub(super) query: &'c [(&'c str, &'c str)],
    pub(super) body: Option<Vec<u8>>,
    /// A secret in the body, which no error may repeat.
    pub(super) secret: Option<&'c Secret>,
}

impl<'c> Call<'c> {
    pub(super) fn get(segments: &'c [&'c str], query: &'c [(&'c str, &'c str)]) -> Self {
        Self { host: Host::Serverless, method: Method::Get, segments, query, body: None, secret: None }
    }

    pub(super) fn write(method: Method, segments: &'c [&'c str], body: Option<Vec<u8>>) -> Self {
        Self { host: Host::Serverless, method, segments, query: &[], body, secret: None }
    }

    /// The path as the API's description writes it: every second segment is somebody's id.
    fn operation(&self) -> String {
        self.segments
            .iter()
            .enumerate()
            .map(|(at, segment)| if at % 2 == 0 { format!("/{segment}") } else { "/{}".to_owned() })
            .collect()
    }
}

/// An attempt that failed.
pub(super) struct Failed {
    pub(super) error: ApiError,
    /// Whether the request may have been carried out.
    pub(super) maybe_done: bool,
}

impl Failed {
    /// The failure of a request that was not carried out.
    fn undone(error: ApiError) -> Self {
        Self { error, maybe_done: false }
    }

    /// The failure of a write that is not looked into further.
    pub(super) fn unsettled(self) -> ApiError {
        if self.maybe_done { ApiError::OutcomeUnknown { cause: Box::new(self.error) } } else { self.error }
    }
}

/// Reads the JSON of a success; what cannot be read is logged.
pub(super) fn read_answer<T: DeserializeOwned>(
    log: RequestLog<'_>,
    operation: &str,
    response: &Response,
) -> Result<T, ApiError> {
    json::read(&response.body).map_err(|error| {
        // What was read is not repeated.
        let place = match error {
            Unread::Syntax(error) => format!("no JSON at line {} column {}", error.line(), error.column()),
            Unread::Shape { path, .. } => format!("another shape at `{}`", path.chars().take(100).collect::<String>()),
        };
        unreadable(log, operation, response.status, &place)
    })
}

/// Logs that an answer could not be read, and where, without any of it.
pub(super) fn unreadable(log: RequestLog<'_>, operation: &str, status: u16, problem: &str) -> ApiError {
    log.event("unreadable_answer", json!({ "operation": operation, "status": status, "problem": problem }));
    ApiError::Unreadable { status }
}

impl Cloud<'_> {
    /// Reads, and tries again after failures that pass.
    pub(super) async fn read<T: DeserializeOwned>(&self, call: &Call<'_>) -> Result<T, ApiError> {
        let mut failures = 0;
        loop {
            match self.attempt(call).await {
                Ok(answer) => return Ok(answer),
                Err(failed) => self.try_again(&mut failures, ATTEMPTS_MAX, failed.error).await?,
            }
        }
    }

    /// Deletes, and tries again after failures that pass. `None` where it is gone and the answer that said so was lost.
    pub(super) async fn delete<T: DeserializeOwned>(&self, call: &Call<'_>) -> Result<Option<T>, ApiError> {
        let (mut failures, mut maybe_done) = (0, false);
        loop {
            let error = match self.attempt(call).await {
                Ok(answer) => return Ok(Some(answer)),
                // It was accepted; only the description of what is gone cannot be read.
                Err(Failed { error: ApiError::Unreadable { .. }, .. }) => return Ok(None),
                Err(Failed { error: ApiError::NotFound(_), maybe_done: now }) if maybe_done || now => return Ok(None),
                Err(failed) => {
                    maybe_done |= failed.maybe_done;
                    failed.error
                }
            };
            // A refusal for too many requests is for the caller to wait out.
            let limited = matches!(error, ApiError::RateLimited { .. });
            let again = if limited { Err(error) } else { self.try_again(&mut failures, ATTEMPTS_MAX, error).await };
            again.map_err(|error| Failed { error, maybe_done }.unsettled())?;
        }
    }

    /// Counts a failure and waits before the next attempt; returns it where there shall be none.
    pub(super) async fn try_again(
        &self,
        failures: &mut u32,
        attempts_max: u32,
        error: ApiError,
    ) -> Result<(), ApiError> {
        *failures += 1;
        let wait = error.passing().and_then(|passing| self.wait_after(passing, *failures, attempts_max));
        match wait {
            Some(wait) => {
                self.io.sleep(wait).await;
                Ok(())
            }
            None => Err(error),
        }
    }

    /// How long to wait after this failure, `None` where there shall be no further attempt.
    pub(super) fn wait_after(&self, passing: Passing, failures: u32, attempts_max: u32) -> Option<Duration> {
        let mut random = [0; 8];
        self.io.random(&mut random);
        retry::wait(passing, failures, attempts_max, self.remaining(), u64::from_le_bytes(random))
    }

    /// What is left of the time of the whole call.
    pub fn remaining(&self) -> Duration {
        self.io.now().until(self.deadline)
    }

    /// One attempt, which is up to four requests: a digest may have to be asked for, and may be refused as stale.
    pub(super) async fn attempt<T: DeserializeOwned>(&self, call: &Call<'_>) -> Result<T, Failed> {
        let (response, replayed) = self.exchange(call).await?;
        let status = response.status;
        if (200..=299).contains(&status) {
            let operation = format!("{} {}", call.method.as_str(), call.operation());
            return read_answer(self.log, &operation, &response).map_err(|error| Failed { error, maybe_done: true });
        }
        // 4xx: it was refused. A 408 comes from a gateway that gave up waiting, for us or for the server behind it.
        let maybe_done = status >= 500 && status != 501 || status == 408 || replayed && status == 404;
        Err(Failed { error: self.refusal(call, &response), maybe_done })
    }

    /// Sends with credentials, and tells whoever watches over the key what TiDB Cloud said of it. Nothing else sends a key.
    ///
    /// Beside the answer stands whether a deletion before it may have been carried out although it was refused.
    async fn exchange(&self, call: &Call<'_>) -> Result<(Response, bool), Failed> {
        let url = self.url(&call.host, call.segments, call.query)?;
        let key = match self.authenticator {
            Authenticator::Digest(key) => key,
            // Nothing can be asked for first and nothing wears out, so what is refused is refused for good.
            Authenticator::Bearer(bearer) => {
                let authorization = format!("Bearer {}", bearer.token().expose());
                return Ok((self.send(call, &url, Some(authorization)).await?, false));
            }
        };
        // A try that nothing could follow would be counted for nothing: it is a request itself.
        if !self.io.may_send(2) {
            return Err(Failed::undone(ApiError::Exhausted));
        }
        let tried = self.witness.may_try(key).await.map_err(|why| Failed::undone(ApiError::KeyNotTried(why)))?;
        let mut verdict = KeyVerdict::NotAsked;
        let outcome = self.exchange_digests(call, &url, key, &mut verdict).await;
        self.witness.heard(key, tried, verdict).await;
        outcome
    }

    /// Sends with a digest, and with another one where the first is refused for its nonce.
    ///
    /// workerd sends a request without a body again by itself where the connection closes before any answer (seen with
    /// 2026-10), and a server then refuses the second one for its nonce count, which says nothing about the first. A nonce
    /// that is merely too old is called stale.
    async fn exchange_digests(
        &self,
        call: &Call<'_>,
        url: &Url,
        key: &ApiKey,
        verdict: &mut KeyVerdict,
    ) -> Result<(Response, bool), Failed> {
        let space = Space { base: self.hosts.base(&call.host), caller: key.caller() };
        let leased = self.memory.nonces.borrow_mut().lease(&space, self.io.now());
        let (mut nonce, mut carried) = match leased {
            Some(nonce) => (Some(nonce), Carried::OlderNonce),
            None if call.method == Method::Get => (None, Carried::Nothing),
            // The nonce was issued for another address. RFC 7616 ties it to none, but a server may: so a refusal of it
            // does not yet mean that the key is wrong.
            None => (Some(self.nonce_for_write(key, &call.host).await.map_err(Failed::undone)?), Carried::OlderNonce),
        };
        let mut replayed = false;
        loop {
            let authorization = nonce.as_mut().map(|nonce| self.sign(nonce, key, call, url));
            let response = self.send(call, url, authorization).await?;
            if response.status != 401 {
                if let Some(mut nonce) = nonce {
                    *verdict = KeyVerdict::of_status(response.status);
                    if let Some(info) = response.headers.get("authentication-info") {
                        nonce.follow(&info);
                    }
                    self.memory.nonces.borrow_mut().put_back(space, nonce, self.io.now());
                }
                return Ok((response, replayed));
            }
            match digest::refused(carried, response.headers.get("www-authenticate").as_deref()) {
                Refusal::Answer(challenge, next) => {
                    replayed |= call.method == Method::Delete && nonce.is_some() && !challenge.stale();
                    (nonce, carried) = (Some(Nonce::new(challenge)), next);
                }
                Refusal::WrongKey => {
                    *verdict = KeyVerdict::KeyRefused;
                    return Err(Failed::undone(self.refusal(call, &response)));
                }
                Refusal::NeverFresh => return Err(Failed::undone(ApiError::Unexpected("every nonce is called stale"))),
                Refusal::NotDigest => {
                    let unknown_key = Said::read(&response.body).code.as_deref() == Some(UNKNOWN_PUBLIC_KEY);
                    return Err(Failed::undone(if carried != Carried::Nothing && unknown_key {
                        *verdict = KeyVerdict::KeyRefused;
                        self.refusal(call, &response)
                    } else {
                        ApiError::Unexpected("401 without a Digest challenge")
                    }));
                }
            }
        }
    }

    /// A nonce for a write, so that its body is sent once and only with credentials: asked for by a read of the same
    /// host that is without effect even where a server fails to challenge it.
    async fn nonce_for_write(&self, key: &ApiKey, host: &Host) -> Result<Nonce, ApiError> {
        let own_key = ["apikeys", key.public()];
        let segments: &[&str] = match host {
            Host::Iam => &own_key,
            _ => &["regions"],
        };
        let call = Call { host: host.clone(), ..Call::get(segments, &[]) };
        let url = self.url(&call.host, call.segments, call.query).map_err(|failed| failed.error)?;
        let mut failures = 0;
        loop {
            let error = match self.send(&call, &url, None).await {
                Err(failed) => failed.error,
                Ok(response) if response.status == 401 => {
                    let challenge = response.headers.get("www-authenticate");
                    return match digest::refused(Carried::Nothing, challenge.as_deref()) {
                        Refusal::Answer(challenge, _) => Ok(Nonce::new(challenge)),
                        _ => Err(ApiError::Unexpected("401 without a Digest challenge")),
                    };
                }
                Ok(response) if response.status < 400 => {
                    return Err(ApiError::Unexpected("a request without credentials was not refused"));
                }
                Ok(response) => self.refusal(&call, &response),
            };
            self.try_again(&mut failures, ATTEMPTS_MAX, error).await?;
        }
    }

    /// The value of `Authorization` under Digest.
    fn sign(&self, nonce: &mut Nonce, key: &ApiKey, call: &Call<'_>, url: &Url) -> String {
        // 16 bytes: 128 bits.
        let mut random = [0; 16];
        self.io.random(&mut random);
        let request = digest::Request {
            method: call.method.as_str(),
            uri: &url[Position::BeforePath..Position::AfterQuery],
            body: call.body.as_deref().unwrap_or_default(),
            cnonce: &hex(&random),
        };
        nonce.sign(key, &request)
    }

    /// Sends once.
    async fn send(&self, call: &Call<'_>, url: &Url, authorization: Option<String>) -> Result<Response, Failed> {
        let remaining = self.remaining();
        if remaining < retry::ATTEMPT_MIN {
            return Err(Failed::undone(ApiError::DeadlineExceeded));
        }
        let mut headers = Headers::from_iter([("accept", "application/json"), ("user-agent", USER_AGENT)]);
        if call.body.is_some() {
            headers.append("content-type", "application/json");
        }
        let anonymous = authorization.is_none();
        if let Some(authorization) = authorization {
            headers.append("authorization", authorization);
        }
        let request = Outbound {
            method: call.method,
            url: url.clone(),
            headers,
            body: call.body.clone(),
            timeout: TIMEOUT.min(remaining),
        };
        self.io.fetch(request, RESPONSE_BYTES_MAX).await.map_err(|error| Failed {
            error: ApiError::of_fetch(error),
            maybe_done: !anonymous && error != FetchError::Exhausted,
        })
    }

    fn url(&self, host: &Host, segments: &[&str], query: &[(&str, &str)]) -> Result<Url, Failed> {
        let segments: Vec<&str> = std::iter::once("v1beta1").chain(segments.iter().copied()).collect();
        self.hosts.url(host, &segments, query).map_err(|malformed| Failed::undone(malformed.into()))
    }

    fn refusal(&self, call: &Call<'_>, response: &Response) -> ApiError {
        let mut secrets = vec![self.authenticator.secret().expose()];
        secrets.extend(call.secret.map(Secret::expose));
        match (ApiError::of_refusal(response, self.io.now(), &secrets), self.authenticator) {
            (ApiError::KeyRejected(answer), Authenticator::Bearer(_)) => ApiError::TokenRejected(answer),
            (error, _) => error,
        }
    }
}
