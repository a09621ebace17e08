//! Argument types that several tools share and that belong to no API.

use std::{borrow::Cow, collections::BTreeMap};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use crate::sql;

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
    type Error = &'static str;

    fn try_from(labels: BTreeMap<String, String>) -> Result<Self, Self::Error> {
        const COUNT_MAX: usize = 20;
        const BYTES_MAX: usize = 63;
        let plain = |text: &str, extra: &[u8]| {
            text.len() <= BYTES_MAX && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || extra.contains(&byte))
        };
        if labels.len() > COUNT_MAX {
            return Err("must be at most 20 labels");
        }
        let fine = labels.iter().all(|(key, value)| !key.is_empty() && plain(key, b"-_./") && plain(value, b"-_. @"));
        if fine { Ok(Self(labels)) } else { Err("keys and values must be at most 63 letters, digits, `-`, `_` or `.`") }
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

/// One statement, or up to 20.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "must be one statement, or an array of 1 to 20 statements")]
enum OneOrMore {
    One(SqlText),
    More(Vec<SqlText>),
}

/// 1 to 20 statements.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "OneOrMore")]
pub(super) struct Statements(pub(super) Vec<SqlText>);

impl Statements {
    /// 20 statements and their BEGIN and COMMIT are 22 of the 50 requests that Workers' free plan allows.
    pub(super) const COUNT_MAX: usize = 20;
}

impl TryFrom<OneOrMore> for Statements {
    type Error = &'static str;

    fn try_from(statements: OneOrMore) -> Result<Self, Self::Error> {
        let statements = match statements {
            OneOrMore::One(statement) => vec![statement],
            OneOrMore::More(statements) => statements,
        };
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
    PageSize => {"type": "integer", "minimum": 1, "maximum": 100};
    LikePattern => {"type": "string"};
    Labels => {"type": "object", "additionalProperties": {"type": "string"}};
    SqlText => {"type": "string"};
    Statements => {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "maxItems": 20}]};
    SchemaName => {"type": "string"};
}
