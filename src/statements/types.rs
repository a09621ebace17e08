//! Arguments of the SQL tools.

use serde::Deserialize;

use crate::{base::schema::schema_of, sql};

/// A pattern of names: 1 to 64 characters, none of which depends on the SQL mode.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct LikePattern(String);

impl LikePattern {
    /// As a literal of SQL: a quote is doubled, in every mode.
    pub(crate) fn literal(&self) -> String {
        format!("'{}'", self.0.replace('\'', "''"))
    }

    /// Whether every name matches.
    pub(crate) fn is_everything(&self) -> bool {
        self.0.bytes().all(|byte| byte == b'%')
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

/// A database to name in a statement: any identifier that can be quoted, but not the system schema that holds password
/// hashes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct SchemaName {
    name: String,
    quoted: String,
}

impl SchemaName {
    /// As it is.
    pub(crate) fn as_str(&self) -> &str {
        &self.name
    }

    /// In backticks.
    pub(crate) fn quoted(&self) -> &str {
        &self.quoted
    }

    pub(crate) fn into_inner(self) -> String {
        self.name
    }
}

impl TryFrom<String> for SchemaName {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        if sql::is_system_secret_schema(&name) {
            return Err(sql::SECRET_SCHEMA_REFUSED);
        }
        // TiDB Cloud's tools make no name with a leading space; as a slip it is common.
        let plain = !name.starts_with(char::is_whitespace) && !name.chars().any(char::is_control);
        match sql::quote_identifier(&name).filter(|_| plain) {
            Some(quoted) => Ok(Self { name, quoted }),
            None => Err("must be a database name of 1 to 64 characters, without surrounding spaces"),
        }
    }
}

schema_of! {
    LikePattern => {"type": "string", "description": "LIKE pattern"};
    SchemaName => {"type": "string", "description": "Exact name"};
}
