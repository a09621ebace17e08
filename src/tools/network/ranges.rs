//! Ranges of IPv4 addresses, as a person writes an access list.

use std::net::Ipv4Addr;

use serde::Deserialize;

use crate::{base::schema::schema_of, tidbcloud::AuthorizedNetwork};

/// From one address to the same or a later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Range {
    start: u32,
    end: u32,
}

const FORMS: &str =
    "must be an IPv4 address, a block such as 203.0.113.0/24, or a range such as 203.0.113.1-203.0.113.9";

impl Range {
    /// Everybody.
    pub(super) const ALL: Self = Self { start: 0, end: u32::MAX };

    fn parse(text: &str) -> Result<Self, &'static str> {
        let address = |text: &str| text.parse::<Ipv4Addr>().map(u32::from).map_err(|_| FORMS);
        if let Some((start, end)) = text.split_once('-') {
            let (start, end) = (address(start.trim_end())?, address(end.trim_start())?);
            return if start <= end { Ok(Self { start, end }) } else { Err("must end at the same or a later address") };
        }
        let Some((start, length)) = text.split_once('/') else {
            let only = address(text)?;
            return Ok(Self { start: only, end: only });
        };
        let start = address(start)?;
        let is_plain = length == "0" || (!length.starts_with('0') && length.bytes().all(|byte| byte.is_ascii_digit()));
        let length = length.parse::<u32>().ok().filter(|length| is_plain && *length <= 32).ok_or(FORMS)?;
        let host_bits = u32::MAX.checked_shr(length).unwrap_or_default();
        if start & host_bits != 0 {
            return Err("must begin at the first address of its block: 203.0.113.0/24, not 203.0.113.7/24");
        }
        Ok(Self { start, end: start | host_bits })
    }

    /// The addresses of an entry; `None` if it is no range.
    pub(super) fn of(network: &AuthorizedNetwork) -> Option<Self> {
        let address = |text: &Option<String>| text.as_deref()?.parse::<Ipv4Addr>().ok().map(u32::from);
        let (start, end) = (address(&network.start_ip_address)?, address(&network.end_ip_address)?);
        (start <= end).then_some(Self { start, end })
    }

    /// In the shortest form that can be given back.
    pub(super) fn words(self) -> String {
        let (start, end) = (Ipv4Addr::from(self.start), Ipv4Addr::from(self.end));
        let host_bits = self.start ^ self.end;
        if host_bits == 0 {
            return start.to_string();
        }
        // A block: all bits after the prefix are 0 at its start and 1 at its end.
        match host_bits & host_bits.wrapping_add(1) == 0 && self.start & host_bits == 0 {
            true => format!("{start}/{}", host_bits.leading_zeros()),
            false => format!("{start}-{end}"),
        }
    }

    /// As an entry of the list, with a name of at most 32 characters, which is what TiDB Cloud's command line client takes.
    pub(super) fn entry(self) -> AuthorizedNetwork {
        let words = self.words();
        let name = match words.contains('-') {
            true => format!("{:08x}_{:08x}", self.start, self.end),
            false => words.replace(['.', '/'], "_"),
        };
        AuthorizedNetwork {
            display_name: Some(format!("mcp_{name}")),
            start_ip_address: Some(Ipv4Addr::from(self.start).to_string()),
            end_ip_address: Some(Ipv4Addr::from(self.end).to_string()),
        }
    }
}

/// Whether each address of `these` is one of `those`.
pub(super) fn are_within(these: &[Range], those: &[Range]) -> bool {
    let mut sorted = those.to_vec();
    sorted.sort_unstable();
    let mut merged: Vec<Range> = Vec::new();
    for range in sorted {
        match merged.last_mut() {
            Some(last) if range.start <= last.end.saturating_add(1) => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    these.iter().all(|this| merged.iter().any(|that| that.start <= this.start && this.end <= that.end))
}

/// As many entries a person can still read.
pub(super) const RANGES_MAX: usize = 100;

/// The list as a caller gives it.
#[derive(Clone, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub(super) struct Ranges(pub(super) Vec<Range>);

impl TryFrom<Vec<String>> for Ranges {
    type Error = String;

    fn try_from(texts: Vec<String>) -> Result<Self, Self::Error> {
        if texts.is_empty() {
            return Err("must have an entry: `enabled` false lets nobody in".to_owned());
        }
        if texts.len() > RANGES_MAX {
            return Err(format!("must have at most {RANGES_MAX} entries"));
        }
        let mut ranges = Vec::new();
        for (at, text) in texts.iter().enumerate() {
            let range = Range::parse(text).map_err(|problem| format!("entry {} {problem}", at + 1))?;
            if !ranges.contains(&range) {
                ranges.push(range);
            }
        }
        Ok(Self(ranges))
    }
}

schema_of! {
    Ranges => {"type": "array", "items": {"type": "string"}};
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str) -> Range {
        Range::parse(text).unwrap_or_else(|problem| panic!("{text}: {problem}"))
    }

    #[test]
    fn a_range_is_written_as_it_is_read() {
        for (text, shortest) in [
            ("203.0.113.7", "203.0.113.7"),
            ("203.0.113.7/32", "203.0.113.7"),
            ("203.0.113.0/24", "203.0.113.0/24"),
            ("203.0.113.0-203.0.113.255", "203.0.113.0/24"),
            ("203.0.113.0 - 203.0.113.254", "203.0.113.0-203.0.113.254"),
            ("203.0.113.1-203.0.113.2", "203.0.113.1-203.0.113.2"),
            ("0.0.0.0-255.255.255.255", "0.0.0.0/0"),
            ("128.0.0.0/1", "128.0.0.0/1"),
        ] {
            assert_eq!(range(text).words(), shortest, "{text}");
            assert_eq!(range(shortest), range(text), "{shortest}");
            assert_eq!(
                Range::of(&range(text).entry()),
                Some(range(text)),
                "{text}: an entry of the list says the same"
            );
        }
        assert_eq!(range("0.0.0.0/0"), Range::ALL);
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for text in [
            "",
            "0",
            "203.0.113",
            "203.0.113.256",
            "203.0.113.07",
            "203.0.113.7/24",
            "203.0.113.0/33",
            "203.0.113.0/024",
            "203.0.113.0/+4",
            "203.0.113.0/",
            "203.0.113.9-203.0.113.1",
            "203.0.113.1-",
            "2001:db8::1",
            "::/0",
            "example.com",
            "203.0.113.1,203.0.113.2",
            " 203.0.113.1",
            "203.0.113.1/32-203.0.113.9",
        ] {
            assert!(Range::parse(text).is_err(), "{text:?} is no range");
        }
        assert!(Ranges::try_from(vec!["203.0.113.7".to_owned(); RANGES_MAX + 1]).is_err());
        assert!(Ranges::try_from(Vec::new()).is_err());
    }

    #[test]
    fn names_are_short_and_differ() {
        let all =
            ["255.255.255.254-255.255.255.255", "255.255.255.255", "1.2.3.4-1.2.3.9", "1.2.3.4-1.2.3.10", "1.2.3.4"];
        let names: std::collections::BTreeSet<_> = all.iter().map(|text| range(text).entry().display_name).collect();
        assert_eq!(names.len(), all.len(), "{names:?}");
        assert!(names.iter().flatten().all(|name| name.len() <= 32), "{names:?}");
    }

    #[test]
    fn a_set_of_addresses_is_within_another_however_it_is_cut() {
        let within = |these: &[&str], those: &[&str]| {
            let ranges = |texts: &[&str]| texts.iter().map(|text| range(text)).collect::<Vec<_>>();
            are_within(&ranges(these), &ranges(those))
        };
        assert!(within(&[], &[]) && within(&[], &["1.2.3.4"]) && !within(&["1.2.3.4"], &[]));
        assert!(within(&["1.2.3.0/24"], &["1.2.3.128/25", "1.2.3.0/25"]), "two halves are the whole");
        assert!(within(&["1.2.3.0/24"], &["1.2.3.0-1.2.3.200", "1.2.3.100-1.2.3.255"]), "they may overlap");
        assert!(!within(&["1.2.3.0/24"], &["1.2.3.0-1.2.3.100", "1.2.3.102-1.2.3.255"]), "one address is missing");
        assert!(within(&["0.0.0.0/0"], &["0.0.0.0/1", "128.0.0.0/1"]) && within(&["255.255.255.255"], &["0.0.0.0/0"]));
        assert!(!within(&["0.0.0.0/0"], &["0.0.0.0/1"]));
    }
}
