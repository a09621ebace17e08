//! Connection facts of an instance that accepts SQL.

use crate::tidbcloud::transport::hosts::SqlHost;

/// How to reach the SQL of a cluster or branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// The host for SQL over HTTP.
    pub(crate) host: SqlHost,
    /// The prefix of user names of this instance, without the dot; newer Essential instances have none.
    pub(crate) prefix: Option<String>,
}

impl Facts {
    /// The full name of a user of this instance.
    pub(crate) fn full_name(&self, name: &str) -> String {
        match &self.prefix {
            Some(prefix) => format!("{prefix}.{name}"),
            None => name.to_owned(),
        }
    }
}
