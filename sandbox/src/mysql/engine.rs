//! The login at the engine, in the name of a user who was let in.

use std::io;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use super::handshake::{Greeting, Login, asked_again};
use super::packet;
use crate::native_password;
use crate::sql::{Address, Door};

/// A connection to an engine.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// What a login at an engine came to.
pub(super) enum Outcome {
    /// A connection in its command phase, and the engine's last packet, which the client is to get.
    In(Box<dyn Duplex>, Vec<u8>),
    /// The engine's error, which the client is to get.
    Refused(Vec<u8>),
}

async fn connect(address: &Address) -> io::Result<Box<dyn Duplex>> {
    match address {
        Address::Socket(path) => Ok(Box::new(UnixStream::connect(path).await?)),
        Address::Port(port) => {
            let stream = TcpStream::connect(("127.0.0.1", *port)).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream))
        }
    }
}

/// Logs in where `door` leads, with what the client asked for.
///
/// # Errors
/// The engine cannot be reached, or does not do as the protocol says.
pub(super) async fn log_in(door: &Door, login: &Login) -> io::Result<Outcome> {
    const ERROR: u8 = 0xff;
    let mut stream = connect(&door.address).await?;
    let (mut sequence, payload) = packet::read(&mut stream).await?;
    if payload.first() == Some(&ERROR) {
        return Ok(Outcome::Refused(payload));
    }
    let greeting = Greeting::read(&payload).ok_or_else(|| io::Error::other("its greeting is not MySQL's"))?;
    let mut answer = login.to_engine(&greeting, door.password).map_err(io::Error::other)?;
    loop {
        packet::write(&mut stream, sequence.wrapping_add(1), &answer).await?;
        let (next, payload) = packet::read(&mut stream).await?;
        match payload.first() {
            Some(0) => return Ok(Outcome::In(stream, payload)),
            Some(&ERROR) => return Ok(Outcome::Refused(payload)),
            _ => {}
        }
        let nonce = asked_again(&payload).ok_or_else(|| io::Error::other("it asks for another authentication"))?;
        (sequence, answer) = (next, native_password::proof(door.password, nonce).to_vec());
    }
}
