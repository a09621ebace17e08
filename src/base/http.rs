//! The few HTTP types that the service needs, independent of the platform.

use url::Url;

/// A request method. Values are upper case, as sent (RFC 9110 section 9.1: methods are case-sensitive).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `GET`
    Get,
    /// `HEAD`
    Head,
    /// `POST`
    Post,
    /// `PUT`
    Put,
    /// `PATCH`
    Patch,
    /// `DELETE`
    Delete,
    /// `OPTIONS`
    Options,
    /// Anything else; the service answers it with 405.
    Other,
}

impl Method {
    /// Reads a method name; unknown ones become [`Method::Other`].
    pub fn parse(name: &str) -> Self {
        match name {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "POST" => Self::Post,
            "PUT" => Self::Put,
            "PATCH" => Self::Patch,
            "DELETE" => Self::Delete,
            "OPTIONS" => Self::Options,
            _ => Self::Other,
        }
    }

    /// The name as sent on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
            Self::Other => "OTHER",
        }
    }
}

/// Header fields in the order they were added. Names compare without regard to case (RFC 9110 section 5.1).
#[derive(Clone, Default)]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    /// No fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// The value of `name`; several fields of one name are joined with `", "` (RFC 9110 section 5.3),
    /// as the Fetch standard does.
    pub fn get(&self, name: &str) -> Option<String> {
        let mut found: Option<String> = None;
        for (field, value) in &self.0 {
            if field.eq_ignore_ascii_case(name) {
                match &mut found {
                    Some(joined) => {
                        joined.push_str(", ");
                        joined.push_str(value);
                    }
                    None => found = Some(value.clone()),
                }
            }
        }
        found
    }

    /// The value of `name` without the whitespace around it (RFC 9110 section 5.5). One that is blank counts as absent: forms
    /// send a field that nobody filled in, and several of those are joined by commas.
    pub fn filled(&self, name: &str) -> Option<String> {
        let value = self.get(name)?;
        let is_blank = value.bytes().all(|byte| matches!(byte, b' ' | b'\t' | b','));
        (!is_blank).then(|| value.trim_matches([' ', '\t']).to_owned())
    }

    /// Whether a field of this name is there.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(field, _)| field.eq_ignore_ascii_case(name))
    }

    /// Adds a field, beside others of the same name.
    pub fn append(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.push((name.into(), value.into()));
    }

    /// Sets a field, in place of others of the same name.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.0.retain(|(field, _)| !field.eq_ignore_ascii_case(name));
        self.append(name, value);
    }

    /// All fields in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(fields: I) -> Self {
        Self(fields.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

/// An incoming request without its body.
pub struct Head {
    /// Method.
    pub method: Method,
    /// The whole URL; host and scheme are those the client used, as the platform saw them.
    pub url: Url,
    /// The query as the client wrote it, without `?`: reading a URL changes how some bytes are written.
    pub query: Option<String>,
    /// Header fields; they may hold secrets.
    pub headers: Headers,
}

impl Head {
    /// A request for the URL of this text.
    ///
    /// # Errors
    /// The text is no URL.
    pub fn new(method: Method, url: &str, headers: Headers) -> Result<Self, url::ParseError> {
        let query = url.split_once('?').map(|(_, query)| query.to_owned());
        Ok(Self { method, url: Url::parse(url)?, query, headers })
    }
}

/// Whether a text can be the query of a URL (RFC 3986 section 3.4), and so stands as it is in a quoted string (RFC 9110
/// section 5.6.4).
pub fn is_query(text: &str) -> bool {
    let mut parts = text.split('%');
    let is_plain =
        |part: &str| part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?".contains(&byte));
    let is_encoded = |part: &str| part.bytes().take_while(u8::is_ascii_hexdigit).take(2).count() == 2;
    parts.next().is_some_and(is_plain) && parts.all(|part| is_encoded(part) && is_plain(part))
}

/// A response, this server's or another host's.
#[derive(Clone)]
pub struct Response {
    /// Status code (RFC 9110 section 15).
    pub status: u16,
    /// Header fields.
    pub headers: Headers,
    /// The whole body.
    pub body: Vec<u8>,
}

impl Response {
    /// An answer without a body.
    pub fn empty(status: u16) -> Self {
        Self { status, headers: Headers::new(), body: Vec::new() }
    }

    /// An answer with a JSON body.
    pub fn json(status: u16, body: impl Into<Vec<u8>>) -> Self {
        let mut response = Self::empty(status);
        response.headers.append("content-type", "application/json");
        response.body = body.into();
        response
    }

    /// The same answer with one more header field.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.append(name, value);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_case_sensitive() {
        for name in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            assert_eq!(Method::parse(name).as_str(), name);
            assert_eq!(Method::parse(&name.to_lowercase()), Method::Other);
        }
        assert_eq!(Method::parse("TRACE"), Method::Other);
    }

    #[test]
    fn fields() {
        let mut headers: Headers = [("Accept", "text/html"), ("X-Id", "1"), ("accept", "*/*")].into_iter().collect();
        assert_eq!(headers.get("ACCEPT").as_deref(), Some("text/html, */*"));
        assert_eq!(headers.get("Accep"), None);
        assert!(headers.has("x-id") && !headers.has("x-i"));
        for (values, filled) in [
            (&["", " \t"][..], None),
            (&["\t"], None),
            (&[" a b "], Some("a b")),
            (&["", "a"], Some(", a")),
            (&[], None),
        ] {
            let fields: Headers = values.iter().map(|value| ("x-blank", *value)).collect();
            assert_eq!(fields.filled("X-Blank").as_deref(), filled, "{values:?}");
        }

        headers.set("aCCept", "application/json");
        headers.append("X-Id", "2");
        let all: Vec<_> = headers.iter().collect();
        assert_eq!(all, [("X-Id", "1"), ("aCCept", "application/json"), ("X-Id", "2")]);
    }

    #[test]
    fn queries() {
        assert!(["", "a=1&b=%2F", "a-._~!$&'()*+,;=:@/?0", "%aF%00"].into_iter().all(is_query));
        let others = (0..=255_u8)
            .map(char::from)
            .filter(|byte| !byte.is_ascii_alphanumeric() && !"-._~!$&'()*+,;=:@/?".contains(*byte));
        for byte in others {
            assert!(!is_query(&format!("a={byte}")), "{byte:?}");
        }
        assert!(!["%", "a=%2", "%zz", "%2%20", "%+1", "\u{20ac}"].into_iter().any(is_query));
        let head = Head::new(Method::Get, "https://a.example/b?it's?%41", Headers::new()).unwrap();
        assert_eq!((head.query.as_deref(), head.url.query()), (Some("it's?%41"), Some("it%27s?%41")));
    }

    #[test]
    fn answers() {
        let response = Response::json(503, "{}").with("retry-after", "3");
        assert_eq!((response.status, response.body.as_slice()), (503, &b"{}"[..]));
        assert_eq!(response.headers.get("content-type").as_deref(), Some("application/json"));
        assert_eq!(response.headers.get("retry-after").as_deref(), Some("3"));
        assert!(Response::empty(204).body.is_empty());
        assert_eq!(Response::empty(204).headers.iter().count(), 0);
    }
}
