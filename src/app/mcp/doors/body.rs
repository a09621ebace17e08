//! The body arrives whole, in time, and is not too long.

use super::Refusal;
use crate::{
    app::{
        BODY_TIMEOUT,
        codes::{BODY_BROKEN, BODY_TIMEOUT as TIMED_OUT, BODY_TOO_LARGE},
    },
    port::{BodyError, IncomingBody},
    sql::STATEMENT_BYTES_MAX,
};

/// 1 MiB: a statement of [`STATEMENT_BYTES_MAX`] is 384 KiB if JSON writes each byte as `\u00XX`. It also bounds all
/// statements of a call together: 20 of them have 51 KiB each, less if escaped.
const BODY_BYTES_MAX: usize = 1 << 20;

const _: () = assert!(BODY_BYTES_MAX > 6 * STATEMENT_BYTES_MAX, "one statement fits, however it is escaped");

pub(in crate::app::mcp) async fn read(body: &mut dyn IncomingBody) -> Result<Vec<u8>, Refusal> {
    body.read(BODY_BYTES_MAX, BODY_TIMEOUT).await.map_err(|error| match error {
        BodyError::TooLarge => Refusal::new(&BODY_TOO_LARGE, "The body is longer than 1 MiB."),
        BodyError::Timeout => Refusal::new(&TIMED_OUT, "The body did not arrive within 10 seconds."),
        BodyError::Broken => Refusal::new(&BODY_BROKEN, "The body broke off."),
    })
}
