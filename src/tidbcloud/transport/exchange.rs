//! Calls with credentials. Nothing else sends an API key or a token of TiDB Cloud.

use std::time::Duration;

use serde::de::DeserializeOwned;
use url::{Position, Url};

use super::{
    answer::read_answer,
    call::{Call, Failed},
    error::ApiError,
    health::{Part, Pass, Sign},
    hosts::Path,
    refusal::Said,
    repeat::ATTEMPTS_MAX,
    send::{Operation, Request},
};
use crate::{
    base::{
        hash::hex,
        http::{Method, Response},
        secret::Secret,
    },
    tidbcloud::{
        Cloud,
        auth::{
            Authenticator,
            digest::{self, Carried, Nonce, Refusal},
            key::ApiKey,
            nonces::Space,
            witness::KeyVerdict,
        },
        service::Service,
    },
};

/// 8 s: three attempts fit into the 28 s of a call.
const TIMEOUT: Duration = Duration::from_secs(8);
/// 2 MiB: a page of 100 clusters of 4 KiB each is 400 KiB; the rest is room for labels and annotations.
const RESPONSE_BYTES_MAX: usize = 2 * 1024 * 1024;
/// A 401 without a Digest challenge.
const NO_CHALLENGE: ApiError = ApiError::Unexpected("401 without a Digest challenge");

impl Cloud<'_> {
    /// One attempt of up to four requests: a nonce may have to be requested, and may be refused as stale.
    pub(in crate::tidbcloud) async fn attempt<T: DeserializeOwned>(&self, call: &Call<'_>) -> Result<T, Failed> {
        let part = self.part(call.service);
        let pass = self.enter(call, &part).await?;
        let response = self.attempt_as(call, &part, pass).await?;
        let read = read_answer(self.sender.log, &call.operation(), &response);
        self.checkup(&part).leave(pass, read.as_ref().map_or_else(ApiError::sign, |_| Sign::Good)).await;
        read.map_err(|error| Failed { error, maybe_done: true })
    }

    /// Whether the circuit lets this call through. A write is never the request that finds out: a read goes before it.
    async fn enter(&self, call: &Call<'_>, part: &Part) -> Result<Pass, Failed> {
        let pass = self.checkup(part).enter().await.map_err(Failed::undone)?;
        match self.probe(call.service) {
            Some(probe) if pass == Pass::Probe && call.method != Method::Get => {
                let found = self.attempt_as(&probe, part, pass).await;
                match found.map_err(|failed| failed.error.sign()) {
                    Ok(_) => self.checkup(part).leave(pass, Sign::Good).await,
                    // It was answered, if not as it was asked for.
                    Err(Sign::Good) => {}
                    // What is wrong with that read is no answer to this call.
                    Err(_) => return Err(Failed::undone(ApiError::CircuitOpen { retry_after_seconds: 1 })),
                }
                Ok(Pass::Usual)
            }
            _ => Ok(pass),
        }
    }

    /// The service's read without effect. One that names the caller's key is not for callers without a key.
    fn probe(&self, service: &'static Service) -> Option<Call<'_>> {
        match self.authenticator {
            Authenticator::Digest(key) => Some(service.probe(key)),
            Authenticator::Bearer(_) => (!service.probe.contains("{}")).then(|| service.get(service.probe, [])),
        }
    }

    /// The answer, if it is a success. What any other outcome says of TiDB Cloud's health is noted.
    async fn attempt_as(&self, call: &Call<'_>, part: &Part, pass: Pass) -> Result<Response, Failed> {
        let failed = match self.exchange(call).await {
            Ok((response, _)) if (200..=299).contains(&response.status) => return Ok(response),
            Ok((response, replayed)) => {
                // 4xx: it was refused. A 408 comes from a gateway that gave up waiting, for us or for the server behind it.
                let status = response.status;
                let maybe_done = status >= 500 && status != 501 || status == 408 || replayed && status == 404;
                Failed { error: self.refusal(call, &response), maybe_done }
            }
            Err(failed) => failed,
        };
        self.checkup(part).leave(pass, failed.error.sign()).await;
        Err(failed)
    }

    /// Sends with credentials, and reports TiDB Cloud's verdict on the key to its witness. Nothing else sends a key.
    ///
    /// Also returns whether an earlier deletion may have been carried out although it was refused.
    async fn exchange(&self, call: &Call<'_>) -> Result<(Response, bool), Failed> {
        let url = self.url(call)?;
        let key = match self.authenticator {
            Authenticator::Digest(key) => key,
            // Nothing can be asked for first and nothing wears out, so what is refused is refused for good.
            Authenticator::Bearer(bearer) => {
                let authorization = format!("Bearer {}", bearer.token().expose());
                return Ok((self.send(call, &url, Some(authorization), None).await?, false));
            }
        };
        // A try is a request itself: without another one left it would be counted in vain.
        if !self.sender.io.may_send(2) {
            return Err(Failed::undone(ApiError::Exhausted));
        }
        let tried = self.witness.may_try(key).await.map_err(|why| Failed::undone(ApiError::KeyNotTried(why)))?;
        let mut verdict = KeyVerdict::NotAsked;
        // Of a key that is known to be good, a single refusal proves nothing.
        let sent_twice = tried.is_known && call.body.is_none();
        let outcome = self.exchange_digests(call, &url, key, sent_twice, &mut verdict).await;
        self.witness.heard(key, tried, verdict).await;
        outcome
    }

    /// Takes the key's turn for one request that carries it.
    async fn take_turn(&self, key: &ApiKey) -> Result<(), Failed> {
        let turn = self.witness.may_send(key).await;
        turn.map_err(|retry_after_seconds| Failed::undone(ApiError::HeldBack { retry_after_seconds }))
    }

    /// Sends with a digest, and with another one if the first is refused for its nonce.
    ///
    /// workerd sends a request without a body again by itself where the connection closes before any answer (seen with
    /// 2026-10), and a server then refuses the second one for its nonce count, which says nothing about the first and nothing
    /// about the key: `sent_twice` is whether that may be. A nonce that is merely too old is called stale.
    async fn exchange_digests(
        &self,
        call: &Call<'_>,
        url: &Url,
        key: &ApiKey,
        sent_twice: bool,
        verdict: &mut KeyVerdict,
    ) -> Result<(Response, bool), Failed> {
        let space = Space { base: self.sender.hosts.base(call.service.host), caller: key.caller() };
        let leased = self.memory.nonces.borrow_mut().lease(&space, self.sender.io.now());
        let mut age = if leased.is_some() { "reused" } else { "fresh" };
        let (mut nonce, mut carried) = match leased {
            Some(nonce) => (Some(nonce), Carried::OlderNonce),
            None if call.method == Method::Get => (None, Carried::Nothing),
            // The nonce was issued for another address. RFC 7616 ties it to none, but a server may: so a refusal of it
            // does not yet mean that the key is wrong.
            None => (Some(self.nonce_for_write(key, call.service).await.map_err(Failed::undone)?), Carried::OlderNonce),
        };
        let mut replayed = false;
        loop {
            if let Some(unsent) = &nonce
                && let Err(failed) = self.take_turn(key).await
            {
                self.memory.nonces.borrow_mut().put_back(space, unsent.clone(), self.sender.io.now());
                // An earlier one may have been carried out.
                return Err(Failed { maybe_done: replayed, ..failed });
            }
            let authorization = nonce.as_mut().map(|nonce| self.sign(nonce, key, call, url));
            let under = nonce.is_some().then_some(age);
            let response = self.send(call, url, authorization, under).await?;
            if response.status != 401 {
                if let Some(mut nonce) = nonce {
                    *verdict = KeyVerdict::of_status(response.status);
                    if let Some(info) = response.headers.get("authentication-info") {
                        nonce.follow(&info);
                    }
                    self.memory.nonces.borrow_mut().put_back(space, nonce, self.sender.io.now());
                }
                return Ok((response, replayed));
            }
            match digest::refused(carried, sent_twice, response.headers.get("www-authenticate").as_deref()) {
                Refusal::Answer(challenge, next) => {
                    replayed |= call.method == Method::Delete && nonce.is_some() && !challenge.stale();
                    (nonce, carried, age) = (Some(Nonce::new(challenge)), next, "fresh");
                }
                Refusal::WrongKey => {
                    *verdict = KeyVerdict::KeyRefused;
                    return Err(Failed::undone(self.refusal(call, &response)));
                }
                Refusal::NeverFresh => return Err(Failed::undone(ApiError::Unexpected("every nonce is called stale"))),
                Refusal::NotDigest => {
                    let code = Said::read(&response.body, &call.service.errors).code;
                    let unknown_key = code.is_some() && code.as_deref() == call.service.errors.unknown_key;
                    if carried == Carried::Nothing || !unknown_key {
                        return Err(Failed::undone(NO_CHALLENGE));
                    }
                    *verdict = KeyVerdict::KeyRefused;
                    return Err(Failed::undone(self.refusal(call, &response)));
                }
            }
        }
    }

    /// A nonce for a write, so that its body is sent once and only with credentials: asked for by the service's probe.
    async fn nonce_for_write(&self, key: &ApiKey, service: &'static Service) -> Result<Nonce, ApiError> {
        let call = service.probe(key);
        let url = self.url(&call).map_err(|failed| failed.error)?;
        let mut failures = 0;
        loop {
            let error = match self.send(&call, &url, None, None).await {
                Err(failed) => failed.error,
                Ok(response) if response.status == 401 => {
                    let challenge = response.headers.get("www-authenticate");
                    return match digest::refused(Carried::Nothing, false, challenge.as_deref()) {
                        Refusal::Answer(challenge, _) => Ok(Nonce::new(challenge)),
                        _ => Err(NO_CHALLENGE),
                    };
                }
                Ok(response) if response.status < 400 => {
                    return Err(ApiError::Unexpected("a request without credentials was not refused"));
                }
                Ok(response) => self.refusal(&call, &response),
            };
            self.try_again(&self.part(service), &mut failures, ATTEMPTS_MAX, error).await?;
        }
    }

    /// The value of `Authorization` under Digest.
    fn sign(&self, nonce: &mut Nonce, key: &ApiKey, call: &Call<'_>, url: &Url) -> String {
        // 16 bytes: 128 bits.
        let mut random = [0; 16];
        self.sender.io.random(&mut random);
        let request = digest::Request {
            method: call.method.as_str(),
            uri: &url[Position::BeforePath..Position::AfterQuery],
            body: call.body.as_deref().unwrap_or_default(),
            cnonce: &hex(&random),
        };
        nonce.sign(key, &request)
    }

    /// Sends once. What is not a read is from then on finished even if the client goes away. `nonce` says for the log under which
    /// one the digest was made.
    async fn send(
        &self,
        call: &Call<'_>,
        url: &Url,
        authorization: Option<String>,
        nonce: Option<&'static str>,
    ) -> Result<Response, Failed> {
        if call.method != Method::Get && authorization.is_some() {
            self.sender.io.must_finish();
        }
        let operation = Operation { service: call.service.host.name(), path: call.path };
        let request = Request {
            authorization,
            nonce,
            body: call.body.clone(),
            ..Request::new(call.method, url.clone(), operation, TIMEOUT)
        };
        self.sender.fetch(request, RESPONSE_BYTES_MAX).await
    }

    fn url(&self, call: &Call<'_>) -> Result<Url, Failed> {
        let Call { service, arguments, query, .. } = call;
        let path = Path { version: service.version, template: call.path, arguments, query };
        self.sender.hosts.url(service.host, &path).map_err(Failed::undone)
    }

    fn refusal(&self, call: &Call<'_>, response: &Response) -> ApiError {
        let mut secrets = vec![self.authenticator.secret().expose()];
        secrets.extend(call.secrets.iter().map(Secret::expose));
        let error = ApiError::of_refusal(&call.service.errors, response, self.sender.io.now(), &secrets);
        match (error, self.authenticator) {
            (ApiError::KeyRejected(answer), Authenticator::Bearer(_)) => ApiError::TokenRejected(answer),
            (error, _) => error,
        }
    }
}
