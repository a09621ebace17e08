//! Argument types that tools of several toolsets share.

use std::time::Duration;

use serde::Deserialize;

use crate::base::schema::schema_of;
use crate::{base::clock::UnixMillis, tidbcloud::Timestamp};

/// How many entries a page has: 1 to 100, as the API takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "i64")]
pub(crate) struct PageSize(u32);

impl PageSize {
    pub(crate) fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<i64> for PageSize {
    type Error = &'static str;

    fn try_from(number: i64) -> Result<Self, Self::Error> {
        u32::try_from(number)
            .ok()
            .filter(|number| (1..=100).contains(number))
            .map(Self)
            .ok_or("must be a whole number from 1 to 100")
    }
}

/// A moment: a time of RFC 3339 section 5.6, or how long ago it was: `-1h`, `-30m`, `-1h30m`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) enum Moment {
    At(Timestamp),
    Ago(Duration),
}

impl Moment {
    /// As a time of RFC 3339.
    pub(crate) fn timestamp(self, now: UnixMillis) -> Timestamp {
        match self {
            Self::At(time) => time,
            Self::Ago(ago) => Timestamp::at(now.before(ago)),
        }
    }
}

impl TryFrom<String> for Moment {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match ago(&text) {
            Some(ago) => Ok(Self::Ago(ago)),
            None => Timestamp::try_from(text).map(Self::At).map_err(
                |_| "must be RFC 3339, for example 2026-01-31T12:00:00Z, or how long ago, for example -1h or -30m",
            ),
        }
    }
}

/// `-1h30m` as a duration: numbers with the units s, m, h and d.
fn ago(text: &str) -> Option<Duration> {
    let mut rest = text.strip_prefix('-').filter(|rest| !rest.is_empty())?;
    let mut seconds = 0_u64;
    while !rest.is_empty() {
        let (digits, after) = rest.split_at_checked(rest.find(|character: char| !character.is_ascii_digit())?)?;
        let unit = match after.chars().next()? {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            _ => return None,
        };
        seconds = digits.parse::<u64>().ok()?.checked_mul(unit)?.checked_add(seconds)?;
        rest = after.get(1..)?;
    }
    Some(Duration::from_secs(seconds))
}

schema_of! {
    PageSize => {"type": "integer", "description": "1 to 100"};
    Moment => {"type": "string"};
}
