//! Where an authorization answer may be sent: an allow-list, never a deny-list.

use url::Url;

use crate::config::{is_loopback, may_be_here};

/// 512 bytes: the longest known client's is below 100.
const BYTES_MAX: usize = 512;

/// Schemes without a dot of applications that are known to register themselves with the system. Others should be based on a
/// domain name in reverse (RFC 8252 section 7.1), so they have a dot; a scheme without one that is not listed here may be
/// anything that a system does.
const APP_SCHEMES: &[&str] = &["cursor", "vscode", "vscode-insiders", "windsurf", "claude"];

/// Hosts of well-known clients. For any other host the consent page warns, and no error is sent there.
const KNOWN_HOSTS: &[&str] =
    &["claude.ai", "claude.com", "vscode.dev", "insiders.vscode.dev", "www.cursor.com", "cursor.com", "chatgpt.com"];

/// Why a redirect URI is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is dangerous, and a client that sends it is not trusted with its other URIs either.
    Dangerous,
    /// A scheme without a dot that is not on the list: harmless but unusable here.
    UnknownScheme,
}

/// A redirect URI that answers may be sent to.
#[derive(Clone, Debug)]
pub struct RedirectUri {
    /// As the client wrote it: URIs are compared as texts (RFC 9700 section 2.1).
    text: String,
    url: Url,
}

impl RedirectUri {
    /// Checks one.
    ///
    /// # Errors
    /// Anything but `https`, `http` of this machine, the schemes of known applications, and private-use schemes with a dot.
    pub fn parse(text: &str) -> Result<Self, Refused> {
        // RFC 3986 section 2: a URI is made of visible ASCII. A parser of the web would drop tabs and trim spaces.
        if text.len() > BYTES_MAX
            || !text.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>\"\\^`{|}".contains(&byte))
        {
            return Err(Refused::Dangerous);
        }
        let url = Url::parse(text).map_err(|_| Refused::Dangerous)?;
        let plain =
            url.fragment().is_none() && !text.contains('#') && url.username().is_empty() && url.password().is_none();
        if !plain {
            return Err(Refused::Dangerous);
        }
        let allowed = match url.scheme() {
            "https" => url.host().is_some(),
            "http" => is_loopback(&url),
            // A name in reverse, and no host that a person knows.
            scheme if scheme.contains('.') => {
                let is_host =
                    |host: &&str| scheme.strip_suffix(*host).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
                scheme.split('.').all(|label| !label.is_empty()) && !KNOWN_HOSTS.iter().any(is_host)
            }
            scheme if APP_SCHEMES.contains(&scheme) => url.host_str().is_some_and(|host| !host.is_empty()),
            "javascript" | "data" | "vbscript" | "file" | "blob" | "about" | "filesystem" | "ftp" | "ws" | "wss" => {
                false
            }
            _ => return Err(Refused::UnknownScheme),
        };
        if allowed { Ok(Self { text: text.to_owned(), url }) } else { Err(Refused::Dangerous) }
    }

    /// As the client wrote it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What is compared. The port of a loopback address is the system's choice at the time of the request (RFC 8252
    /// section 7.3; here for `localhost` as well, which clients use), so it is left out.
    pub fn comparable(&self) -> String {
        if !self.is_loopback() {
            return self.text.clone();
        }
        let mut url = self.url.clone();
        // A URL with a host can always go without a port.
        let _ = url.set_port(None);
        url.into()
    }

    /// Whether it leads to this machine by http, which is all that http is taken for.
    fn is_loopback(&self) -> bool {
        self.url.scheme() == "http"
    }

    /// Whether it may lead to a program on this machine that listens there.
    pub fn is_here(&self) -> bool {
        !self.is_app() && may_be_here(&self.url)
    }

    /// Whether a known client's answers go there. A private scheme says nothing about who opens it.
    pub fn is_known(&self) -> bool {
        self.https_host().is_some_and(is_known_host)
    }

    /// Whether the place is trusted, so that a browser may be sent there before a person has decided anything (RFC 9700
    /// section 4.11.2): this machine, a known client's host, or the host of the client's own document. A registration earns no
    /// trust, because anybody can register. A private scheme is not trusted either: any application can claim it (RFC 8252
    /// section 8.6), and its path and query may be another command of the right application, such as one that installs an
    /// extension.
    pub fn is_vouched_for(&self, document_host: Option<&str>) -> bool {
        let is_here = !self.is_app() && is_loopback(&self.url);
        let host = self.https_host();
        // No known client registers a query, and it can be a command too: `https://vscode.dev/redirect?url=...` leads on.
        let is_known = self.is_known() && self.url.query().is_none();
        is_here || is_known || (host.is_some() && host == document_host)
    }

    /// The host of an https address on the default port: another port may belong to somebody else.
    fn https_host(&self) -> Option<&str> {
        self.url.host_str().filter(|_| self.url.scheme() == "https" && self.url.port().is_none())
    }

    /// Whether it leads to another machine, and by https: no program on this one can take the answer's place.
    pub fn is_remote(&self) -> bool {
        self.url.scheme() == "https" && !may_be_here(&self.url)
    }

    /// Whether it leads to an application that claims the scheme.
    pub fn is_app(&self) -> bool {
        !matches!(self.url.scheme(), "http" | "https")
    }

    /// For people: host and port, or an application's own scheme, with its host if it has one.
    pub fn place(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        match (self.url.scheme(), self.url.port()) {
            ("http" | "https", Some(port)) => format!("{host}:{port}"),
            ("http" | "https", None) => host.to_owned(),
            (scheme, _) if host.is_empty() => format!("{scheme}:"),
            (scheme, _) => format!("{scheme}://{host}"),
        }
    }

    /// The URI with an answer's parameters added to its query (RFC 6749 section 4.1.2).
    pub fn with_answer(&self, parameters: &[(&str, &str)]) -> String {
        let mut url = self.url.clone();
        url.query_pairs_mut().extend_pairs(parameters);
        url.into()
    }
}

/// Whether this is a host of a well-known client.
pub fn is_known_host(host: &str) -> bool {
    KNOWN_HOSTS.contains(&host)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_clients_register_is_taken() {
        for (text, place) in [
            ("https://claude.ai/api/mcp/auth_callback", "claude.ai"),
            ("http://localhost:8787/callback", "localhost:8787"),
            ("http://127.0.0.1:33418/", "127.0.0.1:33418"),
            ("http://[::1]:7777/cb", "[::1]:7777"),
            ("cursor://anysphere.cursor-mcp/oauth/callback", "cursor://anysphere.cursor-mcp"),
            ("vscode://vscode.github-authentication/did-authenticate", "vscode://vscode.github-authentication"),
            ("com.example.app:/callback", "com.example.app:"),
            ("org.example.Mail.2:callback", "org.example.mail.2:"),
            ("net.example.app://oauth/callback?a=1", "net.example.app://oauth"),
        ] {
            let uri = RedirectUri::parse(text).unwrap();
            assert_eq!((uri.as_str(), uri.place().as_str()), (text, place));
        }
        assert!(RedirectUri::parse("https://claude.ai/x").unwrap().is_known());
        for other in ["https://claude.ai.evil.example/x", "https://claude.ai:8443/x", "https://claude.ai./x"] {
            assert!(!RedirectUri::parse(other).unwrap().is_known(), "{other}");
        }
    }

    #[test]
    fn what_is_dangerous_is_told_from_what_is_merely_unknown() {
        for text in [
            "",
            "/callback",
            "http://example.com/cb",
            "http://localhost.evil.example/cb",
            "http://127.0.0.1.evil.example/cb",
            "https://user@example.com/cb",
            "https://user:pass@example.com/cb",
            "https://example.com/cb#",
            "https://example.com/cb#x",
            "javascript:alert(1)",
            "JaVaScRiPt:alert(1)",
            " javascript:alert(1)",
            "java\tscript:alert(1)",
            "data:text/html,x",
            "file:///etc/passwd",
            "https://example.com/a b",
            "https://example.com\\@evil.example/",
            "https://example.com/\u{e4}",
            "cursor:oauth",
            "claude.ai:/cb",
            "CHATGPT.com:443",
            "x.claude.ai://claude.ai/cb",
            "localhost.:3000/cb",
            "a..b:/cb",
        ] {
            assert_eq!(RedirectUri::parse(text).err(), Some(Refused::Dangerous), "{text}");
        }
        for text in ["odd-app:/cb", "odd-app://host/cb", "mailto:a@b.example", "intent://x", "x:y.z"] {
            assert_eq!(RedirectUri::parse(text).err(), Some(Refused::UnknownScheme), "{text}");
        }
        assert_eq!(
            RedirectUri::parse(&format!("https://example.com/{}", "a".repeat(500))).err(),
            Some(Refused::Dangerous)
        );
    }

    #[test]
    fn an_answer_that_stays_on_this_machine_is_seen_however_it_is_written() {
        for host in [
            "localhost",
            "localhost.",
            "x.localhost",
            "127.0.0.1",
            "127.8.8.8",
            "0.0.0.0",
            "[::]",
            "[::1]",
            "[::ffff:127.0.0.1]",
        ] {
            let uri = RedirectUri::parse(&format!("https://{host}/cb")).unwrap();
            assert!(uri.is_here() && !uri.is_remote(), "{host}");
        }
        for text in ["http://localhost:3000/cb", "http://127.0.0.1/cb"] {
            let uri = RedirectUri::parse(text).unwrap();
            assert!(uri.is_here() && !uri.is_remote(), "{text}");
        }
        let hosted = RedirectUri::parse("https://claude.ai/cb").unwrap();
        assert!(hosted.is_remote() && !hosted.is_here());
        let app = RedirectUri::parse("cursor://localhost/cb").unwrap();
        assert!(!app.is_remote() && !app.is_here(), "an application claims the scheme");
        // What stays here for certain is what http is taken for, and what errors are sent to.
        for host in ["x.localhost", "localhost.", "0.0.0.0", "[::]", "[::ffff:127.0.0.1]"] {
            assert_eq!(RedirectUri::parse(&format!("http://{host}/cb")).err(), Some(Refused::Dangerous), "{host}");
            assert!(!RedirectUri::parse(&format!("https://{host}/cb")).unwrap().is_vouched_for(None), "{host}");
        }
    }

    #[test]
    fn only_the_port_of_a_loopback_address_may_differ() {
        let comparable = |text| RedirectUri::parse(text).unwrap().comparable();
        assert_eq!(comparable("http://127.0.0.1:55555/cb"), comparable("http://127.0.0.1:3000/cb"));
        assert_eq!(comparable("http://localhost/callback"), comparable("http://localhost:61000/callback"));
        assert_ne!(comparable("http://localhost:1/cb"), comparable("http://127.0.0.1:1/cb"));
        assert_ne!(comparable("http://127.0.0.1:1/cb"), comparable("http://127.0.0.1:1/cb/../x"));
        assert_ne!(comparable("https://example.com:1/cb"), comparable("https://example.com:2/cb"));
        assert_ne!(comparable("https://example.com/cb"), comparable("https://example.com/cb/../x"));
        assert_ne!(comparable("https://example.com/cb"), comparable("https://EXAMPLE.com/cb"));
    }

    #[test]
    fn answers_are_added_to_a_query_that_is_there() {
        let uri = RedirectUri::parse("https://example.com/cb?a=1").unwrap();
        assert_eq!(uri.with_answer(&[("state", "x&y =")]), "https://example.com/cb?a=1&state=x%26y+%3D");
    }

    proptest! {
        /// An accepted URI leads to the host it shows, by a scheme on the list.
        #[test]
        fn nothing_else_is_taken(text in "\\PC{0,40}|(https?|cursor|javascript|data|a\\.b):/{0,2}[a-z0-9.@:#/\\\\%\\[\\]-]{0,40}") {
            if let Ok(uri) = RedirectUri::parse(&text) {
                let scheme = uri.url.scheme();
                prop_assert!(scheme == "https" || scheme == "http" || APP_SCHEMES.contains(&scheme) || scheme.contains('.'));
                prop_assert!(text.to_ascii_lowercase().starts_with(scheme));
                let answer = uri.with_answer(&[("code", "x")]);
                let answer = Url::parse(&answer).unwrap();
                prop_assert_eq!(answer.host_str(), uri.url.host_str());
                prop_assert!(answer.query_pairs().any(|(name, value)| name == "code" && value == "x"));
            }
        }
    }
}
