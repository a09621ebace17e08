//! The body of an incoming request, read when it is asked for.

use std::{pin::pin, time::Duration};

use futures_util::future::{Either, select};
use worker::{Delay, web_sys};

use super::glue::{self, Pieces};
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
            None => match select(pin!(collect(&self.request, bytes_max)), pin!(Delay::from(timeout))).await {
                Either::Left((read, _)) => read?,
                Either::Right(_) => return Err(BodyError::Timeout),
            },
        };
        if bytes.len() > bytes_max { Err(BodyError::TooLarge) } else { Ok(bytes) }
    }
}

impl IncomingBody for Body {
    fn read(&mut self, bytes_max: usize, timeout: Duration) -> Pending<'_, Result<Vec<u8>, BodyError>> {
        Box::pin(self.whole(bytes_max, timeout))
    }
}

/// Reads a body and stops at `bytes_max`.
async fn collect(request: &web_sys::Request, bytes_max: usize) -> Result<Vec<u8>, BodyError> {
    let pieces = Pieces::of(request).map_err(|_| BodyError::Broken)?;
    let mut bytes = Vec::new();
    while let Some(piece) = pieces.next().await.map_err(|_| BodyError::Broken)? {
        if bytes.len().saturating_add(piece.len()) > bytes_max {
            return Err(BodyError::TooLarge);
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}
