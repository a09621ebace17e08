//! HTTP Digest as a strict server (RFC 7616, and RFC 2617 for MD5 with qop `auth`).
//!
//! The challenge is the one that TiDB Cloud sends. How long its nonces live and whether it watches `nc` is not published;
//! here they live [`NONCE_LIFETIME_MILLIS`], and `nc` must rise with every request of a nonce, so that a client that gets
//! either wrong is found out. A repeated `nc` is answered with `stale=false`: to a client, any 401 after a reused nonce
//! means that the nonce is used up, not that the key is wrong.

use std::collections::BTreeMap;

use md5::{Digest as _, Md5};

/// The realm of TiDB Cloud's API.
pub const REALM: &str = "tidb.cloud";
/// How long a nonce works, in milliseconds of sandbox time.
pub const NONCE_LIFETIME_MILLIS: u64 = 60_000;

/// The parameters of an `Authorization: Digest` header, unquoted.
pub(super) struct Credentials {
    pub(super) username: String,
    realm: String,
    nonce: String,
    uri: String,
    response: String,
    cnonce: String,
    /// As sent: the hash is over this text.
    nc: String,
    count: u32,
}

/// The verdict on credentials.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// They are right.
    Accepted,
    /// `uri` is not the target that was sent: 400 (RFC 7616 section 3.4.6).
    OtherUri,
    /// Answer 401 with a fresh challenge.
    Challenge {
        /// Only the nonce was bad.
        stale: bool,
        /// Why, for client developers.
        reason: &'static str,
    },
}

/// Nonces in use: when each was issued, and the highest `nc` seen.
#[derive(Default)]
pub(super) struct Nonces(BTreeMap<String, (u64, u32)>);

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn md5(text: &str) -> String {
    hex(Md5::digest(text.as_bytes()).as_slice())
}

/// `response` of RFC 7616 section 3.4.1 for MD5 and qop `auth`.
fn expected(credentials: &Credentials, private_key: &str, method: &str) -> String {
    let Credentials { username, realm, nonce, uri, cnonce, nc, .. } = credentials;
    let secret = md5(&format!("{username}:{realm}:{private_key}"));
    let request = md5(&format!("{method}:{uri}"));
    md5(&format!("{secret}:{nonce}:{nc}:{cnonce}:auth:{request}"))
}

/// Whether `byte` may stand in a token (RFC 9110 section 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// A value: its text, and whether it was quoted.
type Value = (String, bool);

/// Reads `name=value` pairs, separated by commas, with quoted strings and escapes (RFC 9110 section 11.4).
fn parameters(text: &str) -> Result<BTreeMap<String, Value>, &'static str> {
    let mut found = BTreeMap::new();
    let mut rest = text.as_bytes();
    let skip = |rest: &mut &[u8], blank: &[u8]| {
        while let Some((first, tail)) = rest.split_first() {
            if !blank.contains(first) {
                break;
            }
            *rest = tail;
        }
    };
    let take_token = |rest: &mut &[u8]| {
        let end = rest.iter().position(|byte| !is_token(*byte)).unwrap_or(rest.len());
        let (token, tail) = rest.split_at(end);
        *rest = tail;
        String::from_utf8_lossy(token).into_owned()
    };
    loop {
        skip(&mut rest, b" \t,");
        if rest.is_empty() {
            return Ok(found);
        }
        let name = take_token(&mut rest).to_ascii_lowercase();
        skip(&mut rest, b" \t");
        rest = rest.strip_prefix(b"=").filter(|_| !name.is_empty()).ok_or("a parameter is not name=value")?;
        skip(&mut rest, b" \t");
        let value = if let Some(quoted) = rest.strip_prefix(b"\"") {
            let mut bytes = quoted.iter();
            let mut value = Vec::new();
            loop {
                match bytes.next().ok_or("a quoted string does not end")? {
                    b'"' => break,
                    b'\\' => value.push(*bytes.next().ok_or("a quoted string does not end")?),
                    byte => value.push(*byte),
                }
            }
            rest = bytes.as_slice();
            (String::from_utf8(value).map_err(|_| "a quoted string is not UTF-8")?, true)
        } else {
            let token = take_token(&mut rest);
            if token.is_empty() {
                return Err("a parameter has no value");
            }
            (token, false)
        };
        skip(&mut rest, b" \t");
        if !(rest.is_empty() || rest.starts_with(b",")) {
            return Err("parameters are not separated by commas");
        }
        if found.insert(name, value).is_some() {
            return Err("a parameter is repeated");
        }
    }
}

impl Credentials {
    /// Reads an `Authorization` header.
    ///
    /// `qop` and `algorithm` may be quoted: RFC 7616 section 3.4 says otherwise, but Python's `requests` does it.
    pub(super) fn parse(header: &str) -> Result<Self, &'static str> {
        let (scheme, rest) = header.trim_start().split_once(' ').ok_or("not Digest")?;
        if !scheme.eq_ignore_ascii_case("digest") {
            return Err("not Digest");
        }
        let mut found = parameters(rest)?;
        let mut quoted = |name: &str| match found.remove(name) {
            Some((text, true)) => Ok(text),
            Some(_) => Err("username, realm, nonce, uri, response and cnonce must be quoted"),
            None => Err("username, realm, nonce, uri, response or cnonce is missing"),
        };
        let (username, realm, nonce) = (quoted("username")?, quoted("realm")?, quoted("nonce")?);
        let (uri, response, cnonce) = (quoted("uri")?, quoted("response")?, quoted("cnonce")?);
        if found.remove("algorithm").is_some_and(|(name, _)| !name.eq_ignore_ascii_case("MD5")) {
            return Err("the algorithm is not MD5");
        }
        if found.remove("qop").is_none_or(|(qop, _)| qop != "auth") {
            return Err("qop is not auth");
        }
        let nc = match found.remove("nc") {
            Some((nc, false)) if nc.len() == 8 && nc.bytes().all(|byte| b"0123456789abcdef".contains(&byte)) => nc,
            _ => return Err("nc is not eight lower-case hex digits, unquoted"),
        };
        let count = u32::from_str_radix(&nc, 16).map_err(|_| "nc is not eight lower-case hex digits, unquoted")?;
        if cnonce.is_empty() {
            return Err("cnonce is empty");
        }
        Ok(Self { username, realm, nonce, uri, response, cnonce, nc, count })
    }
}

impl Nonces {
    /// Makes `nonce` usable and forgets those that are over. Returns the challenge for it.
    pub(super) fn issue(&mut self, now: u64, nonce: String, stale: bool) -> String {
        self.0.retain(|_, (issued, _)| now.saturating_sub(*issued) < NONCE_LIFETIME_MILLIS);
        let challenge = format!(
            "Digest realm=\"{REALM}\", domain=\"\", nonce=\"{nonce}\", algorithm=MD5, qop=\"auth\", stale={stale}"
        );
        self.0.insert(nonce, (now, 0));
        challenge
    }

    /// Ends the nonce of these credentials before its time.
    pub(super) fn forget(&mut self, credentials: &Credentials) {
        self.0.remove(&credentials.nonce);
    }

    /// Judges credentials whose public key has this private key, for a request line of `method` and `target`.
    pub(super) fn verify(
        &mut self,
        now: u64,
        credentials: &Credentials,
        private_key: &str,
        method: &str,
        target: &str,
    ) -> Verdict {
        let challenge = |stale, reason| Verdict::Challenge { stale, reason };
        if credentials.realm != REALM {
            return challenge(false, "the realm is not that of the challenge");
        }
        if credentials.uri != target {
            return Verdict::OtherUri;
        }
        if credentials.response != expected(credentials, private_key, method) {
            return challenge(false, "the response is wrong: private key, method, uri or arithmetic");
        }
        // Only a client that knows the key is told `stale` (RFC 7616 section 3.3).
        let Some((issued, highest)) = self.0.get_mut(&credentials.nonce) else {
            return challenge(true, "the nonce is unknown or has been forgotten");
        };
        if now.saturating_sub(*issued) >= NONCE_LIFETIME_MILLIS {
            return challenge(true, "the nonce has expired");
        }
        if credentials.count <= *highest {
            return challenge(false, "nc is not above the last one of this nonce");
        }
        *highest = credentials.count;
        Verdict::Accepted
    }
}

#[cfg(test)]
mod tests {
    use super::{Credentials, expected};

    /// The worked example of RFC 7616 section 3.9.1, MD5.
    #[test]
    fn the_rfc_example_holds() {
        let header = concat!(
            r#"Digest username="Mufasa", realm="http-auth@example.org", uri="/dir/index.html", algorithm=MD5, "#,
            r#"nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", nc=00000001, "#,
            r#"cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", qop=auth, "#,
            r#"response="8ca523f5e9506fed4657c9700eebdbec", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS""#,
        );
        let credentials = Credentials::parse(header).unwrap();
        assert_eq!(expected(&credentials, "Circle of Life", "GET"), credentials.response);
        assert_ne!(expected(&credentials, "Circle of Life", "POST"), credentials.response);
    }

    #[test]
    fn headers_are_read_to_the_letter() {
        let sound = r#"digest username="a\"b\\c", realm="r, s=\"t\"",nonce="n" ,uri = "/?q=\",\"", response="x", cnonce="c", nc=0000000a, qop=auth"#;
        let credentials = Credentials::parse(sound).unwrap();
        assert_eq!((credentials.username.as_str(), credentials.realm.as_str()), (r#"a"b\c"#, r#"r, s="t""#));
        assert_eq!((credentials.uri.as_str(), credentials.count), (r#"/?q=",""#, 10));
        for (from, to) in [
            ("nc=0000000a", "nc=0000000A"),
            ("nc=0000000a", "nc=\"0000000a\""),
            ("nc=0000000a", "nc=a"),
            ("nc=0000000a", "nc=+000000a"),
            ("qop=auth", "qop=auth-int"),
            ("qop=auth", "algorithm=SHA-256, qop=auth"),
            ("nonce=\"n\"", "nonce=n"),
            ("cnonce=\"c\"", "cnonce=\"\""),
            ("cnonce=\"c\"", "cnonce=\"c"),
            ("response=\"x\"", "response=\"x\" response=\"x\""),
            ("response=\"x\"", "response=\"x\", response=\"x\""),
            ("digest ", "basic "),
        ] {
            assert!(Credentials::parse(&sound.replace(from, to)).is_err(), "{to}");
        }
    }
}
