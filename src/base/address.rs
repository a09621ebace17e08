//! Internet addresses as the limits see them.

use std::net::IpAddr;

/// Where a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress(IpAddr);

impl ClientAddress {
    /// Reads one address as `CF-Connecting-IP` carries it. IPv4-mapped IPv6 (RFC 4291 section 2.5.5.2) counts as IPv4.
    pub fn parse(text: &str) -> Option<Self> {
        let address: IpAddr = text.trim().parse().ok()?;
        Some(Self(address.to_canonical()))
    }

    /// Who holds it.
    pub fn subscriber(self) -> Subscriber {
        Subscriber(self.cut(32, 64))
    }

    /// The network that its holder may hold too.
    pub fn network(self) -> Network {
        Network(self.cut(24, 48))
    }

    /// The address with all but its first bits zeroed.
    fn cut(self, v4_prefix: u8, v6_prefix: u8) -> IpAddr {
        match self.0 {
            IpAddr::V4(v4) => IpAddr::V4((u32::from(v4) & u32::MAX << (32 - v4_prefix)).into()),
            IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) & mask(128, v6_prefix)).into()),
        }
    }
}

/// The range of one subscriber: an IPv4 address, or the first 64 bits of an IPv6 address (a single customer commonly has
/// a whole /64, RFC 6177 section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscriber(IpAddr);

impl std::fmt::Display for Subscriber {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(formatter)
    }
}

/// A /24 of IPv4 or a /48 of IPv6: the smallest range that is routed by itself (RFC 7454 section 6.1.3), so two of them
/// probably have two holders, and one site has addresses of only one (RFC 6177 section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(IpAddr);

impl std::fmt::Display for Network {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(formatter)
    }
}

/// A range of addresses in CIDR notation (RFC 4632 section 3.1, RFC 4291 section 2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    network: IpAddr,
    prefix: u8,
}

impl Cidr {
    /// Reads `address/prefix`, or a single address. Bits beyond the prefix must be zero: anything else is a typing error.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let network: IpAddr = address.parse().ok()?;
        let width = width(network);
        let prefix = match prefix {
            Some(digits) if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().ok()?
            }
            Some(_) => return None,
            None => width,
        };
        (prefix <= width && bits(network) & !mask(width, prefix) == 0).then_some(Self { network, prefix })
    }

    /// Whether the prefix is shorter than this one of IPv4, or of IPv6.
    pub fn is_wider_than(&self, (v4, v6): (u8, u8)) -> bool {
        self.prefix < if self.network.is_ipv4() { v4 } else { v6 }
    }

    /// Whether the address lies in this range.
    pub fn contains(&self, address: ClientAddress) -> bool {
        let width = width(self.network);
        width == self::width(address.0) && (bits(address.0) ^ bits(self.network)) & mask(width, self.prefix) == 0
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(u32::from(v4)),
        IpAddr::V6(v6) => u128::from(v6),
    }
}

fn mask(width: u8, prefix: u8) -> u128 {
    let all = if width == 32 { u128::from(u32::MAX) } else { u128::MAX };
    all & all.checked_shl(u32::from(width - prefix)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{Cidr, ClientAddress};

    fn key(text: &str) -> Option<String> {
        ClientAddress::parse(text).map(|address| address.subscriber().to_string())
    }

    #[test]
    fn a_subscriber_is_an_ipv4_address_or_a_64() {
        assert_eq!(key("192.0.2.7").as_deref(), Some("192.0.2.7"));
        assert_eq!(key(" 192.0.2.7 ").as_deref(), Some("192.0.2.7"));
        assert_eq!(key("::ffff:192.0.2.7").as_deref(), Some("192.0.2.7"));
        assert_eq!(key("2001:db8:1:2:3:4:5:6"), key("2001:db8:1:2:ffff::1"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        for garbage in ["", "localhost", "192.0.2", "192.0.2.7, 192.0.2.8", "fe80::1%eth0", "192.0.2.7:80", "[::1]"] {
            assert_eq!(key(garbage), None, "{garbage}");
        }
    }

    #[test]
    fn a_network_is_a_24_or_a_48() {
        let network = |text| ClientAddress::parse(text).map(|address| address.network().to_string());
        assert_eq!(network("192.0.2.7").as_deref(), Some("192.0.2.0"));
        assert_eq!(network("::ffff:192.0.2.9"), network("192.0.2.255"));
        assert_ne!(network("192.0.2.7"), network("192.0.3.7"));
        assert_eq!(network("2001:db8:1:2:3:4:5:6").as_deref(), Some("2001:db8:1::"));
        assert_eq!(network("2001:db8:1:ffff::"), network("2001:db8:1::9"));
        assert_ne!(network("2001:db8:1::"), network("2001:db8:2::"));
    }

    #[test]
    fn a_range_holds_its_addresses_and_no_others() {
        let range = Cidr::parse("160.79.104.0/21").expect("valid");
        for (address, inside) in [
            ("160.79.104.0", true),
            ("160.79.111.255", true),
            ("160.79.112.0", false),
            ("160.79.103.255", false),
            ("::1", false),
        ] {
            assert_eq!(range.contains(ClientAddress::parse(address).expect("valid")), inside, "{address}");
        }
        let everything = Cidr::parse("0.0.0.0/0").expect("valid");
        assert!(everything.contains(ClientAddress::parse("255.255.255.255").expect("valid")));
        let site = Cidr::parse("2001:db8::/32").expect("valid");
        assert!(site.contains(ClientAddress::parse("2001:db8:ffff::1").expect("valid")));
        assert!(!site.contains(ClientAddress::parse("2001:db9::1").expect("valid")));
        let single = Cidr::parse("2001:db8::7").expect("valid");
        assert!(single.contains(ClientAddress::parse("2001:db8::7").expect("valid")));
        assert!(!single.contains(ClientAddress::parse("2001:db8::8").expect("valid")));
        for garbage in
            ["", "/", "1.2.3.4/33", "1.2.3.4/", "1.2.3.4/+8", "1.2.3.4/8", "::/129", "1.2.3/8", "1.2.3.4/8/8"]
        {
            assert_eq!(Cidr::parse(garbage), None, "{garbage}");
        }
    }
}
