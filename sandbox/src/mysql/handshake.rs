//! The connection phase ("Connection Phase" in MySQL's protocol documentation), both as a server and as a client. Pure.

use super::packet::Fields;
use crate::native_password;

/// The one authentication method here, as on TiDB Cloud.
const METHOD: &[u8] = b"mysql_native_password";

/// Capability flags that are looked at here.
const LONG_PASSWORD: u32 = 1;
const CONNECT_WITH_DATABASE: u32 = 1 << 3;
const PROTOCOL_41: u32 = 1 << 9;
const TLS: u32 = 1 << 11;
const SECURE_CONNECTION: u32 = 1 << 15;
const METHODS: u32 = 1 << 19;
const ATTRIBUTES: u32 = 1 << 20;
const LENGTH_ENCODED_AUTHENTICATION: u32 = 1 << 21;

/// What is offered to clients: what TiDB offers, and MariaDB has too, since the server behind is known only after the login.
/// Compression and local files are left out.
const OFFERED: u32 = LONG_PASSWORD
    | 1 << 1 // found rows
    | 1 << 2 // long flags
    | CONNECT_WITH_DATABASE
    | PROTOCOL_41
    | 1 << 10 // interactive
    | TLS
    | 1 << 13 // transactions
    | SECURE_CONNECTION
    | 1 << 16 // several statements
    | 1 << 17 // several results
    | METHODS
    | ATTRIBUTES
    | 1 << 24; // results end with OK

/// Number of the collation `utf8mb4_bin`: what TiDB greets with.
const UTF8MB4_BIN: u8 = 46;
/// Status: autocommit.
const AUTOCOMMIT: u16 = 2;

/// The first packet of a server. `version` is of the engine.
pub(super) fn greeting(version: &str, connection: u32, nonce: &[u8; native_password::LENGTH]) -> Vec<u8> {
    let [low, high] = [OFFERED & 0xffff, OFFERED >> 16].map(|half| half.to_le_bytes());
    let (first, second) = nonce.split_at(8);
    let mut payload = vec![10];
    payload.extend(version.bytes());
    payload.push(0);
    payload.extend(connection.to_le_bytes());
    payload.extend(first);
    payload.push(0);
    payload.extend(low.iter().take(2));
    payload.push(UTF8MB4_BIN);
    payload.extend(AUTOCOMMIT.to_le_bytes());
    payload.extend(high.iter().take(2));
    // The nonce with the zero after it.
    payload.push(21);
    payload.extend([0; 10]);
    payload.extend(second);
    payload.push(0);
    payload.extend(METHOD);
    payload.push(0);
    payload
}

/// Whether a client's first packet asks for TLS; `None` if it is not one of the protocol's.
pub(super) fn asks_for_tls(payload: &[u8]) -> Option<bool> {
    let capabilities = Fields(payload).integer(4)?;
    Some(capabilities & u64::from(TLS) != 0)
}

/// The response of a client to the greeting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Login {
    capabilities: u32,
    packet_max: u32,
    collation: u8,
    pub(super) user: String,
    /// The answer to the nonce.
    pub(super) answer: Vec<u8>,
    database: Vec<u8>,
    /// Whether the answer is by [`METHOD`]; otherwise the client is to be asked for one that is.
    pub(super) by_our_method: bool,
}

impl Login {
    /// Reads a `HandshakeResponse41`. What was not offered is not read.
    pub(super) fn read(payload: &[u8]) -> Option<Self> {
        let mut fields = Fields(payload);
        let sent = u32::try_from(fields.integer(4)?).ok()?;
        if sent & PROTOCOL_41 == 0 || sent & SECURE_CONNECTION == 0 {
            return None;
        }
        let packet_max = u32::try_from(fields.integer(4)?).ok()?;
        let collation = fields.take(1)?.first().copied()?;
        fields.take(23)?;
        let user = String::from_utf8_lossy(fields.terminated()?).into_owned();
        let encoded = sent & LENGTH_ENCODED_AUTHENTICATION != 0;
        let answer = if encoded { fields.length_encoded()? } else { fields.short()? };
        let database = if sent & CONNECT_WITH_DATABASE == 0 { &[] } else { fields.last() };
        let method = if sent & METHODS == 0 { METHOD } else { fields.last() };
        Some(Self {
            capabilities: sent & OFFERED,
            packet_max,
            collation,
            user,
            answer: answer.to_vec(),
            database: database.to_vec(),
            by_our_method: method == METHOD,
        })
    }

    /// The response to the engine's greeting that asks for the same, under the engine's own password of the user.
    ///
    /// # Errors
    /// The engine lacks what the client was offered.
    pub(super) fn to_engine(&self, engine: &Greeting, password: &str) -> Result<Vec<u8>, String> {
        let own = TLS | ATTRIBUTES | CONNECT_WITH_DATABASE;
        let database = if self.database.is_empty() { 0 } else { CONNECT_WITH_DATABASE };
        // MariaDB does not offer the first flag, and takes a client without it for one of its own.
        let wanted = self.capabilities & !own | database | LONG_PASSWORD | METHODS;
        let lacking = wanted & !LONG_PASSWORD & !engine.capabilities;
        if lacking != 0 {
            return Err(format!("the SQL server lacks capabilities of the MySQL protocol: {lacking:#x}"));
        }
        let mut payload = wanted.to_le_bytes().to_vec();
        payload.extend(self.packet_max.to_le_bytes());
        payload.push(self.collation);
        payload.extend([0; 23]);
        payload.extend(self.user.bytes());
        payload.push(0);
        let proof = native_password::proof(password, &engine.nonce);
        let [length, ..] = proof.len().to_le_bytes();
        payload.push(length);
        payload.extend(proof);
        if database != 0 {
            payload.extend(&self.database);
            payload.push(0);
        }
        payload.extend(METHOD);
        payload.push(0);
        Ok(payload)
    }
}

/// Asks for an answer by the method of here (`AuthSwitchRequest`).
pub(super) fn ask_for_method(nonce: &[u8; native_password::LENGTH]) -> Vec<u8> {
    [&[0xfe], METHOD, &[0], nonce.as_slice(), &[0]].concat()
}

/// The greeting of an engine.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Greeting {
    capabilities: u32,
    nonce: Vec<u8>,
}

impl Greeting {
    /// Reads a `HandshakeV10`.
    pub(super) fn read(payload: &[u8]) -> Option<Self> {
        let mut fields = Fields(payload);
        if fields.integer(1)? != 10 {
            return None;
        }
        fields.terminated()?;
        fields.take(4)?;
        let mut nonce = fields.take(8)?.to_vec();
        fields.take(1)?;
        let low = fields.integer(2)?;
        fields.take(3)?;
        let high = fields.integer(2)?;
        fields.take(11)?;
        nonce.extend(fields.take(native_password::LENGTH - 8)?);
        Some(Self { capabilities: u32::try_from(low | high << 16).ok()?, nonce })
    }
}

/// What an engine asks for in the middle of a login: an answer to this nonce, by the method of here.
pub(super) fn asked_again(payload: &[u8]) -> Option<&[u8]> {
    let mut fields = Fields(payload.strip_prefix(&[0xfe])?);
    (fields.terminated()? == METHOD).then_some(())?;
    fields.take(native_password::LENGTH)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{ProptestConfig, any, proptest};

    use super::*;

    const NONCE: [u8; native_password::LENGTH] = *b"abcdefghijklmnopqrst";

    /// A response, up to and with the user.
    fn response(capabilities: u32) -> Vec<u8> {
        let mut payload = (capabilities | PROTOCOL_41 | SECURE_CONNECTION).to_le_bytes().to_vec();
        payload.extend((16_u32 << 20).to_le_bytes());
        payload.push(UTF8MB4_BIN);
        payload.extend([0; 23]);
        payload.extend(b"SbxShop7Wq3Kd9e.root\0");
        payload
    }

    #[test]
    fn a_login_reaches_the_engine_with_the_same_flags_and_database() {
        let compress_and_local_files = 1 << 5 | 1 << 7;
        let mut sent =
            response(OFFERED | LENGTH_ENCODED_AUTHENTICATION | compress_and_local_files | CONNECT_WITH_DATABASE);
        sent.extend(b"\x03abcshop\0mysql_native_password\0\x06\x01a\x03bcd");
        let login = Login::read(&sent).unwrap();
        assert_eq!((login.user.as_str(), login.answer.as_slice()), ("SbxShop7Wq3Kd9e.root", &b"abc"[..]));
        assert!(login.by_our_method);
        let engine = Greeting::read(&greeting("8.0.11", 1, &NONCE)).unwrap();
        assert_eq!(engine, Greeting { capabilities: OFFERED, nonce: NONCE.to_vec() });
        let forwarded = login.to_engine(&engine, "secret").unwrap();
        let expected = Login {
            capabilities: OFFERED & !TLS & !ATTRIBUTES,
            answer: native_password::proof("secret", &NONCE).to_vec(),
            ..login.clone()
        };
        assert_eq!(Login::read(&forwarded), Some(expected), "without TLS, compression, local files and attributes");
        let old = Greeting { capabilities: engine.capabilities & !(1 << 24), ..engine };
        assert!(login.to_engine(&old, "secret").is_err(), "the client would read results in another form");
    }

    #[test]
    fn a_client_with_another_method_is_asked_for_ours() {
        let mut sent = response(METHODS);
        sent.extend(b"\x00caching_sha2_password\0");
        assert!(!Login::read(&sent).unwrap().by_our_method);
        assert_eq!(asked_again(&ask_for_method(&NONCE)), Some(&NONCE[..]));
        let mut plain = response(0);
        plain.push(0);
        let login = Login::read(&plain).unwrap();
        assert!(login.by_our_method && login.database.is_empty(), "a client that knows no methods has this one");
    }

    #[test]
    fn only_a_client_that_says_so_asks_for_tls() {
        assert_eq!(asks_for_tls(&response(TLS)), Some(true));
        assert_eq!(asks_for_tls(&response(0)), Some(false));
        assert_eq!(asks_for_tls(b"GET"), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, flags: u32, cut in any::<proptest::sample::Index>()) {
            let started = [response(flags), bytes.clone()].concat();
            for payload in [&bytes, &started, &started[..cut.index(started.len())]] {
                let _ = (asks_for_tls(payload), Login::read(payload), Greeting::read(payload), asked_again(payload));
            }
        }
    }
}
