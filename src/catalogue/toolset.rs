//! Toolsets: groups of tools that an address or a grant can name.

use std::sync::OnceLock;

/// A group of tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Toolset {
    /// Clusters.
    Clusters,
    /// Branches.
    Branches,
    /// SQL and SQL users.
    Database,
    /// What belongs to no cluster.
    Organization,
    /// The pair that reaches tools that are not listed. No address and no grant names it.
    Finder,
    /// Why a database is slow.
    Insight,
    /// Imports and exports.
    Transfer,
    /// Backups and what is made of them.
    Recovery,
    /// What it costs.
    Billing,
    /// How a cluster does.
    Metrics,
    /// Who can reach a cluster.
    Network,
}

/// What is said of a toolset.
struct Row {
    /// As addresses write it.
    name: &'static str,
    /// For people.
    title: &'static str,
    /// If it is not listed by default: its topics, as the finder's description names them.
    topics: Option<&'static str>,
}

impl Toolset {
    /// Those that can be named, in the order in which they are listed.
    pub const ALL: &[Self] = &[
        Self::Clusters,
        Self::Branches,
        Self::Database,
        Self::Insight,
        Self::Transfer,
        Self::Recovery,
        Self::Billing,
        Self::Metrics,
        Self::Organization,
        Self::Network,
    ];

    fn row(self) -> Row {
        let row = |name, title, topics| Row { name, title, topics };
        match self {
            Self::Clusters => row("clusters", "Clusters", None),
            Self::Branches => row("branches", "Branches", None),
            Self::Database => row("database", "SQL and SQL users", None),
            Self::Insight => row("insight", "Plans and performance", None),
            Self::Transfer => row("transfer", "Imports and exports", Some("imports and exports")),
            Self::Recovery => row("recovery", "Backups and restore", Some("backups and restore, branch reset")),
            Self::Billing => row("billing", "Bills and costs", Some("billing")),
            Self::Metrics => row("metrics", "Metrics", Some("metrics")),
            Self::Organization => row(
                "organization",
                "Organization",
                Some("organization members and keys, audit log, quotas, short names of clusters"),
            ),
            Self::Network => row("network", "Network access", Some("network access")),
            Self::Finder => row("finder", "Tools that are not listed", None),
        }
    }

    fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|toolset| toolset.name() == name)
    }

    /// This toolset's bit.
    const fn bit(self) -> u32 {
        1 << self as u32
    }

    /// As addresses write it.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// For people.
    pub fn title(self) -> &'static str {
        self.row().title
    }

    /// Its topics, as the finder's description names them; `None` if its tools are listed by default.
    pub fn topics(self) -> Option<&'static str> {
        self.row().topics
    }

    /// Whether its tools are listed where no toolset is named.
    pub fn is_default(self) -> bool {
        self.topics().is_none()
    }
}

/// The toolsets that an address or a grant names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Named {
    /// None: the default ones are listed, and the finder reaches the others.
    #[default]
    Nothing,
    /// `all`: those that are still to come, too.
    All,
    /// Some, a bit each: a boundary that nothing crosses.
    Some(u32),
}

impl Named {
    /// Reads names with commas between them: `all`, `default` (those listed by default) or toolsets. `None` breaks the
    /// [`rule`](Named::rule).
    pub(super) fn parse(names: &str) -> Option<Self> {
        let (mut bits, mut all) = (0, false);
        for name in names.split(',') {
            match (name, Toolset::parse(name)) {
                ("all", _) => all = true,
                ("default", _) => bits |= bits_of(Toolset::is_default),
                (_, Some(toolset)) => bits |= toolset.bit(),
                _ => return None,
            }
        }
        Some(if all { Self::All } else { Self::Some(bits) })
    }

    /// What an address may name, in a sentence.
    pub(super) fn rule() -> &'static str {
        static RULE: OnceLock<String> = OnceLock::new();
        RULE.get_or_init(|| {
            let names = join(Toolset::ALL.iter().copied(), ", ");
            format!("`toolsets` must be some of {names}, default and all, separated by commas.")
        })
    }

    /// Whether a tool of this toolset is within reach.
    pub(super) fn reach(self, toolset: Toolset) -> bool {
        match self {
            Self::Nothing => true,
            Self::All => toolset != Toolset::Finder,
            Self::Some(bits) => bits & toolset.bit() != 0,
        }
    }

    /// Whether a tool of this toolset is listed.
    pub(super) fn list(self, toolset: Toolset) -> bool {
        self.reach(toolset) && (self != Self::Nothing || toolset.is_default())
    }

    /// What both leave; `None` if that is nothing.
    pub(super) fn and(self, other: Self) -> Option<Self> {
        match (self, other) {
            (Self::Nothing, named) | (named, Self::Nothing) | (Self::All, named) | (named, Self::All) => Some(named),
            (Self::Some(one), Self::Some(two)) => Some(one & two).filter(|both| *both != 0).map(Self::Some),
        }
    }

    /// As an address writes them; empty if none is named.
    pub(super) fn text(self) -> String {
        match self {
            Self::Nothing => String::new(),
            Self::All => "all".to_owned(),
            Self::Some(_) => join(Toolset::ALL.iter().copied().filter(|toolset| self.reach(*toolset)), ","),
        }
    }
}

fn bits_of(is_one: impl Fn(Toolset) -> bool) -> u32 {
    Toolset::ALL.iter().copied().filter(|toolset| is_one(*toolset)).fold(0, |bits, toolset| bits | toolset.bit())
}

fn join(toolsets: impl Iterator<Item = Toolset>, between: &str) -> String {
    toolsets.map(Toolset::name).collect::<Vec<_>>().join(between)
}
