//! Tokens: `tdb_<kind>_v1.<grant id>.<secret>`. The fixed start lets secret scanners find a leaked one.

use super::seal::{Keyring, Random, WrappingToken, base64url, fingerprint, from_base64url, random};

/// 96 random bits tell grants apart; 32 bits of a keyed hash tell ours from made-up ones, so that a guess costs no call
/// to a Durable Object but once in 2^32.
const GRANT_RANDOM_BYTES: usize = 12;
const GRANT_MAC_BYTES: usize = 4;

/// 256 random bits.
const SECRET_BYTES: usize = 32;

/// 128 random bits that all refresh tokens of a grant start with: a token that has them but is not current was replaced,
/// however long ago, so replaced tokens need no record.
const FAMILY_BYTES: usize = 16;

/// The kind of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Redeemed once, within a minute.
    Code,
    /// Sent with every call.
    Access,
    /// Exchanged for the next pair.
    Refresh,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Code, Self::Access, Self::Refresh];

    fn start(self) -> &'static str {
        match self {
            Self::Code => "tdb_ac_v1",
            Self::Access => "tdb_at_v1",
            Self::Refresh => "tdb_rt_v1",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::Access => "access",
            Self::Refresh => "refresh",
        }
    }

    fn secret_bytes(self) -> usize {
        if self == Self::Refresh { FAMILY_BYTES + SECRET_BYTES } else { SECRET_BYTES }
    }
}

/// Id of a grant: 22 characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GrantId(String);

impl GrantId {
    /// A new one.
    pub fn new(keyring: &Keyring, bytes: Random<'_>) -> Self {
        let start = random::<GRANT_RANDOM_BYTES>(bytes);
        let end = keyring.mac("grant id v1", &[&start]);
        let all: Vec<u8> = start.iter().chain(end.iter().take(GRANT_MAC_BYTES)).copied().collect();
        Self(base64url(&all))
    }

    /// Reads one that this deployment made.
    pub fn parse(text: &str, keyring: &Keyring) -> Option<Self> {
        let bytes = from_base64url(text)?;
        let (start, end) = bytes.split_at_checked(GRANT_RANDOM_BYTES)?;
        let ours = end.len() == GRANT_MAC_BYTES
            && keyring.macs("grant id v1", &[start]).any(|mac| mac.get(..GRANT_MAC_BYTES) == Some(end));
        ours.then(|| Self(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A token, which is a secret as a whole: it has no `Debug`, `Display` or `Serialize`.
pub struct Token {
    /// Its kind.
    pub kind: Kind,
    /// Whose it is.
    pub grant: GrantId,
    secret: Vec<u8>,
}

impl Token {
    /// A new token that is neither of a family nor begins one.
    pub fn new(kind: Kind, grant: &GrantId, bytes: Random<'_>) -> Self {
        let mut secret = vec![0; kind.secret_bytes()];
        bytes(&mut secret);
        Self { kind, grant: grant.clone(), secret }
    }

    /// The refresh token after this one.
    #[must_use]
    pub fn next(&self, bytes: Random<'_>) -> Self {
        let mut next = Self::new(self.kind, &self.grant, bytes);
        for (to, from) in next.secret.iter_mut().zip(&self.secret).take(FAMILY_BYTES) {
            *to = *from;
        }
        next
    }

    /// Reads a token of any kind whose grant id this deployment made. The grant decides whether it is valid.
    pub fn parse(text: &str, keyring: &Keyring) -> Option<Self> {
        let mut parts = text.split('.');
        let start = parts.next()?;
        let kind = Kind::ALL.into_iter().find(|kind| kind.start() == start)?;
        let (grant, secret) = (parts.next()?, from_base64url(parts.next()?)?);
        if parts.next().is_some() || secret.len() != kind.secret_bytes() {
            return None;
        }
        Some(Self { kind, grant: GrantId::parse(grant, keyring)?, secret })
    }

    /// Whether a bearer credential has the form of an access token; an access key never does.
    pub fn looks_like_access(text: &str) -> bool {
        text.strip_prefix(Kind::Access.start()).is_some_and(|rest| rest.starts_with('.'))
    }

    /// The text that a client gets.
    pub fn expose(&self) -> String {
        format!("{}.{}.{}", self.kind.start(), self.grant.as_str(), base64url(&self.secret))
    }

    /// Its stored hash.
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.secret)
    }

    /// The stored hash of a refresh token's family.
    pub fn family(&self) -> String {
        fingerprint(self.secret.get(..FAMILY_BYTES).unwrap_or_default())
    }

    /// The token as a key that wraps its grant's data key.
    pub fn wrapping(&self) -> WrappingToken<'_> {
        WrappingToken { grant: self.grant.as_str(), kind: self.kind.name(), secret: &self.secret }
    }

    /// The token as a key that seals the answer that replaced it.
    pub fn replay(&self) -> WrappingToken<'_> {
        WrappingToken { kind: "replay", ..self.wrapping() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::base::secret::Secret;

    fn keyring() -> Keyring {
        Keyring::new(Secret::new("canary"), [])
    }

    #[test]
    fn a_token_is_read_as_it_was_written_and_not_otherwise() {
        let ring = keyring();
        let fill = std::cell::Cell::new(0);
        let bytes = |bytes: &mut [u8]| {
            fill.set(fill.get() + 1);
            bytes.fill(fill.get());
        };
        let grant = GrantId::new(&ring, &bytes);
        assert_eq!(grant.as_str().len(), 22);
        for (kind, start, length) in
            [(Kind::Code, "tdb_ac_v1.", 43), (Kind::Access, "tdb_at_v1.", 43), (Kind::Refresh, "tdb_rt_v1.", 64)]
        {
            let token = Token::new(kind, &grant, &bytes);
            let text = token.expose();
            assert!(text.starts_with(start) && text.len() == 10 + 22 + 1 + length, "{text}");
            assert_eq!(Token::looks_like_access(&text), kind == Kind::Access);
            let read = Token::parse(&text, &ring).unwrap();
            assert_eq!((read.kind, read.fingerprint()), (kind, token.fingerprint()));
            for changed in [
                format!("{text}."),
                format!("{text}A"),
                text.replace("_v1", "_v2"),
                text[..text.len() - 1].to_owned(),
                text.replacen(grant.as_str(), &"A".repeat(22), 1),
            ] {
                assert!(Token::parse(&changed, &ring).is_none(), "{changed}");
            }
        }
        let first = Token::new(Kind::Refresh, &grant, &bytes);
        let next = first.next(&bytes);
        assert_eq!(first.family(), next.family());
        assert_ne!(first.fingerprint(), next.fingerprint());
        let other = Keyring::new(Secret::new("canary-other"), []);
        assert!(Token::parse(&first.expose(), &other).is_none(), "another deployment's token costs nothing");
        let after = Keyring::new(Secret::new("canary-other"), [Secret::new("canary")]);
        assert!(Token::parse(&first.expose(), &after).is_some());
    }

    proptest! {
        #[test]
        fn whatever_is_sent_is_read_without_a_panic(text in "\\PC{0,120}|tdb_[a-z]{2}_v1\\.[A-Za-z0-9_-]{0,30}\\.[A-Za-z0-9_.-]{0,80}") {
            prop_assert!(Token::parse(&text, &keyring()).is_none());
        }
    }
}
