//! The URL is not too long.

use url::Url;

use super::{Refusal, Request};
use crate::app::codes::URL_TOO_LONG;

/// 16 KiB: far longer than any legal URL of this service.
const URL_BYTES_MAX: usize = 16 << 10;

pub(in crate::app::mcp) fn check(request: Request<'_>) -> Result<(), Refusal> {
    if is_too_long(&request.head.url) { Err(Refusal::new(&URL_TOO_LONG, "The URL is too long.")) } else { Ok(()) }
}

/// Whether a URL is too long.
pub(in crate::app) fn is_too_long(url: &Url) -> bool {
    url.as_str().len() > URL_BYTES_MAX
}
