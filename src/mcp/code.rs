//! The codes of protocol errors, one per row: numbers, cause and remedy. The reference is generated from these rows and from
//! those of the service.

use super::revision::Revision;

/// A stable code of a response to a request that called nothing.
#[derive(Debug)]
pub struct TransportCode {
    /// For programs: `data.code`.
    pub name: &'static str,
    /// HTTP status and JSON-RPC code.
    pub numbers: Numbers,
    /// The same before 2026-07-28.
    pub numbers_before: Numbers,
    /// The cause, in sentences: for the reference only, so the Worker does not contain it.
    #[cfg(not(target_arch = "wasm32"))]
    pub when: &'static str,
    /// The remedy, in a sentence.
    #[cfg(not(target_arch = "wasm32"))]
    pub what_to_do: &'static str,
}

/// A code on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbers {
    /// HTTP status.
    pub status: u16,
    /// JSON-RPC code.
    pub rpc: i64,
}

/// A code of JSON-RPC or of the protocol, with the status that goes with it.
/// <https://modelcontextprotocol.io/specification/2026-07-28/basic#error-codes>
pub const fn of_protocol(status: u16, rpc: i64) -> Numbers {
    Numbers { status, rpc }
}

/// A refusal that the protocol has no code for: `-31000 - (status - 400)`, outside the range that JSON-RPC 2.0 section 5.1
/// reserves.
pub const fn of_http(status: u16) -> Numbers {
    // `i64::from` is not const.
    Numbers { status, rpc: -30_600 - status as i64 }
}

impl TransportCode {
    /// Its numbers in this revision.
    pub fn numbers_in(&self, revision: Revision) -> Numbers {
        if revision.is_modern() { self.numbers } else { self.numbers_before }
    }

    /// Whether the same request can succeed later.
    pub fn is_retryable(&self) -> bool {
        matches!(self.numbers.status, 408 | 429 | 503)
    }
}

/// Declares codes: `NAME = numbers, when, what_to_do;`. `as` names one whose name two rows share, `before` what was sent before
/// 2026-07-28.
macro_rules! transport_codes {
    ($($code:ident $(as $name:literal)? = $numbers:expr, $(before $before:expr,)? $when:literal, $what_to_do:literal;)*) => {
        $(
            #[doc = $when]
            pub static $code: $crate::mcp::code::TransportCode = $crate::mcp::code::TransportCode {
                name: $crate::mcp::code::transport_codes!(@first $($name,)? stringify!($code)),
                numbers: $numbers,
                numbers_before: $crate::mcp::code::transport_codes!(@first $($before,)? $numbers),
                #[cfg(not(target_arch = "wasm32"))]
                when: $when,
                #[cfg(not(target_arch = "wasm32"))]
                what_to_do: $what_to_do,
            };
        )*

        /// All of them, in order.
        pub static ALL: &[&$crate::mcp::code::TransportCode] = &[$(&$code),*];
    };
    (@first $first:expr $(, $rest:expr)?) => { $first };
}
pub(crate) use transport_codes;

transport_codes! {
    PARSE_ERROR = of_protocol(400, -32_700),
        "The body is not JSON, not UTF-8, or nested 128 levels deep.",
        "Send one JSON-RPC message in UTF-8.";
    INVALID_REQUEST = of_protocol(400, -32_600),
        "It is JSON, but not a message that may be posted: wrong envelope, the same key twice, more than 1,000 keys in an object, a batch where none is allowed or of more than 10.",
        "Correct the message.";
    INVALID_META as "INVALID_PARAMS" = of_protocol(400, -32_602),
        "`_meta` of a 2026-07-28 request is incomplete; `data.missing` names what it lacks.",
        "Add it.";
    INVALID_PARAMS = of_protocol(200, -32_602),
        "Unknown tool or prompt, a `cursor`, or `params` of the wrong shape.",
        "Call a tool of `tools/list`.";
    RESOURCE_NOT_FOUND = of_protocol(200, -32_602), before of_protocol(200, -32_002),
        "There are no resources.",
        "Use the tools.";
    // Before 2026-07-28, 404 meant that the session is gone, and clients started over.
    METHOD_NOT_FOUND = of_protocol(404, -32_601), before of_protocol(200, -32_601),
        "This revision has no such method here.",
        "Only tools are served: `tools/list` and `tools/call`; the lists of resources and prompts are empty.";
    HEADER_MISMATCH = of_protocol(400, -32_020),
        "`MCP-Protocol-Version`, `Mcp-Method` or `Mcp-Name` is missing or differs from the body.",
        "Send what the body says.";
    UNSUPPORTED_PROTOCOL_VERSION = of_protocol(400, -32_022),
        "`MCP-Protocol-Version` or `_meta` names a version that is not served there. `data.supported` lists the versions that need no handshake, which is 2026-07-28 alone.",
        "Use it; or negotiate an older one by `initialize`, which answers with 2025-11-25 if it does not know the version asked for, and name that one in the header.";
    UNSUPPORTED_MEDIA_TYPE = of_http(415),
        "`Content-Type` is not `application/json`.",
        "Send that type.";
    UNSUPPORTED_CONTENT_ENCODING = of_http(415),
        "The body is compressed.",
        "Send it plain.";
}
