//! The body of an incoming request, read when it is asked for.

use std::{pin::pin, time::Duration};

use futures_util::{
    StreamExt,
    future::{Either, select},
};
use js_sys::{Uint8Array, futures::JsFuture};
use worker::{ByteStream, Delay, Request, web_sys};

use crate::platform::{BodyError, IncomingBody};

/// A request whose body was not touched yet.
pub(super) struct Body {
    pub(super) request: web_sys::Request,
    /// `Content-Length`. Not `usize`: on wasm32 a length of 4 GiB would not fit, and so count as none.
    pub(super) declared: Option<u64>,
}

impl IncomingBody for Body {
    async fn read(self, bytes_max: usize, timeout: Duration) -> Result<Vec<u8>, BodyError> {
        if self.declared.is_some_and(|length| usize::try_from(length).map_or(true, |length| length > bytes_max)) {
            return Err(BodyError::TooLarge);
        }
        let read = async {
            match self.declared {
                // HTTP ends a body where its declared length does.
                Some(_) => whole(&self.request).await,
                None => match Request::from(self.request).stream() {
                    Ok(stream) => collect(stream, bytes_max).await,
                    Err(_) => Ok(Vec::new()),
                },
            }
        };
        match select(pin!(read), pin!(Delay::from(timeout))).await {
            Either::Left((read, _)) => {
                read.and_then(|bytes| if bytes.len() > bytes_max { Err(BodyError::TooLarge) } else { Ok(bytes) })
            }
            Either::Right(_) => Err(BodyError::Timeout),
        }
    }
}

async fn whole(request: &web_sys::Request) -> Result<Vec<u8>, BodyError> {
    let promise = request.array_buffer().map_err(|_| BodyError::Broken)?;
    let buffer = JsFuture::from(promise).await.map_err(|_| BodyError::Broken)?;
    Ok(Uint8Array::new(&buffer).to_vec())
}

/// Reads a stream and stops at `bytes_max`; dropping the stream cancels it.
pub(super) async fn collect(mut stream: ByteStream, bytes_max: usize) -> Result<Vec<u8>, BodyError> {
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
