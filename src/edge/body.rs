//! The body of an incoming request, read when it is asked for.

use std::{pin::pin, time::Duration};

use futures_util::{
    StreamExt,
    future::{Either, select},
};
use worker::{ByteStream, Delay, Request};

use crate::platform::{BodyError, IncomingBody};

/// A request whose body was not touched yet.
pub(super) struct Body(pub(super) Request);

impl IncomingBody for Body {
    async fn read(mut self, bytes_max: usize, timeout: Duration) -> Result<Vec<u8>, BodyError> {
        // Not `usize`: on wasm32 a length of 4 GiB would not fit, and so count as none.
        let declared: Option<u64> =
            self.0.headers().get("content-length").ok().flatten().and_then(|text| text.parse().ok());
        if declared.is_some_and(|length| usize::try_from(length).map_or(true, |length| length > bytes_max)) {
            return Err(BodyError::TooLarge);
        }
        let read = async {
            match declared {
                // HTTP ends a body where its declared length does.
                Some(_) => self.0.bytes().await.map_err(|_| BodyError::Broken),
                None => match self.0.stream() {
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
