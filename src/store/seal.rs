//! Sealing and signing: sealed and stored texts are worth nothing without both the server secret and a token.

use aes_gcm::{
    Aes256Gcm, Nonce,
    aead::{Aead, KeyInit, Payload},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL};
use hkdf::Hkdf;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::base::{
    hash::{hex, hmac_sha256},
    secret::Secret,
};

/// Bytes of an AES-GCM nonce (NIST SP 800-38D section 5.2.1.1 recommends 96 bits). Random ones under one key may be
/// used 2^32 times (section 8.3); a key here seals a handful of texts, or ten minutes of consent pages.
const NONCE_BYTES: usize = 12;

/// A source of random bytes.
pub type Random<'r> = &'r dyn Fn(&mut [u8]);

/// Random bytes as an array.
pub fn random<const N: usize>(random: Random<'_>) -> [u8; N] {
    let mut bytes = [0; N];
    random(&mut bytes);
    bytes
}

/// Base64url without padding (RFC 4648 section 5).
pub fn base64url(bytes: &[u8]) -> String {
    BASE64URL.encode(bytes)
}

/// Reads base64url without padding; nothing else.
pub fn from_base64url(text: &str) -> Option<Vec<u8>> {
    BASE64URL.decode(text).ok()
}

/// SHA-256 in base64url: 43 characters. The input has 256 random bits, so a slow hash would add nothing.
pub fn fingerprint(bytes: &[u8]) -> String {
    base64url(&Sha256::digest(bytes))
}

/// Whether two texts are the same, in time that depends on their lengths only.
pub fn same(left: &str, right: &str) -> bool {
    Secret::new(left).matches(right)
}

/// A text that was sealed by AES-256-GCM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// Which server secret it takes to open it.
    #[serde(rename = "k")]
    key_id: String,
    /// 96 random bits.
    #[serde(rename = "n")]
    nonce: String,
    /// Ciphertext and tag.
    #[serde(rename = "c")]
    ciphertext: String,
}

impl Sealed {
    /// As one text of three parts, for cookies and form fields.
    fn to_text(&self) -> String {
        format!("{}.{}.{}", self.key_id, self.nonce, self.ciphertext)
    }

    fn from_text(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let sealed = Self {
            key_id: parts.next()?.to_owned(),
            nonce: parts.next()?.to_owned(),
            ciphertext: parts.next()?.to_owned(),
        };
        parts.next().is_none().then_some(sealed)
    }
}

/// The server secrets: the first seals and opens, the others only open what was sealed before they were replaced.
pub struct Keyring {
    secrets: Vec<Secret>,
}

impl Keyring {
    /// `current` seals; `previous` open.
    pub fn new(current: Secret, previous: impl IntoIterator<Item = Secret>) -> Self {
        Self { secrets: std::iter::once(current).chain(previous).collect() }
    }

    /// A keyed hash under the current secret: 256 bits. `label` keeps purposes apart; parts cannot run into each other.
    pub fn mac(&self, label: &str, parts: &[&[u8]]) -> [u8; 32] {
        self.secrets.first().map(|secret| mac(secret, label, parts)).unwrap_or_default()
    }

    /// The same under every secret, the current one first: for names and signatures from before a rotation.
    pub fn macs<'a>(&'a self, label: &'a str, parts: &'a [&'a [u8]]) -> impl Iterator<Item = [u8; 32]> + 'a {
        self.secrets.iter().map(move |secret| mac(secret, label, parts))
    }

    /// Seals a text that comes back within minutes: a consent page's request, a cookie.
    pub fn seal_text(&self, purpose: &str, text: &str, random: Random<'_>) -> Option<String> {
        let secret = self.secrets.first()?;
        Some(seal(&self.key_of(secret, purpose)?, &key_id(secret), purpose, text.as_bytes(), random)?.to_text())
    }

    /// Opens such a text.
    pub fn open_text(&self, purpose: &str, text: &str) -> Option<String> {
        let sealed = Sealed::from_text(text)?;
        let secret = self.secret_of(&sealed.key_id)?;
        String::from_utf8(open(&self.key_of(secret, purpose)?, purpose, &sealed)?).ok()
    }

    /// Wraps a grant's data key with a key that takes both a token and the server secret.
    pub fn wrap(&self, token: &WrappingToken<'_>, data_key: &DataKey, random: Random<'_>) -> Option<Sealed> {
        let secret = self.secrets.first()?;
        seal(&token.key(secret)?, &key_id(secret), &token.associated_data(), &data_key.0, random)
    }

    /// Unwraps a grant's data key.
    pub fn unwrap(&self, token: &WrappingToken<'_>, sealed: &Sealed) -> Option<DataKey> {
        let secret = self.secret_of(&sealed.key_id)?;
        let bytes = open(&token.key(secret)?, &token.associated_data(), sealed)?;
        Some(DataKey(bytes.try_into().ok()?))
    }

    /// Seals a text for the holder of this token.
    pub fn seal_for(&self, token: &WrappingToken<'_>, text: &str, random: Random<'_>) -> Option<Sealed> {
        let secret = self.secrets.first()?;
        seal(&token.key(secret)?, &key_id(secret), &token.associated_data(), text.as_bytes(), random)
    }

    /// Opens such a text.
    pub fn open_for(&self, token: &WrappingToken<'_>, sealed: &Sealed) -> Option<String> {
        let secret = self.secret_of(&sealed.key_id)?;
        String::from_utf8(open(&token.key(secret)?, &token.associated_data(), sealed)?).ok()
    }

    fn secret_of(&self, id: &str) -> Option<&Secret> {
        self.secrets.iter().find(|secret| key_id(secret) == id)
    }

    fn key_of(&self, secret: &Secret, purpose: &str) -> Option<[u8; 32]> {
        expand(secret.expose().as_bytes(), b"", purpose)
    }
}

/// The token that a data key is wrapped under.
pub struct WrappingToken<'t> {
    /// Id of its grant.
    pub grant: &'t str,
    /// `code`, `access`, `refresh`, `replay` or `step-up`: a token's key opens nothing that was sealed for another use.
    pub kind: &'static str,
    /// The random part of the token.
    pub secret: &'t [u8],
}

impl WrappingToken<'_> {
    /// HKDF-SHA256 (RFC 5869) of token and server secret, salted with the grant's id.
    fn key(&self, server_secret: &Secret) -> Option<[u8; 32]> {
        let material = [self.secret, server_secret.expose().as_bytes()].concat();
        expand(&material, self.grant.as_bytes(), &format!("mcp-server-tidbcloud token key v1 {}", self.kind))
    }

    fn associated_data(&self) -> String {
        format!("{}|{}|{}", self.kind, self.grant, fingerprint(self.secret))
    }
}

/// The key that seals a grant's contents: 256 random bits, one per grant, only stored wrapped.
pub struct DataKey([u8; 32]);

impl DataKey {
    /// A new one.
    pub fn new(bytes: Random<'_>) -> Self {
        Self(random(bytes))
    }

    /// One that was derived elsewhere.
    pub fn of(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// One that stands in a link.
    pub fn from_text(text: &str) -> Option<Self> {
        Some(Self(from_base64url(text)?.try_into().ok()?))
    }

    /// As it stands in a link.
    pub fn to_text(&self) -> String {
        base64url(&self.0)
    }

    /// Seals a grant's contents. `bound_to` is the associated data: they open only with the same.
    pub fn seal(&self, bound_to: &str, text: &str, random: Random<'_>) -> Option<Sealed> {
        seal(&self.0, "", bound_to, text.as_bytes(), random)
    }

    /// Opens them.
    pub fn open(&self, bound_to: &str, sealed: &Sealed) -> Option<String> {
        String::from_utf8(open(&self.0, bound_to, sealed)?).ok()
    }
}

/// Each part is preceded by its length.
fn mac(secret: &Secret, label: &str, parts: &[&[u8]]) -> [u8; 32] {
    let mut message = Vec::new();
    for part in std::iter::once(label.as_bytes()).chain(parts.iter().copied()) {
        message.extend((part.len() as u64).to_be_bytes());
        message.extend(part);
    }
    hmac_sha256(secret.expose().as_bytes(), &message)
}

/// Eight characters that tell server secrets apart.
fn key_id(secret: &Secret) -> String {
    hex(&mac(secret, "key id v1", &[])).chars().take(8).collect()
}

fn expand(material: &[u8], salt: &[u8], info: &str) -> Option<[u8; 32]> {
    let mut key = [0; 32];
    Hkdf::<Sha256>::new(Some(salt), material).expand(info.as_bytes(), &mut key).ok()?;
    Some(key)
}

fn seal(key: &[u8; 32], key_id: &str, aad: &str, text: &[u8], bytes: Random<'_>) -> Option<Sealed> {
    let nonce = random::<NONCE_BYTES>(bytes);
    let cipher = Aes256Gcm::new_from_slice(key).ok()?;
    let payload = Payload { msg: text, aad: aad.as_bytes() };
    let ciphertext = cipher.encrypt(&Nonce::from(nonce), payload).ok()?;
    Some(Sealed { key_id: key_id.to_owned(), nonce: base64url(&nonce), ciphertext: base64url(&ciphertext) })
}

fn open(key: &[u8; 32], aad: &str, sealed: &Sealed) -> Option<Vec<u8>> {
    let nonce: [u8; NONCE_BYTES] = from_base64url(&sealed.nonce)?.try_into().ok()?;
    let ciphertext = from_base64url(&sealed.ciphertext)?;
    let cipher = Aes256Gcm::new_from_slice(key).ok()?;
    cipher.decrypt(&Nonce::from(nonce), Payload { msg: &ciphertext, aad: aad.as_bytes() }).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zeroes(bytes: &mut [u8]) {
        bytes.fill(0);
    }

    fn keyring(current: &str, previous: &[&str]) -> Keyring {
        Keyring::new(Secret::new(current), previous.iter().map(|text| Secret::new(*text)))
    }

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }

    /// RFC 5869 appendix A.1, first 32 of 42 octets.
    #[test]
    fn keys_are_expanded_as_published() {
        let key = Hkdf::<Sha256>::new(Some(&hex("000102030405060708090a0b0c")), &hex(&"0b".repeat(22)));
        let mut out = [0; 42];
        key.expand(&hex("f0f1f2f3f4f5f6f7f8f9"), &mut out).unwrap();
        let published = "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865";
        assert_eq!(out.to_vec(), hex(published));
    }

    /// The Galois/Counter Mode of Operation (McGrew, Viega), test case 14: 256 bits of zero.
    #[test]
    fn texts_are_sealed_as_published() {
        let sealed = seal(&[0; 32], "id", "", &[0; 16], &zeroes).unwrap();
        let published = hex("cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919");
        assert_eq!(from_base64url(&sealed.ciphertext).unwrap(), published);
        assert_eq!(open(&[0; 32], "", &sealed).unwrap(), [0; 16]);
    }

    #[test]
    fn a_text_opens_for_its_purpose_under_the_secret_that_sealed_it_or_its_successor() {
        let before = keyring("canary-one", &[]);
        let sealed = before.seal_text("consent", "canary", &zeroes).unwrap();
        assert_eq!(before.open_text("consent", &sealed).as_deref(), Some("canary"));
        assert_eq!(before.open_text("grants", &sealed), None);
        let after = keyring("canary-two", &["canary-one"]);
        assert_eq!(after.open_text("consent", &sealed).as_deref(), Some("canary"));
        assert_eq!(keyring("canary-two", &[]).open_text("consent", &sealed), None);
        let newer = after.seal_text("consent", "canary", &zeroes).unwrap();
        assert_eq!(before.open_text("consent", &newer), None, "the previous secret never seals");
        for at in 0..sealed.len() {
            let mut bytes = sealed.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert_eq!(before.open_text("consent", &changed), None, "changed at {at}");
        }
    }

    #[test]
    fn a_data_key_takes_the_token_the_grant_the_kind_and_the_server_secret() {
        let ring = keyring("canary-one", &[]);
        let key = DataKey::new(&|bytes: &mut [u8]| bytes.fill(7));
        let token = |grant, kind, secret| WrappingToken { grant, kind, secret };
        let wrapped = ring.wrap(&token("grant", "access", b"token"), &key, &zeroes).unwrap();
        let contents = key.seal("bound", "canary", &zeroes).unwrap();
        let opened = ring.unwrap(&token("grant", "access", b"token"), &wrapped).unwrap();
        assert_eq!(opened.open("bound", &contents).as_deref(), Some("canary"));
        assert_eq!(opened.open("other", &contents), None);
        for wrong in [
            token("other", "access", b"token"),
            token("grant", "refresh", b"token"),
            token("grant", "access", b"other"),
        ] {
            assert!(ring.unwrap(&wrong, &wrapped).is_none());
        }
        assert!(keyring("canary-two", &[]).unwrap(&token("grant", "access", b"token"), &wrapped).is_none());
    }

    #[test]
    fn parts_of_a_keyed_hash_do_not_run_into_each_other() {
        let ring = keyring("canary-one", &[]);
        assert_ne!(ring.mac("a", &[b"bc", b"d"]), ring.mac("a", &[b"b", b"cd"]));
        assert_ne!(ring.mac("ab", &[b"c"]), ring.mac("a", &[b"bc"]));
    }
}
