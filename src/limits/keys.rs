//! All limits in one table: what is limited, for whom, and how far. Keys hold no address or credential in the clear.

use crate::{
    base::{address::ClientAddress, hash::hex},
    config::Config,
    limits::witness::Source,
    port::{LimitKey, Policy},
    store::{
        key::REFUSALS_PER_ADDRESS,
        seal::{Keyring, base64url, fingerprint},
    },
    tidbcloud::ApiKey,
};

/// Pairs of keys in headers that are new to an isolate: an office behind one address starts fewer clients than that in a
/// minute.
const NEW_PAIRS: Policy = Policy::per_minute(30, 30);
/// Invalid access keys, tokens and other credentials.
const WRONG_CREDENTIALS: Policy = Policy::per_minute(30, 30);
/// Pages on which credentials are tried: a person types some 30 s on each.
const TRIES: Policy = Policy::per_minute(10, 10);
/// Hosted clients register anew on each connect, from addresses that they share.
const REGISTRATIONS: Policy = Policy::per_hour(100);
/// Documents that are not known: nobody uses this server to knock on others' doors. Each is fetched once in the five minutes
/// that an isolate keeps it, and a person connects few clients that are new here in a minute. For one address, for its
/// network, from one host, and in all; the last two are shared with strangers, so one network alone never uses them up: in
/// t minutes it takes at most 60 + 60 t, of 120 + 120 t and 600 + 600 t. Ten networks can. What is known is then still
/// served ([`crate::store::document`]).
const DOCUMENTS_OF_ADDRESS: Policy = Policy::per_minute(30, 30);
const DOCUMENTS_OF_NETWORK: Policy = Policy::per_minute(60, 60);
const DOCUMENTS_OF_HOST: Policy = Policy::per_minute(120, 120);
const DOCUMENTS_OF_ALL: Policy = Policy::per_minute(600, 600);

/// Factor of the limits for an address that many strangers share.
const SHARED_FACTOR: u32 = 10;

/// What is limited, and whose permits are taken.
#[derive(Clone, Copy)]
pub enum Limited<'a> {
    /// A message to `/mcp`, for its address.
    Address(&'a Visitor),
    /// A message to `/mcp`, for its grant or key pair.
    Credential(&'a CredentialHash),
    /// A call that changes something, for its grant or key pair.
    Write(&'a CredentialHash),
    /// A request to TiDB Cloud's API with a key, for the hash of the whole pair.
    Upstream(&'a str),
    /// A pair of keys in headers that this isolate has not seen, for its address.
    NewPair(&'a Visitor),
    /// An invalid credential, for its address.
    WrongCredential(&'a Visitor),
    /// A request for a page or a token, for its address: as many as calls of the protocol.
    Authorization(&'a Visitor),
    /// A request with a code or a token of a grant from an address that strangers share, for both together.
    AuthorizationOfGrant(&'a CredentialHash),
    /// The registration of a client, for its address. Nothing is stored of it, so where many strangers share the address
    /// there are as many as requests in a minute: an hour's permits could be used up for all of them.
    Registration(&'a Visitor),
    /// A page with credentials on it, for its address.
    Try(&'a Visitor),
    /// A client's document, for the address that names it. Addresses that many strangers share have no more than others: one
    /// network could use up what is for all, and what they connected with once is known.
    DocumentOfAddress(&'a Visitor),
    /// A client's document, for the network of that address.
    DocumentOfNetwork(&'a Visitor),
    /// A client's document, for the host that it is fetched from.
    DocumentOfHost(&'a str),
    /// A client's document, for everybody together.
    Document,
}

impl Limited<'_> {
    /// The limit with these settings.
    pub fn limit(self, config: &Config) -> Limit {
        let everybody = "all";
        let host;
        let (name, whose, policy) = match self {
            Self::Address(visitor) => ("ip", &*visitor.hash, visitor.policy(config.rate_limit)),
            Self::Credential(hash) => ("credential", &*hash.0, config.credential_limit),
            Self::Write(hash) => ("writes", &*hash.0, config.write_limit),
            Self::Upstream(pair) => ("upstream", pair, config.upstream_limit),
            Self::NewPair(visitor) => ("new-pairs", &*visitor.hash, visitor.policy(NEW_PAIRS)),
            Self::WrongCredential(visitor) => ("wrong-credentials", &*visitor.hash, visitor.policy(WRONG_CREDENTIALS)),
            Self::Authorization(visitor) => ("authorization", &*visitor.hash, visitor.policy(config.rate_limit)),
            Self::AuthorizationOfGrant(hash) => ("authorization-grant", &*hash.0, config.rate_limit),
            Self::Registration(visitor) if visitor.shared => {
                ("registration", &*visitor.hash, visitor.policy(config.rate_limit))
            }
            Self::Registration(visitor) => ("registration", &*visitor.hash, REGISTRATIONS),
            Self::Try(visitor) => ("try", &*visitor.hash, visitor.policy(TRIES)),
            Self::DocumentOfAddress(visitor) => ("document", &*visitor.hash, DOCUMENTS_OF_ADDRESS),
            Self::DocumentOfNetwork(visitor) => ("document-network", &*visitor.network, DOCUMENTS_OF_NETWORK),
            Self::DocumentOfHost(name) => {
                host = fingerprint(name.as_bytes());
                ("document-host", &*host, DOCUMENTS_OF_HOST)
            }
            Self::Document => ("document", everybody, DOCUMENTS_OF_ALL),
        };
        Limit { name, key: LimitKey(format!("{name}:{whose}")), policy }
    }
}

/// Whose limit, and how large.
#[derive(Debug)]
pub struct Limit {
    /// The limit's name in the headers.
    pub name: &'static str,
    pub(super) key: LimitKey,
    pub(super) policy: Policy,
}

impl Limit {
    /// Permits that can be taken at once: a request for more would wait for ever.
    pub fn burst(&self) -> u32 {
        self.policy.burst
    }
}

/// Who is asking, as far as limits go.
pub struct Visitor {
    /// Keyed hash of the address.
    hash: String,
    /// Keyed hash of the network that it lies in.
    network: String,
    /// Whether many strangers share it.
    shared: bool,
}

impl Visitor {
    /// The client, by a keyed hash of the address: 128 bits, so two of 2^32 addresses share one with a chance of 2^-65.
    pub fn of(address: ClientAddress, config: &Config, keyring: &Keyring) -> Self {
        let hash = |label, text: String| hex(&keyring.mac(label, &[text.as_bytes()])).chars().take(32).collect();
        Self {
            hash: hash("limit per client address v1", address.subscriber().to_string()),
            network: hash("limit per network v1", address.network().to_string()),
            shared: is_shared(address, config),
        }
    }

    /// A client without a known address: only for requests that no limit counts.
    pub fn unknown() -> Self {
        Self { hash: String::new(), network: String::new(), shared: false }
    }

    /// Whether many strangers share the address.
    pub fn is_shared(&self) -> bool {
        self.shared
    }

    /// Whose refusals of keys are counted, and how many there may be.
    pub fn source(&self) -> Source<'_> {
        let factor = if self.shared { SHARED_FACTOR } else { 1 };
        Source { from: &self.hash, refusals_max: REFUSALS_PER_ADDRESS * factor }
    }

    /// Eight characters that tell addresses apart in the log.
    pub fn short_hash(&self) -> &str {
        self.hash.get(..8).unwrap_or_default()
    }

    fn policy(&self, policy: Policy) -> Policy {
        if self.shared { policy.times(SHARED_FACTOR) } else { policy }
    }
}

fn is_shared(address: ClientAddress, config: &Config) -> bool {
    config.shared_egress.iter().any(|range| range.contains(address))
}

/// How many invalid credentials an address may send.
pub(super) fn wrong_credentials(address: ClientAddress, config: &Config) -> Policy {
    if is_shared(address, config) { WRONG_CREDENTIALS.times(SHARED_FACTOR) } else { WRONG_CREDENTIALS }
}

/// The limiter's key for a credential: the credential cannot be read from it.
pub struct CredentialHash(String);

impl CredentialHash {
    /// The hash: 256 bits in base64url.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Eight characters that tell credentials apart in the log.
    pub fn short(&self) -> &str {
        self.0.get(..8).unwrap_or_default()
    }

    /// A grant, from any address.
    pub fn of_grant(grant: &str, keyring: &Keyring) -> Self {
        Self::of(&[b"grant", grant.as_bytes()], keyring)
    }

    /// Both keys of a pair together: somebody who knows only one cannot use up the owner's permits.
    pub fn of_keys(key: &ApiKey, keyring: &Keyring) -> Self {
        Self::of(&[b"keys", key.public().as_bytes(), key.private().expose().as_bytes()], keyring)
    }

    /// The owner's access key.
    pub fn of_owner(keyring: &Keyring) -> Self {
        Self::of(&[b"owner"], keyring)
    }

    /// A grant at one address.
    pub fn of_grant_at(grant: &str, visitor: &Visitor, keyring: &Keyring) -> Self {
        let parts = [grant.as_bytes(), visitor.hash.as_bytes()];
        Self(base64url(&keyring.mac("limit per grant and address v1", &parts)))
    }

    fn of(parts: &[&[u8]], keyring: &Keyring) -> Self {
        Self(base64url(&keyring.mac("limit per credential v1", parts)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::base::secret::Secret;

    fn config() -> Config {
        Config::read(&|name| (name == "SHARED_EGRESS_IPS").then(|| "192.0.2.128/25".to_owned()))
            .unwrap_or_else(|problems| panic!("{problems:?}"))
    }

    fn limits(address: &str) -> Vec<Limit> {
        let (config, keyring) = (config(), Keyring::new(Secret::new("canary-secret-0123456789-0123456789"), []));
        let visitor = Visitor::of(ClientAddress::parse(address).unwrap(), &config, &keyring);
        let keys = ApiKey::new("CANARY01", "canary-private-key").unwrap();
        let credentials = [
            CredentialHash::of_grant("canary-grant", &keyring),
            CredentialHash::of_keys(&keys, &keyring),
            CredentialHash::of_owner(&keyring),
        ];
        let at = CredentialHash::of_grant_at("canary-grant", &visitor, &keyring);
        let mut all = vec![
            Limited::Address(&visitor),
            Limited::NewPair(&visitor),
            Limited::WrongCredential(&visitor),
            Limited::Authorization(&visitor),
            Limited::AuthorizationOfGrant(&at),
            Limited::Registration(&visitor),
            Limited::Try(&visitor),
            Limited::DocumentOfAddress(&visitor),
            Limited::DocumentOfNetwork(&visitor),
            Limited::DocumentOfHost("canary.example"),
            Limited::Document,
            Limited::Upstream("hash-of-a-pair"),
        ];
        all.extend(credentials.iter().map(Limited::Write));
        all.extend(credentials.iter().map(Limited::Credential));
        all.into_iter().map(|limited| limited.limit(&config)).collect()
    }

    #[test]
    fn no_two_limits_share_permits_and_no_key_tells_whose_it_is() {
        let limits = limits("192.0.2.1");
        let by_key: BTreeMap<_, _> = limits.iter().map(|limit| (&limit.key, limit.policy)).collect();
        assert_eq!(by_key.len(), limits.len(), "each limit has a key of its own: {limits:?}");
        for LimitKey(key) in by_key.keys() {
            for secret in ["192.0.2", "canary", "CANARY"] {
                assert!(!key.contains(secret), "{key} holds an address or a credential in the clear");
            }
        }
    }

    #[test]
    fn shared_addresses_have_ten_times_as_much_where_the_limit_is_their_own() {
        for (alone, shared) in limits("192.0.2.1").into_iter().zip(limits("192.0.2.129")) {
            let expected = match alone.name {
                "ip" | "new-pairs" | "wrong-credentials" | "authorization" | "try" => alone.policy.times(10),
                "registration" => config().rate_limit.times(10),
                _ => alone.policy,
            };
            assert_eq!(shared.policy, expected, "{}", alone.name);
        }
    }
}
