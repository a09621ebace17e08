//! A result, and the envelope that each era puts around it.

use serde_json::Value;

use super::{Server, outcome::ErrorCode, revision::Revision};

/// How long a client may keep `server/discover` and `tools/list`: both change only with a deployment, and five
/// minutes after one every client has seen it.
/// <https://modelcontextprotocol.io/specification/2026-07-28/server/utilities/caching>
const CACHE_MILLIS: u32 = 300_000;

/// Who may share a cached result (MCP schema `CacheableResult`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CacheScope {
    /// Every caller at the same address.
    Public,
    /// Only the caller that asked: it depends on the caller.
    Private,
}

impl CacheScope {
    /// As on the wire.
    fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Private => "private",
        }
    }
}

/// A result before its era's envelope.
pub(super) struct Success {
    /// A JSON object, serialized.
    pub(super) object: String,
    /// Its cache scope for modern clients (schema `CacheableResult`).
    cache: Option<CacheScope>,
    /// Its `resultType` for modern clients.
    kind: &'static str,
    /// The code, if a tool call failed.
    pub(super) tool_error: Option<ErrorCode>,
}

impl Success {
    pub(super) fn object(object: String) -> Self {
        Self { object, cache: None, kind: "complete", tool_error: None }
    }

    pub(super) fn plain(object: Value) -> Self {
        Self::object(object.to_string())
    }

    pub(super) fn input_required(object: Value) -> Self {
        Self { kind: "input_required", ..Self::plain(object) }
    }

    pub(super) fn cacheable(object: String, cache: CacheScope) -> Self {
        Self { cache: Some(cache), ..Self::object(object) }
    }

    /// The `result` member as this revision writes it.
    pub(super) fn result(self, server: &Server<'_>, revision: Revision) -> String {
        let mut result = self.object;
        if !revision.is_modern() {
            return result;
        }
        // The object's last brace makes room for the envelope; no modern result is empty.
        result.pop();
        result.push_str(&format!(r#","resultType":"{}","#, self.kind));
        if let Some(scope) = self.cache {
            result.push_str(&format!(r#""ttlMs":{CACHE_MILLIS},"cacheScope":"{}","#, scope.as_str()));
        }
        let info = server.info();
        result.push_str(&format!(r#""_meta":{{"io.modelcontextprotocol/serverInfo":{info}}}}}"#));
        result
    }
}
