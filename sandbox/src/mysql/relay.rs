//! The command phase: bytes both ways, as they come.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};

use super::packet::{self, HEAD};

/// Bytes that are carried at once.
const BUFFER: usize = 16 << 10;

/// `COM_CHANGE_USER`. Who may be whom is decided at the login here, and the engine's passwords are not those of the users.
const CHANGE_USER: u8 = 0x11;

/// Follows the packets of a client, so that one command can be told from the bytes around it.
#[derive(Default)]
struct Commands {
    /// What there is of the head of the next packet.
    head: Vec<u8>,
    /// Bytes of the packet under way that have not come yet.
    left: usize,
    /// Whether the next byte is a command: the first of a packet that begins an exchange.
    command: bool,
}

impl Commands {
    /// Whether the next bytes are without the command that is not relayed.
    fn pass(&mut self, mut bytes: &[u8]) -> bool {
        while let Some((first, rest)) = bytes.split_first() {
            if self.left == 0 {
                self.head.push(*first);
                bytes = rest;
                if let Some(head) = self.head.first_chunk::<HEAD>() {
                    let (length, sequence) = packet::head(*head);
                    (self.left, self.command) = (length, sequence == 0);
                    self.head.clear();
                }
                continue;
            }
            if std::mem::take(&mut self.command) && *first == CHANGE_USER {
                return false;
            }
            let (passed, rest) = bytes.split_at(self.left.min(bytes.len()));
            self.left -= passed.len();
            bytes = rest;
        }
        true
    }
}

/// Carries what the client sends; `false` where it sends a command that is not relayed.
async fn upwards<C: AsyncRead, E: AsyncWrite>(client: &mut ReadHalf<C>, engine: &mut WriteHalf<E>) -> io::Result<bool> {
    let mut commands = Commands::default();
    let mut buffer = vec![0; BUFFER];
    loop {
        let length = client.read(&mut buffer).await?;
        let bytes = buffer.get(..length).unwrap_or_default();
        if bytes.is_empty() {
            return Ok(true);
        }
        if !commands.pass(bytes) {
            return Ok(false);
        }
        engine.write_all(bytes).await?;
    }
}

/// Carries bytes both ways until one side closes.
///
/// # Errors
/// A connection broke.
pub(super) async fn relay(client: impl AsyncRead + AsyncWrite, engine: impl AsyncRead + AsyncWrite) -> io::Result<()> {
    let (mut from_client, mut to_client) = tokio::io::split(client);
    let (mut from_engine, mut to_engine) = tokio::io::split(engine);
    let passed = tokio::select! {
        passed = upwards(&mut from_client, &mut to_engine) => passed?,
        copied = tokio::io::copy(&mut from_engine, &mut to_client) => copied.map(|_| true)?,
    };
    if !passed {
        let message = "COM_CHANGE_USER is not relayed by the sandbox: log in again on a new connection";
        packet::write(&mut to_client, 1, &packet::error(1047, "08S01", message)).await?;
    }
    to_client.shutdown().await
}

#[cfg(test)]
mod tests {
    use super::{CHANGE_USER, Commands};
    use crate::mysql::packet::framed;

    /// Every stream is fed whole and byte by byte: where the network cuts makes no difference.
    fn passes(stream: &[u8]) -> bool {
        let whole = Commands::default().pass(stream);
        let mut commands = Commands::default();
        let each = stream.iter().all(|byte| commands.pass(&[*byte]));
        assert_eq!(whole, each, "the same verdict however the bytes come");
        whole
    }

    #[test]
    fn only_the_command_to_change_the_user_is_held_back() {
        let query = framed(0, b"\x03SELECT '\x11\x11\x11\x11\x11'");
        let change = framed(0, &[CHANGE_USER, b'x', 0]);
        assert!(passes(&[query.as_slice(), &query].concat()), "the byte within a statement is no command");
        assert!(!passes(&[query.as_slice(), &change].concat()), "after another command");
        assert!(
            passes(&[framed(0, b"").as_slice(), &framed(1, &[CHANGE_USER])].concat()),
            "a later packet of one command"
        );
        assert!(!passes(&[framed(0, b"").as_slice(), &change].concat()), "after an empty packet");
    }
}
