//! What is looked at, what is expected of it, and the keys for it.

use std::{path::PathBuf, time::Duration};

/// The address of a deployment, or of a server on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target(String);

impl Target {
    /// Reads an address, which may end in `/` or `/mcp`. Keys go there, so it is https, or this machine.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let refuse = |why: &str| {
            format!("{text:?} {why}: give an address such as https://mcp.example.com or http://127.0.0.1:8787")
        };
        let bare = text.trim_end_matches('/');
        let bare = bare.strip_suffix("/mcp").unwrap_or(bare).to_ascii_lowercase();
        let (scheme, authority) = bare.split_once("://").ok_or_else(|| refuse("is no address"))?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
        if authority.is_empty() || !authority.bytes().all(plain) {
            return Err(refuse("is not a host, with a port at most"));
        }
        let host = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                port.parse::<u16>().map_err(|_| refuse("has a port that is none"))?;
                host
            }
            _ => authority,
        };
        let is_here = ["localhost", "127.0.0.1", "[::1]"].contains(&host);
        match scheme {
            "https" => Ok(Self(bare)),
            "http" if is_here => Ok(Self(bare)),
            _ => Err(refuse("would send keys in the clear")),
        }
    }

    /// Scheme, host and port, without a slash.
    pub(super) fn origin(&self) -> &str {
        &self.0
    }

    pub(super) fn is_https(&self) -> bool {
        self.0.starts_with("https:")
    }
}

/// What the command line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// Whom to ask.
    pub(super) target: Target,
    /// `--version`: of the package.
    pub(super) version: Option<String>,
    /// `--commit`: its first seven digits at least.
    pub(super) commit: Option<String>,
    /// `--worker-version`: the upload that has to answer.
    pub(super) worker_version: Option<String>,
    /// `--tools`: a folder in place of this checkout's `tests/snapshots/tools`.
    pub(super) tools: Option<PathBuf>,
    /// `--wait`: how long it may take to come up.
    pub(super) wait: Duration,
    /// `--timeout`: of a request. `/readyz` takes 20 s if everything behind it times out.
    pub(super) timeout: Duration,
}

impl Options {
    /// Reads the words behind `smoke`.
    pub(crate) fn parse(words: &[&str]) -> Result<Self, String> {
        let (url, mut rest) = match words {
            [url, rest @ ..] if !url.starts_with("--") => (url, rest.iter()),
            _ => return Err("smoke needs the address of a server".to_owned()),
        };
        let mut options = Self {
            target: Target::parse(url)?,
            version: None,
            commit: None,
            worker_version: None,
            tools: None,
            wait: Duration::ZERO,
            timeout: Duration::from_secs(30),
        };
        while let Some(name) = rest.next() {
            let value = *rest.next().ok_or_else(|| format!("{name} needs a value"))?;
            let seconds = |least| match value.parse() {
                Ok(seconds) if (least..=3_600).contains(&seconds) => Ok(Duration::from_secs(seconds)),
                _ => Err(format!("{name} takes {least} to 3600 seconds, not {value:?}")),
            };
            let is_hex = value.bytes().all(|byte| byte.is_ascii_hexdigit());
            let is_id = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
            match *name {
                // A tag names a version with a v in front.
                "--version" if !value.is_empty() => {
                    options.version = Some(value.strip_prefix('v').unwrap_or(value).to_owned());
                }
                "--commit" if is_hex && (7..=64).contains(&value.len()) => {
                    options.commit = Some(value.to_ascii_lowercase());
                }
                "--commit" => return Err(format!("--commit takes 7 digits of its id or more, not {value:?}")),
                "--worker-version" if is_id && !value.is_empty() => options.worker_version = Some(value.to_owned()),
                "--worker-version" => return Err(format!("--worker-version takes an id, not {value:?}")),
                "--tools" if !value.is_empty() => options.tools = Some(PathBuf::from(value)),
                "--wait" => options.wait = seconds(0)?,
                "--timeout" => options.timeout = seconds(1)?,
                _ => return Err(format!("smoke takes no {name} {value:?}")),
            }
        }
        Ok(options)
    }
}

/// The credential of the environment, which goes to the endpoint of the target and is never shown.
pub(super) enum Keys {
    /// Nothing is set.
    None,
    /// Of a deployment that belongs to its owner.
    Access(String),
    /// A key of TiDB Cloud.
    Pair(String, String),
}

const ACCESS: &str = "SMOKE_ACCESS_KEY";
const PUBLIC: &str = "SMOKE_PUBLIC_KEY";
const PRIVATE: &str = "SMOKE_PRIVATE_KEY";

impl Keys {
    /// How to have some.
    pub(super) const HOW: &str = "set SMOKE_ACCESS_KEY, or SMOKE_PUBLIC_KEY and SMOKE_PRIVATE_KEY";

    /// Reads them; a blank one counts as unset, as a secret of a workflow that is not there is.
    pub(super) fn read(read: &dyn Fn(&str) -> Option<String>) -> Result<Self, String> {
        let value = |name: &str| match read(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()) {
            // Else an error of whoever sends it could quote it.
            Some(text) if !text.bytes().all(|byte| byte.is_ascii_graphic()) => {
                Err(format!("{name} has a character that no key has"))
            }
            other => Ok(other),
        };
        match (value(ACCESS)?, value(PUBLIC)?, value(PRIVATE)?) {
            (None, None, None) => Ok(Self::None),
            (Some(key), None, None) => Ok(Self::Access(key)),
            (None, Some(public), Some(private)) => Ok(Self::Pair(public, private)),
            (Some(_), ..) => Err(format!("set {ACCESS}, or {PUBLIC} and {PRIVATE}, not both")),
            _ => Err(format!("{PUBLIC} and {PRIVATE} go together")),
        }
    }

    /// Header fields for them.
    pub(super) fn headers(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::None => Vec::new(),
            Self::Access(key) => vec![("authorization", format!("Bearer {key}"))],
            Self::Pair(public, private) => {
                vec![("x-tidb-api-public-key", public.clone()), ("x-tidb-api-private-key", private.clone())]
            }
        }
    }

    /// A text that is shown: a server may repeat what it was sent.
    pub(super) fn hide(&self, text: &str) -> String {
        match self {
            Self::None => text.to_owned(),
            Self::Access(key) => text.replace(key.as_str(), "[key]"),
            Self::Pair(public, private) => text.replace(private.as_str(), "[key]").replace(public.as_str(), "[key]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_go_to_https_or_to_this_machine() {
        for (text, origin) in [
            ("https://mcp.example.com", "https://mcp.example.com"),
            ("https://MCP.example.com/mcp", "https://mcp.example.com"),
            ("https://mcp.example.com:8443/", "https://mcp.example.com:8443"),
            ("http://127.0.0.1:8787/mcp/", "http://127.0.0.1:8787"),
            ("http://localhost:8787", "http://localhost:8787"),
            ("http://[::1]:8787", "http://[::1]:8787"),
            ("http://[::1]", "http://[::1]"),
        ] {
            assert_eq!(Target::parse(text).as_ref().map(Target::origin), Ok(origin), "{text}");
        }
        for text in [
            "mcp.example.com",
            "http://mcp.example.com",
            "http://127.0.0.1.example.com",
            "http://localhost@example.com",
            "ftp://127.0.0.1",
            "https://",
            "https://mcp.example.com/other",
            "https://mcp.example.com?x",
            "https://user@mcp.example.com",
            "https://mcp.example.com:x",
            "https://mcp.example.com:99999",
            "",
        ] {
            assert!(Target::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_command_line_is_read_or_refused() {
        let parse = |words: &[&str]| Options::parse(&[&["https://x.example"], words].concat());
        let plain = parse(&[]).expect("an address is enough");
        assert_eq!((plain.wait, plain.timeout), (Duration::ZERO, Duration::from_secs(30)));
        let all = ["--version", "v0.1.0", "--commit", "ABC1234", "--worker-version", "dc8d-1", "--wait", "60"];
        let all = parse(&[&all[..], &["--timeout", "5"]].concat()).expect("all of them");
        assert_eq!((all.version.as_deref(), all.commit.as_deref()), (Some("0.1.0"), Some("abc1234")));
        assert_eq!(all.worker_version.as_deref(), Some("dc8d-1"));
        assert_eq!((all.wait, all.timeout), (Duration::from_secs(60), Duration::from_secs(5)));
        for wrong in [
            &["--version"][..],
            &["--version", ""],
            &["--commit", "abc"],
            &["--commit", "main"],
            &["--commit", ""],
            &["--worker-version", ""],
            &["--worker-version", "a\", other=\"b"],
            &["--wait", "long"],
            &["--timeout", "0"],
            &["--tools", ""],
            &["--other", "x"],
        ] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
        assert!(Options::parse(&[]).is_err() && Options::parse(&["--wait", "5"]).is_err(), "an address is needed");
    }

    #[test]
    fn keys_of_one_kind_are_read_and_no_error_shows_one() {
        let read = |set: &[(&str, &str)]| {
            let set: Vec<_> = set.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            Keys::read(&move |name| set.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone()))
        };
        let headers = |set: &[(&str, &str)]| read(set).map(|keys| keys.headers().len());
        assert_eq!(headers(&[]), Ok(0));
        assert_eq!(headers(&[(ACCESS, "  "), (PUBLIC, ""), (PRIVATE, "")]), Ok(0), "as workflows give missing secrets");
        assert_eq!(headers(&[(ACCESS, "canary\n")]), Ok(1));
        assert_eq!(headers(&[(PUBLIC, "canary"), (PRIVATE, "canary")]), Ok(2));
        for wrong in [
            &[(PUBLIC, "canary")][..],
            &[(PRIVATE, "canary")],
            &[(ACCESS, "canary"), (PUBLIC, "canary"), (PRIVATE, "canary")],
            &[(ACCESS, "canary"), (PRIVATE, "canary")],
            &[(ACCESS, "can\nary")],
            &[(ACCESS, "canary ä")],
        ] {
            let error = headers(wrong).expect_err("keys that do not fit");
            assert!(!error.contains("canary") && error.contains("SMOKE_"), "{error}");
        }
        let pair = Keys::Pair("PUB".to_owned(), "priv".to_owned());
        assert_eq!(pair.hide("PUB priv PUBpriv"), "[key] [key] [key][key]");
        assert_eq!(Keys::Access("abc".to_owned()).hide("Bearer abc"), "Bearer [key]");
    }
}
