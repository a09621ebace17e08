//! Connection facts of an instance that accepts SQL.

use crate::tidbcloud::{ApiError, Instance, SqlFailure, State, transport::hosts::SqlHost};

/// How to reach the SQL of a cluster or branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// The host for SQL over HTTP.
    pub(crate) host: SqlHost,
    /// The prefix of user names of this instance, without the dot; newer Essential instances have none.
    pub(crate) prefix: Option<String>,
}

impl Facts {
    /// Those of an instance, in any state that has them: a new one has none yet.
    pub(crate) fn of(instance: &Instance) -> Result<Self, SqlFailure> {
        let state = instance.state.as_ref().map_or("CREATING", State::as_str);
        let not_ready = |lacks| SqlFailure::NotReady { state: state.to_owned(), lacks: Some(lacks) };
        let host = instance.public().and_then(|public| public.host.as_deref()).filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| not_ready("a public endpoint"))?;
        let prefix = instance.user_prefix.clone().filter(|prefix| !prefix.is_empty());
        if instance.prefixed && prefix.is_none() {
            return Err(not_ready("a user prefix"));
        }
        Ok(Self { host: SqlHost::of_endpoint(host).map_err(ApiError::Malformed)?, prefix })
    }

    /// The full name of a user of this instance.
    pub(crate) fn full_name(&self, name: &str) -> String {
        match &self.prefix {
            Some(prefix) => format!("{prefix}.{name}"),
            None => name.to_owned(),
        }
    }
}
