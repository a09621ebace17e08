//! `X-MCP-Unattended: destroy`: the owner of a key runs something without a person, and says so with every request.

use super::{Refusal, Request, credentials::Credential};
use crate::app::codes::UNATTENDED_NOT_ALLOWED;

/// Whether the caller goes without a person. A model that a client acts for cannot set a header; a token is for such clients, so
/// beside one the header is refused, and browsers are not told of it.
pub(in crate::app::mcp) fn read(request: Request<'_>, credential: &Credential) -> Result<bool, Refusal> {
    let Some(value) = request.head.headers.filled("x-mcp-unattended") else { return Ok(false) };
    match credential {
        Credential::Token(_) => {
            let message = "X-MCP-Unattended is not for tokens. Leave it out, or call with keys.";
            Err(Refusal::new(&UNATTENDED_NOT_ALLOWED, message))
        }
        Credential::Keys(_) | Credential::Owner if value == "destroy" => Ok(true),
        Credential::Keys(_) | Credential::Owner => {
            Err(Refusal::new(&UNATTENDED_NOT_ALLOWED, "X-MCP-Unattended takes exactly one value: destroy."))
        }
    }
}
