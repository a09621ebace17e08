//! Groups of tools.

/// A group of tools that an address can select.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Toolset {
    /// Clusters.
    Clusters,
    /// Branches.
    Branches,
    /// SQL and SQL users.
    Database,
    /// Tools that belong to no cluster.
    Organization,
}

impl Toolset {
    pub(super) const ALL: &[Self] = &[Self::Clusters, Self::Branches, Self::Database, Self::Organization];

    pub(super) fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|toolset| toolset.name() == name)
    }

    /// This toolset's bit.
    pub(super) const fn bit(self) -> u32 {
        1 << self as u32
    }

    /// As addresses write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Clusters => "clusters",
            Self::Branches => "branches",
            Self::Database => "database",
            Self::Organization => "organization",
        }
    }
}
