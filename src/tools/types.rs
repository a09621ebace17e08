//! Argument types that several tools share and that belong to no API.

use std::{borrow::Cow, collections::BTreeMap, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use crate::{
    base::clock::UnixMillis,
    sql,
    tidbcloud::{SYSTEM_LABEL_PREFIX, Timestamp},
};

/// How many entries a page has: 1 to 100, as the API takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "i64")]
pub(super) struct PageSize(u32);

impl PageSize {
    pub(super) fn get(self) -> u32 {
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
pub(super) enum Moment {
    At(Timestamp),
    Ago(Duration),
}

impl Moment {
    /// As a time of RFC 3339.
    pub(super) fn timestamp(self, now: UnixMillis) -> Timestamp {
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

/// A pattern of names: 1 to 64 characters, none of which means one thing in one SQL mode and another in the next.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct LikePattern(String);

impl LikePattern {
    /// As a literal of SQL: a quote is doubled, in every mode.
    pub(super) fn literal(&self) -> String {
        format!("'{}'", self.0.replace('\'', "''"))
    }
}

impl TryFrom<String> for LikePattern {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let fine =
            (1..=64).contains(&text.chars().count()) && !text.contains('\\') && !text.chars().any(char::is_control);
        if fine { Ok(Self(text)) } else { Err("must be 1 to 64 characters without backslash or control characters") }
    }
}

/// Labels of a cluster.
///
/// At most 20 of 63 characters each: the API publishes no limits, and 20 such labels are 2.6 KiB, little enough to be
/// listed with every cluster.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "BTreeMap<String, String>")]
pub(super) struct Labels(BTreeMap<String, String>);

impl Labels {
    pub(super) fn into_inner(self) -> BTreeMap<String, String> {
        self.0
    }
}

impl TryFrom<BTreeMap<String, String>> for Labels {
    type Error = String;

    fn try_from(labels: BTreeMap<String, String>) -> Result<Self, Self::Error> {
        const COUNT_MAX: usize = 20;
        const BYTES_MAX: usize = 63;
        let plain = |text: &str, extra: &[u8]| {
            text.len() <= BYTES_MAX && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || extra.contains(&byte))
        };
        if labels.len() > COUNT_MAX {
            return Err("must be at most 20 labels".to_owned());
        }
        let fine = labels.iter().all(|(key, value)| !key.is_empty() && plain(key, b"-_./") && plain(value, b"-_. @"));
        if !fine {
            return Err("keys and values must be at most 63 letters, digits, `-`, `_` or `.`".to_owned());
        }
        // TiDB Cloud would drop them without a word, and the caller's labels with them.
        match labels.keys().find(|name| name.starts_with(SYSTEM_LABEL_PREFIX)) {
            Some(name) => Err(format!("`{name}` is a system label, which only TiDB Cloud sets; leave it out")),
            None => Ok(Self(labels)),
        }
    }
}

/// One SQL statement, not looked into yet.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct SqlText(String);

impl SqlText {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for SqlText {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.trim().is_empty() { Err("must not be empty") } else { Ok(Self(text)) }
    }
}

/// 1 to 20 statements.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<SqlText>")]
pub(super) struct Statements(pub(super) Vec<SqlText>);

impl Statements {
    /// 20 statements and their BEGIN and COMMIT are 22 of the 50 requests that Workers' free plan allows.
    pub(super) const COUNT_MAX: usize = 20;
}

impl TryFrom<Vec<SqlText>> for Statements {
    type Error = &'static str;

    fn try_from(statements: Vec<SqlText>) -> Result<Self, Self::Error> {
        if (1..=Self::COUNT_MAX).contains(&statements.len()) {
            Ok(Self(statements))
        } else {
            Err("must be 1 to 20 statements")
        }
    }
}

/// A database to name in a statement: any identifier that can be quoted, but not the system schema that holds password
/// hashes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct SchemaName {
    name: String,
    quoted: String,
}

impl SchemaName {
    /// In backticks.
    pub(super) fn quoted(&self) -> &str {
        &self.quoted
    }

    pub(super) fn into_inner(self) -> String {
        self.name
    }
}

impl TryFrom<String> for SchemaName {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        if sql::is_system_secret_schema(&name) {
            return Err(sql::SECRET_SCHEMA_REFUSED);
        }
        // A name with a space before it exists nowhere that tools of TiDB Cloud make one; as a slip it is common.
        let plain = !name.starts_with(char::is_whitespace) && !name.chars().any(char::is_control);
        match sql::quote_identifier(&name).filter(|_| plain) {
            Some(quoted) => Ok(Self { name, quoted }),
            None => Err("must be a database name of 1 to 64 characters, without space around it"),
        }
    }
}

macro_rules! schemas {
    ($($type:ty => $schema:tt;)*) => {
        $(impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        })*
    };
}

schemas! {
    PageSize => {"type": "integer", "minimum": 1, "maximum": 100, "description": "Entries per page"};
    LikePattern => {"type": "string", "maxLength": 64, "description": "LIKE pattern without backslash"};
    Labels => {
        "type": "object",
        "additionalProperties": {"type": "string", "maxLength": 63},
        "maxProperties": 20
    };
    SqlText => {"type": "string", "description": "Statement"};
    // A statement alone is taken too; two types for one argument would confuse hosts.
    Statements => {
        "type": "array",
        "items": {"type": "string"},
        "maxItems": 20,
        "description": "1 to 20 statements"
    };
    SchemaName => {"type": "string", "maxLength": 64, "description": "Exact name"};
    Moment => {"type": "string"};
}
