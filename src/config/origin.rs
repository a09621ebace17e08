//! Origins, as browsers write them.

use std::net::Ipv4Addr;

use url::{Host, Url};

/// A scheme, host and port, as browsers write it in `Origin` (RFC 6454 section 6.2): lower case, default port left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(String);

impl Origin {
    /// Reads an http or https origin: no path, query, fragment or user.
    pub fn parse(text: &str) -> Option<Self> {
        let url = Url::parse(text.trim()).ok()?;
        let bare = matches!(url.scheme(), "http" | "https")
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        bare.then(|| Self::of(&url))
    }

    /// The origin of a URL.
    pub fn of(url: &Url) -> Self {
        Self(url.origin().ascii_serialization())
    }

    /// As a browser sends it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the host is this machine: `localhost`, `127.0.0.0/8` or `::1`, on any port.
    pub fn is_loopback(&self) -> bool {
        Url::parse(&self.0).is_ok_and(|url| is_loopback(&url))
    }
}

/// Which machine a URL leads to, as its host says. A public name whose owner points it here is not seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Machine {
    /// This one, by a name or address that says so everywhere (RFC 8252 sections 7.3 and 8.3).
    This,
    /// This one where it is resolved or dialled as usual. What only this machine may do is not allowed there, nor what has to leave it.
    Perhaps,
    /// Another.
    Other,
}

fn machine(url: &Url) -> Machine {
    // 0.0.0.0 is dialled as this machine (RFC 1122 section 3.2.1.3), and `to_ipv4` reads `::` and `::1` as addresses of the same block.
    let is_here = |address: Ipv4Addr| matches!(address.octets(), [0 | 127, ..]);
    match url.host() {
        Some(Host::Domain("localhost")) => Machine::This,
        Some(Host::Ipv4(address)) if address.is_loopback() => Machine::This,
        Some(Host::Ipv6(address)) if address.is_loopback() => Machine::This,
        // RFC 6761 section 6.3.
        Some(Host::Domain(name)) if name.trim_end_matches('.').rsplit('.').next() == Some("localhost") => {
            Machine::Perhaps
        }
        Some(Host::Ipv4(address)) if is_here(address) => Machine::Perhaps,
        Some(Host::Ipv6(address)) if address.to_ipv4().is_some_and(is_here) => Machine::Perhaps,
        _ => Machine::Other,
    }
}

/// Whether a URL's host is this machine for certain: for what is allowed to this machine only.
pub fn is_loopback(url: &Url) -> bool {
    machine(url) == Machine::This
}

/// Whether a URL may lead to this machine, however that is written: for what has to leave it.
pub fn may_be_here(url: &Url) -> bool {
    machine(url) != Machine::Other
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_this_machine_is_seen() {
        for (host, is) in [
            ("localhost", Machine::This),
            ("LocalHost", Machine::This),
            ("127.0.0.1", Machine::This),
            ("127.9.9.9", Machine::This),
            ("127.1", Machine::This),
            ("2130706433", Machine::This),
            ("0x7f.1", Machine::This),
            ("[::1]", Machine::This),
            ("[0:0:0:0:0:0:0:1]", Machine::This),
            ("localhost.", Machine::Perhaps),
            ("app.localhost", Machine::Perhaps),
            ("a.b.localhost.", Machine::Perhaps),
            ("0.0.0.0", Machine::Perhaps),
            ("0", Machine::Perhaps),
            ("[::]", Machine::Perhaps),
            ("[::ffff:127.0.0.1]", Machine::Perhaps),
            ("[::ffff:7f00:2]", Machine::Perhaps),
            ("[::ffff:0.0.0.0]", Machine::Perhaps),
            ("[::127.0.0.1]", Machine::Perhaps),
            ("localhost.example", Machine::Other),
            ("notlocalhost", Machine::Other),
            ("127.0.0.1.example", Machine::Other),
            ("128.0.0.1", Machine::Other),
            ("192.168.0.1", Machine::Other),
            ("[2001:db8::127.0.0.1]", Machine::Other),
            ("[::ffff:8.8.8.8]", Machine::Other),
        ] {
            for scheme in ["http", "https"] {
                let url = Url::parse(&format!("{scheme}://{host}:8443/x")).expect("a URL");
                assert_eq!(machine(&url), is, "{url}");
                assert_eq!(is_loopback(&url), is == Machine::This, "{url}");
                assert_eq!(may_be_here(&url), is != Machine::Other, "{url}");
            }
        }
    }
}
