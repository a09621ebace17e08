//! What a caller may do: three scopes, each including those before it.

use std::fmt;

/// A scope; the order is that of power.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// `tidb:read`: list, look, and SQL that changes nothing.
    #[default]
    Read,
    /// `tidb:write`: also create and change.
    Write,
    /// `tidb:destroy`: also delete, drop, and run statements that are not recognised.
    Destroy,
}

impl Scope {
    /// All scopes, the weakest first.
    pub const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Destroy];

    /// As OAuth writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "tidb:read",
            Self::Write => "tidb:write",
            Self::Destroy => "tidb:destroy",
        }
    }

    /// This scope and all that it includes, as a scope parameter (RFC 6749 section 3.3). A client that replaces its scopes by
    /// these then loses none.
    pub fn with_included(self) -> &'static str {
        match self {
            Self::Read => "tidb:read",
            Self::Write => "tidb:read tidb:write",
            Self::Destroy => "tidb:read tidb:write tidb:destroy",
        }
    }

    /// Reads one scope.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(self.as_str())
    }
}
