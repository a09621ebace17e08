//! Failures of statements.

use std::{error::Error, fmt};

use crate::tidbcloud::{
    ApiError,
    cause::{self, Link},
    transport::retry::Passing,
};

/// Errors after which a read can be sent again: deadlock (1213), write conflict (8022, 9007), and storage or placement
/// servers that are busy or out of reach (9001 to 9005). TiDB, "Error Codes and Troubleshooting".
const BUSY: [u16; 8] = [1213, 8022, 9001, 9002, 9003, 9004, 9005, 9007];
/// Those of them that say that what the statement did was rolled back: deadlock, a commit that failed, and a write conflict.
const ROLLED_BACK: [u16; 3] = [1213, 8022, 9007];

/// Why a statement failed. No variant holds a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SqlFailure {
    /// TiDB Cloud, its control plane or the SQL gateway failed; the statement did not run, or it was a read.
    Api(ApiError),
    /// The database refused the statement.
    Sql {
        /// MySQL's or TiDB's number, for example 1146.
        code: Option<u16>,
        /// The database's message: at most 500 characters, control characters escaped.
        message: String,
    },
    /// The instance cannot take SQL at present; it can later.
    NotReady {
        /// Its state, as TiDB Cloud calls it.
        state: String,
        /// The part that an active instance still lacks.
        lacks: Option<&'static str>,
    },
    /// The instance's public endpoint is switched off.
    EndpointDisabled,
    /// A managed user cannot be made with this API key, or not here. The remedy is the caller's own SQL user.
    NoManagedUser {
        /// TiDB Cloud's error.
        cause: ApiError,
    },
    /// The branch was made before the managed users of its parent, and TiDB Cloud offers no call that creates a user on
    /// a branch. Resetting the branch from its parent fixes it, and so does the caller's own SQL user.
    BranchOlderThanItsUsers,
    /// The caller's own SQL user belongs to this instance, and was refused.
    OwnLoginRefused,
    /// The managed user was made and does not work yet. That takes up to minutes; the same call can succeed later.
    LoginNotYet,
    /// The statement may or may not have taken effect. Look before repeating it.
    OutcomeUnknown {
        /// Its cause.
        cause: Box<SqlFailure>,
    },
}

impl SqlFailure {
    /// Whether the statement may have taken effect anyway.
    pub fn outcome_unknown(&self) -> bool {
        matches!(self, Self::OutcomeUnknown { .. }) || matches!(self, Self::Api(error) if error.outcome_unknown())
    }

    /// Whether a statement on its own certainly did nothing, and may do something the next time.
    pub(super) fn was_rolled_back(&self) -> bool {
        matches!(self, Self::Sql { code: Some(code), .. } if ROLLED_BACK.contains(code))
    }

    pub(super) fn passing(&self) -> Option<Passing> {
        match self {
            // A read that took 30 s once will take them again.
            Self::Api(ApiError::Timeout) => None,
            Self::Api(error) => error.passing(),
            Self::Sql { code: Some(code), .. } if BUSY.contains(code) => Some(Passing::Stumble(None)),
            _ => None,
        }
    }
}

impl From<ApiError> for SqlFailure {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

impl SqlFailure {
    /// The failure and its causes in one line of the log, as [`ApiError::chain`] gives it.
    pub fn chain(&self) -> String {
        cause::chain(self)
    }

    /// The event, without text from others.
    fn words(&self) -> &'static str {
        match self {
            Self::Api(_) => "TiDB Cloud failed, or its gateway",
            Self::Sql { .. } => "the database refused the statement",
            Self::NotReady { lacks: None, .. } => "the instance is not active",
            Self::NotReady { lacks: Some(_), .. } => "the instance is not complete",
            Self::EndpointDisabled => "the public endpoint of the instance is disabled",
            Self::NoManagedUser { .. } => "no SQL user can be made",
            Self::BranchOlderThanItsUsers => "the branch is older than the SQL users of its parent",
            Self::OwnLoginRefused => "the database refuses the SQL user that came with the request",
            Self::LoginNotYet => "the SQL user was made and does not work yet",
            Self::OutcomeUnknown { .. } => "the statement may or may not have taken effect",
        }
    }
}

impl Link for SqlFailure {
    fn link(&self) -> String {
        let words = self.words();
        match self {
            Self::Api(error) => error.link(),
            Self::Sql { code: Some(code), .. } => format!("{words} ({code})"),
            Self::NotReady { lacks: Some(lacks), .. } => format!("{words}: it lacks {lacks}"),
            _ => words.to_owned(),
        }
    }
}

impl fmt::Display for SqlFailure {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Api(error) => error.fmt(to),
            Self::Sql { code: Some(code), message } => write!(to, "the database says ({code}): {message}"),
            Self::Sql { code: None, message } => write!(to, "the database says: {message}"),
            Self::NotReady { state, lacks: None } => write!(to, "the instance is {state}"),
            Self::NotReady { state, lacks: Some(lacks) } => write!(to, "the instance is {state} without {lacks}"),
            _ => to.write_str(self.words()),
        }
    }
}

impl Error for SqlFailure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Api(error) => error.source(),
            Self::NoManagedUser { cause } => Some(cause),
            Self::OutcomeUnknown { cause } => Some(cause.as_ref()),
            _ => None,
        }
    }
}
