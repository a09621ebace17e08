//! The database that a statement starts in.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use crate::{sql, tidbcloud::units::made_of};

/// A database to select over HTTP: the value of the header `TiDB-Database`.
///
/// The checked name must be the one that arrives. A field value loses the whitespace at its ends on the way (RFC 9110
/// section 5.5; Fetch standard, "normalize" a value), and how the gateway passes the name on is not published: it may
/// become part of a URL, of a data source name or of a statement. So a name is made of characters that are literal in
/// all of these. Any other database is reached by qualified names in the statement.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct DatabaseName(String);

impl DatabaseName {
    /// The text, as it is sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a text selects no database. It never repeats the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotADatabase {
    /// It could arrive as another name.
    Characters,
    /// It is the system schema that holds password hashes, or would arrive as it.
    SecretSchema,
}

impl fmt::Display for NotADatabase {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(match self {
            Self::Characters => {
                "must be 1 to 64 letters, digits, `_`, `$` or `-`; for another name, leave it out and write qualified names in the statement"
            }
            Self::SecretSchema => sql::SECRET_SCHEMA_REFUSED,
        })
    }
}

impl TryFrom<String> for DatabaseName {
    type Error = NotADatabase;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'-');
        if sql::is_system_secret_schema(&name) {
            Err(NotADatabase::SecretSchema)
        } else if made_of(&name, 1, 64, plain) {
            Ok(Self(name))
        } else {
            Err(NotADatabase::Characters)
        }
    }
}

impl JsonSchema for DatabaseName {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "DatabaseName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "For unqualified names; default none",
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_arrives_as_it_was_checked() {
        for name in ["shop", "Shop_2", "$x", "my-app", "mysql2", "-"] {
            assert_eq!(DatabaseName::try_from(name.to_owned()).unwrap().as_str(), name);
        }
        for (name, why) in [
            ("", NotADatabase::Characters),
            (" shop", NotADatabase::Characters),
            ("shop\r\n", NotADatabase::Characters),
            ("my%73ql", NotADatabase::Characters),
            ("mysql?timeout=1s", NotADatabase::Characters),
            ("`mysql`", NotADatabase::Characters),
            ("mysql;", NotADatabase::Characters),
            ("sh\u{f6}p", NotADatabase::Characters),
            ("mysql", NotADatabase::SecretSchema),
            (" MySQL\t", NotADatabase::SecretSchema),
            ("my\u{17f}ql", NotADatabase::SecretSchema),
        ] {
            assert_eq!(DatabaseName::try_from(name.to_owned()), Err(why), "{name:?}");
        }
        assert!(DatabaseName::try_from("x".repeat(64)).is_ok() && DatabaseName::try_from("x".repeat(65)).is_err());
    }

    proptest! {
        #[test]
        fn no_name_changes_as_a_field_value(text in "[ \\t\\r\\n]{0,2}\\PC{0,8}[ \\t\\r\\n]{0,2}|(?i)mysql") {
            if let Ok(name) = DatabaseName::try_from(text) {
                let sent = name.as_str().trim_matches(['\t', '\n', '\r', ' ']);
                prop_assert_eq!(sent, name.as_str());
                prop_assert!(!sent.eq_ignore_ascii_case("mysql"));
            }
        }
    }
}
