//! Packets of the MySQL protocol: three bytes of length, a sequence number, the payload.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Bytes of a packet's head.
pub(super) const HEAD: usize = 4;

/// Longest payload of a handshake, in bytes. A MySQL client sends 64 KiB of connection attributes at most, and no other part of
/// its response is longer than a few hundred bytes; the attributes of real clients take less than 500.
pub(super) const HANDSHAKE_MAX: usize = 64 << 10;

/// Length and sequence number.
pub(super) fn head([low, middle, high, sequence]: [u8; HEAD]) -> (usize, u8) {
    (usize::from(low) | usize::from(middle) << 8 | usize::from(high) << 16, sequence)
}

/// A whole packet. Only packets of the handshake are made here, and those are short.
pub(super) fn framed(sequence: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes();
    let mut packet: Vec<u8> = length.into_iter().take(3).chain([sequence]).collect();
    packet.extend(payload);
    packet
}

/// Reads a packet of a handshake, and nothing after it: what follows may be the beginning of TLS.
pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<(u8, Vec<u8>)> {
    let mut bytes = [0; HEAD];
    stream.read_exact(&mut bytes).await?;
    let (length, sequence) = head(bytes);
    if length > HANDSHAKE_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a packet of the handshake is too long"));
    }
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload).await?;
    Ok((sequence, payload))
}

/// Sends a packet.
pub(super) async fn write(stream: &mut (impl AsyncWrite + Unpin), sequence: u8, payload: &[u8]) -> io::Result<()> {
    stream.write_all(&framed(sequence, payload)).await?;
    stream.flush().await
}

/// The payload of an error (`ERR_Packet`).
pub(super) fn error(code: u16, sqlstate: &str, message: &str) -> Vec<u8> {
    let mut payload = vec![0xff];
    payload.extend(code.to_le_bytes());
    payload.push(b'#');
    payload.extend(sqlstate.as_bytes());
    payload.extend(message.as_bytes());
    payload
}

/// What is left of a payload to read. Every method is `None` where the payload is too short.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    /// This many bytes.
    pub(super) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    /// An integer of 1 to 8 bytes.
    pub(super) fn integer(&mut self, length: usize) -> Option<u64> {
        let bytes = self.take(length)?;
        Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// Bytes up to a zero, which is read too.
    pub(super) fn terminated(&mut self) -> Option<&'a [u8]> {
        let end = self.0.iter().position(|byte| *byte == 0)?;
        let taken = self.take(end)?;
        self.take(1)?;
        Some(taken)
    }

    /// Bytes up to a zero, or the rest: some clients leave out the last zero.
    pub(super) fn last(&mut self) -> &'a [u8] {
        match self.terminated() {
            Some(taken) => taken,
            None => std::mem::take(&mut self.0),
        }
    }

    /// Bytes after a length of one byte.
    pub(super) fn short(&mut self) -> Option<&'a [u8]> {
        let length = self.take(1)?.first().copied()?;
        self.take(usize::from(length))
    }

    /// Bytes after a length-encoded integer.
    pub(super) fn length_encoded(&mut self) -> Option<&'a [u8]> {
        let length = match self.take(1)?.first().copied()? {
            0xfc => self.integer(2)?,
            0xfd => self.integer(3)?,
            0xfe => self.integer(8)?,
            length @ 0..=0xfa => u64::from(length),
            _ => return None,
        };
        self.take(usize::try_from(length).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::{Fields, HEAD, framed, head};

    #[test]
    fn a_packet_says_how_long_it_is() {
        let packet = framed(7, &[9; 0x01_02_03]);
        assert_eq!(packet.get(..HEAD).unwrap(), [3, 2, 1, 7], "the length comes in three bytes, lowest first");
        assert_eq!(head(packet.first_chunk().copied().unwrap()), (0x01_02_03, 7));
    }

    /// The forms of "Protocol::LengthEncodedInteger".
    #[test]
    fn lengths_are_read_in_every_form() {
        let mut long = vec![0xfc, 0x2c, 0x01];
        long.extend([5; 300]);
        assert_eq!(Fields(&long).length_encoded().map(<[u8]>::len), Some(300));
        assert_eq!(Fields(&[0xfd, 1, 0, 0, 8]).length_encoded(), Some(&[8][..]));
        assert_eq!(Fields(&[0xfe, 1, 0, 0, 0, 0, 0, 0, 0, 8]).length_encoded(), Some(&[8][..]));
        assert_eq!(Fields(&[0xfb]).length_encoded(), None, "NULL is no length");
        assert_eq!(Fields(&[3, 1]).length_encoded(), None, "more than there is");
    }
}
