//! Answers that no HTTP library would send, written to the connection byte by byte.

use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::exchange::{Course, Response, Stop};

/// How long the first part of an answer has to arrive before the connection is reset, which may throw away what has not.
const RESET_PAUSE: Duration = Duration::from_millis(50);

/// How often bytes of a slow body follow.
const SLOW_PAUSE: Duration = Duration::from_secs(1);

/// Blanks that are sent at once.
const BLANKS: usize = 16 << 10;

/// Status and header fields; `framing` says how long the body is.
fn head(response: &Response, framing: &str) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {} \r\n", response.status);
    for (name, value) in response.headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("content-length")) {
        // Writing to a string cannot fail.
        let _ = write!(head, "{name}: {value}\r\n");
    }
    let _ = write!(head, "{framing}\r\n\r\n");
    head.into_bytes()
}

fn length(bytes: usize) -> String {
    format!("content-length: {bytes}")
}

/// One chunk; none for no bytes, which would end the body.
fn chunk(bytes: &[u8]) -> Vec<u8> {
    if bytes.is_empty() {
        return Vec::new();
    }
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

/// RFC 1952 with the body in stored blocks (RFC 1951 section 3.2.4), and ones for CRC32 and ISIZE.
fn bad_gzip(body: &[u8]) -> Vec<u8> {
    let mut gzip = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    for block in body.chunks(usize::from(u16::MAX)) {
        let bytes = u16::try_from(block.len()).unwrap_or(u16::MAX);
        gzip.push(0);
        gzip.extend(bytes.to_le_bytes());
        gzip.extend((!bytes).to_le_bytes());
        gzip.extend(block);
    }
    // The last block, which is empty, and the trailer.
    gzip.extend([1, 0, 0, 0xff, 0xff]);
    gzip.extend([0xff; 8]);
    gzip
}

/// Reads until the client closes its direction.
async fn wait_for_end(stream: &mut TcpStream) -> io::Result<()> {
    let mut unread = [0; 1024];
    while stream.read(&mut unread).await? > 0 {}
    Ok(())
}

/// The state of a connection after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It may serve the next request.
    Kept,
    /// It ends, as meant.
    Closed,
    /// The client left before it had the answer.
    Left,
}

/// Sends what a client gets of `response`.
///
/// # Errors
/// The client left.
pub(crate) async fn send(stream: &mut TcpStream, response: &Response, course: Course) -> io::Result<End> {
    let body = response.body.as_slice();
    match course {
        Course::Whole => stream.write_all(&[head(response, &length(body.len())), body.to_vec()].concat()).await?,
        Course::Stops { after, how } => {
            if let Some(after) = after {
                let part = body.get(..after).unwrap_or(body);
                stream.write_all(&[head(response, &length(body.len())), part.to_vec()].concat()).await?;
            }
            return stop(stream, how).await;
        }
        Course::Length(by) => {
            let announced = body.len().saturating_add_signed(isize::try_from(by).unwrap_or_default());
            stream.write_all(&[head(response, &length(announced)), body.to_vec()].concat()).await?;
        }
        Course::Endless => {
            let start = body.split_last().map_or(body, |(_, start)| start);
            stream.write_all(&[head(response, "transfer-encoding: chunked"), chunk(start)].concat()).await?;
            let blanks = chunk(&[b' '; BLANKS]);
            loop {
                stream.write_all(&blanks).await?;
            }
        }
        Course::Slow(bytes) => {
            stream.write_all(&head(response, &length(body.len()))).await?;
            for (index, part) in body.chunks(bytes).enumerate() {
                // A client that left is noticed by what it says, because the next bytes would still be taken for sent.
                if index > 0 && tokio::time::timeout(SLOW_PAUSE, wait_for_end(stream)).await.is_ok() {
                    return Ok(End::Left);
                }
                stream.write_all(part).await?;
            }
        }
        Course::BadGzip => {
            let gzip = bad_gzip(body);
            let framing = format!("content-encoding: gzip\r\n{}", length(gzip.len()));
            stream.write_all(&[head(response, &framing), gzip].concat()).await?;
        }
        Course::BadChunks => {
            let (start, _) = body.split_at(body.len() / 2);
            let framed = [head(response, "transfer-encoding: chunked"), chunk(start), b"no size\r\n".to_vec()].concat();
            stream.write_all(&framed).await?;
            return stop(stream, Stop::Close).await;
        }
    }
    Ok(End::Kept)
}

/// Ends a connection.
async fn stop(stream: &mut TcpStream, how: Stop) -> io::Result<End> {
    match how {
        Stop::Close => {}
        Stop::HalfClose => {
            stream.shutdown().await?;
            // However it ends: it was over when the server said so.
            let _ = wait_for_end(stream).await;
        }
        Stop::Reset => {
            tokio::time::sleep(RESET_PAUSE).await;
            stream.set_zero_linger()?;
        }
        Stop::Stall => {
            wait_for_end(stream).await?;
            return Ok(End::Left);
        }
    }
    Ok(End::Closed)
}
