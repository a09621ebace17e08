//! The headers declare the body as JSON, not compressed.

use super::{Refusal, Request};
use crate::mcp;

pub(in crate::app::mcp) fn check(request: Request<'_>) -> Result<(), Refusal> {
    match mcp::precheck(&request.head.headers) {
        Some(rejection) => Err(rejection.into()),
        None => Ok(()),
    }
}
