//! The revisions of the protocol, and what differs between them, in one place.
//!
//! <https://modelcontextprotocol.io/specification/2026-07-28/basic/versioning>

/// A published revision. Later ones are greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Revision {
    /// `2024-11-05`: for this server the same on the wire as 2025-03-26.
    V20241105,
    /// `2025-03-26`: streamable HTTP; assumed for a request without a version header.
    V20250326,
    /// `2025-06-18`: no batches any more.
    V20250618,
    /// `2025-11-25`: the last with `initialize`.
    V20251125,
    /// `2026-07-28`: every request carries its version and capabilities in `_meta`.
    V20260728,
}

impl Revision {
    /// The answer of `initialize` to an unknown version.
    pub const LATEST_LEGACY: Self = Self::V20251125;

    /// Revisions served by per-request metadata: what `server/discover` and error -32022 list.
    pub const MODERN: &[&str] = &[Self::V20260728.as_str()];

    /// The revision of this name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::V20241105, Self::V20250326, Self::V20250618, Self::V20251125, Self::V20260728]
            .into_iter()
            .find(|revision| revision.as_str() == name)
    }

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V20241105 => "2024-11-05",
            Self::V20250326 => "2025-03-26",
            Self::V20250618 => "2025-06-18",
            Self::V20251125 => "2025-11-25",
            Self::V20260728 => "2026-07-28",
        }
    }

    /// Whether requests carry `_meta` instead of following an `initialize`.
    pub fn is_modern(self) -> bool {
        self >= Self::V20260728
    }

    /// Whether a body may be an array of messages (2025-03-26, section Batching; removed in 2025-06-18).
    pub fn has_batches(self) -> bool {
        self <= Self::V20250326
    }

    /// The version that `initialize` settles on: the one asked for if it has an `initialize`, else the latest that does.
    pub fn negotiate(requested: &str) -> Self {
        Self::parse(requested).filter(|revision| !revision.is_modern()).unwrap_or(Self::LATEST_LEGACY)
    }
}

/// The methods that this server knows, each in some era.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Initialize,
    Ping,
    Discover,
    ToolsList,
    ToolsCall,
    ResourcesList,
    TemplatesList,
    ResourcesRead,
    PromptsList,
    PromptsGet,
    Listen,
}

impl Method {
    /// The method of this name in this revision.
    pub(super) fn find(revision: Revision, name: &str) -> Option<Self> {
        match (name, revision.is_modern()) {
            ("initialize", false) => Some(Self::Initialize),
            ("ping", false) => Some(Self::Ping),
            ("server/discover", true) => Some(Self::Discover),
            ("subscriptions/listen", true) => Some(Self::Listen),
            ("tools/list", _) => Some(Self::ToolsList),
            ("tools/call", _) => Some(Self::ToolsCall),
            ("resources/list", _) => Some(Self::ResourcesList),
            ("resources/templates/list", _) => Some(Self::TemplatesList),
            ("resources/read", _) => Some(Self::ResourcesRead),
            ("prompts/list", _) => Some(Self::PromptsList),
            ("prompts/get", _) => Some(Self::PromptsGet),
            _ => None,
        }
    }

    /// The name on the wire.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Initialize => "initialize",
            Self::Ping => "ping",
            Self::Discover => "server/discover",
            Self::ToolsList => "tools/list",
            Self::ToolsCall => "tools/call",
            Self::ResourcesList => "resources/list",
            Self::TemplatesList => "resources/templates/list",
            Self::ResourcesRead => "resources/read",
            Self::PromptsList => "prompts/list",
            Self::PromptsGet => "prompts/get",
            Self::Listen => "subscriptions/listen",
        }
    }
}
