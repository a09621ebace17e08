//! Fetching a client's document: a request on behalf of a stranger, so it is narrow in every respect.

use std::{collections::BTreeMap, time::Duration};

use super::{
    Server,
    client::{Client, DocumentAddress},
    form::media_type,
    guard::Guarded,
};
use crate::{
    http::{Headers, Method, Response},
    platform::{Outbound, Platform, UnixMillis},
};

/// The draft's section 6.6 recommends 5 KB.
const DOCUMENT_BYTES_MAX: usize = 5 * 1_024;
const TIMEOUT: Duration = Duration::from_secs(3);
/// 64 documents of a parsed size below 1 KiB.
const CACHED_MAX: usize = 64;
/// A document is kept as long as its server says, a day at most, five minutes where it says nothing.
const KEPT_SECONDS_MAX: u64 = 24 * 60 * 60;
const KEPT_SECONDS_DEFAULT: u64 = 300;
/// A failure is remembered for a minute, so that nobody is asked again and again.
const FAILURE_SECONDS: u64 = 60;

/// Why a client's document is not to be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoClient {
    /// The id is no client's, or its document is not what it must be: what is wrong.
    Invalid(&'static str),
    /// Too many tries; how many seconds to wait.
    Limited(u64),
    /// The limiter does not answer.
    Unavailable,
}

/// Documents that were read, and addresses that had none.
#[derive(Default)]
pub(super) struct Cache(BTreeMap<DocumentAddress, (UnixMillis, Result<Client, NoClient>)>);

impl Cache {
    fn get(&self, address: &DocumentAddress, now: UnixMillis) -> Option<Result<Client, NoClient>> {
        self.0.get(address).filter(|(until, _)| *until > now).map(|(_, known)| known.clone())
    }

    fn put(&mut self, address: DocumentAddress, until: UnixMillis, known: Result<Client, NoClient>) {
        self.0.insert(address, (until, known));
        if self.0.len() > CACHED_MAX {
            let first = self.0.iter().min_by_key(|(_, (until, _))| *until).map(|(address, _)| address.clone());
            if let Some(first) = first {
                self.0.remove(&first);
            }
        }
    }
}

impl<P: Platform> Server<'_, P> {
    /// The client with this id.
    pub(super) async fn client(&self, id: &str) -> Result<Client, NoClient> {
        if !DocumentAddress::looks_like_one(id) {
            let (client, issued) =
                Client::registered(id, self.keyring).ok_or(NoClient::Invalid("This client is not known here."))?;
            return if Client::has_expired(issued, self.now()) {
                Err(NoClient::Invalid("This client's registration has expired: it has to register again."))
            } else {
                Ok(client)
            };
        }
        let own_host = url::Url::parse(self.origin.as_str()).ok();
        let own_host = own_host.as_ref().and_then(|url| url.host_str()).unwrap_or_default();
        let address = DocumentAddress::parse(id, own_host)
            .ok_or(NoClient::Invalid("The client's id is not the public https address of a document."))?;
        let known = self.memory.documents.borrow().get(&address, self.now());
        if let Some(known) = known {
            return known;
        }
        self.guard_document().await.map_err(|guarded| match guarded {
            Guarded::Limited(seconds) => NoClient::Limited(seconds),
            Guarded::Unavailable => NoClient::Unavailable,
        })?;
        let (seconds, known) = self.fetch_document(&address).await;
        let until = self.now().after(Duration::from_secs(seconds));
        self.memory.documents.borrow_mut().put(address, until, known.clone());
        known
    }

    /// Fetches and reads; beside it stands for how many seconds that holds.
    async fn fetch_document(&self, address: &DocumentAddress) -> (u64, Result<Client, NoClient>) {
        let failed = |why| (FAILURE_SECONDS, Err(NoClient::Invalid(why)));
        let Some(url) = self.config.hosts.public(address.as_str()) else {
            return failed("The client's document could not be fetched.");
        };
        let request = Outbound {
            method: Method::Get,
            url,
            headers: Headers::from_iter([("accept", "application/json")]),
            body: None,
            timeout: TIMEOUT,
        };
        let Ok(response) = self.platform.fetch(request, DOCUMENT_BYTES_MAX).await else {
            return failed("The client's document could not be fetched within 3 seconds and 5 KB.");
        };
        if response.status != 200 {
            return failed(
                "The client's document could not be fetched: its server answered with another status than 200.",
            );
        }
        let kind = media_type(&response.headers).unwrap_or_default();
        if kind != "application/json" && !(kind.starts_with("application/") && kind.ends_with("+json")) {
            return failed("The client's document is not JSON.");
        }
        match Client::from_document(address, &response.body) {
            Ok(client) => (kept_seconds(&response), Ok(client)),
            Err(invalid) => failed(invalid.description),
        }
    }
}

/// `Cache-Control: max-age` (RFC 9111 section 5.2.2.1), within bounds; `no-store` and `no-cache` keep it for no time.
fn kept_seconds(response: &Response) -> u64 {
    let control = response.headers.get("cache-control").unwrap_or_default().to_ascii_lowercase();
    let mut directives = control.split(',').map(str::trim);
    if directives.clone().any(|directive| matches!(directive, "no-store" | "no-cache")) {
        return 0;
    }
    directives
        .find_map(|directive| directive.strip_prefix("max-age=")?.trim_matches('"').parse::<u64>().ok())
        .unwrap_or(KEPT_SECONDS_DEFAULT)
        .min(KEPT_SECONDS_MAX)
}
