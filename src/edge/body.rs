//! The body of an incoming request, read when it is asked for.

use std::{pin::pin, time::Duration};

use futures_util::{
    StreamExt,
    future::{Either, select},
};
use worker::{ByteStream, Delay, Request, web_sys};

use super::glue;
use crate::{
    base::future::Pending,
    port::{BodyError, IncomingBody},
};

/// A request whose body was not touched yet.
pub(super) struct Body {
    pub(super) request: web_sys::Request,
    /// `Content-Length`. Not `usize`: on wasm32 a length of 4 GiB would not fit, and so count as none.
    pub(super) declared: Option<u64>,
}

impl Body {
    async fn whole(&self, bytes_max: usize, timeout: Duration) -> Result<Vec<u8>, BodyError> {
        if self.declared.is_some_and(|length| usize::try_from(length).map_or(true, |length| length > bytes_max)) {
            return Err(BodyError::TooLarge);
        }
        let bytes = match self.declared {
            // HTTP ends a body where its declared length does.
            Some(_) => glue::body(&self.request, timeout).await?,
            None => {
                // Another handle of the same request: the inherent `clone` would tee its body.
                let request = Clone::clone(&self.request);
                let Ok(stream) = Request::from(request).stream() else { return Ok(Vec::new()) };
                match select(pin!(collect(stream, bytes_max)), pin!(Delay::from(timeout))).await {
                    Either::Left((read, _)) => read?,
                    Either::Right(_) => return Err(BodyError::Timeout),
                }
            }
        };
        if bytes.len() > bytes_max { Err(BodyError::TooLarge) } else { Ok(bytes) }
    }
}

impl IncomingBody for Body {
    fn read(&mut self, bytes_max: usize, timeout: Duration) -> Pending<'_, Result<Vec<u8>, BodyError>> {
        Box::pin(self.whole(bytes_max, timeout))
    }
}

/// Reads a stream and stops at `bytes_max`; dropping the stream cancels it.
async fn collect(mut stream: ByteStream, bytes_max: usize) -> Result<Vec<u8>, BodyError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|_| BodyError::Broken)?;
        if bytes.len().saturating_add(chunk.len()) > bytes_max {
            return Err(BodyError::TooLarge);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}
