//! Fetching a client's document: a request on behalf of a stranger, so everything about it is limited.

use std::time::Duration;

use super::{
    Server,
    client::{Client, DocumentAddress},
    form::media_type,
};
use crate::{
    base::{
        clock::UnixMillis,
        expiring::ExpiringMap,
        http::{Headers, Method, Response},
    },
    limits::lease::Guarded,
    port::Outbound,
    store::document,
};

/// The draft's section 6.6 recommends 5 KB.
const DOCUMENT_BYTES_MAX: usize = 5 * 1_024;
const TIMEOUT: Duration = Duration::from_secs(3);
/// 64 documents of a parsed size below 1 KiB, of those that are known and of all others.
const CACHED_MAX: usize = 64;
/// Documents of clients that are known before anybody has connected with them, as their makers publish the addresses.
const WELL_KNOWN: [&str; 4] = [
    "https://claude.ai/oauth/mcp-oauth-client-metadata",
    "https://claude.ai/oauth/claude-code-client-metadata",
    "https://vscode.dev/oauth/client-metadata.json",
    "https://github.com/copilot/cli/client-metadata.json",
];
/// A document is kept as long as its server says: a day at most, five minutes by default.
const KEPT_SECONDS_MAX: u64 = 24 * 60 * 60;
const KEPT_SECONDS_DEFAULT: u64 = 300;
/// A failure is remembered for a minute, so that its host is not asked again and again.
const FAILURE_SECONDS: u64 = 60;

/// Why a client's document is not available.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoClient {
    /// The id belongs to no client, or its document is invalid: the problem.
    Invalid(&'static str),
    /// Too many tries; how many seconds to wait.
    Limited(u64),
    /// The limiter does not answer.
    Unavailable,
}

impl From<Guarded> for NoClient {
    fn from(guarded: Guarded) -> Self {
        match guarded {
            Guarded::Limited(seconds) => Self::Limited(seconds),
            Guarded::Unavailable => Self::Unavailable,
        }
    }
}

/// Documents that were read, and addresses that had none. New ones never evict known ones.
pub(super) struct Cache {
    known: Documents,
    others: Documents,
}

type Documents = ExpiringMap<DocumentAddress, Result<Client, NoClient>>;

impl Default for Cache {
    fn default() -> Self {
        Self { known: ExpiringMap::evicting(CACHED_MAX), others: ExpiringMap::evicting(CACHED_MAX) }
    }
}

impl Cache {
    fn get(&self, address: &DocumentAddress, now: UnixMillis) -> Option<Result<Client, NoClient>> {
        self.known.get(address, now).or_else(|| self.others.get(address, now))
    }

    fn put(
        &self,
        address: DocumentAddress,
        is_known: bool,
        said: Result<Client, NoClient>,
        until: UnixMillis,
        now: UnixMillis,
    ) {
        let documents = if is_known && said.is_ok() { &self.known } else { &self.others };
        documents.insert(&address, said, until, now);
    }
}

impl Server<'_> {
    /// The client with this id.
    pub(super) async fn client(&self, id: &str) -> Result<Client, NoClient> {
        if !DocumentAddress::looks_like_one(id) {
            let (client, issued) = Client::registered(id, self.keyring).ok_or(NoClient::Invalid(
                "This server does not know this client. In the client, remove the connector and add it again.",
            ))?;
            return if Client::has_expired(issued, self.now()) {
                Err(NoClient::Invalid(
                    "This client's registration has expired. In the client, remove the connector and add it again.",
                ))
            } else {
                Ok(client)
            };
        }
        let own_host = url::Url::parse(self.origin.as_str()).ok();
        let own_host = own_host.as_ref().and_then(|url| url.host_str()).unwrap_or_default();
        let address = DocumentAddress::parse(id, own_host)
            .ok_or(NoClient::Invalid("The client's id is not the public https address of a document."))?;
        match self.memory.documents.get(&address, self.now()) {
            Some(said) => said,
            None => self.client_of(&address).await,
        }
    }

    /// The client of a document that this isolate does not remember. A known document needs no permit that strangers share.
    async fn client_of(&self, address: &DocumentAddress) -> Result<Client, NoClient> {
        let look = document::Command::Look { well_known: WELL_KNOWN.contains(&address.as_str()) };
        // Without an answer from storage the document counts as unknown.
        let reply = self.ask_document(address.as_str(), look).await.unwrap_or(document::Reply::Unknown);
        let is_known = !matches!(reply, document::Reply::Unknown);
        let (until, said) = match reply {
            document::Reply::Copy(copy) => (UnixMillis(copy.fresh), Ok(Client::of_copy(address, copy))),
            document::Reply::Fetch => self.fetch_document(address).await,
            document::Reply::Due(copy) => match self.guard_new_document(address.host()).await {
                Ok(()) => self.fetch_document(address).await,
                Err(_) => (UnixMillis(copy.fresh), Ok(Client::of_copy(address, copy))),
            },
            document::Reply::Busy => {
                self.guard_document().await?;
                self.fetch_document(address).await
            }
            document::Reply::Unknown | document::Reply::Done => {
                self.guard_new_document(address.host()).await?;
                self.fetch_document(address).await
            }
        };
        let now = self.now();
        if until > now {
            self.memory.documents.put(address.clone(), is_known, said.clone(), until, now);
        }
        said
    }

    /// Fetches and reads it, stores it for other isolates, and returns it with its expiry.
    async fn fetch_document(&self, address: &DocumentAddress) -> (UnixMillis, Result<Client, NoClient>) {
        let (seconds, said) = self.read_document(address).await;
        let until = self.now().after(Duration::from_secs(seconds));
        let command = match &said {
            Ok(client) => document::Command::Keep(client.to_copy(self.now(), until)),
            Err(_) => document::Command::Drop,
        };
        // If that fails, other isolates fetch too, or get the old copy for ten seconds.
        let _ = self.ask_document(address.as_str(), command).await;
        (until, said)
    }

    async fn read_document(&self, address: &DocumentAddress) -> (u64, Result<Client, NoClient>) {
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
        let Ok(response) = self.port.io.fetch(request, DOCUMENT_BYTES_MAX).await else {
            return failed("The client's document could not be fetched within 3 seconds and 5 KB.");
        };
        if response.status != 200 {
            return failed("The client's document could not be fetched: its server did not answer with status 200.");
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
