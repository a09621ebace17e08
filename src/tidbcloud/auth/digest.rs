//! HTTP Digest access authentication (RFC 7616; RFC 2069 where a server offers no `qop`), without input or output.
//!
//! A [`Challenge`] is read from `WWW-Authenticate`, becomes a [`Nonce`] that counts its uses, and signs requests.
//! [`refused`] interprets a 401, which depends on what the refused request carried.

use md5::Md5;
use sha2::{Digest, Sha256, Sha512_256};

use super::key::ApiKey;
use crate::base::hash::hex;

/// 8 KiB: a challenge of TiDB Cloud has about 150 bytes; common servers end a header line at 8 KiB.
const HEADER_BYTES_MAX: usize = 8 * 1024;
/// 16: three algorithms with and without `-sess` are 6 challenges; the rest is room for other schemes.
const CHALLENGES_MAX: usize = 16;

/// Hash functions of RFC 7616 section 3.3, `algorithm`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hash {
    Md5,
    Sha256,
    Sha512Trunc256,
}

impl Hash {
    fn of(self, text: &str) -> String {
        self.of_bytes(text.as_bytes())
    }

    fn of_bytes(self, bytes: &[u8]) -> String {
        match self {
            Self::Md5 => hex(&Md5::digest(bytes)),
            Self::Sha256 => hex(&Sha256::digest(bytes)),
            Self::Sha512Trunc256 => hex(&Sha512_256::digest(bytes)),
        }
    }
}

/// Quality of protection (RFC 7616 section 3.3, `qop`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Qop {
    /// None was offered: RFC 2069.
    Absent,
    /// Method and URI are signed.
    Auth,
    /// Method, URI and body are signed.
    AuthInt,
}

/// A challenge that can be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Challenge {
    realm: String,
    nonce: String,
    opaque: Option<String>,
    hash: Hash,
    /// The `-sess` variant.
    session: bool,
    /// `algorithm` as the server spelled it, to be echoed.
    algorithm: Option<String>,
    qop: Qop,
    stale: bool,
}

impl Challenge {
    /// The first challenge of the list that can be answered: a server lists what it prefers first
    /// (RFC 7616 section 3.7). `header` holds all `WWW-Authenticate` fields, joined with commas.
    pub(crate) fn select(header: &str) -> Option<Self> {
        if header.len() > HEADER_BYTES_MAX {
            return None;
        }
        challenges(header)?.into_iter().find_map(|offer| Self::from_offer(&offer))
    }

    fn from_offer(offer: &Offer) -> Option<Self> {
        if !offer.scheme.eq_ignore_ascii_case("digest") || offer.broken {
            return None;
        }
        let (hash, session) = match offer.get("algorithm").map(str::to_ascii_lowercase).as_deref() {
            None | Some("md5") => (Hash::Md5, false),
            Some("md5-sess") => (Hash::Md5, true),
            Some("sha-256") => (Hash::Sha256, false),
            Some("sha-256-sess") => (Hash::Sha256, true),
            Some("sha-512-256") => (Hash::Sha512Trunc256, false),
            Some("sha-512-256-sess") => (Hash::Sha512Trunc256, true),
            Some(_) => return None,
        };
        let qop = match offer.get("qop") {
            None => Qop::Absent,
            Some(list) => {
                let offers = |wanted: &str| list.split(',').any(|one| one.trim().eq_ignore_ascii_case(wanted));
                if offers("auth") {
                    Qop::Auth
                } else if offers("auth-int") {
                    Qop::AuthInt
                } else {
                    return None;
                }
            }
        };
        // RFC 2617 section 3.2.2: without qop no cnonce may be sent, and a session key cannot be made without one.
        if session && qop == Qop::Absent {
            return None;
        }
        Some(Self {
            realm: offer.get("realm")?.to_owned(),
            nonce: offer.get("nonce")?.to_owned(),
            opaque: offer.get("opaque").map(str::to_owned),
            hash,
            session,
            algorithm: offer.get("algorithm").map(str::to_owned),
            qop,
            stale: offer.get("stale").is_some_and(|stale| stale.eq_ignore_ascii_case("true")),
        })
    }

    /// Whether only the nonce was refused (RFC 7616 section 3.3, `stale`).
    pub(crate) fn stale(&self) -> bool {
        self.stale
    }

    /// RFC 7616 section 3.4.1, `response`.
    fn response(&self, credentials: Credentials<'_>, request: &Request<'_>, count: u32, session: &Session) -> String {
        let h = |text: &str| self.hash.of(text);
        // Section 3.4.2: A1 = unq(username) ":" unq(realm) ":" passwd, and for -sess a hash of that with the first
        // nonce and the first cnonce.
        let a1 = format!("{}:{}:{}", credentials.username, self.realm, credentials.password);
        let a1 = if self.session { format!("{}:{}:{}", h(&a1), session.nonce, session.cnonce) } else { a1 };
        // Section 3.4.3: A2 = Method ":" request-uri, and for auth-int ":" H(entity-body).
        let a2 = format!("{}:{}", request.method, request.uri);
        let (h_a1, nonce, cnonce) = (h(&a1), &self.nonce, request.cnonce);
        match self.qop {
            Qop::Absent => h(&format!("{h_a1}:{nonce}:{}", h(&a2))),
            Qop::Auth => h(&format!("{h_a1}:{nonce}:{count:08x}:{cnonce}:auth:{}", h(&a2))),
            Qop::AuthInt => {
                let a2 = format!("{a2}:{}", self.hash.of_bytes(request.body));
                h(&format!("{h_a1}:{nonce}:{count:08x}:{cnonce}:auth-int:{}", h(&a2)))
            }
        }
    }
}

/// The text hashed as A1.
#[derive(Clone, Copy)]
struct Credentials<'a> {
    username: &'a str,
    password: &'a str,
}

/// The signed request.
pub(crate) struct Request<'a> {
    /// Method as sent.
    pub(crate) method: &'a str,
    /// The request target as sent: path and query.
    pub(crate) uri: &'a str,
    /// The body as sent.
    pub(crate) body: &'a [u8],
    /// Fresh randomness of this client.
    pub(crate) cnonce: &'a str,
}

/// First nonce and first cnonce under a `-sess` algorithm (RFC 7616 section 3.4.2).
#[derive(Clone)]
struct Session {
    nonce: String,
    cnonce: String,
}

/// A challenge in use: it counts the requests that were signed with its nonce.
///
/// It is owned by the request that uses it, because a server may demand that counts arrive in order.
#[derive(Clone)]
pub(crate) struct Nonce {
    challenge: Challenge,
    uses: u32,
    session: Option<Session>,
}

impl Nonce {
    /// A nonce that nothing was signed with.
    pub(crate) fn new(challenge: Challenge) -> Self {
        Self { challenge, uses: 0, session: None }
    }

    /// The value of `Authorization` for one more request (RFC 7616 section 3.4).
    pub(crate) fn sign(&mut self, key: &ApiKey, request: &Request<'_>) -> String {
        self.uses = self.uses.saturating_add(1);
        let challenge = &self.challenge;
        let session = self
            .session
            .get_or_insert_with(|| Session { nonce: challenge.nonce.clone(), cnonce: request.cnonce.to_owned() });
        let credentials = Credentials { username: key.public(), password: key.private().expose() };
        let response = challenge.response(credentials, request, self.uses, session);
        let mut value = format!(
            "Digest username={}, realm={}, nonce={}, uri={}, response=\"{response}\"",
            quoted(credentials.username),
            quoted(&challenge.realm),
            quoted(&challenge.nonce),
            quoted(request.uri),
        );
        if let Some(algorithm) = &challenge.algorithm {
            value.push_str(&format!(", algorithm={algorithm}"));
        }
        // Section 3.4: qop and nc are not quoted; neither they nor cnonce are sent to a server that offered no qop.
        let qop = match challenge.qop {
            Qop::Absent => None,
            Qop::Auth => Some("auth"),
            Qop::AuthInt => Some("auth-int"),
        };
        if let Some(qop) = qop {
            value.push_str(&format!(", qop={qop}, nc={:08x}, cnonce={}", self.uses, quoted(request.cnonce)));
        }
        if let Some(opaque) = &challenge.opaque {
            value.push_str(&format!(", opaque={}", quoted(opaque)));
        }
        value
    }

    /// Whether the nonce can sign once more: `nc` has eight hexadecimal digits.
    pub(crate) fn has_room(&self) -> bool {
        self.uses < u32::MAX
    }

    /// Honours `nextnonce` of `Authentication-Info` (RFC 7616 section 3.5): the count starts again.
    pub(crate) fn follow(&mut self, authentication_info: &str) {
        let next = parameters(authentication_info).and_then(|offer| offer.get("nextnonce").map(str::to_owned));
        if let Some(next) = next {
            self.challenge.nonce = next;
            self.uses = 0;
        }
    }
}

/// The credentials of a refused request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carried {
    /// No credentials.
    Nothing,
    /// A nonce that was not issued for this very request.
    OlderNonce,
    /// The nonce of the challenge that answered this request.
    FreshNonce,
    /// The nonce that came with `stale=true` after a fresh one.
    SecondNonce,
    /// The nonce that came with the refusal of a fresh one.
    AfterRefusal,
}

/// The meaning of a 401.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Send it again, signed with this challenge; it then carries what stands beside.
    Answer(Challenge, Carried),
    /// User name or password are wrong.
    WrongKey,
    /// The server called two fresh nonces stale.
    NeverFresh,
    /// The server asks for something else than Digest.
    NotDigest,
}

/// Decides about a 401. A refused request was not carried out, so even a write can be repeated; five kinds of [`Carried`],
/// each only followed by a later one, bound the repetitions.
///
/// `sent_twice`: the platform may have repeated the request by itself, and the refusal may be that of the repeated one.
pub(crate) fn refused(carried: Carried, sent_twice: bool, www_authenticate: Option<&str>) -> Refusal {
    let Some(challenge) = www_authenticate.and_then(Challenge::select) else {
        return Refusal::NotDigest;
    };
    match (carried, challenge.stale) {
        // A server may forget a nonce at any time, and need not call it stale.
        (Carried::Nothing | Carried::OlderNonce, _) => Refusal::Answer(challenge, Carried::FreshNonce),
        (Carried::FreshNonce, false) if sent_twice => Refusal::Answer(challenge, Carried::AfterRefusal),
        // RFC 7616 section 3.3, `stale`: the credentials were good and only the nonce was not.
        (Carried::FreshNonce, true) => Refusal::Answer(challenge, Carried::SecondNonce),
        (Carried::SecondNonce, true) => Refusal::NeverFresh,
        (Carried::FreshNonce | Carried::SecondNonce, false) | (Carried::AfterRefusal, _) => Refusal::WrongKey,
    }
}

/// RFC 9110 section 5.6.4: a quoted-string.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// One challenge as sent, of any scheme.
#[derive(Default)]
struct Offer {
    scheme: String,
    parameters: Vec<(String, String)>,
    /// It had a parameter twice, or a malformed one: its meaning is unknown.
    broken: bool,
}

impl Offer {
    fn get(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn add(&mut self, name: &str, value: String) {
        let name = name.to_ascii_lowercase();
        self.broken |= self.get(&name).is_some();
        self.parameters.push((name, value));
    }
}

/// RFC 9110 section 11.6.1: a list of challenges. `None` if it is too long.
fn challenges(header: &str) -> Option<Vec<Offer>> {
    let mut list: Vec<Offer> = Vec::new();
    let mut reader = Reader(header.chars());
    loop {
        reader.skip(|c| is_blank(c) || c == ',');
        if reader.at_end() {
            return Some(list);
        }
        let name = reader.take(is_token);
        reader.skip(is_blank);
        if name.is_empty() || (reader.next_is('=') && list.is_empty()) {
            // Neither a scheme nor a parameter of one: nothing after it can be attributed.
            return Some(list);
        } else if reader.next_is('=') {
            let value = reader.value();
            if let Some(offer) = list.last_mut() {
                match value {
                    Some(value) => offer.add(&name, value),
                    None => offer.broken = true,
                }
                reader.skip(is_blank);
                offer.broken |= !(reader.at_end() || reader.next_is(','));
            }
        } else {
            if list.len() == CHALLENGES_MAX {
                return None;
            }
            reader.token68();
            list.push(Offer { scheme: name, ..Offer::default() });
        }
    }
}

/// RFC 7615 section 3: a list of parameters without a scheme.
fn parameters(header: &str) -> Option<Offer> {
    challenges(&format!("Info {header}"))?.into_iter().next().filter(|offer| !offer.broken)
}

/// RFC 9110 section 5.6.2.
fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

/// RFC 9110 section 5.6.3.
fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t')
}

struct Reader<'a>(std::str::Chars<'a>);

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.0.clone().next()
    }

    fn next_is(&self, c: char) -> bool {
        self.peek() == Some(c)
    }

    fn at_end(&self) -> bool {
        self.peek().is_none()
    }

    fn take(&mut self, wanted: impl Fn(char) -> bool) -> String {
        let mut taken = String::new();
        while let Some(c) = self.peek().filter(|c| wanted(*c)) {
            taken.push(c);
            self.0.next();
        }
        taken
    }

    fn skip(&mut self, wanted: impl Fn(char) -> bool) {
        while self.peek().is_some_and(&wanted) {
            self.0.next();
        }
    }

    /// RFC 9110 section 11.2: after a scheme, a token68 up to the next comma. It says nothing to Digest.
    fn token68(&mut self) {
        let mut ahead = Reader(self.0.clone());
        let body = ahead.take(|c| c.is_ascii_alphanumeric() || "-._~+/".contains(c));
        ahead.skip(|c| c == '=');
        ahead.skip(is_blank);
        if !body.is_empty() && (ahead.at_end() || ahead.next_is(',')) {
            self.0 = ahead.0;
        }
    }

    /// The value after `=`: a quoted-string, or everything up to the next blank or comma, because some servers leave the
    /// quotes out. `None` if a quote does not end.
    fn value(&mut self) -> Option<String> {
        self.0.next();
        self.skip(is_blank);
        if !self.next_is('"') {
            return Some(self.take(|c| !is_blank(c) && c != ','));
        }
        self.0.next();
        let mut value = String::new();
        loop {
            match self.0.next()? {
                '"' => return Some(value),
                '\\' => value.push(self.0.next()?),
                c => value.push(c),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn challenge(header: &str) -> Challenge {
        Challenge::select(header).unwrap_or_else(|| panic!("unusable: {header}"))
    }

    struct Vector {
        from: &'static str,
        challenge: &'static str,
        user: &'static str,
        password: &'static str,
        request: (&'static str, &'static str),
        count: u32,
        cnonce: &'static str,
        response: &'static str,
    }

    const RFC7616: &str =
        "Digest realm=\"http-auth@example.org\", nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", ";
    const RFC7616_CNONCE: &str = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";

    /// RFC 7616 section 3.9.1 with these further parameters.
    fn mufasa(from: &'static str, rest: &'static str, count: u32, response: &'static str) -> (String, Vector) {
        let vector = Vector {
            from,
            challenge: "",
            user: "Mufasa",
            password: "Circle of Life",
            request: ("GET", "/dir/index.html"),
            count,
            cnonce: RFC7616_CNONCE,
            response,
        };
        (format!("{RFC7616}{rest}"), vector)
    }

    /// curl's test suite: user `testuser`, password `testpass`, realm `testrealm`, no qop.
    fn curl(from: &'static str, challenge: &'static str, uri: &'static str, response: &'static str) -> Vector {
        Vector {
            from,
            challenge,
            user: "testuser",
            password: "testpass",
            request: ("GET", uri),
            count: 1,
            cnonce: "",
            response,
        }
    }

    fn vectors() -> Vec<(String, Vector)> {
        let plain = [
            Vector {
                from: "RFC 2617 section 3.5",
                challenge: "Digest realm=\"testrealm@host.com\", qop=\"auth,auth-int\", \
                            nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", opaque=\"5ccc069c403ebaf9f0171e9517f40e41\"",
                user: "Mufasa",
                password: "Circle Of Life",
                request: ("GET", "/dir/index.html"),
                count: 1,
                cnonce: "0a4f113b",
                response: "6629fae49393a05397450978507c4ef1",
            },
            Vector {
                from: "RFC 2617 section 3.5 without qop (computed)",
                challenge: "Digest realm=\"testrealm@host.com\", nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\"",
                user: "Mufasa",
                password: "Circle Of Life",
                request: ("GET", "/dir/index.html"),
                count: 1,
                cnonce: "",
                response: "670fd8c2df070c60b045671b8b24ff02",
            },
            Vector {
                // The value printed in the RFC is a known erratum.
                from: "RFC 7616 section 3.9.2, as github.com/icholy/digest computes it",
                challenge: "Digest realm=\"api@example.org\", qop=\"auth\", algorithm=SHA-512-256, \
                            nonce=\"5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK\", userhash=true, charset=UTF-8",
                user: "J\u{e4}s\u{f8}n Doe",
                password: "Secret, or not?",
                request: ("GET", "/doe.json"),
                count: 1,
                cnonce: "NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v",
                response: "3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5",
            },
            Vector {
                from: "github.com/icholy/digest, auth-int",
                challenge: "Digest realm=\"me@kennethreitz.com\", nonce=\"7a5462bc2121c2e609e6f71c64d341c1\", \
                            qop=\"auth-int\", algorithm=MD5",
                user: "foo",
                password: "bar",
                request: ("GET", "/digest-auth/auth-int/foo/bar"),
                count: 1,
                cnonce: "MjhjOWI2ZDRmNmVkNjlmYzRmMTdjZjAxYmU4ZTNkM2U=",
                response: "a86955ec413135f7902c0bae37d75469",
            },
            Vector {
                from: "github.com/icholy/digest, SIP",
                challenge: "Digest realm=\"SipPeer\", nonce=\"970a1b42-d8a7-4fce-91a1-4767e9ed561b\", \
                            algorithm=MD5, qop=\"auth\"",
                user: "the-user",
                password: "********",
                request: ("REGISTER", "sip:182.82.132.122"),
                count: 1,
                cnonce: "104adc6bd71f49678798ee646edcaa9a",
                response: "6cf0981e056709d40c8acc40c87e73c6",
            },
            curl(
                "curl 64",
                "Digest realm=\"testrealm\", nonce=\"1053604145\"",
                "/64\"",
                "1ee14b238b3259f17602e9ce41491ef9",
            ),
            curl(
                "curl 2076",
                "Digest realm=\"testrealm\", nonce=\"1\"",
                "/2076?query",
                "5758bd3bbde7f33236e6ccd278eb59af",
            ),
            curl(
                "curl 1095",
                "Digest realm=\"test \\\"this\\\" realm!!\", nonce=\"1053604145\"",
                "/1095",
                "df3246f44d2bc8de0e9f8fc4d7cf6e95",
            ),
            Vector {
                user: "\\user\"",
                password: "password",
                ..curl(
                    "curl 1229",
                    "Digest realm=\"testrealm\", nonce=\"1053604145\"",
                    "/1229",
                    "f2694d426040712584c156d3de72b8d6",
                )
            },
            curl(
                "curl 1437 (the second of its two nonces)",
                "Digest realm=\"testrealm\", algorithm=MD5, nonce=\"2\"",
                "/1437",
                "4376eb639bf8e7343a6e7b56e1b89c4f",
            ),
            curl(
                "curl 2061",
                "Digest realm=\"testrealm\", nonce=\"1053604145\", algorithm=SHA-256",
                "/2061",
                "9dc55255f1a2537b838311674b621d45346b862a81631bb20e4ce356ef25062d",
            ),
            Vector {
                from: "a private key with a colon, quotes and backslashes (computed)",
                challenge: "Digest realm=\"tidb.cloud\", nonce=\"abc123\", algorithm=MD5, qop=\"auth\"",
                user: "pubkey01",
                password: "priv:key/with\"odd\\chars",
                request: ("GET", "/v1beta1/clusters?pageSize=10&pageToken=a%2Fb"),
                count: 1,
                cnonce: "0123456789abcdef0123456789abcdef",
                response: "2b631bb24ad6aefc26bf66254a99cddc",
            },
            Vector {
                from: "an empty realm, the tenth use (computed)",
                challenge: "Digest realm=\"\", nonce=\"n==\", algorithm=MD5, qop=\"auth\"",
                user: "pubkey01",
                password: "secret",
                request: ("POST", "/v1beta1/clusters"),
                count: 10,
                cnonce: "00112233445566778899aabbccddeeff",
                response: "7980658401c5d63550ab57063eb5ee85",
            },
        ];
        let mut all = vec![
            mufasa(
                "RFC 7616 section 3.9.1, MD5",
                "qop=\"auth, auth-int\", algorithm=MD5",
                1,
                "8ca523f5e9506fed4657c9700eebdbec",
            ),
            mufasa("the same, second use", "qop=auth, algorithm=MD5", 2, "4b5d595ecf2db9df612ea5b45cd97101"),
            mufasa(
                "RFC 7616 section 3.9.1, SHA-256",
                "qop=\"auth, auth-int\", algorithm=SHA-256",
                1,
                "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
            ),
            mufasa(
                "the same, second use",
                "qop=auth, algorithm=SHA-256",
                2,
                "8c8db27f49ff1c202f9fb49fa9d2e9eabf078dcc93db40dfd6527010091d1c8e",
            ),
            mufasa("the same, MD5-sess", "qop=auth, algorithm=MD5-sess", 1, "e783283f46242139c486a698fec7211d"),
            mufasa(
                "the same, SHA-256-sess",
                "qop=auth, algorithm=SHA-256-sess",
                1,
                "2fd51b3a77ad75bad6afad6003e818d767133c46d9e2749e7f5232ae1ea3efd7",
            ),
            mufasa(
                "the same, auth-int, empty body",
                "qop=\"auth-int\", algorithm=MD5",
                1,
                "8804a53d3640a40a4f73cea12c5ba451",
            ),
        ];
        all.extend(plain.into_iter().map(|vector| (vector.challenge.to_owned(), vector)));
        all
    }

    #[test]
    fn responses_are_those_that_were_published() {
        for (header, vector) in vectors() {
            let challenge = challenge(&header);
            let session = Session { nonce: challenge.nonce.clone(), cnonce: vector.cnonce.to_owned() };
            let (method, uri) = vector.request;
            let response = challenge.response(
                Credentials { username: vector.user, password: vector.password },
                &Request { method, uri, body: b"", cnonce: vector.cnonce },
                vector.count,
                &session,
            );
            assert_eq!(response, vector.response, "{}", vector.from);
        }
    }

    #[test]
    fn challenges_are_found_among_others() {
        let find = |header: &str| Challenge::select(header).map(|found| (found.realm, found.nonce, found.qop));
        let found = |realm: &str, nonce: &str, qop| Some((realm.to_owned(), nonce.to_owned(), qop));
        for (header, expected) in [
            (
                r#"Digest realm="tidb.cloud", domain="", nonce="c2FuZA==", algorithm=MD5, qop="auth", stale=false"#,
                found("tidb.cloud", "c2FuZA==", Qop::Auth),
            ),
            (
                r#"Basic realm="foothis", Digest realm="testrealm", nonce="1053604199""#,
                found("testrealm", "1053604199", Qop::Absent),
            ),
            (r#"Digest realm="a, b=\"c\"", nonce="n", qop="auth, auth-int""#, found(r#"a, b="c""#, "n", Qop::Auth)),
            (r#"Digest realm="a", nonce="n", qop="auth-int""#, found("a", "n", Qop::AuthInt)),
            (
                r#"Digest realm="x", nonce="n", algorithm=SHA-256, qop="auth", Digest realm="x", nonce="m", qop="auth""#,
                found("x", "n", Qop::Auth),
            ),
            (
                r#"Digest realm="x", nonce="n", algorithm=FOO, Digest realm="y", nonce="m""#,
                found("y", "m", Qop::Absent),
            ),
            (
                r#"Negotiate, NTLM TlRMTVNTUAAC==, digest REALM="x" , NONCE = "n" , STALE=TRUE"#,
                found("x", "n", Qop::Absent),
            ),
            (r#"Digest realm="x", nonce="n", qop="crazy, auth""#, found("x", "n", Qop::Auth)),
            (r#", ,Digest realm="x",, nonce=abc/+==, qop=auth,"#, found("x", "abc/+==", Qop::Auth)),
            (r#"Digest realm="", nonce="n""#, found("", "n", Qop::Absent)),
            ("Digest realm=\"\u{e9}\u{7528}\u{6237}\", nonce=\"n\"", found("\u{e9}\u{7528}\u{6237}", "n", Qop::Absent)),
            (r#"Digest realm="x", nonce="n", qop="auth-conf""#, None),
            (r#"Digest realm="x", nonce="n", algorithm=MD5-sess"#, None),
            (r#"Digest realm="x", nonce="n", nonce="m""#, None),
            (r#"Digest nonce="n""#, None),
            (r#"Digest realm="x""#, None),
            (r#"Digest realm="x"#, None),
            (r#"Digest realm="x" nonce="n""#, None),
            (r#"DigestX realm="x", nonce="n""#, None),
            (r#"realm="x", nonce="n""#, None),
            ("Digest", None),
            ("", None),
        ] {
            assert_eq!(find(header), expected, "{header}");
        }
        assert!(challenge(r#"Digest REALM="x", NONCE="n", STALE=TRUE"#).stale);
    }

    #[test]
    fn floods_are_refused() {
        let good = r#"Digest realm="x", nonce="n""#;
        assert!(Challenge::select(&format!("{}{good}", "Basic, ".repeat(15))).is_some());
        assert!(Challenge::select(&format!("{good}, {}", "Basic, ".repeat(16))).is_none());
        assert!(Challenge::select(&format!("{good}{}", ",".repeat(HEADER_BYTES_MAX))).is_none());
        assert!(Challenge::select(&format!("{}{good}", ",".repeat(HEADER_BYTES_MAX - good.len()))).is_some());
    }

    #[test]
    fn a_nonce_counts_its_uses_and_follows_nextnonce() {
        let key = ApiKey::new("SBXOWNER", "canary-private-key").unwrap();
        let request = Request { method: "GET", uri: "/v1beta1/regions", body: b"", cnonce: "c0ffee" };
        let mut nonce = Nonce::new(challenge(
            r#"Digest realm="r\"", nonce="one", opaque="o", algorithm=md5, qop="auth", stale=false"#,
        ));
        let first = nonce.sign(&key, &request);
        assert!(first.starts_with(
            r#"Digest username="SBXOWNER", realm="r\"", nonce="one", uri="/v1beta1/regions", response=""#
        ));
        assert!(first.ends_with(r#", algorithm=md5, qop=auth, nc=00000001, cnonce="c0ffee", opaque="o""#), "{first}");
        assert!(!first.contains("canary"));
        assert!(nonce.sign(&key, &request).contains("nc=00000002,"));
        nonce.follow(r#"rspauth="x", qop=auth, nextnonce="two""#);
        let third = nonce.sign(&key, &request);
        assert!(third.contains(r#"nonce="two""#) && third.contains("nc=00000001,"), "{third}");

        let old = Nonce::new(challenge(r#"Digest realm="r", nonce="one""#)).sign(&key, &request);
        assert!(!["qop", "nc=", "cnonce", "algorithm"].iter().any(|name| old.contains(name)), "{old}");
    }

    #[test]
    fn a_401_means_what_the_request_makes_it_mean() {
        let fresh = r#"Digest realm="x", nonce="n""#;
        let stale = r#"Digest realm="x", nonce="n", stale=true"#;
        let answer = |header, next| Refusal::Answer(challenge(header), next);
        for (carried, header, meaning) in [
            (Carried::Nothing, Some(fresh), answer(fresh, Carried::FreshNonce)),
            (Carried::OlderNonce, Some(fresh), answer(fresh, Carried::FreshNonce)),
            (Carried::OlderNonce, Some(stale), answer(stale, Carried::FreshNonce)),
            (Carried::FreshNonce, Some(stale), answer(stale, Carried::SecondNonce)),
            (Carried::FreshNonce, Some(fresh), Refusal::WrongKey),
            (Carried::SecondNonce, Some(stale), Refusal::NeverFresh),
            (Carried::SecondNonce, Some(fresh), Refusal::WrongKey),
            (Carried::Nothing, None, Refusal::NotDigest),
            (Carried::FreshNonce, Some("Bearer"), Refusal::NotDigest),
        ] {
            assert_eq!(refused(carried, false, header), meaning, "{carried:?} {header:?}");
        }
        // What the platform may have repeated is signed once more, and no further.
        assert_eq!(refused(Carried::FreshNonce, true, Some(fresh)), answer(fresh, Carried::AfterRefusal));
        for second in [fresh, stale] {
            assert_eq!(refused(Carried::AfterRefusal, true, Some(second)), Refusal::WrongKey);
        }
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic(header in r#"((Digest|Basic)? ?[a-z]{0,5}(=|"|,|\\| |é|\PC){0,6}){0,12}"#) {
            let _ = Challenge::select(&header);
            Nonce::new(challenge(r#"Digest realm="x", nonce="n""#)).follow(&header);
        }

        #[test]
        fn what_is_quoted_is_read_back(realm in "\\PC{0,20}", nonce in "\\PC{0,20}") {
            let header = format!("Digest realm={}, nonce={}", quoted(&realm), quoted(&nonce));
            let found = challenge(&header);
            prop_assert_eq!((found.realm, found.nonce), (realm, nonce));
        }
    }
}
