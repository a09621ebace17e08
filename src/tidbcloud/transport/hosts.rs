//! The addresses of TiDB Cloud, which are built only here.

use url::Url;

use crate::tidbcloud::units::Malformed;

/// The addresses of TiDB Cloud, or of a sandbox that stands for all of them.
///
/// In a sandbox, `<sandbox>/<host>/<path>` stands for `https://<host>/<path>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hosts {
    sandbox: Option<String>,
}

impl Hosts {
    /// TiDB Cloud itself.
    pub fn real() -> Self {
        Self { sandbox: None }
    }

    /// A sandbox at this `http` or `https` address, for example `http://127.0.0.1:8788`.
    pub fn sandbox(address: &str) -> Result<Self, Malformed> {
        let malformed = Malformed {
            what: "the sandbox's address",
            expected: "http or https, a host, and nothing after it but a path",
        };
        let url = Url::parse(address).map_err(|_| malformed)?;
        let plain = matches!(url.scheme(), "http" | "https")
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        if plain { Ok(Self { sandbox: Some(url.as_str().trim_end_matches('/').to_owned()) }) } else { Err(malformed) }
    }

    /// Whether requests go to a sandbox.
    pub fn is_sandbox(&self) -> bool {
        self.sandbox.is_some()
    }

    /// The address at which another host's https address is reached: itself, or through the sandbox, which stands for all
    /// hosts. `None` if it is no such address.
    pub fn public(&self, address: &str) -> Option<Url> {
        let rest = address.strip_prefix("https://")?;
        match &self.sandbox {
            Some(sandbox) => Url::parse(&format!("{sandbox}/{rest}")).ok(),
            None => Url::parse(address).ok(),
        }
    }

    /// Whether a sandbox is configured and this is an address of it.
    pub(crate) fn is_in_sandbox(&self, url: &Url) -> bool {
        let rest = self.sandbox.as_deref().and_then(|sandbox| url.as_str().strip_prefix(sandbox));
        rest.is_some_and(|rest| rest.starts_with('/'))
    }

    /// The start of all addresses of this host, without a slash at the end.
    pub(crate) fn base(&self, host: Host<'_>) -> String {
        match &self.sandbox {
            Some(sandbox) => format!("{sandbox}/{}", host.0),
            None => format!("https://{}", host.0),
        }
    }

    /// The address of a path, with arguments and query parameters percent-encoded (RFC 3986 section 2.1).
    ///
    /// Fails if the address would mean something else: an argument `..`, for example, would be a step up.
    pub(crate) fn url(&self, host: Host<'_>, path: &Path<'_>) -> Result<Url, Malformed> {
        let mut text = format!("{}/{}/", self.base(host), path.version);
        let (mut left, mut arguments) = (path.template, path.arguments.iter());
        let malformed = Malformed { what: "a path segment", expected: "neither empty nor made of dots" };
        while let Some((before, after)) = left.split_once("{}") {
            text.push_str(before);
            encode(arguments.next().filter(|argument| !argument.is_empty()).ok_or(malformed)?, &mut text);
            left = after;
        }
        text.push_str(left);
        for (at, (name, value)) in path.query.iter().enumerate() {
            text.push(if at == 0 { '?' } else { '&' });
            encode(name, &mut text);
            text.push('=');
            encode(value, &mut text);
        }
        let url = Url::parse(&text).map_err(|_| malformed)?;
        if url.as_str() == text && arguments.next().is_none() { Ok(url) } else { Err(malformed) }
    }
}

/// A path below a host.
pub(crate) struct Path<'p> {
    /// Its first segment.
    pub(crate) version: &'static str,
    /// The rest, as the API's description writes it, with `{}` for each argument.
    pub(crate) template: &'static str,
    /// What stands in place of each `{}`.
    pub(crate) arguments: &'p [&'p str],
    /// Query parameters.
    pub(crate) query: &'p [(&'p str, &'p str)],
}

/// A host that requests go to: one that is written in this crate, or that of an instance.
#[derive(Clone, Copy)]
pub(crate) struct Host<'h>(&'h str);

impl Host<'static> {
    pub(crate) const fn fixed(name: &'static str) -> Self {
        Self(name)
    }

    pub(crate) fn name(&self) -> &'static str {
        self.0
    }
}

/// A host that takes SQL over HTTP: `http-` and then the public endpoint that the control plane names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SqlHost(String);

impl SqlHost {
    pub(crate) fn host(&self) -> Host<'_> {
        Host(&self.0)
    }

    /// The public endpoint, in lower case.
    pub(crate) fn endpoint(&self) -> &str {
        self.0.strip_prefix("http-").unwrap_or(&self.0)
    }

    /// The SQL host of a public endpoint, which must be below `tidbcloud.com`: passwords are sent there.
    pub(crate) fn of_endpoint(endpoint: &str) -> Result<Self, Malformed> {
        let host = format!("http-{}", endpoint.to_ascii_lowercase());
        // RFC 1035 section 2.3.1: labels of 1 to 63 letters, digits and inner hyphens; section 2.3.4: 255 octets in
        // all, which are 253 characters of text.
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        let inside = endpoint.len() > ".tidbcloud.com".len() && host.ends_with(".tidbcloud.com");
        if inside && host.len() <= 253 && !endpoint.starts_with('.') && host.split('.').all(label) {
            Ok(Self(host))
        } else {
            Err(Malformed { what: "the instance's public endpoint", expected: "a host below tidbcloud.com" })
        }
    }
}

/// Leaves the unreserved characters of RFC 3986 section 2.3 and percent-encodes all other bytes.
fn encode(text: &str, into: &mut String) {
    use std::fmt::Write as _;
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            into.push(char::from(byte));
        } else {
            let _ = write!(into, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tidbcloud::service::{IAM, SERVERLESS, Service};

    fn path<'p>(template: &'static str, arguments: &'p [&'p str], query: &'p [(&'p str, &'p str)]) -> Path<'p> {
        Path { version: "v1beta1", template, arguments, query }
    }

    const ENDPOINT: &str = "gateway01.us-east-1.prod.aws.tidbcloud.com";

    #[test]
    fn addresses_are_those_of_tidb_cloud_or_of_the_sandbox() {
        let path = path("clusters", &[], &[("pageToken", "a/b")]);
        let url = |hosts: &Hosts, service: &Service| hosts.url(service.host, &path).unwrap();
        let sandbox = Hosts::sandbox("http://127.0.0.1:8788/").unwrap();
        assert_eq!(
            url(&Hosts::real(), &SERVERLESS).as_str(),
            "https://serverless.tidbapi.com/v1beta1/clusters?pageToken=a%2Fb"
        );
        assert_eq!(
            url(&sandbox, &IAM).as_str(),
            "http://127.0.0.1:8788/iam.tidbapi.com/v1beta1/clusters?pageToken=a%2Fb"
        );
        let sql = SqlHost::of_endpoint(ENDPOINT).unwrap();
        assert_eq!(
            sandbox.url(sql.host(), &self::path("sql", &[], &[])).unwrap().as_str(),
            "http://127.0.0.1:8788/http-gateway01.us-east-1.prod.aws.tidbcloud.com/v1beta1/sql"
        );
        for bad in ["ftp://127.0.0.1", "http://user@127.0.0.1", "http://127.0.0.1/?a", "127.0.0.1:8788", ""] {
            assert!(Hosts::sandbox(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_path_has_as_many_arguments_as_places_for_them() {
        let address = |template, arguments: &[&str]| Hosts::real().url(IAM.host, &path(template, arguments, &[]));
        let verb = address("clusters/{}/branches/{}:reset", &["7", "a:b"]).unwrap();
        assert_eq!(verb.path(), "/v1beta1/clusters/7/branches/a%3Ab:reset", "only the template has a verb");
        for (template, arguments) in [("clusters/{}", &[][..]), ("clusters/{}", &["7", "8"]), ("clusters/{}", &[""])] {
            assert!(address(template, arguments).is_err(), "{template} {arguments:?}");
        }
    }

    #[test]
    fn passwords_go_to_tidb_cloud_only() {
        assert!(SqlHost::of_endpoint(ENDPOINT).is_ok());
        assert_eq!(SqlHost::of_endpoint("Gateway01.TiDBCloud.com").unwrap().0, "http-gateway01.tidbcloud.com");
        for bad in [
            "",
            "tidbcloud.com",
            ".tidbcloud.com",
            "eviltidbcloud.com",
            "gateway01.tidbcloud.com.evil.example",
            "gateway01.evil.example/.tidbcloud.com",
            "evil.example#.tidbcloud.com",
            "evil.example:80?.tidbcloud.com",
            "a@evil.example\\.tidbcloud.com",
            "gateway01..tidbcloud.com",
            "gateway01.-a.tidbcloud.com",
            "gateway01.tidbcloud.com.",
            "g\u{e4}teway.tidbcloud.com",
        ] {
            assert!(SqlHost::of_endpoint(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn segments_and_parameters_arrive_as_they_were(
            segment in "\\PC{1,12}|[./%?#\\\\ ]{1,4}",
            value in "\\PC{0,12}",
        ) {
            for hosts in [Hosts::real(), Hosts::sandbox("http://127.0.0.1:8788").unwrap()] {
                let start = format!("{}/v1beta1/", hosts.base(SERVERLESS.host));
                let (arguments, query) = ([segment.as_str()], [("q", value.as_str())]);
                let Ok(url) = hosts.url(SERVERLESS.host, &path("{}/end", &arguments, &query)) else {
                    prop_assert!(segment == "." || segment == "..", "{:?} was refused", segment);
                    continue;
                };
                prop_assert!(url.as_str().starts_with(&start));
                prop_assert_eq!(url.query_pairs().collect::<Vec<_>>(), vec![("q".into(), value.as_str().into())]);
                let path = url.path().trim_start_matches("/serverless.tidbapi.com").split('/').collect::<Vec<_>>();
                prop_assert_eq!((path[1], path[3], path.len()), ("v1beta1", "end", 4));
                let decoded: Vec<_> = url::form_urlencoded::parse(path[2].as_bytes()).collect();
                prop_assert_eq!(&decoded[0].0, segment.as_str());
            }
        }
    }
}
